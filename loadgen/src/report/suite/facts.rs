//! What a sceptic asks for: controls and void rounds, the machine, commands, who the peers are,
//! how they were configured, and what they cannot do.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::view::{View, as_ratio};
use super::{grouped, peer_name};
use crate::report::human_bytes;
use crate::report::page::{escape, shell_word};
use crate::suite::artefact::{Artefact, Control, Machine, PeerStatus, Trial, TrialOutcome};

/// Writes everything that is not a result.
pub(super) fn write(page: &mut String, view: &View<'_>) -> std::fmt::Result {
    write_validity(page, view.artefact)?;
    write_lost(page, view.artefact)?;
    write_reloads(page, view.artefact)?;
    write_outcomes(page, view.artefact)?;
    write_machine(page, view.artefact)?;
    write_peers(page, view.artefact)?;
    write_configs(page, view.artefact)?;
    let command: Vec<String> = view
        .artefact
        .command
        .iter()
        .map(|w| shell_word(w))
        .collect();
    write!(
        page,
        "<h2>Run it again</h2><pre>{}</pre><p class=note>loadgen {}, {} to {}, seed {}</p>",
        escape(&command.join(" ")),
        escape(&view.artefact.loadgen),
        escape(&view.artefact.started_at),
        escape(&view.artefact.finished_at),
        view.artefact.options.seed
    )
}

fn write_validity(page: &mut String, artefact: &Artefact) -> std::fmt::Result {
    let (mut mismatches, mut errors, mut void, mut stolen) = (0, 0, 0, 0.0_f64);
    for run in &artefact.measurements {
        mismatches += run.mismatches;
        errors += run.errors;
        void += u64::from(run.void.is_some());
        stolen = stolen.max(run.stolen_share);
    }
    let tiles = [
        ("runs", grouped(artefact.measurements.len() as u64)),
        ("of them void", grouped(void)),
        ("wrong answers", grouped(mismatches)),
        ("lost requests", grouped(errors)),
        ("most stolen time", format!("{:.1} %", 100.0 * stolen)),
    ];
    write!(page, "<h2>Validity</h2><div class=tiles>")?;
    for (name, value) in tiles {
        write!(page, "<div><b>{value}</b><span>{name}</span></div>")?;
    }
    write!(
        page,
        "</div><p>A/A: the same program and configuration twice; its ratio should be 1. Null: how far \
         the fixed server moved between rounds, lowest and highest round against the median.</p>\
         <div class=scroll><table><tr><th>scenario<th>A/A<th>null<th class=text>void rounds</tr>"
    )?;
    for control in &artefact.controls {
        write_control(page, control)?;
    }
    write!(page, "</table></div>")
}

fn write_control(page: &mut String, control: &Control) -> std::fmt::Result {
    let same = control
        .same
        .as_ref()
        .map_or("–".to_owned(), |same| format!("{:.2}", as_ratio(same)));
    let low = control
        .null_drift
        .iter()
        .copied()
        .fold(f64::INFINITY, f64::min);
    let high = control
        .null_drift
        .iter()
        .copied()
        .fold(f64::NEG_INFINITY, f64::max);
    let drift = if low <= high {
        format!("{low:.2} – {high:.2}")
    } else {
        "–".to_owned()
    };
    let void: Vec<String> = control
        .void_rounds
        .iter()
        .map(|void| format!("{}: {}", void.round, escape(&void.reason)))
        .collect();
    write!(
        page,
        "<tr><td>{}<td>{same}<td>{drift}<td class=\"text wide\">{}</tr>",
        escape(&control.scenario),
        if void.is_empty() {
            "none".to_owned()
        } else {
            void.join("<br>")
        }
    )
}

/// Requests of the runs with losses, and the losses by kind.
type Lost<'a> = (u64, BTreeMap<&'a str, u64>);

/// Whose requests were lost or answered wrongly, where and how.
fn write_lost(page: &mut String, artefact: &Artefact) -> std::fmt::Result {
    let mut lost: BTreeMap<(&str, &str), Lost<'_>> = BTreeMap::new();
    for run in &artefact.measurements {
        if run.errors + run.mismatches == 0 {
            continue;
        }
        let (requests, kinds) = lost.entry((&run.scenario, &run.peer)).or_default();
        *requests += run.requests + run.errors;
        for (kind, count) in &run.errors_by_kind {
            *kinds.entry(kind).or_default() += count;
        }
        if run.mismatches > 0 {
            *kinds.entry("wrong answer").or_default() += run.mismatches;
        }
    }
    if lost.is_empty() {
        return Ok(());
    }
    write!(
        page,
        "<h2>What was lost</h2><p>In runs with losses. Connections may be lost where the scenario makes \
         servers come and go; elsewhere a run with a loss is void.</p><div class=scroll><table>\
         <tr><th>scenario<th class=text>peer<th>requests<th class=text>of these</tr>"
    )?;
    for ((scenario, peer), (requests, kinds)) in lost {
        let kinds = kinds.into_iter();
        let kinds: Vec<String> = kinds
            .map(|(kind, count)| format!("{kind} {}", grouped(count)))
            .collect();
        write!(
            page,
            "<tr><td>{}<td class=text>{}<td>{}<td class=\"text wide\">{}</tr>",
            escape(scenario),
            escape(peer),
            grouped(requests),
            escape(&kinds.join(", "))
        )?;
    }
    write!(page, "</table></div>")
}

