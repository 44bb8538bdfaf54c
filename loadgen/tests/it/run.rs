//! `loadgen run` against servers that are good, wrong, slow and gone: what it sends, what it
//! counts, and its exit codes.

use std::time::{Duration, Instant};

use crate::server::{Ran, Reply, Server, command, finish, loadgen, ok, ok_bytes};

fn good_server() -> Server {
    Server::start(|request| {
        let origin = request
            .field("Origin")
            .map(|o| format!("Access-Control-Allow-Origin: {o}"));
        let mut fields = vec!["Vary: Origin"];
        fields.extend(origin.as_deref());
        ok(
            &fields,
            if request.method == "HEAD" {
                ""
            } else {
                "hello"
            },
        )
    })
}

#[test]
fn a_counted_run_sends_exactly_what_it_counts() {
    let check = |flags: &[&str], requests: u64, connections: u64| {
        let server = good_server();
        let ran = loadgen(&server.url("/a?n={seq}"), flags);
        assert_eq!(ran.code, 0, "{flags:?}: {}", ran.stderr);
        let count = |name: &str| ran.json[name].as_u64().unwrap();
        assert_eq!(
            (count("requests"), count("mismatches"), count("errors")),
            (requests, 0, 0)
        );
        let seen = server.seen();
        let mut numbers: Vec<u64> = seen
            .iter()
            .map(|r| r.target.strip_prefix("/a?n=").unwrap().parse().unwrap())
            .collect();
        numbers.sort_unstable();
        assert_eq!(numbers, (0..requests).collect::<Vec<_>>(), "{flags:?}");
        let used = seen.iter().map(|request| request.connection).max().unwrap() + 1;
        assert_eq!(used, connections, "{flags:?}");
        let host = server.address.to_string();
        assert!(
            seen.iter()
                .all(|request| request.field("Host") == Some(&host)),
            "{flags:?}"
        );
        assert_eq!(ran.json["version"], 1);
        assert_eq!(ran.json["valid"], true, "{}", ran.stderr);
        let [p50, p99, max] = ["p50", "p99", "max"].map(|p| ran.json["latency_us"][p].as_f64());
        assert!(
            p50.is_some() && p50 <= p99 && p99 <= max,
            "{}",
            ran.json["latency_us"]
        );
        assert_eq!(ran.json["latency_us"]["count"], requests);
    };
    check(&["-n", "1"], 1, 1);
    check(&["-n", "100", "-c", "4"], 100, 4);
    check(&["-n", "103", "-c", "4", "--depth", "8"], 103, 4);
    check(
        &["-n", "50", "-c", "1", "--requests-per-connection", "10"],
        50,
        5,
    );
    check(&["-n", "20", "-c", "2", "--no-keepalive"], 20, 20);
    check(&["-n", "60", "-c", "3", "--rate", "2000"], 60, 3);
    check(&["-n", "40", "-c", "4", "--driver", "epoll"], 40, 4);
    check(
        &["-n", "60", "-c", "3", "--rate", "2000", "--driver", "epoll"],
        60,
        3,
    );
}

#[test]
fn what_is_asked_for_is_sent() {
    let server = good_server();
    let ran = loadgen(
        &server.url("/"),
        &[
            "-n",
            "3",
            "-c",
            "1",
            "-X",
            "PUT",
            "-H",
            "X-A: {seq}",
            "--body",
            "a=b",
            "--expect-absent",
            "ETag",
        ],
    );
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    for request in server.seen() {
        assert_eq!(
            (request.method.as_str(), request.body.as_slice()),
            ("PUT", &b"a=b"[..])
        );
        assert_eq!(
            request.field("X-A"),
            Some(request.number.to_string().as_str())
        );
    }
    let server = good_server();
    let ran = loadgen(
        &server.url("/"),
        &["-n", "3", "-X", "HEAD", "--expect-status", "200"],
    );
    assert_eq!(
        (ran.code, ran.number("body_bytes")),
        (0, 0.0),
        "{}",
        ran.stderr
    );
}

