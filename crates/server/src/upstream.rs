//! Connections to upstreams: a pool per worker, and one exchange of a request head for a response head
//! on one of them.
//!
//! A pooled connection is looked at before it is used: one that the upstream has closed, or on which it
//! said something that nobody asked for, is thrown away. What can still go wrong, a close or a 408 that
//! crosses our request (RFC 9112 §9.5), is answered by one retry on a new connection, and only for a request that may be sent
//! twice.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Instant;

use corsair_config::{RESPONSE_LIMITS, UpstreamFailure, end_to_end_fields};
use corsair_http1::{
    BodyLength, FieldSection, KnownField, Parsed, Persistence, ResponseHead, response_body_length,
    response_persistence,
};

use crate::body::receive_more;
use crate::buffer::{BodyBuffers, HomedBuffer};
use crate::cors_watch::Notice;
use crate::deadline::{Deadline, Late};
use crate::io::{self as wire, Receiver, Sender, Socket};
use crate::plan::{LivePlan, millis};
use crate::worker::Worker;

/// Idle connections kept per address and worker.
const IDLE_MAX: usize = 128;
/// How long one is kept; below the idle timeouts that servers commonly have.
const IDLE_KEPT_MS: u64 = 30_000;
/// Receive buffers (64 KiB each) that an idle worker keeps.
const BUFFERS_KEPT_MAX: usize = 32;
/// Addresses of an upstream that one request tries while they refuse.
const ADDRESSES_TRIED_MAX: usize = 4;
/// Interim responses (1xx) before a final one.
const INTERIM_MAX: usize = 8;

/// Why there is no response from an upstream.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UpstreamError {
    /// Its name has not been resolved.
    #[error("no address")]
    NoAddress,
    /// No connection.
    #[error("connect failed")]
    Connect(#[source] io::Error),
    /// No connection in time.
    #[error("connect timed out")]
    ConnectTimeout,
    /// The connection broke before a response head.
    #[error("connection broke")]
    Broken,
    /// No response head in time.
    #[error("response timed out")]
    ResponseTimeout,
    /// What came is not HTTP/1.1 as RFC 9112 has it.
    #[error("malformed response: {0}")]
    Malformed(&'static str),
}

impl UpstreamError {
    /// Which failure it is for the client.
    pub(crate) const fn failure(&self) -> UpstreamFailure {
        match self {
            Self::NoAddress => UpstreamFailure::Unresolved,
            Self::Connect(_) => UpstreamFailure::Refused,
            Self::ConnectTimeout => UpstreamFailure::ConnectTimeout,
            Self::Broken => UpstreamFailure::Broken,
            Self::ResponseTimeout => UpstreamFailure::Timeout,
            Self::Malformed(_) => UpstreamFailure::Malformed,
        }
    }
}

impl UpstreamError {
    /// What more there is to say of it to the operator.
    fn why(&self) -> Option<String> {
        match self {
            Self::Connect(error) => Some(error.to_string()),
            Self::Malformed(why) => Some((*why).to_owned()),
            Self::NoAddress | Self::ConnectTimeout | Self::Broken | Self::ResponseTimeout => None,
        }
    }
}

/// An open connection to an upstream, carrying at most one exchange.
pub(crate) struct Connection {
    pub(crate) receiver: Receiver,
    /// Away while a request body is being sent on it.
    pub(crate) sender: Option<Sender>,
    pub(crate) deadline: Rc<Deadline>,
    pub(crate) buffer: HomedBuffer,
    address: SocketAddr,
    reused: bool,
    /// When this exchange began.
    since: Instant,
}

struct Idle {
    receiver: Receiver,
    sender: Sender,
    deadline: Rc<Deadline>,
    since_ms: u64,
}

/// Idle connections of one worker, by address.
pub(crate) struct Pools {
    idle: RefCell<HashMap<SocketAddr, Vec<Idle>>>,
    buffers: Rc<BodyBuffers>,
}

impl Pools {
    /// Empty pools.
    pub(crate) fn new() -> Self {
        Self {
            idle: RefCell::new(HashMap::new()),
            buffers: BodyBuffers::new(BUFFERS_KEPT_MAX),
        }
    }

    /// Bytes of one response that may wait for its reader.
    pub(crate) fn share_bytes(&self) -> usize {
        self.buffers.share_bytes()
    }

    /// The connection that was used last and can still be used.
    fn take(&self, address: SocketAddr) -> Option<Connection> {
        loop {
            let idle = self.idle.borrow_mut().get_mut(&address)?.pop()?;
            if wire::is_quiet(idle.receiver.descriptor()) {
                return Some(Connection {
                    receiver: idle.receiver,
                    sender: Some(idle.sender),
                    deadline: idle.deadline,
                    buffer: HomedBuffer::of(&self.buffers),
                    address,
                    reused: true,
                    since: Instant::now(),
                });
            }
        }
    }

    /// Keeps a connection whose exchange is complete on both sides and on which nothing is unread.
    pub(crate) fn give(&self, connection: Connection, now_ms: u64) {
        connection.deadline.clear();
        let unasked_bytes = !connection.buffer.is_empty();
        if unasked_bytes || connection.deadline.is_expired() {
            return;
        }
        let Some(sender) = connection.sender else {
            return;
        };
        let mut idle = self.idle.borrow_mut();
        let idle = idle.entry(connection.address).or_default();
        if idle.len() < IDLE_MAX {
            idle.push(Idle {
                receiver: connection.receiver,
                sender,
                deadline: connection.deadline,
                since_ms: now_ms,
            });
        }
    }

    /// Closes what has been idle for too long.
    pub(crate) fn sweep(&self, now_ms: u64) {
        self.idle.borrow_mut().retain(|_, idle| {
            idle.retain(|idle| now_ms.saturating_sub(idle.since_ms) < IDLE_KEPT_MS);
            !idle.is_empty()
        });
    }
}

/// Whether a request may be sent a second time when the first connection turned out stale.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Retry {
    /// Safe method, no body.
    Once,
    /// It may have had an effect, or its body is gone.
    Never,
}

