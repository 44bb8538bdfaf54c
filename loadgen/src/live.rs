//! What is shown while a run goes on: a view on a terminal, plain lines elsewhere.
//!
//! Only ever standard error: standard output is data. The view draws below the cursor and leaves
//! no raw mode behind, so that Ctrl-C stays a signal.

use std::io::{self, IsTerminal as _, Stderr, Write as _};
use std::time::{Duration, Instant};

use ratatui::backend::CrosstermBackend;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Style};
use ratatui::text::Line;
use ratatui::widgets::{Gauge, Paragraph, Sparkline};
use ratatui::{Frame, Terminal, TerminalOptions, Viewport};

use crate::engine::{Phase, Progress};
use crate::plan::Length;
use crate::report::{SecondRow, human_bytes, human_count, human_us};

/// Lines the view takes.
const VIEW_LINES: u16 = 10;

/// Columns of what stands before a line's numbers or plot, and before a plot in all.
const NAME_COLUMNS: usize = 10;
const PLOT_NAME_COLUMNS: u16 = 24;

/// From this share of a second on it is shown that others had the generator's CPU.
const KEPT_WAITING_SHOWN: f64 = 0.01;

/// Distance of plain progress lines.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// What is shown, and where.
pub struct Live {
    surface: Surface,
    length: Length,
    warmup: Duration,
    title: String,
    totals: Totals,
}

enum Surface {
    Nothing,
    Lines { last: Instant },
    View(Box<Terminal<CrosstermBackend<Stderr>>>),
}

/// What the rows so far add up to.
#[derive(Default)]
struct Totals {
    requests: u64,
    mismatches: u64,
    errors: u64,
    last: Option<SecondRow>,
    /// Answers per second, and 99th percentiles of the latency in nanoseconds.
    rates: Vec<u64>,
    p99s_ns: Vec<u64>,
}

/// Whether anything is to be shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verbosity {
    /// Progress.
    Normal,
    /// Nothing.
    Quiet,
}

impl Live {
    /// A view where standard error is a terminal, lines where it is not, nothing when quiet.
    #[must_use]
    pub fn new(verbosity: Verbosity, title: &str, length: Length, warmup: Duration) -> Self {
        let surface = match verbosity {
            Verbosity::Quiet => Surface::Nothing,
            Verbosity::Normal if io::stderr().is_terminal() => view().map_or(
                Surface::Lines {
                    last: Instant::now(),
                },
                |view| Surface::View(Box::new(view)),
            ),
            Verbosity::Normal => Surface::Lines {
                last: Instant::now(),
            },
        };
        let totals = Totals::default();
        Self {
            surface,
            length,
            warmup,
            title: title.to_owned(),
            totals,
        }
    }

    /// Takes in a second.
    pub fn second(&mut self, row: &SecondRow) {
        let totals = &mut self.totals;
        totals.requests += row.requests;
        totals.mismatches += row.mismatches;
        totals.errors += row.errors;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a rate of answers and a latency are positive and far below 2^63"
        )]
        {
            totals.rates.push(row.rate as u64);
            totals.p99s_ns.push((1e3 * row.latency_us.p99) as u64);
        }
        totals.last = Some(row.clone());
    }

    /// Shows how far the run is.
    pub fn tick(&mut self, progress: &Progress) {
        let Self {
            surface, totals, ..
        } = self;
        match surface {
            Surface::Nothing => {}
            Surface::Lines { last } => {
                if last.elapsed() >= LINE_EVERY {
                    *last = Instant::now();
                    let text = line_of(totals, progress);
                    // A closed standard error ends no run.
                    drop(writeln!(io::stderr(), "loadgen: {text}"));
                }
            }
            Surface::View(terminal) => {
                let done = share_done(self.length, self.warmup, totals, progress);
                let phase = match self.length {
                    Length::Duration(length) if progress.phase == Phase::Measuring => {
                        let whole = (self.warmup + length).as_secs_f64();
                        format!("{} of {whole:.0} s", phase_text(progress))
                    }
                    Length::Duration(_) | Length::Count(_) => phase_text(progress),
                };
                let title = &self.title;
                drop(terminal.draw(|frame| draw(frame, title, &phase, totals, done)));
            }
        }
    }

    /// Leaves the terminal as it was found.
    pub fn finish(self) {
        if let Surface::View(mut terminal) = self.surface {
            let top = terminal.get_frame().area().as_position();
            drop(terminal.clear());
            // What is written next begins where the view began.
            drop(terminal.set_cursor_position(top));
            drop(terminal.show_cursor());
        }
    }
}

