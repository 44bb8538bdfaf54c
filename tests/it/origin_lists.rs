//! Lists of origins in files of their own: read again when they change, refused whole with the line
//! that is wrong, while the old list stays in force.

use crate::harness::{Node, NodeConfig, Upstream};

const FRESH: (&str, &str) = ("Cache-Control", "max-age=600");
const SITE: &str = "[site.cors]\norigins_file = \"tenants.txt\"\n";

fn node_with(upstream: &Upstream, list: &str) -> Node {
    let node = NodeConfig::before(upstream)
        .site(SITE)
        .beside("tenants.txt", list)
        .start();
    upstream
        .expect("GET /a")
        .reply(200)
        .header(FRESH.0, FRESH.1)
        .body("body");
    node.get("/a").send().is(200).cache("miss");
    node
}

#[track_caller]
fn grants(node: &Node, origin: &str, expected: bool) {
    let response = node.get("/a").origin(origin).send();
    response.is(200).cache("hit").lists("Vary", "Origin");
    let granted = response.head.field("Access-Control-Allow-Origin");
    assert_eq!(granted.as_deref(), expected.then_some(origin));
}

#[test]
fn a_list_that_changes_is_read_again() {
    let upstream = Upstream::start();
    let node = node_with(&upstream, "https://one.example # the first\n");
    grants(&node, "https://one.example", true);
    grants(&node, "https://two.example", false);
    let said = node.talk().len();
    node.rewrite_beside("tenants.txt", "# moved\n\nhttps://two.example\n");
    node.said_after(said, "reloaded (origins_file changed): plan 2 is in force");
    grants(&node, "https://one.example", false);
    grants(&node, "https://two.example", true);
    assert_eq!(upstream.received().len(), 1, "nothing stored was given up");
}

#[test]
fn a_list_with_a_typo_or_without_a_file_leaves_the_old_one_in_force() {
    let upstream = Upstream::start();
    let node = node_with(&upstream, "https://one.example\n");
    let said = node.talk().len();
    node.rewrite_beside(
        "tenants.txt",
        "https://two.example\n# next\nhttps:/three.example\n",
    );
    node.said_after(said, "tenants.txt:3:1: error[E101]");
    node.said_after(
        said,
        "reload failed (origins_file changed): the configuration has 1 error",
    );
    grants(&node, "https://one.example", true);
    grants(&node, "https://two.example", false);
    // Mended, it is taken without being told.
    let said = node.talk().len();
    node.rewrite_beside(
        "tenants.txt",
        "https://two.example\n# next\nhttps://three.example\n",
    );
    node.said_after(said, "reloaded (origins_file changed)");
    grants(&node, "https://three.example", true);
}

#[test]
fn a_configuration_that_is_being_edited_waits_for_its_own_reload() {
    let upstream = Upstream::start();
    let node = node_with(&upstream, "https://one.example\n");
    // Half an edit: not TOML. Nobody asked for it to be read.
    node.rewrite("[[site]\n");
    let said = node.talk().len();
    node.rewrite_beside("tenants.txt", "https://two.example\n");
    node.said_after(said, "reloaded (origins_file changed)");
    grants(&node, "https://two.example", true);
}

#[test]
fn a_typo_in_a_hundred_thousand_lines_is_told_with_its_line() {
    let lines: Vec<String> = (0..100_000)
        .map(|at| format!("https://tenant-{at}.example"))
        .collect();
    let upstream = Upstream::start();
    let node = node_with(&upstream, &lines.join("\n"));
    grants(&node, "https://tenant-99999.example", true);
    let said = node.talk().len();
    let mut wrong = lines.clone();
    wrong[77_776] = "https://tenant-77776.example/".to_owned();
    node.rewrite_beside("tenants.txt", &wrong.join("\n"));
    node.said_after(said, "tenants.txt:77777:1: error[E101]");
    node.said_after(said, "reload failed");
    grants(&node, "https://tenant-77776.example", true);
    let said = node.talk().len();
    node.rewrite_beside("tenants.txt", &lines[..50_000].join("\n"));
    node.said_after(said, "reloaded (origins_file changed)");
    grants(&node, "https://tenant-49999.example", true);
    grants(&node, "https://tenant-50000.example", false);
}
