//! The store: what it finds, what it retires, what it weighs; and all of it against a naive model.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::thread;

use corsair_cache::{Found, KeyHash, KeySecret, Store, Stored, UnixMillis, VARIANTS_MAX, hash_key};
use proptest::prelude::*;

use crate::message::{Sent, get, stored_for};

const SECRET: KeySecret = KeySecret([5; 16]);
const FRESH: &str = "Cache-Control: max-age=60";
const NOW: UnixMillis = UnixMillis(1_000);

fn hash(key: &str) -> KeyHash {
    hash_key(&SECRET, key.as_bytes())
}

fn store_of(capacity_bytes: u64) -> Store {
    Store::with_object_max(capacity_bytes, 1 << 10, SECRET)
}

fn put(
    store: &Store,
    key: &str,
    request: &Sent,
    lines: &[&str],
    body: &'static str,
) -> Arc<Stored> {
    let mut all = vec![FRESH];
    all.extend(lines);
    let response = stored_for(key, request.view(), &all, body);
    let inserted = store.insert(hash(key), response, request.view());
    store.check_invariants().unwrap();
    inserted
}

fn find(store: &Store, key: &str, request: &Sent) -> Found {
    store.find(hash(key), key.as_bytes(), request.view(), NOW)
}

fn body_of(found: &Found) -> Option<String> {
    match found {
        Found::Hit(stored) => Some(String::from_utf8(stored.body().segments().concat()).unwrap()),
        Found::Miss { .. } | Found::HitForMiss { .. } => None,
    }
}

fn fill_key(found: &Found) -> KeyHash {
    match found {
        Found::Miss { fill_key } | Found::HitForMiss { fill_key } => *fill_key,
        Found::Hit(stored) => panic!("{:?} is stored", String::from_utf8_lossy(stored.key())),
    }
}

#[test]
fn finds_by_hash_and_whole_key() {
    let store = store_of(1 << 20);
    let plain = get(&[]);
    let a = put(&store, "http://a/a", &plain, &[], "A");
    put(&store, "http://a/b", &plain, &[], "B");
    assert_eq!(
        body_of(&find(&store, "http://a/a", &plain)).as_deref(),
        Some("A")
    );
    assert_eq!(
        body_of(&find(&store, "http://a/b", &plain)).as_deref(),
        Some("B")
    );
    assert_eq!(
        fill_key(&find(&store, "http://a/c", &plain)),
        hash("http://a/c")
    );
    // As if two keys had one hash: the text decides.
    let collision = store.find(hash("http://a/a"), b"http://a/x", plain.view(), NOW);
    assert_eq!(fill_key(&collision), hash("http://a/a"));
    assert_eq!(a.slot(), Some(hash("http://a/a")));
    assert!(!a.is_variant());
    assert_eq!((store.len(), store.is_empty()), (2, false));
    assert!(store.weight() >= a.weight());
}

#[test]
fn a_replaced_response_is_retired_and_ids_are_never_used_again() {
    let store = store_of(1 << 20);
    let plain = get(&[]);
    let first = put(&store, "k", &plain, &[], "one");
    let second = put(&store, "k", &plain, &[], "two");
    assert!(first.is_retired() && !second.is_retired());
    assert_ne!(first.id(), second.id());
    assert_eq!(body_of(&find(&store, "k", &plain)).as_deref(), Some("two"));
    store.remove(hash("k"));
    assert!(second.is_retired());
    assert!(store.is_empty() && store.weight() == 0);
}

#[test]
fn variants_are_kept_apart() {
    let store = store_of(1 << 20);
    let vary = &["Vary: Accept-Encoding"][..];
    let (br, gzip, none) = (
        get(&["Accept-Encoding: br"]),
        get(&["Accept-Encoding: GZIP"]),
        get(&[]),
    );
    put(&store, "k", &br, vary, "BR");
    let miss = fill_key(&find(&store, "k", &gzip));
    assert_ne!(miss, hash("k"));
    assert_ne!(miss, fill_key(&find(&store, "k", &none)));
    let stored = put(&store, "k", &gzip, vary, "GZ");
    assert_eq!(stored.slot(), Some(miss));
    assert!(stored.is_variant());
    put(&store, "k", &none, vary, "PLAIN");
    let body = |request: &Sent| body_of(&find(&store, "k", request));
    assert_eq!(body(&br).as_deref(), Some("BR"));
    assert_eq!(
        body(&get(&["accept-encoding: gzip"])).as_deref(),
        Some("GZ")
    );
    assert_eq!(body(&none).as_deref(), Some("PLAIN"));
    assert_eq!(body(&get(&["Accept-Encoding: zstd"])), None);
}

