//! The CORS decision: not CORS, actual, or preflight; what is answered, and what `Vary` it needs.
//!
//! Fetch §3.2 and §4.8 (preflight) and §4.10 (check); spec §3. A preflight is `OPTIONS` with
//! `Origin` and `Access-Control-Request-Method`, and nothing else is one. Several policies of a
//! route: the first whose origin, method and requested headers all pass decides. The value sent is
//! the request's own bytes or `*`, on one line, whatever the response's status. Nothing here
//! allocates, stores anything, or looks at a body. CORS is no access control: a refusal changes
//! header lines.

use crate::cors_answer::{
    ActualAnswer, CorsOutcome, PreflightAnswer, ShadowVerdict, VaryContribution, is_grant,
    later_of, preflight_outcome, read_preflight, refusal_of, rule_of,
};
use crate::cors_compile::{compile_policies, mode_of};
use crate::cors_policy::{Admission, Audience, Policy, Standing};
use crate::cors_spec::{CorsPolicySpec, UpstreamMode};
use crate::lint::PolicyProblem;
use crate::origin_set::OriginSet;
use corsair_http1::{KnownField, KnownSet, Request};

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
    pub(crate) fn single(self) -> Option<&'a [u8]> {
        match self {
            Self::One(value) => Some(value),
            Self::Absent | Self::Several => None,
        }
    }
}

/// All CORS policies of one route.
///
/// ```
/// use corsair_rules::{CorsPolicies, CorsPolicySpec, RequestOrigin};
/// let origins = vec!["https://*.example.com".into()];
/// let spec = CorsPolicySpec { origins, ..Default::default() };
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
    /// What is decided depends on the origin, and on nothing else but the method.
    decides_by_origin: bool,
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
        let mode = mode_of(&specs);
        let (policies, warnings) = compile_policies(&specs)?;
        let is_live = |policy: &&Policy| policy.standing == Standing::Live;
        Ok(Self {
            has_shadow: policies
                .iter()
                .any(|policy| policy.standing == Standing::Shadow),
            answers: policies
                .iter()
                .any(|policy| policy.standing == Standing::Live),
            decides_by_origin: policies.iter().any(Policy::is_listed)
                && policies
                    .iter()
                    .all(|policy| policy.content_types.is_empty()),
            preflight_vary: policies.iter().filter(is_live).any(|policy| policy.varies),
            policies,
            mode,
            warnings,
        })
    }

    pub(crate) fn policies(&self) -> &[Policy] {
        &self.policies
    }

    /// Whether some policy is only evaluated.
    #[inline]
    #[must_use]
    pub fn has_shadow(&self) -> bool {
        self.has_shadow
    }

    /// Whether some response of the route depends on the request's origin by these policies.
    #[must_use]
    pub fn varies(&self) -> bool {
        let stands = |policy: &&Policy| policy.standing != Standing::Shadow;
        self.policies
            .iter()
            .filter(stands)
            .any(|policy| policy.varies)
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

    /// Whether a policy says that the upstream decides. Without any policy nobody says so, and the
    /// upstream's CORS passes all the same: [`CorsPolicies::upstream_mode`].
    #[must_use]
    pub fn passes_through(&self) -> bool {
        let passes = |policy: &Policy| policy.standing == Standing::Passthrough;
        self.policies.iter().any(passes)
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

    /// What this request is. `Preflight` only if a live policy answers; else an `OPTIONS` request
    /// is the upstream's.
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

    /// Whether [`CorsPolicies::decide_actual`] looks the origin up, and asks for nothing else but the
    /// method.
    #[inline]
    pub(crate) fn decides_by_origin(&self) -> bool {
        self.decides_by_origin
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
        let origin = origin.single();
        let decides = |policy: &&Policy| {
            policy.standing == Standing::Shadow
                && policy.covers(content_type)
                && policy.methods.allows(method)
                && policy.admits(origin) != Admission::No
        };
        let first = self.policies.iter().find(decides);
        if first.is_some_and(|policy| policy.reaches(origin)) {
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
            let decides = |policy: &&Policy| {
                let admission = policy.admits(origin.single());
                policy.standing == Standing::Shadow
                    && is_grant(preflight_outcome(policy, admission, origin, &asked))
            };
            let first = self.policies.iter().find(decides);
            let reaches = first.is_some_and(|policy| policy.reaches(origin.single()));
            answer.shadow = if reaches {
                ShadowVerdict::Grant
            } else {
                ShadowVerdict::Refuse
            };
        }
        answer
    }

    /// A refusal is that of all policies together, so the strictest wish holds.
    fn refused_status(&self) -> u16 {
        let live = self.policies.iter();
        live.filter(|policy| policy.standing == Standing::Live)
            .map(|policy| policy.refused_preflight)
            .max()
            .unwrap_or_default()
            .status()
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
            .filter(|policy| policy.standing != Standing::Shadow && policy.covers(content_type));
        for policy in governing {
            contribution.origin |= policy.varies;
            contribution.owned = contribution.owned.union(policy.owned);
            if policy.takes_everything() {
                break;
            }
        }
        contribution
    }

    /// Whether some response of the route gets this field from a policy, whatever operations do.
    pub(crate) fn writes(&self, field: KnownField) -> bool {
        let mut policies = self.policies.iter();
        policies.any(|policy| policy.owned.contains(field))
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
