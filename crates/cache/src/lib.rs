//! HTTP caching: RFC 9111's decisions for a shared cache, the store, and request collapsing.
//!
//! RFC 9110 §13–§14, RFC 9111, RFC 5861, RFC 8246, RFC 9211, RFC 9213. Pure: no sockets, no clock
//! (`now` is a parameter), no randomness, no waiting, no unsafe code. It never sees CORS or header
//! rules: a stored response is what the upstream sent, and those are applied when it is served.
//!
//! The way of a request: [`decide_lookup`] → [`write_key`], [`hash_key`] → [`Store::find`] →
//! [`decide_reuse`] → [`decide_precondition`] → [`decide_range`]. On a miss: [`FillTable::join`],
//! and for the leader [`decide_storable`] → [`Lead::publish_head`] → [`Lead::push`] →
//! [`Store::insert`] → [`Lead::finish`].

#![forbid(unsafe_code)]

mod body;
mod budget;
mod directives;
mod fill;
mod freshness;
mod key;
mod lookup;
mod policy;
mod range;
mod refresh;
mod reuse;
mod shelf;
mod slot;
mod status;
mod storable;
mod store;
mod stored;
mod structured;
mod time;
mod validate;
mod vary;

pub use body::{Body, KEEP_BYTES_MIN, SEGMENT_BYTES_MAX};
pub use budget::{BudgetExhausted, Reservation};
pub use directives::{DirectiveSource, RequestDirectives, ResponseDirectives};
pub use fill::{
    FailureKind, FillFailure, FillLimits, FillTable, HeadStep, Joined, Lead, Mode, PushAdvice,
    ReadStep, Reader, Retry, WakeWorkers, Window,
};
pub use freshness::Freshness;
pub use key::{KeyHash, KeySecret, hash_key, write_key, write_key_authority, write_key_target};
pub use lookup::{
    Invalidation, Lookup, PassReason, asks_for_less, decide_invalidation, decide_lookup,
    part_is_asked_again,
};
pub use policy::{CachePolicy, SetCookie};
pub use range::{RangeDecision, decide_range, select_range};
pub use refresh::{RefreshRefused, refresh};
pub use reuse::{Reuse, decide_reuse};
pub use status::{CacheStatus, Outcome, write_cache_status};
pub use storable::{HEURISTIC_LIFETIME_MS_MAX, NoStore, Storable, decide_storable};
pub use store::{Found, Store, Ticket, UNNAMED_MAX, VARIANTS_MAX};
pub use stored::{FillHead, HeadParts, Stored, StoredHead};
pub use time::{DELTA_SECONDS_MAX, FetchTimes, UnixMillis};
pub use validate::{EntityTag, Precondition, Strength, decide_precondition, write_validators};
pub use vary::{VARY_NAMES_MAX, VaryOrigin, VaryRule, VarySpec, variant_hash};
