//! Policies that an earlier one of their route covers whole, so that they never come to decide.
//!
//! For findings only; decides nothing about requests. Sure where it says so: what cannot be proven
//! within bounds is not covered.

use crate::cors_policy::{Policy, Standing};
use crate::cors_spec::CorsPolicySpec;
use crate::inclusion::{Outside, PatternSpace};
use crate::origin_pattern::OriginPattern;

/// Most origins of a policy that are compared; longer lists are not looked at, as the meaning
/// of the finding says.
const COMPARED_MAX: usize = 1_000;

/// One policy, prepared for questions about it.
struct Prepared<'a> {
    policy: &'a Policy,
    /// `None` where no origins are looked up.
    origins: Option<(Vec<OriginPattern>, PatternSpace)>,
}

impl<'a> Prepared<'a> {
    fn new(spec: &CorsPolicySpec, policy: &'a Policy) -> Option<Self> {
        if policy.standing != Standing::Live || spec.origins.len() > COMPARED_MAX {
            return None;
        }
        let parse = |text: &String| Some(OriginPattern::parse(text, spec.dialect).ok()?.0);
        let origins = match policy.is_listed() {
            true => {
                let patterns: Vec<_> = spec.origins.iter().map(parse).collect::<Option<_>>()?;
                Some((patterns.clone(), PatternSpace::new(patterns)))
            }
            false => None,
        };
        Some(Self { policy, origins })
    }

    fn covers(&self, other: &Self) -> bool {
        let (own, others) = (self.policy, other.policy);
        let takes_types = own.content_types.is_empty()
            || (!others.content_types.is_empty()
                && others
                    .content_types
                    .iter()
                    .all(|pattern| own.content_types.contains(pattern)));
        takes_types
            && own.methods.includes(&others.methods)
            && own.headers.includes(&others.headers)
            && match (&self.origins, &other.origins) {
                (None, _) => true,
                (Some(_), None) => false,
                (Some((_, space)), Some((patterns, _))) => patterns
                    .iter()
                    .all(|pattern| space.outside(pattern) == Outside::Nothing),
            }
    }
}

/// `(policy, the first one that covers it)`, both from 0, in the order of the policies.
pub(crate) fn covered(specs: &[CorsPolicySpec], policies: &[Policy]) -> Vec<(usize, usize)> {
    if policies.len() < 2 {
        return Vec::new();
    }
    let prepared = specs.iter().zip(policies);
    let prepared: Vec<_> = prepared
        .map(|(spec, policy)| Prepared::new(spec, policy))
        .collect();
    let mut found = Vec::new();
    for (index, later) in prepared.iter().enumerate() {
        let Some(later) = later else {
            continue;
        };
        let covers = |earlier: &Option<Prepared<'_>>| {
            let earlier = earlier.as_ref();
            earlier.is_some_and(|earlier| earlier.covers(later))
        };
        if let Some(by) = prepared[..index].iter().position(covers) {
            found.push((index, by));
        }
    }
    found
}
