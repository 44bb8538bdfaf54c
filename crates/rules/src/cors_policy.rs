//! One compiled CORS policy: its three tests and its pre-encoded field blocks.
//!
//! Fetch §3.2 (the fields), §3.2.5 (wildcards with credentials are literal names), §4.10 (the
//! check). The blocks have holes only for what a request may echo: its own `Origin` after a match,
//! and a requested method or header name that passed as a token. Never writes a rule's text.

use crate::cors_spec::RefusedPreflight;
use crate::media_type::MediaPattern;
use crate::origin_set::OriginSet;
use crate::requested_headers::RequestedHeaders;
use corsair_http1::{KnownSet, is_token};

/// Longest requested method in bytes; the longest registered one has 17.
pub(crate) const METHOD_BYTES_MAX: usize = 64;

/// A field block with up to two holes for the echoed origin.
#[derive(Debug, Clone, Default)]
pub(crate) struct Block {
    text: Vec<u8>,
    /// Ascending offsets into `text`.
    holes: Vec<u32>,
}

impl Block {
    pub(crate) fn line(&mut self, name: &str, value: &str) {
        self.text.extend_from_slice(name.as_bytes());
        self.text.extend_from_slice(b": ");
        self.text.extend_from_slice(value.as_bytes());
        self.text.extend_from_slice(b"\r\n");
    }

    /// A line whose value is the request's `Origin`.
    pub(crate) fn echo_line(&mut self, name: &str) {
        self.text.extend_from_slice(name.as_bytes());
        self.text.extend_from_slice(b": ");
        self.holes
            .push(u32::try_from(self.text.len()).expect("a block is a few lines"));
        self.text.extend_from_slice(b"\r\n");
    }

    /// The value of the first line of this name, read back; for reports.
    pub(crate) fn value_of(&self, name: &str) -> Option<String> {
        let text = core::str::from_utf8(&self.text).ok()?;
        let mut lines = text.split("\r\n").filter_map(|line| line.split_once(": "));
        lines.find_map(|(own, value)| (own == name).then(|| value.to_owned()))
    }

    #[inline]
    pub(crate) fn write(&self, out: &mut Vec<u8>, echo: &[u8]) {
        out.reserve(self.text.len() + self.holes.len() * echo.len());
        let mut from = 0;
        for &hole in &self.holes {
            let hole = hole as usize;
            out.extend_from_slice(&self.text[from..hole]);
            out.extend_from_slice(echo);
            from = hole;
        }
        out.extend_from_slice(&self.text[from..]);
    }
}

/// How far a policy acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Decides and writes.
    Live,
    /// The upstream decides; this one is only evaluated.
    Passthrough,
    /// Evaluated and counted beside the live ones.
    Shadow,
}

/// Whose origins.
#[derive(Debug, Clone)]
#[expect(
    clippy::large_enum_variant,
    reason = "there are a few policies a route, and a box would cost every request a cache line"
)]
pub(crate) enum Audience {
    /// One constant value for every request: `*`, or one origin without validation.
    Constant,
    /// The request's `Origin` when it is one of these.
    Listed(OriginSet),
}

#[derive(Debug, Clone, Default)]
pub(crate) struct MethodRule {
    pub(crate) any: bool,
    /// Case-sensitive (RFC 9110 §9.1).
    pub(crate) listed: Vec<Box<[u8]>>,
}

impl MethodRule {
    #[inline]
    pub(crate) fn allows(&self, method: &[u8]) -> bool {
        self.any || self.listed.iter().any(|own| **own == *method)
    }

    /// Whether it allows all that `other` allows.
    pub(crate) fn includes(&self, other: &Self) -> bool {
        self.any || (!other.any && other.listed.iter().all(|method| self.allows(method)))
    }

    /// The listed methods; `*` alone for all.
    pub(crate) fn names(&self) -> Vec<String> {
        if self.any {
            return vec!["*".to_owned()];
        }
        let names = self.listed.iter();
        names
            .map(|own| String::from_utf8_lossy(own).into_owned())
            .collect()
    }
}

/// A header name with one star in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StarredName {
    pub(crate) before: Box<[u8]>,
    pub(crate) behind: Box<[u8]>,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct HeaderRule {
    /// `*`: every name but `Authorization`.
    pub(crate) any: bool,
    /// Lower-case, sorted.
    pub(crate) listed: Vec<Box<[u8]>>,
    /// Dialect `s3`: what stands before and behind the star, lower-case.
    pub(crate) starred: Vec<StarredName>,
}

impl HeaderRule {
    pub(crate) fn allows(&self, name: &[u8]) -> bool {
        if self.any && !name.eq_ignore_ascii_case(b"authorization") {
            return true;
        }
        let compare = |own: &[u8]| {
            own.iter()
                .copied()
                .cmp(name.iter().map(u8::to_ascii_lowercase))
        };
        self.listed.binary_search_by(|own| compare(own)).is_ok()
            || self
                .starred
                .iter()
                .any(|starred| is_between(name, &starred.before, &starred.behind))
    }

    /// Whether it surely allows all that `other` allows. Stars are compared as they are written.
    pub(crate) fn includes(&self, other: &Self) -> bool {
        (self.any || !other.any)
            && other.listed.iter().all(|name| self.allows(name))
            && (self.any || other.starred.iter().all(|own| self.starred.contains(own)))
    }

    pub(crate) fn allows_all(&self, requested: RequestedHeaders<'_>) -> bool {
        requested.names().all(|name| self.allows(name))
    }
}

