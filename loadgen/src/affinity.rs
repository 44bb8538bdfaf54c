//! Which CPUs this process may use, and pinning a thread to one of them.
//!
//! Linux numbering, as in `/proc/cpuinfo` and `taskset`. Never changes another process.

use std::fmt;
use std::io;

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// A CPU this process asked for and may not use, or one that does not exist.
#[derive(Debug, thiserror::Error)]
pub enum AffinityError {
    /// The number is outside what the kernel interface can name.
    #[error("CPU {0} is out of range (at most {max})", max = CpuSet::MAX_CPU - 1)]
    OutOfRange(usize),
    /// The kernel refused: the CPU is offline, or outside this process's cpuset.
    #[error("CPU {cpu} cannot be used by this process: {source}")]
    Refused {
        /// The CPU asked for.
        cpu: usize,
        /// What the kernel said.
        source: io::Error,
    },
    /// The list is not a list of numbers and ranges.
    #[error("`{0}` is not a CPU list; write for example `0`, `0,2` or `0-3`")]
    Malformed(String),
}

/// Pins the calling thread to `cpu`.
///
/// # Errors
/// When the CPU does not exist or is outside this process's cpuset.
pub fn pin_current_thread(cpu: usize) -> Result<(), AffinityError> {
    if cpu >= CpuSet::MAX_CPU {
        return Err(AffinityError::OutOfRange(cpu));
    }
    let mut set = CpuSet::new();
    set.set(cpu);
    sched_setaffinity(None, &set).map_err(|error| AffinityError::Refused {
        cpu,
        source: error.into(),
    })
}

/// The CPUs the calling thread may use, in ascending order.
///
/// # Errors
/// When the kernel does not answer, which happens only under a seccomp filter.
pub fn usable_cpus() -> io::Result<Vec<usize>> {
    let set = sched_getaffinity(None)?;
    Ok((0..CpuSet::MAX_CPU)
        .filter(|&cpu| set.is_set(cpu))
        .collect())
}

/// A list of CPUs as written after `--cpu`: numbers and inclusive ranges, `0,2-3`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CpuList(pub Vec<usize>);

impl std::str::FromStr for CpuList {
    type Err = AffinityError;

    fn from_str(text: &str) -> Result<Self, AffinityError> {
        let malformed = || AffinityError::Malformed(text.to_owned());
        let number = |part: &str| part.trim().parse::<usize>().map_err(|_| malformed());
        let mut cpus = Vec::new();
        for part in text.split(',') {
            let (first, last) = match part.split_once('-') {
                Some((first, last)) => (number(first)?, number(last)?),
                None => (number(part)?, number(part)?),
            };
            if last < first {
                return Err(malformed());
            }
            if last >= CpuSet::MAX_CPU {
                return Err(AffinityError::OutOfRange(last));
            }
            cpus.extend(first..=last);
        }
        cpus.sort_unstable();
        cpus.dedup();
        Ok(Self(cpus))
    }
}

impl fmt::Display for CpuList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, cpu) in self.0.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            write!(f, "{comma}{cpu}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_lists() {
        let check = |text: &str, expected: Option<&str>| {
            let got = text.parse::<CpuList>().ok().map(|list| list.to_string());
            assert_eq!(got.as_deref(), expected, "{text}");
        };
        check("0", Some("0"));
        check("0,2", Some("0,2"));
        check("3-5,1", Some("1,3,4,5"));
        check("1,1-2", Some("1,2"));
        check("", None);
        check("a", None);
        check("2-1", None);
        check("1,", None);
        check("0-99999999", None);
    }

    #[test]
    fn the_first_usable_cpu_can_be_pinned_and_an_absurd_one_cannot() {
        std::thread::spawn(|| {
            let cpus = usable_cpus().unwrap();
            pin_current_thread(cpus[0]).unwrap();
            assert_eq!(usable_cpus().unwrap(), vec![cpus[0]]);
            assert!(pin_current_thread(CpuSet::MAX_CPU).is_err());
        })
        .join()
        .unwrap();
    }
}
