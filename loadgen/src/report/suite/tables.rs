//! The tables of the README, made from an artefact, between two lines of it that mark their place.
//!
//! Nothing is rounded in anybody's favour and nothing left out: where a peer needs less CPU time
//! than Corsair, that is a table of its own.

use std::fmt::Write as _;

use super::view::{View, verdict};
use super::{grouped, peer_name};
use crate::ratio::Verdict;
use crate::suite::artefact::{Artefact, Role, TrialOutcome};

/// How the line before the tables begins; behind it stands where they come from.
pub const BEGIN: &str = "<!-- numbers";

/// The line after them.
pub const END: &str = "<!-- end of numbers -->";

/// Why a text was not brought up to date.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum PlaceError {
    /// A marker is missing, or they are in the wrong order.
    #[error("there is no place for the tables: put a line `{BEGIN} -->` and below it `{END}`")]
    NoPlace,
    /// More than one.
    #[error("there are several places for the tables (`{BEGIN} …`)")]
    SeveralPlaces,
}

/// `text` with the tables of `artefact` between the markers, and the line of the first marker
/// naming `source`, the artefact's path as the reader of the text knows it.
///
/// # Errors
/// When there is not exactly one place for them.
pub fn replace(text: &str, artefact: &Artefact, source: &str) -> Result<String, PlaceError> {
    let (begin, end) = place(text)?;
    let tables = render(artefact);
    let source = source.replace("--", "- -");
    Ok(format!(
        "{}{BEGIN} from {source}: loadgen report --readme -->\n\n{tables}\n{}",
        &text[..begin],
        &text[end..]
    ))
}

/// Where the tables of `text` say that they come from; `None` when there is no place for tables,
/// or nothing has been put there yet.
///
/// # Errors
/// When there are several places or half a one.
pub fn source(text: &str) -> Result<Option<&str>, PlaceError> {
    if !text.contains(BEGIN) && !text.contains(END) {
        return Ok(None);
    }
    let (begin, _) = place(text)?;
    let line = text[begin..].lines().next().unwrap_or_default();
    let named = line[BEGIN.len()..].trim_start().strip_prefix("from ");
    Ok(named
        .and_then(|rest| rest.split_once(": loadgen"))
        .map(|(path, _)| path))
}

/// From the first marker to the second.
fn place(text: &str) -> Result<(usize, usize), PlaceError> {
    let begin = text.find(BEGIN).ok_or(PlaceError::NoPlace)?;
    let end = begin + text[begin..].find(END).ok_or(PlaceError::NoPlace)?;
    if text[end..].contains(BEGIN) || text[begin + 1..end].contains(BEGIN) {
        return Err(PlaceError::SeveralPlaces);
    }
    Ok((begin, end))
}

/// The tables.
#[must_use]
pub fn render(artefact: &Artefact) -> String {
    let mut text = String::new();
    let view = View::new(artefact);
    // Writing to a String cannot fail.
    let _ = write_all(&mut text, &view);
    text
}

fn write_all(text: &mut String, view: &View<'_>) -> std::fmt::Result {
    write_setting(text, view.artefact)?;
    write_headline(text, view)?;
    write_losses(text, view)?;
    write_counts(text, view)?;
    write_doubts(text, view.artefact)?;
    write_lost(text, view)
}

fn write_setting(text: &mut String, artefact: &Artefact) -> std::fmt::Result {
    let (options, machine) = (&artefact.options, &artefact.machine);
    if !artefact.readable {
        let doubts = artefact.doubts.join("; ");
        writeln!(text, "**Not fit to be relied on:** {}\n", cell(&doubts))?;
    }
    let date = artefact.started_at.split('T').next().unwrap_or_default();
    let kind = if machine.virtual_machine {
        "virtual "
    } else {
        ""
    };
    writeln!(
        text,
        "{date}{}: {} {kind}CPUs ({}), {}, {}; {} alternating rounds of {} s a scenario, servers on \
         one CPU, generator and upstream on the other.\n",
        cell(&super::commit(artefact)),
        machine.cpus,
        cell(&machine.cpu_model),
        cell(&machine.kernel),
        cell(&machine.system),
        options.rounds,
        options.run_s
    )
}

