//! Time as a value: this crate never reads a clock.
//!
//! RFC 9111 §1.2.2 (delta-seconds), §4.2.3 (the two times of a fetch). All arithmetic saturates: a
//! clock that jumps must not panic.

/// The largest number of seconds HTTP caching speaks of: a larger delta-seconds is read as this one
/// (RFC 9111 §1.2.2).
pub const DELTA_SECONDS_MAX: u64 = 1 << 31;

/// A moment, in milliseconds since 1970-01-01T00:00:00Z.
///
/// ```
/// use corsair_cache::UnixMillis;
/// let now = UnixMillis::from_seconds(1_000).plus(250);
/// assert_eq!(now.seconds(), 1_000);
/// assert_eq!(now.since(UnixMillis::from_seconds(999)), 1_250);
/// assert_eq!(UnixMillis(5).since(UnixMillis(9)), 0);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug)]
pub struct UnixMillis(pub u64);

impl UnixMillis {
    /// The moment `seconds` after the epoch.
    #[must_use]
    pub const fn from_seconds(seconds: u64) -> Self {
        Self(seconds.saturating_mul(1_000))
    }

    /// Whole seconds since the epoch, rounded down.
    #[must_use]
    pub const fn seconds(self) -> u64 {
        self.0 / 1_000
    }

    /// The moment `millis` milliseconds later; the end of time at most.
    #[must_use]
    pub const fn plus(self, millis: u64) -> Self {
        Self(self.0.saturating_add(millis))
    }

    /// Milliseconds from `earlier` to this moment; 0 when `earlier` is later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// When a fetch from the upstream began and when the head of its answer was complete:
/// `request_time` and `response_time` of RFC 9111 §4.2.3.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FetchTimes {
    /// When the request was sent.
    pub request_time: UnixMillis,
    /// When the head of the response was received.
    pub response_time: UnixMillis,
}
