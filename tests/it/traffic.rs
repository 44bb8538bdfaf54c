//! Ordinary traffic over one connection: pipelining, bodies both ways, methods, versions, and what
//! the upstream sees of it.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use crate::harness::{Gate, Node, NodeConfig, Resident, Upstream, pattern, pause};

const FRESH: (&str, &str) = ("Cache-Control", "max-age=60");

#[test]
fn pipelined_requests_are_answered_in_order() {
    let upstream = Upstream::start();
    let node = Node::before(&upstream);
    for at in 0..10 {
        upstream
            .expect(&format!("GET /hit/{at}"))
            .reply(200)
            .header(FRESH.0, FRESH.1)
            .body(format!("hit {at}"));
        node.get(&format!("/hit/{at}")).send().cache("miss");
    }
    for depth in [1, 2, 3, 7, 16, 33, 64, 100] {
        // Every third is a miss, some are HEAD, some are conditional.
        let mut text = String::new();
        let mut wanted = Vec::new();
        for at in 0..depth {
            let hit = at % 10;
            let (method, target, body) = match at % 3 {
                0 => ("GET", format!("/hit/{hit}"), format!("hit {hit}")),
                1 => ("HEAD", format!("/hit/{hit}"), String::new()),
                _ => {
                    let target = format!("/miss/{depth}/{at}");
                    let body = format!("miss {at}");
                    upstream
                        .expect(&format!("GET {target}"))
                        .reply(200)
                        .body(&body);
                    ("GET", target, body)
                }
            };
            text += &format!(
                "{method} {target} HTTP/1.1\r\nHost: {}\r\n\r\n",
                node.address()
            );
            wanted.push((method, body));
        }
        let mut client = node.client();
        client.write(&text);
        for (at, (method, body)) in wanted.iter().enumerate() {
            let response = client.answer(method);
            response.is(200).body(body);
            if at % 3 != 2 {
                response.cache("hit");
            }
        }
        // And the connection is still good.
        client.get("/hit/0").send().cache("hit").body("hit 0");
    }
}

#[test]
fn a_pipeline_may_be_cut_anywhere() {
    let upstream = Upstream::start();
    let node = Node::before(&upstream);
    upstream
        .expect("GET /a")
        .reply(200)
        .header(FRESH.0, FRESH.1)
        .body("first");
    upstream
        .expect("POST /b")
        .always()
        .reply(200)
        .body("second");
    node.get("/a").host("a").send();
    let first = "GET /a HTTP/1.1\r\nHost: a\r\n\r\n";
    let second =
        "POST /b HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nxyz\r\n0\r\n\r\n";
    let text = format!("{first}{second}{first}");
    let mut client = node.client();
    for cut in 1..text.len() {
        client.write(&text[..cut]);
        // Gives the node a chance to see the parts apart; it must not matter whether it does.
        if cut % 8 == 0 {
            pause(Duration::from_millis(2));
        }
        client.write(&text[cut..]);
        client.answer("GET").is(200).cache("hit").body("first");
        client.answer("POST").is(200).body("second");
        client.answer("GET").is(200).cache("hit").body("first");
    }
}

#[test]
fn a_request_comes_byte_by_byte() {
    let upstream = Upstream::start();
    let node = Node::before(&upstream);
    upstream.expect("POST /a").reply(200).body("yes");
    let mut client = node.client();
    for byte in b"\r\nPOST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello" {
        client.write([*byte]);
        pause(Duration::from_millis(1));
    }
    client.answer("POST").is(200).body("yes");
    assert_eq!(upstream.last().body, b"hello");
}

#[test]
fn every_method_passes_with_its_body() {
    let upstream = Upstream::start();
    let node = Node::before(&upstream);
    let mut client = node.client();
    for method in [
        "POST",
        "PUT",
        "PATCH",
        "DELETE",
        "OPTIONS",
        "PROPFIND",
        "FROBNICATE",
        "M-SEARCH",
    ] {
        let line = format!("{method} /a");
        upstream
            .expect(&line)
            .times(3)
            .reply(200)
            .header("X-Method", method)
            .body(method);
        client.ask(method, "/a").send().is(200).body(method);
        client
            .ask(method, "/a")
            .body("length")
            .send()
            .is(200)
            .body(method);
        assert_eq!(upstream.last().body, b"length");
        client
            .ask(method, "/a")
            .chunks(&[b"chu", b"nks"])
            .send()
            .is(200)
            .body(method);
        assert_eq!(upstream.last().body, b"chunks");
    }
    upstream.expect("get /a").reply(200).body("lower");
    client.ask("get", "/a").send().is(200).body("lower");
}

