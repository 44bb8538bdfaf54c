//! The demo's built-in upstream: a small, well-behaved HTTP server on a loopback port of its own.
//!
//! It plays the bucket or site that people put behind Corsair: fonts, pictures, JSON and a
//! range-able blob, with `Cache-Control`, `ETag` and `Last-Modified`, conditional requests (RFC
//! 9110 §13) and single ranges (§14). It knows nothing of CORS: that is the node's job. It runs on
//! one thread with a runtime of its own, listens on loopback only, reads no file, and never answers
//! from anything but the fixed list below.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::Context as _;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header};

use super::content::{Content, Item};

/// How long `/api/slow.json` takes: time enough to send a second request while the first still
/// waits.
const SLOW: Duration = Duration::from_secs(1);
/// The largest body `/api/echo` reads back.
const ECHO_BYTES_MAX: usize = 64 * 1024;

/// Starts the upstream on a free loopback port and returns its address. It lives as long as the
/// process.
///
/// # Errors
/// When no loopback port can be bound or the thread cannot be started.
pub(super) fn start() -> anyhow::Result<SocketAddr> {
    let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .context("the demo's built-in upstream found no free port on 127.0.0.1")?;
    let address = listener.local_addr()?;
    listener.set_nonblocking(true)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    std::thread::Builder::new()
        .name("demo-upstream".into())
        .spawn(move || {
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::from_std(listener)?;
                axum::serve(listener, router(Content::build())).await
            })
        })?;
    Ok(address)
}

fn router(content: Content) -> Router {
    // Content is built once and lives as long as the process.
    let content: &'static Content = Box::leak(Box::new(content));
    Router::new().fallback(answer).with_state(content)
}

async fn answer(
    State(content): State<&'static Content>,
    request: Request,
) -> Result<Response<Body>, Infallible> {
    let path = request.uri().path();
    if path == "/api/echo" {
        return Ok(echo(request).await);
    }
    if path == "/api/slow.json" {
        tokio::time::sleep(SLOW).await;
    }
    Ok(match content.find(path) {
        None => problem(StatusCode::NOT_FOUND, "the demo has nothing at this path"),
        Some(item) if request.method() == Method::GET || request.method() == Method::HEAD => {
            // A body for HEAD is dropped by the HTTP library, its length is kept.
            item_response(item, request.headers())
        }
        Some(_) => {
            let mut response = problem(StatusCode::METHOD_NOT_ALLOWED, "GET and HEAD only");
            response
                .headers_mut()
                .insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
            response
        }
    })
}

/// Says what arrived, so that one can see what the node forwards.
async fn echo(request: Request) -> Response<Body> {
    let method = request.method().clone();
    let fields: serde_json::Map<String, serde_json::Value> = request
        .headers()
        .iter()
        .map(|(name, value)| {
            (
                name.to_string(),
                String::from_utf8_lossy(value.as_bytes()).into(),
            )
        })
        .collect();
    match axum::body::to_bytes(request.into_body(), ECHO_BYTES_MAX).await {
        Err(_) => problem(
            StatusCode::PAYLOAD_TOO_LARGE,
            "the echo reads 64 KiB at most",
        ),
        Ok(body) => {
            let text = serde_json::json!({
                "method": method.as_str(),
                "fields": fields,
                "body_bytes": body.len(),
            });
            json(StatusCode::OK, format!("{text:#}\n"))
        }
    }
}

fn problem(status: StatusCode, what: &str) -> Response<Body> {
    json(
        status,
        format!("{}\n", serde_json::json!({ "error": what })),
    )
}

fn json(status: StatusCode, text: String) -> Response<Body> {
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn item_response(item: &Item, request: &HeaderMap) -> Response<Body> {
    let (status, body, content_range) = select(item, request);
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(
        header::CACHE_CONTROL,
        HeaderValue::from_static(item.cache_control),
    );
    headers.insert(header::ETAG, item.etag.clone());
    headers.insert(
        header::LAST_MODIFIED,
        HeaderValue::from_static(super::content::LAST_MODIFIED),
    );
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    if let Some(range) = content_range {
        headers.insert(header::CONTENT_RANGE, range);
    }
    if status != StatusCode::NOT_MODIFIED {
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static(item.content_type),
        );
    }
    response
}

