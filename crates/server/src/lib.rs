//! The data plane: workers on io_uring (monoio), one thread a CPU, that take connections, answer from
//! the store and fetch from upstreams. The only crate besides the load generator that does network I/O
//! on workers; what it decides, it decides through the pure crates.
//!
//! [`Node`] is the whole interface: start, reload, drain, look.

mod body;
mod buffer;
mod clock;
mod connection;
mod contain;
mod cors_watch;
mod deadline;
mod descriptors;
mod exchange;
mod failure_watch;
mod fetch;
mod forward;
mod front;
mod io;
mod lead;
mod mailbox;
mod metrics;
mod node;
mod pass;
mod plan;
mod reply;
mod respond;
mod upload;
mod upstream;
mod worker;

pub use cors_watch::{Notice, NoticeSink, ReflectionSnapshot, ShadowSnapshot};
pub use descriptors::{connections_within, open_files_for};
pub use io::LiveDriver;
pub use metrics::WorkerSnapshot;
pub use node::{
    DrainReport, Node, ReloadReport, ResolvedUpstreams, Snapshot, StartError, StoreSnapshot,
    UpstreamSnapshot,
};
