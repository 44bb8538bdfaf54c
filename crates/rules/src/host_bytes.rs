//! What the bytes of a block are, all 32 at once: a set of places, one bit each.
//!
//! Sixteen bytes are compared by one instruction, so a host's dots cost the same wherever they are.
//! The letters, digits and marks are those that labels hold: RFC 1035 §2.3.1 in lower case, and `_`.
//! No branch depends on a byte. Never allocates.

use crate::host_tail::BLOCK_BYTES;
use wide::{i8x16, u8x16};

/// Places of a block: the last byte's is the highest bit, that of the byte with `n` bytes behind it
/// is `n` bits lower.
pub(crate) type Places = u32;
const _: () = assert!(Places::BITS as usize == BLOCK_BYTES);

/// The place of the byte with `behind` bytes of the block behind it, fewer than 32.
#[inline(always)]
pub(crate) const fn place(behind: usize) -> Places {
    (1 << (Places::BITS - 1)) >> behind
}

/// Where the dots are in a text's last 32 bytes, of which it may have fewer.
#[inline(always)]
pub(crate) fn last_dots(text: &[u8]) -> Places {
    if text.len() < HALF_BYTES {
        return few_dots(text);
    }
    // Chosen by address, not by a branch: lengths differ from request to request.
    let start = text.len().saturating_sub(BLOCK_BYTES);
    let (Some(first), Some(last)) = (text[start..].first_chunk(), text.last_chunk()) else {
        return 0;
    };
    // In a text of less than 32 bytes the halves overlap, and tell the same of what both hold.
    let missing = BLOCK_BYTES.saturating_sub(text.len());
    dots_in(last) << HALF_BYTES | dots_in(first) << missing
}

/// The same of fewer than 16 bytes.
#[inline(never)]
fn few_dots(text: &[u8]) -> Places {
    let behind = |(behind, byte): (usize, &u8)| if *byte == b'.' { place(behind) } else { 0 };
    text.iter().rev().enumerate().map(behind).sum()
}

/// Sixteen bytes, the first one's bit the lowest.
#[inline(always)]
fn dots_in(text: &[u8; HALF_BYTES]) -> u32 {
    u8x16::new(*text).simd_eq(u8x16::splat(b'.')).to_bitmask()
}

/// How many bytes an instruction compares.
pub(crate) const HALF_BYTES: usize = 16;

/// Whether the first `len` bytes are all a label's: letters, digits, `-` and `_`.
#[inline(always)]
pub(crate) fn begins_with_label_bytes(text: &[u8; HALF_BYTES], len: usize) -> bool {
    let text = i8x16::new(text.map(u8::cast_signed));
    let is = |byte: u8| text.simd_eq(i8x16::splat(byte.cast_signed()));
    let within = |first: u8, last: u8| {
        // Moved up until the range ends with the greatest of all bytes.
        let moved = text + i8x16::splat((0x7f - last).cast_signed());
        moved.simd_gt(i8x16::splat((0x7f - last + first - 1).cast_signed()))
    };
    let labels = within(b'a', b'z') | within(b'0', b'9') | is(b'-') | is(b'_');
    labels.to_bitmask() | u32::MAX << len == u32::MAX
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_in_every_place_is_classed() {
        // Neighbours of the dot and of the ranges' ends among them.
        let around = [
            b'.', b'a', b'/', b':', b'-', b'`', b'{', 0x7f, 0x80, 0xae, 0, 0xff,
        ];
        for byte in 0..=255u8 {
            for (at, around) in (0..HALF_BYTES).flat_map(|at| around.map(|around| (at, around))) {
                let mut text = [around; HALF_BYTES];
                text[at] = byte;
                let is_label = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_');
                let shown = format!("{byte:#x} at {at} among {around:#x}");
                for len in 1..=HALF_BYTES {
                    let expected = text[..len].iter().all(|&byte| is_label(byte));
                    assert_eq!(begins_with_label_bytes(&text, len), expected, "{shown}");
                }
                let dot = |at: usize| u32::from(text[at] == b'.') << at;
                let expected = (0..HALF_BYTES).map(dot).sum();
                assert_eq!(dots_in(&text), expected, "{shown}");
            }
        }
    }

    #[test]
    fn dots_of_texts_of_every_length() {
        for len in 0..3 * BLOCK_BYTES {
            for step in [1, 2, 3, 7, 15, 16, 17, 31, 33] {
                let byte = |at: usize| if at.is_multiple_of(step) { b'.' } else { b'a' };
                let text: Vec<u8> = (0..len).map(byte).collect();
                let from_end = text.iter().rev().take(BLOCK_BYTES).enumerate();
                let dots = from_end.filter(|(_, byte)| **byte == b'.');
                let expected = dots.fold(0, |places, (behind, _)| places | place(behind));
                assert_eq!(
                    last_dots(&text),
                    expected,
                    "{len} bytes, each {step}th a dot"
                );
            }
        }
    }
}
