//! The page, the README's tables and the comparison made from the example of a suite's document.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use loadgen::compare::{self, Pairing, Run};
use loadgen::ratio::{Bootstrap, Verdict};
use loadgen::report::suite::{self, tables};
use loadgen::suite::artefact::{Artefact, Measurement, Position, Reloads, TrialOutcome};

const EXAMPLE: &str = include_str!("../data/suite-example.json");

fn example() -> Artefact {
    Artefact::from_json(EXAMPLE).unwrap()
}

fn loadgen(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_loadgen"));
    command.args(arguments).output().unwrap()
}

fn write(directory: &Path, name: &str, text: &str) -> PathBuf {
    let path = directory.join(name);
    std::fs::write(&path, text).unwrap();
    path
}

/// `tag` as often as it begins in `page`.
fn count(page: &str, tag: &str) -> usize {
    page.matches(tag).count()
}

#[test]
fn the_page_says_everything_and_the_same_each_time() {
    let page = suite::render(&[example()]).unwrap();
    assert_eq!(page, suite::render(&[example()]).unwrap());
    for part in [
        "Hits under CORS rules",
        "100,000 rules",
        "rules/exact-1000-last",
        "class=h",
        "What peers cannot do",
        "What failed",
        "A/A",
        "Who took part",
        "Configurations and commands",
        "Run it again",
        "prefers-color-scheme:dark",
    ] {
        assert!(page.contains(part), "{part} is not on the page");
    }
    // One rule count curve, one hit ratio curve, and the open loop's distributions.
    assert!(
        count(&page, "<svg ") >= 4,
        "{} plots",
        count(&page, "<svg ")
    );
    for tag in ["div", "table", "figure", "details", "pre", "svg"] {
        let opened = count(&page, &format!("<{tag}>")) + count(&page, &format!("<{tag} "));
        assert_eq!(opened, count(&page, &format!("</{tag}>")), "<{tag}>");
    }
    let outside = ["<script", "src=", "@import", "url("];
    assert!(
        !outside.iter().any(|word| page.contains(word)),
        "loads something"
    );
}

/// Beside the headline there is what else the closed loops found, and whose limit a rate is.
#[test]
fn rates_are_told_with_the_generators_share() {
    let mut artefact = example();
    let is_run = |scenario: &str, peer: &str| (scenario, peer) == ("rules/exact-1-last", "nginx");
    for run in &mut artefact.measurements {
        if is_run(&run.scenario, &run.peer) {
            run.generator_cpu_share = 0.95;
            run.hit_ratio = Some(0.5);
            (run.requests, run.received_bytes) = (2000, 3_000_000);
            run.upstream_requests = Some(900);
            (run.voluntary_switches, run.involuntary_switches) = (Some(100), Some(8));
        }
    }
    for summary in &mut artefact.summaries {
        if is_run(&summary.scenario, &summary.peer) {
            summary.server_cpu_us_per_request = 12.34;
            (summary.rate, summary.p99_us) = (54_321.4, 1_234.6);
        }
    }
    for trial in &mut artefact.trials {
        if is_run(&trial.scenario, &trial.peer) {
            trial.resident_bytes = Some(3 << 20);
        }
    }
    let page = suite::render(&[artefact]).unwrap();
    let row = "<tr><td>nginx<td>12.3<td>54,321<td>1,235<td>1,500<td>50 + 4<td>3.00 MiB<td>50 %\
               <td>55 %<td class=bad>95 %</tr>";
    assert_eq!(count(&page, row), 1, "{page}");
}

#[test]
fn what_others_wrote_stays_text() {
    const HOSTILE: &str = "</pre><script>alert('\"&')</script>";
    let mut artefact = example();
    for trial in &mut artefact.trials {
        trial.response_head = Some(HOSTILE.to_owned());
        trial.command.push(HOSTILE.to_owned());
        for file in &mut trial.config {
            HOSTILE.clone_into(&mut file.name);
        }
    }
    for text in &mut artefact.texts {
        HOSTILE.clone_into(text);
    }
    for peer in &mut artefact.peers {
        peer.version = Some(HOSTILE.to_owned());
        peer.program = Some(HOSTILE.to_owned());
    }
    for scenario in &mut artefact.scenarios {
        HOSTILE.clone_into(&mut scenario.title);
    }
    HOSTILE.clone_into(&mut artefact.machine.cpu_model);
    artefact
        .machine
        .mitigations
        .insert(HOSTILE.into(), HOSTILE.into());
    artefact.doubts.push(HOSTILE.to_owned());
    artefact.command.push(HOSTILE.to_owned());
    artefact.options.files.push(HOSTILE.to_owned());
    let page = suite::render(&[artefact]).unwrap();
    assert!(page.contains("&lt;/pre&gt;&lt;script&gt;"));
    assert!(!page.contains("<script") && !page.contains("</pre><script"));
}

