//! Fuzz bodies, here so that `cargo test` can replay the corpus of `tests/fuzz` through them.
//!
//! Each takes any bytes, asserts what must hold for all inputs, and returns nothing. None is on any
//! request's way.

use crate::origin_pattern::{Dialect, OriginPattern};
use crate::origin_set::OriginSet;
use crate::requested_headers::{self, REQUESTED_BYTES_MAX, REQUESTED_MEMBERS_MAX};
use crate::web_origin::WebOrigin;
use corsair_http1::is_token;
use std::sync::LazyLock;

/// Patterns of every shape, against which [`origin`] matches.
const PATTERNS: &[(&str, Dialect)] = &[
    ("https://example.com", Dialect::Native),
    ("https://*.example.com", Dialect::Native),
    ("*://*.example.org:*", Dialect::Native),
    ("http://localhost:*", Dialect::Native),
    ("http://[::1]:*", Dialect::Native),
    ("capacitor://localhost", Dialect::Native),
    ("https://example.com:8443", Dialect::Native),
    ("http://example.com:8443", Dialect::Native),
    ("https://app-*.example.net", Dialect::S3),
    ("http*.test", Dialect::S3),
];

static COMPILED: LazyLock<(Vec<OriginPattern>, OriginSet)> = LazyLock::new(|| {
    let parse = |(text, dialect): &(&str, Dialect)| {
        OriginPattern::parse(text, *dialect)
            .expect("written here")
            .0
    };
    let patterns: Vec<OriginPattern> = PATTERNS.iter().map(parse).collect();
    let set = OriginSet::compile(&patterns);
    (patterns, set)
});

/// An `Origin` value: the compiled matcher agrees with each pattern on its own, and grants only
/// what is a serialized origin.
///
/// # Panics
/// When it does not.
pub fn origin(data: &[u8]) {
    let (patterns, set) = &*COMPILED;
    let found = set.find(data);
    let parsed = WebOrigin::parse(data);
    let expected = parsed.is_ok_and(|origin| patterns.iter().any(|own| own.allows(&origin)));
    assert_eq!(
        found.is_some(),
        expected,
        "compiled and plain matching agree"
    );
    if let Some(index) = found {
        let origin = parsed.expect("only serialized origins are granted");
        assert_eq!(
            origin.to_string().as_bytes(),
            data,
            "an echo is its own serialization"
        );
        assert!(
            patterns[index as usize].allows(&origin),
            "the deciding pattern allows it"
        );
    }
}

/// A pattern in every dialect: an accepted one is canonical, parses again to itself, and can be
/// compiled; an exact one allows the origin it names.
///
/// # Panics
/// When it does not.
pub fn pattern(data: &[u8]) {
    let Ok(text) = core::str::from_utf8(data) else {
        return;
    };
    for dialect in [Dialect::Native, Dialect::S3, Dialect::Alibaba] {
        let Ok((pattern, _)) = OriginPattern::parse(text, dialect) else {
            continue;
        };
        let canonical = pattern.to_string();
        assert!(canonical.is_ascii(), "patterns are compared as ASCII");
        let again = OriginPattern::parse(&canonical, dialect).expect("canonical text parses");
        assert_eq!(again.0, pattern, "canonical text means the same");
        let constant = pattern.as_constant();
        let set = OriginSet::compile(core::slice::from_ref(&pattern));
        if let Some(constant) = constant {
            assert_eq!(
                set.find(constant.as_bytes()),
                Some(0),
                "an exact pattern allows itself"
            );
        }
        // `*://` with a port that is one scheme's default comes back as one pattern a scheme.
        assert!(
            matches!(set.patterns().count(), 1 | 2),
            "the pattern can be read back"
        );
    }
}

/// An `Access-Control-Request-Headers` value: within its bounds or refused, and only tokens.
///
/// # Panics
/// When it is not.
pub fn requested_headers(data: &[u8]) {
    let Some(count) = requested_headers::count_names(data) else {
        return;
    };
    assert!(data.len() <= REQUESTED_BYTES_MAX && count <= REQUESTED_MEMBERS_MAX);
    let names = data
        .split(|&byte| byte == b',')
        .map(corsair_http1::trim_ows);
    let tokens = names
        .filter(|name| !name.is_empty())
        .filter(|name| is_token(name))
        .count();
    assert_eq!(tokens, count, "every name is a token");
}
