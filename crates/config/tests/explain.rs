//! What `explain` tells: a table of situations with lines that must stand in the answer, the questions
//! that cannot be asked, and the JSON document's shape.

use corsair_config::explain::browser::{Credentials, SeenHead, cors_check, preflight_check};
use corsair_config::explain::{
    AssumedUpstream, Explanation, Question, QuestionError, UpstreamAnswer, explain,
};
use corsair_config::{Checked, NoFiles, UpstreamFailure, check};

const TEXT: &str = r#"[node]
name = "edge-1"
[[listener]]
address = "127.0.0.1:8080"
[[upstream]]
name = "bucket"
servers = ["http://127.0.0.1:9000"]
[[site]]
hosts = ["cdn.example.com"]
upstream = "bucket"
[site.cache]
ttl = "1h"
[site.cors]
origins = [
  "https://app.example.com",
  "https://*.example.org",
  "http://localhost:3000",
]
expose = ["ETag"]
max_age = "1h"
[[site.header]]
op = "set"
name = "X-Frame-Options"
value = "DENY"
when = { content_type = ["text/html"] }
[[site.header]]
op = "remove"
name = "x-amz-*"
[[site.route]]
path = "/api/**"
cors = { origins = ["https://app.example.com"], credentials = true, methods = ["GET", "PUT"], request_headers = ["content-type", "*"] }
[[site.route]]
path = "/open/**"
cors = { origins = ["*"] }
[[site.route]]
path = "/stars/**"
cors = { origins = ["https://app.example.com"], credentials = true, expose = ["*"] }
[[site]]
hosts = ["plain.example.com"]
upstream = "bucket"
[[site]]
hosts = ["one.example.com"]
upstream = "bucket"
cors = { origins = ["https://one.test"], validate = false }
[[site]]
hosts = ["s3.example.com"]
upstream = "bucket"
[site.cors]
dialect = "s3"
origins = ["https://app-*.example.com", "http*://intra.example.com"]
[[site]]
hosts = ["console.example.com"]
upstream = "bucket"
[[site.header]]
op = "add"
name = "Access-Control-Allow-Origin"
value = "http://doc.my%-shop.com"
validate_origin = true
dialect = "alibaba"
"#;

fn checked() -> Checked {
    let checked = check("edge.toml", TEXT, &NoFiles);
    assert!(checked.plan.is_some(), "{:?}", checked.diagnostics);
    checked
}

/// A question written as one line: `METHOD URL | Name: value | < Name: value | < 404`; what stands
/// behind `<` is the upstream's, and `< !timeout` is a failure of it.
fn ask(text: &str) -> Result<Explanation, QuestionError> {
    let mut parts = text.split(" | ");
    let (method, url) = parts
        .next()
        .and_then(|part| part.split_once(' '))
        .expect("a request");
    let mut question = Question::get(url);
    question.method = method.to_owned();
    let line = |text: &str| {
        let (name, value) = text.split_once(": ").expect("a header line");
        (name.to_owned(), value.to_owned())
    };
    let (mut status, mut headers) = (200, Vec::new());
    let mut failure = None;
    for part in parts {
        let of_upstream = part.strip_prefix("< ");
        match of_upstream.map(|answer| (answer.parse::<u16>(), answer)) {
            Some((Ok(own), _)) => status = own,
            Some((Err(_), own)) => match own.strip_prefix('!') {
                Some(word) => {
                    let found = UpstreamFailure::ALL
                        .into_iter()
                        .find(|own| own.as_str() == word);
                    failure = Some(found.expect("a failure"));
                }
                None => headers.push(line(own)),
            },
            None => question.headers.push(line(part)),
        }
    }
    question.upstream = match failure {
        Some(failure) => AssumedUpstream::Fails(failure),
        None => AssumedUpstream::Answers(UpstreamAnswer { status, headers }),
    };
    let checked = checked();
    let plan = checked.plan.as_ref().expect("a plan");
    explain(plan, Some(&checked.places), &question)
}

