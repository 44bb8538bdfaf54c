//! Which rule applies to a request, what it answers, and which response fields it edits.
//!
//! Pure: bytes and values in, decisions and bytes out. No sockets, no clock, no randomness, no
//! unsafe code; nothing here allocates on a request's way but what an edit itself needs. Origins
//! follow the Fetch standard; the contract is the product's specification, §2 and §3.
#![forbid(unsafe_code)]

pub mod host_name;
mod host_table;
mod origin_pattern;
mod origin_set;
mod star_anywhere;
mod web_origin;

pub use origin_pattern::{
    Dialect, OriginPattern, OriginRule, PatternError, PatternNote, PortRule, SchemeRule,
};
pub use origin_set::OriginSet;
pub use web_origin::{NotSerialized, ORIGIN_BYTES_MAX, SCHEME_BYTES_MAX, WebOrigin};
