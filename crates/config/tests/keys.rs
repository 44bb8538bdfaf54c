//! Never accepted and ignored: every key that works changes the plan, and every key that does not
//! is refused by name.

use corsair_config::schema::{Section, Shape, Status};
use corsair_config::{FileError, FileSource, check_with};

const BASE: &str = r#"
[[listener]]
address = "127.0.0.1:8080"
[[upstream]]
name = "u"
servers = ["http://127.0.0.1:9000"]
[[upstream]]
name = "v"
servers = ["http://127.0.0.1:9001"]
[[site]]
hosts = ["a.example"]
upstream = "u"
[site.cors]
origins = ["https://a.example"]
[[site.header]]
op = "set"
name = "X-A"
value = "a"
[[site.route]]
path = "/a"
[[site]]
hosts = ["b.example"]
upstream = "v"
"#;

struct OneList;

impl FileSource for OneList {
    fn read(&self, _path: &str, _bytes_max: usize) -> Result<String, FileError> {
        Ok("https://list.example\n".to_owned())
    }
}

fn plan(arguments: &[&str]) -> String {
    let checked = check_with("a.toml", BASE, arguments, &OneList);
    format!(
        "{:?}",
        checked
            .plan
            .unwrap_or_else(|| panic!("{:?}", checked.diagnostics))
    )
}

/// A value other than the default, for each key.
const VALUES: &[(&str, &str)] = &[
    ("node.name", "edge-9"),
    ("node.workers", "2"),
    ("node.driver", "epoll"),
    ("node.drain_timeout", "1s"),
    ("admin.listen", "127.0.0.1:9181"),
    ("listener.address", "127.0.0.1:8081"),
    ("limits.head_bytes", "8KiB"),
    ("limits.header_lines", "50"),
    ("limits.body_bytes", "1MiB"),
    ("limits.connections", "5"),
    ("limits.requests_per_connection", "6"),
    ("limits.head_timeout", "1s"),
    ("limits.idle_timeout", "1s"),
    ("limits.body_min_rate", "1B/s"),
    ("cache.memory", "128MiB"),
    ("upstream.name", "w"),
    ("upstream.servers", "[\"http://127.0.0.1:9002\"]"),
    ("upstream.host", "server"),
    ("upstream.connect_timeout", "1s"),
    ("upstream.response_timeout", "1s"),
    ("site.hosts", "[\"c.example\"]"),
    ("site.upstream", "v"),
    ("site.cache.ttl", "1s"),
    ("site.cache.status_ttl", "{ \"404\" = \"1s\" }"),
    ("site.cache.override_ttl", "1s"),
    ("site.cache.heuristic", "true"),
    ("site.cache.stale_while_revalidate", "1s"),
    ("site.cache.stale_if_error", "1s"),
    ("site.cache.max_object", "1MiB"),
    ("site.cors.origins", "[\"https://z.example\"]"),
    ("site.cors.origins_file", "list.txt"),
    ("site.cors.validate", "false"),
    ("site.cors.credentials", "true"),
    ("site.cors.methods", "[\"PUT\"]"),
    ("site.cors.request_headers", "[\"X-Y\"]"),
    ("site.cors.expose", "[\"ETag\"]"),
    ("site.cors.max_age", "1s"),
    ("site.cors.upstream", "passthrough"),
    ("site.cors.private_network", "true"),
    ("site.cors.timing", "true"),
    ("site.cors.resource_policy", "same-site"),
    ("site.cors.shadow", "true"),
    ("site.cors.refused_preflight_status", "403"),
    ("site.cors.when.content_type", "[\"font/*\"]"),
    ("site.header.op", "add"),
    ("site.header.name", "X-B"),
    ("site.header.value", "b"),
    ("site.header.when.status", "[\"404\"]"),
    ("site.header.when.methods", "[\"GET\"]"),
    ("site.header.when.path", "[\"/a\"]"),
    ("site.header.when.content_type", "[\"text/html\"]"),
    ("site.header.when.request_header", "[\"Accept: *\"]"),
    ("site.route.path", "/b"),
    ("site.route.methods", "[\"GET\"]"),
    ("site.route.upstream", "v"),
];

/// Keys that show in the plan only together with others; with what else is written.
const TOGETHER: &[(&str, &str, &[&str])] = &[
    (
        "site.cors.dialect",
        "s3",
        &["site.0.cors.origins=[\"http://localhost:*\"]"],
    ),
    (
        "site.header.pattern",
        "x",
        &["site.0.header.op=replace", "site.0.header.pattern=a"],
    ),
    ("site.header.validate_origin", "true", ALLOW_ORIGIN),
    ("site.header.allow_duplicates", "false", ALLOW_ORIGIN),
    (
        "site.header.dialect",
        "s3",
        &[
            "site.0.cors=[]",
            "site.0.header.op=add",
            "site.0.header.name=Access-Control-Allow-Origin",
            "site.0.header.value=http://localhost:*",
            "site.0.header.validate_origin=true",
        ],
    ),
];

