//! Field names and values: one table of the names the node knows, and the grammar checks both sides
//! share.
//!
//! RFC 9110 §5 (fields), §5.6.1 (lists), §5.6.2 (tokens), §7.6.1 (hop-by-hop fields). The table is
//! written once; the enum, the spellings, the flags and the lookup are generated from it. Nothing
//! here allocates, and nothing here decides what a field means.

use core::fmt;

/// What a known field is, as far as forwarding and framing need it. A small bit set.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FieldFlags(u8);

impl FieldFlags {
    const NONE: Self = Self(0);
    const HOP: Self = Self(1);
    const SINGLE: Self = Self(2);
    const LIST: Self = Self(4);
    const FRAMING: Self = Self(8);

    const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    const fn has(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Is the field about this connection only, so never forwarded and never stored (RFC 9110
    /// §7.6.1)?
    #[must_use]
    pub const fn hop_by_hop(self) -> bool {
        self.has(Self::HOP)
    }

    /// Is the field defined to have one line and one value?
    #[must_use]
    pub const fn singleton(self) -> bool {
        self.has(Self::SINGLE)
    }

    /// Is the field a comma-separated list, so that several lines are one value (RFC 9110 §5.3)?
    #[must_use]
    pub const fn list(self) -> bool {
        self.has(Self::LIST)
    }

    /// Does the field decide where the message ends (RFC 9112 §6)?
    #[must_use]
    pub const fn framing(self) -> bool {
        self.has(Self::FRAMING)
    }
}

macro_rules! known_fields {
    ($($variant:ident $spelling:literal [$($flag:ident),*];)*) => {
        /// A field name the node knows. The number of a variant is its place in the table.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
        #[repr(u8)]
        pub enum KnownField {
            $(#[doc = concat!("`", $spelling, "`")] $variant,)*
        }

        /// The table in order: position `n` is the field numbered `n`.
        const TABLE: [(KnownField, &str, FieldFlags); KnownField::COUNT] = [
            $((
                KnownField::$variant,
                $spelling,
                FieldFlags::NONE$(.or(FieldFlags::$flag))*,
            ),)*
        ];

        impl KnownField {
            /// How many names the table has.
            pub const COUNT: usize = [$($spelling),*].len();
        }
    };
}

known_fields! {
    Host "Host" [SINGLE];
    Connection "Connection" [HOP, LIST];
    KeepAlive "Keep-Alive" [HOP, LIST];
    ProxyConnection "Proxy-Connection" [HOP, LIST];
    ProxyAuthenticate "Proxy-Authenticate" [HOP, LIST];
    ProxyAuthorization "Proxy-Authorization" [HOP, SINGLE];
    TransferEncoding "Transfer-Encoding" [HOP, LIST, FRAMING];
    ContentLength "Content-Length" [SINGLE, FRAMING];
    Te "TE" [HOP, LIST];
    Trailer "Trailer" [HOP, LIST];
    Upgrade "Upgrade" [HOP, LIST];
    Http2Settings "HTTP2-Settings" [HOP, SINGLE];
    Expect "Expect" [LIST];
    MaxForwards "Max-Forwards" [SINGLE];
    Origin "Origin" [SINGLE];
    AccessControlRequestMethod "Access-Control-Request-Method" [SINGLE];
    AccessControlRequestHeaders "Access-Control-Request-Headers" [LIST];
    AccessControlRequestPrivateNetwork "Access-Control-Request-Private-Network" [SINGLE];
    AccessControlAllowOrigin "Access-Control-Allow-Origin" [SINGLE];
    AccessControlAllowCredentials "Access-Control-Allow-Credentials" [SINGLE];
    AccessControlAllowMethods "Access-Control-Allow-Methods" [LIST];
    AccessControlAllowHeaders "Access-Control-Allow-Headers" [LIST];
    AccessControlExposeHeaders "Access-Control-Expose-Headers" [LIST];
    AccessControlMaxAge "Access-Control-Max-Age" [SINGLE];
    AccessControlAllowPrivateNetwork "Access-Control-Allow-Private-Network" [SINGLE];
    TimingAllowOrigin "Timing-Allow-Origin" [LIST];
    CrossOriginResourcePolicy "Cross-Origin-Resource-Policy" [SINGLE];
    Vary "Vary" [LIST];
    Date "Date" [SINGLE];
    Age "Age" [SINGLE];
    Expires "Expires" [SINGLE];
    CacheControl "Cache-Control" [LIST];
    CdnCacheControl "CDN-Cache-Control" [LIST];
    SurrogateControl "Surrogate-Control" [LIST];
    Pragma "Pragma" [LIST];
    Authorization "Authorization" [SINGLE];
    WwwAuthenticate "WWW-Authenticate" [LIST];
    Cookie "Cookie" [];
    SetCookie "Set-Cookie" [];
    Etag "ETag" [SINGLE];
    LastModified "Last-Modified" [SINGLE];
    IfMatch "If-Match" [LIST];
    IfNoneMatch "If-None-Match" [LIST];
    IfModifiedSince "If-Modified-Since" [SINGLE];
    IfUnmodifiedSince "If-Unmodified-Since" [SINGLE];
    IfRange "If-Range" [SINGLE];
    Range "Range" [SINGLE];
    AcceptRanges "Accept-Ranges" [LIST];
    ContentRange "Content-Range" [SINGLE];
    ContentType "Content-Type" [SINGLE];
    ContentEncoding "Content-Encoding" [LIST];
    ContentLanguage "Content-Language" [LIST];
    ContentLocation "Content-Location" [SINGLE];
    ContentDisposition "Content-Disposition" [SINGLE];
    Location "Location" [SINGLE];
    Link "Link" [LIST];
    Accept "Accept" [LIST];
    AcceptEncoding "Accept-Encoding" [LIST];
    AcceptLanguage "Accept-Language" [LIST];
    UserAgent "User-Agent" [SINGLE];
    Referer "Referer" [SINGLE];
    Via "Via" [LIST];
    Forwarded "Forwarded" [LIST];
    XForwardedFor "X-Forwarded-For" [LIST];
    XForwardedProto "X-Forwarded-Proto" [LIST];
    XForwardedHost "X-Forwarded-Host" [LIST];
    XForwardedPort "X-Forwarded-Port" [LIST];
    XRealIp "X-Real-IP" [SINGLE];
    XHttpMethodOverride "X-HTTP-Method-Override" [SINGLE];
    XOriginalUrl "X-Original-URL" [SINGLE];
    XRewriteUrl "X-Rewrite-URL" [SINGLE];
    CacheStatus "Cache-Status" [LIST];
    ProxyStatus "Proxy-Status" [LIST];
    Server "Server" [SINGLE];
    Warning "Warning" [LIST];
    Allow "Allow" [LIST];
    RetryAfter "Retry-After" [SINGLE];
    SurrogateKey "Surrogate-Key" [];
    CacheTag "Cache-Tag" [LIST];
    AltSvc "Alt-Svc" [LIST];
    SecWebSocketKey "Sec-WebSocket-Key" [SINGLE];
    SecWebSocketAccept "Sec-WebSocket-Accept" [SINGLE];
    SecWebSocketVersion "Sec-WebSocket-Version" [LIST];
    SecWebSocketProtocol "Sec-WebSocket-Protocol" [LIST];
    SecWebSocketExtensions "Sec-WebSocket-Extensions" [LIST];
}

const SLOT_BITS: u32 = 10;
const SLOTS: usize = 1 << SLOT_BITS;
const NO_FIELD: u8 = u8::MAX;
const NAME_LEN_MAX: usize = longest_name();

// A set of fields is one u128 and a field index one u8.
const _: () = assert!(KnownField::COUNT <= 96);

const fn longest_name() -> usize {
    let mut longest = 0;
    let mut i = 0;
    while i < TABLE.len() {
        if TABLE[i].1.len() > longest {
            longest = TABLE[i].1.len();
        }
        i += 1;
    }
    longest
}

/// The first and the last four bytes of the name, case folded, and its length: together they tell all
/// names of the table apart. The name is not empty.
#[inline]
const fn slot(seed: u64, name: &[u8]) -> usize {
    let (first, last) = match (name.first_chunk(), name.last_chunk()) {
        (Some(first), Some(last)) => (u32::from_le_bytes(*first), u32::from_le_bytes(*last)),
        // One to three bytes: both ends and the middle.
        _ => (
            name[0] as u32,
            name[name.len() / 2] as u32 | (name[name.len() - 1] as u32) << 8,
        ),
    };
    let ends = (first as u64 | (last as u64) << 32) | 0x2020_2020_2020_2020;
    let key = ends.wrapping_mul(seed) ^ name.len() as u64;
    (key.wrapping_mul(seed) >> (64 - SLOT_BITS)) as usize
}

/// Whether two names are the same bytes. Most names have 4 to 32, and two reads from both ends
/// compare those without a call.
#[inline]
fn is_same(one: &[u8], other: &[u8]) -> bool {
    if one.len() != other.len() {
        return false;
    }
    match one.len() {
        4..8 => {
            one.first_chunk::<4>() == other.first_chunk::<4>()
                && one.last_chunk::<4>() == other.last_chunk::<4>()
        }
        8..=16 => {
            one.first_chunk::<8>() == other.first_chunk::<8>()
                && one.last_chunk::<8>() == other.last_chunk::<8>()
        }
        17..=32 => {
            one.first_chunk::<16>() == other.first_chunk::<16>()
                && one.last_chunk::<16>() == other.last_chunk::<16>()
        }
        _ => one == other,
    }
}

/// The slot table under `seed`, or `None` when two names fall into one slot.
const fn slots_under(seed: u64) -> Option<[u8; SLOTS]> {
    let mut slots = [NO_FIELD; SLOTS];
    let mut i = 0;
    while i < TABLE.len() {
        let at = slot(seed, TABLE[i].1.as_bytes());
        if slots[at] != NO_FIELD {
            return None;
        }
        slots[at] = i as u8;
        i += 1;
    }
    Some(slots)
}

/// Searched by the compiler, so that a new name in the table needs no other edit.
const PERFECT: (u64, [u8; SLOTS]) = {
    let mut seed: u64 = 0x9E37_79B9_7F4A_7C15;
    loop {
        if let Some(slots) = slots_under(seed) {
            break (seed, slots);
        }
        seed = seed
            .wrapping_mul(0x5851_F42D_4C95_7F2D)
            .wrapping_add(0x1405_7B7E_F767_814F)
            | 1;
    }
};
static SLOT_TABLE: [u8; SLOTS] = PERFECT.1;

impl KnownField {
    /// The field of this name, compared without regard to ASCII case; `None` for any other name.
    ///
    /// One multiplication, one table load and one comparison.
    ///
    /// ```
    /// use corsair_http1::KnownField;
    /// assert_eq!(KnownField::parse(b"content-LENGTH"), Some(KnownField::ContentLength));
    /// assert_eq!(KnownField::parse(b"Content_Length"), None);
    /// ```
    #[must_use]
    pub fn parse(name: &[u8]) -> Option<Self> {
        Self::parse_inline(name)
    }

    /// The same for the loop over a head's lines, where a call a line would show.
    #[inline(always)]
    pub(crate) fn parse_inline(name: &[u8]) -> Option<Self> {
        if name.is_empty() || name.len() > NAME_LEN_MAX {
            return None;
        }
        let index = SLOT_TABLE[slot(PERFECT.0, name)];
        let (field, spelling, _) = TABLE.get(usize::from(index))?;
        let spelling = spelling.as_bytes();
        (is_same(name, spelling) || name.eq_ignore_ascii_case(spelling)).then_some(*field)
    }

    /// The canonical spelling.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        TABLE[self as usize].1
    }

    /// What kind of field it is.
    #[must_use]
    pub const fn flags(self) -> FieldFlags {
        TABLE[self as usize].2
    }

    /// All fields, in table order.
    pub fn all() -> impl Iterator<Item = Self> {
        TABLE.iter().map(|row| row.0)
    }
}

impl fmt::Display for KnownField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A set of known fields in one machine word pair.
///
/// ```
/// use corsair_http1::{KnownField, KnownSet};
/// const VALIDATORS: KnownSet = KnownSet::of(&[KnownField::Etag, KnownField::LastModified]);
/// assert!(VALIDATORS.contains(KnownField::Etag));
/// assert!(!VALIDATORS.intersects(KnownSet::of(&[KnownField::Date])));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct KnownSet(u128);

impl KnownSet {
    /// No field.
    pub const EMPTY: Self = Self(0);

    /// The set of the listed fields.
    #[must_use]
    pub const fn of(fields: &[KnownField]) -> Self {
        let mut bits = 0;
        let mut i = 0;
        while i < fields.len() {
            bits |= 1 << fields[i] as u32;
            i += 1;
        }
        Self(bits)
    }

    /// Is `field` in the set?
    #[must_use]
    #[inline]
    pub const fn contains(self, field: KnownField) -> bool {
        self.0 & (1 << field as u32) != 0
    }

    /// Have the two sets a field in common?
    #[must_use]
    #[inline]
    pub const fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// The fields of either.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Is there no field in it?
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    #[inline]
    pub(crate) const fn insert(&mut self, field: KnownField) {
        self.0 |= 1 << field as u32;
    }
}

/// One field line, borrowed from where it was parsed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FieldRef<'a> {
    /// The name as it was sent.
    pub name: &'a [u8],
    /// The value without the white space around it.
    pub value: &'a [u8],
    /// Which known field it is.
    pub known: Option<KnownField>,
}

impl FieldRef<'_> {
    /// Is this the name of the field, in any case?
    #[must_use]
    pub fn is_named(&self, name: &[u8]) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }
}

