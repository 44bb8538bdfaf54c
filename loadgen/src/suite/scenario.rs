//! Scenario files: TOML whose axes may be lists, unfolded into single scenarios.
//!
//! ```toml
//! rounds = 4                    # paired rounds
//! run = "1s"                    # length of one run
//! warmup = "300ms"
//! budget = "15m"                # scenarios that do not fit in are left out, and it is said
//! peers = ["null-monoio", "corsair", "corsair#2", "nginx"]
//!
//! [[scenario]]                  # every combination of the lists is one scenario
//! group = "rules"
//! rules = ["exact", "suffix"]   # none exact suffix star-anywhere mixed
//! rule_count = [1, 1000]
//! position = "last"             # first last none any
//! operations = 2                # response header operations besides CORS
//! hit_ratio = 1.0
//! keys = 1                      # stored responses the hits are drawn from
//! body_bytes = 1024
//! connections = 64
//! depth = 1
//! requests_per_connection = 10  # default: connections are kept
//! storm = "preflight"           # preflight (without operations) brown-out reload churn
//! open_loop = true              # also knees and latencies at constant rates
//! run = "4s"                    # another length than the file's
//! peers = ["corsair", "nginx"]  # fewer than the file's
//! ```
//!
//! Unknown keys are errors. Pure but for [`read`].

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::de::{self, IntoDeserializer, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::artefact::{Group, Parameters, Position, RuleShape, Scenario, Storm};

/// Bounds, each with a diagnostic that names it.
const RULES_MAX: u32 = 1_000_000;
const OPERATIONS_MAX: u32 = 1000;
const BODY_BYTES_MAX: u64 = 1 << 30;
const CONNECTIONS_MAX: usize = 50_000;
const DEPTH_MAX: usize = 256;
const SCENARIOS_MAX: usize = 20_000;

/// A file that is no set of scenarios.
#[derive(Debug, thiserror::Error)]
pub enum ScenarioError {
    /// The file.
    #[error("cannot read {path}: {source}", path = path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Not this kind of TOML.
    #[error("{path}: {source}", path = path.display())]
    Parse {
        /// Which file.
        path: PathBuf,
        /// Where and why.
        source: Box<toml::de::Error>,
    },
    /// Nothing would be measured.
    #[error("{path}: rounds and run are above 0", path = .0.display())]
    Lengths(PathBuf),
    /// Values that make no scenario.
    #[error("{path}: scenario {number}: {problem}", path = path.display())]
    Scenario {
        /// Which file.
        path: PathBuf,
        /// Which table, from 1.
        number: usize,
        /// What is wrong and what would be right.
        problem: String,
    },
}

/// A scenario and how it is run.
#[derive(Debug, Clone, PartialEq)]
pub struct Planned {
    /// What is measured.
    pub scenario: Scenario,
    /// Length of one run, where it differs from the file's.
    pub run: Option<Duration>,
    /// The peers asked for; `None` is all of the file's.
    pub peers: Option<Vec<String>>,
}

/// What a file says.
#[derive(Debug, Clone, PartialEq)]
pub struct ScenarioFile {
    /// Paired rounds.
    pub rounds: u32,
    /// Length of one run.
    pub run: Duration,
    /// Load before the first round.
    pub warmup: Duration,
    /// Time all of it may take.
    pub budget: Option<Duration>,
    /// Who takes part.
    pub peers: Vec<String>,
    /// In the order of the file.
    pub scenarios: Vec<Planned>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileText {
    #[serde(default = "default_rounds")]
    rounds: u32,
    #[serde(default = "default_run", deserialize_with = "duration")]
    run: Duration,
    #[serde(default = "default_warmup", deserialize_with = "duration")]
    warmup: Duration,
    #[serde(default, deserialize_with = "some_duration")]
    budget: Option<Duration>,
    peers: Vec<String>,
    scenario: Vec<Axes>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Axes {
    group: Group,
    #[serde(default)]
    rules: Axis<RuleShape>,
    #[serde(default)]
    rule_count: Axis<u32>,
    #[serde(default)]
    position: Axis<Position>,
    #[serde(default)]
    operations: Axis<u32>,
    #[serde(default)]
    hit_ratio: Axis<f64>,
    #[serde(default)]
    keys: Axis<u64>,
    #[serde(default)]
    body_bytes: Axis<u64>,
    #[serde(default)]
    connections: Axis<usize>,
    #[serde(default)]
    depth: Axis<usize>,
    requests_per_connection: Option<u64>,
    storm: Option<Storm>,
    #[serde(default)]
    open_loop: bool,
    #[serde(default, deserialize_with = "some_duration")]
    run: Option<Duration>,
    peers: Option<Vec<String>>,
}

/// One value or a list of them; empty when the key is not there.
struct Axis<T>(Vec<T>);

impl<T> Default for Axis<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T: Clone> Axis<T> {
    fn or(&self, default: T) -> Vec<T> {
        if self.0.is_empty() {
            vec![default]
        } else {
            self.0.clone()
        }
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Axis<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OneOrMany<T>(std::marker::PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for OneOrMany<T> {
            type Value = Vec<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value or a list of values")
            }
            fn visit_i64<E: de::Error>(self, value: i64) -> Result<Vec<T>, E> {
                T::deserialize(value.into_deserializer()).map(|one| vec![one])
            }
            fn visit_f64<E: de::Error>(self, value: f64) -> Result<Vec<T>, E> {
                T::deserialize(value.into_deserializer()).map(|one| vec![one])
            }
            fn visit_str<E: de::Error>(self, value: &str) -> Result<Vec<T>, E> {
                T::deserialize(value.into_deserializer()).map(|one| vec![one])
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Vec<T>, A::Error> {
                let mut values = Vec::new();
                while let Some(value) = list.next_element()? {
                    values.push(value);
                }
                if values.is_empty() {
                    return Err(de::Error::custom("an empty list makes no scenario"));
                }
                Ok(values)
            }
        }
        let visitor = OneOrMany(std::marker::PhantomData);
        deserializer.deserialize_any(visitor).map(Self)
    }
}

fn default_rounds() -> u32 {
    4
}

fn default_run() -> Duration {
    Duration::from_secs(2)
}

fn default_warmup() -> Duration {
    Duration::from_millis(500)
}

fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(deserializer)?;
    humantime::parse_duration(&text)
        .map_err(|error| de::Error::custom(format!("`{text}` is not a time like \"2s\": {error}")))
}

fn some_duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    duration(deserializer).map(Some)
}

/// Reads the file `path`.
///
/// # Errors
/// When it cannot be read or does not say what it must; the first problem, with its place.
pub fn read(path: &Path) -> Result<ScenarioFile, ScenarioError> {
    let text = std::fs::read_to_string(path).map_err(|source| ScenarioError::Read {
        path: path.to_owned(),
        source,
    })?;
    parse(&text, path)
}

/// Reads `text`; `path` is for the diagnostics.
///
/// # Errors
/// As [`read`].
pub fn parse(text: &str, path: &Path) -> Result<ScenarioFile, ScenarioError> {
    let file: FileText = toml::from_str(text).map_err(|source| ScenarioError::Parse {
        path: path.to_owned(),
        source: Box::new(source),
    })?;
    let mut scenarios = Vec::new();
    let mut names = BTreeSet::new();
    for (index, axes) in file.scenario.iter().enumerate() {
        let in_table = |problem| ScenarioError::Scenario {
            path: path.to_owned(),
            number: index + 1,
            problem,
        };
        let unfolded = axes.unfold(SCENARIOS_MAX - scenarios.len().min(SCENARIOS_MAX));
        for planned in unfolded.map_err(in_table)? {
            if !names.insert(planned.scenario.name.clone()) {
                let name = &planned.scenario.name;
                return Err(in_table(format!("`{name}` is there already")));
            }
            scenarios.push(planned);
        }
    }
    if file.rounds == 0 || file.run.is_zero() {
        return Err(ScenarioError::Lengths(path.to_owned()));
    }
    Ok(ScenarioFile {
        rounds: file.rounds,
        run: file.run,
        warmup: file.warmup,
        budget: file.budget,
        peers: file.peers,
        scenarios,
    })
}

impl Axes {
    /// Every combination, the last axis turning first.
    fn unfold(&self, room: usize) -> Result<Vec<Planned>, String> {
        let base = Parameters {
            rules: RuleShape::Exact,
            rule_count: 0,
            position: Position::Last,
            operations: 0,
            hit_ratio: 1.0,
            keys: 1,
            body_bytes: 0,
            connections: 1,
            depth: 1,
            requests_per_connection: self.requests_per_connection,
            storm: self.storm,
        };
        let mut all = vec![base];
        let rules = self.rules.or(RuleShape::Exact);
        turn(&mut all, &rules, |p, value| p.rules = *value);
        let counts = self.rule_count.or(1000);
        turn(&mut all, &counts, |p, value| p.rule_count = *value);
        turn(&mut all, &self.position.or(Position::Last), |p, value| {
            p.position = *value;
        });
        turn(&mut all, &self.operations.or(2), |p, value| {
            p.operations = *value;
        });
        turn(&mut all, &self.hit_ratio.or(1.0), |p, value| {
            p.hit_ratio = *value;
        });
        turn(&mut all, &self.keys.or(1), |p, value| p.keys = *value);
        turn(&mut all, &self.body_bytes.or(1024), |p, value| {
            p.body_bytes = *value;
        });
        turn(&mut all, &self.connections.or(64), |p, value| {
            p.connections = *value;
        });
        turn(&mut all, &self.depth.or(1), |p, value| p.depth = *value);
        if all.len() > room {
            return Err(format!("more than {SCENARIOS_MAX} scenarios"));
        }
        for parameters in &mut all {
            if parameters.rules == RuleShape::None {
                (parameters.rule_count, parameters.position) = (0, Position::None);
            }
            if parameters.storm == Some(Storm::Preflight) {
                // Whether they hold for what a proxy answers itself differs: nobody is asked.
                parameters.operations = 0;
            }
        }
        // What means nothing in a scenario was made equal above: one of these is enough.
        all.dedup();
        all.into_iter().map(|p| self.planned(p)).collect()
    }

    fn planned(&self, parameters: Parameters) -> Result<Planned, String> {
        check(&parameters)?;
        Ok(Planned {
            scenario: Scenario {
                name: name_of(self.group, &parameters),
                group: self.group,
                title: title_of(&parameters),
                parameters,
                open_loop: self.open_loop,
            },
            run: self.run,
            peers: self.peers.clone(),
        })
    }
}

fn turn<T>(all: &mut Vec<Parameters>, values: &[T], set: impl Fn(&mut Parameters, &T)) {
    *all = all
        .iter()
        .flat_map(|parameters| {
            values.iter().map(|value| {
                let mut next = parameters.clone();
                set(&mut next, value);
                next
            })
        })
        .collect();
}

fn check(parameters: &Parameters) -> Result<(), String> {
    let p = parameters;
    let problem = if p.rules != RuleShape::None && !(1..=RULES_MAX).contains(&p.rule_count) {
        format!("rule_count is 1 to {RULES_MAX}, or rules = \"none\"")
    } else if p.operations > OPERATIONS_MAX {
        format!("operations is 0 to {OPERATIONS_MAX}")
    } else if !(0.0..=1.0).contains(&p.hit_ratio) {
        "hit_ratio is a share, 0 to 1".to_owned()
    } else if p.keys == 0 {
        "keys is at least 1".to_owned()
    } else if p.body_bytes > BODY_BYTES_MAX {
        format!("body_bytes is at most {BODY_BYTES_MAX}")
    } else if !(1..=CONNECTIONS_MAX).contains(&p.connections) {
        format!("connections is 1 to {CONNECTIONS_MAX}")
    } else if !(1..=DEPTH_MAX).contains(&p.depth) {
        format!("depth is 1 to {DEPTH_MAX}")
    } else if p.requests_per_connection == Some(0) {
        "requests_per_connection is at least 1".to_owned()
    } else if p.storm == Some(Storm::Churn) && p.requests_per_connection.is_none() {
        "storm = \"churn\" needs requests_per_connection".to_owned()
    } else if p.storm == Some(Storm::Preflight) && p.rules == RuleShape::None {
        "storm = \"preflight\" needs rules".to_owned()
    } else {
        return Ok(());
    };
    Err(problem)
}

const fn shape_word(shape: RuleShape) -> &'static str {
    match shape {
        RuleShape::None => "none",
        RuleShape::Exact => "exact",
        RuleShape::Suffix => "suffix",
        RuleShape::StarAnywhere => "star-anywhere",
        RuleShape::Mixed => "mixed",
    }
}

const fn position_word(position: Position) -> &'static str {
    match position {
        Position::First => "first",
        Position::Last => "last",
        Position::None => "none",
        Position::Any => "any",
    }
}

