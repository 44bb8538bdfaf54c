//! The control flow of one request, and the only place where rules, cache and I/O meet.
//!
//! [`run`] is one straight function: target, host, site, route, framing and method, preflight, what the
//! cache may do, the key, the stored response. It answers from what the node has, or says what must be fetched; it
//! never waits and calls nothing that calls back.

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use corsair_cache::{
    CacheStatus, Found, KeyHash, Lookup, Outcome, RequestDirectives, Reuse, Stored, asks_for_less,
    decide_lookup, decide_reuse, hash_key, write_key_authority, write_key_target,
};
use corsair_config::{HeadContext, ONLY_IF_CACHED, RequestBody, RoutePlan, admit};
use corsair_http1::{
    Authority, BodyLength, FieldSection, KnownField, Persistence, Request, RequestHead, Scheme,
    Target, TargetError, TargetForm, effective_authority, parse_target, request_persistence,
};
use corsair_rules::{CorsKind, CorsOutcome};

use crate::clock::Now;
use crate::forward::{FillRequest, Forward, ForwardKind, Place};
use crate::front::{Front, FrontHit};
use crate::plan::{LivePlan, PinnedPlan};
use crate::reply::{Batch, BodyHold};
use crate::respond;
use crate::worker::Worker;

#[cfg(test)]
use crate::contain::fault::{self, Fault};

/// A request for an `https` URI must be rejected where it did not come over a secured connection (RFC
/// 9110 §7.4); the same target in origin-form would be another resource.
const NOT_SECURED: &str = "an https URI on a connection that is not secured";

/// What an exchange knows of its connection.
pub(crate) struct Client<'a> {
    pub(crate) worker: &'a Rc<Worker>,
    pub(crate) live: &'a Rc<PinnedPlan>,
    pub(crate) now: Now,
    pub(crate) peer: SocketAddr,
    /// Whether the node lets the connection stay open.
    pub(crate) persistence: Persistence,
}

/// Memory that exchanges use one after the other.
#[derive(Default)]
pub(crate) struct Scratch {
    key: Vec<u8>,
    target: Vec<u8>,
    named: KnownHost,
    section: FieldSection,
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

impl Seen<'_> {
    /// What a response head depends on.
    pub(crate) fn head_context(&self) -> HeadContext<'_> {
        HeadContext {
            node_name: &self.live.plan.node.name,
            pseudonym: &self.live.pseudonym,
            route: self.route,
            request: self.request,
            host: self.host,
            path: self.path,
            query: self.query,
            persistence: self.persistence,
        }
    }

    /// The same when the request's body is not read: it would be taken for the next request.
    fn behind_unread(self, length: BodyLength) -> Self {
        match length {
            BodyLength::None | BodyLength::Fixed(0) => self,
            BodyLength::Fixed(_) | BodyLength::Chunked | BodyLength::UntilClose => Self {
                persistence: Persistence::Close,
                ..self
            },
        }
    }
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
    #[cfg(test)]
    fault::strike(Fault::Exchange);
    let request = head.view(bytes);
    let Scratch {
        key,
        target,
        named,
        section,
    } = scratch;
    let (target, authority) = match target_uri(request, target, named) {
        Ok(named) => named,
        Err(error) => return refuse(client, request, batch, error.status(), error.reason()),
    };
    if target.scheme == Some(Scheme::Https) {
        return refuse(client, request, batch, 421, NOT_SECURED);
    }
    let (host, port) = authority.map_or((&b""[..], None), |named| (named.host, named.port));
    let Some(site) = client.live.plan.sites.find(host) else {
        return refuse(client, request, batch, 421, "no site has this host");
    };
    let route = client.live.plan.site_plans[site].find_route(target.path, request);
    let seen = Seen {
        worker: client.worker,
        live: client.live,
        route: &client.live.plan.site_plans[site].route_plans[route],
        now: client.now,
        request,
        host,
        path: target.path,
        query: target.query,
        persistence: shorter(client.persistence, request_persistence(request)),
    };
    let body = match admit(request) {
        Ok(body) => body,
        Err((status, reason)) => return refuse_on_route(&seen, batch, status, reason),
    };
    if seen.route.cors.classify(request) == CorsKind::Preflight {
        let seen = seen.behind_unread(body.length);
        respond::preflight(&seen, batch);
        return Next::Answered(seen.persistence);
    }
    let lookup = decide_lookup(request, &body.length);
    let exchange = Exchange {
        client,
        head,
        seen,
        place: Place { site, route, port },
        body,
    };
    if let Lookup::Pass(reason) = lookup {
        return exchange.pass(reason.outcome());
    }
    key.clear();
    named.write_key_authority(key, host, port);
    write_key_target(key, target.path, target.query);
    exchange.reuse(lookup, key, section, batch)
}

