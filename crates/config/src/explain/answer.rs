//! The answer to a question: plain values, the same for the terminal, for JSON and for the admin API.
//!
//! The names of the fields are the JSON document's, version 1. Never decides anything.

use core::time::Duration;
use corsair_cache::{NoStore, StoredHead, UnixMillis, VaryOrigin};
use serde::Serialize;

use super::browser::Blocked;
use super::question::{AssumedUpstream, Question};
use crate::failure::UpstreamFailure;

/// Everything that is told about one request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// Of this document: 1.
    pub version: u32,
    /// The request.
    pub request: RequestShown,
    /// Why the node itself refuses the request, when it does.
    pub refused: Option<String>,
    /// The site, when the host has one.
    pub site: Option<SiteShown>,
    /// The route, likewise.
    pub route: Option<RouteShown>,
    /// What CORS decided, when there is a route.
    pub cors: Option<CorsShown>,
    /// Header operations in the order of the file.
    pub operations: Vec<OperationShown>,
    /// What the cache would do; absent for preflights and refusals.
    pub cache: Option<CacheShown>,
    /// The head that leaves.
    pub response: ResponseShown,
    /// The preflight that a browser sends first, when it must.
    pub preflight: Option<Box<PreflightShown>>,
    /// A browser's verdict without and with credentials; empty without an `Origin` to judge by.
    pub browser: Vec<BrowserVerdict>,
}

/// The request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RequestShown {
    /// Method.
    pub method: String,
    /// As asked for.
    pub url: String,
    /// `Origin` lines, control characters escaped.
    pub origins: Vec<String>,
    /// The upstream's assumed status; none where it is taken not to answer.
    pub upstream_status: Option<u16>,
    /// The upstream's assumed header lines, `Name: value`.
    pub upstream_headers: Vec<String>,
    /// How the upstream failed, when it was asked and did.
    pub upstream_failure: Option<FailureShown>,
    /// The head as it was dry-run.
    pub head: String,
}

/// A failure of the upstream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FailureShown {
    /// One word, as `--upstream-failure` takes it.
    pub failure: &'static str,
    /// In words.
    pub why: String,
}

impl FailureShown {
    pub(crate) fn of(failure: UpstreamFailure, why: Option<&'static str>) -> Self {
        Self {
            failure: failure.as_str(),
            why: why.unwrap_or(failure.in_words()).to_owned(),
        }
    }
}

/// A site.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SiteShown {
    /// Its hosts, as written.
    pub hosts: Vec<String>,
    /// `file:line`
    pub place: Option<String>,
}

/// A route.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RouteShown {
    /// 0 for the site's own settings, else the place of the `[[site.route]]`.
    pub number: usize,
    /// Its path pattern, as written.
    pub path: Option<String>,
    /// `file:line`
    pub place: Option<String>,
    /// Name of its upstream.
    pub upstream: String,
    /// The upstream's server.
    pub server: String,
}

/// What CORS decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CorsShown {
    /// `not-cors`, `actual` or `preflight`.
    pub kind: &'static str,
    /// The outcome as metrics and logs name it.
    pub outcome: &'static str,
    /// Whether the node grants it. With outcome `constant` nobody was compared, and the browser decides.
    pub granted: bool,
    /// Every policy of the route, in the order in which they are tried.
    pub policies: Vec<PolicyShown>,
}

/// One policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PolicyShown {
    /// From 1.
    pub number: usize,
    /// `file:line`
    pub place: Option<String>,
    /// `live`, `passthrough` or `shadow`.
    pub standing: &'static str,
    /// Whether it decided.
    pub decided: bool,
    /// What it says, a sentence each.
    pub says: Vec<String>,
    /// The pattern that allows the origin.
    pub rule: Option<RuleShown>,
    /// The patterns that nearly do, nearest first.
    pub nearest: Vec<NearShown>,
}

/// A pattern.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RuleShown {
    /// As it is compared.
    pub pattern: String,
    /// `file:line`
    pub place: Option<String>,
}

/// A pattern that nearly allows an origin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NearShown {
    /// As it is compared.
    pub pattern: String,
    /// `file:line`
    pub place: Option<String>,
    /// What differs.
    pub differs: String,
}

/// A header operation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OperationShown {
    /// Verb and name.
    pub operation: String,
    /// `file:line`
    pub place: Option<String>,
    /// Whether it changed anything.
    pub applied: bool,
    /// Lines it took away.
    pub gone: Vec<String>,
    /// Lines it brought.
    pub come: Vec<String>,
    /// Why it changed nothing.
    pub why: Option<String>,
}

