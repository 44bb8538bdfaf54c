//! `[site.cache]`: how long responses are stored, on top of what is inherited.

use core::time::Duration;

use corsair_cache::CachePolicy;

use crate::diagnostic::Code;
use crate::fields::Fields;
use crate::plan::CacheBudget;
use crate::quantity::show_size;
use crate::report::Report;

/// The inherited policy with every key that is written here in place of its value there.
pub(crate) fn read_cache_policy(
    fields: &Fields<'_>,
    inherited: &CachePolicy,
    budget: &CacheBudget,
    report: &mut Report,
) -> CachePolicy {
    let millis = |name| fields.number(name).map(Duration::from_millis);
    let mut policy = inherited.clone();
    if let Some(ttl) = millis("ttl") {
        policy.ttl = ttl;
    }
    if let Some(pairs) = fields.status_durations("status_ttl") {
        policy.status_ttl = pairs
            .iter()
            .map(|(status, ms)| (*status, Duration::from_millis(*ms)))
            .collect();
    }
    if let Some(ttl) = millis("override_ttl") {
        policy.override_ttl = Some(ttl);
    }
    if let Some(heuristic) = fields.flag("heuristic") {
        policy.heuristic = heuristic;
    }
    if let Some(window) = millis("stale_while_revalidate") {
        policy.stale_while_revalidate = window;
    }
    if let Some(window) = millis("stale_if_error") {
        policy.stale_if_error = window;
    }
    if let Some(bytes) = fields.number("max_object") {
        policy.max_object = bytes;
        let most = object_bytes_max(budget);
        if bytes > most {
            let message = format!(
                "`max_object` of {} is more than the store can keep of one response",
                show_size(bytes)
            );
            let remedy =
                format!("raise [cache] memory, or write at most two fifths of it, {most} bytes",);
            report.add(Code::OutOfRange, fields.at("max_object"), message, remedy);
        }
    }
    policy
}

/// The policy of a site that says nothing.
pub(crate) fn default_policy(budget: &CacheBudget) -> CachePolicy {
    let standard = CachePolicy::default();
    let max_object = standard.max_object.min(object_bytes_max(budget));
    CachePolicy {
        max_object,
        ..standard
    }
}

/// A store refuses what weighs more than two fifths of its smallest shard; there is one shard
/// until the store is 32 times its largest object.
fn object_bytes_max(budget: &CacheBudget) -> u64 {
    budget.memory / 5 * 2
}
