//! The suite's document: the example reads and is written back the same, its records name each
//! other, histograms survive, and what is not such a document is told apart.

use std::collections::BTreeSet;

use loadgen::suite::artefact::{
    ARTEFACT_VERSION, Artefact, ArtefactError, TrialOutcome, decode_histogram, encode_histogram,
};

const EXAMPLE: &str = include_str!("../data/suite-example.json");

#[test]
fn the_example_survives_reading_and_writing() {
    let artefact = Artefact::from_json(EXAMPLE).unwrap();
    assert_eq!(artefact.version, ARTEFACT_VERSION);
    // Written once, numbers have the digits they keep.
    let written = artefact.to_json();
    let again = Artefact::from_json(&written).unwrap();
    assert!(
        again.to_json() == written,
        "changes each time it is written"
    );
    assert_eq!(again.trials, artefact.trials);
    assert_eq!(again.measurements.len(), artefact.measurements.len());
    let records = artefact.trials.len() + artefact.measurements.len() + artefact.summaries.len();
    let lines = written
        .lines()
        .filter(|line| line.starts_with("  {\"scenario\""));
    assert!(lines.count() >= records, "a record is a line");
}

#[test]
fn records_of_the_example_name_each_other() {
    let artefact = Artefact::from_json(EXAMPLE).unwrap();
    let peers: BTreeSet<&str> = artefact.peers.iter().map(|peer| peer.id.as_str()).collect();
    let scenarios: BTreeSet<&str> = artefact.scenarios.iter().map(|s| s.name.as_str()).collect();
    assert_eq!(artefact.trials.len(), peers.len() * scenarios.len());
    for measurement in &artefact.measurements {
        let trial = artefact
            .trials
            .iter()
            .find(|t| t.scenario == measurement.scenario && t.peer == measurement.peer);
        assert_eq!(trial.map(|t| &t.outcome), Some(&TrialOutcome::Ran));
    }
    for point in &artefact.open_points {
        let latencies = decode_histogram(&point.histogram).unwrap();
        assert_eq!(latencies.len(), point.latency_us.count);
        let coarse = decode_histogram(&encode_histogram(&latencies)).unwrap();
        assert_eq!(coarse.len(), latencies.len());
        for quantile in [0.5, 0.99, 1.0] {
            let [fine, coarse] = [&latencies, &coarse].map(|all| all.value_at_quantile(quantile));
            assert!(fine.abs_diff(coarse) <= fine / 50, "{fine} and {coarse}");
        }
    }
    let files = artefact.trials.iter().flat_map(|trial| &trial.config);
    for file in files {
        assert!(!artefact.text_of(file).is_empty(), "{}", file.name);
    }
    for summary in &artefact.summaries {
        assert!(peers.contains(&*summary.peer) && scenarios.contains(&*summary.scenario));
    }
}

#[test]
fn other_documents_are_told_apart() {
    let check = |text: &str, expected: &str| {
        let error = Artefact::from_json(text).unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
    };
    check("", "not a suite's result");
    check("{}", "not the result");
    check(r#"{"version":1,"requests":5}"#, "not the result");
    check(r#"{"format":"loadgen-suite","version":3}"#, "version 3");
    check(r#"{"format":"loadgen-suite","version":1}"#, "version 1");
    check(r#"{"format":"loadgen-suite","version":2}"#, "missing field");
    let damaged = decode_histogram("AAAA");
    assert!(matches!(damaged, Err(ArtefactError::Histogram(_))));
}
