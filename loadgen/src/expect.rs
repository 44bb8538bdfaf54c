//! What an answer must look like, compiled to byte comparisons.
//!
//! Field lines are compared byte for byte after the optional whitespace around a value is taken
//! off (RFC 9110 §5.5); names without case (§5.1). Pure.

use std::fmt;
use std::sync::Arc;

use corsair_http1::{Response, is_field_value, is_token};

/// Everything asked of the answers to one kind of request.
#[derive(Debug, Clone, Default)]
pub struct Expectation {
    /// Empty: any status will do.
    statuses: Vec<StatusRange>,
    rules: Vec<LineRule>,
    /// What the body must be.
    pub body: BodyRule,
}

/// Statuses from the first to the last, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct StatusRange(u16, u16);

#[derive(Debug, Clone)]
struct LineRule {
    name: Box<str>,
    requirement: Requirement,
}

#[derive(Debug, Clone)]
enum Requirement {
    /// The lines of this name are exactly these, in this order.
    Exactly(Vec<ExpectedValue>),
    /// One of the lines of this name is this.
    Has(ExpectedValue),
    /// There is a line of this name.
    Present,
    /// There is exactly one line of this name.
    Once,
    /// There is no line of this name.
    Absent,
}

/// A value; `{origin}` in it stands for the Web origin that the request named.
#[derive(Debug, Clone, PartialEq, Eq)]
struct ExpectedValue {
    before: Vec<u8>,
    /// What follows `{origin}`; `None` when it does not occur.
    after_origin: Option<Vec<u8>>,
}

/// What a body must be.
#[derive(Debug, Clone, Default)]
pub struct BodyRule {
    /// Its length in bytes, content codings not undone.
    pub bytes: Option<u64>,
    /// Its content.
    pub content: Option<BodyContent>,
}

/// The content of a body, or its digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BodyContent {
    /// These bytes.
    Exact(Arc<[u8]>),
    /// Bytes with this SHA-256.
    Sha256([u8; 32]),
}

/// What was wrong with an answer: a closed set, for counting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MismatchKind {
    /// Another status than expected.
    Status,
    /// A field line that had to be there was not.
    HeaderMissing,
    /// A field line has another value than expected.
    HeaderValue,
    /// More lines of a name than allowed.
    HeaderRepeated,
    /// A field line that must not be there was.
    HeaderForbidden,
    /// A body of another length.
    BodyLength,
    /// A body with other bytes.
    BodyContent,
}

impl MismatchKind {
    /// The name in every output.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Status => "status",
            Self::HeaderMissing => "header-missing",
            Self::HeaderValue => "header-value",
            Self::HeaderRepeated => "header-repeated",
            Self::HeaderForbidden => "header-forbidden",
            Self::BodyLength => "body-length",
            Self::BodyContent => "body-content",
        }
    }
}

/// One wrong answer: what was wrong and by which rule. Small, so that counting costs nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mismatch {
    /// What was wrong.
    pub kind: MismatchKind,
    /// Position of the broken rule about a field; meaningless for the other kinds.
    rule: u16,
}

impl Mismatch {
    /// A body that is not the expected one.
    #[must_use]
    pub fn of_body(kind: MismatchKind) -> Self {
        Self { kind, rule: 0 }
    }
}

/// An expectation that cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExpectError {
    /// Not a status.
    #[error("`{0}` is not a status; write 200, 200,304 or 2xx")]
    Status(String),
    /// Not `Name: value`.
    #[error("`{0}` is not a field line; write 'Name: value'")]
    Line(String),
    /// Not a field name.
    #[error("`{0}` is not a field name")]
    Name(String),
    /// Not 64 hexadecimal digits.
    #[error("`{0}` is not a SHA-256; write its 64 hexadecimal digits")]
    Digest(String),
    /// More rules than there are numbers for them.
    #[error("more than 65,535 rules about field lines")]
    TooMany,
}

/// Whether `{origin}` in an expected value can be met: is a Web origin named and allowed?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Echo {
    /// `{origin}` stands for the request's Web origin.
    Expected,
    /// The request has no origin, or a hostile one: lines with `{origin}` must not be there.
    Forbidden,
}

