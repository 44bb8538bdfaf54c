//! Response header operations: a closed set of verbs, compiled to a flat list, run in order.
//!
//! RFC 9110 §5 (fields), spec §2 (`[[site.header]]`). Fields on which the node's own framing,
//! caching or handshakes stand are refused at load with the reason, whatever the verb. A line can
//! be added, changed or removed; it can never be split, because names are tokens and values are
//! checked or cleaned. Operations run after the stored head and before CORS; Vary, Age, Date and
//! the CORS lines of the node are not theirs.

use crate::glob::{Glob, Replaced};
use crate::header_condition::{Condition, HeaderConditionSpec};
use crate::header_lint::{lint_constant, lint_verb};
use crate::header_request::RequestConditions;
use crate::header_template::{Scratch, Template, VALUE_BYTES_MAX};
use crate::lint::{Lint, OpPlace, OpProblem, Severity};
use core::fmt;
use corsair_http1::{FieldSection, KnownField, Request, is_field_value, is_token, list_members};

/// Most new members that one `merge` adds; a list of that length is nobody's configuration.
const MERGE_MEMBERS_MAX: usize = 64;

/// What an operation does with the field of its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum HeaderOp {
    /// One line with this value, in place of all there are.
    Set,
    /// One more line.
    Add,
    /// The value behind those there are, in one comma list; else like `set`.
    Append,
    /// The members that the comma list lacks, compared without case; else like `set`.
    Merge,
    /// Like `set`, but only when there is no line.
    Default,
    /// No line. The name may end in `*`.
    Remove,
    /// Every part of a value that the pattern covers becomes the value.
    Replace,
}

impl HeaderOp {
    /// The verb as it is written in a configuration.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Set => "set",
            Self::Add => "add",
            Self::Append => "append",
            Self::Merge => "merge",
            Self::Default => "default",
            Self::Remove => "remove",
            Self::Replace => "replace",
        }
    }
}

/// One `[[site.header]]` as plain values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeaderOpSpec {
    /// The verb.
    pub op: HeaderOp,
    /// The field's name.
    pub name: String,
    /// For all but `remove`; may hold variables.
    pub value: Option<String>,
    /// For `replace` only: a text in which `*` stands for any run of characters.
    pub pattern: Option<String>,
    /// When it applies.
    pub when: HeaderConditionSpec,
}

/// Why a field is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NameProtection {
    /// It says where the message ends.
    Framing,
    /// It belongs to one connection.
    HopByHop,
    /// The node writes it from what it knows.
    NodeWritten,
    /// It describes the bytes that are sent.
    DescribesBytes,
    /// It is part of a protocol upgrade between client and upstream.
    Handshake,
}

impl fmt::Display for NameProtection {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Framing => "it says where the message ends, and a wrong one splits responses",
            Self::HopByHop => "it belongs to one connection, and each hop writes its own",
            Self::NodeWritten => "the node writes it from what it knows about the response",
            Self::DescribesBytes => "it describes which bytes are sent",
            Self::Handshake => "it belongs to the upgrade between the client and the upstream",
        })
    }
}

/// Why no operation may touch this field; `None` for all others.
#[must_use]
pub fn protection_of(name: &[u8]) -> Option<NameProtection> {
    protection_of_known(KnownField::parse(name)?)
}

fn protection_of_known(field: KnownField) -> Option<NameProtection> {
    if field.flags().framing() {
        return Some(NameProtection::Framing);
    }
    if field.flags().hop_by_hop() {
        return Some(NameProtection::HopByHop);
    }
    // A choice among ninety names: the rest is open on purpose.
    const NODE_WRITTEN: [KnownField; 4] = [
        KnownField::Date,
        KnownField::Age,
        KnownField::Via,
        KnownField::CacheStatus,
    ];
    const DESCRIBING: [KnownField; 2] = [KnownField::ContentEncoding, KnownField::ContentRange];
    const HANDSHAKE: [KnownField; 3] = [
        KnownField::SecWebSocketAccept,
        KnownField::SecWebSocketProtocol,
        KnownField::SecWebSocketExtensions,
    ];
    if NODE_WRITTEN.contains(&field) {
        Some(NameProtection::NodeWritten)
    } else if DESCRIBING.contains(&field) {
        Some(NameProtection::DescribesBytes)
    } else if HANDSHAKE.contains(&field) {
        Some(NameProtection::Handshake)
    } else {
        None
    }
}

