//! What a 304 does to the stored response it confirms.
//!
//! RFC 9111 §4.3.3–§4.3.4 (which response, freshening), §3.2 (updating fields). The result is a new
//! stored response over the same body; the old one is not touched.

use corsair_http1::{FieldSection, KnownField, Request};
use thiserror::Error;

use crate::directives::ResponseDirectives;
use crate::policy::{CachePolicy, SetCookie};
use crate::storable::{NoStore, allow_response};
use crate::stored::{HeadParts, Stored, StoredHead};
use crate::time::FetchTimes;
use crate::validate::entity_tag;
use crate::vary::VaryOrigin;

/// A 304 cannot confirm the stored response. Ask again without conditions.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum RefreshRefused {
    /// It names another entity tag (§4.3.4).
    #[error("the 304 is about another representation than the stored one")]
    OtherRepresentation,
    /// With the fields it brought, the response may not be stored any more.
    #[error("after the 304's update the response may not be stored: {}", .0.as_str())]
    NotStorable(NoStore),
}

/// Updates a stored response by the 304 that confirmed it.
///
/// Each field of the 304 replaces the stored lines of that name, but for framing, hop-by-hop fields
/// and what describes the stored bytes (`Content-Encoding`, `Content-Length`, `Content-Range`).
/// Freshness and age begin anew from the 304. Entity tags are compared weakly: common upstreams
/// weaken the tag of a compressed 200 and forget to in the 304. `vary_origin` is what holds now,
/// which may be another than when the response was stored.
///
/// # Errors
/// [`RefreshRefused`]: the stored response must not be reused on the strength of this 304.
pub fn refresh(
    stored: &Stored,
    not_modified: &FieldSection,
    policy: &CachePolicy,
    vary_origin: VaryOrigin,
    request: Request<'_>,
    times: FetchTimes,
) -> Result<Stored, RefreshRefused> {
    if let (Some(old), Some(new)) = (stored.etag(), entity_tag(not_modified))
        && !old.is_weakly(new)
    {
        return Err(RefreshRefused::OtherRepresentation);
    }
    let fields = merge(stored.fields(), not_modified, stored.set_cookie());
    let directives = ResponseDirectives::parse(&fields);
    let storable = allow_response(stored.status(), &fields, policy, &directives, times)
        .map_err(RefreshRefused::NotStorable)?;
    let head = StoredHead::new(HeadParts {
        key: stored.key(),
        status: stored.status(),
        fields,
        freshness: storable.freshness,
        vary_origin,
        set_cookie: stored.set_cookie(),
        request,
    });
    Ok(Stored::new(head, stored.body().clone()))
}

fn merge(
    stored: &FieldSection,
    not_modified: &FieldSection,
    set_cookie: SetCookie,
) -> FieldSection {
    let mut fields = stored.clone();
    let updates = |known| is_updating(known, set_cookie);
    // Without a Date of its own the 304 is as new as its receipt, not as old as what it confirms.
    fields.remove(KnownField::Date);
    for line in not_modified.iter().filter(|line| updates(line.known)) {
        fields.remove_named(line.name);
    }
    for line in not_modified.iter().filter(|line| updates(line.known)) {
        fields.push(line.name, line.value);
    }
    fields
}

/// Does a field of a 304 replace the stored one?
fn is_updating(known: Option<KnownField>, set_cookie: SetCookie) -> bool {
    match known {
        Some(
            KnownField::ContentLength
            | KnownField::ContentEncoding
            | KnownField::ContentRange
            | KnownField::TransferEncoding,
        ) => false,
        // A cookie of the 304 is for the client that asked, whatever became of the stored ones.
        Some(KnownField::SetCookie) => set_cookie == SetCookie::Store,
        Some(_) | None => true,
    }
}
