//! CORS over the wire: one stored body, an answer of its own for each Web origin.

use crate::harness::{Node, NodeConfig, Response, Upstream, pattern};

const FRESH: (&str, &str) = ("Cache-Control", "max-age=60");
const FRIEND: &str = "https://example.com";

/// The policy of the attack table, with credentials.
const POLICY: &str = r#"
[site.cors]
origins = ["https://example.com", "https://*.example.com"]
credentials = true
methods = ["GET", "HEAD", "POST", "PUT", "OPTIONS"]
request_headers = ["X-One", "Content-Type"]
expose = ["ETag"]
max_age = "1h"
"#;

fn node_with(upstream: &Upstream, site: &str) -> Node {
    NodeConfig::before(upstream).site(site).start()
}

#[track_caller]
fn is_granted(response: &Response, origin: &str) {
    response
        .header("Access-Control-Allow-Origin", origin)
        .lists("Vary", "Origin");
}

/// No permission at all, but the field that keeps caches honest.
#[track_caller]
fn is_refused(response: &Response) {
    let granted = response
        .head
        .fields
        .iter()
        .find(|(name, _)| name.to_ascii_lowercase().starts_with("access-control-"));
    assert_eq!(granted, None, "should grant nothing");
    response.lists("Vary", "Origin");
}

#[test]
fn one_stored_body_serves_every_origin_its_own_answer() {
    let upstream = Upstream::start();
    let node = node_with(&upstream, POLICY);
    upstream
        .expect("GET /font")
        .reply(200)
        .header(FRESH.0, FRESH.1)
        .body("glyphs");
    let mut client = node.client();
    // The first one is a stranger: what it was refused is not what the next one gets.
    is_refused(
        client
            .get("/font")
            .origin("https://evil.net")
            .send()
            .is(200)
            .cache("miss"),
    );
    for origin in [
        FRIEND,
        "https://a.example.com",
        "https://b.a.example.com",
        FRIEND,
    ] {
        let response = client.get("/font").origin(origin).send();
        response.is(200).cache("hit").body("glyphs");
        is_granted(&response, origin);
        response.header("Access-Control-Allow-Credentials", "true");
        response.header("Access-Control-Expose-Headers", "ETag");
    }
    is_refused(
        client
            .get("/font")
            .origin("https://evil.net")
            .send()
            .cache("hit")
            .body("glyphs"),
    );
    is_refused(client.get("/font").send().cache("hit").body("glyphs"));
    assert_eq!(upstream.received().len(), 1);
}

#[test]
fn hostile_origins_get_nothing() {
    let upstream = Upstream::start();
    let node = node_with(&upstream, POLICY);
    upstream
        .expect("GET /a")
        .reply(200)
        .header(FRESH.0, FRESH.1)
        .body("body");
    let long = format!("https://{}.example.com", "a".repeat(5000));
    let rows = [
        "https://evilexample.com",
        "https://example.com.evil.net",
        "https://examplescom",
        "https://axexample.com",
        "https://a.example.com.evil.net",
        "null",
        "NULL",
        "HTTPS://Example.COM",
        "https://Example.com",
        "HTTPS://example.com",
        "https://example.com.",
        "https://a.example.com.",
        "https://example.com@evil.net",
        "https://evil.net@a.example.com",
        "https://evil/.example.com",
        "https://evil`.example.com",
        "https://evil{.example.com",
        "https://evil%.example.com",
        "https://evil\u{e9}.example.com",
        "https://.example.com",
        "https://a..example.com",
        "https://*.example.com",
        "https://example.com:8443",
        "https://example.com:443",
        "https://example.com:80.evil.net",
        "https://example.com:",
        "https://example.com:0443",
        "https://example.com/",
        "https://example.com/path",
        "https://example.com?q",
        "https://example.com#f",
        "http://example.com",
        "ftp://example.com",
        "https:example.com",
        "https:///example.com",
        "https//example.com",
        "example.com",
        "https://",
        "",
        "*",
        "https://example.com, https://evil.net",
        "https://evil.net,https://example.com",
        "https://example.com https://evil.net",
        "https://evil.net\thttps://example.com",
        &long,
    ];
    let mut client = node.client();
    for origin in rows {
        let response = client.get("/a").origin(origin).send();
        response.is(200).body("body");
        is_refused(&response);
        assert!(
            !response
                .head
                .fields
                .iter()
                .any(|(_, value)| value.contains("evil")),
            "attacker's text in {:?}",
            response.head
        );
    }
    // Two lines are no origin, whichever comes first.
    for pair in [
        [FRIEND, "https://evil.net"],
        ["https://evil.net", FRIEND],
        [FRIEND, FRIEND],
    ] {
        let response = client.get("/a").origin(pair[0]).origin(pair[1]).send();
        is_refused(response.is(200).body("body"));
    }
    is_granted(client.get("/a").origin(FRIEND).send().cache("hit"), FRIEND);
}

