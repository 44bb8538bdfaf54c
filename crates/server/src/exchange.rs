//! The control flow of one request, and the only place where rules, cache and I/O meet.
//!
//! [`run`] is one straight function: framing, target, site and route, preflight, what the cache may do,
//! the key, the stored response. It answers from what the node has, or says what must be fetched; it
//! never waits and calls nothing that calls back.

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use corsair_cache::{
    CacheStatus, Found, KeyHash, Lookup, Outcome, RequestDirectives, Reuse, Stored, decide_lookup,
    decide_reuse, hash_key, write_key,
};
use corsair_config::RoutePlan;
use corsair_http1::{
    BodyLength, FieldSection, Persistence, Request, RequestHead, TargetForm, effective_authority,
    expects_continue, parse_target, request_body_length, request_persistence,
};
use corsair_rules::CorsKind;

use crate::clock::Now;
use crate::forward::{FillRequest, Forward, ForwardKind, Place};
use crate::front::{Front, FrontHit};
use crate::plan::{LivePlan, PinnedPlan};
use crate::reply::{Batch, BodyHold};
use crate::respond;
use crate::worker::Worker;

/// What an exchange knows of its connection.
pub(crate) struct Client<'a> {
    pub(crate) worker: &'a Rc<Worker>,
    pub(crate) live: &'a Rc<PinnedPlan>,
    pub(crate) now: Now,
    pub(crate) peer: SocketAddr,
    /// Whether the node lets the connection stay open.
    pub(crate) persistence: Persistence,
}

/// Memory that exchanges of one connection use one after the other.
#[derive(Default)]
pub(crate) struct Scratch {
    key: Vec<u8>,
    target: Vec<u8>,
    pub(crate) section: FieldSection,
}

impl Scratch {
    /// Whether it is worth keeping.
    pub(crate) fn is_small(&self) -> bool {
        const KEPT_BYTES_MAX: usize = 64 * 1024;
        self.key.capacity() + self.target.capacity() + self.section.heap_bytes() <= KEPT_BYTES_MAX
    }
}

/// What [`run`] did.
pub(crate) enum Next {
    /// The response is in the batch.
    Answered(Persistence),
    /// The response needs an upstream.
    Forward(Box<Forward>),
}

/// A request with everything that was decided about it so far.
#[derive(Clone, Copy)]
pub(crate) struct Seen<'a> {
    pub(crate) worker: &'a Rc<Worker>,
    pub(crate) live: &'a LivePlan,
    pub(crate) route: &'a RoutePlan,
    pub(crate) now: Now,
    pub(crate) request: Request<'a>,
    pub(crate) host: &'a [u8],
    pub(crate) path: &'a [u8],
    pub(crate) query: Option<&'a [u8]>,
    /// Whether the connection stays open behind the response.
    pub(crate) persistence: Persistence,
}

/// A stored response, held in the way that costs least.
pub(crate) enum StoredRef {
    /// By this worker's front cache.
    Front(Rc<Front>),
    /// By the shared store's own count.
    Shared(Arc<Stored>),
}

impl StoredRef {
    /// The stored response.
    pub(crate) fn stored(&self) -> &Stored {
        match self {
            Self::Front(front) => front.stored(),
            Self::Shared(stored) => stored,
        }
    }

    /// The stored response with a count of its own.
    pub(crate) fn share(&self) -> Arc<Stored> {
        match self {
            Self::Front(front) => front.share(),
            Self::Shared(stored) => Arc::clone(stored),
        }
    }

    /// A hold on one segment of its body.
    pub(crate) fn hold(&self, segment: usize) -> BodyHold {
        match self {
            Self::Front(front) => BodyHold::Front(Rc::clone(front), segment),
            Self::Shared(stored) => BodyHold::Stored(Arc::clone(stored), segment),
        }
    }
}

