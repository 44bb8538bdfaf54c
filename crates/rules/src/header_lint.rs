//! What is wrong with header operations beside their syntax: values that browsers do not understand, lines
//! that are good for nothing twice, and operations that fight CORS or the cache.
//!
//! Fetch §3.2 (CORS fields), §3.7 (`Cross-Origin-Resource-Policy`), Resource Timing (its field), RFC 9110
//! §12.5.5 (`Vary`), §13.1 (validators). Judges what is written and never a response.

use crate::cors::{CorsPolicies, is_cors_response_field};
use crate::cors_spec::UpstreamMode;
use crate::header_policy::{HeaderOp, HeaderOpSpec, HeaderPolicy, Op, Verb};
use crate::lint::{Lint, OpPlace, OpProblem};
use crate::origin_pattern::{Dialect, OriginPattern};
use corsair_http1::{KnownField, is_token, list_members};

/// What is wrong with doing this to this field, whatever the value: some fields have one value, and where
/// there are two a browser reads neither.
pub(crate) fn lint_verb(spec: &HeaderOpSpec, known: Option<KnownField>) -> Option<Lint> {
    let joins = matches!(spec.op, HeaderOp::Append | HeaderOp::Merge);
    let is_wrong = match known? {
        KnownField::CrossOriginResourcePolicy => joins || spec.op == HeaderOp::Add,
        // `add` beside the upstream's line is the console's "allow duplicates".
        KnownField::AccessControlAllowOrigin
        | KnownField::AccessControlAllowCredentials
        | KnownField::AccessControlMaxAge
        | KnownField::AccessControlAllowPrivateNetwork => joins,
        // A choice among ninety names: the rest are lists, or nothing a browser guards by.
        _ => false,
    };
    let (verb, name) = (spec.op.as_str(), spec.name.clone());
    is_wrong.then_some(Lint::SecondValue { verb, name })
}

/// What is wrong with a constant that goes into a field that browsers guard by.
pub(crate) fn lint_constant(
    known: KnownField,
    constant: &[u8],
    spec: &HeaderOpSpec,
) -> Option<Lint> {
    let text = String::from_utf8_lossy(constant);
    let is_one_origin = |text: &str| {
        let parsed = OriginPattern::parse(text, Dialect::Native);
        parsed.is_ok_and(|(pattern, _)| pattern.as_constant().is_some())
    };
    let is_right = match known {
        KnownField::AccessControlAllowOrigin => {
            return (!is_one_origin(&text)).then_some(Lint::SeveralConstants {});
        }
        KnownField::CrossOriginResourcePolicy => {
            let is_policy = matches!(&*text, "same-origin" | "same-site" | "cross-origin");
            let text = text.into_owned();
            return (!is_policy).then_some(Lint::MeaninglessResourcePolicy { text });
        }
        KnownField::AccessControlAllowCredentials
        | KnownField::AccessControlAllowPrivateNetwork => text == "true",
        KnownField::AccessControlMaxAge => {
            !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
        }
        KnownField::TimingAllowOrigin => list_members(constant)
            .all(|member| core::str::from_utf8(member).is_ok_and(is_one_origin)),
        KnownField::AccessControlAllowMethods
        | KnownField::AccessControlAllowHeaders
        | KnownField::AccessControlExposeHeaders => list_members(constant).all(is_token),
        // A choice among ninety names: nothing is said about the rest.
        _ => true,
    };
    (!is_right).then(|| Lint::MeaninglessCorsValue {
        name: spec.name.clone(),
        text: text.into_owned(),
    })
}

impl HeaderPolicy {
    /// Operations that probably do not do what was meant on a route with these CORS policies.
    #[must_use]
    pub fn conflicts_with(&self, cors: &CorsPolicies) -> Vec<OpProblem> {
        let findings = self.ops().iter().enumerate().filter_map(|(index, op)| {
            let lint = conflict(op, cors)
                .or_else(|| weakening(op))
                .or_else(|| self.star_with_credentials(op, cors))?;
            Some(OpProblem {
                op: index,
                place: OpPlace::Name,
                lint,
            })
        });
        findings.collect()
    }

    /// `Access-Control-Allow-Credentials` where another operation says that everybody may read.
    fn star_with_credentials(&self, op: &Op, cors: &CorsPolicies) -> Option<Lint> {
        let says = |op: &Op, field, text: &[u8]| {
            let constant = op.verb.value().and_then(|value| value.constant());
            op.known == Some(field) && constant == Some(text)
        };
        let may_meet = |other: &Op| match (&op.when, &other.when) {
            (Some(own), Some(other)) => own == other,
            (None, _) | (_, None) => true,
        };
        let allows_all = |other: &&Op| says(other, KnownField::AccessControlAllowOrigin, b"*");
        let is_told = cors.upstream_mode() == UpstreamMode::Passthrough
            && says(op, KnownField::AccessControlAllowCredentials, b"true")
            && self.ops().iter().filter(allows_all).any(may_meet);
        is_told.then_some(Lint::StarWithCredentialsSet {})
    }
}

/// An operation on a field that the route's policies, or under `passthrough` the upstream, answer for.
fn conflict(op: &Op, cors: &CorsPolicies) -> Option<Lint> {
    let name = || String::from_utf8_lossy(&op.name).into_owned();
    let is_written = op.known.is_some_and(|field| cors.writes(field));
    let mode = cors.upstream_mode();
    let fights = match op.verb {
        // Without the upstream's lines there is nothing else to remove.
        Verb::Remove => {
            is_written
                || mode == UpstreamMode::Override
                    && op.known == Some(KnownField::AccessControlAllowOrigin)
        }
        // Most are a whole family that is tidied up.
        Verb::RemovePrefix => return None,
        Verb::Set(_)
        | Verb::Add(_)
        | Verb::Append(_)
        | Verb::Merge(_)
        | Verb::Default(_)
        | Verb::Replace(..) => {
            if cors.passes_through() && is_cors_response_field(&op.name) {
                return Some(Lint::WritesOverUpstream { name: name() });
            }
            mode != UpstreamMode::Passthrough && is_cors_response_field(&op.name) || is_written
        }
    };
    fights.then(|| Lint::FightsCors { name: name() })
}

/// An operation on a field by which caches and clients tell responses apart.
fn weakening(op: &Op) -> Option<Lint> {
    let name = || String::from_utf8_lossy(&op.name).into_owned();
    match op.verb {
        Verb::Set(_) | Verb::Replace(..) if op.known == Some(KnownField::Vary) => {
            Some(Lint::LosesVary { name: name() })
        }
        Verb::Remove if op.known == Some(KnownField::Vary) => {
            Some(Lint::LosesVary { name: name() })
        }
        Verb::RemovePrefix if is_prefix_of(&op.name, b"vary") => Some(Lint::LosesVary {
            name: format!("{}*", name()),
        }),
        Verb::Set(_)
        | Verb::Add(_)
        | Verb::Append(_)
        | Verb::Merge(_)
        | Verb::Default(_)
        | Verb::Replace(..)
            if matches!(op.known, Some(KnownField::Etag | KnownField::LastModified)) =>
        {
            Some(Lint::EditsValidator { name: name() })
        }
        Verb::Set(_)
        | Verb::Add(_)
        | Verb::Append(_)
        | Verb::Merge(_)
        | Verb::Default(_)
        | Verb::Replace(..)
        | Verb::Remove
        | Verb::RemovePrefix => None,
    }
}

fn is_prefix_of(prefix: &[u8], name: &[u8]) -> bool {
    let begin = name.get(..prefix.len());
    begin.is_some_and(|begin| begin.eq_ignore_ascii_case(prefix))
}
