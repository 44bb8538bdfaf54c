//! The coarse clocks of a worker: read once per turn of a connection, never per request, at the price
//! of a load from the vDSO page and up to 4 ms of delay.

use std::cell::{Cell, RefCell};

use corsair_cache::UnixMillis;
use corsair_http1::format_date;

/// One reading of both clocks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Now {
    /// Wall clock, for HTTP.
    pub(crate) unix: UnixMillis,
    /// Milliseconds that never go back, for deadlines.
    pub(crate) mono_ms: u64,
}

/// The clock of a worker, with the `Date` value of the current second.
pub(crate) struct Clock {
    second: Cell<u64>,
    date: RefCell<[u8; 29]>,
}

impl Clock {
    /// A clock that has not been read yet.
    pub(crate) fn new() -> Self {
        Self {
            second: Cell::new(u64::MAX),
            date: RefCell::new([b' '; 29]),
        }
    }

    /// Reads the clock for deadlines alone.
    pub(crate) fn mono_ms(&self) -> u64 {
        coarse_ms(libc::CLOCK_MONOTONIC_COARSE)
    }

    /// Reads the clocks.
    pub(crate) fn read(&self) -> Now {
        Now {
            unix: UnixMillis(coarse_ms(libc::CLOCK_REALTIME_COARSE)),
            mono_ms: coarse_ms(libc::CLOCK_MONOTONIC_COARSE),
        }
    }

    /// Appends the `Date` value of that moment; formatted once a second.
    pub(crate) fn append_date(&self, now: Now, out: &mut Vec<u8>) {
        let second = now.unix.0 / 1000;
        if self.second.replace(second) != second {
            *self.date.borrow_mut() = format_date(second);
        }
        out.extend_from_slice(&*self.date.borrow());
    }
}

fn coarse_ms(clock: libc::clockid_t) -> u64 {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: writes one timespec of our own stack; the coarse clocks exist since Linux 2.6.32.
    unsafe { libc::clock_gettime(clock, &raw mut time) };
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    let nanoseconds = u64::try_from(time.tv_nsec).unwrap_or(0);
    seconds * 1000 + nanoseconds / 1_000_000
}
