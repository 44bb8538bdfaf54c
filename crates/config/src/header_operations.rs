//! `[[site.header]]`: from keys to header operations, and from findings to where they are written.
//!
//! The CDN console's form is read here too: `validate_origin` makes a CORS policy of an operation,
//! and the operations beside it that set other CORS fields speak for its preflights.

use std::sync::Arc;

use corsair_rules::{
    CorsPolicies, CorsPolicySpec, HeaderConditionSpec, HeaderOp, HeaderOpSpec, HeaderPolicy, Lint,
    OpPlace, OpProblem, SeedForm, SeedOpSpec, SeedSibling, fold_seed_siblings, read_seed_form,
};

use crate::cors::{self, LocatedPolicies, Places};
use crate::diagnostic::Code;
use crate::fields::Fields;
use crate::report::Report;
use crate::source_map::Span;

/// The compiled operations of a site or route, and where each is written.
#[derive(Debug)]
pub(crate) struct LocatedPolicy {
    pub(crate) policy: Arc<HeaderPolicy>,
    /// What `validate_origin` made of some operations.
    pub(crate) validated: Option<Validated>,
    /// Where each operation's name is written.
    pub(crate) names: Arc<[Span]>,
    /// By position in the policy: what stands beside a validated operation and belongs to it.
    siblings: Vec<bool>,
}

/// The CORS policies that operations with `validate_origin` are.
#[derive(Debug)]
pub(crate) struct Validated {
    pub(crate) cors: LocatedPolicies,
    /// Where the first one is switched on.
    pub(crate) at: Span,
}

impl LocatedPolicy {
    pub(crate) fn none() -> Self {
        Self {
            policy: Arc::new(HeaderPolicy::none()),
            validated: None,
            names: Arc::new([]),
            siblings: Vec::new(),
        }
    }

    /// Warns of operations on fields that these policies write behind them.
    pub(crate) fn compare_with(&self, cors: &CorsPolicies, report: &mut Report) {
        for problem in self.policy.conflicts_with(cors) {
            if self.validated.is_none() || !self.siblings[problem.op] {
                report.add_lint(self.names[problem.op], &problem.lint, None);
            }
        }
    }
}

