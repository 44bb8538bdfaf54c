//! How a suite's time is shared out, so that the last scenario gets its rounds as well as the first.
//!
//! Pure: lengths in, lengths out. Each scenario may use its share of what is left, and what it did
//! not use is shared anew. A scenario that is behind still runs the fewest rounds that mean something,
//! and makes up for void ones of them as long as all that come after it can have theirs.

use std::time::Duration;

/// What a scenario takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cost {
    /// Starting everybody, the fewest rounds that mean something, and the open loop.
    pub(super) least: Duration,
    /// The same with all rounds that were asked for.
    pub(super) whole: Duration,
    /// Of either: what comes after the rounds.
    pub(super) after_rounds: Duration,
}

/// Until when rounds are begun, from the beginning of the suite.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Until {
    /// Any rounds: those asked for, and those that make up for void runs.
    pub(super) wanted: Duration,
    /// Rounds without which there would be fewer than the least.
    pub(super) needed: Duration,
}

impl Until {
    /// No bound.
    pub(super) const NEVER: Self = Self {
        wanted: Duration::MAX,
        needed: Duration::MAX,
    };
}

/// Until when the first of `costs` may begin rounds, when `elapsed` of `budget` is over; the others
/// come after it.
pub(super) fn until(budget: Option<Duration>, elapsed: Duration, costs: &[Cost]) -> Until {
    let (Some(budget), Some((own, later))) = (budget, costs.split_first()) else {
        return Until::NEVER;
    };
    let left = budget.saturating_sub(elapsed);
    let whole: Duration = costs.iter().map(|cost| cost.whole).sum();
    let share = if whole.is_zero() {
        1.0
    } else {
        own.whole.as_secs_f64() / whole.as_secs_f64()
    };
    let later: Duration = later.iter().map(|cost| cost.least).sum();
    let needed = budget.saturating_sub(later + own.after_rounds);
    let wanted = (elapsed + left.mul_f64(share)).saturating_sub(own.after_rounds);
    Until {
        wanted: wanted.min(needed),
        needed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_is_shared_out() {
        let seconds = Duration::from_secs;
        let cost = |least, whole, after| Cost {
            least: seconds(least),
            whole: seconds(whole),
            after_rounds: seconds(after),
        };
        let check = |elapsed, costs: &[Cost], wanted, needed| {
            let expected = Until {
                wanted: seconds(wanted),
                needed: seconds(needed),
            };
            let found = until(Some(seconds(100)), seconds(elapsed), costs);
            assert_eq!(found, expected, "{elapsed} {costs:?}");
        };
        // Two equal ones: half each, and the first may go on while the second keeps its least.
        check(0, &[cost(10, 40, 0), cost(10, 40, 0)], 50, 90);
        // What the first left is the second's.
        check(20, &[cost(10, 40, 0)], 100, 100);
        // The open loop comes out of a scenario's own share.
        check(0, &[cost(10, 40, 8), cost(10, 40, 0)], 42, 82);
        // Behind: rounds only as long as the others keep their least.
        check(85, &[cost(10, 40, 0), cost(10, 40, 0)], 90, 90);
        check(95, &[cost(10, 40, 0), cost(10, 40, 0)], 90, 90);
        check(120, &[cost(10, 40, 0)], 100, 100);
        assert_eq!(until(None, seconds(5), &[cost(1, 1, 0)]), Until::NEVER);
        assert_eq!(until(Some(seconds(5)), seconds(5), &[]), Until::NEVER);
    }
}
