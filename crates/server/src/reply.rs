//! The batch of responses that leaves a connection in one send: heads and small bodies one behind the
//! other in an arena, larger bodies by reference between them. Nothing is copied twice, nothing is
//! allocated once the batch has served a few requests, and a short send goes on where it stopped.

use std::io;
use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use corsair_cache::Stored;

use crate::front::Front;
use crate::io::{IoBuf, IoVecBuf, Sender};

/// Bodies up to this size are copied behind their head, so that one contiguous send leaves; larger ones
/// go by reference.
pub(crate) const COPY_BYTES_MAX: usize = 4 * 1024;
/// Requests answered before the batch is sent.
pub(crate) const BATCH_REQUESTS_MAX: usize = 64;
/// Bytes in the batch at which it is sent.
pub(crate) const BATCH_BYTES_MAX: usize = 512 * 1024;
/// Parts of one send; below the kernel's limit of 1,024.
const SEND_PARTS_MAX: usize = 512;
/// What an arena may keep of its size between batches.
const ARENA_KEPT_BYTES_MAX: usize = 128 * 1024;

/// Keeps body bytes alive while they are being sent.
pub(crate) enum BodyHold {
    /// A segment of a stored response of this worker's front cache: no shared reference count moves.
    Front(Rc<Front>, usize),
    /// A segment of a stored response.
    Stored(Arc<Stored>, usize),
    /// Bytes of a response that is still being received.
    Bytes(Bytes),
}

impl BodyHold {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Front(front, segment) => &front.stored().body().segments()[*segment],
            Self::Stored(stored, segment) => &stored.body().segments()[*segment],
            Self::Bytes(bytes) => bytes,
        }
    }
}

enum Part {
    Arena(Range<usize>),
    Body { hold: BodyHold, range: Range<usize> },
}

impl Part {
    fn len(&self) -> usize {
        match self {
            Self::Arena(range) | Self::Body { range, .. } => range.len(),
        }
    }
}

/// Responses on their way out, in order.
pub(crate) struct Batch {
    arena: Vec<u8>,
    /// Everything in front of `open`, in order; empty while the batch is contiguous.
    parts: Vec<Part>,
    /// Where the arena bytes begin that no part covers yet.
    open: usize,
    /// Bytes in `parts`.
    closed_bytes: usize,
    requests: usize,
    sent: usize,
    iovecs: Vec<libc::iovec>,
}

impl Batch {
    /// An empty batch.
    pub(crate) fn new() -> Box<Self> {
        Box::new(Self {
            arena: Vec::with_capacity(4 * 1024),
            parts: Vec::new(),
            open: 0,
            closed_bytes: 0,
            requests: 0,
            sent: 0,
            iovecs: Vec::new(),
        })
    }

    /// The place to append a head, or a small body behind it.
    pub(crate) fn arena(&mut self) -> &mut Vec<u8> {
        &mut self.arena
    }

    /// Appends body bytes by reference.
    pub(crate) fn push_body(&mut self, hold: BodyHold, range: Range<usize>) {
        if range.is_empty() {
            return;
        }
        self.close_arena_part();
        self.closed_bytes += range.len();
        self.parts.push(Part::Body { hold, range });
    }

    /// Counts one answered request.
    pub(crate) fn count_request(&mut self) {
        self.requests += 1;
    }

    /// Bytes to send.
    pub(crate) fn len(&self) -> usize {
        self.closed_bytes + (self.arena.len() - self.open)
    }

    /// Nothing to send.
    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// At one of its bounds: send before answering more.
    pub(crate) fn is_full(&self) -> bool {
        self.requests >= BATCH_REQUESTS_MAX
            || self.len() >= BATCH_BYTES_MAX
            || self.parts.len() >= SEND_PARTS_MAX - 2
    }

    /// Makes it empty, keeping what is worth keeping.
    pub(crate) fn clear(&mut self) {
        self.arena.clear();
        if self.arena.capacity() > ARENA_KEPT_BYTES_MAX {
            self.arena.shrink_to(ARENA_KEPT_BYTES_MAX);
        }
        self.parts.clear();
        self.iovecs.clear();
        self.open = 0;
        self.closed_bytes = 0;
        self.requests = 0;
        self.sent = 0;
    }

    fn close_arena_part(&mut self) {
        if self.arena.len() > self.open {
            self.closed_bytes += self.arena.len() - self.open;
            self.parts.push(Part::Arena(self.open..self.arena.len()));
            self.open = self.arena.len();
        }
    }