#[test]
fn names_only_grow() {
    let store = store_of(1 << 20);
    let request = get(&["A: 1", "B: 1"]);
    let other_b = get(&["A: 1", "B: 2"]);
    let first = put(&store, "k", &request, &["Vary: A"], "a");
    assert!(body_of(&find(&store, "k", &other_b)).is_some());
    // An answer that does not vary goes under the names known: only equal requests find it.
    assert!(put(&store, "k", &get(&["A: 2"]), &[], "plain").is_variant());
    assert_eq!(body_of(&find(&store, "k", &request)).as_deref(), Some("a"));
    assert_eq!(
        body_of(&find(&store, "k", &get(&["A: 2"]))).as_deref(),
        Some("plain")
    );
    // Another name: the variants from before cannot be told apart by it, so they go.
    put(&store, "k", &request, &["Vary: B"], "ab");
    assert!(first.is_retired());
    assert_eq!(body_of(&find(&store, "k", &request)).as_deref(), Some("ab"));
    assert_eq!(body_of(&find(&store, "k", &other_b)), None);
    assert_eq!(body_of(&find(&store, "k", &get(&["A: 2"]))), None);
}

#[test]
fn a_response_that_begins_to_vary_replaces_the_one_that_did_not() {
    let store = store_of(1 << 20);
    let request = get(&["A: 1"]);
    let plain = put(&store, "k", &request, &[], "plain");
    put(&store, "k", &request, &["Vary: A"], "varied");
    assert!(plain.is_retired());
    assert_eq!(
        body_of(&find(&store, "k", &request)).as_deref(),
        Some("varied")
    );
    assert_eq!(body_of(&find(&store, "k", &get(&[]))), None);
}

#[test]
fn one_variant_too_many_pushes_the_oldest_out() {
    let store = store_of(4 << 20);
    let requests: Vec<Sent> = (0..=VARIANTS_MAX)
        .map(|n| get(&[&format!("A: {n}")]))
        .collect();
    let kept: Vec<_> = requests
        .iter()
        .map(|request| put(&store, "k", request, &["Vary: A"], "x"))
        .collect();
    assert!(kept[0].is_retired());
    assert!(kept[1..].iter().all(|stored| !stored.is_retired()));
    assert!(body_of(&find(&store, "k", &requests[0])).is_none());
    assert!(body_of(&find(&store, "k", &requests[1])).is_some());
    // The marker and the variants.
    assert_eq!(store.len(), VARIANTS_MAX + 1);
}

#[test]
fn invalidation_takes_all_variants_and_what_is_being_fetched() {
    let store = store_of(1 << 20);
    let (one, two) = (get(&["A: 1"]), get(&["A: 2"]));
    let kept = [&one, &two].map(|request| put(&store, "k", request, &["Vary: A"], "x"));
    let other = put(&store, "other", &one, &[], "y");
    let ticket = store.ticket(hash("k"));
    store.invalidate(hash("k"));
    assert!(kept.iter().all(|stored| stored.is_retired()) && !other.is_retired());
    assert_eq!(store.len(), 1);
    let late = stored_for("k", one.view(), &[FRESH], "old");
    assert!(store.insert_fetched(ticket, late, one.view()).is_retired());
    assert!(body_of(&find(&store, "k", &one)).is_none());
    let next = stored_for("k", one.view(), &[FRESH], "new");
    assert!(
        !store
            .insert_fetched(store.ticket(hash("k")), next, one.view())
            .is_retired()
    );
    assert_eq!(body_of(&find(&store, "k", &one)).as_deref(), Some("new"));
}

#[test]
fn removing_one_variant_leaves_the_others() {
    let store = store_of(1 << 20);
    let (one, two) = (get(&["A: 1"]), get(&["A: 2"]));
    let kept = [&one, &two].map(|request| put(&store, "k", request, &["Vary: A"], "x"));
    store.remove(kept[0].slot().unwrap());
    assert!(kept[0].is_retired() && !kept[1].is_retired());
    assert!(body_of(&find(&store, "k", &two)).is_some());
}

