//! The cache key: one canonical text of a target URI, and its keyed hash.
//!
//! RFC 9111 §2 (cache key), RFC 9110 §4.2.3 (http(s) normalisation). The text says exactly what is
//! forwarded to the upstream, so two requests share a stored response only when the upstream could
//! not tell them apart. The hash is SipHash-1-3 with 128 bits and a secret of the process: whoever
//! chooses URLs cannot choose collisions. The store still compares the whole text. This module
//! never sees request fields: those select a variant (`vary.rs`), not a key.

use core::fmt;
use core::hash::Hasher as _;

use siphasher::sip128::{Hasher128 as _, SipHasher13};

/// The secret of the hash. Drawn once at start by the caller; never shown.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct KeySecret(pub [u8; 16]);

impl fmt::Debug for KeySecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeySecret(..)")
    }
}

impl KeySecret {
    /// A secret for what only spreads keys within one process and compares them whole.
    #[must_use]
    pub fn spread_seed(&self) -> u64 {
        let mut hasher = self.hasher();
        hasher.write(b"spread");
        hasher.finish()
    }

    pub(crate) fn hasher(&self) -> SipHasher13 {
        SipHasher13::new_with_key(&self.0)
    }
}

/// 128 bits that stand for one cache key or one variant of it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct KeyHash(pub u128);

/// Appends the canonical key of a target to `out`: `scheme "://" host [":" port] path ["?" query]`.
///
/// `host` is lower-cased here; a port that is the scheme's default (80, 443) is left out, so
/// `http://a/` and `http://a:80/` are one key. `path` and `query` must already be canonical
/// (`corsair_http1`'s `parse_target`): they are copied as they are. An absent query and an empty
/// one (`/a` and `/a?`) are different keys, because the upstream sees the difference.
///
/// ```
/// use corsair_cache::write_key;
/// let mut key = Vec::new();
/// write_key(&mut key, "http", b"CDN.example", Some(80), b"/a%2Fb", Some(b"v=1"));
/// assert_eq!(key, b"http://cdn.example/a%2Fb?v=1");
/// ```
pub fn write_key(
    out: &mut Vec<u8>,
    scheme: &str,
    host: &[u8],
    port: Option<u16>,
    path: &[u8],
    query: Option<&[u8]>,
) {
    write_key_authority(out, scheme, host, port);
    write_key_target(out, path, query);
}

/// Appends the part of [`write_key`]'s text before the path, which is the same for every request that
/// names the same host in the same way: a caller may keep it.
pub fn write_key_authority(out: &mut Vec<u8>, scheme: &str, host: &[u8], port: Option<u16>) {
    // Separators and a port need at most 9 bytes: one growth at most.
    out.reserve(scheme.len() + host.len() + 9);
    out.extend_from_slice(scheme.as_bytes());
    out.extend_from_slice(b"://");
    let host_start = out.len();
    out.extend_from_slice(host);
    out[host_start..].make_ascii_lowercase();
    if let Some(port) = port.filter(|&port| Some(port) != default_port(scheme)) {
        out.push(b':');
        corsair_http1::decimal(out, u64::from(port));
    }
}

/// Appends the rest of [`write_key`]'s text: the path and the query.
#[inline]
pub fn write_key_target(out: &mut Vec<u8>, path: &[u8], query: Option<&[u8]>) {
    out.reserve(path.len() + query.map_or(0, <[u8]>::len) + 1);
    out.extend_from_slice(path);
    if let Some(query) = query {
        out.push(b'?');
        out.extend_from_slice(query);
    }
}

fn default_port(scheme: &str) -> Option<u16> {
    match scheme {
        "http" => Some(80),
        "https" => Some(443),
        _ => None,
    }
}

/// The hash of a key text under `secret`: SipHash-1-3 with 128 bits of output.
#[must_use]
pub fn hash_key(secret: &KeySecret, key: &[u8]) -> KeyHash {
    let mut hasher = secret.hasher();
    hasher.write(key);
    KeyHash(hasher.finish128().as_u128())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(scheme: &str, host: &str, port: Option<u16>, path: &str, query: Option<&str>) -> String {
        let mut out = Vec::new();
        write_key(
            &mut out,
            scheme,
            host.as_bytes(),
            port,
            path.as_bytes(),
            query.map(str::as_bytes),
        );
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn key_is_canonical() {
        let cases = [
            (("http", "a", None, "/", None), "http://a/"),
            (
                ("http", "A.Example", Some(80), "/", None),
                "http://a.example/",
            ),
            (("https", "a", Some(443), "/", None), "https://a/"),
            (("https", "a", Some(80), "/", None), "https://a:80/"),
            (("http", "a", Some(443), "/", None), "http://a:443/"),
            (
                ("http", "[::1]", Some(8080), "/x", Some("")),
                "http://[::1]:8080/x?",
            ),
            (
                ("http", "a", Some(65535), "/X", Some("Q=1&q=%41")),
                "http://a:65535/X?Q=1&q=%41",
            ),
        ];
        for ((scheme, host, port, path, query), expected) in cases {
            assert_eq!(key(scheme, host, port, path, query), expected);
        }
    }

    #[test]
    fn key_appends_and_keeps_what_was_there() {
        let mut out = b"SALT".to_vec();
        write_key(&mut out, "http", b"H", None, b"/", None);
        assert_eq!(out, b"SALThttp://h/");
    }

    #[test]
    fn hash_depends_on_every_byte_and_on_the_secret() {
        let secret = KeySecret([7; 16]);
        let hash = hash_key(&secret, b"http://a/x");
        assert_eq!(hash, hash_key(&secret, b"http://a/x"));
        for other in [&b"http://a/y"[..], b"http://a/x?", b"http://a/", b""] {
            assert_ne!(hash, hash_key(&secret, other));
        }
        assert_ne!(hash, hash_key(&KeySecret([8; 16]), b"http://a/x"));
        assert_eq!(format!("{secret:?}"), "KeySecret(..)");
    }

    #[test]
    fn hash_does_not_depend_on_how_the_key_is_split() {
        let secret = KeySecret(core::array::from_fn(|i| i as u8));
        let mut split = secret.hasher();
        split.write(b"http:");
        split.write(b"//a/x");
        assert_eq!(
            hash_key(&secret, b"http://a/x").0,
            split.finish128().as_u128()
        );
    }
}
