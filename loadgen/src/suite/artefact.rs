//! What a suite leaves behind: one JSON document, version 2, with everything a sceptic asks for.
//!
//! `loadgen suite` writes it, `loadgen report` and `loadgen compare` read it. Fields may be added
//! under the same version; none changes its meaning or goes. Times end in `_us` or `_s`, shares
//! and ratios are 0 to 1 or around 1. Plain data: reads no file and no clock.
//!
//! Small enough to be kept in a repository, and made of lines that can be compared: one record is
//! one line, numbers have five significant digits (nothing here is known to six), and texts that
//! many trials share are written once. Version 1 had a histogram of each closed-loop run, which
//! nothing read, and void rounds where there are void runs now.
//!
//! Things are joined by name: [`Scenario::name`] and [`Peer::id`] are unique in a document, and
//! every other record names one of each.

use std::collections::BTreeMap;

use base64::Engine as _;
use hdrhistogram::serialization::{Deserializer, Serializer as _, V2DeflateSerializer};
use serde::{Deserialize, Serialize};

use super::record_lines::RecordLines;
use crate::report::Percentiles;
use crate::stats::Latencies;

/// The version of the document.
pub const ARTEFACT_VERSION: u32 = 2;

/// The value of [`Artefact::format`].
pub const ARTEFACT_FORMAT: &str = "loadgen-suite";

/// A suite's result.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Artefact {
    /// [`ARTEFACT_FORMAT`], so that a file says what it is.
    pub format: String,
    /// [`ARTEFACT_VERSION`].
    pub version: u32,
    /// Version of the program that wrote it.
    pub loadgen: String,
    /// The command line, for running it again.
    pub command: Vec<String>,
    /// Beginning, RFC 3339.
    pub started_at: String,
    /// End, RFC 3339.
    pub finished_at: String,
    /// Ended by a signal before it was done; what is here was measured before that.
    pub interrupted: bool,
    /// Whether it may be published at all: it was not interrupted, the programs were optimised, and
    /// at most a fifth of its scenarios is in doubt.
    pub readable: bool,
    /// Why the session, or a scenario that is named, is in doubt (control drift, steal, time).
    pub doubts: Vec<String>,
    /// How it was run.
    pub options: Options,
    /// What was measured.
    pub project: Project,
    /// Where.
    pub machine: Machine,
    /// Everybody who was asked to take part, also those who could not.
    pub peers: Vec<Peer>,
    /// What was asked of them.
    pub scenarios: Vec<Scenario>,
    /// One for each scenario × peer: did it take part, with which configuration?
    pub trials: Vec<Trial>,
    /// Closed-loop runs: scenario × peer × round, void ones included.
    pub measurements: Vec<Measurement>,
    /// Where each peer's open loop breaks; scenarios with `open_loop` only.
    pub knees: Vec<Knee>,
    /// Open-loop latencies; scenarios with `open_loop` only.
    pub open_points: Vec<OpenPoint>,
    /// What the rounds come to: scenario × peer.
    pub summaries: Vec<Summary>,
    /// How far the controls moved, for each scenario.
    pub controls: Vec<Control>,
    /// Texts of configuration files, each once.
    pub texts: Vec<String>,
}

/// How a suite was run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Options {
    /// Scenario files, as given.
    pub files: Vec<String>,
    /// Paired rounds asked for; with little time or much void there are fewer.
    pub rounds: u32,
    /// Length of one closed-loop run.
    pub run_s: f64,
    /// Load before a peer's first round of a scenario that counts for nothing.
    pub warmup_s: f64,
    /// CPU of the servers.
    pub server_cpu: usize,
    /// CPU of generator and upstream.
    pub client_cpu: usize,
    /// The pattern that scenario names had to match.
    pub only: Option<String>,
    /// Seed of all draws.
    pub seed: u64,
    /// Time that the suite said beforehand it would take at most.
    pub budget_s: f64,
    /// Time that it took.
    pub elapsed_s: f64,
    /// Profile the measured programs were built with: `release`, `debug`.
    pub profile: String,
}

/// The project whose programs were measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Project {
    /// Commit of the working tree, if there is one.
    pub commit: Option<String>,
    /// Whether files that are kept in the repository differed from that commit.
    pub modified: Option<bool>,
}

