//! One worker: its ring, its connections, its clock ticks, and its reports.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc;

use super::client::Client;
use super::pace::{Asked, Pace, Ticket, TicketSlot, Wait};
use super::wait::{Bell, Slot};
use super::{Report, RunError, Sample, Shared, WorkerEnd, slow};
use crate::clock::{monotonic_ns, thread_cpu_ns, thread_kept_waiting_ns};
use crate::draw::Draw;
use crate::exchange::Judge;
use crate::io::{Hangup, LiveDriver, Timer, TimerControl, Turn, spawn};
use crate::plan::{Length, Load, Plan, nanoseconds};
use crate::stats::{self, ErrorKind, Stats};

/// Distance of clock ticks while waiting for the start, and while running.
const START_TICK_NS: u64 = 1_000_000;
const TICK_NS: u64 = 20_000_000;

/// Lengths of reports.
const SECOND_NS: u64 = 1_000_000_000;

/// How long after the planned end requests that fell due before it are still sent. A server that
/// stood still at the end is charged for them; one that is simply too slow is not waited for.
const OVERDUE_NS: u64 = SECOND_NS;

/// A request sent so long after the planned end still counts as sent in time: the last ones of a
/// short run are not late because a thread was.
const IN_TIME_NS: u64 = SECOND_NS / 10;

/// How long an interrupted run waits for answers, and how long connections that were hung up may
/// take to notice.
const HANGUP_NS: u64 = SECOND_NS;

/// What the tasks of one worker share.
pub(super) struct Worker {
    pub(super) plan: Arc<Plan>,
    pub(super) index: usize,
    pub(super) draw: RefCell<Draw>,
    pub(super) judges: RefCell<Vec<Judge>>,
    pub(super) stats: RefCell<Stats>,
    /// Rings on every clock tick.
    pub(super) tick: Bell,
    /// Rings once, when the first request may be sent.
    pub(super) started: Bell,
    pace: RefCell<Option<Pace>>,
    timer: TimerControl,
    /// Ends the task that keeps the pace, which says when it has ended.
    pacing_is_over: Cell<bool>,
    pacing_ended: Slot<()>,
    watches: RefCell<Vec<Rc<Watch>>>,
    /// When counting begins, and when it is planned to end.
    measure_ns: Cell<u64>,
    end_ns: Cell<u64>,
    /// When whatever is unanswered is given up, should its own timeout not have come by then.
    drained_by_ns: Cell<u64>,
    /// Requests this worker may still send, where they are counted.
    budget: Cell<u64>,
    stopping: Cell<bool>,
    /// Clients that are not done.
    running: Cell<usize>,
    /// Clients that have not tried to connect yet.
    connecting: Cell<usize>,
    connected: Cell<usize>,
    last_answer_ns: Cell<u64>,
    sent_in_time: Cell<u64>,
    sample: RefCell<Option<Sample>>,
    error_texts: RefCell<BTreeMap<ErrorKind, String>>,
    timer_error: RefCell<Option<std::io::Error>>,
}

/// A connection, as far as deadlines need to know it.
#[derive(Default)]
pub(super) struct Watch {
    /// When it is given up; 0 for never.
    deadline_ns: Cell<u64>,
    /// Why it was given up.
    given_up: Cell<Option<ErrorKind>>,
    /// What ends it; none while it is being made.
    pub(super) hangup: RefCell<Option<Hangup>>,
}

impl Watch {
    /// Gives the connection up at `deadline_ns`.
    pub(super) fn arm(&self, deadline_ns: u64) {
        self.deadline_ns.set(deadline_ns);
    }

    /// Waits for nothing now.
    pub(super) fn disarm(&self) {
        self.deadline_ns.set(0);
    }

    /// Why the connection was given up, if it was.
    pub(super) fn given_up(&self) -> Option<ErrorKind> {
        self.given_up.get()
    }

    /// Forgets the connection before; the next one begins.
    pub(super) fn renew(&self) {
        self.disarm();
        self.given_up.set(None);
        self.hangup.take();
    }

