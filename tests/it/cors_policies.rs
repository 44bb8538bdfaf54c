//! What `[site.cors]` can say beyond a list of origins: several policies, conditions, dialects, the
//! neighbours of CORS (timing, embedding, private networks), and what becomes of the upstream's own.

use crate::harness::{Node, NodeConfig, Response, Upstream};

const FRESH: (&str, &str) = ("Cache-Control", "max-age=60");

fn node_with(upstream: &Upstream, site: &str) -> Node {
    NodeConfig::before(upstream).site(site).start()
}

fn preflight(node: &Node, target: &str, origin: &str, method: &str, headers: &str) -> Response {
    let ask = node
        .ask("OPTIONS", target)
        .origin(origin)
        .header("Access-Control-Request-Method", method);
    if headers.is_empty() {
        ask.send()
    } else {
        ask.header("Access-Control-Request-Headers", headers).send()
    }
}

#[track_caller]
fn allows(response: &Response, origin: &str) {
    let got: Vec<&str> = response.head.all("Access-Control-Allow-Origin").collect();
    assert_eq!(got, [origin]);
}

#[track_caller]
fn refuses(response: &Response) {
    let granted = response
        .head
        .fields
        .iter()
        .find(|(name, _)| name.to_ascii_lowercase().starts_with("access-control-"));
    assert_eq!(granted, None);
    response.lists("Vary", "Origin");
}

#[test]
fn of_several_policies_the_first_that_passes_in_all_three_decides() {
    let upstream = Upstream::start();
    let node = node_with(
        &upstream,
        r#"
[[site.cors]]
origins = ["https://app.example"]
methods = ["GET"]
expose = ["X-First"]

[[site.cors]]
origins = ["https://*.example", "https://app.example"]
methods = ["GET", "PUT"]
request_headers = ["X-Token"]
expose = ["X-Second"]
max_age = "10m"

[[site.cors]]
origins = ["https://app.example"]
methods = ["DELETE"]
credentials = true
"#,
    );
    upstream
        .expect("GET /a")
        .reply(200)
        .header(FRESH.0, FRESH.1);
    for (origin, exposed) in [
        ("https://app.example", "X-First"),
        ("https://other.example", "X-Second"),
    ] {
        let response = node.get("/a").origin(origin).send();
        allows(&response, origin);
        response
            .header("Access-Control-Expose-Headers", exposed)
            .lacks("Access-Control-Allow-Credentials")
            .header("Vary", "Origin");
    }
    refuses(&node.get("/a").origin("https://evil.net").send());
    let app = "https://app.example";
    let get = preflight(&node, "/a", app, "GET", "");
    allows(&get, app);
    get.lacks("Access-Control-Max-Age");
    // The requested header is one that only the second allows.
    let with_header = preflight(&node, "/a", app, "GET", "x-token");
    allows(&with_header, app);
    with_header.header("Access-Control-Max-Age", "600");
    let delete = preflight(&node, "/a", app, "DELETE", "");
    allows(&delete, app);
    delete.header("Access-Control-Allow-Credentials", "true");
    // No policy passes as a whole, whatever each of them allows alone.
    refuses(&preflight(&node, "/a", app, "DELETE", "x-token"));
    refuses(&preflight(&node, "/a", "https://b.example", "DELETE", ""));
}

#[test]
fn a_refused_preflight_has_the_status_it_was_given() {
    for (status, key) in [(204, ""), (403, "refused_preflight_status = 403\n")] {
        let upstream = Upstream::start();
        let site = format!("[site.cors]\norigins = [\"https://app.example\"]\n{key}");
        let node = node_with(&upstream, &site);
        let refused = preflight(&node, "/a", "https://evil.net", "GET", "");
        refuses(refused.is(status));
        allows(
            preflight(&node, "/a", "https://app.example", "GET", "").is(204),
            "https://app.example",
        );
        assert!(upstream.received().is_empty());
    }
}

