//! When a header operation applies: status, method, path, content type, request header.
//!
//! All conditions given must hold; of several values of one condition, one must. A condition that
//! looks at nothing costs nothing. Never looks at a body.

use crate::header_policy::EditContext;
use crate::header_request::{RequestTest, any_holds};
use crate::media_type::MediaPattern;
use crate::route::PathPattern;
use corsair_http1::{FieldSection, KnownField, is_token};

/// Conditions as written; empty lists put none.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HeaderConditionSpec {
    /// `2xx` or `404`.
    pub status: Vec<String>,
    /// Case-sensitive names.
    pub methods: Vec<String>,
    /// Path patterns, as routes have them.
    pub path: Vec<String>,
    /// `type/subtype`, `type/*`, `*/*`; of the response as the operations before left it.
    pub content_type: Vec<String>,
    /// `Name` (present) or `Name: value`, where `*` in the value stands for any run.
    pub request_header: Vec<String>,
}

/// Compiled conditions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Condition {
    /// Lowest and highest status.
    status: Vec<(u16, u16)>,
    methods: Vec<Box<[u8]>>,
    paths: Vec<PathPattern>,
    media: Vec<MediaPattern>,
    request: Vec<RequestTest>,
}

impl Condition {
    /// Compiles; the texts that are no conditions when there are any.
    pub(crate) fn compile(spec: &HeaderConditionSpec) -> Result<Self, Vec<String>> {
        let mut bad = Vec::new();
        let mut condition = Self::default();
        for text in &spec.status {
            keep(parse_status(text), text, &mut condition.status, &mut bad);
        }
        for text in &spec.methods {
            let method = is_token(text.as_bytes()).then(|| text.as_bytes().into());
            keep(method, text, &mut condition.methods, &mut bad);
        }
        for text in &spec.path {
            keep(
                PathPattern::parse(text).ok(),
                text,
                &mut condition.paths,
                &mut bad,
            );
        }
        for text in &spec.content_type {
            keep(
                MediaPattern::parse(text),
                text,
                &mut condition.media,
                &mut bad,
            );
        }
        for text in &spec.request_header {
            keep(
                RequestTest::parse(text),
                text,
                &mut condition.request,
                &mut bad,
            );
        }
        if bad.is_empty() {
            Ok(condition)
        } else {
            Err(bad)
        }
    }

    /// Whether it asks for nothing.
    pub(crate) fn is_always(&self) -> bool {
        self.status.is_empty()
            && self.methods.is_empty()
            && self.paths.is_empty()
            && self.media.is_empty()
            && self.request.is_empty()
    }

    /// Whether it looks at the response's content type.
    pub(crate) fn asks_content_type(&self) -> bool {
        !self.media.is_empty()
    }

    /// Whether it tells HEAD from GET. Only these two are answered from the store (RFC 9111 §4), so a
    /// list of methods that has both or none of them is the same for every request for what is stored.
    pub(crate) fn tells_head(&self) -> bool {
        let allows = |method: &[u8]| any_or_none(&self.methods, |own| **own == *method);
        allows(b"GET") != allows(b"HEAD")
    }

    /// Whether all hold but those on request headers, which are asked once for many operations.
    #[inline]
    pub(crate) fn holds_beside_request_fields(
        &self,
        section: &FieldSection,
        context: &EditContext<'_>,
    ) -> bool {
        self.status_holds(context)
            && self.method_holds(context)
            && self.path_holds(context)
            && self.media_holds(section)
    }

    /// The conditions on request headers; one of them must hold, if there are any.
    pub(crate) fn request_tests(&self) -> &[RequestTest] {
        &self.request
    }

    /// Whether a condition looks at this field of the request.
    pub(crate) fn asks_for(&self, field: KnownField) -> bool {
        self.request.iter().any(|test| test.asks_for(field))
    }

    /// The first condition that does not hold, in words.
    pub(crate) fn failing(
        &self,
        section: &FieldSection,
        context: &EditContext<'_>,
    ) -> Option<String> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        if !self.status_holds(context) {
            Some(format!("status {} is not in `when.status`", context.status))
        } else if !self.method_holds(context) {
            let method = text(context.method);
            Some(format!("method {method} is not in `when.methods`"))
        } else if !self.path_holds(context) {
            Some("the path is not covered by `when.path`".to_owned())
        } else if !self.media_holds(section) {
            Some(match section.get(KnownField::ContentType) {
                Some(value) => format!("{} is not covered by `when.content_type`", text(value)),
                None => "there is no Content-Type for `when.content_type`".to_owned(),
            })
        } else if !any_holds(&self.request, context.request) {
            Some("no request header fits `when.request_header`".to_owned())
        } else {
            None
        }
    }

    #[inline]
    fn status_holds(&self, context: &EditContext<'_>) -> bool {
        any_or_none(&self.status, |&(low, high)| {
            (low..=high).contains(&context.status)
        })
    }

    #[inline]
    fn method_holds(&self, context: &EditContext<'_>) -> bool {
        any_or_none(&self.methods, |own| **own == *context.method)
    }

    #[inline]
    fn path_holds(&self, context: &EditContext<'_>) -> bool {
        any_or_none(&self.paths, |path| path.matches(context.path))
    }

    #[inline]
    fn media_holds(&self, section: &FieldSection) -> bool {
        self.media.is_empty() || {
            let content_type = section.get(KnownField::ContentType);
            self.media.iter().any(|media| media.covers(content_type))
        }
    }
}

