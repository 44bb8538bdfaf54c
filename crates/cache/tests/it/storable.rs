//! RFC 9111 §3, §3.5, §4.2.1–§4.2.2: what is stored, and with which lifetime.

use corsair_cache::{
    CachePolicy, DELTA_SECONDS_MAX, HEURISTIC_LIFETIME_MS_MAX, NoStore, SetCookie, decide_storable,
};

use crate::message::{Sent, T0_DATE, TIMES, at, get, seconds, section, storable, storable_under};

/// Expected: the lifetime in seconds, or the reason not to store.
fn check(lines: &[&str], expected: Result<u64, NoStore>) {
    check_under(&CachePolicy::default(), 200, lines, expected);
}

fn check_status(status: u16, lines: &[&str], expected: Result<u64, NoStore>) {
    check_under(&CachePolicy::default(), status, lines, expected);
}

fn check_under(policy: &CachePolicy, status: u16, lines: &[&str], expected: Result<u64, NoStore>) {
    let found = storable_under(policy, status, lines).map(|s| s.freshness.lifetime_ms / 1_000);
    assert_eq!(found, expected, "{status} {lines:?}");
}

fn check_request(request: &Sent, lines: &[&str], expected: Result<u64, NoStore>) {
    let policy = CachePolicy::default();
    let found = decide_storable(request.view(), 200, &section(lines), &policy, TIMES)
        .map(|s| s.freshness.lifetime_ms / 1_000);
    assert_eq!(found, expected, "{lines:?}");
}

const TAG: &str = "ETag: \"x\"";

#[test]
fn explicit_lifetime_by_precedence() {
    let expires = "Expires: Sun, 22 Nov 2026 00:02:00 GMT";
    let date = format!("Date: {T0_DATE}");
    check(&["Cache-Control: max-age=60"], Ok(60));
    check(&["Cache-Control: max-age=60, s-maxage=90"], Ok(90));
    check(&["Cache-Control: s-maxage=0, max-age=60", TAG], Ok(0));
    check(&[expires, &date], Ok(120));
    check(&[expires], Ok(120));
    check(&[expires, "Date: Sun, 22 Nov 2026 00:01:00 GMT"], Ok(60));
    check(&[expires, "Cache-Control: max-age=60"], Ok(60));
    check(&[expires, "Cache-Control: public"], Ok(120));
    check(
        &[
            "CDN-Cache-Control: max-age=10",
            "Cache-Control: max-age=60",
            expires,
        ],
        Ok(10),
    );
    check(
        &[
            "CDN-Cache-Control: public",
            "Cache-Control: max-age=60",
            expires,
            TAG,
        ],
        Ok(0),
    );
    check(
        &["Cache-Control: max-age=99999999999"],
        Ok(DELTA_SECONDS_MAX),
    );
    check(
        &["Expires: Fri, 01 Jan 9999 00:00:00 GMT"],
        Ok(DELTA_SECONDS_MAX),
    );
}

#[test]
fn unreadable_expires_is_stale() {
    for expires in [
        "0",
        "-1",
        "",
        "never",
        "Sun, 22 Nov 2026",
        "Sun, 22 Nov 2026 00:02:00 UTC",
    ] {
        check(&[&format!("Expires: {expires}"), TAG], Ok(0));
        check(&[&format!("Expires: {expires}")], Err(NoStore::NoLifetime));
    }
    let twice = "Expires: Sun, 22 Nov 2026 00:02:00 GMT";
    check(&[twice, twice, TAG], Ok(0));
    check(&["Expires: Sat, 21 Nov 2026 00:00:00 GMT", TAG], Ok(0));
}

#[test]
fn directives_that_forbid_storing() {
    check(
        &["Cache-Control: no-store, max-age=60"],
        Err(NoStore::NoStore),
    );
    check(
        &["Cache-Control: private, max-age=60"],
        Err(NoStore::Private),
    );
    check(
        &["Cache-Control: private=\"x\", max-age=60"],
        Err(NoStore::Private),
    );
    check(&["Cache-Control: no-cache"], Err(NoStore::NoLifetime));
    check(
        &["Cache-Control: no-cache, max-age=60"],
        Err(NoStore::NoLifetime),
    );
    check(&["Cache-Control: no-cache, max-age=60", TAG], Ok(60));
    check(
        &["CDN-Cache-Control: no-store", "Cache-Control: max-age=60"],
        Err(NoStore::NoStore),
    );
    check(
        &[
            "CDN-Cache-Control: max-age=60",
            "Cache-Control: no-store, private",
        ],
        Ok(60),
    );
}

