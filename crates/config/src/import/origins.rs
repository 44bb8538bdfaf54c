//! What an origin text of another system means here.

use super::draft::Refusal;
use corsair_rules::{
    CorsPolicies, CorsPolicySpec, Dialect, Lint, OriginPattern, PatternNote, SchemeRule, Severity,
    WebOrigin,
};

/// How a system that compares bytes reads an origin text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Reading {
    /// Ours reads the same in it.
    Alike,
    /// No browser sends an origin that these bytes match.
    Dead {
        why: String,
        /// The pattern that was probably meant.
        meant: Option<String>,
    },
}

/// Reads a text that the old system compares byte by byte with what browsers send.
pub(super) fn read_bytes(text: &str, dialect: Dialect) -> Reading {
    match OriginPattern::parse(text, dialect) {
        Ok((pattern, notes)) => {
            let changed = notes.iter().find(|note| match note {
                PatternNote::Punycode(_)
                | PatternNote::Lowered
                | PatternNote::Ipv6Compressed(_)
                | PatternNote::DefaultPortDropped(_) => true,
                PatternNote::Unescaped | PatternNote::OpenStar => false,
            });
            match changed {
                None if living_sample(&pattern).is_none() => Reading::Dead {
                    why: "no origin that a browser sends fits around the star".to_owned(),
                    meant: nearest(text, dialect),
                },
                None => Reading::Alike,
                Some(note) => Reading::Dead {
                    why: note.to_string(),
                    meant: Some(pattern.to_string()),
                },
            }
        }
        Err(fault) => Reading::Dead {
            why: fault.to_string(),
            meant: nearest(text, dialect),
        },
    }
}

/// The pattern left when what cannot stand in an origin is taken away.
fn nearest(text: &str, dialect: Dialect) -> Option<String> {
    let text = text.trim();
    let behind = text.find("://").map_or(0, |at| at + 3);
    let end = text[behind..]
        .find(['/', '?', '#'])
        .map_or(text.len(), |at| behind + at);
    let with_scheme = |text: &str| match behind {
        0 => format!("https://{text}"),
        _ => text.to_owned(),
    };
    let (pattern, _) = OriginPattern::parse(&with_scheme(&text[..end]), dialect).ok()?;
    Some(pattern.to_string())
}

/// Where an origin may stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Placement {
    /// In the policy as it is.
    Full,
    /// Only in one without credentials.
    WithoutCredentials(Refusal),
    /// In none.
    Refused(Refusal),
}

/// Asks the rules whether `check` would take this origin into the policy.
pub(super) fn place(policy: &CorsPolicySpec, origin: &str) -> Placement {
    let alone = CorsPolicySpec {
        origins: vec![origin.to_owned()],
        dialect: policy.dialect,
        validate: policy.validate,
        credentials: policy.credentials,
        ..CorsPolicySpec::default()
    };
    let Some(refusal) = refusal_of(alone.clone()) else {
        return Placement::Full;
    };
    let open = CorsPolicySpec {
        credentials: false,
        ..alone
    };
    match refusal_of(open) {
        None => Placement::WithoutCredentials(refusal),
        Some(refusal) => Placement::Refused(refusal),
    }
}

fn refusal_of(spec: CorsPolicySpec) -> Option<Refusal> {
    let problems = CorsPolicies::compile(vec![spec]).err()?;
    let is_error = |lint: &&Lint| lint.severity() == Severity::Error;
    let lint = problems
        .iter()
        .map(|problem| &problem.lint)
        .find(is_error)?;
    Some(Refusal {
        message: lint.to_string(),
        remedy: lint.row().remedy,
    })
}

/// An origin as a browser sends it that the pattern allows; the text itself when there is none.
pub(super) fn sample(text: &str, dialect: Dialect) -> String {
    let parsed = OriginPattern::parse(text, dialect).ok();
    let sample = parsed.and_then(|(pattern, _)| living_sample(&pattern));
    sample.unwrap_or_else(|| text.to_owned())
}

/// What a star is filled with, tried in this order.
const FILLERS: [&str; 16] = [
    "shop",
    "https://shop",
    "://shop.example",
    "://shop",
    "shop.example",
    ".example",
    "//shop.example",
    "/shop.example",
    "//shop",
    "/shop",
    "https://",
    "://",
    "8",
    "0.0",
    "[::1]",
    "https",
];

