//! Running a plan: worker threads, one ring each, and what they report.
//!
//! Workers share nothing while they run. Each sends what happened once a second; the calling
//! thread adds it up and tells an observer.

mod client;
mod pace;
mod slow;
mod wait;
mod worker;

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use crate::affinity::{self, AffinityError};
use crate::clock::{self, CpuTicks};
use crate::plan::{DriverChoice, Length, Load, Plan, nanoseconds};
use crate::stats::{ErrorKind, Stats};

/// How often the observer is asked to show something.
const TICK: Duration = Duration::from_millis(100);

/// From all workers being ready to the first request.
const START_DELAY_NS: u64 = 10_000_000;

/// A run that could not be.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// A CPU.
    #[error(transparent)]
    Affinity(#[from] AffinityError),
    /// Neither `io_uring` nor epoll.
    #[error("no driver: {0} (see /proc/sys/kernel/io_uring_disabled, seccomp and ulimit -l)")]
    Driver(io::Error),
    /// A thread.
    #[error("cannot start a worker thread: {0}")]
    Thread(io::Error),
    /// A worker's timer.
    #[error("a timer failed: {0}")]
    Timer(io::Error),
    /// A worker panicked; what it measured is lost.
    #[error("a worker thread died")]
    WorkerDied,
}

/// Told what happens while a run is going on.
pub trait Observer {
    /// About ten times a second.
    fn tick(&mut self, progress: &Progress);

    /// Once for each second after the warm-up, when all workers have reported it.
    fn second(&mut self, second: &Second<'_>);
}

/// How far a run is.
#[derive(Debug, Clone, Copy)]
pub struct Progress {
    /// Time since the first request; `None` before it.
    pub elapsed: Option<Duration>,
    /// Still warming up.
    pub phase: Phase,
    /// Connections made before the start.
    pub connected: usize,
}

/// Where in a run we are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Making connections.
    Connecting,
    /// Sending what does not count.
    WarmUp,
    /// Measuring.
    Measuring,
    /// Waiting for the last answers.
    Draining,
}

/// One second of a run.
#[derive(Debug)]
pub struct Second<'a> {
    /// Which, from 0.
    pub index: u64,
    /// What happened in it.
    pub stats: &'a Stats,
    /// Its length, shorter than a second when it is the last one.
    pub length_s: f64,
    /// Stolen share of the machine's CPU time in it.
    pub stolen_share: f64,
}

/// What a run came to.
#[derive(Debug)]
pub struct Outcome {
    /// Everything that happened after the warm-up.
    pub stats: Stats,
    /// From the end of the warm-up to the last answer, or to the planned end if that is later.
    pub duration: Duration,
    /// CPU time of this process in that time.
    pub client_cpu: Duration,
    /// The busiest worker's CPU time as a share of its time, without what it waited awake.
    pub worker_cpu_share_max: f64,
    /// What the workers waited with.
    pub driver: String,
    /// Requests an open loop meant to send, and those it sent in time.
    pub open: Option<OpenLoop>,
    /// The most memory this process had resident.
    pub peak_rss_bytes: u64,
    /// Stolen share of the machine's CPU time.
    pub stolen_share: f64,
    /// The first wrong answer, in full, with its request.
    pub sample: Option<Sample>,
    /// The first error of each kind, in words.
    pub error_texts: BTreeMap<ErrorKind, String>,
    /// Ended by a signal before it was done.
    pub interrupted: bool,
    /// No connection could be made before the start.
    pub never_connected: bool,
    /// When it began, since 1970.
    pub started_at: Duration,
}

/// How an open loop kept to its schedule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpenLoop {
    /// Requests meant to be sent.
    pub due: u64,
    /// Of these, sent before the planned end, or a tenth of a second after it.
    pub sent_in_time: u64,
    /// Planned length.
    pub planned: Duration,
}