#[test]
fn an_artefact_without_anything_is_still_a_page() {
    let mut artefact = example();
    artefact.peers.clear();
    artefact.scenarios.clear();
    artefact.trials.clear();
    artefact.measurements.clear();
    artefact.summaries.clear();
    artefact.knees.clear();
    artefact.open_points.clear();
    artefact.controls.clear();
    artefact.readable = false;
    let page = suite::render(std::slice::from_ref(&artefact)).unwrap();
    assert!(page.contains("NOT READABLE"), "{page}");
    assert!(tables::render(&artefact).contains("Not fit to be relied on"));
}

#[test]
fn the_tables_take_the_place_of_the_old_ones() {
    let artefact = example();
    let text = "before\n<!-- numbers -->\nold\n<!-- end of numbers -->\nafter\n";
    let once = tables::replace(text, &artefact, "benches/record/a.json").unwrap();
    assert!(
        once.starts_with("before\n<!-- numbers from benches/record/a.json: "),
        "{once}"
    );
    assert!(
        once.ends_with("\n<!-- end of numbers -->\nafter\n") && !once.contains("old"),
        "{once}"
    );
    assert!(
        once.contains("| nginx") && once.contains("100,000 rules"),
        "{once}"
    );
    assert_eq!(tables::source(&once), Ok(Some("benches/record/a.json")));
    assert_eq!(tables::source(text), Ok(None));
    assert_eq!(tables::source("no place"), Ok(None));
    let again = tables::replace(&once, &artefact, "benches/record/a.json").unwrap();
    assert_eq!(again, once);
    for no_place in [
        "",
        "<!-- numbers -->",
        "<!-- end of numbers --><!-- numbers -->",
    ] {
        let error = tables::replace(no_place, &artefact, "x").unwrap_err();
        assert_eq!(error, tables::PlaceError::NoPlace, "{no_place}");
    }
    let twice = format!("{text}{text}");
    let error = tables::replace(&twice, &artefact, "x").unwrap_err();
    assert_eq!(error, tables::PlaceError::SeveralPlaces);
}

/// A loss is in a table of its own, and in no other colour than that of losses on the page.
#[test]
fn losses_are_shown() {
    let mut artefact = example();
    for summary in &mut artefact.summaries {
        if summary.scenario == "rules/exact-1000-last" && summary.peer == "nginx" {
            let ratio = summary.to_corsair.as_mut().unwrap();
            ratio.rounds = vec![1.5, 1.51, 1.49, 1.52, 1.5, 1.48];
        }
    }
    let text = tables::render(&artefact);
    let losses = text
        .split("Losses, where a peer needs less")
        .nth(1)
        .unwrap();
    assert!(losses.contains("| `rules/exact-1000-last`"), "{text}");
    assert!(losses.contains("| nginx | 0.67 (0.66 – 0.68) |"), "{text}");
    assert!(
        suite::render(&[artefact])
            .unwrap()
            .contains("<td class=h0 ")
    );
}

/// The columns of the headline differ in the number of rules alone as far as the suite allows it.
#[test]
fn the_headline_asks_in_one_way() {
    let check = |of: &[(u32, Position)], expected: &[&str]| {
        let mut artefact = example();
        let pattern = artefact
            .scenarios
            .iter()
            .find(|scenario| scenario.name == "rules/exact-1000-last")
            .unwrap()
            .clone();
        artefact.scenarios.clear();
        for (rule_count, position) in of {
            let mut scenario = pattern.clone();
            scenario.name = format!("{rule_count}-{position:?}");
            (scenario.parameters.rule_count, scenario.parameters.position) =
                (*rule_count, *position);
            artefact.scenarios.push(scenario);
        }
        let text = tables::render(&artefact);
        let named: Vec<&str> = text
            .lines()
            .filter_map(|line| line.strip_prefix("- `")?.split('`').next())
            .collect();
        assert_eq!(named, expected, "{text}");
    };
    use Position::{Any, First, Last};
    check(
        &[(1, Last), (1_000, Last), (1_000, Any), (100_000, Last)],
        &["1-Last", "1000-Last", "100000-Last"],
    );
    check(
        &[(1, Last), (1, Any), (1_000, Last), (1_000, Any)],
        &["1-Any", "1000-Any"],
    );
    check(
        &[(1, Any), (1_000, Any), (1_000, Last)],
        &["1-Any", "1000-Any"],
    );
    check(
        &[(1, First), (1_000, Any), (1_000, Last)],
        &["1-First", "1000-Last"],
    );
    check(&[(7, Last)], &[]);
}

