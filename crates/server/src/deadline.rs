//! One coarse deadline wheel per worker: late connections are ended by shutdown(2), which completes
//! whatever operation they have pending. No timer, no allocation and no clock read per request: a
//! connection stores its next deadline in a cell, and the wheel looks at that cell only when the slot
//! that the connection sits in comes round.

use std::cell::{Cell, RefCell};
use std::net::Shutdown;
use std::os::fd::RawFd;
use std::rc::{Rc, Weak};

use crate::io::{self, CallOff};

/// The wheel turns once in so many milliseconds; deadlines are late by up to that much.
pub(crate) const TICK_MS: u64 = 100;
/// Slots of the wheel, half a second together: a later deadline is looked at again when its slot comes
/// round, one that was set to an earlier time meanwhile is late by no more than that, and the record of
/// a closed connection stays no longer. Twenty thousand connections cost 40,000 looks a second.
const SLOTS: usize = 5;

/// How long something must have been on its way before its pace says anything.
const SENDING_JUDGED_AFTER_MS: u64 = 1_000;

/// Milliseconds that a peer may take before its average rate counts.
pub(crate) const CREDIT_MS: u64 = 5_000;

/// What happens to a connection whose deadline has passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Late {
    /// Nothing is being waited for.
    Never,
    /// Calls off the receive of an idle connection so that it gives its buffer back.
    ReleaseBuffer,
    /// Ends receiving: the pending receive returns 0 and [`Deadline::is_expired`] tells why.
    EndReceive,
    /// Ends both directions.
    End,
}

/// Where a client connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Nothing is owed to the peer: draining may end it.
    BetweenRequests,
    /// An exchange is under way, or its connection is not a client's.
    InExchange,
}

/// The deadline of one socket. Lives as long as the socket; the wheel holds it weakly.
pub(crate) struct Deadline {
    descriptor: RawFd,
    at_ms: Cell<u64>,
    late: Cell<Late>,
    expired: Cell<bool>,
    phase: Cell<Phase>,
    credit_ms: Cell<u64>,
    sending: Cell<Option<Sending>>,
    call_off: CallOff,
}

impl Deadline {
    /// Sets what is waited for and until when, in milliseconds of the worker's coarse clock.
    pub(crate) fn set(&self, at_ms: u64, late: Late) {
        self.at_ms.set(at_ms);
        self.late.set(late);
    }

    /// Nothing is waited for.
    pub(crate) fn clear(&self) {
        self.late.set(Late::Never);
    }

    /// Whether the wheel has ended this connection.
    pub(crate) fn is_expired(&self) -> bool {
        self.expired.get()
    }

    /// Notes that `bytes` are being sent from now on.
    pub(crate) fn begin_sending(&self, now_ms: u64, bytes: usize) {
        self.sending.set(Some(Sending {
            begun_ms: now_ms,
            moved_ms: now_ms,
            bytes: bytes as u64,
            taken: 0,
        }));
    }

    /// Notes that the peer has taken `bytes` more of them.
    pub(crate) fn note_taken(&self, now_ms: u64, bytes: usize) {
        self.sending.set(self.sending.get().map(|sending| Sending {
            moved_ms: now_ms,
            taken: sending.taken + bytes as u64,
            ..sending
        }));
    }

    /// Notes that nothing is being sent any more.
    pub(crate) fn end_sending(&self) {
        self.sending.set(None);
    }

    /// How long the peer may still be waited for by the rule of the least rate: bytes fill it, waiting
    /// empties it.
    pub(crate) fn credit_ms(&self) -> &Cell<u64> {
        &self.credit_ms
    }

    /// The handle by which the wheel calls off an idle receive.
    pub(crate) fn call_off(&self) -> &CallOff {
        &self.call_off
    }

    /// Says where the connection is.
    pub(crate) fn set_phase(&self, phase: Phase) {
        self.phase.set(phase);
    }

    fn pass(&self) {
        match self.late.replace(Late::Never) {
            Late::Never => {}
            Late::ReleaseBuffer => self.call_off.call_off(),
            Late::EndReceive => {
                self.expired.set(true);
                io::shutdown(self.descriptor, Shutdown::Read);
            }
            Late::End => {
                self.expired.set(true);
                io::shutdown(self.descriptor, Shutdown::Both);
            }
        }
    }
}

/// What is being sent to a peer, and how it takes it.
#[derive(Clone, Copy)]
struct Sending {
    begun_ms: u64,
    /// When it took something last.
    moved_ms: u64,
    bytes: u64,
    taken: u64,
}

