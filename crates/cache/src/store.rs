//! The store: stored responses by key hash, weighed in bytes, shared by all workers.
//!
//! RFC 9111 §3–§4, §4.1 (variants), §4.4 (invalidation). Over `quick_cache::sync`: shards behind
//! reader-writer locks, S3-FIFO-like eviction, byte weights. What that crate leaves to us:
//! - *An item heavier than a shard is refused, and a shard evicts before the whole is full.* So the
//!   number of shards follows from the largest object: a shard is 32 times as large, or there is
//!   only one shard. A response may weigh two fifths of a shard; a heavier one is refused: it is
//!   retired at once and counted. With the default 64 MiB objects, stores below 4 GiB have one
//!   shard: a read takes its lock shared for some dozen nanoseconds, and what is hot is answered
//!   from the workers' own front caches, which check one flag of the response instead.
//! - *The hash must not be guessable.* The key is a keyed 128-bit hash; the text is compared too.
//! - *Replaced, evicted and removed entries must be noticed by whoever still holds them.* They are
//!   retired, in the shard's lock, so before anybody can see their successor.
//! - *Memory in flight.* Reservations shrink what the cache may hold (`budget.rs`).
//!
//! A lookup takes no lock but the shard's, shared, and allocates nothing. Whatever changes a URI
//! (insert, invalidate) holds that URI's stripe lock. Memory of responses that were retired but are
//! still being sent is outside the budget, and counted beside it ([`Store::lingering`]).

use core::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use corsair_http1::{KnownField, Request};

use crate::budget::{Budget, BudgetExhausted, Reservation, Resize};
use crate::key::{KeyHash, KeySecret};
use crate::policy::CachePolicy;
use crate::shelf::Shelf;
use crate::slot::{Asker, MissMarker, Slot, Unnamed, VaryMarker};
use crate::stored::{Stored, StoredHead};
use crate::time::UnixMillis;
use crate::vary::{OriginForm, Selection, VaryOrigin, VarySpec, variant_hash};

/// The most variants one URI keeps; one more pushes the oldest out.
pub const VARIANTS_MAX: usize = 64;

/// The most origins of one URI that are known to share the response which names none of them; one more
/// pushes the oldest out, which costs it a fetch.
pub const UNNAMED_MAX: usize = 64;

/// The size of a typical response, for the size of the ghost list.
const TYPICAL_OBJECT_BYTES: u64 = 8 << 10;
/// What the index keeps for each of the ghosts, which are half as many as the typical objects.
const GHOST_BYTES: u64 = 128;

const STRIPES: usize = 64;
const EPOCHS: usize = 4096;

/// What a lookup found.
#[derive(Clone, Debug)]
pub enum Found {
    /// A stored response that this request selects. Whether it may be reused says `decide_reuse`.
    Hit(Arc<Stored>),
    /// Nothing. `fill_key` is what a fill for this request is collapsed under: the hash asked for,
    /// or the variant's when the URI is known to vary.
    Miss {
        /// The key for [`FillTable::join`](crate::FillTable::join).
        fill_key: KeyHash,
    },
    /// Answers for this URI could not be stored a moment ago: fetch alone, do not wait for others. What
    /// comes may be stored all the same, and takes the marker's place.
    HitForMiss {
        /// The key to renew or clear the marker under.
        fill_key: KeyHash,
    },
}

/// The invalidations seen when a fetch began. See [`Store::insert_fetched`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ticket {
    primary: KeyHash,
    epoch: u64,
}

impl Ticket {
    /// The hash of the URI's key.
    #[must_use]
    pub fn primary(&self) -> KeyHash {
        self.primary
    }
}

/// The shared store. Share it by `Arc` or reference; all methods take `&self`.
///
/// ```
/// use corsair_cache::{Found, KeySecret, Store, UnixMillis, hash_key};
/// use corsair_http1::{HeadLimits, RequestHead};
/// let secret = KeySecret([1; 16]);
/// let store = Store::new(256 << 20, secret);
/// let bytes = b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n";
/// let mut head = RequestHead::new();
/// head.parse(bytes, &HeadLimits::default()).unwrap();
/// let key = b"http://a/a";
/// let hash = hash_key(&secret, key);
/// let found = store.find(hash, key, head.view(bytes), UnixMillis(0));
/// assert!(matches!(found, Found::Miss { fill_key } if fill_key == hash));
/// ```
#[derive(Debug)]
pub struct Store {
    shelf: Arc<Shelf>,
    budget: Arc<Budget>,
    secret: KeySecret,
    capacity_bytes: u64,
    object_weight_max: u64,
    next_id: AtomicU64,
    refused: AtomicU64,
    lingering: Arc<AtomicU64>,
    stripes: Box<[Mutex<()>]>,
    epochs: Box<[AtomicU64]>,
}

