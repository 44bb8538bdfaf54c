//! One allowed-origin pattern as an operator writes it, in each dialect we read.
//!
//! The contract is spec §3.1: exact; `*.` for one or more whole labels, never the apex; port `:*`;
//! scheme `*://` for http or https; custom schemes; IPv6; IDN turned to punycode and reported;
//! `null` only by name. Dialect `s3` allows one `*` anywhere; dialect `alibaba` reads `%x` as `x`.
//! A malformed pattern is an error with its remedy, never something wider. Never matches by itself
//! on the request path: [`crate::OriginSet`] compiles patterns.

use crate::host_name::{HostChange, HostFault, HostKind, operator_host};
use crate::web_origin::{
    ORIGIN_BYTES_MAX, WebOrigin, default_port, is_loopback_host, is_scheme, parse_port,
};
use core::fmt;

/// Whose syntax and meaning a pattern has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Dialect {
    /// Corsair's own, spec §3.1.
    #[default]
    Native,
    /// Bucket CORS rules: one `*` anywhere, which crosses dots, labels and ports.
    S3,
    /// Alibaba CDN response-header settings: native, and `%` escapes the next character.
    Alibaba,
}

/// Which schemes a pattern allows.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum SchemeRule {
    /// `http://`
    Http,
    /// `https://`
    Https,
    /// `*://`
    HttpOrHttps,
    /// Any other one scheme, such as `capacitor`.
    Custom(Box<str>),
}

/// Which ports a pattern allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PortRule {
    /// No port in the origin, so the scheme's default one.
    Absent,
    /// This one. With `*://`, the scheme whose default it is matches without a port.
    Exact(u16),
    /// `:*`, any port or none.
    Any,
}

/// Scheme, host and port of an exact or suffix pattern.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct OriginRule {
    pub(crate) scheme: SchemeRule,
    pub(crate) host: Box<str>,
    pub(crate) port: PortRule,
}

/// A parsed pattern.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum OriginPattern {
    /// The single `*`: every request, with or without an `Origin`.
    Star,
    /// The opaque origin `null`.
    Null,
    /// One host.
    Exact(OriginRule),
    /// `*.` before the host: every name below it, not itself.
    Suffix(OriginRule),
    /// Dialect `s3` only: one or more bytes between two literals.
    StarAnywhere {
        /// What an origin must begin with; may be empty.
        prefix: Box<str>,
        /// What it must end with, behind at least one more byte; may be empty.
        suffix: Box<str>,
    },
}

/// What was changed or should be known about an accepted pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PatternNote {
    /// An internationalized name was converted; this is the host that is compared.
    Punycode(Box<str>),
    /// Upper-case letters were lowered; browsers never send them.
    Lowered,
    /// An IPv6 address was brought into its shortest form.
    Ipv6Compressed(Box<str>),
    /// The scheme's default port was dropped; browsers never send it.
    DefaultPortDropped(u16),
    /// A `%` escape was read as the character behind it.
    Unescaped,
    /// The star covers more than whole labels under a host: it also covers names that begin or end
    /// differently. One in the scheme or the port alone covers one host, and is not noted.
    OpenStar,
}

impl fmt::Display for PatternNote {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Punycode(host) => write!(out, "the host is compared as `{host}`"),
            Self::Lowered => out.write_str("lowered: browsers send origins in lower case"),
            Self::Ipv6Compressed(host) => write!(out, "the address is compared as `{host}`"),
            Self::DefaultPortDropped(port) => {
                write!(
                    out,
                    ":{port} is the scheme's default port, which browsers leave out"
                )
            }
            Self::Unescaped => out.write_str("`%` escapes are not needed here; read without them"),
            Self::OpenStar => {
                out.write_str("the star is not a whole label and may cover hosts of strangers")
            }
        }
    }
}

