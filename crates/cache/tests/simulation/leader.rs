//! A leader of the simulation: fetches as the server would, step by step.

use std::sync::Arc;

use bytes::Bytes;
use corsair_cache::{
    FailureKind, FetchTimes, FillFailure, FillHead, Found, Freshness, HeadParts, Lead, Mode,
    NoStore, RequestDirectives, Retry, Reuse, SetCookie, Stored, Ticket, UnixMillis, VaryOrigin,
    Window, decide_reuse, decide_storable, refresh, write_validators,
};

use crate::message::{Sent, section};
use crate::upstream::{BODY_BYTES_MAX, Kind};
use crate::world::{Shared, Wait, hash_of, key_of};

const FAILURE: FillFailure = FillFailure {
    kind: FailureKind::Broken,
    retry: Retry::Safe,
};

enum Stage {
    Begin,
    AwaitHead,
    Body { rest: Bytes },
    AwaitWindow { rest: Bytes },
    Over,
}

pub(crate) struct Leader {
    pub(crate) wait: Wait,
    worker: usize,
    client: usize,
    resource: usize,
    variant: u64,
    request: Sent,
    stale: Option<Arc<Stored>>,
    lead: Option<Lead>,
    head: Option<Arc<FillHead>>,
    ticket: Option<Ticket>,
    sent: UnixMillis,
    stage: Stage,
}

impl Leader {
    pub(crate) fn new(
        lead: Lead,
        (client, worker): (usize, usize),
        (resource, variant): (usize, u64),
        request: Sent,
        stale: Option<Arc<Stored>>,
    ) -> Self {
        Self {
            wait: Wait::Nothing,
            worker,
            client,
            resource,
            variant,
            request,
            stale,
            lead: Some(lead),
            head: None,
            ticket: None,
            sent: UnixMillis(0),
            stage: Stage::Begin,
        }
    }

    /// Dies unfinished.
    pub(crate) fn die(&mut self, shared: &mut Shared) {
        if self.lead.take().is_some() {
            shared.resources[self.resource].had_trouble = true;
        }
        self.stage = Stage::Over;
        self.wait = Wait::Over;
    }

    pub(crate) fn check(&self) {
        if let Some(lead) = &self.lead {
            lead.check_invariants().unwrap();
        }
    }

    pub(crate) fn step(&mut self, shared: &mut Shared) {
        match std::mem::replace(&mut self.stage, Stage::Over) {
            Stage::Begin => self.begin(shared),
            Stage::AwaitHead => self.receive_head(shared),
            Stage::Body { rest } => self.receive_body(shared, rest),
            Stage::AwaitWindow { rest } => self.await_window(shared, rest),
            Stage::Over => self.wait = Wait::Over,
        }
    }

    fn lead(&mut self) -> &mut Lead {
        self.lead.as_mut().expect("a leader that is not over leads")
    }

    fn end(&mut self, stored: Option<Arc<Stored>>) {
        self.lead
            .take()
            .expect("a leader that is not over leads")
            .finish(stored);
        self.wait = Wait::Over;
    }

    fn begin(&mut self, shared: &mut Shared) {
        // Another fill may have ended between this one's lookup and its join.
        let (hash, key) = (hash_of(self.resource), key_of(self.resource));
        let found = shared
            .store
            .find(hash, key.as_bytes(), self.request.view(), shared.unix());
        if let Found::Hit(stored) = found
            && decide_reuse(&stored, &RequestDirectives::NONE, shared.unix()) == Reuse::Fresh
        {
            return self.end(Some(stored));
        }
        let ticket = shared.store.ticket(hash);
        self.ticket = Some(ticket);
        self.lead().guard(ticket);
        if let Ok(reservation) = shared.store.reserve(0) {
            self.lead().charge(reservation);
        }
        shared.fetches += 1;
        self.sent = shared.unix();
        self.stage = Stage::AwaitHead;
        // Now and then the upstream takes longer than a leader may.
        let slow = !shared.calm && shared.choices.once_in(8);
        self.wait = shared.soon(if slow { 3_000 } else { 200 });
    }