/// Expectations as they are written, by flags or in a file.
#[derive(Debug, Clone, Default, PartialEq, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ExpectSpec {
    /// Allowed statuses: `"200"`, `"200,304"`, `"2xx"`, or a number.
    pub status: Option<StatusText>,
    /// `Name: value`: the lines of that name are exactly those given.
    pub headers: Vec<String>,
    /// `Name` or `Name: value`: there is such a line.
    pub present: Vec<String>,
    /// `Name`: there is no such line.
    pub absent: Vec<String>,
    /// `Name`: there is exactly one such line.
    pub once: Vec<String>,
    /// Length of the body.
    pub body_bytes: Option<u64>,
    /// SHA-256 of the body in hexadecimal digits.
    pub body_sha256: Option<String>,
}

/// A number or a text, for `status = 200` and `status = "2xx"`.
#[derive(Debug, Clone, PartialEq, serde::Deserialize)]
#[serde(untagged)]
pub enum StatusText {
    /// One status.
    Number(u16),
    /// Several.
    Text(String),
}

impl ExpectSpec {
    /// Whether every answer is right.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// This specification with what `other` says instead or in addition: its status and body
    /// replace ours, and a name it mentions replaces what we say about that name.
    #[must_use]
    pub fn overridden_by(&self, other: &Self) -> Self {
        let name_of = |line: &str| {
            line.split_once(':')
                .map_or(line, |(name, _)| name)
                .trim()
                .to_ascii_lowercase()
        };
        let lists = |spec: &Self| {
            [&spec.headers, &spec.present, &spec.absent, &spec.once].map(Clone::clone)
        };
        let mentioned: Vec<String> = lists(other)
            .iter()
            .flatten()
            .map(|line| name_of(line))
            .collect();
        let mut merged = lists(self);
        for list in &mut merged {
            list.retain(|line| !mentioned.contains(&name_of(line)));
        }
        for (list, added) in merged.iter_mut().zip(lists(other)) {
            list.extend(added);
        }
        let [headers, present, absent, once] = merged;
        Self {
            status: other.status.clone().or_else(|| self.status.clone()),
            headers,
            present,
            absent,
            once,
            body_bytes: other.body_bytes.or(self.body_bytes),
            body_sha256: other
                .body_sha256
                .clone()
                .or_else(|| self.body_sha256.clone()),
        }
    }

    /// Compiles the specification.
    ///
    /// # Errors
    /// The first text that cannot be understood.
    pub fn compile(&self, echo: Echo) -> Result<Expectation, ExpectError> {
        let statuses = match &self.status {
            None => Vec::new(),
            Some(StatusText::Number(status)) => parse_statuses(&status.to_string())?,
            Some(StatusText::Text(text)) => parse_statuses(text)?,
        };
        let mut rules: Vec<LineRule> = Vec::new();
        for line in &self.headers {
            let (name, value) = parse_line(line)?;
            let same_name = |rule: &&mut LineRule| rule.name.eq_ignore_ascii_case(name);
            match rules
                .iter_mut()
                .find(same_name)
                .map(|rule| &mut rule.requirement)
            {
                Some(Requirement::Exactly(values)) => values.push(value),
                _ => rules.push(LineRule::new(name, Requirement::Exactly(vec![value]))),
            }
        }
        for text in &self.present {
            rules.push(match text.split_once(':') {
                Some(_) => {
                    let (name, value) = parse_line(text)?;
                    LineRule::new(name, Requirement::Has(value))
                }
                None => LineRule::new(parse_name(text)?, Requirement::Present),
            });
        }
        for text in &self.absent {
            rules.push(LineRule::new(parse_name(text)?, Requirement::Absent));
        }
        for text in &self.once {
            rules.push(LineRule::new(parse_name(text)?, Requirement::Once));
        }
        if echo == Echo::Forbidden {
            for rule in &mut rules {
                if rule.echoes() {
                    rule.requirement = Requirement::Absent;
                }
            }
        }
        if rules.len() > usize::from(u16::MAX) {
            return Err(ExpectError::TooMany);
        }
        let content = self.body_sha256.as_deref().map(parse_digest).transpose()?;
        Ok(Expectation {
            statuses,
            rules,
            body: BodyRule {
                bytes: self.body_bytes,
                content,
            },
        })
    }
}