/// Why a pattern is refused; the message names the remedy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// Nothing.
    #[error("the pattern is empty")]
    Empty,
    /// Longer than any origin can be.
    #[error("the pattern is longer than any origin")]
    TooLong,
    /// A blank, control or other byte that no origin holds.
    #[error("{0:?} cannot stand in an origin; write one pattern per entry, without blanks")]
    BadCharacter(char),
    /// No `://`.
    #[error("there is no scheme; write `https://` (or `*://` for http and https) before it")]
    NoScheme,
    /// Not a scheme.
    #[error("the scheme may hold only letters, digits, '+', '-' and '.'")]
    BadScheme,
    /// `/` behind the host.
    #[error("an origin has no path; remove everything from the `/` on")]
    Path,
    /// `?` or `#`.
    #[error("an origin has no query and no fragment; remove them")]
    Query,
    /// `@`.
    #[error("an origin has no user information; remove what stands before the `@`")]
    UserInformation,
    /// A port that is no number up to 65535.
    #[error("the port must be a plain number from 0 to 65535, or `*` for any")]
    BadPort,
    /// A `*` where this dialect has none.
    #[error(
        "`*` may stand only as the whole pattern, as `*.` before a host, as `:*` and as `*://`"
    )]
    Star,
    /// More than one `*` in dialect `s3`.
    #[error("this dialect allows one `*` in a pattern")]
    SeveralStars,
    /// `*.` before an address.
    #[error("`*.` covers names; an address has none below it")]
    StarOverAddress,
    /// `%` with nothing behind it.
    #[error("`%` must be followed by the character it escapes")]
    BareEscape,
    /// The host.
    #[error(transparent)]
    Host(#[from] HostFault),
}

impl OriginPattern {
    /// Parses one pattern.
    ///
    /// # Errors
    /// [`PatternError`] when this dialect has no such pattern. Nothing is ever widened instead.
    ///
    /// ```
    /// use corsair_rules::{Dialect, OriginPattern, PatternError, PatternNote};
    /// let parse = |text| OriginPattern::parse(text, Dialect::Native);
    /// let (pattern, notes) = parse("https://*.B\u{fc}cher.example:*").unwrap();
    /// assert_eq!(pattern.to_string(), "https://*.xn--bcher-kva.example:*");
    /// assert_eq!(notes, [PatternNote::Punycode("xn--bcher-kva.example".into())]);
    /// assert_eq!(parse("h*"), Err(PatternError::NoScheme));
    /// ```
    pub fn parse(text: &str, dialect: Dialect) -> Result<(Self, Vec<PatternNote>), PatternError> {
        let mut notes = Vec::new();
        let unescaped;
        let mut text = text;
        if dialect == Dialect::Alibaba && text.contains('%') {
            unescaped = unescape(text)?;
            text = &unescaped;
            notes.push(PatternNote::Unescaped);
        }
        if text.is_empty() {
            return Err(PatternError::Empty);
        }
        if text.len() > 2 * ORIGIN_BYTES_MAX {
            return Err(PatternError::TooLong);
        }
        let plain = |byte: u8| byte.is_ascii_graphic() && byte != b',';
        if !text.bytes().all(plain)
            && let Some(bad) = text.chars().find(|&c| never_in_pattern(c))
        {
            return Err(PatternError::BadCharacter(bad));
        }
        let pattern = match text {
            "*" => Self::Star,
            "null" => Self::Null,
            _ if dialect == Dialect::S3 && text.contains('*') => parse_s3_star(text, &mut notes)?,
            _ => parse_rule(text, &mut notes)?,
        };
        Ok((pattern, notes))
    }

    /// Whether this pattern alone allows an origin with parts. Linear lists of patterns are not for
    /// requests: [`crate::OriginSet`] is.
    #[must_use]
    pub fn allows(&self, origin: &WebOrigin<'_>) -> bool {
        match self {
            Self::Star => true,
            Self::Null => false,
            Self::Exact(rule) => rule.allows_exactly(origin),
            Self::Suffix(rule) => rule.allows_below(origin),
            Self::StarAnywhere { prefix, suffix } => {
                let text = origin.to_string();
                text.len() > prefix.len() + suffix.len()
                    && text.starts_with(&**prefix)
                    && text.ends_with(&**suffix)
            }
        }
    }

    /// The only host that a pattern with a star in its scheme or its port covers, in brackets when it
    /// is an IPv6 address; `None` for a star that may stand for a part of the host, and without a host.
    pub(crate) fn only_host(&self) -> Option<&str> {
        match self {
            Self::Exact(rule) => Some(&rule.host),
            Self::StarAnywhere { prefix, suffix } => {
                let in_port = prefix.split_once("://").and_then(|(_, behind)| {
                    let (host, digits) = behind.rsplit_once(':')?;
                    digits
                        .bytes()
                        .all(|byte| byte.is_ascii_digit())
                        .then_some(host)
                });
                let in_scheme = || {
                    suffix
                        .split_once("://")
                        .map(|(_, behind)| without_port(behind))
                };
                let is_whole = |host: &&str| match host.starts_with('[') {
                    true => host.ends_with(']'),
                    false => !host.is_empty(),
                };
                in_port.or_else(in_scheme).filter(is_whole)
            }
            Self::Star | Self::Null | Self::Suffix(_) => None,
        }
    }