    fn give_up(&self, kind: ErrorKind) {
        self.disarm();
        self.given_up.set(Some(kind));
        if let Some(hangup) = self.hangup.borrow().as_ref() {
            hangup.hang_up();
        }
    }
}

/// Runs worker `index` to its end.
///
/// # Errors
/// When a timer fails; everything else is a result.
pub(super) async fn run(
    shared: Arc<Shared>,
    index: usize,
    driver: LiveDriver,
    reports: &mpsc::Sender<(usize, Report)>,
    recycled: mpsc::Receiver<Box<Stats>>,
) -> Result<WorkerEnd, RunError> {
    let (alarm, timer) = Timer::new(driver).map_err(RunError::Timer)?;
    let (mut ticker, ticks) = Timer::new(driver).map_err(RunError::Timer)?;
    let worker = Rc::new(Worker::new(Arc::clone(&shared.plan), index, timer));
    ticks
        .set_periodic(monotonic_ns(), START_TICK_NS)
        .map_err(RunError::Timer)?;
    worker.spawn_clients();
    while worker.connecting.get() > 0 {
        ticker.expiry().await.map_err(RunError::Timer)?;
        worker.check_deadlines(monotonic_ns());
        worker.tick.ring();
    }
    let ready = Report::Ready {
        connected: worker.connected.get(),
        driver: driver.to_string(),
        first_error: worker.error_texts.borrow_mut().remove(&ErrorKind::Connect),
    };
    drop(reports.send((index, ready)));
    let start_ns = wait_for_start(&shared, &mut ticker).await?;
    let turn = Turn::new(driver).map_err(RunError::Timer)?;
    worker.start(start_ns, alarm, turn);
    ticks
        .set_periodic(monotonic_ns() + TICK_NS, TICK_NS)
        .map_err(RunError::Timer)?;
    let mut reporter = Reporter::new(&worker, reports, recycled);
    let mut hung_up_ns = None;
    loop {
        let now = monotonic_ns();
        reporter.flush_if_due(&worker, now);
        if shared.stop.load(Ordering::Relaxed) {
            worker.interrupt(now);
        }
        if now >= worker.end_ns.get().saturating_add(OVERDUE_NS) {
            worker.stop();
        }
        worker.check_deadlines(now);
        worker.tick.ring();
        if let Some(error) = worker.timer_error.take() {
            return Err(RunError::Timer(error));
        }
        if hung_up_ns.is_none() && now >= worker.drained_by_ns.get() {
            worker.stop();
            worker.give_up_all();
            hung_up_ns = Some(now);
        }
        let is_over = hung_up_ns.is_some_and(|since| now >= since + HANGUP_NS);
        if worker.running.get() == 0 || is_over {
            break;
        }
        ticker.expiry().await.map_err(RunError::Timer)?;
    }
    let now = monotonic_ns();
    worker.stop();
    reporter.flush(&worker, now);
    let cpu_share = reporter.cpu_share(now);
    worker.end_pacing().await?;
    Ok(worker.end(cpu_share))
}

/// Waits until all workers are ready and the time set for the start has come.
async fn wait_for_start(shared: &Shared, ticker: &mut Timer) -> Result<u64, RunError> {
    loop {
        ticker.expiry().await.map_err(RunError::Timer)?;
        let start_ns = shared.start_ns.load(Ordering::Acquire);
        let now = monotonic_ns();
        if start_ns > 0 && now >= start_ns {
            return Ok(start_ns);
        }
        if shared.stop.load(Ordering::Relaxed) {
            return Ok(now);
        }
    }
}

