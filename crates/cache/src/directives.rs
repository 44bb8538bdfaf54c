//! Cache directives of requests and responses.
//!
//! RFC 9111 §5.2 (`Cache-Control`), §5.4 (`Pragma`), RFC 9213 (`CDN-Cache-Control`), RFC 5861, RFC
//! 8246. Where a sender contradicts itself or writes an argument wrong, the reading that caches
//! less counts: the lower lifetime, and 0 for a lifetime nobody can read (RFC 9111 §4.2.1). Unknown
//! directives are ignored. This module decides nothing; it only reads.

use corsair_http1::{FieldSection, KnownField, KnownSet, Request, is_token_byte, list_members};

use crate::structured::{MemberValue, parse_dictionary};
use crate::time::DELTA_SECONDS_MAX;

/// What a response's directives say. Lifetimes in seconds, at most 2³¹.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct ResponseDirectives {
    /// `no-store`
    pub no_store: bool,
    /// `no-cache`, also with field names: then the whole response is revalidated, as §5.2.2.4
    /// allows.
    pub no_cache: bool,
    /// `private`, also with field names: then the whole response is private, as §5.2.2.7 allows.
    pub private: bool,
    /// `public`
    pub public: bool,
    /// `must-revalidate`
    pub must_revalidate: bool,
    /// `proxy-revalidate`
    pub proxy_revalidate: bool,
    /// `must-understand`
    pub must_understand: bool,
    /// `immutable` (RFC 8246)
    pub immutable: bool,
    /// `max-age`
    pub max_age: Option<u64>,
    /// `s-maxage`
    pub s_maxage: Option<u64>,
    /// `stale-while-revalidate` (RFC 5861 §3)
    pub stale_while_revalidate: Option<u64>,
    /// `stale-if-error` (RFC 5861 §4)
    pub stale_if_error: Option<u64>,
    /// Which field they come from.
    pub source: DirectiveSource,
}

/// Which field the directives of a response were read from.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum DirectiveSource {
    /// No field with directives.
    #[default]
    None,
    /// `Cache-Control`; `Expires` counts beside it.
    CacheControl,
    /// A targeted field: `Cache-Control` and `Expires` do not count (RFC 9213 §2.2).
    Targeted,
}

impl ResponseDirectives {
    /// Reads the directives that count for this cache: those of `CDN-Cache-Control` when it is a
    /// valid, non-empty structured dictionary, else those of `Cache-Control`.
    ///
    /// ```
    /// use corsair_cache::ResponseDirectives;
    /// use corsair_http1::FieldSection;
    /// let mut fields = FieldSection::new();
    /// fields.push(b"Cache-Control", b"max-age=60, max-age=30, s-maxage=\"90\"");
    /// let directives = ResponseDirectives::parse(&fields);
    /// assert_eq!((directives.max_age, directives.s_maxage), (Some(30), Some(90)));
    /// ```
    #[must_use]
    pub fn parse(fields: &FieldSection) -> Self {
        if fields.has(KnownField::CdnCacheControl)
            && let Some(targeted) = Self::parse_targeted(fields)
        {
            return targeted;
        }
        let mut directives = Self::default();
        for line in fields.all(KnownField::CacheControl) {
            directives.source = DirectiveSource::CacheControl;
            for member in list_members(line) {
                let (name, argument) = split_directive(member);
                directives.note(name, Seconds::of(argument));
            }
        }
        directives
    }

    fn parse_targeted(fields: &FieldSection) -> Option<Self> {
        let mut directives = Self {
            source: DirectiveSource::Targeted,
            ..Self::default()
        };
        let lines = fields.all(KnownField::CdnCacheControl);
        let members = parse_dictionary(lines, |key, value| {
            let seconds = match value {
                MemberValue::False => return,
                MemberValue::Integer(n) => {
                    u64::try_from(n).map_or(Seconds::Unreadable, Seconds::clamped)
                }
                MemberValue::True | MemberValue::Other => Seconds::Unreadable,
            };
            directives.note(key, seconds);
        });
        (members.ok()? > 0).then_some(directives)
    }

    fn note(&mut self, name: &[u8], seconds: Seconds) {
        let is = |wanted: &str| name.eq_ignore_ascii_case(wanted.as_bytes());
        if is("max-age") {
            lower(&mut self.max_age, seconds.or_stale());
        } else if is("s-maxage") {
            lower(&mut self.s_maxage, seconds.or_stale());
        } else if is("no-store") {
            self.no_store = true;
        } else if is("no-cache") {
            self.no_cache = true;
        } else if is("private") {
            self.private = true;
        } else if is("public") {
            self.public = true;
        } else if is("must-revalidate") {
            self.must_revalidate = true;
        } else if is("proxy-revalidate") {
            self.proxy_revalidate = true;
        } else if is("must-understand") {
            self.must_understand = true;
        } else if is("immutable") {
            self.immutable = true;
        } else if is("stale-while-revalidate") {
            lower(&mut self.stale_while_revalidate, seconds.or_stale());
        } else if is("stale-if-error") {
            lower(&mut self.stale_if_error, seconds.or_stale());
        }
    }
}

