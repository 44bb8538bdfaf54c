//! Where messages end, and what is left of the connection.

use corsair_http1::FramingErrorKind::{self, *};
use corsair_http1::{
    BodyLength, Nominated, Persistence, expects_continue, is_nominated_hop_by_hop,
    request_body_length, request_persistence, response_body_length, response_persistence,
};

use super::{with_request, with_response};

type Length = Result<BodyLength, FramingErrorKind>;

fn check_request(version: &str, lines: &[u8], expected: Length) {
    // The method never matters (rows 1 and 2).
    for method in ["GET", "POST", "OPTIONS", "HEAD", "BREW"] {
        let start = format!("{method} / HTTP/{version}\r\nHost: a\r\n");
        let bytes = [start.as_bytes(), lines, b"\r\n"].concat();
        let found = with_request(&bytes, |r| {
            request_body_length(r).map_err(|error| error.kind)
        });
        assert_eq!(found, expected, "{}", bytes.escape_ascii());
    }
}

const REQUESTS: &[(&[u8], Length)] = &[
    (b"", Ok(BodyLength::None)),
    (b"Content-Length: 0\r\n", Ok(BodyLength::Fixed(0))),
    (b"Content-Length: 5\r\n", Ok(BodyLength::Fixed(5))),
    (b"content-length:5\r\n", Ok(BodyLength::Fixed(5))),
    (
        b"Content-Length: 9223372036854775807\r\n",
        Ok(BodyLength::Fixed(i64::MAX as u64)),
    ),
    (b"Transfer-Encoding: chunked\r\n", Ok(BodyLength::Chunked)),
    (b"transfer-encoding:CHUNKED\r\n", Ok(BodyLength::Chunked)),
    // CL.TE and TE.CL (row 1).
    (
        b"Content-Length: 6\r\nTransfer-Encoding: chunked\r\n",
        Err(LengthAndEncoding),
    ),
    (
        b"Transfer-Encoding: chunked\r\nContent-Length: 6\r\n",
        Err(LengthAndEncoding),
    ),
    (
        b"Content-Length: 6\r\nTransfer-Encoding: x\r\n",
        Err(LengthAndEncoding),
    ),
    (
        b"Content-Length: 6\r\nTransfer-Encoding:\r\n",
        Err(LengthAndEncoding),
    ),
    // Content-Length (row 3).
    (
        b"Content-Length: 5\r\nContent-Length: 6\r\n",
        Err(RepeatedLength),
    ),
    (
        b"Content-Length: 5\r\nContent-Length: 5\r\n",
        Err(RepeatedLength),
    ),
    (b"Content-Length: 5, 5\r\n", Err(InvalidLength)),
    (b"Content-Length: 5,6\r\n", Err(InvalidLength)),
    (b"Content-Length: +5\r\n", Err(InvalidLength)),
    (b"Content-Length: 0x5\r\n", Err(InvalidLength)),
    (b"Content-Length: -0\r\n", Err(InvalidLength)),
    (b"Content-Length: 05\r\n", Err(InvalidLength)),
    (b"Content-Length: 00\r\n", Err(InvalidLength)),
    (b"Content-Length: 5 \r\n", Err(InvalidLength)),
    (b"Content-Length: 5\t\r\n", Err(InvalidLength)),
    (b"Content-Length:\r\n", Err(InvalidLength)),
    (b"Content-Length: 5_0\r\n", Err(InvalidLength)),
    (b"Content-Length: 5.0\r\n", Err(InvalidLength)),
    (b"Content-Length: 1e2\r\n", Err(InvalidLength)),
    (b"Content-Length: \xD9\xA5\r\n", Err(InvalidLength)),
    (
        b"Content-Length: 9223372036854775808\r\n",
        Err(InvalidLength),
    ),
    (
        b"Content-Length: 10000000000000000000\r\n",
        Err(InvalidLength),
    ),
    (
        b"Content-Length: 18446744073709551621\r\n",
        Err(InvalidLength),
    ),
    // Transfer-Encoding (row 4).
    (
        b"Transfer-Encoding: chunked, identity\r\n",
        Err(InvalidEncoding),
    ),
    (b"Transfer-Encoding: identity\r\n", Err(UnknownEncoding)),
    (
        b"Transfer-Encoding: gzip, chunked\r\n",
        Err(UnknownEncoding),
    ),
    (b"Transfer-Encoding: gzip\r\n", Err(UnknownEncoding)),
    (b"Transfer-Encoding: , chunked\r\n", Err(InvalidEncoding)),
    (b"Transfer-Encoding: chunked,\r\n", Err(InvalidEncoding)),
    (
        b"Transfer-Encoding: chunked, chunked\r\n",
        Err(InvalidEncoding),
    ),
    (
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        Err(RepeatedEncoding),
    ),
    (
        b"Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n",
        Err(RepeatedEncoding),
    ),
    (b"Transfer-Encoding: xchunked\r\n", Err(UnknownEncoding)),
    (b"Transfer-Encoding: chunked;q=1\r\n", Err(InvalidEncoding)),
    (b"Transfer-Encoding: \"chunked\"\r\n", Err(InvalidEncoding)),
    (b"Transfer-Encoding: chun ked\r\n", Err(InvalidEncoding)),
    (b"Transfer-Encoding:\r\n", Err(InvalidEncoding)),
];

