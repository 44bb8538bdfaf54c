//! Plots as inline SVG whose colours are those of the page, so that they are right in light and
//! dark. The legend is HTML below the plot: it wraps, and never covers a curve.

use std::error::Error;
use std::fmt::Write as _;

use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;

use super::page::escape;
use super::{human_us, microseconds};
use crate::stats::Latencies;

/// Colours for curves that the style sheet knows.
pub(super) const COLOURS: u8 = 12;

/// Colours stand for style sheet variables, which take their place when the plot is drawn.
const INK: RGBColor = RGBColor(1, 1, 1);
const FAINT: RGBColor = RGBColor(1, 1, 2);

fn colour_of(series: u8) -> RGBColor {
    RGBColor(1, 2, series % COLOURS)
}

/// Two fit side by side on a desk, and one is readable on a phone.
const SIZE: (u32, u32) = (640, 320);

/// One line of a plot.
pub(super) struct Curve {
    /// What the legend calls it.
    pub(super) name: String,
    /// Its colour, 0 to 11.
    pub(super) series: u8,
    /// How it is drawn.
    pub(super) pen: Pen,
    /// In ascending order of x.
    pub(super) points: Vec<(f64, f64)>,
}

/// How a curve is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pen {
    /// A line.
    Line,
    /// A line with a dot at each point: few points, and nothing is known between them.
    Dots,
    /// The same for what the page is about.
    BoldDots,
}

/// What a plot shows besides its curves.
pub(super) struct Axes<'a> {
    /// From and to.
    pub(super) x: (f64, f64),
    /// Most labels on the horizontal axis.
    pub(super) x_labels: usize,
    /// What is on it.
    pub(super) x_text: &'a str,
    /// A value on it as text; empty where none is wanted.
    pub(super) x_label: &'a dyn Fn(&f64) -> String,
    /// From and to; `None` from 0 to a little more than the highest value.
    pub(super) y: Option<(f64, f64)>,
    /// Most labels on the vertical axis.
    pub(super) y_labels: usize,
    /// A value on it as text.
    pub(super) y_label: &'a dyn Fn(&f64) -> String,
}

type Chart<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<RangedCoordf64, RangedCoordf64>>;

/// As many labels as there are whole numbers, so that each stands at one.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "at most ten, and axes begin at 0"
)]
pub(super) fn whole_steps(x_max: f64) -> usize {
    1 + x_max.floor().clamp(1.0, 9.0) as usize
}

/// A figure: title, plot and legend.
///
/// # Errors
/// When it cannot be drawn, which would be a mistake of this module.
pub(super) fn figure(
    title: &str,
    curves: &[Curve],
    axes: &Axes<'_>,
) -> Result<String, Box<dyn Error>> {
    let svg = draw(title, curves, axes)?;
    let mut html = String::new();
    write!(html, "<figure><figcaption>{}</figcaption>", escape(title))?;
    write!(html, "<div class=plot>{svg}</div>")?;
    if curves.len() > 1 {
        write!(html, "<div class=legend>")?;
        for curve in curves {
            let series = curve.series % COLOURS;
            write!(
                html,
                "<span><i style=\"background:var(--s{series})\"></i>{}</span>",
                escape(&curve.name)
            )?;
        }
        write!(html, "</div>")?;
    }
    write!(html, "</figure>")?;
    Ok(html)
}

fn draw(title: &str, curves: &[Curve], axes: &Axes<'_>) -> Result<String, Box<dyn Error>> {
    let values = curves.iter().flat_map(|curve| &curve.points);
    let highest = values.map(|(_, y)| *y).fold(0.0, f64::max);
    let y = axes.y.unwrap_or((0.0, highest.max(1e-6) * 1.05));
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        let mut chart: Chart<'_, '_> = ChartBuilder::on(&area)
            .margin(6)
            .margin_top(12)
            .margin_right(24)
            .x_label_area_size(50)
            .y_label_area_size(78)
            .build_cartesian_2d(axes.x.0..axes.x.1, y.0..y.1)?;
        let text = ("sans-serif", 17).into_font().color(&INK);
        chart
            .configure_mesh()
            .bold_line_style(FAINT)
            .light_line_style(TRANSPARENT)
            .axis_style(FAINT)
            .label_style(text)
            .x_desc(axes.x_text)
            .x_labels(axes.x_labels)
            .y_labels(axes.y_labels)
            .x_label_formatter(axes.x_label)
            .y_label_formatter(axes.y_label)
            .draw()?;
        for curve in curves {
            let width = if curve.pen == Pen::BoldDots { 4 } else { 2 };
            let line = ShapeStyle {
                color: colour_of(curve.series).to_rgba(),
                filled: false,
                stroke_width: width,
            };
            chart.draw_series(LineSeries::new(curve.points.iter().copied(), line))?;
            if curve.pen != Pen::Line {
                let dots = curve.points.iter();
                let radius = 2 + i32::try_from(width).unwrap_or(2);
                chart.draw_series(dots.map(|at| Circle::new(*at, radius, line.filled())))?;
            }
        }
        area.present()?;
    }
    for (colour, variable) in [("#010101", "var(--ink)"), ("#010102", "var(--faint)")] {
        svg = svg.replace(colour, variable);
    }
    for series in 0..COLOURS {
        svg = svg.replace(&format!("#0102{series:02X}"), &format!("var(--s{series})"));
    }
    let label = format!("<svg role=\"img\" aria-label=\"{}\" ", escape(title));
    Ok(svg.replacen("<svg ", &label, 1))
}

