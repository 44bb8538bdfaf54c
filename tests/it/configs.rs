//! Every file in `configs/` passes `corsair check` and starts; every file in `configs/bad/` is
//! refused with the diagnostics written beside it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::cli::corsair;
use crate::harness::Node;
use crate::harness::node::{Scratch, binary, driver, workspace};

fn examples(folder: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.expect("a readable entry").path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "toml")
        })
        .collect();
    found.sort();
    found
}

fn text(path: &Path) -> &str {
    path.to_str().expect("paths of the repository are text")
}

#[test]
fn every_example_is_clean_and_starts() {
    let found = examples(&workspace().join("configs"));
    let names: Vec<_> = found
        .iter()
        .filter_map(|p| p.file_name()?.to_str())
        .collect();
    for needed in ["demo.toml", "bucket.toml", "site.toml", "many-origins.toml"] {
        assert!(names.contains(&needed), "configs/{needed} is missing");
    }
    for example in &found {
        let said = corsair(&["check", "--deny", "warnings", text(example)]);
        assert_eq!(
            said.code,
            Some(0),
            "{}:\n{}{}",
            text(example),
            said.stdout,
            said.stderr
        );
        let node = start_on_free_ports(example);
        node.admin("GET", "/readyz").send().is(200);
    }
}

/// The same file with ports of its own, in a copy of its folder so that files beside it are found.
fn start_on_free_ports(example: &Path) -> Node {
    let scratch = Scratch::new();
    let folder = example.parent().expect("a file lies in a folder");
    for entry in fs::read_dir(folder).expect("configs/ is readable") {
        let path = entry.expect("a readable entry").path();
        if path.is_file() {
            let name = path.file_name().expect("a file has a name");
            fs::copy(&path, scratch.0.join(name)).expect("the scratch directory is writable");
        }
    }
    let mut config: toml::Table = fs::read_to_string(example)
        .expect("readable")
        .parse()
        .expect("checked before");
    let any_port = || toml::Value::String("127.0.0.1:0".to_owned());
    let mut table = |name: &str| {
        let entry = config
            .entry(name)
            .or_insert_with(|| toml::Value::Table(toml::Table::new()));
        entry.as_table_mut().expect("a table").clone()
    };
    let mut admin = table("admin");
    admin.insert("listen".to_owned(), any_port());
    let mut node = table("node");
    node.insert("workers".to_owned(), toml::Value::Integer(1));
    node.insert("driver".to_owned(), toml::Value::String(driver()));
    config.insert("admin".to_owned(), toml::Value::Table(admin));
    config.insert("node".to_owned(), toml::Value::Table(node));
    for listener in config["listener"].as_array_mut().expect("listeners") {
        listener
            .as_table_mut()
            .expect("a table")
            .insert("address".to_owned(), any_port());
    }
    let name = example
        .file_name()
        .and_then(|name| name.to_str())
        .expect("text");
    let file = scratch.write(name, &toml::to_string(&config).expect("TOML"));
    let mut command = Command::new(binary());
    command.arg("run").arg("-c").arg(&file);
    Node::spawn(command)
}

#[test]
fn every_bad_example_is_refused_with_the_diagnostics_beside_it() {
    let folder = workspace().join("configs/bad");
    let found = examples(&folder);
    assert!(!found.is_empty(), "configs/bad/ holds nothing");
    let mut wrong = Vec::new();
    for example in &found {
        // As an operator in the workspace would name it: the place is part of what is compared.
        let name = example.strip_prefix(workspace()).expect("it lies there");
        let said = corsair(&["check", "--deny", "warnings", text(name)]);
        let wanted = fs::read_to_string(example.with_extension("expected")).unwrap_or_default();
        if wanted.is_empty() {
            wrong.push(format!("{}: nothing stands beside it", text(name)));
        }
        let (got, beside): (Vec<&str>, Vec<&str>) =
            (said.stdout.lines().collect(), wanted.lines().collect());
        if let Some(at) =
            (0..got.len().max(beside.len())).find(|at| got.get(*at) != beside.get(*at))
        {
            wrong.push(format!(
                "{}: line {}: said {:?} for {:?}",
                text(name),
                at + 1,
                got.get(at),
                beside.get(at)
            ));
        }
        if !matches!(said.code, Some(1 | 2)) {
            wrong.push(format!("{}: exit code {:?}", text(name), said.code));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_readmes_configuration_is_clean() {
    let readme = fs::read_to_string(workspace().join("README.md")).expect("readable");
    let blocks: Vec<&str> = readme
        .split("```toml\n")
        .skip(1)
        .filter_map(|rest| rest.split("```").next())
        .collect();
    assert!(!blocks.is_empty(), "the README shows no configuration");
    let scratch = Scratch::new();
    for block in blocks {
        let file = scratch.write("readme.toml", block);
        let said = corsair(&["check", "--deny", "warnings", text(&file)]);
        assert_eq!(said.code, Some(0), "{block}\n{}", said.stdout);
    }
}