#[test]
fn requests_have_one_plain_length_or_none() {
    for &(lines, expected) in REQUESTS {
        check_request("1.1", lines, expected);
    }
    check_request("1.0", b"Content-Length: 5\r\n", Ok(BodyLength::Fixed(5)));
    check_request(
        "1.0",
        b"Transfer-Encoding: chunked\r\n",
        Err(EncodingInHttp10),
    );
    check_request("1.0", b"Transfer-Encoding: gzip\r\n", Err(EncodingInHttp10));
}

#[test]
fn framing_errors_have_a_status_and_a_place() {
    let bytes = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 05\r\n\r\n";
    let error = with_request(bytes, request_body_length).expect_err("a leading zero");
    assert_eq!((error.offset, error.status()), (42, 400));
    assert_eq!(error.to_string(), "invalid Content-Length (byte 42)");
    let bytes = b"POST / HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n";
    let error = with_request(bytes, request_body_length).expect_err("no such coding");
    assert_eq!((error.offset, error.status()), (36, 501));
    let bytes = b"POST / HTTP/1.1\r\nExpect: tea\r\n\r\n";
    let error = with_request(bytes, expects_continue).expect_err("no such expectation");
    assert_eq!((error.offset, error.status()), (25, 417));
}

fn check_response(method: &str, status: u16, lines: &[u8], expected: Length) {
    let start = format!("HTTP/1.1 {status} x\r\n");
    let bytes = [start.as_bytes(), lines, b"\r\n"].concat();
    let found = with_response(&bytes, |response| {
        response_body_length(method.as_bytes(), response).map_err(|error| error.kind)
    });
    assert_eq!(found, expected, "{method} {}", bytes.escape_ascii());
}

