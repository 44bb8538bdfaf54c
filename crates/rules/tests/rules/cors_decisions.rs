//! What policies answer, byte for byte: actual responses, preflights, `Vary`, several policies.

use crate::support::Head;
use corsair_http1::KnownField;
use corsair_rules::{
    CorsKind, CorsOutcome, CorsPolicies, CorsPolicySpec, Dialect, RefusedPreflight, RequestOrigin,
    ResourcePolicy, ShadowVerdict, UpstreamMode,
};

fn list(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|&text| text.to_owned()).collect()
}

pub(crate) fn spec(origins: &[&str]) -> CorsPolicySpec {
    CorsPolicySpec {
        origins: list(origins),
        ..CorsPolicySpec::default()
    }
}

pub(crate) fn compile(specs: Vec<CorsPolicySpec>) -> CorsPolicies {
    CorsPolicies::compile(specs).expect("policies")
}

/// `(lines written, outcome, Vary contribution)` of an actual response.
fn actual(
    policies: &CorsPolicies,
    origin: Option<&str>,
    method: &str,
    content_type: Option<&str>,
) -> (String, CorsOutcome, &'static str) {
    let origin = origin.map_or(RequestOrigin::Absent, |value| {
        RequestOrigin::One(value.as_bytes())
    });
    let content_type = content_type.map(str::as_bytes);
    let answer = policies.decide_actual(origin, method.as_bytes(), content_type);
    let mut out = Vec::new();
    answer.write(&mut out, origin);
    let text = String::from_utf8(out)
        .expect("text")
        .replace("Access-Control-Allow-", "ACA-");
    (
        text,
        answer.outcome(),
        policies.vary_contribution(content_type).names(),
    )
}

pub(crate) fn check_actual(
    policies: &CorsPolicies,
    origin: Option<&str>,
    expected: (&str, CorsOutcome, &str),
) {
    let (text, outcome, vary) = actual(policies, origin, "GET", None);
    assert_eq!((text.as_str(), outcome, vary), expected, "{origin:?}");
}

#[test]
fn a_list_echoes_and_varies_for_everyone() {
    let policies = compile(vec![spec(&[
        "https://app.example.com",
        "https://*.example.com",
    ])]);
    let app = "https://app.example.com";
    let granted = "ACA-Origin: https://app.example.com\r\n";
    check_actual(
        &policies,
        Some(app),
        (granted, CorsOutcome::Granted, "Origin"),
    );
    let evil = Some("https://evil.net");
    check_actual(&policies, evil, ("", CorsOutcome::RefusedOrigin, "Origin"));
    check_actual(&policies, None, ("", CorsOutcome::NoOrigin, "Origin"));
    let origin = RequestOrigin::One(app.as_bytes());
    let answer = policies.decide_actual(origin, b"GET", None);
    assert_eq!(
        (answer.granted(), answer.policy(), answer.rule()),
        (true, Some(0), Some(0))
    );
}

#[test]
fn a_star_is_sent_to_everyone_and_varies_for_nobody() {
    let policies = compile(vec![spec(&["*"])]);
    let answer = ("ACA-Origin: *\r\n", CorsOutcome::Constant, "");
    for origin in [
        Some("https://app.example.com"),
        Some("null"),
        Some("junk"),
        None,
    ] {
        check_actual(&policies, origin, answer);
    }
    // Beside a star, other patterns mean nothing.
    let policies = compile(vec![spec(&["https://app.example.com", "*"])]);
    check_actual(&policies, Some("https://app.example.com"), answer);
    assert_eq!(policies.warnings()[0].lint.code(), "W102");
}

