//! Which patterns of a set are needless, because another one covers all they allow.
//!
//! Close to linear in the number of patterns: each asks the compiled table what else would have
//! decided for it. "Covers" is a strict order (shorter suffix, any port, `*://`, earlier), so that
//! removing all reported patterns at once never removes an origin from the set.

use super::{
    Asked, AskedPort, Breadth, OriginSet, PORT_ANY, PortCode, Record, SchemeCode, TAG_GROUP,
    TAG_PORT_ANY, TAG_SCHEME, first_of, push_records, record_key,
};
use crate::host_table::{Key, Payload};
use crate::host_tail::PaddedHost;
use crate::origin_pattern::OriginPattern;
use std::collections::BTreeMap;

/// One pattern that another one makes needless.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Redundant {
    pub(crate) needless: u32,
    pub(crate) by: u32,
}

/// Whether a covering pattern is looked for under the record's own host, or under a wider one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SameKey {
    Yes,
    No,
}

impl OriginSet {
    /// The patterns without which the set would allow the same origins, each with one that covers
    /// it. Removing all of them at once is safe. `patterns` are those the set was compiled from.
    ///
    /// Coverage among star-anywhere patterns is reported for equal ones only.
    pub(crate) fn redundant(&self, patterns: &[OriginPattern]) -> Vec<Redundant> {
        let mut found = Vec::new();
        let mut anywhere_seen = BTreeMap::new();
        for (needless, pattern) in (0u32..).zip(patterns) {
            let by = match (self.star, pattern) {
                (Some(star), _) => (star != needless).then_some(star),
                (None, OriginPattern::Null) => self.null.filter(|&null| null != needless),
                (None, OriginPattern::StarAnywhere { prefix, suffix }) => {
                    let first = *anywhere_seen.entry((prefix, suffix)).or_insert(needless);
                    (first != needless).then_some(first)
                }
                // These go by hosts, below.
                (
                    None,
                    OriginPattern::Star | OriginPattern::Exact(_) | OriginPattern::Suffix(_),
                ) => None,
            };
            found.extend(by.map(|by| Redundant { needless, by }));
        }
        if self.star.is_none() {
            self.redundant_hosts(patterns, &mut found);
        }
        found.sort_unstable_by_key(|redundant| redundant.needless);
        found
    }

    /// In the table's own order, which reads memory from one end to the other.
    fn redundant_hosts(&self, patterns: &[OriginPattern], found: &mut Vec<Redundant>) {
        let mut members = Vec::new();
        for (key, payload) in self.table.keys() {
            members.clear();
            if payload.tag & TAG_SCHEME == TAG_GROUP {
                members.extend(
                    self.group(payload.reference)
                        .iter()
                        .map(|record| record.pattern),
                );
                members.sort_unstable();
                members.dedup();
            } else if self.table.has_suffixes() || self.anywhere.is_some() {
                members.push(payload.reference);
            }
            for &needless in &members {
                let pattern = &patterns[needless as usize];
                let by = self
                    .covered_rule(needless, key, payload, pattern)
                    .or_else(|| {
                        let constant = pattern.as_constant()?;
                        self.anywhere.as_ref()?.find(constant.as_bytes())
                    });
                found.extend(by.map(|by| Redundant { needless, by }));
            }
        }
    }

    /// A pattern that covers a record of this one, when each of its records is covered.
    fn covered_rule(
        &self,
        index: u32,
        key: Key<'_>,
        payload: Payload,
        pattern: &OriginPattern,
    ) -> Option<u32> {
        let (OriginPattern::Exact(rule) | OriginPattern::Suffix(rule)) = pattern else {
            return None;
        };
        let mut own = Vec::with_capacity(2);
        push_records(index, rule, &self.custom_schemes, &mut own);
        let mut by = None;
        for record in own {
            let same_host = self.covering_record(payload, record, SameKey::Yes);
            let covering = same_host.or_else(|| {
                // Only suffixes shorter than the host: what stands behind its dots.
                let host = PaddedHost::copy(key.text.iter().copied());
                self.table.find_suffix(&host.tail()?, |_, payload| {
                    self.covering_record(payload, record, SameKey::No)
                })
            });
            by = Some(covering?);
        }
        by
    }

    /// A pattern of this key that allows all that `record` does; on the record's own key, only one
    /// that is wider, or equal and earlier.
    fn covering_record(&self, payload: Payload, record: Record, same_key: SameKey) -> Option<u32> {
        let scheme = (record.scheme_and_port >> 32) as SchemeCode;
        let port = record.scheme_and_port as PortCode;
        if payload.tag & TAG_SCHEME != TAG_GROUP {
            // A key with one pattern: on the record's own key that is the record's own pattern.
            let any_port = payload.tag & TAG_PORT_ANY != 0;
            let wide_enough = port != PORT_ANY || any_port;
            let allows = || self.admit(payload, Asked::new(scheme, AskedPort::of(port)));
            return (same_key == SameKey::No && wide_enough)
                .then(allows)
                .flatten();
        }
        let records = self.group(payload.reference);
        let at = |port, breadth| first_of(records, record_key(scheme, port), breadth);
        if port != PORT_ANY
            && let Some(any) = at(PORT_ANY, Breadth::Narrow)
        {
            return Some(any.pattern);
        }
        if same_key == SameKey::No {
            return at(port, Breadth::Narrow).map(|own| own.pattern);
        }
        let covers = |other: &&Record| {
            let earlier = other.breadth == record.breadth && other.pattern < record.pattern;
            other.breadth > record.breadth || earlier
        };
        [at(port, Breadth::Wide), at(port, Breadth::Narrow)]
            .into_iter()
            .flatten()
            .find(covers)
            .map(|other| other.pattern)
    }
}
