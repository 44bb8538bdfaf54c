//! The kinds of requests and responses that the policies of two routes tell apart, one of each.
//!
//! Policies know methods by name, content types by name or by their first half, and request headers by
//! name or, in dialect `s3`, by what they begin and end with. A header's kind is which of all the patterns
//! cover it. A name as long as the longest beginning and the longest ending that it has together is
//! covered by every pattern of a shorter or equal beginning and ending of it, so those two decide; in a
//! shorter name the two overlap, and there are few enough to list. So the names here are exact: what is
//! true of each of them is true of every name. Beyond a bound that no policy written by a person reaches,
//! `has_all_headers` says that they are not.

use std::collections::BTreeSet;
use std::ops::Bound;

use corsair_rules::PolicyView;

use super::Side;

/// Most pairs of a beginning and an ending that are looked at.
const PAIRS_MAX: usize = 2500;

/// A kind of request or response that policies tell apart.
#[derive(Debug, Clone, Default)]
pub(super) struct Kind {
    pub(super) method: Option<String>,
    pub(super) headers: Vec<String>,
    /// Empty: the response has none.
    pub(super) content_type: Option<String>,
}

impl Kind {
    pub(super) fn passes(&self, view: PolicyView<'_>) -> bool {
        self.method
            .as_ref()
            .is_none_or(|method| view.allows_method(method))
            && self.headers.iter().all(|name| view.allows_header(name))
            && self
                .content_type
                .as_ref()
                .is_none_or(|own| view.covers(own))
    }
}

/// Every kind that either side tells apart.
pub(super) struct Kinds {
    pub(super) methods: Vec<String>,
    pub(super) headers: Vec<String>,
    pub(super) types: Vec<String>,
    /// Whether `headers` has a name of each kind.
    pub(super) has_all_headers: bool,
    other_method: String,
    other_header: Option<String>,
    other_type: String,
}

impl Kinds {
    pub(super) fn of(old: &Side<'_>, new: &Side<'_>) -> Self {
        let views: Vec<PolicyView<'_>> = [old, new]
            .into_iter()
            .flat_map(|side| side.policies.iter().map(|(view, _)| *view))
            .collect();
        let mut methods: Vec<String> = ["GET", "HEAD", "POST"].map(str::to_owned).into();
        methods.extend(views.iter().flat_map(|view| view.methods()));
        methods.retain(|name| name != "*");
        let other_method = unlisted("X-ANY-OTHER", &methods);
        methods.push(other_method.clone());

        let (types, other_type) = content_types(&views);
        let headers = HeaderNames::of(&views);
        Self {
            methods: in_order(methods),
            headers: in_order(headers.names),
            types,
            has_all_headers: headers.are_all,
            other_method,
            other_header: headers.other,
            other_type,
        }
    }

    /// A kind's name for people.
    pub(super) fn shown(&self, name: &str) -> String {
        if name == self.other_method {
            "every other method".to_owned()
        } else if self.other_header.as_deref() == Some(name) {
            "every other but authorization".to_owned()
        } else if name == self.other_type {
            "every other type".to_owned()
        } else if name.is_empty() {
            "no content type".to_owned()
        } else {
            name.to_owned()
        }
    }
}

