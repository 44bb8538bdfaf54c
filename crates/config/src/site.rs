//! `[[site]]` and `[[site.route]]`: hosts, paths, and what is done for each.
//!
//! A route inherits the site's `cache` key by key, and the site's `cors` and `header` as a whole
//! unless it has its own. The site's own settings are route 0 of its plan.

use std::collections::HashMap;
use std::sync::Arc;

use corsair_cache::CachePolicy;
use corsair_http1::is_token;
use corsair_rules::{
    HostPattern, HostPatternError, Lint, MethodSet, PathPattern, PathPatternError, RouteTable,
    SiteTable,
};

use crate::check::FileSource;
use crate::cors::{self, LocatedPolicies};
use crate::diagnostic::Code;
use crate::fields::{Fields, Located};
use crate::header_operations::{LocatedPolicy, read_header_policy};
use crate::lifetimes::{default_policy, read_cache_policy};
use crate::origin_list::OriginLists;
use crate::places::RoutePlaces;
use crate::plan::{CacheBudget, RoutePlan, SitePlan};
use crate::report::{Report, clip};
use crate::source_map::Span;
use crate::upstream::Upstreams;

/// What reading a site needs beside the site itself.
struct Surroundings<'s> {
    budget: &'s CacheBudget,
    upstreams: &'s mut Upstreams,
    lists: OriginLists<'s>,
    /// The hosts of the site that is read, without `*.`.
    hosts: Vec<String>,
    next_id: u32,
    /// By id.
    places: Vec<RoutePlaces>,
}

impl Surroundings<'_> {
    fn take_id(&mut self) -> u32 {
        let id = self.next_id;
        self.next_id += 1;
        id
    }
}

/// What a route does when it says nothing itself.
struct Inherited {
    upstream: Option<usize>,
    cache: CachePolicy,
    /// What `cors` says.
    listed: LocatedPolicies,
    /// What counts: that, or what header operations with `validate_origin` say.
    cors: LocatedPolicies,
    headers: Arc<LocatedPolicy>,
}

/// Reads all sites; `None` when hosts conflict, which is reported.
pub(crate) fn read_sites(
    root: &Fields<'_>,
    budget: &CacheBudget,
    upstreams: &mut Upstreams,
    (file_name, files): (&str, &dyn FileSource),
    report: &mut Report,
) -> Option<(SiteTable, Vec<SitePlan>)> {
    let lists = OriginLists::new(file_name, files);
    let mut around = Surroundings {
        budget,
        upstreams,
        lists,
        hosts: Vec::new(),
        next_id: 0,
        places: Vec::new(),
    };
    let mut claimed: HashMap<HostPattern, Span> = HashMap::new();
    let mut patterns = Vec::new();
    let mut plans = Vec::new();
    for fields in root.sections("site").unwrap_or_default() {
        for host in read_hosts(fields, report) {
            let Located { value: pattern, at } = host;
            if let Some(first) = claimed.get(&pattern) {
                let place = report.place(*first);
                let message = format!("`{pattern}` has a site already, at {place}");
                report.add(
                    Code::DuplicateHost,
                    at,
                    message,
                    "keep it in one of the two places",
                );
                continue;
            }
            claimed.insert(pattern.clone(), at);
            patterns.push((pattern, plans.len()));
        }
        plans.push(read_site(fields, &mut around, report));
    }
    report.keep_places(around.places);
    Some((SiteTable::build(patterns).ok()?, plans))
}

fn read_hosts(fields: &Fields<'_>, report: &mut Report) -> Vec<Located<HostPattern>> {
    let texts = fields.texts("hosts").unwrap_or_default();
    if texts.is_empty() && fields.texts("hosts").is_some() {
        report.add_absence(
            Code::MissingKey,
            fields.at("hosts"),
            "`site.hosts` is empty",
            "name the hosts: `hosts = [\"cdn.example.com\"]`; \"*\" is every other host",
        );
    }
    let mut hosts = Vec::with_capacity(texts.len());
    for Located { value: text, at } in texts {
        match HostPattern::parse(text) {
            Ok(pattern) => {
                if let Some(name) = HostPattern::punycode_of(text) {
                    let message = format!("`{}` is compared as `{name}`", clip(text));
                    report.add(
                        Code::Spelling,
                        *at,
                        message,
                        "nothing to do: clients send that form",
                    );
                }
                hosts.push(Located {
                    value: pattern,
                    at: *at,
                });
            }
            Err(error) => {
                let message = format!("`{}` is no host: {error}", clip(text));
                report.add(Code::BadHost, *at, message, host_remedy(text, &error));
            }
        }
    }
    hosts
}

