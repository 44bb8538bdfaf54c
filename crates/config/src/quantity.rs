//! Durations, sizes and rates as people write them: `"10s"`, `"1h30m"`, `"64MiB"`, `"500B/s"`.
//!
//! Whole numbers with a unit, nothing else: a bare number, a fraction or a unit whose meaning
//! depends on the reader (`64M`) is an error that says what to write instead. Ranges are the
//! schema's business, not this module's.

/// Why a text is no quantity: what is wrong, and what to write instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NotAQuantity {
    pub(crate) problem: String,
    pub(crate) remedy: String,
}

/// Duration units, smallest first, in milliseconds.
const DURATIONS: [(&str, u64); 5] = [
    ("ms", 1),
    ("s", 1_000),
    ("m", 60_000),
    ("h", 3_600_000),
    ("d", 86_400_000),
];

/// Size units in bytes; the longest spelling of each size first when shown.
const SIZES: [(&str, u64); 10] = [
    ("TiB", 1 << 40),
    ("TB", 1_000_000_000_000),
    ("GiB", 1 << 30),
    ("GB", 1_000_000_000),
    ("MiB", 1 << 20),
    ("MB", 1_000_000),
    ("KiB", 1 << 10),
    ("KB", 1_000),
    ("kB", 1_000),
    ("B", 1),
];

/// Milliseconds of `"500ms"`, `"10s"`, `"1h30m"`: units from the largest down, each at most once.
pub(crate) fn parse_duration(text: &str) -> Result<u64, NotAQuantity> {
    let remedy = "write whole numbers with a unit, such as \"500ms\", \"10s\", \"1h30m\" or \"7d\"";
    let wrong = |problem: String| NotAQuantity {
        problem,
        remedy: remedy.to_owned(),
    };
    let mut rest = text;
    let mut total = 0_u64;
    let mut last_unit = u64::MAX;
    if text.is_empty() {
        return Err(wrong("a duration is missing".to_owned()));
    }
    while !rest.is_empty() {
        let (number, after) =
            split_number(rest).ok_or_else(|| wrong(format!("`{text}` is not a duration")))?;
        let unit_len = after.bytes().take_while(u8::is_ascii_alphabetic).count();
        let unit = &after[..unit_len];
        let Some((_, unit_ms)) = DURATIONS.iter().find(|(name, _)| *name == unit) else {
            return Err(unknown_duration_unit(text, number, unit, after));
        };
        if *unit_ms >= last_unit {
            return Err(wrong(format!(
                "the units of `{text}` do not go from large to small"
            )));
        }
        last_unit = *unit_ms;
        total = number
            .checked_mul(*unit_ms)
            .and_then(|ms| total.checked_add(ms))
            .ok_or_else(|| wrong(format!("`{text}` is longer than any clock can say")))?;
        rest = &after[unit_len..];
    }
    Ok(total)
}

fn unknown_duration_unit(text: &str, number: u64, unit: &str, after: &str) -> NotAQuantity {
    let (problem, remedy) = match unit.to_ascii_lowercase().as_str() {
        "" if after.starts_with('.') => (
            format!("`{text}` has a fraction"),
            "use the next smaller unit: \"1500ms\" instead of \"1.5s\"".to_owned(),
        ),
        "" => (
            format!("`{text}` has no unit"),
            format!("write \"{number}s\" for seconds or \"{number}ms\" for milliseconds"),
        ),
        "sec" | "secs" | "second" | "seconds" => (
            format!("`{unit}` is not a unit"),
            format!("write \"{number}s\""),
        ),
        "min" | "mins" | "minute" | "minutes" => (
            format!("`{unit}` is not a unit"),
            format!("write \"{number}m\""),
        ),
        "hour" | "hours" | "hr" => (
            format!("`{unit}` is not a unit"),
            format!("write \"{number}h\""),
        ),
        "day" | "days" => (
            format!("`{unit}` is not a unit"),
            format!("write \"{number}d\""),
        ),
        "w" | "week" | "weeks" => (
            format!("`{unit}` is not a unit"),
            format!("count in days: \"{}d\"", number.saturating_mul(7)),
        ),
        "y" | "year" | "years" => (
            format!("`{unit}` is not a unit"),
            format!("count in days: \"{}d\"", number.saturating_mul(365)),
        ),
        _ => (
            format!("`{text}` is not a duration"),
            "the units are ms, s, m, h and d, such as \"10s\" or \"1h30m\"".to_owned(),
        ),
    };
    NotAQuantity { problem, remedy }
}

