//! Several policies side by side that treat refusals, the upstream and its own CORS differently.

use crate::cors_decisions::{ask, check_actual, compile, spec};
use corsair_rules::{CorsOutcome, CorsPolicies, CorsPolicySpec, UpstreamMode};

#[test]
fn of_several_policies_the_strictest_refusal_holds() {
    let policy = |origin: &str, status, shadow| CorsPolicySpec {
        refused_preflight_status: status,
        shadow,
        ..spec(&[origin])
    };
    let status = |second, shadow| {
        let policies = compile(vec![
            policy("https://a.example", 204, false),
            policy("https://b.example", second, shadow),
        ]);
        ask(&policies, "https://c.example", "GET", "").0
    };
    assert_eq!((status(204, false), status(403, false)), (204, 403));
    assert_eq!(
        status(403, true),
        204,
        "what is only evaluated says nothing"
    );
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
