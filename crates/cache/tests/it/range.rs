//! RFC 9110 §13.1.5, §14.1–§14.2: one range of a stored response.

use corsair_cache::RangeDecision::{Single, Unsatisfiable, Whole};
use corsair_cache::{RangeDecision, decide_range, select_range};
use proptest::prelude::*;

use crate::message::{Sent, fill_head, get, stored};

const FRESH: &str = "Cache-Control: max-age=60";

/// Against a body of ten bytes.
fn check(request: &[&str], expected: RangeDecision) {
    check_response(&[], request, expected);
}

fn check_response(response: &[&str], request: &[&str], expected: RangeDecision) {
    let mut lines = vec![FRESH];
    lines.extend(response);
    let found = decide_range(get(request).view(), &stored(&lines, "0123456789"));
    assert_eq!(found, expected, "{response:?} {request:?}");
}

fn single(first: u64, last: u64) -> RangeDecision {
    Single { first, last }
}

#[test]
fn single_ranges() {
    check(&[], Whole);
    for (range, expected) in [
        ("bytes=0-0", single(0, 0)),
        ("bytes=0-9", single(0, 9)),
        ("bytes=0-10", single(0, 9)),
        ("bytes=3-", single(3, 9)),
        ("bytes=9-", single(9, 9)),
        ("bytes=2-4", single(2, 4)),
        ("bytes=002-0004", single(2, 4)),
        ("bytes=-1", single(9, 9)),
        ("bytes=-10", single(0, 9)),
        ("bytes=-11", single(0, 9)),
        ("BYTES=2-4", single(2, 4)),
        ("bytes= 2-4", single(2, 4)),
        ("bytes=2-4,", single(2, 4)),
        ("bytes=0-18446744073709551615", single(0, 9)),
        ("bytes=0-99999999999999999999999", single(0, 9)),
        ("bytes=-99999999999999999999999", single(0, 9)),
    ] {
        check(&[&format!("Range: {range}")], expected);
    }
}

#[test]
fn unsatisfiable_ranges() {
    for range in [
        "bytes=10-",
        "bytes=10-20",
        "bytes=99999999999999999999-",
        "bytes=-0",
        "bytes=-00",
    ] {
        check(&[&format!("Range: {range}")], Unsatisfiable);
    }
}

#[test]
fn unreadable_and_several_ranges_get_the_whole() {
    for range in [
        "",
        "bytes",
        "bytes=",
        "bytes=-",
        "bytes=,",
        "bytes=a-b",
        "bytes=4-2",
        "bytes=2-4-6",
        "bytes=0x1-2",
        "bytes=+1-2",
        "bytes=1 -2",
        "bytes=1- 2",
        "items=0-1",
        "bytes:0-1",
        "bytes=0-1,3-4",
        "bytes=0-,0-,0-",
        "bytes=-1,0-0",
        " =0-1",
        "byte=0-1",
        "bytes =0-1",
    ] {
        check(&[&format!("Range: {range}")], Whole);
    }
    check(&[&format!("Range: bytes={}0-1", "0".repeat(200))], Whole);
    check(&["Range: bytes=0-1", "Range: bytes=2-3"], Whole);
}

#[test]
fn only_get_of_a_200() {
    let range = ["Range: bytes=2-4"];
    let stored_response = stored(&[FRESH], "0123456789");
    let head = Sent::new("HEAD", &range);
    assert_eq!(decide_range(head.view(), &stored_response), Whole);
    for status in [203, 404, 301] {
        let head = fill_head("k", get(&[]).view(), status, &[FRESH]);
        assert_eq!(
            select_range(get(&range).view(), &head, 10),
            Whole,
            "{status}"
        );
    }
}

#[test]
fn empty_bodies() {
    let empty = stored(&[FRESH], "");
    let decide = |range: &str| decide_range(get(&[&format!("Range: {range}")]).view(), &empty);
    assert_eq!(decide("bytes=0-"), Unsatisfiable);
    assert_eq!(decide("bytes=-1"), Whole);
    assert_eq!(decide("bytes=-0"), Unsatisfiable);
}

#[test]
fn if_range() {
    let range = "Range: bytes=2-4";
    let part = single(2, 4);
    let check = |response: &str, condition: &str, expected| {
        check_response(
            &[response],
            &[range, &format!("If-Range: {condition}")],
            expected,
        );
    };
    check("ETag: \"x\"", "\"x\"", part);
    check("ETag: \"x\"", "\"y\"", Whole);
    check("ETag: \"x\"", "W/\"x\"", Whole);
    check("ETag: W/\"x\"", "\"x\"", Whole);
    check("ETag: W/\"x\"", "W/\"x\"", Whole);
    check("ETag: \"x\"", "x", Whole);
    check("ETag: \"x\"", "*", Whole);
    let modified = "Last-Modified: Sat, 21 Nov 2026 00:00:00 GMT";
    check(modified, "Sat, 21 Nov 2026 00:00:00 GMT", part);
    check(modified, "Sun, 22 Nov 2026 00:00:00 GMT", Whole);
    check(modified, "Fri, 20 Nov 2026 00:00:00 GMT", Whole);
    check("ETag: \"x\"", "Sat, 21 Nov 2026 00:00:00 GMT", Whole);
    // Modified in the second it was sent: a weak validator (RFC 9110 §8.8.2.2).
    let just_now = "Last-Modified: Sun, 22 Nov 2026 00:00:00 GMT";
    check(just_now, "Sun, 22 Nov 2026 00:00:00 GMT", Whole);
    check_response(
        &["ETag: \"x\""],
        &[range, "If-Range: \"x\"", "If-Range: \"x\""],
        Whole,
    );
    check_response(&["ETag: \"x\""], &["If-Range: \"x\""], Whole);
}

proptest! {
    /// A part lies inside the body, and is what slicing the body naively gives.
    #[test]
    fn parts_lie_inside(
        length in 0_u64..40,
        first in proptest::option::of(0_u64..50),
        last in proptest::option::of(0_u64..50),
    ) {
        let text = |n: Option<u64>| n.map(|n| n.to_string()).unwrap_or_default();
        let line = format!("Range: bytes={}-{}", text(first), text(last));
        let head = fill_head("k", get(&[]).view(), 200, &[FRESH]);
        let found = select_range(get(&[&line]).view(), &head, length);
        let bytes: Vec<u64> = (0..length).collect();
        let naive: Option<&[u64]> = match (first, last) {
            (None, None) => None,
            (Some(first), last) if last.is_none_or(|last| first <= last) => {
                let end = last.map_or(length, |last| (last + 1).min(length));
                bytes.get(first as usize..end.max(first) as usize).or(Some(&[]))
            }
            (Some(_), _) => None,
            (None, Some(suffix)) => Some(&bytes[length.saturating_sub(suffix) as usize..]),
        };
        match found {
            Single { first, last } => {
                prop_assert!(first <= last && last < length);
                prop_assert_eq!(Some(&bytes[first as usize..=last as usize]), naive);
            }
            Unsatisfiable => prop_assert!(naive.is_some_and(<[u64]>::is_empty)),
            Whole => prop_assert!(naive.is_none_or(|part| part.is_empty() && length == 0)),
        }
    }
}
