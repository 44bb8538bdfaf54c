//! Running a node: admin API, reload, drain.

use std::time::{Duration, Instant};

use crate::harness::{Gate, Node, NodeConfig, Upstream, WireError, eventually, node};

const FRESH: (&str, &str) = ("Cache-Control", "max-age=60");

/// The value of a metric's line, with its labels as written or without any.
fn metric(node: &Node, line_start: &str) -> f64 {
    let text = node.admin("GET", "/metrics").send().is(200).text();
    let sum: Vec<f64> = text
        .lines()
        .filter(|line| line.starts_with(line_start) && !line.starts_with('#'))
        .filter_map(|line| line.rsplit_once(' ')?.1.parse().ok())
        .collect();
    assert!(!sum.is_empty(), "no {line_start} among:\n{text}");
    sum.iter().sum()
}

#[test]
fn a_node_is_healthy_and_ready() {
    let upstream = Upstream::start();
    let node = Node::before(&upstream);
    node.admin("GET", "/healthz").send().is(200);
    node.admin("GET", "/readyz").send().is(200);
    node.admin("GET", "/nowhere").send().is(404);
    node.admin("POST", "/healthz").send().is(405);
}

#[test]
fn metrics_count_what_happens() {
    let upstream = Upstream::start();
    let node = Node::before(&upstream);
    upstream
        .expect("GET /a")
        .reply(200)
        .header(FRESH.0, FRESH.1)
        .body("0123456789");
    let before = metric(&node, "corsair_requests_total");
    node.get("/a").send().cache("miss");
    for _ in 0..10 {
        node.get("/a").send().cache("hit");
    }
    eventually("eleven requests are counted", || {
        (metric(&node, "corsair_requests_total") - before >= 11.0).then_some(())
    });
    let text = node.admin("GET", "/metrics").send().text();
    for line in text
        .lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty())
    {
        let (name, value) = line.rsplit_once(' ').expect("a name and a value");
        assert!(name.starts_with("corsair_"), "{line}");
        assert!(
            value.parse::<f64>().is_ok() || value.ends_with("Inf"),
            "{line}"
        );
    }
    for word in ["outcome=\"hit\"", "outcome=\"miss\""] {
        assert!(text.contains(word), "{word} is missing from:\n{text}");
    }
    let live = text
        .lines()
        .find(|line| line.starts_with("corsair_driver{") && !line.ends_with(" 0.0"))
        .expect("one driver is live");
    assert!(live.contains(&node::driver()), "{live}");
    assert!(metric(&node, "corsair_store_bytes") >= 10.0);
}

#[test]
fn status_is_json_and_names_the_live_driver() {
    let upstream = Upstream::start();
    let node = Node::before(&upstream);
    let response = node.admin("GET", "/v1/status").send();
    response.is(200).header("Content-Type", "application/json");
    let status: serde_json::Value = serde_json::from_str(&response.text()).expect("JSON");
    let text = status.to_string();
    for word in [&node::driver(), "edge-1", env!("CARGO_PKG_VERSION")] {
        assert!(text.contains(word), "{word} is missing from {text}");
    }
}

#[test]
fn a_public_listener_takes_no_admin_request() {
    let upstream = Upstream::start();
    let node = Node::before(&upstream);
    for line in [
        "GET /metrics",
        "GET /v1/status",
        "POST /v1/reload",
        "POST /v1/purge",
    ] {
        upstream
            .expect(line)
            .reply(404)
            .body("the upstream's own answer");
        let (method, target) = line.split_once(' ').expect("two words");
        node.ask(method, target)
            .send()
            .is(404)
            .body("the upstream's own answer");
    }
}

/// Neither a command to this cache nor, forwarded, one to a cache behind it; what is stored stays.
#[test]
fn a_public_listener_takes_no_purge() {
    let upstream = Upstream::start();
    let node = Node::before(&upstream);
    let stored = upstream.expect("GET /a").reply(200);
    stored.header(FRESH.0, FRESH.1).body("stored");
    node.get("/a").send().is(200).cache("miss");
    node.ask("PURGE", "/a").send().is(501);
    node.get("/a").send().is(200).cache("hit").body("stored");
    assert_eq!(upstream.received().len(), 1);
}

