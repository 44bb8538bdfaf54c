//! `corsair diff`: what a new configuration newly allows and newly refuses; for a pipeline's guard.
//!
//! Reads both configurations as `check` does and writes what `corsair_config::diff` finds.

use std::io::Write as _;
use std::process::ExitCode;

use corsair_config::diff::{PlanDiff, diff};
use corsair_config::{Checked, Severity};

use crate::cli::{DiffArguments, Format};
use crate::config_source::ConfigSource;
use crate::talk::say;

const WRONG: u8 = 2;
const WIDENED: u8 = 3;

/// Compares, and tells by the exit code whether anything widened.
pub(crate) fn run(arguments: &DiffArguments) -> ExitCode {
    match compare(arguments) {
        Ok((found, text)) => {
            // A reader that stopped reading has seen what it wanted; the exit code still tells.
            let _unread = std::io::stdout().lock().write_all(text.as_bytes());
            say(&summary(&found));
            if found.widened > 0 {
                ExitCode::from(WIDENED)
            } else {
                ExitCode::SUCCESS
            }
        }
        Err(why) => {
            say(&why);
            ExitCode::from(WRONG)
        }
    }
}

fn compare(arguments: &DiffArguments) -> Result<(PlanDiff, String), String> {
    let load = |path: &std::path::Path| ConfigSource::File(path.to_owned()).load(&[]);
    let (old, new) = (load(&arguments.old), load(&arguments.new));
    let (Some(old_plan), Some(new_plan)) = (&old.plan, &new.plan) else {
        return Err(errors_of(&old) + &errors_of(&new));
    };
    let found = diff((old_plan, &old.places), (new_plan, &new.places));
    let text = match arguments.format {
        Format::Human => found.to_string(),
        Format::Json => serde_json::to_string_pretty(&found)
            .map(|text| text + "\n")
            .map_err(|error| format!("corsair diff: {error}"))?,
    };
    Ok((found, text))
}

fn errors_of(checked: &Checked) -> String {
    let found = checked.diagnostics.iter();
    found
        .filter(|found| found.severity == Severity::Error)
        .map(|found| format!("{found}\n"))
        .collect()
}

fn summary(found: &PlanDiff) -> String {
    match (found.widened, found.narrowed) {
        (0, 0) => "nothing newly allowed, nothing newly refused".to_owned(),
        (widened, narrowed) => format!("{widened} newly allowed, {narrowed} newly refused"),
    }
}
