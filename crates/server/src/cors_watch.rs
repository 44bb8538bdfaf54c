//! What a node sees of CORS beside deciding it: upstreams that answer with the request's own `Origin`
//! and do not say so in `Vary`, and what shadow policies would have decided otherwise.
//!
//! RFC 9110 §12.5.5, RFC 9111 §4.1, Fetch §3.2. An upstream that answers with the request's own
//! `Origin` and without `Vary: Origin` is told of once a site, and remembered route by route:
//! `corsair_config::key_by_origin` decides by it for whom such an upstream's other answers are. Shadow
//! policies are counted and never applied.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use corsair_cache::VaryOrigin;
use corsair_config::{
    Plan, Reflections, SitePlan, UpstreamFailure, reflected_origin, varies_by_origin,
};
use corsair_http1::{FieldSection, KnownField, Request};
use corsair_rules::{CorsOutcome, RequestOrigin, ShadowVerdict};

use crate::exchange::Seen;
use crate::metrics::Counter;

/// Something that an operator should hear of, though not each time that it happens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// An upstream answers with the request's own `Origin` and no `Vary: Origin`.
    ReflectsWithoutVary {
        /// The first host pattern of the site.
        site: String,
    },
    /// An upstream brings no response.
    UpstreamFails {
        /// Its name in the configuration.
        upstream: String,
        /// How.
        failure: UpstreamFailure,
        /// What more is known.
        why: Option<String>,
        /// How often it was not told since the last time.
        untold: u64,
    },
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ReflectsWithoutVary { site } => write!(
                f,
                "warning: site `{site}`: the upstream answers with the request's own Origin in \
                 Access-Control-Allow-Origin and without `Vary: Origin`; such responses are stored \
                 once per origin. Let the upstream send `Vary: Origin`, or let the node decide: \
                 [site.cors]"
            ),
            Self::UpstreamFails {
                upstream,
                failure,
                why,
                untold,
            } => {
                write!(f, "warning: upstream `{upstream}` {}", failure.in_words())?;
                if let Some(why) = why {
                    write!(f, ": {why}")?;
                }
                match untold {
                    0 => Ok(()),
                    untold => write!(f, " ({untold} more since this was told last)"),
                }
            }
        }
    }
}

/// Where notices go. Called on a worker: must not block.
pub type NoticeSink = Box<dyn Fn(Notice) + Send + Sync>;

/// What was seen of one site's upstream.
#[derive(Clone, Default)]
struct SiteWatch {
    told: Arc<ToldOfSite>,
    /// By the routes' places.
    routes: Vec<Arc<RouteWatch>>,
}

/// What is told of a site; kept over reloads.
#[derive(Default)]
struct ToldOfSite {
    reflections: AtomicU64,
    noticed: AtomicBool,
}

/// What was seen on one route; kept over reloads that leave the number of the site's routes.
#[derive(Default)]
struct RouteWatch {
    /// The first origin that was reflected: a second one proves that it is not a constant.
    first: OnceLock<Box<[u8]>>,
    several: AtomicBool,
}

impl SiteWatch {
    /// For the routes of `site`, going on from what was seen of it.
    fn resume(mut self, site: &SitePlan) -> Self {
        let count = site.route_plans.len();
        if self.routes.len() != count {
            self.routes = (0..count).map(|_| Arc::default()).collect();
        }
        self
    }
}

impl RouteWatch {
    /// Enters an origin that was reflected.
    fn enter(&self, origin: &[u8]) {
        if **self.first.get_or_init(|| origin.into()) != *origin {
            self.several.store(true, Ordering::Relaxed);
        }
    }

    fn seen(&self) -> Reflections {
        match (self.first.get(), self.several.load(Ordering::Relaxed)) {
            (None, _) => Reflections::Unseen,
            (Some(_), false) => Reflections::OfOne,
            (Some(_), true) => Reflections::OfSeveral,
        }
    }
}

/// How often the shadow policies of a route would have decided otherwise, as one worker counts it.
#[derive(Default)]
struct Flips {
    allow_to_deny: Counter,
    deny_to_allow: Counter,
}

/// What is seen of the sites of a plan.
pub(crate) struct CorsWatch {
    /// By site.
    sites: Vec<SiteWatch>,
    /// By worker, then by route number; empty without shadow policies.
    flips: Vec<Vec<Flips>>,
}

/// What was seen of a site up to a moment.
#[derive(Clone, Debug)]
pub struct ReflectionSnapshot {
    /// The first host pattern of the site.
    pub site: String,
    /// Responses that had the request's own `Origin` in them and no `Vary: Origin`.
    pub responses: u64,
}

/// What the shadow policies of a route would have changed, since its plan came into force.
#[derive(Clone, Debug)]
pub struct ShadowSnapshot {
    /// The first host pattern of the site.
    pub site: String,
    /// The route's place in the site; 0 is the site's own settings.
    pub route: usize,
    /// Responses that the origin may read now and could not any more.
    pub allow_to_deny: u64,
    /// Responses that the origin may not read now and then could.
    pub deny_to_allow: u64,
}

impl CorsWatch {
    /// Begins to watch a plan; what is known of a site with the same hosts stays known.
    pub(crate) fn new(plan: &Plan, workers: usize, before: Option<(&Plan, &Self)>) -> Self {
        let sites = plan.site_plans.iter().map(|site| {
            let kept = before.and_then(|(plan, watch)| {
                let same = |other: &SitePlan| other.hosts == site.hosts;
                let place = plan.site_plans.iter().position(same)?;
                Some(watch.sites[place].clone())
            });
            kept.unwrap_or_default().resume(site)
        });
        let routes = || plan.site_plans.iter().flat_map(|site| &site.route_plans);
        let counted = if routes().any(|route| route.cors.has_shadow()) {
            routes()
                .map(|route| route.id as usize + 1)
                .max()
                .unwrap_or(0)
        } else {
            0
        };
        let flips = |_worker| (0..counted).map(|_| Flips::default()).collect();
        Self {
            sites: sites.collect(),
            flips: (0..workers).map(flips).collect(),
        }
    }

