//! The demo's font, drawn by code: a 5 × 7 pixel alphabet as a real TrueType file and the same
//! tables as WOFF2.
//!
//! Sources: the OpenType specification 1.9 (`cmap` format 4, `glyf`, `head`, `hhea`, `hmtx`,
//! `loca`, `maxp`, `name`, `OS/2`, `post`), WOFF2 (W3C, 2022) with the null transform, and RFC 7932
//! §9.2 for the Brotli stream, which is one uncompressed meta-block: the file is valid and needs no
//! compressor. It never reads a file and never fails.

/// Font units per em; a pixel of the bitmap is [`PIXEL`] units.
const UNITS_PER_EM: u16 = 1000;
const PIXEL: i16 = 100;
const ADVANCE: u16 = 600;
/// Glyphs: 0 = `.notdef`, 1 = space, 2..28 = A to Z (lower case maps onto them).
const GLYPHS: u16 = 28;
/// 2026-01-01T00:00:00Z in seconds since 1904, which is what `head` counts in.
const CREATED: i64 = 3_850_070_400;

/// Rows from the top, five pixels in the low bits.
const LETTERS: [[u8; 7]; 26] = [
    [0x0e, 0x11, 0x11, 0x1f, 0x11, 0x11, 0x11],
    [0x1e, 0x11, 0x11, 0x1e, 0x11, 0x11, 0x1e],
    [0x0e, 0x11, 0x10, 0x10, 0x10, 0x11, 0x0e],
    [0x1e, 0x11, 0x11, 0x11, 0x11, 0x11, 0x1e],
    [0x1f, 0x10, 0x10, 0x1e, 0x10, 0x10, 0x1f],
    [0x1f, 0x10, 0x10, 0x1e, 0x10, 0x10, 0x10],
    [0x0e, 0x11, 0x10, 0x17, 0x11, 0x11, 0x0f],
    [0x11, 0x11, 0x11, 0x1f, 0x11, 0x11, 0x11],
    [0x0e, 0x04, 0x04, 0x04, 0x04, 0x04, 0x0e],
    [0x07, 0x02, 0x02, 0x02, 0x02, 0x12, 0x0c],
    [0x11, 0x12, 0x14, 0x18, 0x14, 0x12, 0x11],
    [0x10, 0x10, 0x10, 0x10, 0x10, 0x10, 0x1f],
    [0x11, 0x1b, 0x15, 0x15, 0x11, 0x11, 0x11],
    [0x11, 0x11, 0x19, 0x15, 0x13, 0x11, 0x11],
    [0x0e, 0x11, 0x11, 0x11, 0x11, 0x11, 0x0e],
    [0x1e, 0x11, 0x11, 0x1e, 0x10, 0x10, 0x10],
    [0x0e, 0x11, 0x11, 0x11, 0x15, 0x12, 0x0d],
    [0x1e, 0x11, 0x11, 0x1e, 0x14, 0x12, 0x11],
    [0x0f, 0x10, 0x10, 0x0e, 0x01, 0x01, 0x1e],
    [0x1f, 0x04, 0x04, 0x04, 0x04, 0x04, 0x04],
    [0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x0e],
    [0x11, 0x11, 0x11, 0x11, 0x11, 0x0a, 0x04],
    [0x11, 0x11, 0x11, 0x15, 0x15, 0x1b, 0x11],
    [0x11, 0x11, 0x0a, 0x04, 0x0a, 0x11, 0x11],
    [0x11, 0x11, 0x0a, 0x04, 0x04, 0x04, 0x04],
    [0x1f, 0x01, 0x02, 0x04, 0x08, 0x10, 0x1f],
];
const BOX: [u8; 7] = [0x1f, 0x11, 0x11, 0x11, 0x11, 0x11, 0x1f];
const BLANK: [u8; 7] = [0; 7];

/// One sfnt table: its tag, its number in WOFF2's list of known tags, its bytes.
struct Table {
    tag: &'static [u8; 4],
    known_tag: u8,
    bytes: Vec<u8>,
}

/// The font as a TrueType file, about 8 KiB.
pub(super) fn ttf() -> Vec<u8> {
    assemble_sfnt(&mut tables())
}

