//! Whether a run measured the server, or the generator and its surroundings.
//!
//! Pure: facts and limits in, reasons out. A run with a reason is invalid whatever it found.

use crate::stats::share;

/// Limits beyond which a run is invalid.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Gates {
    /// CPU use of the busiest worker of an open loop, as a share of one CPU. A generator without
    /// idle time cannot keep to a schedule. A closed loop has no schedule and is only warned of.
    pub worker_cpu_share_max: f64,
    /// 99th percentile of the schedule lag, seconds, below which lag never matters.
    pub lag_p99_s_max: f64,
    /// The same as a share of the 99th percentile of the latency, below which it does not matter.
    pub lag_share_max: f64,
    /// Requests of an open loop sent before the planned end, as a share of those due.
    pub rate_ratio_min: f64,
    /// CPU time of the machine that another one ran.
    pub stolen_share_max: f64,
}

impl Default for Gates {
    fn default() -> Self {
        Self {
            worker_cpu_share_max: 0.98,
            lag_p99_s_max: 0.01,
            lag_share_max: 0.2,
            rate_ratio_min: 0.95,
            stolen_share_max: 0.10,
        }
    }
}

/// What is judged.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Facts {
    /// CPU use of the busiest worker.
    pub worker_cpu_share: f64,
    /// Share of the time in which the workers were ready to run and their CPUs were others'.
    pub kept_waiting_share: f64,
    /// Schedule lag and ratio, of open loops.
    pub open: Option<OpenFacts>,
    /// 99th percentile of the latency, seconds.
    pub latency_p99_s: f64,
    /// Stolen share of the machine's CPU time.
    pub stolen_share: f64,
    /// Measured time, seconds.
    pub duration_s: f64,
    /// Answers and errors.
    pub requests: u64,
    /// Ended by a signal.
    pub interrupted: bool,
    /// No connection could be made.
    pub never_connected: bool,
}

/// What is judged of an open loop besides.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct OpenFacts {
    /// Requests sent before the planned end, as a share of those due.
    pub rate_ratio: f64,
    /// 99th percentile of the schedule lag, seconds.
    pub lag_p99_s: f64,
}

/// Shorter runs have too few clock ticks for CPU shares to mean anything.
const CPU_SHARES_FROM_S: f64 = 0.5;

/// With fewer requests the 99th percentile is one of the ten highest values, a matter of chance.
const PERCENTILES_FROM_REQUESTS: u64 = 1000;

/// From this share on, the rate of a closed loop may be the generator's.
const CLOSED_LOOP_CPU_SHARE: f64 = 0.9;

/// From this share on, lateness may be the doing of what else runs on the generator's CPUs.
const KEPT_WAITING_SHARE: f64 = 0.01;

impl Gates {
    /// Why the run is invalid; empty when it is valid.
    #[must_use]
    pub fn invalid_reasons(&self, facts: &Facts) -> Vec<String> {
        let mut reasons = Vec::new();
        if facts.never_connected {
            reasons.push("no connection could be made".to_owned());
        } else if facts.requests == 0 {
            reasons.push("nothing was measured".to_owned());
        }
        if facts.interrupted {
            reasons.push("interrupted before the end".to_owned());
        }
        if let Some(open) = facts.open {
            let cpu = facts.worker_cpu_share;
            if cpu > self.worker_cpu_share_max && facts.duration_s >= CPU_SHARES_FROM_S {
                reasons.push(format!(
                    "the generator was busy {:.0} % of the time (limit {:.0} %); give it more CPUs \
                     or a lower rate",
                    100.0 * cpu,
                    100.0 * self.worker_cpu_share_max
                ));
            }
            let lag = open.lag_p99_s;
            let is_late =
                lag > self.lag_p99_s_max && lag > self.lag_share_max * facts.latency_p99_s;
            if is_late && facts.requests >= PERCENTILES_FROM_REQUESTS {
                reasons.push(format!(
                    "requests were sent late by the generator itself: p99 of the schedule lag is \
                     {:.1} ms (limit {:.1} ms)",
                    1e3 * lag,
                    1e3 * self.lag_p99_s_max
                ));
            }
            if open.rate_ratio < self.rate_ratio_min {
                reasons.push(format!(
                    "only {:.1} % of the requests due were sent in time (limit {:.0} %): more \
                     connections, more CPUs or a lower rate are needed",
                    100.0 * open.rate_ratio,
                    100.0 * self.rate_ratio_min
                ));
            }
        }
        if facts.stolen_share > self.stolen_share_max && facts.duration_s >= CPU_SHARES_FROM_S {
            reasons.push(format!(
                "{:.1} % of the machine's CPU time was stolen by others (limit {:.0} %)",
                100.0 * facts.stolen_share,
                100.0 * self.stolen_share_max
            ));
        }
        reasons
    }
}

/// What a reader should know though the run is valid.
#[must_use]
pub fn warnings(facts: &Facts) -> Vec<String> {
    let mut warnings = Vec::new();
    let cpu = facts.worker_cpu_share;
    if facts.open.is_none() && cpu > CLOSED_LOOP_CPU_SHARE && facts.duration_s >= CPU_SHARES_FROM_S
    {
        warnings.push(format!(
            "the generator was busy {:.0} % of the time: the rate may be its own, not the \
             server's; compare the server's CPU time per request instead, or give more --cpu",
            100.0 * cpu
        ));
    }
    let kept_waiting = facts.kept_waiting_share;
    if kept_waiting > KEPT_WAITING_SHARE && facts.duration_s >= CPU_SHARES_FROM_S {
        warnings.push(format!(
            "others had the generator's CPU while it wanted it, {:.1} % of the time; give it its own",
            100.0 * kept_waiting
        ));
    }
    warnings
}

