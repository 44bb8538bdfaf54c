//! Every import fixture gives exactly the configuration and the report beside it, and every
//! configuration passes the check.
//!
//! With `CORSAIR_WRITE_EXPECTED=1` the expected files are written anew instead; read the difference
//! before committing it.

use std::path::{Path, PathBuf};

use corsair_config::import::{IMPORT_BYTES_MAX, ImportKind, Weight, import};
use corsair_config::{NoFiles, Severity, check};

fn directory(kind: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/import")
        .join(kind)
}

/// The inputs of a kind, by name.
fn inputs(kind: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory(kind)).expect("the directory is there");
    let mut inputs: Vec<PathBuf> = entries
        .map(|entry| entry.expect("it can be listed").path())
        .filter(|path| {
            let end = path.extension().and_then(|end| end.to_str());
            matches!(end, Some("json" | "xml" | "yaml"))
        })
        .collect();
    inputs.sort();
    inputs
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).expect("the file can be read")
}

/// Compares with the file beside the input, or writes it.
fn compare(input: &Path, end: &str, got: &str) {
    let mut name = input.file_name().expect("it has a name").to_owned();
    name.push(end);
    let path = input.with_file_name(name);
    if std::env::var_os("CORSAIR_WRITE_EXPECTED").is_some() {
        std::fs::write(&path, got).expect("the file can be written");
        return;
    }
    assert_eq!(got, read(&path), "{}", path.display());
}

#[test]
fn every_fixture_gives_what_stands_beside_it() {
    let mut seen = 0;
    for kind in ImportKind::ALL {
        let inputs = inputs(kind.as_str());
        assert!(inputs.len() >= 3, "{kind:?}");
        for input in inputs {
            let name = input
                .file_name()
                .and_then(|name| name.to_str())
                .expect("ASCII");
            let imported = match import(kind, name, &read(&input)) {
                Ok(imported) => imported,
                Err(error) => panic!("{}:{error}", input.display()),
            };
            compare(&input, ".toml", &imported.config);
            let report: String = imported
                .findings
                .iter()
                .map(|finding| format!("{finding}\n\n"))
                .collect();
            compare(&input, ".report", &report);
            let checked = check("imported.toml", &imported.config, &NoFiles);
            let errors: Vec<String> = checked
                .diagnostics
                .iter()
                .filter(|found| found.severity == Severity::Error)
                .map(ToString::to_string)
                .collect();
            assert!(
                errors.is_empty(),
                "{}\n{}\n{}",
                input.display(),
                errors.join("\n"),
                imported.config
            );
            seen += 1;
        }
    }
    assert!(seen >= 25, "only {seen} fixtures");
}

