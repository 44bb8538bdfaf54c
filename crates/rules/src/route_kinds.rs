//! The paths that the routes of some tables tell apart, one of each kind: for reports on routes.
//!
//! Which patterns cover a path decides which route it takes, so two paths that the same patterns cover
//! are one kind. The tables' trees are walked together, segment by segment: a state is the set of nodes
//! that a path has come to, and a segment's kind is which of the literals and part stars below those
//! nodes it matches. Texts that only several part stars share (`a*` and `*b`) are found by a subset
//! construction over their bytes, breadth first. Past a bound that no configuration written by a person
//! reaches, `are_all` says that kinds may be missing. Never used for requests.

use crate::glob::Glob;
use crate::route::{NodeView, RouteTable};
use std::collections::{BTreeMap, BTreeSet, HashSet, VecDeque};

/// Stands for what a star covers and no literal names.
const ANY: &str = "corsair-any";
/// Most sets of nodes that are looked at.
const STATES_MAX: usize = 50_000;
/// Most steps of single places in part stars, for one set of them.
const STEPS_MAX: usize = 4_000_000;

/// One path of each kind.
///
/// ```
/// use corsair_rules::{MethodSet, PathPattern, RouteKinds, RouteTable};
/// let table = |path| {
///     RouteTable::build(vec![(PathPattern::parse(path).unwrap(), MethodSet::Any, 1)])
/// };
/// let kinds = RouteKinds::of(&[&table("/*/c"), &table("/a/b/**"), &table("/a/**")]);
/// assert!(kinds.are_all);
/// assert!(kinds.paths.contains(&"/a/c".to_owned()), "{kinds:?}");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteKinds {
    /// Canonical paths, shorter ones first.
    pub paths: Vec<String>,
    /// Whether there is a path of each kind.
    pub are_all: bool,
}

/// The nodes that a path has come to, and those whose `**` it has begun.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct State {
    at: Vec<(usize, u32)>,
    rests: Vec<(usize, u32)>,
}

impl RouteKinds {
    /// Finds them for tables that are asked about the same paths.
    #[must_use]
    pub fn of(tables: &[&RouteTable]) -> Self {
        let roots = (0..tables.len()).map(|table| (table, 0)).collect();
        let start = State {
            at: roots,
            rests: Vec::new(),
        };
        let mut kinds = Self {
            paths: Vec::new(),
            are_all: true,
        };
        let mut seen = HashSet::new();
        let mut queue = VecDeque::from([(start, String::new())]);
        while let Some((state, path)) = queue.pop_front() {
            let nodes: Vec<NodeView<'_>> = state
                .at
                .iter()
                .map(|&(table, node)| tables[table].node(node))
                .collect();
            let (texts, are_all) = segments_of(&nodes);
            kinds.are_all &= are_all;
            for text in texts {
                let next = state.step(&nodes, &text);
                if seen.len() >= STATES_MAX {
                    kinds.are_all = false;
                    return kinds;
                }
                if !seen.insert(next.clone()) {
                    continue;
                }
                let path = format!("{path}/{text}");
                kinds.paths.push(path.clone());
                if !next.at.is_empty() {
                    queue.push_back((next, path));
                }
            }
        }
        kinds
    }
}

