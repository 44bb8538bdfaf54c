//! Response header operations: applied on the way out, never stored.

use crate::harness::{NodeConfig, Upstream};

const FRESH: (&str, &str) = ("Cache-Control", "max-age=60");

fn op(op: &str, name: &str, rest: &str) -> String {
    format!("[[site.header]]\nop = \"{op}\"\nname = \"{name}\"\n{rest}\n")
}

fn value(text: &str) -> String {
    format!("value = \"{text}\"\n")
}

#[test]
fn operations_apply_in_their_order_on_misses_and_hits() {
    let upstream = Upstream::start();
    let site = [
        op("set", "X-Set", &value("ours")),
        op("add", "X-Added", &value("two")),
        op("append", "X-Listed", &value("two")),
        op("remove", "X-Secret", ""),
        op("remove", "x-internal-*", ""),
        op("default", "X-Default", &value("ours")),
        op("default", "X-Silent", &value("ours")),
        op("set", "X-Twice", &value("first")),
        op("set", "X-Twice", &value("second")),
        op("add", "X-Gone", &value("x")),
        op("remove", "X-Gone", ""),
        op("set", "Server", &value("edge")),
    ]
    .concat();
    let node = NodeConfig::before(&upstream).site(&site).start();
    upstream
        .expect("GET /a")
        .reply(200)
        .header(FRESH.0, FRESH.1)
        .header("X-Set", "theirs")
        .header("x-set", "theirs again")
        .header("X-Added", "one")
        .header("X-Listed", "one")
        .header("X-Secret", "key")
        .header("X-Internal-Host", "db-1")
        .header("X-Internal-", "odd")
        .header("X-Default", "theirs")
        .header("Server", "upstream/1.0")
        .body("body");
    for word in ["miss", "hit", "hit"] {
        let response = node.get("/a").send();
        response.is(200).cache(word).body("body");
        response
            .header("X-Set", "ours")
            .header("X-Listed", "one, two");
        assert_eq!(
            response.head.all("X-Added").collect::<Vec<_>>(),
            ["one", "two"]
        );
        response
            .lacks("X-Secret")
            .lacks("X-Internal-Host")
            .lacks("X-Internal-")
            .lacks("X-Gone");
        response
            .header("X-Default", "theirs")
            .header("X-Silent", "ours");
        response
            .header("X-Twice", "second")
            .header("Server", "edge");
    }
    let conditional = node.ask("HEAD", "/a").send();
    conditional
        .is(200)
        .cache("hit")
        .header("X-Set", "ours")
        .lacks("X-Secret");
}

#[test]
fn an_edit_shows_on_the_next_hit() {
    let upstream = Upstream::start();
    let with = |text: &str| NodeConfig::before(&upstream).site(&op("set", "X-Rule", &value(text)));
    let node = with("old").start();
    upstream
        .expect("GET /a")
        .reply(200)
        .header(FRESH.0, FRESH.1)
        .body("body");
    node.get("/a").send().cache("miss").header("X-Rule", "old");
    node.get("/a").send().cache("hit").header("X-Rule", "old");
    node.reload(&with("new").text(), "reloaded");
    node.get("/a").send().cache("hit").header("X-Rule", "new");
    node.reload(&NodeConfig::before(&upstream).text(), "reloaded");
    node.get("/a").send().cache("hit").lacks("X-Rule");
}

#[test]
fn a_304_and_a_206_are_edited_like_the_200() {
    let upstream = Upstream::start();
    let node = NodeConfig::before(&upstream)
        .site(
            &[
                op("set", "X-Rule", &value("on")),
                op("remove", "X-Secret", ""),
            ]
            .concat(),
        )
        .start();
    upstream
        .expect("GET /a")
        .reply(200)
        .header(FRESH.0, FRESH.1)
        .header("ETag", "\"1\"")
        .header("X-Secret", "key")
        .body("0123456789");
    node.get("/a")
        .send()
        .header("X-Rule", "on")
        .lacks("X-Secret");
    let part = node.get("/a").header("Range", "bytes=0-1").send();
    part.is(206)
        .header("X-Rule", "on")
        .lacks("X-Secret")
        .body("01");
    let unchanged = node.get("/a").header("If-None-Match", "\"1\"").send();
    unchanged.is(304).header("X-Rule", "on").lacks("X-Secret");
}

#[test]
fn routes_have_operations_of_their_own() {
    let upstream = Upstream::start();
    let site = op("set", "X-Where", &value("site"))
        + "[[site.route]]\npath = \"/r/**\"\n\
           header = [{ op = \"set\", name = \"X-Where\", value = \"route\" }]\n";
    let node = NodeConfig::before(&upstream).site(&site).start();
    upstream
        .expect("GET /r/a")
        .reply(200)
        .header(FRESH.0, FRESH.1);
    upstream
        .expect("GET /s")
        .reply(200)
        .header(FRESH.0, FRESH.1);
    for _ in 0..2 {
        node.get("/r/a").send().is(200).header("X-Where", "route");
        node.get("/s").send().is(200).header("X-Where", "site");
    }
}

