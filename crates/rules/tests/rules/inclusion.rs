//! Pattern-set inclusion: a table, and a property against sampled origins.

use corsair_rules::{Dialect, OriginPattern, Outside, PatternSpace};
use proptest::prelude::*;
use proptest::sample::select;

/// In its native meaning where it has one: `*://` and `:*` are no stars of S3 there.
fn parse(text: &str) -> OriginPattern {
    let native = OriginPattern::parse(text, Dialect::Native);
    let found = native.or_else(|_| OriginPattern::parse(text, Dialect::S3));
    found.unwrap_or_else(|error| panic!("{text}: {error}")).0
}

fn space(texts: &str) -> PatternSpace {
    PatternSpace::new(texts.split_whitespace().map(parse).collect())
}

fn check(set: &str, pattern: &str, included: bool) {
    let set_space = space(set);
    let found = set_space.outside(&parse(pattern));
    match &found {
        Outside::Nothing => assert!(included, "{pattern} has more than {set}"),
        Outside::Witness(text) => {
            assert!(!included, "{set} has all of {pattern}, but {text} is told");
            assert!(!set_space.contains(text), "{text} is in {set}");
            let own = PatternSpace::new(vec![parse(pattern)]);
            assert!(own.contains(text), "{text} is not in {pattern}");
        }
        Outside::Undecided => panic!("{pattern} in {set} is not decided"),
    }
}

#[test]
fn plain_patterns() {
    let rows = [
        ("https://a.test", "https://a.test", true),
        ("https://a.test", "http://a.test", false),
        ("https://a.test", "https://a.test:8443", false),
        ("https://a.test:*", "https://a.test", true),
        ("https://a.test:*", "https://a.test:1", true),
        ("https://a.test https://a.test:1", "https://a.test:*", false),
        ("http://a.test https://a.test", "*://a.test", true),
        ("https://a.test", "*://a.test", false),
        ("https://*.test", "https://a.test", true),
        ("https://*.test", "https://*.a.test", true),
        ("https://*.a.test", "https://*.test", false),
        ("https://*.a.test", "https://a.test", false),
        ("https://*.test:*", "https://*.a.test:8443", true),
        ("https://*.test:8443", "https://*.a.test:*", false),
        ("http://*.test:* https://*.test:*", "*://*.a.test:*", true),
        (
            "https://any.a.test https://a.a.test",
            "https://*.a.test",
            false,
        ),
        ("*://a.test:443", "https://a.test", true),
        ("*://a.test:443", "http://a.test:443", true),
        ("*://a.test:443", "http://a.test", false),
        ("capacitor://localhost", "capacitor://localhost", true),
        ("https://localhost", "capacitor://localhost", false),
        ("null", "null", true),
        ("https://a.test", "null", false),
        ("*", "null", true),
        ("*", "https://*.test", true),
        ("null https://*.test", "*", false),
        ("http://[::1]:*", "http://[::1]:80", true),
        ("http://[::1]", "http://[::2]", false),
    ];
    for (set, pattern, included) in rows {
        check(set, pattern, included);
    }
}

#[test]
fn all_ports_are_counted() {
    let every_port = |skip: u16| {
        let ports = (0..=u16::MAX).filter(|port| ![443, skip].contains(port));
        let ports = ports.map(|port| format!("https://a.test:{port} "));
        ports.collect::<String>() + "https://a.test"
    };
    check(&every_port(443), "https://a.test:*", true);
    check(&every_port(60_000), "https://a.test:*", false);
    let host = format!("{0}.{0}.{0}.{1}", "a".repeat(63), "a".repeat(59));
    let names = "abcdefghijklmnopqrstuvwxyz0123456789-_".chars();
    let all: String = names
        .map(|name| format!("https://{name}.{host} "))
        .collect();
    check(&all, &format!("https://*.{host}"), true);
    check(&all[host.len() + 11..], &format!("https://*.{host}"), false);
}

