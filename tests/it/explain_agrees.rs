//! What `corsair explain` says is what the node does: the same request asked both ways, and the two
//! heads compared line by line.
//!
//! Only the figures that a clock moves are left out: `Date`, `Age`, `ttl`. Every request has a path of
//! its own, because `explain` takes the cache to be empty.

use std::net::TcpListener;

use crate::cli::corsair;
use crate::harness::node::Scratch;
use crate::harness::{Node, NodeConfig, Upstream};

const HOST: &str = "cdn.example.com";
const FRIEND: &str = "Origin: https://app.example.org";
const STRANGER: &str = "Origin: https://evil.net";
const FRESH: &str = "Cache-Control: max-age=60";
const BODY: &str = "0123456789";

const SITE: &str = r#"
[site.cors]
origins = ["https://app.example.org", "https://*.example.com"]
methods = ["GET", "HEAD", "PUT"]
request_headers = ["X-One", "*"]
expose = ["ETag"]
max_age = "1h"
timing = true
resource_policy = "cross-origin"

[[site.header]]
op = "set"
name = "X-Frame-Options"
value = "DENY"
when = { content_type = ["text/html"] }

[[site.header]]
op = "remove"
name = "X-Powered-*"

[[site.header]]
op = "add"
name = "X-Where"
value = "${host} ${path} ${query.q} ${request.X-One} ${status} ${cache}"

[[site.header]]
op = "merge"
name = "Vary"
value = "X-Dev"

[[site.route]]
path = "/credentials/**"
cors = { origins = ["https://app.example.org"], credentials = true, methods = ["*"], request_headers = ["*"] }

[[site.route]]
path = "/open/**"
cors = { origins = ["*"] }

[[site.route]]
path = "/none/**"
cors = []

[[site.route]]
path = "/pass/**"
cors = { origins = ["https://app.example.org"], upstream = "passthrough" }

[[site.route]]
path = "/fonts/**"
cors = { origins = ["https://app.example.org"], when = { content_type = ["font/*"] } }

[[site.route]]
path = "/text/**"
cors = { origins = ["https://app.example.org"], when = { content_type = ["text/*"] } }

[[site.route]]
path = "/shadow/**"
cors = { origins = ["https://app.example.org"], shadow = true }

[[site.route]]
path = "/console/**"
[[site.route.header]]
op = "add"
name = "Access-Control-Allow-Origin"
value = "http://a.com,https://app.example.org"
validate_origin = true
"#;

/// Method, target, request lines; status and lines of the upstream, 0 when it is not asked.
type Row = (
    &'static str,
    &'static str,
    &'static [&'static str],
    u16,
    &'static [&'static str],
);

const REFLECTS: &str = "Access-Control-Allow-Origin: https://app.example.org";
const TAG: &str = "ETag: \"1\"";
const ASKS_PUT: &str = "Access-Control-Request-Method: PUT";

