//! What is drawn anew for each request: its number, and seeded random numbers.
//!
//! Pure: the seed comes from outside, so that a run can be repeated request by request.

use rand::rngs::SmallRng;
use rand::{RngExt as _, SeedableRng as _};

/// The draws of one worker. Workers share one sequence of request numbers by interleaving:
/// worker `i` of `n` takes the numbers `i`, `i + n`, `i + 2n` ….
#[derive(Debug, Clone)]
pub struct Draw {
    random: SmallRng,
    next_number: u64,
    step: u64,
    number: u64,
    fresh_base: u64,
}

/// Bases of fresh numbers are below this, so that the numbers stay below 2^53, up to which JSON
/// and JavaScript are exact (RFC 8259 §6).
const FRESH_BASES: u64 = 1 << 52;

/// Where the fresh numbers of a run begin, drawn from `entropy`: two runs of a thousand million
/// requests each meet with a chance of one in two million, also when they go on at the same time.
#[must_use]
pub fn draw_fresh_base(entropy: u64) -> u64 {
    SmallRng::seed_from_u64(entropy).random_range(0..FRESH_BASES)
}

impl Draw {
    /// Draws of worker `worker` of `workers` (at least 1). The same `seed` and `fresh_base` give
    /// the same draws.
    #[must_use]
    pub fn new(seed: u64, fresh_base: u64, worker: u64, workers: u64) -> Self {
        // Any odd constant spreads the workers over the seed space; SmallRng mixes the rest.
        let spread = worker.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        Self {
            random: SmallRng::seed_from_u64(seed ^ spread),
            next_number: worker,
            step: workers.max(1),
            number: worker,
            fresh_base,
        }
    }

    /// Moves on to the next request.
    pub fn begin_request(&mut self) {
        self.number = self.next_number;
        self.next_number += self.step;
    }

    /// Number of the request begun last; no two requests of a run have the same.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.number
    }

    /// [`Draw::number`] from the base of fresh numbers on: a number that no request before had,
    /// unless a run had a base near to this one's.
    #[must_use]
    pub fn fresh(&self) -> u64 {
        self.fresh_base.wrapping_add(self.number)
    }

    /// A number in `0..bound`; 0 when `bound` is 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        if bound <= 1 {
            0
        } else {
            self.random.random_range(0..bound)
        }
    }

    /// A number in `0.0..1.0`.
    pub fn share(&mut self) -> f64 {
        self.random.random()
    }

    /// A sample of `distribution`.
    pub fn sample(&mut self, distribution: impl rand_distr::Distribution<f64>) -> f64 {
        self.random.sample(distribution)
    }
}

/// Chooses an index with the probability of its weight.
#[derive(Debug, Clone)]
pub struct Weighted {
    /// Cumulated shares, the last one 1.
    cumulated: Vec<f64>,
}

impl Weighted {
    /// `None` when no weight is above zero, or one is negative or not a number.
    #[must_use]
    pub fn new(weights: &[f64]) -> Option<Self> {
        let total: f64 = weights.iter().sum();
        let sound = weights
            .iter()
            .all(|weight| weight.is_finite() && *weight >= 0.0);
        if !sound || total <= 0.0 {
            return None;
        }
        let mut sum = 0.0;
        let cumulated = weights
            .iter()
            .map(|weight| {
                sum += weight / total;
                sum
            })
            .collect();
        Some(Self { cumulated })
    }

    /// An index into the weights.
    pub fn choose(&self, draw: &mut Draw) -> usize {
        if self.cumulated.len() == 1 {
            return 0;
        }
        let share = draw.share();
        let found = self.cumulated.partition_point(|&upper| upper <= share);
        // Rounding can leave the last sum a hair below 1.
        found.min(self.cumulated.len() - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_share_the_numbers() {
        let mut seen: Vec<u64> = (0..3)
            .flat_map(|worker| {
                let mut draw = Draw::new(1, 0, worker, 3);
                (0..4)
                    .map(|_| {
                        draw.begin_request();
                        draw.number()
                    })
                    .collect::<Vec<_>>()
            })
            .collect();
        seen.sort_unstable();
        assert_eq!(seen, (0..12).collect::<Vec<_>>());
    }

    #[test]
    fn the_same_seed_gives_the_same_draws_and_another_worker_others() {
        let draws = |seed, worker| {
            let mut draw = Draw::new(seed, 0, worker, 2);
            (0..8).map(|_| draw.below(1_000_000)).collect::<Vec<_>>()
        };
        assert_eq!(draws(7, 0), draws(7, 0));
        assert_ne!(draws(7, 0), draws(8, 0));
        assert_ne!(draws(7, 0), draws(7, 1));
    }

    #[test]
    fn fresh_numbers_begin_elsewhere_in_each_run() {
        let fresh = |base| {
            let mut draw = Draw::new(1, base, 1, 2);
            draw.begin_request();
            draw.fresh()
        };
        assert_eq!(fresh(7), 8);
        let bases: std::collections::BTreeSet<u64> = (0..100).map(draw_fresh_base).collect();
        assert_eq!(bases.len(), 100);
        let beyond = |base: &u64| *base >= FRESH_BASES / 2;
        assert!((30..70).contains(&bases.iter().copied().filter(beyond).count()));
        assert_eq!(draw_fresh_base(3), draw_fresh_base(3));
    }

    #[test]
    fn weights_are_kept() {
        let check = |weights: &[f64]| {
            let weighted = Weighted::new(weights).unwrap();
            let mut draw = Draw::new(3, 0, 0, 1);
            let mut counts = vec![0.0; weights.len()];
            for _ in 0..20_000 {
                counts[weighted.choose(&mut draw)] += 1.0 / 20_000.0;
            }
            let total: f64 = weights.iter().sum();
            for (count, weight) in counts.iter().zip(weights) {
                assert!(
                    (count - weight / total).abs() < 0.02,
                    "{counts:?} for {weights:?}"
                );
            }
        };
        check(&[1.0]);
        check(&[1.0, 3.0]);
        check(&[0.0, 5.0, 0.0]);
        check(&[0.7, 0.1, 0.1, 0.1]);
        assert!(Weighted::new(&[]).is_none());
        assert!(Weighted::new(&[0.0]).is_none());
        assert!(Weighted::new(&[1.0, -1.0]).is_none());
        assert!(Weighted::new(&[f64::NAN]).is_none());
    }
}