#[test]
fn stars_anywhere() {
    let rows = [
        ("https://app-*.test", "https://app-*.test", true),
        ("https://*.test", "https://app-*.test", true),
        ("https://a*", "https://app-*.test", true),
        ("https://app-*.test", "https://*.test", false),
        ("https://app-*.test", "https://app-1.test", true),
        ("https://app-*.test", "https://app-.test", false),
        ("http*", "*://*.test:*", true),
        ("https://*", "*://*.test", false),
        ("http://localhost:*", "http://localhost", true),
        ("https://x*", "https://*.x.test", false),
        ("https://*t", "https://*.test", true),
        ("https://*t", "https://*.test:*", false),
        ("https://*:8443 https://*t", "https://*.test:*", false),
        ("https://*5 https://*t", "https://a.test:5", true),
    ];
    for (set, pattern, included) in rows {
        check(set, pattern, included);
    }
}

/// No single pattern covers the other, but all of them together do.
#[test]
fn a_union_of_stars_is_exact() {
    let begins = |bytes: &str| {
        let each = bytes.chars().map(|byte| format!("https://{byte}* "));
        each.collect::<String>()
    };
    let all = "abcdefghijklmnopqrstuvwxyz0123456789-_";
    check(&begins(all), "https://*.test", true);
    check(&begins(&all[1..]), "https://*.test", false);
    check(&begins(all), "https://*", false);
    check(&format!("{}https://[*", begins(all)), "https://*", false);
    let ends: String = all
        .chars()
        .map(|byte| format!("https://a*{byte} "))
        .collect();
    check(&ends, "https://a*", false);
    check(&format!("{ends}https://a"), "https://ab*", true);
}

/// Whether two sets have a value in common that a third has not.
fn check_meeting(one: &str, other: &str, without: &str, meets: bool) {
    let names = format!("{one} and {other} without {without}");
    let (one, other, without) = (space(one), space(other), space(without));
    for (a, b) in [(&one, &other), (&other, &one)] {
        match a.meeting(b, &without) {
            Outside::Nothing => assert!(!meets, "{names}: nothing"),
            Outside::Witness(text) => {
                assert!(meets, "{names}: {text}");
                assert!(a.contains(&text) && b.contains(&text), "{text}");
                assert!(!without.contains(&text), "{text}");
            }
            Outside::Undecided => panic!("{names}: not decided"),
        }
    }
}

#[test]
fn sets_that_meet() {
    let rows = [
        ("https://a.test", "https://a.test", "", true),
        ("https://a.test", "https://b.test", "", false),
        ("https://a.test", "http://a.test", "", false),
        ("https://a.test:*", "https://a.test:8443", "", true),
        (
            "https://a.test:*",
            "https://a.test:8443",
            "https://a.test:8443",
            false,
        ),
        ("*://a.test", "http://a.test:*", "", true),
        ("*://a.test", "http://a.test:*", "http://a.test", false),
        ("*://a.test:443", "https://a.test", "", true),
        ("*://a.test:443", "http://a.test", "", false),
        ("https://*.test", "https://a.b.test", "", true),
        ("https://*.test", "https://*.b.test", "", true),
        (
            "https://*.test",
            "https://*.b.test",
            "https://*.b.test",
            false,
        ),
        (
            "https://*.test",
            "https://*.b.test",
            "https://a.b.test",
            true,
        ),
        ("https://*.test", "https://test", "", false),
        ("*", "null", "", true),
        ("*", "null", "null", false),
        ("*", "*", "https://*", true),
        ("null", "https://*.test", "", false),
        ("https://app-*", "https://*.test", "", true),
        (
            "https://app-*",
            "https://*.test",
            "https://app-*.test",
            true,
        ),
        ("https://app-*", "https://web-*", "", false),
        (
            "https://app-*",
            "https://*.test",
            "https://app*.test",
            false,
        ),
        ("https://app-*a", "https://*-b.test", "", false),
        (
            "https://*a.test",
            "https://a*.test",
            "https://a*a.test https://aa.test",
            false,
        ),
        ("https://ab*.test", "https://*ba.test", "", true),
        ("http://localhost:*", "http://*:8080", "", true),
        (
            "http://localhost:*",
            "http://*:8080",
            "http://localhost:8080",
            false,
        ),
        (
            "https://x.test https://*.a.test",
            "https://y.test *://b.a.test",
            "",
            true,
        ),
    ];
    for (one, other, without, meets) in rows {
        check_meeting(one, other, without, meets);
    }
}

