//! Tests of the load generator through its public items and its command.

#![expect(
    clippy::unwrap_used,
    reason = "a step of a test that fails is a failed test"
)]

mod artefact;
mod demand;
mod exchange;
mod expect;
mod null_server;
mod outputs;
mod run;
mod selfcheck;
mod server;
mod suite;
mod suite_report;
mod traffic;