#[test]
fn a_condition_on_the_content_type_leaves_other_responses_alone() {
    let upstream = Upstream::start();
    let node = node_with(
        &upstream,
        r#"
[site.cors]
origins = ["https://app.example"]
when = { content_type = ["font/*"] }
"#,
    );
    for (path, content_type) in [
        ("/font", "font/woff2"),
        ("/page", "text/html; charset=utf-8"),
    ] {
        upstream
            .expect(&format!("GET {path}"))
            .reply(200)
            .header(FRESH.0, FRESH.1)
            .header("ETag", "\"1\"")
            .header("Content-Type", content_type)
            .header("Access-Control-Allow-Origin", "*")
            .body("body");
    }
    for _ in 0..2 {
        let font = node.get("/font").origin("https://app.example").send();
        allows(font.header("Vary", "Origin"), "https://app.example");
        refuses(&node.get("/font").origin("https://evil.net").send());
        let page = node.get("/page").origin("https://app.example").send();
        page.is(200)
            .lacks("Access-Control-Allow-Origin")
            .lacks("Vary");
    }
    // A 304 has the content type of what it confirms.
    let unchanged = node
        .get("/font")
        .origin("https://app.example")
        .header("If-None-Match", "\"1\"")
        .send();
    allows(unchanged.is(304), "https://app.example");
}

/// Errors of the node's own are text, and are readable where text is.
#[test]
fn a_condition_on_the_content_type_holds_for_the_nodes_own_errors() {
    let upstream = Upstream::start();
    let node = node_with(
        &upstream,
        r#"
[[site.cors]]
origins = ["https://app.example"]
when = { content_type = ["text/*"] }

[[site.cors]]
origins = ["https://later.example"]
when = { content_type = ["text/plain"] }
shadow = true

[[site.route]]
path = "/fonts/**"
cors = { origins = ["https://app.example"], when = { content_type = ["font/*"] } }
"#,
    );
    let ask = |path: &str, origin| {
        let ask = node.get(path).header("Cache-Control", "only-if-cached");
        ask.origin(origin).send()
    };
    let own = ask("/a", "https://app.example");
    own.is(504)
        .header("Content-Type", "text/plain; charset=utf-8");
    allows(&own, "https://app.example");
    own.lists("Vary", "Origin");
    refuses(ask("/a", "https://later.example").is(504));
    let metrics = node.admin("GET", "/metrics").send().text();
    for (flip, count) in [("allow-to-deny", 1), ("deny-to-allow", 1)] {
        let line = format!(
            "corsair_cors_shadow_flips_total{{site=\"*\",route=\"0\",flip=\"{flip}\"}} {count}"
        );
        assert!(metrics.lines().any(|l| l == line), "{line}:\n{metrics}");
    }
    // Text is no font.
    let own = ask("/fonts/a", "https://app.example");
    own.is(504)
        .lacks("Access-Control-Allow-Origin")
        .lacks("Vary");
}

#[test]
fn the_s3_dialect_takes_a_star_anywhere() {
    let upstream = Upstream::start();
    let node = node_with(
        &upstream,
        r#"
[site.cors]
dialect = "s3"
origins = ["https://app-*.example.com", "http://*.example.org"]
methods = ["GET", "PUT"]
request_headers = ["x-amz-*", "Content-MD5"]
"#,
    );
    upstream
        .expect("GET /a")
        .reply(200)
        .header(FRESH.0, FRESH.1);
    for origin in [
        "https://app-1.example.com",
        "https://app-a.b.example.com",
        "http://x.example.org",
    ] {
        allows(&node.get("/a").origin(origin).send(), origin);
    }
    for origin in [
        "https://app.example.com",
        "https://app-1.example.net",
        "https://xapp-1.example.com",
        "http://example.org",
        "https://app-1/.example.com",
    ] {
        refuses(&node.get("/a").origin(origin).send());
    }
    let origin = "https://app-1.example.com";
    let asked = "content-md5,x-amz-acl,x-amz-meta-a";
    let granted = preflight(&node, "/a", origin, "PUT", asked);
    allows(&granted, origin);
    granted.header(
        "Access-Control-Allow-Headers",
        "content-md5, x-amz-acl, x-amz-meta-a",
    );
    refuses(&preflight(&node, "/a", origin, "PUT", "x-amz-acl,x-other"));
}

