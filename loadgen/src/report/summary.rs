//! The numbers of a run: the JSON document, version 1, and what it is made from.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::microseconds;
use crate::engine::Outcome;
use crate::learned::CacheOutcome;
use crate::plan::{Length, Load, Plan};
use crate::slo::{Metric, Slo};
use crate::stats::{ErrorKind, KindStats, Latencies, Stats, share};
use crate::validity::{self, Facts, Gates, HitFacts, OpenFacts};

/// The version of the JSON document. It rises when a field changes its meaning or goes; fields may
/// be added under the same version.
pub const JSON_VERSION: u32 = 1;

/// What was asked for, as far as the plan does not say it.
#[derive(Debug, Clone, Default)]
pub struct RunFacts {
    /// The URL as given.
    pub url: String,
    /// The rate as given.
    pub rate: Option<String>,
    /// The command line, for running it again.
    pub command: Vec<String>,
    /// What the generator said before it began.
    pub notices: Vec<String>,
}

/// Everything a run found.
#[derive(Debug, Clone, Serialize)]
pub struct Summary {
    /// [`JSON_VERSION`].
    pub version: u32,
    /// What was asked for.
    #[serde(flatten)]
    pub setup: Setup,

    /// Whether the run measured what it was meant to.
    pub valid: bool,
    /// Why not.
    pub invalid_reasons: Vec<String>,
    /// What to know though it is valid.
    pub warnings: Vec<String>,
    /// Ended by a signal.
    pub interrupted: bool,
    /// No connection could be made.
    pub never_connected: bool,

    /// Answers, right and wrong.
    pub requests: u64,
    /// Wrong answers.
    pub mismatches: u64,
    /// Requests without a proper answer.
    pub errors: u64,
    /// Requests without a proper answer, by kind.
    pub errors_by_kind: BTreeMap<&'static str, u64>,
    /// The first error of each kind, in words.
    pub error_texts: BTreeMap<&'static str, String>,
    /// Measured time.
    pub duration_s: f64,
    /// Answers per second.
    pub rate: f64,
    /// Requests sent in time as a share of those due; open loops only.
    pub rate_ratio: Option<f64>,
    /// How late requests were sent by the generator itself; open loops only.
    pub schedule_lag_us: Option<Percentiles>,
    /// CPU time of the generator.
    pub client_cpu_s: f64,
    /// CPU time of the generator per answer.
    pub client_cpu_us_per_request: Option<f64>,
    /// The part of it burnt waiting for requests to fall due; open loops only.
    pub client_waiting_cpu_s: Option<f64>,
    /// Time its workers were ready to run while their CPUs were others'.
    pub client_kept_waiting_s: f64,
    /// CPU use of its busiest worker without that waiting, as a share of one CPU.
    pub worker_cpu_share: f64,
    /// The most memory the generator had resident.
    pub client_peak_rss_bytes: u64,
    /// CPU time of the machine that another one ran.
    pub stolen_share: f64,
    /// Answers from a cache as a share of those a cache spoke of.
    pub hit_ratio: Option<f64>,
    /// Answers by status.
    pub statuses: BTreeMap<u16, u64>,
    /// Bytes received, heads included.
    pub received_bytes: u64,
    /// Bytes of bodies.
    pub body_bytes: u64,
    /// From the send (closed loop) or the intended send (open loop) to the end of the answer;
    /// requests given up count with the time until then.
    pub latency_us: Percentiles,
    /// Time to connect.
    pub connect_us: Percentiles,
    /// By kind of request.
    pub kinds: Vec<KindSummary>,
    /// Objectives and whether they were met.
    pub slo: Vec<SloResult>,
    /// The first wrong answer.
    pub sample: Option<SampleText>,
    /// What slow clients did, where there were any.
    pub slow_clients: Option<SlowSummary>,

    /// All latencies, nanoseconds.
    #[serde(skip)]
    pub latencies: Latencies,
}

/// The pace of an open loop in words; a log gives no rate.
#[must_use]
pub fn paced_by(rate: &str) -> String {
    if rate.starts_with("replay") {
        format!("open loop, {rate}")
    } else {
        format!("open loop at {rate}/s")
    }
}