    /// Notes what a response says to the request's origin and does not say in `Vary`, on a route whose
    /// upstream writes the CORS lines; says what was seen on that route so far. `tell` passes a notice
    /// on and says whether somebody took it.
    pub(crate) fn observe(
        &self,
        plan: &Plan,
        (site, route): (usize, usize),
        request: Request<'_>,
        fields: &FieldSection,
        tell: impl FnOnce(Notice) -> Told,
    ) -> Reflections {
        let (site_plan, watch) = (&plan.site_plans[site], &self.sites[site]);
        let seen = &watch.routes[route];
        let is_upstreams = site_plan.route_plans[route].vary_origin() == VaryOrigin::Keep;
        if is_upstreams
            && !varies_by_origin(fields)
            && let Some(origin) = reflected_origin(request, fields)
        {
            seen.enter(origin);
            watch.told.reflections.fetch_add(1, Ordering::Relaxed);
            if !watch.told.noticed.swap(true, Ordering::Relaxed) {
                let site = name_of(site_plan);
                if tell(Notice::ReflectsWithoutVary { site }) == Told::Nobody {
                    watch.told.noticed.store(false, Ordering::Relaxed);
                }
            }
        }
        seen.seen()
    }

    /// What was seen of every site whose upstream reflects.
    pub(crate) fn reflections(&self, plan: &Plan) -> Vec<ReflectionSnapshot> {
        let sites = plan.site_plans.iter().zip(&self.sites);
        sites
            .map(|(site, watch)| ReflectionSnapshot {
                site: name_of(site),
                responses: watch.told.reflections.load(Ordering::Relaxed),
            })
            .filter(|seen| seen.responses > 0)
            .collect()
    }

    /// What the shadow policies would have changed, route by route.
    pub(crate) fn shadows(&self, plan: &Plan) -> Vec<ShadowSnapshot> {
        let mut shadows = Vec::new();
        for site in &plan.site_plans {
            for (place, route) in site.route_plans.iter().enumerate() {
                if !route.cors.has_shadow() {
                    continue;
                }
                let of_workers = || self.flips.iter().map(|flips| &flips[route.id as usize]);
                shadows.push(ShadowSnapshot {
                    site: name_of(site),
                    route: place,
                    allow_to_deny: of_workers().map(|flips| flips.allow_to_deny.read()).sum(),
                    deny_to_allow: of_workers().map(|flips| flips.deny_to_allow.read()).sum(),
                });
            }
        }
        shadows
    }
}

/// Whether somebody took a notice.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Told {
    /// It is on its way.
    Somebody,
    /// Nobody listens yet.
    Nobody,
}

fn name_of(site: &SitePlan) -> String {
    site.hosts.first().cloned().unwrap_or_default()
}

/// Counts what the shadow policies of the route would have decided otherwise. `fields` are those of the
/// response before the node's own CORS lines; `applied` is what it decided.
#[cold]
pub(crate) fn count_shadow(seen: &Seen<'_>, fields: Option<&FieldSection>, applied: CorsOutcome) {
    let (cors, request) = (&seen.route.cors, seen.request);
    let origin = RequestOrigin::of(request);
    if origin == RequestOrigin::Absent {
        return;
    }
    let asks_first =
        request.method() == b"OPTIONS" && request.has(KnownField::AccessControlRequestMethod);
    let (shadow, lets_read) = if asks_first {
        let answer = cors.decide_preflight(request);
        (answer.shadow(), answer.lets_read(origin))
    } else {
        let content_type = fields.and_then(|fields| fields.get(KnownField::ContentType));
        let answer = cors.decide_actual(origin, request.method(), content_type);
        (answer.shadow(), answer.lets_read(origin))
    };
    let allows = match applied {
        CorsOutcome::Constant | CorsOutcome::Granted => lets_read,
        CorsOutcome::NoPolicy | CorsOutcome::Passthrough => {
            fields.is_some_and(|fields| upstream_allows(origin, fields))
        }
        CorsOutcome::NoOrigin
        | CorsOutcome::RefusedOrigin
        | CorsOutcome::RefusedSeveral
        | CorsOutcome::RefusedMethod
        | CorsOutcome::RefusedHeaders
        | CorsOutcome::RefusedMalformed => false,
    };
    let Some(flips) = seen.live.cors_watch.flips.get(seen.worker.number) else {
        return;
    };
    let flips = &flips[seen.route.id as usize];
    match (shadow, allows) {
        (ShadowVerdict::Refuse, true) => flips.allow_to_deny.increment(),
        (ShadowVerdict::Grant, false) => flips.deny_to_allow.increment(),
        (ShadowVerdict::None, _)
        | (ShadowVerdict::Refuse, false)
        | (ShadowVerdict::Grant, true) => {}
    }
}

/// Whether a browser lets this origin read what the upstream sent (Fetch §4.10): one line, `*` or the
/// origin itself.
fn upstream_allows(origin: RequestOrigin<'_>, fields: &FieldSection) -> bool {
    let mut lines = fields.all(KnownField::AccessControlAllowOrigin);
    let (line, more) = (lines.next(), lines.next());
    match (line, more, origin) {
        (Some(b"*"), None, _) => true,
        (Some(line), None, RequestOrigin::One(origin)) => line == origin,
        (_, _, RequestOrigin::Absent | RequestOrigin::One(_) | RequestOrigin::Several) => false,
    }
}