/// A request that is neither refused nor answered yet.
struct Exchange<'a> {
    client: &'a Client<'a>,
    head: &'a RequestHead,
    seen: Seen<'a>,
    place: Place,
    body: RequestBody,
}

impl Exchange<'_> {
    /// Answers from what is stored under `key`, or begins a fill.
    #[inline]
    fn reuse(
        &self,
        lookup: Lookup,
        key: &[u8],
        section: &mut FieldSection,
        batch: &mut Batch,
    ) -> Next {
        let (client, seen) = (self.client, &self.seen);
        let directives = RequestDirectives::parse(seen.request);
        let reuse_of =
            |stored: &StoredRef| decide_reuse(stored.stored(), &directives, client.now.unix);
        let front =
            find_in_front(client.worker, key).filter(|found| seen.route.may_send(found.stored()));
        if let Some(stored) = &front
            && reuse_of(stored) == Reuse::Fresh
        {
            return self.hit(stored, section, batch);
        }
        let hash = hash_key(&client.worker.shared.secret, key);
        let found = match front {
            Some(stored) => Lookedup::Stored(stored),
            None => find(client, seen, hash, key),
        };
        let (marker_key, outcome, stale, reuse) = match found {
            Lookedup::Stored(stored) => match reuse_of(&stored) {
                Reuse::Fresh => return self.hit(&stored, section, batch),
                Reuse::OnlyIfCached504 => return only_if_cached(seen, batch),
                reuse @ (Reuse::StaleWhileRevalidate | Reuse::StaleIfError | Reuse::Revalidate) => {
                    let slot = stored.stored().slot().unwrap_or(hash);
                    // RFC 9211 §2.2: `stale` when the response is, `request` when only the
                    // request's own directives keep it from being used.
                    let freshness = stored.stored().freshness();
                    let outcome = match freshness.is_reusable(client.now.unix) {
                        true => Outcome::Reloaded,
                        false => Outcome::Expired,
                    };
                    (slot, outcome, Some(stored.share()), reuse)
                }
            },
            Lookedup::Miss { .. } if directives.only_if_cached => {
                return only_if_cached(seen, batch);
            }
            Lookedup::Miss { fill_key, outcome } => {
                let hardly_stored = match lookup {
                    Lookup::Alone(reason) => Some(reason.outcome()),
                    Lookup::Cache | Lookup::Pass(_) => {
                        (outcome == Outcome::HitForMiss).then_some(outcome)
                    }
                };
                if let Some(outcome) = hardly_stored.filter(|_| asks_for_less(seen.request)) {
                    return self.pass(outcome);
                }
                (fill_key, outcome, None, Reuse::Revalidate)
            }
        };
        let fill_key = match lookup {
            Lookup::Cache | Lookup::Pass(_) if outcome != Outcome::HitForMiss => marker_key,
            // Nobody waits for a response that others will hardly be given.
            Lookup::Cache | Lookup::Pass(_) | Lookup::Alone(_) => client.worker.unshared_fill_key(),
        };
        self.forward(ForwardKind::Fill(FillRequest {
            key: key.to_vec(),
            hash,
            fill_key,
            marker_key,
            outcome,
            stale,
            reuse,
        }))
    }

    /// Answers from a fresh stored response.
    #[inline]
    fn hit(&self, stored: &StoredRef, section: &mut FieldSection, batch: &mut Batch) -> Next {
        let status = CacheStatus::new(Outcome::Hit);
        respond::stored(&self.seen, stored, status, section, batch);
        Next::Answered(self.seen.persistence)
    }

    /// The cache has nothing to do with it.
    fn pass(&self, outcome: Outcome) -> Next {
        self.forward(ForwardKind::Pass {
            outcome,
            length: self.body.length,
        })
    }

    fn forward(&self, kind: ForwardKind) -> Next {
        Next::Forward(Box::new(Forward::new(
            self.client,
            self.head,
            &self.seen,
            self.place,
            self.body.expects,
            kind,
        )))
    }
}

/// The target URI: what is asked for, and the authority it is asked of.
fn target_uri<'a>(
    request: Request<'a>,
    scratch: &'a mut Vec<u8>,
    named: &mut KnownHost,
) -> Result<(Target<'a>, Option<Authority<'a>>), TargetError> {
    let target = parse_target(request.method(), request.target(), scratch)?;
    if target.form == TargetForm::Origin
        && let Some(authority) = named.recall(request)
    {
        return Ok((target, Some(authority)));
    }
    let authority = effective_authority(request, &target)?;
    if target.form == TargetForm::Origin
        && let Some(authority) = authority
    {
        named.remember(request, authority);
    }
    Ok((target, authority))
}