#[test]
fn doubts_and_the_commit_are_told() {
    let mut artefact = example();
    artefact.doubts = vec!["rules/exact-1-last: two equal programs differed by 9 %".to_owned()];
    artefact.project.commit = Some("0123456789abcdef0123".to_owned());
    artefact.project.modified = Some(true);
    let text = tables::render(&artefact);
    assert!(
        text.contains("\nIn doubt:\n\n- rules/exact-1-last: two equal programs differed by 9 %\n"),
        "{text}"
    );
    assert!(text.contains(", commit 0123456789ab, modified: "), "{text}");
    artefact.doubts.clear();
    artefact.project.commit = None;
    let text = tables::render(&artefact);
    assert!(text.contains("No scenario is in doubt."), "{text}");
    assert!(!text.contains("commit"), "{text}");
}

/// The README says what the record says. Without a place for the tables, or with nothing in it, there
/// is nothing to compare yet; with tables, there is no way round it.
#[test]
fn the_readme_has_the_numbers_of_its_record() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let readme = std::fs::read_to_string(root.join("README.md")).unwrap();
    let is_empty = readme.contains("<!-- numbers -->\n<!-- end of numbers -->\n");
    if is_empty || !readme.contains(tables::BEGIN) && !readme.contains(tables::END) {
        return;
    }
    let source = tables::source(&readme).unwrap();
    let source = source.expect("the marker names the record: run `loadgen report --readme`");
    let record = std::fs::read_to_string(root.join(source)).unwrap();
    let artefact = Artefact::from_json(&record).unwrap();
    let expected = tables::replace(&readme, &artefact, source).unwrap();
    assert!(
        readme == expected,
        "run: loadgen report --readme README.md {source}"
    );
}

#[test]
fn the_command_writes_page_and_readme() {
    let directory = tempfile::tempdir().unwrap();
    let artefact = write(directory.path(), "suite.json", EXAMPLE);
    let artefact = artefact.to_str().unwrap();
    let page = directory.path().join("report.html");
    let ran = loadgen(&["report", artefact, "-o", page.to_str().unwrap()]);
    assert!(ran.status.success(), "{ran:?}");
    let printed = loadgen(&["report", artefact]).stdout;
    assert_eq!(std::fs::read(&page).unwrap(), printed);
    let readme = write(
        directory.path(),
        "README.md",
        "<!-- numbers -->\n<!-- end of numbers -->\n",
    );
    let ran = loadgen(&["report", "--readme", readme.to_str().unwrap(), artefact]);
    assert!(ran.status.success(), "{ran:?}");
    let text = std::fs::read_to_string(&readme).unwrap();
    // Wherever it was run, the name is that from the text's own folder.
    assert_eq!(tables::source(&text), Ok(Some("suite.json")));
    let refused = |arguments: &[&str], expected: &str| {
        let ran = loadgen(arguments);
        let error = String::from_utf8_lossy(&ran.stderr).into_owned();
        assert_eq!(ran.status.code(), Some(2), "{error}");
        assert!(error.contains(expected), "{error}");
    };
    refused(&["report", page.to_str().unwrap()], "not a suite's result");
    refused(&["report", "nowhere.json"], "cannot read nowhere.json");
    let bare = write(directory.path(), "bare.md", "text");
    refused(
        &["report", "--readme", bare.to_str().unwrap(), artefact],
        "no place for the tables",
    );
}

fn slower_by(factor: f64) -> Artefact {
    let mut artefact = example();
    for run in &mut artefact.measurements {
        if run.peer == "corsair" && run.scenario == "rules/exact-1-last" {
            run.server_cpu_us_per_request = run.server_cpu_us_per_request.map(|us| us * factor);
        }
    }
    artefact
}

