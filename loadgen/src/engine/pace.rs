//! The open loop of one worker: which request is due when, and who sends it.
//!
//! A timer wakes the pacer at the intended time of the next request; it hands the request to an
//! idle connection. When none is idle, a connection takes what is overdue as soon as it is free:
//! that wait is the server's, and is in the latency. Schedule lag is only what the generator
//! itself is late by.
//!
//! A thread that slept is late by the time it takes to wake up, some 20 µs on a virtual machine. So
//! the timer is set that much early, as learned from earlier expiries, and the rest is spun away:
//! at most [`SPIN_NS_MAX`], once per expiry, because answers that arrive meanwhile have to wait.

use std::collections::VecDeque;
use std::io;
use std::rc::Rc;

use super::wait::Slot;
use crate::io::TimerControl;
use crate::plan::{Length, Load, Plan, nanoseconds};
use crate::schedule::Schedule;

/// The most that is spun away before a request is due.
const SPIN_NS_MAX: u64 = 50_000;

/// Permission to send one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ticket {
    /// When it is meant to be sent; latency counts from here.
    pub(super) intended_ns: u64,
    /// Position in the schedule or list, over all workers.
    pub(super) number: u64,
}

/// Where an idle connection waits; `None` says that nothing is left to send.
pub(super) type TicketSlot = Rc<Slot<Option<Ticket>>>;

pub(super) struct Pace {
    /// Up to two parts, each with its beginning: the warm-up, and what is measured.
    parts: VecDeque<Part>,
    step: u64,
    idle: VecDeque<TicketSlot>,
    alarm: Alarm,
}

/// The timer, and how late it has been.
struct Alarm {
    timer: TimerControl,
    /// When it is set to expire; 0 when it is not set.
    set_for_ns: u64,
    /// Moving average of how late expiries were noticed.
    late_ns: u64,
}

impl Alarm {
    /// How much earlier than needed the timer is set.
    fn margin_ns(&self) -> u64 {
        (self.late_ns + self.late_ns / 2).min(SPIN_NS_MAX)
    }

    fn set(&mut self, due_ns: u64) -> io::Result<()> {
        self.set_for_ns = due_ns.saturating_sub(self.margin_ns());
        self.timer.set_once(self.set_for_ns)
    }

    fn expired(&mut self, now_ns: u64) {
        let set_for = std::mem::take(&mut self.set_for_ns);
        if set_for > 0 && now_ns >= set_for {
            // A thread that was kept from running says nothing about waking up.
            let late = (now_ns - set_for).min(2 * SPIN_NS_MAX);
            self.late_ns = (7 * self.late_ns + late) / 8;
        }
    }
}

struct Part {
    begins_ns: u64,
    schedule: Schedule,
    /// Number of the next request.
    next: u64,
    /// Numbers from here on are not sent.
    count: u64,
    /// Requests still unsent at this time are not sent any more.
    given_up_at_ns: u64,
}

impl Part {
    fn next_due(&self) -> Option<Ticket> {
        if self.next >= self.count {
            return None;
        }
        let time = self.schedule.time_of(self.next)?;
        Some(Ticket {
            intended_ns: self.begins_ns + time,
            number: self.next,
        })
    }
}

impl Pace {
    /// The pace of worker `worker`, beginning at `start_ns`; `None` for closed loops.
    pub(super) fn new(
        plan: &Plan,
        worker: usize,
        start_ns: u64,
        timer: TimerControl,
    ) -> Option<Self> {
        let Load::Open { schedule, warmup } = &plan.load else {
            return None;
        };
        let measure_ns = start_ns + nanoseconds(plan.warmup);
        let count = match plan.length {
            Length::Duration(_) => u64::MAX,
            Length::Count(count) => count,
        };
        let next = worker as u64;
        let warmup = Part {
            begins_ns: start_ns,
            schedule: warmup.clone(),
            next,
            count: if plan.warmup.is_zero() { 0 } else { u64::MAX },
            given_up_at_ns: measure_ns,
        };
        let measured = Part {
            begins_ns: measure_ns,
            schedule: schedule.clone(),
            next,
            count,
            given_up_at_ns: u64::MAX,
        };
        Some(Self {
            parts: VecDeque::from([warmup, measured]),
            step: plan.cpus.len() as u64,
            idle: VecDeque::new(),
            alarm: Alarm {
                timer,
                set_for_ns: 0,
                late_ns: 0,
            },
        })
    }

    /// The next request to be sent, due or not.
    fn next(&mut self, now_ns: u64) -> Option<Ticket> {
        while let Some(part) = self.parts.front() {
            let due = part.next_due().filter(|_| now_ns < part.given_up_at_ns);
            if due.is_some() {
                return due;
            }
            self.parts.pop_front();
        }
        None
    }

    /// Takes a request that is due.
    fn take_due(&mut self, now_ns: u64) -> Option<Ticket> {
        let ticket = self
            .next(now_ns)
            .filter(|ticket| ticket.intended_ns <= now_ns)?;
        if let Some(part) = self.parts.front_mut() {
            part.next += self.step;
        }
        Some(ticket)
    }

    /// For a free connection: a request that is due, or a place to wait at.
    ///
    /// # Errors
    /// When the timer cannot be set.
    pub(super) fn ask(&mut self, now_ns: u64, slot: &TicketSlot) -> io::Result<Asked> {
        if let Some(ticket) = self.take_due(now_ns) {
            return Ok(Asked::Due(ticket));
        }
        let Some(next) = self.next(now_ns) else {
            return Ok(Asked::Over);
        };
        if self.idle.is_empty() {
            self.alarm.set(next.intended_ns)?;
        }
        self.idle.push_back(Rc::clone(slot));
        Ok(Asked::Wait)
    }

    /// The timer expired: until when to spin, when something is due soon.
    pub(super) fn expired(&mut self, now_ns: u64) -> Option<u64> {
        self.alarm.expired(now_ns);
        let due = self.next(now_ns)?.intended_ns;
        (due > now_ns && due - now_ns <= SPIN_NS_MAX && !self.idle.is_empty()).then_some(due)
    }

    /// Hands what is due to idle connections; `lag` is told by how much each is late.
    ///
    /// # Errors
    /// When the timer cannot be set.
    pub(super) fn dispatch(&mut self, now_ns: u64, mut lag: impl FnMut(Ticket)) -> io::Result<()> {
        while !self.idle.is_empty() {
            let Some(next) = self.next(now_ns) else {
                self.stop();
                return Ok(());
            };
            if next.intended_ns > now_ns {
                return self.alarm.set(next.intended_ns);
            }
            if let (Some(ticket), Some(slot)) = (self.take_due(now_ns), self.idle.pop_front()) {
                lag(ticket);
                slot.give(Some(ticket));
            }
        }
        Ok(())
    }

    /// Sends nothing more.
    pub(super) fn stop(&mut self) {
        self.parts.clear();
        for slot in self.idle.drain(..) {
            slot.give(None);
        }
    }
}

/// What a free connection is told.
pub(super) enum Asked {
    /// Send this.
    Due(Ticket),
    /// Wait at the slot.
    Wait,
    /// Nothing is left to send.
    Over,
}