impl Store {
    /// A store of `capacity_bytes` in all, for objects of up to the default 64 MiB.
    #[must_use]
    pub fn new(capacity_bytes: u64, secret: KeySecret) -> Self {
        Self::with_object_max(capacity_bytes, CachePolicy::default().max_object, secret)
    }

    /// A store of `capacity_bytes` in all, sharded for objects of up to `object_bytes_max`, which
    /// should be the largest `max_object` of any site.
    #[must_use]
    pub fn with_object_max(capacity_bytes: u64, object_bytes_max: u64, secret: KeySecret) -> Self {
        let typical_objects = (capacity_bytes / TYPICAL_OBJECT_BYTES).max(64);
        let ghosts_bytes = typical_objects / 2 * GHOST_BYTES;
        let cache_bytes = capacity_bytes.saturating_sub(ghosts_bytes);
        let shelf = Arc::new(Shelf::new(cache_bytes, object_bytes_max, typical_objects));
        Self {
            budget: Arc::new(Budget::new(
                cache_bytes,
                Arc::clone(&shelf) as Arc<dyn Resize>,
            )),
            object_weight_max: shelf.cache.shard_capacity() / 5 * 2,
            shelf,
            secret,
            capacity_bytes,
            next_id: AtomicU64::new(1),
            refused: AtomicU64::new(0),
            lingering: Arc::default(),
            stripes: (0..STRIPES).map(|_| Mutex::new(())).collect(),
            epochs: (0..EPOCHS).map(|_| AtomicU64::new(0)).collect(),
        }
    }

    /// Looks up a key: the response stored under it, or under the variant that `request` selects.
    ///
    /// `hash` must be `hash_key` of `key` under the store's secret. Allocates nothing.
    #[must_use]
    pub fn find(&self, hash: KeyHash, key: &[u8], request: Request<'_>, now: UnixMillis) -> Found {
        let cache = &self.shelf.cache;
        match cache.get(&hash).filter(|slot| slot.key() == key) {
            None => Found::Miss { fill_key: hash },
            Some(Slot::Response(stored)) => Found::Hit(stored),
            Some(Slot::HitForMiss(marker)) => marker.found(hash, now),
            Some(Slot::Vary(marker)) => {
                let selection = Selection::new(&marker.spec, request, OriginForm::Said);
                let variant = selection.hash(&self.secret, hash);
                match cache.get(&variant).filter(|slot| slot.key() == key) {
                    Some(Slot::Response(stored)) if selection.is(&stored.place.variant) => {
                        Found::Hit(stored)
                    }
                    Some(Slot::HitForMiss(marker)) => marker.found(variant, now),
                    Some(Slot::Response(_) | Slot::Vary(_)) | None => {
                        match self.find_shared((hash, &marker), variant, request, now) {
                            Some(stored) => Found::Hit(stored),
                            None => Found::Miss { fill_key: variant },
                        }
                    }
                }
            }
        }
    }

    /// The response that several origins share, when this request, whose own variant is not stored, is
    /// one of those that may be given it.
    #[cold]
    fn find_shared(
        &self,
        (hash, marker): (KeyHash, &VaryMarker),
        variant: KeyHash,
        request: Request<'_>,
        now: UnixMillis,
    ) -> Option<Arc<Stored>> {
        if !marker.spec.has_origin() {
            return None;
        }
        let selection = Selection::new(&marker.spec, request, OriginForm::Any);
        let slot = self.shelf.cache.get(&selection.hash(&self.secret, hash))?;
        let Slot::Response(stored) = slot else {
            return None;
        };
        if *stored.key() != *marker.key || !selection.is(&stored.place.variant) {
            return None;
        }
        let may_be_given = match stored.vary_origin() {
            VaryOrigin::Everybody => true,
            // What one origin was told ages on its own, whoever was told the same since; but where the
            // response is validated first, the upstream hears of the origin again.
            VaryOrigin::Unnamed => marker.unnamed.iter().any(|asked| {
                let is_heard = now < asked.until || !stored.freshness().is_reusable(now);
                asked.variant == variant && is_heard
            }),
            VaryOrigin::Keep | VaryOrigin::Ignore => false,
        };
        may_be_given.then_some(stored)
    }

