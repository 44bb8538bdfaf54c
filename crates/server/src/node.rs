//! The node: starts workers, holds what they share, and is what the control thread talks to.

use std::collections::HashMap;
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use corsair_cache::{FillTable, KeySecret, Store};
use corsair_config::{Driver, Plan};
use hdrhistogram::Histogram;

use crate::contain::EndsTheProcess;
use crate::cors_watch::{NoticeSink, ReflectionSnapshot, ShadowSnapshot};
use crate::descriptors::room_for_connections;
use crate::io::{DriverChoice, LiveDriver};
use crate::mailbox::Mailbox;
use crate::metrics::{WorkerMetrics, WorkerSnapshot, empty_histogram};
use crate::plan::LivePlan;
use crate::worker::{self, MailboxWaker, Shared, WorkerStart};

/// Connections that the kernel may queue before a worker accepts them; cut to `somaxconn` by it.
const BACKLOG: i32 = 4096;
/// How often, and how far apart, a port that is taken is tried again: 1.5 s in all.
const TAKEN_RETRIES: u32 = 30;
const TAKEN_RETRY_PAUSE: Duration = Duration::from_millis(50);
/// Workers at most: fills note who waits in a 64-bit set.
const WORKERS_MAX: usize = 64;

/// Why a node cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A listener's address cannot be bound.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address of the configuration.
        address: SocketAddr,
        /// What the kernel said.
        source: std::io::Error,
    },
    /// A worker's runtime cannot be built.
    #[error("worker {worker} cannot start: {source}")]
    Worker {
        /// Its number.
        worker: usize,
        /// What the kernel said.
        source: std::io::Error,
    },
}

/// Addresses of upstreams by name.
pub type ResolvedUpstreams = HashMap<String, Vec<SocketAddr>>;

/// What a new plan asks for that a running node cannot change.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReloadReport {
    /// The generation of the plan that is live now.
    pub generation: u64,
    /// Keys whose new value waits for a restart.
    pub needs_restart: Vec<&'static str>,
}

/// How a drain ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DrainReport {
    /// Connections that still worked when the time was up.
    pub connections_cut: u64,
}

/// The store at a moment.
#[derive(Clone, Copy, Debug)]
pub struct StoreSnapshot {
    /// Bytes that stored responses and fills in flight take.
    pub bytes: u64,
    /// Bytes that they may take.
    pub budget: u64,
    /// Stored responses.
    pub objects: u64,
}

/// An upstream at a moment.
#[derive(Clone, Debug)]
pub struct UpstreamSnapshot {
    /// Its name in the configuration.
    pub name: String,
    /// Addresses known.
    pub addresses: usize,
    /// Responses whose time to the head was measured.
    pub responses: u64,
    /// Microseconds to the head: median, 90th and 99th percentile.
    pub head_latency_us: [u64; 3],
}

/// A node at a moment.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// The live driver.
    pub driver: &'static str,
    /// The generation of the live plan.
    pub generation: u64,
    /// Since the node started.
    pub uptime: Duration,
    /// By worker.
    pub workers: Vec<WorkerSnapshot>,
    /// The store.
    pub store: StoreSnapshot,
    /// By upstream of the live plan.
    pub upstreams: Vec<UpstreamSnapshot>,
    /// The sites whose upstreams reflect `Origin` without saying so.
    pub reflections: Vec<ReflectionSnapshot>,
    /// By route with shadow policies.
    pub shadows: Vec<ShadowSnapshot>,
}

/// A running node.
pub struct Node {
    shared: Arc<Shared>,
    addresses: Vec<SocketAddr>,
    driver: LiveDriver,
    /// The plan that the node was started with: what a reload cannot change is still as it says.
    started_with: Arc<Plan>,
    started: Instant,
    /// Serialises reloads; the workers never take it.
    reloading: Mutex<()>,
    _threads: Vec<JoinHandle<()>>,
}

