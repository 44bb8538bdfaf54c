//! The report of suites: one self-contained HTML page, and the tables of the README.
//!
//! Everything it says comes from the artefact; nothing is measured or judged anew, so that the
//! same artefact gives the same bytes.

mod curves;
mod facts;
mod heat;
mod rates;
pub mod tables;
pub(crate) mod view;

use std::error::Error;
use std::fmt::Write as _;

use self::view::{View, verdict};
use super::counted;
use super::page::{END, HEAD_BEGIN, HEAD_END, escape};
use crate::ratio::Verdict;
use crate::suite::artefact::{Artefact, Peer, Role};

/// One page for `artefacts`, each in a part of its own: ratios hold within a session only.
///
/// # Errors
/// When a plot cannot be drawn or a histogram is damaged.
pub fn render(artefacts: &[Artefact]) -> Result<String, Box<dyn Error>> {
    let mut page = format!("{HEAD_BEGIN}Corsair: benchmark report{HEAD_END}");
    for artefact in artefacts {
        let view = View::new(artefact);
        write_head(&mut page, artefact)?;
        write_headline(&mut page, &view)?;
        heat::write(&mut page, &view)?;
        rates::write(&mut page, &view)?;
        curves::write(&mut page, &view)?;
        facts::write(&mut page, &view)?;
    }
    page.push_str(END);
    Ok(page)
}

fn write_head(page: &mut String, artefact: &Artefact) -> std::fmt::Result {
    let files: Vec<String> = artefact.options.files.iter().map(|f| escape(f)).collect();
    write!(page, "<h1>Corsair and its peers: {}</h1>", files.join(", "))?;
    let options = &artefact.options;
    let peers = artefact.peers.iter().filter(|peer| peer.role == Role::Peer);
    write!(
        page,
        "<p>{}, {} of {} s a scenario, {}, {}, {} build{}</p>",
        escape(&artefact.started_at),
        counted(options.rounds as usize, "alternating round"),
        options.run_s,
        counted(artefact.scenarios.len(), "scenario"),
        counted(peers.count(), "peer"),
        escape(&options.profile),
        escape(&commit(artefact))
    )?;
    if !artefact.readable {
        write!(
            page,
            "<p class=bad><b>NOT READABLE:</b> not fit to be published</p>"
        )?;
    }
    if artefact.interrupted {
        write!(
            page,
            "<p class=bad><b>INTERRUPTED</b> before it was done</p>"
        )?;
    }
    for doubt in &artefact.doubts {
        write!(page, "<p class=bad>{}</p>", escape(doubt))?;
    }
    Ok(())
}

/// Which commit was measured, as the end of a list; nothing when that is not known.
fn commit(artefact: &Artefact) -> String {
    let Some(commit) = &artefact.project.commit else {
        return String::new();
    };
    let short: String = commit.chars().take(12).collect();
    let modified = match artefact.project.modified {
        Some(true) => ", modified",
        Some(false) | None => "",
    };
    format!(", commit {short}{modified}")
}

/// A name people know a peer by.
pub(crate) fn peer_name(peer: &Peer) -> &str {
    &peer.id
}

fn write_headline(page: &mut String, view: &View<'_>) -> std::fmt::Result {
    let headline = view.headline();
    write!(page, "<h2>Hits under CORS rules</h2>")?;
    if headline.is_empty() || view.subject().is_none() {
        return write!(
            page,
            "<p>This suite has no hits under 1, 1,000 or 100,000 rules.</p>"
        );
    }
    write!(
        page,
        "<p>Requests per CPU-second of the server's processes: Corsair's as a ratio to each peer's, \
         median of the rounds with its 95 % interval. Above 1 Corsair needs less CPU time.</p>\
         <div class=scroll><table><tr><th>peer"
    )?;
    for (count, scenario) in &headline {
        let cost = view.subject_cost(&scenario.name);
        let cost = cost.map_or("–".to_owned(), |us| format!("{us:.1} µs"));
        write!(
            page,
            "<th title=\"{}\">{} rule{}<br><small>Corsair {cost}</small>",
            escape(&scenario.name),
            grouped(u64::from(*count)),
            if *count == 1 { "" } else { "s" }
        )?;
    }
    write!(page, "</tr>")?;
    for peer in view.rivals() {
        write!(page, "<tr><td>{}", escape(peer_name(peer)))?;
        for (_, scenario) in &headline {
            let text = match view.advantage(&scenario.name, &peer.id) {
                None => escape(&heat::why_empty(view, &scenario.name, &peer.id).0),
                Some(ratio) => match verdict(ratio) {
                    Verdict::Faster => format!("<b>{ratio:.2}</b>"),
                    Verdict::Slower => format!("<b class=bad>{ratio:.2}</b>"),
                    Verdict::CannotTell => {
                        format!("{ratio:.2} <span class=note>cannot tell</span>")
                    }
                },
            };
            write!(page, "<td>{text}")?;
        }
        write!(page, "</tr>")?;
    }
    write!(page, "</table></div><p class=note>The columns' scenarios:")?;
    for (_, scenario) in &headline {
        let (name, title) = (escape(&scenario.name), escape(&scenario.title));
        write!(page, "<br>{name}: {title}")?;
    }
    write!(page, "</p>")
}

/// `100,000`.
pub(crate) fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
