//! One request, dry: what the node would decide, send and store, and what a browser would make of it.
//!
//! Every decision is taken by the function that takes it when serving: head and target checks of
//! `http1`, sites and routes, CORS and header operations of `rules`, key and storability of `cache`, and
//! the response head of [`crate::HeadContext`]. Only the browser's verdict is written independently
//! (`explain/browser.rs`). Nothing is sent, stored or looked up: the cache is taken to be empty. Pure:
//! `now` is part of the question.

mod answer;
pub mod browser;
mod browser_view;
mod cors_view;
mod question;
mod ticket;

use corsair_cache::{
    CacheStatus, FetchTimes, Freshness, HeadParts, Lookup, NoStore, Outcome, Precondition,
    RangeDecision, RequestDirectives, SetCookie, StoredHead, asks_for_less, decide_lookup,
    decide_precondition, decide_storable, part_is_asked_again, select_range, write_key,
};
use corsair_http1::{
    BodyLength, FieldSection, KnownField, Persistence, Request, effective_authority, format_date,
    parse_target, request_persistence,
};
use corsair_rules::{CorsKind, OpEffect, OpTrace, RequestOrigin};

use crate::admission::admit;
use crate::failure::FailureAnswer;
use crate::places::PlanPlaces;
use crate::plan::Plan;
use crate::response::{
    CONDITIONS, HeadContext, ONLY_IF_CACHED, OWN_CONTENT_TYPE, OutFraming, OwnResponse, Received,
    end_to_end_fields, own_fields, said_of_fill, via_pseudonym, write_bare_refusal,
};
use crate::upstream_cors::{Reflections, key_by_origin};

pub use answer::{
    BrowserVerdict, CacheShown, CorsShown, Explanation, FailureShown, NearShown, OperationShown,
    PolicyShown, PreflightShown, RequestShown, ResponseShown, RouteShown, RuleShown, SiteShown,
};
pub use question::{AssumedUpstream, Question, QuestionError, UpstreamAnswer};

use question::{Condition, DryAnswer, DryHead, DryUpstream, Failed};

/// Answers a question about one request.
///
/// `places` says where the parts of the plan are written; without it no places are shown.
///
/// # Errors
/// [`QuestionError`] for what no client could send: the question is wrong, not the request.
///
/// ```
/// use corsair_config::explain::{Question, explain};
/// let text = "[[listener]]\naddress = \"127.0.0.1:1\"\n[[upstream]]\nname = \"u\"\n\
///             servers = [\"http://[::1]:9000\"]\n[[site]]\nhosts = [\"*\"]\nupstream = \"u\"\n\
///             [site.cors]\norigins = [\"https://*.example.com\"]\n";
/// let checked = corsair_config::check("a.toml", text, &corsair_config::NoFiles);
/// let mut question = Question::get("http://cdn.example/a.woff2");
/// question.headers.push(("Origin".into(), "https://example.com".into()));
/// let plan = checked.plan.expect("the text is right");
/// let told = explain(&plan, Some(&checked.places), &question).expect("a good question");
/// assert!(told.to_string().contains("the apex is not covered by `*.`"));
/// ```
pub fn explain(
    plan: &Plan,
    places: Option<&PlanPlaces>,
    question: &Question,
) -> Result<Explanation, QuestionError> {
    let mut told = dry_run(plan, places, question)?;
    if let Some(asked_first) = browser_view::preflight_question(question, &told) {
        let answer = dry_run(plan, places, &asked_first.question)?;
        let shown = browser_view::preflight_shown(asked_first, &answer);
        told.preflight = Some(Box::new(shown));
    }
    told.browser = browser_view::verdicts(question, &told);
    Ok(told)
}

/// What a dry run looks at beside the request.
struct Surroundings<'a> {
    plan: &'a Plan,
    places: Option<&'a PlanPlaces>,
    question: &'a Question,
}

