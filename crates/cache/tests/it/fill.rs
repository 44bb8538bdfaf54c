//! Collapsing, as stories: who leads, who follows, who is let go, who is woken.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use corsair_cache::{
    FailureKind, FillFailure, FillLimits, FillTable, HeadStep, Joined, KeyHash, KeySecret, Lead,
    Mode, NoStore, ReadStep, Reader, Retry, Store, Stored, WakeWorkers, Window, hash_key,
};

use crate::message::{Sent, at, fill_head, get, stored};

const KEY: KeyHash = KeyHash(77);
const FRESH: &str = "Cache-Control: max-age=60";
const FAILURE: FillFailure = FillFailure {
    kind: FailureKind::Timeout,
    retry: Retry::Safe,
};
const ABANDONED: FillFailure = FillFailure {
    kind: FailureKind::Abandoned,
    retry: Retry::Safe,
};
const STORE: Mode = Mode::Store {
    body_bytes_max: 1 << 20,
};

/// Notes every wake: the workers' bits.
#[derive(Default)]
struct Noted(Mutex<Vec<u64>>);

impl WakeWorkers for Noted {
    fn wake(&self, key: KeyHash, workers: u64) {
        assert_eq!(key, KEY);
        self.0.lock().unwrap().push(workers);
    }
}

struct Stage {
    fills: FillTable,
    noted: Arc<Noted>,
}

impl Stage {
    fn new() -> Self {
        let noted = Arc::new(Noted::default());
        let limits = FillLimits {
            leader_age_ms_max: 10_000,
            window_bytes: 10,
        };
        Self {
            fills: FillTable::with_limits(Arc::clone(&noted) as _, limits),
            noted,
        }
    }

    fn lead(&self, now: u64) -> Lead {
        match self.fills.join(KEY, at(now)) {
            Joined::Lead(lead) => lead,
            Joined::Follow(_) => panic!("somebody leads"),
        }
    }

    fn follow(&self, now: u64) -> Reader {
        match self.fills.join(KEY, at(now)) {
            Joined::Follow(reader) => reader,
            Joined::Lead(_) => panic!("nobody leads"),
        }
    }

    /// The wakes since the last call.
    fn wakes(&self) -> Vec<u64> {
        std::mem::take(&mut *self.noted.0.lock().unwrap())
    }
}

fn publish(lead: &mut Lead, lines: &[&str], mode: Mode) {
    drop(lead.publish_head(fill_head("k", get(&[]).view(), 200, lines), mode));
}

fn push(lead: &mut Lead, text: &'static str) -> (bool, bool, Option<NoStore>) {
    let advice = lead.push(Bytes::from_static(text.as_bytes()));
    lead.check_invariants().unwrap();
    (advice.window_full, advice.abandoned, advice.outgrown)
}

/// Reads what is there; the step that ended it.
fn read(reader: &mut Reader, worker: usize) -> (String, ReadStep) {
    let mut text = String::new();
    loop {
        match reader.poll_next(worker) {
            ReadStep::Chunk(bytes) => text.push_str(std::str::from_utf8(&bytes).unwrap()),
            step => return (text, step),
        }
    }
}

fn finish(mut lead: Lead, body: &'static str) -> Arc<Stored> {
    let kept = lead.body().unwrap();
    assert_eq!(kept.segments().concat(), body.as_bytes());
    let stored = Arc::new(stored(&[FRESH], body));
    lead.finish(Some(Arc::clone(&stored)));
    stored
}

#[test]
fn followers_stream_from_the_first_byte_while_the_leader_fetches() {
    let stage = Stage::new();
    let mut lead = stage.lead(0);
    let mut own = lead.reader();
    let mut early = stage.follow(0);
    assert!(matches!(early.poll_head(3), HeadStep::Pending));
    assert!(matches!(own.poll_head(0), HeadStep::Pending));
    publish(&mut lead, &[FRESH], STORE);
    assert_eq!(stage.wakes(), [0b1001]);
    assert!(matches!(early.poll_head(3), HeadStep::Head(_)));
    assert_eq!(read(&mut early, 3), (String::new(), ReadStep::Pending));
    assert_eq!(push(&mut lead, "abc"), (false, false, None));
    assert_eq!(stage.wakes(), [0b1000]);
    let mut late = stage.follow(1);
    assert!(matches!(late.poll_head(5), HeadStep::Head(head) if head.status() == 200));
    assert_eq!(read(&mut late, 5), ("abc".to_owned(), ReadStep::Pending));
    push(&mut lead, "def");
    assert_eq!(stage.wakes(), [1 << 5]);
    assert_eq!(stage.fills.len(), 1);
    drop(finish(lead, "abcdef"));
    assert!(stage.fills.is_empty());
    assert_eq!(stage.wakes(), Vec::<u64>::new());
    for (reader, rest) in [
        (&mut early, "abcdef"),
        (&mut late, "def"),
        (&mut own, "abcdef"),
    ] {
        assert_eq!(read(reader, 0), (rest.to_owned(), ReadStep::End));
        assert_eq!(reader.position(), 6);
    }
}

