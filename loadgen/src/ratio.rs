//! Two things measured against each other in several rounds: the ratio, how sure it is, and what
//! may be said of it.
//!
//! Pure: rounds and a seed in, numbers out. All of it happens on logarithms, so that the ratio of A
//! to B is exactly one over the ratio of B to A.
//!
//! Sources: the percentile bootstrap is Efron, *Bootstrap methods: another look at the jackknife*,
//! Ann. Statist. 7 (1979), and Efron and Tibshirani, *An Introduction to the Bootstrap* (1993),
//! chapter 13. For the median of few rounds it is too narrow: of seven rounds it leaves out the
//! lowest and the highest and covers 87.5 %, not 95 %. So the interval of paired rounds is never
//! narrower than the one of the sign test (Thompson, Ann. Math. Statist. 7 (1936)), which supposes
//! nothing about how measurements are distributed. Of three to five rounds not even their range
//! reaches 95 % that way; there the interval is not narrower than Student's (Biometrika 6 (1908)),
//! which supposes that logarithms scatter normally and pays for it in width: 4.3 standard errors of
//! three rounds. What these rules cannot repair is bias: rounds that are all wrong in the same way
//! make a narrow interval.

use std::fmt;

use rand::rngs::SmallRng;
use rand::{RngExt as _, SeedableRng as _};

/// With fewer rounds nothing is said.
pub const ROUNDS_MIN: usize = 3;

/// From this many rounds on the sign test's interval covers 95 % or more (96.9 % of six).
const SIGN_TEST_FROM: usize = 6;

/// How an interval is made.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bootstrap {
    /// How many times the rounds are drawn anew.
    pub resamples: usize,
    /// Share of intervals made so that hold the true ratio, 0 to 1.
    pub confidence: f64,
    /// Seed of the draws: the same rounds and the same seed give the same interval.
    pub seed: u64,
}

impl Default for Bootstrap {
    /// 10,000 draws, 95 %, seed 1.
    fn default() -> Self {
        Self {
            resamples: 10_000,
            confidence: 0.95,
            seed: 1,
        }
    }
}

/// A ratio and the interval it lies in.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ratio {
    /// The median of the rounds' ratios, or the ratio of the medians of unpaired rounds.
    pub median: f64,
    /// Lower end of the interval.
    pub low: f64,
    /// Upper end of the interval.
    pub high: f64,
    /// Rounds it is made of; of unpaired ones, those of the side that has fewer.
    pub rounds: usize,
}

/// What a ratio of costs or rates says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Verdict {
    /// The whole interval lies beyond the threshold, on the good side.
    Faster,
    /// The whole interval lies beyond the threshold, on the bad side.
    Slower,
    /// Anything else: no difference, a smaller one, or too few or too unsteady rounds.
    CannotTell,
}

impl Verdict {
    /// In words.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Faster => "faster",
            Self::Slower => "slower",
            Self::CannotTell => "cannot tell",
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Which ratios are good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Better {
    /// Rates, requests per CPU-second: above 1 is good.
    Higher,
    /// Times, CPU microseconds per request: below 1 is good.
    Lower,
}

impl Ratio {
    /// The median of `ratios`, one a round, where both sides were measured in each round.
    ///
    /// `None` when there are none, or one is not a positive number.
    ///
    /// ```
    /// use loadgen::ratio::{Better, Bootstrap, Ratio, Verdict};
    /// let rounds = [1.31, 1.28, 1.35, 1.30, 1.27, 1.33, 1.29, 1.32];
    /// let ratio = Ratio::of_rounds(&rounds, &Bootstrap::default()).unwrap();
    /// assert_eq!(format!("{ratio:.2}"), "1.30 (1.27 – 1.35)");
    /// assert_eq!(ratio.verdict(Better::Higher, 0.02), Verdict::Faster);
    /// ```
    #[must_use]
    pub fn of_rounds(ratios: &[f64], bootstrap: &Bootstrap) -> Option<Self> {
        let logs = sorted_logs(ratios)?;
        let mut places = Vec::new();
        let (low, high) = bootstrap.interval(|random| resampled_median(&logs, &mut places, random));
        let (sign_low, sign_high) = sign_interval(&logs, bootstrap.confidence);
        let (mut low, mut high) = (low.min(sign_low), high.max(sign_high));
        if logs.len() < SIGN_TEST_FROM {
            let half = student_quantile(logs.len() - 1, bootstrap.confidence)
                * standard_error_squared(&logs).sqrt();
            low = low.min(mean(&logs) - half);
            high = high.max(mean(&logs) + half);
        }
        Some(Self {
            median: median(&logs).exp(),
            low: low.exp(),
            high: high.exp(),
            rounds: logs.len(),
        })
    }

