//! What the kernel says of time and means: CLOCK_MONOTONIC in nanoseconds, CPU time of threads,
//! stolen time, and the memory this process took.
//!
//! Never the wall clock for a measurement: it steps. Wall time is read once, to say when a run was.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::time::{ClockId, Timespec, clock_gettime};

/// CLOCK_MONOTONIC, nanoseconds since some fixed point (boot, on Linux).
#[must_use]
pub fn monotonic_ns() -> u64 {
    nanoseconds(clock_gettime(ClockId::Monotonic))
}

/// CPU time of the calling thread so far, nanoseconds.
#[must_use]
pub fn thread_cpu_ns() -> u64 {
    nanoseconds(clock_gettime(ClockId::ThreadCPUTime))
}

/// Time the calling thread was ready to run while its CPU was another thread's, so far, nanoseconds;
/// 0 where the kernel does not count it.
#[must_use]
pub fn thread_kept_waiting_ns() -> u64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    kept_waiting_ns(&text)
}

/// The second number of a schedstat: time spent running, time spent waiting, times begun.
fn kept_waiting_ns(schedstat: &str) -> u64 {
    let mut numbers = schedstat.split_ascii_whitespace();
    numbers.nth(1).and_then(|n| n.parse().ok()).unwrap_or(0)
}

/// Seconds since 1970, for the record only.
#[must_use]
pub fn wall_time() -> Duration {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
}

fn nanoseconds(time: Timespec) -> u64 {
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    seconds * 1_000_000_000 + u64::try_from(time.tv_nsec).unwrap_or(0)
}

/// The most memory this process had resident so far, from `/proc/self/status`; 0 where there is
/// none.
#[must_use]
pub fn peak_rss_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|value| value.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    kib.unwrap_or(0) * 1024
}

/// Ticks of all CPUs as `/proc/stat` counts them: what a hypervisor took, and everything.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CpuTicks {
    /// Time this machine wanted to run and another one ran.
    pub stolen: u64,
    /// All time.
    pub total: u64,
}

impl CpuTicks {
    /// Reads `/proc/stat`; zeros where there is none, so that a run without it says no steal.
    #[must_use]
    pub fn now() -> Self {
        std::fs::read_to_string("/proc/stat")
            .map(|text| Self::parse(&text))
            .unwrap_or_default()
    }

    /// The first line of `/proc/stat` (proc_stat(5)): user nice system idle iowait irq softirq
    /// steal, and two guest columns that are already in user and nice.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let line = text.lines().next().unwrap_or_default();
        let columns: Vec<u64> = line
            .split_ascii_whitespace()
            .skip(1)
            .take(8)
            .map_while(|n| n.parse().ok())
            .collect();
        Self {
            stolen: columns.get(7).copied().unwrap_or(0),
            total: columns.iter().sum(),
        }
    }

    /// Stolen share since `earlier`, 0 to 1.
    #[must_use]
    #[expect(
        clippy::cast_precision_loss,
        reason = "tick counts of a run are far below 2^52"
    )]
    pub fn stolen_share_since(self, earlier: Self) -> f64 {
        let total = self.total.saturating_sub(earlier.total);
        if total == 0 {
            return 0.0;
        }
        self.stolen.saturating_sub(earlier.stolen) as f64 / total as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stolen_share() {
        let check = |earlier: &str, later: &str, expected: f64| {
            let share = CpuTicks::parse(later).stolen_share_since(CpuTicks::parse(earlier));
            assert!((share - expected).abs() < 1e-9, "{share} != {expected}");
        };
        check(
            "cpu 1 1 1 1 1 1 1 10 5 5\ncpu0 9",
            "cpu 1 1 1 81 1 1 1 30 7 7\n",
            0.2,
        );
        check("", "", 0.0);
        check("cpu 1 2 x", "cpu 3 4", 0.0);
    }

    #[test]
    fn waiting_for_a_cpu_is_the_second_number() {
        let check = |text: &str, expected: u64| assert_eq!(kept_waiting_ns(text), expected);
        check("9000 1234 7\n", 1234);
        check("", 0);
        check("9000 many 7", 0);
    }

    #[test]
    fn clocks_advance() {
        let (wall, cpu) = (monotonic_ns(), thread_cpu_ns());
        let mut sum = 0_u64;
        while thread_cpu_ns() < cpu + 1_000_000 {
            sum = std::hint::black_box(sum + 1);
        }
        assert!(monotonic_ns() > wall && wall_time() > Duration::from_secs(1_700_000_000));
    }
}