/// Bytes of `"64MiB"` (1024 × 1024 each) or `"10KB"` (1000 each).
pub(crate) fn parse_size(text: &str) -> Result<u64, NotAQuantity> {
    let remedy =
        "write a whole number with B, KB, KiB, MB, MiB, GB, GiB, TB or TiB, such as \"64MiB\"";
    let wrong = |problem: String| NotAQuantity {
        problem,
        remedy: remedy.to_owned(),
    };
    let (number, unit) =
        split_number(text).ok_or_else(|| wrong(format!("`{text}` is not a size")))?;
    if let Some((_, bytes)) = SIZES.iter().find(|(name, _)| *name == unit) {
        return number
            .checked_mul(*bytes)
            .ok_or_else(|| wrong(format!("`{text}` is more than can be counted")));
    }
    let remedy = match unit.to_ascii_uppercase().as_str() {
        "" => format!("write \"{number}B\", \"{number}KiB\" or \"{number}MiB\""),
        "K" | "KIB" | "KB" => {
            format!("write \"{number}KiB\" (1024 each) or \"{number}KB\" (1000 each)")
        }
        "M" | "MIB" | "MB" => {
            format!("write \"{number}MiB\" (1024² each) or \"{number}MB\" (1000² each)")
        }
        "G" | "GIB" | "GB" => {
            format!("write \"{number}GiB\" (1024³ each) or \"{number}GB\" (1000³ each)")
        }
        "T" | "TIB" | "TB" => {
            format!("write \"{number}TiB\" (1024⁴ each) or \"{number}TB\" (1000⁴ each)")
        }
        _ if unit.starts_with('.') => {
            "use the next smaller unit: \"1536KiB\" instead of \"1.5MiB\"".to_owned()
        }
        _ => remedy.to_owned(),
    };
    let problem = if unit.is_empty() {
        format!("`{text}` has no unit")
    } else {
        format!("`{text}` is not a size")
    };
    Err(NotAQuantity { problem, remedy })
}

/// Bytes a second of `"500B/s"`.
pub(crate) fn parse_rate(text: &str) -> Result<u64, NotAQuantity> {
    let Some(size) = text.strip_suffix("/s") else {
        return Err(NotAQuantity {
            problem: format!("`{text}` is not a rate"),
            remedy: "write a size a second, such as \"500B/s\" or \"64KiB/s\"".to_owned(),
        });
    };
    parse_size(size)
}

/// The leading digits of `text` and what follows them; `None` without a digit or past `u64`.
fn split_number(text: &str) -> Option<(u64, &str)> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    Some((text[..digits].parse().ok()?, &text[digits..]))
}

/// Writes milliseconds the way [`parse_duration`] reads them.
pub(crate) fn show_duration(ms: u64) -> String {
    if ms == 0 {
        return "0s".to_owned();
    }
    let mut rest = ms;
    let mut out = String::new();
    for (unit, unit_ms) in DURATIONS.iter().rev() {
        let count = rest / unit_ms;
        if count > 0 {
            out.push_str(&format!("{count}{unit}"));
            rest %= unit_ms;
        }
    }
    out
}