#[inline]
fn any_or_none<T>(tests: &[T], holds: impl Fn(&T) -> bool) -> bool {
    tests.is_empty() || tests.iter().any(holds)
}

fn keep<T>(parsed: Option<T>, text: &str, kept: &mut Vec<T>, bad: &mut Vec<String>) {
    match parsed {
        Some(value) => kept.push(value),
        None => bad.push(text.to_owned()),
    }
}

/// `404`, or a class such as `4xx`.
fn parse_status(text: &str) -> Option<(u16, u16)> {
    let bytes: [u8; 3] = text.as_bytes().try_into().ok()?;
    let hundreds = match bytes[0] {
        digit @ b'1'..=b'5' => u16::from(digit - b'0') * 100,
        _ => return None,
    };
    match [bytes[1], bytes[2]] {
        [b'x', b'x'] => Some((hundreds, hundreds + 99)),
        [tens, ones] if tens.is_ascii_digit() && ones.is_ascii_digit() => {
            let status = hundreds + u16::from(tens - b'0') * 10 + u16::from(ones - b'0');
            Some((status, status))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use corsair_http1::{HeadLimits, RequestHead};

    fn spec(
        status: &str,
        method: &str,
        path: &str,
        media: &str,
        request: &str,
    ) -> HeaderConditionSpec {
        let list = |text: &str| {
            text.split('|')
                .filter(|part| !part.is_empty())
                .map(String::from)
                .collect()
        };
        HeaderConditionSpec {
            status: list(status),
            methods: list(method),
            path: list(path),
            content_type: list(media),
            request_header: list(request),
        }
    }

    fn check(spec: &HeaderConditionSpec, expected: bool) {
        let bytes = b"GET /a/b HTTP/1.1\r\nHost: h\r\nReferer: http://x/y\r\nX-Flag: on\r\n\r\n";
        let mut head = RequestHead::new();
        head.parse(bytes, &HeadLimits::default())
            .expect("a good head");
        let context = EditContext {
            status: 404,
            method: b"GET",
            host: b"h",
            path: b"/a/b",
            query: None,
            cache: "hit",
            request: Some(head.view(bytes)),
        };
        let mut section = FieldSection::new();
        section.push(b"Content-Type", b"text/html; charset=utf-8");
        let condition = Condition::compile(spec).expect("conditions");
        let holds = condition.holds_beside_request_fields(&section, &context)
            && any_holds(condition.request_tests(), context.request);
        assert_eq!(holds, expected, "{spec:?}");
        assert_eq!(condition.failing(&section, &context).is_none(), expected);
    }

    #[test]
    fn conditions() {
        check(&spec("", "", "", "", ""), true);
        check(&spec("4xx", "", "", "", ""), true);
        check(&spec("404", "", "", "", ""), true);
        check(&spec("2xx|404", "", "", "", ""), true);
        check(&spec("2xx|403", "", "", "", ""), false);
        check(&spec("", "GET|HEAD", "", "", ""), true);
        check(&spec("", "get", "", "", ""), false);
        check(&spec("", "", "/a/**", "", ""), true);
        check(&spec("", "", "/b/**", "", ""), false);
        check(&spec("", "", "", "text/*", ""), true);
        check(&spec("", "", "", "font/*", ""), false);
        check(&spec("", "", "", "", "referer"), true);
        check(&spec("", "", "", "", "Referer: http://x/*"), true);
        check(&spec("", "", "", "", "Referer: https://*"), false);
        check(&spec("", "", "", "", "x-flag: on"), true);
        check(&spec("", "", "", "", "x-flag: ON"), false);
        check(&spec("", "", "", "", "X-Other"), false);
        check(&spec("404", "GET", "/a/b", "text/html", "X-Flag"), true);
        check(&spec("404", "PUT", "/a/b", "text/html", "X-Flag"), false);
    }

    #[test]
    fn malformed_conditions_are_named() {
        for text in ["", "2x", "600", "099", "2XX", "20x", "abcd"] {
            assert!(Condition::compile(&spec_status(text)).is_err(), "{text}");
        }
        let bad = spec("200", "G T", "a", "x", "a b");
        assert_eq!(
            Condition::compile(&bad).expect_err("four bad ones"),
            ["G T", "a", "x", "a b"]
        );
    }

    fn spec_status(text: &str) -> HeaderConditionSpec {
        HeaderConditionSpec {
            status: vec![text.to_owned()],
            ..Default::default()
        }
    }
}
