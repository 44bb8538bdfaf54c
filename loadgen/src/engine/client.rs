//! One connection of the load: asks, reads the answers, judges them, and connects again.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;

use corsair_http1::Persistence;

use super::pace::{Ticket, TicketSlot};
use super::wait::Slot;
use super::worker::{Watch, Worker};
use super::{ErrorKind, Sample};
use crate::clock::monotonic_ns;
use crate::exchange::{Answer, AnswerReader, Asked, ProtocolError, Step};
use crate::io::{Stream, connect};
use crate::plan::{Load, nanoseconds};
use crate::stats;

/// Room for received bytes, normally and while a large body is coming.
const RECEIVE_BYTES: usize = 16 * 1024;
const RECEIVE_BYTES_LARGE: usize = 256 * 1024;

/// A connection idle for longer is looked at before it is used again.
const IDLE_CHECK_NS: u64 = 100_000_000;

/// Sent bytes kept for printing a request whose answer is wrong, before the answered ones go.
const HISTORY_BYTES: usize = 64 * 1024;

pub(super) struct Client {
    worker: Rc<Worker>,
    watch: Rc<Watch>,
    slot: TicketSlot,
    depth: usize,
    received: Vec<u8>,
    outgoing: Vec<u8>,
    /// Bytes of the requests in flight, from position `history_begins` of all bytes sent.
    history: Vec<u8>,
    history_begins: u64,
    in_flight: VecDeque<InFlight>,
    reader: AnswerReader,
    /// Requests sent on this connection.
    asked: u64,
    last_used_ns: u64,
}

#[derive(Debug, Clone, Copy)]
struct InFlight {
    shape: usize,
    origin: usize,
    intended_ns: u64,
    sent_ns: u64,
    /// Where the request begins in all bytes sent, and its length.
    begins: u64,
    bytes: usize,
}

/// Why a conversation ended.
enum End {
    /// Nothing is left to ask; the connection is still good.
    NoMoreTickets,
    /// The connection is to be closed, all being well.
    Close,
    /// The connection is of no use; what is in flight is lost.
    Broken(ErrorKind, String),
}

impl Client {
    pub(super) fn new(worker: Rc<Worker>, watch: Rc<Watch>) -> Self {
        let depth = match worker.plan.load {
            Load::Closed { depth } => depth,
            Load::Open { .. } => 1,
        };
        Self {
            worker,
            watch,
            slot: Rc::new(Slot::new()),
            depth,
            received: Vec::with_capacity(RECEIVE_BYTES),
            outgoing: Vec::new(),
            history: Vec::new(),
            history_begins: 0,
            in_flight: VecDeque::with_capacity(depth),
            reader: AnswerReader::new(),
            asked: 0,
            last_used_ns: 0,
        }
    }

    pub(super) async fn run(mut self) {
        let mut connected = self.connect().await;
        match &connected {
            Ok(_) => self.worker.note_connected(),
            Err(error) => self
                .worker
                .explain(ErrorKind::Connect, || error.to_string()),
        }
        self.worker.note_tried();
        self.worker.started.rung().await;
        loop {
            let Some(ticket) = self.worker.next_ticket(&self.slot).await else {
                break;
            };
            if self.is_stale(connected.as_ref().ok()) {
                connected = self.connect().await;
            }
            connected = match connected {
                Ok(stream) => match self.converse(stream, ticket).await {
                    Some(stream) => Ok(stream),
                    None => self.connect().await,
                },
                Err(error) => {
                    let kind = ErrorKind::Connect;
                    self.worker
                        .note_error(kind, ticket.intended_ns, || error.to_string());
                    // The next attempt is a tick away, so that a server that is down is not
                    // hammered.
                    self.worker.tick.rung().await;
                    self.connect().await
                }
            };
        }
        self.watch.disarm();
        self.worker.note_done();
    }

    fn is_stale(&self, stream: Option<&Stream>) -> bool {
        let idle = monotonic_ns().saturating_sub(self.last_used_ns);
        idle > IDLE_CHECK_NS && stream.is_some_and(Stream::is_stale)
    }

    /// Makes a connection and counts the time it took.
    async fn connect(&mut self) -> io::Result<Stream> {
        let begin = monotonic_ns();
        self.watch.renew();
        self.watch
            .arm(begin + nanoseconds(self.worker.plan.connect_timeout));
        let mut attempt = pin!(connect(self.worker.plan.address));
        let mut ticks = pin!(self.worker.tick.rung());
        // The attempt holds no buffer, so that dropping it when it takes too long loses nothing.
        let stream = poll_fn(|context| {
            if let Poll::Ready(result) = attempt.as_mut().poll(context) {
                return Poll::Ready(result);
            }
            while ticks.as_mut().poll(context).is_ready() {
                if self.watch.given_up().is_some() {
                    return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
                }
                ticks.set(self.worker.tick.rung());
            }
            Poll::Pending
        })
        .await?;
        self.watch.disarm();
        *self.watch.hangup.borrow_mut() = Some(stream.hangup());
        let now = monotonic_ns();
        if self.worker.is_counted(begin) {
            stats::record(&mut self.worker.stats.borrow_mut().connects, now - begin);
        }
        self.received.clear();
        self.outgoing.clear();
        self.reader = AnswerReader::new();
        self.asked = 0;
        self.last_used_ns = now;
        Ok(stream)
    }

