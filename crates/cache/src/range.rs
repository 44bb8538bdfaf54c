//! One range of a stored response.
//!
//! RFC 9110 §14.1–§14.2 (ranges), §13.1.5 (`If-Range`). Only what costs nothing: a single range of
//! a stored 200, answered from memory. Several ranges, and anything unreadable, get the whole
//! response, which §14.2 always allows.

use corsair_http1::{KnownField, Request, parse_date};

use crate::stored::{Stored, StoredHead};
use crate::validate::EntityTag;

/// A longer `Range` value is not looked at: one range of u64 positions needs 47 bytes.
const RANGE_VALUE_BYTES_MAX: usize = 128;

/// What to send of a stored response.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RangeDecision {
    /// All of it: 200.
    Whole,
    /// A part: 206 with `Content-Range: bytes first-last/length`.
    Single {
        /// Position of the first byte.
        first: u64,
        /// Position of the last byte, included; below the length.
        last: u64,
    },
    /// No byte of it: 416 with `Content-Range: bytes */length`.
    Unsatisfiable,
}

/// Decides for a stored response whose body is complete. To be asked after
/// [`decide_precondition`](crate::decide_precondition) said to proceed.
#[must_use]
#[inline]
pub fn decide_range(request: Request<'_>, stored: &Stored) -> RangeDecision {
    if !request.has(KnownField::Range) {
        return RangeDecision::Whole;
    }
    select_range(request, stored, stored.body().len())
}

/// The same for a response whose body of `length` bytes may still be arriving.
#[must_use]
pub fn select_range(request: Request<'_>, head: &StoredHead, length: u64) -> RangeDecision {
    let Some(range) = request.field(KnownField::Range) else {
        return RangeDecision::Whole;
    };
    if request.method() != b"GET"
        || head.status() != 200
        || request.is_repeated(KnownField::Range)
        || range.len() > RANGE_VALUE_BYTES_MAX
        || !if_range_holds(request, head)
    {
        return RangeDecision::Whole;
    }
    match parse_single(range) {
        Some(spec) => spec.resolve(length),
        None => RangeDecision::Whole,
    }
}

enum RangeSpec {
    FromTo { first: u64, last: u64 },
    Suffix { length: u64 },
}

impl RangeSpec {
    fn resolve(self, length: u64) -> RangeDecision {
        match self {
            Self::FromTo { first, .. } if first >= length => RangeDecision::Unsatisfiable,
            Self::FromTo { first, last } => RangeDecision::Single {
                first,
                last: last.min(length - 1),
            },
            Self::Suffix { length: 0 } => RangeDecision::Unsatisfiable,
            // A suffix of nothing is all of nothing, and no Content-Range can say so.
            Self::Suffix { .. } if length == 0 => RangeDecision::Whole,
            Self::Suffix { length: suffix } => RangeDecision::Single {
                first: length.saturating_sub(suffix),
                last: length - 1,
            },
        }
    }
}

/// Reads `bytes=first-[last]` or `bytes=-length`; the unit in any case, white space only around the
/// range. `None` for several ranges, another unit, or a range that runs backwards.
fn parse_single(value: &[u8]) -> Option<RangeSpec> {
    let unit_end = value.iter().position(|&b| b == b'=')?;
    let (unit, set) = (&value[..unit_end], &value[unit_end + 1..]);
    if !unit.eq_ignore_ascii_case(b"bytes") {
        return None;
    }
    let mut members = set.split(|&b| b == b',').map(corsair_http1::trim_ows);
    let mut members = members.by_ref().filter(|member| !member.is_empty());
    let member = members.next()?;
    if members.next().is_some() {
        return None;
    }
    let dash = member.iter().position(|&b| b == b'-')?;
    let (first, last) = (&member[..dash], &member[dash + 1..]);
    match (first, last) {
        ([], []) => None,
        ([], length) => Some(RangeSpec::Suffix {
            length: position(length)?,
        }),
        (first, []) => Some(RangeSpec::FromTo {
            first: position(first)?,
            last: u64::MAX,
        }),
        (first, last) => {
            let (first, last) = (position(first)?, position(last)?);
            (first <= last).then_some(RangeSpec::FromTo { first, last })
        }
    }
}

/// Digits as a position; what is too large for 64 bits lies behind every end.
fn position(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let add = |sum: u64, digit: &u8| {
        sum.saturating_mul(10)
            .saturating_add(u64::from(digit - b'0'))
    };
    Some(digits.iter().fold(0, add))
}

/// RFC 9110 §13.1.5: strong comparison, or the exact date of a strong `Last-Modified`.
fn if_range_holds(request: Request<'_>, head: &StoredHead) -> bool {
    let Some(condition) = request.field(KnownField::IfRange) else {
        return true;
    };
    if request.is_repeated(KnownField::IfRange) {
        return false;
    }
    if let Some(tag) = EntityTag::parse(condition) {
        return head.etag().is_some_and(|stored| stored.is_strongly(tag));
    }
    let (Some(wanted), Some(last_modified)) = (parse_date(condition), head.last_modified()) else {
        return false;
    };
    // §8.8.2.2: a modification time is strong when the response was made a second or more later.
    wanted == last_modified && head.date() > last_modified
}
