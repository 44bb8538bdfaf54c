//! The compiled matcher beside four other ways to ask the same question, and what each costs.
//!
//! A scan over the patterns; a `HashSet` of whole origins with a list of suffixes; a
//! `regex::RegexSet`; a radix tree over reversed hosts, as jub0bs/cors has one (an implementation of
//! our own, of its idea). Rows: exact patterns, `*.` patterns and half of each; 1, 10, 1,000 and
//! 100,000 of them; origins that are listed and origins that are not, drawn over the whole set. Every
//! way must give the right answer for every origin before it is timed. The set of regexes has no row
//! at 100,000: its automaton would take gigabytes. All but ours answer less: whether, not which, and
//! they check no byte under the wildcard.

use std::collections::HashSet;
use std::hint::black_box;
use std::time::Duration;

use corsair_rules::{Dialect, OriginPattern, OriginSet};
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use regex::bytes::{RegexSet, RegexSetBuilder};

const SIZES: [usize; 4] = [1, 10, 1_000, 100_000];
const REGEXES_MAX: usize = 1_000;
/// Enough for a set of 1,000 regexes.
const REGEX_BYTES_MAX: usize = 1 << 28;
const ORIGINS: usize = 1024;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Exact,
    Suffix,
}

/// One pattern: `https://` and this host, or any name under it.
struct Rule {
    kind: Kind,
    host: String,
}

impl Rule {
    fn pattern(&self) -> String {
        match self.kind {
            Kind::Exact => format!("https://{}", self.host),
            Kind::Suffix => format!("https://*.{}", self.host),
        }
    }

    fn member(&self) -> Vec<u8> {
        match self.kind {
            Kind::Exact => format!("https://{}", self.host).into_bytes(),
            Kind::Suffix => format!("https://eu-1.{}", self.host).into_bytes(),
        }
    }

    /// As long as a member, with the same end.
    fn stranger(&self) -> Vec<u8> {
        let member = String::from_utf8(self.member()).expect("ASCII");
        member.replacen("tenant", "tenanq", 1).into_bytes()
    }
}

fn rules(shape: &str, size: usize) -> Vec<Rule> {
    (0..size)
        .map(|number| Rule {
            kind: match shape {
                "exact" => Kind::Exact,
                "suffix" => Kind::Suffix,
                _ if number % 2 == 0 => Kind::Exact,
                _ => Kind::Suffix,
            },
            host: format!("tenant-{number}.example.com"),
        })
        .collect()
}

/// One way to answer; built from the rules, then asked.
trait Matcher {
    fn allows(&self, origin: &[u8]) -> bool;
}

struct Ours(OriginSet);

impl Ours {
    fn new(rules: &[Rule]) -> Self {
        Self(OriginSet::compile(&parse(rules)))
    }
}

impl Matcher for Ours {
    fn allows(&self, origin: &[u8]) -> bool {
        self.0.find(origin).is_some()
    }
}

fn parse(rules: &[Rule]) -> Vec<OriginPattern> {
    let parse = |rule: &Rule| OriginPattern::parse(&rule.pattern(), Dialect::Native);
    let patterns = rules.iter().map(parse);
    patterns
        .map(|parsed| parsed.expect("a pattern").0)
        .collect()
}

/// The list from its beginning to the first that allows.
struct Scan(Vec<(Kind, Vec<u8>)>);

impl Scan {
    fn new(rules: &[Rule]) -> Self {
        Self(rules.iter().map(scanned).collect())
    }
}

fn scanned(rule: &Rule) -> (Kind, Vec<u8>) {
    match rule.kind {
        Kind::Exact => (rule.kind, format!("https://{}", rule.host).into_bytes()),
        Kind::Suffix => (rule.kind, format!(".{}", rule.host).into_bytes()),
    }
}

