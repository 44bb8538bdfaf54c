//! Host names as they stand in serialized Web origins and in site lists.
//!
//! One definition of "a host we compare": lower-case ASCII labels, a canonical dotted IPv4 address,
//! or a bracketed IPv6 address in the URL standard's compressed form. WHATWG URL §3.1, §3.5 (host
//! parser and serializer), RFC 1035 §2.3.4 (lengths). Never resolves anything, never allocates on
//! the request side, and never repairs what a peer sent: what is not canonical is refused.

use core::net::{Ipv4Addr, Ipv6Addr};

/// Longest host in bytes (RFC 1035 §2.3.4, without the root's dot).
pub const HOST_BYTES_MAX: usize = 253;
/// Longest label in bytes (RFC 1035 §2.3.4).
pub const LABEL_BYTES_MAX: usize = 63;

/// Why a text is not a host in the form that browsers serialize.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HostFault {
    /// No bytes at all.
    #[error("the host is empty")]
    Empty,
    /// More than [`HOST_BYTES_MAX`] bytes.
    #[error("the host is longer than 253 bytes")]
    TooLong,
    /// Two dots in a row, or a dot at the beginning.
    #[error("the host has an empty label")]
    EmptyLabel,
    /// A dot at the end.
    #[error("the host ends in a dot")]
    TrailingDot,
    /// A label of more than [`LABEL_BYTES_MAX`] bytes.
    #[error("a label of the host is longer than 63 bytes")]
    LabelTooLong,
    /// An upper-case letter; serialized hosts are lower-case.
    #[error("the host has an upper-case letter")]
    UpperCase,
    /// A label that begins `xn--` and is no punycode: browsers refuse the URL, so nobody sends it.
    #[error("a label that begins `xn--` is not the punycode of any name")]
    BadPunycode,
    /// A byte that no label holds.
    #[error("the host has a byte that is not a letter, digit, '-', '_' or '.'")]
    BadByte,
    /// The last label is a number, but the host is no canonical IPv4 address.
    #[error("the host ends in a number but is no canonical IPv4 address")]
    NotCanonicalIpv4,
    /// In brackets, but no IPv6 address in its shortest form.
    #[error("the host in brackets is no IPv6 address in its shortest form")]
    NotCanonicalIpv6,
}

/// What kind of host a checked text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HostKind {
    /// Labels.
    Name,
    /// Four numbers.
    Ipv4,
    /// An address in brackets.
    Ipv6,
}

const BAD: u8 = 1;
const DOT: u8 = 2;

/// Class of each byte: 0 may stand in a label, `DOT` separates labels, `BAD` is anything else.
static CLASS: [u8; 256] = class_table();

const fn class_table() -> [u8; 256] {
    let mut table = [BAD; 256];
    let mut byte = 0;
    while byte < 256 {
        let b = byte as u8;
        if b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_' {
            table[byte] = 0;
        }
        byte += 1;
    }
    table[b'.' as usize] = DOT;
    table
}

/// Whether `text` is one or more non-empty labels joined by dots.
pub(crate) fn are_labels(text: &[u8]) -> bool {
    let mut fault = 0u8;
    let mut previous = DOT;
    for &byte in text {
        let class = CLASS[usize::from(byte)];
        // A bad byte, or a dot behind a dot.
        fault |= class & (previous | BAD);
        previous = class;
    }
    fault | (previous & DOT) == 0
        && (text.len() <= LABEL_BYTES_MAX
            || text
                .split(|&b| b == b'.')
                .all(|label| label.len() <= LABEL_BYTES_MAX))
}