const fn group_word(group: Group) -> &'static str {
    match group {
        Group::Rules => "rules",
        Group::HitRatio => "hit-ratio",
        Group::Body => "body",
        Group::Connections => "connections",
        Group::Depth => "depth",
        Group::Operations => "operations",
        Group::Storm => "storm",
        Group::Reload => "reload",
    }
}

const fn storm_word(storm: Storm) -> &'static str {
    match storm {
        Storm::Preflight => "preflight",
        Storm::BrownOut => "brown-out",
        Storm::Reload => "reload",
        Storm::Churn => "churn",
    }
}

/// The group, and everything that differs from the plain case (1,000 exact rules, the last one
/// matches, 2 operations, all hits of one object of 1 KiB, 64 connections).
fn name_of(group: Group, p: &Parameters) -> String {
    let mut parts = Vec::new();
    if let Some(storm) = p.storm {
        parts.push(storm_word(storm).to_owned());
    }
    let (shape, position) = (shape_word(p.rules), position_word(p.position));
    let plain_rules =
        (p.rules, p.rule_count, p.position) == (RuleShape::Exact, 1000, Position::Last);
    if p.rules == RuleShape::None {
        parts.push("no-rules".to_owned());
    } else if group == Group::Rules || !plain_rules {
        parts.push(format!("{shape}-{}-{position}", p.rule_count));
    }
    let mut tag = |wanted: bool, text: String| {
        if wanted {
            parts.push(text);
        }
    };
    let percent = 100.0 * p.hit_ratio;
    let full = percent >= 100.0;
    tag(group == Group::HitRatio || !full, format!("hit{percent}"));
    tag(p.keys != 1, format!("keys{}", p.keys));
    tag(
        group == Group::Body || p.body_bytes != 1024,
        format!("body{}", p.body_bytes),
    );
    tag(
        group == Group::Connections || p.connections != 64,
        format!("c{}", p.connections),
    );
    tag(
        group == Group::Depth || p.depth != 1,
        format!("depth{}", p.depth),
    );
    tag(
        group == Group::Operations || (p.operations != 2 && p.storm != Some(Storm::Preflight)),
        format!("ops{}", p.operations),
    );
    if let Some(requests) = p.requests_per_connection {
        tag(true, format!("close{requests}"));
    }
    format!("{}/{}", group_word(group), parts.join("-"))
}

