//! Load generator for HTTP/1.1 servers, and the null servers that show where its own ceiling is.
//!
//! The library holds what the `loadgen` command does; the command only reads flags and turns
//! results into exit codes.

pub mod affinity;
pub mod clock;
pub mod compare;
pub mod draw;
pub mod engine;
pub mod exchange;
pub mod expect;
mod io;
pub mod learned;
pub mod live;
pub mod mix_file;
pub mod null_server;
pub mod plan;
pub mod ratio;
pub mod replay;
pub mod report;
pub mod schedule;
pub mod slo;
pub mod stats;
pub mod suite;
pub mod target;
pub mod template;
pub mod traffic;
pub mod validity;
