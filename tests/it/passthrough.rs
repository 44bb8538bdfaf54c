//! Sites whose upstream speaks CORS itself: its lines pass, and one origin is never given those of
//! another, whatever the upstream's `Vary` forgets.

use crate::harness::{Node, NodeConfig, Upstream};

const FRESH: (&str, &str) = ("Cache-Control", "max-age=60");
const ONE: &str = "https://one.example";
const TWO: &str = "https://two.example";
const ACAO: &str = "Access-Control-Allow-Origin";

/// A response for this origin by name.
fn expect_for(upstream: &Upstream, line: &str, origin: &str, vary: Option<&str>) {
    let script = upstream
        .expect(line)
        .with("Origin", origin)
        .reply(200)
        .header(FRESH.0, FRESH.1)
        .header(ACAO, origin);
    match vary {
        Some(vary) => script.header("Vary", vary).body(origin),
        None => script.body(origin),
    };
}

#[test]
fn an_upstream_that_varies_is_stored_once_an_origin() {
    let upstream = Upstream::start();
    let node = Node::before(&upstream);
    for origin in [ONE, TWO] {
        expect_for(&upstream, "GET /a", origin, Some("Accept-Encoding, Origin"));
    }
    upstream
        .expect("GET /a")
        .without("Origin")
        .reply(200)
        .header(FRESH.0, FRESH.1)
        .header("Vary", "Accept-Encoding, Origin")
        .body("nobody's");
    for word in ["miss", "hit", "hit"] {
        for origin in [ONE, TWO] {
            let response = node.get("/a").origin(origin).send();
            response.cache(word).body(origin).header(ACAO, origin);
            response.header("Vary", "Accept-Encoding, Origin");
        }
        node.get("/a")
            .send()
            .cache(word)
            .body("nobody's")
            .lacks(ACAO);
    }
    let metrics = node.admin("GET", "/metrics").send().text();
    assert!(
        !metrics.contains("corsair_cors_reflections_total{"),
        "{metrics}"
    );
}

#[test]
fn an_upstream_that_reflects_without_vary_is_found_out_and_kept_apart() {
    for site in [
        "",
        "[site.cors]\nupstream = \"passthrough\"\n",
        "[site.cors]\norigins = [\"https://next.example\"]\nshadow = true\n",
    ] {
        keeps_reflections_apart(site);
    }
}

fn keeps_reflections_apart(site: &str) {
    let upstream = Upstream::start();
    let node = NodeConfig::before(&upstream).site(site).start();
    for origin in [ONE, TWO] {
        expect_for(&upstream, "GET /a", origin, None);
        expect_for(&upstream, "GET /b", origin, Some("Accept-Encoding"));
    }
    for (target, vary) in [("/a", "Origin"), ("/b", "Accept-Encoding, Origin")] {
        for word in ["miss", "hit"] {
            for origin in [ONE, TWO] {
                let response = node.get(target).origin(origin).send();
                response.cache(word).body(origin).header(ACAO, origin);
                response.header("Vary", vary);
            }
        }
    }
    let said = node.said("without `Vary: Origin`");
    assert!(said.contains("site `*`"), "{said}");
    let warnings = node
        .talk()
        .iter()
        .filter(|line| line.contains("Vary: Origin"))
        .count();
    assert_eq!(warnings, 1, "{:?}", node.talk());
    let metrics = node.admin("GET", "/metrics").send().text();
    let counted = "corsair_cors_reflections_total{site=\"*\"} 4";
    assert!(metrics.lines().any(|line| line == counted), "{metrics}");

    // It is known now that this upstream looks at the origin: what it says to nobody is for nobody.
    upstream
        .expect("GET /c")
        .without("Origin")
        .reply(200)
        .header(FRESH.0, FRESH.1)
        .body("nobody's");
    expect_for(&upstream, "GET /c", ONE, None);
    for word in ["miss", "hit"] {
        node.get("/c")
            .send()
            .cache(word)
            .body("nobody's")
            .lists("Vary", "Origin");
        let response = node.get("/c").origin(ONE).send();
        response.cache(word).body(ONE).header(ACAO, ONE);
    }
}

