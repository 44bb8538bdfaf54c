//! CORS annotations of ingress-nginx.
//!
//! Source: kubernetes/ingress-nginx at dbb11b9, `internal/ingress/annotations/cors`, the functions
//! `buildCorsOriginRegex` and `buildOriginRegex` of the template package, and the `CORS` block of
//! `nginx.tmpl`. There: the origins are one regular expression without `^` and without case; `*.` is
//! one label; absent annotations have defaults, credentials `true` among them; a list that does not
//! validate becomes `*`; every `OPTIONS` request of an allowed origin is answered 204; methods and
//! headers are only listed, never enforced; no `Vary`.

mod annotations;

use super::ImportError;
use super::alibaba::add_always_allowed;
use super::bucket::{MAX_AGE_KEPT_S, max_age_comment};
use super::draft::{
    Draft, Located, PolicyDraft, RouteDraft, SiteDraft, UpstreamDraft, never_empty,
};
use super::finding::{Finding, Weight};
use super::ingress::{Backend, Manifest, PathKind, PathRule, read_manifests};
use super::origins::sample;
use crate::report::clip;
use corsair_rules::{
    CorsPolicySpec, Dialect, HostPattern, OriginPattern, PathPattern, PatternNote,
};
use std::collections::HashSet;

/// What is answered when the annotation is absent or does not validate.
const DEFAULT_METHODS: &str = "GET, PUT, POST, DELETE, PATCH, OPTIONS";
const DEFAULT_HEADERS: &str = "DNT,Keep-Alive,User-Agent,X-Requested-With,If-Modified-Since,\
                               Cache-Control,Content-Type,Range,Authorization";
const DEFAULT_MAX_AGE_S: u32 = 1_728_000;
/// Longest name of an upstream.
const UPSTREAM_NAME_BYTES_MAX: usize = 64;

/// Reads the manifests and writes sites with their policies.
pub(super) fn read(text: &str, draft: &mut Draft) -> Result<(), ImportError> {
    let manifests = read_manifests(text)?;
    let mut policies = Vec::with_capacity(manifests.len());
    for manifest in &manifests {
        annotations::tell(manifest, draft);
        policies.push(policies_of(manifest, draft));
    }
    let mut sites = Sites::default();
    for (manifest, policies) in manifests.iter().zip(&policies) {
        sites.add(manifest, policies, draft);
    }
    sites.finish(draft);
    if draft.sites.is_empty() {
        let message = "no rule of the input has a host that a site can have";
        return Err(ImportError::at(manifests[0].line, message));
    }
    Ok(())
}

fn policies_of(manifest: &Manifest, draft: &mut Draft) -> Vec<PolicyDraft> {
    let annotation = |name: &str| {
        let found = manifest.annotations.iter().find(|(own, _)| own == name);
        found.map(|(_, text)| text)
    };
    let enabled = annotation("enable-cors").and_then(|text| parse_flag(&text.text));
    if enabled != Some(true) {
        return Vec::new();
    }
    let origins = match annotation("cors-allow-origin") {
        Some(text) => read_origins(text, draft),
        None => vec![Located {
            text: "*".to_owned(),
            line: manifest.line,
        }],
    };
    let is_open = origins.first().is_some_and(|origin| origin.text == "*");
    let credentials = annotation("cors-allow-credentials");
    let credentials = credentials.and_then(|text| parse_flag(&text.text)) != Some(false);
    let max_age = match annotation("cors-max-age").map(|text| text.text.trim().parse::<i64>()) {
        Some(Ok(seconds)) => u32::try_from(seconds.max(0)).unwrap_or(u32::MAX),
        Some(Err(_)) | None => DEFAULT_MAX_AGE_S,
    };
    let mut methods = list_or(
        annotation("cors-allow-methods"),
        DEFAULT_METHODS,
        is_method_list,
    );
    add_always_allowed(&mut methods);
    let spec = CorsPolicySpec {
        credentials: credentials && !is_open,
        methods,
        request_headers: list_or(
            annotation("cors-allow-headers"),
            DEFAULT_HEADERS,
            is_header_list,
        ),
        expose: list_or(annotation("cors-expose-headers"), "", is_expose_list),
        max_age_s: Some(max_age.min(MAX_AGE_KEPT_S)),
        ..CorsPolicySpec::default()
    };
    let mut comments = vec![format!(
        "Ingress `{}`, line {}",
        manifest.name, manifest.line
    )];
    comments.extend(defaults_comment(manifest));
    comments.extend(max_age_comment(Some(max_age)));
    if credentials && is_open {
        comments.push("without credentials, which no browser takes beside `*`".to_owned());
    }
    if origins.is_empty() {
        return never_empty(Vec::new());
    }
    tell_once(manifest, &origins, draft);
    let policies = draft.admit(PolicyDraft { comments, spec }, &origins);
    for origin in origins
        .iter()
        .filter(|origin| origin.text.contains("://*."))
    {
        let is_written = |policy: &PolicyDraft| policy.spec.origins.contains(&origin.text);
        if policies.iter().any(is_written) {
            tell_labels(origin, draft);
        }
    }
    never_empty(policies)
}

