//! What a browser makes of an answer: the Fetch standard's CORS algorithms, written from the standard.
//!
//! WHATWG Fetch §2.2.1 (safelisted methods, normalization), §2.2.2 (safelisted, forbidden and
//! non-wildcard request headers), §3.3 (CORS protocol), §4.10 (CORS check), §4.8 (CORS-preflight fetch),
//! §4.5 (HTTP-redirect fetch), §2.2.6 (safelisted response headers). Reads nothing but the heads: it shares no code with the
//! decision (`corsair_rules`), so that one can hold the other to account. Never decides what is sent.

use core::fmt;

/// Fetch's credentials mode, as far as the checks see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Credentials {
    /// `omit`, or `same-origin` on a cross-origin request: no cookies.
    Without,
    /// `include`
    With,
}

/// A head as a browser sees it: names and values in order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SeenHead {
    /// The status; 0 for a request.
    pub status: u16,
    /// Field lines.
    pub fields: Vec<(String, String)>,
}

impl SeenHead {
    /// Reads a response head as bytes: status line, field lines, empty line.
    #[must_use]
    pub fn read(head: &str) -> Self {
        let mut lines = head.split("\r\n");
        let status_line = lines.next().unwrap_or_default();
        let status = status_line.split(' ').nth(1);
        let fields = lines.filter_map(|line| line.split_once(':'));
        Self {
            status: status.and_then(|code| code.parse().ok()).unwrap_or(0),
            fields: fields
                .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
                .collect(),
        }
    }

    /// Fetch §2.2.2 "get": all values of a name, joined.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<String> {
        let values: Vec<&str> = self
            .fields
            .iter()
            .filter(|(own, _)| own.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
            .collect();
        (!values.is_empty()).then(|| values.join(", "))
    }

    /// Fetch §2.2.2 "extract header list values" for a list of tokens; `Err` when it is none.
    fn tokens(&self, name: &str) -> Result<Option<Vec<String>>, Blocked> {
        let Some(value) = self.get(name) else {
            return Ok(None);
        };
        let members = value.split(',').map(str::trim);
        let tokens: Vec<String> = members
            .filter(|member| !member.is_empty())
            .map(str::to_owned)
            .collect();
        if tokens.iter().all(|token| is_token(token)) {
            Ok(Some(tokens))
        } else {
            Err(Blocked::new(
                "§4.8 step 7.3",
                format!("`{name}: {value}` is no list of names"),
            ))
        }
    }
}

/// The step at which the browser stops, and what it says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blocked {
    /// Section and step of the Fetch standard.
    pub step: &'static str,
    /// In words.
    pub reason: String,
}

impl Blocked {
    fn new(step: &'static str, reason: impl Into<String>) -> Self {
        Self {
            step,
            reason: reason.into(),
        }
    }
}

impl fmt::Display for Blocked {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} (Fetch {})", self.reason, self.step)
    }
}

/// Fetch §4.10, the CORS check: whether a response may be read by `origin`.
///
/// # Errors
/// The step that fails.
pub fn cors_check(
    origin: &str,
    response: &SeenHead,
    credentials: Credentials,
) -> Result<(), Blocked> {
    const NAME: &str = "Access-Control-Allow-Origin";
    let Some(allowed) = response.get(NAME) else {
        return Err(Blocked::new("§4.10 step 2", format!("no {NAME}")));
    };
    if credentials == Credentials::Without && allowed == "*" {
        return Ok(());
    }
    if allowed == "*" {
        let reason = format!("`{NAME}: *` never counts for a request with credentials");
        return Err(Blocked::new("§4.10 step 4", reason));
    }
    if allowed != origin {
        let reason = format!("`{NAME}: {allowed}` is not `{origin}`, byte for byte");
        return Err(Blocked::new("§4.10 step 4", reason));
    }
    if credentials == Credentials::Without {
        return Ok(());
    }
    match response.get("Access-Control-Allow-Credentials") {
        Some(value) if value == "true" => Ok(()),
        Some(value) => Err(Blocked::new(
            "§4.10 step 8",
            format!("`Access-Control-Allow-Credentials: {value}` is not exactly `true`"),
        )),
        None => Err(Blocked::new(
            "§4.10 step 8",
            "no Access-Control-Allow-Credentials: true",
        )),
    }
}

