//! The summary as Markdown, for a pull request or an issue.

use std::fmt::Write as _;

use super::summary::{Percentiles, Summary};
use super::{counted, human_count, human_us};

/// The document.
#[must_use]
pub fn render(summary: &Summary) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = write_all(&mut text, summary);
    text
}

fn write_all(text: &mut String, summary: &Summary) -> std::fmt::Result {
    let pace = summary.setup.pace();
    writeln!(text, "### `{}`", code(&summary.setup.url))?;
    writeln!(
        text,
        "\n{pace}, {}, {:.2} s, {}, {}",
        counted(summary.setup.connections, "connection"),
        summary.duration_s,
        counted(summary.setup.workers, "worker"),
        summary.setup.driver
    )?;
    for reason in &summary.invalid_reasons {
        writeln!(text, "\n**INVALID:** {reason}")?;
    }
    writeln!(
        text,
        "\n| requests | rate | mismatches | errors | hit ratio | generator CPU |"
    )?;
    writeln!(text, "| ---: | ---: | ---: | ---: | ---: | ---: |")?;
    writeln!(
        text,
        "| {} | {}/s | {} | {} | {} | {:.2} s |",
        summary.requests,
        human_count(summary.rate),
        summary.mismatches,
        summary.errors,
        summary
            .hit_ratio
            .map_or("–".to_owned(), |ratio| format!("{:.2} %", 100.0 * ratio)),
        summary.client_cpu_s
    )?;
    writeln!(
        text,
        "\n| latency | count | p50 | p90 | p99 | p99.9 | max |"
    )?;
    writeln!(text, "| --- | ---: | ---: | ---: | ---: | ---: | ---: |")?;
    row(text, "all", &summary.latency_us)?;
    for kind in &summary.kinds {
        row(text, &format!("`{}`", code(&kind.name)), &kind.latency_us)?;
        for (outcome, times) in &kind.latency_us_by_cache {
            row(text, &format!("`{}` {outcome}", code(&kind.name)), times)?;
        }
    }
    if let Some(lag) = &summary.schedule_lag_us {
        row(text, "schedule lag", lag)?;
    }
    for slo in &summary.slo {
        let verdict = if slo.met { "met" } else { "**missed**" };
        writeln!(text, "\nObjective `{}`: {verdict}", code(&slo.objective))?;
    }
    for kind in &summary.kinds {
        for wrong in &kind.mismatches_by_rule {
            let (name, rule) = (code(&kind.name), code(&wrong.rule));
            writeln!(
                text,
                "\n**Mismatch** in {} answers to `{name}`: `{rule}`",
                wrong.count
            )?;
        }
    }
    for warning in &summary.warnings {
        writeln!(text, "\nNote: {warning}")?;
    }
    Ok(())
}

fn row(text: &mut String, name: &str, times: &Percentiles) -> std::fmt::Result {
    let cells = [times.p50, times.p90, times.p99, times.p999, times.max]
        .map(human_us)
        .join(" | ");
    writeln!(text, "| {name} | {} | {cells} |", times.count)
}

/// Text inside backticks, in a table.
fn code(text: &str) -> String {
    text.replace('`', "'")
        .replace('|', "\\|")
        .replace(['\r', '\n'], " ")
}
