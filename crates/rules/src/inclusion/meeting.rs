//! An origin that two sets of patterns both allow and a third does not: how far two policies meet beyond
//! those that are tried before them.
//!
//! Exact, as inclusion is. Two plain patterns meet in plain patterns (one host or the names below one, one
//! scheme, one port or all), and whether those are in the third set is a question of inclusion. Where
//! a star-anywhere pattern takes part, samples come first and the automaton of `language.rs` last. Plain
//! patterns find each other by host, so two lists of a hundred thousand meet in linear time.

use super::language::{Language, Verdict};
use super::{Outside, PatternSpace, Ports, schemes_of, written_port};
use crate::origin_pattern::{OriginPattern, OriginRule, PortRule, SchemeRule};
use std::collections::HashMap;

/// Most steps of all exact searches for one question; beyond them the answer is [`Outside::Undecided`].
const STEPS_MAX: usize = 2_000_000;

impl PatternSpace {
    /// A value that this set and `other` allow and `without` does not.
    ///
    /// ```
    /// use corsair_rules::{Dialect, OriginPattern, Outside, PatternSpace};
    /// let space = |text| PatternSpace::new(vec![OriginPattern::parse(text, Dialect::S3).unwrap().0]);
    /// let (apps, tests) = (space("https://app-*"), space("https://*.test"));
    /// let met = apps.meeting(&tests, &PatternSpace::new(Vec::new()));
    /// assert!(matches!(met, Outside::Witness(text) if text.starts_with("https://app-")));
    /// assert_eq!(apps.meeting(&tests, &space("https://app*")), Outside::Nothing);
    /// ```
    #[must_use]
    pub fn meeting(&self, other: &Self, without: &Self) -> Outside {
        let is_met =
            |text: &str| self.contains(text) && other.contains(text) && !without.contains(text);
        let samples = self.samples().chain(other.samples());
        if let Some(text) = samples.into_iter().flatten().find(|text| is_met(text)) {
            return Outside::Witness(text);
        }
        let mut steps = STEPS_MAX;
        let mut verdict = Outside::Nothing;
        for (one, another) in self.pairs_that_may_meet(other) {
            let found = match meet(one, another) {
                Meeting::Patterns(patterns) => {
                    let looked = patterns.iter().map(|pattern| without.outside(pattern));
                    looked.reduce(worse).unwrap_or(Outside::Nothing)
                }
                Meeting::Search => {
                    let language = Language::of_both(one, another, without.patterns());
                    match language.search(is_met, &mut steps) {
                        Verdict::Empty => Outside::Nothing,
                        Verdict::Word(word) => Outside::Witness(word),
                        Verdict::GivenUp => Outside::Undecided,
                    }
                }
            };
            match found {
                Outside::Witness(_) => return found,
                Outside::Undecided => verdict = found,
                Outside::Nothing => {}
            }
        }
        verdict
    }

    /// One value of each pattern.
    fn samples(&self) -> impl Iterator<Item = Option<String>> {
        let nothing = Self::new(Vec::new());
        self.patterns
            .iter()
            .map(move |pattern| match nothing.outside(pattern) {
                Outside::Witness(text) => Some(text),
                Outside::Nothing | Outside::Undecided => None,
            })
    }

    /// Pairs of patterns of both sets that may allow one value; plain ones by their hosts.
    fn pairs_that_may_meet<'s>(
        &'s self,
        other: &'s Self,
    ) -> impl Iterator<Item = (&'s OriginPattern, &'s OriginPattern)> {
        let (own, others) = (ByHost::of(&self.patterns), ByHost::of(&other.patterns));
        let mut pairs = Vec::new();
        for one in &self.patterns {
            pairs.extend(others.at_or_above(one).map(|another| (one, another)));
        }
        for another in &other.patterns {
            // Those at the same host are there already.
            pairs.extend(own.above(another).map(|one| (one, another)));
        }
        pairs.into_iter()
    }
}

/// The stronger statement: a witness, else that it is not known.
fn worse(one: Outside, other: Outside) -> Outside {
    match (one, other) {
        (Outside::Witness(text), _) | (_, Outside::Witness(text)) => Outside::Witness(text),
        (Outside::Undecided, _) | (_, Outside::Undecided) => Outside::Undecided,
        (Outside::Nothing, Outside::Nothing) => Outside::Nothing,
    }
}

/// Patterns by host, and those without one.
struct ByHost<'p> {
    hosts: HashMap<&'p str, Vec<&'p OriginPattern>>,
    hostless: Vec<&'p OriginPattern>,
}

impl<'p> ByHost<'p> {
    fn of(patterns: &'p [OriginPattern]) -> Self {
        let mut table = Self {
            hosts: HashMap::new(),
            hostless: Vec::new(),
        };
        for pattern in patterns {
            match rule_of(pattern) {
                Some(rule) => table.hosts.entry(&rule.host).or_default().push(pattern),
                None => table.hostless.push(pattern),
            }
        }
        table
    }

