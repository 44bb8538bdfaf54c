//! What CORS costs a cached answer, and what a hostile preflight costs.
//!
//! `hit` is all that is done for CORS and two header operations on one hit of a policy with 1,000
//! patterns: read `Origin`, match it, write the field block behind a head whose operations were
//! applied when it was made; the rows `again` remember the origin, as a worker does. `preflight` rows decide and write a whole preflight answer; the hostile
//! ones hold 16 KiB of commas, and as many names as are allowed. No row allocates:
//! `crates/rules/tests/allocations.rs` counts.

use std::hint::black_box;

use corsair_http1::{HeadLimits, Parsed, RequestHead};
use corsair_rules::{AnswerMemo, CorsPolicies, CorsPolicySpec, PoliciesId, RequestOrigin};
use criterion::{Criterion, criterion_group, criterion_main};

/// Half exact origins, half `*.` ones.
fn policies(credentials: bool) -> CorsPolicies {
    let origins = (0..1000)
        .map(|n| match n % 2 {
            0 => format!("https://tenant-{n}.example.com"),
            _ => format!("https://*.tenant-{n}.example.com"),
        })
        .collect();
    let spec = CorsPolicySpec {
        origins,
        credentials,
        request_headers: vec!["*".into()],
        ..CorsPolicySpec::default()
    };
    CorsPolicies::compile(vec![spec]).expect("a policy")
}

struct Head {
    bytes: Vec<u8>,
    head: RequestHead,
}

fn head(method: &str, lines: &[String]) -> Head {
    let fields: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
    let bytes = format!("{method} /a HTTP/1.1\r\nHost: cdn.example\r\n{fields}\r\n").into_bytes();
    let mut head = RequestHead::new();
    let parsed = head.parse(&bytes, &HeadLimits::default());
    assert!(matches!(parsed, Ok(Parsed::Complete)), "{parsed:?}");
    Head { bytes, head }
}

fn hit(criterion: &mut Criterion) {
    let policies = policies(true);
    let made_once = b"HTTP/1.1 200 OK\r\nX-Frame-Options: DENY\r\nServer: edge\r\n";
    let mut group = criterion.benchmark_group("cors/hit");
    let rows = [
        ("granted, exact", Some("https://tenant-500.example.com"), 1),
        (
            "granted, suffix",
            Some("https://eu-1.tenant-501.example.com"),
            1,
        ),
        ("refused", Some("https://eu-1.tenanq-501.example.com"), 0),
        ("no origin", None, 0),
    ];
    for (name, origin, granted) in rows {
        let lines: Vec<String> = origin.iter().map(|own| format!("Origin: {own}")).collect();
        let request = head("GET", &lines);
        let decide = |out: &mut Vec<u8>| {
            out.clear();
            out.extend_from_slice(black_box(made_once));
            let origin = RequestOrigin::of(black_box(request.head.view(&request.bytes)));
            let decision = policies.decide_actual(origin, b"GET", Some(b"font/woff2"));
            decision.write(out, origin);
            out.len()
        };
        let mut out = Vec::with_capacity(4096);
        let expected = decide(&mut out);
        let lines = out
            .windows(28)
            .filter(|w| *w == b"Access-Control-Allow-Origin:");
        assert_eq!(lines.count(), granted, "{name}");
        group.bench_function(name, |bencher| {
            bencher.iter(|| decide(&mut out));
        });
        let id = PoliciesId {
            generation: 1,
            route: 0,
        };
        let mut memo = AnswerMemo::new(black_box(1));
        let mut answer = |out: &mut Vec<u8>| {
            out.clear();
            out.extend_from_slice(black_box(made_once));
            let origin = RequestOrigin::of(black_box(request.head.view(&request.bytes)));
            memo.answer(id, &policies, origin, b"GET", Some(b"font/woff2"), out);
            out.len()
        };
        // Twice, and it is remembered.
        assert_eq!(
            [answer(&mut out), answer(&mut out)],
            [expected; 2],
            "{name}"
        );
        group.bench_function(format!("{name}, again"), |bencher| {
            bencher.iter(|| answer(&mut out));
        });
    }
    group.finish();
}

/// The memo alone: how long it takes to know what was decided for an origin, and to write its lines;
/// for a refused one, who gets none, to know it alone.
fn again(criterion: &mut Criterion) {
    let policies = policies(false);
    let mut group = criterion.benchmark_group("cors/again");
    let line = |origin: &str| "Access-Control-Allow-Origin: \r\n".len() + origin.len();
    for (name, origin, written) in [
        (
            "exact",
            "https://tenant-500.example.com",
            line as fn(&str) -> usize,
        ),
        ("suffix", "https://eu-1.tenant-501.example.com", line),
        ("refused, exact", "https://tenanq-500.example.com", |_| 0),
        (
            "refused, suffix",
            "https://eu-1.tenanq-501.example.com",
            |_| 0,
        ),
    ] {
        let id = PoliciesId {
            generation: 1,
            route: 0,
        };
        let mut memo = AnswerMemo::new(black_box(1));
        let mut out = Vec::with_capacity(4096);
        let mut answer = |origin: &[u8]| {
            out.clear();
            let origin = RequestOrigin::One(origin);
            memo.answer(id, &policies, origin, b"GET", None, &mut out);
            out.len()
        };
        assert_eq!(
            [0; 2].map(|_| answer(origin.as_bytes())),
            [written(origin); 2],
            "{name}"
        );
        group.bench_function(name, |bencher| {
            bencher.iter(|| answer(black_box(origin.as_bytes())));
        });
    }
    group.finish();
}

fn preflight(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("cors/preflight");
    let rows = [
        ("two names", "content-type,x-tenant".to_owned(), true),
        ("255 commas", ",".repeat(255), true),
        ("256 names", vec!["x"; 256].join(","), true),
        ("16 KiB of commas", ",".repeat(16 * 1024), false),
        ("8 KiB of names", "a,".repeat(4096), false),
    ];
    for (name, requested, granted) in rows {
        let policies = policies(true);
        let lines = [
            "Origin: https://tenant-500.example.com".to_owned(),
            "Access-Control-Request-Method: GET".to_owned(),
            format!("Access-Control-Request-Headers: {requested}"),
        ];
        let request = head("OPTIONS", &lines);
        let mut out = Vec::with_capacity(32 * 1024);
        let decision = policies.decide_preflight(request.head.view(&request.bytes));
        assert_eq!(decision.granted(), granted, "{name}");
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                out.clear();
                let request = black_box(request.head.view(&request.bytes));
                policies.decide_preflight(request).write(&mut out, request);
                out.len()
            });
        });
    }
    group.finish();
}

criterion_group!(benches, hit, again, preflight);
criterion_main!(benches);
