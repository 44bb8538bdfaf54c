//! The receive buffer of a connection and the pool it comes from.
//!
//! A buffer is taken when bytes are there to be read and given back when the connection falls idle, so
//! that ten thousand idle connections hold no more of them than one worker keeps for the next burst.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use crate::io::IoBufMut;

/// The size a buffer starts with: a batch of pipelined heads, or a piece of a body.
pub(crate) const BUFFER_BYTES: usize = 16 * 1024;
/// The size of a buffer that moves bodies.
pub(crate) const BODY_BUFFER_BYTES: usize = 64 * 1024;
/// Bytes that a worker lets wait for the readers of what it passes on, all together.
const PASSING_BYTES: usize = 16 * 1024 * 1024;
/// Bytes that may wait for one reader: the most that a fill lets wait as well.
/// 1 MiB was no better for one client of a large body: it takes what comes, so that the window never
/// fills (256 MiB in three pairs, unoptimised: 1.72 to 1.96 s of CPU a GiB, with 1 MiB 1.60 to 2.20, and
/// the same 0.4 MiB at the peak); only a slow reader would hold more.
const SHARE_BYTES_MAX: usize = 128 * 1024;

/// Bytes received and not yet used (`start..end`), then room for more.
pub(crate) struct ReceiveBuffer {
    bytes: Box<[u8]>,
    start: usize,
    end: usize,
}

impl ReceiveBuffer {
    /// An empty buffer of `capacity` bytes.
    pub(crate) fn with_capacity(capacity: usize) -> Self {
        Self {
            bytes: vec![0; capacity].into_boxed_slice(),
            start: 0,
            end: 0,
        }
    }

    /// What stands in for a buffer while the kernel has it. Allocates nothing.
    pub(crate) fn placeholder() -> Self {
        Self {
            bytes: Box::default(),
            start: 0,
            end: 0,
        }
    }

    /// What arrived and was not used yet.
    pub(crate) fn unread(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    /// Marks the first `count` unread bytes as used.
    pub(crate) fn consume(&mut self, count: usize) {
        debug_assert!(
            count <= self.end - self.start,
            "only what arrived can be used"
        );
        self.start += count;
        if self.start == self.end {
            self.start = 0;
            self.end = 0;
        }
    }

    /// No unread bytes.
    pub(crate) fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// Bytes it can hold.
    pub(crate) fn capacity(&self) -> usize {
        self.bytes.len()
    }

    /// Forgets what is in it.
    pub(crate) fn clear(&mut self) {
        self.start = 0;
        self.end = 0;
    }

    /// Makes room behind the unread bytes: moves them to the front and, when they fill the buffer,
    /// doubles it up to `capacity_max`. `false` when it is full and may not grow.
    pub(crate) fn make_room(&mut self, capacity_max: usize) -> bool {
        if self.end < self.bytes.len() {
            return true;
        }
        if self.start > 0 {
            self.bytes.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
            return true;
        }
        let capacity = (self.bytes.len() * 2).min(capacity_max);
        if capacity <= self.bytes.len() {
            return false;
        }
        let mut larger = vec![0; capacity].into_boxed_slice();
        larger[..self.end].copy_from_slice(&self.bytes[..self.end]);
        self.bytes = larger;
        true
    }
}

// SAFETY: the bytes are on the heap and do not move while the runtime owns the value; the pointer and
// the length name the free part behind `end`, which lies inside the allocation and is initialised.
unsafe impl IoBufMut for ReceiveBuffer {
    fn write_ptr(&mut self) -> *mut u8 {
        self.bytes[self.end..].as_mut_ptr()
    }

    fn bytes_total(&mut self) -> usize {
        self.bytes.len() - self.end
    }

    unsafe fn set_init(&mut self, count: usize) {
        debug_assert!(
            self.end + count <= self.bytes.len(),
            "the kernel stays inside the buffer"
        );
        self.end += count;
    }
}

/// A bounded stack of things worth reusing.
pub(crate) struct Pool<T> {
    idle: Vec<T>,
    kept_max: usize,
}

impl<T> Pool<T> {
    /// A pool that keeps at most `kept_max` idle things.
    pub(crate) fn new(kept_max: usize) -> Self {
        Self {
            idle: Vec::new(),
            kept_max,
        }
    }

    /// Takes an idle one.
    pub(crate) fn take(&mut self) -> Option<T> {
        self.idle.pop()
    }

    /// Gives one back; beyond the bound it is dropped.
    pub(crate) fn give(&mut self, thing: T) {
        if self.idle.len() < self.kept_max {
            self.idle.push(thing);
        }
    }
}

/// The body buffers of a worker: those in use by what is being passed on, and idle ones.
pub(crate) struct BodyBuffers {
    idle: RefCell<Pool<ReceiveBuffer>>,
    in_use: Cell<usize>,
}

impl BodyBuffers {
    /// None yet; at most `kept_max` are kept idle.
    pub(crate) fn new(kept_max: usize) -> Rc<Self> {
        Rc::new(Self {
            idle: RefCell::new(Pool::new(kept_max)),
            in_use: Cell::new(0),
        })
    }

