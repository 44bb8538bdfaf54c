//! One client connection: read, parse every complete request, let [`exchange`] answer each, send all
//! answers at once. A request that needs an upstream is answered after what precedes it has been sent,
//! so answers keep their order.
//!
//! While a connection is busy its receive waits with the buffer in hand, which saves an operation a
//! request; the wheel calls that receive off after a short silence, and from then on the connection waits
//! for readability alone, without a buffer. Only the few sets of buffers that a worker keeps anyway may
//! stay with connections that fell idle: calling those off would set nothing free.

use std::cell::Cell;
use std::io;
use std::net::{Shutdown, SocketAddr};
use std::rc::Rc;

use corsair_http1::{HeadError, HeadLimits, Parsed, Persistence, RequestHead};
use corsair_rules::CorsOutcome;

use crate::body::{Pace, PaceRule};
use crate::buffer::{BUFFER_BYTES, ReceiveBuffer};
use crate::clock::Now;
use crate::deadline::{Deadline, Late, Phase};
use crate::exchange::{self, Client, Next, Scratch};
use crate::fetch;
use crate::forward::Forward;
use crate::io::{self as wire, Received, Receiver, Sender, Socket};
use crate::plan::LivePlan;
use crate::reply::{self, Batch, Progress};
use crate::respond;
use crate::worker::{OpenConnection, Worker};

/// Silence after which an idle connection gives its buffer back. Two turns of the wheel: the next
/// request then costs one more operation, which at that pace nobody notices.
const BUFFER_KEPT_MS: u64 = 200;
/// Unread bytes of a request that are taken in after an answer that ends the connection, so that the
/// peer reads the answer before it sees a reset.
const LINGER_BYTES_MAX: usize = 256 * 1024;
/// How long that may take.
const LINGER_MS: u64 = 2_000;

/// What a connection uses while it has something to do.
pub(crate) struct Active {
    pub(crate) buffer: ReceiveBuffer,
    /// Taken only while it is being sent.
    pub(crate) batch: Option<Box<Batch>>,
    /// How many of these the worker has, in use or idle.
    alive: Rc<Cell<usize>>,
}

impl Drop for Active {
    fn drop(&mut self) {
        self.alive.set(self.alive.get() - 1);
    }
}

impl Active {
    /// New buffers, counted in `alive` while they exist.
    pub(crate) fn new(alive: &Rc<Cell<usize>>) -> Box<Self> {
        alive.set(alive.get() + 1);
        Box::new(Self {
            buffer: ReceiveBuffer::with_capacity(BUFFER_BYTES),
            batch: Some(Batch::new()),
            alive: Rc::clone(alive),
        })
    }

    /// Empties everything; `false` when it has grown beyond what is worth keeping.
    pub(crate) fn make_reusable(&mut self) -> bool {
        self.buffer.clear();
        match &mut self.batch {
            Some(batch) => batch.clear(),
            None => return false,
        }
        self.buffer.capacity() == BUFFER_BYTES
    }

    /// The batch, between two sends.
    pub(crate) fn batch(&mut self) -> &mut Batch {
        self.batch
            .as_mut()
            .expect("the batch is back after every send")
    }
}

/// What answering uses and nothing keeps: one for all connections of a worker, so that it stays in the
/// nearest cache.
#[derive(Default)]
pub(crate) struct Desk {
    head: RequestHead,
    scratch: Scratch,
}

impl Desk {
    /// Gives up what has grown beyond what is worth keeping.
    pub(crate) fn tidy(&mut self) {
        if !self.scratch.is_small() {
            *self = Self::default();
        }
    }
}

/// One client connection.
pub(crate) struct Connection {
    pub(crate) worker: Rc<Worker>,
    pub(crate) socket: Socket,
    pub(crate) deadline: Rc<Deadline>,
    pub(crate) peer: SocketAddr,
    served: u64,
    _open: OpenConnection,
}

/// Why a session with buffers ended.
enum SessionEnd {
    /// Nothing is buffered and nothing came for a while.
    Idle,
    /// The connection is over.
    Closed,
}

