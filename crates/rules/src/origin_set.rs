//! The compiled matcher: is this `Origin` one of N patterns, and which.
//!
//! Exact and suffix patterns share one table keyed by host ([`crate::host_table`]); scheme and port
//! are part of a host's record, so a thousand ports on one host are one key. Star-anywhere patterns
//! of dialect `s3` go through one automaton ([`crate::star_anywhere`]). A value is granted only if
//! it is a serialized origin byte for byte: whole hosts are so by equality with a checked pattern,
//! what a wildcard covers is checked on a hit, and a miss needs no check at all. Fetch §3.2.
//! Never allocates on lookup, never folds case, never echoes a rule.

use crate::host_name::HOST_BYTES_MAX;
use crate::host_table::{HostTable, Key, KeyKind, Payload};
use crate::host_tail::{HostTail, PaddedHost};
use crate::origin_pattern::{OriginPattern, OriginRule, PortRule, SchemeRule};
use crate::star_anywhere::{Literals, StarAnywhere};
use crate::web_origin::{default_port, parse_port, split_scheme};
use core::mem::size_of;

mod redundancy;

/// Schemes as small numbers; a request's scheme has one of these or matches nothing.
type SchemeCode = u16;
const HTTP: SchemeCode = 1;
const HTTPS: SchemeCode = 2;
const CUSTOM_FIRST: SchemeCode = 3;

/// Ports as numbers: 0 to 65535 are themselves.
type PortCode = u32;
const PORT_ABSENT: PortCode = 0x1_0000;
const PORT_ANY: PortCode = 0x1_0001;

/// A request's scheme and port in one register: the scheme's code below, and above it the port's,
/// so turned that an absent one is zero. What the tag of a rule without port and `*://` is equal to.
#[derive(Debug, Clone, Copy)]
struct Asked(u64);

impl Asked {
    #[inline(always)]
    const fn new(scheme: SchemeCode, port: AskedPort) -> Self {
        Self(scheme as u64 | port.0)
    }

    #[inline(always)]
    const fn scheme(self) -> SchemeCode {
        self.0 as SchemeCode
    }

    #[inline(always)]
    const fn port(self) -> PortCode {
        (self.0 >> 32) as PortCode ^ PORT_ABSENT
    }

    #[inline(always)]
    const fn has_port(self) -> bool {
        self.0 >> 32 != 0
    }
}

/// The upper half of [`Asked`].
#[derive(Debug, Clone, Copy)]
struct AskedPort(u64);

impl AskedPort {
    const ABSENT: Self = Self(0);

    const fn of(port: PortCode) -> Self {
        Self(((port ^ PORT_ABSENT) as u64) << 32)
    }
}

// A slot's tag, when the host has one rule with one scheme: the rule sits in the slot itself.
const TAG_SCHEME: u8 = 0b0001_1111;
/// No scheme: `reference` is a group of records.
const TAG_GROUP: u8 = 0;
/// `*://`; also the first code that does not fit.
const TAG_HTTP_OR_HTTPS: u8 = TAG_SCHEME;
const TAG_PORT_EXACT: u8 = 0b0010_0000;
const TAG_PORT_ANY: u8 = 0b0100_0000;

/// One (scheme, port) of a host that has several.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Record {
    /// Scheme code in the high half, port code below: groups are sorted by it.
    scheme_and_port: u64,
    /// The first of equal keys decides.
    breadth: Breadth,
    pattern: u32,
}

/// Whether the pattern wrote the scheme out, or said `*://`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Breadth {
    Narrow,
    Wide,
}

/// The first record with this key that is at least so broad, in a sorted group.
fn first_of(records: &[Record], key: u64, breadth: Breadth) -> Option<&Record> {
    let place =
        records.partition_point(|record| (record.scheme_and_port, record.breadth) < (key, breadth));
    records
        .get(place)
        .filter(|record| record.scheme_and_port == key)
}

const fn record_key(scheme: SchemeCode, port: PortCode) -> u64 {
    ((scheme as u64) << 32) | port as u64
}

