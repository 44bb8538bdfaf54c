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
        let (_the_upstream, words) = sentence(self.kind()).split_at("the upstream ".len());
        words
    }

    /// What it is for those who wait for a shared fetch, and in `Cache-Status`.
    #[must_use]
    pub const fn kind(self) -> FailureKind {
        match self {
            Self::Unresolved => FailureKind::Unresolved,
            Self::Refused => FailureKind::Refused,
            Self::ConnectTimeout => FailureKind::ConnectTimeout,
            Self::Timeout => FailureKind::Timeout,
            Self::Broken => FailureKind::Broken,
            Self::Malformed => FailureKind::Malformed,
        }
    }
}

/// The one sentence of the body.
const fn sentence(kind: FailureKind) -> &'static str {
    match kind {
        FailureKind::Unresolved => "the upstream has a name without an address",
        FailureKind::Refused => "the upstream refuses the connection",
        FailureKind::ConnectTimeout => {
            "the upstream accepts no connection within `connect_timeout`"
        }
        FailureKind::Timeout => "the upstream sends no response head within `response_timeout`",
        FailureKind::Broken => "the upstream closes the connection before a response head",
        FailureKind::Malformed => "the upstream answers what is not HTTP/1.1 (RFC 9112)",
        FailureKind::Abandoned => "the upstream was not asked to the end",
    }
}

/// What is said instead of the upstream's response: the same whether the request went by itself or
/// waited for a fetch that others share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FailureAnswer {
    /// The status.
    pub status: u16,
    /// The body, without its line end.
    pub text: &'static str,
    /// What became of the request, for metrics and `${cache}`.
    pub outcome: Outcome,
    /// What to say in `Cache-Status`: why the request was forwarded, and how that failed.
    pub cache_status: CacheStatus<'static>,
}

impl FailureAnswer {
    /// For a request that was forwarded as `forwarded_as` says.
    ///
    /// ```
    /// use corsair_cache::{FailureKind, Outcome};
    /// use corsair_config::FailureAnswer;
    /// let answer = FailureAnswer::new(FailureKind::Timeout, Outcome::Pass);
    /// assert_eq!((answer.status, answer.outcome), (504, Outcome::Error));
    /// assert_eq!(answer.cache_status.outcome, Outcome::Pass);
    /// ```
    #[must_use]
    pub const fn new(kind: FailureKind, forwarded_as: Outcome) -> Self {
        Self {
            status: kind.status(),
            text: sentence(kind),
            outcome: Outcome::Error,
            cache_status: CacheStatus {
                detail: Some(kind.as_str()),
                ..CacheStatus::new(forwarded_as)
            },
        }
    }
}
