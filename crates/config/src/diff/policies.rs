//! The CORS policies of one route against those of another.
//!
//! A request passes when one policy allows its origin, method, requested headers and content type
//! together (spec §3). So what a route allows for a fixed method, set of headers and type is the union of
//! the origins of the policies that allow those, and two unions are compared exactly. Methods, headers and
//! types fall into finitely many kinds (`policies/kinds.rs`). What goes out with a grant is
//! `policies/grants.rs`, and who decides at all `policies/deciders.rs`.

mod deciders;
mod grants;
mod kinds;

use std::collections::{HashMap, HashSet};

use corsair_rules::{OriginPattern, Outside, PatternSpace, PolicyStanding, PolicyView};

use super::{Change, Direction};
use crate::plan::{Plan, RoutePlan};
use deciders::Decider;
pub(super) use kinds::content_types;
use kinds::{Kind, Kinds};

/// A route in its plan; none where no site serves the request, so that nothing is granted.
type Routed<'p> = (Option<&'p RoutePlan>, &'p Plan);

/// The changes between two routes.
pub(super) fn compare(old: Routed<'_>, new: Routed<'_>) -> Vec<Change> {
    let (before, after) = (Decider::of(old.0), Decider::of(new.0));
    if let Some(change) = deciders::compare((before, old), (after, new)) {
        return vec![change];
    }
    let mut changes: Vec<Change> = deciders::another_upstream((after, old), new)
        .into_iter()
        .collect();
    match after {
        Decider::Upstream => timing_and_embedding(old.0, new.0, &mut changes),
        Decider::Nobody | Decider::Node | Decider::Both => {
            decisions(old.0, new.0, &mut changes);
        }
    }
    if let (Some(old), Some(new)) = (old.0, new.0) {
        changes.extend(deciders::fields_left_to_upstream(old, new));
        changes.extend(deciders::behind_a_constant(old, new));
        let is_told =
            |own: &Change| own.direction == Direction::Widened && own.facet == "resource_policy";
        if !changes.iter().any(is_told) {
            changes.extend(deciders::embedding_by_grant(old, new));
        }
    }
    if after == Decider::Both {
        changes.extend(deciders::left_alone(&changes));
    }
    changes
}

/// What the node decides on both sides.
fn decisions(old: Option<&RoutePlan>, new: Option<&RoutePlan>, changes: &mut Vec<Change>) {
    let live = |view: &PolicyView<'_>| view.standing() == PolicyStanding::Live;
    let are_served = old.is_some() && new.is_some();
    let (old, new) = (Side::of(old, live), Side::of(new, live));
    origins(&old, &new, Direction::Widened, changes);
    origins(&new, &old, Direction::Narrowed, changes);
    let kinds = Kinds::of(&old, &new);
    for (from, to, direction) in [
        (&old, &new, Direction::Widened),
        (&new, &old, Direction::Narrowed),
    ] {
        facets(from, to, direction, &kinds, changes);
    }
    if are_served {
        grants::compare(&old, &new, &kinds, changes);
    }
    if !kinds.has_all_headers && old.starred_headers() != new.starred_headers() {
        changes.push(Change {
            direction: Direction::Widened,
            facet: "request header",
            detail: "too many star patterns to compare how they cross".to_owned(),
            witness: None,
        });
    }
}

