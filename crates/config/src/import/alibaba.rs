//! Response header settings of Alibaba CDN, JSON: the arguments of `set_resp_header`.
//!
//! Sources: the two documents of the console's CORS settings; CDN API reference, "Domain
//! configuration functions", `set_resp_header` (key, value, header_operation_type, duplicate,
//! header_source, header_destination, match_all, access_origin_control). Settings run from top to
//! bottom. Validation compares a comma list exactly and one wildcard by pattern; `-` must be escaped
//! as `%-` then. Without validation the value is always sent. The settings only add headers: what an
//! `OPTIONS` request is answered is the upstream's.

mod order;

use super::ImportError;
use super::bucket::{MAX_AGE_KEPT_S, max_age_comment, tell_dead};
use super::document::{Entry, Node, Value, read_json};
use super::draft::{
    Draft, Located, OperationDraft, PolicyDraft, SiteDraft, Standing, UpstreamDraft, never_empty,
};
use super::finding::{Finding, Weight};
use super::origins::{Reading, read_bytes, sample};
use crate::report::clip;
use corsair_http1::is_token;
use corsair_rules::{
    CorsPolicySpec, Dialect, HeaderConditionSpec, HeaderOp, HeaderOpSpec, HostPattern,
    OriginPattern,
};

const ALLOW_ORIGIN: &str = "access-control-allow-origin";
/// What a browser never asks a preflight's list for.
pub(super) const ALWAYS_ALLOWED_METHODS: [&str; 3] = ["GET", "HEAD", "POST"];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verb {
    Add,
    Delete,
    Modify,
    Rewrite,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Switch {
    On,
    Off,
}

/// One `set_resp_header`.
#[derive(Debug, Clone)]
struct Setting {
    line: usize,
    key: String,
    value: String,
    verb: Verb,
    duplicate: Switch,
    validation: Switch,
    source: String,
    destination: String,
    match_all: Switch,
    /// The rule condition it hangs on.
    condition: Option<String>,
}

impl Setting {
    fn is(&self, lower: &str) -> bool {
        self.key.eq_ignore_ascii_case(lower)
    }

    fn located(&self) -> Located {
        Located {
            text: self.value.clone(),
            line: self.line,
        }
    }
}

/// Reads the settings and writes policies and operations.
pub(super) fn read(text: &str, draft: &mut Draft) -> Result<(), ImportError> {
    let root = read_json(draft.kind, text)?;
    let settings = settings_of(&root, draft)?;
    if settings.is_empty() {
        let message = "there is no `set_resp_header` function in the input";
        return Err(ImportError::at(1, message));
    }
    let settings = order::settle(settings, draft);
    let policy_at = settings.iter().position(|setting| {
        setting.is(ALLOW_ORIGIN) && setting.condition.is_none() && is_policy(setting)
    });
    let mut operations = Vec::new();
    for (index, setting) in settings.iter().enumerate() {
        let folded = policy_at.is_some() && is_folded(setting);
        if Some(index) == policy_at || folded {
            continue;
        }
        if let Some(operation) = operation_of(setting, draft) {
            operations.push(draft.operation(setting.line, operation));
        }
    }
    let policies = match policy_at {
        Some(at) => never_empty(policies_of(&settings[at], &settings, draft)),
        None => Vec::new(),
    };
    draft.upstreams.push(UpstreamDraft {
        comments: vec!["Put the server that the CDN fetches from.".to_owned()],
        name: "server".to_owned(),
        server: "http://127.0.0.1:9000".to_owned(),
        host: None,
    });
    draft.sites.push(SiteDraft {
        comments: Vec::new(),
        hosts: hosts_of(&root),
        upstream: "server".to_owned(),
        policies,
        operations,
        routes: Vec::new(),
    });
    Ok(())
}

/// The value of a key that the API writes with a small letter and answers with a capital.
fn find_either<'n>(node: &'n Node, small: &str) -> Option<&'n Node> {
    let Value::Map(entries) = &node.value else {
        return None;
    };
    let same = |entry: &&Entry| entry.key.eq_ignore_ascii_case(small);
    entries.iter().find(same).map(|entry| &entry.node)
}

