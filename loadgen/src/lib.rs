//! Load generator for HTTP/1.1 servers, and the null servers that show where its own ceiling is.
//!
//! The library holds what the `loadgen` command does; the command only reads flags and turns
//! results into exit codes.

pub mod affinity;
pub mod clock;
pub mod draw;
mod io;
pub mod null_server;
pub mod template;
