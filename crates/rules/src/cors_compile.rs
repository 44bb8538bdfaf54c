//! From `[site.cors]` values to compiled policies, with every finding of spec §3.6 at once.
//!
//! Errors refuse all policies of the route; a malformed entry never becomes something wider.

use crate::cors_cover::covered;
use crate::cors_policy::{
    Audience, Block, HeaderRule, ListSource, MethodRule, Policy, Standing, StarredName, is_method,
};
use crate::cors_spec::{CorsPolicySpec, UpstreamMode};
use crate::lint::{Lint, PolicyPlace, PolicyProblem, Severity};
use crate::media_type::MediaPattern;
use crate::origin_pattern::{Dialect, OriginPattern, PatternNote, SchemeRule};
use crate::origin_set::OriginSet;
use crate::public_suffix::{NamesBelow, names_below, strangers_under};
use corsair_http1::{KnownField, KnownSet, is_token};

/// Longest lifetime that any browser keeps a preflight answer, in seconds (Firefox).
const MAX_AGE_CAP_S: u32 = 86_400;

/// Compiles all policies of a route.
///
/// # Errors
/// All findings when one of them is an error.
pub(crate) fn compile_policies(
    specs: &[CorsPolicySpec],
) -> Result<(Vec<Policy>, Vec<PolicyProblem>), Vec<PolicyProblem>> {
    let mut problems = Vec::new();
    let mut policies: Vec<Policy> = Vec::with_capacity(specs.len());
    let mut taker = None;
    for (index, spec) in specs.iter().enumerate() {
        let mut findings = Findings {
            policy: index,
            problems: &mut problems,
        };
        // What is only evaluated leaves the upstream's fields alone in every mode.
        if !spec.shadow && mode_of(specs) != spec.upstream {
            findings.add(PolicyPlace::Upstream, Lint::MixedUpstreamModes {});
        }
        let policy = compile_policy(spec, &mut findings);
        if policy.standing != Standing::Shadow {
            if let Some(by) = taker {
                findings.add(PolicyPlace::Policy, Lint::UnreachablePolicy { by });
            } else if policy.decides_always() {
                // Counted from 1, as `explain` does.
                taker = Some(index + 1);
            }
        }
        policies.push(policy);
    }
    if problems
        .iter()
        .any(|problem| problem.lint.severity() == Severity::Error)
    {
        return Err(problems);
    }
    for (policy, by) in covered(specs, &policies) {
        // One sentence is enough where nothing behind the other one decides at all.
        if taker.is_none_or(|taker| policy < taker) {
            let problems = &mut problems;
            let lint = Lint::CoveredPolicy { by: by + 1 };
            Findings { policy, problems }.add(PolicyPlace::Policy, lint);
        }
    }
    Ok((policies, problems))
}

/// What becomes of the upstream's own CORS: as the first policy that is applied says.
pub(crate) fn mode_of(specs: &[CorsPolicySpec]) -> UpstreamMode {
    let applied = specs.iter().find(|spec| !spec.shadow);
    applied.map(|spec| spec.upstream).unwrap_or_default()
}

struct Findings<'a> {
    policy: usize,
    problems: &'a mut Vec<PolicyProblem>,
}

impl Findings<'_> {
    fn add(&mut self, place: PolicyPlace, lint: Lint) {
        self.problems.push(PolicyProblem {
            policy: self.policy,
            place,
            lint,
        });
    }
}

fn compile_policy(spec: &CorsPolicySpec, findings: &mut Findings<'_>) -> Policy {
    let (patterns, places) = parse_origins(spec, findings);
    let origins = OriginSet::compile(&patterns);
    lint_origins(spec, &patterns, &places, findings);
    for found in origins.redundant(&patterns) {
        let text = |index: u32| patterns[index as usize].to_string();
        let lint = Lint::RedundantPattern {
            pattern: text(found.needless),
            by: text(found.by),
        };
        findings.add(PolicyPlace::Origin(places[found.needless as usize]), lint);
    }
    let (audience, constant) = compile_audience(spec, &patterns, origins, findings);
    let methods = compile_methods(spec, findings);
    let headers = compile_headers(spec, findings);
    lint_rest(spec, findings);
    let content_types = compile_content_types(spec, findings);
    let standing = match (spec.shadow, spec.upstream) {
        (true, _) => Standing::Shadow,
        (false, UpstreamMode::Passthrough) => Standing::Passthrough,
        (false, UpstreamMode::Override | UpstreamMode::Duplicate) => Standing::Live,
    };
    let spells_methods = spec.credentials && methods.any;
    let spells_headers = !headers.starred.is_empty() || (spec.credentials && headers.any);
    let source = |spells| {
        if spells {
            ListSource::Requested
        } else {
            ListSource::Configured
        }
    };
    let mut policy = Policy {
        standing,
        audience,
        constant: constant.as_deref().map(Box::from),
        methods,
        headers,
        content_types,
        granted: Block::default(),
        always: Block::default(),
        preflight: Block::default(),
        method_source: source(spells_methods),
        header_source: source(spells_headers),
        private_network: spec.private_network,
        refused_preflight: spec.refused_preflight,
        varies: false,
        owned: owned_fields(spec),
    };
    policy.varies = varies(&policy, spec);
    encode_blocks(spec, constant.as_deref(), &mut policy);
    policy
}

