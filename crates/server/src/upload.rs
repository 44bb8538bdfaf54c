//! A request body on its way to the upstream, beside the response that may already be on its way back.

use std::cell::Cell;
use std::future::Future;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;

use corsair_config::OutFraming;
use corsair_http1::{BodyLength, CHUNK_END, LAST_CHUNK, write_chunk_head};

use crate::body::{BodyError, BodyReader, Pace, PaceRule};
use crate::buffer::ReceiveBuffer;
use crate::deadline::{Deadline, Late};
use crate::forward::Forward;
use crate::io::{Receiver, Sender};
use crate::plan::millis;
use crate::worker::Worker;

/// How sending a request body ended.
pub(crate) enum Upload {
    /// All of it was sent.
    Complete,
    /// The client stopped, was too slow, or sent something malformed.
    ClientFailed(BodyError),
    /// The upstream takes no more; its response may say why.
    UpstreamStopped,
}

/// What the two directions of an exchange know of each other.
#[derive(Default)]
pub(crate) struct UploadState {
    ended: Cell<bool>,
    complete: Cell<bool>,
    response_began: Cell<bool>,
    stopped: Cell<bool>,
}

/// Whether the upload still runs.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Running {
    /// It does.
    Yes,
    /// It has ended.
    No,
}

impl UploadState {
    /// Notes how the upload ended.
    pub(crate) fn ended(&self, upload: &Upload) {
        self.ended.set(true);
        self.complete.set(matches!(upload, Upload::Complete));
    }

    /// All of the body has been sent: the client's connection can carry the next request.
    pub(crate) fn is_complete(&self) -> bool {
        self.complete.get()
    }

    /// From now on the upstream's deadline is that of its response.
    pub(crate) fn response_began(&self) {
        self.response_began.set(true);
    }

    fn has_response_begun(&self) -> bool {
        self.response_began.get()
    }

    /// Nobody wants the rest of the body.
    pub(crate) fn stop(&self) -> Running {
        self.stopped.set(true);
        if self.ended.get() {
            Running::No
        } else {
            Running::Yes
        }
    }

    fn is_stopped(&self) -> bool {
        self.stopped.get()
    }
}

/// How a body is written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum BodyCoding {
    /// As it is.
    Plain,
    /// In chunks.
    Chunked,
}

impl BodyCoding {
    /// How the pieces of a response with this framing are written.
    pub(crate) const fn of(framing: OutFraming) -> Self {
        match framing {
            OutFraming::Chunked => Self::Chunked,
            OutFraming::Length(_) | OutFraming::Close | OutFraming::Absent => Self::Plain,
        }
    }

    /// Appends a piece of a body.
    pub(crate) fn append(self, piece: &[u8], out: &mut Vec<u8>) {
        match self {
            Self::Plain => out.extend_from_slice(piece),
            Self::Chunked => {
                write_chunk_head(out, piece.len());
                out.extend_from_slice(piece);
                out.extend_from_slice(CHUNK_END);
            }
        }
    }

    /// Appends what tells the end of a body.
    pub(crate) fn append_end(self, out: &mut Vec<u8>) {
        match self {
            Self::Plain => {}
            Self::Chunked => out.extend_from_slice(LAST_CHUNK),
        }
    }
}

/// Sends a request body on to the upstream.
pub(crate) struct Uploader<'a> {
    pub(crate) worker: &'a Rc<Worker>,
    pub(crate) source: &'a mut Receiver,
    pub(crate) buffer: &'a mut ReceiveBuffer,
    pub(crate) sink: Sender,
    /// A deadline of its own: the response may be on its way to the same client.
    pub(crate) source_deadline: &'a Rc<Deadline>,
    /// Re-armed with every piece: the upstream's time to answer begins when the body is complete.
    pub(crate) upstream_deadline: Rc<Deadline>,
    pub(crate) forward: &'a Forward,
    pub(crate) upstream_timeout_ms: u64,
    pub(crate) state: Rc<UploadState>,
}

impl Uploader<'_> {
    /// Sends it to its end, or as far as both sides let it.
    pub(crate) async fn run(mut self) -> (Upload, Sender) {
        let limits = &self.forward.live.plan.limits;
        let rule = PaceRule::MinRate {
            bytes_per_second: limits.body_min_rate,
            silence_ms: millis(limits.idle_timeout),
        };
        let source_deadline = Rc::clone(self.source_deadline);
        let mut pace = Pace::new(&source_deadline, &self.worker.clock, rule);
        let mut reader = BodyReader::new(self.forward.length);
        let coding = match self.forward.length {
            BodyLength::Chunked => BodyCoding::Chunked,
            BodyLength::None | BodyLength::Fixed(_) | BodyLength::UntilClose => BodyCoding::Plain,
        };
        let mut total = 0_u64;
        let mut piece = self
            .worker
            .body_buffers
            .borrow_mut()
            .take()
            .unwrap_or_default();
        let ended = loop {
            piece.clear();
            if self.state.is_stopped() {
                break Upload::UpstreamStopped;
            }
            // While the client is waited for, the upstream is not late.
            if !self.state.has_response_begun() {
                self.upstream_deadline.clear();
            }
            let next = reader.next(self.source, self.buffer, &mut pace).await;
            let last = match next {
                Ok(Some(count)) => {
                    total += count as u64;
                    if total > limits.body_bytes {
                        break Upload::ClientFailed(BodyError::TooLarge);
                    }
                    coding.append(&self.buffer.unread()[..count], &mut piece);
                    self.buffer.consume(count);
                    false
                }
                Ok(None) => {
                    coding.append_end(&mut piece);
                    true
                }
                Err(error) => break Upload::ClientFailed(error),
            };
            self.arm_upstream();
            let result;
            (result, piece) = self.sink.send_all(piece).await;
            if result.is_err() {
                break Upload::UpstreamStopped;
            }
            self.arm_upstream();
            if last {
                break Upload::Complete;
            }
        };
        self.worker.body_buffers.borrow_mut().give(piece);
        (ended, self.sink)
    }

    /// The upstream's time to answer begins anew; once it answers, its deadline is the response's.
    fn arm_upstream(&self) {
        if self.state.has_response_begun() {
            return;
        }
        let now_ms = self.worker.clock.mono_ms();
        self.upstream_deadline
            .set(now_ms + self.upstream_timeout_ms, Late::End);
    }
}

/// Runs both to their ends, side by side; neither is ever dropped half-way.
pub(crate) async fn join<A: Future, B: Future>(a: A, b: B) -> (A::Output, B::Output) {
    let (mut a, mut b) = (pin!(a), pin!(b));
    let (mut a_output, mut b_output) = (None, None);
    std::future::poll_fn(|context| {
        if a_output.is_none()
            && let Poll::Ready(output) = a.as_mut().poll(context)
        {
            a_output = Some(output);
        }
        if b_output.is_none()
            && let Poll::Ready(output) = b.as_mut().poll(context)
        {
            b_output = Some(output);
        }
        if a_output.is_some() && b_output.is_some() {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    })
    .await;
    (
        a_output.expect("polled to its end"),
        b_output.expect("polled to its end"),
    )
}
