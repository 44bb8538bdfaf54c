//! Heads that were parsed and found right once, for comparing the next ones byte by byte.
//!
//! Most answers of a run differ only in a date, an age, or the Web origin they echo. A head that
//! was parsed strictly and passed every rule is cut into pieces: bytes that must be the same,
//! volatile values in which any legal byte (or, in `Cache-Status`, any digit) may stand, and the
//! place of the echoed origin. A later head that fits is right for the same reasons; one that
//! does not fit is parsed and judged anew, so nothing is ever accepted unseen. Pure.

use corsair_http1::{BodyLength, KnownField, Persistence, Response};

use crate::expect::Expectation;

/// How many heads are kept for one kind of request; more would cost more than parsing.
const HEADS_MAX: usize = 8;

/// After so many heads that had to be parsed, one in this many is still learned: answers that
/// never look alike (a random header) are not worth the copying.
const LEARNED_BEFORE_DOUBT: u64 = 4096;

/// What a head says that the exchange needs to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeadFacts {
    /// Bytes of the head, with its empty line.
    pub len: usize,
    /// The status code.
    pub status: u16,
    /// How the body is delimited.
    pub body: BodyLength,
    /// Whether the connection may be used again.
    pub persistence: Persistence,
    /// What a cache on the way says of this answer.
    pub cache: CacheOutcome,
}

/// What a cache says of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum CacheOutcome {
    /// Served from the cache.
    Hit,
    /// Not served from the cache.
    Miss,
    /// No cache said anything.
    Unsaid,
}

impl CacheOutcome {
    /// All of them, in the order of [`CacheOutcome::index`].
    pub const ALL: [Self; 3] = [Self::Hit, Self::Miss, Self::Unsaid];

    /// Position in [`CacheOutcome::ALL`].
    #[must_use]
    pub const fn index(self) -> usize {
        match self {
            Self::Hit => 0,
            Self::Miss => 1,
            Self::Unsaid => 2,
        }
    }

    /// The name in every output.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hit => "hit",
            Self::Miss => "miss",
            Self::Unsaid => "unsaid",
        }
    }

    /// Reads `Cache-Status` (RFC 9211: the last member is the cache nearest to us; a `hit`
    /// parameter means it served the response), else the older `X-Cache` and `X-Cache-Status`,
    /// whose last member is the nearest cache too. Of the words these use, `HIT`, and `STALE` and
    /// `UPDATING` of nginx's `$upstream_cache_status` are answers out of the cache; `EXPIRED` and
    /// `REVALIDATED` waited for the upstream.
    #[must_use]
    pub fn of(response: Response<'_>) -> Self {
        let last = response
            .fields_named(KnownField::CacheStatus)
            .last()
            .and_then(|line| corsair_http1::list_members(line).last());
        if let Some(member) = last {
            let mut parameters = member.split(|&byte| byte == b';').skip(1);
            let is_hit = parameters.any(|text| corsair_http1::trim_ows(text) == b"hit");
            return if is_hit { Self::Hit } else { Self::Miss };
        }
        let older = [&b"X-Cache"[..], b"X-Cache-Status"]
            .iter()
            .find_map(|name| response.fields_by_name(name).last())
            .and_then(|line| corsair_http1::list_members(line).last());
        let Some(member) = older else {
            return Self::Unsaid;
        };
        let is_served = [&b"HIT"[..], b"STALE", b"UPDATING"].iter().any(|word| {
            member
                .get(..word.len())
                .is_some_and(|begin| begin.eq_ignore_ascii_case(word))
        });
        if is_served { Self::Hit } else { Self::Miss }
    }
}

