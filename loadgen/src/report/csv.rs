//! The summary as CSV (RFC 4180): one line for all requests, and one for each kind and outcome.

use super::summary::{Percentiles, Summary};

/// The columns, in order.
pub const COLUMNS: &str = "kind,cache,valid,requests,mismatches,errors,rate,\
                           min_us,mean_us,p50_us,p75_us,p90_us,p99_us,p999_us,p9999_us,max_us";

/// The document, with a header line.
#[must_use]
pub fn render(summary: &Summary) -> String {
    let mut lines = vec![COLUMNS.to_owned()];
    let valid = summary.valid;
    lines.push(format!(
        "all,all,{valid},{},{},{},{:.3},{}",
        summary.requests,
        summary.mismatches,
        summary.errors,
        summary.rate,
        times(&summary.latency_us)
    ));
    for kind in &summary.kinds {
        let name = quoted(&kind.name);
        lines.push(format!(
            "{name},all,{valid},{},{},,{:.3},{}",
            kind.requests,
            kind.mismatches,
            rate(kind.requests, summary.duration_s),
            times(&kind.latency_us)
        ));
        for (cache, latencies) in &kind.latency_us_by_cache {
            lines.push(format!(
                "{name},{cache},{valid},{},,,{:.3},{}",
                latencies.count,
                rate(latencies.count, summary.duration_s),
                times(latencies)
            ));
        }
    }
    lines.join("\r\n") + "\r\n"
}

#[expect(
    clippy::cast_precision_loss,
    reason = "counts of a run are far below 2^52"
)]
fn rate(count: u64, seconds: f64) -> f64 {
    if seconds > 0.0 {
        count as f64 / seconds
    } else {
        0.0
    }
}

fn times(of: &Percentiles) -> String {
    [
        of.min, of.mean, of.p50, of.p75, of.p90, of.p99, of.p999, of.p9999, of.max,
    ]
    .map(|us| format!("{us:.3}"))
    .join(",")
}

/// A cell; also safe to open in a spreadsheet, where `=`, `+`, `-` and `@` begin formulas.
fn quoted(text: &str) -> String {
    let formula = text.starts_with(['=', '+', '-', '@']);
    let text = if formula {
        format!("'{text}")
    } else {
        text.to_owned()
    };
    if text.contains([',', '"', '\r', '\n']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_quoted() {
        let check = |text: &str, expected: &str| assert_eq!(quoted(text), expected);
        check("a", "a");
        check("a,b", "\"a,b\"");
        check("a\"b", "\"a\"\"b\"");
        check("=1+1", "'=1+1");
    }
}
