//! One open-addressed table for whole hosts and host suffixes, looked up in one walk.
//!
//! A lookup walks the host from the right in words of eight bytes and rolls a hash over them. It
//! probes only where a bitmap of lengths says that some rule has a suffix of that length and the
//! host has a dot there, and once at the full length. A probe reads one 16-byte slot in most cases
//! and confirms by comparing the text, so a hash collision can never grant anything.
//!
//! Slots lie in the order of their hashes: a home position is a monotone function of the hash, so
//! a probe ends at the first slot whose fingerprint is larger, on a miss as early as on a hit.
//! How far a slot may lie from home is bounded at build time by trying other seeds, then a larger
//! table. Lookups never allocate; the time is linear in the host's length and independent of the
//! number of rules but for cache misses.

use crate::host_name::HOST_BYTES_MAX;
use core::mem::size_of;

/// How many slots behind its home a key may lie: four cache lines and a bit.
const DISPLACEMENT_MAX: usize = 16;
/// Seeds tried before the table grows.
const SEEDS_MAX: u64 = 4;
/// Growth steps before a longer displacement is accepted; lookups stay right, only longer.
const GROWTHS_MAX: u32 = 4;

/// What part of a host a key stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum KeyKind {
    /// The whole host.
    Whole,
    /// Everything behind one of the host's dots.
    Suffix,
}

/// What the owner of the table keeps with a key.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Payload {
    pub(crate) reference: u32,
    pub(crate) port: u16,
    /// Only the low seven bits are kept.
    pub(crate) tag: u8,
}

/// One key on its way into the table.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Key<'a> {
    pub(crate) kind: KeyKind,
    /// 1 to [`HOST_BYTES_MAX`] bytes.
    pub(crate) text: &'a [u8],
}

/// 16 bytes, never astride two cache lines.
#[derive(Debug, Clone, Copy)]
#[repr(C, align(16))]
struct Slot {
    fingerprint: u32,
    text: u32,
    reference: u32,
    port: u16,
    text_len: u8,
    /// `KIND_SUFFIX` and the payload's tag.
    tag: u8,
}

const KIND_SUFFIX: u8 = 0x80;

impl Slot {
    /// Larger than every fingerprint, or equal to one and then refused by the empty text.
    const EMPTY: Self = Self {
        fingerprint: u32::MAX,
        text: 0,
        reference: 0,
        port: 0,
        text_len: 0,
        tag: 0,
    };

    #[inline]
    fn payload(&self) -> Payload {
        Payload {
            reference: self.reference,
            port: self.port,
            tag: self.tag & !KIND_SUFFIX,
        }
    }
}

/// A key that a lookup met, from the shortest suffix on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Met {
    pub(crate) kind: KeyKind,
    pub(crate) len: usize,
    pub(crate) payload: Payload,
}

#[derive(Debug, Clone)]
pub(crate) struct HostTable {
    slots: Vec<Slot>,
    /// Home positions; the slots behind the last home take what is displaced there.
    homes: u32,
    seed: u64,
    text: Vec<u8>,
    /// Bit `n` of the 256: some suffix key has `n` bytes.
    suffix_lengths: [u8; 32],
    /// Bit `n`: some whole-host key has `n` bytes.
    whole_lengths: [u8; 32],
}