#[test]
fn bodies_are_reframed_and_never_copied_raw() {
    let upstream = Upstream::start();
    let node = Node::before(&upstream);
    upstream
        .expect("POST /a")
        .times(2)
        .reply(200)
        .chunks(&[b"one,", b"two"]);
    let mut client = node.client();
    client.write(
        "POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\nTrailer: X-Sum\r\n\r\n\
         3;name=value;\"quoted\"\r\nabc\r\n0000002\r\nde\r\n0\r\nX-Sum: 1\r\nHost: evil\r\n\
         Content-Length: 99\r\n\r\n",
    );
    client.answer("POST").is(200).body("one,two");
    let received = upstream.last();
    assert_eq!(received.body, b"abcde");
    assert_eq!(received.field("Host").as_deref(), Some("a"));
    assert_eq!(received.field("X-Sum"), None, "a trailer became a field");
    client
        .ask("POST", "/a")
        .body("next")
        .send()
        .is(200)
        .body("one,two");
}

#[test]
fn an_upstreams_chunks_and_close_are_made_fit_for_the_client() {
    let upstream = Upstream::start();
    let node = Node::before(&upstream);
    let big = pattern(300_000);
    upstream
        .expect("GET /chunked")
        .times(2)
        .reply(200)
        .chunks(&[&big[..7], &big[7..]]);
    upstream
        .expect("GET /close")
        .times(2)
        .reply(200)
        .until_close(&big);
    upstream.expect("GET /extensions").raw(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\
         5;a=b\r\nhello\r\n0\r\nX-Trailer: x\r\n\r\n",
    );
    upstream.expect("GET /empty").reply(200).chunks(&[]);
    let mut client = node.client();
    for target in ["/chunked", "/close"] {
        client.get(target).send().is(200).body(&big);
        let old = node.get(target).http10().send();
        old.is(200).body(&big).lacks("Transfer-Encoding");
    }
    client
        .get("/extensions")
        .send()
        .is(200)
        .body("hello")
        .lacks("X-Trailer");
    client.get("/empty").send().is(200).body("");
}

#[test]
fn http_1_0_is_answered_and_closed() {
    let upstream = Upstream::start();
    let node = Node::before(&upstream);
    // Once for the requests that name no host, once for the one that does.
    upstream
        .expect("GET /a")
        .reply(200)
        .header(FRESH.0, FRESH.1)
        .body("body");
    upstream
        .expect("GET /a")
        .reply(200)
        .header(FRESH.0, FRESH.1)
        .body("body");
    let address = node.address();
    for _ in 0..2 {
        let mut client = node.client();
        client.get("/a").http10().send().is(200).body("body");
        client.is_closed();
    }
    let mut client = node.client();
    let kept = "GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n";
    client.write(kept);
    let response = client.answer("GET");
    response.is(200).body("body");
    if response.closes() {
        client.is_closed();
    } else {
        response.header("Connection", "keep-alive");
        client.write(kept);
        client.answer("GET").is(200).body("body");
    }
    let mut client = node.client();
    client.write(format!(
        "GET /a HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"
    ));
    let response = client.answer("GET");
    assert!(response.is(200).body("body").closes(), "{response:?}");
    client.is_closed();
}

#[test]
fn a_client_that_expects_100_continue_gets_it() {
    let upstream = Upstream::start();
    let node = Node::before(&upstream);
    upstream
        .expect("POST /a")
        .times(2)
        .reply(200)
        .body("took it");
    let mut client = node.client();
    let head = "POST /a HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n";
    client.write(head);
    let interim = client.wire.read_head().expect("an interim response");
    assert!(interim.start.starts_with("HTTP/1.1 100"), "{interim:?}");
    client.write("hello");
    client.answer("POST").is(200).body("took it");
    assert_eq!(upstream.last().body, b"hello");
    // A client that does not wait gets no harm.
    client.write(format!("{head}world"));
    client.answer("POST").is(200).body("took it");
    assert_eq!(upstream.last().body, b"world");
}

#[test]
fn an_early_answer_ends_the_upload() {
    let upstream = Upstream::start();
    let node = Node::before(&upstream);
    upstream
        .expect("POST /a")
        .early()
        .reply(403)
        .header("Connection", "close")
        .body("no")
        .close();
    let mut client = node.client();
    client.write("POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 100000000\r\n\r\nbeginning");
    let response = client.answer("POST");
    response.is(403).body("no");
    assert!(
        response.closes(),
        "100 MB would have to be read first: {response:?}"
    );
}

