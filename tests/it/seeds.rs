//! The CDN console's way to CORS: response header settings with validation, duplicates and escapes.
//!
//! What the two documents say is listed sentence by sentence in `tests/seed_sentences.md`, each with
//! the test that holds it; the last test here keeps that list honest.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::harness::node::workspace;
use crate::harness::{Node, NodeConfig, Response, Upstream};

const FRESH: (&str, &str) = ("Cache-Control", "max-age=60");

/// One setting of the console's page; `more` are further keys.
fn setting(name: &str, value: &str, more: &str) -> String {
    format!("[[site.header]]\nop = \"add\"\nname = \"{name}\"\nvalue = \"{value}\"\n{more}\n")
}

/// `Access-Control-Allow-Origin` with CORS validation enabled.
fn validated(value: &str) -> String {
    let more = "validate_origin = true\nallow_duplicates = false\ndialect = \"alibaba\"\n";
    setting("Access-Control-Allow-Origin", value, more)
}

/// A node whose upstream has one fresh response without CORS, which is in the store afterwards.
fn stored(upstream: &Upstream, site: &str) -> Node {
    let node = NodeConfig::before(upstream).site(site).start();
    upstream
        .expect("GET /a")
        .reply(200)
        .header(FRESH.0, FRESH.1)
        .body("body");
    node.get("/a").send().is(200).cache("miss");
    node
}

/// Asks a stored response with each origin (none for `""`) and compares what is answered.
#[track_caller]
fn check(node: &Node, rows: &[(&str, Option<&str>)]) -> Vec<Response> {
    let mut client = node.client();
    let mut answers = Vec::new();
    for (origin, expected) in rows {
        let ask = client.get("/a");
        let ask = if origin.is_empty() {
            ask
        } else {
            ask.origin(origin)
        };
        let response = ask.send();
        response.is(200).cache("hit").body("body");
        let got: Vec<&str> = response.head.all("Access-Control-Allow-Origin").collect();
        let expected: Vec<&str> = expected.iter().copied().collect();
        assert_eq!(got, expected, "for {origin:?}");
        answers.push(response);
    }
    answers
}

#[test]
fn without_validation_the_value_is_always_sent() {
    for (value, more) in [
        ("*", "validate_origin = false\n"),
        ("http://www.aliyun.com", "validate_origin = false\n"),
        ("http://www.aliyun.com", "allow_duplicates = false\n"),
    ] {
        let upstream = Upstream::start();
        let node = stored(
            &upstream,
            &setting("Access-Control-Allow-Origin", value, more),
        );
        let rows = ["", "http://www.aliyun.com", "https://evil.net", "junk"]
            .map(|origin| (origin, Some(value)));
        for answer in check(&node, &rows) {
            answer.lacks("Vary");
        }
    }
}

#[test]
fn a_validated_star_is_sent_to_everybody() {
    let upstream = Upstream::start();
    let node = stored(&upstream, &validated("*"));
    let rows = ["", "http://example.com", "null", "junk"].map(|origin| (origin, Some("*")));
    for answer in check(&node, &rows) {
        answer.lacks("Vary");
    }
}

#[test]
fn a_list_is_compared_exactly() {
    let upstream = Upstream::start();
    let node = stored(
        &upstream,
        &validated("http://example.com,https://aliyundoc.com"),
    );
    let answers = check(
        &node,
        &[
            ("http://example.com", Some("http://example.com")),
            ("https://aliyundoc.com", Some("https://aliyundoc.com")),
            ("http://aliyundoc.com", None),
            ("http://aliyun.com", None),
            ("https://example.com", None),
            ("http://example.com:8080", None),
            ("http://www.example.com", None),
            ("http://example.com.evil.net", None),
            ("http://example.com,https://aliyundoc.com", None),
            ("", None),
        ],
    );
    for answer in answers {
        answer.lists("Vary", "Origin");
    }
    assert_eq!(
        upstream.received().len(),
        1,
        "one stored body for all of them"
    );
}

#[test]
fn a_wildcard_covers_names_of_its_scheme_and_domain() {
    let upstream = Upstream::start();
    let node = stored(&upstream, &validated("http://*.aliyundoc.com"));
    let demo = "http://demo.aliyundoc.com";
    let deep = "http://a.demo.aliyundoc.com";
    let answers = check(
        &node,
        &[
            (demo, Some(demo)),
            (deep, Some(deep)),
            ("http://demo.example.com", None),
            ("https://demo.aliyundoc.com", None),
            ("http://aliyundoc.com", None),
            ("http://evilaliyundoc.com", None),
            ("http://demo.aliyundoc.com.evil.net", None),
            // A pattern language in which the dot is any character would take these.
            ("http://demoxaliyundoc.com", None),
            ("http://demo.aliyundocxcom", None),
        ],
    );
    for answer in answers {
        answer.lists("Vary", "Origin");
    }
}

#[test]
fn an_escaped_hyphen_is_a_hyphen() {
    let upstream = Upstream::start();
    let node = stored(&upstream, &validated("http://doc.aliyun%-example.com"));
    let meant = "http://doc.aliyun-example.com";
    check(
        &node,
        &[
            (meant, Some(meant)),
            ("http://doc.aliyun%-example.com", None),
        ],
    );
}

