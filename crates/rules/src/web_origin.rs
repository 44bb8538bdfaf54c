//! A serialized Web origin, parsed strictly and bounded.
//!
//! Fetch §3.2 (the `Origin` header's ABNF), HTML §7.1.1 and WHATWG URL §4.4 (serialization of an
//! origin). Browsers send one canonical text per origin; everything else is refused here, never
//! repaired: no case folding, no trailing dot removed, no default port dropped. Never allocates.

use crate::host_name::{self, HOST_BYTES_MAX, HostFault, HostKind};
use core::fmt;

/// Longest scheme in bytes. The longest in use (`safari-web-extension`) has 20.
pub const SCHEME_BYTES_MAX: usize = 32;
/// Longest serialized origin in bytes: scheme, `://`, host, `:65535`.
pub const ORIGIN_BYTES_MAX: usize = SCHEME_BYTES_MAX + 3 + HOST_BYTES_MAX + 6;

/// An origin's parts, borrowed from the bytes it was parsed from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WebOrigin<'a> {
    /// Lower-case, without `://`.
    pub scheme: &'a str,
    /// Lower-case, IPv6 in brackets.
    pub host: &'a str,
    /// `None` when the origin has its scheme's default port.
    pub port: Option<u16>,
    /// Name or address.
    pub host_kind: HostKind,
}

/// Why bytes are not a serialized origin that has parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotSerialized {
    /// The four bytes `null`: an opaque origin, valid but without parts.
    #[error("`null` is an opaque origin and has no parts")]
    Opaque,
    /// Nothing.
    #[error("the value is empty")]
    Empty,
    /// Over [`ORIGIN_BYTES_MAX`].
    #[error("the value is longer than any origin")]
    TooLong,
    /// No `://`.
    #[error("there is no `://`")]
    NoScheme,
    /// The scheme is over-long, in upper case, or has a byte no scheme has.
    #[error("the scheme is not lower-case letters, digits, '+', '-' or '.'")]
    BadScheme,
    /// A `/` after the host, so a path.
    #[error("there is a path, and an origin has none")]
    Path,
    /// An `@`.
    #[error("there is user information, and an origin has none")]
    UserInformation,
    /// A comma or a space: several values in one line.
    #[error("there is more than one value")]
    Several,
    /// The port is empty, has a leading zero, or is over 65535.
    #[error("the port is not a plain decimal number up to 65535")]
    BadPort,
    /// The port is the scheme's default one, which a browser leaves out.
    #[error("the scheme's default port is spelled out")]
    DefaultPort,
    /// The host is not canonical.
    #[error(transparent)]
    Host(#[from] HostFault),
}

impl<'a> WebOrigin<'a> {
    /// Parses the value of an `Origin` field.
    ///
    /// # Errors
    /// [`NotSerialized`] for every byte sequence that no browser sends as an origin with parts.
    ///
    /// ```
    /// use corsair_rules::{NotSerialized, WebOrigin};
    /// let origin = WebOrigin::parse(b"https://a.example.com:8443").unwrap();
    /// assert_eq!((origin.scheme, origin.host), ("https", "a.example.com"));
    /// assert_eq!(origin.port, Some(8443));
    /// assert_eq!(WebOrigin::parse(b"https://example.com/"), Err(NotSerialized::Path));
    /// ```
    pub fn parse(bytes: &'a [u8]) -> Result<Self, NotSerialized> {
        if bytes == b"null" {
            return Err(NotSerialized::Opaque);
        }
        if bytes.is_empty() {
            return Err(NotSerialized::Empty);
        }
        if bytes.len() > ORIGIN_BYTES_MAX {
            return Err(NotSerialized::TooLong);
        }
        let (scheme, rest) = split_scheme(bytes).ok_or(NotSerialized::NoScheme)?;
        if !is_scheme(scheme) {
            return Err(NotSerialized::BadScheme);
        }
        // Named reasons for what people really send; the host check would refuse them all.
        if let Some(&byte) = rest
            .iter()
            .find(|byte| matches!(byte, b'/' | b'@' | b',' | b' '))
        {
            return Err(match byte {
                b'/' => NotSerialized::Path,
                b'@' => NotSerialized::UserInformation,
                _ => NotSerialized::Several,
            });
        }
        let (host, port) = split_port(rest)?;
        let host_kind = host_name::check_host(host)?;
        let scheme = core::str::from_utf8(scheme).map_err(|_| NotSerialized::BadScheme)?;
        let host = core::str::from_utf8(host).map_err(|_| HostFault::BadByte)?;
        if port.is_some() && port == default_port(scheme) {
            return Err(NotSerialized::DefaultPort);
        }
        Ok(Self {
            scheme,
            host,
            port,
            host_kind,
        })
    }

    /// Whether a browser may treat this origin as local and so as secure without TLS
    /// (Secure Contexts §3.1: `localhost`, names under it, and loopback addresses).
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        is_loopback_host(self.host)
    }
}

impl fmt::Display for WebOrigin<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}://{}", self.scheme, self.host)?;
        match self.port {
            Some(port) => write!(out, ":{port}"),
            None => Ok(()),
        }
    }
}

/// Whether `host` is `localhost`, a name under it, or a loopback address.
pub(crate) fn is_loopback_host(host: &str) -> bool {
    host == "localhost"
        || host.ends_with(".localhost")
        || host == "[::1]"
        || host
            .parse::<core::net::Ipv4Addr>()
            .is_ok_and(|address| address.is_loopback())
}

