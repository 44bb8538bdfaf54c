//! A draft as TOML that a person wants to go on with.
//!
//! Whatever comes from the input is escaped: a text cannot end its string, a comment its line.

use super::draft::{
    Draft, OperationDraft, PolicyDraft, RouteDraft, SiteDraft, Standing, UpstreamDraft,
};
use core::fmt::Write as _;
use corsair_rules::{CorsPolicySpec, Dialect, HeaderOp, RefusedPreflight, UpstreamMode};

/// Longest line of an array before it is broken.
const ARRAY_CHARS_MAX: usize = 96;

pub(super) fn write_config(draft: &Draft) -> String {
    let mut out = String::new();
    let first = format!(
        "Written by `corsair import {}` from {}.",
        draft.kind.as_str(),
        draft.file
    );
    comment(&mut out, &first);
    comment(
        &mut out,
        "Put your own names and servers where it says so, then run `corsair check`.",
    );
    out.push_str("\n[[listener]]\naddress = \"127.0.0.1:8080\"\n");
    for upstream in &draft.upstreams {
        write_upstream(&mut out, upstream);
    }
    for site in &draft.sites {
        write_site(&mut out, site);
    }
    out
}

fn write_upstream(out: &mut String, upstream: &UpstreamDraft) {
    out.push('\n');
    comments(out, &upstream.comments);
    out.push_str("[[upstream]]\n");
    pair(out, "name", &quoted(&upstream.name));
    pair(out, "servers", &format!("[{}]", quoted(&upstream.server)));
    if let Some(host) = upstream.host {
        pair(out, "host", &quoted(host));
    }
}

fn write_site(out: &mut String, site: &SiteDraft) {
    out.push('\n');
    comments(out, &site.comments);
    out.push_str("[[site]]\n");
    array(out, "hosts", &site.hosts);
    pair(out, "upstream", &quoted(&site.upstream));
    write_policies(out, "site", &site.policies);
    for operation in &site.operations {
        write_operation(out, operation);
    }
    for route in &site.routes {
        write_route(out, route);
    }
}

fn write_route(out: &mut String, route: &RouteDraft) {
    out.push('\n');
    comments(out, &route.comments);
    out.push_str("[[site.route]]\n");
    pair(out, "path", &quoted(&route.path));
    pair(out, "upstream", &quoted(&route.upstream));
    if let Some(policies) = &route.policies {
        if policies.is_empty() {
            pair(out, "cors", "[]");
        }
        write_policies(out, "site.route", policies);
    }
}

fn write_policies(out: &mut String, place: &str, policies: &[PolicyDraft]) {
    for policy in policies {
        out.push('\n');
        comments(out, &policy.comments);
        match policies {
            [_] => writeln!(out, "[{place}.cors]"),
            _ => writeln!(out, "[[{place}.cors]]"),
        }
        .expect("writing to a String cannot fail");
        write_policy(out, &policy.spec);
    }
}

fn write_policy(out: &mut String, spec: &CorsPolicySpec) {
    array(out, "origins", &spec.origins);
    match spec.dialect {
        Dialect::Native => {}
        Dialect::S3 => pair(out, "dialect", "\"s3\""),
        Dialect::Alibaba => pair(out, "dialect", "\"alibaba\""),
    }
    if !spec.validate {
        pair(out, "validate", "false");
    }
    if spec.credentials {
        pair(out, "credentials", "true");
    }
    array(out, "methods", &spec.methods);
    if !spec.request_headers.is_empty() {
        array(out, "request_headers", &spec.request_headers);
    }
    if !spec.expose.is_empty() {
        array(out, "expose", &spec.expose);
    }
    if let Some(seconds) = spec.max_age_s {
        pair(out, "max_age", &quoted(&duration(seconds)));
    }
    match spec.upstream {
        UpstreamMode::Override => {}
        UpstreamMode::Passthrough => pair(out, "upstream", "\"passthrough\""),
        UpstreamMode::Duplicate => pair(out, "upstream", "\"duplicate\""),
    }
    if spec.refused_preflight != RefusedPreflight::default() {
        pair(
            out,
            "refused_preflight_status",
            &spec.refused_preflight.status().to_string(),
        );
    }
}

fn write_operation(out: &mut String, operation: &OperationDraft) {
    let mut text = String::from("[[site.header]]\n");
    let spec = &operation.spec;
    pair(&mut text, "op", &quoted(verb(spec.op)));
    pair(&mut text, "name", &quoted(&spec.name));
    if let Some(pattern) = &spec.pattern {
        pair(&mut text, "pattern", &quoted(pattern));
    }
    if let Some(value) = &spec.value {
        pair(&mut text, "value", &quoted(value));
    }
    out.push('\n');
    comments(out, &operation.comments);
    match operation.standing {
        Standing::InEffect => out.push_str(&text),
        Standing::CommentedOut => text.lines().for_each(|line| comment(out, line)),
    }
}

fn verb(op: HeaderOp) -> &'static str {
    match op {
        HeaderOp::Set => "set",
        HeaderOp::Add => "add",
        HeaderOp::Append => "append",
        HeaderOp::Merge => "merge",
        HeaderOp::Default => "default",
        HeaderOp::Remove => "remove",
        HeaderOp::Replace => "replace",
    }
}

fn pair(out: &mut String, key: &str, value: &str) {
    writeln!(out, "{key} = {value}").expect("writing to a String cannot fail");
}

fn array(out: &mut String, key: &str, texts: &[String]) {
    let texts: Vec<String> = texts.iter().map(|text| quoted(text)).collect();
    let line = format!("[{}]", texts.join(", "));
    if key.len() + 3 + line.chars().count() <= ARRAY_CHARS_MAX {
        pair(out, key, &line);
        return;
    }
    let lines: String = texts.iter().map(|text| format!("    {text},\n")).collect();
    pair(out, key, &format!("[\n{lines}]"));
}

fn comments(out: &mut String, lines: &[String]) {
    for line in lines {
        comment(out, line);
    }
}

fn comment(out: &mut String, line: &str) {
    out.push_str("# ");
    out.extend(line.chars().map(|c| {
        if c.is_control() {
            char::REPLACEMENT_CHARACTER
        } else {
            c
        }
    }));
    out.push('\n');
}

/// A basic string of TOML.
fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            c if c.is_control() => {
                write!(out, "\\U{:08X}", u32::from(c)).expect("writing to a String cannot fail");
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

fn duration(seconds: u32) -> String {
    match seconds {
        0 => "0s".to_owned(),
        _ if seconds.is_multiple_of(3_600) => format!("{}h", seconds / 3_600),
        _ if seconds.is_multiple_of(60) => format!("{}m", seconds / 60),
        _ => format!("{seconds}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_stay_texts() {
        for text in [
            "a",
            "\"",
            "\\",
            "a\nb = 1",
            "\u{7f}\u{85}\u{0}",
            "é\u{2028}",
            "]\r\n[x]",
        ] {
            let line = format!("a = {}", quoted(text));
            let table: toml::Table = line.parse().expect("one pair");
            assert_eq!(table["a"].as_str(), Some(text));
        }
        let mut out = String::new();
        comment(&mut out, "a\nb = 1\r\u{0}");
        let table: toml::Table = out.parse().expect("only a comment");
        assert!(table.is_empty());
    }

    #[test]
    fn durations_have_the_largest_unit_that_fits() {
        let rows = [
            (0, "0s"),
            (59, "59s"),
            (60, "1m"),
            (3_600, "1h"),
            (86_400, "24h"),
            (90, "90s"),
        ];
        for (seconds, expected) in rows {
            assert_eq!(duration(seconds), expected);
        }
    }
}
