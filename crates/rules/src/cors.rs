//! The CORS decision: not CORS, actual, or preflight; what is answered, and what `Vary` it needs.
//!
//! Fetch §3.2 and §4.8 (preflight) and §4.10 (check); spec §3. A preflight is `OPTIONS` with `Origin`
//! and `Access-Control-Request-Method`, and nothing else is one. Several policies of a route: the
//! first whose origin, method and requested headers all pass decides. The value sent is the
//! request's own bytes or `*`, on one line, whatever the response's status. Nothing here allocates,
//! stores anything, or looks at a body. CORS is no access control: a refusal changes header lines.

use crate::cors_compile::compile_policies;
use crate::cors_policy::{Admission, Audience, Policy, Preflight, Standing, is_method};
use crate::lint::PolicyProblem;
use crate::origin_pattern::Dialect;
use crate::origin_set::OriginSet;
use crate::requested_headers::RequestedHeaders;
use corsair_http1::{KnownField, KnownSet, Request};

/// What becomes of the upstream's own CORS fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub enum UpstreamMode {
    /// They are dropped, and `Origin` leaves the stored `Vary`: one body for all origins.
    #[default]
    Override,
    /// They are kept, the node writes none, and preflights go to the upstream.
    Passthrough,
    /// They are kept, and the node's are added: the seeds' "Allow Duplicates: Yes".
    Duplicate,
}

/// Value of `Cross-Origin-Resource-Policy` (Fetch §3.7).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ResourcePolicy {
    /// `same-origin`
    SameOrigin,
    /// `same-site`
    SameSite,
    /// `cross-origin`
    CrossOrigin,
}

impl ResourcePolicy {
    /// The field value.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SameOrigin => "same-origin",
            Self::SameSite => "same-site",
            Self::CrossOrigin => "cross-origin",
        }
    }
}

/// One `[site.cors]` table as plain values; what [`CorsPolicies::compile`] takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CorsPolicySpec {
    /// Patterns as written, those of `origins_file` behind those of `origins`.
    pub origins: Vec<String>,
    /// How `origins` and `request_headers` are read. Default: native.
    pub dialect: Dialect,
    /// `false`: the one configured value is always sent. Default: `true`.
    pub validate: bool,
    /// `Access-Control-Allow-Credentials: true`. Default: `false`.
    pub credentials: bool,
    /// Case-sensitive, or `*` alone. Default: GET, HEAD, POST.
    pub methods: Vec<String>,
    /// Names, `*`, and in dialect `s3` names with one `*`. Default: none.
    pub request_headers: Vec<String>,
    /// `Access-Control-Expose-Headers`. Default: none.
    pub expose: Vec<String>,
    /// `Access-Control-Max-Age` in seconds. Default: not sent, browsers then keep 5 s.
    pub max_age_s: Option<u32>,
    /// Default: override.
    pub upstream: UpstreamMode,
    /// Answer `Access-Control-Request-Private-Network`. Default: `false`.
    pub private_network: bool,
    /// Also `Timing-Allow-Origin` for the same audience. Default: `false`.
    pub timing: bool,
    /// Also `Cross-Origin-Resource-Policy`, on every response. Default: not sent.
    pub resource_policy: Option<ResourcePolicy>,
    /// Evaluate and count, never apply. Default: `false`.
    pub shadow: bool,
    /// 204 or 403. Default: 204.
    pub refused_preflight_status: u16,
    /// `when.content_type`; empty for all responses. Default: empty.
    pub content_types: Vec<String>,
}

impl Default for CorsPolicySpec {
    fn default() -> Self {
        Self {
            origins: Vec::new(),
            dialect: Dialect::Native,
            validate: true,
            credentials: false,
            methods: ["GET", "HEAD", "POST"].map(String::from).to_vec(),
            request_headers: Vec::new(),
            expose: Vec::new(),
            max_age_s: None,
            upstream: UpstreamMode::Override,
            private_network: false,
            timing: false,
            resource_policy: None,
            shadow: false,
            refused_preflight_status: 204,
            content_types: Vec::new(),
        }
    }
}