/// Reads and compiles operations; with an error there are none.
pub(crate) fn read_header_policy(sections: &[Fields<'_>], report: &mut Report) -> LocatedPolicy {
    let mut operations: Vec<(HeaderOpSpec, &Fields<'_>)> = Vec::with_capacity(sections.len());
    let mut validated: Vec<(CorsPolicySpec, &Fields<'_>)> = Vec::new();
    for fields in sections {
        // What is missing or wrong here was told when the table was read.
        let Some(spec) = read_operation(fields) else {
            continue;
        };
        match read_form(spec, fields, report) {
            Some(SeedForm::Header(spec)) => operations.push((spec, fields)),
            Some(SeedForm::Cors(policy)) => validated.push((*policy, fields)),
            None => {}
        }
    }
    let validated = compile_validated(validated, &operations, report);
    if validated.is_some() {
        // The policy writes these on the responses it grants; twice would be once too often.
        operations.retain(|(spec, _)| SeedSibling::of(spec) != Some(SeedSibling::Answer));
    }
    let is_sibling = |(spec, _): &(HeaderOpSpec, _)| SeedSibling::of(spec).is_some();
    let siblings = operations.iter().map(is_sibling).collect();
    let (specs, read): (Vec<HeaderOpSpec>, Vec<&Fields<'_>>) = operations.into_iter().unzip();
    match HeaderPolicy::compile(specs) {
        Ok(policy) => LocatedPolicy {
            policy: Arc::new(policy),
            validated,
            names: read.iter().map(|fields| fields.at("name")).collect(),
            siblings,
        },
        Err(problems) => {
            for OpProblem { op, place, lint } in problems {
                report.add_lint(span_of(read[op], place, &lint), &lint, None);
            }
            LocatedPolicy::none()
        }
    }
}

/// The operation in the console's form, if one of its switches is written.
fn read_form(spec: HeaderOpSpec, fields: &Fields<'_>, report: &mut Report) -> Option<SeedForm> {
    let validate_origin = fields.flag("validate_origin");
    let allow_duplicates = fields.flag("allow_duplicates");
    let mut warn = |name: &str, why: &str, remedy: &str| {
        if let Some(at) = fields.written_at(name) {
            report.add(
                Code::NoEffect,
                at,
                format!("`{name}` does nothing: {why}"),
                remedy,
            );
        }
    };
    if validate_origin != Some(true) {
        let why = "without `validate_origin = true` the value is sent as it is";
        warn("dialect", why, "remove it, or set `validate_origin = true`");
    }
    if spec.op != HeaderOp::Add {
        let why = "only `op = \"add\"` can leave lines as they are";
        warn(
            "allow_duplicates",
            why,
            "remove it, or write `op = \"add\"`",
        );
    }
    if validate_origin.is_none() && allow_duplicates.is_none() {
        return Some(SeedForm::Header(spec));
    }
    let seed = SeedOpSpec {
        op: spec,
        validate_origin: validate_origin.unwrap_or(false),
        allow_duplicates: allow_duplicates.unwrap_or(false),
        dialect: fields
            .word("dialect")
            .map(cors::dialect)
            .unwrap_or_default(),
    };
    match read_seed_form(seed) {
        Ok(form) => Some(form),
        Err(lint) => {
            let at = if let Lint::ValidateAndDuplicates {} = lint {
                fields.at("allow_duplicates")
            } else if let Lint::ValidateElsewhere { .. } = lint {
                fields.at("validate_origin")
            } else if let Lint::SeedCondition {} = lint {
                fields.at("when")
            } else if let Lint::NeedlessValue { .. } = lint {
                fields.at("pattern")
            } else {
                fields.at("value")
            };
            report.add_lint(at, &lint, None);
            None
        }
    }
}

/// Compiles what `validate_origin` made, with what the operations beside it say about preflights.
fn compile_validated(
    validated: Vec<(CorsPolicySpec, &Fields<'_>)>,
    operations: &[(HeaderOpSpec, &Fields<'_>)],
    report: &mut Report,
) -> Option<Validated> {
    let at = validated.first()?.1.at("validate_origin");
    let beside: Vec<HeaderOpSpec> = operations.iter().map(|(spec, _)| spec.clone()).collect();
    let value_of = |name: &str| {
        let mut own = operations.iter().rev();
        let found = own.find(|(spec, _)| spec.name.eq_ignore_ascii_case(name));
        found.map_or(at, |(_, fields)| fields.at("value"))
    };
    let mut specs = Vec::with_capacity(validated.len());
    let mut places = Vec::with_capacity(validated.len());
    for (mut spec, fields) in validated {
        fold_seed_siblings(&mut spec, &beside);
        let when = fields.section("when");
        let content_types = when.and_then(|when| when.texts("content_type"));
        let content_types = content_types.unwrap_or_default().iter();
        places.push(Places {
            origins: vec![fields.at("value"); spec.origins.len()],
            methods: vec![value_of("Access-Control-Allow-Methods"); spec.methods.len()],
            request_headers: vec![
                value_of("Access-Control-Allow-Headers");
                spec.request_headers.len()
            ],
            expose: vec![value_of("Access-Control-Expose-Headers"); spec.expose.len()],
            content_types: content_types.map(|text| text.at).collect(),
            max_age: value_of("Access-Control-Max-Age"),
            ..Places::at(fields.at("value"))
        });
        specs.push(spec);
    }
    let cors = cors::compile(specs, places, report);
    Some(Validated { cors, at })
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
    let needed = [
        "value",
        "pattern",
        "when",
        "validate_origin",
        "allow_duplicates",
        "dialect",
    ];
    if needed.iter().any(|name| fields.is_wrong(name)) {
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
