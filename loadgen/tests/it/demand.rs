//! `loadgen run` asks for what its flags say: weighted kinds, hit ratios, origins, logs; and it
//! refuses flags that would be without effect.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::Path;
use std::sync::Mutex;

use crate::server::{Request, Server, loadgen, ok};

/// Answers with the request's origin, if it has one that is good.
fn echoing_server() -> Server {
    Server::start(|request| {
        let good = |origin: &&str| origin.ends_with(".good.example");
        let echo = request
            .field("Origin")
            .filter(good)
            .map(|origin| format!("Access-Control-Allow-Origin: {origin}"));
        ok(&echo.iter().map(String::as_str).collect::<Vec<_>>(), "")
    })
}

/// A cache with room for everything.
fn caching_server() -> Server {
    let stored = Mutex::new(HashSet::new());
    Server::start(move |request| {
        let is_new = stored.lock().unwrap().insert(request.target.clone());
        let status = if is_new { "fwd=uri-miss" } else { "hit" };
        ok(&[&format!("Cache-Status: edge; {status}")], "")
    })
}

/// The warnings of a run, in one text.
fn warnings(ran: &crate::server::Ran) -> String {
    ran.json["warnings"].to_string()
}

#[test]
fn weighted_kinds_need_no_file() {
    let server = echoing_server();
    let flags = [
        "-n",
        "1000",
        "--request",
        "6 GET /fonts/{rand:3}",
        "--request",
        " 3  HEAD  / ",
        "--request",
        "1 PUT /notes/{seq}",
        "--body",
        "note",
        "-H",
        "X-A: b",
        "--expect-status",
        "200",
        "--slo",
        "HEAD /:p99<60s",
    ];
    let ran = loadgen(&server.url(""), &flags);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let kinds = ran.json["kinds"].as_array().unwrap();
    let names = ["GET /fonts/{rand:3}", "HEAD /", "PUT /notes/{seq}"];
    for (kind, (name, share)) in kinds.iter().zip(names.iter().zip([0.6, 0.3, 0.1])) {
        assert_eq!(kind["name"], *name);
        let requests = kind["requests"].as_f64().unwrap();
        // Five standard deviations of 1,000 draws are 0.08.
        assert!((requests / 1000.0 - share).abs() < 0.08, "{kind}");
    }
    assert_eq!(kinds.len(), names.len());
    let mut seen: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for request in server.seen() {
        assert_eq!(request.field("X-A"), Some("b"));
        let body: &[u8] = if request.method == "PUT" {
            b"note"
        } else {
            b""
        };
        assert_eq!(request.body, body, "{request:?}");
        let is_note = request.target.starts_with("/notes/");
        let target = if is_note { "/notes/" } else { &request.target };
        let targets = seen.entry(request.method).or_default();
        targets.insert(target.to_owned());
    }
    let targets = |method: &str| seen[method].iter().cloned().collect::<Vec<_>>().join(" ");
    assert_eq!(targets("GET"), "/fonts/0 /fonts/1 /fonts/2");
    assert_eq!(
        (targets("HEAD"), targets("PUT")),
        ("/".into(), "/notes/".into())
    );
}

#[test]
fn flags_without_effect_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let log = write(folder.path(), "a.log", LOG);
    let mix = |text: &str| write(folder.path(), &format!("{}.toml", text.len()), text);
    let unheard = mix("[[request]]\npath = \"/\"\n[request.expect_hostile]\nstatus = 403\n");
    let server = echoing_server();
    let check = |url: &str, flags: &[&str], expected: &str| {
        let ran = loadgen(url, flags);
        assert_eq!(ran.code, 2, "{flags:?}: {}", ran.stderr);
        assert!(ran.stderr.contains(expected), "{flags:?}: {}", ran.stderr);
        assert!(server.seen().is_empty(), "{flags:?}");
    };
    let here = server.url("/");
    let count = ["-n", "5"];
    let with = |flags: &[&'static str]| [&count[..], flags].concat();
    let one = "1 GET /";
    check(&here, &with(&["--speed", "2"]), "--replay");
    check(&here, &with(&["--hostile-origins", "2"]), "from 0 to 1");
    check(&here, &with(&["--hostile-origins", "nan"]), "from 0 to 1");
    check(&here, &with(&["--without-origin", "-1"]), "");
    check(
        &here,
        &with(&["--without-origin", "0.2"]),
        "an origin to name",
    );
    check(
        &here,
        &with(&["--without-origin", "0.2", "--hostile-origins", "0.2"]),
        "an origin to name",
    );
    check(&here, &["-n", "5", "--mix", &unheard], "`expect_hostile`");
    check(
        &here,
        &["--replay", &log, "--hostile-origins", "0.1"],
        "cannot be used",
    );
    check(
        &here,
        &["--replay", &log, "--request", one],
        "cannot be used",
    );
    check(
        &server.url("/a"),
        &with(&["--request", one]),
        "without a path",
    );
    check(
        &here,
        &with(&["--request", one, "-X", "PUT"]),
        "cannot be used",
    );
    check(&here, &with(&["--request", one, "--body", "a"]), "PATCH");
    let form = "write 'WEIGHT METHOD PATH'";
    let weight = "is not a weight";
    for (wrong, expected) in [
        ("GET /", form),
        ("1 GET", form),
        ("1 GET / b", form),
        ("x GET /", weight),
        ("0 GET /", weight),
        ("inf GET /", weight),
    ] {
        check(&here, &["-n", "5", "--request", wrong], expected);
    }
    check(&here, &with(&["--request", "1 GET x"]), "not a path");
    check(
        &here,
        &with(&["--fresh-base", "4503599627370496"]),
        "is not in 0..",
    );
}

