//! Who may talk to the admin API: programs on this machine, never a page in somebody's browser.
//!
//! A loopback listener is reachable from any web page that the operator opens. Two rules close
//! that: the request must name the listener by a loopback name or address (a rebound DNS name
//! cannot), and it must not say that another Web origin sent it (`Origin`, `Sec-Fetch-Site`; Fetch
//! Metadata, W3C). Both hold for every method, so that no reading endpoint has to prove itself
//! harmless. Pure; it never answers.

use std::net::IpAddr;

use axum::http::{HeaderMap, HeaderValue, Uri, header, uri::Authority};

/// Why a request is refused. All are answered with 403.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// No `Host`, or several, or one that is not an authority.
    BadHost,
    /// A name or address that is not this listener's.
    ForeignHost,
    /// Sent by a page of another Web origin.
    CrossOrigin,
}

impl Refusal {
    /// One sentence for the answer.
    pub(crate) const fn reason(self) -> &'static str {
        match self {
            Self::BadHost => "exactly one valid Host is needed",
            Self::ForeignHost => {
                "the admin API answers to localhost, to loopback addresses and to its own address"
            }
            Self::CrossOrigin => "the admin API takes no requests from other Web origins",
        }
    }
}

/// Decides whether a request that reached the listener on `listen` may be answered.
pub(crate) fn decide_access(uri: &Uri, fields: &HeaderMap, listen: IpAddr) -> Result<(), Refusal> {
    let host = single(fields, &header::HOST).map_err(|Repeated| Refusal::BadHost)?;
    let host = host.ok_or(Refusal::BadHost)?;
    let authority: Authority = host.parse().map_err(|_| Refusal::BadHost)?;
    if host.contains('@') {
        return Err(Refusal::BadHost);
    }
    let target_agrees = uri
        .authority()
        .is_none_or(|target| target.as_str().eq_ignore_ascii_case(host));
    if !target_agrees || !is_ours(authority.host(), listen) {
        return Err(Refusal::ForeignHost);
    }
    let origin = single(fields, &header::ORIGIN).map_err(|Repeated| Refusal::CrossOrigin)?;
    let same_origin = origin.is_none_or(|origin| {
        origin
            .strip_prefix("http://")
            .is_some_and(|rest| rest.eq_ignore_ascii_case(host))
    });
    let site = single(fields, &header::HeaderName::from_static("sec-fetch-site"))
        .map_err(|Repeated| Refusal::CrossOrigin)?;
    // `none` is the address bar; `same-site` is another port of this machine, so another program.
    let same_site = site.is_none_or(|site| matches!(site, "same-origin" | "none"));
    if same_origin && same_site {
        Ok(())
    } else {
        Err(Refusal::CrossOrigin)
    }
}

/// `host` as in an authority, IPv6 in brackets.
fn is_ours(host: &str, listen: IpAddr) -> bool {
    if host.eq_ignore_ascii_case("localhost") {
        return true;
    }
    let bare = host
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .unwrap_or(host);
    bare.parse::<IpAddr>()
        .is_ok_and(|address| address.is_loopback() || address == listen)
}

struct Repeated;

/// The value of a field that may appear once; one that is not text counts as repeated.
fn single<'a>(
    fields: &'a HeaderMap,
    name: &header::HeaderName,
) -> Result<Option<&'a str>, Repeated> {
    let mut values = fields.get_all(name).iter();
    let first: Option<&HeaderValue> = values.next();
    if values.next().is_some() {
        return Err(Repeated);
    }
    first
        .map(|value| value.to_str().map_err(|_| Repeated))
        .transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(uri: &str, fields: &[(&str, &str)], expected: Result<(), Refusal>) {
        let mut map = HeaderMap::new();
        for (name, value) in fields {
            let name: header::HeaderName = name.parse().unwrap();
            map.append(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        let listen = "10.0.0.7".parse().unwrap();
        let got = decide_access(&uri.parse().unwrap(), &map, listen);
        assert_eq!(got, expected, "{uri} {fields:?}");
    }

    #[test]
    fn only_names_and_addresses_of_this_listener_are_answered() {
        let table = [
            ("localhost", Ok(())),
            ("LocalHost:9180", Ok(())),
            ("127.0.0.1:9180", Ok(())),
            // A forwarded port is another number here; the name is what rebinding cannot fake.
            ("127.0.0.1:44444", Ok(())),
            ("127.3.2.1", Ok(())),
            ("[::1]:9180", Ok(())),
            ("10.0.0.7:9180", Ok(())),
            ("10.0.0.8:9180", Err(Refusal::ForeignHost)),
            ("rebound.example:9180", Err(Refusal::ForeignHost)),
            ("localhost.example", Err(Refusal::ForeignHost)),
            ("127.0.0.1.example", Err(Refusal::ForeignHost)),
            ("app.localhost", Err(Refusal::ForeignHost)),
            ("localhost.", Err(Refusal::ForeignHost)),
            ("0.0.0.0:9180", Err(Refusal::ForeignHost)),
            ("[::ffff:10.0.0.8]", Err(Refusal::ForeignHost)),
            ("evil@localhost", Err(Refusal::BadHost)),
            ("", Err(Refusal::BadHost)),
            ("local host", Err(Refusal::BadHost)),
            ("localhost/", Err(Refusal::BadHost)),
            ("loc\u{e4}lhost", Err(Refusal::BadHost)),
        ];
        for (host, expected) in table {
            check("/v1/reload", &[("host", host)], expected);
        }
        check("/", &[], Err(Refusal::BadHost));
        check(
            "/",
            &[("host", "localhost"), ("host", "localhost")],
            Err(Refusal::BadHost),
        );
        check("http://localhost/metrics", &[("host", "localhost")], Ok(()));
        check(
            "http://evil.example/",
            &[("host", "localhost")],
            Err(Refusal::ForeignHost),
        );
    }

    #[test]
    fn pages_of_other_origins_are_refused() {
        let host = ("host", "127.0.0.1:9180");
        let table: &[(&[(&str, &str)], bool)] = &[
            (&[("origin", "http://127.0.0.1:9180")], true),
            (&[("origin", "http://127.0.0.1:9181")], false),
            (&[("origin", "https://127.0.0.1:9180")], false),
            (&[("origin", "http://localhost:9180")], false),
            (&[("origin", "http://evil.example")], false),
            (&[("origin", "null")], false),
            (&[("origin", "")], false),
            (
                &[
                    ("origin", "http://127.0.0.1:9180"),
                    ("origin", "http://127.0.0.1:9180"),
                ],
                false,
            ),
            (&[("sec-fetch-site", "same-origin")], true),
            (&[("sec-fetch-site", "none")], true),
            (&[("sec-fetch-site", "same-site")], false),
            (&[("sec-fetch-site", "cross-site")], false),
            (&[("sec-fetch-site", "anything")], false),
            (
                &[("sec-fetch-site", "none"), ("sec-fetch-site", "none")],
                false,
            ),
            (
                &[
                    ("origin", "http://127.0.0.1:9180"),
                    ("sec-fetch-site", "cross-site"),
                ],
                false,
            ),
        ];
        for (fields, allowed) in table {
            let mut all = vec![host];
            all.extend_from_slice(fields);
            let expected = if *allowed {
                Ok(())
            } else {
                Err(Refusal::CrossOrigin)
            };
            check("/metrics", &all, expected);
        }
    }
}
