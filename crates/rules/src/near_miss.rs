//! Why an `Origin` is not granted: the nearest patterns, and what differs.
//!
//! For people, not for requests: linear in the number of patterns, and it allocates. What it says
//! is true of the compiled set, because it reads the patterns back from it.

mod literals;

use crate::origin_pattern::{OriginPattern, OriginRule, PortRule, SchemeRule};
use crate::origin_set::OriginSet;
use crate::web_origin::{NotSerialized, WebOrigin};
use core::fmt;

/// What [`OriginSet::explain`] found out about a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OriginExplanation {
    /// The pattern with this index decides.
    Matched {
        /// Its index.
        rule: u32,
    },
    /// No browser sends this value.
    NotSerialized {
        /// Why not.
        reason: NotSerialized,
        /// What a browser would send for it and the pattern that allows that, when one does.
        meant: Option<(String, u32)>,
    },
    /// An origin, but no pattern allows it; the nearest ones, nearest first.
    NotListed {
        /// At most as many as asked for; empty when nothing is near.
        nearest: Vec<NearMiss>,
    },
}

/// A pattern that nearly allows an origin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NearMiss {
    /// Its index.
    pub rule: u32,
    /// The pattern, read back from the compiled set.
    pub pattern: OriginPattern,
    /// What keeps it from allowing the origin.
    pub difference: Difference,
}

/// What differs, in the order of nearness.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Difference {
    /// Only the port.
    Port {
        /// The origin's.
        given: Option<u16>,
    },
    /// Only the scheme.
    Scheme {
        /// The origin's.
        given: String,
    },
    /// The origin is the name under which a `*.` begins.
    Apex,
    /// The origin is a name below an exact one.
    Below,
    /// Scheme and port.
    SchemeAndPort,
    /// The host ends like the pattern's, but not at a dot.
    NotAtDot,
    /// Both literals of a star-anywhere pattern are there, with nothing between them.
    NothingForStar,
    /// A literal of a star-anywhere pattern is not there; at least one of the two.
    Literals {
        /// How many bytes of both literals do not agree; fewer is nearer.
        other_bytes: usize,
        /// What must stand before the star, when it does not.
        begin: Option<LiteralMiss>,
        /// What must stand behind it, likewise.
        end: Option<LiteralMiss>,
    },
    /// The last label differs and nothing else does, so that no end agrees.
    LastLabel {
        /// The origin's.
        given: String,
    },
    /// Another host with the same end.
    Host {
        /// How many labels from the right do not agree, of the pattern's; fewer is nearer.
        other_labels: usize,
        /// How many agree.
        same_labels: usize,
    },
}

/// A literal that is not where it must be.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct LiteralMiss {
    /// The pattern's.
    pub wanted: String,
    /// As many bytes of the origin, from the same end.
    pub given: String,
}

impl fmt::Display for LiteralMiss {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "`{}` where `{}` is wanted", self.given, self.wanted)
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Port { given: Some(port) } => write!(out, "port {port} is not listed"),
            Self::Port { given: None } => out.write_str("the default port is not listed"),
            Self::Scheme { given } => write!(out, "the scheme differs: `{given}` is not listed"),
            Self::Apex => out.write_str("the apex is not covered by `*.`; list it as well"),
            Self::Below => out.write_str("names below are not covered; write `*.` before the host"),
            Self::SchemeAndPort => out.write_str("scheme and port differ"),
            Self::NotAtDot => out.write_str("the host ends alike, but `*.` covers whole labels"),
            Self::NothingForStar => {
                out.write_str("nothing is left for `*`, which stands for one character or more")
            }
            Self::Literals { begin, end, .. } => match (begin, end) {
                (Some(begin), Some(end)) => {
                    write!(out, "beginning and end differ: {begin}, and {end}")
                }
                (Some(begin), None) => write!(out, "the beginning differs: {begin}"),
                (None, Some(end)) => write!(out, "the end differs: {end}"),
                (None, None) => out.write_str("it differs"),
            },
            Self::LastLabel { given } => {
                write!(out, "another host: only the end `.{given}` differs")
            }
            Self::Host { same_labels, .. } => {
                write!(out, "another host; the last {same_labels} labels agree")
            }
        }
    }
}