#[test]
fn who_comes_when_all_is_there_gets_the_stored_response() {
    let stage = Stage::new();
    let mut lead = stage.lead(0);
    let mut waiting = stage.follow(0);
    assert!(matches!(waiting.poll_head(64), HeadStep::Pending));
    publish(&mut lead, &[FRESH], STORE);
    push(&mut lead, "abc");
    let stored = finish(lead, "abc");
    // Workers beyond 64 share bits.
    assert_eq!(stage.wakes(), [0b1]);
    assert!(
        matches!(waiting.poll_head(1), HeadStep::Stored(found) if Arc::ptr_eq(&found, &stored))
    );
    // Nothing is in flight any more: the next one looks into the store, and leads if need be.
    drop(stage.lead(0));
}

#[test]
fn a_worker_is_woken_once_for_many_waiters() {
    let stage = Stage::new();
    let mut lead = stage.lead(0);
    let mut readers: Vec<Reader> = (0..10).map(|_| stage.follow(0)).collect();
    for reader in &mut readers {
        assert!(matches!(reader.poll_head(2), HeadStep::Pending));
    }
    publish(&mut lead, &[FRESH], STORE);
    assert_eq!(stage.wakes(), [0b100]);
    push(&mut lead, "abc");
    // Nobody waits for the body yet.
    assert_eq!(stage.wakes(), Vec::<u64>::new());
}

#[test]
fn an_unsharable_answer_lets_all_followers_go_at_once() {
    let stage = Stage::new();
    let mut lead = stage.lead(0);
    let mut own = lead.reader();
    let mut followers = [stage.follow(0), stage.follow(0)];
    for (worker, follower) in followers.iter_mut().enumerate() {
        assert!(matches!(follower.poll_head(worker), HeadStep::Pending));
    }
    publish(
        &mut lead,
        &["Cache-Control: private"],
        Mode::Relay(NoStore::Private),
    );
    assert_eq!(stage.wakes(), [0b11]);
    for follower in &mut followers {
        assert!(matches!(
            follower.poll_head(0),
            HeadStep::NotStorable(NoStore::Private)
        ));
        assert_eq!(follower.poll_next(0), ReadStep::Failed(ABANDONED));
    }
    assert!(stage.fills.is_empty());
    drop(stage.lead(0));
    // The leader's own client gets it all, although the released followers are still there.
    assert!(matches!(own.poll_head(0), HeadStep::Head(_)));
    assert_eq!(push(&mut lead, "0123456789"), (true, false, None));
    assert_eq!(
        read(&mut own, 0),
        ("0123456789".to_owned(), ReadStep::Pending)
    );
    assert!(lead.body().is_none());
    lead.finish(None);
    assert_eq!(read(&mut own, 0), (String::new(), ReadStep::End));
}

#[test]
fn a_window_is_narrowed_and_widened_up_to_the_limit() {
    let stage = Stage::new();
    let mut lead = stage.lead(0);
    let mut own = lead.reader();
    publish(&mut lead, &[], Mode::Relay(NoStore::NoLifetime));
    lead.narrow_window(4);
    assert_eq!(push(&mut lead, "012"), (false, false, None));
    assert_eq!(push(&mut lead, "3"), (true, false, None));
    lead.narrow_window(5);
    assert_eq!(lead.wait_window(0), Window::Open);
    lead.narrow_window(1_000);
    assert_eq!(push(&mut lead, "45678"), (false, false, None));
    assert_eq!(
        push(&mut lead, "9"),
        (true, false, None),
        "ten is the limit"
    );
    assert_eq!(
        own.poll_next(0),
        ReadStep::Chunk(Bytes::from_static(b"012"))
    );
    assert_eq!(lead.wait_window(0), Window::Open);
    lead.check_invariants().unwrap();
}

