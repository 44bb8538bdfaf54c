//! Medians of rounds, and ratios of rounds as the artefact holds them. Pure.
//!
//! The interval is that of [`crate::ratio`]; here it is only written down with its rounds.

use super::artefact::Ratio;
use crate::ratio::{self, Bootstrap};

/// The median; `None` of nothing.
#[must_use]
pub fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let upper = *sorted.get(sorted.len() / 2)?;
    Some(if sorted.len() % 2 == 1 {
        upper
    } else {
        f64::midpoint(sorted[sorted.len() / 2 - 1], upper)
    })
}

/// The median of `ratios` with its interval; `None` of nothing. One round has no interval: both
/// ends are the round itself.
#[must_use]
pub fn ratio(ratios: Vec<f64>) -> Option<Ratio> {
    let bootstrap = Bootstrap::default();
    let confidence = bootstrap.confidence;
    let (median, low, high) = match ratios.as_slice() {
        [] => return None,
        [one] => (*one, *one, *one),
        several => {
            let found = ratio::Ratio::of_rounds(several, &bootstrap)?;
            (found.median, found.low, found.high)
        }
    };
    Some(Ratio {
        median,
        low,
        high,
        confidence,
        rounds: ratios,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians() {
        let check = |values: &[f64], expected| assert_eq!(median(values), expected, "{values:?}");
        check(&[], None);
        check(&[3.0], Some(3.0));
        check(&[3.0, 1.0], Some(2.0));
        check(&[9.0, 1.0, 2.0], Some(2.0));
    }

    #[test]
    fn ratios_keep_their_rounds() {
        assert_eq!(ratio(Vec::new()), None);
        let one = ratio(vec![0.5]).expect("one round");
        assert_eq!((one.low, one.median, one.high), (0.5, 0.5, 0.5));
        let two = ratio(vec![0.5, 0.6]).expect("two rounds");
        assert!(two.low < two.median && two.median < two.high, "{two:?}");
        assert_eq!(two.rounds, [0.5, 0.6]);
    }
}