impl OriginSet {
    /// Why this value is granted or not, with at most `limit` near misses.
    ///
    /// ```
    /// use corsair_rules::{Dialect, OriginExplanation, OriginPattern, OriginSet};
    /// let pattern = OriginPattern::parse("https://*.example.com", Dialect::Native).unwrap().0;
    /// let set = OriginSet::compile(&[pattern]);
    /// let OriginExplanation::NotListed { nearest } = set.explain(b"https://example.com", 3) else {
    ///     panic!("the apex is not listed");
    /// };
    /// assert!(nearest[0].difference.to_string().contains("apex"));
    /// ```
    #[must_use]
    pub fn explain(&self, value: &[u8], limit: usize) -> OriginExplanation {
        if let Some(rule) = self.find(value) {
            return OriginExplanation::Matched { rule };
        }
        let origin = match WebOrigin::parse(value) {
            Ok(origin) => origin,
            Err(reason) => {
                let meant = canonical_form(value)
                    .and_then(|text| Some((self.find(text.as_bytes())?, text)))
                    .map(|(rule, text)| (text, rule));
                return OriginExplanation::NotSerialized { reason, meant };
            }
        };
        let mut nearest: Vec<NearMiss> = self
            .patterns()
            .filter_map(|(rule, pattern)| {
                let difference = difference(&pattern, &origin)?;
                Some(NearMiss {
                    rule,
                    pattern,
                    difference,
                })
            })
            .collect();
        nearest.sort_by(|a, b| (&a.difference, a.rule).cmp(&(&b.difference, b.rule)));
        nearest.truncate(limit);
        OriginExplanation::NotListed { nearest }
    }
}

/// What a browser would send for a value that a person or a client wrote in another form.
fn canonical_form(value: &[u8]) -> Option<String> {
    let text = core::str::from_utf8(value)
        .ok()?
        .trim()
        .to_ascii_lowercase();
    let (scheme, rest) = text.split_once("://")?;
    let rest = rest.split(['/', '?', '#']).next()?;
    let (host, port) = match rest.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (rest, None),
    };
    let host = host.strip_suffix('.').unwrap_or(host);
    let default = matches!(
        (scheme, port),
        ("http", Some("80")) | ("https", Some("443"))
    );
    let canonical = match port.filter(|_| !default) {
        Some(port) => format!("{scheme}://{host}:{port}"),
        None => format!("{scheme}://{host}"),
    };
    WebOrigin::parse(canonical.as_bytes())
        .is_ok()
        .then_some(canonical)
}

/// What keeps `pattern` from allowing `origin`; `None` when it is not near.
fn difference(pattern: &OriginPattern, origin: &WebOrigin<'_>) -> Option<Difference> {
    match pattern {
        OriginPattern::Star | OriginPattern::Null => None,
        OriginPattern::StarAnywhere { prefix, suffix } => {
            literals::difference(prefix, suffix, origin)
        }
        OriginPattern::Exact(rule) if *rule.host == *origin.host => Some(other_parts(rule, origin)),
        OriginPattern::Exact(rule) if is_below(origin.host, &rule.host) => {
            parts_agree(rule, origin).then_some(Difference::Below)
        }
        OriginPattern::Suffix(rule) if is_below(origin.host, &rule.host) => {
            Some(other_parts(rule, origin))
        }
        OriginPattern::Suffix(rule) if *rule.host == *origin.host => {
            parts_agree(rule, origin).then_some(Difference::Apex)
        }
        OriginPattern::Suffix(rule) if origin.host.ends_with(&*rule.host) => {
            Some(Difference::NotAtDot)
        }
        OriginPattern::Exact(rule) | OriginPattern::Suffix(rule) => other_host(rule, origin),
    }
}

fn is_below(host: &str, apex: &str) -> bool {
    host.strip_suffix(apex)
        .is_some_and(|rest| rest.ends_with('.'))
}

fn parts_agree(rule: &OriginRule, origin: &WebOrigin<'_>) -> bool {
    rule.scheme.allows(origin.scheme) && rule.allows_port(origin.scheme, origin.port)
}

/// The host fits; scheme or port do not.
fn other_parts(rule: &OriginRule, origin: &WebOrigin<'_>) -> Difference {
    let port_fits = match rule.port {
        PortRule::Any => true,
        // With another scheme the port is compared as the origin wrote it.
        PortRule::Absent | PortRule::Exact(_) => rule.allows_port(origin.scheme, origin.port),
    };
    match (rule.scheme.allows(origin.scheme), port_fits) {
        (true, _) => Difference::Port { given: origin.port },
        (false, true) => Difference::Scheme {
            given: origin.scheme.to_owned(),
        },
        (false, false) => Difference::SchemeAndPort,
    }
}

