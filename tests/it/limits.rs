//! The limits of `[limits]`: each at its bound, and one past it.

use std::time::{Duration, Instant};

use crate::bad_requests::post;
use crate::harness::{NodeConfig, Upstream, WireError, pause};

#[test]
fn limits_hold_at_the_bound_and_one_past_it() {
    let upstream = Upstream::start();
    let node = NodeConfig::before(&upstream)
        .limits("head_bytes = \"4KiB\"\nheader_lines = 20\nbody_bytes = \"64KiB\"")
        .start();
    upstream.expect("GET /a").always().reply(200).body("fits");
    upstream.expect("POST /a").times(2).reply(200).body("fits");
    let head = |len: usize| {
        let text = "GET /a HTTP/1.1\r\nHost: a\r\nX: ";
        let fill = "x".repeat(len - text.len() - 4);
        format!("{text}{fill}\r\n\r\n").into_bytes()
    };
    let lines = |count: usize| {
        let fill: String = (1..count).map(|at| format!("X-{at}: y\r\n")).collect();
        format!("GET /a HTTP/1.1\r\nHost: a\r\n{fill}\r\n").into_bytes()
    };
    for bytes in [head(4096), lines(20)] {
        let mut client = node.client();
        client.write(&bytes);
        client.answer("GET").is(200).body("fits");
    }
    let body = vec![b'x'; 64 * 1024];
    node.ask("POST", "/a").body(&body).send().is(200);
    node.ask("POST", "/a")
        .chunks(&[&body[..1000], &body[1000..]])
        .send()
        .is(200);
    let before = upstream.received().len();

    let target = "x".repeat(100_000);
    let many: String = (0..1000).map(|at| format!("X-{at}: y\r\n")).collect();
    let huge = "x".repeat(64 * 1024);
    let rows: [(&str, Vec<u8>, &[u16]); 6] = [
        ("a head one byte too long", head(4097), &[431]),
        ("one line too many", lines(21), &[431]),
        (
            "a target of 100 KB",
            format!("GET /{target} HTTP/1.1\r\nHost: a\r\n\r\n").into(),
            &[414, 431],
        ),
        (
            "1000 lines",
            format!("GET /a HTTP/1.1\r\nHost: a\r\n{many}\r\n").into(),
            &[431],
        ),
        (
            "one line of 64 KiB",
            format!("GET /a HTTP/1.1\r\nHost: a\r\nX: {huge}\r\n\r\n").into(),
            &[431],
        ),
        (
            "a body one byte too long",
            post(&["Content-Length: 65537"], ""),
            &[413],
        ),
    ];
    for (name, bytes, statuses) in rows {
        let mut client = node.client();
        let _ = client.wire.write(&bytes);
        let response = client
            .try_answer("GET")
            .unwrap_or_else(|e| panic!("{name}: {e}"));
        assert!(statuses.contains(&response.status), "{name}: {response:?}");
        assert!(response.closes(), "{name}");
    }
    assert_eq!(
        upstream.received().len(),
        before,
        "a request over its limits got through"
    );
}

#[test]
fn a_chunked_body_over_its_limit_is_cut() {
    let upstream = Upstream::start();
    let node = NodeConfig::before(&upstream)
        .limits("body_bytes = \"64KiB\"")
        .start();
    upstream
        .expect("POST /a")
        .always()
        .reply(200)
        .body("took it whole");
    let chunk = vec![b'x'; 8 * 1024];
    let chunks: Vec<&[u8]> = (0..9).map(|_| &chunk[..]).collect();
    match node.ask("POST", "/a").chunks(&chunks).try_send() {
        Ok(response) => {
            assert!(matches!(response.status, 413 | 502), "{response:?}");
            assert!(response.closes());
        }
        Err(WireError::Closed | WireError::Reset) => {}
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn slow_heads_and_idle_connections_are_ended() {
    let upstream = Upstream::start();
    let node = NodeConfig::before(&upstream)
        .limits("head_timeout = \"1s\"\nidle_timeout = \"1s\"")
        .start();
    upstream.expect("GET /a").reply(200).body("body");
    let started = Instant::now();
    let mut silent = node.client();
    let mut idle = node.client();
    idle.get("/a").send().is(200);
    let mut dripping = node.client();
    let head = b"GET /drip HTTP/1.1\r\nHost: a\r\nX-Long: abcdefghijklmnopqrstuvwxyz\r\n\r\n";
    let mut cut = false;
    for byte in head {
        pause(Duration::from_millis(100));
        // The node may have closed; a write after that fails, sooner or later.
        if dripping.wire.write(&[*byte]).is_err() {
            cut = true;
            break;
        }
    }
    assert!(
        cut,
        "a head dripped for {:?} was awaited to its end",
        started.elapsed()
    );
    silent.is_closed();
    idle.is_closed();
    assert!(
        !upstream
            .received()
            .iter()
            .any(|r| r.head.start.contains("drip"))
    );
}

#[test]
fn a_body_slower_than_the_least_rate_is_cut() {
    let upstream = Upstream::start();
    let node = NodeConfig::before(&upstream)
        .limits("body_min_rate = \"1KiB/s\"")
        .start();
    upstream
        .expect("POST /a")
        .perhaps()
        .reply(200)
        .body("took it");
    let mut client = node.client();
    client.write(post(&["Content-Length: 10000"], ""));
    let started = Instant::now();
    while client.wire.write(b"x").is_ok() {
        pause(Duration::from_millis(100));
        assert!(
            started.elapsed().as_secs() < 60,
            "ten bytes a second are still taken"
        );
    }
}
