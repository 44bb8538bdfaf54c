//! The matrix: a row for each scenario, a column for each peer, coloured by the ratio.

use std::fmt::Write as _;

use super::view::{View, group_title, verdict};
use super::{grouped, peer_name};
use crate::ratio::{Ratio, Verdict};
use crate::report::page::escape;
use crate::suite::artefact::{Scenario, TrialOutcome};

/// Writes the matrix of all scenarios.
pub(super) fn write(page: &mut String, view: &View<'_>) -> std::fmt::Result {
    let rivals = view.rivals();
    write!(
        page,
        "<h2>All scenarios</h2><p>Corsair's requests per CPU-second as a ratio to each peer's. Blue: \
         Corsair needs less CPU time, orange: the peer does, grey: the interval does not tell. Below \
         the ratio its interval, which one round has not; first column: CPU time of Corsair for one \
         request.</p>\
         <div class=scroll><table class=heat><tr><th>scenario<th>Corsair"
    )?;
    for peer in &rivals {
        write!(page, "<th>{}", escape(peer_name(peer)))?;
    }
    write!(page, "</tr>")?;
    for group in view.groups() {
        let columns = rivals.len() + 2;
        write!(
            page,
            "<tr><th colspan={columns}>{}</tr>",
            group_title(group)
        )?;
        let scenarios = view.artefact.scenarios.iter();
        for scenario in scenarios.filter(|scenario| scenario.group == group) {
            write_row(page, view, scenario)?;
        }
    }
    write!(page, "</table></div>")
}

fn write_row(page: &mut String, view: &View<'_>, scenario: &Scenario) -> std::fmt::Result {
    let cost = view.subject_cost(&scenario.name);
    let cost = cost.map_or("–".to_owned(), |us| format!("{us:.1} µs"));
    let (name, title) = (escape(&scenario.name), escape(&scenario.title));
    // On a phone a name is cut behind its group before it is cut in a number.
    let name = name.replace('/', "/<wbr>");
    write!(page, "<tr><td title=\"{title}\">{name}<td>{cost}")?;
    for peer in view.rivals() {
        match view.advantage(&scenario.name, &peer.id) {
            None => {
                let (word, reason) = why_empty(view, &scenario.name, &peer.id);
                let (word, reason) = (escape(&word), escape(&reason));
                write!(
                    page,
                    "<td title=\"{reason}\"><span class=note>{word}</span>"
                )?;
            }
            Some(ratio) => write_cell(page, view, scenario, &peer.id, ratio)?,
        }
    }
    write!(page, "</tr>")
}

fn write_cell(
    page: &mut String,
    view: &View<'_>,
    scenario: &Scenario,
    peer: &str,
    ratio: Ratio,
) -> std::fmt::Result {
    let summary = view.summary(&scenario.name, peer);
    let hint = summary.map_or(String::new(), |summary| {
        format!(
            "{:.1} µs a request, {} rounds, {} mismatches, {} errors: {}",
            summary.server_cpu_us_per_request,
            summary.rounds,
            grouped(summary.mismatches),
            grouped(summary.errors),
            verdict(ratio)
        )
    });
    let Ratio {
        median,
        low,
        high,
        rounds,
    } = ratio;
    let (hint, step) = (escape(&hint), step(ratio));
    write!(page, "<td class=h{step} title=\"{hint}\">{median:.2}")?;
    if rounds > 1 {
        write!(page, "<small>{low:.2} – {high:.2}</small>")?;
    }
    Ok(())
}

/// Which colour of the style sheet: 0 and 1 for losses, 2 for what cannot be told, 3 to 5.
fn step(ratio: Ratio) -> u8 {
    match (verdict(ratio), ratio.median) {
        (Verdict::CannotTell, _) => 2,
        (Verdict::Slower, median) if median < 0.8 => 0,
        (Verdict::Slower, _) => 1,
        (Verdict::Faster, median) if median < 1.5 => 3,
        (Verdict::Faster, median) if median < 3.0 => 4,
        (Verdict::Faster, _) => 5,
    }
}

/// Why there is no ratio: in a word, and in full.
pub(super) fn why_empty(view: &View<'_>, scenario: &str, peer: &str) -> (String, String) {
    let Some(trial) = view.trial(scenario, peer) else {
        return ("–".to_owned(), "was not tried".to_owned());
    };
    let (word, reason) = match &trial.outcome {
        TrialOutcome::Ran => (
            "void",
            "no round counts, or none of Corsair's does".to_owned(),
        ),
        TrialOutcome::Missing { install } => ("missing", install.clone()),
        TrialOutcome::CannotDoThis { reason } => ("cannot", reason.clone()),
        TrialOutcome::Failed { reason } => ("failed", reason.clone()),
        TrialOutcome::Skipped { reason } => ("–", reason.clone()),
    };
    (word.to_owned(), reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_follow_the_verdict() {
        let check = |low: f64, median: f64, high: f64, expected: u8| {
            let ratio = Ratio {
                median,
                low,
                high,
                rounds: 8,
            };
            assert_eq!(step(ratio), expected, "{ratio}");
        };
        check(0.5, 0.6, 0.7, 0);
        check(0.85, 0.9, 0.95, 1);
        check(0.9, 1.0, 1.1, 2);
        check(0.9, 4.0, 9.0, 2);
        check(1.1, 1.2, 1.3, 3);
        check(1.9, 2.0, 2.1, 4);
        check(3.0, 4.0, 5.0, 5);
    }
}