/// A set of [`OriginPattern`]s, compiled.
///
/// ```
/// use corsair_rules::{Dialect, OriginPattern, OriginSet};
/// let patterns: Vec<_> = ["https://example.com", "https://*.example.com", "http://localhost:*"]
///     .iter()
///     .map(|text| OriginPattern::parse(text, Dialect::Native).unwrap().0)
///     .collect();
/// let set = OriginSet::compile(&patterns);
/// assert_eq!(set.find(b"https://example.com"), Some(0));
/// assert_eq!(set.find(b"https://a.b.example.com"), Some(1));
/// assert_eq!(set.find(b"http://localhost:3000"), Some(2));
/// assert_eq!(set.find(b"https://example.com.evil.net"), None);
/// ```
#[derive(Debug, Clone)]
pub struct OriginSet {
    table: HostTable,
    groups: Vec<(u32, u32)>,
    records: Vec<Record>,
    /// Sorted; the scheme's code is its place plus `CUSTOM_FIRST`.
    custom_schemes: Vec<Box<[u8]>>,
    anywhere: Option<StarAnywhere>,
    star: Option<u32>,
    null: Option<u32>,
    patterns_count: usize,
}

impl OriginSet {
    /// Compiles patterns; their indexes are what [`OriginSet::find`] returns.
    ///
    /// Of equal patterns the first one decides. 100,000 patterns take 24 to 50 ms on a busy core and
    /// 27 to 36 bytes each beside their texts; hosts with several rules take 16 bytes a rule more.
    #[must_use]
    pub fn compile(patterns: &[OriginPattern]) -> Self {
        let custom_schemes = collect_custom_schemes(patterns);
        let mut keys = Vec::with_capacity(patterns.len());
        let mut rules: Vec<(u32, &OriginRule)> = Vec::with_capacity(patterns.len());
        let mut anywhere = Vec::new();
        let (mut star, mut null) = (None, None);
        for (index, pattern) in (0u32..).zip(patterns) {
            match pattern {
                OriginPattern::Star => star = star.or(Some(index)),
                OriginPattern::Null => null = null.or(Some(index)),
                OriginPattern::Exact(rule) => {
                    let payload = in_slot(index, rule, &custom_schemes);
                    keys.push(Key {
                        kind: KeyKind::Whole,
                        text: rule.host.as_bytes(),
                        payload,
                    });
                    rules.push((index, rule));
                }
                OriginPattern::Suffix(rule) => {
                    let payload = in_slot(index, rule, &custom_schemes);
                    keys.push(Key {
                        kind: KeyKind::Suffix,
                        text: rule.host.as_bytes(),
                        payload,
                    });
                    rules.push((index, rule));
                }
                OriginPattern::StarAnywhere { prefix, suffix } => {
                    anywhere.push(Literals {
                        pattern: index,
                        prefix,
                        suffix,
                    });
                }
            }
        }
        let mut groups = Vec::new();
        let mut records = Vec::new();
        let table = HostTable::build(&keys, |indexes| {
            let first = records.len();
            for &index in indexes {
                let (pattern, rule) = rules[index as usize];
                push_records(pattern, rule, &custom_schemes, &mut records);
            }
            records[first..].sort_unstable();
            groups.push((as_u32(first), as_u32(records.len())));
            Payload {
                reference: as_u32(groups.len() - 1),
                port: 0,
                tag: TAG_GROUP,
            }
        });
        groups.shrink_to_fit();
        records.shrink_to_fit();
        Self {
            table,
            groups,
            records,
            custom_schemes,
            anywhere: StarAnywhere::compile(&anywhere),
            star,
            null,
            patterns_count: patterns.len(),
        }
    }

    /// The pattern that decides for this value of `Origin`, `None` when there is none.
    ///
    /// A `*` decides for everything. Else exact before suffix, longer suffix before shorter, a
    /// written scheme and port before `*://` and `:*`, table patterns before star-anywhere ones,
    /// and among those the lowest index.
    #[inline]
    #[must_use]
    pub fn find(&self, origin: &[u8]) -> Option<u32> {
        if self.star.is_some() {
            return self.star;
        }
        let found = self.find_in_table(origin);
        if found.is_some() {
            return found;
        }
        // No table has it, since it has no scheme.
        if origin == b"null" {
            return self.null;
        }
        self.anywhere.as_ref()?.find(origin)
    }

    #[inline(always)]
    fn find_in_table(&self, origin: &[u8]) -> Option<u32> {
        // As one word: the compiler compares arrays byte by byte.
        const HTTPS_WORD: u64 = u64::from_le_bytes(*b"https://");
        const HTTP_WORD: u64 = u64::from_le_bytes(*b"http://\0");
        let (scheme, host_start) = match origin.first_chunk().map(|word| u64::from_le_bytes(*word))
        {
            Some(HTTPS_WORD) => (HTTPS, 8),
            Some(word) if word << 8 == HTTP_WORD << 8 => (HTTP, 7),
            // Also what is shorter than any origin of these two.
            Some(_) | None => return self.find_custom(origin),
        };
        let (host_end, port) = split_port_code(origin, host_start)?;
        // Bounds the length, too: so far it cost nothing.
        let host = HostTail::of(&origin[..host_end], host_start)?;
        self.find_host(&host, Asked::new(scheme, port))
    }

