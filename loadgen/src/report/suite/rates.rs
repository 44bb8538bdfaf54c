//! What the closed loops of each scenario found besides the headline: rate, latency, memory, hits,
//! and how busy the generator was, which says whose rate it is.
//!
//! Medians of the runs that count, as the headline is.

use std::fmt::Write as _;

use super::view::View;
use super::{grouped, peer_name};
use crate::report::page::escape;
use crate::report::{human_bytes, plot};
use crate::suite::artefact::{Measurement, Peer, Scenario};
use crate::suite::statistics::median;

/// CPU use of the generator, as a share of one CPU, above which a rate is taken for its own limit.
const GENERATOR_SHARE_MAX: f64 = 0.9;

/// Writes a table for each scenario, folded.
pub(super) fn write(page: &mut String, view: &View<'_>) -> std::fmt::Result {
    write!(
        page,
        "<h2>Rates and latencies of the closed loops</h2><p>Medians of the runs that count. In a closed \
         loop the server sets the pace: this is no latency under a given load. Where the generator \
         was busy for more than {:.0} % of the time (red), the rate is its limit and not the \
         server's. Memory is resident, after the last round; hits are what answers say of \
         themselves, where they do.</p>",
        100.0 * GENERATOR_SHARE_MAX
    )?;
    for scenario in &view.artefact.scenarios {
        let peers = view.artefact.peers.iter();
        let mut timed = peers
            .filter(|peer| view.summary(&scenario.name, &peer.id).is_some())
            .peekable();
        if timed.peek().is_none() {
            continue;
        }
        write!(
            page,
            "<details><summary><b>{}</b></summary><p class=note>{}</p>\
             <div class=scroll><table><tr><th>peer<th>µs a request<th>requests a second<th>p99, µs\
             <th>memory<th>hits<th>generator busy</tr>",
            escape(&scenario.name),
            escape(&scenario.title)
        )?;
        for peer in timed {
            write_row(page, view, scenario, peer)?;
        }
        write!(page, "</table></div></details>")?;
    }
    Ok(())
}

fn write_row(
    page: &mut String,
    view: &View<'_>,
    scenario: &Scenario,
    peer: &Peer,
) -> std::fmt::Result {
    let Some(summary) = view.summary(&scenario.name, &peer.id) else {
        return Ok(());
    };
    let runs = view.artefact.measurements.iter();
    let counts = runs
        .filter(|run| run.scenario == scenario.name && run.peer == peer.id && run.void.is_none());
    let counts: Vec<&Measurement> = counts.collect();
    let middle = |value: &dyn Fn(&Measurement) -> Option<f64>| {
        median(
            &counts
                .iter()
                .filter_map(|run| value(run))
                .collect::<Vec<f64>>(),
        )
    };
    let share =
        |value: Option<f64>| value.map_or("–".to_owned(), |it| format!("{:.0} %", 100.0 * it));
    let memory = view.trial(&scenario.name, &peer.id);
    let memory = memory.and_then(|trial| trial.resident_bytes);
    let busy = middle(&|run| Some(run.generator_cpu_share));
    let is_limit = busy.is_some_and(|busy| busy > GENERATOR_SHARE_MAX);
    write!(
        page,
        "<tr><td>{}<td>{:.1}<td>{}<td>{}<td>{}<td>{}<td{}>{}</tr>",
        escape(peer_name(peer)),
        summary.server_cpu_us_per_request,
        grouped(whole(summary.rate)),
        grouped(whole(summary.p99_us)),
        memory.map_or("–".to_owned(), |bytes| human_bytes(plot::number(bytes))),
        share(middle(&|run| run.hit_ratio)),
        if is_limit { " class=bad" } else { "" },
        share(busy)
    )
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "rates and microseconds are not negative, and far below 2^64"
)]
fn whole(value: f64) -> u64 {
    value.round() as u64
}
