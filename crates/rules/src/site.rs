//! Which site a host belongs to: exact name, then the longest `*.` suffix, then the default.
//!
//! RFC 9110 §4.2.3 (hosts compare case-insensitively), RFC 9112 §3.2 (the Host field). A trailing
//! dot is the same name written in full and is ignored here; ports never reach this table. Path to
//! route is [`crate::route`]. Never allocates on lookup.

use crate::host_name::{HOST_BYTES_MAX, HostChange, HostFault, HostKind, operator_host};
use crate::host_table::{HostTable, Key, KeyKind, Payload};
use crate::host_tail::PaddedHost;
use core::fmt;
use std::collections::BTreeMap;

/// A host of a site as an operator writes it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum HostPattern {
    /// One host, lower-case, punycode, IPv6 in brackets.
    Exact(Box<str>),
    /// `*.` and this: every name below it, one or more labels, not itself.
    Suffix(Box<str>),
    /// `*`: every host that no other site names.
    Default,
}

/// Why a text is no host pattern; the message names the remedy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HostPatternError {
    /// `http://…`
    #[error("a site is chosen by host name alone; write it without the scheme")]
    Scheme,
    /// `…:8080`
    #[error("a site is chosen by host name alone; write it without the port")]
    Port,
    /// A star inside a name.
    #[error("`*` may stand alone for the default site, or as `*.` before a name")]
    Star,
    /// `*.` before an address.
    #[error("`*.` covers names; an address has none below it")]
    StarOverAddress,
    /// The name itself.
    #[error(transparent)]
    Host(#[from] HostFault),
}

impl HostPattern {
    /// Parses one entry of a site's `hosts`.
    ///
    /// # Errors
    /// [`HostPatternError`] for everything that no Host field can match.
    ///
    /// ```
    /// use corsair_rules::HostPattern;
    /// let pattern = HostPattern::parse("*.CDN.example.com").unwrap();
    /// assert_eq!(pattern.to_string(), "*.cdn.example.com");
    /// assert!(HostPattern::parse("cdn.example.com:8080").is_err());
    /// ```
    pub fn parse(text: &str) -> Result<Self, HostPatternError> {
        if text == "*" {
            return Ok(Self::Default);
        }
        if text.contains("://") {
            return Err(HostPatternError::Scheme);
        }
        let (below, host) = match text.strip_prefix("*.") {
            Some(host) => (true, host),
            None => (false, text),
        };
        if host.contains('*') {
            return Err(HostPatternError::Star);
        }
        if !host.ends_with(']') && host.contains(':') {
            return Err(HostPatternError::Port);
        }
        let host = operator_host(host)?;
        if below && host.kind != HostKind::Name {
            return Err(HostPatternError::StarOverAddress);
        }
        let text = host.text.into();
        Ok(if below {
            Self::Suffix(text)
        } else {
            Self::Exact(text)
        })
    }

    /// The converted form, when `text` holds an internationalized name: what will be compared.
    #[must_use]
    pub fn punycode_of(text: &str) -> Option<String> {
        let host = operator_host(text.strip_prefix("*.").unwrap_or(text)).ok()?;
        (host.change == HostChange::Punycode).then_some(host.text)
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(host) => out.write_str(host),
            Self::Suffix(host) => write!(out, "*.{host}"),
            Self::Default => out.write_str("*"),
        }
    }
}

/// Two sites claim the same host.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{pattern}` is a host of two sites; a host belongs to one")]
pub struct SiteConflict {
    /// What both claim.
    pub pattern: HostPattern,
    /// The number given with the first claim.
    pub first: usize,
    /// The number given with the second one.
    pub second: usize,
}

/// Host to site.
///
/// ```
/// use corsair_rules::{HostPattern, SiteTable};
/// let hosts = ["cdn.example.com", "*.example.com", "*"];
/// let patterns = hosts.iter().enumerate().map(|(n, h)| (HostPattern::parse(h).unwrap(), n));
/// let sites = SiteTable::build(patterns).unwrap();
/// assert_eq!(sites.find(b"CDN.example.com"), Some(0));
/// assert_eq!(sites.find(b"a.b.example.com"), Some(1));
/// assert_eq!(sites.find(b"example.com"), Some(2));
/// ```
#[derive(Debug, Clone)]
pub struct SiteTable {
    table: HostTable,
    default: Option<usize>,
}

impl SiteTable {
    /// Builds the table from patterns and the number of the site each belongs to.
    ///
    /// The same pattern given twice for one site is no conflict.
    ///
    /// # Errors
    /// The first [`SiteConflict`] in the order given.
    pub fn build(
        patterns: impl IntoIterator<Item = (HostPattern, usize)>,
    ) -> Result<Self, SiteConflict> {
        let mut claimed: BTreeMap<HostPattern, usize> = BTreeMap::new();
        let mut listed = Vec::new();
        let mut default = None;
        for (pattern, site) in patterns {
            if let Some(&first) = claimed.get(&pattern) {
                if first != site {
                    return Err(SiteConflict {
                        pattern,
                        first,
                        second: site,
                    });
                }
                continue;
            }
            claimed.insert(pattern.clone(), site);
            match pattern {
                HostPattern::Exact(host) => listed.push((KeyKind::Whole, host, site)),
                HostPattern::Suffix(host) => listed.push((KeyKind::Suffix, host, site)),
                HostPattern::Default => default = Some(site),
            }
        }
        let keys: Vec<Key<'_>> = listed
            .iter()
            .map(|(kind, host, _)| Key {
                kind: *kind,
                text: host.as_bytes(),
                payload: None,
            })
            .collect();
        let table = HostTable::build(&keys, |indexes| {
            let (_, _, site) = &listed[indexes[0] as usize];
            let reference = u32::try_from(*site).expect("fewer than 2^31 sites");
            Payload {
                reference,
                port: 0,
                tag: 0,
            }
        });
        Ok(Self { table, default })
    }

