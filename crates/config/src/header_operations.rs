//! `[[site.header]]`: from keys to header operations, and from findings to where they are written.

use std::sync::Arc;

use corsair_rules::{
    CorsPolicies, HeaderConditionSpec, HeaderOp, HeaderOpSpec, HeaderPolicy, Lint, OpPlace,
    OpProblem,
};

use crate::fields::Fields;
use crate::report::Report;
use crate::source_map::Span;

/// The compiled operations of a site or route, and where each is written.
#[derive(Debug)]
pub(crate) struct LocatedPolicy {
    pub(crate) policy: Arc<HeaderPolicy>,
    names: Vec<Span>,
}

impl LocatedPolicy {
    pub(crate) fn none() -> Self {
        Self {
            policy: Arc::new(HeaderPolicy::none()),
            names: Vec::new(),
        }
    }

    /// Warns of operations on fields that these policies write behind them.
    pub(crate) fn compare_with(&self, cors: &CorsPolicies, report: &mut Report) {
        for problem in self.policy.conflicts_with(cors) {
            report.add_lint(self.names[problem.op], &problem.lint, None);
        }
    }
}

/// Reads and compiles operations; with an error there are none.
pub(crate) fn read_header_policy(sections: &[Fields<'_>], report: &mut Report) -> LocatedPolicy {
    let mut specs = Vec::with_capacity(sections.len());
    let mut read = Vec::with_capacity(sections.len());
    for fields in sections {
        // What is missing or wrong here was told when the table was read.
        if let Some(spec) = read_operation(fields) {
            specs.push(spec);
            read.push(fields);
        }
    }
    match HeaderPolicy::compile(specs) {
        Ok(policy) => {
            let names = read.iter().map(|fields| fields.at("name")).collect();
            LocatedPolicy {
                policy: Arc::new(policy),
                names,
            }
        }
        Err(problems) => {
            for OpProblem { op, place, lint } in problems {
                report.add_lint(span_of(read[op], place, &lint), &lint, None);
            }
            LocatedPolicy::none()
        }
    }
}

fn span_of(fields: &Fields<'_>, place: OpPlace, lint: &Lint) -> Span {
    if let (Lint::BadCondition { text }, Some(when)) = (lint, fields.section("when")) {
        let texts = CONDITIONS
            .iter()
            .filter_map(|name| when.texts(name))
            .flatten();
        if let Some(found) = texts.into_iter().find(|found| found.value == text) {
            return found.at;
        }
    }
    match place {
        OpPlace::Op => fields.at("op"),
        OpPlace::Name => fields.at("name"),
        OpPlace::Value => fields.at("value"),
        OpPlace::Pattern => fields.at("pattern"),
        OpPlace::When => fields.at("when"),
    }
}

fn read_operation(fields: &Fields<'_>) -> Option<HeaderOpSpec> {
    let op = match fields.word("op")? {
        "set" => HeaderOp::Set,
        "add" => HeaderOp::Add,
        "append" => HeaderOp::Append,
        "merge" => HeaderOp::Merge,
        "default" => HeaderOp::Default,
        "remove" => HeaderOp::Remove,
        "replace" => HeaderOp::Replace,
        _ => return None,
    };
    let name = fields.text("name")?.value.to_owned();
    if fields.is_wrong("value") || fields.is_wrong("pattern") || fields.is_wrong("when") {
        return None;
    }
    Some(HeaderOpSpec {
        op,
        name,
        value: fields.text("value").map(|value| value.value.to_owned()),
        pattern: fields
            .text("pattern")
            .map(|pattern| pattern.value.to_owned()),
        when: fields
            .section("when")
            .map(read_condition)
            .unwrap_or_default(),
    })
}

/// The keys of `when`.
const CONDITIONS: [&str; 5] = [
    "status",
    "methods",
    "path",
    "content_type",
    "request_header",
];

fn read_condition(fields: &Fields<'_>) -> HeaderConditionSpec {
    let strings = |name| {
        let texts = fields.texts(name).unwrap_or_default();
        texts.iter().map(|text| text.value.to_owned()).collect()
    };
    HeaderConditionSpec {
        status: strings("status"),
        methods: strings("methods"),
        path: strings("path"),
        content_type: strings("content_type"),
        request_header: strings("request_header"),
    }
}