/// The `Host` value that was found valid last: a connection repeats it with every request, and checking it
/// again costs 590 instructions. Of the 224 that a whole key takes its part is the larger (callgrind).
#[derive(Default)]
struct KnownHost {
    value: Vec<u8>,
    host_len: usize,
    port: Option<u16>,
    /// The part of a cache key that it leads to.
    key_authority: Vec<u8>,
}

impl KnownHost {
    fn recall<'a>(&self, request: Request<'a>) -> Option<Authority<'a>> {
        let value = request.field(KnownField::Host)?;
        let known =
            !self.value.is_empty() && self.value == value && !request.is_repeated(KnownField::Host);
        known.then(|| Authority {
            host: &value[..self.host_len],
            port: self.port,
        })
    }

    /// Appends what a cache key of this host and port begins with.
    #[inline]
    fn write_key_authority(&self, key: &mut Vec<u8>, host: &[u8], port: Option<u16>) {
        if !self.value.is_empty() && self.value[..self.host_len] == *host && self.port == port {
            key.extend_from_slice(&self.key_authority);
        } else {
            write_key_authority(key, "http", host, port);
        }
    }

    fn remember(&mut self, request: Request<'_>, authority: Authority<'_>) {
        let Some(value) = request.field(KnownField::Host) else {
            return;
        };
        if value.starts_with(authority.host) {
            self.value.clear();
            self.value.extend_from_slice(value);
            self.host_len = authority.host.len();
            self.port = authority.port;
            self.key_authority.clear();
            let (host, port) = (authority.host, authority.port);
            write_key_authority(&mut self.key_authority, "http", host, port);
        }
    }
}

fn shorter(one: Persistence, other: Persistence) -> Persistence {
    match (one, other) {
        (Persistence::KeepAlive, Persistence::KeepAlive) => Persistence::KeepAlive,
        (Persistence::Close, _) | (_, Persistence::Close) => Persistence::Close,
    }
}

/// Refuses a request whose route is known: browsers can read why.
fn refuse_on_route(seen: &Seen<'_>, batch: &mut Batch, status: u16, reason: &str) -> Next {
    seen.worker.metrics.counters.bad_requests.increment();
    let seen = Seen {
        persistence: Persistence::Close,
        ..*seen
    };
    respond::refusal(
        &seen,
        batch,
        status,
        (Outcome::Local, CacheStatus::new(Outcome::Local)),
        reason,
    );
    Next::Answered(Persistence::Close)
}

fn only_if_cached(seen: &Seen<'_>, batch: &mut Batch) -> Next {
    let status = CacheStatus::new(Outcome::OnlyIfCached);
    let said = (Outcome::OnlyIfCached, status);
    respond::refusal(seen, batch, 504, said, ONLY_IF_CACHED);
    Next::Answered(seen.persistence)
}

/// What the store has.
enum Lookedup {
    Stored(StoredRef),
    /// Nothing, or that answers for it could not be stored a moment ago.
    Miss {
        fill_key: KeyHash,
        outcome: Outcome,
    },
}

/// What this worker's front cache has.
#[inline]
fn find_in_front(worker: &Worker, key: &[u8]) -> Option<StoredRef> {
    match worker.front.find(key)? {
        FrontHit::Known(front) => Some(StoredRef::Front(front)),
        FrontHit::KnownAndHot(front) => {
            worker.shared.store.touch(front.stored());
            Some(StoredRef::Front(front))
        }
    }
}

/// What the shared store has.
fn find(client: &Client<'_>, seen: &Seen<'_>, hash: KeyHash, key: &[u8]) -> Lookedup {
    let (worker, request) = (client.worker, seen.request);
    match worker
        .shared
        .store
        .find(hash, key, request, client.now.unix)
    {
        // A fill brings one that may be sent, and it takes this one's place.
        Found::Hit(stored) if !seen.route.may_send(&stored) => Lookedup::Miss {
            fill_key: stored.slot().unwrap_or(hash),
            outcome: Outcome::Miss,
        },
        Found::Hit(stored) => Lookedup::Stored(match worker.front.remember(&stored) {
            Some(front) => StoredRef::Front(front),
            None => StoredRef::Shared(stored),
        }),
        Found::HitForMiss { fill_key } => Lookedup::Miss {
            fill_key,
            outcome: Outcome::HitForMiss,
        },
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

/// Refuses a request that belongs to no route.
fn refuse(
    client: &Client<'_>,
    request: Request<'_>,
    batch: &mut Batch,
    status: u16,
    reason: &str,
) -> Next {
    client.worker.metrics.counters.bad_requests.increment();
    client.worker.metrics.count_cors(CorsOutcome::NoPolicy);
    let out = batch.arena();
    let method = request.method();
    respond::bare_refusal(
        client.worker,
        client.live,
        client.now,
        status,
        reason,
        method,
        out,
    );
    Next::Answered(Persistence::Close)
}
