//! The embedded demo: `configs/demo.toml` in front of a built-in upstream, and lines to try it
//! with.
//!
//! The configuration is the file's own text; only the upstream's address is replaced, as `--set`
//! would. So what is shown here can be copied from the file, and the file is tested by every demo.

mod content;
mod font;
mod picture;
mod upstream;

use std::net::SocketAddr;

use crate::talk::say;

/// The text of `configs/demo.toml`.
pub(crate) const CONFIG: &str = include_str!("../../../configs/demo.toml");

/// Starts the built-in upstream; it lives as long as the process.
///
/// # Errors
/// When no loopback port or no thread can be had.
pub(crate) fn start_upstream() -> anyhow::Result<SocketAddr> {
    upstream::start()
}

/// Says what can be tried, with the addresses of this run.
pub(crate) fn say_hints(node: SocketAddr, admin: SocketAddr, upstream: SocketAddr) {
    say(&hints(node, admin, upstream));
}

fn hints(node: SocketAddr, admin: SocketAddr, upstream: SocketAddr) -> String {
    let url = format!("http://{node}");
    let curl = "curl -sS -D-";
    let json = format!("{url}/api/products.json");
    let friend = "-H 'Origin: https://app.example.com'";
    let stranger = "-H 'Origin: https://evil.example'";
    let asks = "-H 'Access-Control-Request-Method: POST' \
                -H 'Access-Control-Request-Headers: content-type'";
    let etag = content::etag_of_picture();
    let lines = [
        (
            "twice: first a miss, then a hit",
            format!("{curl} -o /dev/null {json}"),
        ),
        (
            "a Web origin of the policy gets its own answer from the same stored response",
            format!("{curl} -o /dev/null {friend} {json}"),
        ),
        (
            "one that is not listed gets nothing a browser would accept",
            format!("{curl} -o /dev/null {stranger} {json}"),
        ),
        (
            "a preflight, answered without asking the upstream",
            format!("{curl} -X OPTIONS {friend} {asks} {json}"),
        ),
        (
            "fonts are for everybody",
            format!("{curl} -o /dev/null {stranger} {url}/fonts/corsair.woff2"),
        ),
        (
            "a hundred bytes of four MiB: 206",
            format!("{curl} -o /dev/null -H 'Range: bytes=1000-1099' {url}/video/sea.mp4"),
        ),
        (
            "nothing new: 304",
            format!("{curl} -H 'If-None-Match: {etag}' {url}/images/sea.png"),
        ),
        (
            "what was counted",
            format!("curl -sS http://{admin}/metrics | grep corsair_outcomes"),
        ),
    ];
    let lines: String = lines
        .iter()
        .map(|(what, line)| format!("  # {what}\n  {line}\n"))
        .collect();
    format!(
        "\nThe demo: configs/demo.toml before a built-in upstream on {upstream}.\n\
         In a browser: {url}/   Lines to copy:\n{lines}\
         Ctrl-C ends it. Another port: --set listener.0.address=127.0.0.1:8081"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_hint_is_one_shell_line_with_the_real_addresses() {
        let [node, admin, upstream] =
            ["127.0.0.1:18080", "127.0.0.1:19180", "127.0.0.1:33333"].map(|a| a.parse().unwrap());
        let text = hints(node, admin, upstream);
        let lines: Vec<&str> = text
            .lines()
            .filter(|line| line.starts_with("  curl "))
            .collect();
        assert_eq!(lines.len(), 8);
        for line in lines {
            assert_eq!(line.matches('\'').count() % 2, 0, "{line}");
            let to = if line.contains("/metrics") {
                "http://127.0.0.1:19180/"
            } else {
                "http://127.0.0.1:18080/"
            };
            assert!(line.contains(to), "{line}");
        }
        assert!(text.contains("upstream on 127.0.0.1:33333"), "{text}");
    }

    #[test]
    fn hints_name_only_what_the_upstream_has() {
        let address: SocketAddr = "127.0.0.1:1".parse().unwrap();
        let content = content::Content::build();
        for line in hints(address, address, address)
            .lines()
            .filter(|l| l.starts_with("  curl "))
        {
            let path = line
                .split("http://127.0.0.1:1")
                .nth(1)
                .unwrap()
                .split(' ')
                .next()
                .unwrap();
            assert!(path == "/metrics" || content.find(path).is_some(), "{line}");
        }
    }
}
