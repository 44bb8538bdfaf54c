//! Responses that several origins share: the store against a naive model that remembers for each origin
//! what the upstream told it.

use std::collections::BTreeMap;

use corsair_cache::{
    Body, FillHead, Found, Freshness, HeadParts, KeySecret, SetCookie, Store, Stored, UNNAMED_MAX,
    VaryOrigin, hash_key,
};
use proptest::prelude::*;

use crate::message::{Sent, at, freshness, get, section};

const SECRET: KeySecret = KeySecret([5; 16]);
const KEY: &str = "http://a/a";

/// What an upstream tells one origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    /// Its own name.
    Named,
    /// Nothing.
    Nothing,
    /// `*`.
    Star,
}

fn asks(origin: Option<u8>, coding: u8) -> Sent {
    let coding = format!("Accept-Encoding: c{coding}");
    match origin {
        Some(origin) => get(&[&coding, &format!("Origin: https://o{origin}.example")]),
        None => get(&[&coding]),
    }
}

fn put(store: &Store, request: &Sent, told: Told, body: usize) {
    put_at(store, request, told, body, 0);
}

/// Stores what was fetched `after` seconds behind the others.
fn put_at(store: &Store, request: &Sent, told: Told, body: usize, after: u64) {
    let mut lines = vec!["Cache-Control: max-age=60", "Vary: Accept-Encoding"];
    let vary_origin = match told {
        Told::Named => VaryOrigin::Keep,
        Told::Nothing => VaryOrigin::Unnamed,
        Told::Star => VaryOrigin::Everybody,
    };
    if told != Told::Star {
        lines.push("Vary: Origin");
    }
    let head = FillHead::new(HeadParts {
        key: KEY.as_bytes(),
        status: 200,
        fields: section(&lines),
        freshness: Freshness {
            response_time: at(after),
            ..freshness(&lines)
        },
        vary_origin,
        set_cookie: SetCookie::Bypass,
        request: request.view(),
    });
    let body = Body::from_chunks([bytes::Bytes::from(body.to_string())]);
    let stored = Stored::from_fill(&head, body);
    let hash = hash_key(&SECRET, KEY.as_bytes());
    store.insert(hash, stored, request.view());
    store.check_invariants().expect("the store is whole");
}

/// The body found, as the number that `put` made it of; `after` seconds behind the fetches.
fn find(store: &Store, request: &Sent, after: u64) -> Option<usize> {
    let hash = hash_key(&SECRET, KEY.as_bytes());
    match store.find(hash, KEY.as_bytes(), request.view(), at(after)) {
        Found::Hit(stored) => {
            let body = String::from_utf8(stored.body().segments().concat()).expect("text");
            Some(body.parse().expect("a number"))
        }
        Found::Miss { .. } | Found::HitForMiss { .. } => None,
    }
}

fn store() -> Store {
    Store::with_object_max(4 << 20, 1 << 10, SECRET)
}

#[test]
fn an_origin_that_is_named_no_longer_is_found_among_the_unnamed() {
    let store = store();
    let (one, two) = (asks(Some(1), 0), asks(Some(2), 0));
    put(&store, &one, Told::Named, 0);
    put(&store, &two, Told::Nothing, 1);
    assert_eq!(find(&store, &one, 0), Some(0));
    put(&store, &one, Told::Nothing, 2);
    assert_eq!(
        (find(&store, &one, 0), find(&store, &two, 0)),
        (Some(2), Some(2))
    );
    put(&store, &one, Told::Named, 3);
    assert_eq!(
        (find(&store, &one, 0), find(&store, &two, 0)),
        (Some(3), Some(2))
    );
    assert_eq!(
        find(&store, &asks(Some(3), 0), 0),
        None,
        "nobody asked for it"
    );
}

/// Whoever renews the shared response renews it for itself: what the others were told is as old as it was.
#[test]
fn what_an_origin_was_told_ages_on_its_own() {
    let store = store();
    let (one, two) = (asks(Some(1), 0), asks(Some(2), 0));
    put(&store, &one, Told::Nothing, 0);
    assert_eq!(find(&store, &one, 59), Some(0));
    // Stale together: the upstream hears of the origin again when it is validated.
    assert_eq!(find(&store, &one, 60), Some(0));
    put_at(&store, &two, Told::Nothing, 1, 60);
    assert_eq!(
        (find(&store, &two, 60), find(&store, &one, 60)),
        (Some(1), None)
    );
}

#[test]
fn one_unnamed_too_many_pushes_the_oldest_out_and_never_nobody() {
    let store = store();
    put(&store, &asks(None, 0), Told::Nothing, 0);
    let last = u8::try_from(UNNAMED_MAX).expect("a small bound");
    for origin in 1..=last {
        put(
            &store,
            &asks(Some(origin), 0),
            Told::Nothing,
            usize::from(origin),
        );
    }
    let newest = Some(UNNAMED_MAX);
    assert_eq!(find(&store, &asks(Some(1), 0), 0), None);
    assert_eq!(find(&store, &asks(Some(2), 0), 0), newest);
    assert_eq!(find(&store, &asks(None, 0), 0), newest);
    // The marker and the one response.
    assert_eq!(store.len(), 2);
}

fn told() -> impl Strategy<Value = Told> {
    prop_oneof![
        3 => Just(Told::Named),
        4 => Just(Told::Nothing),
        1 => Just(Told::Star),
    ]
}

proptest! {
    #[test]
    fn nobody_is_given_what_is_not_said_to_it(
        puts in prop::collection::vec((prop::option::of(0..5_u8), 0..2_u8, told()), 1..40)
    ) {
        let store = store();
        // What each was told last, and by which put.
        let mut last: BTreeMap<(Option<u8>, u8), usize> = BTreeMap::new();
        for (number, &(origin, coding, told)) in puts.iter().enumerate() {
            put(&store, &asks(origin, coding), told, number);
            last.insert((origin, coding), number);
            prop_assert_eq!(find(&store, &asks(origin, coding), 0), Some(number));
            for (asker, own) in (0..5).map(Some).chain([None])
                .flat_map(|origin| [(origin, 0), (origin, 1)])
                .map(|asker| (asker, last.get(&asker).copied()))
            {
                let found = find(&store, &asks(asker.0, asker.1), 0);
                let own_told = own.map(|own| puts[own].2);
                if own_told == Some(Told::Named) {
                    prop_assert_eq!(found, own);
                    continue;
                }
                let Some(found) = found else {
                    // Who was told nothing is found again, unless everybody was told something since.
                    let stars = |from: usize| puts[from..=number].iter().any(|put| put.2 == Told::Star);
                    prop_assert!(own_told != Some(Told::Nothing) || own.is_some_and(stars));
                    continue;
                };
                prop_assert_eq!(puts[found].1, asker.1);
                match puts[found].2 {
                    Told::Named => prop_assert!(false, "{:?} is given another's", asker),
                    Told::Nothing => prop_assert_eq!(own_told, Some(Told::Nothing)),
                    Told::Star => {}
                }
            }
        }
    }
}
