//! The compiled matcher against a naive one, over generated rules and hostile origins.
//!
//! The oracle works on texts and shares nothing with the crate: no parser, no pattern type.

use corsair_rules::{
    CorsPolicies, CorsPolicySpec, Dialect, Lint, OriginPattern, OriginSet, PolicyPlace, WebOrigin,
};
use proptest::prelude::*;
use std::net::{Ipv4Addr, Ipv6Addr};

// The oracle -------------------------------------------------------------------------------------

/// Scheme, host and port of a serialized origin; `None` for anything a browser does not send.
fn split_serialized(text: &str) -> Option<(&str, &str, Option<&str>)> {
    let (scheme, rest) = text.split_once("://")?;
    let scheme_byte = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "+-.".contains(c);
    if !scheme.starts_with(|c: char| c.is_ascii_lowercase())
        || !scheme.chars().all(scheme_byte)
        || scheme.len() > 32
    {
        return None;
    }
    let (host, port) = match rest.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (rest, None),
    };
    if let Some(port) = port {
        let number: u16 = port.parse().ok()?;
        if number.to_string() != port {
            return None;
        }
        let defaults = [
            ("http", 80),
            ("ws", 80),
            ("https", 443),
            ("wss", 443),
            ("ftp", 21),
        ];
        if defaults.contains(&(scheme, number)) {
            return None;
        }
    }
    is_host(host).then_some((scheme, host, port))
}

fn is_host(host: &str) -> bool {
    if let Some(inner) = host
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
    {
        // None of the generated addresses is IPv4-mapped, where std's text differs from a
        // browser's.
        return inner
            .parse::<Ipv6Addr>()
            .is_ok_and(|address| address.to_string() == inner);
    }
    let label_byte = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_".contains(c);
    let labels: Vec<&str> = host.split('.').collect();
    let good = |label: &&str| (1..=63).contains(&label.len()) && label.chars().all(label_byte);
    if host.len() > 253 || !labels.iter().all(good) {
        return false;
    }
    let last = labels[labels.len() - 1];
    let hex = last
        .strip_prefix("0x")
        .is_some_and(|rest| rest.chars().all(|c| c.is_ascii_hexdigit()));
    let is_number = last.chars().all(|c| c.is_ascii_digit()) || hex;
    !is_number || host.parse::<Ipv4Addr>().is_ok()
}

/// A native pattern in canonical text against one value.
fn naive(pattern: &str, value: &[u8]) -> bool {
    let Ok(value) = std::str::from_utf8(value) else {
        return pattern == "*";
    };
    if pattern == "*" || (pattern == "null" && value == "null") {
        return true;
    }
    let Some((scheme, host, port)) = split_serialized(value) else {
        return false;
    };
    let Some((own_scheme, own_rest)) = pattern.split_once("://") else {
        return false;
    };
    let (own_host, own_port) = match own_rest.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (own_rest, None),
    };
    let scheme_fits =
        own_scheme == scheme || (own_scheme == "*" && ["http", "https"].contains(&scheme));
    let default = match scheme {
        "http" | "ws" => "80",
        "https" | "wss" => "443",
        "ftp" => "21",
        _ => "-",
    };
    let port_fits = match own_port {
        Some("*") => true,
        Some(own) if own == default => port.is_none(),
        own => own == port,
    };
    let host_fits = match own_host.strip_prefix('*') {
        Some(tail) => host.len() > tail.len() && host.ends_with(tail),
        None => own_host == host,
    };
    scheme_fits && port_fits && host_fits
}

/// An `s3` pattern with a star against one value.
fn naive_s3(pattern: &str, value: &[u8]) -> bool {
    let Ok(value) = std::str::from_utf8(value) else {
        return false;
    };
    let Some((before, behind)) = pattern.split_once('*') else {
        return pattern == value;
    };
    let serialized = split_serialized(value).is_some();
    serialized
        && value
            .strip_prefix(before)
            .and_then(|rest| rest.strip_suffix(behind))
            .is_some_and(|covered| !covered.is_empty())
}

// Generators -------------------------------------------------------------------------------------

fn host() -> impl Strategy<Value = String> {
    let label = prop::sample::select(vec![
        "a",
        "b",
        "example",
        "com",
        "org",
        "x-1",
        "localhost",
        "xn--p1ai",
        "evil",
        "averylonglabelindeed",
    ]);
    prop::collection::vec(label, 1..5).prop_map(|labels| labels.join("."))
}

