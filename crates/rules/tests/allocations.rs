//! What the rules cost in allocations on a request's way: none. The decision on origins that are
//! granted, refused and hostile, the field block, the preflight with as many names as are allowed and
//! with 16 KiB of commas.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use corsair_http1::{HeadLimits, Parsed, RequestHead};
use corsair_rules::{AnswerMemo, CorsPolicies, CorsPolicySpec, Dialect, PoliciesId, RequestOrigin};

/// The system's allocator, counting what this thread asks of it.
struct Counting;

thread_local! {
    static COUNT: Cell<u64> = const { Cell::new(0) };
}

// SAFETY: every method forwards its arguments unchanged to the system's allocator; counting touches
// no memory but a thread-local that needs no initialisation.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.set(COUNT.get() + 1);
        // SAFETY: the caller keeps `alloc`'s contract, which is this one's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: `pointer` came from `System.alloc` with `layout`, by the caller's contract.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn allocations_of(work: impl FnOnce()) -> u64 {
    let before = COUNT.get();
    work();
    COUNT.get() - before
}

fn policies(origins: &[&str], dialect: Dialect) -> CorsPolicies {
    let spec = CorsPolicySpec {
        origins: origins.iter().map(|&text| text.to_owned()).collect(),
        request_headers: vec!["*".into()],
        credentials: true,
        dialect,
        ..CorsPolicySpec::default()
    };
    CorsPolicies::compile(vec![spec]).expect("a policy")
}

#[test]
fn counting_counts() {
    assert_eq!(allocations_of(|| drop(Box::new(1))), 1);
}

#[test]
fn a_decision_and_its_field_block_allocate_nothing() {
    let native = [
        "https://example.com",
        "https://*.example.com",
        "*://*.example.org:*",
        "http://localhost:3000",
        "http://localhost:3001",
        "capacitor://localhost",
    ];
    let native = policies(&native, Dialect::Native);
    let starred = policies(&["https://app-*.example.com"], Dialect::S3);
    let deep = format!("https://{}example.com", "a.".repeat(110));
    let long = format!("https://{}.example.com", "a".repeat(5000));
    let rows = [
        ("https://example.com", 1),
        ("https://a.b.example.com", 1),
        ("http://a.example.org:8080", 1),
        ("http://localhost:3001", 1),
        ("capacitor://localhost", 1),
        ("https://app-1.example.com", 2),
        (&deep, 1),
        ("https://example.net", 0),
        ("https://a..example.com", 0),
        ("null", 0),
        ("https://example.com, https://example.com", 0),
        (&long, 0),
        ("", 0),
    ];
    let mut out = Vec::with_capacity(1024);
    let mut memo = AnswerMemo::new(1);
    for (value, grants) in rows {
        let origin = RequestOrigin::One(value.as_bytes());
        let mut granted = 0;
        let allocations = allocations_of(|| {
            for policies in [&native, &starred] {
                out.clear();
                let answer = policies.decide_actual(origin, b"GET", Some(b"font/woff2"));
                answer.write(&mut out, origin);
                granted += u32::from(answer.granted());
            }
            for (route, policies) in (0..).zip([&native, &starred, &native, &native]) {
                let id = PoliciesId {
                    generation: 1,
                    route: route % 2,
                };
                memo.answer(id, policies, origin, b"GET", None, &mut out);
            }
        });
        assert_eq!((granted, allocations), (grants, 0), "{value:.60}");
    }
}

#[test]
fn a_preflight_allocates_nothing_whatever_it_asks() {
    let policies = policies(&["https://example.com"], Dialect::Native);
    let rows = [
        ("x-a,x-b".to_owned(), true),
        (vec!["x"; 256].join(","), true),
        (",".repeat(255), true),
        (",".repeat(16 * 1024), false),
        ("a,".repeat(4096), false),
        ("a".repeat(16 * 1024), false),
    ];
    let mut out = Vec::with_capacity(32 * 1024);
    for (requested, expected) in rows {
        let bytes = format!(
            "OPTIONS / HTTP/1.1\r\nHost: cdn.example\r\nOrigin: https://example.com\r\n\
             Access-Control-Request-Method: GET\r\n\
             Access-Control-Request-Headers: {requested}\r\n\r\n"
        );
        let mut head = RequestHead::new();
        let parsed = head.parse(bytes.as_bytes(), &HeadLimits::default());
        assert!(matches!(parsed, Ok(Parsed::Complete)), "{parsed:?}");
        let request = head.view(bytes.as_bytes());
        let mut granted = false;
        let allocations = allocations_of(|| {
            out.clear();
            let answer = policies.decide_preflight(request);
            answer.write(&mut out, request);
            granted = answer.granted();
        });
        let shown = requested.get(..20).unwrap_or(&requested);
        assert_eq!((granted, allocations), (expected, 0), "{shown}");
    }
}