/// The machine and what it allows.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Machine {
    /// `uname -sr`.
    pub kernel: String,
    /// Name of the distribution.
    pub system: String,
    /// As `/proc/cpuinfo` names it.
    pub cpu_model: String,
    /// CPUs online.
    pub cpus: usize,
    /// Whether the CPU says that it is a virtual machine's.
    pub virtual_machine: bool,
    /// Whether two hardware threads share a core.
    pub smt: Option<bool>,
    /// Frequency governor of the server's CPU; `None` where there is none.
    pub governor: Option<String>,
    /// Memory.
    pub memory_bytes: u64,
    /// Soft limit of open files.
    pub nofile: Option<u64>,
    /// Soft limit of locked memory, bytes; `None` is unlimited.
    pub memlock_bytes: Option<u64>,
    /// `net.core.somaxconn`.
    pub somaxconn: Option<u64>,
    /// `kernel.io_uring_disabled`.
    pub io_uring_disabled: Option<u64>,
    /// What the kernel does about each CPU weakness it knows.
    pub mitigations: BTreeMap<String, String>,
    /// Load average of the last minute when the suite began.
    pub load_1m: f64,
    /// What the generator waits with.
    pub generator_driver: String,
    /// Type of the file system that peers kept their files in; documents before 2026-11-23 have
    /// none, and lay on a disk.
    pub scratch: Option<String>,
}

/// What part a peer plays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Fixed bytes, no parsing to speak of: the ceiling, and the fixed control of each round. The
    /// first one listed is the base of all ratios to null.
    Null,
    /// The node this project is about. The first one listed is the base of ratios to Corsair.
    Subject,
    /// The same program and configuration as the subject once more: the A/A control.
    Same,
    /// Another proxy, or another build of ours.
    Peer,
}

/// Who takes part.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Peer {
    /// Unique: `nginx`, `corsair`, `corsair#2` (the A/A control), `corsair:old`, `null-epoll`.
    pub id: String,
    /// Folder in `benches/peers/`.
    pub runner: String,
    /// What part it plays.
    pub role: Role,
    /// First line of what its version command says.
    pub version: Option<String>,
    /// The program.
    pub program: Option<String>,
    /// SHA-256 of the program, hexadecimal.
    pub program_sha256: Option<String>,
    /// Whether it could be started at all.
    pub status: PeerStatus,
}

/// Whether a peer took part in the suite.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "kebab-case")]
pub enum PeerStatus {
    /// It is here; its trials say the rest.
    Ran,
    /// Its program is not here.
    Missing {
        /// How to get it: Debian packages, or in words.
        install: String,
    },
}

/// A group of scenarios that belong in one picture.
///
/// Closed on purpose: a report has one way to draw each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Group {
    /// Shapes, numbers and positions of CORS rules, streams of Web origins.
    Rules,
    /// Shares of requests that the cache can answer.
    HitRatio,
    /// Body sizes.
    Body,
    /// Numbers of connections.
    Connections,
    /// Requests in flight on one connection.
    Depth,
    /// Numbers of response header operations.
    Operations,
    /// Preflights, brown-outs, connection churn.
    Storm,
    /// Rules changed under load.
    Reload,
}

/// How the allowed Web origins are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RuleShape {
    /// No CORS policy at all.
    None,
    /// `https://tenant-7.example.com`
    Exact,
    /// `https://*.tenant-7.example.com`
    Suffix,
    /// `https://tenant-7-*.example.com`
    StarAnywhere,
    /// A third of each.
    Mixed,
}

/// Which rule the requests match.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Position {
    /// The first one listed.
    First,
    /// The last one.
    Last,
    /// None: a Web origin that is refused.
    None,
    /// Every one as likely.
    Any,
}

/// What happens to the peer while it serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Storm {
    /// Every request is a preflight.
    Preflight,
    /// The upstream stands still for a part of each run while stored responses expire.
    BrownOut,
    /// The rules are reloaded several times a second.
    Reload,
    /// Every connection is closed after a few requests.
    Churn,
}

/// One thing that is measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Scenario {
    /// Unique and stable between runs: group, and what makes it differ; `rules/exact-1000-last`.
    pub name: String,
    /// Where it is drawn.
    pub group: Group,
    /// One sentence for people.
    pub title: String,
    /// Everything that can differ.
    pub parameters: Parameters,
    /// Whether knees and open-loop latencies are taken too.
    pub open_loop: bool,
}

