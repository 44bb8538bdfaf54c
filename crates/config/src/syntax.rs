//! Every line that is not TOML, each told once and where it begins.
//!
//! The parser recovers well from a bad value, and badly from a bracket that never closes: it reads
//! the rest of the file into it. So errors of structure are taken one at a time: the statement at
//! fault is found, told, blanked out, and the text is parsed again, until what is left is sound.
//! Offsets never change, because blanks take the place of bytes.

use std::borrow::Cow;
use std::ops::Range;

use toml::Spanned;
use toml::de::DeTable;

use crate::diagnostic::Code;
use crate::report::Report;
use crate::source_map::Span;

/// Most statements blanked out; what is still wrong then is told as the parser sees it.
const ROUNDS_MAX: usize = 64;
/// Bytes parsed again at most, over all rounds; keeps the time linear for large texts.
const BYTES_PARSED_MAX: usize = 4 << 20;

/// What remains of a document when everything that is not TOML is told and taken out.
pub(crate) struct Sound<'t> {
    text: Cow<'t, str>,
}

impl<'t> Sound<'t> {
    /// Tells every syntax error of a text whose spans count from `base`.
    pub(crate) fn of(text: &'t str, base: usize, report: &mut Report) -> Self {
        let mut sound = Self {
            text: Cow::Borrowed(text),
        };
        let rounds = (BYTES_PARSED_MAX / text.len().max(1)).clamp(1, ROUNDS_MAX);
        for round in 0..=rounds {
            let (_, errors) = DeTable::parse_recoverable(&sound.text);
            let first = errors
                .iter()
                .filter(|error| is_structural(error.message()))
                .min_by_key(|error| error.span().map_or(0, |span| span.start));
            let fault = first.map(|error| Fault::of(&sound.text, error));
            match fault {
                Some(fault) if round < rounds && sound.is_written(&fault.region) => {
                    fault.tell(base, report);
                    sound.blank(fault.region);
                }
                Some(_) | None => {
                    let lines = Lines::of(&sound.text);
                    for error in &errors {
                        if report.is_full() {
                            break;
                        }
                        tell(&lines, base, error, report);
                    }
                    break;
                }
            }
        }
        sound
    }

    /// The table that is left.
    pub(crate) fn table(&self) -> Spanned<DeTable<'_>> {
        DeTable::parse_recoverable(&self.text).0
    }

    /// Whether there is anything to blank out: without, the next round would be the same.
    fn is_written(&self, region: &Range<usize>) -> bool {
        !self.text[region.clone()].trim().is_empty()
    }

    fn blank(&mut self, region: Range<usize>) {
        let blanks: String = self.text[region.clone()]
            .bytes()
            .map(|byte| if byte == b'\n' { '\n' } else { ' ' })
            .collect();
        self.text.to_mut().replace_range(region, &blanks);
    }
}

/// A statement that breaks the structure of the text.
struct Fault {
    /// What is marked.
    mark: Range<usize>,
    /// Whole lines that cannot be read.
    region: Range<usize>,
    message: String,
    remedy: String,
}

impl Fault {
    fn of(text: &str, error: &toml::de::Error) -> Self {
        let lines = Lines::of(text);
        let mark = error.span().unwrap_or(0..0);
        let line = lines.at(mark.start);
        if let Some((opener, start)) = opener_of(error.message(), &lines, line) {
            return Self::unclosed(&lines, opener, start, line);
        }
        let last = if lines.is_header(line) {
            lines.end_of_section(line)
        } else {
            line
        };
        let raw = text.get(mark.clone()).unwrap_or("").trim();
        Self {
            mark,
            region: lines.range(line).start..lines.range(last).end,
            message: sentence(error.message()),
            remedy: remedy(error.message(), raw),
        }
    }

    /// A bracket or quote of line `start` that is still open in line `line`.
    fn unclosed(lines: &Lines<'_>, opener: Opener, start: usize, line: usize) -> Self {
        let from = lines.range(start).start;
        let at = from + lines.value_offset(start).unwrap_or(0);
        // The line where it was noticed is sound, unless the text ends there.
        let last = if lines.is_statement(line) && line > start {
            line - 1
        } else {
            line
        };
        let (what, close) = match opener {
            Opener::Array => ("array", "`]`"),
            Opener::Table => ("inline table", "`}`"),
            Opener::Text => ("text", "three quotes"),
        };
        Self {
            mark: at..at + 1,
            region: from..lines.range(last).end,
            message: format!("the {what} that begins here is not closed"),
            remedy: format!("close it with {close}, and each string in it with its quote"),
        }
    }

