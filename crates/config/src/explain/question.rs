//! The question: a request as somebody would send it, and what the upstream is taken to answer.
//!
//! Turned into the bytes of a head and parsed again by the production parser, so that what the parser
//! refuses is refused here too. What no client can put on the wire (control bytes in a value, a URL
//! without host) is an error of the question.

use corsair_cache::UnixMillis;
use corsair_http1::{
    FieldSection, HeadLimits, KnownField, Parsed, RequestHead, Response, ResponseHead,
    is_field_value, is_token, response_body_length,
};
use corsair_rules::HostPattern;

use crate::failure::UpstreamFailure;
use crate::plan::Plan;
use crate::response::RESPONSE_LIMITS;

/// What is to be explained.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// The method, as it is sent.
    pub method: String,
    /// The whole URL, `http://host[:port]/path?query`; `https` when something before the node ends TLS.
    pub url: String,
    /// Request header lines in order; a name may come several times.
    pub headers: Vec<(String, String)>,
    /// What the upstream is taken to do.
    pub upstream: AssumedUpstream,
    /// The moment of the request.
    pub now: UnixMillis,
}

/// What the upstream is taken to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AssumedUpstream {
    /// It answers so.
    Answers(UpstreamAnswer),
    /// It does not answer, so that the node does.
    Fails(UpstreamFailure),
}

/// What the upstream is taken to answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpstreamAnswer {
    /// Status, 200 to 599.
    pub status: u16,
    /// Header lines in order.
    pub headers: Vec<(String, String)>,
}

/// Why a question cannot be asked; the sentence names the remedy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QuestionError {
    /// The URL.
    #[error("`{0}` is no URL to ask for: {1}")]
    Url(String, &'static str),
    /// A header line.
    #[error("header `{0}`: {1}")]
    Header(String, String),
    /// The method.
    #[error("`{0}` is no method: a method is a word such as GET")]
    Method(String),
    /// The upstream's status.
    #[error("{0} is no status that ends an exchange: write one from 200 to 599")]
    Status(u16),
    /// The head as a whole.
    #[error("the head cannot be sent: {0}")]
    Malformed(String),
}

impl Question {
    /// A GET without headers, answered 200 by the upstream, at the beginning of time.
    #[must_use]
    pub fn get(url: &str) -> Self {
        Self {
            method: "GET".to_owned(),
            url: url.to_owned(),
            headers: Vec::new(),
            upstream: AssumedUpstream::Answers(UpstreamAnswer {
                status: 200,
                headers: Vec::new(),
            }),
            now: UnixMillis(0),
        }
    }