impl HostTable {
    /// Builds the table. `settle` gets the indexes into `keys` of all equal keys, ascending, and
    /// says what to keep for them.
    pub(crate) fn build(keys: &[Key<'_>], mut settle: impl FnMut(&[u32]) -> Payload) -> Self {
        let mut table = Self {
            slots: Vec::new(),
            homes: 0,
            seed: 0,
            text: Vec::with_capacity(keys.iter().map(|key| key.text.len()).sum()),
            suffix_lengths: [0; 32],
            whole_lengths: [0; 32],
        };
        if keys.is_empty() {
            return table;
        }
        for key in keys {
            let lengths = match key.kind {
                KeyKind::Whole => &mut table.whole_lengths,
                KeyKind::Suffix => &mut table.suffix_lengths,
            };
            lengths[key.text.len() / 8] |= 1 << (key.text.len() % 8);
        }
        let order = table.choose_size(keys);
        table.place(keys, &order, &mut settle);
        table
    }

    /// Settles seed and size; returns the keys' indexes in slot order, equal keys beside each other.
    fn choose_size(&mut self, keys: &[Key<'_>]) -> Vec<(u64, u32)> {
        // Load factor about 0.55: 29 bytes of table a key.
        let mut homes = keys.len() + keys.len() * 4 / 5 + 1;
        for growth in 0..=GROWTHS_MAX {
            self.homes = u32::try_from(homes).expect("fewer than 2^31 patterns");
            for seed in 0..SEEDS_MAX {
                self.seed = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
                let order = self.order(keys);
                if growth == GROWTHS_MAX || self.displacement(keys, &order) <= DISPLACEMENT_MAX {
                    return order;
                }
            }
            homes += homes / 3;
        }
        unreachable!("the last growth accepts every displacement")
    }

    fn order(&self, keys: &[Key<'_>]) -> Vec<(u64, u32)> {
        let mut order: Vec<(u64, u32)> = (0u32..)
            .zip(keys)
            .map(|(index, key)| (hash_key(self.seed, key.kind, key.text), index))
            .collect();
        // Equal hashes of unequal keys are possible in principle: then the text decides, so that
        // equal keys are always neighbours.
        order.sort_unstable_by(|(a_hash, a), (b_hash, b)| {
            a_hash.cmp(b_hash).then_with(|| {
                let (a_key, b_key) = (&keys[*a as usize], &keys[*b as usize]);
                (a_key.kind, a_key.text, a).cmp(&(b_key.kind, b_key.text, b))
            })
        });
        order
    }

    fn displacement(&self, keys: &[Key<'_>], order: &[(u64, u32)]) -> usize {
        let mut next_free = 0;
        let mut worst = 0;
        for group in order.chunk_by(|a, b| is_same_key(keys, *a, *b)) {
            let home = self.home(fingerprint(group[0].0));
            let at = home.max(next_free);
            worst = worst.max(at - home);
            next_free = at + 1;
        }
        worst
    }

    fn place(
        &mut self,
        keys: &[Key<'_>],
        order: &[(u64, u32)],
        settle: &mut impl FnMut(&[u32]) -> Payload,
    ) {
        let mut slots = vec![Slot::EMPTY; self.homes as usize];
        let mut next_free = 0;
        let mut indexes = Vec::new();
        for group in order.chunk_by(|a, b| is_same_key(keys, *a, *b)) {
            let (hash, first) = group[0];
            let key = keys[first as usize];
            indexes.clear();
            indexes.extend(group.iter().map(|&(_, index)| index));
            let payload = settle(&indexes);
            let text = u32::try_from(self.text.len()).expect("fewer than 4 GiB of patterns");
            self.text.extend_from_slice(key.text);
            let kind = if key.kind == KeyKind::Suffix {
                KIND_SUFFIX
            } else {
                0
            };
            let at = self.home(fingerprint(hash)).max(next_free);
            next_free = at + 1;
            if at >= slots.len() {
                slots.push(Slot::EMPTY);
            }
            slots[at] = Slot {
                fingerprint: fingerprint(hash),
                text,
                reference: payload.reference,
                port: payload.port,
                text_len: u8::try_from(key.text.len()).expect("hosts have at most 253 bytes"),
                tag: kind | (payload.tag & !KIND_SUFFIX),
            };
        }
        // One empty slot behind the last key, so that a probe always meets an end.
        slots.push(Slot::EMPTY);
        slots.shrink_to_fit();
        self.text.shrink_to_fit();
        self.slots = slots;
    }

    #[inline]
    fn home(&self, fingerprint: u32) -> usize {
        // Multiply-shift instead of a mask: any size, and monotone in the fingerprint.
        ((u64::from(fingerprint) * u64::from(self.homes)) >> 32) as usize
    }

    /// Walks the host that ends `text` and starts at `start`; gives every key that equals it or is
    /// a suffix behind one of its dots to `accept`, shortest first. Returns what `accept` said
    /// last, so the longest key accepted.
    ///
    /// The bytes before `start` are only read to fill words; they do not count.
    #[inline]
    pub(crate) fn walk<T>(
        &self,
        text: &[u8],
        start: usize,
        mut accept: impl FnMut(Met) -> Option<T>,
    ) -> Option<T> {
        let host_len = text.len() - start;
        if host_len == 0 || host_len > HOST_BYTES_MAX || self.slots.is_empty() {
            return None;
        }
        let mut best = None;
        let mut state = self.seed;
        let mut end = text.len();
        for block in 0..host_len / 8 {
            let word = word_before(text, end);
            let candidates = dots(word) & self.suffix_lengths[block];
            if candidates != 0 {
                self.probe_suffixes(text, state, word, block, candidates, &mut accept, &mut best);
            }
            state = fold(state ^ word, ROLL);
            end -= 8;
        }
        let rest_len = host_len % 8;
        let mut word = 0;
        if rest_len > 0 {
            word = word_before(text, end) & low_bytes(rest_len);
            let block = host_len / 8;
            let candidates = dots(word) & self.suffix_lengths[block];
            if candidates != 0 {
                self.probe_suffixes(text, state, word, block, candidates, &mut accept, &mut best);
            }
        }
        if self.whole_lengths[host_len / 8] & (1 << (host_len % 8)) != 0 {
            let hash = finish(state, word, host_len, KeyKind::Whole);
            if let Some(met) = self.probe(hash, &text[start..], KeyKind::Whole) {
                best = accept(met).or(best);
            }
        }
        best
    }

    /// Probes behind each dot of one word that `candidates` names.
    #[inline]
    #[expect(
        clippy::too_many_arguments,
        reason = "the walk's registers, split off for reading"
    )]
    fn probe_suffixes<T>(
        &self,
        text: &[u8],
        state: u64,
        word: u64,
        block: usize,
        mut candidates: u8,
        accept: &mut impl FnMut(Met) -> Option<T>,
        best: &mut Option<T>,
    ) {
        while candidates != 0 {
            let place = candidates.trailing_zeros() as usize;
            candidates &= candidates - 1;
            let len = 8 * block + place;
            let hash = finish(state, word & low_bytes(place), len, KeyKind::Suffix);
            let Some(suffix) = text.get(text.len() - len..) else {
                return;
            };
            if let Some(met) = self.probe(hash, suffix, KeyKind::Suffix) {
                *best = accept(met).or(best.take());
            }
        }
    }

    #[inline]
    fn probe(&self, hash: u64, text: &[u8], kind: KeyKind) -> Option<Met> {
        let fingerprint = fingerprint(hash);
        let mut at = self.home(fingerprint);
        loop {
            let slot = self.slots.get(at)?;
            if slot.fingerprint >= fingerprint {
                if slot.fingerprint != fingerprint {
                    return None;
                }
                if self.is_key(slot, text, kind) {
                    return Some(Met {
                        kind,
                        len: text.len(),
                        payload: slot.payload(),
                    });
                }
            }
            at += 1;
        }
    }

    #[inline]
    fn is_key(&self, slot: &Slot, text: &[u8], kind: KeyKind) -> bool {
        let slot_kind = if slot.tag & KIND_SUFFIX != 0 {
            KeyKind::Suffix
        } else {
            KeyKind::Whole
        };
        let begin = slot.text as usize;
        usize::from(slot.text_len) == text.len()
            && slot_kind == kind
            && self.text.get(begin..begin + text.len()) == Some(text)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// All keys in slot order. Linear: for reports, never for requests.
    pub(crate) fn keys(&self) -> impl Iterator<Item = (Key<'_>, Payload)> {
        self.slots
            .iter()
            .filter(|slot| slot.text_len != 0)
            .map(|slot| {
                let begin = slot.text as usize;
                let text = &self.text[begin..begin + usize::from(slot.text_len)];
                let is_suffix = slot.tag & KIND_SUFFIX != 0;
                let kind = if is_suffix {
                    KeyKind::Suffix
                } else {
                    KeyKind::Whole
                };
                (Key { kind, text }, slot.payload())
            })
    }

    /// Bytes on the heap, texts included.
    pub(crate) fn heap_bytes(&self) -> usize {
        self.slots.capacity() * size_of::<Slot>() + self.text.capacity()
    }

    /// Bytes of the texts alone.
    pub(crate) fn text_bytes(&self) -> usize {
        self.text.len()
    }

    #[cfg(test)]
    fn worst_displacement(&self) -> usize {
        let occupied = self
            .slots
            .iter()
            .enumerate()
            .filter(|(_, slot)| slot.text_len != 0);
        occupied
            .map(|(at, slot)| at - self.home(slot.fingerprint))
            .max()
            .unwrap_or(0)
    }
}

fn is_same_key(keys: &[Key<'_>], a: (u64, u32), b: (u64, u32)) -> bool {
    let (a_key, b_key) = (&keys[a.1 as usize], &keys[b.1 as usize]);
    a.0 == b.0 && a_key.kind == b_key.kind && a_key.text == b_key.text
}

/// The eight bytes before `end`, the last of them lowest; bytes before the text are zero.
#[inline]
fn word_before(text: &[u8], end: usize) -> u64 {
    match text.get(..end).and_then(|head| head.last_chunk::<8>()) {
        Some(bytes) => u64::from_be_bytes(*bytes),
        None => text[..end]
            .iter()
            .fold(0, |word, &byte| (word << 8) | u64::from(byte)),
    }
}

#[inline]
const fn low_bytes(count: usize) -> u64 {
    // `count` is below 8 at every call.
    (1u64 << (8 * count)) - 1
}

/// Bit `i` says that byte `i` (from the low end) is a dot.
#[inline]
const fn dots(word: u64) -> u8 {
    const LOW: u64 = 0x7f7f_7f7f_7f7f_7f7f;
    let differs = word ^ 0x2e2e_2e2e_2e2e_2e2e;
    // The exact zero-byte test: no borrow runs from one byte into the next.
    let equal = !(((differs & LOW) + LOW) | differs | LOW);
    // Gathers the eight flags; their products do not overlap, so nothing carries.
    (((equal >> 7).wrapping_mul(0x0102_0408_1020_4080)) >> 56) as u8
}

const ROLL: u64 = 0xa076_1d64_78bd_642f;
const FINISH_WHOLE: u64 = 0xe703_7ed1_a0b4_28db;
const FINISH_SUFFIX: u64 = 0x8ebc_6af0_9c88_c6e3;

/// 64 x 64 -> 128 bit product, halves folded: every input bit reaches every output bit.
#[inline]
const fn fold(a: u64, b: u64) -> u64 {
    let product = (a as u128) * (b as u128);
    (product as u64) ^ ((product >> 64) as u64)
}

/// `partial` holds at most seven bytes, so its top byte is free for the length.
#[inline]
const fn finish(state: u64, partial: u64, len: usize, kind: KeyKind) -> u64 {
    let key = match kind {
        KeyKind::Whole => FINISH_WHOLE,
        KeyKind::Suffix => FINISH_SUFFIX,
    };
    let mixed = fold(state ^ partial ^ ((len as u64) << 56), key);
    fold(mixed, ROLL)
}

/// Slot order is fingerprint order, so the fingerprint is the hash's high half.
#[inline]
const fn fingerprint(hash: u64) -> u32 {
    (hash >> 32) as u32
}

/// The hash that [`HostTable::walk`] reaches at this key's length.
fn hash_key(seed: u64, kind: KeyKind, text: &[u8]) -> u64 {
    let mut state = seed;
    let mut end = text.len();
    while end >= 8 {
        state = fold(state ^ word_before(text, end), ROLL);
        end -= 8;
    }
    finish(state, word_before(text, end), text.len(), kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table<'a>(keys: &[(KeyKind, &'a str)]) -> HostTable {
        let keys: Vec<Key<'a>> = keys
            .iter()
            .map(|&(kind, text)| Key {
                kind,
                text: text.as_bytes(),
            })
            .collect();
        HostTable::build(&keys, |indexes| Payload {
            reference: indexes[0],
            port: 0,
            tag: 0,
        })
    }

    fn met(table: &HostTable, before: &str, host: &str) -> Vec<(KeyKind, usize)> {
        let text = format!("{before}{host}");
        let mut met = Vec::new();
        table.walk(text.as_bytes(), before.len(), |key| {
            met.push((key.kind, key.len));
            Some(())
        });
        met
    }

    #[test]
    fn dot_flags() {
        assert_eq!(dots(u64::from_be_bytes(*b"a.b.c..d")), 0b0101_0110);
        assert_eq!(dots(u64::from_be_bytes(*b"........")), 0xff);
        // 0x2f and 0xae are neighbours of the dot by one bit or one carry.
        assert_eq!(dots(u64::from_be_bytes(*b"//\xae-.-/\xae")), 0b0000_1000);
    }

    #[test]
    fn walks_from_the_shortest_suffix_to_the_whole_host() {
        use KeyKind::{Suffix, Whole};
        let table = table(&[
            (Suffix, "com"),
            (Suffix, "example.com"),
            (Whole, "example.com"),
            (Whole, "a.example.com"),
            (Suffix, "a.much.longer.name.than.one.word.example.com"),
        ]);
        for before in ["", "x", "a://", "https://", "a.b.c.d.e.f."] {
            let got = |host| met(&table, before, host);
            assert_eq!(
                got("a.example.com"),
                [(Suffix, 3), (Suffix, 11), (Whole, 13)]
            );
            assert_eq!(got("example.com"), [(Suffix, 3), (Whole, 11)]);
            assert_eq!(got("xexample.com"), [(Suffix, 3)]);
            assert_eq!(got("com"), []);
            assert_eq!(got(".com"), [(Suffix, 3)]);
            assert_eq!(
                got("x.a.much.longer.name.than.one.word.example.com").len(),
                3
            );
            assert_eq!(
                got("xa.much.longer.name.than.one.word.example.com").len(),
                2
            );
            assert_eq!(got(""), []);
        }
    }

    #[test]
    fn every_length_and_alignment_is_found() {
        let name = "abcdefghijklmnopqrstuvwxyz0123456789-".repeat(7);
        let texts: Vec<&str> = (1..=HOST_BYTES_MAX).map(|len| &name[..len]).collect();
        let keys: Vec<(KeyKind, &str)> = texts
            .iter()
            .flat_map(|text| [(KeyKind::Whole, *text), (KeyKind::Suffix, *text)])
            .collect();
        let table = table(&keys);
        assert_eq!(table.keys().count(), 2 * HOST_BYTES_MAX);
        for text in texts {
            assert_eq!(met(&table, "h://", text), [(KeyKind::Whole, text.len())]);
            if text.len() <= HOST_BYTES_MAX - 2 {
                let below = format!("x.{text}");
                assert_eq!(met(&table, "", &below), [(KeyKind::Suffix, text.len())]);
            }
        }
    }

    #[test]
    fn displacement_is_bounded_and_memory_counted() {
        let texts: Vec<String> = (0..50_000)
            .map(|n| format!("tenant-{n}.example.com"))
            .collect();
        let keys: Vec<(KeyKind, &str)> = texts
            .iter()
            .map(|text| (KeyKind::Whole, text.as_str()))
            .collect();
        let table = table(&keys);
        assert!(table.worst_displacement() <= DISPLACEMENT_MAX);
        let beyond_text = table.heap_bytes() - table.text_bytes();
        assert!(beyond_text <= 32 * texts.len(), "{beyond_text}");
    }
}
