//! A run as one HTML page: plots as inline SVG, tables, and how to run it again. No script, nothing
//! loaded from elsewhere, light and dark, readable on a phone.

use std::error::Error;
use std::fmt::Write as _;

use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;

use super::series::SecondRow;
use super::summary::{Percentiles, Summary};
use super::{human_bytes, human_count, human_us};
use crate::stats::Latencies;

/// The page.
///
/// # Errors
/// When a plot cannot be drawn, which would be a mistake of this module.
pub fn render(summary: &Summary, rows: &[SecondRow]) -> Result<String, Box<dyn Error>> {
    let mut page = String::new();
    write!(page, "{HEAD_BEGIN}{}{HEAD_END}", escape(&summary.setup.url))?;
    write!(page, "<h1>{}</h1>", escape(&summary.setup.url))?;
    let pace = match &summary.setup.target_rate {
        Some(rate) => format!("open loop at {}/s", escape(rate)),
        None => format!("closed loop, depth {}", summary.setup.depth),
    };
    write!(
        page,
        "<p>{pace}, {} connections, {:.2} s, {} worker(s), {}, began {}</p>",
        summary.setup.connections,
        summary.duration_s,
        summary.setup.workers,
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
    write_plot(
        &mut page,
        "Latency by percentile",
        &percentile_plot(&summary.latencies)?,
    )?;
    if rows.len() > 1 {
        write_plot(&mut page, "Latency over time", &latency_plot(rows)?)?;
        write_plot(&mut page, "Answers per second", &rate_plot(rows)?)?;
        write_plot(
            &mut page,
            "CPU of the generator, and stolen time",
            &cpu_plot(rows)?,
        )?;
        if summary.schedule_lag_us.is_some() {
            write_plot(&mut page, "Schedule lag of the generator", &lag_plot(rows)?)?;
        }
    }
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
        "<p class=note>loadgen {}</p></main></body></html>",
        summary.setup.loadgen
    )?;
    Ok(page)
}

const HEAD_BEGIN: &str = "<!doctype html><html lang=en><head><meta charset=utf-8>\
<meta name=viewport content=\"width=device-width,initial-scale=1\"><title>loadgen: ";

const HEAD_END: &str = "</title><style>
:root{--paper:#fff;--ink:#1c1e21;--faint:#d8dce2;--mid:#6b7280;--a:#1f6feb;--b:#d9480f;--c:#2f9e44;
--bad:#c92a2a;color-scheme:light dark}
@media(prefers-color-scheme:dark){:root{--paper:#14161a;--ink:#e6e8eb;--faint:#343a43;--mid:#9aa3af;
--a:#6ea8fe;--b:#ff922b;--c:#69db7c;--bad:#ff8787}}
body{margin:0;background:var(--paper);color:var(--ink);font:15px/1.5 system-ui,sans-serif}
main{max-width:62rem;margin:0 auto;padding:1rem}h1{font-size:1.3rem;overflow-wrap:anywhere}
h2{font-size:1.05rem;margin:1.6rem 0 .4rem}svg{width:100%;height:auto;display:block}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(8rem,1fr));gap:.6rem}
.tiles div{border:1px solid var(--faint);border-radius:.4rem;padding:.5rem .7rem}
.tiles b{display:block;font-size:1.15rem}.tiles span,.note{color:var(--mid);font-size:.85rem}
.bad{color:var(--bad)}.scroll{overflow-x:auto}table{border-collapse:collapse;width:100%}
td,th{padding:.25rem .6rem;text-align:right;border-bottom:1px solid var(--faint);white-space:nowrap}
td:first-child,th:first-child{text-align:left}pre{overflow-x:auto;border:1px solid var(--faint);
border-radius:.4rem;padding:.6rem;font-size:.85rem}
</style></head><body><main>";

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
    row(page, "connect", &summary.connect_us)?;
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

fn write_plot(page: &mut String, title: &str, svg: &str) -> std::fmt::Result {
    write!(page, "<h2>{title}</h2>{svg}")
}

/// Colours stand for style sheet variables: they are replaced when the plot is drawn, so that it
/// is right in light and dark.
const INK: RGBColor = RGBColor(1, 1, 1);
const FAINT: RGBColor = RGBColor(1, 1, 2);
const FIRST: RGBColor = RGBColor(1, 1, 3);
const SECOND: RGBColor = RGBColor(1, 1, 4);
const THIRD: RGBColor = RGBColor(1, 1, 5);

const VARIABLES: [(&str, &str); 5] = [
    ("#010101", "var(--ink)"),
    ("#010102", "var(--faint)"),
    ("#010103", "var(--a)"),
    ("#010104", "var(--b)"),
    ("#010105", "var(--c)"),
];

const SIZE: (u32, u32) = (900, 300);

/// One line of a plot.
struct Curve {
    name: &'static str,
    colour: RGBColor,
    points: Vec<(f64, f64)>,
}

/// What a plot shows besides its curves.
struct Axes<'a> {
    x_max: f64,
    x_text: &'static str,
    x_label: &'a dyn Fn(&f64) -> String,
    y_label: &'a dyn Fn(&f64) -> String,
}