/// How many reloads were asked for, and how many were done.
fn write_reloads(page: &mut String, artefact: &Artefact) -> std::fmt::Result {
    let mut counts: BTreeMap<(&str, &str), (u64, Option<u64>)> = BTreeMap::new();
    for run in &artefact.measurements {
        if let Some(reloads) = run.reloads {
            let sum = counts
                .entry((&run.scenario, &run.peer))
                .or_insert((0, Some(0)));
            sum.0 += reloads.asked;
            sum.1 = sum.1.zip(reloads.taken).map(|(all, own)| all + own);
        }
    }
    if counts.is_empty() {
        return Ok(());
    }
    write!(
        page,
        "<h2>Reloads</h2><p>In all runs. Each server reloaded once before it was timed, and said so. A \
         server that is asked while it reloads may do both at once.</p><div class=scroll><table>\
         <tr><th>scenario<th class=text>peer<th>asked for<th>done</tr>"
    )?;
    for ((scenario, peer), (asked, taken)) in counts {
        write!(
            page,
            "<tr><td>{}<td class=text>{}<td>{}<td>{}</tr>",
            escape(scenario),
            escape(peer),
            grouped(asked),
            taken.map_or("–".to_owned(), grouped)
        )?;
    }
    write!(page, "</table></div>")
}