    /// The median of `of` as a ratio to the median of `to`, where the rounds of one side have
    /// nothing to do with those of the other: two artefacts of different days. The interval is the
    /// percentile bootstrap of both sides at once; where a side has fewer than six rounds, it is not
    /// narrower than Student's with the fewer degrees of freedom.
    ///
    /// `None` when a side is empty or has a value that is not a positive number.
    #[must_use]
    pub fn of_unpaired(of: &[f64], to: &[f64], bootstrap: &Bootstrap) -> Option<Self> {
        let (of, to) = (sorted_logs(of)?, sorted_logs(to)?);
        let mut places = Vec::new();
        let (mut low, mut high) = bootstrap.interval(|random| {
            let of = resampled_median(&of, &mut places, random);
            of - resampled_median(&to, &mut places, random)
        });
        let rounds = of.len().min(to.len());
        if rounds < SIGN_TEST_FROM {
            let error = (standard_error_squared(&of) + standard_error_squared(&to)).sqrt();
            let half = student_quantile(rounds - 1, bootstrap.confidence) * error;
            low = low.min(mean(&of) - mean(&to) - half);
            high = high.max(mean(&of) - mean(&to) + half);
        }
        Some(Self {
            median: (median(&of) - median(&to)).exp(),
            low: low.exp(),
            high: high.exp(),
            rounds,
        })
    }

    /// The ratio the other way round.
    #[must_use]
    pub fn inverse(self) -> Self {
        Self {
            median: 1.0 / self.median,
            low: 1.0 / self.high,
            high: 1.0 / self.low,
            rounds: self.rounds,
        }
    }

    /// What may be said: the interval is compared with 1 / (1 + `threshold`) and 1 + `threshold`,
    /// a share like 0.02. Of fewer than [`ROUNDS_MIN`] rounds nothing is said.
    #[must_use]
    pub fn verdict(&self, better: Better, threshold: f64) -> Verdict {
        let bound = 1.0 + threshold.max(0.0);
        let (above, below) = (self.low > bound, self.high < 1.0 / bound);
        match better {
            _ if self.rounds < ROUNDS_MIN => Verdict::CannotTell,
            Better::Higher if above => Verdict::Faster,
            Better::Lower if below => Verdict::Faster,
            Better::Higher if below => Verdict::Slower,
            Better::Lower if above => Verdict::Slower,
            Better::Higher | Better::Lower => Verdict::CannotTell,
        }
    }
}

impl fmt::Display for Ratio {
    /// `1.30 (1.27 – 1.35)`, of one round `1.30`: it does not say how far the next would be from it.
    /// The precision is that of the format, 2 when it names none.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = f.precision().unwrap_or(2);
        let Self {
            median,
            low,
            high,
            rounds,
        } = self;
        write!(f, "{median:.digits$}")?;
        if *rounds > 1 {
            write!(f, " ({low:.digits$} – {high:.digits$})")?;
        }
        Ok(())
    }
}

impl Bootstrap {
    /// The percentiles that leave out half of the rest on each side.
    fn interval(&self, mut statistic: impl FnMut(&mut SmallRng) -> f64) -> (f64, f64) {
        let mut random = SmallRng::seed_from_u64(self.seed);
        let count = self.resamples.max(1);
        let mut drawn: Vec<f64> = (0..count).map(|_| statistic(&mut random)).collect();
        drawn.sort_by(f64::total_cmp);
        let left_out = (1.0 - self.confidence.clamp(0.0, 1.0)) / 2.0;
        let skip = whole(left_out * float(count)).min((count - 1) / 2);
        (drawn[skip], drawn[count - 1 - skip])
    }
}

