//! Values of header operations: text with variables, expanded so that no line can be split.
//!
//! Spec §2: `${host}` `${path}` `${query.NAME}` `${request.NAME}` `${status}` `${cache}`; `$${`
//! writes `${`. Query values are taken as they were sent, not percent-decoded. Whatever comes from
//! a request is bounded, and every control character in it becomes a space (RFC 9110 §5.5).

use crate::header_policy::EditContext;
use corsair_http1::{KnownField, is_token, trim_ows};
use smallvec::SmallVec;

/// Longest expanded value in bytes; what is longer is cut.
pub const VALUE_BYTES_MAX: usize = 8 * 1024;

/// Where values are expanded: on the stack as long as they are of usual length.
pub(crate) type Scratch = SmallVec<[u8; 256]>;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Part {
    Literal(Box<[u8]>),
    Host,
    Path,
    Query(Box<[u8]>),
    Request(Box<[u8]>),
    Status,
    Cache,
}

/// A compiled value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Template {
    Constant(Box<[u8]>),
    Variable(Box<[Part]>),
}

/// `${…}` with something else than a variable in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct UnknownVariable(pub(crate) String);

impl Template {
    pub(crate) fn parse(text: &str) -> Result<Self, UnknownVariable> {
        let mut parts = Vec::new();
        let mut literal = Vec::new();
        let mut rest = text;
        while let Some(at) = rest.find("${") {
            let (before, from) = rest.split_at(at);
            if let Some(before) = before.strip_suffix('$') {
                literal.extend_from_slice(before.as_bytes());
                literal.extend_from_slice(b"${");
                rest = &from[2..];
                continue;
            }
            let Some((variable, behind)) = from[2..].split_once('}') else {
                return Err(UnknownVariable(from.to_owned()));
            };
            let part = parse_variable(variable)
                .ok_or_else(|| UnknownVariable(format!("${{{variable}}}")))?;
            literal.extend_from_slice(before.as_bytes());
            if !literal.is_empty() {
                parts.push(Part::Literal(core::mem::take(&mut literal).into()));
            }
            parts.push(part);
            rest = behind;
        }
        literal.extend_from_slice(rest.as_bytes());
        if parts.is_empty() {
            return Ok(Self::Constant(trim_ows(&literal).into()));
        }
        if !literal.is_empty() {
            parts.push(Part::Literal(literal.into()));
        }
        Ok(Self::Variable(parts.into()))
    }

    /// Whether the value is the same for every request to which the stored response is sent: host
    /// and path are part of its key.
    pub(crate) fn is_static(&self) -> bool {
        match self {
            Self::Constant(_) => true,
            Self::Variable(parts) => parts.iter().all(|part| match part {
                Part::Literal(_) | Part::Host | Part::Path | Part::Status => true,
                // A site may leave query parameters out of the key.
                Part::Query(_) | Part::Request(_) | Part::Cache => false,
            }),
        }
    }

    /// Whether a client can choose bytes of the value at will.
    pub(crate) fn takes_from_client(&self) -> bool {
        match self {
            Self::Constant(_) => false,
            Self::Variable(parts) => parts.iter().any(|part| match part {
                Part::Query(_) | Part::Request(_) => true,
                // The host chose the site, and the path the route.
                Part::Literal(_) | Part::Host | Part::Path | Part::Status | Part::Cache => false,
            }),
        }
    }

    /// Whether this field of the request is part of it.
    pub(crate) fn takes_request_field(&self, field: KnownField) -> bool {
        match self {
            Self::Constant(_) => false,
            Self::Variable(parts) => parts.iter().any(|part| match part {
                Part::Request(name) => KnownField::parse(name) == Some(field),
                Part::Literal(_)
                | Part::Host
                | Part::Path
                | Part::Query(_)
                | Part::Status
                | Part::Cache => false,
            }),
        }
    }

    /// The value, when it is the same for every response.
    pub(crate) fn constant(&self) -> Option<&[u8]> {
        match self {
            Self::Constant(value) => Some(value),
            Self::Variable(_) => None,
        }
    }

    /// The value; empty when its variables are.
    #[inline]
    pub(crate) fn expand<'s>(
        &'s self,
        context: &EditContext<'_>,
        scratch: &'s mut Scratch,
    ) -> &'s [u8] {
        match self {
            Self::Constant(value) => value,
            Self::Variable(parts) => {
                scratch.clear();
                for part in parts {
                    part.push(context, scratch);
                }
                scratch.truncate(VALUE_BYTES_MAX);
                trim_ows(scratch)
            }
        }
    }

    /// Literal bytes, for the check that they can stand in a field line.
    pub(crate) fn literals(&self) -> impl Iterator<Item = &[u8]> {
        let parts: &[Part] = match self {
            Self::Constant(_) => &[],
            Self::Variable(parts) => parts,
        };
        let constant = match self {
            Self::Constant(value) => Some(&**value),
            Self::Variable(_) => None,
        };
        constant
            .into_iter()
            .chain(parts.iter().filter_map(|part| match part {
                Part::Literal(text) => Some(&**text),
                Part::Host
                | Part::Path
                | Part::Query(_)
                | Part::Request(_)
                | Part::Status
                | Part::Cache => None,
            }))
    }
}

