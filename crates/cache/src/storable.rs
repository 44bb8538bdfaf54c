//! May a response be stored, and for how long is it fresh?
//!
//! RFC 9111 §3 (storing), §3.5 (Authorization), §4.2.1–§4.2.2 (lifetime), §5.2.2 (directives), RFC
//! 5861, RFC 9213. A cache shared by all clients. Beyond the RFC, on the careful side:
//! - statuses that a malformed or unusual request provokes (400, 405, 413, 414, 431, 501 …) are
//!   stored only when `status_ttl` names them: one client's bad request must not become everybody's
//!   answer, whatever the upstream says about its error page;
//! - a response with `Set-Cookie` is not stored by default;
//! - a response that could never be reused without a new full answer is not stored: without a
//!   lifetime it needs a validator (and status 200), or stale windows the upstream itself gave.
//!   The windows of the configuration count only for responses that have a lifetime, so that a page
//!   about which the upstream said nothing is never shown to somebody else when the upstream fails.
//!
//! And one step beyond it on the other: `stale-while-revalidate` and `stale-if-error` that stand
//! beside `s-maxage` are followed, although `s-maxage` alone forbids stale answers (§5.2.2.10):
//! whoever writes both means both. `must-revalidate` and `proxy-revalidate` forbid them always.

use core::time::Duration;

use corsair_http1::{FieldSection, KnownField, Request};

use crate::directives::{DirectiveSource, RequestDirectives, ResponseDirectives};
use crate::freshness::{Freshness, initial_age_ms, sole_date};
use crate::policy::{CachePolicy, SetCookie};
use crate::time::{DELTA_SECONDS_MAX, FetchTimes};
use crate::validate::has_validator;
use crate::vary::{VaryOrigin, VaryRule, VarySpec};

/// The longest lifetime a guess may give, in milliseconds: one day.
pub const HEURISTIC_LIFETIME_MS_MAX: u64 = 24 * 60 * 60 * 1_000;

/// A response may be stored.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Storable {
    /// How long it is fresh. It may be stale from the start: then it is stored to be validated.
    pub freshness: Freshness,
}

/// Why a response is not stored. Closed.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum NoStore {
    /// The request's method is not GET.
    Method,
    /// The request says `no-store`.
    RequestNoStore,
    /// The request has `Authorization`, and the response does not allow sharing (§3.5).
    Authorization,
    /// An interim response (1xx).
    Interim,
    /// 206: parts are not stored.
    Partial,
    /// 304: it updates a stored response instead.
    NotModified,
    /// A status that only `status_ttl` can make storable.
    Status,
    /// `must-understand`, and the status has no meaning known here (§5.2.2.3).
    NotUnderstood,
    /// `no-store`
    NoStore,
    /// `private`
    Private,
    /// `Set-Cookie`, and the site does not store those.
    SetCookie,
    /// `Vary: *`, or more names than a cache can tell apart.
    VaryStar,
    /// The body is larger than the site stores.
    TooLarge,
    /// No lifetime, and nothing to validate it with.
    NoLifetime,
    /// The same, and it is one of the errors that `stale-if-error` is about (RFC 5861 §4: 500, 502,
    /// 503, 504).
    UpstreamError,
    /// It is stored, but requests that waited for it may not share it: it must be validated for
    /// each of them.
    NotShareable,
    /// The budget has no room for another fill.
    BudgetExhausted,
}

impl NoStore {
    /// A short token for `Cache-Status` and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Method => "method",
            Self::RequestNoStore => "request-no-store",
            Self::Authorization => "authorization",
            Self::Interim => "interim",
            Self::Partial => "partial",
            Self::NotModified => "not-modified",
            Self::Status => "status",
            Self::NotUnderstood => "not-understood",
            Self::NoStore => "no-store",
            Self::Private => "private",
            Self::SetCookie => "set-cookie",
            Self::VaryStar => "vary-star",
            Self::TooLarge => "too-large",
            Self::NoLifetime => "no-lifetime",
            Self::UpstreamError => "upstream-error",
            Self::NotShareable => "not-shareable",
            Self::BudgetExhausted => "budget",
        }
    }

    /// Should a hit-for-miss marker say that requests for this URI need not wait for each other?
    /// Not when the reason lies in one request or in this moment: nobody else would share it, and a
    /// client must not be able to switch collapsing off for all the others.
    #[must_use]
    pub const fn leaves_marker(self) -> bool {
        match self {
            Self::Method
            | Self::RequestNoStore
            | Self::Authorization
            | Self::Interim
            | Self::NotModified
            | Self::Status
            | Self::UpstreamError
            | Self::NotShareable
            | Self::BudgetExhausted => false,
            Self::Partial
            | Self::NotUnderstood
            | Self::NoStore
            | Self::Private
            | Self::SetCookie
            | Self::VaryStar
            | Self::TooLarge
            | Self::NoLifetime => true,
        }
    }
}

