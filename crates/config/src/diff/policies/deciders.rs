//! Who decides on each side, and what follows where that cannot be compared.
//!
//! Nothing can be proved about what an upstream says, only that the same upstream says the same. So a
//! change of decider counts as widened, and so does whatever leaves a field to the upstream that the node
//! wrote before. Two `Access-Control-Allow-Origin` lines are none to a browser (Fetch §4.10), so under
//! `duplicate` a grant that is taken back may leave the upstream's own standing alone.

use corsair_http1::KnownField;
use corsair_rules::{OriginPattern, PolicyStanding, PolicyView, UpstreamMode};

use super::grants::reach;
use super::{Routed, content_types, sample_of};
use crate::diff::operations::is_written;
use crate::diff::{Change, Direction};
use crate::plan::RoutePlan;

/// Whose CORS fields a page sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Decider {
    /// Nothing is served.
    Nobody,
    /// The node's alone: `override`.
    Node,
    /// The upstream's alone: no policy, or `passthrough`.
    Upstream,
    /// Both, side by side: `duplicate`.
    Both,
}

impl Decider {
    pub(super) fn of(route: Option<&RoutePlan>) -> Self {
        route.map_or(Self::Nobody, |route| match route.cors.upstream_mode() {
            UpstreamMode::Override => Self::Node,
            UpstreamMode::Passthrough => Self::Upstream,
            UpstreamMode::Duplicate => Self::Both,
        })
    }

    fn words(self) -> &'static str {
        match self {
            Self::Nobody => "nobody",
            Self::Node => "the node",
            Self::Upstream => "the upstream",
            Self::Both => "the node beside the upstream",
        }
    }
}

/// The change, where the two sides' decisions cannot be compared.
pub(super) fn compare(old: (Decider, Routed<'_>), new: (Decider, Routed<'_>)) -> Option<Change> {
    let direction = match (old.0, new.0) {
        (Decider::Nobody | Decider::Node, Decider::Nobody | Decider::Node)
        | (Decider::Upstream, Decider::Upstream)
        | (Decider::Both, Decider::Both) => return None,
        (Decider::Upstream | Decider::Both, Decider::Nobody) => Direction::Narrowed,
        (Decider::Nobody | Decider::Node, Decider::Upstream | Decider::Both)
        | (Decider::Upstream, Decider::Node | Decider::Both)
        | (Decider::Both, Decider::Node | Decider::Upstream) => Direction::Widened,
    };
    let detail = match (old.0, new.0) {
        (before, Decider::Nobody) => format!("{} decided, now nothing is served", before.words()),
        (Decider::Nobody, after) => format!("nothing was served, now {} decides", after.words()),
        (before, Decider::Node) => format!("{} decided, now the node does", before.words()),
        (before, Decider::Upstream) => format!("{} decided, now the upstream does", before.words()),
        (before, after) => format!("{} decided, now {} does", before.words(), after.words()),
    };
    let routes = [new.1.0, old.1.0].into_iter().flatten();
    let mut patterns = routes
        .flat_map(|route| route.cors.views())
        .filter(|view| view.standing() == PolicyStanding::Live)
        .flat_map(PolicyView::origins);
    Some(Change {
        direction,
        facet: "cors",
        detail,
        witness: patterns.find_map(|pattern| sample_of(&pattern)),
    })
}

/// That another server decides, where an upstream does on both sides.
pub(super) fn another_upstream(
    (decider, old): (Decider, Routed<'_>),
    new: Routed<'_>,
) -> Option<Change> {
    match decider {
        Decider::Nobody | Decider::Node => return None,
        Decider::Upstream | Decider::Both => {}
    }
    let server = |(route, plan): Routed<'_>| {
        let upstream = plan.upstreams.get(route?.upstream)?;
        let name = &upstream.authority;
        Some((name.clone(), upstream.scheme, upstream.host_mode.clone()))
    };
    let (before, after) = (server(old)?, server(new)?);
    (before != after).then(|| Change {
        direction: Direction::Widened,
        facet: "cors",
        detail: match before.0 == after.0 {
            true => format!("the upstream {} decides, asked for another Host", after.0),
            false => format!("the upstream {} decided, now {} does", before.0, after.0),
        },
        witness: None,
    })
}

