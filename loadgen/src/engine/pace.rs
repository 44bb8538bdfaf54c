//! The open loop of one worker: which request is due when, and who sends it.
//!
//! A timer wakes the pacer at the intended time of the next request; it hands the request to an
//! idle connection. When none is idle, a connection takes what is overdue as soon as it is free:
//! that wait is the server's, and is in the latency. Schedule lag is only what the generator
//! itself is late by.
//!
//! A thread that slept is late by the time it takes to wake up: some 20 µs on a virtual machine, and
//! three times that now and then. So the timer is set early by what nearly all wake-ups took so far,
//! at most [`POLL_NS_MAX`], and the rest is waited for awake: turn after turn of the ring, so that an
//! answer that arrives meanwhile is read at once. (A plain spin kept answers waiting up to 50 µs, and
//! showed that in their latency.) That is the way of a generator that owns its CPU; what it burns is
//! counted apart, as waiting.

use std::collections::VecDeque;
use std::io;
use std::rc::Rc;

use super::wait::Slot;
use crate::io::TimerControl;
use crate::plan::{Length, Load, Plan, nanoseconds};
use crate::schedule::Schedule;

/// The most that is waited awake before a request is due.
const POLL_NS_MAX: u64 = 60_000;

/// A turn of the ring that takes longer did something: 1 µs is usual, an answer takes several.
const EMPTY_TURN_NS: u64 = 4_000;

/// By how much a wake-up that was later than most so far moves what is known of them, and one that
/// was not: 127 to 1.
const LATER_NS: u64 = 1_016;
const SOONER_NS: u64 = 8;

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
    /// When the last turn of the ring ended, while waiting awake.
    polled: Option<u64>,
}

/// The timer, and how late it has been.
struct Alarm {
    timer: TimerControl,
    /// When it is set to expire; 0 when it is not set.
    set_for_ns: u64,
    lateness: Lateness,
}

/// How late nearly all expiries were noticed, at most.
struct Lateness(u64);

impl Lateness {
    /// Moves a little: up by 127 parts when an expiry was later, down by one when it was not, so that
    /// it comes to rest where one of 128 is later (the stochastic approximation of a quantile; Robbins
    /// and Monro 1951). A thread that was kept from running moves it no further than any other.
    fn learn(&mut self, late_ns: u64) {
        self.0 = if late_ns > self.0 {
            (self.0 + LATER_NS).min(POLL_NS_MAX)
        } else {
            self.0.saturating_sub(SOONER_NS)
        };
    }
}

impl Alarm {
    /// How much earlier than needed the timer is set.
    fn margin_ns(&self) -> u64 {
        self.lateness.0
    }

    fn set(&mut self, due_ns: u64) -> io::Result<()> {
        self.set_for_ns = due_ns.saturating_sub(self.margin_ns());
        self.timer.set_once(self.set_for_ns)
    }

    fn expired(&mut self, now_ns: u64) {
        let set_for = std::mem::take(&mut self.set_for_ns);
        if set_for > 0 && now_ns >= set_for {
            self.lateness.learn(now_ns - set_for);
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
                lateness: Lateness(POLL_NS_MAX / 2),
            },
            polled: None,
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

    /// The timer expired.
    pub(super) fn expired(&mut self, now_ns: u64) {
        self.alarm.expired(now_ns);
    }

    /// A turn of the ring is over: the time it took, where it did nothing but wait.
    pub(super) fn turned(&mut self, now_ns: u64) -> u64 {
        let turn = self.polled.take().map_or(0, |since| now_ns - since);
        if turn <= EMPTY_TURN_NS { turn } else { 0 }
    }

    /// Hands what is due to idle connections, and says how to wait for the rest; `lag` is told what
    /// was handed out.
    ///
    /// # Errors
    /// When the timer cannot be set.
    pub(super) fn dispatch(
        &mut self,
        now_ns: u64,
        mut lag: impl FnMut(Ticket),
    ) -> io::Result<Wait> {
        while !self.idle.is_empty() {
            let Some(next) = self.next(now_ns) else {
                self.stop();
                return Ok(Wait::Asleep);
            };
            if next.intended_ns > now_ns {
                if next.intended_ns - now_ns <= self.alarm.margin_ns() {
                    self.polled = Some(now_ns);
                    return Ok(Wait::Awake {
                        until_ns: next.intended_ns,
                    });
                }
                self.alarm.set(next.intended_ns)?;
                return Ok(Wait::Asleep);
            }
            if let (Some(ticket), Some(slot)) = (self.take_due(now_ns), self.idle.pop_front()) {
                lag(ticket);
                slot.give(Some(ticket));
            }
        }
        // The timer is set by the first connection that has nothing to do.
        Ok(Wait::Asleep)
    }

    /// Sends nothing more.
    pub(super) fn stop(&mut self) {
        self.parts.clear();
        for slot in self.idle.drain(..) {
            slot.give(None);
        }
    }
}

/// How the pacer waits for what is due next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wait {
    /// For the timer.
    Asleep,
    /// Turn by turn: the time is too near for a sleep.
    Awake {
        /// When something is due.
        until_ns: u64,
    },
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

#[cfg(test)]
mod tests {
    use super::*;

    /// The lateness that one of 128 wake-ups exceeds is found from any beginning, and a share of
    /// wake-ups that took for ever does not run away with it.
    #[test]
    fn nearly_all_wake_ups_are_allowed_for() {
        let check = |spike_every: u64, spike_ns: u64, begin: u64, from: u64, to: u64| {
            let mut lateness = Lateness(begin);
            for n in 0..200_000_u64 {
                // 5 to 15 µs, evenly.
                let late = 5_000 + n * 7_919 % 10_000;
                let is_spike = n % spike_every == 0;
                lateness.learn(if is_spike { spike_ns } else { late });
            }
            assert!(
                (from..=to).contains(&lateness.0),
                "{} from {begin}",
                lateness.0
            );
        };
        for begin in [0, POLL_NS_MAX] {
            check(u64::MAX, 0, begin, 13_000, 16_500);
            check(1_000, 10_000_000, begin, 13_000, 18_500);
            check(20, 40_000, begin, 35_000, 45_000);
            check(2, 10_000_000, begin, POLL_NS_MAX - 2_000, POLL_NS_MAX);
        }
    }
}