/// A response head that has arrived, the framing of the body behind it, and the connection.
pub(crate) struct Response {
    pub(crate) connection: Connection,
    pub(crate) head: ResponseHead,
    /// The head's own bytes, which its offsets refer to.
    pub(crate) bytes: Vec<u8>,
    pub(crate) length: BodyLength,
    pub(crate) persistence: Persistence,
}

impl Response {
    /// The end-to-end field lines (RFC 9110 §7.6.1), with the `Date` that a recipient must add when the
    /// upstream sent none (§6.6.1). `Content-Length` is left to the framing.
    pub(crate) fn end_to_end_fields(&self, received_at_seconds: u64) -> FieldSection {
        end_to_end_fields(self.head.view(&self.bytes), received_at_seconds)
    }

    /// All field lines as they came.
    pub(crate) fn all_fields(&self) -> FieldSection {
        let mut section = FieldSection::new();
        for line in self.head.view(&self.bytes).fields() {
            section.push(line.name, line.value);
        }
        section
    }

    /// The upstream's status.
    pub(crate) fn status(&self) -> u16 {
        self.head.view(&self.bytes).status()
    }

    /// Whether the upstream gave up waiting for a request on this connection when ours was on its way
    /// (RFC 9110 §15.5.9): what it says is not about our request, which may be sent again.
    fn is_late_timeout(&self) -> bool {
        self.status() == 408 && self.persistence == Persistence::Close
    }

    /// What `Content-Length` says, also where no body follows (HEAD, 304).
    pub(crate) fn stated_length(&self) -> Option<u64> {
        let value = self
            .head
            .view(&self.bytes)
            .field(KnownField::ContentLength)?;
        std::str::from_utf8(value).ok()?.parse().ok()
    }
}

/// The upstream side of an exchange.
pub(crate) struct Upstream<'a> {
    pub(crate) worker: &'a Rc<Worker>,
    pub(crate) live: &'a LivePlan,
    /// Its place in the plan.
    pub(crate) index: usize,
}