fn settings_of(root: &Node, draft: &mut Draft) -> Result<Vec<Setting>, ImportError> {
    let mut list = root;
    for wrapper in ["domainConfigs", "domainConfig", "functions"] {
        if let Some(inner) = find_either(list, wrapper) {
            list = inner;
        }
    }
    let functions = match &list.value {
        Value::Map(_) if find_either(list, "functionName").is_some() => std::slice::from_ref(list),
        Value::Map(_) => {
            let message = "there are no `Functions` and no `DomainConfigs` in the object";
            return Err(ImportError::at(list.line, message));
        }
        Value::Null | Value::Flag(_) | Value::Number(_) | Value::Text(_) | Value::List(_) => {
            list.list("the input")?
        }
    };
    let mut settings = Vec::new();
    for function in functions {
        function.entries("a function")?;
        let Some(name) = find_either(function, "functionName") else {
            return Err(ImportError::at(
                function.line,
                "a function has no `functionName`",
            ));
        };
        match name.text("functionName")? {
            "set_resp_header" => settings.push(setting_of(function)?),
            other => tell_function(other, function.line, draft),
        }
    }
    Ok(settings)
}

/// A function that is no response header setting.
fn tell_function(name: &str, line: usize, draft: &mut Draft) {
    draft.tell(Finding {
        weight: Weight::Note,
        line,
        construct: format!("`{}`", clip(name)),
        message: "only `set_resp_header` is imported; this function is left out".to_owned(),
        request: "a request that the function acts on".to_owned(),
        system: draft.system(),
        theirs: "it applies".to_owned(),
        ours: "it does not".to_owned(),
        remedy: Some(
            "write what it does by hand, where the configuration has a key for it".to_owned(),
        ),
    });
}

fn setting_of(function: &Node) -> Result<Setting, ImportError> {
    let mut arguments = find_either(function, "functionArgs")
        .ok_or_else(|| ImportError::at(function.line, "the function has no `functionArgs`"))?;
    if let Some(inner) = find_either(arguments, "functionArg") {
        arguments = inner;
    }
    let mut setting = Setting {
        line: function.line,
        key: String::new(),
        value: String::new(),
        verb: Verb::Add,
        duplicate: Switch::Off,
        validation: Switch::Off,
        source: String::new(),
        destination: String::new(),
        match_all: Switch::Off,
        condition: condition_of(function),
    };
    for argument in arguments.list("functionArgs")? {
        let part = |name: &str| {
            let missing = || ImportError::at(argument.line, format!("an argument has no `{name}`"));
            find_either(argument, name).ok_or_else(missing)
        };
        let (name, value) = (part("argName")?, part("argValue")?);
        let text = value.scalar("argValue")?;
        match name.text("argName")? {
            "key" => text.trim().clone_into(&mut setting.key),
            "value" => text.clone_into(&mut setting.value),
            "header_operation_type" => setting.verb = verb_of(value)?,
            "duplicate" => setting.duplicate = switch_of(value)?,
            "access_origin_control" => setting.validation = switch_of(value)?,
            "match_all" => setting.match_all = switch_of(value)?,
            "header_source" => text.clone_into(&mut setting.source),
            "header_destination" => text.clone_into(&mut setting.destination),
            other => {
                let message = format!("`{}` is no argument of set_resp_header", clip(other));
                return Err(ImportError::at(argument.line, message));
            }
        }
    }
    if setting.key.is_empty() {
        return Err(ImportError::at(
            setting.line,
            "the setting names no header (`key`)",
        ));
    }
    // By the API's own words a value of "null" deletes.
    if setting.verb == Verb::Add && setting.value == "null" && !setting.is(ALLOW_ORIGIN) {
        setting.verb = Verb::Delete;
    }
    Ok(setting)
}

fn condition_of(function: &Node) -> Option<String> {
    let parent = find_either(function, "parentId")?;
    let text = parent.scalar("ParentId").ok()?.trim();
    (!matches!(text, "" | "-1" | "0")).then(|| clip(text))
}

fn verb_of(node: &Node) -> Result<Verb, ImportError> {
    match node.scalar("header_operation_type")? {
        "add" => Ok(Verb::Add),
        "delete" => Ok(Verb::Delete),
        "modify" => Ok(Verb::Modify),
        "rewrite" => Ok(Verb::Rewrite),
        other => {
            let message = format!(
                "header_operation_type is add, delete, modify or rewrite, not `{}`",
                clip(other)
            );
            Err(ImportError::at(node.line, message))
        }
    }
}

