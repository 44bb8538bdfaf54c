//! A run as one HTML page: plots as inline SVG, tables, and how to run it again. No script, nothing
//! loaded from elsewhere, light and dark, readable on a phone.

use std::error::Error;
use std::fmt::Write as _;

use super::page::{END, HEAD_BEGIN, HEAD_END, escape, shell_word};
use super::plot::{self, Axes, Curve, Pen, number, whole_steps};
use super::series::SecondRow;
use super::summary::{Percentiles, Summary};
use super::{counted, human_bytes, human_count, human_us};

/// The page.
///
/// # Errors
/// When a plot cannot be drawn, which would be a mistake of this module.
pub fn render(summary: &Summary, rows: &[SecondRow]) -> Result<String, Box<dyn Error>> {
    let mut page = String::new();
    let title = escape(&summary.setup.url);
    write!(page, "{HEAD_BEGIN}loadgen: {title}{HEAD_END}")?;
    write!(page, "<h1>{}</h1>", escape(&summary.setup.url))?;
    let pace = escape(&summary.setup.pace());
    write!(
        page,
        "<p>{pace}, {}, {:.2} s, {}, {}, began {}</p>",
        counted(summary.setup.connections, "connection"),
        summary.duration_s,
        counted(summary.setup.workers, "worker"),
        escape(&summary.setup.driver),
        escape(&summary.setup.started_at)
    )?;
    for reason in &summary.invalid_reasons {
        write!(page, "<p class=bad><b>INVALID:</b> {}</p>", escape(reason))?;
    }
    for warning in &summary.warnings {
        write!(page, "<p class=note>{}</p>", escape(warning))?;
    }
    write_tiles(&mut page, summary)?;
    write_latencies(&mut page, summary)?;
    write_answers(&mut page, summary)?;
    write_plots(&mut page, summary, rows)?;
    write_sample(&mut page, summary)?;
    let command: Vec<String> = summary
        .setup
        .command
        .iter()
        .map(|word| shell_word(word))
        .collect();
    write!(
        page,
        "<h2>Run it again</h2><pre>{}</pre>",
        escape(&command.join(" "))
    )?;
    write!(
        page,
        "<p class=note>loadgen {}</p>{END}",
        summary.setup.loadgen
    )?;
    Ok(page)
}

fn write_tiles(page: &mut String, summary: &Summary) -> std::fmt::Result {
    let hit = summary
        .hit_ratio
        .map(|ratio| format!("{:.2} %", 100.0 * ratio));
    let kept = summary
        .rate_ratio
        .map(|ratio| format!("{:.2} %", 100.0 * ratio));
    let tiles = [
        ("requests", Some(summary.requests.to_string())),
        ("rate", Some(format!("{}/s", human_count(summary.rate)))),
        ("p50", Some(human_us(summary.latency_us.p50))),
        ("p99", Some(human_us(summary.latency_us.p99))),
        ("max", Some(human_us(summary.latency_us.max))),
        ("mismatches", Some(summary.mismatches.to_string())),
        ("errors", Some(summary.errors.to_string())),
        ("hit ratio", hit),
        ("sent in time", kept),
        (
            "received",
            Some(human_bytes(number(summary.received_bytes))),
        ),
        (
            "generator CPU",
            Some(format!("{:.2} s", summary.client_cpu_s)),
        ),
        (
            "stolen",
            Some(format!("{:.1} %", 100.0 * summary.stolen_share)),
        ),
    ];
    write!(page, "<div class=tiles>")?;
    for (name, value) in tiles {
        if let Some(value) = value {
            write!(
                page,
                "<div><b>{}</b><span>{name}</span></div>",
                escape(&value)
            )?;
        }
    }
    write!(page, "</div>")
}

fn write_latencies(page: &mut String, summary: &Summary) -> std::fmt::Result {
    write!(
        page,
        "<h2>Latency</h2><div class=scroll><table><tr><th>requests<th>count<th>p50<th>p90<th>p99\
         <th>p99.9<th>p99.99<th>max</tr>"
    )?;
    let row = |page: &mut String, name: &str, times: &Percentiles| {
        write!(page, "<tr><td>{}<td>{}", escape(name), times.count)?;
        for us in [
            times.p50,
            times.p90,
            times.p99,
            times.p999,
            times.p9999,
            times.max,
        ] {
            write!(page, "<td>{}", human_us(us))?;
        }
        write!(page, "</tr>")
    };
    row(page, "all", &summary.latency_us)?;
    for kind in &summary.kinds {
        row(page, &kind.name, &kind.latency_us)?;
        for (outcome, times) in &kind.latency_us_by_cache {
            row(page, &format!("{} ({outcome})", kind.name), times)?;
        }
    }
    if summary.connect_us.count > 0 {
        row(page, "connect", &summary.connect_us)?;
    }
    if let Some(lag) = &summary.schedule_lag_us {
        row(page, "schedule lag", lag)?;
    }
    write!(page, "</table></div>")
}

