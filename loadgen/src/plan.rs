//! A run, prepared: what is sent, where to, how fast, for how long. Plain data, shared by workers.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::learned::VolatileFields;
use crate::schedule::Schedule;
use crate::traffic::Traffic;

/// Everything a run needs; checked by whoever made it.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Where to connect.
    pub address: SocketAddr,
    /// What to send.
    pub traffic: Traffic,
    /// Requests in a fixed order instead of drawn ones.
    pub listed: Option<Arc<[ListedRequest]>>,
    /// How requests are paced.
    pub load: Load,
    /// Connections of all workers together, at least 1.
    pub connections: usize,
    /// A connection is closed after so many requests.
    pub requests_per_connection: Option<u64>,
    /// Time before anything counts.
    pub warmup: Duration,
    /// How long it goes on after that.
    pub length: Length,
    /// A request without an answer for so long is given up.
    pub timeout: Duration,
    /// A connection that is not made in this time is given up.
    pub connect_timeout: Duration,
    /// Seed of all draws.
    pub seed: u64,
    /// Where the numbers begin that `{hit:R:N}` takes for what no cache has seen.
    pub fresh_base: u64,
    /// One worker thread each, pinned to its CPU where there is one. At least one.
    pub cpus: Vec<Option<usize>>,
    /// Field values that differ without meaning.
    pub volatile: VolatileFields,
    /// What waits for the sockets.
    pub driver: DriverChoice,
    /// Clients that read or send slowly, besides the load.
    pub slow: Option<SlowClients>,
}

/// One request of a log.
#[derive(Debug, Clone)]
pub struct ListedRequest {
    /// Index of its shape.
    pub shape: usize,
    /// Which origin of the shape it names; `None`: one is drawn, if the shape has any.
    pub origin: Option<usize>,
    /// Its target.
    pub target: Box<[u8]>,
}

/// How requests are paced.
#[derive(Debug, Clone)]
pub enum Load {
    /// Each connection keeps `depth` requests unanswered; the server sets the pace.
    Closed {
        /// At least 1.
        depth: usize,
    },
    /// Requests are sent when a schedule says; the server is charged for those it makes wait.
    Open {
        /// Times after the warm-up.
        schedule: Schedule,
        /// Times of the warm-up.
        warmup: Schedule,
    },
}

/// When a run ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Length {
    /// After this time.
    Duration(Duration),
    /// After so many requests.
    Count(u64),
}

/// What waits for the sockets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DriverChoice {
    /// `io_uring`, else epoll.
    Auto,
    /// `io_uring` or nothing.
    IoUring,
    /// epoll.
    Epoll,
}

/// Clients that are slow on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SlowClients {
    /// How many, over all workers.
    pub clients: usize,
    /// Bytes per second that each moves.
    pub bytes_per_second: u64,
    /// What they are slow at.
    pub habit: SlowHabit,
}

/// What a slow client is slow at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SlowHabit {
    /// It sends its request at once and reads the answer slowly.
    Read,
    /// It sends its request slowly.
    Send,
}

impl Plan {
    /// Connections of worker `worker`.
    #[must_use]
    pub fn connections_of(&self, worker: usize) -> usize {
        part_of(self.connections, worker, self.cpus.len())
    }
}

/// Part `index` of `all` divided into `parts` as evenly as can be.
#[must_use]
pub fn part_of(all: usize, index: usize, parts: usize) -> usize {
    all / parts + usize::from(index < all % parts)
}

/// A duration in nanoseconds, at most 584 years.
#[must_use]
pub fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
