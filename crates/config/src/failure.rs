//! What the node answers in place of an upstream that failed: a closed list of failures, and for each the
//! status, the sentence of the body and what `Cache-Status` says (RFC 9110 §15.6.3, §15.6.5; RFC 9211).
//!
//! The data plane answers with it, and `explain` tells it. Decides nothing about retries or stale
//! responses, and never writes a head: [`crate::HeadContext::own`] does, under the route's rules.

use corsair_cache::{CacheStatus, FailureKind, Outcome};

/// Why there is no response from an upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum UpstreamFailure {
    /// Its name has not been resolved.
    Unresolved,
    /// No connection.
    Refused,
    /// No connection in time (`connect_timeout`).
    ConnectTimeout,
    /// The connection broke before a response head.
    Broken,
    /// No response head in time (`response_timeout`).
    Timeout,
    /// What came is not HTTP/1.1 as RFC 9112 has it.
    Malformed,
}

impl UpstreamFailure {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Unresolved,
        Self::Refused,
        Self::ConnectTimeout,
        Self::Broken,
        Self::Timeout,
        Self::Malformed,
    ];

    /// One word for command lines and documents.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unresolved => "unresolved",
            Self::Refused => "refused",
            Self::ConnectTimeout => "connect-timeout",
            Self::Broken => "broken",
            Self::Timeout => "timeout",
            Self::Malformed => "malformed",
        }
    }

    /// In words, behind "the upstream".
    #[must_use]
    pub const fn in_words(self) -> &'static str {
        match self {
            Self::Unresolved => "has a name without an address",
            Self::Refused => "refuses the connection",
            Self::ConnectTimeout => "accepts no connection within `connect_timeout`",
            Self::Broken => "closes the connection before a response head",
            Self::Timeout => "sends no response head within `response_timeout`",
            Self::Malformed => "answers what is not HTTP/1.1 (RFC 9112)",
        }
    }

    /// The token for `Cache-Status` and the body's one sentence, where the request went by itself.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Unresolved => "upstream-unresolved",
            Self::Refused => "upstream-refused",
            Self::ConnectTimeout => "upstream-connect-timeout",
            Self::Broken => "upstream-broken",
            Self::Timeout => "upstream-timeout",
            Self::Malformed => "upstream-malformed",
        }
    }

    /// What it is for those who wait for a shared fetch.
    #[must_use]
    pub const fn kind(self) -> FailureKind {
        match self {
            Self::Unresolved | Self::Refused => FailureKind::Connect,
            Self::ConnectTimeout | Self::Timeout => FailureKind::Timeout,
            Self::Broken => FailureKind::Truncated,
            Self::Malformed => FailureKind::Malformed,
        }
    }
}

/// What is said instead of the upstream's response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FailureAnswer {
    /// The status.
    pub status: u16,
    /// The body, without its line end.
    pub text: &'static str,
    /// What to say in `Cache-Status`.
    pub cache_status: CacheStatus<'static>,
}

impl FailureAnswer {
    /// For a request that waited for a fetch which may be stored and shared.
    ///
    /// ```
    /// use corsair_config::{FailureAnswer, UpstreamFailure};
    /// assert_eq!(FailureAnswer::of_fill(UpstreamFailure::Timeout.kind()).status, 504);
    /// ```
    #[must_use]
    pub const fn of_fill(kind: FailureKind) -> Self {
        let status = kind.status();
        Self {
            status,
            text: match status {
                504 => "the upstream did not answer in time",
                _ => "the upstream failed",
            },
            cache_status: CacheStatus {
                detail: Some(kind.as_str()),
                ..CacheStatus::new(Outcome::Error)
            },
        }
    }

    /// For a request that the cache had nothing to do with.
    #[must_use]
    pub const fn of_pass(failure: UpstreamFailure) -> Self {
        let reason = failure.reason();
        Self {
            status: failure.kind().status(),
            text: reason,
            cache_status: CacheStatus {
                detail: Some(reason),
                ..CacheStatus::new(Outcome::Error)
            },
        }
    }
}
