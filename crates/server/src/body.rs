//! Message bodies being received, from a client or from an upstream: framing taken off piece by piece,
//! never more than one buffer held.

use std::io;
use std::rc::Rc;

use corsair_http1::{BodyLength, ChunkStep, ChunkedDecoder};

use crate::buffer::ReceiveBuffer;
use crate::clock::Clock;
use crate::deadline::{CREDIT_MS, Deadline, Late};
use crate::io::{Received, Receiver};

/// Why a body cannot be received to its end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BodyError {
    /// The peer closed or reset before the end.
    #[error("ended before its length")]
    Truncated,
    /// The socket failed.
    #[error("{0}")]
    Socket(#[from] io::Error),
    /// The framing is wrong.
    #[error("malformed chunk")]
    Malformed,
    /// The peer is slower than the limits allow.
    #[error("too slow")]
    TooSlow,
    /// More bytes than the limit.
    #[error("body too large")]
    TooLarge,
    /// Nobody wants the rest: the response is complete without it.
    #[error("called off")]
    CalledOff,
}

/// Where in a body its reader is.
enum Framing {
    Fixed(u64),
    Chunked(Box<ChunkedDecoder>),
    UntilClose,
    Complete,
}

/// Takes the framing off a body.
pub(crate) struct BodyReader {
    framing: Framing,
}

impl BodyReader {
    /// A reader at the beginning of a body.
    pub(crate) fn new(length: BodyLength) -> Self {
        let framing = match length {
            BodyLength::None | BodyLength::Fixed(0) => Framing::Complete,
            BodyLength::Fixed(length) => Framing::Fixed(length),
            BodyLength::Chunked => Framing::Chunked(Box::new(ChunkedDecoder::new())),
            BodyLength::UntilClose => Framing::UntilClose,
        };
        Self { framing }
    }

    /// Nothing is left to receive.
    pub(crate) fn is_complete(&self) -> bool {
        matches!(self.framing, Framing::Complete)
    }

