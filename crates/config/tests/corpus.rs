//! The fuzz corpus, replayed; and texts made from pieces of the grammar.

use std::path::Path;

use corsair_config::import::ImportKind;
use proptest::prelude::*;

#[test]
fn the_corpus_holds() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut replayed = 0;
    for directory in ["tests/fuzz/corpus/config", "configs", "configs/bad"] {
        let entries = std::fs::read_dir(root.join(directory)).expect("the directory is there");
        for entry in entries {
            let path = entry.expect("it can be listed").path();
            if path.is_file() {
                let bytes = std::fs::read(&path).expect("the file can be read");
                corsair_config::fuzzing::config(&String::from_utf8_lossy(&bytes));
                replayed += 1;
            }
        }
    }
    assert!(replayed > 50, "only {replayed} texts");
}

#[test]
fn the_import_corpus_holds() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fuzz/corpus");
    let mut replayed = 0;
    for kind in ImportKind::ALL {
        let directory = format!("import_{}", kind.as_str().replace('-', "_"));
        let entries = std::fs::read_dir(root.join(directory)).expect("the directory is there");
        for entry in entries {
            let path = entry.expect("it can be listed").path();
            let bytes = std::fs::read(&path).expect("the file can be read");
            // Each text as every kind: what is right for one is hostile to the others.
            corsair_config::fuzzing::import_any(&String::from_utf8_lossy(&bytes));
            replayed += 1;
        }
    }
    assert!(replayed >= 40, "only {replayed} texts");
}

/// Lines that a configuration is made of, right and wrong.
fn line() -> impl Strategy<Value = String> {
    let header = prop_oneof![
        Just("[node]"),
        Just("[[listener]]"),
        Just("[[upstream]]"),
        Just("[[site]]"),
        Just("[site.cache]"),
        Just("[site.cors]"),
        Just("[[site.cors]]"),
        Just("[[site.header]]"),
        Just("[[site.route]]"),
        Just("[site.route.cache]"),
        Just("[limits]"),
        Just("[cache]"),
        Just("[site"),
        Just("[[site.route.header]]"),
        Just("[admin]"),
    ];
    let key = prop_oneof![
        Just("name"),
        Just("address"),
        Just("servers"),
        Just("hosts"),
        Just("upstream"),
        Just("ttl"),
        Just("origins"),
        Just("origins_file"),
        Just("credentials"),
        Just("methods"),
        Just("op"),
        Just("value"),
        Just("path"),
        Just("status_ttl"),
        Just("memory"),
        Just("listen"),
        Just("max_age"),
        Just("cors"),
        Just("header"),
        Just("site.cors.origins"),
        Just("tpyo"),
    ];
    let value = prop_oneof![
        Just("\"a\""),
        Just("\"127.0.0.1:80\""),
        Just("[\"http://127.0.0.1:9\"]"),
        Just("[\"*\"]"),
        Just("\"10s\""),
        Just("\"1MiB\""),
        Just("true"),
        Just("5"),
        Just("\"set\""),
        Just("[]"),
        Just("{ origins = [\"https://*.a.example\"] }"),
        Just("{ \"404\" = \"10s\" }"),
        Just(""),
        Just("\"/a/**\""),
        Just("[\"GET\"]"),
        Just("\"x\\r\\ny\""),
        Just("[{ op = \"remove\" }]"),
        Just("[\"a.example\"]"),
        Just("1979-05-27"),
        Just("\"unclosed"),
        Just("[1, [2, {}]]"),
    ];
    prop_oneof![
        2 => header.prop_map(str::to_owned),
        5 => (key, value).prop_map(|(key, value)| format!("{key} = {value}")),
        1 => "\\PC{0,30}",
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn any_lines_are_answered(lines in prop::collection::vec(line(), 0..24)) {
        corsair_config::fuzzing::config(&lines.join("\n"));
    }

    #[test]
    fn any_text_is_answered(text in "(?s).{0,200}") {
        corsair_config::fuzzing::config(&text);
    }
}
