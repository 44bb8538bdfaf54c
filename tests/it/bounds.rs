//! Memory, connections and descriptors stay within their bounds, and others are not harmed.

use std::time::Duration;

use crate::harness::{
    Client, CpuTime, Gate, NodeConfig, Resident, Upstream, eventually, pattern, pause,
};

const FRESH: (&str, &str) = ("Cache-Control", "max-age=60");
const MIB: u64 = 1 << 20;

#[test]
fn five_thousand_idle_connections_cost_little() {
    const COUNT: usize = 5_000;
    let upstream = Upstream::start();
    let node = NodeConfig::before(&upstream).start();
    upstream
        .expect("GET /a")
        .reply(200)
        .header(FRESH.0, FRESH.1)
        .body("body");
    node.get("/a").send().is(200);
    let base = Resident::now(node.pid());
    let mut clients = Vec::with_capacity(COUNT);
    for at in 0..COUNT {
        let mut client = node.client();
        // Half of them have been served before they idle; the others never say a word.
        if at % 2 == 0 {
            client.get("/a").send().cache("hit").body("body");
        }
        clients.push(client);
    }
    node.get("/a").send().cache("hit");
    // Buffers go back after a fifth of a second of silence, their pages over the second after that. What a
    // worker keeps for the next burst counts here as well.
    eventually("an idle connection takes less than 2 KiB", || {
        let each = Resident::now(node.pid()).above(base) / COUNT as u64;
        (each < 2 * 1024).then_some(())
    });
    // The last of them fall idle behind the others.
    eventually("idle connections leave the CPU alone", || {
        let cpu = CpuTime::of(node.pid());
        pause(Duration::from_millis(500));
        (CpuTime::of(node.pid()).since(cpu) < Duration::from_millis(200)).then_some(())
    });
    for client in clients.iter_mut().rev().take(50) {
        client.get("/a").send().cache("hit").body("body");
    }
}

#[test]
fn free_pages_go_back_from_a_thread_of_the_allocator() {
    let upstream = Upstream::start();
    let node = NodeConfig::before(&upstream).start();
    // It runs only when the options that the binary carries have reached the allocator.
    eventually("the allocator's own thread runs", || {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", node.pid())).ok()?;
        let mut names = tasks
            .flatten()
            .filter_map(|task| std::fs::read_to_string(task.path().join("comm")).ok());
        names
            .any(|name| name.trim() == "jemalloc_bg_thd")
            .then_some(())
    });
}