    /// Whether every host that the pattern covers is this machine's own, which no network path leads
    /// to (Secure Contexts §3.1).
    pub(crate) fn is_loopback(&self) -> bool {
        match self {
            Self::Star | Self::Null => false,
            Self::Exact(rule) | Self::Suffix(rule) => is_loopback_host(&rule.host),
            Self::StarAnywhere { suffix, .. } => {
                self.only_host().is_some_and(is_loopback_host)
                    || without_port(suffix).ends_with(".localhost")
            }
        }
    }

    /// Whether the pattern is one constant text, so that a response need not look at `Origin`.
    #[must_use]
    pub fn as_constant(&self) -> Option<String> {
        match self {
            Self::Star | Self::Null => Some(self.to_string()),
            Self::Exact(rule) => {
                let one_scheme = rule.scheme != SchemeRule::HttpOrHttps;
                let one_port = rule.port != PortRule::Any;
                (one_scheme && one_port).then(|| self.to_string())
            }
            Self::Suffix(_) | Self::StarAnywhere { .. } => None,
        }
    }
}

impl SchemeRule {
    /// Whether `scheme` is one of these.
    #[must_use]
    pub fn allows(&self, scheme: &str) -> bool {
        match self {
            Self::Http => scheme == "http",
            Self::Https => scheme == "https",
            Self::HttpOrHttps => scheme == "http" || scheme == "https",
            Self::Custom(own) => **own == *scheme,
        }
    }
}

impl OriginRule {
    /// Which schemes.
    #[must_use]
    pub fn scheme(&self) -> &SchemeRule {
        &self.scheme
    }

    /// The whole host, or for a suffix what follows `*.`; lower-case, punycode, IPv6 in brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Which ports; never the default one of the only scheme.
    #[must_use]
    pub fn port(&self) -> PortRule {
        self.port
    }

    /// Whether an origin with this scheme has a port that the rule allows.
    #[must_use]
    pub fn allows_port(&self, scheme: &str, port: Option<u16>) -> bool {
        match self.port {
            PortRule::Absent => port.is_none(),
            PortRule::Any => true,
            PortRule::Exact(own) if default_port(scheme) == Some(own) => port.is_none(),
            PortRule::Exact(own) => port == Some(own),
        }
    }

    /// The rule's host is a suffix of `origin`'s at a dot, and scheme and port are allowed.
    #[must_use]
    pub fn allows_below(&self, origin: &WebOrigin<'_>) -> bool {
        self.scheme.allows(origin.scheme)
            && self.allows_port(origin.scheme, origin.port)
            && origin
                .host
                .strip_suffix(&*self.host)
                .is_some_and(|rest| rest.ends_with('.'))
    }

    /// The rule's host is `origin`'s, and scheme and port are allowed.
    #[must_use]
    pub fn allows_exactly(&self, origin: &WebOrigin<'_>) -> bool {
        self.scheme.allows(origin.scheme)
            && self.allows_port(origin.scheme, origin.port)
            && *self.host == *origin.host
    }
}

impl fmt::Display for OriginPattern {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Star => out.write_str("*"),
            Self::Null => out.write_str("null"),
            Self::Exact(rule) => write_rule(rule, "", out),
            Self::Suffix(rule) => write_rule(rule, "*.", out),
            Self::StarAnywhere { prefix, suffix } => write!(out, "{prefix}*{suffix}"),
        }
    }
}

fn write_rule(rule: &OriginRule, star: &str, out: &mut fmt::Formatter<'_>) -> fmt::Result {
    let scheme = match &rule.scheme {
        SchemeRule::Http => "http",
        SchemeRule::Https => "https",
        SchemeRule::HttpOrHttps => "*",
        SchemeRule::Custom(scheme) => scheme,
    };
    write!(out, "{scheme}://{star}{}", rule.host)?;
    match rule.port {
        PortRule::Absent => Ok(()),
        PortRule::Exact(port) => write!(out, ":{port}"),
        PortRule::Any => out.write_str(":*"),
    }
}

