//! What was decided lately for an origin, so that a page's requests, which all carry the same
//! `Origin`, are matched once: a few words are compared and the same lines are written again.
//!
//! Held by the caller, one per thread. What is remembered is a pure function of what it is
//! remembered under, so nothing ever has to be invalidated: another plan has other policies, under
//! another number. Refusals are remembered as grants are, so that who is refused again costs no more
//! than who is granted again. Only what is asked twice with no other newcomer to its slot between is
//! remembered: a stream of ever new origins evicts nothing and copies nothing. Decides nothing
//! itself; where it does not know, [`CorsPolicies::decide_actual`] does.

use core::hash::{BuildHasher as _, Hasher as _};

use foldhash::fast::FixedState;

use crate::cors::{CorsPolicies, RequestOrigin};
use crate::cors_answer::{ActualAnswer, CorsOutcome};

/// Slots of a memo; a power of two. With [`Slot`] 128 KiB.
const SLOTS: usize = 512;
/// Bytes for an origin and its lines; what needs more is decided each time.
const TEXT_BYTES_MAX: usize = 232;

/// Which policies: the caller's number for them, never used again for others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoliciesId {
    /// The plan's generation, from 1.
    pub generation: u64,
    /// The route's number in the plan.
    pub route: u32,
}

#[derive(Debug, Clone)]
struct Slot {
    id: PoliciesId,
    /// Of the hash of the newcomer that came last.
    candidate: u32,
    outcome: CorsOutcome,
    origin_len: u8,
    lines_len: u8,
    /// The origin, behind it its lines.
    text: [u8; TEXT_BYTES_MAX],
}

const _: () = assert!(size_of::<Slot>() == 256, "four cache lines");

impl Slot {
    const EMPTY: Self = Self {
        id: PoliciesId {
            generation: 0,
            route: 0,
        },
        candidate: 0,
        outcome: CorsOutcome::NoPolicy,
        origin_len: 0,
        lines_len: 0,
        text: [0; TEXT_BYTES_MAX],
    };

    #[inline]
    fn is_of(&self, id: PoliciesId, origin: &[u8]) -> bool {
        self.id == id && is_same(&self.text[..usize::from(self.origin_len)], origin)
    }

    #[inline]
    fn lines(&self) -> &[u8] {
        &self.text[usize::from(self.origin_len)..][..usize::from(self.lines_len)]
    }

    fn fill(&mut self, id: PoliciesId, origin: &[u8], lines: &[u8], outcome: CorsOutcome) {
        let text_len = origin.len() + lines.len();
        let lens = (u8::try_from(origin.len()), u8::try_from(lines.len()));
        if let (true, (Ok(origin_len), Ok(lines_len))) = (text_len <= TEXT_BYTES_MAX, lens) {
            self.id = id;
            self.outcome = outcome;
            self.origin_len = origin_len;
            self.lines_len = lines_len;
            self.text[..origin.len()].copy_from_slice(origin);
            self.text[origin.len()..text_len].copy_from_slice(lines);
        }
    }
}

/// Decisions of one thread, by policies and origin; see the module.
///
/// ```
/// use corsair_rules::{AnswerMemo, CorsPolicies, CorsPolicySpec, PoliciesId, RequestOrigin};
/// let origins = vec!["https://*.example.com".into()];
/// let spec = CorsPolicySpec { origins, ..Default::default() };
/// let policies = CorsPolicies::compile(vec![spec]).unwrap();
/// let id = PoliciesId { generation: 1, route: 0 };
/// let mut memo = AnswerMemo::new(7);
/// for _ in 0..3 {
///     let origin = RequestOrigin::One(b"https://app.example.com");
///     let mut out = Vec::new();
///     memo.answer(id, &policies, origin, b"GET", None, &mut out);
///     assert_eq!(out, b"Access-Control-Allow-Origin: https://app.example.com\r\n");
/// }
/// ```
#[derive(Debug)]
pub struct AnswerMemo {
    slots: Box<[Slot]>,
    hashing: FixedState,
}

impl AnswerMemo {
    /// An empty memo of 128 KiB. Under a secret `seed` nobody can choose origins that share a slot;
    /// all that sharing costs is to decide again.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            slots: vec![Slot::EMPTY; SLOTS].into(),
            hashing: FixedState::with_seed(seed),
        }
    }

    /// Appends the field lines that [`CorsPolicies::decide_actual`] and [`ActualAnswer::write`]
    /// would append, and says what was decided. Allocates nothing beyond `out`.
    #[inline]
    pub fn answer(
        &mut self,
        id: PoliciesId,
        policies: &CorsPolicies,
        origin: RequestOrigin<'_>,
        method: &[u8],
        content_type: Option<&[u8]>,
        out: &mut Vec<u8>,
    ) -> CorsOutcome {
        let decide = || policies.decide_actual(origin, method, content_type);
        let RequestOrigin::One(value) = origin else {
            return write(&decide(), out, origin);
        };
        if method != b"GET" || !policies.decides_by_origin() {
            return write(&decide(), out, origin);
        }
        let hash = self.hash(id, value);
        let slot = &mut self.slots[slot_of(hash)];
        if slot.is_of(id, value) {
            out.extend_from_slice(slot.lines());
            return slot.outcome;
        }
        let start = out.len();
        let answer = decide();
        let outcome = write(&answer, out, origin);
        let candidate = hash as u32;
        if slot.candidate == candidate {
            slot.fill(id, value, &out[start..], outcome);
        }
        slot.candidate = candidate;
        outcome
    }

    #[inline]
    fn hash(&self, id: PoliciesId, origin: &[u8]) -> u64 {
        let mut hasher = self.hashing.build_hasher();
        hasher.write(origin);
        hasher.finish().wrapping_add(u64::from(id.route) << 56)
    }
}

