//! Upstreams and clients that fail: 502, 504 or a cut connection, never a stored part, never a
//! dirty connection used again, never harm to others.

use std::net::TcpListener;
use std::time::Duration;

use crate::harness::{Gate, Node, NodeConfig, Upstream, WireError, eventually, pattern, pause};

const FRESH: (&str, &str) = ("Cache-Control", "max-age=60");

#[test]
fn a_refused_connection_is_502() {
    let port = {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free loopback port");
        listener
            .local_addr()
            .expect("a bound socket has an address")
    };
    let node = NodeConfig::before_address(&port.to_string()).start();
    for _ in 0..3 {
        node.get("/a").send().is(502);
        node.ask("POST", "/a").body("x").send().is(502);
    }
    node.ask("HEAD", "/a").send().is(502).body("");
}

#[test]
fn an_upstream_that_does_not_answer_is_504() {
    let upstream = Upstream::start();
    let node = NodeConfig::before(&upstream)
        .upstream_keys("response_timeout = \"2s\"")
        .start();
    upstream.expect("GET /silent").await_close();
    upstream.expect("POST /silent").await_close();
    upstream
        .expect("GET /half")
        .raw("HTTP/1.1 200 OK\r\nContent-Le")
        .await_close();
    upstream.expect("GET /drip").drip(
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        1,
        Duration::from_millis(100),
    );
    upstream.expect("GET /next").reply(200).body("well");
    // Side by side, each on a connection of its own. A head that comes in time piece by piece is late
    // all the same. Nobody waits for longer than the client's patience, which is below the node's
    // own timeouts when none is configured.
    std::thread::scope(|scope| {
        for target in ["/silent", "/half", "/drip"] {
            let node = &node;
            scope.spawn(move || node.get(target).send().is(504).status);
        }
        node.ask("POST", "/silent").body("x").send().is(504);
    });
    node.get("/next").send().is(200).body("well");
}

