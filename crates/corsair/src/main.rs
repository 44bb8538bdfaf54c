//! The `corsair` command: an HTTP edge node, and what helps to run one.
//!
//! Standard output is data, standard error is talk. Exit codes: each command's `--help` lists its
//! own. No command prints a panic: what cannot happen and does is one line on standard error, and a
//! counter.

mod allocator;
mod check;
mod cli;
mod config_source;
mod demo;
mod diff;
mod explain;
mod import;
mod internal_errors;
mod list_files;
mod open_files;
mod reference;
mod run;
mod talk;

use std::process::ExitCode;

use clap::Parser as _;

use crate::cli::{Cli, Command};

fn main() -> ExitCode {
    internal_errors::install_hook();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(told) => {
            // Help and version are answers too; when nobody reads them there is nobody to tell.
            let _unread = told.print();
            return u8::try_from(told.exit_code()).map_or(ExitCode::FAILURE, ExitCode::from);
        }
    };
    match cli.command {
        None => run::run(cli.run),
        Some(Command::Run(arguments)) => run::run(arguments),
        Some(Command::Check(arguments)) => check::run(&arguments),
        Some(Command::Diff(arguments)) => diff::run(&arguments),
        Some(Command::Explain(arguments)) => explain::run(&arguments),
        Some(Command::Import(arguments)) => import::run(&arguments),
        Some(Command::Reference(arguments)) => reference::run(&arguments),
    }
}