/// Latencies by percentile, one curve for each of `named`: a name and a colour with it. The
/// horizontal axis is logarithmic in the distance to 100 %: 1 is 90 %, 2 is 99 %, and so on. The
/// vertical one is logarithmic too: the tail is what one looks for, and it is far away.
///
/// # Errors
/// When it cannot be drawn.
pub(super) fn percentiles(
    title: &str,
    named: &[(String, u8, &Latencies)],
) -> Result<String, Box<dyn Error>> {
    let most = named.iter().map(|(.., all)| all.len()).max().unwrap_or(1);
    let nines = number(most.max(1)).log10().clamp(1.0, 6.0);
    let curves: Vec<Curve> = named
        .iter()
        .map(|(name, series, latencies)| Curve {
            name: name.clone(),
            series: *series,
            pen: Pen::Line,
            points: percentile_points(latencies, nines),
        })
        .collect();
    let values = || curves.iter().flat_map(|curve| &curve.points).map(|at| at.1);
    let low = values().fold(f64::INFINITY, f64::min);
    let high = values().fold(f64::NEG_INFINITY, f64::max);
    let (low, high) = if low <= high { (low, high) } else { (0.0, 1.0) };
    let y = (low.floor(), high.ceil().max(low.floor() + 1.0));
    figure(
        title,
        &curves,
        &Axes {
            x: (0.0, nines),
            x_labels: whole_steps(nines),
            x_text: "percentile",
            x_label: &percentile_label,
            y: Some(y),
            y_labels: whole_steps(y.1 - y.0),
            y_label: &|log| {
                let is_whole = (log - log.round()).abs() < 1e-6;
                if is_whole {
                    human_us(10_f64.powf(*log))
                } else {
                    String::new()
                }
            },
        },
    )
}

/// The quantiles of `latencies` up to where their number ends, as decimal logarithms of
/// microseconds.
fn percentile_points(latencies: &Latencies, nines: f64) -> Vec<(f64, f64)> {
    const STEPS: u32 = 240;
    let own = number(latencies.len().max(1)).log10().clamp(0.1, nines);
    (0..=STEPS)
        .map(|step| {
            let x = own * f64::from(step) / f64::from(STEPS);
            let quantile = 1.0 - 10_f64.powf(-x);
            let us = microseconds(latencies.value_at_quantile(quantile));
            (x, us.max(1e-3).log10())
        })
        .collect()
}

fn percentile_label(nines: &f64) -> String {
    let percent = 100.0 * (1.0 - 10_f64.powf(-nines));
    let digits = if *nines <= 2.0 { 0 } else { 5 };
    let text = format!("{percent:.digits$}");
    let text = if digits == 0 {
        &text
    } else {
        text.trim_end_matches('0')
    };
    format!("{text} %")
}

/// A count as it is plotted.
#[expect(clippy::cast_precision_loss, reason = "counts of a run are below 2^53")]
pub(super) fn number(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plots_follow_the_reader_s_colours() {
        let mut latencies = crate::stats::new_latencies();
        (1..5000).for_each(|n| crate::stats::record(&mut latencies, n * 1000));
        let named = [
            ("a".to_owned(), 0, &latencies),
            ("<b>".to_owned(), 13, &latencies),
        ];
        let html = percentiles("x < y", &named).unwrap();
        for part in [
            "<svg role=",
            "var(--s0)",
            "var(--s1)",
            "var(--ink)",
            "x &lt; y",
            "&lt;b&gt;",
        ] {
            assert!(html.contains(part), "{part} is not in {html}");
        }
        assert!(!html.contains("#0101") && !html.contains("#0102"), "{html}");
        assert_eq!(html, percentiles("x < y", &named).unwrap());
    }

    #[test]
    fn nothing_to_plot_is_plotted() {
        let empty = crate::stats::new_latencies();
        assert!(percentiles("none", &[]).is_ok());
        assert!(percentiles("empty", &[("a".to_owned(), 0, &empty)]).is_ok());
    }

    #[test]
    fn percentiles_are_named() {
        let check = |nines: f64, expected: &str| assert_eq!(percentile_label(&nines), expected);
        check(0.0, "0 %");
        check(1.0, "90 %");
        check(2.0, "99 %");
        check(3.0, "99.9 %");
        check(5.0, "99.999 %");
    }
}