#[test]
fn ten_thousand_origins_are_one_fetch_and_one_stored_response() {
    let upstream = Upstream::start();
    let node = node_with(&upstream, POLICY);
    upstream
        .expect("GET /a")
        .reply(200)
        .header(FRESH.0, FRESH.1)
        .header("Vary", "Origin")
        .body("body");
    let mut client = node.client();
    client
        .get("/a")
        .origin("https://first.net")
        .send()
        .cache("miss");
    for at in 0..2_000 {
        let origin = format!("https://x{at}.example.com");
        is_granted(
            client.get("/a").origin(&origin).send().cache("hit"),
            &origin,
        );
        let origin = format!("https://x{at}.evil.net");
        is_refused(client.get("/a").origin(&origin).send().cache("hit"));
    }
}

#[test]
fn the_upstream_never_widens_the_policy() {
    let upstream = Upstream::start();
    let node = node_with(&upstream, POLICY);
    let reply = |line: &str, fresh: &str| {
        upstream
            .expect(line)
            .reply(200)
            .header("Cache-Control", fresh)
            .header("Access-Control-Allow-Origin", "*")
            .header("access-control-allow-credentials", "true")
            .header("Access-Control-Allow-Methods", "*")
            .header("Access-Control-Expose-Headers", "*")
            .header("Vary", "Origin, Accept-Encoding")
            .body("body");
    };
    reply("GET /stored", "max-age=60");
    reply("GET /passed", "no-store");
    reply("GET /passed", "no-store");
    let mut client = node.client();
    for target in ["/stored", "/stored", "/passed"] {
        let response = client.get(target).origin("https://evil.net").send();
        is_refused(response.is(200).lists("Vary", "Accept-Encoding"));
    }
    for target in ["/stored", "/passed"] {
        let response = client.get(target).origin(FRIEND).send();
        is_granted(response.is(200).lists("Vary", "Accept-Encoding"), FRIEND);
        response.header("Access-Control-Expose-Headers", "ETag");
        response.lacks("Access-Control-Allow-Methods");
    }
}

/// Method, target, further request fields, and the status that comes.
type VaryRow = (
    &'static str,
    &'static str,
    &'static [(&'static str, &'static str)],
    u16,
);

#[test]
fn vary_names_origin_on_every_kind_of_response() {
    let upstream = Upstream::start();
    let node = node_with(&upstream, POLICY);
    let body = pattern(1000);
    upstream
        .expect("GET /a")
        .reply(200)
        .header(FRESH.0, FRESH.1)
        .header("ETag", "\"1\"")
        .body(&body);
    upstream
        .expect("GET /moved")
        .times(3)
        .reply(301)
        .header("Location", "/a");
    upstream.expect("GET /gone").times(3).reply(404).body("no");
    upstream
        .expect("GET /broken")
        .times(3)
        .reply(500)
        .body("no");
    upstream.expect("GET /guarded").times(3).reply(412);
    upstream.expect("GET /dead").always().reset();
    upstream
        .expect("POST /a")
        .times(3)
        .early()
        .reply(405)
        .body("no")
        .close();
    let rows: &[VaryRow] = &[
        ("GET", "/a", &[], 200),
        ("HEAD", "/a", &[], 200),
        ("GET", "/a", &[("If-None-Match", "\"1\"")], 304),
        ("HEAD", "/a", &[("If-None-Match", "\"1\"")], 304),
        ("GET", "/a", &[("Range", "bytes=0-9")], 206),
        ("GET", "/a", &[("Range", "bytes=5000-")], 416),
        ("GET", "/guarded", &[("If-Match", "\"2\"")], 412),
        ("GET", "/moved", &[], 301),
        ("GET", "/gone", &[], 404),
        ("GET", "/broken", &[], 500),
        ("GET", "/dead", &[], 502),
        ("GET", "/cold", &[("Cache-Control", "only-if-cached")], 504),
        ("POST", "/a", &[], 405),
    ];
    for (method, target, fields, status) in rows {
        for origin in [Some(FRIEND), Some("https://evil.net"), None] {
            let ask = node.ask(method, target);
            let ask = fields
                .iter()
                .fold(ask, |ask, (name, value)| ask.header(name, value));
            let ask = origin
                .into_iter()
                .fold(ask, |ask, origin| ask.origin(origin));
            let response = ask.send();
            assert_eq!(response.status, *status, "{method} {target} {fields:?}");
            match origin {
                Some(FRIEND) => is_granted(&response, FRIEND),
                Some(_) | None => is_refused(&response),
            }
        }
    }
}

