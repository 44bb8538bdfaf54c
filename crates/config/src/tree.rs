//! TOML text to a tree of values that all know their place.
//!
//! The `toml` crate's tables come sorted by key; here they are in the order of the file, which is
//! the order people expect to read about. What is not TOML is told by [`crate::syntax`].

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::report::Report;
use crate::source_map::Span;
use crate::syntax::Sound;

/// A value and where it is written.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) at: Span,
    pub(crate) value: Value,
}

/// One key of a table.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) key_at: Span,
    pub(crate) node: Node,
}

/// A TOML value; numbers that no key could take are kept as what they are not.
#[derive(Debug, Clone)]
pub(crate) enum Value {
    Text(String),
    /// `None`: outside the 64 bits TOML promises.
    Integer(Option<i64>),
    Float,
    Flag(bool),
    Datetime,
    List(Vec<Node>),
    Table(Vec<Entry>),
}

impl Value {
    /// The type in the words of messages.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Text(_) => "a string",
            Self::Integer(_) => "a whole number",
            Self::Float => "a fraction",
            Self::Flag(_) => "true or false",
            Self::Datetime => "a date",
            Self::List(_) => "an array",
            Self::Table(_) => "a table",
        }
    }
}

/// Reads a document; its spans count from `base`. Syntax errors go to the report.
pub(crate) fn parse_document(text: &str, base: usize, report: &mut Report) -> Vec<Entry> {
    let sound = Sound::of(text, base, report);
    entries(sound.table().get_ref(), base)
}

/// Reads one value, as after `=`; `None` if the text is not exactly one.
pub(crate) fn parse_value(text: &str, base: usize) -> Option<Node> {
    let value = DeValue::parse(text).ok()?;
    Some(node(&value, base))
}

fn entries(table: &DeTable<'_>, base: usize) -> Vec<Entry> {
    let mut entries: Vec<Entry> = table
        .iter()
        .map(|(key, value)| Entry {
            key: key.get_ref().clone().into_owned(),
            key_at: span(key, base),
            node: node(value, base),
        })
        .collect();
    entries.sort_by_key(|entry| entry.key_at);
    entries
}

fn node(value: &Spanned<DeValue<'_>>, base: usize) -> Node {
    let converted = match value.get_ref() {
        DeValue::String(text) => Value::Text(text.clone().into_owned()),
        DeValue::Integer(number) => {
            Value::Integer(i64::from_str_radix(number.as_str(), number.radix()).ok())
        }
        DeValue::Float(_) => Value::Float,
        DeValue::Boolean(flag) => Value::Flag(*flag),
        DeValue::Datetime(_) => Value::Datetime,
        DeValue::Array(list) => Value::List(list.iter().map(|item| node(item, base)).collect()),
        DeValue::Table(table) => Value::Table(entries(table, base)),
    };
    Node {
        at: span(value, base),
        value: converted,
    }
}

fn span<T>(spanned: &Spanned<T>, base: usize) -> Span {
    let range = spanned.span();
    Span {
        start: base + range.start,
        end: base + range.end.max(range.start),
    }
}
