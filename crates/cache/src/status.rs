//! What became of a request, in one closed list: it feeds `Cache-Status`, metrics, the access log
//! and `${cache}`.
//!
//! RFC 9211. The list of outcomes is written once, with the short name and what `Cache-Status` says
//! about each. This module never decides an outcome.

use corsair_http1::{decimal, is_token};

/// What an outcome says in `Cache-Status`: served from the store, forwarded with a reason, or
/// neither.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Handling {
    Hit,
    Forward(&'static str),
    Local,
}

macro_rules! outcomes {
    ($($(#[$doc:meta])* $variant:ident $name:literal $handling:expr;)*) => {
        /// What became of a request. Closed: a new case is a new row here, and every consumer sees
        /// it.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
        #[repr(u8)]
        pub enum Outcome {
            $($(#[$doc])* $variant,)*
        }

        impl Outcome {
            /// All outcomes in order; an outcome's number is its place here.
            pub const ALL: [Self; [$($name),*].len()] = [$(Self::$variant),*];

            /// The short name, for metrics, logs and `${cache}`. One word of `a-z` and `-`.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }

            const fn handling(self) -> Handling {
                match self {
                    $(Self::$variant => $handling,)*
                }
            }
        }
    };
}

outcomes! {
    /// Answered from a fresh stored response.
    Hit "hit" Handling::Hit;
    /// Answered from a stale stored response while it is revalidated (RFC 5861 §3).
    HitStale "stale" Handling::Hit;
    /// Answered from a stale stored response because the upstream failed (RFC 5861 §4).
    HitStaleError "stale-error" Handling::Forward("stale");
    /// The stored response was stale; the upstream confirmed it.
    Revalidated "revalidated" Handling::Forward("stale");
    /// The stored response was stale; the upstream sent a new one.
    Expired "expired" Handling::Forward("stale");
    /// The request asked for validation of a fresh stored response (`no-cache`, `max-age`,
    /// `min-fresh`).
    Reloaded "reloaded" Handling::Forward("request");
    /// Nothing stored for this URI.
    Miss "miss" Handling::Forward("uri-miss");
    /// Stored for this URI, but for other request fields.
    VaryMiss "vary-miss" Handling::Forward("vary-miss");
    /// Answered from the fetch that another request had begun.
    Collapsed "collapsed" Handling::Forward("uri-miss");
    /// Forwarded alone, because the last answers for this URI could not be stored.
    HitForMiss "hit-for-miss" Handling::Forward("miss");
    /// The method of the request keeps it away from the cache.
    Pass "pass" Handling::Forward("method");
    /// Something else about the request, or the configuration, keeps it away from the cache.
    Bypass "bypass" Handling::Forward("bypass");
    /// `only-if-cached`, and nothing fresh stored: 504.
    OnlyIfCached "only-if-cached" Handling::Local;
    /// The node answered a CORS preflight itself.
    Preflight "preflight" Handling::Local;
    /// The node answered something else itself: no such site, a limit, a malformed request.
    Local "local" Handling::Local;
    /// The upstream failed, and nothing stored could stand in. `Cache-Status` says as what the
    /// request was forwarded instead.
    Error "error" Handling::Forward("uri-miss");
}

/// The parts of one `Cache-Status` member besides the node's name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CacheStatus<'a> {
    /// What became of the request.
    pub outcome: Outcome,
    /// Seconds of freshness left, negative when stale; only sent with a stored response.
    pub ttl: Option<i64>,
    /// The status the upstream answered, when it was asked.
    pub fwd_status: Option<u16>,
    /// Was the upstream's answer stored?
    pub stored: bool,
    /// Did the request share another one's fetch?
    pub collapsed: bool,
    /// One token more, such as the reason why a response was not stored.
    pub detail: Option<&'a str>,
}

impl CacheStatus<'_> {
    /// Only the outcome; nothing else to say.
    #[must_use]
    pub const fn new(outcome: Outcome) -> Self {
        Self {
            outcome,
            ttl: None,
            fwd_status: None,
            stored: false,
            collapsed: false,
            detail: None,
        }
    }
}

/// Appends the node's member of `Cache-Status` (RFC 9211 §2), without a field name and line end:
/// `edge-1; hit; ttl=376`.
///
/// A member an upstream cache sent stands before it, after a comma: that is the caller's field
/// line. `node_name` that is no token is sent as a quoted string; bytes that no structured string
/// can carry are dropped from it.
///
/// ```
/// use corsair_cache::{CacheStatus, Outcome, write_cache_status};
/// let mut out = Vec::new();
/// write_cache_status(&mut out, "edge-1", &CacheStatus { ttl: Some(376),
/// ..CacheStatus::new(Outcome::Hit) }); assert_eq!(out, b"edge-1; hit; ttl=376");
/// ```
pub fn write_cache_status(out: &mut Vec<u8>, node_name: &str, status: &CacheStatus<'_>) {
    write_name(out, node_name);
    match status.outcome.handling() {
        Handling::Hit => out.extend_from_slice(b"; hit"),
        Handling::Forward(reason) => {
            out.extend_from_slice(b"; fwd=");
            out.extend_from_slice(reason.as_bytes());
            if let Some(code) = status.fwd_status {
                out.extend_from_slice(b"; fwd-status=");
                decimal(out, u64::from(code));
            }
        }
        // No `hit` and no `fwd`: the node is the origin of this response. The outcome's name tells
        // which one.
        Handling::Local => {
            out.extend_from_slice(b"; detail=");
            out.extend_from_slice(status.outcome.as_str().as_bytes());
            return;
        }
    }
    if let Some(ttl) = status.ttl {
        out.extend_from_slice(b"; ttl=");
        if ttl < 0 {
            out.push(b'-');
        }
        decimal(out, ttl.unsigned_abs());
    }
    if status.stored {
        out.extend_from_slice(b"; stored");
    }
    if status.collapsed {
        out.extend_from_slice(b"; collapsed");
    }
    if let Some(detail) = status.detail {
        out.extend_from_slice(b"; detail=");
        write_name(out, detail);
    }
}

/// Writes a structured token when `text` is one, else a structured string (RFC 8941 §3.3.3,
/// §3.3.4).
fn write_name(out: &mut Vec<u8>, text: &str) {
    let bytes = text.as_bytes();
    // A structured token begins with a letter or `*`; the rest of a plain token is allowed in it.
    if is_token(bytes) && (bytes[0].is_ascii_alphabetic() || bytes[0] == b'*') {
        out.extend_from_slice(bytes);
        return;
    }
    out.push(b'"');
    for &byte in bytes.iter().filter(|byte| (b' '..=b'~').contains(byte)) {
        if matches!(byte, b'"' | b'\\') {
            out.push(b'\\');
        }
        out.push(byte);
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &str, status: CacheStatus<'_>, expected: &str) {
        let mut out = Vec::new();
        write_cache_status(&mut out, name, &status);
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    #[test]
    fn cache_status_members() {
        let of = CacheStatus::new;
        check(
            "e",
            CacheStatus {
                ttl: Some(0),
                ..of(Outcome::Hit)
            },
            "e; hit; ttl=0",
        );
        check(
            "e",
            CacheStatus {
                ttl: Some(-3),
                ..of(Outcome::HitStale)
            },
            "e; hit; ttl=-3",
        );
        check(
            "e",
            CacheStatus {
                fwd_status: Some(304),
                stored: true,
                ..of(Outcome::Revalidated)
            },
            "e; fwd=stale; fwd-status=304; stored",
        );
        check(
            "e",
            CacheStatus {
                fwd_status: Some(200),
                collapsed: true,
                ..of(Outcome::Collapsed)
            },
            "e; fwd=uri-miss; fwd-status=200; collapsed",
        );
        check(
            "e",
            CacheStatus {
                detail: Some("set-cookie"),
                fwd_status: Some(200),
                ..of(Outcome::Miss)
            },
            "e; fwd=uri-miss; fwd-status=200; detail=set-cookie",
        );
        check("e", of(Outcome::Preflight), "e; detail=preflight");
        check("e", of(Outcome::Pass), "e; fwd=method");
    }

    #[test]
    fn node_name_is_a_token_or_a_quoted_string() {
        let of = CacheStatus::new(Outcome::Bypass);
        check("edge-1.example", of, "edge-1.example; fwd=bypass");
        check("1edge", of, "\"1edge\"; fwd=bypass");
        check("a b", of, "\"a b\"; fwd=bypass");
        check("a\"\\é\r\nb", of, "\"a\\\"\\\\b\"; fwd=bypass");
        check("", of, "\"\"; fwd=bypass");
    }

    #[test]
    fn outcomes_are_numbered_in_order_with_distinct_names() {
        for (index, outcome) in Outcome::ALL.into_iter().enumerate() {
            assert_eq!(outcome as usize, index);
            assert!(
                outcome
                    .as_str()
                    .bytes()
                    .all(|b| b.is_ascii_lowercase() || b == b'-')
            );
            let same = Outcome::ALL
                .iter()
                .filter(|other| other.as_str() == outcome.as_str());
            assert_eq!(same.count(), 1, "{outcome:?}");
        }
    }
}
