//! Replays every file of the fuzz corpus through the fuzz bodies.

use std::path::Path;

use corsair_http1::fuzz;

/// Fewer files than this means that the corpus was lost, not that it shrank.
const FILES_MIN: usize = 20;

fn check(corpus: &str, body: fn(&[u8])) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fuzz/corpus");
    let directory = root.join(corpus);
    let mut files = 0;
    for entry in std::fs::read_dir(&directory).expect("the corpus is in the repository") {
        let path = entry.expect("the directory can be read").path();
        body(&std::fs::read(&path).expect("a corpus file can be read"));
        files += 1;
    }
    assert!(files >= FILES_MIN, "{corpus}: {files} files");
}

#[test]
fn request_heads() {
    check("http1_request_head", fuzz::request_head);
}

#[test]
fn response_heads() {
    check("http1_response_head", fuzz::response_head);
}

#[test]
fn chunked_bodies() {
    check("http1_chunked", fuzz::chunked);
}

#[test]
fn targets() {
    check("http1_target", fuzz::target);
}