/// Logarithms in ascending order.
fn sorted_logs(values: &[f64]) -> Option<Vec<f64>> {
    let is_good = |value: &f64| value.is_finite() && *value > 0.0;
    if values.is_empty() || !values.iter().all(is_good) {
        return None;
    }
    let mut logs: Vec<f64> = values.iter().map(|value| value.ln()).collect();
    logs.sort_by(f64::total_cmp);
    Some(logs)
}

/// Of ascending values, at least one.
fn median(sorted: &[f64]) -> f64 {
    let (low, high) = ((sorted.len() - 1) / 2, sorted.len() / 2);
    f64::midpoint(sorted[low], sorted[high])
}

/// The median of as many values drawn with replacement. `places` counts how often each was drawn,
/// so that nothing has to be sorted; its memory is used again.
fn resampled_median(sorted: &[f64], places: &mut Vec<u32>, random: &mut SmallRng) -> f64 {
    places.clear();
    places.resize(sorted.len(), 0);
    for _ in 0..sorted.len() {
        places[random.random_range(0..sorted.len())] += 1;
    }
    let (low, high) = ((sorted.len() - 1) / 2, sorted.len() / 2);
    let at = |rank: usize| {
        let mut seen = 0;
        let place = places.iter().position(|count| {
            seen += *count as usize;
            seen > rank
        });
        sorted[place.expect("the counts add up to more than any rank")]
    };
    f64::midpoint(at(low), at(high))
}

/// The narrowest interval between two of the values, as far from each end, that holds the true
/// median with `confidence`; all of them when even that does not reach it.
fn sign_interval(sorted: &[f64], confidence: f64) -> (f64, f64) {
    let count = sorted.len();
    // The chance that at most `skip` of `count` fair coins show heads, twice, is what is left out.
    let mut term = 0.5_f64.powi(i32::try_from(count).unwrap_or(i32::MAX));
    let (mut left_out, mut skip) = (2.0 * term, 0);
    while skip + 1 < count.div_ceil(2) {
        term *= float(count - skip) / float(skip + 1);
        left_out += 2.0 * term;
        if left_out > 1.0 - confidence {
            break;
        }
        skip += 1;
    }
    (sorted[skip], sorted[count - 1 - skip])
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / float(values.len())
}

/// Variance of the mean of `values`; 0 of one value, of which nothing is said anyway.
fn standard_error_squared(values: &[f64]) -> f64 {
    let (count, mean) = (float(values.len()), mean(values));
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    squares / (count - 1.0).max(1.0) / count
}

/// How many standard errors on each side of the mean hold `confidence` of Student's distribution;
/// its distribution function is elementary for each of the few degrees of freedom needed here
/// (Abramowitz and Stegun, 26.7.3 and 26.7.4). 0 for none.
fn student_quantile(freedom: usize, confidence: f64) -> f64 {
    let within = |t: f64| match freedom {
        0 => 1.0,
        1 => t.atan() * std::f64::consts::FRAC_2_PI,
        2 => t / (2.0 + t * t).sqrt(),
        3 => {
            let angle = (t / 3.0_f64.sqrt()).atan();
            (angle + angle.sin() * angle.cos()) * std::f64::consts::FRAC_2_PI
        }
        _ => {
            let angle = (t / 2.0).atan();
            angle.sin() * (1.0 + angle.cos().powi(2) / 2.0)
        }
    };
    let (mut low, mut high) = (0.0, 1e4);
    for _ in 0..60 {
        let middle = f64::midpoint(low, high);
        if within(middle) < confidence {
            low = middle;
        } else {
            high = middle;
        }
    }
    low
}