#[test]
fn timing_goes_to_the_same_audience_and_embedding_to_everybody() {
    let upstream = Upstream::start();
    let node = node_with(
        &upstream,
        r#"
[site.cors]
origins = ["https://app.example"]
timing = true
resource_policy = "same-site"
"#,
    );
    upstream
        .expect("GET /a")
        .reply(200)
        .header(FRESH.0, FRESH.1)
        .header("Timing-Allow-Origin", "*")
        .header("Cross-Origin-Resource-Policy", "cross-origin");
    for word in ["miss", "hit"] {
        let app = node.get("/a").origin("https://app.example").send();
        let timed: Vec<&str> = app.head.all("Timing-Allow-Origin").collect();
        assert_eq!(timed, ["https://app.example"]);
        app.cache(word);
        for origin in ["https://evil.net", "null"] {
            let response = node.get("/a").origin(origin).send();
            response.lacks("Timing-Allow-Origin");
            let embedded: Vec<&str> = response.head.all("Cross-Origin-Resource-Policy").collect();
            assert_eq!(embedded, ["same-site"]);
        }
        node.get("/a")
            .send()
            .header("Cross-Origin-Resource-Policy", "same-site")
            .header("Vary", "Origin");
    }
}

#[test]
fn an_operation_leaves_no_second_line_beside_the_policy_s() {
    let upstream = Upstream::start();
    let node = node_with(
        &upstream,
        r#"
[site.cors]
origins = ["https://app.example"]
timing = true
resource_policy = "same-site"
expose = ["ETag"]

[[site.header]]
op = "set"
name = "Cross-Origin-Resource-Policy"
value = "cross-origin"

[[site.header]]
op = "add"
name = "Timing-Allow-Origin"
value = "*"

[[site.header]]
op = "set"
name = "Access-Control-Allow-Origin"
value = "*"

[[site.header]]
op = "set"
name = "Access-Control-Expose-Headers"
value = "X-Secret"
"#,
    );
    upstream
        .expect("GET /a")
        .reply(200)
        .header(FRESH.0, FRESH.1);
    for (origin, granted) in [("https://app.example", true), ("https://evil.net", false)] {
        let response = node.get("/a").origin(origin).send();
        let lines = |name| response.head.all(name).collect::<Vec<&str>>();
        let own: Vec<&str> = granted.then_some(origin).into_iter().collect();
        assert_eq!(lines("Access-Control-Allow-Origin"), own);
        assert_eq!(lines("Timing-Allow-Origin"), own);
        assert_eq!(lines("Cross-Origin-Resource-Policy"), ["same-site"]);
        let exposed: Vec<&str> = granted.then_some("ETag").into_iter().collect();
        assert_eq!(lines("Access-Control-Expose-Headers"), exposed);
    }
}

#[test]
fn a_private_network_is_granted_only_where_asked_and_allowed() {
    for (key, expected) in [("", None), ("private_network = true\n", Some("true"))] {
        let upstream = Upstream::start();
        let site = format!("[site.cors]\norigins = [\"https://app.example\"]\n{key}");
        let node = node_with(&upstream, &site);
        let ask = |origin: &str, private: bool| {
            let ask = node
                .ask("OPTIONS", "/a")
                .origin(origin)
                .header("Access-Control-Request-Method", "GET");
            let ask = if private {
                ask.header("Access-Control-Request-Private-Network", "true")
            } else {
                ask
            };
            ask.send()
                .head
                .field("Access-Control-Allow-Private-Network")
        };
        assert_eq!(ask("https://app.example", true).as_deref(), expected);
        assert_eq!(ask("https://app.example", false), None);
        assert_eq!(ask("https://evil.net", true), None);
    }
}

