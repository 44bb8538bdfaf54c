//! The CDN console's form of CORS: response header settings with "CORS validation".
//!
//! Spec §2, "the seed form". Validation off: the configured value is always sent. On: `*` always
//! `*`, a comma list by exact match, a wildcard by pattern, no match no header. "Allow Duplicates"
//! keeps the upstream's lines and excludes validation. Several wildcards, and lists that mix both,
//! are read too.

use crate::cors_spec::{CorsPolicySpec, UpstreamMode};
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
/// Switches that exclude each other or stand where they mean nothing, and constant values that no
/// browser accepts. Malformed origins are found when the policy is compiled.
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
    let value = op.value.clone().unwrap_or_default();
    if validate_origin {
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
            content_types: op.when.content_type,
            ..CorsPolicySpec::default()
        };
        return Ok(SeedForm::Cors(Box::new(policy)));
    }
    if is_allow_origin && value.contains(',') {
        return Err(Lint::SeveralConstants {});
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

/// Copies what sibling settings say about preflights into a policy that [`read_seed_form`] made:
/// the console sets methods, headers and lifetime as headers of their own, on every response.
///
/// The operations themselves stay as they are.
pub fn fold_seed_siblings(policy: &mut CorsPolicySpec, ops: &[HeaderOpSpec]) {
    let list = |value: &str| -> Vec<String> {
        value
            .split(',')
            .map(str::trim)
            .filter(|text| !text.is_empty())
            .map(String::from)
            .collect()
    };
    for op in ops {
        let (HeaderOp::Add | HeaderOp::Set, Some(value)) = (op.op, &op.value) else {
            continue;
        };
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
