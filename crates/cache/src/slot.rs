//! What one slot of the store holds: a response, a marker that the URI varies, or a hit-for-miss
//! marker; how much it weighs; and what happens when the cache drops it.

use core::hash::{BuildHasherDefault, Hasher};
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use quick_cache::{Lifecycle, Weighter};
use smallvec::SmallVec;

use crate::key::KeyHash;
use crate::stored::Stored;
use crate::time::UnixMillis;
use crate::vary::VarySpec;

/// What a marker costs beside the heap memory it names, like a response's overhead.
const MARKER_OVERHEAD_BYTES: u64 = 320;

/// The value of the cache. Cloning copies a reference.
#[derive(Clone, Debug)]
pub(crate) enum Slot {
    Response(Arc<Stored>),
    Vary(Arc<VaryMarker>),
    HitForMiss(Arc<MissMarker>),
}

impl Slot {
    pub(crate) fn key(&self) -> &[u8] {
        match self {
            Self::Response(stored) => stored.key(),
            Self::Vary(marker) => &marker.key,
            Self::HitForMiss(marker) => &marker.key,
        }
    }

    fn weight(&self) -> u64 {
        match self {
            Self::Response(stored) => stored.place.weight,
            Self::Vary(marker) => marker.weight(),
            Self::HitForMiss(marker) => marker.key.len() as u64 + MARKER_OVERHEAD_BYTES,
        }
    }
}

/// The URI's responses depend on request fields: they lie under variant hashes.
///
/// Immutable; a new variant makes a new marker. The list is what makes it possible to remove all
/// variants of a URI, and to bound them.
#[derive(Debug)]
pub(crate) struct VaryMarker {
    pub(crate) key: Box<[u8]>,
    pub(crate) spec: VarySpec,
    /// Oldest first.
    pub(crate) variants: Box<[KeyHash]>,
    /// Oldest first: who may be given the response that names no origin.
    pub(crate) unnamed: Box<[Unnamed]>,
    /// A newer marker speaks for the variants now: dropping this one means nothing.
    superseded: AtomicBool,
}

/// Requests of one origin (or of none) that the upstream answered without naming it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Unnamed {
    /// The variant that such a request selects by what it said.
    pub(crate) variant: KeyHash,
    /// How long that answer is fresh.
    pub(crate) until: UnixMillis,
    /// Whether they named an origin.
    pub(crate) asker: Asker,
}

/// Who a request says it is from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Asker {
    /// It has an `Origin`, of which anybody can make up as many as there are places.
    Origin,
    /// It has none: most of what pages embed.
    Nobody,
}

impl VaryMarker {
    pub(crate) fn new(
        key: &[u8],
        spec: VarySpec,
        variants: Vec<KeyHash>,
        unnamed: Vec<Unnamed>,
    ) -> Self {
        Self {
            key: key.into(),
            spec,
            variants: variants.into(),
            unnamed: unnamed.into(),
            superseded: AtomicBool::new(false),
        }
    }

    pub(crate) fn supersede(&self) {
        self.superseded.store(true, Ordering::Release);
    }

    fn is_superseded(&self) -> bool {
        self.superseded.load(Ordering::Acquire)
    }

    fn weight(&self) -> u64 {
        let lists = size_of_val(&*self.variants) + size_of_val(&*self.unnamed);
        let heap = self.key.len() + self.spec.heap_bytes() + lists;
        heap as u64 + MARKER_OVERHEAD_BYTES
    }
}

/// The answers for this URI cannot be stored: requests need not wait for each other.
#[derive(Debug)]
pub(crate) struct MissMarker {
    pub(crate) key: Box<[u8]>,
    pub(crate) until: UnixMillis,
}

/// Folds the 128 bits of a key hash: they are keyed and even already.
#[derive(Clone, Copy, Default)]
pub(crate) struct Fold(u64);

pub(crate) type FoldBuilder = BuildHasherDefault<Fold>;

impl Hasher for Fold {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(byte);
        }
    }

    fn write_u128(&mut self, value: u128) {
        self.0 = value as u64 ^ (value >> 64) as u64;
    }
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct SlotWeight;

impl Weighter<KeyHash, Slot> for SlotWeight {
    fn weight(&self, _hash: &KeyHash, slot: &Slot) -> u64 {
        slot.weight()
    }
}

/// Markers the cache dropped whose variants are still in it, and counts of what was dropped.
#[derive(Default, Debug)]
pub(crate) struct Dropped {
    orphaned: Mutex<Vec<Arc<VaryMarker>>>,
    pub(crate) responses: AtomicU64,
}

impl Dropped {
    pub(crate) fn take_orphaned(&self) -> Vec<Arc<VaryMarker>> {
        core::mem::take(&mut *self.orphaned.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Called by the cache with the shard's lock held: so it marks and notes, and nothing else.
#[derive(Clone, Debug)]
pub(crate) struct Retire(pub(crate) Arc<Dropped>);

impl Lifecycle<KeyHash, Slot> for Retire {
    /// Holds what was dropped until the shard's lock is free: freeing a large body takes a while.
    type RequestState = SmallVec<[Slot; 2]>;

    fn on_evict(&self, dropped: &mut Self::RequestState, _hash: KeyHash, slot: Slot) {
        match &slot {
            Slot::Response(stored) => {
                stored.retire();
                self.0.responses.fetch_add(1, Ordering::Relaxed);
            }
            Slot::Vary(marker) if !marker.is_superseded() => {
                let mut orphaned = self
                    .0
                    .orphaned
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner);
                orphaned.push(Arc::clone(marker));
            }
            Slot::Vary(_) | Slot::HitForMiss(_) => {}
        }
        dropped.push(slot);
    }
}
