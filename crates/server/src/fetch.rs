//! Requests that need an upstream, from the side of their clients. What may be stored is fetched once
//! for everybody who waits (see [`lead`]); clients, the leader's own included, read the fill.

use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;

use bytes::Bytes;
use corsair_cache::{
    CacheStatus, FillFailure, FillHead, Found, HeadStep, Joined, NoStore, Outcome, Precondition,
    RangeDecision, ReadStep, Reader, RequestDirectives, Reuse, Stored, decide_precondition,
    decide_reuse, part_is_asked_again, select_range,
};
use corsair_config::{CONDITIONS, FailureAnswer, said_of_fill};
use corsair_http1::{
    BodyLength, CHUNK_END, FieldSection, KnownField, Persistence, write_chunk_head,
};

use crate::connection::{Active, Connection};
use crate::exchange::{Seen, StoredRef};
use crate::forward::{FillRequest, Forward, ForwardKind, Verdict};
use crate::lead;
use crate::pass::{self, ClientGone, ClientSide};
use crate::respond::{self, OutFraming};
use crate::upload::BodyCoding;
use crate::worker::Worker;

/// How often a request joins again when leaders go away, before it fetches alone.
const REJOINS_MAX: usize = 3;

/// Answers a request that needs an upstream.
pub(crate) async fn run(
    connection: &mut Connection,
    active: &mut Active,
    forward: Box<Forward>,
) -> Persistence {
    let forward: Rc<Forward> = Rc::from(forward);
    let fill = match &forward.kind {
        ForwardKind::Pass { outcome, .. } => {
            return pass::run(connection, active, &forward, *outcome).await;
        }
        ForwardKind::Fill(fill) => fill,
    };
    let Active { batch, .. } = &mut *active;
    let mut client = ClientSide {
        worker: &connection.worker,
        sender: &mut connection.socket.sender,
        deadline: &connection.deadline,
        batch,
        section: FieldSection::new(),
        begun: false,
        upload: None,
    };
    let waiter = Waiter {
        worker: &connection.worker,
        forward: &forward,
        fill,
    };
    match waiter.answer(&mut client).await {
        Answered::Sent(persistence) => persistence,
        Answered::FetchAlone(outcome) => pass::run(connection, active, &forward, outcome).await,
    }
}

/// How a request that joined a fill was served.
enum Answered {
    Sent(Persistence),
    /// The fill's response is not for it.
    FetchAlone(Outcome),
}

/// Who a fill's response is for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    /// The client whose request the leader fetches for.
    Own,
    /// A client that joined.
    Follower,
}

/// A request that waits for a fill.
struct Waiter<'a> {
    worker: &'a Rc<Worker>,
    forward: &'a Rc<Forward>,
    fill: &'a FillRequest,
}

