//! Header operations: each verb on each state of a response, what is refused, what is impossible.

use crate::support::Head;
use corsair_http1::{FieldSection, HeadLimits, RequestHead};
use corsair_rules::{
    CorsPolicies, Dialect, EditContext, HeaderConditionSpec, HeaderOp, HeaderOpSpec, HeaderPolicy,
    OpPlace, SeedForm, SeedOpSpec, VALUE_BYTES_MAX, fold_seed_siblings, read_seed_form,
};
use proptest::prelude::*;

fn op(op: HeaderOp, name: &str, value: &str) -> HeaderOpSpec {
    HeaderOpSpec {
        op,
        name: name.to_owned(),
        value: (op != HeaderOp::Remove).then(|| value.to_owned()),
        pattern: None,
        when: HeaderConditionSpec::default(),
    }
}

fn replace(name: &str, pattern: &str, value: &str) -> HeaderOpSpec {
    HeaderOpSpec {
        pattern: Some(pattern.to_owned()),
        ..op(HeaderOp::Replace, name, value)
    }
}

fn context<'a>(head: &'a Head, query: Option<&'a [u8]>) -> EditContext<'a> {
    EditContext {
        status: 200,
        method: b"GET",
        host: b"cdn.example",
        path: b"/a/b.css",
        query,
        cache: "hit",
        request: Some(head.request()),
    }
}

/// The response's lines before and after, one per line of text.
fn check(ops: &[HeaderOpSpec], before: &str, expected: &str) {
    let policy = HeaderPolicy::compile(ops.to_vec()).expect("operations");
    let mut section = FieldSection::new();
    for line in before.lines() {
        let (name, value) = line.split_once(": ").expect("a field line");
        section.push(name.as_bytes(), value.as_bytes());
    }
    let head = Head::new("GET", &["Referer: https://page.example/x", "X-Id: 7"]);
    policy.apply(&mut section, &context(&head, Some(b"v=12&w")));
    let mut out = Vec::new();
    section.render(&mut out);
    let after = String::from_utf8(out).expect("text").replace("\r\n", "\n");
    assert_eq!(after.trim_end(), expected, "{ops:?}");
}

#[test]
fn each_verb() {
    use HeaderOp::{Add, Append, Default, Merge, Remove, Set};
    let two = "X-A: 1\nX-B: 2\nX-A: 3";
    check(&[op(Set, "X-A", "9")], two, "X-B: 2\nX-A: 9");
    check(
        &[op(Set, "ETag", "\"9\"")],
        "ETag: \"1\"\nX-B: 2",
        "ETag: \"9\"\nX-B: 2",
    );
    check(&[op(Set, "X-C", "9")], "X-B: 2", "X-B: 2\nX-C: 9");
    check(
        &[op(Add, "X-A", "9")],
        two,
        "X-A: 1\nX-B: 2\nX-A: 3\nX-A: 9",
    );
    check(&[op(Append, "X-A", "9")], two, "X-B: 2\nX-A: 1, 3, 9");
    check(&[op(Append, "X-C", "9")], "X-B: 2", "X-B: 2\nX-C: 9");
    check(
        &[op(Append, "Set-Cookie", "b=2")],
        "Set-Cookie: a=1",
        "Set-Cookie: a=1\nSet-Cookie: b=2",
    );
    check(
        &[op(Merge, "Vary", "accept, Origin")],
        "Vary: Accept",
        "Vary: Accept, Origin",
    );
    check(
        &[op(Merge, "Vary", "Origin, origin")],
        "X-B: 2",
        "X-B: 2\nVary: Origin, origin",
    );
    check(
        &[op(Merge, "X-L", "b, c")],
        "X-L: a, \"b, c\"\nX-L: B",
        "X-L: a, \"b, c\", B, c",
    );
    check(&[op(Default, "X-A", "9")], two, two);
    check(&[op(Default, "X-C", "9")], "X-B: 2", "X-B: 2\nX-C: 9");
    check(&[op(Remove, "x-a", "")], two, "X-B: 2");
    check(
        &[op(Remove, "X-*", "")],
        "X-A: 1\nServer: s\nx-b: 2",
        "Server: s",
    );
    check(&[op(Remove, "X-C", "")], two, two);
}

