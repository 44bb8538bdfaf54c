//! The texts a check reads, side by side: the configuration, each `--set`, each origins file.
//!
//! Every text gets its own stretch of one number line, so that a [`Span`] alone says both which
//! text it lies in and where. Never reads anything itself.

use std::sync::Arc;

/// A stretch of bytes in one of the texts of a [`SourceMap`]; `start <= end`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Span {
    pub(crate) start: usize,
    pub(crate) end: usize,
}

impl Span {
    /// A stretch inside this one, counted from its start and cut at its end.
    pub(crate) fn part(self, offset: usize, len: usize) -> Self {
        let start = self.start.saturating_add(offset).min(self.end);
        Self {
            start,
            end: start.saturating_add(len).min(self.end),
        }
    }
}

/// A place as people say it; line and column count from 1, columns in characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place<'m> {
    pub(crate) file: &'m str,
    pub(crate) line: usize,
    pub(crate) column: usize,
    /// The whole line, without its end.
    pub(crate) text: &'m str,
    /// Byte where the span starts within `text`.
    pub(crate) offset: usize,
}

#[derive(Debug)]
struct Source {
    name: String,
    text: Arc<str>,
    base: usize,
    /// Byte at which each line begins, within `text`.
    lines: Vec<usize>,
}

/// All texts of one check.
#[derive(Debug, Default)]
pub(crate) struct SourceMap {
    sources: Vec<Source>,
}

impl SourceMap {
    /// Adds a text; the number returned is what its own offsets are counted from.
    pub(crate) fn add(&mut self, name: String, text: Arc<str>) -> usize {
        // One byte of room between texts keeps an end-of-text span apart from the next text.
        let base = self
            .sources
            .last()
            .map_or(0, |last| last.base + last.text.len() + 1);
        let starts = line_starts(&text);
        self.sources.push(Source {
            name,
            text,
            base,
            lines: starts,
        });
        base
    }

    /// Resolves a span; a span past every text lands at the end of the last one.
    pub(crate) fn place(&self, span: Span) -> Place<'_> {
        let after = self
            .sources
            .partition_point(|source| source.base <= span.start);
        let Some(source) = after
            .checked_sub(1)
            .and_then(|index| self.sources.get(index))
        else {
            return Place {
                file: "",
                line: 1,
                column: 1,
                text: "",
                offset: 0,
            };
        };
        let mut at = (span.start - source.base).min(source.text.len());
        while !source.text.is_char_boundary(at) {
            at -= 1;
        }
        let line = source.lines.partition_point(|start| *start <= at).max(1);
        let from = source.lines.get(line - 1).copied().unwrap_or(0);
        let until = source
            .lines
            .get(line)
            .map_or(source.text.len(), |next| next - 1);
        let text = source.text[from..until.max(from)].trim_end_matches('\r');
        let offset = (at - from).min(text.len());
        Place {
            file: &source.name,
            line,
            column: text[..offset].chars().count() + 1,
            text,
            offset,
        }
    }
}

fn line_starts(text: &str) -> Vec<usize> {
    let mut starts = vec![0];
    starts.extend(
        text.bytes()
            .enumerate()
            .filter(|(_, byte)| *byte == b'\n')
            .map(|(i, _)| i + 1),
    );
    starts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_named_by_file_line_and_character() {
        let mut map = SourceMap::default();
        let first = map.add("a.toml".into(), "x = 1\r\nß = \"é\" # é\n".into());
        let second = map.add("b.txt".into(), "one\n\nthree".into());
        let cases = [
            (first, 0, ("a.toml", 1, 1, "x = 1")),
            (first, 4, ("a.toml", 1, 5, "x = 1")),
            (first, 5, ("a.toml", 1, 6, "x = 1")),
            (first, 7, ("a.toml", 2, 1, "ß = \"é\" # é")),
            (first, 8, ("a.toml", 2, 1, "ß = \"é\" # é")),
            (first, 9, ("a.toml", 2, 2, "ß = \"é\" # é")),
            (first, 22, ("a.toml", 3, 1, "")),
            (second, 0, ("b.txt", 1, 1, "one")),
            (second, 3, ("b.txt", 1, 4, "one")),
            (second, 4, ("b.txt", 2, 1, "")),
            (second, 7, ("b.txt", 3, 3, "three")),
            (second, 900, ("b.txt", 3, 6, "three")),
        ];
        for (base, at, (file, line, column, text)) in cases {
            let place = map.place(Span {
                start: base + at,
                end: base + at,
            });
            assert_eq!(
                (place.file, place.line, place.column, place.text),
                (file, line, column, text),
                "{file} {at}"
            );
        }
    }
}
