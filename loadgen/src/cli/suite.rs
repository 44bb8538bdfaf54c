//! `loadgen suite`: flags, progress, the artefact.

use std::fmt::Write as _;
use std::io::{self, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use clap::Args;
use loadgen::affinity;
use loadgen::live::Verbosity;
use loadgen::suite::artefact::{Artefact, TrialOutcome};
use loadgen::suite::peer::Contestant;
use loadgen::suite::scenario::{self, Planned};
use loadgen::suite::suite_run::{Note, Settings, Suite};

use super::run::percent;
use super::{EXIT_GOOD, EXIT_INVALID};

pub(super) const EXAMPLES: &str = "\
Examples:
  loadgen suite benches/scenarios/quick.toml --out quick.json
  loadgen suite benches/scenarios/full.toml --only 'rules/' --peers null-monoio,corsair,nginx
  loadgen suite benches/scenarios/quick.toml --peers null-monoio,corsair,corsair:old@../old/corsair

Standard output is a table in Markdown; everything else is in the file that --out names, written anew
after each scenario, and in the page beside it: suite.json and suite.html.
Exit code: 0 measured, 2 usage, 4 measured, but in doubt or interrupted.";

#[derive(Args)]
pub(super) struct SuiteFlags {
    /// Scenario files; the first one's rounds, lengths, peers and budget hold for all
    #[arg(required = true, value_name = "FILE.toml")]
    files: Vec<PathBuf>,
    /// Where the result goes: a file, or a folder that is there
    #[arg(long, default_value = "suite.json", value_name = "DIR|FILE")]
    out: PathBuf,
    /// Who takes part instead: NAME, NAME#2 (the same again), NAME:LABEL@PROGRAM (another build)
    #[arg(long, value_delimiter = ',', value_name = "LIST")]
    peers: Vec<String>,
    /// Paired rounds instead of the file's
    #[arg(long)]
    rounds: Option<u32>,
    /// Length of one run instead of all others
    #[arg(long, value_name = "S")]
    seconds: Option<f64>,
    /// Only scenarios whose name holds this; several separated by commas
    #[arg(long, value_name = "PATTERN")]
    only: Option<String>,
    /// Time the suite may take; scenarios that would begin later are left out
    #[arg(long, value_parser = humantime::parse_duration)]
    budget: Option<Duration>,
    /// CPU of the servers
    #[arg(long, value_name = "N")]
    server_cpu: Option<usize>,
    /// CPU of generator and upstream
    #[arg(long, value_name = "N")]
    client_cpu: Option<usize>,
    /// CPU time of the machine that others may take before a run is void, in percent
    #[arg(long, value_name = "PERCENT", default_value_t = 5.0, value_parser = percent)]
    max_steal: f64,
    /// Folder of the peers [default: `peers` beside the first file's folder]
    #[arg(long, value_name = "DIR")]
    peers_folder: Option<PathBuf>,
    /// Where peers keep their files meanwhile [default: /dev/shm where there is room, else the
    /// folder for temporary files]
    #[arg(long, value_name = "DIR")]
    scratch: Option<PathBuf>,
    /// Seed of everything drawn
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Says what would be run and how long it takes, and runs nothing
    #[arg(long)]
    list: bool,
    /// No progress
    #[arg(short, long)]
    quiet: bool,
}

pub(super) fn run(flags: &SuiteFlags) -> anyhow::Result<u8> {
    let suite = prepare(flags)?;
    let estimate = suite.estimate();
    let said =
        |duration: Duration| humantime::format_duration(Duration::from_secs(duration.as_secs()));
    let mut talk = io::stderr();
    writeln!(
        talk,
        "loadgen suite: {} scenarios, {} contestants, {} rounds of {}; about {}{}",
        suite.scenarios.len(),
        suite.contestants.len(),
        suite.settings.rounds,
        humantime::format_duration(suite.settings.run),
        said(estimate),
        suite.settings.budget.map_or(String::new(), |b| format!(
            ", at most {} and the scenario begun then",
            said(b)
        ))
    )?;
    say_what_is_missing(&suite)?;
    if flags.list {
        let mut text = String::new();
        for planned in &suite.scenarios {
            // Writing to a String cannot fail.
            let _ = writeln!(
                text,
                "{}\t{}",
                planned.scenario.name, planned.scenario.title
            );
        }
        io::stdout().write_all(text.as_bytes())?;
        return Ok(EXIT_GOOD);
    }
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        // Once: what was started is ended in order, and the result written. No second way out, or
        // servers would be left behind.
        signal_hook::flag::register(signal, Arc::clone(&suite.settings.interrupt))?;
    }
    let scratch = Scratch::new(flags.scratch.as_deref())?;
    let verbosity = if flags.quiet {
        Verbosity::Quiet
    } else {
        Verbosity::Normal
    };
    let mut progress = ProgressLine::new(verbosity, estimate);
    let path = out_path(&flags.out);
    let out = Out::prepare(&path)?;
    let artefact = suite.run(&scratch.0, &mut |note| match note {
        Note::SoFar(so_far) => out.write_so_far(so_far),
        note => progress.show(&note),
    })?;
    progress.finish();
    out.write(&artefact)?;
    let page = path.with_extension("html");
    let report = loadgen::report::suite::render(std::slice::from_ref(&artefact))
        .map_err(|error| anyhow::anyhow!("a plot: {error}"))?;
    std::fs::write(&page, report).with_context(|| format!("cannot write {}", page.display()))?;
    io::stdout().write_all(table(&artefact).as_bytes())?;
    for doubt in &artefact.doubts {
        writeln!(talk, "in doubt: {doubt}")?;
    }
    writeln!(
        talk,
        "took {}; wrote {} and {}",
        said(Duration::from_secs_f64(artefact.options.elapsed_s)),
        path.display(),
        page.display()
    )?;
    Ok(if artefact.readable {
        EXIT_GOOD
    } else {
        EXIT_INVALID
    })
}