/// One content type of each kind, in order, and the one that nobody names.
pub(in crate::diff) fn content_types(views: &[PolicyView<'_>]) -> (Vec<String>, String) {
    let patterns: Vec<String> = views.iter().flat_map(|view| view.content_types()).collect();
    let part = unlisted_part(&patterns);
    let other_type = format!("{part}/{part}");
    let mut types: Vec<String> = patterns
        .iter()
        .map(|pattern| pattern.replace('*', &part))
        .collect();
    types.extend([other_type.clone(), String::new()]);
    (in_order(types), other_type)
}

fn in_order(mut names: Vec<String>) -> Vec<String> {
    names.sort();
    names.dedup();
    names
}

/// A name that is none of these, like the one given.
fn unlisted(like: &str, names: &[String]) -> String {
    let mut name = like.to_owned();
    while names.contains(&name) {
        name.push('X');
    }
    name
}

/// What stands for a star in a content type, and for a type that nobody names.
fn unlisted_part(patterns: &[String]) -> String {
    let mut part = "x-any".to_owned();
    let is_listed = |part: &str| {
        let mut halves = patterns.iter().flat_map(|pattern| pattern.split('/'));
        halves.any(|half| half.eq_ignore_ascii_case(part))
    };
    while is_listed(&part) {
        part.push('x');
    }
    part
}

/// Names of request headers, one of each kind.
struct HeaderNames {
    names: Vec<String>,
    /// The one that no pattern but `*` covers, when there is such a name.
    other: Option<String>,
    are_all: bool,
}

impl HeaderNames {
    fn of(views: &[PolicyView<'_>]) -> Self {
        let mut names: Vec<String> = views.iter().flat_map(|view| view.header_names()).collect();
        // No star covers it.
        names.push("authorization".to_owned());
        let starred: BTreeSet<(String, String)> = views
            .iter()
            .flat_map(|view| view.starred_headers())
            .collect();
        let ends = Ends::of(&starred);
        let mut pairs: BTreeSet<(&str, &str)> = BTreeSet::from([("", "")]);
        let are_all = ends.before.len() * ends.behind.len() <= PAIRS_MAX;
        if are_all {
            let crossed = |before| ends.behind.iter().map(move |behind| (before, &**behind));
            pairs.extend(ends.before.iter().flat_map(|before| crossed(&**before)));
        } else {
            pairs.extend(
                starred
                    .iter()
                    .map(|(before, behind)| (&**before, &**behind)),
            );
        }
        let listed: BTreeSet<String> = names.iter().cloned().collect();
        let mut other = None;
        for (before, behind) in pairs {
            let long = ends.name_between(before, behind, &listed);
            if before.is_empty() && behind.is_empty() {
                other.clone_from(&long);
            }
            // Two ends side by side are a name like any longer one.
            let least_shared = usize::from(long.is_some());
            names.extend(long);
            names.extend(overlapping(before, behind, least_shared));
        }
        Self {
            names,
            other,
            are_all,
        }
    }
}

/// The names that begin and end so, with as many bytes or more that belong to both ends.
fn overlapping<'n>(
    before: &'n str,
    behind: &'n str,
    least_shared: usize,
) -> impl Iterator<Item = String> + use<'n> {
    let most = before.len().min(behind.len());
    (least_shared..=most)
        .filter(move |&shared| before.as_bytes().ends_with(&behind.as_bytes()[..shared]))
        .map(move |shared| format!("{before}{}", &behind[shared..]))
        .filter(|name| !name.is_empty())
}

/// What patterns want a name to begin and to end with; nothing at all among them.
struct Ends {
    before: BTreeSet<String>,
    behind: BTreeSet<String>,
    /// The endings from their last byte to their first.
    behind_reversed: BTreeSet<String>,
}

impl Ends {
    fn of(starred: &BTreeSet<(String, String)>) -> Self {
        let mut before: BTreeSet<String> = starred.iter().map(|own| own.0.clone()).collect();
        let mut behind: BTreeSet<String> = starred.iter().map(|own| own.1.clone()).collect();
        before.insert(String::new());
        behind.insert(String::new());
        Self {
            behind_reversed: behind.iter().map(|own| reversed(own)).collect(),
            before,
            behind,
        }
    }

    /// A name that is not listed and has this as its longest beginning and that as its longest ending,
    /// the two apart; `None` when every such name has a longer one.
    fn name_between(
        &self,
        before: &str,
        behind: &str,
        listed: &BTreeSet<String>,
    ) -> Option<String> {
        let readable = match (before, behind) {
            ("", "") => "x-any-other".to_owned(),
            _ => format!("{before}any{behind}"),
        };
        let is_between = self
            .before
            .iter()
            .all(|own| own.len() <= before.len() || !readable.starts_with(own.as_str()))
            && self
                .behind
                .iter()
                .all(|own| own.len() <= behind.len() || !readable.ends_with(own.as_str()));
        if is_between && !listed.contains(&readable) {
            return Some(readable);
        }
        let begin = leaving(before, &self.before)?;
        let end = reversed(&leaving(&reversed(behind), &self.behind_reversed)?);
        let with = |count: usize| format!("{begin}{}{end}", "-".repeat(count));
        (0..=listed.len())
            .map(with)
            .find(|name| !listed.contains(name))
    }
}

