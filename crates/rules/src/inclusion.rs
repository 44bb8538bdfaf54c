//! Whether every origin of one pattern is allowed by a set of patterns, and if not, one that is not.
//!
//! Exact for all kinds. A pattern of one origin is asked of the matcher. `:*` and `*.` are first compared
//! with the patterns that could cover them alone, then refuted by sample; what neither settles is decided
//! for plain patterns by counting (a host has 65,536 ports and no more; below a host there are more names
//! than patterns), and where star-anywhere patterns are involved by the automaton of
//! `inclusion/language.rs`. Every witness is verified with the production matcher. Values are serialized
//! origins (Fetch §3.2) and `null`. For reports, never for requests.

mod language;
mod meeting;

use crate::host_name::HOST_BYTES_MAX;
use crate::origin_pattern::{OriginPattern, OriginRule, PortRule, SchemeRule};
use crate::origin_set::OriginSet;
use crate::web_origin::{WebOrigin, default_port};
use language::{Language, STEPS_MAX, Verdict};
use std::collections::{HashMap, HashSet};

/// What [`PatternSpace::outside`] found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outside {
    /// Every value of the pattern is in the set.
    Nothing,
    /// This value of the pattern is not in the set.
    Witness(String),
    /// The search was given up at its bound; to be taken as not included.
    Undecided,
}

/// A set of patterns, prepared for questions of inclusion.
///
/// ```
/// use corsair_rules::{Dialect, OriginPattern, Outside, PatternSpace};
/// let parse = |text| OriginPattern::parse(text, Dialect::Native).unwrap().0;
/// let old = PatternSpace::new(vec![parse("https://*.example.com")]);
/// assert_eq!(old.outside(&parse("https://*.cdn.example.com")), Outside::Nothing);
/// let apex = Outside::Witness("https://example.com".into());
/// assert_eq!(old.outside(&parse("https://example.com")), apex);
/// ```
#[derive(Debug)]
pub struct PatternSpace {
    patterns: Vec<OriginPattern>,
    listed: HashSet<OriginPattern>,
    set: OriginSet,
    /// Scheme and port rules by host.
    exact: HashMap<Box<str>, Vec<(SchemeRule, PortRule)>>,
    suffix: HashMap<Box<str>, Vec<(SchemeRule, PortRule)>>,
    /// Star-anywhere patterns: suffixes by prefix.
    anywhere: HashMap<Box<str>, HashSet<Box<str>>>,
    has_star: bool,
    has_null: bool,
}

impl PatternSpace {
    /// Prepares a set.
    #[must_use]
    pub fn new(patterns: Vec<OriginPattern>) -> Self {
        let mut space = Self {
            set: OriginSet::compile(&patterns),
            listed: patterns.iter().cloned().collect(),
            exact: HashMap::new(),
            suffix: HashMap::new(),
            anywhere: HashMap::new(),
            has_star: false,
            has_null: false,
            patterns: Vec::new(),
        };
        for pattern in &patterns {
            let (table, rule) = match pattern {
                OriginPattern::Star => {
                    space.has_star = true;
                    continue;
                }
                OriginPattern::Null => {
                    space.has_null = true;
                    continue;
                }
                OriginPattern::StarAnywhere { prefix, suffix } => {
                    let suffixes = space.anywhere.entry(prefix.clone()).or_default();
                    suffixes.insert(suffix.clone());
                    continue;
                }
                OriginPattern::Exact(rule) => (&mut space.exact, rule),
                OriginPattern::Suffix(rule) => (&mut space.suffix, rule),
            };
            let rules = table.entry(rule.host.clone()).or_default();
            rules.push((rule.scheme.clone(), rule.port));
        }
        space.patterns = patterns;
        space
    }

    /// The patterns.
    #[must_use]
    pub fn patterns(&self) -> &[OriginPattern] {
        &self.patterns
    }

    /// Whether a value of `Origin` is allowed.
    #[must_use]
    pub fn contains(&self, origin: &str) -> bool {
        self.set.find(origin.as_bytes()).is_some()
    }

    /// A value of `pattern` that is not in the set.
    #[must_use]
    pub fn outside(&self, pattern: &OriginPattern) -> Outside {
        if self.has_star || self.listed.contains(pattern) {
            return Outside::Nothing;
        }
        match pattern {
            OriginPattern::Star => match self.outside_any("", "") {
                Outside::Nothing => self.outside(&OriginPattern::Null),
                found => found,
            },
            OriginPattern::Null if self.has_null => Outside::Nothing,
            OriginPattern::Null => Outside::Witness("null".to_owned()),
            OriginPattern::StarAnywhere { prefix, suffix } => self.outside_any(prefix, suffix),
            OriginPattern::Exact(rule) => {
                self.in_each_scheme(rule, |scheme| self.outside_host(scheme, rule))
            }
            OriginPattern::Suffix(rule) => {
                self.in_each_scheme(rule, |scheme| self.outside_suffix(scheme, rule))
            }
        }
    }

