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

use bytes::Bytes;

use crate::body::{self, Body};
use crate::budget::Reservation;
use crate::fill_state::{Keeping, ReaderKind, State, Wakes};
use crate::key::KeyHash;
use crate::slot::FoldBuilder;
use crate::storable::NoStore;
use crate::store::Ticket;
use crate::stored::{FillHead, Stored};
use crate::time::UnixMillis;

const SHARDS: usize = 64;

/// What a window shrinks to when the budget has no room for more.
const WINDOW_BYTES_MIN: u64 = 64 << 10;

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
    /// Bytes held for the slowest reader of a body that is not stored. Default 1 MiB.
    pub window_bytes: u64,
}

impl Default for FillLimits {
    fn default() -> Self {
        Self {
            leader_age_ms_max: 10_000,
            window_bytes: 1 << 20,
        }
    }
}

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
    /// No connection.
    Connect,
    /// No answer, or no more of it, in time.
    Timeout,
    /// The connection ended before the answer did.
    Truncated,
    /// The answer is no valid HTTP.
    Malformed,
    /// The node could not, for reasons of its own.
    Local,
    /// The leader went away unfinished.
    Abandoned,
}

impl FailureKind {
    /// The status to answer with, when no head has been sent yet.
    #[must_use]
    pub const fn status(self) -> u16 {
        match self {
            Self::Connect | Self::Truncated | Self::Malformed => 502,
            Self::Timeout => 504,
            Self::Local | Self::Abandoned => 503,
        }
    }

    /// A short token for `Cache-Status` and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Timeout => "timeout",
            Self::Truncated => "truncated",
            Self::Malformed => "malformed",
            Self::Local => "local",
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
    /// Do not fetch more before [`Lead::wait_window`] says so.
    pub window_full: bool,
    /// Nobody reads, and it is not stored: stop fetching.
    pub abandoned: bool,
    /// With this push it became clear that the body will not be stored; set a hit-for-miss marker
    /// when the reason leaves one.
    pub outgrown: Option<NoStore>,
}

/// What a join found.
#[derive(Debug)]
pub enum Joined {
    /// Nobody fetches this: the caller does.
    Lead(Lead),
    /// Somebody does.
    Follow(Reader),
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
    /// Finds fills by their key and by the ticket of [`Lead::guard`]. Looks at every fill in flight.
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

/// The right and the duty to fetch. Dropped unfinished, it lets everybody know.
#[derive(Debug)]
pub struct Lead {
    shared: Arc<Shared>,
    fill: Arc<Fill>,
    reservation: Option<Reservation>,
}

impl Lead {
    /// The key of the fill.
    #[must_use]
    pub fn key(&self) -> KeyHash {
        self.fill.key
    }

    /// A reader for the client whose request is being fetched; it gets whatever comes. Must be made
    /// before the first push: a reader that would miss the beginning is told to rejoin.
    #[must_use]
    pub fn reader(&self) -> Reader {
        let seat = self.fill.lock().attach(ReaderKind::Own);
        Reader {
            shared: Arc::clone(&self.shared),
            fill: Arc::clone(&self.fill),
            seat,
        }
    }

    /// Says which URI the fill is for, so that an invalidation of it ends joining, also when the
    /// fill's key is a variant's. To be called with the ticket, before the request is sent.
    pub fn guard(&mut self, ticket: Ticket) {
        self.fill.lock().guard(ticket.primary());
    }

    /// Accounts what the fill holds to `reservation`, which grows and shrinks with it from now on.
    pub fn charge(&mut self, reservation: Reservation) {
        self.reservation = Some(reservation);
    }

    /// Publishes the head.
    ///
    /// In [`Mode::Relay`], and when the response may not be reused without validation, followers
    /// are let go and nobody can join any more. Returns the head for the leader's own use.
    pub fn publish_head(&mut self, head: FillHead, mode: Mode) -> Arc<FillHead> {
        let head = Arc::new(head);
        let freshness = head.freshness();
        let (keeping, release) = match mode {
            Mode::Relay(reason) => (Keeping::Window, Some(reason)),
            Mode::Store { body_bytes_max } => {
                let is_shared = freshness.is_reusable(freshness.response_time);
                let release = (!is_shared).then_some(NoStore::NotShareable);
                (Keeping::All { body_bytes_max }, release)
            }
        };
        let wakes = self
            .fill
            .lock()
            .publish(Arc::clone(&head), keeping, release);
        if release.is_some() {
            self.shared.remove(&self.fill);
        }
        self.shared.wake(self.fill.key, wakes);
        head
    }

    /// Adds the next bytes of the body. The head must have been published.
    ///
    /// Small chunks are gathered into segments as they come, outside the lock, so that the body is
    /// ready when it is whole; see [`Body::from_chunks`] for what may be handed over.
    pub fn push(&mut self, chunk: Bytes) -> PushAdvice {
        let outgrown = if chunk.is_empty() {
            None
        } else {
            self.push_some(chunk)
        };
        let window = self.window(None);
        PushAdvice {
            window_full: window == Window::Full,
            abandoned: window == Window::Abandoned,
            outgrown,
        }
    }