#[test]
fn without_a_lifetime_a_validator_is_needed() {
    check(&[], Err(NoStore::NoLifetime));
    check(&["Cache-Control: max-age=0"], Err(NoStore::NoLifetime));
    check(&["Cache-Control: max-age=0", TAG], Ok(0));
    check(&[TAG], Ok(0));
    check(&["ETag: W/\"x\""], Ok(0));
    check(&["Last-Modified: Sat, 21 Nov 2026 00:00:00 GMT"], Ok(0));
    check(&["ETag: unquoted"], Err(NoStore::NoLifetime));
    check(&["Last-Modified: yesterday"], Err(NoStore::NoLifetime));
    check_status(404, &[TAG], Err(NoStore::NoLifetime));
    // Older than its lifetime on arrival: like no lifetime.
    check(
        &["Cache-Control: max-age=60", "Age: 60"],
        Err(NoStore::NoLifetime),
    );
    check(&["Cache-Control: max-age=60", "Age: 60", TAG], Ok(60));
    check(&["Cache-Control: max-age=60", "Age: 59"], Ok(60));
}

#[test]
fn stale_windows() {
    let of = |policy: &CachePolicy, lines: &[&str]| {
        let freshness = storable_under(policy, 200, lines).unwrap().freshness;
        (
            freshness.stale_while_revalidate_ms / 1_000,
            freshness.stale_if_error_ms / 1_000,
        )
    };
    let none = CachePolicy::default();
    let some = CachePolicy {
        stale_while_revalidate: seconds(30),
        stale_if_error: seconds(40),
        ..CachePolicy::default()
    };
    let own = "stale-while-revalidate=5, stale-if-error=6";
    assert_eq!(of(&none, &["Cache-Control: max-age=60"]), (0, 0));
    assert_eq!(of(&some, &["Cache-Control: max-age=60"]), (30, 40));
    assert_eq!(
        of(&some, &[&format!("Cache-Control: max-age=60, {own}")]),
        (5, 6)
    );
    assert_eq!(
        of(&some, &["Cache-Control: max-age=60, stale-if-error=0"]),
        (30, 0)
    );
    assert_eq!(of(&some, &["Cache-Control: s-maxage=60"]), (0, 0));
    assert_eq!(
        of(&none, &[&format!("Cache-Control: s-maxage=60, {own}")]),
        (5, 6)
    );
    for forbids in ["must-revalidate", "proxy-revalidate"] {
        assert_eq!(
            of(&some, &[&format!("Cache-Control: max-age=60, {forbids}")]),
            (0, 0)
        );
        assert_eq!(
            of(
                &some,
                &[&format!("Cache-Control: max-age=60, {own}, {forbids}")]
            ),
            (0, 0)
        );
    }
    assert_eq!(
        of(&some, &[&format!("Cache-Control: no-cache, {own}"), TAG]),
        (0, 0)
    );
    // Configured windows need a lifetime; the upstream's own do not.
    assert_eq!(of(&some, &[TAG]), (0, 0));
    assert_eq!(of(&some, &["Cache-Control: max-age=0", TAG]), (0, 0));
    assert_eq!(
        of(&none, &[&format!("Cache-Control: max-age=0, {own}")]),
        (5, 6)
    );
    check_under(&some, 200, &[], Err(NoStore::NoLifetime));
    check_status(
        500,
        &[&format!("Cache-Control: {own}")],
        Err(NoStore::UpstreamError),
    );
}