/// `begin` with more bytes behind it, so that no longer text of `texts` can begin what begins so.
fn leaving(begin: &str, texts: &BTreeSet<String>) -> Option<String> {
    /// The bytes of a lower-case field name (RFC 9110 §5.6.2).
    const BYTES: &str = "abcdefghijklmnopqrstuvwxyz0123456789-_!#$%&'+.^`|~*";
    let continued = |text: &str| {
        let mut at_or_behind = texts.range::<str, _>((Bound::Included(text), Bound::Unbounded));
        at_or_behind.next().is_some_and(|own| own.starts_with(text))
    };
    let longer = || BYTES.chars().map(|byte| format!("{begin}{byte}"));
    longer().find(|text| !continued(text)).or_else(|| {
        longer()
            .filter(|text| !texts.contains(text))
            .find_map(|text| leaving(&text, texts))
    })
}

fn reversed(text: &str) -> String {
    text.chars().rev().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Which patterns cover a name, as a policy asks it.
    fn covering(starred: &BTreeSet<(String, String)>, name: &str) -> Vec<bool> {
        let covers = |(before, behind): &(String, String)| {
            name.len() >= before.len() + behind.len()
                && name.starts_with(before.as_str())
                && name.ends_with(behind.as_str())
        };
        starred.iter().map(covers).collect()
    }

    /// Every name over a small alphabet is covered like one of the names that are made.
    fn check(patterns: &[&str], listed: &[&str]) {
        let starred: BTreeSet<(String, String)> = patterns
            .iter()
            .map(|text| text.split_once('*').expect("a star"))
            .map(|(before, behind)| (before.to_owned(), behind.to_owned()))
            .collect();
        let listed: BTreeSet<String> = listed.iter().map(|&name| name.to_owned()).collect();
        let ends = Ends::of(&starred);
        let mut kinds = BTreeSet::new();
        for before in &ends.before {
            for behind in &ends.behind {
                let long = ends.name_between(before, behind, &listed);
                let least_shared = usize::from(long.is_some());
                let short = overlapping(before, behind, least_shared);
                let made = long.into_iter().chain(short);
                let unlisted = made.filter(|name| !listed.contains(name));
                kinds.extend(unlisted.map(|name| covering(&starred, &name)));
            }
        }
        let mut names = vec![String::new()];
        for _ in 0..6 {
            let longer = |name: &String| ["a", "b", "-"].map(|byte| format!("{name}{byte}"));
            names = names.iter().flat_map(longer).collect();
            for name in names.iter().filter(|name| !listed.contains(*name)) {
                let kind = covering(&starred, name);
                assert!(kinds.contains(&kind), "{name} of {patterns:?} {listed:?}");
            }
        }
    }

    #[test]
    fn every_name_is_of_a_kind_that_is_made() {
        check(&[], &[]);
        check(&["a*"], &[]);
        check(&["a*", "*b"], &["aanyb", "ab"]);
        check(&["a*", "ab*", "*ba", "*a"], &[]);
        check(&["ab*ba", "ab*", "*ba"], &[]);
        check(&["ab*ba", "aba*", "*aba", "a*a"], &["aba"]);
        check(&["aany*", "any*", "*any", "x*", "*r"], &["x-any-other"]);
        check(&["a*", "b*", "-*"], &[]);
        check(&["aa*", "ab*", "a-*", "*a", "*b"], &["a"]);
        check(&["a-*-b", "a*b", "a-b*", "*a-b", "-*"], &["a-b"]);
    }

    #[test]
    fn a_beginning_with_every_byte_behind_it_leaves_no_longer_name() {
        let all = "abcdefghijklmnopqrstuvwxyz0123456789-_!#$%&'+.^`|~*";
        let texts: BTreeSet<String> = all.chars().map(|byte| format!("x{byte}")).collect();
        assert_eq!(leaving("x", &texts), None);
        let mut but_one = texts;
        but_one.remove("xq");
        assert_eq!(leaving("x", &but_one).as_deref(), Some("xq"));
        but_one.insert("xqa".to_owned());
        assert_eq!(leaving("x", &but_one).as_deref(), Some("xqb"));
    }
}
