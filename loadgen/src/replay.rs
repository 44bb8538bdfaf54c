//! Access logs as traffic: which requests were made, and when.
//!
//! Reads the common and combined formats of Apache and nginx, and JSON lines with the field names
//! of nginx, Caddy, Envoy and Corsair. Only GET, HEAD and OPTIONS are replayed: a log does not
//! hold the bodies of the others. Of the request's fields only `Origin` is read, where JSON names
//! it. Logs that count in whole seconds are spread evenly over each second, because a burst on
//! every second was never there. Pure.

use corsair_http1::is_field_value;
use jiff::Timestamp;
use jiff::fmt::strtime;
use serde_json::Value;

use crate::traffic::is_target_byte;

/// Requests of a log, in the order of their times.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Log {
    /// The requests.
    pub requests: Vec<LoggedRequest>,
    /// Lines that hold no request that can be replayed.
    pub skipped: usize,
}

/// One request of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoggedRequest {
    /// Nanoseconds after the first request of the log.
    pub time_ns: u64,
    /// The method.
    pub method: LoggedMethod,
    /// Path and query.
    pub target: Box<str>,
    /// The Web origin it named, where the log says so.
    pub origin: Option<Box<str>>,
}

/// Methods that are replayed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoggedMethod {
    /// GET
    Get,
    /// HEAD
    Head,
    /// OPTIONS
    Options,
}

impl LoggedMethod {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Get, Self::Head, Self::Options];

    /// The name in the request line.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Options => "OPTIONS",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|method| method.as_str() == text)
    }
}

struct Line<'a> {
    time: Timestamp,
    method: LoggedMethod,
    target: std::borrow::Cow<'a, str>,
    origin: Option<String>,
}

impl Line<'_> {
    fn is_sendable(&self) -> bool {
        let origin = self.origin.as_deref().unwrap_or_default();
        self.target.starts_with('/')
            && self.target.bytes().all(is_target_byte)
            && is_field_value(origin.as_bytes())
    }
}

/// Reads a log; each line may be of either format.
#[must_use]
pub fn parse_log(text: &str) -> Log {
    let mut log = Log::default();
    let mut timed: Vec<(i128, LoggedRequest)> = Vec::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let parsed = if line.starts_with('{') {
            parse_json(line)
        } else {
            parse_combined(line)
        };
        match parsed {
            Some(line) if line.is_sendable() => {
                let request = LoggedRequest {
                    time_ns: 0,
                    method: line.method,
                    target: line.target.into(),
                    origin: line.origin.map(Into::into),
                };
                timed.push((line.time.as_nanosecond(), request));
            }
            Some(_) | None => log.skipped += 1,
        }
    }
    timed.sort_by_key(|(time, _)| *time);
    spread_within_seconds(&mut timed);
    let first = timed.first().map_or(0, |(time, _)| *time);
    log.requests = timed
        .into_iter()
        .map(|(time, request)| {
            let time_ns = u64::try_from(time - first).unwrap_or(u64::MAX);
            LoggedRequest { time_ns, ..request }
        })
        .collect();
    log
}

/// `k` requests logged at one whole second become requests at `1/k` second distances in it.
fn spread_within_seconds(timed: &mut [(i128, LoggedRequest)]) {
    const SECOND: i128 = 1_000_000_000;
    if timed.iter().any(|(time, _)| time % SECOND != 0) {
        return;
    }
    for same in timed.chunk_by_mut(|(a, _), (b, _)| a == b) {
        let count = same.len() as i128;
        for ((time, _), index) in same.iter_mut().zip(0..) {
            *time += SECOND * index / count;
        }
    }
}

/// `client - user [22/Nov/2026:09:29:42 +0000] "GET /path HTTP/1.1" 200 …`
///
/// The user is whatever a client calls itself, brackets included. Servers write a quote in it with
/// an escape, so that only the time of the log stands before a blank and a quote.
fn parse_combined(line: &str) -> Option<Line<'_>> {
    let (before, rest) = line.split_once("] \"")?;
    let (_, time) = before.rsplit_once('[')?;
    let time = strtime::parse("%d/%b/%Y:%H:%M:%S %z", time)
        .ok()?
        .to_timestamp()
        .ok()?;
    let (request, _) = rest.split_once('"')?;
    let (method, target) = request_line(request)?;
    Some(Line {
        time,
        method,
        target: target.into(),
        origin: None,
    })
}