    fn in_each_scheme(&self, rule: &OriginRule, look: impl Fn(&str) -> Outside) -> Outside {
        let found = |scheme| Some(look(scheme)).filter(|found| *found != Outside::Nothing);
        let schemes = schemes_of(&rule.scheme);
        schemes
            .into_iter()
            .find_map(found)
            .unwrap_or(Outside::Nothing)
    }

    /// One host.
    fn outside_host(&self, scheme: &str, rule: &OriginRule) -> Outside {
        let absent_from_set =
            |port| Some(text_of(scheme, &rule.host, port)).filter(|text| !self.contains(text));
        let found = match written_port(scheme, rule.port) {
            Ports::One(port) => absent_from_set(port),
            Ports::Any if self.covers_ports(scheme, &rule.host, HostScope::Itself) => None,
            Ports::Any => all_ports(scheme).find_map(absent_from_set),
        };
        found.map_or(Outside::Nothing, Outside::Witness)
    }

    /// All names below a host.
    fn outside_suffix(&self, scheme: &str, rule: &OriginRule) -> Outside {
        if rule.host.len() + 2 > HOST_BYTES_MAX {
            return Outside::Nothing;
        }
        match written_port(scheme, rule.port) {
            Ports::One(port) => self.outside_names(scheme, &rule.host, port),
            Ports::Any => self.outside_names_and_ports(scheme, &rule.host),
        }
    }

    fn outside_names(&self, scheme: &str, host: &str, port: Option<u16>) -> Outside {
        let tail = text_of("", &format!(".{host}"), port);
        let tail = tail.trim_start_matches("://");
        if self.covers_names(scheme, host, port)
            || self.has_anywhere_over(&format!("{scheme}://"), tail)
        {
            return Outside::Nothing;
        }
        // Without star-anywhere patterns only an exact one covers a name one label down, so one name
        // more than there are patterns finds a witness, or there are no more names.
        let tries = match self.anywhere.is_empty() {
            true => self.patterns.len() + 1,
            false => SAMPLES_MAX,
        };
        let room = HOST_BYTES_MAX - host.len() - 1;
        let text = |label: String| text_of(scheme, &format!("{label}.{host}"), port);
        let witness = labels(room)
            .take(tries)
            .map(text)
            .find(|text| !self.contains(text));
        match witness {
            Some(witness) => Outside::Witness(witness),
            None if self.anywhere.is_empty() => Outside::Nothing,
            None => self.search(&[&[&format!("{scheme}://"), tail]]),
        }
    }

    fn outside_names_and_ports(&self, scheme: &str, host: &str) -> Outside {
        if self.covers_ports(scheme, host, HostScope::Below)
            || self.has_anywhere_over(&format!("{scheme}://"), "")
        {
            return Outside::Nothing;
        }
        let of_port = |port| {
            let found = self.outside_names(scheme, host, port);
            (found != Outside::Nothing).then_some(found)
        };
        if self.anywhere.is_empty() {
            return all_ports(scheme)
                .find_map(of_port)
                .unwrap_or(Outside::Nothing);
        }
        if let Some(Outside::Witness(found)) = all_ports(scheme).take(SAMPLES_MAX).find_map(of_port)
        {
            return Outside::Witness(found);
        }
        let (begin, name, port) = (
            format!("{scheme}://"),
            format!(".{host}"),
            format!(".{host}:"),
        );
        self.search(&[&[&begin, &name], &[&begin, &port, ""]])
    }

    /// All serialized origins that begin and end so, with at least one byte between.
    fn outside_any(&self, prefix: &str, suffix: &str) -> Outside {
        if self.has_anywhere_over(prefix, suffix) {
            return Outside::Nothing;
        }
        let witness = middles(prefix)
            .map(|middle| format!("{prefix}{middle}{suffix}"))
            .find(|text| WebOrigin::parse(text.as_bytes()).is_ok() && !self.contains(text));
        match witness {
            Some(witness) => Outside::Witness(witness),
            None => self.search(&[&[prefix, suffix]]),
        }
    }

    /// The exact search; each alternative is literals with a star between.
    fn search(&self, alternatives: &[&[&str]]) -> Outside {
        let language = Language::new(alternatives, &self.patterns);
        let mut steps = STEPS_MAX;
        match language.search(|text| !self.contains(text), &mut steps) {
            Verdict::Empty => Outside::Nothing,
            Verdict::Word(word) => Outside::Witness(word),
            Verdict::GivenUp => Outside::Undecided,
        }
    }

    /// Whether one star-anywhere pattern covers `prefix*suffix`.
    fn has_anywhere_over(&self, prefix: &str, suffix: &str) -> bool {
        if self.anywhere.is_empty() {
            return false;
        }
        let tails = |own: &HashSet<Box<str>>| {
            (0..=suffix.len())
                .filter(|&at| suffix.is_char_boundary(at))
                .any(|at| own.contains(&suffix[at..]))
        };
        (0..=prefix.len())
            .filter(|&end| prefix.is_char_boundary(end))
            .filter_map(|end| self.anywhere.get(&prefix[..end]))
            .any(tails)
    }