    fn receive_head(&mut self, shared: &mut Shared) {
        let resource = &shared.resources[self.resource];
        if resource.kind == Kind::Flaky && shared.choices.once_in(3) {
            return self.fail(shared);
        }
        let resource = &shared.resources[self.resource];
        let lines = resource.lines();
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        let fields = section(&lines);
        let times = FetchTimes {
            request_time: self.sent,
            response_time: shared.unix(),
        };
        let mut conditions = Vec::new();
        if let Some(stale) = self.stale.take()
            && write_validators(&stale, &mut conditions)
            && conditions == format!("If-None-Match: \"v{}\"\r\n", resource.version()).as_bytes()
        {
            let request = self.request.view();
            let refreshed = refresh(
                &stale,
                &fields,
                &shared.policy,
                stale.vary_origin(),
                request,
                times,
            )
            .unwrap();
            let ticket = self.ticket.expect("taken before the request was sent");
            let stored = shared
                .store
                .insert_fetched(ticket, refreshed, self.request.view());
            shared.outline.refreshed += 1;
            return self.end(Some(stored));
        }
        let request = self.request.view();
        let storable = decide_storable(request, 200, &fields, &shared.policy, times);
        let mode = match storable {
            Ok(_) => Mode::Store {
                body_bytes_max: BODY_BYTES_MAX,
            },
            Err(reason) => Mode::Relay(reason),
        };
        let freshness = storable.map_or(Freshness::stale(times.response_time), |s| s.freshness);
        if let Mode::Relay(reason) = mode {
            self.mark(shared, reason);
        }
        let resource = &shared.resources[self.resource];
        let body = resource.body(resource.version(), self.variant, self.client);
        let head = FillHead::new(HeadParts {
            key: key_of(self.resource).as_bytes(),
            status: 200,
            fields,
            freshness,
            vary_origin: VaryOrigin::Keep,
            set_cookie: SetCookie::Bypass,
            request: self.request.view(),
        });
        self.head = Some(self.lead().publish_head(head, mode));
        self.stage = Stage::Body {
            rest: Bytes::from(body),
        };
        self.wait = shared.soon(50);
    }

    fn receive_body(&mut self, shared: &mut Shared, mut rest: Bytes) {
        if rest.is_empty() {
            return self.complete(shared);
        }
        let is_flaky = shared.resources[self.resource].kind == Kind::Flaky;
        if is_flaky && shared.choices.once_in(30) {
            return self.fail(shared);
        }
        let len = (1 + shared.choices.below(600) as usize).min(rest.len());
        let advice = self.lead().push(rest.split_to(len));
        if let Some(reason) = advice.outgrown {
            shared.outline.outgrown += 1;
            self.mark(shared, reason);
        }
        if advice.abandoned {
            return self.end(None);
        }
        self.wait = shared.soon(20);
        self.stage = if advice.window_full {
            Stage::AwaitWindow { rest }
        } else {
            Stage::Body { rest }
        };
    }

    fn await_window(&mut self, shared: &mut Shared, rest: Bytes) {
        let worker = self.worker;
        match self.lead().wait_window(worker) {
            Window::Open => {
                self.stage = Stage::Body { rest };
                self.wait = shared.soon(20);
            }
            Window::Full => {
                self.wait = Wait::Wake {
                    key: self.lead().key(),
                    worker,
                };
                self.stage = Stage::AwaitWindow { rest };
            }
            Window::Abandoned => self.end(None),
        }
    }

    fn complete(&mut self, shared: &mut Shared) {
        let head = self.head.take().expect("published before the body");
        let ticket = self.ticket.expect("taken before the request was sent");
        let stored = self.lead().body().map(|body| {
            let stored = Stored::from_fill(&head, body);
            shared
                .store
                .insert_fetched(ticket, stored, self.request.view())
        });
        self.end(stored);
    }

    fn fail(&mut self, shared: &mut Shared) {
        shared.resources[self.resource].had_trouble = true;
        self.lead
            .take()
            .expect("a leader that is not over leads")
            .fail(FAILURE);
        self.wait = Wait::Over;
    }

    fn mark(&self, shared: &mut Shared, reason: NoStore) {
        if reason.leaves_marker() {
            let (key, now) = (key_of(self.resource), shared.unix());
            let slot = self.lead.as_ref().expect("still leading").key();
            let until = now.plus(500);
            shared
                .store
                .mark_hit_for_miss(slot, key.as_bytes(), now, until);
        }
    }
}