impl Worker {
    fn new(plan: Arc<Plan>, index: usize, timer: TimerControl) -> Self {
        let judge = |shape: &crate::traffic::Shape| {
            Judge::new(shape.expectation.clone(), plan.volatile.clone())
        };
        let (part, parts) = (index as u64, plan.cpus.len() as u64);
        let budget = match plan.length {
            Length::Duration(_) => u64::MAX,
            Length::Count(count) => count / parts + u64::from(part < count % parts),
        };
        Self {
            draw: RefCell::new(Draw::new(plan.seed, plan.fresh_base, part, parts)),
            judges: RefCell::new(plan.traffic.shapes().iter().map(judge).collect()),
            stats: RefCell::new(Stats::new(plan.traffic.kinds().len())),
            tick: Bell::default(),
            started: Bell::default(),
            pace: RefCell::new(None),
            timer,
            pacing_is_over: Cell::new(false),
            pacing_ended: Slot::new(),
            watches: RefCell::default(),
            measure_ns: Cell::new(u64::MAX),
            end_ns: Cell::new(u64::MAX),
            drained_by_ns: Cell::new(u64::MAX),
            budget: Cell::new(budget),
            stopping: Cell::new(false),
            running: Cell::new(plan.connections_of(index)),
            connecting: Cell::new(plan.connections_of(index)),
            connected: Cell::new(0),
            last_answer_ns: Cell::new(0),
            sent_in_time: Cell::new(0),
            sample: RefCell::new(None),
            error_texts: RefCell::default(),
            timer_error: RefCell::new(None),
            plan,
            index,
        }
    }

    fn spawn_clients(self: &Rc<Self>) {
        for _ in 0..self.plan.connections_of(self.index) {
            spawn(Client::new(Rc::clone(self), self.new_watch()).run());
        }
        slow::spawn_slow_clients(self);
    }

    /// A watch whose deadlines this worker looks after.
    pub(super) fn new_watch(&self) -> Rc<Watch> {
        let watch = Rc::new(Watch::default());
        self.watches.borrow_mut().push(Rc::clone(&watch));
        watch
    }

    /// A client made its first connection, before the start.
    pub(super) fn note_connected(&self) {
        self.connected.set(self.connected.get() + 1);
    }

    /// A client has tried to connect for the first time.
    pub(super) fn note_tried(&self) {
        self.connecting.set(self.connecting.get() - 1);
    }

    /// A client is done.
    pub(super) fn note_done(&self) {
        self.running.set(self.running.get() - 1);
    }

    fn start(self: &Rc<Self>, start_ns: u64, mut alarm: Timer, mut turn: Turn) {
        let measure_ns = start_ns + nanoseconds(self.plan.warmup);
        self.measure_ns.set(measure_ns);
        let length_ns = match (&self.plan.load, self.plan.length) {
            (_, Length::Duration(length)) => Some(nanoseconds(length)),
            (Load::Closed { .. }, Length::Count(_)) => None,
            (Load::Open { schedule, .. }, Length::Count(count)) => {
                schedule.time_of(count.saturating_sub(1))
            }
        };
        self.end_ns
            .set(length_ns.map_or(u64::MAX, |length| measure_ns.saturating_add(length)));
        *self.pace.borrow_mut() = Pace::new(&self.plan, self.index, start_ns, self.timer.clone());
        let worker = Rc::clone(self);
        spawn(async move {
            while alarm.expiry().await.is_ok() && !worker.pacing_is_over.get() {
                worker.note_expiry();
                while let Wait::Awake { until_ns } = worker.dispatch() {
                    turn.take(until_ns).await;
                }
            }
            worker.pacing_ended.give(());
        });
        self.started.ring();
    }

    /// Ends what still waits for the timer, so that no operation is under way when all clients are
    /// done, and the ring can be freed.
    async fn end_pacing(&self) -> Result<(), RunError> {
        self.pacing_is_over.set(true);
        self.timer.set_once(0).map_err(RunError::Timer)?;
        self.pacing_ended.take().await;
        Ok(())
    }

    fn note_expiry(&self) {
        if let Some(pace) = self.pace.borrow_mut().as_mut() {
            pace.expired(monotonic_ns());
        }
    }

