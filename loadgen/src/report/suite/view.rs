//! A suite's artefact as its readers need it: joined by name, peers in the order they are shown,
//! scenarios that differ in one thing put together, and the ratios turned so that above 1 is good
//! for Corsair.

use std::collections::{BTreeMap, BTreeSet};

use crate::ratio::{self, Better, Bootstrap, Verdict};
use crate::suite::artefact::{
    Artefact, Group, Parameters, Peer, PeerStatus, Position, Ratio, Role, RuleShape, Scenario,
    Storm, Summary, Trial,
};

/// Differences below this share are not told from none.
pub(crate) const THRESHOLD: f64 = 0.02;

/// Numbers of rules that the headline is about.
const HEADLINE_RULES: [u32; 3] = [1, 1_000, 100_000];

/// See the module. Who answered wrongly has no numbers here, whatever the document says of the
/// rounds before: nothing is relative to it either.
pub(crate) struct View<'a> {
    pub(crate) artefact: &'a Artefact,
    summaries: BTreeMap<(&'a str, &'a str), &'a Summary>,
    trials: BTreeMap<(&'a str, &'a str), &'a Trial>,
    advantages: BTreeMap<(&'a str, &'a str), ratio::Ratio>,
}

/// Scenarios that differ in one number only.
pub(crate) struct Family<'a> {
    /// What they have in common, in words.
    pub(crate) title: String,
    /// That number, and the scenario; ascending.
    pub(crate) members: Vec<(f64, &'a Scenario)>,
}