    /// Asks and reads on `stream`, beginning with `ticket`; gives the stream back when it is
    /// still good.
    async fn converse(&mut self, mut stream: Stream, ticket: Ticket) -> Option<Stream> {
        self.ask(ticket, monotonic_ns());
        let end = self.exchange(&mut stream).await;
        self.watch.disarm();
        match end {
            End::NoMoreTickets => Some(stream),
            End::Close => {
                self.lose_in_flight(ErrorKind::Closed, "the connection ended before the answer");
                None
            }
            End::Broken(kind, text) => {
                // What we ended ourselves looks as if the server had.
                let (kind, text) = match self.watch.given_up() {
                    None => (kind, text),
                    Some(given_up) => (given_up, self.why_given_up(given_up)),
                };
                self.lose_in_flight(kind, &text);
                None
            }
        }
    }

    fn why_given_up(&self, kind: ErrorKind) -> String {
        match kind {
            ErrorKind::Timeout => {
                let timeout = humantime::format_duration(self.worker.plan.timeout);
                format!("no answer, or not all of it, within {timeout}")
            }
            ErrorKind::Unfinished => "no answer before the run was over".to_owned(),
            ErrorKind::Connect
            | ErrorKind::Send
            | ErrorKind::Receive
            | ErrorKind::Closed
            | ErrorKind::Protocol => kind.as_str().to_owned(),
        }
    }

    async fn exchange(&mut self, stream: &mut Stream) -> End {
        loop {
            if !self.outgoing.is_empty() {
                let outgoing = std::mem::take(&mut self.outgoing);
                let (result, outgoing) = stream.send_all(outgoing).await;
                self.outgoing = outgoing;
                self.outgoing.clear();
                if let Err(error) = result {
                    return End::Broken(ErrorKind::Send, error.to_string());
                }
            }
            let result;
            (result, self.received) = stream.recv(std::mem::take(&mut self.received)).await;
            let now = monotonic_ns();
            let end = match result {
                Ok(0) => self.end_of_stream(now),
                Ok(bytes) => {
                    if self.worker.is_counted(now) {
                        self.worker.stats.borrow_mut().received_bytes += bytes as u64;
                    }
                    self.take_answers(now)
                }
                Err(error) => Err(End::Broken(ErrorKind::Receive, error.to_string())),
            };
            if let Err(end) = end {
                return end;
            }
            if let Err(end) = self.ask_more(now) {
                return end;
            }
            self.set_deadline();
        }
    }

    /// Fills the connection up to its depth.
    fn ask_more(&mut self, now: u64) -> Result<(), End> {
        let limit = self.worker.plan.requests_per_connection.unwrap_or(u64::MAX);
        if self.asked >= limit {
            return if self.in_flight.is_empty() {
                Err(End::Close)
            } else {
                Ok(())
            };
        }
        if let Load::Closed { .. } = self.worker.plan.load {
            while self.in_flight.len() < self.depth && self.asked < limit {
                let Some(ticket) = self.worker.ticket_now(now) else {
                    break;
                };
                self.ask(ticket, now);
            }
        }
        if self.in_flight.is_empty() {
            Err(End::NoMoreTickets)
        } else {
            Ok(())
        }
    }

    /// Writes one request into the batch that is sent next.
    fn ask(&mut self, ticket: Ticket, now: u64) {
        let plan = &self.worker.plan;
        let mut draw = self.worker.draw.borrow_mut();
        draw.begin_request();
        if self.in_flight.is_empty() {
            self.history_begins += self.history.len() as u64;
            self.history.clear();
        } else if self.history.len() > HISTORY_BYTES {
            let begins = self.in_flight.front().map_or(0, |oldest| oldest.begins);
            let answered = usize::try_from(begins - self.history_begins).unwrap_or(0);
            self.history.drain(..answered);
            self.history_begins = begins;
        }
        let begins = self.history.len();
        let listed = plan.listed.as_ref().map(|listed| {
            let number = usize::try_from(ticket.number).unwrap_or(usize::MAX);
            &listed[number % listed.len()]
        });
        let shape_index = listed.map_or_else(|| plan.traffic.choose(&mut draw), |item| item.shape);
        let shape = &plan.traffic.shapes()[shape_index];
        let logged = listed.and_then(|item| item.origin);
        let origin = logged.unwrap_or_else(|| shape.draw_origin(&mut draw));
        let named = shape.origin(origin);
        match listed {
            None => shape.render(&mut self.history, &mut draw, named),
            Some(item) => shape.render_for(&mut self.history, &mut draw, named, &item.target),
        }
        self.outgoing.extend_from_slice(&self.history[begins..]);
        self.in_flight.push_back(InFlight {
            shape: shape_index,
            origin,
            intended_ns: ticket.intended_ns,
            sent_ns: now,
            begins: self.history_begins + begins as u64,
            bytes: self.history.len() - begins,
        });
        self.asked += 1;
        self.worker.note_sent(ticket.intended_ns, now);
        if self.in_flight.len() == 1 {
            self.set_deadline();
        }
    }