#[test]
fn a_bad_configuration_changes_nothing_and_says_so() {
    let upstream = Upstream::start();
    let config = NodeConfig::before(&upstream);
    let with = |value: &str| {
        config.clone().site(&format!(
            "[[site.header]]\nop = \"set\"\nname = \"X-Rule\"\nvalue = \"{value}\"\n"
        ))
    };
    let node = with("one").start();
    upstream
        .expect("GET /a")
        .reply(200)
        .header(FRESH.0, FRESH.1)
        .body("body");
    node.get("/a").send().header("X-Rule", "one");

    let broken = with("two").text() + "\n[sitte]\nhosts = []\n";
    let said = node.reload(&broken, "sitte");
    assert!(said.contains("corsair.toml:"), "{said}");
    node.get("/a").send().cache("hit").header("X-Rule", "one");
    let answer = node.admin("POST", "/v1/reload").send();
    assert!((400..600).contains(&answer.status), "{answer:?}");
    assert!(answer.text().contains("sitte"), "{answer:?}");
    node.get("/a").send().cache("hit").header("X-Rule", "one");

    node.reload("this is not TOML", "corsair.toml:");
    node.get("/a").send().cache("hit").header("X-Rule", "one");

    node.rewrite(&with("three").text());
    node.admin("POST", "/v1/reload").send().is(200);
    node.get("/a").send().cache("hit").header("X-Rule", "three");
    node.reload(&with("four").text(), "reloaded");
    node.get("/a").send().cache("hit").header("X-Rule", "four");
}

#[test]
fn a_reload_reaches_every_worker_and_open_connections() {
    let upstream = Upstream::start();
    let with = |value: usize| {
        NodeConfig::before(&upstream).site(&format!(
            "[[site.header]]\nop = \"set\"\nname = \"X-Rule\"\nvalue = \"{value}\"\n"
        ))
    };
    let node = with(0).start();
    upstream
        .expect("GET /a")
        .reply(200)
        .header(FRESH.0, FRESH.1)
        .body("body");
    let mut clients: Vec<_> = (0..16).map(|_| node.client()).collect();
    for round in 0..5 {
        if round > 0 {
            node.reload(&with(round).text(), "reloaded");
        }
        for client in &mut clients {
            client
                .get("/a")
                .send()
                .is(200)
                .header("X-Rule", &round.to_string());
        }
    }
}

#[test]
fn reloads_under_load_lose_nothing() {
    let upstream = Upstream::start();
    let with = |value: usize| {
        NodeConfig::before(&upstream).site(&format!(
            "[[site.header]]\nop = \"set\"\nname = \"X-Rule\"\nvalue = \"{value}\"\n"
        ))
    };
    let node = with(0).start();
    upstream
        .expect("GET /a")
        .reply(200)
        .header(FRESH.0, FRESH.1)
        .body("body");
    node.get("/a").send();
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let asking: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    let mut client = node.client();
                    let mut last = 0;
                    while !done.load(std::sync::atomic::Ordering::Relaxed) {
                        let response = client.get("/a").send();
                        response.is(200).cache("hit").body("body");
                        let rule = response.head.field("X-Rule").expect("always set");
                        let rule: usize = rule.parse().expect("a number");
                        assert!(rule >= last, "the plan went back from {last} to {rule}");
                        last = rule;
                    }
                })
            })
            .collect();
        for round in 1..20 {
            node.reload(&with(round).text(), "reloaded");
        }
        done.store(true, std::sync::atomic::Ordering::Relaxed);
        for asker in asking {
            asker.join().expect("no request failed");
        }
    });
}