/// What stands before `:` and digits.
fn without_port(text: &str) -> &str {
    match text.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        Some(_) | None => text,
    }
}

/// Characters that make a list or a field line of a pattern, in every dialect.
fn never_in_pattern(c: char) -> bool {
    c.is_ascii_control() || c.is_whitespace() || c == ','
}

/// Alibaba's `%-` is the escape of Lua patterns: `%` makes the next character literal.
fn unescape(text: &str) -> Result<String, PatternError> {
    let mut plain = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        if character == '%' {
            plain.push(characters.next().ok_or(PatternError::BareEscape)?);
        } else {
            plain.push(character);
        }
    }
    Ok(plain)
}

/// `scheme://[*.]host[:port]` in the native dialect.
fn parse_rule(text: &str, notes: &mut Vec<PatternNote>) -> Result<OriginPattern, PatternError> {
    let (scheme, rest) = text.split_once(':').ok_or(PatternError::NoScheme)?;
    let rest = rest.strip_prefix("//").ok_or(PatternError::NoScheme)?;
    let scheme = parse_scheme_rule(scheme, notes)?;
    if let Some(byte) = rest
        .bytes()
        .find(|byte| matches!(byte, b'/' | b'?' | b'#' | b'@'))
    {
        return Err(match byte {
            b'/' => PatternError::Path,
            b'@' => PatternError::UserInformation,
            _ => PatternError::Query,
        });
    }
    let (host, port) = split_port_rule(rest)?;
    let port = settle_port(&scheme, port, notes);
    let (below, host) = match host.strip_prefix("*.") {
        Some(host) => (true, host),
        None => (false, host),
    };
    if host.contains('*') {
        return Err(PatternError::Star);
    }
    let host = operator_host(host)?;
    match host.change {
        HostChange::None => {}
        HostChange::Lowered => notes.push(PatternNote::Lowered),
        HostChange::Punycode => notes.push(PatternNote::Punycode(host.text.as_str().into())),
        HostChange::Ipv6Compressed => {
            notes.push(PatternNote::Ipv6Compressed(host.text.as_str().into()));
        }
    }
    if below && host.kind != HostKind::Name {
        return Err(PatternError::StarOverAddress);
    }
    let rule = OriginRule {
        scheme,
        host: host.text.into(),
        port,
    };
    Ok(if below {
        OriginPattern::Suffix(rule)
    } else {
        OriginPattern::Exact(rule)
    })
}

fn parse_scheme_rule(
    scheme: &str,
    notes: &mut Vec<PatternNote>,
) -> Result<SchemeRule, PatternError> {
    match scheme {
        "http" => return Ok(SchemeRule::Http),
        "https" => return Ok(SchemeRule::Https),
        "*" => return Ok(SchemeRule::HttpOrHttps),
        _ => {}
    }
    if scheme.contains('*') {
        return Err(PatternError::Star);
    }
    let lower = scheme.to_ascii_lowercase();
    if !is_scheme(lower.as_bytes()) {
        return Err(PatternError::BadScheme);
    }
    if lower != scheme {
        notes.push(PatternNote::Lowered);
    }
    Ok(match lower.as_str() {
        "http" => SchemeRule::Http,
        "https" => SchemeRule::Https,
        _ => SchemeRule::Custom(lower.into()),
    })
}

fn split_port_rule(rest: &str) -> Result<(&str, PortRule), PatternError> {
    let after_address = rest.rfind(']').map_or(0, |at| at + 1);
    let Some(colon) = rest[after_address..].find(':') else {
        return Ok((rest, PortRule::Absent));
    };
    let (host, port) = rest.split_at(after_address + colon);
    let port = match &port[1..] {
        "*" => PortRule::Any,
        digits => PortRule::Exact(parse_port(digits.as_bytes()).ok_or(PatternError::BadPort)?),
    };
    Ok((host, port))
}

/// A spelled-out default port means no port, because browsers leave it out.
fn settle_port(scheme: &SchemeRule, port: PortRule, notes: &mut Vec<PatternNote>) -> PortRule {
    let default = match scheme {
        SchemeRule::Http => Some(80),
        SchemeRule::Https => Some(443),
        // Default for one of the two only: the matcher treats each scheme apart.
        SchemeRule::HttpOrHttps => None,
        SchemeRule::Custom(scheme) => default_port(scheme),
    };
    match port {
        PortRule::Exact(own) if default == Some(own) => {
            notes.push(PatternNote::DefaultPortDropped(own));
            PortRule::Absent
        }
        PortRule::Absent | PortRule::Exact(_) | PortRule::Any => port,
    }
}