/// Decides whether the response to `request` may be stored, and its freshness.
///
/// `fields` is the section the upstream sent, with `Age`, `Connection` and `Content-Length` still
/// in it; `times` are those of the fetch that brought it.
///
/// # Errors
/// The first reason found against storing it.
pub fn decide_storable(
    request: Request<'_>,
    status: u16,
    fields: &FieldSection,
    policy: &CachePolicy,
    times: FetchTimes,
) -> Result<Storable, NoStore> {
    if request.method() != b"GET" {
        return Err(NoStore::Method);
    }
    let directives = ResponseDirectives::parse(fields);
    allow_status(status, &directives, policy)?;
    if RequestDirectives::parse(request).no_store {
        return Err(NoStore::RequestNoStore);
    }
    if request.has(KnownField::Authorization) && !allows_authorized(&directives) {
        return Err(NoStore::Authorization);
    }
    allow_response(status, fields, policy, &directives, times)
}

/// The part of the decision that the request has no say in; also for a 304's update.
pub(crate) fn allow_response(
    status: u16,
    fields: &FieldSection,
    policy: &CachePolicy,
    directives: &ResponseDirectives,
    times: FetchTimes,
) -> Result<Storable, NoStore> {
    // §5.2.2.3: who understands the status ignores the no-store beside must-understand.
    if directives.no_store && !(directives.must_understand && is_understood(status)) {
        return Err(NoStore::NoStore);
    }
    if directives.private {
        return Err(NoStore::Private);
    }
    if policy.set_cookie == SetCookie::Bypass && fields.has(KnownField::SetCookie) {
        return Err(NoStore::SetCookie);
    }
    if matches!(
        VarySpec::from_fields(fields, VaryOrigin::Keep),
        VaryRule::Star
    ) {
        return Err(NoStore::VaryStar);
    }
    if content_length(fields).is_some_and(|length| length > policy.max_object) {
        return Err(NoStore::TooLarge);
    }
    let freshness = decide_freshness(status, fields, policy, directives, times);
    let stale_window_ms = freshness
        .stale_while_revalidate_ms
        .max(freshness.stale_if_error_ms);
    let is_ever_reusable = freshness.is_reusable(times.response_time)
        || (is_heuristic_status(status) && stale_window_ms > 0)
        || (status == 200 && has_validator(fields));
    if is_ever_reusable {
        Ok(Storable { freshness })
    } else if is_upstream_error(status) {
        Err(NoStore::UpstreamError)
    } else {
        Err(NoStore::NoLifetime)
    }
}

/// The value of a `Content-Length` field that framing has already judged.
pub(crate) fn content_length(fields: &FieldSection) -> Option<u64> {
    let text = core::str::from_utf8(fields.get(KnownField::ContentLength)?).ok()?;
    text.parse().ok()
}

fn allow_status(
    status: u16,
    directives: &ResponseDirectives,
    policy: &CachePolicy,
) -> Result<(), NoStore> {
    match status {
        100..=199 => return Err(NoStore::Interim),
        206 => return Err(NoStore::Partial),
        304 => return Err(NoStore::NotModified),
        _ => {}
    }
    if directives.must_understand && !is_understood(status) {
        return Err(NoStore::NotUnderstood);
    }
    if is_provoked(status) && policy.status_ttl(status).is_none() {
        return Err(NoStore::Status);
    }
    Ok(())
}

/// Statuses that an unusual request gets and a usual one for the same URI does not.
fn is_provoked(status: u16) -> bool {
    matches!(
        status,
        400 | 401 | 405..=409 | 411..=417 | 421..=426 | 428 | 429 | 431 | 501 | 505 | 511
    )
}

/// RFC 5861 §4.
fn is_upstream_error(status: u16) -> bool {
    matches!(status, 500 | 502 | 503 | 504)
}

/// The final statuses of RFC 9110 §15 whose caching rules are followed here: all but 206 and 304.
fn is_understood(status: u16) -> bool {
    matches!(
        status,
        200..=205 | 300..=303 | 305 | 307 | 308 | 400..=417 | 421 | 422 | 426 | 500..=505
    )
}

/// §3.5: what lets a shared cache store the answer to a request with credentials.
fn allows_authorized(directives: &ResponseDirectives) -> bool {
    directives.public || directives.s_maxage.is_some() || directives.must_revalidate
}

/// Statuses that `ttl` and `override_ttl` speak of: success and permanent redirects.
fn is_default_status(status: u16) -> bool {
    matches!(status, 200 | 203 | 204 | 300 | 301 | 308)
}

