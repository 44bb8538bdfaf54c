//! RFC 9111 §4, §4.3.2, §4.4, §5.2.1.5: what the request alone decides.

use corsair_cache::{Invalidation, Lookup, PassReason, decide_invalidation, decide_lookup};
use corsair_http1::BodyLength;

use crate::message::Sent;

fn check(method: &str, lines: &[&str], expected: Lookup) {
    check_with_body(method, lines, &BodyLength::None, expected);
}

fn check_with_body(method: &str, lines: &[&str], body: &BodyLength, expected: Lookup) {
    let found = decide_lookup(Sent::new(method, lines).view(), body);
    assert_eq!(found, expected, "{method} {lines:?} {body:?}");
}

#[test]
fn methods() {
    check("GET", &[], Lookup::Cache);
    check("HEAD", &[], Lookup::Cache);
    for method in [
        "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "get", "FOO", "QUERY",
    ] {
        check(method, &[], Lookup::Pass(PassReason::Method));
    }
}

#[test]
fn bodies() {
    let pass = Lookup::Pass(PassReason::RequestBody);
    check_with_body("GET", &[], &BodyLength::Fixed(0), Lookup::Cache);
    check_with_body("GET", &[], &BodyLength::Fixed(1), pass);
    check_with_body("GET", &[], &BodyLength::Chunked, pass);
    check_with_body("HEAD", &[], &BodyLength::UntilClose, pass);
}

#[test]
fn fields() {
    let precondition = Lookup::Pass(PassReason::UpstreamPrecondition);
    check("GET", &["If-Match: \"x\""], precondition);
    check("GET", &["If-Match: *", "Range: bytes=0-1"], precondition);
    check(
        "GET",
        &["If-Unmodified-Since: Sun, 22 Nov 2026 00:00:00 GMT"],
        precondition,
    );
    check(
        "GET",
        &["If-None-Match: \"x\"", "If-Range: \"x\""],
        Lookup::Cache,
    );
    check(
        "GET",
        &["Upgrade: websocket"],
        Lookup::Pass(PassReason::Upgrade),
    );
    check(
        "GET",
        &["Upgrade: h2c, WebSocket/13"],
        Lookup::Pass(PassReason::Upgrade),
    );
    check("GET", &["Upgrade: h2c"], Lookup::Cache);
    check(
        "GET",
        &["Authorization: Basic x"],
        Lookup::Alone(PassReason::Authorization),
    );
    check("GET", &["Cookie: a=b"], Lookup::Cache);
    check(
        "GET",
        &["Cache-Control: no-store"],
        Lookup::Alone(PassReason::RequestNoStore),
    );
    check("GET", &["Cache-Control: no-cache"], Lookup::Cache);
    check("GET", &["Cache-Control: only-if-cached"], Lookup::Cache);
}

#[test]
fn invalidation() {
    for method in ["POST", "PUT", "DELETE", "PATCH", "FOO", "get"] {
        for (status, expected) in [
            (200, Invalidation::TargetUri),
            (201, Invalidation::TargetUri),
            (204, Invalidation::TargetUri),
            (303, Invalidation::TargetUri),
            (399, Invalidation::TargetUri),
            (400, Invalidation::Keep),
            (404, Invalidation::Keep),
            (500, Invalidation::Keep),
            (101, Invalidation::Keep),
        ] {
            assert_eq!(
                decide_invalidation(method.as_bytes(), status),
                expected,
                "{method}"
            );
        }
    }
    for method in ["GET", "HEAD", "OPTIONS", "TRACE"] {
        assert_eq!(
            decide_invalidation(method.as_bytes(), 200),
            Invalidation::Keep
        );
    }
}
