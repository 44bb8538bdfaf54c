//! One hash table for whole hosts and host suffixes, looked up in a walk from the right.
//!
//! A lookup probes only where a bitmap of lengths says that a rule has a key of that length: once
//! at the full length, and where the host has a dot before so many bytes. A probe hashes the key's
//! bytes in words of eight and confirms by comparing the text, so a hash collision can never grant
//! anything. Nothing is hashed when no length fits.
//!
//! The table is an index of two 8-byte entries a key, and the records of each bucket packed behind
//! each other with their texts inside, in whole units of eight bytes. A miss mostly ends at the
//! index, whose entries carry a filter of 32 bits; a hit then reads one place of the records. Slots
//! that point to texts kept elsewhere were measured against it at 100,000 keys: one dependent cache
//! miss more. How long a bucket may grow is bounded at build time by trying other seeds; the first
//! one is drawn from all keys together. Lookups never allocate; their time depends on the host
//! alone but for cache misses: at most one probe for each of its dots.

use crate::host_name::HOST_BYTES_MAX;
use core::mem::size_of;

/// Two keep four of five keys first in their bucket; with one it is three of five.
const BUCKETS_PER_KEY: usize = 2;
/// Most records of a bucket; 100,000 keys have 7 at their most crowded place.
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

/// Eight bytes of a record: its head, or a piece of its text.
type Unit = [u8; UNIT_BYTES];
const UNIT_BYTES: usize = 8;