#[test]
fn statuses_with_an_explicit_lifetime() {
    let lines = &["Cache-Control: max-age=60"];
    for status in [
        200, 203, 204, 299, 300, 301, 302, 303, 307, 308, 402, 403, 404, 410, 418, 451, 499, 500,
        502, 503, 504, 599,
    ] {
        check_status(status, lines, Ok(60));
    }
    for status in [100, 101, 103, 199] {
        check_status(status, lines, Err(NoStore::Interim));
    }
    check_status(206, lines, Err(NoStore::Partial));
    check_status(304, lines, Err(NoStore::NotModified));
}

#[test]
fn provoked_statuses_need_status_ttl() {
    let lines = &["Cache-Control: public, max-age=60"];
    for status in [
        400, 401, 405, 406, 407, 408, 409, 411, 412, 413, 414, 415, 416, 417, 421, 422, 423, 424,
        425, 426, 428, 429, 431, 501, 505, 511,
    ] {
        check_status(status, lines, Err(NoStore::Status));
        let named = CachePolicy {
            status_ttl: vec![(status, seconds(7))],
            ..CachePolicy::default()
        };
        check_under(&named, status, &[], Ok(7));
        check_under(&named, status, lines, Ok(60));
    }
}

#[test]
fn must_understand() {
    let with = |rest: &str| format!("Cache-Control: max-age=60, must-understand{rest}");
    check_status(200, &[&with("")], Ok(60));
    check_status(200, &[&with(", no-store")], Ok(60));
    check_status(404, &[&with(", no-store")], Ok(60));
    check_status(200, &[&with(", no-store, private")], Err(NoStore::Private));
    for status in [299, 418, 499, 599] {
        check_status(status, &[&with("")], Err(NoStore::NotUnderstood));
        check_status(status, &[&with(", no-store")], Err(NoStore::NotUnderstood));
    }
}

#[test]
fn authorization_needs_permission() {
    let request = get(&["Authorization: Basic x"]);
    check_request(
        &request,
        &["Cache-Control: max-age=60"],
        Err(NoStore::Authorization),
    );
    check_request(&request, &["Cache-Control: max-age=60, public"], Ok(60));
    check_request(&request, &["Cache-Control: s-maxage=60"], Ok(60));
    check_request(
        &request,
        &["Cache-Control: max-age=60, must-revalidate"],
        Ok(60),
    );
    check_request(
        &request,
        &["Cache-Control: max-age=60, proxy-revalidate"],
        Err(NoStore::Authorization),
    );
    check_request(
        &request,
        &["Cache-Control: max-age=60, immutable"],
        Err(NoStore::Authorization),
    );
    // The targeted field is the whole permission.
    check_request(
        &request,
        &["CDN-Cache-Control: max-age=60", "Cache-Control: public"],
        Err(NoStore::Authorization),
    );
}

#[test]
fn requests_that_keep_an_answer_out() {
    let fresh = &["Cache-Control: max-age=60"];
    check_request(&get(&[]), fresh, Ok(60));
    check_request(&get(&["Cache-Control: no-cache"]), fresh, Ok(60));
    check_request(
        &get(&["Cache-Control: no-store"]),
        fresh,
        Err(NoStore::RequestNoStore),
    );
    for method in ["HEAD", "POST", "PUT", "OPTIONS", "get"] {
        check_request(&Sent::new(method, &[]), fresh, Err(NoStore::Method));
    }
}

#[test]
fn set_cookie_is_not_shared() {
    let lines = &["Cache-Control: public, max-age=60", "Set-Cookie: a=b"];
    check(lines, Err(NoStore::SetCookie));
    for set_cookie in [SetCookie::Strip, SetCookie::Store] {
        let policy = CachePolicy {
            set_cookie,
            ..CachePolicy::default()
        };
        check_under(&policy, 200, lines, Ok(60));
    }
}

#[test]
fn vary_star_is_not_stored() {
    let with = |vary: &str| format!("Vary: {vary}");
    let age = "Cache-Control: max-age=60";
    check(&[age, &with("Accept-Encoding")], Ok(60));
    for star in ["*", "Accept, *", "*, Accept", "Accept Encoding", "\"x\""] {
        check(&[age, &with(star)], Err(NoStore::VaryStar));
    }
    check(&[age, "Vary: Accept", "Vary: *"], Err(NoStore::VaryStar));
}

