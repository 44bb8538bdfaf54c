//! RFC 9111 §4.1: which requests select which variant.

use corsair_cache::{
    KeyHash, KeySecret, VARY_NAMES_MAX, VaryOrigin, VaryRule, VarySpec, variant_hash,
};
use proptest::prelude::*;

use crate::message::{get, section};

const SECRET: KeySecret = KeySecret([3; 16]);

fn spec_of(vary: &str) -> VarySpec {
    match VarySpec::from_fields(&section(&[&format!("Vary: {vary}")]), VaryOrigin::Keep) {
        VaryRule::Names(spec) => spec,
        VaryRule::None | VaryRule::Star => panic!("{vary} names nothing"),
    }
}

fn names(rule: &VaryRule) -> String {
    match rule {
        VaryRule::None => "-".to_owned(),
        VaryRule::Star => "*".to_owned(),
        VaryRule::Names(spec) => {
            let names: Vec<_> = spec.names().map(String::from_utf8_lossy).collect();
            names.join(" ")
        }
    }
}

#[test]
fn names_are_lower_case_sorted_and_once() {
    let check = |lines: &[&str], keep: &str, ignore: &str| {
        let fields = section(lines);
        let of = |origin| names(&VarySpec::from_fields(&fields, origin));
        assert_eq!(of(VaryOrigin::Keep), keep, "{lines:?}");
        assert_eq!(of(VaryOrigin::Ignore), ignore, "{lines:?}");
    };
    check(&[], "-", "-");
    check(&["Vary:"], "-", "-");
    check(
        &["Vary: Accept-Encoding"],
        "accept-encoding",
        "accept-encoding",
    );
    check(&["Vary: B, a", "Vary: A,c"], "a b c", "a b c");
    check(&["Vary: Origin"], "origin", "-");
    check(&["Vary: origin, Accept"], "accept origin", "accept");
    for star in ["*", "a, *", "*, Origin", "a b", "\"a\"", "a;b"] {
        check(&[&format!("Vary: {star}")], "*", "*");
    }
    let many: Vec<String> = (0..VARY_NAMES_MAX).map(|n| format!("x-{n:02}")).collect();
    check(
        &[&format!("Vary: {}", many.join(","))],
        &many.join(" "),
        &many.join(" "),
    );
    check(&[&format!("Vary: {}, one-more", many.join(","))], "*", "*");
}

/// Do two requests select the same variant? By hash and by text, which must agree.
fn select_same(vary: &str, one: &[&str], other: &[&str]) -> bool {
    let spec = spec_of(vary);
    let (one, other) = (get(one), get(other));
    let hash = |request| variant_hash(&SECRET, KeyHash(1), &spec, request);
    let by_text = spec.matches(other.view(), &spec.variant_text(one.view()));
    let by_text_back = spec.matches(one.view(), &spec.variant_text(other.view()));
    assert_eq!(by_text, by_text_back, "{vary}");
    assert_eq!(by_text, hash(one.view()) == hash(other.view()), "{vary}");
    by_text
}

#[test]
fn equal_up_to_what_the_syntax_allows() {
    let same = |vary: &str, one: &[&str], other: &[&str]| {
        assert!(select_same(vary, one, other), "{vary}: {one:?} {other:?}");
    };
    same("Accept", &[], &[]);
    same("Accept", &["Accept: a"], &["accept:a"]);
    same("Accept", &["Accept: a, b"], &["Accept: a,b"]);
    same("Accept", &["Accept: a, b"], &["Accept: a", "Accept: b"]);
    same("Accept", &["Accept: a,,b ,"], &["Accept: a,b"]);
    same(
        "Accept-Encoding",
        &["Accept-Encoding: GZip, br"],
        &["Accept-Encoding: gzip,BR"],
    );
    same(
        "Accept-Language",
        &["Accept-Language: de-DE"],
        &["Accept-Language: de-de"],
    );
    same(
        "X-Foo",
        &["X-Foo: a", "X-Foo: b"],
        &["x-foo: a", "x-foo: b"],
    );
    same(
        "Cookie",
        &["Cookie: a", "User-Agent: x"],
        &["Cookie: a", "User-Agent: y"],
    );
}