/// The port a scheme has when none is written (WHATWG URL §4.2, special schemes).
pub(crate) fn default_port(scheme: &str) -> Option<u16> {
    match scheme {
        "http" | "ws" => Some(80),
        "https" | "wss" => Some(443),
        "ftp" => Some(21),
        _ => None,
    }
}

/// RFC 3986 §3.1 in lower case, bounded.
pub(crate) fn is_scheme(scheme: &[u8]) -> bool {
    scheme.len() <= SCHEME_BYTES_MAX
        && scheme.first().is_some_and(u8::is_ascii_lowercase)
        && scheme.iter().all(|&byte| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'+' | b'-' | b'.')
        })
}

/// Splits at the first `://`; looks no further than a scheme can be long.
pub(crate) fn split_scheme(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let searched = &bytes[..bytes.len().min(SCHEME_BYTES_MAX + 3)];
    let at = searched.windows(3).position(|window| window == b"://")?;
    Some((&bytes[..at], &bytes[at + 3..]))
}

/// Splits host and port; a colon inside brackets is the host's.
fn split_port(rest: &[u8]) -> Result<(&[u8], Option<u16>), NotSerialized> {
    let after_address = rest
        .iter()
        .rposition(|&byte| byte == b']')
        .map_or(0, |at| at + 1);
    match rest[after_address..].iter().position(|&byte| byte == b':') {
        None => Ok((rest, None)),
        Some(at) => {
            let (host, port) = rest.split_at(after_address + at);
            let port = parse_port(&port[1..]).ok_or(NotSerialized::BadPort)?;
            Ok((host, Some(port)))
        }
    }
}

/// A decimal port in the one form a URL serializer writes: no sign, no leading zero, at most 65535.
#[inline]
pub(crate) fn parse_port(digits: &[u8]) -> Option<u16> {
    if digits.is_empty() || digits.len() > 5 || (digits[0] == b'0' && digits.len() > 1) {
        return None;
    }
    let mut value = 0u32;
    for &byte in digits {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        value = value * 10 + u32::from(digit);
    }
    u16::try_from(value).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &[u8], expected: Result<(&str, &str, Option<u16>), NotSerialized>) {
        let parsed = WebOrigin::parse(text).map(|origin| (origin.scheme, origin.host, origin.port));
        assert_eq!(parsed, expected, "{}", String::from_utf8_lossy(text));
        if let Ok(origin) = WebOrigin::parse(text) {
            assert_eq!(
                origin.to_string().as_bytes(),
                text,
                "an origin is its own serialization"
            );
        }
    }

    #[test]
    fn origins() {
        check(b"https://example.com", Ok(("https", "example.com", None)));
        check(
            b"http://localhost:3000",
            Ok(("http", "localhost", Some(3000))),
        );
        check(b"http://[::1]:8080", Ok(("http", "[::1]", Some(8080))));
        check(b"http://[::1]", Ok(("http", "[::1]", None)));
        check(
            b"https://127.0.0.1:8443",
            Ok(("https", "127.0.0.1", Some(8443))),
        );
        check(
            b"capacitor://localhost",
            Ok(("capacitor", "localhost", None)),
        );
        check(
            b"http://example.com:443",
            Ok(("http", "example.com", Some(443))),
        );
        check(
            b"https://example.com:0",
            Ok(("https", "example.com", Some(0))),
        );
        check(b"null", Err(NotSerialized::Opaque));
        check(b"", Err(NotSerialized::Empty));
        check(&[b'a'; ORIGIN_BYTES_MAX + 1], Err(NotSerialized::TooLong));
        check(b"example.com", Err(NotSerialized::NoScheme));
        check(b"https:/example.com", Err(NotSerialized::NoScheme));
        check(b"Null", Err(NotSerialized::NoScheme));
        check(b"HTTPS://example.com", Err(NotSerialized::BadScheme));
        check(b"://example.com", Err(NotSerialized::BadScheme));
        check(
            b"https://Example.com",
            Err(NotSerialized::Host(HostFault::UpperCase)),
        );
        check(b"https://example.com/", Err(NotSerialized::Path));
        check(
            b"https://example.com@evil.net",
            Err(NotSerialized::UserInformation),
        );
        check(b"https://a.com, https://b.com", Err(NotSerialized::Several));
        check(b"https://a.com https://b.com", Err(NotSerialized::Several));
        check(b"https://example.com:", Err(NotSerialized::BadPort));
        check(b"https://example.com:080", Err(NotSerialized::BadPort));
        check(b"https://example.com:65536", Err(NotSerialized::BadPort));
        check(
            b"https://example.com:80.evil.net",
            Err(NotSerialized::BadPort),
        );
        check(b"https://example.com:443", Err(NotSerialized::DefaultPort));
        check(b"https://", Err(NotSerialized::Host(HostFault::Empty)));
        check(
            b"https://example.com.",
            Err(NotSerialized::Host(HostFault::TrailingDot)),
        );
        check(
            b"https://a..b",
            Err(NotSerialized::Host(HostFault::EmptyLabel)),
        );
        check(
            b"https://a\0b",
            Err(NotSerialized::Host(HostFault::BadByte)),
        );
        check(b"https://a?b", Err(NotSerialized::Host(HostFault::BadByte)));
    }

    #[test]
    fn loopback() {
        for (text, expected) in [
            ("http://localhost:3000", true),
            ("http://app.localhost", true),
            ("http://127.8.0.1", true),
            ("http://[::1]:1", true),
            ("http://notlocalhost", false),
            ("http://128.0.0.1", false),
        ] {
            let origin = WebOrigin::parse(text.as_bytes()).expect("serialized");
            assert_eq!(origin.is_loopback(), expected, "{text}");
        }
    }
}
