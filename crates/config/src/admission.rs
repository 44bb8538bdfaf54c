//! What is decided about a request before anything is looked up: its route, and whether it is served.
//!
//! RFC 9112 §6 (framing), RFC 9110 §9.3.6, §9.3.8 (CONNECT, TRACE), §10.1.1 (Expect). The data plane and
//! `explain` both come through here. Never looks at a body, never answers.

use corsair_http1::{
    BodyLength, FramingError, KnownField, Request, expects_continue, request_body_length,
};

use crate::plan::SitePlan;

/// The body that follows a request's head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestBody {
    /// Its length.
    pub length: BodyLength,
    /// Whether the client waits for a 100 before it sends it.
    pub expects: Expectation,
}

/// Whether a client waits for a 100 (Continue).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Expectation {
    /// It sends its body at once.
    None,
    /// It waits.
    Continue,
}

/// What must hold before a request is looked at more closely.
///
/// # Errors
/// A status, and the reason as the client is told it.
pub fn admit(request: Request<'_>) -> Result<RequestBody, (u16, &'static str)> {
    let framing = |error: FramingError| (error.status(), error.reason());
    let length = request_body_length(request).map_err(framing)?;
    let expects = match expects_continue(request).map_err(framing)? {
        true => Expectation::Continue,
        false => Expectation::None,
    };
    // PURGE is what other caches take for a command: not from here, and not for the upstream either.
    if matches!(request.method(), b"CONNECT" | b"TRACE" | b"PURGE") {
        return Err((501, "method not served"));
    }
    Ok(RequestBody { length, expects })
}

impl SitePlan {
    /// The number of the route: by path and method, a preflight (Fetch §3.2.2) by the method that it asks
    /// about: who may send a request is never decided by a route that the request will not take.
    #[must_use]
    pub fn find_route(&self, path: &[u8], request: Request<'_>) -> usize {
        let asks_first = request.method() == b"OPTIONS" && request.has(KnownField::Origin);
        let asked_about = match asks_first {
            true => request.field(KnownField::AccessControlRequestMethod),
            false => None,
        };
        let method = asked_about.unwrap_or(request.method());
        self.routes.find(path, method).unwrap_or(0)
    }
}
