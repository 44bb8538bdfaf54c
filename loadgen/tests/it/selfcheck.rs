//! The generator measured by itself: what is known to be there must be found.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::server::{Reply, Server, command, finish, loadgen, ok};

struct Null {
    child: Child,
    url: String,
}

impl Null {
    fn start() -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_loadgen"))
            .args([
                "serve-null",
                "--driver",
                "epoll",
                "--size",
                "100",
                "--header",
                "A: b",
            ])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut address = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut address)
            .unwrap();
        Self {
            child,
            url: format!("http://{}/", address.trim()),
        }
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }
}

impl Drop for Null {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// Waits without sleeping: nothing is ever sent on the channel.
fn wait(duration: Duration) {
    let (_keep, nothing) = std::sync::mpsc::channel::<()>();
    let _ = nothing.recv_timeout(duration);
}

/// Gil Tene's test: a server that stands still for most of an open-loop run must be seen in the
/// median, not only in the maximum.
#[test]
fn a_server_that_stands_still_is_charged_for_every_request_due() {
    let server = Null::start();
    let flags = [
        "-d",
        "2500ms",
        "-c",
        "4",
        "--rate",
        "400",
        "--fail-on",
        "nothing",
    ];
    let child = command(&server.url, &flags).spawn().unwrap();
    wait(Duration::from_millis(500));
    server.signal(Signal::STOP);
    wait(Duration::from_millis(1500));
    server.signal(Signal::CONT);
    let ran = finish(&child.wait_with_output().unwrap());
    let p = |name: &str| ran.json["latency_us"][name].as_f64().unwrap() / 1e6;
    // 60 % of the requests fell due while it stood still; half of all waited 0.25 s or more.
    assert!(
        p("p50") > 0.1,
        "p50 {} of {}",
        p("p50"),
        ran.json["latency_us"]
    );
    assert!(
        p("p90") > 0.9,
        "p90 {} of {}",
        p("p90"),
        ran.json["latency_us"]
    );
    assert!(
        p("max") > 1.3,
        "max {} of {}",
        p("max"),
        ran.json["latency_us"]
    );
    assert_eq!(ran.json["requests"], 1000, "{}", ran.stderr);
}

/// A delay known to the server is found in the latency, within 1 % and 50 µs. The lowest values are
/// compared, because a busy machine only ever adds time; it can still spoil an attempt, a generator
/// that measures wrongly spoils all.
#[test]
fn an_injected_delay_is_recovered() {
    let delays: Arc<Mutex<Vec<Duration>>> = Arc::default();
    let server = Server::start({
        let delays = Arc::clone(&delays);
        move |request| {
            if request.target == "/delayed" {
                let begin = Instant::now();
                wait(Duration::from_millis(30));
                delays.lock().unwrap().push(begin.elapsed());
            }
            ok(&[], "")
        }
    });
    let lowest = |target: &str| {
        let ran = loadgen(
            &server.url(target),
            &["-n", "15", "-c", "1", "--rate", "30"],
        );
        ran.json["latency_us"]["min"].as_f64().unwrap()
    };
    let mut attempts = Vec::new();
    for _ in 0..12 {
        delays.lock().unwrap().clear();
        let found = lowest("/delayed") - lowest("/");
        let given = delays.lock().unwrap().iter().min().unwrap().as_secs_f64() * 1e6;
        attempts.push(found - given);
        if (found - given).abs() <= 0.01 * given + 50.0 {
            return;
        }
    }
    panic!("never within 1 % and 50 µs: {attempts:?}");
}

#[test]
fn one_wrong_answer_among_many_is_caught() {
    let server = Server::start(|request| {
        let origin = request.field("Origin").unwrap_or("");
        let sent = if request.number == 4321 {
            "https://other.example"
        } else {
            origin
        };
        ok(
            &[
                "Vary: Origin",
                &format!("Access-Control-Allow-Origin: {sent}"),
            ],
            "hello",
        )
    });
    let flags = [
        "-n",
        "6000",
        "-c",
        "2",
        "--depth",
        "16",
        "--origin-pattern",
        "https://t{n}.example=1000",
        "--expect-status",
        "200",
        "--expect-header",
        "Access-Control-Allow-Origin: {origin}",
        "--expect-header",
        "Vary: Origin",
    ];
    let ran = loadgen(&server.url("/"), &flags);
    assert_eq!(
        (ran.code, ran.json["mismatches"].as_u64()),
        (1, Some(1)),
        "{}",
        ran.stderr
    );
    let sample = ran.json["sample"].to_string();
    assert!(
        sample.contains("Access-Control-Allow-Origin: https://other.example"),
        "{sample}"
    );
    assert!(sample.contains("Origin: https://t"), "{sample}");
}

#[test]
fn memory_does_not_grow_with_the_number_of_requests() {
    let server = Null::start();
    let peak = |count: &str| {
        let flags = [
            "-n",
            count,
            "-c",
            "8",
            "--depth",
            "16",
            "--expect-header",
            "A: b",
        ];
        let ran = loadgen(&server.url, &flags);
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        ran.number("client_peak_rss_bytes")
    };
    let (few, many) = (peak("20000"), peak("200000"));
    assert!(
        many < few + 2.0 * 1024.0 * 1024.0,
        "{few} bytes, then {many}"
    );
}

#[test]
fn keeping_a_server_busy_with_garbage_leaks_nothing() {
    let server = Server::start(|request| match request.number % 4 {
        0 => Reply::BytesThenClose(b"HTTP/1.1 200".to_vec()),
        1 => Reply::Bytes(b"\0\0\0\r\n\r\n".to_vec()),
        2 => Reply::BytesThenClose(Vec::new()),
        _ => ok(&[], "x"),
    });
    let ran = loadgen(&server.url("/"), &["-n", "400", "-c", "4"]);
    let count = |name: &str| ran.json[name].as_u64().unwrap();
    assert_eq!(
        (ran.code, count("requests") + count("errors")),
        (1, 400),
        "{}",
        ran.stderr
    );
    assert_eq!(count("requests"), 100, "{}", ran.json["errors_by_kind"]);
}
