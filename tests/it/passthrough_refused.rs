//! Sites whose upstream speaks CORS itself and is silent to whom it refuses, without `Vary: Origin`:
//! nobody's refusal becomes everybody's, and the refused share one stored response.

use crate::harness::{Node, NodeConfig, Upstream};

const FRESH: (&str, &str) = ("Cache-Control", "max-age=60");
const APP: &str = "https://app.example.com";
const EVIL: &str = "https://evil.example";
const ACAO: &str = "Access-Control-Allow-Origin";
const PASSTHROUGH: &str = "[site.cors]\nupstream = \"passthrough\"\n";
const DUPLICATE: &str =
    "[site.cors]\norigins = [\"https://ours.example\"]\nupstream = \"duplicate\"\n";

fn node_before(upstream: &Upstream, site: &str) -> Node {
    NodeConfig::before(upstream).site(site).start()
}

/// Names the app's origin, and says nothing to anybody else, as buckets do.
fn grants_the_app(upstream: &Upstream, line: &str) {
    let granted = upstream.expect(line).with("Origin", APP).reply(200);
    granted
        .header(FRESH.0, FRESH.1)
        .header(ACAO, APP)
        .body("granted");
}

fn refuses(upstream: &Upstream, line: &str, origin: &str, body: &str) {
    let refused = upstream.expect(line).with("Origin", origin).reply(200);
    refused.header(FRESH.0, FRESH.1).body(body);
}

#[test]
fn a_refused_first_request_freezes_no_refusal() {
    for site in [PASSTHROUGH, DUPLICATE] {
        let upstream = Upstream::start();
        let node = node_before(&upstream, site);
        refuses(&upstream, "GET /a", EVIL, "refused");
        grants_the_app(&upstream, "GET /a");
        for word in ["miss", "hit"] {
            let refused = node.get("/a").origin(EVIL).send();
            refused
                .cache(word)
                .body("refused")
                .lacks(ACAO)
                .lists("Vary", "Origin");
            let granted = node.get("/a").origin(APP).send();
            granted
                .cache(word)
                .body("granted")
                .header(ACAO, APP)
                .lists("Vary", "Origin");
        }
    }
}

/// Not even where there is no policy, once the upstream was seen to name an origin.
#[test]
fn a_refusal_behind_a_grant_says_that_it_is_for_its_origin() {
    for site in ["", PASSTHROUGH, DUPLICATE] {
        let upstream = Upstream::start();
        let node = node_before(&upstream, site);
        for path in ["/a", "/b"] {
            grants_the_app(&upstream, &format!("GET {path}"));
            refuses(&upstream, &format!("GET {path}"), EVIL, "refused");
        }
        node.get("/a")
            .origin(APP)
            .send()
            .cache("miss")
            .header(ACAO, APP);
        for path in ["/a", "/b"] {
            let refused = node.get(path).origin(EVIL).send();
            refused.body("refused").lacks(ACAO).lists("Vary", "Origin");
            node.get(path)
                .origin(APP)
                .send()
                .body("granted")
                .header(ACAO, APP);
        }
    }
}

#[test]
fn the_refused_share_one_response() {
    let upstream = Upstream::start();
    let node = node_before(&upstream, PASSTHROUGH);
    let strangers = ["https://one.example", "https://two.example", "null"];
    for origin in strangers {
        refuses(&upstream, "GET /a", origin, origin);
    }
    let bare = upstream.expect("GET /a").without("Origin").reply(200);
    bare.header(FRESH.0, FRESH.1).body("nobody's");
    grants_the_app(&upstream, "GET /a");
    node.get("/a").origin(APP).send().cache("miss");
    for origin in strangers {
        node.get("/a")
            .origin(origin)
            .send()
            .cache("miss")
            .body(origin);
    }
    node.get("/a").send().cache("miss").body("nobody's");
    // The newest of them is what all of them get, and what the app got stays the app's.
    for origin in strangers {
        let response = node.get("/a").origin(origin).send();
        response.cache("hit").body("nobody's").lacks(ACAO);
    }
    node.get("/a").send().cache("hit").body("nobody's");
    node.get("/a")
        .origin(APP)
        .send()
        .cache("hit")
        .body("granted");
    assert_eq!(upstream.received().len(), 5);
}

/// More made-up origins than a URI keeps variants push nothing out that anybody else is given.
#[test]
fn a_crowd_of_strangers_pushes_nothing_out() {
    let upstream = Upstream::start();
    let node = node_before(&upstream, PASSTHROUGH);
    grants_the_app(&upstream, "GET /a");
    let silent = upstream.expect("GET /a").times(201).reply(200);
    silent.header(FRESH.0, FRESH.1).body("refused");
    node.get("/a").origin(APP).send().cache("miss");
    node.get("/a").send().cache("miss");
    for number in 0..200 {
        let origin = format!("https://s{number}.example");
        node.get("/a").origin(&origin).send().cache("miss");
    }
    node.get("/a")
        .origin(APP)
        .send()
        .cache("hit")
        .header(ACAO, APP);
    node.get("/a").send().cache("hit").body("refused");
}