#[expect(clippy::cast_precision_loss, reason = "counts of rounds and draws")]
fn float(count: usize) -> f64 {
    count as f64
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a share of a count, rounded down"
)]
fn whole(count: f64) -> usize {
    count as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Bootstrap = Bootstrap {
        resamples: 20_000,
        confidence: 0.95,
        seed: 7,
    };

    fn of(ratios: &[f64]) -> Ratio {
        Ratio::of_rounds(ratios, &PLAIN).unwrap()
    }

    fn counting(count: usize) -> Vec<f64> {
        (1..=count).map(float).collect()
    }

    #[test]
    fn medians() {
        let check = |ratios: &[f64], expected: f64| {
            let got = of(ratios).median;
            assert!((got - expected).abs() < 1e-9, "{ratios:?}: {got}");
        };
        check(&[1.2], 1.2);
        check(&[4.0, 1.0], 2.0);
        check(&[3.0, 1.0, 2.0], 2.0);
        check(&[8.0, 1.0, 2.0, 100.0], 4.0);
    }

    /// Of an odd number of rounds the bootstrap distribution of the median is known: it is at most
    /// the k-th value when at least (n + 1) / 2 of n draws are, each with chance k / n.
    #[test]
    fn the_bootstrap_finds_its_known_distribution() {
        let check = |count: usize, confidence: f64, low: f64, high: f64| {
            let bootstrap = Bootstrap {
                confidence,
                ..PLAIN
            };
            let logs = counting(count);
            let got = bootstrap.interval(|random| resampled_median(&logs, &mut Vec::new(), random));
            assert_eq!(got, (low, high), "{count} rounds, {confidence}");
        };
        // P(median of 7 draws <= 1st) = 0.0102, <= 2nd = 0.108, <= 3rd = 0.338.
        check(7, 0.99, 1.0, 7.0);
        check(7, 0.95, 2.0, 6.0);
        check(7, 0.60, 3.0, 5.0);
        // Of 11 rounds: <= 1st 0.0002, <= 2nd 0.0082, <= 3rd 0.053, <= 4th 0.176.
        check(11, 0.99, 2.0, 10.0);
        check(11, 0.95, 3.0, 9.0);
        check(11, 0.80, 4.0, 8.0);
        // Of 3: <= 1st 0.259.
        check(3, 0.95, 1.0, 3.0);
    }

    /// The table of the sign test's intervals for the median, as it stands in textbooks.
    #[test]
    fn the_sign_test_finds_its_known_ranks() {
        let check = |count: usize, confidence: f64, low: f64, high: f64| {
            let got = sign_interval(&counting(count), confidence);
            assert_eq!(got, (low, high), "{count} rounds, {confidence}");
        };
        check(1, 0.95, 1.0, 1.0);
        check(5, 0.95, 1.0, 5.0); // covers 93.75 %, all there is
        check(6, 0.95, 1.0, 6.0); // 96.9 %
        check(8, 0.95, 1.0, 8.0); // 99.2 %; the next would be 93.0 %
        check(9, 0.95, 2.0, 8.0); // 96.1 %
        check(10, 0.95, 2.0, 9.0); // 97.9 %
        check(12, 0.95, 3.0, 10.0); // 96.1 %
        check(15, 0.95, 4.0, 12.0); // 96.5 %
        check(20, 0.95, 6.0, 15.0); // 95.9 %
        check(20, 0.99, 4.0, 17.0); // 99.7 %; the next would be 98.8 %
    }

    /// The table that every textbook has.
    #[test]
    fn student_s_distribution_is_the_known_one() {
        let check = |freedom: usize, confidence: f64, expected: f64| {
            let got = student_quantile(freedom, confidence);
            assert!(
                (got - expected).abs() < 0.001,
                "{freedom}, {confidence}: {got}"
            );
        };
        check(0, 0.95, 0.0);
        check(1, 0.95, 12.706);
        check(2, 0.95, 4.303);
        check(3, 0.95, 3.182);
        check(4, 0.95, 2.776);
        check(2, 0.99, 9.925);
        check(3, 0.99, 5.841);
        check(4, 0.99, 4.604);
        check(4, 0.50, 0.741);
    }

    /// Four rounds of 2 % scatter: the mean of the logarithms and 3.182 standard errors.
    #[test]
    fn few_rounds_are_trusted_less() {
        let ratio = of(&[1.98, 2.00, 2.00, 2.02]);
        let half = 3.182 * (0.02_f64.powi(2) / 2.0 / 4.0 / 3.0 * 1.0001).sqrt();
        assert!(
            (ratio.low.ln() - 2.0_f64.ln() + half).abs() < 2e-4,
            "{ratio:?}"
        );
        assert!(
            (ratio.high.ln() - 2.0_f64.ln() - half).abs() < 2e-4,
            "{ratio:?}"
        );
        assert_eq!(ratio.verdict(Better::Higher, 0.02), Verdict::Faster);
        let wild = of(&[1.1, 1.5, 1.2]);
        assert_eq!(
            wild.verdict(Better::Higher, 0.02),
            Verdict::CannotTell,
            "{wild:?}"
        );
    }

    #[test]
    fn the_interval_holds_the_truth_as_often_as_it_says() {
        let mut random = SmallRng::seed_from_u64(99);
        let bootstrap = Bootstrap {
            resamples: 200,
            ..PLAIN
        };
        for (rounds, unpaired_from) in [(3, 0.93), (4, 0.93), (6, 0.86), (9, 0.88), (16, 0.89)] {
            let noisy = |random: &mut SmallRng, truth: f64| -> Vec<f64> {
                let mut one = || {
                    // Heavy to one side, as stolen time is: the median of u / (1 - u) is 1.
                    let share = random.random_range(0.001..0.999_f64);
                    truth * (share / (1.0 - share)).powf(0.1)
                };
                (0..rounds).map(|_| one()).collect()
            };
            let (mut paired, mut unpaired) = (0, 0);
            for _ in 0..400 {
                let (a, b) = (noisy(&mut random, 1.5), noisy(&mut random, 1.0));
                let holds = |ratio: Ratio| ratio.low <= 1.5 && 1.5 <= ratio.high;
                paired += u32::from(holds(Ratio::of_rounds(&a, &bootstrap).unwrap()));
                unpaired += u32::from(holds(Ratio::of_unpaired(&a, &b, &bootstrap).unwrap()));
            }
            let (paired, unpaired) = (f64::from(paired) / 400.0, f64::from(unpaired) / 400.0);
            assert!(paired >= 0.94, "{rounds} rounds: {paired}");
            assert!(
                unpaired >= unpaired_from,
                "{rounds} unpaired rounds: {unpaired}"
            );
        }
    }

    #[test]
    fn a_ratio_turned_round_is_its_inverse() {
        let rounds = [1.2, 0.9, 1.4, 1.31, 0.97, 1.1, 2.0, 1.01];
        let turned: Vec<f64> = rounds.iter().map(|ratio| 1.0 / ratio).collect();
        let (a, b) = (of(&rounds), of(&turned).inverse());
        assert!((a.median - b.median).abs() < 1e-12, "{a:?} {b:?}");
        let near = |a: f64, b: f64| (a / b - 1.0).abs() < 0.02;
        assert!(near(a.low, b.low) && near(a.high, b.high), "{a:?} {b:?}");
        assert_eq!(of(&rounds), of(&rounds), "the same seed, the same interval");
    }

    #[test]
    fn verdicts() {
        let check = |low: f64, high: f64, rounds: usize, higher: Verdict, lower: Verdict| {
            let ratio = Ratio {
                median: (low * high).sqrt(),
                low,
                high,
                rounds,
            };
            assert_eq!(ratio.verdict(Better::Higher, 0.02), higher, "{ratio:?}");
            assert_eq!(ratio.verdict(Better::Lower, 0.02), lower, "{ratio:?}");
        };
        let (faster, slower, cannot) = (Verdict::Faster, Verdict::Slower, Verdict::CannotTell);
        check(1.03, 1.10, 8, faster, slower);
        check(0.80, 0.97, 8, slower, faster);
        check(1.01, 1.10, 8, cannot, cannot);
        check(0.90, 0.99, 8, cannot, cannot);
        check(0.99, 1.01, 8, cannot, cannot);
        check(0.50, 2.00, 8, cannot, cannot);
        check(1.50, 1.60, 2, cannot, cannot);
        check(1.50, 1.60, 3, faster, slower);
    }

    #[test]
    fn what_is_no_ratio_is_refused() {
        for bad in [
            &[][..],
            &[0.0],
            &[1.0, -1.0],
            &[f64::NAN],
            &[f64::INFINITY, 1.0],
        ] {
            assert_eq!(Ratio::of_rounds(bad, &PLAIN), None, "{bad:?}");
            assert_eq!(Ratio::of_unpaired(&[1.0], bad, &PLAIN), None, "{bad:?}");
        }
    }

    #[test]
    fn unpaired_rounds_need_not_be_as_many() {
        let ratio = Ratio::of_unpaired(&[2.0, 2.0, 2.0], &[1.0; 9], &PLAIN).unwrap();
        assert_eq!((ratio.median, ratio.rounds), (2.0, 3), "{ratio:?}");
        assert_eq!(format!("{ratio}"), "2.00 (2.00 – 2.00)");
    }
}
