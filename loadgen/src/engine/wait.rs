//! Waiting for another task of the same thread.
//!
//! Nothing here crosses threads, and nobody wakes themselves: with `DEFER_TASKRUN` that would
//! starve the ring.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::task::{Poll, Waker};

/// A place for one value that one task waits for.
pub(super) struct Slot<T> {
    value: Cell<Option<T>>,
    waker: Cell<Option<Waker>>,
}

impl<T> Slot<T> {
    pub(super) fn new() -> Self {
        Self {
            value: Cell::new(None),
            waker: Cell::new(None),
        }
    }

    /// Puts a value there and wakes who waits for it.
    pub(super) fn give(&self, value: T) {
        self.value.set(Some(value));
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    /// Waits for the value.
    pub(super) async fn take(&self) -> T {
        poll_fn(|context| match self.value.take() {
            Some(value) => Poll::Ready(value),
            None => {
                self.waker.set(Some(context.waker().clone()));
                Poll::Pending
            }
        })
        .await
    }
}

/// Something that happens again and again, and that any number of tasks wait for.
#[derive(Default)]
pub(super) struct Bell {
    count: Cell<u64>,
    wakers: RefCell<Vec<Waker>>,
}

impl Bell {
    /// Wakes all who wait.
    pub(super) fn ring(&self) {
        self.count.set(self.count.get() + 1);
        for waker in self.wakers.take() {
            waker.wake();
        }
    }

    /// Waits until it rings next.
    pub(super) async fn rung(&self) {
        let before = self.count.get();
        poll_fn(|context| {
            if self.count.get() != before {
                return Poll::Ready(());
            }
            self.wakers.borrow_mut().push(context.waker().clone());
            Poll::Pending
        })
        .await;
    }
}