#[test]
fn a_304_that_reflects_does_not_spread_its_origin() {
    let upstream = Upstream::start();
    let node = Node::before(&upstream);
    let validated = |origin: &str| {
        upstream
            .expect("GET /a")
            .with("Origin", origin)
            .with("If-None-Match", "\"1\"")
            .reply(304)
            .header("Cache-Control", "no-cache")
            .header("ETag", "\"1\"")
            .header(ACAO, origin);
    };
    upstream
        .expect("GET /a")
        .without("Origin")
        .reply(200)
        .header("Cache-Control", "no-cache")
        .header("ETag", "\"1\"")
        .body("body");
    node.get("/a").send().is(200).lacks(ACAO);
    validated(ONE);
    let one = node.get("/a").origin(ONE).send();
    one.is(200)
        .body("body")
        .header(ACAO, ONE)
        .lists("Vary", "Origin");
    // Another origin gets its own, validated or fetched anew.
    upstream
        .expect("GET /a")
        .with("Origin", TWO)
        .reply(200)
        .header("Cache-Control", "no-cache")
        .header(ACAO, TWO)
        .body("body");
    let two = node.get("/a").origin(TWO).send();
    two.is(200).body("body").header(ACAO, TWO);
}

#[test]
fn a_constant_is_shared_by_all() {
    let upstream = Upstream::start();
    let node = Node::before(&upstream);
    upstream
        .expect("GET /a")
        .reply(200)
        .header(FRESH.0, FRESH.1)
        .header(ACAO, "*")
        .body("everybody's");
    node.get("/a")
        .origin(ONE)
        .send()
        .cache("miss")
        .header(ACAO, "*");
    for origin in [ONE, TWO] {
        let response = node.get("/a").origin(origin).send();
        response.cache("hit").header(ACAO, "*").lacks("Vary");
    }
    node.get("/a").send().cache("hit").header(ACAO, "*");
}

/// What the first visitor is told, who named no origin, is not what a page is told.
#[test]
fn a_first_request_without_an_origin_keeps_no_page_from_its_answer() {
    let upstream = Upstream::start();
    let site = "[site.cors]\nupstream = \"passthrough\"\n";
    let node = NodeConfig::before(&upstream).site(site).start();
    let nobodys = upstream.expect("GET /a").without("Origin").reply(200);
    nobodys.header(FRESH.0, FRESH.1).body("nobody's");
    for origin in [ONE, TWO] {
        expect_for(&upstream, "GET /a", origin, None);
    }
    for word in ["miss", "hit"] {
        let response = node.get("/a").send();
        response.cache(word).body("nobody's").lacks(ACAO);
        response.lists("Vary", "Origin");
        for origin in [ONE, TWO] {
            let response = node.get("/a").origin(origin).send();
            response.cache(word).body(origin).header(ACAO, origin);
        }
    }
}

/// Nobody can know that it would be, so each origin is asked about once.
#[test]
fn an_upstream_that_is_silent_to_origins_too_is_asked_once_an_origin() {
    let upstream = Upstream::start();
    let site = "[site.cors]\nupstream = \"passthrough\"\n";
    let node = NodeConfig::before(&upstream).site(site).start();
    let silent = upstream.expect("GET /a").times(3).reply(200);
    silent.header(FRESH.0, FRESH.1).body("body");
    for word in ["miss", "hit"] {
        node.get("/a").send().cache(word).body("body");
        for origin in [ONE, TWO] {
            let response = node.get("/a").origin(origin).send();
            response.cache(word).body("body").lacks(ACAO);
        }
    }
    assert_eq!(upstream.received().len(), 3);
}

#[test]
fn followers_of_a_reflected_fetch_are_not_given_it() {
    let upstream = Upstream::start();
    let node = Node::before(&upstream);
    let gate = crate::harness::Gate::new();
    upstream
        .expect("GET /a")
        .with("Origin", ONE)
        .wait(&gate)
        .reply(200)
        .header(FRESH.0, FRESH.1)
        .header(ACAO, ONE)
        .body(ONE);
    expect_for(&upstream, "GET /a", TWO, None);
    let (mut first, mut second) = (node.client(), node.client());
    first.get("/a").origin(ONE).begin();
    upstream.wait_received(1);
    second.get("/a").origin(TWO).begin();
    gate.open();
    first.answer("GET").is(200).body(ONE).header(ACAO, ONE);
    second.answer("GET").is(200).body(TWO).header(ACAO, TWO);
}

