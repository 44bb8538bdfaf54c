//! Two results set against each other: what became faster, what slower, what cannot be told.
//!
//! Results of `loadgen suite` are compared scenario by scenario by CPU time, each relative to the
//! null server of its own round where there is one: a machine that was slower on the second day
//! was so for both. Runs of `loadgen run` are compared number by number; one run on each side has
//! no interval and settles nothing.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Deserialize;

use crate::ratio::{Better, Bootstrap, Ratio, Verdict};
use crate::suite::artefact::{Artefact, Measurement, Role};

/// A comparison of two results: the later one as a ratio to the earlier one.
#[derive(Debug, Clone, PartialEq)]
pub struct Comparison {
    /// What was measured on both sides.
    pub lines: Vec<Line>,
    /// Names only the earlier one has.
    pub only_before: Vec<String>,
    /// Names only the later one has.
    pub only_after: Vec<String>,
    /// What was right before and is not after: measured no longer though it was asked for, or with
    /// wrong answers or errors that were not there before. Names of lines, or words for them.
    pub broken: Vec<String>,
    /// What to know before believing it.
    pub notes: Vec<String>,
}

/// One thing compared.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    /// Scenario, and the peer where that is not Corsair; or the run's number.
    pub name: String,
    /// Medians as text with their unit.
    pub before: String,
    /// The later one.
    pub after: String,
    /// After as a ratio to before.
    pub ratio: Ratio,
    /// Which ratios are good.
    pub better: Better,
}

/// Whether rounds of the two sides belong together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pairing {
    /// Round 1 with round 1: they alternated.
    ByRound,
    /// They were taken at other times.
    None,
}

/// A run as far as it is compared.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Run {
    /// 1.
    pub version: u32,
    /// What was asked.
    pub url: String,
    /// `closed` or `open`.
    pub mode: String,
    /// Connections.
    pub connections: usize,
    /// Requests in flight on each.
    pub depth: usize,
    /// The rate asked for.
    pub target_rate: Option<String>,
    /// Whether it measured what it was meant to.
    pub valid: bool,
    /// Answers.
    pub requests: u64,
    /// Wrong answers.
    pub mismatches: u64,
    /// Requests without one.
    pub errors: u64,
    /// Answers per second.
    pub rate: f64,
    /// CPU time of the generator for each answer.
    pub client_cpu_us_per_request: Option<f64>,
    /// Latencies.
    pub latency_us: RunLatencies,
}

/// The percentiles that are compared.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
pub struct RunLatencies {
    /// Median.
    pub p50: f64,
    /// 90th percentile.
    pub p90: f64,
    /// 99th percentile.
    pub p99: f64,
    /// 99.9th percentile.
    pub p999: f64,
}

impl Line {
    /// What may be said, where differences below `threshold` do not matter.
    #[must_use]
    pub fn verdict(&self, threshold: f64) -> Verdict {
        self.ratio.verdict(self.better, threshold)
    }
}

/// Compares two suites, for `peers`, or for Corsair when that is empty.
#[must_use]
pub fn suites(
    before: &Artefact,
    after: &Artefact,
    peers: &[String],
    bootstrap: &Bootstrap,
) -> Comparison {
    let sides = [before, after].map(|artefact| Side::new(artefact, peers));
    let [old, new] = &sides;
    let lost = missing(&old.series, &new.series);
    let is_asked = |name: &&String| {
        let mut asked = after.scenarios.iter();
        let scenario = name.split(" (").next().unwrap_or_default();
        asked.any(|there| there.name == scenario)
    };
    let mut comparison = Comparison {
        lines: Vec::new(),
        broken: lost.iter().filter(is_asked).cloned().collect(),
        only_before: lost,
        only_after: missing(&new.series, &old.series),
        notes: suite_notes(before, after),
    };
    for (name, old) in &old.series {
        let Some(new) = new.series.get(name) else {
            continue;
        };
        // The same yardstick on both sides, or none.
        let (of, to) = match (&new.to_null, &old.to_null) {
            (Some(new), Some(old)) => (new, old),
            (None, _) | (_, None) => (&new.per_cpu_second, &old.per_cpu_second),
        };
        if let Some(ratio) = Ratio::of_unpaired(of, to, bootstrap) {
            comparison.lines.push(Line {
                name: name.clone(),
                before: format!("{:.2} µs", old.cost_us),
                after: format!("{:.2} µs", new.cost_us),
                ratio,
                better: Better::Higher,
            });
        }
    }
    comparison
}

/// One artefact's rounds, by what they are called.
struct Side {
    series: BTreeMap<String, Series>,
}

/// The rounds of one peer in one scenario.
struct Series {
    cost_us: f64,
    /// Requests per CPU-second.
    per_cpu_second: Vec<f64>,
    /// The same relative to the null server of that round.
    to_null: Option<Vec<f64>>,
}

