//! The house polices itself: arrows between the crates, file length, words and calls that are
//! banned, and the README's commands. Reads the sources; starts nothing.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::harness::node::workspace;

/// The arrows: which of our crates a crate may name as a dependency. Missing crates are findings,
/// so a new room is a decision made here.
const ARROWS: &[(&str, &[&str])] = &[
    ("corsair-http1", &[]),
    ("corsair-rules", &["corsair-http1"]),
    ("corsair-cache", &["corsair-http1"]),
    (
        "corsair-config",
        &["corsair-http1", "corsair-rules", "corsair-cache"],
    ),
    (
        "corsair-server",
        &[
            "corsair-http1",
            "corsair-rules",
            "corsair-cache",
            "corsair-config",
        ],
    ),
    (
        "corsair-control",
        &[
            "corsair-http1",
            "corsair-rules",
            "corsair-cache",
            "corsair-config",
            "corsair-server",
        ],
    ),
    (
        "corsair",
        &[
            "corsair-http1",
            "corsair-rules",
            "corsair-cache",
            "corsair-config",
            "corsair-server",
            "corsair-control",
        ],
    ),
    ("loadgen", &["corsair-http1"]),
    (
        "corsair-benches",
        &[
            "corsair-http1",
            "corsair-rules",
            "corsair-cache",
            "corsair-config",
            "corsair-server",
            "loadgen",
        ],
    ),
    ("corsair-tests", &[]),
];

/// Crates that take bytes, values and `now`, and do nothing else.
const PURE: &[&str] = &[
    "crates/http1",
    "crates/rules",
    "crates/cache",
    "crates/config",
];

const LINES_MAX: usize = 800;

/// A word nobody writes, the files where it may stand, and why.
struct Ban {
    word: &'static str,
    /// Only paths that begin so are looked at.
    room: &'static str,
    only_in: &'static [&'static str],
    why: &'static str,
}

fn bans() -> Vec<Ban> {
    let ban = |word, only_in, why| Ban {
        word,
        room: "",
        only_in,
        why,
    };
    let on_workers = |word, only_in, why| Ban {
        room: "crates/server/src/",
        ..ban(word, only_in, why)
    };
    vec![
        ban(
            "write_vectored_all",
            &["clippy.toml"],
            "frees buffers under the kernel when dropped",
        ),
        ban(
            "\"zero-copy\"",
            &[],
            "the feature returns buffers too early",
        ),
        ban(
            "todo!",
            &["clippy.toml"],
            "unfinished work is not committed",
        ),
        ban("unimplemented!", &[], "unfinished work is not committed"),
        ban("dbg!", &[], "a debugging aid"),
        ban("#[ignore", &[], "nothing is ignored"),
        ban(
            "#[allow(",
            &[],
            "#[expect(lint, reason = \"…\")] says why and when it is over",
        ),
        ban(
            "#![allow(",
            &[],
            "#![expect(lint, reason = \"…\")] says why and when it is over",
        ),
        ban("/work/", &[], "the path of one machine"),
        ban("/root/", &[], "the path of one machine"),
        // Its table shows how such paths are taken out of what is told to operators.
        ban(
            "/home/",
            &["crates/corsair/src/internal_errors.rs"],
            "the path of one machine",
        ),
        on_workers(
            "select!",
            &[],
            "the operation that loses is dropped while it is pending",
        ),
        on_workers(
            "time::timeout",
            &["crates/server/src/io.rs"],
            "an operation that is late is dropped while it is pending; only a connect may be",
        ),
        on_workers("to_socket_addrs", &[], "name resolution blocks"),
        on_workers("ToSocketAddrs", &[], "name resolution blocks"),
        on_workers("spawn_blocking", &[], "no thread waits for another"),
    ]
}

/// What a pure crate never calls (its own tests may).
const IMPURE: &[&str] = &[
    "std::net",
    "std::fs",
    "std::thread",
    "Instant::now",
    "SystemTime::now",
    "std::env",
    "std::process",
    "monoio",
    "tokio",
    "unsafe {",
    "thread_rng",
];

fn sources() -> Vec<PathBuf> {
    let mut found = Vec::new();
    for room in ["crates", "benches", "loadgen", "tests"] {
        collect(&workspace().join(room), &mut found);
    }
    found.sort();
    assert!(
        found.len() > 20,
        "the walk found only {} files",
        found.len()
    );
    found
}

fn collect(folder: &Path, found: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else {
        return;
    };
    for entry in entries {
        let path = entry.expect("a readable entry").path();
        let name = path
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or_default();
        if path.is_dir() {
            if !matches!(name, "target" | "corpus" | "artifacts" | "coverage") {
                collect(&path, found);
            }
        } else if matches!(
            path.extension().and_then(|e| e.to_str()),
            Some("rs" | "toml" | "sh")
        ) {
            found.push(path);
        }
    }
}