/// Fetch §4.8, CORS-preflight fetch, from step 7 on: whether the actual request goes out.
///
/// `method` is normalized, `headers` are the request's author headers.
///
/// # Errors
/// The step that fails.
pub fn preflight_check(
    origin: &str,
    method: &str,
    headers: &[(String, String)],
    response: &SeenHead,
    credentials: Credentials,
) -> Result<(), Blocked> {
    cors_check(origin, response, credentials)?;
    if !(200..=299).contains(&response.status) {
        let reason = format!("the preflight's status {} is not 2xx", response.status);
        return Err(Blocked::new("§4.8 step 7", reason));
    }
    let star = |names: &[String]| {
        credentials == Credentials::Without && names.iter().any(|name| name == "*")
    };
    let methods = response
        .tokens("Access-Control-Allow-Methods")?
        .unwrap_or_default();
    let names = response
        .tokens("Access-Control-Allow-Headers")?
        .unwrap_or_default();
    if !is_safelisted_method(method) && !methods.iter().any(|own| own == method) && !star(&methods)
    {
        return Err(Blocked::new(
            "§4.8 step 7.5",
            format!("method {method} is not in Access-Control-Allow-Methods"),
        ));
    }
    let listed = |name: &str| names.iter().any(|own| own.eq_ignore_ascii_case(name));
    let not_wildcard = headers
        .iter()
        .find(|(name, _)| is_non_wildcard(name) && !listed(name));
    if let Some((name, _)) = not_wildcard {
        let reason = format!("{name} must be listed by name, `*` never covers it");
        return Err(Blocked::new("§4.8 step 7.6", reason));
    }
    for name in unsafe_names(headers) {
        if !listed(&name) && !star(&names) {
            let reason = format!("header {name} is not in Access-Control-Allow-Headers");
            return Err(Blocked::new("§4.8 step 7.7", reason));
        }
    }
    Ok(())
}

/// Where a browser goes from a response whose CORS check passed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Followed {
    /// The URL, whole.
    pub url: String,
    /// `Origin: null` goes there: the page, this URL and that one have three origins.
    pub opaque: bool,
}

/// Fetch §4.5, HTTP-redirect fetch, for a page of another origin than `url`; `None` for what is no
/// redirect.
///
/// # Errors
/// The step that fails.
pub fn redirect(url: &str, response: &SeenHead) -> Result<Option<Followed>, Blocked> {
    let location = response.get("Location");
    let Some(location) = location.filter(|_| matches!(response.status, 301..=303 | 307 | 308))
    else {
        return Ok(None);
    };
    let target = resolve(url, &location);
    let Some((scheme, authority)) = parts_of(&target) else {
        let reason = "`Location` is no http or https URL";
        return Err(Blocked::new("§4.5 step 6", reason));
    };
    if authority.contains('@') {
        let reason = "`Location` has user information";
        return Err(Blocked::new("§4.5 step 9", reason));
    }
    let opaque = parts_of(url) != Some((scheme, authority));
    Ok(Some(Followed {
        url: target,
        opaque,
    }))
}

/// WHATWG URL §4.4, as far as origins go: dot segments stay as they are.
fn resolve(url: &str, location: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("http", url));
    let path_at = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(path_at);
    let path = path.split(['?', '#']).next().unwrap_or_default();
    let begin = location.split(['/', '?', '#']).next().unwrap_or_default();
    if begin.contains(':') {
        location.to_owned()
    } else if location.starts_with("//") {
        format!("{scheme}:{location}")
    } else if location.starts_with('/') {
        format!("{scheme}://{authority}{location}")
    } else if location.is_empty() || location.starts_with(['?', '#']) {
        format!("{scheme}://{authority}{path}{location}")
    } else {
        let directory = path.rfind('/').map_or("/", |slash| &path[..=slash]);
        format!("{scheme}://{authority}{directory}{location}")
    }
}

/// Scheme and authority in lower case, without a default port; `None` unless http or https.
fn parts_of(url: &str) -> Option<(&'static str, String)> {
    let (scheme, rest) = url.split_once("://")?;
    let (scheme, default_port) = match scheme.to_ascii_lowercase().as_str() {
        "http" => ("http", ":80"),
        "https" => ("https", ":443"),
        _ => return None,
    };
    let authority = rest.split(['/', '?', '#']).next()?.to_ascii_lowercase();
    let bare = authority.strip_suffix(default_port).map(str::to_owned);
    Some((scheme, bare.unwrap_or(authority)))
}

/// What makes a preflight necessary (Fetch §4.1, main fetch); empty when none is sent.
#[must_use]
pub fn preflight_reasons(method: &str, headers: &[(String, String)]) -> Vec<String> {
    let mut reasons = Vec::new();
    if !is_safelisted_method(method) {
        reasons.push(format!("method {method}"));
    }
    let names = unsafe_names(headers);
    reasons.extend(names.into_iter().map(|name| format!("header {name}")));
    reasons
}

/// Fetch §2.2.2, CORS-unsafe request-header names: lower-case, sorted, each once.
#[must_use]
pub fn unsafe_names(headers: &[(String, String)]) -> Vec<String> {
    const SAFELISTED_BYTES_MAX: usize = 1_024;
    let author = headers.iter().filter(|(name, _)| !is_forbidden(name));
    let mut names = Vec::new();
    let mut potentially = Vec::new();
    let mut safelisted_bytes = 0;
    for (name, value) in author {
        let lower = name.to_ascii_lowercase();
        if is_safelisted_header(&lower, value) {
            safelisted_bytes += value.len();
            potentially.push(lower);
        } else {
            names.push(lower);
        }
    }
    if safelisted_bytes > SAFELISTED_BYTES_MAX {
        names.append(&mut potentially);
    }
    names.sort();
    names.dedup();
    names
}

