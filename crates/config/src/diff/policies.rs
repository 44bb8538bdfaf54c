//! The live CORS policies of one route against those of another.
//!
//! A request passes when one policy allows its origin, method, requested headers and content type
//! together (spec §3). So what a route allows for a fixed method, set of headers and type is the union of
//! the origins of the policies that allow those, and two unions are compared exactly. Methods, headers and
//! types fall into finitely many kinds (`policies/kinds.rs`). What goes out with a grant is
//! `policies/grants.rs`.

mod grants;
mod kinds;

use std::collections::{HashMap, HashSet};

use corsair_rules::{
    CorsPolicies, OriginPattern, Outside, PatternSpace, PolicyStanding, PolicyView,
};

use super::{Change, Direction};
use kinds::{Kind, Kinds};

/// The changes between two routes; `None` where no route answers, so that nothing is granted.
pub(super) fn compare(old: Option<&CorsPolicies>, new: Option<&CorsPolicies>) -> Vec<Change> {
    let (old, new) = (Side::of(old), Side::of(new));
    match (old.decides, new.decides) {
        (Decider::Upstream, Decider::Upstream) => return Vec::new(),
        (Decider::Upstream, Decider::Node) => {
            return vec![change_of_decider(
                "the upstream decided, now the node does",
                &new,
            )];
        }
        (Decider::Node, Decider::Upstream) => {
            return vec![change_of_decider(
                "the node decided, now the upstream does",
                &old,
            )];
        }
        (Decider::Node, Decider::Node) => {}
    }
    let mut changes = Vec::new();
    origins(&old, &new, Direction::Widened, &mut changes);
    origins(&new, &old, Direction::Narrowed, &mut changes);
    let kinds = Kinds::of(&old, &new);
    for (from, to, direction) in [
        (&old, &new, Direction::Widened),
        (&new, &old, Direction::Narrowed),
    ] {
        facets(from, to, direction, &kinds, &mut changes);
    }
    grants::compare(&old, &new, &kinds, &mut changes);
    if !kinds.has_all_headers && old.starred_headers() != new.starred_headers() {
        changes.push(Change {
            direction: Direction::Widened,
            facet: "request header",
            detail: "too many star patterns to compare how they cross".to_owned(),
            witness: None,
        });
    }
    changes
}

/// Nothing can be proved about an upstream, so this counts as widened.
fn change_of_decider(detail: &str, node: &Side<'_>) -> Change {
    let mut patterns = node.patterns().into_iter();
    Change {
        direction: Direction::Widened,
        facet: "cors",
        detail: detail.to_owned(),
        witness: patterns.find_map(|pattern| sample_of(&pattern)),
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Decider {
    Node,
    Upstream,
}

/// One side's live policies, with their origins.
struct Side<'p> {
    decides: Decider,
    policies: Vec<(PolicyView<'p>, Vec<OriginPattern>)>,
    all: PatternSpace,
}

impl<'p> Side<'p> {
    fn of(policies: Option<&'p CorsPolicies>) -> Self {
        let live: Vec<_> = policies
            .into_iter()
            .flat_map(CorsPolicies::views)
            .filter(|view| view.standing() == PolicyStanding::Live)
            .map(|view| (view, view.origins()))
            .collect();
        let decides = if policies.is_some() && live.is_empty() {
            Decider::Upstream
        } else {
            Decider::Node
        };
        let all = PatternSpace::new(live.iter().flat_map(|(_, own)| own.clone()).collect());
        Self {
            decides,
            policies: live,
            all,
        }
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
fn sample_of(pattern: &OriginPattern) -> Option<String> {
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
