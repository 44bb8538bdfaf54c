//! Bucket CORS of S3 and OSS, XML or JSON: rules, of which the first that passes decides.
//!
//! Sources: Amazon S3 user guide, "Elements of a CORS configuration" and "ManageCorsUsing"; the
//! answers of S3 as a clone tested against it records them; OSS "PutBucketCors", "OptionObject".
//! Both try the rules in order; origin, method and every requested header must pass. An origin has
//! one `*` at most, for one or more characters of any kind; texts are compared byte for byte,
//! header names without case. S3 answers an echo with credentials, and `*` without, OSS documents
//! none. A refused preflight is 403. Our dialect `s3` means the same; `Authorization` is spelled out
//! beside a `*` because ours never covers it.

use super::ImportError;
use super::document::{Entry, Node, Value, read_json, read_xml, unknown_key};
use super::draft::{Draft, Located, PolicyDraft, SiteDraft, UpstreamDraft, never_empty};
use super::finding::{Finding, Weight};
use super::origins::{Reading, read_bytes, sample};
use crate::report::clip;
use corsair_http1::is_token;
use corsair_rules::{CorsPolicySpec, Dialect, RefusedPreflight, UpstreamMode};

/// Longest lifetime that any browser keeps a preflight answer, in seconds (Firefox).
pub(super) const MAX_AGE_KEPT_S: u32 = 86_400;

/// Whose buckets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Store {
    S3,
    Oss,
}

/// One rule as it is written.
#[derive(Debug, Default)]
struct Rule {
    line: usize,
    id: Option<String>,
    origins: Vec<Located>,
    methods: Vec<Located>,
    headers: Vec<Located>,
    expose: Vec<Located>,
    max_age_s: Option<u32>,
}