/// What was asked for, and when and how it was run.
#[derive(Debug, Clone, Serialize)]
pub struct Setup {
    /// Version of the program.
    pub loadgen: &'static str,
    /// The command line.
    pub command: Vec<String>,
    /// The URL as given.
    pub url: String,
    /// Beginning of the run, RFC 3339.
    pub started_at: String,
    /// `closed` or `open`.
    pub mode: &'static str,
    /// Connections.
    pub connections: usize,
    /// Requests in flight on one connection.
    pub depth: usize,
    /// The rate asked for, as given; open loops only.
    pub target_rate: Option<String>,
    /// Worker threads.
    pub workers: usize,
    /// What the workers waited with.
    pub driver: String,
    /// Seed of all draws.
    pub seed: u64,
    /// Where the numbers of `{hit:R:N}` begin that no cache has seen.
    pub fresh_base: u64,
    /// Warm-up, not in any number below.
    pub warmup_s: f64,
    /// Planned length; runs of a time only.
    pub planned_s: Option<f64>,
    /// Planned requests; runs of a count only.
    pub planned_requests: Option<u64>,
}

/// A distribution of times, microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Percentiles {
    /// How many values.
    pub count: u64,
    /// Lowest.
    pub min: f64,
    /// Mean.
    pub mean: f64,
    /// Median.
    pub p50: f64,
    /// 75th percentile.
    pub p75: f64,
    /// 90th percentile.
    pub p90: f64,
    /// 99th percentile.
    pub p99: f64,
    /// 99.9th percentile.
    pub p999: f64,
    /// 99.99th percentile.
    pub p9999: f64,
    /// Highest.
    pub max: f64,
}

impl Percentiles {
    /// The percentiles of `latencies`; all zero when there are none.
    #[must_use]
    pub fn of(latencies: &Latencies) -> Self {
        let at = |quantile| microseconds(latencies.value_at_quantile(quantile));
        Self {
            count: latencies.len(),
            min: microseconds(latencies.min()),
            mean: latencies.mean() / 1e3,
            p50: at(0.5),
            p75: at(0.75),
            p90: at(0.9),
            p99: at(0.99),
            p999: at(0.999),
            p9999: at(0.9999),
            max: microseconds(latencies.max()),
        }
    }
}

/// One kind of request.
#[derive(Debug, Clone, Serialize)]
pub struct KindSummary {
    /// Its name.
    pub name: String,
    /// Answers.
    pub requests: u64,
    /// Wrong answers.
    pub mismatches: u64,
    /// Wrong answers by rule.
    pub mismatches_by_rule: Vec<MismatchCount>,
    /// Answers by status.
    pub statuses: BTreeMap<u16, u64>,
    /// Answers from a cache as a share of those a cache spoke of.
    pub hit_ratio: Option<f64>,
    /// Bytes of bodies.
    pub body_bytes: u64,
    /// Latencies of all answers.
    pub latency_us: Percentiles,
    /// Latencies by what a cache said; outcomes that did not occur are left out.
    pub latency_us_by_cache: BTreeMap<&'static str, Percentiles>,
}

/// Wrong answers that broke one rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MismatchCount {
    /// What was wrong.
    pub kind: &'static str,
    /// Which rule, in words.
    pub rule: String,
    /// How many.
    pub count: u64,
}

/// An objective and whether it was met.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SloResult {
    /// As given.
    pub objective: String,
    /// What was measured: seconds, a share, a count or a rate.
    pub measured: Option<f64>,
    /// Whether it was met.
    pub met: bool,
}

/// A wrong answer as text; bytes that are not UTF-8 are replaced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SampleText {
    /// Kind of the request.
    pub kind: String,
    /// Which rule was broken.
    pub rule: String,
    /// The request.
    pub request: String,
    /// The answer.
    pub answer: String,
}

/// What slow clients did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct SlowSummary {
    /// How many there were.
    pub clients: usize,
    /// Answers read to the end, or connections the server ended.
    pub rounds: u64,
    /// Bytes moved.
    pub bytes: u64,
    /// Connections that could not be made.
    pub refused: u64,
}

