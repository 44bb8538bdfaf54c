//! Per-worker copies of pointers, never of bodies: what makes a hit touch no cache line that another
//! worker writes.
//!
//! `FrontCache` remembers which stored response a key led to. A stored response that was replaced,
//! purged or evicted is retired by the store; one load tells, and the front forgets it. Only small
//! bodies are kept here, so that what an evicted entry still pins is bounded: 1,024 slots of 16 KiB,
//! for at most the second until the next sweep.
//!
//! `HeadMemo` remembers the head that a rule set made of a stored response, so that the header
//! operations of a repeated pair run once, with `Age` and `Cache-Status` of the current second.

use std::cell::RefCell;
use std::hash::{BuildHasher as _, Hasher as _};
use std::rc::Rc;
use std::sync::Arc;

use corsair_cache::{CacheStatus, Stored};
use foldhash::fast::FixedState;

/// Slots of a worker's front cache. A power of two.
const FRONT_SLOTS: usize = 1024;
/// Bodies beyond this are found in the shared store each time: one atomic count is nothing beside them.
pub(crate) const FRONT_BODY_BYTES_MAX: u64 = 16 * 1024;
/// Slots of a worker's head memo. A power of two.
const MEMO_SLOTS: usize = 1024;
/// A head beyond this is made anew each time.
const MEMO_HEAD_BYTES_MAX: usize = 4 * 1024;
/// Room for an age that grows by some digits.
const SAID_GROWTH_BYTES: usize = 16;
/// Hits served from the front between two that are also shown to the store, so that its replacement
/// policy sees what is hot.
const TOUCH_EVERY: u32 = 64;

/// A stored response as one worker sees it.
pub(crate) struct Front(Arc<Stored>);

impl Front {
    /// The stored response.
    pub(crate) fn stored(&self) -> &Stored {
        &self.0
    }

    /// The stored response with a count of its own.
    pub(crate) fn share(&self) -> Arc<Stored> {
        Arc::clone(&self.0)
    }
}

/// Key to stored response, for one worker.
pub(crate) struct FrontCache {
    slots: RefCell<Vec<Option<Rc<Front>>>>,
    hits: std::cell::Cell<u32>,
    hashing: FixedState,
}

/// What the front cache says.
pub(crate) enum FrontHit {
    /// Serve this.
    Known(Rc<Front>),
    /// Serve this, and show the store that it is hot.
    KnownAndHot(Rc<Front>),
}

impl FrontCache {
    /// An empty front cache. `seed` is a secret of the process: who chooses keys cannot choose which of
    /// them share a slot, and all that sharing costs is a look into the shared store.
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            slots: RefCell::new((0..FRONT_SLOTS).map(|_| None).collect()),
            hits: std::cell::Cell::new(0),
            hashing: FixedState::with_seed(seed),
        }
    }

    /// The stored response under this key, unless it was retired. The whole key is compared.
    #[inline]
    pub(crate) fn find(&self, key: &[u8]) -> Option<FrontHit> {
        let mut slots = self.slots.borrow_mut();
        let slot = &mut slots[self.slot_of(key)];
        let front = slot.as_ref()?;
        if front.stored().key() != key {
            return None;
        }
        if front.stored().is_retired() {
            *slot = None;
            return None;
        }
        let front = Rc::clone(front);
        let hits = self.hits.get() + 1;
        if hits == TOUCH_EVERY {
            self.hits.set(0);
            return Some(FrontHit::KnownAndHot(front));
        }
        self.hits.set(hits);
        Some(FrontHit::Known(front))
    }

    /// Remembers a response that does not vary and whose body is small.
    pub(crate) fn remember(&self, stored: &Arc<Stored>) -> Option<Rc<Front>> {
        if stored.body().len() > FRONT_BODY_BYTES_MAX || stored.is_variant() {
            return None;
        }
        let front = Rc::new(Front(Arc::clone(stored)));
        self.slots.borrow_mut()[self.slot_of(stored.key())] = Some(Rc::clone(&front));
        Some(front)
    }

    fn slot_of(&self, key: &[u8]) -> usize {
        let mut hasher = self.hashing.build_hasher();
        hasher.write(key);
        usize::try_from(hasher.finish() >> (64 - FRONT_SLOTS.ilog2()))
            .expect("shifted to the slots")
    }

    /// Forgets everything that was retired. Call once a second.
    pub(crate) fn sweep(&self) {
        for slot in self.slots.borrow_mut().iter_mut() {
            if slot
                .as_ref()
                .is_some_and(|front| front.stored().is_retired())
            {
                *slot = None;
            }
        }
    }
}

/// What a head was made from.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct HeadOrigin {
    /// The stored response's number, unique for the life of the process.
    pub(crate) stored: u64,
    /// The plan's generation and the route's number in it.
    pub(crate) rules: (u64, u32),
    /// Which of the edits that the rules make of it (`HeaderPolicy::variant`).
    pub(crate) variant: u64,
    /// Which response is made of it.
    pub(crate) shape: HeadShape,
}

/// The heads that are worth remembering.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum HeadShape {
    /// The stored status with the whole body.
    Whole,
    /// 304.
    NotModified,
}

