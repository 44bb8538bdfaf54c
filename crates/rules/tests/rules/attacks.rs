//! Each attack on CORS policies that this crate can answer, with the input and the right answer.
//!
//! "Nothing" is a response without any CORS field, with `Vary: Origin`. What concerns stored
//! responses (unkeyed origins, preflights kept and reused) is held by the tests of the whole node.

use crate::support::Head;
use corsair_rules::{
    CorsOutcome, CorsPolicies, CorsPolicySpec, Dialect, ExistingOrigin, HeaderOp, HeaderOpSpec,
    HeaderPolicy, PatternError, RequestOrigin, Severity, is_cors_response_field, merge_vary,
};

fn spec(origins: &[&str]) -> CorsPolicySpec {
    CorsPolicySpec {
        origins: origins.iter().map(|&text| text.to_owned()).collect(),
        credentials: true,
        ..CorsPolicySpec::default()
    }
}

/// The policy of most attacks: the apex and all names below it, with credentials.
fn example() -> CorsPolicies {
    CorsPolicies::compile(vec![spec(&[
        "https://example.com",
        "https://*.example.com",
    ])])
    .expect("a policy")
}

fn actual(policies: &CorsPolicies, origin: RequestOrigin<'_>) -> String {
    let mut out = Vec::new();
    policies
        .decide_actual(origin, b"GET", None)
        .write(&mut out, origin);
    merge_vary(
        [].into_iter(),
        ExistingOrigin::Drop,
        policies.vary_contribution(None).names(),
        &mut out,
    );
    String::from_utf8(out).expect("text")
}

const NOTHING: &str = "Vary: Origin\r\n";

fn check_refused(number: u32, policies: &CorsPolicies, value: &[u8]) {
    let shown = String::from_utf8_lossy(value);
    let answer = actual(policies, RequestOrigin::One(value));
    assert_eq!(answer, NOTHING, "attack {number}: {shown:?}");
    // The same by way of a preflight, when the parser lets the value through at all.
    let line = [b"Origin: ".as_slice(), value].concat();
    let lines: [&[u8]; 2] = [&line, b"Access-Control-Request-Method: GET"];
    if let Some(head) = Head::of_bytes("OPTIONS", &lines) {
        let answer = policies.decide_preflight(head.request());
        let mut out = Vec::new();
        answer.write(&mut out, head.request());
        assert_eq!(
            out,
            NOTHING.as_bytes(),
            "attack {number} as a preflight: {shown:?}"
        );
    }
}

fn check_granted(policies: &CorsPolicies, value: &str) {
    let expected = format!(
        "Access-Control-Allow-Origin: {value}\r\n\
         Access-Control-Allow-Credentials: true\r\n{NOTHING}"
    );
    assert_eq!(
        actual(policies, RequestOrigin::One(value.as_bytes())),
        expected
    );
}

/// The codes of the errors that refuse a policy.
fn refusals(spec: CorsPolicySpec) -> Vec<&'static str> {
    let problems = CorsPolicies::compile(vec![spec]).expect_err("a policy to refuse");
    problems
        .iter()
        .filter(|problem| problem.lint.severity() == Severity::Error)
        .map(|problem| problem.lint.code())
        .collect()
}

