//! The response head that a plan makes of what the upstream or the store has: the rules of the route
//! on top, the fields that are the node's own, and the framing.
//!
//! Order of a head: status line, the stored or received lines after the header operations, one merged
//! `Vary`, `Content-Length` and `Via`, then `Age`, `Cache-Status`, the CORS block with the echoed
//! origin, `Connection` (RFC 9110 §6.6, §7.6.3, §8.6; RFC 9211; RFC 9112 §6, §9.6). The data plane and
//! `explain` both write their heads here, so that what is explained is what is sent. Appends bytes to
//! a buffer; never sends, counts or remembers anything.

use corsair_cache::{CacheStatus, NoStore, Outcome, StoredHead, UnixMillis, write_cache_status};
use corsair_http1::{
    BodyLength, FieldRef, FieldSection, HEADER_LINES_CAP, HeadLimits, KnownField, KnownSet,
    Nominated, Persistence, Request, Response, Version, decimal, format_date, list_members,
    status_line,
};
use corsair_rules::host_name::HOST_BYTES_MAX;
use corsair_rules::{
    AnswerMemo, CorsOutcome, EditContext, EditedFor, ExistingOrigin, OpTrace, PoliciesId,
    PreflightAnswer, RequestOrigin, merge_vary,
};

use crate::plan::RoutePlan;
use crate::upstream_cors::varies_by_origin;

/// Representation fields that a 304 does not repeat (RFC 9110 §15.4.5).
const NOT_IN_NOT_MODIFIED: KnownSet = KnownSet::of(&[
    KnownField::ContentType,
    KnownField::ContentEncoding,
    KnownField::ContentRange,
]);

/// Fields that make a request conditional (RFC 9110 §13.1, without `If-Range`).
pub const CONDITIONS: KnownSet = KnownSet::of(&[
    KnownField::IfMatch,
    KnownField::IfNoneMatch,
    KnownField::IfModifiedSince,
    KnownField::IfUnmodifiedSince,
]);

/// Bytes and field lines of an upstream's response head; past them the response is malformed.
pub const RESPONSE_LIMITS: HeadLimits = HeadLimits {
    head_bytes_max: 64 * 1024,
    header_lines_max: HEADER_LINES_CAP,
};

/// What is said to a request for which only a stored response would do, when there is none (RFC 9111
/// §5.2.1.7).
pub const ONLY_IF_CACHED: &str = "not stored, and only a stored response was wanted";

/// The media type of a body that the node writes itself.
pub const OWN_CONTENT_TYPE: &[u8] = b"text/plain; charset=utf-8";

/// How the body behind a head is delimited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutFraming {
    /// `Content-Length`.
    Length(u64),
    /// `Transfer-Encoding: chunked`.
    Chunked,
    /// By the end of the connection.
    Close,
    /// There is none, and no length is said (304, 204).
    Absent,
}

impl OutFraming {
    /// How a stored body is sent whole: behind 204 no length is said (RFC 9110 §8.6).
    #[must_use]
    pub const fn whole(status: u16, length: u64) -> Self {
        match status {
            204 => Self::Absent,
            _ => Self::Length(length),
        }
    }

    /// How a body of this length is sent to a client of this version.
    #[must_use]
    pub fn of(length: &BodyLength, version: Version) -> Self {
        match (length, version) {
            (BodyLength::None, _) => Self::Absent,
            (BodyLength::Fixed(length), _) => Self::Length(*length),
            (BodyLength::Chunked | BodyLength::UntilClose, Version::Http11) => Self::Chunked,
            (BodyLength::Chunked | BodyLength::UntilClose, Version::Http10) => Self::Close,
        }
    }

    /// Appends the framing fields.
    pub fn write(self, out: &mut Vec<u8>) {
        match self {
            Self::Length(length) => {
                out.extend_from_slice(b"Content-Length: ");
                decimal(out, length);
                out.extend_from_slice(b"\r\n");
            }
            Self::Chunked => out.extend_from_slice(b"Transfer-Encoding: chunked\r\n"),
            Self::Close | Self::Absent => {}
        }
    }
}

/// What a response head depends on beside the response itself.
#[derive(Clone, Copy, Debug)]
pub struct HeadContext<'a> {
    /// The node's name, for `Cache-Status`.
    pub node_name: &'a str,
    /// The node's name as `Via` has it: [`via_pseudonym`].
    pub pseudonym: &'a str,
    /// The settings that hold.
    pub route: &'a RoutePlan,
    /// The request.
    pub request: Request<'a>,
    /// The request's host as it was sent, without port.
    pub host: &'a [u8],
    /// The request's path in canonical form.
    pub path: &'a [u8],
    /// The request's query, without the `?`.
    pub query: Option<&'a [u8]>,
    /// Whether the connection stays open behind the response.
    pub persistence: Persistence,
}

