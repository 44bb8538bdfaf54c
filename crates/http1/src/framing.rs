//! Where a message ends, and whether the connection lives on.
//!
//! RFC 9112 §6 (body length), §9.3 and §9.6 (persistence); RFC 9110 §7.6.1 (Connection), §10.1.1
//! (Expect). Every conflict is an error with its place in the head. It never prefers one framing
//! field over another, never repairs a value, and does not look at bodies.

use core::fmt;

use crate::field::{KnownField, KnownSet, is_token, list_members};
use crate::head::{Request, Response, Version};
use crate::lines::{FieldsView, offset_in};

/// How the body of a message is delimited.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BodyLength {
    /// There is no body.
    None,
    /// So many bytes.
    Fixed(u64),
    /// Chunks, until the last one and its trailer section.
    Chunked,
    /// All bytes until the connection is closed. Responses only.
    UntilClose,
}

/// Does the connection outlive this message?
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Persistence {
    /// Another request may follow.
    KeepAlive,
    /// This message is the last one.
    Close,
}

/// A head whose framing is in doubt: what and where. The connection must be closed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FramingError {
    /// What is wrong.
    pub kind: FramingErrorKind,
    /// Byte of the head where the offending value begins.
    pub offset: usize,
}

impl FramingError {
    /// The status to answer with when a client sent it. From an upstream, each of them is a 502.
    #[must_use]
    pub const fn status(self) -> u16 {
        self.kind.status()
    }

    /// A few words for the client and the log.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        self.kind.reason()
    }
}

impl fmt::Display for FramingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (byte {})", self.reason(), self.offset)
    }
}

impl core::error::Error for FramingError {}

/// Which rule of RFC 9112 §6 a head breaks.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum FramingErrorKind {
    /// Content-Length and Transfer-Encoding in one message (§6.1, §6.3): the classic request
    /// smuggling.
    LengthAndEncoding,
    /// More than one Content-Length value.
    RepeatedLength,
    /// A Content-Length that is not a plain decimal number below 2^63.
    InvalidLength,
    /// More than one Transfer-Encoding line.
    RepeatedEncoding,
    /// A malformed Transfer-Encoding, or one that does not end with a single `chunked`.
    InvalidEncoding,
    /// A well-formed transfer coding that we do not have.
    UnknownEncoding,
    /// Transfer-Encoding in an HTTP/1.0 message (§6.1).
    EncodingInHttp10,
    /// A body announced on a response that cannot have one (§6.3, RFC 9110 §6.4.1).
    BodyNotAllowed,
    /// A 2xx to CONNECT: a tunnel, which this node does not make.
    Tunnel,
    /// An expectation other than `100-continue` (RFC 9110 §10.1.1).
    UnknownExpectation,
}

impl FramingErrorKind {
    /// The status to answer with when a client sent it.
    #[must_use]
    pub const fn status(self) -> u16 {
        match self {
            Self::LengthAndEncoding
            | Self::RepeatedLength
            | Self::InvalidLength
            | Self::RepeatedEncoding
            | Self::InvalidEncoding
            | Self::EncodingInHttp10 => 400,
            Self::UnknownEncoding => 501,
            Self::UnknownExpectation => 417,
            Self::BodyNotAllowed | Self::Tunnel => 502,
        }
    }

    /// A few words for the client and the log.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::LengthAndEncoding => "Content-Length with Transfer-Encoding",
            Self::RepeatedLength => "more than one Content-Length",
            Self::InvalidLength => "invalid Content-Length",
            Self::RepeatedEncoding => "more than one Transfer-Encoding",
            Self::InvalidEncoding => "invalid Transfer-Encoding",
            Self::UnknownEncoding => "transfer coding not implemented",
            Self::EncodingInHttp10 => "Transfer-Encoding in HTTP/1.0",
            Self::BodyNotAllowed => "body on a response without one",
            Self::Tunnel => "tunnels are not supported",
            Self::UnknownExpectation => "unknown expectation",
        }
    }
}

const FRAMING: KnownSet = KnownSet::of(&[KnownField::ContentLength, KnownField::TransferEncoding]);

/// The length of a request's body; the method plays no part (RFC 9112 §6.3).
///
/// # Errors
/// Any doubt: both framing fields, either one twice, a value that is not the plainest form.
#[inline]
pub fn request_body_length(request: Request<'_>) -> Result<BodyLength, FramingError> {
    if !request.any_of(FRAMING) {
        return Ok(BodyLength::None);
    }
    let fields = request.fields_view();
    if let Some(length) = coded_length(fields, request.version())? {
        return Ok(length);
    }
    let value = fields.field(KnownField::ContentLength).unwrap_or_default();
    if fields.is_repeated(KnownField::ContentLength) {
        return Err(error(FramingErrorKind::RepeatedLength, fields, value));
    }
    // White space behind the number is OWS by the letter; no honest client sends it, and parsers
    // differ about it.
    let end = offset_in(fields.bytes(), value) + value.len();
    match parse_length(value) {
        Some(length) if fields.bytes().get(end) == Some(&b'\r') => Ok(BodyLength::Fixed(length)),
        Some(_) | None => Err(error(FramingErrorKind::InvalidLength, fields, value)),
    }
}