    fn push_some(&mut self, chunk: Bytes) -> Option<NoStore> {
        let outgrown = self.outgrown_by(chunk.len() as u64);
        let run = {
            let mut state = self.fill.lock();
            if outgrown.is_some() {
                state.stop_keeping();
            }
            state.run_to_gather(chunk.len())
        };
        let segment = run.map(|(chunks, len)| body::gather(&chunks, len));
        let wakes = {
            let mut state = self.fill.lock();
            if let Some(segment) = segment {
                state.replace_run(segment);
            }
            state.push(chunk)
        };
        if outgrown.is_some() {
            self.shared.remove(&self.fill);
        }
        self.shared.wake(self.fill.key, wakes);
        outgrown
    }

    /// Does the body stop being storable with `more` bytes?
    fn outgrown_by(&mut self, more: u64) -> Option<NoStore> {
        let (body_bytes_max, held) = {
            let state = self.fill.lock();
            (state.body_bytes_max()?, state.held_bytes())
        };
        if held + more > body_bytes_max {
            return Some(NoStore::TooLarge);
        }
        let reservation = self.reservation.as_mut()?;
        reservation
            .resize(held + more)
            .err()
            .map(|_| NoStore::BudgetExhausted)
    }

    /// May the leader fetch more? When not, worker `worker` is woken once that may have changed.
    pub fn wait_window(&mut self, worker: usize) -> Window {
        self.window(Some(worker))
    }

    fn window(&mut self, waiter: Option<usize>) -> Window {
        let held = {
            let state = self.fill.lock();
            if state.keeps_all() {
                return Window::Open;
            }
            state.held_bytes()
        };
        let is_covered = match &mut self.reservation {
            Some(reservation) => reservation.resize(held).is_ok(),
            None => true,
        };
        let allowed = if is_covered {
            self.shared.limits.window_bytes
        } else {
            WINDOW_BYTES_MIN
        };
        let mut state = self.fill.lock();
        if state.reader_count() == 0 {
            return Window::Abandoned;
        }
        if state.held_bytes() < allowed {
            return Window::Open;
        }
        if let Some(worker) = waiter {
            state.await_window(worker);
        }
        Window::Full
    }

    /// The whole body, for the stored response. Ends the reservation: what it was for is about to
    /// be weighed by the store. `None` when the body was not kept.
    #[must_use]
    pub fn body(&mut self) -> Option<Body> {
        let run = {
            let state = self.fill.lock();
            if !state.keeps_all() {
                return None;
            }
            state.last_run()
        };
        let segment = run.map(|(chunks, len)| body::gather(&chunks, len));
        let mut state = self.fill.lock();
        if let Some(segment) = segment {
            state.replace_run(segment);
        }
        let body = Body::from_segments(state.segments());
        drop(state);
        self.reservation = None;
        Some(body)
    }

    /// The response is whole: stored, or `None` when it was only passed on.
    ///
    /// Also ends a fill whose upstream answered 304, with the refreshed response and without a
    /// published head. When that may not be reused without validation, followers are let go with
    /// [`NoStore::NotShareable`].
    pub fn finish(mut self, stored: Option<Arc<Stored>>) {
        let release = stored.as_ref().and_then(|stored| {
            let freshness = stored.freshness();
            let is_shared = freshness.is_reusable(freshness.response_time);
            (!is_shared).then_some(NoStore::NotShareable)
        });
        let charge = self.reservation.take();
        let wakes = {
            let mut state = self.fill.lock();
            let release = release.filter(|_| state.awaits_head());
            state.complete(stored, release, charge)
        };
        self.end(wakes);
    }

    /// The fetch failed. Readers that hold a part of the body learn that it will never be whole.
    pub fn fail(self, failure: FillFailure) {
        let wakes = self.fill.lock().fail(failure);
        self.end(wakes);
    }

    fn end(&self, wakes: Wakes) {
        self.shared.remove(&self.fill);
        self.shared.wake(self.fill.key, wakes);
    }

    /// Checks the fill's invariants. For tests.
    ///
    /// # Errors
    /// The first invariant that does not hold, in words.
    pub fn check_invariants(&self) -> Result<(), String> {
        self.fill.lock().check_invariants()
    }
}

impl Drop for Lead {
    fn drop(&mut self) {
        let wakes = {
            let mut state = self.fill.lock();
            if state.is_over() {
                return;
            }
            state.abandon()
        };
        self.end(wakes);
    }
}

/// A place in a fill: first it waits for the head, then it reads the body. Dropped, it lets go.
#[derive(Debug)]
pub struct Reader {
    shared: Arc<Shared>,
    fill: Arc<Fill>,
    seat: usize,
}

impl Reader {
    /// The key of the fill.
    #[must_use]
    pub fn key(&self) -> KeyHash {
        self.fill.key
    }

    /// Is the head there? When not, worker `worker` is woken once there is something to find.
    pub fn poll_head(&mut self, worker: usize) -> HeadStep {
        self.fill.lock().head_step(self.seat, worker)
    }

    /// The next bytes of the body, from the first on. When there are none yet, worker `worker` is
    /// woken once there are.
    pub fn poll_next(&mut self, worker: usize) -> ReadStep {
        let (step, wakes) = self.fill.lock().read_step(self.seat, worker);
        self.shared.wake(self.fill.key, wakes);
        step
    }

    /// How many bytes were read.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.fill.lock().offset(self.seat)
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let wakes = self.fill.lock().detach(self.seat);
        self.shared.wake(self.fill.key, wakes);
    }
}