impl Side {
    fn new(artefact: &Artefact, peers: &[String]) -> Self {
        let of_role = |role: Role| artefact.peers.iter().find(|peer| peer.role == role);
        let subject = of_role(Role::Subject).map(|peer| peer.id.as_str());
        let null = of_role(Role::Null).map(|peer| peer.id.as_str());
        let counts =
            |run: &&Measurement| run.void.is_none() && artefact.stands(&run.scenario, &run.peer);
        let mut runs: BTreeMap<(&str, &str), BTreeMap<u32, f64>> = BTreeMap::new();
        for run in artefact.measurements.iter().filter(counts) {
            let key = (run.scenario.as_str(), run.peer.as_str());
            if let Some(us) = run.server_cpu_us_per_request.filter(|us| *us > 0.0) {
                runs.entry(key).or_default().insert(run.round, us);
            }
        }
        let is_asked = |peer: &str| match peers {
            [] => Some(peer) == subject,
            peers => peers.iter().any(|asked| asked == peer),
        };
        let mut series = BTreeMap::new();
        for ((scenario, peer), rounds) in &runs {
            if !is_asked(peer) {
                continue;
            }
            let base = null.filter(|null| null != peer);
            let base = base.and_then(|null| runs.get(&(*scenario, null)));
            let to_null = base.map(|base| {
                let both = rounds.iter();
                both.filter_map(|(round, us)| Some(base.get(round)? / us))
                    .collect()
            });
            let name = if Some(*peer) == subject {
                (*scenario).to_owned()
            } else {
                format!("{scenario} ({peer})")
            };
            let costs: Vec<f64> = rounds.values().copied().collect();
            series.insert(
                name,
                Series {
                    cost_us: median(&costs),
                    per_cpu_second: costs.iter().map(|us| 1e6 / us).collect(),
                    to_null: to_null.filter(|rounds: &Vec<f64>| !rounds.is_empty()),
                },
            );
        }
        Self { series }
    }
}

fn suite_notes(before: &Artefact, after: &Artefact) -> Vec<String> {
    let mut notes = Vec::new();
    for (word, artefact) in [("before", before), ("after", after)] {
        if !artefact.readable || artefact.interrupted {
            let doubts = artefact.doubts.join("; ");
            notes.push(format!(
                "The result {word} is not fit to be relied on: {doubts}"
            ));
        }
    }
    let (old, new) = (&before.machine, &after.machine);
    if (&old.cpu_model, old.cpus, &old.kernel) != (&new.cpu_model, new.cpus, &new.kernel) {
        notes.push(format!(
            "Two machines: {} × {}, {}; {} × {}, {}",
            old.cpus, old.cpu_model, old.kernel, new.cpus, new.cpu_model, new.kernel
        ));
    }
    let changed = |artefact: &Artefact| -> BTreeMap<String, String> {
        let scenarios = artefact.scenarios.iter();
        let told = |s: &crate::suite::artefact::Scenario| format!("{:?}", s.parameters);
        scenarios.map(|s| (s.name.clone(), told(s))).collect()
    };
    let later = changed(after);
    for (name, parameters) in changed(before) {
        if later.get(&name).is_some_and(|now| *now != parameters) {
            notes.push(format!("`{name}` is not the same scenario in both"));
        }
    }
    notes
}

fn missing<T>(of: &BTreeMap<String, T>, from: &BTreeMap<String, T>) -> Vec<String> {
    of.keys()
        .filter(|name| !from.contains_key(*name))
        .cloned()
        .collect()
}