/// What a head says of the moment and of the way to it; changes once a second while a response is hit.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct HeadSaid {
    /// Seconds.
    pub(crate) age: u64,
    /// The node's member of `Cache-Status`.
    pub(crate) status: CacheStatus<'static>,
}

/// Edited heads, for one worker.
pub(crate) struct HeadMemo {
    slots: RefCell<Vec<Option<MemoHead>>>,
}

/// A remembered head and what it was made from.
struct MemoHead {
    origin: HeadOrigin,
    said: HeadSaid,
    /// Where in `text` begins what `said` stands for.
    said_at: usize,
    text: Vec<u8>,
}

impl HeadMemo {
    /// An empty memo.
    pub(crate) fn new() -> Self {
        Self {
            slots: RefCell::new((0..MEMO_SLOTS).map(|_| None).collect()),
        }
    }

    /// Appends the remembered head to `out`, or lets `make` append what depends on `origin` and `say`
    /// what depends on `said`, and remembers what they appended.
    #[inline]
    pub(crate) fn append(
        &self,
        origin: HeadOrigin,
        said: HeadSaid,
        out: &mut Vec<u8>,
        make: impl FnOnce(&mut Vec<u8>),
        say: impl Fn(&mut Vec<u8>),
    ) {
        let slot_number = memo_slot_of(origin);
        let mut slots = self.slots.borrow_mut();
        if let Some(known) = &mut slots[slot_number]
            && known.origin == origin
        {
            if known.said != said {
                known.text.truncate(known.said_at);
                say(&mut known.text);
                known.said = said;
            }
            out.extend_from_slice(&known.text);
            return;
        }
        let start = out.len();
        make(out);
        let said_at = out.len() - start;
        say(out);
        remember(
            &mut slots[slot_number],
            origin,
            said,
            said_at,
            &out[start..],
        );
    }
}

#[cold]
fn remember(
    slot: &mut Option<MemoHead>,
    origin: HeadOrigin,
    said: HeadSaid,
    said_at: usize,
    head: &[u8],
) {
    if head.len() > MEMO_HEAD_BYTES_MAX {
        return;
    }
    let known = slot.get_or_insert_with(|| MemoHead {
        origin,
        said,
        said_at,
        text: Vec::with_capacity(head.len() + SAID_GROWTH_BYTES),
    });
    known.origin = origin;
    known.said = said;
    known.said_at = said_at;
    known.text.clear();
    known.text.extend_from_slice(head);
}

fn memo_slot_of(origin: HeadOrigin) -> usize {
    // Stored responses are numbered one after the other: spread them with the rule set's number.
    let mixed = origin.stored
        ^ (u64::from(origin.rules.1) << 5)
        ^ (u64::from(origin.shape == HeadShape::NotModified) << 9)
        // The top bits of a product with the golden ratio: any two variants are far apart.
        ^ (origin.variant.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 54);
    usize::try_from(mixed & (MEMO_SLOTS as u64 - 1)).expect("masked to the slots")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_made_once_for_a_pair_and_again_for_another_rule_set() {
        let memo = HeadMemo::new();
        let pair = HeadOrigin {
            stored: 7,
            rules: (1, 0),
            variant: 0,
            shape: HeadShape::Whole,
        };
        let other_rules = HeadOrigin {
            rules: (2, 0),
            ..pair
        };
        let made = std::cell::Cell::new(0);
        let make = |text: &'static [u8]| {
            let made = &made;
            move |out: &mut Vec<u8>| {
                made.set(made.get() + 1);
                out.extend_from_slice(text);
            }
        };
        let at = |age| HeadSaid {
            age,
            status: CacheStatus::new(corsair_cache::Outcome::Hit),
        };
        let say = |text: &'static [u8]| move |out: &mut Vec<u8>| out.extend_from_slice(text);
        let mut out = b"before ".to_vec();
        memo.append(pair, at(0), &mut out, make(b"head"), say(b"0"));
        memo.append(pair, at(0), &mut out, make(b"never"), say(b"never"));
        assert_eq!(out, b"before head0head0");
        memo.append(pair, at(10), &mut out, make(b"never"), say(b"10"));
        memo.append(pair, at(1), &mut out, make(b"never"), say(b"1"));
        assert_eq!(out, b"before head0head0head10head1");
        assert_eq!(made.get(), 1, "what is said changes alone");
        let other_variant = HeadOrigin { variant: 1, ..pair };
        memo.append(other_variant, at(1), &mut out, make(b"variant"), say(b"1"));
        memo.append(pair, at(1), &mut out, make(b"never"), say(b"1"));
        assert!(out.ends_with(b"variant1head1"), "both are remembered");
        assert_eq!(made.get(), 2);
        out.clear();
        memo.append(other_rules, at(1), &mut out, make(b"new"), say(b"1"));
        memo.append(pair, at(1), &mut out, make(b"head"), say(b"1"));
        assert_eq!(
            out, b"new1head1",
            "the slot was taken over, so the first pair is made anew"
        );
        assert_eq!(made.get(), 4);
    }
}
