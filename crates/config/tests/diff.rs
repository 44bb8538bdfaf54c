//! What `diff` finds between two configurations: a table, and a property against sampled requests that
//! are put to the production decision of both sides.

use corsair_config::diff::{Direction, PlanDiff, diff};
use corsair_config::{Checked, NoFiles, check};
use corsair_http1::{HeadLimits, RequestHead};
use corsair_rules::{CorsPolicies, RequestOrigin};
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

fn plan_of(site: &str) -> Checked {
    let text = format!(
        "[[listener]]\naddress = \"127.0.0.1:1\"\n[[upstream]]\nname = \"u\"\n\
         servers = [\"http://127.0.0.1:9000\"]\n[[site]]\nhosts = [\"cdn.test\"]\nupstream = \"u\"\n{site}"
    );
    let checked = check("a.toml", &text, &NoFiles);
    assert!(checked.plan.is_some(), "{text}\n{:?}", checked.diagnostics);
    checked
}

fn compare(old: &str, new: &str) -> PlanDiff {
    let (old, new) = (plan_of(old), plan_of(new));
    diff(
        (old.plan.as_ref().expect("a plan"), &old.places),
        (new.plan.as_ref().expect("a plan"), &new.places),
    )
}

/// `expected`: one line for each change, `+ facet detail witness`, without surplus blanks.
fn check_diff(old: &str, new: &str, expected: &[&str]) {
    let found = compare(old, new);
    let changes = found.routes.iter().flat_map(|route| &route.changes);
    let lines: Vec<String> = changes
        .map(|change| {
            let sign = match change.direction {
                Direction::Widened => '+',
                Direction::Narrowed => '-',
                Direction::Changed => '~',
            };
            let witness = change.witness.as_deref().unwrap_or("?");
            format!("{sign} {} {} {witness}", change.facet, change.detail)
        })
        .collect();
    assert_eq!(lines, expected, "{old}\n→\n{new}");
    assert_eq!(
        found.widened,
        expected.iter().filter(|line| line.starts_with('+')).count()
    );
}

fn cors(rest: &str) -> String {
    format!("[site.cors]\n{rest}\n")
}

#[test]
fn one_policy() {
    let app = cors("origins = [\"https://app.test\"]");
    check_diff(&app, &app, &[]);
    let two = cors("origins = [\"https://app.test\", \"https://*.b.test\"]");
    check_diff(
        &app,
        &two,
        &["+ origin https://*.b.test https://any.b.test"],
    );
    check_diff(
        &two,
        &app,
        &["- origin https://*.b.test https://any.b.test"],
    );
    let any_port = cors("origins = [\"https://app.test:*\"]");
    check_diff(
        &app,
        &any_port,
        &["+ origin https://app.test:* https://app.test:8443"],
    );
    let puts =
        cors("origins = [\"https://app.test\"]\nmethods = [\"GET\", \"HEAD\", \"POST\", \"PUT\"]");
    check_diff(&app, &puts, &["+ method PUT https://app.test"]);
    check_diff(&puts, &app, &["- method PUT https://app.test"]);
    let asks = cors("origins = [\"https://app.test\"]\nrequest_headers = [\"X-A\"]");
    check_diff(&app, &asks, &["+ request header x-a https://app.test"]);
    let all = cors("origins = [\"https://app.test\"]\nrequest_headers = [\"*\"]");
    check_diff(
        &asks,
        &all,
        &["+ request header every other but authorization https://app.test"],
    );
    let sends = cors(
        "origins = [\"https://app.test\"]\ncredentials = true\nexpose = [\"ETag\"]\nmax_age = \"60s\"",
    );
    check_diff(
        &app,
        &sends,
        &[
            "+ credentials now allowed https://app.test",
            "+ expose etag https://app.test",
            "~ max_age not sent → 60 s https://app.test",
        ],
    );
}

#[test]
fn deciders_sites_and_routes() {
    let app = cors("origins = [\"https://app.test\"]");
    let taken = "+ cors the upstream decided, now the node does https://app.test";
    check_diff("", &app, &[taken]);
    let given = "+ cors the node decided, now the upstream does https://app.test";
    check_diff(&app, "", &[given]);
    check_diff("", "", &[]);
    let route =
        format!("{app}[[site.route]]\npath = \"/open/**\"\ncors = {{ origins = [\"*\"] }}\n");
    check_diff(&app, &route, &["+ origin * https://any.example"]);
    let found = compare(&app, &route);
    assert_eq!(found.routes[0].path.as_deref(), Some("/open/**"));
    let site = format!(
        "{app}[[site]]\nhosts = [\"b.test\"]\nupstream = \"u\"\n[site.cors]\norigins = [\"null\"]\n"
    );
    check_diff(
        &app,
        &site,
        &["+ origin null null", "~ site not served before (421) ?"],
    );
}

