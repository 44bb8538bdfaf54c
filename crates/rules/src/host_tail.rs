//! A host's bytes, right-aligned in words: what the walk from the right looks at.
//!
//! Every key of a table ends where the host ends. So the last 32 bytes are loaded once, and each key
//! of up to 32 bytes is cut out of them with a mask. Dots, and bytes that no label holds, are found
//! eight at a time. RFC 1035 §2.3.4 bounds the length. Never allocates; reads what stands before the
//! host only to fill a word.

use crate::host_name::{HOST_BYTES_MAX, LABEL_BYTES_MAX, are_labels};

pub(crate) const WORD_BYTES: usize = 8;
/// Words of a block.
pub(crate) const BLOCK_WORDS: usize = 4;
pub(crate) const BLOCK_BYTES: usize = BLOCK_WORDS * WORD_BYTES;
/// With so many bytes before a host no word of it begins before the text does.
pub(crate) const LEAD_BYTES: usize = WORD_BYTES - 1;

/// 32 bytes as words, the rightmost word first; the last byte of a word is its highest.
pub(crate) type Block = [u64; BLOCK_WORDS];

/// The high bit of each byte for which something holds; other bits are zero.
pub(crate) type ByteFlags = u64;
const HIGH_BITS: ByteFlags = 0x8080_8080_8080_8080;
const ONES: u64 = 0x0101_0101_0101_0101;

/// A host and its last 32 bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HostTail<'a> {
    /// Ends with the host.
    text: &'a [u8],
    host_len: usize,
    /// What stands here before the host's first byte means nothing.
    last: Block,
}

impl<'a> HostTail<'a> {
    /// The host is `text` from `start` on; `None` when it is empty or longer than any host, or
    /// begins before [`LEAD_BYTES`]: for such texts there is [`HostTail::of_bare`].
    #[inline(always)]
    pub(crate) fn of(text: &'a [u8], start: usize) -> Option<Self> {
        let host_len = text.len().wrapping_sub(start);
        if start < LEAD_BYTES || host_len.wrapping_sub(1) >= HOST_BYTES_MAX {
            return None;
        }
        // Each word with a byte of the host is one load; the others may hold anything.
        Some(Self {
            text,
            host_len,
            last: [0, 1, 2, 3].map(|word| word_near(text, WORD_BYTES * (word + 1))),
        })
    }

    /// The whole text is the host; `None` when it is empty or longer than any host. Slower.
    pub(crate) fn of_bare(text: &'a [u8]) -> Option<Self> {
        ((1..=HOST_BYTES_MAX).contains(&text.len())).then(|| Self {
            text,
            host_len: text.len(),
            last: block_at(text, 0),
        })
    }

    /// Of the whole host.
    #[inline(always)]
    pub(crate) fn len(&self) -> usize {
        self.host_len
    }

    /// The host's last `len` bytes with zeros before them; of more than 32 the last 32.
    #[inline(always)]
    pub(crate) fn last_block(&self, len: usize) -> Block {
        let mask = mask_of(len);
        [0, 1, 2, 3].map(|word| self.last[word] & mask[word])
    }

    /// The last `len` bytes.
    #[inline]
    pub(crate) fn suffix(&self, len: usize) -> Option<&'a [u8]> {
        self.text.get(self.text.len().checked_sub(len)?..)
    }

    /// The dots in the word that has `word` words of the host behind it, and those of what stands
    /// before the host.
    #[inline(always)]
    pub(crate) fn dots_in(&self, word: usize) -> ByteFlags {
        equal_bytes(word_at(self.text, WORD_BYTES * word), b'.')
    }

    /// Whether what stands before a dot and the last `suffix_len` bytes is one or more non-empty
    /// labels joined by dots: what a `*.` may cover.
    #[inline(always)]
    pub(crate) fn covers_labels(&self, suffix_len: usize) -> bool {
        let covered_len = self.host_len.wrapping_sub(suffix_len + 1);
        // One short label is what nearly every wildcard covers: eight bytes at once, without a
        // branch on any of them, since a mispredicted exit costs more than the rest.
        if covered_len.wrapping_sub(1) < WORD_BYTES
            && let Some(start) = self.text.len().checked_sub(suffix_len + 1 + WORD_BYTES)
            && let Some(bytes) = self.text[start..].first_chunk()
        {
            let others = 8 * (WORD_BYTES - covered_len) as u32;
            let word = u64::from_le_bytes(*bytes) >> others;
            if plain_label_bytes(word) == HIGH_BITS >> others {
                return true;
            }
        }
        covers_any_labels(self.text, suffix_len, covered_len)
    }
}

