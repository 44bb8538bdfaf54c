//! A table read against its section of the schema: known keys, right types, ranges kept.
//!
//! Everything that can be told from the schema alone is told here, once, and what remains are
//! values that the readers of the sections can take as they are.

use crate::diagnostic::Code;
use crate::fields::{Fields, Item, Located};
use crate::quantity::{self, NotAQuantity};
use crate::report::{Report, clip};
use crate::schema::{Absent, Key, Section, Shape, Status, Word};
use crate::source_map::Span;
use crate::suggest::closest;
use crate::tree::{Entry, Node, Value};

/// The section as it is written where it stands: `[site.route.cache]`, `[[site]]`.
fn shown(section: &'static Section, label: &str) -> String {
    section.shown().replace(section.path, label)
}

fn join(label: &str, key: &str) -> String {
    if label.is_empty() {
        key.to_owned()
    } else {
        format!("{label}.{key}")
    }
}

/// Reads a table that stands at `label`, such as `site.route.cache`.
pub(crate) fn read_table<'t>(
    section: &'static Section,
    label: &str,
    entries: &'t [Entry],
    at: Span,
    report: &mut Report,
) -> Fields<'t> {
    let mut fields = Fields::absent(section, at);
    let is_written = |key: &&Key| entries.iter().any(|entry| entry.key == key.name);
    let unwritten = section
        .keys
        .iter()
        .filter(|key| !is_written(key))
        .map(|key| key.name);
    let unwritten: Vec<&str> = unwritten.collect();
    let mut meant: Vec<(&str, Span)> = Vec::new();
    for entry in entries {
        let Some((index, key)) = section.key(&entry.key) else {
            if report.is_full() {
                continue;
            }
            let near = tell_unknown(section, label, entry, &unwritten, report);
            meant.extend(near.map(|near| (near, entry.node.at)));
            continue;
        };
        let name = join(label, key.name);
        let value = match key.status {
            Status::Works => read_value(key.shape, &name, &entry.node, report),
            Status::NotBuilt => {
                report.add(
                    Code::NotBuilt,
                    entry.key_at,
                    format!("`{name}` is part of the contract but not built yet"),
                    "remove it; until it is built nothing may depend on it",
                );
                Item::Wrong
            }
        };
        fields.items[index] = Some(Located {
            value,
            at: entry.node.at,
        });
    }
    for (name, at) in meant {
        // A misspelt key is told once; it is neither missing nor worth its default.
        if let Some((index, _)) = section.key(name) {
            fields.items[index].get_or_insert(Located {
                value: Item::Wrong,
                at,
            });
        }
    }
    for (item, key) in fields.items.iter().zip(section.keys) {
        let is_absent = match item {
            None => true,
            Some(Located {
                value: Item::Sections(sections),
                ..
            }) => sections.is_empty(),
            Some(_) => false,
        };
        if is_absent && key.absent == Absent::Refused && key.status == Status::Works {
            tell_missing((section, label), key, at, report);
        }
    }
    fields
}