const RESPONSES: &[(&str, u16, &[u8], Length)] = &[
    ("GET", 200, b"", Ok(BodyLength::UntilClose)),
    (
        "GET",
        200,
        b"Content-Length: 5\r\n",
        Ok(BodyLength::Fixed(5)),
    ),
    (
        "GET",
        200,
        b"Transfer-Encoding: chunked\r\n",
        Ok(BodyLength::Chunked),
    ),
    (
        "POST",
        500,
        b"Content-Length: 0\r\n",
        Ok(BodyLength::Fixed(0)),
    ),
    // Without a body whatever the fields say (row 32).
    ("HEAD", 200, b"Content-Length: 5\r\n", Ok(BodyLength::None)),
    (
        "HEAD",
        200,
        b"Transfer-Encoding: chunked\r\n",
        Ok(BodyLength::None),
    ),
    ("HEAD", 200, b"", Ok(BodyLength::None)),
    ("GET", 304, b"Content-Length: 5\r\n", Ok(BodyLength::None)),
    ("GET", 304, b"", Ok(BodyLength::None)),
    ("GET", 204, b"", Ok(BodyLength::None)),
    ("GET", 204, b"Content-Length: 0\r\n", Ok(BodyLength::None)),
    ("GET", 100, b"", Ok(BodyLength::None)),
    ("GET", 103, b"Link: </a>\r\n", Ok(BodyLength::None)),
    (
        "CONNECT",
        407,
        b"Content-Length: 5\r\n",
        Ok(BodyLength::Fixed(5)),
    ),
    ("CONNECT", 200, b"", Err(Tunnel)),
    ("CONNECT", 204, b"", Err(Tunnel)),
    // A body where none may be (row 31).
    ("GET", 204, b"Content-Length: 5\r\n", Err(BodyNotAllowed)),
    (
        "GET",
        204,
        b"Transfer-Encoding: chunked\r\n",
        Err(BodyNotAllowed),
    ),
    ("HEAD", 204, b"Content-Length: 5\r\n", Err(BodyNotAllowed)),
    ("GET", 103, b"Content-Length: 5\r\n", Err(BodyNotAllowed)),
    (
        "GET",
        100,
        b"Transfer-Encoding: chunked\r\n",
        Err(BodyNotAllowed),
    ),
    // Conflicts (row 31): equal lengths are one (row 3).
    (
        "GET",
        200,
        b"Content-Length: 5\r\nContent-Length: 5\r\n",
        Ok(BodyLength::Fixed(5)),
    ),
    (
        "GET",
        200,
        b"Content-Length: 5, 5\r\n",
        Ok(BodyLength::Fixed(5)),
    ),
    (
        "GET",
        200,
        b"Content-Length: 5 \r\n",
        Ok(BodyLength::Fixed(5)),
    ),
    (
        "GET",
        200,
        b"Content-Length: 5\r\nContent-Length: 6\r\n",
        Err(RepeatedLength),
    ),
    ("GET", 200, b"Content-Length: 5, 6\r\n", Err(RepeatedLength)),
    ("GET", 200, b"Content-Length: 5,\r\n", Err(InvalidLength)),
    ("GET", 200, b"Content-Length: -1\r\n", Err(InvalidLength)),
    ("GET", 200, b"Content-Length:\r\n", Err(InvalidLength)),
    ("HEAD", 200, b"Content-Length: x\r\n", Err(InvalidLength)),
    (
        "GET",
        304,
        b"Content-Length: 1\r\nContent-Length: 2\r\n",
        Err(RepeatedLength),
    ),
    (
        "GET",
        200,
        b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        Err(LengthAndEncoding),
    ),
    (
        "GET",
        200,
        b"Transfer-Encoding: gzip, chunked\r\n",
        Err(UnknownEncoding),
    ),
    (
        "GET",
        200,
        b"Transfer-Encoding: chunked, gzip\r\n",
        Err(InvalidEncoding),
    ),
    ("GET", 200, b"Transfer-Encoding: \r\n", Err(InvalidEncoding)),
];

#[test]
fn responses_are_framed_by_method_status_and_fields() {
    for &(method, status, lines, expected) in RESPONSES {
        check_response(method, status, lines, expected);
    }
    let bytes = b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    let found = with_response(bytes, |r| response_body_length(b"GET", r)).map_err(|e| e.kind);
    assert_eq!(found, Err(EncodingInHttp10));
}

#[test]
fn connections_live_on_by_version_and_option() {
    use Persistence::*;
    let rows: &[(&str, &str, Persistence)] = &[
        ("1.1", "", KeepAlive),
        ("1.1", "Connection: close\r\n", Close),
        ("1.1", "Connection: Close\r\n", Close),
        ("1.1", "Connection: x, close\r\n", Close),
        ("1.1", "Connection: x\r\nConnection: close\r\n", Close),
        ("1.1", "Connection: keep-alive, close\r\n", Close),
        ("1.1", "Connection: closed\r\n", KeepAlive),
        ("1.1", "Proxy-Connection: close\r\n", KeepAlive),
        ("1.0", "", Close),
        ("1.0", "Connection: Keep-Alive\r\n", KeepAlive),
        ("1.0", "Connection: keep-alive, close\r\n", Close),
        ("1.0", "Keep-Alive: timeout=5\r\n", Close),
    ];
    for (version, lines, expected) in rows {
        let request = format!("GET / HTTP/{version}\r\n{lines}\r\n");
        let found = with_request(request.as_bytes(), request_persistence);
        assert_eq!(found, *expected, "{request}");
        let response = format!("HTTP/{version} 200 OK\r\n{lines}\r\n");
        let found = with_response(response.as_bytes(), response_persistence);
        assert_eq!(found, *expected, "{response}");
    }
}

