//! When each request of an open-loop run is meant to be sent.
//!
//! Pure: request number in, nanoseconds after the start out. The schedule knows nothing of the
//! server; latency is counted from these times, so that a server which stalls is charged for the
//! requests that had to wait (no coordinated omission).

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

/// Requests per second over time, as written after `--rate`.
#[derive(Debug, Clone, PartialEq)]
pub enum Rate {
    /// `5000`: the same all the time.
    Constant(f64),
    /// `1000:20000`: from one to the other, linearly, over the run.
    Ramp(f64, f64),
    /// `1000,2000x5s,4000`: one after the other. A step without a duration takes an equal part of
    /// what the run has left over for such steps.
    Steps(Vec<(f64, Option<Duration>)>),
}

/// A rate that cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RateError {
    /// Not a number, or not above zero.
    #[error("`{0}` is not a rate; write requests per second, like 5000")]
    NotARate(String),
    /// The part after `x` of a step.
    #[error("`{0}` is not a duration; write for example 5s")]
    NotADuration(String),
    /// Ramps and steps only make sense in a run of known length.
    #[error("a ramp or steps without durations need -d")]
    NoDuration,
    /// The steps with durations are longer than the run.
    #[error("the steps take {steps:?}, the run only {run:?}")]
    TooLong {
        /// Sum of the steps' durations.
        steps: Duration,
        /// What `-d` says.
        run: Duration,
    },
}

impl FromStr for Rate {
    type Err = RateError;

    fn from_str(text: &str) -> Result<Self, RateError> {
        let rate = |text: &str| match text.trim().parse::<f64>() {
            Ok(rate) if rate.is_finite() && rate > 0.0 => Ok(rate),
            Ok(_) | Err(_) => Err(RateError::NotARate(text.to_owned())),
        };
        if let Some((from, to)) = text.split_once(':') {
            return Ok(Self::Ramp(rate(from)?, rate(to)?));
        }
        let step = |text: &str| match text.split_once('x') {
            None => Ok((rate(text)?, None)),
            Some((per_second, duration)) => humantime::parse_duration(duration)
                .map_err(|_| RateError::NotADuration(duration.to_owned()))
                .and_then(|duration| Ok((rate(per_second)?, Some(duration)))),
        };
        match text
            .split(',')
            .map(step)
            .collect::<Result<Vec<_>, _>>()?
            .as_slice()
        {
            [(rate, None)] => Ok(Self::Constant(*rate)),
            steps => Ok(Self::Steps(steps.to_vec())),
        }
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Constant(rate) => write!(f, "{rate}"),
            Self::Ramp(from, to) => write!(f, "{from}:{to}"),
            Self::Steps(steps) => {
                for (index, (rate, duration)) in steps.iter().enumerate() {
                    let comma = if index == 0 { "" } else { "," };
                    write!(f, "{comma}{rate}")?;
                    if let Some(duration) = duration {
                        write!(f, "x{}", humantime::format_duration(*duration))?;
                    }
                }
                Ok(())
            }
        }
    }
}

/// Intended send times of a whole run.
#[derive(Debug, Clone)]
pub struct Schedule {
    shape: Shape,
    /// No request is meant to be sent at or after this time.
    end_ns: Option<u64>,
}

#[derive(Debug, Clone)]
enum Shape {
    /// Pieces on which the rate is a straight line, in order.
    Lines(Vec<Line>),
    /// Times taken from a log, ascending.
    Listed(Arc<[u64]>),
}

#[derive(Debug, Clone, Copy)]
struct Line {
    start_s: f64,
    /// Requests meant to be sent before `start_s`.
    before: f64,
    rate: f64,
    /// Change of the rate per second.
    slope: f64,
    /// Requests meant to be sent before the end of this line.
    until: f64,
}

impl Line {
    fn new(start_s: f64, before: f64, from: f64, to: f64, length_s: Option<f64>) -> Self {
        let until = length_s.map_or(f64::INFINITY, |length| before + (from + to) / 2.0 * length);
        let slope = length_s.map_or(0.0, |length| (to - from) / length);
        Self {
            start_s,
            before,
            rate: from,
            slope,
            until,
        }
    }

