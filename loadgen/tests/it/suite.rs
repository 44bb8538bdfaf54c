//! `loadgen suite`: every file in `benches/` is read, every template renders, and a tiny suite of
//! null servers leaves an artefact of the right shape. Nothing here depends on how long a thing took.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use loadgen::suite::artefact::{Artefact, Role, TrialOutcome};
use loadgen::suite::peer::{Contestant, Place};
use loadgen::suite::scenario;

fn benches() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../benches")
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    found.sort();
    found
}

#[test]
fn every_scenario_file_is_read_and_names_peers_that_are_there() {
    for path in entries(&benches().join("scenarios")) {
        let file = scenario::read(&path).unwrap_or_else(|error| panic!("{error}"));
        for planned in &file.scenarios {
            let named = planned.peers.iter().flatten().chain(&file.peers);
            for peer in named {
                Contestant::find(peer, &benches().join("peers")).unwrap();
            }
        }
    }
}

#[test]
fn every_peer_renders_every_shape_of_rules() {
    let text = r#"
        peers = []
        [[scenario]]
        group = "rules"
        rules = ["none", "exact", "suffix", "star-anywhere", "mixed"]
        rule_count = 7
        operations = [0, 3]
        [[scenario]]
        group = "storm"
        storm = "brown-out"
    "#;
    let file = scenario::parse(text, Path::new("shapes.toml")).unwrap();
    for folder in entries(&benches().join("peers")) {
        let name = folder.file_name().unwrap().to_str().unwrap().to_owned();
        let peer = Contestant::find(&name, &benches().join("peers")).unwrap();
        for planned in &file.scenarios {
            let scratch = tempfile::tempdir().unwrap();
            let place = Place {
                folder: scratch.path().to_owned(),
                port: 10_001,
                spare_port: 10_002,
                upstream_port: 10_003,
            };
            let parameters = &planned.scenario.parameters;
            peer.cannot(parameters).unwrap();
            let prepared = peer
                .prepare(parameters, &place)
                .unwrap_or_else(|error| panic!("{name}, {}: {error:#}", planned.scenario.name));
            let all = format!("{:?} {:?}", prepared.command, prepared.config);
            assert!(all.contains("10001"), "{name} does not listen on its port");
            if peer.role == Role::Peer && parameters.operations == 3 {
                assert!(all.contains("X-Bench-2"), "{name} leaves out an operation");
            }
        }
    }
}

/// A peer that is a null server; `lines` are added to its description.
fn write_peer(folder: &Path, name: &str, role: &str, program: &str, size: &str, lines: &str) {
    let folder = folder.join(name);
    fs::create_dir_all(&folder).unwrap();
    let text = format!(
        "role = \"{role}\"\nprogram = \"{program}\"\ninstall = \"apt-get install {name}\"\n\
         version = [\"--version\"]\nstart = [\"serve-null\", \"--driver=epoll\", \
         \"--listen=127.0.0.1:{{{{ port }}}}\", \"--size={size}\"]\n{lines}\n"
    );
    fs::write(folder.join("peer.toml"), text).unwrap();
}

