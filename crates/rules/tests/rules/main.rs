//! Tests of the rules that need more than one module: one binary, one link.

mod answer_memo;
mod attacks;
mod choosing;
mod corpus;
mod cors_decisions;
mod cors_modes;
mod header_lints;
mod header_operations;
mod header_variants;
mod inclusion;
mod origin_matching;
mod support;
