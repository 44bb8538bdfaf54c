//! Targets, authorities and Host.

use corsair_http1::{TargetError, TargetForm, effective_authority, parse_authority, parse_target};

use super::with_request;

type Form = Result<(TargetForm, &'static str), TargetError>;
type HostPort<'a> = Result<(&'a str, Option<u16>), TargetError>;
type PathQuery = Result<(&'static str, Option<&'static str>), TargetError>;

fn check_path(target: &[u8], expected: PathQuery) {
    let mut scratch = Vec::new();
    let found = parse_target(b"GET", target, &mut scratch);
    let found = found.map(|target| (target.path, target.query));
    let expected = expected.map(|(path, query)| (path.as_bytes(), query.map(str::as_bytes)));
    assert_eq!(found, expected, "{}", target.escape_ascii());
}

const PATHS: &[(&[u8], PathQuery)] = &[
    (b"/", Ok(("/", None))),
    (b"/a/b.css?x=1", Ok(("/a/b.css", Some("x=1")))),
    (b"/a?", Ok(("/a", Some("")))),
    (b"/a?b?c=/../d", Ok(("/a", Some("b?c=/../d")))),
    // Dot segments (row 22).
    (b"/./a", Ok(("/a", None))),
    (b"/a/../b", Ok(("/b", None))),
    (b"/a/..", Ok(("/", None))),
    (b"/a/.", Ok(("/a/", None))),
    (b"/a/b/..", Ok(("/a/", None))),
    (b"/a/b/../../c", Ok(("/c", None))),
    (b"/.", Ok(("/", None))),
    (b"/a/%2e%2E/b", Ok(("/b", None))),
    (b"/%2e", Ok(("/", None))),
    (b"/.well-known/x", Ok(("/.well-known/x", None))),
    (b"/...", Ok(("/...", None))),
    (b"/a/..b", Ok(("/a/..b", None))),
    (b"/..", Err(TargetError::AboveRoot)),
    (b"/../a", Err(TargetError::AboveRoot)),
    (b"/a/../..", Err(TargetError::AboveRoot)),
    (b"/%2e%2e/a", Err(TargetError::AboveRoot)),
    (b"/a/%2e./%2e%2e/b", Err(TargetError::AboveRoot)),
    // Slashes are kept.
    (b"//a", Ok(("//a", None))),
    (b"/a//b/", Ok(("/a//b/", None))),
    (b"/a//../b", Ok(("/a/b", None))),
    (b"//..", Ok(("/", None))),
    // Percent-encoding.
    (b"/%7Euser/%41%2d%5f", Ok(("/~user/A-_", None))),
    (b"/a%2fb%5c", Ok(("/a%2Fb%5C", None))),
    (
        b"/account%2f..%2fa.css",
        Ok(("/account%2F..%2Fa.css", None)),
    ),
    (b"/a/..%5cadmin", Ok(("/a/..%5Cadmin", None))),
    (b"/caf%c3%a9", Ok(("/caf%C3%A9", None))),
    (b"/%252e%252e/a", Ok(("/%252e%252e/a", None))),
    (b"/%0d%0a", Ok(("/%0D%0A", None))),
    (
        b"/a[1]|b^c`{d}\"<>",
        Ok(("/a%5B1%5D%7Cb%5Ec%60%7Bd%7D%22%3C%3E", None)),
    ),
    (b"/a;x=1,2!$&'()*+:@", Ok(("/a;x=1,2!$&'()*+:@", None))),
    (b"/%", Err(TargetError::Percent)),
    (b"/%4", Err(TargetError::Percent)),
    (b"/%4/", Err(TargetError::Percent)),
    (b"/%4g", Err(TargetError::Percent)),
    (b"/%+1", Err(TargetError::Percent)),
    (b"/a%00.js", Err(TargetError::Nul)),
    // Bytes without a place.
    (b"/a\\b", Err(TargetError::Byte)),
    (b"/a#f", Err(TargetError::Byte)),
    (b"/a?b#f", Err(TargetError::Byte)),
    (b"/caf\xC3\xA9", Err(TargetError::Byte)),
    (b"/a?\xC3", Err(TargetError::Byte)),
    (b"/a b", Err(TargetError::Byte)),
    (b"/a?b\r", Err(TargetError::Byte)),
    (b"/a\0", Err(TargetError::Byte)),
    (b"/a\x7F", Err(TargetError::Byte)),
    // The query is the application's.
    (
        b"/a?%zz&q=100%&\\|^{}%00%7e",
        Ok(("/a", Some("%zz&q=100%&\\|^{}%00%7e"))),
    ),
];

#[test]
fn paths_have_one_form() {
    for &(target, expected) in PATHS {
        check_path(target, expected);
    }
}