#[test]
fn without_validation_one_value_goes_to_everybody() {
    for value in ["*", "https://app.example"] {
        let upstream = Upstream::start();
        let site = format!("[site.cors]\norigins = [\"{value}\"]\nvalidate = false\n");
        let node = node_with(&upstream, &site);
        upstream
            .expect("GET /a")
            .reply(200)
            .header(FRESH.0, FRESH.1)
            .header("Access-Control-Allow-Origin", "https://theirs.example");
        for origin in [
            "",
            "https://app.example",
            "https://evil.net",
            "null",
            "junk",
        ] {
            let ask = node.get("/a");
            let ask = if origin.is_empty() {
                ask
            } else {
                ask.origin(origin)
            };
            let response = ask.send();
            allows(response.is(200).lacks("Vary"), value);
        }
    }
}

#[test]
fn a_shadow_policy_is_never_applied() {
    let upstream = Upstream::start();
    let node = node_with(
        &upstream,
        r#"
[[site.cors]]
origins = ["https://app.example"]

[[site.cors]]
origins = ["https://next.example"]
shadow = true
resource_policy = "same-origin"
timing = true
"#,
    );
    upstream
        .expect("GET /a")
        .reply(200)
        .header(FRESH.0, FRESH.1);
    allows(
        &node.get("/a").origin("https://app.example").send(),
        "https://app.example",
    );
    let next = node.get("/a").origin("https://next.example").send();
    refuses(&next);
    next.lacks("Cross-Origin-Resource-Policy")
        .lacks("Timing-Allow-Origin");
    refuses(&preflight(&node, "/a", "https://next.example", "GET", ""));
    // Alone it leaves everything to the upstream.
    let node = node_with(
        &upstream,
        "[site.cors]\norigins = [\"https://next.example\"]\nshadow = true\n",
    );
    upstream
        .expect("OPTIONS /a")
        .reply(204)
        .header("Access-Control-Allow-Origin", "https://theirs.example");
    let theirs = preflight(&node, "/a", "https://app.example", "GET", "");
    allows(&theirs, "https://theirs.example");
}

#[test]
fn duplicate_sends_both() {
    let upstream = Upstream::start();
    let node = node_with(
        &upstream,
        "[site.cors]\norigins = [\"https://app.example\"]\nupstream = \"duplicate\"\n",
    );
    upstream
        .expect("GET /a")
        .reply(200)
        .header(FRESH.0, FRESH.1)
        .header("Access-Control-Allow-Origin", "https://theirs.example");
    let mut client = node.client().expects_two("Access-Control-Allow-Origin");
    for word in ["miss", "hit"] {
        let response = client.get("/a").origin("https://app.example").send();
        let got: Vec<&str> = response.head.all("Access-Control-Allow-Origin").collect();
        assert_eq!(got, ["https://theirs.example", "https://app.example"]);
        response.cache(word).lists("Vary", "Origin");
    }
}

#[test]
fn passthrough_leaves_everything_to_the_upstream() {
    let upstream = Upstream::start();
    let node = node_with(&upstream, "[site.cors]\nupstream = \"passthrough\"\n");
    upstream
        .expect("GET /a")
        .with("Origin", "https://app.example")
        .reply(200)
        .header("Cache-Control", "no-store")
        .header("Access-Control-Allow-Origin", "https://app.example")
        .header("Access-Control-Expose-Headers", "X-Theirs")
        .header("Vary", "Origin");
    let response = node.get("/a").origin("https://app.example").send();
    allows(&response, "https://app.example");
    response
        .header("Access-Control-Expose-Headers", "X-Theirs")
        .header("Vary", "Origin");
    upstream
        .expect("OPTIONS /a")
        .with("Access-Control-Request-Method", "PUT")
        .reply(200)
        .header("Access-Control-Allow-Origin", "https://app.example")
        .header("Access-Control-Allow-Methods", "PUT");
    let theirs = preflight(&node, "/a", "https://app.example", "PUT", "");
    theirs.is(200).header("Access-Control-Allow-Methods", "PUT");
}