/// The first number with a dot in what a program says of itself: programs wrap it in all manner of
/// words. Nothing when there is none.
fn version_number(text: &str) -> &str {
    let numbers = text.split(|c: char| !c.is_ascii_digit() && c != '.');
    let mut numbers = numbers.map(|number| number.trim_matches('.'));
    numbers
        .find(|number| number.contains('.'))
        .unwrap_or_default()
}

/// Costs and ratios of hits under 1, 1,000 and 100,000 rules.
fn write_headline(text: &mut String, view: &View<'_>) -> std::fmt::Result {
    let headline = view.headline();
    let Some(subject) = view.subject().filter(|_| !headline.is_empty()) else {
        return writeln!(
            text,
            "No hits under 1, 1,000 or 100,000 rules are in this record."
        );
    };
    let columns = headline.iter().map(|(count, _)| {
        let plural = if *count == 1 { "" } else { "s" };
        format!("{} rule{plural}", grouped(u64::from(*count)))
    });
    let columns: Vec<String> = columns.collect();
    writeln!(
        text,
        "Requests per CPU-second of the server's processes: Corsair's as a ratio to each peer's, median \
         of the rounds with its 95 % interval. Above 1 Corsair needs less. First line: CPU time of \
         Corsair for one hit.\n"
    )?;
    writeln!(text, "| | {} |", columns.join(" | "))?;
    writeln!(text, "| --- |{}", " --- |".repeat(columns.len()))?;
    write!(text, "| {} |", cell(peer_name(subject)))?;
    for (_, scenario) in &headline {
        match view.subject_cost(&scenario.name) {
            Some(us) => write!(text, " {us:.1} µs |")?,
            None => write!(text, " – |")?,
        }
    }
    writeln!(text)?;
    for peer in view.rivals() {
        let version = peer.version.as_deref().filter(|_| peer.role == Role::Peer);
        let version = version.map_or(String::new(), |text| format!(" {}", version_number(text)));
        write!(text, "| {}{version} |", cell(peer_name(peer)))?;
        for (_, scenario) in &headline {
            let ratio = view.advantage(&scenario.name, &peer.id);
            write!(
                text,
                " {} |",
                ratio_cell(view, &scenario.name, &peer.id, ratio)
            )?;
        }
        writeln!(text)?;
    }
    let names = headline.iter().map(|(_, scenario)| {
        let (name, title) = (cell(&scenario.name), cell(&scenario.title));
        format!("- `{name}`: {title}")
    });
    let names: Vec<String> = names.collect();
    writeln!(text, "\nThe columns' scenarios:\n\n{}", names.join("\n"))
}

fn ratio_cell(
    view: &View<'_>,
    scenario: &str,
    peer: &str,
    ratio: Option<crate::ratio::Ratio>,
) -> String {
    match ratio {
        None => cell(&super::heat::why_empty(view, scenario, peer).0),
        Some(ratio) => match verdict(ratio) {
            Verdict::Faster => format!("{ratio:.2}"),
            Verdict::Slower => format!("**{ratio:.2}**"),
            Verdict::CannotTell => format!("{ratio:.2}, cannot tell"),
        },
    }
}

/// Every scenario in which a peer (null servers are none) needs less CPU time, worst first.
fn write_losses(text: &mut String, view: &View<'_>) -> std::fmt::Result {
    let mut losses = Vec::new();
    for peer in view
        .rivals()
        .into_iter()
        .filter(|peer| peer.role == Role::Peer)
    {
        for scenario in &view.artefact.scenarios {
            let ratio = view.advantage(&scenario.name, &peer.id);
            if let Some(ratio) = ratio.filter(|ratio| verdict(*ratio) == Verdict::Slower) {
                losses.push((ratio, scenario, peer));
            }
        }
    }
    losses.sort_by(|a, b| a.0.median.total_cmp(&b.0.median));
    if losses.is_empty() {
        return writeln!(
            text,
            "\nLosses: no peer needs less in any scenario of this record."
        );
    }
    writeln!(text, "\nLosses, where a peer needs less:\n")?;
    writeln!(text, "| scenario | peer | ratio |\n| --- | --- | --- |")?;
    for (ratio, scenario, peer) in losses {
        let (name, title) = (cell(&scenario.name), cell(&scenario.title));
        writeln!(
            text,
            "| `{name}`: {title} | {} | {ratio:.2} |",
            cell(peer_name(peer))
        )?;
    }
    Ok(())
}