/// What a request's directives ask for. Times in seconds, at most 2³¹.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct RequestDirectives {
    /// `no-cache`, or `Pragma: no-cache` without any `Cache-Control` (§5.4).
    pub no_cache: bool,
    /// `no-store`: the answer must not be stored.
    pub no_store: bool,
    /// `only-if-cached`: no answer from the upstream is wanted.
    pub only_if_cached: bool,
    /// `max-age`: the greatest age wanted.
    pub max_age: Option<u64>,
    /// `min-fresh`: how long the response must stay fresh.
    pub min_fresh: Option<u64>,
    /// `max-stale`: how stale the response may be; 2³¹ when any staleness will do.
    pub max_stale: Option<u64>,
    /// `stale-if-error` (RFC 5861 §4).
    pub stale_if_error: Option<u64>,
}

impl RequestDirectives {
    /// A request without directives.
    pub const NONE: Self = Self {
        no_cache: false,
        no_store: false,
        only_if_cached: false,
        max_age: None,
        min_fresh: None,
        max_stale: None,
        stale_if_error: None,
    };

    /// Reads the directives of a request. One test of a bit set when it has none.
    ///
    /// An argument that is no number is read as the demand that caches least: `max-age` as 0,
    /// `max-stale` and `stale-if-error` as 0, `min-fresh` as 2³¹.
    #[must_use]
    #[inline]
    pub fn parse(request: Request<'_>) -> Self {
        const FIELDS: KnownSet = KnownSet::of(&[KnownField::CacheControl, KnownField::Pragma]);
        if !request.any_of(FIELDS) {
            return Self::NONE;
        }
        Self::parse_fields(request)
    }

    fn parse_fields(request: Request<'_>) -> Self {
        let mut directives = Self::NONE;
        if !request.has(KnownField::CacheControl) {
            directives.no_cache = request
                .fields_named(KnownField::Pragma)
                .flat_map(list_members)
                .any(|member| split_directive(member).0.eq_ignore_ascii_case(b"no-cache"));
            return directives;
        }
        for member in request
            .fields_named(KnownField::CacheControl)
            .flat_map(list_members)
        {
            let (name, argument) = split_directive(member);
            directives.note(name, argument);
        }
        directives
    }

    fn note(&mut self, name: &[u8], argument: Argument<'_>) {
        let is = |wanted: &str| name.eq_ignore_ascii_case(wanted.as_bytes());
        let seconds = Seconds::of(argument);
        if is("max-age") {
            lower(&mut self.max_age, seconds.or_stale());
        } else if is("no-cache") {
            self.no_cache = true;
        } else if is("no-store") {
            self.no_store = true;
        } else if is("only-if-cached") {
            self.only_if_cached = true;
        } else if is("min-fresh") {
            let wanted = seconds.known().unwrap_or(DELTA_SECONDS_MAX);
            self.min_fresh = Some(self.min_fresh.map_or(wanted, |already| already.max(wanted)));
        } else if is("max-stale") {
            let allowed = match argument {
                Argument::Absent => DELTA_SECONDS_MAX,
                Argument::Text(_) | Argument::Malformed => seconds.or_stale(),
            };
            lower(&mut self.max_stale, allowed);
        } else if is("stale-if-error") {
            lower(&mut self.stale_if_error, seconds.or_stale());
        }
    }
}

fn lower(slot: &mut Option<u64>, value: u64) {
    *slot = Some(slot.map_or(value, |already| already.min(value)));
}

/// The argument of a directive.
#[derive(Clone, Copy)]
enum Argument<'a> {
    Absent,
    /// Token or inside of a quoted string; escapes are kept.
    Text(&'a [u8]),
    Malformed,
}

/// Splits `name[=argument]`. The name is the leading token; anything that is not cleanly `=` and
/// one token or quoted string behind it makes the argument malformed, and the directive counts.
fn split_directive(member: &[u8]) -> (&[u8], Argument<'_>) {
    let name_end = member
        .iter()
        .position(|&b| !is_token_byte(b))
        .unwrap_or(member.len());
    let (name, rest) = member.split_at(name_end);
    let argument = match rest {
        [] => Argument::Absent,
        [b'=', b'"', text @ .., b'"'] => Argument::Text(text),
        [b'=', text @ ..] if corsair_http1::is_token(text) => Argument::Text(text),
        _ => Argument::Malformed,
    };
    (name, argument)
}

/// Delta-seconds (RFC 9111 §1.2.2).
#[derive(Clone, Copy)]
enum Seconds {
    Known(u64),
    Unreadable,
}

impl Seconds {
    fn of(argument: Argument<'_>) -> Self {
        match argument {
            Argument::Text(text) => parse_delta_seconds(text).map_or(Self::Unreadable, Self::Known),
            Argument::Absent | Argument::Malformed => Self::Unreadable,
        }
    }

    fn clamped(seconds: u64) -> Self {
        Self::Known(seconds.min(DELTA_SECONDS_MAX))
    }

    fn known(self) -> Option<u64> {
        match self {
            Self::Known(seconds) => Some(seconds),
            Self::Unreadable => None,
        }
    }

    /// A lifetime nobody can read is no lifetime: the response counts as stale (§4.2.1).
    fn or_stale(self) -> u64 {
        self.known().unwrap_or(0)
    }
}

/// Reads delta-seconds: digits only. What is larger than 2³¹, of any length, is read as 2³¹.
pub(crate) fn parse_delta_seconds(text: &[u8]) -> Option<u64> {
    if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let add = |sum: u64, digit: &u8| {
        sum.saturating_mul(10)
            .saturating_add(u64::from(digit - b'0'))
    };
    Some(text.iter().fold(0, add).min(DELTA_SECONDS_MAX))
}