#[test]
fn a_relay_waits_for_its_reader_and_stops_without_one() {
    let stage = Stage::new();
    let mut lead = stage.lead(0);
    let mut own = lead.reader();
    publish(&mut lead, &[], Mode::Relay(NoStore::NoLifetime));
    assert_eq!(push(&mut lead, "012345678"), (false, false, None));
    assert_eq!(lead.wait_window(4), Window::Open);
    assert_eq!(push(&mut lead, "9"), (true, false, None));
    assert_eq!(lead.wait_window(4), Window::Full);
    stage.wakes();
    assert_eq!(
        own.poll_next(0),
        ReadStep::Chunk(Bytes::from_static(b"012345678"))
    );
    assert_eq!(stage.wakes(), [1 << 4]);
    assert_eq!(lead.wait_window(4), Window::Open);
    push(&mut lead, "0123456789");
    assert_eq!(lead.wait_window(4), Window::Full);
    drop(own);
    assert_eq!(stage.wakes(), [1 << 4]);
    assert_eq!(lead.wait_window(4), Window::Abandoned);
    assert_eq!(push(&mut lead, "more"), (false, true, None));
}

#[test]
fn a_stored_fill_goes_on_without_readers() {
    let stage = Stage::new();
    let mut lead = stage.lead(0);
    drop(lead.reader());
    publish(&mut lead, &[FRESH], STORE);
    assert_eq!(
        push(&mut lead, "01234567890123456789"),
        (false, false, None)
    );
    assert_eq!(lead.wait_window(0), Window::Open);
    let mut late = stage.follow(1);
    assert_eq!(read(&mut late, 0).0, "01234567890123456789");
    drop(finish(lead, "01234567890123456789"));
}

#[test]
fn a_body_that_outgrows_the_store_goes_on_for_its_readers() {
    let stage = Stage::new();
    let mut lead = stage.lead(0);
    let (mut own, mut other) = (lead.reader(), stage.follow(0));
    let waiting = stage.follow(0);
    publish(&mut lead, &[FRESH], Mode::Store { body_bytes_max: 12 });
    assert_eq!(push(&mut lead, "0123456789ab"), (false, false, None));
    assert_eq!(read(&mut own, 0).0, "0123456789ab");
    assert_eq!(push(&mut lead, "c"), (true, false, Some(NoStore::TooLarge)));
    assert!(stage.fills.is_empty());
    drop(stage.lead(0));
    assert_eq!(read(&mut own, 0).0, "c");
    assert_eq!(lead.wait_window(1), Window::Full);
    assert_eq!(read(&mut other, 0).0, "0123456789abc");
    // One that never took the head still holds the beginning.
    assert_eq!(lead.wait_window(1), Window::Full);
    drop(waiting);
    assert_eq!(lead.wait_window(1), Window::Open);
    assert_eq!(push(&mut lead, "d"), (false, false, None));
    assert!(lead.body().is_none());
    lead.finish(None);
    assert_eq!(read(&mut own, 0), ("d".to_owned(), ReadStep::End));
    assert_eq!(read(&mut other, 0), ("d".to_owned(), ReadStep::End));
}

#[test]
fn an_aged_leader_is_replaced() {
    let stage = Stage::new();
    let mut old = stage.lead(0);
    let mut own = old.reader();
    let mut follower = stage.follow(9);
    assert!(matches!(follower.poll_head(1), HeadStep::Pending));
    let mut new = stage.lead(10);
    assert_eq!(stage.wakes(), [0b10]);
    assert!(matches!(follower.poll_head(1), HeadStep::Rejoin));
    drop(follower);
    let mut follower = stage.follow(10);
    // The old leader still serves its own client, and takes nothing from the new one.
    publish(&mut old, &[FRESH], STORE);
    push(&mut old, "old");
    assert_eq!(read(&mut own, 0).0, "old");
    old.finish(None);
    assert_eq!(stage.fills.len(), 1);
    publish(&mut new, &[FRESH], STORE);
    push(&mut new, "new");
    assert_eq!(read(&mut follower, 0).0, "new");
    // With its head there, a leader may take its time.
    assert_eq!(read(&mut stage.follow(50), 0).0, "new");
}

#[test]
fn a_leader_that_goes_away_says_so() {
    let stage = Stage::new();
    let lead = stage.lead(0);
    let mut follower = stage.follow(0);
    assert!(matches!(follower.poll_head(6), HeadStep::Pending));
    drop(lead);
    assert_eq!(stage.wakes(), [1 << 6]);
    assert!(matches!(follower.poll_head(6), HeadStep::Rejoin));
    assert!(stage.fills.is_empty());

    let mut lead = stage.lead(0);
    let mut follower = stage.follow(0);
    publish(&mut lead, &[FRESH], STORE);
    push(&mut lead, "abc");
    assert_eq!(read(&mut follower, 0).0, "abc");
    drop(lead);
    assert_eq!(follower.poll_next(0), ReadStep::Failed(ABANDONED));
}