/// The same font as WOFF2. Its checksums are those of [`ttf`], since the transform is the null one.
pub(super) fn woff2() -> Vec<u8> {
    let mut tables = tables();
    let sfnt = assemble_sfnt(&mut tables);
    let mut directory = Vec::new();
    let mut stream = Vec::new();
    for table in &tables {
        // Transform version 3 is the null transform of glyf and loca; for all others it is 0.
        let null_transform = if matches!(table.tag, b"glyf" | b"loca") {
            3 << 6
        } else {
            0
        };
        directory.push(table.known_tag | null_transform);
        push_base128(&mut directory, table.bytes.len());
        stream.extend_from_slice(&table.bytes);
    }
    let compressed = brotli_uncompressed(&stream);
    let padding = compressed.len().wrapping_neg() % 4;
    let mut out = b"wOF2".to_vec();
    u32s(
        &mut out,
        &[
            0x0001_0000,
            width32(48 + directory.len() + compressed.len() + padding),
        ],
    );
    u16s(&mut out, &[width16(tables.len()), 0]);
    u32s(&mut out, &[width32(sfnt.len()), width32(compressed.len())]);
    u16s(&mut out, &[1, 0]);
    u32s(&mut out, &[0; 5]); // no metadata, no private block
    out.extend_from_slice(&directory);
    out.extend_from_slice(&compressed);
    out.resize(out.len() + padding, 0);
    out
}

/// The whole file; also writes its checksum adjustment into the `head` table given.
fn assemble_sfnt(tables: &mut [Table]) -> Vec<u8> {
    let count = width16(tables.len());
    let power = count.ilog2();
    let search_range = 16 * (1 << power);
    let mut out = Vec::new();
    u32s(&mut out, &[0x0001_0000]);
    u16s(
        &mut out,
        &[
            count,
            search_range,
            width16(power as usize),
            count * 16 - search_range,
        ],
    );
    let mut offset = 12 + 16 * tables.len();
    for table in &*tables {
        out.extend_from_slice(table.tag);
        u32s(
            &mut out,
            &[
                checksum(&table.bytes),
                width32(offset),
                width32(table.bytes.len()),
            ],
        );
        offset += table.bytes.len().next_multiple_of(4);
    }
    let mut starts = Vec::new();
    for table in &*tables {
        starts.push(out.len());
        out.extend_from_slice(&table.bytes);
        out.resize(out.len().next_multiple_of(4), 0);
    }
    let adjustment = 0xB1B0_AFBA_u32.wrapping_sub(checksum(&out)).to_be_bytes();
    for (table, start) in tables.iter_mut().zip(starts) {
        if table.tag == b"head" {
            out[start + 8..start + 12].copy_from_slice(&adjustment);
            table.bytes[8..12].copy_from_slice(&adjustment);
        }
    }
    out
}

/// The tables in tag order, `head` with a zero checksum adjustment.
fn tables() -> Vec<Table> {
    let bitmaps: Vec<&[u8; 7]> = [&BOX, &BLANK].into_iter().chain(&LETTERS).collect();
    let mut glyf = Vec::new();
    let mut loca = Vec::new();
    let (mut points_max, mut contours_max) = (0, 0);
    for bitmap in bitmaps {
        u32s(&mut loca, &[width32(glyf.len())]);
        let boxes = rectangles(bitmap);
        contours_max = contours_max.max(boxes.len());
        points_max = points_max.max(boxes.len() * 4);
        push_glyph(&mut glyf, &boxes);
    }
    u32s(&mut loca, &[width32(glyf.len())]);
    vec![
        Table {
            tag: b"OS/2",
            known_tag: 6,
            bytes: os2(),
        },
        Table {
            tag: b"cmap",
            known_tag: 0,
            bytes: cmap(),
        },
        Table {
            tag: b"glyf",
            known_tag: 10,
            bytes: glyf,
        },
        Table {
            tag: b"head",
            known_tag: 1,
            bytes: head(),
        },
        Table {
            tag: b"hhea",
            known_tag: 2,
            bytes: hhea(),
        },
        Table {
            tag: b"hmtx",
            known_tag: 3,
            bytes: hmtx(),
        },
        Table {
            tag: b"loca",
            known_tag: 11,
            bytes: loca,
        },
        Table {
            tag: b"maxp",
            known_tag: 4,
            bytes: maxp(points_max, contours_max),
        },
        Table {
            tag: b"name",
            known_tag: 5,
            bytes: name(),
        },
        Table {
            tag: b"post",
            known_tag: 7,
            bytes: post(),
        },
    ]
}

