//! What the closed loops of each scenario found besides the headline: rate, latency, bytes, context
//! switches, memory, hits, and how busy the generator was, which says whose rate it is.
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
         server's. Bytes are those received for an answer, head and body. Switches are those of \
         all the server's threads for a thousand requests: given up + taken away. Memory is resident, \
         after the last round; hits are what answers say of themselves, where they do, and what did \
         not reach the upstream. Where null-epoll takes part, it is the same program as the upstream: \
         its row is that of the upstream asked directly.</p>",
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
             <th>bytes<th>switches<th>memory<th>hits, said<th>hits, seen<th>generator busy</tr>",
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
    let for_each = |run: &Measurement, count: u64| {
        (run.requests > 0).then(|| plot::number(count) / plot::number(run.requests))
    };
    let bytes = middle(&|run| for_each(run, run.received_bytes));
    let seen = middle(&|run| Some((1.0 - for_each(run, run.upstream_requests?)?).max(0.0)));
    let switches = |of: fn(&Measurement) -> Option<u64>| {
        middle(&|run| for_each(run, of(run)?))
            .map_or("–".to_owned(), |it| format!("{:.0}", 1e3 * it))
    };
    let given_up = switches(|run| run.voluntary_switches);
    let taken_away = switches(|run| run.involuntary_switches);
    write!(
        page,
        "<tr><td>{}<td>{:.1}<td>{}<td>{}<td>{}<td>{given_up} + {taken_away}<td>{}<td>{}<td>{}<td{}>{}</tr>",
        escape(peer_name(peer)),
        summary.server_cpu_us_per_request,
        grouped(whole(summary.rate)),
        grouped(whole(summary.p99_us)),
        bytes.map_or("–".to_owned(), |it| grouped(whole(it))),
        memory.map_or("–".to_owned(), |bytes| human_bytes(plot::number(bytes))),
        share(middle(&|run| run.hit_ratio)),
        share(seen),
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
