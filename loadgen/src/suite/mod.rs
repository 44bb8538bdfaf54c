//! Benchmark suites: scenarios, the peers that compete in them, and the artefact they leave.

pub mod artefact;