/// The same with dots, `_`, and any length.
#[inline(never)]
fn covers_any_labels(text: &[u8], suffix_len: usize, covered_len: usize) -> bool {
    let Some(before_suffix) = text.len().checked_sub(suffix_len + 1) else {
        return false;
    };
    let covered = &text[..before_suffix];
    if covered_len.wrapping_sub(1) >= LABEL_BYTES_MAX || before_suffix < covered_len + LEAD_BYTES {
        let start = before_suffix.checked_sub(covered_len);
        return start.is_some_and(|start| are_labels(&covered[start..]));
    }
    let mut strange = 0;
    // Whether a dot stands behind the word: so far the one before the suffix.
    let mut dot_behind = 1 << 63;
    let mut behind = 0;
    loop {
        let word = word_near(covered, WORD_BYTES + behind);
        let dots = equal_bytes(word, b'.');
        let label = plain_label_bytes(word) | equal_bytes(word, b'_');
        let faults = HIGH_BITS & !(label | dots) | dots & (dots >> 8 | dot_behind);
        let bytes_left = covered_len - behind;
        if bytes_left <= WORD_BYTES {
            // A dot at the beginning has an empty label before it.
            let others = 8 * (WORD_BYTES - bytes_left) as u32;
            strange |= faults >> others | dots & (0x80 << others);
            return strange == 0;
        }
        strange |= faults;
        dot_behind = dots << 56;
        behind += WORD_BYTES;
    }
}

/// Letters, digits and `-`.
#[inline(always)]
const fn plain_label_bytes(word: u64) -> ByteFlags {
    // Without their high bits no sum leaves its byte.
    let seven = word & !HIGH_BITS;
    // Set from this byte on. Each range sets the flag where it begins and clears it behind its end.
    let from = [
        seven + ONES * (0x80 - b'-' as u64),
        seven + ONES * (0x80 - b'-' as u64 - 1),
        seven + ONES * (0x80 - b'0' as u64),
        seven + ONES * (0x80 - b'9' as u64 - 1),
        seven + ONES * (0x80 - b'a' as u64),
        seven + ONES * (0x80 - b'z' as u64 - 1),
    ];
    (from[0] ^ from[1] ^ from[2] ^ from[3] ^ from[4] ^ from[5]) & !word & HIGH_BITS
}

#[inline(always)]
const fn equal_bytes(word: u64, byte: u8) -> ByteFlags {
    let differs = word ^ (ONES * byte as u64);
    // The exact zero-byte test: no borrow runs from one byte into the next.
    !(((differs & !HIGH_BITS) + !HIGH_BITS) | differs) & HIGH_BITS
}

/// The blocks of a key, the rightmost first, with zeros before the key.
pub(crate) fn blocks_of(key: &[u8]) -> impl Iterator<Item = Block> {
    (0..key.len())
        .step_by(BLOCK_BYTES)
        .map(|behind| block_at(key, behind))
}