#[test]
fn a_tiny_suite_leaves_an_artefact() {
    let scratch = tempfile::tempdir().unwrap();
    let peers = scratch.path().join("peers");
    let size = "{{ body_bytes }}";
    write_peer(&peers, "null", "null", "loadgen", size, "");
    write_peer(&peers, "node", "subject", "loadgen", size, "");
    write_peer(&peers, "wrong", "peer", "loadgen", "3", "");
    write_peer(&peers, "absent", "peer", "no-such-program-here", size, "");
    let cannot = "cannot = [{ when = \"body_bytes == 100\", reason = \"too much\" }]";
    write_peer(&peers, "unable", "peer", "loadgen", size, cannot);
    let scenarios = scratch.path().join("tiny.toml");
    let text = "warmup = \"50ms\"\nrounds = 9\n\
                peers = [\"null\", \"node\", \"node#2\", \"wrong\", \"absent\", \"unable\"]\n\
                [[scenario]]\ngroup = \"body\"\nrules = \"none\"\noperations = 0\n\
                body_bytes = 100\nconnections = 2\nopen_loop = true\n\
                [[scenario]]\ngroup = \"body\"\nbody_bytes = 5\n";
    fs::write(&scenarios, text).unwrap();
    let out = scratch.path().join("out.json");
    let output = Command::new(env!("CARGO_BIN_EXE_loadgen"))
        .arg("suite")
        .arg(&scenarios)
        .args([
            "--rounds",
            "2",
            "--seconds",
            "0.2",
            "--only",
            "body100",
            "--max-steal",
            "100",
        ])
        .arg("--peers-folder")
        .arg(&peers)
        .arg("--out")
        .arg(&out)
        .output()
        .unwrap();
    let talk = String::from_utf8_lossy(&output.stderr);
    // 4: measured, but a debug build or a moving machine put it in doubt.
    assert!(matches!(output.status.code(), Some(0 | 4)), "{talk}");
    assert!(talk.contains("apt-get install absent"), "{talk}");
    let artefact = Artefact::from_json(&fs::read_to_string(&out).unwrap()).unwrap();
    assert_eq!(artefact.scenarios.len(), 1);
    let trials: BTreeMap<&str, &TrialOutcome> = artefact
        .trials
        .iter()
        .map(|trial| (trial.peer.as_str(), &trial.outcome))
        .collect();
    assert_eq!(trials.len(), 6);
    for ran in ["null", "node", "node#2"] {
        assert_eq!(trials[ran], &TrialOutcome::Ran, "{ran}");
        let rounds = artefact.measurements.iter().filter(|m| m.peer == ran);
        assert_eq!(rounds.map(|m| m.round).collect::<Vec<_>>(), [1, 2], "{ran}");
        assert!(
            artefact
                .knees
                .iter()
                .any(|knee| knee.peer == ran && !knee.steps.is_empty())
        );
    }
    let reason = "too much".to_owned();
    assert_eq!(trials["unable"], &TrialOutcome::CannotDoThis { reason });
    assert!(matches!(trials["absent"], TrialOutcome::Missing { .. }));
    assert!(matches!(trials["wrong"], TrialOutcome::Failed { reason } if reason.contains("body")));
    for measured in &artefact.measurements {
        assert!(measured.requests > 0 && measured.mismatches + measured.errors == 0);
        assert!(measured.latency_us.p50 > 0.0 && measured.server_cpu_s >= 0.0);
    }
    let control = &artefact.controls[0];
    assert_eq!(control.same.as_ref().map(|same| same.rounds.len()), Some(2));
    assert_eq!(artefact.summaries.len(), 3);
    assert!(
        artefact
            .summaries
            .iter()
            .all(|s| s.to_null.is_some() && s.to_corsair.is_some())
    );
    let page = fs::read_to_string(out.with_extension("html")).unwrap();
    assert!(page.contains("body/no-rules-body100-c2-ops0"));
    let table = String::from_utf8_lossy(&output.stdout);
    assert!(
        table.contains("| body/no-rules-body100-c2-ops0 | node |"),
        "{table}"
    );
}

