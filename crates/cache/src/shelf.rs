//! The cache under the store: how it is built, and what leaving it means.
//!
//! A response that leaves is retired. A marker that leaves takes its variants along: nobody would
//! find them any more, and nobody could retire them when their URI is invalidated.

use std::sync::{Arc, Mutex, PoisonError};

use quick_cache::OptionsBuilder;

use crate::budget::Resize;
use crate::key::KeyHash;
use crate::slot::{Dropped, FoldBuilder, Retire, Slot, SlotWeight, VaryMarker};

/// How many of the largest objects a shard holds, when there are several shards.
const SHARD_OBJECTS_MIN: u64 = 32;
const SHARDS_MAX: u64 = 256;

type Cache = quick_cache::sync::Cache<KeyHash, Slot, SlotWeight, FoldBuilder, Retire>;

/// The cache and what it dropped.
pub(crate) struct Shelf {
    pub(crate) cache: Cache,
    pub(crate) dropped: Arc<Dropped>,
    /// Held while orphans are removed, so that who finds none left knows that they are gone.
    sweep: Mutex<()>,
}

impl core::fmt::Debug for Shelf {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Shelf")
            .field("weight", &self.cache.weight())
            .finish_non_exhaustive()
    }
}

fn shards_for(cache_bytes: u64, object_bytes_max: u64) -> u64 {
    let fitting = cache_bytes / object_bytes_max.max(1).saturating_mul(SHARD_OBJECTS_MIN);
    // The largest power of two that fits: the cache would round up.
    match fitting.min(SHARDS_MAX) {
        0 | 1 => 1,
        several => 1 << several.ilog2(),
    }
}

impl Shelf {
    /// A cache of `cache_bytes` for objects of up to `object_bytes_max`.
    pub(crate) fn new(cache_bytes: u64, object_bytes_max: u64, typical_objects: u64) -> Self {
        let shards = shards_for(cache_bytes, object_bytes_max);
        let dropped = Arc::new(Dropped::default());
        let options = OptionsBuilder::new()
            .shards(shards as usize)
            // The crate halves the shards while there are fewer than 32 items in each.
            .estimated_items_capacity(typical_objects.max(shards * 32) as usize)
            .weight_capacity(cache_bytes - cache_bytes % shards)
            .build()
            .expect("both capacities are given");
        let lifecycle = Retire(Arc::clone(&dropped));
        let cache = Cache::with_options(options, SlotWeight, FoldBuilder::default(), lifecycle);
        Self {
            cache,
            dropped,
            sweep: Mutex::new(()),
        }
    }

    pub(crate) fn put(&self, hash: KeyHash, slot: Slot) {
        self.cache.insert(hash, slot);
    }

    /// Removes one slot, and the variants when it lists any.
    pub(crate) fn remove(&self, hash: KeyHash) {
        match self.cache.remove(&hash) {
            Some((_, Slot::Response(stored))) => stored.retire(),
            Some((_, Slot::Vary(marker))) => {
                marker.supersede();
                self.remove_variants(&marker);
            }
            Some((_, Slot::HitForMiss(_))) | None => {}
        }
    }

    pub(crate) fn remove_variants(&self, marker: &VaryMarker) {
        for &variant in &marker.variants {
            if let Some((_, Slot::Response(stored))) = self.cache.remove(&variant) {
                stored.retire();
            }
        }
    }

    /// Removes the variants of markers that the cache dropped: nobody finds them any more, and
    /// nobody could retire them when their URI is invalidated.
    pub(crate) fn sweep_orphans(&self) {
        let _sweep = self.sweep.lock().unwrap_or_else(PoisonError::into_inner);
        for marker in self.dropped.take_orphaned() {
            self.remove_variants(&marker);
        }
    }
}

impl Resize for Shelf {
    fn resize(&self, capacity_bytes: u64) {
        let shards = self.cache.num_shards() as u64;
        // The crate rounds the share of a shard up.
        self.cache
            .set_capacity(capacity_bytes - capacity_bytes % shards);
        self.sweep_orphans();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shard_holds_32_of_the_largest_objects_or_is_the_only_one() {
        const MIB: u64 = 1 << 20;
        for (cache_mib, object_mib, shards) in [
            (256, 64, 1),
            (2_048, 64, 1),
            (4_096, 64, 2),
            (6_144, 64, 2),
            (65_536, 64, 32),
            (256, 1, 8),
            (u64::MAX >> 20, 1, 256),
            (256, u64::MAX >> 20, 1),
            (0, 0, 1),
        ] {
            let found = shards_for(cache_mib * MIB, object_mib * MIB);
            assert_eq!(found, shards, "{cache_mib} MiB of {object_mib} MiB");
        }
        let built = Shelf::new(256 * MIB, MIB, 32_768);
        assert_eq!(built.cache.num_shards(), 8);
        assert_eq!(built.cache.shard_capacity(), 32 * MIB);
    }
}
