//! Request and response heads: bytes in, offsets out.
//!
//! RFC 9112 §2–§5. The tokenizer is httparse; around it stand the checks it leaves out (bare LF,
//! raw non-ASCII targets, look-alike names, lengths). A head is complete, partial, or refused for
//! good. Nothing is copied: a view joins the offsets with the bytes again. It never judges framing
//! (`framing.rs`), the target's form (`target.rs`) or Host.

use core::mem::MaybeUninit;

use crate::diagnose::first_offence;
use crate::error::{HeadError, HeadErrorKind};
use crate::field::{FieldRef, KnownField, KnownSet};
use crate::lines::{Fields, FieldsView, HEADER_LINES_CAP, Span, field_accessors};
use crate::scan::{Bounds, HeadRange, METHOD_BYTES_MAX, Scan, StartLine, TARGET_BYTES_MAX};

/// How large a head may be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HeadLimits {
    /// Bytes of the whole head with its empty line, at most
    /// [`HEAD_BYTES_CAP`](crate::HEAD_BYTES_CAP).
    pub head_bytes_max: usize,
    /// Field lines, at most [`HEADER_LINES_CAP`].
    pub header_lines_max: usize,
}

impl Default for HeadLimits {
    /// 32 KiB and 100 lines.
    fn default() -> Self {
        Self {
            head_bytes_max: 32 * 1024,
            header_lines_max: 100,
        }
    }
}

/// Is there a whole head in the bytes?
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Parsed {
    /// Yes: `len()` says how long, `view()` shows it.
    Complete,
    /// Not yet: call again with more bytes behind these.
    Partial,
}

/// The version of a message we speak.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Version {
    /// HTTP/1.0
    Http10,
    /// HTTP/1.1
    #[default]
    Http11,
}

impl Version {
    fn of_minor(minor: Option<u8>) -> Self {
        match minor {
            Some(0) => Self::Http10,
            Some(_) | None => Self::Http11,
        }
    }
}

type Slots<'b> = [MaybeUninit<httparse::Header<'b>>; HEADER_LINES_CAP];

const fn empty_slots<'b>() -> Slots<'b> {
    [const { MaybeUninit::uninit() }; HEADER_LINES_CAP]
}

/// A request head as offsets into the bytes it was parsed from. Reusable: parsing again allocates
/// nothing once the line table has grown.
///
/// ```
/// use corsair_http1::{HeadLimits, KnownField, Parsed, RequestHead};
/// let bytes = b"GET /a HTTP/1.1\r\nHost: example.com\r\n\r\n";
/// let mut head = RequestHead::new();
/// assert_eq!(head.parse(bytes, &HeadLimits::default()), Ok(Parsed::Complete));
/// let request = head.view(bytes);
/// assert_eq!(request.target(), b"/a");
/// assert_eq!(request.field(KnownField::Host), Some(&b"example.com"[..]));
/// ```
#[derive(Clone, Debug)]
pub struct RequestHead {
    scan: Scan,
    method: Span,
    target: Span,
    version: Version,
    fields: Fields,
    len: usize,
}

impl Default for RequestHead {
    fn default() -> Self {
        Self::new()
    }
}

impl RequestHead {
    /// An empty head, ready to parse.
    #[must_use]
    pub fn new() -> Self {
        Self {
            scan: Scan::default(),
            method: Span::default(),
            target: Span::default(),
            version: Version::Http11,
            fields: Fields::new(),
            len: 0,
        }
    }

    /// Parses the head at the beginning of `bytes`; what follows it is not looked at.
    ///
    /// After [`Parsed::Partial`] call again with the same bytes and more behind them; only the new
    /// ones are searched. Any other outcome begins anew. Empty lines before the request are skipped
    /// and counted in [`len`](Self::len) (RFC 9112 §2.2).
    ///
    /// # Errors
    /// The first offence of the head. However the bytes were split, the error is the same.
    pub fn parse(&mut self, bytes: &[u8], limits: &HeadLimits) -> Result<Parsed, HeadError> {
        let bounds = Bounds::of(limits);
        // The common case, a whole good head in the first read, needs no search for the end.
        if self.scan.is_fresh()
            && bytes
                .first()
                .is_some_and(|&first| StartLine::Request.may_begin_with(first))
            && self.tokenize(bytes, 0, bounds)
        {
            return Ok(Parsed::Complete);
        }
        self.parse_searched(bytes, bounds)
    }

