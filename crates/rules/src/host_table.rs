//! One hash table for whole hosts and host suffixes, looked up in a walk from the right.
//!
//! A lookup probes only where a set of lengths says that a rule has a key of that length: once at
//! the full length, and where the host has a dot before so many bytes. A probe cuts the key out of
//! the host's last 32 bytes, hashes these four words without a loop and confirms by comparing the
//! text, so a hash collision can never grant anything; only longer keys are walked block by block.
//! Nothing is hashed when no length fits.
//!
//! The table is an index of two or three 8-byte entries a key, and the records of each bucket packed behind
//! each other with their texts inside, in whole units of eight bytes. A miss mostly ends at the
//! index, whose entries carry a filter of 32 bits; a hit then reads one place of the records. Slots
//! that point to texts kept elsewhere were measured against it at 100,000 keys: one dependent cache
//! miss more. How long a bucket may grow is bounded at build time by trying other seeds; the first
//! one is drawn from all keys together. Lookups never allocate; their time depends on the host
//! alone but for cache misses: at most one probe for each of its dots.

use crate::host_bytes::{Places, place};
use crate::host_hash::{HashKey, Seed};
use crate::host_name::HOST_BYTES_MAX;
use crate::host_tail::{BLOCK_BYTES, BLOCK_WORDS, Block, HostTail, WORD_BYTES, word_of_few};
use core::mem::size_of;
use core::num::NonZeroU64;

/// The least, before the count is rounded up to a power of two: three keys of four and more are
/// first in their bucket.
const BUCKETS_PER_TWO_KEYS: usize = 3;
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

/// Where a bucket's newest record is, and which of 32 values some key's hash has there.
#[derive(Debug, Clone, Copy, Default)]
#[repr(align(8))]
struct Bucket {
    /// Of the first of the `HEAD_AT` units before the record's head.
    offset: u32,
    filter: u32,
}

/// A record is the key's text and this head. Little-endian in one word, from the low end:
/// reference (31 bits), `OLDEST`, port (16), tag (7), `SUFFIX`, text length (8).
#[derive(Debug, Clone, Copy)]
struct RecordHead(NonZeroU64);

/// No other record of the bucket stands before this one.
const OLDEST: u64 = 1 << 31;
/// What tells keys of one bucket apart before their texts are compared begins here.
const KIND_AND_LEN_SHIFT: u32 = 55;

impl RecordHead {
    fn new(key: Key<'_>, payload: Payload) -> Self {
        debug_assert!(
            u64::from(payload.reference) < OLDEST,
            "references have 31 bits"
        );
        let bits = u64::from(payload.reference)
            | u64::from(payload.port) << 32
            | u64::from(payload.tag & 0x7f) << 48
            | kind_and_len(key.kind, key.text.len()) << KIND_AND_LEN_SHIFT;
        Self(NonZeroU64::new(bits).expect("no key is empty"))
    }

    /// `None` for what no head is.
    #[inline(always)]
    fn read(unit: Unit) -> Option<Self> {
        NonZeroU64::new(u64::from_le_bytes(unit)).map(Self)
    }

    #[inline(always)]
    const fn bits(self) -> u64 {
        self.0.get()
    }

    #[inline(always)]
    fn payload(self) -> Payload {
        Payload {
            reference: (self.bits() & (OLDEST - 1)) as u32,
            port: (self.bits() >> 32) as u16,
            tag: (self.bits() >> 48) as u8 & 0x7f,
        }
    }

    #[inline(always)]
    fn kind_and_len(self) -> u64 {
        self.bits() >> KIND_AND_LEN_SHIFT
    }

    #[inline]
    fn kind(self) -> KeyKind {
        if self.kind_and_len() & 1 == 0 {
            KeyKind::Whole
        } else {
            KeyKind::Suffix
        }
    }

    #[inline]
    fn text_len(self) -> usize {
        (self.bits() >> 56) as usize
    }

    /// Units of the record, the head included.
    #[inline]
    fn units(self) -> usize {
        record_units(self.text_len())
    }
}

#[inline(always)]
const fn kind_and_len(kind: KeyKind, len: usize) -> u64 {
    let suffix = match kind {
        KeyKind::Whole => 0,
        KeyKind::Suffix => 1,
    };
    (len as u64) << 1 | suffix
}

/// Eight bytes of a record: its head, or a piece of its text.
type Unit = [u8; UNIT_BYTES];
const UNIT_BYTES: usize = WORD_BYTES;
/// A head has at least a block of units before it.
const HEAD_AT: usize = BLOCK_WORDS;

