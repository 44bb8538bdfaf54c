//! One run of the generator against one peer, with what happens to the peer meanwhile.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context as _;

use crate::engine::{self, Observer, Progress, Second};
use crate::learned::VolatileFields;
use crate::plan::{DriverChoice, Length, Load, Plan};
use crate::report::{RunFacts, Summary};
use crate::schedule::{Rate, Schedule};
use crate::traffic::{Connection, Destination, Kind, Traffic};
use crate::validity::Gates;

/// A request without an answer for so long is given up.
const TIMEOUT: Duration = Duration::from_secs(5);

/// A connection that is not made in this time is given up.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// How often a disturbance looks whether the run is over.
const DISTURBANCE_POLL: Duration = Duration::from_millis(5);

/// What one run does.
#[derive(Debug, Clone)]
pub struct Run {
    /// Where.
    pub address: SocketAddr,
    /// Connections.
    pub connections: usize,
    /// A connection is closed after so many requests.
    pub requests_per_connection: Option<u64>,
    /// How requests are paced.
    pub pace: Pace,
    /// How long.
    pub length: Length,
    /// CPU of the generator.
    pub cpu: usize,
    /// Seed of the draws.
    pub seed: u64,
    /// Stolen share from which on the summary calls the run invalid.
    pub stolen_share_max: f64,
}

/// How requests are paced.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Pace {
    /// Each connection keeps so many unanswered.
    Closed {
        /// At least 1.
        depth: usize,
    },
    /// So many a second, whatever becomes of them.
    Open {
        /// Above 0.
        rate: f64,
    },
}

struct Silent;

impl Observer for Silent {
    fn tick(&mut self, _: &Progress) {}

    fn second(&mut self, _: &Second<'_>) {}
}

/// Sends `kinds` as `run` says and judges the answers.
///
/// # Errors
/// When the run cannot be made at all. Wrong answers are results.
pub fn run(run: &Run, kinds: &[Kind], interrupt: &AtomicBool) -> anyhow::Result<Summary> {
    let destination = Destination {
        authority: run.address.to_string(),
        connection: Connection::Keep,
    };
    let load = match run.pace {
        Pace::Closed { depth } => Load::Closed { depth },
        Pace::Open { rate } => {
            let Length::Duration(length) = run.length else {
                anyhow::bail!("an open loop runs for a time");
            };
            let rate = Rate::Constant(rate);
            Load::Open {
                schedule: Schedule::new(&rate, Some(length))?,
                warmup: Schedule::new(&rate, Some(Duration::ZERO))?,
            }
        }
    };
    let plan = Plan {
        address: run.address,
        traffic: Traffic::compile(kinds, &destination)?,
        listed: None,
        load,
        connections: run.connections,
        requests_per_connection: run.requests_per_connection,
        warmup: Duration::ZERO,
        length: run.length,
        timeout: TIMEOUT,
        connect_timeout: CONNECT_TIMEOUT,
        seed: run.seed,
        // The paths of a scenario say themselves which run they belong to.
        fresh_base: 0,
        cpus: vec![Some(run.cpu)],
        // Fields by which proxies number their requests or say how long they took.
        volatile: VolatileFields {
            names: [
                "X-Varnish",
                "x-envoy-upstream-service-time",
                "X-Cache-Lookup",
            ]
            .map(str::to_owned)
            .to_vec(),
        },
        driver: DriverChoice::Auto,
        slow: None,
    };
    let plan = Arc::new(plan);
    let outcome =
        engine::run(Arc::clone(&plan), interrupt, &mut Silent).context("the generator")?;
    let gates = Gates {
        stolen_share_max: run.stolen_share_max,
        ..Gates::default()
    };
    Ok(Summary::new(
        &RunFacts::default(),
        &plan,
        &outcome,
        &gates,
        &[],
    ))
}

/// Runs `work` while `disturb` goes on beside it. `disturb` gets a function that waits for a time
/// and says whether the work still goes on.
#[expect(
    clippy::disallowed_methods,
    reason = "no worker waits here, but a thread beside the run"
)]
pub fn disturbed<T>(
    disturb: impl FnOnce(&dyn Fn(Duration) -> bool) + Send,
    work: impl FnOnce() -> T,
) -> T {
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let goes_on = |time: Duration| {
            let end = Instant::now() + time;
            while Instant::now() < end && !over.load(Ordering::Relaxed) {
                std::thread::sleep(DISTURBANCE_POLL);
            }
            !over.load(Ordering::Relaxed)
        };
        scope.spawn(move || disturb(&goes_on));
        let result = work();
        over.store(true, Ordering::Relaxed);
        result
    })
}
