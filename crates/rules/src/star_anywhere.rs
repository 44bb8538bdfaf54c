//! Star-anywhere patterns of dialect `s3`: `prefix*suffix`, many at once.
//!
//! Each pattern is entered into one Aho-Corasick automaton by its rarer literal; what the automaton
//! reports is then verified: the literal must stand at its end of the value, the other literal at
//! the other end, and at least one byte between them (the meaning that AWS-tested clones of S3
//! give the star). The value must also be a serialized origin (Fetch §3.2): the star is echoed.
//! Never allocates on lookup.

use crate::origin_pattern::OriginPattern;
use crate::web_origin::{ORIGIN_BYTES_MAX, WebOrigin};
use aho_corasick::{AhoCorasick, MatchKind, automaton::OverlappingState};
use core::mem::size_of;
use std::collections::BTreeMap;

/// Which literal of a pattern the automaton looks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Side {
    Prefix,
    Suffix,
}

/// One pattern on its way in.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Literals<'a> {
    pub(crate) pattern: u32,
    pub(crate) prefix: &'a str,
    pub(crate) suffix: &'a str,
}

#[derive(Debug, Clone)]
struct Candidate {
    pattern: u32,
    prefix: Box<str>,
    suffix: Box<str>,
}

impl Candidate {
    fn allows(&self, origin: &[u8]) -> bool {
        // More than, not at least: the star covers one byte or more, so the literals cannot
        // overlap.
        origin.len() > self.prefix.len() + self.suffix.len()
            && origin.starts_with(self.prefix.as_bytes())
            && origin.ends_with(self.suffix.as_bytes())
    }
}

/// The candidates of one literal, lowest pattern first.
#[derive(Debug, Clone, Copy)]
struct Group {
    side: Side,
    first: u32,
    end: u32,
}

#[derive(Debug, Clone)]
pub(crate) struct StarAnywhere {
    /// `None` when the only pattern has no literal at all.
    automaton: Option<AhoCorasick>,
    /// By the automaton's pattern number.
    groups: Vec<Group>,
    candidates: Vec<Candidate>,
    /// A pattern without literals: any serialized origin.
    bare: Option<u32>,
}

