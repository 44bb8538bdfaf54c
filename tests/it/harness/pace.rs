//! Waiting: gates that a test opens, and conditions that are looked at again until they hold.
//!
//! Never a bare sleep as synchronisation. [`pause`] exists for the few tests whose subject is the
//! passing of real time (a deadline, a freshness lifetime).

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Longer than anything that works, shorter than a person's patience.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A door in a scripted conversation: closed until the test opens it, then open for good.
#[derive(Clone, Default)]
pub(crate) struct Gate(Arc<(Mutex<bool>, Condvar)>);

impl Gate {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn open(&self) {
        let (open, changed) = &*self.0;
        *open.lock().unwrap_or_else(PoisonError::into_inner) = true;
        changed.notify_all();
    }

    /// Waits until the gate is open; `false` when nobody opened it within the patience.
    pub(crate) fn pass(&self) -> bool {
        let (open, changed) = &*self.0;
        let guard = open.lock().unwrap_or_else(PoisonError::into_inner);
        let (guard, _) = changed
            .wait_timeout_while(guard, PATIENCE, |open| !*open)
            .unwrap_or_else(PoisonError::into_inner);
        *guard
    }
}

/// Looks at `condition` until it gives a value.
///
/// # Panics
///
/// When it has not within the patience; `what` names the condition.
#[track_caller]
pub(crate) fn eventually<T>(what: &str, condition: impl FnMut() -> Option<T>) -> T {
    within(PATIENCE, what, condition)
}

/// [`eventually`] with its own patience.
#[track_caller]
pub(crate) fn within<T>(
    patience: Duration,
    what: &str,
    mut condition: impl FnMut() -> Option<T>,
) -> T {
    let started = Instant::now();
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(
            started.elapsed() < patience,
            "not within {patience:?}: {what}"
        );
        pause(Duration::from_millis(5));
    }
}

/// Lets real time pass.
pub(crate) fn pause(time: Duration) {
    let until = Instant::now() + time;
    while let Some(left) = until.checked_duration_since(Instant::now()) {
        std::thread::park_timeout(left);
    }
}
