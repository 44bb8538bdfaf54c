//! Attacks on CORS that need a whole node: request fields taken away on the way, doubled answers.
//!
//! `tests/attacks.md` lists all thirty attacks, each with the tests that hold it; the last test here
//! keeps that list honest.

use std::fs;

use crate::harness::node::workspace;
use crate::harness::{NodeConfig, Upstream};
use crate::seeds::all_tests;

const FRESH: (&str, &str) = ("Cache-Control", "max-age=60");
const FRIEND: &str = "https://app.example";

/// Attack 26: the request calls its origin hop-by-hop and an operation removes such lines; the decision
/// is taken from the request as it came.
#[test]
fn an_origin_that_is_taken_away_still_decides() {
    let upstream = Upstream::start();
    let site = r#"
[site.cors]
origins = ["https://app.example"]

[[site.header]]
op = "remove"
name = "Origin*"
"#;
    let node = NodeConfig::before(&upstream).site(site).start();
    for target in ["/stored", "/passed"] {
        let fresh = if target == "/stored" {
            FRESH.1
        } else {
            "no-store"
        };
        upstream
            .expect(&format!("GET {target}"))
            .always()
            .reply(200)
            .header(FRESH.0, fresh)
            .header("Origin", FRIEND)
            .header("Origin-Agent-Cluster", "?1")
            .body("body");
        for (origin, granted) in [("https://evil.net", None), (FRIEND, Some(FRIEND))] {
            for _ in 0..2 {
                let response = node
                    .get(target)
                    .origin(origin)
                    .header("Connection", "Origin, close")
                    .send();
                response.is(200).body("body").lists("Vary", "Origin");
                let got = response.head.field("Access-Control-Allow-Origin");
                assert_eq!(got.as_deref(), granted, "{target} for {origin}");
                response.lacks("Origin").lacks("Origin-Agent-Cluster");
            }
        }
    }
}

/// Attack 30: the upstream says it twice, an operation a third time; one value leaves.
#[test]
fn the_resource_policy_leaves_once() {
    let upstream = Upstream::start();
    let site = r#"
[site.cors]
origins = ["https://app.example"]
resource_policy = "same-site"

[[site.header]]
op = "set"
name = "Cross-Origin-Resource-Policy"
value = "cross-origin"
"#;
    let node = NodeConfig::before(&upstream).site(site).start();
    upstream
        .expect("GET /a")
        .reply(200)
        .header(FRESH.0, FRESH.1)
        .header("Cross-Origin-Resource-Policy", "same-site")
        .header("cross-origin-resource-policy", "same-origin")
        .body("body");
    for word in ["miss", "hit"] {
        for origin in [FRIEND, "https://evil.net"] {
            let response = node.get("/a").origin(origin).send();
            let told: Vec<&str> = response.head.all("Cross-Origin-Resource-Policy").collect();
            assert_eq!(told, ["same-site"], "{word} for {origin}");
        }
    }
    assert_eq!(upstream.received().len(), 1);
}

#[test]
fn every_attack_has_its_test() {
    let list = fs::read_to_string(workspace().join("tests/attacks.md")).expect("the list");
    let tests = all_tests();
    let mut next = 1;
    for line in list.lines().filter(|line| line.starts_with("| ")) {
        let cells: Vec<&str> = line.trim_matches('|').split(" | ").map(str::trim).collect();
        let [number, attack, held] = cells.as_slice() else {
            panic!("three cells: {line}");
        };
        let Ok(number) = number.parse::<u32>() else {
            assert!(*number == "no." || number.starts_with("---"), "{line}");
            continue;
        };
        assert_eq!(number, next, "{line}");
        next += 1;
        assert!(attack.len() > 10, "{line}");
        let named: Vec<&str> = held.split('`').skip(1).step_by(2).collect();
        assert!(!named.is_empty(), "no test: {line}");
        for name in named {
            assert!(tests.contains(name), "there is no test `{name}`: {line}");
        }
    }
    assert_eq!(next, 31, "thirty attacks");
}
