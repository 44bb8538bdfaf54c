//! The harness tried on itself: the client talks to the scripted upstream directly.

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::Duration;

use crate::harness::node::{Node, bad_end};
use crate::harness::pace::{PATIENCE, within};
use crate::harness::{Client, Gate, Upstream, WireError, pattern};

#[test]
fn a_conversation_is_played_as_written() {
    let upstream = Upstream::start();
    upstream
        .expect("GET /a")
        .with("If-None-Match", "\"1\"")
        .reply(304)
        .header("Date", "today");
    upstream
        .expect("HEAD /a")
        .reply(200)
        .header("Date", "today")
        .body("hello");
    upstream
        .expect("GET /a")
        .reply(200)
        .header("Date", "today")
        .body("hello");
    upstream
        .expect("POST /b")
        .reply(201)
        .header("Date", "today")
        .chunks(&[b"one ", b"two"]);
    upstream.expect("GET /never").perhaps().reply(200);

    let mut client = Client::connect(upstream.address());
    client.get("/a").send().is(200).body("hello").lacks("ETag");
    client
        .get("/a")
        .header("If-None-Match", "\"1\"")
        .send()
        .is(304)
        .body("");
    client
        .ask("POST", "/b")
        .body("payload")
        .send()
        .is(201)
        .body("one two");
    client
        .head("/a")
        .send()
        .is(200)
        .header("Content-Length", "5")
        .body("");

    assert_eq!(upstream.connections(), 1);
    assert_eq!(upstream.received()[2].body, b"payload");
    assert_eq!(upstream.received()[2].line(), "POST /b");
}

#[test]
fn what_was_not_expected_fails_the_test() {
    let asked = std::panic::catch_unwind(|| {
        let upstream = Upstream::start();
        Client::connect(upstream.address())
            .get("/surprise")
            .send()
            .is(599);
    });
    assert!(asked.is_err(), "an unexpected request passed unnoticed");
    let unmet = std::panic::catch_unwind(|| {
        let upstream = Upstream::start();
        upstream.expect("GET /a").reply(200);
    });
    assert!(unmet.is_err(), "an expectation never met passed unnoticed");
}

#[test]
fn an_upstream_can_lie_stall_and_die() {
    let upstream = Upstream::start();
    let gate = Gate::new();
    let date = ("Date", "today");
    upstream
        .expect("GET /short")
        .reply(200)
        .header(date.0, date.1)
        .claims(10, "four")
        .close();
    upstream
        .expect("GET /reset")
        .raw("HTTP/1.1 200 OK\r\nDate: x\r\n")
        .reset();
    upstream
        .expect("GET /late")
        .wait(&gate)
        .reply(200)
        .header(date.0, date.1)
        .body("late");
    upstream.expect("GET /drip").drip(
        "HTTP/1.1 200 OK\r\nDate: x\r\nContent-Length: 2\r\n\r\nok",
        7,
        Duration::from_millis(1),
    );

    let mut client = Client::connect(upstream.address());
    client.get("/short").begin();
    assert_eq!(
        client.try_answer("GET").expect_err("a lie"),
        WireError::Truncated(4)
    );
    drop(client);
    let mut client = Client::connect(upstream.address());
    client.get("/reset").begin();
    client.try_answer("GET").expect_err("a reset");
    let mut client = Client::connect_patiently(upstream.address(), Duration::from_millis(50));
    client.get("/late").begin();
    assert_eq!(
        client.try_answer("GET").expect_err("nothing yet"),
        WireError::Silence
    );
    gate.open();
    client.answer("GET").is(200).body("late");
    client.get("/drip").send().is(200).body("ok");
    upstream.wait_open(1);
}

#[test]
fn the_pattern_differs_from_place_to_place() {
    let bytes = pattern(1 << 20);
    assert_ne!(bytes[..256], bytes[256..512]);
    assert_ne!(bytes[..65_536], bytes[65_536..131_072]);
}

#[test]
fn a_panic_and_a_death_that_nobody_asked_for_are_seen() {
    let hook = "internal error in worker-0 at crates/server/src/worker.rs:9: no message";
    let standard = "thread 'main' panicked at main.rs:1:1:";
    let (abort, kill) = (libc::SIGABRT, libc::SIGKILL);
    // What it said, its wait status (None: it was never waited for), the signals sent, the verdict.
    let table: &[(&str, Option<i32>, &[i32], bool)] = &[
        ("bye", Some(0), &[], true),
        ("bye", Some(1 << 8), &[], true),
        ("bye", Some(kill), &[kill], true),
        ("bye", Some(abort), &[libc::SIGHUP, abort], true),
        ("bye", Some(abort), &[libc::SIGTERM], false),
        ("bye", Some(libc::SIGSEGV), &[], false),
        (hook, Some(0), &[], false),
        (hook, None, &[], false),
        (standard, Some(101 << 8), &[], false),
    ];
    for (said, status, sent, good) in table {
        let talk = ["listening".to_owned(), (*said).to_owned()];
        let wrong = bad_end(&talk, status.map(ExitStatus::from_raw), sent);
        assert_eq!(
            wrong.is_none(),
            *good,
            "{said} {status:?} {sent:?}: {wrong:?}"
        );
    }
}

#[test]
fn a_node_that_is_dead_before_the_end_of_its_test_fails_it() {
    let upstream = Upstream::start();
    let mut node = Node::before(&upstream);
    let pid = i32::try_from(node.pid()).expect("process ids are small");
    // SAFETY: kill takes two integers and touches no memory of ours. The harness does not
    // see it, and this signal leaves no core file behind.
    assert_eq!(unsafe { libc::kill(pid, libc::SIGALRM) }, 0);
    within(PATIENCE, "the node dies", || {
        (!node.is_running()).then_some(())
    });
    let dropped = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drop(node)));
    let said = dropped.expect_err("the death is seen");
    let said = said.downcast_ref::<String>().expect("a formatted message");
    assert!(said.starts_with("the node died by signal 14"), "{said}");

    let node = Node::before(&upstream);
    node.signal(libc::SIGKILL);
    drop(node);
}
