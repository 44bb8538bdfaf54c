//! Counters of a worker. One thread writes, any thread reads: an increment is a plain load and store of
//! a line that no other worker writes, never a locked operation.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use corsair_cache::Outcome;
use corsair_rules::CorsOutcome;
use hdrhistogram::Histogram;

/// A counter with one writer.
#[derive(Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    /// Adds one.
    pub(crate) fn increment(&self) {
        self.add(1);
    }

    /// Adds `count`.
    pub(crate) fn add(&self, count: u64) {
        self.0.store(
            self.0.load(Ordering::Relaxed).wrapping_add(count),
            Ordering::Relaxed,
        );
    }

    /// Takes one away.
    pub(crate) fn decrement(&self) {
        self.0.store(
            self.0.load(Ordering::Relaxed).wrapping_sub(1),
            Ordering::Relaxed,
        );
    }

    /// What it shows.
    pub(crate) fn read(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

macro_rules! worker_counters {
    ($($(#[$doc:meta])* $name:ident,)+) => {
        /// The plain counters of a worker.
        #[derive(Default)]
        pub(crate) struct WorkerCounters { $($(#[$doc])* pub(crate) $name: Counter,)+ }

        /// What a worker has counted up to a moment.
        #[derive(Clone, Debug, Default)]
        pub struct WorkerSnapshot {
            $($(#[$doc])* pub $name: u64,)+
            /// Responses by cache outcome: label and count.
            pub outcomes: Vec<(&'static str, u64)>,
            /// Responses by status class, 1xx first.
            pub responses_by_class: [u64; 5],
            /// CORS decisions: label and count.
            pub cors: Vec<(&'static str, u64)>,
        }

        impl WorkerCounters {
            fn snapshot(&self) -> WorkerSnapshot {
                WorkerSnapshot { $($name: self.$name.read(),)+ ..WorkerSnapshot::default() }
            }
        }
    };
}

worker_counters! {
    /// Client connections open now.
    connections_open,
    /// Client connections accepted.
    connections_accepted,
    /// Client connections refused at the limit.
    connections_refused,
    /// Accepts that failed for want of descriptors or memory.
    accept_failures,
    /// Requests answered.
    requests,
    /// Bytes received from clients.
    bytes_in,
    /// Bytes sent to clients.
    bytes_out,
    /// Requests refused as malformed.
    bad_requests,
    /// Client connections ended by a deadline.
    timeouts,
    /// Panics that were contained.
    panics,
    /// Connections made to upstreams.
    upstream_connects,
    /// Requests sent on a pooled upstream connection.
    upstream_reuses,
    /// Requests sent to upstreams.
    upstream_requests,
    /// Upstream exchanges that failed.
    upstream_failures,
    /// Requests sent again after a stale pooled connection.
    upstream_retries,
    /// Bytes received from upstreams.
    upstream_bytes_in,
}

/// Everything that one worker counts. Aligned so that workers share no cache line.
#[repr(align(128))]
pub(crate) struct WorkerMetrics {
    pub(crate) counters: WorkerCounters,
    outcomes: [Counter; Outcome::ALL.len()],
    classes: [Counter; 5],
    cors: [Counter; CorsOutcome::ALL.len()],
    /// Microseconds to the upstream's response head, by upstream of the plan; written once per fetch.
    latency: Mutex<Vec<Histogram<u64>>>,
}

impl WorkerMetrics {
    /// All zero.
    pub(crate) fn new() -> Self {
        Self {
            counters: WorkerCounters::default(),
            outcomes: std::array::from_fn(|_| Counter::default()),
            classes: std::array::from_fn(|_| Counter::default()),
            cors: std::array::from_fn(|_| Counter::default()),
            latency: Mutex::new(Vec::new()),
        }
    }

    /// Counts one response.
    pub(crate) fn count_response(&self, outcome: Outcome, status: u16) {
        self.counters.requests.increment();
        self.outcomes[outcome as usize].increment();
        if let Some(class) = self.classes.get(usize::from(status / 100).wrapping_sub(1)) {
            class.increment();
        }
    }

    /// Counts one CORS decision.
    pub(crate) fn count_cors(&self, outcome: CorsOutcome) {
        self.cors[outcome as usize].increment();
    }

    /// Records the time to an upstream's response head.
    pub(crate) fn record_latency(&self, upstream: usize, elapsed: Duration) {
        let microseconds = u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX);
        let mut latency = self
            .latency
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        while latency.len() <= upstream {
            latency.push(empty_histogram());
        }
        latency[upstream].saturating_record(microseconds);
    }

    /// Adds this worker's latencies to `sums`, by upstream.
    pub(crate) fn add_latency(&self, sums: &mut [Histogram<u64>]) {
        let latency = self
            .latency
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        for (sum, own) in sums.iter_mut().zip(latency.iter()) {
            sum.add(own).expect("both histograms have the same bounds");
        }
    }

    /// What was counted up to now.
    pub(crate) fn snapshot(&self) -> WorkerSnapshot {
        let mut snapshot = self.counters.snapshot();
        snapshot.outcomes = Outcome::ALL
            .iter()
            .map(|outcome| (outcome.as_str(), self.outcomes[*outcome as usize].read()))
            .collect();
        snapshot.cors = CorsOutcome::ALL
            .iter()
            .map(|outcome| (outcome.as_str(), self.cors[*outcome as usize].read()))
            .collect();
        snapshot.responses_by_class = std::array::from_fn(|class| self.classes[class].read());
        snapshot
    }
}

/// One microsecond to one hour, two significant digits: 20 KiB.
pub(crate) fn empty_histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 3_600_000_000, 2).expect("the bounds are constant and valid")
}