const ROWS: &[Row] = &[
    (
        "GET",
        "/a?q=1",
        &[FRIEND, "X-One: one"],
        200,
        &[FRESH, "X-Powered-By: php"],
    ),
    (
        "GET",
        "/b",
        &[STRANGER],
        200,
        &[FRESH, "Content-Type: text/html"],
    ),
    (
        "GET",
        "/c",
        &[],
        200,
        &[FRESH, "Vary: Accept-Encoding, Origin"],
    ),
    ("GET", "/d", &[FRIEND], 200, &["Cache-Control: no-store"]),
    ("GET", "/e", &[FRIEND], 404, &[FRESH, "Set-Cookie: a=b"]),
    ("GET", "/f", &[FRIEND], 302, &["Location: /a"]),
    (
        "GET",
        "/g",
        &[FRIEND],
        200,
        &[FRESH, "Age: 5", "Access-Control-Allow-Origin: *"],
    ),
    ("HEAD", "/h", &[FRIEND], 200, &[FRESH]),
    (
        "GET",
        "/i",
        &[FRIEND, "If-None-Match: \"1\""],
        200,
        &[FRESH, TAG],
    ),
    (
        "HEAD",
        "/j",
        &[FRIEND, "If-None-Match: \"1\""],
        200,
        &[FRESH, TAG],
    ),
    (
        "GET",
        "/k",
        &[FRIEND, "Range: bytes=0-3"],
        200,
        &[FRESH, TAG],
    ),
    (
        "GET",
        "/l",
        &[FRIEND, "Range: bytes=50-"],
        200,
        &[FRESH, TAG],
    ),
    ("GET", "/m", &[FRIEND, "If-Match: \"1\""], 412, &[]),
    (
        "GET",
        "/n",
        &[FRIEND, "Authorization: Basic eA=="],
        200,
        &[FRESH],
    ),
    (
        "GET",
        "/o",
        &[FRIEND, "Cache-Control: only-if-cached"],
        0,
        &[],
    ),
    ("GET", "/p", &[FRIEND, "Connection: close"], 200, &[FRESH]),
    ("GET", "/q", &[FRIEND, FRIEND], 200, &[FRESH]),
    ("DELETE", "/r", &[FRIEND], 200, &[]),
    ("TRACE", "/s", &[FRIEND], 0, &[]),
    ("GET", "/t", &[FRIEND], 503, &[]),
    ("OPTIONS", "/u", &[FRIEND], 200, &[]),
    (
        "OPTIONS",
        "/u",
        &[
            FRIEND,
            ASKS_PUT,
            "Access-Control-Request-Headers: x-any,x-one",
        ],
        0,
        &[],
    ),
    (
        "OPTIONS",
        "/u",
        &[
            FRIEND,
            ASKS_PUT,
            "Access-Control-Request-Headers: authorization",
        ],
        0,
        &[],
    ),
    ("OPTIONS", "/u", &[STRANGER, ASKS_PUT], 0, &[]),
    (
        "OPTIONS",
        "/credentials/u",
        &[FRIEND, ASKS_PUT, "Access-Control-Request-Headers: x-any"],
        0,
        &[],
    ),
    ("GET", "/credentials/a", &[FRIEND], 200, &[FRESH]),
    ("GET", "/open/a", &[STRANGER], 200, &[FRESH]),
    (
        "GET",
        "/none/a",
        &[FRIEND],
        200,
        &[FRESH, "Access-Control-Allow-Origin: *"],
    ),
    ("GET", "/none/b", &[FRIEND], 200, &[FRESH, REFLECTS]),
    (
        "GET",
        "/pass/a",
        &[FRIEND],
        200,
        &[FRESH, REFLECTS, "Vary: Origin"],
    ),
    ("OPTIONS", "/pass/u", &[FRIEND, ASKS_PUT], 204, &[REFLECTS]),
    (
        "GET",
        "/fonts/a",
        &[FRIEND],
        200,
        &[FRESH, "Content-Type: text/html"],
    ),
    (
        "GET",
        "/fonts/b",
        &[FRIEND],
        200,
        &[FRESH, "Content-Type: font/woff2"],
    ),
    (
        "GET",
        "/text/a",
        &[FRIEND, "Cache-Control: only-if-cached"],
        0,
        &[],
    ),
    (
        "GET",
        "/fonts/c",
        &[FRIEND, "Cache-Control: only-if-cached"],
        0,
        &[],
    ),
    ("GET", "/shadow/a", &[FRIEND], 200, &[FRESH, REFLECTS]),
    ("GET", "/console/a", &[FRIEND], 200, &[FRESH]),
    ("GET", "/console/b", &[STRANGER], 200, &[FRESH]),
];

/// A head's lines without what the clock moves.
fn lines<'a>(fields: impl Iterator<Item = (&'a str, &'a str)>) -> Vec<String> {
    let still = |(name, value): (&str, &str)| match name {
        "Date" | "Age" => format!("{name}: …"),
        "Cache-Status" => {
            let parts = value
                .split("; ")
                .map(|part| match part.starts_with("ttl=") {
                    true => "ttl=…",
                    false => part,
                });
            format!("{name}: {}", parts.collect::<Vec<_>>().join("; "))
        }
        _ => format!("{name}: {value}"),
    };
    fields.map(still).collect()
}

/// A head as it is compared: status and lines.
type Compared = (u16, Vec<String>);

/// What `explain` says of a request; `assumed` are the words about the upstream.
fn explained(
    file: &str,
    (method, target): (&str, &str),
    asked: &[&str],
    assumed: &[&str],
) -> Compared {
    let url = format!("http://{HOST}{target}");
    let mut words = vec![
        "explain", "-c", file, "-X", method, &url, "--format", "json",
    ];
    for line in asked {
        words.extend(["-H", line]);
    }
    words.extend(assumed);
    let said = corsair(&words);
    assert_eq!(said.code, Some(0), "{words:?}: {}", said.stderr);
    let told: serde_json::Value = serde_json::from_str(&said.stdout).expect("JSON");
    let head = told["response"]["head"].as_str().expect("a head");
    let status = told["response"]["status"].as_u64().expect("a status");
    let fields = head
        .lines()
        .skip(1)
        .filter_map(|line| line.split_once(": "));
    (u16::try_from(status).expect("three digits"), lines(fields))
}

