//! Many requests for one URL become one fetch, and nobody waits longer than needed.

use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use crate::harness::{Gate, Node, Upstream, pattern, pause};

const FRESH: (&str, &str) = ("Cache-Control", "max-age=60");

/// Long enough for requests already written to reach the node; nothing breaks when it is not, the
/// late ones are hits then.
const ARRIVAL: Duration = Duration::from_millis(200);

#[test]
fn fifty_clients_are_one_fetch() {
    let upstream = Upstream::start();
    let node = Node::before(&upstream);
    let gate = Gate::new();
    let body = pattern(100_000);
    upstream
        .expect("GET /a")
        .wait(&gate)
        .reply(200)
        .header(FRESH.0, FRESH.1)
        .body(&body);
    let mut clients: Vec<_> = (0..50).map(|_| node.client()).collect();
    for client in &mut clients {
        client.get("/a").begin();
    }
    upstream.wait_received(1);
    pause(ARRIVAL);
    gate.open();
    let mut words = Vec::new();
    for client in &mut clients {
        let response = client.answer("GET");
        response.is(200).body(&body);
        words.push((
            response.cache_word(),
            response.cache_parameter("collapsed").is_some(),
        ));
    }
    let collapsed = words
        .iter()
        .filter(|(word, collapsed)| word == "miss" && *collapsed)
        .count();
    assert!(
        collapsed > 30,
        "{collapsed} of 49 say that they were collapsed: {words:?}"
    );
    assert_eq!(upstream.connections(), 1);
}

#[test]
fn a_follower_gets_the_first_bytes_before_the_last_are_there() {
    let upstream = Upstream::start();
    let node = Node::before(&upstream);
    let gate = Gate::new();
    let body = pattern(200_000);
    let head = "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 200000\r\n\r\n";
    upstream
        .expect("GET /a")
        .raw(head)
        .raw(&body[..50_000])
        .wait(&gate)
        .raw(&body[50_000..]);
    let mut leader = node.client();
    leader.get("/a").begin();
    leader
        .answer_head("GET")
        .is(200)
        .header("Content-Length", "200000");
    assert_eq!(leader.body_bytes(50_000), body[..50_000]);
    // The same for clients that come later, on whatever worker.
    let mut followers: Vec<_> = (0..8).map(|_| node.client()).collect();
    for follower in &mut followers {
        follower.get("/a").begin();
        follower.answer_head("GET").is(200);
        assert_eq!(follower.body_bytes(50_000), body[..50_000]);
    }
    gate.open();
    for client in followers.iter_mut().chain([&mut leader]) {
        assert_eq!(client.body_bytes(150_000), body[50_000..]);
    }
    leader.get("/a").send().cache("hit").body(&body);
}

#[test]
fn chunks_are_streamed_to_followers_too() {
    let upstream = Upstream::start();
    let node = Node::before(&upstream);
    let gate = Gate::new();
    let head = "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nTransfer-Encoding: chunked\r\n\r\n";
    upstream
        .expect("GET /a")
        .raw(head)
        .raw("5\r\nfirst\r\n")
        .wait(&gate)
        .raw("6\r\nsecond\r\n0\r\n\r\n");
    let mut leader = node.client();
    leader.get("/a").begin();
    leader
        .answer_head("GET")
        .is(200)
        .header("Transfer-Encoding", "chunked");
    assert_eq!(leader.body_bytes(10), b"5\r\nfirst\r\n");
    let mut follower = node.client();
    follower.get("/a").begin();
    follower
        .answer_head("GET")
        .is(200)
        .header("Transfer-Encoding", "chunked");
    assert_eq!(follower.body_bytes(10), b"5\r\nfirst\r\n");
    gate.open();
    for client in [&mut leader, &mut follower] {
        assert_eq!(client.body_bytes(16), b"6\r\nsecond\r\n0\r\n\r\n"[..16]);
    }
    node.get("/a")
        .send()
        .cache("hit")
        .body("firstsecond")
        .header("Content-Length", "11");
}

#[test]
fn the_others_finish_when_the_leaders_client_vanishes() {
    let upstream = Upstream::start();
    let node = Node::before(&upstream);
    let gate = Gate::new();
    let body = pattern(300_000);
    let head = "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 300000\r\n\r\n";
    upstream
        .expect("GET /a")
        .raw(head)
        .raw(&body[..10_000])
        .wait(&gate)
        .raw(&body[10_000..]);
    let mut leader = node.client();
    leader.get("/a").begin();
    leader.answer_head("GET").is(200);
    let mut follower = node.client();
    follower.get("/a").begin();
    follower.answer_head("GET").is(200);
    drop(leader);
    pause(ARRIVAL);
    gate.open();
    assert_eq!(follower.body_bytes(300_000), body);
    node.get("/a").send().cache("hit").body(&body);
}

#[test]
fn a_fetch_outlives_the_only_client_that_asked() {
    let upstream = Upstream::start();
    let node = Node::before(&upstream);
    let gate = Gate::new();
    upstream
        .expect("GET /a")
        .wait(&gate)
        .reply(200)
        .header(FRESH.0, FRESH.1)
        .body("for later");
    let mut client = node.client();
    client.get("/a").begin();
    upstream.wait_received(1);
    drop(client);
    pause(ARRIVAL);
    gate.open();
    // One fetch only: this request follows the one that has lost its client, or hits.
    node.get("/a").send().is(200).body("for later");
    node.get("/a").send().cache("hit");
}