impl State {
    fn step(&self, nodes: &[NodeView<'_>], text: &str) -> Self {
        let mut next = Self {
            at: Vec::new(),
            rests: self.rests.clone(),
        };
        for (&(table, node), view) in self.at.iter().zip(nodes) {
            let below = view.below(text.as_bytes());
            next.at
                .extend(below.into_iter().map(|child| (table, child)));
            if view.has_rests() {
                next.rests.push((table, node));
            }
        }
        next.rests.sort_unstable();
        next.rests.dedup();
        next
    }
}

/// One text of each kind of segment that the nodes tell apart, and whether these are all.
fn segments_of(nodes: &[NodeView<'_>]) -> (Vec<String>, bool) {
    let text_of = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let literals: BTreeSet<String> = nodes
        .iter()
        .flat_map(|node| node.literals())
        .map(text_of)
        .collect();
    let globs: BTreeSet<&Glob> = nodes.iter().flat_map(|node| node.globs()).collect();
    let mut texts = vec![unlisted(&literals)];
    let mut are_all = true;
    if !globs.is_empty() {
        let globs: Vec<&Glob> = globs.into_iter().collect();
        (texts, are_all) = shared_texts(&globs, &literals, &texts[0]);
    }
    texts.extend(literals.iter().cloned());
    if !literals.contains("") {
        texts.push(String::new());
    }
    (texts, are_all)
}

fn unlisted(literals: &BTreeSet<String>) -> String {
    let mut text = ANY.to_owned();
    while literals.contains(&text) {
        text.push('x');
    }
    text
}

/// A place in a pattern: its number, and the bytes of it that are behind. Stars are bytes here.
type Places = Vec<(u32, u16)>;

/// One unlisted text that is not empty for each set of patterns that cover one together; the readable
/// texts first.
fn shared_texts(
    globs: &[&Glob],
    literals: &BTreeSet<String>,
    unlisted: &str,
) -> (Vec<String>, bool) {
    let covering = |text: &str| -> Vec<bool> {
        let covers = |glob: &&Glob| glob.matches(text.as_bytes());
        globs.iter().map(covers).collect()
    };
    let mut found: BTreeMap<Vec<bool>, String> = BTreeMap::new();
    let readable = globs.iter().map(|glob| glob.to_string().replace('*', ANY));
    for text in std::iter::once(unlisted.to_owned()).chain(readable) {
        if !literals.contains(&text) {
            found.entry(covering(&text)).or_insert(text);
        }
    }
    // A listed text is a pattern without star, so that what is unlisted is told from it.
    let patterns: Vec<Vec<u8>> = globs
        .iter()
        .map(|glob| glob.to_string().into_bytes())
        .chain(literals.iter().map(|own| own.clone().into_bytes()))
        .collect();
    let alphabet = alphabet_of(&patterns);
    let start: Places = (0u32..)
        .zip(&patterns)
        .map(|(number, _)| (number, 0))
        .collect();
    let mut seen = HashSet::from([start.clone()]);
    let mut queue = VecDeque::from([(start, String::new())]);
    let mut steps = 0;
    while let Some((places, text)) = queue.pop_front() {
        for &byte in &alphabet {
            steps += places.len() + 1;
            if steps > STEPS_MAX {
                return (found.into_values().collect(), false);
            }
            let next = advance(&patterns, &places, byte);
            if seen.insert(next.clone()) {
                let longer = format!("{text}{}", char::from(byte));
                if !literals.contains(&longer) {
                    found
                        .entry(covering(&longer))
                        .or_insert_with(|| longer.clone());
                }
                queue.push_back((next, longer));
            }
        }
    }
    (found.into_values().collect(), true)
}

/// The bytes that some pattern names, and one that none does.
fn alphabet_of(patterns: &[Vec<u8>]) -> Vec<u8> {
    /// What a segment of a canonical path may hold (RFC 3986 §3.3).
    const SEGMENT: &[u8] =
        b"xabcdefghijklmnopqrstuvwyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~!$&'()+,;=:@";
    let mut named: BTreeSet<u8> = patterns.iter().flatten().copied().collect();
    named.remove(&b'*');
    let other = SEGMENT.iter().copied().find(|byte| !named.contains(byte));
    other.into_iter().chain(named).collect()
}

fn advance(patterns: &[Vec<u8>], places: &Places, byte: u8) -> Places {
    let mut next = Places::new();
    for &(number, at) in places {
        let pattern = &patterns[number as usize];
        // Stars may stand for nothing.
        let mut at = at;
        while pattern.get(usize::from(at)) == Some(&b'*') {
            next.push((number, at));
            at += 1;
        }
        if pattern.get(usize::from(at)) == Some(&byte) {
            next.push((number, at + 1));
        }
    }
    next.sort_unstable();
    next.dedup();
    next
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::route::{MethodSet, PathPattern};

    fn table(paths: &[&str]) -> RouteTable {
        let rows = paths.iter().enumerate().map(|(number, path)| {
            let pattern = PathPattern::parse(path).expect("a path pattern");
            (pattern, MethodSet::Any, number + 1)
        });
        RouteTable::build(rows.collect())
    }

    /// Every path over a small alphabet takes the routes of one of the paths that are found.
    fn check(left: &[&str], right: &[&str]) {
        let tables = [table(left), table(right)];
        let kinds = RouteKinds::of(&[&tables[0], &tables[1]]);
        assert!(kinds.are_all);
        let taken = |path: &str| {
            let find = |table: &RouteTable| table.find(path.as_bytes(), b"GET");
            (find(&tables[0]), find(&tables[1]))
        };
        let found: HashSet<_> = kinds.paths.iter().map(|path| taken(path)).collect();
        let mut paths = vec!["/".to_owned()];
        for _ in 0..6 {
            let longer = |path: &String| ["a", "b", "c", "/"].map(|end| format!("{path}{end}"));
            paths = paths.iter().flat_map(longer).collect();
            for path in &paths {
                assert!(found.contains(&taken(path)), "{path} of {left:?} {right:?}");
            }
        }
    }

    #[test]
    fn every_path_is_of_a_kind_that_is_found() {
        check(&[], &[]);
        check(&["/a/*", "/a/**"], &["/a/*", "/a/**"]);
        check(&["/*/c"], &["/*/c", "/a/b/**"]);
        check(&["/*/c", "/a/**"], &["/*/*/c", "/a/*/c"]);
        check(&["/a*", "/*b"], &["/a*b*", "/**"]);
        check(&["/a*", "/ab", "/aab"], &["/*b", "/*a*a*"]);
        check(&["/a*/b", "/*c/**"], &["/ac/*", "/a/"]);
        check(&["/", "/a//b"], &["/*", "/**"]);
        check(&["/a*", "/*a", "/a"], &["/a*a"]);
    }

    #[test]
    fn what_crosses_without_end_is_given_up_and_said() {
        let stars: Vec<String> = (b'a'..=b'z')
            .map(|byte| format!("/*{0}{0}*", char::from(byte)))
            .collect();
        let stars: Vec<&str> = stars.iter().map(String::as_str).collect();
        assert!(!RouteKinds::of(&[&table(&stars)]).are_all);
    }

    #[test]
    fn many_routes_are_no_trouble() {
        let paths: Vec<String> = (0..5_000)
            .map(|number| format!("/tenant-{number}/**"))
            .collect();
        let mut paths: Vec<&str> = paths.iter().map(String::as_str).collect();
        paths.push("/tenant-*/x");
        let kinds = RouteKinds::of(&[&table(&paths), &table(&paths[1..])]);
        assert!(kinds.are_all && kinds.paths.len() > 10_000);
    }
}