/// What a path or a host decides is in the remembered head of that path and host, and in no other;
/// what the method decides is in none.
#[test]
fn remembered_heads_are_of_one_path_host_and_method() {
    let upstream = Upstream::start();
    let when = |condition: &str| value("yes") + &format!("when = {{ {condition} }}\n");
    let only_by_path = [
        op("set", "X-Path", &when("path = [\"/a\"]")),
        op("set", "X-Where", &value("${host}${path}")),
    ]
    .concat();
    let by_method = op("set", "X-Method", &when("methods = [\"GET\"]"));
    for (site, has_method) in [
        (only_by_path.clone(), false),
        (only_by_path + &by_method, true),
    ] {
        let node = NodeConfig::before(&upstream).site(&site).start();
        for target in ["/a", "/a", "/b"] {
            upstream
                .expect(&format!("GET {target}"))
                .reply(200)
                .header(FRESH.0, FRESH.1);
        }
        for word in ["miss", "hit", "hit"] {
            for (host, target) in [("one.test", "/a"), ("TWO.test", "/a"), ("one.test", "/b")] {
                let response = node.get(target).host(host).send();
                let place = format!("{}{target}", host.to_lowercase());
                response.is(200).cache(word).header("X-Where", &place);
                match target {
                    "/a" => response.header("X-Path", "yes"),
                    _ => response.lacks("X-Path"),
                };
                let head = node.ask("HEAD", target).host(host).send();
                head.is(200).cache("hit").lacks("X-Method");
                match has_method {
                    true => response.header("X-Method", "yes"),
                    false => response.lacks("X-Method"),
                };
            }
        }
    }
}

/// Each set of request headers that operations ask for has a remembered head of its own.
#[test]
fn remembered_heads_are_of_what_the_request_asks_with() {
    let upstream = Upstream::start();
    let when = |text: &str, asked: &str| {
        value(text) + &format!("when = {{ request_header = [\"{asked}\"] }}\n")
    };
    let site = [
        op("set", "X-One", &when("1", "X-Flag: one")),
        op("set", "X-Two", &when("2", "X-Flag: *")),
        op("set", "X-Echo", &when("${request.X-Word}", "X-Word")),
    ]
    .concat();
    let node = NodeConfig::before(&upstream).site(&site).start();
    upstream
        .expect("GET /a")
        .reply(200)
        .header(FRESH.0, FRESH.1);
    node.get("/a").send().cache("miss").lacks("X-One");
    for _ in 0..3 {
        let plain = node.get("/a").send();
        plain
            .cache("hit")
            .lacks("X-One")
            .lacks("X-Two")
            .lacks("X-Echo");
        let one = node.get("/a").header("X-Flag", "one").send();
        one.cache("hit").header("X-One", "1").header("X-Two", "2");
        let two = node.get("/a").header("X-Flag", "two").send();
        two.cache("hit").lacks("X-One").header("X-Two", "2");
        for word in ["this", "that"] {
            let said = node.get("/a").header("X-Word", word).send();
            said.cache("hit").lacks("X-Two").header("X-Echo", word);
        }
    }
}

/// A line that is for one origin is for that origin alone in every cache behind the node too.
#[test]
fn what_an_operation_makes_of_the_origin_says_that_it_varies() {
    let only = |origin: &str| format!("when = {{ request_header = [\"Origin: {origin}\"] }}\n");
    let grant = [value("https://one.example"), only("https://one.example")].concat();
    let fonts = "when = { request_header = [\"Origin\"], content_type = [\"font/*\"] }\n";
    let rows = [
        (op("set", "Access-Control-Allow-Origin", &grant), "Origin"),
        (
            op("remove", "X-Theirs", &only("https://one.example")),
            "Origin",
        ),
        (op("set", "X-Asked", &value("${request.origin}")), "Origin"),
        (
            op("set", "X-Font", &[value("1"), fonts.to_owned()].concat()),
            "",
        ),
        (op("remove", "Server", &only("https://one.example")), ""),
        (op("set", "X-Asked", &value("${request.referer}")), ""),
    ];
    for (site, expected) in rows {
        let upstream = Upstream::start();
        let node = NodeConfig::before(&upstream).site(&site).start();
        let plain = upstream.expect("GET /a").reply(200);
        let plain = plain.header(FRESH.0, FRESH.1).header("X-Theirs", "1");
        plain.header("Content-Type", "text/html").body("body");
        for _ in 0..2 {
            for origin in ["https://one.example", "https://two.example"] {
                let response = node.get("/a").origin(origin).send();
                let vary = response.is(200).head.field("Vary").unwrap_or_default();
                assert_eq!(vary, expected, "{site}");
            }
            let response = node.get("/a").send();
            let vary = response.is(200).head.field("Vary").unwrap_or_default();
            assert_eq!(vary, expected, "{site}");
        }
        assert_eq!(upstream.received().len(), 1);
    }
}

/// A browser that reads two values reads none, and lets every site embed what one of them guards.
#[test]
fn one_resource_policy_leaves_and_it_is_the_strictest() {
    let lines: [(&[&str], &[&str]); 6] = [
        (&["same-site"], &["same-site"]),
        (&["cross-origin", "same-site"], &["same-site"]),
        (
            &["same-site, same-origin", "cross-origin"],
            &["same-origin"],
        ),
        (&["same-site,"], &["same-site,"]),
        (&["cross-origin", "Same-Site"], &["cross-origin"]),
        (&["none", "of them"], &["none", "of them"]),
    ];
    for (sent, expected) in lines {
        let upstream = Upstream::start();
        let node = NodeConfig::before(&upstream).start();
        let script = upstream.expect("GET /a").reply(200);
        let script = script.header(FRESH.0, FRESH.1);
        sent.iter().fold(script, |script, line| {
            script.header("Cross-Origin-Resource-Policy", line)
        });
        for word in ["miss", "hit"] {
            let mut client = node.client().expects_two("Cross-Origin-Resource-Policy");
            let response = client.get("/a").send();
            let left = response
                .cache(word)
                .head
                .all("Cross-Origin-Resource-Policy");
            assert_eq!(left.collect::<Vec<_>>(), expected);
        }
    }
}
