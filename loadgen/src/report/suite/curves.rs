//! Curves of the cost against the number that a group of scenarios varies, and latency
//! distributions at constant rates.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt::Write as _;

use super::view::{Family, View, group_axis};
use super::{grouped, peer_name};
use crate::report::page::escape;
use crate::report::plot::{self, Axes, COLOURS, Curve, Pen};
use crate::report::{human_bytes, human_count, human_us};
use crate::stats::Latencies;
use crate::suite::artefact::{Group, OpenPoint, Peer, RateBasis, Role, Scenario, decode_histogram};

/// Colours of the style sheet: the first is Corsair's, these two are null servers'.
const NULL_COLOURS: [u8; 2] = [8, 9];

/// Writes all curves.
pub(super) fn write(page: &mut String, view: &View<'_>) -> Result<(), Box<dyn Error>> {
    let painted = painted(view);
    let mut figures = String::new();
    for group in view.groups() {
        for family in view.families(group) {
            figures.push_str(&cost_figure(view, group, &family, &painted)?);
        }
    }
    if !figures.is_empty() {
        write!(
            page,
            "<h2>What it costs</h2><p>CPU time of the server's processes for one request, median of \
             the rounds.</p><div class=plots>{figures}</div>"
        )?;
    }
    write_open_loop(page, view, &painted)
}

/// Peers with their colours.
fn painted<'a>(view: &View<'a>) -> Vec<(&'a Peer, u8)> {
    let mut painted: Vec<(&Peer, u8)> = view.subject().into_iter().map(|peer| (peer, 0)).collect();
    let mut nulls = NULL_COLOURS.into_iter().cycle();
    let others = (1..COLOURS).filter(|colour| !NULL_COLOURS.contains(colour));
    let mut others = others.cycle();
    for peer in view.rivals() {
        let colour = if peer.role == Role::Null {
            nulls.next()
        } else {
            others.next()
        };
        painted.push((peer, colour.unwrap_or(0)));
    }
    painted
}

/// Numbers stand at equal distances: they are chosen in powers, or as nines.
fn cost_figure(
    view: &View<'_>,
    group: Group,
    family: &Family<'_>,
    painted: &[(&Peer, u8)],
) -> Result<String, Box<dyn Error>> {
    let curves = painted.iter().filter_map(|(peer, series)| {
        let members = family.members.iter().zip(0_u32..);
        let point = |((_, scenario), place): (&(f64, &Scenario), u32)| {
            let summary = view.summary(&scenario.name, &peer.id)?;
            Some((f64::from(place), summary.server_cpu_us_per_request))
        };
        let points: Vec<(f64, f64)> = members.filter_map(point).collect();
        (!points.is_empty()).then(|| Curve {
            name: peer_name(peer).to_owned(),
            series: *series,
            pen: if peer.role == Role::Subject {
                Pen::BoldDots
            } else {
                Pen::Dots
            },
            points,
        })
    });
    let curves: Vec<Curve> = curves.collect();
    if curves.is_empty() {
        return Ok(String::new());
    }
    let names: Vec<String> = family
        .members
        .iter()
        .map(|(number, _)| axis_number(group, *number))
        .collect();
    let last = u32::try_from(names.len() - 1).unwrap_or(0);
    plot::figure(
        &family.title,
        &curves,
        &Axes {
            x: (-0.15, f64::from(last) + 0.15),
            x_labels: names.len(),
            x_text: group_axis(group),
            x_label: &|place| at_place(&names, *place),
            y: None,
            y_labels: 6,
            y_label: &|us| human_us(*us),
        },
    )
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a place in a short list, whole and not negative as checked"
)]
fn at_place(names: &[String], place: f64) -> String {
    let is_whole = (place - place.round()).abs() < 1e-6 && place > -0.5;
    let name = is_whole.then(|| names.get(place.round() as usize));
    name.flatten().cloned().unwrap_or_default()
}

fn axis_number(group: Group, number: f64) -> String {
    match group {
        Group::HitRatio => format!("{} %", 100.0 * number),
        Group::Body => human_bytes(number).replace(".00", ""),
        Group::Rules
        | Group::Connections
        | Group::Depth
        | Group::Operations
        | Group::Storm
        | Group::Reload => human_count(number).replace(".00k", "k").replace(".0k", "k"),
    }
}

