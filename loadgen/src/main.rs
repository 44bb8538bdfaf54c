//! The `loadgen` command: reads flags, runs what they ask for, returns the exit code.

mod cli;

use std::io::Write as _;
use std::process::ExitCode;

fn main() -> ExitCode {
    match cli::run() {
        Ok(code) => code,
        Err(error) => {
            // Nothing is left to do when even standard error is gone.
            drop(writeln!(std::io::stderr(), "loadgen: {error:#}"));
            ExitCode::from(cli::EXIT_USAGE)
        }
    }
}
