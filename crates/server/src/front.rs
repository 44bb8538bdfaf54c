//! Per-worker copies of pointers, never of bodies: what makes a hit touch no cache line that another
//! worker writes.
//!
//! `FrontCache` remembers which stored response a key led to. A stored response that was replaced,
//! purged or evicted is retired by the store; one load tells, and the front forgets it. Only small
//! bodies are kept here, so that what an evicted entry still pins is bounded: 1,024 slots of 16 KiB,
//! for at most the second until the next sweep.
//!
//! `HeadMemo` remembers the head that a rule set made of a stored response, so that the header
//! operations of a repeated pair run once.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use corsair_cache::{KeyHash, Stored};

/// Slots of a worker's front cache. A power of two.
const FRONT_SLOTS: usize = 1024;
/// Bodies beyond this are found in the shared store each time: one atomic count is nothing beside them.
pub(crate) const FRONT_BODY_BYTES_MAX: u64 = 16 * 1024;
/// Slots of a worker's head memo. A power of two.
const MEMO_SLOTS: usize = 1024;
/// A head beyond this is made anew each time.
const MEMO_HEAD_BYTES_MAX: usize = 4 * 1024;
/// Hits served from the front between two that are also shown to the store, so that its replacement
/// policy sees what is hot.
const TOUCH_EVERY: u32 = 64;

/// A stored response as one worker sees it.
pub(crate) struct Front {
    hash: KeyHash,
    stored: Arc<Stored>,
}

impl Front {
    /// The stored response.
    pub(crate) fn stored(&self) -> &Stored {
        &self.stored
    }

    /// The stored response with a count of its own.
    pub(crate) fn share(&self) -> Arc<Stored> {
        Arc::clone(&self.stored)
    }
}

/// Key to stored response, for one worker.
pub(crate) struct FrontCache {
    slots: RefCell<Vec<Option<Rc<Front>>>>,
    hits: std::cell::Cell<u32>,
}

/// What the front cache says.
pub(crate) enum FrontHit {
    /// Serve this.
    Known(Rc<Front>),
    /// Serve this, and show the store that it is hot.
    KnownAndHot(Rc<Front>),
}

impl FrontCache {
    /// An empty front cache.
    pub(crate) fn new() -> Self {
        Self {
            slots: RefCell::new((0..FRONT_SLOTS).map(|_| None).collect()),
            hits: std::cell::Cell::new(0),
        }
    }

    /// The stored response under this key, unless it was retired. The whole key is compared.
    pub(crate) fn find(&self, hash: KeyHash, key: &[u8]) -> Option<FrontHit> {
        let mut slots = self.slots.borrow_mut();
        let slot = &mut slots[slot_of(hash)];
        let front = slot.as_ref()?;
        if front.hash != hash || front.stored.key() != key {
            return None;
        }
        if front.stored.is_retired() {
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
    pub(crate) fn remember(&self, hash: KeyHash, stored: &Arc<Stored>) -> Option<Rc<Front>> {
        if stored.body().len() > FRONT_BODY_BYTES_MAX || stored.is_variant() {
            return None;
        }
        let front = Rc::new(Front {
            hash,
            stored: Arc::clone(stored),
        });
        self.slots.borrow_mut()[slot_of(hash)] = Some(Rc::clone(&front));
        Some(front)
    }

    /// Forgets everything that was retired. Call once a second.
    pub(crate) fn sweep(&self) {
        for slot in self.slots.borrow_mut().iter_mut() {
            if slot.as_ref().is_some_and(|front| front.stored.is_retired()) {
                *slot = None;
            }
        }
    }
}

fn slot_of(hash: KeyHash) -> usize {
    usize::try_from(hash.0 & (FRONT_SLOTS as u128 - 1)).expect("masked to the slots")
}

/// What a head was made from.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct HeadOrigin {
    /// The stored response's number, unique for the life of the process.
    pub(crate) stored: u64,
    /// The plan's generation and the route's number in it.
    pub(crate) rules: (u64, u32),
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

/// Edited heads, for one worker.
pub(crate) struct HeadMemo {
    slots: RefCell<Vec<MemoSlot>>,
}

/// A remembered head and what it was made from.
type MemoSlot = Option<(HeadOrigin, Vec<u8>)>;

impl HeadMemo {
    /// An empty memo.
    pub(crate) fn new() -> Self {
        Self {
            slots: RefCell::new((0..MEMO_SLOTS).map(|_| None).collect()),
        }
    }

    /// Appends the remembered head to `out`, or lets `make` append it and remembers what it appended.
    pub(crate) fn append(
        &self,
        origin: HeadOrigin,
        out: &mut Vec<u8>,
        make: impl FnOnce(&mut Vec<u8>),
    ) {
        let slot_number = memo_slot_of(origin);
        {
            let slots = self.slots.borrow();
            if let Some((remembered, head)) = &slots[slot_number]
                && *remembered == origin
            {
                out.extend_from_slice(head);
                return;
            }
        }
        let start = out.len();
        make(out);
        let head = &out[start..];
        if head.len() > MEMO_HEAD_BYTES_MAX {
            return;
        }
        let mut slots = self.slots.borrow_mut();
        match &mut slots[slot_number] {
            Some((remembered, kept)) => {
                *remembered = origin;
                kept.clear();
                kept.extend_from_slice(head);
            }
            empty @ None => *empty = Some((origin, head.to_vec())),
        }
    }
}

fn memo_slot_of(origin: HeadOrigin) -> usize {
    // Stored responses are numbered one after the other: spread them with the rule set's number.
    let mixed = origin.stored
        ^ (u64::from(origin.rules.1) << 5)
        ^ (u64::from(origin.shape == HeadShape::NotModified) << 9);
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
        let mut out = b"before ".to_vec();
        memo.append(pair, &mut out, make(b"head"));
        memo.append(pair, &mut out, make(b"never"));
        assert_eq!(out, b"before headhead");
        assert_eq!(made.get(), 1);
        out.clear();
        memo.append(other_rules, &mut out, make(b"new"));
        memo.append(pair, &mut out, make(b"head"));
        assert_eq!(
            out, b"newhead",
            "the slot was taken over, so the first pair is made anew"
        );
    }
}