/// What a request is to CORS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CorsKind {
    /// No `Origin`.
    NotCors,
    /// `Origin`, and the response says who may read it. Also same-origin requests other than GET
    /// and HEAD: the presence of `Origin` does not prove a cross-origin request.
    Actual,
    /// Answered by the node; goes nowhere.
    Preflight,
}

/// The `Origin` lines of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestOrigin<'a> {
    /// None.
    Absent,
    /// One, not validated.
    One(&'a [u8]),
    /// More than one: no browser sends that, and no origin is granted.
    Several,
}

impl<'a> RequestOrigin<'a> {
    /// Reads the request's fields.
    #[inline]
    #[must_use]
    pub fn of(request: Request<'a>) -> Self {
        if request.is_repeated(KnownField::Origin) {
            return Self::Several;
        }
        request
            .field(KnownField::Origin)
            .map_or(Self::Absent, Self::One)
    }

    #[inline]
    fn single(self) -> Option<&'a [u8]> {
        match self {
            Self::One(value) => Some(value),
            Self::Absent | Self::Several => None,
        }
    }
}

/// Why a response got the CORS lines it got; closed, for metrics and logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CorsOutcome {
    /// The route has no live policy, or none for this content type.
    NoPolicy,
    /// No `Origin`, and the policy depends on it.
    NoOrigin,
    /// A constant value was sent.
    Constant,
    /// The request's `Origin` was echoed.
    Granted,
    /// No pattern allows the origin.
    RefusedOrigin,
    /// Several `Origin` lines.
    RefusedSeveral,
    /// The origin is allowed, but not with this method.
    RefusedMethod,
    /// A preflight asked for a header that is not allowed.
    RefusedHeaders,
    /// A preflight's fields are malformed or over their bounds.
    RefusedMalformed,
    /// The upstream decides.
    Passthrough,
}

impl CorsOutcome {
    /// Every outcome, in the order of [`CorsOutcome::as_str`]'s labels in metrics.
    pub const ALL: [Self; 10] = [
        Self::NoPolicy,
        Self::NoOrigin,
        Self::Constant,
        Self::Granted,
        Self::RefusedOrigin,
        Self::RefusedSeveral,
        Self::RefusedMethod,
        Self::RefusedHeaders,
        Self::RefusedMalformed,
        Self::Passthrough,
    ];

    /// Short label.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NoPolicy => "no-policy",
            Self::NoOrigin => "no-origin",
            Self::Constant => "constant",
            Self::Granted => "granted",
            Self::RefusedOrigin => "refused-origin",
            Self::RefusedSeveral => "refused-several",
            Self::RefusedMethod => "refused-method",
            Self::RefusedHeaders => "refused-headers",
            Self::RefusedMalformed => "refused-malformed",
            Self::Passthrough => "passthrough",
        }
    }
}

/// What the shadow policies of a route would have said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ShadowVerdict {
    /// There are none.
    None,
    /// They would grant.
    Grant,
    /// They would refuse.
    Refuse,
}

/// All CORS policies of one route.
///
/// ```
/// use corsair_rules::{CorsPolicies, CorsPolicySpec, RequestOrigin};
/// let spec = CorsPolicySpec { origins: vec!["https://*.example.com".into()], ..Default::default() };
/// let policies = CorsPolicies::compile(vec![spec]).unwrap();
/// let origin = RequestOrigin::One(b"https://app.example.com");
/// let answer = policies.decide_actual(origin, b"GET", None);
/// let mut out = Vec::new();
/// answer.write(&mut out, origin);
/// assert_eq!(out, b"Access-Control-Allow-Origin: https://app.example.com\r\n");
/// assert_eq!(policies.vary_contribution(None).names(), "Origin");
/// ```
#[derive(Debug, Clone, Default)]
pub struct CorsPolicies {
    policies: Vec<Policy>,
    mode: UpstreamMode,
    warnings: Vec<PolicyProblem>,
    has_shadow: bool,
    /// Some live policy writes something.
    answers: bool,
    preflight_vary: bool,
}

