//! An owned field section that can be edited: what a stored response keeps and header operations
//! work on.
//!
//! RFC 9110 §5.2–§5.3 (lines, order, combination). Lines are kept rendered, so an unedited section
//! is written with one copy. It never holds a line that could not be sent: a name that is no token,
//! or a value with CR, LF or NUL.

use crate::field::{FieldRef, KnownField, KnownSet, is_field_value, is_token, trim_ows};

/// Garbage that edits may leave in the text before it is compacted, beyond the size of the live
/// lines.
const DEAD_BYTES_MAX: usize = 1024;
/// `: ` and CRLF.
const LINE_OVERHEAD: usize = 4;

#[derive(Clone, Copy, Debug)]
struct SectionLine {
    start: u32,
    name_len: u32,
    value_len: u32,
    known: Option<KnownField>,
}

impl SectionLine {
    fn rendered_len(self) -> usize {
        self.name_len as usize + self.value_len as usize + LINE_OVERHEAD
    }

    fn rendered(self, text: &[u8]) -> &[u8] {
        &text[self.start as usize..][..self.rendered_len()]
    }

    fn name(self, text: &[u8]) -> &[u8] {
        &text[self.start as usize..][..self.name_len as usize]
    }

    fn value_start(self) -> usize {
        self.start as usize + self.name_len as usize + 2
    }

    fn value(self, text: &[u8]) -> &[u8] {
        &text[self.value_start()..][..self.value_len as usize]
    }

    fn view(self, text: &[u8]) -> FieldRef<'_> {
        FieldRef {
            name: self.name(text),
            value: self.value(text),
            known: self.known,
        }
    }
}

/// Field lines in order, owned and editable.
///
/// ```
/// use corsair_http1::{FieldSection, KnownField};
/// let mut section = FieldSection::new();
/// section.push(b"Vary", b"Origin");
/// section.push(b"X-Cache", b"a");
/// section.set_first(KnownField::Vary, b"Accept");
/// let mut out = Vec::new();
/// section.render(&mut out);
/// assert_eq!(out, b"Vary: Accept\r\nX-Cache: a\r\n");
/// ```
#[derive(Debug)]
pub struct FieldSection {
    text: Vec<u8>,
    lines: Vec<SectionLine>,
    present: KnownSet,
    /// A bit for each length of a name that is not in the table.
    other_lens: u64,
    /// Bytes of the lines that are not removed.
    live: usize,
    /// Does the text hold exactly the lines, in their order?
    layout: Layout,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Layout {
    Exact,
    Edited,
}

impl Default for FieldSection {
    fn default() -> Self {
        Self::new()
    }
}

impl Clone for FieldSection {
    fn clone(&self) -> Self {
        let mut copy = Self::new();
        copy.clone_from(self);
        copy
    }