#[test]
fn canonical_paths_are_borrowed() {
    let target = b"/assets/app.9f3c.js?v=1";
    let mut scratch = Vec::new();
    let parsed = parse_target(b"GET", target, &mut scratch).expect("a plain target");
    assert_eq!(parsed.path.as_ptr(), target.as_ptr());
    assert_eq!(scratch.capacity(), 0);
}

#[test]
fn knows_the_four_forms() {
    use TargetForm::*;
    let rows: &[(&str, &str, Form)] = &[
        ("GET", "/a", Ok((Origin, "/a"))),
        ("OPTIONS", "/a", Ok((Origin, "/a"))),
        ("OPTIONS", "*", Ok((Asterisk, "*"))),
        ("GET", "*", Err(TargetError::Form)),
        ("GET", "*a", Err(TargetError::Form)),
        ("GET", "a", Err(TargetError::Form)),
        ("GET", "a/b", Err(TargetError::Form)),
        ("GET", "", Err(TargetError::Form)),
        ("GET", "?a", Err(TargetError::Form)),
        ("GET", "a:80", Err(TargetError::Form)),
        ("GET", "http://a", Ok((Absolute, "/"))),
        ("GET", "HTTP://a/b/../c", Ok((Absolute, "/c"))),
        ("GET", "https://a:8443/b", Ok((Absolute, "/b"))),
        ("GET", "http://a?b", Ok((Absolute, "/"))),
        ("OPTIONS", "http://a", Ok((Absolute, "*"))),
        ("GET", "http:/a", Err(TargetError::Form)),
        ("GET", "http://", Err(TargetError::Authority)),
        ("GET", "http:///a", Err(TargetError::Authority)),
        ("GET", "http://a#f", Err(TargetError::Byte)),
        ("GET", "http://a\\b", Err(TargetError::Byte)),
        ("GET", "http://u:p@a/", Err(TargetError::UserInfo)),
        ("GET", "http://a:0/", Err(TargetError::Authority)),
        ("GET", "ftp://a/", Err(TargetError::Scheme)),
        ("GET", "file:///etc/passwd", Err(TargetError::Scheme)),
        ("CONNECT", "a:443", Ok((Authority, ""))),
        ("CONNECT", "a", Err(TargetError::Authority)),
        ("CONNECT", "/", Err(TargetError::Authority)),
        ("CONNECT", "http://a:80/", Err(TargetError::Authority)),
    ];
    for &(method, target, expected) in rows {
        let mut scratch = Vec::new();
        let found = parse_target(method.as_bytes(), target.as_bytes(), &mut scratch);
        let found = found.map(|target| (target.form, target.path));
        let expected = expected.map(|(form, path)| (form, path.as_bytes()));
        assert_eq!(found, expected, "{method} {target}");
    }
}

