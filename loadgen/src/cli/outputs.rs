//! What `loadgen run` writes when the run is over: the summary for people, and files.
//!
//! Files are opened before the run, so that a name that cannot be is told before it and not after
//! an hour; they keep what they hold until there is something new to write. A file that fails
//! takes nothing with it: the summary has been shown by then, and the other files are written.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use loadgen::report::series::{Output, SeriesError};
use loadgen::report::{self, SecondRow, Summary};

use super::run::Run;

/// The name that stands for standard output.
fn is_stdout(path: &Path) -> bool {
    path.as_os_str() == "-"
}

/// Creates a file that is written while the run goes on.
pub(super) fn create(path: &Path) -> anyhow::Result<Output> {
    if is_stdout(path) {
        return Ok(Box::new(io::stdout()));
    }
    let file = File::create(path).with_context(|| format!("cannot create {}", path.display()))?;
    Ok(Box::new(BufWriter::new(file)))
}

/// Forms in which results are written at the end.
#[derive(Clone, Copy)]
enum Form {
    Json,
    Csv,
    Markdown,
    Hgrm,
    Html,
}

impl Form {
    fn render(self, summary: &Summary, rows: &[SecondRow]) -> anyhow::Result<String> {
        Ok(match self {
            Self::Json => summary.to_json(),
            Self::Csv => report::csv::render(summary),
            Self::Markdown => report::markdown::render(summary),
            Self::Hgrm => report::hdr::hgrm(&summary.latencies, &summary.invalid_reasons),
            Self::Html => {
                let page = report::html::render(summary, rows);
                page.map_err(|error| anyhow::anyhow!("a plot: {error}"))?
            }
        })
    }
}

enum Place {
    Stdout,
    File(File),
}

/// A file to be written, already open.
struct Opened {
    form: Form,
    path: PathBuf,
    place: Place,
}

impl Opened {
    fn new(form: Form, path: &Path) -> anyhow::Result<Self> {
        let place = if is_stdout(path) {
            Place::Stdout
        } else {
            let mut options = OpenOptions::new();
            let file = options.write(true).create(true).truncate(false).open(path);
            Place::File(file.with_context(|| format!("cannot create {}", path.display()))?)
        };
        Ok(Self {
            form,
            path: path.to_owned(),
            place,
        })
    }

    fn write(self, summary: &Summary, rows: &[SecondRow]) -> anyhow::Result<()> {
        let text = self.form.render(summary, rows)?;
        let written = match self.place {
            Place::Stdout => say(&mut io::stdout(), &text),
            Place::File(file) => replace(file, &text),
        };
        written.with_context(|| format!("cannot write {}", self.path.display()))
    }
}

/// Makes `text` all that `file` holds; pipes and devices hold nothing that could be in the way.
fn replace(mut file: File, text: &str) -> io::Result<()> {
    if file.metadata()?.is_file() {
        file.set_len(0)?;
    }
    say(&mut file, text)
}

fn say(out: &mut impl Write, text: &str) -> io::Result<()> {
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// Everything that is written at the end.
pub(super) struct Outputs {
    files: Vec<Opened>,
    summary_to: SummaryTo,
}

/// Standard output, unless data was asked for there.
#[derive(Clone, Copy)]
enum SummaryTo {
    Stdout,
    Stderr,
}

impl Outputs {
    /// Opens the files that `flags` name.
    ///
    /// # Errors
    /// The first that cannot be opened.
    pub(super) fn open(flags: &Run) -> anyhow::Result<Self> {
        let asked = [
            (Form::Json, &flags.json),
            (Form::Csv, &flags.csv),
            (Form::Markdown, &flags.markdown),
            (Form::Hgrm, &flags.hgrm),
            (Form::Html, &flags.html),
        ];
        let mut files = Vec::new();
        for (form, path) in asked {
            if let Some(path) = path {
                files.push(Opened::new(form, path)?);
            }
        }
        let streams = [&flags.ndjson, &flags.hdr_log];
        let mut names = asked.iter().map(|(_, path)| *path).chain(streams).flatten();
        let summary_to = if names.any(|path| is_stdout(path)) {
            SummaryTo::Stderr
        } else {
            SummaryTo::Stdout
        };
        Ok(Self { files, summary_to })
    }

    /// Shows the summary and writes the files.
    ///
    /// # Errors
    /// All that could not be written, this and what is `failed` already, when the rest is.
    pub(super) fn write(
        self,
        summary: &Summary,
        rows: &[SecondRow],
        failed: Vec<SeriesError>,
    ) -> anyhow::Result<()> {
        let mut failures: Vec<anyhow::Error> = failed.into_iter().map(Into::into).collect();
        let text = report::text::render(summary);
        let shown = match self.summary_to {
            SummaryTo::Stdout => say(&mut io::stdout(), &text),
            SummaryTo::Stderr => say(&mut io::stderr(), &text),
        };
        failures.extend(shown.context("cannot show the summary").err());
        for file in self.files {
            failures.extend(file.write(summary, rows).err());
        }
        if failures.is_empty() {
            return Ok(());
        }
        let failures: Vec<String> = failures.iter().map(|error| format!("{error:#}")).collect();
        anyhow::bail!(failures.join("; "))
    }
}