/// What an operation may look at beside the response's fields.
#[derive(Debug, Clone, Copy)]
pub struct EditContext<'a> {
    /// Of the response.
    pub status: u16,
    /// Of the request.
    pub method: &'a [u8],
    /// Lower-case, without port.
    pub host: &'a [u8],
    /// In canonical form.
    pub path: &'a [u8],
    /// Without the `?`.
    pub query: Option<&'a [u8]>,
    /// The cache's outcome, such as `hit`.
    pub cache: &'a str,
    /// The request's fields; `None` where there is no request, such as a refresh.
    pub request: Option<Request<'a>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verb {
    Set(Template),
    Add(Template),
    Append(Template),
    Merge(Template),
    Default(Template),
    Remove,
    RemovePrefix,
    Replace(Glob, Template),
}

#[derive(Debug, Clone)]
pub(crate) struct Op {
    pub(crate) verb: Verb,
    /// As written; for `RemovePrefix` without the star.
    pub(crate) name: Box<[u8]>,
    pub(crate) known: Option<KnownField>,
    /// `None`: always.
    pub(crate) when: Option<Box<Condition>>,
    /// The number of its conditions on request headers in the policy's list.
    asked: Option<usize>,
    /// Whether what it does depends on the request's `Origin`.
    by_origin: bool,
}

/// Whether what operations made of a response depends on the request's `Origin`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EditedFor {
    /// It is the same for every origin.
    EveryOrigin,
    /// Another one might get another head, so the response must say `Vary: Origin`.
    ThisOrigin,
}

/// The header operations of one route.
///
/// ```
/// use corsair_http1::FieldSection;
/// use corsair_rules::{EditContext, HeaderOp, HeaderOpSpec, HeaderPolicy};
/// let spec = HeaderOpSpec {
///     op: HeaderOp::Set,
///     name: "X-Frame-Options".into(),
///     value: Some("DENY".into()),
///     pattern: None,
///     when: Default::default(),
/// };
/// let policy = HeaderPolicy::compile(vec![spec]).unwrap();
/// let mut section = FieldSection::new();
/// let context = EditContext {
///     status: 200,
///     method: b"GET",
///     host: b"a",
///     path: b"/",
///     query: None,
///     cache: "hit",
///     request: None,
/// };
/// policy.apply(&mut section, &context);
/// assert_eq!(section.get_named(b"x-frame-options"), Some(&b"DENY"[..]));
/// ```
#[derive(Debug, Clone)]
pub struct HeaderPolicy {
    ops: Vec<Op>,
    requests: RequestConditions,
    /// Of the operations whose value takes from the request: their conditions on its headers.
    varying: Vec<Option<usize>>,
    /// Whether a condition tells HEAD from GET.
    tells_head: bool,
    /// Whether every request gets the same edit.
    is_static: bool,
}

impl Default for HeaderPolicy {
    fn default() -> Self {
        Self::none()
    }
}

impl HeaderPolicy {
    /// No operations.
    #[must_use]
    pub fn none() -> Self {
        Self {
            ops: Vec::new(),
            requests: RequestConditions::default(),
            varying: Vec::new(),
            tells_head: false,
            is_static: true,
        }
    }

