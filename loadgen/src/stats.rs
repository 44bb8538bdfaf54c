//! What happened: counts and latency histograms, for one interval of one worker or for a whole run.
//!
//! Latencies are nanoseconds in HdrHistograms of three significant digits. Pure.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;

use crate::expect::Mismatch;
use crate::learned::CacheOutcome;

/// A latency histogram: nanoseconds, three significant digits, growing as needed.
pub type Latencies = Histogram<u64>;

/// An empty histogram.
///
/// # Panics
/// Never: three digits are allowed by the crate.
#[must_use]
pub fn new_latencies() -> Latencies {
    Histogram::new(3).expect("three significant digits are within HdrHistogram's bounds")
}

/// Why a request got no proper answer: a closed set, for counting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ErrorKind {
    /// No connection could be made.
    Connect,
    /// The connection broke while sending.
    Send,
    /// The connection was reset while receiving.
    Receive,
    /// The server closed the connection instead of answering.
    Closed,
    /// The answer broke the rules of HTTP.
    Protocol,
    /// No answer in time.
    Timeout,
    /// No answer when the run was over.
    Unfinished,
}

impl ErrorKind {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Connect,
        Self::Send,
        Self::Receive,
        Self::Closed,
        Self::Protocol,
        Self::Timeout,
        Self::Unfinished,
    ];

    /// The name in every output.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Send => "send",
            Self::Receive => "receive",
            Self::Closed => "closed",
            Self::Protocol => "protocol",
            Self::Timeout => "timeout",
            Self::Unfinished => "unfinished",
        }
    }

    const fn index(self) -> usize {
        self as usize
    }
}

/// One kind of request.
#[derive(Debug, Clone)]
pub struct KindStats {
    /// Answers.
    pub answers: u64,
    /// Answers by status.
    pub statuses: BTreeMap<u16, u64>,
    /// Wrong answers by shape and broken rule; the shape says which expectation explains the rule.
    pub mismatches: BTreeMap<(usize, Mismatch), u64>,
    /// Body bytes received in answers.
    pub body_bytes: u64,
    /// Latencies by [`CacheOutcome`]; made when first needed.
    latencies: [Option<Latencies>; CacheOutcome::ALL.len()],
}

impl Default for KindStats {
    fn default() -> Self {
        Self {
            answers: 0,
            statuses: BTreeMap::new(),
            mismatches: BTreeMap::new(),
            body_bytes: 0,
            latencies: [const { None }; CacheOutcome::ALL.len()],
        }
    }
}

impl KindStats {
    /// Counts an answer.
    pub fn record(&mut self, status: u16, cache: CacheOutcome, body_bytes: u64, latency_ns: u64) {
        self.answers += 1;
        self.body_bytes += body_bytes;
        *self.statuses.entry(status).or_default() += 1;
        self.record_latency(cache, latency_ns);
    }

    /// Counts a wrong answer, besides having recorded it.
    pub fn record_mismatch(&mut self, shape: usize, mismatch: Mismatch) {
        *self.mismatches.entry((shape, mismatch)).or_default() += 1;
    }

    fn record_latency(&mut self, cache: CacheOutcome, latency_ns: u64) {
        record(
            self.latencies[cache.index()].get_or_insert_with(new_latencies),
            latency_ns,
        );
    }

    /// Wrong answers.
    #[must_use]
    pub fn mismatch_count(&self) -> u64 {
        self.mismatches.values().sum()
    }

    /// The latencies of answers with this outcome, if there were any.
    #[must_use]
    pub fn latencies(&self, cache: CacheOutcome) -> Option<&Latencies> {
        self.latencies[cache.index()]
            .as_ref()
            .filter(|latencies| !latencies.is_empty())
    }

    /// The latencies of all answers.
    #[must_use]
    pub fn all_latencies(&self) -> Latencies {
        let mut sum = new_latencies();
        self.latencies
            .iter()
            .flatten()
            .for_each(|latencies| add(&mut sum, latencies));
        sum
    }

    /// Answers with this outcome.
    #[must_use]
    pub fn count_of(&self, cache: CacheOutcome) -> u64 {
        self.latencies[cache.index()]
            .as_ref()
            .map_or(0, Histogram::len)
    }

    fn merge(&mut self, other: &Self) {
        self.answers += other.answers;
        self.body_bytes += other.body_bytes;
        for (status, count) in &other.statuses {
            *self.statuses.entry(*status).or_default() += count;
        }
        for (mismatch, count) in &other.mismatches {
            *self.mismatches.entry(*mismatch).or_default() += count;
        }
        for (ours, theirs) in self.latencies.iter_mut().zip(&other.latencies) {
            if let Some(theirs) = theirs {
                add(ours.get_or_insert_with(new_latencies), theirs);
            }
        }
    }