#[test]
fn knows_one_expectation() {
    let rows: &[(&str, &str, Result<bool, FramingErrorKind>)] = &[
        ("1.1", "", Ok(false)),
        ("1.1", "Expect: 100-continue\r\n", Ok(true)),
        ("1.1", "Expect: 100-Continue\r\n", Ok(true)),
        ("1.1", "Expect: 100-continue, 100-continue\r\n", Ok(true)),
        ("1.1", "Expect:\r\n", Ok(false)),
        (
            "1.1",
            "Expect: 100-continue, x\r\n",
            Err(UnknownExpectation),
        ),
        (
            "1.1",
            "Expect: 100-continue\r\nExpect: x\r\n",
            Err(UnknownExpectation),
        ),
        ("1.1", "Expect: 100\r\n", Err(UnknownExpectation)),
        ("1.0", "Expect: 100-continue\r\n", Ok(false)),
        ("1.0", "Expect: x\r\n", Ok(false)),
    ];
    for (version, lines, expected) in rows {
        let bytes = format!("POST / HTTP/{version}\r\n{lines}\r\n");
        let found = with_request(bytes.as_bytes(), |r| {
            expects_continue(r).map_err(|e| e.kind)
        });
        assert_eq!(found, *expected, "{bytes}");
    }
}

#[test]
fn connection_takes_away_only_what_may_go() {
    // Row 17.
    let rows: &[(&str, &str, bool)] = &[
        ("X-Debug", "X-Debug", true),
        ("x-debug", "X-DEBUG", true),
        ("close, X-Debug", "X-Debug", true),
        ("close", "X-Debug", false),
        ("X-Debug", "X-Debug-2", false),
        ("keep-alive, Keep-Alive", "Keep-Alive", false),
        ("upgrade, HTTP2-Settings", "HTTP2-Settings", true),
        ("X-Forwarded-For", "X-Forwarded-For", false),
        ("X-Forwarded-Anything", "X-Forwarded-Anything", false),
        ("Cookie, Host", "Host", false),
        ("Cookie, Host", "Cookie", false),
        ("Authorization", "Authorization", false),
        ("Forwarded", "Forwarded", false),
        ("Content-Length", "Content-Length", false),
        ("Content-Type", "Content-Type", false),
        ("Content-Anything", "Content-Anything", false),
        ("Cache-Control", "Cache-Control", false),
        ("Vary, Age, Date", "Vary", false),
        ("Origin", "Origin", false),
        ("Access-Control-Anything", "Access-Control-Anything", false),
        ("Sec-Fetch-Mode", "Sec-Fetch-Mode", false),
    ];
    for &(connection, name, expected) in rows {
        let bytes = format!("GET / HTTP/1.1\r\nConnection: {connection}\r\n\r\n");
        with_request(bytes.as_bytes(), |request| {
            let found = Nominated::of_request(request).contains(name.as_bytes());
            assert_eq!(found, expected, "{connection}: {name}");
        });
        let bytes = format!("HTTP/1.1 200 OK\r\nConnection: {connection}\r\n\r\n");
        with_response(bytes.as_bytes(), |response| {
            let found = Nominated::of_response(response).contains(name.as_bytes());
            assert_eq!(found, expected, "{connection}: {name}");
        });
        // The plain form has no short cut for the usual options.
        if !connection.contains("keep-alive") {
            let found = is_nominated_hop_by_hop([connection.as_bytes()], name.as_bytes());
            assert_eq!(found, expected, "{connection}: {name}");
        }
    }
}