#[test]
fn values_that_are_never_granted() {
    let policies = example();
    check_granted(&policies, "https://example.com");
    check_granted(&policies, "https://a.example.com");
    check_granted(&policies, "https://a.b-c.example.com");
    let long = format!("https://{}.example.com", "a".repeat(5000));
    let deep = format!("https://{}example.com", "a.".repeat(130));
    let rows: &[(u32, &[u8])] = &[
        (2, b"https://evilexample.com"),
        (2, b"https://evil-example.com"),
        (3, b"https://example.com.evil.net"),
        (3, b"https://a.example.com.evil.net"),
        (5, b"https://examplescom"),
        (5, b"https://axexample.com"),
        (5, b"https://example.comx"),
        (7, b"null"),
        (8, b"HTTPS://Example.COM"),
        (8, b"https://Example.com"),
        (8, b"https://A.example.com"),
        (9, b"https://example.com."),
        (9, b"https://a.example.com."),
        (10, b"https://example.com@evil.net"),
        (10, b"https://evil.net@a.example.com"),
        (10, b"https://evil.net@example.com"),
        (11, b"https://evil/.example.com"),
        (11, b"https://evil.net/.example.com"),
        (11, b"https://evil.net?.example.com"),
        (11, b"https://evil.net#.example.com"),
        (11, b"https://evil.net:.example.com"),
        (12, b"https://evil`.example.com"),
        (12, b"https://evil{.example.com"),
        (12, b"https://evil\\.example.com"),
        (12, b"https://evil%2e.example.com"),
        (13, b"https://.example.com"),
        (13, b"https://a..example.com"),
        (13, b"https://..example.com"),
        (14, b"https://example.com:8443"),
        (14, b"https://example.com:443"),
        (14, b"https://example.com:80.evil.net"),
        (14, b"https://example.com:"),
        (14, b"https://example.com:0443"),
        (15, b"http://example.com"),
        (15, b"capacitor://example.com"),
        (15, b"https:example.com"),
        (15, b"https:/example.com"),
        (15, b"xhttps://example.com"),
        (18, b"https://example.com, https://evil.net"),
        (18, b"https://example.com,https://example.com"),
        (18, b"https://example.com https://evil.net"),
        (23, b"https://evil\r\nX: y.example.com"),
        (23, b"https://evil\0.example.com"),
        (23, b"https://evil\n.example.com"),
        (23, b"https://evil\t.example.com"),
        (0, b""),
        (0, b"https://"),
        (0, b"https://*.example.com"),
        (0, b"*"),
        (0, b"https://example.com/"),
        (0, b"\xff\xfe"),
        (0, "https://ex\u{e4}mple.com".as_bytes()),
        (0, long.as_bytes()),
        (0, deep.as_bytes()),
    ];
    for (number, value) in rows {
        check_refused(*number, &policies, value);
    }
}

#[test]
fn several_origin_lines_are_never_granted() {
    let policies = example();
    assert_eq!(actual(&policies, RequestOrigin::Several), NOTHING);
    let answer = policies.decide_actual(RequestOrigin::Several, b"GET", None);
    assert_eq!(
        (answer.granted(), answer.outcome()),
        (false, CorsOutcome::RefusedSeveral)
    );
    let lines: [&[u8]; 3] = [
        b"Origin: https://example.com",
        b"Origin: https://evil.net",
        b"Access-Control-Request-Method: GET",
    ];
    if let Some(head) = Head::of_bytes("OPTIONS", &lines) {
        assert_eq!(RequestOrigin::of(head.request()), RequestOrigin::Several);
        assert!(!policies.decide_preflight(head.request()).granted());
    }
}

/// Attacks 1, 4, 7, 17, 21, 23: what must not load.
#[test]
fn policies_that_are_refused() {
    assert_eq!(refusals(spec(&["*"])), ["E102"]);
    assert_eq!(refusals(spec(&["null", "https://example.com"])), ["E103"]);
    for suffix in [
        "github.io",
        "com",
        "co.uk",
        "s3.amazonaws.com",
        "ck",
        "xn--p1ai",
    ] {
        for scheme in ["https", "*", "capacitor"] {
            let pattern = format!("{scheme}://*.{suffix}");
            let codes = refusals(spec(&[&pattern]));
            assert_eq!(codes, ["E104"], "{pattern}");
        }
        // Without credentials too: strangers would read what only the audience may.
        let open = CorsPolicySpec {
            credentials: false,
            ..spec(&[&format!("https://*.{suffix}")])
        };
        assert_eq!(refusals(open), ["E104"], "{suffix}");
    }
    let malformed = [
        "h*",
        "https://*",
        "https://a*.example.com",
        "https://example.com/",
        "https://example.com\r\nX: y",
        "https://exa\0mple.com",
        "example.com",
        "https://example.com,https://b.example.com",
        "",
    ];
    for text in malformed {
        // One typo in a list refuses the list; it never becomes `*` and is never skipped.
        let codes = refusals(spec(&["https://example.com", text]));
        assert_eq!(codes, ["E101"], "{text:?}");
    }
    assert_eq!(refusals(spec(&[])), ["E105"]);
}

#[test]
fn names_nobody_can_register_under_may_have_wildcards() {
    for suffix in [
        "example.com",
        "localhost",
        "internal",
        "svc.cluster.local",
        "a.github.io",
    ] {
        let pattern = format!("https://*.{suffix}");
        assert!(
            CorsPolicies::compile(vec![spec(&[&pattern])]).is_ok(),
            "{pattern}"
        );
    }
}