    fn clear(&mut self) {
        self.answers = 0;
        self.body_bytes = 0;
        self.statuses.clear();
        self.mismatches.clear();
        self.latencies
            .iter_mut()
            .flatten()
            .for_each(Histogram::reset);
    }
}

/// Longer times than this are recorded as this.
const LATENCY_NS_MAX: u64 = 24 * 3600 * 1_000_000_000;

/// Records one time in nanoseconds.
///
/// # Panics
/// Never: the histogram grows up to a day, and no time is recorded as more.
pub fn record(latencies: &mut Latencies, latency_ns: u64) {
    latencies
        .record(latency_ns.min(LATENCY_NS_MAX))
        .expect("a histogram that grows takes every time up to a day");
}

/// Adds all values of `other` to `sum`.
///
/// # Panics
/// Never: the sum grows.
pub fn add(sum: &mut Latencies, other: &Latencies) {
    sum.add(other)
        .expect("histograms that grow take every value");
}

/// What happened in some time.
#[derive(Debug, Clone)]
pub struct Stats {
    /// By kind of request, in the order of the traffic's kinds.
    pub kinds: Vec<KindStats>,
    /// Requests sent.
    pub sent: u64,
    /// Latencies of requests that were given up, up to the giving up: leaving them out would make
    /// a server look better the more it fails.
    pub given_up: Latencies,
    errors: [u64; ErrorKind::ALL.len()],
    /// Bytes received, heads and framing included.
    pub received_bytes: u64,
    /// Times it took to connect.
    pub connects: Latencies,
    /// How much later than intended requests were sent through no fault of the server.
    pub lag: Latencies,
    /// CPU time of the worker threads.
    pub worker_cpu_ns: u64,
    /// The part of it that was burnt waiting for a request to fall due.
    pub waited_awake_ns: u64,
    /// Time the workers were ready to run while their CPUs were others'.
    pub kept_waiting_ns: u64,
    /// What the slow clients did.
    pub slow: SlowStats,
}

/// What slow clients did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SlowStats {
    /// Answers read to the end, or connections that the server ended.
    pub rounds: u64,
    /// Bytes moved.
    pub bytes: u64,
    /// Connections that could not be made.
    pub refused: u64,
}

impl Stats {
    /// Nothing has happened.
    #[must_use]
    pub fn new(kinds: usize) -> Self {
        Self {
            kinds: vec![KindStats::default(); kinds],
            sent: 0,
            given_up: new_latencies(),
            errors: [0; ErrorKind::ALL.len()],
            received_bytes: 0,
            connects: new_latencies(),
            lag: new_latencies(),
            worker_cpu_ns: 0,
            waited_awake_ns: 0,
            kept_waiting_ns: 0,
            slow: SlowStats::default(),
        }
    }

    /// Counts a request that got no proper answer after `latency_ns`.
    pub fn record_error(&mut self, kind: ErrorKind, latency_ns: Option<u64>) {
        self.errors[kind.index()] += 1;
        if let Some(latency_ns) = latency_ns {
            record(&mut self.given_up, latency_ns);
        }
    }

    /// Requests that ended this way.
    #[must_use]
    pub fn errors_of(&self, kind: ErrorKind) -> u64 {
        self.errors[kind.index()]
    }

    /// Requests without a proper answer.
    #[must_use]
    pub fn errors(&self) -> u64 {
        self.errors.iter().sum()
    }

    /// Answers.
    #[must_use]
    pub fn answers(&self) -> u64 {
        self.kinds.iter().map(|kind| kind.answers).sum()
    }

    /// Wrong answers.
    #[must_use]
    pub fn mismatches(&self) -> u64 {
        self.kinds.iter().map(KindStats::mismatch_count).sum()
    }

    /// The latencies of all answers, and of the requests given up.
    #[must_use]
    pub fn latencies(&self) -> Latencies {
        let mut sum = self.given_up.clone();
        self.kinds
            .iter()
            .flat_map(|kind| kind.latencies.iter().flatten())
            .for_each(|latencies| add(&mut sum, latencies));
        sum
    }

