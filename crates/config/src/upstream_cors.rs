//! What a response depends on where the upstream writes the CORS lines and may not say so.
//!
//! RFC 9111 §4.1, RFC 9110 §12.5.5, Fetch §3.2 ("CORS protocol and HTTP caches"). An upstream whose
//! `Access-Control-Allow-Origin` is `*` is right to send no `Vary`. One that names an origin, or none,
//! may say something else to the next one, and many forget `Vary: Origin` exactly where they name
//! none. Decides per response; never asks the upstream and remembers nothing.

use corsair_cache::VaryOrigin;
use corsair_http1::{FieldSection, KnownField, Request, list_members};
use corsair_rules::{RequestOrigin, UpstreamMode};

use crate::plan::RoutePlan;

/// What a route's upstream was seen to do about `Origin` without saying so in `Vary`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reflections {
    /// It has not answered with the request's own origin.
    Unseen,
    /// It has, for one origin: it may send that one to everybody.
    OfOne,
    /// It has, for several: it looks at `Origin`.
    OfSeveral,
}

/// Whether the response says itself that it depends on `Origin`.
#[must_use]
pub fn varies_by_origin(fields: &FieldSection) -> bool {
    fields
        .all(KnownField::Vary)
        .flat_map(list_members)
        .any(|member| member == b"*" || member.eq_ignore_ascii_case(b"origin"))
}

/// The request's `Origin` when the response is for it by name.
#[must_use]
pub fn reflected_origin<'r>(request: Request<'r>, fields: &FieldSection) -> Option<&'r [u8]> {
    match RequestOrigin::of(request) {
        RequestOrigin::One(origin) => fields
            .all(KnownField::AccessControlAllowOrigin)
            .any(|value| value == origin)
            .then_some(origin),
        RequestOrigin::Absent | RequestOrigin::Several => None,
    }
}

/// Says for which origins a response that is to be stored is, and adds `Vary: Origin` to it where it
/// depends on the origin and does not say so. Not for a 304: see [`key_confirmation`].
///
/// One that names the request's own origin is for that origin. One that names none, or another, is for
/// all to whom the upstream said the same: on a route that leaves CORS to the upstream always, else
/// where it was seen to name origins.
#[must_use]
pub fn key_by_origin(
    route: &RoutePlan,
    request: Request<'_>,
    seen: Reflections,
    fields: &mut FieldSection,
) -> VaryOrigin {
    if route.vary_origin() == VaryOrigin::Ignore {
        return VaryOrigin::Ignore;
    }
    if varies_by_origin(fields) {
        return VaryOrigin::Keep;
    }
    if reflected_origin(request, fields).is_some() {
        fields.push(b"Vary", b"Origin");
        return VaryOrigin::Keep;
    }
    let told = {
        let mut lines = fields.all(KnownField::AccessControlAllowOrigin);
        (lines.next(), lines.next())
    };
    let depends = match told {
        (Some(b"*"), None) => return VaryOrigin::Everybody,
        // Who sends one origin to everybody sends it always (Fetch §3.2).
        (None, _) => leaves_cors_to_upstream(route) || seen != Reflections::Unseen,
        (Some(_), _) => leaves_cors_to_upstream(route) || seen == Reflections::OfSeveral,
    };
    if !depends {
        return VaryOrigin::Keep;
    }
    fields.push(b"Vary", b"Origin");
    VaryOrigin::Unnamed
}

/// The same for a 304 to a request that was sent to confirm what is stored: it says nothing new of whom
/// the stored response is for, unless it names the request's own origin.
#[must_use]
pub fn key_confirmation(
    route: &RoutePlan,
    request: Request<'_>,
    (stored, stored_fields): (VaryOrigin, &FieldSection),
    fields: &mut FieldSection,
) -> VaryOrigin {
    if route.vary_origin() == VaryOrigin::Ignore {
        return VaryOrigin::Ignore;
    }
    if reflected_origin(request, fields).is_none() {
        return stored;
    }
    if !varies_by_origin(fields) {
        // A `Vary` of the 304 replaces the stored one (RFC 9111 §3.2); there may be none.
        if !fields.has(KnownField::Vary) {
            for line in stored_fields.all(KnownField::Vary) {
                fields.push(b"Vary", line);
            }
        }
        fields.push(b"Vary", b"Origin");
    }
    VaryOrigin::Keep
}

/// Whether the operator says that the upstream's own CORS lines leave.
fn leaves_cors_to_upstream(route: &RoutePlan) -> bool {
    route.cors.passes_through() || route.cors.upstream_mode() == UpstreamMode::Duplicate
}
