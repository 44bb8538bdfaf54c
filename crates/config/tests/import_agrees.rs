//! An independent model of S3's documented algorithm against the plan that the import of the same
//! rules compiles to: they decide alike, except where a finding named the construct.

use std::fmt::Write as _;

use corsair_config::import::{ImportKind, Imported, Weight, import};
use corsair_config::{NoFiles, check};
use corsair_http1::{HeadLimits, Parsed, RequestHead};
use corsair_rules::RequestOrigin;
use proptest::prelude::*;

/// One rule as S3 has it.
#[derive(Debug, Clone)]
struct Rule {
    origins: Vec<&'static str>,
    methods: Vec<&'static str>,
    headers: Vec<&'static str>,
}

/// What is asked; headers only in a preflight.
#[derive(Debug, Clone)]
struct Question {
    origin: &'static str,
    method: &'static str,
    headers: Option<Vec<&'static str>>,
}

/// What is answered to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    Refused,
    Everyone,
    Echo { credentials: bool },
}

/// A text with one star at most, for one or more characters.
fn covers(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((before, behind)) => {
            text.len() > before.len() + behind.len()
                && text.starts_with(before)
                && text.ends_with(behind)
        }
    }
}

/// The documented algorithm: the first rule whose origin, method and every header pass.
fn model(rules: &[Rule], question: &Question) -> Answer {
    let passes = |rule: &&Rule| {
        let asked = question.headers.iter().flatten();
        rule.origins
            .iter()
            .any(|own| *own == "*" || covers(own, question.origin))
            && rule.methods.contains(&question.method)
            && asked.into_iter().all(|name| {
                rule.headers
                    .iter()
                    .any(|own| *own == "*" || covers(&own.to_lowercase(), name))
            })
    };
    match rules.iter().find(passes) {
        None => Answer::Refused,
        Some(rule) if rule.origins.contains(&"*") => Answer::Everyone,
        Some(_) => Answer::Echo { credentials: true },
    }
}

fn as_json(rules: &[Rule]) -> String {
    let list = |texts: &[&str]| {
        let quoted: Vec<String> = texts.iter().map(|text| format!("\"{text}\"")).collect();
        quoted.join(",")
    };
    let mut json = String::from("[");
    for (index, rule) in rules.iter().enumerate() {
        let comma = if index == 0 { "" } else { "," };
        write!(
            json,
            "{comma}{{\"AllowedOrigins\":[{}],\"AllowedMethods\":[{}],\"AllowedHeaders\":[{}]}}",
            list(&rule.origins),
            list(&rule.methods),
            list(&rule.headers)
        )
        .expect("writing to a String cannot fail");
    }
    json.push(']');
    json
}

/// What the compiled plan answers, read off the field lines it writes.
fn ours(imported: &Imported, question: &Question) -> Answer {
    let checked = check("imported.toml", &imported.config, &NoFiles);
    let told = format!("{:?}\n{}", checked.diagnostics, imported.config);
    let plan = checked.plan.expect(&told);
    let policies = &plan.site_plans[0].route_plans[0].cors;
    let mut head = match &question.headers {
        None => format!("{} / HTTP/1.1\r\nHost: a\r\n", question.method),
        Some(_) => format!(
            "OPTIONS / HTTP/1.1\r\nHost: a\r\nAccess-Control-Request-Method: {}\r\n",
            question.method
        ),
    };
    write!(head, "Origin: {}\r\n", question.origin).expect("writing to a String cannot fail");
    if let Some(headers) = question
        .headers
        .as_ref()
        .filter(|headers| !headers.is_empty())
    {
        write!(
            head,
            "Access-Control-Request-Headers: {}\r\n",
            headers.join(",")
        )
        .expect("writing to a String cannot fail");
    }
    head.push_str("\r\n");
    let mut parsed = RequestHead::new();
    let complete = parsed.parse(head.as_bytes(), &HeadLimits::default());
    assert!(matches!(complete, Ok(Parsed::Complete)), "{head}");
    let request = parsed.view(head.as_bytes());
    let mut out = Vec::new();
    if question.headers.is_some() {
        policies.decide_preflight(request).write(&mut out, request);
    } else {
        let origin = RequestOrigin::of(request);
        let answer = policies.decide_actual(origin, question.method.as_bytes(), None);
        answer.write(&mut out, origin);
    }
    let text = String::from_utf8(out).expect("ASCII");
    let line = |start: &str| text.lines().find_map(|line| line.strip_prefix(start));
    match line("Access-Control-Allow-Origin: ") {
        None => Answer::Refused,
        Some("*") => Answer::Everyone,
        Some(echo) => {
            assert_eq!(echo, question.origin, "an echo is the request's own bytes");
            let credentials = line("Access-Control-Allow-Credentials: ") == Some("true");
            Answer::Echo { credentials }
        }
    }
}

