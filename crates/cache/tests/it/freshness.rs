//! RFC 9111 §4.2.3: age arithmetic.

use corsair_cache::{
    CachePolicy, DELTA_SECONDS_MAX, FetchTimes, Freshness, UnixMillis, decide_storable,
};
use proptest::prelude::*;

use crate::message::{T0, T0_DATE, at, get, section};

fn freshness_of(lines: &[&str], request_ms: u64, response_ms: u64) -> Freshness {
    let mut lines = lines.to_vec();
    lines.push("Cache-Control: max-age=60");
    lines.push("ETag: \"x\"");
    let times = FetchTimes {
        request_time: UnixMillis(request_ms),
        response_time: UnixMillis(response_ms),
    };
    let policy = CachePolicy::default();
    let storable = decide_storable(get(&[]).view(), 200, &section(&lines), &policy, times);
    storable.unwrap().freshness
}

/// The initial age in milliseconds of a response that arrived at T0, `delay` ms after the request.
fn check(lines: &[&str], delay_ms: u64, expected_ms: u64) {
    let freshness = freshness_of(lines, T0 * 1_000 - delay_ms, T0 * 1_000);
    assert_eq!(freshness.initial_age_ms, expected_ms, "{lines:?}");
}

#[test]
fn initial_age() {
    let now = format!("Date: {T0_DATE}");
    check(&[], 0, 0);
    check(&[&now], 0, 0);
    // corrected_age_value = age_value + response_delay
    check(&[&now], 1_500, 1_500);
    check(&[&now, "Age: 10"], 1_500, 11_500);
    // apparent_age = response_time - date_value
    check(&["Date: Sat, 21 Nov 2026 23:59:00 GMT"], 0, 60_000);
    check(
        &["Date: Sat, 21 Nov 2026 23:59:00 GMT", "Age: 10"],
        0,
        60_000,
    );
    check(
        &["Date: Sat, 21 Nov 2026 23:59:00 GMT", "Age: 70"],
        500,
        70_500,
    );
    // A clock ahead of ours.
    check(&["Date: Sun, 22 Nov 2026 01:00:00 GMT"], 0, 0);
    check(&["Date: nonsense"], 0, 0);
    check(&[&now, "Date: Sat, 21 Nov 2026 23:59:00 GMT"], 0, 0);
    check(&["Date: Thu, 01 Jan 1970 00:00:00 GMT"], 0, T0 * 1_000);
}

#[test]
fn age_values() {
    for (age, expected) in [
        ("0", 0),
        ("7", 7),
        ("007", 7),
        ("7, 9", 7),
        ("2147483648", DELTA_SECONDS_MAX),
        ("2147483649", DELTA_SECONDS_MAX),
        ("99999999999999999999", DELTA_SECONDS_MAX),
        ("", 0),
        ("-7", 0),
        ("7.5", 0),
        ("7s", 0),
        ("abc, 7", 0),
        ("\"7\"", 0),
    ] {
        check(&[&format!("Age: {age}")], 0, expected * 1_000);
    }
    check(&["Age: 5", "Age: 9"], 0, 5_000);
}

#[test]
fn a_fraction_of_a_second_does_not_age() {
    let freshness = freshness_of(
        &[&format!("Date: {T0_DATE}")],
        T0 * 1_000 + 990,
        T0 * 1_000 + 990,
    );
    assert_eq!(freshness.initial_age_ms, 0);
}

#[test]
fn age_and_remaining_over_time() {
    let freshness = freshness_of(&["Age: 10"], T0 * 1_000, T0 * 1_000);
    for (now, age, remaining, fresh) in [
        (at(0), 10, 50, true),
        (at(49), 59, 1, true),
        (UnixMillis((T0 + 49) * 1_000 + 999), 59, 0, true),
        (at(50), 60, 0, false),
        (UnixMillis((T0 + 50) * 1_000 + 1), 60, -1, false),
        (at(55), 65, -5, false),
        // Before it arrived: a clock that was set back.
        (UnixMillis(0), 10, 50, true),
        (UnixMillis(u64::MAX), DELTA_SECONDS_MAX, -(1 << 31), false),
    ] {
        assert_eq!(freshness.current_age(now), age, "{now:?}");
        assert_eq!(freshness.remaining(now), remaining, "{now:?}");
        assert_eq!(freshness.is_fresh(now), fresh, "{now:?}");
    }
}

proptest! {
    /// Ages never run backwards, freshness ends once and for good, and nothing overflows.
    #[test]
    fn time_only_makes_older(
        lifetime_ms in any::<u64>(),
        initial_age_ms in any::<u64>(),
        response in any::<u64>(),
        first in any::<u64>(),
        later in any::<u64>(),
    ) {
        let response_time = UnixMillis(response);
        let freshness =
            Freshness { lifetime_ms, initial_age_ms, ..Freshness::stale(response_time) };
        let (first, later) = (UnixMillis(first.min(later)), UnixMillis(first.max(later)));
        prop_assert!(freshness.current_age(first) <= freshness.current_age(later));
        prop_assert!(freshness.current_age(later) <= DELTA_SECONDS_MAX);
        prop_assert!(freshness.remaining(first) >= freshness.remaining(later));
        prop_assert!(freshness.is_fresh(first) || !freshness.is_fresh(later));
        prop_assert_eq!(freshness.remaining(first) < 0, freshness.staleness_ms(first) > 0);
        prop_assert!(!freshness.is_fresh(first) || freshness.staleness_ms(first) == 0);
    }
}
