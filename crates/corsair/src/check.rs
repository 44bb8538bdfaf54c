//! `corsair check`: every problem of every file, then an exit code a pipeline can use.

use std::io::Write as _;
use std::process::ExitCode;

use corsair_config::{Checked, Severity};

use crate::cli::{CheckArguments, Deny, Format};
use crate::config_source::ConfigSource;
use crate::talk::say;

/// What was found, ready to be written.
struct Findings {
    /// For standard output.
    data: String,
    /// For standard error.
    summary: String,
    code: u8,
}

/// Checks the files and tells.
pub(crate) fn run(arguments: &CheckArguments) -> ExitCode {
    let checked: Vec<(String, Checked)> = arguments
        .files
        .iter()
        .map(|path| {
            let source = ConfigSource::File(path.clone());
            (source.name(), source.load(&[]))
        })
        .collect();
    let findings = arrange(&checked, arguments.format, arguments.deny);
    // A reader that stopped reading has seen what it wanted; the exit code still tells.
    let _unread = std::io::stdout().lock().write_all(findings.data.as_bytes());
    say(&findings.summary);
    ExitCode::from(findings.code)
}

fn arrange(checked: &[(String, Checked)], format: Format, deny: Option<Deny>) -> Findings {
    let count = |severity| {
        checked
            .iter()
            .map(|(_, checked)| checked.count(severity))
            .sum::<usize>()
    };
    let (errors, warnings) = (count(Severity::Error), count(Severity::Warning));
    let all = || checked.iter().flat_map(|(_, checked)| &checked.diagnostics);
    let data = match format {
        Format::Human => all().map(|diagnostic| format!("{diagnostic}\n")).collect(),
        Format::Json => {
            let files: Vec<String> = checked.iter().map(|(name, _)| json_text(name)).collect();
            let list: Vec<String> = all().map(corsair_config::Diagnostic::to_json).collect();
            format!(
                "{{\"version\":1,\"files\":[{}],\"errors\":{errors},\"warnings\":{warnings},\
                 \"diagnostics\":[{}]}}\n",
                files.join(","),
                list.join(",")
            )
        }
    };
    let denied = match deny {
        Some(Deny::Warnings) => warnings > 0,
        None => false,
    };
    let code = if errors > 0 { 2 } else { u8::from(denied) };
    let summary = format!(
        "{}: {}, {}",
        counted(checked.len(), "file"),
        counted(errors, "error"),
        counted(warnings, "warning")
    );
    Findings {
        data,
        summary,
        code,
    }
}

fn json_text(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn counted(count: usize, what: &str) -> String {
    if count == 1 {
        format!("1 {what}")
    } else {
        format!("{count} {what}s")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use corsair_config::{NoFiles, check};

    const CLEAN: &str = "[[listener]]
address = \"127.0.0.1:8080\"
[[upstream]]
name = \"u\"
\
                         servers = [\"http://127.0.0.1:9000\"]
\
                         [[site]]
hosts = [\"*\"]
upstream = \"u\"
";
    const UNUSED: &str = "[[upstream]]\nname = \"v\"\nservers = [\"http://127.0.0.1:9001\"]\n";

    fn findings(texts: &[&str], format: Format, deny: Option<Deny>) -> Findings {
        let name = |n: usize| format!("\"{n}\".toml");
        let checked = texts.iter().enumerate();
        let checked: Vec<_> = checked
            .map(|(n, text)| (name(n), check(&name(n), text, &NoFiles)))
            .collect();
        arrange(&checked, format, deny)
    }

    #[test]
    fn exit_codes() {
        let warned = format!("{CLEAN}{UNUSED}");
        let wrong = format!("{CLEAN}[node]\nnmae = 1\n");
        let deny = Some(Deny::Warnings);
        let table: [(&[&str], Option<Deny>, u8, &str); 7] = [
            (&[CLEAN], None, 0, "1 file: 0 errors, 0 warnings"),
            (&[CLEAN], deny, 0, "1 file: 0 errors, 0 warnings"),
            (&[&warned], None, 0, "1 file: 0 errors, 1 warning"),
            (&[&warned], deny, 1, "1 file: 0 errors, 1 warning"),
            (&[&wrong], None, 2, "1 file: 1 error, 0 warnings"),
            (&[&wrong, &warned], deny, 2, "2 files: 1 error, 1 warning"),
            (&[CLEAN, &wrong], None, 2, "2 files: 1 error, 0 warnings"),
        ];
        for (texts, deny, code, summary) in table {
            for format in [Format::Human, Format::Json] {
                let found = findings(texts, format, deny);
                assert_eq!(
                    (found.code, found.summary.as_str()),
                    (code, summary),
                    "{}",
                    found.data
                );
            }
        }
    }

    #[test]
    fn people_get_place_code_and_remedy() {
        let found = findings(
            &[&format!("{CLEAN}[node]\nnmae = 1\n")],
            Format::Human,
            None,
        );
        assert!(
            found.data.contains("\"0\".toml:10:1: error[E010]: "),
            "{}",
            found.data
        );
        assert!(
            found.data.contains("did you mean `name`?"),
            "{}",
            found.data
        );
    }

    #[test]
    fn json_is_one_document_whatever_the_files_are_called() {
        let found = findings(&[CLEAN, "[node]\nnmae = 1\n"], Format::Json, None);
        let json: serde_json::Value = serde_json::from_str(&found.data).unwrap();
        assert_eq!(json["version"], 1);
        assert_eq!(
            json["files"],
            serde_json::json!(["\"0\".toml", "\"1\".toml"])
        );
        let list = json["diagnostics"].as_array().unwrap();
        let errors = list.iter().filter(|d| d["severity"] == "error").count();
        assert_eq!(json["errors"], errors);
        assert!(
            list.iter()
                .any(|d| d["code"] == "E010" && d["line"] == 2 && d["column"] == 1)
        );
    }
}
