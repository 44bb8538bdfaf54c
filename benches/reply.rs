//! What building the head of a cached answer costs: the part that is made once for a pair of stored
//! response and rules, and the part that every answer has of its own.
//!
//! `edited` is the first: header operations, merged `Vary`, rendered lines. `per_request` is the second,
//! appended behind the remembered first: `Age`, `Cache-Status`, the CORS block with the echoed origin.
//!
//! `idle` is `edited` with 0, 1, 10 and 100 operations that have no effect on this response, by what
//! keeps them from it. On a hit the head is remembered (`tests/counters.py` counts a whole one), and
//! `hit` is what it takes to know which.

use std::hint::black_box;

use corsair_cache::{CacheStatus, Outcome, write_cache_status};
use corsair_http1::{
    FieldSection, HeadLimits, KnownField, Parsed, Request, RequestHead, decimal, status_line,
};
use corsair_rules::{
    CorsPolicies, CorsPolicySpec, EditContext, HeaderConditionSpec, HeaderOp, HeaderOpSpec,
    HeaderPolicy, RequestOrigin, merge_vary,
};
use criterion::{Criterion, criterion_group, criterion_main};

fn stored_fields() -> FieldSection {
    let mut fields = FieldSection::new();
    for (name, value) in [
        ("Content-Type", "font/woff2"),
        ("Cache-Control", "public, max-age=31536000, immutable"),
        ("ETag", "\"66d41234-7a02\""),
        ("Last-Modified", "Sun, 01 Nov 2026 00:00:00 GMT"),
        ("Date", "Sun, 22 Nov 2026 10:00:00 GMT"),
        ("Server", "bucket"),
        ("Vary", "Accept-Encoding"),
    ] {
        fields.push(name.as_bytes(), value.as_bytes());
    }
    fields
}

fn set(name: &str, value: &str) -> HeaderOpSpec {
    HeaderOpSpec {
        op: HeaderOp::Set,
        name: name.into(),
        value: Some(value.into()),
        pattern: None,
        when: HeaderConditionSpec::default(),
    }
}

fn append_edited(
    stored: &FieldSection,
    operations: &HeaderPolicy,
    policies: &CorsPolicies,
    request: Option<Request<'_>>,
    section: &mut FieldSection,
    out: &mut Vec<u8>,
) {
    status_line(out, 200);
    section.clone_from(stored);
    operations.apply(
        section,
        &EditContext {
            status: 200,
            method: b"GET",
            host: b"cdn.example.com",
            path: b"/fonts/inter.woff2",
            query: None,
            cache: Outcome::Hit.as_str(),
            request,
        },
    );
    let vary = policies.vary_contribution(stored.get(KnownField::ContentType));
    merge_vary(
        section.all(KnownField::Vary),
        vary.existing_origin(),
        vary.names(),
        out,
    );
    section.remove(KnownField::Vary);
    section.render(out);
}

fn append_per_request(policies: &CorsPolicies, origin: RequestOrigin<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(b"Age: ");
    decimal(out, 376);
    out.extend_from_slice(b"\r\nCache-Status: ");
    let status = CacheStatus {
        ttl: Some(31_535_624),
        ..CacheStatus::new(Outcome::Hit)
    };
    write_cache_status(out, "edge-1", &status);
    out.extend_from_slice(b"\r\n");
    policies
        .decide_actual(origin, b"GET", Some(b"font/woff2"))
        .write(out, origin);
    out.extend_from_slice(b"\r\n");
}

fn reply(criterion: &mut Criterion) {
    let stored = stored_fields();
    let operations =
        HeaderPolicy::compile(vec![set("X-Frame-Options", "DENY"), set("Server", "edge")])
            .expect("two operations that hold");
    let origins = (0..1000)
        .map(|n| format!("https://tenant-{n}.example.com"))
        .collect();
    let policies = CorsPolicies::compile(vec![CorsPolicySpec {
        origins,
        ..CorsPolicySpec::default()
    }])
    .expect("a thousand exact origins");
    let mut section = FieldSection::new();
    let mut out = Vec::with_capacity(4096);
    append_edited(
        &stored,
        &operations,
        &policies,
        None,
        &mut section,
        &mut out,
    );
    let head = String::from_utf8(out.clone()).expect("ASCII");
    assert!(head.contains("Vary: Accept-Encoding, Origin\r\n"), "{head}");
    assert!(
        head.contains("Server: edge\r\n") && !head.contains("bucket"),
        "{head}"
    );

    let mut group = criterion.benchmark_group("reply");
    group.bench_function("edited", |bench| {
        bench.iter(|| {
            out.clear();
            append_edited(
                black_box(&stored),
                &operations,
                &policies,
                None,
                &mut section,
                &mut out,
            );
            out.len()
        });
    });
    for (name, value, lines) in [
        ("per_request/granted", "https://tenant-777.example.com", 1),
        ("per_request/refused", "https://evil.example", 0),
    ] {
        let origin = RequestOrigin::One(value.as_bytes());
        out.clear();
        append_per_request(&policies, origin, &mut out);
        let head = String::from_utf8(out.clone()).expect("ASCII");
        assert_eq!(
            head.matches("Access-Control-Allow-Origin: ").count(),
            lines,
            "{head}"
        );
        group.bench_function(name, |bench| {
            bench.iter(|| {
                out.clear();
                append_per_request(&policies, black_box(origin), &mut out);
                out.len()
            });
        });
    }
    group.finish();
}

