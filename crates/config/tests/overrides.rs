//! `--set`: what it changes, and what it tells when it cannot.

use corsair_config::{NoFiles, check_with};

const BASE: &str = r#"
[[listener]]
address = "127.0.0.1:8080"
[[listener]]
address = "127.0.0.1:8081"
[[upstream]]
name = "u"
servers = ["http://127.0.0.1:9000"]
[[site]]
hosts = ["*"]
upstream = "u"
"#;

/// A part of the plan's debug text, or parts of message and remedy.
type Expected = Result<&'static str, (&'static str, &'static str)>;

/// What the plan's debug text holds afterwards, or the one error's message and remedy.
fn check(arguments: &[&str], expected: Expected) {
    let checked = check_with("a.toml", BASE, arguments, &NoFiles);
    match (expected, &checked.plan) {
        (Ok(text), Some(plan)) => {
            let shown = format!("{plan:?}");
            assert!(shown.contains(text), "{arguments:?}: {shown}");
        }
        (Err((message, remedy)), None) => {
            let found = &checked.diagnostics[0];
            assert_eq!(
                (found.file.as_str(), found.line),
                ("--set", 1),
                "{arguments:?} {found}"
            );
            assert!(found.message.contains(message), "{arguments:?} {found}");
            assert!(found.remedy.contains(remedy), "{arguments:?} {found}");
        }
        (_, plan) => panic!(
            "{arguments:?}: {:?}, {:?}",
            plan.is_some(),
            checked.diagnostics
        ),
    }
}

#[test]
fn arguments_change_single_values() {
    #[rustfmt::skip]
    let rows: &[(&[&str], Expected)] = &[
        (&["node.name=edge-1"], Ok("name: \"edge-1\"")),
        (&["node.name=\"edge-2\""], Ok("name: \"edge-2\"")),
        (&["node.workers=3"], Ok("workers: Some(3)")),
        (&["node.workers=3", "node.workers=4"], Ok("workers: Some(4)")),
        (&["listener.1.address=127.0.0.1:9999"], Ok("127.0.0.1:9999")),
        (&["upstream.host=server"], Ok("host_mode: Server")),
        (&["upstream.0.host=server"], Ok("host_mode: Server")),
        (&["upstream.servers=[\"http://127.0.0.1:9009\"]"], Ok("port: 9009")),
        (&["site.hosts=[\"a.example\", \"*\"]"], Ok("hosts: [\"a.example\", \"*\"]")),
        (&["site.cache.ttl=90s"], Ok("ttl: 90s")),
        (&["site.route.path=/x", "site.route.cache.ttl=91s"], Ok("ttl: 91s")),
        (&[" node.workers =5"], Ok("workers: Some(5)")),
        (&["node.workers"], Err(("has no `=`", "--set limits.idle_timeout=30s"))),
        (&["=3"], Err(("no path of keys", "--set"))),
        (&["node..workers=3"], Err(("no path of keys", "--set"))),
        (&["node.wrokers=3"], Err(("`wrokers` is not a key of [node]", "did you mean `workers`?"))),
        (&["nod.workers=3"], Err(("`nod` is not a key", "did you mean `node`?"))),
        (&["node.workers=many"], Err(("is a string, not a whole number", "a whole number"))),
        (&["listener.address=127.0.0.1:1"], Err(("there are 2 of `listener`", "`listener.0`"))),
        (&["listener.2.address=127.0.0.1:1"], Err(("there is no `listener.2`", "there are 2"))),
        (&["listener.0=1"], Err(("`listener.0` is a table", "name the key"))),
        (&["site.hosts.0=a.example"], Err(("`hosts` is an array", "`--set site.hosts=…`"))),
        (&["node.name=a b"], Err(("is no node name", "letters, digits"))),
        (&["admin.token_file=/t"], Err(("not built yet", "remove it"))),
    ];
    for (arguments, expected) in rows {
        check(arguments, *expected);
    }
}