impl Waiter<'_> {
    async fn answer(&self, client: &mut ClientSide<'_>) -> Answered {
        let mut fill_key = self.fill.fill_key;
        for _ in 0..=REJOINS_MAX {
            let (mut reader, role) = self.join(fill_key);
            if self.fill.reuse == Reuse::StaleWhileRevalidate
                && let Some(stale) = &self.fill.stale
            {
                return self
                    .send_stored(client, stale, Outcome::HitStale, None)
                    .await;
            }
            let step = self.head(&mut reader).await;
            match step {
                HeadStep::Pending => {}
                HeadStep::Head(head) => {
                    if let Some(variant) = self.other_variant(&head, role) {
                        fill_key = variant;
                        continue;
                    }
                    if self.stands_in(head.status())
                        && let Some(stale) = &self.fill.stale
                    {
                        return self
                            .send_stored(client, stale, Outcome::HitStaleError, None)
                            .await;
                    }
                    return self.stream(client, reader, &head, role).await;
                }
                HeadStep::Stored(stored) => {
                    if let Some(variant) = self.other_variant(stored.head(), role) {
                        fill_key = variant;
                        continue;
                    }
                    let outcome = self.outcome_of_stored(role);
                    return self.send_stored(client, &stored, outcome, Some(role)).await;
                }
                HeadStep::NotStorable(reason) => return self.alone(client, reason).await,
                HeadStep::Failed(failure) => return self.failed(client, failure, role).await,
                HeadStep::Rejoin => {
                    if let Some(stored) = self.stored_meanwhile() {
                        let role = Some(Role::Follower);
                        return self
                            .send_stored(client, &stored, Outcome::Collapsed, role)
                            .await;
                    }
                }
            }
        }
        Answered::FetchAlone(Outcome::HitForMiss)
    }

    fn join(&self, fill_key: corsair_cache::KeyHash) -> (Reader, Role) {
        let now = self.worker.clock.read().unix;
        match self.worker.shared.fills.join(fill_key, now) {
            Joined::Follow(reader) => (reader, Role::Follower),
            Joined::Lead(lead) => {
                let reader = lead.reader();
                let worker = Rc::clone(self.worker);
                let forward = Rc::clone(self.forward);
                self.worker
                    .spawn_contained(lead::run(worker, forward, lead));
                (reader, Role::Own)
            }
        }
    }

    async fn head(&self, reader: &mut Reader) -> HeadStep {
        poll_fn(|context| match reader.poll_head(self.worker.number) {
            HeadStep::Pending => {
                self.worker.fill_waits.wait(reader.key(), context.waker());
                Poll::Pending
            }
            step => Poll::Ready(step),
        })
        .await
    }

    /// The fill to join instead, when this one's response varies and is another request's.
    fn other_variant(
        &self,
        head: &corsair_cache::StoredHead,
        role: Role,
    ) -> Option<corsair_cache::KeyHash> {
        if role == Role::Own {
            return None;
        }
        self.worker
            .shared
            .store
            .variant_key(self.fill.hash, head, self.forward.request())
    }

    /// Whether a stale response is better than this status (RFC 5861 §4).
    fn stands_in(&self, status: u16) -> bool {
        self.fill.reuse == Reuse::StaleIfError && matches!(status, 500 | 502 | 503 | 504)
    }

    fn outcome_of_stored(&self, role: Role) -> Outcome {
        match (role, self.forward.verdict()) {
            (Role::Own, Verdict::Validated) if self.fill.outcome == Outcome::Reloaded => {
                Outcome::Reloaded
            }
            (Role::Own, Verdict::Validated) => Outcome::Revalidated,
            // The body was whole before the client looked.
            (Role::Own, Verdict::Stored | Verdict::NotStorable(_)) => self.fill.outcome,
            (Role::Own, Verdict::Open) | (Role::Follower, _) => Outcome::Collapsed,
        }
    }

    fn outcome_of_streamed(&self, role: Role) -> Outcome {
        match role {
            Role::Own => self.fill.outcome,
            Role::Follower => Outcome::Collapsed,
        }
    }

    fn stored_meanwhile(&self) -> Option<Arc<Stored>> {
        let request = self.forward.request();
        let now = self.worker.clock.read().unix;
        let found = self
            .worker
            .shared
            .store
            .find(self.fill.hash, &self.fill.key, request, now);
        let Found::Hit(stored) = found else {
            return None;
        };
        let directives = RequestDirectives::parse(request);
        let may_be_sent = self.forward.route().may_send(&stored);
        (may_be_sent && decide_reuse(&stored, &directives, now) == Reuse::Fresh).then_some(stored)
    }

    /// The response cannot be shared: the request goes its own way, or a stale response stands in.
    async fn alone(&self, client: &mut ClientSide<'_>, reason: NoStore) -> Answered {
        match &self.fill.stale {
            Some(stale)
                if self.fill.reuse == Reuse::StaleIfError && reason == NoStore::UpstreamError =>
            {
                self.send_stored(client, stale, Outcome::HitStaleError, None)
                    .await
            }
            Some(_) | None => Answered::FetchAlone(Outcome::HitForMiss),
        }
    }

    async fn failed(
        &self,
        client: &mut ClientSide<'_>,
        failure: FillFailure,
        role: Role,
    ) -> Answered {
        if self.fill.reuse == Reuse::StaleIfError
            && let Some(stale) = &self.fill.stale
        {
            return self
                .send_stored(client, stale, Outcome::HitStaleError, None)
                .await;
        }
        let answer = FailureAnswer::new(failure.kind, self.fill.outcome);
        let cache_status = CacheStatus {
            collapsed: role == Role::Follower,
            ..answer.cache_status
        };
        let said = (answer.outcome, cache_status);
        let persistence = self.forward.persistence(self.worker);
        Answered::Sent(
            client
                .refuse(self.forward, answer.status, said, answer.text, persistence)
                .await,
        )
    }

    async fn send_stored(
        &self,
        client: &mut ClientSide<'_>,
        stored: &Arc<Stored>,
        outcome: Outcome,
        role: Option<Role>,
    ) -> Answered {
        let now = self.worker.clock.read();
        let persistence = self.forward.persistence(self.worker);
        let seen = self.forward.seen(self.worker, now, persistence);
        let status = CacheStatus {
            collapsed: outcome == Outcome::Collapsed,
            stored: role == Some(Role::Own) && outcome != Outcome::Collapsed,
            fwd_status: match role {
                Some(Role::Own) if self.forward.verdict() == Verdict::Validated => Some(304),
                Some(Role::Own | Role::Follower) => Some(stored.status()),
                None => None,
            },
            ..CacheStatus::new(outcome)
        };
        let held = StoredRef::Shared(Arc::clone(stored));
        let batch = client
            .batch
            .as_mut()
            .expect("the batch is back after every send");
        respond::stored(&seen, &held, status, &mut client.section, batch);
        Answered::Sent(match client.flush().await {
            Ok(()) => persistence,
            Err(ClientGone) => Persistence::Close,
        })
    }

    /// Sends a response on while it is received.
    async fn stream(
        &self,
        client: &mut ClientSide<'_>,
        reader: Reader,
        head: &FillHead,
        role: Role,
    ) -> Answered {
        let request = self.forward.request();
        let not_storable = match (role, self.forward.verdict()) {
            (Role::Own, Verdict::NotStorable(reason)) => Some(reason),
            (Role::Own | Role::Follower, _) => None,
        };
        if not_storable.is_some()
            && request.has(KnownField::Range)
            && part_is_asked_again(head.status())
        {
            // The whole of it was asked for so that it could be stored; now the part will do.
            return Answered::FetchAlone(Outcome::HitForMiss);
        }
        let part = match self.part(head) {
            Ok(part) => part,
            Err(refusal) => {
                let outcome = self.outcome_of_streamed(role);
                let said = (outcome, not_storable);
                return Answered::Sent(self.refuse_part(client, head, refusal, said).await);
            }
        };
        let framing = match (part, head.content_length()) {
            (Some((first, last)), _) => OutFraming::Length(last - first + 1),
            (None, _) if matches!(head.status(), 204 | 304) => OutFraming::Absent,
            (None, Some(length)) => OutFraming::Length(length),
            (None, None) => OutFraming::of(&BodyLength::Chunked, request.version()),
        };
        let persistence = match framing {
            OutFraming::Close => Persistence::Close,
            OutFraming::Length(_) | OutFraming::Chunked | OutFraming::Absent => {
                self.forward.persistence(self.worker)
            }
        };
        let now = self.worker.clock.read();
        let seen = self.forward.seen(self.worker, now, persistence);
        self.append_head(&seen, client, head, part, framing, role, not_storable);
        if request.method() == b"HEAD" || matches!(head.status(), 204 | 304) {
            return Answered::Sent(after_send(&client.flush().await, persistence));
        }
        let range = part.map_or(0..u64::MAX, |(first, last)| first..last + 1);
        let result = self.stream_body(client, reader, range, framing).await;
        Answered::Sent(after_send(&result, persistence))
    }

    /// The part of the body that the request asks for, or the status that its conditions demand.
    fn part(&self, head: &FillHead) -> Result<Option<(u64, u64)>, PartRefusal> {
        let request = self.forward.request();
        if request.any_of(CONDITIONS) {
            match decide_precondition(request, head) {
                Precondition::Proceed => {}
                Precondition::NotModified => return Err(PartRefusal::NotModified),
            }
        }
        match head.content_length() {
            Some(length) if request.has(KnownField::Range) => {
                match select_range(request, head, length) {
                    RangeDecision::Whole => Ok(None),
                    RangeDecision::Single { first, last } => Ok(Some((first, last))),
                    RangeDecision::Unsatisfiable => Err(PartRefusal::Unsatisfiable(length)),
                }
            }
            Some(_) | None => Ok(None),
        }
    }

    async fn refuse_part(
        &self,
        client: &mut ClientSide<'_>,
        head: &FillHead,
        refusal: PartRefusal,
        (outcome, not_storable): (Outcome, Option<NoStore>),
    ) -> Persistence {
        let persistence = self.forward.persistence(self.worker);
        let now = self.worker.clock.read();
        let seen = self.forward.seen(self.worker, now, persistence);
        let (cache_status, age) = said_of_fill(outcome, head, not_storable, now.unix);
        let batch = client
            .batch
            .as_mut()
            .expect("the batch is back after every send");
        match refusal {
            PartRefusal::NotModified => {
                let received = respond::Received {
                    status: 304,
                    fields: head.fields(),
                    range: None,
                    framing: OutFraming::Absent,
                    cache_status,
                    age,
                };
                respond::received(&seen, &received, &mut client.section, batch.arena());
            }
            PartRefusal::Unsatisfiable(length) => {
                respond::unsatisfiable(&seen, length, cache_status, &mut client.section, batch);
            }
        }
        after_send(&client.flush().await, persistence)
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "everything that a response head depends on"
    )]
    fn append_head(
        &self,
        seen: &Seen<'_>,
        client: &mut ClientSide<'_>,
        head: &FillHead,
        part: Option<(u64, u64)>,
        framing: OutFraming,
        role: Role,
        not_storable: Option<NoStore>,
    ) {
        let outcome = self.outcome_of_streamed(role);
        let (cache_status, age) = said_of_fill(outcome, head, not_storable, seen.now.unix);
        let received = respond::Received {
            status: if part.is_some() { 206 } else { head.status() },
            fields: head.fields(),
            range: part.zip(head.content_length()),
            framing,
            cache_status,
            age,
        };
        let batch = client
            .batch
            .as_mut()
            .expect("the batch is back after every send");
        respond::received(seen, &received, &mut client.section, batch.arena());
    }

    async fn stream_body(
        &self,
        client: &mut ClientSide<'_>,
        mut reader: Reader,
        wanted: std::ops::Range<u64>,
        framing: OutFraming,
    ) -> Result<(), ClientGone> {
        let coding = BodyCoding::of(framing);
        let mut offset = 0_u64;
        loop {
            match reader.poll_next(self.worker.number) {
                ReadStep::Chunk(bytes) => {
                    let start = offset;
                    offset += bytes.len() as u64;
                    let wanted = cut(&bytes, start, &wanted);
                    if !wanted.is_empty() {
                        append(wanted, coding, client);
                    }
                    let gathered = client.batch().len() >= client.gather_bytes();
                    if gathered || client.batch().is_full() {
                        client.flush().await?;
                    }
                }
                ReadStep::Pending if client.batch().is_empty() => {
                    self.readable(&mut reader).await;
                }
                ReadStep::Pending => client.flush().await?,
                ReadStep::End => {
                    coding.append_end(client.batch().arena());
                    return client.flush().await;
                }
                ReadStep::Failed(_failure) => {
                    // The head is out: only a cut connection can tell the client.
                    client.flush().await?;
                    return Err(ClientGone);
                }
            }
            if offset >= wanted.end {
                return client.flush().await;
            }
        }
    }

    /// Waits until the fill has moved.
    async fn readable(&self, reader: &mut Reader) {
        let mut registered = false;
        poll_fn(|context| {
            if std::mem::replace(&mut registered, true) {
                return Poll::Ready(());
            }
            self.worker.fill_waits.wait(reader.key(), context.waker());
            Poll::Pending
        })
        .await;
    }
}