/// Checks that `host` is exactly the text a browser would serialize for it.
///
/// # Errors
/// The first [`HostFault`] found; length first, then labels from the left.
///
/// ```
/// use corsair_rules::host_name::{check_host, HostFault, HostKind};
/// assert_eq!(check_host(b"a.example.com"), Ok(HostKind::Name));
/// assert_eq!(check_host(b"[::1]"), Ok(HostKind::Ipv6));
/// assert_eq!(check_host(b"example.com."), Err(HostFault::TrailingDot));
/// ```
pub fn check_host(host: &[u8]) -> Result<HostKind, HostFault> {
    if host.is_empty() {
        return Err(HostFault::Empty);
    }
    if host.len() > HOST_BYTES_MAX {
        return Err(HostFault::TooLong);
    }
    if host[0] == b'[' {
        return check_ipv6(host);
    }
    if host.ends_with(b".") {
        return Err(HostFault::TrailingDot);
    }
    let mut last: &[u8] = b"";
    for label in host.split(|&byte| byte == b'.') {
        if let Some(&byte) = label.iter().find(|&&byte| CLASS[usize::from(byte)] != 0) {
            let upper = byte.is_ascii_uppercase();
            return Err(if upper {
                HostFault::UpperCase
            } else {
                HostFault::BadByte
            });
        }
        if label.is_empty() {
            return Err(HostFault::EmptyLabel);
        }
        if label.len() > LABEL_BYTES_MAX {
            return Err(HostFault::LabelTooLong);
        }
        last = label;
    }
    if ends_in_number(last) {
        check_ipv4(host)
    } else {
        Ok(HostKind::Name)
    }
}

/// WHATWG URL §3.5, "ends in a number checker": such a host is an IPv4 address or nothing.
fn ends_in_number(last_label: &[u8]) -> bool {
    last_label.iter().all(u8::is_ascii_digit)
        || last_label
            .strip_prefix(b"0x")
            .is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
}

fn check_ipv4(host: &[u8]) -> Result<HostKind, HostFault> {
    let text = core::str::from_utf8(host).map_err(|_| HostFault::NotCanonicalIpv4)?;
    // Ipv4Addr refuses leading zeros and anything but four decimal parts.
    text.parse::<Ipv4Addr>()
        .map_err(|_| HostFault::NotCanonicalIpv4)?;
    Ok(HostKind::Ipv4)
}

fn check_ipv6(host: &[u8]) -> Result<HostKind, HostFault> {
    let inner = host
        .strip_prefix(b"[")
        .and_then(|rest| rest.strip_suffix(b"]"))
        .and_then(|inner| core::str::from_utf8(inner).ok())
        .ok_or(HostFault::NotCanonicalIpv6)?;
    let address: Ipv6Addr = inner.parse().map_err(|_| HostFault::NotCanonicalIpv6)?;
    let mut buffer = Ipv6Text::new();
    buffer.write(address);
    if buffer.as_bytes() == inner.as_bytes() {
        Ok(HostKind::Ipv6)
    } else {
        Err(HostFault::NotCanonicalIpv6)
    }
}

/// An IPv6 address as the URL standard serializes it, built without allocation.
///
/// `core`'s own `Display` is not used: it writes IPv4-mapped addresses in dotted form, browsers
/// write them in hexadecimal.
struct Ipv6Text {
    bytes: [u8; 39],
    len: usize,
}

impl Ipv6Text {
    fn new() -> Self {
        Self {
            bytes: [0; 39],
            len: 0,
        }
    }

    fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    fn push(&mut self, byte: u8) {
        self.bytes[self.len] = byte;
        self.len += 1;
    }

    fn push_piece(&mut self, piece: u16) {
        let digits = (16 - piece.leading_zeros()).div_ceil(4).max(1);
        for place in (0..digits).rev() {
            let digit = (piece >> (4 * place)) & 0xf;
            self.push(b"0123456789abcdef"[usize::from(digit)]);
        }
    }

    /// WHATWG URL §3.5, IPv6 serializer: the first longest run of two or more zero pieces is `::`.
    fn write(&mut self, address: Ipv6Addr) {
        let pieces = address.segments();
        let run = longest_zero_run(&pieces);
        let mut index = 0;
        while index < pieces.len() {
            if run.is_some_and(|(start, _)| start == index) {
                let (_, run_len) = run.expect("just matched");
                self.push(b':');
                if index == 0 {
                    self.push(b':');
                }
                index += run_len;
                continue;
            }
            self.push_piece(pieces[index]);
            index += 1;
            if index < pieces.len() {
                self.push(b':');
            }
        }
    }
}

