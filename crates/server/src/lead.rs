//! The leader of a fill: asks the upstream once for everybody who waits, publishes what comes, stores
//! what may be stored. A task of its own, so that it outlives the client that caused it.

use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;

use bytes::Bytes;
use corsair_cache::{
    FailureKind, FetchTimes, FillFailure, FillHead, Found, Freshness, HeadParts, Lead, Mode,
    NoStore, RequestDirectives, Retry as FillRetry, Reuse, SetCookie, Stored, Ticket, VaryOrigin,
    Window, decide_reuse, decide_storable, refresh,
};
use corsair_config::{Reflections, key_by_origin, key_confirmation};
use corsair_http1::{BodyLength, FieldSection, Persistence, Request};

use crate::body::{BodyError, BodyReader, Pace, PaceRule};
use crate::forward::{FillRequest, Forward, Purpose, Verdict};
use crate::upstream::{Response, Retry, Upstream, UpstreamError};
use crate::worker::Worker;

/// How long requests for a URI whose response could not be stored go to the upstream each for itself; the
/// first of them whose response can be stored ends it.
const HIT_FOR_MISS_MS: u64 = 10_000;

/// Why a fill ended early.
enum Ended {
    Failed(FillFailure),
    /// Nobody reads a response that is not stored.
    Abandoned,
}

impl From<&UpstreamError> for FillFailure {
    fn from(error: &UpstreamError) -> Self {
        Self {
            kind: error.failure().kind(),
            retry: FillRetry::Safe,
        }
    }
}

impl From<BodyError> for Ended {
    fn from(error: BodyError) -> Self {
        let kind = match error {
            BodyError::Truncated | BodyError::Socket(_) | BodyError::CalledOff => {
                FailureKind::Broken
            }
            BodyError::Malformed | BodyError::TooLarge => FailureKind::Malformed,
            BodyError::TooSlow => FailureKind::Timeout,
        };
        Self::Failed(FillFailure {
            kind,
            retry: FillRetry::Safe,
        })
    }
}

/// Leads the fill that `forward` began.
pub(crate) async fn run(worker: Rc<Worker>, forward: Rc<Forward>, lead: Lead) {
    let Some(fill) = forward.fill() else { return };
    let leader = Leader {
        worker: &worker,
        forward: &forward,
        fill,
    };
    leader.run(lead).await;
}

/// What a fetch brought, its body yet to come.
struct Fetched {
    response: Response,
    fields: FieldSection,
    /// For which origins it is.
    vary_origin: VaryOrigin,
    times: FetchTimes,
}

struct Leader<'a> {
    worker: &'a Rc<Worker>,
    forward: &'a Rc<Forward>,
    fill: &'a FillRequest,
}