/// Attack 4 in the dialect that has such stars: reported, never with
/// credentials where names under them are for sale, and never without validation.
#[test]
fn stars_anywhere_are_reported() {
    let with = |credentials| CorsPolicySpec {
        dialect: Dialect::S3,
        credentials,
        ..spec(&["https://app*"])
    };
    let problems = CorsPolicies::compile(vec![with(true)]).expect_err("anybody's names");
    assert!(problems.iter().any(|problem| problem.lint.code() == "E121"));
    let policies = CorsPolicies::compile(vec![with(false)]).expect("dialect s3 has them");
    let codes: Vec<_> = policies
        .warnings()
        .iter()
        .map(|problem| problem.lint.code())
        .collect();
    assert_eq!(codes, ["W103"]);
    let stranger = "https://app.evil.net";
    let told = actual(&policies, RequestOrigin::One(stranger.as_bytes()));
    let expected = format!("Access-Control-Allow-Origin: {stranger}\r\n{NOTHING}");
    assert_eq!(told, expected);
    for value in [
        "https://app/x",
        "https://app@evil.net",
        "https://app",
        "https://app..x",
        "http://app.x",
    ] {
        check_refused(4, &policies, value.as_bytes());
    }
}

/// Attack 6: there are no regular expressions to forget an anchor in; stars end where the pattern does.
#[test]
fn every_pattern_is_a_full_match() {
    for (dialect, pattern) in [
        (Dialect::Native, "https://*.test.com"),
        (Dialect::S3, "https://*.test.com"),
        (Dialect::S3, "https://a*.test.com"),
    ] {
        let one = CorsPolicySpec {
            dialect,
            ..spec(&[pattern])
        };
        let policies = CorsPolicies::compile(vec![one]).expect("a policy");
        check_granted(&policies, "https://ab.test.com");
        for value in [
            "https://ab.test.com.evil.net",
            "https://evil.net:1https://ab.test.com",
            "xhttps://ab.test.com",
            "https://ab.test.com:8443",
            "https://ab.testxcom",
        ] {
            check_refused(6, &policies, value.as_bytes());
        }
    }
    for dialect in [Dialect::Native, Dialect::S3] {
        let regex = CorsPolicySpec {
            dialect,
            ..spec(&[r"^https://.*\.test\.com$"])
        };
        assert_eq!(refusals(regex), ["E101"], "{dialect:?}");
    }
}

/// Attack 16: loads, and says so; loopback is exempt.
#[test]
fn insecure_origins_with_credentials_are_reported() {
    let warned = |pattern: &str| {
        let policies = CorsPolicies::compile(vec![spec(&[pattern])]).expect("a policy");
        policies
            .warnings()
            .iter()
            .any(|problem| problem.lint.code() == "W101")
    };
    assert!(warned("http://example.com"));
    assert!(warned("*://example.com"));
    assert!(warned("http://*.example.com:8080"));
    for safe in [
        "https://example.com",
        "http://localhost:*",
        "http://127.0.0.1:3000",
        "http://[::1]",
    ] {
        assert!(!warned(safe), "{safe}");
    }
    let open = CorsPolicySpec {
        credentials: false,
        ..spec(&["http://example.com"])
    };
    assert!(
        CorsPolicies::compile(vec![open])
            .expect("a policy")
            .warnings()
            .is_empty()
    );
}

/// Attack 22: the upstream's own fields are replaced, whatever they say and whoever asks.
#[test]
fn the_upstream_cannot_widen_the_policy() {
    let owned = example().vary_contribution(None).owned_fields();
    for name in [
        "Access-Control-Allow-Origin",
        "access-control-allow-credentials",
        "Access-Control-Expose-Headers",
        "Access-Control-Max-Age",
        "ACCESS-CONTROL-ALLOW-PRIVATE-NETWORK",
        "Access-Control-Allow-Methods",
        "Access-Control-Allow-Headers",
    ] {
        let known = corsair_http1::KnownField::parse(name.as_bytes()).expect("a known field");
        assert!(owned.contains(known), "{name}");
        assert!(is_cors_response_field(name.as_bytes()), "{name}");
    }
    assert!(!is_cors_response_field(b"Access-Control"));
    // Also where the policy itself does not apply: the stored body serves all origins.
    let fonts = CorsPolicySpec {
        content_types: vec!["font/*".into()],
        ..spec(&["https://example.com"])
    };
    let policies = CorsPolicies::compile(vec![fonts]).expect("a policy");
    let outside = policies.vary_contribution(Some(b"text/html"));
    assert_eq!((outside.names(), outside.owned_fields()), ("", owned));
}

