//! Request collapsing: one fetch for all requests that wait for the same response.
//!
//! RFC 9111 §4 (collapsed requests). A table of fills by key. Who joins first leads: it fetches and
//! publishes head and chunks; who joins later follows, from any worker, and reads from the first
//! byte while the leader still fetches. Nothing here waits: a poll that finds nothing notes its
//! worker's number, and whoever changes that wakes each noted worker once, through [`WakeWorkers`],
//! with no lock held.
//!
//! What makes a stuck or hostile request harmless:
//! - a leader outlives its client (it is a task of its own; its client reads like any other);
//! - a leader without a head after [`FillLimits::leader_age_ms_max`] is replaced by the next who
//!   joins;
//! - an answer that cannot be shared lets all followers go at once;
//! - a leader that is dropped unfinished says so;
//! - a body that grows too large for the store goes on for those who read it, with a window.
//!
//! Two obligations of the caller: who is told to lead looks into the store once more (the fill
//! before may have ended between its look and its join), and a response is inserted into the store
//! before [`Lead::finish`], a hit-for-miss marker set before [`Lead::publish_head`].

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::key::KeyHash;
use crate::slot::FoldBuilder;
use crate::time::UnixMillis;

mod answer;
mod lead;
mod reader;
mod state;

pub use answer::{FailureKind, FillFailure, HeadStep, Mode, PushAdvice, ReadStep, Retry, Window};
pub use lead::Lead;
pub use reader::Reader;

use state::{ReaderKind, State, Wakes};

const SHARDS: usize = 64;

/// Wakes the tasks of workers that poll a fill.
pub trait WakeWorkers: Send + Sync {
    /// Worker `n` is to wake those of its tasks that wait for the fill of `key`, for each bit
    /// `n % 64` of `workers`; one of them may be the calling worker itself. Called with no lock
    /// held, also from destructors; must not block.
    fn wake(&self, key: KeyHash, workers: u64);
}

/// Bounds of collapsing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FillLimits {
    /// A leader that has no head after this long is replaced by the next who joins. Default 10 s.
    pub leader_age_ms_max: u64,
    /// Bytes held for the slowest reader of a body that is not stored. Default 128 KiB: what a
    /// request that goes past the cache holds, for a slow client costs the node as much either way.
    pub window_bytes: u64,
}

impl Default for FillLimits {
    fn default() -> Self {
        Self {
            leader_age_ms_max: 10_000,
            window_bytes: 128 << 10,
        }
    }
}

/// What a join found.
#[derive(Debug)]
pub enum Joined {
    /// Nobody fetches this: the caller does.
    Lead(Lead),
    /// Somebody does.
    Follow(Reader),
}

/// One fetch in flight.
#[derive(Debug)]
struct Fill {
    key: KeyHash,
    started: UnixMillis,
    state: Mutex<State>,
}

impl Fill {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

type Shard = HashMap<KeyHash, Arc<Fill>, FoldBuilder>;

struct Shared {
    shards: Box<[Mutex<Shard>]>,
    limits: FillLimits,
    sink: Arc<dyn WakeWorkers>,
}

impl core::fmt::Debug for Shared {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("FillTable")
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

impl Shared {
    fn lock(&self, key: KeyHash) -> MutexGuard<'_, Shard> {
        let shard = &self.shards[(key.0 >> 32) as usize % SHARDS];
        shard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wake(&self, key: KeyHash, wakes: Wakes) {
        if wakes != Wakes::NONE {
            self.sink.wake(key, wakes.0);
        }
    }