fn host_remedy(text: &str, error: &HostPatternError) -> String {
    let bare = match error {
        HostPatternError::Scheme => text.split_once("://").map_or(text, |(_, rest)| rest),
        HostPatternError::Port => text.rsplit_once(':').map_or(text, |(host, _)| host),
        HostPatternError::Star => text.trim_start_matches('*'),
        HostPatternError::StarOverAddress => text.trim_start_matches("*."),
        HostPatternError::Host(_) => text.trim_end_matches(['.', '/']),
    };
    let bare = bare.split(['/', ':']).next().unwrap_or(bare);
    let fixed = match error {
        HostPatternError::Star => format!("*.{}", bare.trim_start_matches('.')),
        HostPatternError::Scheme
        | HostPatternError::Port
        | HostPatternError::StarOverAddress
        | HostPatternError::Host(_) => bare.to_owned(),
    };
    match HostPattern::parse(&fixed) {
        Ok(pattern) if fixed != text => format!("write \"{pattern}\""),
        Ok(_) | Err(_) => {
            "write a host name such as \"cdn.example.com\", \"*.example.com\" or \"*\"".to_owned()
        }
    }
}

fn read_site(fields: &Fields<'_>, around: &mut Surroundings<'_>, report: &mut Report) -> SitePlan {
    let hosts = fields.texts("hosts").unwrap_or_default();
    let bare = |host: &Located<&str>| host.value.trim_start_matches("*.").to_ascii_lowercase();
    around.hosts = hosts.iter().map(bare).collect();
    let own = Inherited {
        upstream: None,
        cache: default_policy(around.budget),
        listed: LocatedPolicies::none(),
        cors: LocatedPolicies::none(),
        headers: Arc::new(LocatedPolicy::none()),
    };
    let own = read_settings(fields, &own, around, report);
    let mut route_plans = vec![plan_of(&own, (fields, None), around)];
    let mut rows = Vec::new();
    let routes = fields.sections("route").unwrap_or_default();
    for route in routes {
        let settings = read_settings(route, &own, around, report);
        let methods = read_methods(route, report);
        warn_of_methods_not_taken(route, &methods, report);
        if let Some(path) = read_path(route, report) {
            rows.push((path, methods, route_plans.len()));
        }
        let path = route.text("path").map(|path| path.value.to_owned());
        route_plans.push(plan_of(&settings, (route, path), around));
    }
    let table = RouteTable::build(rows);
    for number in table.unreachable() {
        // Number 0 is the site itself.
        let route = &routes[number - 1];
        report.add(
            Code::UnreachableRoute,
            route.at("path"),
            "no request reaches this route: an earlier one has its path and methods",
            "remove one of the two, or give them different methods",
        );
    }
    let hosts = fields.texts("hosts").unwrap_or_default();
    let hosts = hosts.iter().map(|host| host.value.to_owned()).collect();
    SitePlan {
        hosts,
        routes: table,
        route_plans,
    }
}

/// The keys that sites and routes share.
fn read_settings(
    fields: &Fields<'_>,
    inherited: &Inherited,
    around: &mut Surroundings<'_>,
    report: &mut Report,
) -> Inherited {
    let upstream = match fields.text("upstream") {
        Some(name) => around.upstreams.find(name, report),
        None => inherited.upstream,
    };
    let cache = match fields.section("cache") {
        Some(cache) => read_cache_policy(cache, &inherited.cache, around.budget, report),
        None => inherited.cache.clone(),
    };
    let own_list = fields
        .sections("cors")
        .map(|policies| cors::read_policies(policies, &around.hosts, &mut around.lists, report));
    let own_headers = fields
        .sections("header")
        .map(|operations| Arc::new(read_header_policy(operations, report)));
    let own_validated = own_headers
        .as_ref()
        .and_then(|headers| headers.validated.as_ref());
    if let (Some(validated), Some(policies)) = (own_validated, fields.sections("cors"))
        && !policies.is_empty()
    {
        let message = "`validate_origin` and `cors` both say which origins may read";
        let remedy = "keep one of the two; `cors` takes the same origins";
        report.add(Code::TwoAudiences, validated.at, message, remedy);
    }
    let listed = own_list.clone().unwrap_or_else(|| inherited.listed.clone());
    // The nearest word counts: operations of a route are in place of the site's with what they
    // validate, and a list of its own is in place of either. Both together were told above.
    let cors = match (own_list, own_validated, &own_headers) {
        (Some(own), Some(validated), _) if own.policies.is_none() => validated.cors.clone(),
        (Some(own), _, _) => own,
        (None, Some(validated), _) => validated.cors.clone(),
        (None, None, Some(_)) => listed.clone(),
        (None, None, None) => inherited.cors.clone(),
    };
    let headers = own_headers.unwrap_or_else(|| Arc::clone(&inherited.headers));
    headers.compare_with(&cors.policies, report);
    Inherited {
        upstream,
        cache,
        listed,
        cors,
        headers,
    }
}

