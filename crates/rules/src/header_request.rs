//! Conditions of header operations on request headers, and which of them hold for one request.
//!
//! They are what keeps an edited head from being the same for every request, and what costs a walk
//! over the request's lines, so each distinct list is asked once for all operations that have it, and
//! none is when the request has no line of a name that any of them asks for. Allocates nothing for a
//! request.

use crate::glob::Glob;
use corsair_http1::{KnownField, KnownSet, Request, is_token};

/// Distinct lists whose answers are kept; those beyond are asked again for each operation.
const KEPT_MAX: usize = 256;

/// Lists whose answers [`RequestConditions::numbered`] has room for.
const NUMBERED_MAX: usize = 63;

/// A header that the request must have, with a value when one is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RequestTest {
    name: Box<[u8]>,
    known: Option<KnownField>,
    value: Option<Glob>,
}

impl RequestTest {
    /// `Name`, or `Name: value` where `*` in the value stands for any run.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (name, value) = match text.split_once(':') {
            Some((name, value)) => (name, Some(value.trim())),
            None => (text, None),
        };
        is_token(name.as_bytes()).then(|| Self {
            name: name.as_bytes().into(),
            known: KnownField::parse(name.as_bytes()),
            value: value.map(|value| Glob::split_at_stars(value.as_bytes())),
        })
    }

    pub(crate) fn asks_for(&self, field: KnownField) -> bool {
        self.known == Some(field)
    }

    fn holds(&self, request: Request<'_>) -> bool {
        let passes = |value: &[u8]| self.value.as_ref().is_none_or(|glob| glob.matches(value));
        match self.known {
            Some(field) => request.fields_named(field).any(passes),
            None => request.fields_by_name(&self.name).any(passes),
        }
    }
}

/// Whether one of the tests holds, or there are none.
pub(crate) fn any_holds(tests: &[RequestTest], request: Option<Request<'_>>) -> bool {
    tests.is_empty() || request.is_some_and(|request| tests.iter().any(|test| test.holds(request)))
}

/// The distinct lists of tests of one set of operations.
#[derive(Debug, Clone, Default)]
pub(crate) struct RequestConditions {
    lists: Vec<Box<[RequestTest]>>,
    /// Names that the lists ask for: those of the table, and the others in lower case and in order.
    known: KnownSet,
    named: Vec<Box<[u8]>>,
    /// A bit for each length of `named`; the last one stands for all that are longer.
    name_lens: u64,
}

/// Which lists hold for one request.
pub(crate) struct Holding {
    bits: [u64; KEPT_MAX / 64],
    /// Whether the request has a line that any list asks for.
    may_hold: bool,
}

impl RequestConditions {
    /// Enters a list of at least one test; the number to ask for it by.
    pub(crate) fn enter(&mut self, tests: &[RequestTest]) -> usize {
        if let Some(number) = self.lists.iter().position(|own| **own == *tests) {
            return number;
        }
        for test in tests {
            match test.known {
                Some(field) => self.known = self.known.union(KnownSet::of(&[field])),
                None => {
                    let name = test.name.to_ascii_lowercase().into_boxed_slice();
                    self.name_lens |= len_bit(&name);
                    if let Err(place) = self.named.binary_search(&name) {
                        self.named.insert(place, name);
                    }
                }
            }
        }
        self.lists.push(tests.into());
        self.lists.len() - 1
    }

    /// Asks every list, or none when the request has nothing that they ask for.
    #[inline]
    pub(crate) fn holding(&self, request: Option<Request<'_>>) -> Holding {
        let mut holding = Holding {
            bits: [0; KEPT_MAX / 64],
            may_hold: false,
        };
        if !self.lists.is_empty() && request.is_some_and(|request| self.may_hold(request)) {
            holding.may_hold = true;
            for (number, tests) in self.lists.iter().take(KEPT_MAX).enumerate() {
                holding.bits[number / 64] |= u64::from(any_holds(tests, request)) << (number % 64);
            }
        }
        holding
    }

    /// Whether the list of this number holds.
    #[inline]
    pub(crate) fn holds(
        &self,
        number: usize,
        holding: &Holding,
        request: Option<Request<'_>>,
    ) -> bool {
        holding.may_hold
            && match holding.bits.get(number / 64) {
                Some(bits) => bits >> (number % 64) & 1 == 1,
                None => any_holds(&self.lists[number], request),
            }
    }