    /// Whether one plain pattern covers every name below `host` with this port.
    fn covers_names(&self, scheme: &str, host: &str, port: Option<u16>) -> bool {
        self.rules_over(host).any(|(own, rule_port)| {
            own.allows(scheme)
                && match written_port(scheme, *rule_port) {
                    Ports::Any => true,
                    Ports::One(own) => own == port,
                }
        })
    }

    /// Whether one plain pattern covers every port of the host, or of every name below it.
    fn covers_ports(&self, scheme: &str, host: &str, scope: HostScope) -> bool {
        let is_wide =
            |(own, port): &(SchemeRule, PortRule)| own.allows(scheme) && *port == PortRule::Any;
        let above = match scope {
            HostScope::Below => host,
            HostScope::Itself => {
                let exact = self.exact.get(host);
                if exact.is_some_and(|rules| rules.iter().any(is_wide)) {
                    return true;
                }
                host.split_once('.').map_or("", |(_, parent)| parent)
            }
        };
        self.rules_over(above).any(is_wide)
    }

    /// The rules of every `*.` at `host` or above it.
    fn rules_over<'s>(&'s self, host: &'s str) -> impl Iterator<Item = &'s (SchemeRule, PortRule)> {
        let hosts = core::iter::successors(Some(host), |host| {
            host.split_once('.').map(|(_, parent)| parent)
        });
        hosts.filter_map(|host| self.suffix.get(host)).flatten()
    }
}

/// Most samples before the exact search.
const SAMPLES_MAX: usize = 64;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum HostScope {
    Itself,
    Below,
}

/// Which ports a rule allows in one scheme, as browsers write them.
enum Ports {
    One(Option<u16>),
    Any,
}

fn written_port(scheme: &str, port: PortRule) -> Ports {
    match port {
        PortRule::Absent => Ports::One(None),
        PortRule::Exact(port) if default_port(scheme) == Some(port) => Ports::One(None),
        PortRule::Exact(port) => Ports::One(Some(port)),
        PortRule::Any => Ports::Any,
    }
}

fn schemes_of(rule: &SchemeRule) -> Vec<&str> {
    match rule {
        SchemeRule::Http => vec!["http"],
        SchemeRule::Https => vec!["https"],
        SchemeRule::HttpOrHttps => vec!["https", "http"],
        SchemeRule::Custom(scheme) => vec![scheme],
    }
}

/// Every port that a browser writes in this scheme, and none; those that people use first.
fn all_ports(scheme: &str) -> impl Iterator<Item = Option<u16>> {
    let default = default_port(scheme);
    [None, Some(8443), Some(8080)]
        .into_iter()
        .chain((0..=u16::MAX).map(Some))
        .filter(move |port| port.is_none() || *port != default)
}

fn text_of(scheme: &str, host: &str, port: Option<u16>) -> String {
    match port {
        Some(port) => format!("{scheme}://{host}:{port}"),
        None => format!("{scheme}://{host}"),
    }
}

/// Labels of at most `room` bytes, each once: a readable one first, then all there are by length.
fn labels(room: usize) -> impl Iterator<Item = String> {
    const BYTES: &[u8; 38] = b"abcdefghijklmnopqrstuvwxyz0123456789-_";
    let numbered = (0usize..).map_while(move |number| {
        let mut rest = number;
        let mut len = 1;
        let mut count = BYTES.len();
        while rest >= count {
            rest -= count;
            len += 1;
            count = count.saturating_mul(BYTES.len());
        }
        let mut label = String::with_capacity(len);
        for _ in 0..len {
            label.push(char::from(BYTES[rest % BYTES.len()]));
            rest /= BYTES.len();
        }
        (len <= room).then_some(label)
    });
    let readable = (room >= 3).then(|| "any".to_owned());
    readable
        .into_iter()
        .chain(numbered.filter(move |label| room < 3 || label != "any"))
}

/// What may stand behind a prefix to make an origin of it.
fn middles(prefix: &str) -> impl Iterator<Item = String> {
    const INSIDE: [&str; 14] = [
        "any",
        "any.example",
        "a",
        "z",
        "0",
        "any.any",
        "-any",
        ".any",
        "any.",
        "any:",
        "8443",
        ":8443",
        "any.example:8443",
        "any:1",
    ];
    let rest = |scheme: &'static str| {
        let rest = scheme.strip_prefix(prefix);
        rest.into_iter().flat_map(|rest| {
            let hosts = ["any.example", "any", "any.example:8443", "a.any.example"];
            hosts.map(|host| format!("{rest}{host}"))
        })
    };
    let mut all: Vec<String> = ["https://", "http://", "any://"]
        .into_iter()
        .flat_map(rest)
        .collect();
    all.extend(INSIDE.map(str::to_owned));
    all.into_iter()
}
