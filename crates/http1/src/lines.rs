//! The field lines of a parsed head: offsets into its bytes, with an index by known name.
//!
//! RFC 9110 §5.2 (lines and combined values), §5.3 (order). The lines never own bytes:
//! [`FieldsView`] joins them with the bytes they were parsed from. Reused from head to head, so a
//! connection's steady state allocates nothing.

use crate::field::{FieldRef, KnownField, KnownSet};

/// The most field lines a head may have, whatever the limits say: a line's index fits one byte.
pub const HEADER_LINES_CAP: usize = 255;

/// A part of the head's bytes.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Span {
    start: u32,
    len: u32,
}

impl Span {
    /// The span of `part` inside `base`. `part` must be a slice of `base`.
    #[inline]
    pub(crate) fn of(base: &[u8], part: &[u8]) -> Self {
        let start = offset_in(base, part);
        debug_assert!(
            start + part.len() <= base.len(),
            "the part lies inside its base"
        );
        Self {
            start: start as u32,
            len: part.len() as u32,
        }
    }

    #[inline]
    pub(crate) fn of_range(start: usize, end: usize) -> Self {
        Self {
            start: start as u32,
            len: (end - start) as u32,
        }
    }

    #[inline]
    pub(crate) fn slice(self, bytes: &[u8]) -> &[u8] {
        &bytes[self.start as usize..][..self.len as usize]
    }
}

/// How far into `base` its slice `part` begins.
#[inline]
pub(crate) fn offset_in(base: &[u8], part: &[u8]) -> usize {
    (part.as_ptr() as usize).wrapping_sub(base.as_ptr() as usize)
}

#[derive(Clone, Copy, Debug)]
struct FieldLine {
    name: Span,
    value: Span,
    known: Option<KnownField>,
}

/// The lines of one head, in order.
#[derive(Clone, Debug)]
pub(crate) struct Fields {
    lines: Vec<FieldLine>,
    present: KnownSet,
    repeated: KnownSet,
    /// Index of a present field's first line; stale for absent ones.
    first: [u8; KnownField::COUNT],
}

impl Fields {
    pub(crate) const fn new() -> Self {
        Self {
            lines: Vec::new(),
            present: KnownSet::EMPTY,
            repeated: KnownSet::EMPTY,
            first: [0; KnownField::COUNT],
        }
    }

    /// Takes over the lines the tokenizer found in `bytes`, which end with the head. False when the
    /// tokenizer was laxer than we are: a line that ends with a bare LF, or a name that some
    /// servers would read as a framing field.
    #[inline]
    pub(crate) fn load(&mut self, bytes: &[u8], lines: &[httparse::Header<'_>]) -> bool {
        self.lines.clear();
        self.present = KnownSet::EMPTY;
        self.repeated = KnownSet::EMPTY;
        if !bytes.ends_with(b"\r\n\r\n") {
            return false;
        }
        self.lines.reserve(lines.len());
        let (mut present, mut repeated) = (KnownSet::EMPTY, KnownSet::EMPTY);
        for (number, line) in lines.iter().enumerate() {
            let name = Span::of(bytes, line.name.as_bytes());
            let start = name.start as usize;
            // The tokenizer saw an LF right before each name; it does not insist on the CR.
            if start < 2 || bytes[start - 2] != b'\r' {
                return false;
            }
            let known = KnownField::parse_inline(line.name.as_bytes());
            match known {
                Some(field) if present.contains(field) => repeated.insert(field),
                Some(field) => {
                    present.insert(field);
                    self.first[field as usize] = number as u8;
                }
                None if is_framing_look_alike(line.name.as_bytes()) => return false,
                None => {}
            }
            self.lines.push(FieldLine {
                name,
                value: Span::of(bytes, line.value),
                known,
            });
        }
        self.present = present;
        self.repeated = repeated;
        true
    }
}

/// Would a CGI-like server take this name for a framing field, because it reads `_` as `-`?
pub(crate) fn is_framing_look_alike(name: &[u8]) -> bool {
    const FRAMING: [&[u8]; 2] = [b"content-length", b"transfer-encoding"];
    FRAMING.iter().any(|framing| {
        framing.len() == name.len()
            && name != *framing
            && name.contains(&b'_')
            && name.iter().zip(*framing).all(|(&b, &wanted)| {
                b.to_ascii_lowercase() == wanted || (b == b'_' && wanted == b'-')
            })
    })
}

/// The field lines of a head together with its bytes: what requests and responses share.
#[derive(Clone, Copy, Debug)]
pub struct FieldsView<'a> {
    bytes: &'a [u8],
    fields: &'a Fields,
}