/// What the node writes where the upstream decides on both sides: who may time the response, who may
/// embed it.
fn timing_and_embedding(
    old: Option<&RoutePlan>,
    new: Option<&RoutePlan>,
    changes: &mut Vec<Change>,
) {
    let passes = |view: &PolicyView<'_>| view.standing() == PolicyStanding::Passthrough;
    let times = |view: &PolicyView<'_>| passes(view) && view.timing();
    let (old_timers, new_timers) = (Side::of(old, times), Side::of(new, times));
    let (old, new) = (Side::of(old, passes), Side::of(new, passes));
    let mut kinds = Kinds::of(&old, &new);
    // Preflights are the upstream's.
    kinds.headers.clear();
    let mut who = Vec::new();
    origins(&old_timers, &new_timers, Direction::Widened, &mut who);
    origins(&new_timers, &old_timers, Direction::Narrowed, &mut who);
    for (from, to, direction) in [
        (&old_timers, &new_timers, Direction::Widened),
        (&new_timers, &old_timers, Direction::Narrowed),
    ] {
        facets(from, to, direction, &kinds, &mut who);
    }
    changes.extend(who.into_iter().map(|change| Change {
        detail: match change.facet {
            "origin" => change.detail,
            facet => format!("{facet} {}", change.detail),
        },
        facet: "timing",
        ..change
    }));
    let mut sent = Vec::new();
    grants::compare(&old, &new, &kinds, &mut sent);
    sent.retain(|change| matches!(change.facet, "timing" | "resource_policy"));
    changes.extend(sent);
}

/// Policies of one side, with their origins.
struct Side<'p> {
    policies: Vec<(PolicyView<'p>, Vec<OriginPattern>)>,
    all: PatternSpace,
}

impl<'p> Side<'p> {
    fn of(route: Option<&'p RoutePlan>, wanted: impl Fn(&PolicyView<'p>) -> bool) -> Self {
        let policies: Vec<_> = route
            .into_iter()
            .flat_map(|route| route.cors.views())
            .filter(wanted)
            .map(|view| (view, view.origins()))
            .collect();
        let all = PatternSpace::new(policies.iter().flat_map(|(_, own)| own.clone()).collect());
        Self { policies, all }
    }

    /// The header patterns of each policy.
    fn starred_headers(&self) -> Vec<Vec<(String, String)>> {
        let views = self.policies.iter().map(|(view, _)| view);
        views.map(|view| view.starred_headers()).collect()
    }

    /// Every pattern once, in order.
    fn patterns(&self) -> Vec<OriginPattern> {
        let mut seen = HashSet::new();
        let all = self.policies.iter().flat_map(|(_, own)| own);
        all.filter(|pattern| seen.insert((*pattern).clone()))
            .cloned()
            .collect()
    }

    /// The policies that a kind of request passes, as a set of numbers.
    fn select(&self, kind: &Kind) -> Vec<usize> {
        let policies = self.policies.iter().enumerate();
        policies
            .filter(|(_, (view, _))| kind.passes(*view))
            .map(|(number, _)| number)
            .collect()
    }

    fn space(&self, numbers: &[usize]) -> PatternSpace {
        let own = numbers
            .iter()
            .flat_map(|&number| self.policies[number].1.clone());
        PatternSpace::new(own.collect())
    }
}

/// Any value of a pattern.
pub(super) fn sample_of(pattern: &OriginPattern) -> Option<String> {
    match PatternSpace::new(Vec::new()).outside(pattern) {
        Outside::Witness(text) => Some(text),
        Outside::Nothing | Outside::Undecided => None,
    }
}

/// Patterns of `to` that reach beyond `from`.
fn origins(from: &Side<'_>, to: &Side<'_>, direction: Direction, changes: &mut Vec<Change>) {
    for pattern in to.patterns() {
        let witness = match from.all.outside(&pattern) {
            Outside::Nothing => continue,
            Outside::Witness(text) => Some(text),
            Outside::Undecided => None,
        };
        changes.push(Change {
            direction,
            facet: "origin",
            detail: pattern.to_string(),
            witness,
        });
    }
}