#[test]
fn authorities_are_a_host_and_maybe_a_port() {
    use TargetError::{Authority, UserInfo};
    let long = format!("{}.{}", "a".repeat(63), "b".repeat(63));
    let rows: &[(&str, HostPort<'_>)] = &[
        ("a", Ok(("a", None))),
        ("Example.COM:8080", Ok(("Example.COM", Some(8080)))),
        ("a.b.", Ok(("a.b.", None))),
        ("xn--bcher-kva.example", Ok(("xn--bcher-kva.example", None))),
        ("my_bucket.s3", Ok(("my_bucket.s3", None))),
        ("127.0.0.1:80", Ok(("127.0.0.1", Some(80)))),
        ("[::1]", Ok(("[::1]", None))),
        ("[2001:db8::1]:65535", Ok(("[2001:db8::1]", Some(65535)))),
        ("[::ffff:1.2.3.4]", Ok(("[::ffff:1.2.3.4]", None))),
        (&long, Ok((&long, None))),
        // Row 14.
        ("", Err(Authority)),
        ("a:0", Err(Authority)),
        ("a@b", Err(UserInfo)),
        ("a/", Err(Authority)),
        ("a, b", Err(Authority)),
        ("a b", Err(Authority)),
        ("a:", Ok(("a", None))),
        (":80", Err(Authority)),
        ("a:65536", Err(Authority)),
        ("a:080", Err(Authority)),
        ("a:+80", Err(Authority)),
        ("a:8o", Err(Authority)),
        ("a:1:2", Err(Authority)),
        ("a..b", Err(Authority)),
        (".a", Err(Authority)),
        (".", Err(Authority)),
        ("a%41", Err(Authority)),
        ("a\\b", Err(Authority)),
        ("a?b", Err(Authority)),
        ("a#b", Err(Authority)),
        ("*", Err(Authority)),
        ("b\u{fc}cher", Err(Authority)),
        ("::1", Err(Authority)),
        ("[::1", Err(Authority)),
        ("[::1]a", Err(Authority)),
        ("[fe80::1%25eth0]", Err(Authority)),
        ("[v1.a]", Err(Authority)),
        ("[]", Err(Authority)),
        ("[1.2.3.4]", Err(Authority)),
    ];
    for &(value, expected) in rows {
        let found = parse_authority(value.as_bytes()).map(|a| (a.host, a.port));
        let expected = expected.map(|(host, port)| (host.as_bytes(), port));
        assert_eq!(found, expected, "{value}");
    }
    let label = "a".repeat(64);
    assert!(
        parse_authority(label.as_bytes()).is_err(),
        "a label of 64 bytes"
    );
    let fits = vec!["a".repeat(63); 4].join(".");
    assert_eq!(fits.len(), 255);
    assert!(parse_authority(fits.as_bytes()).is_ok());
    let past = format!("{fits}.");
    assert!(
        parse_authority(past.as_bytes()).is_err(),
        "a host of 256 bytes"
    );
}

type Effective = Result<Option<(&'static str, Option<u16>)>, TargetError>;

const HOSTS: &[(&str, Effective)] = &[
    ("GET / HTTP/1.1\r\nHost: a\r\n", Ok(Some(("a", None)))),
    (
        "GET / HTTP/1.1\r\nHost: a:81\r\n",
        Ok(Some(("a", Some(81)))),
    ),
    ("GET / HTTP/1.0\r\nHost: a\r\n", Ok(Some(("a", None)))),
    ("GET / HTTP/1.0\r\n", Ok(None)),
    ("OPTIONS * HTTP/1.1\r\nHost: a\r\n", Ok(Some(("a", None)))),
    (
        "GET http://a/ HTTP/1.1\r\nHost: a\r\n",
        Ok(Some(("a", None))),
    ),
    (
        "GET http://A/ HTTP/1.1\r\nHost: a\r\n",
        Ok(Some(("A", None))),
    ),
    (
        "GET http://a:80/ HTTP/1.1\r\nHost: a\r\n",
        Ok(Some(("a", Some(80)))),
    ),
    (
        "GET https://a/ HTTP/1.1\r\nHost: a:443\r\n",
        Ok(Some(("a", None))),
    ),
    ("GET http://a/ HTTP/1.0\r\n", Ok(Some(("a", None)))),
    // Row 14.
    (
        "GET http://b/ HTTP/1.1\r\nHost: a\r\n",
        Err(TargetError::HostMismatch),
    ),
    (
        "GET http://a:81/ HTTP/1.1\r\nHost: a\r\n",
        Err(TargetError::HostMismatch),
    ),
    (
        "GET https://a/ HTTP/1.1\r\nHost: a:80\r\n",
        Err(TargetError::HostMismatch),
    ),
    ("GET http://a/ HTTP/1.1\r\n", Err(TargetError::HostMissing)),
    ("GET / HTTP/1.1\r\n", Err(TargetError::HostMissing)),
    (
        "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n",
        Err(TargetError::HostRepeated),
    ),
    (
        "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n",
        Err(TargetError::HostRepeated),
    ),
    (
        "GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n",
        Err(TargetError::HostRepeated),
    ),
    (
        "GET / HTTP/1.1\r\nHost:\r\n",
        Err(TargetError::HostMalformed),
    ),
    (
        "GET / HTTP/1.0\r\nHost:\r\n",
        Err(TargetError::HostMalformed),
    ),
    (
        "GET / HTTP/1.1\r\nHost: a:0\r\n",
        Err(TargetError::HostMalformed),
    ),
    (
        "GET / HTTP/1.1\r\nHost: a@b\r\n",
        Err(TargetError::HostMalformed),
    ),
    (
        "GET / HTTP/1.1\r\nHost: a/\r\n",
        Err(TargetError::HostMalformed),
    ),
    (
        "GET / HTTP/1.1\r\nHost: a, b\r\n",
        Err(TargetError::HostMalformed),
    ),
    (
        "GET http://169.254.169.254/ HTTP/1.1\r\nHost: a\r\n",
        Err(TargetError::HostMismatch),
    ),
    (
        "CONNECT a:22 HTTP/1.1\r\nHost: a:22\r\n",
        Ok(Some(("a", Some(22)))),
    ),
    (
        "CONNECT a:22 HTTP/1.1\r\nHost: b:22\r\n",
        Err(TargetError::HostMismatch),
    ),
];

#[test]
fn host_and_target_must_agree() {
    for &(lines, expected) in HOSTS {
        let bytes = format!("{lines}\r\n");
        with_request(bytes.as_bytes(), |request| {
            let mut scratch = Vec::new();
            let target = parse_target(request.method(), request.target(), &mut scratch)
                .expect("the target is good");
            let found = effective_authority(request, &target);
            let found = found.map(|authority| authority.map(|a| (a.host, a.port)));
            let expected = expected.map(|a| a.map(|(host, port)| (host.as_bytes(), port)));
            assert_eq!(found, expected, "{lines}");
        });
    }
    let error = TargetError::HostMismatch;
    assert_eq!(
        (error.status(), error.to_string()),
        (400, error.reason().to_owned())
    );
}