#[test]
fn a_route_has_policies_of_its_own() {
    let upstream = Upstream::start();
    let node = node_with(
        &upstream,
        r#"
[site.cors]
origins = ["https://app.example"]

[[site.route]]
path = "/fonts/**"
methods = ["GET", "HEAD", "OPTIONS"]
cors = { origins = ["*"] }

[[site.route]]
path = "/bare/**"
cors = []

[[site.route]]
path = "/two/**"
cors = [
    { origins = ["https://one.example"] },
    { origins = ["https://two.example"], credentials = true },
]
"#,
    );
    for path in ["/fonts/a", "/bare/a", "/two/a", "/a"] {
        upstream
            .expect(&format!("GET {path}"))
            .reply(200)
            .header(FRESH.0, FRESH.1);
    }
    let app = "https://app.example";
    allows(node.get("/fonts/a").origin(app).send().lacks("Vary"), "*");
    node.get("/bare/a")
        .origin(app)
        .send()
        .is(200)
        .lacks("Access-Control-Allow-Origin")
        .lacks("Vary");
    refuses(&node.get("/two/a").origin(app).send());
    let two = node.get("/two/a").origin("https://two.example").send();
    allows(&two, "https://two.example");
    two.header("Access-Control-Allow-Credentials", "true");
    allows(&node.get("/a").origin(app).send(), app);
}

/// What a browser is told before a request holds for the request: the same route decides both.
#[test]
fn a_preflight_is_decided_by_the_route_of_the_request_it_asks_about() {
    let upstream = Upstream::start();
    let node = node_with(
        &upstream,
        r#"
[[site.route]]
path = "/api/**"
methods = ["PUT", "DELETE"]
cors = { origins = ["https://admin.example"], methods = ["PUT", "DELETE"] }

[[site.route]]
path = "/read/**"
methods = ["GET", "HEAD", "OPTIONS"]
cors = { origins = ["https://reader.example"] }

[[site.route]]
path = "/bare/**"
methods = ["PUT"]
cors = []

[[site.route]]
path = "/**"
cors = { origins = ["https://stranger.example"], methods = ["*"] }
"#,
    );
    let (admin, reader, stranger) = (
        "https://admin.example",
        "https://reader.example",
        "https://stranger.example",
    );
    // Path, the method asked about, and who may.
    let rows = [
        ("/api/x", "PUT", admin),
        ("/api/x", "DELETE", admin),
        ("/api/x", "GET", stranger),
        ("/api/x", "OPTIONS", stranger),
        ("/read/x", "GET", reader),
        ("/read/x", "PUT", stranger),
    ];
    for (path, method, friend) in rows {
        for origin in [admin, reader, stranger] {
            let response = preflight(&node, path, origin, method, "");
            let is_friend = origin == friend;
            match is_friend {
                true => allows(&response, origin),
                false => refuses(&response),
            }
        }
    }
    assert!(upstream.received().is_empty());
    // The request itself: the same route.
    upstream.expect("PUT /api/x").always().reply(204);
    let put = |origin| node.ask("PUT", "/api/x").origin(origin).body("x").send();
    allows(&put(admin), admin);
    refuses(&put(stranger));
    // A route that leaves CORS to the upstream leaves it the preflight, too.
    upstream.expect("OPTIONS /bare/x").reply(204);
    let theirs = preflight(&node, "/bare/x", stranger, "PUT", "");
    theirs
        .is(204)
        .cache("method")
        .lacks("Access-Control-Allow-Origin");
    // Without an origin it is no preflight: by its own method.
    upstream.expect("OPTIONS /api/x").reply(204);
    let ask = node.ask("OPTIONS", "/api/x");
    let own = ask.header("Access-Control-Request-Method", "PUT").send();
    refuses(own.is(204).cache("method"));
}
