//! RFC 9111 §3.2, §4.3.4: what a 304 does to the stored response.

use corsair_cache::{CachePolicy, FetchTimes, NoStore, RefreshRefused, Stored, refresh};

use crate::message::{at, get, rendered, section, stored};

fn refreshed(old: &Stored, not_modified: &[&str]) -> Result<Stored, RefreshRefused> {
    let times = FetchTimes {
        request_time: at(100),
        response_time: at(100),
    };
    let policy = CachePolicy::default();
    refresh(
        old,
        &section(not_modified),
        &policy,
        old.vary_origin(),
        get(&[]).view(),
        times,
    )
}

fn check(stored_lines: &[&str], not_modified: &[&str], expected: &str) {
    let old = stored(stored_lines, "body");
    let new = refreshed(&old, not_modified).unwrap();
    assert_eq!(
        rendered(new.fields()),
        expected.replace('\n', "\r\n"),
        "{not_modified:?}"
    );
    assert_eq!(
        new.body().segments()[0].as_ptr(),
        old.body().segments()[0].as_ptr()
    );
    assert_eq!((new.key(), new.status()), (old.key(), old.status()));
}

const DATE: &str = "Date: Sun, 22 Nov 2026 00:01:40 GMT";

#[test]
fn fields_are_replaced_and_added() {
    check(
        &[
            "A: 1",
            "Cache-Control: max-age=60",
            "ETag: \"x\"",
            "B: 2",
            "B: 3",
        ],
        &[DATE, "B: 4", "C: 5", "Cache-Control: max-age=90"],
        &format!("A: 1\nETag: \"x\"\n{DATE}\nB: 4\nC: 5\nCache-Control: max-age=90\n"),
    );
    check(
        &["Cache-Control: max-age=60", "ETag: \"x\""],
        &[],
        &format!("Cache-Control: max-age=60\nETag: \"x\"\n{DATE}\n"),
    );
    check(
        &["Cache-Control: max-age=60", "A: 1"],
        &[DATE, "A: 2", "a: 3"],
        &format!("Cache-Control: max-age=60\n{DATE}\nA: 2\na: 3\n"),
    );
}

#[test]
fn what_describes_the_bytes_or_the_connection_stays_out() {
    check(
        &[
            "Cache-Control: max-age=60",
            "Content-Encoding: br",
            "Content-Type: text/css",
        ],
        &[
            DATE,
            "Content-Encoding: gzip",
            "Content-Length: 0",
            "Content-Range: bytes 0-1/2",
            "Connection: X-Hop",
            "X-Hop: 1",
            "Keep-Alive: timeout=5",
            "Transfer-Encoding: chunked",
            "Age: 7",
            "Set-Cookie: a=b",
            "Content-Type: text/plain",
        ],
        &format!(
            "Cache-Control: max-age=60\nContent-Encoding: br\n{DATE}\nContent-Type: text/plain\n"
        ),
    );
}

#[test]
fn freshness_begins_anew() {
    let old = stored(&["Cache-Control: max-age=60", "ETag: \"x\""], "body");
    assert!(!old.freshness().is_fresh(at(100)));
    let new = refreshed(&old, &[]).unwrap();
    assert_eq!(
        (
            new.freshness().current_age(at(100)),
            new.freshness().remaining(at(100))
        ),
        (0, 60)
    );
    let aged = refreshed(&old, &[DATE, "Age: 10"]).unwrap();
    assert_eq!(aged.freshness().current_age(at(101)), 11);
    let longer = refreshed(&old, &["Cache-Control: max-age=500"]).unwrap();
    assert_eq!(longer.freshness().remaining(at(100)), 500);
}

#[test]
fn another_representation_is_refused() {
    let old = stored(&["Cache-Control: max-age=60", "ETag: W/\"x\""], "body");
    for same in ["ETag: \"x\"", "ETag: W/\"x\"", "ETag: garbage"] {
        assert!(refreshed(&old, &[same]).is_ok(), "{same}");
    }
    let other = refreshed(&old, &["ETag: \"y\""]);
    assert_eq!(other.err(), Some(RefreshRefused::OtherRepresentation));
    let untagged = stored(&["Cache-Control: max-age=60"], "body");
    assert!(refreshed(&untagged, &["ETag: \"y\""]).is_ok());
}

#[test]
fn an_update_may_end_storing() {
    let old = stored(&["Cache-Control: max-age=60", "ETag: \"x\""], "body");
    for (line, reason) in [
        ("Cache-Control: no-store", NoStore::NoStore),
        ("Cache-Control: private", NoStore::Private),
        ("Vary: *", NoStore::VaryStar),
    ] {
        let found = refreshed(&old, &[line]).err();
        assert_eq!(found, Some(RefreshRefused::NotStorable(reason)), "{line}");
    }
}
