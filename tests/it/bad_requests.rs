//! Requests that no node may take (RFC 9112, and the known ways of request smuggling): a short 4xx,
//! a closed connection, and nothing at the upstream.

use crate::harness::{Client, Node, NodeConfig, Upstream, WireError};

/// A name, the bytes, and the statuses that are right.
type Row<'a> = (&'a str, Vec<u8>, &'a [u16]);

const BAD: &[u16] = &[400];

/// Every row on a connection of its own: exactly one answer, of a right status, saying that the
/// connection ends, and then its end.
#[track_caller]
fn check(node: &Node, upstream: &Upstream, rows: &[Row<'_>]) {
    let mut wrong = Vec::new();
    for (name, bytes, statuses) in rows {
        let mut client = node.client();
        // The node may close before everything is written; what it answered is what counts.
        let _ = client.wire.write(bytes);
        match client.try_answer("GET") {
            Ok(response) => {
                if !statuses.contains(&response.status) {
                    wrong.push(format!("{name}: {} for {statuses:?}", response.status));
                }
                if !response.closes() {
                    wrong.push(format!(
                        "{name}: does not say that it closes: {:?}",
                        response.head
                    ));
                }
                if response.body.len() > 500 {
                    wrong.push(format!(
                        "{name}: {} bytes of explanation",
                        response.body.len()
                    ));
                }
            }
            Err(error) => wrong.push(format!("{name}: {error}")),
        }
        let (rest, end) = client.wire.drain();
        if !rest.is_empty() {
            wrong.push(format!("{name}: then {:?}", String::from_utf8_lossy(&rest)));
        }
        if !matches!(end, WireError::Closed | WireError::Reset) {
            wrong.push(format!("{name}: not closed: {end}"));
        }
    }
    let received: Vec<_> = upstream
        .received()
        .iter()
        .map(|r| r.head.start.clone())
        .collect();
    assert!(
        wrong.is_empty(),
        "{} of {} rows: {wrong:#?}",
        wrong.len(),
        rows.len()
    );
    assert!(received.is_empty(), "reached the upstream: {received:?}");
}

fn raw(name: &str, text: &str) -> Row<'static> {
    (
        Box::leak(name.to_owned().into_boxed_str()),
        text.as_bytes().to_vec(),
        BAD,
    )
}

/// A POST with these header lines (each without CRLF) and this body.
pub(crate) fn post(lines: &[&str], body: &str) -> Vec<u8> {
    let mut text = "POST /a HTTP/1.1\r\nHost: a\r\n".to_owned();
    for line in lines {
        text += line;
        text += "\r\n";
    }
    (text + "\r\n" + body).into_bytes()
}

#[test]
fn two_framings_are_none() {
    let upstream = Upstream::start();
    let node = Node::before(&upstream);
    let chunked = "Transfer-Encoding: chunked";
    let smuggled = "0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";
    let mut rows: Vec<Row<'_>> = vec![
        (
            "CL then TE",
            post(&["Content-Length: 6", chunked], smuggled),
            BAD,
        ),
        (
            "TE then CL",
            post(&[chunked, "Content-Length: 6"], smuggled),
            BAD,
        ),
        (
            "TE and CL: 0",
            post(&[chunked, "Content-Length: 0"], smuggled),
            BAD,
        ),
    ];
    for lengths in [
        &["5", "6"][..],
        &["5", "5"],
        &["5, 5"],
        &["5,6"],
        &["+5"],
        &["-5"],
        &["-0"],
        &["0x5"],
        &["5 5"],
        &["5_0"],
        &["5.0"],
        &["5;"],
        &["five"],
        &[""],
        &["99999999999999999999"],
        &["18446744073709551616"],
        &["\u{665}"],
        &["5", ""],
    ] {
        let lines: Vec<String> = lengths
            .iter()
            .map(|l| format!("Content-Length: {l}"))
            .collect();
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        let name = format!("Content-Length {lengths:?}");
        rows.push((Box::leak(name.into_boxed_str()), post(&lines, "hello"), BAD));
    }
    check(&node, &upstream, &rows);
}

