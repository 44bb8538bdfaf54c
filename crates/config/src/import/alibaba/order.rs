//! Settings of one CORS header that run one after another, as the one that is left of them.
//!
//! Alibaba CDN runs settings from top to bottom, and a policy has one value for each header: what a
//! later setting deletes or replaces must not reach the policy. Where the outcome has no form here,
//! the header is removed, which grants nobody anything, and that is told. Settings of other headers
//! and ones under a rule condition stay as they are.

use super::super::draft::Draft;
use super::super::finding::{Finding, Weight};
use super::{ALLOW_ORIGIN, FOLDED, Setting, Switch, Verb, glob_of, is_policy};
use crate::report::clip;

/// Headers whose values are lists, so that two lines are as good as one.
const LISTS: [&str; 3] = [
    "access-control-allow-methods",
    "access-control-allow-headers",
    "access-control-expose-headers",
];

/// What a later setting makes of an earlier `add` of the same header.
enum Outcome {
    /// Both stay: as operations they do what the old system does.
    Both,
    /// The later one stands alone.
    Later(Setting),
    /// It has no form here.
    None,
}

/// Leaves at most one unconditional `add` of each CORS header that a policy would take.
pub(super) fn settle(settings: Vec<Setting>, draft: &mut Draft) -> Vec<Setting> {
    let mut settled: Vec<Setting> = Vec::with_capacity(settings.len());
    for setting in settings {
        let is_earlier = |own: &Setting| {
            own.verb == Verb::Add && is_unconditional_cors(own) && own.is(&setting.key)
        };
        let earlier = match is_unconditional_cors(&setting) {
            true => settled.iter().rfind(|own| is_earlier(own)),
            false => None,
        };
        let Some(earlier) = earlier else {
            settled.push(setting);
            continue;
        };
        let later = match outcome(earlier, &setting) {
            Outcome::Both => {
                settled.push(setting);
                continue;
            }
            Outcome::Later(later) => {
                tell_overridden(earlier, &setting, draft);
                later
            }
            Outcome::None => {
                tell_removed(earlier, &setting, draft);
                Setting {
                    verb: Verb::Delete,
                    ..setting.clone()
                }
            }
        };
        settled.retain(|own| !is_earlier(own));
        settled.push(later);
    }
    settled
}

fn is_unconditional_cors(setting: &Setting) -> bool {
    let is_cors = setting.is(ALLOW_ORIGIN) || FOLDED.iter().any(|name| setting.is(name));
    is_cors && setting.condition.is_none()
}

fn outcome(earlier: &Setting, later: &Setting) -> Outcome {
    let replaced = |value: String| {
        Outcome::Later(Setting {
            verb: Verb::Add,
            value,
            duplicate: earlier.duplicate,
            ..later.clone()
        })
    };
    let is_validated = earlier.validation == Switch::On || later.validation == Switch::On;
    let is_plain = !(later.is(ALLOW_ORIGIN) && is_validated);
    match (later.verb, later.duplicate) {
        (Verb::Delete, _) | (Verb::Add, Switch::Off) => Outcome::Later(later.clone()),
        (Verb::Add, Switch::On) if LISTS.iter().any(|name| later.is(name)) => {
            replaced(format!("{}, {}", earlier.value, later.value))
        }
        // Not a policy in either order: two operations.
        (Verb::Add, Switch::On) if later.is(ALLOW_ORIGIN) && !is_policy(earlier) => Outcome::Both,
        (Verb::Modify | Verb::Rewrite, _)
            if later.is(ALLOW_ORIGIN) && earlier.duplicate == Switch::On =>
        {
            Outcome::Both
        }
        (Verb::Modify, _) if is_plain => replaced(later.value.clone()),
        (Verb::Rewrite, _) if is_plain => {
            rewritten(&earlier.value, later).map_or(Outcome::None, replaced)
        }
        (Verb::Add, Switch::On) | (Verb::Modify | Verb::Rewrite, _) => Outcome::None,
    }
}

/// What a rewrite makes of a value, if its expression is a plain text.
fn rewritten(value: &str, rewrite: &Setting) -> Option<String> {
    let source = glob_of(&rewrite.source).filter(|source| !source.contains('*'))?;
    if rewrite.destination.contains(['$', '\\']) {
        return None;
    }
    Some(match rewrite.match_all {
        Switch::On => value.replace(&source, &rewrite.destination),
        Switch::Off => value.replacen(&source, &rewrite.destination, 1),
    })
}

/// An earlier value of which nothing is left, unless that is what the later setting is for.
fn tell_overridden(earlier: &Setting, later: &Setting, draft: &mut Draft) {
    match (later.verb, later.duplicate) {
        (Verb::Add, Switch::Off) | (Verb::Modify, _) => {}
        (Verb::Add, Switch::On) | (Verb::Delete | Verb::Rewrite, _) => return,
    }
    let key = clip(&later.key);
    draft.tell(Finding {
        weight: Weight::Note,
        line: earlier.line,
        construct: format!("`{key}: {}`", clip(&earlier.value)),
        message: format!(
            "the setting in line {} comes behind it and sets the header anew, so this one is left out",
            later.line
        ),
        request: "any GET with an `Origin`".to_owned(),
        system: draft.system(),
        theirs: format!("`{key}` by line {}", later.line),
        ours: "the same".to_owned(),
        remedy: None,
    });
}

fn tell_removed(earlier: &Setting, later: &Setting, draft: &mut Draft) {
    let key = clip(&later.key);
    draft.tell(Finding {
        weight: Weight::Difference,
        line: later.line,
        construct: format!("`{key}` set in line {} and changed here", earlier.line),
        message: "what is left of the two has no form here, so neither is imported".to_owned(),
        request: "any GET with an `Origin`".to_owned(),
        system: draft.system(),
        theirs: format!("`{key}` with what the second makes of the first"),
        ours: format!("no `{key}`"),
        remedy: Some("write under [site.cors] what is meant to be sent".to_owned()),
    });
}