/// Runs end all they began: a long suite needs no more descriptors than a short one. What is wrong
/// with one scenario is told of it, and the others are kept.
#[test]
fn a_long_suite_needs_few_descriptors_and_survives_a_scenario() {
    let scratch = tempfile::tempdir().unwrap();
    let peers = scratch.path().join("peers");
    write_peer(&peers, "null", "null", "loadgen", "{{ body_bytes }}", "");
    let wrong = "cannot = [{ when = \"1 // (body_bytes - 9) > 1\", reason = \"never\" }]";
    write_peer(
        &peers,
        "node",
        "subject",
        "loadgen",
        "{{ body_bytes }}",
        wrong,
    );
    let scenarios = scratch.path().join("long.toml");
    let text = "run = \"20ms\"\nwarmup = \"20ms\"\nrounds = 2\npeers = [\"null\", \"node\"]\n\
                [[scenario]]\ngroup = \"body\"\nrules = \"none\"\noperations = 0\nconnections = 2\n\
                body_bytes = [0, 1, 2, 9, 10]\n";
    fs::write(&scenarios, text).unwrap();
    let out = scratch.path().join("out.json");
    // Each leaked ring would take five and more; there are more than thirty runs.
    let script = "ulimit -n 64 && exec \"$0\" suite \"$1\" --peers-folder \"$2\" --out \"$3\" \
                  --max-steal 100";
    let output = Command::new("sh")
        .args(["-c", script, env!("CARGO_BIN_EXE_loadgen")])
        .args([&scenarios, &peers, &out])
        .output()
        .unwrap();
    let talk = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(4), "{talk}");
    let artefact = Artefact::from_json(&fs::read_to_string(&out).unwrap()).unwrap();
    for trial in &artefact.trials {
        let skipped = matches!(&trial.outcome, TrialOutcome::Skipped { reason }
            if reason.starts_with("it could not be run: "));
        let is_wrong = trial.scenario.contains("body9");
        assert_eq!(skipped, is_wrong, "{trial:?}");
        assert!(is_wrong || trial.outcome == TrialOutcome::Ran, "{trial:?}");
    }
    assert_eq!(artefact.trials.len(), 10);
    let told = |doubt: &&String| doubt.contains("body9") && doubt.contains("could not be run");
    assert_eq!(artefact.doubts.iter().filter(told).count(), 1);
}

#[test]
fn what_cannot_be_run_is_said() {
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("bad.toml");
    let check = |text: &str, flags: &[&str], expected: &str| {
        fs::write(&path, text).unwrap();
        let output = Command::new(env!("CARGO_BIN_EXE_loadgen"))
            .arg("suite")
            .arg(&path)
            .args(flags)
            .output()
            .unwrap();
        let talk = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{talk}");
        assert!(talk.contains(expected), "{talk}");
    };
    let good = "peers = [\"nobody\"]\n[[scenario]]\ngroup = \"rules\"\n";
    check("peers = 3", &[], "invalid type");
    check(good, &[], "no peer `nobody`");
    check(good, &["--only", "body"], "no scenario's name");
    check(
        good,
        &["--peers", "nobody@/bin/true"],
        "give another program a label",
    );
    check(
        good,
        &["--rounds", "0", "--peers", "nobody"],
        "no peer `nobody`",
    );
}

/// The subject once more is the control; anybody else once more is one more of its kind.
#[test]
fn the_same_once_more_keeps_its_part() {
    let check = |text: &str, expected: Role| {
        let found = Contestant::find(text, &benches().join("peers")).unwrap();
        assert_eq!(
            (found.role, &*found.id),
            (expected, text.split('@').next().unwrap())
        );
    };
    check("corsair", Role::Subject);
    check("corsair#2", Role::Same);
    check("corsair:old@/bin/sh", Role::Peer);
    check("corsair:old#2@/bin/sh", Role::Peer);
    check("nginx#2", Role::Peer);
    check("null-epoll#2", Role::Null);
}

