//! RFC 9111 §4.2, §4.2.4, §5.2.1, RFC 5861, RFC 8246: what a stored response is good for.

use corsair_cache::Reuse::{
    Fresh, OnlyIfCached504, Revalidate, StaleIfError, StaleWhileRevalidate,
};
use corsair_cache::{RequestDirectives, Reuse, decide_reuse};
use proptest::prelude::*;

use crate::message::{at, get, stored};

/// A response with this `Cache-Control` (and a validator), asked for `age` seconds after it came.
fn check(response: &str, age: u64, request: &str, expected: Reuse) {
    let response_line = format!("Cache-Control: {response}");
    let stored = stored(&[&response_line, "ETag: \"x\""], "body");
    let request_line = format!("Cache-Control: {request}");
    let lines: &[&str] = if request.is_empty() {
        &[]
    } else {
        &[&request_line]
    };
    let directives = RequestDirectives::parse(get(lines).view());
    let found = decide_reuse(&stored, &directives, at(age));
    assert_eq!(found, expected, "{response:?} at {age} asked {request:?}");
}

#[test]
fn fresh_or_not() {
    check("max-age=60", 0, "", Fresh);
    check("max-age=60", 59, "", Fresh);
    check("max-age=60", 60, "", Revalidate);
    check("max-age=60", 1_000_000, "", Revalidate);
    check("max-age=0", 0, "", Revalidate);
    check("no-cache, max-age=60", 0, "", Revalidate);
    check("no-cache=\"set-cookie\", max-age=60", 0, "", Revalidate);
}

#[test]
fn stale_windows() {
    let swr = "max-age=60, stale-while-revalidate=10";
    check(swr, 59, "", Fresh);
    check(swr, 60, "", StaleWhileRevalidate);
    check(swr, 69, "", StaleWhileRevalidate);
    check(swr, 70, "", Revalidate);
    let sie = "max-age=60, stale-if-error=10";
    check(sie, 60, "", StaleIfError);
    check(sie, 69, "", StaleIfError);
    check(sie, 70, "", Revalidate);
    let both = "max-age=60, stale-while-revalidate=10, stale-if-error=20";
    check(both, 69, "", StaleWhileRevalidate);
    check(both, 79, "", StaleIfError);
    check(both, 80, "", Revalidate);
    for forbids in ["must-revalidate", "proxy-revalidate", "no-cache"] {
        check(&format!("{both}, {forbids}"), 65, "", Revalidate);
    }
    check(
        "s-maxage=60, stale-while-revalidate=10",
        65,
        "",
        StaleWhileRevalidate,
    );
    check("s-maxage=60", 65, "", Revalidate);
}

#[test]
fn request_no_cache_and_max_age() {
    check("max-age=60", 0, "no-cache", Revalidate);
    check("max-age=60", 5, "max-age=5", Fresh);
    check("max-age=60", 6, "max-age=5", Revalidate);
    check("max-age=60", 0, "max-age=0", Fresh);
    check("max-age=60", 1, "max-age=0", Revalidate);
    check("max-age=60", 61, "max-age=100", Revalidate);
    // The client's limits come before the stale windows.
    check(
        "max-age=60, stale-while-revalidate=100",
        70,
        "max-age=65",
        Revalidate,
    );
    check(
        "max-age=60, stale-while-revalidate=100",
        70,
        "max-age=70",
        StaleWhileRevalidate,
    );
}

#[test]
fn request_min_fresh() {
    check("max-age=60", 50, "min-fresh=10", Fresh);
    check("max-age=60", 51, "min-fresh=10", Revalidate);
    check("max-age=60", 0, "min-fresh=x", Revalidate);
    check(
        "max-age=60, stale-while-revalidate=9",
        61,
        "min-fresh=1",
        Revalidate,
    );
}

#[test]
fn request_max_stale() {
    check("max-age=60", 65, "max-stale", StaleWhileRevalidate);
    check("max-age=60", 65, "max-stale=5", StaleWhileRevalidate);
    check("max-age=60", 66, "max-stale=5", Revalidate);
    check("max-age=60", 65, "max-stale=x", Revalidate);
    check("max-age=60", 9_999_999, "max-stale", StaleWhileRevalidate);
    for forbids in [
        "must-revalidate",
        "proxy-revalidate",
        "s-maxage=60",
        "no-cache",
    ] {
        check(
            &format!("max-age=60, {forbids}"),
            65,
            "max-stale",
            Revalidate,
        );
    }
}

#[test]
fn request_stale_if_error() {
    check("max-age=60", 65, "stale-if-error=10", StaleIfError);
    check("max-age=60", 70, "stale-if-error=10", Revalidate);
    check(
        "max-age=60, stale-if-error=30",
        70,
        "stale-if-error=10",
        StaleIfError,
    );
    check(
        "max-age=60, must-revalidate",
        65,
        "stale-if-error=10",
        Revalidate,
    );
}

#[test]
fn request_only_if_cached() {
    check("max-age=60", 0, "only-if-cached", Fresh);
    check("max-age=60", 61, "only-if-cached", OnlyIfCached504);
    check(
        "max-age=60, stale-if-error=9",
        61,
        "only-if-cached",
        OnlyIfCached504,
    );
    check(
        "max-age=60, stale-while-revalidate=9",
        61,
        "only-if-cached",
        StaleWhileRevalidate,
    );
    check(
        "max-age=60",
        61,
        "only-if-cached, max-stale",
        StaleWhileRevalidate,
    );
    check("max-age=60", 0, "only-if-cached, no-cache", OnlyIfCached504);
}

#[test]
fn immutable_survives_a_reload_but_not_a_forced_one() {
    check("max-age=60, immutable", 30, "max-age=0", Fresh);
    check("max-age=60, immutable", 30, "no-cache", Revalidate);
    check("max-age=60, immutable", 60, "max-age=0", Revalidate);
    check("max-age=60, immutable", 60, "", Revalidate);
}

proptest! {
    /// A response that forbids it is never served stale, whatever the request says; and asking for
    /// more never gets less-checked answers.
    #[test]
    fn must_revalidate_wins(
        age in 0_u64..200,
        forbids in "(must-revalidate|proxy-revalidate|no-cache)",
        request in "(|max-stale|(max-stale|stale-if-error)=[0-9]{1,3}|min-fresh=[0-9]{1,2})",
    ) {
        let line = format!(
            "Cache-Control: max-age=60, stale-while-revalidate=50, stale-if-error=90, {forbids}"
        );
        let stored = stored(&[&line, "ETag: \"x\""], "");
        let request_line = format!("Cache-Control: {request}");
        let directives = RequestDirectives::parse(get(&[&request_line]).view());
        let found = decide_reuse(&stored, &directives, at(age));
        prop_assert!(matches!(found, Fresh | Revalidate));
        prop_assert!(found == Revalidate || age < 60);
    }
}