fn switch_of(node: &Node) -> Result<Switch, ImportError> {
    match node.scalar("argValue")? {
        "on" => Ok(Switch::On),
        "off" => Ok(Switch::Off),
        other => {
            let message = format!("the switch is on or off, not `{}`", clip(other));
            Err(ImportError::at(node.line, message))
        }
    }
}

/// The names as sites have them; a leading dot is the CDN's wildcard.
fn hosts_of(root: &Node) -> Vec<String> {
    let names = find_either(root, "domainNames").or_else(|| find_either(root, "domainName"));
    let text = names.and_then(|names| names.text("DomainNames").ok());
    let hosts: Vec<String> = text
        .unwrap_or_default()
        .split(',')
        .map(str::trim)
        .map(|name| match name.strip_prefix('.') {
            Some(below) => format!("*.{below}"),
            None => name.to_owned(),
        })
        .filter(|name| HostPattern::parse(name).is_ok())
        .collect();
    if hosts.is_empty() {
        return vec!["*".to_owned()];
    }
    let mut unique: Vec<String> = Vec::with_capacity(hosts.len());
    for host in hosts {
        let same = |own: &String| HostPattern::parse(own) == HostPattern::parse(&host);
        if !unique.iter().any(same) {
            unique.push(host);
        }
    }
    unique
}

/// Whether the setting is a policy in our words: one value, or a validated list.
fn is_policy(setting: &Setting) -> bool {
    if setting.verb != Verb::Add || setting.duplicate == Switch::On {
        return false;
    }
    setting.validation == Switch::On || constant_of(&setting.value).is_some()
}

/// The value as our policy would send it, if that is the same bytes.
fn constant_of(value: &str) -> Option<String> {
    let (pattern, _) = OriginPattern::parse(value, Dialect::Native).ok()?;
    pattern.as_constant().filter(|constant| constant == value)
}

const FOLDED: [&str; 5] = [
    "access-control-allow-methods",
    "access-control-allow-headers",
    "access-control-expose-headers",
    "access-control-allow-credentials",
    "access-control-max-age",
];

/// Whether a policy says it, so that no operation need.
fn is_folded(setting: &Setting) -> bool {
    setting.verb == Verb::Add
        && setting.condition.is_none()
        && FOLDED.iter().any(|name| setting.is(name))
}

fn policies_of(setting: &Setting, settings: &[Setting], draft: &mut Draft) -> Vec<PolicyDraft> {
    let mut comments = vec![format!(
        "Alibaba CDN: Access-Control-Allow-Origin, line {}, and the settings beside it",
        setting.line
    )];
    let mut spec = CorsPolicySpec {
        validate: setting.validation == Switch::On || setting.value == "*",
        methods: ALWAYS_ALLOWED_METHODS.map(str::to_owned).to_vec(),
        ..CorsPolicySpec::default()
    };
    for sibling in settings.iter().filter(|sibling| is_folded(sibling)) {
        fold(sibling, &mut spec, &mut comments);
    }
    if setting.value.trim() == "*" && spec.credentials {
        spec.credentials = false;
        comments.push("without credentials, which no browser takes beside `*`".to_owned());
    }
    if spec.credentials {
        // A browser reads a `*` literally there, and ours would spell out what is asked for.
        spec.methods.retain(|method| method != "*");
        spec.request_headers.retain(|name| name != "*");
    }
    let origins = if setting.validation == Switch::On {
        validated_origins(setting, draft)
    } else {
        vec![setting.located()]
    };
    tell_preflight(setting, &origins, draft);
    // A star inside a name is a pattern of dialect `s3` alone, where `*.` would be one, too.
    let needs_s3 = |origin: &Located| dialect_of(&origin.text) == Dialect::S3;
    let (starred, plain): (Vec<Located>, Vec<Located>) = origins.into_iter().partition(needs_s3);
    let mut inside = PolicyDraft {
        comments: comments.clone(),
        spec: spec.clone(),
    };
    inside.spec.dialect = Dialect::S3;
    inside
        .comments
        .push("a star inside a name is a pattern of dialect s3".to_owned());
    let mut policies = draft.admit(PolicyDraft { comments, spec }, &plain);
    policies.extend(draft.admit(inside, &starred));
    policies
}

