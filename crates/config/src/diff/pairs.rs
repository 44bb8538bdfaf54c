//! Which route of the old plan answers what a route of the new one answers.
//!
//! Every host pattern of both plans stands for the hosts that it decides, and so does one path of each
//! kind that the two sites' routes tell apart (`rules::RouteKinds`: also where patterns only cross). Each
//! such path is put to both tables with every method that a route lists and one that none does, as a
//! request and as the preflight before it, which goes by the method that it asks about
//! (`SitePlan::find_route`). What they find is a pair. Each pair comes once.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use corsair_rules::{HostPattern, RouteKinds};

use super::{Change, Direction};
use crate::places::PlanPlaces;
use crate::plan::{Plan, RoutePlan, SitePlan};

/// Stands for the label or name that a star covers and no configuration lists.
const ANY: &str = "corsair-any";
/// One of these is a method that no route lists, unless all are.
const METHODS: [&str; 8] = [
    "GET",
    "POST",
    "HEAD",
    "PUT",
    "PATCH",
    "DELETE",
    "OPTIONS",
    "X-ANY-OTHER",
];

/// Two routes that answer the same requests.
pub(super) struct Pair<'p> {
    pub(super) hosts: Vec<String>,
    pub(super) path: Option<String>,
    /// A request that they answer.
    pub(super) request: String,
    /// Whether the pairs of these two sites are all there.
    pub(super) is_whole: bool,
    pub(super) old: Option<&'p RoutePlan>,
    pub(super) new: Option<&'p RoutePlan>,
}

impl Pair<'_> {
    /// What is told beside the policies: that only one of the plans serves these requests, and that
    /// there may be more pairs.
    pub(super) fn notes(&self) -> impl Iterator<Item = Change> + use<> {
        let detail = match (self.old, self.new) {
            (None, Some(_)) => Some("not served before (421)"),
            (Some(_), None) => Some("not served any more (421)"),
            (Some(_), Some(_)) | (None, None) => None,
        };
        let presence = detail.map(|detail| Change {
            direction: Direction::Changed,
            facet: "site",
            detail: detail.to_owned(),
            witness: None,
        });
        let undecided = (!self.is_whole).then(|| Change {
            direction: Direction::Widened,
            facet: "route",
            detail: "too many path patterns to compare how they cross".to_owned(),
            witness: None,
        });
        presence.into_iter().chain(undecided)
    }
}

/// Numbers of sites of both plans, or of routes of both sites; `None` where there is no site.
type Numbers = (Option<usize>, Option<usize>);
type Side<'p> = (&'p Plan, &'p PlanPlaces);

/// All pairs, in the order of the new plan's hosts, then the old one's.
pub(super) fn pairs<'p>(old: Side<'p>, new: Side<'p>) -> Vec<Pair<'p>> {
    let any = unlisted_label([old.0, new.0]);
    let mut order = Vec::new();
    let mut by_sites: BTreeMap<Numbers, (String, Vec<String>)> = BTreeMap::new();
    for side in [new, old] {
        for host in side.0.site_plans.iter().flat_map(|site| &site.hosts) {
            let Some(sample) = sample_of_host(host, &any) else {
                continue;
            };
            let sites = (find(old.0, &sample), find(new.0, &sample));
            let (_, hosts) = by_sites.entry(sites).or_insert_with(|| {
                order.push(sites);
                (sample, Vec::new())
            });
            if !hosts.contains(host) {
                hosts.push(host.clone());
            }
        }
    }
    let mut pairs = Vec::new();
    for sites in order {
        let site_pair = SitePair {
            old: (sites.0.map(|site| &old.0.site_plans[site]), old.1),
            new: (sites.1.map(|site| &new.0.site_plans[site]), new.1),
            host: &by_sites[&sites].0,
            hosts: &by_sites[&sites].1,
        };
        site_pair.push_routes(&mut pairs);
    }
    pairs
}

fn find(plan: &Plan, host: &str) -> Option<usize> {
    plan.sites.find(host.as_bytes())
}

