//! The fuzz body: takes any text and asserts what must hold for all of them.
//!
//! The target under `tests/fuzz` calls it with what libFuzzer invents; this crate's tests call it
//! with the corpus and with generated texts. Not part of the crate's interface.

use crate::import::{ImportKind, import};
use crate::{FileError, FileSource, Severity, check_with};

/// A list file for whatever name; large enough to be interesting.
struct OneList<'t>(&'t str);

impl FileSource for OneList<'_> {
    fn read(&self, path: &str, _bytes_max: usize) -> Result<String, FileError> {
        match path {
            "" => Err(FileError::NotFound),
            _ => Ok(self.0.to_owned()),
        }
    }
}

/// Checks the text as a configuration, as the list it names, and as a `--set` argument.
///
/// # Panics
/// When an invariant is violated: that is what a fuzzer looks for.
pub fn config(text: &str) {
    let checked = check_with("fuzz.toml", text, &[], &OneList(text));
    let again = check_with("fuzz.toml", text, &[], &OneList(text));
    assert_eq!(
        checked.diagnostics, again.diagnostics,
        "a check depends on nothing but its input"
    );
    let errors = checked.count(Severity::Error);
    assert_eq!(
        checked.plan.is_none(),
        errors > 0,
        "no plan if and only if there is an error"
    );
    for found in &checked.diagnostics {
        let place = (found.line, found.column);
        assert!(place >= (1, 1) && !found.file.is_empty(), "{found:?}");
        assert!(
            !found.message.is_empty() && !found.remedy.is_empty(),
            "{found:?}"
        );
        let sentences = [&found.message, &found.remedy];
        let one_line = |sentence: &&String| !sentence.chars().any(char::is_control);
        assert!(
            sentences.iter().all(one_line),
            "a sentence is one line: {found:?}"
        );
        assert!(found.to_string().len() < 4096, "{found}");
        assert!(
            !found.to_json().chars().any(char::is_control),
            "JSON is one line: {found:?}"
        );
    }
    let argument = check_with("fuzz.toml", "", &[text], &OneList(""));
    assert!(argument.plan.is_none(), "one value is no configuration");
}

/// Imports the text as a policy of each system.
///
/// # Panics
/// When an invariant is violated: that is what a fuzzer looks for.
pub fn import_any(text: &str) {
    for kind in ImportKind::ALL {
        import_as(kind, text);
    }
}

/// Imports the text as a policy of one system.
///
/// # Panics
/// When an invariant is violated: that is what a fuzzer looks for.
pub fn import_as(kind: ImportKind, text: &str) {
    let imported = match import(kind, "fuzz", text) {
        Ok(imported) => imported,
        Err(error) => {
            let told = error.to_string();
            assert!(error.line >= 1 && error.column != Some(0), "{told}");
            assert!(!told.chars().any(char::is_control), "one line: {told:?}");
            return;
        }
    };
    for finding in &imported.findings {
        let told = finding.to_string();
        let lines = told.lines().count();
        assert!(
            (4..=5).contains(&lines),
            "a finding has its lines: {told:?}"
        );
        assert!(finding.line >= 1 && told.len() < 4096, "{told}");
    }
    let checked = check_with("imported.toml", &imported.config, &[], &OneList(""));
    let errors: Vec<String> = checked
        .diagnostics
        .iter()
        .filter(|found| found.severity == Severity::Error)
        .map(ToString::to_string)
        .collect();
    assert!(
        errors.is_empty(),
        "what is written passes the check: {}\n{}",
        errors.join("\n"),
        imported.config
    );
}