#[test]
fn without_validation_the_one_value_is_always_sent() {
    let constant = CorsPolicySpec {
        validate: false,
        ..spec(&["https://app.example.com"])
    };
    let policies = compile(vec![constant.clone()]);
    let answer = (
        "ACA-Origin: https://app.example.com\r\n",
        CorsOutcome::Constant,
        "",
    );
    for origin in [
        Some("https://app.example.com"),
        Some("https://evil.net"),
        None,
    ] {
        check_actual(&policies, origin, answer);
    }
    for origins in [
        &["https://a.example", "https://b.example"][..],
        &["https://*.a.example"],
    ] {
        let several = CorsPolicySpec {
            origins: list(origins),
            ..constant.clone()
        };
        let problems = CorsPolicies::compile(vec![several]).expect_err("no constant");
        assert_eq!(problems[0].lint.code(), "E106", "{origins:?}");
    }
}

#[test]
fn null_only_by_name() {
    let policies = compile(vec![spec(&["null", "https://a.example"])]);
    check_actual(
        &policies,
        Some("null"),
        ("ACA-Origin: null\r\n", CorsOutcome::Granted, "Origin"),
    );
    let policies = compile(vec![spec(&["https://a.example"])]);
    check_actual(
        &policies,
        Some("null"),
        ("", CorsOutcome::RefusedOrigin, "Origin"),
    );
}

#[test]
fn every_line_of_a_full_policy_in_order() {
    let full = CorsPolicySpec {
        credentials: true,
        expose: list(&["ETag", "X-Total"]),
        timing: true,
        resource_policy: Some(ResourcePolicy::CrossOrigin),
        max_age_s: Some(3600),
        private_network: true,
        ..spec(&["https://a.example"])
    };
    let policies = compile(vec![full]);
    let always = "Cross-Origin-Resource-Policy: cross-origin\r\n";
    let granted = format!(
        "{always}ACA-Origin: https://a.example\r\nACA-Credentials: true\r\n\
         Access-Control-Expose-Headers: ETag, X-Total\r\nTiming-Allow-Origin: https://a.example\r\n"
    );
    let granted = (granted.as_str(), CorsOutcome::Granted, "Origin");
    check_actual(&policies, Some("https://a.example"), granted);
    check_actual(&policies, None, (always, CorsOutcome::NoOrigin, "Origin"));
    check_actual(
        &policies,
        Some("null"),
        (always, CorsOutcome::RefusedOrigin, "Origin"),
    );
    let owned = policies.vary_contribution(None).owned_fields();
    assert!(owned.contains(KnownField::TimingAllowOrigin));
    assert!(owned.contains(KnownField::CrossOriginResourcePolicy));
}

#[test]
fn a_condition_takes_the_whole_policy_away() {
    let fonts = CorsPolicySpec {
        content_types: list(&["font/*", "application/font-woff"]),
        resource_policy: Some(ResourcePolicy::SameSite),
        ..spec(&["https://a.example"])
    };
    let policies = compile(vec![fonts]);
    let corp = "Cross-Origin-Resource-Policy: same-site\r\n";
    let cases = [
        (
            Some("font/woff2"),
            format!("{corp}ACA-Origin: https://a.example\r\n"),
            "Origin",
        ),
        (
            Some("Application/Font-Woff; x=y"),
            format!("{corp}ACA-Origin: https://a.example\r\n"),
            "Origin",
        ),
        (Some("text/html"), String::new(), ""),
        (None, String::new(), ""),
    ];
    for (content_type, expected, expected_vary) in cases {
        let (text, _, vary) = actual(&policies, Some("https://a.example"), "GET", content_type);
        assert_eq!((text, vary), (expected, expected_vary), "{content_type:?}");
    }
}

