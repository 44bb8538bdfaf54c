//! Bucket CORS of Google Cloud Storage, JSON.
//!
//! Sources: Cloud Storage, "CORS configuration examples" and "Set Bucket CORS". The first entry whose
//! origin and method match is the one, whatever headers are asked for; origins are whole origins or
//! `*`; `responseHeader` names both what requests may send and what scripts may read; nothing is
//! said about credentials. Dialect `s3` keeps HEAD to where it is listed.

use super::ImportError;
use super::bucket::{
    MAX_AGE_KEPT_S, bucket_of, header_names, max_age_comment, tell_dead, texts_of,
};
use super::document::{Node, Value, read_json, unknown_key};
use super::draft::{Draft, Located, PolicyDraft, SiteDraft, never_empty};
use super::finding::{Finding, Weight};
use super::origins::{Reading, read_bytes};
use crate::report::clip;
use corsair_http1::is_token;
use corsair_rules::{CorsPolicySpec, Dialect};

#[derive(Debug, Default)]
struct Rule {
    line: usize,
    origins: Vec<Located>,
    methods: Vec<Located>,
    headers: Vec<Located>,
    max_age_s: Option<u32>,
}

/// Most pairs of entries compared for a header that only the later one allows.
const PAIRS_MAX: usize = 10_000;

/// Reads the entries and writes the policies.
pub(super) fn read(text: &str, draft: &mut Draft) -> Result<(), ImportError> {
    let root = read_json(draft.kind, text)?;
    let rules = entries_of(&root)?
        .iter()
        .map(rule_of)
        .collect::<Result<Vec<Rule>, ImportError>>()?;
    if rules.is_empty() {
        return Err(ImportError::at(1, "there is no CORS entry in the input"));
    }
    let mut policies: Vec<PolicyDraft> = Vec::new();
    for (index, rule) in rules.iter().enumerate() {
        policies.append(&mut policies_of(index + 1, rule, draft)?);
    }
    tell_shadowed_headers(&rules, draft);
    draft.upstreams.push(bucket_of("Cloud Storage"));
    draft.sites.push(SiteDraft {
        comments: vec!["Put the names that this node answers for; `*` is every name.".to_owned()],
        hosts: vec!["*".to_owned()],
        upstream: "bucket".to_owned(),
        policies: never_empty(policies),
        operations: Vec::new(),
        routes: Vec::new(),
    });
    Ok(())
}

/// The bare list that `gcloud` takes, or the bucket's description that it prints.
fn entries_of(root: &Node) -> Result<&[Node], ImportError> {
    match &root.value {
        Value::Map(_) => {
            let found = ["cors", "cors_config"]
                .iter()
                .find_map(|key| root.find(key));
            let missing = || {
                let message = match root.find("error") {
                    Some(_) => "the input is an error answer, without a bucket's `cors`",
                    None => "there is no `cors` in the object",
                };
                ImportError::at(root.line, message)
            };
            found.ok_or_else(missing)?.list("cors")
        }
        Value::Null | Value::Flag(_) | Value::Number(_) | Value::Text(_) | Value::List(_) => {
            root.list("the input")
        }
    }
}

fn rule_of(node: &Node) -> Result<Rule, ImportError> {
    let mut rule = Rule {
        line: node.line,
        ..Rule::default()
    };
    for entry in node.entries("an entry")? {
        let texts = || texts_of(&entry.key, &entry.node);
        match entry.key.as_str() {
            "origin" => rule.origins = texts()?,
            "method" => rule.methods = texts()?,
            "responseHeader" => rule.headers = texts()?,
            "maxAgeSeconds" => rule.max_age_s = Some(entry.node.seconds("maxAgeSeconds")?),
            _ => {
                let known = ["origin", "method", "responseHeader", "maxAgeSeconds"];
                return Err(unknown_key(entry, "an entry", &known));
            }
        }
    }
    Ok(rule)
}

fn policies_of(
    number: usize,
    rule: &Rule,
    draft: &mut Draft,
) -> Result<Vec<PolicyDraft>, ImportError> {
    for method in &rule.methods {
        let is_method =
            is_token(method.text.as_bytes()) && (method.text == "*" || !method.text.contains('*'));
        if !is_method {
            let message = format!("`{}` is not a method", clip(&method.text));
            return Err(ImportError::at(method.line, message));
        }
    }
    let mut comments = vec![format!("GCS entry {number}, line {}", rule.line)];
    comments.extend(max_age_comment(rule.max_age_s));
    let is_open = rule.origins.iter().any(|origin| origin.text == "*");
    let origins = if is_open {
        vec![Located {
            text: "*".to_owned(),
            line: rule.line,
        }]
    } else {
        living_origins(rule, draft)
    };
    let names = response_headers(rule, draft);
    let spec = CorsPolicySpec {
        dialect: Dialect::S3,
        methods: rule
            .methods
            .iter()
            .map(|method| method.text.clone())
            .collect(),
        request_headers: names.clone(),
        expose: names,
        max_age_s: rule.max_age_s.map(|seconds| seconds.min(MAX_AGE_KEPT_S)),
        ..CorsPolicySpec::default()
    };
    Ok(draft.admit(PolicyDraft { comments, spec }, &origins))
}