    #[cold]
    fn parse_searched(&mut self, bytes: &[u8], bounds: Bounds) -> Result<Parsed, HeadError> {
        let found = self.scan.advance(bytes, bounds, StartLine::Request);
        if let Ok(None) = found {
            return Ok(Parsed::Partial);
        }
        self.reset();
        match found? {
            Some(range) if self.tokenize(&bytes[..range.end], range.start, bounds) => {
                Ok(Parsed::Complete)
            }
            Some(range) => Err(refusal(bytes, range, StartLine::Request)),
            None => Ok(Parsed::Partial),
        }
    }

    /// Takes the head at `start` if it is whole and good in every respect. No reason is given
    /// otherwise.
    #[inline]
    fn tokenize(&mut self, bytes: &[u8], start: usize, bounds: Bounds) -> bool {
        let window = &bytes[..bytes.len().min(bounds.head_bytes_max)];
        let mut slots = empty_slots();
        let slots = &mut slots[..bounds.header_lines_max];
        let mut request = httparse::Request::new(&mut []);
        let Ok(httparse::Status::Complete(len)) =
            request.parse_with_uninit_headers(&window[start..], slots)
        else {
            return false;
        };
        let end = start + len;
        let method = request.method.unwrap_or_default().as_bytes();
        let target = request.path.unwrap_or_default().as_bytes();
        if method.len() > METHOD_BYTES_MAX || target.len() > TARGET_BYTES_MAX || !target.is_ascii()
        {
            return false;
        }
        let bytes = &bytes[..end];
        if !self.fields.load(bytes, request.headers) {
            return false;
        }
        self.method = Span::of(bytes, method);
        self.target = Span::of(bytes, target);
        self.version = Version::of_minor(request.version);
        self.len = end;
        true
    }

    /// Forgets how far a partial head was searched, so that the next call may be given other bytes.
    pub fn reset(&mut self) {
        self.scan = Scan::default();
    }

    /// Bytes of the head that was parsed last, with its empty line and any empty lines before it.
    #[expect(clippy::len_without_is_empty, reason = "a parsed head is never empty")]
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// The head together with its bytes.
    ///
    /// # Panics
    /// If `bytes` is shorter than the head: it must begin with the bytes that were parsed.
    #[must_use]
    #[inline]
    pub fn view<'a>(&'a self, bytes: &'a [u8]) -> Request<'a> {
        Request {
            bytes: &bytes[..self.len],
            head: self,
        }
    }
}

/// A response head as offsets into the bytes it was parsed from. Reusable as [`RequestHead`] is.
///
/// ```
/// use corsair_http1::{HeadLimits, Parsed, ResponseHead};
/// let bytes = b"HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\n\r\n";
/// let mut head = ResponseHead::new();
/// assert_eq!(head.parse(bytes, &HeadLimits::default()), Ok(Parsed::Complete));
/// assert_eq!(head.view(bytes).status(), 304);
/// ```
#[derive(Clone, Debug)]
pub struct ResponseHead {
    scan: Scan,
    status: u16,
    reason: Span,
    version: Version,
    fields: Fields,
    len: usize,
}

impl Default for ResponseHead {
    fn default() -> Self {
        Self::new()
    }
}

impl ResponseHead {
    /// An empty head, ready to parse.
    #[must_use]
    pub fn new() -> Self {
        Self {
            scan: Scan::default(),
            status: 0,
            reason: Span::default(),
            version: Version::Http11,
            fields: Fields::new(),
            len: 0,
        }
    }

    /// Parses the head at the beginning of `bytes`, as [`RequestHead::parse`] does. Nothing may
    /// stand before the status line: empty lines there are the rest of an earlier body, and the
    /// connection is no longer in step.
    ///
    /// # Errors
    /// The first offence of the head. However the bytes were split, the error is the same.
    pub fn parse(&mut self, bytes: &[u8], limits: &HeadLimits) -> Result<Parsed, HeadError> {
        let bounds = Bounds::of(limits);
        let found = self.scan.advance(bytes, bounds, StartLine::Status);
        if let Ok(None) = found {
            return Ok(Parsed::Partial);
        }
        self.reset();
        match found? {
            Some(range) if self.tokenize(&bytes[..range.end], bounds) => Ok(Parsed::Complete),
            Some(range) => Err(refusal(bytes, range, StartLine::Status)),
            None => Ok(Parsed::Partial),
        }
    }

