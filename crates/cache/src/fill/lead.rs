//! The leader's handle: publishes head and chunks, accounts for them, ends the fill.

use std::sync::Arc;

use bytes::Bytes;

use super::answer::{FillFailure, Mode, PushAdvice, Window};
use super::reader::Reader;
use super::state::{Keeping, ReaderKind, Wakes};
use super::{Fill, Shared};
use crate::body::{self, Body};
use crate::budget::Reservation;
use crate::key::KeyHash;
use crate::storable::NoStore;
use crate::store::Ticket;
use crate::stored::{FillHead, Stored};

/// What a window shrinks to when the budget has no room for more.
const WINDOW_BYTES_MIN: u64 = 64 << 10;

/// The right and the duty to fetch. Dropped unfinished, it lets everybody know.
#[derive(Debug)]
pub struct Lead {
    pub(super) shared: Arc<Shared>,
    pub(super) fill: Arc<Fill>,
    pub(super) reservation: Option<Reservation>,
    pub(super) window_bytes: u64,
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

    /// From now on at most so many bytes are held for the slowest reader of a body that is not
    /// stored, and never more than [`FillLimits::window_bytes`](super::FillLimits::window_bytes).
    pub fn narrow_window(&mut self, bytes: u64) {
        self.window_bytes = bytes.min(self.shared.limits.window_bytes);
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
            self.window_bytes
        } else {
            self.window_bytes.min(WINDOW_BYTES_MIN)
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