/// A wrong answer with its request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// The request's kind.
    pub kind: usize,
    /// Which rule, in words.
    pub rule: String,
    /// The request as it was sent.
    pub request: Vec<u8>,
    /// The answer: its head as it was received, and the beginning of its body.
    pub answer: Vec<u8>,
}

/// Workers and the calling thread, in both directions.
struct Shared {
    plan: Arc<Plan>,
    /// Nanoseconds of CLOCK_MONOTONIC at which the first request is due; 0 until all are ready.
    start_ns: AtomicU64,
    stop: AtomicBool,
}

enum Report {
    Ready {
        connected: usize,
        driver: String,
        first_error: Option<String>,
    },
    Second {
        index: u64,
        length_s: f64,
        stats: Box<Stats>,
    },
    Done(Box<WorkerEnd>),
    Failed(RunError),
}

/// What a worker says at its end.
struct WorkerEnd {
    last_answer_ns: u64,
    cpu_share: f64,
    sent_in_time: u64,
    sample: Option<Sample>,
    error_texts: BTreeMap<ErrorKind, String>,
}

/// Runs `plan` to its end, or until `interrupt` is set.
///
/// # Errors
/// When the run cannot be made at all. Wrong answers and lost requests are results, not errors.
pub fn run(
    plan: Arc<Plan>,
    interrupt: &AtomicBool,
    observer: &mut dyn Observer,
) -> Result<Outcome, RunError> {
    let workers = plan.cpus.len();
    let shared = Arc::new(Shared {
        plan,
        start_ns: AtomicU64::new(0),
        stop: AtomicBool::new(false),
    });
    let (reports, inbox) = mpsc::channel();
    let mut recyclers = Vec::new();
    let mut threads = Vec::new();
    for index in 0..workers {
        let (recycler, recycled) = mpsc::channel();
        let (shared, reports) = (Arc::clone(&shared), reports.clone());
        let name = format!("loadgen-{index}");
        let body = move || start_worker(&shared, index, &reports, recycled);
        let thread = std::thread::Builder::new().name(name).spawn(body);
        threads.push(thread.map_err(RunError::Thread)?);
        recyclers.push(recycler);
    }
    drop(reports);
    let mut collector = Collector::new(&shared, recyclers);
    let collected = collector.collect(&inbox, interrupt, observer);
    shared.stop.store(true, Ordering::Relaxed);
    let died = threads
        .into_iter()
        .map(std::thread::JoinHandle::join)
        .any(|ended| ended.is_err());
    collected?;
    if died {
        Err(RunError::WorkerDied)
    } else {
        Ok(collector.into_outcome())
    }
}

fn start_worker(
    shared: &Arc<Shared>,
    index: usize,
    reports: &mpsc::Sender<(usize, Report)>,
    recycled: mpsc::Receiver<Box<Stats>>,
) {
    let result = (|| {
        if let Some(cpu) = shared.plan.cpus[index] {
            affinity::pin_current_thread(cpu)?;
        }
        let ring = match shared.plan.driver {
            DriverChoice::Auto => crate::io::has_rings(),
            DriverChoice::IoUring => true,
            DriverChoice::Epoll => false,
        };
        let start = |driver| worker::run(Arc::clone(shared), index, driver, reports, recycled);
        let ended = if ring {
            crate::io::run_on_ring(start)
        } else {
            crate::io::run_on_epoll(start)
        };
        ended.map_err(RunError::Driver)?
    })();
    let report = match result {
        Ok(end) => Report::Done(Box::new(end)),
        Err(error) => Report::Failed(error),
    };
    // The receiver is gone only when the run already failed for another reason.
    drop(reports.send((index, report)));
}

/// Adds up what the workers report.
struct Collector<'a> {
    shared: &'a Shared,
    recyclers: Vec<mpsc::Sender<Box<Stats>>>,
    total: Stats,
    /// Seconds that not all workers have reported yet, and their lengths.
    open_seconds: BTreeMap<u64, (Stats, f64)>,
    /// The next second each worker will report; as large as can be when it is done.
    reported: Vec<u64>,
    ready: usize,
    connected: usize,
    first_error: Option<String>,
    driver: String,
    ends: Vec<WorkerEnd>,
    own_cpu_start_ns: u64,
    ticks_start: CpuTicks,
    ticks_second: CpuTicks,
    started_at: Duration,
    interrupted: bool,
}