fn prepare(flags: &SuiteFlags) -> anyhow::Result<Suite> {
    let files: Result<Vec<_>, _> = flags
        .files
        .iter()
        .map(|path| scenario::read(path))
        .collect();
    let files = files?;
    let first = files.first().context("a scenario file is needed")?;
    let planned = files.iter().flat_map(|file| &file.scenarios);
    let mut scenarios = chosen_scenarios(planned, flags.only.as_deref())?;
    let seconds = flags.seconds.map(Duration::try_from_secs_f64).transpose()?;
    if seconds.is_some() {
        ensure!(seconds > Some(Duration::ZERO), "--seconds is above 0");
        scenarios.iter_mut().for_each(|planned| planned.run = None);
    }
    let beside = flags.files[0]
        .parent()
        .unwrap_or(Path::new("."))
        .join("../peers");
    let folder = flags.peers_folder.clone().unwrap_or(beside);
    let asked = if flags.peers.is_empty() {
        &first.peers
    } else {
        // Who is named on the command line takes part in everything.
        scenarios
            .iter_mut()
            .for_each(|planned| planned.peers = None);
        &flags.peers
    };
    let contestants = find_contestants(asked, &folder)?;
    let (server_cpu, client_cpu) = cpus(flags)?;
    let rounds = flags.rounds.unwrap_or(first.rounds);
    ensure!(rounds > 0, "--rounds is at least 1");
    ensure!(
        out_path(&flags.out)
            .extension()
            .is_none_or(|end| end != "html"),
        "--out is the JSON file; the page beside it ends in .html"
    );
    Ok(Suite {
        settings: Settings {
            rounds,
            run: seconds.unwrap_or(first.run),
            warmup: first.warmup.min(seconds.unwrap_or(first.warmup)),
            budget: flags.budget.or(first.budget),
            server_cpu,
            client_cpu,
            stolen_share_max: flags.max_steal / 100.0,
            seed: flags.seed,
            interrupt: Arc::new(AtomicBool::new(false)),
        },
        contestants,
        scenarios,
        command: std::env::args().collect(),
        files: flags
            .files
            .iter()
            .map(|path| path.display().to_string())
            .collect(),
        only: flags.only.clone(),
    })
}

