//! What is told of header operations: values that no browser understands, second values, and operations
//! that fight CORS or the cache.

use corsair_rules::{
    CorsPolicies, CorsPolicySpec, HeaderConditionSpec, HeaderOp, HeaderOpSpec, HeaderPolicy,
    OpPlace, UpstreamMode,
};

const ACAO: &str = "Access-Control-Allow-Origin";
const ACAC: &str = "Access-Control-Allow-Credentials";
const CORP: &str = "Cross-Origin-Resource-Policy";
const TAO: &str = "Timing-Allow-Origin";

fn op(op: HeaderOp, name: &str, value: &str) -> HeaderOpSpec {
    HeaderOpSpec {
        op,
        name: name.to_owned(),
        value: (op != HeaderOp::Remove).then(|| value.to_owned()),
        pattern: (op == HeaderOp::Replace).then(|| "*".to_owned()),
        when: HeaderConditionSpec::default(),
    }
}

/// What refuses one operation: its place and code; nothing when it compiles.
#[track_caller]
fn check_refused(spec: HeaderOpSpec, expected: Option<(OpPlace, &str)>) {
    let shown = format!("{spec:?}");
    let told: Vec<_> = match HeaderPolicy::compile(vec![spec]) {
        Ok(_) => Vec::new(),
        Err(problems) => problems.iter().map(|p| (p.place, p.lint.code())).collect(),
    };
    assert_eq!(told, Vec::from_iter(expected), "{shown}");
}

#[test]
fn values_that_no_browser_understands_are_refused() {
    use HeaderOp::{Add, Default, Set};
    for (name, value, code) in [
        (CORP, "same-origin", None),
        (CORP, "same-site", None),
        (CORP, "cross-origin", None),
        (CORP, "Same-Origin", Some("E119")),
        (CORP, "same-site, cross-origin", Some("E119")),
        (ACAC, "true", None),
        (ACAC, "True", Some("E118")),
        ("Access-Control-Allow-Private-Network", "yes", Some("E118")),
        ("Access-Control-Max-Age", "600", None),
        ("Access-Control-Max-Age", "10m", Some("E118")),
        ("Access-Control-Allow-Methods", "GET, POST", None),
        ("Access-Control-Allow-Methods", "*", None),
        ("Access-Control-Allow-Methods", "GET POST", Some("E118")),
        ("Access-Control-Allow-Headers", "X-A,X-B", None),
        ("Access-Control-Allow-Headers", "X-A; X-B", Some("E118")),
        ("Access-Control-Expose-Headers", "E Tag", Some("E118")),
        (TAO, "*", None),
        (TAO, "https://a.example, https://b.example", None),
        (TAO, "https://*.example.com", Some("E118")),
        (TAO, "a.example", Some("E118")),
        (ACAO, "https://a.example", None),
        (ACAO, "https://a.example,https://b.example", Some("E116")),
    ] {
        for verb in [Set, Default] {
            check_refused(
                op(verb, name, value),
                code.map(|code| (OpPlace::Value, code)),
            );
        }
        if name != CORP {
            check_refused(
                op(Add, name, value),
                code.map(|code| (OpPlace::Value, code)),
            );
        }
    }
}

#[test]
fn second_values_are_refused_where_a_browser_accepts_one() {
    use HeaderOp::{Add, Append, Default, Merge, Set};
    for (name, value, refused) in [
        (CORP, "cross-origin", &[Add, Append, Merge][..]),
        (ACAO, "https://b.example", &[Append, Merge]),
        (ACAC, "true", &[Append, Merge]),
        ("Access-Control-Max-Age", "60", &[Append, Merge]),
        ("Access-Control-Allow-Methods", "GET", &[]),
        (TAO, "*", &[]),
    ] {
        for verb in [Set, Add, Append, Merge, Default] {
            let expected = refused.contains(&verb).then_some((OpPlace::Op, "E120"));
            check_refused(op(verb, name, value), expected);
        }
    }
}

#[test]
fn what_describes_the_bytes_is_protected_and_so_is_a_prefix_that_names_it() {
    use HeaderOp::{Remove, Set};
    let protected = Some((OpPlace::Name, "E132"));
    check_refused(op(Set, "Content-Encoding", "gzip"), protected);
    for name in [
        "Content-Encoding",
        "Content-Length*",
        "date*",
        "Connection*",
        "Age*",
    ] {
        check_refused(op(Remove, name, ""), protected);
    }
    // These are prefixes of more, and leave the protected fields among them alone.
    for name in ["Content-*", "Con*", "D*"] {
        check_refused(op(Remove, name, ""), None);
    }
}

