//! The admin API: `GET /healthz`, `/readyz`, `/metrics`, `/v1/status`; `POST /v1/reload`.
//!
//! JSON but for the probes and metrics. Every answer is `no-store`, and every request passes
//! [`crate::guard`] first. It reads the node through snapshots; the only thing it changes is the
//! plan, through [`crate::reload`].

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use prometheus_client::registry::Registry;
use tokio::time::timeout;

use crate::metrics::Exposition;
use crate::reload::{Reloader, Trigger, Verdict};
use crate::{EdgeNode, guard, metrics, status};

/// Bytes of a request body that are read; no endpoint needs more today.
const BODY_BYTES_MAX: usize = 4 * 1024;
/// For a request body to arrive.
const BODY_TIMEOUT: Duration = Duration::from_secs(5);

/// What the handlers see.
pub(crate) struct AdminState {
    pub(crate) node: Arc<dyn EdgeNode>,
    pub(crate) reloader: Arc<Reloader>,
    pub(crate) build: &'static str,
    pub(crate) panics: fn() -> u64,
    /// The address of the listener itself.
    pub(crate) listen: IpAddr,
    /// Set once the first addresses of the upstreams are known or given up on.
    pub(crate) started: AtomicBool,
}

impl AdminState {
    /// Whether a load balancer should send clients here.
    pub(crate) fn is_ready(&self) -> bool {
        self.started.load(Ordering::Acquire) && !self.node.is_draining()
    }
}

/// All endpoints, behind the guard.
pub(crate) fn router(state: &Arc<AdminState>) -> Router {
    let registry = Arc::new(metrics::registry(state));
    Router::new()
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(readiness))
        .route(
            "/metrics",
            get(async move |headers: HeaderMap| scrape(&registry, &headers)),
        )
        .route(
            "/v1/status",
            get(async |State(state): StateOf| Json(status::of(&state))),
        )
        .route("/v1/reload", post(reload))
        .fallback(async || problem(StatusCode::NOT_FOUND, "no such endpoint"))
        .method_not_allowed_fallback(async || {
            problem(
                StatusCode::METHOD_NOT_ALLOWED,
                "this endpoint has other methods; see Allow",
            )
        })
        .layer(middleware::from_fn_with_state(Arc::clone(state), guarded))
        .with_state(Arc::clone(state))
}

type StateOf = State<Arc<AdminState>>;

async fn guarded(State(state): StateOf, request: Request, next: Next) -> Response {
    let mut response = match guard::decide_access(request.uri(), request.headers(), state.listen) {
        Ok(()) => next.run(request).await,
        Err(refusal) => problem(StatusCode::FORBIDDEN, refusal.reason()),
    };
    let fields = response.headers_mut();
    fields.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    fields.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    let policy = header::HeaderName::from_static("cross-origin-resource-policy");
    fields.insert(policy, HeaderValue::from_static("same-origin"));
    response
}

async fn readiness(State(state): StateOf) -> (StatusCode, &'static str) {
    if state.is_ready() {
        (StatusCode::OK, "ready\n")
    } else if state.node.is_draining() {
        (StatusCode::SERVICE_UNAVAILABLE, "draining\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "starting\n")
    }
}

fn scrape(registry: &Registry, headers: &HeaderMap) -> Response {
    let accept = headers
        .get(header::ACCEPT)
        .and_then(|value| value.to_str().ok());
    let exposition = Exposition::accepted(accept.unwrap_or_default());
    match metrics::render(registry, exposition) {
        Ok(text) => ([(header::CONTENT_TYPE, exposition.content_type())], text).into_response(),
        Err(_) => problem(
            StatusCode::INTERNAL_SERVER_ERROR,
            "the metrics cannot be written",
        ),
    }
}

async fn reload(State(state): StateOf, body: Body) -> Response {
    // A body means nothing here; a small one is read so that the connection can be kept.
    match timeout(BODY_TIMEOUT, axum::body::to_bytes(body, BODY_BYTES_MAX)).await {
        Ok(Ok(_)) => {}
        Ok(Err(_)) => return problem(StatusCode::PAYLOAD_TOO_LARGE, "the body is over 4 KiB"),
        Err(_) => return problem(StatusCode::REQUEST_TIMEOUT, "the body did not arrive"),
    }
    // A task of its own: a client that goes away does not leave a reload half done.
    let task = tokio::spawn(Arc::clone(&state.reloader).reload(Trigger::Admin));
    let Ok(answer) = task.await else {
        return problem(
            StatusCode::INTERNAL_SERVER_ERROR,
            "the reload failed internally",
        );
    };
    let status = match answer.verdict {
        Verdict::Applied => StatusCode::OK,
        Verdict::BadConfig => StatusCode::UNPROCESSABLE_ENTITY,
        Verdict::NotApplied => StatusCode::CONFLICT,
    };
    (status, Json(answer)).into_response()
}

fn problem(status: StatusCode, reason: &str) -> Response {
    (
        status,
        Json(serde_json::json!({ "ok": false, "error": reason })),
    )
        .into_response()
}

#[cfg(test)]
mod tests;