/// Every one of `expected`, lines without their blanks at both ends, stands in the answer; a line that
/// begins with `!` does not.
fn check_told(text: &str, expected: &[&str]) {
    let told = ask(text).expect("a good question").to_string();
    // Sentences are broken at blanks; a reader does not mind where.
    let all = told.split_whitespace().collect::<Vec<_>>().join(" ");
    for wanted in expected {
        let found = |wanted: &str| all.contains(wanted);
        match wanted.strip_prefix('!') {
            Some(absent) => assert!(!found(absent), "{text}: {absent:?} stands in\n{told}"),
            None => assert!(found(wanted), "{text}: no {wanted:?} in\n{told}"),
        }
    }
    assert!(
        told.lines().all(|line| line.chars().count() <= 100),
        "{told}"
    );
    assert!(told.lines().all(|line| line.trim_end() == line), "{told:?}");
}

const FONT: &str = "GET http://cdn.example.com/a.woff2";

fn font(rest: &str) -> String {
    format!("{FONT} | Origin: {rest}")
}

#[test]
fn origins() {
    let both_blocked = [
        "browser without credentials blocked: no Access-Control-Allow-Origin (Fetch §4.10 step 2)",
        "with credentials blocked: no Access-Control-Allow-Origin (Fetch §4.10 step 2)",
        "!HTTP/1.1 200 OK Access",
        "Vary: Origin",
    ];
    let granted = [
        "cors granted (granted)",
        "rule https://app.example.com edge.toml:15",
        "Access-Control-Allow-Origin: https://app.example.com",
        "Access-Control-Expose-Headers: ETag",
        "browser without credentials allowed: the page may read the response",
        "with credentials blocked: no Access-Control-Allow-Credentials: true (Fetch §4.10 step 8)",
    ];
    check_told(&font("https://app.example.com"), &granted);
    let suffix = ["rule https://*.example.org edge.toml:16", "cors granted"];
    check_told(&font("https://a.b.example.org"), &suffix);
    let refusals: [(&str, &[&str]); 9] = [
        (
            "https://example.org",
            &[
                "nearest https://*.example.org edge.toml:16",
                "the apex is not covered by `*.`; list it as well",
            ],
        ),
        (
            "http://app.example.com",
            &[
                "nearest https://app.example.com edge.toml:15",
                "the scheme differs: `http` is not listed",
            ],
        ),
        (
            "http://localhost:8080",
            &["port 8080 is not listed", "edge.toml:17"],
        ),
        (
            "https://x.app.example.com",
            &["names below are not covered"],
        ),
        (
            "https://evilexample.org",
            &["the host ends alike, but `*.` covers whole labels"],
        ),
        (
            "https://App.Example.com",
            &[
                "not as browsers send it: the host has an upper-case letter",
                "would allow `https://app.example.com`",
            ],
        ),
        (
            "https://app.example.com/",
            &["there is a path", "would allow `https://app.example.com`"],
        ),
        ("null", &["allowed only where it is listed"]),
        (
            "https://stranger.test",
            &["no pattern allows the origin", "!nearest"],
        ),
    ];
    for (origin, lines) in refusals {
        check_told(&font(origin), lines);
        check_told(&font(origin), &both_blocked);
        check_told(&font(origin), &["cors not granted (refused-origin)"]);
    }
    let two = format!("{FONT} | Origin: https://app.example.com | Origin: https://app.example.com");
    check_told(
        &two,
        &["refused-several", "no browser sends several Origin lines"],
    );
    check_told(
        FONT,
        &[
            "not a CORS request (no-origin)",
            "browser no Origin: add -H",
        ],
    );
    let own = "GET http://cdn.example.com/a | Origin: http://cdn.example.com";
    check_told(
        own,
        &["browser same origin as the URL: no CORS check is made"],
    );
}