/// RFC 9110 §13.2.2 for the two conditions that matter to a cache, then §14.2 for one range.
fn select(item: &Item, request: &HeaderMap) -> (StatusCode, Bytes, Option<HeaderValue>) {
    let field = |name| {
        request
            .get(name)
            .and_then(|value: &HeaderValue| value.to_str().ok())
    };
    let etag = item.etag.to_str().unwrap_or_default();
    let unchanged = match field(header::IF_NONE_MATCH) {
        Some(list) => list
            .split(',')
            .any(|member| matches!(member.trim(), "*") || member.trim() == etag),
        // An exact comparison is enough: the date we sent is the only one that can come back.
        None => field(header::IF_MODIFIED_SINCE) == Some(super::content::LAST_MODIFIED),
    };
    if unchanged {
        return (StatusCode::NOT_MODIFIED, Bytes::new(), None);
    }
    let whole = item.body.len();
    let range_applies = field(header::IF_RANGE).is_none_or(|validator| validator == etag);
    match field(header::RANGE)
        .filter(|_| range_applies)
        .and_then(|text| parse_range(text, whole))
    {
        None => (StatusCode::OK, item.body.clone(), None),
        Some(None) => {
            let range = HeaderValue::from_str(&format!("bytes */{whole}")).ok();
            (StatusCode::RANGE_NOT_SATISFIABLE, Bytes::new(), range)
        }
        Some(Some((first, last))) => {
            let range = HeaderValue::from_str(&format!("bytes {first}-{last}/{whole}")).ok();
            (
                StatusCode::PARTIAL_CONTENT,
                item.body.slice(first..=last),
                range,
            )
        }
    }
}

/// `None`: not one byte range, so it is ignored. `Some(None)`: cannot be satisfied.
fn parse_range(text: &str, whole: usize) -> Option<Option<(usize, usize)>> {
    let (first, last) = text.strip_prefix("bytes=")?.split_once('-')?;
    if first.is_empty() {
        let suffix: usize = last.parse().ok()?;
        let start = whole.saturating_sub(suffix);
        return Some((suffix > 0 && whole > 0).then(|| (start, whole - 1)));
    }
    let first: usize = first.parse().ok()?;
    let last = if last.is_empty() {
        usize::MAX
    } else {
        last.parse().ok()?
    };
    if last < first {
        return None;
    }
    Some((first < whole).then(|| (first, last.min(whole - 1))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(path: &str, fields: &[(&str, &str)], status: u16, length: usize) -> Response<Body> {
        let content = Content::build();
        let mut request = HeaderMap::new();
        for (name, value) in fields {
            let name: header::HeaderName = name.parse().unwrap();
            request.insert(name, value.parse().unwrap());
        }
        let item = content.find(path).unwrap();
        let (got, body, _) = select(item, &request);
        assert_eq!(
            (got.as_u16(), body.len()),
            (status, length),
            "{path} {fields:?}"
        );
        item_response(item, &request)
    }

    #[test]
    fn ranges_and_conditions_follow_the_standard() {
        let content = Content::build();
        let video = content.find("/video/sea.mp4").unwrap();
        let (whole, etag) = (video.body.len(), video.etag.to_str().unwrap().to_owned());
        let path = "/video/sea.mp4";
        check(path, &[], 200, whole);
        check(path, &[("range", "bytes=0-99")], 206, 100);
        check(path, &[("range", "bytes=-10")], 206, 10);
        check(path, &[("range", &format!("bytes={}-", whole - 1))], 206, 1);
        check(path, &[("range", &format!("bytes={whole}-"))], 416, 0);
        check(path, &[("range", "bytes=-0")], 416, 0);
        check(path, &[("range", "bytes=9-1")], 200, whole);
        check(path, &[("range", "bytes=0-1,3-4")], 200, whole);
        check(path, &[("range", "lines=0-1")], 200, whole);
        check(
            path,
            &[("range", "bytes=0-9"), ("if-range", &etag)],
            206,
            10,
        );
        check(
            path,
            &[("range", "bytes=0-9"), ("if-range", "\"other\"")],
            200,
            whole,
        );
        check(path, &[("if-none-match", &etag)], 304, 0);
        check(path, &[("if-none-match", "*")], 304, 0);
        check(path, &[("if-none-match", "\"x\", \"y\"")], 200, whole);
        check(
            path,
            &[("if-modified-since", super::super::content::LAST_MODIFIED)],
            304,
            0,
        );
        let not_modified = check(path, &[("if-none-match", &etag)], 304, 0);
        assert!(not_modified.headers().contains_key(header::ETAG));
        assert!(!not_modified.headers().contains_key(header::CONTENT_TYPE));
    }
}
