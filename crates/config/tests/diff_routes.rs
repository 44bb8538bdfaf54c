//! `diff` over whole route sets: a row for each way in which a widening can hide, and a property against
//! the dry run of `explain`, which decides, edits and writes heads with the code that serves.

use corsair_cache::UnixMillis;
use corsair_config::diff::{PlanDiff, diff};
use corsair_config::explain::browser::SeenHead;
use corsair_config::explain::{AssumedUpstream, Question, UpstreamAnswer, explain};
use corsair_config::{Checked, NoFiles, check};
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

fn text_of(site: &str) -> String {
    format!(
        "[[listener]]\naddress = \"127.0.0.1:1\"\n[[upstream]]\nname = \"u\"\n\
         servers = [\"http://127.0.0.1:9000\"]\n[[upstream]]\nname = \"v\"\n\
         servers = [\"http://127.0.0.1:9001\"]\n[[site]]\nhosts = [\"cdn.test\"]\n\
         upstream = \"u\"\n{site}"
    )
}

fn plan_of(site: &str) -> Checked {
    let checked = check("a.toml", &text_of(site), &NoFiles);
    assert!(checked.plan.is_some(), "{site}\n{:?}", checked.diagnostics);
    checked
}

fn diff_of(old: &Checked, new: &Checked) -> PlanDiff {
    diff(
        (old.plan.as_ref().expect("a plan"), &old.places),
        (new.plan.as_ref().expect("a plan"), &new.places),
    )
}

/// That something widened, and every line of what is expected is told, as `facet: detail witness`.
fn check_widened(old: &str, new: &str, expected: &[&str]) {
    let found = diff_of(&plan_of(old), &plan_of(new));
    assert!(found.widened > 0, "{old}\n→\n{new}");
    let changes = found.routes.iter().flat_map(|route| &route.changes);
    let lines: Vec<String> = changes
        .map(|change| {
            let witness = change.witness.as_deref().unwrap_or("?");
            format!("{}: {} {witness}", change.facet, change.detail)
        })
        .collect();
    for line in expected {
        assert!(lines.iter().any(|own| own == line), "{line}\nof {lines:#?}");
    }
    for same in [old, new] {
        let found = diff_of(&plan_of(same), &plan_of(same));
        assert!(found.routes.is_empty(), "{same}\n{found}");
    }
}

fn check_not_widened(old: &str, new: &str) {
    let found = diff_of(&plan_of(old), &plan_of(new));
    assert_eq!(found.widened, 0, "{old}\n→\n{new}\n{found}");
}

fn site(origins: &str, rest: &str) -> String {
    format!("[site.cors]\norigins = [\"{origins}\"]\n{rest}\n")
}

fn route(path: &str, origins: &str) -> String {
    format!("[[site.route]]\npath = \"{path}\"\ncors = {{ origins = [\"{origins}\"] }}\n")
}

fn operation(rest: &str) -> String {
    format!("[[site.header]]\n{rest}\n")
}

const APP: &str = "https://app.test";
const OPEN: &str = "origin: * https://any.example";

#[test]
fn a_pattern_behind_a_narrower_one() {
    let with = |rest| route("/a/*", APP) + &route("/a/**", rest);
    check_widened(&with(APP), &with("*"), &[OPEN]);
    check_not_widened(&with("*"), &with(APP));
    let deep = |rest| route("/a/*", APP) + &route("/a/*/*", APP) + &route("/a/**", rest);
    check_widened(&deep(APP), &deep("*"), &[OPEN]);
}

#[test]
fn patterns_that_only_cross() {
    let strict = site("*", "") + &route("/*/c", APP);
    let opened = strict.clone() + &route("/a/b/**", "*");
    // `/a/b/c` is `/*/*/c`'s, not `/*/c`'s: nothing is opened that was not open.
    check_not_widened(&strict, &opened);
    let strict = site("*", "") + &route("/a/*/c", APP);
    let opened = strict.clone() + &route("/a/b/**", "*");
    check_widened(&strict, &opened, &[OPEN]);
    let found = diff_of(&plan_of(&strict), &plan_of(&opened));
    assert_eq!(found.routes.len(), 1, "{found}");
    assert_eq!(found.routes[0].request, "GET http://cdn.test/a/b/c");
    let stars = route("/*.js", APP) + &route("/**", "*");
    check_widened(&stars, &(stars.clone() + &route("/libs*", "*")), &[]);
}

