//! Any bytes as an Access-Control-Request-Headers list; the body and what it asserts live in
//! the crate, where `cargo test` replays the corpus.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| corsair_rules::fuzzing::requested_headers(data));
