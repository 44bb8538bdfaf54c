//! Request targets: their form, their authority, and the one canonical path used for routing, key
//! and forwarding.
//!
//! RFC 9112 §3.2 (forms, Host), RFC 9110 §4.2 (http URIs), RFC 3986 §3.2, §5.2.4, §6.2.2
//! (authority, dot segments, normalisation). The query is checked but kept as it was sent. It never
//! resolves a host and never merges `//`.

use core::net::Ipv6Addr;

use crate::field::KnownField;
use crate::head::{Request, Version};

const HOST_BYTES_MAX: usize = 255;
const LABEL_BYTES_MAX: usize = 63;

/// A host and maybe a port, as sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Authority<'a> {
    /// The host in the case it was sent; an IPv6 literal with its brackets.
    pub host: &'a [u8],
    /// The port, 1 to 65535, when one was sent.
    pub port: Option<u16>,
}

/// The four forms of RFC 9112 §3.2.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TargetForm {
    /// `/path?query`
    Origin,
    /// `http://host/path?query`
    Absolute,
    /// `*`, for OPTIONS
    Asterisk,
    /// `host:port`, for CONNECT
    Authority,
}

/// The scheme an absolute-form target names.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Scheme {
    /// `http`, port 80
    Http,
    /// `https`, port 443
    Https,
}

impl Scheme {
    /// The port that is meant when none is written.
    #[must_use]
    pub const fn default_port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

/// A request target, taken apart.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Target<'a> {
    /// Which form it was sent in.
    pub form: TargetForm,
    /// The scheme, in absolute-form.
    pub scheme: Option<Scheme>,
    /// The authority, in absolute-form and authority-form.
    pub authority: Option<Authority<'a>>,
    /// The canonical path; begins with `/`, or is `*` in asterisk-form, or empty in authority-form.
    pub path: &'a [u8],
    /// The query without its `?`, as sent.
    pub query: Option<&'a [u8]>,
}

