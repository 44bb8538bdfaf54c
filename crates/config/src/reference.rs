//! The reference page: the schema and the diagnostic codes as Markdown.
//!
//! Generated from the same tables that the checker reads; a test keeps `configs/REFERENCE.md` equal
//! to it. Knows nothing that is not in those tables.

use corsair_rules::LINT_TABLE;

use crate::diagnostic::Code;
use crate::quantity::{show_duration, show_size};
use crate::schema::{Absent, Key, Section, Shape, Status};

/// The whole page, ending in a newline.
///
/// ```
/// let page = corsair_config::reference();
/// assert!(page.contains("| `head_timeout` | duration, 100ms to 10m | `\"10s\"` |"));
/// ```
pub fn reference() -> String {
    let mut out = String::from(
        "# Configuration reference\n\n\
         Generated from the tables of `crates/config`; a test keeps it true. Examples with \
         comments are the files beside this one.\n\n\
         A configuration is TOML. Unknown keys are errors, and so are keys marked *not built yet*: \
         nothing is accepted and ignored. Durations are whole numbers with `ms`, `s`, `m`, `h` or \
         `d` (`\"1h30m\"`), sizes with `B`, `KiB` (1024) or `KB` (1000) and so on (`\"64MiB\"`), \
         rates are sizes a second (`\"500B/s\"`).\n",
    );
    let mut seen = Vec::new();
    Section::root().visit(&mut |section| {
        if !section.path.is_empty() && !seen.contains(&section.path) {
            seen.push(section.path);
            push_section(&mut out, section);
        }
    });
    out.push_str(
        "\n## Diagnostics\n\n`E` keeps a configuration from being applied, `W` does not.\n",
    );
    out.push_str("\n| code | meaning |\n| --- | --- |\n");
    for code in Code::ALL {
        out.push_str(&format!("| {} | {} |\n", code.as_str(), code.title()));
    }
    out.push_str(
        "\nThose from 101 on are about rules. Each example is a line of a `[[site]]` for \
         `cdn.example.com` that is told so.\n\n\
         | code | meaning | what to do | example |\n| --- | --- | --- | --- |\n",
    );
    for row in LINT_TABLE {
        out.push_str(&format!(
            "| {} | {} | {} | `{}` |\n",
            row.code,
            cell(row.meaning),
            cell(row.remedy),
            cell(row.example)
        ));
    }
    out
}

fn push_section(out: &mut String, section: &'static Section) {
    out.push_str(&format!(
        "\n## `{}`\n\n{}\n\n",
        section.shown(),
        section.doc
    ));
    out.push_str("| key | value | default | meaning |\n| --- | --- | --- | --- |\n");
    for key in section.keys {
        let name = match key.status {
            Status::Works => format!("`{}`", key.name),
            Status::NotBuilt => format!("`{}` *(not built yet)*", key.name),
        };
        let absent = match key.absent {
            Absent::Refused => "must be given".to_owned(),
            Absent::Means(text) if is_quoted(key) => format!("`\"{text}\"`"),
            Absent::Means(text) => format!("`{text}`"),
            Absent::Told(text) => text.to_owned(),
        };
        let value = shape(key.shape);
        out.push_str(&format!(
            "| {name} | {value} | {} | {} |\n",
            cell(&absent),
            cell(key.doc)
        ));
    }
}

/// A text inside a table: a bar would end the cell.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

fn is_quoted(key: &Key) -> bool {
    match key.shape {
        Shape::Flag | Shape::Count { .. } | Shape::OneOf(_) => false,
        Shape::Text
        | Shape::Word(_)
        | Shape::Duration { .. }
        | Shape::Size { .. }
        | Shape::Rate { .. }
        | Shape::Texts { .. }
        | Shape::StatusDurations { .. }
        | Shape::Section(_)
        | Shape::Sections(_)
        | Shape::SectionOrSections(_)
        | Shape::Later(_) => true,
    }
}

fn shape(shape: Shape) -> String {
    match shape {
        Shape::Text => "string".to_owned(),
        Shape::Flag => "`true` or `false`".to_owned(),
        Shape::Count { min, max } => format!("whole number, {min} to {max}"),
        Shape::OneOf(all) => numbers(all),
        Shape::Duration {
            min_ms,
            max_ms,
            step_ms,
        } => {
            let unit = if step_ms == 1_000 {
                "duration in whole seconds"
            } else {
                "duration"
            };
            format!(
                "{unit}, {} to {}",
                show_duration(min_ms),
                show_duration(max_ms)
            )
        }
        Shape::Size { min, max } => format!("size, {} to {}", show_size(min), show_size(max)),
        Shape::Rate { min, max } => format!("rate, {}/s to {}/s", show_size(min), show_size(max)),
        Shape::Word(words) => {
            let shown = words.iter().map(|word| match word.status {
                Status::Works => format!("`\"{}\"`", word.text),
                Status::NotBuilt => format!("`\"{}\"` *(not built yet)*", word.text),
            });
            shown.collect::<Vec<_>>().join(", ")
        }
        Shape::Texts { max } => format!("array of at most {max} strings"),
        Shape::StatusDurations { .. } => "table such as `{ \"404\" = \"10s\" }`".to_owned(),
        Shape::Section(inner) => format!("table, see `[{}]`", inner.path),
        Shape::Sections(inner) => format!("tables, see `[[{}]]`", inner.path),
        Shape::SectionOrSections(inner) => format!("table or tables, see `[{}]`", inner.path),
        Shape::Later(written) => format!("`{written}`"),
    }
}

/// `204 or 403`.
fn numbers(all: &[u64]) -> String {
    let shown: Vec<String> = all.iter().map(|number| format!("`{number}`")).collect();
    shown.join(" or ")
}
