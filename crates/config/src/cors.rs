//! `[site.cors]`: from keys to policies, and from what the rules find to where it is written.

use std::sync::Arc;

use corsair_rules::{
    CorsPolicies, CorsPolicySpec, Dialect, Lint, PatternNote, PolicyPlace, PolicyProblem,
    RefusedPreflight, ResourcePolicy, UpstreamMode,
};

use crate::diagnostic::Code;
use crate::fields::Fields;
use crate::origin_list::{OriginLists, pattern_remedy};
use crate::places::PolicyPlaces;
use crate::report::Report;
use crate::source_map::Span;

/// The compiled policies of a site or route, and where each is written.
#[derive(Debug, Clone)]
pub(crate) struct LocatedPolicies {
    pub(crate) policies: Arc<CorsPolicies>,
    pub(crate) places: Arc<[PolicyPlaces]>,
}

impl LocatedPolicies {
    pub(crate) fn none() -> Self {
        Self {
            policies: Arc::new(CorsPolicies::none()),
            places: Arc::new([]),
        }
    }
}

/// Where the parts of a policy are written.
pub(crate) struct Places {
    /// The policy as a whole, and whatever has no place of its own.
    pub(crate) at: Span,
    /// By position in the policy's `origins`, those of the file behind those of the array.
    pub(crate) origins: Vec<Span>,
    pub(crate) methods: Vec<Span>,
    pub(crate) request_headers: Vec<Span>,
    pub(crate) expose: Vec<Span>,
    pub(crate) content_types: Vec<Span>,
    pub(crate) max_age: Span,
    pub(crate) upstream: Span,
    /// Some origins could not be read; that there are none is then no finding.
    pub(crate) origins_missing: bool,
}

impl Places {
    /// Everything in one place.
    pub(crate) fn at(at: Span) -> Self {
        Self {
            at,
            origins: Vec::new(),
            methods: Vec::new(),
            request_headers: Vec::new(),
            expose: Vec::new(),
            content_types: Vec::new(),
            max_age: at,
            upstream: at,
            origins_missing: false,
        }
    }

    fn of(&self, place: PolicyPlace) -> Span {
        let element = |spans: &[Span], index: usize| spans.get(index).copied().unwrap_or(self.at);
        match place {
            PolicyPlace::Policy => self.at,
            PolicyPlace::Origin(index) => element(&self.origins, index),
            PolicyPlace::Method(index) => element(&self.methods, index),
            PolicyPlace::RequestHeader(index) => element(&self.request_headers, index),
            PolicyPlace::Expose(index) => element(&self.expose, index),
            PolicyPlace::MaxAge => self.max_age,
            PolicyPlace::ContentType(index) => element(&self.content_types, index),
            PolicyPlace::Upstream => self.upstream,
        }
    }
}