fn write_answers(page: &mut String, summary: &Summary) -> std::fmt::Result {
    write!(
        page,
        "<h2>Answers</h2><div class=scroll><table><tr><th>what<th>count</tr>"
    )?;
    for (status, count) in &summary.statuses {
        write!(page, "<tr><td>status {status}<td>{count}</tr>")?;
    }
    for (kind, count) in &summary.errors_by_kind {
        let why = summary.error_texts.get(kind).map_or("", String::as_str);
        write!(
            page,
            "<tr><td class=bad>error {kind} {}<td>{count}</tr>",
            escape(why)
        )?;
    }
    for kind in &summary.kinds {
        for wrong in &kind.mismatches_by_rule {
            let (name, rule) = (escape(&kind.name), escape(&wrong.rule));
            write!(
                page,
                "<tr><td class=bad>{name}: {rule}<td>{}</tr>",
                wrong.count
            )?;
        }
    }
    for slo in &summary.slo {
        let (class, verdict) = if slo.met {
            ("", "met")
        } else {
            ("bad", "missed")
        };
        let objective = escape(&slo.objective);
        write!(
            page,
            "<tr><td class=\"{class}\">objective {objective}<td>{verdict}</tr>"
        )?;
    }
    write!(page, "</table></div>")
}

fn write_sample(page: &mut String, summary: &Summary) -> std::fmt::Result {
    let Some(sample) = &summary.sample else {
        return Ok(());
    };
    write!(
        page,
        "<h2>First wrong answer</h2><p class=bad>{}: {}</p><pre>{}</pre><pre>{}</pre>",
        escape(&sample.kind),
        escape(&sample.rule),
        escape(&sample.request),
        escape(&sample.answer)
    )
}

fn write_plots(
    page: &mut String,
    summary: &Summary,
    rows: &[SecondRow],
) -> Result<(), Box<dyn Error>> {
    write!(page, "<h2>Plots</h2><div class=plots>")?;
    let all = [("all".to_owned(), 0, &summary.latencies)];
    page.push_str(&plot::percentiles("Latency by percentile", &all)?);
    if rows.len() > 1 {
        page.push_str(&latency_plot(rows)?);
        page.push_str(&rate_plot(rows)?);
        page.push_str(&cpu_plot(rows)?);
        if summary.schedule_lag_us.is_some() {
            page.push_str(&lag_plot(rows)?);
        }
    }
    Ok(write!(page, "</div>")?)
}

/// What a row shows on one curve.
type Value<'a> = &'a dyn Fn(&SecondRow) -> f64;

fn over_time(
    title: &str,
    rows: &[SecondRow],
    curves: &[(&str, Value<'_>)],
    y_label: &dyn Fn(&f64) -> String,
) -> Result<String, Box<dyn Error>> {
    let time = |row: &SecondRow| number(row.t) + row.length_s;
    let curves: Vec<Curve> = curves
        .iter()
        .zip(0..)
        .map(|((name, value), series)| Curve {
            name: (*name).to_owned(),
            series,
            pen: Pen::Line,
            points: rows.iter().map(|row| (time(row), value(row))).collect(),
        })
        .collect();
    let x_max = rows.last().map_or(1.0, time).max(1.0);
    plot::figure(
        title,
        &curves,
        &Axes {
            x: (0.0, x_max),
            x_labels: whole_steps(x_max),
            x_text: "seconds",
            x_label: &|seconds| format!("{seconds:.0}"),
            y: None,
            y_labels: 6,
            y_label,
        },
    )
}

fn latency_plot(rows: &[SecondRow]) -> Result<String, Box<dyn Error>> {
    over_time(
        "Latency over time",
        rows,
        &[
            ("p50", &|row| row.latency_us.p50),
            ("p99", &|row| row.latency_us.p99),
            ("p99.9", &|row| row.latency_us.p999),
        ],
        &|us| human_us(*us),
    )
}

fn rate_plot(rows: &[SecondRow]) -> Result<String, Box<dyn Error>> {
    let per_second = |count: u64, row: &SecondRow| number(count) / row.length_s.max(1e-9);
    over_time(
        "Answers per second",
        rows,
        &[
            ("answers", &|row| row.rate),
            ("mismatches", &|row| per_second(row.mismatches, row)),
            ("errors", &|row| per_second(row.errors, row)),
        ],
        &|count| human_count(*count),
    )
}

fn cpu_plot(rows: &[SecondRow]) -> Result<String, Box<dyn Error>> {
    over_time(
        "CPU of the generator, and stolen time",
        rows,
        &[
            ("generator, CPUs", &|row| row.client_cpu),
            ("stolen share", &|row| row.stolen_share),
        ],
        &|value| format!("{value:.2}"),
    )
}

fn lag_plot(rows: &[SecondRow]) -> Result<String, Box<dyn Error>> {
    over_time(
        "Schedule lag of the generator, p99",
        rows,
        &[("p99", &|row| row.lag_p99_us)],
        &|us| human_us(*us),
    )
}
