//! The control side of a node: one tokio runtime on one thread, off the request path.
//!
//! It serves the admin API (`/healthz`, `/readyz`, `/metrics`, `/v1/status`, `/v1/reload`) with
//! axum, turns signals into reloads and drains, and resolves upstream names. It reaches the data
//! plane only through [`EdgeNode`]: snapshots out, plans and addresses in. It never runs on a
//! worker, never serves client traffic, and never reads a file itself: the binary hands it a
//! closure that does.

#![forbid(unsafe_code)]

mod admin;
mod connections;
mod control_thread;
mod edge_node;
mod guard;
mod metrics;
mod reload;
mod resolve;
mod status;

pub use connections::{AdminListener, BindError};
pub use control_thread::{Control, ControlError, ControlOptions, StopSignal, Watch};
pub use edge_node::EdgeNode;
pub use resolve::resolve_first;

/// Says one message, which may have several lines, to whoever runs the node: standard error.
pub type Talk = std::sync::Arc<dyn Fn(&str) + Send + Sync>;

/// Reads and checks the configuration again; called for each reload, on a thread that may block.
pub type Load = Box<dyn Fn() -> corsair_config::Checked + Send + Sync>;

/// Whether something has changed since it was read; asked every second, on a thread that may block.
pub type Changed = Box<dyn Fn() -> bool + Send + Sync>;
