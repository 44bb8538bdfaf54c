//! Which heads are accepted, which are refused, why and where.

use corsair_http1::HeadErrorKind::{self, *};
use corsair_http1::{
    HEADER_LINES_CAP, HeadLimits, KnownField, KnownSet, Parsed, RequestHead, ResponseHead,
    TARGET_BYTES_MAX, Version,
};

use super::{with_request, with_response};

type Refusal = (HeadErrorKind, usize, u16);
type Answer = Result<Parsed, (HeadErrorKind, usize)>;

fn check_request(input: &[u8], limits: &HeadLimits, expected: Result<Parsed, Refusal>) {
    let found = RequestHead::new()
        .parse(input, limits)
        .map_err(|error| (error.kind, error.offset, error.kind.status()));
    assert_eq!(
        found,
        expected,
        "{}",
        input[..input.len().min(200)].escape_ascii()
    );
}

fn check_response(input: &[u8], expected: Answer) {
    let found = ResponseHead::new()
        .parse(input, &HeadLimits::default())
        .map_err(|error| (error.kind, error.offset));
    assert_eq!(found, expected, "{}", input.escape_ascii());
}

const MALFORMED: &[(&[u8], HeadErrorKind, usize, u16)] = &[
    // Line ends (research table, row 5).
    (b"GET / HTTP/1.1\nHost: a\n\n", BareLf, 14, 400),
    (b"GET / HTTP/1.1\r\nHost: a\nX: b\r\n\r\n", BareLf, 23, 400),
    (b"GET / HTTP/1.1\r\nHost: a\r\n\n", BareLf, 25, 400),
    (b"GET / HTTP/1.1\r\nHost: a\r\n\nGET", BareLf, 25, 400),
    (b"\nGET / HTTP/1.1\r\n\r\n", BareLf, 0, 400),
    (b"GET / HTTP/1.1\r\nX: a\n b\r\n\r\n", BareLf, 20, 400),
    // Bare CR, NUL and other control bytes (row 6).
    (b"GET / HTTP/1.1\r\nX: a\rb\r\n\r\n", BareCr, 20, 400),
    (b"GET / HTTP/1.1\r\nX: a\r\r\n\r\n", BareCr, 20, 400),
    (b"GET / HTTP/1.1\r\nX: a\r\rb\r\n\r\n", BareCr, 20, 400),
    (b"GET /\r HTTP/1.1\r\n\r\n", BareCr, 5, 400),
    (b"GET /\rHTTP/1.1\r\n\r\n", BareCr, 5, 400),
    (b"GET\r / HTTP/1.1\r\n\r\n", BareCr, 3, 400),
    (b"GET / HTTP/1.1\r\r\n\r\n", BareCr, 14, 400),
    (b"\rGET / HTTP/1.1\r\n\r\n", BareCr, 0, 400),
    (b"\r\n\rGET / HTTP/1.1\r\n\r\n", BareCr, 2, 400),
    (b"GET / HTTP/1.1\r\n\rX: a\r\n\r\n", BareCr, 16, 400),
    (b"GET / HTTP/1.1\r\nX\r: a\r\n\r\n", BareCr, 17, 400),
    (b"GET / HTTP/1.1\r\nX: a\0b\r\n\r\n", ControlByte, 20, 400),
    (b"GET / HTTP/1.1\r\nX: \x01\r\n\r\n", ControlByte, 19, 400),
    (b"GET / HTTP/1.1\r\nX: a\x7Fb\r\n\r\n", ControlByte, 20, 400),
    (b"GET / HTTP/1.1\r\nX\0: a\r\n\r\n", ControlByte, 17, 400),
    (b"GET /\0 HTTP/1.1\r\n\r\n", ControlByte, 5, 400),
    (b"GET /\x7F HTTP/1.1\r\n\r\n", ControlByte, 5, 400),
    (b"GET / HTTP/1.1\0\r\n\r\n", ControlByte, 14, 400),
    (
        b"POST / HTTP/1.1\r\nTransfer-Encoding: \x0Bchunked\r\n\r\n",
        ControlByte,
        36,
        400,
    ),
    // Folding and white space (row 7).
    (b"GET / HTTP/1.1\r\nX: a\r\n b\r\n\r\n", Folded, 22, 400),
    (b"GET / HTTP/1.1\r\nX: a\r\n\tb\r\n\r\n", Folded, 22, 400),
    (b"GET / HTTP/1.1\r\nX: a\r\n \r\n\r\n", Folded, 22, 400),
    (b"GET / HTTP/1.1\r\n Host: a\r\n\r\n", Folded, 16, 400),
    (
        b"GET / HTTP/1.1\r\nContent-Length : 5\r\n\r\n",
        SpaceBeforeColon,
        30,
        400,
    ),
    (
        b"GET / HTTP/1.1\r\nHost\t: a\r\n\r\n",
        SpaceBeforeColon,
        20,
        400,
    ),
    (
        b"GET / HTTP/1.1\r\nHost  \t : a\r\n\r\n",
        SpaceBeforeColon,
        20,
        400,
    ),
    (b"GET / HTTP/1.1\r\nHost a\r\n\r\n", MissingColon, 20, 400),
    (b"GET / HTTP/1.1\r\nHost\r\n\r\n", MissingColon, 20, 400),
    (b"GET / HTTP/1.1\r\nHost \r\n\r\n", MissingColon, 20, 400),
    (b"GET / HTTP/1.1\r\n: a\r\n\r\n", EmptyName, 16, 400),
    // Names (row 8).
    (b"GET / HTTP/1.1\r\nFoo/bar: x\r\n\r\n", NameByte, 19, 400),
    (b"GET / HTTP/1.1\r\nFoo\xEF: x\r\n\r\n", NameByte, 19, 400),
    (b"GET / HTTP/1.1\r\nFoo bar: x\r\n\r\n", NameByte, 19, 400),
    (b"GET / HTTP/1.1\r\n\"Foo\": x\r\n\r\n", NameByte, 16, 400),
    (b"GET / HTTP/1.1\r\nFoo(: x\r\n\r\n", NameByte, 19, 400),
    (
        b"POST / HTTP/1.1\r\nContent_Length: 5\r\n\r\n",
        LookAlike,
        17,
        400,
    ),
    (
        b"POST / HTTP/1.1\r\ncontent_length: 5\r\n\r\n",
        LookAlike,
        17,
        400,
    ),
    (
        b"POST / HTTP/1.1\r\nTransfer_Encoding: chunked\r\n\r\n",
        LookAlike,
        17,
        400,
    ),
    (
        b"POST / HTTP/1.1\r\nA: b\r\nTRANSFER_ENCODING: x\r\n\r\n",
        LookAlike,
        23,
        400,
    ),
    // Request line.
    (b"GET  / HTTP/1.1\r\n\r\n", RequestLine, 4, 400),
    (b"GET / HTTP/1.1 \r\n\r\n", Version, 6, 400),
    (b"GET /  HTTP/1.1\r\n\r\n", Version, 6, 400),
    (b"GET /a b HTTP/1.1\r\n\r\n", Version, 7, 400),
    (b"GET /\tHTTP/1.1\r\n\r\n", TargetByte, 5, 400),
    (b"GET\t/ HTTP/1.1\r\n\r\n", Method, 3, 400),
    (b"GET\r\n\r\n", RequestLine, 3, 400),
    (b"GET \r\n\r\n", RequestLine, 4, 400),
    (b" GET / HTTP/1.1\r\n\r\n", Method, 0, 400),
    (b"G@T / HTTP/1.1\r\n\r\n", Method, 1, 400),
    (b"\x16\x03\x01\x02", Method, 0, 400),
    (b"{\"a\":1}", Method, 0, 400),
    (b"GET /caf\xC3\xA9 HTTP/1.1\r\n\r\n", TargetByte, 8, 400),
    (b"GET \xFF HTTP/1.1\r\n\r\n", TargetByte, 4, 400),
    (b"GET / HTTP/1.1a\r\n\r\n", Version, 6, 400),
    (b"GET / http/1.1\r\n\r\n", Version, 6, 400),
    (b"GET / HTTP/11\r\n\r\n", Version, 6, 400),
    (b"GET / HTTP/1.10\r\n\r\n", Version, 6, 400),
    (b"GET / HTTPS/1.1\r\n\r\n", Version, 6, 400),
    (b"GET / HTTP/0.9\r\n\r\n", VersionUnsupported, 6, 505),
    (b"GET / HTTP/1.2\r\n\r\n", VersionUnsupported, 6, 505),
    (b"GET / HTTP/2.0\r\n\r\n", VersionUnsupported, 6, 505),
    (
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        VersionUnsupported,
        6,
        505,
    ),
    (b"GET /\r\n\r\n", VersionUnsupported, 5, 505),
    (
        b"ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEFG / HTTP/1.1\r\n\r\n",
        MethodTooLong,
        32,
        501,
    ),
    // Empty lines before the request.
    (
        b"\r\n\r\n\r\n\r\n\r\nGET / HTTP/1.1\r\n\r\n",
        LeadingLines,
        8,
        400,
    ),
];