/// Attack 24: bounded in bytes and in members, without looking at what is over the bound.
#[test]
fn hostile_requested_headers_are_refused() {
    let any = CorsPolicySpec {
        request_headers: vec!["*".into()],
        credentials: false,
        ..spec(&["https://example.com"])
    };
    let policies = CorsPolicies::compile(vec![any]).expect("a policy");
    let ask = |value: &str| {
        let line = format!("Access-Control-Request-Headers: {value}");
        let lines = [
            "Origin: https://example.com",
            "Access-Control-Request-Method: GET",
            &line,
        ];
        let head = Head::new("OPTIONS", &lines);
        policies.decide_preflight(head.request()).outcome()
    };
    assert_eq!(ask("x-a,x-b"), CorsOutcome::Granted);
    assert_eq!(ask(&",".repeat(200)), CorsOutcome::Granted);
    assert_eq!(ask(&",".repeat(16 * 1024)), CorsOutcome::RefusedMalformed);
    assert_eq!(ask(&"a,".repeat(3000)), CorsOutcome::RefusedMalformed);
    assert_eq!(ask("x-a, x b"), CorsOutcome::RefusedMalformed);
    assert_eq!(ask("x-a, \"x-b\""), CorsOutcome::RefusedMalformed);
}

/// Attack 25.
#[test]
fn a_star_never_covers_authorization() {
    for credentials in [false, true] {
        let any = |headers: &[&str]| CorsPolicySpec {
            request_headers: headers.iter().map(|&name| name.to_owned()).collect(),
            credentials,
            ..spec(&["https://example.com"])
        };
        let ask = |spec: CorsPolicySpec, names: &str| {
            let policies = CorsPolicies::compile(vec![spec]).expect("a policy");
            let line = format!("Access-Control-Request-Headers: {names}");
            let lines = [
                "Origin: https://example.com",
                "Access-Control-Request-Method: GET",
                &line,
            ];
            let head = Head::new("OPTIONS", &lines);
            policies.decide_preflight(head.request()).outcome()
        };
        assert_eq!(
            ask(any(&["*"]), "authorization"),
            CorsOutcome::RefusedHeaders
        );
        assert_eq!(
            ask(any(&["*"]), "x-a,AUTHORIZATION"),
            CorsOutcome::RefusedHeaders
        );
        assert_eq!(
            ask(any(&["*", "Authorization"]), "authorization,x"),
            CorsOutcome::Granted
        );
        let starred = CorsPolicySpec {
            dialect: Dialect::S3,
            ..any(&["auth*"])
        };
        assert_eq!(ask(starred, "authorization"), CorsOutcome::RefusedHeaders);
    }
}

/// Attack 28: converted, and shown.
#[test]
fn internationalized_rules_are_converted_and_shown() {
    let policies =
        CorsPolicies::compile(vec![spec(&["https://b\u{fc}cher.example"])]).expect("a policy");
    let shown = policies.warnings()[0].lint.to_string();
    assert!(shown.contains("xn--bcher-kva.example"), "{shown}");
    check_granted(&policies, "https://xn--bcher-kva.example");
    check_refused(28, &policies, "https://b\u{fc}cher.example".as_bytes());
}

/// Attack 1 by way of header operations.
#[test]
fn operations_cannot_reflect_the_origin() {
    for (name, value) in [
        ("Access-Control-Allow-Origin", "${request.Origin}"),
        ("access-control-allow-origin", "${request.Referer}"),
        ("Access-Control-Allow-Origin", "https://${query.site}"),
        ("Timing-Allow-Origin", "${request.origin}"),
    ] {
        let op = HeaderOpSpec {
            op: HeaderOp::Set,
            name: name.into(),
            value: Some(value.into()),
            pattern: None,
            when: Default::default(),
        };
        let problems = HeaderPolicy::compile(vec![op]).expect_err("a reflection");
        assert_eq!(problems[0].lint.code(), "E140", "{name}: {value}");
    }
}

#[test]
fn every_refused_pattern_names_its_remedy() {
    let problems =
        CorsPolicies::compile(vec![spec(&["https://example.com/app"])]).expect_err("a path");
    let text = problems[0].lint.to_string();
    assert!(text.contains(&PatternError::Path.to_string()), "{text}");
    assert!(!problems[0].lint.remedy().is_empty());
}