/// The scenarios whose names hold a part of `only`, each once though two files may have it.
fn chosen_scenarios<'a>(
    planned: impl Iterator<Item = &'a Planned>,
    only: Option<&str>,
) -> anyhow::Result<Vec<Planned>> {
    let mut scenarios: Vec<Planned> = Vec::new();
    for planned in planned {
        let name = &planned.scenario.name;
        let is_wanted = only.is_none_or(|only| only.split(',').any(|part| name.contains(part)));
        if is_wanted && scenarios.iter().all(|there| there.scenario.name != *name) {
            scenarios.push(planned.clone());
        }
    }
    ensure!(
        !scenarios.is_empty(),
        "no scenario's name holds what --only asks for"
    );
    Ok(scenarios)
}

fn find_contestants(asked: &[String], folder: &Path) -> anyhow::Result<Vec<Contestant>> {
    let mut contestants: Vec<Contestant> = Vec::new();
    for text in asked {
        let contestant = Contestant::find(text, folder)?;
        if contestants.iter().any(|there| there.id == contestant.id) {
            let id = &contestant.id;
            bail!("`{id}` is asked for twice; `{id}#2` is the same once more");
        }
        contestants.push(contestant);
    }
    Ok(contestants)
}

/// Two CPUs where there are two.
fn cpus(flags: &SuiteFlags) -> anyhow::Result<(usize, usize)> {
    let usable = affinity::usable_cpus().context("cannot ask which CPUs may be used")?;
    let first = usable.first().copied().context("no CPU may be used")?;
    let server = flags.server_cpu.unwrap_or(first);
    let other = usable
        .iter()
        .copied()
        .find(|cpu| *cpu != server)
        .unwrap_or(server);
    let client = flags.client_cpu.unwrap_or(other);
    if server == client {
        writeln!(
            io::stderr(),
            "loadgen suite: server and generator share CPU {server}; rates and latencies mean little"
        )?;
    }
    Ok((server, client))
}

fn say_what_is_missing(suite: &Suite) -> anyhow::Result<()> {
    let missing: Vec<&Contestant> = suite
        .contestants
        .iter()
        .filter(|contestant| contestant.program.is_none())
        .collect();
    for contestant in &missing {
        writeln!(
            io::stderr(),
            "missing: {} ({})",
            contestant.id,
            contestant.install()
        )?;
    }
    let packages: Vec<&str> = missing
        .iter()
        .filter_map(|c| c.install().strip_prefix("apt-get install "))
        .collect();
    if !packages.is_empty() {
        writeln!(
            io::stderr(),
            "all at once: apt-get install {}",
            packages.join(" ")
        )?;
    }
    Ok(())
}

fn out_path(out: &Path) -> PathBuf {
    if out.is_dir() {
        out.join("suite.json")
    } else {
        out.to_owned()
    }
}

/// The result's file. It is replaced whole after each scenario, so that whatever ends a suite of
/// hours leaves what was measured before.
struct Out<'a> {
    path: &'a Path,
    /// Beside it, on the same file system; `None` for what is no file and is not to be replaced.
    next: Option<PathBuf>,
}

impl<'a> Out<'a> {
    /// Fails when the result could not be written, before hours are spent on it.
    fn prepare(path: &'a Path) -> anyhow::Result<Self> {
        if path.exists() && !path.is_file() {
            return Ok(Self { path, next: None });
        }
        let mut next = path.as_os_str().to_owned();
        next.push(".next");
        let next = PathBuf::from(next);
        std::fs::write(&next, "").with_context(|| format!("cannot write {}", path.display()))?;
        std::fs::remove_file(&next)?;
        Ok(Self {
            path,
            next: Some(next),
        })
    }