/// Each run of set pixels in a row is one rectangle: left, bottom, right, top in font units.
fn rectangles(bitmap: &[u8; 7]) -> Vec<[i16; 4]> {
    let mut boxes = Vec::new();
    for (row, bits) in (0_i16..).zip(bitmap) {
        let (bottom, top) = ((6 - row) * PIXEL, (7 - row) * PIXEL);
        let mut start = None;
        for column in 0_i16..=5 {
            let set = column < 5 && bits & (0x10 >> column) != 0;
            match (start, set) {
                (None, true) => start = Some(column),
                (Some(first), false) => {
                    boxes.push([50 + first * PIXEL, bottom, 50 + column * PIXEL, top]);
                    start = None;
                }
                (None, false) | (Some(_), true) => {}
            }
        }
    }
    boxes
}

/// A simple glyph, one clockwise contour a rectangle; an empty one takes no bytes at all.
fn push_glyph(glyf: &mut Vec<u8>, boxes: &[[i16; 4]]) {
    let Some(first) = boxes.first() else { return };
    let bounds = boxes.iter().fold(*first, |b, r| {
        [
            b[0].min(r[0]),
            b[1].min(r[1]),
            b[2].max(r[2]),
            b[3].max(r[3]),
        ]
    });
    u16s(glyf, &[width16(boxes.len())]);
    i16s(glyf, &bounds);
    for index in 0..boxes.len() {
        u16s(glyf, &[width16(index * 4 + 3)]);
    }
    u16s(glyf, &[0]); // no instructions
    glyf.resize(glyf.len() + boxes.len() * 4, 0x01); // every point is on the curve
    let corners = |[left, bottom, right, top]: &[i16; 4]| {
        [
            (*left, *bottom),
            (*left, *top),
            (*right, *top),
            (*right, *bottom),
        ]
    };
    let points: Vec<(i16, i16)> = boxes.iter().flat_map(corners).collect();
    let mut previous = 0;
    for (x, _) in &points {
        i16s(glyf, &[x - previous]);
        previous = *x;
    }
    previous = 0;
    for (_, y) in &points {
        i16s(glyf, &[y - previous]);
        previous = *y;
    }
    glyf.resize(glyf.len().next_multiple_of(4), 0);
}

fn cmap() -> Vec<u8> {
    // (first, last, glyph of the first); the last segment is obligatory and maps to .notdef.
    let segments: [(u16, u16, u16); 4] = [
        (0x20, 0x20, 1),
        (0x41, 0x5a, 2),
        (0x61, 0x7a, 2),
        (0xffff, 0xffff, 0),
    ];
    let mut sub = Vec::new();
    u16s(&mut sub, &[4, 16 + 8 * 4, 0, 4 * 2, 8, 2, 0]);
    segments
        .iter()
        .for_each(|(_, last, _)| u16s(&mut sub, &[*last]));
    u16s(&mut sub, &[0]);
    segments
        .iter()
        .for_each(|(first, _, _)| u16s(&mut sub, &[*first]));
    segments
        .iter()
        .for_each(|(first, _, glyph)| u16s(&mut sub, &[glyph.wrapping_sub(*first)]));
    u16s(&mut sub, &[0; 4]);
    let mut out = Vec::new();
    u16s(&mut out, &[0, 1, 3, 1]); // one subtable: Windows, Unicode BMP
    u32s(&mut out, &[12]);
    out.extend_from_slice(&sub);
    out
}

