//! Request kinds become bytes: shares, origins, framing fields, and what cannot be sent.

use loadgen::draw::Draw;
use loadgen::expect::ExpectSpec;
use loadgen::traffic::{Connection, Destination, Kind, Origins, Traffic};

fn kind(name: &str, target: &str) -> Kind {
    Kind {
        name: name.to_owned(),
        weight: 1.0,
        method: "GET".to_owned(),
        target: target.to_owned(),
        fields: Vec::new(),
        body: Vec::new(),
        origins: Origins::default(),
        expect: ExpectSpec::default(),
        expect_hostile: ExpectSpec::default(),
        expect_without_origin: ExpectSpec::default(),
    }
}

fn destination(connection: Connection) -> Destination {
    Destination {
        authority: "h.example:81".to_owned(),
        connection,
    }
}

fn requests(kinds: &[Kind], connection: Connection, count: usize) -> Vec<String> {
    let traffic = Traffic::compile(kinds, &destination(connection)).expect("kinds compile");
    let mut draw = Draw::new(1, 0, 0, 1);
    (0..count)
        .map(|_| {
            draw.begin_request();
            let shape = &traffic.shapes()[traffic.choose(&mut draw)];
            let origin = shape.origin(shape.draw_origin(&mut draw)).to_vec();
            let mut out = Vec::new();
            shape.render(&mut out, &mut draw, &origin);
            String::from_utf8(out).expect("requests of these tests are text")
        })
        .collect()
}

#[test]
fn requests_are_whole() {
    let check = |edit: &dyn Fn(&mut Kind), connection, expected: &str| {
        let mut kind = kind("a", "/x?{seq}");
        edit(&mut kind);
        let got = requests(&[kind], connection, 2);
        assert_eq!(got, [expected.to_owned(), expected.replace("/x?0", "/x?1")]);
    };
    let field = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    check(
        &|_| (),
        Connection::Keep,
        "GET /x?0 HTTP/1.1\r\nHost: h.example:81\r\n\r\n",
    );
    check(
        &|_| (),
        Connection::Close,
        "GET /x?0 HTTP/1.1\r\nHost: h.example:81\r\nConnection: close\r\n\r\n",
    );
    check(
        &|kind| kind.fields = vec![field("host", "other"), field("Range", "bytes=0-1")],
        Connection::Keep,
        "GET /x?0 HTTP/1.1\r\nhost: other\r\nRange: bytes=0-1\r\n\r\n",
    );
    check(
        &|kind| {
            kind.method = "POST".to_owned();
            kind.body = b"a=b".to_vec();
        },
        Connection::Keep,
        "POST /x?0 HTTP/1.1\r\nHost: h.example:81\r\nContent-Length: 3\r\n\r\na=b",
    );
    check(
        &|kind| kind.method = "PUT".to_owned(),
        Connection::Keep,
        "PUT /x?0 HTTP/1.1\r\nHost: h.example:81\r\nContent-Length: 0\r\n\r\n",
    );
    check(
        &|kind| kind.origins.granted = vec!["https://a.example".to_owned()],
        Connection::Keep,
        "GET /x?0 HTTP/1.1\r\nHost: h.example:81\r\nOrigin: https://a.example\r\n\r\n",
    );
}

#[test]
fn shares_are_kept() {
    let mut first = kind("first", "/first");
    first.weight = 3.0;
    first.origins = Origins {
        granted: (0..4)
            .map(|n| format!("https://granted{n}.example"))
            .collect(),
        hostile: Vec::new(),
        hostile_share: 0.1,
        without_share: 0.3,
    };
    let requests = requests(
        &[first, kind("second", "/second")],
        Connection::Keep,
        20_000,
    );
    let check = |text: &str, expected: f64| {
        let count = requests
            .iter()
            .filter(|request| request.contains(text))
            .count();
        let share = f64::from(u32::try_from(count).expect("few requests")) / 20_000.0;
        assert!(
            (share - expected).abs() < 0.015,
            "{text}: {share}, not {expected}"
        );
    };
    check("/first", 0.75);
    check("/second", 0.25);
    check("Origin: ", 0.75 * 0.7);
    check("Origin: https://granted2.example\r\n", 0.75 * 0.6 / 4.0);
    check("Origin: https://evil.example\r\n", 0.75 * 0.1 / 4.0);
    check(
        "Origin: https://granted0.example.evil.example\r\n",
        0.75 * 0.1 / 4.0,
    );
}