#[test]
fn fifty_mebibytes_go_up_under_back_pressure() {
    let upstream = Upstream::start();
    let node = Node::before(&upstream);
    let gate = Gate::new();
    let body = pattern(50 << 20);
    upstream
        .expect("POST /a")
        .read_body_after(&gate)
        .reply(200)
        .body("took it");
    node.get("/")
        .header("Cache-Control", "only-if-cached")
        .send()
        .is(504);
    let base = Resident::now(node.pid());
    let written = AtomicUsize::new(0);
    thread::scope(|scope| {
        let mut client = node.client();
        let (written, body) = (&written, &body);
        let sending = scope.spawn(move || {
            client.write(format!(
                "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n",
                body.len()
            ));
            for piece in body.chunks(64 * 1024) {
                client.write(piece);
                written.fetch_add(piece.len(), Ordering::Relaxed);
            }
            client.answer("POST")
        });
        // The upstream reads nothing: what the sockets and the node hold is all that leaves.
        let stuck = settles(written);
        assert!(
            stuck < body.len(),
            "50 MiB went somewhere although nobody reads"
        );
        let held = Resident::now(node.pid()).above(base);
        gate.open();
        let response = sending.join().expect("the client's thread");
        response.is(200).body("took it");
        let peak = Resident::peak(node.pid()).above(base);
        assert!(held < 8 << 20, "{held} bytes held for one stuck upload");
        assert!(peak < 8 << 20, "{peak} bytes at the peak of one upload");
    });
    assert_eq!(upstream.last().body, body);
}

/// The value once it has stopped to grow.
fn settles(count: &AtomicUsize) -> usize {
    let mut last = usize::MAX;
    loop {
        pause(Duration::from_millis(300));
        let now = count.load(Ordering::Relaxed);
        if now == last {
            return now;
        }
        last = now;
    }
}

#[test]
fn a_large_body_comes_down_whole() {
    let upstream = Upstream::start();
    let node = NodeConfig::before(&upstream).memory("256MiB").start();
    let body = pattern(30 << 20);
    upstream
        .expect("GET /a")
        .reply(200)
        .header(FRESH.0, FRESH.1)
        .body(&body);
    let mut client = node.client();
    client.get("/a").send().is(200).body(&body);
    client.get("/a").send().cache("hit").body(&body);
}