/// Header patterns take zero bytes or more for their star, and never `Authorization` by accident.
fn is_between(name: &[u8], before: &[u8], behind: &[u8]) -> bool {
    name.len() >= before.len() + behind.len()
        && name[..before.len()].eq_ignore_ascii_case(before)
        && name[name.len() - behind.len()..].eq_ignore_ascii_case(behind)
        && !name.eq_ignore_ascii_case(b"authorization")
}

/// Whether a preflight's list is written out of the block or out of the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ListSource {
    /// The block has the line.
    Configured,
    /// The requested names are spelled out: a browser would read `*` literally here, or the rule
    /// is a pattern.
    Requested,
}

#[derive(Debug, Clone)]
pub(crate) struct Policy {
    pub(crate) standing: Standing,
    pub(crate) audience: Audience,
    /// What a constant audience is told.
    pub(crate) constant: Option<Box<str>>,
    pub(crate) methods: MethodRule,
    pub(crate) headers: HeaderRule,
    /// Empty: every response.
    pub(crate) content_types: Vec<MediaPattern>,
    /// Lines of a granted actual response.
    pub(crate) granted: Block,
    /// Lines of every response of the policy, granted or not.
    pub(crate) always: Block,
    /// Lines of a granted preflight.
    pub(crate) preflight: Block,
    pub(crate) method_source: ListSource,
    pub(crate) header_source: ListSource,
    pub(crate) private_network: bool,
    pub(crate) refused_preflight: RefusedPreflight,
    /// Whether what it writes depends on the request's origin.
    pub(crate) varies: bool,
    /// Upstream fields beside CORS that the policy replaces.
    pub(crate) owned: KnownSet,
}

/// The result of comparing a request's origin with a policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Admission {
    /// The same for every request.
    Constant,
    /// By this pattern.
    By(u32),
    No,
}

impl Policy {
    #[inline]
    pub(crate) fn admits(&self, origin: Option<&[u8]>) -> Admission {
        match &self.audience {
            Audience::Constant => Admission::Constant,
            Audience::Listed(origins) => match origin.and_then(|value| origins.find(value)) {
                Some(rule) => Admission::By(rule),
                None => Admission::No,
            },
        }
    }

    /// Whether a browser on this origin reads what the policy lets it: an admitted request may be answered
    /// with another origin's constant (Fetch §4.10).
    pub(crate) fn reaches(&self, origin: Option<&[u8]>) -> bool {
        match &self.audience {
            Audience::Listed(_) => self.admits(origin) != Admission::No,
            Audience::Constant => self
                .constant
                .as_deref()
                .is_some_and(|constant| constant == "*" || origin == Some(constant.as_bytes())),
        }
    }

    /// Whether origins are looked up.
    pub(crate) fn is_listed(&self) -> bool {
        matches!(self.audience, Audience::Listed(_))
    }

    #[inline]
    pub(crate) fn covers(&self, content_type: Option<&[u8]>) -> bool {
        self.content_types.is_empty()
            || self
                .content_types
                .iter()
                .any(|pattern| pattern.covers(content_type))
    }

    /// The one value that is sent to everybody, when that is what the policy does.
    pub(crate) fn constant_origin(&self) -> Option<String> {
        match &self.audience {
            Audience::Constant => self
                .granted
                .value_of("Access-Control-Allow-Origin")
                .or_else(|| self.granted.value_of("Timing-Allow-Origin")),
            Audience::Listed(_) => None,
        }
    }

    /// Whether nothing behind this policy can ever decide, not even about a preflight that asks for
    /// `Authorization`, which `*` does not name.
    pub(crate) fn decides_always(&self) -> bool {
        self.takes_everything() && self.headers.allows(b"authorization")
    }

    /// Whether nothing behind this policy can ever decide about an actual response.
    pub(crate) fn takes_everything(&self) -> bool {
        matches!(self.audience, Audience::Constant)
            && self.content_types.is_empty()
            && self.methods.any
            && self.headers.any
    }

    /// Appends the lines of a granted preflight.
    pub(crate) fn write_preflight(&self, out: &mut Vec<u8>, asked: &Preflight<'_>) {
        self.preflight.write(out, asked.origin.unwrap_or_default());
        if self.method_source == ListSource::Requested {
            out.extend_from_slice(b"Access-Control-Allow-Methods: ");
            out.extend_from_slice(asked.method);
            out.extend_from_slice(b"\r\n");
        }
        if self.header_source == ListSource::Requested {
            write_names(out, asked.headers);
        }
        if self.private_network && asked.private_network {
            out.extend_from_slice(b"Access-Control-Allow-Private-Network: true\r\n");
        }
    }
}

fn write_names(out: &mut Vec<u8>, headers: RequestedHeaders<'_>) {
    let mut separator: &[u8] = b"Access-Control-Allow-Headers: ";
    for name in headers.names() {
        out.extend_from_slice(separator);
        out.extend_from_slice(name);
        separator = b", ";
    }
    if separator == b", " {
        out.extend_from_slice(b"\r\n");
    }
}

/// What a preflight asks, after the bounds and the syntax were checked.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Preflight<'a> {
    pub(crate) origin: Option<&'a [u8]>,
    pub(crate) method: &'a [u8],
    pub(crate) headers: RequestedHeaders<'a>,
    pub(crate) private_network: bool,
}

/// Whether a requested method may be spelled out in an answer.
pub(crate) fn is_method(method: &[u8]) -> bool {
    method.len() <= METHOD_BYTES_MAX && is_token(method)
}