/// A number of a run: its name, how it is read, how it is written, and which way is good.
type Metric = (&'static str, fn(&Run) -> Option<f64>, Unit, Better);

/// How a number is written.
#[derive(Clone, Copy)]
enum Unit {
    PerSecond,
    Microseconds,
}

const METRICS: [Metric; 6] = [
    (
        "rate",
        |run| Some(run.rate),
        Unit::PerSecond,
        Better::Higher,
    ),
    (
        "latency p50",
        |run| Some(run.latency_us.p50),
        Unit::Microseconds,
        Better::Lower,
    ),
    (
        "latency p90",
        |run| Some(run.latency_us.p90),
        Unit::Microseconds,
        Better::Lower,
    ),
    (
        "latency p99",
        |run| Some(run.latency_us.p99),
        Unit::Microseconds,
        Better::Lower,
    ),
    (
        "latency p99.9",
        |run| Some(run.latency_us.p999),
        Unit::Microseconds,
        Better::Lower,
    ),
    (
        "generator CPU a request",
        |run| run.client_cpu_us_per_request,
        Unit::Microseconds,
        Better::Lower,
    ),
];

/// Compares runs of the same load.
#[must_use]
pub fn runs(before: &[Run], after: &[Run], pairing: Pairing, bootstrap: &Bootstrap) -> Comparison {
    let mut lines = Vec::new();
    for (name, read, unit, better) in METRICS {
        let of = |runs: &[Run]| runs.iter().map(read).collect::<Option<Vec<f64>>>();
        let (Some(old), Some(new)) = (of(before), of(after)) else {
            continue;
        };
        let ratio = match pairing {
            Pairing::ByRound => {
                let rounds: Vec<f64> = new.iter().zip(&old).map(|(new, old)| new / old).collect();
                Ratio::of_rounds(&rounds, bootstrap)
            }
            Pairing::None => Ratio::of_unpaired(&new, &old, bootstrap),
        };
        if let Some(ratio) = ratio {
            let told = |values: &[f64]| match unit {
                Unit::PerSecond => format!("{}/s", crate::report::human_count(median(values))),
                Unit::Microseconds => crate::report::human_us(median(values)),
            };
            lines.push(Line {
                name: name.to_owned(),
                before: told(&old),
                after: told(&new),
                ratio,
                better,
            });
        }
    }
    let are_wrong = |runs: &[Run]| runs.iter().any(|run| run.mismatches + run.errors > 0);
    let broken = (are_wrong(after) && !are_wrong(before))
        .then(|| "answers that were right before".to_owned());
    Comparison {
        lines,
        only_before: Vec::new(),
        only_after: Vec::new(),
        broken: broken.into_iter().collect(),
        notes: run_notes(before, after),
    }
}

fn run_notes(before: &[Run], after: &[Run]) -> Vec<String> {
    let mut notes = Vec::new();
    for (word, runs) in [("before", before), ("after", after)] {
        let count = |is: fn(&Run) -> bool| runs.iter().filter(|run| is(run)).count();
        let (invalid, wrong) = (
            count(|run| !run.valid),
            count(|run| run.mismatches + run.errors > 0),
        );
        if invalid > 0 {
            notes.push(format!(
                "{invalid} of {} runs {word} are invalid",
                runs.len()
            ));
        }
        if wrong > 0 {
            let all = runs.len();
            notes.push(format!(
                "{wrong} of {all} runs {word} had wrong answers or errors"
            ));
        }
    }
    if before.len().min(after.len()) < crate::ratio::ROUNDS_MIN {
        notes.push(format!(
            "Fewer than {} runs on a side settle nothing: give directories of runs",
            crate::ratio::ROUNDS_MIN
        ));
    }
    let load = |run: &Run| {
        (
            run.mode.clone(),
            run.connections,
            run.depth,
            run.target_rate.clone(),
        )
    };
    if let Some(first) = before.first()
        && before
            .iter()
            .chain(after)
            .any(|run| load(run) != load(first))
    {
        notes.push("The runs did not have the same load".to_owned());
    }
    notes
}

/// The comparison as Markdown for a pull request.
#[must_use]
pub fn markdown(comparison: &Comparison, threshold: f64) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = write_markdown(&mut text, comparison, threshold);
    text
}

fn write_markdown(text: &mut String, comparison: &Comparison, threshold: f64) -> std::fmt::Result {
    let count = |verdict: Verdict| {
        let lines = comparison.lines.iter();
        lines
            .filter(|line| line.verdict(threshold) == verdict)
            .count()
    };
    writeln!(
        text,
        "**{} faster, {} slower, {} cannot be told** (differences below {} % do not count)",
        count(Verdict::Faster),
        count(Verdict::Slower),
        count(Verdict::CannotTell),
        100.0 * threshold
    )?;
    for note in &comparison.notes {
        writeln!(text, "\n> {}", cell(note))?;
    }
    if !comparison.lines.is_empty() {
        writeln!(text, "\n| | before | after | ratio | 95 % interval | |")?;
        writeln!(text, "| --- | ---: | ---: | ---: | --- | --- |")?;
    }
    for line in &comparison.lines {
        let Ratio {
            median,
            low,
            high,
            rounds,
        } = line.ratio;
        let verdict = match line.verdict(threshold) {
            verdict @ Verdict::Slower => format!("**{verdict}**"),
            verdict @ (Verdict::Faster | Verdict::CannotTell) => verdict.to_string(),
        };
        writeln!(
            text,
            "| {} | {} | {} | {median:.3} | {low:.3} – {high:.3} ({rounds}) | {verdict} |",
            cell(&line.name),
            line.before,
            line.after
        )?;
    }
    let is_told = |name: &&String| !comparison.broken.contains(name);
    let gone: Vec<&String> = comparison.only_before.iter().filter(is_told).collect();
    let added: Vec<&String> = comparison.only_after.iter().collect();
    let broken: Vec<&String> = comparison.broken.iter().collect();
    for (word, names) in [
        ("**No longer measured, or no longer right:**", broken),
        ("Only before:", gone),
        ("Only after:", added),
    ] {
        if !names.is_empty() {
            let names: Vec<&str> = names.into_iter().map(String::as_str).collect();
            writeln!(text, "\n{word} {}", cell(&names.join(", ")))?;
        }
    }
    Ok(())
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|")
        .replace('<', "&lt;")
        .replace(['\r', '\n'], " ")
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => 0.0,
        count => f64::midpoint(sorted[(count - 1) / 2], sorted[count / 2]),
    }
}