#[test]
fn refuses_malformed_requests() {
    for &(input, kind, offset, status) in MALFORMED {
        check_request(input, &HeadLimits::default(), Err((kind, offset, status)));
    }
}

#[test]
fn accepts_unusual_requests_that_are_good() {
    let rows: &[&[u8]] = &[
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.0\r\n\r\n",
        b"\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"\r\n\r\n\r\n\r\nGET / HTTP/1.1\r\n\r\n",
        b"M-SEARCH * HTTP/1.1\r\nHost: a\r\n\r\n",
        b"!#$%&'*+-.^_`|~09azAZ / HTTP/1.1\r\n\r\n",
        b"ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEF / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nX:\r\nY: \r\nZ:\t \t\r\n\r\n",
        b"GET / HTTP/1.1\r\nX: caf\xC3\xA9 \xFF\r\n\r\n",
        b"GET / HTTP/1.1\r\nX_Y: a\r\nContent__Length: 1\r\n\r\n",
        b"GET / HTTP/1.1\r\nX: a:b:c\r\n\r\nnot looked at \n\0",
    ];
    for input in rows {
        check_request(input, &HeadLimits::default(), Ok(Parsed::Complete));
    }
}

#[test]
fn waits_for_the_rest() {
    let rows: &[&[u8]] = &[
        b"",
        b"\r",
        b"\r\n",
        b"G",
        b"GET / HTTP/1.1",
        b"GET / HTTP/1.1\r",
        b"GET / HTTP/1.1\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\n\r",
        // Refused only when the head is whole: what was sent so far could not be answered sooner
        // anyway.
        b"GET / HTTP/9.9\r\nHost: a\r\n",
    ];
    for input in rows {
        check_request(input, &HeadLimits::default(), Ok(Parsed::Partial));
    }
}