    /// The values of a request header.
    pub(crate) fn values<'q>(&'q self, name: &'q str) -> impl Iterator<Item = &'q str> {
        self.headers
            .iter()
            .filter(move |(own, _)| own.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// The one `Origin`, when there is exactly one.
    pub(crate) fn origin(&self) -> Option<&str> {
        let mut origins = self.values("Origin");
        let first = origins.next()?;
        origins.next().is_none().then_some(first)
    }

    /// The head with this method in place of the question's own.
    pub(crate) fn request_bytes(&self, method: &str) -> Result<Vec<u8>, QuestionError> {
        if !is_token(method.as_bytes()) {
            return Err(QuestionError::Method(printable(method)));
        }
        let Url { authority, target } = Url::split(&self.url)?;
        let mut out = Vec::new();
        let mut push = |text: &str| out.extend_from_slice(text.as_bytes());
        for text in [method, " ", &target, " HTTP/1.1\r\n"] {
            push(text);
        }
        if self.values("Host").next().is_none() {
            for text in ["Host: ", &authority, "\r\n"] {
                push(text);
            }
        }
        for (name, value) in &self.headers {
            check_header(name, value)?;
            for text in [name, ": ", value, "\r\n"] {
                push(text);
            }
        }
        push("\r\n");
        Ok(out)
    }
}

/// Name and value can stand in one field line.
fn check_header(name: &str, value: &str) -> Result<(), QuestionError> {
    let fault = |why: String| Err(QuestionError::Header(printable(name), why));
    if !is_token(name.as_bytes()) {
        return fault(
            "a header name is letters, digits and `-`, written before a colon".to_owned(),
        );
    }
    if is_field_value(value.as_bytes()) {
        return Ok(());
    }
    match value.chars().find(|c| c.is_control() && *c != '\t') {
        Some(c) => fault(format!(
            "the value holds the control character {}, which no client can send",
            c.escape_default()
        )),
        None => fault("the value begins or ends with a blank; leave it out".to_owned()),
    }
}

/// Text for a message: control characters become escapes, and so does what a reader cannot see or
/// what turns the order of the characters around it (Unicode UTS #39 §3.1, default-ignorable and
/// bidirectional controls): a ticket must show an attacker's host as it is.
pub(crate) fn printable(text: &str) -> String {
    let is_hidden = |c: char| {
        c.is_control()
            || matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{feff}')
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}')
            || matches!(c, '\u{2060}'..='\u{206f}' | '\u{e0000}'..='\u{e007f}')
    };
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if is_hidden(c) {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    out
}

/// A URL as a client takes it apart.
struct Url {
    authority: String,
    target: String,
}

impl Url {
    fn split(text: &str) -> Result<Self, QuestionError> {
        let fault = |why| Err(QuestionError::Url(printable(text), why));
        if text.chars().any(|c| c.is_control() || c == ' ') {
            return fault("it holds a blank or a control character; write it percent-encoded");
        }
        let lower = text.to_ascii_lowercase();
        let behind = ["http://", "https://"]
            .into_iter()
            .find(|scheme| lower.starts_with(scheme));
        let Some(scheme) = behind else {
            return fault("it begins with http:// or https://");
        };
        let rest = &text[scheme.len()..];
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        if authority.is_empty() {
            return fault("it has no host");
        }
        if authority.contains('@') {
            return fault("it has user information; send `Authorization` with -H");
        }
        let path = path.split('#').next().unwrap_or_default();
        let mut target = String::with_capacity(path.len() + 1);
        if !path.starts_with('/') {
            target.push('/');
        }
        for byte in path.bytes() {
            if byte.is_ascii() {
                target.push(char::from(byte));
            } else {
                target.push_str(&format!("%{byte:02X}"));
            }
        }
        Ok(Self {
            authority: ascii_authority(authority),
            target,
        })
    }
}

/// An international host name as clients send it; anything else as it is.
fn ascii_authority(authority: &str) -> String {
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (authority, None),
    };
    match (HostPattern::punycode_of(host), port) {
        (Some(ascii), Some(port)) => format!("{ascii}:{port}"),
        (Some(ascii), None) => ascii,
        (None, _) => authority.to_owned(),
    }
}

/// A request head, parsed within a plan's limits.
pub(crate) struct DryHead;

impl DryHead {
    /// Parses; else the status and the reason that a client would get.
    pub(crate) fn parse(bytes: &[u8], plan: &Plan) -> Result<RequestHead, (u16, &'static str)> {
        let limits = HeadLimits {
            head_bytes_max: plan.limits.head_bytes,
            header_lines_max: plan.limits.header_lines,
        };
        let mut head = RequestHead::new();
        match head.parse(bytes, &limits) {
            Ok(Parsed::Complete) => Ok(head),
            Ok(Parsed::Partial) => Err((400, "malformed request head")),
            Err(error) => Err((error.kind.status(), error.kind.reason())),
        }
    }
}

/// What the upstream is taken to do, as the node takes it.
pub(crate) enum DryUpstream {
    Answered(Box<DryAnswer>),
    Failed(Failed),
}

/// A failure, and what is wrong with an answer that is none.
#[derive(Clone, Copy)]
pub(crate) struct Failed {
    pub(crate) failure: UpstreamFailure,
    pub(crate) why: Option<&'static str>,
}

impl Failed {
    const fn malformed(why: &'static str) -> Self {
        Self {
            failure: UpstreamFailure::Malformed,
            why: Some(why),
        }
    }
}

/// The upstream's assumed answer, parsed.
pub(crate) struct DryAnswer {
    bytes: Vec<u8>,
    head: ResponseHead,
}

impl DryUpstream {
    /// Parses an answer within the limits that hold for an upstream's.
    pub(crate) fn read(assumed: &AssumedUpstream) -> Result<Self, QuestionError> {
        let answer = match assumed {
            AssumedUpstream::Answers(answer) => answer,
            AssumedUpstream::Fails(failure) => {
                let (failure, why) = (*failure, None);
                return Ok(Self::Failed(Failed { failure, why }));
            }
        };
        if !(200..=599).contains(&answer.status) {
            return Err(QuestionError::Status(answer.status));
        }
        let mut bytes = Vec::new();
        corsair_http1::status_line(&mut bytes, answer.status);
        for (name, value) in &answer.headers {
            check_header(name, value)?;
            bytes.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
        }
        bytes.extend_from_slice(b"\r\n");
        let mut head = ResponseHead::new();
        let why = match head.parse(&bytes, &RESPONSE_LIMITS) {
            Ok(Parsed::Complete) => match response_body_length(b"GET", head.view(&bytes)) {
                Ok(_) => return Ok(Self::Answered(Box::new(DryAnswer { bytes, head }))),
                Err(error) => error.reason(),
            },
            Ok(Parsed::Partial) => "the head has no end",
            Err(error) => error.kind.reason(),
        };
        Ok(Self::Failed(Failed::malformed(why)))
    }

    /// What answers a request; a 304 only where the upstream was asked for one.
    pub(crate) fn answer(&self, condition: Condition) -> Result<&DryAnswer, Failed> {
        match (self, condition) {
            (Self::Failed(failed), _) => Err(*failed),
            (Self::Answered(answer), Condition::NotSent) if answer.status() == 304 => {
                Err(Failed::malformed("304 unasked"))
            }
            (Self::Answered(answer), Condition::NotSent | Condition::Sent) => Ok(answer),
        }
    }
}

/// Whether the upstream gets to see a condition (RFC 9110 §13.1).
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Condition {
    Sent,
    NotSent,
}

impl DryAnswer {
    pub(crate) fn view(&self) -> Response<'_> {
        self.head.view(&self.bytes)
    }

    pub(crate) fn status(&self) -> u16 {
        self.view().status()
    }

    pub(crate) fn content_length(&self) -> Option<u64> {
        let value = self.view().field(KnownField::ContentLength)?;
        core::str::from_utf8(value).ok()?.parse().ok()
    }

    /// All field lines as they came.
    pub(crate) fn all_fields(&self) -> FieldSection {
        let mut section = FieldSection::new();
        for line in self.view().fields() {
            section.push(line.name, line.value);
        }
        section
    }
}
