//! The configuration that an import builds up, and its findings.
//!
//! Drafts hold the values that the rules compile, so that what `check` would refuse is known, told
//! and left out before anything is written.

use super::ImportError;
use super::finding::{Finding, Weight};
use super::origins::{Placement, place, sample};
use super::writing::write_config;
use super::{ImportKind, Imported};
use crate::report::{clip, clip_to};
use corsair_rules::{
    CorsPolicies, CorsPolicySpec, HeaderOpSpec, HeaderPolicy, PolicyPlace, Severity,
};
use std::collections::HashSet;

/// An origin that nobody has: `.invalid` is nobody's to register (RFC 6761 §6.4).
const NOBODY: &str = "https://nobody.invalid";

/// Characters of a text of a finding at most.
const SENTENCE_CHARS_MAX: usize = 400;
/// Most methods of a policy, and most header names of one of its lists: those of the schema.
const METHODS_MAX: usize = 64;
const NAMES_MAX: usize = 1_000;

/// A text of the input and its line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Located {
    pub(super) text: String,
    pub(super) line: usize,
}

/// What is built up.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) kind: ImportKind,
    pub(super) file: String,
    pub(super) findings: Vec<Finding>,
    pub(super) upstreams: Vec<UpstreamDraft>,
    pub(super) sites: Vec<SiteDraft>,
}

#[derive(Debug)]
pub(super) struct UpstreamDraft {
    pub(super) comments: Vec<String>,
    pub(super) name: String,
    pub(super) server: String,
    /// `host = "…"` when it is not the default.
    pub(super) host: Option<&'static str>,
}

#[derive(Debug)]
pub(super) struct SiteDraft {
    pub(super) comments: Vec<String>,
    pub(super) hosts: Vec<String>,
    pub(super) upstream: String,
    pub(super) policies: Vec<PolicyDraft>,
    pub(super) operations: Vec<OperationDraft>,
    pub(super) routes: Vec<RouteDraft>,
}

#[derive(Debug, Clone)]
pub(super) struct PolicyDraft {
    pub(super) comments: Vec<String>,
    pub(super) spec: CorsPolicySpec,
}

/// A header operation; one that `check` refuses is written as a comment.
#[derive(Debug)]
pub(super) struct OperationDraft {
    pub(super) comments: Vec<String>,
    pub(super) spec: HeaderOpSpec,
    pub(super) standing: Standing,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    InEffect,
    CommentedOut,
}

#[derive(Debug)]
pub(super) struct RouteDraft {
    pub(super) comments: Vec<String>,
    pub(super) path: String,
    pub(super) upstream: String,
    /// `None` takes the site's; none in it is no policy.
    pub(super) policies: Option<Vec<PolicyDraft>>,
}

impl Draft {
    pub(super) fn new(kind: ImportKind, file: &str) -> Self {
        Self {
            kind,
            file: file.to_owned(),
            findings: Vec::new(),
            upstreams: Vec::new(),
            sites: Vec::new(),
        }
    }