    /// The key to collapse under when a fill's head turned out to vary: `None` when `request`
    /// selects that head, so it may follow; else the key of the variant it selects.
    #[must_use]
    pub fn variant_key(
        &self,
        primary: KeyHash,
        head: &StoredHead,
        request: Request<'_>,
    ) -> Option<KeyHash> {
        let spec = head.vary().filter(|_| !head.selects(request))?;
        Some(variant_hash(&self.secret, primary, spec, request))
    }

    /// What [`insert_fetched`](Self::insert_fetched) needs to know about the time a fetch begins.
    #[must_use]
    pub fn ticket(&self, hash: KeyHash) -> Ticket {
        Ticket {
            primary: hash,
            epoch: self.epoch(hash).load(Ordering::Acquire),
        }
    }

    /// Stores a response that a fetch brought, unless its URI was invalidated since the fetch
    /// began, as it may show what was there before. Then, or when it is too heavy, what is returned
    /// is retired already, and good for the requests that waited for it.
    ///
    /// `ticket` is that of the primary hash, taken before the request was sent. A few thousand URIs
    /// share an epoch, so now and then a response is not stored without need.
    pub fn insert_fetched(
        &self,
        ticket: Ticket,
        mut stored: Stored,
        request: Request<'_>,
    ) -> Arc<Stored> {
        // Also for one that is not kept: who serves it may remember things under its number.
        stored.place.id = self.next_id.fetch_add(1, Ordering::Relaxed);
        stored.count_lingering_in(Arc::clone(&self.lingering));
        let inserted = {
            let _stripe = self.lock_stripe(ticket.primary);
            if self.ticket(ticket.primary) == ticket {
                self.place(ticket.primary, stored, request)
            } else {
                stored.retire();
                Arc::new(stored)
            }
        };
        self.shelf.sweep_orphans();
        inserted
    }

    /// Stores a response under its key, or under the variant `request` selects, and retires what it
    /// replaces. Use [`insert_fetched`](Self::insert_fetched) for what took time to fetch.
    ///
    /// `hash` is the primary hash, `request` the one the response answers.
    pub fn insert(&self, hash: KeyHash, stored: Stored, request: Request<'_>) -> Arc<Stored> {
        self.insert_fetched(self.ticket(hash), stored, request)
    }

    /// Gives a response its place; the stripe is locked.
    fn place(&self, hash: KeyHash, mut stored: Stored, request: Request<'_>) -> Arc<Stored> {
        // Or the variants of a marker dropped a moment ago would take the new ones with them.
        self.shelf.sweep_orphans();
        let marker = match self.shelf.cache.peek(&hash) {
            Some(Slot::Vary(marker)) if *marker.key == *stored.key() => Some(marker),
            Some(_) | None => None,
        };
        // Since the node writes the CORS lines of this URI, nothing is told apart by `Origin` any more.
        let marker = match marker {
            Some(marker)
                if stored.vary_origin() == VaryOrigin::Ignore && marker.spec.has_origin() =>
            {
                self.shelf.remove(hash);
                None
            }
            marker => marker,
        };
        let spec = marker_spec(marker.as_deref(), stored.vary());
        let slot = match &spec {
            Some(spec) => {
                let form = form_of(&stored, spec);
                stored.place.variant = spec.variant_text_as(request, form);
                Selection::new(spec, request, form).hash(&self.secret, hash)
            }
            None => hash,
        };
        stored.place.slot = Some(slot);
        stored.place.primary = Some(hash);
        stored.place.weight = stored.weight();
        let stored = Arc::new(stored);
        if stored.place.weight > self.object_weight_max {
            self.refused.fetch_add(1, Ordering::Relaxed);
            stored.retire();
            // What it was to replace is older: it must not be found in its place. Which response
            // that was depends on names the marker will never learn, so all of the URI's go.
            self.shelf.remove(hash);
            return stored;
        }
        if let Some(spec) = spec {
            let said = variant_hash(&self.secret, hash, &spec, request);
            let asker = match request.has(KnownField::Origin) {
                true => Asker::Origin,
                false => Asker::Nobody,
            };
            let asked = Unnamed {
                variant: said,
                until: stored.freshness().reusable_until(),
                asker,
            };
            self.mark_variant(hash, &stored, spec, marker.as_deref(), (slot, asked));
        }
        self.shelf.put(slot, Slot::Response(Arc::clone(&stored)));
        stored
    }