#[test]
fn replacing_parts_of_values() {
    check(
        &[replace("Location", "http://", "https://")],
        "Location: http://a/b",
        "Location: https://a/b",
    );
    check(
        &[replace("Location", "http://*/", "/")],
        "Location: http://a/b",
        "Location: /b",
    );
    check(
        &[replace("X-A", "a", "")],
        "X-A: banana\nX-A: xyz",
        "X-A: bnn\nX-A: xyz",
    );
    check(&[replace("X-A", "q", "r")], "X-A: banana", "X-A: banana");
    check(
        &[replace("X-A", "*", "${cache}")],
        "X-A: banana",
        "X-A: hit",
    );
    // A value that is replaced by nothing at all is a line less.
    check(&[replace("X-A", "*", "")], "X-A: banana\nX-B: 2", "X-B: 2");
}

#[test]
fn operations_run_in_order() {
    let ops = [
        op(HeaderOp::Remove, "Server", ""),
        op(HeaderOp::Default, "Server", "edge"),
        op(HeaderOp::Append, "Server", "two"),
    ];
    check(&ops, "Server: origin", "Server: edge, two");
}

#[test]
fn values_with_variables() {
    let set = |value: &str| [op(HeaderOp::Set, "X-V", value)];
    check(
        &set("${host}${path}?${query.v}"),
        "",
        "X-V: cdn.example/a/b.css?12",
    );
    check(&set("${status} ${cache}"), "", "X-V: 200 hit");
    check(
        &set("${request.referer}"),
        "",
        "X-V: https://page.example/x",
    );
    check(&set("${request.x-id}"), "", "X-V: 7");
    check(&set("$${host}"), "", "X-V: ${host}");
    // Nothing to say: no line, and none of the old ones touched.
    check(&set("${request.absent}"), "X-V: old", "X-V: old");
    check(&set("${query.w}"), "X-V: old", "X-V: old");
}

#[test]
fn conditions() {
    let when = |when| {
        [HeaderOpSpec {
            when,
            ..op(HeaderOp::Set, "X-A", "1")
        }]
    };
    let spec = HeaderConditionSpec::default;
    let html = HeaderConditionSpec {
        content_type: vec!["text/html".into()],
        ..spec()
    };
    check(
        &when(html.clone()),
        "Content-Type: text/html",
        "Content-Type: text/html\nX-A: 1",
    );
    check(
        &when(html),
        "Content-Type: text/css",
        "Content-Type: text/css",
    );
    check(
        &when(HeaderConditionSpec {
            status: vec!["4xx".into()],
            ..spec()
        }),
        "",
        "",
    );
    check(
        &when(HeaderConditionSpec {
            path: vec!["/a/*.css".into()],
            ..spec()
        }),
        "",
        "X-A: 1",
    );
    let referred = HeaderConditionSpec {
        request_header: vec!["Referer: *page*".into()],
        ..spec()
    };
    check(&when(referred), "", "X-A: 1");
}

/// `expected`: the variant of each request below.
fn check_variants(specs: &[HeaderOpSpec], expected: [Option<u64>; 4]) {
    let policy = HeaderPolicy::compile(specs.to_vec()).expect("valid");
    let requests = [
        "GET / HTTP/1.1\r\nHost: h\r\n\r\n",
        "HEAD / HTTP/1.1\r\nHost: h\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\nX-Flag: on\r\n\r\n",
        "HEAD / HTTP/1.1\r\nHost: h\r\nReferer: r\r\nX-Flag: off\r\n\r\n",
    ];
    let found = requests.map(|text| {
        let mut head = RequestHead::new();
        head.parse(text.as_bytes(), &HeadLimits::default())
            .expect("a good head");
        policy.variant(head.view(text.as_bytes()))
    });
    assert_eq!(found, expected, "{specs:?}");
}