/// How a receive waits.
#[derive(Clone, Copy)]
enum Holding {
    /// With the buffer, to its end.
    Buffer,
    /// With the buffer until the wheel calls it off. Being ready for that is about 1 % of the time of a
    /// hit that has the receive to itself (sampled at 64 connections).
    UntilCalledOff,
}

/// What the buffered bytes led to.
enum Turn {
    /// All complete requests are answered; more bytes are needed.
    NeedMore,
    /// The batch is at a bound; there may be more requests.
    Flush,
    /// The next request needs an upstream.
    Forward(Box<Forward>),
    /// The last answer ends the connection.
    Close,
}

/// Serves a connection until it ends.
///
/// Not an `async fn`, whose future would keep the arguments beside the connection made of them: ten
/// thousand idle connections are ten thousand such futures.
pub(crate) fn serve(
    open: OpenConnection,
    socket: Socket,
    peer: SocketAddr,
) -> impl Future<Output = ()> + use<> {
    let worker = Rc::clone(open.worker());
    let mut connection = Connection {
        deadline: worker.deadlines.watch(socket.descriptor()),
        worker,
        socket,
        peer,
        served: 0,
        _open: open,
    };
    async move {
        loop {
            // Boxed: an idle connection keeps nothing of it.
            let end = Box::pin(connection.session()).await;
            match end {
                SessionEnd::Closed => break,
                SessionEnd::Idle => {
                    if connection.wait_idle().await.is_err() {
                        break;
                    }
                }
            }
        }
        if connection.deadline.is_expired() {
            connection.worker.metrics.counters.timeouts.increment();
        }
    }
}

impl Connection {
    /// Serves with buffers until the connection falls idle or ends.
    async fn session(&mut self) -> SessionEnd {
        let mut active = self.worker.take_active();
        let end = self.converse(&mut active).await;
        self.worker.give_active(active);
        self.deadline.call_off().release();
        end
    }

