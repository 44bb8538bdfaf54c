//! A run second by second: rows for plots, NDJSON and the interval log, written as they come, and
//! at the end of both whether the run is valid.

use std::io::{self, Write};
use std::time::Duration;

use serde::Serialize;

use super::hdr::IntervalLog;
use super::summary::Percentiles;
use crate::engine::Second;

/// Where a series is written while the run goes on.
pub type Output = Box<dyn Write + Send>;

/// One second of a run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SecondRow {
    /// Beginning, seconds after the warm-up.
    pub t: u64,
    /// Length; the last one may be shorter.
    pub length_s: f64,
    /// Answers.
    pub requests: u64,
    /// Answers per second.
    pub rate: f64,
    /// Requests sent.
    pub sent: u64,
    /// Wrong answers.
    pub mismatches: u64,
    /// Requests without a proper answer.
    pub errors: u64,
    /// Answers from a cache as a share of those a cache spoke of.
    pub hit_ratio: Option<f64>,
    /// Bytes received.
    pub received_bytes: u64,
    /// Connections made.
    pub connects: u64,
    /// Latencies.
    pub latency_us: Percentiles,
    /// 99th percentile of the schedule lag; 0 in closed loops.
    pub lag_p99_us: f64,
    /// CPU time of all workers per second.
    pub client_cpu: f64,
    /// Time the workers were ready to run and their CPUs were others', per second.
    pub client_kept_waiting: f64,
    /// Stolen share of the machine's CPU time.
    pub stolen_share: f64,
}

impl SecondRow {
    /// The row of `second`.
    #[must_use]
    #[expect(
        clippy::cast_precision_loss,
        reason = "what one second counts is below 2^52"
    )]
    pub fn new(second: &Second<'_>) -> Self {
        let stats = second.stats;
        let length_s = second.length_s.max(1e-9);
        Self {
            t: second.index,
            length_s: second.length_s,
            requests: stats.answers(),
            rate: stats.answers() as f64 / length_s,
            sent: stats.sent,
            mismatches: stats.mismatches(),
            errors: stats.errors(),
            hit_ratio: stats.hit_ratio(),
            received_bytes: stats.received_bytes,
            connects: stats.connects.len(),
            latency_us: Percentiles::of(&stats.latencies()),
            lag_p99_us: super::microseconds(stats.lag.value_at_quantile(0.99)),
            client_cpu: stats.worker_cpu_ns as f64 / 1e9 / length_s,
            client_kept_waiting: stats.kept_waiting_ns as f64 / 1e9 / length_s,
            stolen_share: second.stolen_share,
        }
    }
}

/// The last line of NDJSON.
#[derive(Serialize)]
struct Verdict<'a> {
    valid: bool,
    invalid_reasons: &'a [String],
}

/// Keeps the rows, and writes them where asked to. What cannot be written ends neither the run nor
/// the other output: it is told at the end.
#[derive(Default)]
pub struct Series {
    rows: Vec<SecondRow>,
    ndjson: Option<Output>,
    log: Option<IntervalLog<Output>>,
    kinds: Vec<String>,
    failures: Vec<SeriesError>,
}

/// An output that could not be written to its end.
#[derive(Debug, thiserror::Error)]
pub enum SeriesError {
    /// One JSON object a line.
    #[error("cannot write the seconds as NDJSON: {0}")]
    Ndjson(io::Error),
    /// The interval log.
    #[error("cannot write the HDR log: {0}")]
    Log(io::Error),
}

impl Series {
    /// A series of requests of these kinds.
    #[must_use]
    pub fn new(kinds: &[String]) -> Self {
        Self {
            kinds: kinds.to_vec(),
            ..Self::default()
        }
    }

    /// Also writes one JSON object a line: the rows, and behind them `valid` and `invalid_reasons`.
    pub fn write_ndjson(&mut self, out: Output) {
        self.ndjson = Some(out);
    }

    /// Also writes an interval log of a run that begins at `started_at`, since 1970.
    pub fn write_log(&mut self, out: Output, started_at: Duration) {
        match IntervalLog::begin(out, started_at) {
            Ok(log) => self.log = Some(log),
            Err(error) => self.failures.push(SeriesError::Log(error)),
        }
    }

    /// Adds a second.
    pub fn push(&mut self, second: &Second<'_>) {
        let row = SecondRow::new(second);
        if let Some(mut out) = self.ndjson.take() {
            match write_line(&mut out, &row) {
                Ok(()) => self.ndjson = Some(out),
                Err(error) => self.failures.push(SeriesError::Ndjson(error)),
            }
        }
        if let Some(mut log) = self.log.take() {
            match append(&mut log, second, &self.kinds) {
                Ok(()) => self.log = Some(log),
                Err(error) => self.failures.push(SeriesError::Log(error)),
            }
        }
        self.rows.push(row);
    }

    /// The rows so far.
    #[must_use]
    pub fn rows(&self) -> &[SecondRow] {
        &self.rows
    }

    /// Says why the run is invalid, if it is, makes sure everything is written, and gives the rows
    /// and what could not be written.
    #[must_use]
    pub fn finish(mut self, invalid_reasons: &[String]) -> (Vec<SecondRow>, Vec<SeriesError>) {
        if let Some(mut out) = self.ndjson.take() {
            let verdict = Verdict {
                valid: invalid_reasons.is_empty(),
                invalid_reasons,
            };
            let written = write_line(&mut out, &verdict);
            self.failures.extend(written.err().map(SeriesError::Ndjson));
        }
        if let Some(log) = self.log.take() {
            let written = log.finish(invalid_reasons);
            self.failures.extend(written.err().map(SeriesError::Log));
        }
        (self.rows, self.failures)
    }
}

/// Writes one JSON object and a line's end, and passes them on.
fn write_line(out: &mut Output, object: &impl Serialize) -> io::Result<()> {
    serde_json::to_writer(&mut *out, object)?;
    out.write_all(b"\n")?;
    out.flush()
}

/// Appends the latencies of `second`, and those of each kind where there are several.
fn append(log: &mut IntervalLog<Output>, second: &Second<'_>, kinds: &[String]) -> io::Result<()> {
    let begins = Duration::from_secs(second.index);
    let length = Duration::from_secs_f64(second.length_s.max(0.0));
    log.append(&second.stats.latencies(), begins, length, None)?;
    if kinds.len() > 1 {
        for (name, kind) in kinds.iter().zip(&second.stats.kinds) {
            log.append(&kind.all_latencies(), begins, length, Some(name))?;
        }
    }
    Ok(())
}
