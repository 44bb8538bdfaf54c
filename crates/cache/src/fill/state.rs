//! The state of one fill: its phase, the chunks that are held, and who has read how far.
//!
//! Everything here happens under the fill's lock and waits for nothing. A method that changes what
//! somebody waits for collects the workers to wake in [`Wakes`]; the handles wake them when the
//! lock is free again.
//!
//! Positions are byte offsets into the body, so chunks can be merged under the readers. The bytes
//! held are one run from `front` to `end`; while the fill is stored, `front` is 0.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;

use super::answer::{FillFailure, HeadStep, ReadStep};
use crate::body;
use crate::budget::Reservation;
use crate::key::KeyHash;
use crate::storable::NoStore;
use crate::stored::{FillHead, Stored};
use crate::time::UnixMillis;

/// Workers to wake, one bit each.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) struct Wakes(pub(crate) u64);

impl Wakes {
    pub(crate) const NONE: Self = Self(0);
}

/// Who reads.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum ReaderKind {
    /// The client whose request the leader fetches for: it gets whatever comes.
    Own,
    /// A client that joined: it may only get what can be shared.
    Follower,
}

/// What the leader does with the chunks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Keeping {
    /// All are kept, for the stored response.
    All { body_bytes_max: u64 },
    /// Those that every reader has read are dropped.
    Window,
}

#[derive(Debug)]
enum Phase {
    AwaitingHead,
    Streaming(Arc<FillHead>),
    /// The body is whole. A fill that needed no body (304) has no head.
    Complete {
        head: Option<Arc<FillHead>>,
        stored: Option<Arc<Stored>>,
    },
    Failed(FillFailure),
    Abandoned,
}

#[derive(Debug)]
struct Chunk {
    start: u64,
    bytes: Bytes,
    /// How many readers still need a byte of it.
    pending: usize,
}

impl Chunk {
    fn end(&self) -> u64 {
        self.start + self.bytes.len() as u64
    }
}

/// A reader's place. Its handle holds the number; only the handle's drop frees it.
#[derive(Clone, Copy, Debug)]
enum Seat {
    Free,
    Reading {
        kind: ReaderKind,
        offset: u64,
    },
    /// Let go: it waits for nothing here and holds nothing back.
    Released,
}

impl Seat {
    /// How far its reader has read; `None` when nobody reads here.
    fn offset(self) -> Option<u64> {
        match self {
            Self::Reading { offset, .. } => Some(offset),
            Self::Free | Self::Released => None,
        }
    }
}

#[derive(Debug)]
pub(crate) struct State {
    phase: Phase,
    keeping: Keeping,
    /// Why followers that hold no head yet must go; the leader's own client stays.
    released: Option<Release>,
    /// The hash of the URI's key, once the leader has said so.
    primary: Option<KeyHash>,
    chunks: VecDeque<Chunk>,
    end: u64,
    /// Where the run of small chunks begins that is not gathered yet: its index and bytes.
    run_start: usize,
    run_bytes: usize,
    seats: Vec<Seat>,
    /// How many seats are being read from.
    reader_count: usize,
    waiting_readers: u64,
    waiting_leader: u64,
    /// Left by the leader that is done, so that what readers still hold stays accounted for.
    charge: Option<Reservation>,
}

/// Why followers without a head are let go.
#[derive(Clone, Copy, Debug)]
enum Release {
    NotStorable(NoStore),
    /// Another leader has taken over.
    Superseded,
}

/// One reader needs nothing any more of what it has not read.
fn leave_chunks(chunks: &mut VecDeque<Chunk>, offset: u64) {
    for chunk in chunks
        .iter_mut()
        .rev()
        .take_while(|chunk| chunk.end() > offset)
    {
        chunk.pending -= 1;
    }
}

/// The place of a worker in a bit set: workers beyond 64 share bits.
fn worker_bit(worker: usize) -> u64 {
    1 << (worker % 64)
}

impl State {
    pub(crate) fn new() -> Self {
        Self {
            phase: Phase::AwaitingHead,
            keeping: Keeping::Window,
            released: None,
            primary: None,
            chunks: VecDeque::new(),
            end: 0,
            run_start: 0,
            run_bytes: 0,
            seats: Vec::new(),
            reader_count: 0,
            waiting_readers: 0,
            waiting_leader: 0,
            charge: None,
        }
    }