    /// The same for the other schemes that patterns have.
    #[inline(never)]
    fn find_custom(&self, origin: &[u8]) -> Option<u32> {
        if self.custom_schemes.is_empty() {
            return None;
        }
        let (scheme, _) = split_scheme(origin)?;
        let place = self
            .custom_schemes
            .binary_search_by(|own| (**own).cmp(scheme))
            .ok()?;
        let host_start = scheme.len() + 3;
        let (host_end, port) = split_port_code(origin, host_start)?;
        let host = &origin[host_start..host_end];
        if host.len() > HOST_BYTES_MAX {
            return None;
        }
        let host = PaddedHost::copy(host.iter().copied());
        self.find_host(&host.tail()?, Asked::new(custom_code(place), port))
    }

    #[inline(always)]
    fn find_host(&self, host: &HostTail<'_>, asked: Asked) -> Option<u32> {
        if let Some(payload) = self.table.find_whole(host)
            && let Some(pattern) = self.admit(payload, asked)
        {
            // Equality has proved every byte of the host.
            return self.is_port_written(asked).then_some(pattern);
        }
        if !self.table.has_suffixes() {
            return None;
        }
        let Some(dots) = self.table.suffix_dots(host) else {
            return self.find_any_suffix(*host, asked);
        };
        let len = dots.longest()?;
        if let Some(payload) = self.table.suffix_at(host, len)
            && let Some(pattern) = self.admit(payload, asked)
        {
            return self.is_good_cover(host, len, asked).then_some(pattern);
        }
        // Nearly always the longest was the only one.
        dots.shorter().longest()?;
        self.find_any_suffix(*host, asked)
    }

    /// The same for suffixes of all lengths.
    #[inline(never)]
    fn find_any_suffix(&self, host: HostTail<'_>, asked: Asked) -> Option<u32> {
        let (len, pattern) = self.table.find_suffix(&host, |len, payload| {
            Some((len, self.admit(payload, asked)?))
        })?;
        self.is_good_cover(&host, len, asked).then_some(pattern)
    }

    /// Whether what stands before a suffix of this length is names, and the port one that browsers
    /// write: only what the wildcard covers is still a stranger's.
    #[inline(always)]
    fn is_good_cover(&self, host: &HostTail<'_>, suffix_len: usize, asked: Asked) -> bool {
        host.covers_labels(suffix_len) && self.is_port_written(asked)
    }

    /// Whether a browser writes this port.
    #[inline(always)]
    fn is_port_written(&self, asked: Asked) -> bool {
        !asked.has_port() || asked.port() != self.default_port_code(asked.scheme())
    }

    /// The port that a browser leaves out.
    fn default_port_code(&self, scheme: SchemeCode) -> PortCode {
        let custom = |code: SchemeCode| {
            let name = self.custom_schemes.get(usize::from(code - CUSTOM_FIRST))?;
            default_port(core::str::from_utf8(name).ok()?)
        };
        match scheme {
            HTTP => 80,
            HTTPS => 443,
            other => custom(other).map_or(PORT_ABSENT, PortCode::from),
        }
    }

    /// The pattern among a host's records that allows this scheme and port.
    #[inline(always)]
    fn admit(&self, payload: Payload, asked: Asked) -> Option<u32> {
        if u64::from(payload.tag) == asked.0 {
            return Some(payload.reference);
        }
        self.admit_other(payload, asked)
    }

    /// Where more than one scheme and no port is allowed, or asked for.
    #[inline(never)]
    fn admit_other(&self, payload: Payload, asked: Asked) -> Option<u32> {
        let (scheme, port) = (asked.scheme(), asked.port());
        let tag_scheme = payload.tag & TAG_SCHEME;
        if tag_scheme == TAG_GROUP {
            return self.admit_in_group(payload.reference, scheme, port);
        }
        let scheme_allowed = SchemeCode::from(tag_scheme) == scheme
            || (tag_scheme == TAG_HTTP_OR_HTTPS && scheme < CUSTOM_FIRST);
        let port_allowed = if payload.tag & TAG_PORT_EXACT != 0 {
            PortCode::from(payload.port) == port
        } else {
            payload.tag & TAG_PORT_ANY != 0 || port == PORT_ABSENT
        };
        (scheme_allowed && port_allowed).then_some(payload.reference)
    }