fn fold(sibling: &Setting, spec: &mut CorsPolicySpec, comments: &mut Vec<String>) {
    let names = || {
        let texts = sibling.value.split(',').map(str::trim);
        let names = texts.filter(|text| is_token(text.as_bytes()));
        names.map(str::to_owned).collect::<Vec<String>>()
    };
    if sibling.is("access-control-allow-methods") {
        let usable = |name: &String| name == "*" || !name.contains('*');
        spec.methods = names().into_iter().filter(usable).collect();
        add_always_allowed(&mut spec.methods);
    } else if sibling.is("access-control-allow-headers") {
        let usable = |name: &String| name == "*" || !name.contains('*');
        spec.request_headers = names().into_iter().filter(usable).collect();
    } else if sibling.is("access-control-expose-headers") {
        let usable = |name: &String| name == "*" || !name.contains('*');
        spec.expose = names().into_iter().filter(usable).collect();
    } else if sibling.is("access-control-allow-credentials") {
        spec.credentials = sibling.value == "true";
    } else {
        let seconds: Option<u32> = sibling.value.trim().parse().ok();
        spec.max_age_s = seconds.map(|seconds| seconds.min(MAX_AGE_KEPT_S));
        comments.extend(max_age_comment(seconds));
    }
}

/// Adds the methods that browsers allow whatever a preflight's answer lists.
pub(super) fn add_always_allowed(methods: &mut Vec<String>) {
    if methods.iter().any(|method| method == "*") {
        return;
    }
    for always in ALWAYS_ALLOWED_METHODS {
        if !methods.iter().any(|method| method == always) {
            methods.push(always.to_owned());
        }
    }
}

fn validated_origins(setting: &Setting, draft: &mut Draft) -> Vec<Located> {
    let texts: Vec<&str> = setting
        .value
        .split(',')
        .map(str::trim)
        .filter(|text| !text.is_empty())
        .collect();
    let is_mixed = texts.len() > 1;
    let mut living = Vec::with_capacity(texts.len());
    for text in texts {
        let plain = unescape(text);
        let origin = Located {
            text: plain,
            line: setting.line,
        };
        if origin.text == "*" {
            living.push(origin);
            continue;
        }
        match read_bytes(&origin.text, dialect_of(&origin.text)) {
            Reading::Alike => {
                tell_unescaped(text, &origin, draft);
                if origin.text.contains('*') {
                    match is_mixed {
                        true => tell_wildcard_in_list(&origin, draft),
                        false => tell_wildcard_alone(&origin, draft),
                    }
                }
                living.push(origin);
            }
            Reading::Dead { why, .. } if !is_mixed && origin.text.matches('*').count() > 1 => {
                tell_stars(&origin, &why, draft);
            }
            Reading::Dead { why, meant } => tell_dead(&origin, &why, meant, draft),
        }
    }
    living
}

/// Dialect `s3` reads a star wherever the console takes one; everything else is native.
fn dialect_of(origin: &str) -> Dialect {
    match OriginPattern::parse(origin, Dialect::Native) {
        Err(_) if origin.contains('*') => Dialect::S3,
        Ok(_) | Err(_) => Dialect::Native,
    }
}

fn sample_of(origin: &Located) -> String {
    sample(&origin.text, dialect_of(&origin.text))
}

/// `%x` is `x`, as in the patterns of Lua.
fn unescape(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(c) = characters.next() {
        plain.push(if c == '%' {
            characters.next().unwrap_or('%')
        } else {
            c
        });
    }
    plain
}

fn tell_unescaped(text: &str, origin: &Located, draft: &mut Draft) {
    let bare = text
        .match_indices('-')
        .any(|(at, _)| !text[..at].ends_with('%'));
    if !bare {
        return;
    }
    draft.tell(Finding {
        weight: Weight::Difference,
        line: origin.line,
        construct: format!("`{}`", clip(text)),
        message: "the CDN's validation wants `%-` for `-`, and Corsair takes it as it stands"
            .to_owned(),
        request: format!("GET with `Origin: {}`", clip(&sample_of(origin))),
        system: draft.system(),
        theirs: "no CORS headers, by its documents".to_owned(),
        ours: "grants".to_owned(),
        remedy: Some("remove the origin if it was not meant to be allowed".to_owned()),
    });
}

fn tell_wildcard_in_list(origin: &Located, draft: &mut Draft) {
    let sample = sample_of(origin);
    draft.tell(Finding {
        weight: Weight::Difference,
        line: origin.line,
        construct: format!("`{}`", clip(&origin.text)),
        message: "the CDN takes a wildcard only alone, and compares a list exactly".to_owned(),
        request: format!("GET with `Origin: {}`", clip(&sample)),
        system: draft.system(),
        theirs: "no CORS headers".to_owned(),
        ours: "grants".to_owned(),
        remedy: Some("remove the pattern if it was not meant to be allowed".to_owned()),
    });
}

