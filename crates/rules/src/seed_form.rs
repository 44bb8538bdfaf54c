//! The CDN console's form of CORS: response header settings with "CORS validation".
//!
//! Spec §2, "the seed form". Validation off: the configured value is always sent. On: `*` always
//! `*`, a comma list by exact match, a wildcard by pattern, no match no header. "Allow Duplicates"
//! keeps the upstream's lines and excludes validation. Several wildcards, and lists that mix both,
//! are read too.

use crate::cors_spec::{CorsPolicySpec, UpstreamMode};
use crate::header_condition::HeaderConditionSpec;
use crate::header_policy::{HeaderOp, HeaderOpSpec};
use crate::lint::Lint;
use crate::origin_pattern::Dialect;

/// One header setting with the console's switches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeedOpSpec {
    /// The operation; its verb is `Add` wherever the switches are used.
    pub op: HeaderOpSpec,
    /// "CORS": validate the request's `Origin`.
    pub validate_origin: bool,
    /// "Allow Duplicates".
    pub allow_duplicates: bool,
    /// How the value's origins are read.
    pub dialect: Dialect,
}

/// What a setting means in our words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SeedForm {
    /// A CORS policy: the value is validated and echoed.
    Cors(Box<CorsPolicySpec>),
    /// A header operation: the value is sent as it is.
    Header(HeaderOpSpec),
}

/// Reads one setting.
///
/// # Errors
/// Switches that exclude each other or stand where they mean nothing, and conditions that a policy
/// cannot have. Malformed origins, and constants that no browser accepts, are found when the policy
/// or the operation is compiled.
///
/// ```
/// use corsair_rules::{read_seed_form, Dialect, HeaderOp, HeaderOpSpec, SeedForm, SeedOpSpec};
/// let op = HeaderOpSpec {
///     op: HeaderOp::Add,
///     name: "Access-Control-Allow-Origin".into(),
///     value: Some("http://a%-b.com, https://*.c.com".into()),
///     pattern: None,
///     when: Default::default(),
/// };
/// let seed = SeedOpSpec {
///     op, validate_origin: true, allow_duplicates: false, dialect: Dialect::Alibaba,
/// };
/// let SeedForm::Cors(policy) = read_seed_form(seed).unwrap() else { panic!("validated") };
/// assert_eq!(policy.origins, ["http://a%-b.com", "https://*.c.com"]);
/// ```
pub fn read_seed_form(seed: SeedOpSpec) -> Result<SeedForm, Lint> {
    let SeedOpSpec {
        op,
        validate_origin,
        allow_duplicates,
        dialect,
    } = seed;
    let is_allow_origin =
        op.op == HeaderOp::Add && op.name.eq_ignore_ascii_case("Access-Control-Allow-Origin");
    if validate_origin && allow_duplicates {
        return Err(Lint::ValidateAndDuplicates {});
    }
    if validate_origin && !is_allow_origin {
        return Err(Lint::ValidateElsewhere { name: op.name });
    }
    if validate_origin {
        let Some(value) = op.value else {
            return Err(Lint::MissingValue { name: op.name });
        };
        if op.pattern.is_some() {
            return Err(Lint::NeedlessValue { name: op.name });
        }
        let content_type = op.when.content_type;
        let only_content_type = HeaderConditionSpec {
            content_type: content_type.clone(),
            ..HeaderConditionSpec::default()
        };
        let has_more = HeaderConditionSpec {
            content_type: content_type.clone(),
            ..op.when
        } != only_content_type;
        if has_more {
            return Err(Lint::SeedCondition {});
        }
        let origins: Vec<String> = value
            .split(',')
            .map(str::trim)
            .filter(|text| !text.is_empty())
            .map(String::from)
            .collect();
        let policy = CorsPolicySpec {
            origins,
            dialect,
            upstream: UpstreamMode::Override,
            content_types: content_type,
            ..CorsPolicySpec::default()
        };
        return Ok(SeedForm::Cors(Box::new(policy)));
    }
    // "Allow Duplicates: No" replaces an upstream line of the same name.
    let verb = match op.op {
        HeaderOp::Add if !allow_duplicates => HeaderOp::Set,
        HeaderOp::Add
        | HeaderOp::Set
        | HeaderOp::Append
        | HeaderOp::Merge
        | HeaderOp::Default
        | HeaderOp::Remove
        | HeaderOp::Replace => op.op,
    };
    Ok(SeedForm::Header(HeaderOpSpec { op: verb, ..op }))
}

/// What a setting beside a validated one says about the same policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SeedSibling {
    /// About preflights: methods, headers, lifetime. Other responses may carry it all the same.
    Preflight,
    /// About granted responses: the policy writes it, so the operation must not do so again.
    Answer,
}

impl SeedSibling {
    /// Whether an operation is one: a constant for every response.
    #[must_use]
    pub fn of(op: &HeaderOpSpec) -> Option<Self> {
        let is_constant = matches!(op.op, HeaderOp::Add | HeaderOp::Set)
            && op.when == HeaderConditionSpec::default()
            && op.value.as_ref().is_some_and(|value| !value.contains("${"));
        if !is_constant {
            return None;
        }
        match op.name.to_ascii_lowercase().as_str() {
            "access-control-allow-methods"
            | "access-control-allow-headers"
            | "access-control-max-age" => Some(Self::Preflight),
            "access-control-expose-headers" | "access-control-allow-credentials" => {
                Some(Self::Answer)
            }
            _ => None,
        }
    }
}

/// Copies what sibling settings say about preflights into a policy that [`read_seed_form`] made:
/// the console sets methods, headers and lifetime as headers of their own, on every response.
///
/// The operations themselves stay as they are; [`SeedSibling`] says which are not to run then.
pub fn fold_seed_siblings(policy: &mut CorsPolicySpec, ops: &[HeaderOpSpec]) {
    let list = |value: &str| -> Vec<String> {
        value
            .split(',')
            .map(str::trim)
            .filter(|text| !text.is_empty())
            .map(String::from)
            .collect()
    };
    for op in ops.iter().filter(|op| SeedSibling::of(op).is_some()) {
        let value = op.value.as_deref().unwrap_or_default();
        match op.name.to_ascii_lowercase().as_str() {
            "access-control-allow-methods" => policy.methods = list(value),
            "access-control-allow-headers" => policy.request_headers = list(value),
            "access-control-expose-headers" => policy.expose = list(value),
            "access-control-allow-credentials" => policy.credentials = value.trim() == "true",
            "access-control-max-age" => policy.max_age_s = value.trim().parse().ok(),
            _ => {}
        }
    }
}