fn parse_statuses(text: &str) -> Result<Vec<StatusRange>, ExpectError> {
    let wrong = || ExpectError::Status(text.to_owned());
    let one = |part: &str| {
        let part = part.trim();
        if let Some(class) = part.strip_suffix("xx") {
            let class: u16 = class.parse().map_err(|_| wrong())?;
            return match class {
                1..=9 => Ok(StatusRange(class * 100, class * 100 + 99)),
                _ => Err(wrong()),
            };
        }
        match part.parse() {
            Ok(status) if (100..=999).contains(&status) => Ok(StatusRange(status, status)),
            Ok(_) | Err(_) => Err(wrong()),
        }
    };
    text.split(',').map(one).collect()
}

fn parse_name(text: &str) -> Result<&str, ExpectError> {
    let name = text.trim();
    is_token(name.as_bytes())
        .then_some(name)
        .ok_or_else(|| ExpectError::Name(text.to_owned()))
}

fn parse_line(text: &str) -> Result<(&str, ExpectedValue), ExpectError> {
    let (name, value) = text
        .split_once(':')
        .ok_or_else(|| ExpectError::Line(text.to_owned()))?;
    let value = value.trim_matches([' ', '\t']);
    if !is_field_value(value.as_bytes()) {
        return Err(ExpectError::Line(text.to_owned()));
    }
    let value = match value.split_once("{origin}") {
        None => ExpectedValue {
            before: value.into(),
            after_origin: None,
        },
        Some((before, after)) => ExpectedValue {
            before: before.into(),
            after_origin: Some(after.into()),
        },
    };
    Ok((parse_name(name)?, value))
}

fn parse_digest(text: &str) -> Result<BodyContent, ExpectError> {
    let wrong = || ExpectError::Digest(text.to_owned());
    let mut digest = [0; 32];
    if text.len() != 64 || !text.is_ascii() {
        return Err(wrong());
    }
    for (index, byte) in digest.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[2 * index..2 * index + 2], 16).map_err(|_| wrong())?;
    }
    Ok(BodyContent::Sha256(digest))
}

impl LineRule {
    fn new(name: &str, requirement: Requirement) -> Self {
        Self {
            name: name.into(),
            requirement,
        }
    }

    fn echoes(&self) -> bool {
        match &self.requirement {
            Requirement::Exactly(values) => values.iter().any(|v| v.after_origin.is_some()),
            Requirement::Has(value) => value.after_origin.is_some(),
            Requirement::Present | Requirement::Once | Requirement::Absent => false,
        }
    }

    /// What is wrong with the lines of this rule's name in `response`.
    fn broken_by(&self, response: Response<'_>, origin: &[u8]) -> Option<MismatchKind> {
        let mut lines = response.fields_by_name(self.name.as_bytes());
        match &self.requirement {
            Requirement::Exactly(values) => {
                for value in values {
                    match lines.next() {
                        None => return Some(MismatchKind::HeaderMissing),
                        Some(line) if value.is(line, origin) => {}
                        Some(_) => return Some(MismatchKind::HeaderValue),
                    }
                }
                lines.next().map(|_| MismatchKind::HeaderRepeated)
            }
            Requirement::Has(value) => {
                let mut kind = Some(MismatchKind::HeaderMissing);
                for line in lines {
                    if value.is(line, origin) {
                        return None;
                    }
                    kind = Some(MismatchKind::HeaderValue);
                }
                kind
            }
            Requirement::Present => lines
                .next()
                .is_none()
                .then_some(MismatchKind::HeaderMissing),
            Requirement::Once => match (lines.next(), lines.next()) {
                (None, _) => Some(MismatchKind::HeaderMissing),
                (Some(_), None) => None,
                (Some(_), Some(_)) => Some(MismatchKind::HeaderRepeated),
            },
            Requirement::Absent => lines.next().map(|_| MismatchKind::HeaderForbidden),
        }
    }
}

