//! Benchmark suites: scenarios, the peers that compete in them, and the artefact they leave.
//!
//! A suite starts every peer with a configuration that does the same job, verifies it byte for
//! byte, and times all of them in alternating rounds, so that what the machine does meanwhile is
//! done to all. It installs nothing, listens on loopback only, and ends what it started.

mod allotment;
pub mod artefact;
pub mod job;
mod judging;
pub mod load;
pub mod machine;
mod open_loop;
pub mod peer;
mod ports;
mod record_lines;
mod rounds;
pub mod scenario;
pub mod server_process;
pub mod stage;
pub mod statistics;
pub mod suite_run;
