//! Which route of the old plan answers what a route of the new one answers.
//!
//! Every host pattern and path pattern of both plans stands for the requests that it decides; one such
//! request is put to both plans' tables, and what they find is a pair. Each pair comes once.

use std::collections::BTreeMap;

use corsair_rules::HostPattern;

use super::{Change, Direction};
use crate::places::PlanPlaces;
use crate::plan::{Plan, RoutePlan, SitePlan};

/// A name that stands for all that a star covers; no configuration lists it.
const ANY: &str = "corsair-any";
/// Methods that routes are told apart by.
const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

/// Two routes that answer the same requests.
pub(super) struct Pair<'p> {
    pub(super) hosts: Vec<String>,
    pub(super) path: Option<String>,
    pub(super) old: Option<&'p RoutePlan>,
    pub(super) new: Option<&'p RoutePlan>,
}

impl Pair<'_> {
    /// That only one of the plans serves these requests.
    pub(super) fn presence(&self) -> Option<Change> {
        let detail = match (self.old, self.new) {
            (None, Some(_)) => "not served before (421)",
            (Some(_), None) => "not served any more (421)",
            (Some(_), Some(_)) | (None, None) => return None,
        };
        Some(Change {
            direction: Direction::Changed,
            facet: "site",
            detail: detail.to_owned(),
            witness: None,
        })
    }
}

type Side<'p> = (&'p Plan, &'p PlanPlaces);

/// All pairs, in the order of the new plan's hosts, then the old one's.
pub(super) fn pairs<'p>(old: Side<'p>, new: Side<'p>) -> Vec<Pair<'p>> {
    let mut order = Vec::new();
    let mut by_sites: BTreeMap<(Option<usize>, Option<usize>), Vec<String>> = BTreeMap::new();
    for side in [new, old] {
        for host in side.0.site_plans.iter().flat_map(|site| &site.hosts) {
            let Some(sample) = sample_of_host(host) else {
                continue;
            };
            let sites = (find(old.0, &sample), find(new.0, &sample));
            let hosts = by_sites.entry(sites).or_insert_with(|| {
                order.push(sites);
                Vec::new()
            });
            if !hosts.contains(host) {
                hosts.push(host.clone());
            }
        }
    }
    let mut pairs = Vec::new();
    for sites in order {
        let hosts = &by_sites[&sites];
        let old_site = sites.0.map(|site| &old.0.site_plans[site]);
        let new_site = sites.1.map(|site| &new.0.site_plans[site]);
        push_routes((old_site, old.1), (new_site, new.1), hosts, &mut pairs);
    }
    pairs
}

fn find(plan: &Plan, host: &str) -> Option<usize> {
    plan.sites.find(host.as_bytes())
}

fn sample_of_host(host: &str) -> Option<String> {
    Some(match HostPattern::parse(host).ok()? {
        HostPattern::Exact(host) => host.into(),
        HostPattern::Suffix(host) => format!("{ANY}.{host}"),
        HostPattern::Default => format!("{ANY}.invalid"),
    })
}

fn push_routes<'p>(
    old: (Option<&'p SitePlan>, &PlanPlaces),
    new: (Option<&'p SitePlan>, &PlanPlaces),
    hosts: &[String],
    pairs: &mut Vec<Pair<'p>>,
) {
    let paths_of = |(site, places): (Option<&'p SitePlan>, &PlanPlaces)| -> Vec<String> {
        let routes = site.into_iter().flat_map(|site| &site.route_plans);
        routes
            .filter_map(|route| places.path(route.id).map(str::to_owned))
            .collect()
    };
    let mut paths: Vec<Option<String>> = vec![None];
    paths.extend(paths_of(new).into_iter().chain(paths_of(old)).map(Some));
    let mut seen = Vec::new();
    for path in paths {
        let sample = sample_of_path(path.as_deref());
        for method in METHODS {
            let number = |site: Option<&SitePlan>| {
                site.map(|site| {
                    let found = site.routes.find(sample.as_bytes(), method.as_bytes());
                    found.unwrap_or(0)
                })
            };
            let numbers = (number(old.0), number(new.0));
            if seen.contains(&numbers) {
                continue;
            }
            seen.push(numbers);
            let route = |site: Option<&'p SitePlan>, number: Option<usize>| {
                Some(&site?.route_plans[number?])
            };
            pairs.push(Pair {
                hosts: hosts.to_vec(),
                path: path.clone(),
                old: route(old.0, numbers.0),
                new: route(new.0, numbers.1),
            });
        }
    }
}

fn sample_of_path(path: Option<&str>) -> String {
    let Some(path) = path else {
        return format!("/{ANY}");
    };
    path.replace("**", ANY).replace('*', ANY)
}
