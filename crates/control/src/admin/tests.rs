//! The admin API over real loopback connections, in front of a node that only remembers.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Mutex;

use corsair_config::NoFiles;
use corsair_server::{
    ReflectionSnapshot, ShadowSnapshot, Snapshot, StoreSnapshot, UpstreamSnapshot, WorkerSnapshot,
};
use serde_json::Value;

use super::*;
use crate::connections::{AdminListener, ConnectionLimits};
use crate::edge_node::testing::{FakeNode, config};
use crate::{Control, ControlOptions, Watch};

struct Bench {
    node: Arc<FakeNode>,
    control: Control,
    text: Arc<Mutex<String>>,
}

fn bench() -> Bench {
    let node = Arc::new(FakeNode::default());
    let text = Arc::new(Mutex::new(config(&[("first", "127.0.0.1:1")])));
    let loaded = Arc::clone(&text);
    let options = ControlOptions {
        build: "1.2.3 (test)",
        load: Box::new(move || {
            corsair_config::check("node.toml", &loaded.lock().unwrap(), &NoFiles)
        }),
        watch: Watch {
            changed: Box::new(|| false),
            load: Box::new(|| panic!("nothing changes")),
        },
        talk: node.talk(),
        on_stop: Box::new(|_| {}),
        panics: || 7,
    };
    let listener = AdminListener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let control = Control::start(listener, Arc::<FakeNode>::clone(&node), options).unwrap();
    Bench {
        node,
        control,
        text,
    }
}

struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|e| panic!("{e}: {}", self.body))
    }
}

/// Sends raw bytes and reads to the end of the connection.
fn exchange(address: SocketAddr, request: &[u8]) -> Answer {
    let mut stream = TcpStream::connect(address).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(10)))
        .unwrap();
    stream.write_all(request).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let (head, body) = text
        .split_once("\r\n\r\n")
        .unwrap_or_else(|| panic!("no head: {text:?}"));
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Answer {
        status,
        head: head.to_ascii_lowercase(),
        body: body.to_owned(),
    }
}

impl Bench {
    fn send(&self, method: &str, path: &str, fields: &str) -> Answer {
        let address = self.control.address();
        let host = if fields.to_ascii_lowercase().contains("host:") {
            String::new()
        } else {
            format!("Host: {address}\r\n")
        };
        let request =
            format!("{method} {path} HTTP/1.1\r\n{host}Connection: close\r\n{fields}\r\n");
        exchange(address, request.as_bytes())
    }

    fn get(&self, path: &str) -> Answer {
        self.send("GET", path, "")
    }

    fn set_text(&self, text: &str) {
        text.clone_into(&mut self.text.lock().unwrap());
    }
}

#[test]
fn probes_tell_living_from_ready() {
    let bench = bench();
    let ready = bench.get("/readyz");
    assert_eq!((ready.status, ready.body.as_str()), (200, "ready\n"));
    bench.node.draining.store(true, Ordering::Relaxed);
    let draining = bench.get("/readyz");
    assert_eq!(
        (draining.status, draining.body.as_str()),
        (503, "draining\n")
    );
    assert_eq!(bench.get("/healthz").status, 200);
}

/// Two workers and one upstream, every number different.
fn busy_snapshot() -> Snapshot {
    let worker = |base: u64| WorkerSnapshot {
        connections_open: base + 1,
        connections_accepted: base + 2,
        requests: base + 3,
        bytes_in: base + 4,
        bytes_out: base + 5,
        outcomes: vec![("hit", base + 6), ("miss", base + 7)],
        responses_by_class: [base + 10, base + 11, base + 12, base + 13, base + 14],
        cors: vec![("granted", base + 15)],
        bad_requests: base + 16,
        panics: base + 17,
        upstream_connects: base + 18,
        upstream_reuses: base + 19,
        upstream_failures: base + 20,
        upstream_retries: base + 21,
        ..WorkerSnapshot::default()
    };
    Snapshot {
        driver: "io_uring",
        generation: 4,
        uptime: Duration::from_millis(2500),
        workers: vec![worker(100), worker(1000)],
        store: StoreSnapshot {
            bytes: 11,
            budget: 22,
            objects: 33,
        },
        upstreams: vec![UpstreamSnapshot {
            name: "bucket".into(),
            addresses: 2,
            responses: 44,
            head_latency_us: [1500, 2500, 3_500_000],
        }],
        reflections: vec![ReflectionSnapshot {
            site: "a.test".into(),
            responses: 55,
        }],
        shadows: vec![ShadowSnapshot {
            site: "b.test".into(),
            route: 2,
            allow_to_deny: 66,
            deny_to_allow: 77,
        }],
    }
}