#[test]
fn hit_for_miss_markers() {
    let store = store_of(1 << 20);
    let plain = get(&[]);
    let at = |ms| store.find(hash("k"), b"k", plain.view(), UnixMillis(ms));
    let old = put(&store, "k", &plain, &[], "fresh, then stale");
    // One request's answer that cannot be stored takes nothing fresh from the others.
    let fresh_at = old.freshness().response_time;
    let left_s = old.freshness().remaining(fresh_at);
    let stale_at = fresh_at.plus(u64::try_from(left_s).unwrap() * 1000);
    let until = UnixMillis(500);
    store.mark_hit_for_miss(hash("k"), b"k", fresh_at, until);
    assert!(!old.is_retired());
    store.mark_hit_for_miss(hash("k"), b"k", stale_at, until);
    assert!(old.is_retired());
    assert!(matches!(at(499), Found::HitForMiss { fill_key } if fill_key == hash("k")));
    assert!(matches!(at(500), Found::Miss { fill_key } if fill_key == hash("k")));
    put(&store, "k", &plain, &[], "storable again");
    assert_eq!(body_of(&at(499)).as_deref(), Some("storable again"));
}

#[test]
fn a_marker_for_one_variant_leaves_the_others() {
    let store = store_of(1 << 20);
    let (one, two) = (get(&["A: 1"]), get(&["A: 2"]));
    put(&store, "k", &one, &["Vary: A"], "x");
    let variant = fill_key(&find(&store, "k", &two));
    store.mark_hit_for_miss(variant, b"k", UnixMillis(0), UnixMillis(u64::MAX));
    assert!(
        matches!(find(&store, "k", &two), Found::HitForMiss { fill_key } if fill_key == variant)
    );
    // Even asked for the primary hash, as by who raced with the first insert.
    store.mark_hit_for_miss(hash("k"), b"k", UnixMillis(0), UnixMillis(u64::MAX));
    assert!(body_of(&find(&store, "k", &one)).is_some());
    put(&store, "k", &two, &["Vary: A"], "y");
    assert_eq!(body_of(&find(&store, "k", &two)).as_deref(), Some("y"));
}

#[test]
fn too_heavy_responses_are_refused_and_replace_nothing_silently() {
    let store = store_of(64 << 10);
    let plain = get(&[]);
    let small = put(&store, "k", &plain, &[], "small");
    let max = store.object_weight_max();
    let body: &'static str = Box::leak("x".repeat(max as usize).into_boxed_str());
    let large = put(&store, "k", &plain, &[], body);
    assert!(large.is_retired() && small.is_retired());
    assert!(body_of(&find(&store, "k", &plain)).is_none());
    assert_eq!(store.refused(), 1);
    let overhead = small.weight() - "small".len() as u64;
    let fitting = put(
        &store,
        "fits",
        &plain,
        &[],
        &body[..(max - overhead - 100) as usize],
    );
    assert!(!fitting.is_retired());
    assert_eq!(store.refused(), 1);
}

#[test]
fn a_refused_response_takes_older_answers_of_its_uri_along() {
    let store = store_of(64 << 10);
    let plain = get(&[]);
    let older = put(&store, "k", &plain, &["Vary: A"], "older");
    let body: &'static str = Box::leak("x".repeat(60 << 10).into_boxed_str());
    assert!(put(&store, "k", &plain, &["Vary: B"], body).is_retired());
    assert!(older.is_retired());
    assert!(body_of(&find(&store, "k", &plain)).is_none());
}

#[test]
fn eviction_retires_and_keeps_the_budget() {
    let store = store_of(64 << 10);
    let plain = get(&[]);
    let body: &'static str = Box::leak("x".repeat(1_000).into_boxed_str());
    let kept: Vec<_> = (0..200)
        .map(|n| put(&store, &format!("k{n}"), &plain, &[], body))
        .collect();
    let live = kept.iter().filter(|stored| !stored.is_retired()).count();
    assert_eq!(live, store.len());
    assert!(live < 60 && live > 20, "{live}");
    assert_eq!(store.evicted() as usize, kept.len() - live);
    for (n, stored) in kept.iter().enumerate() {
        let found = body_of(&find(&store, &format!("k{n}"), &plain)).is_some();
        assert_eq!(found, !stored.is_retired());
    }
}

#[test]
fn a_reservation_that_evicts_markers_takes_their_variants() {
    let store = store_of(1 << 20);
    let request = get(&["A: 1"]);
    let varied: Vec<_> = (0..600)
        .map(|n| put(&store, &format!("k{n}"), &request, &["Vary: A"], "x"))
        .collect();
    let mut reservation = store.reserve(0).unwrap();
    for step in 1..=50 {
        // The variants are warm, their markers are not: those go first.
        for stored in varied.iter().filter(|stored| !stored.is_retired()) {
            let slot = stored.slot().unwrap();
            drop(store.find(slot, stored.key(), request.view(), NOW));
        }
        reservation.resize(step * (10 << 10)).unwrap();
        store.check_invariants().unwrap();
    }
    assert!(varied.iter().any(|stored| stored.is_retired()));
}