#[test]
fn preflights_and_what_needs_one() {
    let put = "PUT http://cdn.example.com/api/x | Origin: https://app.example.com";
    check_told(
        put,
        &[
            "preflight a browser asks first, because of method PUT",
            "answered by the node: granted (granted)",
            "Access-Control-Allow-Methods: GET, PUT",
            "with credentials allowed: the page may read the response",
            "not stored (method)",
        ],
    );
    check_told(
        &format!("{put} | Authorization: Bearer x"),
        &[
            "because of method PUT, header authorization",
            "answered by the node: refused (refused-headers)",
            "not in `request_headers`: authorization",
            "PUT is not sent: no Access-Control-Allow-Origin",
        ],
    );
    check_told(
        &put.replace("PUT http", "PATCH http"),
        &[
            "method PATCH is not in `methods` (GET, PUT, HEAD)",
            "PATCH is not sent",
        ],
    );
    let preflight = "OPTIONS http://cdn.example.com/api/x | Origin: https://app.example.com";
    let asks = format!("{preflight} | Access-Control-Request-Method: PUT");
    check_told(
        &asks,
        &[
            "cors preflight granted (granted)",
            "HTTP/1.1 204 No Content",
            "allowed: the PUT request goes out",
            "!cache key",
        ],
    );
    check_told(
        &format!("{asks} | Access-Control-Request-Headers: x-any"),
        &[
            "Access-Control-Allow-Headers: x-any",
            "with credentials allowed: the PUT request goes out",
        ],
    );
    let comma = format!("{asks} | Access-Control-Request-Headers: a b");
    check_told(&comma, &["preflight refused (refused-malformed)"]);
    check_told(preflight, &["not stored (method)", "fwd=method"]);
    let upstream = "PUT http://plain.example.com/x | Origin: https://a.test | < 405";
    check_told(
        upstream,
        &[
            "answered by the upstream",
            "no policy: the upstream's own CORS passes through",
        ],
    );
}

#[test]
fn routes_headers_and_the_cache() {
    check_told(
        &font("https://app.example.com | < Content-Type: text/html | < x-amz-id: 7"),
        &[
            "route the site's own settings edge.toml:8",
            "1. set X-Frame-Options edge.toml:23",
            "+ X-Frame-Options: DENY",
            "- x-amz-id: 7",
            "X-Frame-Options: DENY",
            "!x-amz-id: 7 HTTP",
            "cache key http://cdn.example.com/a.woff2",
            "stored, fresh for 3600 s",
            "one stored response for every request of this key",
            "Cache-Status: edge-1; fwd=uri-miss; fwd-status=200; ttl=3600; stored",
            "readable Content-Type",
        ],
    );
    check_told(
        &font("https://app.example.com | < Content-Type: font/woff2"),
        &[
            "not applied: font/woff2 is not covered by `when.content_type`",
            "not applied: there is nothing to change",
        ],
    );
    check_told(
        "GET http://cdn.example.com/open/a | Origin: null",
        &[
            "route /open/** edge.toml:32",
            "`*` for every request",
            "Access-Control-Allow-Origin: *",
            "without credentials allowed",
            "with credentials blocked: `Access-Control-Allow-Origin: *` never counts",
            "!Vary: Origin",
        ],
    );
    check_told(
        "GET http://cdn.example.com/a | < Cache-Control: private",
        &["not stored (private)", "detail=private"],
    );
    check_told(
        "GET http://cdn.example.com/a | < Vary: Accept-Encoding, Origin",
        &["one stored response for each value of Accept-Encoding"],
    );
    check_told(
        "GET http://cdn.example.com/a | If-None-Match: \"x\" | < ETag: \"x\"",
        &["HTTP/1.1 304 Not Modified"],
    );
    let range =
        "GET http://cdn.example.com/a | Range: bytes=0-1 | < Content-Length: 9 | < ETag: \"x\"";
    check_told(
        range,
        &["HTTP/1.1 206 Partial Content", "Content-Range: bytes 0-1/9"],
    );
    check_told(
        "HEAD http://cdn.example.com/a | < Content-Length: 9",
        &["Content-Length: 9"],
    );
    check_told(
        "GET http://cdn.example.com/a | < 503",
        &["HTTP/1.1 503", "detail=upstream-error"],
    );
}

