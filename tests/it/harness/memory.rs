//! The resident memory and CPU time of a process, read from `/proc`.

use std::time::Duration;

/// Resident memory in bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Resident(pub(crate) u64);

impl Resident {
    /// Of the process now.
    pub(crate) fn now(pid: u32) -> Self {
        Self(status_line(pid, "VmRSS:"))
    }

    /// The most it ever had.
    pub(crate) fn peak(pid: u32) -> Self {
        Self(status_line(pid, "VmHWM:"))
    }

    pub(crate) fn above(self, base: Self) -> u64 {
        self.0.saturating_sub(base.0)
    }
}

fn status_line(pid: u32, name: &str) -> u64 {
    let path = format!("/proc/{pid}/status");
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{path}: {e}"));
    let line = text.lines().find(|line| line.starts_with(name));
    let kib = line.and_then(|line| line.split_whitespace().nth(1));
    kib.and_then(|kib| kib.parse::<u64>().ok())
        .unwrap_or_else(|| panic!("{path} has no {name}"))
        * 1024
}

/// The CPU time a process has used.
#[derive(Clone, Copy)]
pub(crate) struct CpuTime(Duration);

impl CpuTime {
    pub(crate) fn of(pid: u32) -> Self {
        let path = format!("/proc/{pid}/stat");
        let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{path}: {e}"));
        // Fields 14 and 15, user and system time, in hundredths of a second (USER_HZ on Linux);
        // field 2 is a name in parentheses that may hold spaces.
        let (_, rest) = text.rsplit_once(')').expect("a name in parentheses");
        let ticks: u64 = rest
            .split_whitespace()
            .skip(11)
            .take(2)
            .map(|field| field.parse::<u64>().expect("a count of ticks"))
            .sum();
        Self(Duration::from_millis(ticks * 10))
    }

    pub(crate) fn since(self, before: Self) -> Duration {
        self.0.saturating_sub(before.0)
    }
}