impl Sending {
    /// How long its peer will go on holding what is sent, by how it has taken it so far: the rest at the
    /// average rate, and at least as long again as it has been silent. Known after a second.
    fn expected_ms(&self, now_ms: u64) -> u64 {
        let elapsed_ms = now_ms.saturating_sub(self.begun_ms);
        if elapsed_ms < SENDING_JUDGED_AFTER_MS {
            return 0;
        }
        let left = self.bytes.saturating_sub(self.taken);
        let rest_ms = elapsed_ms
            .saturating_mul(left)
            .checked_div(self.taken)
            .unwrap_or(u64::MAX);
        rest_ms.max(now_ms.saturating_sub(self.moved_ms))
    }
}

/// The wheel of a worker.
pub(crate) struct Deadlines {
    slots: RefCell<[Vec<Weak<Deadline>>; SLOTS]>,
    cursor: Cell<usize>,
}

impl Deadlines {
    /// An empty wheel.
    pub(crate) fn new() -> Self {
        Self {
            slots: RefCell::new(std::array::from_fn(|_| Vec::new())),
            cursor: Cell::new(0),
        }
    }

    /// Watches a socket from now on.
    pub(crate) fn watch(&self, descriptor: RawFd) -> Rc<Deadline> {
        let deadline = Rc::new(Deadline {
            descriptor,
            at_ms: Cell::new(0),
            late: Cell::new(Late::Never),
            expired: Cell::new(false),
            phase: Cell::new(Phase::InExchange),
            credit_ms: Cell::new(CREDIT_MS),
            sending: Cell::new(None),
            call_off: CallOff::default(),
        });
        let next = (self.cursor.get() + 1) % SLOTS;
        self.slots.borrow_mut()[next].push(Rc::downgrade(&deadline));
        deadline
    }

    /// Turns the wheel by one slot and ends what is late at `now_ms`. Call every [`TICK_MS`].
    pub(crate) fn turn(&self, now_ms: u64) {
        let cursor = (self.cursor.get() + 1) % SLOTS;
        self.cursor.set(cursor);
        // What passes only wakes tasks; none of them runs before this is over.
        let mut slots = self.slots.borrow_mut();
        let mut due = std::mem::take(&mut slots[cursor]);
        for weak in due.drain(..) {
            let Some(deadline) = weak.upgrade() else {
                continue;
            };
            if deadline.late.get() != Late::Never && deadline.at_ms.get() <= now_ms {
                deadline.pass();
            }
            let wait_ms = match deadline.late.get() {
                Late::Never => u64::MAX,
                Late::ReleaseBuffer | Late::EndReceive | Late::End => {
                    deadline.at_ms.get().saturating_sub(now_ms)
                }
            };
            // At least one slot ahead and never this one again.
            let ahead = (wait_ms / TICK_MS + 1).min(SLOTS as u64 - 1);
            let ahead = usize::try_from(ahead).expect("at most the number of slots");
            slots[(cursor + ahead) % SLOTS].push(weak);
        }
        slots[cursor] = due;
    }

    /// Ends every connection that is between two requests; the others see the drain themselves.
    pub(crate) fn end_idle(&self) {
        self.each(|deadline| {
            if deadline.phase.get() == Phase::BetweenRequests {
                io::shutdown(deadline.descriptor, Shutdown::Read);
            }
        });
    }

    /// Ends the connections that would hold what they are sent for longest, those first that would for
    /// more than `patience_ms`, until `bytes` are set free; returns how many.
    pub(crate) fn end_slowest_senders(&self, now_ms: u64, patience_ms: u64, bytes: u64) -> usize {
        let mut slow = Vec::new();
        for weak in self.slots.borrow().iter().flatten() {
            let Some(deadline) = weak.upgrade() else {
                continue;
            };
            if let Some(sending) = deadline.sending.get() {
                let expected_ms = sending.expected_ms(now_ms);
                if expected_ms > patience_ms {
                    slow.push((expected_ms, sending.bytes, deadline));
                }
            }
        }
        slow.sort_unstable_by_key(|(expected_ms, ..)| std::cmp::Reverse(*expected_ms));
        let (mut freed, mut ended) = (0, 0);
        for (_, held, deadline) in slow {
            if freed >= bytes {
                break;
            }
            freed += held;
            ended += 1;
            deadline.expired.set(true);
            io::shutdown(deadline.descriptor, Shutdown::Both);
        }
        ended
    }

    /// Ends every connection there is.
    pub(crate) fn end_all(&self) {
        self.each(|deadline| io::shutdown(deadline.descriptor, Shutdown::Both));
    }