impl CorsPolicies {
    /// No policy: transparent to the upstream's own CORS.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// Compiles the policies of one route, in the order in which they are tried.
    ///
    /// # Errors
    /// Every finding, warnings included, when at least one is an error (spec §3.6). Nothing is
    /// applied then. When none is, the warnings are kept: [`CorsPolicies::warnings`].
    #[expect(
        clippy::needless_pass_by_value,
        reason = "specs are built to be compiled; 100,000 patterns are freed here"
    )]
    pub fn compile(specs: Vec<CorsPolicySpec>) -> Result<Self, Vec<PolicyProblem>> {
        let mode = specs.first().map(|spec| spec.upstream).unwrap_or_default();
        let (policies, warnings) = compile_policies(&specs)?;
        let is_live = |policy: &&Policy| policy.standing == Standing::Live;
        Ok(Self {
            has_shadow: policies
                .iter()
                .any(|policy| policy.standing == Standing::Shadow),
            answers: policies
                .iter()
                .any(|policy| policy.standing == Standing::Live),
            preflight_vary: policies
                .iter()
                .filter(is_live)
                .any(Policy::depends_on_origin),
            policies,
            mode,
            warnings,
        })
    }

    /// Whether there is no policy at all.
    #[must_use]
    pub fn is_none(&self) -> bool {
        self.policies.is_empty()
    }

    /// What compiling found that does not refuse the policies.
    #[must_use]
    pub fn warnings(&self) -> &[PolicyProblem] {
        &self.warnings
    }

    /// Takes the warnings out, so that a plan that lives long does not hold them.
    pub fn take_warnings(&mut self) -> Vec<PolicyProblem> {
        core::mem::take(&mut self.warnings)
    }

    /// What becomes of the upstream's CORS fields. Without a live policy: they pass.
    #[must_use]
    pub fn upstream_mode(&self) -> UpstreamMode {
        if self.answers {
            self.mode
        } else {
            UpstreamMode::Passthrough
        }
    }

    /// The origins of one policy, for reports; `None` for a constant one or no such policy.
    #[must_use]
    pub fn origin_set(&self, policy: usize) -> Option<&OriginSet> {
        match &self.policies.get(policy)?.audience {
            Audience::Listed(origins) => Some(origins),
            Audience::Constant => None,
        }
    }

    /// How many policies there are, shadow ones included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.policies.len()
    }

    /// Whether there is no policy at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.policies.is_empty()
    }

    /// Bytes on the heap for the origin tables.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        (0..self.policies.len())
            .filter_map(|policy| self.origin_set(policy))
            .map(OriginSet::heap_bytes)
            .sum()
    }

    /// What this request is. `Preflight` only if a live policy answers; else an `OPTIONS` request is
    /// the upstream's.
    #[inline]
    #[must_use]
    pub fn classify(&self, request: Request<'_>) -> CorsKind {
        if !request.has(KnownField::Origin) {
            return CorsKind::NotCors;
        }
        let is_preflight = self.answers
            && request.method() == b"OPTIONS"
            && request.has(KnownField::AccessControlRequestMethod);
        if is_preflight {
            CorsKind::Preflight
        } else {
            CorsKind::Actual
        }
    }

    /// Decides an actual response. `content_type` is the response's field value, with parameters.
    ///
    /// Call it for every response of the route, also without `Origin`: a constant policy answers
    /// always, and a resource policy is for everyone.
    #[inline]
    #[must_use]
    pub fn decide_actual<'p>(
        &'p self,
        origin: RequestOrigin<'_>,
        method: &[u8],
        content_type: Option<&[u8]>,
    ) -> ActualAnswer<'p> {
        let mut answer = ActualAnswer::nothing();
        let mut passthrough = false;
        for (index, policy) in self.policies.iter().enumerate() {
            let stands = match policy.standing {
                Standing::Live => true,
                Standing::Passthrough => {
                    passthrough = true;
                    true
                }
                Standing::Shadow => false,
            };
            if !stands || !policy.covers(content_type) {
                continue;
            }
            answer.governed_by.get_or_insert(policy);
            let admission = policy.admits(origin.single());
            if admission == Admission::No {
                answer.refuse(refusal_of(origin));
            } else if !policy.methods.allows(method) {
                answer.refuse(CorsOutcome::RefusedMethod);
            } else {
                answer.grant(policy, index, admission);
                break;
            }
        }
        if passthrough {
            answer.outcome = CorsOutcome::Passthrough;
        }
        if self.has_shadow {
            answer.shadow = self.shadow_actual(origin, method, content_type);
        }
        answer
    }

    #[cold]
    fn shadow_actual(
        &self,
        origin: RequestOrigin<'_>,
        method: &[u8],
        content_type: Option<&[u8]>,
    ) -> ShadowVerdict {
        let grants = self.policies.iter().any(|policy| {
            policy.standing == Standing::Shadow
                && policy.covers(content_type)
                && policy.methods.allows(method)
                && policy.admits(origin.single()) != Admission::No
        });
        if grants {
            ShadowVerdict::Grant
        } else {
            ShadowVerdict::Refuse
        }
    }

    /// Decides a preflight. The request's fields are scanned within bounds, never copied.
    #[must_use]
    pub fn decide_preflight<'p>(&'p self, request: Request<'_>) -> PreflightAnswer<'p> {
        let mut answer = PreflightAnswer {
            granted: None,
            rule: None,
            outcome: CorsOutcome::NoPolicy,
            status: self.refused_status(),
            vary: self.preflight_vary,
            shadow: ShadowVerdict::None,
        };
        let Some(asked) = read_preflight(request) else {
            answer.outcome = CorsOutcome::RefusedMalformed;
            return answer;
        };
        let origin = RequestOrigin::of(request);
        for (index, policy) in self.policies.iter().enumerate() {
            if policy.standing != Standing::Live {
                continue;
            }
            let admission = policy.admits(origin.single());
            let outcome = preflight_outcome(policy, admission, origin, &asked);
            answer.outcome = later_of(answer.outcome, outcome);
            if is_grant(outcome) {
                answer.granted = Some((policy, index));
                answer.status = 204;
                answer.rule = rule_of(admission);
                break;
            }
        }
        if self.has_shadow {
            let grants = self.policies.iter().any(|policy| {
                let admission = policy.admits(origin.single());
                policy.standing == Standing::Shadow
                    && is_grant(preflight_outcome(policy, admission, origin, &asked))
            });
            answer.shadow = if grants {
                ShadowVerdict::Grant
            } else {
                ShadowVerdict::Refuse
            };
        }
        answer
    }

    fn refused_status(&self) -> u16 {
        self.policies
            .iter()
            .find(|policy| policy.standing == Standing::Live)
            .map_or(204, |policy| policy.refused_preflight_status)
    }

    /// What a response of this content type needs beside the CORS lines. Depends on nothing of the
    /// request, so that it is the same for match, no match and no `Origin`.
    #[must_use]
    pub fn vary_contribution(&self, content_type: Option<&[u8]>) -> VaryContribution {
        // The upstream's own lines are dropped outside `when`, too: one stored body serves all
        // origins, so a line that an upstream wrote for one of them must not leave at all.
        let dropped = match self.upstream_mode() {
            UpstreamMode::Override => CORS_RESPONSE_FIELDS,
            UpstreamMode::Passthrough | UpstreamMode::Duplicate => KnownSet::EMPTY,
        };
        let mut contribution = VaryContribution {
            origin: false,
            owned: dropped,
        };
        let governing = self
            .policies
            .iter()
            .filter(|policy| policy.standing == Standing::Live && policy.covers(content_type));
        for policy in governing {
            contribution.origin |= policy.depends_on_origin();
            contribution.owned = contribution.owned.union(policy.owned);
            if policy.takes_everything() {
                break;
            }
        }
        contribution
    }
}

