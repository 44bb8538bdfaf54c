//! `corsair explain`: one request, dry, through the functions that serve.
//!
//! Reads the command line and the configuration, asks `corsair_config::explain`, writes the answer to
//! standard output. Nothing is sent anywhere.

use std::io::Write as _;
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use corsair_config::explain::{AssumedUpstream, Question, UpstreamAnswer, explain};
use corsair_config::{Severity, UnixMillis};

use crate::cli::{ExplainArguments, FailureArgument, Format};
use crate::config_source::ConfigSource;
use crate::talk::say;

/// Explains, and tells by the exit code whether the question could be answered.
pub(crate) fn run(arguments: &ExplainArguments) -> ExitCode {
    const WRONG: u8 = 2;
    match answer(arguments) {
        Ok(text) => {
            // A reader that stopped reading has seen what it wanted.
            let _unread = std::io::stdout().lock().write_all(text.as_bytes());
            ExitCode::SUCCESS
        }
        Err(why) => {
            say(&why);
            ExitCode::from(WRONG)
        }
    }
}

fn answer(arguments: &ExplainArguments) -> Result<String, String> {
    let question = question(arguments)?;
    let checked = ConfigSource::File(arguments.config.clone()).load(&arguments.set);
    let Some(plan) = &checked.plan else {
        let errors = checked.diagnostics.iter();
        let errors: Vec<String> = errors
            .filter(|found| found.severity == Severity::Error)
            .map(ToString::to_string)
            .collect();
        return Err(errors.join("\n"));
    };
    let told = explain(plan, Some(&checked.places), &question)
        .map_err(|error| format!("corsair explain: {error}"))?;
    match arguments.format {
        Format::Human => Ok(told.to_string()),
        Format::Json => serde_json::to_string_pretty(&told)
            .map(|text| text + "\n")
            .map_err(|error| format!("corsair explain: {error}")),
    }
}

fn question(arguments: &ExplainArguments) -> Result<Question, String> {
    let lines = |texts: &[String]| -> Result<Vec<(String, String)>, String> {
        texts.iter().map(|text| header_line(text)).collect()
    };
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = since.map_or(0, |since| {
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    });
    Ok(Question {
        method: arguments.method.clone(),
        url: arguments.url.clone(),
        headers: lines(&arguments.header)?,
        upstream: match arguments.upstream_failure {
            Some(FailureArgument(failure)) => AssumedUpstream::Fails(failure),
            None => AssumedUpstream::Answers(UpstreamAnswer {
                status: arguments.response_status,
                headers: lines(&arguments.response_header)?,
            }),
        },
        now: UnixMillis(now),
    })
}

/// `Name: value`, as curl has it.
fn header_line(text: &str) -> Result<(String, String), String> {
    match text.split_once(':') {
        Some((name, value)) => {
            let value = value.trim_matches([' ', '\t']);
            Ok((name.to_owned(), value.to_owned()))
        }
        None => Err(format!(
            "corsair explain: header {text:?} has no colon; write -H 'Name: value'"
        )),
    }
}