    /// Takes the head that fills `bytes` if it is good in every respect.
    fn tokenize(&mut self, bytes: &[u8], bounds: Bounds) -> bool {
        let mut slots = empty_slots();
        let slots = &mut slots[..bounds.header_lines_max];
        let mut response = httparse::Response::new(&mut []);
        let Ok(httparse::Status::Complete(len)) = httparse::ParserConfig::default()
            .parse_response_with_uninit_headers(&mut response, bytes, slots)
        else {
            return false;
        };
        let status = response.code.unwrap_or_default();
        if len != bytes.len() || status < 100 || !self.fields.load(bytes, response.headers) {
            return false;
        }
        // httparse hides a reason with obs-text in it; the line itself does not.
        let line_end = memchr::memchr(b'\r', bytes).unwrap_or(len);
        self.reason = Span::of_range(REASON_START.min(line_end), line_end);
        self.status = status;
        self.version = Version::of_minor(response.version);
        self.len = len;
        true
    }

    /// Forgets how far a partial head was searched, so that the next call may be given other bytes.
    pub fn reset(&mut self) {
        self.scan = Scan::default();
    }

    /// Bytes of the head that was parsed last, with its empty line.
    #[expect(clippy::len_without_is_empty, reason = "a parsed head is never empty")]
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// The head together with its bytes.
    ///
    /// # Panics
    /// If `bytes` is shorter than the head: it must begin with the bytes that were parsed.
    #[must_use]
    #[inline]
    pub fn view<'a>(&'a self, bytes: &'a [u8]) -> Response<'a> {
        Response {
            bytes: &bytes[..self.len],
            head: self,
        }
    }
}

/// `HTTP/1.1 200 ` stands before the reason.
const REASON_START: usize = 13;

/// The reason for refusing a whole head.
#[cold]
fn refusal(bytes: &[u8], range: HeadRange, kind: StartLine) -> HeadError {
    let unnamed = match kind {
        StartLine::Request => HeadErrorKind::RequestLine,
        StartLine::Status => HeadErrorKind::StatusLine,
    };
    // A property test holds that refused heads always have an offence; if one had none, it stays
    // refused.
    first_offence(bytes, range, kind).unwrap_or(HeadError {
        kind: unnamed,
        offset: range.start,
    })
}

/// A request head with its bytes. Two words wide; every accessor borrows from the bytes.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    bytes: &'a [u8],
    head: &'a RequestHead,
}

impl<'a> Request<'a> {
    /// The method, a token in the case it was sent (methods are case-sensitive, RFC 9110 §9.1).
    #[must_use]
    #[inline]
    pub fn method(self) -> &'a [u8] {
        self.head.method.slice(self.bytes)
    }

    /// The request target as it was sent: visible ASCII, not empty.
    #[must_use]
    #[inline]
    pub fn target(self) -> &'a [u8] {
        self.head.target.slice(self.bytes)
    }

    /// The version of the request.
    #[must_use]
    #[inline]
    pub fn version(self) -> Version {
        self.head.version
    }

    /// The bytes of the head, with its empty line and any empty lines before it.
    #[must_use]
    pub fn bytes(self) -> &'a [u8] {
        self.bytes
    }

    /// The field lines alone.
    #[must_use]
    #[inline]
    pub fn fields_view(self) -> FieldsView<'a> {
        FieldsView::new(self.bytes, &self.head.fields)
    }

    field_accessors!();
}

/// A response head with its bytes.
#[derive(Clone, Copy, Debug)]
pub struct Response<'a> {
    bytes: &'a [u8],
    head: &'a ResponseHead,
}

impl<'a> Response<'a> {
    /// The status code, 100 to 999; codes above 599 are for the caller to judge (RFC 9110 §15).
    #[must_use]
    #[inline]
    pub fn status(self) -> u16 {
        self.head.status
    }

    /// The version of the response.
    #[must_use]
    #[inline]
    pub fn version(self) -> Version {
        self.head.version
    }

    /// The reason phrase, often empty.
    #[must_use]
    pub fn reason(self) -> &'a [u8] {
        self.head.reason.slice(self.bytes)
    }

    /// The bytes of the head, with its empty line.
    #[must_use]
    pub fn bytes(self) -> &'a [u8] {
        self.bytes
    }

    /// The field lines alone.
    #[must_use]
    #[inline]
    pub fn fields_view(self) -> FieldsView<'a> {
        FieldsView::new(self.bytes, &self.head.fields)
    }

    field_accessors!();
}
