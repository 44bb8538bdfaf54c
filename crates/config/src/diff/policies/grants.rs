//! What goes out with a grant, for origins that both sides grant, by the policy that decides on each side.
//!
//! The first policy that passes decides, so policy `i` of the old side and `j` of the new one decide
//! together for the origins of both that no earlier policy passing the same kind of request has
//! (`PatternSpace::meeting`). An actual response is told apart by method and content type, a preflight by
//! method and requested headers; the more headers are asked for, the fewer earlier policies pass, so one
//! preflight with all that both allow stands for all. `Cross-Origin-Resource-Policy` is the deciding
//! policy's too, and for those who are granted nothing the first one's of the content type.

use std::collections::{HashMap, HashSet};

use corsair_rules::{Outside, PatternSpace, PolicyView};

use super::Side;
use super::kinds::{Kind, Kinds};
use crate::diff::{Change, Direction};

/// What two policies send differently.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Difference {
    direction: Direction,
    facet: &'static str,
    detail: String,
}

impl Difference {
    fn change(self, witness: Option<String>) -> Change {
        Change {
            direction: self.direction,
            facet: self.facet,
            detail: self.detail,
            witness,
        }
    }
}

/// The changes of what is granted.
pub(super) fn compare(old: &Side<'_>, new: &Side<'_>, kinds: &Kinds, changes: &mut Vec<Change>) {
    let spaces = |side: &Side<'_>| -> Vec<PatternSpace> {
        (0..side.policies.len())
            .map(|number| side.space(&[number]))
            .collect()
    };
    let mut grants = Grants {
        sides: (old, new),
        spaces: (spaces(old), spaces(new)),
        known: HashMap::new(),
        told: HashSet::new(),
    };
    for old_number in 0..old.policies.len() {
        for new_number in 0..new.policies.len() {
            grants.compare((old_number, new_number), kinds, changes);
        }
    }
    grants.resource_policies(kinds, changes);
}

/// Two policies and those before them that pass the same: what a question of meeting depends on.
type Contest = ((usize, usize), (Vec<usize>, Vec<usize>));

struct Grants<'a, 'p> {
    sides: (&'a Side<'p>, &'a Side<'p>),
    /// Each policy's own origins.
    spaces: (Vec<PatternSpace>, Vec<PatternSpace>),
    known: HashMap<Contest, Outside>,
    told: HashSet<Difference>,
}

impl Grants<'_, '_> {
    /// Tells what two policies send differently where both decide.
    fn compare(&mut self, pair: (usize, usize), kinds: &Kinds, changes: &mut Vec<Change>) {
        let (old_side, new_side) = self.sides;
        let (old, new) = (old_side.policies[pair.0].0, new_side.policies[pair.1].0);
        let in_actual = actual_differences(old, new);
        let in_preflight = preflight_differences(old, new);
        let both = |kind: &Kind| kind.passes(old) && kind.passes(new);
        let methods = kinds.methods.iter();
        if !in_actual.is_empty() {
            let of_method = |method: &String| -> Vec<Kind> {
                let types = kinds.types.iter();
                types.map(|own| Kind::actual(method, own)).collect()
            };
            let actual = methods.clone().flat_map(of_method).filter(both);
            self.tell(pair, actual, &in_actual, changes);
        }
        if !in_preflight.is_empty() {
            let headers: Vec<String> = kinds
                .headers
                .iter()
                .filter(|name| old.allows_header(name) && new.allows_header(name))
                .cloned()
                .collect();
            let preflights = methods.map(|method| Kind::preflight(method, &headers));
            self.tell(pair, preflights.filter(both), &in_preflight, changes);
        }
    }

    fn tell(
        &mut self,
        pair: (usize, usize),
        kinds: impl Iterator<Item = Kind>,
        differences: &[Difference],
        changes: &mut Vec<Change>,
    ) {
        for kind in kinds {
            if differences.iter().all(|own| self.told.contains(own)) {
                return;
            }
            let witness = match self.decided_together(pair, &kind) {
                Outside::Nothing => continue,
                Outside::Witness(text) => Some(text),
                Outside::Undecided => None,
            };
            for difference in differences {
                if self.told.insert(difference.clone()) {
                    changes.push(difference.clone().change(witness.clone()));
                }
            }
        }
    }

    /// An origin for which these two decide about such a request.
    fn decided_together(&mut self, pair: (usize, usize), kind: &Kind) -> Outside {
        let (old, new) = self.sides;
        let before = |side: &Side<'_>, number: usize| -> Vec<usize> {
            let passing = side.select(kind).into_iter();
            passing.take_while(|&earlier| earlier < number).collect()
        };
        let earlier = (before(old, pair.0), before(new, pair.1));
        if let Some(found) = self.known.get(&(pair, earlier.clone())) {
            return found.clone();
        }
        let mut patterns = old.space(&earlier.0).patterns().to_vec();
        patterns.extend_from_slice(new.space(&earlier.1).patterns());
        let taken = PatternSpace::new(patterns);
        let found = self.spaces.0[pair.0].meeting(&self.spaces.1[pair.1], &taken);
        self.known.insert((pair, earlier), found.clone());
        found
    }
}