/// Whether ingress-nginx takes a value.
type IsValid = fn(&str) -> bool;

/// Which values are ingress-nginx's own, because the manifest has none that validates.
fn defaults_comment(manifest: &Manifest) -> Option<String> {
    let names: [(&str, IsValid); 5] = [
        ("cors-allow-origin", |_| true),
        ("cors-allow-methods", is_method_list),
        ("cors-allow-headers", is_header_list),
        ("cors-allow-credentials", |text| parse_flag(text).is_some()),
        ("cors-max-age", |text| text.trim().parse::<i64>().is_ok()),
    ];
    let is_given = |name: &str, is_valid: IsValid| {
        let found = manifest.annotations.iter().find(|(own, _)| own == name);
        found.is_some_and(|(_, text)| !text.text.trim().is_empty() && is_valid(&text.text))
    };
    let absent: Vec<&str> = names
        .into_iter()
        .filter(|(name, is_valid)| !is_given(name, *is_valid))
        .map(|(name, _)| name)
        .collect();
    let list = absent.join(", ");
    (!absent.is_empty()).then(|| format!("by ingress-nginx's defaults: {list}"))
}

/// Go's `strconv.ParseBool`.
fn parse_flag(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Some(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Some(false),
        _ => None,
    }
}

/// The members of a list, or of the default when there is none that ingress-nginx takes.
fn list_or(text: Option<&Located>, default: &str, is_valid: IsValid) -> Vec<String> {
    let text = text
        .map(|text| text.text.trim())
        .filter(|text| !text.is_empty() && is_valid(text));
    let mut members: Vec<String> = Vec::new();
    for member in text.unwrap_or(default).split([',', ' ', '\t', '\n']) {
        let same = |own: &String| own == member;
        if !member.is_empty() && !members.iter().any(same) {
            members.push(member.to_owned());
        }
    }
    members
}

fn is_method_list(text: &str) -> bool {
    text.chars()
        .all(|c| c.is_ascii_alphabetic() || c == ',' || c.is_ascii_whitespace())
}

fn is_header_list(text: &str) -> bool {
    text.chars()
        .all(|c| c.is_ascii_alphanumeric() || "-_, ".contains(c))
}

fn is_expose_list(text: &str) -> bool {
    let is_name = |name: &str| {
        name == "*"
            || name
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "-_".contains(c))
    };
    text.split([',', ' ']).all(is_name)
}

/// How ingress-nginx reads one member of `cors-allow-origin`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Member {
    Fine,
    /// It is skipped with a line in the log.
    Skipped,
    /// The whole annotation is dropped, and `*` stands in its place.
    SpoilsAll,
}