fn port() -> impl Strategy<Value = String> {
    prop::sample::select(vec![
        "", "", "", ":80", ":443", ":1", ":8443", ":65535", ":*",
    ])
    .prop_map(str::to_owned)
}

fn native() -> impl Strategy<Value = String> {
    let scheme = prop::sample::select(vec![
        "https",
        "https",
        "http",
        "*",
        "capacitor",
        "ws",
        "zz+1",
    ]);
    let named =
        (scheme.clone(), any::<bool>(), host(), port()).prop_map(|(scheme, below, host, port)| {
            format!("{scheme}://{}{host}{port}", if below { "*." } else { "" })
        });
    let address = prop::sample::select(vec!["[::1]", "[2001:db8::2]", "127.0.0.1", "10.0.0.1"]);
    let addressed = (scheme, address, port())
        .prop_map(|(scheme, host, port)| format!("{scheme}://{host}{port}"));
    prop_oneof![8 => named, 2 => addressed, 1 => Just("null".to_owned())]
}

/// A value that a pattern allows, or nearly: the wildcards are filled in.
fn fill(pattern: &str, below: &str, port: &str) -> String {
    let text = pattern
        .replacen("*://", "https://", 1)
        .replacen("*.", &format!("{below}."), 1);
    text.strip_suffix(":*")
        .map_or(text.clone(), |text| format!("{text}{port}"))
}

/// What an attacker or a broken client makes of a value.
fn edit(value: &str, kind: usize, at: usize) -> Vec<u8> {
    let at = at % (value.len() + 1);
    let at = (0..=at)
        .rev()
        .find(|&at| value.is_char_boundary(at))
        .unwrap_or(0);
    let (head, tail) = value.split_at(at);
    let text = match kind {
        0..=3 => value.to_owned(),
        4 => value.replacen("://", "://evil", 1),
        5 => value.replacen("://", "://evil.", 1),
        6 => value.replacen("://", "://.", 1),
        7 => value.replacen("://", "://evil.net@", 1),
        8 => value.replacen("://", "://evil/.", 1),
        9 => value.replacen("https", "http", 1),
        10 => value.replacen("http", "https", 1),
        11 => format!("{value}.evil.net"),
        12 => format!("{value}."),
        13 => format!("{value}/"),
        14 => format!("{value}:8443"),
        15 => format!("{value}:443"),
        16 => format!("{value}:80"),
        17 => format!("{value}, {value}"),
        18 => value.to_uppercase(),
        19 => value.replacen('.', "", 1),
        20 => value.replacen('.', "..", 1),
        21 => value.replacen('.', "x", 1),
        22 => format!("{head}\0{tail}"),
        23 => format!("{head}`{tail}"),
        24 => format!("{head}\u{e9}{tail}"),
        25 => head.to_owned(),
        26 => tail.to_owned(),
        27 => format!("{head}a{tail}"),
        28 => "null".to_owned(),
        29 => format!("{head}.{tail}"),
        _ => return [head.as_bytes(), &[0xff, 0x80], tail.as_bytes()].concat(),
    };
    text.into_bytes()
}

fn values_of(pattern: &str, edits: &[(usize, usize)]) -> Vec<Vec<u8>> {
    let fills = [
        ("x", ""),
        ("x.y", ":8443"),
        ("a-b_c", ":80"),
        ("", ":"),
        ("x.", ":0443"),
    ];
    let filled = fills.iter().map(|(below, port)| fill(pattern, below, port));
    filled
        .flat_map(|value| edits.iter().map(move |&(kind, at)| edit(&value, kind, at)))
        .collect()
}

fn compile(texts: &[String], dialect: Dialect) -> (Vec<OriginPattern>, OriginSet) {
    let patterns: Vec<OriginPattern> = texts
        .iter()
        .map(|text| {
            OriginPattern::parse(text, dialect)
                .expect("a generated pattern")
                .0
        })
        .collect();
    let set = OriginSet::compile(&patterns);
    (patterns, set)
}

// Properties -------------------------------------------------------------------------------------