#[test]
fn an_upstream_that_reflects_is_told_apart_by_origin() {
    let reflects = "GET http://plain.example.com/a | Origin: https://a.test | \
                    < Cache-Control: max-age=9 | < Access-Control-Allow-Origin: https://a.test";
    check_told(
        reflects,
        &[
            "Vary: Origin",
            "one stored response for each value of Origin",
        ],
    );
    let constant = reflects.replace("Origin: https://a.test |", "Origin: https://b.test |");
    check_told(
        &constant,
        &["!Vary", "one stored response for every request"],
    );
}

#[test]
fn a_star_exposes_nothing_with_credentials() {
    check_told(
        "GET http://cdn.example.com/stars/a | Origin: https://app.example.com | < ETag: 1 | \
         < Content-Type: text/css",
        &[
            "readable without credentials Vary, ETag, ",
            "Access-Control-Expose-Headers with credentials Content-Type",
        ],
    );
}

#[test]
fn what_cannot_be_seen_is_escaped() {
    check_told(
        &font("https://a\u{200b}\u{202e}gro.elpmaxe.ppa"),
        &[
            "Origin: https://a\\u{200b}\\u{202e}gro.elpmaxe.ppa",
            "!\u{202e}",
        ],
    );
}

#[test]
fn what_the_node_refuses_itself() {
    check_told(
        "GET http://cdn.example.com/a | Cache-Control: only-if-cached",
        &[
            "refused 504: not stored",
            "detail=only-if-cached",
            "Vary: Origin",
        ],
    );
    check_told(
        "GET http://other.example/ | Origin: https://app.example.com",
        &[
            "refused 421: no site has this host",
            "HTTP/1.1 421 Misdirected Request",
            "!cors",
            "blocked: no Access-Control-Allow-Origin",
        ],
    );
    check_told(
        "TRACE http://cdn.example.com/ | Origin: https://app.example.com",
        &["refused 501: method not served", "no page can send TRACE"],
    );
    check_told(
        "GET http://cdn.example.com/../../a",
        &["refused 400: path leaves the root"],
    );
    check_told("GET http://cdn.example.com/%zz", &["refused 400"]);
    check_told(
        "GET http://cdn.example.com/ | Transfer-Encoding: chunked | Content-Length: 3",
        &["refused 400"],
    );
}

/// The node's own errors are readable across origins, like any other response.
#[test]
fn what_the_node_says_for_an_upstream_that_fails() {
    let page = "GET http://cdn.example.com/a | Origin: https://app.example.com";
    let told = ask(&format!("{page} | < !timeout")).expect("a good question");
    assert_eq!(told.response.status, 504);
    assert!(told.browser[0].allowed, "{told:?}");
    check_told(
        &format!("{page} | < !refused"),
        &[
            "upstream taken to fail: it refuses the connection",
            "refused 502: the upstream refuses the connection",
            "cors granted (granted)",
            "not stored (upstream-error)",
            "no stored response would stand in: `stale_if_error` is 0s",
            "HTTP/1.1 502 Bad Gateway",
            "Vary: Origin",
            "Cache-Status: edge-1; fwd=uri-miss; detail=upstream-refused",
            "Access-Control-Allow-Origin: https://app.example.com",
            "without credentials allowed: the page may read the response",
        ],
    );
    check_told(
        "GET http://cdn.example.com/a | Origin: https://evil.test | < !broken",
        &[
            "502 Bad Gateway",
            "Vary: Origin",
            "browser without credentials blocked: no Access",
        ],
    );
    check_told(
        "PUT http://cdn.example.com/api/x | Origin: https://app.example.com | < !connect-timeout",
        &[
            "answered by the node: granted",
            "504 Gateway Timeout",
            "fwd=method; detail=upstream-connect-timeout",
            "with credentials allowed",
        ],
    );
    check_told(
        "PUT http://plain.example.com/x | Origin: https://a.test | < !unresolved",
        &[
            "answered by the node: refused (no-policy)",
            "PUT is not sent: no Access",
            "upstream-unresolved",
        ],
    );
    for (answer, why) in [
        (
            "< Content-Length: 5 | < Content-Length: 6",
            "more than one Content-Length",
        ),
        (
            "< Transfer-Encoding: gzip",
            "transfer coding not implemented",
        ),
        ("< 304", "304 unasked"),
    ] {
        let text = format!("{page} | {answer}");
        check_told(
            &text,
            &[
                "which is a failure:",
                why,
                "502 Bad Gateway",
                "detail=upstream-malformed",
            ],
        );
    }
}

