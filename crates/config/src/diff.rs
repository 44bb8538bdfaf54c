//! What a new configuration newly allows and newly refuses, compared with an old one.
//!
//! Sites are paired by what serves the same hosts, routes by what serves the same paths and methods; for
//! each pair the live CORS policies are compared: origins exactly (`rules::PatternSpace`), then per
//! method, request header and content type, then what goes out with a grant (credentials, exposed headers
//! and so on). A witness is an origin for which the two really decide differently. What cannot be proved
//! counts as widened: another decider (the node, the upstream, both under `duplicate`), another upstream
//! that decides, another set of header operations on the same fields, and what is left open when the
//! search among crossing patterns is given up. The upstream is taken to answer both sides alike. Pure.

mod operations;
mod pairs;
mod policies;

use core::fmt;
use std::collections::HashMap;
use std::sync::Arc;

use corsair_rules::{CorsPolicies, HeaderPolicy};
use serde::Serialize;

use crate::places::PlanPlaces;
use crate::plan::{Plan, RoutePlan};

/// Which way a change goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// Something is allowed that was not.
    Widened,
    /// Something is refused that was not.
    Narrowed,
    /// Neither, but browsers see it.
    Changed,
}

/// One difference.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    /// Which way it goes.
    pub direction: Direction,
    /// What it is about: `origin`, `method`, `request header`, `credentials` and so on.
    pub facet: &'static str,
    /// The pattern, method, name or value.
    pub detail: String,
    /// An origin for which it makes a difference.
    pub witness: Option<String>,
}

/// The differences of one pair of routes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RouteDiff {
    /// The hosts, as written.
    pub hosts: Vec<String>,
    /// The path pattern; `None` for the sites' own settings.
    pub path: Option<String>,
    /// A request, or the preflight before one, that these two routes answer; empty when none was found.
    pub request: String,
    /// `file:line` in the old configuration; `None` when nothing served these hosts there.
    pub old: Option<String>,
    /// `file:line` in the new configuration, likewise.
    pub new: Option<String>,
    /// The differences, widenings first.
    pub changes: Vec<Change>,
}

/// All differences of two configurations.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PlanDiff {
    /// Of this document: 1.
    pub version: u32,
    /// How many changes widen.
    pub widened: usize,
    /// How many changes narrow.
    pub narrowed: usize,
    /// Routes with differences.
    pub routes: Vec<RouteDiff>,
}

/// Compares two plans; the places say where their routes are written.
#[must_use]
pub fn diff(old: (&Plan, &PlanPlaces), new: (&Plan, &PlanPlaces)) -> PlanDiff {
    let mut routes = Vec::new();
    let mut known: HashMap<_, Vec<Change>> = HashMap::new();
    for pair in pairs::pairs(old, new) {
        // Routes that inherit share what they inherit, and a list of origins may be long.
        let settings = (pair.old.map(settings_of), pair.new.map(settings_of));
        let compared = known.entry(settings).or_insert_with(|| {
            let mut changes = policies::compare((pair.old, old.0), (pair.new, new.0));
            changes.extend(operations::compare(pair.old, pair.new));
            changes
        });
        let mut changes = compared.clone();
        changes.extend(pair.notes());
        changes.sort_by_key(|change| change.direction);
        if !changes.is_empty() {
            routes.push(RouteDiff {
                hosts: pair.hosts,
                path: pair.path,
                request: pair.request,
                old: pair.old.and_then(|route| old.1.route(route.id)),
                new: pair.new.and_then(|route| new.1.route(route.id)),
                changes,
            });
        }
    }
    let count = |direction| {
        let changes = routes.iter().flat_map(|route| &route.changes);
        changes
            .filter(|change| change.direction == direction)
            .count()
    };
    PlanDiff {
        version: 1,
        widened: count(Direction::Widened),
        narrowed: count(Direction::Narrowed),
        routes,
    }
}

/// What is compared of a route, by where it is kept: the same is the same.
fn settings_of(route: &RoutePlan) -> (*const CorsPolicies, *const HeaderPolicy, usize) {
    let (cors, headers) = (Arc::as_ptr(&route.cors), Arc::as_ptr(&route.headers));
    (cors, headers, route.upstream)
}

/// Most changes of one facet and direction that are shown to people.
const SHOWN_MAX: usize = 20;

impl fmt::Display for PlanDiff {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for route in &self.routes {
            let hosts = route.hosts.join(", ");
            let path = route.path.as_deref().unwrap_or("the site's own settings");
            let place = |place: &Option<String>| place.clone().unwrap_or_else(|| "-".to_owned());
            writeln!(out, "{hosts}  {path}")?;
            let (old, new) = (place(&route.old), place(&route.new));
            writeln!(out, "  {old} → {new}  {}", route.request)?;
            let mut shown = (None, 0);
            for change in &route.changes {
                let kind = Some((change.direction, change.facet));
                shown = if shown.0 == kind {
                    (kind, shown.1 + 1)
                } else {
                    (kind, 1)
                };
                if shown.1 <= SHOWN_MAX {
                    change.fmt(out)?;
                } else if shown.1 == SHOWN_MAX + 1 {
                    writeln!(out, "    … more of the same; --format json has all")?;
                }
            }
        }
        Ok(())
    }
}

impl fmt::Display for Change {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = match self.direction {
            Direction::Widened => '+',
            Direction::Narrowed => '-',
            Direction::Changed => '~',
        };
        write!(out, "  {sign} {:<15} ", self.facet)?;
        match self.witness.as_ref().filter(|own| **own != self.detail) {
            Some(witness) => writeln!(out, "{:<36}  for example {witness}", self.detail),
            None => writeln!(out, "{}", self.detail),
        }
    }
}