#[test]
fn suites_are_compared() {
    let check = |factor: f64, expected: Verdict| {
        let (before, after) = (example(), slower_by(factor));
        let compared = compare::suites(&before, &after, &[], &Bootstrap::default());
        for line in &compared.lines {
            let changed = line.name == "rules/exact-1-last";
            let expected = if changed {
                expected
            } else {
                Verdict::CannotTell
            };
            assert_eq!(line.verdict(0.02), expected, "{line:?}");
            let ratio = if changed { 1.0 / factor } else { 1.0 };
            assert!((line.ratio.median - ratio).abs() < 1e-9, "{line:?}");
        }
        assert_eq!(compared.lines.len(), example().scenarios.len());
    };
    check(1.0, Verdict::CannotTell);
    check(1.5, Verdict::Slower);
    check(0.5, Verdict::Faster);
    let mut fewer = example();
    fewer
        .measurements
        .retain(|run| run.scenario != "hit-ratio/0");
    let compared = compare::suites(&example(), &fewer, &[], &Bootstrap::default());
    assert_eq!(compared.only_before, ["hit-ratio/0"]);
    let named = ["nginx".to_owned()];
    let compared = compare::suites(&example(), &example(), &named, &Bootstrap::default());
    assert!(
        compared
            .lines
            .iter()
            .all(|line| line.name.ends_with(" (nginx)")),
        "{compared:?}"
    );
}

fn run(rate: f64, p99: f64) -> Run {
    let mut run: Run = serde_json::from_str(&run_text(0)).unwrap();
    (run.rate, run.latency_us.p99) = (rate, p99);
    run
}

/// The document of a run with so many wrong answers.
fn run_text(mismatches: u64) -> String {
    format!(
        r#"{{"version":1,"url":"http://x/","mode":"closed","connections":1,"depth":1,
        "target_rate":null,"valid":true,"requests":9000,"mismatches":{mismatches},"errors":0,
        "rate":1000.0,"client_cpu_us_per_request":5.0,
        "latency_us":{{"p50":10.0,"p90":20.0,"p99":30.0,"p999":50.0}}}}"#
    )
}

#[test]
fn runs_are_compared() {
    let before: Vec<Run> = (0..8).map(|n| run(1000.0 + f64::from(n), 30.0)).collect();
    let after: Vec<Run> = (0..8).map(|n| run(1200.0 + f64::from(n), 60.0)).collect();
    for pairing in [Pairing::None, Pairing::ByRound] {
        let compared = compare::runs(&before, &after, pairing, &Bootstrap::default());
        let verdict = |name: &str| {
            let line = compared
                .lines
                .iter()
                .find(|line| line.name == name)
                .unwrap();
            line.verdict(0.02)
        };
        assert_eq!(verdict("rate"), Verdict::Faster);
        assert_eq!(verdict("latency p99"), Verdict::Slower);
        assert_eq!(verdict("latency p50"), Verdict::CannotTell);
        let text = compare::markdown(&compared, 0.02);
        assert!(
            text.starts_with("**1 faster, 1 slower, 4 cannot be told**"),
            "{text}"
        );
    }
    let one = compare::runs(
        &before[..1],
        &after[..1],
        Pairing::None,
        &Bootstrap::default(),
    );
    assert!(
        one.lines
            .iter()
            .all(|line| line.verdict(0.02) == Verdict::CannotTell)
    );
    assert!(
        one.notes.iter().any(|note| note.contains("settle nothing")),
        "{:?}",
        one.notes
    );
}

#[test]
fn a_regression_is_an_exit_code() {
    let directory = tempfile::tempdir().unwrap();
    let before = write(directory.path(), "a.json", EXAMPLE);
    let after = write(directory.path(), "b.json", &slower_by(1.2).to_json());
    let (before, after) = (before.to_str().unwrap(), after.to_str().unwrap());
    let check = |flags: &[&str], code: i32| {
        let ran = loadgen(&[&["compare", before, after], flags].concat());
        assert_eq!(ran.status.code(), Some(code), "{flags:?}: {ran:?}");
        let text = String::from_utf8(ran.stdout).unwrap();
        assert!(
            text.contains("| rules/exact-1-last |") && text.contains("**slower**"),
            "{text}"
        );
    };
    check(&[], 0);
    check(&["--fail-on-regression", "30"], 0);
    check(&["--fail-on-regression", "5"], 1);
    let ran = loadgen(&["compare", before, "nowhere.json"]);
    assert_eq!(ran.status.code(), Some(2));
}

/// The example in which `peer` answered wrongly in one scenario, after some rounds that were right.
fn failing(scenario: &str, peer: &str) -> Artefact {
    let mut artefact = example();
    for trial in &mut artefact.trials {
        if trial.scenario == scenario && trial.peer == peer {
            let reason = "while it was timed: it lied".to_owned();
            trial.outcome = TrialOutcome::Failed { reason };
        }
    }
    artefact
}

