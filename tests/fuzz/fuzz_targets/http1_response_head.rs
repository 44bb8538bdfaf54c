//! Any bytes as a response head; the body and what it asserts live in the crate, where `cargo
//! test` replays the corpus.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| corsair_http1::fuzz::response_head(data));
