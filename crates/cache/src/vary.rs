//! Secondary keys: which request fields a response depends on, and what they said.
//!
//! RFC 9111 §4.1. The field values are brought into one normal form, which is hashed to find the
//! variant and compared to be sure: lines of one field are joined; for list fields the white space
//! around members does not count; for `Accept-Encoding` and `Accept-Language` neither does case. An
//! absent field equals only an absent one. Nothing here allocates but what makes a stored value.

use core::hash::Hasher as _;
use corsair_http1::{FieldSection, KnownField, Request, is_token, list_members};
use siphasher::sip128::Hasher128 as _;

use crate::key::{KeyHash, KeySecret};

/// More names than this are treated as `Vary: *`.
pub const VARY_NAMES_MAX: usize = 16;

/// Whether `Origin` in an upstream's `Vary` counts. Decided by who knows the site's CORS rules:
/// where the node itself answers for CORS, the stored body does not depend on `Origin`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum VaryOrigin {
    /// It selects a variant like any other name.
    Keep,
    /// It is left out.
    Ignore,
    /// It selects, and the response names no origin: it is one for all requests that were asked about
    /// and got such an answer ([`Store`](crate::Store) knows which).
    Unnamed,
    /// The response is for every origin (`*`), also where others of its URI are told apart.
    Everybody,
}

impl VaryOrigin {
    /// Whether what was stored in mode `stored` may be sent where the mode is this one.
    ///
    /// What was stored while the node wrote the CORS lines is one response for all origins, and the
    /// upstream may never have been told of any: it must not be sent where the upstream's own lines
    /// count. The other way it may, as the node replaces those lines.
    #[must_use]
    #[inline]
    pub fn accepts(self, stored: Self) -> bool {
        match (self, stored) {
            (Self::Keep | Self::Unnamed | Self::Everybody, Self::Ignore) => false,
            (Self::Ignore, Self::Ignore)
            | (
                Self::Keep | Self::Unnamed | Self::Everybody | Self::Ignore,
                Self::Keep | Self::Unnamed | Self::Everybody,
            ) => true,
        }
    }
}

/// What a response says about the request fields it depends on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum VaryRule {
    /// On none.
    None,
    /// On these.
    Names(VarySpec),
    /// On something no cache can see (`*`), or on more than one wants to keep apart: not storable.
    Star,
}

/// Field names in lower case, sorted, without repetition; at least one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct VarySpec {
    names: Box<[VaryName]>,
}

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct VaryName {
    name: Box<[u8]>,
    known: Option<KnownField>,
}

impl VarySpec {
    /// Reads all `Vary` lines of a response. A member that is no token makes the whole unreadable,
    /// which is treated as `*`.
    #[must_use]
    pub fn from_fields(fields: &FieldSection, origin: VaryOrigin) -> VaryRule {
        if !fields.has(KnownField::Vary) {
            return VaryRule::None;
        }
        let mut names: Vec<VaryName> = Vec::new();
        for member in fields.all(KnownField::Vary).flat_map(list_members) {
            if member == b"*" || !is_token(member) {
                return VaryRule::Star;
            }
            let known = KnownField::parse(member);
            if known == Some(KnownField::Origin) && origin == VaryOrigin::Ignore {
                continue;
            }
            let name = VaryName {
                name: member.to_ascii_lowercase().into(),
                known,
            };
            if let Err(at) = names.binary_search(&name) {
                names.insert(at, name);
            }
            if names.len() > VARY_NAMES_MAX {
                return VaryRule::Star;
            }
        }
        if names.is_empty() {
            VaryRule::None
        } else {
            VaryRule::Names(Self {
                names: names.into(),
            })
        }
    }

    /// Whether `Origin` is among them.
    #[must_use]
    pub fn has_origin(&self) -> bool {
        let mut names = self.names.iter();
        names.any(|name| name.known == Some(KnownField::Origin))
    }

    /// The names, in lower case, sorted.
    pub fn names(&self) -> impl Iterator<Item = &[u8]> {
        self.names.iter().map(|name| &*name.name)
    }

    /// The names of both; `None` when there are more than [`VARY_NAMES_MAX`].
    #[must_use]
    pub fn union(&self, other: &Self) -> Option<Self> {
        let mut names = self.names.to_vec();
        names.extend(other.names.iter().cloned());
        names.sort_unstable();
        names.dedup();
        (names.len() <= VARY_NAMES_MAX).then(|| Self {
            names: names.into(),
        })
    }

    /// Heap memory in bytes.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        self.names.len() * size_of::<VaryName>()
            + self.names.iter().map(|name| name.name.len()).sum::<usize>()
    }

    /// Hands the normal form of the request's nominated fields to `sink`, piece by piece. `sink`
    /// says whether to go on.
    fn emit(
        &self,
        request: Request<'_>,
        form: OriginForm,
        mut sink: impl FnMut(&[u8]) -> bool,
    ) -> bool {
        let mut names = self.names.iter();
        names.all(|name| name.emit(request, form, &mut sink))
    }

    /// The normal form as text, to be kept with a stored response.
    #[must_use]
    pub fn variant_text(&self, request: Request<'_>) -> Box<[u8]> {
        self.variant_text_as(request, OriginForm::Said)
    }

    /// The same with `Origin` in this form.
    pub(crate) fn variant_text_as(&self, request: Request<'_>, form: OriginForm) -> Box<[u8]> {
        let mut text = Vec::new();
        self.emit(request, form, |piece| {
            text.extend_from_slice(piece);
            true
        });
        text.into()
    }

    /// Is `text` the normal form of this request's fields?
    #[must_use]
    pub fn matches(&self, request: Request<'_>, text: &[u8]) -> bool {
        Selection::new(self, request, OriginForm::Said).is(text)
    }
}