/// Whole origins; a star within one is a character like any other there.
fn living_origins(rule: &Rule, draft: &mut Draft) -> Vec<Located> {
    let mut living = Vec::with_capacity(rule.origins.len());
    for origin in &rule.origins {
        if origin.text.contains('*') {
            let why = "only a `*` alone stands for others there";
            let meant = match read_bytes(&origin.text, Dialect::Native) {
                Reading::Alike => Some(origin.text.clone()),
                Reading::Dead { meant, .. } => meant,
            };
            tell_dead(origin, why, meant, draft);
            continue;
        }
        match read_bytes(&origin.text, Dialect::S3) {
            Reading::Alike => living.push(origin.clone()),
            Reading::Dead { why, meant } => tell_dead(origin, &why, meant, draft),
        }
    }
    living
}

fn response_headers(rule: &Rule, draft: &mut Draft) -> Vec<String> {
    if let Some(star) = rule.headers.iter().find(|header| header.text == "*") {
        draft.tell(Finding {
            weight: Weight::Note,
            line: star.line,
            construct: "responseHeader `*`".to_owned(),
            message: "the documents of Cloud Storage have names only; browsers read the `*` it \
                      sends as every header but Authorization, and so does Corsair"
                .to_owned(),
            request: "a preflight for `x-any`".to_owned(),
            system: draft.system(),
            theirs: "`Access-Control-Allow-Headers: *`".to_owned(),
            ours: "`Access-Control-Allow-Headers: *`".to_owned(),
            remedy: Some("list the headers, as the documents want it".to_owned()),
        });
        return vec!["*".to_owned()];
    }
    let (starred, plain): (Vec<Located>, Vec<Located>) = rule
        .headers
        .iter()
        .cloned()
        .partition(|header| header.text.contains('*'));
    for header in starred {
        draft.tell(Finding {
            weight: Weight::Note,
            line: header.line,
            construct: format!("responseHeader `{}`", clip(&header.text)),
            message: "a browser reads a star inside a name as that character, and it is left out"
                .to_owned(),
            request: "a preflight for a header that begins so".to_owned(),
            system: draft.system(),
            theirs: "the browser refuses".to_owned(),
            ours: "refused".to_owned(),
            remedy: Some(
                "add it to `request_headers` if it was meant: this policy's dialect allows it"
                    .to_owned(),
            ),
        });
    }
    header_names(&plain, "responseHeader", draft)
}

/// Where the first entry decides by origin and method alone, and ours goes on to the next one.
fn tell_shadowed_headers(rules: &[Rule], draft: &mut Draft) {
    let has = |list: &[Located], text: &str| list.iter().any(|own| own.text == text);
    let common = |a: &[Located], b: &[Located]| -> Option<String> {
        let shared = b.iter().find(|text| has(a, &text.text) || has(a, "*"));
        let star = a.first().filter(|_| has(b, "*"));
        shared.or(star).map(|text| text.text.clone())
    };
    let mut pairs = 0;
    for (index, later) in rules.iter().enumerate() {
        for earlier in &rules[..index] {
            pairs += 1;
            if pairs > PAIRS_MAX {
                return;
            }
            let covers = |header: &&Located| {
                let same = |own: &Located| own.text.eq_ignore_ascii_case(&header.text);
                !earlier.headers.iter().any(same) && !has(&earlier.headers, "*")
            };
            let (Some(origin), Some(method), Some(header)) = (
                common(&earlier.origins, &later.origins),
                common(&earlier.methods, &later.methods),
                later.headers.iter().find(covers),
            ) else {
                continue;
            };
            let origin = match &*origin {
                "*" => "https://anyone.example".to_owned(),
                _ => clip(&origin),
            };
            let (method, header) = (clip(&method).replace('*', "PUT"), clip(&header.text));
            draft.tell(Finding {
                weight: Weight::Difference,
                line: later.line,
                construct: "two entries for one origin and method".to_owned(),
                message: format!(
                    "GCS takes the entry of line {} without looking at the headers asked for; \
                     Corsair tries the next policy",
                    earlier.line
                ),
                request: format!(
                    "a preflight with `Origin: {origin}`, for {method} with `{}`",
                    header.replace('*', "x-any").to_ascii_lowercase()
                ),
                system: draft.system(),
                theirs: "the browser refuses: the header is not in the answer".to_owned(),
                ours: "grants".to_owned(),
                remedy: Some(
                    "take the header out of the later policy, or write the two as one".to_owned(),
                ),
            });
            break;
        }
    }
}
