//! How long a stored response is fresh, and how old it is.
//!
//! RFC 9111 §4.2 (freshness), §4.2.3 (age), RFC 5861 (stale windows). Values only: which lifetime a
//! response gets is decided in `storable.rs`, whether it may be reused in `reuse.rs`.

use corsair_http1::{FieldSection, KnownField, parse_date};

use crate::directives::parse_delta_seconds;
use crate::time::{DELTA_SECONDS_MAX, FetchTimes, UnixMillis};

/// The freshness of one response. All it needs to know its age at any later moment.
///
/// ```
/// use corsair_cache::{Freshness, UnixMillis};
/// let freshness = Freshness {
///     lifetime_ms: 60_000,
///     initial_age_ms: 5_000,
///     ..Freshness::stale(UnixMillis::from_seconds(100))
/// };
/// let now = UnixMillis::from_seconds(110);
/// assert_eq!((freshness.current_age(now), freshness.remaining(now)), (15, 45));
/// assert!(freshness.is_fresh(now) && !freshness.is_fresh(UnixMillis::from_seconds(155)));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Freshness {
    /// Freshness lifetime (§4.2.1).
    pub lifetime_ms: u64,
    /// `corrected_initial_age` (§4.2.3): how old the response was when it arrived.
    pub initial_age_ms: u64,
    /// When it arrived.
    pub response_time: UnixMillis,
    /// How long after its lifetime it may be served while it is revalidated.
    pub stale_while_revalidate_ms: u64,
    /// How long after its lifetime it may be served when the upstream fails.
    pub stale_if_error_ms: u64,
    /// `must-revalidate`, `proxy-revalidate` or an applicable `s-maxage`: never served stale but
    /// inside the windows above, which are zero when the first two forbid it.
    pub must_revalidate: bool,
    /// `no-cache`: validated before every reuse, also while fresh.
    pub no_cache: bool,
    /// `immutable`: a client's reload does not validate it while fresh (RFC 8246).
    pub immutable: bool,
}

impl Freshness {
    /// A response that arrived at `response_time` and has no lifetime.
    #[must_use]
    pub const fn stale(response_time: UnixMillis) -> Self {
        Self {
            lifetime_ms: 0,
            initial_age_ms: 0,
            response_time,
            stale_while_revalidate_ms: 0,
            stale_if_error_ms: 0,
            must_revalidate: false,
            no_cache: false,
            immutable: false,
        }
    }

    /// A response that is only passed on: no lifetime, and the age that a cache before us stated. A
    /// `Date` alone makes it no older: it did not come from a cache.
    #[must_use]
    pub fn passed_on(fields: &FieldSection, times: FetchTimes) -> Self {
        let initial_age_ms = match fields.has(KnownField::Age) {
            true => initial_age_ms(fields, times),
            false => 0,
        };
        Self {
            initial_age_ms,
            ..Self::stale(times.response_time)
        }
    }

    /// `current_age` in milliseconds (§4.2.3).
    #[must_use]
    #[inline]
    pub const fn current_age_ms(&self, now: UnixMillis) -> u64 {
        self.initial_age_ms
            .saturating_add(now.since(self.response_time))
    }

    /// The age in whole seconds, as the `Age` field says it; at most 2³¹.
    #[must_use]
    #[inline]
    pub const fn current_age(&self, now: UnixMillis) -> u64 {
        let seconds = self.current_age_ms(now) / 1_000;
        if seconds > DELTA_SECONDS_MAX {
            DELTA_SECONDS_MAX
        } else {
            seconds
        }
    }

    /// Seconds of freshness left, rounded down; negative when stale. Between -2³¹ and 2³¹.
    #[must_use]
    pub fn remaining(&self, now: UnixMillis) -> i64 {
        let (lifetime, age) = (self.lifetime_ms, self.current_age_ms(now));
        let bounded = |ms: u64| i64::try_from((ms / 1_000).min(DELTA_SECONDS_MAX)).unwrap_or(0);
        if lifetime >= age {
            bounded(lifetime - age)
        } else {
            -bounded((age - lifetime).saturating_add(999))
        }
    }

    /// Is the age below the lifetime (§4.2)?
    #[must_use]
    #[inline]
    pub const fn is_fresh(&self, now: UnixMillis) -> bool {
        self.lifetime_ms > self.current_age_ms(now)
    }

    /// May the response answer requests other than its own, now, without asking the upstream?
    #[must_use]
    #[inline]
    pub const fn is_reusable(&self, now: UnixMillis) -> bool {
        !self.no_cache && self.is_fresh(now)
    }

    /// The moment from which it may not be reused unasked; one in the past when it never may.
    #[must_use]
    pub(crate) const fn reusable_until(&self) -> UnixMillis {
        if self.no_cache {
            return UnixMillis(0);
        }
        let left_ms = self.lifetime_ms.saturating_sub(self.initial_age_ms);
        self.response_time.plus(left_ms)
    }

    /// How far behind its lifetime the response is; 0 when it is fresh.
    #[must_use]
    pub const fn staleness_ms(&self, now: UnixMillis) -> u64 {
        self.current_age_ms(now).saturating_sub(self.lifetime_ms)
    }
}

/// `corrected_initial_age` of §4.2.3 in milliseconds.
///
/// Date and Age have whole seconds, so the apparent age is taken from whole seconds too: a response
/// does not age by the fraction of the second it arrived in. Of several values of `Age` the first
/// counts, and one that is no number counts as absent (§5.1).
pub(crate) fn initial_age_ms(fields: &FieldSection, times: FetchTimes) -> u64 {
    let received = times.response_time.seconds();
    let date = sole_date(fields, KnownField::Date).unwrap_or(received);
    let apparent_age = received.saturating_sub(date).min(DELTA_SECONDS_MAX);
    let age_value = fields
        .all(KnownField::Age)
        .flat_map(corsair_http1::list_members)
        .next()
        .and_then(parse_delta_seconds)
        .unwrap_or(0);
    let delay_ms = times.response_time.since(times.request_time);
    (age_value * 1_000)
        .saturating_add(delay_ms)
        .max(apparent_age * 1_000)
}

/// The date a field says, in seconds; `None` when the field is absent, repeated or no date.
pub(crate) fn sole_date(fields: &FieldSection, field: KnownField) -> Option<u64> {
    let mut lines = fields.all(field);
    let first = lines.next()?;
    if lines.next().is_some() {
        return None;
    }
    parse_date(first)
}