fn tell_missing(
    (section, label): (&'static Section, &str),
    key: &Key,
    at: Span,
    report: &mut Report,
) {
    let (message, remedy) = if let Shape::Sections(_) = key.shape {
        let name = join(label, key.name);
        (
            format!("there is no [[{name}]]"),
            format!("add `[[{name}]]`: {}", key.doc),
        )
    } else {
        let message = format!("{} has no `{}`", shown(section, label), key.name);
        (message, format!("add `{} = …`: {}", key.name, key.doc))
    };
    report.add_absence(Code::MissingKey, at, message, remedy);
}

/// Reports a key that does not exist; returns the key that was probably meant.
fn tell_unknown(
    section: &'static Section,
    label: &str,
    entry: &Entry,
    unwritten: &[&'static str],
    report: &mut Report,
) -> Option<&'static str> {
    let key = entry.key.as_str();
    let all = section.keys.iter().map(|key| key.name);
    let near = closest(key, unwritten.iter().copied()).or_else(|| closest(key, all));
    let remedy = if let Some(near) = near {
        format!("did you mean `{near}`?")
    } else if let Some(place) = section.elsewhere(key) {
        format!("`{key}` belongs to {}", place.shown())
    } else {
        let names: Vec<&str> = section.keys.iter().map(|key| key.name).collect();
        format!("the keys here are {}", names.join(", "))
    };
    let message = format!("`{}` is not a key of {}", clip(key), shown(section, label));
    report.add(Code::UnknownKey, entry.key_at, message, remedy);
    near
}

fn read_value<'t>(shape: Shape, name: &str, node: &'t Node, report: &mut Report) -> Item<'t> {
    match (shape, &node.value) {
        (Shape::Text, Value::Text(text)) => Item::Text(text),
        (Shape::Flag, Value::Flag(flag)) => Item::Flag(*flag),
        (Shape::Count { min, max }, Value::Integer(number)) => {
            let number = number.and_then(|number| u64::try_from(number).ok());
            in_range(name, node.at, number, min, max, |n| n.to_string(), report)
        }
        (Shape::OneOf(all), Value::Integer(number)) => {
            let number = number.and_then(|number| u64::try_from(number).ok());
            match number.filter(|number| all.contains(number)) {
                Some(number) => Item::Number(number),
                None => {
                    let all: Vec<String> = all.iter().map(u64::to_string).collect();
                    let message = format!("`{name}` cannot be this number");
                    let remedy = format!("write {}", all.join(" or "));
                    report.add(Code::OutOfRange, node.at, message, remedy);
                    Item::Wrong
                }
            }
        }
        (
            Shape::Duration {
                min_ms,
                max_ms,
                step_ms,
            },
            Value::Text(text),
        ) => {
            let read = quantity::parse_duration(text).and_then(|ms| whole(ms, step_ms, text));
            let bounds = (min_ms, max_ms);
            read_quantity(name, node.at, read, bounds, quantity::show_duration, report)
        }
        (Shape::Size { min, max }, Value::Text(text)) => {
            let read = quantity::parse_size(text);
            read_quantity(name, node.at, read, (min, max), quantity::show_size, report)
        }
        (Shape::Rate { min, max }, Value::Text(text)) => {
            let show = |n| format!("{}/s", quantity::show_size(n));
            let read = quantity::parse_rate(text);
            read_quantity(name, node.at, read, (min, max), show, report)
        }
        (Shape::Word(words), Value::Text(text)) => read_word(words, name, text, node.at, report),
        (Shape::Texts { max }, Value::List(list)) => read_texts(max, name, list, node, report),
        (Shape::StatusDurations { max_ms }, Value::Table(entries)) => {
            read_status_durations(max_ms, name, entries, report)
        }
        (Shape::Section(section) | Shape::SectionOrSections(section), Value::Table(entries)) => {
            Item::Sections(vec![read_table(section, name, entries, node.at, report)])
        }
        (Shape::Sections(section) | Shape::SectionOrSections(section), Value::List(list)) => {
            read_sections(section, name, list, report)
        }
        (_, value) => {
            tell_wrong_type(shape, name, value, node.at, report);
            Item::Wrong
        }
    }
}

/// The duration, if it is a multiple of the step.
fn whole(ms: u64, step_ms: u64, text: &str) -> Result<u64, NotAQuantity> {
    if ms.is_multiple_of(step_ms) {
        return Ok(ms);
    }
    Err(NotAQuantity {
        problem: format!("`{text}` is not a whole number of seconds"),
        remedy: format!(
            "write \"{}s\"; HTTP counts lifetimes in seconds",
            ms.div_ceil(1_000)
        ),
    })
}

fn tell_wrong_type(shape: Shape, name: &str, value: &Value, at: Span, report: &mut Report) {
    let last = name.rsplit('.').next().unwrap_or(name);
    let remedy = match (shape, value) {
        (Shape::Duration { .. }, Value::Integer(Some(n))) => {
            format!("durations have a unit: write \"{n}s\" for seconds or \"{n}ms\"")
        }
        (Shape::Size { .. }, Value::Integer(Some(n))) => {
            format!("sizes have a unit: write \"{n}B\", \"{n}KiB\" or \"{n}MiB\"")
        }
        (Shape::Rate { .. }, Value::Integer(Some(n))) => {
            format!("rates have a unit: write \"{n}B/s\" or \"{n}KiB/s\"")
        }
        (Shape::Texts { .. }, Value::Text(text)) => {
            format!("put it in brackets: `{last} = [\"{}\"]`", clip(text))
        }
        (Shape::Flag, Value::Text(text)) if text == "true" || text == "false" => {
            format!("write it without quotes: `{last} = {text}`")
        }
        (Shape::Count { .. } | Shape::OneOf(_), Value::Text(text))
            if text.parse::<u64>().is_ok() =>
        {
            format!("write it without quotes: `{last} = {text}`")
        }
        (Shape::Text | Shape::Word(_), Value::List(list)) if list.len() == 1 => {
            format!("write the one string without brackets: `{last} = \"…\"`")
        }
        (Shape::Sections(_), Value::Table(_)) => {
            format!("write the section's name in double brackets: `[[{name}]]`")
        }
        (Shape::Section(_), Value::List(_)) => {
            format!("write the section's name in single brackets, and once: `[{name}]`")
        }
        _ => format!("write {}", shape.wanted()),
    };
    let message = format!("`{name}` is {}, not {}", value.kind(), shape.wanted());
    report.add(Code::WrongType, at, message, remedy);
}

