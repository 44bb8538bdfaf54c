//! Several policies side by side that treat refusals, the upstream and its own CORS differently.

use crate::cors_decisions::{ask, check_actual, compile, spec};
use corsair_rules::{
    CorsOutcome, CorsPolicies, CorsPolicySpec, Dialect, PolicyProblem, RefusedPreflight,
    UpstreamMode,
};

#[test]
fn of_several_policies_the_strictest_refusal_holds() {
    use RefusedPreflight::{Forbidden, NoContent};
    let policy = |origin: &str, status, shadow| CorsPolicySpec {
        refused_preflight: status,
        shadow,
        ..spec(&[origin])
    };
    let status = |second, shadow| {
        let policies = compile(vec![
            policy("https://a.example", NoContent, false),
            policy("https://b.example", second, shadow),
        ]);
        ask(&policies, "https://c.example", "GET", "").0
    };
    assert_eq!(
        (status(NoContent, false), status(Forbidden, false)),
        (204, 403)
    );
    assert_eq!(
        status(Forbidden, true),
        204,
        "what is only evaluated says nothing"
    );
}

#[test]
fn a_wildcard_over_the_served_domain_is_told_when_credentials_go_there() {
    let told = |origin: &str, credentials| {
        let policies = compile(vec![CorsPolicySpec {
            credentials,
            served_hosts: vec!["cdn.example.com".to_owned(), "b.example".to_owned()],
            ..spec(&[origin])
        }]);
        let codes = policies.warnings().iter().map(|found| found.lint.code());
        codes.collect::<Vec<_>>()
    };
    assert_eq!(told("https://*.example.com", true), ["W111"]);
    assert_eq!(told("https://*.cdn.example.com", true), ["W111"]);
    assert_eq!(told("https://*.example.com", false), [""; 0]);
    for other in [
        "https://*.n.example.com",
        "https://*.ample.com",
        "https://a.example.com",
    ] {
        assert_eq!(told(other, true), [""; 0], "{other}");
    }
    assert_eq!(told("null", false), ["W110"]);
}

#[test]
fn a_shadow_policy_has_no_say_about_the_upstream() {
    let with = |first: CorsPolicySpec, second: CorsPolicySpec| {
        CorsPolicies::compile(vec![first, second])
            .map(|policies| policies.upstream_mode())
            .map_err(|problems| problems[0].lint.code())
    };
    let policy = |upstream, shadow| CorsPolicySpec {
        upstream,
        shadow,
        ..spec(&["https://a.example"])
    };
    let (ours, theirs) = (UpstreamMode::Override, UpstreamMode::Passthrough);
    assert_eq!(with(policy(ours, true), policy(theirs, false)), Ok(theirs));
    assert_eq!(with(policy(theirs, true), policy(ours, false)), Ok(ours));
    assert_eq!(
        with(policy(theirs, false), policy(ours, false)),
        Err("E113")
    );
}

#[test]
fn a_passed_through_policy_needs_no_origins_unless_somebody_may_time() {
    let policy = |timing, shadow| CorsPolicySpec {
        upstream: UpstreamMode::Passthrough,
        timing,
        shadow,
        ..spec(&[])
    };
    let policies = compile(vec![policy(false, false)]);
    assert_eq!(policies.vary_contribution(None).names(), "");
    check_actual(
        &policies,
        Some("https://a.example"),
        ("", CorsOutcome::Passthrough, ""),
    );
    for needy in [policy(true, false), policy(false, true)] {
        let problems = CorsPolicies::compile(vec![needy]).expect_err("nobody is listed");
        assert_eq!(problems[0].lint.code(), "E105");
    }
}

/// What is told of a route's policies: each number as a reader counts, from 1, and the sentence.
fn told(policies: &CorsPolicies) -> Vec<(usize, String)> {
    let warnings = policies.warnings().iter();
    let told = |problem: &PolicyProblem| (problem.policy + 1, problem.lint.to_string());
    warnings.map(told).collect()
}