/// `GET / HTTP/1.1` with field lines up to exactly `bytes`.
fn head_of(bytes: usize) -> Vec<u8> {
    let mut head = b"GET / HTTP/1.1\r\nX: ".to_vec();
    head.resize(bytes - 4, b'a');
    head.extend_from_slice(b"\r\n\r\n");
    head
}

fn head_with_lines(lines: usize) -> Vec<u8> {
    let mut head = b"GET / HTTP/1.1\r\n".to_vec();
    for _ in 0..lines {
        head.extend_from_slice(b"X: a\r\n");
    }
    head.extend_from_slice(b"\r\n");
    head
}

fn head_with_target(bytes: usize) -> Vec<u8> {
    [b"GET /", &vec![b'a'; bytes - 1][..], b" HTTP/1.1\r\n\r\n"].concat()
}

#[test]
fn keeps_limits_at_the_bound_and_one_past() {
    let limits = HeadLimits {
        head_bytes_max: 500,
        header_lines_max: 3,
    };
    check_request(&head_of(500), &limits, Ok(Parsed::Complete));
    check_request(&head_of(501), &limits, Err((HeadTooLong, 500, 431)));
    check_request(&head_of(501)[..499], &limits, Ok(Parsed::Partial));
    check_request(&head_of(501)[..500], &limits, Err((HeadTooLong, 500, 431)));
    check_request(&head_with_lines(3), &limits, Ok(Parsed::Complete));
    check_request(&head_with_lines(4), &limits, Err((TooManyLines, 34, 431)));

    let default = HeadLimits::default();
    check_request(&head_with_lines(100), &default, Ok(Parsed::Complete));
    check_request(
        &head_with_lines(101),
        &default,
        Err((TooManyLines, 616, 431)),
    );
    check_request(
        &head_with_lines(1000),
        &default,
        Err((TooManyLines, 616, 431)),
    );
    check_request(&head_of(32 * 1024), &default, Ok(Parsed::Complete));
    check_request(&head_of(65536), &default, Err((HeadTooLong, 32768, 431)));

    check_request(
        &head_with_target(TARGET_BYTES_MAX),
        &default,
        Ok(Parsed::Complete),
    );
    let too_long = Err((TargetTooLong, 4, 414));
    check_request(&head_with_target(TARGET_BYTES_MAX + 1), &default, too_long);
    let too_long = Err((TargetTooLong, 0, 414));
    check_request(&head_with_target(100 * 1024), &default, too_long);
    check_request(
        &head_with_target(600),
        &limits,
        Err((TargetTooLong, 500, 414)),
    );
}

