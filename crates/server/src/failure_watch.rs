//! What the operator is told of an upstream that fails: the first failure of a kind, and then once a
//! minute how many more there were. Never one line a request.

use std::sync::atomic::{AtomicU64, Ordering};

use corsair_config::UpstreamFailure;

/// Between two notices of the same failure of the same upstream.
const SILENCE_S: u64 = 60;

/// The failures of one upstream, by kind. Any worker.
#[derive(Default)]
pub(crate) struct FailureWatch([Kind; UpstreamFailure::ALL.len()]);

#[derive(Default)]
struct Kind {
    /// From when it is told again.
    silent_until_s: AtomicU64,
    untold: AtomicU64,
}

impl FailureWatch {
    /// Notes a failure at `now_s`, seconds of a clock that never goes back; when it is to be told, how
    /// many were not since the last that was.
    pub(crate) fn note(&self, failure: UpstreamFailure, now_s: u64) -> Option<u64> {
        let Kind {
            silent_until_s,
            untold,
        } = &self.0[failure as usize];
        let until_s = silent_until_s.load(Ordering::Relaxed);
        let is_mine = now_s >= until_s
            && silent_until_s
                .compare_exchange(
                    until_s,
                    now_s + SILENCE_S,
                    Ordering::Relaxed,
                    Ordering::Relaxed,
                )
                .is_ok();
        if is_mine {
            return Some(untold.swap(0, Ordering::Relaxed));
        }
        untold.fetch_add(1, Ordering::Relaxed);
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_is_told_and_then_once_a_minute_how_many_more() {
        let watch = FailureWatch::default();
        let broken = |now_s| watch.note(UpstreamFailure::Broken, now_s);
        assert_eq!(broken(5), Some(0));
        for second in 5..65 {
            assert_eq!(broken(second), None, "{second}");
        }
        // Another failure is other news.
        assert_eq!(watch.note(UpstreamFailure::Timeout, 30), Some(0));
        assert_eq!(broken(65), Some(60));
        assert_eq!(broken(1000), Some(0));
        for (place, failure) in UpstreamFailure::ALL.into_iter().enumerate() {
            assert_eq!(failure as usize, place);
        }
    }
}