/// Two policies may grant together what neither policy before granted in one request.
#[test]
fn several_policies() {
    let policy = |methods: &str, headers: &str| {
        format!(
            "[[site.cors]]\norigins = [\"https://a.test\"]\nmethods = [{methods}]\n\
             request_headers = [{headers}]\n"
        )
    };
    let apart = policy("\"PUT\"", "\"x-a\"") + &policy("\"DELETE\"", "\"x-b\"");
    let joined = policy("\"PUT\", \"DELETE\"", "\"x-a\", \"x-b\"");
    let found = compare(&apart, &joined);
    assert!(found.widened > 0 && found.narrowed == 0, "{found:?}");
    let back = compare(&joined, &apart);
    assert!(back.widened == 0 && back.narrowed > 0, "{back:?}");
}

/// Origins that only two crossing star patterns share: no sample of either pattern alone is one.
#[test]
fn crossing_stars_are_no_matter_of_samples() {
    let policy = |origins: &str, rest: &str| {
        format!("[[site.cors]]\ndialect = \"s3\"\norigins = [\"{origins}\"]\n{rest}\n")
    };
    let (apps, tests) = ("https://app-*", "https://*-eu.test");
    let old = policy(apps, "") + &policy(tests, "");
    // Who is both is decided by the first: only from the second's others do credentials change.
    let sends = policy(apps, "") + &policy(tests, "credentials = true");
    let found = compare(&old, &sends);
    let change = &found.routes[0].changes[0];
    assert_eq!(
        (change.facet, change.direction),
        ("credentials", Direction::Widened)
    );
    let witness = change.witness.as_deref().expect("an example");
    assert!(
        !witness.starts_with("https://app-") && witness.ends_with("-eu.test"),
        "{witness}"
    );
    // The other order gives those of both to the second policy's settings.
    let turned = policy(tests, "expose = [\"ETag\"]") + &policy(apps, "");
    let found = compare(&policy(apps, ""), &turned);
    let change = found.routes[0]
        .changes
        .iter()
        .find(|change| change.facet == "expose");
    let witness = change
        .and_then(|change| change.witness.as_deref())
        .expect("an example");
    assert!(
        witness.starts_with("https://app-") && witness.ends_with("-eu.test"),
        "{witness}"
    );
    // The deciding policy's resource policy; of those who are granted nothing, the first one's.
    let embeds = |value: &str| {
        let own = |value: &str| format!("resource_policy = \"{value}\"");
        policy(apps, &own("cross-origin")) + &policy(tests, &own(value))
    };
    let found = compare(&embeds("cross-origin"), &embeds("same-site"));
    let [change] = &*found.routes[0].changes else {
        panic!("{found:?}");
    };
    assert_eq!(
        (change.facet, change.direction),
        ("resource_policy", Direction::Narrowed)
    );
    assert!(change.witness.is_some(), "{change:?}");
    // A policy that nobody reaches changes nothing.
    let hidden = policy("https://*", "") + &policy(tests, "");
    let more = policy("https://*", "") + &policy(tests, "credentials = true");
    check_diff(&hidden, &more, &[]);
}

fn policy_text() -> impl Strategy<Value = String> {
    let origins = vec![
        "https://a.test",
        "https://*.a.test",
        "https://b.a.test",
        "*://a.test",
        "https://a.test:*",
        "https://*.b.a.test:*",
        "null",
        "http://localhost:*",
        "app://x",
    ];
    let lists = (
        subsequence(origins, 1..4),
        subsequence(vec!["GET", "PUT", "DELETE", "*"], 1..3),
        subsequence(vec!["x-a", "x-b", "authorization", "*"], 0..3),
        subsequence(vec!["ETag", "X-Id"], 0..3),
        select(vec![
            "",
            "max_age = \"60s\"\n",
            "timing = true\n",
            "private_network = true\n",
        ]),
    );
    lists.prop_map(|(origins, methods, headers, expose, rest)| {
        format!(
            "[[site.cors]]\norigins = {origins:?}\nmethods = {methods:?}\n\
             request_headers = {headers:?}\nexpose = {expose:?}\n{rest}"
        )
    })
}