fn view() -> io::Result<Terminal<CrosstermBackend<Stderr>>> {
    let options = TerminalOptions {
        viewport: Viewport::Inline(VIEW_LINES),
    };
    Terminal::with_options(CrosstermBackend::new(io::stderr()), options)
}

fn phase_text(progress: &Progress) -> String {
    let seconds = progress
        .elapsed
        .map_or(0.0, |elapsed| elapsed.as_secs_f64());
    match progress.phase {
        Phase::Connecting => "connecting".to_owned(),
        Phase::WarmUp => format!("warming up, {seconds:.0} s"),
        Phase::Measuring => format!("{seconds:.0} s"),
        Phase::Draining => "waiting for the last answers".to_owned(),
    }
}

fn line_of(totals: &Totals, progress: &Progress) -> String {
    let mut text = format!("{}: {} answers", phase_text(progress), totals.requests);
    if let Some(row) = &totals.last {
        let (rate, p99) = (human_count(row.rate), human_us(row.latency_us.p99));
        text += &format!(", {rate}/s, p99 {p99}");
    }
    text + &format!(
        ", {} mismatches, {} errors",
        totals.mismatches, totals.errors
    )
}

#[expect(
    clippy::cast_precision_loss,
    reason = "counts of a run are far below 2^52"
)]
fn share_done(length: Length, warmup: Duration, totals: &Totals, progress: &Progress) -> f64 {
    let done = match length {
        Length::Count(count) => totals.requests as f64 / count.max(1) as f64,
        Length::Duration(length) => {
            let elapsed = progress.elapsed.unwrap_or_default().as_secs_f64();
            elapsed / (warmup + length).as_secs_f64().max(1e-9)
        }
    };
    done.clamp(0.0, 1.0)
}

/// How far it is, and of the title what fits.
fn heading(title: &str, phase: &str, width: usize) -> String {
    let room = width.saturating_sub(phase.chars().count() + 3);
    if title.chars().count() <= room {
        return format!("{phase}   {title}");
    }
    let shown: String = title.chars().take(room.saturating_sub(1)).collect();
    format!("{phase}   {shown}…")
}

fn draw(frame: &mut Frame<'_>, title: &str, phase: &str, totals: &Totals, done: f64) {
    let [head, bar, numbers, rates, p99s] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(1),
        Constraint::Length(4),
        Constraint::Fill(1),
        Constraint::Fill(1),
    ])
    .areas(frame.area());
    let heading = heading(title, phase, usize::from(head.width));
    frame.render_widget(Paragraph::new(heading), head);
    let gauge = Gauge::default()
        .ratio(done)
        .gauge_style(Style::new().fg(Color::Blue));
    frame.render_widget(gauge, bar);
    let Some(row) = &totals.last else {
        let text = vec![Line::raw("no second is over yet"), counts(totals)];
        frame.render_widget(Paragraph::new(text), numbers);
        return;
    };
    frame.render_widget(Paragraph::new(numbers_of(totals, row)), numbers);
    #[expect(
        clippy::cast_precision_loss,
        reason = "rates and latencies are far below 2^52"
    )]
    let highest = |values: &[u64]| values.iter().copied().max().unwrap_or(0) as f64;
    let most = format!("{}/s", human_count(highest(&totals.rates)));
    plot(frame, rates, "rate", &most, &totals.rates);
    let most = human_us(highest(&totals.p99s_ns) / 1e3);
    plot(frame, p99s, "p99", &most, &totals.p99s_ns);
}

/// What went wrong so far, red when anything did.
fn counts(totals: &Totals) -> Line<'static> {
    let hits = totals.last.as_ref().and_then(|row| row.hit_ratio);
    let hits = hits.map_or(String::new(), |ratio| {
        format!("   hits {:.1} %", 100.0 * ratio)
    });
    let trouble = totals.mismatches + totals.errors > 0;
    let text = format!(
        "{:<NAME_COLUMNS$}mismatches {}   errors {}{hits}",
        "", totals.mismatches, totals.errors
    );
    Line::styled(
        text,
        Style::new().fg(if trouble { Color::Red } else { Color::Reset }),
    )
}

