//! The one byte budget: stored responses and fills in flight share it.
//!
//! A fill reserves bytes before it holds them. The reservation is taken away from what the cache
//! may hold, in coarse steps, so that the cache is told (and evicts) once in a while and not per
//! chunk. At any time: weight of the cache ≤ budget − granted, and reserved ≤ granted.

use core::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use thiserror::Error;

/// Steps per budget in which room is moved between cache and fills.
const STEPS: u64 = 64;

/// The budget has no room for that many more bytes in flight.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[error("the cache budget has no room for another {bytes} bytes in flight")]
pub struct BudgetExhausted {
    /// What was asked for.
    pub bytes: u64,
}

/// Told how much the cache may hold. Returns when it holds no more than that.
pub(crate) trait Resize: Send + Sync {
    fn resize(&self, capacity_bytes: u64);
}

/// The ledger.
pub(crate) struct Budget {
    capacity_bytes: u64,
    /// Fills may take half of the budget: the cache keeps the other half.
    reserved_max: u64,
    step_bytes: u64,
    reserved: AtomicU64,
    granted: AtomicU64,
    /// Held while the grant changes, so that the cache is told of the changes in their order.
    change: Mutex<()>,
    cache: Arc<dyn Resize>,
}

impl core::fmt::Debug for Budget {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Budget")
            .field("capacity_bytes", &self.capacity_bytes)
            .field("reserved", &self.reserved)
            .field("granted", &self.granted)
            .finish_non_exhaustive()
    }
}

impl Budget {
    pub(crate) fn new(capacity_bytes: u64, cache: Arc<dyn Resize>) -> Self {
        Self {
            capacity_bytes,
            reserved_max: capacity_bytes / 2,
            step_bytes: (capacity_bytes / STEPS).max(1),
            reserved: AtomicU64::new(0),
            granted: AtomicU64::new(0),
            change: Mutex::new(()),
            cache,
        }
    }

    pub(crate) fn reserved(&self) -> u64 {
        self.reserved.load(Ordering::SeqCst)
    }

    pub(crate) fn granted(&self) -> u64 {
        self.granted.load(Ordering::SeqCst)
    }

    fn take(&self, bytes: u64) -> Result<(), BudgetExhausted> {
        let add = |reserved: u64| {
            reserved
                .checked_add(bytes)
                .filter(|&wanted| wanted <= self.reserved_max)
        };
        let before = self
            .reserved
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, add)
            .map_err(|_| BudgetExhausted { bytes })?;
        if before + bytes > self.granted() {
            self.settle();
        }
        Ok(())
    }

    fn give_back(&self, bytes: u64) {
        let before = self.reserved.fetch_sub(bytes, Ordering::SeqCst);
        // Two steps of slack: a fill that comes and goes does not make the cache breathe.
        if self.granted().saturating_sub(before - bytes) > 2 * self.step_bytes {
            self.settle();
        }
    }

    /// Brings the grant in line with what is reserved.
    ///
    /// Sequentially consistent with `take`: either the loop here sees a reservation made meanwhile,
    /// or that reservation sees the new grant and settles itself.
    fn settle(&self) {
        let _in_order = self.change.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let (reserved, granted) = (self.reserved(), self.granted());
            if reserved <= granted && granted - reserved <= 2 * self.step_bytes {
                return;
            }
            let wanted = reserved
                .div_ceil(self.step_bytes)
                .saturating_mul(self.step_bytes);
            let wanted = wanted.min(self.capacity_bytes);
            self.cache.resize(self.capacity_bytes - wanted);
            self.granted.store(wanted, Ordering::SeqCst);
        }
    }
}

/// Bytes of the budget set aside for a fill. Given back when dropped.
#[derive(Debug)]
pub struct Reservation {
    budget: Arc<Budget>,
    bytes: u64,
}

impl Reservation {
    pub(crate) fn new(budget: Arc<Budget>, bytes: u64) -> Result<Self, BudgetExhausted> {
        budget.take(bytes)?;
        Ok(Self { budget, bytes })
    }

    /// How many bytes are set aside.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Makes it `bytes` in all. Shrinking always works; growing may make the store evict.
    ///
    /// # Errors
    /// [`BudgetExhausted`] when half of the budget is in flight already; the reservation is
    /// unchanged.
    pub fn resize(&mut self, bytes: u64) -> Result<(), BudgetExhausted> {
        if bytes > self.bytes {
            self.budget.take(bytes - self.bytes)?;
        } else {
            self.budget.give_back(self.bytes - bytes);
        }
        self.bytes = bytes;
        Ok(())
    }

    /// Sets aside `more` bytes in addition.
    ///
    /// # Errors
    /// As for [`resize`](Self::resize).
    pub fn grow(&mut self, more: u64) -> Result<(), BudgetExhausted> {
        self.resize(self.bytes.saturating_add(more))
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.budget.give_back(self.bytes);
    }
}