impl<'a> Collector<'a> {
    fn new(shared: &'a Shared, recyclers: Vec<mpsc::Sender<Box<Stats>>>) -> Self {
        Self {
            shared,
            recyclers,
            total: Stats::new(shared.plan.traffic.kinds().len()),
            open_seconds: BTreeMap::new(),
            reported: vec![0; shared.plan.cpus.len()],
            ready: 0,
            connected: 0,
            first_error: None,
            driver: String::new(),
            ends: Vec::new(),
            own_cpu_start_ns: 0,
            ticks_start: CpuTicks::default(),
            ticks_second: CpuTicks::default(),
            started_at: Duration::ZERO,
            interrupted: false,
        }
    }

    fn collect(
        &mut self,
        inbox: &mpsc::Receiver<(usize, Report)>,
        interrupt: &AtomicBool,
        observer: &mut dyn Observer,
    ) -> Result<(), RunError> {
        let mut shown_ns = 0;
        loop {
            match inbox.recv_timeout(TICK) {
                Ok((worker, report)) => self.take(worker, report, observer)?,
                Err(RecvTimeoutError::Timeout) => {}
                // All workers are done and have said so.
                Err(RecvTimeoutError::Disconnected) => break,
            }
            if interrupt.load(Ordering::Relaxed) {
                self.interrupted = true;
                self.shared.stop.store(true, Ordering::Relaxed);
            }
            let now = clock::monotonic_ns();
            if now >= shown_ns + nanoseconds(TICK) {
                shown_ns = now;
                observer.tick(&self.progress(now));
            }
        }
        if self.ends.len() < self.recyclers.len() {
            return Err(RunError::WorkerDied);
        }
        Ok(())
    }

    fn take(
        &mut self,
        worker: usize,
        report: Report,
        observer: &mut dyn Observer,
    ) -> Result<(), RunError> {
        match report {
            Report::Ready {
                connected,
                driver,
                first_error,
            } => {
                self.ready += 1;
                self.connected += connected;
                self.driver = driver;
                self.first_error = self.first_error.take().or(first_error);
                if self.ready == self.recyclers.len() {
                    self.start();
                }
            }
            Report::Second {
                index,
                length_s,
                stats,
            } => {
                let kinds = self.total.kinds.len();
                let (sum, length) = self
                    .open_seconds
                    .entry(index)
                    .or_insert_with(|| (Stats::new(kinds), 0.0));
                sum.merge(&stats);
                *length = length.max(length_s);
                self.reported[worker] = index + 1;
                self.close_seconds(observer);
                // A worker that is done takes nothing back.
                drop(self.recyclers[worker].send(stats));
            }
            Report::Done(end) => {
                self.ends.push(*end);
                self.reported[worker] = u64::MAX;
                self.close_seconds(observer);
            }
            Report::Failed(error) => return Err(error),
        }
        Ok(())
    }

    /// Passes on the seconds that all workers have reported.
    fn close_seconds(&mut self, observer: &mut dyn Observer) {
        let complete = self.reported.iter().copied().min().unwrap_or(u64::MAX);
        while let Some(first) = self.open_seconds.first_entry() {
            if *first.key() >= complete {
                break;
            }
            let (index, (stats, length_s)) = first.remove_entry();
            let ticks = CpuTicks::now();
            let stolen_share = ticks.stolen_share_since(self.ticks_second);
            self.ticks_second = ticks;
            self.total.merge(&stats);
            let second = Second {
                index,
                stats: &stats,
                length_s,
                stolen_share,
            };
            observer.second(&second);
        }
    }

