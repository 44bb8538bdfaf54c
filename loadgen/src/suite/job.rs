//! The job of a scenario: rules, header operations, what is asked, and what every answer must be.
//!
//! Peers are given the same rules in their own words and are held to the same answers. Pure.

use serde::Serialize;

use super::artefact::{Parameters, Position, Role, RuleShape, Storm};
use crate::expect::{ExpectSpec, StatusText};
use crate::traffic::{Kind, Origins};

/// The method preflights ask for.
pub const PREFLIGHT_METHOD: &str = "PUT";

/// The field preflights ask for.
pub const PREFLIGHT_HEADER: &str = "x-bench";

/// How long peers may serve what expired in a brown-out.
pub const STALE_SECONDS: u32 = 60;

/// The `Host` of all requests.
pub const HOST: &str = "bench.example";

/// Bodies up to this size are compared by their digest in every response; larger ones by their
/// length, and by their digest before anything is timed. Hashing 64 KiB takes the generator longer
/// than serving them takes the server.
const DIGEST_BYTES_MAX: u64 = 4096;

/// Web origins drawn when every rule is as likely; more would be the generator's cache misses.
const ORIGINS_DRAWN_MAX: u32 = 100_000;

/// A rule in several spellings, for the templates.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Rule {
    /// Its number, from 0.
    pub number: u32,
    /// `exact`, `suffix` or `star-anywhere`.
    pub shape: RuleShape,
    /// As Corsair takes it: `https://*.tenant-7.example.com`.
    pub pattern: String,
    /// The host part of it.
    pub host: String,
    /// What is before the star; all of it when there is none.
    pub before: String,
    /// What is behind the star; empty when there is none.
    pub after: String,
    /// As a regular expression without anchors; the star takes no `/`.
    pub regex: String,
    /// A Web origin that it allows.
    pub origin: String,
}

/// The rules of a scenario, in order.
#[must_use]
pub fn rules(parameters: &Parameters) -> Vec<Rule> {
    (0..parameters.rule_count)
        .map(|number| rule(parameters.rules, number))
        .collect()
}

fn rule(shape: RuleShape, number: u32) -> Rule {
    let (shape, before, after, filling) = match (shape, number % 3) {
        (RuleShape::Suffix, _) | (RuleShape::Mixed, 1) => (
            RuleShape::Suffix,
            "https://".to_owned(),
            format!(".tenant-{number}.example.com"),
            "app",
        ),
        (RuleShape::StarAnywhere, _) | (RuleShape::Mixed, 2) => (
            RuleShape::StarAnywhere,
            format!("https://tenant-{number}-"),
            ".example.com".to_owned(),
            "blue",
        ),
        (RuleShape::None | RuleShape::Exact | RuleShape::Mixed, _) => (
            RuleShape::Exact,
            format!("https://tenant-{number}.example.com"),
            String::new(),
            "",
        ),
    };
    let (star, any) = match shape {
        RuleShape::None | RuleShape::Exact => ("", ""),
        RuleShape::Suffix | RuleShape::StarAnywhere | RuleShape::Mixed => ("*", "[^/]*"),
    };
    let pattern = format!("{before}{star}{after}");
    let escaped = |text: &str| text.replace('.', "\\.");
    Rule {
        number,
        shape,
        host: pattern.trim_start_matches("https://").to_owned(),
        regex: format!("{}{any}{}", escaped(&before), escaped(&after)),
        origin: format!("{before}{filling}{after}"),
        pattern,
        before,
        after,
    }
}

/// Header operations besides CORS: `(name, value)`, each set on every response.
#[must_use]
pub fn operations(parameters: &Parameters) -> Vec<(String, String)> {
    let known = [
        ("X-Frame-Options", "DENY"),
        ("X-Content-Type-Options", "nosniff"),
    ];
    let known = known.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let numbered = (known.len()..).map(|n| (format!("X-Bench-{n}"), format!("value-{n}")));
    known
        .into_iter()
        .chain(numbered)
        .take(parameters.operations as usize)
        .collect()
}

/// How closely bodies are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scrutiny {
    /// Every byte, before anything is timed.
    Verify,
    /// As much as does not slow the generator.
    Timed,
}

/// What a peer of `role` is asked, and what it must answer. `run` is different in each run, so that
/// what must miss was never asked for before.
#[must_use]
pub fn requests(parameters: &Parameters, role: Role, scrutiny: Scrutiny, run: u64) -> Vec<Kind> {
    if role == Role::Null {
        return vec![kind(
            "null",
            1.0,
            "/object/0",
            parameters,
            null_expectation(parameters),
        )];
    }
    let expect = expectation(parameters, scrutiny);
    if parameters.storm == Some(Storm::Preflight) {
        let grant = match parameters.position {
            Position::None => Grant::Refused,
            Position::First | Position::Last | Position::Any => Grant::Given,
        };
        return vec![preflight(parameters, grant)];
    }
    let hits = format!("/object/{{rand:{}}}", parameters.keys);
    // `run` keeps apart what several runs and contestants ask for once.
    let misses = format!("/once/{run}/{{seq}}");
    let ratio = parameters.hit_ratio;
    let mut kinds = Vec::new();
    if ratio > 0.0 {
        kinds.push(kind("hit", ratio, &hits, parameters, expect.clone()));
    }
    if ratio < 1.0 {
        kinds.push(kind("miss", 1.0 - ratio, &misses, parameters, expect));
    }
    kinds
}