/// The head of a response that is being received: what the upstream sent.
#[derive(Clone, Copy, Debug)]
pub struct Received<'a> {
    /// The upstream's status, or the one that the request's own fields made of it.
    pub status: u16,
    /// End-to-end fields.
    pub fields: &'a FieldSection,
    /// For 206: the part and the length of the whole.
    pub range: Option<((u64, u64), u64)>,
    /// How the body goes out.
    pub framing: OutFraming,
    /// What to say in `Cache-Status`.
    pub cache_status: CacheStatus<'a>,
    /// Seconds, when the response comes from a cache before us.
    pub age: Option<u64>,
}

impl HeadContext<'_> {
    /// Applies the route's rules to `section` and appends the result with one merged `Vary`.
    pub fn edited_fields(
        &self,
        status: u16,
        content_type: Option<&[u8]>,
        outcome: Outcome,
        section: &mut FieldSection,
        out: &mut Vec<u8>,
    ) {
        let vary = self.route.cors.vary_contribution(content_type);
        let owned = vary.owned_fields();
        drop_owned(owned, section);
        let mut names = vary.names();
        if !self.route.headers.is_none() {
            // The upstream's lines are for one origin whatever operations make of its `Vary`.
            if vary.existing_origin() == ExistingOrigin::Keep && varies_by_origin(section) {
                names = "Origin";
            }
            let edited_for = self.with_edit_context(status, outcome, |context| {
                self.route.headers.apply(section, context)
            });
            if edited_for == EditedFor::ThisOrigin {
                names = "Origin";
            }
            // What the policy writes itself: two lines of these are none, or worse, for a browser.
            if !owned.is_empty() {
                section.retain(|line| !line.known.is_some_and(|known| vary.writes(known)));
            }
        }
        fold_resource_policy(section);
        // Not before: conditions of operations look at the Content-Type that the 200 would have.
        if status == 304 {
            leave_out_of_not_modified(section);
        }
        let stored = section.all(KnownField::Vary);
        merge_vary(stored, vary.existing_origin(), names, out);
        section.remove(KnownField::Vary);
        section.render(out);
    }

    /// What each header operation does to such a response, on `section`, the fields as they came.
    pub fn trace_operations(
        &self,
        status: u16,
        content_type: Option<&[u8]>,
        outcome: Outcome,
        section: &mut FieldSection,
    ) -> Vec<OpTrace> {
        let vary = self.route.cors.vary_contribution(content_type);
        drop_owned(vary.owned_fields(), section);
        self.with_edit_context(status, outcome, |context| {
            self.route.headers.trace(section, context)
        })
    }

    /// What header operations may look at, for a response of this status and outcome.
    pub fn with_edit_context<T>(
        &self,
        status: u16,
        outcome: Outcome,
        use_context: impl FnOnce(&EditContext<'_>) -> T,
    ) -> T {
        let mut room = [0; HOST_BYTES_MAX];
        let host = lower_host(self.host, &mut room);
        use_context(&EditContext {
            status,
            method: self.request.method(),
            host,
            path: self.path,
            query: self.query,
            cache: outcome.as_str(),
            request: Some(self.request),
        })
    }

    /// Appends `Via`.
    pub fn via(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"Via: 1.1 ");
        out.extend_from_slice(self.pseudonym.as_bytes());
        out.extend_from_slice(b"\r\n");
    }

    /// Appends what differs from request to request, and the end of the head; says what CORS decided.
    pub fn tail(
        &self,
        content_type: Option<&[u8]>,
        age: Option<u64>,
        cache_status: &CacheStatus<'_>,
        out: &mut Vec<u8>,
    ) -> CorsOutcome {
        self.age_and_cache_status(age, cache_status, out);
        self.cors_and_end(content_type, out)
    }

    /// Appends what differs from second to second: `Age` and `Cache-Status`.
    pub fn age_and_cache_status(
        &self,
        age: Option<u64>,
        cache_status: &CacheStatus<'_>,
        out: &mut Vec<u8>,
    ) {
        if let Some(age) = age {
            out.extend_from_slice(b"Age: ");
            decimal(out, age);
            out.extend_from_slice(b"\r\n");
        }
        write_cache_status_line(self.node_name, cache_status, out);
    }

    /// Appends what differs from client to client, and the end of the head; says what CORS decided.
    pub fn cors_and_end(&self, content_type: Option<&[u8]>, out: &mut Vec<u8>) -> CorsOutcome {
        let origin = RequestOrigin::of(self.request);
        let answer = self
            .route
            .cors
            .decide_actual(origin, self.request.method(), content_type);
        answer.write(out, origin);
        self.end(out);
        answer.outcome()
    }

    /// The same out of `memo`, where it knows the answer. `generation` is the plan's, from 1.
    pub fn remembered_cors_and_end(
        &self,
        memo: &mut AnswerMemo,
        generation: u64,
        content_type: Option<&[u8]>,
        out: &mut Vec<u8>,
    ) -> CorsOutcome {
        let id = PoliciesId {
            generation,
            route: self.route.id,
        };
        let origin = RequestOrigin::of(self.request);
        let method = self.request.method();
        let outcome = memo.answer(id, &self.route.cors, origin, method, content_type, out);
        self.end(out);
        outcome
    }

    fn end(&self, out: &mut Vec<u8>) {
        match (self.persistence, self.request.version()) {
            (Persistence::Close, _) => out.extend_from_slice(b"Connection: close\r\n"),
            (Persistence::KeepAlive, Version::Http10) => {
                out.extend_from_slice(b"Connection: keep-alive\r\n");
            }
            (Persistence::KeepAlive, Version::Http11) => {}
        }
        out.extend_from_slice(b"\r\n");
    }

    /// Appends the head of a response that is being received, with the rules applied.
    pub fn received(
        &self,
        head: &Received<'_>,
        section: &mut FieldSection,
        out: &mut Vec<u8>,
    ) -> CorsOutcome {
        status_line(out, head.status);
        let content_type = head.fields.get(KnownField::ContentType);
        section.clone_from(head.fields);
        self.edited_fields(
            head.status,
            content_type,
            head.cache_status.outcome,
            section,
            out,
        );
        if let Some((range, length)) = head.range {
            content_range(out, Some(range), length);
        }
        head.framing.write(out);
        self.via(out);
        self.tail(content_type, head.age, &head.cache_status, out)
    }

    /// Appends the head of the answer to a preflight (Fetch §3.2.2). `date` appends the value of `Date`.
    pub fn preflight(
        &self,
        answer: &PreflightAnswer<'_>,
        date: impl FnOnce(&mut Vec<u8>),
        out: &mut Vec<u8>,
    ) {
        status_line(out, answer.status());
        date_line(date, out);
        answer.write(out, self.request);
        if answer.status() != 204 {
            OutFraming::Length(0).write(out);
        }
        write_cache_status_line(self.node_name, &CacheStatus::new(Outcome::Preflight), out);
        self.end(out);
    }

    /// Appends the head of a response that the node makes itself, under the route's rules: browsers can
    /// read it across origins like any other. `length` is that of the body.
    pub fn own(
        &self,
        own: &OwnResponse<'_>,
        date: impl FnOnce(&mut Vec<u8>),
        section: &mut FieldSection,
        out: &mut Vec<u8>,
    ) -> CorsOutcome {
        status_line(out, own.status);
        own_fields(section);
        date_line(date, out);
        let content_type = Some(OWN_CONTENT_TYPE);
        self.edited_fields(own.status, content_type, own.outcome, section, out);
        if let Some(length) = own.unsatisfied {
            content_range(out, None, length);
        }
        OutFraming::Length(own.length).write(out);
        self.tail(content_type, None, &own.cache_status, out)
    }
}