    fn start(&mut self) {
        if self.connected == 0 {
            self.shared.stop.store(true, Ordering::Relaxed);
        }
        self.started_at = clock::wall_time();
        self.own_cpu_start_ns = clock::thread_cpu_ns();
        self.ticks_start = CpuTicks::now();
        self.ticks_second = self.ticks_start;
        self.shared
            .start_ns
            .store(clock::monotonic_ns() + START_DELAY_NS, Ordering::Release);
    }

    fn progress(&self, now: u64) -> Progress {
        let start = self.shared.start_ns.load(Ordering::Relaxed);
        let elapsed = (start > 0 && now >= start).then(|| Duration::from_nanos(now - start));
        let plan = &self.shared.plan;
        let phase = match (elapsed, plan.length) {
            (None, _) => Phase::Connecting,
            (Some(elapsed), _) if elapsed < plan.warmup => Phase::WarmUp,
            (Some(elapsed), Length::Duration(length)) if elapsed >= plan.warmup + length => {
                Phase::Draining
            }
            (Some(_), Length::Duration(_) | Length::Count(_)) => Phase::Measuring,
        };
        Progress {
            elapsed,
            phase,
            connected: self.connected,
        }
    }

    fn into_outcome(self) -> Outcome {
        let plan = &self.shared.plan;
        let start = self.shared.start_ns.load(Ordering::Relaxed) + nanoseconds(plan.warmup);
        let last_answer = self
            .ends
            .iter()
            .map(|end| end.last_answer_ns)
            .max()
            .unwrap_or(0);
        let answered = Duration::from_nanos(last_answer.saturating_sub(start));
        let duration = match plan.length {
            Length::Duration(planned) if !self.interrupted && self.connected > 0 => {
                answered.max(planned)
            }
            Length::Duration(_) | Length::Count(_) => answered,
        };
        let own_cpu_ns = clock::thread_cpu_ns().saturating_sub(self.own_cpu_start_ns);
        let cpu_share = self
            .ends
            .iter()
            .map(|end| end.cpu_share)
            .fold(0.0, f64::max);
        let sent_in_time = self.ends.iter().map(|end| end.sent_in_time).sum();
        let mut error_texts = BTreeMap::new();
        let mut sample = None;
        for end in self.ends {
            sample = sample.or(end.sample);
            for (kind, text) in end.error_texts {
                error_texts.entry(kind).or_insert(text);
            }
        }
        let mut stats = self.total;
        if self.connected == 0 {
            // The run ended before its first request: each connection that was wanted is an error.
            for _ in 0..plan.connections {
                stats.record_error(ErrorKind::Connect, None);
            }
            if let Some(text) = self.first_error {
                error_texts.entry(ErrorKind::Connect).or_insert(text);
            }
        }
        Outcome {
            duration,
            client_cpu: Duration::from_nanos(stats.worker_cpu_ns + own_cpu_ns),
            worker_cpu_share_max: cpu_share,
            driver: self.driver,
            open: open_loop(plan, sent_in_time),
            peak_rss_bytes: clock::peak_rss_bytes(),
            stolen_share: CpuTicks::now().stolen_share_since(self.ticks_start),
            sample,
            error_texts,
            interrupted: self.interrupted,
            never_connected: self.connected == 0,
            started_at: self.started_at,
            stats,
        }
    }
}

fn open_loop(plan: &Plan, sent_in_time: u64) -> Option<OpenLoop> {
    match &plan.load {
        Load::Closed { .. } => None,
        Load::Open { schedule, .. } => {
            let (due, planned_ns) = match plan.length {
                Length::Duration(length) => {
                    let length = nanoseconds(length);
                    (schedule.count_before(length), length)
                }
                Length::Count(count) => {
                    let last = schedule.time_of(count.saturating_sub(1));
                    (count, last.unwrap_or(0))
                }
            };
            Some(OpenLoop {
                due,
                sent_in_time,
                planned: Duration::from_nanos(planned_ns),
            })
        }
    }
}