/// Whose resource a request meant that cannot be read is not known: it may be one that varies.
#[test]
fn refusals_of_unreadable_requests_vary_where_a_policy_does() {
    let upstream = Upstream::start();
    for (site, vary) in [
        (POLICY, Some("Origin")),
        ("[site.cors]\norigins = [\"*\"]\n", None),
        ("", None),
    ] {
        let node = node_with(&upstream, site);
        for request in [
            "GET /a HTTP/1.1\r\nHost: a\r\nOrigin: https://app.example\r\nX : y\r\n\r\n",
            "GET /a HTTP/1.1\r\nOrigin: https://app.example\r\n\r\n",
            "GET /a HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
            "noise\r\n\r\n",
        ] {
            let mut client = node.client();
            client.write(request);
            let response = client.answer("GET");
            response.is(400);
            assert_eq!(response.head.field("Vary").as_deref(), vary, "{request:?}");
        }
    }
    upstream.heard_nothing();
}

#[test]
fn a_star_does_not_vary() {
    let upstream = Upstream::start();
    let node = node_with(&upstream, "[site.cors]\norigins = [\"*\"]\n");
    upstream
        .expect("GET /a")
        .reply(200)
        .header(FRESH.0, FRESH.1)
        .body("body");
    upstream
        .expect("GET /b")
        .reply(200)
        .header(FRESH.0, FRESH.1)
        .header("Vary", "Accept-Encoding")
        .body("body");
    for _ in 0..2 {
        let response = node.get("/a").origin("https://any.example").send();
        response
            .header("Access-Control-Allow-Origin", "*")
            .lacks("Vary");
        response.lacks("Access-Control-Allow-Credentials");
        node.get("/a").send().is(200).lacks("Vary");
        let response = node.get("/b").origin("https://any.example").send();
        response
            .header("Access-Control-Allow-Origin", "*")
            .header("Vary", "Accept-Encoding");
    }
}

#[test]
fn validation_off_always_sends_the_configured_value() {
    let upstream = Upstream::start();
    let node = node_with(
        &upstream,
        "[site.cors]\norigins = [\"https://app.example\"]\nvalidate = false\n",
    );
    upstream
        .expect("GET /a")
        .reply(200)
        .header(FRESH.0, FRESH.1)
        .body("body");
    for origin in ["https://app.example", "https://evil.net"] {
        let response = node.get("/a").origin(origin).send();
        response.header("Access-Control-Allow-Origin", "https://app.example");
    }
    node.get("/a")
        .send()
        .header("Access-Control-Allow-Origin", "https://app.example");
}

#[test]
fn a_preflight_is_answered_without_the_upstream() {
    let upstream = Upstream::start();
    let node = node_with(&upstream, POLICY);
    let mut client = node.client();
    let mut preflight = |origin: &str, method: &str, names: Option<&str>| {
        let ask = client.ask("OPTIONS", "/a").origin(origin);
        let ask = ask.header("Access-Control-Request-Method", method);
        let ask = names.into_iter().fold(ask, |ask, names| {
            ask.header("Access-Control-Request-Headers", names)
        });
        ask.send()
    };
    for origin in [FRIEND, "https://a.example.com", FRIEND] {
        let granted = preflight(origin, "PUT", Some("content-type,x-one"));
        is_granted(granted.is(204).body(""), origin);
        granted.header("Access-Control-Allow-Credentials", "true");
        granted
            .header("Access-Control-Max-Age", "3600")
            .lacks("Age")
            .lacks("Content-Length");
        granted.lists("Access-Control-Allow-Methods", "PUT");
        granted.lists("Access-Control-Allow-Headers", "content-type");
        granted.lists("Access-Control-Allow-Headers", "x-one");
        assert_ne!(granted.cache_word(), "hit");
    }
    for method in ["GET", "HEAD", "POST"] {
        is_granted(preflight(FRIEND, method, None).is(204), FRIEND);
    }
    is_refused(preflight("https://evil.net", "PUT", Some("x-one")).is(204));
    is_refused(preflight("null", "PUT", None).is(204));
    for (method, names) in [
        ("DELETE", None),
        ("put", None),
        ("PUT", Some("x-two")),
        ("PUT", Some("x-one,x-two")),
        ("PUT", Some("authorization")),
    ] {
        let answer = preflight(FRIEND, method, names);
        answer.is(204).lists("Vary", "Origin");
        let methods = answer
            .head
            .field("Access-Control-Allow-Methods")
            .unwrap_or_default();
        let headers = answer
            .head
            .field("Access-Control-Allow-Headers")
            .unwrap_or_default();
        assert!(
            !methods
                .split(',')
                .any(|m| m.trim() == "DELETE" || m.trim() == "put")
        );
        let headers = headers.to_ascii_lowercase();
        assert!(
            !headers.contains("x-two") && !headers.contains("authorization"),
            "{headers}"
        );
    }
    upstream.heard_nothing();
}