/// Everything that can differ between scenarios.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Parameters {
    /// How rules are written.
    pub rules: RuleShape,
    /// How many there are; 0 with [`RuleShape::None`].
    pub rule_count: u32,
    /// Which of them requests match. `any` draws one of the rules' Web origins anew for every
    /// request (hostile to who remembers fewer than there are), the others send one and the same.
    pub position: Position,
    /// Response header operations besides CORS.
    pub operations: u32,
    /// Share of requests for something that was asked for before.
    pub hit_ratio: f64,
    /// How many different stored responses the hits are drawn from.
    pub keys: u64,
    /// Length of the body.
    pub body_bytes: u64,
    /// Keep-alive connections.
    pub connections: usize,
    /// Requests in flight on each of them.
    pub depth: usize,
    /// Requests after which a connection is closed; `None` keeps it.
    pub requests_per_connection: Option<u64>,
    /// What happens meanwhile.
    pub storm: Option<Storm>,
}

/// A peer in a scenario.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Trial {
    /// Name of the scenario.
    pub scenario: String,
    /// Id of the peer.
    pub peer: String,
    /// Whether it was timed.
    #[serde(flatten)]
    pub outcome: TrialOutcome,
    /// How it was started.
    pub command: Vec<String>,
    /// Its configuration files, long lists cut in the middle.
    pub config: Vec<ConfigFile>,
    /// Responses checked before anything was timed.
    pub verified: u64,
    /// A verified response's head, as text: what the bytes compared were.
    pub response_head: Option<String>,
    /// Resident memory of its processes after the last round.
    pub resident_bytes: Option<u64>,
}

/// Whether a peer was timed in a scenario.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "kebab-case")]
pub enum TrialOutcome {
    /// Verified and timed.
    Ran,
    /// Its program is not here.
    Missing {
        /// How to get it.
        install: String,
    },
    /// Its own means cannot do this job.
    CannotDoThis {
        /// Which means it lacks.
        reason: String,
    },
    /// It did not start, or answered wrongly, before it was timed or while it was: no numbers.
    Failed {
        /// What it did instead.
        reason: String,
    },
    /// Left out: not asked for in this scenario, or the time was up.
    Skipped {
        /// Why.
        reason: String,
    },
}

/// A file a peer was started with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigFile {
    /// Its name in the peer's folder.
    pub name: String,
    /// Its text: place in [`Artefact::texts`], from 0. Long texts and lines are cut in the middle,
    /// ports are `PORT`, `SPARE_PORT` and `UPSTREAM_PORT`.
    pub text: usize,
    /// Lines cut out.
    pub lines_cut: usize,
}

/// One closed-loop run of one peer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Measurement {
    /// Name of the scenario.
    pub scenario: String,
    /// Id of the peer.
    pub peer: String,
    /// Round, from 1. Rounds beyond those asked for have only those who lacked one, and the bases.
    pub round: u32,
    /// Attempt at this run in its round, from 1; all but the last are void.
    pub attempt: u32,
    /// Place in the order of this round, from 1: odd rounds run A B C, even ones C B A.
    pub place: u32,
    /// Why this run counts for nothing.
    pub void: Option<String>,
    /// The headline: user and system time of all the server's processes, for each request.
    /// `None` when nothing was answered.
    pub server_cpu_us_per_request: Option<f64>,
    /// The same in all.
    pub server_cpu_s: f64,
    /// Answers.
    pub requests: u64,
    /// Measured time.
    pub duration_s: f64,
    /// Answers per second.
    pub rate: f64,
    /// CPU time of the generator.
    pub generator_cpu_s: f64,
    /// CPU time of the upstream.
    pub upstream_cpu_s: f64,
    /// CPU use of the generator's thread as a share of one CPU; near 1 the rate may be its limit.
    pub generator_cpu_share: f64,
    /// CPU time of the machine that another one ran.
    pub stolen_share: f64,
    /// Wrong answers.
    pub mismatches: u64,
    /// Requests without a proper answer.
    pub errors: u64,
    /// The same by kind: `timeout`, `closed`, …
    pub errors_by_kind: BTreeMap<String, u64>,
    /// Answers from a cache as a share of those a cache spoke of.
    pub hit_ratio: Option<f64>,
    /// From send to answer. Not a latency under a given load: the server sets the pace.
    pub latency_us: LoopLatency,
    /// Body and head bytes received.
    pub received_bytes: u64,
    /// The first wrong answer, in words.
    pub sample: Option<String>,
    /// Requests that reached the upstream; none of null servers, nor in documents before 2026-11-23,
    /// as everything below.
    pub upstream_requests: Option<u64>,
    /// Times that threads of the server's processes gave up the CPU by themselves; `None` when so
    /// many of them ended meanwhile that there are fewer than before.
    pub voluntary_switches: Option<u64>,
    /// Times that it was taken from them.
    pub involuntary_switches: Option<u64>,
    /// Reloads, where the scenario asks for them.
    pub reloads: Option<Reloads>,
}