    fn tell(&self, base: usize, report: &mut Report) {
        let at = Span {
            start: base + self.mark.start,
            end: base + self.mark.end,
        };
        report.add_syntax(Code::Syntax, at, self.message.clone(), self.remedy.clone());
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Opener {
    Array,
    Table,
    Text,
}

/// What was opened, and in which line, when the error is that it does not close.
fn opener_of(message: &str, lines: &Lines<'_>, line: usize) -> Option<(Opener, usize)> {
    if message.starts_with("invalid multi-line") {
        let is_quote = |value: &str| value.starts_with("\"\"\"") || value.starts_with("'''");
        let start = (0..=line)
            .rev()
            .find(|line| lines.value(*line).is_some_and(is_quote))?;
        return Some((Opener::Text, start));
    }
    let inside = [
        "missing comma",
        "unclosed array",
        "unexpected `=` in",
        "extra comma",
    ];
    let inside_table = [
        "unclosed inline",
        "missing assignment",
        "extra assignment",
        "missing key",
    ];
    let is_inside = inside
        .iter()
        .chain(&inside_table)
        .any(|start| message.starts_with(start));
    if !is_inside || message.starts_with("unclosed array table") {
        return None;
    }
    let value_of = |line| {
        lines
            .value(line)
            .filter(|value| value.starts_with(['[', '{']))
    };
    let start = (0..=line).rev().find(|line| value_of(*line).is_some())?;
    let at_end =
        line + 1 >= lines.starts.len() || lines.text[lines.range(line).end..].trim().is_empty();
    let noticed_late = line > start && (lines.is_statement(line) || at_end);
    let opener = if value_of(start)?.starts_with('[') {
        Opener::Array
    } else {
        Opener::Table
    };
    noticed_late.then_some((opener, start))
}

/// Errors after which the parser no longer knows where it is.
fn is_structural(message: &str) -> bool {
    let starts = [
        "unclosed",
        "key with no value",
        "missing value",
        "missing comma",
        "missing assignment",
        "missing key",
        "missing array",
        "missing table",
        "missing inline",
        "unexpected `=`",
        "unexpected key",
        "unexpected content",
        "extra",
        "invalid key-value",
        "invalid inline",
        "invalid multi-line",
        "cannot recurse",
        "recursion limit",
    ];
    starts.iter().any(|start| message.starts_with(start))
}

/// The lines of a text, looked at as statements.
struct Lines<'t> {
    text: &'t str,
    starts: Vec<usize>,
}

impl<'t> Lines<'t> {
    fn of(text: &'t str) -> Self {
        let mut starts = vec![0];
        starts.extend(text.match_indices('\n').map(|(at, _)| at + 1));
        Self { text, starts }
    }

    fn at(&self, offset: usize) -> usize {
        self.starts.partition_point(|start| *start <= offset).max(1) - 1
    }

    /// Without its end.
    fn range(&self, line: usize) -> Range<usize> {
        let end = self
            .starts
            .get(line + 1)
            .map_or(self.text.len(), |next| next - 1);
        self.starts[line]..end
    }

    fn line(&self, line: usize) -> &'t str {
        &self.text[self.range(line)]
    }

    fn is_header(&self, line: usize) -> bool {
        self.line(line).trim_start().starts_with('[')
    }

    /// `[section]`, or `key = …`.
    fn is_statement(&self, line: usize) -> bool {
        self.is_header(line) || self.value(line).is_some()
    }

    /// What stands behind the `=` of a line that begins with a key.
    fn value(&self, line: usize) -> Option<&'t str> {
        let offset = self.value_offset(line)?;
        Some(&self.line(line)[offset..])
    }

    fn value_offset(&self, line: usize) -> Option<usize> {
        let text = self.line(line);
        let (key, value) = text.split_once('=')?;
        let is_key_char = |c: char| c.is_ascii_alphanumeric() || " \t_-.\"'".contains(c);
        let is_key = !key.trim().is_empty() && key.chars().all(is_key_char);
        is_key.then(|| text.len() - value.trim_start().len())
    }

    /// The last line before the next section.
    fn end_of_section(&self, line: usize) -> usize {
        let next = (line + 1..self.starts.len()).find(|next| self.is_header(*next));
        next.map_or(self.starts.len() - 1, |next| next - 1)
    }
}

fn tell(lines: &Lines<'_>, base: usize, error: &toml::de::Error, report: &mut Report) {
    let range = error.span().unwrap_or(0..0);
    let at = Span {
        start: base + range.start,
        end: base + range.end.max(range.start),
    };
    let raw = lines.text.get(range.clone()).unwrap_or("").trim();
    let message = error.message();
    if message == "duplicate key" {
        let remedy = if lines.is_header(lines.at(range.start)) {
            "write one section; several of one kind have double brackets, such as [[site]]"
        } else {
            "keep one of the two"
        };
        let told = format!("`{raw}` is given a second time");
        report.add_syntax(Code::DuplicateKey, at, told, remedy.to_owned());
        return;
    }
    report.add_syntax(Code::Syntax, at, sentence(message), remedy(message, raw));
}

/// The parser's message as one sentence about the text.
fn sentence(message: &str) -> String {
    if message.starts_with("string values must be quoted") {
        return "this is no TOML value".to_owned();
    }
    format!("this is not TOML: {message}")
}

fn remedy(message: &str, raw: &str) -> String {
    if message.starts_with("string values must be quoted") {
        return if raw.is_empty() {
            "write a value behind the `=`; strings are written in quotes: `key = \"value\"`".into()
        } else {
            format!("write strings in quotes: \"{}\"", crate::report::clip(raw))
        };
    }
    let remedies = [
        (
            "invalid boolean",
            "write `true` or `false`, in small letters",
        ),
        (
            "invalid basic string",
            "close the string with `\"` on the same line",
        ),
        (
            "invalid literal string",
            "close the string with `'` on the same line",
        ),
        (
            "missing escaped value",
            "write `\\\\` for a backslash, or put the text in single quotes",
        ),
        ("key with no value", "write `key = value`"),
        ("unclosed array table", "close the section's name with `]]`"),
        ("unclosed table", "close the section's name with `]`"),
        ("unclosed array", "close the array with `]`"),
        ("missing comma", "put a comma between the elements"),
        ("extra comma", "remove one of the commas"),
        (
            "unexpected key or value",
            "begin a new line for the next key",
        ),
        ("cannot recurse", "nest less deeply"),
        ("recursion limit", "nest less deeply"),
    ];
    remedies
        .iter()
        .find(|(start, _)| message.starts_with(start))
        .map_or(
            "see https://toml.io for how keys and values are written",
            |(_, remedy)| remedy,
        )
        .to_owned()
}