impl ExpectedValue {
    fn is(&self, line: &[u8], origin: &[u8]) -> bool {
        match &self.after_origin {
            None => line == self.before,
            Some(after) => {
                line.strip_prefix(self.before.as_slice())
                    .and_then(|rest| rest.strip_suffix(after.as_slice()))
                    == Some(origin)
            }
        }
    }
}

impl Expectation {
    /// Compares a head. `origin` is the request's Web origin, empty when it named none.
    ///
    /// # Errors
    /// The first broken rule.
    pub fn check_head(&self, response: Response<'_>, origin: &[u8]) -> Result<(), Mismatch> {
        let status = response.status();
        let allowed = |range: &StatusRange| (range.0..=range.1).contains(&status);
        if !self.statuses.is_empty() && !self.statuses.iter().any(allowed) {
            return Err(Mismatch {
                kind: MismatchKind::Status,
                rule: 0,
            });
        }
        for (rule, number) in self.rules.iter().zip(0..) {
            if let Some(kind) = rule.broken_by(response, origin) {
                return Err(Mismatch { kind, rule: number });
            }
        }
        Ok(())
    }

    /// Whether lines of this name hold the request's Web origin, so that they differ between
    /// requests that all are answered rightly.
    #[must_use]
    pub fn echoes_in(&self, name: &[u8]) -> bool {
        self.rules
            .iter()
            .any(|rule| rule.name.as_bytes().eq_ignore_ascii_case(name) && rule.echoes())
    }

    /// Whether a rule looks at the value of lines of this name.
    #[must_use]
    pub fn compares_value_of(&self, name: &[u8]) -> bool {
        self.rules.iter().any(|rule| {
            let by_value = match rule.requirement {
                Requirement::Exactly(_) | Requirement::Has(_) => true,
                Requirement::Present | Requirement::Once | Requirement::Absent => false,
            };
            by_value && rule.name.as_bytes().eq_ignore_ascii_case(name)
        })
    }

    /// Says what a mismatch found by this expectation means, for people.
    #[must_use]
    pub fn describe(&self, mismatch: Mismatch) -> String {
        let rule = || self.rules.get(usize::from(mismatch.rule));
        let name = || rule().map_or("", |rule| &rule.name);
        match mismatch.kind {
            MismatchKind::Status => format!("status is not {}", Statuses(&self.statuses)),
            MismatchKind::HeaderMissing => format!("{} is missing", name()),
            MismatchKind::HeaderValue => match rule().map(|rule| &rule.requirement) {
                Some(Requirement::Exactly(values)) => {
                    let values: Vec<String> = values.iter().map(ToString::to_string).collect();
                    format!("{} is not `{}`", name(), values.join("`, `"))
                }
                Some(Requirement::Has(value)) => format!("no {} is `{value}`", name()),
                Some(Requirement::Present | Requirement::Once | Requirement::Absent) | None => {
                    format!("{} has another value", name())
                }
            },
            MismatchKind::HeaderRepeated => format!("{} is repeated", name()),
            MismatchKind::HeaderForbidden => format!("{} must not be there", name()),
            MismatchKind::BodyLength => match self.body.bytes {
                Some(bytes) => format!("the body is not {bytes} bytes long"),
                None => "the body has another length".to_owned(),
            },
            MismatchKind::BodyContent => "the body has other bytes".to_owned(),
        }
    }
}

impl fmt::Display for ExpectedValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.before))?;
        match &self.after_origin {
            Some(after) => write!(f, "{{origin}}{}", String::from_utf8_lossy(after)),
            None => Ok(()),
        }
    }
}

struct Statuses<'a>(&'a [StatusRange]);

impl fmt::Display for Statuses<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, StatusRange(first, last)) in self.0.iter().enumerate() {
            let or = if index == 0 { "" } else { " or " };
            if first == last {
                write!(f, "{or}{first}")?;
            } else {
                write!(f, "{or}{}xx", first / 100)?;
            }
        }
        Ok(())
    }
}