/// The upstream's response fields that `override` drops; [`is_cors_response_field`] for all names.
const CORS_RESPONSE_FIELDS: KnownSet = KnownSet::of(&[
    KnownField::AccessControlAllowOrigin,
    KnownField::AccessControlAllowCredentials,
    KnownField::AccessControlAllowMethods,
    KnownField::AccessControlAllowHeaders,
    KnownField::AccessControlExposeHeaders,
    KnownField::AccessControlMaxAge,
    KnownField::AccessControlAllowPrivateNetwork,
]);

/// Whether a field belongs to the CORS protocol's response side: `Access-Control-*`.
#[must_use]
pub fn is_cors_response_field(name: &[u8]) -> bool {
    const PREFIX: &[u8] = b"access-control-";
    name.get(..PREFIX.len())
        .is_some_and(|begin| begin.eq_ignore_ascii_case(PREFIX))
}

fn refusal_of(origin: RequestOrigin<'_>) -> CorsOutcome {
    match origin {
        RequestOrigin::Absent => CorsOutcome::NoOrigin,
        RequestOrigin::One(_) => CorsOutcome::RefusedOrigin,
        RequestOrigin::Several => CorsOutcome::RefusedSeveral,
    }
}

fn rule_of(admission: Admission) -> Option<u32> {
    match admission {
        Admission::By(rule) => Some(rule),
        Admission::Constant | Admission::No => None,
    }
}

