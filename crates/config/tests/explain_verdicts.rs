//! What `explain` says where it is not the node that decides: redirects that a browser follows, routes
//! whose CORS is the upstream's, and the opaque origin.

use corsair_config::explain::{AssumedUpstream, Explanation, Question, UpstreamAnswer, explain};
use corsair_config::{NoFiles, check};

const TEXT: &str = r#"
[[listener]]
address = "127.0.0.1:8080"
[[upstream]]
name = "bucket"
servers = ["http://127.0.0.1:9000"]
[[site]]
hosts = ["cdn.example.com"]
upstream = "bucket"
cors = { origins = ["https://app.example.com"] }
[[site.route]]
path = "/theirs/**"
cors = { upstream = "passthrough" }
[[site.route]]
path = "/timed/**"
cors = { upstream = "passthrough", timing = true, origins = ["https://app.example.com"] }
"#;

const APP: &str = "https://app.example.com";

fn ask(method: &str, url: &str, origin: &str, status: u16, lines: &[(&str, &str)]) -> Explanation {
    let checked = check("edge.toml", TEXT, &NoFiles);
    let plan = checked.plan.as_ref().expect("a plan");
    let mut question = Question::get(url);
    question.method = method.to_owned();
    question
        .headers
        .push(("Origin".to_owned(), origin.to_owned()));
    let line = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    question.upstream = AssumedUpstream::Answers(UpstreamAnswer {
        status,
        headers: lines.iter().map(line).collect(),
    });
    explain(plan, Some(&checked.places), &question).expect("a good question")
}

/// One line, however it was broken.
fn shown(told: &Explanation) -> String {
    let text = told.to_string();
    assert!(
        text.lines().all(|line| line.chars().count() <= 100),
        "{text}"
    );
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn a_redirect_is_followed_and_the_last_answer_decides() {
    let url = "http://cdn.example.com/dir/a";
    let rows = [
        (
            "https://other.example/b",
            "follows to `https://other.example/b`, with `Origin: null`",
        ),
        (
            "//other.example/b",
            "follows to `http://other.example/b`, with `Origin: null`",
        ),
        // Another scheme or port is another origin, and so is the page's own.
        (
            "https://cdn.example.com/b",
            "follows to `https://cdn.example.com/b`, with `Origin: null`",
        ),
        ("http://cdn.example.com:81/", "with `Origin: null`"),
        (
            "https://app.example.com/",
            "follows to `https://app.example.com/`, with `Origin: null`",
        ),
        (
            "/b",
            "follows to `http://cdn.example.com/b`, with the same Origin",
        ),
        (
            "b?x:y",
            "follows to `http://cdn.example.com/dir/b?x:y`, with the same Origin",
        ),
        ("HTTP://CDN.example.com:80/b", "with the same Origin"),
        ("", "with the same Origin"),
        (
            "http://u:p@other.example/",
            "blocked: `Location` has user information (Fetch §4.5",
        ),
        (
            "ftp://other.example/",
            "blocked: `Location` is no http or https URL (Fetch §4.5",
        ),
        (
            "data:text/plain,x",
            "blocked: `Location` is no http or https URL (Fetch §4.5",
        ),
    ];
    for (location, expected) in rows {
        for status in [301, 302, 303, 307, 308] {
            let told = ask("GET", url, APP, status, &[("Location", location)]);
            let text = shown(&told);
            assert!(text.contains(expected), "{location}: {text}");
            assert!(
                !told.browser[0].allowed,
                "the page reads another answer: {text}"
            );
            assert!(told.browser[0].readable.is_empty(), "{text}");
        }
    }
    // What is no redirect is read as it is; what is refused is not followed.
    for (status, lines, origin, expected) in [
        (302, &[][..], APP, "allowed: the page may read the response"),
        (
            300,
            &[("Location", "/b")][..],
            APP,
            "allowed: the page may read",
        ),
        (304, &[("Location", "/b")][..], APP, "502"),
        (
            302,
            &[("Location", "/b")][..],
            "https://evil.test",
            "blocked: no Access-Control",
        ),
    ] {
        let text = shown(&ask("GET", url, origin, status, lines));
        assert!(text.contains(expected), "{status} {origin}: {text}");
    }
}

#[test]
fn where_the_upstream_decides_no_pattern_is_told() {
    let grant = [("Access-Control-Allow-Origin", "https://a.test")];
    let theirs = "http://cdn.example.com/theirs/a";
    for method in ["GET", "PUT"] {
        let told = shown(&ask(method, theirs, "https://a.test", 200, &grant));
        for expected in [
            "cors left to the upstream (passthrough)",
            "policy 1 (passthrough: the upstream decides)",
        ] {
            assert!(told.contains(expected), "{method}: {told}");
        }
        for absent in [
            "not granted",
            "no pattern",
            "is not in `methods`",
            "refused",
        ] {
            assert!(!told.contains(absent), "{method} {absent}: {told}");
        }
    }
    let told = shown(&ask("PUT", theirs, "https://a.test", 200, &grant));
    assert!(
        told.contains("answered by the upstream, taken to answer the same"),
        "{told}"
    );
    let read = shown(&ask("GET", theirs, "https://a.test", 200, &grant));
    assert!(
        read.contains("allowed: the page may read the response"),
        "{read}"
    );
    // Who may read the times is still the node's to say.
    let timed = "http://cdn.example.com/timed/a";
    let told = shown(&ask("GET", timed, "https://a.test", 200, &grant));
    assert!(
        told.contains("for `Timing-Allow-Origin`: no pattern allows the origin"),
        "{told}"
    );
    let told = shown(&ask("GET", timed, APP, 200, &[]));
    assert!(
        told.contains("for `Timing-Allow-Origin`: the origin is allowed"),
        "{told}"
    );
}

#[test]
fn null_is_what_browsers_send_of_opaque_origins() {
    let told = shown(&ask("GET", "http://cdn.example.com/a", "null", 200, &[]));
    let expected = "`null` is sent by sandboxed frames, local files and after some redirects, and \
                    allowed only where it is listed";
    assert!(told.contains(expected), "{told}");
    assert!(!told.contains("not as browsers send it"), "{told}");
}