/// Answers that are no HTTP response a proxy may pass on.
#[test]
fn garbage_from_the_upstream_is_502_and_never_stored() {
    let upstream = Upstream::start();
    let node = Node::before(&upstream);
    let ok = "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\n";
    let rows: Vec<(&str, String)> = vec![
        ("noise", "\u{1}\u{2}\u{3} this is not HTTP\r\n\r\n".into()),
        ("an SSH banner", "SSH-2.0-OpenSSH_9.2\r\n\r\n".into()),
        ("HTTP/0.9", "<html>hello</html>".into()),
        (
            "two lengths",
            format!("{ok}Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!"),
        ),
        (
            "a length and chunked",
            format!("{ok}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        ),
        (
            "a length that is none",
            format!("{ok}Content-Length: five\r\n\r\nhello"),
        ),
        (
            "a signed length",
            format!("{ok}Content-Length: +5\r\n\r\nhello"),
        ),
        (
            "an enormous length",
            format!("{ok}Content-Length: 99999999999999999999\r\n\r\nhello"),
        ),
        (
            "an unknown coding",
            format!("{ok}Transfer-Encoding: cow\r\n\r\nhello"),
        ),
        (
            "chunked twice",
            format!("{ok}Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n"),
        ),
        (
            "a bare LF",
            format!("{}\n\n", ok.replace("\r\n", "\n").trim_end()),
        ),
        (
            "a bare CR in a value",
            format!("{ok}X: a\rb\r\nContent-Length: 5\r\n\r\nhello"),
        ),
        (
            "NUL in a value",
            format!("{ok}X: a\0b\r\nContent-Length: 5\r\n\r\nhello"),
        ),
        (
            "a control byte in a value",
            format!("{ok}X: a\u{1}b\r\nContent-Length: 5\r\n\r\nhello"),
        ),
        (
            "obs-fold",
            format!("{ok}X: a\r\n b\r\nContent-Length: 5\r\n\r\nhello"),
        ),
        (
            "SP before the colon",
            format!("{ok}X : a\r\nContent-Length: 5\r\n\r\nhello"),
        ),
        (
            "no colon",
            format!("{ok}X\r\nContent-Length: 5\r\n\r\nhello"),
        ),
        (
            "a status of two digits",
            "HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n".into(),
        ),
        (
            "a status of four digits",
            "HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n".into(),
        ),
        (
            "status 000",
            "HTTP/1.1 000 No\r\nContent-Length: 0\r\n\r\n".into(),
        ),
        (
            "status 999",
            "HTTP/1.1 999 No\r\nContent-Length: 0\r\n\r\n".into(),
        ),
        (
            "status 600",
            "HTTP/1.1 600 No\r\nCache-Control: max-age=60\r\nContent-Length: 0\r\n\r\n".into(),
        ),
        (
            "HTTP/2.0",
            "HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n".into(),
        ),
        (
            "a head of 100 KB",
            format!(
                "{ok}X: {}\r\nContent-Length: 0\r\n\r\n",
                "x".repeat(100_000)
            ),
        ),
        (
            "256 lines",
            format!("{ok}{}Content-Length: 0\r\n\r\n", "X: y\r\n".repeat(254)),
        ),
        (
            "1000 lines",
            format!("{ok}{}Content-Length: 0\r\n\r\n", "X: y\r\n".repeat(1000)),
        ),
        (
            "an unasked 101",
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: foo\r\nConnection: Upgrade\r\n\r\n"
                .into(),
        ),
        (
            "an unasked 304",
            "HTTP/1.1 304 Not Modified\r\nETag: \"1\"\r\n\r\n".into(),
        ),
        ("nothing", String::new()),
        ("half a head", "HTTP/1.1 200 OK\r\nContent-".into()),
    ];
    let mut wrong = Vec::new();
    for (at, (name, answer)) in rows.iter().enumerate() {
        let target = format!("/{at}");
        upstream
            .expect(&format!("GET {target}"))
            .times(2)
            .raw(answer)
            .close();
        for _ in 0..2 {
            match node.get(&target).try_send() {
                Ok(response) if response.status == 502 => {}
                other => wrong.push(format!("{name}: {other:?}")),
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {} rows: {wrong:#?}",
        wrong.len(),
        rows.len()
    );
}

/// Bodies that break off: the client must be able to tell, and the part is never stored.
#[test]
fn a_body_that_breaks_off_is_cut_and_never_stored() {
    let upstream = Upstream::start();
    let node = Node::before(&upstream);
    let head = "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\n";
    let rows: Vec<(&str, String)> = vec![
        (
            "short of its length",
            format!("{head}Content-Length: 100\r\n\r\nonly this"),
        ),
        (
            "no byte of it",
            format!("{head}Content-Length: 100\r\n\r\n"),
        ),
        (
            "short of its chunk",
            format!("{head}Transfer-Encoding: chunked\r\n\r\n64\r\nonly this"),
        ),
        (
            "no last chunk",
            format!("{head}Transfer-Encoding: chunked\r\n\r\n4\r\nthis\r\n"),
        ),
        (
            "no end of the trailers",
            format!("{head}Transfer-Encoding: chunked\r\n\r\n4\r\nthis\r\n0\r\n"),
        ),
        (
            "a bad chunk size",
            format!("{head}Transfer-Encoding: chunked\r\n\r\n4\r\nthis\r\nxyz\r\n\r\n"),
        ),
        (
            "a bad chunk end",
            format!("{head}Transfer-Encoding: chunked\r\n\r\n4\r\nthisXX0\r\n\r\n"),
        ),
        (
            "a bare LF after a chunk",
            format!("{head}Transfer-Encoding: chunked\r\n\r\n4\r\nthis\n0\r\n\r\n"),
        ),
    ];
    for (at, (name, answer)) in rows.iter().enumerate() {
        let target = format!("/{at}");
        upstream
            .expect(&format!("GET {target}"))
            .times(2)
            .raw(answer)
            .close();
        for _ in 0..2 {
            match node.get(&target).try_send() {
                Ok(response) => assert_eq!(response.status, 502, "{name}: {response:?}"),
                Err(WireError::Truncated(_) | WireError::Reset) => {}
                Err(error) => panic!("{name}: {error}"),
            }
        }
        upstream
            .expect(&format!("GET {target}"))
            .reply(200)
            .header(FRESH.0, FRESH.1)
            .body("whole");
        node.get(&target).send().is(200).cache("miss").body("whole");
        node.get(&target).send().is(200).cache("hit").body("whole");
    }
    for (name, reset) in [("reset", true), ("closed", false)] {
        let target = format!("/{name}");
        let script = upstream.expect(&format!("GET {target}")).raw(format!(
            "{head}Content-Length: 1000000\r\n\r\n{}",
            "x".repeat(100_000)
        ));
        if reset {
            script.reset()
        } else {
            script.close()
        };
        let mut client = node.client();
        client.get(&target).begin();
        match client.try_answer("GET") {
            // The node may have seen the end before it had sent a byte.
            Ok(response) => drop(response.is(502)),
            Err(error) => assert!(
                matches!(error, WireError::Truncated(_) | WireError::Reset),
                "{error}"
            ),
        }
        upstream
            .expect(&format!("GET {target}"))
            .reply(200)
            .header(FRESH.0, FRESH.1)
            .body("whole");
        node.get(&target).send().is(200).cache("miss").body("whole");
    }
}

#[test]
fn a_body_cut_for_the_leader_is_cut_for_its_followers() {
    let upstream = Upstream::start();
    let node = Node::before(&upstream);
    let gate = Gate::new();
    upstream
        .expect("GET /a")
        .raw("HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 100\r\n\r\nfirst")
        .wait(&gate)
        .close();
    let mut clients: Vec<_> = (0..6).map(|_| node.client()).collect();
    for client in &mut clients {
        client.get("/a").begin();
        client.answer_head("GET").is(200);
        assert_eq!(client.body_bytes(5), b"first");
    }
    gate.open();
    for client in &mut clients {
        client.is_closed();
    }
    upstream.expect("GET /a").reply(200).body("well");
    node.get("/a").send().is(200).body("well");
}

/// After these answers the connection must not carry another request, or the next client would
/// read what was left.
#[test]
fn a_dirty_connection_is_never_used_again() {
    let upstream = Upstream::start();
    let node = NodeConfig::before(&upstream).node("workers = 1").start();
    let evil = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil";
    let rows = [
        (
            "bytes after the body",
            format!("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfine{evil}"),
        ),
        (
            "bytes after the last chunk",
            format!(
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nfine\r\n0\r\n\r\n{evil}"
            ),
        ),
        ("a body after 204", format!("HTTP/1.1 204 No\r\n\r\n{evil}")),
        (
            "a body after 304",
            format!("HTTP/1.1 304 No\r\nETag: \"1\"\r\n\r\n{evil}"),
        ),
        (
            "Connection: close and more",
            format!("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 4\r\n\r\nfine{evil}"),
        ),
        (
            "a second answer at once",
            format!("HTTP/1.1 404 No\r\nContent-Length: 2\r\n\r\nno{evil}"),
        ),
        (
            "HTTP/1.0",
            format!("HTTP/1.0 200 OK\r\nContent-Length: 4\r\n\r\nfine{evil}"),
        ),
    ];
    for (at, (name, answer)) in rows.iter().enumerate() {
        upstream.expect(&format!("GET /{at}")).raw(answer);
        let first = node
            .get(&format!("/{at}"))
            .header("If-None-Match", "\"1\"")
            .send();
        assert!(!first.text().contains("evil"), "{name}: {first:?}");
        upstream.expect("GET /next").reply(200).body("fine");
        assert_eq!(
            node.get("/next").send().is(200).text(),
            "fine",
            "after {name}"
        );
    }
    upstream
        .expect("HEAD /head")
        .raw("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil");
    upstream
        .expect("GET /head")
        .perhaps()
        .reply(200)
        .body("fine");
    // A condition that only the upstream may evaluate keeps the HEAD a HEAD.
    node.ask("HEAD", "/head")
        .header("If-Match", "*")
        .send()
        .is(200);
    upstream.expect("GET /next").reply(200).body("fine");
    node.get("/next").send().is(200).body("fine");
}

#[test]
fn a_pooled_connection_gone_stale_is_retried_for_get_and_not_for_post() {
    let upstream = Upstream::start();
    let node = NodeConfig::before(&upstream).node("workers = 1").start();
    let mut client = node.client();
    for round in 0..3 {
        upstream.expect("GET /a").reply(200).body("warm");
        client.get("/a").send().is(200).body("warm");
        upstream.close_all();
        upstream.wait_open(0);
        upstream
            .expect("GET /b")
            .reply(200)
            .body(format!("round {round}"));
        client
            .get("/b")
            .send()
            .is(200)
            .body(format!("round {round}"));
        let connections: Vec<_> = upstream.received().iter().map(|r| r.connection).collect();
        let [.., warm, retried] = connections[..] else {
            panic!("{connections:?}")
        };
        assert!(
            retried > warm,
            "answered on a connection that was closed: {connections:?}"
        );
    }
    // The upstream takes the request and dies before it answers: a GET may be sent again on a
    // fresh connection, a POST never, for it may have been carried out.
    upstream.expect("GET /c").close();
    upstream
        .expect("GET /c")
        .perhaps()
        .reply(200)
        .body("second try");
    let retried = client.get("/c").send();
    assert!(matches!(retried.status, 200 | 502), "{retried:?}");
    upstream.expect("GET /warm").reply(200);
    client.get("/warm").send().is(200);
    upstream.expect("POST /d").close();
    client.ask("POST", "/d").body("pay").send().is(502);
    let posts = upstream
        .received()
        .iter()
        .filter(|r| r.line() == "POST /d")
        .count();
    assert_eq!(posts, 1, "a POST was sent twice");
}

#[test]
fn an_upstream_that_half_closes_after_its_answer_is_believed() {
    let upstream = Upstream::start();
    let node = Node::before(&upstream);
    upstream
        .expect("GET /a")
        .reply(200)
        .header(FRESH.0, FRESH.1)
        .body("whole")
        .half_close();
    // The end of the connection may come after the next request has left on it; a GET is tried
    // once more then.
    upstream.expect("GET /b").reply(200).body("next");
    upstream.expect("GET /b").perhaps().reply(200).body("next");
    let mut client = node.client();
    client.get("/a").send().is(200).body("whole");
    client.get("/a").send().cache("hit");
    client.get("/b").send().is(200).body("next");
    // On a connection used before, silence may mean that it had gone stale: one more try.
    upstream.expect("GET /c").half_close().await_close();
    upstream
        .expect("GET /c")
        .perhaps()
        .half_close()
        .await_close();
    client.get("/c").send().is(502);
}

#[test]
fn a_client_that_half_closes_still_gets_its_answer() {
    let upstream = Upstream::start();
    let node = Node::before(&upstream);
    let gate = Gate::new();
    upstream
        .expect("GET /a")
        .wait(&gate)
        .reply(200)
        .body("late");
    let mut client = node.client();
    client.get("/a").begin();
    client.wire.half_close();
    upstream.wait_received(1);
    gate.open();
    // A node may take the half-close for a vanished client; if it answers, then wholly.
    match client.try_answer("GET") {
        Ok(response) => drop(response.is(200).body("late")),
        Err(error) => assert!(
            matches!(error, WireError::Closed | WireError::Reset),
            "{error}"
        ),
    }
}

#[test]
fn a_client_that_vanishes_in_its_body_harms_nobody() {
    let upstream = Upstream::start();
    let node = Node::before(&upstream);
    upstream
        .expect("POST /a")
        .always()
        .reply(200)
        .body("took it");
    upstream.expect("GET /b").always().reply(200).body("fine");
    for _ in 0..20 {
        let mut client = node.client();
        client.write("POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\npart");
        client.write(pattern(10_000));
        drop(client);
        let mut client = node.client();
        client.write("POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel");
        drop(client);
        node.get("/b").send().is(200).body("fine");
    }
    // The upstream's side of each is given up too, not left waiting for the rest.
    eventually("the half-sent requests are given up", || {
        let open = upstream.open();
        (open <= 4).then_some(())
    });
    let whole = upstream
        .received()
        .iter()
        .any(|r| r.line() == "POST /a" && r.body.len() == 1_000_000);
    assert!(!whole, "a body was made whole that never was");
}

#[test]
fn an_upload_cut_by_the_upstream_is_502() {
    let upstream = Upstream::start();
    let node = Node::before(&upstream);
    let gate = Gate::new();
    upstream.expect("POST /a").early().wait(&gate).reset();
    let body = pattern(20 << 20);
    std::thread::scope(|scope| {
        let sending = scope.spawn(|| node.ask("POST", "/a").body(&body).try_send());
        upstream.wait_received(1);
        gate.open();
        match sending.join().expect("the client's thread") {
            Ok(response) => drop(response.is(502)),
            Err(error) => assert!(
                matches!(error, WireError::Reset | WireError::Closed),
                "{error}"
            ),
        }
    });
    upstream.expect("GET /b").reply(200).body("fine");
    node.get("/b").send().is(200).body("fine");
}

#[test]
fn a_slow_body_is_waited_for_while_it_moves() {
    let upstream = Upstream::start();
    let node = NodeConfig::before(&upstream)
        .upstream_keys("response_timeout = \"3s\"")
        .start();
    let body = pattern(1000);
    upstream
        .expect("GET /a")
        .raw("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        .drip(&body, 50, Duration::from_millis(200));
    node.get("/a").send().is(200).body(&body);
}

#[test]
fn stale_is_served_when_told_and_the_upstream_fails() {
    let upstream = Upstream::start();
    let node = NodeConfig::before(&upstream)
        .site("[site.cache]\nstale_if_error = \"1h\"\n")
        .start();
    upstream
        .expect("GET /a")
        .reply(200)
        .header("Cache-Control", "max-age=1")
        .body("old");
    upstream
        .expect("GET /strict")
        .reply(200)
        .header("Cache-Control", "max-age=1, must-revalidate")
        .body("old");
    upstream.expect("GET /a").always().reset();
    upstream.expect("GET /strict").always().reset();
    node.get("/a").send().cache("miss");
    node.get("/strict").send().cache("miss");
    pause(Duration::from_millis(2100));
    let stale = node.get("/a").send();
    stale.is(200).body("old");
    assert!(stale.age().expect("a stored response") >= 1);
    node.get("/strict").send().is(502);
}

#[test]
fn stale_is_served_while_it_is_fetched_anew() {
    let upstream = Upstream::start();
    let node = Node::before(&upstream);
    let gate = Gate::new();
    let lifetime = ("Cache-Control", "max-age=1, stale-while-revalidate=60");
    upstream
        .expect("GET /a")
        .reply(200)
        .header(lifetime.0, lifetime.1)
        .body("old");
    upstream
        .expect("GET /a")
        .wait(&gate)
        .reply(200)
        .header(FRESH.0, FRESH.1)
        .body("new");
    node.get("/a").send().cache("miss").body("old");
    pause(Duration::from_millis(2100));
    // The upstream is asked once, and nobody waits for it.
    for _ in 0..5 {
        node.get("/a").send().is(200).cache("hit").body("old");
    }
    upstream.wait_received(2);
    gate.open();
    eventually("the new response is stored", || {
        (node.get("/a").send().text() == "new").then_some(())
    });
    assert_eq!(upstream.received().len(), 2);
}

/// An upstream that gives up waiting says so into a request that is on its way (RFC 9110 §15.5.9).
#[test]
fn a_408_that_crosses_a_request_is_not_its_answer() {
    let upstream = Upstream::start();
    let node = NodeConfig::before(&upstream).node("workers = 1").start();
    let late = "HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
    upstream.expect("GET /warm").times(2).reply(200);
    node.get("/warm").send().is(200);
    upstream.expect("GET /a").raw(late).close();
    upstream.expect("GET /a").reply(200).body("the answer");
    node.get("/a").send().is(200).body("the answer");
    // What may have had an effect is not sent twice, and on a new connection it is an answer.
    node.get("/warm").send().is(200);
    upstream.expect("POST /b").raw(late).close();
    node.ask("POST", "/b").body("pay").send().is(408);
    upstream.expect("GET /c").raw(late).close();
    node.get("/c").send().is(408);
}

/// A port that nobody listens on: bound by us, and never listening.
fn dead_port() -> (socket2::Socket, String) {
    let any: std::net::SocketAddr = "127.0.0.1:0".parse().expect("an address");
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None);
    let socket = socket.expect("a socket");
    socket.bind(&any.into()).expect("a free loopback port");
    let bound = socket.local_addr().expect("bound").as_socket();
    let port = bound.expect("an internet address").port();
    (socket, format!("127.0.0.1:{port}"))
}

#[test]
fn a_failure_has_one_name_whatever_asked() {
    let (_held, address) = dead_port();
    let node = NodeConfig::before_address(&address).start();
    let mut client = node.client();
    for _ in 0..10 {
        for (method, forwarded) in [
            ("GET", "uri-miss"),
            ("OPTIONS", "method"),
            ("POST", "method"),
        ] {
            let response = client.ask(method, "/a").send();
            response
                .is(502)
                .body("the upstream refuses the connection\n");
            assert_eq!(response.cache_parameter("fwd").as_deref(), Some(forwarded));
            let detail = response.cache_parameter("detail");
            assert_eq!(detail.as_deref(), Some("upstream-refused"));
        }
        let with_body = client.ask("PUT", "/a").body("a body").send();
        with_body.is(502);
        assert_eq!(with_body.cache_parameter("fwd").as_deref(), Some("method"));
        client = node.client();
    }
    // The operator hears of it, and not forty times.
    node.said("upstream `u` refuses the connection: ");
    let told = node.talk();
    let told = told.iter().filter(|line| line.contains("upstream `u`"));
    assert_eq!(told.count(), 1);
}

#[test]
fn a_stale_response_that_must_not_be_sent_fails_as_stale() {
    let upstream = Upstream::start();
    let node = Node::before(&upstream);
    upstream
        .expect("GET /a")
        .reply(200)
        .header("Cache-Control", "max-age=0, must-revalidate")
        .header("ETag", "\"1\"")
        .body("once");
    upstream.expect("GET /a").always().reset();
    node.get("/a").send().is(200);
    let response = node.get("/a").send();
    response.is(502).cache("stale");
    let detail = response.cache_parameter("detail");
    assert_eq!(detail.as_deref(), Some("upstream-broken"));
}

#[test]
fn a_head_of_as_many_lines_as_may_be_is_passed_on() {
    let upstream = Upstream::start();
    let node = Node::before(&upstream);
    let lines: String = (0..254).map(|n| format!("X-{n}: y\r\n")).collect();
    let head = format!("HTTP/1.1 200 OK\r\n{lines}Content-Length: 0\r\n\r\n");
    upstream.expect("GET /a").raw(head);
    node.get("/a").send().is(200).header("X-253", "y");
}