#[test]
fn preflights_are_the_upstreams_and_never_stored() {
    let upstream = Upstream::start();
    let node = Node::before(&upstream);
    for origin in [ONE, TWO, ONE] {
        upstream
            .expect("OPTIONS /a")
            .with("Origin", origin)
            .reply(204)
            .header(FRESH.0, FRESH.1)
            .header(ACAO, origin)
            .header("Access-Control-Allow-Methods", "PUT");
        let ask = node.ask("OPTIONS", "/a").origin(origin);
        let response = ask.header("Access-Control-Request-Method", "PUT").send();
        response.is(204).header(ACAO, origin).cache("method");
        response.header("Access-Control-Allow-Methods", "PUT");
    }
    assert_eq!(upstream.received().len(), 3);
}

/// With both lines leaving, the upstream's is still only for the origin that it was sent to.
#[test]
fn a_reflection_that_is_duplicated_is_kept_apart_too() {
    let upstream = Upstream::start();
    let site = format!("[site.cors]\norigins = [\"{TWO}\"]\nupstream = \"duplicate\"\n");
    let node = NodeConfig::before(&upstream).site(&site).start();
    for origin in [ONE, TWO] {
        expect_for(&upstream, "GET /a", origin, None);
    }
    let mut client = node.client().expects_two(ACAO);
    for word in ["miss", "hit"] {
        for (origin, lines) in [(ONE, &[ONE][..]), (TWO, &[TWO, TWO][..])] {
            let response = client.get("/a").origin(origin).send();
            response.cache(word).body(origin).header("Vary", "Origin");
            let got: Vec<&str> = response.head.all(ACAO).collect();
            assert_eq!(got, lines);
        }
    }
}

/// Operations may take from `Vary` what they like, but not that the upstream's lines are for one origin.
#[test]
fn an_operation_on_vary_leaves_the_origin_in_it() {
    let rows = [
        ("op = \"remove\"\nname = \"Vary\"", "Origin"),
        ("op = \"remove\"\nname = \"va*\"", "Origin"),
        (
            "op = \"set\"\nname = \"Vary\"\nvalue = \"Accept\"",
            "Accept, Origin",
        ),
        (
            "op = \"replace\"\nname = \"Vary\"\npattern = \"Origin\"\nvalue = \"Accept\"",
            "Accept-Encoding, Accept, Origin",
        ),
        (
            "op = \"append\"\nname = \"Vary\"\nvalue = \"Accept\"",
            "Accept-Encoding, Origin, Accept",
        ),
    ];
    for (operation, expected) in rows {
        for cors in ["", "[site.cors]\nupstream = \"passthrough\"\n"] {
            let upstream = Upstream::start();
            let site = format!("{cors}[[site.header]]\n{operation}\n");
            let node = NodeConfig::before(&upstream).site(&site).start();
            for origin in [ONE, TWO] {
                expect_for(&upstream, "GET /a", origin, Some("Accept-Encoding, Origin"));
            }
            for word in ["miss", "hit"] {
                for origin in [ONE, TWO] {
                    let response = node.get("/a").origin(origin).send();
                    response.cache(word).body(origin).header(ACAO, origin);
                    response.header("Vary", expected);
                }
            }
        }
    }
    // Where the node decides, the upstream's dependence ends, and what operations do is done; so it is
    // where the upstream never looked at the origin.
    let rows = [
        (
            "[site.cors]\norigins = [\"*\"]\n",
            "Accept-Encoding, Origin",
        ),
        ("", "Accept-Encoding"),
    ];
    for (cors, vary) in rows {
        let upstream = Upstream::start();
        let site = format!("{cors}[[site.header]]\nop = \"remove\"\nname = \"Vary\"\n");
        let node = NodeConfig::before(&upstream).site(&site).start();
        let script = upstream.expect("GET /a").reply(200);
        script.header(FRESH.0, FRESH.1).header("Vary", vary);
        for word in ["miss", "hit"] {
            node.get("/a").send().cache(word).lacks("Vary");
        }
    }
}