#[test]
fn variants_of_one_stored_response() {
    const HEAD: u64 = 1 << 63;
    let same = [Some(0); 4];
    let set = |value: &str| op(HeaderOp::Set, "X-A", value);
    let spec = HeaderConditionSpec::default;
    let when = |when| HeaderOpSpec { when, ..set("a") };
    check_variants(&[], same);
    check_variants(&[set("a"), set("${status}${host}${path}")], same);
    check_variants(&[set("${cache}")], [None; 4]);
    check_variants(&[set("${query.a}")], [None; 4]);
    for (text, status) in [("2xx", true), ("a/b", false), ("/", false)] {
        let list = vec![text.to_owned()];
        check_variants(
            &[when(match (status, text) {
                (true, _) => HeaderConditionSpec {
                    status: list,
                    ..spec()
                },
                (false, "/") => HeaderConditionSpec {
                    path: list,
                    ..spec()
                },
                (false, _) => HeaderConditionSpec {
                    content_type: list,
                    ..spec()
                },
            })],
            same,
        );
    }
    let of_methods = |methods: &[&str]| {
        let methods = methods.iter().map(|&method| method.to_owned()).collect();
        when(HeaderConditionSpec { methods, ..spec() })
    };
    check_variants(
        &[of_methods(&["POST", "PUT"]), of_methods(&["GET", "HEAD"])],
        same,
    );
    let by_method = [Some(0), Some(HEAD), Some(0), Some(HEAD)];
    check_variants(&[of_methods(&["GET"])], by_method);
    check_variants(&[of_methods(&["HEAD", "POST"])], by_method);
    let asks = |value: &str, request: &str| HeaderOpSpec {
        when: HeaderConditionSpec {
            request_header: vec![request.to_owned()],
            ..spec()
        },
        ..set(value)
    };
    check_variants(
        &[
            asks("a", "X-Flag: on"),
            asks("b", "Referer"),
            asks("c", "X-Flag: on"),
        ],
        [Some(0), Some(0), Some(1), Some(2)],
    );
    check_variants(
        &[asks("a", "X-Flag: on"), of_methods(&["GET"])],
        [Some(0), Some(HEAD), Some(1), Some(HEAD)],
    );
    // A value that takes from the request counts where its operation runs.
    check_variants(
        &[asks("${request.Referer}", "Referer")],
        [Some(0), Some(0), Some(0), None],
    );
    let many: Vec<_> = (0..70).map(|n| asks("a", &format!("X-{n}"))).collect();
    check_variants(&many, same);
    let more = [many, vec![asks("a", "Referer")]].concat();
    check_variants(&more, [Some(0), Some(0), Some(0), None]);
    assert!(HeaderPolicy::none().is_none() && HeaderPolicy::default().is_none());
}

fn check_refused(spec: HeaderOpSpec, place: OpPlace, code: &str) {
    let shown = format!("{spec:?}");
    let fine = op(HeaderOp::Set, "X-Ok", "1");
    let problems = HeaderPolicy::compile(vec![fine, spec]).expect_err(&shown);
    let told: Vec<_> = problems
        .iter()
        .map(|p| (p.op, p.place, p.lint.code()))
        .collect();
    assert_eq!(told, [(1, place, code)], "{shown}");
}

#[test]
fn refused_names() {
    use HeaderOp::{Add, Remove, Set};
    #[rustfmt::skip]
    let protected = [
        "Content-Length", "transfer-encoding", "Connection", "Keep-Alive", "Upgrade", "TE",
        "Trailer", "Date", "Age", "Via", "Cache-Status", "Content-Range", "Proxy-Authenticate",
        "Sec-WebSocket-Accept",
    ];
    for name in protected {
        check_refused(op(Set, name, "1"), OpPlace::Name, "E132");
        check_refused(op(Remove, name, ""), OpPlace::Name, "E132");
    }
    for name in ["", "X A", "X:A", "X-A\r\nX-B", "X-\u{e9}"] {
        check_refused(op(Add, name, "1"), OpPlace::Name, "E131");
    }
    for (verb, name) in [
        (Set, "X-*"),
        (Remove, "*"),
        (Remove, "X*A"),
        (Remove, "X-**"),
    ] {
        check_refused(op(verb, name, "1"), OpPlace::Name, "E137");
    }
}

#[test]
fn refused_values() {
    let set = |value: &str| op(HeaderOp::Set, "X-A", value);
    for value in ["a\r\nX-B: c", "a\0", "a\nb", "a\u{7f}", "${host}\r\n"] {
        check_refused(set(value), OpPlace::Value, "E133");
    }
    check_refused(set("${nothing}"), OpPlace::Value, "E134");
    check_refused(set("${host"), OpPlace::Value, "E134");
    check_refused(
        HeaderOpSpec {
            value: None,
            ..set("")
        },
        OpPlace::Value,
        "E135",
    );
    let remove = op(HeaderOp::Remove, "X-A", "");
    let valued = HeaderOpSpec {
        value: Some("1".into()),
        ..remove
    };
    check_refused(valued, OpPlace::Value, "E136");
    check_refused(replace("X-A", "", "b"), OpPlace::Pattern, "E138");
    let unpatterned = HeaderOpSpec {
        pattern: None,
        ..replace("X-A", "", "b")
    };
    check_refused(unpatterned, OpPlace::Pattern, "E138");
    let patterned = HeaderOpSpec {
        pattern: Some("a".into()),
        ..set("b")
    };
    check_refused(patterned, OpPlace::Pattern, "E136");
    let when = HeaderConditionSpec {
        status: vec!["2x".into()],
        ..Default::default()
    };
    check_refused(HeaderOpSpec { when, ..set("b") }, OpPlace::When, "E139");
}