impl Summary {
    /// Judges `outcome` by `gates` and `objectives`.
    #[must_use]
    pub fn new(
        run: &RunFacts,
        plan: &Plan,
        outcome: &Outcome,
        gates: &Gates,
        objectives: &[Slo],
    ) -> Self {
        let stats = &outcome.stats;
        let latencies = stats.latencies();
        let (requests, errors) = (stats.answers(), stats.errors());
        let duration_s = outcome.duration.as_secs_f64();
        let rate_ratio = outcome
            .open
            .and_then(|open| share(open.sent_in_time, open.due));
        let facts = facts(outcome, plan.cpus.len(), &latencies, rate_ratio);
        let invalid_reasons = gates.invalid_reasons(&facts);
        let cpu = outcome.client_cpu.as_secs_f64();
        let kinds: Vec<KindSummary> = plan
            .traffic
            .kinds()
            .iter()
            .zip(&stats.kinds)
            .map(|(name, kind)| KindSummary::new(name, kind, plan))
            .collect();
        let mut warnings = run.notices.clone();
        warnings.extend(validity::warnings(&facts));
        warnings.extend(hit_ratio_warnings(plan, stats));
        Self {
            version: JSON_VERSION,
            setup: Setup::new(run, plan, outcome),
            valid: invalid_reasons.is_empty(),
            invalid_reasons,
            warnings,
            interrupted: outcome.interrupted,
            never_connected: outcome.never_connected,
            requests,
            mismatches: stats.mismatches(),
            errors,
            errors_by_kind: by_kind(|kind| Some(stats.errors_of(kind)).filter(|count| *count > 0)),
            error_texts: by_kind(|kind| outcome.error_texts.get(&kind).cloned()),
            duration_s,
            rate: per_second(requests, duration_s),
            rate_ratio,
            schedule_lag_us: outcome.open.map(|_| Percentiles::of(&stats.lag)),
            client_cpu_s: cpu,
            client_cpu_us_per_request: (requests > 0).then(|| 1e6 * cpu / to_f64(requests)),
            client_waiting_cpu_s: outcome.open.map(|_| to_f64(stats.waited_awake_ns) / 1e9),
            client_kept_waiting_s: to_f64(stats.kept_waiting_ns) / 1e9,
            worker_cpu_share: outcome.worker_cpu_share_max,
            client_peak_rss_bytes: outcome.peak_rss_bytes,
            stolen_share: outcome.stolen_share,
            hit_ratio: stats.hit_ratio(),
            statuses: statuses(stats),
            received_bytes: stats.received_bytes,
            body_bytes: stats.kinds.iter().map(|kind| kind.body_bytes).sum(),
            latency_us: Percentiles::of(&latencies),
            connect_us: Percentiles::of(&stats.connects),
            slo: objectives
                .iter()
                .map(|slo| judge(slo, plan, stats, duration_s))
                .collect(),
            sample: SampleText::of(outcome, plan),
            slow_clients: plan.slow.map(|slow| SlowSummary {
                clients: slow.clients,
                rounds: stats.slow.rounds,
                bytes: stats.slow.bytes,
                refused: stats.slow.refused,
            }),
            kinds,
            latencies,
        }
    }

    /// The JSON document.
    ///
    /// # Panics
    /// Never: there is nothing in it that JSON cannot say.
    #[must_use]
    pub fn to_json(&self) -> String {
        let mut text = serde_json::to_string_pretty(self)
            .expect("a summary has only text keys and finite numbers");
        text.push('\n');
        text
    }

    /// Whether every objective was met.
    #[must_use]
    pub fn meets_objectives(&self) -> bool {
        self.slo.iter().all(|slo| slo.met)
    }
}

impl SampleText {
    fn of(outcome: &Outcome, plan: &Plan) -> Option<Self> {
        let sample = outcome.sample.as_ref()?;
        Some(Self {
            kind: plan.traffic.kinds().get(sample.kind).cloned()?,
            rule: sample.rule.clone(),
            request: String::from_utf8_lossy(&sample.request).into_owned(),
            answer: String::from_utf8_lossy(&sample.answer).into_owned(),
        })
    }
}

