//! `--set key=value`: one value changed from the command line, on the tree before it is read.
//!
//! The key is a dotted path from the top level. Where the schema has an array of tables, a number
//! chooses the element (`listener.0.address`); without one the only element is meant. The value is
//! TOML if it reads as TOML, and else the string itself, so quotes are seldom needed.

use std::sync::Arc;

use crate::diagnostic::Code;
use crate::report::{Report, clip};
use crate::schema::{Section, Shape};
use crate::source_map::Span;
use crate::tree::{Entry, Node, Value, parse_value};

/// Deepest path of keys; the contract's own deepest has six.
const PATH_KEYS_MAX: usize = 16;

/// What an argument changes, once its text is understood.
struct Override<'a> {
    path: Vec<&'a str>,
    /// The whole argument.
    at: Span,
    value: Node,
}

/// Applies the arguments in order; a later one wins. Each argument is a text of its own in the
/// report, named `--set`.
pub(crate) fn apply_overrides(root: &mut Vec<Entry>, arguments: &[&str], report: &mut Report) {
    for argument in arguments {
        let base = report.add_text("--set".to_owned(), Arc::from(*argument));
        let at = Span {
            start: base,
            end: base + argument.len(),
        };
        let Some((path, raw)) = argument.split_once('=') else {
            let message = format!("`{}` has no `=`", clip(argument));
            report.add(
                Code::BadOverride,
                at,
                message,
                "write `--set limits.idle_timeout=30s`",
            );
            continue;
        };
        let path: Vec<&str> = path.trim().split('.').collect();
        if path.iter().any(|key| key.is_empty()) || path.len() > PATH_KEYS_MAX {
            let message = format!("`{}` is no path of keys", clip(argument));
            report.add(
                Code::BadOverride,
                at,
                message,
                "write `--set limits.idle_timeout=30s`",
            );
            continue;
        }
        let value_at = at.part(argument.len() - raw.len(), raw.len());
        let value = parse_value(raw, value_at.start).unwrap_or_else(|| Node {
            at: value_at,
            value: Value::Text(raw.to_owned()),
        });
        let change = Override { path, at, value };
        if let Err(problem) = put(root, Some(Section::root()), &change, 0) {
            report.add(Code::BadOverride, at, problem.message, problem.remedy);
        }
    }
}

struct Problem {
    message: String,
    remedy: String,
}

fn put(
    table: &mut Vec<Entry>,
    section: Option<&'static Section>,
    change: &Override<'_>,
    depth: usize,
) -> Result<(), Problem> {
    let key = change.path[depth];
    let shape = section
        .and_then(|section| section.key(key))
        .map(|(_, key)| key.shape);
    let key_at = change.at.part(
        change.path[..depth].iter().map(|key| key.len() + 1).sum(),
        key.len(),
    );
    let index = table
        .iter()
        .position(|entry| entry.key == key)
        .unwrap_or_else(|| {
            let node = Node {
                at: change.at,
                value: empty(shape),
            };
            table.push(Entry {
                key: key.to_owned(),
                key_at,
                node,
            });
            table.len() - 1
        });
    let entry = &mut table[index];
    if depth + 1 == change.path.len() {
        entry.node = change.value.clone();
        entry.key_at = key_at;
        return Ok(());
    }
    match (&mut entry.node.value, shape.and_then(Shape::section)) {
        (Value::Table(inner_table), section) => put(inner_table, section, change, depth + 1),
        (Value::List(list), Some(section)) => put_element(list, section, change, depth + 1),
        (other, _) => Err(Problem {
            message: format!("`{key}` is {}, not a table", other.kind()),
            remedy: format!(
                "`--set {}=…` changes it as a whole",
                change.path[..=depth].join(".")
            ),
        }),
    }
}

/// Goes on in one element of an array of tables.
fn put_element(
    list: &mut Vec<Node>,
    section: &'static Section,
    change: &Override<'_>,
    depth: usize,
) -> Result<(), Problem> {
    let named = change.path[depth].parse::<usize>().ok();
    let index = named.unwrap_or(0);
    if list.is_empty() && index == 0 {
        list.push(Node {
            at: change.at,
            value: Value::Table(Vec::new()),
        });
    }
    let parent = change.path[..depth].join(".");
    let several = list.len();
    if named.is_none() && several > 1 {
        return Err(Problem {
            message: format!("there are {several} of `{parent}`"),
            remedy: format!("say which by number, the first is `{parent}.0`"),
        });
    }
    let Some(Node {
        value: Value::Table(table),
        ..
    }) = list.get_mut(index)
    else {
        return Err(Problem {
            message: format!("there is no `{parent}.{index}`"),
            remedy: format!("numbers begin at 0; there are {several} of `{parent}`"),
        });
    };
    let depth = depth + usize::from(named.is_some());
    if depth == change.path.len() {
        return Err(Problem {
            message: format!("`{parent}.{index}` is a table"),
            remedy: "name the key in it that is to change".to_owned(),
        });
    }
    put(table, Some(section), change, depth)
}

/// What a key that is not there holds before something is put into it.
fn empty(shape: Option<Shape>) -> Value {
    if let Some(Shape::Sections(_)) = shape {
        Value::List(Vec::new())
    } else {
        Value::Table(Vec::new())
    }
}
