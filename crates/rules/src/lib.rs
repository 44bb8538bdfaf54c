//! Which rule applies to a request, what it answers, and which response fields it edits.
//!
//! Pure: bytes and values in, decisions and bytes out. No sockets, no clock, no randomness, no
//! unsafe code; nothing here allocates on a request's way but what an edit itself needs. Origins
//! follow the Fetch standard; the contract is the product's specification, §2 and §3.
#![forbid(unsafe_code)]

mod answer_memo;
pub mod cors;
mod cors_answer;
mod cors_compile;
mod cors_cover;
mod cors_policy;
mod cors_spec;
mod cors_trace;
mod cors_view;
pub mod fuzzing;
mod glob;
mod header_condition;
mod header_lint;
pub mod header_policy;
mod header_request;
mod header_template;
mod header_trace;
mod header_view;
mod host_bytes;
mod host_hash;
pub mod host_name;
mod host_table;
mod host_tail;
mod inclusion;
pub mod lint;
mod media_type;
mod near_miss;
pub mod origin_pattern;
mod origin_set;
mod public_suffix;
mod requested_headers;
pub mod route;
mod route_kinds;
mod seed_form;
pub mod site;
mod star_anywhere;
mod vary;
mod web_origin;

pub use answer_memo::{AnswerMemo, PoliciesId};
pub use cors::{CorsKind, CorsPolicies, RequestOrigin, is_cors_response_field};
pub use cors_answer::{
    ActualAnswer, CorsOutcome, PreflightAnswer, ShadowVerdict, VaryContribution,
};
pub use cors_spec::{CorsPolicySpec, RefusedPreflight, ResourcePolicy, UpstreamMode};
pub use cors_trace::{OriginTest, PolicyStanding, PolicyTrace};
pub use cors_view::PolicyView;
pub use header_condition::HeaderConditionSpec;
pub use header_policy::{
    EditContext, EditedFor, HeaderOp, HeaderOpSpec, HeaderPolicy, NameProtection, protection_of,
};
pub use header_template::VALUE_BYTES_MAX;
pub use header_trace::{OpEffect, OpTrace};
pub use header_view::OperationView;
pub use inclusion::{Outside, PatternSpace};
pub use lint::{
    LINT_TABLE, Lint, LintRow, OpPlace, OpProblem, PolicyPlace, PolicyProblem, Severity,
};
pub use near_miss::{Difference, LiteralMiss, NearMiss, OriginExplanation};
pub use origin_pattern::{
    Dialect, OriginPattern, OriginRule, PatternError, PatternNote, PortRule, SchemeRule,
};
pub use origin_set::OriginSet;
pub use public_suffix::Strangers;
pub use requested_headers::{REQUESTED_BYTES_MAX, REQUESTED_MEMBERS_MAX};
pub use route::{MethodSet, PathPattern, PathPatternError, RouteTable};
pub use route_kinds::RouteKinds;
pub use seed_form::{SeedForm, SeedOpSpec, SeedSibling, fold_seed_siblings, read_seed_form};
pub use site::{HostPattern, HostPatternError, SiteConflict, SiteTable};
pub use vary::{ExistingOrigin, VARY_MEMBERS_MAX, merge_vary};
pub use web_origin::{NotSerialized, ORIGIN_BYTES_MAX, SCHEME_BYTES_MAX, WebOrigin};