#[test]
fn methods_that_nobody_thought_of() {
    let purge = |origins: &str| {
        format!(
            "{}[[site.route]]\npath = \"/**\"\nmethods = [\"PURGE\", \"PROPFIND\"]\n\
             cors = {{ origins = [\"{origins}\"] }}\n",
            site(APP, "")
        )
    };
    check_widened(&purge(APP), &purge("*"), &[OPEN]);
    // Also OPTIONS that is no preflight, or asks about OPTIONS.
    let options = |origins: &str| {
        format!(
            "{}[[site.route]]\npath = \"/**\"\nmethods = [\"OPTIONS\"]\n\
             cors = {{ origins = [\"{origins}\"] }}\n",
            site(APP, "")
        )
    };
    check_widened(&options(APP), &options("*"), &[OPEN]);
}

#[test]
fn operations_that_say_who_may_read() {
    let set = |name: &str, value: &str| {
        operation(&format!(
            "op = \"set\"\nname = \"{name}\"\nvalue = \"{value}\""
        ))
    };
    let acao = "Access-Control-Allow-Origin";
    check_widened(
        "",
        &set(acao, "*"),
        &["operations: none → set Access-Control-Allow-Origin: * https://any.example"],
    );
    let credentials = set("Access-Control-Allow-Credentials", "true");
    check_widened(
        &set(acao, "https://a.test"),
        &(set(acao, "https://evil.test") + &credentials),
        &[
            "operations: set Access-Control-Allow-Origin: https://a.test → \
             set Access-Control-Allow-Origin: https://evil.test; \
             set Access-Control-Allow-Credentials: true https://evil.test",
        ],
    );
    let corp = "Cross-Origin-Resource-Policy";
    check_widened(&set(corp, "same-origin"), &set(corp, "cross-origin"), &[]);
    check_widened("", &operation("op = \"remove\"\nname = \"Cross-*\""), &[]);
    // What keeps the upstream's own away no longer does.
    let remove = operation("op = \"remove\"\nname = \"Access-Control-Allow-Origin\"");
    check_widened(&remove, "", &[]);
    let set_in_order = set(acao, "*") + &remove;
    check_widened(&set_in_order, &(remove + &set(acao, "*")), &[]);
    // What an operation before makes of the content type decides whether this one applies.
    let typed = "op = \"set\"\nname = \"Access-Control-Allow-Origin\"\nvalue = \"*\"\n\
                 when = { content_type = [\"text/html\"] }";
    let html = set("Content-Type", "text/html");
    check_widened(&operation(typed), &(html + &operation(typed)), &[]);
    // The policy writes these in the operation's place, so that it has no say.
    check_not_widened(&site(APP, ""), &(site(APP, "") + &set(acao, "*")));
    check_not_widened("", &set("X-Frame-Options", "DENY"));
    let timed = site(APP, "timing = true") + &set("Timing-Allow-Origin", "*");
    let untimed = site(APP, "") + &set("Timing-Allow-Origin", "*");
    check_widened(&timed, &untimed, &[]);
}