#[test]
fn the_first_policy_that_passes_all_tests_decides() {
    let policies = compile(vec![
        CorsPolicySpec {
            methods: list(&["GET"]),
            credentials: true,
            ..spec(&["https://a.example"])
        },
        CorsPolicySpec {
            methods: list(&["PUT"]),
            ..spec(&["https://*.example", "https://a.example"])
        },
        CorsPolicySpec {
            methods: list(&["GET", "PUT"]),
            ..spec(&["*"])
        },
    ]);
    let with = "ACA-Origin: https://a.example\r\nACA-Credentials: true\r\n";
    let rows = [
        (Some("https://a.example"), "GET", with, CorsOutcome::Granted),
        (
            Some("https://a.example"),
            "HEAD",
            with,
            CorsOutcome::Granted,
        ),
        (
            Some("https://a.example"),
            "PUT",
            "ACA-Origin: https://a.example\r\n",
            CorsOutcome::Granted,
        ),
        (
            Some("https://b.example"),
            "GET",
            "ACA-Origin: *\r\n",
            CorsOutcome::Constant,
        ),
        (None, "GET", "ACA-Origin: *\r\n", CorsOutcome::Constant),
        (
            Some("https://a.example"),
            "DELETE",
            "",
            CorsOutcome::RefusedMethod,
        ),
        (
            Some("https://a.example"),
            "get",
            "",
            CorsOutcome::RefusedMethod,
        ),
    ];
    for (origin, method, expected, expected_outcome) in rows {
        let (text, outcome, vary) = actual(&policies, origin, method, None);
        let got = (text.as_str(), outcome, vary);
        assert_eq!(
            got,
            (expected, expected_outcome, "Origin"),
            "{method} from {origin:?}"
        );
    }
}

// Preflights -------------------------------------------------------------------------------------

fn preflight(policies: &CorsPolicies, lines: &[&str]) -> (u16, String, CorsOutcome) {
    let head = Head::new("OPTIONS", lines);
    assert_eq!(policies.classify(head.request()), CorsKind::Preflight);
    let answer = policies.decide_preflight(head.request());
    let mut out = Vec::new();
    answer.write(&mut out, head.request());
    assert_eq!(
        answer.granted(),
        out.starts_with(b"Access-Control-Allow-Origin: ")
    );
    let text = String::from_utf8(out)
        .expect("text")
        .replace("Access-Control-Allow-", "ACA-");
    (answer.status(), text, answer.outcome())
}

/// Asks with this origin, method and these requested headers (`""` for no such field).
pub(crate) fn ask(
    policies: &CorsPolicies,
    origin: &str,
    method: &str,
    headers: &str,
) -> (u16, String, CorsOutcome) {
    let origin = format!("Origin: {origin}");
    let method = format!("Access-Control-Request-Method: {method}");
    let headers = format!("Access-Control-Request-Headers: {headers}");
    let lines = [origin.as_str(), &method, &headers];
    let count = if headers.ends_with(": ") { 2 } else { 3 };
    preflight(policies, &lines[..count])
}

#[test]
fn what_is_a_preflight() {
    let live = compile(vec![spec(&["https://a.example"])]);
    let passthrough = compile(vec![CorsPolicySpec {
        upstream: UpstreamMode::Passthrough,
        ..spec(&["*"])
    }]);
    let shadow = compile(vec![CorsPolicySpec {
        shadow: true,
        ..spec(&["*"])
    }]);
    let origin = "Origin: https://a.example";
    let method = "Access-Control-Request-Method: PUT";
    let rows: &[(&CorsPolicies, &str, &[&str], CorsKind)] = &[
        (&live, "OPTIONS", &[origin, method], CorsKind::Preflight),
        (&live, "OPTIONS", &[origin], CorsKind::Actual),
        (&live, "OPTIONS", &[method], CorsKind::NotCors),
        (&live, "OPTIONS", &[], CorsKind::NotCors),
        (&live, "GET", &[origin, method], CorsKind::Actual),
        (&live, "options", &[origin, method], CorsKind::Actual),
        (&live, "GET", &[], CorsKind::NotCors),
        (&passthrough, "OPTIONS", &[origin, method], CorsKind::Actual),
        (&shadow, "OPTIONS", &[origin, method], CorsKind::Actual),
    ];
    for (policies, verb, lines, expected) in rows {
        let head = Head::new(verb, lines);
        assert_eq!(
            policies.classify(head.request()),
            *expected,
            "{verb} {lines:?}"
        );
    }
    let none = CorsPolicies::none();
    let head = Head::new("OPTIONS", &[origin, method]);
    assert_eq!(none.classify(head.request()), CorsKind::Actual);
}