fn living_sample(pattern: &OriginPattern) -> Option<String> {
    match pattern {
        OriginPattern::Star => Some("https://anyone.example".to_owned()),
        OriginPattern::Null => Some("null".to_owned()),
        OriginPattern::Exact(_) => Some(plain_parts(&pattern.to_string())),
        OriginPattern::Suffix(rule) => {
            let scheme = match rule.scheme() {
                SchemeRule::Http => "http",
                SchemeRule::Https | SchemeRule::HttpOrHttps => "https",
                SchemeRule::Custom(scheme) => scheme,
            };
            let text = pattern.to_string();
            let behind = text.split_once("*.").map_or(&*text, |(_, behind)| behind);
            Some(plain_parts(&format!("{scheme}://shop.{behind}")))
        }
        OriginPattern::StarAnywhere { prefix, suffix } => {
            let samples = FILLERS.map(|filler| format!("{prefix}{filler}{suffix}"));
            samples.into_iter().find(|sample| {
                let origin = WebOrigin::parse(sample.as_bytes());
                origin.is_ok_and(|origin| pattern.allows(&origin))
            })
        }
    }
}

/// Open scheme and port of a pattern, filled in.
fn plain_parts(pattern: &str) -> String {
    let scheme = pattern
        .strip_prefix("*://")
        .map(|rest| format!("https://{rest}"));
    let text = scheme.unwrap_or_else(|| pattern.to_owned());
    text.strip_suffix(":*").map_or(text.clone(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_browser_sends_is_dead() {
        let dead = |text: &str| match read_bytes(text, Dialect::S3) {
            Reading::Alike => None,
            Reading::Dead { meant, .. } => Some(meant.unwrap_or_default()),
        };
        let rows: &[(&str, Option<&str>)] = &[
            ("https://a.example", None),
            ("https://*.a.example", None),
            ("*.a.example", None),
            ("https://*", None),
            ("null", None),
            ("https://A.example", Some("https://a.example")),
            ("https://a.example/", Some("https://a.example")),
            ("https://a.example:443", Some("https://a.example")),
            ("https://*.a.example:443", Some("https://*.a.example")),
            (
                "https://b\u{fc}cher.example",
                Some("https://xn--bcher-kva.example"),
            ),
            ("a.example", Some("https://a.example")),
            ("https://*.a.example/x", Some("https://*.a.example")),
            ("https://*/", Some("https://*")),
            ("https://10.*.1", None),
            ("https://a.example:80*", None),
            ("h*p://a.example", None),
            ("*[::1]:80", None),
            ("https:*", None),
            ("*", None),
            ("https://a b", Some("")),
            ("", Some("")),
        ];
        for (text, expected) in rows {
            assert_eq!(dead(text).as_deref(), *expected, "{text}");
        }
    }

    #[test]
    fn a_sample_is_an_origin_that_the_pattern_allows() {
        for text in [
            "https://a.example",
            "https://*.a.example:8443",
            "*://*.a.example:*",
            "*://a.example:80",
            "app://*.a.example",
        ] {
            check_sample(text, Dialect::Native);
        }
        for text in [
            "https://*",
            "http*",
            "*.a.example",
            "https://a*.b.example",
            "*",
            "*e:8080",
        ] {
            check_sample(text, Dialect::S3);
        }
    }

    fn check_sample(text: &str, dialect: Dialect) {
        let sample = sample(text, dialect);
        let origin = WebOrigin::parse(sample.as_bytes()).expect("a serialized origin");
        let (pattern, _) = OriginPattern::parse(text, dialect).expect("a pattern");
        assert!(pattern.allows(&origin), "{text} {sample}");
    }

    #[test]
    fn the_rules_decide_where_an_origin_may_stand() {
        let with = CorsPolicySpec {
            credentials: true,
            ..CorsPolicySpec::default()
        };
        assert_eq!(place(&with, "https://a.example"), Placement::Full);
        let refused = |origin| matches!(place(&with, origin), Placement::Refused(_));
        assert!(refused("https://*.co.uk") && refused("nonsense"));
        assert!(matches!(
            place(&with, "null"),
            Placement::WithoutCredentials(_)
        ));
    }
}
