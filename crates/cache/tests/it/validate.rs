//! RFC 9110 §8.8, §13.1–§13.2.2, RFC 9111 §4.3.1–§4.3.2: validators and conditions.

use corsair_cache::Precondition::{NotModified, Proceed};
use corsair_cache::{EntityTag, Precondition, Strength, decide_precondition, write_validators};

use crate::message::{fill_head, get, stored};

const FRESH: &str = "Cache-Control: max-age=60";
const MODIFIED: &str = "Last-Modified: Sat, 21 Nov 2026 00:00:00 GMT";

fn check(response: &[&str], request: &[&str], expected: Precondition) {
    let mut lines = vec![FRESH];
    lines.extend(response);
    let found = decide_precondition(get(request).view(), &stored(&lines, "body"));
    assert_eq!(found, expected, "{response:?} {request:?}");
}

#[test]
fn entity_tags() {
    let parse = |text: &'static str| EntityTag::parse(text.as_bytes());
    let tag = |opaque: &'static str, strength| {
        Some(EntityTag {
            opaque: opaque.as_bytes(),
            strength,
        })
    };
    assert_eq!(parse("\"x\""), tag("x", Strength::Strong));
    assert_eq!(parse("W/\"x\""), tag("x", Strength::Weak));
    assert_eq!(parse("\"\""), tag("", Strength::Strong));
    assert_eq!(parse("\"a,b\\\""), tag("a,b\\", Strength::Strong));
    assert_eq!(parse("\"é\""), tag("é", Strength::Strong));
    for bad in [
        "", "x", "\"x", "x\"", "w/\"x\"", "W/x", "W/ \"x\"", "\"a b\"", "\"x\" ", "\"x\"y",
    ] {
        assert_eq!(parse(bad), None, "{bad:?}");
    }
    let compare = |a: &'static str, b: &'static str| {
        let (a, b) = (parse(a).unwrap(), parse(b).unwrap());
        (a.is_strongly(b), a.is_weakly(b))
    };
    // The table of RFC 9110 §8.8.3.2.
    assert_eq!(compare("W/\"1\"", "W/\"1\""), (false, true));
    assert_eq!(compare("W/\"1\"", "W/\"2\""), (false, false));
    assert_eq!(compare("W/\"1\"", "\"1\""), (false, true));
    assert_eq!(compare("\"1\"", "\"1\""), (true, true));
}

#[test]
fn if_none_match() {
    let tag = &["ETag: \"x\""][..];
    check(tag, &[], Proceed);
    for met in [
        "\"x\"",
        "W/\"x\"",
        "\"a\", \"x\"",
        "\"a\",\"x\",\"b\"",
        " , \"x\"",
        "*",
        "\"a,b\", \"x\"",
        "\"x\", garbage",
    ] {
        check(tag, &[&format!("If-None-Match: {met}")], NotModified);
    }
    for unmet in [
        "\"y\"",
        "x",
        "",
        "\"x",
        "\"X\"",
        "garbage, \"x\"",
        "\"y\"\"x\"",
        "*, \"y\"",
        "\"*\"",
        "W/x",
    ] {
        check(tag, &[&format!("If-None-Match: {unmet}")], Proceed);
    }
    check(
        tag,
        &["If-None-Match: \"a\"", "If-None-Match: \"x\""],
        NotModified,
    );
    check(&["ETag: W/\"x\""], &["If-None-Match: \"x\""], NotModified);
    check(&[], &["If-None-Match: \"x\""], Proceed);
    check(&[], &["If-None-Match: *"], NotModified);
    check(&["ETag: x"], &["If-None-Match: x"], Proceed);
    check(
        &["ETag: \"x\"", "ETag: \"y\""],
        &["If-None-Match: \"x\""],
        Proceed,
    );
}

#[test]
fn if_modified_since_counts_only_alone() {
    let since = |date: &str| format!("If-Modified-Since: {date}");
    let (same, before, after) = (
        since("Sat, 21 Nov 2026 00:00:00 GMT"),
        since("Fri, 20 Nov 2026 23:59:59 GMT"),
        since("Sun, 22 Nov 2026 00:00:00 GMT"),
    );
    check(&[MODIFIED], &[&same], NotModified);
    check(&[MODIFIED], &[&after], NotModified);
    check(&[MODIFIED], &[&before], Proceed);
    check(
        &[MODIFIED],
        &[&since("Saturday, 21-Nov-26 00:00:00 GMT")],
        NotModified,
    );
    check(&[MODIFIED], &[&since("never")], Proceed);
    check(&[MODIFIED], &[&same, &same], Proceed);
    // If-None-Match decides alone when it is there (RFC 9110 §13.2.2).
    check(
        &[MODIFIED, "ETag: \"x\""],
        &[&same, "If-None-Match: \"y\""],
        Proceed,
    );
    check(
        &[MODIFIED, "ETag: \"x\""],
        &[&before, "If-None-Match: \"x\""],
        NotModified,
    );
    check(&[MODIFIED], &[&same, "If-None-Match: \"y\""], Proceed);
    // Without Last-Modified the Date stands in (RFC 9111 §4.3.2).
    check(&[], &[&after], NotModified);
    check(&[], &[&same], Proceed);
    check(
        &["Date: Sat, 21 Nov 2026 00:00:00 GMT"],
        &[&same],
        NotModified,
    );
}

#[test]
fn only_a_stored_200_is_evaluated() {
    let request = get(&["If-None-Match: \"x\""]);
    for (status, expected) in [
        (200, NotModified),
        (404, Proceed),
        (301, Proceed),
        (203, Proceed),
    ] {
        let head = fill_head("k", get(&[]).view(), status, &[FRESH, "ETag: \"x\""]);
        assert_eq!(
            decide_precondition(request.view(), &head),
            expected,
            "{status}"
        );
    }
}

#[test]
fn validators_for_the_upstream() {
    let check = |lines: &[&str], expected: &str| {
        let mut all = vec![FRESH];
        all.extend(lines);
        let mut out = b"X: y\r\n".to_vec();
        let any = write_validators(&stored(&all, ""), &mut out);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            format!("X: y\r\n{expected}"),
            "{lines:?}"
        );
        assert_eq!(any, !expected.is_empty());
    };
    let since = "If-Modified-Since: Sat, 21 Nov 2026 00:00:00 GMT\r\n";
    check(&[], "");
    check(&["ETag: \"x\""], "If-None-Match: \"x\"\r\n");
    check(
        &["ETag: W/\"x\"", MODIFIED],
        &format!("If-None-Match: W/\"x\"\r\n{since}"),
    );
    check(&[MODIFIED], since);
    check(&["ETag: x", "Last-Modified: soon"], "");
}