#[test]
fn what_cannot_be_sent_is_refused() {
    let check = |edit: &dyn Fn(&mut Kind), expected: &str| {
        let mut kind = kind("a", "/");
        edit(&mut kind);
        let error = Traffic::compile(&[kind], &destination(Connection::Keep)).map(drop);
        let error = error.expect_err("the kind is wrong").to_string();
        assert!(error.contains(expected), "{error}, not {expected}");
    };
    let fields = |name: &str, value: &str| vec![(name.to_owned(), value.to_owned())];
    check(&|kind| kind.method = "G T".to_owned(), "not a method");
    check(&|kind| kind.target = "x".to_owned(), "not a path");
    check(&|kind| kind.target = "/a b".to_owned(), "not a path");
    check(&|kind| kind.target = "/a#b".to_owned(), "not a path");
    check(&|kind| kind.target = "/\u{e9}".to_owned(), "not a path");
    check(&|kind| kind.target = "*".to_owned(), "not a path");
    check(&|kind| kind.target = "/{x}".to_owned(), "unknown variable");
    check(&|kind| kind.fields = fields("A B", "c"), "not a field line");
    check(
        &|kind| kind.fields = fields("A", "b\r\nC: d"),
        "not a field line",
    );
    check(
        &|kind| kind.fields = fields("Content-length", "1"),
        "set from the body",
    );
    check(
        &|kind| kind.origins.granted = vec!["a\n".to_owned()],
        "cannot be sent as an origin",
    );
    check(
        &|kind| {
            kind.origins.granted = vec!["https://a.example".to_owned()];
            kind.origins.hostile_share = 0.6;
            kind.origins.without_share = 0.6;
        },
        "shares of origins",
    );
}

#[test]
fn shares_of_origins_are_sound() {
    let shapes = |granted: bool, listed: bool, hostile: f64, without: f64| {
        let one = |is_given: bool, name: &str| {
            is_given
                .then(|| format!("https://{name}.example"))
                .into_iter()
                .collect()
        };
        let mut kind = kind("a", "/");
        kind.origins = Origins {
            granted: one(granted, "granted"),
            hostile: one(listed, "listed"),
            hostile_share: hostile,
            without_share: without,
        };
        let traffic = Traffic::compile(&[kind], &destination(Connection::Keep));
        let traffic = traffic.map_err(|error| error.to_string())?;
        let origin = |shape: &loadgen::traffic::Shape| {
            String::from_utf8_lossy(shape.origin(0)).replace("https://", "")
        };
        Ok::<_, String>(traffic.shapes().iter().map(origin).collect::<Vec<_>>())
    };
    let check = |granted, listed, hostile, without, expected: &[&str]| {
        let got = shapes(granted, listed, hostile, without);
        assert_eq!(got.unwrap(), expected, "{hostile} {without}");
    };
    check(true, false, 0.0, 0.0, &["granted.example"]);
    check(true, true, 0.0, 0.0, &["granted.example"]);
    check(true, true, 0.5, 0.5, &["listed.example", ""]);
    check(false, false, 0.0, 0.0, &[""]);
    check(false, false, 0.0, 1.0, &[""]);
    check(false, false, 0.5, 0.0, &["evil.example", ""]);
    check(false, false, 1.0, 0.0, &["evil.example"]);
    check(false, false, 0.7, 0.3, &["evil.example", ""]);
    check(false, true, 0.0, 0.0, &["listed.example"]);
    check(false, true, 0.0, 0.5, &["listed.example", ""]);
    check(false, true, 0.25, 0.0, &["listed.example", ""]);
    let refuse = |granted, listed, hostile, without, expected: &str| {
        let error = shapes(granted, listed, hostile, without).unwrap_err();
        assert!(error.contains(expected), "{error}, not {expected}");
    };
    for (granted, listed) in [(false, false), (false, true), (true, false)] {
        refuse(granted, listed, 1.1, 0.0, "from 0 to 1");
        refuse(granted, listed, -0.1, 0.0, "from 0 to 1");
        refuse(granted, listed, 0.0, f64::NAN, "from 0 to 1");
        refuse(granted, listed, 0.6, 0.6, "from 0 to 1");
    }
    refuse(false, false, 0.0, 0.5, "an origin to name");
    refuse(false, false, 0.2, 0.2, "an origin to name");
    refuse(false, true, 0.2, 0.2, "an origin to name");
}

#[test]
fn expectations_of_what_is_never_sent_are_refused() {
    let check = |edit: &dyn Fn(&mut Kind), expected: &str| {
        let mut kind = kind("a", "/");
        edit(&mut kind);
        let compiled = Traffic::compile(&[kind], &destination(Connection::Keep)).map(drop);
        let error = compiled.map_or_else(|error| error.to_string(), |()| String::new());
        assert_eq!(error.is_empty(), expected.is_empty(), "{error}");
        assert!(error.contains(expected), "{error}, not {expected}");
    };
    let absent = || ExpectSpec {
        absent: vec!["Vary".to_owned()],
        ..ExpectSpec::default()
    };
    let granted = || vec!["https://a.example".to_owned()];
    check(&|kind| kind.expect_hostile = absent(), "`expect_hostile`");
    check(
        &|kind| (kind.expect_hostile, kind.origins.hostile_share) = (absent(), 0.1),
        "",
    );
    check(&|kind| kind.expect_without_origin = absent(), "");
    check(
        &|kind| (kind.expect_without_origin, kind.origins.granted) = (absent(), granted()),
        "`expect_without_origin`",
    );
}

#[test]
fn nothing_to_send_is_refused() {
    let check = |kinds: &[Kind]| {
        let error = Traffic::compile(kinds, &destination(Connection::Keep)).map(drop);
        let error = error.expect_err("there is nothing to send").to_string();
        assert!(error.contains("nothing to send"), "{error}");
    };
    check(&[]);
    let mut weightless = kind("a", "/");
    weightless.weight = 0.0;
    check(&[weightless]);
}
