//! The configuration as a JSON schema, for editors that complete and check TOML.
//!
//! Generated from the same table that the checker reads; a test keeps `configs/corsair.schema.json`
//! equal to it. It is JSON Schema, draft 2020-12, in a handful of its keywords. What a schema cannot
//! say (that an upstream exists, that an origin is one) is for `corsair check`.

use serde_json::{Map, Value, json};

use crate::fields::default_number;
use crate::schema::{Absent, Key, Section, Shape, Status};

/// Durations as the checker reads them: units from large to small, each at most once.
const DURATION: &str = "^(?=.)([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?([0-9]+ms)?$";
const SIZE: &str = "^[0-9]+(B|kB|KB|KiB|MB|MiB|GB|GiB|TB|TiB)$";
const RATE: &str = "^[0-9]+(B|kB|KB|KiB|MB|MiB|GB|GiB|TB|TiB)/s$";
const STATUS: &str = "^[2-5][0-9][0-9]$";

/// The whole schema, indented, ending in a newline. Keys that are not built are not in it.
///
/// ```
/// let schema = corsair_config::json_schema();
/// assert!(schema.contains("\"stale_if_error\": {"));
/// ```
pub fn json_schema() -> String {
    let mut sections = Map::new();
    Section::root().visit(&mut |section| {
        if !section.path.is_empty() {
            sections.insert(section.path.to_owned(), object(section));
        }
    });
    let mut schema = object(Section::root());
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema".into();
    schema["title"] = "Corsair configuration".into();
    schema["$defs"] = Value::Object(sections);
    let mut text = serde_json::to_string_pretty(&schema).expect("texts and numbers only");
    text.push('\n');
    text
}

fn object(section: &'static Section) -> Value {
    let works = || {
        section
            .keys
            .iter()
            .filter(|key| key.status == Status::Works)
    };
    let properties: Map<String, Value> = works()
        .map(|key| (key.name.to_owned(), property(key)))
        .collect();
    let required: Vec<&str> = works()
        .filter(|key| key.absent == Absent::Refused)
        .map(|key| key.name)
        .collect();
    let mut object = json!({
        "type": "object",
        "description": section.doc,
        "properties": properties,
        "additionalProperties": false,
    });
    if !required.is_empty() {
        object["required"] = required.into();
    }
    object
}

fn property(key: &Key) -> Value {
    let mut value = shape(key.shape);
    value["description"] = key.doc.into();
    match key.absent {
        Absent::Means(text) => value["default"] = default(key, text),
        Absent::Told(_) | Absent::Refused => {}
    }
    value
}

/// The default in the type of the key.
fn default(key: &Key, text: &str) -> Value {
    match (key.shape, default_number(key)) {
        (Shape::Count { .. } | Shape::OneOf(_), Some(number)) => number.into(),
        (Shape::Flag, _) => (text == "true").into(),
        _ => text.into(),
    }
}

fn shape(shape: Shape) -> Value {
    let reference = |section: &Section| json!({ "$ref": format!("#/$defs/{}", section.path) });
    match shape {
        // A key of no shape is not built, and then it is not here.
        Shape::Text | Shape::Later(_) => json!({ "type": "string" }),
        Shape::Flag => json!({ "type": "boolean" }),
        Shape::Count { min, max } => json!({ "type": "integer", "minimum": min, "maximum": max }),
        Shape::OneOf(all) => json!({ "enum": all }),
        Shape::Duration { .. } => json!({ "type": "string", "pattern": DURATION }),
        Shape::Size { .. } => json!({ "type": "string", "pattern": SIZE }),
        Shape::Rate { .. } => json!({ "type": "string", "pattern": RATE }),
        Shape::Word(words) => {
            let works = words.iter().filter(|word| word.status == Status::Works);
            json!({ "enum": works.map(|word| word.text).collect::<Vec<_>>() })
        }
        Shape::Texts { max } => {
            json!({ "type": "array", "items": { "type": "string" }, "maxItems": max })
        }
        Shape::StatusDurations { .. } => json!({
            "type": "object",
            "patternProperties": { STATUS: { "type": "string", "pattern": DURATION } },
            "additionalProperties": false,
        }),
        Shape::Section(inner) => reference(inner),
        Shape::Sections(inner) => json!({ "type": "array", "items": reference(inner) }),
        Shape::SectionOrSections(inner) => json!({
            "anyOf": [reference(inner), { "type": "array", "items": reference(inner) }],
        }),
    }
}
