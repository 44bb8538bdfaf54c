//! Corsair seen from outside: the real binary between a scripted upstream and a raw client.
//!
//! One file per family of behaviour; the harness is described in [`harness`]. Every scenario runs
//! on the driver named by `CORSAIR_TEST_DRIVER`, io_uring by default.

mod bad_requests;
mod bounds;
mod cache;
mod cli;
mod collapse;
mod configs;
mod cors;
mod cors_attacks;
mod cors_policies;
mod demo;
mod drivers;
mod explain_agrees;
mod faults;
mod harness;
mod harness_itself;
mod header_operations;
mod limits;
mod operations;
mod origin_lists;
mod passthrough;
mod passthrough_refused;
mod ranges;
mod readme;
mod seeds;
mod tidy;
mod traffic;
mod validation;
mod vary;
