//! Answers read from bytes: framing, errors, expectations, learned heads; at every split of every
//! input the same result.

#![expect(
    clippy::unwrap_used,
    reason = "a step of a test that fails is a failed test"
)]

use corsair_http1::Persistence;
use loadgen::exchange::{Answer, AnswerReader, Asked, Judge, ProtocolError, Step};
use loadgen::expect::{BodyContent, Echo, ExpectSpec, Expectation, MismatchKind};
use loadgen::learned::{CacheOutcome, VolatileFields};
use proptest::prelude::*;

fn judge(spec: &ExpectSpec) -> Judge {
    Judge::new(
        spec.compile(Echo::Expected).unwrap(),
        VolatileFields::default(),
    )
}

/// Gives `pieces` one after the other and then the end; all answers, or the first error.
fn read(
    pieces: &[&[u8]],
    method: &str,
    origin: &str,
    judge: &mut Judge,
) -> Result<Vec<Answer>, ProtocolError> {
    let asked = Asked {
        method: method.as_bytes(),
        origin: origin.as_bytes(),
    };
    let mut reader = AnswerReader::new();
    let mut answers = Vec::new();
    let mut unread: Vec<u8> = Vec::new();
    for piece in pieces {
        unread.extend_from_slice(piece);
        loop {
            match reader.step(&unread, asked, judge)? {
                Step::Incomplete { consumed } => {
                    unread.drain(..consumed);
                    break;
                }
                Step::Answered { consumed, answer } => {
                    unread.drain(..consumed);
                    answers.push(answer);
                    if unread.is_empty() {
                        break;
                    }
                }
            }
        }
    }
    answers.extend(reader.end(&unread, judge)?);
    Ok(answers)
}

/// A short text for comparing: `200/5/keep-alive` for each answer, or the error.
fn outcome(input: &[u8], method: &str) -> String {
    let mut judge = judge(&ExpectSpec::default());
    let show = |result: Result<Vec<Answer>, ProtocolError>| match result {
        Err(error) => format!("{error:?}"),
        Ok(answers) => answers
            .iter()
            .map(|answer| {
                let persistence = match answer.persistence {
                    Persistence::KeepAlive => "keep",
                    Persistence::Close => "close",
                };
                format!("{}/{}/{persistence}", answer.status, answer.body_bytes)
            })
            .collect::<Vec<_>>()
            .join(" "),
    };
    let whole = show(read(&[input], method, "", &mut judge));
    for at in 0..input.len() {
        let (first, second) = input.split_at(at);
        // With the heads learned by the reading before, and with a fresh judge.
        let split = show(read(&[first, second], method, "", &mut judge));
        assert_eq!(split, whole, "split at {at}");
    }
    let bytes: Vec<&[u8]> = input.chunks(1).collect();
    assert_eq!(
        show(read(&bytes, method, "", &mut judge)),
        whole,
        "byte by byte"
    );
    whole
}

fn check_framing(method: &str, input: &str, expected: &str) {
    let got = outcome(input.as_bytes(), method);
    assert!(got.contains(expected), "{method} {input:?}: {got}");
}

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
const CHUNKED: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";

#[test]
fn answers_are_framed() {
    let check = check_framing;
    let (ok, chunked) = (OK, CHUNKED);
    check("GET", ok, "200/5/keep");
    check("GET", &ok.repeat(3), "200/5/keep 200/5/keep 200/5/keep");
    check(
        "HEAD",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
        "200/0/keep",
    );
    check("GET", "HTTP/1.1 204 No Content\r\n\r\n", "204/0/keep");
    check(
        "GET",
        "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n",
        "304/0/keep",
    );
    check(
        "GET",
        "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
        "200/0/close",
    );
    check(
        "GET",
        "HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx",
        "200/1/close",
    );
    check(
        "GET",
        "HTTP/1.1 200 OK\r\n\r\nuntil the end",
        "200/13/close",
    );
    check(
        "GET",
        &format!("{chunked}5\r\nhello\r\n1\r\n!\r\n0\r\n\r\n{ok}"),
        "200/6/keep 200/5/keep",
    );
    check(
        "GET",
        &format!("HTTP/1.1 100 Continue\r\n\r\n{ok}"),
        "200/5/keep",
    );
    check(
        "GET",
        &format!("{}{ok}", "HTTP/1.1 103 Early Hints\r\n\r\n".repeat(8)),
        "200/5/keep",
    );
}