fn member_of(text: &str) -> Member {
    if text == "null" || text == "*" {
        return Member::Fine;
    }
    let (scheme, rest) = match text.split_once("://") {
        Some((scheme, rest)) => (Some(scheme), rest),
        None => (None, text),
    };
    let rest = rest.strip_prefix("*.").unwrap_or(rest);
    let host_bytes = rest.bytes().take_while(|&byte| is_host_byte(byte)).count();
    let port = &rest[host_bytes..];
    let is_port = port.is_empty()
        || port.strip_prefix(':').is_some_and(|digits| {
            !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
        });
    let is_scheme =
        |scheme: &str| !scheme.is_empty() && scheme.bytes().all(|byte| byte.is_ascii_lowercase());
    match scheme {
        _ if !is_port => Member::SpoilsAll,
        None => Member::Skipped,
        Some(scheme) if is_scheme(scheme) => Member::Fine,
        Some(_) => Member::SpoilsAll,
    }
}

fn is_host_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'.'
}

/// The origins as ours, each in lower case because the regular expression has no case.
fn read_origins(annotation: &Located, draft: &mut Draft) -> Vec<Located> {
    let members: Vec<&str> = annotation
        .text
        .split(',')
        .map(str::trim)
        .filter(|member| !member.is_empty())
        .collect();
    let at = |text: &str| Located {
        text: text.to_owned(),
        line: annotation.line,
    };
    let spoiler = members.iter().find(|member| {
        // A `*` beside others does not validate either.
        member_of(member) == Member::SpoilsAll || (**member == "*" && members.len() > 1)
    });
    if members.is_empty() || members == ["*"] || spoiler.is_some_and(|member| *member == "*") {
        return vec![at("*")];
    }
    let mut origins = Vec::with_capacity(members.len());
    for member in &members {
        match OriginPattern::parse(member, Dialect::Native) {
            Ok((pattern, notes)) => {
                let has_port =
                    |note: &PatternNote| matches!(note, PatternNote::DefaultPortDropped(_));
                if notes.iter().any(has_port) {
                    tell_port(&at(member), draft);
                    continue;
                }
                origins.push(at(&pattern.to_string()));
            }
            Err(fault) => tell_unread(&at(member), &fault.to_string(), draft),
        }
    }
    if let Some(member) = spoiler {
        tell_spoiled(&at(member), draft);
    }
    origins
}

fn tell_spoiled(member: &Located, draft: &mut Draft) {
    draft.tell(Finding {
        weight: Weight::Difference,
        line: member.line,
        construct: format!("cors-allow-origin `{}`", clip(&member.text)),
        message: "ingress-nginx cannot read this member, drops the whole list and answers `*`; \
                  Corsair keeps to what the list says"
            .to_owned(),
        request: "GET with `Origin: https://stranger.example`".to_owned(),
        system: draft.system(),
        theirs: "`Access-Control-Allow-Origin: *`".to_owned(),
        ours: "no CORS headers".to_owned(),
        remedy: Some("write `origins = [\"*\"]` if everybody was meant".to_owned()),
    });
}

fn tell_unread(member: &Located, fault: &str, draft: &mut Draft) {
    draft.tell(Finding {
        weight: Weight::Note,
        line: member.line,
        construct: format!("cors-allow-origin `{}`", clip(&member.text)),
        message: format!("it is no origin, so it is left out: {fault}"),
        request: "GET with any `Origin` that a browser sends".to_owned(),
        system: draft.system(),
        theirs: "this member grants nothing".to_owned(),
        ours: "it is not there".to_owned(),
        remedy: Some("add the whole origin to `origins` if it was meant".to_owned()),
    });
}

fn tell_port(member: &Located, draft: &mut Draft) {
    draft.tell(Finding {
        weight: Weight::Note,
        line: member.line,
        construct: format!("cors-allow-origin `{}`", clip(&member.text)),
        message: "browsers leave out a scheme's default port, so it matches none, and it is left \
                  out"
        .to_owned(),
        request: format!(
            "GET with `Origin: {}`",
            clip(&sample(&member.text, Dialect::Native))
        ),
        system: draft.system(),
        theirs: "no CORS headers".to_owned(),
        ours: "no CORS headers".to_owned(),
        remedy: Some("add it without the port to `origins` if it was meant".to_owned()),
    });
}

