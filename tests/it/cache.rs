//! Storing and reusing responses (RFC 9111), seen from both ends of the node.

use std::time::Duration;

use crate::harness::{Node, NodeConfig, Upstream, eventually, pause};

#[test]
fn the_second_request_is_a_hit() {
    let upstream = Upstream::start();
    let node = Node::before(&upstream);
    upstream
        .expect("GET /a")
        .reply(200)
        .header("Cache-Control", "max-age=60")
        .header("Content-Type", "text/plain")
        .header("ETag", "\"1\"")
        .body("hello");

    let mut client = node.client();
    let miss = client.get("/a").send();
    miss.is(200)
        .cache("miss")
        .body("hello")
        .header("ETag", "\"1\"");
    let hit = client.get("/a").send();
    hit.is(200)
        .cache("hit")
        .body("hello")
        .header("ETag", "\"1\"")
        .has("Age");
    hit.header("Content-Type", "text/plain")
        .header("Cache-Control", "max-age=60");
    let ttl: u64 = hit
        .cache_parameter("ttl")
        .expect("a hit says its ttl")
        .parse()
        .expect("digits");
    assert!((30..=60).contains(&ttl), "ttl={ttl} of 60");
    assert!(
        hit.head
            .field("Cache-Status")
            .expect("present")
            .starts_with("edge-1")
    );
}

#[test]
fn every_worker_sees_what_one_stored() {
    let upstream = Upstream::start();
    let node = Node::before(&upstream);
    upstream
        .expect("GET /a")
        .reply(200)
        .header("Cache-Control", "max-age=60")
        .body("once");
    node.get("/a").send().is(200).cache("miss");
    for _ in 0..32 {
        node.get("/a").send().is(200).cache("hit").body("once");
    }
}

#[test]
fn a_lifetime_ends() {
    let upstream = Upstream::start();
    let node = Node::before(&upstream);
    upstream
        .expect("GET /a")
        .reply(200)
        .header("Cache-Control", "max-age=1")
        .body("old");
    upstream
        .expect("GET /a")
        .reply(200)
        .header("Cache-Control", "max-age=60")
        .body("new");
    node.get("/a").send().cache("miss").body("old");
    node.get("/a").send().cache("hit").body("old");
    let renewed = eventually("the response is stale", || {
        let response = node.get("/a").send();
        (response.text() == "new").then_some(response)
    });
    assert_ne!(renewed.cache_word(), "hit");
    node.get("/a").send().cache("hit").body("new");
}

type Fields = [(&'static str, &'static str)];