/// The length of a response's body, given the method it answers (RFC 9112 §6.3).
///
/// # Errors As for requests, but a list of equal lengths counts as one (RFC 9110 §8.6); a body on
/// 1xx or 204; a 2xx to CONNECT.
pub fn response_body_length(
    request_method: &[u8],
    response: Response<'_>,
) -> Result<BodyLength, FramingError> {
    let fields = response.fields_view();
    let status = response.status();
    if request_method == b"CONNECT" && (200..300).contains(&status) {
        return Err(FramingError {
            kind: FramingErrorKind::Tunnel,
            offset: 0,
        });
    }
    // The fields are judged even where they do not frame: a head that contradicts itself is no base
    // for the next one.
    let announced = if fields.any_of(FRAMING) {
        match coded_length(fields, response.version())? {
            Some(length) => length,
            None => BodyLength::Fixed(listed_length(fields)?),
        }
    } else {
        BodyLength::UntilClose
    };
    match status {
        100..=199 | 204 => match announced {
            BodyLength::None | BodyLength::UntilClose | BodyLength::Fixed(0) => {
                Ok(BodyLength::None)
            }
            BodyLength::Fixed(_) | BodyLength::Chunked => Err(FramingError {
                kind: FramingErrorKind::BodyNotAllowed,
                offset: 0,
            }),
        },
        304 => Ok(BodyLength::None),
        _ if request_method == b"HEAD" => Ok(BodyLength::None),
        _ => Ok(announced),
    }
}

/// What Transfer-Encoding says; `None` without one.
fn coded_length(
    fields: FieldsView<'_>,
    version: Version,
) -> Result<Option<BodyLength>, FramingError> {
    let Some(value) = fields.field(KnownField::TransferEncoding) else {
        return Ok(None);
    };
    let kind = if fields.has(KnownField::ContentLength) {
        FramingErrorKind::LengthAndEncoding
    } else if version == Version::Http10 {
        FramingErrorKind::EncodingInHttp10
    } else if fields.is_repeated(KnownField::TransferEncoding) {
        FramingErrorKind::RepeatedEncoding
    } else if value.eq_ignore_ascii_case(b"chunked") {
        return Ok(Some(BodyLength::Chunked));
    } else if is_unknown_coding(value) {
        FramingErrorKind::UnknownEncoding
    } else {
        FramingErrorKind::InvalidEncoding
    };
    Err(error(kind, fields, value))
}

/// Codings we do not have, in good form: tokens, and `chunked` nowhere but at the end (RFC 9112
/// §6.1).
fn is_unknown_coding(value: &[u8]) -> bool {
    let mut members = value.split(|&b| b == b',').map(crate::field::trim_ows);
    let last = members.next_back().unwrap_or_default();
    is_token(last) && members.all(|coding| is_token(coding) && !is_chunked(coding))
}

fn is_chunked(coding: &[u8]) -> bool {
    coding.eq_ignore_ascii_case(b"chunked")
}

/// One number, or several that are equal.
fn listed_length(fields: FieldsView<'_>) -> Result<u64, FramingError> {
    let mut length = None;
    for value in fields.fields_named(KnownField::ContentLength) {
        for member in value.split(|&b| b == b',').map(crate::field::trim_ows) {
            let parsed = parse_length(member)
                .ok_or_else(|| error(FramingErrorKind::InvalidLength, fields, value))?;
            if length.replace(parsed).is_some_and(|other| other != parsed) {
                return Err(error(FramingErrorKind::RepeatedLength, fields, value));
            }
        }
    }
    Ok(length.unwrap_or(0))
}

/// A plain decimal number: digits only, no leading zero, below 2^63 so that sums of lengths stay in
/// range.
fn parse_length(value: &[u8]) -> Option<u64> {
    const DIGITS_MAX: usize = 19;
    if value.is_empty() || value.len() > DIGITS_MAX || (value[0] == b'0' && value.len() > 1) {
        return None;
    }
    let mut length: u64 = 0;
    for &byte in value {
        if !byte.is_ascii_digit() {
            return None;
        }
        length = length * 10 + u64::from(byte - b'0');
    }
    (length <= i64::MAX as u64).then_some(length)
}

fn error(kind: FramingErrorKind, fields: FieldsView<'_>, value: &[u8]) -> FramingError {
    FramingError {
        kind,
        offset: offset_in(fields.bytes(), value),
    }
}

/// May the client send another request on this connection after this one?
#[inline]
#[must_use]
pub fn request_persistence(request: Request<'_>) -> Persistence {
    persistence(request.fields_view(), request.version())
}