fn dry_run(
    plan: &Plan,
    places: Option<&PlanPlaces>,
    question: &Question,
) -> Result<Explanation, QuestionError> {
    let around = Surroundings {
        plan,
        places,
        question,
    };
    let upstream = DryUpstream::read(&question.upstream)?;
    let bytes = question.request_bytes(&question.method)?;
    let mut told = Explanation::new(question, &bytes);
    let head = match DryHead::parse(&bytes, plan) {
        Ok(head) => head,
        Err((status, reason)) => {
            told.refuse_bare(plan, question, status, reason);
            return Ok(told);
        }
    };
    let request = head.view(&bytes);
    if let Err((status, reason)) = around.route(&mut told, request, &upstream)? {
        told.refuse_bare(plan, question, status, reason);
    }
    Ok(told)
}

/// A request that the upstream may have to answer.
struct Asked<'a> {
    key: &'a [u8],
    lookup: Lookup,
    body: &'a BodyLength,
}

/// A refusal that belongs to no route.
type Refusal = (u16, &'static str);

impl Surroundings<'_> {
    /// The way of a request as `exchange::run` of the server goes it.
    fn route(
        &self,
        told: &mut Explanation,
        request: Request<'_>,
        upstream: &DryUpstream,
    ) -> Result<Result<(), Refusal>, QuestionError> {
        let mut scratch = Vec::new();
        let target = match parse_target(request.method(), request.target(), &mut scratch) {
            Ok(target) => target,
            Err(error) => return Ok(Err((error.status(), error.reason()))),
        };
        let authority = match effective_authority(request, &target) {
            Ok(authority) => authority,
            Err(error) => return Ok(Err((error.status(), error.reason()))),
        };
        let (host, port) = authority.map_or((&b""[..], None), |named| (named.host, named.port));
        let Some(site) = self.plan.sites.find(host) else {
            return Ok(Err((421, "no site has this host")));
        };
        let site_plan = &self.plan.site_plans[site];
        let number = site_plan.find_route(target.path, request);
        let route = &site_plan.route_plans[number];
        told.site = Some(SiteShown {
            hosts: site_plan.hosts.clone(),
            place: self
                .places
                .and_then(|places| places.route(site_plan.route_plans[0].id)),
        });
        let upstream_plan = &self.plan.upstreams[route.upstream];
        told.route = Some(RouteShown {
            number,
            path: self
                .places
                .and_then(|places| places.path(route.id))
                .map(str::to_owned),
            place: self.places.and_then(|places| places.route(route.id)),
            upstream: upstream_plan.name.clone(),
            server: format!("http://{}", upstream_plan.authority),
        });
        let pseudonym = via_pseudonym(&self.plan.node.name);
        let context = HeadContext {
            node_name: &self.plan.node.name,
            pseudonym: &pseudonym,
            route,
            request,
            host,
            path: target.path,
            query: target.query,
            persistence: request_persistence(request),
        };
        let body = match admit(request) {
            Ok(body) => body,
            Err((status, reason)) => {
                self.refuse_on_route(told, context, status, reason);
                return Ok(Ok(()));
            }
        };
        if route.cors.classify(request) == CorsKind::Preflight {
            self.preflight(told, &context, &body.length);
            return Ok(Ok(()));
        }
        let mut key = Vec::new();
        write_key(&mut key, "http", host, port, target.path, target.query);
        let lookup = decide_lookup(request, &body.length);
        let asked = Asked {
            key: &key,
            lookup,
            body: &body.length,
        };
        self.answer(told, &context, &asked, upstream)?;
        Ok(Ok(()))
    }

    fn refuse_on_route(
        &self,
        told: &mut Explanation,
        context: HeadContext<'_>,
        status: u16,
        reason: &'static str,
    ) {
        let context = HeadContext {
            persistence: Persistence::Close,
            ..context
        };
        let said = (Outcome::Local, CacheStatus::new(Outcome::Local));
        self.refuse(told, &context, (status, reason), said);
    }

    fn refuse(
        &self,
        told: &mut Explanation,
        context: &HeadContext<'_>,
        (status, reason): Refusal,
        (outcome, cache_status): (Outcome, CacheStatus<'_>),
    ) {
        told.refused = Some(reason.to_owned());
        let own = OwnResponse {
            status,
            unsatisfied: None,
            length: reason.len() as u64 + 1,
            outcome,
            cache_status,
        };
        self.own(told, context, &own);
    }

    /// A response that the node makes itself, under the route's rules.
    fn own(&self, told: &mut Explanation, context: &HeadContext<'_>, own: &OwnResponse<'_>) {
        let mut section = FieldSection::new();
        own_fields(&mut section);
        let content_type = Some(OWN_CONTENT_TYPE);
        told.operations = self.operations(context, own.status, content_type, own.outcome, section);
        let mut out = Vec::new();
        context.own(own, self.date(), &mut FieldSection::new(), &mut out);
        told.respond(own.status, &out);
        self.tell_cors(told, context, content_type);
    }

    fn preflight(&self, told: &mut Explanation, context: &HeadContext<'_>, length: &BodyLength) {
        let context = without_reading(*context, length);
        let answer = context.route.cors.decide_preflight(context.request);
        let mut out = Vec::new();
        context.preflight(&answer, self.date(), &mut out);
        told.respond(answer.status(), &out);
        told.cors = Some(cors_view::preflight(
            context.route,
            self.places,
            context.request,
            &answer,
        ));
    }

    /// A response of the upstream, received as if nothing were stored.
    fn answer(
        &self,
        told: &mut Explanation,
        context: &HeadContext<'_>,
        asked: &Asked<'_>,
        upstream: &DryUpstream,
    ) -> Result<(), QuestionError> {
        let now = self.question.now;
        let key = asked.key;
        if let Lookup::Pass(reason) = asked.lookup {
            told.cache = Some(CacheShown::passed(key, reason.as_str()));
            self.pass(told, context, (reason.outcome(), asked.body), upstream);
            return Ok(());
        }
        if RequestDirectives::parse(context.request).only_if_cached {
            let outcome = Outcome::OnlyIfCached;
            let said = (outcome, CacheStatus::new(outcome));
            self.refuse(told, context, (504, ONLY_IF_CACHED), said);
            return Ok(());
        }
        if let Lookup::Alone(reason) = asked.lookup
            && asks_for_less(context.request)
        {
            told.cache = Some(CacheShown::passed(key, reason.as_str()));
            self.pass(told, context, (reason.outcome(), asked.body), upstream);
            return Ok(());
        }
        // What may be stored is asked for whole, without the request's own conditions.
        let answer = match upstream.answer(Condition::NotSent) {
            Ok(answer) => answer,
            Err(failed) => {
                let stale_if_error = context.route.cache.stale_if_error;
                told.cache = Some(CacheShown::failed(key, stale_if_error));
                let said = FailureAnswer::new(failed.failure.kind(), Outcome::Miss);
                self.fail(told, context, failed, said);
                return Ok(());
            }
        };
        let status = answer.status();
        // And by GET, also for HEAD.
        let get_bytes = self.question.request_bytes("GET")?;
        let get = match DryHead::parse(&get_bytes, self.plan) {
            Ok(head) => head,
            Err((_, reason)) => return Err(QuestionError::Malformed(reason.to_owned())),
        };
        let as_get = get.view(&get_bytes);
        let times = FetchTimes {
            request_time: now,
            response_time: now,
        };
        let policy = &context.route.cache;
        let mut fields = answer.all_fields();
        // What the node saw of the upstream before is not known here.
        let seen = Reflections::Unseen;
        let vary_origin = key_by_origin(context.route, context.request, seen, &mut fields);
        let storable = decide_storable(as_get, status, &fields, policy, times);
        let freshness = match &storable {
            Ok(storable) => storable.freshness,
            Err(_) => Freshness::passed_on(&fields, times),
        };
        let head = StoredHead::new(HeadParts {
            key,
            status,
            fields,
            freshness,
            vary_origin,
            set_cookie: match &storable {
                Ok(_) => policy.set_cookie,
                Err(_) => SetCookie::Store,
            },
            request: as_get,
        });
        let reason = storable.err();
        told.cache = Some(CacheShown {
            stands_in_s: (reason == Some(NoStore::UpstreamError))
                .then_some(policy.stale_if_error.as_secs()),
            ..CacheShown::of(key, &head, reason, now)
        });
        if reason.is_some() && context.request.has(KnownField::Range) && part_is_asked_again(status)
        {
            // Asked for whole so that it could be stored, and then again for the part alone.
            self.pass(told, context, (Outcome::HitForMiss, asked.body), upstream);
            return Ok(());
        }
        self.receive_stored(told, context, &head, reason, answer);
        Ok(())
    }

    /// Instead of a response of the upstream.
    fn fail(
        &self,
        told: &mut Explanation,
        context: &HeadContext<'_>,
        failed: Failed,
        said: FailureAnswer,
    ) {
        told.request.upstream_failure = Some(FailureShown::of(failed.failure, failed.why));
        let refusal = (said.status, said.text);
        let said = (said.outcome, said.cache_status);
        self.refuse(told, context, refusal, said);
    }

    /// An exchange that the cache has nothing to do with.
    fn pass(
        &self,
        told: &mut Explanation,
        context: &HeadContext<'_>,
        (outcome, body): (Outcome, &BodyLength),
        upstream: &DryUpstream,
    ) {
        let condition = match context.request.any_of(CONDITIONS) {
            true => Condition::Sent,
            false => Condition::NotSent,
        };
        let answer = match upstream.answer(condition) {
            Ok(answer) => answer,
            Err(failed) => {
                let said = FailureAnswer::new(failed.failure.kind(), outcome);
                let context = without_reading(*context, body);
                return self.fail(told, &context, failed, said);
            }
        };
        let status = answer.status();
        let fields = end_to_end_fields(answer.view(), self.question.now.seconds());
        let received = Received {
            status,
            fields: &fields,
            range: None,
            framing: pass_framing(context.request, answer),
            cache_status: CacheStatus {
                fwd_status: Some(status),
                ..CacheStatus::new(outcome)
            },
            age: None,
        };
        self.receive(told, context, &received);
    }

    fn receive_stored(
        &self,
        told: &mut Explanation,
        context: &HeadContext<'_>,
        head: &StoredHead,
        not_stored: Option<NoStore>,
        answer: &DryAnswer,
    ) {
        let now = self.question.now;
        let (cache_status, age) = said_of_fill(Outcome::Miss, head, not_stored, now);
        let is_modified = !context.request.any_of(CONDITIONS)
            || decide_precondition(context.request, head) == Precondition::Proceed;
        if !is_modified {
            let received = Received {
                status: 304,
                fields: head.fields(),
                range: None,
                framing: OutFraming::Absent,
                cache_status,
                age,
            };
            return self.receive(told, context, &received);
        }
        let length = answer.content_length();
        let mut range = None;
        if let Some(length) = length.filter(|_| context.request.has(KnownField::Range)) {
            match select_range(context.request, head, length) {
                RangeDecision::Whole => {}
                RangeDecision::Single { first, last } => range = Some(((first, last), length)),
                RangeDecision::Unsatisfiable => {
                    let own = OwnResponse {
                        status: 416,
                        unsatisfied: Some(length),
                        length: 0,
                        outcome: cache_status.outcome,
                        cache_status,
                    };
                    return self.own(told, context, &own);
                }
            }
        }
        let framing = match (range, length) {
            (Some(((first, last), _)), _) => OutFraming::Length(last - first + 1),
            (None, _) if matches!(head.status(), 204 | 304) => OutFraming::Absent,
            (None, Some(length)) => OutFraming::Length(length),
            (None, None) => OutFraming::of(&BodyLength::Chunked, context.request.version()),
        };
        let received = Received {
            status: if range.is_some() { 206 } else { head.status() },
            fields: head.fields(),
            range,
            framing,
            cache_status,
            age,
        };
        self.receive(told, context, &received);
    }

    fn receive(&self, told: &mut Explanation, context: &HeadContext<'_>, head: &Received<'_>) {
        let content_type = head.fields.get(KnownField::ContentType);
        told.operations = self.operations(
            context,
            head.status,
            content_type,
            head.cache_status.outcome,
            head.fields.clone(),
        );
        let mut out = Vec::new();
        context.received(head, &mut FieldSection::new(), &mut out);
        told.respond(head.status, &out);
        self.tell_cors(told, context, content_type);
    }

    fn tell_cors(
        &self,
        told: &mut Explanation,
        context: &HeadContext<'_>,
        content_type: Option<&[u8]>,
    ) {
        let answer = context.route.cors.decide_actual(
            RequestOrigin::of(context.request),
            context.request.method(),
            content_type,
        );
        told.cors = Some(cors_view::actual(
            context.route,
            self.places,
            context.request,
            content_type,
            &answer,
        ));
    }

    fn operations(
        &self,
        context: &HeadContext<'_>,
        status: u16,
        content_type: Option<&[u8]>,
        outcome: Outcome,
        mut section: FieldSection,
    ) -> Vec<OperationShown> {
        let id = context.route.id;
        let traces = context.trace_operations(status, content_type, outcome, &mut section);
        let shown = |(number, trace): (usize, OpTrace)| {
            let place = self.places.and_then(|places| places.operation(id, number));
            shown_operation(trace, place)
        };
        traces.into_iter().enumerate().map(shown).collect()
    }

    fn date(&self) -> impl FnOnce(&mut Vec<u8>) + use<> {
        let date = format_date(self.question.now.seconds());
        move |out| out.extend_from_slice(&date)
    }
}

/// For a response that goes out before the request's body is read: what is left of it would be taken for
/// the next request.
fn without_reading<'a>(context: HeadContext<'a>, body: &BodyLength) -> HeadContext<'a> {
    match body {
        BodyLength::None | BodyLength::Fixed(0) => context,
        BodyLength::Fixed(_) | BodyLength::Chunked | BodyLength::UntilClose => HeadContext {
            persistence: Persistence::Close,
            ..context
        },
    }
}