    /// Enters a response into its URI's marker: the slot it goes into, and the one that its request
    /// selects by what it said, which are two where origins share a response.
    fn mark_variant(
        &self,
        hash: KeyHash,
        stored: &Stored,
        spec: VarySpec,
        old: Option<&VaryMarker>,
        (slot, asked): (KeyHash, Unnamed),
    ) {
        let said = asked.variant;
        let mut variants = Vec::new();
        let mut unnamed = Vec::new();
        if let Some(old) = old {
            if old.spec != spec {
                // Other names give other hashes: nobody would find the old variants again.
                self.shelf.remove_variants(old);
            } else {
                let is_known = old.variants.contains(&slot);
                if is_known && slot == said && old.unnamed.is_empty() {
                    return;
                }
                variants.extend_from_slice(&old.variants);
                unnamed.extend_from_slice(&old.unnamed);
            }
            old.supersede();
        }
        unnamed.retain(|known| known.variant != said);
        if slot != said {
            // The upstream names this origin no longer.
            self.shelf.remove(said);
            variants.retain(|&variant| variant != said);
        }
        match stored.vary_origin() {
            VaryOrigin::Unnamed => {
                if unnamed.len() >= UNNAMED_MAX {
                    let is_named = |known: &Unnamed| known.asker == Asker::Origin;
                    unnamed.remove(unnamed.iter().position(is_named).unwrap_or(0));
                }
                unnamed.push(asked);
            }
            // What others were told before says nothing of what they would be told now.
            VaryOrigin::Everybody => unnamed.clear(),
            VaryOrigin::Keep | VaryOrigin::Ignore => {}
        }
        if !variants.contains(&slot) {
            if variants.len() >= VARIANTS_MAX {
                self.shelf.remove(variants.remove(0));
            }
            variants.push(slot);
        }
        let marker = VaryMarker::new(stored.key(), spec, variants, unnamed);
        self.shelf.put(hash, Slot::Vary(Arc::new(marker)));
    }

    /// Notes at `now` that answers for this URI cannot be stored, so that requests for it do not wait
    /// for each other until `until`. `fill_key` and `key` are those of the lookup.
    ///
    /// A marker of variants stays, and so does a response that is fresh: what cannot be stored may be so
    /// for one request's sake (its cookies, its `no-cache`), and nobody must be able to take from the
    /// others what is stored for them. Only for a [`NoStore`](crate::NoStore) that `leaves_marker`.
    pub fn mark_hit_for_miss(
        &self,
        fill_key: KeyHash,
        key: &[u8],
        now: UnixMillis,
        until: UnixMillis,
    ) {
        {
            let _stripe = self.lock_stripe(fill_key);
            let stays = match self.shelf.cache.peek(&fill_key) {
                Some(Slot::Vary(_)) => true,
                Some(Slot::Response(stored)) => {
                    *stored.key() == *key && stored.freshness().is_reusable(now)
                }
                Some(Slot::HitForMiss(_)) | None => false,
            };
            if !stays {
                let marker = MissMarker {
                    key: key.into(),
                    until,
                };
                self.shelf.put(fill_key, Slot::HitForMiss(Arc::new(marker)));
            }
        }
        self.shelf.sweep_orphans();
    }

    /// Removes what is stored under a hash; all variants when it is a URI that varies.
    pub fn remove(&self, hash: KeyHash) {
        {
            let _stripe = self.lock_stripe(hash);
            self.shelf.remove(hash);
        }
        self.shelf.sweep_orphans();
    }

    /// Invalidates a URI (RFC 9111 §4.4): all that is stored for it goes, and what is being fetched
    /// at this moment will not be stored. [`FillTable::invalidate`](crate::FillTable::invalidate)
    /// sees to it that nobody joins those fetches any more.
    pub fn invalidate(&self, hash: KeyHash) {
        self.epoch(hash).fetch_add(1, Ordering::AcqRel);
        self.remove(hash);
    }

    /// Keeps a response warm that was served from a worker's front cache, so that the store's
    /// eviction knows. Once in some dozens of hits is enough.
    pub fn touch(&self, stored: &Stored) {
        let (slot, primary) = (stored.place.slot, stored.place.primary);
        for hash in slot.into_iter().chain(primary.filter(|_| primary != slot)) {
            drop(self.shelf.cache.get(&hash));
        }
    }

    /// Sets bytes aside for a fill. They count against the same budget as what is stored.
    ///
    /// # Errors
    /// [`BudgetExhausted`] when half of the budget is in flight already.
    pub fn reserve(&self, bytes: u64) -> Result<Reservation, BudgetExhausted> {
        Reservation::new(Arc::clone(&self.budget), bytes)
    }

    /// Bytes of everything stored.
    #[must_use]
    pub fn weight(&self) -> u64 {
        self.shelf.cache.weight()
    }

    /// Bytes set aside for fills.
    #[must_use]
    pub fn reserved(&self) -> u64 {
        self.budget.reserved()
    }

