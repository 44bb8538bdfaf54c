//! `origins` and `origins_file`: the patterns of a policy, each with its place.
//!
//! A list file has one pattern a line. `#` begins a comment at the start of a line or behind a
//! blank; blank lines do not count. Each file is read once a check, whoever names it.

use std::collections::HashMap;
use std::sync::Arc;

use corsair_rules::{Dialect, OriginPattern, PatternError};

use crate::check::{FileError, FileSource};
use crate::diagnostic::Code;
use crate::fields::Located;
use crate::report::{Report, clip};
use crate::source_map::Span;

/// Largest list read, in bytes: a million patterns of ordinary length.
pub const ORIGINS_FILE_BYTES_MAX: usize = 64 << 20;

/// The list files of one check.
pub(crate) struct OriginLists<'s> {
    /// What the names of lists are relative to, as shown to people.
    directory: &'s str,
    files: &'s dyn FileSource,
    /// By name as written; `None` for a file that could not be read.
    read: HashMap<String, Option<(Arc<str>, usize)>>,
}

/// The text of a pattern and where it is written.
pub(crate) type LocatedPattern = Located<String>;

impl<'s> OriginLists<'s> {
    pub(crate) fn new(file_name: &'s str, files: &'s dyn FileSource) -> Self {
        let directory = file_name
            .rfind('/')
            .map_or("", |slash| &file_name[..=slash]);
        Self {
            directory,
            files,
            read: HashMap::new(),
        }
    }

    /// The patterns of a list file; `None` for one that cannot be read, which is told once.
    pub(crate) fn patterns_of_file(
        &mut self,
        name: Located<&str>,
        report: &mut Report,
    ) -> Option<Vec<LocatedPattern>> {
        let (text, base) = self.text_of(name, report)?;
        let mut patterns = Vec::with_capacity(text.len() / 32);
        let mut offset = 0;
        for line in text.split_inclusive('\n') {
            let content = without_comment(line);
            let pattern = content.trim_matches(is_blank);
            if !pattern.is_empty() {
                let blanks = content.len() - content.trim_start_matches(is_blank).len();
                let start = base + offset + blanks;
                let at = Span {
                    start,
                    end: start + pattern.len(),
                };
                patterns.push(Located {
                    value: pattern.to_owned(),
                    at,
                });
            }
            offset += line.len();
        }
        Some(patterns)
    }

    fn text_of(&mut self, name: Located<&str>, report: &mut Report) -> Option<(Arc<str>, usize)> {
        if let Some(read) = self.read.get(name.value) {
            return read.clone();
        }
        let read = match self.files.read(name.value, ORIGINS_FILE_BYTES_MAX) {
            Ok(text) => {
                let text: Arc<str> = Arc::from(text);
                let base = report.add_text(self.shown(name.value), Arc::clone(&text));
                Some((text, base))
            }
            Err(error) => {
                self.tell_unreadable(name, &error, report);
                None
            }
        };
        self.read.insert(name.value.to_owned(), read.clone());
        read
    }

    fn shown(&self, name: &str) -> String {
        if name.starts_with('/') {
            name.to_owned()
        } else {
            format!("{}{name}", self.directory)
        }
    }

    fn tell_unreadable(&self, name: Located<&str>, error: &FileError, report: &mut Report) {
        let shown = clip(&self.shown(name.value));
        let relative = "a relative name is meant from the directory of the configuration";
        let (code, message, remedy) = match error {
            FileError::NotFound => (
                Code::Unreadable,
                format!("there is no file `{shown}`"),
                relative.to_owned(),
            ),
            FileError::TooLarge => (
                Code::TooLarge,
                format!(
                    "`{shown}` has more than {} MiB",
                    ORIGINS_FILE_BYTES_MAX >> 20
                ),
                "split the list over several policies, or use wildcards".to_owned(),
            ),
            FileError::Directory => (
                Code::Unreadable,
                format!("`{shown}` is a directory"),
                "name a file of origins".to_owned(),
            ),
            FileError::NotText { line } => (
                Code::Unreadable,
                format!("`{shown}` is not UTF-8 text: line {line} has bytes that are none"),
                "write one pattern a line, international names in UTF-8 or punycode".to_owned(),
            ),
            FileError::Other(reason) => (
                Code::Unreadable,
                format!("`{shown}` cannot be read: {}", clip(reason)),
                "make it readable for the user that runs corsair".to_owned(),
            ),
        };
        report.add(code, name.at, message, remedy);
    }
}

/// The line up to its comment.
fn without_comment(line: &str) -> &str {
    let mut behind_blank = true;
    for (at, c) in line.char_indices() {
        if c == '#' && behind_blank {
            return &line[..at];
        }
        behind_blank = is_blank(c);
    }
    line
}

/// Blanks around a pattern, and the mark some editors put at the beginning of a file.
fn is_blank(c: char) -> bool {
    c.is_whitespace() || c == '\u{feff}'
}

/// The nearest text that is a pattern, or the forms there are.
pub(crate) fn pattern_remedy(text: &str, error: &PatternError) -> String {
    let end = |from: usize, stops: &[char]| {
        text[from..]
            .find(stops)
            .map_or(text.len(), |found| from + found)
    };
    let behind_scheme = text.find("://").map_or(0, |at| at + 3);
    let fixed = match error {
        PatternError::NoScheme => format!("https://{}", text.trim_start_matches("https//")),
        PatternError::Path | PatternError::Query => {
            text[..end(behind_scheme, &['/', '?', '#'])].to_owned()
        }
        PatternError::UserInformation => {
            let user = text.rfind('@').map_or(behind_scheme, |at| at + 1);
            format!(
                "{}{}",
                &text[..behind_scheme],
                &text[user.max(behind_scheme)..]
            )
        }
        PatternError::Host(_) => text.trim_end_matches('.').to_owned(),
        PatternError::Empty
        | PatternError::TooLong
        | PatternError::BadCharacter(_)
        | PatternError::BadScheme
        | PatternError::BadPort
        | PatternError::Star
        | PatternError::SeveralStars
        | PatternError::StarOverAddress
        | PatternError::BareEscape => String::new(),
    };
    if fixed != text && OriginPattern::parse(&fixed, Dialect::Native).is_ok() {
        return format!("write \"{}\"", clip(&fixed));
    }
    if text.contains("%-") && OriginPattern::parse(text, Dialect::Alibaba).is_ok() {
        return "write `-` without `%`, or set `dialect = \"alibaba\"` in the header operation \
                this comes from"
            .to_owned();
    }
    if matches!(error, PatternError::Star) && OriginPattern::parse(text, Dialect::S3).is_ok() {
        return "write \"https://*.example.com\", or set `dialect = \"s3\"`, in which one `*` may \
                stand anywhere"
            .to_owned();
    }
    "write \"https://app.example.com\", \"https://*.example.com\", \"http://localhost:*\" or \"*\""
        .to_owned()
}