type Chart<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<RangedCoordf64, RangedCoordf64>>;

/// As many labels as there are whole numbers, so that each stands at one.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "at most ten, and axes begin at 0"
)]
fn whole_steps(x_max: f64) -> usize {
    1 + x_max.floor().clamp(1.0, 9.0) as usize
}

fn draw(curves: &[Curve], axes: &Axes<'_>) -> Result<String, Box<dyn Error>> {
    let highest = curves
        .iter()
        .flat_map(|curve| &curve.points)
        .map(|(_, y)| *y);
    let y_max = highest.fold(0.0, f64::max).max(1e-6) * 1.05;
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        let mut chart: Chart<'_, '_> = ChartBuilder::on(&area)
            .margin(8)
            .x_label_area_size(36)
            .y_label_area_size(64)
            .build_cartesian_2d(0.0..axes.x_max, 0.0..y_max)?;
        let text = ("sans-serif", 12).into_font().color(&INK);
        chart
            .configure_mesh()
            .bold_line_style(FAINT)
            .light_line_style(TRANSPARENT)
            .axis_style(FAINT)
            .label_style(text.clone())
            .x_desc(axes.x_text)
            .x_labels(whole_steps(axes.x_max))
            .x_label_formatter(axes.x_label)
            .y_label_formatter(axes.y_label)
            .draw()?;
        for curve in curves {
            let style = ShapeStyle {
                color: curve.colour.to_rgba(),
                filled: false,
                stroke_width: 2,
            };
            chart
                .draw_series(LineSeries::new(curve.points.iter().copied(), style))?
                .label(curve.name)
                .legend(move |(x, y)| PathElement::new(vec![(x, y), (x + 16, y)], style));
        }
        chart
            .configure_series_labels()
            .position(SeriesLabelPosition::UpperLeft)
            .label_font(text)
            .draw()?;
        area.present()?;
    }
    for (colour, variable) in VARIABLES {
        svg = svg.replace(colour, variable);
    }
    Ok(svg)
}

/// The horizontal axis is logarithmic in the distance to 100 %: 0 is the median's left, 1 is 90 %,
/// 2 is 99 %, and so on.
fn percentile_plot(latencies: &Latencies) -> Result<String, Box<dyn Error>> {
    let count = latencies.len().max(1);
    let nines = number(count).log10().clamp(1.0, 7.0);
    let steps = 400;
    let points = (0..=steps).map(|step| {
        let x = nines * f64::from(step) / f64::from(steps);
        let quantile = 1.0 - 10_f64.powf(-x);
        (
            x,
            super::microseconds(latencies.value_at_quantile(quantile)),
        )
    });
    let curve = Curve {
        name: "latency",
        colour: FIRST,
        points: points.collect(),
    };
    let x_label = |x: &f64| {
        let percent = 100.0 * (1.0 - 10_f64.powf(-x));
        let digits = if *x <= 2.0 { 0 } else { 5 };
        let text = format!("{percent:.digits$}");
        let text = if digits == 0 {
            &text
        } else {
            text.trim_end_matches('0')
        };
        format!("{text} %")
    };
    draw(
        &[curve],
        &Axes {
            x_max: nines,
            x_text: "percentile",
            x_label: &x_label,
            y_label: &|us| human_us(*us),
        },
    )
}