/// What these operations are told on a route with this policy: the place of each and its code.
#[track_caller]
fn check_told(ops: Vec<HeaderOpSpec>, cors: Option<UpstreamMode>, expected: &[(usize, &str)]) {
    let shown = format!("{ops:?} {cors:?}");
    let policy = HeaderPolicy::compile(ops).expect("valid");
    let policies = match cors {
        None => CorsPolicies::none(),
        Some(upstream) => CorsPolicies::compile(vec![CorsPolicySpec {
            origins: vec!["https://app.example".into()],
            upstream,
            timing: true,
            ..Default::default()
        }])
        .expect("a policy"),
    };
    let told = policy.conflicts_with(&policies);
    let told: Vec<_> = told.iter().map(|p| (p.op, p.lint.code())).collect();
    assert_eq!(told, expected, "{shown}");
}

const MODES: [Option<UpstreamMode>; 4] = [
    None,
    Some(UpstreamMode::Override),
    Some(UpstreamMode::Passthrough),
    Some(UpstreamMode::Duplicate),
];

#[test]
fn operations_that_fight_cors_are_told() {
    use HeaderOp::{Remove, Set};
    for (spec, expected) in [
        (
            op(Set, ACAO, "*"),
            [None, Some("W131"), Some("W132"), Some("W131")],
        ),
        (
            op(Set, "Access-Control-Max-Age", "60"),
            [None, Some("W131"), Some("W132"), Some("W131")],
        ),
        // Nothing is left of it to remove under `override`; elsewhere it is the upstream's.
        (op(Remove, ACAO, ""), [None, Some("W131"), None, None]),
        (op(Remove, "Access-Control-Max-Age", ""), [None; 4]),
        (op(Remove, "Access-Control-*", ""), [None; 4]),
        // The policy writes it in every mode.
        (
            op(Set, TAO, "*"),
            [None, Some("W131"), Some("W131"), Some("W131")],
        ),
        (
            op(Remove, TAO, ""),
            [None, Some("W131"), Some("W131"), Some("W131")],
        ),
        (op(Set, "X-A", "1"), [None; 4]),
    ] {
        for (mode, code) in MODES.into_iter().zip(expected) {
            let expected: Vec<_> = code.map(|code| (1, code)).into_iter().collect();
            check_told(vec![op(Set, "X-Ok", "1"), spec.clone()], mode, &expected);
        }
    }
}

#[test]
fn operations_that_take_from_what_caches_go_by_are_told() {
    use HeaderOp::{Add, Append, Default, Merge, Remove, Replace, Set};
    for (spec, code) in [
        (op(Set, "Vary", "Accept"), Some("W133")),
        (op(Replace, "vary", "Accept"), Some("W133")),
        (op(Remove, "Vary", ""), Some("W133")),
        (op(Remove, "VA*", ""), Some("W133")),
        (op(Remove, "Vary-*", ""), None),
        (op(Merge, "Vary", "Accept"), None),
        (op(Append, "Vary", "Accept"), None),
        (op(Add, "Vary", "Accept"), None),
        (op(Default, "Vary", "Accept"), None),
        (op(Set, "ETag", "\"1\""), Some("W134")),
        (op(Add, "Last-Modified", "x"), Some("W134")),
        (op(Remove, "ETag", ""), None),
    ] {
        for mode in MODES {
            let expected: Vec<_> = code.map(|code| (0, code)).into_iter().collect();
            check_told(vec![spec.clone()], mode, &expected);
        }
    }
}

#[test]
fn everybody_with_credentials_is_told_where_the_node_does_not_decide() {
    use HeaderOp::{Add, Set};
    let star = op(Set, ACAO, "*");
    let one = op(Set, ACAO, "https://a.example");
    let credentials = op(Add, ACAC, "true");
    let both = |first: &HeaderOpSpec, then: &HeaderOpSpec| vec![first.clone(), then.clone()];
    check_told(both(&star, &credentials), None, &[(1, "W135")]);
    check_told(both(&credentials, &star), None, &[(0, "W135")]);
    check_told(both(&one, &credentials), None, &[]);
    let mode = Some(UpstreamMode::Override);
    check_told(both(&star, &credentials), mode, &[(0, "W131"), (1, "W131")]);
    let when = |spec: &HeaderOpSpec, path: &str| HeaderOpSpec {
        when: HeaderConditionSpec {
            path: vec![path.into()],
            ..Default::default()
        },
        ..spec.clone()
    };
    let fonts = when(&star, "/fonts/**");
    check_told(both(&fonts, &credentials), None, &[(1, "W135")]);
    check_told(
        both(&fonts, &when(&credentials, "/fonts/**")),
        None,
        &[(1, "W135")],
    );
    check_told(both(&fonts, &when(&credentials, "/api/**")), None, &[]);
}