/// Reads and compiles the policies of one site or route; with an error there are none.
pub(crate) fn read_policies(
    sections: &[Fields<'_>],
    served_hosts: &[String],
    lists: &mut OriginLists<'_>,
    report: &mut Report,
) -> LocatedPolicies {
    let mut specs = Vec::with_capacity(sections.len());
    let mut places = Vec::with_capacity(sections.len());
    for fields in sections {
        let (mut spec, place) = read_policy(fields, lists, report);
        spec.served_hosts = served_hosts.to_vec();
        specs.push(spec);
        places.push(place);
    }
    compile(specs, places, report)
}

/// Compiles policies and tells what was found at the places given; with an error there are none.
pub(crate) fn compile(
    specs: Vec<CorsPolicySpec>,
    places: Vec<Places>,
    report: &mut Report,
) -> LocatedPolicies {
    let policies = match CorsPolicies::compile(specs) {
        Ok(mut policies) => {
            for problem in policies.take_warnings() {
                tell(&problem, &places, report);
            }
            policies
        }
        Err(problems) => {
            for problem in &problems {
                tell(problem, &places, report);
            }
            CorsPolicies::none()
        }
    };
    let written = places.into_iter().map(|place| PolicyPlaces {
        at: place.at,
        origins: place.origins,
    });
    LocatedPolicies {
        policies: Arc::new(policies),
        places: written.collect(),
    }
}

fn tell(problem: &PolicyProblem, places: &[Places], report: &mut Report) {
    let place = &places[problem.policy];
    if place.origins_missing && matches!(problem.lint, Lint::NoOrigins {}) {
        return;
    }
    let remedy = match &problem.lint {
        Lint::MalformedOrigin { text, fault } => Some(pattern_remedy(text, fault)),
        Lint::ChangedPattern {
            note: PatternNote::OpenStar,
            ..
        } => Some("if only whole names below a host are meant, write `*.` before it".to_owned()),
        // The rest of what the rules find says what to do itself.
        _ => None,
    };
    report.add_lint(place.of(problem.place), &problem.lint, remedy);
}

fn read_policy(
    fields: &Fields<'_>,
    lists: &mut OriginLists<'_>,
    report: &mut Report,
) -> (CorsPolicySpec, Places) {
    let defaults = CorsPolicySpec::default();
    let strings = |name| {
        let texts = fields.texts(name)?.iter();
        Some(texts.map(|text| text.value.to_owned()).collect::<Vec<_>>())
    };
    let spans = |name| {
        let texts = fields.texts(name).unwrap_or_default().iter();
        texts.map(|text| text.at).collect::<Vec<Span>>()
    };
    let mut origins = strings("origins").unwrap_or_default();
    let mut places = Places {
        origins: spans("origins"),
        methods: spans("methods"),
        request_headers: spans("request_headers"),
        expose: spans("expose"),
        max_age: fields.at("max_age"),
        upstream: fields.at("upstream"),
        origins_missing: fields.is_wrong("origins") || fields.is_wrong("origins_file"),
        ..Places::at(fields.at)
    };
    if let Some(name) = fields.text("origins_file") {
        match lists.patterns_of_file(name, report) {
            Some(patterns) => {
                let found = patterns.iter().map(|pattern| pattern.at);
                places.origins.extend(found);
                origins.extend(patterns.into_iter().map(|pattern| pattern.value));
            }
            None => places.origins_missing = true,
        }
    }
    let when = fields.section("when");
    let content_types = when.and_then(|when| when.texts("content_type"));
    let content_types = content_types.unwrap_or_default().iter();
    places.content_types = content_types.clone().map(|text| text.at).collect();
    warn_of_idle_keys(fields, report);
    let max_age_s = fields.number("max_age").map(|ms| {
        u32::try_from(ms / 1_000).expect("the schema keeps lifetimes below 2^31 seconds")
    });
    let spec = CorsPolicySpec {
        origins,
        validate: fields.flag("validate").unwrap_or(defaults.validate),
        credentials: fields.flag("credentials").unwrap_or(defaults.credentials),
        methods: strings("methods").unwrap_or(defaults.methods),
        request_headers: strings("request_headers").unwrap_or(defaults.request_headers),
        expose: strings("expose").unwrap_or(defaults.expose),
        max_age_s,
        upstream: fields
            .word("upstream")
            .map(upstream_mode)
            .unwrap_or_default(),
        private_network: fields.flag("private_network").unwrap_or(false),
        timing: fields.flag("timing").unwrap_or(false),
        resource_policy: fields.word("resource_policy").and_then(resource_policy),
        shadow: fields.flag("shadow").unwrap_or(false),
        refused_preflight: match fields.number("refused_preflight_status") {
            // The schema lists the two.
            Some(403) => RefusedPreflight::Forbidden,
            Some(_) | None => RefusedPreflight::NoContent,
        },
        content_types: content_types.map(|text| text.value.to_owned()).collect(),
        dialect: fields.word("dialect").map(dialect).unwrap_or_default(),
        served_hosts: Vec::new(),
    };
    (spec, places)
}

/// Keys about answers that under `passthrough` are the upstream's.
const IDLE_UNDER_PASSTHROUGH: [&str; 8] = [
    "validate",
    "credentials",
    "methods",
    "request_headers",
    "expose",
    "max_age",
    "private_network",
    "refused_preflight_status",
];

fn warn_of_idle_keys(fields: &Fields<'_>, report: &mut Report) {
    if fields.word("upstream") != Some("passthrough") || fields.flag("shadow") == Some(true) {
        return;
    }
    for name in IDLE_UNDER_PASSTHROUGH {
        if let Some(at) = fields.written_at(name) {
            let message =
                format!("`{name}` does nothing: under `passthrough` the upstream answers");
            let remedy = "remove it, or let the node answer with `upstream = \"override\"`";
            report.add(Code::NoEffect, at, message, remedy);
        }
    }
}

fn upstream_mode(word: &str) -> UpstreamMode {
    match word {
        "passthrough" => UpstreamMode::Passthrough,
        "duplicate" => UpstreamMode::Duplicate,
        _ => UpstreamMode::Override,
    }
}

fn resource_policy(word: &str) -> Option<ResourcePolicy> {
    let all = [
        ResourcePolicy::SameOrigin,
        ResourcePolicy::SameSite,
        ResourcePolicy::CrossOrigin,
    ];
    all.into_iter().find(|policy| policy.as_str() == word)
}

/// The dialect of a word of the schema.
pub(crate) fn dialect(word: &str) -> Dialect {
    match word {
        "s3" => Dialect::S3,
        "alibaba" => Dialect::Alibaba,
        _ => Dialect::Native,
    }
}