    fn admit_in_group(&self, group: u32, scheme: SchemeCode, port: PortCode) -> Option<u32> {
        let records = self.group(group);
        let find = |port| first_of(records, record_key(scheme, port), Breadth::Narrow);
        find(port)
            .or_else(|| find(PORT_ANY))
            .map(|record| record.pattern)
    }

    fn group(&self, group: u32) -> &[Record] {
        let (first, end) = self.groups[group as usize];
        &self.records[first as usize..end as usize]
    }

    /// How many patterns were compiled, redundant ones included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.patterns_count
    }

    /// Whether no pattern was given, so that nothing ever matches.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.patterns_count == 0
    }

    /// Whether the single `*` is among the patterns, so that `Origin` need not be looked at.
    #[must_use]
    pub fn is_star(&self) -> bool {
        self.star.is_some()
    }

    /// Bytes on the heap, pattern texts included.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        self.table.heap_bytes()
            + self.groups.capacity() * size_of::<(u32, u32)>()
            + self.records.capacity() * size_of::<Record>()
            + self
                .custom_schemes
                .iter()
                .map(|scheme| scheme.len() + 16)
                .sum::<usize>()
            + self.anywhere.as_ref().map_or(0, StarAnywhere::heap_bytes)
    }

    /// Bytes on the heap that are not text of patterns.
    #[must_use]
    pub fn table_bytes(&self) -> usize {
        self.heap_bytes() - self.table.text_bytes()
    }

    /// The patterns that can decide, read back from the compiled form, with their indexes.
    ///
    /// Duplicates are gone; a `*://` whose host also has other rules comes back as one pattern per
    /// scheme. Linear: for reports, never for requests.
    pub fn patterns(&self) -> impl Iterator<Item = (u32, OriginPattern)> {
        let fixed = self
            .star
            .map(|index| (index, OriginPattern::Star))
            .into_iter();
        let null = self.null.map(|index| (index, OriginPattern::Null));
        let listed = self
            .table
            .keys()
            .flat_map(|(key, payload)| self.rules_of(key, payload));
        let anywhere = self.anywhere.iter().flat_map(StarAnywhere::patterns);
        fixed.chain(null).chain(listed).chain(anywhere)
    }

    /// The deciding pattern with this index, read back; `None` for a duplicate or no such index.
    #[must_use]
    pub fn pattern(&self, index: u32) -> Option<OriginPattern> {
        self.patterns()
            .find_map(|(own, pattern)| (own == index).then_some(pattern))
    }

    fn rules_of(&self, key: Key<'_>, payload: Payload) -> Vec<(u32, OriginPattern)> {
        let host: Box<str> = String::from_utf8_lossy(key.text).into();
        let restore = |scheme: SchemeRule, port: PortRule| {
            let rule = OriginRule {
                scheme,
                host: host.clone(),
                port,
            };
            match key.kind {
                KeyKind::Whole => OriginPattern::Exact(rule),
                KeyKind::Suffix => OriginPattern::Suffix(rule),
            }
        };
        let tag_scheme = payload.tag & TAG_SCHEME;
        if tag_scheme != TAG_GROUP {
            let scheme = if tag_scheme == TAG_HTTP_OR_HTTPS {
                SchemeRule::HttpOrHttps
            } else {
                self.scheme_rule(SchemeCode::from(tag_scheme))
            };
            let port = if payload.tag & TAG_PORT_EXACT != 0 {
                PortRule::Exact(payload.port)
            } else if payload.tag & TAG_PORT_ANY != 0 {
                PortRule::Any
            } else {
                PortRule::Absent
            };
            return vec![(payload.reference, restore(scheme, port))];
        }
        let restore_record = |record: &Record| {
            let scheme = self.scheme_rule((record.scheme_and_port >> 32) as SchemeCode);
            let port = match record.scheme_and_port as PortCode {
                PORT_ANY => PortRule::Any,
                exact => u16::try_from(exact).map_or(PortRule::Absent, PortRule::Exact),
            };
            (record.pattern, restore(scheme, port))
        };
        self.group(payload.reference)
            .chunk_by(|a, b| a.scheme_and_port == b.scheme_and_port)
            .map(|equal| restore_record(&equal[0]))
            .collect()
    }

    fn scheme_rule(&self, code: SchemeCode) -> SchemeRule {
        match code {
            HTTP => SchemeRule::Http,
            HTTPS => SchemeRule::Https,
            custom => {
                let scheme = &self.custom_schemes[usize::from(custom - CUSTOM_FIRST)];
                SchemeRule::Custom(String::from_utf8_lossy(scheme).into())
            }
        }
    }
}