#[test]
fn a_hyphen_needs_no_escape() {
    let upstream = Upstream::start();
    let node = stored(&upstream, &validated("http://doc.aliyun-example.com"));
    let meant = "http://doc.aliyun-example.com";
    check(&node, &[(meant, Some(meant))]);
}

#[test]
fn several_wildcards_and_mixed_lists_work() {
    let upstream = Upstream::start();
    let value = "https://*.iflyvoice.cn,https://*.xxx.example, http://one.example";
    let node = stored(&upstream, &validated(value));
    let [first, second, exact] = [
        "https://a.iflyvoice.cn",
        "https://a.xxx.example",
        "http://one.example",
    ];
    check(
        &node,
        &[
            (first, Some(first)),
            (second, Some(second)),
            (exact, Some(exact)),
            ("http://two.example", None),
        ],
    );
}

#[test]
fn duplicates_are_kept_or_replaced_as_told() {
    let own = "https://ours.example";
    let theirs = "https://theirs.example";
    for (more, expected) in [
        ("allow_duplicates = true\n", vec![theirs, own]),
        ("allow_duplicates = false\n", vec![own]),
        ("validate_origin = false\n", vec![own]),
    ] {
        for name in ["Access-Control-Allow-Origin", "X-Any"] {
            let upstream = Upstream::start();
            let node = NodeConfig::before(&upstream)
                .site(&setting(name, own, more))
                .start();
            upstream
                .expect("GET /a")
                .reply(200)
                .header(FRESH.0, FRESH.1)
                .header(name, theirs)
                .body("body");
            let mut client = node.client().expects_two("Access-Control-Allow-Origin");
            for word in ["miss", "hit"] {
                let response = client.get("/a").send();
                response.is(200).cache(word);
                let got: Vec<&str> = response.head.all(name).collect();
                assert_eq!(got, expected, "{name} with {more}");
            }
        }
    }
}

#[test]
fn validation_replaces_what_the_bucket_answered() {
    let upstream = Upstream::start();
    let node = NodeConfig::before(&upstream)
        .site(&validated("http://example.com"))
        .start();
    upstream
        .expect("GET /a")
        .reply(200)
        .header(FRESH.0, FRESH.1)
        .header("Access-Control-Allow-Origin", "*")
        .header("Access-Control-Allow-Methods", "DELETE")
        .header("Vary", "Origin")
        .body("body");
    for word in ["miss", "hit"] {
        let response = node.get("/a").origin("http://evil.net").send();
        response
            .cache(word)
            .lacks("Access-Control-Allow-Origin")
            .lacks("Access-Control-Allow-Methods")
            .header("Vary", "Origin");
        let response = node.get("/a").origin("http://example.com").send();
        response.cache("hit");
        let got: Vec<&str> = response.head.all("Access-Control-Allow-Origin").collect();
        assert_eq!(got, ["http://example.com"]);
    }
    assert_eq!(upstream.received().len(), 1);
}

#[test]
fn a_new_rule_applies_to_what_is_stored() {
    let upstream = Upstream::start();
    let plain = NodeConfig::before(&upstream);
    let node = stored(&upstream, "");
    let origin = "http://example.com";
    check(&node, &[(origin, None)]);
    let with = plain.clone().site(&validated("http://example.com"));
    node.reload(&with.text(), "reloaded");
    check(&node, &[(origin, Some(origin)), ("http://evil.net", None)]);
    let other = plain.clone().site(&validated("http://other.example"));
    node.reload(&other.text(), "reloaded");
    check(&node, &[(origin, None)]);
    node.reload(&plain.text(), "reloaded");
    check(&node, &[(origin, None)]);
    assert_eq!(
        upstream.received().len(),
        1,
        "nothing was purged or asked again"
    );
}

#[test]
fn the_first_request_decides_nothing_for_the_next() {
    let upstream = Upstream::start();
    let node = stored(&upstream, &validated("http://a.example,http://b.example"));
    let rows: Vec<(&str, Option<&str>)> = vec![
        ("", None),
        ("http://a.example", Some("http://a.example")),
        ("http://evil.net", None),
        ("http://b.example", Some("http://b.example")),
        ("", None),
    ];
    check(&node, &rows);
}

