//! A request on its way to an upstream: what the exchange decided, with copies of the bytes it needs,
//! and the head that leaves. Re-serialised from the parsed form; nothing is forwarded raw.

use std::borrow::Cow;
use std::cell::Cell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use corsair_cache::{
    KeyHash, NoStore, Outcome, Reuse, Stored, hash_key, write_key, write_validators,
};
use corsair_config::{Expectation, HostMode, RoutePlan};
use corsair_http1::{
    BodyLength, HEADER_LINES_CAP, HeadLimits, KnownField, KnownSet, Nominated, Parsed, Persistence,
    Request, RequestHead, Version, decimal, field_line, request_line,
};
use corsair_rules::UpstreamMode;

use crate::clock::Now;
use crate::exchange::{Client, Seen};
use crate::plan::PinnedPlan;
use crate::worker::Worker;

/// Fields that this node writes itself or that end here.
const OWN: KnownSet = KnownSet::of(&[
    KnownField::Host,
    KnownField::ContentLength,
    KnownField::Expect,
    KnownField::Forwarded,
    KnownField::XForwardedFor,
    KnownField::XForwardedProto,
    KnownField::XForwardedHost,
    KnownField::XForwardedPort,
]);

/// Fields that ask for less than the whole representation: a fill fetches the whole.
const PARTIAL: KnownSet = KnownSet::of(&[
    KnownField::Range,
    KnownField::IfRange,
    KnownField::IfMatch,
    KnownField::IfNoneMatch,
    KnownField::IfModifiedSince,
    KnownField::IfUnmodifiedSince,
]);

/// Fields of a CORS request: the stored response does not depend on them when the node decides.
const CORS_REQUEST_FIELDS: KnownSet = KnownSet::of(&[
    KnownField::Origin,
    KnownField::AccessControlRequestMethod,
    KnownField::AccessControlRequestHeaders,
    KnownField::AccessControlRequestPrivateNetwork,
]);

/// Fields by which some servers let a request be another than its head says. A stored response must not
/// depend on what the key does not have.
const OVERRIDES: KnownSet = KnownSet::of(&[
    KnownField::XOriginalUrl,
    KnownField::XRewriteUrl,
    KnownField::XHttpMethodOverride,
    KnownField::XRealIp,
]);

/// The same, for fields that have no place in the table of known ones.
const RARE_OVERRIDES: [&str; 4] = [
    "X-HTTP-Method",
    "X-Method-Override",
    "X-Forwarded-Prefix",
    "X-Forwarded-Scheme",
];

/// What the cache has to do with a request that needs an upstream.
pub(crate) enum ForwardKind {
    /// Nothing.
    Pass {
        /// What to call it.
        outcome: Outcome,
        /// The request's body.
        length: BodyLength,
    },
    /// Its response may be stored, and other requests may wait for it.
    Fill(FillRequest),
}

/// Where the response to a request would be stored, and what is stored there now.
pub(crate) struct FillRequest {
    pub(crate) key: Vec<u8>,
    pub(crate) hash: KeyHash,
    /// Requests with the same one share a fetch.
    pub(crate) fill_key: KeyHash,
    /// Where a hit-for-miss marker goes.
    pub(crate) marker_key: KeyHash,
    /// What to call it when the upstream was asked.
    pub(crate) outcome: Outcome,
    pub(crate) stale: Option<Arc<Stored>>,
    pub(crate) reuse: Reuse,
}

/// Where a request belongs: the numbers of its site and route, and the port that the client named.
#[derive(Clone, Copy)]
pub(crate) struct Place {
    pub(crate) site: usize,
    pub(crate) route: usize,
    pub(crate) port: Option<u16>,
}

/// A request on its way to an upstream.
pub(crate) struct Forward {
    pub(crate) live: Rc<PinnedPlan>,
    pub(crate) peer: SocketAddr,
    pub(crate) length: BodyLength,
    pub(crate) expects: Expectation,
    persistence: Persistence,
    pub(crate) kind: ForwardKind,
    site: usize,
    route: usize,
    head: RequestHead,
    bytes: Vec<u8>,
    /// Host and port as the client named them.
    authority: Vec<u8>,
    host: Vec<u8>,
    path: Vec<u8>,
    query: Option<Vec<u8>>,
    port: Option<u16>,
    verdict: Cell<Verdict>,
}