/// Some upstreams name the first of their list to whom they refuse.
#[test]
fn an_answer_that_names_another_origin_is_not_everybodys() {
    for site in [PASSTHROUGH, DUPLICATE] {
        let upstream = Upstream::start();
        let node = node_before(&upstream, site);
        let other = "https://other.example";
        let refused = upstream.expect("GET /a").with("Origin", EVIL).reply(200);
        refused
            .header(FRESH.0, FRESH.1)
            .header(ACAO, other)
            .body("refused");
        grants_the_app(&upstream, "GET /a");
        for word in ["miss", "hit"] {
            let refused = node.get("/a").origin(EVIL).send();
            refused
                .cache(word)
                .header(ACAO, other)
                .lists("Vary", "Origin");
            node.get("/a")
                .origin(APP)
                .send()
                .cache(word)
                .header(ACAO, APP);
        }
    }
}

#[test]
fn a_star_depends_on_no_origin_whatever_else_the_upstream_says() {
    for site in ["", PASSTHROUGH, DUPLICATE] {
        let upstream = Upstream::start();
        let node = node_before(&upstream, site);
        for origin in [APP, EVIL] {
            let reflected = upstream.expect("GET /a").with("Origin", origin).reply(200);
            reflected.header(FRESH.0, FRESH.1).header(ACAO, origin);
            node.get("/a")
                .origin(origin)
                .send()
                .cache("miss")
                .header(ACAO, origin);
        }
        let star = upstream.expect("GET /b").reply(200);
        star.header(FRESH.0, FRESH.1)
            .header(ACAO, "*")
            .body("everybody's");
        node.get("/b").origin(APP).send().cache("miss");
        let dependence = match site {
            DUPLICATE => Some("Origin".to_owned()),
            _ => None,
        };
        for origin in [APP, EVIL, "https://third.example"] {
            let response = node.get("/b").origin(origin).send();
            response.cache("hit").header(ACAO, "*");
            assert_eq!(response.head.field("Vary"), dependence);
        }
        node.get("/b").send().cache("hit").header(ACAO, "*");
    }
}

/// A bucket for everybody is silent to who names no origin, and says `*` to all others.
#[test]
fn a_star_behind_a_silence_is_asked_for_once() {
    let upstream = Upstream::start();
    let node = node_before(&upstream, PASSTHROUGH);
    let bare = upstream.expect("GET /a").without("Origin").reply(200);
    bare.header(FRESH.0, FRESH.1).body("nobody's");
    let star = upstream.expect("GET /a").with("Origin", APP).reply(200);
    star.header(FRESH.0, FRESH.1)
        .header(ACAO, "*")
        .body("everybody's");
    node.get("/a").send().cache("miss").lacks(ACAO);
    node.get("/a")
        .origin(APP)
        .send()
        .cache("miss")
        .header(ACAO, "*");
    for origin in [APP, EVIL] {
        let response = node.get("/a").origin(origin).send();
        response.cache("hit").body("everybody's").header(ACAO, "*");
    }
    node.get("/a").send().cache("hit").body("everybody's");
}

/// What is seen on one route says nothing of another, which may be another upstream's.
#[test]
fn what_one_route_reflects_keys_no_other_route() {
    let upstream = Upstream::start();
    let node = node_before(&upstream, "[[site.route]]\npath = \"/plain/**\"\n");
    for origin in [APP, EVIL] {
        let reflected = upstream.expect("GET /a").with("Origin", origin).reply(200);
        reflected.header(FRESH.0, FRESH.1).header(ACAO, origin);
        node.get("/a")
            .origin(origin)
            .send()
            .cache("miss")
            .header(ACAO, origin);
    }
    upstream
        .expect("GET /plain/a")
        .reply(200)
        .header(FRESH.0, FRESH.1);
    node.get("/plain/a").origin(APP).send().cache("miss");
    let other = node.get("/plain/a").origin(EVIL).send();
    other.cache("hit").lacks("Vary");
}

/// The refused's response is validated for whoever asks, and what the 304 says to that one is that one's.
#[test]
fn a_304_to_one_of_the_refused_grants_only_that_one() {
    let upstream = Upstream::start();
    let node = node_before(&upstream, PASSTHROUGH);
    let always = ("Cache-Control", "no-cache");
    let strangers = [EVIL, "https://two.example"];
    for origin in strangers {
        let refused = upstream.expect("GET /a").with("Origin", origin).reply(200);
        let refused = refused.header(always.0, always.1).header("ETag", "\"1\"");
        refused.header("Vary", "Accept-Encoding").body("refused");
        let response = node.get("/a").origin(origin).send();
        response
            .lacks(ACAO)
            .header("Vary", "Accept-Encoding, Origin");
    }
    let validated = |origin: &str, grant: Option<&str>| {
        let asked = upstream.expect("GET /a").with("Origin", origin);
        let script = asked.with("If-None-Match", "\"1\"").reply(304);
        let script = script.header(always.0, always.1).header("ETag", "\"1\"");
        if let Some(grant) = grant {
            script.header(ACAO, grant);
        }
        let response = node.get("/a").origin(origin).send();
        response.is(200).body("refused");
        response.header("Vary", "Accept-Encoding, Origin");
        assert_eq!(response.head.field(ACAO).as_deref(), grant);
    };
    validated(strangers[0], Some(strangers[0]));
    validated(strangers[1], None);
}
