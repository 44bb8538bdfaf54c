//! One worker: a thread pinned to a CPU, its ring, its share of every listener, and the tasks on it:
//! accepting, the deadline wheel, the mailbox. What a worker owns is not shared; what is shared
//! ([`Shared`]) is read without locks on the way of a hit.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::Waker;
use std::time::Duration;

use arc_swap::ArcSwap;
use corsair_cache::{FillTable, KeyHash, KeySecret, Store, WakeWorkers};
use corsair_rules::AnswerMemo;

use crate::buffer::Pool;
use crate::clock::Clock;
use crate::connection::{self, Active, Desk};
use crate::contain::{REST_AFTER_PANIC, contain};
use crate::cors_watch::{Notice, NoticeSink, Told};
use crate::deadline::{Deadlines, TICK_MS};
use crate::front::{FrontCache, HeadMemo};
use crate::io::{self, Bell, DriverChoice, Listener, LiveDriver};
use crate::mailbox::Mailbox;
use crate::metrics::WorkerMetrics;
use crate::plan::{LivePlan, PinnedPlan, TurnLimits};
use crate::upstream::Pools;

#[cfg(test)]
use crate::contain::fault::{self, Fault};

/// Accepts in flight per worker and listener: monoio accepts one connection per operation.
const ACCEPT_TASKS: usize = 8;
/// How long accepting pauses when descriptors or memory are exhausted.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// Sets of buffers that an idle worker keeps.
const ACTIVE_KEPT_MAX: usize = 64;
/// The part of the cache budget that evicted bodies may take beside it.
const LINGERING_FRACTION: u64 = 8;
/// Body buffers that an idle worker keeps.
const BODY_BUFFERS_KEPT_MAX: usize = 32;
/// Turns of the wheel between two looks at what slow readers hold: what was ended must have had the time
/// to let go.
const JUDGE_EVERY_TURNS: u64 = 500 / TICK_MS;
/// Turns of the wheel between two sweeps of the front cache and the upstream pools.
const SWEEP_EVERY_TURNS: u64 = 1000 / TICK_MS;

/// What all workers and the control thread share.
pub(crate) struct Shared {
    /// The live plan.
    pub(crate) live: ArcSwap<LivePlan>,
    /// Its generation, so that a worker need not touch the pointer to see that nothing changed.
    pub(crate) generation: AtomicU64,
    /// The stored responses.
    pub(crate) store: Store,
    /// The fetches under way.
    pub(crate) fills: FillTable,
    /// The secret under which keys are hashed.
    pub(crate) secret: KeySecret,
    /// One mailbox a worker.
    pub(crate) mailboxes: Arc<Vec<Mailbox>>,
    /// Set once: no new connections, end after the current exchange.
    pub(crate) draining: AtomicBool,
    /// Set once: end every connection now.
    pub(crate) cutting: AtomicBool,
    /// Client connections open on all workers.
    pub(crate) connections_open: AtomicUsize,
    /// The most of them that leave descriptors for upstreams, whatever the plan allows.
    pub(crate) connections_room: usize,
    /// Who hears of what an operator should know.
    pub(crate) notices: OnceLock<NoticeSink>,
    /// One set of counters a worker.
    pub(crate) metrics: Vec<Arc<WorkerMetrics>>,
}

impl Shared {
    /// Passes a notice on.
    pub(crate) fn tell(&self, notice: Notice) -> Told {
        match self.notices.get() {
            Some(sink) => {
                sink(notice);
                Told::Somebody
            }
            None => Told::Nobody,
        }
    }
}

/// Rings the mailboxes of the workers that wait for a fill; the worker that it happens on is told
/// directly.
pub(crate) struct MailboxWaker {
    pub(crate) mailboxes: Arc<Vec<Mailbox>>,
}

thread_local! {
    /// The worker that runs on this thread, so that its own waiters need no ring.
    static LOCAL: RefCell<Option<(usize, Rc<FillWaits>)>> = const { RefCell::new(None) };
}

impl WakeWorkers for MailboxWaker {
    fn wake(&self, key: KeyHash, workers: u64) {
        let local = LOCAL.with_borrow(|local| {
            let (number, waits) = local.as_ref()?;
            let bit = 1_u64 << number;
            (workers & bit != 0).then(|| {
                waits.wake(key);
                bit
            })
        });
        let mut others = workers & !local.unwrap_or(0);
        while others != 0 {
            let number = others.trailing_zeros() as usize;
            others &= others - 1;
            if let Some(mailbox) = self.mailboxes.get(number) {
                mailbox.fill_moved(key);
            }
        }
    }
}