/// The patterns that parsed, and the place of each in `origins`. One that did not is an error, so
/// in every policy that is used the indexes of patterns are places.
fn parse_origins(
    spec: &CorsPolicySpec,
    findings: &mut Findings<'_>,
) -> (Vec<OriginPattern>, Vec<usize>) {
    // Where the upstream decides and nobody is told who may time, there is nobody to list.
    let lists_nobody = spec.upstream == UpstreamMode::Passthrough && !spec.timing && !spec.shadow;
    if spec.origins.is_empty() && !lists_nobody {
        findings.add(PolicyPlace::Policy, Lint::NoOrigins {});
    }
    let mut patterns = Vec::with_capacity(spec.origins.len());
    let mut places = Vec::with_capacity(spec.origins.len());
    for (at, text) in spec.origins.iter().enumerate() {
        match OriginPattern::parse(text, spec.dialect) {
            Ok((pattern, notes)) => {
                // A dialect that needs its escapes has nothing to be told about them.
                for note in notes
                    .into_iter()
                    .filter(|note| *note != PatternNote::Unescaped)
                {
                    let lint = Lint::ChangedPattern {
                        text: text.clone(),
                        note,
                    };
                    findings.add(PolicyPlace::Origin(at), lint);
                }
                patterns.push(pattern);
                places.push(at);
            }
            Err(fault) => {
                let lint = Lint::MalformedOrigin {
                    text: text.clone(),
                    fault,
                };
                findings.add(PolicyPlace::Origin(at), lint);
            }
        }
    }
    (patterns, places)
}

fn lint_origins(
    spec: &CorsPolicySpec,
    patterns: &[OriginPattern],
    places: &[usize],
    findings: &mut Findings<'_>,
) {
    for (at, pattern) in places.iter().zip(patterns) {
        let place = PolicyPlace::Origin(*at);
        match pattern {
            OriginPattern::Star if spec.credentials => {
                findings.add(place, Lint::StarWithCredentials {});
            }
            OriginPattern::Null if spec.credentials => {
                findings.add(place, Lint::NullWithCredentials {});
            }
            OriginPattern::Null => findings.add(place, Lint::NullListed {}),
            OriginPattern::Suffix(rule) => {
                if spec.credentials
                    && let Some(host) = served_below(spec, rule.host())
                {
                    let (pattern, host) = (pattern.to_string(), host.to_owned());
                    findings.add(place, Lint::WildcardOverOwnDomain { pattern, host });
                }
                if names_below(rule.host()) == NamesBelow::Anybodys {
                    let (pattern, suffix) = (pattern.to_string(), rule.host().to_owned());
                    findings.add(place, Lint::PublicSuffix { pattern, suffix });
                }
            }
            OriginPattern::Star | OriginPattern::Exact(_) | OriginPattern::StarAnywhere { .. } => {}
        }
        if let Some(scheme) = scheme_of_no_page(pattern) {
            let (pattern, scheme) = (pattern.to_string(), scheme.to_owned());
            findings.add(place, Lint::NoPageScheme { pattern, scheme });
        }
        if let Some(strangers) = strangers_under(pattern) {
            let is_told = matches!(pattern, OriginPattern::StarAnywhere { .. });
            let pattern = pattern.to_string();
            match spec.credentials {
                true => findings.add(place, Lint::StrangersWithCredentials { pattern, strangers }),
                // Of its stars the dialect `s3` is told when it is parsed.
                false if is_told => {}
                false => findings.add(place, Lint::StrangersUnderWildcard { pattern, strangers }),
            }
        }
        if spec.credentials && is_insecure(pattern) {
            let lint = Lint::InsecureWithCredentials {
                pattern: pattern.to_string(),
            };
            findings.add(place, lint);
        }
    }
}

