//! JSON, XML and YAML as one small tree in which everything knows its line.
//!
//! RFC 8259, XML 1.0, YAML 1.2. Depth and number of values are bounded before anything is built;
//! document types, entities, aliases and repeated keys are refused, never resolved.

use super::{ImportError, ImportKind};
use crate::report::clip;
use crate::suggest::closest;
use core::fmt;
use saphyr_parser::{Event, Parser, ScalarStyle};
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// Deepest nesting read.
pub(super) const DEPTH_MAX: usize = 32;
/// Most values read, those inside others counted.
pub(super) const NODES_MAX: usize = 50_000;

/// A value and the line it begins on.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) line: usize,
    pub(super) value: Value,
}

#[derive(Debug)]
pub(super) enum Value {
    Null,
    Flag(bool),
    /// As written.
    Number(String),
    Text(String),
    List(Vec<Node>),
    /// In the order of the text; XML may repeat a key.
    Map(Vec<Entry>),
}

#[derive(Debug)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) line: usize,
    pub(super) node: Node,
}

impl Node {
    fn kind(&self) -> &'static str {
        match &self.value {
            Value::Null => "nothing",
            Value::Flag(_) => "true or false",
            Value::Number(_) => "a number",
            Value::Text(_) => "text",
            Value::List(_) => "a list",
            Value::Map(_) => "an object",
        }
    }

    fn wrong(&self, what: &str, wanted: &str) -> ImportError {
        let message = format!("{} must be {wanted}, not {}", clip(what), self.kind());
        ImportError::at(self.line, message)
    }

    pub(super) fn entries(&self, what: &str) -> Result<&[Entry], ImportError> {
        match &self.value {
            Value::Map(entries) => Ok(entries),
            Value::Null | Value::Flag(_) | Value::Number(_) | Value::Text(_) | Value::List(_) => {
                Err(self.wrong(what, "an object"))
            }
        }
    }

    pub(super) fn list(&self, what: &str) -> Result<&[Self], ImportError> {
        match &self.value {
            Value::List(list) => Ok(list),
            Value::Null | Value::Flag(_) | Value::Number(_) | Value::Text(_) | Value::Map(_) => {
                Err(self.wrong(what, "a list"))
            }
        }
    }

    pub(super) fn text(&self, what: &str) -> Result<&str, ImportError> {
        match &self.value {
            Value::Text(text) => Ok(text),
            Value::Null | Value::Flag(_) | Value::Number(_) | Value::List(_) | Value::Map(_) => {
                Err(self.wrong(what, "text"))
            }
        }
    }

    /// Text, or a number or flag as it is written.
    pub(super) fn scalar(&self, what: &str) -> Result<&str, ImportError> {
        match &self.value {
            Value::Text(text) | Value::Number(text) => Ok(text),
            Value::Flag(true) => Ok("true"),
            Value::Flag(false) => Ok("false"),
            Value::Null | Value::List(_) | Value::Map(_) => Err(self.wrong(what, "text")),
        }
    }

    /// Whole seconds, also when they are written as text (XML and YAML have nothing else).
    pub(super) fn seconds(&self, what: &str) -> Result<u32, ImportError> {
        let text = self.scalar(what)?;
        text.trim().parse().map_err(|_| {
            let message = format!(
                "{what} must be whole seconds from 0 to {}, not `{}`",
                u32::MAX,
                clip(text)
            );
            ImportError::at(self.line, message)
        })
    }

    /// The value of a key; XML's first.
    pub(super) fn find(&self, key: &str) -> Option<&Self> {
        let Value::Map(entries) = &self.value else {
            return None;
        };
        let found = entries.iter().find(|entry| entry.key == key);
        found.map(|entry| &entry.node)
    }
}

/// Says that a key does not exist, and which one was probably meant.
pub(super) fn unknown_key(entry: &Entry, what: &str, known: &[&str]) -> ImportError {
    let hint = match closest(&entry.key, known.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("there are {}", known.join(", ")),
    };
    let message = format!("`{}` is no key of {what}; {hint}", clip(&entry.key));
    ImportError::at(entry.line, message)
}

/// Counts values down.
struct Budget(usize);

impl Budget {
    fn new() -> Self {
        Self(NODES_MAX)
    }

    fn spend(&mut self, line: usize, depth: usize) -> Result<(), ImportError> {
        if depth > DEPTH_MAX {
            let message = format!("more than {DEPTH_MAX} values inside each other");
            return Err(ImportError::at(line, message));
        }
        self.0 = self.0.checked_sub(1).ok_or_else(|| {
            ImportError::at(line, format!("more than {NODES_MAX} values in one input"))
        })?;
        Ok(())
    }
}

