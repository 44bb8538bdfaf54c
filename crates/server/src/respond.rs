//! Response heads: what the upstream or the store has, the rules of the route on top, the fields that
//! are this node's own, and the framing.
//!
//! Order of a head: status line, the stored or received lines after the header operations, one merged
//! `Vary`, `Content-Length` and `Via` (all of this is the same for every request of a pair of stored
//! response and rule set, and is remembered), then `Age`, `Cache-Status`, the CORS block with the echoed
//! origin, `Connection`.

use std::borrow::Cow;

use corsair_cache::{
    CacheStatus, Outcome, Precondition, RangeDecision, Stored, decide_precondition, decide_range,
    write_cache_status,
};
use corsair_http1::{
    BodyLength, FieldRef, FieldSection, KnownField, KnownSet, Persistence, Version, decimal,
    status_line,
};
use corsair_rules::{EditContext, RequestOrigin, merge_vary};

use crate::clock::Now;
use crate::exchange::{Seen, StoredRef};
use crate::front::{HeadOrigin, HeadShape};
use crate::plan::LivePlan;
use crate::reply::{Batch, BodyHold, COPY_BYTES_MAX};
use crate::worker::Worker;

/// Fields that make a request conditional (RFC 9110 §13.1, without `If-Range`).
pub(crate) const CONDITIONS: KnownSet = KnownSet::of(&[
    KnownField::IfMatch,
    KnownField::IfNoneMatch,
    KnownField::IfModifiedSince,
    KnownField::IfUnmodifiedSince,
]);

/// Representation fields that a 304 does not repeat (RFC 9110 §15.4.5).
const NOT_IN_NOT_MODIFIED: KnownSet = KnownSet::of(&[
    KnownField::ContentType,
    KnownField::ContentEncoding,
    KnownField::ContentRange,
]);

/// How the body behind a head is delimited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OutFraming {
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
    /// How a body of this length is sent to a client of this version.
    pub(crate) fn of(length: &BodyLength, version: Version) -> Self {
        match (length, version) {
            (BodyLength::None, _) => Self::Absent,
            (BodyLength::Fixed(length), _) => Self::Length(*length),
            (BodyLength::Chunked | BodyLength::UntilClose, Version::Http11) => Self::Chunked,
            (BodyLength::Chunked | BodyLength::UntilClose, Version::Http10) => Self::Close,
        }
    }
}

/// Answers from a stored response: 200, 206, 304 or 416 by the request's own fields.
pub(crate) fn stored(
    seen: &Seen<'_>,
    held: &StoredRef,
    status: CacheStatus<'_>,
    section: &mut FieldSection,
    batch: &mut Batch,
) {
    let stored = held.stored();
    let status = CacheStatus {
        ttl: Some(stored.freshness().remaining(seen.now.unix)),
        ..status
    };
    if seen.request.any_of(CONDITIONS) {
        match decide_precondition(seen.request, stored.head()) {
            Precondition::Proceed => {}
            Precondition::NotModified => return not_modified(seen, stored, status, section, batch),
        }
    }
    if seen.request.has(KnownField::Range) {
        match decide_range(seen.request, stored) {
            RangeDecision::Whole => {}
            RangeDecision::Single { first, last } => {
                return partial(seen, held, (first, last), status, section, batch);
            }
            RangeDecision::Unsatisfiable => {
                return unsatisfiable(seen, stored.body().len(), status, section, batch);
            }
        }
    }
    whole(seen, held, status, section, batch);
}

fn whole(
    seen: &Seen<'_>,
    held: &StoredRef,
    status: CacheStatus<'_>,
    section: &mut FieldSection,
    batch: &mut Batch,
) {
    let stored = held.stored();
    remembered_head(
        seen,
        stored,
        HeadShape::Whole,
        status.outcome,
        section,
        batch.arena(),
    );
    let age = stored.freshness().current_age(seen.now.unix);
    tail(
        seen,
        stored.status(),
        stored.content_type(),
        Some(age),
        &status,
        batch.arena(),
    );
    if seen.request.method() != b"HEAD" {
        append_body(held, batch);
    }
}

fn append_body(held: &StoredRef, batch: &mut Batch) {
    let body = held.stored().body();
    if body.len() <= COPY_BYTES_MAX as u64 {
        for segment in body.segments() {
            batch.arena().extend_from_slice(segment);
        }
        return;
    }
    for (number, segment) in body.segments().iter().enumerate() {
        batch.push_body(held.hold(number), 0..segment.len());
    }
}