/// How a body that only passes is delimited, when nothing but its stated length is known.
fn pass_framing(request: Request<'_>, answer: &DryAnswer) -> OutFraming {
    match answer.content_length() {
        _ if matches!(answer.status(), 204 | 304) => OutFraming::Absent,
        Some(length) => OutFraming::Length(length),
        None => OutFraming::of(&BodyLength::UntilClose, request.version()),
    }
}

fn shown_operation(trace: OpTrace, place: Option<String>) -> OperationShown {
    let (applied, gone, come, why) = match trace.effect {
        OpEffect::Changed { gone, come } => (true, gone, come, None),
        OpEffect::Unchanged => {
            let why = "there is nothing to change".to_owned();
            (false, Vec::new(), Vec::new(), Some(why))
        }
        OpEffect::NotWhen(why) => (false, Vec::new(), Vec::new(), Some(why)),
    };
    OperationShown {
        operation: format!("{} {}", trace.op.as_str(), trace.name),
        place,
        applied,
        gone,
        come,
        why,
    }
}

impl Explanation {
    fn refuse_bare(&mut self, plan: &Plan, question: &Question, status: u16, reason: &str) {
        let mut out = Vec::new();
        let date = format_date(question.now.seconds());
        let date = |out: &mut Vec<u8>| out.extend_from_slice(&date);
        let length = reason.len() as u64 + 1;
        let vary = plan.vary_of_refusals();
        write_bare_refusal(&plan.node.name, status, length, vary, date, &mut out);
        self.refused = Some(reason.to_owned());
        self.respond(status, &out);
    }

    fn respond(&mut self, status: u16, head: &[u8]) {
        self.response = ResponseShown {
            status,
            head: String::from_utf8_lossy(head).into_owned(),
        };
    }
}