/// Where lines begin.
struct Lines(Vec<usize>);

impl Lines {
    fn of(text: &str) -> Self {
        Self(memchr_lines(text).collect())
    }

    /// The line of a byte, from 1.
    fn line(&self, offset: usize) -> usize {
        self.0.partition_point(|&end| end < offset) + 1
    }
}

fn memchr_lines(text: &str) -> impl Iterator<Item = usize> {
    text.match_indices('\n').map(|(at, _)| at)
}

fn refuse_repeated(entries: &[Entry]) -> Result<(), ImportError> {
    let mut seen = std::collections::HashSet::with_capacity(entries.len());
    match entries.iter().find(|entry| !seen.insert(&entry.key)) {
        None => Ok(()),
        Some(again) => {
            let message = format!("`{}` is given twice", clip(&again.key));
            Err(ImportError::at(again.line, message))
        }
    }
}

/// Reads one JSON value.
pub(super) fn read_json(kind: ImportKind, text: &str) -> Result<Node, ImportError> {
    let raw: &RawValue = serde_json::from_str(text).map_err(|error| match error.is_eof() {
        true => kind.cut_off(error.line(), "a JSON value"),
        false => json_error(&error, 1),
    })?;
    let mut reader = JsonReader {
        text,
        lines: Lines::of(text),
        budget: Budget::new(),
    };
    reader.node(raw, 0)
}

fn json_error(error: &serde_json::Error, first_line: usize) -> ImportError {
    let told = error.to_string();
    // serde_json ends its sentences with the place, which stands in front here.
    let sentence = told
        .rsplit_once(" at line ")
        .map_or(&*told, |(said, _)| said);
    ImportError {
        line: first_line + error.line().saturating_sub(1),
        column: (first_line == 1).then(|| error.column().max(1)),
        message: format!("the input is not JSON: {}", clip(sentence)),
    }
}

struct JsonReader<'t> {
    text: &'t str,
    lines: Lines,
    budget: Budget,
}

/// The members of an object in their order, not read yet.
struct Members<'t>(Vec<(String, &'t RawValue)>);

impl<'de: 't, 't> Deserialize<'de> for Members<'t> {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        struct Collect;
        impl<'de> Visitor<'de> for Collect {
            type Value = Vec<(String, &'de RawValue)>;

            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(members)
            }
        }
        input.deserialize_map(Collect).map(Members)
    }
}

impl<'t> JsonReader<'t> {
    fn node(&mut self, raw: &'t RawValue, depth: usize) -> Result<Node, ImportError> {
        let body = raw.get();
        // A raw value is a slice of the text it was read from.
        let offset = body.as_ptr().addr() - self.text.as_ptr().addr();
        let line = self.lines.line(offset);
        self.budget.spend(line, depth)?;
        let failed = |error: serde_json::Error| json_error(&error, line);
        let value = match body.as_bytes().first() {
            Some(b'{') => {
                let Members(members) = serde_json::from_str(body).map_err(failed)?;
                let mut entries = Vec::with_capacity(members.len().min(64));
                for (key, raw) in members {
                    let node = self.node(raw, depth + 1)?;
                    entries.push(Entry {
                        key,
                        line: node.line,
                        node,
                    });
                }
                refuse_repeated(&entries)?;
                Value::Map(entries)
            }
            Some(b'[') => {
                let items: Vec<&RawValue> = serde_json::from_str(body).map_err(failed)?;
                let items = items.into_iter().map(|raw| self.node(raw, depth + 1));
                Value::List(items.collect::<Result<_, _>>()?)
            }
            Some(b'"') => Value::Text(serde_json::from_str(body).map_err(failed)?),
            Some(b't') => Value::Flag(true),
            Some(b'f') => Value::Flag(false),
            Some(b'n') | None => Value::Null,
            Some(_) => Value::Number(body.to_owned()),
        };
        Ok(Node { line, value })
    }
}

/// Reads an XML document; the root comes as an entry with its local name as the key.
pub(super) fn read_xml(kind: ImportKind, text: &str) -> Result<Entry, ImportError> {
    let options = roxmltree::ParsingOptions {
        nodes_limit: u32::try_from(4 * NODES_MAX).expect("the limit is small"),
        ..roxmltree::ParsingOptions::default()
    };
    let document = roxmltree::Document::parse_with_options(text, options).map_err(|error| {
        use roxmltree::Error::{UnclosedRootNode, UnexpectedEndOfStream};
        let place = error.pos();
        if matches!(error, UnclosedRootNode | UnexpectedEndOfStream) {
            return kind.cut_off(text.lines().count(), "an XML element");
        }
        let told = match &error {
            roxmltree::Error::DtdDetected => {
                "it has a document type, which is not read because entities could be anything"
                    .to_owned()
            }
            other => without_place(&other.to_string()),
        };
        ImportError {
            line: usize::try_from(place.row).unwrap_or(1).max(1),
            column: usize::try_from(place.col).ok(),
            message: format!("the input cannot be read as XML: {}", clip(&told)),
        }
    })?;
    let mut reader = XmlReader {
        lines: Lines::of(text),
        budget: Budget::new(),
    };
    reader.entry(document.root_element(), 0)
}