#[test]
fn wrong_answers_are_counted_and_shown() {
    let check = |flags: &[&str], mismatches: u64, rule: &str| {
        let server = good_server();
        let mut all = vec!["-n", "20", "-c", "2", "-H", "Origin: https://a.example"];
        all.extend(flags);
        let ran = loadgen(&server.url("/"), &all);
        assert_eq!(
            ran.code,
            i32::from(mismatches > 0),
            "{flags:?}: {}",
            ran.stderr
        );
        assert_eq!(ran.json["mismatches"], mismatches, "{flags:?}");
        assert_eq!(ran.json["errors"], 0, "{flags:?}");
        if mismatches > 0 {
            let wrong = &ran.json["kinds"][0]["mismatches_by_rule"][0];
            assert_eq!(
                (wrong["rule"].as_str(), wrong["count"].as_u64()),
                (Some(rule), Some(mismatches))
            );
            let sample = &ran.json["sample"];
            let text = |name: &str| sample[name].as_str().unwrap().to_owned();
            assert!(
                text("request").starts_with("GET / HTTP/1.1\r\nHost: "),
                "{sample}"
            );
            assert!(
                text("request").contains("Origin: https://a.example\r\n"),
                "{sample}"
            );
            assert!(
                text("answer").starts_with("HTTP/1.1 200 OK\r\n"),
                "{sample}"
            );
            assert!(text("answer").ends_with("\r\n\r\nhello"), "{sample}");
            assert!(ran.stderr.contains("first wrong answer"), "{}", ran.stderr);
        }
    };
    check(&["--expect-status", "200"], 0, "");
    check(&["--expect-status", "404"], 20, "status is not 404");
    let acao = "Access-Control-Allow-Origin";
    check(&["--expect-header", &format!("{acao}: {{origin}}")], 0, "");
    check(
        &["--expect-header", &format!("{acao}: *")],
        20,
        &format!("{acao} is not `*`"),
    );
    check(
        &["--expect-absent", acao],
        20,
        &format!("{acao} must not be there"),
    );
    check(&["--expect-once", "ETag"], 20, "ETag is missing");
    check(&["--expect-present", "Vary: Origin"], 0, "");
    check(&["--expect-body-bytes", "5"], 0, "");
    check(
        &["--expect-body-bytes", "6"],
        20,
        "the body is not 6 bytes long",
    );
    let digest = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
    check(&["--expect-body-sha256", digest], 0, "");
    check(
        &["--expect-body-sha256", &digest.replace('2', "3")],
        20,
        "the body has other bytes",
    );
}

#[test]
fn a_broken_server_is_an_error_and_never_a_hang() {
    let check = |reply: fn(u64) -> Reply, flags: &[&str], kind: &str, errors: u64| {
        let server = Server::start(move |request| reply(request.number));
        let begin = Instant::now();
        let ran = loadgen(&server.url("/"), &[&["-n", "6", "-c", "1"], flags].concat());
        assert!(begin.elapsed() < Duration::from_secs(15), "{kind}");
        assert_eq!(ran.code, 1, "{kind}: {}", ran.stderr);
        assert_eq!(ran.json["errors"], errors, "{kind}: {}", ran.json);
        assert_eq!(ran.json["errors_by_kind"][kind], errors, "{}", ran.json);
        assert_eq!(ran.json["requests"], 6 - errors, "{kind}");
        assert!(ran.json["error_texts"][kind].is_string(), "{}", ran.json);
    };
    check(
        |_| Reply::Bytes(b"nonsense\r\n\r\n".to_vec()),
        &[],
        "protocol",
        6,
    );
    check(|_| Reply::BytesThenClose(Vec::new()), &[], "closed", 6);
    check(
        |_| Reply::BytesThenClose(b"HTTP/1.1 200 OK\r\nContent-Le".to_vec()),
        &[],
        "protocol",
        6,
    );
    check(|_| Reply::Silence, &["--timeout", "100ms"], "timeout", 6);
    let silent = |number| every_third(number, Reply::Silence);
    check(silent, &["--timeout", "100ms"], "timeout", 2);
    check(
        silent,
        &["--timeout", "100ms", "--driver", "epoll"],
        "timeout",
        2,
    );
    check(
        |number| every_third(number, Reply::BytesThenClose(CUT.to_vec())),
        &[],
        "protocol",
        2,
    );
    let server = Server::start(|_| Reply::Silence);
    let ran = loadgen(&server.url("/"), &["-n", "1", "--timeout", "100ms"]);
    let text = ran.json["error_texts"]["timeout"].as_str().unwrap();
    assert!(
        text.contains("within 100ms"),
        "the server closed nothing: {text}"
    );
    // The bytes that nobody asked for end the connection; the answer before them was good.
    let server = Server::start(|_| Reply::Bytes([ok_bytes(&[], "a"), ok_bytes(&[], "b")].concat()));
    let ran = loadgen(&server.url("/"), &["-n", "6", "-c", "1"]);
    assert_eq!(
        (ran.code, ran.number("requests")),
        (1, 6.0),
        "{}",
        ran.stderr
    );
    assert_eq!(ran.json["errors_by_kind"]["protocol"], 6, "{}", ran.json);
}

