//! Why CORS decided as it did, policy by policy: for `explain`, never for requests.
//!
//! Spec §3.4, §3.5. Each test is the one the decision makes (`cors_policy.rs`); only what it says about
//! the tests it need not make any more is added here. Linear in the number of patterns; it allocates.

use crate::cors::{CorsPolicies, RequestOrigin};
use crate::cors_answer::read_preflight;
use crate::cors_policy::{Admission, Audience, Policy, Standing};
use crate::near_miss::OriginExplanation;
use corsair_http1::Request;

/// Most near misses told of one policy.
const NEAR_MISSES_MAX: usize = 3;

/// How far a policy acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PolicyStanding {
    /// It decides and writes.
    Live,
    /// The upstream decides; this one is only evaluated.
    Passthrough,
    /// Evaluated and counted beside the live ones, never applied.
    Shadow,
}

/// What a policy says about the request's origin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OriginTest {
    /// The policy sends this for every request.
    Constant(String),
    /// There is no `Origin`.
    Absent,
    /// There are several `Origin` lines; none is looked at.
    Several,
    /// The one value, compared with the patterns.
    Compared(OriginExplanation),
}

/// One policy's tests of one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyTrace {
    /// How far it acts.
    pub standing: PolicyStanding,
    /// Whether the response's content type is one of `when`; preflights are not asked.
    pub covers_response: bool,
    /// The origin.
    pub origin: OriginTest,
    /// Whether the method is listed.
    pub method_allowed: bool,
    /// The methods that are, as written; `*` alone for all.
    pub methods: Vec<String>,
    /// Requested headers that are not allowed; empty for what is no preflight.
    pub refused_headers: Vec<String>,
}

impl PolicyTrace {
    /// Whether every test passed.
    #[must_use]
    pub fn passes(&self) -> bool {
        let origin_passes = match &self.origin {
            OriginTest::Constant(_) | OriginTest::Compared(OriginExplanation::Matched { .. }) => {
                true
            }
            OriginTest::Absent | OriginTest::Several | OriginTest::Compared(_) => false,
        };
        origin_passes
            && self.covers_response
            && self.method_allowed
            && self.refused_headers.is_empty()
    }
}

impl CorsPolicies {
    /// Every policy's tests of an actual response.
    #[must_use]
    pub fn trace_actual(
        &self,
        origin: RequestOrigin<'_>,
        method: &[u8],
        content_type: Option<&[u8]>,
    ) -> Vec<PolicyTrace> {
        self.policies()
            .iter()
            .map(|policy| PolicyTrace {
                covers_response: policy.covers(content_type),
                ..trace(policy, origin, method)
            })
            .collect()
    }

    /// Every policy's tests of a preflight; `None` when its fields are malformed or over a bound.
    #[must_use]
    pub fn trace_preflight(&self, request: Request<'_>) -> Option<Vec<PolicyTrace>> {
        let asked = read_preflight(request)?;
        let origin = RequestOrigin::of(request);
        let refused = |policy: &Policy| {
            let names = asked.headers.names();
            names
                .filter(|name| !policy.headers.allows(name))
                .map(|name| String::from_utf8_lossy(name).into_owned())
                .collect()
        };
        let traces = self.policies().iter().map(|policy| PolicyTrace {
            refused_headers: refused(policy),
            ..trace(policy, origin, asked.method)
        });
        Some(traces.collect())
    }
}

fn trace(policy: &Policy, origin: RequestOrigin<'_>, method: &[u8]) -> PolicyTrace {
    PolicyTrace {
        standing: match policy.standing {
            Standing::Live => PolicyStanding::Live,
            Standing::Passthrough => PolicyStanding::Passthrough,
            Standing::Shadow => PolicyStanding::Shadow,
        },
        covers_response: true,
        origin: test_origin(policy, origin),
        method_allowed: policy.methods.allows(method),
        methods: policy.methods.names(),
        refused_headers: Vec::new(),
    }
}

fn test_origin(policy: &Policy, origin: RequestOrigin<'_>) -> OriginTest {
    match (&policy.audience, policy.admits(origin.single()), origin) {
        (Audience::Constant, _, _) => {
            OriginTest::Constant(policy.constant_origin().unwrap_or_default())
        }
        (Audience::Listed(_), Admission::By(rule), _) => {
            OriginTest::Compared(OriginExplanation::Matched { rule })
        }
        (Audience::Listed(origins), _, RequestOrigin::One(value)) => {
            OriginTest::Compared(origins.explain(value, NEAR_MISSES_MAX))
        }
        (Audience::Listed(_), _, RequestOrigin::Absent) => OriginTest::Absent,
        (Audience::Listed(_), _, RequestOrigin::Several) => OriginTest::Several,
    }
}