/// Share of the verifying requests that name a Web origin which no rule allows.
const REFUSED_SHARE: f64 = 0.8;

/// What is asked before anything is timed: the scenario's own requests, and among them, where there
/// are rules, ones that must be refused: answered like the others, without the grant. Who grants
/// everything does less work, and is found here.
#[must_use]
pub fn verifying_requests(parameters: &Parameters, role: Role, run: u64) -> Vec<Kind> {
    let mut kinds = requests(parameters, role, Scrutiny::Verify, run);
    let hostile = refused_origins(parameters);
    if role == Role::Null || hostile.is_empty() {
        return kinds;
    }
    for kind in &mut kinds {
        kind.weight *= 1.0 - REFUSED_SHARE;
    }
    let mut refused = if parameters.storm == Some(Storm::Preflight) {
        preflight(parameters, Grant::Refused)
    } else {
        let expect = expectation(parameters, Scrutiny::Verify);
        kind("refused", 1.0, "/object/0", parameters, expect)
    };
    refused.weight = REFUSED_SHARE;
    refused.origins = Origins {
        granted: Vec::new(),
        hostile,
        hostile_share: 1.0,
        without_share: 0.0,
    };
    kinds.push(refused);
    kinds
}

/// Web origins near those that are granted, and a far one. No rule allows any of them.
fn refused_origins(parameters: &Parameters) -> Vec<String> {
    let Some(last) = parameters.rule_count.checked_sub(1) else {
        return Vec::new();
    };
    let mut refused = vec!["https://stranger.example.net".to_owned()];
    for number in [0, last] {
        let rule = rule(parameters.rules, number);
        let origin = &rule.origin;
        refused.push(format!("{origin}.evil.example"));
        refused.push(origin.replacen("https:", "http:", 1));
        // A dot that stands for any character.
        refused.push(origin.replacen(".example.com", "xexample.com", 1));
        if rule.shape == RuleShape::Suffix {
            // The name itself is none below it, nor is one that merely ends like it.
            let apex = rule.after.trim_start_matches('.');
            refused.push(format!("https://{apex}"));
            refused.push(format!("https://evil-{apex}"));
        }
    }
    refused.sort();
    refused.dedup();
    refused
}

/// Each stored response asked for once, so that timed runs find them stored.
#[must_use]
pub fn key_requests(parameters: &Parameters) -> Kind {
    // `{seq}` counts from 0 to one below the number of requests, which is that of the keys.
    let expect = expectation(parameters, Scrutiny::Verify);
    kind("fill", 1.0, "/object/{seq}", parameters, expect)
}

fn kind(name: &str, weight: f64, target: &str, p: &Parameters, expect: ExpectSpec) -> Kind {
    Kind {
        name: name.to_owned(),
        weight,
        method: "GET".to_owned(),
        target: target.to_owned(),
        fields: vec![("Host".to_owned(), HOST.to_owned())],
        body: Vec::new(),
        origins: origins(p),
        expect,
        expect_hostile: ExpectSpec::default(),
        expect_without_origin: ExpectSpec::default(),
    }
}

/// Whether a preflight names a Web origin that rules allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Grant {
    Given,
    Refused,
}

fn preflight(parameters: &Parameters, grant: Grant) -> Kind {
    let mut expect = expectation(parameters, Scrutiny::Verify);
    // Some answer 200 with an empty body, some 204: both are right (Fetch, "ok status").
    expect.status = Some(StatusText::Text("200,204".to_owned()));
    expect.body_bytes = None;
    expect.body_sha256 = None;
    if grant == Grant::Given {
        expect
            .present
            .push("Access-Control-Allow-Methods".to_owned());
        expect
            .present
            .push("Access-Control-Allow-Headers".to_owned());
    }
    let mut kind = kind("preflight", 1.0, "/object/0", parameters, expect);
    "OPTIONS".clone_into(&mut kind.method);
    for (name, value) in [
        ("Access-Control-Request-Method", PREFLIGHT_METHOD),
        ("Access-Control-Request-Headers", PREFLIGHT_HEADER),
    ] {
        kind.fields.push((name.to_owned(), value.to_owned()));
    }
    kind
}