/// The parser's sentences end with the place, which stands in front here.
fn without_place(sentence: &str) -> String {
    let cut = sentence.rsplit_once(" at ").filter(|(_, place)| {
        place
            .bytes()
            .all(|byte| byte.is_ascii_digit() || byte == b':')
    });
    cut.map_or(sentence, |(said, _)| said).to_owned()
}

struct XmlReader {
    lines: Lines,
    budget: Budget,
}

impl XmlReader {
    fn entry(
        &mut self,
        element: roxmltree::Node<'_, '_>,
        depth: usize,
    ) -> Result<Entry, ImportError> {
        let line = self.lines.line(element.range().start);
        self.budget.spend(line, depth)?;
        let key = element.tag_name().name().to_owned();
        let mut text = String::new();
        let mut entries = Vec::new();
        for child in element.children() {
            if child.is_element() {
                entries.push(self.entry(child, depth + 1)?);
            } else if child.is_text() {
                text.push_str(child.text().unwrap_or_default());
            }
        }
        let text = text.trim();
        let value = if entries.is_empty() {
            Value::Text(text.to_owned())
        } else if text.is_empty() {
            Value::Map(entries)
        } else {
            let message = format!("<{}> has text beside its elements", clip(&key));
            return Err(ImportError::at(line, message));
        };
        let node = Node { line, value };
        Ok(Entry { key, line, node })
    }
}

/// A collection that is not closed yet.
enum Open {
    List(usize, Vec<Node>),
    Map(usize, Vec<Entry>, Option<(String, usize)>),
}

/// Reads a stream of YAML documents. JSON is YAML, too.
pub(super) fn read_yaml(text: &str) -> Result<Vec<Node>, ImportError> {
    let mut documents = Vec::new();
    let mut open: Vec<Open> = Vec::new();
    let mut budget = Budget::new();
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| ImportError {
            line: error.marker().line().max(1),
            column: Some(error.marker().col() + 1),
            message: format!("the input is not YAML: {}", clip(error.info())),
        })?;
        let line = span.start.line().max(1);
        let finished = match event {
            Event::Scalar(text, style, ..) => {
                budget.spend(line, open.len())?;
                let is_null = style == ScalarStyle::Plain && matches!(&*text, "" | "~" | "null");
                let value = if is_null {
                    Value::Null
                } else {
                    Value::Text(text.into_owned())
                };
                Some(Node { line, value })
            }
            Event::SequenceStart(..) => {
                budget.spend(line, open.len())?;
                open.push(Open::List(line, Vec::new()));
                None
            }
            Event::MappingStart(..) => {
                budget.spend(line, open.len())?;
                open.push(Open::Map(line, Vec::new(), None));
                None
            }
            Event::SequenceEnd | Event::MappingEnd => open.pop().map(close).transpose()?,
            Event::Alias(_) => {
                return Err(ImportError::at(
                    line,
                    "an alias (`*name`) is not followed; write the value out",
                ));
            }
            Event::Nothing
            | Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentStart(_)
            | Event::DocumentEnd => None,
        };
        if let Some(node) = finished {
            match open.last_mut() {
                None => documents.push(node),
                Some(collection) => place(collection, node)?,
            }
        }
    }
    Ok(documents)
}

fn close(collection: Open) -> Result<Node, ImportError> {
    Ok(match collection {
        Open::List(line, items) => Node {
            line,
            value: Value::List(items),
        },
        Open::Map(line, entries, _) => {
            refuse_repeated(&entries)?;
            Node {
                line,
                value: Value::Map(entries),
            }
        }
    })
}

/// Puts a finished value where it belongs: into a list, or as a key or value of a map.
fn place(collection: &mut Open, node: Node) -> Result<(), ImportError> {
    match collection {
        Open::List(_, items) => items.push(node),
        Open::Map(_, entries, key) => match key.take() {
            Some((key, line)) => entries.push(Entry { key, line, node }),
            None => *key = Some((node.text("a key")?.to_owned(), node.line)),
        },
    }
    Ok(())
}
