//! Paired rounds: every contestant once a round, the order turning round each time, and what the
//! rounds come to. A run in which the machine was somebody else's is void and made again at once,
//! so that the round stays together; a round that had no luck is void as a whole and run again.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::artefact::{Control, Measurement, Role, Scenario, Storm, Summary, VoidRound};
use super::load::Pace;
use super::stage::{Serving, Upstream, is_interrupted, judge};
use super::statistics::{median, ratio};
use super::suite_run::{Note, Settings};
use crate::report::Summary as RunSummary;
use crate::suite::artefact::encode_histogram;

/// How far the null server may be from its median before a round says nothing.
const DRIFT_MAX: f64 = 0.10;

/// Rounds from which on a median of the null server means something.
const DRIFT_FROM_ROUNDS: usize = 3;

/// How often one run is made again at once because CPU time was stolen.
const AGAIN_AT_ONCE: u32 = 2;

/// Of so many runs of a scenario at most one is made again at once, so that its length is bounded.
const RUNS_FOR_ONE_AGAIN: u32 = 3;

/// Everything the rounds of a scenario found.
#[derive(Debug, Default)]
pub(super) struct Rounds {
    pub(super) measurements: Vec<Measurement>,
    pub(super) void_rounds: Vec<VoidRound>,
    /// Contestants that answered wrongly while they were timed, and how.
    pub(super) disqualified: BTreeMap<String, String>,
}