/// Methods, headers, types and their combinations for which `to` allows more than `from`.
fn facets(
    from: &Side<'_>,
    to: &Side<'_>,
    direction: Direction,
    kinds: &Kinds,
    changes: &mut Vec<Change>,
) {
    let mut facets = Facets {
        from,
        to,
        direction,
        known: HashMap::new(),
        has_origins: changes.iter().any(|change| change.direction == direction),
    };
    let before = changes.len();
    for method in &kinds.methods {
        let kind = Kind {
            method: Some(method.clone()),
            ..Kind::default()
        };
        changes.extend(facets.compare(&kind, "method", || kinds.shown(method)));
    }
    for name in &kinds.headers {
        let kind = Kind {
            headers: vec![name.clone()],
            ..Kind::default()
        };
        changes.extend(facets.compare(&kind, "request header", || kinds.shown(name)));
    }
    for own in &kinds.types {
        let kind = Kind {
            content_type: Some(own.clone()),
            ..Kind::default()
        };
        changes.extend(facets.compare(&kind, "content type", || kinds.shown(own)));
    }
    if changes.len() == before && (from.policies.len() > 1 || to.policies.len() > 1) {
        combinations(&mut facets, kinds, changes);
    }
}

/// Several policies may allow together what none of those before allowed in one request.
fn combinations(facets: &mut Facets<'_, '_>, kinds: &Kinds, changes: &mut Vec<Change>) {
    let to = facets.to;
    for (view, _) in &to.policies {
        let allowed = |names: &[String]| -> Vec<String> {
            names
                .iter()
                .filter(|name| view.allows_header(name))
                .cloned()
                .collect()
        };
        for method in kinds
            .methods
            .iter()
            .filter(|method| view.allows_method(method))
        {
            let headers = Kind {
                method: Some(method.clone()),
                headers: allowed(&kinds.headers),
                content_type: None,
            };
            let types = kinds
                .types
                .iter()
                .filter(|own| view.covers(own))
                .map(|own| Kind {
                    method: Some(method.clone()),
                    headers: Vec::new(),
                    content_type: Some(own.clone()),
                });
            for kind in std::iter::once(headers).chain(types) {
                let detail = || format!("{} with its headers or types", kinds.shown(method));
                changes.extend(facets.compare(&kind, "combination", detail));
            }
        }
    }
}

/// Numbers of the policies of both sides that a kind of request passes.
type Selected = (Vec<usize>, Vec<usize>);

/// Comparisons by kind; the same policies on both sides are compared once.
struct Facets<'a, 'p> {
    from: &'a Side<'p>,
    to: &'a Side<'p>,
    direction: Direction,
    known: HashMap<Selected, Option<Option<String>>>,
    /// Whether an origin that is allowed at all only on one side is told already.
    has_origins: bool,
}

impl Facets<'_, '_> {
    fn compare(
        &mut self,
        kind: &Kind,
        facet: &'static str,
        detail: impl FnOnce() -> String,
    ) -> Option<Change> {
        let selected = (self.from.select(kind), self.to.select(kind));
        let all = |side: &Side<'_>, numbers: &[usize]| numbers.len() == side.policies.len();
        if all(self.from, &selected.0) && all(self.to, &selected.1) {
            // Nothing but the origins tells these apart, and those are compared.
            return None;
        }
        if !self.known.contains_key(&selected) {
            let found = self.find(&selected.0, &selected.1);
            self.known.insert(selected.clone(), found);
        }
        let witness = self.known[&selected].clone()?;
        Some(Change {
            direction: self.direction,
            facet,
            detail: detail(),
            witness,
        })
    }

    /// An origin that these policies of `to` allow and those of `from` do not: one that `from` allows
    /// otherwise, or one at all when no origin is told yet. The inner `None` is undecided.
    fn find(&self, from: &[usize], to: &[usize]) -> Option<Option<String>> {
        let (from_space, to_space) = (self.from.space(from), self.to.space(to));
        match to_space.meeting(&self.from.all, &from_space) {
            Outside::Nothing => {}
            Outside::Witness(text) => return Some(Some(text)),
            Outside::Undecided => return Some(None),
        }
        if self.has_origins {
            return None;
        }
        let mut patterns = to_space.patterns().iter();
        patterns.find_map(|pattern| match from_space.outside(pattern) {
            Outside::Nothing => None,
            Outside::Witness(text) => Some(Some(text)),
            Outside::Undecided => Some(None),
        })
    }
}
