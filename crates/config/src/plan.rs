//! The plan: everything a node does, compiled from the configuration and never changed again.
//!
//! Workers share one plan by reference and swap to the next as a whole; an exchange ends on the
//! plan it began with. So nothing here has interior mutability, and everything is `Send + Sync`.

use core::net::SocketAddr;
use core::time::Duration;
use std::sync::Arc;

use corsair_cache::{CachePolicy, Stored, VaryOrigin};
use corsair_rules::{CorsPolicies, HeaderPolicy, RouteTable, SiteTable, UpstreamMode};

/// A whole configuration, ready to serve.
#[derive(Debug)]
pub struct Plan {
    /// The process.
    pub node: NodePlan,
    /// The admin API.
    pub admin: AdminPlan,
    /// Where clients connect; at least one.
    pub listeners: Vec<ListenerPlan>,
    /// Bounds on what clients may ask.
    pub limits: Limits,
    /// The store's budget.
    pub cache: CacheBudget,
    /// Where responses come from; [`RoutePlan::upstream`] is an index into it.
    pub upstreams: Vec<UpstreamPlan>,
    /// Host to site; what it finds is an index into `site_plans`.
    pub sites: SiteTable,
    /// The sites, in the order of the file.
    pub site_plans: Vec<SitePlan>,
}

/// The process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodePlan {
    /// Name in `Cache-Status` and `Via`: a token of at most [`NODE_NAME_BYTES_MAX`] bytes.
    pub name: String,
    /// Worker threads; `None` is one for each CPU the process may use. At most 64.
    pub workers: Option<usize>,
    /// How workers do I/O.
    pub driver: Driver,
    /// How long exchanges in flight may take to end at shutdown.
    pub drain_timeout: Duration,
}

/// Longest [`NodePlan::name`].
pub const NODE_NAME_BYTES_MAX: usize = 64;

/// How workers do I/O.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Driver {
    /// io_uring where it works, else epoll, and says which.
    Auto,
    /// io_uring, or the node does not start.
    IoUring,
    /// epoll.
    Epoll,
}

/// The admin API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AdminPlan {
    /// Always a loopback address until tokens exist.
    pub listen: SocketAddr,
}

/// One address clients connect to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListenerPlan {
    /// Port 0 lets the system choose.
    pub address: SocketAddr,
}

/// Bounds on what clients may ask of the node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Longest head in bytes, start line and blank line included.
    pub head_bytes: usize,
    /// Most header lines of a head.
    pub header_lines: usize,
    /// Longest request body in bytes.
    pub body_bytes: u64,
    /// Most client connections at once, over all workers.
    pub connections: usize,
    /// Requests after which a connection is closed; `None` is no limit.
    pub requests_per_connection: Option<u64>,
    /// From the first byte of a request to the end of its head.
    pub head_timeout: Duration,
    /// How long a connection may wait for its next request.
    pub idle_timeout: Duration,
    /// Slowest body that is not cut off, in bytes a second; 0 is no limit.
    pub body_min_rate: u64,
}

/// The store's budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CacheBudget {
    /// Bytes for bodies, heads, index and fills in flight.
    pub memory: u64,
}

/// One server responses are fetched from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpstreamPlan {
    /// The name sites refer to; unique.
    pub name: String,
    /// How the server is spoken to.
    pub scheme: Scheme,
    /// Host name or IP address, lower case, without brackets; what to resolve and connect to.
    pub host: String,
    /// Port to connect to.
    pub port: u16,
    /// Host and port as a `Host` header has them: brackets around IPv6, no default port.
    pub authority: String,
    /// Which `Host` header is sent.
    pub host_mode: HostMode,
    /// How long connecting may take.
    pub connect_timeout: Duration,
    /// From the end of the request to the end of the response head.
    pub response_timeout: Duration,
}

/// How an upstream is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// HTTP/1.1 over TCP.
    Http,
}

/// Which `Host` header is sent to an upstream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostMode {
    /// The client's own, as received.
    Client,
    /// [`UpstreamPlan::authority`].
    Server,
    /// This text, a valid host with an optional port.
    Literal(String),
}

/// What is served under a set of hosts.
#[derive(Debug)]
pub struct SitePlan {
    /// The host patterns as written.
    pub hosts: Vec<String>,
    /// Path and method to route; what it finds is an index into `route_plans`, and nothing found
    /// is index 0.
    pub routes: RouteTable,
    /// The site's own settings at index 0, then those of its routes in the order of the file.
    pub route_plans: Vec<RoutePlan>,
}

/// What happens to requests of one site, or of one of its routes.
#[derive(Debug)]
pub struct RoutePlan {
    /// Unique in the plan, so that whatever is kept per route can be keyed by it.
    pub id: u32,
    /// Index into [`Plan::upstreams`].
    pub upstream: usize,
    /// How long responses are stored.
    pub cache: CachePolicy,
    /// Which Web origins may read responses; shared with the routes that inherit it.
    pub cors: Arc<CorsPolicies>,
    /// Response header operations; shared likewise.
    pub headers: Arc<HeaderPolicy>,
}

impl Plan {
    /// The `Vary` line of a refusal whose route is not known: that of whatever resource was meant. Empty
    /// when no policy of the plan depends on `Origin`.
    #[must_use]
    pub fn vary_of_refusals(&self) -> &'static str {
        let mut routes = self.site_plans.iter().flat_map(|site| &site.route_plans);
        if routes.any(|route| route.cors.varies()) {
            "Vary: Origin\r\n"
        } else {
            ""
        }
    }
}

impl RoutePlan {
    /// Whether `Origin` in an upstream's `Vary` selects among stored responses: not where the node
    /// writes the CORS lines itself, because then one body serves all origins.
    #[must_use]
    pub fn vary_origin(&self) -> VaryOrigin {
        match self.cors.upstream_mode() {
            UpstreamMode::Override => VaryOrigin::Ignore,
            UpstreamMode::Passthrough | UpstreamMode::Duplicate => VaryOrigin::Keep,
        }
    }

    /// Whether a stored response may be sent on this route: not where the upstream's CORS lines count
    /// and it was stored while the node wrote them, on another route or before a reload.
    #[must_use]
    #[inline]
    pub fn may_send(&self, stored: &Stored) -> bool {
        self.vary_origin().accepts(stored.vary_origin())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_is_shared_between_threads() {
        fn is_shared<T: Send + Sync + 'static>() {}
        is_shared::<Plan>();
    }
}