#[test]
fn an_evicted_marker_takes_its_variants() {
    let store = store_of(64 << 10);
    let (one, two) = (get(&["A: 1"]), get(&["A: 2"]));
    let varied = [&one, &two].map(|request| put(&store, "k", request, &["Vary: A"], "x"));
    for n in 0..400 {
        // The variants are kept warm, their marker is not: it goes first.
        for stored in varied.iter().filter(|stored| !stored.is_retired()) {
            drop(store.find(stored.slot().unwrap(), b"k", one.view(), NOW));
        }
        // Asked for again, or the fillers would only ever push each other out.
        put(&store, &format!("k{n}"), &one, &[], "filler");
        drop(find(&store, &format!("k{n}"), &one));
    }
    assert!(varied.iter().all(|stored| stored.is_retired()));
}

#[test]
fn touched_responses_outlive_untouched_ones() {
    let store = store_of(64 << 10);
    let request = get(&["A: 1"]);
    let varied = put(&store, "k", &request, &["Vary: A"], "x");
    let cold = put(&store, "cold", &request, &[], "x");
    for n in 0..400 {
        store.touch(&varied);
        put(&store, &format!("k{n}"), &request, &[], "filler");
        drop(find(&store, &format!("k{n}"), &request));
    }
    assert!(cold.is_retired() && !varied.is_retired());
}

#[test]
fn reservations_share_the_budget() {
    let store = store_of(1 << 20);
    let plain = get(&[]);
    let body: &'static str = Box::leak("x".repeat(4_000).into_boxed_str());
    for n in 0..400 {
        put(&store, &format!("k{n}"), &plain, &[], body);
    }
    let full = store.weight();
    assert!(full > 900 << 10, "{full}");
    let mut reservation = store.reserve(300 << 10).unwrap();
    store.check_invariants().unwrap();
    assert!(store.weight() <= full - (200 << 10));
    assert_eq!(
        (store.reserved(), reservation.bytes()),
        (300 << 10, 300 << 10)
    );
    assert!(reservation.grow(500 << 10).is_err());
    assert_eq!(reservation.bytes(), 300 << 10);
    reservation.resize(500 << 10).unwrap();
    assert!(store.reserve(50 << 10).is_err());
    store.check_invariants().unwrap();
    reservation.resize(0).unwrap();
    drop(store.reserve(100 << 10).unwrap());
    drop(reservation);
    assert_eq!(store.reserved(), 0);
    for n in 0..400 {
        put(&store, &format!("again{n}"), &plain, &[], body);
    }
    assert!(store.weight() > 900 << 10, "the room came back");
}

/// What a store with room for everything must find.
#[derive(Default)]
struct Model {
    names: BTreeSet<String>,
    /// Values of `names` in order, and the identity of the response.
    responses: BTreeMap<Vec<Option<String>>, u64>,
    /// All responses since the last invalidation: request fields, names, identity.
    history: Vec<(BTreeMap<String, String>, BTreeSet<String>, u64)>,
}

impl Model {
    fn values(&self, fields: &BTreeMap<String, String>) -> Vec<Option<String>> {
        self.names
            .iter()
            .map(|name| fields.get(name).cloned())
            .collect()
    }

    fn insert(&mut self, fields: &BTreeMap<String, String>, vary: &BTreeSet<String>, id: u64) {
        if !vary.is_subset(&self.names) {
            self.names.extend(vary.iter().cloned());
            self.responses.clear();
        }
        let values = self.values(fields);
        self.responses.insert(values, id);
        self.history.push((fields.clone(), vary.clone(), id));
    }

    /// May a store that forgets answer a request with `fields` by this response? It must not be
    /// invalidated, what it varies on must be equal, and no newer one came for just these fields.
    fn allows(&self, fields: &BTreeMap<String, String>, id: u64) -> bool {
        let found = self.history.iter().find(|(_, _, known)| *known == id);
        let newer = |(of, _, known): &(_, _, u64)| of == fields && *known > id;
        found.is_some_and(|(of, vary, _)| vary.iter().all(|name| of.get(name) == fields.get(name)))
            && !self.history.iter().any(newer)
    }
}

#[derive(Clone, Debug)]
enum Step {
    Insert {
        key: usize,
        fields: BTreeMap<String, String>,
        vary: BTreeSet<String>,
        size: usize,
    },
    Find {
        key: usize,
        fields: BTreeMap<String, String>,
    },
    Invalidate {
        key: usize,
    },
    Reserve {
        bytes: u64,
    },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let fields = || proptest::collection::btree_map("[abc]", "[12]", 0..3);
    let step = prop_oneof![
        4 => (0..6_usize, fields(), proptest::collection::btree_set("[abc]", 0..3), 0..3_usize)
            .prop_map(|(key, fields, vary, size)| Step::Insert { key, fields, vary, size }),
        4 => (0..6_usize, fields()).prop_map(|(key, fields)| Step::Find { key, fields }),
        1 => (0..6_usize).prop_map(|key| Step::Invalidate { key }),
        1 => (0..20_000_u64).prop_map(|bytes| Step::Reserve { bytes }),
    ];
    proptest::collection::vec(step, 1..60)
}

