//! Paired rounds: every contestant once a round, the order turning round each time, and what the
//! rounds come to.
//!
//! A run in which the machine was somebody else's is void and made again at once. One that had no
//! luck again is void alone: the others of its round are still measured against the bases of that
//! round. Rounds after those that were asked for make up for what is void, with those who lack one
//! and the bases, as long as there is time. What counts is judged, what is void is told.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::allotment::Until;
use super::artefact::{
    Control, LoopLatency, Measurement, Role, Scenario, Storm, Summary, VoidRound,
};
use super::judging::{Demand, judge};
use super::load::Pace;
use super::stage::{Serving, Upstream, is_interrupted};
use super::statistics::{median, ratio};
use super::suite_run::{Note, Settings};
use crate::ratio::ROUNDS_MIN;
use crate::report::Summary as RunSummary;

/// How far the null servers may be from their medians before a round says nothing.
const DRIFT_MAX: f64 = 0.10;

/// Rounds from which on a median of a null server means something.
const DRIFT_FROM_ROUNDS: usize = 3;

/// How often one run is made again at once because CPU time was stolen.
pub(super) const AGAIN_AT_ONCE: u32 = 2;

/// Of so many runs of a scenario at most one is made again at once, so that its length is bounded.
const RUNS_FOR_ONE_AGAIN: u32 = 3;

/// Rounds in all, for each that was asked for.
const ROUNDS_FOR_ONE: u32 = 2;

/// What is asked of the rounds of a scenario.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked {
    /// How many.
    pub(super) rounds: u32,
    /// Length of one run.
    pub(super) length: Duration,
    /// When the suite began.
    pub(super) began: Instant,
    /// Until when rounds are begun.
    pub(super) until: Until,
}

impl Asked {
    /// Whether another round may be begun, with `fewest` that count for somebody.
    fn has_time(&self, fewest: usize) -> bool {
        let until = if fewest < ROUNDS_MIN {
            self.until.needed
        } else {
            self.until.wanted
        };
        self.began.elapsed() < until
    }
}

/// Everything the rounds of a scenario found.
#[derive(Debug, Default)]
pub(super) struct Rounds {
    pub(super) measurements: Vec<Measurement>,
    pub(super) void_rounds: Vec<VoidRound>,
    /// Contestants that answered wrongly while they were timed, and how.
    pub(super) disqualified: BTreeMap<String, String>,
}