    fn wake_readers(&mut self) -> Wakes {
        Wakes(core::mem::take(&mut self.waiting_readers))
    }

    fn wake_leader(&mut self) -> Wakes {
        Wakes(core::mem::take(&mut self.waiting_leader))
    }

    // ---- joining -------------------------------------------------------------------------

    /// May another request follow this fill now?
    pub(crate) fn is_joinable(&self, now: UnixMillis) -> bool {
        if self.released.is_some() {
            return false;
        }
        match &self.phase {
            Phase::AwaitingHead => true,
            // After the head is known, a follower is a later request like any other: it may only be
            // answered with what is fresh.
            Phase::Streaming(head) => self.keeps_all() && head.freshness().is_reusable(now),
            Phase::Complete {
                stored: Some(stored),
                ..
            } => stored.freshness().is_reusable(now),
            Phase::Complete { stored: None, .. } | Phase::Failed(_) | Phase::Abandoned => false,
        }
    }

    pub(crate) fn awaits_head(&self) -> bool {
        matches!(self.phase, Phase::AwaitingHead)
    }

    pub(crate) fn is_over(&self) -> bool {
        match self.phase {
            Phase::AwaitingHead | Phase::Streaming(_) => false,
            Phase::Complete { .. } | Phase::Failed(_) | Phase::Abandoned => true,
        }
    }

    pub(crate) fn supersede(&mut self) -> Wakes {
        self.release_followers(Release::Superseded);
        self.wake_readers()
    }

    fn release_followers(&mut self, release: Release) {
        self.released = Some(release);
        for seat in &mut self.seats {
            if let Seat::Reading {
                kind: ReaderKind::Follower,
                offset,
            } = *seat
            {
                *seat = Seat::Released;
                self.reader_count -= 1;
                leave_chunks(&mut self.chunks, offset);
            }
        }
        self.drop_read_chunks();
    }

    pub(crate) fn attach(&mut self, kind: ReaderKind) -> usize {
        // Reading begins at the beginning, or not at all: see `Lead::reader`.
        let seat = if self.end == self.held_bytes() {
            self.reader_count += 1;
            for chunk in &mut self.chunks {
                chunk.pending += 1;
            }
            Seat::Reading { kind, offset: 0 }
        } else {
            Seat::Released
        };
        match self
            .seats
            .iter()
            .position(|seat| matches!(seat, Seat::Free))
        {
            Some(free) => {
                self.seats[free] = seat;
                free
            }
            None => {
                self.seats.push(seat);
                self.seats.len() - 1
            }
        }
    }

    pub(crate) fn detach(&mut self, reader: usize) -> Wakes {
        let seat = core::mem::replace(&mut self.seats[reader], Seat::Free);
        let Some(offset) = seat.offset() else {
            return Wakes::NONE;
        };
        self.reader_count -= 1;
        leave_chunks(&mut self.chunks, offset);
        self.drop_read_chunks();
        self.wake_leader()
    }