#[derive(Debug, Clone, Default)]
pub(crate) struct HostTable {
    buckets: Vec<Bucket>,
    /// Each record is its head and its text, brought to whole units by zeros before the text.
    records: Vec<Unit>,
    text_bytes: usize,
    hash_key: HashKey,
    has_suffixes: bool,
    /// Bit `n` of the 256: some suffix key has `n` bytes.
    suffix_lengths: [u64; 4],
    /// Bit `n`: some whole-host key has `n` bytes.
    whole_lengths: [u64; 4],
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
            lengths[key.text.len() / 64] |= 1 << (key.text.len() % 64);
            table.has_suffixes |= key.kind == KeyKind::Suffix;
        }
        table.buckets = vec![Bucket::default(); BUCKETS_PER_KEY * keys.len()];
        let order = table.choose_hash_key(keys);
        table.place(keys, &order, &mut settle);
        table
    }

    /// Settles the hash's key; returns hashes and indexes of the keys in bucket order, equal keys
    /// beside each other.
    fn choose_hash_key(&mut self, keys: &[Key<'_>]) -> Vec<(u64, u32)> {
        let seed = seed_of(keys);
        let mut attempt = 0u64;
        loop {
            self.hash_key = HashKey::from_seed(seed.wrapping_add(attempt));
            let (order, longest_bucket) = self.order(keys);
            attempt += 1;
            if attempt == SEEDS_MAX || longest_bucket <= BUCKET_RECORDS_MAX {
                return order;
            }
        }
    }

    /// The keys by bucket, and how many records the longest bucket has.
    fn order(&self, keys: &[Key<'_>]) -> (Vec<(u64, u32)>, usize) {
        let hashes: Vec<u64> = keys
            .iter()
            .map(|key| hash_of(self.hash_key, key.kind, key.text))
            .collect();
        // Sorted by counting: `ends[bucket]` begins as the bucket's first place.
        let mut ends = vec![0u32; self.buckets.len()];
        for &hash in &hashes {
            ends[self.home(hash)] += 1;
        }
        let mut first = 0;
        for end in &mut ends {
            first += core::mem::replace(end, first);
        }
        let mut order = vec![(0u64, 0u32); keys.len()];
        for (index, &hash) in (0u32..).zip(&hashes) {
            let end = &mut ends[self.home(hash)];
            order[*end as usize] = (hash, index);
            *end += 1;
        }
        let mut longest_bucket = 0;
        let mut start = 0;
        for end in ends {
            let bucket = &mut order[start..end as usize];
            start = end as usize;
            // Equal hashes of unequal keys are possible in principle: then the text decides, so
            // that equal keys are always neighbours.
            bucket.sort_unstable_by(|(a_hash, a), (b_hash, b)| {
                a_hash.cmp(b_hash).then_with(|| {
                    let (a_key, b_key) = (&keys[*a as usize], &keys[*b as usize]);
                    (a_key.kind, a_key.text, a).cmp(&(b_key.kind, b_key.text, b))
                })
            });
            let records = bucket.chunk_by(|a, b| is_same_key(keys, *a, *b)).count();
            longest_bucket = longest_bucket.max(records);
        }
        (order, longest_bucket)
    }

    fn place(
        &mut self,
        keys: &[Key<'_>],
        order: &[(u64, u32)],
        settle: &mut impl FnMut(&[u32]) -> Payload,
    ) {
        let units: usize = keys.iter().map(|key| record_units(key.text.len())).sum();
        let mut records: Vec<Unit> = Vec::with_capacity(units);
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
                Some((own, head)) if own == home => records[head][3] &= 0x7f,
                Some(_) | None => {
                    bucket.offset = u32::try_from(at).expect("fewer than 32 GiB of patterns");
                }
            }
            let head = RecordHead::new(key, payload).0 | LAST;
            records.push(head.to_le_bytes());
            let (rest, whole) = key.text.as_rchunks::<UNIT_BYTES>();
            if !rest.is_empty() {
                records.push(word_of_few(rest).to_le_bytes());
            }
            records.extend_from_slice(whole);
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
        let len = text.len().checked_sub(start)?;
        // The bitmap stops most misses before anything is hashed; it has no bit beyond 253.
        let lengths = self.whole_lengths.get(len / 64)?;
        if lengths & (1 << (len % 64)) == 0 {
            return None;
        }
        Some(self.find_key(text, len, KeyKind::Whole)?.payload())
    }

    /// Gives the suffix keys behind the host's dots to `accept` with their lengths, the longest
    /// first; returns the first that it takes.
    #[inline]
    pub(crate) fn find_suffix<T>(
        &self,
        text: &[u8],
        start: usize,
        mut accept: impl FnMut(usize, Payload) -> Option<T>,
    ) -> Option<T> {
        let host_len = text.len().checked_sub(start)?;
        if host_len > HOST_BYTES_MAX {
            return None;
        }
        let mut behind = host_len & !63;
        loop {
            // A suffix and its dot are no longer than the host.
            let lengths = self.suffix_lengths[behind / 64] & low_bits(host_len - behind);
            let mut candidates = dots_at(text, behind, lengths);
            while candidates != 0 {
                let place = candidates.ilog2() as usize;
                candidates ^= 1 << place;
                let len = behind + place;
                if let Some(head) = self.find_suffix_key(text, len)
                    && let Some(taken) = accept(len, head.payload())
                {
                    return Some(taken);
                }
            }
            behind = behind.checked_sub(64)?;
        }
    }

    /// Not inlined: inside the walk over the candidates it would cost 50 instructions more, nearly
    /// all of them for keeping values out of registers.
    #[inline(never)]
    fn find_suffix_key(&self, text: &[u8], len: usize) -> Option<RecordHead> {
        self.find_key(text, len, KeyKind::Suffix)
    }

    /// The record of the last `len` bytes.
    #[inline(always)]
    fn find_key(&self, text: &[u8], len: usize, kind: KeyKind) -> Option<RecordHead> {
        let (few, units) = text[text.len().checked_sub(len)?..].as_rchunks();
        let partial = word_at(text, len - few.len()) & high_bytes(few.len());
        let mut sum = Sum::new(self.hash_key);
        for unit in units.iter().rev() {
            sum.add(u64::from_le_bytes(*unit));
        }
        let hash = finish(self.hash_key, sum.sum, partial, len, kind);
        let bucket = self.buckets.get(self.home(hash))?;
        if bucket.filter & filter_bit(hash) == 0 {
            return None;
        }
        let wanted = kind_and_len(kind, len);
        let mut rest = self.records.get(bucket.offset as usize..)?;
        loop {
            let (head, behind) = rest.split_first()?;
            let head = RecordHead(u64::from_le_bytes(*head));
            if head.0 & KIND_AND_LEN == wanted && is_text(behind, units, partial, few.len()) {
                return Some(head);
            }
            if head.0 & LAST != 0 {
                return None;
            }
            rest = behind.get(head.text_len().div_ceil(UNIT_BYTES)..)?;
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.buckets.is_empty()
    }

    /// Whether any key is a suffix.
    #[inline]
    pub(crate) fn has_suffixes(&self) -> bool {
        self.has_suffixes
    }

    /// All keys in bucket order. Linear: for reports, never for requests.
    pub(crate) fn keys(&self) -> impl Iterator<Item = (Key<'_>, Payload)> {
        let mut rest: &[Unit] = &self.records;
        core::iter::from_fn(move || {
            let (head, behind) = rest.split_first()?;
            let head = RecordHead(u64::from_le_bytes(*head));
            let units = head.text_len().div_ceil(UNIT_BYTES);
            let (padded, behind) = behind.split_at_checked(units)?;
            rest = behind;
            let padding = UNIT_BYTES * units - head.text_len();
            let text = padded.as_flattened().get(padding..)?;
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
        self.buckets.capacity() * size_of::<Bucket>() + self.records.capacity() * UNIT_BYTES
    }

    /// Bytes of the texts alone.
    pub(crate) fn text_bytes(&self) -> usize {
        self.text_bytes
    }
}

/// The hash's sum over whole words, from the right.
struct Sum {
    sum: u64,
    key: HashKey,
}

impl Sum {
    #[inline(always)]
    fn new(key: HashKey) -> Self {
        Self { sum: 0, key }
    }

    /// The products do not depend on each other, so that a core multiplies for several words at
    /// once. The rotation tells places apart, and keeps the loop over a few words from being
    /// vectorized, which without 64-bit vector products costs 60 instructions more than it saves.
    #[inline(always)]
    fn add(&mut self, word: u64) {
        let product = fold(word ^ self.key.word, self.key.multiplier);
        self.sum = self.sum.rotate_left(23).wrapping_add(product);
    }
}

const fn record_units(text_len: usize) -> usize {
    1 + text_len.div_ceil(UNIT_BYTES)
}

fn is_same_key(keys: &[Key<'_>], a: (u64, u32), b: (u64, u32)) -> bool {
    let (a_key, b_key) = (&keys[a.1 as usize], &keys[b.1 as usize]);
    a.0 == b.0 && a_key.kind == b_key.kind && a_key.text == b_key.text
}

/// Whether a record's units, `own` and more, hold `partial` of `few` bytes and then `units`.
#[inline(always)]
fn is_text(own: &[Unit], units: &[Unit], partial: u64, few: usize) -> bool {
    let Some((first, _)) = own.split_first() else {
        return false;
    };
    let partial_units = usize::from(few != 0);
    // Without such bytes the first unit is compared below, and this is no difference.
    let differs = (partial ^ u64::from_le_bytes(*first)) & high_bytes(few);
    let Some(own) = own.get(partial_units..partial_units + units.len()) else {
        return false;
    };
    differs == 0 && own.iter().zip(units).all(|(own, unit)| own == unit)
}

/// The eight bytes that have `behind` bytes behind them, the last of them highest; zeros before the
/// text begins.
#[inline(always)]
fn word_at(text: &[u8], behind: usize) -> u64 {
    let Some(end) = text.len().checked_sub(behind) else {
        return 0;
    };
    match text[..end].last_chunk() {
        Some(bytes) => u64::from_le_bytes(*bytes),
        None => word_of_few(&text[..end]),
    }
}

/// Fewer than eight bytes, the last of them highest.
fn word_of_few(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0, |word, &byte| (word >> 8) | u64::from(byte) << 56)
}

#[inline(always)]
const fn high_bytes(count: usize) -> u64 {
    // `count` is below 8 at every call.
    !(u64::MAX >> (8 * count))
}

#[inline(always)]
const fn low_bits(count: usize) -> u64 {
    if count < 64 {
        (1 << count) - 1
    } else {
        u64::MAX
    }
}

/// Bit `n` of `lengths` remains where a dot has `behind + n` bytes behind it.
#[inline(always)]
fn dots_at(text: &[u8], behind: usize, lengths: u64) -> u64 {
    let mut found = 0;
    let mut rest = lengths;
    while rest != 0 {
        // Only words in which some key may begin are read at all.
        let shift = rest.trailing_zeros() & !7;
        let word = word_at(text, behind + (shift / 8) as usize * UNIT_BYTES);
        found |= u64::from(dots(word)) << shift;
        rest &= !(0xff << shift);
    }
    found & lengths
}

/// Bit `i` says that byte `i` (from the high end, so from the right of the text) is a dot.
#[inline]
const fn dots(word: u64) -> u8 {
    const LOW: u64 = 0x7f7f_7f7f_7f7f_7f7f;
    let differs = word ^ 0x2e2e_2e2e_2e2e_2e2e;
    // The exact zero-byte test: no borrow runs from one byte into the next.
    let equal = !(((differs & LOW) + LOW) | differs | LOW);
    // Gathers the eight flags; their products do not overlap, so nothing carries.
    (((equal >> 7).wrapping_mul(0x8040_2010_0804_0201)) >> 56) as u8
}

/// What the hash depends on beside the text; nobody outside knows it.
#[derive(Debug, Clone, Copy, Default)]
struct HashKey {
    /// Mixed into every word.
    word: u64,
    /// The words' multiplier.
    multiplier: u64,
    /// Of the last multiplication.
    last: u64,
}

impl HashKey {
    fn from_seed(seed: u64) -> Self {
        let part = |number: u64| fold(seed ^ number.wrapping_mul(GOLDEN), ODD);
        Self {
            word: part(1),
            multiplier: part(2) | 1,
            last: part(3) | 1,
        }
    }
}

/// The fractional parts of the golden ratio and of pi: odd, with as many ones as zeros.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;
const ODD: u64 = 0x243f_6a88_85a3_08d3;

/// A seed that depends on every key: who supplies some of the patterns, and does not know all the
/// others, cannot choose hosts that meet in one bucket.
fn seed_of(keys: &[Key<'_>]) -> u64 {
    let fixed = HashKey::from_seed(keys.len() as u64);
    keys.iter().fold(ODD, |seed, key| {
        fold(seed ^ GOLDEN, ODD).wrapping_add(hash_of(fixed, key.kind, key.text))
    })
}

/// 64 x 64 -> 128 bit product, halves folded: every input bit reaches every output bit.
#[inline]
const fn fold(a: u64, b: u64) -> u64 {
    let product = (a as u128) * (b as u128);
    (product as u64) ^ ((product >> 64) as u64)
}

/// Ends the sum over the words of the last `len` bytes. `partial` holds at most seven bytes: its low
/// byte is free for the length.
#[inline(always)]
const fn finish(key: HashKey, sum: u64, partial: u64, len: usize, kind: KeyKind) -> u64 {
    let kind = match kind {
        KeyKind::Whole => 0,
        KeyKind::Suffix => ODD,
    };
    let last = fold(partial ^ len as u64 ^ key.word, key.last);
    fold(sum.wrapping_add(last) ^ kind, key.last ^ GOLDEN)
}

/// One of 32, from the hash's low bits: the high ones chose the bucket.
#[inline]
const fn filter_bit(hash: u64) -> u32 {
    1 << (hash & 31)
}

/// The hash that a lookup reaches at this key's length.
fn hash_of(key: HashKey, kind: KeyKind, text: &[u8]) -> u64 {
    let mut sum = Sum::new(key);
    let (rest, words) = text.as_rchunks::<UNIT_BYTES>();
    for word in words.iter().rev() {
        sum.add(u64::from_le_bytes(*word));
    }
    finish(key, sum.sum, word_of_few(rest), text.len(), kind)
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
        if table.find_whole(text.as_bytes(), before.len()).is_some() {
            met.push((KeyKind::Whole, host.len()));
        }
        let none = table.find_suffix(text.as_bytes(), before.len(), |len, _| {
            met.push((KeyKind::Suffix, len));
            None::<()>
        });
        assert_eq!(none, None, "nothing was taken");
        let taken = table.find_suffix(text.as_bytes(), before.len(), |len, _| Some(len));
        let suffixes = met.iter().filter(|(kind, _)| *kind == KeyKind::Suffix);
        let longest = suffixes.map(|(_, len)| *len).next();
        assert_eq!(taken, longest, "the longest one is taken");
        met
    }

    #[test]
    fn dot_flags() {
        assert_eq!(dots(u64::from_le_bytes(*b"a.b.c..d")), 0b0101_0110);
        assert_eq!(dots(u64::from_le_bytes(*b"........")), 0xff);
        // 0x2f and 0xae are neighbours of the dot by one bit or one carry.
        assert_eq!(dots(u64::from_le_bytes(*b"//\xae-.-/\xae")), 0b0000_1000);
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
                [(Whole, 13), (Suffix, 11), (Suffix, 3)]
            );
            assert_eq!(got("example.com"), [(Whole, 11), (Suffix, 3)]);
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
            crowds[table.home(hash_of(table.hash_key, KeyKind::Whole, text.as_bytes()))] += 1;
        }
        assert!(crowds.iter().max() <= Some(&BUCKET_RECORDS_MAX));
        let beyond_text = table.heap_bytes() - table.text_bytes();
        // Buckets, a record's head, and at most seven bytes to fill its last unit.
        let beyond_each = BUCKETS_PER_KEY * size_of::<Bucket>() + 2 * UNIT_BYTES;
        assert!(beyond_text < beyond_each * texts.len(), "{beyond_text}");
    }

    /// What a probe does when hash, kind and length are equal: every byte of the text decides.
    #[test]
    fn texts_of_equal_hashes_are_told_apart() {
        let name = "abcdefghijklmnopqrstuvwxyz0123456789-".repeat(7);
        for len in 1..=HOST_BYTES_MAX {
            let text = &name.as_bytes()[..len];
            let key = Key {
                kind: KeyKind::Whole,
                text,
                payload: Some(Payload::default()),
            };
            let table = HostTable::build(&[key], |_| Payload::default());
            let own = &table.records[1..];
            let holds = |asked: &[u8]| {
                let (few, units) = asked.as_rchunks();
                is_text(own, units, word_of_few(few), few.len())
            };
            assert!(holds(text), "{len}");
            for at in 0..len {
                for changed in [b'.', text[at] ^ 1, text[at] ^ 0x80, 0] {
                    let mut other = text.to_vec();
                    other[at] = changed;
                    assert!(!holds(&other), "{len} bytes, {changed} at {at}");
                }
            }
            assert_eq!(own.len(), len.div_ceil(UNIT_BYTES), "no unit is left over");
        }
    }

    /// Who knows one list's hash key cannot use it against a list with one more pattern.
    #[test]
    fn every_key_changes_the_hash_key() {
        let seed = |texts: &[&str]| {
            let keys: Vec<Key<'_>> = texts
                .iter()
                .map(|text| Key {
                    kind: KeyKind::Whole,
                    text: text.as_bytes(),
                    payload: None,
                })
                .collect();
            seed_of(&keys)
        };
        let seeds = [
            seed(&[]),
            seed(&["a"]),
            seed(&["b"]),
            seed(&["a", "b"]),
            seed(&["b", "a"]),
            seed(&["a", "b", "c"]),
        ];
        for (at, one) in seeds.iter().enumerate() {
            assert!(!seeds[..at].contains(one), "{at}");
        }
    }
}