/// Fields beside `Access-Control-*` that the node wrote for some content type, and that are the
/// upstream's own now; and the other way where nothing takes their place.
pub(super) fn fields_left_to_upstream(old: &RoutePlan, new: &RoutePlan) -> Vec<Change> {
    let views: Vec<PolicyView<'_>> = old.cors.views().chain(new.cors.views()).collect();
    let (types, _) = content_types(&views);
    let mut changes = Vec::new();
    let differs = |field, was: bool, is: bool| {
        move |ty: &&String| is_written(old, ty, field) == was && is_written(new, ty, field) == is
    };
    let timing = KnownField::TimingAllowOrigin;
    if types.iter().any(|ty| differs(timing, true, false)(&ty)) {
        changes.push(Change {
            direction: Direction::Widened,
            facet: "upstream",
            detail: "its own Timing-Allow-Origin passes now".to_owned(),
            witness: None,
        });
    }
    // A policy without the field sends none beside one that has it, and drops the upstream's.
    let embedding = KnownField::CrossOriginResourcePolicy;
    let sends_none = |ty: &&String| {
        let stands = |view: &PolicyView<'_>| view.standing() != PolicyStanding::Shadow;
        let mut governing = new
            .cors
            .views()
            .filter(stands)
            .filter(|view| view.covers(ty));
        governing.any(|view| view.resource_policy().is_none())
    };
    let dropped = types.iter().filter(differs(embedding, false, true));
    if dropped.clone().any(|ty| sends_none(&ty)) {
        changes.push(Change {
            direction: Direction::Widened,
            facet: "upstream",
            detail: "its own Cross-Origin-Resource-Policy is dropped, not always replaced"
                .to_owned(),
            witness: None,
        });
    }
    changes
}

/// Under `duplicate`: whatever is granted less may be granted by the upstream alone.
pub(super) fn left_alone(changes: &[Change]) -> Option<Change> {
    let narrowed = || {
        changes
            .iter()
            .filter(|change| change.direction == Direction::Narrowed)
    };
    let witness = narrowed().find_map(|change| change.witness.clone());
    narrowed().next().map(|_| Change {
        direction: Direction::Widened,
        facet: "cors",
        detail: "without the node's line the upstream's own may stand alone".to_owned(),
        witness,
    })
}

/// One origin for everybody decides for all, and keeps them from the policies behind it: two lists with
/// such a one in them that are not the same are not compared.
pub(super) fn behind_a_constant(old: &RoutePlan, new: &RoutePlan) -> Option<Change> {
    let (before, after) = (standing(old), standing(new));
    let hides = |views: &[PolicyView<'_>]| {
        let star = |view: &PolicyView<'_>| view.origins() == [OriginPattern::Star];
        let front = views.split_last().map_or(&[][..], |(_, front)| front);
        front.iter().any(|view| view.is_constant() && !star(view))
    };
    if !hides(&before) && !hides(&after) {
        return None;
    }
    are_different(&before, &after).then(|| Change {
        direction: Direction::Widened,
        facet: "cors",
        detail: "policies behind one with `validate = false` cannot be compared".to_owned(),
        witness: None,
    })
}

/// Where the policies of one side differ in `Cross-Origin-Resource-Policy`, whose counts depends on who
/// is granted what: an origin that is refused now may have lost a stricter one with its grant.
pub(super) fn embedding_by_grant(old: &RoutePlan, new: &RoutePlan) -> Option<Change> {
    let (before, after) = (standing(old), standing(new));
    let all: Vec<PolicyView<'_>> = before.iter().chain(&after).copied().collect();
    let values = |views: &[PolicyView<'_>], ty: &str| -> Vec<Option<String>> {
        let covering = views.iter().filter(|view| view.covers(ty));
        let mut values: Vec<_> = covering.map(|view| view.resource_policy()).collect();
        values.sort();
        values.dedup();
        values
    };
    let may_widen = |ty: &String| {
        let (was, is) = (values(&before, ty), values(&after, ty));
        let least = was.iter().map(|own| reach(own.as_deref()).0).min();
        let most = is.iter().map(|own| reach(own.as_deref()).1).max();
        (was.len() > 1 || is.len() > 1) && most.unwrap_or(2) > least.unwrap_or(0)
    };
    let (types, _) = content_types(&all);
    let widens = are_different(&before, &after) && types.iter().any(may_widen);
    widens.then(|| Change {
        direction: Direction::Widened,
        facet: "resource_policy",
        detail: "another policy's may count for whom another policy grants, or none".to_owned(),
        witness: None,
    })
}

fn are_different(old: &[PolicyView<'_>], new: &[PolicyView<'_>]) -> bool {
    let facts =
        |views: &[PolicyView<'_>]| views.iter().map(|view| facts(*view)).collect::<Vec<_>>();
    facts(old) != facts(new)
}

fn standing(route: &RoutePlan) -> Vec<PolicyView<'_>> {
    let views = route.cors.views();
    views
        .filter(|view| view.standing() != PolicyStanding::Shadow)
        .collect()
}

/// All that a policy tests, to see whether two test the same.
fn facts(view: PolicyView<'_>) -> impl PartialEq + use<> {
    (
        (view.is_constant(), view.origins(), view.methods()),
        (
            view.header_names(),
            view.starred_headers(),
            view.allows_header("x-corsair-any"),
        ),
        (view.content_types(), view.credentials(), view.timing()),
        (
            view.exposed(),
            view.private_network(),
            view.resource_policy(),
        ),
    )
}
