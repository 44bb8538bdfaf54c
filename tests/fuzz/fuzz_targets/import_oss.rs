//! Any bytes as a policy of OSS; the body and what it asserts live in the crate, where `cargo
//! test` replays the corpus.
#![no_main]

use corsair_config::fuzzing::import_as;
use corsair_config::import::ImportKind;

libfuzzer_sys::fuzz_target!(|text: &str| import_as(ImportKind::Oss, text));
