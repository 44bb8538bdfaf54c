//! One `[site.cors]` table as plain values. Spec §2; nothing here decides or parses.

use crate::origin_pattern::Dialect;

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

/// Status of the answer to a refused preflight. Of several policies of a route the greater one counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Hash)]
pub enum RefusedPreflight {
    /// 204
    #[default]
    NoContent,
    /// 403
    Forbidden,
}

impl RefusedPreflight {
    /// The status code.
    #[must_use]
    pub const fn status(self) -> u16 {
        match self {
            Self::NoContent => 204,
            Self::Forbidden => 403,
        }
    }
}

/// One `[site.cors]` table as plain values; what [`crate::CorsPolicies::compile`] takes.
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
    /// Default: 204.
    pub refused_preflight: RefusedPreflight,
    /// `when.content_type`; empty for all responses. Default: empty.
    pub content_types: Vec<String>,
    /// Hosts under which the responses are served, lower-case and without `*.`; for findings only.
    /// Default: none.
    pub served_hosts: Vec<String>,
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
            refused_preflight: RefusedPreflight::NoContent,
            content_types: Vec::new(),
            served_hosts: Vec::new(),
        }
    }
}