/// Reads the rules and writes the policies.
pub(super) fn read(store: Store, text: &str, draft: &mut Draft) -> Result<(), ImportError> {
    let (rules, vary) = if text.trim_start().starts_with('<') {
        rules_of_xml(store, &read_xml(draft.kind, text)?)?
    } else {
        (rules_of_json(&read_json(draft.kind, text)?)?, None)
    };
    if rules.is_empty() {
        return Err(ImportError::at(1, "there is no CORS rule in the input"));
    }
    let mut policies = Vec::new();
    for (index, rule) in rules.iter().enumerate() {
        refuse_what_the_store_refuses(draft.system(), rule)?;
        policies.append(&mut policies_of(store, index + 1, rule, draft));
    }
    tell_vary(store, &rules, vary.as_ref(), draft);
    draft.upstreams.push(bucket_upstream(store));
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

fn bucket_upstream(store: Store) -> UpstreamDraft {
    let system = match store {
        Store::S3 => "S3",
        Store::Oss => "OSS",
    };
    bucket_of(system)
}

/// The upstream of a bucket, to be filled in.
pub(super) fn bucket_of(system: &str) -> UpstreamDraft {
    UpstreamDraft {
        comments: vec![format!(
            "Put the {system} bucket's own endpoint; its host name chooses the bucket."
        )],
        name: "bucket".to_owned(),
        server: "http://127.0.0.1:9000".to_owned(),
        host: Some("server"),
    }
}

const JSON_KEYS: [&str; 6] = [
    "AllowedOrigins",
    "AllowedMethods",
    "AllowedHeaders",
    "ExposeHeaders",
    "MaxAgeSeconds",
    "ID",
];

fn rules_of_json(root: &Node) -> Result<Vec<Rule>, ImportError> {
    let mut list = root;
    // The console shows the bare list; command line and SDKs wrap it.
    for wrapper in ["CORSConfiguration", "CORSRules"] {
        if let Some(inner) = list.find(wrapper) {
            list = inner;
        }
    }
    if let Value::Map(entries) = &list.value {
        let message = match entries.first() {
            Some(entry) => format!("`{}` is not `CORSRules`", clip(&entry.key)),
            None => "the object is empty; a list of rules or `CORSRules` is wanted".to_owned(),
        };
        return Err(ImportError::at(list.line, message));
    }
    list.list("the input")?.iter().map(rule_of_json).collect()
}

fn rule_of_json(node: &Node) -> Result<Rule, ImportError> {
    let mut rule = Rule {
        line: node.line,
        ..Rule::default()
    };
    for entry in node.entries("a rule")? {
        let texts = || texts_of(&entry.key, &entry.node);
        match entry.key.as_str() {
            "AllowedOrigins" => rule.origins = texts()?,
            "AllowedMethods" => rule.methods = texts()?,
            "AllowedHeaders" => rule.headers = texts()?,
            "ExposeHeaders" => rule.expose = texts()?,
            "MaxAgeSeconds" => rule.max_age_s = Some(entry.node.seconds("MaxAgeSeconds")?),
            "ID" => rule.id = Some(entry.node.text("ID")?.to_owned()),
            _ => return Err(unknown_key(entry, "a rule", &JSON_KEYS)),
        }
    }
    Ok(rule)
}

/// A list of texts.
pub(super) fn texts_of(what: &str, node: &Node) -> Result<Vec<Located>, ImportError> {
    let located = |item: &Node| {
        Ok(Located {
            text: item.text(what)?.to_owned(),
            line: item.line,
        })
    };
    node.list(what)?.iter().map(located).collect()
}

const XML_KEYS: [&str; 6] = [
    "AllowedOrigin",
    "AllowedMethod",
    "AllowedHeader",
    "ExposeHeader",
    "MaxAgeSeconds",
    "ID",
];

/// `ResponseVary` of OSS.
struct ResponseVary {
    line: usize,
    is_on: bool,
}

type RulesAndVary = (Vec<Rule>, Option<ResponseVary>);

fn rules_of_xml(store: Store, root: &Entry) -> Result<RulesAndVary, ImportError> {
    if root.key != "CORSConfiguration" {
        let message = format!("the root is <{}>, not <CORSConfiguration>", clip(&root.key));
        return Err(ImportError::at(root.line, message));
    }
    let (mut rules, mut vary) = (Vec::new(), None);
    for entry in children(&root.node) {
        match (entry.key.as_str(), store) {
            ("CORSRule", _) => rules.push(rule_of_xml(entry)?),
            ("ResponseVary", Store::Oss) => {
                let is_on = match entry.node.text("ResponseVary")? {
                    "true" => true,
                    "false" => false,
                    other => {
                        let message =
                            format!("ResponseVary is true or false, not `{}`", clip(other));
                        return Err(ImportError::at(entry.line, message));
                    }
                };
                vary = Some(ResponseVary {
                    line: entry.line,
                    is_on,
                });
            }
            (_, Store::Oss) => {
                return Err(unknown_key(
                    entry,
                    "CORSConfiguration",
                    &["CORSRule", "ResponseVary"],
                ));
            }
            (_, Store::S3) => return Err(unknown_key(entry, "CORSConfiguration", &["CORSRule"])),
        }
    }
    Ok((rules, vary))
}

fn children(node: &Node) -> &[Entry] {
    match &node.value {
        Value::Map(entries) => entries,
        Value::Null | Value::Flag(_) | Value::Number(_) | Value::Text(_) | Value::List(_) => &[],
    }
}

fn rule_of_xml(element: &Entry) -> Result<Rule, ImportError> {
    let mut rule = Rule {
        line: element.line,
        ..Rule::default()
    };
    for entry in children(&element.node) {
        let located = || {
            Ok(Located {
                text: entry.node.text(&entry.key)?.to_owned(),
                line: entry.line,
            })
        };
        match entry.key.as_str() {
            "AllowedOrigin" => rule.origins.push(located()?),
            "AllowedMethod" => rule.methods.push(located()?),
            "AllowedHeader" => rule.headers.push(located()?),
            "ExposeHeader" => rule.expose.push(located()?),
            "MaxAgeSeconds" => rule.max_age_s = Some(entry.node.seconds("MaxAgeSeconds")?),
            "ID" => rule.id = Some(entry.node.text("ID")?.to_owned()),
            _ => return Err(unknown_key(entry, "CORSRule", &XML_KEYS)),
        }
    }
    Ok(rule)
}

/// What the store answers with an error was never in effect, so there is nothing to import.
fn refuse_what_the_store_refuses(system: &str, rule: &Rule) -> Result<(), ImportError> {
    for (list, what) in [
        (&rule.origins, "AllowedOrigin"),
        (&rule.methods, "AllowedMethod"),
    ] {
        if list.is_empty() {
            let message = format!("the rule has no {what}, which {system} refuses");
            return Err(ImportError::at(rule.line, message));
        }
    }
    for method in &rule.methods {
        if !matches!(&*method.text, "GET" | "PUT" | "POST" | "DELETE" | "HEAD") {
            let message = format!(
                "{system} refuses the AllowedMethod `{}`; it has GET, PUT, POST, DELETE and HEAD",
                clip(&method.text)
            );
            return Err(ImportError::at(method.line, message));
        }
    }
    let starred = [
        (&rule.origins, "AllowedOrigin", 1),
        (&rule.headers, "AllowedHeader", 1),
        (&rule.expose, "ExposeHeader", 0),
    ];
    for (list, what, stars_max) in starred {
        let over = |text: &&Located| text.text.matches('*').count() > stars_max;
        if let Some(text) = list.iter().find(over) {
            let allowed = if stars_max == 0 { "no" } else { "only one" };
            let message = format!(
                "{system} refuses `{}`: an {what} may have {allowed} `*`",
                clip(&text.text)
            );
            return Err(ImportError::at(text.line, message));
        }
    }
    Ok(())
}

fn policies_of(store: Store, number: usize, rule: &Rule, draft: &mut Draft) -> Vec<PolicyDraft> {
    let name = match &rule.id {
        Some(id) => format!("rule {number}, `{}`", clip(id)),
        None => format!("rule {number}"),
    };
    let is_open = rule.origins.iter().any(|origin| origin.text == "*");
    let spec = CorsPolicySpec {
        dialect: Dialect::S3,
        // An echo comes with credentials, `*` without.
        credentials: store == Store::S3 && !is_open,
        methods: rule
            .methods
            .iter()
            .map(|method| method.text.clone())
            .collect(),
        request_headers: request_headers(rule, draft),
        expose: header_names(&rule.expose, "ExposeHeader", draft),
        max_age_s: rule.max_age_s.map(|seconds| seconds.min(MAX_AGE_KEPT_S)),
        refused_preflight: RefusedPreflight::Forbidden,
        upstream: UpstreamMode::Override,
        ..CorsPolicySpec::default()
    };
    let mut comments = vec![format!("{} {name}, line {}", draft.system(), rule.line)];
    comments.extend(max_age_comment(rule.max_age_s));
    let origins = if is_open {
        if rule.origins.len() > 1 {
            comments.push("its `*` covers the other origins of the rule".to_owned());
        }
        vec![Located {
            text: "*".to_owned(),
            line: rule.line,
        }]
    } else {
        living_origins(rule, draft)
    };
    tell_null(&origins, draft);
    draft.admit(PolicyDraft { comments, spec }, &origins)
}

/// Says that a longer lifetime than browsers keep was cut to what they keep.
pub(super) fn max_age_comment(seconds: Option<u32>) -> Option<String> {
    let over = seconds.filter(|seconds| *seconds > MAX_AGE_KEPT_S)?;
    Some(format!(
        "max_age was {over} s; no browser keeps an answer longer than 24h"
    ))
}

/// The origins that some browser can send.
fn living_origins(rule: &Rule, draft: &mut Draft) -> Vec<Located> {
    let mut living = Vec::with_capacity(rule.origins.len());
    for origin in &rule.origins {
        match read_bytes(&origin.text, Dialect::S3) {
            Reading::Alike => living.push(origin.clone()),
            Reading::Dead { why, meant } => tell_dead(origin, &why, meant, draft),
        }
    }
    living
}

/// Tells of a text that matches nothing a browser sends, in the old system as here.
pub(super) fn tell_dead(origin: &Located, why: &str, meant: Option<String>, draft: &mut Draft) {
    let system = draft.system();
    let request = match &meant {
        Some(meant) => format!("GET with `Origin: {}`", clip(&sample(meant, Dialect::S3))),
        None => "GET with any `Origin` that a browser sends".to_owned(),
    };
    let remedy = meant.map(|meant| format!("add `{}` to `origins` if it was meant", clip(&meant)));
    draft.tell(Finding {
        weight: Weight::Note,
        line: origin.line,
        construct: format!("`{}`", clip(&origin.text)),
        message: format!(
            "{system} compares it byte for byte, so it matches no browser and is left out: {why}"
        ),
        request,
        system,
        theirs: "this entry does not match".to_owned(),
        ours: "it is not there".to_owned(),
        remedy,
    });
}

/// `null` by a star: ours gives it only by name.
fn tell_null(origins: &[Located], draft: &mut Draft) {
    let covers_null = |origin: &&Located| {
        let Some((before, behind)) = origin.text.split_once('*') else {
            return false;
        };
        let bytes = before.len() + behind.len();
        bytes > 0 && bytes < 4 && "null".starts_with(before) && "null".ends_with(behind)
    };
    if let Some(origin) = origins.iter().find(covers_null) {
        draft.tell(Finding {
            weight: Weight::Difference,
            line: origin.line,
            construct: format!("`{}`", clip(&origin.text)),
            message: "the star also covers the text `null`, which Corsair allows only by name"
                .to_owned(),
            request: "GET with `Origin: null`".to_owned(),
            system: draft.system(),
            theirs: "grants".to_owned(),
            ours: "no CORS headers".to_owned(),
            remedy: Some(
                "add \"null\" to the `origins` of a policy without credentials".to_owned(),
            ),
        });
    }
}

fn request_headers(rule: &Rule, draft: &mut Draft) -> Vec<String> {
    const NEVER_BY_STAR: &str = "authorization";
    let mut names = if rule.headers.iter().any(|header| header.text == "*") {
        vec!["*".to_owned()]
    } else {
        header_names(&rule.headers, "AllowedHeader", draft)
    };
    let lower = |name: &String| name.to_ascii_lowercase();
    let is_listed = names.iter().any(|name| lower(name) == NEVER_BY_STAR);
    let is_covered = names.iter().any(|name| {
        lower(name).split_once('*').is_some_and(|(before, behind)| {
            before.len() + behind.len() <= NEVER_BY_STAR.len()
                && NEVER_BY_STAR.starts_with(before)
                && NEVER_BY_STAR.ends_with(behind)
        })
    });
    if is_covered && !is_listed {
        names.push("Authorization".to_owned());
    }
    names
}

/// The names that can be header names; the others are told.
pub(super) fn header_names(texts: &[Located], what: &str, draft: &mut Draft) -> Vec<String> {
    let mut names: Vec<String> = Vec::with_capacity(texts.len());
    for text in texts {
        if is_token(text.text.as_bytes()) {
            if !names.contains(&text.text) {
                names.push(text.text.clone());
            }
            continue;
        }
        let nothing = "matches no header".to_owned();
        draft.tell(Finding {
            weight: Weight::Note,
            line: text.line,
            construct: format!("{what} `{}`", clip(&text.text)),
            message: "no header has such a name, and it is left out".to_owned(),
            request: "a preflight for any header".to_owned(),
            system: draft.system(),
            theirs: nothing.clone(),
            ours: nothing,
            remedy: None,
        });
    }
    names
}

/// Where `Vary` is not the same; the decision is.
fn tell_vary(store: Store, rules: &[Rule], vary: Option<&ResponseVary>, draft: &mut Draft) {
    let is_open = |rule: &&Rule| rule.origins.iter().any(|origin| origin.text == "*");
    let Some(listed) = rules.iter().find(|rule| !is_open(rule)) else {
        return;
    };
    let (line, construct, theirs) = match (store, vary) {
        (Store::Oss, Some(vary)) if vary.is_on => return,
        (Store::Oss, Some(vary)) => (
            vary.line,
            "ResponseVary `false`",
            "no `Vary`, so a shared cache may give one origin's answer to another",
        ),
        (Store::Oss, None) => (
            listed.line,
            "no ResponseVary",
            "no `Vary`, so a shared cache may give one origin's answer to another",
        ),
        (Store::S3, _) => (
            listed.line,
            "origins that are echoed",
            "no `Vary`, so a shared cache may keep the answer without CORS headers for all",
        ),
    };
    draft.tell(Finding {
        weight: Weight::Note,
        line,
        construct: construct.to_owned(),
        message: "Corsair says `Vary: Origin` on every response that depends on it".to_owned(),
        request: "GET without `Origin`".to_owned(),
        system: draft.system(),
        theirs: theirs.to_owned(),
        ours: "`Vary: Origin`".to_owned(),
        remedy: None,
    });
    if store == Store::Oss {
        draft.tell(Finding {
            weight: Weight::Note,
            line: listed.line,
            construct: "credentials".to_owned(),
            message: "the documents of OSS name no credentials header, so none is imported"
                .to_owned(),
            request: "GET with cookies and an allowed `Origin`".to_owned(),
            system: draft.system(),
            theirs: "no `Access-Control-Allow-Credentials` by its documents".to_owned(),
            ours: "no `Access-Control-Allow-Credentials`".to_owned(),
            remedy: Some(
                "set `credentials = true` if your pages send cookies and were answered".to_owned(),
            ),
        });
    }
}
