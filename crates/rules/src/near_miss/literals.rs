//! Which literal of a star-anywhere pattern (`prefix*suffix`, dialect `s3`) an origin misses.
//!
//! First what a person would call it: another scheme, another port, the name under which `*.` begins.
//! Each is found by trying the origin with that one part exchanged, so it is told only when nothing
//! else is in the way. Else the literal itself is named. Never decides about a request.

use super::{Difference, LiteralMiss};
use crate::web_origin::WebOrigin;

/// A pattern's two literals.
#[derive(Clone, Copy)]
struct Literals<'p> {
    prefix: &'p str,
    suffix: &'p str,
}

/// What keeps `prefix*suffix` from allowing `origin`; `None` when it is not near.
pub(super) fn difference(prefix: &str, suffix: &str, origin: &WebOrigin<'_>) -> Option<Difference> {
    let literals = Literals { prefix, suffix };
    literals
        .other_part(origin)
        .or_else(|| literals.other_literal(&origin.to_string()))
}

impl<'p> Literals<'p> {
    /// More than, not at least: the star stands for one byte or more.
    fn allow(self, text: &str) -> bool {
        text.len() > self.prefix.len() + self.suffix.len()
            && text.starts_with(self.prefix)
            && text.ends_with(self.suffix)
    }

    /// A scheme, a port or both that would do with the rest as it is.
    fn other_part(self, origin: &WebOrigin<'_>) -> Option<Difference> {
        let own_port = origin.port.map(|port| format!(":{port}"));
        let own_port = own_port.unwrap_or_default();
        let allow = |scheme: &str, port: &str| {
            let host = origin.host;
            self.allow(&format!("{scheme}://{host}{port}"))
        };
        let ports = self.ports();
        let scheme = self.scheme().filter(|own| *own != origin.scheme);
        if ports.iter().any(|port| allow(origin.scheme, port)) {
            return Some(Difference::Port { given: origin.port });
        }
        if let Some(scheme) = scheme {
            if allow(scheme, &own_port) {
                return Some(Difference::Scheme {
                    given: origin.scheme.to_owned(),
                });
            }
            if ports.iter().any(|port| allow(scheme, port)) {
                return Some(Difference::SchemeAndPort);
            }
        }
        let below = format!("{}://any.{}{own_port}", origin.scheme, origin.host);
        (self.suffix.starts_with('.') && self.allow(&below)).then_some(Difference::Apex)
    }

    /// The scheme, when all of it stands before the star.
    fn scheme(self) -> Option<&'p str> {
        self.prefix.split_once("://").map(|(scheme, _)| scheme)
    }

    /// What may stand behind the host as far as the literals tell: no port, the one that the suffix
    /// ends with, or one that begins as the prefix does behind its last colon.
    fn ports(self) -> Vec<String> {
        let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        let mut ports = vec![String::new()];
        if let Some((_, port)) = self.suffix.rsplit_once(':').filter(|(_, p)| is_number(p)) {
            ports.push(format!(":{port}"));
        }
        let host_of = |(_, rest): (_, &'p str)| rest.rsplit_once(':');
        let begun = self.prefix.split_once("://").and_then(host_of);
        if let Some((_, port)) = begun.filter(|(_, port)| is_number(port)) {
            ports.push(format!(":{port}1"));
        }
        ports
    }

    /// The literals that are not there; near when one of them says something about the host and is
    /// there, or nearly.
    fn other_literal(self, text: &str) -> Option<Difference> {
        const NEAR_BYTES: usize = 3;
        let same_begin = agreeing(self.prefix.bytes(), text.bytes());
        let same_end = agreeing(self.suffix.bytes().rev(), text.bytes().rev());
        let has_begin = same_begin == self.prefix.len();
        let has_end = same_end == self.suffix.len();
        if has_begin && has_end {
            return Some(Difference::NothingForStar);
        }
        // The scheme alone is nothing in common.
        let host_begins = text.find("://").map_or(0, |at| at + "://".len());
        let begin_in_host = same_begin.saturating_sub(host_begins);
        // The last label, or two short ones, anybody has: `.com`, `.co.uk`.
        let last_dot = text[text.len() - same_end..].rfind('.');
        let is_near = (has_begin && begin_in_host > 0)
            || (has_end && same_end > 0)
            || begin_in_host >= NEAR_BYTES
            || last_dot.is_some_and(|at| at > NEAR_BYTES);
        let begin = (!has_begin).then(|| LiteralMiss {
            wanted: self.prefix.to_owned(),
            given: text[..self.prefix.len().min(text.len())].to_owned(),
        });
        let end = (!has_end).then(|| LiteralMiss {
            wanted: self.suffix.to_owned(),
            given: text[text.len().saturating_sub(self.suffix.len())..].to_owned(),
        });
        is_near.then_some(Difference::Literals {
            other_bytes: self.prefix.len() - same_begin + self.suffix.len() - same_end,
            begin,
            end,
        })
    }
}

fn agreeing(wanted: impl Iterator<Item = u8>, given: impl Iterator<Item = u8>) -> usize {
    wanted.zip(given).take_while(|(a, b)| a == b).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `expected` is what is told; empty when the pattern is not near.
    fn check(pattern: &str, origin: &str, expected: &str) {
        let (prefix, suffix) = pattern.split_once('*').expect("a star");
        let parsed = WebOrigin::parse(origin.as_bytes()).expect("an origin");
        let told = difference(prefix, suffix, &parsed);
        let told = told.map_or_else(String::new, |found| found.to_string());
        assert_eq!(told, expected, "{pattern} on {origin}");
    }

    #[test]
    fn which_literal_differs() {
        let app = "https://app-*.example.com";
        let rows = [
            (
                app,
                "https://app-1.example.net",
                "the end differs: `.example.net` where `.example.com` is wanted",
            ),
            (
                app,
                "https://web-1.example.com",
                "the beginning differs: `https://web-` where `https://app-` is wanted",
            ),
            (
                app,
                "https://appx.example.net",
                "beginning and end differ: `https://appx` where `https://app-` is wanted, and \
                 `.example.net` where `.example.com` is wanted",
            ),
            (
                app,
                "https://app-.example.com",
                "nothing is left for `*`, which stands for one character or more",
            ),
            (
                app,
                "http://app-1.example.com",
                "the scheme differs: `http` is not listed",
            ),
            (
                app,
                "https://app-1.example.com:8443",
                "port 8443 is not listed",
            ),
            (app, "http://app-1.example.com:81", "scheme and port differ"),
            (app, "https://stranger.test", ""),
            (app, "https://ap.test", ""),
            (
                "*.example.com",
                "https://example.com",
                "the apex is not covered by `*.`; list it as well",
            ),
            (
                "http://localhost:*",
                "http://localhost",
                "the default port is not listed",
            ),
            (
                "http://localhost:30*",
                "http://localhost:8080",
                "port 8080 is not listed",
            ),
            (
                "https://*:8443",
                "https://a.test",
                "the default port is not listed",
            ),
            ("https://*:8443", "https://a.test:9", "port 9 is not listed"),
            ("https://*:8443", "http://a.test", "scheme and port differ"),
            (
                "http*://a.test",
                "http://a.test",
                "nothing is left for `*`, which stands for one character or more",
            ),
            (
                "https://*-corp.com",
                "https://acorp.com",
                "the end differs: `acorp.com` where `-corp.com` is wanted",
            ),
            ("https://*-corp.com", "https://stranger.test", ""),
            ("https://staging-preview-*", "https://s", ""),
        ];
        for (pattern, origin, expected) in rows {
            check(pattern, origin, expected);
        }
    }
}