/// Runs `count` rounds, and void ones again as often as half of that.
pub(super) fn run(
    scenario: &Scenario,
    serving: &mut [Serving],
    upstream: &Upstream,
    (count, length): (u32, Duration),
    settings: &Settings,
    note: &mut dyn FnMut(Note<'_>),
) -> anyhow::Result<Rounds> {
    let mut found = Rounds::default();
    let mut queue: VecDeque<(u32, u32)> = (1..=count).map(|round| (round, 1)).collect();
    let mut repeats = (count / 2).max(1);
    let runs = count * u32::try_from(serving.len()).unwrap_or(u32::MAX);
    let mut at_once = runs.div_ceil(RUNS_FOR_ONE_AGAIN);
    while let Some((round, attempt)) = queue.pop_front() {
        let first = found.measurements.len();
        let mut order: Vec<usize> = (0..serving.len()).collect();
        if round % 2 == 0 {
            order.reverse();
        }
        for (place, index) in order.into_iter().enumerate() {
            let peer = &serving[index];
            if is_interrupted(&settings.interrupt) {
                return Ok(found);
            }
            if found.disqualified.contains_key(&peer.peer) {
                continue;
            }
            let place = u32::try_from(place + 1).unwrap_or(u32::MAX);
            let mut left = AGAIN_AT_ONCE.min(at_once);
            let measured = loop {
                let mut measured = measure(scenario, peer, upstream, length, settings)?;
                (measured.round, measured.attempt, measured.place) = (round, attempt, place);
                let stolen = measured.stolen_share > settings.stolen_share_max;
                if !stolen || measured.void.is_some() || left == 0 {
                    break measured;
                }
                (left, at_once) = (left - 1, at_once - 1);
                measured.void = Some(format!("{}; made again", told(&measured, settings)));
                found.measurements.push(measured);
            };
            if let Some(reason) = &measured.void {
                found.disqualified.insert(peer.peer.clone(), reason.clone());
            }
            note(Note::Measured(&measured));
            found.measurements.push(measured);
        }
        let counted = found.measurements[first..]
            .iter()
            .filter(|m| m.void.is_none());
        let worst = counted.max_by(|a, b| a.stolen_share.total_cmp(&b.stolen_share));
        let worst = worst.filter(|m| m.stolen_share > settings.stolen_share_max);
        if let Some(reason) = worst.map(|m| told(m, settings)) {
            found.make_void(round, attempt, &reason, note);
            again(&mut queue, &mut repeats, round, attempt);
        }
        if queue.is_empty() {
            for (round, attempt, drift) in found.drifted(serving) {
                let reason = format!("the null server was at {drift:.2} of its median");
                found.make_void(round, attempt, &reason, note);
                again(&mut queue, &mut repeats, round, attempt);
            }
        }
    }
    Ok(found)
}

fn told(measured: &Measurement, settings: &Settings) -> String {
    format!(
        "{:.1} % of the CPU time was stolen (limit {:.1} %)",
        100.0 * measured.stolen_share,
        100.0 * settings.stolen_share_max
    )
}

fn again(queue: &mut VecDeque<(u32, u32)>, repeats: &mut u32, round: u32, attempt: u32) {
    if *repeats > 0 {
        *repeats -= 1;
        queue.push_back((round, attempt + 1));
    }
}

impl Rounds {
    fn make_void(
        &mut self,
        round: u32,
        attempt: u32,
        reason: &str,
        note: &mut dyn FnMut(Note<'_>),
    ) {
        for measured in &mut self.measurements {
            if (measured.round, measured.attempt) == (round, attempt) {
                measured.void.get_or_insert_with(|| reason.to_owned());
            }
        }
        note(Note::Void { round, reason });
        self.void_rounds.push(VoidRound {
            round,
            attempt,
            reason: reason.to_owned(),
        });
    }

    /// Rounds that count and whose null server was far from its median.
    fn drifted(&self, serving: &[Serving]) -> Vec<(u32, u32, f64)> {
        let Some(null) = serving.iter().find(|peer| peer.role == Role::Null) else {
            return Vec::new();
        };
        let costs: Vec<(u32, u32, f64)> = self
            .measurements
            .iter()
            .filter(|m| m.void.is_none() && m.peer == null.peer)
            .filter_map(|m| Some((m.round, m.attempt, m.server_cpu_us_per_request?)))
            .collect();
        let only: Vec<f64> = costs.iter().map(|(_, _, cost)| *cost).collect();
        let Some(middle) = median(&only).filter(|_| only.len() >= DRIFT_FROM_ROUNDS) else {
            return Vec::new();
        };
        costs
            .into_iter()
            .map(|(round, attempt, cost)| (round, attempt, cost / middle))
            .filter(|(_, _, drift)| (drift - 1.0).abs() > DRIFT_MAX)
            .collect()
    }

    /// Costs of `peer` by round, of rounds that count.
    fn costs(&self, peer: &str) -> BTreeMap<u32, f64> {
        self.measurements
            .iter()
            .filter(|m| m.peer == peer && m.void.is_none())
            .filter_map(|m| Some((m.round, m.server_cpu_us_per_request?)))
            .collect()
    }

    /// Requests per CPU-second of `peer` over those of `base`, in rounds that both ran.
    fn ratios(&self, base: Option<&str>, peer: &str) -> Option<super::artefact::Ratio> {
        let (base, own) = (self.costs(base?), self.costs(peer));
        let rounds = own
            .iter()
            .filter_map(|(round, cost)| Some(base.get(round)? / cost));
        ratio(rounds.collect())
    }

    /// What the rounds come to, for each peer with a round that counts.
    pub(super) fn summaries(&self, scenario: &str, serving: &[Serving]) -> Vec<Summary> {
        let base = |role| {
            serving
                .iter()
                .find(|peer| peer.role == role)
                .map(|peer| &*peer.peer)
        };
        let (null, subject) = (base(Role::Null), base(Role::Subject));
        let summary = |peer: &Serving| {
            let all = self.measurements.iter().filter(|m| m.peer == peer.peer);
            let counts: Vec<&Measurement> = all.clone().filter(|m| m.void.is_none()).collect();
            let middle = |value: &dyn Fn(&Measurement) -> Option<f64>| {
                median(&counts.iter().filter_map(|m| value(m)).collect::<Vec<f64>>())
            };
            Some(Summary {
                scenario: scenario.to_owned(),
                peer: peer.peer.clone(),
                rounds: u32::try_from(counts.len()).unwrap_or(u32::MAX),
                server_cpu_us_per_request: middle(&|m| m.server_cpu_us_per_request)?,
                rate: middle(&|m| Some(m.rate))?,
                p99_us: middle(&|m| Some(m.latency_us.p99))?,
                to_null: self.ratios(null, &peer.peer),
                to_corsair: self.ratios(subject, &peer.peer),
                mismatches: all.clone().map(|m| m.mismatches).sum(),
                errors: all.map(|m| m.errors).sum(),
            })
        };
        serving.iter().filter_map(summary).collect()
    }

    /// How far what must not change moved.
    pub(super) fn control(&self, scenario: &str, serving: &[Serving]) -> Control {
        let id = |role| {
            serving
                .iter()
                .find(|peer| peer.role == role)
                .map(|peer| &*peer.peer)
        };
        let null = id(Role::Null)
            .map(|null| self.costs(null))
            .unwrap_or_default();
        let costs: Vec<f64> = null.into_values().collect();
        let middle = median(&costs).unwrap_or(1.0);
        Control {
            scenario: scenario.to_owned(),
            same: id(Role::Same).and_then(|same| self.ratios(id(Role::Subject), same)),
            null_drift: costs.into_iter().map(|cost| cost / middle).collect(),
            void_rounds: self.void_rounds.clone(),
        }
    }
}

/// One run; void when an answer was wrong, except where that is what a storm is about.
fn measure(
    scenario: &Scenario,
    peer: &Serving,
    upstream: &Upstream,
    length: Duration,
    settings: &Settings,
) -> anyhow::Result<Measurement> {
    let parameters = &scenario.parameters;
    let pace = Pace::Closed {
        depth: parameters.depth,
    };
    let (server_before, upstream_before) = (peer.process.cpu_time(), upstream.cpu_time());
    let summary = peer.timed(parameters, pace, length, upstream, settings)?;
    let server = peer.process.cpu_time().saturating_sub(server_before);
    let upstream = upstream.cpu_time().saturating_sub(upstream_before);
    let may_fail = matches!(
        parameters.storm,
        Some(Storm::BrownOut | Storm::Reload | Storm::Churn)
    );
    let wrong = judge(&summary)
        .err()
        .filter(|_| !may_fail || summary.requests == 0);
    Ok(Measurement {
        scenario: scenario.name.clone(),
        peer: peer.peer.clone(),
        round: 0,
        attempt: 0,
        place: 0,
        void: wrong.map(|error| format!("{error:#}")),
        server_cpu_us_per_request: per_request(server, summary.requests),
        server_cpu_s: server.as_secs_f64(),
        requests: summary.requests,
        duration_s: summary.duration_s,
        rate: summary.rate,
        generator_cpu_s: summary.client_cpu_s,
        upstream_cpu_s: upstream.as_secs_f64(),
        generator_cpu_share: summary.worker_cpu_share,
        stolen_share: summary.stolen_share,
        mismatches: summary.mismatches,
        errors: summary.errors,
        errors_by_kind: by_kind(&summary),
        hit_ratio: summary.hit_ratio,
        latency_us: summary.latency_us,
        histogram: encode_histogram(&summary.latencies),
        received_bytes: summary.received_bytes,
        sample: summary.sample.map(|sample| sample.rule),
    })
}

fn by_kind(summary: &RunSummary) -> BTreeMap<String, u64> {
    let kinds = summary.errors_by_kind.iter();
    kinds
        .map(|(kind, count)| ((*kind).to_owned(), *count))
        .collect()
}

/// Microseconds of `time` for each of `requests`.
#[expect(
    clippy::cast_precision_loss,
    reason = "counts of a run are far below 2^52"
)]
pub(super) fn per_request(time: Duration, requests: u64) -> Option<f64> {
    (requests > 0).then(|| 1e6 * time.as_secs_f64() / requests as f64)
}