/// May we send another request on the connection this response came from? A body that lasts until
/// close ends it as well; that is the caller's to see.
#[inline]
#[must_use]
pub fn response_persistence(response: Response<'_>) -> Persistence {
    persistence(response.fields_view(), response.version())
}

/// RFC 9112 §9.3, in its order.
#[inline]
fn persistence(fields: FieldsView<'_>, version: Version) -> Persistence {
    let by_version = match version {
        Version::Http10 => Persistence::Close,
        Version::Http11 => Persistence::KeepAlive,
    };
    if !fields.has(KnownField::Connection) {
        return by_version;
    }
    let mut persistence = by_version;
    for option in connection_options(fields) {
        if option.eq_ignore_ascii_case(b"close") {
            return Persistence::Close;
        }
        if option.eq_ignore_ascii_case(b"keep-alive") {
            persistence = Persistence::KeepAlive;
        }
    }
    persistence
}

fn connection_options(fields: FieldsView<'_>) -> impl Iterator<Item = &[u8]> + Clone {
    fields
        .fields_named(KnownField::Connection)
        .flat_map(list_members)
}

/// Does the client wait for a 100 before it sends the body? HTTP/1.0 clients never do (RFC 9110
/// §10.1.1).
///
/// # Errors
/// An expectation we do not know.
pub fn expects_continue(request: Request<'_>) -> Result<bool, FramingError> {
    if request.version() == Version::Http10 {
        return Ok(false);
    }
    let mut expects = false;
    for value in request.fields_named(KnownField::Expect) {
        for expectation in list_members(value) {
            if !expectation.eq_ignore_ascii_case(b"100-continue") {
                let fields = request.fields_view();
                return Err(error(FramingErrorKind::UnknownExpectation, fields, value));
            }
            expects = true;
        }
    }
    Ok(expects)
}

/// The fields a message names in Connection: about this hop only, so neither forwarded nor stored
/// (RFC 9110 §7.6.1).
///
/// A sender may make its own extension fields hop-by-hop this way. It may not make a proxy drop
/// what others rely on: names of the known table that are not hop-by-hop, and `Content-*`,
/// `X-Forwarded-*`, `Access-Control-*`, `Sec-*`, are never taken away.
#[derive(Clone, Copy, Debug)]
pub struct Nominated<'a> {
    fields: Option<FieldsView<'a>>,
}

impl<'a> Nominated<'a> {
    /// What the request nominates. Costs nothing without Connection or with the usual `close` and
    /// `keep-alive`.
    #[must_use]
    pub fn of_request(request: Request<'a>) -> Self {
        Self::of(request.fields_view())
    }

    /// What the response nominates.
    #[must_use]
    pub fn of_response(response: Response<'a>) -> Self {
        Self::of(response.fields_view())
    }

    /// What these fields nominate.
    #[must_use]
    pub fn of(fields: FieldsView<'a>) -> Self {
        let names_fields = fields.has(KnownField::Connection)
            && connection_options(fields).any(|option| !is_plain_option(option));
        Self {
            fields: names_fields.then_some(fields),
        }
    }

    /// Is the field of this name, in any case, nominated and removable?
    #[must_use]
    pub fn contains(self, name: &[u8]) -> bool {
        self.fields.is_some_and(|fields| {
            is_removable(name)
                && connection_options(fields).any(|option| option.eq_ignore_ascii_case(name))
        })
    }
}

/// Is `name` listed in one of these Connection values, and may it be taken away? [`Nominated`] is
/// the cheap form for a whole head.
///
/// ```
/// use corsair_http1::is_nominated_hop_by_hop;
/// let connection = [&b"close, X-Debug, Cookie"[..]];
/// assert!(is_nominated_hop_by_hop(connection, b"x-debug"));
/// assert!(!is_nominated_hop_by_hop(connection, b"Cookie"));
/// ```
#[must_use]
pub fn is_nominated_hop_by_hop<'v>(
    connection_values: impl IntoIterator<Item = &'v [u8]>,
    name: &[u8],
) -> bool {
    is_removable(name)
        && connection_values
            .into_iter()
            .flat_map(list_members)
            .any(|option| option.eq_ignore_ascii_case(name))
}

/// Options that name no field to remove: `Upgrade` is hop-by-hop by the table.
fn is_plain_option(option: &[u8]) -> bool {
    [&b"close"[..], b"keep-alive", b"upgrade"]
        .iter()
        .any(|plain| option.eq_ignore_ascii_case(plain))
}

fn is_removable(name: &[u8]) -> bool {
    const NEVER: [&[u8]; 4] = [b"content-", b"x-forwarded-", b"access-control-", b"sec-"];
    match KnownField::parse(name) {
        Some(field) => field.flags().hop_by_hop(),
        None => !NEVER.iter().any(|prefix| {
            name.get(..prefix.len())
                .is_some_and(|start| start.eq_ignore_ascii_case(prefix))
        }),
    }
}