#[test]
fn wrong_framing_is_an_error_and_not_a_hang() {
    let check = check_framing;
    let (ok, chunked) = (OK, CHUNKED);
    check(
        "GET",
        &format!("{}{ok}", "HTTP/1.1 103 Early Hints\r\n\r\n".repeat(9)),
        "Interim(103)",
    );
    check(
        "GET",
        "HTTP/1.1 101 Switching Protocols\r\n\r\n",
        "Interim(101)",
    );
    check("GET", &ok[..ok.len() - 1], "Truncated");
    check("GET", "HTTP/1.1 200", "Truncated");
    check("GET", "HTTP/1.1 100 Continue\r\n\r\n", "Truncated");
    check("GET", &format!("{chunked}5\r\nhel"), "Truncated");
    check("GET", &format!("{chunked}x\r\nhel"), "Chunk(");
    check("GET", &format!("{chunked}5\nhello\n0\n\n"), "Chunk(");
    check("GET", "HTTP/1.1 200 OK\nContent-Length: 0\n\n", "Head(");
    check(
        "GET",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        "Framing(",
    );
    check(
        "GET",
        "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
        "Framing(",
    );
    check(
        "GET",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        "Framing(",
    );
    check("HEAD", ok, "Head(");
    check("GET", "SSH-2.0-OpenSSH\r\n\r\n", "Head(");
}

/// A head with everything that may differ between right answers.
fn echoing(date: &str, age: &str, cache: &str, origin: &str, extra: &str) -> String {
    format!(
        "HTTP/1.1 200 OK\r\nDate: {date}\r\nAge: {age}\r\nCache-Status: edge; {cache}\r\n\
         Access-Control-Allow-Origin: {origin}\r\nVary: Origin\r\n{extra}\
         Content-Length: 2\r\n\r\nok"
    )
}

const MONDAY: &str = "Mon, 23 Nov 2026 10:00:00 GMT";
const TUESDAY: &str = "Tue, 24 Nov 2026 11:11:11 GMT";

fn cors_spec() -> ExpectSpec {
    let lines = ["Access-Control-Allow-Origin: {origin}", "Vary: Origin"];
    ExpectSpec {
        headers: lines.map(str::to_owned).to_vec(),
        ..ExpectSpec::default()
    }
}

#[test]
fn caches_say_hit_in_several_words() {
    let check = |line: &str, expected: CacheOutcome| {
        let answer = format!("HTTP/1.1 200 OK\r\n{line}\r\nContent-Length: 0\r\n\r\n");
        let mut judge = judge(&ExpectSpec::default());
        let answers = read(&[answer.as_bytes()], "GET", "", &mut judge).unwrap();
        assert_eq!(answers[0].cache, expected, "{line}");
    };
    use CacheOutcome::{Hit, Miss, Unsaid};
    check("Cache-Status: far; hit, near; fwd=stale", Miss);
    check("Cache-Status: far; fwd=miss, near; hit; ttl=3", Hit);
    check("Cache-Status: near; hit\r\nX-Cache: MISS", Hit);
    check("X-Cache: HIT from proxy.example:3128", Hit);
    check("X-Cache: hit-fresh", Hit);
    check("X-Cache: MISS", Miss);
    check("X-Cache: MISS, HIT", Hit);
    check("X-Cache: HIT\r\nX-Cache: MISS", Miss);
    check("X-Cache-Status: STALE", Hit);
    check("X-Cache-Status: UPDATING", Hit);
    check("X-Cache-Status: REVALIDATED", Miss);
    check("X-Cache-Status: EXPIRED", Miss);
    check("X-Cache-Status: BYPASS", Miss);
    check("X-Cache-Lookup: HIT", Unsaid);
    check("X-Other: HIT", Unsaid);
}

#[test]
fn every_answer_is_judged_also_after_its_head_is_known() {
    let mut judge = judge(&cors_spec());
    let mut check = |origin: &str, answer: &str, expected: Option<MismatchKind>| {
        let answers = read(&[answer.as_bytes()], "GET", origin, &mut judge).unwrap();
        assert_eq!(answers.len(), 1, "{answer}");
        let mismatch = answers[0].mismatch.map(|mismatch| mismatch.kind);
        assert_eq!(mismatch, expected, "{answer} for {origin}");
        assert_eq!(
            answers[0].sample == answer.as_bytes(),
            expected.is_some(),
            "{answer}"
        );
        answers[0].cache
    };
    let (a, b) = ("https://a.example", "https://longer.example");
    for _ in 0..3 {
        let hit = check(a, &echoing(MONDAY, "1", "hit; ttl=59", a, ""), None);
        assert_eq!(hit, CacheOutcome::Hit);
        check(b, &echoing(TUESDAY, "9", "hit; ttl=00", b, ""), None);
        let miss = check(a, &echoing(MONDAY, "1", "fwd=uri-miss", a, ""), None);
        assert_eq!(miss, CacheOutcome::Miss);
        let value = Some(MismatchKind::HeaderValue);
        check(a, &echoing(MONDAY, "1", "hit; ttl=59", b, ""), value);
        check(b, &echoing(MONDAY, "1", "hit; ttl=59", "*", ""), value);
        let twice = "Access-Control-Allow-Origin: *\r\n";
        let repeated = Some(MismatchKind::HeaderRepeated);
        check(a, &echoing(MONDAY, "1", "hit; ttl=59", a, twice), repeated);
        let other_vary = echoing(MONDAY, "1", "hit; ttl=59", a, "").replace("Vary: O", "Vary: o");
        check(a, &other_vary, value);
        check(
            a,
            &other_vary.replace("Vary: origin\r\n", ""),
            Some(MismatchKind::HeaderMissing),
        );
    }
}

