//! The command line: help, `check`, exit codes, and where output goes.

use std::process::{Command, Stdio};

use crate::harness::node::{Scratch, binary, tells_of_a_panic, workspace};

/// What a command said and how it ended.
pub(crate) struct Said {
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) code: Option<i32>,
}

/// Runs `corsair` in the workspace to its end.
pub(crate) fn corsair(arguments: &[&str]) -> Said {
    let output = Command::new(binary())
        .args(arguments)
        .current_dir(workspace())
        .stdin(Stdio::null())
        .output()
        .expect("the binary under test starts");
    let said = Said {
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        code: output.status.code(),
    };
    for text in [&said.stdout, &said.stderr] {
        assert!(!tells_of_a_panic(text), "{arguments:?}: {text}");
    }
    said
}

const GOOD: &str = r#"
[[listener]]
address = "127.0.0.1:0"

[[upstream]]
name = "u"
servers = ["http://127.0.0.1:9000"]

[[site]]
hosts = ["*"]
upstream = "u"
"#;

#[test]
fn help_has_an_example_for_every_command() {
    let help = corsair(&["--help"]);
    assert_eq!(help.code, Some(0));
    for command in ["run", "check", "explain", "diff"] {
        assert!(help.stdout.contains(command), "{}", help.stdout);
        let own = corsair(&[command, "--help"]);
        assert_eq!(own.code, Some(0));
        let example = format!("corsair {command}");
        assert!(
            own.stdout.contains("Example") && own.stdout.contains(&example),
            "{}",
            own.stdout
        );
        assert!(own.stderr.is_empty(), "help is data: {}", own.stderr);
    }
}

#[test]
fn the_version_names_the_build() {
    let version = corsair(&["--version"]);
    assert_eq!(version.code, Some(0));
    let line = version.stdout.trim();
    assert!(
        line.starts_with(concat!("corsair ", env!("CARGO_PKG_VERSION"))),
        "{line:?}"
    );
    assert!(
        line.len() > concat!("corsair ", env!("CARGO_PKG_VERSION")).len(),
        "no build id"
    );
}

#[test]
fn a_wrong_command_line_is_told_and_is_2() {
    for arguments in [
        &["frobnicate"][..],
        &["run", "--frobnicate"],
        &["check"],
        &["run", "-c"],
    ] {
        let said = corsair(arguments);
        assert_eq!(said.code, Some(2), "{arguments:?}");
        assert!(
            said.stdout.is_empty() && !said.stderr.is_empty(),
            "{arguments:?}"
        );
    }
}

#[test]
fn check_finds_nothing_in_a_good_file() {
    let scratch = Scratch::new();
    let good = scratch.write("good.toml", GOOD);
    let said = corsair(&["check", good.to_str().expect("text")]);
    assert_eq!(said.code, Some(0), "{}{}", said.stdout, said.stderr);
    let said = corsair(&["check", "--deny", "warnings", good.to_str().expect("text")]);
    assert_eq!(said.code, Some(0), "{}{}", said.stdout, said.stderr);
}

#[test]
fn check_lists_every_problem_with_its_place_and_remedy() {
    let scratch = Scratch::new();
    let text = GOOD.replace("hosts = [\"*\"]", "hosts = [\"*\"]\nhots = 1")
        + "[site.cors]\norigins = [\"*\"]\ncredentials = true\nmax_agee = \"1h\"\n\
           [site.cache]\nttl = \"soon\"\n";
    let bad = scratch.write("bad.toml", &text);
    let path = bad.to_str().expect("text");
    let said = corsair(&["check", path]);
    assert_eq!(said.code, Some(2));
    let all = said.stdout + &said.stderr;
    for (line, word) in [("hots", "hosts"), ("max_agee", "max_age"), ("ttl", "10s")] {
        let number = text
            .lines()
            .position(|l| l.starts_with(line))
            .expect("a line of ours")
            + 1;
        let place = format!("{path}:{number}:");
        assert!(all.contains(&place), "no problem at {place}\n{all}");
        assert!(all.contains(word), "no remedy naming {word}\n{all}");
    }
    assert!(all.contains("credentials"), "{all}");
}

#[test]
fn check_speaks_json() {
    let scratch = Scratch::new();
    let bad = scratch.write("bad.toml", &(GOOD.to_owned() + "[nodee]\nname = \"x\"\n"));
    let said = corsair(&["check", "--format", "json", bad.to_str().expect("text")]);
    assert_eq!(said.code, Some(2));
    let value: serde_json::Value = serde_json::from_str(&said.stdout)
        .unwrap_or_else(|error| panic!("stdout is not one JSON value: {error}\n{}", said.stdout));
    let text = value.to_string();
    for word in ["\"code\"", "\"line\"", "\"column\"", "\"file\"", "nodee"] {
        assert!(text.contains(word), "{word} is missing: {text}");
    }
}

