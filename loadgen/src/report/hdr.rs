//! HdrHistogram's own forms: the `.hgrm` percentile table and the V2 interval log.
//!
//! Formats as HdrHistogram's Java and C implementations write and plot them. Values of the table
//! are milliseconds, like those of wrk2; histograms in the log are nanoseconds. Both forms have
//! comments, lines that begin with `#`: an invalid run ends with one for each reason.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::time::Duration;

use hdrhistogram::serialization::V2DeflateSerializer;
use hdrhistogram::serialization::interval_log::{IntervalLogWriterBuilder, Tag};

use crate::stats::Latencies;

/// Lines of the table between two halvings of the distance to 100 %.
const TICKS_PER_HALF: u32 = 5;

const NS_PER_MS: f64 = 1e6;

/// The percentile table. `invalid_reasons`: why the run does not count, empty when it does.
#[must_use]
#[expect(
    clippy::cast_precision_loss,
    reason = "a day in nanoseconds is below 2^53"
)]
pub fn hgrm(latencies: &Latencies, invalid_reasons: &[String]) -> String {
    let mut text = String::from("       Value     Percentile TotalCount 1/(1-Percentile)\n\n");
    let mut total = 0;
    for value in latencies.iter_quantiles(TICKS_PER_HALF) {
        total += value.count_since_last_iteration();
        let (ms, quantile) = (
            value.value_iterated_to() as f64 / NS_PER_MS,
            value.quantile_iterated_to(),
        );
        // Writing to a String cannot fail.
        let _ = if quantile < 1.0 {
            let inverse = 1.0 / (1.0 - quantile);
            writeln!(text, "{ms:12.6} {quantile:14.12} {total:10} {inverse:14.2}")
        } else {
            writeln!(text, "{ms:12.6} {quantile:14.12} {total:10}            inf")
        };
    }
    let (mean, deviation) = (latencies.mean() / NS_PER_MS, latencies.stdev() / NS_PER_MS);
    let _ = writeln!(
        text,
        "#[Mean    = {mean:12.6}, StdDeviation   = {deviation:12.6}]"
    );
    let max = latencies.max() as f64 / NS_PER_MS;
    let _ = writeln!(
        text,
        "#[Max     = {max:12.6}, Total count    = {:12}]",
        latencies.len()
    );
    let (buckets, sub_buckets) = (
        latencies.buckets(),
        2 * 10_u32.pow(latencies.sigfig().into()),
    );
    let sub_buckets = sub_buckets.next_power_of_two();
    let _ = writeln!(
        text,
        "#[Buckets = {buckets:12}, SubBuckets     = {sub_buckets:12}]"
    );
    text + &marks(invalid_reasons)
}

/// The comments of an invalid run, a line each.
fn marks(invalid_reasons: &[String]) -> String {
    let one_line = |reason: &String| reason.replace(['\r', '\n'], " ");
    let mark = |reason| format!("#[INVALID: {}]\n", one_line(reason));
    invalid_reasons.iter().map(mark).collect()
}

/// An interval log: one compressed histogram for each second, at seconds after its start time.
#[derive(Debug)]
pub struct IntervalLog<W> {
    out: W,
}

