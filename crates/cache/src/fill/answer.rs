//! What is said to and by a fill: modes, advice, steps, failures. Values only.

use std::sync::Arc;

use bytes::Bytes;

use crate::storable::NoStore;
use crate::stored::{FillHead, Stored};

/// Why a fetch failed, and what that means for who waited.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FillFailure {
    /// What happened.
    pub kind: FailureKind,
    /// May the request be sent again?
    pub retry: Retry,
}

impl FillFailure {
    /// The leader went away.
    pub(crate) const ABANDONED: Self = Self {
        kind: FailureKind::Abandoned,
        retry: Retry::Safe,
    };
}

/// What went wrong with the upstream.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum FailureKind {
    /// Its name has no address.
    Unresolved,
    /// No connection.
    Refused,
    /// No connection in time.
    ConnectTimeout,
    /// No answer, or no more of it, in time.
    Timeout,
    /// The connection ended before the answer did.
    Broken,
    /// The answer is no valid HTTP.
    Malformed,
    /// The leader went away unfinished.
    Abandoned,
}

impl FailureKind {
    /// The status to answer with, when no head has been sent yet.
    #[must_use]
    pub const fn status(self) -> u16 {
        match self {
            Self::Unresolved | Self::Refused | Self::Broken | Self::Malformed => 502,
            Self::ConnectTimeout | Self::Timeout => 504,
            Self::Abandoned => 503,
        }
    }

    /// A short token for `Cache-Status` and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unresolved => "upstream-unresolved",
            Self::Refused => "upstream-refused",
            Self::ConnectTimeout => "upstream-connect-timeout",
            Self::Timeout => "upstream-timeout",
            Self::Broken => "upstream-broken",
            Self::Malformed => "upstream-malformed",
            Self::Abandoned => "abandoned",
        }
    }
}

/// May a request that failed be sent again?
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Retry {
    /// Yes: it cannot have had an effect, or may have it twice.
    Safe,
    /// No.
    Unsafe,
}

/// What is done with a response whose head is there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    /// All of it is kept, to be stored; followers share it when it is fresh.
    Store {
        /// A body that grows larger is not stored.
        body_bytes_max: u64,
    },
    /// It cannot be stored: it is for the leader's own client, and followers are let go.
    Relay(NoStore),
}

/// Is there room for more chunks?
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Window {
    /// Fetch on.
    Open,
    /// The slowest reader is a window behind. The leader's worker is woken when that changes.
    Full,
    /// Nobody reads, and it is not stored: stop fetching.
    Abandoned,
}

/// What a push found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PushAdvice {
    /// Do not fetch more before [`Lead::wait_window`](crate::Lead::wait_window) says so.
    pub window_full: bool,
    /// Nobody reads, and it is not stored: stop fetching.
    pub abandoned: bool,
    /// With this push it became clear that the body will not be stored; set a hit-for-miss marker
    /// when the reason leaves one.
    pub outgrown: Option<NoStore>,
}

/// What a reader that waits for the head finds.
#[derive(Clone, Debug)]
pub enum HeadStep {
    /// Nothing yet; the worker will be woken.
    Pending,
    /// The head. It may be another variant than the request selects: ask
    /// [`Store::variant_key`](crate::Store::variant_key), and join that key instead when it says
    /// so.
    Head(Arc<FillHead>),
    /// The whole response, stored. The same question about variants.
    Stored(Arc<Stored>),
    /// The answer cannot be shared: fetch alone.
    NotStorable(NoStore),
    /// The fetch failed; so would another one now.
    Failed(FillFailure),
    /// The leader went away or was replaced: look into the store and join again.
    Rejoin,
}

/// What a reader of the body finds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ReadStep {
    /// The next bytes; never empty.
    Chunk(Bytes),
    /// Nothing yet; the worker will be woken.
    Pending,
    /// That was all.
    End,
    /// The body will never be whole: close the connection.
    Failed(FillFailure),
}