const fn token_bytes() -> [bool; 256] {
    let mut table = [false; 256];
    let mut b = 0;
    while b < 256 {
        table[b] = (b as u8).is_ascii_alphanumeric();
        b += 1;
    }
    let marks = b"!#$%&'*+-.^_`|~";
    let mut i = 0;
    while i < marks.len() {
        table[marks[i] as usize] = true;
        i += 1;
    }
    table
}
static TOKEN_BYTES: [bool; 256] = token_bytes();

/// May the byte stand in a token (RFC 9110 §5.6.2)?
#[must_use]
#[inline]
pub fn is_token_byte(byte: u8) -> bool {
    TOKEN_BYTES[usize::from(byte)]
}

/// Is this a token, so a possible method or field name? The empty string is none.
#[must_use]
pub fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().all(|&b| is_token_byte(b))
}

/// May the byte stand in a field value: no control byte but HTAB (RFC 9110 §5.5).
#[must_use]
#[inline]
pub(crate) const fn is_value_byte(byte: u8) -> bool {
    (byte >= b' ' && byte != 0x7F) || byte == b'\t'
}

/// Can this be sent as a field value: visible bytes, spaces, tabs and obs-text; no CR, LF, NUL or
/// other control byte.
///
/// White space at the ends is allowed here; a parser on the other side trims it.
#[must_use]
#[inline]
pub fn is_field_value(bytes: &[u8]) -> bool {
    // No early exit: the whole loop then runs in vector registers.
    bytes.iter().fold(true, |ok, &b| ok & is_value_byte(b))
}