/// The tasks of one worker that wait for fills.
#[derive(Default)]
pub(crate) struct FillWaits(RefCell<HashMap<KeyHash, Vec<Waker>>>);

impl FillWaits {
    /// Wakes `waker` when the fill moves next.
    pub(crate) fn wait(&self, key: KeyHash, waker: &Waker) {
        let mut waits = self.0.borrow_mut();
        let waiting = waits.entry(key).or_default();
        // Only against waiting twice in a row; a task that is woken twice finds nothing the second time.
        if !waiting.last().is_some_and(|known| known.will_wake(waker)) {
            waiting.push(waker.clone());
        }
    }

    fn wake(&self, key: KeyHash) {
        let waiting = self.0.borrow_mut().remove(&key);
        for waker in waiting.into_iter().flatten() {
            waker.wake();
        }
    }
}

/// What a worker owns.
pub(crate) struct Worker {
    /// Its number, below 64.
    pub(crate) number: usize,
    pub(crate) shared: Arc<Shared>,
    pub(crate) metrics: Arc<WorkerMetrics>,
    pub(crate) clock: Clock,
    pub(crate) deadlines: Deadlines,
    pub(crate) front: FrontCache,
    pub(crate) memo: HeadMemo,
    pub(crate) answers: RefCell<AnswerMemo>,
    pub(crate) pools: Pools,
    pub(crate) fill_waits: Rc<FillWaits>,
    pub(crate) body_buffers: RefCell<Pool<Vec<u8>>>,
    pub(crate) desk: RefCell<Desk>,
    actives: RefCell<Pool<Box<Active>>>,
    actives_alive: Rc<Cell<usize>>,
    plan: RefCell<Rc<PinnedPlan>>,
    plan_generation: Cell<u64>,
    turn_limits: Cell<TurnLimits>,
    listeners: RefCell<Vec<Listener>>,
    unshared_fills: Cell<u64>,
}

impl Worker {
    /// The plan that is live now. One load of a line that is written once a reload.
    pub(crate) fn plan(&self) -> Rc<PinnedPlan> {
        self.follow_plan();
        Rc::clone(&self.plan.borrow())
    }

    /// The limits of the plan that is live now.
    pub(crate) fn turn_limits(&self) -> TurnLimits {
        self.follow_plan();
        self.turn_limits.get()
    }

    #[inline]
    fn follow_plan(&self) {
        let generation = self.shared.generation.load(Ordering::Acquire);
        if generation != self.plan_generation.get() {
            let live = self.shared.live.load_full();
            self.turn_limits.set(TurnLimits::of(&live.plan));
            *self.plan.borrow_mut() = Rc::new(PinnedPlan::new(live));
            self.plan_generation.set(generation);
        }
    }

    /// A key under which nobody else joins.
    pub(crate) fn unshared_fill_key(&self) -> KeyHash {
        let count = self.unshared_fills.get() + 1;
        self.unshared_fills.set(count);
        // Beside the 128-bit hashes of real keys; a collision is as unlikely as between two of those.
        KeyHash((u128::from(count) << 64) | self.number as u128)
    }

    /// Whether the node ends.
    pub(crate) fn is_draining(&self) -> bool {
        self.shared.draining.load(Ordering::Relaxed)
    }

    /// Buffers for a connection that has something to do.
    pub(crate) fn take_active(&self) -> Box<Active> {
        let idle = self.actives.borrow_mut().take();
        idle.unwrap_or_else(|| Active::new(&self.actives_alive))
    }

    /// Whether there are no more sets of buffers than are kept when nobody uses them.
    pub(crate) fn has_actives_to_spare(&self) -> bool {
        self.actives_alive.get() <= ACTIVE_KEPT_MAX
    }

    /// Gives them back.
    pub(crate) fn give_active(&self, mut active: Box<Active>) {
        if active.make_reusable() {
            self.actives.borrow_mut().give(active);
        }
    }