const CUT: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf";

fn every_third(number: u64, reply: Reply) -> Reply {
    if number % 3 == 2 { reply } else { ok(&[], "") }
}

#[test]
fn a_server_that_is_not_there_is_said_at_once() {
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let begin = Instant::now();
    let ran = loadgen(&format!("http://{port}/"), &["-d", "60s", "-c", "4"]);
    assert!(begin.elapsed() < Duration::from_secs(10));
    assert_eq!(
        (ran.code, ran.json["valid"].as_bool()),
        (1, Some(false)),
        "{}",
        ran.stderr
    );
    assert_eq!(ran.number("errors"), 4.0, "one for each connection");
    assert_eq!(ran.json["errors_by_kind"]["connect"].as_u64(), Some(4));
    assert!(
        ran.json["error_texts"]["connect"]
            .as_str()
            .unwrap()
            .contains("refused")
    );
}

#[test]
fn an_answer_that_lasts_until_the_end_is_whole() {
    let server = Server::start(|_| {
        Reply::BytesThenClose(b"HTTP/1.1 200 OK\r\nContent-Type: a/b\r\n\r\nuntil the end".to_vec())
    });
    let flags = ["-n", "5", "-c", "1", "--expect-body-bytes", "13"];
    let ran = loadgen(&server.url("/"), &flags);
    assert_eq!(
        (ran.code, ran.number("requests")),
        (0, 5.0),
        "{}",
        ran.stderr
    );
}

#[test]
fn a_run_of_a_time_ends_in_time_and_keeps_its_rate() {
    let server = good_server();
    let check = |flags: &[&str], least: f64, most: f64| -> Ran {
        let begin = Instant::now();
        let ran = loadgen(&server.url("/"), flags);
        let took = begin.elapsed().as_secs_f64();
        assert!((1.0..4.0).contains(&took), "{took} s");
        assert!(ran.code == 0 || ran.code == 4, "{}", ran.stderr);
        let requests = ran.number("requests");
        assert!((least..=most).contains(&requests), "{flags:?}: {requests}");
        let rate = ran.number("rate");
        assert!(
            (rate * ran.number("duration_s") - requests).abs() < 1.0,
            "{rate}"
        );
        ran
    };
    check(&["-d", "1s", "-c", "2"], 50.0, f64::INFINITY);
    check(&["-d", "1s", "--rate", "200"], 200.0, 200.0);
    check(&["-d", "1s", "--rate", "100:300"], 200.0, 200.0);
    check(&["-d", "1s", "--rate", "100,300"], 200.0, 200.0);
    let ran = check(
        &["-d", "500ms", "--warmup", "500ms", "--rate", "200"],
        100.0,
        100.0,
    );
    assert_eq!(ran.number("warmup_s"), 0.5);
    // 200 while warming up, 100 measured, none lost in between.
    let seen = server.seen().len();
    assert!(seen > 0);
}

