//! One hash table for whole hosts and host suffixes, looked up in a walk from the right.
//!
//! A lookup walks the host from the right in words of eight bytes and sums a hash over them. It
//! probes only where a bitmap of lengths says that some rule has a suffix of that length and the
//! host has a dot there, and once at the full length. A probe confirms by comparing the text, so a
//! hash collision can never grant anything.
//!
//! The table is an index of one 8-byte entry a key, and the records of each bucket packed behind
//! each other with their texts inside. A miss mostly ends at the index, whose entries carry a
//! filter of 32 bits; a hit then reads one place of the records. Slots that point to texts kept
//! elsewhere were measured against it at 100,000 keys: one dependent cache miss more, 1.6 times the
//! memory. How long a bucket may grow is bounded at build time by trying other seeds. Lookups never
//! allocate; their time is linear in the host's length and independent of the number of rules but
//! for cache misses.

use crate::host_name::HOST_BYTES_MAX;
use core::mem::size_of;

/// Most records of a bucket; 100,000 keys have 8 at their most crowded place.
const BUCKET_RECORDS_MAX: usize = 12;
/// Seeds tried before a longer bucket is accepted; lookups stay right, only longer.
const SEEDS_MAX: u64 = 8;

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
    /// Below 2^31.
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
    /// What to keep when no other key is equal; `None` when that must be settled anyway.
    pub(crate) payload: Option<Payload>,
}

/// Where a bucket's records begin, and which of 32 values some key's hash has there.
#[derive(Debug, Clone, Copy, Default)]
#[repr(align(8))]
struct Bucket {
    offset: u32,
    filter: u32,
}

/// A record is this head and the key's text. Little-endian in one word, from the low end:
/// reference (31 bits), `LAST`, port (16), tag (7), `SUFFIX`, text length (8).
#[derive(Debug, Clone, Copy)]
struct RecordHead(u64);

const HEAD_BYTES: usize = size_of::<u64>();
const LAST: u64 = 1 << 31;
const SUFFIX: u64 = 1 << 55;
/// What tells keys of one bucket apart before their texts are compared.
const KIND_AND_LEN: u64 = SUFFIX | 0xff << 56;

impl RecordHead {
    fn new(key: Key<'_>, payload: Payload) -> Self {
        debug_assert!(
            u64::from(payload.reference) < LAST,
            "references have 31 bits"
        );
        Self(
            u64::from(payload.reference)
                | u64::from(payload.port) << 32
                | u64::from(payload.tag & 0x7f) << 48
                | kind_and_len(key.kind, key.text.len()),
        )
    }

    #[inline]
    fn payload(self) -> Payload {
        Payload {
            reference: (self.0 & (LAST - 1)) as u32,
            port: (self.0 >> 32) as u16,
            tag: (self.0 >> 48) as u8 & 0x7f,
        }
    }

    #[inline]
    fn text_len(self) -> usize {
        (self.0 >> 56) as usize
    }
}

#[inline]
const fn kind_and_len(kind: KeyKind, len: usize) -> u64 {
    let suffix = match kind {
        KeyKind::Whole => 0,
        KeyKind::Suffix => SUFFIX,
    };
    suffix | (len as u64) << 56
}

#[derive(Debug, Clone, Default)]
pub(crate) struct HostTable {
    buckets: Vec<Bucket>,
    records: Vec<u8>,
    text_bytes: usize,
    seed: u64,
    has_suffixes: bool,
    /// Bit `n` of the 256: some suffix key has `n` bytes.
    suffix_lengths: [u8; 32],
    /// Bit `n`: some whole-host key has `n` bytes.
    whole_lengths: [u8; 32],
}