    /// Seconds after the start at which `count` requests have been sent.
    fn time_of(&self, count: f64) -> f64 {
        let behind = count - self.before;
        // Solves rate * t + slope / 2 * t^2 = behind in the form that has no cancellation and
        // holds for a slope of zero too.
        let root = (self.rate * self.rate + 2.0 * self.slope * behind)
            .max(0.0)
            .sqrt();
        self.start_s + 2.0 * behind / (self.rate + root)
    }
}

impl Schedule {
    /// The times of `rate` over `duration` (`None`: until the requests are counted off).
    ///
    /// # Errors
    /// When the rate needs a duration and there is none, or its steps do not fit.
    pub fn new(rate: &Rate, duration: Option<Duration>) -> Result<Self, RateError> {
        let end_ns = duration.map(duration_ns);
        let lines = match rate {
            Rate::Constant(rate) => vec![Line::new(0.0, 0.0, *rate, *rate, None)],
            Rate::Ramp(from, to) => {
                let length = duration.ok_or(RateError::NoDuration)?.as_secs_f64();
                vec![Line::new(0.0, 0.0, *from, *to, Some(length))]
            }
            Rate::Steps(steps) => step_lines(steps, duration)?,
        };
        let last = lines.last().map_or(0.0, |line| line.until);
        let end_ns = if last.is_finite() && end_ns.is_none() {
            steps_end(rate).map(duration_ns)
        } else {
            end_ns
        };
        Ok(Self {
            shape: Shape::Lines(lines),
            end_ns,
        })
    }

    /// Times as they are listed, ascending.
    #[must_use]
    pub fn listed(times_ns: Arc<[u64]>) -> Self {
        let end_ns = times_ns.last().map(|last| last + 1);
        Self {
            shape: Shape::Listed(times_ns),
            end_ns,
        }
    }

    /// When request `number` (from 0) is meant to be sent, in nanoseconds after the start;
    /// `None` when the run is over by then.
    #[must_use]
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "2^53 requests or nanoseconds (104 days) are beyond any run; times are positive"
    )]
    pub fn time_of(&self, number: u64) -> Option<u64> {
        let time = match &self.shape {
            Shape::Listed(times) => *times.get(usize::try_from(number).ok()?)?,
            Shape::Lines(lines) => {
                let count = number as f64;
                let line = lines.iter().find(|line| count < line.until)?;
                (line.time_of(count) * 1e9) as u64
            }
        };
        self.end_ns.is_none_or(|end| time < end).then_some(time)
    }

    /// How many requests are meant to be sent before `time_ns`.
    #[must_use]
    pub fn count_before(&self, time_ns: u64) -> u64 {
        // The times ascend, so the first one at or after `time_ns` is found by halving.
        let is_before = |number: u64| self.time_of(number).is_some_and(|time| time < time_ns);
        let mut above = 1;
        while is_before(above - 1) {
            above *= 2;
        }
        let (mut low, mut high) = (0, above);
        while low < high {
            let middle = low.midpoint(high);
            if is_before(middle) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }

    /// The end of the schedule, nanoseconds after the start.
    #[must_use]
    pub fn end_ns(&self) -> Option<u64> {
        self.end_ns
    }
}

fn step_lines(
    steps: &[(f64, Option<Duration>)],
    duration: Option<Duration>,
) -> Result<Vec<Line>, RateError> {
    let given: Duration = steps.iter().filter_map(|(_, duration)| *duration).sum();
    let open = u32::try_from(
        steps
            .iter()
            .filter(|(_, duration)| duration.is_none())
            .count(),
    )
    .unwrap_or(u32::MAX);
    let each = match (open, duration) {
        (_, Some(run)) if given > run => {
            return Err(RateError::TooLong { steps: given, run });
        }
        (0, _) => Duration::ZERO,
        (_, None) => return Err(RateError::NoDuration),
        (_, Some(run)) => run.saturating_sub(given) / open,
    };
    let (mut start_s, mut before) = (0.0, 0.0);
    let lines = steps.iter().map(|(rate, length)| {
        let length_s = length.unwrap_or(each).as_secs_f64();
        let line = Line::new(start_s, before, *rate, *rate, Some(length_s));
        start_s += length_s;
        before = line.until;
        line
    });
    Ok(lines.collect())
}