fn tell_labels(origin: &Located, draft: &mut Draft) {
    let deep = sample(&origin.text, Dialect::Native).replacen("://", "://a.", 1);
    draft.tell(Finding {
        weight: Weight::Difference,
        line: origin.line,
        construct: format!("cors-allow-origin `{}`", clip(&origin.text)),
        message: "`*.` is exactly one label there, and one or more here".to_owned(),
        request: format!("GET with `Origin: {}`", clip(&deep)),
        system: draft.system(),
        theirs: "no CORS headers".to_owned(),
        ours: "grants".to_owned(),
        remedy: Some("list the names instead, if deeper ones are not yours".to_owned()),
    });
}

/// What is not the same for every policy of ingress-nginx, said once an Ingress.
fn tell_once(manifest: &Manifest, origins: &[Located], draft: &mut Draft) {
    let Some(first) = origins.first() else {
        return;
    };
    let origin = clip(&sample(&first.text, Dialect::Native));
    let mut note = |construct: &str, message: &str, request: String, theirs: &str, ours: &str| {
        let system = draft.system();
        draft.tell(Finding {
            weight: Weight::Note,
            line: manifest.line,
            construct: construct.to_owned(),
            message: message.to_owned(),
            request,
            system,
            theirs: theirs.to_owned(),
            ours: ours.to_owned(),
            remedy: None,
        });
    };
    note(
        "OPTIONS",
        "ingress-nginx answers every OPTIONS request, Corsair only preflights",
        format!("OPTIONS with `Origin: {origin}`, without `Access-Control-Request-Method`"),
        "204",
        "what the upstream answers",
    );
    if first.text == "*" {
        return;
    }
    note(
        "origins that are echoed",
        "Corsair says `Vary: Origin` on every response that depends on it",
        "GET without `Origin`".to_owned(),
        "no `Vary`, so a shared cache may give one origin's answer to another",
        "`Vary: Origin`",
    );
    note(
        "the regular expression of the origins",
        "it has no `^` and no case, so it also matches what only ends like an allowed origin",
        format!("GET with `Origin: x{origin}`"),
        "grants",
        "no CORS headers",
    );
}

/// Sites by host, in the order of the input.
#[derive(Debug, Default)]
struct Sites {
    sites: Vec<Site>,
    upstreams: Vec<Backend>,
}

#[derive(Debug)]
struct Site {
    host: String,
    line: usize,
    /// Where the paths go that no route names; none where the controller answers 404.
    own: Option<Own>,
    /// Of those paths, and of the routes of the same Ingress.
    policies: Vec<PolicyDraft>,
    names: Vec<String>,
    routes: Vec<RouteDraft>,
    taken: HashSet<String>,
}

#[derive(Debug)]
struct Own {
    /// Of the Ingress that says so.
    line: usize,
    backend: Backend,
}

/// Stands in for the controller's own backend. A name of Kubernetes has no dot in it.
const NO_BACKEND: &str = "no.backend";

/// Whether a path is every path.
fn is_whole(path: &PathRule) -> bool {
    match path.kind {
        PathKind::Prefix => path.path.trim_end_matches('/').is_empty(),
        PathKind::Exact => false,
    }
}

impl Sites {
    fn add(&mut self, manifest: &Manifest, policies: &[PolicyDraft], draft: &mut Draft) {
        if manifest.rules.is_empty() {
            // Annotations alone: where they stand is not said.
            let somewhere = PathRule {
                line: manifest.line,
                path: "/".to_owned(),
                kind: PathKind::Prefix,
                backend: Backend {
                    name: "service".to_owned(),
                    server: "http://127.0.0.1:9000".to_owned(),
                },
            };
            self.add_host(manifest, "*", &[somewhere], policies, draft);
        }
        for rule in &manifest.rules {
            if HostPattern::parse(&rule.host).is_err() {
                tell_host(manifest, &rule.host, draft);
                continue;
            }
            self.add_host(manifest, &rule.host, &rule.paths, policies, draft);
        }
    }

