//! Validation on both sides: preconditions of the client (RFC 9110 §13), and the node's own when a
//! stored response is stale (RFC 9111 §4.3).

use crate::harness::{Node, NodeConfig, Upstream, eventually};

const LAST_MODIFIED: &str = "Tue, 15 Nov 1994 12:45:26 GMT";

#[test]
fn preconditions_are_answered_from_the_store() {
    let upstream = Upstream::start();
    let node = Node::before(&upstream);
    upstream
        .expect("GET /a")
        .reply(200)
        .header("Cache-Control", "max-age=60")
        .header("Content-Type", "text/css")
        .header("ETag", "\"1\"")
        .header("Last-Modified", LAST_MODIFIED)
        .body("body");
    node.get("/a").send().is(200);
    let later = "Tue, 15 Nov 2022 12:45:26 GMT";
    let earlier = "Tue, 15 Nov 1988 12:45:26 GMT";
    let rows: &[(&[(&str, &str)], u16)] = &[
        (&[("If-None-Match", "\"1\"")], 304),
        (&[("If-None-Match", "W/\"1\"")], 304),
        (&[("If-None-Match", "*")], 304),
        (&[("If-None-Match", "\"0\", \"a,b\", \"1\"")], 304),
        (&[("If-None-Match", "\"2\"")], 200),
        (&[("If-None-Match", "\"1")], 200),
        (&[("If-Modified-Since", LAST_MODIFIED)], 304),
        (&[("If-Modified-Since", later)], 304),
        (&[("If-Modified-Since", earlier)], 200),
        (&[("If-Modified-Since", "yesterday")], 200),
        (
            &[("If-None-Match", "\"2\""), ("If-Modified-Since", later)],
            200,
        ),
        (
            &[("If-None-Match", "\"1\""), ("If-Modified-Since", earlier)],
            304,
        ),
    ];
    let mut wrong = Vec::new();
    for method in ["GET", "HEAD"] {
        let mut client = node.client();
        for (fields, status) in rows {
            let ask = client.ask(method, "/a");
            let response = fields
                .iter()
                .fold(ask, |ask, (name, value)| ask.header(name, value))
                .send();
            let named = format!("{method} {fields:?}");
            if response.status != *status {
                wrong.push(format!("{named}: {} for {status}", response.status));
            }
            if response.status == 304 {
                // RFC 9110 §15.4.5: what the 200 would have carried to guide caches.
                response
                    .header("ETag", "\"1\"")
                    .header("Cache-Control", "max-age=60")
                    .has("Date");
                assert!(response.body.is_empty(), "{named}: a 304 with a body");
            }
            if response.status == 200 {
                response.body(if method == "GET" { "body" } else { "" });
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn a_conditional_request_on_a_cold_cache_stores_the_whole() {
    let upstream = Upstream::start();
    let node = Node::before(&upstream);
    upstream
        .expect("GET /a")
        .without("If-None-Match")
        .reply(200)
        .header("Cache-Control", "max-age=60")
        .header("ETag", "\"1\"")
        .body("whole");
    let first = node.get("/a").header("If-None-Match", "\"1\"").send();
    assert!(matches!(first.status, 200 | 304), "{first:?}");
    node.get("/a").send().is(200).cache("hit").body("whole");
}

#[test]
fn a_304_from_the_upstream_renews_what_is_stored() {
    let upstream = Upstream::start();
    let node = Node::before(&upstream);
    upstream
        .expect("GET /a")
        .reply(200)
        .header("Cache-Control", "max-age=1")
        .header("ETag", "\"1\"")
        .header("Last-Modified", LAST_MODIFIED)
        .header("X-Kept", "old")
        .header("X-Changed", "old")
        .body("the body");
    upstream
        .expect("GET /a")
        .with("If-None-Match", "\"1\"")
        .reply(304)
        .header("Cache-Control", "max-age=60")
        .header("ETag", "\"1\"")
        .header("X-Changed", "new");
    node.get("/a")
        .send()
        .cache("miss")
        .header("X-Changed", "old");
    let renewed = eventually("the response is renewed", || {
        let response = node.get("/a").send();
        (response.head.field("X-Changed").as_deref() == Some("new")).then_some(response)
    });
    renewed.is(200).body("the body").header("X-Kept", "old");
    assert_eq!(renewed.cache_parameter("fwd").as_deref(), Some("stale"));
    assert_eq!(
        renewed.cache_parameter("fwd-status").as_deref(),
        Some("304")
    );
    let hit = node.get("/a").send();
    hit.is(200)
        .cache("hit")
        .body("the body")
        .header("X-Changed", "new");
    hit.header("Cache-Control", "max-age=60");
}

#[test]
fn a_200_to_a_revalidation_replaces_what_is_stored() {
    let upstream = Upstream::start();
    let node = Node::before(&upstream);
    upstream
        .expect("GET /a")
        .reply(200)
        .header("Cache-Control", "max-age=1")
        .header("ETag", "\"1\"")
        .body("old");
    upstream
        .expect("GET /a")
        .with("If-None-Match", "\"1\"")
        .reply(200)
        .header("Cache-Control", "max-age=60")
        .header("ETag", "\"2\"")
        .body("new");
    node.get("/a").send().body("old");
    eventually("the response is replaced", || {
        (node.get("/a").send().text() == "new").then_some(())
    });
    node.get("/a")
        .send()
        .cache("hit")
        .body("new")
        .header("ETag", "\"2\"");
}

/// `If-Match` and `If-Unmodified-Since` guard a change; only the upstream knows its own state
/// (RFC 9111 §4.3.2), so they go there, and what comes back replaces nothing.
#[test]
fn preconditions_of_a_change_are_the_upstreams_to_judge() {
    let upstream = Upstream::start();
    let node = Node::before(&upstream);
    upstream
        .expect("GET /a")
        .without("If-Match")
        .without("If-Unmodified-Since")
        .reply(200)
        .header("Cache-Control", "max-age=60")
        .header("ETag", "\"1\"")
        .body("stored");
    node.get("/a").send().is(200);
    upstream
        .expect("GET /a")
        .with("If-Match", "\"2\"")
        .reply(412);
    node.get("/a").header("If-Match", "\"2\"").send().is(412);
    upstream
        .expect("GET /a")
        .with("If-Unmodified-Since", LAST_MODIFIED)
        .reply(200)
        .body("own");
    let response = node
        .get("/a")
        .header("If-Unmodified-Since", LAST_MODIFIED)
        .send();
    response.is(200).body("own");
    node.get("/a").send().is(200).cache("hit").body("stored");
}

/// RFC 9211 §2.2: what is stored was fresh, and only the request wanted the upstream to be asked.
#[test]
fn a_reload_of_what_is_fresh_is_told_apart_from_staleness() {
    let upstream = Upstream::start();
    let node = Node::before(&upstream);
    let said = |status: u16| {
        let response = node.get("/a").header("Cache-Control", "no-cache").send();
        response.is(200).body("body");
        let parameter = |name| response.cache_parameter(name);
        assert_eq!(parameter("fwd").as_deref(), Some("request"), "{response:?}");
        assert_eq!(parameter("fwd-status"), Some(status.to_string()));
    };
    let fresh = |status: u16| {
        let replied = upstream.expect("GET /a").reply(status);
        let replied = replied.header("Cache-Control", "max-age=60");
        replied.header("ETag", "\"1\"")
    };
    fresh(200).body("body");
    node.get("/a").send().cache("miss");
    fresh(304);
    said(304);
    fresh(200).body("body");
    said(200);
    node.get("/a").send().cache("hit");
}

/// RFC 9110 §15.4.5: a 304 has the `Cache-Control` that the 200 would have, also when an operation
/// writes it and looks at the Content-Type, which a 304 leaves out.
#[test]
fn a_304_has_what_operations_write_into_the_200() {
    let upstream = Upstream::start();
    let operation = "[[site.header]]\nop = \"set\"\nname = \"Cache-Control\"\nvalue = \"no-cache\"\n\
        when = { content_type = [\"text/*\"] }\n";
    let node = NodeConfig::before(&upstream).site(operation).start();
    upstream
        .expect("GET /a")
        .reply(200)
        .header("Cache-Control", "max-age=60")
        .header("Content-Type", "text/css")
        .header("ETag", "\"1\"");
    let whole = node.get("/a").send();
    whole.is(200).header("Cache-Control", "no-cache");
    let response = node.get("/a").header("If-None-Match", "\"1\"").send();
    response.is(304).header("Cache-Control", "no-cache");
    response.lacks("Content-Type");
}