    fn set_deadline(&self) {
        match self.in_flight.front() {
            Some(oldest) => {
                self.watch
                    .arm(oldest.sent_ns + nanoseconds(self.worker.plan.timeout));
            }
            None => self.watch.disarm(),
        }
    }

    /// Reads all complete answers of what was received.
    fn take_answers(&mut self, now: u64) -> Result<(), End> {
        let mut consumed = 0;
        let mut end = Ok(());
        while let Some(oldest) = self.in_flight.front().copied() {
            let step = {
                let mut judges = self.worker.judges.borrow_mut();
                let shape = &self.worker.plan.traffic.shapes()[oldest.shape];
                let asked = Asked {
                    method: &shape.method,
                    origin: shape.origin(oldest.origin),
                };
                self.reader
                    .step(&self.received[consumed..], asked, &mut judges[oldest.shape])
            };
            match step {
                Ok(Step::Incomplete { consumed: taken }) => {
                    consumed += taken;
                    break;
                }
                Ok(Step::Answered {
                    consumed: taken,
                    answer,
                }) => {
                    consumed += taken;
                    self.in_flight.pop_front();
                    let persistence = answer.persistence;
                    self.record(oldest, answer, now);
                    if persistence == Persistence::Close {
                        end = Err(End::Close);
                        break;
                    }
                }
                Err(error) => return Err(broken(&error)),
            }
        }
        if end.is_ok() && self.in_flight.is_empty() && consumed < self.received.len() {
            // No request is lost by it, so it is counted by itself.
            let error = ProtocolError::Unasked;
            self.worker
                .note_error(ErrorKind::Protocol, now, || error.to_string());
            return Err(broken(&error));
        }
        self.received.drain(..consumed);
        let coming = self.reader.body_bytes_left();
        if coming > RECEIVE_BYTES as u64 {
            let room = usize::try_from(coming).unwrap_or(usize::MAX);
            self.received.reserve(room.min(RECEIVE_BYTES_LARGE));
        }
        self.last_used_ns = now;
        end
    }

    /// The peer sends nothing more.
    fn end_of_stream(&mut self, now: u64) -> Result<(), End> {
        let Some(oldest) = self.in_flight.front().copied() else {
            return Err(End::Close);
        };
        let ended = {
            let mut judges = self.worker.judges.borrow_mut();
            self.reader.end(&self.received, &mut judges[oldest.shape])
        };
        match ended {
            // An answer that lasts until the end, unless we ended it ourselves.
            Ok(Some(answer)) if self.watch.given_up().is_none() => {
                self.in_flight.pop_front();
                self.record(oldest, answer, now);
                Err(End::Close)
            }
            Ok(Some(_) | None) => {
                let text = "the server closed the connection instead of answering";
                Err(End::Broken(ErrorKind::Closed, text.to_owned()))
            }
            Err(error) => Err(broken(&error)),
        }
    }

    fn record(&mut self, request: InFlight, answer: Answer, now: u64) {
        self.worker.note_answer_time(now);
        if !self.worker.is_counted(request.intended_ns) {
            return;
        }
        let shape = &self.worker.plan.traffic.shapes()[request.shape];
        let mut stats = self.worker.stats.borrow_mut();
        let kind = &mut stats.kinds[shape.kind];
        let latency = now.saturating_sub(request.intended_ns);
        kind.record(answer.status, answer.cache, answer.body_bytes, latency);
        let Some(mismatch) = answer.mismatch else {
            return;
        };
        kind.record_mismatch(request.shape, mismatch);
        self.worker.keep_sample(|| {
            let begins =
                usize::try_from(request.begins - self.history_begins).unwrap_or(usize::MAX);
            let sent = self.history.get(begins..begins + request.bytes);
            Sample {
                kind: shape.kind,
                rule: shape.expectation.describe(mismatch),
                request: sent.unwrap_or_default().to_vec(),
                answer: answer.sample,
            }
        });
    }

    fn lose_in_flight(&mut self, kind: ErrorKind, text: &str) {
        for lost in self.in_flight.drain(..) {
            self.worker
                .note_error(kind, lost.intended_ns, || text.to_owned());
        }
    }
}

fn broken(error: &ProtocolError) -> End {
    End::Broken(ErrorKind::Protocol, error.to_string())
}