/// A kind of outcome: its heading, and the reason when an outcome is of it.
type OutcomeKind = (&'static str, fn(&TrialOutcome) -> Option<&str>);

/// Who was not timed, and why, with the scenarios it holds for.
fn write_outcomes(page: &mut String, artefact: &Artefact) -> std::fmt::Result {
    let kinds: [OutcomeKind; 3] = [
        ("What peers cannot do", |outcome| match outcome {
            TrialOutcome::CannotDoThis { reason } => Some(reason),
            TrialOutcome::Ran
            | TrialOutcome::Missing { .. }
            | TrialOutcome::Failed { .. }
            | TrialOutcome::Skipped { .. } => None,
        }),
        ("What failed", |outcome| match outcome {
            TrialOutcome::Failed { reason } => Some(reason),
            TrialOutcome::Ran
            | TrialOutcome::Missing { .. }
            | TrialOutcome::CannotDoThis { .. }
            | TrialOutcome::Skipped { .. } => None,
        }),
        ("What was left out", |outcome| match outcome {
            TrialOutcome::Skipped { reason } => Some(reason),
            TrialOutcome::Ran
            | TrialOutcome::Missing { .. }
            | TrialOutcome::CannotDoThis { .. }
            | TrialOutcome::Failed { .. } => None,
        }),
    ];
    for (title, reason_of) in kinds {
        let mut scenarios_of: BTreeMap<(&str, &str), Vec<&str>> = BTreeMap::new();
        for trial in &artefact.trials {
            if let Some(reason) = reason_of(&trial.outcome) {
                let key = (reason, trial.peer.as_str());
                scenarios_of.entry(key).or_default().push(&trial.scenario);
            }
        }
        if scenarios_of.is_empty() {
            continue;
        }
        // What held for several in the same places is told once.
        let mut peers_of: BTreeMap<(&str, Vec<&str>), Vec<&str>> = BTreeMap::new();
        for ((reason, peer), scenarios) in scenarios_of {
            peers_of.entry((reason, scenarios)).or_default().push(peer);
        }
        write!(
            page,
            "<h2>{title}</h2><div class=scroll><table><tr><th>peer"
        )?;
        write!(page, "<th class=text>why<th class=text>where</tr>")?;
        for ((reason, scenarios), peers) in peers_of {
            let (peers, reason) = (escape(&peers.join(", ")), escape(reason));
            let scenarios = escape(&scenarios.join(", "));
            write!(page, "<tr><td>{peers}<td class=\"text wide\">{reason}")?;
            write!(page, "<td class=\"text wide\">{scenarios}</tr>")?;
        }
        write!(page, "</table></div>")?;
    }
    Ok(())
}

fn write_machine(page: &mut String, artefact: &Artefact) -> std::fmt::Result {
    let Machine {
        kernel,
        system,
        cpu_model,
        cpus,
        virtual_machine,
        smt,
        governor,
        memory_bytes,
        nofile,
        memlock_bytes,
        somaxconn,
        io_uring_disabled,
        mitigations,
        load_1m,
        generator_driver,
        scratch,
    } = &artefact.machine;
    let known = |value: Option<String>| value.unwrap_or_else(|| "unknown".to_owned());
    let kind = if *virtual_machine {
        "virtual"
    } else {
        "bare metal"
    };
    let options = &artefact.options;
    let rows = [
        ("CPU", format!("{cpus} × {cpu_model}, {kind}")),
        (
            "two threads a core",
            known(smt.map(|smt| if smt { "yes" } else { "no" }.to_owned())),
        ),
        (
            "frequency governor",
            governor.clone().unwrap_or_else(|| "none".to_owned()),
        ),
        (
            "memory",
            human_bytes(crate::report::plot::number(*memory_bytes)),
        ),
        ("system", format!("{system}, {kernel}")),
        ("open files", known(nofile.map(grouped))),
        (
            "locked memory",
            memlock_bytes.map_or("unlimited".to_owned(), |bytes| {
                human_bytes(crate::report::plot::number(bytes))
            }),
        ),
        ("net.core.somaxconn", known(somaxconn.map(grouped))),
        (
            "kernel.io_uring_disabled",
            known(io_uring_disabled.map(grouped)),
        ),
        ("load when it began", format!("{load_1m:.2}")),
        ("servers on CPU", options.server_cpu.to_string()),
        (
            "generator and upstream on CPU",
            options.client_cpu.to_string(),
        ),
        ("generator waits with", generator_driver.clone()),
        ("peers' files on", known(scratch.clone())),
    ];
    write!(page, "<h2>The machine</h2><div class=scroll><table>")?;
    for (name, value) in rows {
        write!(page, "<tr><td>{name}<td class=text>{}</tr>", escape(&value))?;
    }
    write!(page, "</table></div>")?;
    write_mitigations(page, mitigations)
}

fn write_mitigations(
    page: &mut String,
    mitigations: &BTreeMap<String, String>,
) -> std::fmt::Result {
    write!(
        page,
        "<details><summary>CPU weaknesses and what the kernel does</summary>\
         <div class=scroll><table>"
    )?;
    for (name, value) in mitigations {
        write!(
            page,
            "<tr><td>{}<td class=text>{}</tr>",
            escape(name),
            escape(value)
        )?;
    }
    write!(page, "</table></div></details>")
}

fn write_peers(page: &mut String, artefact: &Artefact) -> std::fmt::Result {
    write!(
        page,
        "<h2>Who took part</h2><div class=scroll><table><tr><th>peer<th class=text>version\
         <th class=text>program, SHA-256</tr>"
    )?;
    for peer in &artefact.peers {
        let version = match &peer.status {
            PeerStatus::Ran => peer.version.clone().unwrap_or_default(),
            PeerStatus::Missing { install } => format!("missing: {install}"),
        };
        write!(
            page,
            "<tr><td>{}<td class=\"text wide\">{}<td class=\"text wide\"><code>{} {}</code></tr>",
            escape(peer_name(peer)),
            escape(&version),
            escape(peer.program.as_deref().unwrap_or_default()),
            escape(peer.program_sha256.as_deref().unwrap_or_default())
        )?;
    }
    write!(page, "</table></div>")
}

/// Trials of a peer that had the same configuration are told once.
fn write_configs(page: &mut String, artefact: &Artefact) -> std::fmt::Result {
    write!(
        page,
        "<h2>Configurations and commands</h2><p>As they were started; long lists are cut in the \
         middle. DIR and the ports differ from trial to trial.</p>"
    )?;
    for peer in &artefact.peers {
        let trials = artefact.trials.iter();
        let mut groups: Vec<(&Trial, Vec<&str>)> = Vec::new();
        for trial in trials.filter(|trial| trial.peer == peer.id && !trial.command.is_empty()) {
            match groups
                .iter_mut()
                .find(|(first, _)| first.config == trial.config)
            {
                Some((_, scenarios)) => scenarios.push(&trial.scenario),
                None => groups.push((trial, vec![&trial.scenario])),
            }
        }
        for (trial, scenarios) in groups {
            write_config(page, artefact, trial, &scenarios)?;
        }
    }
    Ok(())
}

fn write_config(
    page: &mut String,
    artefact: &Artefact,
    trial: &Trial,
    scenarios: &[&str],
) -> std::fmt::Result {
    let command: Vec<String> = trial.command.iter().map(|word| shell_word(word)).collect();
    write!(
        page,
        "<details><summary><b>{}</b> in {}</summary><pre>{}</pre>",
        escape(&trial.peer),
        escape(&scenarios.join(", ")),
        escape(&command.join(" "))
    )?;
    for file in &trial.config {
        let (name, text) = (escape(&file.name), escape(artefact.text_of(file)));
        write!(page, "<h3>{name}</h3><pre>{text}</pre>")?;
        if file.lines_cut > 0 {
            let lines = grouped(file.lines_cut as u64);
            write!(page, "<p class=note>{lines} lines cut out</p>")?;
        }
    }
    if let Some(head) = &trial.response_head {
        write!(page, "<h3>An answer's head</h3><pre>{}</pre>", escape(head))?;
    }
    write!(page, "</details>")
}