/// Who gave a response its lifetime.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Lifetime {
    /// The upstream, or a guess from what it said: counted from when the response was made.
    Upstream { ms: u64 },
    /// The configuration, where the upstream said nothing.
    Configured { ms: u64 },
    /// The configuration, whatever the upstream said.
    Overridden { ms: u64 },
}

fn decide_freshness(
    status: u16,
    fields: &FieldSection,
    policy: &CachePolicy,
    directives: &ResponseDirectives,
    times: FetchTimes,
) -> Freshness {
    let lifetime = decide_lifetime(status, fields, policy, directives, times);
    let initial_age_ms = initial_age_ms(fields, times);
    // What the site configures counts from receipt: an upstream whose clock is behind, or which is
    // a cache itself, would otherwise never be cached for the time the site asked for.
    let (own_ms, lifetime_ms, s_maxage_applies) = match lifetime {
        Lifetime::Upstream { ms } => (ms, ms, directives.s_maxage.is_some()),
        Lifetime::Configured { ms } => (ms, ms.saturating_add(initial_age_ms), false),
        Lifetime::Overridden { ms } => (ms, ms.saturating_add(initial_age_ms), false),
    };
    let forbids_stale = directives.must_revalidate || directives.proxy_revalidate;
    let stale_allowed = !forbids_stale && !directives.no_cache;
    let window_ms = |said: Option<u64>, configured: Duration| match said {
        Some(seconds) if stale_allowed => seconds * 1_000,
        None if stale_allowed && !s_maxage_applies && own_ms > 0 => bounded_ms(configured),
        Some(_) | None => 0,
    };
    Freshness {
        lifetime_ms,
        initial_age_ms,
        response_time: times.response_time,
        stale_while_revalidate_ms: window_ms(
            directives.stale_while_revalidate,
            policy.stale_while_revalidate,
        ),
        stale_if_error_ms: window_ms(directives.stale_if_error, policy.stale_if_error),
        must_revalidate: forbids_stale || s_maxage_applies,
        no_cache: directives.no_cache,
        immutable: directives.immutable,
    }
}

fn decide_lifetime(
    status: u16,
    fields: &FieldSection,
    policy: &CachePolicy,
    directives: &ResponseDirectives,
    times: FetchTimes,
) -> Lifetime {
    let of_status = policy.status_ttl(status);
    if let Some(ttl) = policy.override_ttl
        && is_default_status(status)
        && of_status.is_none()
    {
        return Lifetime::Overridden {
            ms: bounded_ms(ttl),
        };
    }
    if let Some(ms) = explicit_lifetime_ms(fields, directives, times) {
        return Lifetime::Upstream { ms };
    }
    if let Some(ttl) = of_status {
        return Lifetime::Configured {
            ms: bounded_ms(ttl),
        };
    }
    if is_default_status(status) && !policy.ttl.is_zero() {
        return Lifetime::Configured {
            ms: bounded_ms(policy.ttl),
        };
    }
    let may_guess = policy.heuristic && (is_heuristic_status(status) || directives.public);
    Lifetime::Upstream {
        ms: if may_guess {
            heuristic_lifetime_ms(fields, times)
        } else {
            0
        },
    }
}

/// Heuristically cacheable by RFC 9110 §15.1, without 206 and what [`is_provoked`] lists.
fn is_heuristic_status(status: u16) -> bool {
    is_default_status(status) || matches!(status, 404 | 410)
}

/// §4.2.1. A lifetime nobody can read is 0.
fn explicit_lifetime_ms(
    fields: &FieldSection,
    directives: &ResponseDirectives,
    times: FetchTimes,
) -> Option<u64> {
    if let Some(seconds) = directives.s_maxage.or(directives.max_age) {
        return Some(seconds * 1_000);
    }
    // RFC 9213 §2.2: beside a targeted field, Expires does not count.
    if directives.source == DirectiveSource::Targeted || !fields.has(KnownField::Expires) {
        return None;
    }
    let expires = sole_date(fields, KnownField::Expires).unwrap_or(0);
    let date = date_of(fields, times);
    Some(expires.saturating_sub(date).min(DELTA_SECONDS_MAX) * 1_000)
}

/// §4.2.2: a tenth of the time since the last change, a day at most.
fn heuristic_lifetime_ms(fields: &FieldSection, times: FetchTimes) -> u64 {
    let Some(last_modified) = sole_date(fields, KnownField::LastModified) else {
        return 0;
    };
    let unchanged_for = date_of(fields, times).saturating_sub(last_modified);
    unchanged_for
        .saturating_mul(100)
        .min(HEURISTIC_LIFETIME_MS_MAX)
}

fn date_of(fields: &FieldSection, times: FetchTimes) -> u64 {
    sole_date(fields, KnownField::Date).unwrap_or_else(|| times.response_time.seconds())
}

fn bounded_ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis())
        .unwrap_or(u64::MAX)
        .min(DELTA_SECONDS_MAX * 1_000)
}
