//! Any bytes as a configuration; the body and what it asserts live in the crate, where `cargo
//! test` replays the corpus.
#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| corsair_config::fuzzing::config(text));
