//! What is written: start lines, numbers, dates.

use corsair_http1::{
    decimal, field_line, format_date, parse_date, reason_phrase, request_line, status_line,
    write_chunk_head,
};

fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
    let mut out = b"|".to_vec();
    write(&mut out);
    String::from_utf8(out).expect("the tests use ASCII")
}

#[test]
fn writes_start_lines_and_fields() {
    let rows = [
        (200, "|HTTP/1.1 200 OK\r\n"),
        (100, "|HTTP/1.1 100 Continue\r\n"),
        (431, "|HTTP/1.1 431 Request Header Fields Too Large\r\n"),
        (299, "|HTTP/1.1 299 \r\n"),
        (7, "|HTTP/1.1 007 \r\n"),
        (60000, "|HTTP/1.1 999 \r\n"),
    ];
    for (status, expected) in rows {
        assert_eq!(written(|out| status_line(out, status)), expected);
    }
    assert_eq!(reason_phrase(600), "");
    assert_eq!(
        written(|out| request_line(out, b"PUT", b"*", None)),
        "|PUT * HTTP/1.1\r\n"
    );
    assert_eq!(
        written(|out| request_line(out, b"GET", b"/", Some(b""))),
        "|GET /? HTTP/1.1\r\n"
    );
    assert_eq!(written(|out| field_line(out, "Age", b"0")), "|Age: 0\r\n");
}

#[test]
fn writes_numbers() {
    for n in [0, 1, 9, 10, 99, 100, 12_345, u64::from(u32::MAX), u64::MAX] {
        assert_eq!(written(|out| decimal(out, n)), format!("|{n}"));
    }
    for n in [1, 15, 16, 255, 4096, usize::MAX] {
        assert_eq!(
            written(|out| write_chunk_head(out, n)),
            format!("|{n:X}\r\n")
        );
    }
}

#[test]
fn dates_go_both_ways() {
    let rows: &[(u64, &str)] = &[
        (0, "Thu, 01 Jan 1970 00:00:00 GMT"),
        (784_111_777, "Sun, 06 Nov 1994 08:49:37 GMT"),
        (951_782_400, "Tue, 29 Feb 2000 00:00:00 GMT"),
        (1_795_305_600, "Sun, 22 Nov 2026 00:00:00 GMT"),
        (253_402_300_799, "Fri, 31 Dec 9999 23:59:59 GMT"),
    ];
    for &(seconds, text) in rows {
        assert_eq!(format_date(seconds).escape_ascii().to_string(), text);
        assert_eq!(parse_date(text.as_bytes()), Some(seconds), "{text}");
    }
    assert_eq!(format_date(u64::MAX), format_date(253_402_300_799));
}

#[test]
fn dates_in_other_forms_and_no_dates() {
    let rows: &[(&str, Option<u64>)] = &[
        ("Sunday, 06-Nov-94 08:49:37 GMT", Some(784_111_777)),
        ("Sun Nov  6 08:49:37 1994", Some(784_111_777)),
        // White space around the date is passed over; field values come without it.
        (" Sun, 06 Nov 1994 08:49:37 GMT ", Some(784_111_777)),
        ("", None),
        ("0", None),
        ("-1", None),
        ("Sun, 06 Nov 1994 08:49:37", None),
        ("Sun, 06 Nov 1994 08:49:37 UTC", None),
        ("Sun, 06 Nov 1994 25:49:37 GMT", None),
        ("Sun, 31 Feb 1994 08:49:37 GMT", None),
        ("Mon, 06 Nov 1994 08:49:37 GMT", None),
        ("Thu, 01 Jan 1960 00:00:00 GMT", None),
        ("Sun, 06 N\u{f6}v 1994 08:49:37 GMT", None),
    ];
    for &(text, expected) in rows {
        assert_eq!(parse_date(text.as_bytes()), expected, "{text}");
    }
    assert_eq!(parse_date(b"\xFF\xFE"), None);
}