fn not_modified(
    seen: &Seen<'_>,
    stored: &Stored,
    status: CacheStatus<'_>,
    section: &mut FieldSection,
    batch: &mut Batch,
) {
    remembered_head(
        seen,
        stored,
        HeadShape::NotModified,
        status.outcome,
        section,
        batch.arena(),
    );
    let age = stored.freshness().current_age(seen.now.unix);
    tail(
        seen,
        304,
        stored.content_type(),
        Some(age),
        &status,
        batch.arena(),
    );
}

fn partial(
    seen: &Seen<'_>,
    held: &StoredRef,
    (first, last): (u64, u64),
    status: CacheStatus<'_>,
    section: &mut FieldSection,
    batch: &mut Batch,
) {
    let stored = held.stored();
    let out = batch.arena();
    status_line(out, 206);
    edited_fields(seen, 206, stored.fields(), status.outcome, section, out);
    content_range(out, Some((first, last)), stored.body().len());
    framing(out, OutFraming::Length(last - first + 1));
    via(seen, out);
    let age = stored.freshness().current_age(seen.now.unix);
    tail(seen, 206, stored.content_type(), Some(age), &status, out);
    let mut segment_start = 0_u64;
    for (number, segment) in stored.body().segments().iter().enumerate() {
        let segment_end = segment_start + segment.len() as u64;
        let from = first.max(segment_start);
        let to = (last + 1).min(segment_end);
        if from < to {
            let inside = |offset: u64| {
                usize::try_from(offset - segment_start).expect("an offset inside a segment")
            };
            batch.push_body(held.hold(number), inside(from)..inside(to));
        }
        segment_start = segment_end;
    }
}

/// Answers 416 for a representation of `length` bytes.
pub(crate) fn unsatisfiable(
    seen: &Seen<'_>,
    length: u64,
    status: CacheStatus<'_>,
    section: &mut FieldSection,
    batch: &mut Batch,
) {
    let out = batch.arena();
    status_line(out, 416);
    own_fields(seen, 416, section, out);
    content_range(out, None, length);
    framing(out, OutFraming::Length(0));
    tail(seen, 416, None, None, &status, out);
}