/// What a row shows on one curve.
type Value<'a> = &'a dyn Fn(&SecondRow) -> f64;

fn over_time(
    rows: &[SecondRow],
    curves: &[(&'static str, RGBColor, Value<'_>)],
    y_label: &dyn Fn(&f64) -> String,
) -> Result<String, Box<dyn Error>> {
    let time = |row: &SecondRow| number(row.t) + row.length_s;
    let curve = |(name, colour, value): &(&'static str, RGBColor, Value<'_>)| Curve {
        name,
        colour: *colour,
        points: rows.iter().map(|row| (time(row), value(row))).collect(),
    };
    let curves: Vec<Curve> = curves.iter().map(curve).collect();
    let x_max = rows.last().map_or(1.0, time).max(1.0);
    let x_label = |seconds: &f64| format!("{seconds:.0}");
    draw(
        &curves,
        &Axes {
            x_max,
            x_text: "seconds",
            x_label: &x_label,
            y_label,
        },
    )
}

fn latency_plot(rows: &[SecondRow]) -> Result<String, Box<dyn Error>> {
    over_time(
        rows,
        &[
            ("p50", FIRST, &|row| row.latency_us.p50),
            ("p99", SECOND, &|row| row.latency_us.p99),
            ("p99.9", THIRD, &|row| row.latency_us.p999),
        ],
        &|us| human_us(*us),
    )
}

fn rate_plot(rows: &[SecondRow]) -> Result<String, Box<dyn Error>> {
    let per_second = |count: u64, row: &SecondRow| number(count) / row.length_s.max(1e-9);
    over_time(
        rows,
        &[
            ("answers", FIRST, &|row| row.rate),
            ("mismatches", SECOND, &|row| per_second(row.mismatches, row)),
            ("errors", THIRD, &|row| per_second(row.errors, row)),
        ],
        &|count| human_count(*count),
    )
}

fn cpu_plot(rows: &[SecondRow]) -> Result<String, Box<dyn Error>> {
    over_time(
        rows,
        &[
            ("generator, CPUs", FIRST, &|row| row.client_cpu),
            ("stolen share", SECOND, &|row| row.stolen_share),
        ],
        &|value| format!("{value:.2}"),
    )
}

fn lag_plot(rows: &[SecondRow]) -> Result<String, Box<dyn Error>> {
    over_time(rows, &[("p99", FIRST, &|row| row.lag_p99_us)], &|us| {
        human_us(*us)
    })
}

#[expect(clippy::cast_precision_loss, reason = "counts of a run are below 2^53")]
fn number(count: u64) -> f64 {
    count as f64
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            character => escaped.push(character),
        }
    }
    escaped
}

/// A word as a shell takes it.
fn shell_word(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,%+@".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_cannot_leave_its_place() {
        assert_eq!(escape("<a href=\"'&"), "&lt;a href=&quot;&#39;&amp;");
        assert_eq!(shell_word("-c"), "-c");
        assert_eq!(shell_word("A: b'c"), "'A: b'\\''c'");
        assert_eq!(shell_word(""), "''");
    }

    #[test]
    fn plots_follow_the_reader_s_colours() {
        let mut latencies = crate::stats::new_latencies();
        (1..5000).for_each(|n| crate::stats::record(&mut latencies, n * 1000));
        let svg = percentile_plot(&latencies).unwrap();
        assert!(svg.starts_with("<svg") && svg.contains("var(--a)"), "{svg}");
        assert!(!svg.contains("#0101"), "{svg}");
    }
}