/// What cannot be used, and the beginning of what is said.
#[test]
fn unusable_inputs_say_where_and_why() {
    use ImportKind::{Alibaba, Gcs, IngressNginx, Oss, S3};
    let rule = |rest: &str| format!("[\n{{\"AllowedOrigins\": [\"*\"], {rest}}}]");
    let deep = format!("{}1{}", "[".repeat(40), "]".repeat(40));
    let wide = format!("[{}1]", "1,".repeat(60_000));
    let laughs = "<!DOCTYPE a [<!ENTITY b \"c\">]><CORSConfiguration>&b;</CORSConfiguration>";
    let rows: &[(ImportKind, &str, &str)] = &[
        (S3, "[{]", "1:3: error: the input is not JSON"),
        (
            S3,
            "[\n\n{\"AllowedOrigins\": 1,}]",
            "3:22: error: the input is not JSON: ",
        ),
        (S3, "[]", "1: error: there is no CORS rule in the input"),
        (S3, "7", "1: error: the input must be a list, not a number"),
        (S3, "{}", "1: error: the object is empty; "),
        (
            S3,
            "{\"Rules\": []}",
            "1: error: `Rules` is not `CORSRules`",
        ),
        (
            S3,
            &rule("\"AllowedMethod\": []"),
            "2: error: `AllowedMethod` is no key of a rule; did you mean `AllowedMethods`?",
        ),
        (
            S3,
            &rule("\"AllowedMethods\": \"GET\""),
            "2: error: AllowedMethods must be a list, not text",
        ),
        (
            S3,
            &rule("\"AllowedMethods\": [1]"),
            "2: error: AllowedMethods must be text, not a number",
        ),
        (
            S3,
            &rule("\"AllowedMethods\": [\"PATCH\"]"),
            "2: error: S3 refuses the AllowedMethod `PATCH`; ",
        ),
        (
            S3,
            &rule("\"AllowedMethods\": []"),
            "2: error: the rule has no AllowedMethod, ",
        ),
        (
            S3,
            &rule("\"AllowedMethods\": [\"GET\"], \"ExposeHeaders\": [\"x-*\"]"),
            "2: error: S3 refuses `x-*`: an ExposeHeader may have no `*`",
        ),
        (
            S3,
            &rule("\"AllowedMethods\": [\"GET\"], \"MaxAgeSeconds\": -1"),
            "2: error: MaxAgeSeconds must be whole seconds",
        ),
        (
            S3,
            "[{\"ID\": \"a\", \"ID\": \"b\"}]",
            "1: error: `ID` is given twice",
        ),
        (
            S3,
            "[{\"AllowedOrigins\": [\"https://*.*.a\"], \"AllowedMethods\": [\"GET\"]}]",
            "1: error: S3 refuses `https://*.*.a`: an AllowedOrigin may have only one `*`",
        ),
        (S3, &deep, "1: error: more than 32 values inside each other"),
        (S3, &wide, "1: error: more than 50000 values in one input"),
        (S3, "[\"\\ud800\"]", "1:8: error: the input is not JSON: "),
        (
            S3,
            laughs,
            "1:1: error: the input cannot be read as XML: it has a document type",
        ),
        (S3, "<a", "1:1: error: the input cannot be read as XML: "),
        (
            S3,
            "<a/>",
            "1: error: the root is <a>, not <CORSConfiguration>",
        ),
        (
            S3,
            "<CORSConfiguration/>",
            "1: error: there is no CORS rule in the input",
        ),
        (
            S3,
            "<CORSConfiguration>\n<ResponseVary>true</ResponseVary></CORSConfiguration>",
            "2: error: `ResponseVary` is no key of CORSConfiguration",
        ),
        (
            S3,
            "<CORSConfiguration>x<CORSRule/></CORSConfiguration>",
            "1: error: <CORSConfiguration> has text beside",
        ),
        (
            Oss,
            "<CORSConfiguration>\n<ResponseVary>yes</ResponseVary></CORSConfiguration>",
            "2: error: ResponseVary is true or false",
        ),
        (
            Gcs,
            "{\"name\": \"b\"}",
            "1: error: there is no `cors` in the object",
        ),
        (
            Gcs,
            "[{\"origins\": []}]",
            "1: error: `origins` is no key of an entry; did you mean `origin`?",
        ),
        (
            Gcs,
            "[{\"origin\": [\"*\"], \"method\": [\"G T\"]}]",
            "1: error: `G T` is not a method",
        ),
        (Gcs, "[]", "1: error: there is no CORS entry"),
        (
            Alibaba,
            "[]",
            "1: error: there is no `set_resp_header` function",
        ),
        (Alibaba, "{}", "1: error: there are no `Functions`"),
        (
            Alibaba,
            "[{\"functionName\": \"set_resp_header\"}]",
            "1: error: the function has no `functionArgs`",
        ),
        (
            Alibaba,
            "[{\"functionName\": \"set_resp_header\", \"functionArgs\": [{\"argName\": \"kee\", \"argValue\": \"a\"}]}]",
            "1: error: `kee` is no argument",
        ),
        (
            Alibaba,
            "[{\"functionName\": \"set_resp_header\", \"functionArgs\": []}]",
            "1: error: the setting names no header",
        ),
        (
            IngressNginx,
            "kind: Ingress\nspec: {rules: [{host: a b}]}",
            "1: error: no rule of the input has a host",
        ),
        (
            IngressNginx,
            "a: b",
            "1: error: there is neither an Ingress",
        ),
        (
            IngressNginx,
            "a: &x 1\nb: *x",
            "2: error: an alias (`*name`) is not followed",
        ),
        (IngressNginx, "a: 1\na: 2", "2: error: `a` is given twice"),
        (
            IngressNginx,
            "a: {{ .Values.x }}",
            "1: error: a key must be text, not an object",
        ),
        (IngressNginx, "a: [", "2:1: error: the input is not YAML: "),
        (
            IngressNginx,
            "- 1",
            "1: error: a document must be an object, not a list",
        ),
    ];
    let mut wrong = Vec::new();
    for (kind, text, expected) in rows {
        let error = import(*kind, "x", text).expect_err(text).to_string();
        if !error.starts_with(expected) {
            wrong.push(format!("{kind:?} {text:.60}\n  {error}\n  {expected}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Another file than the one that was meant: what came, what is expected, where that comes from.
#[test]
fn another_kind_of_input_is_told_apart() {
    use ImportKind::{Alibaba, Gcs, IngressNginx, Oss, S3};
    const JSON: &[ImportKind] = &[Gcs, Alibaba];
    const RULES: &[ImportKind] = &[S3, Oss];
    const ALL: &[ImportKind] = &ImportKind::ALL;
    let page = "<!DOCTYPE html>\n<html><head><title>Sign in\n</title></head><body>&nbsp;";
    let denied = "<?xml version=\"1.0\"?>\n<Error>\n<Code>AccessDenied</Code></Error>";
    let toml = "[[site]]\nhosts = [\"*\"]\n";
    let rows: &[(&[ImportKind], &str, &str)] = &[
        (ALL, "", "1: error: the input is empty; "),
        (ALL, "\u{feff}", "1: error: the input is empty; "),
        (ALL, "\n \t\n", "3: error: the input is empty; "),
        (ALL, page, "1: error: the input is a web page, `Sign in`; "),
        (ALL, "\n<HTML>", "2: error: the input is a web page; "),
        (
            ALL,
            denied,
            "1: error: the input is an error answer, `AccessDenied`; ",
        ),
        (JSON, "<CORSConfiguration/>", "1: error: the input is XML; "),
        (
            &[IngressNginx],
            "<CORSConfiguration/>",
            "1: error: the input is XML; ",
        ),
        (
            JSON,
            "\ncors:\n- origin: a",
            "2: error: the input is YAML, it begins with `cors:`; ",
        ),
        (
            RULES,
            "---\na: 1",
            "1: error: the input is YAML, it begins with `---`; ",
        ),
        (
            JSON,
            toml,
            "1: error: the input is TOML, it begins with `[[site]]`; `corsair check`",
        ),
        (
            RULES,
            "# a\n[site]",
            "1: error: the input is TOML, it begins with `# a`",
        ),
        (RULES, "a = 1", "1: error: the input is TOML"),
        (
            RULES,
            "An error occurred (NoSuchCORSConfiguration) when calling",
            "1: error: the input begins with `An error occurred (NoSuchCORSConfiguration)",
        ),
        (
            JSON,
            "PK\u{3}\u{4}\0",
            "1: error: the input begins with `PK\\u{3}",
        ),
        (
            JSON,
            "[{\n\"a\": [",
            "2: error: the input ends inside a JSON value, so it was cut off; ",
        ),
        (
            RULES,
            "[{\"AllowedOrigins\": [\"https://a",
            "1: error: the input ends inside a JSON",
        ),
        (
            RULES,
            "<CORSConfiguration>\n<CORSRule><AllowedOrigin>a",
            "2: error: the input ends inside an XML element, so it was cut off; ",
        ),
        (
            RULES,
            "<CORSConfiguration>\n<CORSRule><Allow",
            "2: error: the input ends inside an XML",
        ),
    ];
    for (kinds, text, expected) in rows {
        for kind in *kinds {
            let told = import(*kind, "x", text).expect_err(text).to_string();
            assert!(
                told.starts_with(expected),
                "{kind:?} {text:?}\n{told}\n{expected}"
            );
            let needs = format!("{} needs ", kind.as_str());
            assert!(told.contains(&needs), "{told}");
            assert!(!told.chars().any(char::is_control), "{told:?}");
        }
    }
    let refused = r#"{"error": {"code": 403, "message": "denied"}}"#;
    let told = import(Gcs, "x", refused)
        .expect_err("an error answer")
        .to_string();
    assert!(told.contains("error answer"), "{told}");
}

#[test]
fn the_bound_is_kept() {
    let json = r#"[{"AllowedOrigins": ["*"], "AllowedMethods": ["GET"]}]"#;
    let fits = format!("{json}{}", " ".repeat(IMPORT_BYTES_MAX - json.len()));
    assert!(import(ImportKind::S3, "x", &fits).is_ok());
    let over = format!("{fits} ");
    let error = import(ImportKind::S3, "x", &over).expect_err("one byte past it");
    assert_eq!(error.message, "the input has more than 1 MiB");
}

#[test]
fn a_mark_at_the_beginning_is_no_content() {
    let json = "\u{feff}[{\"AllowedOrigins\": [\"*\"], \"AllowedMethods\": [\"GET\"]}]";
    let imported = import(ImportKind::S3, "x", json).expect("the rest is JSON");
    assert_eq!(imported.count(Weight::Difference), 0);
}
