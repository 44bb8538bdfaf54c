//! What a check tells: one problem, its place, its code and its remedy.
//!
//! Codes below 100 are one closed table here; those from 101 on are that of `corsair_rules`. The
//! reference and the tests read both. Never prints anything itself.

use std::fmt::{self, Write as _};

use crate::source_map::Place;

/// How much a diagnostic weighs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Severity {
    /// The configuration is not applied.
    Error,
    /// The configuration is applied; it probably does not do what was meant.
    Warning,
}

impl Severity {
    /// The word shown to people and in JSON: `error` or `warning`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

macro_rules! codes {
    ($($name:ident = $text:literal, $severity:ident, $title:literal;)*) => {
        /// The closed table of this crate's diagnostic codes, all below 100; those from 101 on are
        /// the findings of `corsair_rules` about rules. A code never changes its meaning.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Code {
            $(#[doc = concat!($text, ": ", $title)] $name,)*
        }

        impl Code {
            /// Every code, in the order of the table.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// The code as shown, such as `E010`.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text),* }
            }

            /// How much every diagnostic of this code weighs.
            pub const fn severity(self) -> Severity {
                match self { $(Self::$name => Severity::$severity),* }
            }

            /// What all diagnostics of this code have in common, for the reference.
            pub const fn title(self) -> &'static str {
                match self { $(Self::$name => $title),* }
            }
        }
    };
}

codes! {
    Syntax = "E001", Error, "the text is not TOML";
    DuplicateKey = "E002", Error, "a key or table is given twice";
    TooLarge = "E003", Error, "a file is larger than is read";
    Unreadable = "E004", Error, "a file that the configuration names cannot be read";
    BadOverride = "E005", Error, "a --set argument cannot be applied";
    UnknownKey = "E010", Error, "a key that does not exist";
    WrongType = "E011", Error, "a value of the wrong type";
    MissingKey = "E012", Error, "a key or section that must be there is absent";
    NotBuilt = "E013", Error, "a key or value of the contract that is not built yet";
    UnknownWord = "E014", Error, "a word that is not one of those allowed";
    BadQuantity = "E020", Error, "a duration, size or rate that cannot be read";
    OutOfRange = "E021", Error, "a number outside its range";
    BadAddress = "E022", Error, "a listen address that cannot be used";
    BadUrl = "E023", Error, "an upstream server that cannot be used";
    BadName = "E024", Error, "a name with characters that names cannot have";
    UnknownUpstream = "E030", Error, "an upstream that is not declared";
    DuplicateName = "E031", Error, "two upstreams of one name";
    DuplicateHost = "E032", Error, "two sites for one host";
    DuplicateAddress = "E033", Error, "two listeners on one address";
    AdminExposed = "E034", Error, "the admin API would be reachable from other machines";
    BadHost = "E040", Error, "a host pattern that cannot be used";
    BadRoute = "E041", Error, "a route that cannot be used";
    BadStatus = "E042", Error, "a status that cannot have a lifetime of its own";
    TwoAudiences = "E043", Error, "two places say which origins may read";
    UnusedUpstream = "W001", Warning, "an upstream that no site uses";
    UnreachableRoute = "W002", Warning, "a route that no request reaches";
    Spelling = "W003", Warning, "a host is compared in another spelling";
    NoEffect = "W004", Warning, "a key that has no effect where it stands";
}

/// The line a diagnostic is about, cut to a readable length.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snippet {
    /// Part of the line; control characters replaced.
    pub text: String,
    /// Characters before the marked part.
    pub before: usize,
    /// Characters marked; at least one.
    pub marked: usize,
}

/// Characters of a line shown at most.
const SNIPPET_CHARS_MAX: usize = 96;
/// Characters shown before the marked part at most, when the line must be cut.
const SNIPPET_LEAD_MAX: usize = 24;

impl Snippet {
    pub(crate) fn of(place: &Place<'_>, span_bytes: usize) -> Option<Self> {
        if place.text.trim().is_empty() {
            return None;
        }
        let column = place.column - 1;
        let until = (place.offset + span_bytes).min(place.text.len());
        let marked = place
            .text
            .get(place.offset..until)
            .map_or(1, |part| part.chars().count());
        let total = place.text.chars().count();
        let skip = if total <= SNIPPET_CHARS_MAX {
            0
        } else {
            column.saturating_sub(SNIPPET_LEAD_MAX)
        };
        let text: String = place
            .text
            .chars()
            .skip(skip)
            .take(SNIPPET_CHARS_MAX)
            .map(|c| if c == '\t' { ' ' } else { c })
            .map(|c| {
                if c.is_control() {
                    char::REPLACEMENT_CHARACTER
                } else {
                    c
                }
            })
            .collect();
        let shown = text.chars().count();
        let before = (column - skip).min(shown);
        Some(Self {
            text,
            before,
            marked: marked.min(shown - before).max(1),
        })
    }
}

