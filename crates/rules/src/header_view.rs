//! Compiled header operations read back as plain facts, for reports such as `corsair diff`.
//!
//! What is read is the compiled form that edits responses, never the text it was compiled from. It
//! allocates; never used for requests.

use crate::header_policy::{HeaderPolicy, Op, Verb};
use crate::header_template::Template;
use core::fmt;

/// One operation of a route. Two are equal when they do the same to every response.
#[derive(Debug, Clone, Copy)]
pub struct OperationView<'p> {
    op: &'p Op,
}

impl HeaderPolicy {
    /// Every operation, in the order in which they run.
    pub fn views(&self) -> impl Iterator<Item = OperationView<'_>> {
        self.ops().iter().map(|op| OperationView { op })
    }
}

impl<'p> OperationView<'p> {
    /// Whether it may write, change or remove a field of this name.
    #[must_use]
    pub fn touches(self, name: &str) -> bool {
        let own = &*self.op.name;
        match self.op.verb {
            Verb::RemovePrefix => name
                .as_bytes()
                .get(..own.len())
                .is_some_and(|begin| begin.eq_ignore_ascii_case(own)),
            Verb::Set(_)
            | Verb::Add(_)
            | Verb::Append(_)
            | Verb::Merge(_)
            | Verb::Default(_)
            | Verb::Remove
            | Verb::Replace(..) => name.as_bytes().eq_ignore_ascii_case(own),
        }
    }

    /// Whether it applies by the response's content type, as the operations before left it.
    #[must_use]
    pub fn asks_content_type(self) -> bool {
        let when = self.op.when.as_ref();
        when.is_some_and(|when| when.asks_content_type())
    }

    /// The value, when it is the same for every response.
    #[must_use]
    pub fn constant(self) -> Option<&'p str> {
        core::str::from_utf8(self.template()?.constant()?).ok()
    }

    fn template(self) -> Option<&'p Template> {
        match &self.op.verb {
            Verb::Set(value)
            | Verb::Add(value)
            | Verb::Append(value)
            | Verb::Merge(value)
            | Verb::Default(value)
            | Verb::Replace(_, value) => Some(value),
            Verb::Remove | Verb::RemovePrefix => None,
        }
    }
}

impl PartialEq for OperationView<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.op.verb == other.op.verb
            && self.op.when == other.op.when
            && self.op.name.eq_ignore_ascii_case(&other.op.name)
    }
}

impl fmt::Display for OperationView<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verb = self.op.verb.as_op().as_str();
        write!(out, "{verb} {}", self.op.shown_name())?;
        if self.template().is_some() {
            write!(out, ": {}", self.constant().unwrap_or("${…}"))?;
        }
        match self.op.when {
            Some(_) => out.write_str(" when …"),
            None => Ok(()),
        }
    }
}