fn as_u32(count: usize) -> u32 {
    u32::try_from(count).expect("fewer than 2^32 patterns")
}

fn custom_code(place: usize) -> SchemeCode {
    SchemeCode::try_from(place).unwrap_or(SchemeCode::MAX - CUSTOM_FIRST) + CUSTOM_FIRST
}

fn collect_custom_schemes(patterns: &[OriginPattern]) -> Vec<Box<[u8]>> {
    let mut schemes: Vec<Box<[u8]>> = Vec::new();
    for pattern in patterns {
        let (OriginPattern::Exact(rule) | OriginPattern::Suffix(rule)) = pattern else {
            continue;
        };
        if let SchemeRule::Custom(scheme) = &rule.scheme
            && let Err(place) = schemes.binary_search_by(|own| (**own).cmp(scheme.as_bytes()))
        {
            schemes.insert(place, scheme.as_bytes().into());
        }
    }
    schemes
}

fn scheme_code(scheme: &str, custom_schemes: &[Box<[u8]>]) -> SchemeCode {
    let place = custom_schemes.binary_search_by(|own| (**own).cmp(scheme.as_bytes()));
    custom_code(place.expect("every custom scheme was collected"))
}

/// A host's only rule as a slot's payload, when it fits.
fn in_slot(pattern: u32, rule: &OriginRule, custom_schemes: &[Box<[u8]>]) -> Option<Payload> {
    let tag_scheme = match &rule.scheme {
        SchemeRule::Http => HTTP,
        SchemeRule::Https => HTTPS,
        // 80 and 443 are one scheme's default and the other's own: two records.
        SchemeRule::HttpOrHttps if matches!(rule.port, PortRule::Exact(80 | 443)) => return None,
        SchemeRule::HttpOrHttps => SchemeCode::from(TAG_HTTP_OR_HTTPS),
        SchemeRule::Custom(scheme) => {
            let code = scheme_code(scheme, custom_schemes);
            (code < SchemeCode::from(TAG_HTTP_OR_HTTPS)).then_some(code)?
        }
    };
    let (port, tag_port) = match rule.port {
        PortRule::Absent => (0, 0),
        PortRule::Exact(port) => (port, TAG_PORT_EXACT),
        PortRule::Any => (0, TAG_PORT_ANY),
    };
    let tag_scheme = u8::try_from(tag_scheme).expect("checked to fit five bits");
    Some(Payload {
        reference: pattern,
        port,
        tag: tag_scheme | tag_port,
    })
}

fn push_records(
    pattern: u32,
    rule: &OriginRule,
    custom_schemes: &[Box<[u8]>],
    records: &mut Vec<Record>,
) {
    let mut push = |scheme: SchemeCode, default: Option<u16>, breadth: Breadth| {
        let port = match rule.port {
            PortRule::Absent => PORT_ABSENT,
            PortRule::Exact(port) if default == Some(port) => PORT_ABSENT,
            PortRule::Exact(port) => PortCode::from(port),
            PortRule::Any => PORT_ANY,
        };
        records.push(Record {
            scheme_and_port: record_key(scheme, port),
            breadth,
            pattern,
        });
    };
    match &rule.scheme {
        SchemeRule::Http => push(HTTP, Some(80), Breadth::Narrow),
        SchemeRule::Https => push(HTTPS, Some(443), Breadth::Narrow),
        SchemeRule::HttpOrHttps => {
            push(HTTP, Some(80), Breadth::Wide);
            push(HTTPS, Some(443), Breadth::Wide);
        }
        SchemeRule::Custom(scheme) => {
            push(
                scheme_code(scheme, custom_schemes),
                default_port(scheme),
                Breadth::Narrow,
            );
        }
    }
}

/// Where the host ends, and the port behind it; `None` when what stands there is no port. There is a
/// scheme before `host_start`.
#[inline(always)]
fn split_port_code(origin: &[u8], host_start: usize) -> Option<(usize, AskedPort)> {
    // Most origins end in a letter: no port. An address or a strange label may end in a digit too.
    if !origin[origin.len() - 1].is_ascii_digit() {
        return Some((origin.len(), AskedPort::ABSENT));
    }
    let digits = origin
        .iter()
        .rev()
        .take(6)
        .take_while(|byte| byte.is_ascii_digit())
        .count();
    let digits_start = origin.len() - digits;
    if digits_start <= host_start || origin[digits_start - 1] != b':' {
        return Some((origin.len(), AskedPort::ABSENT));
    }
    let port = parse_port(&origin[digits_start..])?;
    Some((digits_start - 1, AskedPort::of(PortCode::from(port))))
}