    /// Which lists hold, as one number; `None` when one holds that a number has no room for.
    pub(crate) fn numbered(&self, holding: &Holding) -> Option<u64> {
        let all_fit = self.lists.len() <= NUMBERED_MAX;
        (all_fit || !holding.may_hold).then_some(holding.bits[0])
    }

    /// Whether the request has a line of a name that is asked for.
    fn may_hold(&self, request: Request<'_>) -> bool {
        request.any_of(self.known)
            || self.name_lens != 0
                && request.fields().any(|line| {
                    line.known.is_none()
                        && self.name_lens & len_bit(line.name) != 0
                        && self.is_named(line.name)
                })
    }

    fn is_named(&self, name: &[u8]) -> bool {
        let lower = || name.iter().map(u8::to_ascii_lowercase);
        let compare = |own: &[u8]| own.iter().copied().cmp(lower());
        self.named.binary_search_by(|own| compare(own)).is_ok()
    }
}

fn len_bit(name: &[u8]) -> u64 {
    1 << name.len().min(63)
}

#[cfg(test)]
mod tests {
    use super::*;
    use corsair_http1::{HeadLimits, RequestHead};

    /// What each list says of a request with these lines, by way of the policy's table.
    fn check(lists: &[&str], lines: &str, expected: &[bool]) {
        let bytes = format!("GET / HTTP/1.1\r\nHost: h\r\n{lines}\r\n").into_bytes();
        let mut head = RequestHead::new();
        head.parse(&bytes, &HeadLimits::default())
            .expect("a good head");
        let request = Some(head.view(&bytes));
        let lists: Vec<Vec<RequestTest>> = lists
            .iter()
            .map(|list| {
                list.split('|')
                    .map(|text| RequestTest::parse(text).expect(text))
            })
            .map(Iterator::collect)
            .collect();
        let mut conditions = RequestConditions::default();
        let numbers: Vec<usize> = lists.iter().map(|list| conditions.enter(list)).collect();
        let holding = conditions.holding(request);
        for ((list, number), expected) in lists.iter().zip(numbers).zip(expected) {
            assert_eq!(any_holds(list, request), *expected, "{list:?} {lines:?}");
            let told = conditions.holds(number, &holding, request);
            assert_eq!(told, *expected, "{list:?} {lines:?}");
        }
        let nothing = conditions.holding(None);
        assert!((0..lists.len()).all(|number| !conditions.holds(number, &nothing, None)));
    }

    #[test]
    fn lists_hold_one_by_one() {
        let lists = ["x-flag", "X-FLAG: on|Referer", "Range: bytes=*", "x-flag"];
        check(&lists, "", &[false; 4]);
        check(&lists, "X-Flow: on\r\nX-Flags: on\r\n", &[false; 4]);
        check(&lists, "x-fLAG: off\r\n", &[true, false, false, true]);
        check(&lists, "X-Flag: on\r\n", &[true, true, false, true]);
        check(&lists, "Referer: a\r\n", &[false, true, false, false]);
        check(&lists, "Range: lines=1\r\n", &[false; 4]);
        check(&lists, "Range: bytes=1-\r\n", &[false, false, true, false]);
        check(
            &lists,
            "X-Flag: off\r\nX-Flag: on\r\n",
            &[true, true, false, true],
        );
    }

    #[test]
    fn equal_lists_are_one_and_those_beyond_the_bound_hold_too() {
        let parse = |text: &str| [RequestTest::parse(text).expect("a test")];
        let mut conditions = RequestConditions::default();
        assert_eq!(conditions.enter(&parse("X-A: 1")), 0);
        assert_eq!(conditions.enter(&parse("X-A: 2")), 1);
        assert_eq!(conditions.enter(&parse("X-A: 1")), 0);
        let names: Vec<String> = (0..KEPT_MAX + 2).map(|n| format!("X-{n}")).collect();
        let lists: Vec<&str> = names.iter().map(String::as_str).collect();
        let mut expected = vec![false; lists.len()];
        expected[3] = true;
        expected[KEPT_MAX + 1] = true;
        let lines = format!("X-3: a\r\nX-{}: b\r\n", KEPT_MAX + 1);
        check(&lists, &lines, &expected);
    }

    #[test]
    fn names_of_any_length_are_found() {
        let long = "X-".to_owned() + &"n".repeat(80);
        check(
            &[&long],
            &format!("{}: 1\r\n", long.to_lowercase()),
            &[true],
        );
        check(&[&long], &format!("{long}n: 1\r\n"), &[false]);
    }
}