fn longest_zero_run(pieces: &[u16; 8]) -> Option<(usize, usize)> {
    let mut best: Option<(usize, usize)> = None;
    let mut start = 0;
    while start < pieces.len() {
        let run_len = pieces[start..]
            .iter()
            .take_while(|&&piece| piece == 0)
            .count();
        if run_len >= 2 && best.is_none_or(|(_, len)| run_len > len) {
            best = Some((start, run_len));
        }
        start += run_len.max(1);
    }
    best
}

/// The canonical text of an IPv6 address written by an operator in any valid spelling, in brackets.
pub(crate) fn canonical_ipv6(inner: &str) -> Option<String> {
    let address: Ipv6Addr = inner.parse().ok()?;
    let mut buffer = Ipv6Text::new();
    buffer.write(address);
    let mut text = String::with_capacity(buffer.len + 2);
    text.push('[');
    text.extend(buffer.as_bytes().iter().map(|&byte| char::from(byte)));
    text.push(']');
    Some(text)
}

/// The form in which a host written by an operator is compared, and what had to be changed.
pub(crate) struct OperatorHost {
    pub(crate) text: String,
    pub(crate) change: HostChange,
    pub(crate) kind: HostKind,
}

/// What [`operator_host`] had to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HostChange {
    None,
    Lowered,
    Punycode,
    Ipv6Compressed,
}