/// The families of a scrape, `name kind`, in order, with each sample found under its own.
fn families(text: &str) -> Vec<String> {
    let mut families: Vec<String> = Vec::new();
    for line in text.lines() {
        if let Some(family) = line.strip_prefix("# TYPE ") {
            families.push(family.to_owned());
        } else if !line.starts_with('#') {
            let sample = line.split([' ', '{']).next().unwrap();
            let family = families.last().and_then(|last| last.split(' ').next());
            assert_eq!(Some(sample), family, "{line}");
        }
    }
    families
}

#[test]
fn metrics_are_prometheus_text_unless_open_metrics_is_accepted() {
    let bench = bench();
    let plain = bench.get("/metrics");
    assert!(
        plain
            .head
            .contains("content-type: text/plain; version=0.0.4;")
    );
    assert!(!plain.body.contains("# EOF"));
    assert!(families(&plain.body).contains(&"corsair_requests_total counter".to_owned()));
    assert!(
        plain
            .body
            .contains("# HELP corsair_requests_total Requests answered\n")
    );
    assert!(
        plain
            .body
            .contains("# HELP corsair_store_objects Responses stored\n")
    );

    let accept = "Accept: application/openmetrics-text;version=1.0.0,text/plain;q=0.5\r\n";
    let open = bench.send("GET", "/metrics", accept);
    assert!(
        open.head
            .contains("content-type: application/openmetrics-text;")
    );
    assert!(open.body.contains("# TYPE corsair_requests counter\n"));
    assert!(open.body.ends_with("# EOF\n"));
}

#[test]
fn metrics_carry_every_number_of_the_snapshot() {
    let bench = bench();
    bench.node.set_snapshot(busy_snapshot());
    let answer = bench.get("/metrics");
    assert_eq!(answer.status, 200);
    assert!(
        answer
            .head
            .contains("content-type: text/plain; version=0.0.4;"),
        "{}",
        answer.head
    );
    let expected = [
        "corsair_driver{driver=\"io_uring\"} 1.0",
        "corsair_driver{driver=\"epoll\"} 0.0",
        "corsair_uptime_seconds 2.5",
        "corsair_ready 1.0",
        "corsair_draining 0.0",
        "corsair_plan_generation 4.0",
        "corsair_reloads_total{result=\"failed\"} 0",
        "corsair_panics_total 7",
        "corsair_connections_open{worker=\"0\"} 101.0",
        "corsair_connections_open{worker=\"1\"} 1001.0",
        "corsair_connections_accepted_total{worker=\"1\"} 1002",
        "corsair_requests_total{worker=\"0\"} 103",
        "corsair_received_bytes_total{worker=\"0\"} 104",
        "corsair_sent_bytes_total{worker=\"1\"} 1005",
        "corsair_outcomes_total{outcome=\"hit\"} 1112",
        "corsair_outcomes_total{outcome=\"miss\"} 1114",
        "corsair_responses_total{class=\"1xx\"} 1120",
        "corsair_responses_total{class=\"5xx\"} 1128",
        "corsair_cors_total{outcome=\"granted\"} 1130",
        "corsair_bad_requests_total{worker=\"0\"} 116",
        "corsair_worker_panics_total{worker=\"1\"} 1017",
        "corsair_upstream_connects_total 1136",
        "corsair_upstream_reuses_total 1138",
        "corsair_upstream_failures_total 1140",
        "corsair_upstream_retries_total 1142",
        "corsair_cors_reflections_total{site=\"a.test\"} 55",
        "corsair_cors_shadow_flips_total{site=\"b.test\",route=\"2\",flip=\"allow-to-deny\"} 66",
        "corsair_cors_shadow_flips_total{site=\"b.test\",route=\"2\",flip=\"deny-to-allow\"} 77",
        "corsair_store_bytes 11.0",
        "corsair_store_budget_bytes 22.0",
        "corsair_store_objects 33.0",
        "corsair_upstream_addresses{upstream=\"bucket\"} 2.0",
        "corsair_upstream_latency_seconds{upstream=\"bucket\",quantile=\"0.5\"} 0.0015",
        "corsair_upstream_latency_seconds{upstream=\"bucket\",quantile=\"0.99\"} 3.5",
        "corsair_upstream_responses_total{upstream=\"bucket\"} 44",
    ];
    for line in expected {
        assert!(
            answer.body.lines().any(|l| l == line),
            "no `{line}` in\n{}",
            answer.body
        );
    }
    assert!(
        answer
            .body
            .contains("corsair_build_info{version=\"1.2.3 (test)\""),
        "{}",
        answer.body
    );
}

