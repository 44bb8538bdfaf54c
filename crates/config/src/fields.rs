//! The keys of one table, read and of the right type: what the readers of sections work on.
//!
//! [`crate::table`] makes them. A key that is not there, and one that was written wrongly and has
//! been reported, both have no value here.

use crate::quantity;
use crate::report::Report;
use crate::schema::{Absent, Key, Section, Shape};
use crate::source_map::Span;
use crate::table::read_table;
use crate::tree::Entry;

/// A value and where it is written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Located<T> {
    pub(crate) value: T,
    pub(crate) at: Span,
}

/// A value of the type its key has in the schema.
#[derive(Debug)]
pub(crate) enum Item<'t> {
    Text(&'t str),
    Flag(bool),
    /// A count, milliseconds, bytes or bytes a second.
    Number(u64),
    Word(&'static str),
    Texts(Vec<Located<&'t str>>),
    StatusDurations(Vec<(u16, u64)>),
    Sections(Vec<Fields<'t>>),
    /// Written, and already reported.
    Wrong,
}

/// One table, read.
#[derive(Debug)]
pub(crate) struct Fields<'t> {
    /// Where the table begins: its header, brace or first key.
    pub(crate) at: Span,
    pub(crate) section: &'static Section,
    /// By position of the key in the section.
    pub(crate) items: Vec<Option<Located<Item<'t>>>>,
}

impl<'t> Fields<'t> {
    /// Reads the document's top level.
    pub(crate) fn of_document(entries: &'t [Entry], at: Span, report: &mut Report) -> Self {
        read_table(Section::root(), "", entries, at, report)
    }

    /// A table that is not there: every key has its default.
    pub(crate) fn absent(section: &'static Section, at: Span) -> Self {
        Self {
            at,
            section,
            items: section.keys.iter().map(|_| None).collect(),
        }
    }

    fn item(&self, name: &str) -> Option<&Located<Item<'t>>> {
        let (index, _) = self
            .section
            .key(name)
            .expect("readers ask for keys of the schema");
        self.items[index].as_ref()
    }

    /// Whether the key is written, but with a value that was reported and has no meaning.
    pub(crate) fn is_wrong(&self, name: &str) -> bool {
        self.item(name)
            .is_some_and(|item| matches!(item.value, Item::Wrong))
    }

    /// Where the key's value is written, or where the table begins.
    pub(crate) fn at(&self, name: &str) -> Span {
        self.item(name).map_or(self.at, |item| item.at)
    }

    /// Where the key's value is written, if it is.
    pub(crate) fn written_at(&self, name: &str) -> Option<Span> {
        self.item(name).map(|item| item.at)
    }

    /// A string.
    pub(crate) fn text(&self, name: &str) -> Option<Located<&'t str>> {
        let item = self.item(name)?;
        let Item::Text(text) = item.value else {
            return None;
        };
        Some(Located {
            value: text,
            at: item.at,
        })
    }

    /// `true` or `false`.
    pub(crate) fn flag(&self, name: &str) -> Option<bool> {
        let Item::Flag(flag) = self.item(name)?.value else {
            return None;
        };
        Some(flag)
    }

    /// A count, milliseconds, bytes or bytes a second.
    pub(crate) fn number(&self, name: &str) -> Option<u64> {
        let Item::Number(number) = self.item(name)?.value else {
            return None;
        };
        Some(number)
    }

    /// The same, or the default that the schema has for it.
    pub(crate) fn number_or_default(&self, name: &str) -> u64 {
        self.number(name).unwrap_or_else(|| {
            let (_, key) = self
                .section
                .key(name)
                .expect("readers ask for keys of the schema");
            default_number(key).expect("a test reads every default of the schema")
        })
    }

    /// One of the words of the schema.
    pub(crate) fn word(&self, name: &str) -> Option<&'static str> {
        let Item::Word(word) = self.item(name)?.value else {
            return None;
        };
        Some(word)
    }

    /// An array of strings.
    pub(crate) fn texts(&self, name: &str) -> Option<&[Located<&'t str>]> {
        let Item::Texts(texts) = &self.item(name)?.value else {
            return None;
        };
        Some(texts)
    }

    /// A table of durations by status code, in milliseconds.
    pub(crate) fn status_durations(&self, name: &str) -> Option<&[(u16, u64)]> {
        let Item::StatusDurations(pairs) = &self.item(name)?.value else {
            return None;
        };
        Some(pairs)
    }

    /// A table.
    pub(crate) fn section(&self, name: &str) -> Option<&Fields<'t>> {
        self.sections(name)?.first()
    }

    /// An array of tables; a single table where the schema allows either is an array of one.
    pub(crate) fn sections(&self, name: &str) -> Option<&[Fields<'t>]> {
        let Item::Sections(sections) = &self.item(name)?.value else {
            return None;
        };
        Some(sections)
    }
}

/// The number that a key's default stands for, if it has one.
pub(crate) fn default_number(key: &Key) -> Option<u64> {
    let Absent::Means(text) = key.absent else {
        return None;
    };
    match key.shape {
        Shape::Count { .. } | Shape::OneOf(_) => text.parse().ok(),
        Shape::Duration { .. } => quantity::parse_duration(text).ok(),
        Shape::Size { .. } => quantity::parse_size(text).ok(),
        Shape::Rate { .. } => quantity::parse_rate(text).ok(),
        Shape::Text
        | Shape::Flag
        | Shape::Word(_)
        | Shape::Texts { .. }
        | Shape::StatusDurations { .. }
        | Shape::Section(_)
        | Shape::Sections(_)
        | Shape::SectionOrSections(_)
        | Shape::Later(_) => None,
    }
}