/// What the cache would do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CacheShown {
    /// The cache key.
    pub key: String,
    /// Whether the response is stored.
    pub stored: bool,
    /// Why not.
    pub reason: Option<&'static str>,
    /// Seconds for which the stored response answers further requests.
    pub fresh_s: Option<i64>,
    /// Request headers that tell variants apart (the stored `Vary`).
    pub vary: Vec<String>,
    /// Where the upstream failed or answered with an error: seconds past its lifetime for which a stored
    /// response would have stood in; 0 when none would (RFC 5861 §4).
    pub stands_in_s: Option<u64>,
}

impl CacheShown {
    pub(crate) fn passed(key: &[u8], reason: &'static str) -> Self {
        Self {
            key: String::from_utf8_lossy(key).into_owned(),
            stored: false,
            reason: Some(reason),
            fresh_s: None,
            vary: Vec::new(),
            stands_in_s: None,
        }
    }

    pub(crate) fn failed(key: &[u8], stale_if_error: Duration) -> Self {
        Self {
            stands_in_s: Some(stale_if_error.as_secs()),
            ..Self::passed(key, NoStore::UpstreamError.as_str())
        }
    }

    pub(crate) fn of(
        key: &[u8],
        head: &StoredHead,
        reason: Option<NoStore>,
        now: UnixMillis,
    ) -> Self {
        let selects = |name: &&str| {
            !(head.vary_origin() == VaryOrigin::Ignore && name.eq_ignore_ascii_case("Origin"))
        };
        let names = head.fields().all_named(b"Vary").flat_map(|line| {
            let members = corsair_http1::list_members(line);
            members.filter_map(|member| core::str::from_utf8(member).ok())
        });
        Self {
            key: String::from_utf8_lossy(key).into_owned(),
            stored: reason.is_none(),
            reason: reason.map(NoStore::as_str),
            fresh_s: match reason {
                None => Some(head.freshness().remaining(now).max(0)),
                Some(_) => None,
            },
            vary: names.filter(selects).map(str::to_owned).collect(),
            stands_in_s: None,
        }
    }
}

/// A response head.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Default)]
pub struct ResponseShown {
    /// Status.
    pub status: u16,
    /// The bytes that leave, up to the empty line.
    pub head: String,
}

/// A preflight that goes before the request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PreflightShown {
    /// What makes it necessary.
    pub because: Vec<String>,
    /// Who answers: the node, or the upstream, whose answer is then the assumed one.
    pub answered_by: &'static str,
    /// What CORS decided.
    pub cors: Option<CorsShown>,
    /// The head that leaves.
    pub response: ResponseShown,
}

/// A browser's verdict.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BrowserVerdict {
    /// `without` or `with` credentials.
    pub credentials: &'static str,
    /// For a preflight whether the actual request goes out, else whether the page may read the response:
    /// not that of a redirect, which is followed.
    pub allowed: bool,
    /// In words, with the step of the Fetch standard that decided.
    pub verdict: String,
    /// Fields of the response that a script may read.
    pub readable: Vec<String>,
}

impl BrowserVerdict {
    pub(crate) fn blocked(credentials: &'static str, what: &str, why: &Blocked) -> Self {
        Self {
            credentials,
            allowed: false,
            verdict: format!("{what}: {why}"),
            readable: Vec::new(),
        }
    }
}

impl Explanation {
    pub(crate) fn new(question: &Question, bytes: &[u8]) -> Self {
        let line = |(name, value): &(String, String)| format!("{name}: {value}");
        let (status, lines) = match &question.upstream {
            AssumedUpstream::Answers(answer) => (Some(answer.status), answer.headers.as_slice()),
            AssumedUpstream::Fails(_) => (None, &[][..]),
        };
        Self {
            version: 1,
            request: RequestShown {
                method: question.method.clone(),
                url: question.url.clone(),
                origins: question.values("Origin").map(str::to_owned).collect(),
                upstream_status: status,
                upstream_headers: lines.iter().map(line).collect(),
                upstream_failure: None,
                head: String::from_utf8_lossy(bytes).into_owned(),
            },
            refused: None,
            site: None,
            route: None,
            cors: None,
            operations: Vec::new(),
            cache: None,
            response: ResponseShown::default(),
            preflight: None,
            browser: Vec::new(),
        }
    }
}