impl Leader<'_> {
    async fn run(&self, mut lead: Lead) {
        let get = self.forward.as_get();
        let request = get.request();
        if let Some(stored) = self.stored_meanwhile(request) {
            return lead.finish(Some(stored));
        }
        let store = &self.worker.shared.store;
        let ticket = store.ticket(self.fill.hash);
        lead.guard(ticket);
        let upstream = Upstream {
            worker: self.worker,
            live: &self.forward.live,
            index: self.forward.route().upstream,
        };
        let fetched = match self.fetch(&upstream, self.validatable()).await {
            Ok(fetched) => fetched,
            Err(error) => {
                upstream.note_failure(&error);
                return lead.fail(FillFailure::from(&error));
            }
        };
        if fetched.response.status() != 304 {
            return self
                .publish(&upstream, lead, ticket, request, fetched)
                .await;
        }
        let stale = self.fill.stale.as_deref().expect("checked just above");
        let policy = &self.forward.route().cache;
        let Fetched {
            fields,
            vary_origin,
            times,
            ..
        } = &fetched;
        match refresh(stale, fields, policy, *vary_origin, request, *times) {
            Ok(refreshed) => {
                let stored = store.insert_fetched(ticket, refreshed, request);
                self.keep_connection(fetched.response);
                self.forward.set_verdict(Verdict::Validated);
                lead.finish(Some(stored));
            }
            // The 304 speaks of another representation than the one that is stored: ask for all of it.
            Err(_refused) => match self.fetch(&upstream, None).await {
                Ok(fetched) => {
                    self.publish(&upstream, lead, ticket, request, fetched)
                        .await;
                }
                Err(error) => {
                    upstream.note_failure(&error);
                    lead.fail(FillFailure::from(&error));
                }
            },
        }
    }

    /// The stale response, when there is something to ask the upstream about it by.
    fn validatable(&self) -> Option<&Stored> {
        let has_validator =
            |stored: &&Stored| stored.etag().is_some() || stored.last_modified().is_some();
        self.fill.stale.as_deref().filter(has_validator)
    }

    /// Another fill may have ended between the lookup and the join.
    fn stored_meanwhile(&self, request: Request<'_>) -> Option<std::sync::Arc<Stored>> {
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

    async fn fetch(
        &self,
        upstream: &Upstream<'_>,
        stale: Option<&Stored>,
    ) -> Result<Fetched, UpstreamError> {
        let head = self.forward.upstream_head(Purpose::Fill, stale);
        let request_time = self.worker.clock.read().unix;
        let response = upstream.exchange(b"GET", head, Retry::Once).await?;
        if response.status() == 304 && stale.is_none() {
            return Err(UpstreamError::Malformed("304 unasked"));
        }
        let response_time = self.worker.clock.read().unix;
        let mut fields = response.all_fields();
        let vary_origin = match stale.filter(|_| response.status() == 304) {
            Some(stale) => self.key_confirmation(stale, &mut fields),
            None => self.key_by_origin(&mut fields),
        };
        Ok(Fetched {
            response,
            fields,
            vary_origin,
            times: FetchTimes {
                request_time,
                response_time,
            },
        })
    }

    /// Where the upstream writes the CORS lines, one origin must not be given those of another.
    fn key_by_origin(&self, fields: &mut FieldSection) -> VaryOrigin {
        let seen = self.observe(fields);
        key_by_origin(self.forward.route(), self.forward.request(), seen, fields)
    }

    fn key_confirmation(&self, stale: &Stored, fields: &mut FieldSection) -> VaryOrigin {
        self.observe(fields);
        let (route, request) = (self.forward.route(), self.forward.request());
        let stored = (stale.vary_origin(), stale.fields());
        key_confirmation(route, request, stored, fields)
    }

    /// What the upstream was seen to do on this route, this response included.
    fn observe(&self, fields: &FieldSection) -> Reflections {
        let live = &self.forward.live;
        live.cors_watch.observe(
            &live.plan,
            (self.forward.site(), self.forward.route_place()),
            self.forward.request(),
            fields,
            |notice| self.worker.shared.tell(notice),
        )
    }

    async fn publish(
        &self,
        upstream: &Upstream<'_>,
        mut lead: Lead,
        ticket: Ticket,
        request: Request<'_>,
        fetched: Fetched,
    ) {
        let Fetched {
            response,
            fields,
            vary_origin,
            times,
        } = fetched;
        let policy = &self.forward.route().cache;
        let store = &self.worker.shared.store;
        let status = response.status();
        let storable = decide_storable(request, status, &fields, policy, times);
        let freshness = match &storable {
            Ok(storable) => storable.freshness,
            Err(_) => Freshness::passed_on(&fields, times),
        };
        let head = FillHead::new(HeadParts {
            key: &self.fill.key,
            status,
            fields,
            freshness,
            vary_origin,
            // What is only passed on is passed on whole.
            set_cookie: if storable.is_ok() {
                policy.set_cookie
            } else {
                SetCookie::Store
            },
            request,
        });
        let body_bytes_max = policy.max_object.min(store.object_weight_max());
        let reserved = storable.and_then(|_| match head.content_length().unwrap_or(0) {
            bytes if bytes > body_bytes_max => Err(NoStore::TooLarge),
            bytes => store
                .reserve(bytes)
                .map_err(|_full| NoStore::BudgetExhausted),
        });
        let mode = match reserved {
            Ok(reservation) => {
                lead.charge(reservation);
                self.forward.set_verdict(Verdict::Stored);
                Mode::Store { body_bytes_max }
            }
            Err(reason) => {
                self.note_not_storable(reason);
                self.forward.set_verdict(Verdict::NotStorable(reason));
                Mode::Relay(reason)
            }
        };
        let head = lead.publish_head(head, mode);
        match self.receive_body(upstream, &mut lead, response).await {
            Ok(()) => {
                let stored = lead.body().map(|body| {
                    let stored = Stored::from_fill(&head, body);
                    store.insert_fetched(ticket, stored, request)
                });
                lead.finish(stored);
            }
            Err(Ended::Failed(failure)) => {
                self.worker.metrics.counters.upstream_failures.increment();
                lead.fail(failure);
            }
            Err(Ended::Abandoned) => drop(lead),
        }
    }

    async fn receive_body(
        &self,
        upstream: &Upstream<'_>,
        lead: &mut Lead,
        mut response: Response,
    ) -> Result<(), Ended> {
        let mut reader = BodyReader::new(response.length);
        let deadline = Rc::clone(&response.connection.deadline);
        let rule = PaceRule::EachWait(upstream.response_timeout_ms());
        let mut pace = Pace::new(&deadline, &self.worker.clock, rule);
        let connection = &mut response.connection;
        while let Some(count) = reader
            .next(&mut connection.receiver, &mut connection.buffer, &mut pace)
            .await?
        {
            self.worker
                .metrics
                .counters
                .upstream_bytes_in
                .add(count as u64);
            let chunk = Bytes::copy_from_slice(&connection.buffer.unread()[..count]);
            connection.buffer.consume(count);
            lead.narrow_window(self.worker.pools.share_bytes() as u64);
            let advice = lead.push(chunk);
            if let Some(reason) = advice.outgrown {
                self.note_not_storable(reason);
            }
            if advice.abandoned || (advice.window_full && self.window_shut(lead).await) {
                return Err(Ended::Abandoned);
            }
        }
        self.keep_connection(response);
        Ok(())
    }

    /// Waits until the slowest reader has caught up; `true` when nobody reads any more.
    async fn window_shut(&self, lead: &mut Lead) -> bool {
        poll_fn(|context| match lead.wait_window(self.worker.number) {
            Window::Open => Poll::Ready(false),
            Window::Abandoned => Poll::Ready(true),
            Window::Full => {
                self.worker.fill_waits.wait(lead.key(), context.waker());
                Poll::Pending
            }
        })
        .await
    }

    fn note_not_storable(&self, reason: NoStore) {
        if reason.leaves_marker() {
            let now = self.worker.clock.read().unix;
            let until = now.plus(HIT_FOR_MISS_MS);
            let store = &self.worker.shared.store;
            store.mark_hit_for_miss(self.fill.marker_key, &self.fill.key, now, until);
        }
    }

    fn keep_connection(&self, response: Response) {
        if response.persistence == Persistence::KeepAlive
            && response.length != BodyLength::UntilClose
        {
            let now_ms = self.worker.clock.mono_ms();
            self.worker.pools.give(response.connection, now_ms);
        }
    }
}
