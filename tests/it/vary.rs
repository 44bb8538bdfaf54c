//! One URL, several stored responses: `Vary` (RFC 9111 §4.1).

use crate::harness::{Node, Upstream};

const FRESH: (&str, &str) = ("Cache-Control", "max-age=60");

#[test]
fn each_variant_is_stored_and_found() {
    let upstream = Upstream::start();
    let node = Node::before(&upstream);
    for language in ["en", "de"] {
        upstream
            .expect("GET /a")
            .with("Accept-Language", language)
            .reply(200)
            .header(FRESH.0, FRESH.1)
            .header("Vary", "Accept-Language")
            .body(language);
    }
    upstream
        .expect("GET /a")
        .without("Accept-Language")
        .reply(200)
        .header(FRESH.0, FRESH.1)
        .header("Vary", "Accept-Language")
        .body("none");
    let mut client = node.client();
    for word in ["miss", "hit", "hit"] {
        for language in ["en", "de"] {
            let response = client.get("/a").header("Accept-Language", language).send();
            response
                .is(200)
                .cache(word)
                .body(language)
                .lists("Vary", "Accept-Language");
        }
        client.get("/a").send().is(200).cache(word).body("none");
    }
    // Another connection, perhaps another worker; and white space that means nothing.
    node.get("/a")
        .header("Accept-Language", "  de\t")
        .send()
        .cache("hit")
        .body("de");
}

#[test]
fn several_names_and_lines_make_one_rule() {
    let upstream = Upstream::start();
    let node = Node::before(&upstream);
    let rows = [("gzip", "x"), ("br", "x"), ("gzip", "y")];
    for (encoding, kind) in rows {
        upstream
            .expect("GET /a")
            .with("Accept-Encoding", encoding)
            .with("X-Kind", kind)
            .reply(200)
            .header(FRESH.0, FRESH.1)
            .header("Vary", "accept-encoding")
            .header("Vary", "X-Kind")
            .body(format!("{encoding} {kind}"));
    }
    for word in ["miss", "hit"] {
        for (encoding, kind) in rows {
            let ask = node
                .get("/a")
                .header("Accept-Encoding", encoding)
                .header("X-Kind", kind);
            ask.send().cache(word).body(format!("{encoding} {kind}"));
        }
    }
}

#[test]
fn a_variant_is_invalidated_with_its_url() {
    let upstream = Upstream::start();
    let node = Node::before(&upstream);
    for round in ["old", "new"] {
        for language in ["en", "de"] {
            upstream
                .expect("GET /a")
                .with("Accept-Language", language)
                .reply(200)
                .header(FRESH.0, FRESH.1)
                .header("Vary", "Accept-Language")
                .body(format!("{round} {language}"));
        }
    }
    upstream.expect("POST /a").reply(204);
    let ask = |language: &str| node.get("/a").header("Accept-Language", language).send();
    ask("en").body("old en");
    ask("de").body("old de");
    node.ask("POST", "/a").body("x").send().is(204);
    ask("en").cache("miss").body("new en");
    ask("de").cache("miss").body("new de");
    ask("en").cache("hit").body("new en");
}

#[test]
fn a_thousand_variants_of_one_url_do_not_push_others_out() {
    let upstream = Upstream::start();
    let node = Node::before(&upstream);
    upstream
        .expect("GET /other")
        .reply(200)
        .header(FRESH.0, FRESH.1)
        .body("other");
    upstream
        .expect("GET /a")
        .always()
        .reply(200)
        .header(FRESH.0, FRESH.1)
        .header("Vary", "Accept-Language")
        .body("variant");
    let mut client = node.client();
    client.get("/other").send().cache("miss");
    for at in 0..1000 {
        client
            .get("/a")
            .header("Accept-Language", &format!("x-{at}"))
            .send()
            .is(200);
    }
    client.get("/other").send().cache("hit").body("other");
    client
        .get("/a")
        .header("Accept-Language", "x-999")
        .send()
        .is(200)
        .body("variant");
}