impl Node {
    /// Binds every listener, starts the workers and returns when all of them accept. `resolved` are the
    /// addresses of the plan's upstreams by name, as far as they are known: the first request must not
    /// come before them.
    ///
    /// # Errors
    /// An address that cannot be bound; a driver that was demanded and cannot be had.
    pub fn start(plan: Plan, resolved: &ResolvedUpstreams) -> Result<Arc<Self>, StartError> {
        let cpus = worker::allowed_cpus();
        let workers = plan
            .node
            .workers
            .unwrap_or(cpus.len())
            .clamp(1, WORKERS_MAX);
        let (listeners, addresses) = bind_all(&plan, workers)?;
        let driver = match plan.node.driver {
            Driver::Auto => DriverChoice::Auto,
            Driver::IoUring => DriverChoice::Uring,
            Driver::Epoll => DriverChoice::Epoll,
        };
        let (mailboxes, ears): (Vec<_>, Vec<_>) = (0..workers)
            .map(|worker| Mailbox::new().map_err(|source| StartError::Worker { worker, source }))
            .collect::<Result<Vec<_>, _>>()?
            .into_iter()
            .unzip();
        let shared = share(plan, resolved, mailboxes);
        let (threads, driver) = start_workers(&shared, driver, &cpus, listeners, ears)?;
        Ok(Arc::new(Self {
            started_with: Arc::clone(&shared.live.load().plan),
            shared,
            addresses,
            driver,
            started: Instant::now(),
            reloading: Mutex::new(()),
            _threads: threads,
        }))
    }

    /// Where it listens, in the order of the configuration, with ports resolved.
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// The driver that the workers run on.
    #[must_use]
    pub fn driver(&self) -> &'static str {
        self.driver.as_str()
    }

    /// The live plan.
    #[must_use]
    pub fn plan(&self) -> Arc<Plan> {
        Arc::clone(&self.shared.live.load().plan)
    }

    /// Makes `plan` live: the next exchange of every worker begins on it. Stored responses stay.
    /// `resolved` are the addresses of its upstreams by name, as far as they are known: none of its
    /// requests finds an upstream without the addresses given here.
    pub fn reload(&self, plan: Plan, resolved: &ResolvedUpstreams) -> ReloadReport {
        let _one_at_a_time = self
            .reloading
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let before = self.shared.live.load_full();
        let needs_restart = needs_restart(&self.started_with, &plan);
        let generation = before.generation + 1;
        let workers = self.shared.metrics.len();
        let live = LivePlan::new(Arc::new(plan), generation, workers, Some(&before));
        place_upstreams(&live, resolved);
        self.shared.live.store(Arc::new(live));
        self.shared.generation.store(generation, Ordering::Release);
        ReloadReport {
            generation,
            needs_restart,
        }
    }

    /// Says where notices go from now on; only the first call counts.
    pub fn on_notice(&self, sink: NoticeSink) {
        // A second listener would be told half of it.
        let _first_stays = self.shared.notices.set(sink);
    }

    /// Tells where an upstream of the live plan is reached.
    pub fn set_upstream_addresses(&self, upstream: &str, addresses: Vec<SocketAddr>) {
        let live = self.shared.live.load();
        let named = live
            .plan
            .upstreams
            .iter()
            .position(|known| known.name == upstream);
        if let Some(index) = named {
            live.addresses[index].set(addresses);
        }
    }

    /// Stops accepting, ends idle connections, lets exchanges finish.
    pub fn begin_drain(&self) {
        self.shared.draining.store(true, Ordering::Release);
        self.ring();
    }

    /// Whether [`Node::begin_drain`] was called.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.shared.draining.load(Ordering::Acquire)
    }

    /// Waits until every connection has ended, at most `limit`; then cuts the rest.
    pub fn wait_drained(&self, limit: Duration) -> DrainReport {
        let until = Instant::now() + limit;
        loop {
            let open = self.shared.connections_open.load(Ordering::Acquire);
            if open == 0 {
                return DrainReport { connections_cut: 0 };
            }
            if Instant::now() >= until {
                self.shared.cutting.store(true, Ordering::Release);
                self.ring();
                return DrainReport {
                    connections_cut: open as u64,
                };
            }
            // Not on a worker: the thread that waits for the drain has nothing else to do. A connection
            // that fell idle after the first ring is ended by the next one.
            self.ring();
            std::thread::park_timeout(Duration::from_millis(20));
        }
    }

    /// What was counted up to now.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let live = self.shared.live.load();
        let mut latency: Vec<Histogram<u64>> = live
            .plan
            .upstreams
            .iter()
            .map(|_| empty_histogram())
            .collect();
        for metrics in &self.shared.metrics {
            metrics.add_latency(&mut latency);
        }
        let upstreams = live
            .plan
            .upstreams
            .iter()
            .zip(&live.addresses)
            .zip(&latency)
            .map(|((upstream, addresses), latency)| UpstreamSnapshot {
                name: upstream.name.clone(),
                addresses: addresses.count(),
                responses: latency.len(),
                head_latency_us: [0.5, 0.9, 0.99]
                    .map(|quantile| latency.value_at_quantile(quantile)),
            })
            .collect();
        Snapshot {
            driver: self.driver(),
            generation: live.generation,
            uptime: self.started.elapsed(),
            workers: self
                .shared
                .metrics
                .iter()
                .map(|metrics| metrics.snapshot())
                .collect(),
            store: StoreSnapshot {
                bytes: self.shared.store.weight() + self.shared.store.reserved(),
                budget: self.shared.store.capacity(),
                objects: self.shared.store.len() as u64,
            },
            upstreams,
            reflections: live.cors_watch.reflections(&live.plan),
            shadows: live.cors_watch.shadows(&live.plan),
        }
    }

    fn ring(&self) {
        for mailbox in self.shared.mailboxes.iter() {
            mailbox.ring();
        }
    }
}