fn is_grant(outcome: CorsOutcome) -> bool {
    matches!(outcome, CorsOutcome::Granted | CorsOutcome::Constant)
}

/// A grant, else the refusal of the policy that came furthest: it tells the operator most.
fn later_of(so_far: CorsOutcome, next: CorsOutcome) -> CorsOutcome {
    let rank = |outcome: CorsOutcome| match outcome {
        CorsOutcome::NoPolicy | CorsOutcome::Passthrough => 0,
        CorsOutcome::NoOrigin | CorsOutcome::RefusedSeveral | CorsOutcome::RefusedOrigin => 1,
        CorsOutcome::RefusedMalformed | CorsOutcome::RefusedMethod => 2,
        CorsOutcome::RefusedHeaders => 3,
        CorsOutcome::Constant | CorsOutcome::Granted => 4,
    };
    if rank(next) > rank(so_far) {
        next
    } else {
        so_far
    }
}

fn preflight_outcome(
    policy: &Policy,
    admission: Admission,
    origin: RequestOrigin<'_>,
    asked: &Preflight<'_>,
) -> CorsOutcome {
    let granted = match admission {
        Admission::No => return refusal_of(origin),
        Admission::Constant => CorsOutcome::Constant,
        Admission::By(_) => CorsOutcome::Granted,
    };
    if !policy.methods.allows(asked.method) {
        CorsOutcome::RefusedMethod
    } else if !policy.headers.allows_all(asked.headers) {
        CorsOutcome::RefusedHeaders
    } else {
        granted
    }
}

/// The preflight's fields; `None` when they are malformed, repeated or over a bound.
fn read_preflight(request: Request<'_>) -> Option<Preflight<'_>> {
    if request.is_repeated(KnownField::AccessControlRequestMethod) {
        return None;
    }
    let method = request.field(KnownField::AccessControlRequestMethod)?;
    let private_network = request.field(KnownField::AccessControlRequestPrivateNetwork);
    Some(Preflight {
        origin: RequestOrigin::of(request).single(),
        method: is_method(method).then_some(method)?,
        headers: RequestedHeaders::of(request).ok()?,
        private_network: private_network == Some(b"true"),
    })
}

/// What a policy adds to `Vary`, and which upstream fields it replaces, for one content type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VaryContribution {
    origin: bool,
    owned: KnownSet,
}

impl VaryContribution {
    /// `""` or `"Origin"`: the `add` of [`crate::merge_vary`].
    #[must_use]
    pub const fn names(self) -> &'static str {
        if self.origin { "Origin" } else { "" }
    }

    /// Fields of the stored response that must not leave beside the policy's own: the upstream's
    /// CORS fields under `override`, and what the policy writes once.
    #[must_use]
    pub const fn owned_fields(self) -> KnownSet {
        self.owned
    }
}

/// The decision about one actual response.
#[derive(Debug, Clone, Copy)]
pub struct ActualAnswer<'p> {
    granted: Option<(&'p Policy, usize)>,
    governed_by: Option<&'p Policy>,
    rule: Option<u32>,
    outcome: CorsOutcome,
    shadow: ShadowVerdict,
}