#[test]
fn a_failure_is_shared() {
    let stage = Stage::new();
    let mut lead = stage.lead(0);
    let (mut before, mut after) = (stage.follow(0), stage.follow(0));
    assert!(matches!(before.poll_head(0), HeadStep::Pending));
    publish(&mut lead, &[FRESH], STORE);
    push(&mut lead, "abc");
    assert_eq!(read(&mut after, 0).0, "abc");
    stage.wakes();
    lead.fail(FAILURE);
    assert_eq!(stage.wakes(), [0b1]);
    assert!(matches!(before.poll_head(0), HeadStep::Failed(found) if found == FAILURE));
    assert_eq!(after.poll_next(0), ReadStep::Failed(FAILURE));
    assert!(stage.fills.is_empty());
    assert_eq!(
        (FAILURE.kind.status(), FAILURE.kind.as_str()),
        (504, "upstream-timeout")
    );
}

#[test]
fn a_revalidation_answers_all_who_wait() {
    let stage = Stage::new();
    let lead = stage.lead(0);
    let mut follower = stage.follow(0);
    let fresh = Arc::new(stored(&[FRESH], "abc"));
    lead.finish(Some(Arc::clone(&fresh)));
    assert!(
        matches!(follower.poll_head(0), HeadStep::Stored(found) if Arc::ptr_eq(&found, &fresh))
    );

    // What must be validated for each request answers only its own.
    let lead = stage.lead(0);
    let (mut own, mut follower) = (lead.reader(), stage.follow(0));
    let unshared = Arc::new(stored(&["Cache-Control: no-cache", "ETag: \"x\""], "abc"));
    lead.finish(Some(unshared));
    assert!(matches!(own.poll_head(0), HeadStep::Stored(_)));
    assert!(matches!(
        follower.poll_head(0),
        HeadStep::NotStorable(NoStore::NotShareable)
    ));
}

#[test]
fn what_must_be_validated_each_time_is_kept_but_not_shared() {
    for lines in [
        &["Cache-Control: max-age=0", "ETag: \"x\""],
        &["Cache-Control: no-cache", "ETag: \"x\""],
    ] {
        let stage = Stage::new();
        let mut lead = stage.lead(0);
        let mut follower = stage.follow(0);
        publish(&mut lead, lines, STORE);
        assert!(matches!(
            follower.poll_head(0),
            HeadStep::NotStorable(NoStore::NotShareable)
        ));
        assert!(stage.fills.is_empty());
        push(&mut lead, "abc");
        assert_eq!(lead.body().unwrap().len(), 3);
    }
}

#[test]
fn a_stream_that_went_stale_is_not_joined() {
    let stage = Stage::new();
    let mut lead = stage.lead(0);
    let mut follower = stage.follow(0);
    publish(&mut lead, &[FRESH], STORE);
    push(&mut lead, "abc");
    drop(stage.follow(59));
    drop(stage.lead(60));
    // Who had joined before reads on.
    assert!(matches!(follower.poll_head(0), HeadStep::Head(_)));
    assert_eq!(read(&mut follower, 0).0, "abc");
}

#[test]
fn a_reader_that_would_miss_the_beginning_is_told() {
    let stage = Stage::new();
    let mut lead = stage.lead(0);
    let mut own = lead.reader();
    publish(&mut lead, &[], Mode::Relay(NoStore::NoLifetime));
    push(&mut lead, "abc");
    assert_eq!(read(&mut own, 0).0, "abc");
    let mut late = lead.reader();
    assert!(matches!(late.poll_head(0), HeadStep::NotStorable(_)));
    assert_eq!(late.poll_next(0), ReadStep::Failed(ABANDONED));
    drop(late);
    push(&mut lead, "def");
    assert_eq!(read(&mut own, 0).0, "def");
}

#[test]
fn a_body_before_its_head_confuses_nobody() {
    let stage = Stage::new();
    let mut lead = stage.lead(0);
    let (mut own, mut follower) = (lead.reader(), stage.follow(0));
    push(&mut lead, "abc");
    publish(&mut lead, &[], Mode::Relay(NoStore::NoLifetime));
    lead.check_invariants().unwrap();
    assert!(matches!(follower.poll_head(0), HeadStep::NotStorable(_)));
    assert_eq!(read(&mut own, 0).0, "abc");
    lead.check_invariants().unwrap();
}

