//! Heads out: start lines, field lines, numbers.
//!
//! RFC 9112 §3 (request line), §4 (status line), §5 (field lines). Appends to a buffer of the
//! caller, allocates nothing once that has grown. It writes what it is given: names and values were
//! parsed or checked before.

/// Appends `HTTP/1.1 200 OK` with its CRLF. A code without a phrase of ours keeps the space before
/// the empty one, as RFC 9112 §4 asks.
///
/// ```
/// let mut out = Vec::new();
/// corsair_http1::status_line(&mut out, 304);
/// corsair_http1::status_line(&mut out, 599);
/// assert_eq!(out, b"HTTP/1.1 304 Not Modified\r\nHTTP/1.1 599 \r\n");
/// ```
pub fn status_line(out: &mut Vec<u8>, status: u16) {
    out.extend_from_slice(b"HTTP/1.1 ");
    let status = status.min(999);
    out.extend_from_slice(&[
        b'0' + (status / 100) as u8,
        b'0' + (status / 10 % 10) as u8,
        b'0' + (status % 10) as u8,
        b' ',
    ]);
    out.extend_from_slice(reason_phrase(status).as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// Appends `method SP path [?query] SP HTTP/1.1` with its CRLF.
///
/// ```
/// let mut out = Vec::new();
/// corsair_http1::request_line(&mut out, b"GET", b"/a", Some(b"x=1"));
/// assert_eq!(out, b"GET /a?x=1 HTTP/1.1\r\n");
/// ```
pub fn request_line(out: &mut Vec<u8>, method: &[u8], path: &[u8], query: Option<&[u8]>) {
    out.extend_from_slice(method);
    out.push(b' ');
    out.extend_from_slice(path);
    if let Some(query) = query {
        out.push(b'?');
        out.extend_from_slice(query);
    }
    out.extend_from_slice(b" HTTP/1.1\r\n");
}

/// Appends `Name: value` with its CRLF.
#[inline]
pub fn field_line(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

/// Appends the number in decimal.
pub fn decimal(out: &mut Vec<u8>, n: u64) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    let mut rest = n;
    loop {
        at -= 1;
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

macro_rules! reason_phrases {
    ($($code:literal $phrase:literal;)*) => {
        /// The phrase the IANA registry has for a status code; empty for codes it does not have.
        #[must_use]
        pub const fn reason_phrase(status: u16) -> &'static str {
            match status {
                $($code => $phrase,)*
                _ => "",
            }
        }
    };
}

reason_phrases! {
    100 "Continue";
    101 "Switching Protocols";
    102 "Processing";
    103 "Early Hints";
    200 "OK";
    201 "Created";
    202 "Accepted";
    203 "Non-Authoritative Information";
    204 "No Content";
    205 "Reset Content";
    206 "Partial Content";
    207 "Multi-Status";
    208 "Already Reported";
    226 "IM Used";
    300 "Multiple Choices";
    301 "Moved Permanently";
    302 "Found";
    303 "See Other";
    304 "Not Modified";
    305 "Use Proxy";
    307 "Temporary Redirect";
    308 "Permanent Redirect";
    400 "Bad Request";
    401 "Unauthorized";
    402 "Payment Required";
    403 "Forbidden";
    404 "Not Found";
    405 "Method Not Allowed";
    406 "Not Acceptable";
    407 "Proxy Authentication Required";
    408 "Request Timeout";
    409 "Conflict";
    410 "Gone";
    411 "Length Required";
    412 "Precondition Failed";
    413 "Content Too Large";
    414 "URI Too Long";
    415 "Unsupported Media Type";
    416 "Range Not Satisfiable";
    417 "Expectation Failed";
    421 "Misdirected Request";
    422 "Unprocessable Content";
    423 "Locked";
    424 "Failed Dependency";
    425 "Too Early";
    426 "Upgrade Required";
    428 "Precondition Required";
    429 "Too Many Requests";
    431 "Request Header Fields Too Large";
    451 "Unavailable For Legal Reasons";
    500 "Internal Server Error";
    501 "Not Implemented";
    502 "Bad Gateway";
    503 "Service Unavailable";
    504 "Gateway Timeout";
    505 "HTTP Version Not Supported";
    506 "Variant Also Negotiates";
    507 "Insufficient Storage";
    508 "Loop Detected";
    510 "Not Extended";
    511 "Network Authentication Required";
}