#[test]
fn a_granted_preflight() {
    let policies = compile(vec![CorsPolicySpec {
        methods: list(&["GET", "PUT"]),
        request_headers: list(&["Content-Type", "X-Token"]),
        max_age_s: Some(600),
        ..spec(&["https://a.example"])
    }]);
    let lines = "ACA-Origin: https://a.example\r\nACA-Methods: GET, PUT\r\n\
                 ACA-Headers: Content-Type, X-Token\r\nAccess-Control-Max-Age: 600\r\n\
                 Vary: Origin\r\n";
    let granted = (204, lines.to_owned(), CorsOutcome::Granted);
    assert_eq!(ask(&policies, "https://a.example", "PUT", ""), granted);
    assert_eq!(
        ask(
            &policies,
            "https://a.example",
            "PUT",
            "content-type,x-token"
        ),
        granted
    );
    assert_eq!(
        ask(&policies, "https://a.example", "HEAD", " X-TOKEN ,,"),
        granted
    );
    let refused = |outcome| (204, "Vary: Origin\r\n".to_owned(), outcome);
    let rows = [
        ("https://b.example", "PUT", "", CorsOutcome::RefusedOrigin),
        (
            "https://a.example",
            "DELETE",
            "",
            CorsOutcome::RefusedMethod,
        ),
        ("https://a.example", "put", "", CorsOutcome::RefusedMethod),
        (
            "https://a.example",
            "P UT",
            "",
            CorsOutcome::RefusedMalformed,
        ),
        (
            "https://a.example",
            "PUT",
            "x-other",
            CorsOutcome::RefusedHeaders,
        ),
        (
            "https://a.example",
            "PUT",
            "x-token, x-other",
            CorsOutcome::RefusedHeaders,
        ),
    ];
    for (origin, method, headers, outcome) in rows {
        assert_eq!(
            ask(&policies, origin, method, headers),
            refused(outcome),
            "{origin} {method}"
        );
    }
}

#[test]
fn a_preflight_with_several_methods_is_refused() {
    let policies = compile(vec![spec(&["https://a.example"])]);
    let method = "Access-Control-Request-Method: GET";
    // The parser may refuse such a head before a policy sees it; either is right.
    let lines = [
        b"Origin: https://a.example".as_slice(),
        method.as_bytes(),
        method.as_bytes(),
    ];
    if let Some(head) = Head::of_bytes("OPTIONS", &lines) {
        let answer = policies.decide_preflight(head.request());
        assert_eq!(answer.outcome(), CorsOutcome::RefusedMalformed);
    }
    let once = Head::of_bytes("OPTIONS", &lines[..2]).expect("a head");
    assert!(policies.decide_preflight(once.request()).granted());
}

#[test]
fn a_refusal_may_be_403() {
    let policies = compile(vec![CorsPolicySpec {
        refused_preflight: RefusedPreflight::Forbidden,
        ..spec(&["https://a.example"])
    }]);
    assert_eq!(ask(&policies, "https://b.example", "GET", "").0, 403);
    assert_eq!(ask(&policies, "https://a.example", "GET", "").0, 204);
}

#[test]
fn stars_without_credentials_stay_stars() {
    let policies = compile(vec![CorsPolicySpec {
        methods: list(&["*"]),
        request_headers: list(&["*", "Authorization"]),
        ..spec(&["*"])
    }]);
    let lines = "ACA-Origin: *\r\nACA-Methods: *\r\nACA-Headers: *, Authorization\r\n";
    let granted = (204, lines.to_owned(), CorsOutcome::Constant);
    assert_eq!(
        ask(&policies, "https://a.example", "PATCH", "x-a,authorization"),
        granted
    );
}