    /// Makes the next piece of the body the first unread bytes of `buffer` and returns its length, or
    /// `None` at the end. The caller consumes the piece before it calls again.
    ///
    /// # Errors
    /// See [`BodyError`]; the connection cannot be used again.
    pub(crate) async fn next(
        &mut self,
        receiver: &mut Receiver,
        buffer: &mut ReceiveBuffer,
        pace: &mut Pace<'_>,
    ) -> Result<Option<usize>, BodyError> {
        loop {
            if let Some(piece) = self.take_buffered(buffer)? {
                return Ok(Some(piece));
            }
            if self.is_complete() {
                return Ok(None);
            }
            if !buffer.make_room(buffer.capacity()) {
                // Only a chunk head longer than the buffer could do that, and its bounds forbid it.
                return Err(BodyError::Malformed);
            }
            let received = match pace.receive(receiver, buffer).await {
                Ok(Received::Bytes(count)) => Ok(count),
                Ok(Received::CalledOff) => return Err(BodyError::CalledOff),
                Err(error) => Err(error),
            };
            match received {
                Ok(0) if pace.deadline.is_expired() => return Err(BodyError::TooSlow),
                Ok(0) if matches!(self.framing, Framing::UntilClose) => {
                    self.framing = Framing::Complete;
                }
                Ok(0) => return Err(BodyError::Truncated),
                Ok(_) => {}
                Err(_) if pace.deadline.is_expired() => return Err(BodyError::TooSlow),
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// A piece that has already arrived.
    fn take_buffered(&mut self, buffer: &mut ReceiveBuffer) -> Result<Option<usize>, BodyError> {
        match &mut self.framing {
            Framing::Complete => Ok(None),
            Framing::UntilClose => {
                let arrived = buffer.unread().len();
                Ok((arrived > 0).then_some(arrived))
            }
            Framing::Fixed(left) => {
                let arrived = buffer.unread().len() as u64;
                if arrived == 0 {
                    return Ok(None);
                }
                let piece = arrived.min(*left);
                *left -= piece;
                if *left == 0 {
                    self.framing = Framing::Complete;
                }
                Ok(Some(
                    usize::try_from(piece).expect("no more than what arrived"),
                ))
            }
            Framing::Chunked(decoder) => {
                let step = decoder
                    .step(buffer.unread())
                    .map_err(|_error| BodyError::Malformed)?;
                match step {
                    ChunkStep::Data { skip, len } => {
                        buffer.consume(skip);
                        Ok(Some(len))
                    }
                    ChunkStep::NeedMore { consumed } => {
                        buffer.consume(consumed);
                        Ok(None)
                    }
                    ChunkStep::Complete { consumed } => {
                        buffer.consume(consumed);
                        self.framing = Framing::Complete;
                        Ok(None)
                    }
                }
            }
        }
    }
}

/// How long a peer may take. For the least rate a bucket of milliseconds that bytes fill and waiting
/// empties; it stays with the deadline, so that what was earned in one send counts in the next.
pub(crate) struct Pace<'a> {
    deadline: &'a Rc<Deadline>,
    clock: &'a Clock,
    rule: PaceRule,
    waiting_since_ms: u64,
}

/// What the bucket obeys.
#[derive(Clone, Copy)]
pub(crate) enum PaceRule {
    /// So many milliseconds for each wait.
    EachWait(u64),
    /// On average so many bytes a second, and never silent for so many milliseconds.
    MinRate {
        /// Bytes a second.
        bytes_per_second: u64,
        /// The longest silence.
        silence_ms: u64,
    },
}

impl<'a> Pace<'a> {
    /// The pace of a peer whose deadline this is.
    pub(crate) fn new(deadline: &'a Rc<Deadline>, clock: &'a Clock, rule: PaceRule) -> Self {
        Self {
            deadline,
            clock,
            rule,
            waiting_since_ms: 0,
        }
    }

    /// Begins a wait: arms the deadline. Says when that is, in milliseconds of the coarse clock.
    pub(crate) fn begin(&mut self, late: Late) -> u64 {
        self.waiting_since_ms = self.clock.mono_ms();
        let allowed_ms = match self.rule {
            PaceRule::EachWait(milliseconds) => milliseconds,
            PaceRule::MinRate { silence_ms, .. } => self.deadline.credit_ms().get().min(silence_ms),
        };
        self.deadline.set(self.waiting_since_ms + allowed_ms, late);
        self.waiting_since_ms
    }

    /// The peer has taken so many bytes of what is being sent.
    pub(crate) fn note_taken(&self, bytes: usize) {
        self.deadline.note_taken(self.clock.mono_ms(), bytes);
    }

    /// Ends a wait that moved `bytes`.
    pub(crate) fn end(&mut self, bytes: usize) {
        self.deadline.clear();
        if let PaceRule::MinRate {
            bytes_per_second,
            silence_ms,
        } = self.rule
        {
            let waited_ms = self.clock.mono_ms().saturating_sub(self.waiting_since_ms);
            let earned_ms = (bytes as u64 * 1000).checked_div(bytes_per_second);
            let credit = self.deadline.credit_ms();
            let left_ms = credit.get().saturating_sub(waited_ms);
            let earned_ms = earned_ms.unwrap_or(u64::MAX);
            credit.set(
                left_ms
                    .saturating_add(earned_ms)
                    .min(silence_ms.max(CREDIT_MS)),
            );
        }
    }

    /// Receives once, within the pace.
    async fn receive(
        &mut self,
        receiver: &mut Receiver,
        buffer: &mut ReceiveBuffer,
    ) -> io::Result<Received> {
        self.begin(Late::EndReceive);
        let owned = std::mem::replace(buffer, ReceiveBuffer::placeholder());
        let (result, owned) = receiver
            .receive_until_called_off(owned, self.deadline.call_off())
            .await;
        *buffer = owned;
        self.end(match result {
            Ok(Received::Bytes(count)) => count,
            Ok(Received::CalledOff) | Err(_) => 0,
        });
        result
    }
}

/// Receives once into the free part of `buffer`.
pub(crate) async fn receive_more(
    receiver: &mut Receiver,
    buffer: &mut ReceiveBuffer,
) -> io::Result<usize> {
    let owned = std::mem::replace(buffer, ReceiveBuffer::placeholder());
    let (result, owned) = receiver.receive(owned).await;
    *buffer = owned;
    result
}