#[test]
fn status_is_the_snapshot_as_json() {
    let bench = bench();
    bench.node.set_snapshot(busy_snapshot());
    let status = bench.get("/v1/status").json();
    let expected: [(&str, Value); 12] = [
        ("/driver", "io_uring".into()),
        ("/ready", true.into()),
        ("/generation", 4.into()),
        ("/uptime_s", 2.5.into()),
        ("/listeners/0", "127.0.0.1:8080".into()),
        ("/store/budget", 22.into()),
        ("/workers/1/requests", 1003.into()),
        ("/workers/0/outcomes/hit", 106.into()),
        ("/workers/0/responses/5xx", 114.into()),
        ("/upstreams/0/latency_us/p99", 3_500_000.into()),
        ("/reloads/applied", 0.into()),
        ("/panics", 7.into()),
    ];
    for (pointer, value) in expected {
        assert_eq!(
            status.pointer(pointer),
            Some(&value),
            "{pointer} in {status:#}"
        );
    }
}

#[test]
fn unknown_paths_and_methods_are_answered_in_json() {
    let bench = bench();
    let table = [
        ("GET", "/", 404),
        ("GET", "/v1/purge", 404),
        ("POST", "/metrics", 405),
        ("GET", "/v1/reload", 405),
        ("DELETE", "/v1/status", 405),
    ];
    for (method, path, status) in table {
        let answer = bench.send(method, path, "");
        assert_eq!(answer.status, status, "{method} {path}");
        assert_eq!(answer.json()["ok"], false, "{method} {path}");
        assert_eq!(
            answer.head.contains("\r\nallow:"),
            status == 405,
            "{method} {path}"
        );
    }
}

#[test]
fn browsers_of_other_origins_reach_nothing() {
    let bench = bench();
    let table = [
        ("POST", "/v1/reload", "Host: evil.example\r\n"),
        (
            "POST",
            "/v1/reload",
            "Host: localhost\r\nOrigin: https://evil.example\r\n",
        ),
        (
            "POST",
            "/v1/reload",
            "Host: localhost\r\nSec-Fetch-Site: cross-site\r\n",
        ),
        ("GET", "/metrics", "Host: evil.example\r\n"),
        (
            "GET",
            "/v1/status",
            "Host: localhost\r\nSec-Fetch-Site: same-site\r\n",
        ),
        ("GET", "/nowhere", "Host: evil.example\r\n"),
    ];
    for (method, path, fields) in table {
        let answer = bench.send(method, path, fields);
        assert_eq!(answer.status, 403, "{method} {path} {fields}");
        for field in [
            "cache-control: no-store",
            "cross-origin-resource-policy: same-origin",
        ] {
            assert!(answer.head.contains(field), "{}", answer.head);
        }
    }
    assert_eq!(bench.get("/v1/status").json()["reloads"]["applied"], 0);
    assert_eq!(bench.node.said(), "");
}

#[test]
fn a_good_configuration_is_applied_and_said() {
    let bench = bench();
    bench.set_text(&config(&[("second", "127.0.0.9:99")]));
    let answer = bench.send("POST", "/v1/reload", "");
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(answer.json()["generation"], 2);
    assert_eq!(bench.node.plan().upstreams[0].name, "second");
    assert_eq!(bench.node.addresses_of("second"), ["127.0.0.9:99"]);
    assert!(
        bench
            .node
            .said()
            .contains("reloaded (POST /v1/reload): plan 2 is in force")
    );
    let status = bench.get("/v1/status").json();
    assert_eq!(status["reloads"]["applied"], 1);
    assert_eq!(status["reloads"]["last"]["by"], "POST /v1/reload");
}

