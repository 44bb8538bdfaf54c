//! The control thread: its runtime, its signals, its start and its end.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;

use crate::admin::{self, AdminState};
use crate::connections::{AdminListener, ConnectionLimits};
use crate::reload::{Loads, Reloader, Trigger};
use crate::resolve::{self, Resolver, Timings};
use crate::{Changed, EdgeNode, Load, Talk};

/// Threads for blocking work at most: name look-ups and reloads.
const BLOCKING_THREADS_MAX: usize = 16;

/// A signal that ends the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopSignal {
    /// SIGINT: somebody at a terminal.
    Interrupt,
    /// SIGTERM: a supervisor.
    Terminate,
}

impl StopSignal {
    /// `SIGINT` or `SIGTERM`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Interrupt => "SIGINT",
            Self::Terminate => "SIGTERM",
        }
    }
}

/// Time between two looks at the files that a configuration names.
const WATCH_EVERY: Duration = Duration::from_secs(1);

/// The files that a configuration names beside itself, such as lists of origins.
pub struct Watch {
    /// Whether one of them is not what it was when it was read.
    pub changed: Changed,
    /// Reads them again, for the configuration as it was read last.
    pub load: Load,
}

/// What the binary supplies.
pub struct ControlOptions {
    /// Version and build, for `/metrics` and `/v1/status`.
    pub build: &'static str,
    /// Reads the configuration again.
    pub load: Load,
    /// What else is read, and again when it changes.
    pub watch: Watch,
    /// Says something on standard error.
    pub talk: Talk,
    /// Called on the control thread for every SIGINT and SIGTERM; must not block.
    pub on_stop: Box<dyn Fn(StopSignal) + Send>,
    /// Internal errors counted by the process's panic hook.
    pub panics: fn() -> u64,
}

/// The control thread cannot run.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// The thread, its runtime or its signal handlers cannot be set up.
    #[error("cannot start the control thread: {0}")]
    Setup(#[from] io::Error),
    /// The thread ended before it was ready.
    #[error("the control thread ended while it started")]
    Ended,
}

/// A running control thread. Dropping it ends the thread; the node is not touched.
#[derive(Debug)]
pub struct Control {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Control {
    /// Starts the thread on a listener and a running node. Returns when the addresses of the
    /// upstreams are known or were waited for long enough (3 s), and readiness is announced.
    ///
    /// # Errors
    /// See [`ControlError`].
    pub fn start(
        listener: AdminListener,
        node: Arc<dyn EdgeNode>,
        options: ControlOptions,
    ) -> Result<Self, ControlError> {
        let address = listener.address();
        let (stop, stopped) = oneshot::channel();
        let (announce, announced) = mpsc::channel();
        let thread = std::thread::Builder::new()
            .name("control".into())
            .spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .max_blocking_threads(BLOCKING_THREADS_MAX)
                    .thread_name("control-blocking")
                    .build();
                let runtime = match runtime {
                    Ok(runtime) => runtime,
                    Err(error) => {
                        let _gone = announce.send(Err(error));
                        return;
                    }
                };
                runtime.block_on(run(listener, node, options, announce, stopped));
                // A hung look-up must not hold up the end.
                runtime.shutdown_background();
            })?;
        announced.recv().map_err(|_| ControlError::Ended)??;
        Ok(Self {
            address,
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    /// The address of the admin API.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _gone = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            let _panicked = thread.join();
        }
    }
}

struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hang_up: Signal,
}

impl Signals {
    fn install() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }
}

/// The whole life of the thread.
async fn run(
    listener: AdminListener,
    node: Arc<dyn EdgeNode>,
    options: ControlOptions,
    announce: mpsc::Sender<io::Result<()>>,
    mut stopped: oneshot::Receiver<()>,
) {
    let signals = match Signals::install() {
        Ok(signals) => signals,
        Err(error) => {
            let _gone = announce.send(Err(error));
            return;
        }
    };
    let ControlOptions {
        build,
        load,
        watch,
        talk,
        on_stop,
        panics,
    } = options;
    pass_notices_on(node.as_ref(), Arc::clone(&talk));
    let lookup = resolve::system_lookup();
    let resolver = Resolver::new(
        Arc::clone(&node),
        lookup,
        Arc::clone(&talk),
        Timings::default(),
    );
    let resolver = Arc::new(resolver);
    let Watch {
        changed,
        load: load_lists,
    } = watch;
    let loads = Loads {
        whole: Arc::new(load),
        lists: Arc::new(load_lists),
    };
    let reloader = Reloader::new(Arc::clone(&node), loads, Arc::clone(&resolver), talk);
    let reloader = Arc::new(reloader);
    let state = Arc::new(AdminState {
        node: Arc::clone(&node),
        reloader: Arc::clone(&reloader),
        build,
        panics,
        listen: listener.address().ip(),
        started: AtomicBool::new(false),
    });
    tokio::spawn(listener.serve(admin::router(&state), ConnectionLimits::default()));
    let Signals {
        interrupt,
        terminate,
        hang_up,
    } = signals;
    tokio::spawn(follow_stops(interrupt, terminate, on_stop));
    tokio::spawn(follow_hang_ups(hang_up, Arc::clone(&reloader)));
    tokio::spawn(follow_lists(Arc::new(changed), Arc::clone(&node), reloader));
    let plan = node.plan();
    resolver.adopt(resolver.prepare(&plan.upstreams).await);
    drop(plan);
    state.started.store(true, Ordering::Release);
    let _gone = announce.send(Ok(()));
    let _dropped = (&mut stopped).await;
}

/// Tells what the workers notice. One notice a site at most, so that nothing piles up.
fn pass_notices_on(node: &dyn EdgeNode, talk: Talk) {
    let (notify, mut notices) = tokio::sync::mpsc::unbounded_channel();
    node.on_notice(Box::new(move |notice| {
        // Without a listener the thread is ending.
        let _ending = notify.send(notice);
    }));
    tokio::spawn(async move {
        while let Some(notice) = notices.recv().await {
            talk(&notice.to_string());
        }
    });
}

async fn follow_stops(
    mut interrupt: Signal,
    mut terminate: Signal,
    on_stop: Box<dyn Fn(StopSignal) + Send>,
) {
    loop {
        // Waiting for a signal loses nothing when its branch is dropped.
        tokio::select! {
            _ = interrupt.recv() => on_stop(StopSignal::Interrupt),
            _ = terminate.recv() => on_stop(StopSignal::Terminate),
        }
    }
}

/// Signals that arrive during a reload are one signal afterwards: a storm of them queues nothing.
async fn follow_hang_ups(mut hang_up: Signal, reloader: Arc<Reloader>) {
    while hang_up.recv().await.is_some() {
        Arc::clone(&reloader).reload(Trigger::Signal).await;
    }
}

/// Reloads when a file that the configuration names has changed. Looking may block (a network file
/// system), so it has a thread of its own; the next look waits for the last one.
async fn follow_lists(changed: Arc<Changed>, node: Arc<dyn EdgeNode>, reloader: Arc<Reloader>) {
    loop {
        tokio::time::sleep(WATCH_EVERY).await;
        if node.is_draining() {
            return;
        }
        let looking = Arc::clone(&changed);
        let has_changed = tokio::task::spawn_blocking(move || looking());
        if has_changed.await.unwrap_or(false) {
            Arc::clone(&reloader).reload(Trigger::Lists).await;
        }
    }
}