impl Upstream<'_> {
    /// Sends a request without a body and receives the response's head, with at most one retry.
    ///
    /// # Errors
    /// See [`UpstreamError`].
    pub(crate) async fn exchange(
        &self,
        method: &[u8],
        request: Vec<u8>,
        retry: Retry,
    ) -> Result<Response, UpstreamError> {
        let connection = self.connect(Reuse::Allowed).await?;
        let reused = connection.reused;
        let (result, request) = self.attempt(connection, method, request).await;
        let is_stale = match &result {
            Err(UpstreamError::Broken) => true,
            Ok(response) => response.is_late_timeout(),
            Err(
                UpstreamError::NoAddress
                | UpstreamError::Connect(_)
                | UpstreamError::ConnectTimeout
                | UpstreamError::ResponseTimeout
                | UpstreamError::Malformed(_),
            ) => false,
        };
        if is_stale && reused && retry == Retry::Once {
            drop(result);
            self.worker.metrics.counters.upstream_retries.increment();
            let connection = self.connect(Reuse::Refused).await?;
            return self.attempt(connection, method, request).await.0;
        }
        result
    }

    /// Counts an exchange that brought no response, and lets the operator know of the first of its kind
    /// in a minute.
    pub(crate) fn note_failure(&self, error: &UpstreamError) {
        self.worker.metrics.counters.upstream_failures.increment();
        let now_s = self.worker.clock.mono_ms() / 1000;
        let failure = error.failure();
        let watch = &self.live.failures[self.index];
        if let Some(untold) = watch.note(failure, now_s) {
            // With nobody to hear it the counters say it all.
            let _told = self.worker.shared.tell(Notice::UpstreamFails {
                upstream: self.live.plan.upstreams[self.index].name.clone(),
                failure,
                why: error.why(),
                untold,
            });
        }
    }

    async fn attempt(
        &self,
        mut connection: Connection,
        method: &[u8],
        request: Vec<u8>,
    ) -> (Result<Response, UpstreamError>, Vec<u8>) {
        let (sent, request) = self.send(&mut connection, request).await;
        if let Err(error) = sent {
            return (Err(error), request);
        }
        (
            self.receive_head(connection, method, HeadClock::FromNow)
                .await,
            request,
        )
    }

    /// A connection, pooled or new. An address that refuses is no answer while there are others: a name
    /// such as `localhost` often has two, and a server on one of them.
    ///
    /// # Errors
    /// No address, refused by all that were tried, or not in time.
    pub(crate) async fn connect(&self, reuse: Reuse) -> Result<Connection, UpstreamError> {
        self.worker.metrics.counters.upstream_requests.increment();
        let addresses = &self.live.addresses[self.index];
        let last = addresses.count().min(ADDRESSES_TRIED_MAX).saturating_sub(1);
        let mut turn = addresses.turn();
        let end = turn.wrapping_add(last);
        loop {
            let address = addresses.at(turn).ok_or(UpstreamError::NoAddress)?;
            match self.connect_to(address, reuse).await {
                Err(UpstreamError::Connect(_)) if turn != end => turn = turn.wrapping_add(1),
                connected => return connected,
            }
        }
    }

    async fn connect_to(
        &self,
        address: SocketAddr,
        reuse: Reuse,
    ) -> Result<Connection, UpstreamError> {
        let counters = &self.worker.metrics.counters;
        if reuse == Reuse::Allowed
            && let Some(connection) = self.worker.pools.take(address)
        {
            counters.upstream_reuses.increment();
            return Ok(connection);
        }
        counters.upstream_connects.increment();
        let since = Instant::now();
        let limit = self.live.plan.upstreams[self.index].connect_timeout;
        let socket = Socket::connect(address, limit)
            .await
            .map_err(|error| match error.kind() {
                io::ErrorKind::TimedOut => UpstreamError::ConnectTimeout,
                _ => UpstreamError::Connect(error),
            })?;
        let Socket { receiver, sender } = socket;
        let deadline = self.worker.deadlines.watch(receiver.descriptor());
        let buffer = HomedBuffer::of(&self.worker.pools.buffers);
        Ok(Connection {
            receiver,
            sender: Some(sender),
            deadline,
            buffer,
            address,
            reused: false,
            since,
        })
    }

    /// Sends all of `bytes`.
    pub(crate) async fn send(
        &self,
        connection: &mut Connection,
        bytes: Vec<u8>,
    ) -> (Result<(), UpstreamError>, Vec<u8>) {
        self.arm(connection);
        let sender = connection
            .sender
            .as_mut()
            .expect("no body is being sent yet");
        let (result, bytes) = sender.send_all(bytes).await;
        (result.map_err(|_error| self.broken(connection)), bytes)
    }

    /// Receives a final response head; interim ones are passed over.
    pub(crate) async fn receive_head(
        &self,
        mut connection: Connection,
        method: &[u8],
        clock: HeadClock,
    ) -> Result<Response, UpstreamError> {
        // For the whole head: one that comes byte by byte is late all the same.
        if clock == HeadClock::FromNow {
            self.arm(&connection);
        }
        let mut head = ResponseHead::new();
        for _ in 0..=INTERIM_MAX {
            let bytes = self.receive_one_head(&mut connection, &mut head).await?;
            let view = head.view(&bytes);
            match view.status() {
                101 => return Err(UpstreamError::Malformed("switching protocols unasked")),
                100..=199 => {}
                600.. => return Err(UpstreamError::Malformed("status above 599")),
                _ => {
                    let length = response_body_length(method, view)
                        .map_err(|error| UpstreamError::Malformed(error.reason()))?;
                    let persistence = response_persistence(view);
                    connection.deadline.clear();
                    let elapsed = connection.since.elapsed();
                    self.worker.metrics.record_latency(self.index, elapsed);
                    return Ok(Response {
                        connection,
                        head,
                        bytes,
                        length,
                        persistence,
                    });
                }
            }
        }
        Err(UpstreamError::Malformed("too many interim responses"))
    }

    async fn receive_one_head(
        &self,
        connection: &mut Connection,
        head: &mut ResponseHead,
    ) -> Result<Vec<u8>, UpstreamError> {
        head.reset();
        let mut anything = false;
        loop {
            let unread = connection.buffer.unread();
            if !unread.is_empty() {
                anything = true;
                match head.parse(unread, &RESPONSE_LIMITS) {
                    Err(error) => return Err(UpstreamError::Malformed(error.kind.reason())),
                    Ok(Parsed::Complete) => {
                        let bytes = unread[..head.len()].to_vec();
                        connection.buffer.consume(head.len());
                        return Ok(bytes);
                    }
                    Ok(Parsed::Partial) => {}
                }
            }
            if !connection.buffer.make_room(RESPONSE_LIMITS.head_bytes_max) {
                return Err(UpstreamError::Malformed("head too long"));
            }
            let received = receive_more(&mut connection.receiver, &mut connection.buffer).await;
            match received {
                Ok(0) | Err(_) if anything && !connection.deadline.is_expired() => {
                    return Err(UpstreamError::Malformed("head cut short"));
                }
                Ok(0) | Err(_) => return Err(self.broken(connection)),
                Ok(count) => {
                    self.worker
                        .metrics
                        .counters
                        .upstream_bytes_in
                        .add(count as u64);
                }
            }
        }
    }

    /// How long the upstream may be silent.
    pub(crate) fn response_timeout_ms(&self) -> u64 {
        millis(self.live.plan.upstreams[self.index].response_timeout)
    }

    fn arm(&self, connection: &Connection) {
        let limit_ms = self.response_timeout_ms();
        connection
            .deadline
            .set(self.worker.clock.mono_ms() + limit_ms, Late::End);
    }

    fn broken(&self, connection: &Connection) -> UpstreamError {
        if connection.deadline.is_expired() {
            UpstreamError::ResponseTimeout
        } else {
            UpstreamError::Broken
        }
    }
}

/// From when an upstream's time to answer counts.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum HeadClock {
    /// The request is with it.
    FromNow,
    /// A body is still on its way to it, and who sends that keeps the clock.
    ByUpload,
}

/// Whether a pooled connection will do.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reuse {
    /// Yes.
    Allowed,
    /// Only a new one: the pooled one was stale.
    Refused,
}
