//! `[site.cors]`: from keys to policies, and from what the rules find to where it is written.

use corsair_rules::{CorsPolicies, CorsPolicySpec, Lint, PolicyPlace, PolicyProblem};

use crate::fields::Fields;
use crate::origin_list::{OriginLists, pattern_remedy};
use crate::report::Report;
use crate::source_map::Span;

/// Where the parts of a policy are written.
struct Places<'f, 't> {
    fields: &'f Fields<'t>,
    /// By position in the policy's `origins`, those of the file behind those of the array.
    origins: Vec<Span>,
    /// Some origins could not be read; that there are none is then no finding.
    origins_missing: bool,
}

impl Places<'_, '_> {
    fn of(&self, place: PolicyPlace) -> Span {
        let element = |name, index: usize| {
            let texts = self.fields.texts(name).unwrap_or_default();
            texts.get(index).map(|text| text.at)
        };
        let found = match place {
            PolicyPlace::Policy => None,
            PolicyPlace::Origin(index) => self.origins.get(index).copied(),
            PolicyPlace::Method(index) => element("methods", index),
            PolicyPlace::RequestHeader(index) => element("request_headers", index),
            PolicyPlace::Expose(index) => element("expose", index),
            PolicyPlace::MaxAge => Some(self.fields.at("max_age")),
            PolicyPlace::ContentType(_) => Some(self.fields.at("when")),
            PolicyPlace::RefusedStatus => Some(self.fields.at("refused_preflight_status")),
            PolicyPlace::Upstream => Some(self.fields.at("upstream")),
        };
        found.unwrap_or(self.fields.at)
    }
}

/// Reads and compiles the policies of one site or route; with an error there are none.
pub(crate) fn read_policies(
    sections: &[Fields<'_>],
    lists: &mut OriginLists<'_>,
    report: &mut Report,
) -> CorsPolicies {
    let mut specs = Vec::with_capacity(sections.len());
    let mut places = Vec::with_capacity(sections.len());
    for fields in sections {
        let (spec, place) = read_policy(fields, lists, report);
        specs.push(spec);
        places.push(place);
    }
    match CorsPolicies::compile(specs) {
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
    }
}

fn tell(problem: &PolicyProblem, places: &[Places<'_, '_>], report: &mut Report) {
    let place = &places[problem.policy];
    if place.origins_missing && matches!(problem.lint, Lint::NoOrigins {}) {
        return;
    }
    let remedy = if let Lint::MalformedOrigin { text, fault } = &problem.lint {
        Some(pattern_remedy(text, fault))
    } else {
        None
    };
    report.add_lint(place.of(problem.place), &problem.lint, remedy);
}

fn read_policy<'f, 't>(
    fields: &'f Fields<'t>,
    lists: &mut OriginLists<'_>,
    report: &mut Report,
) -> (CorsPolicySpec, Places<'f, 't>) {
    let defaults = CorsPolicySpec::default();
    let strings = |name| {
        let texts = fields.texts(name)?;
        Some(
            texts
                .iter()
                .map(|text| text.value.to_owned())
                .collect::<Vec<String>>(),
        )
    };
    let mut origins = strings("origins").unwrap_or_default();
    let array = fields.texts("origins").unwrap_or_default();
    let mut spans: Vec<Span> = array.iter().map(|text| text.at).collect();
    let mut origins_missing = fields.is_wrong("origins") || fields.is_wrong("origins_file");
    if let Some(name) = fields.text("origins_file") {
        match lists.patterns_of_file(name, report) {
            Some(patterns) => {
                spans.extend(patterns.iter().map(|pattern| pattern.at));
                origins.extend(patterns.into_iter().map(|pattern| pattern.value));
            }
            None => origins_missing = true,
        }
    }
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
        ..CorsPolicySpec::default()
    };
    (
        spec,
        Places {
            fields,
            origins: spans,
            origins_missing,
        },
    )
}