/// `bytes` without the spaces and tabs at both ends (OWS, RFC 9110 §5.6.3).
#[must_use]
#[inline]
pub fn trim_ows(mut bytes: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = bytes {
        bytes = rest;
    }
    while let [rest @ .., b' ' | b'\t'] = bytes {
        bytes = rest;
    }
    bytes
}

/// The members of a comma-separated list (RFC 9110 §5.6.1): commas inside quoted strings do not
/// separate, white space is trimmed, empty members are skipped. A quoted string that never ends
/// reaches to the end of the value.
///
/// ```
/// let members: Vec<&[u8]> = corsair_http1::list_members(b"a, ,\"b,c\" ; q=1,d").collect();
/// assert_eq!(members, [&b"a"[..], b"\"b,c\" ; q=1", b"d"]);
/// ```
#[must_use]
pub fn list_members(value: &[u8]) -> ListMembers<'_> {
    ListMembers { rest: value }
}

/// Iterator of [`list_members`].
#[derive(Clone, Debug)]
pub struct ListMembers<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for ListMembers<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        while !self.rest.is_empty() {
            let end = member_end(self.rest);
            let member = trim_ows(&self.rest[..end]);
            self.rest = self.rest.get(end + 1..).unwrap_or_default();
            if !member.is_empty() {
                return Some(member);
            }
        }
        None
    }
}

/// Where the first member ends: at a comma outside quotes, or at the end.
fn member_end(value: &[u8]) -> usize {
    let mut at = 0;
    while let Some(found) = memchr::memchr2(b',', b'"', &value[at..]) {
        at += found;
        if value[at] == b',' {
            return at;
        }
        at += 1;
        loop {
            let Some(found) = memchr::memchr2(b'"', b'\\', &value[at..]) else {
                return value.len();
            };
            at += found;
            if value[at] == b'"' {
                at += 1;
                break;
            }
            // A quoted pair: the byte after the backslash stands for itself.
            at = (at + 2).min(value.len());
        }
    }
    value.len()
}
