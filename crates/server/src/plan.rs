//! The plan that is live: the immutable plan of the configuration, its generation, and the addresses
//! that the control thread resolved for its upstreams. Swapped whole by one pointer; an exchange ends on
//! the plan it began with.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use corsair_config::{Plan, via_pseudonym};

use crate::cors_watch::CorsWatch;
use crate::failure_watch::FailureWatch;

/// A plan with everything that workers derive from it once.
pub(crate) struct LivePlan {
    /// The plan.
    pub(crate) plan: Arc<Plan>,
    /// Counts plans; 1 is the one that the node started with.
    pub(crate) generation: u64,
    /// Addresses by upstream, in the plan's order.
    pub(crate) addresses: Vec<Arc<UpstreamAddresses>>,
    /// The `Vary` line of a refusal whose route is not known, because its head cannot be read: that of
    /// whatever resource was meant. Empty when no policy of the plan depends on `Origin`.
    pub(crate) vary_of_refusals: &'static str,
    /// What is seen of its sites beside deciding CORS.
    pub(crate) cors_watch: CorsWatch,
    /// What is told of upstreams that fail, in the plan's order.
    pub(crate) failures: Vec<FailureWatch>,
    /// The node's name as `Via` has it: a token (RFC 9110 §7.6.3).
    pub(crate) pseudonym: String,
}

impl LivePlan {
    /// Makes a plan live. Addresses of upstreams that the plan before had under the same name, host and
    /// port stay; literal addresses need no resolving.
    pub(crate) fn new(
        plan: Arc<Plan>,
        generation: u64,
        workers: usize,
        before: Option<&Self>,
    ) -> Self {
        let addresses = plan
            .upstreams
            .iter()
            .map(|upstream| {
                let kept = before.and_then(|before| {
                    let same = |other: &corsair_config::UpstreamPlan| {
                        other.name == upstream.name
                            && other.host == upstream.host
                            && other.port == upstream.port
                    };
                    let index = before.plan.upstreams.iter().position(same)?;
                    Some(Arc::clone(&before.addresses[index]))
                });
                kept.unwrap_or_else(|| {
                    Arc::new(UpstreamAddresses::of_host(&upstream.host, upstream.port))
                })
            })
            .collect();
        let pseudonym = via_pseudonym(&plan.node.name);
        let watched_before = before.map(|before| (&*before.plan, &before.cors_watch));
        let cors_watch = CorsWatch::new(&plan, workers, watched_before);
        let failures = plan.upstreams.iter().map(|_| FailureWatch::default());
        let failures = failures.collect();
        let vary_of_refusals = plan.vary_of_refusals();
        Self {
            plan,
            generation,
            addresses,
            vary_of_refusals,
            cors_watch,
            failures,
            pseudonym,
        }
    }
}

/// The limits that a connection asks for with every receive and every send, in the units it uses.
#[derive(Clone, Copy)]
pub(crate) struct TurnLimits {
    /// Bytes.
    pub(crate) head_bytes: usize,
    pub(crate) head_ms: u64,
    pub(crate) idle_ms: u64,
    /// Bytes a second.
    pub(crate) body_min_rate: u64,
}

impl TurnLimits {
    /// Those of a plan.
    pub(crate) fn of(plan: &Plan) -> Self {
        Self {
            head_bytes: plan.limits.head_bytes,
            head_ms: millis(plan.limits.head_timeout),
            idle_ms: millis(plan.limits.idle_timeout),
            body_min_rate: plan.limits.body_min_rate,
        }
    }
}

/// Whole milliseconds of a configured duration.
pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// The live plan as one worker holds it: counted by the worker's own `Rc`, so that taking it for an
/// exchange writes no cache line that another worker writes.
pub(crate) struct PinnedPlan(Arc<LivePlan>);

impl PinnedPlan {
    /// Pins a plan.
    pub(crate) fn new(live: Arc<LivePlan>) -> Self {
        Self(live)
    }
}

impl std::ops::Deref for PinnedPlan {
    type Target = LivePlan;

    fn deref(&self) -> &LivePlan {
        &self.0
    }
}

/// Where an upstream is reached; replaced by the control thread, read by workers without a lock.
pub(crate) struct UpstreamAddresses {
    addresses: ArcSwap<Vec<SocketAddr>>,
    next: AtomicUsize,
}

impl UpstreamAddresses {
    fn of_host(host: &str, port: u16) -> Self {
        let literal = host
            .trim_start_matches('[')
            .trim_end_matches(']')
            .parse::<IpAddr>();
        let addresses = literal
            .map(|ip| SocketAddr::new(ip, port))
            .into_iter()
            .collect();
        Self {
            addresses: ArcSwap::from_pointee(addresses),
            next: AtomicUsize::new(0),
        }
    }

    /// Replaces the addresses.
    pub(crate) fn set(&self, addresses: Vec<SocketAddr>) {
        self.addresses.store(Arc::new(addresses));
    }

    /// The number of a request, for [`Self::at`]: requests begin with one address after the other.
    pub(crate) fn turn(&self) -> usize {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    /// The address whose turn it is, if any is known.
    pub(crate) fn at(&self, turn: usize) -> Option<SocketAddr> {
        let addresses = self.addresses.load();
        addresses.get(turn.checked_rem(addresses.len())?).copied()
    }

    /// How many addresses are known.
    pub(crate) fn count(&self) -> usize {
        self.addresses.load().len()
    }
}