    fn add_host(
        &mut self,
        manifest: &Manifest,
        host: &str,
        paths: &[PathRule],
        policies: &[PolicyDraft],
        draft: &mut Draft,
    ) {
        let at = self
            .sites
            .iter()
            .position(|site| HostPattern::parse(&site.host) == HostPattern::parse(host))
            .unwrap_or_else(|| {
                self.sites.push(Site {
                    host: host.to_owned(),
                    line: manifest.line,
                    own: None,
                    policies: Vec::new(),
                    names: Vec::new(),
                    routes: Vec::new(),
                    taken: HashSet::new(),
                });
                self.sites.len() - 1
            });
        self.sites[at].take_whole(manifest, paths, policies);
        let mut named = Vec::with_capacity(paths.len());
        for path in paths {
            named.push(self.name_of(&path.backend));
        }
        let site = &mut self.sites[at];
        if !site.names.contains(&manifest.name) {
            site.names.push(manifest.name.clone());
        }
        let own = site.own.as_ref().filter(|own| own.line == manifest.line);
        for (path, upstream) in paths.iter().zip(named) {
            if own.is_some_and(|own| own.backend == path.backend) {
                continue;
            }
            for pattern in patterns_of(path, draft) {
                if !site.taken.insert(pattern.clone()) {
                    continue;
                }
                site.routes.push(RouteDraft {
                    comments: vec![format!("Ingress `{}`, line {}", manifest.name, path.line)],
                    path: pattern,
                    upstream: upstream.clone(),
                    policies: own.is_none().then(|| policies.to_vec()),
                });
            }
        }
    }

    /// The name of a backend's upstream, which is declared when it is new.
    fn name_of(&mut self, backend: &Backend) -> String {
        let known = self.upstreams.iter().position(|own| own == backend);
        let at = known.unwrap_or_else(|| {
            self.upstreams.push(backend.clone());
            self.upstreams.len() - 1
        });
        // A label of Kubernetes has no dot, so that no other name is like it.
        match &backend.name {
            name if name.len() <= UPSTREAM_NAME_BYTES_MAX => name.clone(),
            _ => format!("service.{at}"),
        }
    }

    /// Writes what is used: a path that could not be read may have been all of its backend.
    fn finish(mut self, draft: &mut Draft) {
        let mut names = Vec::with_capacity(self.sites.len());
        for at in 0..self.sites.len() {
            names.push(match &self.sites[at].own {
                Some(own) => {
                    let backend = own.backend.clone();
                    self.name_of(&backend)
                }
                None => {
                    tell_no_backend(&self.sites[at], draft);
                    NO_BACKEND.to_owned()
                }
            });
        }
        for backend in self.upstreams.clone() {
            let name = self.name_of(&backend);
            let mut routes = self.sites.iter().flat_map(|site| &site.routes);
            if !names.contains(&name) && !routes.any(|route| route.upstream == name) {
                continue;
            }
            draft.upstreams.push(UpstreamDraft {
                comments: vec!["Put an address that this node reaches the service at.".to_owned()],
                name,
                server: backend.server,
                host: None,
            });
        }
        if names.iter().any(|name| name == NO_BACKEND) {
            draft.upstreams.push(UpstreamDraft {
                comments: vec![
                    "Nothing listens there: for the paths that no Ingress names. Put a server that"
                        .to_owned(),
                    "answers 404, if clients shall see that.".to_owned(),
                ],
                name: NO_BACKEND.to_owned(),
                server: "http://127.0.0.1:9".to_owned(),
                host: None,
            });
        }
        for (site, upstream) in self.sites.into_iter().zip(names) {
            draft.sites.push(site.written(upstream));
        }
    }
}

impl Site {
    /// Takes the backend of every path, or the default one, when none was there before.
    fn take_whole(&mut self, manifest: &Manifest, paths: &[PathRule], policies: &[PolicyDraft]) {
        if self.own.is_some() {
            return;
        }
        let whole = paths.iter().find(|path| is_whole(path));
        let Some(backend) = whole
            .map(|path| &path.backend)
            .or(manifest.default.as_ref())
            .cloned()
        else {
            return;
        };
        if whole.is_some() {
            // The older Ingress has the path; another default backend would not have it.
            self.taken.insert("/**".to_owned());
        }
        self.own = Some(Own {
            line: manifest.line,
            backend,
        });
        self.policies = policies.to_vec();
    }