    /// Bytes of responses that were evicted or replaced and are still held, most often by slow readers.
    /// The budget does not cover them: who serves keeps them few.
    #[must_use]
    pub fn lingering(&self) -> u64 {
        self.lingering.load(Ordering::Relaxed)
    }

    /// The budget in bytes.
    #[must_use]
    pub fn capacity(&self) -> u64 {
        self.capacity_bytes
    }

    /// The heaviest response that is admitted, in bytes of [`Stored::weight`].
    #[must_use]
    pub fn object_weight_max(&self) -> u64 {
        self.object_weight_max
    }

    /// Entries, markers included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shelf.cache.len()
    }

    /// Is nothing stored?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.shelf.cache.is_empty()
    }

    /// Responses dropped or replaced by the cache so far.
    #[must_use]
    pub fn evicted(&self) -> u64 {
        self.shelf.dropped.responses.load(Ordering::Relaxed)
    }

    /// Responses refused so far because they were too heavy.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    fn epoch(&self, hash: KeyHash) -> &AtomicU64 {
        &self.epochs[hash.0 as usize % EPOCHS]
    }

    fn lock_stripe(&self, hash: KeyHash) -> MutexGuard<'_, ()> {
        let stripe = &self.stripes[(hash.0 >> 64) as usize % STRIPES];
        stripe.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Checks what must hold whenever no other thread is in the middle of a change. For tests.
    ///
    /// # Errors
    /// The first invariant that does not hold, in words.
    pub fn check_invariants(&self) -> Result<(), String> {
        let (weight, reserved) = (self.weight(), self.reserved());
        if weight + reserved > self.capacity_bytes {
            return Err(format!(
                "{weight} stored + {reserved} reserved exceed the budget"
            ));
        }
        if reserved > self.budget.granted() {
            return Err("more is reserved than was taken from the cache".to_owned());
        }
        for (hash, slot) in self.shelf.cache.iter() {
            self.check_slot(hash, &slot)?;
        }
        Ok(())
    }

    fn check_slot(&self, hash: KeyHash, slot: &Slot) -> Result<(), String> {
        match slot {
            Slot::Response(stored) => {
                let name = String::from_utf8_lossy(stored.key()).into_owned();
                let listed = |primary| match self.shelf.cache.peek(&primary) {
                    Some(Slot::Vary(marker)) => marker.variants.contains(&hash),
                    Some(Slot::Response(_) | Slot::HitForMiss(_)) | None => false,
                };
                if stored.is_retired() {
                    Err(format!("{name} is stored and retired"))
                } else if stored.place.slot != Some(hash) || stored.place.weight != stored.weight()
                {
                    Err(format!("{name} does not know its place"))
                } else if stored.place.primary != Some(hash)
                    && !stored.place.primary.is_some_and(listed)
                {
                    Err(format!("{name} is a variant no marker lists"))
                } else {
                    Ok(())
                }
            }
            Slot::Vary(marker) if marker.variants.len() > VARIANTS_MAX => {
                Err(format!("{} variants of one URI", marker.variants.len()))
            }
            Slot::Vary(marker) if marker.unnamed.len() > UNNAMED_MAX => {
                Err(format!("{} unnamed of one URI", marker.unnamed.len()))
            }
            Slot::Vary(_) | Slot::HitForMiss(_) => Ok(()),
        }
    }
}

impl MissMarker {
    fn found(&self, fill_key: KeyHash, now: UnixMillis) -> Found {
        if now < self.until {
            Found::HitForMiss { fill_key }
        } else {
            Found::Miss { fill_key }
        }
    }
}

/// What stands for `Origin` where a response is put: the same for all where they share it.
fn form_of(stored: &Stored, spec: &VarySpec) -> OriginForm {
    match stored.vary_origin() {
        VaryOrigin::Unnamed | VaryOrigin::Everybody if spec.has_origin() => OriginForm::Any,
        VaryOrigin::Unnamed | VaryOrigin::Everybody | VaryOrigin::Keep | VaryOrigin::Ignore => {
            OriginForm::Said
        }
    }
}

/// The names a URI's marker has after a response with `vary` came.
///
/// They only grow: a response that names fewer fields (often an error page) goes under the names
/// already known, which can only tell too many requests apart, never too few. When the union would
/// be too long, the newer names replace the older.
fn marker_spec(marker: Option<&VaryMarker>, vary: Option<&VarySpec>) -> Option<VarySpec> {
    match (marker, vary) {
        (None, vary) => vary.cloned(),
        (Some(marker), None) => Some(marker.spec.clone()),
        (Some(marker), Some(vary)) => Some(marker.spec.union(vary).unwrap_or_else(|| vary.clone())),
    }
}
