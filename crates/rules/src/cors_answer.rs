//! What a decision says: the lines it writes, why, and what `Vary` it needs.
//!
//! Fetch §3.2. An answer borrows its policy and copies nothing; the echo is the request's own bytes
//! after a match. Exactly one `Access-Control-Allow-Origin` line is ever written.

use crate::cors::RequestOrigin;
use crate::cors_policy::{Admission, Policy, Preflight, is_method};
use crate::requested_headers::RequestedHeaders;
use crate::vary::ExistingOrigin;
use corsair_http1::{KnownField, KnownSet, Request};

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

/// The lines a policy may write on actual responses.
const WRITTEN_FIELDS: KnownSet = KnownSet::of(&[
    KnownField::AccessControlAllowOrigin,
    KnownField::AccessControlAllowCredentials,
    KnownField::AccessControlExposeHeaders,
    KnownField::TimingAllowOrigin,
    KnownField::CrossOriginResourcePolicy,
]);

/// What a policy adds to `Vary`, and which upstream fields it replaces, for one content type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VaryContribution {
    pub(crate) origin: bool,
    pub(crate) owned: KnownSet,
}

impl VaryContribution {
    /// `""` or `"Origin"`: the `add` of [`crate::merge_vary`].
    #[must_use]
    pub const fn names(self) -> &'static str {
        if self.origin { "Origin" } else { "" }
    }

    /// What becomes of `Origin` in the stored `Vary`: the response no longer depends on it when the
    /// upstream's own `Access-Control-Allow-Origin` is replaced.
    #[must_use]
    pub const fn existing_origin(self) -> ExistingOrigin {
        if self.owned.contains(KnownField::AccessControlAllowOrigin) {
            ExistingOrigin::Drop
        } else {
            ExistingOrigin::Keep
        }
    }

    /// Fields of the stored response that must not leave beside the policy's own: the upstream's
    /// CORS fields under `override`, and what the policy writes once.
    #[must_use]
    pub const fn owned_fields(self) -> KnownSet {
        self.owned
    }

    /// Whether the policy itself puts this field on actual responses: an operation that ran before
    /// must not leave a second line. What else operations wrote stays.
    #[must_use]
    pub const fn writes(self, field: KnownField) -> bool {
        self.owned.contains(field) && WRITTEN_FIELDS.contains(field)
    }
}

/// The decision about one actual response.
#[derive(Debug, Clone, Copy)]
pub struct ActualAnswer<'p> {
    pub(crate) granted: Option<(&'p Policy, usize)>,
    pub(crate) governed_by: Option<&'p Policy>,
    pub(crate) rule: Option<u32>,
    pub(crate) outcome: CorsOutcome,
    pub(crate) shadow: ShadowVerdict,
}

impl<'p> ActualAnswer<'p> {
    pub(crate) fn nothing() -> Self {
        Self {
            granted: None,
            governed_by: None,
            rule: None,
            outcome: CorsOutcome::NoPolicy,
            shadow: ShadowVerdict::None,
        }
    }

    pub(crate) fn refuse(&mut self, outcome: CorsOutcome) {
        self.outcome = later_of(self.outcome, outcome);
    }

    pub(crate) fn grant(&mut self, policy: &'p Policy, index: usize, admission: Admission) {
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

    /// Whether a browser on this origin reads the response for what is written: not where the policy
    /// sends everybody one other origin.
    #[must_use]
    pub fn lets_read(&self, origin: RequestOrigin<'_>) -> bool {
        let reaches = |(policy, _): (&Policy, usize)| policy.reaches(origin.single());
        is_grant(self.outcome) && self.granted.is_some_and(reaches)
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

    /// Appends the field lines, each ended by CRLF; nothing but a resource policy when refused.
    /// `origin` is what [`crate::CorsPolicies::decide_actual`] was given.
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
    pub(crate) granted: Option<(&'p Policy, usize)>,
    pub(crate) rule: Option<u32>,
    pub(crate) outcome: CorsOutcome,
    pub(crate) status: u16,
    pub(crate) vary: bool,
    pub(crate) shadow: ShadowVerdict,
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

    /// Whether a browser on this origin goes on for what is written: not where the policy sends everybody
    /// one other origin.
    #[must_use]
    pub fn lets_read(&self, origin: RequestOrigin<'_>) -> bool {
        let reaches = |(policy, _): (&Policy, usize)| policy.reaches(origin.single());
        self.granted.is_some_and(reaches)
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
    /// `request` is what [`crate::CorsPolicies::decide_preflight`] was given. A refusal has only
    /// `Vary`.
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

pub(crate) fn refusal_of(origin: RequestOrigin<'_>) -> CorsOutcome {
    match origin {
        RequestOrigin::Absent => CorsOutcome::NoOrigin,
        RequestOrigin::One(_) => CorsOutcome::RefusedOrigin,
        RequestOrigin::Several => CorsOutcome::RefusedSeveral,
    }
}

pub(crate) fn rule_of(admission: Admission) -> Option<u32> {
    match admission {
        Admission::By(rule) => Some(rule),
        Admission::Constant | Admission::No => None,
    }
}

pub(crate) fn is_grant(outcome: CorsOutcome) -> bool {
    matches!(outcome, CorsOutcome::Granted | CorsOutcome::Constant)
}

/// A grant, else the refusal of the policy that came furthest: it tells the operator most.
pub(crate) fn later_of(so_far: CorsOutcome, next: CorsOutcome) -> CorsOutcome {
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

pub(crate) fn preflight_outcome(
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
pub(crate) fn read_preflight(request: Request<'_>) -> Option<Preflight<'_>> {
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
