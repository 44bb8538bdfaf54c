//! Flags of the command and what each exit code means (spec §7).

mod compare;
mod outputs;
mod prepare;
mod report;
mod run;
mod serve_null;
mod suite;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// All was well.
pub(crate) const EXIT_GOOD: u8 = 0;
/// Wrong answers, or requests without one; a regression.
pub(crate) const EXIT_MISMATCH: u8 = 1;
/// Wrong flags or files, or something the machine refuses.
pub(crate) const EXIT_USAGE: u8 = 2;
/// An objective was missed.
pub(crate) const EXIT_OBJECTIVE: u8 = 3;
/// The run did not measure what it was meant to.
pub(crate) const EXIT_INVALID: u8 = 4;

#[derive(Parser)]
#[command(
    name = "loadgen",
    version,
    about = "HTTP load generator that checks every response",
    after_help = "Example:\n  loadgen run http://127.0.0.1:8080/ -c 64 -d 10s"
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Put load on a server and check every answer
    #[command(after_help = run::EXAMPLES)]
    Run(Box<run::Run>),
    /// One HTML page from the results of a suite, or the tables of a README
    #[command(after_help = report::EXAMPLES)]
    Report(report::Report),
    /// Two results against each other: faster, slower, cannot tell
    #[command(after_help = compare::EXAMPLES)]
    Compare(compare::Compare),
    /// A server that sends fixed bytes: the ceiling of this machine
    #[command(after_help = serve_null::EXAMPLES)]
    ServeNull(serve_null::ServeNull),
    /// Benchmark scenarios against Corsair and its peers, each doing the same verified job
    #[command(after_help = suite::EXAMPLES)]
    Suite(Box<suite::SuiteFlags>),
}

/// Reads the flags and does what they say.
pub(crate) fn run() -> anyhow::Result<ExitCode> {
    match Cli::parse().command {
        Command::Run(flags) => run::run(&flags).map(ExitCode::from),
        Command::Report(flags) => {
            report::report(&flags)?;
            Ok(ExitCode::from(EXIT_GOOD))
        }
        Command::Compare(flags) => compare::compare(&flags).map(ExitCode::from),
        Command::Suite(flags) => suite::run(&flags).map(ExitCode::from),
        Command::ServeNull(flags) => {
            serve_null::serve(flags)?;
            Ok(ExitCode::from(EXIT_GOOD))
        }
    }
}