impl<W: Write> IntervalLog<W> {
    /// Begins a log of a run that began at `started_at`, since 1970.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn begin(mut out: W, started_at: Duration) -> io::Result<Self> {
        writeln!(out, "#[Histogram log format version 1.2]")?;
        writeln!(
            out,
            "#[StartTime: {:.3} (seconds since epoch)]",
            started_at.as_secs_f64()
        )?;
        writeln!(
            out,
            "\"StartTimestamp\",\"Interval_Length\",\"Interval_Max\",\
             \"Interval_Compressed_Histogram\""
        )?;
        Ok(Self { out })
    }

    /// Appends an interval that began `begins` after the start. `tag` names the kind of request.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn append(
        &mut self,
        latencies: &Latencies,
        begins: Duration,
        length: Duration,
        tag: Option<&str>,
    ) -> io::Result<()> {
        // The writer of the crate borrows its output for its whole life and begins with comments;
        // so each line is made apart and its comments are left out.
        let mut lines = Vec::new();
        let mut serializer = V2DeflateSerializer::new();
        let tag: Option<String> = tag.map(|tag| tag.replace([',', ' ', '\r', '\n'], "_"));
        IntervalLogWriterBuilder::new()
            .with_max_value_divisor(NS_PER_MS)
            .begin_log_with(&mut lines, &mut serializer)?
            .write_histogram(latencies, begins, length, tag.as_deref().and_then(Tag::new))
            .map_err(|error| io::Error::other(error.to_string()))?;
        for line in lines.split_inclusive(|&byte| byte == b'\n') {
            if !line.starts_with(b"#") {
                self.out.write_all(line)?;
            }
        }
        Ok(())
    }

    /// Says why the run is invalid, if it is, and makes sure everything is written.
    ///
    /// # Errors
    /// When it is not.
    pub fn finish(mut self, invalid_reasons: &[String]) -> io::Result<()> {
        self.out.write_all(marks(invalid_reasons).as_bytes())?;
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::{new_latencies, record};
    use hdrhistogram::serialization::Deserializer;
    use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry};

    fn thousand() -> Latencies {
        let mut latencies = new_latencies();
        (1..=1000).for_each(|n| record(&mut latencies, n * 1_000_000));
        latencies
    }

    #[test]
    fn the_table_can_be_read_by_plotters() {
        let text = hgrm(&thousand(), &[]);
        let rows: Vec<Vec<f64>> = text
            .lines()
            .skip(2)
            .filter(|line| !line.starts_with('#'))
            .map(|line| {
                line.split_whitespace()
                    .map(|cell| cell.parse().unwrap())
                    .collect()
            })
            .collect();
        assert!(
            rows.windows(2)
                .all(|pair| pair[0][0] <= pair[1][0] && pair[0][1] <= pair[1][1])
        );
        let median = rows.iter().find(|row| row[1] >= 0.5).unwrap();
        assert!(
            (median[0] - 500.0).abs() < 1.0 && (median[2] - 500.0).abs() < 1.0,
            "{median:?}"
        );
        let last = rows.last().unwrap();
        assert_eq!((last[1], last[2]), (1.0, 1000.0));
        assert!(text.contains("#[Mean    =   500"), "{text}");
        assert!(text.contains("Total count    =         1000]"), "{text}");
        assert!(!text.contains("INVALID"), "{text}");
        let reasons = ["steal".to_owned(), "two\nlines".to_owned()];
        let text = hgrm(&new_latencies(), &reasons);
        assert!(text.contains("Total count    =            0]"), "{text}");
        assert!(
            text.ends_with("]\n#[INVALID: steal]\n#[INVALID: two lines]\n"),
            "{text}"
        );
    }

    #[test]
    fn the_log_holds_the_same_histogram() {
        let mut out = Vec::new();
        let mut log = IntervalLog::begin(&mut out, Duration::from_secs(1_795_339_783)).unwrap();
        let second = Duration::from_secs(1);
        log.append(&thousand(), second, second, Some("GET /a, b"))
            .unwrap();
        log.append(&new_latencies(), 2 * second, second, None)
            .unwrap();
        log.finish(&["steal".to_owned()]).unwrap();
        assert!(out.ends_with(b"\n#[INVALID: steal]\n"));
        // The crate's own reader does not know the Java legend, which begins with a quote.
        let text: Vec<u8> = out
            .split_inclusive(|&byte| byte == b'\n')
            .filter(|line| !line.starts_with(b"\""))
            .flatten()
            .copied()
            .collect();
        let histograms: Vec<_> = IntervalLogIterator::new(&text)
            .filter_map(|entry| match entry.unwrap() {
                LogEntry::Interval(interval) => Some(interval),
                _ => None,
            })
            .collect();
        assert_eq!(histograms.len(), 2);
        assert_eq!(histograms[0].tag().unwrap().as_str(), "GET_/a__b");
        assert!((histograms[0].max() - 1000.0).abs() < 1.0);
        let encoded = histograms[0].encoded_histogram();
        let bytes = base64(encoded);
        let read: Latencies = Deserializer::new()
            .deserialize(&mut bytes.as_slice())
            .unwrap();
        assert_eq!(read, thousand());
    }

    /// RFC 4648 §4, for the test only.
    fn base64(text: &str) -> Vec<u8> {
        let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let (mut bytes, mut bits, mut count) = (Vec::new(), 0_u32, 0);
        for byte in text.bytes().filter(|byte| *byte != b'=') {
            let digit = alphabet.iter().position(|letter| *letter == byte).unwrap();
            bits = bits << 6 | u32::try_from(digit).unwrap();
            count += 6;
            if count >= 8 {
                count -= 8;
                bytes.push((bits >> count & 0xff) as u8);
            }
        }
        bytes
    }
}
