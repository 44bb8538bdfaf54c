//! The CORS decision in words: every policy's tests, the rule that matched, the nearest misses.
//!
//! What is told comes from `rules`' own tests; nothing is decided here.

use corsair_http1::{KnownField, Request};
use corsair_rules::{
    ActualAnswer, CorsPolicies, NotSerialized, OriginExplanation, OriginTest, PolicyStanding,
    PolicyTrace, PreflightAnswer, RequestOrigin,
};

use super::answer::{CorsShown, NearShown, PolicyShown, RuleShown};
use crate::places::PlanPlaces;
use crate::plan::RoutePlan;

/// An actual response.
pub(super) fn actual(
    route: &RoutePlan,
    places: Option<&PlanPlaces>,
    request: Request<'_>,
    content_type: Option<&[u8]>,
    answer: &ActualAnswer<'_>,
) -> CorsShown {
    let origin = RequestOrigin::of(request);
    let traces = route
        .cors
        .trace_actual(origin, request.method(), content_type);
    let view = View {
        route,
        places,
        method: request.method(),
        decided: answer.policy(),
    };
    CorsShown {
        kind: match origin {
            RequestOrigin::Absent => "not-cors",
            RequestOrigin::One(_) | RequestOrigin::Several => "actual",
        },
        outcome: answer.outcome().as_str(),
        granted: answer.granted(),
        policies: view.policies(&traces),
    }
}

/// A preflight.
pub(super) fn preflight(
    route: &RoutePlan,
    places: Option<&PlanPlaces>,
    request: Request<'_>,
    answer: &PreflightAnswer<'_>,
) -> CorsShown {
    let method = request
        .field(KnownField::AccessControlRequestMethod)
        .unwrap_or_default();
    let view = View {
        route,
        places,
        method,
        decided: answer.policy(),
    };
    let traces = route.cors.trace_preflight(request).unwrap_or_default();
    CorsShown {
        kind: "preflight",
        outcome: answer.outcome().as_str(),
        granted: answer.granted(),
        policies: view.policies(&traces),
    }
}

struct View<'a> {
    route: &'a RoutePlan,
    places: Option<&'a PlanPlaces>,
    method: &'a [u8],
    decided: Option<usize>,
}

impl View<'_> {
    fn policies(&self, traces: &[PolicyTrace]) -> Vec<PolicyShown> {
        let traces = traces.iter().enumerate();
        traces
            .map(|(index, trace)| self.policy(index, trace))
            .collect()
    }

    fn policy(&self, index: usize, trace: &PolicyTrace) -> PolicyShown {
        let mut shown = PolicyShown {
            number: index + 1,
            place: self
                .places
                .and_then(|places| places.policy(self.route.id, index)),
            standing: match trace.standing {
                PolicyStanding::Live => "live",
                PolicyStanding::Passthrough => "passthrough",
                PolicyStanding::Shadow => "shadow",
            },
            decided: self.decided == Some(index),
            says: Vec::new(),
            rule: None,
            nearest: Vec::new(),
        };
        if !trace.covers_response {
            let says = "the response's content type is outside `when.content_type`";
            shown.says.push(says.to_owned());
        }
        if trace.standing == PolicyStanding::Passthrough {
            self.timing(index, &trace.origin, &mut shown);
            return shown;
        }
        self.origin(index, &trace.origin, &mut shown);
        if !trace.method_allowed {
            let method = String::from_utf8_lossy(self.method);
            let listed = trace.methods.join(", ");
            shown
                .says
                .push(format!("method {method} is not in `methods` ({listed})"));
        }
        if !trace.refused_headers.is_empty() {
            let names = trace.refused_headers.join(", ");
            shown
                .says
                .push(format!("not in `request_headers`: {names}"));
        }
        shown
    }

    /// All that is left to the node where the upstream decides.
    fn timing(&self, index: usize, test: &OriginTest, shown: &mut PolicyShown) {
        let view = self.route.cors.views().nth(index);
        if !view.is_some_and(|policy| policy.timing()) {
            return;
        }
        let before = shown.says.len();
        self.origin(index, test, shown);
        for says in &mut shown.says[before..] {
            says.insert_str(0, "for `Timing-Allow-Origin`: ");
        }
    }

    fn origin(&self, index: usize, test: &OriginTest, shown: &mut PolicyShown) {
        match test {
            OriginTest::Constant(value) if value == "*" => {
                shown.says.push("`*` for every request".to_owned());
            }
            OriginTest::Constant(value) => {
                shown.says.push(format!(
                    "`{value}` for every request, whoever asks (`validate = false`); browsers let \
                     only pages of that origin read it"
                ));
            }
            OriginTest::Absent => shown.says.push("the request has no Origin".to_owned()),
            OriginTest::Several => {
                let says = "several Origin lines; no browser sends that, and none is allowed";
                shown.says.push(says.to_owned());
            }
            OriginTest::Compared(OriginExplanation::Matched { rule }) => {
                shown.says.push("the origin is allowed".to_owned());
                shown.rule = Some(self.rule(index, *rule));
            }
            OriginTest::Compared(OriginExplanation::NotSerialized {
                reason: NotSerialized::Opaque,
                ..
            }) => {
                let says = "`null` is sent by sandboxed frames, local files and after some \
                            redirects, and allowed only where it is listed";
                shown.says.push(says.to_owned());
            }
            OriginTest::Compared(OriginExplanation::NotSerialized { reason, meant }) => {
                shown
                    .says
                    .push(format!("not as browsers send it: {reason}"));
                if let Some((text, rule)) = meant {
                    let rule = self.rule(index, *rule);
                    shown.nearest.push(NearShown {
                        differs: format!("would allow `{text}`"),
                        pattern: rule.pattern,
                        place: rule.place,
                    });
                }
            }
            OriginTest::Compared(OriginExplanation::NotListed { nearest }) => {
                shown.says.push("no pattern allows the origin".to_owned());
                shown.nearest = nearest
                    .iter()
                    .map(|near| NearShown {
                        pattern: near.pattern.to_string(),
                        place: self.place_of(index, near.rule),
                        differs: near.difference.to_string(),
                    })
                    .collect();
            }
        }
    }

    fn rule(&self, policy: usize, rule: u32) -> RuleShown {
        let policies: &CorsPolicies = &self.route.cors;
        let pattern = policies
            .origin_set(policy)
            .and_then(|origins| origins.pattern(rule));
        RuleShown {
            pattern: pattern.map_or_else(|| format!("pattern {rule}"), |found| found.to_string()),
            place: self.place_of(policy, rule),
        }
    }

    fn place_of(&self, policy: usize, rule: u32) -> Option<String> {
        self.places
            .and_then(|places| places.pattern(self.route.id, policy, rule))
    }
}