/// One problem of a configuration. `Display` gives the form for people:
///
/// ```text
/// site.toml:7:1: error[E010]: `tll` is not a key of [site.cache]
///   |
/// 7 | tll = "10s"
///   | ^^^
///   = help: did you mean `ttl`?
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// The code as shown, such as `E010`; see [`Code`].
    pub code: &'static str,
    /// How much it weighs.
    pub severity: Severity,
    /// The file as it was named to the check.
    pub file: String,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// One sentence: what is wrong.
    pub message: String,
    /// One sentence: what to write instead.
    pub remedy: String,
    /// The line it is about, when there is one.
    pub snippet: Option<Snippet>,
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            code,
            severity,
            file,
            line,
            column,
            message,
            remedy,
            snippet,
        } = self;
        write!(
            f,
            "{file}:{line}:{column}: {}[{code}]: {message}",
            severity.as_str()
        )?;
        if let Some(Snippet {
            text,
            before,
            marked,
        }) = snippet
        {
            let number = line.to_string();
            let margin = number.len();
            write!(f, "\n{:margin$} |\n{number} | {text}", "")?;
            write!(f, "\n{:margin$} | {:before$}{:^<marked$}", "", "", "")?;
        }
        write!(f, "\n  = help: {remedy}")
    }
}

impl Diagnostic {
    /// One JSON object on one line: `code`, `severity`, `file`, `line`, `column`, `message`,
    /// `remedy`.
    ///
    /// ```
    /// let nothing = corsair_config::NoFiles;
    /// let checked = corsair_config::check("a.toml", "[node]\nnmae = 1\n", &nothing);
    /// let json = checked.diagnostics.last().expect("the key is unknown").to_json();
    /// assert!(json.starts_with(r#"{"code":"E010","severity":"error","file":"a.toml","line":2,"#));
    /// ```
    pub fn to_json(&self) -> String {
        let mut out = String::new();
        let text = |out: &mut String, key: &str, value: &str| {
            out.push_str(key);
            json_string(out, value);
        };
        text(&mut out, "{\"code\":", self.code);
        text(&mut out, ",\"severity\":", self.severity.as_str());
        text(&mut out, ",\"file\":", &self.file);
        out.push_str(&format!(
            ",\"line\":{},\"column\":{}",
            self.line, self.column
        ));
        text(&mut out, ",\"message\":", &self.message);
        text(&mut out, ",\"remedy\":", &self.remedy);
        out.push('}');
        out
    }
}

/// Writes a JSON string (RFC 8259 §7).
fn json_string(out: &mut String, value: &str) {
    out.push('"');
    for c in value.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            c if c.is_control() => {
                let mut units = [0; 2];
                for unit in c.encode_utf16(&mut units) {
                    write!(out, "\\u{unit:04x}").expect("writing to a String cannot fail");
                }
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn sample() -> Diagnostic {
        Diagnostic {
            code: Code::UnknownKey.as_str(),
            severity: Severity::Error,
            file: "dir/site.toml".into(),
            line: 12,
            column: 3,
            message: "`tll` is \"no\" key\n".into(),
            remedy: "did you mean `ttl`?".into(),
            snippet: Some(Snippet {
                text: "  tll = 1".into(),
                before: 2,
                marked: 3,
            }),
        }
    }

    #[test]
    fn codes_are_unique_and_their_letter_is_their_severity() {
        let texts: BTreeSet<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
        assert_eq!(texts.len(), Code::ALL.len());
        for code in Code::ALL {
            let letter = code.severity().as_str()[..1].to_uppercase();
            assert!(code.as_str().starts_with(&letter), "{code:?}");
            assert!(
                !code.title().is_empty() && code.as_str().len() == 4,
                "{code:?}"
            );
        }
    }

    #[test]
    fn people_see_the_place_the_line_and_the_remedy() {
        let expected = "dir/site.toml:12:3: error[E010]: `tll` is \"no\" key\n\n   \
                        |\n12 |   tll = 1\n   |   ^^^\n  = help: did you mean `ttl`?";
        assert_eq!(sample().to_string(), expected);
    }

    #[test]
    fn json_escapes_what_json_must() {
        assert_eq!(
            sample().to_json(),
            "{\"code\":\"E010\",\"severity\":\"error\",\"file\":\"dir/site.toml\",\"line\":12,\
             \"column\":3,\"message\":\"`tll` is \\\"no\\\" key\\u000a\",\
             \"remedy\":\"did you mean `ttl`?\"}"
        );
    }

    #[test]
    fn a_long_line_is_cut_around_the_mark() {
        let text = format!("{}\u{7}XY{}", "a".repeat(500), "b".repeat(500));
        let place = Place {
            file: "f",
            line: 1,
            column: 502,
            text: &text,
            offset: 501,
        };
        let snippet = Snippet::of(&place, 2).expect("the line is not blank");
        assert_eq!(snippet.text.chars().count(), SNIPPET_CHARS_MAX);
        assert_eq!((snippet.before, snippet.marked), (SNIPPET_LEAD_MAX, 2));
        assert!(snippet.text.contains("a\u{fffd}XYb"));
    }
}