#[test]
fn keeps_the_last_limits_where_none_are_set() {
    let default = HeadLimits::default();
    let too_long = Err((TargetTooLong, 0, 414));
    // A line that can no longer fit is refused before its end is seen.
    let line_max = 32 + 1 + TARGET_BYTES_MAX + 1 + 8 + 2;
    check_request(
        &head_with_target(100 * 1024)[..line_max - 1],
        &default,
        Ok(Parsed::Partial),
    );
    check_request(
        &head_with_target(100 * 1024)[..line_max],
        &default,
        too_long,
    );

    let generous = HeadLimits {
        head_bytes_max: usize::MAX,
        header_lines_max: usize::MAX,
    };
    check_request(
        &head_with_lines(HEADER_LINES_CAP),
        &generous,
        Ok(Parsed::Complete),
    );
    let lines_end = 16 + 6 * HEADER_LINES_CAP;
    let refused = Err((TooManyLines, lines_end, 431));
    check_request(&head_with_lines(HEADER_LINES_CAP + 1), &generous, refused);
    let none = HeadLimits {
        head_bytes_max: 0,
        header_lines_max: 0,
    };
    check_request(b"", &none, Err((TargetTooLong, 0, 414)));
}

#[test]
fn judges_response_heads() {
    let rows: &[(&[u8], Answer)] = &[
        (b"HTTP/1.1 200 OK\r\n\r\n", Ok(Parsed::Complete)),
        (b"HTTP/1.0 200 OK\r\n\r\n", Ok(Parsed::Complete)),
        (b"HTTP/1.1 200 \r\n\r\n", Ok(Parsed::Complete)),
        (b"HTTP/1.1 200\r\n\r\n", Ok(Parsed::Complete)),
        (
            b"HTTP/1.1 999 caf\xE9\r\nA: b\r\n\r\n",
            Ok(Parsed::Complete),
        ),
        (b"HTTP/1.1 200 OK\r\nA: b\r\n", Ok(Parsed::Partial)),
        (b"", Ok(Parsed::Partial)),
        (b"\r\nHTTP/1.1 200 OK\r\n\r\n", Err((StatusLine, 0))),
        (b"junk", Err((StatusLine, 0))),
        (b"HTTP/1.1 200 OK\n\n", Err((BareLf, 15))),
        (b"HTTP/1.1 200 OK\r\nA: b\n\r\n", Err((BareLf, 21))),
        (b"HTTP/1.1 200 O\rK\r\n\r\n", Err((BareCr, 14))),
        (b"HTTP/1.1 200 O\0K\r\n\r\n", Err((ControlByte, 14))),
        (b"HTTP/1.1 20 OK\r\n\r\n", Err((StatusLine, 9))),
        (b"HTTP/1.1 2000 OK\r\n\r\n", Err((StatusLine, 9))),
        (b"HTTP/1.1 099 OK\r\n\r\n", Err((StatusLine, 9))),
        (b"HTTP/1.1 2x0 OK\r\n\r\n", Err((StatusLine, 9))),
        (b"HTTP/1.1  200 OK\r\n\r\n", Err((StatusLine, 9))),
        (b"HTTP/1.1 200OK\r\n\r\n", Err((StatusLine, 9))),
        (b"HTTP/1.1\r\n\r\n", Err((StatusLine, 0))),
        (b"HTTP/2.0 200 OK\r\n\r\n", Err((VersionUnsupported, 0))),
        (b"HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n", Err((Folded, 23))),
        (
            b"HTTP/1.1 200 OK\r\nA : b\r\n\r\n",
            Err((SpaceBeforeColon, 18)),
        ),
        (
            b"HTTP/1.1 200 OK\r\nContent_Length: 5\r\n\r\n",
            Err((LookAlike, 17)),
        ),
    ];
    for &(input, expected) in rows {
        check_response(input, expected);
    }
    let line_of = |bytes: usize| [b"HTTP/1.1 200 ", &vec![b'a'; bytes - 15][..], b"\r\n"].concat();
    let too_long = Err((HeadTooLong, 0));
    check_response(
        &[&line_of(1024)[..], b"\r\n"].concat(),
        Ok(Parsed::Complete),
    );
    check_response(&[&line_of(1025)[..], b"\r\n"].concat(), too_long);
    check_response(&line_of(1025)[..1023], Ok(Parsed::Partial));
    check_response(&line_of(1025)[..1024], too_long);
}

