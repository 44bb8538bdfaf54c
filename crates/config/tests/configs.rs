//! Every file of `configs/` is a good configuration, and every file of `configs/bad/` is told
//! exactly what stands beside it.
//!
//! With `CORSAIR_WRITE_EXPECTED=1` the expected files and the reference are written anew instead;
//! read the difference before committing it.

use std::path::{Path, PathBuf};

use corsair_config::{Checked, Code, FileError, FileSource, Severity, check};
use corsair_rules::LINT_TABLE;

/// The files beside a configuration.
struct Beside(PathBuf);

impl FileSource for Beside {
    fn read(&self, path: &str, bytes_max: usize) -> Result<String, FileError> {
        let bytes = std::fs::read(self.0.join(path)).map_err(|_| FileError::NotFound)?;
        if bytes.len() > bytes_max {
            return Err(FileError::TooLarge);
        }
        FileError::text_of(bytes)
    }

    fn host_name(&self) -> Option<String> {
        Some("edge.test".to_owned())
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The `.toml` files of a directory below the root, by name.
fn files_of(directory: &str) -> Vec<String> {
    let entries = std::fs::read_dir(root().join(directory)).expect("the directory is there");
    let mut names: Vec<String> = entries
        .map(|entry| {
            entry
                .expect("it can be listed")
                .file_name()
                .into_string()
                .expect("ASCII")
        })
        .filter(|name| name.ends_with(".toml"))
        .map(|name| format!("{directory}/{name}"))
        .collect();
    names.sort();
    names
}

fn check_file(name: &str) -> Checked {
    let path = root().join(name);
    let text = std::fs::read_to_string(&path).expect("the file can be read");
    check(
        name,
        &text,
        &Beside(path.parent().expect("it has a directory").to_owned()),
    )
}

fn shown(checked: &Checked) -> String {
    checked
        .diagnostics
        .iter()
        .map(|found| format!("{found}\n"))
        .collect()
}

#[test]
fn every_example_is_clean() {
    let names = files_of("configs");
    for required in ["demo", "bucket", "site", "many-origins"] {
        assert!(
            names.contains(&format!("configs/{required}.toml")),
            "{required}"
        );
    }
    for name in names {
        let checked = check_file(&name);
        assert_eq!(shown(&checked), "", "{name}");
        let plan = checked.plan.expect("without diagnostics there is a plan");
        let mut ids: Vec<u32> = plan
            .site_plans
            .iter()
            .flat_map(|site| &site.route_plans)
            .map(|r| r.id)
            .collect();
        let routes = ids.len();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), routes, "{name}: every route has its own id");
    }
}

#[test]
fn every_bad_file_is_told_what_stands_beside_it() {
    let names = files_of("configs/bad");
    assert!(names.len() >= 25, "only {} bad files", names.len());
    let mut wrong = Vec::new();
    for name in &names {
        let checked = check_file(name);
        let got = shown(&checked);
        assert!(!got.is_empty(), "{name} has nothing wrong with it");
        let expected_path = root().join(name.replace(".toml", ".expected"));
        if std::env::var_os("CORSAIR_WRITE_EXPECTED").is_some() {
            std::fs::write(&expected_path, &got).expect("the file can be written");
        }
        let expected = std::fs::read_to_string(&expected_path).unwrap_or_default();
        if got != expected {
            wrong.push(format!("{name}\n--- expected\n{expected}--- got\n{got}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_code_has_a_bad_file() {
    // A text too large to keep here, and the command line's own.
    let elsewhere = ["E003", "E005"];
    let told: Vec<&str> = files_of("configs/bad")
        .iter()
        .flat_map(|name| check_file(name).diagnostics)
        .map(|found| found.code)
        .collect();
    let own = Code::ALL.iter().map(|code| code.as_str());
    for code in own.chain(LINT_TABLE.iter().map(|row| row.code)) {
        assert_eq!(told.contains(&code), !elsewhere.contains(&code), "{code}");
    }
}

#[test]
fn every_example_of_the_reference_is_told_its_code() {
    for row in LINT_TABLE {
        let text = format!(
            "[[listener]]\naddress = \"127.0.0.1:8080\"\n[[upstream]]\nname = \"bucket\"\n\
             servers = [\"http://127.0.0.1:9000\"]\n[[site]]\nhosts = [\"cdn.example.com\"]\n\
             upstream = \"bucket\"\n{}\n",
            row.example
        );
        let checked = check("example.toml", &text, &corsair_config::NoFiles);
        let codes: Vec<&str> = checked.diagnostics.iter().map(|found| found.code).collect();
        assert_eq!(codes, [row.code], "{}\n{}", row.example, shown(&checked));
    }
}

#[test]
fn warnings_do_not_keep_a_plan_back() {
    let checked = check_file("configs/bad/unused-upstream.toml");
    assert_eq!(
        (
            checked.count(Severity::Error),
            checked.count(Severity::Warning)
        ),
        (0, 1)
    );
    assert!(checked.plan.is_some());
}

#[test]
fn the_reference_is_what_the_tables_say() {
    let path = root().join("configs/REFERENCE.md");
    let page = corsair_config::reference();
    if std::env::var_os("CORSAIR_WRITE_EXPECTED").is_some() {
        std::fs::write(&path, &page).expect("the file can be written");
    }
    let kept = std::fs::read_to_string(&path).expect("the file can be read");
    assert!(
        kept == page,
        "configs/REFERENCE.md is not what the tables say; write it anew"
    );
}
