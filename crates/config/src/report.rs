//! The list of problems while it grows: places as spans, order and noise settled at the end.
//!
//! Noise is a problem that another one explains. A broken line is reported once, for its syntax;
//! while any line is broken nothing is called absent, because it may stand on the broken line.

use std::sync::Arc;

use corsair_rules::Lint;

use crate::diagnostic::{Code, Diagnostic, Severity, Snippet};
use crate::places::{PlanPlaces, RoutePlaces};
use crate::source_map::{SourceMap, Span};

/// Most errors listed; a file with more is no configuration, and the last one says how many more.
const ERRORS_MAX: usize = 1_000;
/// Most warnings listed; they never take the place of an error.
const WARNINGS_MAX: usize = 200;

/// Longest message or remedy, in characters; what the rules quote is not bounded elsewhere.
const SENTENCE_CHARS_MAX: usize = 400;

#[derive(Debug)]
struct Problem {
    code: &'static str,
    severity: Severity,
    at: Span,
    message: String,
    remedy: String,
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Syntax,
    Absence,
    Other,
}

/// Collects the problems of one check, and owns the texts they point into.
#[derive(Debug, Default)]
pub(crate) struct Report {
    texts: SourceMap,
    routes: Vec<RoutePlaces>,
    problems: Vec<Problem>,
    errors: usize,
    warnings: usize,
}

impl Report {
    /// Adds a text to point into; offsets of its spans count from the number returned.
    pub(crate) fn add_text(&mut self, name: String, text: Arc<str>) -> usize {
        self.texts.add(name, text)
    }

    /// Reports a problem: one sentence what is wrong, one what to write instead.
    pub(crate) fn add(
        &mut self,
        code: Code,
        at: Span,
        message: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        self.push_code(code, at, message.into(), remedy.into(), Kind::Other);
    }

    /// Reports that something is not there.
    pub(crate) fn add_absence(
        &mut self,
        code: Code,
        at: Span,
        message: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        self.push_code(code, at, message.into(), remedy.into(), Kind::Absence);
    }

    /// Reports text that cannot be read as TOML.
    pub(crate) fn add_syntax(&mut self, code: Code, at: Span, message: String, remedy: String) {
        self.push_code(code, at, message, remedy, Kind::Syntax);
    }

    /// Reports what the rules crate found; `remedy` if there is a better one than its own.
    pub(crate) fn add_lint(&mut self, at: Span, lint: &Lint, remedy: Option<String>) {
        let severity = match lint.severity() {
            corsair_rules::Severity::Error => Severity::Error,
            corsair_rules::Severity::Warning => Severity::Warning,
        };
        let is_absence = matches!(lint, Lint::NoOrigins {} | Lint::MissingValue { .. });
        let kind = if is_absence {
            Kind::Absence
        } else {
            Kind::Other
        };
        self.push(Problem {
            code: lint.code(),
            severity,
            at,
            message: lint.to_string(),
            remedy: remedy.unwrap_or_else(|| lint.remedy().to_owned()),
            kind,
        });
    }

    fn push_code(&mut self, code: Code, at: Span, message: String, remedy: String, kind: Kind) {
        let (code, severity) = (code.as_str(), code.severity());
        self.push(Problem {
            code,
            severity,
            at,
            message,
            remedy,
            kind,
        });
    }

    fn push(&mut self, mut problem: Problem) {
        let (count, max) = match problem.severity {
            Severity::Error => (&mut self.errors, ERRORS_MAX),
            Severity::Warning => (&mut self.warnings, WARNINGS_MAX),
        };
        *count += 1;
        if *count <= max {
            problem.message = clip_to(&problem.message, SENTENCE_CHARS_MAX);
            problem.remedy = clip_to(&problem.remedy, SENTENCE_CHARS_MAX);
            self.problems.push(problem);
        }
    }

    /// Whether a further error would not be listed: then its wording is not worth any time.
    pub(crate) fn is_full(&self) -> bool {
        self.errors > ERRORS_MAX
    }

    /// Whether anything reported so far forbids a plan.
    pub(crate) fn has_errors(&self) -> bool {
        self.errors > 0
    }

    /// `file:line` of a span, for a message that names a second place.
    pub(crate) fn place(&self, at: Span) -> String {
        let place = self.texts.place(at);
        format!("{}:{}", place.file, place.line)
    }

    /// Keeps where the routes are written, in the order of their ids.
    pub(crate) fn keep_places(&mut self, routes: Vec<RoutePlaces>) {
        self.routes = routes;
    }

    /// The diagnostics in the order of their places, and the places of what was read.
    pub(crate) fn finish(mut self) -> (Vec<Diagnostic>, PlanPlaces) {
        let diagnostics = self.diagnostics();
        let places = PlanPlaces {
            texts: self.texts,
            routes: self.routes,
        };
        (diagnostics, places)
    }

    fn diagnostics(&mut self) -> Vec<Diagnostic> {
        self.problems
            .sort_by_key(|problem| (problem.at, problem.kind != Kind::Syntax));
        // A list file that two policies name is wrong once.
        self.problems
            .dedup_by(|a, b| (a.at, &a.code, &a.message) == (b.at, &b.code, &b.message));
        let broken: Vec<(String, usize)> = self
            .problems
            .iter()
            .filter(|problem| problem.kind == Kind::Syntax)
            .map(|problem| self.line_of(problem.at))
            .collect();
        let mut told = vec![false; broken.len()];
        let mut diagnostics = Vec::new();
        for problem in &self.problems {
            if problem.kind == Kind::Absence && !broken.is_empty() {
                continue;
            }
            if let Ok(index) = broken.binary_search(&self.line_of(problem.at)) {
                // Several syntax errors of one line share an entry: the first is told.
                let first = broken.partition_point(|line| *line < broken[index]);
                if problem.kind != Kind::Syntax || std::mem::replace(&mut told[first], true) {
                    continue;
                }
            }
            diagnostics.push(self.diagnostic(problem));
        }
        if (self.errors > ERRORS_MAX || self.warnings > WARNINGS_MAX)
            && let Some(last) = diagnostics.last_mut()
        {
            last.message.push_str("; more problems are not shown");
        }
        diagnostics
    }

    fn line_of(&self, at: Span) -> (String, usize) {
        let place = self.texts.place(at);
        (place.file.to_owned(), place.line)
    }

    fn diagnostic(&self, problem: &Problem) -> Diagnostic {
        let place = self.texts.place(problem.at);
        Diagnostic {
            code: problem.code,
            severity: problem.severity,
            file: place.file.to_owned(),
            line: place.line,
            column: place.column,
            message: problem.message.clone(),
            remedy: problem.remedy.clone(),
            snippet: Snippet::of(&place, problem.at.end - problem.at.start),
        }
    }
}

/// A text of the file as part of a message: one line, of readable length.
pub(crate) fn clip(text: &str) -> String {
    clip_to(text, 80)
}

/// The same with another bound; control characters become escapes.
pub(crate) fn clip_to(text: &str, chars_max: usize) -> String {
    let mut out = String::with_capacity(text.len().min(chars_max));
    for c in text.chars().take(chars_max) {
        if c.is_control() {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    if text.chars().nth(chars_max).is_some() {
        out.push('…');
    }
    out
}