    /// Patterns whose host is this one's or above it, and those without a host; all of them for a
    /// pattern without a host.
    fn at_or_above<'t>(
        &'t self,
        pattern: &'t OriginPattern,
    ) -> Box<dyn Iterator<Item = &'p OriginPattern> + 't> {
        match rule_of(pattern) {
            Some(rule) => {
                let at = self.hosts.get(&*rule.host).into_iter().flatten().copied();
                Box::new(
                    at.chain(self.above(pattern))
                        .chain(self.hostless.iter().copied()),
                )
            }
            None => {
                let hosted = self.hosts.values().flatten().copied();
                Box::new(hosted.chain(self.hostless.iter().copied()))
            }
        }
    }

    /// Patterns whose host is above this one's.
    fn above<'t>(
        &'t self,
        pattern: &'t OriginPattern,
    ) -> impl Iterator<Item = &'p OriginPattern> + 't {
        let parent = |host: &'t str| host.split_once('.').map(|(_, parent)| parent);
        let host = rule_of(pattern).map(|rule| &*rule.host);
        let hosts = core::iter::successors(host.and_then(parent), move |host| parent(host));
        hosts
            .filter_map(|host| self.hosts.get(host))
            .flatten()
            .copied()
    }
}

fn rule_of(pattern: &OriginPattern) -> Option<&OriginRule> {
    match pattern {
        OriginPattern::Exact(rule) | OriginPattern::Suffix(rule) => Some(rule),
        OriginPattern::Star | OriginPattern::Null | OriginPattern::StarAnywhere { .. } => None,
    }
}

/// What two patterns have in common.
enum Meeting {
    /// The values of these patterns.
    Patterns(Vec<OriginPattern>),
    /// To be searched for.
    Search,
}

fn meet(one: &OriginPattern, other: &OriginPattern) -> Meeting {
    use OriginPattern::{Exact, Null, Star, StarAnywhere, Suffix};
    let nothing = || Meeting::Patterns(Vec::new());
    match (one, other) {
        (Star, pattern) | (pattern, Star) => Meeting::Patterns(vec![pattern.clone()]),
        (Null, Null) => Meeting::Patterns(vec![Null]),
        (Null, _) | (_, Null) => nothing(),
        (StarAnywhere { .. }, StarAnywhere { .. }) if one == other => {
            Meeting::Patterns(vec![one.clone()])
        }
        (StarAnywhere { .. }, _) | (_, StarAnywhere { .. }) => Meeting::Search,
        (Exact(rule), Exact(other)) if rule.host == other.host => {
            Meeting::Patterns(meet_rules(rule, other).map(Exact).collect())
        }
        (Exact(rule), Suffix(above)) | (Suffix(above), Exact(rule)) if is_below(rule, above) => {
            Meeting::Patterns(meet_rules(rule, above).map(Exact).collect())
        }
        (Suffix(rule), Suffix(above)) if rule.host == above.host || is_below(rule, above) => {
            Meeting::Patterns(meet_rules(rule, above).map(Suffix).collect())
        }
        (Suffix(above), Suffix(rule)) if is_below(rule, above) => {
            Meeting::Patterns(meet_rules(rule, above).map(Suffix).collect())
        }
        (Exact(_) | Suffix(_), Exact(_) | Suffix(_)) => nothing(),
    }
}

fn is_below(rule: &OriginRule, above: &OriginRule) -> bool {
    let rest = rule.host.strip_suffix(&*above.host);
    rest.is_some_and(|rest| rest.ends_with('.'))
}

/// The schemes and ports of both, with the first one's host.
fn meet_rules(rule: &OriginRule, other: &OriginRule) -> impl Iterator<Item = OriginRule> {
    let schemes = schemes_of(&rule.scheme);
    let common = schemes
        .into_iter()
        .filter(|scheme| other.scheme.allows(scheme));
    common.filter_map(|scheme| {
        let ports = (
            written_port(scheme, rule.port),
            written_port(scheme, other.port),
        );
        let port = match ports {
            (Ports::Any, Ports::Any) => PortRule::Any,
            (Ports::One(port), Ports::Any) | (Ports::Any, Ports::One(port)) => port_rule(port),
            (Ports::One(port), Ports::One(own)) if port == own => port_rule(port),
            (Ports::One(_), Ports::One(_)) => return None,
        };
        Some(OriginRule {
            scheme: match scheme {
                "http" => SchemeRule::Http,
                "https" => SchemeRule::Https,
                other => SchemeRule::Custom(other.into()),
            },
            host: rule.host.clone(),
            port,
        })
    })
}

fn port_rule(port: Option<u16>) -> PortRule {
    port.map_or(PortRule::Absent, PortRule::Exact)
}