#[test]
fn exit_codes_follow_the_contract() {
    let server = good_server();
    let check = |flags: &[&str], code: i32| {
        let ran = loadgen(&server.url("/"), &[&["-n", "20"], flags].concat());
        assert_eq!(ran.code, code, "{flags:?}: {}", ran.stderr);
        ran
    };
    check(&["--slo", "p99<10s", "--slo", "errors<1%"], 0);
    let missed = check(&["--slo", "p99<1ns"], 3);
    assert_eq!(missed.json["slo"][0]["met"], false);
    check(&["--expect-status", "500", "--slo", "p99<1ns"], 1);
    check(&["--expect-status", "500", "--fail-on", "error"], 0);
    check(&["--expect-status", "500", "--slo", "mismatches<50%"], 3);
    check(&["--expect-status", "500", "--slo", "mismatches<=100%"], 0);
    for flags in [
        &["--slo", "p99"][..],
        &["--rate", "x"],
        &["-c", "0"],
        &["-n", "0"],
        &["-d", "1s"],
        &["--expect-status", "x"],
        &["-H", "a"],
        &["--cpu", "99999"],
        &["--slo", "nobody:p99<1s"],
        &["--rate", "100", "--depth", "2"],
        &["--rate", "100:200"],
        &["--json", "/nowhere/a"],
    ] {
        let ran = check(flags, 2);
        assert!(ran.stderr.len() > 10, "{flags:?}");
    }
    for url in ["https://127.0.0.1/", "nonsense", "http://127.0.0.1:1/{x}"] {
        assert_eq!(loadgen(url, &["-n", "1"]).code, 2, "{url}");
    }
}

#[test]
fn a_rate_beyond_reach_makes_the_run_invalid() {
    let server = Server::start(|_| {
        std::thread::park_timeout(Duration::from_millis(20));
        ok(&[], "")
    });
    let ran = loadgen(&server.url("/"), &["-d", "1s", "-c", "1", "--rate", "1000"]);
    assert_eq!(
        (ran.code, ran.json["valid"].as_bool()),
        (4, Some(false)),
        "{}",
        ran.stderr
    );
    let reasons = ran.json["invalid_reasons"].to_string();
    assert!(
        reasons.contains("of the requests due were sent in time"),
        "{reasons}"
    );
    assert!(ran.stderr.contains("INVALID"), "{}", ran.stderr);
}

#[test]
fn an_interrupted_run_says_so_and_keeps_its_results() {
    let server = good_server();
    let child = command(&server.url("/"), &["-d", "60s", "-c", "2"])
        .spawn()
        .unwrap();
    while server.seen().len() < 50 {
        std::thread::yield_now();
    }
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let ran = finish(&child.wait_with_output().unwrap());
    assert_eq!(
        (ran.code, ran.json["interrupted"].as_bool()),
        (4, Some(true)),
        "{}",
        ran.stderr
    );
    assert!(ran.number("requests") >= 49.0);
}

const MIX: &str = r#"
        [[request]]
        name = "fonts"
        weight = 3
        path = "/fonts/{zipf:10:1}"
        headers = ["Range: bytes=0-0"]
        [request.origins]
        list = "list.txt"
        pattern = "https://t{n}.good.example"
        count = 5
        hostile = 0.2
        without = 0.2
        [request.expect]
        status = 200
        headers = ["Access-Control-Allow-Origin: {origin}", "Vary: Origin"]

        [[request]]
        path = "/api"
        preflight = { method = "PUT", headers = "x-a" }
        [request.origins]
        values = ["https://bad.example"]
        [request.expect]
        status = "204"
        absent = ["Access-Control-Allow-Origin"]
        "#;