impl Matcher for Scan {
    fn allows(&self, origin: &[u8]) -> bool {
        self.0.iter().any(|(kind, text)| match kind {
            Kind::Exact => origin == text,
            Kind::Suffix => origin.starts_with(b"https://") && origin.ends_with(text),
        })
    }
}

/// What many services write by hand.
struct SetAndList {
    exact: HashSet<Vec<u8>>,
    suffixes: Vec<Vec<u8>>,
}

impl SetAndList {
    fn new(rules: &[Rule]) -> Self {
        let (exact, suffixes): (Vec<_>, Vec<_>) = rules
            .iter()
            .map(scanned)
            .partition(|(kind, _)| *kind == Kind::Exact);
        Self {
            exact: exact.into_iter().map(|(_, text)| text).collect(),
            suffixes: suffixes.into_iter().map(|(_, text)| text).collect(),
        }
    }
}

impl Matcher for SetAndList {
    fn allows(&self, origin: &[u8]) -> bool {
        let is_below = |suffix: &Vec<u8>| origin.ends_with(suffix);
        self.exact.contains(origin)
            || (origin.starts_with(b"https://") && self.suffixes.iter().any(is_below))
    }
}

struct Regexes(RegexSet);

impl Regexes {
    fn new(rules: &[Rule]) -> Self {
        let regex = |rule: &Rule| {
            let host = regex::escape(&rule.host);
            match rule.kind {
                Kind::Exact => format!("^https://{host}$"),
                Kind::Suffix => format!(r"^https://(?-u:[a-z0-9_-]+\.)+{host}$"),
            }
        };
        let set = RegexSetBuilder::new(rules.iter().map(regex))
            .size_limit(REGEX_BYTES_MAX)
            .dfa_size_limit(REGEX_BYTES_MAX)
            .build();
        Self(set.expect("regexes that fit"))
    }
}

impl Matcher for Regexes {
    fn allows(&self, origin: &[u8]) -> bool {
        self.0.is_match(origin)
    }
}

/// Hosts from their last byte to their first, equal beginnings shared.
struct Radix(Vec<Node>);

#[derive(Default)]
struct Node {
    edge: Vec<u8>,
    /// By the first byte of the child's edge.
    children: Vec<(u8, usize)>,
    whole: bool,
    below: bool,
}

impl Radix {
    fn new(rules: &[Rule]) -> Self {
        let mut tree = Self(vec![Node::default()]);
        for rule in rules {
            let reversed: Vec<u8> = rule.host.bytes().rev().collect();
            let node = tree.place(&reversed);
            match rule.kind {
                Kind::Exact => tree.0[node].whole = true,
                Kind::Suffix => tree.0[node].below = true,
            }
        }
        tree
    }

    /// The node at the end of this text, made when there is none.
    fn place(&mut self, mut text: &[u8]) -> usize {
        let mut node = 0;
        while let Some(&first) = text.first() {
            let found = self.0[node]
                .children
                .binary_search_by_key(&first, |child| child.0);
            let child = match found {
                Ok(at) => self.0[node].children[at].1,
                Err(at) => {
                    let child = self.add(text.to_vec());
                    self.0[node].children.insert(at, (first, child));
                    return child;
                }
            };
            let edge = &self.0[child].edge;
            let shared = edge.iter().zip(text).take_while(|(a, b)| a == b).count();
            if shared < edge.len() {
                // The child's later part moves one level down.
                let later = self.0[child].edge.split_off(shared);
                let moved = self.add(later.clone());
                self.0.swap(child, moved);
                let edge = core::mem::replace(&mut self.0[moved].edge, later.clone());
                self.0[child].edge = edge;
                self.0[child].children = vec![(later[0], moved)];
            }
            text = &text[shared..];
            node = child;
        }
        node
    }

    fn add(&mut self, edge: Vec<u8>) -> usize {
        self.0.push(Node {
            edge,
            ..Node::default()
        });
        self.0.len() - 1
    }
}