#[test]
fn one_value_for_everybody() {
    let says = [
        "cors answered alike for everybody (constant)",
        "`https://one.test` for every request, whoever asks (`validate = false`); browsers let only \
         pages of that origin read it",
        "Access-Control-Allow-Origin: https://one.test",
        "!Vary",
    ];
    let page = "GET http://one.example.com/a | Origin:";
    check_told(&format!("{page} https://one.test"), &says);
    check_told(
        &format!("{page} https://one.test"),
        &["without credentials allowed"],
    );
    check_told(&format!("{page} https://two.test"), &says);
    check_told(
        &format!("{page} https://two.test"),
        &["without credentials blocked"],
    );
    check_told(
        "OPTIONS http://one.example.com/a | Origin: https://two.test | \
         Access-Control-Request-Method: POST",
        &[
            "preflight answered alike for everybody (constant)",
            "POST is not sent",
        ],
    );
}

#[test]
fn which_literal_of_a_star_pattern_differs() {
    let page = "GET http://s3.example.com/a | Origin:";
    check_told(
        &format!("{page} https://app-1.example.net"),
        &[
            "nearest https://app-*.example.com edge.toml:50",
            "the end differs: `.example.net` where `.example.com` is wanted",
        ],
    );
    check_told(
        &format!("{page} http://intra.example.com"),
        &["nothing is left for `*`, which stands for one character or more"],
    );
    let told = ask(&format!("{page} https://app-1.example.com:81")).expect("a good question");
    let near = &told.cors.expect("a policy").policies[0].nearest[0];
    assert_eq!(near.differs, "port 81 is not listed");
    check_told(
        "GET http://console.example.com/a | Origin: https://doc.my-shop.com",
        &[
            "nearest http://doc.my-shop.com",
            "the scheme differs: `https` is not listed",
        ],
    );
    check_told(
        "GET http://console.example.com/a | Origin: http://doc.my-shop.net",
        &["another host: only the end `.net` differs"],
    );
}

#[test]
fn questions_that_cannot_be_asked() {
    let rows = [
        (
            "GET cdn.example.com/a",
            "it begins with http:// or https://",
        ),
        ("GET http:///a", "it has no host"),
        ("GET http://u:p@cdn.example.com/", "it has user information"),
        ("GET http://cdn.example.com/a b", "percent-encoded"),
        ("GET http://cdn.example.com/a\u{1b}[2J", "\\u{1b}"),
        ("G(T http://cdn.example.com/", "no method"),
        ("GET http://cdn.example.com/ | Ori gin: x", "a header name"),
        (
            "GET http://cdn.example.com/ | Origin: https://a\0",
            "control character \\u{0}",
        ),
        (
            "GET http://cdn.example.com/ | Origin: a\r\nX: y",
            "control character \\r",
        ),
        ("GET http://cdn.example.com/ | < 99", "no status"),
        (
            "GET http://cdn.example.com/ | < X: a\nb",
            "control character \\n",
        ),
    ];
    for (text, wanted) in rows {
        let told = ask(text).expect_err(text).to_string();
        assert!(told.contains(wanted), "{text:?}: {told}");
        assert!(!told.chars().any(char::is_control), "{told:?}");
    }
}

#[test]
fn json_has_the_documented_names() {
    let told = ask(&font("https://example.org")).expect("a good question");
    let json = serde_json::to_value(&told).expect("plain values");
    assert_eq!(json["version"], 1);
    assert_eq!(json["cors"]["outcome"], "refused-origin");
    let near = &json["cors"]["policies"][0]["nearest"][0];
    assert_eq!(near["place"], "edge.toml:16");
    assert_eq!(near["pattern"], "https://*.example.org");
    assert_eq!(json["browser"][0]["allowed"], false);
    assert_eq!(json["cache"]["key"], "http://cdn.example.com/a.woff2");
    assert_eq!(json["response"]["status"], 200);
}