/// Hosts whose last two labels or more agree, or all but the last.
fn other_host(rule: &OriginRule, origin: &WebOrigin<'_>) -> Option<Difference> {
    let schemes_are_web = match rule.scheme {
        SchemeRule::Http | SchemeRule::Https | SchemeRule::HttpOrHttps => true,
        SchemeRule::Custom(_) => rule.scheme.allows(origin.scheme),
    };
    let own = rule.host.rsplit('.');
    let same_labels = own
        .clone()
        .zip(origin.host.rsplit('.'))
        .take_while(|(a, b)| a == b)
        .count();
    let other_labels = own.count() - same_labels;
    if let (Some((rest, last)), Some((own_rest, _))) =
        (origin.host.rsplit_once('.'), rule.host.rsplit_once('.'))
        && rest == own_rest
        && parts_agree(rule, origin)
    {
        let given = last.to_owned();
        return Some(Difference::LastLabel { given });
    }
    let is_near = schemes_are_web && same_labels >= 2;
    is_near.then_some(Difference::Host {
        other_labels,
        same_labels,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::origin_pattern::Dialect;

    fn set() -> OriginSet {
        let patterns = [
            "https://*.example.com",
            "https://app.example.org",
            "http://localhost:3000",
            "http://localhost:3001",
            "https://deep.app.example.net",
            "*://both.example:8443",
            "null",
        ];
        let parse = |text: &&str| {
            OriginPattern::parse(text, Dialect::Native)
                .expect("valid")
                .0
        };
        OriginSet::compile(&patterns.iter().map(parse).collect::<Vec<_>>())
    }

    fn check(value: &str, expected: &[(u32, Difference)]) {
        let OriginExplanation::NotListed { nearest } = set().explain(value.as_bytes(), 2) else {
            panic!("{value} is an origin that is not listed");
        };
        let got: Vec<_> = nearest
            .into_iter()
            .map(|near| (near.rule, near.difference))
            .collect();
        assert_eq!(got, expected, "{value}");
    }

    #[test]
    fn what_differs() {
        use Difference::{Apex, Below, Host, NotAtDot, Port, Scheme, SchemeAndPort};
        check("https://example.com", &[(0, Apex)]);
        check(
            "https://a.example.com:8443",
            &[(0, Port { given: Some(8443) })],
        );
        check(
            "http://a.example.com",
            &[(
                0,
                Scheme {
                    given: "http".into(),
                },
            )],
        );
        check("http://a.example.com:81", &[(0, SchemeAndPort)]);
        check("https://evilexample.com", &[(0, NotAtDot)]);
        check("https://x.app.example.org", &[(1, Below)]);
        let port = |given| Port { given };
        check("http://localhost", &[(2, port(None)), (3, port(None))]);
        check(
            "https://localhost:3001",
            &[
                (
                    3,
                    Scheme {
                        given: "https".into(),
                    },
                ),
                (2, SchemeAndPort),
            ],
        );
        check(
            "https://www.example.org",
            &[(
                1,
                Host {
                    other_labels: 1,
                    same_labels: 2,
                },
            )],
        );
        check("https://both.example", &[(5, port(None))]);
        let given = |text: &str| Difference::LastLabel { given: text.into() };
        check("https://app.example.test", &[(1, given("test"))]);
        check("https://stranger.test", &[]);
    }

    #[test]
    fn what_a_browser_would_have_sent() {
        let meant = |value: &str| match set().explain(value.as_bytes(), 1) {
            OriginExplanation::NotSerialized { meant, .. } => meant.map(|(text, _)| text),
            other => panic!("{value}: {other:?}"),
        };
        let app = Some("https://app.example.org".to_owned());
        for value in [
            "https://App.Example.org",
            "https://app.example.org/",
            "https://app.example.org.",
            "https://app.example.org:443",
            "HTTPS://app.example.org/path?x",
        ] {
            assert_eq!(meant(value), app, "{value}");
        }
        assert_eq!(meant("https://app.example.org:"), None);
        assert_eq!(meant("junk"), None);
        assert_eq!(
            set().explain(b"null", 1),
            OriginExplanation::Matched { rule: 6 }
        );
        let matched = set().explain(b"https://x.example.com", 1);
        assert_eq!(matched, OriginExplanation::Matched { rule: 0 });
    }
}
