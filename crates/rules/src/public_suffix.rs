//! Which names that a pattern covers are everybody's to register.
//!
//! Public suffixes are those of the list at <https://publicsuffix.org>, as the `psl` crate carries
//! it: a suffix that is not on the list (`localhost`, `internal`) is nobody's to register. Runs when
//! rules are compiled, never on the request path, and decides nothing about requests.

use core::fmt;
use core::slice::RSplit;

use crate::host_name::HostKind;
use crate::origin_pattern::OriginPattern;
use crate::web_origin::WebOrigin;
use psl::Psl as _;

/// Who registers the names below a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NamesBelow {
    /// Anybody: the host is a public suffix, or every name below it is one (rules such as `*.ck`).
    Anybodys,
    /// Its owner, but there are public suffixes further below.
    SomeAnybodys,
    /// Its owner, as far as the list knows.
    Own,
}

/// A name below a host that no rule of the list can hold.
const NO_LABEL: &[u8] = b"-";

/// The labels of a host from the right, then perhaps [`NO_LABEL`].
///
/// The list asks for one label more only where it has rules below those it got: so whether it came to
/// [`NO_LABEL`] says whether there are any, without a table of our own beside the list.
struct Labels<'a> {
    rest: RSplit<'a, u8, fn(&u8) -> bool>,
    below: Option<&'static [u8]>,
}

impl<'a> Labels<'a> {
    fn of(host: &'a str, below: Option<&'static [u8]>) -> Self {
        let rest = host
            .as_bytes()
            .rsplit((|byte| *byte == b'.') as fn(&u8) -> bool);
        Self { rest, below }
    }
}

impl<'a> Iterator for Labels<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        self.rest.next().or_else(|| self.below.take())
    }
}

/// Who registers the names below `host`, which is lower-case and punycode.
pub(crate) fn names_below(host: &str) -> NamesBelow {
    let mut labels = Labels::of(host, Some(NO_LABEL));
    let found = psl::List.find(&mut labels);
    if found.typ.is_some() && found.len >= host.len() {
        NamesBelow::Anybodys
    } else if labels.below.is_none() {
        NamesBelow::SomeAnybodys
    } else {
        NamesBelow::Own
    }
}

/// Why strangers own names that a pattern covers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Strangers {
    /// Public suffixes lie under this host.
    SuffixesUnder(Box<str>),
    /// This origin, whose name is to be had, is covered.
    Origin(Box<str>),
}

impl fmt::Display for Strangers {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SuffixesUnder(host) => write!(out, "because public suffixes lie under `{host}`"),
            Self::Origin(origin) => write!(out, "such as that of `{origin}`"),
        }
    }
}

/// Strangers under a pattern with a star that is not `*.` over a public suffix itself: that is an
/// error of its own.
pub(crate) fn strangers_under(pattern: &OriginPattern) -> Option<Strangers> {
    match pattern {
        OriginPattern::Star | OriginPattern::Null | OriginPattern::Exact(_) => None,
        OriginPattern::Suffix(rule) => suffixes_under(rule.host()),
        OriginPattern::StarAnywhere { prefix, suffix } => {
            let host_end = host_of(suffix);
            let whole_labels = host_end.split_once('.').map(|(_, labels)| labels);
            let origin = || registrable(pattern, prefix, suffix);
            origin().or_else(|| whole_labels.and_then(suffixes_under))
        }
    }
}

fn suffixes_under(host: &str) -> Option<Strangers> {
    match names_below(host) {
        NamesBelow::SomeAnybodys => Some(Strangers::SuffixesUnder(host.into())),
        NamesBelow::Anybodys | NamesBelow::Own => None,
    }
}

/// What stands before a port.
fn host_of(text: &str) -> &str {
    text.split_once(':').map_or(text, |(host, _)| host)
}