fn head() -> Vec<u8> {
    let mut out = Vec::new();
    u32s(&mut out, &[0x0001_0000, 0x0001_0000, 0, 0x5F0F_3CF5]);
    // Bit 11: the font has been through a lossless conversion, as WOFF2 §5 asks of the files it
    // carries.
    u16s(&mut out, &[0x0803, UNITS_PER_EM]);
    out.extend_from_slice(&CREATED.to_be_bytes());
    out.extend_from_slice(&CREATED.to_be_bytes());
    i16s(&mut out, &[50, 0, 550, 700]);
    u16s(&mut out, &[0, 7, 2, 1, 0]); // plain, 7 px and up, left to right, long loca
    out
}

fn hhea() -> Vec<u8> {
    let mut out = Vec::new();
    u32s(&mut out, &[0x0001_0000]);
    i16s(&mut out, &[800, -200, 0]);
    u16s(
        &mut out,
        &[ADVANCE, 0, 50, 550, 1, 0, 0, 0, 0, 0, 0, 0, GLYPHS],
    );
    out
}

fn hmtx() -> Vec<u8> {
    let bitmaps = [&BOX, &BLANK].into_iter().chain(&LETTERS);
    let mut out = Vec::new();
    for bitmap in bitmaps {
        let bearing = rectangles(bitmap).iter().map(|r| r[0]).min().unwrap_or(0);
        u16s(&mut out, &[ADVANCE]);
        i16s(&mut out, &[bearing]);
    }
    out
}

fn maxp(points_max: usize, contours_max: usize) -> Vec<u8> {
    let mut out = Vec::new();
    u32s(&mut out, &[0x0001_0000]);
    u16s(
        &mut out,
        &[GLYPHS, width16(points_max), width16(contours_max)],
    );
    u16s(&mut out, &[0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0]);
    out
}

fn name() -> Vec<u8> {
    let names = [
        (1, "Corsair Demo"),
        (2, "Regular"),
        (3, "Corsair Demo Regular 1.0"),
        (4, "Corsair Demo Regular"),
        (5, "Version 1.000"),
        (6, "CorsairDemo-Regular"),
    ];
    let mut out = Vec::new();
    let mut text = Vec::new();
    u16s(
        &mut out,
        &[0, width16(names.len()), width16(6 + 12 * names.len())],
    );
    for (id, value) in names {
        let utf16: Vec<u8> = value.encode_utf16().flat_map(u16::to_be_bytes).collect();
        u16s(
            &mut out,
            &[3, 1, 0x0409, id, width16(utf16.len()), width16(text.len())],
        );
        text.extend_from_slice(&utf16);
    }
    out.extend_from_slice(&text);
    out
}

fn os2() -> Vec<u8> {
    let mut out = Vec::new();
    u16s(&mut out, &[4, ADVANCE, 400, 5, 0]); // version, width, weight, width class, installable
    // Sub- and superscript, strike-out, no family class.
    i16s(&mut out, &[650, 600, 0, 75, 650, 600, 0, 350, 50, 300, 0]);
    out.extend_from_slice(&[2, 0, 5, 9, 0, 0, 0, 0, 0, 0]); // PANOSE: Latin text, monospaced
    u32s(&mut out, &[1, 0, 0, 0]); // Basic Latin
    out.extend_from_slice(b"CORS");
    u16s(&mut out, &[0x0040, 0x20, 0x7a]); // regular; first and last character
    i16s(&mut out, &[800, -200, 0]);
    u16s(&mut out, &[800, 200]);
    u32s(&mut out, &[1, 0]); // Latin 1
    i16s(&mut out, &[700, 700]); // x height, cap height
    u16s(&mut out, &[0, 0x20, 0]);
    out
}

fn post() -> Vec<u8> {
    let mut out = Vec::new();
    u32s(&mut out, &[0x0003_0000, 0]); // no glyph names
    i16s(&mut out, &[-100, 50]);
    u32s(&mut out, &[1, 0, 0, 0, 0]); // monospaced
    out
}

/// Sum of big-endian words, zero-padded (OpenType, "Calculating checksums").
fn checksum(bytes: &[u8]) -> u32 {
    bytes.chunks(4).fold(0_u32, |sum, chunk| {
        let mut word = [0; 4];
        word[..chunk.len()].copy_from_slice(chunk);
        sum.wrapping_add(u32::from_be_bytes(word))
    })
}