fn parse_variable(variable: &str) -> Option<Part> {
    Some(match variable {
        "host" => Part::Host,
        "path" => Part::Path,
        "status" => Part::Status,
        "cache" => Part::Cache,
        other => match other.split_once('.')? {
            ("query", name) if !name.is_empty() => Part::Query(name.as_bytes().into()),
            ("request", name) if is_token(name.as_bytes()) => Part::Request(name.as_bytes().into()),
            _ => return None,
        },
    })
}

impl Part {
    fn push(&self, context: &EditContext<'_>, out: &mut Scratch) {
        match self {
            Self::Literal(text) => out.extend_from_slice(text),
            Self::Host => push_clean(context.host, out),
            Self::Path => push_clean(context.path, out),
            Self::Query(name) => push_clean(query_value(context.query, name), out),
            Self::Request(name) => push_clean(request_value(context, name), out),
            Self::Status => {
                let status = context.status.min(999);
                let digit = |place: u16| b'0' + (status / place % 10) as u8;
                out.extend_from_slice(&[digit(100), digit(10), digit(1)]);
            }
            Self::Cache => push_clean(context.cache.as_bytes(), out),
        }
    }
}

/// Bytes of a peer: control characters become spaces, so that nothing can end the line.
fn push_clean(value: &[u8], out: &mut Scratch) {
    let room = VALUE_BYTES_MAX.saturating_sub(out.len());
    let cut = &value[..value.len().min(room)];
    out.extend(cut.iter().map(|&byte| {
        if byte < b' ' || byte == 0x7f {
            b' '
        } else {
            byte
        }
    }));
}

/// The first value of a query parameter, as sent.
fn query_value<'a>(query: Option<&'a [u8]>, name: &[u8]) -> &'a [u8] {
    let Some(query) = query else { return b"" };
    query
        .split(|&byte| byte == b'&')
        .find_map(|pair| match pair.strip_prefix(name) {
            Some([b'=', value @ ..]) => Some(value),
            Some([]) => Some(b"".as_slice()),
            Some(_) | None => None,
        })
        .unwrap_or_default()
}

fn request_value<'a>(context: &EditContext<'a>, name: &[u8]) -> &'a [u8] {
    let Some(request) = context.request else {
        return b"";
    };
    let value = match KnownField::parse(name) {
        Some(field) => request.field(field),
        None => request.field_by_name(name),
    };
    value.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(template: &str, query: &str, expected: &str) {
        let context = EditContext {
            status: 404,
            method: b"GET",
            host: b"cdn.example.com",
            path: b"/a/b",
            query: Some(query.as_bytes()),
            cache: "hit",
            request: None,
        };
        let compiled = Template::parse(template).expect("a template");
        let mut scratch = Scratch::new();
        let value = compiled.expand(&context, &mut scratch);
        assert_eq!(String::from_utf8_lossy(value), expected, "{template}");
    }

    #[test]
    fn variables() {
        check("plain", "", "plain");
        check("  plain ", "", "plain");
        check("${host}${path}", "", "cdn.example.com/a/b");
        check("s=${status}; c=${cache}", "", "s=404; c=hit");
        check("${query.v}", "a=1&v=2&v=3", "2");
        check("${query.v}", "vv=2", "");
        check("[${query.v}]", "v", "[]");
        check("${query.v}", "v=a%0d%0aX: y", "a%0d%0aX: y");
        check("${query.v}", "v=a\r\nX: y\0", "a  X: y");
        check("${request.Referer}!", "", "!");
        check("$${host}", "", "${host}");
        check("$$${host}", "", "$${host}");
        check("100 $ {x}", "", "100 $ {x}");
        let long = format!("v={}", "a".repeat(VALUE_BYTES_MAX + 1));
        check(
            "x${query.v}y",
            &long,
            &format!("x{}", "a".repeat(VALUE_BYTES_MAX - 1)),
        );
    }

    #[test]
    fn unknown_variables_are_refused() {
        for text in [
            "${",
            "${host",
            "${Host}",
            "${query}",
            "${query.}",
            "${request.a b}",
            "${x.y}",
        ] {
            assert!(Template::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_a_value_depends_on() {
        let facts = |text| {
            let template = Template::parse(text).expect("a template");
            (template.is_static(), template.takes_from_client())
        };
        assert_eq!(facts("a"), (true, false));
        assert_eq!(facts("a${status}"), (true, false));
        assert_eq!(facts("${host}${path}"), (true, false));
        assert_eq!(facts("${cache}"), (false, false));
        assert_eq!(facts("${query.a}"), (false, true));
        assert_eq!(facts("x${request.Origin}"), (false, true));
    }
}