    /// Compiles operations; they run in the order given.
    ///
    /// # Errors
    /// Every finding, when at least one refuses an operation.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "the signature other crates build on"
    )]
    pub fn compile(specs: Vec<HeaderOpSpec>) -> Result<Self, Vec<OpProblem>> {
        let mut problems = Vec::new();
        let mut ops = Vec::with_capacity(specs.len());
        for (index, spec) in specs.iter().enumerate() {
            let mut add = |place, lint| {
                problems.push(OpProblem {
                    op: index,
                    place,
                    lint,
                });
            };
            ops.extend(compile_op(spec, &mut add));
        }
        if problems
            .iter()
            .any(|problem| problem.lint.severity() == Severity::Error)
        {
            return Err(problems);
        }
        let mut requests = RequestConditions::default();
        for op in &mut ops {
            let tests = op
                .when
                .as_ref()
                .map_or(&[][..], |when| when.request_tests());
            op.asked = (!tests.is_empty()).then(|| requests.enter(tests));
        }
        let takes_from_request = |op: &&Op| !op.value_is_static();
        let varying: Vec<_> = ops
            .iter()
            .filter(takes_from_request)
            .map(|op| op.asked)
            .collect();
        let conditions = || ops.iter().filter_map(|op| op.when.as_ref());
        let tells_head = conditions().any(|when| when.tells_head());
        let is_static = varying.is_empty()
            && !tells_head
            && conditions().all(|when| when.request_tests().is_empty());
        Ok(Self {
            ops,
            requests,
            varying,
            tells_head,
            is_static,
        })
    }

    pub(crate) fn ops(&self) -> &[Op] {
        &self.ops
    }

    /// Whether there are no operations.
    #[must_use]
    pub fn is_none(&self) -> bool {
        self.ops.is_empty()
    }

    /// Which of the edits that this policy makes of one stored response and status this request gets:
    /// requests with the same number get the same, so that it may be kept beside the response. Host and
    /// path are no part of it, because they are in the cache key. `None` when the edit is the request's
    /// own: a value that takes from it, or more conditions on its headers than are numbered.
    #[must_use]
    #[inline]
    pub fn variant(&self, request: Request<'_>) -> Option<u64> {
        if self.is_static {
            return Some(0);
        }
        self.variant_among(request)
    }

    fn variant_among(&self, request: Request<'_>) -> Option<u64> {
        /// Above all bits of [`RequestConditions::numbered`].
        const HEAD: u64 = 1 << 63;
        let holding = self.requests.holding(Some(request));
        let asked_holds = |number| self.requests.holds(number, &holding, Some(request));
        let is_own = |asked: &Option<usize>| asked.is_none_or(asked_holds);
        if self.varying.iter().any(is_own) {
            return None;
        }
        let is_head = self.tells_head && request.method() == b"HEAD";
        let lists = self.requests.numbered(&holding)?;
        Some(lists | if is_head { HEAD } else { 0 })
    }

    /// Runs the operations on a response's fields, and says whether `Origin` had a say in it: also where
    /// one did not run because the request has another origin than it asks for.
    #[inline]
    pub fn apply(&self, section: &mut FieldSection, context: &EditContext<'_>) -> EditedFor {
        let mut edited_for = EditedFor::EveryOrigin;
        if self.ops.is_empty() {
            return edited_for;
        }
        let mut scratch = Scratch::new();
        let holding = self.requests.holding(context.request);
        let asked_holds = |number| self.requests.holds(number, &holding, context.request);
        for op in &self.ops {
            let is_asked_for = op.asked.is_none_or(asked_holds);
            if (is_asked_for || op.by_origin)
                && !op.is_idle(section)
                && op.when_holds_beside_request(section, context)
            {
                if op.by_origin {
                    edited_for = EditedFor::ThisOrigin;
                }
                if is_asked_for {
                    op.run(section, context, &mut scratch);
                }
            }
        }
        edited_for
    }
}

fn compile_op(spec: &HeaderOpSpec, add: &mut impl FnMut(OpPlace, Lint)) -> Option<Op> {
    let (name, is_prefix) = compile_name(spec, add)?;
    let known = if is_prefix {
        None
    } else {
        KnownField::parse(name.as_bytes())
    };
    let when = match Condition::compile(&spec.when) {
        Ok(when) => Some((!when.is_always()).then(|| Box::new(when))),
        Err(texts) => {
            texts
                .into_iter()
                .for_each(|text| add(OpPlace::When, Lint::BadCondition { text }));
            None
        }
    };
    if spec.pattern.is_some() && spec.op != HeaderOp::Replace {
        add(
            OpPlace::Pattern,
            Lint::NeedlessValue {
                name: spec.name.clone(),
            },
        );
    }
    if let Some(lint) = lint_verb(spec, known) {
        add(OpPlace::Op, lint);
        return None;
    }
    let verb = if spec.op == HeaderOp::Remove {
        if spec.value.is_some() {
            add(
                OpPlace::Value,
                Lint::NeedlessValue {
                    name: spec.name.clone(),
                },
            );
        }
        if is_prefix {
            Verb::RemovePrefix
        } else {
            Verb::Remove
        }
    } else {
        let value = compile_value(spec, known, add)?;
        compile_verb(spec, known, value, add)?
    };
    let when = when?;
    let by_origin = when
        .as_ref()
        .is_some_and(|when| when.asks_for(KnownField::Origin))
        || verb
            .value()
            .is_some_and(|value| value.takes_request_field(KnownField::Origin));
    Some(Op {
        verb,
        name: name.as_bytes().into(),
        known,
        when,
        asked: None,
        by_origin,
    })
}

