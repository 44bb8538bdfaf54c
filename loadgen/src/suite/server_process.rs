//! A server's processes: started on one CPU, their CPU time and memory, ended by id.
//!
//! CPU time is that of the whole tree: the process clock of every live process (nanoseconds, with
//! its ended threads), and the ticks of children that ended and were waited for. Ends only what
//! it started; never searches processes by name.

use std::fs::File;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use crate::affinity::{self, AffinityError};

/// Time a server gets to end by itself.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);

/// How often an ending server is looked at.
const STOP_POLL: Duration = Duration::from_millis(10);

/// Started processes; ended when dropped.
#[derive(Debug)]
pub struct ServerProcess {
    child: Child,
    stop_signal: Signal,
}

impl ServerProcess {
    /// Starts `command` (program and arguments) in `folder`, it and all it starts on `cpu`.
    /// What it says goes to `log`. In a process group of its own, so that Ctrl-C reaches only us.
    /// The kernel ends it when the calling thread dies, unless it changed its user meanwhile.
    ///
    /// # Errors
    /// When the CPU cannot be used or the program cannot be started.
    pub fn start(
        command: &[String],
        folder: &Path,
        log: &Path,
        cpu: usize,
        stop_signal: Signal,
    ) -> io::Result<Self> {
        let (program, arguments) = command
            .split_first()
            .ok_or_else(|| io::Error::other("an empty command"))?;
        let out = File::create(log)?;
        let err = out.try_clone()?;
        let mut command = Command::new(program);
        command
            .args(arguments)
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(err)
            .process_group(0);
        // SAFETY: between fork and exec only two system calls are made, on values copied into the
        // closure; it allocates nothing and takes no lock.
        unsafe {
            command.pre_exec(move || {
                // Should this thread be killed, nobody else would end what it started.
                rustix::process::set_parent_process_death_signal(Some(stop_signal))?;
                affinity::pin_current_thread(cpu).map_err(|error| match error {
                    AffinityError::Refused { source, .. } => source,
                    AffinityError::OutOfRange(_) | AffinityError::Malformed(_) => {
                        io::Error::from_raw_os_error(libc::EINVAL)
                    }
                })
            });
        }
        let child = command.spawn()?;
        Ok(Self { child, stop_signal })
    }

    /// Its first process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Whether its first process still runs.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// CPU time of all its processes so far, those that ended included.
    #[must_use]
    pub fn cpu_time(&self) -> Duration {
        let time_of = |pid: u32| cpu_clock::of_process(pid).unwrap_or_default() + waited_for(pid);
        tree(self.pid()).into_iter().map(time_of).sum()
    }

    /// Resident memory of all its processes, shared pages counted in each.
    #[must_use]
    pub fn resident_bytes(&self) -> u64 {
        tree(self.pid()).into_iter().map(resident_bytes).sum()
    }

    /// Context switches of all threads that live, so far: given up, taken away.
    #[must_use]
    pub fn context_switches(&self) -> (u64, u64) {
        let all = tree(self.pid()).into_iter().map(context_switches);
        all.fold((0, 0), |sum, own| (sum.0 + own.0, sum.1 + own.1))
    }

    /// Sends a signal to its first process.
    ///
    /// # Errors
    /// When it is gone.
    pub fn signal(&self, signal: Signal) -> io::Result<()> {
        signal_process(self.pid(), signal)
    }