/// What is judged of requests that ask for a hit ratio.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct HitFacts {
    /// The ratio asked for, 0 to 1.
    pub asked: f64,
    /// All answers.
    pub answers: u64,
    /// Answers from a cache.
    pub hits: u64,
    /// Answers that a cache said it did not have.
    pub misses: u64,
}

/// A hit ratio so far from the one asked for is told, and besides what chance may do.
const HIT_RATIO_OFF: f64 = 0.03;

/// Chance is given so many standard deviations: one run in 2,000,000 is warned of wrongly.
const HIT_RATIO_DEVIATIONS: f64 = 5.0;

/// Why the hit ratio is not the one asked for, if it is not.
#[must_use]
pub fn hit_ratio_warning(facts: &HitFacts) -> Option<String> {
    let asked = 100.0 * facts.asked;
    let said = facts.hits + facts.misses;
    let Some(measured) = share(facts.hits, said) else {
        return (facts.answers > 0).then(|| {
            format!(
                "a hit ratio of {asked:.1} % was asked for, and no answer says by Cache-Status or \
                 X-Cache whether it is a hit"
            )
        });
    };
    #[expect(
        clippy::cast_precision_loss,
        reason = "counts of a run are far below 2^52"
    )]
    let deviation = (facts.asked * (1.0 - facts.asked) / said as f64).sqrt();
    let off = measured - facts.asked;
    if off.abs() <= HIT_RATIO_OFF + HIT_RATIO_DEVIATIONS * deviation {
        return None;
    }
    let cause = if off < 0.0 {
        "were all keys asked for before (--warmup), does the server store them, and is there room \
         for them?"
    } else {
        "fresh keys were stored before: was --fresh-base given twice, or does the cache key leave \
         the number out?"
    };
    Some(format!(
        "the hit ratio was {:.1} % where {asked:.1} % was asked for; {cause}",
        100.0 * measured
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: Facts = Facts {
        worker_cpu_share: 0.5,
        kept_waiting_share: 0.009,
        open: Some(OpenFacts {
            rate_ratio: 1.0,
            lag_p99_s: 0.000_05,
        }),
        latency_p99_s: 0.001,
        stolen_share: 0.01,
        duration_s: 10.0,
        requests: 1000,
        interrupted: false,
        never_connected: false,
    };

    #[test]
    fn each_gate_closes() {
        let check = |edit: &dyn Fn(&mut Facts), expected: &str| {
            let mut facts = GOOD;
            edit(&mut facts);
            let reasons = Gates::default().invalid_reasons(&facts).join("; ");
            assert_eq!(reasons.is_empty(), expected.is_empty(), "{reasons}");
            assert!(reasons.contains(expected), "{reasons}, not {expected}");
        };
        let open = |rate_ratio, lag_p99_s| {
            Some(OpenFacts {
                rate_ratio,
                lag_p99_s,
            })
        };
        check(&|_| (), "");
        check(&|facts| facts.worker_cpu_share = 0.99, "busy 99 %");
        check(
            &|facts| (facts.worker_cpu_share, facts.open) = (0.99, None),
            "",
        );
        check(
            &|facts| (facts.worker_cpu_share, facts.duration_s) = (0.99, 0.4),
            "",
        );
        check(&|facts| facts.open = open(1.0, 0.011), "sent late");
        check(&|facts| facts.open = open(1.0, 0.009), "");
        check(
            &|facts| (facts.open, facts.latency_p99_s) = (open(1.0, 0.011), 1.0),
            "",
        );
        check(
            &|facts| (facts.open, facts.requests) = (open(1.0, 0.011), 999),
            "",
        );
        check(&|facts| facts.open = open(0.9, 0.0), "only 90.0 %");
        check(&|facts| facts.stolen_share = 0.2, "stolen");
        check(&|facts| facts.requests = 0, "nothing was measured");
        check(&|facts| facts.interrupted = true, "interrupted");
        check(&|facts| facts.never_connected = true, "no connection");
    }

    #[test]
    fn a_missed_hit_ratio_is_told_and_chance_is_not() {
        let check = |asked, hits, misses, expected: &str| {
            let facts = HitFacts {
                asked,
                answers: 1000,
                hits,
                misses,
            };
            let warning = hit_ratio_warning(&facts).unwrap_or_default();
            assert_eq!(warning.is_empty(), expected.is_empty(), "{warning}");
            assert!(warning.contains(expected), "{warning}, not {expected}");
        };
        check(0.5, 500, 500, "");
        check(0.5, 40, 60, "");
        check(0.5, 45_000, 55_000, "was 45.0 % where 50.0 %");
        check(0.5, 45_000, 55_000, "--warmup");
        check(0.5, 46_990, 53_010, "");
        check(0.0, 530, 470, "fresh keys were stored before");
        check(0.0, 29, 971, "");
        check(1.0, 971, 29, "");
        check(1.0, 969, 31, "was 96.9 %");
        check(0.9, 0, 0, "no answer says");
    }

    #[test]
    fn a_busy_closed_loop_and_a_shared_cpu_are_warned_of() {
        let closed = Facts {
            open: None,
            worker_cpu_share: 0.95,
            ..GOOD
        };
        assert_eq!(warnings(&closed).len(), 1);
        assert_eq!(warnings(&GOOD).len(), 0);
        let crowded = Facts {
            kept_waiting_share: 0.2,
            ..GOOD
        };
        assert!(warnings(&crowded)[0].contains("20.0 % of the time"));
    }
}
