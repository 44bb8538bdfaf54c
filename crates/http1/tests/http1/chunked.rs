//! Chunked bodies: what ends them, what is refused.

use corsair_http1::ChunkErrorKind::{self, *};
use corsair_http1::{
    ChunkStep, ChunkedDecoder, EXTENSION_BYTES_MAX, EXTENSION_TOTAL_BYTES_MAX, TRAILER_BYTES_MAX,
    TRAILER_LINES_MAX,
};

/// Data and bytes consumed, or where and why it failed; `None` when the body is not over.
type End = Result<Option<usize>, (ChunkErrorKind, u64)>;

fn decode(input: &[u8]) -> (Vec<u8>, End) {
    let mut decoder = ChunkedDecoder::new();
    let mut data = Vec::new();
    let mut at = 0;
    loop {
        match decoder.step(&input[at..]) {
            Ok(ChunkStep::Data { skip, len }) => {
                data.extend_from_slice(&input[at + skip..][..len]);
                at += skip + len;
            }
            Ok(ChunkStep::NeedMore { .. }) => return (data, Ok(None)),
            Ok(ChunkStep::Complete { consumed }) => {
                assert!(decoder.is_complete());
                return (data, Ok(Some(at + consumed)));
            }
            Err(error) => return (data, Err((error.kind, error.offset))),
        }
    }
}

fn check(input: &[u8], data: &[u8], end: End) {
    let shown = &input[..input.len().min(100)];
    assert_eq!(
        decode(input),
        (data.to_vec(), end),
        "{}",
        shown.escape_ascii()
    );
}

const BODIES: &[(&[u8], &[u8], End)] = &[
    (b"0\r\n\r\n", b"", Ok(Some(5))),
    (b"3\r\nabc\r\n0\r\n\r\nGET", b"abc", Ok(Some(13))),
    (
        b"a\r\n0123456789\r\nA\r\n0123456789\r\n0\r\n\r\n",
        b"01234567890123456789",
        Ok(Some(35)),
    ),
    (
        b"0000000000000003\r\nabc\r\n000\r\n\r\n",
        b"abc",
        Ok(Some(30)),
    ),
    (
        b"3;a=b;c=\"d e\"\r\nabc\r\n0;x\r\n\r\n",
        b"abc",
        Ok(Some(27)),
    ),
    (b"3;\r\nabc\r\n0\r\n\r\n", b"abc", Ok(Some(14))),
    (b"0\r\nX: y\r\nZ:\r\n\r\n", b"", Ok(Some(15))),
    (b"", b"", Ok(None)),
    (b"3\r\nab", b"ab", Ok(None)),
    (b"3\r\nabc\r\n0\r\n", b"abc", Ok(None)),
    // Extensions (row 9).
    (b"5;\nhello\r\n0\r\n\r\n", b"", Err((Extension, 2))),
    (b"2;ext\rX\r\nab\r\n0\r\n\r\n", b"", Err((Size, 6))),
    (b"2;e\0\r\nab\r\n", b"", Err((Extension, 3))),
    (b"2;e\x7F\r\nab\r\n", b"", Err((Extension, 3))),
    (b";x\r\n\r\n", b"", Err((Size, 0))),
    (b"2 ;x\r\nab\r\n", b"", Err((Size, 1))),
    // Sizes (row 10).
    (b"\r\n", b"", Err((Size, 0))),
    (b" 5\r\nhello\r\n", b"", Err((Size, 0))),
    (b"5 \r\nhello\r\n", b"", Err((Size, 1))),
    (b"0x5\r\nhello\r\n", b"", Err((Size, 1))),
    (b"-1\r\n", b"", Err((Size, 0))),
    (b"+5\r\nhello\r\n", b"", Err((Size, 0))),
    (b"5_0\r\n", b"", Err((Size, 1))),
    (b"5\nhello\r\n", b"", Err((Size, 1))),
    (b"5\rhello\r\n", b"", Err((Size, 2))),
    (b"g\r\n", b"", Err((Size, 0))),
    (
        b"00000000000000005\r\nhello\r\n",
        b"",
        Err((SizeTooLong, 16)),
    ),
    (b"fffffffffffffffff\r\n", b"", Err((SizeTooLong, 16))),
    (b"7fffffffffffffff\r\na", b"a", Ok(None)),
    (b"8000000000000000\r\na", b"", Err((SizeTooLong, 16))),
    (b"ffffffffffffffff\r\na", b"", Err((SizeTooLong, 16))),
    (b"3\r\nabcd\r\n0\r\n\r\n", b"abc", Err((DataEnd, 6))),
    // Ends (row 11).
    (b"3\r\nabcXX0\r\n\r\n", b"abc", Err((DataEnd, 6))),
    (b"3\r\nabc\n0\r\n\r\n", b"abc", Err((DataEnd, 6))),
    (b"3\r\nabc\rX0\r\n\r\n", b"abc", Err((DataEnd, 7))),
    (b"0\r\n\n", b"", Err((Trailer, 3))),
    (b"0\n\n", b"", Err((Size, 1))),
    (b"0\r\n\rX", b"", Err((Trailer, 4))),
    // Trailers (row 12): checked, counted, dropped.
    (
        b"0\r\nHost: evil\r\nContent-Length: 9\r\n\r\n",
        b"",
        Ok(Some(36)),
    ),
    (b"0\r\nX: a\n\r\n", b"", Err((Trailer, 7))),
    (b"0\r\nX: a\rb\r\n\r\n", b"", Err((Trailer, 8))),
    (b"0\r\nX: a\r\n b\r\n\r\n", b"", Err((Trailer, 9))),
    (b"0\r\nX : a\r\n\r\n", b"", Err((Trailer, 4))),
    (b"0\r\n: a\r\n\r\n", b"", Err((Trailer, 3))),
    (b"0\r\nGET / HTTP/1.1\r\n\r\n", b"", Err((Trailer, 6))),
    (b"0\r\nX\r\n\r\n", b"", Err((Trailer, 4))),
    (b"0\r\nX: \0\r\n\r\n", b"", Err((Trailer, 6))),
];

