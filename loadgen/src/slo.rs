//! Service level objectives: `p99<5ms`, `errors<0.1%`, `rate>=20000`, `hit_ratio>0.95`.
//!
//! An optional request kind stands in front: `fonts:p99<2ms`. Pure: measured values are given.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// One objective.
#[derive(Debug, Clone, PartialEq)]
pub struct Slo {
    /// Name of the request kind; `None` means all requests.
    pub kind: Option<String>,
    /// What is measured.
    pub metric: Metric,
    comparison: Comparison,
    limit: f64,
    text: String,
}

/// What an objective speaks of. Latencies are compared in seconds, shares from 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Metric {
    /// A latency quantile, 0 to 1.
    Quantile(f64),
    /// The mean latency.
    Mean,
    /// The highest latency.
    Max,
    /// Requests without a proper answer, as a share of those sent.
    ErrorShare,
    /// Requests without a proper answer.
    Errors,
    /// Wrong answers, as a share of all answers.
    MismatchShare,
    /// Wrong answers.
    Mismatches,
    /// Answers per second.
    Rate,
    /// Answers from the cache, as a share of those with a `Cache-Status`.
    HitRatio,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Comparison {
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// Text that is no objective.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not an objective: {problem} (examples: p99<5ms, errors<0.1%, rate>=20000)")]
pub struct SloError {
    text: String,
    problem: &'static str,
}

impl FromStr for Slo {
    type Err = SloError;

    fn from_str(text: &str) -> Result<Self, SloError> {
        let wrong = |problem| SloError {
            text: text.to_owned(),
            problem,
        };
        let at = text
            .find(['<', '>'])
            .ok_or_else(|| wrong("there is no < or >"))?;
        let (left, right) = text.split_at(at);
        let (comparison, value) = match right.as_bytes() {
            [b'<', b'=', ..] => (Comparison::LessOrEqual, &right[2..]),
            [b'<', ..] => (Comparison::Less, &right[1..]),
            [_, b'=', ..] => (Comparison::GreaterOrEqual, &right[2..]),
            _ => (Comparison::Greater, &right[1..]),
        };
        let (kind, name) = match left.rsplit_once(':') {
            Some((kind, name)) => (Some(kind.trim().to_owned()), name.trim()),
            None => (None, left.trim()),
        };
        let (metric, limit) = metric_and_limit(name, value.trim()).map_err(wrong)?;
        Ok(Self {
            kind,
            metric,
            comparison,
            limit,
            text: text.to_owned(),
        })
    }
}

fn metric_and_limit(name: &str, value: &str) -> Result<(Metric, f64), &'static str> {
    let number = |text: &str, problem| match text.parse::<f64>() {
        Ok(number) if number.is_finite() && number >= 0.0 => Ok(number),
        Ok(_) | Err(_) => Err(problem),
    };
    let seconds = || {
        humantime::parse_duration(value)
            .map(|duration: Duration| duration.as_secs_f64())
            .map_err(|_| "a latency is compared with a duration, like 5ms")
    };
    let share = || match value.strip_suffix('%') {
        Some(percent) => number(percent, "not a percentage").map(|percent| percent / 100.0),
        None => number(value, "a ratio is compared with 0.95 or 95%"),
    };
    let count_or_share = |count: Metric, of_all: Metric| {
        if value.ends_with('%') {
            Ok((of_all, share()?))
        } else {
            Ok((count, number(value, "write a count or a percentage")?))
        }
    };
    match name {
        "mean" => Ok((Metric::Mean, seconds()?)),
        "max" => Ok((Metric::Max, seconds()?)),
        "errors" => count_or_share(Metric::Errors, Metric::ErrorShare),
        "mismatches" => count_or_share(Metric::Mismatches, Metric::MismatchShare),
        "rate" => Ok((
            Metric::Rate,
            number(value, "a rate is compared with a number")?,
        )),
        "hit_ratio" => Ok((Metric::HitRatio, share()?)),
        _ => {
            let unknown = "it measures none of pNN, mean, max, errors, mismatches, rate, hit_ratio";
            let digits = name.strip_prefix('p').ok_or(unknown)?;
            Ok((
                Metric::Quantile(quantile(digits).ok_or(unknown)?),
                seconds()?,
            ))
        }
    }
}

