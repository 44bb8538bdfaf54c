//! Content-type conditions: `font/*`, `text/html`, `*/*`.
//!
//! RFC 9110 §8.3.1: type and subtype compare case-insensitively, parameters do not count. Never
//! sniffs a body.

use core::fmt;
use corsair_http1::{is_token, trim_ows};

/// A `type/subtype` in which either may be `*`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MediaPattern {
    /// Lower-case; `None` for `*`.
    main: Option<Box<[u8]>>,
    sub: Option<Box<[u8]>>,
}

impl MediaPattern {
    /// `None` when `text` is no such pattern.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (main, sub) = text.split_once('/')?;
        let part = |text: &str| match text {
            "*" => Some(None),
            // `*` is a token byte, but `fo*` is no pattern here.
            other if is_token(other.as_bytes()) && !other.contains('*') => Some(Some(
                other.to_ascii_lowercase().into_bytes().into_boxed_slice(),
            )),
            _ => None,
        };
        let (main, sub) = (part(main)?, part(sub)?);
        // `*/html` means nothing that anyone could want.
        (main.is_some() || sub.is_none()).then_some(Self { main, sub })
    }

    /// Whether a Content-Type field value is covered; a response without the field is covered by
    /// nothing.
    pub(crate) fn covers(&self, content_type: Option<&[u8]>) -> bool {
        let Some(value) = content_type else {
            return false;
        };
        let value = trim_ows(value);
        // Of many patterns most are for another type: no search for the subtype's end then.
        if let Some(main) = &self.main
            && !value
                .get(..main.len())
                .is_some_and(|begin| begin.eq_ignore_ascii_case(main))
        {
            return false;
        }
        let essence = trim_ows(value.split(|&byte| byte == b';').next().unwrap_or(value));
        let Some(slash) = memchr::memchr(b'/', essence) else {
            return false;
        };
        let (main, sub) = (&essence[..slash], &essence[slash + 1..]);
        let agrees = |own: &Option<Box<[u8]>>, sent: &[u8]| {
            own.as_ref()
                .is_none_or(|own| own.eq_ignore_ascii_case(sent))
        };
        agrees(&self.main, main) && agrees(&self.sub, sub)
    }
}

impl fmt::Display for MediaPattern {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |part: &Option<Box<[u8]>>| {
            part.as_ref().map_or_else(
                || "*".into(),
                |own| String::from_utf8_lossy(own).into_owned(),
            )
        };
        write!(out, "{}/{}", text(&self.main), text(&self.sub))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        for same in ["font/*", "text/html", "*/*", "image/svg+xml"] {
            assert_eq!(MediaPattern::parse(same).expect("valid").to_string(), same);
        }
        for bad in [
            "", "font", "font/", "/x", "*/html", "fo*/x", "a/b/c", "a/b; q=1", "a b/c",
        ] {
            assert_eq!(MediaPattern::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn coverage() {
        let rows: &[(&str, &str, bool)] = &[
            ("font/*", "font/woff2", true),
            ("font/*", "Font/WOFF2 ; x=y", true),
            ("font/*", "fonts/woff2", false),
            ("text/html", "text/html;charset=utf-8", true),
            ("text/html", "text/html5", false),
            ("TEXT/html", "text/HTML", true),
            ("*/*", "a/b", true),
            ("*/*", "nonsense", false),
            ("*/*", "", false),
            ("font/*", "fon", false),
            ("font/*", "font", false),
            ("font/*", "font;/x", false),
            ("font/*", " font/woff2", true),
        ];
        for (pattern, value, expected) in rows {
            let pattern = MediaPattern::parse(pattern).expect("valid");
            assert_eq!(
                pattern.covers(Some(value.as_bytes())),
                *expected,
                "{pattern} {value}"
            );
        }
        assert!(!MediaPattern::parse("*/*").expect("valid").covers(None));
    }
}