    /// Slow readers hold memory in two ways: evicted bodies, which are beyond the budget, and fills that
    /// are whole but not read to their end, which keep others from being stored. When either is much, the
    /// readers that would hold theirs for longest go first, and no more than needed.
    fn end_slow_readers(&self, now_ms: u64) {
        let store = &self.shared.store;
        let (lingering, capacity) = (store.lingering(), store.capacity());
        let patience_ms = match lingering {
            bytes if bytes > capacity / 2 => 0,
            bytes if bytes > capacity / 4 => 1_000,
            _ => 10_000,
        };
        let excess = lingering
            .saturating_sub(capacity / LINGERING_FRACTION)
            .max(store.reserved().saturating_sub(capacity * 3 / 8));
        if excess == 0 {
            return;
        }
        self.deadlines
            .end_slowest_senders(now_ms, patience_ms, excess);
    }
}

/// What a worker thread is started with.
pub(crate) struct WorkerStart {
    pub(crate) number: usize,
    pub(crate) cpu: Option<usize>,
    pub(crate) driver: DriverChoice,
    pub(crate) shared: Arc<Shared>,
    pub(crate) listeners: Vec<std::net::TcpListener>,
    pub(crate) ear: std::os::unix::net::UnixStream,
}

/// Runs a worker on this thread until the node has drained. Reports the live driver, or why the worker
/// cannot run, through `ready`.
pub(crate) fn run(start: WorkerStart, ready: impl FnOnce(std::io::Result<LiveDriver>)) {
    if let Some(cpu) = start.cpu {
        pin_to(cpu);
    }
    let (mut runtime, driver) = match io::build_runtime(start.driver) {
        Ok(built) => built,
        Err(error) => return ready(Err(error)),
    };
    runtime.block_on(async move {
        match assemble(start, driver) {
            Ok((worker, bell)) => {
                ready(Ok(driver));
                live(&worker, bell).await;
            }
            Err(error) => ready(Err(error)),
        }
    });
}

fn assemble(start: WorkerStart, driver: LiveDriver) -> std::io::Result<(Rc<Worker>, Bell)> {
    let listeners = start
        .listeners
        .into_iter()
        .map(|listener| Listener::from_std(listener, driver))
        .collect::<Result<Vec<_>, _>>()?;
    let bell = Bell::from_std(start.ear, driver)?;
    let live = start.shared.live.load_full();
    let seed = start.shared.secret.spread_seed();
    let worker = Rc::new(Worker {
        number: start.number,
        metrics: Arc::clone(&start.shared.metrics[start.number]),
        clock: Clock::new(),
        deadlines: Deadlines::new(),
        front: FrontCache::new(seed),
        memo: HeadMemo::new(),
        answers: RefCell::new(AnswerMemo::new(seed)),
        pools: Pools::new(),
        fill_waits: Rc::default(),
        body_buffers: RefCell::new(Pool::new(BODY_BUFFERS_KEPT_MAX)),
        desk: RefCell::default(),
        actives: RefCell::new(Pool::new(ACTIVE_KEPT_MAX)),
        actives_alive: Rc::default(),
        plan_generation: Cell::new(live.generation),
        turn_limits: Cell::new(TurnLimits::of(&live.plan)),
        plan: RefCell::new(Rc::new(PinnedPlan::new(live))),
        listeners: RefCell::new(listeners),
        unshared_fills: Cell::new(0),
        shared: start.shared,
    });
    LOCAL.set(Some((worker.number, Rc::clone(&worker.fill_waits))));
    Ok((worker, bell))
}

async fn live(worker: &Rc<Worker>, mut bell: Bell) {
    for listener in worker.listeners.borrow().iter() {
        for _ in 0..ACCEPT_TASKS {
            let listener = listener.clone();
            worker.spawn_kept(move |worker| accept(worker, listener.clone()));
        }
    }
    worker.spawn_kept(turn_wheel);
    let mut moved = Vec::new();
    loop {
        match bell.wait().await {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => return,
            // The node holds the other end: anything else passes, and the worker must not end on it.
            Err(_passing) => io::sleep(ACCEPT_PAUSE).await,
        }
        // Again after a panic: the bell rings once for all that came since it was heeded.
        let panics = &worker.metrics.counters.panics;
        while contain(panics, || heed(worker, &mut moved)).is_none() {
            io::sleep(REST_AFTER_PANIC).await;
        }
    }
}

