//! The URL of a run: where to connect, what `Host` to send, and which path to ask for.
//!
//! RFC 3986 §3 as far as `http` URLs without user information need it. Names are resolved once,
//! before the run. Never follows a redirect, never speaks TLS.

use std::net::{SocketAddr, ToSocketAddrs as _};

use corsair_http1::parse_authority;

/// A URL taken apart. The path may hold variables and is checked where it is compiled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// `host[:port]` as in the URL, for `Host`.
    pub authority: String,
    /// Path and query, at least `/`.
    pub path: String,
    host: String,
    port: u16,
}

/// A URL that cannot be asked.
#[derive(Debug, thiserror::Error)]
pub enum TargetUrlError {
    /// Not `http://…`.
    #[error("`{0}` is not an http URL; write for example http://127.0.0.1:8080/path")]
    NotHttp(String),
    /// `https://…`.
    #[error("`{0}`: https is not supported; put the load on the plain listener")]
    Https(String),
    /// The part between `//` and the path.
    #[error("`{0}` is not a host and port")]
    Authority(String),
    /// No address.
    #[error("cannot resolve `{host}`: {problem}")]
    Resolve {
        /// The host.
        host: String,
        /// Why.
        problem: String,
    },
}

impl std::str::FromStr for Target {
    type Err = TargetUrlError;

    fn from_str(url: &str) -> Result<Self, TargetUrlError> {
        let starts = |prefix: &str| {
            url.get(..prefix.len())
                .is_some_and(|start| start.eq_ignore_ascii_case(prefix))
        };
        if starts("https://") {
            return Err(TargetUrlError::Https(url.to_owned()));
        }
        if !starts("http://") {
            return Err(TargetUrlError::NotHttp(url.to_owned()));
        }
        let rest = &url["http://".len()..];
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        // A fragment is the reader's, not the server's (RFC 3986 §3.5).
        let path = path.split_once('#').map_or(path, |(path, _)| path);
        let path = if path.starts_with('/') {
            path.to_owned()
        } else {
            format!("/{path}")
        };
        let wrong = || TargetUrlError::Authority(authority.to_owned());
        let parsed = parse_authority(authority.as_bytes()).map_err(|_| wrong())?;
        let host = std::str::from_utf8(parsed.host).map_err(|_| wrong())?;
        if host.is_empty() {
            return Err(wrong());
        }
        Ok(Self {
            authority: authority.to_owned(),
            path,
            host: host.trim_matches(['[', ']']).to_owned(),
            port: parsed.port.unwrap_or(80),
        })
    }
}

impl Target {
    /// The first address of the host.
    ///
    /// # Errors
    /// When the name has none.
    pub fn resolve(&self) -> Result<SocketAddr, TargetUrlError> {
        let failed = |problem: String| TargetUrlError::Resolve {
            host: self.host.clone(),
            problem,
        };
        (self.host.as_str(), self.port)
            .to_socket_addrs()
            .map_err(|error| failed(error.to_string()))?
            .next()
            .ok_or_else(|| failed("it has no address".to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_taken_apart() {
        let check = |url: &str, authority: &str, path: &str, address: &str| {
            let target: Target = url.parse().unwrap();
            assert_eq!(
                (target.authority.as_str(), target.path.as_str()),
                (authority, path)
            );
            assert_eq!(target.resolve().unwrap().to_string(), address, "{url}");
        };
        check("http://127.0.0.1", "127.0.0.1", "/", "127.0.0.1:80");
        check(
            "http://127.0.0.1:81/a?b=c",
            "127.0.0.1:81",
            "/a?b=c",
            "127.0.0.1:81",
        );
        check("HTTP://127.0.0.1?x", "127.0.0.1", "/?x", "127.0.0.1:80");
        check(
            "http://127.0.0.1/{seq}#top",
            "127.0.0.1",
            "/{seq}",
            "127.0.0.1:80",
        );
        check("http://[::1]:82/", "[::1]:82", "/", "[::1]:82");
    }

    #[test]
    fn other_urls_are_refused() {
        let check = |url: &str, expected: &str| {
            let error = url.parse::<Target>().unwrap_err().to_string();
            assert!(error.contains(expected), "{url}: {error}");
        };
        check("https://a/", "https is not supported");
        check("127.0.0.1:80", "not an http URL");
        check("ftp://a/", "not an http URL");
        check("http://", "not a host and port");
        check("http:///a", "not a host and port");
        check("http://u@h/", "not a host and port");
        check("http://a:b/", "not a host and port");
        check("http://a b/", "not a host and port");
    }
}
