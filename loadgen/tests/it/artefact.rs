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
    let again = Artefact::from_json(&artefact.to_json()).unwrap();
    assert_eq!(again, artefact);
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
        let latencies = decode_histogram(&measurement.histogram).unwrap();
        assert_eq!(latencies.len(), measurement.latency_us.count);
        assert_eq!(encode_histogram(&latencies), measurement.histogram);
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
    check(r#"{"format":"loadgen-suite","version":2}"#, "version 2");
    check(r#"{"format":"loadgen-suite","version":1}"#, "missing field");
    let damaged = decode_histogram("AAAA");
    assert!(matches!(damaged, Err(ArtefactError::Histogram(_))));
}
