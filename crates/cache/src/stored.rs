//! A stored response: its head as it leaves towards clients, its body, and what the decisions need.
//!
//! RFC 9111 §3 (what is stored), §3.1 (which fields are not), RFC 9110 §7.6.1 (hop-by-hop), §6.6.1
//! (Date). The head keeps the upstream's field lines in their order; Age, Content-Length, Date when
//! it was missing, header rules and CORS are added or derived when it is served. Immutable but for
//! the mark that it is no longer in the store.

use core::ops::Deref;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::Arc;

use corsair_http1::{FieldSection, KnownField, Request, format_date, is_nominated_hop_by_hop};

use crate::body::Body;
use crate::freshness::{Freshness, sole_date};
use crate::key::KeyHash;
use crate::policy::SetCookie;
use crate::storable::content_length;
use crate::validate::{EntityTag, entity_tag};
use crate::vary::{VaryOrigin, VaryRule, VarySpec};

/// What a head is made of: the upstream's response and what was decided about it.
#[derive(Clone, Debug)]
pub struct HeadParts<'a> {
    /// The key text of `write_key`.
    pub key: &'a [u8],
    /// The status of the response.
    pub status: u16,
    /// The upstream's fields, as for `decide_storable`.
    pub fields: FieldSection,
    /// What `decide_storable` found.
    pub freshness: Freshness,
    /// Does `Origin` in `Vary` count?
    pub vary_origin: VaryOrigin,
    /// What to do with `Set-Cookie` lines.
    pub set_cookie: SetCookie,
    /// The request the response answers.
    pub request: Request<'a>,
}

/// The head of a response that is stored, or is on its way into the store.
#[derive(Clone, Debug)]
pub struct StoredHead {
    key: Box<[u8]>,
    status: u16,
    fields: FieldSection,
    freshness: Freshness,
    date: u64,
    last_modified: Option<u64>,
    vary_origin: VaryOrigin,
    set_cookie: SetCookie,
    vary: Option<VarySpec>,
    /// Normal form of the request fields `vary` names; empty without.
    variant: Box<[u8]>,
}

impl StoredHead {
    /// Makes the end-to-end head of an upstream's response.
    ///
    /// Removed are hop-by-hop fields, what `Connection` nominates, `Content-Length` (the body knows
    /// it), `Age` (the freshness knows it), and `Set-Cookie` when the policy strips it. A missing
    /// or unreadable `Date` is set to the time of receipt (RFC 9110 §6.6.1).
    #[must_use]
    pub fn new(parts: HeadParts<'_>) -> Self {
        let HeadParts {
            key,
            status,
            mut fields,
            freshness,
            ..
        } = parts;
        remove_unstored(&mut fields, parts.set_cookie);
        let date = match sole_date(&fields, KnownField::Date) {
            Some(date) => date,
            None => {
                let received = freshness.response_time.seconds();
                fields.set_first(KnownField::Date, &format_date(received));
                received
            }
        };
        fields.compact();
        let vary = match VarySpec::from_fields(&fields, parts.vary_origin) {
            VaryRule::Names(spec) => Some(spec),
            // A head with `*` is not storable; if one gets here it matches its own request only.
            VaryRule::None | VaryRule::Star => None,
        };
        let variant = vary.as_ref().map(|spec| spec.variant_text(parts.request));
        Self {
            key: key.into(),
            status,
            last_modified: sole_date(&fields, KnownField::LastModified),
            fields,
            freshness,
            date,
            vary_origin: parts.vary_origin,
            set_cookie: parts.set_cookie,
            vary,
            variant: variant.unwrap_or_default(),
        }
    }

    /// The key text.
    #[must_use]
    pub fn key(&self) -> &[u8] {
        &self.key
    }

    /// The status.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.status
    }

    /// The end-to-end field lines, in the upstream's order, without Age and Content-Length.
    #[must_use]
    pub fn fields(&self) -> &FieldSection {
        &self.fields
    }

    /// How long it is fresh, and its age.
    #[must_use]
    pub fn freshness(&self) -> &Freshness {
        &self.freshness
    }

    /// The value of `Content-Type`.
    #[must_use]
    pub fn content_type(&self) -> Option<&[u8]> {
        self.fields.get(KnownField::ContentType)
    }

    /// The entity tag, when there is exactly one well-formed one.
    #[must_use]
    pub fn etag(&self) -> Option<EntityTag<'_>> {
        entity_tag(&self.fields)
    }

    /// `Last-Modified` in seconds since 1970, when it is one date.
    #[must_use]
    pub fn last_modified(&self) -> Option<u64> {
        self.last_modified
    }

    /// `Date` in seconds since 1970; the time of receipt when the upstream sent none.
    #[must_use]
    pub fn date(&self) -> u64 {
        self.date
    }

    /// The request fields it depends on.
    #[must_use]
    pub fn vary(&self) -> Option<&VarySpec> {
        self.vary.as_ref()
    }

    /// Does `Origin` in its `Vary` count?
    #[must_use]
    pub fn vary_origin(&self) -> VaryOrigin {
        self.vary_origin
    }

    /// What was done with its `Set-Cookie` lines.
    #[must_use]
    pub fn set_cookie(&self) -> SetCookie {
        self.set_cookie
    }

    /// Would this request have been answered with this response, as far as its `Vary` says?
    #[must_use]
    pub fn selects(&self, request: Request<'_>) -> bool {
        self.vary
            .as_ref()
            .is_none_or(|spec| spec.matches(request, &self.variant))
    }

    /// Heap memory in bytes.
    fn heap_bytes(&self) -> usize {
        self.key.len()
            + self.fields.heap_bytes()
            + self.vary.as_ref().map_or(0, VarySpec::heap_bytes)
            + self.variant.len()
    }
}

