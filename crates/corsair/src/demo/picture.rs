//! The demo's pictures: a PNG drawn by code (stored, not compressed) and an SVG as text.
//!
//! Sources: PNG (W3C, third edition) §5 and §9, RFC 1950 and RFC 1951 §3.2.4 for the stored block.
//! Never fails.

const WIDTH: u32 = 160;
const HEIGHT: u32 = 96;

/// A sea under a gradient sky, 160 × 96, 8-bit RGB, about 46 KiB.
pub(super) fn png() -> Vec<u8> {
    let mut rows = Vec::with_capacity(((WIDTH * 3 + 1) * HEIGHT) as usize);
    for y in 0..HEIGHT {
        rows.push(0); // filter: none
        for x in 0..WIDTH {
            rows.extend_from_slice(&pixel(x, y));
        }
    }
    let mut header = Vec::new();
    header.extend_from_slice(&WIDTH.to_be_bytes());
    header.extend_from_slice(&HEIGHT.to_be_bytes());
    // 8 bits, RGB, deflate, adaptive filters, no interlace.
    header.extend_from_slice(&[8, 2, 0, 0, 0]);
    let mut out = b"\x89PNG\r\n\x1a\n".to_vec();
    push_chunk(&mut out, b"IHDR", &header);
    push_chunk(&mut out, b"IDAT", &zlib_stored(&rows));
    push_chunk(&mut out, b"IEND", &[]);
    out
}

/// A small flag as SVG.
pub(super) const SVG: &str = include_str!("flag.svg");

fn pixel(x: u32, y: u32) -> [u8; 3] {
    let tone = |from: u32, span: u32, part: u32, whole: u32| (from + span * part / whole) as u8;
    let horizon = HEIGHT / 2;
    if y < horizon {
        return [
            tone(30, 200, y, horizon),
            tone(60, 110, y, horizon),
            tone(120, 60, y, horizon),
        ];
    }
    let depth = y - horizon;
    // Waves: bands that widen towards the viewer, shifted from row to row.
    let crest = (x + depth * depth / 7) % (6 + depth) < 2;
    if crest {
        [210, 225, 230]
    } else {
        [
            8,
            tone(50, 30, depth, horizon),
            tone(90, 40, depth, horizon),
        ]
    }
}

fn push_chunk(out: &mut Vec<u8>, kind: &[u8; 4], data: &[u8]) {
    let length = u32::try_from(data.len()).expect("the picture is small");
    out.extend_from_slice(&length.to_be_bytes());
    let start = out.len();
    out.extend_from_slice(kind);
    out.extend_from_slice(data);
    let sum = crc32(&out[start..]);
    out.extend_from_slice(&sum.to_be_bytes());
}

/// A zlib stream of one stored block.
fn zlib_stored(data: &[u8]) -> Vec<u8> {
    let length = u16::try_from(data.len()).expect("the picture fits one stored block");
    let mut out = vec![0x78, 0x01, 0x01];
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(&(!length).to_le_bytes());
    out.extend_from_slice(data);
    out.extend_from_slice(&adler32(data).to_be_bytes());
    out
}

fn adler32(data: &[u8]) -> u32 {
    let (a, b) = data.iter().fold((1_u32, 0_u32), |(a, b), byte| {
        let a = (a + u32::from(*byte)) % 65_521;
        (a, (b + a) % 65_521)
    });
    b << 16 | a
}

fn crc32(data: &[u8]) -> u32 {
    !data.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            if crc & 1 == 1 {
                crc >> 1 ^ 0xEDB8_8320
            } else {
                crc >> 1
            }
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn check_sums_agree_with_published_values() {
        // The check values of the two algorithms' own definitions.
        assert_eq!(crc32(b"123456789"), 0xCBF4_3926);
        assert_eq!(adler32(b"Wikipedia"), 0x11E6_0398);
    }

    #[test]
    fn the_picture_is_whole() {
        let picture = png();
        assert!(picture.starts_with(b"\x89PNG\r\n\x1a\n"));
        assert!(picture.ends_with(&[b'I', b'E', b'N', b'D', 0xAE, 0x42, 0x60, 0x82]));
        let rows = ((WIDTH * 3 + 1) * HEIGHT) as usize;
        assert_eq!(picture.len(), 8 + (12 + 13) + (12 + rows + 11) + 12);
    }
}
