//! Replays every file of the fuzz corpus through the fuzz bodies.

use corsair_rules::fuzzing;
use std::path::Path;

/// Fewer files than this means that the corpus was lost, not that it shrank.
const FILES_MIN: usize = 15;

fn check(corpus: &str, body: fn(&[u8])) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fuzz/corpus");
    let mut files = 0;
    for entry in std::fs::read_dir(root.join(corpus)).expect("the corpus is in the repository") {
        let path = entry.expect("the directory can be read").path();
        body(&std::fs::read(&path).expect("a corpus file can be read"));
        files += 1;
    }
    assert!(files >= FILES_MIN, "{corpus}: {files} files");
}

#[test]
fn origins() {
    check("rules_origin", fuzzing::origin);
}

#[test]
fn patterns() {
    check("rules_pattern", fuzzing::pattern);
}

#[test]
fn requested_headers() {
    check("rules_requested_headers", fuzzing::requested_headers);
}