#[test]
fn what_the_upstream_sees_is_written_anew() {
    let upstream = Upstream::start();
    let node = Node::before(&upstream);
    for (target, canonical) in [
        ("/./a", "/a"),
        ("/a/../b", "/b"),
        ("/a/%2e%2e/b", "/b"),
        ("/a/.", "/a/"),
        ("/a/b/..", "/a/"),
        ("//a", "//a"),
        ("/%7Euser/%41", "/~user/A"),
        ("/%2fa%5cb", "/%2Fa%5Cb"),
        ("/a%20b", "/a%20b"),
        ("/a?b=/../c&d=%2e", "/a?b=/../c&d=%2e"),
        ("/?", "/?"),
        ("/a;x=1", "/a;x=1"),
    ] {
        upstream
            .expect(&format!("GET {canonical}"))
            .always()
            .reply(200)
            .body(canonical);
        let response = node.get(target).send();
        assert_eq!(response.text(), canonical, "{target}");
    }
    // What the target names counts, and the two agree (RFC 9112 §3.2.2).
    upstream
        .expect("GET /abs")
        .times(2)
        .reply(200)
        .body("absolute");
    let mut client = node.client();
    for (target, host) in [("http://A/abs", "a"), ("http://a:80/abs", "a")] {
        client.write(format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n"));
        client.answer("GET").is(200).body("absolute");
        let sent = upstream
            .last()
            .field("Host")
            .unwrap_or_default()
            .to_ascii_lowercase();
        assert_eq!(sent.trim_end_matches(":80"), "a", "{target}");
    }
}

#[test]
fn hop_by_hop_fields_stay_on_their_hop() {
    let upstream = Upstream::start();
    let node = Node::before(&upstream);
    upstream
        .expect("GET /a")
        .reply(200)
        .header("Connection", "X-Hop, close-ish")
        .header("X-Hop", "1")
        .header("Keep-Alive", "timeout=5")
        .header("Proxy-Connection", "keep-alive")
        .header("X-End", "1")
        .header("Upgrade", "h2c")
        .body("body");
    let response = node
        .get("/a")
        .header(
            "Connection",
            "X-Nominated, Cookie, Host, Authorization, X-Forwarded-For",
        )
        .header("X-Nominated", "1")
        .header("Cookie", "a=1")
        .header("Authorization", "Basic eDp5")
        .header("Keep-Alive", "300")
        .header("Proxy-Connection", "keep-alive")
        .header("TE", "trailers")
        .header("Upgrade", "foo")
        .header("X-End", "2")
        .send();
    response
        .is(200)
        .body("body")
        .header("X-End", "1")
        .lacks("X-Hop")
        .lacks("Upgrade");
    let received = upstream.last();
    assert_eq!(received.field("X-Nominated"), None);
    assert_eq!(received.field("Upgrade"), None);
    assert_eq!(received.field("Cookie").as_deref(), Some("a=1"));
    assert_eq!(
        received.field("Authorization").as_deref(),
        Some("Basic eDp5")
    );
    assert_eq!(received.field("X-End").as_deref(), Some("2"));
    assert_eq!(
        received.field("Host").as_deref(),
        Some(node.address().to_string().as_str())
    );
}

#[test]
fn an_upgrade_nobody_configured_opens_no_tunnel() {
    let upstream = Upstream::start();
    let node = Node::before(&upstream);
    upstream
        .expect("GET /a")
        .without("Upgrade")
        .perhaps()
        .reply(200)
        .body("plain");
    upstream
        .expect("GET /next")
        .perhaps()
        .reply(200)
        .body("a request of its own");
    let mut client = node.client();
    client.write(
        "GET /a HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: foo\r\n\r\n\
         GET /next HTTP/1.1\r\nHost: a\r\n\r\n",
    );
    let response = client.answer("GET");
    assert_ne!(response.status, 101);
    if response.status == 200 && !response.closes() {
        client.answer("GET").is(200).body("a request of its own");
    }
}

/// What the key does not have, a response that is stored for all must not depend on.
#[test]
fn a_fill_brings_no_field_that_makes_it_another_request() {
    let upstream = Upstream::start();
    let node = Node::before(&upstream);
    upstream
        .expect("GET /a")
        .reply(200)
        .header("Cache-Control", "max-age=60");
    let overrides = [
        "X-Original-URL",
        "X-Rewrite-URL",
        "X-HTTP-Method",
        "X-HTTP-Method-Override",
        "X-Method-Override",
        "X-Forwarded-Port",
        "X-Forwarded-Prefix",
        "X-Forwarded-Scheme",
        "X-Real-IP",
    ];
    let ask = overrides
        .iter()
        .fold(node.get("/a"), |ask, name| ask.header(name, "evil"));
    ask.send().is(200);
    let received = upstream.last();
    for name in overrides {
        assert_eq!(received.field(name), None, "{name}");
    }
    assert!(!format!("{received:?}").contains("evil"), "{received:?}");
}

#[test]
fn the_clients_address_is_told_and_not_believed() {
    let upstream = Upstream::start();
    let node = Node::before(&upstream);
    upstream.expect("GET /a").reply(200);
    node.get("/a")
        .header("X-Forwarded-For", "10.0.0.1")
        .header("Forwarded", "for=10.0.0.1")
        .send();
    let received = upstream.last();
    let last = received.field("X-Forwarded-For").unwrap_or_default();
    // Whoever is believed upstream is the last one: that must be the peer that we saw.
    let last = last
        .rsplit(',')
        .next()
        .unwrap_or_default()
        .trim()
        .to_owned();
    assert_eq!(last, "127.0.0.1", "{received:?}");
}

#[test]
fn the_upstream_may_be_told_another_host() {
    for (keys, host) in [
        (
            "host = \"bucket.example\"",
            Some("bucket.example".to_owned()),
        ),
        ("host = \"server\"", None),
        ("host = \"client\"", Some("asked.example".to_owned())),
    ] {
        let upstream = Upstream::start();
        let node = NodeConfig::before(&upstream).upstream_keys(keys).start();
        upstream.expect("GET /a").reply(200).body("body");
        node.get("/a").host("asked.example").send().is(200);
        let wanted = host.unwrap_or_else(|| upstream.address().to_string());
        assert_eq!(upstream.last().field("Host"), Some(wanted), "{keys}");
    }
}

#[test]
fn interim_responses_of_the_upstream_are_not_final() {
    let upstream = Upstream::start();
    let node = Node::before(&upstream);
    upstream.expect("GET /a").raw(
        "HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n\
         HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 5\r\n\r\nfinal",
    );
    let flood = "HTTP/1.1 102 Processing\r\n\r\n".repeat(1000);
    upstream
        .expect("GET /flood")
        .raw(&flood)
        .raw("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    node.get("/a").send().is(200).body("final");
    let hit = node.get("/a").send();
    hit.is(200).cache("hit").body("final").lacks("Link");
    assert!(hit.interim.is_empty(), "an interim response was stored");
    // Bounded: either it is given up, or the final answer comes with few interim ones before it.
    let response = node.get("/flood").send();
    assert!(
        response.interim.len() <= 8 && matches!(response.status, 200 | 502),
        "{response:?}"
    );
}

#[test]
fn connections_to_the_upstream_are_used_again() {
    let upstream = Upstream::start();
    let node = NodeConfig::before(&upstream).node("workers = 1").start();
    upstream.expect("GET /a").times(20).reply(200).body("body");
    upstream
        .expect("POST /a")
        .times(20)
        .reply(200)
        .chunks(&[b"body"]);
    let mut client = node.client();
    for _ in 0..20 {
        client.get("/a").send().is(200).body("body");
        client
            .ask("POST", "/a")
            .body("x")
            .send()
            .is(200)
            .body("body");
    }
    assert_eq!(upstream.connections(), 1);
}

/// A request for an `https` URI on a connection that is not secured is misdirected (RFC 9110 §7.4), and
/// TRACE and PURGE end here: none reaches the upstream.
#[test]
fn what_is_not_served_is_refused_and_goes_nowhere() {
    let upstream = Upstream::start();
    let node = Node::before(&upstream);
    for (line, status) in [
        ("GET https://a/secret", 421),
        ("GET HTTPS://a:443/secret", 421),
        ("TRACE /a", 501),
        ("TRACE http://a/a", 501),
        ("CONNECT a:443", 501),
        ("PURGE /a", 501),
    ] {
        let host = if line.contains(":443") { "a:443" } else { "a" };
        let mut client = node.client();
        client.write(format!(
            "{line} HTTP/1.1\r\nHost: {host}\r\nCookie: secret\r\n\r\n"
        ));
        let response = client.answer("GET");
        response.is(status);
        assert!(!response.text().contains("Cookie"), "{response:?}");
        assert!(response.closes(), "{line}");
        client.is_closed();
    }
    upstream.heard_nothing();
}

/// `Cache-Status` says why a request went past the cache (RFC 9211 §2.2).
#[test]
fn what_goes_past_the_cache_says_why() {
    let upstream = Upstream::start();
    let node = Node::before(&upstream);
    let rows = [
        ("POST", "", "", "method"),
        ("POST", "", "body", "method"),
        ("OPTIONS", "", "", "method"),
        ("FROBNICATE", "", "", "method"),
        ("GET", "", "body", "bypass"),
        ("GET", "\"1\"", "", "bypass"),
    ];
    for (method, if_match, body, word) in rows {
        upstream
            .expect(&format!("{method} /a"))
            .reply(200)
            .header(FRESH.0, FRESH.1);
        let ask = node.ask(method, "/a");
        let ask = match if_match {
            "" => ask,
            tag => ask.header("If-Match", tag),
        };
        let ask = if body.is_empty() { ask } else { ask.body(body) };
        ask.send().is(200).cache(word);
    }
    let metrics = node.admin("GET", "/metrics").send().text();
    for line in [
        "corsair_outcomes_total{outcome=\"pass\"} 4",
        "corsair_outcomes_total{outcome=\"bypass\"} 2",
    ] {
        assert!(metrics.lines().any(|l| l == line), "{line}:\n{metrics}");
    }
}

/// RFC 9110 §9.3.7: about the server, not about a resource; the upstream knows what it can do.
#[test]
fn server_wide_options_reaches_the_upstream_as_such() {
    let upstream = Upstream::start();
    let node = Node::before(&upstream);
    upstream
        .expect("OPTIONS *")
        .reply(200)
        .header("Allow", "GET, HEAD");
    let response = node.ask("OPTIONS", "*").send();
    response
        .is(200)
        .cache("method")
        .header("Allow", "GET, HEAD");
}

/// The node listens only when it knows where its upstreams are.
#[test]
fn the_first_request_finds_an_upstream_that_has_a_name() {
    let upstream = Upstream::start();
    let named = format!("localhost:{}", upstream.address().port());
    let node = NodeConfig::before_address(&named).start();
    upstream.expect("GET /a").reply(200).body("found");
    node.get("/a").send().is(200).body("found");
}