fn steps_end(rate: &Rate) -> Option<Duration> {
    match rate {
        Rate::Constant(_) | Rate::Ramp(..) => None,
        Rate::Steps(steps) => Some(steps.iter().filter_map(|(_, duration)| *duration).sum()),
    }
}

fn duration_ns(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule(rate: &str, duration_s: Option<u64>) -> Schedule {
        Schedule::new(&rate.parse().unwrap(), duration_s.map(Duration::from_secs)).unwrap()
    }

    #[test]
    fn times() {
        let check = |rate: &str, duration_s, number, expected_us: Option<u64>| {
            let got = schedule(rate, duration_s)
                .time_of(number)
                .map(|ns| ns.div_ceil(1000));
            assert_eq!(
                got, expected_us,
                "{rate} for {duration_s:?} s, request {number}"
            );
        };
        check("1000", Some(1), 0, Some(0));
        check("1000", Some(1), 1, Some(1000));
        check("1000", Some(1), 999, Some(999_000));
        check("1000", Some(1), 1000, None);
        check("1000", None, 1_000_000, Some(1_000_000_000));
        check("0.5", Some(10), 1, Some(2_000_000));
        // 0:… is refused, so a ramp from nearly nothing: half of the requests are due at 0.707.
        check("0.000001:2000", Some(1), 500, Some(707_107));
        check("100:100", Some(10), 500, Some(5_000_000));
        check("2000:1000", Some(1), 1499, Some(999_001));
        check("2000:1000", Some(1), 1500, None);
        check("100,200", Some(2), 100, Some(1_000_000));
        check("100,200", Some(2), 299, Some(1_995_000));
        check("100,200", Some(2), 300, None);
        check("100x1s,200x3s", None, 699, Some(3_995_000));
        check("100x1s,200x3s", None, 700, None);
        check("100x1s,200", Some(4), 699, Some(3_995_000));
    }

    #[test]
    fn counts_agree_with_the_times() {
        for rate in ["977", "10:5000", "5000:10", "100,3000,50x1s", "0.3"] {
            let schedule = schedule(rate, Some(5));
            for time_ns in [
                0,
                1,
                1_000_000,
                777_777_777,
                2_500_000_000,
                5_000_000_000,
                u64::MAX,
            ] {
                let count = schedule.count_before(time_ns);
                let naive = (0..)
                    .map_while(|n| schedule.time_of(n))
                    .filter(|t| *t < time_ns);
                assert_eq!(count, naive.count() as u64, "{rate} before {time_ns}");
            }
        }
        let listed = Schedule::listed([5, 5, 9].into());
        assert_eq!((listed.time_of(2), listed.time_of(3)), (Some(9), None));
        assert_eq!((listed.count_before(9), listed.count_before(10)), (2, 3));
    }

    #[test]
    fn rates_are_read() {
        let check = |text: &str, expected: Result<&str, &str>| {
            let got = text.parse::<Rate>().map(|rate| rate.to_string());
            match (got, expected) {
                (Ok(got), Ok(expected)) => assert_eq!(got, expected, "{text}"),
                (Err(error), Err(part)) => {
                    assert!(error.to_string().contains(part), "{text}: {error}");
                }
                (got, expected) => panic!("{text}: {got:?}, not {expected:?}"),
            }
        };
        check("5000", Ok("5000"));
        check("1000:20000", Ok("1000:20000"));
        check("1000,2000x5s", Ok("1000,2000x5s"));
        check("5x2s", Ok("5x2s"));
        check("0", Err("not a rate"));
        check("-1", Err("not a rate"));
        check("nan", Err("not a rate"));
        check("", Err("not a rate"));
        check("1:0", Err("not a rate"));
        check("5xlong", Err("not a duration"));
    }

    #[test]
    fn what_does_not_fit_the_run_is_refused() {
        let check = |rate: &str, duration_s: Option<u64>, expected: &str| {
            let duration = duration_s.map(Duration::from_secs);
            let error = Schedule::new(&rate.parse().unwrap(), duration)
                .map(drop)
                .unwrap_err();
            assert!(error.to_string().contains(expected), "{rate}: {error}");
        };
        check("1:2", None, "need -d");
        check("1,2", None, "need -d");
        check("1x3s,2", Some(2), "the steps take 3s");
    }
}