/// Makes `section` the fields of a response of the node's own before any rule has its say.
pub fn own_fields(section: &mut FieldSection) {
    section.clear();
    section.push(b"Content-Type", OWN_CONTENT_TYPE);
}

/// The host in the form that operations compare. Clients write it so, and then nothing is copied.
fn lower_host<'a>(host: &'a [u8], room: &'a mut [u8; HOST_BYTES_MAX]) -> &'a [u8] {
    match room.get_mut(..host.len()) {
        Some(room) if host.iter().any(u8::is_ascii_uppercase) => {
            room.copy_from_slice(host);
            room.make_ascii_lowercase();
            room
        }
        Some(_) | None => host,
    }
}

/// The fields that the policy writes in the upstream's place.
fn drop_owned(owned: KnownSet, section: &mut FieldSection) {
    let is_owned = |line: FieldRef<'_>| line.known.is_some_and(|known| owned.contains(known));
    if !owned.is_empty() {
        section.retain(|line| !is_owned(line));
    }
}

/// The three values of `Cross-Origin-Resource-Policy`, the strictest first.
const RESOURCE_POLICIES: [&[u8]; 3] = [b"same-origin", b"same-site", b"cross-origin"];

/// Leaves the strictest of several values of `Cross-Origin-Resource-Policy`: a browser that reads two
/// reads none, and lets every site embed what one of them guards (Fetch §3.7).
fn fold_resource_policy(section: &mut FieldSection) {
    const FIELD: KnownField = KnownField::CrossOriginResourcePolicy;
    if !section.has(FIELD) || section.all(FIELD).flat_map(list_members).nth(1).is_none() {
        return;
    }
    let is_there = |policy: &&[u8]| {
        let mut members = section.all(FIELD).flat_map(list_members);
        members.any(|member| member == *policy)
    };
    if let Some(strictest) = RESOURCE_POLICIES.into_iter().find(is_there) {
        section.set_first(FIELD, strictest);
    }
}