/// A response that its request's own fields turn into another.
enum PartRefusal {
    NotModified,
    Unsatisfiable(u64),
}

fn after_send(result: &Result<(), ClientGone>, persistence: Persistence) -> Persistence {
    match result {
        Ok(()) => persistence,
        Err(ClientGone) => Persistence::Close,
    }
}

/// The part of `bytes`, which begin at offset `start`, that lies in `wanted`.
fn cut(bytes: &Bytes, start: u64, wanted: &std::ops::Range<u64>) -> Bytes {
    let end = start + bytes.len() as u64;
    let from = wanted.start.clamp(start, end) - start;
    let to = wanted.end.clamp(start, end) - start;
    let inside = |offset: u64| usize::try_from(offset).expect("an offset inside a chunk");
    if from >= to {
        Bytes::new()
    } else {
        bytes.slice(inside(from)..inside(to))
    }
}

fn append(bytes: Bytes, coding: BodyCoding, client: &mut ClientSide<'_>) {
    let batch = client.batch();
    match coding {
        BodyCoding::Plain => respond::append_received(bytes, batch),
        BodyCoding::Chunked => {
            write_chunk_head(batch.arena(), bytes.len());
            respond::append_received(bytes, batch);
            batch.arena().extend_from_slice(CHUNK_END);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_cut_out_of_chunks_wherever_they_end() {
        let whole: Vec<u8> = (0..100).collect();
        for (first, end) in [(0, 100), (0, 1), (99, 100), (10, 20), (33, 67)] {
            for chunk_len in [1, 7, 10, 33, 100] {
                let mut offset = 0;
                let mut out = Vec::new();
                for chunk in whole.chunks(chunk_len) {
                    out.extend_from_slice(&cut(
                        &Bytes::copy_from_slice(chunk),
                        offset,
                        &(first..end),
                    ));
                    offset += chunk.len() as u64;
                }
                assert_eq!(
                    out,
                    whole[first as usize..end as usize],
                    "{first}..{end} by {chunk_len}"
                );
            }
        }
    }
}