#[test]
fn deciders() {
    let mode = |mode: &str| site(APP, &format!("upstream = \"{mode}\""));
    let words =
        |before: &str, after: &str| format!("cors: {before} decided, now {after} https://app.test");
    let (both, node) = ("the node beside the upstream", "the node");
    let (over, twice, pass) = (mode("override"), mode("duplicate"), mode("passthrough"));
    let is_both = format!("{both} does");
    check_widened(&over, &twice, &[&words(node, &is_both)]);
    check_widened(&twice, &over, &[&words(both, "the node does")]);
    check_widened(&twice, &pass, &[&words(both, "the upstream does")]);
    check_widened(&pass, &twice, &[&words("the upstream", &is_both)]);
    check_not_widened("", &pass);
    check_not_widened(&pass, "");
    // A line less beside the upstream's own leaves that alone, and then it counts.
    let wide = site("https://*.test", "upstream = \"duplicate\"");
    check_widened(&wide, &twice, &[]);
    // Another upstream decides.
    let other = "[[site.route]]\npath = \"/x\"\nupstream = \"v\"\n";
    check_widened(
        "",
        other,
        &["cors: the upstream 127.0.0.1:9000 decided, now 127.0.0.1:9001 does ?"],
    );
    let node_decides = site(APP, "");
    check_not_widened(&node_decides, &(node_decides.clone() + other));
    // A constant keeps everybody from the policies behind it.
    let listed = |rest: &str| format!("[[site.cors]]\norigins = [\"{rest}\"]\n");
    let constant = listed(APP) + "validate = false\nmethods = [\"*\"]\nrequest_headers = [\"*\"]\n";
    let hidden = constant + &listed("https://evil.test");
    check_widened(&hidden, &(listed(APP) + &listed("https://evil.test")), &[]);
}

#[test]
fn timing_and_embedding_where_the_upstream_decides() {
    let pass =
        |origins: &str, rest: &str| site(origins, &format!("upstream = \"passthrough\"\n{rest}"));
    let timed = pass(APP, "timing = true");
    check_widened(
        &timed,
        &pass("*", "timing = true"),
        &["timing: * https://any.example"],
    );
    check_not_widened(&pass("*", "timing = true"), &timed);
    check_not_widened(&pass(APP, ""), &pass("*", ""));
    check_widened(
        &timed,
        &pass(APP, ""),
        &["upstream: its own Timing-Allow-Origin passes now ?"],
    );
    let embed = |value: &str| pass(APP, &format!("resource_policy = \"{value}\""));
    check_widened(&embed("same-origin"), &embed("cross-origin"), &[]);
    check_not_widened(&embed("cross-origin"), &embed("same-site"));
    check_not_widened(&pass(APP, ""), &embed("same-origin"));
    // The upstream's own may have been stricter.
    check_widened(&pass(APP, ""), &embed("same-site"), &[]);
    check_widened(
        &site(APP, ""),
        &site(APP, "resource_policy = \"cross-origin\""),
        &[],
    );
}

/// Settings of a site or route: often one list of origins, else whatever there is.
fn settings(table: &'static str) -> impl Strategy<Value = String> {
    let origins = subsequence(
        vec!["https://app.test", "https://*.test", "https://evil.test"],
        1..3,
    );
    let plain = origins.prop_map(move |own| format!("[{table}.cors]\norigins = {own:?}\n"));
    prop_oneof![3 => plain, 1 => rich_settings(table)]
}