/// What the leader found about the response, for the client that it fetches for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Nothing yet.
    Open,
    /// It is being stored.
    Stored,
    /// The stale response was confirmed.
    Validated,
    /// It is passed on only.
    NotStorable(NoStore),
}

/// A request as a GET: what a fill fetches, also for a HEAD.
pub(crate) struct AsGet<'a> {
    head: Cow<'a, RequestHead>,
    bytes: Cow<'a, [u8]>,
}

impl AsGet<'_> {
    /// The request.
    pub(crate) fn request(&self) -> Request<'_> {
        self.head.view(&self.bytes)
    }
}

/// Which part of a request an upstream gets to see.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// The request itself.
    Pass,
    /// A fetch of the whole representation that other requests may share.
    Fill,
}

impl Forward {
    /// Keeps what an upstream exchange needs of a request.
    pub(crate) fn new(
        client: &Client<'_>,
        head: &RequestHead,
        seen: &Seen<'_>,
        place: Place,
        expects: Expectation,
        kind: ForwardKind,
    ) -> Self {
        let mut authority = seen.host.to_vec();
        if let Some(port) = place.port {
            authority.push(b':');
            decimal(&mut authority, u64::from(port));
        }
        Self {
            live: Rc::clone(client.live),
            peer: client.peer,
            length: match &kind {
                ForwardKind::Pass { length, .. } => *length,
                ForwardKind::Fill(_) => BodyLength::None,
            },
            expects,
            persistence: seen.persistence,
            kind,
            site: place.site,
            route: place.route,
            head: head.clone(),
            bytes: seen.request.bytes().to_vec(),
            authority,
            host: seen.host.to_vec(),
            path: seen.path.to_vec(),
            query: seen.query.map(<[u8]>::to_vec),
            port: place.port,
            verdict: Cell::new(Verdict::Open),
        }
    }

    /// What the cache has to do with it, when it has.
    pub(crate) fn fill(&self) -> Option<&FillRequest> {
        match &self.kind {
            ForwardKind::Pass { .. } => None,
            ForwardKind::Fill(fill) => Some(fill),
        }
    }

    /// Whether the connection stays open behind the response: a drain may have begun meanwhile.
    pub(crate) fn persistence(&self, worker: &Worker) -> Persistence {
        if worker.is_draining() {
            Persistence::Close
        } else {
            self.persistence
        }
    }

    /// What the leader found.
    pub(crate) fn verdict(&self) -> Verdict {
        self.verdict.get()
    }

    /// Tells what the leader found.
    pub(crate) fn set_verdict(&self, verdict: Verdict) {
        self.verdict.set(verdict);
    }