    /// Copies into the allocations this section already has.
    fn clone_from(&mut self, source: &Self) {
        self.text.clone_from(&source.text);
        self.lines.clone_from(&source.lines);
        self.present = source.present;
        self.other_lens = source.other_lens;
        self.live = source.live;
        self.layout = source.layout;
    }
}

impl FieldSection {
    /// No lines.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            text: Vec::new(),
            lines: Vec::new(),
            present: KnownSet::EMPTY,
            other_lens: 0,
            live: 0,
            layout: Layout::Exact,
        }
    }

    /// Removes all lines; keeps the allocations.
    pub fn clear(&mut self) {
        self.text.clear();
        self.lines.clear();
        self.present = KnownSet::EMPTY;
        self.other_lens = 0;
        self.live = 0;
        self.layout = Layout::Exact;
    }

    /// How many lines there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lines.len()
    }

    /// Is there no line?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// Adds a line at the end. White space around the value is dropped.
    ///
    /// A name that is no token, or a value with a control byte, adds nothing: no line is ever made
    /// of what could end one.
    pub fn push(&mut self, name: &[u8], value: &[u8]) {
        let known = KnownField::parse(name);
        if known.is_none() && !is_token(name) {
            return;
        }
        self.push_line(name, value, known);
    }

    fn push_line(&mut self, name: &[u8], value: &[u8], known: Option<KnownField>) {
        let Some(line) = self.write_line(name, value, known) else {
            return;
        };
        self.lines.push(line);
        self.live += line.rendered_len();
        match known {
            Some(field) => self.present.insert(field),
            None => self.other_lens |= len_bit(name.len()),
        }
    }

    /// Writes a line behind the text; the caller enters it into the lines.
    fn write_line(
        &mut self,
        name: &[u8],
        value: &[u8],
        known: Option<KnownField>,
    ) -> Option<SectionLine> {
        let value = trim_ows(value);
        if !is_field_value(value) {
            return None;
        }
        let line = SectionLine {
            start: u32::try_from(self.text.len()).ok()?,
            name_len: u32::try_from(name.len()).ok()?,
            value_len: u32::try_from(value.len()).ok()?,
            known,
        };
        self.text.reserve(line.rendered_len());
        self.text.extend_from_slice(name);
        self.text.extend_from_slice(b": ");
        self.text.extend_from_slice(value);
        self.text.extend_from_slice(b"\r\n");
        Some(line)
    }

    /// All lines, in order.
    pub fn iter(&self) -> impl Iterator<Item = FieldRef<'_>> + Clone {
        self.lines.iter().map(|line| line.view(&self.text))
    }

    /// Is there a line of this field?
    #[must_use]
    #[inline]
    pub fn has(&self, field: KnownField) -> bool {
        self.present.contains(field)
    }

    /// Is there a line of any of these fields?
    #[must_use]
    #[inline]
    pub fn any_of(&self, fields: KnownSet) -> bool {
        self.present.intersects(fields)
    }

    /// May there be a line of this name, which is none of [`KnownField`]'s? A look at the name's
    /// length, without a walk: `false` is certain, `true` is not.
    #[must_use]
    #[inline]
    pub fn may_have_other(&self, name: &[u8]) -> bool {
        self.other_lens & len_bit(name.len()) != 0
    }

    /// The value of the field's first line.
    #[must_use]
    pub fn get(&self, field: KnownField) -> Option<&[u8]> {
        self.all(field).next()
    }

    /// The value of the first line with this name, in any case.
    #[must_use]
    pub fn get_named(&self, name: &[u8]) -> Option<&[u8]> {
        self.all_named(name).next()
    }

    /// The values of the field's lines, in order. Absent fields cost no walk.
    pub fn all(&self, field: KnownField) -> impl Iterator<Item = &[u8]> + Clone {
        let lines: &[SectionLine] = if self.has(field) { &self.lines } else { &[] };
        lines
            .iter()
            .filter(move |line| line.known == Some(field))
            .map(|line| line.value(&self.text))
    }

    /// The values of all lines with this name, in any case, in order.
    pub fn all_named<'s, 'n>(
        &'s self,
        name: &'n [u8],
    ) -> impl Iterator<Item = &'s [u8]> + Clone + use<'s, 'n> {
        let known = KnownField::parse(name);
        let is_absent = known.is_some_and(|field| !self.has(field));
        let lines: &[SectionLine] = if is_absent { &[] } else { &self.lines };
        lines
            .iter()
            .filter(move |line| {
                line.known == known
                    && (known.is_some() || line.name(&self.text).eq_ignore_ascii_case(name))
            })
            .map(|line| line.value(&self.text))
    }

    /// Removes the field's lines; says how many there were.
    pub fn remove(&mut self, field: KnownField) -> usize {
        if !self.has(field) {
            return 0;
        }
        self.retain(|line| line.known != Some(field))
    }

    /// Removes all lines with this name, in any case; says how many there were.
    pub fn remove_named(&mut self, name: &[u8]) -> usize {
        match KnownField::parse(name) {
            Some(field) => self.remove(field),
            None => self.retain(|line| line.known.is_some() || !line.is_named(name)),
        }
    }

    /// Keeps the lines `keep` says yes to, in order; says how many were removed.
    pub fn retain(&mut self, mut keep: impl FnMut(FieldRef<'_>) -> bool) -> usize {
        let before = self.lines.len();
        let text = &self.text;
        self.lines.retain(|line| keep(line.view(text)));
        let removed = before - self.lines.len();
        if removed > 0 {
            self.layout = Layout::Edited;
            self.recount();
            self.compact_if_wasteful();
        }
        removed
    }

    fn recount(&mut self) {
        self.live = 0;
        self.present = KnownSet::EMPTY;
        self.other_lens = 0;
        for line in &self.lines {
            self.live += line.rendered_len();
            match line.known {
                Some(field) => self.present.insert(field),
                None => self.other_lens |= len_bit(line.name_len as usize),
            }
        }
    }

    /// Makes `value` the field's only value: in place of its first line, or as a new last line. The
    /// name is spelled canonically.
    ///
    /// A value with a control byte changes nothing, as for [`push`](Self::push).
    pub fn set_first(&mut self, field: KnownField, value: &[u8]) {
        let Some(at) = self.position(field) else {
            self.push_line(field.as_str().as_bytes(), value, Some(field));
            return;
        };
        let old = self.lines[at];
        let value = trim_ows(value);
        if value.len() == old.value_len as usize && is_field_value(value) {
            let name = field.as_str().as_bytes();
            self.text[old.start as usize..][..name.len()].copy_from_slice(name);
            self.text[old.value_start()..][..value.len()].copy_from_slice(value);
        } else {
            let Some(line) = self.write_line(field.as_str().as_bytes(), value, Some(field)) else {
                return;
            };
            self.lines[at] = line;
            self.layout = Layout::Edited;
        }
        let mut index = 0;
        self.lines.retain(|line| {
            let keep = index <= at || line.known != Some(field);
            index += 1;
            keep
        });
        if self.lines.len() < index {
            self.layout = Layout::Edited;
        }
        self.recount();
        self.compact_if_wasteful();
    }

    fn position(&self, field: KnownField) -> Option<usize> {
        if !self.has(field) {
            return None;
        }
        self.lines.iter().position(|line| line.known == Some(field))
    }

    fn compact_if_wasteful(&mut self) {
        if self.text.len() > 2 * self.live + DEAD_BYTES_MAX {
            self.compact();
        }
    }

    /// Rewrites the text so that it holds exactly the lines, and gives back what memory that frees.
    /// Worth it before a section is stored.
    pub fn compact(&mut self) {
        if self.layout == Layout::Edited {
            let mut text = Vec::with_capacity(self.live);
            for line in &mut self.lines {
                let start = text.len() as u32;
                text.extend_from_slice(line.rendered(&self.text));
                line.start = start;
            }
            self.text = text;
            self.layout = Layout::Exact;
        }
        self.text.shrink_to_fit();
        self.lines.shrink_to_fit();
    }

    /// Appends all lines, each with its CRLF; no empty line behind them.
    pub fn render(&self, out: &mut Vec<u8>) {
        match self.layout {
            Layout::Exact => out.extend_from_slice(&self.text),
            Layout::Edited => {
                out.reserve(self.live);
                for line in &self.lines {
                    out.extend_from_slice(line.rendered(&self.text));
                }
            }
        }
    }

    /// Bytes that [`render`](Self::render) appends.
    #[must_use]
    pub fn rendered_len(&self) -> usize {
        self.live
    }

    /// Bytes of heap memory in use, spare capacity included.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        self.text.capacity() + self.lines.capacity() * size_of::<SectionLine>()
    }
}

/// The last bit stands for all lengths from there on.
fn len_bit(name_len: usize) -> u64 {
    1 << name_len.min(63)
}

impl PartialEq for FieldSection {
    /// The same lines in the same order, names compared byte for byte.
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for FieldSection {}
