//! Which route decides a request, as `explain` tells it: by path and method, and a preflight by the
//! method that it asks about.

use corsair_config::explain::{Question, explain};
use corsair_config::{NoFiles, check};

const TEXT: &str = r#"
[[listener]]
address = "127.0.0.1:8080"
[[upstream]]
name = "bucket"
servers = ["http://127.0.0.1:9000"]
[[site]]
hosts = ["*"]
upstream = "bucket"
[[site.route]]
path = "/api/**"
methods = ["PUT", "DELETE"]
[[site.route]]
path = "/fonts/**"
methods = ["GET", "HEAD", "OPTIONS"]
[[site.route]]
path = "/api/*"
methods = ["OPTIONS"]
[[site.route]]
path = "/open/**"
"#;

const ORIGIN: &str = "Origin: https://a.test";

/// `asked` is `METHOD PATH`; `method` what a preflight asks about, or empty.
fn check_route(asked: &str, origins: &[&str], method: &str, expected: usize) {
    let checked = check("edge.toml", TEXT, &NoFiles);
    let plan = checked.plan.as_ref().expect("a plan");
    let (own, path) = asked.split_once(' ').expect("a method and a path");
    let mut question = Question::get(&format!("http://a.test{path}"));
    question.method = own.to_owned();
    for origin in origins {
        let (name, value) = origin.split_once(": ").expect("a header line");
        question.headers.push((name.to_owned(), value.to_owned()));
    }
    if !method.is_empty() {
        let name = "Access-Control-Request-Method".to_owned();
        question.headers.push((name, method.to_owned()));
    }
    let told = explain(plan, Some(&checked.places), &question).expect("a good question");
    let number = told.route.expect("a route").number;
    assert_eq!(number, expected, "{asked} {origins:?} {method:?}");
}

#[test]
fn a_preflight_goes_by_the_method_that_it_asks_about() {
    let rows: [(&str, &[&str], &str, usize); 19] = [
        ("PUT /api/x", &[], "", 1),
        ("PUT /api/x", &[ORIGIN], "GET", 1),
        ("GET /api/x", &[ORIGIN], "PUT", 0),
        ("GET /fonts/x", &[ORIGIN], "", 2),
        ("OPTIONS /fonts/x", &[ORIGIN], "", 2),
        ("OPTIONS /fonts/x", &[ORIGIN], "GET", 2),
        // No route takes the PUT behind it: the site decides both.
        ("OPTIONS /fonts/x", &[ORIGIN], "PUT", 0),
        // The more specific path does not take PUT, and PUT is what comes next.
        ("OPTIONS /api/x", &[ORIGIN], "PUT", 1),
        ("OPTIONS /api/x", &[ORIGIN], "DELETE", 1),
        ("OPTIONS /api/x", &[ORIGIN], "GET", 0),
        ("OPTIONS /api/x", &[ORIGIN], "OPTIONS", 3),
        ("OPTIONS /api/x/y", &[ORIGIN], "PUT", 1),
        ("OPTIONS /api/x/y", &[ORIGIN], "GET", 0),
        // Methods are compared as they are.
        ("OPTIONS /api/x/y", &[ORIGIN], "put", 0),
        ("OPTIONS /open/x", &[ORIGIN], "PUT", 4),
        // No preflight: by its own method.
        ("OPTIONS /api/x", &[ORIGIN], "", 3),
        ("OPTIONS /api/x/y", &[ORIGIN], "", 0),
        ("OPTIONS /api/x", &[], "PUT", 3),
        ("OPTIONS /api/x/y", &[], "PUT", 0),
    ];
    for (asked, origins, method, expected) in rows {
        check_route(asked, origins, method, expected);
    }
}
