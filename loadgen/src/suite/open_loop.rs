//! Knees, and latencies at constant rates below them.
//!
//! A knee is found by halving the interval between a third of the closed-loop rate and a little
//! more than all of it. Latency is then taken at shares of each one's own knee, where it says how
//! a server behaves near its own limit, and at one rate for all, where it says which is quicker.

use std::time::Duration;

use super::artefact::{Knee, KneeStep, OpenPoint, RateBasis, Scenario, Summary, encode_histogram};
use super::load::Pace;
use super::rounds::per_request;
use super::stage::{Serving, Upstream, is_interrupted};
use super::suite_run::{Note, Settings};

/// Rates tried for one knee; each halves what is unknown.
pub(super) const KNEE_STEPS: u32 = 4;

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
const P99_US_MAX: f64 = 10_000.0;

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

fn knee(
    scenario: &Scenario,
    peer: &Serving,
    upstream: &Upstream,
    closed_rate: f64,
    length: Duration,
    settings: &Settings,
) -> anyhow::Result<Knee> {
    let (mut low, mut high) = (SEARCH.0 * closed_rate, SEARCH.1 * closed_rate);
    let mut steps = Vec::new();
    let mut found = None;
    while steps.len() < KNEE_STEPS as usize && !is_interrupted(&settings.interrupt) {
        let rate = f64::midpoint(low, high);
        let pace = Pace::Open { rate };
        let summary = peer.timed(&scenario.parameters, pace, length, upstream, settings)?;
        let rate_ratio = summary.rate_ratio.unwrap_or(0.0);
        let p99_us = summary.latency_us.p99;
        let sustained = rate_ratio >= RATE_RATIO_MIN
            && p99_us <= P99_US_MAX
            && summary.errors + summary.mismatches == 0;
        if sustained {
            (low, found) = (rate, Some(rate));
        } else {
            high = rate;
        }
        steps.push(KneeStep {
            rate,
            rate_ratio,
            p99_us,
            sustained,
        });
    }
    Ok(Knee {
        scenario: scenario.name.clone(),
        peer: peer.peer.clone(),
        rate: found,
        criterion: format!(
            "{:.0} % of what is due is sent in time, p99 at most {:.0} ms, every answer right",
            100.0 * RATE_RATIO_MIN,
            P99_US_MAX / 1e3
        ),
        steps,
    })
}

fn point(
    scenario: &Scenario,
    peer: &Serving,
    upstream: &Upstream,
    (basis, share, rate): (RateBasis, f64, f64),
    length: Duration,
    settings: &Settings,
) -> anyhow::Result<OpenPoint> {
    let before = peer.process.cpu_time();
    let pace = Pace::Open { rate };
    let summary = peer.timed(&scenario.parameters, pace, length, upstream, settings)?;
    let used = peer.process.cpu_time().saturating_sub(before);
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
        invalid_reasons: summary.invalid_reasons,
    })
}