fn unlisted_label(plans: [&Plan; 2]) -> String {
    let sites = plans.into_iter().flat_map(|plan| &plan.site_plans);
    let hosts: Vec<String> = sites
        .flat_map(|site| &site.hosts)
        .map(|host| host.to_ascii_lowercase())
        .collect();
    let mut label = ANY.to_owned();
    while hosts
        .iter()
        .any(|host| host.split('.').any(|own| own == label))
    {
        label.push('x');
    }
    label
}

fn sample_of_host(host: &str, any: &str) -> Option<String> {
    Some(match HostPattern::parse(host).ok()? {
        HostPattern::Exact(host) => host.into(),
        HostPattern::Suffix(host) => format!("{any}.{host}"),
        HostPattern::Default => any.to_owned(),
    })
}

/// Two sites that serve the same hosts.
struct SitePair<'a, 'p> {
    old: (Option<&'p SitePlan>, &'a PlanPlaces),
    new: (Option<&'p SitePlan>, &'a PlanPlaces),
    host: &'a str,
    hosts: &'a [String],
}

/// The request, or the one that a browser sends before it.
#[derive(Clone, Copy)]
enum Step {
    Request,
    Preflight,
}

impl Step {
    fn words(self) -> &'static str {
        match self {
            Self::Request => "",
            Self::Preflight => "the preflight before ",
        }
    }
}

impl<'p> SitePair<'_, 'p> {
    fn push_routes(&self, pairs: &mut Vec<Pair<'p>>) {
        let sites = [self.old.0, self.new.0].into_iter().flatten();
        let tables: Vec<_> = sites.map(|site| &site.routes).collect();
        let kinds = RouteKinds::of(&tables);
        let listed: BTreeSet<String> = tables.iter().flat_map(|own| own.methods()).collect();
        let mut methods = vec!["GET".to_owned()];
        let unlisted = METHODS.into_iter().find(|own| !listed.contains(*own));
        methods.extend(unlisted.map(str::to_owned));
        methods.extend(listed);
        let mut seen: HashSet<Numbers> = HashSet::new();
        let mut found: Vec<(Numbers, String)> = Vec::new();
        for path in &kinds.paths {
            for (method, step) in methods
                .iter()
                .flat_map(|method| [(method, Step::Request), (method, Step::Preflight)])
            {
                let numbers = self.numbers(path, method, step);
                if seen.insert(numbers) {
                    let (words, host) = (step.words(), self.host);
                    found.push((numbers, format!("{words}{method} http://{host}{path}")));
                }
            }
        }
        let same_table = tables.len() == 2 && tables[0] == tables[1];
        let is_whole = kinds.are_all || same_table;
        if let (true, false, Some(site)) = (same_table, kinds.are_all, self.new.0) {
            let all = (0..site.route_plans.len()).map(|number| (Some(number), Some(number)));
            let missing = all.filter(|numbers| seen.insert(*numbers));
            found.extend(missing.map(|numbers| (numbers, String::new())));
        }
        found.sort_by_key(|((old, new), _)| (*new, *old));
        for (place, (numbers, request)) in found.into_iter().enumerate() {
            pairs.push(Pair {
                hosts: self.hosts.to_vec(),
                path: self.path_of(numbers),
                request,
                is_whole: is_whole || place > 0,
                old: route_of(self.old.0, numbers.0),
                new: route_of(self.new.0, numbers.1),
            });
        }
    }

    fn numbers(&self, path: &str, method: &str, step: Step) -> Numbers {
        let number = |site: Option<&SitePlan>| {
            let routes = &site?.routes;
            let by_method = |method: &str| routes.find(path.as_bytes(), method.as_bytes());
            let found = by_method(method).or_else(|| match step {
                Step::Request => None,
                Step::Preflight => by_method("OPTIONS"),
            });
            Some(found.unwrap_or(0))
        };
        (number(self.old.0), number(self.new.0))
    }

    /// The pattern of the new route, of the old one where the new site has none for it.
    fn path_of(&self, (old, new): Numbers) -> Option<String> {
        let path = |(site, places): (Option<&SitePlan>, &PlanPlaces), number| {
            let route = route_of(site, number)?;
            places.path(route.id).map(str::to_owned)
        };
        path(self.new, new).or_else(|| path(self.old, old))
    }
}

fn route_of(site: Option<&SitePlan>, number: Option<usize>) -> Option<&RoutePlan> {
    Some(&site?.route_plans[number?])
}
