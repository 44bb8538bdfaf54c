//! Every form of output from one run, read back.

use serde_json::Value;

use crate::server::{Server, loadgen, ok};

fn lines(text: &str) -> Vec<&str> {
    text.lines().collect()
}

/// 220 right answers, hits and misses.
fn check_csv(text: &str) {
    let csv = lines(text);
    assert!(csv[0].starts_with("kind,cache,valid,requests"), "{csv:?}");
    assert!(
        csv[1].starts_with("all,all,") && csv[1].contains(",220,0,0,"),
        "{csv:?}"
    );
    assert_eq!(
        csv.len(),
        5,
        "all, the kind, its hits and its misses: {csv:?}"
    );
    let columns = csv[0].split(',').count();
    assert!(
        csv.iter().all(|line| line.split(',').count() == columns),
        "{csv:?}"
    );
}

#[test]
fn all_outputs_of_one_run_agree() {
    let server = Server::start(|request| {
        let cache = if request.number < 10 {
            "fwd=uri-miss"
        } else {
            "hit; ttl=5"
        };
        ok(&[&format!("Cache-Status: edge; {cache}")], "<hello>")
    });
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let names = ["csv", "markdown", "html", "hgrm", "hdr-log", "ndjson"];
    let files = names.map(path);
    let mut flags = "-d 2200ms -c 2 --rate 100 --slo p99<10s --slo hit_ratio>50%".to_owned();
    for (name, file) in names.iter().zip(&files) {
        flags += &format!(" --{name} {file}");
    }
    let flags: Vec<&str> = flags.split(' ').collect();
    let [csv, markdown, html, hgrm, log, ndjson] = &files;
    let ran = loadgen(&server.url("/<b>?{rand:10}"), &flags);
    assert!(ran.code == 0 || ran.code == 4, "{}", ran.stderr);
    assert_eq!(ran.json["requests"], 220);
    assert!((ran.number("hit_ratio") - 210.0 / 220.0).abs() < 1e-9);
    let read = |path: &String| std::fs::read_to_string(path).unwrap();

    let mut rows: Vec<Value> = lines(&read(ndjson))
        .iter()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let verdict = rows.pop().unwrap();
    for field in ["valid", "invalid_reasons"] {
        assert_eq!(verdict[field], ran.json[field], "{verdict}");
    }
    assert!(rows.len() >= 2, "{rows:?}");
    let most = |value: &Value| value["latency_us"]["max"].as_f64().unwrap();
    let highest = rows.iter().map(most).fold(0.0, f64::max);
    assert!((highest - most(&ran.json)).abs() < 1e-9, "{rows:?}");
    let sum: u64 = rows
        .iter()
        .map(|row| row["requests"].as_u64().unwrap())
        .sum();
    assert_eq!(sum, 220);
    assert!(
        rows.iter()
            .enumerate()
            .all(|(index, row)| row["t"] == index),
        "{rows:?}"
    );

    check_csv(&read(csv));

    let markdown = read(markdown);
    assert!(markdown.contains("| 220 |") && markdown.contains("Objective `p99<10s`: met"));

    let page = read(html);
    assert!(
        page.contains("/&lt;b&gt;?") && !page.contains("<b>?{"),
        "unescaped URL"
    );
    assert_eq!(page.matches("<svg").count(), 5);
    assert!(!page.contains("<script") && !page.contains("http://www.w3.org/1999/xlink"));

    let hgrm = read(hgrm);
    assert!(hgrm.contains("Total count    =          220]"), "{hgrm}");

    let log = read(log);
    let histograms = lines(&log)
        .iter()
        .filter(|l| !l.starts_with(['#', '"']))
        .count();
    assert_eq!(histograms, rows.len(), "{log}");
}

