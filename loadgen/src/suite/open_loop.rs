//! Knees, and latencies at constant rates below them.
//!
//! A knee is found by halving the interval between a third of the closed-loop rate and a little
//! more than all of it. Runs are short and the machine is shared: a rate is too high when it was
//! not sustained twice, and the knee was sustained twice. Latency is then taken at shares of each one's own knee, where it says how
//! a server behaves near its own limit, and at one rate for all, where it says which is quicker.

use std::time::Duration;

use super::artefact::{Knee, KneeStep, OpenPoint, RateBasis, Scenario, Summary, encode_histogram};
use super::load::Pace;
use super::rounds::{AGAIN_AT_ONCE, per_request};
use super::stage::{Serving, Upstream, is_interrupted};
use super::suite_run::{Note, Settings};
use crate::report::Summary as RunSummary;

/// Rates tried for one knee; each halves what is unknown.
const KNEE_STEPS: u32 = 4;

/// How often a rate is tried until it counts as too high.
const TRIES: u32 = 2;

/// Runs that finding a knee takes: half of the rates are too high, and the last is tried again.
pub(super) const KNEE_RUNS: u32 = KNEE_STEPS + KNEE_STEPS / 2 + 1;

/// Shares of each one's own knee.
const SHARES: [f64; 3] = [0.5, 0.7, 0.85];

/// Share of the lowest knee, for all.
const COMMON_SHARE: f64 = 0.7;

/// Latencies taken for each contestant.
pub(super) const POINTS: usize = SHARES.len() + 1;

/// Where the search begins, as shares of the closed-loop rate.
const SEARCH: (f64, f64) = (0.3, 1.05);

/// Requests sent in time of those due, from which on a rate counts as kept up with.
const RATE_RATIO_MIN: f64 = 0.98;

/// The 99th percentile up to which it does, microseconds.
pub(super) const P99_US_MAX: f64 = 10_000.0;