    /// Ends it: politely, then its whole tree by force.
    #[expect(
        clippy::disallowed_methods,
        reason = "no worker waits here, but the suite, for another process"
    )]
    pub fn stop(&mut self) {
        if !self.is_running() {
            return;
        }
        let processes = tree(self.pid());
        // Errors here mean that it ended meanwhile.
        drop(self.signal(Signal::CONT));
        drop(self.signal(self.stop_signal));
        let deadline = Instant::now() + STOP_TIMEOUT;
        while self.is_running() && Instant::now() < deadline {
            std::thread::sleep(STOP_POLL);
        }
        if self.is_running() {
            for pid in processes {
                drop(signal_process(pid, Signal::KILL));
            }
            if let Some(group) = pid_of(self.pid()) {
                // Gone already is as good.
                let _ = kill_process_group(group, Signal::KILL);
            }
        }
        drop(self.child.wait());
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Sends a signal to a process that we started.
///
/// # Errors
/// When it is gone.
pub(super) fn signal_process(pid: u32, signal: Signal) -> io::Result<()> {
    let pid = pid_of(pid).ok_or_else(|| io::Error::other("not a process id"))?;
    Ok(kill_process(pid, signal)?)
}

fn pid_of(pid: u32) -> Option<Pid> {
    i32::try_from(pid).ok().and_then(Pid::from_raw)
}

/// `root` and all its descendants that live (proc(5), `task/TID/children`).
fn tree(root: u32) -> Vec<u32> {
    let mut found = vec![root];
    let mut next = 0;
    while let Some(pid) = found.get(next).copied() {
        next += 1;
        let Ok(tasks) = std::fs::read_dir(format!("/proc/{pid}/task")) else {
            continue;
        };
        for task in tasks.flatten() {
            let children = std::fs::read_to_string(task.path().join("children"));
            let children = children.unwrap_or_default();
            found.extend(
                children
                    .split_ascii_whitespace()
                    .flat_map(str::parse::<u32>),
            );
        }
    }
    found
}

/// CPU time of the children that ended and that `pid` waited for: fields 16 and 17 of proc_pid_stat(5).
fn waited_for(pid: u32) -> Duration {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The name in field 2 may hold anything; what follows its last parenthesis does not.
    let fields = text.rsplit_once(')').map_or("", |(_, rest)| rest);
    let ticks: u64 = fields
        .split_ascii_whitespace()
        .skip(13)
        .take(2)
        .filter_map(|field| field.parse::<u64>().ok())
        .sum();
    let per_second = rustix::param::clock_ticks_per_second().max(1);
    Duration::from_nanos(ticks.saturating_mul(1_000_000_000 / per_second))
}

fn resident_bytes(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|value| value.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    kib.unwrap_or(0) * 1024
}

/// Of all threads of `pid` (proc_pid_status(5): the numbers of a process are its first thread's).
fn context_switches(pid: u32) -> (u64, u64) {
    let (mut given_up, mut taken_away) = (0, 0);
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task"));
    for task in tasks.into_iter().flatten().flatten() {
        let status = std::fs::read_to_string(task.path().join("status")).unwrap_or_default();
        let number = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            line.and_then(|value| value.trim().parse::<u64>().ok())
        };
        given_up += number("voluntary_ctxt_switches:").unwrap_or(0);
        taken_away += number("nonvoluntary_ctxt_switches:").unwrap_or(0);
    }
    (given_up, taken_away)
}

/// The CPU clock of another process.
mod cpu_clock {
    use std::time::Duration;

    /// User and system time of `pid` with all its threads, ended ones too; `None` when it is gone.
    pub(super) fn of_process(pid: u32) -> Option<Duration> {
        let pid = libc::pid_t::try_from(pid).ok()?;
        let mut clock: libc::clockid_t = 0;
        let mut time = libc::timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        // SAFETY: both pointers are to live locals of the types that clock_getcpuclockid(3) and
        // clock_gettime(2) write; neither keeps them. The clock is only read after it was set.
        let failed = unsafe {
            libc::clock_getcpuclockid(pid, &raw mut clock) != 0
                || libc::clock_gettime(clock, &raw mut time) != 0
        };
        if failed {
            return None;
        }
        let (seconds, nanoseconds) = (time.tv_sec.try_into().ok()?, time.tv_nsec.try_into().ok()?);
        Some(Duration::new(seconds, nanoseconds))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(
        clippy::disallowed_methods,
        reason = "the condition is another process's, which can only be looked at again"
    )]
    fn a_tree_is_timed_with_its_children_and_ended() {
        let folder = tempfile::tempdir().expect("a folder");
        let cpu = affinity::usable_cpus().expect("CPUs")[0];
        let script =
            "(i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done); echo ready; exec sleep 60";
        let command = ["sh", "-c", script].map(str::to_owned);
        let log = folder.path().join("log");
        let mut server =
            ServerProcess::start(&command, folder.path(), &log, cpu, Signal::TERM).expect("sh");
        let deadline = Instant::now() + Duration::from_secs(60);
        while std::fs::read_to_string(&log).unwrap_or_default() != "ready\n" {
            assert!(server.is_running() && Instant::now() < deadline);
            std::thread::sleep(STOP_POLL);
        }
        assert!(server.cpu_time() > Duration::ZERO && server.resident_bytes() > 0);
        // It waited for its child at least once.
        assert!(server.context_switches().0 > 0);
        assert!(tree(std::process::id()).contains(&server.pid()));
        let pid = server.pid();
        server.stop();
        assert!(!server.is_running() && cpu_clock::of_process(pid).is_none());
    }
}