/// `50`, `99`, `99.9` as percent; `999` and `9999`, without a point, as 99.9 and 99.99.
fn quantile(digits: &str) -> Option<f64> {
    let number: f64 = digits.parse().ok()?;
    let percent = match digits.len() {
        _ if digits.contains('.') => number,
        0..=2 => number,
        _ if number == 100.0 => number,
        length => number / 10_f64.powi(i32::try_from(length).ok()? - 2),
    };
    // Rounded, so that p999 and p99.9 are the same number.
    (0.0..=100.0)
        .contains(&percent)
        .then_some((percent * 1e7).round() / 1e9)
}

impl Slo {
    /// Whether `measured` meets the objective. Nothing measured never does.
    #[must_use]
    pub fn is_met_by(&self, measured: Option<f64>) -> bool {
        measured.is_some_and(|measured| match self.comparison {
            Comparison::Less => measured < self.limit,
            Comparison::LessOrEqual => measured <= self.limit,
            Comparison::Greater => measured > self.limit,
            Comparison::GreaterOrEqual => measured >= self.limit,
        })
    }
}

impl fmt::Display for Slo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objectives_are_read_and_judged() {
        let check = |text: &str, metric: Metric, good: f64, bad: f64| {
            let slo: Slo = text.parse().unwrap();
            assert_eq!(slo.metric, metric, "{text}");
            assert!(slo.is_met_by(Some(good)), "{text} with {good}");
            assert!(!slo.is_met_by(Some(bad)), "{text} with {bad}");
            assert!(!slo.is_met_by(None), "{text}");
            assert_eq!(slo.to_string(), text);
        };
        check("p99<5ms", Metric::Quantile(0.99), 0.004_9, 0.005);
        check("p99 <= 5ms", Metric::Quantile(0.99), 0.005, 0.005_1);
        check("p50<200us", Metric::Quantile(0.5), 0.000_1, 0.001);
        check("p999<1s", Metric::Quantile(0.999), 0.5, 1.5);
        check("p99.9<1s", Metric::Quantile(0.999), 0.5, 1.5);
        check("p100<1s", Metric::Quantile(1.0), 0.5, 1.5);
        check("mean<1ms", Metric::Mean, 0.0, 0.001);
        check("max<1s 500ms", Metric::Max, 1.4, 1.5);
        check("errors<0.1%", Metric::ErrorShare, 0.000_9, 0.001);
        check("errors<=0", Metric::Errors, 0.0, 1.0);
        check("mismatches<1", Metric::Mismatches, 0.0, 1.0);
        check("mismatches<1%", Metric::MismatchShare, 0.0, 0.02);
        check("rate>=20000", Metric::Rate, 20_000.0, 19_999.0);
        check("hit_ratio>95%", Metric::HitRatio, 0.96, 0.95);
        check("hit_ratio>0.5", Metric::HitRatio, 0.6, 0.5);
        assert_eq!(
            "fonts:p99<5ms".parse::<Slo>().unwrap().kind.as_deref(),
            Some("fonts")
        );
    }

    #[test]
    fn other_texts_are_refused() {
        let check = |text: &str, expected: &str| {
            let error = text.parse::<Slo>().unwrap_err().to_string();
            assert!(error.contains(expected), "{text}: {error}");
        };
        check("p99", "no < or >");
        check("p99<5", "a duration");
        check("q99<5ms", "measures none");
        check("p<5ms", "measures none");
        check("p100.5<5ms", "measures none");
        check("errors<x", "count or a percentage");
        check("errors<-1", "count or a percentage");
        check("rate>5ms", "a number");
        check("hit_ratio>x%", "percentage");
        check("", "no < or >");
    }
}