/// What keeps an operation from having an effect.
const IDLE: [&str; 9] = [
    "status",
    "path",
    "content type",
    "method",
    "request header",
    "absent, remove",
    "absent, remove, known",
    "absent, replace",
    "present, default",
];

/// The operation of this number that has no effect on the response of this bench.
fn idle(kind: &str, number: usize) -> HeaderOpSpec {
    let always = HeaderConditionSpec::default;
    let when = |when| HeaderOpSpec {
        when,
        ..set(&format!("X-Idle-{number}"), "1")
    };
    let bare = |op, name: String, value: Option<&str>, pattern: Option<&str>| HeaderOpSpec {
        op,
        name,
        value: value.map(str::to_owned),
        pattern: pattern.map(str::to_owned),
        when: always(),
    };
    match kind {
        "status" => when(HeaderConditionSpec {
            status: vec!["5xx".into()],
            ..always()
        }),
        "path" => when(HeaderConditionSpec {
            path: vec![format!("/pages-{number}/**")],
            ..always()
        }),
        "content type" => when(HeaderConditionSpec {
            content_type: vec!["text/html".into()],
            ..always()
        }),
        "method" => when(HeaderConditionSpec {
            methods: vec!["POST".into()],
            ..always()
        }),
        "request header" => when(HeaderConditionSpec {
            request_header: vec![format!("X-Flag-{number}: on")],
            ..always()
        }),
        "absent, remove" => bare(HeaderOp::Remove, format!("X-Idle-{number}"), None, None),
        "absent, remove, known" => bare(HeaderOp::Remove, "Set-Cookie".into(), None, None),
        "absent, replace" => {
            let name = format!("X-Idle-{number}");
            bare(HeaderOp::Replace, name, Some("1"), Some("0"))
        }
        "present, default" => bare(HeaderOp::Default, "Server".into(), Some("edge"), None),
        other => unreachable!("a kind of this bench: {other}"),
    }
}

fn idle_operations(criterion: &mut Criterion) {
    const REQUEST: &[u8] = b"GET /fonts/inter.woff2 HTTP/1.1\r\nHost: cdn.example.com\r\n\
        Origin: https://tenant-777.example.com\r\nAccept: */*\r\nAccept-Encoding: gzip, br\r\n\
        User-Agent: bench\r\nX-Trace-Id: 4bf92f3577b34da6\r\n\r\n";
    let mut head = RequestHead::new();
    let parsed = head.parse(REQUEST, &HeadLimits::default());
    assert!(matches!(parsed, Ok(Parsed::Complete)), "{parsed:?}");
    let request = Some(head.view(REQUEST));
    let stored = stored_fields();
    let policies = CorsPolicies::compile(vec![CorsPolicySpec {
        origins: vec!["https://tenant-777.example.com".into()],
        ..CorsPolicySpec::default()
    }])
    .expect("one origin");
    let (mut section, mut out) = (FieldSection::new(), Vec::with_capacity(4096));
    let mut edited = |operations: &HeaderPolicy| {
        out.clear();
        append_edited(
            black_box(&stored),
            operations,
            &policies,
            request,
            &mut section,
            &mut out,
        );
        out.len()
    };
    let unedited = edited(&HeaderPolicy::none());
    let mut group = criterion.benchmark_group("reply/idle");
    group.bench_function("none", |bench| {
        bench.iter(|| edited(&HeaderPolicy::none()));
    });
    for kind in IDLE {
        for count in [1, 10, 100] {
            let specs = (0..count).map(|number| idle(kind, number)).collect();
            let operations = HeaderPolicy::compile(specs).expect("operations that hold");
            assert_eq!(edited(&operations), unedited, "{kind} has no effect");
            group.bench_function(format!("{kind}/{count}"), |bench| {
                bench.iter(|| edited(&operations));
            });
        }
    }
    // On a hit: which remembered head is this request's. For all other kinds that is one flag.
    for count in [0, 1, 10, 100] {
        let specs = (0..count).map(|number| idle("request header", number));
        let operations = HeaderPolicy::compile(specs.collect()).expect("operations that hold");
        let request = head.view(REQUEST);
        assert_eq!(operations.variant(request), Some(0), "the plain head");
        group.bench_function(format!("hit, request header/{count}"), |bench| {
            bench.iter(|| operations.variant(black_box(request)));
        });
    }
    group.finish();
}

criterion_group!(benches, reply, idle_operations);
criterion_main!(benches);