/// The totals, and the second `row`.
fn numbers_of(totals: &Totals, row: &SecondRow) -> Vec<Line<'static>> {
    let line = |name: &str, text: String| Line::raw(format!("{name:<NAME_COLUMNS$}{text}"));
    #[expect(
        clippy::cast_precision_loss,
        reason = "bytes of a second are below 2^52"
    )]
    let received = human_bytes(row.received_bytes as f64);
    let rate = human_count(row.rate);
    let answers = format!("{}   {rate}/s   {received}/s", totals.requests);
    let times = &row.latency_us;
    let quantiles = [
        ("p50", times.p50),
        ("p90", times.p90),
        ("p99", times.p99),
        ("p99.9", times.p999),
        ("max", times.max),
    ];
    let latency: Vec<String> = quantiles
        .iter()
        .map(|(name, us)| format!("{name} {}", human_us(*us)))
        .collect();
    let mut generator = format!("{:.0} % of a CPU", 100.0 * row.client_cpu);
    if row.lag_p99_us > 0.0 {
        generator += &format!("   lag p99 {}", human_us(row.lag_p99_us));
    }
    if row.client_kept_waiting >= KEPT_WAITING_SHOWN {
        let kept = 100.0 * row.client_kept_waiting;
        generator += &format!("   kept waiting {kept:.0} %");
    }
    generator += &format!("   stolen {:.1} %", 100.0 * row.stolen_share);
    vec![
        line("answers", answers),
        counts(totals),
        line("latency", latency.join("   ")),
        line("generator", generator),
    ]
}

/// One column a second, as many of the last ones as fit; the highest of all seconds is named.
fn plot(frame: &mut Frame<'_>, area: Rect, name: &str, most: &str, values: &[u64]) {
    let [label, bars] =
        Layout::horizontal([Constraint::Length(PLOT_NAME_COLUMNS), Constraint::Fill(1)])
            .areas(area);
    let label_text = format!("{name:<NAME_COLUMNS$}0–{most}");
    frame.render_widget(Paragraph::new(label_text), label);
    let from = values.len().saturating_sub(usize::from(bars.width));
    let sparkline = Sparkline::default()
        .data(&values[from..])
        .max(values.iter().copied().max().unwrap_or(0).max(1));
    frame.render_widget(sparkline.style(Style::new().fg(Color::Blue)), bars);
}

#[cfg(test)]
mod tests {
    use super::*;
    use ratatui::backend::TestBackend;

    fn row() -> SecondRow {
        let stats = crate::stats::Stats::new(1);
        let second = crate::engine::Second {
            index: 0,
            stats: &stats,
            length_s: 1.0,
            stolen_share: 0.0,
        };
        SecondRow {
            requests: 1500,
            rate: 1500.0,
            mismatches: 2,
            ..SecondRow::new(&second)
        }
    }

    fn totals() -> Totals {
        Totals {
            requests: 1500,
            mismatches: 2,
            errors: 1,
            last: Some(row()),
            rates: vec![1500, 750],
            p99s_ns: vec![1000, 20_500_000],
        }
    }

    const MEASURING: Progress = Progress {
        elapsed: Some(Duration::from_secs(5)),
        phase: Phase::Measuring,
        connected: 1,
    };

    #[test]
    fn the_view_shows_what_matters() {
        let mut terminal = Terminal::new(TestBackend::new(90, VIEW_LINES)).unwrap();
        terminal
            .draw(|frame| draw(frame, "http://x/", "5 s of 10 s", &totals(), 0.5))
            .unwrap();
        let text = terminal.backend().to_string();
        for part in [
            "5 s of 10 s   http://x/",
            "50%",
            "answers   1500   1.50k/s",
            "mismatches 2   errors 1",
            "latency   p50 0",
            "rate      0–1.50k/s     █",
            "p99       0–20.5 ms      █",
        ] {
            assert!(text.contains(part), "{part} is not in {text}");
        }
        let empty = Totals::default();
        terminal
            .draw(|frame| draw(frame, "http://x/", "0 s", &empty, 0.0))
            .unwrap();
        assert!(
            terminal
                .backend()
                .to_string()
                .contains("no second is over yet")
        );
    }

    #[test]
    fn long_titles_are_cut() {
        let check = |title: &str, width: usize, expected: &str| {
            assert_eq!(heading(title, "5 s", width), expected);
        };
        check("http://x/", 15, "5 s   http://x/");
        check("http://x/", 14, "5 s   http://…");
        check("http://x/", 2, "5 s   …");
    }

    #[test]
    fn progress_is_shared_out() {
        let check = |length, expected: f64| {
            let done = share_done(length, Duration::from_secs(5), &totals(), &MEASURING);
            assert!((done - expected).abs() < 1e-9, "{done}");
        };
        check(Length::Count(3000), 0.5);
        check(Length::Count(10), 1.0);
        check(Length::Duration(Duration::from_secs(5)), 0.5);
        check(Length::Duration(Duration::ZERO), 1.0);
    }

    #[test]
    fn lines_say_the_same() {
        let text = line_of(&totals(), &MEASURING);
        assert_eq!(
            text,
            "5 s: 1500 answers, 1.50k/s, p99 0, 2 mismatches, 1 errors"
        );
    }
}
