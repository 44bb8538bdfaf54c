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
/// Slots of the wheel, two seconds together. A later deadline is looked at again when its slot comes
/// round, so that the record of a closed connection stays for at most two seconds.
const SLOTS: usize = 20;

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

/// The deadline of one socket. Lives as long as the socket; the wheel holds it weakly.
pub(crate) struct Deadline {
    descriptor: RawFd,
    at_ms: Cell<u64>,
    late: Cell<Late>,
    expired: Cell<bool>,
    between_requests: Cell<bool>,
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

    /// The handle by which the wheel calls off an idle receive.
    pub(crate) fn call_off(&self) -> &CallOff {
        &self.call_off
    }

    /// Says whether the connection is between two requests, so that draining may end it.
    pub(crate) fn set_between_requests(&self, between: bool) {
        self.between_requests.set(between);
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
            between_requests: Cell::new(false),
            call_off: CallOff::default(),
        });
        self.slots.borrow_mut()[self.cursor.get()].push(Rc::downgrade(&deadline));
        deadline
    }

    /// Turns the wheel by one slot and ends what is late at `now_ms`. Call every [`TICK_MS`].
    pub(crate) fn turn(&self, now_ms: u64) {
        let cursor = (self.cursor.get() + 1) % SLOTS;
        self.cursor.set(cursor);
        let due = std::mem::take(&mut self.slots.borrow_mut()[cursor]);
        let mut again: Vec<(usize, Weak<Deadline>)> = Vec::with_capacity(due.len());
        for weak in due {
            let Some(deadline) = weak.upgrade() else {
                continue;
            };
            let armed = deadline.late.get() != Late::Never;
            if armed && deadline.at_ms.get() <= now_ms {
                deadline.pass();
            }
            let wait_ms = match deadline.late.get() {
                Late::Never => u64::MAX,
                _ => deadline.at_ms.get().saturating_sub(now_ms),
            };
            let ahead = (wait_ms / TICK_MS + 1).min(SLOTS as u64);
            let ahead = usize::try_from(ahead).expect("at most the number of slots");
            again.push(((cursor + ahead) % SLOTS, weak));
        }
        let mut slots = self.slots.borrow_mut();
        for (slot, weak) in again {
            slots[slot].push(weak);
        }
    }

    /// Ends every connection that is between two requests; the others see the drain themselves.
    pub(crate) fn end_idle(&self) {
        self.each(|deadline| {
            if deadline.between_requests.get() {
                io::shutdown(deadline.descriptor, Shutdown::Read);
            }
        });
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