    pub(super) fn system(&self) -> &'static str {
        self.kind.system()
    }

    /// Keeps a finding; each of its texts becomes one line of readable length.
    pub(super) fn tell(&mut self, finding: Finding) {
        let line = |text: String| clip_to(&text, SENTENCE_CHARS_MAX);
        self.findings.push(Finding {
            construct: line(finding.construct),
            message: line(finding.message),
            request: line(finding.request),
            theirs: line(finding.theirs),
            ours: line(finding.ours),
            remedy: finding.remedy.map(line),
            ..finding
        });
    }

    /// Sorts origins into the policy, a second one without credentials, or out, as `check` takes
    /// them; each that is not in the first one is told.
    pub(super) fn admit(&mut self, policy: PolicyDraft, origins: &[Located]) -> Vec<PolicyDraft> {
        let mut open = policy.clone();
        open.spec.credentials = false;
        open.comments
            .push("the same without credentials, which these origins never get here".to_owned());
        let mut full = policy;
        for origin in origins {
            if full.spec.origins.contains(&origin.text) || open.spec.origins.contains(&origin.text)
            {
                continue;
            }
            match place(&full.spec, &origin.text) {
                Placement::Full => full.spec.origins.push(origin.text.clone()),
                Placement::WithoutCredentials(why) => {
                    let request = format!(
                        "GET with `Origin: {}` and cookies",
                        self.one(origin, &full.spec)
                    );
                    self.tell_lint(origin, &why, &request, "grants without credentials");
                    open.spec.origins.push(origin.text.clone());
                }
                Placement::Refused(why) => {
                    let request = format!("GET with `Origin: {}`", self.one(origin, &full.spec));
                    self.tell_lint(origin, &why, &request, "no CORS headers");
                }
            }
        }
        let mut policies = vec![full, open];
        policies.retain(|policy| !policy.spec.origins.is_empty());
        let line = origins.first().map_or(1, |origin| origin.line);
        for policy in &mut policies {
            self.sieve(&mut policy.spec, line);
        }
        policies
    }

    /// Leaves out methods and header names that `check` refuses, such as ones of a hundred bytes.
    fn sieve(&mut self, spec: &mut CorsPolicySpec, line: usize) {
        spec.methods = unique(&spec.methods);
        spec.request_headers = unique(&spec.request_headers);
        spec.expose = unique(&spec.expose);
        let Err(problems) = CorsPolicies::compile(vec![spec.clone()]) else {
            return;
        };
        let errors = problems
            .iter()
            .filter(|problem| problem.lint.severity() == Severity::Error);
        // From the last place to the first, so that the others keep theirs.
        for problem in errors.rev() {
            let (list, at) = match problem.place {
                PolicyPlace::Method(at) => (&mut spec.methods, at),
                PolicyPlace::RequestHeader(at) => (&mut spec.request_headers, at),
                PolicyPlace::Expose(at) => (&mut spec.expose, at),
                PolicyPlace::Policy
                | PolicyPlace::Origin(_)
                | PolicyPlace::MaxAge
                | PolicyPlace::ContentType(_)
                | PolicyPlace::Upstream => continue,
            };
            if at >= list.len() {
                continue;
            }
            let text = list.remove(at);
            let finding = Finding {
                weight: Weight::Note,
                line,
                construct: format!("`{}`", clip(&text)),
                message: format!("it is left out: {}", problem.lint),
                request: "a preflight that asks for it".to_owned(),
                system: self.system(),
                theirs: "no browser sends it".to_owned(),
                ours: "refused".to_owned(),
                remedy: None,
            };
            self.tell(finding);
        }
    }

    /// Refuses lists that the schema has no room for.
    pub(super) fn refuse_long_lists(&self) -> Result<(), ImportError> {
        let routes = self.sites.iter().flat_map(|site| &site.routes);
        let in_routes = routes.filter_map(|route| route.policies.as_ref()).flatten();
        let in_sites = self.sites.iter().flat_map(|site| &site.policies);
        for policy in in_sites.chain(in_routes) {
            let spec = &policy.spec;
            let lists = [
                (&spec.methods, METHODS_MAX, "methods"),
                (&spec.request_headers, NAMES_MAX, "request headers"),
                (&spec.expose, NAMES_MAX, "exposed headers"),
            ];
            if let Some((_, max, what)) = lists.iter().find(|(list, max, _)| list.len() > *max) {
                let message = format!("a rule has more than {max} {what}");
                return Err(ImportError::at(1, message));
            }
        }
        Ok(())
    }

    fn one(&self, origin: &Located, spec: &CorsPolicySpec) -> String {
        clip(&sample(&origin.text, spec.dialect))
    }

    fn tell_lint(&mut self, origin: &Located, why: &Refusal, request: &str, ours: &str) {
        let finding = Finding {
            weight: Weight::Difference,
            line: origin.line,
            construct: format!("`{}`", clip(&origin.text)),
            message: format!("Corsair refuses this when it reads it: {}", why.message),
            request: request.to_owned(),
            system: self.system(),
            theirs: "grants".to_owned(),
            ours: ours.to_owned(),
            remedy: Some(why.remedy.to_owned()),
        };
        self.tell(finding);
    }

    /// Checks an operation; one that is refused is told and becomes a comment.
    pub(super) fn operation(
        &mut self,
        line: usize,
        mut operation: OperationDraft,
    ) -> OperationDraft {
        if operation.standing == Standing::CommentedOut {
            return operation;
        }
        if let Err(problems) = HeaderPolicy::compile(vec![operation.spec.clone()])
            && let Some(problem) = problems.first()
        {
            let finding = Finding {
                weight: Weight::Difference,
                line,
                construct: format!("`{}`", clip(&operation.spec.name)),
                message: format!("Corsair refuses this operation: {}", problem.lint),
                request: "any GET".to_owned(),
                system: self.system(),
                theirs: "edits the header".to_owned(),
                ours: "leaves it as the upstream sent it".to_owned(),
                remedy: Some(problem.lint.row().remedy.to_owned()),
            };
            self.tell(finding);
            operation.standing = Standing::CommentedOut;
        }
        operation
    }

    pub(super) fn finish(mut self) -> Imported {
        self.findings.sort_by_key(|finding| finding.line);
        Imported {
            config: write_config(&self),
            findings: self.findings,
        }
    }
}

fn unique(texts: &[String]) -> Vec<String> {
    let mut seen = HashSet::with_capacity(texts.len());
    let mut unique = Vec::with_capacity(texts.len());
    for text in texts {
        if seen.insert(text.as_str()) {
            unique.push(text.clone());
        }
    }
    unique
}

/// Why `check` refuses something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) message: String,
    pub(super) remedy: &'static str,
}

/// The policies of a place where the old system had some: when none is left, one that grants
/// nobody, because without any the upstream's own CORS headers would pass.
pub(super) fn never_empty(mut policies: Vec<PolicyDraft>) -> Vec<PolicyDraft> {
    if policies.is_empty() {
        policies.push(PolicyDraft {
            comments: vec![
                "grants nobody: without a policy the upstream's own CORS headers would pass"
                    .to_owned(),
            ],
            spec: CorsPolicySpec {
                origins: vec![NOBODY.to_owned()],
                ..CorsPolicySpec::default()
            },
        });
    }
    policies
}