#[test]
fn announced_length_is_bounded() {
    let policy = CachePolicy {
        max_object: 1_000,
        ..CachePolicy::default()
    };
    let age = "Cache-Control: max-age=60";
    check_under(&policy, 200, &[age, "Content-Length: 1000"], Ok(60));
    check_under(
        &policy,
        200,
        &[age, "Content-Length: 1001"],
        Err(NoStore::TooLarge),
    );
    check_under(&policy, 200, &[age], Ok(60));
}

#[test]
fn configured_lifetimes() {
    let policy = CachePolicy {
        ttl: seconds(100),
        status_ttl: vec![(404, seconds(10)), (302, seconds(20))],
        ..CachePolicy::default()
    };
    for status in [200, 203, 204, 300, 301, 308] {
        check_under(&policy, status, &[], Ok(100));
        check_under(&policy, status, &["Cache-Control: public"], Ok(100));
        check_under(&policy, status, &["Cache-Control: max-age=60"], Ok(60));
    }
    check_under(&policy, 200, &["Cache-Control: max-age=0", TAG], Ok(0));
    check_under(
        &policy,
        200,
        &["Cache-Control: no-store"],
        Err(NoStore::NoStore),
    );
    check_under(
        &policy,
        200,
        &["Cache-Control: private"],
        Err(NoStore::Private),
    );
    check_under(&policy, 404, &[], Ok(10));
    check_under(&policy, 404, &["Cache-Control: max-age=60"], Ok(60));
    check_under(&policy, 302, &[], Ok(20));
    for status in [303, 307, 403, 410, 506] {
        check_under(&policy, status, &[], Err(NoStore::NoLifetime));
    }
    for status in [500, 502, 503, 504] {
        check_under(&policy, status, &[], Err(NoStore::UpstreamError));
    }
}

#[test]
fn override_ttl_replaces_only_the_lifetime() {
    let policy = CachePolicy {
        override_ttl: Some(seconds(100)),
        status_ttl: vec![(301, seconds(10))],
        ..CachePolicy::default()
    };
    check_under(&policy, 200, &[], Ok(100));
    check_under(&policy, 200, &["Cache-Control: max-age=0"], Ok(100));
    check_under(
        &policy,
        200,
        &["CDN-Cache-Control: max-age=5", "Expires: 0"],
        Ok(100),
    );
    check_under(&policy, 301, &[], Ok(10));
    check_under(&policy, 301, &["Cache-Control: max-age=60"], Ok(60));
    check_under(&policy, 404, &[], Err(NoStore::NoLifetime));
    check_under(&policy, 404, &["Cache-Control: max-age=60"], Ok(60));
    check_under(
        &policy,
        200,
        &["Cache-Control: no-store"],
        Err(NoStore::NoStore),
    );
    check_under(
        &policy,
        200,
        &["Cache-Control: private"],
        Err(NoStore::Private),
    );
    check_under(&policy, 200, &["Set-Cookie: a=b"], Err(NoStore::SetCookie));
    check_under(&policy, 200, &["Vary: *"], Err(NoStore::VaryStar));
    let zero = CachePolicy {
        override_ttl: Some(seconds(0)),
        ..CachePolicy::default()
    };
    check_under(
        &zero,
        200,
        &["Cache-Control: max-age=60"],
        Err(NoStore::NoLifetime),
    );
}

