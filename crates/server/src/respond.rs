//! Responses of this node: from a stored response by the request's own fields, from one that is being
//! received, or made here. How a head is composed is `corsair_config`'s `HeadContext`; here it is
//! remembered where it repeats, joined with its body, and counted.

use corsair_cache::{
    CacheStatus, Outcome, Precondition, RangeDecision, Stored, decide_precondition, decide_range,
};
use corsair_config::{CONDITIONS, OwnResponse, content_range, own_fields, write_bare_refusal};
pub(crate) use corsair_config::{OutFraming, Received};
use corsair_http1::{FieldSection, KnownField, status_line};
use corsair_rules::CorsOutcome;

use crate::clock::Now;
use crate::cors_watch;
use crate::exchange::{Seen, StoredRef};
use crate::front::{HeadOrigin, HeadSaid, HeadShape};
use crate::plan::LivePlan;
use crate::reply::{Batch, BodyHold, COPY_BYTES_MAX};
use crate::worker::Worker;

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
    let out = batch.arena();
    remembered_head(seen, stored, HeadShape::Whole, status, section, out);
    cors_and_end(seen, stored, stored.status(), status.outcome, out);
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
    let out = batch.arena();
    remembered_head(seen, stored, HeadShape::NotModified, status, section, out);
    cors_and_end(seen, stored, 304, status.outcome, out);
}

/// Appends what differs from client to client, and counts.
fn cors_and_end(
    seen: &Seen<'_>,
    stored: &Stored,
    status: u16,
    outcome: Outcome,
    out: &mut Vec<u8>,
) {
    let cors = seen.head_context().remembered_cors_and_end(
        &mut seen.worker.answers.borrow_mut(),
        seen.live.generation,
        stored.content_type(),
        out,
    );
    count(seen, status, outcome, Some(stored.fields()), cors);
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
    OutFraming::Length(last - first + 1).write(out);
    seen.head_context().via(out);
    let age = stored.freshness().current_age(seen.now.unix);
    tail(seen, 206, stored.fields(), Some(age), &status, out);
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
    let own = OwnResponse {
        status: 416,
        unsatisfied: Some(length),
        length: 0,
        outcome: status.outcome,
        cache_status: status,
    };
    own_head(seen, &own, section, batch.arena());
}

/// The part of a head that depends on nothing but the stored response, the rules and the moment.
fn remembered_head(
    seen: &Seen<'_>,
    stored: &Stored,
    shape: HeadShape,
    status: CacheStatus<'_>,
    section: &mut FieldSection,
    out: &mut Vec<u8>,
) {
    let context = seen.head_context();
    let age = stored.freshness().current_age(seen.now.unix);
    let mut make = |out: &mut Vec<u8>| match shape {
        HeadShape::Whole => {
            let code = stored.status();
            status_line(out, code);
            edited_fields(seen, code, stored.fields(), status.outcome, section, out);
            OutFraming::whole(code, stored.body().len()).write(out);
            context.via(out);
        }
        HeadShape::NotModified => {
            status_line(out, 304);
            section.clone_from(stored.fields());
            context.edited_fields(304, stored.content_type(), status.outcome, section, out);
            context.via(out);
        }
    };
    let say = |out: &mut Vec<u8>| context.age_and_cache_status(Some(age), &status, out);
    let repeats = stored.id() != 0 && status.detail.is_none();
    let variant = seen.route.headers.variant(seen.request);
    let Some(variant) = variant.filter(|_| repeats) else {
        make(out);
        return say(out);
    };
    let origin = HeadOrigin {
        stored: stored.id(),
        rules: (seen.live.generation, seen.route.id),
        variant,
        shape,
    };
    let said = HeadSaid {
        age,
        status: CacheStatus {
            detail: None,
            ..status
        },
    };
    seen.worker.memo.append(origin, said, out, make, say);
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
    let content_type = fields.get(KnownField::ContentType);
    seen.head_context()
        .edited_fields(status, content_type, outcome, section, out);
}

/// Appends what differs from request to request, and the end of the head.
fn tail(
    seen: &Seen<'_>,
    status: u16,
    fields: &FieldSection,
    age: Option<u64>,
    cache_status: &CacheStatus<'_>,
    out: &mut Vec<u8>,
) {
    let content_type = fields.get(KnownField::ContentType);
    let cors = seen
        .head_context()
        .tail(content_type, age, cache_status, out);
    count(seen, status, cache_status.outcome, Some(fields), cors);
}

/// Counts a response whose head is written.
fn count(
    seen: &Seen<'_>,
    status: u16,
    outcome: Outcome,
    fields: Option<&FieldSection>,
    cors: CorsOutcome,
) {
    if seen.route.cors.has_shadow() {
        cors_watch::count_shadow(seen, fields, cors);
    }
    seen.worker.metrics.count_cors(cors);
    seen.worker.metrics.count_response(outcome, status);
}

/// Appends the head of a response that is being received.
pub(crate) fn received(
    seen: &Seen<'_>,
    head: &Received<'_>,
    section: &mut FieldSection,
    out: &mut Vec<u8>,
) {
    let cors = seen.head_context().received(head, section, out);
    let outcome = head.cache_status.outcome;
    count(seen, head.status, outcome, Some(head.fields), cors);
}

/// Answers a preflight (Fetch §3.2.2); nothing reaches the upstream, nothing is stored.
pub(crate) fn preflight(seen: &Seen<'_>, batch: &mut Batch) {
    let answer = seen.route.cors.decide_preflight(seen.request);
    let date = |out: &mut Vec<u8>| seen.worker.clock.append_date(seen.now, out);
    seen.head_context().preflight(&answer, date, batch.arena());
    let outcome = answer.outcome();
    count(seen, answer.status(), Outcome::Preflight, None, outcome);
}

/// Answers with a status of the node's own, under the route's rules: browsers can read it across
/// origins like any other response. The outcome is for metrics and `${cache}`.
pub(crate) fn refusal(
    seen: &Seen<'_>,
    batch: &mut Batch,
    status: u16,
    (outcome, cache_status): (Outcome, CacheStatus<'_>),
    reason: &str,
) {
    let length = match reason.len() as u64 {
        0 => 0,
        length => length + 1,
    };
    let own = OwnResponse {
        status,
        unsatisfied: None,
        length,
        outcome,
        cache_status,
    };
    let out = batch.arena();
    own_head(seen, &own, &mut FieldSection::new(), out);
    if length > 0 && seen.request.method() != b"HEAD" {
        out.extend_from_slice(reason.as_bytes());
        out.push(b'\n');
    }
}

/// The head of a response that the node made, with the rules applied.
fn own_head(seen: &Seen<'_>, own: &OwnResponse<'_>, section: &mut FieldSection, out: &mut Vec<u8>) {
    let date = |out: &mut Vec<u8>| seen.worker.clock.append_date(seen.now, out);
    let cors = seen.head_context().own(own, date, section, out);
    // Operations may have changed what conditions on the content type go by.
    own_fields(section);
    count(seen, own.status, own.outcome, Some(section), cors);
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
    let date = |out: &mut Vec<u8>| worker.clock.append_date(now, out);
    write_bare_refusal(
        &live.plan.node.name,
        status,
        reason.len() as u64 + 1,
        live.vary_of_refusals,
        date,
        out,
    );
    if method != b"HEAD" {
        out.extend_from_slice(reason.as_bytes());
        out.push(b'\n');
    }
    worker.metrics.count_response(Outcome::Local, status);
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