#[test]
fn a_star_for_request_headers_never_grants_authorization() {
    let upstream = Upstream::start();
    for credentials in ["", "credentials = true\n"] {
        let node = node_with(
            &upstream,
            &format!(
                "[site.cors]\norigins = [\"{FRIEND}\"]\nrequest_headers = [\"*\"]\n{credentials}"
            ),
        );
        let ask = |names: &str| {
            node.ask("OPTIONS", "/a")
                .origin(FRIEND)
                .header("Access-Control-Request-Method", "GET")
                .header("Access-Control-Request-Headers", names)
                .send()
        };
        let granted = ask("x-any,x-other");
        is_granted(granted.is(204), FRIEND);
        if credentials.is_empty() {
            granted.has("Access-Control-Allow-Headers");
        } else {
            // A browser reads `*` literally when credentials are used.
            granted.lists("Access-Control-Allow-Headers", "x-any");
            granted.lists("Access-Control-Allow-Headers", "x-other");
        }
        for names in ["authorization", "Authorization", "x-any,authorization"] {
            let allowed = ask(names).head.field("Access-Control-Allow-Headers");
            let allowed = allowed.unwrap_or_default().to_ascii_lowercase();
            assert!(!allowed.contains("authorization"), "{names}: {allowed}");
        }
    }
}

#[test]
fn other_options_requests_go_to_the_upstream() {
    let upstream = Upstream::start();
    let node = node_with(&upstream, POLICY);
    for _ in 0..4 {
        upstream
            .expect("OPTIONS /a")
            .reply(200)
            .header("Allow", "GET")
            .header(FRESH.0, FRESH.1);
    }
    let ask = || node.ask("OPTIONS", "/a");
    is_refused(ask().send().is(200).header("Allow", "GET"));
    is_granted(
        ask().origin(FRIEND).send().is(200).header("Allow", "GET"),
        FRIEND,
    );
    is_refused(
        ask()
            .header("Access-Control-Request-Method", "PUT")
            .send()
            .is(200),
    );
    // Never stored, whatever it says.
    ask().send().is(200);
    assert_eq!(upstream.received().len(), 4);
}

#[test]
fn without_a_policy_the_node_is_transparent() {
    let upstream = Upstream::start();
    let node = Node::before(&upstream);
    upstream
        .expect("OPTIONS /a")
        .times(2)
        .reply(204)
        .header("Access-Control-Allow-Origin", FRIEND)
        .header(FRESH.0, FRESH.1);
    upstream
        .expect("GET /a")
        .reply(200)
        .header(FRESH.0, FRESH.1)
        .header("Access-Control-Allow-Origin", "*")
        .body("body");
    for _ in 0..2 {
        let ask = node.ask("OPTIONS", "/a").origin(FRIEND);
        let response = ask.header("Access-Control-Request-Method", "PUT").send();
        response
            .is(204)
            .header("Access-Control-Allow-Origin", FRIEND);
    }
    for word in ["miss", "hit"] {
        let response = node.get("/a").origin("https://evil.net").send();
        response
            .cache(word)
            .header("Access-Control-Allow-Origin", "*")
            .lacks("Vary");
    }
}

#[test]
fn an_enormous_list_of_requested_headers_costs_nothing_and_grants_nothing() {
    let upstream = Upstream::start();
    let node = node_with(&upstream, POLICY);
    let mut client = node.client();
    let lists = [
        ",".repeat(16_000),
        "x-one,".repeat(2_500),
        " ,".repeat(8_000),
    ];
    let started = std::time::Instant::now();
    for _ in 0..20 {
        for list in &lists {
            let response = client
                .ask("OPTIONS", "/a")
                .origin(FRIEND)
                .header("Access-Control-Request-Method", "PUT")
                .header("Access-Control-Request-Headers", list)
                .send();
            assert!(matches!(response.status, 204 | 400 | 431), "{response:?}");
            assert!(
                response
                    .head
                    .fields
                    .iter()
                    .map(|(_, v)| v.len())
                    .sum::<usize>()
                    < 2_000
            );
        }
    }
    // 60 requests of 16 KiB on an unoptimised build, with a wide margin for a busy machine.
    assert!(started.elapsed().as_secs() < 60, "{:?}", started.elapsed());
    upstream.heard_nothing();
}