/// Nobody listens: nothing is measured, and every form says so.
#[test]
fn invalid_runs_are_marked_everywhere() {
    let folder = tempfile::tempdir().unwrap();
    let check = |name: &str, expected: &str| {
        let file = folder.path().join(name);
        let flags = [&format!("--{name}"), file.to_str().unwrap()];
        let ran = loadgen(
            "http://127.0.0.1:1/",
            &["-d", "100ms", "-c", "1", flags[0], flags[1]],
        );
        assert_eq!(ran.json["valid"], false, "{}", ran.stderr);
        let text = std::fs::read_to_string(&file).unwrap();
        assert!(text.contains(expected), "{name}: {text}");
    };
    check("hgrm", "\n#[INVALID: ");
    check("hdr-log", "\n#[INVALID: ");
    check("ndjson", "{\"valid\":false,\"invalid_reasons\":[\"");
    check("csv", "all,all,false,");
    check("markdown", "INVALID");
    check("html", "INVALID");
}

/// Devices that are full can be opened, and folders that are not there cannot.
#[test]
fn an_output_that_fails_takes_nothing_with_it() {
    let server = Server::start(|_| ok(&[], ""));
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let run = |flags: &[&str]| {
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_loadgen"))
            .args(["run", &server.url("/"), "-n", "5", "--quiet"])
            .args(flags)
            .output()
            .unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (
            output.status.code(),
            text(output.stdout),
            text(output.stderr),
        )
    };
    let kept = path("kept.json");
    std::fs::write(&kept, "an earlier run's").unwrap();
    let nowhere = path("nowhere/a.csv");
    let (code, stdout, stderr) = run(&["--json", &kept, "--csv", &nowhere]);
    assert!(
        code == Some(2) && stderr.contains("cannot create"),
        "{stderr}"
    );
    assert!(stdout.is_empty() && server.seen().is_empty(), "{stdout}");
    assert_eq!(std::fs::read_to_string(&kept).unwrap(), "an earlier run's");

    std::fs::write(&kept, "x".repeat(100_000)).unwrap();
    let (csv, full) = (path("b.csv"), "/dev/full");
    let flags = ["--ndjson", full, "--hdr-log", full, "--markdown", full];
    let (code, stdout, stderr) = run(&[&flags[..], &["--json", &kept, "--csv", &csv]].concat());
    assert_eq!(code, Some(2), "{stderr}");
    for told in ["NDJSON: ", "HDR log: ", "cannot write /dev/full: "] {
        assert!(stderr.contains(told), "{told}: {stderr}");
    }
    assert!(stdout.contains("requests               5"), "{stdout}");
    let json = std::fs::read_to_string(&kept).unwrap();
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["requests"], 5);
    assert!(std::fs::read_to_string(&csv).unwrap().starts_with("kind,"));
}

#[test]
fn quiet_runs_leave_standard_output_to_the_data_asked_for() {
    let server = Server::start(|_| ok(&[], ""));
    let run = |flags: &[&str]| {
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_loadgen"))
            .args(["run", &server.url("/"), "-n", "5"])
            .args(flags)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(0));
        (
            String::from_utf8(output.stdout).unwrap(),
            String::from_utf8(output.stderr).unwrap(),
        )
    };
    let (stdout, stderr) = run(&["--quiet"]);
    assert!(stdout.contains("requests") && stderr.is_empty(), "{stderr}");
    let (stdout, stderr) = run(&["--csv", "-"]);
    assert!(
        stdout.starts_with("kind,") && stderr.contains("requests"),
        "{stdout}"
    );
}

/// The documentation names every field of the JSON document, and no other program has to guess.
#[test]
fn every_field_is_documented() {
    let server = Server::start(|_| ok(&["Cache-Status: a; hit"], "x"));
    let flags = [
        "-n",
        "3",
        "--slow-clients",
        "1",
        "--expect-status",
        "404",
        "--slo",
        "p50<1s",
    ];
    let ran = loadgen(&server.url("/"), &flags);
    let page = include_str!("../../README.md");
    let check = |value: &Value| {
        for name in value.as_object().unwrap().keys() {
            assert!(
                page.contains(&format!("`{name}`")),
                "{name} is not documented"
            );
        }
    };
    check(&ran.json);
    for inner in ["latency_us", "slow_clients", "sample"] {
        check(&ran.json[inner]);
    }
    check(&ran.json["kinds"][0]);
    check(&ran.json["slo"][0]);
}
