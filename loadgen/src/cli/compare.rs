//! `loadgen compare`: two results against each other, as Markdown, with an exit code.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use loadgen::compare::{self, Comparison, Pairing, Run};
use loadgen::ratio::{Bootstrap, Verdict};

use super::report::{read, read_artefact};
use super::{EXIT_GOOD, EXIT_MISMATCH};

pub(super) const EXAMPLES: &str = "\
Examples:
  loadgen compare main.json branch.json --fail-on-regression 5
  loadgen compare before/ after/ --pairing by-round

Each side is the result of `loadgen suite`, or of `loadgen run --json`, or a directory with such
runs (*.json, in order of their names). Suites are compared by requests per CPU-second, relative to
the null server of the same round. A ratio is after to before; the verdict is `faster` or `slower`
only when the whole 95 % interval lies beyond the threshold, of three rounds or more.
Exit code: 0 good, 1 a regression beyond --fail-on-regression (also what can no longer be measured,
and wrong answers where there were none), 2 usage.";

#[derive(Args)]
pub(super) struct Compare {
    /// The earlier result
    before: PathBuf,
    /// The later result
    after: PathBuf,
    /// Differences below this many percent do not count
    #[arg(long, default_value_t = 2.0, value_name = "PERCENT", value_parser = percent)]
    threshold: f64,
    /// Exit code 1 when something is slower by more, the whole interval of it
    #[arg(long, value_name = "PERCENT", value_parser = percent)]
    fail_on_regression: Option<f64>,
    /// Which peer of the suites to compare, may be given several times [default: Corsair]
    #[arg(long, value_name = "ID")]
    peer: Vec<String>,
    /// Whether run N of one directory belongs to run N of the other: they alternated
    #[arg(long, value_enum, default_value = "none")]
    pairing: PairingName,
    /// Seed of the bootstrap
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

#[derive(Clone, Copy, ValueEnum)]
enum PairingName {
    None,
    ByRound,
}

pub(super) fn compare(flags: &Compare) -> anyhow::Result<u8> {
    let bootstrap = Bootstrap {
        seed: flags.seed,
        ..Bootstrap::default()
    };
    let comparison = if flags.before.is_dir() || is_run(&read(&flags.before)?) {
        anyhow::ensure!(flags.peer.is_empty(), "--peer chooses from suites");
        compare_runs(flags, &bootstrap)?
    } else {
        let (before, after) = (read_artefact(&flags.before)?, read_artefact(&flags.after)?);
        for asked in &flags.peer {
            let mut there = before.peers.iter().chain(&after.peers);
            let is_known = there.any(|peer| peer.id == *asked);
            anyhow::ensure!(is_known, "no peer `{asked}` took part in either");
        }
        compare::suites(&before, &after, &flags.peer, &bootstrap)
    };
    let text = compare::markdown(&comparison, flags.threshold / 100.0);
    io::stdout().write_all(text.as_bytes())?;
    anyhow::ensure!(
        !comparison.lines.is_empty() || !comparison.broken.is_empty(),
        "the two have nothing in common"
    );
    let Some(percent) = flags.fail_on_regression else {
        return Ok(EXIT_GOOD);
    };
    let worse: Vec<&str> = regressions(&comparison, percent / 100.0);
    if !worse.is_empty() {
        let worse = worse.join(", ");
        writeln!(
            io::stderr(),
            "loadgen: slower by more than {percent} %: {worse}"
        )?;
    }
    if !comparison.broken.is_empty() {
        let broken = comparison.broken.join(", ");
        writeln!(
            io::stderr(),
            "loadgen: no longer measured, or no longer right: {broken}"
        )?;
    }
    Ok(if worse.is_empty() && comparison.broken.is_empty() {
        EXIT_GOOD
    } else {
        EXIT_MISMATCH
    })
}

fn regressions(comparison: &Comparison, threshold: f64) -> Vec<&str> {
    let slower = |line: &&compare::Line| line.verdict(threshold) == Verdict::Slower;
    let lines = comparison.lines.iter().filter(slower);
    lines.map(|line| line.name.as_str()).collect()
}

fn compare_runs(flags: &Compare, bootstrap: &Bootstrap) -> anyhow::Result<Comparison> {
    let (before, after) = (read_runs(&flags.before)?, read_runs(&flags.after)?);
    let pairing = match flags.pairing {
        PairingName::None => Pairing::None,
        PairingName::ByRound => Pairing::ByRound,
    };
    if pairing == Pairing::ByRound && before.len() != after.len() {
        let (old, new) = (before.len(), after.len());
        anyhow::bail!("{old} runs before and {new} after cannot be paired");
    }
    Ok(compare::runs(&before, &after, pairing, bootstrap))
}

/// The result of `loadgen run` has a URL, that of a suite a format.
fn is_run(text: &str) -> bool {
    serde_json::from_str::<serde_json::Value>(text).is_ok_and(|value| value.get("url").is_some())
}

fn read_runs(path: &Path) -> anyhow::Result<Vec<Run>> {
    if !path.is_dir() {
        return Ok(vec![read_run(path)?]);
    }
    let entries = std::fs::read_dir(path);
    let entries = entries.with_context(|| format!("cannot read {}", path.display()))?;
    let mut paths = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if path
            .extension()
            .is_some_and(|extension| extension == "json")
        {
            paths.push(path);
        }
    }
    paths.sort();
    anyhow::ensure!(!paths.is_empty(), "no *.json in {}", path.display());
    paths.iter().map(|path| read_run(path)).collect()
}

fn read_run(path: &Path) -> anyhow::Result<Run> {
    let run: Run = serde_json::from_str(&read(path)?)
        .with_context(|| format!("{} is not the result of `loadgen run`", path.display()))?;
    anyhow::ensure!(
        run.version == loadgen::report::summary::JSON_VERSION,
        "{}: version {} of the format",
        path.display(),
        run.version
    );
    Ok(run)
}

/// A share in percent that is not negative.
fn percent(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(percent) if percent.is_finite() && percent >= 0.0 => Ok(percent),
        Ok(_) | Err(_) => Err("a number of percent, 0 or more".to_owned()),
    }
}