    /// The site of a host as it was sent: any case, no port, IPv6 in brackets.
    ///
    /// `None` when no site names it and there is no default: RFC 9110 §15.5.20, answer 421.
    #[must_use]
    pub fn find(&self, host: &[u8]) -> Option<usize> {
        let host = host.strip_suffix(b".").unwrap_or(host);
        if self.table.is_empty() || host.len() > HOST_BYTES_MAX {
            return self.default;
        }
        let lower = PaddedHost::copy(host.iter().map(u8::to_ascii_lowercase));
        let site = lower.tail().and_then(|lower| {
            self.table.find_whole(&lower).or_else(|| {
                self.table.find_suffix(&lower, |len, payload| {
                    // A leading dot leaves nothing under the wildcard.
                    (len + 1 < host.len()).then_some(payload)
                })
            })
        });
        site.map(|payload| payload.reference as usize)
            .or(self.default)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> HostPattern {
        HostPattern::parse(text).expect("a host pattern")
    }

    #[test]
    fn patterns() {
        for same in [
            "example.com",
            "*.example.com",
            "*",
            "127.0.0.1",
            "[::1]",
            "localhost",
        ] {
            assert_eq!(parse(same).to_string(), same);
        }
        assert_eq!(
            parse("B\u{fc}cher.example").to_string(),
            "xn--bcher-kva.example"
        );
        assert_eq!(
            HostPattern::punycode_of("*.b\u{fc}cher.example").as_deref(),
            Some("xn--bcher-kva.example")
        );
        assert_eq!(HostPattern::punycode_of("example.com"), None);
        #[rustfmt::skip]
        let rows = [
            ("", HostPatternError::Host(HostFault::Empty)),
            ("https://example.com", HostPatternError::Scheme),
            ("example.com:80", HostPatternError::Port),
            ("a*.example.com", HostPatternError::Star),
            ("**", HostPatternError::Star),
            ("*.*.example.com", HostPatternError::Star),
            ("*.127.0.0.1", HostPatternError::StarOverAddress),
            ("*.", HostPatternError::Host(HostFault::Empty)),
            ("a b", HostPatternError::Host(HostFault::BadByte)),
            ("example.com.", HostPatternError::Host(HostFault::TrailingDot)),
            ("[::1]:80", HostPatternError::Port),
        ];
        for (text, error) in rows {
            assert_eq!(HostPattern::parse(text), Err(error), "{text}");
        }
    }

    #[test]
    fn exact_before_longest_suffix_before_default() {
        let hosts = [
            "example.com",
            "*.example.com",
            "*.cdn.example.com",
            "a.cdn.example.com",
            "[::1]",
            "127.0.0.1",
        ];
        let sites = SiteTable::build(
            hosts
                .iter()
                .enumerate()
                .map(|(site, host)| (parse(host), site)),
        )
        .expect("no conflict");
        let long = "a.".repeat(130) + "example.com";
        #[rustfmt::skip]
        let rows: &[(&str, Option<usize>)] = &[
            ("example.com", Some(0)),
            ("EXAMPLE.com", Some(0)),
            ("example.com.", Some(0)),
            ("www.example.com", Some(1)),
            ("cdn.example.com", Some(1)),
            ("x.y.cdn.example.com", Some(2)),
            ("b.cdn.example.com", Some(2)),
            ("A.CDN.example.com", Some(3)),
            ("[::1]", Some(4)),
            ("127.0.0.1", Some(5)),
            (".example.com", None),
            ("xexample.com", None),
            ("example.com.evil.net", None),
            ("com", None),
            ("", None),
            (".", None),
            (&long, None),
        ];
        for (host, expected) in rows {
            assert_eq!(sites.find(host.as_bytes()), *expected, "{host}");
        }
    }

    #[test]
    fn default_site_and_conflicts() {
        let only_default = SiteTable::build([(parse("*"), 7)]).expect("no conflict");
        assert_eq!(only_default.find(b"anything"), Some(7));
        assert_eq!(only_default.find(&[b'a'; 400]), Some(7));
        let empty = SiteTable::build([]).expect("no conflict");
        assert_eq!(empty.find(b"example.com"), None);
        let twice = [
            (parse("a.com"), 1),
            (parse("b.com"), 2),
            (parse("A.com"), 2),
        ];
        let conflict = SiteTable::build(twice).expect_err("one host, two sites");
        assert_eq!((conflict.first, conflict.second), (1, 2));
        assert!(SiteTable::build([(parse("a.com"), 1), (parse("a.com"), 1)]).is_ok());
    }
}