    fn written(self, upstream: String) -> SiteDraft {
        let mut comments = vec![format!("Ingress `{}`", self.names.join("`, `"))];
        match self.own {
            Some(_) if self.policies.is_empty() => {
                comments.push("no CORS there: the service's own passes through".to_owned());
            }
            Some(_) => {}
            None => comments.push("only the routes below are served".to_owned()),
        }
        SiteDraft {
            comments,
            hosts: vec![self.host],
            upstream,
            policies: self.policies,
            operations: Vec::new(),
            routes: self.routes,
        }
    }
}

fn tell_no_backend(site: &Site, draft: &mut Draft) {
    let host = match site.host.as_str() {
        "*" => "any.example".to_owned(),
        host => host.replacen('*', "any", 1),
    };
    draft.tell(Finding {
        weight: Weight::Difference,
        line: site.line,
        construct: format!("host `{}`", clip(&site.host)),
        message: "no rule names the path `/` and there is no default backend, so that every path \
                  without a rule is the controller's own"
            .to_owned(),
        request: format!("GET http://{}/corsair-any", clip(&host)),
        system: draft.system(),
        theirs: "404".to_owned(),
        ours: format!("502: nothing listens at the upstream `{NO_BACKEND}`"),
        remedy: Some(format!("put a server that answers 404 in `{NO_BACKEND}`")),
    });
}

/// The paths of ours that a path of an Ingress is.
fn patterns_of(path: &PathRule, draft: &mut Draft) -> Vec<String> {
    let trimmed = path.path.trim_end_matches('/');
    let patterns = match path.kind {
        PathKind::Exact => vec![path.path.clone()],
        PathKind::Prefix if trimmed.is_empty() => vec!["/**".to_owned()],
        PathKind::Prefix => vec![trimmed.to_owned(), format!("{trimmed}/**")],
    };
    let is_literal = !path
        .path
        .contains(['*', '(', ')', '[', ']', '|', '^', '$', '\\', '+', '?']);
    if is_literal
        && patterns
            .iter()
            .all(|pattern| PathPattern::parse(pattern).is_ok())
    {
        return patterns;
    }
    draft.tell(Finding {
        weight: Weight::Difference,
        line: path.line,
        construct: format!("path `{}`", clip(&path.path)),
        message: "paths that are regular expressions are not imported".to_owned(),
        request: "a GET that the path covers".to_owned(),
        system: draft.system(),
        theirs: "it goes to this backend".to_owned(),
        ours: "it goes where the site goes".to_owned(),
        remedy: Some("write a [[site.route]] with `*` and `**`".to_owned()),
    });
    Vec::new()
}

fn tell_host(manifest: &Manifest, host: &str, draft: &mut Draft) {
    draft.tell(Finding {
        weight: Weight::Difference,
        line: manifest.line,
        construct: format!("host `{}`", clip(host)),
        message: "it is no host name, and its rule is left out".to_owned(),
        request: "a GET for this host".to_owned(),
        system: draft.system(),
        theirs: "it is served".to_owned(),
        ours: "421".to_owned(),
        remedy: Some("add the name to the `hosts` of a site".to_owned()),
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_read_as_ingress_nginx_reads_them() {
        let rows: &[(&str, Member)] = &[
            ("https://a.example", Member::Fine),
            ("https://*.a.example:8443", Member::Fine),
            ("app://a", Member::Fine),
            ("null", Member::Fine),
            ("a.example", Member::Skipped),
            ("*.a.example", Member::Skipped),
            ("http://localhost:*", Member::SpoilsAll),
            ("https://a.example/", Member::SpoilsAll),
            ("https://a.*.example", Member::SpoilsAll),
            ("HTTPS://a.example", Member::SpoilsAll),
            ("https://a_b.example", Member::SpoilsAll),
        ];
        for (text, expected) in rows {
            assert_eq!(member_of(text), *expected, "{text}");
        }
    }
}