fn title_of(p: &Parameters) -> String {
    let storm = match p.storm {
        None => "",
        Some(Storm::Preflight) => "preflights; ",
        Some(Storm::BrownOut) => "the upstream stands still for half of each run; ",
        Some(Storm::Reload) => "rules reloaded four times a second; ",
        Some(Storm::Churn) => "connections that come and go; ",
    };
    let rules = match (p.rules, p.position) {
        (RuleShape::None, _) => "no CORS".to_owned(),
        (shape, Position::First) => format!(
            "{} {} rules, the first matches",
            p.rule_count,
            shape_word(shape)
        ),
        (shape, Position::Last) => format!(
            "{} {} rules, the last matches",
            p.rule_count,
            shape_word(shape)
        ),
        (shape, Position::None) => {
            format!("{} {} rules, none matches", p.rule_count, shape_word(shape))
        }
        (shape, Position::Any) => format!(
            "{} {} rules, every one as likely",
            p.rule_count,
            shape_word(shape)
        ),
    };
    let connections = match p.requests_per_connection {
        None => format!("{} connections", p.connections),
        Some(requests) => format!("{} connections of {requests} requests", p.connections),
    };
    format!(
        "{storm}{rules}; {} header operations; {:.0} % hits of {} objects of {} bytes; {connections}, {} in flight on each",
        p.operations,
        100.0 * p.hit_ratio,
        p.keys,
        p.body_bytes,
        p.depth
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str) -> Vec<String> {
        let file = parse(text, Path::new("t.toml")).expect("a good file");
        file.scenarios
            .into_iter()
            .map(|p| p.scenario.name)
            .collect()
    }

    #[test]
    fn axes_unfold() {
        let check = |axes: &str, expected: &[&str]| {
            assert_eq!(
                names(&format!("peers = []\n[[scenario]]\n{axes}")),
                expected,
                "{axes}"
            );
        };
        check("group = \"rules\"", &["rules/exact-1000-last"]);
        check(
            "group = \"rules\"\nrules = [\"exact\", \"suffix\"]\nrule_count = [1, 10]",
            &[
                "rules/exact-1-last",
                "rules/exact-10-last",
                "rules/suffix-1-last",
                "rules/suffix-10-last",
            ],
        );
        check(
            "group = \"rules\"\nrules = \"none\"\nrule_count = [1, 10]",
            &["rules/no-rules"],
        );
        check(
            "group = \"hit-ratio\"\nhit_ratio = [0, 0.5, 1.0]\nkeys = 9",
            &[
                "hit-ratio/hit0-keys9",
                "hit-ratio/hit50-keys9",
                "hit-ratio/hit100-keys9",
            ],
        );
        check(
            "group = \"storm\"\nstorm = \"churn\"\nrequests_per_connection = 10",
            &["storm/churn-close10"],
        );
        check(
            "group = \"storm\"\nstorm = \"preflight\"\noperations = [2, 20]",
            &["storm/preflight"],
        );
        check(
            "group = \"depth\"\ndepth = 16\nbody_bytes = 0",
            &["depth/body0-depth16"],
        );
    }

    #[test]
    fn diagnostics_say_where_and_what() {
        let check = |text: &str, expected: &[&str]| {
            let error = parse(text, Path::new("t.toml"))
                .expect_err(text)
                .to_string();
            for part in expected {
                assert!(error.contains(part), "{text}: {error}");
            }
        };
        let with = |axes: &str| format!("peers = []\n[[scenario]]\ngroup = \"rules\"\n{axes}\n");
        check("", &["t.toml", "peers"]);
        check(
            "peers = []\nround = 3\nscenario = []",
            &["unknown field `round`", "rounds", "line 2"],
        );
        check(
            &with("rules = \"exakt\""),
            &["unknown variant `exakt`", "star-anywhere", "line 4"],
        );
        check(&with("rules = []"), &["empty list"]);
        check(
            &with("rule_count = 0"),
            &["scenario 1", "rule_count is 1 to"],
        );
        check(&with("rule_count = -1"), &["line 4"]);
        check(&with("hit_ratio = 1.5"), &["0 to 1"]);
        check(&with("connections = [1, 0]"), &["connections is 1 to"]);
        check(&with("depth = 0"), &["depth is 1 to"]);
        check(
            &with("storm = \"churn\""),
            &["needs requests_per_connection"],
        );
        check(&with("run = \"soon\""), &["`soon` is not a time"]);
        check(&with("rule_count = [1, 2, 1]"), &["is there already"]);
        check("peers = []\nrounds = 0\nscenario = []", &["above 0"]);
    }
}
