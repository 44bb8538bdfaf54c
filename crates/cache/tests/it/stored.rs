//! RFC 9111 §3.1, RFC 9110 §6.6.1, §7.6.1: the head that is kept.

use bytes::Bytes;
use corsair_cache::{
    Body, FillHead, Freshness, HeadParts, SetCookie, Stored, StoredHead, VaryOrigin,
};

use crate::message::{T0, T0_DATE, TIMES, fill_head, get, rendered, section, stored};

fn head_of(lines: &[&str], set_cookie: SetCookie) -> StoredHead {
    StoredHead::new(HeadParts {
        key: b"http://a/a",
        status: 200,
        fields: section(lines),
        freshness: Freshness::stale(TIMES.response_time),
        vary_origin: VaryOrigin::Ignore,
        set_cookie,
        request: get(&["Accept: x"]).view(),
    })
}

#[test]
fn only_end_to_end_fields_are_kept_in_order() {
    let lines = [
        "Server: s",
        "Connection: close, X-Hop, Cache-Control",
        "X-Hop: 1",
        "Keep-Alive: timeout=5",
        "Date: Sun, 22 Nov 2026 00:00:00 GMT",
        "Age: 9",
        "Content-Length: 4",
        "Transfer-Encoding: chunked",
        "Trailer: X",
        "Upgrade: h2c",
        "Proxy-Authenticate: Basic",
        "Proxy-Authentication-Info: x",
        "TE: x",
        "Cache-Control: max-age=1",
        "Cache-Status: upstream; hit",
        "x-b: 2",
        "X-B: 3",
        "Vary: Origin",
        "Set-Cookie: a=b",
    ];
    let kept = "Server: s\r\nDate: Sun, 22 Nov 2026 00:00:00 GMT\r\nCache-Control: max-age=1\r\n\
        Cache-Status: upstream; hit\r\nx-b: 2\r\nX-B: 3\r\nVary: Origin\r\n";
    let with_cookie = format!("{kept}Set-Cookie: a=b\r\n");
    assert_eq!(rendered(head_of(&lines, SetCookie::Bypass).fields()), kept);
    assert_eq!(rendered(head_of(&lines, SetCookie::Strip).fields()), kept);
    assert_eq!(
        rendered(head_of(&lines, SetCookie::Store).fields()),
        with_cookie
    );
}

#[test]
fn a_date_is_there_and_readable() {
    let missing = head_of(&["A: 1"], SetCookie::Bypass);
    assert_eq!(
        rendered(missing.fields()),
        format!("A: 1\r\nDate: {T0_DATE}\r\n")
    );
    assert_eq!(missing.date(), T0);
    let broken = head_of(&["Date: today", "A: 1", "Date: x"], SetCookie::Bypass);
    assert_eq!(
        rendered(broken.fields()),
        format!("Date: {T0_DATE}\r\nA: 1\r\n")
    );
    let early = head_of(&["Date: Thu, 01 Jan 1970 00:00:01 GMT"], SetCookie::Bypass);
    assert_eq!(early.date(), 1);
}

#[test]
fn accessors_read_the_fields() {
    let head = head_of(
        &[
            "ETag: \"x\"",
            "Last-Modified: Thu, 01 Jan 1970 00:00:05 GMT",
            "Content-Type: a/b",
            "Vary: Accept, Origin",
        ],
        SetCookie::Bypass,
    );
    assert_eq!(head.etag().map(|tag| tag.opaque), Some(&b"x"[..]));
    assert_eq!(head.last_modified(), Some(5));
    assert_eq!(head.content_type(), Some(&b"a/b"[..]));
    assert_eq!((head.key(), head.status()), (&b"http://a/a"[..], 200));
    let names: Vec<&[u8]> = head.vary().unwrap().names().collect();
    assert_eq!(names, [b"accept"]);
    assert!(head.selects(get(&["Accept: x", "Origin: http://b"]).view()));
    assert!(!head.selects(get(&["Accept: y"]).view()));
    assert!(head_of(&[], SetCookie::Bypass).selects(get(&["Accept: y"]).view()));
}

#[test]
fn a_fill_knows_the_announced_length() {
    let request = get(&[]);
    let of = |lines: &[&str]| -> FillHead { fill_head("k", request.view(), 200, lines) };
    assert_eq!(of(&["Content-Length: 12"]).content_length(), Some(12));
    assert_eq!(of(&[]).content_length(), None);
}

#[test]
fn weight_counts_everything() {
    let weight = |lines: &[&str], body: usize| {
        let head = head_of(lines, SetCookie::Bypass);
        Stored::new(head, Body::from_chunks([Bytes::from(vec![0; body])])).weight()
    };
    let empty = weight(&[], 0);
    assert!(empty >= size_of::<Stored>() as u64 + 256);
    assert_eq!(weight(&[], 1_000) - weight(&[], 1), 999);
    let long = format!("X-Long: {}", "a".repeat(1_000));
    assert!(weight(&[&long], 0) >= empty + 1_000);
    assert!(weight(&["Vary: Accept, X-One"], 0) > empty);
}

#[test]
fn a_response_is_not_retired_and_has_no_place_before_it_is_stored() {
    let stored = stored(&["Cache-Control: max-age=60"], "body");
    assert!(!stored.is_retired());
    assert_eq!((stored.id(), stored.slot()), (0, None));
    assert_eq!(stored.body().len(), 4);
}