/// RFC 9111 §3.1, and what is derived again when the response is served.
fn remove_unstored(fields: &mut FieldSection, set_cookie: SetCookie) {
    if fields.has(KnownField::Connection) {
        let connection: Vec<Box<[u8]>> =
            fields.all(KnownField::Connection).map(Box::from).collect();
        fields.retain(|line| {
            !is_nominated_hop_by_hop(connection.iter().map(|value| &**value), line.name)
        });
    }
    fields.retain(|line| match line.known {
        Some(KnownField::ContentLength | KnownField::Age) => false,
        Some(KnownField::SetCookie) => set_cookie == SetCookie::Store,
        Some(field) => !field.flags().hop_by_hop(),
        None => !line.is_named(b"Proxy-Authentication-Info"),
    });
}

/// The head of a fill, with what is known about the body that follows.
#[derive(Clone, Debug)]
pub struct FillHead {
    head: StoredHead,
    content_length: Option<u64>,
}

impl FillHead {
    /// Makes the head of a fill from an upstream's response.
    #[must_use]
    pub fn new(parts: HeadParts<'_>) -> Self {
        let content_length = content_length(&parts.fields);
        Self {
            head: StoredHead::new(parts),
            content_length,
        }
    }

    /// The length the upstream announced.
    #[must_use]
    pub fn content_length(&self) -> Option<u64> {
        self.content_length
    }
}

impl Deref for FillHead {
    type Target = StoredHead;

    fn deref(&self) -> &StoredHead {
        &self.head
    }
}

/// A stored response. Shared by reference; reads like its [`StoredHead`].
#[derive(Debug)]
pub struct Stored {
    pub(crate) place: Place,
    head: StoredHead,
    body: Body,
    lingering: Lingering,
}

/// Where the store put a response. Set once, before it is shared.
#[derive(Clone, Default, Debug)]
pub(crate) struct Place {
    pub(crate) id: u64,
    pub(crate) slot: Option<KeyHash>,
    pub(crate) primary: Option<KeyHash>,
    /// Normal form of the request fields that the URI's marker names; empty without a marker.
    pub(crate) variant: Box<[u8]>,
    pub(crate) weight: u64,
}

/// What an entry costs beside the heap memory it names: the reference-counted block, allocator
/// headers, and its share of the index, whose tables double when they grow.
const ENTRY_OVERHEAD_BYTES: u64 = 256;

impl Stored {
    /// A response with its whole body, ready for [`Store::insert`](crate::Store::insert).
    #[must_use]
    pub fn new(head: StoredHead, body: Body) -> Self {
        Self {
            place: Place::default(),
            head,
            body,
            lingering: Lingering::default(),
        }
    }

    /// The response whose head a fill published.
    #[must_use]
    pub fn from_fill(head: &FillHead, body: Body) -> Self {
        Self::new(head.head.clone(), body)
    }

    /// A number no other response of the store has or had; 0 before it was inserted.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.place.id
    }

    /// The hash it was stored under: its key's, or its variant's. `None` before it was inserted.
    #[must_use]
    pub fn slot(&self) -> Option<KeyHash> {
        self.place.slot
    }

    /// Does it answer only some of its URI's requests? True for a response without `Vary` too, when
    /// others of the URI vary. Its key alone does not lead to it then.
    #[must_use]
    pub fn is_variant(&self) -> bool {
        self.place.slot != self.place.primary
    }

    /// The head.
    #[must_use]
    pub fn head(&self) -> &StoredHead {
        &self.head
    }

    /// The body.
    #[must_use]
    pub fn body(&self) -> &Body {
        &self.body
    }

    /// Bytes it counts against the budget: key, head, body, and its part of the index.
    #[must_use]
    pub fn weight(&self) -> u64 {
        size_of::<Self>() as u64
            + ENTRY_OVERHEAD_BYTES
            + (self.head.heap_bytes() + self.place.variant.len()) as u64
            + self.body.memory_bytes()
    }

    /// Has it left the store, or been replaced? Then a front cache must look again. One load.
    #[must_use]
    #[inline]
    pub fn is_retired(&self) -> bool {
        self.lingering.retired.load(Ordering::Acquire)
    }

    /// Marks it as no longer in the store. It stays readable for whoever holds it.
    pub(crate) fn retire(&self) {
        if !self.lingering.retired.swap(true, Ordering::AcqRel) {
            self.lingering.begin(self.weight());
        }
    }

    /// Tells where to count it from its retirement until the last holder lets go.
    pub(crate) fn count_lingering_in(&mut self, ledger: Arc<AtomicU64>) {
        self.lingering.ledger = Some(ledger);
    }
}

/// What a response that has left the store still takes, because somebody holds it.
#[derive(Default, Debug)]
struct Lingering {
    retired: AtomicBool,
    bytes: AtomicU64,
    ledger: Option<Arc<AtomicU64>>,
}

impl Lingering {
    fn begin(&self, bytes: u64) {
        if let Some(ledger) = &self.ledger {
            self.bytes.store(bytes, Ordering::Relaxed);
            ledger.fetch_add(bytes, Ordering::Relaxed);
        }
    }
}

impl Drop for Lingering {
    fn drop(&mut self) {
        if let Some(ledger) = &self.ledger {
            ledger.fetch_sub(self.bytes.load(Ordering::Relaxed), Ordering::Relaxed);
        }
    }
}

impl Deref for Stored {
    type Target = StoredHead;

    #[inline]
    fn deref(&self) -> &StoredHead {
        &self.head
    }
}