impl Kind {
    fn actual(method: &str, content_type: &str) -> Self {
        Self {
            method: Some(method.to_owned()),
            headers: Vec::new(),
            content_type: Some(content_type.to_owned()),
        }
    }

    fn preflight(method: &str, headers: &[String]) -> Self {
        Self {
            method: Some(method.to_owned()),
            headers: headers.to_vec(),
            content_type: None,
        }
    }
}

fn flag(facet: &'static str, before: bool, after: bool) -> Option<Difference> {
    let (direction, detail) = match (before, after) {
        (false, true) => (Direction::Widened, "now allowed"),
        (true, false) => (Direction::Narrowed, "not any more"),
        (false, false) | (true, true) => return None,
    };
    let detail = detail.to_owned();
    Some(Difference {
        direction,
        facet,
        detail,
    })
}

fn credentials(old: PolicyView<'_>, new: PolicyView<'_>) -> Option<Difference> {
    flag("credentials", old.credentials(), new.credentials())
}

/// What an actual response tells of.
fn actual_differences(old: PolicyView<'_>, new: PolicyView<'_>) -> Vec<Difference> {
    let timing = flag("timing", old.timing(), new.timing());
    let embedding = resource_policy(Some(old), Some(new));
    let flags = credentials(old, new).into_iter().chain(timing);
    let mut found: Vec<Difference> = flags.chain(embedding).collect();
    let (before, after) = (old.exposed(), new.exposed());
    // Where both let credentials in, a page that sends them reads `*` as a name (Fetch §3.2.4).
    let star_is_a_name = old.credentials() && new.credentials();
    let missing = |names: &[String], others: &[String]| -> Vec<String> {
        let has_star = !star_is_a_name && others.iter().any(|name| name == "*");
        let mut names = names.to_vec();
        names.retain(|name| !others.contains(name) && !has_star);
        names
    };
    for (direction, names) in [
        (Direction::Widened, missing(&after, &before)),
        (Direction::Narrowed, missing(&before, &after)),
    ] {
        if !names.is_empty() {
            found.push(Difference {
                direction,
                facet: "expose",
                detail: names.join(", "),
            });
        }
    }
    found
}

/// What the answer to a preflight tells of.
fn preflight_differences(old: PolicyView<'_>, new: PolicyView<'_>) -> Vec<Difference> {
    let (before, after) = (old.private_network(), new.private_network());
    let network = flag("private network", before, after);
    let mut found: Vec<Difference> = credentials(old, new).into_iter().chain(network).collect();
    if old.max_age_s() != new.max_age_s() {
        let shown = |seconds: Option<u32>| {
            seconds.map_or_else(|| "not sent".to_owned(), |own| format!("{own} s"))
        };
        found.push(Difference {
            direction: Direction::Changed,
            facet: "max_age",
            detail: format!("{} → {}", shown(old.max_age_s()), shown(new.max_age_s())),
        });
    }
    found
}

impl<'p> Side<'p> {
    /// The policy whose lines those get who are granted nothing.
    fn governing(&self, content_type: &str) -> Option<PolicyView<'p>> {
        let mut views = self.policies.iter().map(|(view, _)| *view);
        views.find(|view| view.covers(content_type))
    }
}

/// How far a `Cross-Origin-Resource-Policy` lets others embed the response, at least and at most (Fetch
/// §3.7): without it the upstream's own passes, or none does and any site may.
pub(super) fn reach(value: Option<&str>) -> (u8, u8) {
    match value {
        Some("same-origin") => (0, 0),
        Some("same-site") => (1, 1),
        Some(_) => (2, 2),
        None => (0, 2),
    }
}

/// `Cross-Origin-Resource-Policy` of two policies.
fn resource_policy(old: Option<PolicyView<'_>>, new: Option<PolicyView<'_>>) -> Option<Difference> {
    let value = |view: Option<PolicyView<'_>>| view.and_then(PolicyView::resource_policy);
    let (before, after) = (value(old), value(new));
    if before == after {
        return None;
    }
    let (was, is) = (reach(before.as_deref()), reach(after.as_deref()));
    let direction = if is.1 > was.0 {
        Direction::Widened
    } else if is.0 < was.1 {
        Direction::Narrowed
    } else {
        Direction::Changed
    };
    let shown = |value: Option<String>| value.unwrap_or_else(|| "the upstream's".to_owned());
    Some(Difference {
        direction,
        facet: "resource_policy",
        detail: format!("{} → {}", shown(before), shown(after)),
    })
}

impl Grants<'_, '_> {
    /// What those get who are granted nothing: by the first policy of the content type.
    fn resource_policies(&mut self, kinds: &Kinds, changes: &mut Vec<Change>) {
        for content_type in &kinds.types {
            let (old, new) = self.sides;
            let governing = (old.governing(content_type), new.governing(content_type));
            let Some(difference) = resource_policy(governing.0, governing.1) else {
                continue;
            };
            if self.told.insert(difference.clone()) {
                changes.push(difference.change(None));
            }
        }
    }
}
