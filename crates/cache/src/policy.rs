//! What a site's configuration says about caching, as plain values.
//!
//! The meaning of each value is in `storable.rs`, the only reader of most of them. Spec:
//! `[site.cache]`.

use core::time::Duration;

/// The lifetimes and limits of one site or route.
///
/// Which lifetime wins, for a response that may be stored at all (`no-store`, `private` and the
/// other rules come first):
/// 1. `override_ttl`, for the statuses of [`CachePolicy::ttl`];
/// 2. the upstream's own: `CDN-Cache-Control`, else `s-maxage`, `max-age`, `Expires`;
/// 3. `status_ttl` for the statuses it names;
/// 4. `ttl`;
/// 5. a tenth of the time since `Last-Modified`, when `heuristic` is on;
/// 6. none.
///
/// The configured ones (1, 3, 4) count from receipt, the others from when the response was made.
///
/// ```
/// let policy = corsair_cache::CachePolicy::default();
/// assert!(policy.ttl.is_zero() && !policy.heuristic);
/// assert_eq!(policy.max_object, 64 << 20);
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CachePolicy {
    /// Lifetime when the upstream says nothing, for 200, 203, 204, 300, 301 and 308. Default 0: no
    /// lifetime.
    pub ttl: Duration,
    /// Lifetime by status when the upstream says nothing. The only way to store 400, 405, 413, 414,
    /// 431, 501 and the like. Whole seconds.
    pub status_ttl: Vec<(u16, Duration)>,
    /// Lifetime in place of the upstream's own, for the statuses of `ttl` that `status_ttl` does
    /// not name.
    pub override_ttl: Option<Duration>,
    /// May a lifetime be guessed from `Last-Modified` (RFC 9111 §4.2.2)? Default no.
    pub heuristic: bool,
    /// How long after its lifetime a response may be served while it is revalidated, when the
    /// upstream does not say. Default 0.
    pub stale_while_revalidate: Duration,
    /// How long after its lifetime a response may be served when the upstream fails, when the
    /// upstream does not say. Default 0.
    pub stale_if_error: Duration,
    /// The largest body stored, in bytes. Default 64 MiB.
    pub max_object: u64,
    /// What happens to a response with `Set-Cookie`. Default: it is not stored.
    pub set_cookie: SetCookie,
}

impl Default for CachePolicy {
    fn default() -> Self {
        Self {
            ttl: Duration::ZERO,
            status_ttl: Vec::new(),
            override_ttl: None,
            heuristic: false,
            stale_while_revalidate: Duration::ZERO,
            stale_if_error: Duration::ZERO,
            max_object: 64 << 20,
            set_cookie: SetCookie::Bypass,
        }
    }
}

impl CachePolicy {
    pub(crate) fn status_ttl(&self, status: u16) -> Option<Duration> {
        self.status_ttl
            .iter()
            .find(|(named, _)| *named == status)
            .map(|&(_, ttl)| ttl)
    }
}

/// What happens to a response that sets a cookie. A stored cookie is somebody else's session for
/// the next client.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SetCookie {
    /// The response is not stored.
    Bypass,
    /// The response is stored, and sent to everybody, without its `Set-Cookie` lines.
    Strip,
    /// The response is stored with its cookies, which RFC 9111 §7.3 allows when its directives do.
    Store,
}