    /// Bytes of one response that may wait for its reader: everybody's part of [`PASSING_BYTES`]. Each
    /// holds up to two of them and three receives beside. Measured at the peak with 1,000 readers that take
    /// 2 KiB/s: 294 MiB above the start when every share is full, 154 MiB with these.
    pub(crate) fn share_bytes(&self) -> usize {
        (PASSING_BYTES / self.in_use.get().max(1)).clamp(BUFFER_BYTES, SHARE_BYTES_MAX)
    }
}

/// A body buffer that goes home when its connection ends, however that is: reused or not, answered or
/// failed.
pub(crate) struct HomedBuffer {
    buffer: ReceiveBuffer,
    home: Rc<BodyBuffers>,
}

impl HomedBuffer {
    /// An empty buffer of [`BODY_BUFFER_BYTES`], from `home` when one is there; a small one where many are
    /// in use.
    pub(crate) fn of(home: &Rc<BodyBuffers>) -> Self {
        home.in_use.set(home.in_use.get() + 1);
        let capacity = home.share_bytes().min(BODY_BUFFER_BYTES);
        let idle = if capacity == BODY_BUFFER_BYTES {
            home.idle.borrow_mut().take()
        } else {
            None
        };
        Self {
            buffer: idle.unwrap_or_else(|| ReceiveBuffer::with_capacity(capacity)),
            home: Rc::clone(home),
        }
    }
}

impl Drop for HomedBuffer {
    fn drop(&mut self) {
        self.home.in_use.set(self.home.in_use.get() - 1);
        let mut buffer = std::mem::replace(&mut self.buffer, ReceiveBuffer::placeholder());
        // The placeholder of an operation that was given up is not worth keeping.
        if buffer.capacity() == BODY_BUFFER_BYTES {
            buffer.clear();
            self.home.idle.borrow_mut().give(buffer);
        }
    }
}

impl std::ops::Deref for HomedBuffer {
    type Target = ReceiveBuffer;

    fn deref(&self) -> &ReceiveBuffer {
        &self.buffer
    }
}

impl std::ops::DerefMut for HomedBuffer {
    fn deref_mut(&mut self) -> &mut ReceiveBuffer {
        &mut self.buffer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(buffer: &mut ReceiveBuffer, bytes: &[u8]) {
        let room = buffer.bytes_total();
        assert!(bytes.len() <= room);
        let end = buffer.end;
        buffer.bytes[end..end + bytes.len()].copy_from_slice(bytes);
        // SAFETY: the bytes were written just above.
        unsafe { buffer.set_init(bytes.len()) };
    }

    #[test]
    fn unread_bytes_survive_moving_and_growing() {
        let mut buffer = ReceiveBuffer::with_capacity(8);
        put(&mut buffer, b"abcdefgh");
        assert_eq!(buffer.bytes_total(), 0);
        buffer.consume(3);
        assert!(buffer.make_room(8));
        assert_eq!(buffer.unread(), b"defgh");
        put(&mut buffer, b"ijk");
        assert!(!buffer.make_room(8), "full at the bound");
        assert!(buffer.make_room(12), "one past it may grow");
        assert_eq!(buffer.capacity(), 12);
        assert_eq!(buffer.unread(), b"defghijk");
        buffer.consume(8);
        assert!(buffer.is_empty());
        assert_eq!(buffer.bytes_total(), 12);
    }

    #[test]
    fn a_body_buffer_goes_home_empty_unless_the_kernel_has_it() {
        let home = BodyBuffers::new(2);
        let mut homed = HomedBuffer::of(&home);
        put(&mut homed, b"left over");
        drop(homed);
        let mut again = HomedBuffer::of(&home);
        assert!(again.is_empty(), "nothing of the last exchange is in it");
        let _with_the_kernel = std::mem::replace(&mut *again, ReceiveBuffer::placeholder());
        drop(again);
        assert!(home.idle.borrow_mut().take().is_none());
    }

    #[test]
    fn many_at_once_have_smaller_shares_and_the_last_one_all_of_it() {
        let home = BodyBuffers::new(2);
        let full = PASSING_BYTES / BODY_BUFFER_BYTES;
        let mut crowd: Vec<_> = (0..full).map(|_| HomedBuffer::of(&home)).collect();
        assert_eq!(home.share_bytes(), BODY_BUFFER_BYTES);
        crowd.extend((0..full * 7).map(|_| HomedBuffer::of(&home)));
        assert_eq!(home.share_bytes(), BUFFER_BYTES, "never less");
        let capacities = |at: usize| crowd[at].capacity();
        assert_eq!(capacities(full - 1), BODY_BUFFER_BYTES);
        assert!((BUFFER_BYTES..BODY_BUFFER_BYTES).contains(&capacities(full)));
        assert_eq!(capacities(full * 8 - 1), BUFFER_BYTES);
        crowd.truncate(1);
        assert_eq!(home.share_bytes(), SHARE_BYTES_MAX);
        crowd.clear();
        assert_eq!(home.in_use.get(), 0);
    }

    #[test]
    fn a_pool_keeps_no_more_than_its_bound() {
        let mut pool = Pool::new(2);
        for n in 0..5 {
            pool.give(n);
        }
        assert_eq!(
            [pool.take(), pool.take(), pool.take()],
            [Some(1), Some(0), None]
        );
    }
}