/// The lines of an actual answer that a facet stands for.
fn sent(policies: &CorsPolicies, origin: &str, method: &str) -> [bool; 3] {
    let origin = RequestOrigin::One(origin.as_bytes());
    let mut out = Vec::new();
    policies
        .decide_actual(origin, method.as_bytes(), None)
        .write(&mut out, origin);
    let text = String::from_utf8(out)
        .expect("field lines")
        .to_ascii_lowercase();
    ["etag", "x-id", "timing-allow-origin"].map(|word| text.contains(word))
}

fn grants(policies: &CorsPolicies, origin: &str, method: &str, headers: &str) -> (bool, bool) {
    let actual = policies.decide_actual(
        RequestOrigin::One(origin.as_bytes()),
        method.as_bytes(),
        None,
    );
    let asks = match headers {
        "" => String::new(),
        _ => format!("Access-Control-Request-Headers: {headers}\r\n"),
    };
    let bytes = format!(
        "OPTIONS / HTTP/1.1\r\nHost: h\r\nOrigin: {origin}\r\n\
         Access-Control-Request-Method: {method}\r\n{asks}\r\n"
    );
    let mut head = RequestHead::new();
    head.parse(bytes.as_bytes(), &HeadLimits::default())
        .expect("a good head");
    let preflight = policies.decide_preflight(head.view(bytes.as_bytes()));
    (actual.granted(), preflight.granted())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// When a sampled request is newly granted, something is told to have widened; when one is newly
    /// refused, something to have narrowed; and every origin that is told differs on the two sides.
    #[test]
    fn what_differs_is_told(
        old in proptest::collection::vec(policy_text(), 1..3),
        new in proptest::collection::vec(policy_text(), 1..3),
        origin in select(vec![
            "https://a.test", "http://a.test", "https://b.a.test", "https://c.b.a.test:8",
            "https://a.test:8443", "https://x.a.test", "null", "http://localhost:1", "app://x",
        ]),
        method in select(vec!["GET", "PUT", "DELETE", "PATCH"]),
        headers in select(vec!["", "x-a", "x-a,x-b", "authorization", "x-c", "authorization,x-c"]),
    ) {
        let (old, new) = (old.concat(), new.concat());
        let (before, after) = (plan_of(&old), plan_of(&new));
        let cors = |checked: &Checked| {
            let plan = checked.plan.as_ref().expect("a plan");
            std::sync::Arc::clone(&plan.site_plans[0].route_plans[0].cors)
        };
        let (old_cors, new_cors) = (cors(&before), cors(&after));
        let found = compare(&old, &new);
        let (was, is) = (
            grants(&old_cors, origin, method, headers),
            grants(&new_cors, origin, method, headers),
        );
        if (is.0 && !was.0) || (is.1 && !was.1) {
            prop_assert!(found.widened > 0, "{origin} {method} {headers}\n{old}→\n{new}{found:?}");
        }
        if (was.0 && !is.0) || (was.1 && !is.1) {
            prop_assert!(found.narrowed > 0, "{origin} {method} {headers}\n{old}→\n{new}{found:?}");
        }
        let changes = || found.routes.iter().flat_map(|route| &route.changes);
        let (before, after) = (sent(&old_cors, origin, method), sent(&new_cors, origin, method));
        let told = |facet: &str, direction| {
            changes().any(|change| change.facet == facet && change.direction == direction)
        };
        for (number, facet) in ["expose", "expose", "timing"].into_iter().enumerate() {
            if was.0 && is.0 && before[number] != after[number] {
                let direction = match after[number] {
                    true => Direction::Widened,
                    false => Direction::Narrowed,
                };
                prop_assert!(told(facet, direction), "{origin} {method}\n{old}→\n{new}{found:?}");
            }
        }
        for change in changes().filter(|change| matches!(change.facet, "expose" | "timing")) {
            let witness = change.witness.as_deref().expect("plain patterns are decided");
            let differs = ["GET", "PUT", "DELETE", "PATCH"].into_iter().any(|method| {
                grants(&old_cors, witness, method, "").0
                    && grants(&new_cors, witness, method, "").0
                    && sent(&old_cors, witness, method) != sent(&new_cors, witness, method)
            });
            prop_assert!(differs, "{witness} {change:?}\n{old}→\n{new}");
        }
        for change in changes() {
            let Some(witness) = change.witness.as_deref().filter(|_| change.facet == "origin") else {
                continue;
            };
            let granted = |cors: &CorsPolicies| {
                ["GET", "PUT", "DELETE", "PATCH"]
                    .into_iter()
                    .any(|method| grants(cors, witness, method, "").0)
            };
            let expected = change.direction == Direction::Widened;
            prop_assert_eq!(granted(&new_cors), expected, "{} {:?}", witness, change);
            prop_assert_eq!(granted(&old_cors), !expected, "{} {:?}", witness, change);
        }
    }
}

