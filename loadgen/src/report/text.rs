//! The summary for a terminal.

use std::fmt::Write as _;

use super::summary::{Percentiles, Summary};
use super::{counted, human_bytes, human_count, human_us};

/// The summary as plain text of at most 100 columns, samples excepted.
#[must_use]
pub fn render(summary: &Summary) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = write_all(&mut text, summary);
    text
}

fn write_all(text: &mut String, summary: &Summary) -> std::fmt::Result {
    writeln!(text, "{}", headline(summary))?;
    if !summary.valid {
        for reason in &summary.invalid_reasons {
            writeln!(text, "INVALID: {reason}")?;
        }
    }
    writeln!(
        text,
        "\n  requests    {:>12}   rate {}/s   received {} ({}/s)",
        summary.requests,
        human_count(summary.rate),
        human_bytes(to_f64(summary.received_bytes)),
        human_bytes(to_f64(summary.received_bytes) / summary.duration_s.max(1e-9)),
    )?;
    let statuses: Vec<String> = summary
        .statuses
        .iter()
        .map(|(status, count)| format!("{status}: {count}"))
        .collect();
    if !statuses.is_empty() {
        writeln!(text, "  statuses    {}", statuses.join(", "))?;
    }
    if let Some(ratio) = summary.hit_ratio {
        writeln!(text, "  hit ratio   {:>11.2} %", 100.0 * ratio)?;
    }
    writeln!(text, "  mismatches  {:>12}", summary.mismatches)?;
    writeln!(text, "  errors      {:>12}", summary.errors)?;
    for (kind, count) in &summary.errors_by_kind {
        let why = summary.error_texts.get(kind).map_or("", String::as_str);
        writeln!(text, "    {kind:<10}{count:>12}   {why}")?;
    }
    write_latencies(text, summary)?;
    write_generator(text, summary)?;
    for slo in &summary.slo {
        let verdict = if slo.met { "met   " } else { "MISSED" };
        let measured = slo
            .measured
            .map_or("nothing".to_owned(), |value| format!("{value:.6}"));
        writeln!(
            text,
            "  objective   {verdict} {}  (measured {measured})",
            slo.objective
        )?;
    }
    for warning in &summary.warnings {
        writeln!(text, "  note: {warning}")?;
    }
    write_mismatches(text, summary)
}

fn headline(summary: &Summary) -> String {
    let pace = summary.setup.pace();
    format!(
        "{}: {pace}, {}, {:.2} s\n  {}, {}",
        summary.setup.url,
        counted(summary.setup.connections, "connection"),
        summary.duration_s,
        counted(summary.setup.workers, "worker"),
        summary.setup.driver
    )
}

fn write_latencies(text: &mut String, summary: &Summary) -> std::fmt::Result {
    writeln!(
        text,
        "\n  {:<18}{:>10}{:>10}{:>10}{:>10}{:>10}{:>10}",
        "latency", "p50", "p90", "p99", "p99.9", "max", "mean"
    )?;
    let row = |text: &mut String, name: &str, times: &Percentiles| {
        let cells = [
            times.p50, times.p90, times.p99, times.p999, times.max, times.mean,
        ];
        let cells: String = cells
            .iter()
            .map(|us| format!("{:>10}", human_us(*us)))
            .collect();
        writeln!(text, "  {name:<18}{cells}")
    };
    row(text, "all", &summary.latency_us)?;
    for kind in &summary.kinds {
        if summary.kinds.len() > 1 {
            row(text, &shortened(&kind.name, 17), &kind.latency_us)?;
        }
        if kind.latency_us_by_cache.len() > 1 {
            for (outcome, times) in &kind.latency_us_by_cache {
                row(text, &format!("  {outcome}"), times)?;
            }
        }
    }
    if summary.connect_us.count > 0 {
        row(text, "connect", &summary.connect_us)?;
    }
    if let Some(lag) = &summary.schedule_lag_us {
        row(text, "schedule lag", lag)?;
    }
    Ok(())
}

fn write_generator(text: &mut String, summary: &Summary) -> std::fmt::Result {
    let per_request = summary
        .client_cpu_us_per_request
        .map_or(String::new(), |us| format!(", {us:.2} µs a request"));
    writeln!(
        text,
        "\n  generator   {:.2} CPU s{per_request}, busiest worker {:.0} %, stolen {:.1} %",
        summary.client_cpu_s,
        100.0 * summary.worker_cpu_share,
        100.0 * summary.stolen_share
    )?;
    if let Some(ratio) = summary.rate_ratio {
        writeln!(
            text,
            "  kept rate   {:.2} % of what was due was sent in time",
            100.0 * ratio
        )?;
    }
    if let Some(slow) = &summary.slow_clients {
        writeln!(
            text,
            "  slow        {} clients: {} rounds, {}, {} refused",
            slow.clients,
            slow.rounds,
            human_bytes(to_f64(slow.bytes)),
            slow.refused
        )?;
    }
    Ok(())
}

fn write_mismatches(text: &mut String, summary: &Summary) -> std::fmt::Result {
    for kind in &summary.kinds {
        for wrong in &kind.mismatches_by_rule {
            writeln!(
                text,
                "\nMISMATCH {} x {}: {}",
                wrong.count, kind.name, wrong.rule
            )?;
        }
    }
    if let Some(sample) = &summary.sample {
        writeln!(
            text,
            "\nfirst wrong answer ({}: {})",
            sample.kind, sample.rule
        )?;
        for (mark, message) in [('>', &sample.request), ('<', &sample.answer)] {
            for line in message.split("\r\n") {
                writeln!(text, "{mark} {}", printable(line))?;
            }
        }
    }
    Ok(())
}

/// Text from a server without what could play tricks on a terminal.
pub(crate) fn printable(text: &str) -> String {
    text.chars()
        .map(|c| {
            if c.is_control() && c != '\n' && c != '\t' {
                '\u{fffd}'
            } else {
                c
            }
        })
        .collect()
}

fn shortened(name: &str, columns: usize) -> String {
    if name.chars().count() <= columns {
        return name.to_owned();
    }
    let mut short: String = name.chars().take(columns - 1).collect();
    short.push('…');
    short
}

#[expect(
    clippy::cast_precision_loss,
    reason = "byte counts of a run are below 2^53"
)]
fn to_f64(count: u64) -> f64 {
    count as f64
}
