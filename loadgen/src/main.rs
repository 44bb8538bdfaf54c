//! The `loadgen` command: reads flags, runs what they ask for, returns the exit code.

mod cli;

use std::io::Write as _;
use std::process::ExitCode;

fn main() -> ExitCode {
    match cli::run() {
        Ok(code) => code,
        Err(error) => {
            // Nothing is left to do when even standard error is gone.
            drop(writeln!(std::io::stderr(), "loadgen: {}", told(&error)));
            ExitCode::from(cli::EXIT_USAGE)
        }
    }
}

/// An error and its causes on one line; a cause that the error before it ends with is told once.
fn told(error: &anyhow::Error) -> String {
    let mut text = error.to_string();
    for cause in error.chain().skip(1) {
        let cause = cause.to_string();
        if !text.ends_with(&cause) {
            text.push_str(": ");
            text.push_str(&cause);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use anyhow::Context as _;

    use super::told;

    #[test]
    fn a_cause_is_told_once() {
        let cause = || Err::<(), _>(std::io::Error::other("no such file"));
        let said = |context: &'static str| told(&cause().context(context).unwrap_err());
        assert_eq!(
            said("cannot read a.toml"),
            "cannot read a.toml: no such file"
        );
        let itself = "cannot read a.toml: no such file";
        assert_eq!(said(itself), itself);
    }
}