/// The counters of shadow policies: allowed now and refused then, refused now and allowed then.
#[track_caller]
fn flips(node: &Node, allow_to_deny: u64, deny_to_allow: u64) {
    let metrics = node.admin("GET", "/metrics").send().text();
    for (flip, count) in [
        ("allow-to-deny", allow_to_deny),
        ("deny-to-allow", deny_to_allow),
    ] {
        let line = format!(
            "corsair_cors_shadow_flips_total{{site=\"*\",route=\"0\",flip=\"{flip}\"}} {count}"
        );
        assert!(metrics.lines().any(|l| l == line), "{line}:\n{metrics}");
    }
}

#[test]
fn a_shadow_policy_is_counted_where_it_would_decide_otherwise() {
    let upstream = Upstream::start();
    let site = format!(
        "[[site.cors]]\norigins = [\"{ONE}\", \"https://both.example\"]\n\n\
         [[site.cors]]\norigins = [\"{TWO}\", \"https://both.example\"]\nshadow = true\n"
    );
    let node = NodeConfig::before(&upstream).site(&site).start();
    upstream
        .expect("GET /a")
        .reply(200)
        .header(FRESH.0, FRESH.1)
        .body("body");
    flips(&node, 0, 0);
    let ask = |method: &str, origin: &str| {
        let ask = node.ask(method, "/a").origin(origin);
        let response = ask.header("Access-Control-Request-Method", "GET").send();
        response.head.field(ACAO)
    };
    for method in ["GET", "HEAD", "OPTIONS"] {
        assert_eq!(ask(method, ONE).as_deref(), Some(ONE));
        assert_eq!(ask(method, ONE).as_deref(), Some(ONE));
        assert_eq!(ask(method, TWO), None);
        // Nothing would change for these.
        assert_eq!(
            ask(method, "https://both.example").as_deref(),
            Some("https://both.example")
        );
        assert_eq!(ask(method, "https://evil.net"), None);
    }
    node.get("/a").send().is(200);
    flips(&node, 6, 3);
}

/// A constant reaches the origin that it names, whoever asks: browsers refuse it to all others today, and
/// would then.
#[test]
fn a_constant_counts_for_the_origin_that_it_names() {
    let policy = |origin: &str, rest: &str| {
        format!("[[site.cors]]\norigins = [\"{origin}\"]\nvalidate = false\n{rest}\n")
    };
    // The live policy's origin, the shadow's, and what each flips for a GET and a preflight of both.
    let rows = [
        (ONE, ONE, (0, 0)),
        (ONE, TWO, (2, 2)),
        (TWO, "*", (0, 2)),
        ("*", ONE, (2, 0)),
    ];
    for (live, shadow, (allow_to_deny, deny_to_allow)) in rows {
        let upstream = Upstream::start();
        let site = [policy(live, ""), policy(shadow, "shadow = true\n")].concat();
        let node = NodeConfig::before(&upstream).site(&site).start();
        upstream
            .expect("GET /a")
            .reply(200)
            .header(FRESH.0, FRESH.1);
        for method in ["GET", "OPTIONS"] {
            for origin in [ONE, TWO] {
                let ask = node.ask(method, "/a").origin(origin);
                let response = ask.header("Access-Control-Request-Method", "GET").send();
                response.header(ACAO, live);
            }
        }
        flips(&node, allow_to_deny, deny_to_allow);
    }
}

#[test]
fn a_shadow_policy_alone_is_held_against_the_upstreams_own_answers() {
    let upstream = Upstream::start();
    let site = format!("[site.cors]\norigins = [\"{TWO}\"]\nshadow = true\n");
    let node = NodeConfig::before(&upstream).site(&site).start();
    for line in ["GET /a", "OPTIONS /a"] {
        for origin in [ONE, TWO] {
            let script = upstream.expect(line).with("Origin", origin).reply(200);
            let script = script.header(FRESH.0, FRESH.1).header("Vary", "Origin");
            if origin == ONE {
                script.header(ACAO, ONE);
            }
        }
    }
    for method in ["GET", "OPTIONS"] {
        for origin in [ONE, TWO] {
            let ask = node.ask(method, "/a").origin(origin);
            let response = ask.header("Access-Control-Request-Method", "GET").send();
            let allowed = response.is(200).head.field(ACAO);
            assert_eq!(allowed.is_some(), origin == ONE);
        }
    }
    flips(&node, 2, 2);
}

