//! A reader's handle: waits for the head, reads the body, lets go.

use std::sync::Arc;

use super::answer::{HeadStep, ReadStep};
use super::{Fill, Shared};
use crate::key::KeyHash;

/// A place in a fill: first it waits for the head, then it reads the body. Dropped, it lets go.
#[derive(Debug)]
pub struct Reader {
    pub(super) shared: Arc<Shared>,
    pub(super) fill: Arc<Fill>,
    pub(super) seat: usize,
}

impl Reader {
    /// The key of the fill.
    #[must_use]
    pub fn key(&self) -> KeyHash {
        self.fill.key
    }

    /// Is the head there? When not, worker `worker` is woken once there is something to find.
    pub fn poll_head(&mut self, worker: usize) -> HeadStep {
        self.fill.lock().head_step(self.seat, worker)
    }

    /// The next bytes of the body, from the first on. When there are none yet, worker `worker` is
    /// woken once there are.
    pub fn poll_next(&mut self, worker: usize) -> ReadStep {
        let (step, wakes) = self.fill.lock().read_step(self.seat, worker);
        self.shared.wake(self.fill.key, wakes);
        step
    }

    /// How many bytes were read.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.fill.lock().offset(self.seat)
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let wakes = self.fill.lock().detach(self.seat);
        self.shared.wake(self.fill.key, wakes);
    }
}