/// A name, the upstream's status and fields, the request's fields, and whether the same request
/// again is a hit.
type StoringRow = (&'static str, u16, &'static Fields, &'static Fields, bool);

#[test]
fn storing_follows_the_rules_for_a_shared_cache() {
    let rows: &[StoringRow] = &[
        (
            "max-age",
            200,
            &[("Cache-Control", "max-age=60")],
            &[],
            true,
        ),
        (
            "s-maxage wins",
            200,
            &[("Cache-Control", "max-age=0, s-maxage=60")],
            &[],
            true,
        ),
        (
            "s-maxage=0 wins",
            200,
            &[("Cache-Control", "max-age=60, s-maxage=0")],
            &[],
            false,
        ),
        ("no lifetime", 200, &[], &[], false),
        (
            "no-store",
            200,
            &[("Cache-Control", "no-store, max-age=60")],
            &[],
            false,
        ),
        (
            "private",
            200,
            &[("Cache-Control", "private, max-age=60")],
            &[],
            false,
        ),
        (
            "upper case",
            200,
            &[("Cache-Control", "Max-Age=60, NO-STORE")],
            &[],
            false,
        ),
        (
            "no-store in a second line",
            200,
            &[
                ("Cache-Control", "max-age=60"),
                ("Cache-Control", "no-store"),
            ],
            &[],
            false,
        ),
        (
            "a past Expires",
            200,
            &[("Expires", "Thu, 01 Jan 1970 00:00:00 GMT")],
            &[],
            false,
        ),
        ("an invalid Expires", 200, &[("Expires", "0")], &[], false),
        (
            "max-age over Expires",
            200,
            &[("Expires", "0"), ("Cache-Control", "max-age=60")],
            &[],
            true,
        ),
        (
            "Set-Cookie",
            200,
            &[("Cache-Control", "max-age=60"), ("Set-Cookie", "a=1")],
            &[],
            false,
        ),
        (
            "Vary: *",
            200,
            &[("Cache-Control", "max-age=60"), ("Vary", "*")],
            &[],
            false,
        ),
        (
            "404 with a lifetime",
            404,
            &[("Cache-Control", "max-age=60")],
            &[],
            true,
        ),
        (
            "301 with a lifetime",
            301,
            &[("Cache-Control", "max-age=60"), ("Location", "/x")],
            &[],
            true,
        ),
        ("500 without", 500, &[], &[], false),
        (
            "CDN-Cache-Control wins",
            200,
            &[
                ("Cache-Control", "no-store"),
                ("CDN-Cache-Control", "max-age=60"),
            ],
            &[],
            true,
        ),
        (
            "CDN-Cache-Control forbids",
            200,
            &[
                ("Cache-Control", "max-age=60"),
                ("CDN-Cache-Control", "no-store"),
            ],
            &[],
            false,
        ),
        (
            "Authorization",
            200,
            &[("Cache-Control", "max-age=60")],
            &[("Authorization", "Basic eDp5")],
            false,
        ),
        (
            "Authorization, public",
            200,
            &[("Cache-Control", "public, max-age=60")],
            &[("Authorization", "Basic eDp5")],
            true,
        ),
        (
            "Authorization, s-maxage",
            200,
            &[("Cache-Control", "s-maxage=60")],
            &[("Authorization", "Basic eDp5")],
            true,
        ),
        (
            "the request's no-store",
            200,
            &[("Cache-Control", "max-age=60")],
            &[("Cache-Control", "no-store")],
            false,
        ),
        (
            "old on arrival",
            200,
            &[("Cache-Control", "max-age=60"), ("Age", "61")],
            &[],
            false,
        ),
    ];
    let upstream = Upstream::start();
    let node = Node::before(&upstream);
    let mut wrong = Vec::new();
    for (at, (name, status, answer, request, stored)) in rows.iter().enumerate() {
        let line = format!("/row/{at}");
        let mut script = upstream
            .expect(&format!("GET {line}"))
            .always()
            .reply(*status)
            .body("some");
        for (field, value) in *answer {
            script = script.header(field, value);
        }
        let ask = || {
            let ask = node.get(&line);
            request
                .iter()
                .fold(ask, |ask, (field, value)| ask.header(field, value))
                .send()
        };
        let first = ask();
        let second = ask();
        first.is(*status);
        second.is(*status).body("some");
        if (second.cache_word() == "hit") != *stored {
            wrong.push(format!("{name}: {:?}", second.head.field("Cache-Status")));
        }
    }
    assert!(wrong.is_empty(), "stored wrongly, or not: {wrong:#?}");
}

#[test]
fn what_one_user_got_with_authorization_no_other_gets() {
    let upstream = Upstream::start();
    let node = Node::before(&upstream);
    upstream
        .expect("GET /mine")
        .with("Authorization", "Basic eDp5")
        .reply(200)
        .header("Cache-Control", "max-age=60")
        .body("secret");
    upstream
        .expect("GET /mine")
        .without("Authorization")
        .reply(401)
        .body("no");
    node.get("/mine")
        .header("Authorization", "Basic eDp5")
        .send()
        .is(200)
        .body("secret");
    node.get("/mine").send().is(401).body("no");
}

#[test]
fn set_cookie_reaches_its_own_client_only() {
    let upstream = Upstream::start();
    let node = Node::before(&upstream);
    for user in ["a", "b"] {
        upstream
            .expect("GET /login")
            .reply(200)
            .header("Cache-Control", "max-age=60")
            .header("Set-Cookie", &format!("session={user}"))
            .header("Set-Cookie", "theme=dark")
            .body(user);
    }
    for user in ["a", "b"] {
        let response = node.get("/login").send();
        let cookies: Vec<&str> = response.head.all("Set-Cookie").collect();
        assert_eq!(cookies, [&format!("session={user}"), "theme=dark"]);
        response.body(user);
    }
}

#[test]
fn the_configuration_gives_lifetimes() {
    let upstream = Upstream::start();
    let node = NodeConfig::before(&upstream)
        .site(
            "[site.cache]\nttl = \"60s\"\nstatus_ttl = { \"404\" = \"60s\" }\n\n\
             [[site.route]]\npath = \"/forced/**\"\ncache = { override_ttl = \"1h\" }\n",
        )
        .start();
    upstream.expect("GET /silent").reply(200).body("silent");
    upstream
        .expect("GET /short")
        .reply(200)
        .header("Cache-Control", "max-age=0")
        .body("short");
    upstream
        .expect("GET /short")
        .reply(200)
        .header("Cache-Control", "max-age=0")
        .body("again");
    upstream.expect("GET /gone").reply(404).body("gone");
    upstream
        .expect("GET /broken")
        .times(2)
        .reply(503)
        .body("broken");
    upstream.expect("GET /bad").times(2).reply(400).body("bad");
    upstream
        .expect("GET /forced/a")
        .reply(200)
        .header("Cache-Control", "max-age=0")
        .body("forced");

    let twice = |target: &str| {
        node.get(target).send();
        node.get(target).send()
    };
    twice("/silent").is(200).cache("hit").body("silent");
    twice("/short").is(200).body("again");
    twice("/gone").is(404).cache("hit").body("gone");
    twice("/forced/a").is(200).cache("hit").body("forced");
    // Never stored unless told so by status: an error may be the request's own fault (CPDoS).
    assert_ne!(twice("/broken").is(503).cache_word(), "hit");
    assert_ne!(twice("/bad").is(400).cache_word(), "hit");
}

#[test]
fn age_goes_on_from_the_upstreams() {
    let upstream = Upstream::start();
    let node = Node::before(&upstream);
    upstream
        .expect("GET /a")
        .reply(200)
        .header("Cache-Control", "max-age=600")
        .header("Age", "100")
        .body("old already");
    node.get("/a").send().is(200);
    pause(Duration::from_millis(1100));
    let age = node
        .get("/a")
        .send()
        .cache("hit")
        .age()
        .expect("a hit has an Age");
    assert!((101..=110).contains(&age), "Age: {age}");
}

#[test]
fn age_is_passed_on_with_what_is_not_stored() {
    let upstream = Upstream::start();
    let node = Node::before(&upstream);
    for cache_control in ["max-age=100", "no-store"] {
        let replied = upstream.expect("GET /a").times(2).reply(200);
        replied
            .header("Cache-Control", cache_control)
            .header("Age", "130");
        // The second is forwarded by itself, as the first could not be shared.
        for _ in 0..2 {
            let age = node.get("/a").send().is(200).age();
            assert!(
                age.is_some_and(|age| age >= 130),
                "{cache_control}: {age:?}"
            );
        }
    }
}

/// RFC 9110 §8.6: no `Content-Length` with 204, received, stored or validated.
#[test]
fn no_length_is_said_of_no_content() {
    let upstream = Upstream::start();
    let node = Node::before(&upstream);
    for (target, lifetime) in [("/a", "max-age=60"), ("/b", "no-store")] {
        let expected = upstream.expect(&format!("GET {target}")).always();
        let replied = expected.reply(204).header("Cache-Control", lifetime);
        replied.header("Content-Length", "0");
        for _ in 0..3 {
            let response = node.get(target).send();
            response.is(204).lacks("Content-Length").body("");
            response.lacks("Transfer-Encoding");
        }
    }
    assert_eq!(node.get("/a").send().cache_word(), "hit");
}

#[test]
fn head_is_answered_from_a_stored_get() {
    let upstream = Upstream::start();
    let node = Node::before(&upstream);
    upstream
        .expect("GET /a")
        .reply(200)
        .header("Cache-Control", "max-age=60")
        .body("12345678");
    let mut client = node.client();
    client.get("/a").send().is(200);
    client
        .head("/a")
        .send()
        .is(200)
        .cache("hit")
        .header("Content-Length", "8")
        .body("");
    client
        .get("/a")
        .send()
        .is(200)
        .cache("hit")
        .body("12345678");
}

#[test]
fn a_head_on_a_cold_cache_never_becomes_the_answer_to_a_get() {
    let upstream = Upstream::start();
    let node = Node::before(&upstream);
    let fresh = ("Cache-Control", "max-age=60");
    upstream
        .expect("HEAD /a")
        .perhaps()
        .reply(200)
        .header(fresh.0, fresh.1)
        .body("12345678");
    upstream
        .expect("GET /a")
        .reply(200)
        .header(fresh.0, fresh.1)
        .body("12345678");
    let mut client = node.client();
    client
        .head("/a")
        .send()
        .is(200)
        .header("Content-Length", "8")
        .body("");
    client.get("/a").send().is(200).body("12345678");
    client
        .get("/a")
        .send()
        .is(200)
        .cache("hit")
        .body("12345678");
}

#[test]
fn unsafe_methods_invalidate() {
    for method in ["POST", "PUT", "DELETE", "PATCH", "FROBNICATE"] {
        let upstream = Upstream::start();
        let node = Node::before(&upstream);
        let fresh = ("Cache-Control", "max-age=60");
        upstream
            .expect("GET /a")
            .reply(200)
            .header(fresh.0, fresh.1)
            .body("old");
        upstream
            .expect(&format!("{method} /a"))
            .reply(500)
            .body("refused");
        upstream
            .expect(&format!("{method} /a"))
            .reply(200)
            .body("done");
        upstream
            .expect("GET /a")
            .reply(200)
            .header(fresh.0, fresh.1)
            .body("new");
        let mut client = node.client();
        client.get("/a").send().cache("miss");
        client.get("/a").send().cache("hit").body("old");
        // An error changes nothing (RFC 9111 §4.4: only a non-error response invalidates).
        client.ask(method, "/a").body("x").send().is(500);
        client.get("/a").send().cache("hit").body("old");
        client
            .ask(method, "/a")
            .body("x")
            .send()
            .is(200)
            .body("done");
        client.get("/a").send().cache("miss").body("new");
        node.get("/a").send().cache("hit").body("new");
    }
}

#[test]
fn responses_to_unsafe_methods_are_never_reused() {
    let upstream = Upstream::start();
    let node = Node::before(&upstream);
    upstream
        .expect("POST /a")
        .times(2)
        .reply(200)
        .header("Cache-Control", "max-age=60")
        .body("done");
    upstream
        .expect("GET /a")
        .reply(200)
        .header("Cache-Control", "max-age=60")
        .body("got");
    let mut client = node.client();
    client.ask("POST", "/a").body("x").send().body("done");
    client.ask("POST", "/a").body("x").send().body("done");
    client.get("/a").send().cache("miss").body("got");
}

#[test]
fn the_request_may_ask_for_more_than_a_hit() {
    let upstream = Upstream::start();
    let node = Node::before(&upstream);
    node.get("/cold")
        .header("Cache-Control", "only-if-cached")
        .send()
        .is(504);
    upstream.heard_nothing();

    upstream
        .expect("GET /a")
        .reply(200)
        .header("Cache-Control", "max-age=60")
        .header("ETag", "\"1\"")
        .body("body");
    upstream
        .expect("GET /a")
        .with("If-None-Match", "\"1\"")
        .times(2)
        .reply(304)
        .header("Cache-Control", "max-age=60")
        .header("ETag", "\"1\"");
    node.get("/a").send().cache("miss");
    node.get("/a")
        .header("Cache-Control", "only-if-cached")
        .send()
        .is(200)
        .cache("hit");
    node.get("/a")
        .header("Cache-Control", "no-cache")
        .send()
        .is(200)
        .body("body");
    node.get("/a")
        .header("Pragma", "no-cache")
        .send()
        .is(200)
        .body("body");
    node.get("/a").send().cache("hit").body("body");
    assert_eq!(upstream.received().len(), 3);
}

#[test]
fn the_key_is_what_is_forwarded() {
    let upstream = Upstream::start();
    let node = Node::before(&upstream);
    let fresh = ("Cache-Control", "max-age=60");
    upstream
        .expect("GET /a?x=1")
        .reply(200)
        .header(fresh.0, fresh.1)
        .body("one");
    upstream
        .expect("GET /a?x=2")
        .reply(200)
        .header(fresh.0, fresh.1)
        .body("two");
    upstream
        .expect("GET /a")
        .reply(200)
        .header(fresh.0, fresh.1)
        .body("none");
    upstream
        .expect("GET /A")
        .reply(200)
        .header(fresh.0, fresh.1)
        .body("upper");
    upstream
        .expect("GET /host")
        .with("Host", "one.example")
        .reply(200)
        .header(fresh.0, fresh.1)
        .body("host one");
    upstream
        .expect("GET /host")
        .with("Host", "two.example")
        .reply(200)
        .header(fresh.0, fresh.1)
        .body("host two");
    let mut client = node.client();
    for word in ["miss", "hit"] {
        client.get("/a?x=1").send().cache(word).body("one");
        client.get("/a?x=2").send().cache(word).body("two");
        client.get("/a").send().cache(word).body("none");
        client.get("/A").send().cache(word).body("upper");
        client
            .get("/host")
            .host("one.example")
            .send()
            .cache(word)
            .body("host one");
        client
            .get("/host")
            .host("two.example")
            .send()
            .cache(word)
            .body("host two");
    }
    client
        .get("/host")
        .host("ONE.example")
        .send()
        .cache("hit")
        .body("host one");
    client.get("/x/../a").send().cache("hit").body("none");
    client.get("/./a").send().cache("hit").body("none");
    client.get("/%61").send().cache("hit").body("none");
}

#[test]
fn an_object_over_its_limit_is_relayed_and_not_stored() {
    let upstream = Upstream::start();
    let node = NodeConfig::before(&upstream)
        .site("[site.cache]\nmax_object = \"64KiB\"\n")
        .start();
    let fits = crate::harness::pattern(64 * 1024);
    let over = crate::harness::pattern(64 * 1024 + 1);
    let fresh = ("Cache-Control", "max-age=60");
    upstream
        .expect("GET /fits")
        .reply(200)
        .header(fresh.0, fresh.1)
        .body(&fits);
    upstream
        .expect("GET /over")
        .times(2)
        .reply(200)
        .header(fresh.0, fresh.1)
        .body(&over);
    let pieces: Vec<&[u8]> = over.chunks(1000).collect();
    upstream
        .expect("GET /chunked")
        .times(2)
        .reply(200)
        .header(fresh.0, fresh.1)
        .chunks(&pieces);
    let mut client = node.client();
    client.get("/fits").send().body(&fits).cache("miss");
    client.get("/fits").send().body(&fits).cache("hit");
    for target in ["/over", "/over", "/chunked", "/chunked"] {
        let response = client.get(target).send();
        response.is(200).body(&over);
        assert_ne!(response.cache_word(), "hit");
    }
}

#[test]
fn a_get_with_a_body_is_passed_and_neither_stored_nor_served_from_the_store() {
    let upstream = Upstream::start();
    let node = Node::before(&upstream);
    let fresh = ("Cache-Control", "max-age=60");
    upstream
        .expect("GET /a")
        .without("Content-Length")
        .reply(200)
        .header(fresh.0, fresh.1)
        .body("plain");
    upstream
        .expect("GET /a")
        .with("Content-Length", "3")
        .reply(200)
        .header(fresh.0, fresh.1)
        .body("fat");
    let mut client = node.client();
    client.get("/a").send().body("plain");
    client.get("/a").body("fat").send().body("fat");
    client.get("/a").send().cache("hit").body("plain");
    assert_eq!(upstream.last().body, b"fat");
}