type Listeners = Vec<Vec<TcpListener>>;

/// One socket per worker and listener, all bound before anything runs.
fn bind_all(plan: &Plan, workers: usize) -> Result<(Listeners, Vec<SocketAddr>), StartError> {
    let mut by_worker: Listeners = (0..workers).map(|_| Vec::new()).collect();
    let mut addresses = Vec::new();
    for listener in &plan.listeners {
        let mut address = listener.address;
        refuse_taken(address).map_err(|source| StartError::Listen { address, source })?;
        for sockets in &mut by_worker {
            let wrap = |source| StartError::Listen { address, source };
            let socket = bind(address).map_err(wrap)?;
            // Port 0: the other workers share the port that the first was given.
            address = socket.local_addr().map_err(wrap)?;
            sockets.push(socket);
        }
        addresses.push(address);
    }
    Ok((by_worker, addresses))
}

/// With `SO_REUSEPORT` alone a second node of the same user would quietly share the port of the first.
fn refuse_taken(address: SocketAddr) -> std::io::Result<()> {
    if address.port() == 0 {
        return Ok(());
    }
    let socket = socket2::Socket::new(
        socket2::Domain::for_address(address),
        socket2::Type::STREAM,
        Some(socket2::Protocol::TCP),
    )?;
    socket.set_reuse_address(true)?;
    // The ring of a node that was killed holds its listener for a moment longer than the process lives.
    for _ in 0..TAKEN_RETRIES {
        match socket.bind(&address.into()) {
            Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {
                std::thread::park_timeout(TAKEN_RETRY_PAUSE);
            }
            result => return result,
        }
    }
    socket.bind(&address.into())
}