/// Which field values differ from answer to answer without meaning anything. Values that a rule
/// compares, and fields that say how long an answer is or where it came from, never count as such.
#[derive(Debug, Clone, Default)]
pub struct VolatileFields {
    /// Names given by the user, besides `Date`, `Age` and `Expires`.
    pub names: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Volatility {
    Fixed,
    AnyByte,
    Digits,
    Echo,
}

impl VolatileFields {
    fn of(&self, name: &[u8], expectation: &Expectation) -> Volatility {
        if expectation.echoes_in(name) {
            return Volatility::Echo;
        }
        if expectation.compares_value_of(name) {
            return Volatility::Fixed;
        }
        // What is learned of a head must not hang on bytes that are not compared.
        let carries_facts = |name: &[u8]| {
            [&b"X-Cache"[..], b"X-Cache-Status"]
                .iter()
                .any(|n| n.eq_ignore_ascii_case(name))
        };
        match KnownField::parse(name) {
            Some(
                KnownField::ContentLength
                | KnownField::TransferEncoding
                | KnownField::Connection
                | KnownField::KeepAlive,
            ) => Volatility::Fixed,
            Some(KnownField::Date | KnownField::Age | KnownField::Expires) => Volatility::AnyByte,
            Some(KnownField::CacheStatus) => Volatility::Digits,
            _ if carries_facts(name) => Volatility::Fixed,
            _ if self
                .names
                .iter()
                .any(|n| n.as_bytes().eq_ignore_ascii_case(name)) =>
            {
                Volatility::AnyByte
            }
            _ => Volatility::Fixed,
        }
    }
}

/// One head to compare with.
#[derive(Debug, Clone)]
struct LearnedHead {
    /// The fixed bytes of all pieces, one after the other.
    fixed: Vec<u8>,
    pieces: Vec<Piece>,
    /// Bytes besides the echoed origin.
    len_without_echo: usize,
    echoes: usize,
    facts: HeadFacts,
}

#[derive(Debug, Clone, Copy)]
enum Piece {
    /// So many bytes of `fixed`.
    Fixed(usize),
    /// So many bytes that may stand in a field value.
    AnyByte(usize),
    /// So many digits.
    Digits(usize),
    /// The request's Web origin.
    Echo,
}

fn is_value_byte(byte: u8) -> bool {
    byte >= 0x20 && byte != 0x7f || byte == b'\t'
}

impl LearnedHead {
    /// Cuts a right head into pieces; `None` when the origin is not found where it is echoed.
    fn of(
        response: Response<'_>,
        facts: HeadFacts,
        origin: &[u8],
        expectation: &Expectation,
        volatile: &VolatileFields,
    ) -> Option<Self> {
        let bytes = response.bytes();
        let mut learned = Self {
            fixed: Vec::with_capacity(bytes.len()),
            pieces: Vec::new(),
            len_without_echo: 0,
            echoes: 0,
            facts,
        };
        let mut done = 0;
        for field in response.fields() {
            let volatility = volatile.of(field.name, expectation);
            if volatility == Volatility::Fixed || field.value.is_empty() {
                continue;
            }
            let start = field.value.as_ptr().addr() - bytes.as_ptr().addr();
            match volatility {
                Volatility::Fixed => {}
                Volatility::AnyByte => {
                    learned.push_fixed(&bytes[done..start]);
                    learned.pieces.push(Piece::AnyByte(field.value.len()));
                    done = start + field.value.len();
                }
                Volatility::Digits => {
                    for run in digit_runs(field.value) {
                        learned.push_fixed(&bytes[done..start + run.start]);
                        learned.pieces.push(Piece::Digits(run.len()));
                        done = start + run.end;
                    }
                }
                Volatility::Echo => {
                    let at = (!origin.is_empty())
                        .then(|| memchr::memmem::find(field.value, origin))
                        .flatten()?;
                    learned.push_fixed(&bytes[done..start + at]);
                    learned.pieces.push(Piece::Echo);
                    learned.echoes += 1;
                    done = start + at + origin.len();
                }
            }
        }
        learned.push_fixed(&bytes[done..]);
        learned.len_without_echo = bytes.len() - learned.echoes * origin.len();
        Some(learned)
    }

    fn push_fixed(&mut self, bytes: &[u8]) {
        if !bytes.is_empty() {
            self.fixed.extend_from_slice(bytes);
            self.pieces.push(Piece::Fixed(bytes.len()));
        }
    }

    /// The facts of the head at the beginning of `received`, when it fits.
    fn matches(&self, received: &[u8], origin: &[u8]) -> Option<HeadFacts> {
        let len = self.len_without_echo + self.echoes * origin.len();
        let mut head = received.get(..len)?;
        let mut fixed = self.fixed.as_slice();
        for piece in &self.pieces {
            let fits = match *piece {
                Piece::Fixed(len) => {
                    let (expected, rest) = fixed.split_at(len);
                    fixed = rest;
                    take(&mut head, len) == expected
                }
                Piece::AnyByte(len) => take(&mut head, len).iter().all(|byte| is_value_byte(*byte)),
                Piece::Digits(len) => take(&mut head, len).iter().all(u8::is_ascii_digit),
                Piece::Echo => take(&mut head, origin.len()) == origin,
            };
            if !fits {
                return None;
            }
        }
        Some(HeadFacts { len, ..self.facts })
    }
}

/// The next `len` bytes; the pieces of a head add up to its length.
fn take<'a>(head: &mut &'a [u8], len: usize) -> &'a [u8] {
    let (taken, rest) = head.split_at(len);
    *head = rest;
    taken
}

fn digit_runs(value: &[u8]) -> Vec<std::ops::Range<usize>> {
    let mut runs: Vec<std::ops::Range<usize>> = Vec::new();
    for (index, byte) in value.iter().enumerate() {
        if !byte.is_ascii_digit() {
            continue;
        }
        match runs.last_mut() {
            Some(run) if run.end == index => run.end += 1,
            _ => runs.push(index..index + 1),
        }
    }
    runs
}

/// The right heads seen so far in answers to one kind of request.
#[derive(Debug, Clone, Default)]
pub struct LearnedHeads {
    heads: Vec<LearnedHead>,
    next: usize,
    learned: u64,
    parsed: u64,
}

impl LearnedHeads {
    /// The facts of the head at the beginning of `received`, when it is one of those learned.
    /// `origin` is the Web origin of the request this answers, empty when it named none.
    #[must_use]
    pub fn recognise(&mut self, received: &[u8], origin: &[u8]) -> Option<HeadFacts> {
        let found = self
            .heads
            .iter()
            .position(|head| head.matches(received, origin).is_some())?;
        let facts = self.heads[found].matches(received, origin);
        // The one that fitted is tried first next time.
        self.heads.swap(0, found);
        facts
    }

    /// Keeps a head that was parsed and passed every rule of `expectation`.
    pub fn learn(
        &mut self,
        response: Response<'_>,
        facts: HeadFacts,
        origin: &[u8],
        expectation: &Expectation,
        volatile: &VolatileFields,
    ) {
        self.parsed += 1;
        if self.learned >= LEARNED_BEFORE_DOUBT && !self.parsed.is_multiple_of(LEARNED_BEFORE_DOUBT)
        {
            return;
        }
        let Some(head) = LearnedHead::of(response, facts, origin, expectation, volatile) else {
            return;
        };
        self.learned += 1;
        if self.heads.len() < HEADS_MAX {
            self.heads.push(head);
        } else {
            // Position 0 is in use; the others leave in turn.
            self.next = self.next % (HEADS_MAX - 1) + 1;
            self.heads[self.next] = head;
        }
    }
}
