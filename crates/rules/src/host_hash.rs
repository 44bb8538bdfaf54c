//! The hash of a host table's keys, and what it is keyed with.
//!
//! 32 bytes at a time: two products of 64 to 128 bits, whose halves are folded. Both factors of a
//! product depend on the text and on a secret, so that no choice of one half says what the product
//! will be. The secret is drawn from all keys together: who supplies some of the patterns, and does
//! not know all the others, cannot choose hosts that meet in one bucket; and a request's host is
//! looked up, never inserted. Deterministic: the same keys make the same table.

use crate::host_table::KeyKind;
use crate::host_tail::{Block, blocks_of};

/// What the hash depends on beside the text; nobody outside knows it.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct HashKey {
    whole: Block,
    suffix: Block,
}

impl HashKey {
    fn from_seed(seed: u64) -> Self {
        let part = |number: u64| fold(seed ^ number.wrapping_mul(GOLDEN), ODD);
        Self {
            whole: [1, 2, 3, 4].map(part),
            suffix: [5, 6, 7, 8].map(part),
        }
    }

    /// Of a text of at most 32 bytes, with zeros before it.
    #[inline(always)]
    pub(crate) const fn of_block(&self, kind: KeyKind, block: Block) -> u64 {
        let key = match kind {
            KeyKind::Whole => &self.whole,
            KeyKind::Suffix => &self.suffix,
        };
        // The two do not depend on each other: a core multiplies for both at once.
        let right = fold(block[0] ^ key[0], block[1] ^ key[1]);
        let left = fold(block[2] ^ key[2], block[3] ^ key[3]);
        right.wrapping_add(left)
    }

    /// Of a text of any length.
    pub(crate) fn hash(&self, kind: KeyKind, text: &[u8]) -> u64 {
        // The rotation tells places apart.
        blocks_of(text).fold(0, |sum: u64, block| {
            let own = self.of_block(kind, block);
            sum.rotate_left(23).wrapping_add(own)
        })
    }
}

/// Collects what a [`HashKey`] is drawn from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seed {
    seed: u64,
    fixed: HashKey,
}

impl Seed {
    pub(crate) fn of_count(keys_count: usize) -> Self {
        Self {
            seed: ODD,
            fixed: HashKey::from_seed(keys_count as u64),
        }
    }

    pub(crate) fn add(&mut self, kind: KeyKind, text: &[u8]) {
        let own = self.fixed.hash(kind, text);
        self.seed = fold(self.seed ^ GOLDEN, ODD).wrapping_add(own);
    }

    pub(crate) fn hash_key(self, attempt: u64) -> HashKey {
        HashKey::from_seed(self.seed.wrapping_add(attempt))
    }
}

/// The fractional parts of the golden ratio and of pi: odd, with as many ones as zeros.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;
const ODD: u64 = 0x243f_6a88_85a3_08d3;

/// 64 x 64 -> 128 bit product, halves folded: every input bit reaches every output bit.
#[inline(always)]
const fn fold(a: u64, b: u64) -> u64 {
    let product = (a as u128) * (b as u128);
    (product as u64) ^ ((product >> 64) as u64)
}

#[cfg(test)]
mod tests {
    use super::{HashKey, Seed};
    use crate::host_table::KeyKind;
    use crate::host_tail::blocks_of;
    use std::collections::BTreeSet;

    /// Who knows one list's hash key cannot use it against a list with one more pattern.
    #[test]
    fn every_key_changes_the_hash_key() {
        let seed = |texts: &[&str]| {
            let mut seed = Seed::of_count(texts.len());
            for text in texts {
                seed.add(KeyKind::Whole, text.as_bytes());
            }
            seed.hash_key(0).whole
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

    /// Every byte, the place of every block, and the kind count; what stands before does not.
    #[test]
    fn hashes_differ() {
        let key = HashKey::from_seed(7);
        let name = "abcdefghijklmnopqrstuvwxyz0123456789-".repeat(7);
        let mut seen = BTreeSet::new();
        for len in 1..=253 {
            for kind in [KeyKind::Whole, KeyKind::Suffix] {
                assert!(
                    seen.insert(key.hash(kind, &name.as_bytes()[..len])),
                    "{len}"
                );
            }
        }
        let swapped = [&name.as_bytes()[32..64], &name.as_bytes()[..32]].concat();
        assert!(seen.insert(key.hash(KeyKind::Whole, &swapped)));
        let text = b"tenant-1.example.com";
        let block = blocks_of(text).next().expect("a block");
        let hash = key.of_block(KeyKind::Suffix, block);
        assert_eq!(hash, key.hash(KeyKind::Suffix, text));
        for at in 0..text.len() {
            let mut other = *text;
            other[at] ^= 1;
            assert!(seen.insert(key.hash(KeyKind::Suffix, &other)), "{at}");
        }
    }
}