    fn dispatch(&self) -> Wait {
        let mut pace = self.pace.borrow_mut();
        let Some(pace) = pace.as_mut() else {
            return Wait::Asleep;
        };
        let now = monotonic_ns();
        if self.is_counted(now) {
            self.stats.borrow_mut().waited_awake_ns += pace.turned(now);
        }
        let lag = |ticket: Ticket| {
            if self.is_counted(ticket.intended_ns) {
                let late = now.saturating_sub(ticket.intended_ns);
                stats::record(&mut self.stats.borrow_mut().lag, late);
            }
        };
        pace.dispatch(now, lag).unwrap_or_else(|error| {
            self.timer_error.borrow_mut().get_or_insert(error);
            Wait::Asleep
        })
    }

    /// The next request for a connection with nothing to do; `None` when there is no more.
    pub(super) async fn next_ticket(&self, slot: &TicketSlot) -> Option<Ticket> {
        let now = monotonic_ns();
        let asked = match self.pace.borrow_mut().as_mut() {
            None => return self.ticket_now(now),
            Some(_) if self.stopping.get() => return None,
            Some(pace) => pace.ask(now, slot),
        };
        match asked {
            Ok(Asked::Due(ticket)) => Some(ticket),
            Ok(Asked::Wait) => slot.take().await,
            Ok(Asked::Over) => None,
            Err(error) => {
                self.timer_error.borrow_mut().get_or_insert(error);
                None
            }
        }
    }

    /// Permission to send another request at once; closed loops only.
    pub(super) fn ticket_now(&self, now: u64) -> Option<Ticket> {
        if self.stopping.get() || now >= self.end_ns.get() {
            return None;
        }
        if self.is_counted(now) {
            self.budget.set(self.budget.get().checked_sub(1)?);
        }
        Some(Ticket {
            intended_ns: now,
            number: 0,
        })
    }

    /// Whether a request meant to be sent then counts, that is, the warm-up is over.
    pub(super) fn is_counted(&self, intended_ns: u64) -> bool {
        intended_ns >= self.measure_ns.get()
    }

    /// A request was sent.
    pub(super) fn note_sent(&self, intended_ns: u64, now: u64) {
        if self.is_counted(intended_ns) {
            self.stats.borrow_mut().sent += 1;
            if now <= self.end_ns.get().saturating_add(IN_TIME_NS) {
                self.sent_in_time.set(self.sent_in_time.get() + 1);
            }
        }
    }

    /// An answer was received.
    pub(super) fn note_answer_time(&self, now: u64) {
        self.last_answer_ns.set(now);
    }

    /// A request got no proper answer; `text` says why, and is asked for once per kind.
    pub(super) fn note_error(
        &self,
        kind: ErrorKind,
        intended_ns: u64,
        text: impl FnOnce() -> String,
    ) {
        if !self.is_counted(intended_ns) {
            return;
        }
        let now = monotonic_ns();
        self.last_answer_ns.set(now);
        let waited = match kind {
            ErrorKind::Timeout | ErrorKind::Unfinished => Some(now.saturating_sub(intended_ns)),
            ErrorKind::Connect
            | ErrorKind::Send
            | ErrorKind::Receive
            | ErrorKind::Closed
            | ErrorKind::Protocol => None,
        };
        self.stats.borrow_mut().record_error(kind, waited);
        self.explain(kind, text);
    }

    /// Keeps the first text for each kind of error.
    pub(super) fn explain(&self, kind: ErrorKind, text: impl FnOnce() -> String) {
        self.error_texts
            .borrow_mut()
            .entry(kind)
            .or_insert_with(text);
    }

    /// Keeps the first wrong answer.
    pub(super) fn keep_sample(&self, sample: impl FnOnce() -> Sample) {
        self.sample.borrow_mut().get_or_insert_with(sample);
    }

    fn check_deadlines(&self, now: u64) {
        for watch in self.watches.borrow().iter() {
            let deadline = watch.deadline_ns.get();
            if deadline != 0 && now >= deadline {
                watch.give_up(ErrorKind::Timeout);
            }
        }
    }

    fn give_up_all(&self) {
        for watch in self.watches.borrow().iter() {
            watch.give_up(ErrorKind::Unfinished);
        }
    }