#[test]
fn a_bad_configuration_keeps_the_old_plan_and_lists_every_problem() {
    let bench = bench();
    bench.set_text("[node]\nnmae = \"bad\"\nwrokers = 1\n");
    let answer = bench.send("POST", "/v1/reload", "");
    assert_eq!(answer.status, 422, "{}", answer.body);
    let json = answer.json();
    assert_eq!(
        (&json["ok"], &json["generation"]),
        (&false.into(), &1.into())
    );
    assert_eq!(bench.node.plan().upstreams[0].name, "first");
    let said = bench.node.said();
    let listed = json["diagnostics"].as_array().unwrap();
    assert!(!listed.is_empty());
    for diagnostic in listed {
        assert_eq!(diagnostic["file"], "node.toml");
        assert!(
            said.contains(diagnostic["message"].as_str().unwrap()),
            "{said}"
        );
    }
    assert!(
        said.contains("reload failed (POST /v1/reload): the configuration has"),
        "{said}"
    );
    assert!(said.contains("plan 1 stays in force"), "{said}");
    let status = bench.get("/v1/status").json();
    assert_eq!(status["reloads"]["failed"], 1);
}

#[test]
fn a_draining_node_takes_no_new_plan() {
    let bench = bench();
    bench.node.draining.store(true, Ordering::Relaxed);
    let answer = bench.send("POST", "/v1/reload", "");
    assert_eq!(
        (answer.status, &answer.json()["error"]),
        (409, &"the node is draining".into())
    );
    assert_eq!(bench.node.snapshot().generation, 1);
}

#[test]
fn a_moved_admin_address_needs_a_restart() {
    let bench = bench();
    let text = format!(
        "[admin]\nlisten = \"127.0.0.1:9999\"\n{}",
        config(&[("a", "127.0.0.1:1")])
    );
    bench.set_text(&text);
    let answer = bench.send("POST", "/v1/reload", "");
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(
        answer.json()["needs_restart"],
        serde_json::json!(["admin.listen"])
    );
    assert!(
        bench
            .node
            .said()
            .contains("at the next start only: admin.listen")
    );
}

#[test]
fn bodies_and_heads_are_bounded() {
    let bench = bench();
    let with_body = |length: usize| {
        let head = format!("Content-Length: {length}\r\n\r\n{}", "x".repeat(length));
        bench.send("POST", "/v1/reload", &head[..head.len()]).status
    };
    assert_eq!(with_body(BODY_BYTES_MAX), 200);
    assert_eq!(with_body(BODY_BYTES_MAX + 1), 413);
    let large = format!("X-Large: {}\r\n", "x".repeat(32 * 1024));
    assert_eq!(bench.send("GET", "/healthz", &large).status, 431);
}

#[test]
fn a_busy_address_is_named() {
    let taken = AdminListener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let error = AdminListener::bind(taken.address())
        .unwrap_err()
        .to_string();
    assert!(
        error.starts_with(&format!("cannot listen on {} (admin): ", taken.address())),
        "{error}"
    );
}

#[test]
fn a_silent_client_gives_its_slot_back() {
    let listener = AdminListener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = listener.address();
    let limits = ConnectionLimits {
        connections_max: 1,
        head_timeout: Duration::from_millis(100),
        ..ConnectionLimits::default()
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let router = Router::new().route("/", get(async || "served\n"));
    std::thread::spawn(move || runtime.block_on(listener.serve(router, limits)));
    let mut silent = TcpStream::connect(address).unwrap();
    silent.write_all(b"GET / HT").unwrap();
    let request = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    assert_eq!(exchange(address, request).body, "served\n");
    // The first client was sent away, not forgotten.
    silent
        .set_read_timeout(Some(Duration::from_secs(10)))
        .unwrap();
    let mut rest = Vec::new();
    silent.read_to_end(&mut rest).unwrap();
    assert!(
        !rest.starts_with(b"HTTP/1.1 200"),
        "{}",
        String::from_utf8_lossy(&rest)
    );
}