#[test]
fn who_answers_wrongly_gets_no_number() {
    let scenario = "rules/exact-1000-last";
    let artefact = failing(scenario, "nginx");
    let measured = |run: &&Measurement| run.scenario == scenario && run.peer == "nginx";
    assert!(artefact.measurements.iter().any(|run| measured(&run)));
    let tables = tables::render(&artefact);
    let row = tables
        .lines()
        .find(|line| line.starts_with("| nginx"))
        .unwrap();
    assert!(row.contains("| failed |"), "{row}");
    let page = suite::render(std::slice::from_ref(&artefact)).unwrap();
    let rows = |page: &str| count(page, "<tr><td>nginx<td>");
    let whole = suite::render(&[example()]).unwrap();
    assert!(rows(&page) < rows(&whole), "its rates are still told");
    let nginx = ["nginx".to_owned()];
    let compared = compare::suites(&example(), &artefact, &nginx, &Bootstrap::default());
    assert_eq!(compared.broken, [format!("{scenario} (nginx)")]);
    // Without its base nothing is relative to it.
    let row = "| nginx";
    let tables = tables::render(&failing(scenario, "corsair"));
    let row = tables.lines().find(|line| line.starts_with(row)).unwrap();
    assert!(row.contains("| void |"), "{row}");
}

#[test]
fn what_was_lost_and_reloaded_is_told() {
    let mut artefact = example();
    let scenario = "rules/exact-1000-last";
    let is_it = |there: &str, peer: &str| (there, peer) == (scenario, "nginx");
    let mut runs = 0;
    for run in &mut artefact.measurements {
        if is_it(&run.scenario, &run.peer) {
            runs += 1;
            run.reloads = Some(Reloads {
                asked: 4,
                taken: Some(3),
            });
        }
    }
    for summary in &mut artefact.summaries {
        if is_it(&summary.scenario, &summary.peer) {
            summary.errors = 1792;
        }
    }
    let text = tables::render(&artefact);
    assert!(
        text.contains(&format!("- `{scenario}`: nginx lost 1,792\n")),
        "{text}"
    );
    assert!(!tables::render(&example()).contains("lost"));
    let page = suite::render(&[artefact]).unwrap();
    let (asked, taken) = (4 * runs, 3 * runs);
    let row = format!("<tr><td>{scenario}<td class=text>nginx<td>{asked}<td>{taken}</tr>");
    assert!(page.contains(&row), "{page}");
}

#[test]
fn what_is_no_longer_right_is_a_regression() {
    let directory = tempfile::tempdir().unwrap();
    let scenario = "rules/exact-1000-last";
    let before = write(directory.path(), "a.json", EXAMPLE);
    let failed = failing(scenario, "corsair").to_json();
    let after = write(directory.path(), "b.json", &failed);
    let mut fewer = example();
    fewer.scenarios.retain(|there| there.name != scenario);
    fewer.measurements.retain(|run| run.scenario != scenario);
    let fewer = write(directory.path(), "c.json", &fewer.to_json());
    let (good, bad) = (run_text(0), run_text(3000));
    let (good, bad) = (
        write(directory.path(), "good.json", &good),
        write(directory.path(), "bad.json", &bad),
    );
    let check = |before: &Path, after: &Path, flags: &[&str], code: i32, expected: &str| {
        let mut arguments = vec!["compare", before.to_str().unwrap(), after.to_str().unwrap()];
        arguments.extend(flags);
        let ran = loadgen(&arguments);
        let talk = String::from_utf8_lossy(&ran.stderr).into_owned();
        assert_eq!(ran.status.code(), Some(code), "{arguments:?}: {talk}");
        assert!(talk.contains(expected), "{arguments:?}: {talk}");
    };
    let gate: &[&str] = &["--fail-on-regression", "5"];
    check(&before, &after, &[], 0, "");
    check(&before, &after, gate, 1, scenario);
    check(&before, &before, gate, 0, "");
    // What the later suite did not ask for is not broken.
    check(&before, &fewer, gate, 0, "");
    check(&good, &bad, gate, 1, "no longer right");
    check(&bad, &good, gate, 0, "");
    check(&bad, &bad, gate, 0, "");
    check(
        &before,
        &before,
        &["--peer", "nginx", "--peer", "nobody"],
        2,
        "no peer `nobody`",
    );
    check(&good, &good, &["--peer", "nginx"], 2, "--peer");
}
