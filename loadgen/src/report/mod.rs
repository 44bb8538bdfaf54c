//! What a run found, in every form it is given out.
//!
//! [`Summary`] holds the numbers and is the JSON document; the other forms are made from it. An
//! invalid run is marked in each of them.

pub mod csv;
pub mod hdr;
pub mod html;
pub mod markdown;
mod page;
mod plot;
pub mod series;
pub mod suite;
pub mod summary;
pub mod text;

pub use series::{SecondRow, Series};
pub use summary::{Percentiles, RunFacts, Setup, Summary};

/// Microseconds with at most three decimals, from nanoseconds.
#[must_use]
#[expect(
    clippy::cast_precision_loss,
    reason = "a day in nanoseconds is below 2^53"
)]
pub(crate) fn microseconds(ns: u64) -> f64 {
    ns as f64 / 1e3
}

/// A time for people: `850 ns`, `12.3 µs`, `4.56 ms`, `1.20 s`.
#[must_use]
pub(crate) fn human_us(us: f64) -> String {
    match us {
        us if us <= 0.0 => "0".to_owned(),
        us if us < 1.0 => format!("{:.0} ns", us * 1e3),
        us if us < 1e3 => format!("{} µs", three_digits(us)),
        us if us < 1e6 => format!("{} ms", three_digits(us / 1e3)),
        us => format!("{} s", three_digits(us / 1e6)),
    }
}

/// A count or rate for people: `950`, `12.3k`, `4.56M`.
#[must_use]
pub(crate) fn human_count(count: f64) -> String {
    match count {
        count if count < 1e3 => format!("{count:.0}"),
        count if count < 1e6 => format!("{}k", three_digits(count / 1e3)),
        count if count < 1e9 => format!("{}M", three_digits(count / 1e6)),
        count => format!("{}G", three_digits(count / 1e9)),
    }
}

/// `1 worker`, `2 workers`.
#[must_use]
pub(crate) fn counted(count: usize, thing: &str) -> String {
    let ending = if count == 1 { "" } else { "s" };
    format!("{count} {thing}{ending}")
}

/// Bytes for people.
#[must_use]
pub(crate) fn human_bytes(bytes: f64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut value = bytes;
    for unit in &UNITS[..4] {
        if value < 1024.0 {
            return format!("{} {unit}", three_digits(value));
        }
        value /= 1024.0;
    }
    format!("{} {}", three_digits(value), UNITS[4])
}

fn three_digits(value: f64) -> String {
    match value {
        value if value < 10.0 => format!("{value:.2}"),
        value if value < 100.0 => format!("{value:.1}"),
        value => format!("{value:.0}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_for_people() {
        let check = |got: String, expected: &str| assert_eq!(got, expected);
        check(human_us(0.0), "0");
        check(human_us(0.85), "850 ns");
        check(human_us(12.34), "12.3 µs");
        check(human_us(4_560.0), "4.56 ms");
        check(human_us(1_200_000.0), "1.20 s");
        check(human_us(120_000_000.0), "120 s");
        check(human_count(950.0), "950");
        check(human_count(12_345.0), "12.3k");
        check(human_count(4_560_000.0), "4.56M");
        check(counted(1, "worker"), "1 worker");
        check(counted(0, "worker"), "0 workers");
        check(human_bytes(100.0), "100 B");
        check(human_bytes(1536.0), "1.50 KiB");
        check(human_bytes(3.0 * 1024.0 * 1024.0), "3.00 MiB");
    }
}
