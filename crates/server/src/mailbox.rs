//! What crosses threads on the way to a worker: "look at these fills", "there is a new plan", "drain".
//! One wake for many messages: the bell rings only when it is not ringing already.

use std::io::Write as _;
use std::os::unix::net::UnixStream;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use corsair_cache::KeyHash;

/// The sending side of a worker's mailbox; any thread.
pub(crate) struct Mailbox {
    fills: Mutex<Vec<KeyHash>>,
    ringing: AtomicBool,
    bell: UnixStream,
}

impl Mailbox {
    /// A mailbox and the stream that its worker waits on.
    ///
    /// # Errors
    /// No descriptors are left.
    pub(crate) fn new() -> std::io::Result<(Self, UnixStream)> {
        let (bell, ear) = UnixStream::pair()?;
        bell.set_nonblocking(true)?;
        Ok((
            Self {
                fills: Mutex::new(Vec::new()),
                ringing: AtomicBool::new(false),
                bell,
            },
            ear,
        ))
    }

    /// Tells the worker that a fill that it waits for has moved.
    pub(crate) fn fill_moved(&self, key: KeyHash) {
        self.fills
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .push(key);
        self.ring();
    }

    /// Wakes the worker, which then looks at everything that is shared: plan, drain, fills.
    pub(crate) fn ring(&self) {
        if !self.ringing.swap(true, Ordering::AcqRel) {
            // A full pipe means that the worker has rings to read already.
            let _already_ringing = (&self.bell).write(&[1]);
        }
    }

    /// What came since the last call. The worker calls it after each ring.
    pub(crate) fn open(&self, fills: &mut Vec<KeyHash>) {
        self.ringing.swap(false, Ordering::AcqRel);
        let mut waiting = self
            .fills
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        fills.append(&mut waiting);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read as _;

    #[test]
    fn many_messages_ring_once_until_the_box_is_opened() {
        let (mailbox, mut ear) = Mailbox::new().expect("a socket pair");
        for n in 0..5 {
            mailbox.fill_moved(KeyHash(n));
        }
        let mut rings = [0; 8];
        assert_eq!(ear.read(&mut rings).expect("a ring"), 1);
        let mut fills = Vec::new();
        mailbox.open(&mut fills);
        assert_eq!(fills, (0..5).map(KeyHash).collect::<Vec<_>>());
        mailbox.ring();
        assert_eq!(ear.read(&mut rings).expect("a second ring"), 1);
    }
}