    fn each(&self, mut act: impl FnMut(&Deadline)) {
        for weak in self.slots.borrow().iter().flatten() {
            if let Some(deadline) = weak.upgrade() {
                act(&deadline);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read as _;
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::AsRawFd as _;

    fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let near = TcpStream::connect(listener.local_addr().expect("bound")).expect("connects");
        let (far, _) = listener.accept().expect("accepts");
        (near, far)
    }

    fn is_ended(stream: &TcpStream) -> bool {
        stream.set_nonblocking(true).expect("a socket option");
        matches!((&*stream).read(&mut [0; 1]), Ok(0))
    }

    #[test]
    fn a_late_receive_is_ended_within_one_turn_of_the_wheel() {
        for at_ms in [1, 100, 250, 1_000, 3_700] {
            let wheel = Deadlines::new();
            let (near, _far) = pair();
            let deadline = wheel.watch(near.as_raw_fd());
            deadline.set(at_ms, Late::EndReceive);
            let mut now_ms = 0;
            while !deadline.is_expired() {
                assert!(!is_ended(&near), "not before its time");
                now_ms += TICK_MS;
                wheel.turn(now_ms);
                assert!(
                    now_ms <= at_ms + SLOTS as u64 * TICK_MS,
                    "due at {at_ms}, now {now_ms}"
                );
            }
            assert!(now_ms >= at_ms);
            assert!(is_ended(&near));
        }
    }

    #[test]
    fn a_deadline_that_moves_on_or_is_cleared_ends_nothing() {
        let wheel = Deadlines::new();
        let (near, _far) = pair();
        let deadline = wheel.watch(near.as_raw_fd());
        for turn in 1..100 {
            let now_ms = turn * TICK_MS;
            deadline.set(now_ms + 150, Late::End);
            wheel.turn(now_ms);
        }
        deadline.clear();
        for turn in 100..200 {
            wheel.turn(turn * TICK_MS);
        }
        assert!(!deadline.is_expired() && !is_ended(&near));
    }

    #[test]
    fn draining_ends_what_is_between_requests_only() {
        let wheel = Deadlines::new();
        let ((idle, _a), (busy, _b)) = (pair(), pair());
        let between = wheel.watch(idle.as_raw_fd());
        let _working = wheel.watch(busy.as_raw_fd());
        between.set_phase(Phase::BetweenRequests);
        wheel.end_idle();
        assert!(is_ended(&idle) && !is_ended(&busy));
        wheel.end_all();
        assert!(is_ended(&busy));
    }

    #[test]
    fn the_slowest_are_ended_first_and_no_more_than_needed() {
        const MIB: usize = 1 << 20;
        let wheel = Deadlines::new();
        let far: Vec<_> = (0..4).map(|_| pair()).collect();
        let watched: Vec<_> = far
            .iter()
            .map(|(near, _)| wheel.watch(near.as_raw_fd()))
            .collect();
        let [stalled, trickling, steady, idle] = &watched[..] else {
            panic!("four were made")
        };
        for deadline in [stalled, trickling, steady] {
            deadline.begin_sending(0, 8 * MIB);
        }
        for second in 1..=10_u64 {
            trickling.note_taken(second * 1000, 1024);
            steady.note_taken(second * 1000, MIB / 2);
        }
        stalled.note_taken(500, 4 * MIB);
        let ended = || {
            let all = [stalled, trickling, steady, idle];
            all.map(|deadline| deadline.is_expired())
        };
        assert_eq!(
            wheel.end_slowest_senders(900, 0, u64::MAX),
            0,
            "too early to say"
        );
        assert_eq!(wheel.end_slowest_senders(10_000, 60_000, 1), 1);
        assert_eq!(
            ended(),
            [false, true, false, false],
            "a trickle lasts longest"
        );
        // Ended ones are still being sent to here, as until their tasks have seen it.
        trickling.end_sending();
        assert_eq!(wheel.end_slowest_senders(10_000, 9_000, u64::MAX), 1);
        assert_eq!(ended(), [true, true, false, false]);
    }

    #[test]
    fn a_dropped_deadline_leaves_the_wheel() {
        let wheel = Deadlines::new();
        let (near, _far) = pair();
        drop(wheel.watch(near.as_raw_fd()));
        for turn in 1..=SLOTS as u64 {
            wheel.turn(turn * TICK_MS);
        }
        assert_eq!(wheel.slots.borrow().iter().flatten().count(), 0);
    }
}