#[test]
fn methods_and_lifetime_are_settings_of_their_own() {
    let upstream = Upstream::start();
    let site = [
        validated("https://app.example"),
        setting(
            "Access-Control-Allow-Methods",
            "POST,GET,HEAD,PUT,DELETE",
            "allow_duplicates = false\n",
        ),
        setting(
            "Access-Control-Max-Age",
            "3600",
            "allow_duplicates = false\n",
        ),
        setting("Access-Control-Allow-Headers", "X-Token", ""),
        setting("Access-Control-Expose-Headers", "ETag", ""),
    ]
    .concat();
    let node = stored(&upstream, &site);
    // Every response carries them, as the console's page has it.
    for answer in check(
        &node,
        &[
            ("", None),
            ("https://app.example", Some("https://app.example")),
        ],
    ) {
        answer
            .header("Access-Control-Allow-Methods", "POST,GET,HEAD,PUT,DELETE")
            .header("Access-Control-Max-Age", "3600");
    }
    let granted = node.get("/a").origin("https://app.example").send();
    granted.header("Access-Control-Expose-Headers", "ETag");
    // And a preflight is answered by them.
    let ask = |origin: &str, method: &str, headers: &str| {
        node.ask("OPTIONS", "/a")
            .origin(origin)
            .header("Access-Control-Request-Method", method)
            .header("Access-Control-Request-Headers", headers)
            .send()
    };
    ask("https://app.example", "DELETE", "x-token")
        .is(204)
        .header("Access-Control-Allow-Origin", "https://app.example")
        .header(
            "Access-Control-Allow-Methods",
            "POST, GET, HEAD, PUT, DELETE",
        )
        .header("Access-Control-Allow-Headers", "X-Token")
        .header("Access-Control-Max-Age", "3600");
    for (origin, method, headers) in [
        ("https://evil.net", "DELETE", "x-token"),
        ("https://app.example", "PATCH", "x-token"),
        ("https://app.example", "DELETE", "x-other"),
    ] {
        ask(origin, method, headers)
            .is(204)
            .lacks("Access-Control-Allow-Origin")
            .lacks("Access-Control-Allow-Methods")
            .header("Vary", "Origin");
    }
    assert_eq!(upstream.received().len(), 1, "the upstream saw no OPTIONS");
}

#[test]
fn without_settings_there_is_no_cors() {
    let upstream = Upstream::start();
    let node = stored(&upstream, "");
    for answer in check(&node, &[("http://example.com", None), ("", None)]) {
        answer.lacks("Access-Control-Allow-Methods").lacks("Vary");
    }
}

#[test]
fn a_route_replaces_the_settings_of_its_site() {
    let upstream = Upstream::start();
    let site = validated("http://site.example")
        + "[[site.route]]\npath = \"/public/**\"\n\
           header = [{ op = \"add\", name = \"Access-Control-Allow-Origin\", value = \"*\", \
           validate_origin = false }]\n\
           [[site.route]]\npath = \"/listed/**\"\ncors = { origins = [\"http://route.example\"] }\n\
           [[site.route]]\npath = \"/none/**\"\nheader = []\n";
    let node = NodeConfig::before(&upstream).site(&site).start();
    for (path, site_origin, route_origin) in [
        ("/a", Some("http://site.example"), None),
        ("/public/a", Some("*"), Some("*")),
        ("/listed/a", None, Some("http://route.example")),
        ("/none/a", None, None),
    ] {
        upstream
            .expect(&format!("GET {path}"))
            .reply(200)
            .header(FRESH.0, FRESH.1);
        for (origin, expected) in [
            ("http://site.example", site_origin),
            ("http://route.example", route_origin),
        ] {
            let response = node.get(path).origin(origin).send();
            let got = response.is(200).head.field("Access-Control-Allow-Origin");
            assert_eq!(got.as_deref(), expected, "{path} for {origin}");
        }
    }
}

// The list of sentences --------------------------------------------------------------------------

/// The names of all test functions below a directory.
fn tests_below(directory: &Path, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(directory).expect("a directory of the repository") {
        let path = entry.expect("a readable entry").path();
        let name = path.file_name().and_then(|name| name.to_str());
        if path.is_dir() && name != Some("target") {
            tests_below(&path, found);
        } else if name.is_some_and(|name| name.ends_with(".rs")) {
            let text = fs::read_to_string(&path).expect("text");
            let behind = text.split("#[test]").skip(1);
            let names = behind.filter_map(|rest| {
                let (_, rest) = rest.split_once("fn ")?;
                rest.split(['(', '<']).next()
            });
            found.extend(names.map(str::to_owned));
        }
    }
}

/// The names of all test functions of scenarios and crates.
pub(crate) fn all_tests() -> BTreeSet<String> {
    let mut tests = BTreeSet::new();
    tests_below(&workspace().join("tests/it"), &mut tests);
    tests_below(&workspace().join("crates"), &mut tests);
    tests
}

#[test]
fn every_sentence_of_the_seed_documents_has_its_test() {
    let list = fs::read_to_string(workspace().join("tests/seed_sentences.md")).expect("the list");
    let tests = all_tests();
    let mut rows = 0;
    for line in list.lines().filter(|line| line.starts_with("| ")) {
        let cells: Vec<&str> = line.trim_matches('|').split(" | ").map(str::trim).collect();
        let [section, sentence, held] = cells.as_slice() else {
            panic!("three cells: {line}");
        };
        if *section == "section" || section.starts_with("---") {
            continue;
        }
        rows += 1;
        assert!(sentence.len() > 10, "{line}");
        let named: Vec<&str> = held.split('`').skip(1).step_by(2).collect();
        for name in &named {
            assert!(tests.contains(*name), "there is no test `{name}`: {line}");
        }
        assert!(
            !named.is_empty() || held.starts_with("differs:"),
            "no test and no reason: {line}"
        );
    }
    assert!(rows >= 40, "only {rows} sentences");
}
