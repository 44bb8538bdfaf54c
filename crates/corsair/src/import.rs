//! `corsair import`: another system's policy on standard input or in a file, ours on standard
//! output, and on standard error what does not mean the same.

use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

use corsair_config::FileError;
use corsair_config::import::{IMPORT_BYTES_MAX, ImportKind, Imported, Weight, import};

use crate::cli::{DenyDifferences, ImportArguments};
use crate::config_source::{read_input, read_text};
use crate::talk::say;

/// Reads, writes and tells.
pub(crate) fn run(arguments: &ImportArguments) -> ExitCode {
    let (name, text) = if arguments.file == Path::new("-") {
        ("standard input".to_owned(), read_input(IMPORT_BYTES_MAX))
    } else {
        let name = arguments.file.display().to_string();
        (name, read_text(&arguments.file, IMPORT_BYTES_MAX))
    };
    let text = match text {
        Ok(text) => text,
        Err(error) => {
            say(&format!("{name}: error: {}", sentence(&error)));
            return ExitCode::from(2);
        }
    };
    let kind = arguments.kind.0;
    match import(kind, &file_part(&name), &text) {
        Ok(imported) => {
            // A reader that stopped reading has seen what it wanted; the exit code still tells.
            let _unread = std::io::stdout()
                .lock()
                .write_all(imported.config.as_bytes());
            say(&report(kind, &name, &imported));
            ExitCode::from(code_of(&imported, arguments.deny))
        }
        Err(error) => {
            say(&format!("{name}:{error}"));
            ExitCode::from(2)
        }
    }
}

/// The last part of a path: a configuration that goes elsewhere names no directory of this machine.
fn file_part(name: &str) -> String {
    name.rsplit('/').next().unwrap_or(name).to_owned()
}

fn sentence(error: &FileError) -> String {
    match error {
        FileError::NotFound => "there is no such file".to_owned(),
        FileError::TooLarge => format!("the input has more than {} MiB", IMPORT_BYTES_MAX >> 20),
        FileError::Directory => "this is a directory".to_owned(),
        FileError::NotText { .. } => {
            "the input is not UTF-8 text; PowerShell's `>` writes UTF-16, \
                               `Out-File -Encoding utf8` does not"
                .to_owned()
        }
        FileError::Other(why) => format!("the input cannot be read: {why}"),
    }
}

fn code_of(imported: &Imported, deny: Option<DenyDifferences>) -> u8 {
    match deny {
        Some(DenyDifferences::Differences) => u8::from(imported.count(Weight::Difference) > 0),
        None => 0,
    }
}

fn report(kind: ImportKind, name: &str, imported: &Imported) -> String {
    let findings: String = imported
        .findings
        .iter()
        .map(|finding| format!("{name}:{finding}\n\n"))
        .collect();
    let count = |weight: Weight| match imported.count(weight) {
        1 => format!("1 {}", weight.as_str()),
        count => format!("{count} {}s", weight.as_str()),
    };
    format!(
        "{findings}{name}: read as {}: {}, {}",
        kind.system(),
        count(Weight::Difference),
        count(Weight::Note)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLEAN: &str = r#"[{"AllowedOrigins": ["*"], "AllowedMethods": ["GET"]}]"#;
    const DIFFERENT: &str = r#"[{"AllowedOrigins": ["null"], "AllowedMethods": ["GET"]}]"#;

    fn imported(text: &str) -> Imported {
        import(ImportKind::S3, "cors.json", text).expect("rules")
    }

    #[test]
    fn exit_codes() {
        let deny = Some(DenyDifferences::Differences);
        for (text, deny, code) in [
            (CLEAN, None, 0),
            (CLEAN, deny, 0),
            (DIFFERENT, None, 0),
            (DIFFERENT, deny, 1),
        ] {
            assert_eq!(code_of(&imported(text), deny), code, "{text}");
        }
    }

    #[test]
    fn the_report_names_the_input_and_counts() {
        let told = report(ImportKind::S3, "cors.json", &imported(DIFFERENT));
        assert!(told.starts_with("cors.json:1: "), "{told}");
        assert!(
            told.contains("  request: GET with `Origin: null` and cookies\n"),
            "{told}"
        );
        assert!(
            told.ends_with("cors.json: read as S3: 1 difference, 1 note"),
            "{told}"
        );
        let told = report(ImportKind::S3, "a", &imported(CLEAN));
        assert_eq!(told, "a: read as S3: 0 differences, 0 notes");
    }

    #[test]
    fn no_directory_goes_into_the_configuration() {
        assert_eq!(file_part("a/b/cors.json"), "cors.json");
        assert_eq!(file_part("cors.json"), "cors.json");
        assert_eq!(file_part("standard input"), "standard input");
    }
}