impl<'a> View<'a> {
    pub(crate) fn new(artefact: &'a Artefact) -> Self {
        let stands = |summary: &&Summary| artefact.stands(&summary.scenario, &summary.peer);
        let summaries = artefact.summaries.iter().filter(stands);
        let trials = artefact.trials.iter();
        let mut peers = artefact.peers.iter();
        let subject = peers.find(|peer| peer.role == Role::Subject);
        let advantage = |summary: &'a Summary| {
            let to_subject = summary.to_corsair.as_ref()?;
            let has_base = subject.is_none_or(|base| artefact.stands(&summary.scenario, &base.id));
            let key = (summary.scenario.as_str(), summary.peer.as_str());
            has_base.then(|| (key, as_ratio(to_subject).inverse()))
        };
        Self {
            advantages: summaries.clone().filter_map(advantage).collect(),
            artefact,
            summaries: summaries
                .map(|summary| ((summary.scenario.as_str(), summary.peer.as_str()), summary))
                .collect(),
            trials: trials
                .map(|trial| ((trial.scenario.as_str(), trial.peer.as_str()), trial))
                .collect(),
        }
    }

    /// The program this project is about.
    pub(crate) fn subject(&self) -> Option<&'a Peer> {
        self.artefact
            .peers
            .iter()
            .find(|peer| peer.role == Role::Subject)
    }

    /// Everybody the subject is compared with and who took part: peers, then null servers.
    pub(crate) fn rivals(&self) -> Vec<&'a Peer> {
        let of = |role: Role| {
            let took_part = move |peer: &&Peer| peer.role == role && peer.status == PeerStatus::Ran;
            self.artefact.peers.iter().filter(took_part)
        };
        of(Role::Peer).chain(of(Role::Null)).collect()
    }

    pub(crate) fn summary(&self, scenario: &str, peer: &str) -> Option<&'a Summary> {
        self.summaries.get(&(scenario, peer)).copied()
    }

    pub(crate) fn trial(&self, scenario: &str, peer: &str) -> Option<&'a Trial> {
        self.trials.get(&(scenario, peer)).copied()
    }

    /// What the subject's requests cost in `scenario`, CPU microseconds.
    pub(crate) fn subject_cost(&self, scenario: &str) -> Option<f64> {
        let summary = self.summary(scenario, &self.subject()?.id)?;
        Some(summary.server_cpu_us_per_request)
    }

    /// Requests per CPU-second of the subject as a ratio to those of `peer`.
    pub(crate) fn advantage(&self, scenario: &str, peer: &str) -> Option<ratio::Ratio> {
        self.advantages.get(&(scenario, peer)).copied()
    }

    /// Hits under 1, 1,000 and 100,000 rules, as far as the suite has them. All are of one shape of
    /// rules and one stream of Web origins if the suite has such a set: exact rules before other
    /// shapes, a new Web origin for every request before the same one. If it has none, the last
    /// rule is what matches, wherever that was measured.
    pub(crate) fn headline(&self) -> Vec<(u32, &'a Scenario)> {
        let of_count = |count: u32| {
            let is_hit = move |scenario: &&Scenario| {
                let parameters = &scenario.parameters;
                parameters.rule_count == count
                    && parameters.hit_ratio >= 1.0
                    && parameters.storm.is_none()
                    && parameters.depth == 1
                    && scenario.group == Group::Rules
            };
            self.artefact.scenarios.iter().filter(is_hit).collect()
        };
        let counts = HEADLINE_RULES.into_iter();
        let mut found: Vec<(u32, Vec<&Scenario>)> =
            counts.map(|count| (count, of_count(count))).collect();
        found.retain(|(_, scenarios)| !scenarios.is_empty());
        let streams = |scenarios: &[&Scenario]| -> BTreeSet<(u8, u8)> {
            scenarios
                .iter()
                .map(|s| preference(&s.parameters))
                .collect()
        };
        let shared = found
            .iter()
            .map(|(_, scenarios)| streams(scenarios))
            .reduce(|all, some| &all & &some)
            .and_then(|all| all.first().copied());
        let place = |scenario: &&Scenario| {
            let stream = preference(&scenario.parameters);
            let is_other = shared.is_some_and(|shared| shared != stream);
            let is_last = scenario.parameters.position == Position::Last;
            (is_other, !is_last && shared.is_none(), stream)
        };
        let best = |scenarios: Vec<&'a Scenario>| scenarios.into_iter().min_by_key(place);
        found
            .into_iter()
            .filter_map(|(count, scenarios)| Some((count, best(scenarios)?)))
            .collect()
    }

    /// Groups that have scenarios, in their order.
    pub(crate) fn groups(&self) -> Vec<Group> {
        let mut groups: Vec<Group> = self.artefact.scenarios.iter().map(|s| s.group).collect();
        groups.sort_unstable();
        groups.dedup();
        groups
    }

    /// The scenarios of `group` that differ in nothing but its number, two or more.
    pub(crate) fn families(&self, group: Group) -> Vec<Family<'a>> {
        let mut families: Vec<(Parameters, Family<'a>)> = Vec::new();
        for scenario in &self.artefact.scenarios {
            let Some((number, rest)) = split(group, &scenario.parameters) else {
                continue;
            };
            if scenario.group != group {
                continue;
            }
            match families.iter_mut().find(|(key, _)| *key == rest) {
                Some((_, family)) => family.members.push((number, scenario)),
                None => {
                    let title = family_title(group, &rest);
                    let members = vec![(number, scenario)];
                    families.push((rest, Family { title, members }));
                }
            }
        }
        let mut families: Vec<Family<'a>> =
            families.into_iter().map(|(_, family)| family).collect();
        for family in &mut families {
            family.members.sort_by(|a, b| a.0.total_cmp(&b.0));
            family.members.dedup_by(|a, b| a.0.total_cmp(&b.0).is_eq());
        }
        families.retain(|family| family.members.len() > 1);
        families
    }
}

/// The ratio with the interval of [`crate::ratio`], made anew from the rounds in the document, so
/// that old documents are read by the rules of today.
pub(crate) fn as_ratio(ratio: &Ratio) -> ratio::Ratio {
    let stored = ratio::Ratio {
        median: ratio.median,
        low: ratio.low,
        high: ratio.high,
        rounds: ratio.rounds.len(),
    };
    ratio::Ratio::of_rounds(&ratio.rounds, &Bootstrap::default()).unwrap_or(stored)
}