/// How often each verdict was reached.
fn write_counts(text: &mut String, view: &View<'_>) -> std::fmt::Result {
    writeln!(text, "\nAll scenarios:\n")?;
    writeln!(
        text,
        "| | needs more | needs less | cannot tell | cannot do it | not timed |"
    )?;
    writeln!(text, "| --- | --- | --- | --- | --- | --- |")?;
    for peer in view.rivals() {
        let (mut more, mut less, mut unknown, mut cannot, mut untimed) = (0, 0, 0, 0, 0);
        for scenario in &view.artefact.scenarios {
            let outcome = view
                .trial(&scenario.name, &peer.id)
                .map(|trial| &trial.outcome);
            match view.advantage(&scenario.name, &peer.id).map(verdict) {
                Some(Verdict::Faster) => more += 1,
                Some(Verdict::Slower) => less += 1,
                Some(Verdict::CannotTell) => unknown += 1,
                None if matches!(outcome, Some(TrialOutcome::CannotDoThis { .. })) => cannot += 1,
                None => untimed += 1,
            }
        }
        let name = cell(peer_name(peer));
        writeln!(
            text,
            "| {name} | {more} | {less} | {unknown} | {cannot} | {untimed} |"
        )?;
    }
    Ok(())
}

/// What of all this is in doubt, and why; a record that is in doubt as a whole says so above.
fn write_doubts(text: &mut String, artefact: &Artefact) -> std::fmt::Result {
    if !artefact.readable {
        return Ok(());
    }
    if artefact.doubts.is_empty() {
        return writeln!(text, "\nNo scenario is in doubt.");
    }
    writeln!(text, "\nIn doubt:\n")?;
    for doubt in &artefact.doubts {
        writeln!(text, "- {}", cell(doubt))?;
    }
    Ok(())
}

/// Whose requests were lost where that is forgiven; elsewhere there is no number to be told.
fn write_lost(text: &mut String, view: &View<'_>) -> std::fmt::Result {
    let mut places = Vec::new();
    for scenario in &view.artefact.scenarios {
        let mut told = Vec::new();
        for peer in &view.artefact.peers {
            let summary = view.summary(&scenario.name, &peer.id);
            let (lost, wrong) = summary.map_or((0, 0), |it| (it.errors, it.mismatches));
            let name = cell(peer_name(peer));
            if lost > 0 {
                told.push(format!("{name} lost {}", grouped(lost)));
            }
            if wrong > 0 {
                told.push(format!("{name} answered {} wrongly", grouped(wrong)));
            }
        }
        if !told.is_empty() {
            places.push(format!("- `{}`: {}", cell(&scenario.name), told.join(", ")));
        }
    }
    if places.is_empty() {
        return Ok(());
    }
    writeln!(
        text,
        "\nRequests lost in all rounds, where servers are made to come and go:\n\n{}",
        places.join("\n")
    )
}

/// Text in a table of Markdown.
fn cell(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '|' => safe.push_str("\\|"),
            '<' => safe.push_str("&lt;"),
            '`' => safe.push('\''),
            '\r' | '\n' => safe.push(' '),
            character => safe.push(character),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_found() {
        let check = |text: &str, expected: &str| assert_eq!(version_number(text), expected);
        check("nginx version: nginx/1.22.1", "1.22.1");
        check(
            "HAProxy version 2.6.12-1+deb12u4 2026/10/17 - https://haproxy.org/",
            "2.6.12",
        );
        check("varnishd (varnish-7.1.1 revision 7cee1c58)", "7.1.1");
        check(
            "envoy  version: 9e5580933739/1.40.0/Clean/RELEASE",
            "1.40.0",
        );
        check("v2.11.7 h1:yj0Y4f", "2.11.7");
        check("Squid Cache: Version 5.7", "5.7");
        check("unknown.", "");
    }
}
