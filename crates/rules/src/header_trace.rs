//! What each header operation did to one response, or why it did nothing: for `explain`.
//!
//! Runs the operations themselves, one by one, and compares the lines before and after. It allocates,
//! and is never used for requests.

use crate::header_policy::{EditContext, HeaderOp, HeaderPolicy, Op, Verb};
use crate::header_template::Scratch;
use corsair_http1::FieldSection;

/// One operation and its effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpTrace {
    /// The verb.
    pub op: HeaderOp,
    /// The field's name as written.
    pub name: String,
    /// What came of it.
    pub effect: OpEffect,
}

/// What came of an operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OpEffect {
    /// These lines are gone and those have come, each as `Name: value`.
    Changed {
        /// Lines that were there before.
        gone: Vec<String>,
        /// Lines that are there now.
        come: Vec<String>,
    },
    /// It ran, or had nothing to run on, and the lines are the same.
    Unchanged,
    /// A condition does not hold; this one.
    NotWhen(String),
}

impl HeaderPolicy {
    /// Runs the operations on a response's fields as [`HeaderPolicy::apply`] does, and tells.
    #[must_use]
    pub fn trace(&self, section: &mut FieldSection, context: &EditContext<'_>) -> Vec<OpTrace> {
        let traces = self.ops().iter().map(|op| OpTrace {
            op: verb_of(&op.verb),
            name: shown_name(op),
            effect: trace_op(op, section, context),
        });
        traces.collect()
    }

    /// How many operations there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ops().len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ops().is_empty()
    }
}

fn trace_op(op: &Op, section: &mut FieldSection, context: &EditContext<'_>) -> OpEffect {
    if let Some(why) = op
        .when
        .as_ref()
        .and_then(|when| when.failing(section, context))
    {
        return OpEffect::NotWhen(why);
    }
    let before = lines(section);
    if !op.is_idle(section) {
        op.run(section, context, &mut Scratch::new());
    }
    let after = lines(section);
    let missing_in = |lines: &[String], others: &[String]| {
        let mut others = others.to_vec();
        let mut missing = Vec::new();
        for line in lines {
            match others.iter().position(|other| other == line) {
                Some(place) => drop(others.remove(place)),
                None => missing.push(line.clone()),
            }
        }
        missing
    };
    let (gone, come) = (missing_in(&before, &after), missing_in(&after, &before));
    if gone.is_empty() && come.is_empty() {
        OpEffect::Unchanged
    } else {
        OpEffect::Changed { gone, come }
    }
}

fn lines(section: &FieldSection) -> Vec<String> {
    let line = |name: &[u8], value: &[u8]| {
        let name = String::from_utf8_lossy(name);
        format!("{name}: {}", String::from_utf8_lossy(value))
    };
    section
        .iter()
        .map(|field| line(field.name, field.value))
        .collect()
}

fn shown_name(op: &Op) -> String {
    let name = String::from_utf8_lossy(&op.name);
    match op.verb {
        Verb::RemovePrefix => format!("{name}*"),
        Verb::Set(_)
        | Verb::Add(_)
        | Verb::Append(_)
        | Verb::Merge(_)
        | Verb::Default(_)
        | Verb::Remove
        | Verb::Replace(..) => name.into_owned(),
    }
}

fn verb_of(verb: &Verb) -> HeaderOp {
    match verb {
        Verb::Set(_) => HeaderOp::Set,
        Verb::Add(_) => HeaderOp::Add,
        Verb::Append(_) => HeaderOp::Append,
        Verb::Merge(_) => HeaderOp::Merge,
        Verb::Default(_) => HeaderOp::Default,
        Verb::Remove | Verb::RemovePrefix => HeaderOp::Remove,
        Verb::Replace(..) => HeaderOp::Replace,
    }
}