fn shown(path: &Path) -> String {
    path.strip_prefix(workspace())
        .unwrap_or(path)
        .display()
        .to_string()
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn manifests() -> BTreeMap<String, (PathBuf, toml::Table)> {
    let mut found = BTreeMap::new();
    for path in sources()
        .into_iter()
        .filter(|path| path.ends_with("Cargo.toml"))
    {
        if shown(&path).starts_with("tests/fuzz") {
            continue;
        }
        let table: toml::Table = read(&path).parse().expect("a manifest is TOML");
        let Some(name) = table
            .get("package")
            .and_then(|p| p.get("name"))
            .and_then(|n| n.as_str())
        else {
            continue;
        };
        found.insert(name.to_owned(), (path.clone(), table.clone()));
    }
    found
}

#[test]
fn the_arrows_between_crates_hold() {
    let manifests = manifests();
    let ours: Vec<&str> = ARROWS.iter().map(|(name, _)| *name).collect();
    let mut wrong = Vec::new();
    for (name, (path, table)) in &manifests {
        let Some((_, may)) = ARROWS.iter().find(|(known, _)| known == name) else {
            wrong.push(format!("{name} ({}) has no row in ARROWS", shown(path)));
            continue;
        };
        for section in ["dependencies", "dev-dependencies", "build-dependencies"] {
            let Some(dependencies) = table.get(section).and_then(|d| d.as_table()) else {
                continue;
            };
            for dependency in dependencies.keys() {
                if ours.contains(&dependency.as_str()) && !may.contains(&dependency.as_str()) {
                    wrong.push(format!("{name} must not depend on {dependency}"));
                }
            }
        }
        if table
            .get("lints")
            .and_then(|l| l.get("workspace"))
            .is_none()
        {
            wrong.push(format!("{name} does not take the workspace's lints"));
        }
    }
    for (name, _) in ARROWS {
        if !manifests.contains_key(*name) {
            wrong.push(format!("{name} has a row in ARROWS and no manifest"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn no_file_is_too_long() {
    let long: Vec<String> = sources()
        .iter()
        .filter_map(|path| {
            let lines = read(path).lines().count();
            (lines > LINES_MAX).then(|| format!("{}: {lines} lines", shown(path)))
        })
        .collect();
    assert!(long.is_empty(), "over {LINES_MAX} lines: {long:#?}");
}

#[test]
fn banned_words_stay_away() {
    let this = "tests/it/tidy.rs";
    let mut wrong = Vec::new();
    for path in sources() {
        let name = shown(&path);
        if name == this {
            continue;
        }
        for (number, line) in read(&path).lines().enumerate() {
            for ban in bans() {
                // A comment may say why something is banned.
                let code = line.split("//").next().unwrap_or_default();
                let code = if path.extension().is_some_and(|e| e == "rs") {
                    code
                } else {
                    line
                };
                let is_here = name.starts_with(ban.room);
                if is_here && code.contains(ban.word) && !ban.only_in.contains(&name.as_str()) {
                    wrong.push(format!("{name}:{}: {} ({})", number + 1, ban.word, ban.why));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// The one timeout in `io.rs` is that of a connect.
#[test]
fn only_a_connect_has_a_timeout_around_it() {
    let text = read(&workspace().join("crates/server/src/io.rs"));
    let timeouts: Vec<&str> = text
        .lines()
        .map(|line| line.split("//").next().unwrap_or_default())
        .filter(|code| code.contains("timeout(") || code.contains("time::timeout"))
        .collect();
    assert_eq!(timeouts.len(), 1, "{timeouts:?}");
    assert!(
        timeouts[0].contains("TcpStream::connect_addr"),
        "{timeouts:?}"
    );
}

#[test]
fn one_file_a_program_names_monoio() {
    let may = ["crates/server/src/io.rs", "loadgen/src/io.rs"];
    let mut wrong = Vec::new();
    for path in sources()
        .into_iter()
        .filter(|path| path.extension().is_some_and(|e| e == "rs"))
    {
        let name = shown(&path);
        // A folder io/ is the same room as io.rs.
        let room = may
            .iter()
            .any(|m| name == *m || name.starts_with(&m.replace(".rs", "/")));
        if room || name == "tests/it/tidy.rs" {
            continue;
        }
        for (number, line) in read(&path).lines().enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            if code.contains("monoio::") || code.contains("use monoio") {
                wrong.push(format!("{name}:{}: {}", number + 1, line.trim()));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "monoio is named outside {may:?}: {wrong:#?}"
    );
}

#[test]
fn pure_crates_stay_pure() {
    let mut wrong = Vec::new();
    for path in sources()
        .into_iter()
        .filter(|path| path.extension().is_some_and(|e| e == "rs"))
    {
        let name = shown(&path);
        let pure = PURE
            .iter()
            .any(|crate_| name.starts_with(&format!("{crate_}/src/")));
        if !pure || name.ends_with("/tests.rs") || name.contains("/tests/") {
            continue;
        }
        let text = read(&path);
        // Tests at the end of a file may time or read what they like.
        let code = text.split("#[cfg(test)]").next().unwrap_or_default();
        for (number, line) in code.lines().enumerate() {
            let line_code = line.split("//").next().unwrap_or_default();
            for word in IMPURE {
                if line_code.contains(word) {
                    wrong.push(format!("{name}:{}: {word}", number + 1));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn nothing_is_named_after_nothing() {
    let empty = ["util", "utils", "common", "core", "helpers", "misc", "lib2"];
    let wrong: Vec<String> = sources()
        .iter()
        .map(|path| shown(path))
        .filter(|name| {
            name.split('/').any(|part| {
                let stem = part.split('.').next().unwrap_or_default();
                empty.contains(&stem)
            })
        })
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_source_file_says_what_it_is() {
    let mut wrong = Vec::new();
    for path in sources()
        .into_iter()
        .filter(|path| path.extension().is_some_and(|e| e == "rs"))
    {
        let text = read(&path);
        let first = text.lines().next().unwrap_or_default();
        if !first.starts_with("//!") || first.trim_end() == "//!" {
            wrong.push(shown(&path));
        }
    }
    assert!(wrong.is_empty(), "no module comment: {wrong:#?}");
}

/// Commands in the README's fenced blocks that a reader would paste.
fn readme_commands() -> Vec<String> {
    let text = read(&workspace().join("README.md"));
    let mut inside = false;
    let mut commands = Vec::new();
    for line in text.lines() {
        if let Some(language) = line.trim_start().strip_prefix("```") {
            inside = !inside && matches!(language, "sh" | "console" | "bash");
            continue;
        }
        let command = line
            .trim_start_matches("$ ")
            .split(" #")
            .next()
            .unwrap_or_default()
            .trim();
        if inside && !command.is_empty() {
            commands.push(command.to_owned());
        }
    }
    commands
}

#[test]
fn the_readmes_commands_exist() {
    let commands = readme_commands();
    for needed in ["cargo run --release", "cargo test --workspace"] {
        assert!(
            commands.iter().any(|c| c == needed),
            "the README does not say {needed:?}"
        );
    }
    let help = crate::cli::corsair(&["--help"]).stdout;
    let mut wrong = Vec::new();
    for command in &commands {
        let words: Vec<&str> = command.split_whitespace().collect();
        match words.as_slice() {
            ["corsair", subcommand, ..]
                if !subcommand.starts_with('-') && !help.contains(subcommand) =>
            {
                wrong.push(format!("{command}: `corsair --help` does not know it"));
            }
            [script, ..]
                if (script.starts_with("tests/") || script.starts_with(".ci/"))
                    && !workspace().join(script).exists() =>
            {
                wrong.push(format!("{command}: no such file"));
            }
            _ => {}
        }
        for word in words
            .iter()
            .filter(|w| w.starts_with("configs/") || w.starts_with("benches/"))
        {
            if !workspace().join(word).exists() {
                wrong.push(format!("{command}: no {word}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_manifests_ask_for_nothing_that_is_banned() {
    let root: toml::Table = read(&workspace().join("Cargo.toml")).parse().expect("TOML");
    let workspace_table = root.get("workspace").expect("a workspace");
    let dependencies = workspace_table
        .get("dependencies")
        .expect("shared dependencies");
    let monoio = dependencies
        .get("monoio")
        .expect("monoio is what the product is built on");
    assert_eq!(
        monoio
            .get("default-features")
            .and_then(toml::Value::as_bool),
        Some(false)
    );
    for (name, (path, table)) in manifests() {
        for section in ["dependencies", "dev-dependencies", "build-dependencies"] {
            let Some(dependencies) = table.get(section).and_then(|d| d.as_table()) else {
                continue;
            };
            for (dependency, what) in dependencies {
                let shared = what.get("workspace").is_some();
                assert!(
                    shared,
                    "{name} ({}): {dependency} has its own version",
                    shown(&path)
                );
            }
        }
    }
    for banned in ["monoio-http", "openssl", "reqwest"] {
        assert!(
            dependencies.get(banned).is_none(),
            "{banned} is not ours to use"
        );
    }
}