/// Policies of all kinds, and operations.
fn rich_settings(table: &'static str) -> impl Strategy<Value = String> {
    let policy = (
        subsequence(
            vec![
                "https://app.test",
                "https://*.test",
                "https://evil.test",
                "null",
            ],
            1..3,
        ),
        select(vec![
            "",
            "",
            "methods = [\"GET\", \"PUT\"]\n",
            "methods = [\"*\"]\n",
            "methods = [\"PUT\"]\n",
        ]),
        select(vec![
            "",
            "",
            "timing = true\n",
            "expose = [\"ETag\"]\n",
            "when = { content_type = [\"font/*\"] }\n",
            "request_headers = [\"x-a\"]\n",
        ]),
        select(vec![
            "",
            "",
            "resource_policy = \"same-origin\"\n",
            "resource_policy = \"same-site\"\n",
            "resource_policy = \"cross-origin\"\n",
        ]),
        any::<bool>(),
    );
    let listed = policy.prop_map(|(origins, methods, rest, embedding, credentials)| {
        let credentials = credentials && !origins.contains(&"null");
        format!("origins = {origins:?}\n{methods}{rest}{embedding}credentials = {credentials}\n")
    });
    let policy = prop_oneof![
        6 => listed,
        1 => Just("origins = [\"*\"]\n".to_owned()),
        1 => Just("origins = [\"https://app.test\"]\nvalidate = false\n".to_owned()),
    ];
    let policies = (
        prop::collection::vec(policy, 0..3),
        select(vec![
            "override",
            "override",
            "override",
            "passthrough",
            "duplicate",
        ]),
    );
    let operations = subsequence(
        vec![
            "op = \"set\"\nname = \"Access-Control-Allow-Origin\"\nvalue = \"*\"",
            "op = \"default\"\nname = \"Timing-Allow-Origin\"\nvalue = \"*\"",
            "op = \"remove\"\nname = \"Cross-Origin-*\"",
            "op = \"set\"\nname = \"Cross-Origin-Resource-Policy\"\nvalue = \"same-site\"",
            "op = \"remove\"\nname = \"Access-Control-Allow-Origin\"",
            "op = \"set\"\nname = \"X-Served\"\nvalue = \"${host}\"",
        ],
        0..3,
    );
    let operations = prop_oneof![3 => Just(Vec::new()), 1 => operations];
    (policies, operations).prop_map(move |((policies, mode), operations)| {
        let policies = policies
            .iter()
            .map(|own| format!("[[{table}.cors]]\nupstream = \"{mode}\"\n{own}"));
        let operations = operations
            .iter()
            .map(|own| format!("[[{table}.header]]\n{own}\n"));
        policies.chain(operations).collect()
    })
}

fn route_text() -> impl Strategy<Value = String> {
    let paths = vec![
        "/*", "/**", "/a/*", "/a/**", "/*/c", "/a/b/**", "/a*", "/*b", "/a/*/c", "/a/b/c", "/a/",
        "/a*b/**",
    ];
    let methods = vec![
        "",
        "",
        "methods = [\"GET\", \"HEAD\"]\n",
        "methods = [\"PROPFIND\"]\n",
        "methods = [\"PUT\", \"OPTIONS\"]\n",
        "methods = [\"OPTIONS\"]\n",
    ];
    (select(paths), select(methods), settings("site.route")).prop_map(|(path, methods, rest)| {
        format!("[[site.route]]\npath = \"{path}\"\n{methods}{rest}")
    })
}

/// One set of routes, and another that shares some of them.
fn two_sets() -> impl Strategy<Value = (String, String)> {
    let site = (
        settings("site"),
        settings("site"),
        prop::bool::weighted(0.8),
    );
    (
        site,
        prop::collection::vec((route_text(), route_text(), 0..4u8), 0..5),
    )
        .prop_map(|((site, other_site, same_site), routes)| {
            let (mut old, mut new) = (site.clone(), if same_site { site } else { other_site });
            for (one, other, kept) in routes {
                match kept {
                    0 => old += &one,
                    1 => new += &one,
                    2 => {
                        old += &one;
                        new += &other;
                    }
                    _ => {
                        old += &one;
                        new += &one;
                    }
                }
            }
            (old, new)
        })
}

/// What a page can do: whether it may read without and with credentials, the fields that it reads, whether
/// it may time, and how far the response may be embedded.
#[derive(Debug)]
struct Reach {
    reads: Vec<bool>,
    fields: Vec<Vec<String>>,
    times: bool,
    embeds: u8,
}

impl Reach {
    fn of(checked: &Checked, question: &Question) -> Self {
        let plan = checked.plan.as_ref().expect("a plan");
        let told = explain(plan, None, question).expect("a good question");
        let head = SeenHead::read(&told.response.head);
        let origin = &question.headers[0].1;
        let timing = head.get("Timing-Allow-Origin").unwrap_or_default();
        Self {
            reads: told.browser.iter().map(|own| own.allowed).collect(),
            fields: told
                .browser
                .iter()
                .map(|own| own.readable.clone())
                .collect(),
            times: timing.split(", ").any(|own| own == "*" || own == origin),
            embeds: match head.get("Cross-Origin-Resource-Policy").as_deref() {
                Some("same-origin") => 0,
                Some("same-site") => 1,
                Some(_) | None => 2,
            },
        }
    }