#[test]
fn shows_what_was_sent() {
    let bytes =
        b"\r\nPOST /a?b HTTP/1.0\r\nHOST: a\r\nvary: x\r\nX-One:  1 \r\nVary: y\r\n\r\nbody";
    with_request(bytes, |request| {
        assert_eq!(request.method(), b"POST");
        assert_eq!(request.target(), b"/a?b");
        assert_eq!(request.version(), Version::Http10);
        assert_eq!(request.bytes(), &bytes[..bytes.len() - 4]);
        assert_eq!(request.fields_view().len(), 4);
        assert_eq!(request.field(KnownField::Host), Some(&b"a"[..]));
        assert_eq!(request.field(KnownField::Date), None);
        assert_eq!(request.field_by_name(b"x-ONE"), Some(&b"1"[..]));
        assert_eq!(request.field_by_name(b"VARY"), Some(&b"x"[..]));
        assert_eq!(request.field_by_name(b"X-Two"), None);
        assert_eq!(
            request.fields_by_name(b"vary").collect::<Vec<_>>(),
            [b"x", b"y"]
        );
        assert_eq!(
            request.fields_named(KnownField::Vary).collect::<Vec<_>>(),
            [b"x", b"y"]
        );
        assert!(request.is_repeated(KnownField::Vary) && !request.is_repeated(KnownField::Host));
        assert!(request.any_of(KnownSet::of(&[KnownField::Date, KnownField::Vary])));
        assert!(!request.any_of(KnownSet::of(&[KnownField::Date, KnownField::Age])));
        let names: Vec<&[u8]> = request.fields().map(|line| line.name).collect();
        assert_eq!(names, [&b"HOST"[..], b"vary", b"X-One", b"Vary"]);
    });
    with_response(b"HTTP/1.1 404 Gone fishing\r\nAge: 1\r\n\r\n", |response| {
        assert_eq!(response.status(), 404);
        assert_eq!(response.version(), Version::Http11);
        assert_eq!(response.reason(), b"Gone fishing");
        assert_eq!(response.field(KnownField::Age), Some(&b"1"[..]));
    });
    with_response(b"HTTP/1.0 204\r\n\r\n", |response| {
        assert_eq!(response.reason(), b"");
    });
}

#[test]
fn one_head_serves_many_requests() {
    let limits = HeadLimits::default();
    let mut head = RequestHead::new();
    let first = b"GET /1 HTTP/1.1\r\nHost: a\r\nCookie: c\r\n\r\n";
    let second = b"GET /2 HTTP/1.1\r\nHost: b\r\n\r\n";
    let buffer = [&first[..], second].concat();
    assert_eq!(head.parse(&buffer, &limits), Ok(Parsed::Complete));
    let consumed = head.len();
    assert_eq!(consumed, first.len());
    let kept = head.clone();
    assert_eq!(
        head.parse(&buffer[consumed..], &limits),
        Ok(Parsed::Complete)
    );
    let view = head.view(&buffer[consumed..]);
    assert_eq!(
        (view.target(), view.has(KnownField::Cookie)),
        (&b"/2"[..], false)
    );
    assert_eq!(
        kept.view(&buffer).field(KnownField::Cookie),
        Some(&b"c"[..])
    );

    // What was repeated in one head is not in the next.
    let repeated = b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n";
    assert_eq!(head.parse(repeated, &limits), Ok(Parsed::Complete));
    assert!(head.view(repeated).is_repeated(KnownField::Host));
    assert_eq!(head.parse(second, &limits), Ok(Parsed::Complete));
    assert!(!head.view(second).is_repeated(KnownField::Host));

    // A partial head given up for other bytes.
    assert_eq!(head.parse(&first[..20], &limits), Ok(Parsed::Partial));
    head.reset();
    assert_eq!(head.parse(second, &limits), Ok(Parsed::Complete));
    // An error leaves nothing behind.
    assert!(head.parse(b"GET / HTTP/1.1\n", &limits).is_err());
    assert_eq!(head.parse(first, &limits), Ok(Parsed::Complete));
    assert_eq!(head.view(first).target(), b"/1");
}

#[test]
fn searched_bytes_are_not_searched_again() {
    // The search would stop at a bare LF. One that appears where it has been goes unseen, so a head
    // that comes in single bytes costs one look at each.
    let limits = HeadLimits::default();
    let mut bytes = head_of(32 * 1024);
    let mut head = RequestHead::new();
    for len in 1..bytes.len() {
        assert_eq!(head.parse(&bytes[..len], &limits), Ok(Parsed::Partial));
        if len > 30 && len < bytes.len() - 8 {
            bytes[len - 1] = b'\n';
        }
    }
    head.reset();
    let seen = head
        .parse(&bytes, &limits)
        .expect_err("a fresh search sees it");
    assert_eq!((seen.kind, seen.offset), (BareLf, 30));
}