/// An origin that the pattern covers, whose registrable name begins before the pattern's fixed end:
/// so the owner of that end has no say in who gets it.
fn registrable(pattern: &OriginPattern, prefix: &str, suffix: &str) -> Option<Strangers> {
    let begin = match prefix.contains("://") {
        true => prefix,
        false => ["https://", "http://"]
            .into_iter()
            .find(|scheme| scheme.starts_with(prefix))?,
    };
    let owned = host_of(suffix).len();
    ["evil", "evil.", "evil.com"].into_iter().find_map(|star| {
        let text = format!("{begin}{star}{suffix}");
        let origin = WebOrigin::parse(text.as_bytes()).ok()?;
        let is_name = origin.host_kind == HostKind::Name
            && matches!(origin.scheme, "http" | "https")
            && pattern.allows(&origin);
        // The suffix and one label.
        let (name, of_list) = split_registrable(origin.host)?;
        (is_name && of_list && name.len() > owned).then(|| Strangers::Origin(text.as_str().into()))
    })
}

/// The registrable part of a host, and whether the list names its suffix; `None` for a suffix.
fn split_registrable(host: &str) -> Option<(&str, bool)> {
    let found = psl::List.find(&mut Labels::of(host, None));
    let before = host.len().checked_sub(found.len + 1)?;
    let label = host[..before].rfind('.').map_or(0, |dot| dot + 1);
    Some((&host[label..], found.typ.is_some()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::origin_pattern::Dialect;

    #[test]
    fn who_registers_below() {
        use NamesBelow::{Anybodys, Own, SomeAnybodys};
        let rows = [
            ("com", Anybodys),
            ("co.uk", Anybodys),
            ("github.io", Anybodys),
            ("s3.amazonaws.com", Anybodys),
            ("ck", Anybodys),
            ("kawasaki.jp", Anybodys),
            ("xn--55qx5d.cn", Anybodys),
            // One that is a suffix, and has suffixes below.
            ("jp", Anybodys),
            ("amazonaws.com", SomeAnybodys),
            ("windows.net", SomeAnybodys),
            ("core.windows.net", SomeAnybodys),
            ("compute.amazonaws.com", Anybodys),
            ("example.com", Own),
            ("a.example.com", Own),
            ("example.github.io", Own),
            ("city.kawasaki.jp", Own),
            ("www.ck", Own),
            ("localhost", Own),
            ("corp.internal", Own),
            ("xn--bcher-kva.example", Own),
        ];
        for (host, expected) in rows {
            assert_eq!(names_below(host), expected, "{host}");
        }
    }

    #[test]
    fn strangers() {
        let origin = |text: &str| Some(Strangers::Origin(text.into()));
        let under = |host: &str| Some(Strangers::SuffixesUnder(host.into()));
        let rows = [
            ("https://*.amazonaws.com", under("amazonaws.com")),
            ("https://a*.amazonaws.com", under("amazonaws.com")),
            ("*://*.core.windows.net:*", under("core.windows.net")),
            ("https://*github.io", origin("https://evilgithub.io")),
            ("https://a*.github.io", origin("https://aevil.github.io")),
            (
                "https://*-pr.vercel.app",
                origin("https://evil-pr.vercel.app"),
            ),
            ("*com", origin("https://evil.com")),
            ("h*", origin("https://evil.com")),
            ("http:*", origin("http://evil.com")),
            ("https://*", origin("https://evil.com")),
            ("https://*:8443", origin("https://evil.com:8443")),
            ("https://*example.com", origin("https://evilexample.com")),
            (
                "https://app.example.*",
                origin("https://app.example.evil.com"),
            ),
            ("http://192.168.*", origin("http://192.168.evil.com")),
            ("https://app-*.example.com", None),
            ("https://*.example.com", None),
            ("http*.example.com", None),
            ("https://app.example.com:*", None),
            ("http*://app.example.com", None),
            ("http://[2001:db8:*", None),
            ("http://*localhost", None),
            ("https://a*.corp.internal", None),
            ("capacitor://*", None),
            ("cap*", None),
            ("*", None),
            ("null", None),
            ("https://s3.amazonaws.com", None),
        ];
        for (text, expected) in rows {
            let dialect = match text.contains(":*") && text.contains("*.") {
                true => Dialect::Native,
                false => Dialect::S3,
            };
            let (pattern, _) = OriginPattern::parse(text, dialect).expect(text);
            assert_eq!(strangers_under(&pattern), expected, "{text}");
        }
    }
}