/// Rows of the Fetch standard's own algorithms: the head, the mode, whether the check passes.
#[test]
fn the_browser_by_the_standard() {
    use Credentials::{With, Without};
    let origin = "https://a.test";
    let rows: [(&str, Credentials, bool); 13] = [
        ("", Without, false),
        ("Access-Control-Allow-Origin: *", Without, true),
        ("Access-Control-Allow-Origin: *", With, false),
        ("Access-Control-Allow-Origin: https://a.test", Without, true),
        ("Access-Control-Allow-Origin: https://a.test", With, false),
        (
            "Access-Control-Allow-Origin: https://a.test/",
            Without,
            false,
        ),
        (
            "Access-Control-Allow-Origin: https://A.test",
            Without,
            false,
        ),
        (
            "Access-Control-Allow-Origin: *\r\nAccess-Control-Allow-Origin: *",
            Without,
            false,
        ),
        (
            "Access-Control-Allow-Origin: https://a.test, https://b.test",
            Without,
            false,
        ),
        (
            "access-control-allow-origin: https://a.test\r\nACCESS-CONTROL-ALLOW-CREDENTIALS: true",
            With,
            true,
        ),
        (
            "Access-Control-Allow-Origin: https://a.test\r\nAccess-Control-Allow-Credentials: True",
            With,
            false,
        ),
        (
            "Access-Control-Allow-Origin: *\r\nAccess-Control-Allow-Credentials: true",
            With,
            false,
        ),
        ("Access-Control-Allow-Origin: null", Without, false),
    ];
    for (fields, mode, expected) in rows {
        let head = SeenHead::read(&format!("HTTP/1.1 200 OK\r\n{fields}\r\n\r\n"));
        assert_eq!(
            cors_check(origin, &head, mode).is_ok(),
            expected,
            "{fields} {mode:?}"
        );
    }
    let header = |name: &str, value: &str| vec![(name.to_owned(), value.to_owned())];
    type Row<'a> = (
        u16,
        &'a str,
        &'a str,
        Vec<(String, String)>,
        Credentials,
        bool,
    );
    let rows: [Row<'_>; 12] = [
        (204, "", "GET", vec![], Without, true),
        (404, "", "GET", vec![], Without, false),
        (204, "", "PUT", vec![], Without, false),
        (
            204,
            "Access-Control-Allow-Methods: PUT",
            "PUT",
            vec![],
            With,
            true,
        ),
        (
            204,
            "Access-Control-Allow-Methods: put",
            "PUT",
            vec![],
            With,
            false,
        ),
        (
            204,
            "Access-Control-Allow-Methods: *",
            "PUT",
            vec![],
            Without,
            true,
        ),
        (
            204,
            "Access-Control-Allow-Methods: *",
            "PUT",
            vec![],
            With,
            false,
        ),
        (
            204,
            "Access-Control-Allow-Headers: *",
            "GET",
            header("X-A", "1"),
            Without,
            true,
        ),
        (
            204,
            "Access-Control-Allow-Headers: *",
            "GET",
            header("X-A", "1"),
            With,
            false,
        ),
        (
            204,
            "Access-Control-Allow-Headers: *",
            "GET",
            header("Authorization", "1"),
            Without,
            false,
        ),
        (
            204,
            "Access-Control-Allow-Headers: x-a",
            "GET",
            header("X-A", "1"),
            With,
            true,
        ),
        (
            204,
            "",
            "POST",
            header("Content-Type", "text/plain; charset=utf-8"),
            With,
            true,
        ),
    ];
    for (status, fields, method, headers, mode, expected) in rows {
        let head = format!(
            "HTTP/1.1 {status} x\r\nAccess-Control-Allow-Origin: {origin}\r\n\
             Access-Control-Allow-Credentials: true\r\n{fields}\r\n\r\n"
        );
        let passes = preflight_check(origin, method, &headers, &SeenHead::read(&head), mode);
        assert_eq!(
            passes.is_ok(),
            expected,
            "{fields} {method} {headers:?} {mode:?}: {passes:?}"
        );
    }
}