fn origins(parameters: &Parameters) -> Origins {
    let last = parameters.rule_count.saturating_sub(1);
    let shape = parameters.rules;
    let stranger = || vec!["https://stranger.example.net".to_owned()];
    let (granted, hostile) = match parameters.position {
        Position::None => (Vec::new(), stranger()),
        Position::First => (vec![rule(shape, 0).origin], Vec::new()),
        Position::Last => (vec![rule(shape, last).origin], Vec::new()),
        Position::Any => {
            let drawn = parameters.rule_count.min(ORIGINS_DRAWN_MAX);
            (
                (0..drawn)
                    .map(|number| rule(shape, number).origin)
                    .collect(),
                Vec::new(),
            )
        }
    };
    Origins {
        granted,
        hostile,
        hostile_share: if parameters.position == Position::None {
            1.0
        } else {
            0.0
        },
        without_share: 0.0,
    }
}

fn null_expectation(parameters: &Parameters) -> ExpectSpec {
    ExpectSpec {
        status: Some(StatusText::Number(200)),
        body_bytes: Some(parameters.body_bytes),
        ..ExpectSpec::default()
    }
}

fn expectation(parameters: &Parameters, scrutiny: Scrutiny) -> ExpectSpec {
    let mut headers: Vec<String> = operations(parameters)
        .into_iter()
        .map(|(name, value)| format!("{name}: {value}"))
        .collect();
    let (mut present, mut absent) = (Vec::new(), Vec::new());
    if parameters.rules == RuleShape::None {
        absent.push("Access-Control-Allow-Origin".to_owned());
    } else {
        headers.push("Access-Control-Allow-Origin: {origin}".to_owned());
        present.push("Vary: Origin".to_owned());
    }
    let digest = scrutiny == Scrutiny::Verify || parameters.body_bytes <= DIGEST_BYTES_MAX;
    ExpectSpec {
        status: Some(StatusText::Number(200)),
        headers,
        present,
        absent,
        body_bytes: Some(parameters.body_bytes),
        body_sha256: digest.then(|| crate::null_server::body_sha256(parameters.body_bytes)),
        ..ExpectSpec::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_and_the_origins_they_allow() {
        let check = |shape, number, pattern: &str, origin: &str, regex: &str| {
            let rule = rule(shape, number);
            assert_eq!(
                (&*rule.pattern, &*rule.origin, &*rule.regex),
                (pattern, origin, regex)
            );
        };
        let exact = "https://tenant-7.example.com";
        check(
            RuleShape::Exact,
            7,
            exact,
            exact,
            r"https://tenant-7\.example\.com",
        );
        check(
            RuleShape::Suffix,
            7,
            "https://*.tenant-7.example.com",
            "https://app.tenant-7.example.com",
            r"https://[^/]*\.tenant-7\.example\.com",
        );
        check(
            RuleShape::StarAnywhere,
            7,
            "https://tenant-7-*.example.com",
            "https://tenant-7-blue.example.com",
            r"https://tenant-7-[^/]*\.example\.com",
        );
        assert_eq!(rule(RuleShape::Mixed, 9).shape, RuleShape::Exact);
        assert_eq!(rule(RuleShape::Mixed, 10).shape, RuleShape::Suffix);
        assert_eq!(rule(RuleShape::Mixed, 11).shape, RuleShape::StarAnywhere);
    }
    #[test]
    fn no_rule_allows_what_must_be_refused() {
        let shapes = [
            RuleShape::Exact,
            RuleShape::Suffix,
            RuleShape::StarAnywhere,
            RuleShape::Mixed,
        ];
        for shape in shapes {
            for rule_count in [1, 2, 3, 30] {
                let parameters = Parameters {
                    rules: shape,
                    rule_count,
                    position: Position::Last,
                    operations: 0,
                    hit_ratio: 1.0,
                    keys: 1,
                    body_bytes: 0,
                    connections: 1,
                    depth: 1,
                    requests_per_connection: None,
                    storm: None,
                };
                let all = rules(&parameters);
                let refused = refused_origins(&parameters);
                assert!(refused.len() >= 4, "{refused:?}");
                for origin in &refused {
                    let allows = |rule: &Rule| match rule.shape {
                        RuleShape::Suffix | RuleShape::StarAnywhere => {
                            let room = rule.before.len() + rule.after.len();
                            let fits = origin.len() >= room;
                            fits && origin.starts_with(&rule.before)
                                && origin.ends_with(&rule.after)
                        }
                        RuleShape::None | RuleShape::Exact | RuleShape::Mixed => {
                            *origin == rule.pattern
                        }
                    };
                    assert!(!all.iter().any(allows), "{origin} is allowed, {shape:?}");
                }
                let asked = verifying_requests(&parameters, Role::Peer, 1);
                let own = verifying_requests(&parameters, Role::Null, 1);
                assert_eq!((asked.len(), own.len()), (2, 1), "{shape:?}");
            }
        }
    }
}