/// What stands for `Origin` in a normal form.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum OriginForm {
    /// What the request said.
    Said,
    /// The same for all requests: for responses that several origins share.
    Any,
}

/// Normal forms up to this long are made once, on the stack. `Accept-Encoding` needs some 40 bytes.
const SHORT_BYTES_MAX: usize = 256;

/// What one request says about the names of a spec, ready to be hashed and compared.
pub(crate) struct Selection<'a> {
    spec: &'a VarySpec,
    request: Request<'a>,
    form: OriginForm,
    /// The normal form, when it is short.
    buffer: [u8; SHORT_BYTES_MAX],
    /// `None` when it is long: then it is made anew, piece by piece, each time it is needed.
    short_len: Option<usize>,
}

impl<'a> Selection<'a> {
    pub(crate) fn new(spec: &'a VarySpec, request: Request<'a>, form: OriginForm) -> Self {
        let mut buffer = [0; SHORT_BYTES_MAX];
        let mut len = 0;
        let is_short = spec.emit(request, form, |piece| {
            match buffer.get_mut(len..len + piece.len()) {
                Some(place) => {
                    place.copy_from_slice(piece);
                    len += piece.len();
                    true
                }
                None => false,
            }
        });
        Self {
            spec,
            request,
            form,
            buffer,
            short_len: is_short.then_some(len),
        }
    }

    fn short(&self) -> Option<&[u8]> {
        self.short_len.map(|len| &self.buffer[..len])
    }

    /// The key of the variant: see [`variant_hash`].
    pub(crate) fn hash(&self, secret: &KeySecret, primary: KeyHash) -> KeyHash {
        let mut hasher = secret.hasher();
        hasher.write(&primary.0.to_le_bytes());
        match self.short() {
            Some(text) => hasher.write(text),
            None => {
                self.spec.emit(self.request, self.form, |piece| {
                    hasher.write(piece);
                    true
                });
            }
        }
        KeyHash(hasher.finish128().as_u128())
    }

    /// Is `text` the normal form?
    pub(crate) fn is(&self, text: &[u8]) -> bool {
        if let Some(short) = self.short() {
            return short == text;
        }
        let mut rest = text;
        self.spec.emit(self.request, self.form, |piece| {
            match rest.strip_prefix(piece) {
                Some(after) => {
                    rest = after;
                    true
                }
                None => false,
            }
        }) && rest.is_empty()
    }
}

impl VaryName {
    /// `name '\n'` when absent, else `name ':' value '\n'`. Neither names nor values hold an LF, and no
    /// name the `=` that stands for any origin.
    fn emit(
        &self,
        request: Request<'_>,
        form: OriginForm,
        sink: &mut impl FnMut(&[u8]) -> bool,
    ) -> bool {
        if !sink(&self.name) {
            return false;
        }
        if form == OriginForm::Any && self.known == Some(KnownField::Origin) {
            return sink(b"=\n");
        }
        let whole = match self.known {
            Some(field) => emit_known(field, request, sink),
            None => emit_lines(request.fields_by_name(&self.name), sink),
        };
        whole && sink(b"\n")
    }
}

fn emit_known(
    field: KnownField,
    request: Request<'_>,
    sink: &mut impl FnMut(&[u8]) -> bool,
) -> bool {
    if !request.has(field) {
        return true;
    }
    let lines = request.fields_named(field);
    if matches!(
        field,
        KnownField::AcceptEncoding | KnownField::AcceptLanguage
    ) {
        emit_joined(lines.flat_map(list_members), sink, emit_lowercase)
    } else if field.flags().list() {
        emit_joined(lines.flat_map(list_members), sink, emit_as_is)
    } else {
        emit_joined(lines, sink, emit_as_is)
    }
}

fn emit_lines<'a>(
    lines: impl Iterator<Item = &'a [u8]>,
    sink: &mut impl FnMut(&[u8]) -> bool,
) -> bool {
    let mut lines = lines.peekable();
    lines.peek().is_none() || emit_joined(lines, sink, emit_as_is)
}

fn emit_joined<'a, S: FnMut(&[u8]) -> bool>(
    pieces: impl Iterator<Item = &'a [u8]>,
    sink: &mut S,
    emit: impl Fn(&[u8], &mut S) -> bool,
) -> bool {
    let mut separator: &[u8] = b":";
    let mut any = false;
    for piece in pieces {
        if !(sink(separator) && emit(piece, sink)) {
            return false;
        }
        separator = b",";
        any = true;
    }
    // Present but empty: still not absent.
    any || sink(separator)
}

fn emit_as_is<S: FnMut(&[u8]) -> bool>(piece: &[u8], sink: &mut S) -> bool {
    sink(piece)
}

fn emit_lowercase<S: FnMut(&[u8]) -> bool>(piece: &[u8], sink: &mut S) -> bool {
    let mut lower = [0; 64];
    piece.chunks(lower.len()).all(|part| {
        let lower = &mut lower[..part.len()];
        lower.copy_from_slice(part);
        lower.make_ascii_lowercase();
        sink(lower)
    })
}

/// The key of the variant that `request` selects among the responses of `primary`. Depends on the
/// names too: another `Vary` gives other keys.
#[must_use]
pub fn variant_hash(
    secret: &KeySecret,
    primary: KeyHash,
    spec: &VarySpec,
    request: Request<'_>,
) -> KeyHash {
    Selection::new(spec, request, OriginForm::Said).hash(secret, primary)
}