/// The name without a final star, and whether there was one.
fn compile_name<'a>(
    spec: &'a HeaderOpSpec,
    add: &mut impl FnMut(OpPlace, Lint),
) -> Option<(&'a str, bool)> {
    let (name, is_prefix) = match spec.name.strip_suffix('*') {
        Some(prefix) if spec.op == HeaderOp::Remove && !prefix.is_empty() => (prefix, true),
        _ => (spec.name.as_str(), false),
    };
    if name.contains('*') {
        add(
            OpPlace::Name,
            Lint::StarInName {
                text: spec.name.clone(),
            },
        );
        return None;
    }
    if !is_token(name.as_bytes()) {
        add(
            OpPlace::Name,
            Lint::BadFieldName {
                text: spec.name.clone(),
            },
        );
        return None;
    }
    // A prefix leaves protected fields alone; one that is such a name was meant to be it.
    if let Some(reason) = protection_of(name.as_bytes()) {
        add(
            OpPlace::Name,
            Lint::ProtectedField {
                name: spec.name.clone(),
                reason,
            },
        );
        return None;
    }
    Some((name, is_prefix))
}

fn compile_value(
    spec: &HeaderOpSpec,
    known: Option<KnownField>,
    add: &mut impl FnMut(OpPlace, Lint),
) -> Option<Template> {
    let name = || spec.name.clone();
    let Some(value) = &spec.value else {
        add(OpPlace::Value, Lint::MissingValue { name: name() });
        return None;
    };
    let template = match Template::parse(value) {
        Ok(template) => template,
        Err(unknown) => {
            add(OpPlace::Value, Lint::UnknownVariable { text: unknown.0 });
            return None;
        }
    };
    if !template.literals().all(is_field_value) {
        add(OpPlace::Value, Lint::BadFieldValue { name: name() });
        return None;
    }
    let says_who = matches!(
        known,
        Some(KnownField::AccessControlAllowOrigin | KnownField::TimingAllowOrigin)
    );
    if says_who && template.takes_from_client() {
        add(OpPlace::Value, Lint::ReflectedOrigin { name: name() });
        return None;
    }
    if let (Some(known), Some(constant), false) =
        (known, template.constant(), spec.op == HeaderOp::Replace)
        && let Some(lint) = lint_constant(known, constant, spec)
    {
        add(OpPlace::Value, lint);
        return None;
    }
    Some(template)
}

fn compile_verb(
    spec: &HeaderOpSpec,
    known: Option<KnownField>,
    value: Template,
    add: &mut impl FnMut(OpPlace, Lint),
) -> Option<Verb> {
    Some(match spec.op {
        HeaderOp::Set => Verb::Set(value),
        HeaderOp::Add => Verb::Add(value),
        // RFC 6265 §3: Set-Cookie lines cannot be folded into one.
        HeaderOp::Append | HeaderOp::Merge if known == Some(KnownField::SetCookie) => {
            Verb::Add(value)
        }
        HeaderOp::Append => Verb::Append(value),
        HeaderOp::Merge => Verb::Merge(value),
        HeaderOp::Default => Verb::Default(value),
        HeaderOp::Remove => Verb::Remove,
        HeaderOp::Replace => {
            let Some(pattern) = spec.pattern.as_deref().filter(|text| !text.is_empty()) else {
                add(
                    OpPlace::Pattern,
                    Lint::MissingPattern {
                        name: spec.name.clone(),
                    },
                );
                return None;
            };
            Verb::Replace(Glob::split_at_stars(pattern.as_bytes()), value)
        }
    })
}

impl Verb {
    /// What it writes.
    pub(crate) fn value(&self) -> Option<&Template> {
        match self {
            Self::Set(value)
            | Self::Add(value)
            | Self::Append(value)
            | Self::Merge(value)
            | Self::Default(value)
            | Self::Replace(_, value) => Some(value),
            Self::Remove | Self::RemovePrefix => None,
        }
    }
}

impl Op {
    /// Whether the value is the same for every request to which one stored response is sent.
    fn value_is_static(&self) -> bool {
        self.verb.value().is_none_or(Template::is_static)
    }

    #[inline]
    fn when_holds_beside_request(&self, section: &FieldSection, context: &EditContext<'_>) -> bool {
        let when = self.when.as_ref();
        when.is_none_or(|when| when.holds_beside_request_fields(section, context))
    }