#[test]
fn check_takes_several_files_and_a_missing_one_is_an_error() {
    let scratch = Scratch::new();
    let good = scratch.write("good.toml", GOOD);
    let bad = scratch.write("bad.toml", "[[listener]]\naddres = \"x\"\n");
    let missing = scratch.0.join("missing.toml");
    let path = |path: &std::path::Path| path.to_str().expect("text").to_owned();
    let said = corsair(&["check", &path(&good), &path(&bad)]);
    assert_eq!(said.code, Some(2));
    assert!((said.stdout + &said.stderr).contains("bad.toml:2:1"));
    let said = corsair(&["check", &path(&missing)]);
    assert_eq!(said.code, Some(2));
    assert!((said.stdout + &said.stderr).contains("missing.toml"));
}

/// Policies that must not load (research rows 1, 4, 7, 17, 21, 23).
#[test]
fn dangerous_policies_are_refused() {
    let scratch = Scratch::new();
    for (at, policy) in [
        "origins = [\"*\"]\ncredentials = true",
        "origins = [\"null\"]\ncredentials = true",
        "origins = [\"h*\"]",
        "origins = [\"https://*\"]",
        "origins = [\"https://*example.com\"]",
        "origins = [\"https://a.*.example.com\"]",
        "origins = [\"https://example.com\", \"https//typo.example\"]",
        "origins = [\"https://example.com/path\"]",
        "origins = [\"https://example.com\\r\\nSet-Cookie: a\"]",
        "origins = [\"https://*.github.io\"]\ncredentials = true",
        "origins = [\"https://*.com\"]",
        "origins = []",
        "credentials = true",
        "origins = [\"https://example.com\"]\nmethods = [\"GE T\"]",
        "origins = [\"https://example.com\"]\nrequest_headers = [\"X Y\"]",
    ]
    .iter()
    .enumerate()
    {
        let text = format!("{GOOD}\n[site.cors]\n{policy}\n");
        let file = scratch.write(&format!("{at}.toml"), &text);
        let said = corsair(&["check", file.to_str().expect("text")]);
        assert_eq!(said.code, Some(2), "accepted: {policy}");
    }
}

/// Header operations that must not load.
#[test]
fn dangerous_header_operations_are_refused() {
    let scratch = Scratch::new();
    let names = [
        "Content-Length",
        "Transfer-Encoding",
        "Connection",
        "Date",
        "Age",
        "Cache-Status",
        "Te",
        "Trailer",
        "Upgrade",
        "Keep-Alive",
        "X Y",
        "X:Y",
        "",
        "X\\r\\nY",
    ];
    let rows = names
        .iter()
        .map(|name| format!("op = \"set\"\nname = \"{name}\"\nvalue = \"x\""))
        .chain([
            "op = \"set\"\nname = \"X\"\nvalue = \"a\\r\\nSet-Cookie: b\"".to_owned(),
            "op = \"set\"\nname = \"X\"\nvalue = \"a\\nb\"".to_owned(),
            "op = \"set\"\nname = \"X\"\nvalue = \"a\\u0000b\"".to_owned(),
            "op = \"set\"\nname = \"X\"".to_owned(),
            "op = \"frobnicate\"\nname = \"X\"\nvalue = \"x\"".to_owned(),
            "op = \"remove\"\nname = \"*\"".to_owned(),
        ]);
    for (at, row) in rows.enumerate() {
        let file = scratch.write(
            &format!("{at}.toml"),
            &format!("{GOOD}\n[[site.header]]\n{row}\n"),
        );
        let said = corsair(&["check", file.to_str().expect("text")]);
        assert_eq!(said.code, Some(2), "accepted: {row}");
    }
}

#[test]
fn a_node_with_a_bad_configuration_does_not_start() {
    let scratch = Scratch::new();
    let text = GOOD.replace("upstream = \"u\"", "upstream = \"v\"\nunknown = 1");
    let bad = scratch.write("bad.toml", &text);
    let said = corsair(&["run", "-c", bad.to_str().expect("text")]);
    assert_eq!(said.code, Some(2), "{}", said.stderr);
    assert!(said.stderr.contains("bad.toml:"), "{}", said.stderr);
    assert!(
        said.stderr.contains("unknown"),
        "not everything is listed: {}",
        said.stderr
    );
    assert!(!said.stderr.contains("listening on"), "{}", said.stderr);
}

#[test]
fn an_address_in_use_is_told_without_a_panic() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a free loopback port");
    let address = taken
        .local_addr()
        .expect("a bound socket has an address")
        .to_string();
    let scratch = Scratch::new();
    let file = scratch.write(
        "taken.toml",
        &(GOOD.replace("127.0.0.1:0", &address) + "\n[admin]\nlisten = \"127.0.0.1:0\"\n"),
    );
    let said = corsair(&["run", "-c", file.to_str().expect("text")]);
    assert!(said.code.is_some_and(|code| code != 0), "{}", said.stderr);
    assert!(said.stderr.contains(&address), "{}", said.stderr);
}