fn check_native(texts: &[String], set: &OriginSet, value: &[u8]) {
    let found = set.find(value);
    let expected = texts.iter().any(|pattern| naive(pattern, value));
    let shown = String::from_utf8_lossy(value);
    assert_eq!(found.is_some(), expected, "{texts:?} on {shown:?}");
    if let Some(index) = found {
        let decider = &texts[index as usize];
        assert!(
            naive(decider, value),
            "{decider} is said to decide {shown:?}"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 120, ..ProptestConfig::default() })]

    #[test]
    fn compiled_and_naive_matching_agree(
        texts in prop::collection::vec(native(), 1..12),
        edits in prop::collection::vec((0usize..32, 0usize..64), 1..6),
    ) {
        let (_, set) = compile(&texts, Dialect::Native);
        for value in texts.iter().flat_map(|pattern| values_of(pattern, &edits)) {
            check_native(&texts, &set, &value);
        }
    }

    #[test]
    fn star_anywhere_agrees_with_naive_matching(
        pieces in prop::collection::vec((0usize..20, 0usize..20, host()), 1..8),
        edits in prop::collection::vec((0usize..32, 0usize..64), 1..6),
    ) {
        let texts: Vec<String> = pieces
            .iter()
            .map(|(from, len, host)| {
                let whole = format!("https://{host}");
                let from = from % whole.len();
                let end = (from + len % 4).min(whole.len());
                format!("{}*{}", &whole[..from], &whole[end..])
            })
            .collect();
        let (_, set) = compile(&texts, Dialect::S3);
        for ((_, _, host), pattern) in pieces.iter().zip(&texts) {
            for &(kind, at) in &edits {
                let filled = |with| pattern.replace('*', with);
                for base in [format!("https://{host}"), filled("q7"), filled(".")] {
                    let value = edit(&base, kind, at);
                    let allows = |own: &String| own == "*" || naive_s3(own, &value);
                    let expected = texts.iter().any(allows);
                    let shown = String::from_utf8_lossy(&value).into_owned();
                    let found = set.find(&value);
                    prop_assert_eq!(found.is_some(), expected, "{:?} on {}", texts, shown);
                }
            }
        }
    }

    #[test]
    fn any_bytes_are_answered_alike(
        texts in prop::collection::vec(native(), 1..6),
        value in prop::collection::vec(any::<u8>(), 0..40),
    ) {
        let (_, set) = compile(&texts, Dialect::Native);
        check_native(&texts, &set, &value);
    }

    #[test]
    fn what_the_set_reads_back_means_the_same(
        texts in prop::collection::vec(native(), 1..12),
        edits in prop::collection::vec((0usize..32, 0usize..64), 1..4),
    ) {
        let (_, set) = compile(&texts, Dialect::Native);
        let again: Vec<OriginPattern> = set.patterns().map(|(_, pattern)| pattern).collect();
        let again = OriginSet::compile(&again);
        for value in texts.iter().flat_map(|pattern| values_of(pattern, &edits)) {
            prop_assert_eq!(set.find(&value).is_some(), again.find(&value).is_some());
        }
    }

    #[test]
    fn redundant_patterns_can_all_be_removed(
        texts in prop::collection::vec(native(), 1..12),
        edits in prop::collection::vec((0usize..32, 0usize..64), 1..4),
    ) {
        let spec = CorsPolicySpec { origins: texts.clone(), ..CorsPolicySpec::default() };
        // Some generated suffixes are public ones; those policies are refused, and that is fine.
        let policies = CorsPolicies::compile(vec![spec]);
        prop_assume!(policies.is_ok());
        let needless: Vec<usize> = policies
            .iter()
            .flat_map(CorsPolicies::warnings)
            .filter(|problem| matches!(problem.lint, Lint::RedundantPattern { .. }))
            .map(|problem| match problem.place {
                PolicyPlace::Origin(at) => at,
                other => panic!("a pattern is an origin, not {other:?}"),
            })
            .collect();
        let kept: Vec<String> = (0..texts.len())
            .filter(|at| !needless.contains(at))
            .map(|at| texts[at].clone())
            .collect();
        let (_, all) = compile(&texts, Dialect::Native);
        let (_, fewer) = compile(&kept, Dialect::Native);
        for value in texts.iter().flat_map(|pattern| values_of(pattern, &edits)) {
            let shown = String::from_utf8_lossy(&value).into_owned();
            prop_assert_eq!(all.find(&value).is_some(), fewer.find(&value).is_some(), "{}", shown);
        }
        for &at in &needless {
            let (_, without) = compile(&[&texts[..at], &texts[at + 1..]].concat(), Dialect::Native);
            for value in values_of(&texts[at], &edits) {
                prop_assert_eq!(all.find(&value).is_some(), without.find(&value).is_some());
            }
        }
    }

    #[test]
    fn a_parsed_origin_is_what_the_oracle_takes(
        pattern in native(),
        edits in prop::collection::vec((0usize..32, 0usize..64), 1..8),
    ) {
        for value in values_of(&pattern, &edits) {
            let parsed = WebOrigin::parse(&value).is_ok();
            let text = std::str::from_utf8(&value);
            let expected = text.is_ok_and(|text| split_serialized(text).is_some());
            prop_assert_eq!(parsed, expected, "{}", String::from_utf8_lossy(&value));
        }
    }
}

