//! A whole suite: what it will take, every scenario in turn, and the artefact.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use super::allotment::{self, Cost, Until};
use super::artefact::{
    ARTEFACT_FORMAT, ARTEFACT_VERSION, Artefact, ConfigFile, Measurement, Options, Peer,
    PeerStatus, RateBasis, Role, Trial, TrialOutcome,
};
use super::peer::{ConfigText, Contestant};
use super::scenario::Planned;
use super::stage::{self, Serving, Upstream, is_interrupted};
use super::{machine, open_loop, rounds};
use crate::affinity;
use crate::ratio::{self, Better, ROUNDS_MIN, Verdict};
use crate::report::summary::rfc3339;

/// Start, verification and fill of one contestant, as seen on two shared CPUs.
const ADMISSION: Duration = Duration::from_millis(900);

/// Connections made and ended around one run.
const RUN_OVERHEAD: Duration = Duration::from_millis(120);

/// Two equal programs whose whole interval is farther from 1 than this put a scenario in doubt.
const SAME_RATIO_OFF_MAX: f64 = 0.02;

/// Scenarios in doubt, of all, from which on the session is: one in twenty intervals leaves out the
/// truth by its nature.
const DOUBTFUL_SHARE_MAX: f64 = 0.2;

/// Why a scenario was left out.
const TIME_WAS_UP: &str = "the time was up";

/// How the reason begins why a scenario was given up.
const GIVEN_UP: &str = "it could not be run: ";

/// How a suite is run.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Paired rounds of every scenario.
    pub rounds: u32,
    /// Length of one run.
    pub run: Duration,
    /// Load before the first round.
    pub warmup: Duration,
    /// Time the whole suite may take.
    pub budget: Option<Duration>,
    /// CPU of the servers.
    pub server_cpu: usize,
    /// CPU of generator and upstream.
    pub client_cpu: usize,
    /// Stolen share of CPU time from which on a round is void.
    pub stolen_share_max: f64,
    /// Seed of all draws.
    pub seed: u64,
    /// Set when the user wants to stop.
    pub interrupt: Arc<AtomicBool>,
}

/// A suite, ready to run.
#[derive(Debug)]
pub struct Suite {
    /// How.
    pub settings: Settings,
    /// Who.
    pub contestants: Vec<Contestant>,
    /// What.
    pub scenarios: Vec<Planned>,
    /// The command line.
    pub command: Vec<String>,
    /// Files, as given.
    pub files: Vec<String>,
    /// The pattern that scenario names had to match.
    pub only: Option<String>,
}

