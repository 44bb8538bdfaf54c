//! Validators: the client's conditions against a stored response, and ours against the upstream.
//!
//! RFC 9110 §8.8 (validators), §13.1–§13.2.2 (conditional requests and their precedence), RFC 9111
//! §4.3 (validation), §4.3.2 (what a cache evaluates). `If-Match` and `If-Unmodified-Since` are
//! never evaluated here: `decide_lookup` passes such requests to the upstream.

use corsair_http1::{FieldSection, KnownField, KnownSet, Request, field_line, parse_date};

use crate::freshness::sole_date;
use crate::stored::StoredHead;

/// What the client's conditions make of a response that could be sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Precondition {
    /// Send it.
    Proceed,
    /// The client has it already: 304.
    NotModified,
}

/// An entity tag (RFC 9110 §8.8.3), borrowed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EntityTag<'a> {
    /// What stands between the quotes.
    pub opaque: &'a [u8],
    /// Does `W/` stand before it?
    pub strength: Strength,
}

/// How much two equal validators promise.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Strength {
    /// The same bytes.
    Strong,
    /// As good for most purposes.
    Weak,
}

impl<'a> EntityTag<'a> {
    /// Reads exactly one entity tag; `None` for anything else, such as an unquoted one.
    #[must_use]
    pub fn parse(text: &'a [u8]) -> Option<Self> {
        let (tag, rest) = Self::parse_prefix(text)?;
        rest.is_empty().then_some(tag)
    }

    /// Reads the entity tag `text` begins with; returns what follows it.
    fn parse_prefix(text: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let (strength, quoted) = match text {
            [b'W', b'/', quoted @ ..] => (Strength::Weak, quoted),
            quoted => (Strength::Strong, quoted),
        };
        let [b'"', inner @ ..] = quoted else {
            return None;
        };
        let end = inner.iter().position(|&b| b == b'"')?;
        let opaque = &inner[..end];
        let is_etagc = |&b: &u8| b == 0x21 || (0x23..=0x7E).contains(&b) || b >= 0x80;
        opaque
            .iter()
            .all(is_etagc)
            .then_some((Self { opaque, strength }, &inner[end + 1..]))
    }

    /// Strong comparison (RFC 9110 §8.8.3.2): both strong and equal.
    #[must_use]
    pub fn is_strongly(self, other: EntityTag<'_>) -> bool {
        self.strength == Strength::Strong
            && other.strength == Strength::Strong
            && self.opaque == other.opaque
    }

    /// Weak comparison: equal but for `W/`.
    #[must_use]
    pub fn is_weakly(self, other: EntityTag<'_>) -> bool {
        self.opaque == other.opaque
    }
}

/// The entity tag of a section, when there is exactly one well-formed one.
pub(crate) fn entity_tag(fields: &FieldSection) -> Option<EntityTag<'_>> {
    let mut lines = fields.all(KnownField::Etag);
    let first = lines.next()?;
    if lines.next().is_some() {
        return None;
    }
    EntityTag::parse(first)
}

/// Is there anything to validate a response by?
pub(crate) fn has_validator(fields: &FieldSection) -> bool {
    entity_tag(fields).is_some() || sole_date(fields, KnownField::LastModified).is_some()
}

/// Evaluates the client's conditions against a response that is about to answer it (RFC 9110
/// §13.2.2): `If-None-Match` by weak comparison, or `If-Modified-Since` when there is none.
///
/// Only for a stored 200; any other status is sent as it is (§13.2.1). `If-None-Match: *` is met by
/// any stored 200. A condition that cannot be read counts as absent. One bit test for a request
/// without conditions.
#[must_use]
#[inline]
pub fn decide_precondition(request: Request<'_>, stored: &StoredHead) -> Precondition {
    const CONDITIONS: KnownSet =
        KnownSet::of(&[KnownField::IfNoneMatch, KnownField::IfModifiedSince]);
    if !request.any_of(CONDITIONS) || stored.status() != 200 {
        return Precondition::Proceed;
    }
    evaluate(request, stored)
}

fn evaluate(request: Request<'_>, stored: &StoredHead) -> Precondition {
    let is_met = if request.has(KnownField::IfNoneMatch) {
        let mut lines = request.fields_named(KnownField::IfNoneMatch);
        lines.any(|line| none_match_names(line, stored.etag()))
    } else {
        let mut lines = request.fields_named(KnownField::IfModifiedSince);
        match (lines.next(), lines.next()) {
            (Some(since), None) => is_unmodified_since(since, stored),
            // Several dates: not a valid condition, so none.
            (Some(_) | None, _) => false,
        }
    };
    if is_met {
        Precondition::NotModified
    } else {
        Precondition::Proceed
    }
}

/// Does a line of `If-None-Match` name the stored response's tag? Reading stops at the first
/// member that is no entity tag.
fn none_match_names(line: &[u8], stored: Option<EntityTag<'_>>) -> bool {
    if line == b"*" {
        return true;
    }
    let Some(stored) = stored else {
        return false;
    };
    let mut rest = line;
    loop {
        while let [b' ' | b'\t' | b',', after @ ..] = rest {
            rest = after;
        }
        let Some((tag, after)) = EntityTag::parse_prefix(rest) else {
            return false;
        };
        if tag.is_weakly(stored) {
            return true;
        }
        rest = after;
        if !matches!(rest, [b' ' | b'\t' | b',', ..]) {
            return false;
        }
    }
}

/// RFC 9111 §4.3.2: against `Last-Modified`, else `Date`, else the time of receipt. A stored
/// section always has a `Date`.
fn is_unmodified_since(since: &[u8], stored: &StoredHead) -> bool {
    let Some(since) = parse_date(since) else {
        return false;
    };
    stored.last_modified().unwrap_or_else(|| stored.date()) <= since
}

/// Appends the conditions that validate a stored response with the upstream, as whole lines
/// (RFC 9111 §4.3.1). Says whether there were any: without, ask unconditionally.
///
/// A malformed `ETag` or `Last-Modified` is no validator.
pub fn write_validators(stored: &StoredHead, out: &mut Vec<u8>) -> bool {
    let before = out.len();
    if stored.etag().is_some() {
        let tag = stored.fields().get(KnownField::Etag).unwrap_or_default();
        field_line(out, KnownField::IfNoneMatch.as_str(), tag);
    }
    if stored.last_modified().is_some() {
        let date = stored
            .fields()
            .get(KnownField::LastModified)
            .unwrap_or_default();
        field_line(out, KnownField::IfModifiedSince.as_str(), date);
    }
    out.len() > before
}
