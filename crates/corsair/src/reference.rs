//! `corsair reference`: the configuration's reference page and JSON schema, from the tables that the
//! checker reads.
//!
//! Exit codes: 0 written, 1 a file could not be written, 2 wrong usage.

use std::fs;
use std::process::ExitCode;

use crate::cli::ReferenceArguments;
use crate::talk::say;

/// Writes both files into the directory.
pub(crate) fn run(arguments: &ReferenceArguments) -> ExitCode {
    let files = [
        ("REFERENCE.md", corsair_config::reference()),
        ("corsair.schema.json", corsair_config::json_schema()),
    ];
    for (name, text) in files {
        let path = arguments.directory.join(name);
        let written =
            fs::create_dir_all(&arguments.directory).and_then(|()| fs::write(&path, text));
        if let Err(error) = written {
            say(&format!("error: cannot write {}: {error}", path.display()));
            say("  = help: name a directory that may be written: `corsair reference DIRECTORY`");
            return ExitCode::FAILURE;
        }
        say(&format!("wrote {}", path.display()));
    }
    ExitCode::SUCCESS
}