    /// Whether there is nothing to remove or replace; the cheapest test, so the first.
    #[inline]
    pub(crate) fn is_idle(&self, section: &FieldSection) -> bool {
        let only_takes = match &self.verb {
            Verb::Remove | Verb::Replace(..) => true,
            Verb::Set(_)
            | Verb::Add(_)
            | Verb::Append(_)
            | Verb::Merge(_)
            | Verb::Default(_)
            | Verb::RemovePrefix => false,
        };
        only_takes
            && match self.known {
                Some(field) => !section.has(field),
                None => !section.may_have_other(&self.name),
            }
    }

    pub(crate) fn run(
        &self,
        section: &mut FieldSection,
        context: &EditContext<'_>,
        scratch: &mut Scratch,
    ) {
        match &self.verb {
            Verb::Set(value) => self.set(section, value.expand(context, scratch)),
            Verb::Add(value) => self.add(section, value.expand(context, scratch)),
            Verb::Default(value) => {
                if !self.is_present(section) {
                    self.add(section, value.expand(context, scratch));
                }
            }
            Verb::Append(value) => {
                let value = value.expand(context, scratch);
                self.join(section, value, |_, _| true);
            }
            Verb::Merge(value) => {
                let value = value.expand(context, scratch);
                self.join(section, value, |joined, member| {
                    !list_members(joined).any(|own| own.eq_ignore_ascii_case(member))
                });
            }
            Verb::Remove => {
                match self.known {
                    Some(field) => section.remove(field),
                    None => section.remove_named(&self.name),
                };
            }
            Verb::RemovePrefix => self.remove_prefix(section),
            Verb::Replace(pattern, value) => {
                if self.is_present(section) {
                    self.replace(section, pattern, value.expand(context, scratch));
                }
            }
        }
    }

    fn is_present(&self, section: &FieldSection) -> bool {
        match self.known {
            Some(field) => section.has(field),
            None => section.may_have_other(&self.name) && section.get_named(&self.name).is_some(),
        }
    }

    fn set(&self, section: &mut FieldSection, value: &[u8]) {
        if value.is_empty() {
            return;
        }
        match self.known {
            Some(field) => section.set_first(field, value),
            None => {
                if section.may_have_other(&self.name) {
                    section.remove_named(&self.name);
                }
                section.push(&self.name, value);
            }
        }
    }

    /// A value of nothing but absent variables adds no line.
    fn add(&self, section: &mut FieldSection, value: &[u8]) {
        if !value.is_empty() {
            section.push(&self.name, value);
        }
    }

    /// One line: what there is, and the members of `value` that `wanted` says yes to.
    fn join(
        &self,
        section: &mut FieldSection,
        value: &[u8],
        wanted: impl Fn(&[u8], &[u8]) -> bool,
    ) {
        if !self.is_present(section) {
            self.add(section, value);
            return;
        }
        let mut joined = Scratch::new();
        for own in section.all_named(&self.name).filter(|own| !own.is_empty()) {
            push_member(&mut joined, own);
        }
        for member in list_members(value).take(MERGE_MEMBERS_MAX) {
            if wanted(&joined, member) {
                push_member(&mut joined, member);
            }
        }
        self.set(section, &joined);
    }

    fn remove_prefix(&self, section: &mut FieldSection) {
        let prefix = &self.name;
        section.retain(|line| {
            let begins = line
                .name
                .get(..prefix.len())
                .is_some_and(|name| name.eq_ignore_ascii_case(prefix));
            !begins
                || line
                    .known
                    .is_some_and(|field| protection_of_known(field).is_some())
        });
    }

    fn replace(&self, section: &mut FieldSection, pattern: &Glob, with: &[u8]) {
        let mut text = Scratch::new();
        let mut ends: smallvec::SmallVec<[usize; 8]> = smallvec::SmallVec::new();
        let mut changed = false;
        for own in section.all_named(&self.name) {
            let start = text.len();
            match pattern.replace_all(own, with, &mut text, VALUE_BYTES_MAX) {
                Replaced::Some => changed = true,
                Replaced::Nothing | Replaced::TooLong => {
                    text.truncate(start);
                    text.extend_from_slice(own);
                }
            }
            ends.push(text.len());
        }
        if !changed {
            return;
        }
        section.remove_named(&self.name);
        let mut start = 0;
        for end in ends {
            self.add(section, &text[start..end]);
            start = end;
        }
    }
}

fn push_member(list: &mut Scratch, member: &[u8]) {
    if !list.is_empty() {
        list.extend_from_slice(b", ");
    }
    list.extend_from_slice(member);
}