fn write(folder: &Path, name: &str, text: &str) -> String {
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn hostile_origins_are_sent_without_granted_ones_too() {
    let server = echoing_server();
    let ran = loadgen(&server.url("/"), &["-n", "200", "--hostile-origins", "0.5"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let named: Vec<String> = server
        .seen()
        .iter()
        .filter_map(|request| request.field("Origin").map(str::to_owned))
        .collect();
    assert!((65..135).contains(&named.len()), "{}", named.len());
    let kinds: BTreeSet<&str> = named.iter().map(String::as_str).collect();
    assert_eq!(kinds, BTreeSet::from(["https://evil.example", "null"]));
}

#[test]
fn a_hit_ratio_is_kept_in_each_run_against_the_same_server() {
    let server = caching_server();
    let run = |ratio: &str, flags: &[&str]| {
        let url = server.url(&format!("/{{hit:{ratio}:5}}"));
        let all = [&["-n", "2000", "-c", "1"][..], flags].concat();
        let ran = loadgen(&url, &all);
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        ran
    };
    for ratio in [0.9, 0.5, 0.0] {
        let ran = run(&ratio.to_string(), &[]);
        let measured = ran.number("hit_ratio");
        // Five standard deviations of 2,000 draws are 0.056.
        assert!((measured - ratio).abs() < 0.06, "{ratio}: {measured}");
        assert!(!warnings(&ran).contains("hit ratio"), "{}", ran.json);
    }
    // The same run again finds everything stored, and says that this is not what was asked for.
    let first = run("0.2", &["--seed", "7"]);
    let base = first.json["fresh_base"].as_u64().unwrap().to_string();
    let again = run("0.2", &["--seed", "7", "--fresh-base", &base]);
    assert_eq!(again.json["fresh_base"], first.json["fresh_base"]);
    assert_eq!(again.number("hit_ratio"), 1.0);
    let told = warnings(&again);
    assert!(
        told.contains("100.0 % where 20.0 % was asked for"),
        "{told}"
    );
}

#[test]
fn a_hit_ratio_nobody_tells_is_warned_of() {
    let server = echoing_server();
    let ran = loadgen(&server.url("/{hit:0.5:5}"), &["-n", "5"]);
    assert!(warnings(&ran).contains("no answer says"), "{}", ran.json);
}

const LOG: &str = r#"{"ts":1,"method":"GET","uri":"/a","origin":"https://b.good.example"}
{"ts":1.01,"method":"GET","uri":"/b","origin":"https://a.good.example"}
{"ts":1.02,"method":"GET","uri":"/c"}
{"ts":1.03,"method":"HEAD","uri":"/d","origin":"https://b.good.example"}
{"ts":1.04,"method":"OPTIONS","uri":"/e"}
"#;

#[test]
fn a_replayed_log_names_its_origins() {
    let folder = tempfile::tempdir().unwrap();
    let log = write(folder.path(), "a.log", LOG);
    let check = |flags: &[&str], expected: [Option<&str>; 5]| {
        let server = echoing_server();
        let all = [
            &["--replay", &log, "--expect-header"],
            &["Access-Control-Allow-Origin: {origin}"][..],
            flags,
        ];
        let ran = loadgen(&server.url("/"), &all.concat());
        assert!(ran.code == 0 || ran.code == 4, "{}", ran.stderr);
        assert_eq!(ran.json["mismatches"], 0, "{}", ran.json);
        let title = "open loop, replay x1, ";
        assert!(ran.stderr.contains(title), "{}", ran.stderr);
        let mut seen = server.seen();
        seen.sort_by(|a, b| a.target.cmp(&b.target));
        let origins: Vec<Option<&str>> = seen
            .iter()
            .map(|one: &Request| one.field("Origin"))
            .collect();
        assert_eq!(origins, expected, "{flags:?}");
    };
    let [a, b, c] = ["a", "b", "c"].map(|name| format!("https://{name}.good.example"));
    let (a, b, c) = (Some(a.as_str()), Some(b.as_str()), c.as_str());
    check(&[], [b, a, None, b, None]);
    check(&["--origin", c], [Some(c); 5]);
    check(&["-H", &format!("Origin: {c}")], [Some(c); 5]);
}