#[test]
fn stars_with_credentials_are_spelled_out() {
    let policies = compile(vec![CorsPolicySpec {
        credentials: true,
        methods: list(&["*"]),
        request_headers: list(&["*"]),
        ..spec(&["https://a.example"])
    }]);
    let (_, text, outcome) = ask(&policies, "https://a.example", "PATCH", "x-a,,x-b");
    assert_eq!(outcome, CorsOutcome::Granted);
    assert_eq!(
        text,
        "ACA-Origin: https://a.example\r\nACA-Credentials: true\r\nACA-Methods: PATCH\r\n\
         ACA-Headers: x-a, x-b\r\nVary: Origin\r\n"
    );
    let (_, text, _) = ask(&policies, "https://a.example", "PATCH", "");
    assert!(!text.contains("ACA-Headers"), "nothing was asked: {text}");
    let refused = ask(&policies, "https://a.example", "PATCH", "authorization");
    assert_eq!(refused.2, CorsOutcome::RefusedHeaders);
}

#[test]
fn header_patterns_of_dialect_s3() {
    let s3 = CorsPolicySpec {
        dialect: Dialect::S3,
        request_headers: list(&["x-amz-*", "Content-*"]),
        ..spec(&["https://a.example"])
    };
    let policies = compile(vec![s3.clone()]);
    let (_, text, _) = ask(
        &policies,
        "https://a.example",
        "GET",
        "X-Amz-Date,content-type",
    );
    assert!(
        text.contains("ACA-Headers: X-Amz-Date, content-type\r\n"),
        "{text}"
    );
    let refused = ask(&policies, "https://a.example", "GET", "x-am");
    assert_eq!(refused.2, CorsOutcome::RefusedHeaders);
    // There HEAD is a method of its own.
    let get = compile(vec![CorsPolicySpec {
        methods: list(&["GET"]),
        ..s3.clone()
    }]);
    assert_eq!(
        ask(&get, "https://a.example", "HEAD", "").2,
        CorsOutcome::RefusedMethod
    );
    let native = CorsPolicySpec {
        dialect: Dialect::Native,
        ..s3
    };
    let problems = CorsPolicies::compile(vec![native]).expect_err("no stars in native names");
    assert_eq!(problems[0].lint.code(), "E109");
}

#[test]
fn private_networks_are_answered_when_asked_and_allowed() {
    let asked = [
        "Origin: https://a.example",
        "Access-Control-Request-Method: GET",
        "Access-Control-Request-Private-Network: true",
    ];
    let open = compile(vec![CorsPolicySpec {
        private_network: true,
        ..spec(&["https://a.example"])
    }]);
    assert!(
        preflight(&open, &asked)
            .1
            .contains("ACA-Private-Network: true\r\n")
    );
    assert!(!preflight(&open, &asked[..2]).1.contains("Private-Network"));
    let closed = compile(vec![spec(&["https://a.example"])]);
    assert!(!preflight(&closed, &asked).1.contains("Private-Network"));
}

#[test]
fn several_policies_share_a_preflight() {
    let policies = compile(vec![
        CorsPolicySpec {
            methods: list(&["GET"]),
            ..spec(&["https://a.example"])
        },
        CorsPolicySpec {
            methods: list(&["PUT"]),
            request_headers: list(&["x-a"]),
            ..spec(&["https://a.example"])
        },
        CorsPolicySpec {
            methods: list(&["PUT"]),
            request_headers: list(&["x-b"]),
            ..spec(&["*"])
        },
    ]);
    let headers = |answer: (u16, String, CorsOutcome)| answer.1.contains("ACA-Headers: x-b");
    assert!(headers(ask(&policies, "https://a.example", "PUT", "x-b")));
    assert!(!headers(ask(&policies, "https://a.example", "PUT", "x-a")));
    // The refusal of the policy that came furthest is the one told.
    assert_eq!(
        ask(&policies, "https://a.example", "PUT", "x-c").2,
        CorsOutcome::RefusedHeaders
    );
    assert_eq!(
        ask(&policies, "https://a.example", "POST", "").2,
        CorsOutcome::RefusedMethod
    );
}