#[test]
fn unreachable_policies_are_told() {
    let list = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect();
    let all = |request_headers: &[&str]| CorsPolicySpec {
        methods: list(&["*"]),
        request_headers: list(request_headers),
        ..spec(&["*"])
    };
    let every = all(&["*", "Authorization"]);
    let one = CorsPolicySpec {
        request_headers: list(&["authorization"]),
        ..spec(&["https://a.example"])
    };
    let policies = compile(vec![every.clone(), one.clone()]);
    let [(2, sentence)] = &told(&policies)[..] else {
        panic!("{:?}", policies.warnings())
    };
    assert!(
        sentence.contains("because policy 1 of this route takes every origin"),
        "{sentence}"
    );
    assert_eq!(policies.warnings()[0].lint.code(), "W108");
    // Nothing behind it can make the answer depend on the origin.
    assert_eq!(policies.vary_contribution(None).names(), "");
    // `*` names every header but one, and that one is what the second policy is there for; of actual
    // responses it decides none, and nobody asks.
    let policies = compile(vec![all(&["*"]), one.clone()]);
    assert_eq!(told(&policies), []);
    let asked = ask(&policies, "https://a.example", "GET", "authorization");
    assert_eq!(asked.0, 204);
    assert!(asked.1.contains("https://a.example"), "{}", asked.1);
    assert_eq!(policies.vary_contribution(None).names(), "");
    let fonts = CorsPolicySpec {
        content_types: list(&["font/*"]),
        ..every
    };
    assert_eq!(told(&compile(vec![fonts, one])), []);
}

/// `origins; methods; headers; content types; shadow` of two policies, each list by blanks, and whether
/// the second one is said to be covered.
#[track_caller]
fn check_covered(first: &str, second: &str, is_covered: bool) {
    let policy = |text: &str| {
        let mut parts = text.split(';').map(|part| part.split_whitespace());
        let mut list = || -> Vec<String> {
            let part = parts.next();
            part.map_or_else(Vec::new, |part| part.map(str::to_owned).collect())
        };
        CorsPolicySpec {
            origins: list(),
            methods: list(),
            request_headers: list(),
            content_types: list(),
            shadow: !list().is_empty(),
            dialect: if text.contains("x-s-") {
                Dialect::S3
            } else {
                Dialect::Native
            },
            ..CorsPolicySpec::default()
        }
    };
    let policies = compile(vec![policy(first), policy(second)]);
    let sentence = "policy 1 of this route takes all its origins, methods and headers first";
    let told = told(&policies);
    let found = told
        .iter()
        .any(|(number, text)| *number == 2 && text.contains(sentence));
    assert_eq!(found, is_covered, "{first} | {second}: {told:?}");
}

#[test]
fn a_policy_that_an_earlier_one_covers_whole_is_told() {
    #[rustfmt::skip]
    let rows = [
        ("https://*.a.test; GET PUT", "https://x.a.test; PUT", true),
        ("https://*.a.test; GET PUT", "https://x.a.test https://*.b.a.test; PUT", true),
        ("https://*.a.test; GET PUT", "https://a.test; PUT", false),
        ("https://*.a.test; GET PUT", "https://x.a.test https://b.test; PUT", false),
        ("https://x.a.test; PUT", "https://*.a.test; PUT", false),
        ("*; GET", "https://x.a.test; GET", true),
        ("https://x.a.test; GET", "*; GET", false),
        ("*://x.a.test:*; *", "http://x.a.test:81; *", true),
        ("https://x.a.test; GET", "https://x.a.test; GET PUT", false),
        ("https://x.a.test; GET", "https://x.a.test; *", false),
        ("https://x.a.test; PUT", "https://x.a.test; put", false),
        // GET and HEAD are granted together.
        ("https://x.a.test; PUT GET", "https://x.a.test; HEAD", true),
        ("*; *; x-one *", "https://x.a.test; *; x-two", true),
        ("*; *; *", "https://x.a.test; *; authorization", false),
        ("*; *; * authorization; font/*", "https://x.a.test; *; authorization; font/*", true),
        ("*; *; x-one", "https://x.a.test; *; X-One", true),
        ("*; *; x-one", "https://x.a.test; *; *", false),
        ("*; *; x-s-*", "https://x.a.test; *; x-s-*", true),
        ("*; *; x-s-*", "https://x.a.test; *; x-s-one", true),
        ("*; *; x-s-one", "https://x.a.test; *; x-s-*", false),
        ("*; *; *; font/*", "https://x.a.test; *; *; font/*", true),
        ("*; *; *; font/*", "https://x.a.test; *; *; text/css", false),
        ("*; *; *; font/*", "https://x.a.test; *; *", false),
        ("*; *; *", "https://x.a.test; *; *; font/*", true),
        // What is only evaluated takes nothing, and is there to be compared.
        ("*; GET; ; ; shadow", "https://x.a.test; GET", false),
        ("*; GET", "https://x.a.test; GET; ; ; shadow", false),
    ];
    for (first, second, is_covered) in rows {
        check_covered(first, second, is_covered);
    }
}