    /// Sends nothing more.
    fn stop(&self) {
        if !self.stopping.replace(true)
            && let Some(pace) = self.pace.borrow_mut().as_mut()
        {
            pace.stop();
        }
    }

    /// Ends the run now.
    fn interrupt(&self, now: u64) {
        if now < self.end_ns.get() {
            self.end_ns.set(now);
            self.drained_by_ns.set(now + HANGUP_NS);
        }
        self.stop();
    }

    fn end(&self, cpu_share: f64) -> WorkerEnd {
        WorkerEnd {
            last_answer_ns: self.last_answer_ns.get(),
            cpu_share,
            sent_in_time: self.sent_in_time.get(),
            sample: self.sample.take(),
            error_texts: self.error_texts.take(),
        }
    }
}

/// Sends what happened, once a second.
struct Reporter<'a> {
    worker: usize,
    reports: &'a mpsc::Sender<(usize, Report)>,
    recycled: mpsc::Receiver<Box<Stats>>,
    index: u64,
    /// Beginning of what the next report covers, and this thread's CPU time then, and for how long
    /// it had been kept waiting for its CPU.
    since_ns: u64,
    since_cpu_ns: u64,
    since_kept_waiting_ns: u64,
    first_ns: u64,
    first_cpu_ns: u64,
    /// CPU time that was burnt waiting, so far.
    waited_awake_ns: u64,
}

impl<'a> Reporter<'a> {
    fn new(
        worker: &Worker,
        reports: &'a mpsc::Sender<(usize, Report)>,
        recycled: mpsc::Receiver<Box<Stats>>,
    ) -> Self {
        let (now, cpu) = (worker.measure_ns.get(), thread_cpu_ns());
        Self {
            worker: worker.index,
            reports,
            recycled,
            index: 0,
            since_ns: now,
            since_cpu_ns: cpu,
            since_kept_waiting_ns: thread_kept_waiting_ns(),
            first_ns: now,
            first_cpu_ns: cpu,
            waited_awake_ns: 0,
        }
    }

    fn flush_if_due(&mut self, worker: &Worker, now: u64) {
        if now < self.first_ns {
            // The warm-up costs nothing.
            self.first_cpu_ns = thread_cpu_ns();
            self.since_cpu_ns = self.first_cpu_ns;
            self.since_kept_waiting_ns = thread_kept_waiting_ns();
        } else if now >= self.since_ns + SECOND_NS {
            self.flush(worker, now);
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "a report covers about a second")]
    fn flush(&mut self, worker: &Worker, now: u64) {
        let kinds = worker.plan.traffic.kinds().len();
        let mut stats = self
            .recycled
            .try_recv()
            .unwrap_or_else(|_| Box::new(Stats::new(kinds)));
        stats.clear();
        std::mem::swap(&mut *worker.stats.borrow_mut(), &mut *stats);
        let cpu = thread_cpu_ns();
        stats.worker_cpu_ns = cpu.saturating_sub(self.since_cpu_ns);
        let kept_waiting = thread_kept_waiting_ns();
        stats.kept_waiting_ns = kept_waiting.saturating_sub(self.since_kept_waiting_ns);
        self.since_kept_waiting_ns = kept_waiting;
        self.waited_awake_ns += stats.waited_awake_ns;
        let length_s = now.saturating_sub(self.since_ns) as f64 / 1e9;
        let report = Report::Second {
            index: self.index,
            length_s,
            stats,
        };
        drop(self.reports.send((self.worker, report)));
        self.index += 1;
        self.since_ns = now.max(self.since_ns);
        self.since_cpu_ns = cpu;
    }

    /// Share of the time in which this thread worked: it could not have taken on more at 1.
    fn cpu_share(&self, now: u64) -> f64 {
        let cpu = thread_cpu_ns().saturating_sub(self.first_cpu_ns);
        let worked = cpu.saturating_sub(self.waited_awake_ns);
        stats::share(worked, now.saturating_sub(self.first_ns)).unwrap_or(0.0)
    }
}