impl Setup {
    /// How requests were paced, in words.
    #[must_use]
    pub(super) fn pace(&self) -> String {
        match &self.target_rate {
            Some(rate) => paced_by(rate),
            None => format!("closed loop, depth {}", self.depth),
        }
    }

    fn new(run: &RunFacts, plan: &Plan, outcome: &Outcome) -> Self {
        Self {
            loadgen: env!("CARGO_PKG_VERSION"),
            command: run.command.clone(),
            url: run.url.clone(),
            started_at: rfc3339(outcome.started_at),
            mode: if outcome.open.is_some() {
                "open"
            } else {
                "closed"
            },
            connections: plan.connections,
            depth: match plan.load {
                Load::Closed { depth } => depth,
                Load::Open { .. } => 1,
            },
            target_rate: run.rate.clone(),
            workers: plan.cpus.len(),
            driver: outcome.driver.clone(),
            seed: plan.seed,
            fresh_base: plan.fresh_base,
            warmup_s: plan.warmup.as_secs_f64(),
            planned_s: match plan.length {
                Length::Duration(length) => Some(length.as_secs_f64()),
                Length::Count(_) => None,
            },
            planned_requests: match plan.length {
                Length::Duration(_) => None,
                Length::Count(count) => Some(count),
            },
        }
    }
}

impl KindSummary {
    fn new(name: &str, kind: &KindStats, plan: &Plan) -> Self {
        let mut by_rule: BTreeMap<(&'static str, String), u64> = BTreeMap::new();
        for ((shape, mismatch), count) in &kind.mismatches {
            let rule = plan.traffic.shapes()[*shape]
                .expectation
                .describe(*mismatch);
            *by_rule.entry((mismatch.kind.as_str(), rule)).or_default() += count;
        }
        let counted = |((kind, rule), count)| MismatchCount { kind, rule, count };
        let (hits, misses) = (
            kind.count_of(CacheOutcome::Hit),
            kind.count_of(CacheOutcome::Miss),
        );
        let by_cache = CacheOutcome::ALL.into_iter().filter_map(|outcome| {
            let latencies = kind.latencies(outcome)?;
            Some((outcome.as_str(), Percentiles::of(latencies)))
        });
        Self {
            name: name.to_owned(),
            requests: kind.answers,
            mismatches: kind.mismatch_count(),
            mismatches_by_rule: by_rule.into_iter().map(counted).collect(),
            statuses: kind.statuses.clone(),
            hit_ratio: share(hits, hits + misses),
            body_bytes: kind.body_bytes,
            latency_us: Percentiles::of(&kind.all_latencies()),
            latency_us_by_cache: by_cache.collect(),
        }
    }
}

/// Where `{hit:R:N}` asked for another hit ratio than there was.
fn hit_ratio_warnings(plan: &Plan, stats: &Stats) -> Vec<String> {
    let kinds = plan.traffic.kinds().iter().zip(&stats.kinds).enumerate();
    let warning = |(index, (name, kind)): (usize, (&String, &KindStats))| {
        let warning = validity::hit_ratio_warning(&HitFacts {
            asked: plan.traffic.asked_hit_ratio(index)?,
            answers: kind.answers,
            hits: kind.count_of(CacheOutcome::Hit),
            misses: kind.count_of(CacheOutcome::Miss),
        })?;
        Some(format!("{name}: {warning}"))
    };
    kinds.filter_map(warning).collect()
}

/// The share of the time in which the workers were kept waiting for their CPUs.
fn kept_waiting_share(outcome: &Outcome, workers: usize) -> f64 {
    let all = outcome.duration.as_secs_f64() * to_f64(workers as u64);
    to_f64(outcome.stats.kept_waiting_ns) / 1e9 / all.max(1e-9)
}

fn facts(
    outcome: &Outcome,
    workers: usize,
    latencies: &Latencies,
    rate_ratio: Option<f64>,
) -> Facts {
    let seconds = |latencies: &Latencies| microseconds(latencies.value_at_quantile(0.99)) / 1e6;
    Facts {
        worker_cpu_share: outcome.worker_cpu_share_max,
        kept_waiting_share: kept_waiting_share(outcome, workers),
        open: outcome.open.map(|_| OpenFacts {
            rate_ratio: rate_ratio.unwrap_or(1.0),
            lag_p99_s: seconds(&outcome.stats.lag),
        }),
        latency_p99_s: seconds(latencies),
        stolen_share: outcome.stolen_share,
        duration_s: outcome.duration.as_secs_f64(),
        requests: outcome.stats.answers() + outcome.stats.errors(),
        interrupted: outcome.interrupted,
        never_connected: outcome.never_connected,
    }
}

fn by_kind<T>(value: impl Fn(ErrorKind) -> Option<T>) -> BTreeMap<&'static str, T> {
    ErrorKind::ALL
        .into_iter()
        .filter_map(|kind| Some((kind.as_str(), value(kind)?)))
        .collect()
}