/// The scheme of a pattern, when what is loaded from it has no origin with parts (WHATWG URL §4.7) or
/// is no page.
fn scheme_of_no_page(pattern: &OriginPattern) -> Option<&str> {
    const SCHEMES: [&str; 7] = ["ws", "wss", "ftp", "file", "data", "blob", "about"];
    let (OriginPattern::Exact(rule) | OriginPattern::Suffix(rule)) = pattern else {
        return None;
    };
    match rule.scheme() {
        SchemeRule::Custom(scheme) => SCHEMES.contains(&&**scheme).then_some(&**scheme),
        SchemeRule::Http | SchemeRule::Https | SchemeRule::HttpOrHttps => None,
    }
}

/// The served host that is this domain or below it.
fn served_below<'a>(spec: &'a CorsPolicySpec, domain: &str) -> Option<&'a str> {
    let is_below = |host: &&String| match host.strip_suffix(domain) {
        Some(before) => before.is_empty() || before.ends_with('.'),
        None => false,
    };
    spec.served_hosts.iter().find(is_below).map(String::as_str)
}

fn is_insecure(pattern: &OriginPattern) -> bool {
    let may_be_http = match pattern {
        OriginPattern::Star | OriginPattern::Null => false,
        OriginPattern::Exact(rule) | OriginPattern::Suffix(rule) => match rule.scheme() {
            SchemeRule::Http | SchemeRule::HttpOrHttps => true,
            SchemeRule::Https | SchemeRule::Custom(_) => false,
        },
        OriginPattern::StarAnywhere { prefix, .. } => {
            "http://".starts_with(&**prefix) || prefix.starts_with("http:")
        }
    };
    may_be_http && !pattern.is_loopback()
}

/// The audience, and the constant value when there is one.
fn compile_audience(
    spec: &CorsPolicySpec,
    patterns: &[OriginPattern],
    origins: OriginSet,
    findings: &mut Findings<'_>,
) -> (Audience, Option<String>) {
    if !spec.validate {
        let constant = match patterns {
            [pattern] if spec.origins.len() == 1 => pattern.as_constant(),
            _ => None,
        };
        // An empty list and an entry that is no pattern are told already.
        let has_patterns = !patterns.is_empty() && patterns.len() == spec.origins.len();
        if constant.is_none() && has_patterns {
            findings.add(PolicyPlace::Policy, Lint::NotOneConstant {});
        }
        return (Audience::Constant, constant);
    }
    if origins.is_star() {
        return (Audience::Constant, Some("*".to_owned()));
    }
    (Audience::Listed(origins), None)
}

fn compile_methods(spec: &CorsPolicySpec, findings: &mut Findings<'_>) -> MethodRule {
    let mut rule = MethodRule::default();
    for (at, method) in spec.methods.iter().enumerate() {
        let place = PolicyPlace::Method(at);
        if method == "*" {
            rule.any = true;
            continue;
        }
        if !is_method(method.as_bytes()) || method.contains('*') {
            findings.add(
                place,
                Lint::BadMethod {
                    text: method.clone(),
                },
            );
            continue;
        }
        let upper = method.to_ascii_uppercase();
        if matches!(upper.as_str(), "CONNECT" | "TRACE" | "TRACK") {
            findings.add(
                place,
                Lint::ForbiddenMethod {
                    text: method.clone(),
                },
            );
        }
        if upper != *method && is_well_known(&upper) {
            findings.add(
                place,
                Lint::MethodCase {
                    text: method.clone(),
                },
            );
        }
        rule.listed.push(method.as_bytes().into());
    }
    // A HEAD response is a GET response without its body; S3 wants it listed.
    let has = |method: &[u8]| rule.listed.iter().any(|own| **own == *method);
    if spec.dialect != Dialect::S3 && has(b"GET") && !has(b"HEAD") {
        rule.listed.push(b"HEAD".as_slice().into());
    }
    rule
}

fn is_well_known(method: &str) -> bool {
    matches!(
        method,
        "GET" | "HEAD" | "POST" | "PUT" | "PATCH" | "DELETE" | "OPTIONS"
    )
}

fn compile_headers(spec: &CorsPolicySpec, findings: &mut Findings<'_>) -> HeaderRule {
    let mut rule = HeaderRule::default();
    for (at, name) in spec.request_headers.iter().enumerate() {
        let place = PolicyPlace::RequestHeader(at);
        let lower = name.to_ascii_lowercase();
        match lower.split_once('*') {
            Some(("", "")) => rule.any = true,
            // `*` is a token byte, so the rest is checked with it.
            _ if !is_token(lower.as_bytes()) => {
                findings.add(place, Lint::BadRequestHeader { text: name.clone() });
            }
            None => rule.listed.push(lower.into_bytes().into()),
            Some((before, behind)) if spec.dialect == Dialect::S3 && !behind.contains('*') => {
                rule.starred.push(StarredName {
                    before: before.as_bytes().into(),
                    behind: behind.as_bytes().into(),
                });
            }
            Some(_) => findings.add(place, Lint::StarInRequestHeader { text: name.clone() }),
        }
    }
    rule.listed.sort_unstable();
    rule.listed.dedup();
    rule
}

