//! A client of the simulation: one request, from lookup to the last byte.

use std::sync::Arc;

use corsair_cache::{
    FetchTimes, Found, HeadStep, Joined, KeyHash, ReadStep, Reader, RequestDirectives, Reuse,
    Stored, StoredHead, Ticket, decide_reuse, decide_storable,
};

use crate::leader::Leader;
use crate::message::{Sent, get, section};
use crate::upstream::version_of;
use crate::world::{Shared, Wait, hash_of, key_of};

enum Stage {
    Begin,
    AwaitHead(Reader),
    Read {
        reader: Reader,
        body: Vec<u8>,
    },
    /// Fetching without anybody else.
    Alone {
        ticket: Ticket,
        sent: u64,
    },
    Over,
}

pub(crate) struct Client {
    pub(crate) number: usize,
    pub(crate) wait: Wait,
    resource: usize,
    variant: u64,
    worker: usize,
    /// The oldest version it may get, known when it asks.
    oldest: Option<u64>,
    leads: bool,
    stage: Stage,
}

impl Client {
    pub(crate) fn new(
        number: usize,
        resource: usize,
        variant: u64,
        worker: usize,
        start: u64,
    ) -> Self {
        Self {
            number,
            wait: Wait::Until(start),
            resource,
            variant,
            worker,
            oldest: None,
            leads: false,
            stage: Stage::Begin,
        }
    }

    fn request(&self) -> Sent {
        get(&[&format!("A: {}", self.variant)])
    }

    /// Goes away.
    pub(crate) fn leave(&mut self) {
        self.stage = Stage::Over;
        self.wait = Wait::Over;
    }

    /// Moves; the leader it begins, if any.
    pub(crate) fn step(&mut self, shared: &mut Shared) -> Option<Leader> {
        match std::mem::replace(&mut self.stage, Stage::Over) {
            Stage::Begin => return self.look(shared),
            Stage::AwaitHead(reader) => return self.await_head(shared, reader),
            Stage::Read { reader, body } => self.read(shared, reader, body),
            Stage::Alone { ticket, sent } => self.fetch_alone(shared, ticket, sent),
            Stage::Over => self.wait = Wait::Over,
        }
        None
    }

    fn look(&mut self, shared: &mut Shared) -> Option<Leader> {
        let (hash, key) = (hash_of(self.resource), key_of(self.resource));
        let request = self.request();
        let oldest = shared.resources[self.resource].oldest_allowed(shared.now);
        self.oldest.get_or_insert(oldest);
        match shared
            .store
            .find(hash, key.as_bytes(), request.view(), shared.unix())
        {
            Found::Hit(stored) => {
                match decide_reuse(&stored, &RequestDirectives::NONE, shared.unix()) {
                    Reuse::Fresh => {
                        shared.outline.hits += 1;
                        self.finish(shared, &stored.body().segments().concat());
                        None
                    }
                    Reuse::Revalidate => {
                        let slot = stored.slot().expect("a stored response has a place");
                        self.join(shared, slot, Some(stored))
                    }
                    other => panic!("{other:?} without windows and directives"),
                }
            }
            Found::Miss { fill_key } => self.join(shared, fill_key, None),
            Found::HitForMiss { .. } => {
                self.begin_alone(shared);
                None
            }
        }
    }

    fn join(
        &mut self,
        shared: &mut Shared,
        key: KeyHash,
        stale: Option<Arc<Stored>>,
    ) -> Option<Leader> {
        self.wait = Wait::Nothing;
        match shared.fills.join(key, shared.unix()) {
            Joined::Follow(reader) => {
                self.stage = Stage::AwaitHead(reader);
                None
            }
            Joined::Lead(lead) => {
                self.leads = true;
                self.stage = Stage::AwaitHead(lead.reader());
                let (client, target) = ((self.number, self.worker), (self.resource, self.variant));
                Some(Leader::new(lead, client, target, self.request(), stale))
            }
        }
    }

    /// The fill to join instead, when the head is another variant's.
    fn other_variant(&self, shared: &Shared, head: &StoredHead) -> Option<KeyHash> {
        shared
            .store
            .variant_key(hash_of(self.resource), head, self.request().view())
    }