fn pattern_text() -> impl Strategy<Value = String> {
    let scheme = select(vec!["https", "http", "*", "app"]);
    let host = select(vec![
        "a", "b.a", "c.b.a", "*.a", "*.b.a", "x-1.a", "[::1]", "1.2.3.4",
    ]);
    let port = select(vec!["", "", ":80", ":443", ":8", ":88", ":*"]);
    let plain = (scheme, host, port).prop_filter_map("no rule", |(scheme, host, port)| {
        let text = format!("{scheme}://{host}{port}");
        OriginPattern::parse(&text, Dialect::Native)
            .is_ok()
            .then_some(text)
    });
    let star = select(vec![
        "https://*",
        "http*",
        "https://a*",
        "https://*a",
        "https://x-*.a",
        "*.b.a",
        "*:8",
        "*8",
        "https://*:8*",
        "h*:88",
        "*",
        "https://*.a:8",
        "*a:8",
    ])
    .prop_filter_map("no rule", |text| {
        OriginPattern::parse(text, Dialect::S3)
            .is_ok()
            .then(|| text.to_owned())
    });
    prop_oneof![4 => plain, 2 => star, 1 => Just("null".to_owned())]
}

fn samples() -> Vec<String> {
    let mut all = vec!["null".to_owned()];
    for scheme in ["https", "http", "app"] {
        for host in [
            "a", "b.a", "c.b.a", "d.c.b.a", "x-1.a", "x-.a", "x-1.b.a", "ba", "[::1]", "[::2]",
            "1.2.3.4", "8", "a8", "z", "q.z",
        ] {
            for port in ["", ":80", ":443", ":8", ":88", ":808", ":9"] {
                all.push(format!("{scheme}://{host}{port}"));
            }
        }
    }
    all
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    /// The same against samples, whichever patterns meet.
    #[test]
    fn meeting_agrees_with_samples(
        one in proptest::collection::vec(pattern_text(), 0..4),
        other in proptest::collection::vec(pattern_text(), 0..4),
        without in proptest::collection::vec(pattern_text(), 0..4),
    ) {
        let [a, b, not] = [&one, &other, &without].map(|texts| space(&texts.join(" ")));
        let is_met = |text: &str| a.contains(text) && b.contains(text) && !not.contains(text);
        match a.meeting(&b, &not) {
            Outside::Nothing => {
                let missed = samples().into_iter().find(|text| is_met(text));
                prop_assert_eq!(missed, None, "{:?} {:?} without {:?}", one, other, without);
            }
            Outside::Witness(text) => prop_assert!(is_met(&text), "{text}"),
            Outside::Undecided => {}
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    /// A witness is one; a sample that differs is never missed.
    #[test]
    fn inclusion_agrees_with_samples(
        set in proptest::collection::vec(pattern_text(), 0..6),
        pattern in pattern_text(),
    ) {
        let pattern = parse(&pattern);
        let own = PatternSpace::new(vec![pattern.clone()]);
        let space = PatternSpace::new(set.iter().map(|text| parse(text)).collect());
        match space.outside(&pattern) {
            Outside::Nothing => {
                for sample in samples() {
                    prop_assert!(
                        !own.contains(&sample) || space.contains(&sample),
                        "{sample} is in {pattern} and not in {set:?}"
                    );
                }
            }
            Outside::Witness(text) => {
                prop_assert!(own.contains(&text), "{text} is not in {pattern}");
                prop_assert!(!space.contains(&text), "{text} is in {set:?}");
            }
            Outside::Undecided => {}
        }
    }
}