    /// Waits without a buffer until the next request begins or the idle time is up.
    async fn wait_idle(&mut self) -> io::Result<()> {
        let idle_ms = self.worker.turn_limits().idle_ms;
        let now = self.worker.clock.read();
        self.deadline.set(
            now.mono_ms + idle_ms.saturating_sub(BUFFER_KEPT_MS),
            Late::EndReceive,
        );
        self.deadline.set_phase(Phase::BetweenRequests);
        if self.worker.is_draining() {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        let result = self.socket.receiver.readable().await;
        self.deadline.set_phase(Phase::InExchange);
        self.deadline.clear();
        if self.deadline.is_expired() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        result
    }

    async fn converse(&mut self, active: &mut Active) -> SessionEnd {
        let mut head_since_ms = None;
        loop {
            let served = self.served;
            let turn = self.answer_buffered(active);
            if self.served > served {
                head_since_ms = None;
            }
            if !active.batch().is_empty() && self.flush(active).await.is_err() {
                return SessionEnd::Closed;
            }
            match turn {
                Turn::Flush => {}
                Turn::Close => {
                    self.linger(active).await;
                    return SessionEnd::Closed;
                }
                Turn::Forward(forward) => {
                    // Boxed, so that a connection that only hits carries none of its size.
                    match Box::pin(fetch::run(self, active, forward)).await {
                        Persistence::KeepAlive if !self.worker.is_draining() => {}
                        Persistence::KeepAlive | Persistence::Close => {
                            self.linger(active).await;
                            return SessionEnd::Closed;
                        }
                    }
                }
                Turn::NeedMore => match self.receive(active, &mut head_since_ms).await {
                    Ok(Received::Bytes(0)) => {
                        self.end_of_stream(active).await;
                        return SessionEnd::Closed;
                    }
                    Ok(Received::Bytes(count)) => {
                        self.worker.metrics.counters.bytes_in.add(count as u64);
                    }
                    Ok(Received::CalledOff) => return SessionEnd::Idle,
                    Err(_) => return SessionEnd::Closed,
                },
            }
        }
    }

    /// Answers every complete request in the buffer, up to the bounds of a batch.
    fn answer_buffered(&mut self, active: &mut Active) -> Turn {
        if active.buffer.is_empty() {
            return Turn::NeedMore;
        }
        let live = self.worker.plan();
        let now = self.worker.clock.read();
        let limits = HeadLimits {
            head_bytes_max: live.plan.limits.head_bytes,
            header_lines_max: live.plan.limits.header_lines,
        };
        let mut desk = self.worker.desk.borrow_mut();
        let Desk { head, scratch } = &mut *desk;
        loop {
            let Active { buffer, batch, .. } = active;
            let batch = batch.as_mut().expect("the batch is back after every send");
            if buffer.is_empty() {
                return Turn::NeedMore;
            }
            if batch.is_full() {
                return Turn::Flush;
            }
            // Begun anew where another connection left off: a head that comes in pieces is looked at from
            // its beginning each time, which the head's bounds and its time keep small.
            head.reset();
            match head.parse(buffer.unread(), &limits) {
                Ok(Parsed::Partial) => return Turn::NeedMore,
                Ok(Parsed::Complete) => {}
                Err(error) => {
                    self.refuse(batch, &live, now, error);
                    return Turn::Close;
                }
            }
            let client = Client {
                worker: &self.worker,
                live: &live,
                now,
                peer: self.peer,
                persistence: self.allowed_persistence(&live),
            };
            self.served += 1;
            let next = exchange::run(&client, head, buffer.unread(), scratch, batch);
            buffer.consume(head.len());
            match next {
                Next::Answered(Persistence::KeepAlive) => batch.count_request(),
                Next::Answered(Persistence::Close) => return Turn::Close,
                Next::Forward(forward) => return Turn::Forward(forward),
            }
        }
    }

    /// Whether the response to the next request may leave the connection open.
    fn allowed_persistence(&self, live: &LivePlan) -> Persistence {
        let last = live
            .plan
            .limits
            .requests_per_connection
            .is_some_and(|max| self.served + 1 >= max);
        if self.worker.is_draining() || last {
            Persistence::Close
        } else {
            Persistence::KeepAlive
        }
    }

    fn refuse(&self, batch: &mut Batch, live: &LivePlan, now: Now, error: HeadError) {
        self.worker.metrics.counters.bad_requests.increment();
        let (status, reason) = (error.kind.status(), error.kind.reason());
        respond::bare_refusal(&self.worker, live, now, status, reason, b"", batch.arena());
        self.worker.metrics.count_cors(CorsOutcome::NoPolicy);
    }

    /// Receives more bytes: within the head's time when a head has begun, else until the silence is long
    /// enough to give the buffer back.
    async fn receive(
        &mut self,
        active: &mut Active,
        head_since_ms: &mut Option<u64>,
    ) -> io::Result<Received> {
        let Some(holding) = self.arm_receive(active, head_since_ms)? else {
            return Ok(Received::Bytes(0));
        };
        let buffer = std::mem::replace(&mut active.buffer, ReceiveBuffer::placeholder());
        let receiver = &mut self.socket.receiver;
        let (result, buffer) = match holding {
            Holding::Buffer => {
                let (result, buffer) = receiver.receive(buffer).await;
                (result.map(Received::Bytes), buffer)
            }
            Holding::UntilCalledOff => {
                let call_off = self.deadline.call_off();
                receiver.receive_until_called_off(buffer, call_off).await
            }
        };
        active.buffer = buffer;
        self.deadline.clear();
        self.deadline.set_phase(Phase::InExchange);
        result
    }

    /// Makes room, sets the deadline, and says how to wait; `None` when there is no more to wait for.
    fn arm_receive(
        &self,
        active: &mut Active,
        head_since_ms: &mut Option<u64>,
    ) -> io::Result<Option<Holding>> {
        let limits = self.worker.turn_limits();
        let now_ms = self.worker.clock.mono_ms();
        // One byte beyond the head's bound, so that the parser says that it is too long.
        let room_max = limits.head_bytes.max(BUFFER_BYTES) + 1;
        if !active.buffer.make_room(room_max) {
            return Err(io::ErrorKind::OutOfMemory.into());
        }
        if !active.buffer.is_empty() {
            let since_ms = *head_since_ms.get_or_insert(now_ms);
            let until_ms = since_ms + limits.head_ms;
            self.deadline.set(until_ms, Late::EndReceive);
            return Ok(Some(Holding::Buffer));
        }
        *head_since_ms = None;
        self.deadline.set_phase(Phase::BetweenRequests);
        if self.worker.is_draining() {
            return Ok(None);
        }
        Ok(Some(if self.worker.has_actives_to_spare() {
            let until_ms = now_ms + limits.idle_ms;
            self.deadline.set(until_ms, Late::EndReceive);
            Holding::Buffer
        } else {
            let until_ms = now_ms + BUFFER_KEPT_MS;
            self.deadline.set(until_ms, Late::ReleaseBuffer);
            Holding::UntilCalledOff
        }))
    }

    /// The peer sends no more: a head cut short by the deadline is told so.
    async fn end_of_stream(&mut self, active: &mut Active) {
        let head_is_late = self.deadline.is_expired() && !active.buffer.is_empty();
        if head_is_late {
            let live = self.worker.plan();
            let now = self.worker.clock.read();
            let arena = active.batch().arena();
            respond::bare_refusal(
                &self.worker,
                &live,
                now,
                408,
                "request head too slow",
                b"",
                arena,
            );
            let _peer_gone = self.flush(active).await;
        }
    }

    /// Sends the batch.
    pub(crate) async fn flush(&mut self, active: &mut Active) -> io::Result<()> {
        flush(
            &self.worker,
            &mut self.socket.sender,
            &self.deadline,
            &mut active.batch,
        )
        .await
    }

    /// Says that nothing more will be sent, then takes in what the peer is still sending, within bounds:
    /// a close with unread bytes would reset the connection under the answer.
    async fn linger(&mut self, active: &mut Active) {
        wire::shutdown(self.socket.descriptor(), Shutdown::Write);
        if self.deadline.is_expired() {
            return;
        }
        active.buffer.clear();
        let until_ms = self.worker.clock.mono_ms() + LINGER_MS;
        self.deadline.set(until_ms, Late::End);
        let mut taken = 0;
        while taken < LINGER_BYTES_MAX {
            match take_in(&mut self.socket.receiver, &mut active.buffer).await {
                Ok(count) if count > 0 => taken += count,
                Ok(_) | Err(_) => break,
            }
        }
        self.deadline.clear();
    }
}

async fn take_in(receiver: &mut Receiver, buffer: &mut ReceiveBuffer) -> io::Result<usize> {
    buffer.clear();
    crate::body::receive_more(receiver, buffer).await
}

/// Sends a batch to a client that must keep taking bytes at the pace of the limits.
///
/// # Errors
/// The client is gone or too slow; the connection must be closed.
pub(crate) async fn flush(
    worker: &Worker,
    sender: &mut Sender,
    deadline: &Rc<Deadline>,
    slot: &mut Option<Box<Batch>>,
) -> io::Result<()> {
    let batch = slot.take().expect("the batch is back after every send");
    let bytes = batch.len();
    let limits = worker.turn_limits();
    let rule = PaceRule::MinRate {
        bytes_per_second: limits.body_min_rate,
        silence_ms: limits.idle_ms,
    };
    let pace = SendPace(std::cell::RefCell::new(Pace::new(
        deadline,
        &worker.clock,
        rule,
    )));
    deadline.begin_sending(pace.begin(), bytes);
    let (result, batch) = reply::send_all(sender, batch, &pace).await;
    deadline.clear();
    deadline.end_sending();
    *slot = Some(batch);
    if result.is_ok() {
        worker.metrics.counters.bytes_out.add(bytes as u64);
    }
    result
}

/// Re-arms the deadline after each short send.
struct SendPace<'a>(std::cell::RefCell<Pace<'a>>);

impl SendPace<'_> {
    fn begin(&self) -> u64 {
        self.0.borrow_mut().begin(Late::End)
    }
}

impl Progress for SendPace<'_> {
    fn sent(&self, bytes: usize) {
        let mut pace = self.0.borrow_mut();
        pace.end(bytes);
        pace.note_taken(bytes);
        drop(pace);
        self.begin();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size_of_future<F>(_make: impl FnOnce(OpenConnection, Socket, SocketAddr) -> F) -> usize {
        size_of::<F>()
    }

    #[test]
    fn a_connection_carries_little_besides_its_buffers() {
        let bytes = size_of_future(serve);
        assert!(bytes <= 232, "the task of a connection takes {bytes} bytes");
    }
}