#[test]
fn different_requests_select_different_variants() {
    let differ = |vary: &str, one: &[&str], other: &[&str]| {
        assert!(!select_same(vary, one, other), "{vary}: {one:?} {other:?}");
    };
    differ("Accept", &["Accept: a"], &[]);
    differ("Accept", &["Accept:"], &[]);
    differ("X-Foo", &["X-Foo:"], &[]);
    differ("Accept", &["Accept: a"], &["Accept: A"]);
    differ("Accept", &["Accept: a, b"], &["Accept: b, a"]);
    differ("Accept", &["Accept: a,b"], &["Accept: \"a,b\""]);
    differ("User-Agent", &["User-Agent: a, b"], &["User-Agent: a,b"]);
    differ("User-Agent", &["User-Agent: a"], &["User-Agent: A"]);
    differ("X-Foo", &["X-Foo: a,b"], &["X-Foo: a, b"]);
    // A value never passes for the next field's.
    differ("X-A, X-B", &["X-A: 1", "X-B: 2"], &["X-A: 1x-b:2"]);
    differ("X-A, X-B", &["X-A: 1"], &["X-B: 1"]);
}

#[test]
fn long_values_are_told_apart_like_short_ones() {
    // Around the bound below which the normal form is kept on the stack, and far beyond.
    for len in [200, 230, 240, 241, 242, 243, 250, 256, 257, 300, 5_000] {
        let long = format!("Accept-Encoding: {}", "Ab".repeat(len / 2));
        let folded = format!("Accept-Encoding: {}", "aB".repeat(len / 2));
        let other = format!("Accept-Encoding: {}x", "Ab".repeat(len / 2));
        let shorter = format!("Accept-Encoding: {}", "Ab".repeat(len / 2 - 1));
        assert!(
            select_same("Accept-Encoding, X-B", &[&long], &[&folded]),
            "{len}"
        );
        assert!(
            !select_same("Accept-Encoding, X-B", &[&long], &[&other]),
            "{len}"
        );
        assert!(
            !select_same("Accept-Encoding, X-B", &[&long], &[&shorter]),
            "{len}"
        );
        assert!(
            !select_same("Accept-Encoding, X-B", &[&long, "X-B: 1"], &[&long]),
            "{len}"
        );
    }
}

#[test]
fn hashes_depend_on_names_and_key() {
    let request = get(&["X-A: 1"]);
    let hash = |key, vary| variant_hash(&SECRET, KeyHash(key), &spec_of(vary), request.view());
    assert_eq!(hash(1, "X-A"), hash(1, "x-a"));
    assert_ne!(hash(1, "X-A"), hash(2, "X-A"));
    assert_ne!(hash(1, "X-A"), hash(1, "X-A, X-B"));
    assert_ne!(hash(1, "X-A"), KeyHash(1));
}

#[test]
fn unions() {
    let union = |a: &str, b: &str| {
        spec_of(a)
            .union(&spec_of(b))
            .map(|spec| names(&VaryRule::Names(spec)))
    };
    assert_eq!(union("a, c", "b, a").as_deref(), Some("a b c"));
    assert_eq!(union("accept", "Accept").as_deref(), Some("accept"));
    let many: Vec<String> = (0..VARY_NAMES_MAX).map(|n| format!("x-{n:02}")).collect();
    assert!(union(&many.join(","), "x-00").is_some());
    assert!(union(&many.join(","), "y").is_none());
}

proptest! {
    /// Two requests select one variant exactly when a naive reading of their values is equal.
    #[test]
    fn selection_is_the_naive_one(
        one in proptest::collection::vec("[ab, ]{0,4}", 0..3),
        other in proptest::collection::vec("[ab, ]{0,4}", 0..3),
        name in "(Accept|X-Foo|Accept-Encoding)",
    ) {
        let lines = |values: &[String]| -> Vec<String> {
            values.iter().map(|value| format!("{name}: {value}")).collect()
        };
        let naive = |values: &[String]| -> Option<Vec<String>> {
            (!values.is_empty()).then(|| match name.as_str() {
                "X-Foo" => vec![values.iter().map(|v| v.trim()).collect::<Vec<_>>().join(",")],
                _ => values
                    .iter()
                    .flat_map(|value| value.split(','))
                    .map(|member| member.trim().to_ascii_lowercase())
                    .filter(|member| !member.is_empty())
                    .collect(),
            })
        };
        let (first, second) = (lines(&one), lines(&other));
        let first: Vec<&str> = first.iter().map(String::as_str).collect();
        let second: Vec<&str> = second.iter().map(String::as_str).collect();
        prop_assert_eq!(select_same(&name, &first, &second), naive(&one) == naive(&other));
    }
}
