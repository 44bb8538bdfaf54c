//! The shape of the configuration: one table of sections and keys, and the words to read it.
//!
//! The checker, the "did you mean" hints and the reference all read this table, so a key is
//! described in one place only. A key of the contract that does not work yet stands in the table
//! with [`Status::NotBuilt`] and is refused by name; editing that one word turns it on.

pub(crate) mod contract;
mod site;

/// Whether a key or word does what the contract says today.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// It works.
    Works,
    /// It is part of the contract; using it is an error until it is built.
    NotBuilt,
}

/// What the absence of a key means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Absent {
    /// The key must be there.
    Refused,
    /// The same as this value, as written in TOML but without quotes.
    Means(&'static str),
    /// Told in words; there is no single value.
    Told(&'static str),
}

/// One allowed word of a [`Shape::Word`].
#[derive(Debug, Clone, Copy)]
pub struct Word {
    /// As written.
    pub text: &'static str,
    /// Whether it works.
    pub status: Status,
}

/// Type, unit and range of a value.
#[derive(Debug, Clone, Copy)]
pub enum Shape {
    /// A string; the reader of the key knows its grammar.
    Text,
    /// `true` or `false`.
    Flag,
    /// A whole number.
    Count {
        /// Smallest allowed.
        min: u64,
        /// Largest allowed.
        max: u64,
    },
    /// A whole number, one of these.
    OneOf(&'static [u64]),
    /// A string such as `"10s"`; bounds in milliseconds.
    Duration {
        /// Smallest allowed.
        min_ms: u64,
        /// Largest allowed.
        max_ms: u64,
        /// Finest part: lifetimes of HTTP are whole seconds.
        step_ms: u64,
    },
    /// A string such as `"64MiB"`; bounds in bytes.
    Size {
        /// Smallest allowed.
        min: u64,
        /// Largest allowed.
        max: u64,
    },
    /// A string such as `"500B/s"`; bounds in bytes a second.
    Rate {
        /// Smallest allowed.
        min: u64,
        /// Largest allowed.
        max: u64,
    },
    /// A string, one of these.
    Word(&'static [Word]),
    /// An array of strings.
    Texts {
        /// Most elements allowed.
        max: usize,
    },
    /// A table from status codes to durations in whole seconds, such as `{ "404" = "10s" }`.
    StatusDurations {
        /// Longest allowed.
        max_ms: u64,
    },
    /// A table.
    Section(&'static Section),
    /// An array of tables.
    Sections(&'static Section),
    /// A table, or an array of them.
    SectionOrSections(&'static Section),
    /// A value of a key that is not built; how the contract writes it.
    Later(&'static str),
}

impl Shape {
    /// The keys of a table, or of each in an array of tables.
    pub(crate) const fn section(self) -> Option<&'static Section> {
        match self {
            Self::Section(inner) | Self::Sections(inner) | Self::SectionOrSections(inner) => {
                Some(inner)
            }
            Self::Text
            | Self::Flag
            | Self::Count { .. }
            | Self::OneOf(_)
            | Self::Duration { .. }
            | Self::Size { .. }
            | Self::Rate { .. }
            | Self::Word(_)
            | Self::Texts { .. }
            | Self::StatusDurations { .. }
            | Self::Later(_) => None,
        }
    }

    /// What to write, for messages: `a duration such as "10s"`.
    pub(crate) fn wanted(self) -> &'static str {
        match self {
            Self::Text | Self::Word(_) => "a string in quotes",
            Self::Flag => "true or false",
            Self::Count { .. } | Self::OneOf(_) => "a whole number",
            Self::Duration { .. } => "a duration in quotes such as \"10s\"",
            Self::Size { .. } => "a size in quotes such as \"64MiB\"",
            Self::Rate { .. } => "a rate in quotes such as \"500B/s\"",
            Self::Texts { .. } => "an array of strings such as [\"a\", \"b\"]",
            Self::StatusDurations { .. } => "a table such as { \"404\" = \"10s\" }",
            Self::Section(_) => "a table",
            Self::Sections(_) => "an array of tables",
            Self::SectionOrSections(_) => "a table or an array of tables",
            Self::Later(written) => written,
        }
    }
}

/// One key.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    /// As written.
    pub name: &'static str,
    /// Type, unit and range.
    pub shape: Shape,
    /// What its absence means.
    pub absent: Absent,
    /// One line of documentation.
    pub doc: &'static str,
    /// Whether it works.
    pub status: Status,
}

/// One table of keys.
#[derive(Debug)]
pub struct Section {
    /// Dotted name at its usual place, such as `site.cache`; empty for the top level.
    pub path: &'static str,
    /// One line of documentation.
    pub doc: &'static str,
    /// The keys, in the order of the contract.
    pub keys: &'static [Key],
}

impl Section {
    /// The whole contract, from the top level down.
    pub const fn root() -> &'static Self {
        &contract::ROOT
    }

    /// Position and description of a key.
    pub(crate) fn key(&self, name: &str) -> Option<(usize, &'static Key)> {
        self.keys
            .iter()
            .enumerate()
            .find(|(_, key)| key.name == name)
    }

    /// The first section, other than this one, that has a key of this name.
    pub(crate) fn elsewhere(&self, name: &str) -> Option<&'static Self> {
        let mut found = None;
        Self::root().visit(&mut |section| {
            if found.is_none() && section.path != self.path && section.key(name).is_some() {
                found = Some(section);
            }
        });
        found
    }

    /// `[site.cache]`, `[[site]]`, or the words for the top level.
    pub(crate) fn shown(&'static self) -> String {
        if self.path.is_empty() {
            "the top level".to_owned()
        } else if self.is_repeated() {
            format!("[[{}]]", self.path)
        } else {
            format!("[{}]", self.path)
        }
    }

    /// Whether the section is always an array of tables.
    fn is_repeated(&'static self) -> bool {
        let mut repeated = false;
        Self::root().visit(&mut |parent| {
            let repeats =
                |key: &Key| matches!(key.shape, Shape::Sections(inner) if inner.path == self.path);
            repeated |= parent.keys.iter().any(repeats);
        });
        repeated
    }

    /// Calls `each` with this section and every section below it, parents first.
    pub fn visit(&'static self, each: &mut impl FnMut(&'static Self)) {
        each(self);
        for inner in self.keys.iter().filter_map(|key| key.shape.section()) {
            inner.visit(each);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quantity::{parse_duration, parse_rate, parse_size};

    fn in_range(shape: Shape, text: &str) -> bool {
        match shape {
            Shape::Text | Shape::Later(_) => true,
            Shape::Flag => ["true", "false"].contains(&text),
            Shape::Count { min, max } => text.parse().is_ok_and(|n: u64| (min..=max).contains(&n)),
            Shape::OneOf(all) => text.parse().is_ok_and(|n: u64| all.contains(&n)),
            Shape::Duration {
                min_ms,
                max_ms,
                step_ms,
            } => parse_duration(text)
                .is_ok_and(|n| (min_ms..=max_ms).contains(&n) && n % step_ms == 0),
            Shape::Size { min, max } => parse_size(text).is_ok_and(|n| (min..=max).contains(&n)),
            Shape::Rate { min, max } => parse_rate(text).is_ok_and(|n| (min..=max).contains(&n)),
            Shape::Word(words) => words.iter().any(|word| word.text == text),
            Shape::Texts { .. }
            | Shape::StatusDurations { .. }
            | Shape::Section(_)
            | Shape::Sections(_)
            | Shape::SectionOrSections(_) => false,
        }
    }

    #[test]
    fn every_default_is_a_value_the_key_would_accept() {
        let mut keys = 0;
        Section::root().visit(&mut |section| {
            for (index, key) in section.keys.iter().enumerate() {
                keys += 1;
                let place = format!("{}.{}", section.path, key.name);
                assert_eq!(
                    section.key(key.name).map(|found| found.0),
                    Some(index),
                    "{place}"
                );
                assert!(key.doc.ends_with('.') && key.doc.len() >= 10, "{place}");
                match key.absent {
                    Absent::Means(text) => assert!(in_range(key.shape, text), "{place} = {text}"),
                    Absent::Told(text) => assert!(!text.is_empty(), "{place}"),
                    Absent::Refused => {}
                }
                if let Shape::Later(_) = key.shape {
                    assert_eq!(key.status, Status::NotBuilt, "{place} has no shape yet");
                }
            }
        });
        assert!(keys > 70, "the contract has more keys than {keys}");
    }

    #[test]
    fn a_key_of_another_section_is_found_there() {
        let cases = [
            ("ttl", "", Some("[site.cache]")),
            ("memory", "site.cache", Some("[cache]")),
            ("origins", "site", Some("[site.cors]")),
            ("hosts", "upstream", Some("[[site]]")),
            ("nothing", "", None),
        ];
        for (name, path, expected) in cases {
            let mut found = None;
            Section::root().visit(&mut |section| {
                if section.path == path {
                    found = section.elsewhere(name);
                }
            });
            let found = found.map(Section::shown);
            assert_eq!(found.as_deref(), expected, "{name} asked from [{path}]");
        }
    }
}