#[test]
fn a_mix_is_sent_in_its_shares_and_judged_kind_by_kind() {
    let server = Server::start(|request| match request.field("Origin") {
        Some(origin) if origin.ends_with(".good.example") => ok(
            &[
                "Vary: Origin",
                &format!("Access-Control-Allow-Origin: {origin}"),
            ],
            "x",
        ),
        _ if request.method == "OPTIONS" => {
            Reply::Bytes(b"HTTP/1.1 204 No Content\r\nVary: Origin\r\n\r\n".to_vec())
        }
        _ => ok(&["Vary: Origin"], "x"),
    });
    let folder = tempfile::tempdir().unwrap();
    let mix = folder.path().join("mix.toml");
    std::fs::write(
        folder.path().join("list.txt"),
        "https://a.good.example # one\n\n",
    )
    .unwrap();
    std::fs::write(&mix, MIX).unwrap();
    let mix = mix.to_str().unwrap();
    let ran = loadgen(
        &server.url(""),
        &["-n", "400", "--mix", mix, "--slo", "fonts:p99<10s"],
    );
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let kinds = ran.json["kinds"].as_array().unwrap();
    assert_eq!(
        (kinds[0]["name"].as_str(), kinds[1]["name"].as_str()),
        (Some("fonts"), Some("OPTIONS /api"))
    );
    let fonts = kinds[0]["requests"].as_u64().unwrap();
    assert!((250..350).contains(&fonts), "{fonts}");
    let seen = server.seen();
    let origins = |text: &str| {
        seen.iter()
            .filter(|r| {
                r.field("Origin")
                    .is_some_and(|origin| origin.contains(text))
            })
            .count()
    };
    assert!(origins("https://t4.good.example") > 0 && origins("https://a.good.example") > 0);
    assert!(origins("evil") > 0 && origins("bad.example") > 50);
    let preflight = seen
        .iter()
        .find(|request| request.method == "OPTIONS")
        .unwrap();
    assert_eq!(
        preflight.field("Access-Control-Request-Headers"),
        Some("x-a")
    );
}

#[test]
fn a_mix_with_an_unknown_key_is_refused_with_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let bad = folder.path().join("bad.toml");
    std::fs::write(&bad, "[[request]]\npath = \"/\"\nwieght = 3\n").unwrap();
    let ran = loadgen(
        "http://127.0.0.1:1",
        &["-n", "1", "--mix", bad.to_str().unwrap()],
    );
    assert!(
        ran.code == 2 && ran.stderr.contains("wieght"),
        "{}",
        ran.stderr
    );
}

#[test]
fn a_log_is_replayed_with_its_timing() {
    let server = good_server();
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("access.log");
    let line = |ms: u64, method: &str, target: &str| {
        let time = format!("2026-11-22T10:00:0{}.{:03}Z", ms / 1000, ms % 1000);
        format!("{{\"time\":\"{time}\",\"method\":\"{method}\",\"uri\":\"{target}\"}}\n")
    };
    let lines: Vec<String> = (0..10)
        .map(|n| {
            line(
                n * 200,
                if n == 3 { "HEAD" } else { "GET" },
                &format!("/{n}"),
            )
        })
        .collect();
    std::fs::write(&log, lines.concat() + "POST\n").unwrap();
    let flags = [
        "--replay",
        log.to_str().unwrap(),
        "--speed",
        "2",
        "--expect-status",
        "200",
    ];
    let begin = Instant::now();
    let ran = loadgen(&server.url("/"), &flags);
    let took = begin.elapsed().as_secs_f64();
    assert!(ran.code == 0 || ran.code == 4, "{}", ran.stderr);
    assert!((0.85..3.0).contains(&took), "{took}");
    assert!(ran.stderr.contains("1 of 11 log lines"), "{}", ran.stderr);
    let mut seen: Vec<(String, String)> = server
        .seen()
        .into_iter()
        .map(|request| (request.target, request.method))
        .collect();
    seen.sort();
    let expected: Vec<(String, String)> = (0..10)
        .map(|n| {
            (
                format!("/{n}"),
                (if n == 3 { "HEAD" } else { "GET" }).to_owned(),
            )
        })
        .collect();
    assert_eq!(seen, expected);
}

#[test]
fn slow_clients_are_counted_apart() {
    let server = good_server();
    for slow_at in ["read", "send"] {
        let flags = [
            "-d",
            "1s",
            "-c",
            "1",
            "--slow-clients",
            "3",
            "--slow-rate",
            "500",
        ];
        let ran = loadgen(
            &server.url("/"),
            &[&flags[..], &["--slow-at", slow_at]].concat(),
        );
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        let slow = &ran.json["slow_clients"];
        let bytes = slow["bytes"].as_u64().unwrap();
        assert!((100..3 * 700).contains(&bytes), "{slow_at}: {slow}");
        assert_eq!(
            (slow["clients"].as_u64(), slow["refused"].as_u64()),
            (Some(3), Some(0))
        );
    }
}
