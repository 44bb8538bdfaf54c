"""Small files that a browser really decodes, made here so that none is fetched or committed."""

import struct
import zlib

# Width of the one letter of `font()`, in em: no other font has it.
LETTER_EM = 3
# The one colour of `image()`.
RED = [255, 0, 0, 255]
# Length of `sound()`.
SOUND_S = 300


def image():
    """A red PNG of 4 × 4."""

    def chunk(kind, data):
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    rows = b"".join(b"\0" + bytes(RED[:3]) * 4 for _ in range(4))
    header = struct.pack(">IIBBBBB", 4, 4, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


def sound():
    """A WAV of `SOUND_S` seconds, 16 bit stereo at 48 kHz: more than a media element buffers."""
    rate, block = 48000, 4
    size = rate * block * SOUND_S
    head = struct.pack(
        "<4sI4s4sIHHIIHH4sI",
        b"RIFF",
        36 + size,
        b"WAVE",
        b"fmt ",
        16,
        1,
        2,
        rate,
        rate * block,
        block,
        16,
        b"data",
        size,
    )
    return head + bytes(size)


def font():
    """A TrueType font whose only letter, `A`, is `LETTER_EM` wide (the ten tables of OpenType)."""
    unit = 1000
    square = (
        struct.pack(">hhhhh", 1, 0, 0, 500, 500)
        + struct.pack(">HH", 3, 0)
        + bytes([1, 1, 1, 1])
        + struct.pack(">hhhh", 0, 0, 500, 0)
        + struct.pack(">hhhh", 0, 500, 0, -500)
    )
    square += bytes(-len(square) % 4)
    glyph_count = 2
    tables = {
        b"OS/2": struct.pack(">HhHHH", 4, unit, 400, 5, 0)
        + struct.pack(">10h", *[100] * 10)
        + struct.pack(">h", 0)
        + bytes(10)
        + bytes(16)
        + b"NONE"
        + struct.pack(">HHHhhhHH", 0x40, 65, 65, 800, -200, 0, 800, 200)
        + bytes(8)
        + struct.pack(">hhHHH", 500, 700, 0, 32, 0),
        b"cmap": struct.pack(">HHHHI", 0, 1, 3, 1, 12)
        + struct.pack(">HHHHHHH", 4, 32, 0, 4, 4, 1, 0)
        + struct.pack(">HHHHHhhHH", 65, 0xFFFF, 0, 65, 0xFFFF, 1 - 65, 1, 0, 0),
        b"glyf": square,
        b"head": struct.pack(
            ">IIIIHHqqhhhhHHhhh",
            0x10000,
            0x10000,
            0,
            0x5F0F3CF5,
            3,
            unit,
            0,
            0,
            0,
            0,
            500,
            500,
            0,
            8,
            2,
            0,
            0,
        ),
        b"hhea": struct.pack(
            ">IhhhHhhhhhhhhhhhH",
            0x10000,
            800,
            -200,
            0,
            LETTER_EM * unit,
            0,
            0,
            500,
            1,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
            glyph_count,
        ),
        b"hmtx": struct.pack(">HhHh", unit, 0, LETTER_EM * unit, 0),
        b"loca": struct.pack(">HHH", 0, 0, len(square) // 2),
        b"maxp": struct.pack(
            ">IHHHHHHHHHHHHHH", 0x10000, glyph_count, 4, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0
        ),
        b"name": _names(["corsair", "Regular", "corsair 1", "corsair"]),
        b"post": struct.pack(">IIhhIIIII", 0x30000, 0, -100, 50, 0, 0, 0, 0, 0),
    }
    directory = struct.pack(">IHHHH", 0x10000, len(tables), 128, 3, len(tables) * 16 - 128)
    offset = len(directory) + 16 * len(tables)
    body = b""
    for tag, data in sorted(tables.items()):
        padded = data + bytes(-len(data) % 4)
        total = sum(struct.unpack(f">{len(padded) // 4}I", padded)) & 0xFFFFFFFF
        directory += struct.pack(">4sIII", tag, total, offset + len(body), len(data))
        body += padded
    return directory + body


def _names(texts):
    records, strings = b"", b""
    for identity, text in zip((1, 2, 3, 4), texts):
        data = text.encode("utf-16-be")
        records += struct.pack(">HHHHHH", 3, 1, 0x409, identity, len(data), len(strings))
        strings += data
    return struct.pack(">HHH", 0, len(texts), 6 + len(records)) + records + strings