/// Does what the mailbox and the node's state ask for.
fn heed(worker: &Worker, moved: &mut Vec<KeyHash>) {
    #[cfg(test)]
    fault::strike(Fault::Mailbox);
    worker.shared.mailboxes[worker.number].open(moved);
    // One by one: what a panic leaves is still there the next time.
    while let Some(key) = moved.pop() {
        worker.fill_waits.wake(key);
    }
    if worker.is_draining() {
        stop_accepting(worker);
        worker.deadlines.end_idle();
    }
    if worker.shared.cutting.load(Ordering::Acquire) {
        worker.deadlines.end_all();
    }
}

fn stop_accepting(worker: &Worker) {
    // None are left the second time. Ends the pending accepts; the sockets close when the accept tasks have let go of them.
    for listener in worker.listeners.borrow_mut().drain(..) {
        io::shutdown(listener.descriptor(), std::net::Shutdown::Both);
    }
}

async fn turn_wheel(worker: Rc<Worker>) {
    let mut turns = 0_u64;
    loop {
        io::sleep(Duration::from_millis(TICK_MS)).await;
        #[cfg(test)]
        fault::strike(Fault::Wheel);
        let now = worker.clock.read();
        worker.deadlines.turn(now.mono_ms);
        turns += 1;
        if turns.is_multiple_of(JUDGE_EVERY_TURNS) {
            worker.end_slow_readers(now.mono_ms);
        }
        if turns.is_multiple_of(SWEEP_EVERY_TURNS) {
            worker.front.sweep();
            worker.desk.borrow_mut().tidy();
            worker.pools.sweep(now.mono_ms);
        }
    }
}

async fn accept(worker: Rc<Worker>, listener: Listener) {
    loop {
        match listener.accept().await {
            Ok((socket, peer)) => admit(&worker, socket, peer),
            Err(error) if worker.is_draining() => return drop(error),
            Err(error) if is_exhaustion(&error) => {
                worker.metrics.counters.accept_failures.increment();
                io::sleep(ACCEPT_PAUSE).await;
            }
            // ECONNABORTED and its like concern one connection that is gone already.
            Err(_connection_gone) => {
                worker.metrics.counters.accept_failures.increment();
                io::sleep(Duration::from_millis(1)).await;
            }
        }
    }
}

fn is_exhaustion(error: &std::io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM)
    )
}

fn admit(worker: &Rc<Worker>, socket: io::Socket, peer: SocketAddr) {
    #[cfg(test)]
    fault::strike(Fault::Accept);
    let allowed = worker.plan().plan.limits.connections;
    let limit = allowed.min(worker.shared.connections_room);
    let open = worker
        .shared
        .connections_open
        .fetch_add(1, Ordering::Relaxed);
    if open >= limit {
        worker
            .shared
            .connections_open
            .fetch_sub(1, Ordering::Relaxed);
        worker.metrics.counters.connections_refused.increment();
        return;
    }
    worker.metrics.counters.connections_accepted.increment();
    worker.metrics.counters.connections_open.increment();
    let open = OpenConnection(Rc::clone(worker));
    worker.spawn_contained(connection::serve(open, socket, peer));
}

/// Counts a connection as open while it lives, also when its task panics.
pub(crate) struct OpenConnection(Rc<Worker>);

impl OpenConnection {
    /// Where it is open.
    pub(crate) fn worker(&self) -> &Rc<Worker> {
        &self.0
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.metrics.counters.connections_open.decrement();
        self.0
            .shared
            .connections_open
            .fetch_sub(1, Ordering::Relaxed);
    }
}

fn pin_to(cpu: usize) {
    // SAFETY: an all-zero CPU set is valid, CPU_SET stays inside it, and the call concerns this thread.
    unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(cpu, &mut set);
        libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &raw const set);
    }
}

/// The CPUs that this process may use, in order.
pub(crate) fn allowed_cpus() -> Vec<usize> {
    // SAFETY: an all-zero CPU set is valid, the kernel writes at most its size, CPU_ISSET reads inside.
    unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        if libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), &raw mut set) != 0 {
            return vec![0];
        }
        (0..usize::try_from(libc::CPU_SETSIZE).expect("a small positive constant"))
            .filter(|&cpu| libc::CPU_ISSET(cpu, &set))
            .collect()
    }
}
