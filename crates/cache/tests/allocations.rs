//! What a hit costs in allocations: none, from the lookup to the decision what to send. Also with
//! variants, conditions, ranges and request directives.

#[path = "message/mod.rs"]
#[expect(dead_code, reason = "shared with the tables, which use all of it")]
mod message;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use corsair_cache::{
    CacheStatus, Found, KeySecret, Outcome, RequestDirectives, Store, decide_lookup,
    decide_precondition, decide_range, decide_reuse, hash_key, write_cache_status, write_key,
    write_validators,
};
use corsair_http1::BodyLength;

use message::{Sent, at, get, stored_for};

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

const SECRET: KeySecret = KeySecret([2; 16]);

/// All that the cache does for one hit; what was allocated meanwhile.
fn allocations_of_a_hit(store: &Store, request: &Sent) -> u64 {
    let (mut key, mut out) = (Vec::with_capacity(256), Vec::with_capacity(256));
    let request = request.view();
    let before = COUNT.get();
    let lookup = decide_lookup(request, &BodyLength::None);
    write_key(&mut key, "http", b"A", None, b"/a", None);
    let found = store.find(hash_key(&SECRET, &key), &key, request, at(1));
    let Found::Hit(stored) = found else {
        panic!("it is stored")
    };
    let reuse = decide_reuse(&stored, &RequestDirectives::parse(request), at(1));
    let precondition = decide_precondition(request, &stored);
    let range = decide_range(request, &stored);
    write_validators(&stored, &mut out);
    let ttl = Some(stored.freshness().remaining(at(1)));
    write_cache_status(
        &mut out,
        "edge-1",
        &CacheStatus {
            ttl,
            ..CacheStatus::new(Outcome::Hit)
        },
    );
    let body = stored
        .body()
        .slice(1..=2)
        .map(|segment| segment.len())
        .sum::<usize>();
    store.touch(&stored);
    let allocations = COUNT.get() - before;
    assert!(
        body == 2 && !out.is_empty(),
        "{lookup:?} {reuse:?} {precondition:?} {range:?}"
    );
    allocations
}

#[test]
fn a_hit_allocates_nothing() {
    let plain = Store::new(1 << 20, SECRET);
    let varied = Store::new(1 << 20, SECRET);
    let requests = [
        get(&[]),
        get(&[
            "Accept-Encoding: GZIP, br",
            "Cookie: a=b",
            "X-Custom: 1",
            "X-Custom: 2",
        ]),
        get(&[
            "If-None-Match: \"a\", W/\"x\"",
            "Range: bytes=1-2",
            "If-Range: \"x\"",
        ]),
        get(&["Cache-Control: max-age=5, min-fresh=1", "Authorization: x"]),
        get(&["If-Modified-Since: Sat, 21 Nov 2026 00:00:00 GMT"]),
        get(&[&format!("Accept-Encoding: {}", "x".repeat(1_000))]),
    ];
    let lines = &["Cache-Control: max-age=60", "ETag: \"x\""][..];
    let vary = [lines, &["Vary: Accept-Encoding, X-Custom, Cookie"]].concat();
    let hash = hash_key(&SECRET, b"http://a/a");
    for request in &requests {
        let request = request.view();
        plain.insert(
            hash,
            stored_for("http://a/a", request, lines, "body"),
            request,
        );
        varied.insert(
            hash,
            stored_for("http://a/a", request, &vary, "body"),
            request,
        );
    }
    for request in &requests {
        // The first may grow what grows once.
        allocations_of_a_hit(&plain, request);
        assert_eq!(allocations_of_a_hit(&plain, request), 0);
        assert_eq!(allocations_of_a_hit(&varied, request), 0);
    }
    let before = COUNT.get();
    drop(std::hint::black_box(Box::new(1)));
    assert_eq!(COUNT.get() - before, 1, "the counter counts");
}