/// A response that the node makes itself.
#[derive(Clone, Copy, Debug)]
pub struct OwnResponse<'a> {
    /// Its status.
    pub status: u16,
    /// For 416: the length of the whole representation.
    pub unsatisfied: Option<u64>,
    /// Bytes of its body.
    pub length: u64,
    /// What to call it in metrics and in `${cache}`.
    pub outcome: Outcome,
    /// What to say in `Cache-Status`.
    pub cache_status: CacheStatus<'a>,
}

/// Appends the head of an answer that belongs to no route, and says that the connection ends. `vary` is
/// a whole `Vary` line or empty.
pub fn write_bare_refusal(
    node_name: &str,
    status: u16,
    body_len: u64,
    vary: &str,
    date: impl FnOnce(&mut Vec<u8>),
    out: &mut Vec<u8>,
) {
    status_line(out, status);
    date_line(date, out);
    out.extend_from_slice(b"Content-Type: ");
    out.extend_from_slice(OWN_CONTENT_TYPE);
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(vary.as_bytes());
    OutFraming::Length(body_len).write(out);
    write_cache_status_line(node_name, &CacheStatus::new(Outcome::Local), out);
    out.extend_from_slice(b"Connection: close\r\n\r\n");
}

/// The end-to-end field lines (RFC 9110 §7.6.1), with the `Date` that a recipient must add when the
/// upstream sent none (§6.6.1). `Content-Length` is left to the framing.
#[must_use]
pub fn end_to_end_fields(response: Response<'_>, received_at_seconds: u64) -> FieldSection {
    let nominated = Nominated::of_response(response);
    let mut section = FieldSection::new();
    for line in response.fields() {
        let ends_here = line
            .known
            .is_some_and(|known| known.flags().hop_by_hop() || known == KnownField::ContentLength);
        if !ends_here && !nominated.contains(line.name) {
            section.push(line.name, line.value);
        }
    }
    if !section.has(KnownField::Date) {
        section.push(b"Date", &format_date(received_at_seconds));
    }
    section
}

/// What `Cache-Status` and `Age` say of a response that a fill brings: the same whether the body is
/// still on its way or was whole before the client looked, so that no client sees a race.
#[must_use]
pub fn said_of_fill(
    outcome: Outcome,
    head: &StoredHead,
    not_stored: Option<NoStore>,
    now: UnixMillis,
) -> (CacheStatus<'static>, Option<u64>) {
    let is_shared = outcome == Outcome::Collapsed;
    let status = CacheStatus {
        fwd_status: Some(head.status()),
        ttl: not_stored
            .is_none()
            .then(|| head.freshness().remaining(now)),
        stored: !is_shared && not_stored.is_none(),
        collapsed: is_shared,
        detail: not_stored.map(NoStore::as_str),
        ..CacheStatus::new(outcome)
    };
    let age = head.freshness().current_age(now);
    (status, (not_stored.is_none() || age > 0).then_some(age))
}

/// Removes what a 304 does not repeat.
fn leave_out_of_not_modified(section: &mut FieldSection) {
    section.retain(|line| {
        !line
            .known
            .is_some_and(|known| NOT_IN_NOT_MODIFIED.contains(known))
    });
}

/// Appends `Content-Range` (RFC 9110 §14.4).
pub fn content_range(out: &mut Vec<u8>, range: Option<(u64, u64)>, length: u64) {
    out.extend_from_slice(b"Content-Range: bytes ");
    match range {
        Some((first, last)) => {
            decimal(out, first);
            out.push(b'-');
            decimal(out, last);
        }
        None => out.push(b'*'),
    }
    out.push(b'/');
    decimal(out, length);
    out.extend_from_slice(b"\r\n");
}

/// The node's name as `Via` has it: a token (RFC 9110 §7.6.3).
#[must_use]
pub fn via_pseudonym(name: &str) -> String {
    let token: String = name
        .bytes()
        .map(|byte| {
            if corsair_http1::is_token_byte(byte) {
                char::from(byte)
            } else {
                '-'
            }
        })
        .collect();
    if token.is_empty() {
        "corsair".to_owned()
    } else {
        token
    }
}

fn write_cache_status_line(node_name: &str, status: &CacheStatus<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(b"Cache-Status: ");
    write_cache_status(out, node_name, status);
    out.extend_from_slice(b"\r\n");
}

fn date_line(date: impl FnOnce(&mut Vec<u8>), out: &mut Vec<u8>) {
    out.extend_from_slice(b"Date: ");
    date(out);
    out.extend_from_slice(b"\r\n");
}