/// A pattern of dialect `s3` with a `*` in it.
fn parse_s3_star(text: &str, notes: &mut Vec<PatternNote>) -> Result<OriginPattern, PatternError> {
    let (prefix, suffix) = text.split_once('*').ok_or(PatternError::Star)?;
    if suffix.contains('*') {
        return Err(PatternError::SeveralStars);
    }
    // `scheme://*.host` means the same in both dialects, because an origin is validated whole; the
    // table is cheaper than the automaton.
    if prefix.ends_with("://") && suffix.starts_with('.') {
        let mut own_notes = Vec::new();
        if let Ok(pattern) = parse_rule(text, &mut own_notes) {
            notes.append(&mut own_notes);
            return Ok(pattern);
        }
    }
    let lower = text.to_ascii_lowercase();
    if lower != text {
        notes.push(PatternNote::Lowered);
    }
    let allowed = |c: char| c.is_ascii_alphanumeric() || "+-._:/[]*".contains(c);
    if let Some(bad) = lower.chars().find(|&c| !allowed(c)) {
        return Err(match bad {
            '@' => PatternError::UserInformation,
            '?' | '#' => PatternError::Query,
            other => PatternError::BadCharacter(other),
        });
    }
    let (prefix, suffix) = lower.split_once('*').ok_or(PatternError::Star)?;
    let pattern = OriginPattern::StarAnywhere {
        prefix: prefix.into(),
        suffix: suffix.into(),
    };
    if pattern.only_host().is_none() {
        notes.push(PatternNote::OpenStar);
    }
    Ok(pattern)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `expected` is the canonical text, or the error's `Debug` beginning behind `!`.
    fn check(dialect: Dialect, text: &str, expected: &str) {
        let parsed = match OriginPattern::parse(text, dialect) {
            Ok((pattern, _)) => pattern.to_string(),
            Err(error) => format!("!{error:?}"),
        };
        assert_eq!(parsed, expected, "{text} in {dialect:?}");
    }

    #[test]
    fn native() {
        for same in [
            "*",
            "null",
            "https://example.com",
            "https://*.example.com",
            "http://localhost:*",
            "http://localhost:3000",
            "*://example.com",
            "*://*.example.com:*",
            "capacitor://localhost",
            "chrome-extension://abcdefghijklmnop",
            "http://[::1]:*",
            "https://127.0.0.1:8443",
            "http://example.com:443",
            "*://example.com:443",
        ] {
            check(Dialect::Native, same, same);
        }
        #[rustfmt::skip]
        let rows = [
            ("https://example.com:443", "https://example.com"),
            ("HTTPS://Example.COM", "https://example.com"),
            ("https://b\u{fc}cher.example", "https://xn--bcher-kva.example"),
            ("http://[0:0::1]", "http://[::1]"),
            ("", "!Empty"),
            ("h*", "!NoScheme"),
            ("example.com", "!NoScheme"),
            ("*.example.com", "!NoScheme"),
            ("https://*", "!Star"),
            ("https://a*.example.com", "!Star"),
            ("https://*.*.example.com", "!Star"),
            ("https://a.*.example.com", "!Star"),
            ("https://example.*", "!Star"),
            ("http*://example.com", "!Star"),
            ("**", "!NoScheme"),
            ("https://example.com/", "!Path"),
            ("https://*.example.com/*", "!Path"),
            ("https://example.com?x", "!Query"),
            ("https://u@example.com", "!UserInformation"),
            ("https://example.com:", "!BadPort"),
            ("https://example.com:0443", "!BadPort"),
            ("https://example.com:65536", "!BadPort"),
            ("https://example.com:80*", "!BadPort"),
            ("https://example.com.", "!Host(TrailingDot)"),
            ("https://.example.com", "!Host(EmptyLabel)"),
            ("https://*..example.com", "!Host(EmptyLabel)"),
            ("https://*.", "!Host(Empty)"),
            ("https://*.127.0.0.1", "!StarOverAddress"),
            ("https://*.[::1]", "!StarOverAddress"),
            ("https://a.com,https://b.com", "!BadCharacter(',')"),
            ("https://a.com https://b.com", "!BadCharacter(' ')"),
            ("https://a.com\r\nX: y", "!BadCharacter('\\r')"),
            ("https://doc.aliyun%-example.com", "!Host(BadByte)"),
            ("ht tp://a", "!BadCharacter(' ')"),
            ("ht_tp://a", "!BadScheme"),
        ];
        for (text, expected) in rows {
            check(Dialect::Native, text, expected);
        }
    }

    #[test]
    fn alibaba_reads_escapes() {
        let rows = [
            (
                "http://doc.aliyun%-example.com",
                "http://doc.aliyun-example.com",
            ),
            ("https://*.my%-domain%.com", "https://*.my-domain.com"),
            (
                "http://doc.aliyun-example.com",
                "http://doc.aliyun-example.com",
            ),
            ("http://a.com%", "!BareEscape"),
            ("http://a%*.com", "!Star"),
        ];
        for (text, expected) in rows {
            check(Dialect::Alibaba, text, expected);
        }
    }

    #[test]
    fn s3_allows_one_star_anywhere() {
        let rows = [
            ("https://*.example.com", "https://*.example.com"),
            ("http://localhost:*", "http://localhost:*"),
            ("https://*", "https://*"),
            ("h*", "h*"),
            ("https://app-*.Example.com", "https://app-*.example.com"),
            ("http*://example.com", "http*://example.com"),
            ("https://*.example.*", "!SeveralStars"),
            ("https://*@evil.net", "!UserInformation"),
            ("https://*\"", "!BadCharacter('\"')"),
            ("https://example.com", "https://example.com"),
        ];
        for (text, expected) in rows {
            check(Dialect::S3, text, expected);
        }
        let (pattern, notes) = OriginPattern::parse("https://*.a.com", Dialect::S3).expect("valid");
        assert!(matches!(pattern, OriginPattern::Suffix(_)) && notes.is_empty());
        let (pattern, notes) = OriginPattern::parse("https://a*.com", Dialect::S3).expect("valid");
        assert!(matches!(pattern, OriginPattern::StarAnywhere { .. }));
        assert_eq!(notes, [PatternNote::OpenStar]);
    }

    #[test]
    fn a_star_in_scheme_or_port_covers_one_host() {
        let rows: &[(&str, Option<&str>, bool)] = &[
            ("http://localhost:*", Some("localhost"), true),
            ("http://localhost:30*", Some("localhost"), true),
            ("http*://localhost", Some("localhost"), true),
            ("http*://localhost:3000", Some("localhost"), true),
            ("http*://app.localhost", Some("app.localhost"), true),
            ("http://127.0.0.1:*", Some("127.0.0.1"), true),
            ("http://[::1]:*", Some("[::1]"), true),
            ("http*://[::1]", Some("[::1]"), true),
            ("http://app-*.localhost:3000", None, true),
            ("http://*.localhost", None, true),
            ("https://example.com:*", Some("example.com"), false),
            ("http*://example.com:8080", Some("example.com"), false),
            ("http://localhost*", None, false),
            ("http://*localhost", None, false),
            ("http://127.0.0.*", None, false),
            ("http://[::1*", None, false),
            ("http://[2001:db8:*", None, false),
            ("http*://[2001:db8::1]:1", Some("[2001:db8::1]"), false),
            (
                "http://localhost.example.com:*",
                Some("localhost.example.com"),
                false,
            ),
            ("http://a*.com:80", None, false),
            ("*localhost", None, false),
            ("http://:*", None, false),
        ];
        for (text, host, is_loopback) in rows {
            let (pattern, notes) = OriginPattern::parse(text, Dialect::S3).expect(text);
            let told = (pattern.only_host(), pattern.is_loopback());
            assert_eq!(told, (*host, *is_loopback), "{text}");
            let is_open = notes.contains(&PatternNote::OpenStar);
            let is_suffix = matches!(pattern, OriginPattern::Suffix(_));
            assert_eq!(is_open, host.is_none() && !is_suffix, "{text}");
        }
    }

    #[test]
    fn constants() {
        for (text, constant) in [
            ("*", true),
            ("https://example.com", true),
            ("https://example.com:8443", true),
            ("*://example.com", false),
            ("https://example.com:*", false),
            ("https://*.example.com", false),
        ] {
            let (pattern, _) = OriginPattern::parse(text, Dialect::Native).expect("valid");
            assert_eq!(pattern.as_constant().is_some(), constant, "{text}");
        }
    }
}