/// What an advantage says.
pub(crate) fn verdict(advantage: ratio::Ratio) -> Verdict {
    advantage.verdict(Better::Higher, THRESHOLD)
}

/// The shape of rules and the stream of Web origins; lower is more telling in the headline.
fn preference(parameters: &Parameters) -> (u8, u8) {
    let shape = match parameters.rules {
        RuleShape::Exact => 0,
        RuleShape::Mixed => 1,
        RuleShape::Suffix => 2,
        RuleShape::StarAnywhere => 3,
        RuleShape::None => 4,
    };
    let position = match parameters.position {
        Position::Any => 0,
        Position::Last => 1,
        Position::First => 2,
        Position::None => 3,
    };
    (shape, position)
}

/// The number that scenarios of a group differ in, and everything else.
#[expect(
    clippy::cast_precision_loss,
    reason = "bytes and connections of a scenario are far below 2^52"
)]
fn split(group: Group, parameters: &Parameters) -> Option<(f64, Parameters)> {
    let mut rest = parameters.clone();
    let number = match group {
        Group::Rules => f64::from(std::mem::take(&mut rest.rule_count)),
        Group::HitRatio => {
            // How many keys there are follows from how many hits there are.
            rest.keys = 0;
            std::mem::take(&mut rest.hit_ratio)
        }
        Group::Body => std::mem::take(&mut rest.body_bytes) as f64,
        Group::Connections => std::mem::take(&mut rest.connections) as f64,
        Group::Depth => std::mem::take(&mut rest.depth) as f64,
        Group::Operations => f64::from(std::mem::take(&mut rest.operations)),
        Group::Storm | Group::Reload => return None,
    };
    Some((number, rest))
}

/// A group's heading.
pub(crate) fn group_title(group: Group) -> &'static str {
    match group {
        Group::Rules => "Rules",
        Group::HitRatio => "Hit ratio",
        Group::Body => "Body size",
        Group::Connections => "Connections",
        Group::Depth => "Pipelining",
        Group::Operations => "Header operations",
        Group::Storm => "Storms",
        Group::Reload => "Reload",
    }
}

/// What the number of a group's scenarios counts.
pub(crate) fn group_axis(group: Group) -> &'static str {
    match group {
        Group::Rules => "rules",
        Group::HitRatio => "requests that can be answered from the cache",
        Group::Body => "bytes of the body",
        Group::Connections => "connections",
        Group::Depth => "requests in flight on a connection",
        Group::Operations => "header operations",
        Group::Storm | Group::Reload => "",
    }
}

fn family_title(group: Group, rest: &Parameters) -> String {
    let rules = match (rest.rules, rest.position) {
        (RuleShape::None, _) => "no rules".to_owned(),
        (shape, position) => format!("{} rules, {}", shape_word(shape), position_words(position)),
    };
    let mut parts = vec![rules];
    if group == Group::Rules && rest.rules == RuleShape::None {
        parts.clear();
    }
    if group != Group::Connections && rest.connections != 64 {
        parts.push(format!("{} connections", rest.connections));
    }
    if group != Group::Depth && rest.depth != 1 {
        parts.push(format!("depth {}", rest.depth));
    }
    if let Some(storm) = rest.storm {
        parts.push(storm_word(storm).to_owned());
    }
    format!("{}: {}", group_title(group), parts.join(", "))
}

fn shape_word(shape: RuleShape) -> &'static str {
    match shape {
        RuleShape::None => "no",
        RuleShape::Exact => "exact",
        RuleShape::Suffix => "suffix",
        RuleShape::StarAnywhere => "star-anywhere",
        RuleShape::Mixed => "mixed",
    }
}

fn position_words(position: Position) -> &'static str {
    match position {
        Position::First => "the first matches",
        Position::Last => "the last matches",
        Position::None => "none matches",
        Position::Any => "each as likely",
    }
}

fn storm_word(storm: Storm) -> &'static str {
    match storm {
        Storm::Preflight => "preflights",
        Storm::BrownOut => "brown-out",
        Storm::Reload => "reloads",
        Storm::Churn => "churn",
    }
}
