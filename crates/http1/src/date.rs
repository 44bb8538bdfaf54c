//! HTTP dates over httpdate: seconds since 1970 to IMF-fixdate and back.
//!
//! RFC 9110 §5.6.7. No clock is read here. Dates that HTTP cannot write (after the year 9999)
//! become the last one it can.

use std::io::Write;
use std::time::{Duration, SystemTime};

/// 9999-12-31 23:59:59, the last second of a four-digit year.
const LAST_SECOND: u64 = 253_402_300_799;

/// Bytes of an IMF-fixdate.
pub const DATE_BYTES: usize = 29;

/// The date as `Sun, 06 Nov 1994 08:49:37 GMT`; years after 9999 become its last second.
///
/// ```
/// assert_eq!(&corsair_http1::format_date(784111777), b"Sun, 06 Nov 1994 08:49:37 GMT");
/// ```
#[must_use]
pub fn format_date(unix_seconds: u64) -> [u8; DATE_BYTES] {
    let since_epoch = Duration::from_secs(unix_seconds.min(LAST_SECOND));
    let date = httpdate::HttpDate::from(SystemTime::UNIX_EPOCH + since_epoch);
    let mut text = [0; DATE_BYTES];
    write!(&mut text[..], "{date}").expect("an IMF-fixdate has 29 bytes");
    text
}

/// Seconds since 1970 of a date in any of the three forms of RFC 9110 §5.6.7; `None` for anything
/// else and for dates before 1970. The two-digit years of the obsolete form mean 1970 to 2069.
///
/// ```
/// assert_eq!(corsair_http1::parse_date(b"Sunday, 06-Nov-94 08:49:37 GMT"), Some(784111777));
/// assert_eq!(corsair_http1::parse_date(b"0"), None);
/// ```
#[must_use]
pub fn parse_date(value: &[u8]) -> Option<u64> {
    let text = core::str::from_utf8(value).ok()?;
    let date: httpdate::HttpDate = text.parse().ok()?;
    let since_epoch = SystemTime::from(date)
        .duration_since(SystemTime::UNIX_EPOCH)
        .ok()?;
    Some(since_epoch.as_secs())
}
