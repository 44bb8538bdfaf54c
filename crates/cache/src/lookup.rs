//! May this request be answered from the store, and may it share a fetch? And what does an answer
//! from the upstream invalidate?
//!
//! RFC 9111 §4 (constructing responses), §4.3.2 (preconditions a cache must not evaluate), §4.4
//! (invalidation), §5.2.1.5 (`no-store`). The request alone decides here; a response's say is in
//! `storable.rs`.

use corsair_http1::{BodyLength, KnownField, KnownSet, Request, list_members};

use crate::directives::RequestDirectives;
use crate::status::Outcome;

/// What the cache may do for a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Lookup {
    /// Look it up; on a miss lead or follow a fill.
    Cache,
    /// Look it up; on a miss fetch for this request alone, neither leading nor following a fill.
    /// Its answer may still be stored when [`decide_storable`](crate::decide_storable) says so. One
    /// that [`asks_for_less`] is forwarded as it is.
    Alone(PassReason),
    /// Forward it as it is; store nothing.
    Pass(PassReason),
}

/// Why a request goes past the cache.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PassReason {
    /// Neither GET nor HEAD.
    Method,
    /// GET or HEAD with a body: the upstream may read it, and no key says what it held.
    RequestBody,
    /// The connection is to become a WebSocket.
    Upgrade,
    /// `If-Match` or `If-Unmodified-Since`: only the upstream may evaluate them (§4.3.2).
    UpstreamPrecondition,
    /// `no-store`: nothing of the answer may be stored, so nobody can share it.
    RequestNoStore,
    /// `Authorization`: most answers to it cannot be shared (§3.5), so nobody should wait for one.
    Authorization,
}

impl PassReason {
    /// A short token for `Cache-Status` and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Method => "method",
            Self::RequestBody => "request-body",
            Self::Upgrade => "upgrade",
            Self::UpstreamPrecondition => "precondition",
            Self::RequestNoStore => "request-no-store",
            Self::Authorization => "authorization",
        }
    }

    /// What to call it: RFC 9211 §2.2 has `method` for methods alone.
    #[must_use]
    pub const fn outcome(self) -> Outcome {
        match self {
            Self::Method => Outcome::Pass,
            Self::RequestBody
            | Self::Upgrade
            | Self::UpstreamPrecondition
            | Self::RequestNoStore
            | Self::Authorization => Outcome::Bypass,
        }
    }
}

/// Decides from the request alone what the cache may do for it. Costs one bit test for the common
/// GET.
///
/// HEAD is looked up under the key of GET. A HEAD that misses should be fetched as it is and alone:
/// its answer is never stored.
#[must_use]
pub fn decide_lookup(request: Request<'_>, body: &BodyLength) -> Lookup {
    const UNUSUAL: KnownSet = KnownSet::of(&[
        KnownField::Upgrade,
        KnownField::IfMatch,
        KnownField::IfUnmodifiedSince,
        KnownField::Authorization,
        KnownField::CacheControl,
    ]);
    if !matches!(request.method(), b"GET" | b"HEAD") {
        return Lookup::Pass(PassReason::Method);
    }
    match body {
        BodyLength::None | BodyLength::Fixed(0) => {}
        BodyLength::Fixed(_) | BodyLength::Chunked | BodyLength::UntilClose => {
            return Lookup::Pass(PassReason::RequestBody);
        }
    }
    if !request.any_of(UNUSUAL) {
        return Lookup::Cache;
    }
    if request
        .fields_named(KnownField::Upgrade)
        .flat_map(list_members)
        .any(is_websocket)
    {
        return Lookup::Pass(PassReason::Upgrade);
    }
    if request.has(KnownField::IfMatch) || request.has(KnownField::IfUnmodifiedSince) {
        return Lookup::Pass(PassReason::UpstreamPrecondition);
    }
    if request.has(KnownField::Authorization) {
        return Lookup::Alone(PassReason::Authorization);
    }
    if RequestDirectives::parse(request).no_store {
        return Lookup::Alone(PassReason::RequestNoStore);
    }
    Lookup::Cache
}

/// Whether a request asks for less than the whole representation, which is what a fill fetches: HEAD, a
/// range, or only what has changed. When its answer will hardly be stored it goes on as it is: else the
/// upstream would be asked for all of a large file where a part of it is wanted.
#[must_use]
pub fn asks_for_less(request: Request<'_>) -> bool {
    const LESS: KnownSet = KnownSet::of(&[
        KnownField::Range,
        KnownField::IfNoneMatch,
        KnownField::IfModifiedSince,
    ]);
    request.method() == b"HEAD" || request.any_of(LESS)
}

/// Whether a request with `Range` whose fill brought this status, and nothing to store, is forwarded once
/// more as it is: when there is a representation to take the part of. An error is the answer already.
#[must_use]
pub const fn part_is_asked_again(status: u16) -> bool {
    matches!(status, 200 | 206)
}

fn is_websocket(protocol: &[u8]) -> bool {
    let name = protocol.split(|&b| b == b'/').next().unwrap_or_default();
    name.eq_ignore_ascii_case(b"websocket")
}

/// What the answer to a request does to the stored responses of its target URI.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Invalidation {
    /// Nothing.
    Keep,
    /// They must go: [`Store::invalidate`](crate::Store::invalidate).
    TargetUri,
}

/// RFC 9111 §4.4: a non-error answer (2xx, 3xx) to an unsafe method, or to one nobody knows,
/// invalidates the target URI. GET, HEAD, OPTIONS and TRACE are safe.
#[must_use]
pub fn decide_invalidation(method: &[u8], status: u16) -> Invalidation {
    let is_safe = matches!(method, b"GET" | b"HEAD" | b"OPTIONS" | b"TRACE");
    if !is_safe && (200..400).contains(&status) {
        Invalidation::TargetUri
    } else {
        Invalidation::Keep
    }
}
