//! May a stored response answer this request now?
//!
//! RFC 9111 §4.2 (fresh), §4.2.4 (stale), §5.2.1 (what the request asks for), RFC 5861, RFC 8246.
//! Selection by key and Vary has already happened; conditionals and ranges come after.

use crate::directives::RequestDirectives;
use crate::stored::StoredHead;
use crate::time::{DELTA_SECONDS_MAX, UnixMillis};

/// What to do with a stored response.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reuse {
    /// Answer with it.
    Fresh,
    /// Answer with it, and revalidate it in the background.
    StaleWhileRevalidate,
    /// Revalidate it first; when the upstream fails, answer with it.
    StaleIfError,
    /// Revalidate it; it must not be served otherwise.
    Revalidate,
    /// The client wants nothing from the upstream, and this cannot be served: 504.
    OnlyIfCached504,
}

/// Decides what the stored response is good for. For a request without directives and a fresh
/// response this is one comparison.
///
/// `max-stale` is honoured as permission to serve what it allows while revalidating. An `immutable`
/// response is not revalidated for a reload that says `max-age=0`, only for `no-cache`.
#[must_use]
#[inline]
pub fn decide_reuse(stored: &StoredHead, directives: &RequestDirectives, now: UnixMillis) -> Reuse {
    if *directives == RequestDirectives::NONE && stored.freshness().is_reusable(now) {
        return Reuse::Fresh;
    }
    decide(stored, directives, now)
}

fn decide(stored: &StoredHead, directives: &RequestDirectives, now: UnixMillis) -> Reuse {
    let reuse = decide_without_504(stored, directives, now);
    match reuse {
        Reuse::StaleIfError | Reuse::Revalidate if directives.only_if_cached => {
            Reuse::OnlyIfCached504
        }
        Reuse::Fresh
        | Reuse::StaleWhileRevalidate
        | Reuse::StaleIfError
        | Reuse::Revalidate
        | Reuse::OnlyIfCached504 => reuse,
    }
}

fn decide_without_504(
    stored: &StoredHead,
    directives: &RequestDirectives,
    now: UnixMillis,
) -> Reuse {
    let freshness = stored.freshness();
    if directives.no_cache || freshness.no_cache {
        return Reuse::Revalidate;
    }
    let age_ms = freshness.current_age_ms(now);
    let is_fresh = freshness.is_fresh(now);
    let is_reload_of_immutable = freshness.immutable && is_fresh;
    let too_old = directives
        .max_age
        .is_some_and(|wanted| age_ms > wanted * 1_000);
    let too_short = directives
        .min_fresh
        .is_some_and(|wanted| freshness.lifetime_ms.saturating_sub(age_ms) < wanted * 1_000);
    if (too_old && !is_reload_of_immutable) || too_short {
        return Reuse::Revalidate;
    }
    if is_fresh {
        return Reuse::Fresh;
    }
    let staleness_ms = freshness.staleness_ms(now);
    let client_allows = !freshness.must_revalidate
        && directives
            .max_stale
            .is_some_and(|s| s >= DELTA_SECONDS_MAX || staleness_ms <= s * 1_000);
    if staleness_ms < freshness.stale_while_revalidate_ms || client_allows {
        return Reuse::StaleWhileRevalidate;
    }
    let client_error_window_ms = match directives.stale_if_error {
        Some(seconds) if !freshness.must_revalidate => seconds * 1_000,
        Some(_) | None => 0,
    };
    if staleness_ms < freshness.stale_if_error_ms.max(client_error_window_ms) {
        Reuse::StaleIfError
    } else {
        Reuse::Revalidate
    }
}