macro_rules! target_errors {
    ($($(#[$doc:meta])* $variant:ident $reason:literal;)*) => {
        /// Why a target or a Host is refused. The answer is always 400.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, thiserror::Error)]
        pub enum TargetError {
            $($(#[$doc])* #[error($reason)] $variant,)*
        }

        impl TargetError {
            /// The status to answer with.
            #[must_use]
            pub const fn status(self) -> u16 {
                400
            }

            /// A few words for the client and the log; never holds bytes of the input.
            #[must_use]
            pub const fn reason(self) -> &'static str {
                match self { $(Self::$variant => $reason,)* }
            }
        }
    };
}

target_errors! {
    /// None of the four forms, or a form its method does not have.
    Form "malformed request target";
    /// An absolute-form with another scheme than http and https.
    Scheme "unsupported scheme in request target";
    /// A host or port that is none.
    Authority "malformed authority";
    /// User information before the host (RFC 9110 §4.2.4).
    UserInfo "user information in authority";
    /// A byte that has no place in a path or query: control byte, space, backslash in the path,
    /// `#`, raw non-ASCII.
    Byte "invalid byte in request target";
    /// A `%` in the path without two hexadecimal digits behind it.
    Percent "malformed percent-encoding";
    /// `%00` in the path.
    Nul "encoded NUL in path";
    /// More `..` than there is path.
    AboveRoot "path leaves the root";
    /// HTTP/1.1 without Host (RFC 9112 §3.2).
    HostMissing "missing Host";
    /// More than one Host line.
    HostRepeated "more than one Host";
    /// A Host that is no authority, or empty.
    HostMalformed "malformed Host";
    /// An absolute-form target and a Host that differ.
    HostMismatch "Host differs from request target";
}

/// Takes a Host value or the authority of a target apart.
///
/// A host is a registered name of letters, digits, `-`, `.`, `_`, `~` in labels of at most 63 bytes
/// (one dot may end it), an IPv4 address, or an IPv6 literal in brackets. Percent-encoding and the
/// sub-delimiters RFC 3986 would allow are refused: no name in use has them.
///
/// # Errors User information; an empty or malformed host; a port that is zero, above 65535
/// or has a leading zero.
///
/// ```
/// use corsair_http1::parse_authority;
/// let authority = parse_authority(b"[::1]:8080").unwrap();
/// assert_eq!((authority.host, authority.port), (&b"[::1]"[..], Some(8080)));
/// assert!(parse_authority(b"user@a").is_err());
/// ```
pub fn parse_authority(value: &[u8]) -> Result<Authority<'_>, TargetError> {
    if value.contains(&b'@') {
        return Err(TargetError::UserInfo);
    }
    let host_len = if value.first() == Some(&b'[') {
        memchr::memchr(b']', value).ok_or(TargetError::Authority)? + 1
    } else {
        memchr::memchr(b':', value).unwrap_or(value.len())
    };
    let (host, rest) = value.split_at(host_len);
    if !is_host(host) {
        return Err(TargetError::Authority);
    }
    let port = match rest {
        // A colon and nothing behind it is no port either (RFC 3986 §3.2.3).
        [] | [b':'] => None,
        [b':', digits @ ..] => Some(parse_port(digits)?),
        _ => return Err(TargetError::Authority),
    };
    Ok(Authority { host, port })
}

fn is_host(host: &[u8]) -> bool {
    if let [b'[', address @ .., b']'] = host {
        let text = core::str::from_utf8(address).unwrap_or_default();
        return text.parse::<Ipv6Addr>().is_ok();
    }
    if host.is_empty() || host.len() > HOST_BYTES_MAX {
        return false;
    }
    let name = host.strip_suffix(b".").unwrap_or(host);
    name.split(|&b| b == b'.').all(|label| {
        (1..=LABEL_BYTES_MAX).contains(&label.len())
            && label
                .iter()
                .all(|&b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'~'))
    })
}

fn parse_port(digits: &[u8]) -> Result<u16, TargetError> {
    let is_plain =
        matches!(digits, [b'1'..=b'9', rest @ ..] if rest.iter().all(u8::is_ascii_digit));
    let text = core::str::from_utf8(digits).unwrap_or_default();
    text.parse()
        .ok()
        .filter(|_| is_plain)
        .ok_or(TargetError::Authority)
}

/// Takes a request target apart and makes its path canonical.
///
/// Unreserved characters written as `%XX` are decoded, other encodings get upper-case digits, bytes
/// that RFC 3986 wants encoded but clients send raw (`|`, `^`, brackets, braces, quotes) are
/// encoded, dot segments are removed. `%2F` and `%5C` stay as they are, and so does `//`. A
/// canonical path is borrowed from the target; any other is written to `scratch`, which is cleared
/// first.
///
/// # Errors A form the method does not have, a malformed authority, a byte or an encoding that has
/// no place, `..` above the root.
///
/// ```
/// use corsair_http1::parse_target;
/// let mut scratch = Vec::new();
/// let target = parse_target(b"GET", b"/a/./%7euser/../b%2f?q=%7e", &mut scratch).unwrap();
/// assert_eq!(target.path, b"/a/b%2F");
/// assert_eq!(target.query, Some(&b"q=%7e"[..]));
/// ```
pub fn parse_target<'a>(
    method: &[u8],
    target: &'a [u8],
    scratch: &'a mut Vec<u8>,
) -> Result<Target<'a>, TargetError> {
    if method == b"CONNECT" {
        let authority = parse_authority(target)?;
        if authority.port.is_none() {
            return Err(TargetError::Authority);
        }
        return Ok(Target {
            form: TargetForm::Authority,
            scheme: None,
            authority: Some(authority),
            path: b"",
            query: None,
        });
    }
    match target {
        [b'/', ..] => {
            let (path, query) = path_and_query(target, scratch)?;
            let form = TargetForm::Origin;
            Ok(Target {
                form,
                scheme: None,
                authority: None,
                path,
                query,
            })
        }
        b"*" if method == b"OPTIONS" => Ok(Target {
            form: TargetForm::Asterisk,
            scheme: None,
            authority: None,
            path: b"*",
            query: None,
        }),
        _ => parse_absolute(method, target, scratch),
    }
}

