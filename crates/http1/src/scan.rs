//! Finds the end of a head that arrives in pieces, each byte looked at once.
//!
//! RFC 9112 §2.2 (line ends, leading empty lines), §3 (long request lines), §5.4 of RFC 9110
//! (limits). It checks only what can be said line by line without the whole head: every LF follows
//! a CR, limits hold. It never judges the contents of a line but the first byte.

use crate::error::{HeadError, HeadErrorKind};
use crate::field::is_token_byte;
use crate::head::HeadLimits;
use crate::lines::HEADER_LINES_CAP;

/// Longest method that is looked at; RFC 9112 §3 lets us answer 501 beyond what we know.
pub(crate) const METHOD_BYTES_MAX: usize = 32;
/// Longest request target.
pub const TARGET_BYTES_MAX: usize = 16 * 1024;
/// Method, target, `HTTP/1.1`, two spaces and CRLF.
const REQUEST_LINE_BYTES_MAX: usize = METHOD_BYTES_MAX + TARGET_BYTES_MAX + 8 + 2 + 2;
const STATUS_LINE_BYTES_MAX: usize = 1024;
/// RFC 9112 §2.2 asks to ignore at least one empty line before a request; more than a few is no
/// client of good will.
const LEADING_EMPTY_LINES_MAX: usize = 4;
/// No head is longer, whatever the limits say: offsets are 32 bits wide, and a head is one buffer.
pub const HEAD_BYTES_CAP: usize = 1024 * 1024;

/// Which start line is expected.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum StartLine {
    Request,
    Status,
}

impl StartLine {
    const fn bytes_max(self) -> usize {
        match self {
            Self::Request => REQUEST_LINE_BYTES_MAX,
            Self::Status => STATUS_LINE_BYTES_MAX,
        }
    }

    /// Can a message begin with this byte?
    pub(crate) fn may_begin_with(self, byte: u8) -> bool {
        match self {
            Self::Request => is_token_byte(byte),
            Self::Status => byte == b'H',
        }
    }

    const fn too_long(self) -> HeadErrorKind {
        match self {
            Self::Request => HeadErrorKind::TargetTooLong,
            Self::Status => HeadErrorKind::HeadTooLong,
        }
    }

    const fn malformed(self) -> HeadErrorKind {
        match self {
            Self::Request => HeadErrorKind::Method,
            Self::Status => HeadErrorKind::StatusLine,
        }
    }
}

/// The limits as they are enforced: what was asked for, within what the types can hold.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    pub(crate) head_bytes_max: usize,
    pub(crate) header_lines_max: usize,
}

impl Bounds {
    #[inline]
    pub(crate) fn of(limits: &HeadLimits) -> Self {
        Self {
            head_bytes_max: limits.head_bytes_max.min(HEAD_BYTES_CAP),
            header_lines_max: limits.header_lines_max.min(HEADER_LINES_CAP),
        }
    }
}

/// Where a complete head lies.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct HeadRange {
    /// First byte of the start line.
    pub(crate) start: usize,
    /// One past the empty line.
    pub(crate) end: usize,
}

/// How far the search for the end of the head got.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Scan {
    /// Every LF before this byte was looked at.
    checked: usize,
    /// First byte of the line being searched.
    line_start: usize,
    /// First byte of the start line, once it is seen.
    start: Option<usize>,
    lines: usize,
}

impl Scan {
    #[inline]
    pub(crate) fn is_fresh(&self) -> bool {
        self.checked == 0 && self.start.is_none()
    }

    /// Looks at the bytes that are new since the last call. `bytes` must begin with those of the
    /// last call.
    pub(crate) fn advance(
        &mut self,
        bytes: &[u8],
        bounds: Bounds,
        kind: StartLine,
    ) -> Result<Option<HeadRange>, HeadError> {
        let window = &bytes[..bytes.len().min(bounds.head_bytes_max)];
        let start = match self.start {
            Some(start) => Some(start),
            None => self.find_start(window, kind)?,
        };
        if let Some(start) = start
            && let Some(end) = self.find_end(window, bounds, kind)?
        {
            return Ok(Some(HeadRange { start, end }));
        }
        let line_len = window.len() - self.line_start;
        let in_start_line = self.lines == 0;
        if start.is_some() && in_start_line && line_len >= kind.bytes_max() {
            return Err(kind.too_long().at(self.line_start));
        }
        if window.len() == bounds.head_bytes_max {
            let too_long = if in_start_line {
                kind.too_long()
            } else {
                HeadErrorKind::HeadTooLong
            };
            return Err(too_long.at(window.len()));
        }
        Ok(None)
    }

    /// Skips empty lines before a request; checks the first byte of the start line.
    fn find_start(&mut self, window: &[u8], kind: StartLine) -> Result<Option<usize>, HeadError> {
        loop {
            let at = self.checked;
            match (window.get(at), window.get(at + 1)) {
                (None, _) => return Ok(None),
                (Some(b'\r'), next) if kind == StartLine::Request => match next {
                    None => return Ok(None),
                    Some(b'\n') if at / 2 < LEADING_EMPTY_LINES_MAX => self.checked += 2,
                    Some(b'\n') => return Err(HeadErrorKind::LeadingLines.at(at)),
                    Some(_) => return Err(HeadErrorKind::BareCr.at(at)),
                },
                (Some(b'\n'), _) => return Err(HeadErrorKind::BareLf.at(at)),
                (Some(&first), _) if kind.may_begin_with(first) => break,
                (Some(_), _) => return Err(kind.malformed().at(at)),
            }
        }
        self.line_start = self.checked;
        self.start = Some(self.checked);
        Ok(self.start)
    }

    fn find_end(
        &mut self,
        window: &[u8],
        bounds: Bounds,
        kind: StartLine,
    ) -> Result<Option<usize>, HeadError> {
        let base = self.checked;
        for found in memchr::memchr_iter(b'\n', &window[base..]) {
            let lf = base + found;
            let line_len = lf + 1 - self.line_start;
            if self.lines == 0 && line_len > kind.bytes_max() {
                return Err(kind.too_long().at(self.line_start));
            }
            if lf == 0 || window[lf - 1] != b'\r' {
                return Err(HeadErrorKind::BareLf.at(lf));
            }
            if line_len == 2 {
                return Ok(Some(lf + 1));
            }
            // The start line is not counted.
            if self.lines > bounds.header_lines_max {
                return Err(HeadErrorKind::TooManyLines.at(self.line_start));
            }
            self.lines += 1;
            self.line_start = lf + 1;
        }
        self.checked = window.len();
        Ok(None)
    }
}