/// A node that cannot be measured puts the session in doubt, whoever else could.
#[test]
fn a_subject_that_fails_is_in_doubt() {
    let scratch = tempfile::tempdir().unwrap();
    let peers = scratch.path().join("peers");
    write_peer(&peers, "null", "null", "loadgen", "{{ body_bytes }}", "");
    write_peer(&peers, "node", "subject", "loadgen", "3", "");
    let scenarios = scratch.path().join("s.toml");
    let text = "run = \"20ms\"\nwarmup = \"20ms\"\nrounds = 3\npeers = [\"null\", \"node\"]\n\
                [[scenario]]\ngroup = \"body\"\nrules = \"none\"\noperations = 0\n\
                connections = 2\nbody_bytes = 5\n";
    fs::write(&scenarios, text).unwrap();
    let check = |flags: &[&str], expected: &str| {
        let out = scratch.path().join("out.json");
        let output = Command::new(env!("CARGO_BIN_EXE_loadgen"))
            .arg("suite")
            .arg(&scenarios)
            .args(["--max-steal", "100", "--peers-folder"])
            .arg(&peers)
            .arg("--out")
            .arg(&out)
            .args(flags)
            .output()
            .unwrap();
        let talk = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(4), "{talk}");
        assert!(talk.contains(expected), "{talk}");
        let artefact = Artefact::from_json(&fs::read_to_string(&out).unwrap()).unwrap();
        assert!(!artefact.readable && artefact.machine.scratch.is_some());
        assert!(
            artefact
                .summaries
                .iter()
                .all(|summary| summary.peer != "node")
        );
    };
    check(&[], "in doubt: body/no-rules-body5-c2-ops0: node failed: ");
    check(&["--peers", "node"], "in doubt: nothing was measured");
}

/// What is measured is in the file once its scenario is done, whatever becomes of the suite; and a
/// server that is told to reload has to show that it does.
#[test]
fn the_artefact_grows_and_reloads_are_proved() {
    let scratch = tempfile::tempdir().unwrap();
    let (peers, out) = (
        scratch.path().join("peers"),
        scratch.path().join("out.json"),
    );
    let node = |name: &str, role: &str, lines: &str| {
        write_peer(&peers, name, role, "loadgen", "{{ body_bytes }}", lines);
    };
    node("null", "null", "");
    // Reloads nothing, and says that it did.
    node("node", "subject", "reload = [\"true\"]");
    node("mute", "peer", "reload = \"USR1\"");
    // Its second scenario looks whether the first one is there.
    let kept = format!(
        "prepare = [[\"sh\", \"-c\", \"[ {{{{ body_bytes }}}} = 5 ] || cp {} {}\"]]",
        out.display(),
        scratch.path().join("kept.json").display()
    );
    node("witness", "peer", &kept);
    let scenarios = scratch.path().join("s.toml");
    let text = "run = \"600ms\"\nwarmup = \"20ms\"\nrounds = 1\n\
                peers = [\"null\", \"node\", \"mute\", \"witness\"]\n\
                [[scenario]]\ngroup = \"reload\"\nstorm = \"reload\"\nrules = \"none\"\n\
                operations = 0\nconnections = 2\nbody_bytes = 5\n\
                [[scenario]]\ngroup = \"body\"\nrules = \"none\"\noperations = 0\n\
                connections = 2\nbody_bytes = 6\n";
    fs::write(&scenarios, text).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_loadgen"))
        .arg("suite")
        .arg(&scenarios)
        .args(["--max-steal", "100", "--peers-folder"])
        .arg(&peers)
        .arg("--out")
        .arg(&out)
        .output()
        .unwrap();
    let talk = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(4), "{talk}");
    let read = |path: &Path| Artefact::from_json(&fs::read_to_string(path).unwrap()).unwrap();
    let (whole, kept) = (read(&out), read(&scratch.path().join("kept.json")));
    assert!(kept.interrupted && !kept.readable && !whole.interrupted);
    let first = whole.measurements.iter();
    let first = first.filter(|run| run.scenario == whole.scenarios[0].name);
    assert_eq!(kept.measurements.len(), first.clone().count());
    for run in first {
        let reloads = run
            .reloads
            .map(|reloads| Some(reloads.asked) == reloads.taken);
        let expected = (run.peer == "node").then_some(true);
        assert_eq!(reloads, expected, "{run:?}");
    }
    let trial = |peer: &str| {
        let mut trials = whole.trials.iter();
        let trial = trials.find(|trial| trial.peer == peer).unwrap();
        format!("{:?}", trial.outcome)
    };
    assert!(
        trial("mute").contains("does not say how a reload shows"),
        "{talk}"
    );
    assert!(
        trial("witness").contains("no way to reload is known"),
        "{talk}"
    );
}
