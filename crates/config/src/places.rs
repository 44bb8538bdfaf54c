//! Where the parts of a plan are written: sites, routes, policies, patterns, operations.
//!
//! Kept beside a plan by those who explain it, and dropped by those who only serve it. Never read on a
//! request's way.

use std::sync::Arc;

use crate::source_map::{SourceMap, Span};

/// Places in the texts a plan was read from; each is shown as `file:line`.
#[derive(Debug, Default)]
pub struct PlanPlaces {
    pub(crate) texts: SourceMap,
    /// By `RoutePlan::id`.
    pub(crate) routes: Vec<RoutePlaces>,
}

/// One route, or a site's own settings.
#[derive(Debug, Clone)]
pub(crate) struct RoutePlaces {
    pub(crate) at: Span,
    /// The path pattern as written; `None` for a site's own settings.
    pub(crate) path: Option<String>,
    pub(crate) policies: Arc<[PolicyPlaces]>,
    pub(crate) operations: Arc<[Span]>,
}

/// One CORS policy.
#[derive(Debug, Clone)]
pub(crate) struct PolicyPlaces {
    pub(crate) at: Span,
    /// By position in the policy's origins.
    pub(crate) origins: Vec<Span>,
}

impl PlanPlaces {
    /// Where a route begins, or the site when the route is the site's own settings.
    #[must_use]
    pub fn route(&self, id: u32) -> Option<String> {
        Some(self.show(self.of(id)?.at))
    }

    /// The path pattern of a route as it is written.
    #[must_use]
    pub fn path(&self, id: u32) -> Option<&str> {
        self.of(id)?.path.as_deref()
    }

    /// Where the route's policy of this number begins.
    #[must_use]
    pub fn policy(&self, id: u32, policy: usize) -> Option<String> {
        Some(self.show(self.of(id)?.policies.get(policy)?.at))
    }

    /// Where a pattern of that policy is written.
    #[must_use]
    pub fn pattern(&self, id: u32, policy: usize, pattern: u32) -> Option<String> {
        let policy = self.of(id)?.policies.get(policy)?;
        Some(self.show(*policy.origins.get(pattern as usize)?))
    }

    /// Where the route's header operation of this number is written.
    #[must_use]
    pub fn operation(&self, id: u32, operation: usize) -> Option<String> {
        Some(self.show(*self.of(id)?.operations.get(operation)?))
    }

    fn of(&self, id: u32) -> Option<&RoutePlaces> {
        self.routes.get(id as usize)
    }

    fn show(&self, at: Span) -> String {
        let place = self.texts.place(at);
        format!("{}:{}", place.file, place.line)
    }
}