fn write_open_loop(
    page: &mut String,
    view: &View<'_>,
    painted: &[(&Peer, u8)],
) -> Result<(), Box<dyn Error>> {
    let artefact = view.artefact;
    if artefact.open_points.is_empty() && artefact.knees.is_empty() {
        return Ok(());
    }
    write!(
        page,
        "<h2>Latency at constant rates</h2><p>Open loop: from the time a request was due to the end \
         of its answer. Invalid points are left out of the plots and listed below them.</p>"
    )?;
    for scenario in artefact.scenarios.iter().filter(|s| s.open_loop) {
        write!(page, "<h3>{}</h3>", escape(&scenario.name))?;
        write_knees(page, view, scenario)?;
        write_distributions(page, view, scenario, painted)?;
    }
    Ok(())
}

fn write_knees(page: &mut String, view: &View<'_>, scenario: &Scenario) -> std::fmt::Result {
    let of = |knee: &&crate::suite::artefact::Knee| {
        knee.scenario == scenario.name && view.artefact.stands(&scenario.name, &knee.peer)
    };
    let knees: Vec<_> = view.artefact.knees.iter().filter(of).collect();
    let Some(first) = knees.first() else {
        return Ok(());
    };
    write!(
        page,
        "<p>Highest rate sustained ({}):</p><div class=tiles>",
        escape(&first.criterion)
    )?;
    for knee in knees {
        let rate = knee
            .rate
            .map_or("none".to_owned(), |rate| format!("{}/s", human_count(rate)));
        write!(
            page,
            "<div><b>{rate}</b><span>{}</span></div>",
            escape(&knee.peer)
        )?;
    }
    write!(page, "</div>")
}

/// One plot for each basis and share, in the order they stand in the document.
fn write_distributions(
    page: &mut String,
    view: &View<'_>,
    scenario: &Scenario,
    painted: &[(&Peer, u8)],
) -> Result<(), Box<dyn Error>> {
    let points: Vec<&OpenPoint> = view
        .artefact
        .open_points
        .iter()
        .filter(|point| point.scenario == scenario.name)
        .filter(|point| view.artefact.stands(&scenario.name, &point.peer))
        .collect();
    let mut plots: BTreeMap<(bool, u64), Vec<&OpenPoint>> = BTreeMap::new();
    for point in points
        .iter()
        .filter(|point| point.invalid_reasons.is_empty())
    {
        let key = (point.basis == RateBasis::OwnKnee, point.share.to_bits());
        plots.entry(key).or_default().push(point);
    }
    write!(page, "<div class=plots>")?;
    for of_plot in plots.values() {
        let mut decoded: Vec<(String, u8, Latencies)> = Vec::new();
        for point in of_plot {
            let Some((peer, series)) = painted.iter().find(|(peer, _)| peer.id == point.peer)
            else {
                continue;
            };
            let latencies = decode_histogram(&point.histogram)?;
            let name = format!("{}, {}/s", peer_name(peer), human_count(point.rate));
            decoded.push((name, *series, latencies));
        }
        let named: Vec<(String, u8, &Latencies)> = decoded
            .iter()
            .map(|(name, series, latencies)| (name.clone(), *series, latencies))
            .collect();
        if let Some(first) = of_plot.first().filter(|_| !named.is_empty()) {
            page.push_str(&plot::percentiles(&plot_title(first), &named)?);
        }
    }
    write!(page, "</div>")?;
    for point in points
        .iter()
        .filter(|point| !point.invalid_reasons.is_empty())
    {
        write!(
            page,
            "<p class=note>Invalid: {} at {}/s: {}</p>",
            escape(&point.peer),
            grouped(whole(point.rate)),
            escape(&point.invalid_reasons.join("; "))
        )?;
    }
    Ok(())
}

fn plot_title(point: &OpenPoint) -> String {
    let percent = 100.0 * point.share;
    match point.basis {
        RateBasis::Common => format!("One rate for all: {percent:.0} % of the lowest knee"),
        RateBasis::OwnKnee => format!("{percent:.0} % of each one's own knee"),
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a rate is positive and far below 2^63"
)]
fn whole(rate: f64) -> u64 {
    rate as u64
}