    /// Lists what is left to send after `self.sent` bytes.
    fn list_parts(&mut self) {
        self.iovecs.clear();
        let mut skip = self.sent;
        for part in &self.parts {
            if skip >= part.len() {
                skip -= part.len();
                continue;
            }
            let bytes = match part {
                Part::Arena(range) => &self.arena[range.clone()],
                Part::Body { hold, range } => &hold.bytes()[range.clone()],
            };
            let bytes = &bytes[skip..];
            skip = 0;
            self.iovecs.push(libc::iovec {
                iov_base: bytes.as_ptr().cast_mut().cast(),
                iov_len: bytes.len(),
            });
            if self.iovecs.len() == SEND_PARTS_MAX {
                break;
            }
        }
    }
}

/// What a sender tells while it sends; lets a slow reader be noticed.
pub(crate) trait Progress {
    /// `bytes` more of a batch that takes several operations have been taken by the kernel.
    fn sent(&self, bytes: usize);
}

/// Sends everything in the batch and empties it. Goes on after short sends.
///
/// # Errors
/// The socket's, or `WriteZero` when it takes no more. What was sent up to then is unknown to the peer's
/// application: the connection must be closed.
pub(crate) async fn send_all(
    sender: &mut Sender,
    mut batch: Box<Batch>,
    progress: &impl Progress,
) -> (io::Result<()>, Box<Batch>) {
    let contiguous = batch.parts.is_empty();
    if !contiguous {
        batch.close_arena_part();
    }
    let total = batch.len();
    let mut outcome = Ok(());
    while batch.sent < total {
        let result;
        (result, batch) = if contiguous {
            let (result, Contiguous(batch)) = sender.send(Contiguous(batch)).await;
            (result, batch)
        } else {
            batch.list_parts();
            let (result, Scattered(batch)) = sender.send_parts(Scattered(batch)).await;
            (result, batch)
        };
        match result {
            Ok(0) => outcome = Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => {
                batch.sent += count;
                // A batch that one operation takes whole has nobody waiting in it.
                if batch.sent < total || count < total {
                    progress.sent(count);
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => outcome = Err(error),
        }
        if outcome.is_err() {
            break;
        }
    }
    batch.clear();
    (outcome, batch)
}

struct Contiguous(Box<Batch>);

// SAFETY: the arena is on the heap behind a box, is not touched while the runtime owns this value, and
// the pointer and the length name the initialised bytes that are left to send.
unsafe impl IoBuf for Contiguous {
    fn read_ptr(&self) -> *const u8 {
        self.0.arena[self.0.sent..].as_ptr()
    }

    fn bytes_init(&self) -> usize {
        self.0.arena.len() - self.0.sent
    }
}

struct Scattered(Box<Batch>);

// SAFETY: the list and the arena are on the heap behind a box and are not touched while the runtime owns
// this value; every entry points into the arena or into bytes that a part of the same batch keeps alive.
unsafe impl IoVecBuf for Scattered {
    fn read_iovec_ptr(&self) -> *const libc::iovec {
        self.0.iovecs.as_ptr()
    }

    fn read_iovec_len(&self) -> usize {
        self.0.iovecs.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn left_to_send(batch: &mut Batch) -> Vec<u8> {
        batch.list_parts();
        batch
            .iovecs
            .iter()
            .flat_map(|part| {
                // SAFETY: the entries were listed just above and the batch is alive.
                unsafe { std::slice::from_raw_parts(part.iov_base.cast::<u8>(), part.iov_len) }
            })
            .copied()
            .collect()
    }

    #[test]
    fn parts_leave_in_order_from_any_offset() {
        let mut batch = Batch::new();
        batch.arena().extend_from_slice(b"head1 ");
        batch.push_body(BodyHold::Bytes(Bytes::from_static(b"xxbody1 yy")), 2..8);
        batch.arena().extend_from_slice(b"head2 small2 ");
        batch.push_body(BodyHold::Bytes(Bytes::from_static(b"body3")), 0..5);
        batch.close_arena_part();
        let whole = b"head1 body1 head2 small2 body3";
        assert_eq!(batch.len(), whole.len());
        for sent in 0..=whole.len() {
            batch.sent = sent;
            assert_eq!(
                left_to_send(&mut batch),
                &whole[sent..],
                "after {sent} bytes"
            );
        }
        batch.clear();
        assert!(batch.is_empty());
    }

    #[test]
    fn bounds_say_full() {
        let mut batch = Batch::new();
        for _ in 0..BATCH_REQUESTS_MAX - 1 {
            batch.count_request();
        }
        assert!(!batch.is_full());
        batch.count_request();
        assert!(batch.is_full());
        batch.clear();
        batch.arena().resize(BATCH_BYTES_MAX - 1, b'x');
        assert!(!batch.is_full());
        batch.arena().push(b'x');
        assert!(batch.is_full());
    }
}