// Modes ------------------------------------------------------------------------------------------

#[test]
fn passthrough_writes_nothing_and_still_knows() {
    let mode = UpstreamMode::Passthrough;
    let policies = compile(vec![CorsPolicySpec {
        upstream: mode,
        ..spec(&["https://a.example"])
    }]);
    assert_eq!(policies.upstream_mode(), UpstreamMode::Passthrough);
    check_actual(
        &policies,
        Some("https://a.example"),
        ("", CorsOutcome::Passthrough, ""),
    );
    let decide = |value: &'static [u8]| {
        policies
            .decide_actual(RequestOrigin::One(value), b"GET", None)
            .policy()
            .is_some()
    };
    assert!(decide(b"https://a.example") && !decide(b"https://b.example"));
    assert!(policies.vary_contribution(None).owned_fields().is_empty());
}

#[test]
fn passthrough_leaves_only_cors_to_the_upstream() {
    let policies = compile(vec![CorsPolicySpec {
        upstream: UpstreamMode::Passthrough,
        timing: true,
        resource_policy: Some(ResourcePolicy::SameSite),
        ..spec(&["https://a.example"])
    }]);
    let corp = "Cross-Origin-Resource-Policy: same-site\r\n";
    let both = format!("{corp}Timing-Allow-Origin: https://a.example\r\n");
    let granted = (both.as_str(), CorsOutcome::Passthrough, "Origin");
    check_actual(&policies, Some("https://a.example"), granted);
    check_actual(
        &policies,
        Some("https://b.example"),
        (corp, CorsOutcome::Passthrough, "Origin"),
    );
    let owned = policies.vary_contribution(None).owned_fields();
    assert!(owned.contains(KnownField::TimingAllowOrigin));
    assert!(!owned.contains(KnownField::AccessControlAllowOrigin));
}

#[test]
fn duplicate_keeps_the_upstream_s_lines() {
    let mode = UpstreamMode::Duplicate;
    let policies = compile(vec![CorsPolicySpec {
        upstream: mode,
        ..spec(&["*"])
    }]);
    assert_eq!(policies.upstream_mode(), UpstreamMode::Duplicate);
    assert!(policies.vary_contribution(None).owned_fields().is_empty());
    assert_eq!(policies.warnings()[0].lint.code(), "W109");
    check_actual(
        &policies,
        None,
        ("ACA-Origin: *\r\n", CorsOutcome::Constant, ""),
    );
}

#[test]
fn shadow_policies_are_evaluated_beside_live_ones() {
    let shadow = CorsPolicySpec {
        shadow: true,
        ..spec(&["https://b.example"])
    };
    let policies = compile(vec![spec(&["https://a.example"]), shadow.clone()]);
    let decide = |value: &'static [u8]| {
        let answer = policies.decide_actual(RequestOrigin::One(value), b"GET", None);
        (answer.granted(), answer.shadow())
    };
    assert_eq!(decide(b"https://a.example"), (true, ShadowVerdict::Refuse));
    assert_eq!(decide(b"https://b.example"), (false, ShadowVerdict::Grant));
    let head = Head::new(
        "OPTIONS",
        &[
            "Origin: https://b.example",
            "Access-Control-Request-Method: GET",
        ],
    );
    let answer = policies.decide_preflight(head.request());
    assert_eq!(
        (answer.granted(), answer.shadow()),
        (false, ShadowVerdict::Grant)
    );
    // Alone, a shadow policy leaves everything to the upstream.
    let alone = compile(vec![shadow]);
    assert_eq!(alone.upstream_mode(), UpstreamMode::Passthrough);
    check_actual(
        &alone,
        Some("https://b.example"),
        ("", CorsOutcome::NoPolicy, ""),
    );
    let none = compile(Vec::new());
    assert!(none.is_none() && CorsPolicies::none().is_none());
    assert_eq!(none.upstream_mode(), UpstreamMode::Passthrough);
}