#[test]
fn a_transfer_coding_is_chunked_once_or_refused() {
    let upstream = Upstream::start();
    let node = Node::before(&upstream);
    let smuggled = "0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";
    let mut rows = Vec::new();
    for value in [
        "chunked, identity",
        "identity, chunked",
        "identity",
        "gzip, chunked",
        "chunked, chunked",
        ", chunked",
        "chunked,",
        "xchunked",
        "chunked;q=1",
        "chunked foo",
        "\u{b}chunked",
        "\"chunked\"",
        "",
        "gzip",
        "cow",
    ] {
        let name = format!("Transfer-Encoding: {value:?}");
        let line = format!("Transfer-Encoding: {value}");
        let statuses: &[u16] = &[400, 501];
        rows.push((
            &*Box::leak(name.into_boxed_str()),
            post(&[&line], smuggled),
            statuses,
        ));
    }
    rows.push((
        "two TE lines",
        post(
            &["Transfer-Encoding: chunked", "Transfer-Encoding: chunked"],
            smuggled,
        ),
        BAD,
    ));
    rows.push((
        "two TE lines, one odd",
        post(
            &["Transfer-Encoding: chunked", "Transfer-Encoding: cow"],
            smuggled,
        ),
        &[400, 501],
    ));
    rows.push((
        "Transfer_Encoding",
        post(&["Transfer_Encoding: chunked"], ""),
        BAD,
    ));
    rows.push(("Content_Length", post(&["Content_Length: 5"], ""), BAD));
    rows.push(raw(
        "chunked in HTTP/1.0",
        "POST /a HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ));
    check(&node, &upstream, &rows);
}

#[test]
fn line_ends_and_white_space_are_exact() {
    let upstream = Upstream::start();
    let node = Node::before(&upstream);
    let rows = [
        raw("all bare LF", "GET / HTTP/1.1\nHost: a\n\n"),
        raw(
            "bare LF after the request line",
            "GET / HTTP/1.1\nHost: a\r\n\r\n",
        ),
        raw(
            "bare LF after a field",
            "GET / HTTP/1.1\r\nHost: a\nX: b\r\n\r\n",
        ),
        raw(
            "bare LF as the blank line",
            "GET / HTTP/1.1\r\nHost: a\r\n\n",
        ),
        raw(
            "bare CR in a value",
            "GET / HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n",
        ),
        raw(
            "bare CR before a name",
            "GET / HTTP/1.1\r\nHost: a\r\n\rX: b\r\n\r\n",
        ),
        raw("CR CR LF", "GET / HTTP/1.1\r\nHost: a\r\r\n\r\n"),
        raw(
            "NUL in a value",
            "GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n",
        ),
        raw(
            "a control byte in a value",
            "GET / HTTP/1.1\r\nHost: a\r\nX: a\u{1}b\r\n\r\n",
        ),
        raw(
            "DEL in a value",
            "GET / HTTP/1.1\r\nHost: a\r\nX: a\u{7f}b\r\n\r\n",
        ),
        raw("CR in the target", "GET /\r HTTP/1.1\r\nHost: a\r\n\r\n"),
        raw("NUL in the target", "GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n"),
        raw("TAB in the target", "GET /\tb HTTP/1.1\r\nHost: a\r\n\r\n"),
        raw("NUL in the method", "G\0T / HTTP/1.1\r\nHost: a\r\n\r\n"),
        raw(
            "obs-fold",
            "GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n",
        ),
        raw(
            "obs-fold by TAB",
            "GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n\tb\r\n\r\n",
        ),
        raw(
            "folded Transfer-Encoding",
            "GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\r\n chunked\r\n\r\n",
        ),
        raw(
            "SP before the first field",
            "GET / HTTP/1.1\r\n Host: a\r\n\r\n",
        ),
        raw(
            "SP before the colon",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length : 5\r\n\r\nhello",
        ),
        raw(
            "TAB before the colon",
            "GET / HTTP/1.1\r\nHost: a\r\nX\t: 5\r\n\r\n",
        ),
        raw("no colon", "GET / HTTP/1.1\r\nHost: a\r\nX\r\n\r\n"),
        raw("no name", "GET / HTTP/1.1\r\nHost: a\r\n: x\r\n\r\n"),
        raw(
            "a slash in a name",
            "GET / HTTP/1.1\r\nHost: a\r\nFoo/bar: x\r\n\r\n",
        ),
        raw(
            "a space in a name",
            "GET / HTTP/1.1\r\nHost: a\r\nFoo bar: x\r\n\r\n",
        ),
        raw(
            "a parenthesis in a name",
            "GET / HTTP/1.1\r\nHost: a\r\nFoo(: x\r\n\r\n",
        ),
        raw(
            "a letter beyond ASCII in a name",
            "GET / HTTP/1.1\r\nHost: a\r\nFoo\u{ef}: x\r\n\r\n",
        ),
        raw(
            "TAB in the request line",
            "GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n",
        ),
        raw("two spaces", "GET  / HTTP/1.1\r\nHost: a\r\n\r\n"),
        raw(
            "two spaces before the version",
            "GET /  HTTP/1.1\r\nHost: a\r\n\r\n",
        ),
        raw("a space at the end", "GET / HTTP/1.1 \r\nHost: a\r\n\r\n"),
        raw("a space at the start", " GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
        raw("no target", "GET HTTP/1.1\r\nHost: a\r\n\r\n"),
        raw("no version", "GET /\r\nHost: a\r\n\r\n"),
        raw(
            "a method that is no token",
            "G(T / HTTP/1.1\r\nHost: a\r\n\r\n",
        ),
        raw("a TLS hello", "\u{16}\u{3}\u{1}\u{2}\0\u{1}\0\r\n\r\n"),
        raw("lower-case protocol", "GET / http/1.1\r\nHost: a\r\n\r\n"),
        raw("a longer version", "GET / HTTP/1.10\r\nHost: a\r\n\r\n"),
        raw("a version of letters", "GET / HTTP/x.y\r\nHost: a\r\n\r\n"),
    ];
    let rows = rows.map(|(name, bytes, _)| (name, bytes, &[400, 505][..]));
    check(&node, &upstream, &rows);
}

#[test]
fn other_versions_are_not_spoken() {
    let upstream = Upstream::start();
    let node = Node::before(&upstream);
    let statuses: &[u16] = &[400, 505];
    let rows = [
        (
            "HTTP/2.0",
            b"GET / HTTP/2.0\r\nHost: a\r\n\r\n".to_vec(),
            statuses,
        ),
        (
            "HTTP/1.2",
            b"GET / HTTP/1.2\r\nHost: a\r\n\r\n".to_vec(),
            statuses,
        ),
        (
            "HTTP/0.9",
            b"GET / HTTP/0.9\r\nHost: a\r\n\r\n".to_vec(),
            statuses,
        ),
        (
            "HTTP/3.0",
            b"GET / HTTP/3.0\r\nHost: a\r\n\r\n".to_vec(),
            statuses,
        ),
        (
            "the HTTP/2 preface",
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(),
            statuses,
        ),
    ];
    check(&node, &upstream, &rows);
}

#[test]
fn chunks_are_exact() {
    let upstream = Upstream::start();
    let node = Node::before(&upstream);
    // What follows the bad place would be a request of its own to a lenient reader.
    let after = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";
    let mut rows = Vec::new();
    let extension = "x".repeat(300);
    let long_extension = format!("5;{extension}\r\nhello\r\n0\r\n\r\n");
    let many = "1;extension=abcdefghijklmnopqrstuvwxyz\r\nx\r\n".repeat(2_000) + "0\r\n\r\n";
    let trailers = "0\r\n".to_owned() + &"X-Trailer: abcdefgh\r\n".repeat(2_000) + "\r\n";
    for body in [
        "\r\n",
        " 5\r\nhello\r\n0\r\n\r\n",
        "5 \r\nhello\r\n0\r\n\r\n",
        "0x5\r\nhello\r\n0\r\n\r\n",
        "-1\r\nhello\r\n0\r\n\r\n",
        "+5\r\nhello\r\n0\r\n\r\n",
        "5_0\r\nhello\r\n0\r\n\r\n",
        "g\r\nhello\r\n0\r\n\r\n",
        "\u{665}\r\nhello\r\n0\r\n\r\n",
        "10000000000000000\r\nhello\r\n0\r\n\r\n",
        "fffffffffffffffff\r\nhello\r\n0\r\n\r\n",
        "5\nhello\r\n0\r\n\r\n",
        "5\r\nhello\n0\r\n\r\n",
        "5\r\nhelloXX0\r\n\r\n",
        "5\r\nhello!\r\n0\r\n\r\n",
        "5\r\nhell\r\n0\r\n\r\n",
        "5;\nhello\r\n0\r\n\r\n",
        "5;a\nb\r\nhello\r\n0\r\n\r\n",
        "5;a\rX\r\nhello\r\n0\r\n\r\n",
        "5;a\0b\r\nhello\r\n0\r\n\r\n",
        ";x\r\nhello\r\n0\r\n\r\n",
        "5\r\nhello\r\n0\n\r\n",
        "5\r\nhello\r\n0\r\n\n",
        "5\r\nhello\r\n0\r\nX: y\n\r\n",
        "5\r\nhello\r\n0\r\nno colon\r\n\r\n",
        "5\r\nhello\r\n0\r\nX : y\r\n\r\n",
        "5\r\nhello\r\n0\r\n folded\r\n\r\n",
        &long_extension,
        &many,
        &trailers,
    ] {
        let text = format!("{body}{after}");
        let shown: String = body.chars().take(40).collect();
        let name = format!("chunks {shown:?}");
        let bytes = post(&["Transfer-Encoding: chunked"], &text);
        let statuses: &[u16] = &[400, 413, 431, 502];
        rows.push((&*Box::leak(name.into_boxed_str()), bytes, statuses));
    }
    check_without_a_second_request(&node, &upstream, &rows);
}

/// For bodies that go wrong after the head was good: the upstream may have seen the head, but
/// never a whole request and never the smuggled one, and the client gets at most one answer.
#[track_caller]
fn check_without_a_second_request(node: &Node, upstream: &Upstream, rows: &[Row<'_>]) {
    // Reads bodies until the node gives up; a whole body would be answered 200, which is wrong.
    upstream
        .expect("POST /a")
        .always()
        .reply(200)
        .body("the upstream took it");
    let mut wrong = Vec::new();
    for (name, bytes, statuses) in rows {
        let mut client = node.client();
        let _ = client.wire.write(bytes);
        match client.try_answer("POST") {
            Ok(response) if statuses.contains(&response.status) && response.closes() => {}
            Ok(response) => wrong.push(format!("{name}: {} {:?}", response.status, response.head)),
            // Cutting the connection is right too once the head has been forwarded.
            Err(WireError::Closed | WireError::Reset) => {}
            Err(error) => wrong.push(format!("{name}: {error}")),
        }
        let (rest, end) = client.wire.drain();
        if !rest.is_empty() || !matches!(end, WireError::Closed | WireError::Reset) {
            wrong.push(format!(
                "{name}: then {:?}, {end}",
                String::from_utf8_lossy(&rest)
            ));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {} rows: {wrong:#?}",
        wrong.len(),
        rows.len()
    );
    let smuggled = upstream
        .received()
        .iter()
        .any(|r| r.head.start.contains("smuggled"));
    assert!(!smuggled, "a smuggled request reached the upstream");
}

#[test]
fn host_and_target_agree() {
    let upstream = Upstream::start();
    let node = Node::before(&upstream);
    let mut rows = vec![
        raw("no Host", "GET / HTTP/1.1\r\n\r\n"),
        raw("two Hosts", "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"),
        raw(
            "two equal Hosts",
            "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
        ),
        raw(
            "absolute-form and another Host",
            "GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n",
        ),
        raw(
            "absolute-form and another port",
            "GET http://a:81/ HTTP/1.1\r\nHost: a\r\n\r\n",
        ),
        raw(
            "absolute-form with userinfo",
            "GET http://u@a/ HTTP/1.1\r\nHost: a\r\n\r\n",
        ),
        raw(
            "absolute-form without a host",
            "GET http:/// HTTP/1.1\r\nHost: a\r\n\r\n",
        ),
        raw("another scheme", "GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n"),
        raw(
            "a target without a slash",
            "GET a HTTP/1.1\r\nHost: a\r\n\r\n",
        ),
        raw(
            "authority-form for GET",
            "GET a:80 HTTP/1.1\r\nHost: a\r\n\r\n",
        ),
        raw("asterisk-form for GET", "GET * HTTP/1.1\r\nHost: a\r\n\r\n"),
    ];
    for host in [
        "", "a:0", "a:65536", "a:b", "u@a", "a/", "a, b", "a b", "a\\b", "a?b", "a#b", "http://a",
        "[::1", "::1", "[::1]x", "[zz]", "a%00", "a\u{e9}",
    ] {
        let text = format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n");
        rows.push(raw(&format!("Host: {host:?}"), &text));
    }
    check(&node, &upstream, &rows);
}

#[test]
fn targets_that_two_readers_could_read_differently() {
    let upstream = Upstream::start();
    let node = Node::before(&upstream);
    let mut rows = Vec::new();
    for target in [
        "/../a",
        "/a/../../b",
        "/%2e%2e/a",
        "/..",
        "/a/%2E./%2e%2e/b",
        "/a%00b",
        "/%00",
        "/a\\b",
        "/a#f",
        "/a?b#f",
        "/%zz",
        "/%2",
        "/%",
        "/a%",
        "/a\u{e9}",
    ] {
        let text = format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n");
        rows.push(raw(&format!("target {target:?}"), &text));
    }
    check(&node, &upstream, &rows);
}

#[test]
fn only_configured_places_are_ever_dialled() {
    let upstream = Upstream::start();
    let elsewhere = Upstream::start();
    let node = NodeConfig::before(&upstream)
        .rest("[[site]]\nhosts = [\"unused.example\"]\nupstream = \"u\"\n")
        .start();
    let address = elsewhere.address();
    let rows = [
        (
            "CONNECT",
            format!("CONNECT {address} HTTP/1.1\r\nHost: {address}\r\n\r\n").into_bytes(),
            &[400, 405, 501][..],
        ),
        (
            "CONNECT to a name",
            b"CONNECT x:22 HTTP/1.1\r\nHost: x:22\r\n\r\n".to_vec(),
            &[400, 405, 501],
        ),
    ];
    check(&node, &upstream, &rows);
    // Absolute-form names a host, not a place to connect to.
    upstream
        .expect("GET /meta")
        .with("Host", &address.to_string())
        .reply(200)
        .body("configured");
    let mut client = node.client();
    client.write(format!(
        "GET http://{address}/meta HTTP/1.1\r\nHost: {address}\r\n\r\n"
    ));
    client.answer("GET").is(200).body("configured");
    assert_eq!(elsewhere.connections(), 0);
    elsewhere.heard_nothing();
}

#[test]
fn a_host_without_a_site_is_421() {
    let upstream = Upstream::start();
    let listed = NodeConfig::before(&upstream)
        .text()
        .replace("[\"*\"]", "[\"here.example\"]");
    let node = NodeConfig::from_text(&listed).start();
    upstream.expect("GET /").reply(200).body("here");
    node.get("/").host("elsewhere.example").send().is(421);
    let nameless = node.get("/").http10().send();
    assert!(matches!(nameless.status, 400 | 421), "{nameless:?}");
    node.get("/")
        .host("here.example")
        .send()
        .is(200)
        .body("here");
}

#[test]
fn after_a_bad_request_the_rest_is_not_read() {
    let upstream = Upstream::start();
    let node = Node::before(&upstream);
    let bad = "GET / HTTP/1.1\r\nHost: a\r\nX : y\r\n\r\n";
    let good = "GET /good HTTP/1.1\r\nHost: a\r\n\r\n";
    let rows = [raw("bad, then good", &format!("{bad}{good}{good}"))];
    check(&node, &upstream, &rows);
    // Good ones before it are answered, in order, and then the bad one.
    upstream
        .expect("GET /good")
        .times(2)
        .reply(200)
        .body("good");
    let mut client = node.client();
    client.write(format!("{good}{good}{bad}{good}"));
    client.answer("GET").is(200).body("good");
    client.answer("GET").is(200).body("good");
    client.answer("GET").is(400);
    client.is_closed();
}

#[test]
fn a_body_after_a_hit_is_never_a_request() {
    let upstream = Upstream::start();
    let node = Node::before(&upstream);
    let fresh = ("Cache-Control", "max-age=60");
    upstream
        .expect("GET /a")
        .without("Content-Length")
        .reply(200)
        .header(fresh.0, fresh.1);
    upstream.expect("GET /a").always().reply(200).body("fat");
    upstream.expect("HEAD /a").always().reply(200);
    node.get("/a").send().is(200);
    node.get("/a").send().cache("hit");
    let smuggled = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";
    for method in ["GET", "HEAD"] {
        for expect in ["", "Expect: 100-continue\r\n"] {
            for framing in [
                format!("Content-Length: {}\r\n\r\n{smuggled}", smuggled.len()),
                format!(
                    "Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{smuggled}\r\n0\r\n\r\n",
                    smuggled.len()
                ),
            ] {
                let mut client = node.client();
                client.write(format!(
                    "{method} /a HTTP/1.1\r\nHost: a\r\n{expect}{framing}"
                ));
                let response = client.answer(method);
                assert!(
                    matches!(response.status, 200 | 400 | 413 | 417),
                    "{response:?}"
                );
                if response.closes() {
                    client.is_closed();
                } else {
                    client.get("/a").host("a").send().is(200);
                }
            }
        }
    }
    let lines: Vec<_> = upstream
        .received()
        .iter()
        .map(|r| r.head.start.clone())
        .collect();
    assert!(
        !lines.iter().any(|line| line.contains("smuggled")),
        "{lines:?}"
    );
}

#[test]
fn an_unknown_expectation_is_refused() {
    let upstream = Upstream::start();
    let node = Node::before(&upstream);
    let mut client = node.client();
    let response = client
        .ask("POST", "/a")
        .header("Expect", "a-miracle")
        .body("x")
        .send();
    response.is(417);
    upstream.heard_nothing();
}

#[test]
fn the_client_of_the_harness_is_as_strict_about_answers() {
    // The table above believes what this client says of answers; here it meets wrong ones.
    let upstream = Upstream::start();
    for (at, answer) in [
        "HTTP/1.1 200 OK\nDate: x\n\n",
        "HTTP/1.1 200 OK\r\nDate: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nDate: x\r\nTransfer-Encoding: chunked\r\n\r\n1;x\r\na\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nDate: x\r\nVary: a\r\nVary: b\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    ]
    .iter()
    .enumerate()
    {
        let target = format!("/{at}");
        upstream
            .expect(&format!("GET {target}"))
            .raw(answer)
            .close();
        let result = Client::connect(upstream.address()).get(&target).try_send();
        assert!(result.is_err(), "taken for an answer: {answer:?}");
    }
}