fn compile_content_types(spec: &CorsPolicySpec, findings: &mut Findings<'_>) -> Vec<MediaPattern> {
    let mut patterns = Vec::with_capacity(spec.content_types.len());
    for (at, text) in spec.content_types.iter().enumerate() {
        match MediaPattern::parse(text) {
            Some(pattern) => patterns.push(pattern),
            None => {
                let lint = Lint::BadContentType { text: text.clone() };
                findings.add(PolicyPlace::ContentType(at), lint);
            }
        }
    }
    patterns
}

fn lint_rest(spec: &CorsPolicySpec, findings: &mut Findings<'_>) {
    for (at, name) in spec.expose.iter().enumerate() {
        if name == "*" {
            if spec.credentials {
                findings.add(PolicyPlace::Expose(at), Lint::ExposeStarWithCredentials {});
            }
        } else if !is_token(name.as_bytes()) || name.contains('*') {
            findings.add(
                PolicyPlace::Expose(at),
                Lint::BadExposedHeader { text: name.clone() },
            );
        }
    }
    if let Some(seconds) = spec.max_age_s
        && seconds > MAX_AGE_CAP_S
    {
        findings.add(PolicyPlace::MaxAge, Lint::MaxAgeOverCap { seconds });
    }
    if spec.upstream == UpstreamMode::Duplicate {
        findings.add(PolicyPlace::Upstream, Lint::DuplicateLines {});
    }
}

fn owned_fields(spec: &CorsPolicySpec) -> KnownSet {
    let mut owned = KnownSet::EMPTY;
    if spec.timing {
        owned = owned.union(KnownSet::of(&[KnownField::TimingAllowOrigin]));
    }
    if spec.resource_policy.is_some() {
        owned = owned.union(KnownSet::of(&[KnownField::CrossOriginResourcePolicy]));
    }
    owned
}

/// Whether a response of the policy depends on its request's origin.
fn varies(policy: &Policy, spec: &CorsPolicySpec) -> bool {
    let writes_origin = match policy.standing {
        Standing::Live => true,
        // The CORS fields are the upstream's; who may time the response is still said here.
        Standing::Passthrough => spec.timing,
        Standing::Shadow => false,
    };
    writes_origin && matches!(policy.audience, Audience::Listed(_))
}

fn encode_blocks(spec: &CorsPolicySpec, constant: Option<&str>, policy: &mut Policy) {
    if policy.standing == Standing::Shadow {
        return;
    }
    if let Some(resource_policy) = spec.resource_policy {
        policy
            .always
            .line("Cross-Origin-Resource-Policy", resource_policy.as_str());
    }
    let origin_line = |block: &mut Block, name: &str| match constant {
        Some(value) => block.line(name, value),
        None => block.echo_line(name),
    };
    if policy.standing == Standing::Live {
        for block in [&mut policy.granted, &mut policy.preflight] {
            origin_line(block, "Access-Control-Allow-Origin");
            if spec.credentials {
                block.line("Access-Control-Allow-Credentials", "true");
            }
        }
        if !spec.expose.is_empty() {
            policy
                .granted
                .line("Access-Control-Expose-Headers", &spec.expose.join(", "));
        }
        encode_preflight(spec, policy);
    }
    if spec.timing {
        origin_line(&mut policy.granted, "Timing-Allow-Origin");
    }
}

fn encode_preflight(spec: &CorsPolicySpec, policy: &mut Policy) {
    if policy.method_source == ListSource::Configured {
        let names = if policy.methods.any {
            "*".to_owned()
        } else {
            spec.methods.join(", ")
        };
        if !names.is_empty() {
            policy
                .preflight
                .line("Access-Control-Allow-Methods", &names);
        }
    }
    // `*` stays beside the names: it never covers `Authorization`, which may be one of them.
    if policy.header_source == ListSource::Configured && !spec.request_headers.is_empty() {
        let names = spec.request_headers.join(", ");
        policy
            .preflight
            .line("Access-Control-Allow-Headers", &names);
    }
    if let Some(seconds) = spec.max_age_s {
        policy
            .preflight
            .line("Access-Control-Max-Age", &seconds.to_string());
    }
}