impl StarAnywhere {
    /// Compiles the patterns; `None` when there are none.
    pub(crate) fn compile(patterns: &[Literals<'_>]) -> Option<Self> {
        if patterns.is_empty() {
            return None;
        }
        let mut counts: BTreeMap<(Side, &str), u32> = BTreeMap::new();
        for pattern in patterns {
            *counts.entry((Side::Prefix, pattern.prefix)).or_default() += 1;
            *counts.entry((Side::Suffix, pattern.suffix)).or_default() += 1;
        }
        let mut bare = None;
        let mut entries: Vec<(&str, Side, &Literals<'_>)> = Vec::with_capacity(patterns.len());
        for pattern in patterns {
            let prefix_count = counts[&(Side::Prefix, pattern.prefix)];
            let suffix_count = counts[&(Side::Suffix, pattern.suffix)];
            // The rarer literal has fewer candidates to verify; of equals, the longer is met less.
            let by_prefix = (
                !pattern.prefix.is_empty(),
                u32::MAX - prefix_count,
                pattern.prefix.len(),
            );
            let by_suffix = (
                !pattern.suffix.is_empty(),
                u32::MAX - suffix_count,
                pattern.suffix.len(),
            );
            match by_prefix.max(by_suffix) {
                (false, _, _) => bare = bare.or(Some(pattern.pattern)),
                best if best == by_prefix => entries.push((pattern.prefix, Side::Prefix, pattern)),
                _ => entries.push((pattern.suffix, Side::Suffix, pattern)),
            }
        }
        entries.sort_by_key(|(literal, side, pattern)| (*literal, *side, pattern.pattern));
        let mut literals: Vec<&str> = Vec::new();
        let mut groups = Vec::new();
        let mut candidates = Vec::with_capacity(entries.len());
        for group in entries.chunk_by(|a, b| (a.0, a.1) == (b.0, b.1)) {
            let first = as_u32(candidates.len());
            candidates.extend(group.iter().map(|(_, _, pattern)| Candidate {
                pattern: pattern.pattern,
                prefix: pattern.prefix.into(),
                suffix: pattern.suffix.into(),
            }));
            literals.push(group[0].0);
            groups.push(Group {
                side: group[0].1,
                first,
                end: as_u32(candidates.len()),
            });
        }
        let automaton = (!literals.is_empty()).then(|| build_automaton(&literals));
        Some(Self {
            automaton,
            groups,
            candidates,
            bare,
        })
    }

    /// The lowest pattern that allows this value.
    pub(crate) fn find(&self, origin: &[u8]) -> Option<u32> {
        if origin.len() > ORIGIN_BYTES_MAX {
            return None;
        }
        let mut best = self.bare.unwrap_or(u32::MAX);
        if let Some(automaton) = &self.automaton {
            let mut state = OverlappingState::start();
            loop {
                automaton.find_overlapping(origin, &mut state);
                let Some(found) = state.get_match() else {
                    break;
                };
                let group = self.groups[found.pattern().as_usize()];
                let in_place = match group.side {
                    Side::Prefix => found.start() == 0,
                    Side::Suffix => found.end() == origin.len(),
                };
                if in_place {
                    best = self.lowest_in(group, origin, best);
                }
            }
        }
        (best != u32::MAX && WebOrigin::parse(origin).is_ok()).then_some(best)
    }

    fn lowest_in(&self, group: Group, origin: &[u8], best: u32) -> u32 {
        self.candidates[group.first as usize..group.end as usize]
            .iter()
            .take_while(|candidate| candidate.pattern < best)
            .find(|candidate| candidate.allows(origin))
            .map_or(best, |candidate| candidate.pattern)
    }

    /// The patterns, read back.
    pub(crate) fn patterns(&self) -> impl Iterator<Item = (u32, OriginPattern)> {
        let bare = self.bare.map(|pattern| {
            (
                pattern,
                OriginPattern::StarAnywhere {
                    prefix: "".into(),
                    suffix: "".into(),
                },
            )
        });
        let restore = |candidate: &Candidate| {
            let (prefix, suffix) = (candidate.prefix.clone(), candidate.suffix.clone());
            (
                candidate.pattern,
                OriginPattern::StarAnywhere { prefix, suffix },
            )
        };
        bare.into_iter().chain(self.candidates.iter().map(restore))
    }

    pub(crate) fn heap_bytes(&self) -> usize {
        let literals: usize = self
            .candidates
            .iter()
            .map(|candidate| candidate.prefix.len() + candidate.suffix.len())
            .sum();
        self.automaton.as_ref().map_or(0, AhoCorasick::memory_usage)
            + self.groups.capacity() * size_of::<Group>()
            + self.candidates.capacity() * size_of::<Candidate>()
            + literals
    }
}

fn build_automaton(literals: &[&str]) -> AhoCorasick {
    AhoCorasick::builder()
        .match_kind(MatchKind::Standard)
        .build(literals)
        .expect("literals are bounded by the length of an origin, far below the automaton's limits")
}

fn as_u32(count: usize) -> u32 {
    u32::try_from(count).expect("fewer than 2^32 patterns")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(patterns: &[&str], origin: &str, expected: Option<u32>) {
        let literals: Vec<Literals<'_>> = (0u32..)
            .zip(patterns)
            .map(|(pattern, text)| {
                let (prefix, suffix) = text.split_once('*').expect("a star");
                Literals {
                    pattern,
                    prefix,
                    suffix,
                }
            })
            .collect();
        let compiled = StarAnywhere::compile(&literals).expect("patterns");
        assert_eq!(
            compiled.find(origin.as_bytes()),
            expected,
            "{patterns:?} on {origin}"
        );
        assert_eq!(compiled.patterns().count(), patterns.len());
    }

    #[test]
    fn star_anywhere() {
        let app = &["https://app-*.example.com"];
        check(app, "https://app-1.example.com", Some(0));
        check(app, "https://app-a.b.example.com", Some(0));
        check(app, "https://app-.example.com", None);
        check(app, "https://app-1.example.com.evil.net", None);
        check(app, "xhttps://app-1.example.com", None);
        check(app, "https://app-1.example.com:8443", None);
        check(app, "https://app-1/.example.com", None);
        check(app, "https://app-1..example.com", None);
        check(app, "https://app-@.example.com", None);
        check(&["http://localhost:*"], "http://localhost:3000", Some(0));
        check(&["http://localhost:*"], "http://localhost:evil", None);
        check(&["http://localhost:*"], "http://localhost:80", None);
        check(&["h*"], "https://anything.example", Some(0));
        check(&["h*"], "h", None);
        check(&["*"], "https://anything.example", Some(0));
        check(&["*"], "null", None);
        check(&["*.net", "https://a*", "*"], "https://a.net", Some(0));
        check(&["*.org", "*", "https://a*"], "https://a.net", Some(1));
        check(
            &["https://*.net", "https://*.com", "https://*.org"],
            "https://x.org",
            Some(2),
        );
        // Prefix and suffix may not share bytes of the value.
        check(&["https://aba*ba.com"], "https://aba.com", None);
        check(&["https://aba*ba.com"], "https://ababa.com", None);
        check(&["https://aba*ba.com"], "https://abaXba.com", None);
        check(&["https://aba*ba.com"], "https://abaxba.com", Some(0));
    }
}