#[test]
fn a_preflight_with_a_body_leaves_the_connection_in_order() {
    let upstream = Upstream::start();
    let node = node_with(&upstream, POLICY);
    upstream
        .expect("GET /next")
        .perhaps()
        .reply(200)
        .body("next");
    let mut client = node.client();
    let smuggled = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";
    let ask = client.ask("OPTIONS", "/a").origin(FRIEND);
    let ask = ask
        .header("Access-Control-Request-Method", "PUT")
        .body(smuggled);
    let response = ask.send();
    assert!(matches!(response.status, 204 | 400), "{response:?}");
    if response.closes() {
        client.is_closed();
    } else {
        client.get("/next").send().is(200).body("next");
    }
}

#[test]
fn the_rules_change_under_a_stored_response() {
    let upstream = Upstream::start();
    let policy = |origins: &str| {
        NodeConfig::before(&upstream).site(&format!("[site.cors]\norigins = [{origins}]\n"))
    };
    let node = policy("\"https://one.example\"").start();
    upstream
        .expect("GET /a")
        .reply(200)
        .header(FRESH.0, FRESH.1)
        .body("body");
    let ask = |origin: &str| node.get("/a").origin(origin).send();
    is_granted(
        ask("https://one.example").cache("miss"),
        "https://one.example",
    );
    is_refused(ask("https://two.example").cache("hit"));

    node.reload(&policy("\"https://two.example\"").text(), "reloaded");
    is_refused(ask("https://one.example").cache("hit").body("body"));
    is_granted(
        ask("https://two.example").cache("hit").body("body"),
        "https://two.example",
    );

    node.reload(&policy("\"*\"").text(), "reloaded");
    ask("https://three.example")
        .cache("hit")
        .header("Access-Control-Allow-Origin", "*");
    assert_eq!(upstream.received().len(), 1);
}

#[test]
fn routes_have_policies_of_their_own() {
    let upstream = Upstream::start();
    let site =
        format!("{POLICY}\n[[site.route]]\npath = \"/fonts/**\"\ncors = {{ origins = [\"*\"] }}\n");
    let node = node_with(&upstream, &site);
    upstream
        .expect("GET /fonts/a")
        .reply(200)
        .header(FRESH.0, FRESH.1)
        .body("glyphs");
    upstream
        .expect("GET /api")
        .reply(200)
        .header(FRESH.0, FRESH.1)
        .body("json");
    let evil = "https://evil.net";
    for _ in 0..2 {
        let fonts = node.get("/fonts/a").origin(evil).send();
        fonts.header("Access-Control-Allow-Origin", "*");
        is_refused(&node.get("/api").origin(evil).send());
        is_granted(&node.get("/api").origin(FRIEND).send(), FRIEND);
    }
}

#[test]
fn a_list_of_thousands_comes_from_a_file() {
    let upstream = Upstream::start();
    let config = NodeConfig::before(&upstream)
        .site("[site.cors]\norigins_file = \"tenants.txt\"\n")
        .beside("tenants.txt", &tenants(5_000));
    let node = config.start();
    upstream
        .expect("GET /a")
        .reply(200)
        .header(FRESH.0, FRESH.1)
        .body("body");
    let mut client = node.client();
    for at in [0, 1, 2_499, 4_999] {
        let origin = format!("https://tenant-{at}.example");
        is_granted(&client.get("/a").origin(&origin).send(), &origin);
        let origin = format!("https://deep.sub.tenant-{at}.example.org");
        is_granted(&client.get("/a").origin(&origin).send(), &origin);
    }
    is_refused(
        &client
            .get("/a")
            .origin("https://tenant-5000.example")
            .send(),
    );
    is_refused(
        &client
            .get("/a")
            .origin("https://tenant-1.example.org")
            .send(),
    );
}

fn tenants(count: usize) -> String {
    let lines = (0..count)
        .map(|at| format!("https://tenant-{at}.example\nhttps://*.tenant-{at}.example.org\n"));
    "# one pattern a line\n\n".to_owned() + &lines.collect::<String>()
}