/// Fetch §2.2.1, normalize a method.
#[must_use]
pub fn normalize_method(method: &str) -> String {
    let upper = method.to_ascii_uppercase();
    match upper.as_str() {
        "DELETE" | "GET" | "HEAD" | "OPTIONS" | "POST" | "PUT" => upper,
        _ => method.to_owned(),
    }
}

/// The names of a response's fields that a script may read (Fetch §2.2.6, §3.3.3).
#[must_use]
pub fn readable_fields(response: &SeenHead, credentials: Credentials) -> Vec<String> {
    let exposed = response
        .tokens("Access-Control-Expose-Headers")
        .ok()
        .flatten()
        .unwrap_or_default();
    let all = credentials == Credentials::Without && exposed.iter().any(|name| name == "*");
    let is_readable = |name: &str| {
        !matches_any(name, &["set-cookie", "set-cookie2"])
            && (all
                || matches_any(name, &SAFELISTED_RESPONSE)
                || exposed.iter().any(|own| own.eq_ignore_ascii_case(name)))
    };
    let mut names: Vec<String> = Vec::new();
    for (name, _) in &response.fields {
        if is_readable(name) && !names.iter().any(|own| own.eq_ignore_ascii_case(name)) {
            names.push(name.clone());
        }
    }
    names
}

const SAFELISTED_RESPONSE: [&str; 7] = [
    "cache-control",
    "content-language",
    "content-length",
    "content-type",
    "expires",
    "last-modified",
    "pragma",
];

fn matches_any(name: &str, names: &[&str]) -> bool {
    names.iter().any(|own| own.eq_ignore_ascii_case(name))
}

/// Fetch §2.2.1, forbidden method: a script cannot use it.
#[must_use]
pub fn is_forbidden_method(method: &str) -> bool {
    matches_any(method, &["CONNECT", "TRACE", "TRACK"])
}

fn is_safelisted_method(method: &str) -> bool {
    matches!(method, "GET" | "HEAD" | "POST")
}

fn is_non_wildcard(name: &str) -> bool {
    name.eq_ignore_ascii_case("authorization")
}

/// Fetch §2.2.2, forbidden request-header: the browser writes them, a script cannot.
fn is_forbidden(name: &str) -> bool {
    const NAMES: [&str; 21] = [
        "accept-charset",
        "accept-encoding",
        "access-control-request-headers",
        "access-control-request-method",
        "access-control-request-private-network",
        "connection",
        "content-length",
        "cookie",
        "cookie2",
        "date",
        "dnt",
        "expect",
        "host",
        "keep-alive",
        "origin",
        "referer",
        "set-cookie",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    ];
    let lower = name.to_ascii_lowercase();
    matches_any(&lower, &NAMES)
        || lower == "via"
        || lower.starts_with("proxy-")
        || lower.starts_with("sec-")
        // A client that is no script, such as curl, writes it; browsers put their own.
        || lower == "user-agent"
        // The network layer's own conditions, set below the point at which preflights are decided.
        || matches_any(&lower, &["if-none-match", "if-modified-since"])
}

/// Fetch §2.2.2, CORS-safelisted request-header; `name` is lower-case.
fn is_safelisted_header(name: &str, value: &str) -> bool {
    const VALUE_BYTES_MAX: usize = 128;
    if value.len() > VALUE_BYTES_MAX {
        return false;
    }
    match name {
        "accept" => !value.bytes().any(is_unsafe_byte),
        "accept-language" | "content-language" => value
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b" *,-.;=".contains(&byte)),
        "content-type" => {
            let essence = value.split(';').next().unwrap_or_default().trim();
            !value.bytes().any(is_unsafe_byte)
                && matches_any(
                    essence,
                    &[
                        "application/x-www-form-urlencoded",
                        "multipart/form-data",
                        "text/plain",
                    ],
                )
        }
        "range" => is_simple_range(value),
        _ => false,
    }
}

/// Fetch §2.2.2, CORS-unsafe request-header byte.
fn is_unsafe_byte(byte: u8) -> bool {
    (byte < 0x20 && byte != b'\t') || b"\"():<>?@[\\]{}\x7f".contains(&byte)
}

/// `bytes=first-` or `bytes=first-last`.
fn is_simple_range(value: &str) -> bool {
    let Some((first, last)) = value
        .strip_prefix("bytes=")
        .and_then(|range| range.split_once('-'))
    else {
        return false;
    };
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let number = |text: &str| text.parse::<u64>().unwrap_or(u64::MAX);
    !first.is_empty()
        && digits(first)
        && digits(last)
        && (last.is_empty() || number(first) <= number(last))
}

fn is_token(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}