/// Runs the rounds.
pub(super) fn run(
    scenario: &Scenario,
    serving: &[Serving],
    upstream: &Upstream,
    asked: &Asked,
    settings: &Settings,
    note: &mut dyn FnMut(Note<'_>),
) -> anyhow::Result<Rounds> {
    let mut found = Rounds::default();
    let runs = asked.rounds * u32::try_from(serving.len()).unwrap_or(u32::MAX);
    let mut at_once = runs.div_ceil(RUNS_FOR_ONE_AGAIN);
    let least = u32::try_from(ROUNDS_MIN).unwrap_or(u32::MAX);
    let mut round = 0;
    loop {
        let counts = found.rounds_that_count(serving);
        let fewest = counts.iter().flatten().copied().min().unwrap_or(0);
        let lacks = |count: &Option<usize>| count.is_some_and(|n| n < asked.rounds as usize);
        // What was begun is measured: starting everybody took the most of it.
        let is_least = round < asked.rounds.min(least);
        let may_go_on = (is_least || asked.has_time(fewest))
            && round < asked.rounds * ROUNDS_FOR_ONE
            && !is_interrupted(&settings.interrupt);
        if !may_go_on || !counts.iter().any(lacks) {
            // Only now is there a median to drift from.
            if found.void_drifted(serving, note) && may_go_on {
                continue;
            }
            return Ok(found);
        }
        round += 1;
        let is_base = |peer: &Serving| matches!(peer.role, Role::Null | Role::Subject);
        let takes_part = |index: &usize| {
            let is_out = counts[*index].is_none();
            !is_out
                && (round <= asked.rounds || lacks(&counts[*index]) || is_base(&serving[*index]))
        };
        let mut order: Vec<usize> = (0..serving.len()).filter(takes_part).collect();
        if round % 2 == 0 {
            order.reverse();
        }
        for (place, index) in order.into_iter().enumerate() {
            let peer = &serving[index];
            if is_interrupted(&settings.interrupt) {
                break;
            }
            let place = u32::try_from(place + 1).unwrap_or(u32::MAX);
            for attempt in 1.. {
                let mut measured = measure(scenario, peer, upstream, asked.length, settings)?;
                (measured.round, measured.attempt, measured.place) = (round, attempt, place);
                if let Some(reason) = &measured.void {
                    found.disqualified.insert(peer.peer.clone(), reason.clone());
                } else if measured.stolen_share > settings.stolen_share_max {
                    measured.void = Some(told(&measured, settings));
                }
                let is_again = measured.void.is_some()
                    && !found.disqualified.contains_key(&peer.peer)
                    && attempt <= AGAIN_AT_ONCE
                    && at_once > 0;
                note(Note::Measured(&measured));
                found.measurements.push(measured);
                if !is_again {
                    break;
                }
                at_once -= 1;
            }
        }
    }
}

fn told(measured: &Measurement, settings: &Settings) -> String {
    format!(
        "{:.1} % of the CPU time was stolen (limit {:.1} %)",
        100.0 * measured.stolen_share,
        100.0 * settings.stolen_share_max
    )
}

impl Rounds {
    /// For each contestant the rounds in which it and both bases count; `None` for who is out.
    fn rounds_that_count(&self, serving: &[Serving]) -> Vec<Option<usize>> {
        let bases = [Role::Null, Role::Subject].map(|role| id_of(serving, role));
        let bases: Vec<_> = bases
            .into_iter()
            .flatten()
            .map(|id| self.costs(id))
            .collect();
        let rounds = |peer: &Serving| {
            let own = self.costs(&peer.peer);
            let with_bases = own
                .keys()
                .filter(|round| bases.iter().all(|base| base.contains_key(round)));
            (!self.disqualified.contains_key(&peer.peer)).then(|| with_bases.count())
        };
        serving.iter().map(rounds).collect()
    }

    /// Makes rounds void in which the machine was another one, and says whether there were any.
    fn void_drifted(&mut self, serving: &[Serving], note: &mut dyn FnMut(Note<'_>)) -> bool {
        let nulls = serving.iter().filter(|peer| peer.role == Role::Null);
        let nulls: Vec<_> = nulls.map(|peer| self.costs(&peer.peer)).collect();
        let drifted = drifted(&nulls);
        for (round, drift) in &drifted {
            let reason = format!("the null servers were at {drift:.2} of their medians");
            let of_round = self.measurements.iter_mut().filter(|m| m.round == *round);
            of_round.for_each(|m| {
                m.void.get_or_insert_with(|| reason.clone());
            });
            note(Note::Void {
                round: *round,
                reason: &reason,
            });
            self.void_rounds.push(VoidRound {
                round: *round,
                reason,
            });
        }
        !drifted.is_empty()
    }

    /// Costs of `peer` by round, of rounds that count; none of who answered wrongly in any of them.
    fn costs(&self, peer: &str) -> BTreeMap<u32, f64> {
        let is_out = self.disqualified.contains_key(peer);
        self.measurements
            .iter()
            .filter(|m| !is_out && m.peer == peer && m.void.is_none())
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
        let (null, subject) = (id_of(serving, Role::Null), id_of(serving, Role::Subject));
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
        let stands = |peer: &&Serving| !self.disqualified.contains_key(&peer.peer);
        serving.iter().filter(stands).filter_map(summary).collect()
    }

    /// How far what must not change moved.
    pub(super) fn control(&self, scenario: &str, serving: &[Serving]) -> Control {
        let id = |role| id_of(serving, role);
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

/// Of the rounds of the null servers, costs by round, those in which every one of them was off its
/// median in the same direction, and how far the first was: then the machine was another one. Where
/// only one of them was, something happened to that run, and the median of the ratios takes it.
fn drifted(nulls: &[BTreeMap<u32, f64>]) -> Vec<(u32, f64)> {
    let middles = nulls.iter().map(|costs| {
        let all: Vec<f64> = costs.values().copied().collect();
        median(&all).filter(|_| all.len() >= DRIFT_FROM_ROUNDS)
    });
    let middles: Option<Vec<f64>> = middles.collect();
    let (Some(middles), Some(first)) = (middles, nulls.first()) else {
        return Vec::new();
    };
    let drift_in = |round: &u32| {
        let of_round = nulls.iter().zip(&middles);
        let drifts: Vec<f64> = of_round
            .filter_map(|(costs, middle)| Some(costs.get(round)? / middle))
            .collect();
        let is_above = drifts.iter().all(|drift| *drift > 1.0 + DRIFT_MAX);
        let is_below = drifts.iter().all(|drift| *drift < 1.0 - DRIFT_MAX);
        let drift = drifts.first().copied()?;
        (is_above || is_below).then_some((*round, drift))
    };
    first.keys().filter_map(drift_in).collect()
}

fn id_of(serving: &[Serving], role: Role) -> Option<&str> {
    let peer = serving.iter().find(|peer| peer.role == role);
    peer.map(|peer| &*peer.peer)
}

/// One run; void when an answer was wrong or missing, except where that is what a storm is about.
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
    let (switches, reloads) = (peer.process.context_switches(), peer.reloads());
    let asked_before = upstream.requests();
    let (server_before, upstream_before) = (peer.process.cpu_time(), upstream.cpu_time());
    let summary = peer.timed(parameters, pace, length, upstream, settings)?;
    let server = peer.process.cpu_time().saturating_sub(server_before);
    let upstream_time = upstream.cpu_time().saturating_sub(upstream_before);
    let asked = upstream.requests().zip(asked_before);
    let (given_up, taken_away) = peer.process.context_switches();
    let is_null = peer.role == Role::Null;
    let is_reloaded = parameters.storm == Some(Storm::Reload) && !is_null;
    let judged = judge(&summary, Demand::while_timed(parameters.storm));
    Ok(Measurement {
        scenario: scenario.name.clone(),
        peer: peer.peer.clone(),
        round: 0,
        attempt: 0,
        place: 0,
        void: judged.err().map(|error| format!("{error:#}")),
        server_cpu_us_per_request: per_request(server, summary.requests),
        server_cpu_s: server.as_secs_f64(),
        requests: summary.requests,
        duration_s: summary.duration_s,
        rate: summary.rate,
        generator_cpu_s: summary.client_cpu_s,
        upstream_cpu_s: upstream_time.as_secs_f64(),
        generator_cpu_share: summary.worker_cpu_share,
        stolen_share: summary.stolen_share,
        mismatches: summary.mismatches,
        errors: summary.errors,
        errors_by_kind: by_kind(&summary),
        hit_ratio: summary.hit_ratio,
        latency_us: LoopLatency {
            p50: summary.latency_us.p50,
            p90: summary.latency_us.p90,
            p99: summary.latency_us.p99,
            max: summary.latency_us.max,
        },
        received_bytes: summary.received_bytes,
        sample: summary.sample.map(|sample| sample.rule),
        upstream_requests: asked
            .filter(|_| !is_null)
            .map(|(after, before)| after.saturating_sub(before)),
        // Threads that ended meanwhile took theirs along.
        voluntary_switches: given_up.checked_sub(switches.0),
        involuntary_switches: taken_away.checked_sub(switches.1),
        reloads: reloads
            .zip(peer.reloads())
            .filter(|_| is_reloaded)
            .map(|(before, after)| after.since(before)),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_drifts_when_all_null_servers_do() {
        let check = |nulls: &[&[f64]], expected: &[u32]| {
            let rounds = |costs: &&[f64]| (1..).zip(costs.iter().copied()).collect();
            let nulls: Vec<BTreeMap<u32, f64>> = nulls.iter().map(rounds).collect();
            let found: Vec<u32> = drifted(&nulls)
                .into_iter()
                .map(|(round, _)| round)
                .collect();
            assert_eq!(found, expected, "{nulls:?}");
        };
        check(&[], &[]);
        check(&[&[]], &[]);
        check(&[&[10.0, 12.0]], &[]);
        check(&[&[10.0, 10.5, 12.0, 9.5, 8.0]], &[3, 5]);
        let steady = [10.0, 10.0, 10.0, 10.0, 10.0];
        check(&[&[10.0, 10.5, 12.0, 9.5, 8.0], &steady], &[]);
        check(&[&[10.0, 10.0, 12.0], &[20.0, 20.0, 23.0]], &[3]);
        check(&[&[10.0, 10.0, 12.0], &[20.0, 20.0, 17.0]], &[]);
    }
}