#[test]
fn sigterm_finishes_what_is_in_flight_and_refuses_what_is_new() {
    for signal in [libc::SIGTERM, libc::SIGINT] {
        let upstream = Upstream::start();
        let mut node = NodeConfig::before(&upstream)
            .node("drain_timeout = \"30s\"")
            .start();
        let gate = Gate::new();
        upstream
            .expect("GET /a")
            .raw("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfirst")
            .wait(&gate)
            .raw("again");
        upstream
            .expect("POST /b")
            .wait(&gate)
            .reply(200)
            .body("done");
        upstream.expect("GET /idle").reply(200);
        upstream.expect("GET /new").always().reply(200);
        let mut idle = node.client();
        idle.get("/idle").send().is(200);
        let mut streaming = node.client();
        streaming.get("/a").begin();
        streaming.answer_head("GET").is(200);
        assert_eq!(streaming.body_bytes(5), b"first");
        let mut posting = node.client();
        posting.ask("POST", "/b").body("x").begin();
        upstream.wait_received(3);

        let started = Instant::now();
        node.signal(signal);
        idle.is_closed();
        eventually("new connections are refused", || {
            let refused = match std::net::TcpStream::connect(node.address()) {
                Err(_) => true,
                // One that came before the last worker had heard of it is closed, or answered and
                // then closed; it is never left waiting.
                Ok(stream) => {
                    let mut wire = crate::harness::wire::Wire::new(stream, Duration::from_secs(20));
                    let _ = wire.write(b"GET /new HTTP/1.1\r\nHost: a\r\n\r\n");
                    let (_, end) = wire.drain();
                    assert_ne!(end, WireError::Silence);
                    false
                }
            };
            refused.then_some(())
        });
        assert!(node.is_running(), "it left two exchanges behind");
        gate.open();
        assert_eq!(streaming.body_bytes(5), b"again");
        let answer = posting.answer("POST");
        answer.is(200).body("done");
        assert!(answer.closes(), "{answer:?}");
        streaming.is_closed();
        posting.is_closed();
        let status = node.wait_exit();
        assert_eq!(status.code(), Some(0), "{status}");
        assert!(
            started.elapsed() < Duration::from_secs(28),
            "{:?}",
            started.elapsed()
        );
    }
}

#[test]
fn a_drain_ends_at_its_timeout() {
    let upstream = Upstream::start();
    let mut node = NodeConfig::before(&upstream)
        .node("drain_timeout = \"500ms\"")
        .start();
    upstream.expect("GET /a").await_close();
    let mut client = node.client();
    client.get("/a").begin();
    upstream.wait_received(1);
    let started = Instant::now();
    node.signal(libc::SIGTERM);
    node.wait_exit();
    assert!(
        started.elapsed() < Duration::from_secs(20),
        "{:?}",
        started.elapsed()
    );
    client.try_answer("GET").expect_err("the answer never came");
}

#[test]
fn readiness_ends_before_the_node_does() {
    let upstream = Upstream::start();
    let mut node = NodeConfig::before(&upstream)
        .node("drain_timeout = \"30s\"")
        .start();
    let gate = Gate::new();
    upstream
        .expect("GET /a")
        .wait(&gate)
        .reply(200)
        .body("late");
    let mut client = node.client();
    client.get("/a").begin();
    upstream.wait_received(1);
    node.signal(libc::SIGTERM);
    eventually("not ready any more", || {
        (node.admin("GET", "/readyz").send().status == 503).then_some(())
    });
    node.admin("GET", "/healthz").send().is(200);
    gate.open();
    client.answer("GET").is(200).body("late");
    assert_eq!(node.wait_exit().code(), Some(0));
}

/// `needs_restart` of a reload by the admin API.
fn waits_for_restart(node: &Node, text: &str) -> serde_json::Value {
    node.rewrite(text);
    let answer = node.admin("POST", "/v1/reload").send().is(200).text();
    let answer: serde_json::Value = serde_json::from_str(&answer).expect("JSON");
    answer["needs_restart"].clone()
}

#[test]
fn what_waits_for_a_restart_is_compared_with_what_runs() {
    let upstream = Upstream::start();
    let one = NodeConfig::before(&upstream).node("workers = 1\n");
    let two = NodeConfig::before(&upstream).node("workers = 2\n");
    let node = one.start();
    for _ in 0..2 {
        // The second time nothing has changed in the file, and the node still has one worker.
        assert_eq!(
            waits_for_restart(&node, &two.text()),
            serde_json::json!(["node.workers"])
        );
    }
    assert_eq!(waits_for_restart(&node, &one.text()), serde_json::json!([]));
}

#[test]
fn the_upstreams_answers_to_bodies_count_too() {
    let upstream = Upstream::start();
    let node = Node::before(&upstream);
    upstream
        .expect("POST /a")
        .times(3)
        .reply(200)
        .body("got it");
    let counted = || metric(&node, "corsair_upstream_responses_total{upstream=\"u\"}");
    let mut client = node.client();
    client.ask("POST", "/a").send().is(200);
    client.ask("POST", "/a").body("a body").send().is(200);
    let chunks: &[&[u8]] = &[b"some", b"chunks"];
    client.ask("POST", "/a").chunks(chunks).send().is(200);
    assert!((counted() - 3.0).abs() < 0.5, "{}", counted());
}
