//! Header operations on the fields that say who may read, embed or time a response.
//!
//! Operations run on what the upstream sent and look at the whole response, so what they come to cannot
//! be compared: where those that count are not the same on both sides, it counts as widened. An operation
//! counts where the policy of some content type does not write the field itself in its place
//! (`VaryContribution::writes`), and one that begins to count is a change like any other.

use corsair_http1::KnownField;
use corsair_rules::{Dialect, OperationView, OriginPattern, PolicyView, UpstreamMode};

use super::policies::{content_types, sample_of};
use super::{Change, Direction};
use crate::plan::RoutePlan;

/// What a policy may write on a response to a page's request.
const WRITTEN: [(&str, KnownField); 5] = [
    (
        "Access-Control-Allow-Origin",
        KnownField::AccessControlAllowOrigin,
    ),
    (
        "Access-Control-Allow-Credentials",
        KnownField::AccessControlAllowCredentials,
    ),
    (
        "Access-Control-Expose-Headers",
        KnownField::AccessControlExposeHeaders,
    ),
    ("Timing-Allow-Origin", KnownField::TimingAllowOrigin),
    (
        "Cross-Origin-Resource-Policy",
        KnownField::CrossOriginResourcePolicy,
    ),
];

/// What only the answer to a preflight says: operations edit one that the upstream answers.
const OF_PREFLIGHTS: [&str; 4] = [
    "Access-Control-Allow-Methods",
    "Access-Control-Allow-Headers",
    "Access-Control-Max-Age",
    "Access-Control-Allow-Private-Network",
];

/// What the operations of two routes change; nothing where nothing is served any more.
pub(super) fn compare(old: Option<&RoutePlan>, new: Option<&RoutePlan>) -> Option<Change> {
    let new = new?;
    let routes = || old.into_iter().chain([new]);
    let views: Vec<PolicyView<'_>> = routes().flat_map(|route| route.cors.views()).collect();
    let (types, _) = content_types(&views);
    let (before, after) = (
        old.map_or_else(Vec::new, |old| counting(old, &types)),
        counting(new, &types),
    );
    if before == after && !old.is_some_and(|old| begins_to_count(old, new, &after, &types)) {
        return None;
    }
    let new_ones = after.iter().filter(|own| !before.contains(own));
    let witness = new_ones.clone().find_map(|own| witness_of(*own));
    let shown = |these: &[OperationView<'_>], others: &[OperationView<'_>]| {
        let only: Vec<String> = these
            .iter()
            .filter(|own| !others.contains(own))
            .map(ToString::to_string)
            .collect();
        if only.is_empty() {
            "none".to_owned()
        } else {
            only.join("; ")
        }
    };
    let detail = match (shown(&before, &after), shown(&after, &before)) {
        (gone, come) if gone == come => "what they write counts otherwise than before".to_owned(),
        (gone, come) => format!("{gone} → {come}"),
    };
    Some(Change {
        direction: Direction::Widened,
        facet: "operations",
        detail,
        witness,
    })
}

/// The operations of a route that have a say in who may read.
fn counting<'p>(route: &'p RoutePlan, types: &[String]) -> Vec<OperationView<'p>> {
    let all: Vec<OperationView<'p>> = route.headers.views().collect();
    let has_say = |own: &OperationView<'_>| {
        let stands = |(name, field): &(&str, KnownField)| {
            own.touches(name) && types.iter().any(|ty| !is_written(route, ty, *field))
        };
        let answers_preflights = match route.cors.upstream_mode() {
            UpstreamMode::Passthrough => OF_PREFLIGHTS.iter().any(|name| own.touches(name)),
            UpstreamMode::Override | UpstreamMode::Duplicate => false,
        };
        WRITTEN.iter().any(stands) || answers_preflights
    };
    let mut counting: Vec<OperationView<'p>> = all.iter().copied().filter(has_say).collect();
    if counting.iter().any(|own| own.asks_content_type()) {
        // What an earlier operation makes of the content type decides whether these apply.
        counting = all;
        counting.retain(|own| has_say(own) || own.touches("Content-Type"));
    }
    counting
}

/// Whether one of the operations touches a field that the policy wrote in its place before.
fn begins_to_count(
    old: &RoutePlan,
    new: &RoutePlan,
    operations: &[OperationView<'_>],
    types: &[String],
) -> bool {
    WRITTEN.iter().any(|(name, field)| {
        operations.iter().any(|own| own.touches(name))
            && types
                .iter()
                .any(|ty| is_written(old, ty, *field) && !is_written(new, ty, *field))
    })
}

/// Whether the policy of this content type writes the field, whatever else did.
pub(super) fn is_written(route: &RoutePlan, content_type: &str, field: KnownField) -> bool {
    let contribution = route.cors.vary_contribution(Some(content_type.as_bytes()));
    contribution.writes(field)
}

/// An origin that the operation names.
fn witness_of(operation: OperationView<'_>) -> Option<String> {
    let names_origin = ["Access-Control-Allow-Origin", "Timing-Allow-Origin"]
        .iter()
        .any(|name| operation.touches(name));
    let value = operation.constant().filter(|_| names_origin)?;
    let (pattern, _) = OriginPattern::parse(value, Dialect::Native).ok()?;
    sample_of(&pattern)
}