fn request_line(text: &str) -> Option<(LoggedMethod, &str)> {
    let mut words = text.split(' ');
    let (method, target) = (words.next()?, words.next()?);
    // HTTP/0.9 has no version, and what has more words is no request.
    let version = words.next()?;
    let is_whole = version.starts_with("HTTP/") && words.next().is_none();
    Some((LoggedMethod::parse(method).filter(|_| is_whole)?, target))
}

fn parse_json(line: &str) -> Option<Line<'_>> {
    const TIMES: [&str; 8] = [
        "time",
        "ts",
        "timestamp",
        "@timestamp",
        "time_iso8601",
        "msec",
        "start_time",
        "date",
    ];
    const METHODS: [&str; 3] = ["method", "request_method", "http_method"];
    const TARGETS: [&str; 5] = ["target", "uri", "request_uri", "path", "url"];
    const ORIGINS: [&str; 2] = ["origin", "http_origin"];
    let value: Value = serde_json::from_str(line).ok()?;
    // Caddy nests the request; the others do not.
    let request = value
        .get("request")
        .filter(|request| request.is_object())
        .unwrap_or(&value);
    let first =
        |object: &Value, names: &[&str]| names.iter().find_map(|name| object.get(name).cloned());
    let time = parse_json_time(&first(&value, &TIMES)?)?;
    let origin = first(request, &ORIGINS)
        .or_else(|| request.get("headers").and_then(origin_of_headers))
        .as_ref()
        .and_then(Value::as_str)
        // What loggers write where there is nothing.
        .filter(|origin| !["", "-"].contains(origin))
        .map(str::to_owned);
    if let Some(line) = value.get("request").and_then(Value::as_str) {
        let (method, target) = request_line(line)?;
        return Some(Line {
            time,
            method,
            target: target.to_owned().into(),
            origin,
        });
    }
    let method = LoggedMethod::parse(first(request, &METHODS)?.as_str()?)?;
    let target = first(request, &TARGETS)?.as_str()?.to_owned().into();
    Some(Line {
        time,
        method,
        target,
        origin,
    })
}

/// Caddy's `"headers": {"Origin": ["https://a.example"]}`; a text instead of the list will do.
fn origin_of_headers(headers: &Value) -> Option<Value> {
    let (_, value) = headers
        .as_object()?
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case("origin"))?;
    match value {
        Value::Array(lines) => lines.first().cloned(),
        value => Some(value.clone()),
    }
}