    fn write_so_far(&self, artefact: &Artefact) {
        if self.next.is_some() {
            // What cannot be written now may be at the end, which says so if not.
            drop(self.write(artefact));
        }
    }

    fn write(&self, artefact: &Artefact) -> anyhow::Result<()> {
        let text = artefact.to_json();
        let written = match &self.next {
            None => std::fs::write(self.path, text),
            Some(next) => {
                std::fs::write(next, text).and_then(|()| std::fs::rename(next, self.path))
            }
        };
        written.with_context(|| format!("cannot write {}", self.path.display()))
    }
}

/// Files in memory: with a cache in files on a disk, what misses is charged for its journal.
const MEMORY_FOLDER: &str = "/dev/shm";

/// Room that files in memory must have at least; a container's 64 MiB hold no peer's cache.
const MEMORY_BYTES_MIN: u64 = 4 << 30;

/// A folder for the peers' files, removed at the end.
struct Scratch(PathBuf);

impl Scratch {
    fn new(asked: Option<&Path>) -> anyhow::Result<Self> {
        let name = format!("loadgen-suite-{}", std::process::id());
        if let Some(folder) = asked {
            return Self::make(folder.canonicalize().unwrap_or(folder.into()).join(name));
        }
        if has_room_in_memory()
            && let Ok(made) = Self::make(Path::new(MEMORY_FOLDER).join(&name))
        {
            return Ok(made);
        }
        Self::make(std::env::temp_dir().join(name))
    }

    fn make(path: PathBuf) -> anyhow::Result<Self> {
        use std::os::unix::fs::DirBuilderExt as _;
        std::fs::DirBuilder::new()
            .mode(0o755)
            .create(&path)
            .with_context(|| format!("cannot make {}", path.display()))?;
        Ok(Self(path))
    }
}

/// Whether [`MEMORY_FOLDER`] takes a cache, and programs: Varnish runs what it compiled there.
fn has_room_in_memory() -> bool {
    rustix::fs::statvfs(MEMORY_FOLDER).is_ok_and(|found| {
        found.f_bavail.saturating_mul(found.f_frsize) >= MEMORY_BYTES_MIN
            && !found.f_flag.contains(rustix::fs::StatVfsMountFlags::NOEXEC)
    })
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // Files that somebody else put there stay, and nothing depends on it.
        drop(std::fs::remove_dir_all(&self.0));
    }
}

/// Where progress goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Surface {
    Nothing,
    Lines,
    Terminal,
}

/// One line that changes on a terminal, a line for each scenario and refusal elsewhere.
struct ProgressLine {
    surface: Surface,
    began: Instant,
    estimate: Duration,
    scenario: String,
}

impl ProgressLine {
    fn new(verbosity: Verbosity, estimate: Duration) -> Self {
        let surface = match verbosity {
            Verbosity::Quiet => Surface::Nothing,
            Verbosity::Normal if io::stderr().is_terminal() => Surface::Terminal,
            Verbosity::Normal => Surface::Lines,
        };
        Self {
            surface,
            began: Instant::now(),
            estimate,
            scenario: String::new(),
        }
    }