fn tell_wildcard_alone(origin: &Located, draft: &mut Draft) {
    let (deep, message) = match dialect_of(&origin.text) {
        Dialect::Native | Dialect::Alibaba => (
            sample_of(origin).replacen("://", "://a.", 1),
            "`*.` is one or more whole labels here; the CDN's documents do not say",
        ),
        Dialect::S3 => (
            origin.text.replacen('*', "x.y", 1),
            "the star is any characters here, dots too; the CDN's documents do not say",
        ),
    };
    draft.tell(Finding {
        weight: Weight::Note,
        line: origin.line,
        construct: format!("`{}`", clip(&origin.text)),
        message: message.to_owned(),
        request: format!("GET with `Origin: {}`", clip(&deep)),
        system: draft.system(),
        theirs: "not documented".to_owned(),
        ours: "grants".to_owned(),
        remedy: None,
    });
}

/// Several stars in one origin: the console's documents tell of one, and no dialect here has more.
fn tell_stars(origin: &Located, why: &str, draft: &mut Draft) {
    draft.tell(Finding {
        weight: Weight::Difference,
        line: origin.line,
        construct: format!("`{}`", clip(&origin.text)),
        message: format!("an origin with several stars has no form here and is left out: {why}"),
        request: format!(
            "GET with `Origin: {}`",
            clip(&origin.text.replace('*', "x"))
        ),
        system: draft.system(),
        theirs: "grants, if it takes each star for a pattern".to_owned(),
        ours: "no CORS headers".to_owned(),
        remedy: Some("list the origins that were meant, each with one star at most".to_owned()),
    });
}

fn tell_preflight(setting: &Setting, origins: &[Located], draft: &mut Draft) {
    let Some(origin) = origins.first() else {
        return;
    };
    draft.tell(Finding {
        weight: Weight::Difference,
        line: setting.line,
        construct: "preflights".to_owned(),
        message: "the CDN only adds headers to what the upstream answers; Corsair answers a \
                  preflight itself"
            .to_owned(),
        request: format!(
            "OPTIONS with `Origin: {}` and `Access-Control-Request-Method: GET`",
            clip(&sample_of(origin))
        ),
        system: draft.system(),
        theirs: "the upstream's status, which the browser needs to be 2xx".to_owned(),
        ours: "204".to_owned(),
        remedy: None,
    });
}

fn operation_of(setting: &Setting, draft: &mut Draft) -> Option<OperationDraft> {
    let mut spec = HeaderOpSpec {
        op: HeaderOp::Set,
        name: setting.key.clone(),
        value: None,
        pattern: None,
        when: HeaderConditionSpec::default(),
    };
    // `${` begins a variable here and is plain text there.
    let literal = |text: &str| Some(text.replace("${", "$${"));
    let mut standing = Standing::InEffect;
    match setting.verb {
        Verb::Delete => spec.op = HeaderOp::Remove,
        Verb::Add => {
            spec.op = match setting.duplicate {
                Switch::On => HeaderOp::Add,
                Switch::Off => HeaderOp::Set,
            };
            spec.value = literal(&setting.value);
            tell_constant(setting, draft);
        }
        Verb::Modify => {
            spec.op = HeaderOp::Replace;
            spec.pattern = Some("*".to_owned());
            spec.value = literal(&setting.value);
        }
        Verb::Rewrite => {
            spec.op = HeaderOp::Replace;
            spec.value = literal(&setting.destination);
            match glob_of(&setting.source).filter(|_| !setting.destination.contains('$')) {
                Some(glob) => spec.pattern = Some(glob),
                None => {
                    spec.pattern = Some(setting.source.clone());
                    standing = Standing::CommentedOut;
                }
            }
            tell_rewrite(setting, standing, draft);
        }
    }
    if let Some(condition) = &setting.condition {
        standing = Standing::CommentedOut;
        tell_condition(setting, condition, draft);
    }
    Some(OperationDraft {
        comments: vec![format!("Alibaba CDN setting, line {}", setting.line)],
        spec,
        standing,
    })
}