/// RFC 3339, or seconds since 1970 with a fraction, or milliseconds.
fn parse_json_time(value: &Value) -> Option<Timestamp> {
    let seconds = match value {
        Value::String(text) => match text.parse::<Timestamp>() {
            Ok(time) => return Some(time),
            Err(_) => text.parse::<f64>().ok()?,
        },
        other => other.as_f64()?,
    };
    // 1e11 seconds are the year 5138, 1e11 milliseconds are 1973.
    let seconds = if seconds.abs() >= 1e11 {
        seconds / 1e3
    } else {
        seconds
    };
    #[expect(
        clippy::cast_possible_truncation,
        reason = "whole microseconds of this era fit"
    )]
    Timestamp::from_microsecond((seconds * 1e6).round() as i64).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn show(log: &Log) -> String {
        let one = |request: &LoggedRequest| {
            let (us, method) = (request.time_ns / 1000, request.method.as_str());
            let origin = request.origin.as_deref();
            let origin = origin.map_or(String::new(), |origin| format!(" from {origin}"));
            format!("{us} {method} {}{origin}", request.target)
        };
        let requests: Vec<String> = log.requests.iter().map(one).collect();
        format!("{} skipped {}", requests.join(", "), log.skipped)
    }

    #[test]
    fn logs_are_read() {
        let check = |text: &str, expected: &str| {
            assert_eq!(show(&parse_log(text)), expected, "{text}");
        };
        let combined = |second: u32, request: &str| {
            format!(
                "::1 - - [22/Nov/2026:09:29:{second:02} +0100] \"{request}\" 200 5 \"-\" \"x\"\n"
            )
        };
        check("", " skipped 0");
        check(&combined(1, "GET /a?b HTTP/1.1"), "0 GET /a?b skipped 0");
        check(
            &[
                combined(3, "GET /b HTTP/1.1"),
                combined(1, "HEAD /a HTTP/1.0"),
                combined(3, "GET /c HTTP/2.0"),
                combined(3, "GET /d HTTP/1.1"),
                combined(3, "GET /e HTTP/1.1"),
            ]
            .concat(),
            "0 HEAD /a, 2000000 GET /b, 2250000 GET /c, 2500000 GET /d, 2750000 GET /e skipped 0",
        );
        check(
            &[
                combined(1, "POST /a HTTP/1.1"),
                combined(1, "GET http://x/ HTTP/1.1"),
                combined(1, "\\x16\\x03"),
                combined(1, "GET /a b HTTP/1.1"),
                "nonsense\n".to_owned(),
                combined(1, "GET /z HTTP/1.1"),
            ]
            .concat(),
            "0 GET /z skipped 5",
        );
        check(
            "{\"time\":\"2026-11-22T09:29:42.5Z\",\"method\":\"GET\",\"uri\":\"/a\"}\n\
             {\"ts\":1795339783.25,\"request\":{\"method\":\"HEAD\",\"uri\":\"/b\"}}\n\
             {\"msec\":\"1795339784.000\",\"request\":\"GET /c HTTP/1.1\"}\n\
             {\"timestamp\":1795339784500,\"request_method\":\"OPTIONS\",\"path\":\"/d\"}\n\
             {\"time\":\"x\",\"method\":\"GET\",\"uri\":\"/e\"}\n{\n",
            "0 GET /a, 750000 HEAD /b, 1500000 GET /c, 2000000 OPTIONS /d skipped 2",
        );
        check(
            "  {\"time\":\"2026-11-22T09:29:42.5Z\",\"method\":\"GET\",\"uri\":\"/a\"} \r\n",
            "0 GET /a skipped 0",
        );
    }

    #[test]
    fn users_may_call_themselves_anything() {
        let check = |user: &str| {
            let time = "22/Nov/2026:09:29:42 +0100";
            let line = format!("::1 - {user} [{time}] \"GET /a HTTP/1.1\" 200 5 \"-\" \"[x] y\"\n");
            assert_eq!(show(&parse_log(&line)), "0 GET /a skipped 0", "{line}");
        };
        check("[bracket");
        check("[a] b]");
        let forged = "[22/Nov/2000:09:29:42 +0100] QGET /forged HTTP/1.1Q";
        check(&forged.replace('Q', "\\\""));
        check(&forged.replace('Q', "\\x22"));
    }

    #[test]
    fn logged_origins_are_kept() {
        let check = |members: &str, expected: &str| {
            let line = format!("{{\"ts\":1795339783.25,{members}}}\n");
            assert_eq!(show(&parse_log(&line)), expected, "{line}");
        };
        let from = "0 GET /a from https://a.example skipped 0";
        let none = "0 GET /a skipped 0";
        let flat = |origin: &str| format!(r#""method":"GET","uri":"/a",{origin}"#);
        check(&flat(r#""origin":"https://a.example""#), from);
        check(&flat(r#""http_origin":"https://a.example""#), from);
        check(&flat(r#""origin":"-""#), none);
        check(&flat("\"origin\":\"\""), none);
        check(&flat(r#""origin":"a\r\nb: c""#), " skipped 1");
        check(
            r#""request":"GET /a HTTP/1.1","origin":"https://a.example""#,
            from,
        );
        let caddy = |headers: &str| {
            let request = flat(&format!(r#""headers":{{"A":["b"]{headers}}}"#));
            format!(r#""request":{{{request}}}"#)
        };
        check(&caddy(r#","Origin":["https://a.example"]"#), from);
        check(&caddy(""), none);
    }
}
