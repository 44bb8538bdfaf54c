//! A host's bytes, right-aligned in words: what the walk from the right looks at.
//!
//! Every key of a table ends where the host ends. So the last 32 bytes are loaded once, and each key
//! of up to 32 bytes is cut out of them with a mask; dots, and bytes that no label holds, are found
//! in all of them at once. RFC 1035 §2.3.4 bounds the length. Never allocates; reads what stands
//! before the host only to fill a word.

use crate::host_bytes::{HALF_BYTES, Places, begins_with_label_bytes, last_dots};
use crate::host_name::{HOST_BYTES_MAX, are_labels};

pub(crate) const WORD_BYTES: usize = 8;
/// Words of a block.
pub(crate) const BLOCK_WORDS: usize = 4;
pub(crate) const BLOCK_BYTES: usize = BLOCK_WORDS * WORD_BYTES;
/// With so many bytes before a host no word of it begins before the text does.
pub(crate) const LEAD_BYTES: usize = WORD_BYTES - 1;

/// 32 bytes as words, the rightmost word first; the last byte of a word is its highest.
pub(crate) type Block = [u64; BLOCK_WORDS];

/// A host at the end of a text.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HostTail<'a> {
    /// Ends with the host.
    text: &'a [u8],
    host: &'a [u8],
}

impl<'a> HostTail<'a> {
    /// The host is `text` from `start` on; `None` when it is empty or longer than any host, or
    /// begins before [`LEAD_BYTES`]: for such texts there is [`PaddedHost`].
    #[inline(always)]
    pub(crate) fn of(text: &'a [u8], start: usize) -> Option<Self> {
        let host = text.get(start..)?;
        if start < LEAD_BYTES || host.len().wrapping_sub(1) >= HOST_BYTES_MAX {
            return None;
        }
        Some(Self { text, host })
    }

    /// Of the whole host.
    #[inline(always)]
    pub(crate) fn len(&self) -> usize {
        self.host.len()
    }

    /// The host's last `len` bytes with zeros before them; of more than 32 the last 32.
    #[inline(always)]
    pub(crate) fn last_block(&self, len: usize) -> Block {
        let mask = mask_of(len);
        // Each word with a byte of the host is one load; the others may hold anything. Written out:
        // `map` over an array is a call here.
        [
            word_near(self.text, WORD_BYTES) & mask[0],
            word_near(self.text, 2 * WORD_BYTES) & mask[1],
            word_near(self.text, 3 * WORD_BYTES) & mask[2],
            word_near(self.text, 4 * WORD_BYTES) & mask[3],
        ]
    }

    /// The last `len` bytes.
    #[inline]
    pub(crate) fn suffix(&self, len: usize) -> Option<&'a [u8]> {
        self.text.get(self.text.len().checked_sub(len)?..)
    }

    /// The dots of the block that has `behind` bytes behind it, those of what stands before the host
    /// included.
    #[inline(always)]
    pub(crate) fn dots_before(&self, behind: usize) -> Places {
        last_dots(&self.text[..self.text.len() - behind])
    }

    /// Whether what stands before a dot and the last `suffix_len` bytes is one or more non-empty
    /// labels joined by dots: what a `*.` may cover.
    #[inline(always)]
    pub(crate) fn covers_labels(&self, suffix_len: usize) -> bool {
        let covered_len = self.host.len().wrapping_sub(suffix_len + 1);
        // Nearly always one label.
        if let Some(first) = self.host.first_chunk()
            && covered_len.wrapping_sub(1) < HALF_BYTES
            && begins_with_label_bytes(first, covered_len)
        {
            return true;
        }
        begins_with_labels(self.host, covered_len)
    }
}

/// A host with room before it, for texts that begin with theirs or soon before it.
#[derive(Debug, Clone)]
pub(crate) struct PaddedHost {
    text: [u8; LEAD_BYTES + HOST_BYTES_MAX],
    end: usize,
}

impl PaddedHost {
    /// Copies; of more bytes than a host has only the first.
    pub(crate) fn copy(host: impl IntoIterator<Item = u8>) -> Self {
        let mut text = [0; LEAD_BYTES + HOST_BYTES_MAX];
        let places = text[LEAD_BYTES..].iter_mut();
        let copied = places.zip(host).map(|(to, from)| *to = from).count();
        Self {
            text,
            end: LEAD_BYTES + copied,
        }
    }

    /// `None` when the host is empty.
    pub(crate) fn tail(&self) -> Option<HostTail<'_>> {
        HostTail::of(&self.text[..self.end], LEAD_BYTES)
    }
}

/// Whether the first `len` bytes are non-empty labels joined by dots.
#[inline(never)]
fn begins_with_labels(host: &[u8], len: usize) -> bool {
    host.get(..len).is_some_and(are_labels)
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
    [
        u64::from_le_bytes(words[3]),
        u64::from_le_bytes(words[2]),
        u64::from_le_bytes(words[1]),
        u64::from_le_bytes(words[0]),
    ]
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
    use crate::host_bytes::place;

    /// Behind so many bytes of `text`, with room made for it where that is too little.
    fn with_tail<T>(text: &[u8], before: usize, look: impl Fn(HostTail<'_>) -> T) -> T {
        match before {
            LEAD_BYTES.. => look(HostTail::of(text, before).expect("a host")),
            _ => {
                let padded = PaddedHost::copy(text[before..].iter().copied());
                look(padded.tail().expect("a host"))
            }
        }
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
                let covers = |host: HostTail<'_>| host.covers_labels(suffix.len());
                let got = with_tail(&text, before.len(), covers);
                assert_eq!(got, expected, "{shown} under {suffix}");
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
    fn only_a_host_that_can_be_one_has_a_tail() {
        let text = [b'a'; HOST_BYTES_MAX + 9];
        for len in [0, HOST_BYTES_MAX + 1] {
            assert!(HostTail::of(&text[..8 + len], 8).is_none(), "{len}");
        }
        assert!(HostTail::of(b"a", 8).is_none() && HostTail::of(b"abcdefgh", 6).is_none());
        assert!(PaddedHost::copy([]).tail().is_none());
        for before in 0..9 {
            let len = with_tail(&text[..before + HOST_BYTES_MAX], before, |host| host.len());
            assert_eq!(len, HOST_BYTES_MAX);
        }
    }

    #[test]
    fn a_key_is_cut_out_whatever_stands_before_it() {
        let host = b"0123456789abcdefghijklmnopqrstuvwxyz.a.example.com";
        for len in 1..=host.len() {
            let own = &host[host.len() - len..];
            for before in 0..16 {
                let text = [&b"/:/:/:/:/:/:/:/:"[..before], own].concat();
                with_tail(&text, before, |tail| check_pieces(tail, own));
            }
        }
    }

    fn check_pieces(tail: HostTail<'_>, host: &[u8]) {
        let len = host.len();
        for key_len in 1..=len {
            let key = &host[len - key_len..];
            let expected = blocks_of(key).next();
            assert_eq!(
                Some(tail.last_block(key_len)),
                expected,
                "{key_len} of {len}"
            );
            assert_eq!(tail.suffix(key_len), Some(key));
        }
        for behind in (0..len).step_by(BLOCK_BYTES) {
            let block = host[..len - behind].iter().rev().take(BLOCK_BYTES);
            let dots = block.enumerate().filter(|(_, byte)| **byte == b'.');
            let expected = dots.fold(0, |places, (at, _)| places | place(at));
            assert_eq!(tail.dots_before(behind), expected, "{behind} of {len}");
        }
    }
}
