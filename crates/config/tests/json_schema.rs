//! The JSON schema is what the tables say, takes every example, and refuses what the checker refuses
//! for its shape.
//!
//! The keywords are checked by the few lines below: the libraries for it bring thirty crates, and
//! the schema uses ten keywords.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

fn configs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../configs")
}

fn schema() -> Value {
    serde_json::from_str(&corsair_config::json_schema()).expect("JSON")
}

/// What is wrong with `value` at `place`, by the keywords the schema uses. A keyword that is not
/// known here is a mistake of the test.
fn faults(root: &Value, schema: &Value, value: &Value, place: &str, found: &mut Vec<String>) {
    let keywords = schema.as_object().expect("a schema is an object");
    let tell = |found: &mut Vec<String>, what: &str| found.push(format!("{place}: {what}"));
    for (keyword, argument) in keywords {
        match keyword.as_str() {
            "$schema" | "title" | "description" | "default" | "$defs" | "pattern" => {}
            "type" => {
                let is_it = match argument.as_str().expect("one type") {
                    "string" => value.is_string(),
                    "boolean" => value.is_boolean(),
                    "integer" => value.is_i64() || value.is_u64(),
                    "array" => value.is_array(),
                    "object" => value.is_object(),
                    other => panic!("type {other}"),
                };
                if !is_it {
                    tell(found, &format!("is no {argument}"));
                }
            }
            "enum" => {
                if !argument.as_array().expect("a list").contains(value) {
                    tell(found, "is none of those allowed");
                }
            }
            "minimum" if value.as_u64() < argument.as_u64() => tell(found, "is too small"),
            "maximum" if value.as_u64() > argument.as_u64() => tell(found, "is too large"),
            "maxItems"
                if value.as_array().map(Vec::len) > argument.as_u64().map(|n| n as usize) =>
            {
                tell(found, "has too many items");
            }
            "minimum" | "maximum" | "maxItems" => {}
            "required" => {
                for name in argument.as_array().expect("a list") {
                    if value.get(name.as_str().expect("a name")).is_none() {
                        tell(found, &format!("has no {name}"));
                    }
                }
            }
            "$ref" => {
                let name = argument
                    .as_str()
                    .and_then(|text| text.strip_prefix("#/$defs/"));
                let inner = &root["$defs"][name.expect("a section")];
                faults(root, inner, value, place, found);
            }
            "anyOf" => {
                let fits = |inner: &Value| {
                    let mut own = Vec::new();
                    faults(root, inner, value, place, &mut own);
                    own.is_empty()
                };
                if !argument.as_array().expect("a list").iter().any(fits) {
                    tell(found, "fits no alternative");
                }
            }
            "items" => {
                for (index, item) in value.as_array().into_iter().flatten().enumerate() {
                    faults(root, argument, item, &format!("{place}.{index}"), found);
                }
            }
            "properties" | "patternProperties" | "additionalProperties" => {}
            other => panic!("the test does not know the keyword {other}"),
        }
    }
    let Some(object) = value.as_object() else {
        return;
    };
    if keywords.get("type").is_some_and(|kind| kind == "object") {
        for (name, inner) in object {
            let known = schema["properties"].get(name);
            let by_pattern = schema["patternProperties"]
                .as_object()
                .filter(|_| name.len() == 3 && name.bytes().all(|byte| byte.is_ascii_digit()))
                .and_then(|patterns| patterns.values().next());
            match known.or(by_pattern) {
                Some(own) => faults(root, own, inner, &format!("{place}.{name}"), found),
                None => found.push(format!("{place}: {name} is no key")),
            }
        }
    }
}

fn faults_of(text: &str) -> Vec<String> {
    let table: toml::Table = text.parse().expect("TOML");
    let value = serde_json::to_value(table).expect("no dates in it");
    let schema = schema();
    let mut found = Vec::new();
    faults(&schema, &schema, &value, "", &mut found);
    found
}

#[test]
fn the_committed_schema_is_what_the_tables_say() {
    let path = configs().join("corsair.schema.json");
    let text = corsair_config::json_schema();
    if std::env::var_os("CORSAIR_WRITE_EXPECTED").is_some() {
        fs::write(&path, &text).expect("the file can be written");
    }
    let kept = fs::read_to_string(&path).expect("the file can be read");
    assert!(
        kept == text,
        "write {} anew: `corsair reference`",
        path.display()
    );
}

#[test]
fn every_example_fits_the_schema() {
    let mut examples = 0;
    for entry in fs::read_dir(configs()).expect("it can be listed") {
        let path = entry.expect("an entry").path();
        if path
            .extension()
            .is_some_and(|extension| extension == "toml")
        {
            let text = fs::read_to_string(&path).expect("it can be read");
            assert_eq!(faults_of(&text), [""; 0], "{}", path.display());
            examples += 1;
        }
    }
    assert!(examples >= 4, "only {examples}");
}

#[test]
fn what_has_the_wrong_shape_does_not_fit() {
    let whole = "[[listener]]\naddress = \"a\"\n[[upstream]]\nname = \"u\"\nservers = [\"s\"]\n\
                 [[site]]\nhosts = [\"*\"]\nupstream = \"u\"\n";
    assert_eq!(faults_of(whole), [""; 0]);
    let rows = [
        (
            "[site.cors]\norigin = [\"x\"]\n",
            ".site.0.cors: fits no alternative",
        ),
        ("[site.cache]\nttl = 1\n", ".site.0.cache.ttl: is no"),
        (
            "[site.cache]\nstatus_ttl = { \"4xx\" = \"1s\" }\n",
            "4xx is no key",
        ),
        ("[site.cache]\nheuristic = \"true\"\n", "heuristic: is no"),
        (
            "[[site.header]]\nop = \"put\"\nname = \"x\"\n",
            "op: is none",
        ),
        (
            "[[site.header]]\nop = \"set\"\n",
            "header.0: has no \"name\"",
        ),
        (
            "[[site.route]]\nmethods = [\"GET\"]\n",
            "route.0: has no \"path\"",
        ),
    ];
    for (added, expected) in rows {
        let found = faults_of(&format!("{whole}{added}"));
        let told = found.iter().any(|fault| fault.contains(expected));
        assert!(told, "{added}: {found:?}");
    }
    let limits = format!("[limits]\nheader_lines = 7\n{whole}");
    assert_eq!(faults_of(&limits), [".limits.header_lines: is too small"]);
}