impl HostTable {
    /// Builds the table. `settle` gets the indexes into `keys` of equal keys, ascending, and says
    /// what to keep for them; for a key that is alone and has its payload it is not asked.
    pub(crate) fn build(keys: &[Key<'_>], mut settle: impl FnMut(&[u32]) -> Payload) -> Self {
        let mut table = Self::default();
        for key in keys {
            let lengths = match key.kind {
                KeyKind::Whole => &mut table.whole_lengths,
                KeyKind::Suffix => &mut table.suffix_lengths,
            };
            lengths[key.text.len() / 8] |= 1 << (key.text.len() % 8);
            table.has_suffixes |= key.kind == KeyKind::Suffix;
        }
        table.buckets = vec![Bucket::default(); keys.len()];
        let order = table.choose_seed(keys);
        table.place(keys, &order, &mut settle);
        table
    }

    /// Settles the seed; returns hashes and indexes of the keys in bucket order, equal keys beside
    /// each other.
    fn choose_seed(&mut self, keys: &[Key<'_>]) -> Vec<(u64, u32)> {
        let mut attempt = 0u64;
        loop {
            self.seed = attempt.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let order = self.order(keys);
            attempt += 1;
            if attempt == SEEDS_MAX || self.longest_bucket(keys, &order) <= BUCKET_RECORDS_MAX {
                return order;
            }
        }
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

    fn longest_bucket(&self, keys: &[Key<'_>], order: &[(u64, u32)]) -> usize {
        let records =
            |bucket: &[(u64, u32)]| bucket.chunk_by(|a, b| is_same_key(keys, *a, *b)).count();
        let buckets = order.chunk_by(|a, b| self.home(a.0) == self.home(b.0));
        buckets.map(records).max().unwrap_or(0)
    }

    fn place(
        &mut self,
        keys: &[Key<'_>],
        order: &[(u64, u32)],
        settle: &mut impl FnMut(&[u32]) -> Payload,
    ) {
        let texts: usize = keys.iter().map(|key| key.text.len()).sum();
        let mut records = Vec::with_capacity(texts + keys.len() * HEAD_BYTES);
        let mut indexes = Vec::new();
        let mut previous: Option<(usize, usize)> = None;
        for group in order.chunk_by(|a, b| is_same_key(keys, *a, *b)) {
            let (hash, first) = group[0];
            let key = keys[first as usize];
            let payload = match (group, key.payload) {
                ([_], Some(payload)) => payload,
                _ => {
                    indexes.clear();
                    indexes.extend(group.iter().map(|&(_, index)| index));
                    settle(&indexes)
                }
            };
            let at = records.len();
            let home = self.home(hash);
            let bucket = &mut self.buckets[home];
            bucket.filter |= filter_bit(hash);
            match previous {
                // The one before is no longer the last of its bucket.
                Some((own, head)) if own == home => records[head + 3] &= 0x7f,
                Some(_) | None => {
                    bucket.offset = u32::try_from(at).expect("fewer than 4 GiB of patterns");
                }
            }
            let head = RecordHead::new(key, payload).0 | LAST;
            records.extend_from_slice(&head.to_le_bytes());
            records.extend_from_slice(key.text);
            self.text_bytes += key.text.len();
            previous = Some((home, at));
        }
        records.shrink_to_fit();
        self.records = records;
    }

    #[inline]
    fn home(&self, hash: u64) -> usize {
        // Multiply-shift instead of a mask: any size, and monotone in the hash.
        ((u128::from(hash) * self.buckets.len() as u128) >> 64) as usize
    }

    /// What is kept for the whole host: `text` from `start` on. The bytes before `start` are only
    /// read to fill a word; they do not count.
    #[inline]
    pub(crate) fn find_whole(&self, text: &[u8], start: usize) -> Option<Payload> {
        let host = text.get(start..)?;
        let len = host.len();
        // The bitmap stops most misses before anything is hashed; it has no bit beyond 253.
        let lengths = self.whole_lengths.get(len / 8)?;
        if lengths & (1 << (len % 8)) == 0 {
            return None;
        }
        let mut state = self.seed;
        let mut behind = 0;
        let mut words = host.rchunks_exact(8);
        for word in words.by_ref() {
            state = state.wrapping_add(roll(whole_word(word), behind));
            behind += 8;
        }
        let rest = first_word(text, start, words.remainder().len());
        let hash = finish(state, rest, len, KeyKind::Whole);
        Some(self.probe(hash, host, KeyKind::Whole)?.payload())
    }

    /// Gives every suffix key behind one of the host's dots to `accept` with its length, shortest
    /// first. Returns what `accept` said last, so the longest key accepted.
    #[inline]
    pub(crate) fn find_suffix<T>(
        &self,
        text: &[u8],
        start: usize,
        mut accept: impl FnMut(usize, Payload) -> Option<T>,
    ) -> Option<T> {
        let host = text.get(start..)?;
        if host.len() > HOST_BYTES_MAX {
            return None;
        }
        let mut best = None;
        let mut state = self.seed;
        let mut behind = 0;
        let mut words = host.rchunks_exact(8);
        let mut lengths = self.suffix_lengths.iter();
        for (bytes, lengths) in words.by_ref().zip(lengths.by_ref()) {
            let word = whole_word(bytes);
            let mut candidates = dots(word) & lengths;
            while candidates != 0 {
                let (place, rest) = lowest(candidates);
                candidates = rest;
                if let Some(head) = self.probe_suffix(host, state, word, behind + place) {
                    best = accept(behind + place, head.payload()).or(best);
                }
            }
            state = state.wrapping_add(roll(word, behind));
            behind += 8;
        }
        let word = first_word(text, start, words.remainder().len());
        let mut candidates = dots(word) & lengths.next().unwrap_or(&0);
        while candidates != 0 {
            let (place, rest) = lowest(candidates);
            candidates = rest;
            if let Some(head) = self.probe_suffix(host, state, word, behind + place) {
                best = accept(behind + place, head.payload()).or(best);
            }
        }
        best
    }

    /// The suffix of `len` bytes, which begins in `word`. Not inlined: most words have no
    /// candidate, and the walk is quicker with its registers to itself.
    #[inline(never)]
    fn probe_suffix(&self, host: &[u8], state: u64, word: u64, len: usize) -> Option<RecordHead> {
        let hash = finish(state, word & low_bytes(len % 8), len, KeyKind::Suffix);
        self.probe(hash, host.get(host.len() - len..)?, KeyKind::Suffix)
    }

    #[inline]
    fn probe(&self, hash: u64, text: &[u8], kind: KeyKind) -> Option<RecordHead> {
        let bucket = self.buckets.get(self.home(hash))?;
        if bucket.filter & filter_bit(hash) == 0 {
            return None;
        }
        let wanted = kind_and_len(kind, text.len());
        let mut rest = self.records.get(bucket.offset as usize..)?;
        loop {
            let (head, behind) = rest.split_first_chunk::<HEAD_BYTES>()?;
            let head = RecordHead(u64::from_le_bytes(*head));
            let (own, behind) = behind.split_at_checked(head.text_len())?;
            if head.0 & KIND_AND_LEN == wanted && own == text {
                return Some(head);
            }
            if head.0 & LAST != 0 {
                return None;
            }
            rest = behind;
        }
    }

    /// Whether any key is a suffix.
    #[inline]
    pub(crate) fn has_suffixes(&self) -> bool {
        self.has_suffixes
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.buckets.is_empty()
    }

    /// All keys in bucket order. Linear: for reports, never for requests.
    pub(crate) fn keys(&self) -> impl Iterator<Item = (Key<'_>, Payload)> {
        let mut rest: &[u8] = &self.records;
        core::iter::from_fn(move || {
            let (head, behind) = rest.split_first_chunk::<HEAD_BYTES>()?;
            let head = RecordHead(u64::from_le_bytes(*head));
            let (text, behind) = behind.split_at_checked(head.text_len())?;
            rest = behind;
            let kind = if head.0 & SUFFIX != 0 {
                KeyKind::Suffix
            } else {
                KeyKind::Whole
            };
            let payload = head.payload();
            Some((
                Key {
                    kind,
                    text,
                    payload: Some(payload),
                },
                payload,
            ))
        })
    }

    /// Bytes on the heap, texts included.
    pub(crate) fn heap_bytes(&self) -> usize {
        self.buckets.capacity() * size_of::<Bucket>() + self.records.capacity()
    }

    /// Bytes of the texts alone.
    pub(crate) fn text_bytes(&self) -> usize {
        self.text_bytes
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

/// The lowest bit's place, and the other bits.
#[inline]
const fn lowest(bits: u8) -> (usize, u8) {
    (bits.trailing_zeros() as usize, bits & (bits - 1))
}

#[inline]
fn whole_word(bytes: &[u8]) -> u64 {
    bytes
        .first_chunk()
        .map_or(0, |bytes| u64::from_be_bytes(*bytes))
}

/// The host's first `len` bytes, fewer than eight.
#[inline]
fn first_word(text: &[u8], start: usize, len: usize) -> u64 {
    if len == 0 {
        0
    } else {
        word_before(text, start + len) & low_bytes(len)
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

/// A word's part of the sum. Parts are independent of each other, so that a core multiplies for
/// several words at once; the place is part of the key, so that words cannot be exchanged.
#[inline]
const fn roll(word: u64, behind: usize) -> u64 {
    fold(word ^ ROLL, FINISH_SUFFIX.wrapping_add(behind as u64))
}

/// `partial` holds at most seven bytes, so its top byte is free for the length.
#[inline]
const fn finish(state: u64, partial: u64, len: usize, kind: KeyKind) -> u64 {
    let key = match kind {
        KeyKind::Whole => FINISH_WHOLE,
        KeyKind::Suffix => FINISH_SUFFIX,
    };
    let last = fold(partial ^ (len as u64) << 56 ^ key, ROLL);
    fold(state.wrapping_add(last), key)
}

/// One of 32, from the hash's low bits: the high ones chose the bucket.
#[inline]
const fn filter_bit(hash: u64) -> u32 {
    1 << (hash & 31)
}

/// The hash that a lookup reaches at this key's length.
fn hash_key(seed: u64, kind: KeyKind, text: &[u8]) -> u64 {
    let mut state = seed;
    let words = text.len() / 8;
    for behind in (0..words).map(|word| 8 * word) {
        state = state.wrapping_add(roll(word_before(text, text.len() - behind), behind));
    }
    finish(
        state,
        word_before(text, text.len() - 8 * words),
        text.len(),
        kind,
    )
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
                payload: None,
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
        let longest = table.find_suffix(text.as_bytes(), before.len(), |len, _| {
            met.push((KeyKind::Suffix, len));
            Some(len)
        });
        assert_eq!(longest, met.last().map(|(_, len)| *len));
        if table.find_whole(text.as_bytes(), before.len()).is_some() {
            met.push((KeyKind::Whole, host.len()));
        }
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
    fn the_whole_host_and_every_suffix_at_a_dot() {
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
    fn buckets_are_bounded_and_memory_counted() {
        let texts: Vec<String> = (0..50_000)
            .map(|n| format!("tenant-{n}.example.com"))
            .collect();
        let keys: Vec<(KeyKind, &str)> = texts
            .iter()
            .map(|text| (KeyKind::Whole, text.as_str()))
            .collect();
        let table = table(&keys);
        let mut crowds = vec![0usize; table.buckets.len()];
        for text in &texts {
            crowds[table.home(hash_key(table.seed, KeyKind::Whole, text.as_bytes()))] += 1;
        }
        assert!(crowds.iter().max() <= Some(&BUCKET_RECORDS_MAX));
        let beyond_text = table.heap_bytes() - table.text_bytes();
        assert_eq!(beyond_text, 16 * texts.len());
    }
}
