//! What building the head of a cached answer costs: the part that is made once for a pair of stored
//! response and rules, and the part that every answer has of its own.
//!
//! `edited` is the first: header operations, merged `Vary`, rendered lines. `per_request` is the second,
//! appended behind the remembered first: `Age`, `Cache-Status`, the CORS block with the echoed origin.

use std::hint::black_box;

use corsair_cache::{CacheStatus, Outcome, write_cache_status};
use corsair_http1::{FieldSection, KnownField, decimal, status_line};
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
            request: None,
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
    append_edited(&stored, &operations, &policies, &mut section, &mut out);
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

criterion_group!(benches, reply);
criterion_main!(benches);