/// Reloads of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reloads {
    /// Asked for.
    pub asked: u64,
    /// Those the server said it had done by the end. Ones that were asked for while one was going on
    /// may be one. `None` when it says nothing.
    pub taken: Option<u64>,
}

/// What is kept of a closed loop's latencies, microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct LoopLatency {
    /// Median.
    pub p50: f64,
    /// 90th percentile.
    pub p90: f64,
    /// 99th percentile.
    pub p99: f64,
    /// Highest.
    pub max: f64,
}

/// The highest rate a peer sustains.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Knee {
    /// Name of the scenario.
    pub scenario: String,
    /// Id of the peer.
    pub peer: String,
    /// Requests per second; `None` when not even the lowest step was sustained.
    pub rate: Option<f64>,
    /// What *sustains* means, in words.
    pub criterion: String,
    /// Rates tried, in order.
    pub steps: Vec<KneeStep>,
}

/// One rate tried.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KneeStep {
    /// Requests due per second.
    pub rate: f64,
    /// Requests sent in time as a share of those due.
    pub rate_ratio: f64,
    /// 99th percentile of the latency.
    pub p99_us: f64,
    /// Whether it was sustained.
    pub sustained: bool,
}

/// What a rate is relative to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RateBasis {
    /// A share of this peer's own knee.
    OwnKnee,
    /// One rate for all peers: a share of the lowest knee.
    Common,
}

/// Latency at a constant rate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OpenPoint {
    /// Name of the scenario.
    pub scenario: String,
    /// Id of the peer.
    pub peer: String,
    /// What the rate is relative to.
    pub basis: RateBasis,
    /// The share of it: 0.5, 0.7, 0.85.
    pub share: f64,
    /// Requests due per second.
    pub rate: f64,
    /// Requests sent in time as a share of those due.
    pub rate_ratio: f64,
    /// Answers.
    pub requests: u64,
    /// Wrong answers.
    pub mismatches: u64,
    /// Requests without a proper answer.
    pub errors: u64,
    /// Server CPU for each request at this rate.
    pub server_cpu_us_per_request: Option<f64>,
    /// From the intended send to the answer.
    pub latency_us: Percentiles,
    /// All latencies, in steps of 1 %: [`encode_histogram`].
    pub histogram: String,
    /// Why it is invalid; empty when it is valid.
    pub invalid_reasons: Vec<String>,
}

/// What the rounds of a peer in a scenario come to. Void runs are left out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// Name of the scenario.
    pub scenario: String,
    /// Id of the peer.
    pub peer: String,
    /// Its runs that count.
    pub rounds: u32,
    /// Median of the headline.
    pub server_cpu_us_per_request: f64,
    /// Median of the closed-loop rate.
    pub rate: f64,
    /// Median of the closed loop's 99th percentiles.
    pub p99_us: f64,
    /// Requests per CPU-second relative to the null server, by round: above 1 is cheaper than it.
    pub to_null: Option<Ratio>,
    /// Requests per CPU-second relative to Corsair, by round: above 1 is cheaper than Corsair.
    pub to_corsair: Option<Ratio>,
    /// Wrong answers in all runs, void ones included.
    pub mismatches: u64,
    /// Requests without a proper answer in all runs, void ones included.
    pub errors: u64,
}

/// Median of per-round ratios, with its bootstrap confidence interval.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ratio {
    /// Median.
    pub median: f64,
    /// Lower end of the interval.
    pub low: f64,
    /// Upper end.
    pub high: f64,
    /// Coverage of the interval, 0.95; 0.95 too for one round, whose ends are the round itself.
    pub confidence: f64,
    /// The ratios, in order of rounds.
    pub rounds: Vec<f64>,
}

/// What did not change in a scenario, and how far it moved all the same.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Control {
    /// Name of the scenario.
    pub scenario: String,
    /// The A/A control: the same program and configuration twice. 1 is what it should be.
    pub same: Option<Ratio>,
    /// The null server's CPU per request in each round, as a ratio to the median of them.
    pub null_drift: Vec<f64>,
    /// Rounds that were void as a whole, and why; single void runs are among the measurements.
    pub void_rounds: Vec<VoidRound>,
}