    fn await_head(&mut self, shared: &mut Shared, mut reader: Reader) -> Option<Leader> {
        match reader.poll_head(self.worker) {
            HeadStep::Pending => {
                self.wait = Wait::Wake {
                    key: reader.key(),
                    worker: self.worker,
                };
                self.stage = Stage::AwaitHead(reader);
            }
            HeadStep::Head(head) => {
                if let Some(key) = self.other_variant(shared, &head) {
                    return self.join(shared, key, None);
                }
                shared.outline.collapsed += u64::from(!self.leads);
                self.stage = Stage::Read {
                    reader,
                    body: Vec::new(),
                };
                self.wait = shared.soon(30);
            }
            HeadStep::Stored(stored) => {
                if let Some(key) = self.other_variant(shared, &stored) {
                    return self.join(shared, key, None);
                }
                shared.outline.collapsed += u64::from(!self.leads);
                self.finish(shared, &stored.body().segments().concat());
            }
            HeadStep::NotStorable(_) => {
                shared.outline.released += 1;
                self.begin_alone(shared);
            }
            HeadStep::Failed(_) => self.fail(shared),
            HeadStep::Rejoin => {
                shared.outline.rejoined += 1;
                self.leads = false;
                self.stage = Stage::Begin;
                self.wait = Wait::Nothing;
            }
        }
        None
    }

    fn read(&mut self, shared: &mut Shared, mut reader: Reader, mut body: Vec<u8>) {
        match reader.poll_next(self.worker) {
            ReadStep::Chunk(bytes) => {
                assert!(!bytes.is_empty());
                body.extend_from_slice(&bytes);
                assert_eq!(reader.position(), body.len() as u64);
                self.stage = Stage::Read { reader, body };
                // Some readers are slow.
                self.wait = shared.soon(if self.number.is_multiple_of(3) {
                    200
                } else {
                    5
                });
            }
            ReadStep::Pending => {
                self.wait = Wait::Wake {
                    key: reader.key(),
                    worker: self.worker,
                };
                self.stage = Stage::Read { reader, body };
            }
            ReadStep::End => self.finish(shared, &body),
            ReadStep::Failed(_) => self.fail(shared),
        }
    }

    fn begin_alone(&mut self, shared: &mut Shared) {
        shared.fetches += 1;
        let ticket = shared.store.ticket(hash_of(self.resource));
        self.stage = Stage::Alone {
            ticket,
            sent: shared.now,
        };
        self.wait = shared.soon(200);
    }

    fn fetch_alone(&mut self, shared: &mut Shared, ticket: Ticket, sent: u64) {
        let resource = &shared.resources[self.resource];
        let lines = resource.lines();
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        let fields = section(&lines);
        let body = resource.body(resource.version(), self.variant, self.number);
        let mut times = FetchTimes {
            request_time: shared.unix(),
            response_time: shared.unix(),
        };
        times.request_time.0 -= shared.now - sent;
        let request = self.request();
        let storable = decide_storable(request.view(), 200, &fields, &shared.policy, times);
        if let Ok(storable) = storable
            && body.len() as u64 <= shared.policy.max_object
        {
            let head = StoredHead::new(corsair_cache::HeadParts {
                key: key_of(self.resource).as_bytes(),
                status: 200,
                fields,
                freshness: storable.freshness,
                vary_origin: corsair_cache::VaryOrigin::Keep,
                set_cookie: corsair_cache::SetCookie::Bypass,
                request: request.view(),
            });
            let kept = corsair_cache::Body::from_chunks([bytes::Bytes::from(body.clone())]);
            drop(
                shared
                    .store
                    .insert_fetched(ticket, Stored::new(head, kept), request.view()),
            );
        }
        self.finish(shared, body.as_bytes());
    }

    /// The whole body came: was it right?
    fn finish(&mut self, shared: &mut Shared, body: &[u8]) {
        let body = std::str::from_utf8(body).unwrap();
        let resource = &shared.resources[self.resource];
        let version = version_of(body);
        assert_eq!(
            body,
            resource.body(version, self.variant, self.number),
            "client {} got a body that is not the one of its version",
            self.number
        );
        let oldest = self.oldest.expect("known since it asked");
        assert!(
            (oldest..=resource.version()).contains(&version),
            "client {} got version {version} of {:?}, at least {oldest} was due",
            self.number,
            resource.kind,
        );
        shared.outline.finished += 1;
        self.wait = Wait::Over;
    }

    fn fail(&mut self, shared: &mut Shared) {
        let resource = &shared.resources[self.resource];
        assert!(
            resource.had_trouble,
            "client {} failed for no reason",
            self.number
        );
        shared.outline.failed += 1;
        self.wait = Wait::Over;
    }
}
