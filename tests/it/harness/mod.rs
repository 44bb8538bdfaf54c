//! What the scenarios are told with: a scripted upstream, a real node process, a raw client.
//!
//! Everything here stands on `std::net` and its own small reading of RFC 9112, written as a judge:
//! it accepts only what a conforming sender may send. It never uses Corsair's own parser, so that
//! one mistake cannot sit on both sides of a test.

pub(crate) mod client;
pub(crate) mod memory;
pub(crate) mod node;
pub(crate) mod pace;
pub(crate) mod upstream;
pub(crate) mod wire;

pub(crate) use client::{Client, Response};
pub(crate) use memory::{CpuTime, Resident};
pub(crate) use node::{Node, NodeConfig};
pub(crate) use pace::{Gate, eventually, pause};
pub(crate) use upstream::{Upstream, pattern};
pub(crate) use wire::WireError;
