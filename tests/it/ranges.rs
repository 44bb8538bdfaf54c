//! Ranges from a stored response (RFC 9110 §14).

use crate::harness::{Node, NodeConfig, Upstream, pattern};

const LAST_MODIFIED: &str = "Tue, 15 Nov 1994 12:45:26 GMT";

fn serve(upstream: &Upstream, body: &[u8]) {
    upstream
        .expect("GET /v")
        .reply(200)
        .header("Cache-Control", "max-age=60")
        .header("Content-Type", "video/mp4")
        .header("ETag", "\"1\"")
        .header("Last-Modified", LAST_MODIFIED)
        .body(body);
}

/// `Range`, then the first and last byte of the answer; `None`: the whole; `Err`: 416.
type Row = (&'static str, Result<Option<(usize, usize)>, ()>);

#[test]
fn single_ranges_are_cut_from_the_stored_body() {
    let upstream = Upstream::start();
    let node = Node::before(&upstream);
    let body = pattern(100_000);
    serve(&upstream, &body);
    node.get("/v").send().is(200).body(&body);
    let rows: &[Row] = &[
        ("bytes=0-0", Ok(Some((0, 0)))),
        ("bytes=0-99", Ok(Some((0, 99)))),
        ("bytes=99999-", Ok(Some((99_999, 99_999)))),
        ("bytes=50000-60000", Ok(Some((50_000, 60_000)))),
        ("bytes=99990-200000", Ok(Some((99_990, 99_999)))),
        ("bytes=-1", Ok(Some((99_999, 99_999)))),
        ("bytes=-500", Ok(Some((99_500, 99_999)))),
        ("bytes=-200000", Ok(Some((0, 99_999)))),
        ("BYTES=0-9", Ok(Some((0, 9)))),
        ("bytes=100000-", Err(())),
        ("bytes=100000-100001", Err(())),
        ("bytes=-0", Err(())),
        ("bytes=9-0", Ok(None)),
        ("bytes=a-b", Ok(None)),
        ("bytes=-", Ok(None)),
        ("bytes 0-9", Ok(None)),
        ("lines=0-9", Ok(None)),
        ("bytes=0-99999999999999999999", Ok(Some((0, 99_999)))),
    ];
    let mut client = node.client();
    let mut wrong = Vec::new();
    for (range, answer) in rows {
        let response = client.get("/v").header("Range", range).send();
        let content_range = response.head.field("Content-Range");
        let right = match answer {
            Ok(Some((first, last))) => {
                response.status == 206
                    && content_range == Some(format!("bytes {first}-{last}/100000"))
                    && response.body == body[*first..=*last]
            }
            // A range that cannot be read is no range (RFC 9110 §14.2); some answer 416.
            Ok(None) => {
                (response.status == 200 && response.body == body && content_range.is_none())
                    || (response.status == 416 && range.starts_with("bytes"))
            }
            Err(()) => response.status == 416 && content_range.as_deref() == Some("bytes */100000"),
        };
        if !right {
            wrong.push(format!("{range}: {} {content_range:?}", response.status));
        }
        if response.status == 206 {
            response
                .header("ETag", "\"1\"")
                .header("Cache-Control", "max-age=60")
                .has("Age");
            response.header("Content-Type", "video/mp4").cache("hit");
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn if_range_wants_the_same_bytes() {
    let upstream = Upstream::start();
    let node = Node::before(&upstream);
    let body = pattern(1000);
    serve(&upstream, &body);
    node.get("/v").send().is(200);
    for (validator, status) in [
        ("\"1\"", 206),
        ("\"2\"", 200),
        ("W/\"1\"", 200),
        (LAST_MODIFIED, 206),
        ("Tue, 15 Nov 2022 12:45:26 GMT", 200),
        ("nonsense", 200),
    ] {
        let ask = node
            .get("/v")
            .header("Range", "bytes=10-19")
            .header("If-Range", validator);
        let response = ask.send();
        assert_eq!(response.status, status, "If-Range: {validator}");
        response.body(if status == 206 {
            &body[10..20]
        } else {
            &body[..]
        });
    }
    // A precondition comes before the range (RFC 9110 §13.2.2).
    let ask = node
        .get("/v")
        .header("Range", "bytes=10-19")
        .header("If-None-Match", "\"1\"");
    ask.send().is(304).body("");
}

#[test]
fn only_get_knows_ranges() {
    let upstream = Upstream::start();
    let node = Node::before(&upstream);
    let body = pattern(1000);
    serve(&upstream, &body);
    node.get("/v").send().is(200);
    let head = node.ask("HEAD", "/v").header("Range", "bytes=0-9").send();
    head.is(200)
        .header("Content-Length", "1000")
        .lacks("Content-Range")
        .body("");
}

#[test]
fn a_range_on_a_cold_cache_fills_it_whole() {
    let upstream = Upstream::start();
    let node = Node::before(&upstream);
    let body = pattern(10_000);
    upstream
        .expect("GET /v")
        .without("Range")
        .reply(200)
        .header("Cache-Control", "max-age=60")
        .header("ETag", "\"1\"")
        .body(&body);
    let first = node.get("/v").header("Range", "bytes=10-19").send();
    match first.status {
        206 => first
            .header("Content-Range", "bytes 10-19/10000")
            .body(&body[10..20]),
        _ => first.is(200).body(&body),
    };
    node.get("/v").send().is(200).cache("hit").body(&body);
    node.get("/v")
        .header("Range", "bytes=10-19")
        .send()
        .is(206)
        .cache("hit")
        .body(&body[10..20]);
}

#[test]
fn many_ranges_never_cost_more_than_the_whole() {
    let upstream = Upstream::start();
    let node = NodeConfig::before(&upstream)
        .limits("head_bytes = \"128KiB\"")
        .start();
    let body = pattern(100_000);
    serve(&upstream, &body);
    node.get("/v").send().is(200);
    let open: String = (0..5000).map(|_| "0-,").collect();
    let tiny: String = (0..10_000).map(|at| format!("{at}-{at},")).collect();
    for ranges in [
        open.as_str(),
        &tiny[..60_000],
        "0-,0-,0-",
        "0-50000,40000-90000",
    ] {
        let range = format!("bytes={}", ranges.trim_end_matches([',', '-']));
        let response = node.get("/v").header("Range", &range).send();
        assert!(matches!(response.status, 200 | 206 | 416), "{response:?}");
        assert!(
            response.body.len() < 110_000,
            "{} bytes for 100,000",
            response.body.len()
        );
    }
    for empty in ["bytes=", "bytes=,", "bytes=, ,"] {
        let response = node.get("/v").header("Range", empty).send();
        assert!(
            matches!(response.status, 200 | 416),
            "{empty}: {}",
            response.status
        );
    }
}

#[test]
fn a_206_from_the_upstream_is_passed_on_and_never_taken_for_the_whole() {
    let upstream = Upstream::start();
    let node = Node::before(&upstream);
    // An upstream that sends a part although nobody asked for one.
    upstream
        .expect("GET /odd")
        .times(2)
        .reply(206)
        .header("Cache-Control", "max-age=60")
        .header("Content-Range", "bytes 0-3/8")
        .body("part");
    for _ in 0..2 {
        let response = node.get("/odd").send();
        assert!(matches!(response.status, 206 | 502), "{response:?}");
        assert_ne!(response.cache_word(), "hit");
    }
}

/// What will hardly be stored is asked for as the client asks for it: else the upstream would begin to
/// send all of a large file for each part of it.
#[test]
fn a_part_of_what_is_not_shared_is_one_request() {
    let upstream = Upstream::start();
    let node = Node::before(&upstream);
    let key = ("Authorization", "Basic dXNlcjpwYXNz");
    let range = ("Range", "bytes=0-9");
    upstream
        .expect("GET /mine")
        .with(key.0, key.1)
        .with(range.0, range.1)
        .times(5)
        .reply(206)
        .header("Content-Range", "bytes 0-9/50000000")
        .body("0123456789");
    upstream.expect("HEAD /mine").with(key.0, key.1).reply(200);
    let mut client = node.client();
    for _ in 0..5 {
        let part = client.get("/mine").header(key.0, key.1);
        part.header(range.0, range.1)
            .send()
            .is(206)
            .cache("bypass")
            .body("0123456789");
    }
    let head = client.head("/mine").header(key.0, key.1);
    head.send().is(200).cache("bypass");
    // And what is stored still answers.
    let body = pattern(1000);
    serve(&upstream, &body);
    client.get("/v").send().is(200);
    let part = client.get("/v").header(key.0, key.1);
    part.header(range.0, range.1)
        .send()
        .is(206)
        .cache("hit")
        .body(&body[..10]);
}

#[test]
fn an_error_in_place_of_a_part_is_the_answer() {
    let upstream = Upstream::start();
    let node = Node::before(&upstream);
    for status in [401, 403, 503] {
        let target = format!("/{status}");
        upstream
            .expect(&format!("GET {target}"))
            .reply(status)
            .header("Cache-Control", "no-store")
            .body("not now");
        let part = node.get(&target).header("Range", "bytes=0-9");
        part.send().is(status).body("not now");
    }
}

#[test]
fn of_what_is_known_as_not_storable_only_the_part_is_fetched() {
    let upstream = Upstream::start();
    let node = Node::before(&upstream);
    let private = ("Cache-Control", "private");
    upstream
        .expect("GET /p")
        .without("Range")
        .reply(200)
        .header(private.0, private.1)
        .body(pattern(1000));
    upstream
        .expect("GET /p")
        .with("Range", "bytes=0-9")
        .times(3)
        .reply(206)
        .header("Content-Range", "bytes 0-9/1000")
        .header(private.0, private.1)
        .body(&pattern(1000)[..10]);
    for _ in 0..3 {
        let part = node.get("/p").header("Range", "bytes=0-9");
        part.send().is(206).body(&pattern(1000)[..10]);
    }
}