/// By the hash's high bits; its low ones are the candidate.
#[inline]
fn slot_of(hash: u64) -> usize {
    (hash >> (u64::BITS - SLOTS.ilog2())) as usize
}

fn write(answer: &ActualAnswer<'_>, out: &mut Vec<u8>, origin: RequestOrigin<'_>) -> CorsOutcome {
    answer.write(out, origin);
    answer.outcome()
}

/// Whether two origins are the same bytes. Most have 16 to 32, which two reads from either end
/// compare without a call.
#[inline]
fn is_same(one: &[u8], other: &[u8]) -> bool {
    match one.len() {
        16..=32 => {
            other.len() == one.len()
                && one.first_chunk::<16>() == other.first_chunk::<16>()
                && one.last_chunk::<16>() == other.last_chunk::<16>()
        }
        _ => one == other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cors_spec::CorsPolicySpec;

    const ID: PoliciesId = PoliciesId {
        generation: 1,
        route: 0,
    };

    fn policies(origins: &[&str]) -> CorsPolicies {
        let spec = CorsPolicySpec {
            origins: origins.iter().map(|&own| own.into()).collect(),
            ..CorsPolicySpec::default()
        };
        CorsPolicies::compile(vec![spec]).expect("a policy")
    }

    fn ask(memo: &mut AnswerMemo, policies: &CorsPolicies, origin: &str) -> (CorsOutcome, String) {
        let mut out = b"before ".to_vec();
        let origin = RequestOrigin::One(origin.as_bytes());
        let outcome = memo.answer(ID, policies, origin, b"GET", None, &mut out);
        let text = String::from_utf8(out.split_off(7)).expect("text");
        (outcome, text)
    }

    fn knows(memo: &AnswerMemo, id: PoliciesId, origin: &str) -> bool {
        let hash = memo.hash(id, origin.as_bytes());
        memo.slots[slot_of(hash)].is_of(id, origin.as_bytes())
    }

    /// If it decided anew each time, the second policies' answer would show.
    #[test]
    fn the_second_time_is_remembered_and_the_third_is_not_decided() {
        let (first, other) = (
            policies(&["https://a.example"]),
            policies(&["https://b.example"]),
        );
        let mut memo = AnswerMemo::new(1);
        let granted = (
            CorsOutcome::Granted,
            "Access-Control-Allow-Origin: https://a.example\r\n".to_owned(),
        );
        for asked in 1..=2 {
            assert_eq!(ask(&mut memo, &first, "https://a.example"), granted);
            assert_eq!(knows(&memo, ID, "https://a.example"), asked == 2);
        }
        assert_eq!(ask(&mut memo, &other, "https://a.example"), granted);
        let later = PoliciesId {
            generation: 2,
            ..ID
        };
        assert!(!knows(&memo, later, "https://a.example"));
    }

    #[test]
    fn refusals_are_remembered_and_long_answers_are_not() {
        let long = format!("https://{}.example", vec!["label"; 35].join("."));
        let policies = policies(&["https://a.example", &long]);
        let mut memo = AnswerMemo::new(1);
        let refused = (CorsOutcome::RefusedOrigin, String::new());
        for _ in 0..3 {
            assert_eq!(ask(&mut memo, &policies, "https://b.example"), refused);
            assert!(ask(&mut memo, &policies, &long).1.contains(&long));
        }
        assert!(knows(&memo, ID, "https://b.example"));
        assert!(!knows(&memo, ID, &long));
    }

    /// Whoever invents origins under a wildcard takes no slot from who comes again.
    #[test]
    fn ever_new_origins_evict_nothing() {
        let policies = policies(&["https://*.example"]);
        let mut memo = AnswerMemo::new(1);
        for _ in 0..2 {
            ask(&mut memo, &policies, "https://regular.example");
        }
        for number in 0..20 * SLOTS {
            ask(&mut memo, &policies, &format!("https://n{number}.example"));
        }
        assert!(knows(&memo, ID, "https://regular.example"));
    }

    #[test]
    fn origins_are_compared_whole() {
        for len in 0..70 {
            let one = vec![b'a'; len];
            assert!(is_same(&one, &one));
            assert!(!is_same(&one, &vec![b'a'; len + 1]));
            for at in 0..len {
                let mut other = one.clone();
                other[at] = b'b';
                assert!(!is_same(&one, &other), "{len} {at}");
            }
        }
    }
}
