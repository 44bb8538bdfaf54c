//! Every number of the contract: taken at both of its bounds, refused one past each, with a
//! sentence that names the bounds.

use corsair_config::schema::{Section, Shape, Status};
use corsair_config::{NoFiles, check_with};

const BASE: &str = r#"
[[listener]]
address = "127.0.0.1:8080"
[cache]
memory = "16TiB"
[[upstream]]
name = "u"
servers = ["http://127.0.0.1:9000"]
[[site]]
hosts = ["*"]
upstream = "u"
[site.cache]
ttl = "1s"
[site.cors]
origins = ["https://a.example"]
"#;

/// Most requests a connection may be given.
const MANY: &str = "1000000000";

fn check(argument: &str, expected: Result<(), &str>) {
    let checked = check_with("a.toml", BASE, &[argument], &NoFiles);
    match expected {
        Ok(()) => assert!(
            checked.plan.is_some(),
            "{argument}: {:?}",
            checked.diagnostics
        ),
        Err(remedy) => {
            let [found] = checked.diagnostics.as_slice() else {
                panic!("{argument}: {:?}", checked.diagnostics)
            };
            assert_eq!(
                (found.code, found.file.as_str()),
                ("E021", "--set"),
                "{argument}"
            );
            assert_eq!(
                found.remedy,
                format!("write a value from {remedy}"),
                "{argument}"
            );
        }
    }
}

#[test]
fn every_bound_holds_and_one_past_it_does_not() {
    #[rustfmt::skip]
    let rows = [
        ("node.workers", "1", "64", "0", "65", "1 to 64"),
        ("node.drain_timeout", "0s", "1h", "", "1h1ms", "0s to 1h"),
        ("limits.head_bytes", "1KiB", "1MiB", "1023B", "1048577B", "1KiB to 1MiB"),
        ("limits.header_lines", "8", "255", "7", "256", "8 to 255"),
        ("limits.body_bytes", "1B", "16TiB", "0B", "17592186044417B", "1B to 16TiB"),
        ("limits.connections", "1", "1000000", "0", "1000001", "1 to 1000000"),
        ("limits.requests_per_connection", "0", MANY, "-1", "1000000001", "0 to 1000000000"),
        ("limits.head_timeout", "100ms", "10m", "99ms", "10m1ms", "100ms to 10m"),
        ("limits.idle_timeout", "100ms", "1d", "99ms", "1d1ms", "100ms to 1d"),
        ("limits.body_min_rate", "0B/s", "1GiB/s", "", "1073741825B/s", "0B/s to 1GiB/s"),
        ("cache.memory", "1MiB", "16TiB", "1048575B", "17592186044417B", "1MiB to 16TiB"),
        ("upstream.connect_timeout", "10ms", "5m", "9ms", "5m1ms", "10ms to 5m"),
        ("upstream.response_timeout", "10ms", "1h", "9ms", "1h1ms", "10ms to 1h"),
        ("site.cache.ttl", "0s", "3650d", "", "3650d1s", "0s to 3650d"),
        ("site.cache.override_ttl", "0s", "3650d", "", "3650d1s", "0s to 3650d"),
        ("site.cache.stale_while_revalidate", "0s", "3650d", "", "3650d1s", "0s to 3650d"),
        ("site.cache.stale_if_error", "0s", "3650d", "", "3650d1s", "0s to 3650d"),
        ("site.cache.max_object", "1B", "4TiB", "0B", "4398046511105B", "1B to 4TiB"),
        ("site.cors.max_age", "0s", "3650d", "", "3650d1s", "0s to 3650d"),
    ];
    for (path, least, most, below, above, bounds) in rows {
        check(&format!("{path}={least}"), Ok(()));
        check(&format!("{path}={most}"), Ok(()));
        if !below.is_empty() {
            check(&format!("{path}={below}"), Err(bounds));
        }
        check(&format!("{path}={above}"), Err(bounds));
    }
    let mut numbers = Vec::new();
    Section::root().visit(&mut |section| {
        for key in section
            .keys
            .iter()
            .filter(|key| key.status == Status::Works)
        {
            if let Shape::Count { .. }
            | Shape::Duration { .. }
            | Shape::Size { .. }
            | Shape::Rate { .. } = key.shape
            {
                numbers.push(format!("{}.{}", section.path, key.name));
            }
        }
    });
    numbers.dedup();
    for (value, works) in [("204", true), ("403", true), ("205", false), ("0", false)] {
        let argument = format!("site.cors.refused_preflight_status={value}");
        let checked = check_with("a.toml", BASE, &[&argument], &NoFiles);
        assert_eq!(checked.plan.is_some(), works, "{argument}");
    }
    let tested: Vec<&str> = rows.iter().map(|row| row.0).collect();
    for number in numbers {
        assert!(tested.contains(&number.as_str()), "{number} has no row");
    }
}

#[test]
fn numbers_that_no_type_holds_are_refused() {
    check(
        "limits.connections=9223372036854775808",
        Err("1 to 1000000"),
    );
    check(
        "limits.connections=-9223372036854775809",
        Err("1 to 1000000"),
    );
    check("limits.connections=0x10", Ok(()));
}

#[test]
fn an_object_is_at_most_two_fifths_of_the_store() {
    let with = |memory: &str, object: &str| {
        let arguments = [
            format!("cache.memory={memory}"),
            format!("site.cache.max_object={object}"),
        ];
        check_with("a.toml", BASE, &[&arguments[0], &arguments[1]], &NoFiles)
    };
    let object_max = |memory: &str| {
        let argument = format!("cache.memory={memory}");
        let plan = check_with("a.toml", BASE, &[&argument], &NoFiles)
            .plan
            .expect("it is right");
        plan.site_plans[0].route_plans[0].cache.max_object
    };
    assert!(with("100MB", "40MB").plan.is_some());
    let refused = with("100MB", "40001KB");
    assert!(refused.plan.is_none() && refused.diagnostics[0].remedy.contains("40000000 bytes"));
    assert_eq!(
        object_max("100MB"),
        40_000_000,
        "the default is cut to what can be stored"
    );
    assert_eq!(object_max("1GiB"), 64 << 20);
}