    /// Answers from a cache, as a share of those a cache spoke of.
    #[must_use]
    pub fn hit_ratio(&self) -> Option<f64> {
        let count = |outcome| {
            self.kinds
                .iter()
                .map(|kind| kind.count_of(outcome))
                .sum::<u64>()
        };
        let (hits, misses) = (count(CacheOutcome::Hit), count(CacheOutcome::Miss));
        share(hits, hits + misses)
    }

    /// Adds what happened in another time or worker.
    pub fn merge(&mut self, other: &Self) {
        for (ours, theirs) in self.kinds.iter_mut().zip(&other.kinds) {
            ours.merge(theirs);
        }
        self.sent += other.sent;
        self.received_bytes += other.received_bytes;
        self.worker_cpu_ns += other.worker_cpu_ns;
        self.waited_awake_ns += other.waited_awake_ns;
        self.kept_waiting_ns += other.kept_waiting_ns;
        self.slow.rounds += other.slow.rounds;
        self.slow.bytes += other.slow.bytes;
        self.slow.refused += other.slow.refused;
        for (ours, theirs) in self.errors.iter_mut().zip(other.errors) {
            *ours += theirs;
        }
        add(&mut self.given_up, &other.given_up);
        add(&mut self.connects, &other.connects);
        add(&mut self.lag, &other.lag);
    }

    /// Forgets everything and keeps the memory.
    pub fn clear(&mut self) {
        self.kinds.iter_mut().for_each(KindStats::clear);
        self.sent = 0;
        self.errors = [0; ErrorKind::ALL.len()];
        self.received_bytes = 0;
        self.worker_cpu_ns = 0;
        self.waited_awake_ns = 0;
        self.kept_waiting_ns = 0;
        self.slow = SlowStats::default();
        // `Histogram::clear` would keep the least and the greatest value.
        self.given_up.reset();
        self.connects.reset();
        self.lag.reset();
    }
}

/// `part` of `all`; `None` when there is nothing.
#[must_use]
#[expect(
    clippy::cast_precision_loss,
    reason = "counts of a run are far below 2^52"
)]
pub fn share(part: u64, all: u64) -> Option<f64> {
    (all > 0).then(|| part as f64 / all as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expect::MismatchKind;

    #[test]
    fn an_interval_has_its_own_least_and_greatest_value() {
        let mut interval = Stats::new(1);
        let mut fill = |ns: u64| {
            interval.clear();
            interval.kinds[0].record(200, CacheOutcome::Hit, 0, ns);
            interval.record_error(ErrorKind::Timeout, Some(ns));
            record(&mut interval.connects, ns);
            record(&mut interval.lag, ns);
            [
                interval.latencies(),
                interval.given_up.clone(),
                interval.connects.clone(),
                interval.lag.clone(),
            ]
            .map(|latencies| (latencies.min(), latencies.max()))
        };
        // Values below 2,048 are kept exactly with three digits.
        for ns in [700, 2_000, 40] {
            assert_eq!(fill(ns), [(ns, ns); 4]);
        }
    }

    #[test]
    fn intervals_add_up() {
        let mut total = Stats::new(2);
        let mut interval = Stats::new(2);
        for round in 1..=3 {
            interval.sent += 4;
            interval.kinds[0].record(200, CacheOutcome::Hit, 10, 1_000 * round);
            interval.kinds[0].record(404, CacheOutcome::Miss, 20, 9_000);
            interval.kinds[1].record(200, CacheOutcome::Unsaid, 0, 5_000);
            interval.kinds[1].record_mismatch(7, Mismatch::of_body(MismatchKind::BodyLength));
            interval.record_error(ErrorKind::Timeout, Some(1_000_000));
            interval.record_error(ErrorKind::Connect, None);
            total.merge(&interval);
            interval.clear();
        }
        assert_eq!(
            (total.sent, total.answers(), total.mismatches()),
            (12, 9, 3)
        );
        assert_eq!(
            (total.errors(), total.errors_of(ErrorKind::Timeout)),
            (6, 3)
        );
        assert_eq!(
            total.kinds[0].statuses,
            BTreeMap::from([(200, 3), (404, 3)])
        );
        assert_eq!(total.kinds[0].body_bytes, 90);
        assert_eq!(total.hit_ratio(), Some(0.5));
        let latencies = total.latencies();
        assert_eq!((latencies.len(), latencies.min()), (12, 1_000));
        assert!(latencies.max() >= 1_000_000);
        assert_eq!(total.kinds[1].latencies(CacheOutcome::Hit), None);
        assert_eq!(
            interval.answers() + interval.errors() + interval.latencies().len(),
            0
        );
    }
}