fn parse_absolute<'a>(
    method: &[u8],
    target: &'a [u8],
    scratch: &'a mut Vec<u8>,
) -> Result<Target<'a>, TargetError> {
    let scheme_len = memchr::memchr(b':', target).ok_or(TargetError::Form)?;
    let (name, rest) = target.split_at(scheme_len);
    let rest = rest.strip_prefix(b"://").ok_or(TargetError::Form)?;
    let scheme = if name.eq_ignore_ascii_case(b"http") {
        Scheme::Http
    } else if name.eq_ignore_ascii_case(b"https") {
        Scheme::Https
    } else {
        return Err(TargetError::Scheme);
    };
    let authority_len = rest
        .iter()
        .position(|b| matches!(b, b'/' | b'?' | b'#' | b'\\'))
        .unwrap_or(rest.len());
    let (authority, rest) = rest.split_at(authority_len);
    let authority = Some(parse_authority(authority)?);
    let (path, query) = match rest {
        [] if method == b"OPTIONS" => (&b"*"[..], None),
        [] => (&b"/"[..], None),
        [b'/', ..] => path_and_query(rest, scratch)?,
        [b'?', query @ ..] => (&b"/"[..], Some(checked_query(query)?)),
        _ => return Err(TargetError::Byte),
    };
    Ok(Target {
        form: TargetForm::Absolute,
        scheme: Some(scheme),
        authority,
        path,
        query,
    })
}

/// What a byte of a path is.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum PathByte {
    /// Stands for itself.
    Plain,
    /// A segment may begin with it: look for `.` and `..`.
    Dot,
    /// `%`
    Percent,
    /// Has to be encoded.
    Encode,
    /// Has no place in a path.
    Refused,
}

const fn path_bytes() -> [PathByte; 256] {
    let mut table = [PathByte::Refused; 256];
    let mut b = 0x21;
    while b < 0x7F {
        table[b] = match b as u8 {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' => PathByte::Plain,
            b'-' | b'_' | b'~' | b'/' | b':' | b'@' => PathByte::Plain,
            b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b';' | b'=' => {
                PathByte::Plain
            }
            b'.' => PathByte::Dot,
            b'%' => PathByte::Percent,
            b'#' | b'?' | b'\\' => PathByte::Refused,
            _ => PathByte::Encode,
        };
        b += 1;
    }
    table
}
static PATH_BYTES: [PathByte; 256] = path_bytes();

type PathAndQuery<'a> = (&'a [u8], Option<&'a [u8]>);

/// `target` begins with `/`.
fn path_and_query<'a>(
    target: &'a [u8],
    scratch: &'a mut Vec<u8>,
) -> Result<PathAndQuery<'a>, TargetError> {
    let canonical = canonical_len(target);
    let path_len = match &target[canonical..] {
        [] | [b'?', ..] => canonical,
        rest => canonical + memchr::memchr(b'?', rest).unwrap_or(rest.len()),
    };
    let (path, rest) = target.split_at(path_len);
    let query = match rest {
        [b'?', query @ ..] => Some(checked_query(query)?),
        _ => None,
    };
    if canonical == path_len {
        return Ok((path, query));
    }
    scratch.clear();
    write_canonical(path, scratch)?;
    Ok((scratch, query))
}

/// Visible ASCII but `#`: everything else is left to those who read the query.
fn checked_query(query: &[u8]) -> Result<&[u8], TargetError> {
    let is_good = query
        .iter()
        .fold(true, |ok, &b| ok & (b.is_ascii_graphic() && b != b'#'));
    if is_good {
        Ok(query)
    } else {
        Err(TargetError::Byte)
    }
}