/// Header patterns are compared by every way in which they can cover a name, not by a sample of each.
#[test]
fn header_patterns_that_cross() {
    let asks = |names: &[&str]| {
        let names: Vec<String> = names.iter().map(|name| format!("\"{name}\"")).collect();
        let names = names.join(", ");
        cors(&format!(
            "origins = [\"https://a.test\"]\ndialect = \"s3\"\nrequest_headers = [{names}]"
        ))
    };
    let other = "+ request header every other but authorization https://a.test";
    check_diff(&asks(&["x-*"]), &asks(&["*"]), &[other]);
    check_diff(&asks(&["*r"]), &asks(&["*"]), &[other]);
    check_diff(&asks(&["x-any-other"]), &asks(&["*"]), &[other]);
    check_diff(
        &asks(&["x-any*"]),
        &asks(&["x-*"]),
        // What begins with `x-`, but not with `x-any`.
        &["+ request header x-ba https://a.test"],
    );
    // `aba` begins and ends like both, and is too short for the one that asks for both.
    check_diff(
        &asks(&["ab*ba"]),
        &asks(&["ab*ba", "aba"]),
        &["+ request header aba https://a.test"],
    );
    check_diff(&asks(&["x-*", "x-a*"]), &asks(&["x-*"]), &[]);
    check_diff(&asks(&["a*", "*"]), &asks(&["*"]), &[]);
    check_diff(&asks(&["auth*"]), &asks(&["*"]), &[other]);
}

/// One policy for what begins, one for what ends: only a name that does both is granted to both.
#[test]
fn header_patterns_of_several_policies() {
    let policy = |origin: &str, names: &str| {
        format!(
            "[[site.cors]]\norigins = [\"https://{origin}.test\"]\ndialect = \"s3\"\n\
             request_headers = [{names}]\n"
        )
    };
    let apart = policy("a", "\"x-*\"") + &policy("b", "\"*-id\"");
    let crossed = apart.clone() + &policy("b", "\"x-*-id\"") + &policy("a", "\"x-*-id\"");
    check_diff(&apart, &crossed, &[]);
    let wider = apart.clone() + &policy("c", "\"x-*-id\"");
    let found = compare(&apart, &wider);
    assert!(found.widened > 0 && found.narrowed == 0, "{found:?}");
    let third = policy("c", "\"k\"");
    let told = compare(
        &(apart.clone() + &third),
        &(apart + &third + &policy("c", "\"x-*-id\"")),
    );
    let names = told.routes.iter().flat_map(|route| &route.changes);
    let names: Vec<&str> = names.map(|change| change.detail.as_str()).collect();
    assert_eq!(names, ["x-any-id"], "`x-id` is too short for `x-*-id`");
}

#[test]
fn a_star_of_exposed_headers_is_a_name_to_pages_with_credentials() {
    let exposes = |names: &str, credentials: bool| {
        cors(&format!(
            "origins = [\"https://a.test\"]\nexpose = [{names}]\ncredentials = {credentials}"
        ))
    };
    let (star, etag) = ("\"*\"", "\"ETag\"");
    check_diff(
        &exposes(star, false),
        &exposes(etag, false),
        &["- expose * https://a.test"],
    );
    check_diff(
        &exposes(etag, false),
        &exposes(star, false),
        &["+ expose * https://a.test"],
    );
    check_diff(
        &exposes(star, true),
        &exposes(etag, true),
        &["+ expose etag https://a.test", "- expose * https://a.test"],
    );
}

#[test]
fn responses_without_a_content_type_are_a_kind() {
    let typed = cors("origins = [\"https://a.test\"]\nwhen = { content_type = [\"*/*\"] }");
    let all = cors("origins = [\"https://a.test\"]");
    check_diff(
        &typed,
        &all,
        &["+ content type no content type https://a.test"],
    );
    check_diff(
        &all,
        &typed,
        &["- content type no content type https://a.test"],
    );
    let odd = |types: &str| {
        cors(&format!(
            "origins = [\"https://a.test\"]\nwhen = {{ content_type = [{types}] }}"
        ))
    };
    check_diff(
        &odd("\"x-any/x-any\", \"x-any/*\""),
        &odd("\"*/*\""),
        &["+ content type every other type https://a.test"],
    );
}
