//! Panics, told as one line and counted. Workers and the control thread catch their own and live
//! on; this hook only decides what is seen of them.

use std::panic::PanicHookInfo;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use crate::talk::say;

/// Characters of a panic's message that are shown.
const MESSAGE_CHARS_MAX: usize = 300;

static COUNT: AtomicU64 = AtomicU64::new(0);

/// Internal errors of all threads since the start.
pub(crate) fn count() -> u64 {
    COUNT.load(Ordering::Relaxed)
}

/// Replaces the standard hook, which prints a backtrace hint and the word panic.
pub(crate) fn install_hook() {
    std::panic::set_hook(Box::new(|info| {
        COUNT.fetch_add(1, Ordering::Relaxed);
        say(&line(info, thread::current().name().unwrap_or("unnamed")));
    }));
}

fn line(info: &PanicHookInfo<'_>, thread: &str) -> String {
    let place = info.location().map_or_else(
        || "an unknown place".to_owned(),
        // Dependencies are known by absolute paths; their last parts say enough.
        |at| format!("{}:{}", last_parts(at.file()), at.line()),
    );
    format!(
        "internal error in {thread} at {place}: {}",
        clean(message(info))
    )
}

fn message<'a>(info: &'a PanicHookInfo<'_>) -> &'a str {
    let payload = info.payload();
    let owned = payload.downcast_ref::<String>().map(String::as_str);
    owned
        .or_else(|| payload.downcast_ref::<&str>().copied())
        .unwrap_or("no message")
}

/// At most the last four parts of a path: `crate/src/…/file.rs`.
fn last_parts(path: &str) -> &str {
    path.rmatch_indices('/')
        .nth(3)
        .map_or(path, |(slash, _)| &path[slash + 1..])
}

/// One line of bounded length, whatever was said.
fn clean(message: &str) -> String {
    let shown = message.chars().take(MESSAGE_CHARS_MAX);
    shown
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_become_one_bounded_line() {
        let table = [
            ("plain", "plain".to_owned()),
            (
                "left: 1\nright: 2\u{1b}[31m",
                "left: 1 right: 2 [31m".to_owned(),
            ),
            (&"é".repeat(400), "é".repeat(MESSAGE_CHARS_MAX)),
        ];
        for (message, expected) in table {
            assert_eq!(clean(message), expected);
        }
    }

    #[test]
    fn places_lose_the_directories_of_the_building_machine() {
        let table = [
            ("crates/server/src/worker.rs", "crates/server/src/worker.rs"),
            (
                "/home/x/.cargo/registry/src/index/axum-0.8.9/src/lib.rs",
                "index/axum-0.8.9/src/lib.rs",
            ),
            ("main.rs", "main.rs"),
        ];
        for (path, expected) in table {
            assert_eq!(last_parts(path), expected);
        }
    }
}