/// Writes bytes the way [`parse_size`] reads them, in the largest unit that divides them.
pub(crate) fn show_size(bytes: u64) -> String {
    SIZES
        .iter()
        .find(|(_, unit)| bytes != 0 && bytes.is_multiple_of(*unit))
        .map_or_else(
            || "0B".to_owned(),
            |(name, unit)| format!("{}{name}", bytes / unit),
        )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn durations() {
        let good = [
            ("0s", 0),
            ("500ms", 500),
            ("10s", 10_000),
            ("90s", 90_000),
            ("5m", 300_000),
            ("1h30m", 5_400_000),
            ("1d2h3m4s5ms", 93_784_005),
            ("0010s", 10_000),
            ("213503982334d", 213_503_982_334 * 86_400_000),
        ];
        for (text, ms) in good {
            assert_eq!(parse_duration(text), Ok(ms), "{text}");
        }
        let bad = [
            ("", "a duration is missing", "\"10s\""),
            ("10", "`10` has no unit", "\"10s\" for seconds"),
            ("10 s", "`10 s` has no unit", "\"10s\""),
            ("s", "`s` is not a duration", "\"10s\""),
            ("-1s", "`-1s` is not a duration", "\"10s\""),
            ("+1s", "`+1s` is not a duration", "\"10s\""),
            ("1.5s", "`1.5s` has a fraction", "1500ms"),
            ("30m1h", "do not go from large to small", "1h30m"),
            ("1s1s", "do not go from large to small", "1h30m"),
            ("10sec", "`sec` is not a unit", "\"10s\""),
            ("2weeks", "`weeks` is not a unit", "\"14d\""),
            ("1y", "`y` is not a unit", "\"365d\""),
            ("10S", "is not a duration", "ms, s, m, h and d"),
            ("10µs", "has no unit", "10ms"),
            ("213503982335d", "longer than any clock", "\"7d\""),
            ("99999999999999999999s", "is not a duration", "\"10s\""),
        ];
        for (text, problem, remedy) in bad {
            let error = parse_duration(text).expect_err(text);
            assert!(error.problem.contains(problem), "{text}: {}", error.problem);
            assert!(error.remedy.contains(remedy), "{text}: {}", error.remedy);
        }
    }

    #[test]
    fn sizes_and_rates() {
        let good = [
            ("0B", 0),
            ("1B", 1),
            ("10KB", 10_000),
            ("10kB", 10_000),
            ("64MiB", 64 << 20),
            ("1GiB", 1 << 30),
            ("2TB", 2_000_000_000_000),
            ("16777215TiB", 16_777_215 << 40),
        ];
        for (text, bytes) in good {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
            assert_eq!(parse_rate(&format!("{text}/s")), Ok(bytes), "{text}/s");
        }
        let bad = [
            ("", "`` is not a size", "64MiB"),
            ("64", "`64` has no unit", "\"64MiB\""),
            ("64M", "`64M` is not a size", "\"64MiB\" (1024² each)"),
            ("64mib", "`64mib` is not a size", "\"64MiB\""),
            ("64k", "`64k` is not a size", "\"64KB\""),
            ("1.5MiB", "is not a size", "1536KiB"),
            ("64 MiB", "is not a size", "64MiB"),
            ("MiB", "is not a size", "64MiB"),
            ("16777216TiB", "more than can be counted", "64MiB"),
        ];
        for (text, problem, remedy) in bad {
            let error = parse_size(text).expect_err(text);
            assert!(error.problem.contains(problem), "{text}: {}", error.problem);
            assert!(error.remedy.contains(remedy), "{text}: {}", error.remedy);
        }
        assert!(
            parse_rate("500B")
                .expect_err("no /s")
                .problem
                .contains("not a rate")
        );
        assert!(
            parse_rate("500/s")
                .expect_err("no unit")
                .problem
                .contains("no unit")
        );
    }

    proptest! {
        #[test]
        fn what_is_shown_reads_back(n in 0..u64::MAX) {
            prop_assert_eq!(parse_duration(&show_duration(n)), Ok(n));
            prop_assert_eq!(parse_size(&show_size(n)), Ok(n));
        }

        #[test]
        fn any_text_is_answered(text in ".{0,24}") {
            if let Ok(ms) = parse_duration(&text) {
                prop_assert_eq!(parse_duration(&show_duration(ms)), Ok(ms));
            }
            prop_assert_eq!(parse_size(&text).ok(), parse_rate(&format!("{text}/s")).ok());
        }
    }
}
