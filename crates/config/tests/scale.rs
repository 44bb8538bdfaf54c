//! Large inputs: a list of 100,000 origins, and more problems than anybody reads.

use std::fmt::Write as _;

use corsair_config::{
    CONFIG_BYTES_MAX, Checked, FileError, FileSource, NoFiles, ORIGINS_FILE_BYTES_MAX, Severity,
    check,
};
use corsair_rules::RequestOrigin;

const TEXT: &str = r#"
[[listener]]
address = "127.0.0.1:8080"
[[upstream]]
name = "u"
servers = ["http://127.0.0.1:9000"]
[[site]]
hosts = ["*"]
upstream = "u"
[site.cors]
origins_file = "lists/tenants.txt"
[[site.route]]
path = "/a"
cors = { origins_file = "lists/tenants.txt", expose = ["ETag"] }
"#;

struct Tenants(Result<String, FileError>);

impl FileSource for Tenants {
    fn read(&self, path: &str, bytes_max: usize) -> Result<String, FileError> {
        assert_eq!(
            (path, bytes_max),
            ("lists/tenants.txt", ORIGINS_FILE_BYTES_MAX)
        );
        self.0.clone()
    }
}

fn check_list(list: Result<String, FileError>) -> Checked {
    check("conf/a.toml", TEXT, &Tenants(list))
}

fn tenants(count: usize) -> String {
    let mut text = String::from("\u{feff}# tenants\r\n\r\n");
    for tenant in 0..count {
        writeln!(text, "https://t{tenant}.customers.example  # since May\r").expect("a String");
    }
    text
}

#[test]
fn a_list_is_written_in_the_dialect_of_its_policy() {
    let check_in = |dialect: &str, errors: usize| {
        let list = format!("origins_file = \"lists/tenants.txt\"\n{dialect}");
        let text = TEXT.replacen("origins_file = \"lists/tenants.txt\"\n", &list, 1);
        let text = text.split("[[site.route]]").next().expect("a first part");
        let tenants = Tenants(Ok("https://tenant-*.example.com\n".to_owned()));
        let found = check("conf/a.toml", text, &tenants);
        assert_eq!(found.count(Severity::Error), errors, "{dialect}");
    };
    check_in("", 1);
    check_in("dialect = \"native\"\n", 1);
    check_in("dialect = \"s3\"\n", 0);
}

#[test]
fn a_hundred_thousand_lines_are_a_policy() {
    let checked = check_list(Ok(tenants(100_000)));
    assert_eq!(checked.diagnostics, []);
    let plan = checked.plan.expect("without diagnostics there is a plan");
    let cors = &plan.site_plans[0].route_plans[0].cors;
    let granted = |origin: &str| {
        cors.decide_actual(RequestOrigin::One(origin.as_bytes()), b"GET", None)
            .granted()
    };
    assert!(granted("https://t0.customers.example"));
    assert!(granted("https://t99999.customers.example"));
    assert!(!granted("https://t100000.customers.example"));
    assert!(!granted("https://customers.example"));
}

#[test]
fn one_bad_line_is_told_once_with_its_number() {
    let text = tenants(5_000) + "https//typo.example\nhttps://*.more.example";
    let checked = check_list(Ok(text));
    let [found] = checked.diagnostics.as_slice() else {
        panic!("{:?}", checked.diagnostics)
    };
    let place = (found.file.as_str(), found.line, found.column);
    assert_eq!(
        place,
        ("conf/lists/tenants.txt", 5_003, 1),
        "two policies name the file"
    );
    assert_eq!(found.remedy, "write \"https://typo.example\"");
    assert!(checked.plan.is_none());
}

#[test]
fn a_list_without_text_is_told_where_it_is_named() {
    let rows = [
        (
            FileError::NotFound,
            "E004",
            "there is no file `conf/lists/tenants.txt`",
        ),
        (
            FileError::TooLarge,
            "E003",
            "`conf/lists/tenants.txt` has more than 64 MiB",
        ),
        (
            FileError::Directory,
            "E004",
            "`conf/lists/tenants.txt` is a directory",
        ),
        (
            FileError::NotText { line: 7 },
            "E004",
            "`conf/lists/tenants.txt` is not UTF-8 text: line 7 has bytes that are none",
        ),
        (
            FileError::Other("denied".into()),
            "E004",
            "cannot be read: denied",
        ),
    ];
    for (error, code, message) in rows {
        let checked = check_list(Err(error));
        let [found] = checked.diagnostics.as_slice() else {
            panic!("{:?}", checked.diagnostics)
        };
        assert_eq!((found.code, found.line), (code, 11), "{found}");
        assert!(found.message.contains(message), "{found}");
    }
    let checked = check_list(Ok("# nobody yet\n".to_owned()));
    assert!(checked.diagnostics.iter().all(|found| found.code == "E105"));
    assert_eq!(checked.diagnostics.len(), 2);
}

#[test]
fn more_problems_than_anybody_reads_are_counted_not_listed() {
    let lines = |count: usize, line: &str| format!("{line}\n").repeat(count);
    let checked = check_list(Ok(lines(1_500, "nonsense")));
    assert_eq!(checked.count(Severity::Error), 1_000);
    let last = checked.diagnostics.last().expect("there are many");
    assert!(
        last.message.contains("more problems are not shown"),
        "{last}"
    );
    assert!(checked.plan.is_none());

    // Warnings never take the place of an error, wherever it stands.
    let text = lines(5_000, "https://same.example") + "nonsense\n";
    let checked = check_list(Ok(text));
    assert_eq!(
        (
            checked.count(Severity::Error),
            checked.count(Severity::Warning)
        ),
        (1, 200)
    );
    assert!(checked.plan.is_none());
}

#[test]
fn a_configuration_is_read_up_to_its_bound_and_not_past_it() {
    let filled = |len: usize| {
        let text = TEXT.replace("origins_file = \"lists/tenants.txt\"", "origins = [\"*\"]");
        format!("{}{text}", "#".repeat(len - text.len()))
    };
    assert!(
        check("a.toml", &filled(CONFIG_BYTES_MAX), &NoFiles)
            .plan
            .is_some()
    );
    let checked = check("a.toml", &filled(CONFIG_BYTES_MAX + 1), &NoFiles);
    assert_eq!(checked.diagnostics[0].code, "E003");
    assert!(checked.plan.is_none());
}