/// A constant that no browser accepts, or that stands beside the upstream's own.
fn tell_constant(setting: &Setting, draft: &mut Draft) {
    if !setting.is(ALLOW_ORIGIN) || setting.condition.is_some() {
        return;
    }
    let (construct, message, remedy) = match setting.duplicate {
        Switch::On => (
            "Allow Duplicates",
            "two lines leave when the upstream has one, and a browser refuses two; with \
             duplicates allowed nothing is validated",
            "write a policy under [site.cors] instead of this operation",
        ),
        Switch::Off => (
            "a value that is not one origin",
            "without validation the value is sent as it is, and no browser accepts it",
            "write the origins under [site.cors] instead of this operation",
        ),
    };
    let same = format!("`Access-Control-Allow-Origin: {}`", clip(&setting.value));
    draft.tell(Finding {
        weight: Weight::Note,
        line: setting.line,
        construct: construct.to_owned(),
        message: message.to_owned(),
        request: "any GET".to_owned(),
        system: draft.system(),
        theirs: same.clone(),
        ours: same,
        remedy: Some(remedy.to_owned()),
    });
}

/// A regular expression that is a plain text, with `.*` at its end at most.
fn glob_of(source: &str) -> Option<String> {
    let (body, star) = match source.strip_suffix(".*") {
        Some(body) if !body.ends_with('\\') => (body, "*"),
        _ => (source, ""),
    };
    let mut glob = String::with_capacity(source.len());
    let mut characters = body.chars();
    while let Some(c) = characters.next() {
        match c {
            '\\' => match characters.next()? {
                escaped if escaped.is_ascii_punctuation() && escaped != '*' => glob.push(escaped),
                _ => return None,
            },
            '.' | '^' | '$' | '[' | ']' | '(' | ')' | '{' | '}' | '+' | '?' | '|' | '*' => {
                return None;
            }
            c => glob.push(c),
        }
    }
    glob.push_str(star);
    (!glob.is_empty()).then_some(glob)
}

fn tell_rewrite(setting: &Setting, standing: Standing, draft: &mut Draft) {
    let source = clip(&setting.source);
    let (message, request, theirs, ours, remedy) = match (standing, setting.match_all) {
        (Standing::CommentedOut, _) => (
            "the regular expression is more than a text, and is not imported",
            "a response with this header".to_owned(),
            "what it finds is replaced".to_owned(),
            "the header stays".to_owned(),
            "write it with `*` for any run of characters",
        ),
        (Standing::InEffect, Switch::On) => return,
        (Standing::InEffect, Switch::Off) => (
            "the CDN replaces the first occurrence only, Corsair every one",
            format!(
                "a response with `{}: {source} {source}`",
                clip(&setting.key)
            ),
            format!("`{} {source}`", clip(&setting.destination)),
            format!("`{0} {0}`", clip(&setting.destination)),
            "make the pattern longer until it occurs once",
        ),
    };
    draft.tell(Finding {
        weight: Weight::Difference,
        line: setting.line,
        construct: format!("rewrite of `{}`", clip(&setting.key)),
        message: message.to_owned(),
        request,
        system: draft.system(),
        theirs,
        ours,
        remedy: Some(remedy.to_owned()),
    });
}

fn tell_condition(setting: &Setting, condition: &str, draft: &mut Draft) {
    draft.tell(Finding {
        weight: Weight::Difference,
        line: setting.line,
        construct: format!(
            "`{}` under the rule condition {condition}",
            clip(&setting.key)
        ),
        message: "rule conditions are not imported, so the setting is written as a comment"
            .to_owned(),
        request: "a GET that the condition covers".to_owned(),
        system: draft.system(),
        theirs: "the setting applies".to_owned(),
        ours: "it does not".to_owned(),
        remedy: Some("put it under a [[site.route]], or give it a `when`".to_owned()),
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_and_expressions() {
        assert_eq!(unescape("http://a%-b.com%"), "http://a-b.com%");
        let rows: &[(&str, Option<&str>)] = &[
            ("abc", Some("abc")),
            ("a\\.b", Some("a.b")),
            ("max-age=.*", Some("max-age=*")),
            ("a.b", None),
            ("a.*b", None),
            ("(a|b)", None),
            ("\\d", None),
            ("\\*", None),
            ("a\\.*", None),
            ("", None),
            (".*", Some("*")),
        ];
        for (source, expected) in rows {
            assert_eq!(glob_of(source).as_deref(), *expected, "{source}");
        }
    }
}
