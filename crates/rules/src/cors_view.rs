//! A compiled policy read back as plain facts, for reports such as `corsair diff`.
//!
//! What is read is the compiled form that decides and writes, never the text it was compiled from. It
//! allocates; never used for requests.

use crate::cors::CorsPolicies;
use crate::cors_policy::{Audience, Policy, Standing};
use crate::cors_trace::PolicyStanding;
use crate::origin_pattern::{Dialect, OriginPattern};

/// One policy of a route.
#[derive(Debug, Clone, Copy)]
pub struct PolicyView<'p> {
    policy: &'p Policy,
}

impl CorsPolicies {
    /// Every policy, in the order in which they are tried.
    pub fn views(&self) -> impl Iterator<Item = PolicyView<'_>> {
        self.policies().iter().map(|policy| PolicyView { policy })
    }
}

impl PolicyView<'_> {
    /// How far it acts.
    #[must_use]
    pub fn standing(self) -> PolicyStanding {
        match self.policy.standing {
            Standing::Live => PolicyStanding::Live,
            Standing::Passthrough => PolicyStanding::Passthrough,
            Standing::Shadow => PolicyStanding::Shadow,
        }
    }

    /// The origins that may read; of a constant policy the one it names.
    #[must_use]
    pub fn origins(self) -> Vec<OriginPattern> {
        match &self.policy.audience {
            Audience::Listed(origins) => origins.patterns().map(|(_, pattern)| pattern).collect(),
            Audience::Constant => {
                let value = self.policy.constant_origin().unwrap_or_default();
                let parsed = OriginPattern::parse(&value, Dialect::Native);
                parsed.map(|(pattern, _)| pattern).into_iter().collect()
            }
        }
    }

    /// Whether the same value is sent to everybody, so that nobody comes to a later policy.
    #[must_use]
    pub fn is_constant(self) -> bool {
        !self.policy.is_listed()
    }

    /// Whether this method passes.
    #[must_use]
    pub fn allows_method(self, method: &str) -> bool {
        self.policy.methods.allows(method.as_bytes())
    }

    /// Whether a preflight may ask for this request header.
    #[must_use]
    pub fn allows_header(self, name: &str) -> bool {
        self.policy.headers.allows(name.as_bytes())
    }

    /// Whether responses of this content type are the policy's.
    #[must_use]
    pub fn covers(self, content_type: &str) -> bool {
        self.policy.covers(Some(content_type.as_bytes()))
    }

    /// One method of each kind that the policy tells apart.
    #[must_use]
    pub fn methods(self) -> Vec<String> {
        self.policy.methods.names()
    }

    /// The header names that the policy lists in full.
    #[must_use]
    pub fn header_names(self) -> Vec<String> {
        let listed = self.policy.headers.listed.iter();
        listed.map(|name| text_of(name)).collect()
    }

    /// What stands before and behind the star of each header name with one; a star alone is none.
    #[must_use]
    pub fn starred_headers(self) -> Vec<(String, String)> {
        let starred = self.policy.headers.starred.iter();
        starred
            .map(|own| (text_of(&own.before), text_of(&own.behind)))
            .collect()
    }

    /// The content types of the condition, as patterns; none when there is no condition.
    #[must_use]
    pub fn content_types(self) -> Vec<String> {
        let types = self.policy.content_types.iter();
        types.map(ToString::to_string).collect()
    }

    /// Whether `Access-Control-Allow-Credentials: true` is sent.
    #[must_use]
    pub fn credentials(self) -> bool {
        let block = &self.policy.granted;
        block.value_of("Access-Control-Allow-Credentials").is_some()
    }

    /// The names of `Access-Control-Expose-Headers`, lower-case and sorted.
    #[must_use]
    pub fn exposed(self) -> Vec<String> {
        let value = self
            .policy
            .granted
            .value_of("Access-Control-Expose-Headers");
        let mut names: Vec<String> = value
            .iter()
            .flat_map(|value| value.split(", "))
            .map(str::to_ascii_lowercase)
            .collect();
        names.sort();
        names.dedup();
        names
    }

    /// Seconds of `Access-Control-Max-Age`.
    #[must_use]
    pub fn max_age_s(self) -> Option<u32> {
        let value = self.policy.preflight.value_of("Access-Control-Max-Age")?;
        value.parse().ok()
    }

    /// Whether `Timing-Allow-Origin` is sent.
    #[must_use]
    pub fn timing(self) -> bool {
        self.policy
            .granted
            .value_of("Timing-Allow-Origin")
            .is_some()
    }

    /// Whether a preflight from a public page to a private network is granted.
    #[must_use]
    pub fn private_network(self) -> bool {
        self.policy.private_network
    }

    /// The value of `Cross-Origin-Resource-Policy`.
    #[must_use]
    pub fn resource_policy(self) -> Option<String> {
        self.policy.always.value_of("Cross-Origin-Resource-Policy")
    }
}

fn text_of(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