#[test]
fn small_chunks_are_gathered_under_the_readers() {
    let stage = Stage::new();
    let mut lead = stage.lead(0);
    let (mut quick, mut slow) = (lead.reader(), stage.follow(0));
    publish(&mut lead, &[FRESH], STORE);
    let mut expected = Vec::new();
    let mut quick_bytes = Vec::new();
    for n in 0..60_u32 {
        let chunk = vec![n as u8; if n % 20 == 19 { 70 << 10 } else { 9_000 }];
        expected.extend_from_slice(&chunk);
        lead.push(Bytes::from(chunk));
        lead.check_invariants().unwrap();
        while let ReadStep::Chunk(bytes) = quick.poll_next(0) {
            quick_bytes.extend_from_slice(&bytes);
        }
    }
    let body = lead.body().unwrap();
    lead.check_invariants().unwrap();
    assert_eq!(body.segments().concat(), expected);
    assert!(body.segments().len() <= 6, "{}", body.segments().len());
    let mut slow_bytes = Vec::new();
    while let ReadStep::Chunk(bytes) = slow.poll_next(0) {
        slow_bytes.extend_from_slice(&bytes);
    }
    assert!(quick_bytes == expected && slow_bytes == expected);
}

#[test]
fn a_fill_is_charged_for_what_it_holds() {
    let stage = Stage::new();
    let store = Store::new(1 << 20, KeySecret([1; 16]));
    let mut lead = stage.lead(0);
    let mut own = lead.reader();
    lead.charge(store.reserve(0).unwrap());
    publish(
        &mut lead,
        &[FRESH],
        Mode::Store {
            body_bytes_max: u64::MAX,
        },
    );
    let chunk = || Bytes::from(vec![1; 100 << 10]);
    for n in 1..=4 {
        assert_eq!(lead.push(chunk()).outgrown, None);
        assert_eq!(store.reserved(), n * (100 << 10));
    }
    // Half of the budget is all that may be in flight.
    assert_eq!(lead.push(chunk()).outgrown, None);
    assert_eq!(lead.push(chunk()).outgrown, Some(NoStore::BudgetExhausted));
    while let ReadStep::Chunk(_) = own.poll_next(0) {}
    assert_eq!(lead.wait_window(0), Window::Open);
    assert_eq!(store.reserved(), 0);
    lead.push(chunk());
    assert_eq!(store.reserved(), 100 << 10);
    lead.finish(None);
    // The reader still holds it; then nobody.
    assert_eq!(store.reserved(), 100 << 10);
    drop(own);
    assert_eq!(store.reserved(), 0);
    store.check_invariants().unwrap();

    let mut lead = stage.lead(0);
    lead.charge(store.reserve(0).unwrap());
    publish(&mut lead, &[FRESH], STORE);
    lead.push(chunk());
    drop(lead.body().unwrap());
    assert_eq!(
        store.reserved(),
        0,
        "what is handed to the store is weighed there"
    );
}

#[test]
fn nobody_joins_what_was_fetched_before_an_invalidation() {
    let stage = Stage::new();
    let store = Store::new(1 << 20, KeySecret([1; 16]));
    // By its key, and as a variant by its ticket.
    for primary in [KEY, KeyHash(1234)] {
        let mut lead = stage.lead(0);
        lead.guard(store.ticket(primary));
        let mut before = stage.follow(0);
        store.invalidate(primary);
        stage.fills.invalidate(primary);
        drop(stage.lead(0));
        publish(&mut lead, &[FRESH], STORE);
        push(&mut lead, "abc");
        assert_eq!(read(&mut before, 0).0, "abc");
    }
    let lead = stage.lead(0);
    stage.fills.invalidate(KeyHash(9));
    drop(stage.follow(0));
    drop(lead);
}

#[test]
fn a_follower_of_another_variant_finds_its_own_key() {
    let store = Store::new(1 << 20, KeySecret([1; 16]));
    let (br, gzip) = (
        get(&["Accept-Encoding: br"]),
        get(&["Accept-Encoding: gzip"]),
    );
    let head = fill_head("k", br.view(), 200, &[FRESH, "Vary: Accept-Encoding"]);
    let primary = hash_key(&KeySecret([1; 16]), b"k");
    let key_of = |request: &Sent| store.variant_key(primary, &head, request.view());
    assert_eq!(key_of(&br), None);
    let other = key_of(&gzip).unwrap();
    assert_ne!(other, primary);
    assert_eq!(key_of(&get(&["accept-encoding: GZIP"])), Some(other));
    let plain = fill_head("k", br.view(), 200, &[FRESH]);
    assert_eq!(store.variant_key(primary, &plain, gzip.view()), None);
}