fn plan_of(
    settings: &Inherited,
    (fields, path): (&Fields<'_>, Option<String>),
    around: &mut Surroundings<'_>,
) -> RoutePlan {
    around.places.push(RoutePlaces {
        at: fields.at,
        path,
        policies: Arc::clone(&settings.cors.places),
        operations: Arc::clone(&settings.headers.names),
    });
    RoutePlan {
        id: around.take_id(),
        // Without one there is an error, and no plan.
        upstream: settings.upstream.unwrap_or(0),
        cache: settings.cache.clone(),
        cors: Arc::clone(&settings.cors.policies),
        headers: Arc::clone(&settings.headers.policy),
    }
}

fn read_path(route: &Fields<'_>, report: &mut Report) -> Option<PathPattern> {
    let Located { value: text, at } = route.text("path")?;
    match PathPattern::parse(text) {
        Ok(pattern) => Some(pattern),
        Err(error) => {
            let message = format!("`{}` is no path pattern: {error}", clip(text));
            report.add(Code::BadRoute, at, message, path_remedy(text, error));
            None
        }
    }
}

fn path_remedy(text: &str, error: PathPatternError) -> String {
    let fixed = match error {
        PathPatternError::NoSlash => format!("/{text}"),
        PathPatternError::Query => text.split(['?', '#']).next().unwrap_or(text).to_owned(),
        PathPatternError::RestInside => {
            let end = text.find("**").unwrap_or(text.len());
            let slash = text[..end].rfind('/').unwrap_or(end);
            format!("{}/**", &text[..slash])
        }
        PathPatternError::BadCharacter
        | PathPatternError::BadEscape
        | PathPatternError::DotSegment => String::new(),
    };
    match PathPattern::parse(&fixed) {
        Ok(_) => format!("write \"{}\"", clip(&fixed)),
        Err(_) => "write the path as clients ask for it, such as \"/fonts/**\"".to_owned(),
    }
}

fn read_methods(route: &Fields<'_>, report: &mut Report) -> MethodSet {
    let Some(texts) = route.texts("methods") else {
        return MethodSet::Any;
    };
    if texts.is_empty() {
        let message = "`site.route.methods` is empty: the route would take no request";
        let remedy = "name the methods, or remove the key for all of them";
        report.add(Code::BadRoute, route.at("methods"), message, remedy);
    }
    for method in texts {
        check_method(*method, report);
    }
    MethodSet::Listed(texts.iter().map(|method| method.value.into()).collect())
}

/// Tells of methods that the route's own policies grant to preflights and that the route does not take:
/// browsers keep every granted method for the URL (Fetch §4.9), also those of another route's policy.
fn warn_of_methods_not_taken(route: &Fields<'_>, methods: &MethodSet, report: &mut Report) {
    for policy in route.sections("cors").unwrap_or_default() {
        for granted in policy.texts("methods").unwrap_or_default() {
            if granted.value != "*" && !methods.allows(granted.value.as_bytes()) {
                let method = clip(granted.value);
                let message = format!(
                    "`{method}` does nothing here but stay in browsers' preflight caches: the route \
                     does not take it"
                );
                let remedy = "remove it, or add it to the `methods` of the route";
                report.add(Code::NoEffect, granted.at, message, remedy);
            }
        }
    }
}

/// Methods every server knows; compared with case, RFC 9110 §9.1.
const METHODS: [&str; 9] = [
    "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE",
];

/// Tells what is no method, and what is one in other letters.
fn check_method(method: Located<&str>, report: &mut Report) {
    let text = method.value;
    if !is_token(text.as_bytes()) {
        report.add_lint(method.at, &Lint::BadMethod { text: clip(text) }, None);
    } else if METHODS
        .iter()
        .any(|known| *known != text && known.eq_ignore_ascii_case(text))
    {
        report.add_lint(method.at, &Lint::MethodCase { text: clip(text) }, None);
    }
}
