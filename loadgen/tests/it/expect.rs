//! Expectations against heads: each rule met and broken, overriding, and what cannot be written.

use corsair_http1::{HeadLimits, Parsed, ResponseHead};
use loadgen::expect::{Echo, ExpectSpec, StatusText};

/// `key=value` lines: status, headers, present, absent, once, body_bytes, body_sha256.
fn spec(text: &str) -> ExpectSpec {
    let mut spec = ExpectSpec::default();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (key, value) = line.split_once('=').expect("a test line is key=value");
        match key {
            "status" => spec.status = Some(StatusText::Text(value.to_owned())),
            "headers" => spec.headers.push(value.to_owned()),
            "present" => spec.present.push(value.to_owned()),
            "absent" => spec.absent.push(value.to_owned()),
            "once" => spec.once.push(value.to_owned()),
            "body_sha256" => spec.body_sha256 = Some(value.to_owned()),
            _ => panic!("{key} is no key"),
        }
    }
    spec
}

/// What `describe` says of the head, or "" when it is right.
fn verdict(spec: &ExpectSpec, echo: Echo, fields: &str) -> String {
    let expectation = spec.compile(echo).expect("the test's expectation compiles");
    let lines: String = fields
        .lines()
        .map(|line| format!("{}\r\n", line.trim()))
        .collect();
    let bytes = format!("HTTP/1.1 200 OK\r\n{lines}\r\n");
    let mut head = ResponseHead::new();
    let parsed = head.parse(bytes.as_bytes(), &HeadLimits::default());
    assert_eq!(parsed, Ok(Parsed::Complete), "{bytes}");
    match expectation.check_head(head.view(bytes.as_bytes()), b"https://a.example") {
        Ok(()) => String::new(),
        Err(mismatch) => {
            format!(
                "{}: {}",
                mismatch.kind.as_str(),
                expectation.describe(mismatch)
            )
        }
    }
}

#[test]
fn every_rule_is_met_and_broken() {
    let check = |rules: &str, fields: &str, expected: &str| {
        let got = verdict(&spec(rules), Echo::Expected, fields);
        assert_eq!(got, expected, "{rules} against {fields}");
    };
    check("", "", "");
    check("status=200", "", "");
    check("status=404,2xx", "", "");
    check("status=204,3xx", "", "status: status is not 204 or 3xx");
    check("headers=A: b", "a: b", "");
    check("headers=A: b", "A:   b  ", "");
    check("headers=A: b", "A: B", "header-value: A is not `b`");
    check("headers=A: b", "C: b", "header-missing: A is missing");
    check(
        "headers=A: b",
        "A: b\nA: b",
        "header-repeated: A is repeated",
    );
    check("headers=A:", "A:", "");
    check("headers=A: b\nheaders=a: c", "A: b\nX: y\nA: c", "");
    check(
        "headers=A: b\nheaders=a: c",
        "A: c\nA: b",
        "header-value: A is not `b`, `c`",
    );
    check(
        "headers=A: b\nheaders=a: c",
        "A: b",
        "header-missing: A is missing",
    );
    check("headers=A: {\"x\":1}", "A: {\"x\":1}", "");
    check("headers=O: {origin}", "O: https://a.example", "");
    check("headers=O: <{origin}>", "O: <https://a.example>", "");
    check(
        "headers=O: {origin}",
        "O: https://a.example.evil",
        "header-value: O is not `{origin}`",
    );
    check(
        "headers=O: <{origin}>",
        "O: <>",
        "header-value: O is not `<{origin}>`",
    );
    check(
        "headers=O: {origin}",
        "O: *",
        "header-value: O is not `{origin}`",
    );
    check("present=A", "A: b\nA: c", "");
    check("present=A", "", "header-missing: A is missing");
    check("present=A: c", "A: b\nA: c", "");
    check("present=A: d", "A: b\nA: c", "header-value: no A is `d`");
    check("present=A: d", "", "header-missing: A is missing");
    check("absent=A", "B: a", "");
    check("absent=A", "a: b", "header-forbidden: A must not be there");
    check("once=A", "A: b", "");
    check("once=A", "A: b\nA: b", "header-repeated: A is repeated");
    check("once=A", "", "header-missing: A is missing");
}

#[test]
fn an_echo_must_not_be_where_none_is_due() {
    let check = |rules: &str, fields: &str, expected: &str| {
        let got = verdict(&spec(rules), Echo::Forbidden, fields);
        assert_eq!(got, expected, "{rules} against {fields}");
    };
    let rules = "headers=O: {origin}\nheaders=Vary: Origin";
    check(rules, "Vary: Origin", "");
    check(
        rules,
        "Vary: Origin\nO: x",
        "header-forbidden: O must not be there",
    );
    check(rules, "", "header-missing: Vary is missing");
}

#[test]
fn one_specification_overrides_another_name_by_name() {
    let base = spec("status=200\nheaders=A: b\nheaders=B: c\nonce=C");
    let merged = base.overridden_by(&spec("absent=a\nheaders=C: d"));
    assert_eq!(verdict(&merged, Echo::Expected, "B: c\nC: d"), "");
    let wrong = "header-forbidden: a must not be there";
    assert_eq!(verdict(&merged, Echo::Expected, "A: b\nB: c\nC: d"), wrong);
    let other = merged.overridden_by(&spec("status=404"));
    assert!(verdict(&other, Echo::Expected, "B: c\nC: d").starts_with("status"));
}

#[test]
fn what_cannot_be_written_is_refused() {
    let check = |text: &str, expected: &str| {
        let error = spec(text)
            .compile(Echo::Expected)
            .map(drop)
            .unwrap_err()
            .to_string();
        assert!(error.contains(expected), "{text}: {error}");
    };
    check("status=20", "not a status");
    check("status=0xx", "not a status");
    check("status=ok", "not a status");
    check("status=", "not a status");
    check("headers=A", "not a field line");
    check("headers=A b: c", "not a field name");
    check("headers=A: b\u{7}", "not a field line");
    check("absent=", "not a field name");
    check("absent=A:", "not a field name");
    check("once=A b", "not a field name");
    check("body_sha256=12", "not a SHA-256");
    check(&format!("body_sha256={}", "zz".repeat(32)), "not a SHA-256");
}
