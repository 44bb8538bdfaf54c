//! The cache's decisions as tables, one file per module, and the store against a model.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "../message/mod.rs"]
mod message;

mod directives;
mod fill;
mod freshness;
mod lookup;
mod range;
mod refresh;
mod reuse;
mod storable;
mod store;
mod store_origins;
mod stored;
mod validate;
mod vary;