    fn show(&mut self, note: &Note<'_>) {
        if self.surface == Surface::Nothing {
            return;
        }
        match note {
            Note::Scenario(number, count, name) => {
                self.scenario = format!("[{number}/{count}] {name}");
                self.line(&self.scenario);
            }
            Note::Admitted(trial) => match &trial.outcome {
                TrialOutcome::Ran => self.passing(&format!("{} verified", trial.peer)),
                TrialOutcome::CannotDoThis { reason } => {
                    self.line(&format!("  {} cannot do this: {reason}", trial.peer));
                }
                TrialOutcome::Failed { reason } => {
                    self.line(&format!("  {} failed: {reason}", trial.peer));
                }
                TrialOutcome::Missing { .. } | TrialOutcome::Skipped { .. } => {}
            },
            Note::Measured(measured) => {
                if let Some(void) = &measured.void {
                    let (round, peer) = (measured.round, &measured.peer);
                    self.line(&format!("  round {round}, {peer}: void: {void}"));
                }
                let cost = measured.server_cpu_us_per_request.unwrap_or(0.0);
                self.passing(&format!(
                    "round {}  {} {cost:.2} µs",
                    measured.round, measured.peer
                ));
            }
            Note::Void { round, reason } => {
                self.line(&format!("  round {round} is void: {reason}"));
            }
            Note::GivenUp(reason) => self.line(&format!("  {reason}")),
            Note::SoFar(_) => {}
            Note::OpenLoop(peer) => self.passing(&format!("open loop  {peer}")),
        }
    }

    /// Overwritten by what comes next; only on a terminal.
    fn passing(&self, text: &str) {
        if self.surface != Surface::Terminal {
            return;
        }
        let share = self.began.elapsed().as_secs_f64() / self.estimate.as_secs_f64().max(1.0);
        let (done, width) = ((share.min(1.0) * 20.0).round(), 20);
        let bar: String = (0..width)
            .map(|n| if f64::from(n) < done { '█' } else { '·' })
            .collect();
        let line = format!(
            "\r\x1b[K{bar} {:3.0} %  {}  {text}",
            100.0 * share.min(1.0),
            self.scenario
        );
        Self::say(&line);
    }

    fn line(&self, text: &str) {
        let clear = match self.surface {
            Surface::Terminal => "\r\x1b[K",
            Surface::Lines | Surface::Nothing => "",
        };
        Self::say(&format!("{clear}{text}\n"));
    }

    fn finish(&self) {
        if self.surface == Surface::Terminal {
            Self::say("\r\x1b[K");
        }
    }

    fn say(text: &str) {
        // A terminal that is gone is no reason to stop measuring.
        drop(io::stderr().write_all(text.as_bytes()));
    }
}

/// The headline as Markdown.
fn table(artefact: &Artefact) -> String {
    let mut text = String::from(
        "| scenario | peer | CPU µs a request | requests/s | p99 µs | lost | to null | to Corsair |\n\
         | --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |\n",
    );
    let ratio = |ratio: &Option<loadgen::suite::artefact::Ratio>| match ratio {
        None => "–".to_owned(),
        // One round says nothing of how far the next would be from it.
        Some(ratio) if ratio.rounds.len() == 1 => format!("{:.2}", ratio.median),
        Some(ratio) => format!("{:.2} ({:.2}–{:.2})", ratio.median, ratio.low, ratio.high),
    };
    for trial in &artefact.trials {
        let summary = artefact
            .summaries
            .iter()
            .find(|summary| summary.scenario == trial.scenario && summary.peer == trial.peer);
        let cells = match (&trial.outcome, summary) {
            (TrialOutcome::Ran, Some(summary)) => format!(
                "{:.2} | {:.0} | {:.0} | {} | {} | {} |",
                summary.server_cpu_us_per_request,
                summary.rate,
                summary.p99_us,
                summary.errors + summary.mismatches,
                ratio(&summary.to_null),
                ratio(&summary.to_corsair)
            ),
            (TrialOutcome::Ran, None) => "no round counts | | | | | |".to_owned(),
            (TrialOutcome::CannotDoThis { .. }, _) => "cannot do this | | | | | |".to_owned(),
            (TrialOutcome::Failed { .. }, _) => "failed | | | | | |".to_owned(),
            (TrialOutcome::Missing { .. } | TrialOutcome::Skipped { .. }, _) => continue,
        };
        // Writing to a String cannot fail.
        let _ = writeln!(text, "| {} | {} | {cells}", trial.scenario, trial.peer);
    }
    text
}