/// Appends `Content-Range` (RFC 9110 §14.4).
fn content_range(out: &mut Vec<u8>, range: Option<(u64, u64)>, length: u64) {
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

/// The part of a head that depends on nothing but the stored response and the rules.
fn remembered_head(
    seen: &Seen<'_>,
    stored: &Stored,
    shape: HeadShape,
    outcome: Outcome,
    section: &mut FieldSection,
    out: &mut Vec<u8>,
) {
    let mut make = |out: &mut Vec<u8>| match shape {
        HeadShape::Whole => {
            status_line(out, stored.status());
            edited_fields(
                seen,
                stored.status(),
                stored.fields(),
                outcome,
                section,
                out,
            );
            framing(out, OutFraming::Length(stored.body().len()));
            via(seen, out);
        }
        HeadShape::NotModified => {
            status_line(out, 304);
            section.clone_from(stored.fields());
            section.retain(|line| {
                !line
                    .known
                    .is_some_and(|known| NOT_IN_NOT_MODIFIED.contains(known))
            });
            apply_rules(seen, 304, stored.content_type(), outcome, section, out);
            via(seen, out);
        }
    };
    if !seen.route.headers.is_static() || stored.id() == 0 {
        return make(out);
    }
    let origin = HeadOrigin {
        stored: stored.id(),
        rules: (seen.live.generation, seen.route.id),
        shape,
    };
    seen.worker.memo.append(origin, out, make);
}

/// Appends `fields` after the rules have had their say.
fn edited_fields(
    seen: &Seen<'_>,
    status: u16,
    fields: &FieldSection,
    outcome: Outcome,
    section: &mut FieldSection,
    out: &mut Vec<u8>,
) {
    section.clone_from(fields);
    apply_rules(
        seen,
        status,
        fields.get(KnownField::ContentType),
        outcome,
        section,
        out,
    );
}

/// Applies the route's rules to `section` and appends the result with one merged `Vary`.
fn apply_rules(
    seen: &Seen<'_>,
    status: u16,
    content_type: Option<&[u8]>,
    outcome: Outcome,
    section: &mut FieldSection,
    out: &mut Vec<u8>,
) {
    let vary = seen.route.cors.vary_contribution(content_type);
    let owned = vary.owned_fields();
    let is_owned = |line: FieldRef<'_>| line.known.is_some_and(|known| owned.contains(known));
    if !owned.is_empty() {
        section.retain(|line| !is_owned(line));
    }
    if !seen.route.headers.is_none() {
        // Clients write host names in lower case, and then nothing is copied.
        let host = match seen.host.iter().any(u8::is_ascii_uppercase) {
            true => Cow::Owned(seen.host.to_ascii_lowercase()),
            false => Cow::Borrowed(seen.host),
        };
        seen.route.headers.apply(
            section,
            &EditContext {
                status,
                method: seen.request.method(),
                host: &host,
                path: seen.path,
                query: seen.query,
                cache: outcome.as_str(),
                request: Some(seen.request),
            },
        );
        if owned.contains(KnownField::AccessControlAllowOrigin) {
            // The policy writes it; two lines are none for a browser.
            section.remove(KnownField::AccessControlAllowOrigin);
        }
    }
    let takes_over = owned.contains(KnownField::AccessControlAllowOrigin);
    merge_vary(section.all(KnownField::Vary), takes_over, vary.names(), out);
    section.remove(KnownField::Vary);
    section.render(out);
}

/// Appends the framing fields.
fn framing(out: &mut Vec<u8>, framing: OutFraming) {
    match framing {
        OutFraming::Length(length) => {
            out.extend_from_slice(b"Content-Length: ");
            decimal(out, length);
            out.extend_from_slice(b"\r\n");
        }
        OutFraming::Chunked => out.extend_from_slice(b"Transfer-Encoding: chunked\r\n"),
        OutFraming::Close | OutFraming::Absent => {}
    }
}

fn via(seen: &Seen<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(b"Via: 1.1 ");
    out.extend_from_slice(seen.live.pseudonym.as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// Appends what differs from request to request, and the end of the head.
fn tail(
    seen: &Seen<'_>,
    status: u16,
    content_type: Option<&[u8]>,
    age: Option<u64>,
    cache_status: &CacheStatus<'_>,
    out: &mut Vec<u8>,
) {
    if let Some(age) = age {
        out.extend_from_slice(b"Age: ");
        decimal(out, age);
        out.extend_from_slice(b"\r\n");
    }
    cache_status_line(seen.live, cache_status, out);
    let origin = RequestOrigin::of(seen.request);
    let answer = seen
        .route
        .cors
        .decide_actual(origin, seen.request.method(), content_type);
    answer.write(out, origin);
    seen.worker.metrics.count_cors(answer.outcome());
    connection_line(seen.persistence, seen.request.version(), out);
    out.extend_from_slice(b"\r\n");
    seen.worker
        .metrics
        .count_response(cache_status.outcome, status);
}

fn cache_status_line(live: &LivePlan, status: &CacheStatus<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(b"Cache-Status: ");
    write_cache_status(out, &live.plan.node.name, status);
    out.extend_from_slice(b"\r\n");
}

fn connection_line(persistence: Persistence, version: Version, out: &mut Vec<u8>) {
    match (persistence, version) {
        (Persistence::Close, _) => out.extend_from_slice(b"Connection: close\r\n"),
        (Persistence::KeepAlive, Version::Http10) => {
            out.extend_from_slice(b"Connection: keep-alive\r\n");
        }
        (Persistence::KeepAlive, Version::Http11) => {}
    }
}

/// The head of a response that is being received: what the upstream sent, with the rules applied.
pub(crate) struct Received<'a> {
    /// The upstream's status, or the one that the request's own fields made of it.
    pub(crate) status: u16,
    /// End-to-end fields.
    pub(crate) fields: &'a FieldSection,
    /// For 206: the part and the length of the whole.
    pub(crate) range: Option<((u64, u64), u64)>,
    /// How the body goes out.
    pub(crate) framing: OutFraming,
    /// What to say in `Cache-Status`.
    pub(crate) cache_status: CacheStatus<'a>,
    /// Seconds, when the response comes from a cache before us.
    pub(crate) age: Option<u64>,
}

/// Appends the head of a response that is being received.
pub(crate) fn received(
    seen: &Seen<'_>,
    head: &Received<'_>,
    section: &mut FieldSection,
    out: &mut Vec<u8>,
) {
    status_line(out, head.status);
    let content_type = head.fields.get(KnownField::ContentType);
    section.clone_from(head.fields);
    if head.status == 304 {
        section.retain(|line| {
            !line
                .known
                .is_some_and(|known| NOT_IN_NOT_MODIFIED.contains(known))
        });
    }
    apply_rules(
        seen,
        head.status,
        content_type,
        head.cache_status.outcome,
        section,
        out,
    );
    if let Some((range, length)) = head.range {
        content_range(out, Some(range), length);
    }
    framing(out, head.framing);
    via(seen, out);
    tail(
        seen,
        head.status,
        content_type,
        head.age,
        &head.cache_status,
        out,
    );
}

/// Answers a preflight (Fetch §3.2.2); nothing reaches the upstream, nothing is stored.
pub(crate) fn preflight(seen: &Seen<'_>, batch: &mut Batch) {
    let answer = seen.route.cors.decide_preflight(seen.request);
    let out = batch.arena();
    let status = answer.status();
    status_line(out, status);
    date_line(seen.worker, seen.now, out);
    answer.write(out, seen.request);
    if status != 204 {
        framing(out, OutFraming::Length(0));
    }
    cache_status_line(seen.live, &CacheStatus::new(Outcome::Preflight), out);
    connection_line(seen.persistence, seen.request.version(), out);
    out.extend_from_slice(b"\r\n");
    seen.worker.metrics.count_cors(answer.outcome());
    seen.worker
        .metrics
        .count_response(Outcome::Preflight, status);
}

/// Answers with a status of the node's own, under the route's rules: browsers can read it across
/// origins like any other response.
pub(crate) fn refusal(
    seen: &Seen<'_>,
    batch: &mut Batch,
    status: u16,
    cache_status: CacheStatus<'_>,
    reason: &str,
) {
    let mut section = FieldSection::new();
    let out = batch.arena();
    status_line(out, status);
    own_fields(seen, status, &mut section, out);
    let body_len = if reason.is_empty() {
        0
    } else {
        reason.len() as u64 + 1
    };
    framing(out, OutFraming::Length(body_len));
    tail(seen, status, None, None, &cache_status, out);
    if body_len > 0 && seen.request.method() != b"HEAD" {
        out.extend_from_slice(reason.as_bytes());
        out.push(b'\n');
    }
}

/// `Date` and `Content-Type` of a response that the node made, with the rules applied.
fn own_fields(seen: &Seen<'_>, status: u16, section: &mut FieldSection, out: &mut Vec<u8>) {
    section.clear();
    section.push(b"Content-Type", b"text/plain; charset=utf-8");
    date_line(seen.worker, seen.now, out);
    apply_rules(seen, status, None, Outcome::Local, section, out);
}

/// Answers a request that belongs to no route, and says that the connection ends. `method` is empty
/// where the head could not be read.
pub(crate) fn bare_refusal(
    worker: &Worker,
    live: &LivePlan,
    now: Now,
    status: u16,
    reason: &str,
    method: &[u8],
    out: &mut Vec<u8>,
) {
    status_line(out, status);
    date_line(worker, now, out);
    out.extend_from_slice(b"Content-Type: text/plain; charset=utf-8\r\n");
    framing(out, OutFraming::Length(reason.len() as u64 + 1));
    cache_status_line(live, &CacheStatus::new(Outcome::Local), out);
    out.extend_from_slice(b"Connection: close\r\n\r\n");
    if method != b"HEAD" {
        out.extend_from_slice(reason.as_bytes());
        out.push(b'\n');
    }
    worker.metrics.count_response(Outcome::Local, status);
}

fn date_line(worker: &Worker, now: Now, out: &mut Vec<u8>) {
    out.extend_from_slice(b"Date: ");
    worker.clock.append_date(now, out);
    out.extend_from_slice(b"\r\n");
}

/// Body bytes that are being received go out by reference when they are large.
pub(crate) fn append_received(bytes: bytes::Bytes, batch: &mut Batch) {
    if bytes.len() <= COPY_BYTES_MAX {
        batch.arena().extend_from_slice(&bytes);
    } else {
        let length = bytes.len();
        batch.push_body(BodyHold::Bytes(bytes), 0..length);
    }
}