fn bind(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = socket2::Socket::new(
        socket2::Domain::for_address(address),
        socket2::Type::STREAM,
        Some(socket2::Protocol::TCP),
    )?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    // Accepted sockets inherit both.
    socket.set_tcp_nodelay(true)?;
    socket.set_keepalive(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Tells a plan that nobody uses yet where its upstreams are.
fn place_upstreams(live: &LivePlan, resolved: &ResolvedUpstreams) {
    for (upstream, addresses) in live.plan.upstreams.iter().zip(&live.addresses) {
        if let Some(resolved) = resolved.get(&upstream.name) {
            addresses.set(resolved.clone());
        }
    }
}

fn share(plan: Plan, resolved: &ResolvedUpstreams, mailboxes: Vec<Mailbox>) -> Arc<Shared> {
    let secret = random_secret();
    let metrics = mailboxes
        .iter()
        .map(|_| Arc::new(WorkerMetrics::new()))
        .collect();
    let mailboxes = Arc::new(mailboxes);
    let waker = MailboxWaker {
        mailboxes: Arc::clone(&mailboxes),
    };
    let memory = plan.cache.memory;
    let live = LivePlan::new(Arc::new(plan), 1, mailboxes.len(), None);
    place_upstreams(&live, resolved);
    Arc::new(Shared {
        live: ArcSwap::from_pointee(live),
        generation: AtomicU64::new(1),
        store: Store::new(memory, secret),
        fills: FillTable::new(Arc::new(waker)),
        secret,
        mailboxes,
        draining: AtomicBool::new(false),
        cutting: AtomicBool::new(false),
        connections_open: AtomicUsize::new(0),
        connections_room: room_for_connections(),
        notices: OnceLock::new(),
        metrics,
    })
}

fn random_secret() -> KeySecret {
    let mut secret = [0_u8; 16];
    // SAFETY: the kernel writes at most the sixteen bytes of our own array; requests of up to 256 bytes
    // are served whole once the pool is initialised.
    let count = unsafe { libc::getrandom(secret.as_mut_ptr().cast(), secret.len(), 0) };
    assert_eq!(count, 16, "getrandom(2) serves sixteen bytes whole");
    KeySecret(secret)
}

type Ears = Vec<std::os::unix::net::UnixStream>;

fn start_workers(
    shared: &Arc<Shared>,
    driver: DriverChoice,
    cpus: &[usize],
    listeners: Listeners,
    ears: Ears,
) -> Result<(Vec<JoinHandle<()>>, LiveDriver), StartError> {
    let (report, reports) = mpsc::channel();
    let mut threads = Vec::new();
    for (number, (listeners, ear)) in listeners.into_iter().zip(ears).enumerate() {
        let start = WorkerStart {
            number,
            cpu: cpus.get(number % cpus.len().max(1)).copied(),
            driver,
            shared: Arc::clone(shared),
            listeners,
            ear,
        };
        let report = report.clone();
        let thread = std::thread::Builder::new()
            .name(format!("worker-{number}"))
            .spawn(move || {
                let _no_worker_ends_unseen = EndsTheProcess;
                worker::run(start, |result| {
                    // The starter waits for every report; when it has given up there is no one to tell.
                    let _starter_gone = report.send((number, result));
                });
            })
            .map_err(|source| StartError::Worker {
                worker: number,
                source,
            })?;
        threads.push(thread);
    }
    drop(report);
    let mut live = None;
    for (worker, result) in reports.iter().take(threads.len()) {
        live = Some(result.map_err(|source| StartError::Worker { worker, source })?);
    }
    live.map(|driver| (threads, driver))
        .ok_or_else(|| StartError::Worker {
            worker: 0,
            source: std::io::Error::other("no worker reported"),
        })
}

fn needs_restart(running: &Plan, wanted: &Plan) -> Vec<&'static str> {
    let addresses = |plan: &Plan| -> Vec<SocketAddr> {
        plan.listeners
            .iter()
            .map(|listener| listener.address)
            .collect()
    };
    [
        ("listener.address", addresses(running) != addresses(wanted)),
        ("node.workers", running.node.workers != wanted.node.workers),
        ("node.driver", running.node.driver != wanted.node.driver),
        ("cache.memory", running.cache.memory != wanted.cache.memory),
        ("admin.listen", running.admin.listen != wanted.admin.listen),
    ]
    .into_iter()
    .filter_map(|(key, changed)| changed.then_some(key))
    .collect()
}