/// RFC 7932 §9.2: window of 16 bits, one uncompressed meta-block, then an empty last one.
fn brotli_uncompressed(bytes: &[u8]) -> Vec<u8> {
    let length = u32::from(width16(bytes.len() - 1));
    // Bits from the lowest: WBITS 0, ISLAST 0, MNIBBLES 00, MLEN - 1 in 16 bits, ISUNCOMPRESSED 1.
    let header = length << 4 | 1 << 20;
    let mut out = header.to_le_bytes()[..3].to_vec();
    out.extend_from_slice(bytes);
    out.push(0b11); // ISLAST, ISLASTEMPTY
    out
}

/// `UIntBase128` of WOFF2 §4.1.
fn push_base128(out: &mut Vec<u8>, value: usize) {
    let mut groups = vec![(value & 0x7f) as u8];
    let mut rest = value >> 7;
    while rest > 0 {
        groups.push((rest & 0x7f) as u8 | 0x80);
        rest >>= 7;
    }
    out.extend(groups.iter().rev());
}

fn width16(value: usize) -> u16 {
    u16::try_from(value).expect("the demo font is under 64 KiB")
}

fn width32(value: usize) -> u32 {
    u32::try_from(value).expect("the demo font is under 64 KiB")
}

fn u16s(out: &mut Vec<u8>, values: &[u16]) {
    out.extend(values.iter().flat_map(|value| value.to_be_bytes()));
}

fn i16s(out: &mut Vec<u8>, values: &[i16]) {
    out.extend(values.iter().flat_map(|value| value.to_be_bytes()));
}

fn u32s(out: &mut Vec<u8>, values: &[u32]) {
    out.extend(values.iter().flat_map(|value| value.to_be_bytes()));
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The table of that tag, cut out of a finished TrueType file.
    fn table<'a>(font: &'a [u8], tag: &[u8; 4]) -> &'a [u8] {
        let word = |at: usize| u32::from_be_bytes(font[at..at + 4].try_into().unwrap()) as usize;
        let count = usize::from(u16::from_be_bytes([font[4], font[5]]));
        let entry = (0..count)
            .map(|i| 12 + 16 * i)
            .find(|at| &font[*at..at + 4] == tag)
            .unwrap();
        &font[word(entry + 8)..word(entry + 8) + word(entry + 12)]
    }

    #[test]
    fn a_finished_file_sums_to_the_magic_constant() {
        // OpenType: the whole file, adjustment included, sums to this.
        assert_eq!(checksum(&ttf()), 0xB1B0_AFBA);
    }

    #[test]
    fn every_table_has_the_length_its_version_demands() {
        let font = ttf();
        for (tag, length) in [
            (b"head", 54),
            (b"hhea", 36),
            (b"maxp", 32),
            (b"OS/2", 96),
            (b"post", 32),
        ] {
            assert_eq!(
                table(&font, tag).len(),
                length,
                "{}",
                String::from_utf8_lossy(tag)
            );
        }
        assert_eq!(table(&font, b"hmtx").len(), usize::from(GLYPHS) * 4);
        assert_eq!(table(&font, b"loca").len(), (usize::from(GLYPHS) + 1) * 4);
    }

    #[test]
    fn woff2_carries_the_tables_of_the_truetype_file() {
        let (font, packed) = (ttf(), woff2());
        let word = |at: usize| u32::from_be_bytes(packed[at..at + 4].try_into().unwrap()) as usize;
        assert_eq!(&packed[..4], b"wOF2");
        assert_eq!(word(8), packed.len());
        assert_eq!(word(16), font.len());
        let stream_len: usize = 3 + tables().iter().map(|t| t.bytes.len()).sum::<usize>() + 1;
        assert_eq!(word(20), stream_len);
        // The stream is stored as it is, so a table can be found in it.
        let head = table(&font, b"head");
        assert!(
            packed.windows(head.len()).any(|window| window == head),
            "head differs"
        );
    }
}