    /// Takes a fill out of the table, unless another has its place already.
    fn remove(&self, fill: &Arc<Fill>) {
        if let Entry::Occupied(entry) = self.lock(fill.key).entry(fill.key)
            && Arc::ptr_eq(entry.get(), fill)
        {
            entry.remove();
        }
    }
}

/// All fills in flight. Cloning shares the table.
///
/// ```
/// use std::sync::Arc;
/// use corsair_cache::{FillTable, HeadStep, Joined, KeyHash, UnixMillis, WakeWorkers};
///
/// struct Ignore;
/// impl WakeWorkers for Ignore {
///     fn wake(&self, _key: KeyHash, _workers: u64) {}
/// }
///
/// let fills = FillTable::new(Arc::new(Ignore));
/// let (key, now) = (KeyHash(7), UnixMillis(0));
/// let Joined::Lead(lead) = fills.join(key, now) else { unreachable!() };
/// let Joined::Follow(mut reader) = fills.join(key, now) else { unreachable!() };
/// assert!(matches!(reader.poll_head(0), HeadStep::Pending));
/// drop(lead);
/// assert!(matches!(reader.poll_head(0), HeadStep::Rejoin));
/// ```
#[derive(Clone, Debug)]
pub struct FillTable {
    shared: Arc<Shared>,
}

impl FillTable {
    /// An empty table with the default limits.
    #[must_use]
    pub fn new(sink: Arc<dyn WakeWorkers>) -> Self {
        Self::with_limits(sink, FillLimits::default())
    }

    /// An empty table.
    #[must_use]
    pub fn with_limits(sink: Arc<dyn WakeWorkers>, limits: FillLimits) -> Self {
        let shards = (0..SHARDS).map(|_| Mutex::new(Shard::default())).collect();
        Self {
            shared: Arc::new(Shared {
                shards,
                limits,
                sink,
            }),
        }
    }

    /// Joins the fill of a key, or begins one.
    ///
    /// A fill is not joined when its leader has no head for too long (its followers are told to
    /// join again), when its response is not fresh any more, or when it cannot be shared.
    #[must_use]
    pub fn join(&self, key: KeyHash, now: UnixMillis) -> Joined {
        let mut shard = self.shared.lock(key);
        let present = shard.get(&key);
        if let Some(reader) = present.and_then(|fill| self.try_follow(fill, now)) {
            return Joined::Follow(reader);
        }
        let fill = Arc::new(Fill {
            key,
            started: now,
            state: Mutex::new(State::new()),
        });
        let replaced = shard.insert(key, Arc::clone(&fill));
        drop(shard);
        if let Some(old) = replaced {
            let wakes = {
                let mut state = old.lock();
                if state.awaits_head() {
                    state.supersede()
                } else {
                    Wakes::NONE
                }
            };
            self.shared.wake(key, wakes);
        }
        Joined::Lead(Lead {
            window_bytes: self.shared.limits.window_bytes,
            shared: Arc::clone(&self.shared),
            fill,
            reservation: None,
        })
    }

    fn try_follow(&self, fill: &Arc<Fill>, now: UnixMillis) -> Option<Reader> {
        let mut state = fill.lock();
        let age_ms = now.since(fill.started);
        let is_aged = state.awaits_head() && age_ms >= self.shared.limits.leader_age_ms_max;
        if is_aged || !state.is_joinable(now) {
            return None;
        }
        let seat = state.attach(ReaderKind::Follower);
        drop(state);
        Some(Reader {
            shared: Arc::clone(&self.shared),
            fill: Arc::clone(fill),
            seat,
        })
    }

    /// Lets nobody join the fills of a URI any more: what they fetch may be older than what
    /// invalidated it. To be called after [`Store::invalidate`](crate::Store::invalidate), with the
    /// same hash. Who follows already stays: it asked before.
    ///
    /// Finds fills by their key and by the ticket of [`Lead::guard`]. Looks at every fill in
    /// flight.
    pub fn invalidate(&self, primary: KeyHash) {
        for shard in &self.shared.shards {
            let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            shard.retain(|key, fill| *key != primary && !fill.lock().is_guarded_by(primary));
        }
    }

    /// Fills that can be joined or replaced.
    #[must_use]
    pub fn len(&self) -> usize {
        let lock =
            |shard: &Mutex<Shard>| shard.lock().unwrap_or_else(PoisonError::into_inner).len();
        self.shared.shards.iter().map(lock).sum()
    }

    /// Is nothing in flight?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Checks what must hold whenever no lock is held. For tests.
    ///
    /// # Errors
    /// The first invariant that does not hold, in words.
    pub fn check_invariants(&self) -> Result<(), String> {
        for shard in &self.shared.shards {
            for (key, fill) in &*shard.lock().unwrap_or_else(PoisonError::into_inner) {
                if *key != fill.key {
                    return Err("a fill lies under another key".to_owned());
                }
                fill.lock().check_invariants()?;
            }
        }
        Ok(())
    }
}