// Findings ---------------------------------------------------------------------------------------

#[test]
fn every_finding_is_told_at_once() {
    let wrong = CorsPolicySpec {
        origins: list(&[
            "https://a.example",
            "bad",
            "https://*.com",
            "https://a.example",
        ]),
        methods: list(&["GET", "get", "TRACE", "P UT", "*x"]),
        request_headers: list(&["x-a", "x b", "x-*"]),
        expose: list(&["ETag", "*", "a b"]),
        credentials: true,
        max_age_s: Some(86_401),
        content_types: list(&["font/*", "font"]),
        upstream: UpstreamMode::Duplicate,
        ..CorsPolicySpec::default()
    };
    let problems = CorsPolicies::compile(vec![spec(&["*"]), wrong]).expect_err("many");
    let mut codes: Vec<&str> = problems.iter().map(|problem| problem.lint.code()).collect();
    codes.sort_unstable();
    assert_eq!(
        codes,
        [
            "E101", "E104", "E107", "E107", "E108", "E109", "E110", "E112", "E113", "W102", "W104",
            "W105", "W106", "W107", "W109",
        ]
    );
    assert!(problems.iter().all(|problem| problem.policy == 1));
}

#[test]
fn redundant_patterns_are_told_with_what_covers_them() {
    let told = |origins: &[&str], dialect| {
        let policies = compile(vec![CorsPolicySpec {
            dialect,
            ..spec(origins)
        }]);
        let problems = policies
            .warnings()
            .iter()
            .filter(|p| p.lint.code() == "W102");
        problems
            .map(|problem| problem.lint.to_string())
            .collect::<Vec<String>>()
    };
    let by = |needless: &str, by: &str| vec![format!("`{needless}` is already allowed by `{by}`")];
    let native = |origins: &[&str]| told(origins, Dialect::Native);
    let (suffix, exact) = ("https://*.a.example", "https://x.a.example");
    assert_eq!(native(&[exact, suffix]), by(exact, suffix));
    assert_eq!(native(&[suffix, exact]), by(exact, suffix));
    assert_eq!(
        native(&[suffix, "https://*.b.a.example"]),
        by("https://*.b.a.example", suffix)
    );
    assert_eq!(
        native(&[suffix, "https://a.example"]),
        [""; 0],
        "the apex is not covered"
    );
    assert_eq!(
        native(&[suffix, "http://x.a.example"]),
        [""; 0],
        "another scheme"
    );
    assert_eq!(
        native(&[suffix, "https://x.a.example:81"]),
        [""; 0],
        "another port"
    );
    let any = "http://localhost:*";
    assert_eq!(
        native(&["http://localhost:81", any]),
        by("http://localhost:81", any)
    );
    assert_eq!(
        native(&["http://localhost", any]),
        by("http://localhost", any)
    );
    let both = "*://a.example";
    assert_eq!(
        native(&["http://a.example", both]),
        by("http://a.example", both)
    );
    assert_eq!(
        native(&[both, "http://a.example"]),
        by("http://a.example", both)
    );
    let pair = native(&["http://a.example", both, "https://a.example"]);
    assert_eq!(pair.len(), 2, "the wide one stays: {pair:?}");
    let any_port = native(&[both, "http://a.example:*", "https://a.example:*"]);
    assert_eq!(any_port, by(both, "https://a.example:*"));
    assert_eq!(native(&["https://a.example", "https://a.example"]).len(), 1);
    assert_eq!(native(&["null", "null"]).len(), 1);
    let s3 = |origins: &[&str]| told(origins, Dialect::S3);
    assert_eq!(
        s3(&["https://app*", "https://app1.example"]),
        by("https://app1.example", "https://app*")
    );
    assert_eq!(s3(&["https://app*", "https://app*"]).len(), 1);
}