#[test]
fn a_prefix_never_reaches_protected_fields() {
    let before = "Connection: close\nContent-Length: 1\nContent-Type: a/b\n\
                  Content-Language: de\nContent-X: y";
    let after = "Connection: close\nContent-Length: 1";
    check(&[op(HeaderOp::Remove, "Content-*", "")], before, after);
    check(&[op(HeaderOp::Remove, "c*", "")], before, after);
}

#[test]
fn results_are_bounded() {
    let policy = HeaderPolicy::compile(vec![
        op(HeaderOp::Set, "X-Q", "${query.v}"),
        replace("X-Long", "a", &"b".repeat(100)),
        op(HeaderOp::Merge, "X-M", "${query.v}"),
    ])
    .expect("valid");
    let query = format!("v={}", "a,".repeat(20_000));
    let head = Head::new("GET", &[]);
    let mut section = FieldSection::new();
    section.push(b"X-Long", &[b'a'; 1000]);
    section.push(b"X-M", b"m");
    policy.apply(&mut section, &context(&head, Some(query.as_bytes())));
    assert_eq!(
        section.get_named(b"X-Q").map(<[u8]>::len),
        Some(VALUE_BYTES_MAX)
    );
    // Over the bound a value stays as it was.
    assert_eq!(section.get_named(b"X-Long"), Some(&[b'a'; 1000][..]));
    assert_eq!(section.get_named(b"X-M"), Some(&b"m, a"[..]));
}

// Splitting is impossible ------------------------------------------------------------------------

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_of_a_request_end_a_line(
        query in prop::collection::vec(any::<u8>(), 0..60),
        path in prop::collection::vec(any::<u8>(), 0..60),
        host in prop::collection::vec(any::<u8>(), 0..30),
        stored in "[ -~]{0,30}",
    ) {
        let query = [b"v=".as_slice(), &query].concat();
        let ops = vec![
            op(HeaderOp::Set, "X-1", "a${query.v}b"),
            op(HeaderOp::Add, "X-2", "${path}"),
            op(HeaderOp::Append, "X-3", "${host}"),
            op(HeaderOp::Merge, "X-3", "${query.v}"),
            replace("X-3", "a*b", "${path}"),
        ];
        let policy = HeaderPolicy::compile(ops).expect("valid");
        let mut section = FieldSection::new();
        section.push(b"X-3", stored.as_bytes());
        let edit = EditContext {
            status: 200,
            method: b"GET",
            host: &host,
            path: &path,
            query: Some(&query),
            cache: "hit",
            request: None,
        };
        policy.apply(&mut section, &edit);
        let mut out = Vec::new();
        section.render(&mut out);
        let lines = out.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()).count();
        prop_assert_eq!(lines, section.len());
        for line in section.iter() {
            prop_assert!(line.name.starts_with(b"X-"));
            prop_assert!(corsair_http1::is_field_value(line.value));
        }
    }
}

// The console's form -----------------------------------------------------------------------------

fn seed(value: &str, validate_origin: bool, allow_duplicates: bool) -> SeedOpSpec {
    SeedOpSpec {
        op: op(HeaderOp::Add, "Access-Control-Allow-Origin", value),
        validate_origin,
        allow_duplicates,
        dialect: Dialect::Alibaba,
    }
}