#[test]
fn bodies_are_compared() {
    let check = |expectation: &Expectation, method: &str, body: &str, expected| {
        let mut judge = Judge::new(expectation.clone(), VolatileFields::default());
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
        let body = if method == "HEAD" { "" } else { body };
        let answer = format!("{head}{body}");
        for _ in 0..2 {
            let (first, second) = answer.split_at(answer.len() - body.len() / 2);
            let pieces = [first.as_bytes(), second.as_bytes()];
            let answers = read(&pieces, method, "", &mut judge).unwrap();
            let mismatch = answers[0].mismatch.map(|mismatch| mismatch.kind);
            assert_eq!(mismatch, expected, "{method} {body} of {expectation:?}");
        }
        // A judge that has seen a right body still sees a wrong one, and the other way round.
        read(
            &[b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"],
            "GET",
            "",
            &mut judge,
        )
        .unwrap();
        let answers = read(&[answer.as_bytes()], method, "", &mut judge).unwrap();
        assert_eq!(
            answers[0].mismatch.map(|m| m.kind),
            expected,
            "{method} {body} again"
        );
    };
    let bytes = ExpectSpec {
        body_bytes: Some(5),
        ..ExpectSpec::default()
    };
    let bytes = bytes.compile(Echo::Expected).unwrap();
    // printf hello | sha256sum
    let digest = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
    let digest = ExpectSpec {
        body_sha256: Some(digest.to_owned()),
        ..ExpectSpec::default()
    };
    let digest = digest.compile(Echo::Expected).unwrap();
    let mut exact = Expectation::default();
    exact.body.content = Some(BodyContent::Exact((*b"hello").into()));
    let (length, content) = (
        Some(MismatchKind::BodyLength),
        Some(MismatchKind::BodyContent),
    );
    for (expectation, short, other) in [
        (&bytes, length, None),
        (&digest, content, content),
        (&exact, content, content),
    ] {
        check(expectation, "GET", "hello", None);
        check(expectation, "GET", "hell", short);
        check(expectation, "GET", "jello", other);
        check(expectation, "HEAD", "hell", None);
    }
    check(&bytes, "GET", "hello!", length);
    check(&exact, "GET", "hello!", content);
}

proptest! {
    /// A judge that has learned says of any answer what one that has learned nothing says.
    #[test]
    fn learning_changes_no_verdict(
        answers in prop::collection::vec(
            (0..3_usize, 0..3_usize, 0..4_usize, 0..3_usize, 0..3_usize, 0..3_usize), 1..40)
    ) {
        let origins = ["https://a.example", "https://b.example", "null"];
        let mut learned = judge(&cors_spec());
        for (asked, sent, cache, age, extra, date) in answers {
            let cache = ["hit; ttl=5", "hit; ttl=60", "fwd=stale", "hit; fwd=stale"][cache];
            let extra = ["", "X: 1\r\n", "Age: 3\r\n"][extra];
            let (date, age) = ([MONDAY, TUESDAY, "x"][date], ["0", "10", "x\ty"][age]);
            let text = echoing(date, age, cache, origins[sent], extra);
            let mut fresh = judge(&cors_spec());
            let by_fresh = read(&[text.as_bytes()], "GET", origins[asked], &mut fresh);
            let by_learned = read(&[text.as_bytes()], "GET", origins[asked], &mut learned);
            prop_assert_eq!(by_fresh, by_learned);
        }
    }

    /// Nothing a server sends makes the reader panic or take more than it was given.
    #[test]
    fn any_bytes_are_taken_or_refused(
        input in prop::collection::vec(any::<u8>(), 0..300),
        at in 0..40_usize,
    ) {
        let head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n";
        let mut bytes = head[..at.min(head.len())].to_vec();
        bytes.extend_from_slice(&input);
        let mut judge = judge(&ExpectSpec::default());
        let whole = read(&[&bytes], "GET", "", &mut judge);
        let split: Vec<&[u8]> = bytes.chunks(7).collect();
        prop_assert_eq!(whole, read(&split, "GET", "", &mut judge));
    }
}