const ALLOW_ORIGIN: &[&str] = &[
    "site.0.cors=[]",
    "site.0.header.op=add",
    "site.0.header.name=Access-Control-Allow-Origin",
    "site.0.header.value=http://a.example",
];

#[test]
fn every_key_that_works_changes_the_plan() {
    let before = plan(&[]);
    for (path, value) in VALUES {
        // The first of several sites and upstreams is the one that is changed.
        let path = path.replacen(
            "upstream.",
            "upstream.0.",
            usize::from(path.starts_with("upstream")),
        );
        let path = path.replacen("site.", "site.0.", 1);
        let argument = format!("{path}={value}");
        let mut arguments = vec![argument.as_str()];
        if path == "upstream.0.name" {
            arguments.push("site.0.upstream=w");
        }
        assert_ne!(plan(&arguments), before, "{argument} changes nothing");
    }
    for (path, value, others) in TOGETHER {
        let argument = format!("{}={value}", path.replacen("site.", "site.0.", 1));
        let with = [*others, &[argument.as_str()]].concat();
        assert_ne!(plan(&with), plan(others), "{argument} changes nothing");
    }
    Section::root().visit(&mut |section| {
        for key in section
            .keys
            .iter()
            .filter(|key| key.status == Status::Works)
        {
            let path = format!("{}.{}", section.path, key.name);
            let holds_keys = matches!(
                key.shape,
                Shape::Section(_) | Shape::Sections(_) | Shape::SectionOrSections(_)
            );
            let has_row =
                VALUES.iter().any(|row| row.0 == path) || TOGETHER.iter().any(|row| row.0 == path);
            assert!(holds_keys || has_row, "{path} has no row");
        }
    });
}

#[test]
fn every_key_that_is_not_built_is_refused_by_name() {
    let mut refused = 0;
    Section::root().visit(&mut |section| {
        for key in section
            .keys
            .iter()
            .filter(|key| key.status == Status::NotBuilt)
        {
            let path = if section.path.is_empty() {
                key.name.to_owned()
            } else {
                format!("{}.{}", section.path, key.name)
            };
            let numbered =
                path.replacen("site.", "site.0.", 1)
                    .replacen("upstream.", "upstream.0.", 1);
            let argument = format!("{numbered}=1");
            let checked = check_with("a.toml", BASE, &[&argument], &OneList);
            assert!(checked.plan.is_none(), "{argument}");
            assert_eq!(checked.diagnostics[0].code, "E013", "{argument}");
            refused += 1;
        }
    });
    assert!(refused > 10, "only {refused}");
}

/// Upstream, lifetimes, CORS and header operations of a site and of its only route.
fn site_and_route(text: &str) -> [[String; 4]; 2] {
    let text = format!("{BASE}{text}");
    let checked = check_with("a.toml", &text, &[], &OneList);
    let plan = checked
        .plan
        .unwrap_or_else(|| panic!("{:?}", checked.diagnostics));
    let site = plan.site_plans.last().expect("there is one");
    let [own, route] = site.route_plans.as_slice() else {
        panic!("one route")
    };
    [own, route].map(|plan| {
        [
            plan.upstream.to_string(),
            format!("{:?}", plan.cache),
            format!("{:?}", plan.cors),
            format!("{:?}", plan.headers),
        ]
    })
}

#[test]
fn a_route_inherits_lifetimes_by_key_and_the_rest_as_a_whole() {
    let site = "[site.cache]\nttl = \"11s\"\nstale_if_error = \"12s\"\n\
                [site.cors]\norigins = [\"https://own.example\"]\n\
                [[site.header]]\nop = \"set\"\nname = \"X-Own\"\nvalue = \"1\"\n\
                [[site.route]]\npath = \"/r\"\n";
    let with = |route: &str| site_and_route(&format!("{site}{route}"));

    let [own, route] = with("");
    assert_eq!(own, route, "a route without settings is the site");

    let [own, route] = with("cache = { ttl = \"13s\" }\n");
    assert!(
        own[1].contains("ttl: 11s") && own[1].contains("stale_if_error: 12s"),
        "{own:?}"
    );
    assert!(
        route[1].contains("ttl: 13s") && route[1].contains("stale_if_error: 12s"),
        "{route:?}"
    );
    assert_eq!(
        (&own[0], &own[2..]),
        (&route[0], &route[2..]),
        "the rest is the site's"
    );

    let [own, route] = with("cors = { origins = [\"https://r.example\"] }\nupstream = \"u\"\n");
    assert_eq!((own[0].as_str(), route[0].as_str()), ("1", "0"));
    assert_ne!(own[2], route[2]);
    assert_eq!(
        (&own[1], &own[3]),
        (&route[1], &route[3]),
        "the rest is the site's"
    );

    let [own, route] = with("cors = []\nheader = []\n");
    let [nothing, _] = site_and_route("[[site.route]]\npath = \"/r\"\n");
    assert_eq!(
        route[2..],
        nothing[2..],
        "empty lists are no policy and no operations"
    );
    assert_ne!(own[2..], nothing[2..]);
}