/// The words for an upstream that answers so; 200 when it is not asked.
fn answers(status: u16, answered: &[&str]) -> Vec<String> {
    let status = if status == 0 { 200 } else { status };
    let mut words = vec!["--response-status".to_owned(), status.to_string()];
    let length = format!("Content-Length: {}", BODY.len());
    let length = (status != 204).then_some(&*length);
    for line in answered.iter().copied().chain(length) {
        words.extend(["--response-header".to_owned(), line.to_owned()]);
    }
    words
}

/// What the node answers.
fn answered(node: &Node, (method, target): (&str, &str), asked: &[&str]) -> Compared {
    let ask = asked
        .iter()
        .fold(node.ask(method, target).host(HOST), |ask, line| {
            let (name, value) = line.split_once(": ").expect("a field line");
            ask.header(name, value)
        });
    let answer = ask.send();
    let fields = answer.head.fields.iter();
    let got = lines(fields.map(|(name, value)| (name.as_str(), value.as_str())));
    (answer.status, got)
}

#[test]
fn what_is_explained_is_what_is_answered() {
    let upstream = Upstream::start();
    let config = NodeConfig::before(&upstream).site(SITE);
    let node = config.start();
    let scratch = Scratch::new();
    let file = scratch.write("same.toml", &config.text());
    let file = file.to_str().expect("UTF-8");
    for row in ROWS {
        let (method, target, asked, status, replied) = *row;
        if status > 0 {
            let script = upstream.expect(&format!("{method} {target}")).perhaps();
            let script = script.reply(status);
            let script = replied.iter().fold(script, |script, line| {
                let (name, value) = line.split_once(": ").expect("a field line");
                script.header(name, value)
            });
            if status != 204 {
                script.body(BODY);
            }
            if method == "HEAD" {
                // A miss is fetched by GET, so that it can be stored.
                let script = upstream.expect(&format!("GET {target}")).perhaps();
                let script = replied.iter().fold(script.reply(status), |script, line| {
                    let (name, value) = line.split_once(": ").expect("a field line");
                    script.header(name, value)
                });
                script.body(BODY);
            }
        }
        let assumed = answers(status, replied);
        let assumed: Vec<&str> = assumed.iter().map(String::as_str).collect();
        let said = explained(file, (method, target), asked, &assumed);
        let got = answered(&node, (method, target), asked);
        assert_eq!(got, said, "{method} {target} {asked:?}");
    }
}

/// The same for upstreams that do not answer: whoever the node answers itself may read that. An address
/// that is not resolved and a connection that nobody accepts are not in the table, because no loopback
/// address behaves so.
#[test]
fn what_is_explained_of_failures_is_what_is_answered() {
    let upstream = Upstream::start();
    let refusing = {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free loopback port");
        let address = listener.local_addr();
        address.expect("a bound socket has an address").to_string()
    };
    let refused = NodeConfig::before_address(&refusing).site(SITE);
    let answering = NodeConfig::before(&upstream)
        .upstream_keys("response_timeout = \"1s\"")
        .site(SITE);
    let scratch = Scratch::new();
    let rows = [
        ("refused", &refused, "f"),
        ("broken", &answering, "b"),
        ("malformed", &answering, "m"),
        ("timeout", &answering, "t"),
    ];
    let nodes = [refused.start(), answering.start()];
    for (failure, config, name) in rows {
        let file = scratch.write(&format!("{failure}.toml"), &config.text());
        let file = file.to_str().expect("UTF-8");
        let node = &nodes[usize::from(failure != "refused")];
        for (number, (method, route, asked)) in FAILING.iter().enumerate() {
            let target = format!("{route}/{name}{number}");
            if failure != "refused" {
                let fetched = if *method == "HEAD" { "GET" } else { method };
                let script = upstream.expect(&format!("{fetched} {target}")).always();
                match failure {
                    "broken" => script.close(),
                    "malformed" => script.raw("HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n"),
                    _ => script.await_close(),
                };
            }
            let assumed = ["--upstream-failure", failure];
            let said = explained(file, (method, &target), asked, &assumed);
            let got = answered(node, (method, &target), asked);
            assert_eq!(got, said, "{failure}: {method} {target} {asked:?}");
        }
    }
}

/// Method, route and request lines: fetched to be stored, passed, with a body, without a policy.
const FAILING: &[(&str, &str, &[&str])] = &[
    ("GET", "", &[FRIEND, "X-One: one"]),
    ("GET", "", &[STRANGER]),
    ("HEAD", "", &[FRIEND]),
    ("DELETE", "", &[FRIEND]),
    ("GET", "/credentials", &[FRIEND]),
    ("GET", "/open", &[STRANGER]),
    ("GET", "/none", &[FRIEND]),
    ("GET", "/fonts", &[FRIEND]),
];