    /// The request with GET as its method.
    pub(crate) fn as_get(&self) -> AsGet<'_> {
        let as_received = AsGet {
            head: Cow::Borrowed(&self.head),
            bytes: Cow::Borrowed(&self.bytes),
        };
        let method = self.request().method();
        if method == b"GET" {
            return as_received;
        }
        let rest = method.as_ptr() as usize - self.bytes.as_ptr() as usize + method.len();
        let bytes = [b"GET", &self.bytes[rest..]].concat();
        let mut head = RequestHead::new();
        // Shorter than what was accepted, and no different otherwise.
        let limits = HeadLimits {
            head_bytes_max: bytes.len(),
            header_lines_max: HEADER_LINES_CAP,
        };
        match head.parse(&bytes, &limits) {
            Ok(Parsed::Complete) => AsGet {
                head: Cow::Owned(head),
                bytes: Cow::Owned(bytes),
            },
            Ok(Parsed::Partial) | Err(_) => as_received,
        }
    }

    /// The hash of the target URI's key.
    pub(crate) fn target_hash(&self, worker: &Worker) -> KeyHash {
        let mut key = Vec::new();
        write_key(
            &mut key,
            "http",
            &self.host,
            self.port,
            &self.path,
            self.query.as_deref(),
        );
        hash_key(&worker.shared.secret, &key)
    }

    /// The request as it was received.
    pub(crate) fn request(&self) -> Request<'_> {
        self.head.view(&self.bytes)
    }

    /// The number of the site that it belongs to.
    pub(crate) fn site(&self) -> usize {
        self.site
    }

    /// The place of its route in the site.
    pub(crate) fn route_place(&self) -> usize {
        self.route
    }

    /// The route that it belongs to.
    pub(crate) fn route(&self) -> &RoutePlan {
        &self.live.plan.site_plans[self.site].route_plans[self.route]
    }

    /// The request with what was decided, at the moment `now`.
    pub(crate) fn seen<'a>(
        &'a self,
        worker: &'a Rc<Worker>,
        now: Now,
        persistence: Persistence,
    ) -> Seen<'a> {
        Seen {
            worker,
            live: &self.live,
            route: self.route(),
            now,
            request: self.request(),
            host: &self.host,
            path: &self.path,
            query: self.query.as_deref(),
            persistence,
        }
    }

    /// The head that goes to the upstream (RFC 9110 §7.6: hop-by-hop fields end here).
    pub(crate) fn upstream_head(&self, purpose: Purpose, stale: Option<&Stored>) -> Vec<u8> {
        let request = self.request();
        let mut out = Vec::with_capacity(self.bytes.len() + 256);
        let method = match purpose {
            Purpose::Pass => request.method(),
            // A HEAD that may fill the cache asks for what it can be answered from later.
            Purpose::Fill => b"GET",
        };
        request_line(&mut out, method, &self.path, self.query.as_deref());
        let upstream = &self.live.plan.upstreams[self.route().upstream];
        let host = match &upstream.host_mode {
            HostMode::Client => &self.authority[..],
            HostMode::Server => upstream.authority.as_bytes(),
            HostMode::Literal(host) => host.as_bytes(),
        };
        field_line(&mut out, "Host", host);
        self.forwarded_fields(purpose, &mut out);
        if let Some(stale) = stale {
            write_validators(stale, &mut out);
        }
        match (purpose, &self.length) {
            (Purpose::Fill, _) | (_, BodyLength::None | BodyLength::UntilClose) => {}
            (Purpose::Pass, BodyLength::Fixed(length)) => {
                out.extend_from_slice(b"Content-Length: ");
                decimal(&mut out, *length);
                out.extend_from_slice(b"\r\n");
            }
            (Purpose::Pass, BodyLength::Chunked) => {
                out.extend_from_slice(b"Transfer-Encoding: chunked\r\n");
            }
        }
        out.extend_from_slice(b"\r\n");
        out
    }

    fn forwarded_fields(&self, purpose: Purpose, out: &mut Vec<u8>) {
        let request = self.request();
        let nominated = Nominated::of_request(request);
        let node_decides = self.route().cors.upstream_mode() == UpstreamMode::Override;
        for line in request.fields() {
            let ends_here = match line.known {
                Some(known) => {
                    known.flags().hop_by_hop()
                        || OWN.contains(known)
                        || (purpose == Purpose::Fill
                            && (PARTIAL.contains(known)
                                || OVERRIDES.contains(known)
                                || (node_decides && CORS_REQUEST_FIELDS.contains(known))))
                }
                None => {
                    let is = |name: &&str| line.is_named(name.as_bytes());
                    purpose == Purpose::Fill && RARE_OVERRIDES.iter().any(is)
                }
            };
            if ends_here || nominated.contains(line.name) {
                continue;
            }
            out.extend_from_slice(line.name);
            out.extend_from_slice(b": ");
            out.extend_from_slice(line.value);
            out.extend_from_slice(b"\r\n");
        }
        // What a client says about itself here cannot be checked, so it is replaced.
        field_line(
            out,
            "X-Forwarded-For",
            self.peer.ip().to_string().as_bytes(),
        );
        field_line(out, "X-Forwarded-Proto", b"http");
        field_line(out, "X-Forwarded-Host", &self.authority);
        // The protocol that the request was received by (RFC 9110 §7.6.3).
        out.extend_from_slice(match request.version() {
            Version::Http10 => b"Via: 1.0 ",
            Version::Http11 => b"Via: 1.1 ",
        });
        out.extend_from_slice(self.live.pseudonym.as_bytes());
        out.extend_from_slice(b"\r\n");
    }
}