/// How far there is nothing to do. Stops at anything that needs a closer look, and at the query.
fn canonical_len(target: &[u8]) -> usize {
    let mut previous = b'/';
    for (at, &byte) in target.iter().enumerate() {
        match PATH_BYTES[usize::from(byte)] {
            PathByte::Plain => {}
            PathByte::Dot if previous != b'/' => {}
            // `/.well-known` is canonical and common, `/./` is neither; both are rewritten by the
            // closer look.
            PathByte::Dot | PathByte::Percent | PathByte::Encode | PathByte::Refused => {
                return at;
            }
        }
        previous = byte;
    }
    target.len()
}

/// Decodes and encodes what has to be, segment by segment, then drops dot segments (RFC 3986
/// §5.2.4).
fn write_canonical(path: &[u8], out: &mut Vec<u8>) -> Result<(), TargetError> {
    // A path is a row of segments, each with a slash before it.
    let mut segments = path[1..].split(|&b| b == b'/').peekable();
    while let Some(segment) = segments.next() {
        let start = out.len();
        out.push(b'/');
        write_segment(segment, out)?;
        let is_last = segments.peek().is_none();
        let written = &out[start + 1..];
        if written == b"." {
            out.truncate(start);
        } else if written == b".." {
            out.truncate(start);
            let parent = memchr::memrchr(b'/', out).ok_or(TargetError::AboveRoot)?;
            out.truncate(parent);
        } else {
            continue;
        }
        // A dot segment at the end names a directory.
        if is_last {
            out.push(b'/');
        }
    }
    Ok(())
}

fn write_segment(segment: &[u8], out: &mut Vec<u8>) -> Result<(), TargetError> {
    let mut rest = segment;
    while let Some((&byte, behind)) = rest.split_first() {
        rest = behind;
        match PATH_BYTES[usize::from(byte)] {
            PathByte::Plain | PathByte::Dot => out.push(byte),
            PathByte::Encode => push_encoded(byte, out),
            PathByte::Refused => return Err(TargetError::Byte),
            PathByte::Percent => {
                let (high, low) = match rest {
                    [high, low, behind @ ..] => {
                        rest = behind;
                        (hex_value(*high), hex_value(*low))
                    }
                    _ => (None, None),
                };
                let (Some(high), Some(low)) = (high, low) else {
                    return Err(TargetError::Percent);
                };
                match high << 4 | low {
                    0 => return Err(TargetError::Nul),
                    decoded if is_unreserved(decoded) => out.push(decoded),
                    decoded => push_encoded(decoded, out),
                }
            }
        }
    }
    Ok(())
}

fn push_encoded(byte: u8, out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    out.extend_from_slice(&[
        b'%',
        DIGITS[usize::from(byte >> 4)],
        DIGITS[usize::from(byte & 15)],
    ]);
}

fn hex_value(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).map(|value| value as u8)
}

fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

/// The authority a request is for (RFC 9112 §3.2, §3.3): of an absolute-form target, else of Host;
/// `None` only for HTTP/1.0 without either.
///
/// # Errors HTTP/1.1 without Host; more than one Host line; a Host that is empty or no authority;
/// an absolute-form target whose authority is not the one in Host, compared without regard to case
/// and with default ports filled in.
pub fn effective_authority<'a>(
    request: Request<'a>,
    target: &Target<'a>,
) -> Result<Option<Authority<'a>>, TargetError> {
    let Some(value) = request.field(KnownField::Host) else {
        return match request.version() {
            Version::Http11 => Err(TargetError::HostMissing),
            Version::Http10 => Ok(target.authority),
        };
    };
    if request.is_repeated(KnownField::Host) {
        return Err(TargetError::HostRepeated);
    }
    let host = parse_authority(value).map_err(|_| TargetError::HostMalformed)?;
    let Some(authority) = target.authority else {
        return Ok(Some(host));
    };
    let default_port = target.scheme.map(Scheme::default_port);
    let same_port = authority.port.or(default_port) == host.port.or(default_port);
    if same_port && authority.host.eq_ignore_ascii_case(host.host) {
        Ok(Some(authority))
    } else {
        Err(TargetError::HostMismatch)
    }
}