impl<'p> ActualAnswer<'p> {
    fn nothing() -> Self {
        Self {
            granted: None,
            governed_by: None,
            rule: None,
            outcome: CorsOutcome::NoPolicy,
            shadow: ShadowVerdict::None,
        }
    }

    fn refuse(&mut self, outcome: CorsOutcome) {
        self.outcome = later_of(self.outcome, outcome);
    }

    fn grant(&mut self, policy: &'p Policy, index: usize, admission: Admission) {
        self.granted = Some((policy, index));
        self.governed_by = Some(policy);
        self.rule = rule_of(admission);
        self.outcome = match admission {
            Admission::Constant => CorsOutcome::Constant,
            Admission::By(_) | Admission::No => CorsOutcome::Granted,
        };
    }

    /// Whether the origin may read the response, as far as this policy goes.
    #[must_use]
    pub fn granted(&self) -> bool {
        is_grant(self.outcome)
    }

    /// The pattern that matched, by its place in the policy's origins; `None` for constants. Under
    /// `passthrough` too, where it is evaluated but not applied.
    #[must_use]
    pub fn rule(&self) -> Option<u32> {
        self.rule
    }

    /// The policy whose tests all passed, by its place.
    #[must_use]
    pub fn policy(&self) -> Option<usize> {
        self.granted.map(|(_, index)| index)
    }

    /// Why.
    #[must_use]
    pub fn outcome(&self) -> CorsOutcome {
        self.outcome
    }

    /// What the shadow policies would have said.
    #[must_use]
    pub fn shadow(&self) -> ShadowVerdict {
        self.shadow
    }

    /// Whether the request's origin passed although nothing may be written: the decision to key a
    /// pass-through response on.
    #[must_use]
    pub fn would_grant(&self) -> bool {
        self.granted.is_some()
    }

    /// Appends the field lines, each ended by CRLF; nothing but a resource policy when refused.
    /// `origin` is what [`CorsPolicies::decide_actual`] was given.
    #[inline]
    pub fn write(&self, out: &mut Vec<u8>, origin: RequestOrigin<'_>) {
        let Some(governing) = self.governed_by else {
            return;
        };
        governing.always.write(out, b"");
        if let Some((policy, _)) = self.granted {
            policy
                .granted
                .write(out, origin.single().unwrap_or_default());
        }
    }
}

/// The decision about one preflight.
#[derive(Debug, Clone, Copy)]
pub struct PreflightAnswer<'p> {
    granted: Option<(&'p Policy, usize)>,
    rule: Option<u32>,
    outcome: CorsOutcome,
    status: u16,
    vary: bool,
    shadow: ShadowVerdict,
}

impl PreflightAnswer<'_> {
    /// 204, or for a refusal what the policy says: 204 or 403.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.status
    }

    /// Whether the browser may go on.
    #[must_use]
    pub fn granted(&self) -> bool {
        self.granted.is_some()
    }

    /// The pattern that matched; `None` for constants.
    #[must_use]
    pub fn rule(&self) -> Option<u32> {
        self.rule
    }

    /// The policy that decided, by its place.
    #[must_use]
    pub fn policy(&self) -> Option<usize> {
        self.granted.map(|(_, index)| index)
    }

    /// Why.
    #[must_use]
    pub fn outcome(&self) -> CorsOutcome {
        self.outcome
    }

    /// What the shadow policies would have said.
    #[must_use]
    pub fn shadow(&self) -> ShadowVerdict {
        self.shadow
    }

    /// Appends the answer's CORS lines and `Vary`, each ended by CRLF, without the empty line;
    /// `request` is what [`CorsPolicies::decide_preflight`] was given. A refusal has only `Vary`.
    pub fn write(&self, out: &mut Vec<u8>, request: Request<'_>) {
        if let Some((policy, _)) = self.granted
            && let Some(asked) = read_preflight(request)
        {
            policy.write_preflight(out, &asked);
        }
        if self.vary {
            out.extend_from_slice(b"Vary: Origin\r\n");
        }
    }
}