#[test]
fn connections_over_the_limit_are_turned_away() {
    let upstream = Upstream::start();
    let node = NodeConfig::before(&upstream)
        .limits("connections = 20")
        .start();
    upstream
        .expect("GET /a")
        .always()
        .reply(200)
        .header(FRESH.0, FRESH.1)
        .body("body");
    let mut inside: Vec<Client> = (0..20).map(|_| node.client()).collect();
    for client in &mut inside {
        client.get("/a").send().is(200);
    }
    for _ in 0..10 {
        let mut outside = Client::connect_patiently(node.address(), Duration::from_millis(500));
        // 503 and closed, closed at once, or left in the kernel's queue: but not served.
        let answered = outside
            .wire
            .write(b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n")
            .is_ok()
            && outside
                .try_answer("GET")
                .is_ok_and(|response| response.status != 503);
        assert!(!answered, "a twenty-first connection was served");
    }
    for client in &mut inside {
        client.get("/a").send().is(200).body("body");
    }
    drop(inside);
    eventually("there is room again", || {
        let mut client = Client::connect_patiently(node.address(), Duration::from_millis(500));
        let asked = client
            .wire
            .write(b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n")
            .is_ok();
        (asked && client.try_answer("GET").is_ok_and(|r| r.status == 200)).then_some(())
    });
}

#[test]
fn running_out_of_descriptors_ends_nothing() {
    let upstream = Upstream::start();
    let mut node = NodeConfig::before(&upstream).nofile(100).start();
    upstream
        .expect("GET /a")
        .always()
        .reply(200)
        .header(FRESH.0, FRESH.1)
        .body("body");
    let mut first = node.client();
    first.get("/a").send().is(200);
    let mut crowd: Vec<Client> = (0..300)
        .map(|_| Client::connect_patiently(node.address(), Duration::from_millis(200)))
        .collect();
    eventually("it does not spin for descriptors", || {
        let cpu = CpuTime::of(node.pid());
        pause(Duration::from_secs(1));
        (CpuTime::of(node.pid()).since(cpu) < Duration::from_millis(600)).then_some(())
    });
    assert!(node.is_running());
    first.get("/a").send().cache("hit").body("body");
    // What is not stored is still fetched: clients never take the last descriptor.
    for target in ["/b", "/c", "/d"] {
        let fetched = upstream.expect(&format!("GET {target}")).reply(200);
        fetched
            .header("Connection", "close")
            .body("fetched")
            .close();
        first.get(target).send().is(200).body("fetched");
    }
    let mut served = 0;
    for client in &mut crowd {
        let asked = client
            .wire
            .write(b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n")
            .is_ok();
        served += usize::from(asked && served < 10 && client.try_answer("GET").is_ok());
    }
    assert!(served > 0, "nobody of the crowd was served");
    drop(crowd);
    eventually("descriptors are free again", || {
        let mut client = Client::connect_patiently(node.address(), Duration::from_millis(500));
        let asked = client
            .wire
            .write(b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n")
            .is_ok();
        (asked && client.try_answer("GET").is_ok_and(|r| r.status == 200)).then_some(())
    });
    first.get("/a").send().cache("hit").body("body");
}

#[test]
fn a_slow_reader_of_a_large_body_holds_little() {
    let upstream = Upstream::start();
    let node = NodeConfig::before(&upstream).memory("64MiB").start();
    let body = pattern(100 << 20);
    // Not storable: what the reader does not take must be left with the upstream.
    upstream
        .expect("GET /a")
        .reply(200)
        .header("Cache-Control", "no-store")
        .body(&body);
    upstream.expect("GET /b").always().reply(200).body("others");
    node.get("/b").send().is(200);
    let base = Resident::now(node.pid());
    let mut slow = node.client();
    slow.get("/a").begin();
    slow.answer_head("GET").is(200);
    assert_eq!(slow.body_bytes(100_000), body[..100_000]);
    for _ in 0..10 {
        pause(Duration::from_millis(50));
        node.get("/b").send().is(200).body("others");
    }
    let held = Resident::now(node.pid()).above(base);
    assert!(held < 12 * MIB, "{held} bytes are held for one slow reader");
    assert_eq!(slow.body_bytes(body.len() - 100_000), body[100_000..]);
}

#[test]
fn a_large_miss_streams_through_flat_memory() {
    let upstream = Upstream::start();
    let node = NodeConfig::before(&upstream).memory("16MiB").start();
    let body = pattern(100 << 20);
    // Storable by its fields, but larger than the store: relayed.
    upstream
        .expect("GET /a")
        .reply(200)
        .header(FRESH.0, FRESH.1)
        .body(&body);
    upstream.expect("GET /b").reply(200).until_close(&body);
    let base = Resident::now(node.pid());
    node.get("/a").send().is(200).body(&body);
    node.get("/b").send().is(200).body(&body);
    let peak = Resident::peak(node.pid()).above(base);
    assert!(
        peak < 40 * MIB,
        "{peak} bytes at the peak for bodies of 100 MiB"
    );
}

#[test]
fn the_store_keeps_its_budget_under_churn() {
    const COUNT: usize = 1500;
    const SIZES: [usize; 4] = [100, 5_000, 60_000, 200_000];
    let upstream = Upstream::start();
    let node = NodeConfig::before(&upstream).memory("16MiB").start();
    let mut client = node.client();
    let base = Resident::now(node.pid());
    for at in 0..COUNT {
        let size = SIZES[at % 4];
        upstream
            .expect(&format!("GET /{at}"))
            .reply(200)
            .header(FRESH.0, FRESH.1)
            .body(pattern(size));
        client.get(&format!("/{at}")).send().is(200);
    }
    let grown = Resident::now(node.pid()).above(base);
    // 1.25 × the budget and a base for the pools of two workers.
    assert!(
        grown < 20 * MIB + 12 * MIB,
        "{grown} bytes for a budget of 16 MiB"
    );
    let stored: usize = (0..COUNT)
        .filter(|at| {
            let ask = client
                .get(&format!("/{at}"))
                .header("Cache-Control", "only-if-cached");
            ask.send().status == 200
        })
        .map(|at| SIZES[at % 4])
        .sum();
    let stored = stored as u64;
    assert!(
        (8 * MIB..=16 * MIB).contains(&stored),
        "{stored} bytes of bodies are stored"
    );
}

#[test]
fn a_hundred_slow_fills_do_not_block_a_hit() {
    let upstream = Upstream::start();
    let node = NodeConfig::before(&upstream).start();
    let gate = Gate::new();
    upstream
        .expect("GET /hit")
        .reply(200)
        .header(FRESH.0, FRESH.1)
        .body("body");
    node.get("/hit").send().is(200);
    let mut waiting = Vec::new();
    for at in 0..100 {
        upstream
            .expect(&format!("GET /{at}"))
            .wait(&gate)
            .reply(200)
            .body("late");
        let mut client = node.client();
        client.get(&format!("/{at}")).begin();
        waiting.push(client);
    }
    upstream.wait_received(101);
    // The gate is shut: a hit that waited for any of them would wait beyond its client's patience.
    for _ in 0..50 {
        node.get("/hit").send().cache("hit").body("body");
    }
    gate.open();
    for client in &mut waiting {
        client.answer("GET").is(200).body("late");
    }
}