    /// Whether `other` can do something that this one cannot.
    fn is_widened_by(&self, other: &Self) -> bool {
        let more = |was: &[bool], is: &[bool]| was.iter().zip(is).any(|(was, is)| !was && *is);
        let reads_more = || {
            let fields = self.fields.iter().zip(&other.fields);
            fields
                .zip(&self.reads)
                .any(|((was, is), reads)| *reads && is.iter().any(|name| !was.contains(name)))
        };
        more(&self.reads, &other.reads)
            || reads_more()
            || (!self.times && other.times)
            || other.embeds > self.embeds
    }
}

const PATHS: [&str; 12] = [
    "/", "/x", "/a", "/ab", "/a/", "/a/x", "/x/c", "/a/b", "/a/b/c", "/a/x/c", "/a/b/x/y", "/aab/x",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    /// Whatever NEW lets a page do that OLD did not, `diff` says that something widened.
    #[test]
    fn what_a_page_gains_is_told(
        (old, new) in two_sets(),
        origin in select(vec!["https://app.test", "https://evil.test", "https://x.y.test", "null"]),
        method in select(vec!["GET", "PUT", "PROPFIND", "DELETE", "OPTIONS"]),
        header in select(vec!["", "x-a", "x-b"]),
        answered in subsequence(
            vec![
                ("Access-Control-Allow-Origin", "*"),
                ("Access-Control-Allow-Origin", "https://evil.test"),
                ("Access-Control-Allow-Credentials", "true"),
                ("Access-Control-Allow-Methods", "PUT, PROPFIND"),
                ("Timing-Allow-Origin", "*"),
                ("Cross-Origin-Resource-Policy", "same-origin"),
                ("Content-Type", "font/woff2"),
            ],
            0..5,
        ),
    ) {
        let (before, after) = (
            check("a.toml", &text_of(&old), &NoFiles),
            check("a.toml", &text_of(&new), &NoFiles),
        );
        prop_assume!(before.plan.is_some() && after.plan.is_some());
        let found = diff_of(&before, &after);
        if found.widened > 0 {
            return Ok(());
        }
        for path in PATHS {
            let mut headers = vec![("Origin".to_owned(), origin.to_owned())];
            if !header.is_empty() {
                headers.push((header.to_owned(), "1".to_owned()));
            }
            let question = Question {
                method: method.to_owned(),
                url: format!("http://cdn.test{path}"),
                headers,
                upstream: AssumedUpstream::Answers(UpstreamAnswer {
                    status: 200,
                    headers: answered
                        .iter()
                        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                        .collect(),
                }),
                now: UnixMillis(0),
            };
            let (was, is) = (Reach::of(&before, &question), Reach::of(&after, &question));
            prop_assert!(
                !was.is_widened_by(&is),
                "{method} {path} {origin} {header} {answered:?}\n{was:?}\n{is:?}\n\
                 --- old\n{old}\n--- new\n{new}\n{found}"
            );
        }
    }
}

/// Two thousand routes that inherit one long list are compared as one.
#[test]
fn many_routes_with_one_long_list() {
    let origins: Vec<String> = (0..20_000)
        .map(|number| format!("\"https://tenant-{number}.test\""))
        .collect();
    let routes: String = (0..2_000)
        .map(|number| format!("[[site.route]]\npath = \"/tenant-{number}/**\"\n"))
        .collect();
    let with =
        |origins: &[String]| format!("[site.cors]\norigins = [{}]\n{routes}", origins.join(", "));
    let (old, new) = (plan_of(&with(&origins[1..])), plan_of(&with(&origins)));
    let found = diff_of(&old, &new);
    assert_eq!((found.widened, found.narrowed), (2_001, 0));
}