    fn offsets(&self) -> impl Iterator<Item = u64> + '_ {
        self.seats.iter().filter_map(|seat| seat.offset())
    }

    pub(crate) fn guard(&mut self, primary: KeyHash) {
        self.primary = Some(primary);
    }

    pub(crate) fn is_guarded_by(&self, primary: KeyHash) -> bool {
        self.primary == Some(primary)
    }

    // ---- the leader ----------------------------------------------------------------------

    pub(crate) fn publish(
        &mut self,
        head: Arc<FillHead>,
        keeping: Keeping,
        release: Option<NoStore>,
    ) -> Wakes {
        self.phase = Phase::Streaming(head);
        self.keeping = keeping;
        if let Some(reason) = release {
            self.release_followers(Release::NotStorable(reason));
        }
        self.wake_readers()
    }

    pub(crate) fn keeps_all(&self) -> bool {
        matches!(self.keeping, Keeping::All { .. })
    }

    pub(crate) fn body_bytes_max(&self) -> Option<u64> {
        match self.keeping {
            Keeping::All { body_bytes_max } => Some(body_bytes_max),
            Keeping::Window => None,
        }
    }

    pub(crate) fn reader_count(&self) -> usize {
        self.reader_count
    }

    /// Bytes of the chunks that are held.
    pub(crate) fn held_bytes(&self) -> u64 {
        self.end - self.chunks.front().map_or(self.end, |chunk| chunk.start)
    }

    pub(crate) fn push(&mut self, bytes: Bytes) -> Wakes {
        let start = self.end;
        self.end += bytes.len() as u64;
        if !self.keeps_all() && self.reader_count == 0 {
            return Wakes::NONE;
        }
        if self.keeps_all() {
            if self.run_bytes == 0 {
                self.run_start = self.chunks.len();
            }
            self.run_bytes += bytes.len();
        }
        self.chunks.push_back(Chunk {
            start,
            bytes,
            pending: self.reader_count,
        });
        if self.keeps_all() && self.run_start + 1 == self.chunks.len() {
            let alone = self.run_bytes;
            if body::is_kept(alone) {
                self.run_bytes = 0;
            }
        }
        self.wake_readers()
    }

    /// The run of small chunks, when it must be gathered before a chunk of `incoming` bytes.
    pub(crate) fn run_to_gather(&self, incoming: usize) -> Option<(Vec<Bytes>, usize)> {
        let due = self.keeps_all() && body::ends_run(self.run_bytes, incoming);
        due.then(|| self.run())
    }

    fn run(&self) -> (Vec<Bytes>, usize) {
        let run = self.chunks.range(self.run_start..);
        (
            run.map(|chunk| chunk.bytes.clone()).collect(),
            self.run_bytes,
        )
    }

    /// The run that is left when the body is whole.
    pub(crate) fn last_run(&self) -> Option<(Vec<Bytes>, usize)> {
        (self.keeps_all() && self.run_bytes > 0).then(|| self.run())
    }

    /// Puts one segment in the place of the run. Only the leader appends, so the run is unchanged
    /// since it was read; but the fill may have stopped keeping everything.
    pub(crate) fn replace_run(&mut self, segment: Bytes) {
        if !self.keeps_all() || segment.len() != self.run_bytes {
            return;
        }
        let start = self.chunks[self.run_start].start;
        self.chunks.truncate(self.run_start);
        let pending = self.offsets().filter(|&offset| offset < self.end).count();
        self.chunks.push_back(Chunk {
            start,
            bytes: segment,
            pending,
        });
        self.run_bytes = 0;
    }

    pub(crate) fn segments(&self) -> impl Iterator<Item = Bytes> + '_ {
        self.chunks.iter().map(|chunk| chunk.bytes.clone())
    }

    /// From now on only a window is kept, for the readers of this moment.
    pub(crate) fn stop_keeping(&mut self) {
        self.keeping = Keeping::Window;
        self.run_bytes = 0;
        self.drop_read_chunks();
    }

    /// Registers the leader as waiting for its readers.
    pub(crate) fn await_window(&mut self, worker: usize) {
        self.waiting_leader |= worker_bit(worker);
    }

    pub(crate) fn complete(
        &mut self,
        stored: Option<Arc<Stored>>,
        release: Option<NoStore>,
        charge: Option<Reservation>,
    ) -> Wakes {
        let head = match &self.phase {
            Phase::Streaming(head) => Some(Arc::clone(head)),
            Phase::AwaitingHead | Phase::Complete { .. } | Phase::Failed(_) | Phase::Abandoned => {
                None
            }
        };
        if let Some(reason) = release {
            self.release_followers(Release::NotStorable(reason));
        }
        self.phase = Phase::Complete { head, stored };
        self.charge = charge;
        self.wake_readers()
    }

    pub(crate) fn fail(&mut self, failure: FillFailure) -> Wakes {
        self.phase = Phase::Failed(failure);
        self.chunks.clear();
        self.wake_readers()
    }

    pub(crate) fn abandon(&mut self) -> Wakes {
        self.phase = Phase::Abandoned;
        self.chunks.clear();
        self.wake_readers()
    }

    // ---- a reader ------------------------------------------------------------------------

    pub(crate) fn head_step(&mut self, reader: usize, worker: usize) -> HeadStep {
        if matches!(self.seats[reader], Seat::Free | Seat::Released) {
            return match self.released {
                Some(Release::NotStorable(reason)) => HeadStep::NotStorable(reason),
                Some(Release::Superseded) | None => HeadStep::Rejoin,
            };
        }
        match &self.phase {
            Phase::AwaitingHead => {
                self.waiting_readers |= worker_bit(worker);
                HeadStep::Pending
            }
            Phase::Streaming(head) => HeadStep::Head(Arc::clone(head)),
            Phase::Complete {
                stored: Some(stored),
                ..
            } => HeadStep::Stored(Arc::clone(stored)),
            Phase::Complete {
                head: Some(head),
                stored: None,
            } => HeadStep::Head(Arc::clone(head)),
            Phase::Complete {
                head: None,
                stored: None,
            }
            | Phase::Abandoned => HeadStep::Rejoin,
            Phase::Failed(failure) => HeadStep::Failed(*failure),
        }
    }

    pub(crate) fn read_step(&mut self, reader: usize, worker: usize) -> (ReadStep, Wakes) {
        let Some(offset) = self.seats[reader].offset() else {
            return (ReadStep::Failed(FillFailure::ABANDONED), Wakes::NONE);
        };
        match &self.phase {
            Phase::Failed(failure) => return (ReadStep::Failed(*failure), Wakes::NONE),
            Phase::Abandoned => {
                return (ReadStep::Failed(FillFailure::ABANDONED), Wakes::NONE);
            }
            Phase::AwaitingHead | Phase::Streaming(_) | Phase::Complete { .. } => {}
        }
        if offset < self.end {
            return self.read_chunk(reader, offset);
        }
        if matches!(self.phase, Phase::Complete { .. }) {
            return (ReadStep::End, Wakes::NONE);
        }
        self.waiting_readers |= worker_bit(worker);
        (ReadStep::Pending, Wakes::NONE)
    }

    fn read_chunk(&mut self, reader: usize, offset: u64) -> (ReadStep, Wakes) {
        let index = self.chunks.partition_point(|chunk| chunk.end() <= offset);
        let chunk = &mut self.chunks[index];
        let from = usize::try_from(offset - chunk.start).expect("an offset inside a chunk");
        let bytes = chunk.bytes.slice(from..);
        chunk.pending -= 1;
        if let Seat::Reading { offset, .. } = &mut self.seats[reader] {
            *offset = chunk.end();
        }
        let before = self.held_bytes();
        self.drop_read_chunks();
        let wakes = if self.held_bytes() < before {
            self.wake_leader()
        } else {
            Wakes::NONE
        };
        (ReadStep::Chunk(bytes), wakes)
    }

    fn drop_read_chunks(&mut self) {
        if self.keeps_all() {
            return;
        }
        while self.chunks.front().is_some_and(|chunk| chunk.pending == 0) {
            self.chunks.pop_front();
        }
    }

    pub(crate) fn offset(&self, reader: usize) -> u64 {
        self.seats[reader].offset().unwrap_or(0)
    }

    // ---- for tests -----------------------------------------------------------------------

    pub(crate) fn check_invariants(&self) -> Result<(), String> {
        let count = self.offsets().count();
        if count != self.reader_count {
            return Err(format!("{count} readers, {} counted", self.reader_count));
        }
        if self.offsets().any(|offset| offset > self.end) {
            return Err("a reader is ahead of what was published".to_owned());
        }
        let mut at = self.end - self.held_bytes();
        for chunk in &self.chunks {
            let pending = self
                .offsets()
                .filter(|&offset| offset < chunk.end())
                .count();
            if chunk.start != at || chunk.bytes.is_empty() || chunk.pending != pending {
                return Err(format!(
                    "chunk at {} (expected {at}) is needed by {pending}, {} counted",
                    chunk.start, chunk.pending
                ));
            }
            at = chunk.end();
        }
        let front = self.end - self.held_bytes();
        let streams = !matches!(self.phase, Phase::Failed(_) | Phase::Abandoned);
        if streams && self.offsets().any(|offset| offset < front) {
            return Err("a chunk was dropped before all readers had read it".to_owned());
        }
        if self.keeps_all() && streams && front != 0 {
            return Err("a stored fill dropped a chunk".to_owned());
        }
        Ok(())
    }
}