/// Brings a host out of a configuration into compared form: lower case, punycode, shortest IPv6.
///
/// # Errors
/// The [`HostFault`] of what no such change repairs.
pub(crate) fn operator_host(host: &str) -> Result<OperatorHost, HostFault> {
    if let Some(inner) = host
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
    {
        let text = canonical_ipv6(inner).ok_or(HostFault::NotCanonicalIpv6)?;
        let change = if text == host {
            HostChange::None
        } else {
            HostChange::Ipv6Compressed
        };
        return Ok(OperatorHost {
            text,
            change,
            kind: HostKind::Ipv6,
        });
    }
    let (text, change) = if !host.is_ascii() {
        let ascii = idna::domain_to_ascii(host).map_err(|_| HostFault::BadByte)?;
        (ascii, HostChange::Punycode)
    } else if host.bytes().any(|byte| byte.is_ascii_uppercase()) {
        (host.to_ascii_lowercase(), HostChange::Lowered)
    } else {
        (host.to_owned(), HostChange::None)
    };
    let kind = check_host(text.as_bytes())?;
    // WHATWG URL §3.5, domain to ASCII: what is ASCII already is still decoded, and refused.
    let is_punycode = |label: &str| label.starts_with("xn--");
    let stays = |text: &str| idna::domain_to_ascii(text).is_ok_and(|ascii| ascii == text);
    if text.split('.').any(is_punycode) && !stays(&text) {
        return Err(HostFault::BadPunycode);
    }
    Ok(OperatorHost { text, change, kind })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts() {
        let long_label = "a".repeat(63);
        let longest = format!("{0}.{0}.{0}.{1}", long_label, "a".repeat(61));
        #[rustfmt::skip]
        let rows: &[(&str, Result<HostKind, HostFault>)] = &[
            ("example.com", Ok(HostKind::Name)),
            ("a", Ok(HostKind::Name)),
            ("xn--bcher-kva.example", Ok(HostKind::Name)),
            ("_dmarc.-odd-.example", Ok(HostKind::Name)),
            (&long_label, Ok(HostKind::Name)),
            (&longest, Ok(HostKind::Name)),
            ("127.0.0.1", Ok(HostKind::Ipv4)),
            ("[::1]", Ok(HostKind::Ipv6)),
            ("[::]", Ok(HostKind::Ipv6)),
            ("[2001:db8::1]", Ok(HostKind::Ipv6)),
            ("[1:0:0:2::3]", Ok(HostKind::Ipv6)),
            ("[1::2:0:0:3:4]", Ok(HostKind::Ipv6)),
            ("[::ffff:102:304]", Ok(HostKind::Ipv6)),
            ("[1:2:3:4:5:6:7:8]", Ok(HostKind::Ipv6)),
            ("[1:2:3:4:5:6:0:8]", Ok(HostKind::Ipv6)),
            ("[1:2:3:4:5:6::]", Ok(HostKind::Ipv6)),
            ("", Err(HostFault::Empty)),
            (&format!("{longest}a"), Err(HostFault::TooLong)),
            (&format!("{long_label}a.com"), Err(HostFault::LabelTooLong)),
            (".example.com", Err(HostFault::EmptyLabel)),
            ("a..example.com", Err(HostFault::EmptyLabel)),
            ("example.com.", Err(HostFault::TrailingDot)),
            (".", Err(HostFault::TrailingDot)),
            ("Example.com", Err(HostFault::UpperCase)),
            ("evil`.example.com", Err(HostFault::BadByte)),
            ("evil{.example.com", Err(HostFault::BadByte)),
            ("a/b", Err(HostFault::BadByte)),
            ("a b", Err(HostFault::BadByte)),
            ("b\u{fc}cher.example", Err(HostFault::BadByte)),
            ("1.2.3", Err(HostFault::NotCanonicalIpv4)),
            ("1.2.3.04", Err(HostFault::NotCanonicalIpv4)),
            ("1.2.3.256", Err(HostFault::NotCanonicalIpv4)),
            ("example.0x7f", Err(HostFault::NotCanonicalIpv4)),
            ("[::1", Err(HostFault::NotCanonicalIpv6)),
            ("[0::1]", Err(HostFault::NotCanonicalIpv6)),
            ("[::FFFF]", Err(HostFault::NotCanonicalIpv6)),
            ("[::ffff:1.2.3.4]", Err(HostFault::NotCanonicalIpv6)),
            ("[1:0:0:2:0:0:0:3]", Err(HostFault::NotCanonicalIpv6)),
            ("[1:2:3:4:5:6::8]", Err(HostFault::NotCanonicalIpv6)),
            ("[fe80::1%eth0]", Err(HostFault::NotCanonicalIpv6)),
        ];
        for (host, expected) in rows {
            assert_eq!(check_host(host.as_bytes()), *expected, "{host}");
        }
    }

    #[test]
    fn operator_hosts_are_brought_into_compared_form() {
        #[rustfmt::skip]
        let rows: &[(&str, &str, HostChange)] = &[
            ("example.com", "example.com", HostChange::None),
            ("Example.COM", "example.com", HostChange::Lowered),
            ("b\u{fc}cher.example", "xn--bcher-kva.example", HostChange::Punycode),
            ("B\u{dc}CHER.example", "xn--bcher-kva.example", HostChange::Punycode),
            ("[0:0::1]", "[::1]", HostChange::Ipv6Compressed),
            ("[::ffff:1.2.3.4]", "[::ffff:102:304]", HostChange::Ipv6Compressed),
        ];
        for (given, expected, change) in rows {
            let host = operator_host(given).expect("valid");
            assert_eq!(
                (host.text.as_str(), host.change),
                (*expected, *change),
                "{given}"
            );
        }
        assert!(operator_host("a b").is_err());
        for punycode in ["xn--bcher-kva.example", "_a.xn--bcher-kva.xn--p1ai"] {
            assert!(operator_host(punycode).is_ok(), "{punycode}");
        }
        for none in [
            "xn--a",
            "a.xn--",
            "xn--a.example",
            "XN--A",
            "xn--abc-.example",
        ] {
            let fault = operator_host(none).err();
            assert_eq!(fault, Some(HostFault::BadPunycode), "{none}");
        }
        assert!(operator_host("\u{200d}").is_err());
    }
}