fn request_of(fields: &BTreeMap<String, String>) -> Sent {
    let lines: Vec<String> = fields
        .iter()
        .map(|(name, value)| format!("{name}: {value}"))
        .collect();
    get(&lines.iter().map(String::as_str).collect::<Vec<_>>())
}

/// Runs the steps against store and model. A store with room finds exactly what the model has; a
/// small one may have forgotten it, but never finds anything else, and whatever is not retired is
/// found.
fn run(steps: &[Step], capacity_bytes: u64, forgets: bool) {
    static BODIES: [&str; 3] = ["", "0123456789", include_str!("store.rs")];
    let store = store_of(capacity_bytes);
    let mut models: BTreeMap<usize, Model> = BTreeMap::new();
    let mut held: Vec<(usize, BTreeMap<String, String>, Arc<Stored>)> = Vec::new();
    let mut reservation = None;
    for step in steps {
        match step {
            Step::Insert {
                key,
                fields,
                vary,
                size,
            } => {
                let names: Vec<&str> = vary.iter().map(String::as_str).collect();
                let line = format!("Vary: {}", names.join(", "));
                let key_text = format!("k{key}");
                let stored = put(
                    &store,
                    &key_text,
                    &request_of(fields),
                    &[&line],
                    BODIES[*size],
                );
                models
                    .entry(*key)
                    .or_default()
                    .insert(fields, vary, stored.id());
                held.push((*key, fields.clone(), stored));
            }
            Step::Find { key, fields } => {
                let model = models.entry(*key).or_default();
                let expected = model.responses.get(&model.values(fields)).copied();
                match find(&store, &format!("k{key}"), &request_of(fields)) {
                    Found::Hit(stored) if forgets => assert!(model.allows(fields, stored.id())),
                    Found::Hit(stored) => assert_eq!(Some(stored.id()), expected),
                    Found::Miss { .. } => assert!(forgets || expected.is_none()),
                    Found::HitForMiss { .. } => panic!("nobody set a marker"),
                }
            }
            Step::Invalidate { key } => {
                store.invalidate(hash(&format!("k{key}")));
                models.remove(key);
            }
            Step::Reserve { bytes } => {
                drop(reservation.take());
                reservation = store.reserve((*bytes).min(capacity_bytes / 3)).ok();
            }
        }
        store.check_invariants().unwrap();
        for (key, fields, stored) in &held {
            let found = find(&store, &format!("k{key}"), &request_of(fields));
            let is_found = matches!(&found, Found::Hit(hit) if hit.id() == stored.id());
            assert_eq!(is_found, !stored.is_retired(), "{key} {fields:?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn a_store_with_room_is_the_model(steps in steps()) {
        run(&steps, 4 << 20, false);
    }

    #[test]
    fn a_small_store_forgets_but_never_lies(steps in steps()) {
        run(&steps, 48 << 10, true);
    }
}

#[test]
fn threads_leave_a_consistent_store() {
    let store = store_of(128 << 10);
    thread::scope(|scope| {
        for worker in 0..4_u64 {
            let store = &store;
            scope.spawn(move || {
                let mut state = worker + 1;
                let mut reservation = store.reserve(0).unwrap();
                for _ in 0..400 {
                    state = state
                        .wrapping_mul(6_364_136_223_846_793_005)
                        .wrapping_add(1);
                    let (key, value) = (format!("k{}", (state >> 33) % 12), (state >> 40) % 3);
                    let request = get(&[&format!("A: {value}")]);
                    match (state >> 50) % 8 {
                        0 => store.invalidate(hash(&key)),
                        1 => drop(reservation.resize((state >> 44) % 40_000)),
                        2 | 3 => drop(find(store, &key, &request)),
                        _ => {
                            let lines: &[&str] = if value == 0 {
                                &[FRESH]
                            } else {
                                &[FRESH, "Vary: A"]
                            };
                            let response = stored_for(&key, request.view(), lines, "body");
                            drop(store.insert(hash(&key), response, request.view()));
                        }
                    }
                }
            });
        }
    });
    store.check_invariants().unwrap();
    assert_eq!(store.reserved(), 0);
}