/// A round that counts for nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VoidRound {
    /// Which, from 1.
    pub round: u32,
    /// Why.
    pub reason: String,
}

/// Why a document was not read.
#[derive(Debug, thiserror::Error)]
pub enum ArtefactError {
    /// Not JSON, or not of this shape.
    #[error("not a suite's result: {0}")]
    Shape(#[from] serde_json::Error),
    /// Something else's JSON.
    #[error("this is `{0}`, not the result of `loadgen suite`")]
    Format(String),
    /// A later version.
    #[error("version {0} of the format; this program reads version {ARTEFACT_VERSION}")]
    Version(u32),
    /// A histogram that cannot be decoded.
    #[error("a histogram is damaged: {0}")]
    Histogram(String),
}

impl Reloads {
    /// Those after `before`, of two counts from the beginning.
    pub(super) fn since(self, before: Self) -> Self {
        let taken = self.taken.zip(before.taken);
        Self {
            asked: self.asked.saturating_sub(before.asked),
            taken: taken.map(|(now, then)| now.saturating_sub(then)),
        }
    }
}

impl Artefact {
    /// Reads a document.
    ///
    /// # Errors
    /// When it is not JSON of this format and version.
    pub fn from_json(text: &str) -> Result<Self, ArtefactError> {
        #[derive(Deserialize)]
        struct Stamp {
            #[serde(default)]
            format: String,
            #[serde(default)]
            version: u32,
        }
        let stamp: Stamp = serde_json::from_str(text)?;
        if stamp.format != ARTEFACT_FORMAT {
            return Err(ArtefactError::Format(stamp.format));
        }
        if stamp.version != ARTEFACT_VERSION {
            return Err(ArtefactError::Version(stamp.version));
        }
        Ok(serde_json::from_str(text)?)
    }

    /// The document as text that ends with a newline.
    ///
    /// # Panics
    /// Never: every part of it is plain data with text keys.
    #[must_use]
    pub fn to_json(&self) -> String {
        let mut text = Vec::new();
        let mut writer = serde_json::Serializer::with_formatter(&mut text, RecordLines::default());
        self.serialize(&mut writer)
            .expect("numbers, texts and maps with text keys can always be written");
        text.push(b'\n');
        String::from_utf8(text).expect("JSON is written in UTF-8")
    }

    /// Whether what was timed of `peer` in `scenario` counts: its trial did not end otherwise than
    /// well. Rounds before a wrong answer are in the document, and are nobody's numbers.
    #[must_use]
    pub fn stands(&self, scenario: &str, peer: &str) -> bool {
        let mut trials = self.trials.iter();
        let trial = trials.find(|trial| trial.scenario == scenario && trial.peer == peer);
        trial.is_none_or(|trial| trial.outcome == TrialOutcome::Ran)
    }

    /// The text of a configuration file; empty when the document has none at that place.
    #[must_use]
    pub fn text_of(&self, file: &ConfigFile) -> &str {
        self.texts.get(file.text).map_or("", String::as_str)
    }
}

/// A histogram of nanoseconds as text, two significant digits of it: HdrHistogram's compressed V2
/// form in base64 (RFC 4648 §4), as other HdrHistogram libraries read it.
///
/// # Panics
/// Never: writing to memory does not fail.
#[must_use]
pub fn encode_histogram(latencies: &Latencies) -> String {
    let mut coarse = Latencies::new(2).expect("two digits are in the range of one to five");
    coarse
        .add(latencies)
        .expect("a histogram that grows takes every value");
    let mut bytes = Vec::new();
    V2DeflateSerializer::new()
        .serialize(&coarse, &mut bytes)
        .expect("a histogram of two digits fits the format, and memory takes every write");
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

/// What [`encode_histogram`] wrote.
///
/// # Errors
/// When it is not base64, or not a histogram.
pub fn decode_histogram(text: &str) -> Result<Latencies, ArtefactError> {
    let damaged = |error: &dyn std::fmt::Display| ArtefactError::Histogram(error.to_string());
    let bytes = base64::engine::general_purpose::STANDARD
        .decode(text)
        .map_err(|error| damaged(&error))?;
    Deserializer::new()
        .deserialize(&mut bytes.as_slice())
        .map_err(|error| damaged(&error))
}