/// Ones for the last `len` bytes of a block; all of them for 32 and more.
#[inline(always)]
pub(crate) fn mask_of(len: usize) -> Block {
    /// 32 times zero, 32 times all ones: each mask is a piece of it, and all are in one cache line.
    #[repr(align(64))]
    struct Masks([u8; 2 * BLOCK_BYTES]);
    static MASKS: Masks = {
        let mut bytes = [0; 2 * BLOCK_BYTES];
        let mut at = BLOCK_BYTES;
        while at < bytes.len() {
            bytes[at] = 0xff;
            at += 1;
        }
        Masks(bytes)
    };
    let len = len.min(BLOCK_BYTES);
    let (words, _) = MASKS.0[len..len + BLOCK_BYTES].as_chunks();
    [3, 2, 1, 0].map(|word| u64::from_le_bytes(words[word]))
}

/// The word that begins `behind` bytes before the end, or at the beginning if that is nearer.
#[inline(always)]
fn word_near(text: &[u8], behind: usize) -> u64 {
    // Chosen by address, not by a branch: lengths differ from request to request.
    let from = match text.len().checked_sub(behind) {
        Some(start) => &text[start..],
        None => text,
    };
    from.first_chunk()
        .map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

/// The eight bytes that have `behind` bytes behind them, with zeros before the text.
#[inline(always)]
fn word_at(text: &[u8], behind: usize) -> u64 {
    let end = text.len().saturating_sub(behind);
    match text[..end].last_chunk() {
        Some(bytes) => u64::from_le_bytes(*bytes),
        None => first_word(text, end),
    }
}

/// The text's first `len` bytes, fewer than eight, with zeros before them.
fn first_word(text: &[u8], len: usize) -> u64 {
    match text.first_chunk() {
        Some(_) if len == 0 => 0,
        Some(bytes) => u64::from_le_bytes(*bytes) << (8 * (WORD_BYTES - len)),
        None => word_of_few(&text[..len]),
    }
}

/// The 32 bytes that have `behind` bytes behind them, with zeros before the text.
fn block_at(text: &[u8], behind: usize) -> Block {
    [0, 1, 2, 3].map(|word| word_at(text, behind + WORD_BYTES * word))
}

/// Fewer than eight bytes, the last of them highest, zeros below.
pub(crate) fn word_of_few(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0, |word, &byte| (word >> 8) | u64::from(byte) << 56)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tail<'a>(text: &'a [u8], before: usize) -> HostTail<'a> {
        let tail = match before {
            LEAD_BYTES.. => HostTail::of(text, before),
            _ => HostTail::of_bare(&text[before..]),
        };
        tail.expect("a host")
    }

    /// Under suffixes that leave both in one block and that do not, behind other bytes or none.
    fn check_labels(covered: &[u8], expected: bool) {
        let shown = String::from_utf8_lossy(covered);
        assert_eq!(are_labels(covered), expected, "{shown}");
        for before in [
            "",
            "https://",
            "a.b.c.d.",
            "........",
            "\u{e9}/\u{e9}/\u{e9}/",
        ] {
            for suffix in [
                "a",
                "example.com",
                "thirty-one-bytes-of.example.com",
                &"a".repeat(99),
            ] {
                let text = [before.as_bytes(), covered, b".", suffix.as_bytes()].concat();
                let host = tail(&text, before.len());
                assert_eq!(
                    host.covers_labels(suffix.len()),
                    expected,
                    "{shown} under {suffix}"
                );
            }
        }
    }

    #[test]
    fn labels_under_a_wildcard() {
        let label = "a".repeat(63);
        for good in [
            "a",
            "a.b",
            "-",
            "a-b_c.0",
            &label,
            &format!("{label}.{label}"),
        ] {
            check_labels(good.as_bytes(), true);
        }
        let long = format!("{label}a");
        for bad in [
            "", ".", ".a", "a.", "a..b", "A", "a/b", "a@b", "a b", "\u{e9}", &long,
        ] {
            check_labels(bad.as_bytes(), false);
        }
    }

    #[test]
    fn labels_of_every_length_with_every_byte_at_every_place() {
        for len in [1, 2, 7, 8, 9, 19, 20, 21, 31, 32, 40] {
            for at in 0..len {
                for byte in 0..=255u8 {
                    let mut text = vec![b'x'; len];
                    text[at] = byte;
                    let plain = byte.is_ascii_lowercase() || byte.is_ascii_digit();
                    let inner_dot = byte == b'.' && at > 0 && at + 1 < len;
                    let expected = plain || inner_dot || matches!(byte, b'-' | b'_');
                    check_labels(&text, expected);
                }
            }
        }
        for dots in 0..1u32 << 8 {
            let byte = |at: u32| if dots >> at & 1 == 1 { b'.' } else { b'a' };
            let text: Vec<u8> = (0..8).map(byte).collect();
            let split = text.split(|&byte| byte == b'.');
            check_labels(&text, split.into_iter().all(|label| !label.is_empty()));
        }
    }

    #[test]
    fn every_byte_in_every_place_is_classed() {
        for byte in 0..=255u8 {
            for place in 0..8 {
                // Neighbours of the dot by one bit or one carry among them.
                for around in [b'.', b'a', b'/', 0x2d, 0xae, 0, 0xff] {
                    let mut bytes = [around; 8];
                    bytes[place] = byte;
                    let word = u64::from_le_bytes(bytes);
                    let flag = |flags: ByteFlags| flags >> (8 * place) & 0xff;
                    let is_label = matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-');
                    let shown = format!("{byte:#x} at {place} among {around:#x}");
                    assert_eq!(
                        flag(plain_label_bytes(word)),
                        0x80 * u64::from(is_label),
                        "{shown}"
                    );
                    let is_dot = byte == b'.';
                    assert_eq!(
                        flag(equal_bytes(word, b'.')),
                        0x80 * u64::from(is_dot),
                        "{shown}"
                    );
                    assert_eq!(
                        (plain_label_bytes(word) | equal_bytes(word, b'.')) & !HIGH_BITS,
                        0
                    );
                }
            }
        }
    }

    #[test]
    fn only_a_host_that_can_be_one_has_a_tail() {
        let text = [b'a'; HOST_BYTES_MAX + 9];
        for len in [0, HOST_BYTES_MAX + 1] {
            assert!(HostTail::of(&text[..8 + len], 8).is_none(), "{len}");
            assert!(HostTail::of_bare(&text[..len]).is_none(), "{len}");
        }
        assert!(HostTail::of(b"a", 8).is_none() && HostTail::of(b"abcdefgh", 6).is_none());
        for before in 0..9 {
            let host = tail(&text[..before + HOST_BYTES_MAX], before);
            assert_eq!(host.len(), HOST_BYTES_MAX);
        }
    }

    #[test]
    fn a_key_is_cut_out_whatever_stands_before_it() {
        let host = b"0123456789abcdefghijklmnopqrstuvwxyz.example.com";
        for len in 1..=host.len() {
            let own = &host[host.len() - len..];
            for before in 0..16 {
                let text = [&b"/:/:/:/:/:/:/:/:"[..before], own].concat();
                let tail = tail(&text, before);
                for key_len in 1..=len {
                    let key = &own[len - key_len..];
                    let expected = blocks_of(key).next();
                    assert_eq!(
                        Some(tail.last_block(key_len)),
                        expected,
                        "{key_len} of {len}"
                    );
                    assert_eq!(tail.suffix(key_len), Some(key));
                }
                for word in 0..len.div_ceil(8) {
                    let bytes = own.rchunks(8).nth(word).expect("so many words");
                    let places = bytes.iter().rev().enumerate();
                    let dots = places.filter(|(_, byte)| **byte == b'.');
                    let expected = dots.fold(0, |set, (behind, _)| set | (1 << 63) >> (8 * behind));
                    let in_host = u64::MAX << (8 * (8 - bytes.len()));
                    assert_eq!(
                        tail.dots_in(word) & in_host,
                        expected,
                        "{len} behind {before}"
                    );
                }
            }
        }
    }
}