/// Lengths of keys, each as the place of the byte that has so many bytes behind it.
#[derive(Debug, Clone, Copy, Default)]
struct Lengths([Places; LENGTHS_BLOCKS]);
const LENGTHS_BLOCKS: usize = HOST_BYTES_MAX / BLOCK_BYTES + 1;

impl Lengths {
    fn insert(&mut self, len: usize) {
        self.0[len / BLOCK_BYTES] |= place(len % BLOCK_BYTES);
    }

    #[inline(always)]
    fn contains(&self, len: usize) -> bool {
        let block = self.0.get(len / BLOCK_BYTES);
        block.is_some_and(|places| places & place(len % BLOCK_BYTES) != 0)
    }

    /// How many blocks there are up to the last one with a length.
    fn blocks(&self) -> usize {
        let last = self.0.iter().rposition(|&places| places != 0);
        last.map_or(0, |block| block + 1)
    }
}

#[derive(Debug, Clone, Default)]
pub(crate) struct HostTable {
    /// A power of two of them.
    buckets: Vec<Bucket>,
    home_shift: u32,
    /// Each record is its text, brought to whole units and at least a block by zeros before it, and
    /// its head.
    records: Vec<Unit>,
    text_bytes: usize,
    hash_key: HashKey,
    /// Of suffix keys.
    suffix_lengths: Lengths,
    /// How many blocks of them have a length, those between included.
    suffix_blocks: usize,
    /// The longest host that can only end in suffixes of the first block.
    one_block_host_len: usize,
    /// Of whole-host keys.
    whole_lengths: Lengths,
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
            lengths.insert(key.text.len());
        }
        table.suffix_blocks = table.suffix_lengths.blocks();
        table.one_block_host_len = match table.suffix_blocks {
            0 | 1 => HOST_BYTES_MAX,
            _ => BLOCK_BYTES,
        };
        let buckets = (keys.len() * BUCKETS_PER_TWO_KEYS / 2).next_power_of_two();
        // Two at least, so that the shift is one of a word.
        let buckets = buckets.max(2);
        table.home_shift = u64::BITS - buckets.ilog2();
        table.buckets = vec![Bucket::default(); buckets];
        let order = table.choose_hash_key(keys);
        table.place(keys, &order, &mut settle);
        table
    }

    /// Settles the hash's key; returns hashes and indexes of the keys in bucket order, equal keys
    /// beside each other.
    fn choose_hash_key(&mut self, keys: &[Key<'_>]) -> Vec<(u64, u32)> {
        let mut seed = Seed::of_count(keys.len());
        for key in keys {
            seed.add(key.kind, key.text);
        }
        let mut attempt = 0u64;
        loop {
            self.hash_key = seed.hash_key(attempt);
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
            .map(|key| self.hash_key.hash(key.kind, key.text))
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
        let mut previous = None;
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
            let (rest, whole) = key.text.as_rchunks::<UNIT_BYTES>();
            let padding = record_units(key.text.len()) - 1 - key.text.len().div_ceil(UNIT_BYTES);
            records.extend_from_slice(&[Unit::default(); HEAD_AT][..padding]);
            if !rest.is_empty() {
                records.push(word_of_few(rest).to_le_bytes());
            }
            records.extend_from_slice(whole);
            self.text_bytes += key.text.len();
            let home = self.home(hash);
            let oldest = if previous == Some(home) { 0 } else { OLDEST };
            previous = Some(home);
            let bucket = &mut self.buckets[home];
            bucket.filter |= filter_bit(hash);
            bucket.offset =
                u32::try_from(records.len() - HEAD_AT).expect("fewer than 32 GiB of patterns");
            let head = RecordHead::new(key, payload).bits() | oldest;
            records.push(head.to_le_bytes());
        }
        records.shrink_to_fit();
        self.records = records;
    }

    /// The hash's high bits: monotone in it.
    #[inline(always)]
    fn home(&self, hash: u64) -> usize {
        (hash >> self.home_shift) as usize
    }

    /// What is kept for the whole host.
    #[inline(always)]
    pub(crate) fn find_whole(&self, host: &HostTail<'_>) -> Option<Payload> {
        // The lengths stop most misses before anything is hashed.
        if !self.whole_lengths.contains(host.len()) {
            return None;
        }
        let head = self.find_key(host, host.len(), KeyKind::Whole)?;
        Some(head.payload())
    }

    /// Gives the suffix keys behind the host's dots to `accept` with their lengths, the longest
    /// first; returns the first that it takes.
    pub(crate) fn find_suffix<T>(
        &self,
        host: &HostTail<'_>,
        mut accept: impl FnMut(usize, Payload) -> Option<T>,
    ) -> Option<T> {
        let blocks = self.suffix_blocks.min(host.len().div_ceil(BLOCK_BYTES));
        for block in (0..blocks).rev() {
            let behind = block * BLOCK_BYTES;
            let mut dots = SuffixDots(host.dots_before(behind) & self.suffix_lengths.0[block]);
            while let Some(place) = dots.longest() {
                let len = behind + place;
                dots = dots.shorter();
                // What stands before the host is no dot of it.
                if len < host.len()
                    && let Some(head) = self.find_key(host, len, KeyKind::Suffix)
                    && let Some(taken) = accept(len, head.payload())
                {
                    return Some(taken);
                }
            }
        }
        None
    }

    /// The dots behind which this table may have a suffix key, when all of them are among the last
    /// 32 bytes: nearly always.
    #[inline(always)]
    pub(crate) fn suffix_dots(&self, host: &HostTail<'_>) -> Option<SuffixDots> {
        (host.len() <= self.one_block_host_len)
            .then(|| SuffixDots(host.dots_before(0) & self.suffix_lengths.0[0]))
    }

    /// What is kept for the last `len` bytes, fewer than 32, as a suffix. Where a dot stands before
    /// the host they may be more than it has; then [`HostTail::covers_labels`] says no.
    #[inline(always)]
    pub(crate) fn suffix_at(&self, host: &HostTail<'_>, len: usize) -> Option<Payload> {
        let head = self.find_short(host, len, KeyKind::Suffix)?;
        Some(head.payload())
    }

    /// What is kept for the last `len` bytes.
    #[inline(always)]
    fn find_key(&self, host: &HostTail<'_>, len: usize, kind: KeyKind) -> Option<RecordHead> {
        if len <= BLOCK_BYTES {
            self.find_short(host, len, kind)
        } else {
            self.find_long(host.suffix(len)?, host.last_block(len), kind)
        }
    }

    /// Of at most 32 bytes.
    #[inline(always)]
    fn find_short(&self, host: &HostTail<'_>, len: usize, kind: KeyKind) -> Option<RecordHead> {
        let block = host.last_block(len);
        self.find_record(
            self.hash_key.of_block(kind, block),
            kind,
            len,
            block,
            |_| true,
        )
    }

    /// Of more: `block` is its end.
    #[inline(never)]
    fn find_long(&self, text: &[u8], block: Block, kind: KeyKind) -> Option<RecordHead> {
        let hash = self.hash_key.hash(kind, text);
        self.find_record(hash, kind, text.len(), block, |head| {
            self.text_before(head, text.len()) == Some(text)
        })
    }

    /// The record of this hash, kind and length whose text ends with `block`.
    #[inline(always)]
    fn find_record(
        &self,
        hash: u64,
        kind: KeyKind,
        len: usize,
        block: Block,
        is_text: impl Fn(usize) -> bool,
    ) -> Option<RecordHead> {
        let bucket = self.buckets.get(self.home(hash))?;
        if bucket.filter & filter_bit(hash) == 0 {
            return None;
        }
        let wanted = kind_and_len(kind, len);
        let mut at = bucket.offset as usize;
        loop {
            let units: &[Unit; HEAD_AT + 1] =
                self.records.get(at..at + HEAD_AT + 1)?.first_chunk()?;
            let head = RecordHead::read(units[HEAD_AT])?;
            // One branch for all: nearly every record that is met is the wanted one.
            let differs = (head.kind_and_len() ^ wanted)
                | (block[0] ^ u64::from_le_bytes(units[3]))
                | (block[1] ^ u64::from_le_bytes(units[2]))
                | (block[2] ^ u64::from_le_bytes(units[1]))
                | (block[3] ^ u64::from_le_bytes(units[0]));
            if differs == 0 && is_text(at + HEAD_AT) {
                return Some(head);
            }
            if head.bits() & OLDEST != 0 {
                return None;
            }
            at = at.checked_sub(head.units())?;
        }
    }

    /// The `len` bytes of text before a head.
    fn text_before(&self, head: usize, len: usize) -> Option<&[u8]> {
        let units = self.records.get(..head)?.as_flattened();
        units.get(units.len().checked_sub(len)?..)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// Whether any key is a suffix.
    #[inline(always)]
    pub(crate) fn has_suffixes(&self) -> bool {
        self.suffix_blocks != 0
    }

    /// All keys, those of a bucket beside each other. Linear: for reports, never for requests.
    pub(crate) fn keys(&self) -> impl Iterator<Item = (Key<'_>, Payload)> {
        let mut end = self.records.len();
        core::iter::from_fn(move || {
            let at = end.checked_sub(1)?;
            let head = RecordHead::read(self.records[at])?;
            end = end.checked_sub(head.units())?;
            let text = self.text_before(at, head.text_len())?;
            let payload = head.payload();
            let key = Key {
                kind: head.kind(),
                text,
                payload: Some(payload),
            };
            Some((key, payload))
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

/// Dots of a host, and of what stands before it, with as many bytes behind them as some key has.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SuffixDots(Places);

impl SuffixDots {
    /// How many bytes of the block stand behind the leftmost one.
    #[inline(always)]
    pub(crate) fn longest(self) -> Option<usize> {
        (self.0 != 0).then(|| BLOCK_BYTES - 1 - self.0.trailing_zeros() as usize)
    }

    /// Without the leftmost one; there is one.
    #[inline(always)]
    pub(crate) fn shorter(self) -> Self {
        Self(self.0 & (self.0 - 1))
    }
}

/// A text has at least a block, so that lookups compare blocks.
const fn record_units(text_len: usize) -> usize {
    let units = text_len.div_ceil(UNIT_BYTES);
    1 + if units < HEAD_AT { HEAD_AT } else { units }
}

fn is_same_key(keys: &[Key<'_>], a: (u64, u32), b: (u64, u32)) -> bool {
    let (a_key, b_key) = (&keys[a.1 as usize], &keys[b.1 as usize]);
    a.0 == b.0 && a_key.kind == b_key.kind && a_key.text == b_key.text
}

/// One of 32, from the hash's low bits: the high ones chose the bucket.
#[inline(always)]
const fn filter_bit(hash: u64) -> u32 {
    1 << (hash & 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host_tail::{LEAD_BYTES, PaddedHost};

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
        let padded = PaddedHost::copy(host.bytes());
        let mut met = Vec::new();
        let tail = match before.len() {
            LEAD_BYTES.. => HostTail::of(text.as_bytes(), before.len()),
            _ => padded.tail(),
        };
        let Some(tail) = tail else {
            return met;
        };
        if table.find_whole(&tail).is_some() {
            met.push((KeyKind::Whole, host.len()));
        }
        let none = table.find_suffix(&tail, |len, _| {
            met.push((KeyKind::Suffix, len));
            None::<()>
        });
        assert_eq!(none, None, "nothing was taken");
        let taken = table.find_suffix(&tail, |len, _| Some(len));
        let suffixes = met.iter().filter(|(kind, _)| *kind == KeyKind::Suffix);
        let longest = suffixes.map(|(_, len)| *len).next();
        assert_eq!(taken, longest, "the longest one is taken");
        met
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
            crowds[table.home(table.hash_key.hash(KeyKind::Whole, text.as_bytes()))] += 1;
        }
        assert!(crowds.iter().max() <= Some(&BUCKET_RECORDS_MAX));
        let beyond_text = table.heap_bytes() - table.text_bytes();
        // Buckets, a record's head, and what fills a block beside texts of at least 20 bytes.
        let buckets_each = BUCKETS_PER_TWO_KEYS * size_of::<Bucket>();
        let beyond_each = buckets_each + UNIT_BYTES + BLOCK_BYTES - 20;
        assert!(beyond_text <= beyond_each * texts.len(), "{beyond_text}");
    }

    /// What a probe does when the hash is equal: kind, length and every byte of the text decide.
    #[test]
    fn keys_of_equal_hashes_are_told_apart() {
        let name = "abcdefghijklmnopqrstuvwxyz0123456789-".repeat(7);
        for len in 1..=HOST_BYTES_MAX {
            let text = &name.as_bytes()[..len];
            let key = Key {
                kind: KeyKind::Whole,
                text,
                payload: Some(Payload::default()),
            };
            let table = HostTable::build(&[key], |_| Payload::default());
            let hash = table.hash_key.hash(KeyKind::Whole, text);
            let holds = |kind, asked: &[u8]| {
                let padded = PaddedHost::copy(asked.iter().copied());
                let tail = padded.tail().expect("a host");
                let block = tail.last_block(asked.len());
                let is_text = |head| table.text_before(head, asked.len()) == Some(asked);
                let found = table.find_record(hash, kind, asked.len(), block, is_text);
                found.is_some()
            };
            assert!(holds(KeyKind::Whole, text), "{len}");
            assert!(!holds(KeyKind::Suffix, text), "{len}");
            assert!(len == 1 || !holds(KeyKind::Whole, &text[1..]), "{len}");
            for at in 0..len {
                for changed in [b'.', text[at] ^ 1, text[at] ^ 0x80, 0] {
                    let mut other = text.to_vec();
                    other[at] = changed;
                    let shown = format!("{len} bytes, {changed} at {at}");
                    assert!(!holds(KeyKind::Whole, &other), "{shown}");
                }
            }
            let units = record_units(len);
            assert_eq!(table.records.len(), units, "no unit is left over");
        }
    }
}