/// Finds all knees, then takes the latencies.
pub(super) fn run(
    scenario: &Scenario,
    serving: &[Serving],
    upstream: &Upstream,
    summaries: &[Summary],
    length: Duration,
    settings: &Settings,
    note: &mut dyn FnMut(Note<'_>),
) -> anyhow::Result<(Vec<Knee>, Vec<OpenPoint>)> {
    let (mut knees, mut points) = (Vec::new(), Vec::new());
    for peer in serving {
        let closed = summaries.iter().find(|summary| summary.peer == peer.peer);
        if let Some(closed) = closed {
            note(Note::OpenLoop(&peer.peer));
            knees.push(knee(
                scenario,
                peer,
                upstream,
                closed.rate,
                length,
                settings,
            )?);
        }
    }
    let lowest = knees
        .iter()
        .filter_map(|knee| knee.rate)
        .fold(f64::INFINITY, f64::min);
    for peer in serving {
        let own = knees.iter().find(|knee| knee.peer == peer.peer);
        let Some(own) = own.and_then(|knee| knee.rate) else {
            continue;
        };
        let at_own = SHARES.map(|share| (RateBasis::OwnKnee, share, share * own));
        let common = (RateBasis::Common, COMMON_SHARE, COMMON_SHARE * lowest);
        for (basis, share, rate) in at_own.into_iter().chain([common]) {
            if is_interrupted(&settings.interrupt) {
                return Ok((knees, points));
            }
            note(Note::OpenLoop(&peer.peer));
            points.push(point(
                scenario,
                peer,
                upstream,
                (basis, share, rate),
                length,
                settings,
            )?);
        }
    }
    Ok((knees, points))
}

/// Tries rates: `sustains` runs one and says how it went. A rate that failed once is tried again, as
/// is the highest that did not, and for each that fails then the next lower one.
fn search(
    closed_rate: f64,
    sustains: &mut dyn FnMut(f64) -> anyhow::Result<Option<KneeStep>>,
) -> anyhow::Result<(Option<f64>, Vec<KneeStep>)> {
    let (mut low, mut high) = (SEARCH.0 * closed_rate, SEARCH.1 * closed_rate);
    let (mut steps, mut sustained) = (Vec::new(), Vec::new());
    for _ in 0..KNEE_STEPS {
        let rate = f64::midpoint(low, high);
        let mut is_sustained = false;
        for _ in 0..TRIES {
            let Some(step) = sustains(rate)? else {
                return Ok((sustained.last().copied(), steps));
            };
            is_sustained = step.sustained;
            steps.push(step);
            if is_sustained {
                break;
            }
        }
        if is_sustained {
            low = rate;
            sustained.push(rate);
        } else {
            high = rate;
        }
    }
    // One good run may have been luck, as one bad run may.
    while let Some(rate) = sustained.last().copied() {
        let Some(step) = sustains(rate)? else {
            break;
        };
        let is_sustained = step.sustained;
        steps.push(step);
        if is_sustained {
            break;
        }
        sustained.pop();
    }
    Ok((sustained.last().copied(), steps))
}

fn knee(
    scenario: &Scenario,
    peer: &Serving,
    upstream: &Upstream,
    closed_rate: f64,
    length: Duration,
    settings: &Settings,
) -> anyhow::Result<Knee> {
    let mut sustains = |rate: f64| {
        if is_interrupted(&settings.interrupt) {
            return Ok(None);
        }
        let (summary, _) = undisturbed(scenario, peer, upstream, rate, length, settings)?;
        let rate_ratio = summary.rate_ratio.unwrap_or(0.0);
        let p99_us = summary.latency_us.p99;
        let sustained = rate_ratio >= RATE_RATIO_MIN
            && p99_us <= P99_US_MAX
            && summary.errors + summary.mismatches == 0;
        Ok(Some(KneeStep {
            rate,
            rate_ratio,
            p99_us,
            sustained,
        }))
    };
    let (rate, steps) = search(closed_rate, &mut sustains)?;
    Ok(Knee {
        scenario: scenario.name.clone(),
        peer: peer.peer.clone(),
        rate,
        criterion: format!(
            "{:.0} % of what is due is sent in time, p99 at most {:.0} ms, every answer right",
            100.0 * RATE_RATIO_MIN,
            P99_US_MAX / 1e3
        ),
        steps,
    })
}

/// A run at `rate` and the server's CPU time for it; made again when too much CPU time was stolen,
/// as often as the rounds' runs are.
fn undisturbed(
    scenario: &Scenario,
    peer: &Serving,
    upstream: &Upstream,
    rate: f64,
    length: Duration,
    settings: &Settings,
) -> anyhow::Result<(RunSummary, Duration)> {
    let mut again = AGAIN_AT_ONCE;
    loop {
        let before = peer.process.cpu_time();
        let pace = Pace::Open { rate };
        let summary = peer.timed(&scenario.parameters, pace, length, upstream, settings)?;
        let used = peer.process.cpu_time().saturating_sub(before);
        let is_stolen = summary.stolen_share > settings.stolen_share_max;
        if !is_stolen || again == 0 || is_interrupted(&settings.interrupt) {
            return Ok((summary, used));
        }
        again -= 1;
    }
}

fn point(
    scenario: &Scenario,
    peer: &Serving,
    upstream: &Upstream,
    (basis, share, rate): (RateBasis, f64, f64),
    length: Duration,
    settings: &Settings,
) -> anyhow::Result<OpenPoint> {
    let (summary, used) = undisturbed(scenario, peer, upstream, rate, length, settings)?;
    let mut invalid_reasons = summary.invalid_reasons;
    if summary.stolen_share > settings.stolen_share_max {
        let stolen = 100.0 * summary.stolen_share;
        invalid_reasons.push(format!("{stolen:.1} % of the CPU time was stolen"));
    }
    Ok(OpenPoint {
        scenario: scenario.name.clone(),
        peer: peer.peer.clone(),
        basis,
        share,
        rate,
        rate_ratio: summary.rate_ratio.unwrap_or(0.0),
        requests: summary.requests,
        mismatches: summary.mismatches,
        errors: summary.errors,
        server_cpu_us_per_request: per_request(used, summary.requests),
        latency_us: summary.latency_us,
        histogram: encode_histogram(&summary.latencies),
        invalid_reasons,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `limits` are what the server sustains in one run after the other; the last one stays.
    #[test]
    fn a_knee_is_confirmed() {
        let check = |limits: &[f64], knee: Option<f64>, runs: usize| {
            let mut next = limits.iter().copied();
            let mut limit = 0.0;
            let (rate, steps) = search(1000.0, &mut |rate| {
                limit = next.next().unwrap_or(limit);
                Ok(Some(KneeStep {
                    rate,
                    rate_ratio: 1.0,
                    p99_us: 1.0,
                    sustained: rate <= limit,
                }))
            })
            .expect("nothing fails");
            assert_eq!(rate.map(f64::round), knee, "{limits:?}: {steps:?}");
            assert_eq!(steps.len(), runs, "{limits:?}: {steps:?}");
        };
        // 675, 862.5, 956.25, 1003.125, and the last once more.
        check(&[2000.0], Some(1003.0), 5);
        check(&[0.0], None, 8);
        check(&[700.0], Some(675.0), 8);
        // One bad run does no harm, nor does one good one.
        check(&[0.0, 2000.0], Some(1003.0), 6);
        check(&[700.0, 2000.0, 700.0], Some(675.0), 8);
        let interrupted = search(1000.0, &mut |_| Ok(None)).expect("nothing fails");
        assert!(interrupted.0.is_none() && interrupted.1.is_empty());
    }
}