fn statuses(stats: &Stats) -> BTreeMap<u16, u64> {
    let mut sum = BTreeMap::new();
    for (status, count) in stats.kinds.iter().flat_map(|kind| &kind.statuses) {
        *sum.entry(*status).or_default() += count;
    }
    sum
}

#[expect(
    clippy::cast_precision_loss,
    reason = "counts of a run are far below 2^52"
)]
fn to_f64(count: u64) -> f64 {
    count as f64
}

fn per_second(count: u64, seconds: f64) -> f64 {
    if seconds > 0.0 {
        to_f64(count) / seconds
    } else {
        0.0
    }
}

pub(crate) fn rfc3339(since_1970: Duration) -> String {
    // Whole milliseconds are enough to find the run again.
    let milliseconds = i64::try_from(since_1970.as_millis()).unwrap_or(i64::MAX);
    jiff::Timestamp::from_millisecond(milliseconds)
        .map(|t| t.to_string())
        .unwrap_or_default()
}

fn judge(slo: &Slo, plan: &Plan, stats: &Stats, duration_s: f64) -> SloResult {
    let measured = match &slo.kind {
        None => {
            let counts = Counts {
                answers: stats.answers(),
                mismatches: stats.mismatches(),
                errors: stats.errors(),
                hit_ratio: stats.hit_ratio(),
            };
            measure(slo.metric, &counts, || stats.latencies(), duration_s)
        }
        Some(name) => {
            let kind = plan.traffic.kinds().iter().position(|kind| kind == name);
            kind.and_then(|index| {
                let kind = &stats.kinds[index];
                let hits = kind.count_of(CacheOutcome::Hit);
                let counts = Counts {
                    answers: kind.answers,
                    mismatches: kind.mismatch_count(),
                    errors: 0,
                    hit_ratio: share(hits, hits + kind.count_of(CacheOutcome::Miss)),
                };
                measure(slo.metric, &counts, || kind.all_latencies(), duration_s)
            })
        }
    };
    SloResult {
        objective: slo.to_string(),
        measured,
        met: slo.is_met_by(measured),
    }
}

struct Counts {
    answers: u64,
    mismatches: u64,
    errors: u64,
    hit_ratio: Option<f64>,
}

fn measure(
    metric: Metric,
    counts: &Counts,
    latencies: impl FnOnce() -> Latencies,
    duration_s: f64,
) -> Option<f64> {
    let time = |of: &dyn Fn(&Latencies) -> f64| {
        let latencies = latencies();
        (!latencies.is_empty()).then(|| of(&latencies) / 1e9)
    };
    match metric {
        Metric::Quantile(quantile) => time(&|all| to_f64(all.value_at_quantile(quantile))),
        Metric::Mean => time(&|all| all.mean()),
        Metric::Max => time(&|all| to_f64(all.max())),
        Metric::ErrorShare => share(counts.errors, counts.answers + counts.errors),
        Metric::Errors => Some(to_f64(counts.errors)),
        Metric::MismatchShare => share(counts.mismatches, counts.answers),
        Metric::Mismatches => Some(to_f64(counts.mismatches)),
        Metric::Rate => Some(per_second(counts.answers, duration_s)),
        Metric::HitRatio => counts.hit_ratio,
    }
}