#[test]
fn the_console_s_form() {
    let header = |seed: SeedOpSpec| match read_seed_form(seed) {
        Ok(SeedForm::Header(op)) => (op.op, op.value.expect("a value")),
        other => panic!("a header operation, not {other:?}"),
    };
    assert_eq!(
        header(seed("*", false, false)),
        (HeaderOp::Set, "*".to_owned())
    );
    let one = "http://www.aliyun.com";
    assert_eq!(
        header(seed(one, false, false)),
        (HeaderOp::Set, one.to_owned())
    );
    assert_eq!(
        header(seed(one, false, true)),
        (HeaderOp::Add, one.to_owned())
    );
    let error = |seed: SeedOpSpec| read_seed_form(seed).expect_err("refused").code();
    assert_eq!(error(seed("*", true, true)), "E114");
    for several in ["http://a.com,http://b.com", "http://*.a.com", "a.com"] {
        let Ok(SeedForm::Header(op)) = read_seed_form(seed(several, false, false)) else {
            panic!("a header operation");
        };
        let problems = HeaderPolicy::compile(vec![op]).expect_err(several);
        assert_eq!(problems[0].lint.code(), "E116", "{several}");
    }
    let with = |change: fn(&mut HeaderOpSpec)| {
        let mut spec = seed("*", true, false);
        change(&mut spec.op);
        error(spec)
    };
    assert_eq!(with(|op| op.value = None), "E135");
    assert_eq!(with(|op| op.pattern = Some("a".to_owned())), "E136");
    assert_eq!(with(|op| op.when.status = vec!["2xx".to_owned()]), "E117");
    let elsewhere = SeedOpSpec {
        op: op(HeaderOp::Add, "X-A", "1"),
        ..seed("*", true, false)
    };
    assert_eq!(error(elsewhere), "E115");
}

/// The examples of the console's documentation, each with its answer.
#[test]
fn the_console_s_validation() {
    let policies = |value: &str| {
        let Ok(SeedForm::Cors(policy)) = read_seed_form(seed(value, true, false)) else {
            panic!("a policy");
        };
        CorsPolicies::compile(vec![*policy]).expect("a policy")
    };
    let answer = |policies: &CorsPolicies, origin: &str| {
        let origin = corsair_rules::RequestOrigin::One(origin.as_bytes());
        let mut out = Vec::new();
        policies
            .decide_actual(origin, b"GET", None)
            .write(&mut out, origin);
        let text = String::from_utf8(out).expect("text");
        text.strip_prefix("Access-Control-Allow-Origin: ")
            .unwrap_or_default()
            .trim_end()
            .to_owned()
    };
    let list = policies("http://example.com,https://aliyundoc.com");
    let wildcard = policies("http://*.aliyundoc.com");
    let escaped = policies("http://doc.aliyun%-example.com");
    let several = policies("https://*.iflyvoice.cn, https://*.xxx.com, http://a.b.com");
    let star = policies("*");
    let rows = [
        (&list, "http://example.com", "http://example.com"),
        (&list, "https://aliyundoc.com", "https://aliyundoc.com"),
        (&list, "http://aliyundoc.com", ""),
        (&list, "http://aliyun.com", ""),
        (
            &wildcard,
            "http://demo.aliyundoc.com",
            "http://demo.aliyundoc.com",
        ),
        (&wildcard, "http://demo.example.com", ""),
        (&wildcard, "https://demo.aliyundoc.com", ""),
        (
            &escaped,
            "http://doc.aliyun-example.com",
            "http://doc.aliyun-example.com",
        ),
        (&several, "https://x.xxx.com", "https://x.xxx.com"),
        (&several, "http://a.b.com", "http://a.b.com"),
        (&star, "http://anything.example", "*"),
    ];
    for (policies, origin, expected) in rows {
        assert_eq!(answer(policies, origin), expected, "{origin}");
    }
}

#[test]
fn siblings_speak_for_the_preflight() {
    let Ok(SeedForm::Cors(mut policy)) = read_seed_form(seed("http://a.example", true, false))
    else {
        panic!("a policy");
    };
    let ops = [
        op(
            HeaderOp::Add,
            "Access-Control-Allow-Methods",
            "POST,GET,HEAD,PUT,DELETE",
        ),
        op(HeaderOp::Add, "Access-Control-Max-Age", "3600"),
        op(HeaderOp::Set, "access-control-allow-headers", "X-A, X-B"),
        op(HeaderOp::Set, "Access-Control-Allow-Credentials", "true"),
        op(HeaderOp::Set, "Access-Control-Expose-Headers", "ETag"),
        op(HeaderOp::Set, "X-Other", "1"),
    ];
    fold_seed_siblings(&mut policy, &ops);
    assert_eq!(policy.methods, ["POST", "GET", "HEAD", "PUT", "DELETE"]);
    assert_eq!(policy.request_headers, ["X-A", "X-B"]);
    assert_eq!((policy.max_age_s, policy.credentials), (Some(3600), true));
    assert_eq!(policy.expose, ["ETag"]);
}
