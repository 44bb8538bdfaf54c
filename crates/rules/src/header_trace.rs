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
            op: op.verb.as_op(),
            name: op.shown_name(),
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

impl Op {
    /// The name as it is written, with its final star.
    pub(crate) fn shown_name(&self) -> String {
        let name = String::from_utf8_lossy(&self.name);
        match self.verb {
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
}

impl Verb {
    /// The verb as a configuration has it.
    pub(crate) fn as_op(&self) -> HeaderOp {
        match self {
            Self::Set(_) => HeaderOp::Set,
            Self::Add(_) => HeaderOp::Add,
            Self::Append(_) => HeaderOp::Append,
            Self::Merge(_) => HeaderOp::Merge,
            Self::Default(_) => HeaderOp::Default,
            Self::Remove | Self::RemovePrefix => HeaderOp::Remove,
            Self::Replace(..) => HeaderOp::Replace,
        }
    }
}
