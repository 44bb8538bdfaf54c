//! Configuration: TOML text in, an immutable plan or a list of diagnostics out.
//!
//! One table (`schema`) says which sections and keys there are, of which type, unit and range, and
//! which of them work yet; [`check()`] reads a text against it, compiles the rules it describes and
//! tells every problem at once, each with its place, a code, one sentence and a remedy. A key that
//! would have no effect is always an error. Pure: files come through [`FileSource`], names are
//! never resolved, nothing is printed.
#![forbid(unsafe_code)]

mod admission;
mod check;
mod cors;
mod diagnostic;
pub mod diff;
pub mod explain;
mod failure;
mod fields;
#[doc(hidden)]
pub mod fuzzing;
mod globals;
mod header_operations;
pub mod import;
mod json_schema;
mod lifetimes;
mod origin_list;
mod overrides;
mod places;
mod plan;
mod quantity;
mod reference;
mod report;
mod response;
pub mod schema;
mod site;
mod source_map;
mod suggest;
mod syntax;
mod table;
mod tree;
mod upstream;
mod upstream_cors;

pub use admission::{Expectation, RequestBody, admit};
pub use corsair_cache::UnixMillis;

pub use check::{CONFIG_BYTES_MAX, Checked, FileError, FileSource, NoFiles, check, check_with};
pub use diagnostic::{Code, Diagnostic, Severity, Snippet};
pub use failure::{FailureAnswer, UpstreamFailure};
pub use json_schema::json_schema;
pub use origin_list::ORIGINS_FILE_BYTES_MAX;
pub use places::PlanPlaces;
pub use plan::{
    AdminPlan, CacheBudget, Driver, HostMode, Limits, ListenerPlan, NODE_NAME_BYTES_MAX, NodePlan,
    Plan, RoutePlan, Scheme, SitePlan, UpstreamPlan,
};
pub use reference::reference;
pub use response::{
    CONDITIONS, HeadContext, ONLY_IF_CACHED, OWN_CONTENT_TYPE, OutFraming, OwnResponse,
    RESPONSE_LIMITS, Received, content_range, end_to_end_fields, own_fields, said_of_fill,
    via_pseudonym, write_bare_refusal,
};
pub use upstream_cors::{
    Reflections, key_by_origin, key_confirmation, reflected_origin, varies_by_origin,
};