impl Matcher for Radix {
    fn allows(&self, origin: &[u8]) -> bool {
        let Some(mut host) = origin.strip_prefix(b"https://") else {
            return false;
        };
        let mut node = &self.0[0];
        loop {
            match host.last() {
                None => return node.whole,
                Some(b'.') if node.below && host.len() > 1 => return true,
                Some(last) => {
                    let found = node.children.binary_search_by_key(last, |child| child.0);
                    let Ok(at) = found else {
                        return false;
                    };
                    node = &self.0[node.children[at].1];
                    let Some(at) = host.len().checked_sub(node.edge.len()) else {
                        return false;
                    };
                    let (rest, end) = host.split_at(at);
                    if !end.iter().rev().eq(&node.edge) {
                        return false;
                    }
                    host = rest;
                }
            }
        }
    }
}

fn lookup(criterion: &mut Criterion) {
    for shape in ["exact", "suffix", "mixed"] {
        for size in SIZES {
            let rules = rules(shape, size);
            let spread = |at: usize| &rules[at.wrapping_mul(0x9e37_79b9) % size];
            let members: Vec<Vec<u8>> = (0..ORIGINS).map(|at| spread(at).member()).collect();
            let strangers: Vec<Vec<u8>> = (0..ORIGINS).map(|at| spread(at).stranger()).collect();
            let mut ways: Vec<(&str, Box<dyn Matcher>)> = vec![
                ("corsair", Box::new(Ours::new(&rules))),
                ("radix tree", Box::new(Radix::new(&rules))),
                ("hash set and list", Box::new(SetAndList::new(&rules))),
                ("scan", Box::new(Scan::new(&rules))),
            ];
            if size <= REGEXES_MAX {
                ways.push(("regex set", Box::new(Regexes::new(&rules))));
            }
            for (name, way) in &ways {
                let name = format!("{shape} {size} {name}");
                assert!(members.iter().all(|own| way.allows(own)), "{name}");
                assert!(!strangers.iter().any(|own| way.allows(own)), "{name}");
            }
            for (answer, origins) in [("hit", &members), ("miss", &strangers)] {
                let mut group = criterion.benchmark_group(format!("origin/{shape}/{answer}"));
                group
                    .sample_size(20)
                    .warm_up_time(Duration::from_millis(100))
                    .measurement_time(Duration::from_millis(400));
                for (name, way) in &ways {
                    let mut next = 0;
                    group.bench_function(BenchmarkId::new(*name, size), |bencher| {
                        bencher.iter(|| {
                            next = (next + 1) % ORIGINS;
                            way.allows(black_box(&origins[next]))
                        });
                    });
                }
                group.finish();
            }
        }
    }
}

#[expect(
    clippy::print_stdout,
    reason = "a figure of the bench's report, as criterion's are"
)]
fn compilation(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("origin/compile");
    group
        .sample_size(10)
        .warm_up_time(Duration::from_millis(100))
        .measurement_time(Duration::from_millis(1_000));
    for shape in ["exact", "suffix", "mixed"] {
        for size in [1_000, 100_000] {
            let rules = rules(shape, size);
            let patterns = parse(&rules);
            let set = OriginSet::compile(&patterns);
            let beyond_text = set.table_bytes() as f64 / size as f64;
            println!("{shape} {size}: {beyond_text:.1} bytes a pattern beside its text");
            assert!(beyond_text <= 64.0, "the bound of the memory budget");
            group.bench_function(
                BenchmarkId::new(format!("{shape}/corsair"), size),
                |bencher| {
                    bencher.iter(|| OriginSet::compile(black_box(&patterns)));
                },
            );
            group.bench_function(
                BenchmarkId::new(format!("{shape}/radix tree"), size),
                |bencher| bencher.iter(|| Radix::new(black_box(&rules)).0.len()),
            );
        }
    }
    group.finish();
}

criterion_group!(benches, lookup, compilation);
criterion_main!(benches);