#[test]
fn configured_lifetimes_count_from_receipt() {
    let remaining = |policy: &CachePolicy, status, lines: &[&str]| {
        let found = storable_under(policy, status, lines).unwrap().freshness;
        (found.current_age(at(0)), found.remaining(at(0)))
    };
    let ttl = CachePolicy {
        ttl: seconds(60),
        ..CachePolicy::default()
    };
    let overridden = CachePolicy {
        override_ttl: Some(seconds(60)),
        ..CachePolicy::default()
    };
    let negative = CachePolicy {
        status_ttl: vec![(404, seconds(60))],
        ..CachePolicy::default()
    };
    for aged in ["Age: 1000", "Date: Sat, 21 Nov 2026 23:43:20 GMT"] {
        assert_eq!(remaining(&ttl, 200, &[aged]), (1_000, 60), "{aged}");
        assert_eq!(
            remaining(&overridden, 200, &[aged, "Expires: 0"]),
            (1_000, 60),
            "{aged}"
        );
        assert_eq!(remaining(&negative, 404, &[aged]), (1_000, 60), "{aged}");
        assert_eq!(
            remaining(&ttl, 200, &[aged, "Cache-Control: max-age=1100"]),
            (1_000, 100)
        );
    }
    // An overridden s-maxage forbids nothing any more.
    let lines = &["Cache-Control: s-maxage=5"];
    let overridden = CachePolicy {
        stale_if_error: seconds(7),
        ..overridden
    };
    let freshness = storable_under(&overridden, 200, lines).unwrap().freshness;
    assert!(!freshness.must_revalidate);
    assert_eq!(freshness.stale_if_error_ms, 7_000);
}

#[test]
fn heuristic_lifetime() {
    let on = CachePolicy {
        heuristic: true,
        ..CachePolicy::default()
    };
    let ten_days = "Last-Modified: Thu, 12 Nov 2026 00:00:00 GMT";
    let hundred_seconds = "Last-Modified: Sat, 21 Nov 2026 23:58:20 GMT";
    check(&[hundred_seconds], Ok(0));
    for status in [200, 203, 204, 300, 301, 308, 404, 410] {
        check_under(&on, status, &[hundred_seconds], Ok(10));
    }
    check_under(&on, 200, &[ten_days], Ok(HEURISTIC_LIFETIME_MS_MAX / 1_000));
    check_under(
        &on,
        200,
        &[hundred_seconds, "Cache-Control: max-age=60"],
        Ok(60),
    );
    check_under(&on, 200, &[hundred_seconds, "Expires: 0"], Ok(0));
    check_under(
        &on,
        200,
        &["Last-Modified: Mon, 23 Nov 2026 00:00:00 GMT"],
        Ok(0),
    );
    check_under(&on, 200, &[], Err(NoStore::NoLifetime));
    check_under(&on, 302, &[hundred_seconds], Err(NoStore::NoLifetime));
    check_under(
        &on,
        302,
        &[hundred_seconds, "Cache-Control: public"],
        Ok(10),
    );
    let with_ttl = CachePolicy {
        ttl: seconds(5),
        ..on
    };
    check_under(&with_ttl, 200, &[hundred_seconds], Ok(5));
}

#[test]
fn flags_reach_the_freshness() {
    let of = |value: &str| {
        storable(&[&format!("Cache-Control: max-age=60{value}"), TAG])
            .unwrap()
            .freshness
    };
    assert!(!of("").must_revalidate && !of("").no_cache && !of("").immutable);
    assert!(of(", must-revalidate").must_revalidate);
    assert!(of(", proxy-revalidate").must_revalidate);
    assert!(of(", s-maxage=1").must_revalidate);
    assert!(of(", no-cache").no_cache);
    assert!(of(", immutable").immutable);
}

#[test]
fn reasons_have_names_and_markers_only_for_everybody() {
    let all = [
        NoStore::Method,
        NoStore::RequestNoStore,
        NoStore::Authorization,
        NoStore::Interim,
        NoStore::Partial,
        NoStore::NotModified,
        NoStore::Status,
        NoStore::NotUnderstood,
        NoStore::NoStore,
        NoStore::Private,
        NoStore::SetCookie,
        NoStore::VaryStar,
        NoStore::TooLarge,
        NoStore::NoLifetime,
        NoStore::UpstreamError,
        NoStore::NotShareable,
        NoStore::BudgetExhausted,
    ];
    let names: std::collections::HashSet<_> = all.iter().map(|reason| reason.as_str()).collect();
    assert_eq!(names.len(), all.len());
    // What one client can say must not stop others from sharing.
    assert!(!NoStore::RequestNoStore.leaves_marker());
    assert!(!NoStore::Authorization.leaves_marker());
    assert!(!NoStore::Method.leaves_marker() && !NoStore::Status.leaves_marker());
    assert!(NoStore::NoStore.leaves_marker() && NoStore::Private.leaves_marker());
}