fn read_quantity<'t>(
    name: &str,
    at: Span,
    read: Result<u64, NotAQuantity>,
    (min, max): (u64, u64),
    show: impl Fn(u64) -> String,
    report: &mut Report,
) -> Item<'t> {
    match read {
        Ok(number) => in_range(name, at, Some(number), min, max, show, report),
        Err(NotAQuantity { problem, remedy }) => {
            report.add(
                Code::BadQuantity,
                at,
                format!("`{name}`: {problem}"),
                remedy,
            );
            Item::Wrong
        }
    }
}

fn in_range<'t>(
    name: &str,
    at: Span,
    number: Option<u64>,
    min: u64,
    max: u64,
    show: impl Fn(u64) -> String,
    report: &mut Report,
) -> Item<'t> {
    match number {
        Some(number) if (min..=max).contains(&number) => Item::Number(number),
        Some(_) | None => {
            let size = if number.is_some_and(|number| number > max) {
                "large"
            } else {
                "small"
            };
            let problem = match number {
                Some(number) => format!("`{name}`: {} is too {size}", show(number)),
                None => format!("`{name}`: the number is outside its range"),
            };
            let remedy = format!("write a value from {} to {}", show(min), show(max));
            report.add(Code::OutOfRange, at, problem, remedy);
            Item::Wrong
        }
    }
}

fn read_word<'t>(
    words: &'static [Word],
    name: &str,
    text: &str,
    at: Span,
    report: &mut Report,
) -> Item<'t> {
    let working: Vec<&str> = words
        .iter()
        .filter(|word| word.status == Status::Works)
        .map(|word| word.text)
        .collect();
    let all = working.join(", ");
    match words.iter().find(|word| word.text == text) {
        Some(word) if word.status == Status::Works => Item::Word(word.text),
        Some(word) => {
            let message = format!(
                "`{name} = \"{}\"` is part of the contract but not built yet",
                word.text
            );
            report.add(
                Code::NotBuilt,
                at,
                message,
                format!("remove it; what works is {all}"),
            );
            Item::Wrong
        }
        None => {
            let remedy = match closest(text, words.iter().map(|word| word.text)) {
                Some(near) => format!("did you mean \"{near}\"?"),
                None => format!("write one of {all}"),
            };
            let message = format!("`{name}` has no choice `{}`", clip(text));
            report.add(Code::UnknownWord, at, message, remedy);
            Item::Wrong
        }
    }
}

fn read_texts<'t>(
    max: usize,
    name: &str,
    list: &'t [Node],
    node: &Node,
    report: &mut Report,
) -> Item<'t> {
    if list.len() > max {
        let message = format!("`{name}` has {} elements", list.len());
        report.add(
            Code::OutOfRange,
            node.at,
            message,
            format!("{max} are allowed"),
        );
        return Item::Wrong;
    }
    let mut texts = Vec::with_capacity(list.len());
    for item in list {
        match &item.value {
            Value::Text(text) => texts.push(Located {
                value: text.as_str(),
                at: item.at,
            }),
            other => {
                let message = format!("an element of `{name}` is {}, not a string", other.kind());
                report.add(Code::WrongType, item.at, message, "write strings in quotes");
            }
        }
    }
    if texts.len() == list.len() {
        Item::Texts(texts)
    } else {
        Item::Wrong
    }
}

fn read_status_durations<'t>(
    max_ms: u64,
    name: &str,
    entries: &[Entry],
    report: &mut Report,
) -> Item<'t> {
    let mut pairs = Vec::with_capacity(entries.len());
    for entry in entries {
        let status = entry
            .key
            .parse()
            .ok()
            .filter(|status| (200..=599).contains(status));
        let Some(status) = status.filter(|_| entry.key.len() == 3) else {
            report.add(
                Code::BadStatus,
                entry.key_at,
                format!(
                    "`{}` is no status code of a final response",
                    clip(&entry.key)
                ),
                "write a code from 200 to 599: `{ \"404\" = \"10s\" }`",
            );
            continue;
        };
        let inner = join(name, &entry.key);
        let shape = Shape::Duration {
            min_ms: 0,
            max_ms,
            step_ms: 1_000,
        };
        if let Item::Number(ms) = read_value(shape, &inner, &entry.node, report) {
            pairs.push((status, ms));
        }
    }
    if pairs.len() == entries.len() {
        Item::StatusDurations(pairs)
    } else {
        Item::Wrong
    }
}

fn read_sections<'t>(
    section: &'static Section,
    name: &str,
    list: &'t [Node],
    report: &mut Report,
) -> Item<'t> {
    let mut sections = Vec::with_capacity(list.len());
    for item in list {
        match &item.value {
            Value::Table(entries) => {
                sections.push(read_table(section, name, entries, item.at, report));
            }
            other => {
                let message = format!("an element of `{name}` is {}, not a table", other.kind());
                let remedy = format!("write each under its own `[[{name}]]`");
                report.add(Code::WrongType, item.at, message, remedy);
            }
        }
    }
    Item::Sections(sections)
}