/// Whether a difference was told about a pattern that covers this origin.
fn is_told(imported: &Imported, question: &Question) -> bool {
    let differences = imported
        .findings
        .iter()
        .filter(|finding| finding.weight == Weight::Difference);
    differences
        .map(|finding| finding.construct.trim_matches('`'))
        .any(|pattern| covers(pattern, question.origin))
}

const PATTERNS: [&str; 20] = [
    "*",
    "null",
    "https://a.example",
    "https://b.a.example",
    "http://a.example:8080",
    "https://a.example:443",
    "https://A.example",
    "https://a.example/",
    "a.example",
    "https://*.a.example",
    "*.a.example",
    "*a.example",
    "https://*",
    "http*",
    "http://*:8080",
    "https://*.github.io",
    "*l",
    "h*l",
    "http*://a.example",
    "capacitor://localhost",
];

const ORIGINS: [&str; 14] = [
    "null",
    "https://a.example",
    "http://a.example",
    "https://b.a.example",
    "https://c.b.a.example",
    "https://xa.example",
    "http://a.example:8080",
    "https://a.example:8443",
    "https://me.github.io",
    "https://stranger.test",
    "http://10.0.0.1:8080",
    "https://[::1]",
    "capacitor://localhost",
    "https://x.local",
];

const METHODS: [&str; 5] = ["GET", "HEAD", "PUT", "POST", "DELETE"];
const HEADERS: [&str; 6] = [
    "*",
    "x-amz-*",
    "Content-Type",
    "*-token",
    "Authorization",
    "auth*",
];
const ASKED: [&str; 6] = [
    "x-amz-acl",
    "content-type",
    "authorization",
    "x-token",
    "authority",
    "x-other",
];

fn some<T: Clone + std::fmt::Debug + 'static>(
    all: &'static [T],
    counts: std::ops::RangeInclusive<usize>,
) -> impl Strategy<Value = Vec<T>> {
    prop::sample::subsequence(all, counts)
}

fn rule() -> impl Strategy<Value = Rule> {
    (
        some(&PATTERNS, 1..=3),
        some(&METHODS, 1..=3),
        some(&HEADERS, 0..=2),
    )
        .prop_map(|(origins, methods, headers)| Rule {
            origins,
            methods,
            headers,
        })
}

fn question() -> impl Strategy<Value = Question> {
    let origin = prop::sample::select(&ORIGINS[..]);
    let method = prop::sample::select(&METHODS[..]);
    let headers = prop::option::of(some(&ASKED, 0..=2));
    (origin, method, headers).prop_map(|(origin, method, headers)| Question {
        origin,
        method,
        headers,
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn s3_and_the_import_decide_alike_or_it_was_told(
        rules in prop::collection::vec(rule(), 1..4),
        questions in prop::collection::vec(question(), 1..12),
    ) {
        let json = as_json(&rules);
        let imported = import(ImportKind::S3, "cors.json", &json).expect("S3 takes these rules");
        for question in &questions {
            let (theirs, ours) = (model(&rules, question), ours(&imported, question));
            prop_assert!(
                theirs == ours || is_told(&imported, question),
                "{json}\n{question:?}\nS3 {theirs:?}, Corsair {ours:?}\n{}",
                imported.config
            );
        }
    }
}

/// The model is not the import in other words: it refuses and grants what the documents say.
#[test]
fn the_model_follows_the_documents() {
    let rule = |origins: &[&'static str], headers: &[&'static str]| Rule {
        origins: origins.to_vec(),
        methods: vec!["GET"],
        headers: headers.to_vec(),
    };
    let ask = |origin, headers| Question {
        origin,
        method: "GET",
        headers,
    };
    let echo = Answer::Echo { credentials: true };
    let rows = [
        (rule(&["http://*"], &[]), ask("http://a.b:80", None), echo),
        (
            rule(&["http://*.b"], &[]),
            ask("http://.b", None),
            Answer::Refused,
        ),
        (rule(&["*"], &[]), ask("null", None), Answer::Everyone),
        (
            rule(&["*"], &[]),
            ask("null", Some(vec!["x"])),
            Answer::Refused,
        ),
        (
            rule(&["*"], &["X-*"]),
            ask("null", Some(vec!["x-a"])),
            Answer::Everyone,
        ),
        (
            rule(&["https://A.b"], &[]),
            ask("https://a.b", None),
            Answer::Refused,
        ),
    ];
    for (rule, question, expected) in rows {
        assert_eq!(model(&[rule], &question), expected, "{question:?}");
    }
}
