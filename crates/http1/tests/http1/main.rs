//! Tables, properties and corpus replay for the whole crate, in one binary.

mod chunked;
mod corpus;
mod fields;
mod framing;
mod heads;
mod oracle;
mod properties;
mod target;
mod writing;

use corsair_http1::{HeadLimits, Parsed, Request, RequestHead, Response, ResponseHead};

/// Shows the request in `bytes` to `look`.
fn with_request<T>(bytes: &[u8], look: impl FnOnce(Request<'_>) -> T) -> T {
    let mut head = RequestHead::new();
    let parsed = head.parse(bytes, &HeadLimits::default());
    assert_eq!(parsed, Ok(Parsed::Complete), "{}", bytes.escape_ascii());
    look(head.view(bytes))
}

/// Shows the response in `bytes` to `look`.
fn with_response<T>(bytes: &[u8], look: impl FnOnce(Response<'_>) -> T) -> T {
    let mut head = ResponseHead::new();
    let parsed = head.parse(bytes, &HeadLimits::default());
    assert_eq!(parsed, Ok(Parsed::Complete), "{}", bytes.escape_ascii());
    look(head.view(bytes))
}