const OVERRIDE: &str =
    "[site.cors]\norigins = [\"https://one.example\", \"https://two.example\"]\n";
const PASSTHROUGH: &str = "[site.cors]\nupstream = \"passthrough\"\n";

/// What was stored for everybody, without the upstream's word on CORS, is nobody's answer once that word
/// counts: it would be refused to all, and a 304 to one origin would make its grant everybody's.
#[test]
fn a_response_stored_for_all_origins_is_not_sent_once_the_upstream_decides() {
    for upstream_decides in ["", PASSTHROUGH] {
        let upstream = Upstream::start();
        let config = |site: &str| NodeConfig::before(&upstream).site(site);
        let node = config(OVERRIDE).start();
        upstream
            .expect("GET /a")
            .reply(200)
            .header(FRESH.0, FRESH.1)
            .header("ETag", "\"1\"")
            .body("everybody's");
        for word in ["miss", "hit"] {
            let response = node.get("/a").origin(ONE).send();
            response.cache(word).header(ACAO, ONE);
        }
        node.reload(&config(upstream_decides).text(), "reloaded");
        for origin in [ONE, TWO] {
            expect_for(&upstream, "GET /a", origin, Some("Origin"));
        }
        for word in ["miss", "hit"] {
            for origin in [ONE, TWO] {
                let response = node.get("/a").origin(origin).send();
                response.cache(word).body(origin).header(ACAO, origin);
            }
        }
    }
}

/// Who puts the node in charge of CORS has one response for all origins from then on, and does not fetch
/// what is stored again.
#[test]
fn responses_kept_apart_by_origin_become_one_once_the_node_decides() {
    let upstream = Upstream::start();
    let config = |site: &str| NodeConfig::before(&upstream).site(site);
    let node = config("").start();
    expect_for(&upstream, "GET /apart", ONE, Some("Origin"));
    upstream
        .expect("GET /plain")
        .reply(200)
        .header(FRESH.0, FRESH.1)
        .body("plain");
    for target in ["/apart", "/plain"] {
        node.get(target).origin(ONE).send().cache("miss");
    }
    node.reload(&config(OVERRIDE).text(), "reloaded");
    let plain = node.get("/plain").origin(TWO).send();
    plain.cache("hit").header(ACAO, TWO);
    upstream
        .expect("GET /apart")
        .reply(200)
        .header(FRESH.0, FRESH.1)
        .header("Vary", "Origin")
        .body("one for all");
    let first = node.get("/apart").origin(TWO).send();
    first.body("one for all").header(ACAO, TWO);
    for origin in [ONE, TWO, "https://three.example"] {
        let response = node.get("/apart").origin(origin).send();
        response.cache("hit").body("one for all");
    }
    let bare = node.get("/apart").send();
    bare.cache("hit").body("one for all").lacks(ACAO);
}

#[test]
fn via_names_the_protocol_that_the_request_came_by() {
    let upstream = Upstream::start();
    let node = Node::before(&upstream);
    upstream.expect("POST /a").times(2).reply(200);
    for (ask, via) in [
        (node.ask("POST", "/a"), "1.1 edge-1"),
        (node.ask("POST", "/a").http10(), "1.0 edge-1"),
    ] {
        ask.send().is(200);
        assert_eq!(upstream.last().field("Via").as_deref(), Some(via));
    }
}

/// RFC 3986 §3.2.3: a colon without digits is as if there were none.
#[test]
fn an_empty_port_is_no_port() {
    let upstream = Upstream::start();
    let node = Node::before(&upstream);
    upstream
        .expect("GET /a")
        .with("Host", "cdn.example.com")
        .reply(200)
        .header("Cache-Control", "max-age=60")
        .body("one");
    let mut client = node.client();
    for (host, word) in [
        ("cdn.example.com:", "miss"),
        ("cdn.example.com", "hit"),
        ("cdn.example.com:", "hit"),
    ] {
        client.get("/a").host(host).send().cache(word).body("one");
    }
}
