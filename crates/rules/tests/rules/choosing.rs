//! Sites and routes against naive choices over generated tables.

use corsair_rules::{HostPattern, MethodSet, PathPattern, RouteTable, SiteTable};
use proptest::prelude::*;

// Sites ------------------------------------------------------------------------------------------

fn host_text() -> impl Strategy<Value = String> {
    let label = prop::sample::select(vec!["a", "b", "cdn", "example", "com", "x-1"]);
    prop::collection::vec(label, 1..4).prop_map(|labels| labels.join("."))
}

/// Exact, else the longest suffix, else the default.
fn naive_site(hosts: &[(String, usize)], host: &str) -> Option<usize> {
    let host = host.to_ascii_lowercase();
    let host = host.strip_suffix('.').unwrap_or(&host);
    let rank = |pattern: &str| match pattern.strip_prefix('*') {
        None => (pattern == host).then_some(usize::MAX),
        Some("") => Some(0),
        Some(tail) => (host.len() > tail.len() && host.ends_with(tail)).then_some(tail.len()),
    };
    let ranked = hosts
        .iter()
        .filter_map(|(pattern, site)| Some((rank(pattern)?, *site)));
    ranked.max_by_key(|(rank, _)| *rank).map(|(_, site)| site)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn sites_are_chosen_as_naively(
        hosts in prop::collection::btree_set((host_text(), 0u8..4), 1..12),
        asked in prop::collection::vec((host_text(), 0u8..6), 1..12),
    ) {
        let hosts: Vec<(String, usize)> = hosts
            .into_iter()
            .map(|(host, kind)| match kind {
                0 => "*".to_owned(),
                1 => format!("*.{host}"),
                _ => host,
            })
            .collect::<std::collections::BTreeSet<String>>()
            .into_iter()
            .enumerate()
            .map(|(site, host)| (host, site))
            .collect();
        let parse = |(host, site): &(String, usize)| {
            (HostPattern::parse(host).expect("valid"), *site)
        };
        let table = SiteTable::build(hosts.iter().map(parse)).expect("no two alike");
        for (host, edit) in asked {
            let host = match edit {
                0 => host.to_ascii_uppercase(),
                1 => format!("{host}."),
                2 => format!("x{host}"),
                3 => format!("x.{host}"),
                4 => format!("x.y.{host}"),
                _ => host,
            };
            prop_assert_eq!(table.find(host.as_bytes()), naive_site(&hosts, &host), "{}", host);
        }
    }
}

// Routes -----------------------------------------------------------------------------------------

fn segment() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["a", "b", "ab", "abc", "*", "*b", "a*", "a*c", ""])
}

fn path_pattern() -> impl Strategy<Value = String> {
    (prop::collection::vec(segment(), 0..4), any::<bool>()).prop_map(|(segments, rest)| {
        let path = format!("/{}", segments.join("/"));
        match (rest, path.ends_with('/')) {
            (true, true) => format!("{path}**"),
            (true, false) => format!("{path}/**"),
            (false, _) => path,
        }
    })
}

fn path() -> impl Strategy<Value = String> {
    let segment = prop::sample::select(vec!["a", "b", "ab", "abc", "bc", ""]);
    let segments = prop::collection::vec(segment, 1..5);
    segments.prop_map(|segments| format!("/{}", segments.join("/")))
}

/// One segment against one pattern segment, byte by byte and with backtracking.
fn naive_segment(pattern: &[u8], text: &[u8]) -> bool {
    match pattern.split_first() {
        None => text.is_empty(),
        Some((b'*', rest)) => (0..=text.len()).any(|skip| naive_segment(rest, &text[skip..])),
        Some((byte, rest)) => text.first() == Some(byte) && naive_segment(rest, &text[1..]),
    }
}

fn naive_path(pattern: &str, path: &str) -> bool {
    let mut patterns: Vec<&str> = pattern.split('/').collect();
    let segments: Vec<&str> = path.split('/').collect();
    let rest = patterns.last() == Some(&"**");
    if rest {
        patterns.pop();
    }
    let fits = |(&pattern, &text): (&&str, &&str)| {
        naive_segment(pattern.as_bytes(), text.as_bytes()) && (pattern != "*" || !text.is_empty())
    };
    let enough = if rest {
        segments.len() > patterns.len()
    } else {
        segments.len() == patterns.len()
    };
    enough && patterns.iter().zip(&segments).all(fits)
}

/// Smaller is more specific, segment by segment.
fn naive_rank(pattern: &str) -> Vec<(u8, usize, &str)> {
    let rank = |segment| match segment {
        "**" => (3, 0, ""),
        "*" => (2, 0, ""),
        part if part.contains('*') => (1, usize::MAX - part.replace('*', "").len(), part),
        _ => (0, 0, ""),
    };
    pattern.split('/').map(rank).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn routes_are_chosen_as_naively(
        routes in prop::collection::vec((path_pattern(), 0u8..3), 1..15),
        paths in prop::collection::vec(path(), 1..8),
    ) {
        let methods = |kind: u8| match kind {
            0 => MethodSet::Any,
            1 => MethodSet::Listed(vec!["GET".into()]),
            _ => MethodSet::Listed(vec!["PUT".into(), "POST".into()]),
        };
        let parse = |text: &str| PathPattern::parse(text).expect("valid");
        let table = RouteTable::build(
            (0..).zip(&routes).map(|(n, (path, kind))| (parse(path), methods(*kind), n)).collect(),
        );
        for path in &paths {
            for method in ["GET", "PUT", "DELETE"] {
                let takes = |(path_pattern, kind): &(String, u8)| {
                    naive_path(path_pattern, path) && methods(*kind).allows(method.as_bytes())
                };
                let best = routes
                    .iter()
                    .filter(|route| takes(route))
                    .map(|(pattern, _)| naive_rank(pattern))
                    .min();
                let found = table.find(path.as_bytes(), method.as_bytes());
                let found_rank = found.map(|n| {
                    assert!(takes(&routes[n]), "{} is said to take {method} {path}", routes[n].0);
                    // Of equal paths, listed methods come before all.
                    let listed = |route: &&(String, u8)| route.0 == routes[n].0 && route.1 != 0;
                    assert!(routes[n].1 != 0 || !routes.iter().filter(listed).any(takes));
                    naive_rank(&routes[n].0)
                });
                prop_assert_eq!(found_rank, best, "{} {} among {:?}", method, path, routes);
            }
        }
        for (pattern, _) in &routes {
            let parsed = parse(pattern);
            for path in &paths {
                prop_assert_eq!(parsed.matches(path.as_bytes()), naive_path(pattern, path));
            }
        }
    }
}

#[test]
fn thousands_of_routes() {
    let parse = |text: String| PathPattern::parse(&text).expect("valid");
    let routes = (0..5000)
        .map(|n| match n % 3 {
            0 => (parse(format!("/a/{n}/**")), MethodSet::Any, n),
            1 => (parse(format!("/a/{n}/*.css")), MethodSet::Any, n),
            _ => (parse(format!("/{n}/x")), MethodSet::Any, n),
        })
        .collect();
    let table = RouteTable::build(routes);
    for n in 0..5000 {
        let path = match n % 3 {
            0 => format!("/a/{n}/deep/er"),
            1 => format!("/a/{n}/site.css"),
            _ => format!("/{n}/x"),
        };
        assert_eq!(table.find(path.as_bytes(), b"GET"), Some(n), "{path}");
        assert_eq!(
            table.find(format!("{path}/y").as_bytes(), b"GET"),
            (n % 3 == 0).then_some(n)
        );
    }
}