#[test]
fn uncacheable_answers_release_everybody() {
    let upstream = Upstream::start();
    let node = Node::before(&upstream);
    let (first, rest) = (Gate::new(), Gate::new());
    let private = ("Cache-Control", "private, no-store");
    upstream
        .expect("GET /a")
        .wait(&first)
        .reply(200)
        .header(private.0, private.1)
        .body("mine");
    let script = upstream.expect("GET /a").times(9).wait(&rest).reply(200);
    script.header(private.0, private.1).body("mine");
    let mut clients: Vec<_> = (0..10).map(|_| node.client()).collect();
    for client in &mut clients {
        client.get("/a").begin();
    }
    upstream.wait_received(1);
    pause(ARRIVAL);
    first.open();
    // All nine are fetched side by side: were they queued, the ninth would never be seen here.
    upstream.wait_received(10);
    rest.open();
    for client in &mut clients {
        client.answer("GET").is(200).body("mine");
    }
}

#[test]
fn a_url_known_as_uncacheable_is_not_collapsed_again() {
    let upstream = Upstream::start();
    let node = Node::before(&upstream);
    let gate = Gate::new();
    let private = ("Cache-Control", "private");
    upstream
        .expect("GET /a")
        .reply(200)
        .header(private.0, private.1)
        .body("mine");
    upstream
        .expect("GET /a")
        .times(6)
        .wait(&gate)
        .reply(200)
        .header(private.0, private.1);
    node.get("/a").send().is(200);
    let mut clients: Vec<_> = (0..6).map(|_| node.client()).collect();
    for client in &mut clients {
        client.get("/a").begin();
    }
    upstream.wait_received(7);
    gate.open();
    for client in &mut clients {
        client.answer("GET").is(200);
    }
}

#[test]
fn a_url_that_becomes_cacheable_is_stored_again() {
    let upstream = Upstream::start();
    let node = Node::before(&upstream);
    upstream
        .expect("GET /a")
        .reply(200)
        .header("Cache-Control", "no-store")
        .body("no");
    upstream
        .expect("GET /a")
        .always()
        .reply(200)
        .header(FRESH.0, FRESH.1)
        .body("yes");
    node.get("/a").send().is(200).body("no");
    node.get("/a").send().is(200).body("yes");
    crate::harness::eventually("a hit", || {
        (node.get("/a").send().cache_word() == "hit").then_some(())
    });
}

#[test]
fn a_failed_fetch_fails_its_followers_and_is_forgotten() {
    let upstream = Upstream::start();
    let node = Node::before(&upstream);
    let gate = Gate::new();
    // The second one is for a node that lets one follower try again before it gives up.
    upstream.expect("GET /a").wait(&gate).reset();
    upstream.expect("GET /a").always().reset();
    let mut clients: Vec<_> = (0..5).map(|_| node.client()).collect();
    for client in &mut clients {
        client.get("/a").begin();
    }
    upstream.wait_received(1);
    pause(ARRIVAL);
    gate.open();
    for client in &mut clients {
        client.answer("GET").is(502);
    }
    upstream
        .expect("GET /b")
        .reply(200)
        .header(FRESH.0, FRESH.1)
        .body("well");
    node.get("/b").send().is(200).body("well");
}

#[test]
fn a_herd_over_many_urls_fetches_each_once() {
    let upstream = Upstream::start();
    let node = Node::before(&upstream);
    for at in 0..20 {
        upstream
            .expect(&format!("GET /{at}"))
            .reply(200)
            .header(FRESH.0, FRESH.1)
            .body(pattern(1000 * at));
    }
    let failures = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for number in 0..16 {
            let (node, failures) = (&node, &failures);
            scope.spawn(move || {
                let mut client = node.client();
                for step in 0..60 {
                    let at = (step * 7 + number) % 20;
                    let response = client.get(&format!("/{at}")).send();
                    if response.status != 200 || response.body != pattern(1000 * at) {
                        failures.lock().expect("no panic inside").push(response);
                    }
                }
            });
        }
    });
    assert!(failures.into_inner().expect("no panic inside").is_empty());
    assert_eq!(upstream.received().len(), 20);
}

/// For one visitor with a cookie the upstream answers what only that visitor may see.
fn expect_pages(upstream: &Upstream) {
    upstream
        .expect("GET /a")
        .with("Cookie", "s=1")
        .always()
        .reply(200)
        .header("Cache-Control", "private")
        .header("Set-Cookie", "s=1")
        .body("yours");
    upstream
        .expect("GET /a")
        .without("Cookie")
        .reply(200)
        .header(FRESH.0, FRESH.1)
        .body("everybody's");
}

#[test]
fn one_visitors_reload_takes_nothing_from_the_others() {
    let upstream = Upstream::start();
    let node = Node::before(&upstream);
    expect_pages(&upstream);
    node.get("/a").send().cache("miss").body("everybody's");
    for (name, value) in [("Cache-Control", "no-cache"), ("Pragma", "no-cache")] {
        let reload = node.get("/a").header("Cookie", "s=1").header(name, value);
        reload.send().is(200).body("yours");
        node.get("/a").send().cache("hit").body("everybody's");
    }
}

#[test]
fn the_first_answer_that_can_be_stored_is() {
    let upstream = Upstream::start();
    let node = Node::before(&upstream);
    expect_pages(&upstream);
    let visit = || node.get("/a").header("Cookie", "s=1").send();
    visit().is(200).body("yours");
    // Known as what cannot be stored now, and so fetched by each for itself.
    let first = node.get("/a").send();
    first.is(200).body("everybody's");
    assert_eq!(first.cache_parameter("fwd").as_deref(), Some("miss"));
    node.get("/a").send().cache("hit").body("everybody's");
    // Nor does another such visit change that.
    visit().cache("hit").body("everybody's");
}
