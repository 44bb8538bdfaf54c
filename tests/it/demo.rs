//! The demo: `corsair run` without a configuration prints commands, and each of them works.

use std::process::Command;

use crate::harness::Node;
use crate::harness::node::{binary, driver};

/// The demo on free ports.
fn start() -> Node {
    let mut command = Command::new(binary());
    command.arg("run");
    for set in [
        "listener.0.address=127.0.0.1:0",
        "admin.listen=127.0.0.1:0",
        "node.workers=1",
        &format!("node.driver={}", driver()),
    ] {
        command.arg("--set").arg(set);
    }
    Node::spawn(command)
}

fn curl_lines(node: &Node) -> Vec<String> {
    let said = node.talk().join("\n") + "\n" + &node.printed();
    said.lines()
        .filter_map(|line| {
            line.trim()
                .strip_prefix("curl ")
                .map(|rest| format!("curl {rest}"))
        })
        .collect()
}

#[test]
fn each_printed_command_works() {
    let node = start();
    crate::harness::eventually("the demo prints commands", || {
        (curl_lines(&node).len() >= 4).then_some(())
    });
    for line in curl_lines(&node) {
        let output = Command::new("timeout")
            .args(["10", "sh", "-c", &line])
            .output()
            .expect("a shell and curl");
        let answer = String::from_utf8_lossy(&output.stdout).into_owned()
            + &String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{line}\n{answer}");
        let bad = ["HTTP/1.1 4", "HTTP/1.1 5"]
            .iter()
            .any(|bad| answer.contains(bad));
        assert!(!bad || line.contains('#'), "{line}\n{answer}");
    }
}

#[test]
fn the_demo_serves_through_a_real_cache_with_cors() {
    let node = start();
    crate::harness::eventually("the demo prints commands", || {
        (!curl_lines(&node).is_empty()).then_some(())
    });
    let paths: Vec<String> = curl_lines(&node)
        .iter()
        .filter_map(|line| {
            let (_, rest) = line.split_once("http://")?;
            let url = rest.split([' ', '\'', '"']).next()?;
            let (authority, path) = url.split_once('/')?;
            (authority == node.address().to_string()).then(|| format!("/{path}"))
        })
        .collect();
    assert!(paths.len() >= 3, "{paths:?}");
    let mut hits = 0;
    for path in &paths {
        let first = node.get(path).send();
        let second = node.get(path).send();
        assert_eq!(first.status, second.status, "{path}");
        hits += usize::from(second.cache_word() == "hit");
    }
    assert!(hits >= 3, "{hits} hits among {paths:?}");
}