/// What a suite says while it runs.
#[derive(Debug)]
pub enum Note<'a> {
    /// A scenario begins: number from 1, of how many, its name.
    Scenario(usize, usize, &'a str),
    /// A contestant was admitted, or not.
    Admitted(&'a Trial),
    /// One run is done.
    Measured(&'a Measurement),
    /// A round counts for nothing.
    Void {
        /// Which.
        round: u32,
        /// Why.
        reason: &'a str,
    },
    /// Knee or latency of a contestant.
    OpenLoop(&'a str),
    /// The scenario was given up, and why.
    GivenUp(&'a str),
    /// A scenario is done, and others follow: everything so far, as if it had been interrupted now.
    SoFar(&'a Artefact),
}

impl Suite {
    fn takes_part(planned: &Planned, contestant: &Contestant) -> bool {
        let asked = planned.peers.as_ref();
        asked.is_none_or(|ids| ids.contains(&contestant.id))
    }

    fn run_of(&self, planned: &Planned) -> Duration {
        planned.run.unwrap_or(self.settings.run)
    }

    /// The time that all of it takes when nothing has to be repeated.
    #[must_use]
    pub fn estimate(&self) -> Duration {
        self.costs().iter().map(|cost| cost.whole).sum()
    }

    /// What each scenario takes.
    fn costs(&self) -> Vec<Cost> {
        let of_scenario = |planned: &Planned| {
            let present = |contestant: &&Contestant| {
                contestant.program.is_some()
                    && Self::takes_part(planned, contestant)
                    && matches!(contestant.cannot(&planned.scenario.parameters), Ok(None))
            };
            let present = self.contestants.iter().filter(present).count();
            let present = u32::try_from(present).unwrap_or(u32::MAX);
            let run = self.run_of(planned) + RUN_OVERHEAD;
            let open = if planned.scenario.open_loop {
                let points = u32::try_from(open_loop::POINTS).unwrap_or(0);
                run * (open_loop::KNEE_RUNS + points)
            } else {
                Duration::ZERO
            };
            let least = u32::try_from(ROUNDS_MIN).unwrap_or(u32::MAX);
            let with =
                |rounds: u32| (ADMISSION + self.settings.warmup + run * rounds + open) * present;
            Cost {
                least: with(self.settings.rounds.min(least)),
                whole: with(self.settings.rounds),
                after_rounds: open * present,
            }
        };
        self.scenarios.iter().map(of_scenario).collect()
    }

    /// Runs it. Scratch files are made in `scratch`; the artefact is complete also when the user
    /// stopped it.
    ///
    /// # Errors
    /// When the machine does not let it: a CPU, a port, a folder; or a peer's folder is wrong. Once
    /// something was measured, that is told of the scenario, and the suite goes on.
    pub fn run(&self, scratch: &Path, note: &mut dyn FnMut(Note<'_>)) -> anyhow::Result<Artefact> {
        let began = Instant::now();
        // Nothing of ours may run where the servers do.
        affinity::pin_current_thread(self.settings.client_cpu)?;
        let mut artefact = self.begin(scratch);
        let costs = self.costs();
        for (index, planned) in self.scenarios.iter().enumerate() {
            let scenario = &planned.scenario;
            if is_interrupted(&self.settings.interrupt) {
                self.skip(planned, "the suite was interrupted", &mut artefact);
                continue;
            }
            let spent = self
                .settings
                .budget
                .is_some_and(|budget| began.elapsed() >= budget);
            if spent {
                self.skip(planned, TIME_WAS_UP, &mut artefact);
                continue;
            }
            note(Note::Scenario(
                index + 1,
                self.scenarios.len(),
                &scenario.name,
            ));
            let folder = scratch.join(format!("scenario-{index}"));
            let until = allotment::until(self.settings.budget, began.elapsed(), &costs[index..]);
            let first_trial = artefact.trials.len();
            if let Err(error) = self.play(planned, &folder, (began, until), &mut artefact, note) {
                if artefact.measurements.is_empty() {
                    return Err(error.context(format!("scenario {}", scenario.name)));
                }
                // What was measured before may have taken hours.
                let reason = format!("{GIVEN_UP}{error:#}");
                note(Note::GivenUp(&reason));
                artefact.trials.truncate(first_trial);
                self.skip(planned, &reason, &mut artefact);
            }
            // Scratch files of peers are of no use later; what could not be removed goes at the end.
            drop(std::fs::remove_dir_all(&folder));
            if index + 1 < self.scenarios.len() {
                let mut so_far = artefact.clone();
                so_far.interrupted = true;
                so_far.options.elapsed_s = began.elapsed().as_secs_f64();
                so_far.finished_at = rfc3339(crate::clock::wall_time());
                judge_session(&mut so_far);
                note(Note::SoFar(&so_far));
            }
        }
        artefact.interrupted = is_interrupted(&self.settings.interrupt);
        artefact.options.elapsed_s = began.elapsed().as_secs_f64();
        artefact.finished_at = rfc3339(crate::clock::wall_time());
        judge_session(&mut artefact);
        Ok(artefact)
    }

    fn begin(&self, scratch: &Path) -> Artefact {
        let settings = &self.settings;
        let driver = if crate::io::has_rings() {
            "io_uring"
        } else {
            "epoll"
        };
        let mut machine = machine::facts(settings.server_cpu, scratch);
        driver.clone_into(&mut machine.generator_driver);
        let folder = self.files.first().map(PathBuf::from).unwrap_or_default();
        let folder = folder
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty());
        let now = rfc3339(crate::clock::wall_time());
        Artefact {
            format: ARTEFACT_FORMAT.to_owned(),
            version: ARTEFACT_VERSION,
            loadgen: env!("CARGO_PKG_VERSION").to_owned(),
            command: self.command_for_the_record(),
            started_at: now.clone(),
            finished_at: now,
            interrupted: false,
            readable: true,
            doubts: Vec::new(),
            options: Options {
                files: self.files.clone(),
                rounds: settings.rounds,
                run_s: settings.run.as_secs_f64(),
                warmup_s: settings.warmup.as_secs_f64(),
                server_cpu: settings.server_cpu,
                client_cpu: settings.client_cpu,
                only: self.only.clone(),
                seed: settings.seed,
                budget_s: settings
                    .budget
                    .unwrap_or_else(|| self.estimate())
                    .as_secs_f64(),
                elapsed_s: 0.0,
                profile: if cfg!(debug_assertions) {
                    "debug"
                } else {
                    "release"
                }
                .to_owned(),
            },
            project: machine::project(folder.unwrap_or(Path::new("."))),
            machine,
            peers: self.contestants.iter().map(peer_of).collect(),
            scenarios: self
                .scenarios
                .iter()
                .map(|planned| planned.scenario.clone())
                .collect(),
            trials: Vec::new(),
            measurements: Vec::new(),
            knees: Vec::new(),
            open_points: Vec::new(),
            summaries: Vec::new(),
            controls: Vec::new(),
            texts: Vec::new(),
        }
    }

    /// Without the folder that this program lies in.
    fn command_for_the_record(&self) -> Vec<String> {
        let mut command = self.command.clone();
        if let Some(program) = command.first_mut()
            && let Some(name) = Path::new(&*program).file_name()
        {
            *program = name.to_string_lossy().into_owned();
        }
        command
    }

    fn skip(&self, planned: &Planned, reason: &str, artefact: &mut Artefact) {
        let trials = self
            .contestants
            .iter()
            .map(|contestant| skipped(planned, contestant, reason));
        artefact.trials.extend(trials);
    }

    /// One scenario with everybody in it.
    fn play(
        &self,
        planned: &Planned,
        folder: &Path,
        (began, until): (Instant, Until),
        artefact: &mut Artefact,
        note: &mut dyn FnMut(Note<'_>),
    ) -> anyhow::Result<()> {
        let scenario = &planned.scenario;
        let settings = &self.settings;
        let upstream = Upstream::start(
            &scenario.parameters,
            &folder.join("upstream"),
            settings.client_cpu,
        )?;
        let mut serving: Vec<Serving> = Vec::new();
        let first_trial = artefact.trials.len();
        for (index, contestant) in self.contestants.iter().enumerate() {
            if !Self::takes_part(planned, contestant) {
                let reason = "not asked for in this scenario";
                artefact.trials.push(skipped(planned, contestant, reason));
                continue;
            }
            if is_interrupted(&settings.interrupt) {
                let reason = "the suite was interrupted";
                artefact.trials.push(skipped(planned, contestant, reason));
                continue;
            }
            let own = folder.join(format!("peer-{index}"));
            let admission = stage::admit(
                contestant,
                &scenario.name,
                &scenario.parameters,
                &upstream,
                &own,
                settings,
            )?;
            note(Note::Admitted(&admission.trial));
            let mut trial = admission.trial;
            trial.config = interned(admission.config, &mut artefact.texts);
            artefact.trials.push(trial);
            serving.extend(admission.serving);
        }
        let length = self.run_of(planned);
        let asked = rounds::Asked {
            rounds: settings.rounds,
            length,
            began,
            until,
        };
        let mut found = rounds::run(scenario, &serving, &upstream, &asked, settings, note)?;
        let mut summaries = found.summaries(&scenario.name, &serving);
        if scenario.open_loop {
            let (knees, points) = open_loop::run(
                scenario, &serving, &upstream, &summaries, length, settings, note,
            )?;
            for point in points.iter().filter(|point| point.mismatches > 0) {
                let wrong = point.mismatches;
                let reason = format!("{wrong} wrong answers of the open loop");
                found.disqualified.insert(point.peer.clone(), reason);
            }
            summaries = found.summaries(&scenario.name, &serving);
            artefact.knees.extend(knees);
            artefact.open_points.extend(points);
        }
        conclude(&mut artefact.trials[first_trial..], &found, &serving);
        artefact
            .controls
            .push(found.control(&scenario.name, &serving));
        artefact.summaries.extend(summaries);
        artefact.measurements.extend(found.measurements);
        Ok(())
    }
}

/// Writes into the trials of a scenario what timing it came to.
fn conclude(trials: &mut [Trial], found: &rounds::Rounds, serving: &[Serving]) {
    for trial in trials {
        if let Some(reason) = found.disqualified.get(&trial.peer) {
            trial.outcome = TrialOutcome::Failed {
                reason: format!("while it was timed: {reason}"),
            };
        }
        let peer = serving.iter().find(|peer| peer.peer == trial.peer);
        trial.resident_bytes = peer.map(|peer| peer.process.resident_bytes());
    }
}

/// The files with their texts in `texts`, where each is once.
fn interned(files: Vec<ConfigText>, texts: &mut Vec<String>) -> Vec<ConfigFile> {
    let place_of = |text: String, texts: &mut Vec<String>| {
        texts
            .iter()
            .position(|there| *there == text)
            .unwrap_or_else(|| {
                texts.push(text);
                texts.len() - 1
            })
    };
    let file = |file: ConfigText| ConfigFile {
        name: file.name,
        text: place_of(file.text, texts),
        lines_cut: file.lines_cut,
    };
    files.into_iter().map(file).collect()
}

fn skipped(planned: &Planned, contestant: &Contestant, reason: &str) -> Trial {
    Trial {
        scenario: planned.scenario.name.clone(),
        peer: contestant.id.clone(),
        outcome: TrialOutcome::Skipped {
            reason: reason.to_owned(),
        },
        command: Vec::new(),
        config: Vec::new(),
        verified: 0,
        response_head: None,
        resident_bytes: None,
    }
}

fn peer_of(contestant: &Contestant) -> Peer {
    let status = match &contestant.program {
        Some(_) => PeerStatus::Ran,
        None => PeerStatus::Missing {
            install: contestant.install().to_owned(),
        },
    };
    Peer {
        id: contestant.id.clone(),
        runner: contestant.runner.clone(),
        role: contestant.role,
        version: contestant.version(),
        program: contestant
            .program
            .as_ref()
            .and_then(|path| Some(path.file_name()?.to_string_lossy().into_owned())),
        program_sha256: contestant.program_sha256(),
        status,
    }
}

/// Writes down what is in doubt, and whether the session may be published.
#[expect(clippy::cast_precision_loss, reason = "scenarios are counted in tens")]
fn judge_session(artefact: &mut Artefact) {
    let mut doubts = Vec::new();
    if artefact.interrupted {
        doubts.push("interrupted before the end".to_owned());
    }
    if artefact.options.profile == "debug" {
        doubts.push("programs built without optimisation: use --release".to_owned());
    }
    if artefact.summaries.is_empty() {
        doubts.push("nothing was measured".to_owned());
    }
    let is_unfit = !doubts.is_empty();
    let rounds = artefact.options.rounds;
    if (rounds as usize) < ROUNDS_MIN {
        doubts.push(format!(
            "rounds asked for: {rounds}; of fewer than {ROUNDS_MIN} nothing is said but that it works"
        ));
    }
    let (mut doubtful, mut left_out) = (0, 0);
    for scenario in &artefact.scenarios {
        let mut found = scenario_doubts(artefact, &scenario.name);
        found.extend(given_up(artefact, &scenario.name));
        doubtful += usize::from(!found.is_empty());
        let told = found
            .into_iter()
            .map(|doubt| format!("{}: {doubt}", scenario.name));
        doubts.extend(told);
        let mut trials = artefact
            .trials
            .iter()
            .filter(|t| t.scenario == scenario.name);
        left_out += usize::from(trials.any(|trial| {
            matches!(&trial.outcome, TrialOutcome::Skipped { reason } if reason == TIME_WAS_UP)
        }));
    }
    if left_out > 0 {
        doubts.push(format!("{left_out} scenarios did not fit into the time"));
    }
    let share = (doubtful + left_out) as f64 / artefact.scenarios.len().max(1) as f64;
    artefact.readable = !is_unfit && share <= DOUBTFUL_SHARE_MAX;
    artefact.doubts = doubts;
}

/// Why a scenario was given up, if it was.
fn given_up(artefact: &Artefact, scenario: &str) -> Option<String> {
    let mut trials = artefact.trials.iter().filter(|t| t.scenario == scenario);
    trials.find_map(|trial| match &trial.outcome {
        TrialOutcome::Skipped { reason } if reason.starts_with(GIVEN_UP) => Some(reason.clone()),
        TrialOutcome::Ran
        | TrialOutcome::CannotDoThis { .. }
        | TrialOutcome::Missing { .. }
        | TrialOutcome::Failed { .. }
        | TrialOutcome::Skipped { .. } => None,
    })
}

/// What makes one scenario doubtful: a base or a control that failed, its A/A control, or too few
/// rounds. A peer that fails has no number, and puts nobody else's in doubt.
fn scenario_doubts(artefact: &Artefact, scenario: &str) -> Vec<String> {
    let mut doubts = Vec::new();
    let is_base = |peer: &str| {
        let mut found = artefact.peers.iter();
        found.any(|of| of.id == peer && of.role != Role::Peer)
    };
    for trial in artefact.trials.iter().filter(|t| t.scenario == scenario) {
        if let TrialOutcome::Failed { reason } = &trial.outcome
            && is_base(&trial.peer)
        {
            doubts.push(format!("{} failed: {reason}", trial.peer));
        }
    }
    let control = artefact.controls.iter().find(|c| c.scenario == scenario);
    if let Some(same) = control.and_then(|control| control.same.as_ref())
        && is_off(same)
    {
        let off = 100.0 * (same.median - 1.0);
        doubts.push(format!("two equal programs differed by {off:+.1} %"));
    }
    for point in &artefact.open_points {
        let is_own = point.scenario == scenario && point.basis == RateBasis::OwnKnee;
        let is_late = point.latency_us.p99 > open_loop::P99_US_MAX;
        if is_own && is_late && point.invalid_reasons.is_empty() {
            doubts.push(format!(
                "the knee of {}: at {:.0} % of it the p99 was {:.1} ms",
                point.peer,
                100.0 * point.share,
                point.latency_us.p99 / 1e3
            ));
        }
    }
    let counted = |peer: &str| {
        let summary = artefact.summaries.iter();
        let mut own = summary.filter(|s| s.scenario == scenario && s.peer == peer);
        let is_base = |role| {
            artefact
                .peers
                .iter()
                .any(|p| p.id == peer && p.role == role)
        };
        own.next().map_or(0, |summary| {
            let ratio = if is_base(Role::Subject) {
                &summary.to_null
            } else {
                &summary.to_corsair
            };
            let rounds = ratio.as_ref().map(|ratio| ratio.rounds.len());
            rounds.unwrap_or(summary.rounds as usize)
        })
    };
    let ran = artefact
        .trials
        .iter()
        .filter(|trial| trial.scenario == scenario);
    let ran = ran.filter(|trial| trial.outcome == TrialOutcome::Ran);
    let least = ROUNDS_MIN.min(artefact.options.rounds as usize);
    let few: Vec<&str> = ran
        .map(|trial| trial.peer.as_str())
        .filter(|peer| counted(peer) < least)
        .collect();
    if !few.is_empty() {
        doubts.push(format!(
            "fewer than {least} rounds count of {}",
            few.join(", ")
        ));
    }
    doubts
}

/// Whether two equal programs differ by their whole interval.
fn is_off(same: &super::artefact::Ratio) -> bool {
    let found = ratio::Ratio {
        median: same.median,
        low: same.low,
        high: same.high,
        rounds: same.rounds.len(),
    };
    found.verdict(Better::Higher, SAME_RATIO_OFF_MAX) != Verdict::CannotTell
}
