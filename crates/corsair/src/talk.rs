//! Words for people, on standard error, a whole message at a time.

use std::io::Write as _;

/// Says a message of one or more lines. A closed standard error is no reason to stop serving.
pub(crate) fn say(message: &str) {
    let text = format!("{message}\n");
    let _unheard = std::io::stderr().lock().write_all(text.as_bytes());
}
