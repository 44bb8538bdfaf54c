//! `loadgen report`: a suite's results as one page, or as the tables of a README.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;
use loadgen::report::suite::{self, tables};
use loadgen::suite::artefact::Artefact;

pub(super) const EXAMPLES: &str = "\
Examples:
  loadgen report suite.json -o report.html
  loadgen report suite.json > report.html
  loadgen report --readme README.md benches/record/suite.json

The README needs two lines, `<!-- numbers -->` and `<!-- end of numbers -->`; everything between
them is written anew.";

#[derive(Args)]
pub(super) struct Report {
    /// Results of `loadgen suite`; each becomes a part of the page
    #[arg(required = true, value_name = "ARTEFACT")]
    artefacts: Vec<PathBuf>,
    /// Where the page goes; `-` is standard output
    #[arg(short, long, default_value = "-", value_name = "FILE")]
    output: PathBuf,
    /// Writes the tables into this text instead of making a page
    #[arg(long, value_name = "FILE", conflicts_with = "output")]
    readme: Option<PathBuf>,
}

pub(super) fn report(flags: &Report) -> anyhow::Result<()> {
    let artefacts: anyhow::Result<Vec<Artefact>> = flags
        .artefacts
        .iter()
        .map(|path| read_artefact(path))
        .collect();
    let artefacts = artefacts?;
    if let Some(readme) = &flags.readme {
        let ([artefact], [path]) = (&artefacts[..], &flags.artefacts[..]) else {
            anyhow::bail!("the tables of a README come from one artefact, not from several");
        };
        return update(readme, artefact, path);
    }
    let page = suite::render(&artefacts).map_err(|error| anyhow::anyhow!("a plot: {error}"))?;
    if flags.output.as_os_str() == "-" {
        io::stdout().write_all(page.as_bytes())?;
    } else {
        write(&flags.output, &page)?;
        writeln!(io::stderr(), "loadgen: wrote {}", flags.output.display())?;
    }
    Ok(())
}

fn update(readme: &Path, artefact: &Artefact, path: &Path) -> anyhow::Result<()> {
    let text = read(readme)?;
    let source = named_from(readme, path);
    let updated = tables::replace(&text, artefact, &source)
        .with_context(|| format!("{}", readme.display()))?;
    if updated == text {
        writeln!(io::stderr(), "loadgen: {} is up to date", readme.display())?;
        return Ok(());
    }
    write(readme, &updated)?;
    writeln!(
        io::stderr(),
        "loadgen: wrote the tables of {}",
        readme.display()
    )?;
    Ok(())
}

/// The artefact's path as a reader of `readme` knows it: from its folder, where it lies below that.
fn named_from(readme: &Path, path: &Path) -> String {
    let whole = |path: &Path| path.canonicalize().ok();
    let below = whole(path).zip(whole(readme)).and_then(|(path, readme)| {
        let below = path.strip_prefix(readme.parent()?).ok()?;
        Some(below.to_owned())
    });
    below.unwrap_or(path.to_owned()).display().to_string()
}

/// Reads a suite's result.
pub(super) fn read_artefact(path: &Path) -> anyhow::Result<Artefact> {
    Artefact::from_json(&read(path)?).with_context(|| format!("{}", path.display()))
}

pub(super) fn read(path: &Path) -> anyhow::Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}