#[test]
fn reads_by_the_letter() {
    for &(input, data, end) in BODIES {
        check(input, data, end);
    }
}

#[test]
fn keeps_limits_at_the_bound_and_one_past() {
    let extended = |len: u32| {
        [
            b"1;",
            &vec![b'a'; len as usize - 1][..],
            b"\r\nx\r\n0\r\n\r\n",
        ]
        .concat()
    };
    let fits = extended(EXTENSION_BYTES_MAX);
    check(&fits, b"x", Ok(Some(fits.len())));
    let past = u64::from(EXTENSION_BYTES_MAX) + 1;
    check(
        &extended(EXTENSION_BYTES_MAX + 1),
        b"",
        Err((ExtensionTooLong, past)),
    );
    check(&extended(1024 * 1024), b"", Err((ExtensionTooLong, past)));

    let chunk = [b"1;", &[b'a'; 127][..], b"\r\nx\r\n"].concat();
    let chunks = (EXTENSION_TOTAL_BYTES_MAX / 128) as usize;
    let mut body = chunk.repeat(chunks);
    body.extend_from_slice(b"0\r\n\r\n");
    check(&body, &vec![b'x'; chunks], Ok(Some(body.len())));
    let mut body = chunk.repeat(chunks);
    let offset = body.len() as u64 + 1;
    body.extend_from_slice(b"0;\r\n\r\n");
    check(&body, &vec![b'x'; chunks], Err((ExtensionTooLong, offset)));

    let trailers = |lines: u32| [b"0\r\n", &b"X:\r\n".repeat(lines as usize)[..], b"\r\n"].concat();
    let fits = trailers(TRAILER_LINES_MAX);
    check(&fits, b"", Ok(Some(fits.len())));
    let offset = 3 + 4 * u64::from(TRAILER_LINES_MAX);
    check(
        &trailers(TRAILER_LINES_MAX + 1),
        b"",
        Err((TrailerTooLong, offset)),
    );

    let trailer = |len: u32| [b"0\r\nX:", &vec![b'a'; len as usize - 4][..], b"\r\n\r\n"].concat();
    let fits = trailer(TRAILER_BYTES_MAX);
    check(&fits, b"", Ok(Some(fits.len())));
    let offset = 3 + u64::from(TRAILER_BYTES_MAX);
    check(
        &trailer(TRAILER_BYTES_MAX + 1),
        b"",
        Err((TrailerTooLong, offset)),
    );
}

#[test]
fn errors_are_final_and_have_words() {
    let mut decoder = ChunkedDecoder::new();
    let error = decoder.step(b"x").expect_err("no size");
    assert_eq!(decoder.step(b"0\r\n\r\n"), Err(error));
    assert_eq!(decoder.step(b""), Err(error));
    assert_eq!(error.status(), 400);
    assert_eq!(
        error.to_string(),
        "malformed chunk size (byte 0 of the body)"
    );
}

#[test]
fn a_complete_body_stays_complete() {
    let mut decoder = ChunkedDecoder::new();
    assert_eq!(
        decoder.step(b"0\r\n\r\nGET /"),
        Ok(ChunkStep::Complete { consumed: 5 })
    );
    assert_eq!(
        decoder.step(b"GET /"),
        Ok(ChunkStep::Complete { consumed: 0 })
    );
    assert_eq!(
        ChunkedDecoder::new().step(b""),
        Ok(ChunkStep::NeedMore { consumed: 0 })
    );
}