/// Answers the request at the beginning of `bytes`, whose head is parsed, or says what must be fetched.
pub(crate) fn run(
    client: &Client<'_>,
    head: &RequestHead,
    bytes: &[u8],
    scratch: &mut Scratch,
    batch: &mut Batch,
) -> Next {
    let request = head.view(bytes);
    let length = match request_body_length(request) {
        Ok(length) => length,
        Err(error) => return refuse(client, batch, error.status(), error.reason()),
    };
    let wants_continue = match expects_continue(request) {
        Ok(wants) => wants,
        Err(error) => return refuse(client, batch, error.status(), error.reason()),
    };
    if matches!(request.method(), b"CONNECT" | b"TRACE") {
        return refuse(client, batch, 405, "method not served");
    }
    let Scratch {
        key,
        target,
        section,
    } = scratch;
    let target = match parse_target(request.method(), request.target(), target) {
        Ok(target) => target,
        Err(error) => return refuse(client, batch, error.status(), error.reason()),
    };
    let authority = match effective_authority(request, &target) {
        Ok(authority) => authority,
        Err(error) => return refuse(client, batch, error.status(), error.reason()),
    };
    let (host, port) = authority.map_or((&b""[..], None), |named| (named.host, named.port));
    let plan = &client.live.plan;
    let Some(site_number) = plan.sites.find(host) else {
        return refuse(client, batch, 421, "no site has this host");
    };
    let site = &plan.site_plans[site_number];
    let route_number = site.routes.find(target.path, request.method()).unwrap_or(0);
    let route = &site.route_plans[route_number];
    let persistence = match (client.persistence, request_persistence(request)) {
        (Persistence::KeepAlive, Persistence::KeepAlive) => Persistence::KeepAlive,
        _ => Persistence::Close,
    };
    let seen = Seen {
        worker: client.worker,
        live: client.live,
        route,
        now: client.now,
        request,
        host,
        path: target.path,
        query: target.query,
        persistence,
    };
    if route.cors.classify(request) == CorsKind::Preflight {
        // A body that nobody reads would be taken for the next request.
        let unread_body = !matches!(length, BodyLength::None | BodyLength::Fixed(0));
        let persistence = if unread_body {
            Persistence::Close
        } else {
            persistence
        };
        respond::preflight(
            &Seen {
                persistence,
                ..seen
            },
            batch,
        );
        return Next::Answered(persistence);
    }
    if target.form == TargetForm::Asterisk {
        return refuse(client, batch, 501, "server-wide OPTIONS is not served");
    }
    let forward = |kind| {
        let place = Place {
            site: site_number,
            route: route_number,
            port,
        };
        Next::Forward(Box::new(Forward::new(
            client,
            head,
            &seen,
            place,
            wants_continue,
            kind,
        )))
    };
    let lookup = decide_lookup(request, &length);
    if let Lookup::Pass(_reason) = lookup {
        return forward(ForwardKind::Pass {
            outcome: Outcome::Pass,
            length,
        });
    }
    key.clear();
    write_key(key, "http", host, port, target.path, target.query);
    let hash = hash_key(&client.worker.shared.secret, key);
    let fill = |outcome, marker_key, stale, reuse| {
        let key = key.clone();
        let fill_key = match lookup {
            Lookup::Cache | Lookup::Pass(_) => marker_key,
            Lookup::Alone(_) => client.worker.unshared_fill_key(),
        };
        let fill = FillRequest {
            key,
            hash,
            fill_key,
            marker_key,
            outcome,
            stale,
            reuse,
        };
        forward(ForwardKind::Fill(fill))
    };
    let stored = match find(client, hash, key, request) {
        Lookedup::Stored(stored) => stored,
        Lookedup::HitForMiss => {
            return forward(ForwardKind::Pass {
                outcome: Outcome::HitForMiss,
                length,
            });
        }
        Lookedup::Miss { .. } if RequestDirectives::parse(request).only_if_cached => {
            return only_if_cached(&seen, batch);
        }
        Lookedup::Miss { fill_key, outcome } => {
            return fill(outcome, fill_key, None, Reuse::Revalidate);
        }
    };
    let directives = RequestDirectives::parse(request);
    match decide_reuse(stored.stored(), &directives, client.now.unix) {
        Reuse::Fresh => {
            respond::stored(
                &seen,
                &stored,
                CacheStatus::new(Outcome::Hit),
                section,
                batch,
            );
            Next::Answered(persistence)
        }
        Reuse::OnlyIfCached504 => only_if_cached(&seen, batch),
        reuse @ (Reuse::StaleWhileRevalidate | Reuse::StaleIfError | Reuse::Revalidate) => {
            let fill_key = stored.stored().slot().unwrap_or(hash);
            fill(Outcome::Expired, fill_key, Some(stored.share()), reuse)
        }
    }
}

fn only_if_cached(seen: &Seen<'_>, batch: &mut Batch) -> Next {
    let status = CacheStatus::new(Outcome::OnlyIfCached);
    respond::refusal(
        seen,
        batch,
        504,
        status,
        "not stored, and only a stored response was wanted",
    );
    Next::Answered(seen.persistence)
}

/// What the store has.
enum Lookedup {
    Stored(StoredRef),
    Miss { fill_key: KeyHash, outcome: Outcome },
    HitForMiss,
}

/// The worker's front cache first, then the shared store.
fn find(client: &Client<'_>, hash: KeyHash, key: &[u8], request: Request<'_>) -> Lookedup {
    let worker = client.worker;
    match worker.front.find(hash, key) {
        Some(FrontHit::Known(front)) => return Lookedup::Stored(StoredRef::Front(front)),
        Some(FrontHit::KnownAndHot(front)) => {
            worker.shared.store.touch(front.stored());
            return Lookedup::Stored(StoredRef::Front(front));
        }
        None => {}
    }
    match worker
        .shared
        .store
        .find(hash, key, request, client.now.unix)
    {
        Found::Hit(stored) => Lookedup::Stored(match worker.front.remember(hash, &stored) {
            Some(front) => StoredRef::Front(front),
            None => StoredRef::Shared(stored),
        }),
        Found::HitForMiss { .. } => Lookedup::HitForMiss,
        Found::Miss { fill_key } => {
            let outcome = if fill_key == hash {
                Outcome::Miss
            } else {
                Outcome::VaryMiss
            };
            Lookedup::Miss { fill_key, outcome }
        }
    }
}

/// Refuses a request before its route is known, or because it must not be served at all.
fn refuse(client: &Client<'_>, batch: &mut Batch, status: u16, reason: &str) -> Next {
    client.worker.metrics.counters.bad_requests.increment();
    respond::bare_refusal(
        client.worker,
        client.live,
        client.now,
        status,
        reason,
        batch.arena(),
    );
    Next::Answered(Persistence::Close)
}