impl<'a> FieldsView<'a> {
    pub(crate) fn new(bytes: &'a [u8], fields: &'a Fields) -> Self {
        Self { bytes, fields }
    }

    /// The bytes the offsets of this head are relative to.
    pub(crate) fn bytes(self) -> &'a [u8] {
        self.bytes
    }

    /// How many field lines there are.
    #[must_use]
    pub fn len(self) -> usize {
        self.fields.lines.len()
    }

    /// Is there no field line?
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.fields.lines.is_empty()
    }

    /// Is there a line of this field?
    #[must_use]
    #[inline]
    pub fn has(self, field: KnownField) -> bool {
        self.fields.present.contains(field)
    }

    /// Is there a line of any of these fields?
    #[must_use]
    #[inline]
    pub fn any_of(self, fields: KnownSet) -> bool {
        self.fields.present.intersects(fields)
    }

    /// Are there two lines or more of this field?
    #[must_use]
    #[inline]
    pub fn is_repeated(self, field: KnownField) -> bool {
        self.fields.repeated.contains(field)
    }

    /// The value of the field's first line.
    #[must_use]
    #[inline]
    pub fn field(self, field: KnownField) -> Option<&'a [u8]> {
        if !self.has(field) {
            return None;
        }
        let line = &self.fields.lines[usize::from(self.fields.first[field as usize])];
        Some(line.value.slice(self.bytes))
    }

    /// The values of the field's lines, in order.
    pub fn fields_named(self, field: KnownField) -> impl Iterator<Item = &'a [u8]> + Clone {
        let lines: &'a [FieldLine] = if self.has(field) {
            &self.fields.lines[usize::from(self.fields.first[field as usize])..]
        } else {
            &[]
        };
        let bytes = self.bytes;
        lines
            .iter()
            .filter(move |line| line.known == Some(field))
            .map(move |line| line.value.slice(bytes))
    }

    /// All lines, in order.
    pub fn fields(self) -> impl Iterator<Item = FieldRef<'a>> + Clone {
        let bytes = self.bytes;
        self.fields.lines.iter().map(move |line| FieldRef {
            name: line.name.slice(bytes),
            value: line.value.slice(bytes),
            known: line.known,
        })
    }

    /// The value of the first line with this name, in any case. Names of the table cost O(1),
    /// others a walk over the lines.
    #[must_use]
    pub fn field_by_name(self, name: &[u8]) -> Option<&'a [u8]> {
        match KnownField::parse(name) {
            Some(known) => self.field(known),
            None => self
                .fields()
                .find(|line| line.is_named(name))
                .map(|line| line.value),
        }
    }

    /// The values of all lines with this name, in any case, in order.
    pub fn fields_by_name<'n>(
        self,
        name: &'n [u8],
    ) -> impl Iterator<Item = &'a [u8]> + use<'a, 'n> {
        self.fields()
            .filter(move |line| line.is_named(name))
            .map(|line| line.value)
    }
}

/// The accessors of [`FieldsView`] on a message view that has a `fields_view` method.
macro_rules! field_accessors {
    () => {
        /// Is there a line of this field?
        #[must_use]
        #[inline]
        pub fn has(self, field: KnownField) -> bool {
            self.fields_view().has(field)
        }

        /// Is there a line of any of these fields?
        #[must_use]
        #[inline]
        pub fn any_of(self, fields: KnownSet) -> bool {
            self.fields_view().any_of(fields)
        }

        /// Are there two lines or more of this field?
        #[must_use]
        #[inline]
        pub fn is_repeated(self, field: KnownField) -> bool {
            self.fields_view().is_repeated(field)
        }

        /// The value of the field's first line.
        #[must_use]
        #[inline]
        pub fn field(self, field: KnownField) -> Option<&'a [u8]> {
            self.fields_view().field(field)
        }

        /// The values of the field's lines, in order.
        pub fn fields_named(self, field: KnownField) -> impl Iterator<Item = &'a [u8]> + Clone {
            self.fields_view().fields_named(field)
        }

        /// All lines, in order.
        pub fn fields(self) -> impl Iterator<Item = FieldRef<'a>> + Clone {
            self.fields_view().fields()
        }

        /// The value of the first line with this name, in any case.
        #[must_use]
        pub fn field_by_name(self, name: &[u8]) -> Option<&'a [u8]> {
            self.fields_view().field_by_name(name)
        }

        /// The values of all lines with this name, in any case, in order.
        pub fn fields_by_name<'n>(
            self,
            name: &'n [u8],
        ) -> impl Iterator<Item = &'a [u8]> + use<'a, 'n> {
            self.fields_view().fields_by_name(name)
        }
    };
}
pub(crate) use field_accessors;