// Sizes ------------------------------------------------------------------------------------------

/// Shorter than `https://`, and hosts that begin before a whole word of the value does.
#[test]
fn the_shortest_origins_are_found() {
    let patterns = [
        "ws://a:*",
        "x://b",
        "app://a",
        "http://c",
        "x://*.d",
        "x://*.e.f",
    ];
    let texts = patterns.map(str::to_owned);
    let (_, set) = compile(&texts, Dialect::Native);
    let rows = [
        ("ws://a", Some(0)),
        ("ws://a:1", Some(0)),
        ("x://b", Some(1)),
        ("app://a", Some(2)),
        ("http://c", Some(3)),
        ("x://g.d", Some(4)),
        ("x://g.h.i.j.d", Some(4)),
        ("x://g_h.e.f", Some(5)),
        ("x://d", None),
        ("x://.d", None),
        ("x://g..d", None),
        ("x://G.d", None),
        ("x://", None),
        ("x:", None),
        ("", None),
    ];
    for (value, expected) in rows {
        assert_eq!(set.find(value.as_bytes()), expected, "{value}");
        check_native(&texts, &set, value.as_bytes());
    }
}

#[test]
fn a_thousand_ports_on_one_host() {
    let texts: Vec<String> = (0..1000)
        .map(|n| format!("http://localhost:{}", 3000 + 2 * n))
        .collect();
    let (_, set) = compile(&texts, Dialect::Native);
    for port in 2990..5010u32 {
        let expected = (3000..5000).contains(&port) && port % 2 == 0;
        let origin = format!("http://localhost:{port}");
        let found = set.find(origin.as_bytes());
        assert_eq!(found, expected.then(|| (port - 3000) / 2), "{origin}");
    }
}

#[test]
fn many_patterns_of_every_shape() {
    let mut texts = Vec::new();
    for n in 0..4000 {
        texts.push(match n % 4 {
            0 => format!("https://*.t{n}.example.com"),
            1 => format!("http://t{n}.example.com:8080"),
            2 => format!("*://t{n}.example.org:*"),
            _ => format!("https://t{n}.example.com"),
        });
    }
    let (_, set) = compile(&texts, Dialect::Native);
    for (index, text) in (0u32..).zip(&texts) {
        let value = fill(text, "deep.er", ":99");
        assert_eq!(set.find(value.as_bytes()), Some(index), "{value}");
        for kind in 4..=24 {
            let edited = edit(&value, kind, 12);
            let expected = texts.iter().any(|pattern| naive(pattern, &edited));
            assert_eq!(
                set.find(&edited).is_some(),
                expected,
                "{}",
                String::from_utf8_lossy(&edited)
            );
        }
        if index == 24 {
            // The oracle walks all patterns each time; some of each shape are enough.
            break;
        }
    }
    assert!(set.table_bytes() <= 64 * texts.len());
    assert_eq!(
        (set.len(), set.is_star(), set.is_empty()),
        (4000, false, false)
    );
}

#[test]
fn precedence() {
    let texts = [
        "https://*.com.example",
        "https://*.b.com.example",
        "https://a.b.com.example",
        "*://port.example:*",
        "https://port.example:*",
        "*://port.example:8443",
        "https://port.example:8443",
        "https://port.example:8443",
    ]
    .map(String::from);
    let (patterns, set) = compile(&texts, Dialect::Native);
    for (value, expected) in [
        ("https://x.com.example", Some(0)),
        ("https://x.b.com.example", Some(1)),
        ("https://a.b.com.example", Some(2)),
        ("https://port.example:8443", Some(6)),
        ("http://port.example:8443", Some(5)),
        ("https://port.example:1", Some(4)),
        ("http://port.example", Some(3)),
        ("ws://port.example", None),
    ] {
        assert_eq!(set.find(value.as_bytes()), expected, "{value}");
    }
    assert_eq!(set.pattern(1), Some(patterns[1].clone()));
    assert_eq!(set.pattern(7), None, "a duplicate never decides");
}
