//! The fuzz body: takes any text and asserts what must hold for all of them.
//!
//! The target under `tests/fuzz` calls it with what libFuzzer invents; this crate's tests call it
//! with the corpus and with generated texts. Not part of the crate's interface.

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
