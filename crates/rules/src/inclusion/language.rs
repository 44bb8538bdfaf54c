//! The exact search: a serialized origin that matches one of some templates and none of some patterns.
//!
//! Subset construction on the fly, breadth first: a state is the place in the grammar of origins, the
//! places in the templates, and the places in every pattern that is still alive. The first word found is
//! a shortest one. Lengths (63 bytes a label, 253 a host, 32 a scheme) are no part of a state: of two ways
//! to one state the shorter came first and has more room. Where a length ends a way nevertheless, or the
//! states run out, the verdict is not "empty" but "given up".

use crate::origin_pattern::{OriginPattern, OriginRule, PortRule, SchemeRule};
use crate::web_origin::WebOrigin;
use core::cmp::Ordering;
use std::collections::{BTreeSet, HashSet};

/// Most steps of single places before a question of inclusion is given up.
pub(super) const STEPS_MAX: usize = 20_000_000;

/// The result of a search.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// There is no such origin.
    Empty,
    /// One.
    Word(String),
    /// Not known.
    GivenUp,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Symbol {
    Byte(u8),
    /// One byte of a star.
    One,
    /// The rest of a star.
    Loop,
}

type Template = Vec<Symbol>;

/// Literals with stars between, each of one byte or more.
fn template(literals: &[&str]) -> Template {
    let mut symbols = Vec::new();
    for (number, literal) in literals.iter().enumerate() {
        if number > 0 {
            symbols.extend([Symbol::One, Symbol::Loop]);
        }
        symbols.extend(literal.bytes().map(Symbol::Byte));
    }
    symbols
}

/// Places in a list of templates: number of the template and index of its next symbol.
/// Sorted, each once.
type Places = Vec<(u32, u16)>;

fn start(templates: &[Template]) -> Places {
    (0u32..)
        .zip(templates)
        .map(|(number, _)| (number, 0))
        .collect()
}

fn advance(templates: &[Template], places: &Places, byte: u8) -> Places {
    let mut next = Places::new();
    for &(number, at) in places {
        let symbols = &templates[number as usize];
        match symbols.get(usize::from(at)) {
            Some(Symbol::Byte(own)) if *own == byte => next.push((number, at + 1)),
            Some(Symbol::One) => {
                // In the loop, and behind it.
                next.extend([(number, at + 1), (number, at + 2)]);
            }
            Some(Symbol::Loop) => {
                next.extend([(number, at), (number, at + 1)]);
            }
            Some(Symbol::Byte(_)) | None => {}
        }
    }
    next.sort_unstable();
    next.dedup();
    next
}

fn accepts(templates: &[Template], places: &Places) -> bool {
    places
        .iter()
        .any(|&(number, at)| usize::from(at) == templates[number as usize].len())
}

/// Whether everything that can still come is accepted: a star at the end has begun.
fn accepts_all(templates: &[Template], places: &Places) -> bool {
    places.iter().any(|&(number, at)| {
        let symbols = &templates[number as usize];
        usize::from(at) + 1 == symbols.len() && symbols[usize::from(at)] == Symbol::Loop
    })
}

/// Where a word is in the grammar of serialized origins.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Grammar {
    /// In the scheme; its text while it may become one with a default port, else nothing.
    Scheme(Option<String>),
    /// Behind the scheme: how many of `://` are there, at least one.
    Separator(SchemePort, u8),
    /// In a name or IPv4 address.
    Host(SchemePort, HostPart),
    /// In brackets, with the text there.
    Bracket(SchemePort, String),
    /// Behind the closing bracket.
    Address(SchemePort),
    /// Behind the colon.
    Port(SchemePort, PortPart),
}

/// The port that must not be written.
type SchemePort = Option<u16>;

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct HostPart {
    /// Canonical IPv4 so far: parts that are complete, `None` when it is no address any more.
    parts: Option<u8>,
    label: Label,
}

/// What the label so far looks like (WHATWG URL §3.5, ends in a number checker).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Label {
    Empty,
    /// Digits; the value while they are a canonical part of an address.
    Digits(Option<u8>),
    /// `0x` and hexadecimal digits.
    Hexadecimal,
    Other,
}

const SPECIAL: [(&str, u16); 5] = [
    ("http", 80),
    ("https", 443),
    ("ws", 80),
    ("wss", 443),
    ("ftp", 21),
];

impl Grammar {
    fn start() -> Self {
        Self::Scheme(Some(String::new()))
    }

    /// Whether the word may end here; lengths and the address in brackets are checked on the word.
    fn ends(&self) -> bool {
        match self {
            Self::Scheme(_) | Self::Separator(..) | Self::Bracket(..) => false,
            Self::Host(_, host) => host.ends(),
            Self::Address(_) => true,
            Self::Port(default, port) => port.ends(*default),
        }
    }

    fn advance(&self, byte: u8) -> Option<Self> {
        match self {
            Self::Scheme(text) => scheme_step(text.as_deref(), byte),
            Self::Separator(port, count) => match (count, byte) {
                (1 | 2, b'/') => Some(Self::Separator(*port, count + 1)),
                (3, b'[') => Some(Self::Bracket(*port, String::new())),
                (3, _) => HostPart::start()
                    .advance(byte)
                    .map(|host| Self::Host(*port, host)),
                _ => None,
            },
            Self::Host(port, host) if byte == b':' => {
                host.ends().then_some(Self::Port(*port, PortPart::start()))
            }
            Self::Host(port, host) => host.advance(byte).map(|host| Self::Host(*port, host)),
            Self::Bracket(port, text) if byte == b']' => {
                let whole = format!("a://[{text}]");
                let is_canonical = WebOrigin::parse(whole.as_bytes()).is_ok();
                is_canonical.then_some(Self::Address(*port))
            }
            Self::Bracket(port, text) => {
                const TEXT_MAX: usize = 39;
                let fits = (byte.is_ascii_digit() || matches!(byte, b'a'..=b'f' | b':'))
                    && text.len() < TEXT_MAX;
                fits.then(|| Self::Bracket(*port, format!("{text}{}", char::from(byte))))
            }
            Self::Address(port) => (byte == b':').then_some(Self::Port(*port, PortPart::start())),
            Self::Port(default, port) => port
                .advance(*default, byte)
                .map(|port| Self::Port(*default, port)),
        }
    }
}

/// The digits of a port so far, as far as they tell ports apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct PortPart {
    digits: u8,
    /// How they compare with as many digits of 65535.
    order: Ordering,
    /// Whether they begin the scheme's default port.
    begins_default: bool,
    is_zero: bool,
}

impl PortPart {
    const fn start() -> Self {
        Self {
            digits: 0,
            order: Ordering::Equal,
            begins_default: true,
            is_zero: false,
        }
    }

    fn ends(self, default: SchemePort) -> bool {
        let default_digits = default.map(|port| port.to_string().len());
        let is_default = self.begins_default && default_digits == Some(usize::from(self.digits));
        self.digits > 0 && !is_default
    }

    fn advance(self, default: SchemePort, byte: u8) -> Option<Self> {
        const LARGEST: &[u8; 5] = b"65535";
        let at = usize::from(self.digits);
        if self.is_zero || !byte.is_ascii_digit() {
            return None;
        }
        let order = self.order.then(byte.cmp(LARGEST.get(at)?));
        if at + 1 == LARGEST.len() && order == Ordering::Greater {
            return None;
        }
        let default = default.map(|port| port.to_string().into_bytes());
        let is_next = default.is_some_and(|digits| digits.get(at) == Some(&byte));
        Some(Self {
            digits: self.digits + 1,
            order,
            begins_default: self.begins_default && is_next,
            is_zero: at == 0 && byte == b'0',
        })
    }
}

fn scheme_step(text: Option<&str>, byte: u8) -> Option<Grammar> {
    if byte == b':' {
        let is_empty = text == Some("");
        let default = SPECIAL.iter().find(|(name, _)| text == Some(name));
        let port = default.map(|(_, port)| *port);
        return (!is_empty).then_some(Grammar::Separator(port, 1));
    }
    let first = text == Some("");
    let fits = byte.is_ascii_lowercase()
        || (!first && (byte.is_ascii_digit() || matches!(byte, b'+' | b'-' | b'.')));
    if !fits {
        return None;
    }
    let longer = text.map(|text| format!("{text}{}", char::from(byte)));
    let may_be_special = |text: &String| {
        SPECIAL
            .iter()
            .any(|(name, _)| name.starts_with(text.as_str()))
    };
    Some(Grammar::Scheme(longer.filter(may_be_special)))
}

impl HostPart {
    fn start() -> Self {
        Self {
            parts: Some(0),
            label: Label::Empty,
        }
    }

    fn ends(&self) -> bool {
        match &self.label {
            Label::Empty | Label::Hexadecimal => false,
            Label::Digits(value) => self.parts == Some(3) && value.is_some(),
            Label::Other => true,
        }
    }

    fn advance(&self, byte: u8) -> Option<Self> {
        if byte == b'.' {
            let is_part = matches!(self.label, Label::Digits(Some(_)));
            return (self.label != Label::Empty).then(|| Self {
                parts: self
                    .parts
                    .filter(|&count| is_part && count < 3)
                    .map(|count| count + 1),
                label: Label::Empty,
            });
        }
        let digit = byte.is_ascii_digit().then(|| byte - b'0');
        let is_name = byte.is_ascii_lowercase() || matches!(byte, b'-' | b'_') || digit.is_some();
        if !is_name {
            return None;
        }
        let label = match (&self.label, digit) {
            (Label::Empty, Some(digit)) => Label::Digits(Some(digit)),
            (Label::Digits(Some(0)), None) if byte == b'x' => Label::Hexadecimal,
            (Label::Digits(Some(value)), Some(digit)) if *value > 0 => Label::Digits(
                value
                    .checked_mul(10)
                    .and_then(|tens| tens.checked_add(digit)),
            ),
            (Label::Digits(_), Some(_)) => Label::Digits(None),
            (Label::Hexadecimal, _) if byte.is_ascii_hexdigit() => Label::Hexadecimal,
            (Label::Empty | Label::Digits(_) | Label::Hexadecimal | Label::Other, _) => {
                Label::Other
            }
        };
        // Outside an address only a lone zero tells numbers apart: `0x` may follow.
        let label = match label {
            Label::Digits(Some(value)) if self.parts.is_none() && value > 0 => Label::Digits(None),
            kept => kept,
        };
        Some(Self {
            parts: self.parts,
            label,
        })
    }
}

/// A search prepared: what a word must match, and what it must not.
pub(super) struct Language {
    wanted: Vec<Template>,
    /// What it must match as well; anything when there is none.
    also: Option<Vec<Template>>,
    unwanted: Vec<Template>,
    alphabet: Vec<u8>,
}

impl Language {
    pub(super) fn new(alternatives: &[&[&str]], patterns: &[OriginPattern]) -> Self {
        let wanted = alternatives.iter().map(|parts| template(parts)).collect();
        Self::prepare(wanted, None, patterns)
    }

    /// Words of both patterns; `null` is none.
    pub(super) fn of_both(
        one: &OriginPattern,
        other: &OriginPattern,
        patterns: &[OriginPattern],
    ) -> Self {
        Self::prepare(templates_of(one), Some(templates_of(other)), patterns)
    }

    fn prepare(
        wanted: Vec<Template>,
        also: Option<Vec<Template>>,
        patterns: &[OriginPattern],
    ) -> Self {
        let meets =
            |own: &Template, others: &[Template]| others.iter().any(|other| may_meet(own, other));
        let unwanted: Vec<Template> = patterns
            .iter()
            .flat_map(templates_of)
            .filter(|own| meets(own, &wanted))
            .filter(|own| also.as_ref().is_none_or(|also| meets(own, also)))
            .collect();
        let all = wanted.iter().chain(also.iter().flatten());
        let alphabet = alphabet(all.chain(&unwanted));
        Self {
            wanted,
            also,
            unwanted,
            alphabet,
        }
    }

    /// Whether some template can still end in this place of the grammar: in brackets only an address and a
    /// port may follow.
    fn may_end(&self, grammar: &Grammar, wanted: &Places) -> bool {
        let in_address = |symbol: &Symbol| match symbol {
            Symbol::Byte(byte) => {
                byte.is_ascii_digit() || matches!(byte, b'a'..=b'f' | b':' | b']')
            }
            Symbol::One | Symbol::Loop => true,
        };
        let fits = |&(number, at): &(u32, u16)| {
            let symbols = &self.wanted[number as usize];
            symbols[usize::from(at)..].iter().all(in_address)
        };
        match grammar {
            Grammar::Bracket(..) => wanted.iter().any(fits),
            Grammar::Scheme(_)
            | Grammar::Separator(..)
            | Grammar::Host(..)
            | Grammar::Address(_)
            | Grammar::Port(..) => !wanted.is_empty(),
        }
    }

    /// Searches; `is_outside` verifies a word with the production matcher. `steps_left` is counted down,
    /// and at none the search is given up.
    pub(super) fn search(
        &self,
        is_outside: impl Fn(&str) -> bool,
        steps_left: &mut usize,
    ) -> Verdict {
        let mut nodes: Vec<(Option<usize>, u8)> = vec![(None, 0)];
        let also = self.also.as_deref().unwrap_or_default();
        let first = (
            Grammar::start(),
            start(&self.wanted),
            start(also),
            start(&self.unwanted),
        );
        let mut seen = HashSet::from([first.clone()]);
        let mut wave = vec![(0, first)];
        let mut is_cut = false;
        while !wave.is_empty() {
            let mut next_wave = Vec::new();
            for (node, (grammar, wanted, besides, unwanted)) in wave {
                for &byte in &self.alphabet {
                    let Some(grammar) = grammar.advance(byte) else {
                        continue;
                    };
                    let steps = wanted.len() + besides.len() + unwanted.len();
                    let Some(left) = steps_left.checked_sub(steps) else {
                        return Verdict::GivenUp;
                    };
                    *steps_left = left;
                    let wanted = advance(&self.wanted, &wanted, byte);
                    let besides = advance(also, &besides, byte);
                    let unwanted = advance(&self.unwanted, &unwanted, byte);
                    let is_over = self.also.is_some() && besides.is_empty();
                    if is_over
                        || !self.may_end(&grammar, &wanted)
                        || accepts_all(&self.unwanted, &unwanted)
                    {
                        continue;
                    }
                    let found = grammar.ends()
                        && accepts(&self.wanted, &wanted)
                        && (self.also.is_none() || accepts(also, &besides))
                        && !accepts(&self.unwanted, &unwanted);
                    let state = (grammar, wanted, besides, unwanted);
                    if !found && !seen.insert(state.clone()) {
                        continue;
                    }
                    nodes.push((Some(node), byte));
                    if found {
                        let word = word_of(&nodes);
                        if WebOrigin::parse(word.as_bytes()).is_ok() && is_outside(&word) {
                            return Verdict::Word(word);
                        }
                        // A length is over its bound; the rest of this way is longer still.
                        is_cut = true;
                        continue;
                    }
                    next_wave.push((nodes.len() - 1, state));
                }
            }
            wave = next_wave;
        }
        if is_cut {
            Verdict::GivenUp
        } else {
            Verdict::Empty
        }
    }
}

fn word_of(nodes: &[(Option<usize>, u8)]) -> String {
    let mut bytes = Vec::new();
    let mut at = nodes.len().checked_sub(1);
    while let Some(index) = at {
        let (parent, byte) = nodes[index];
        if parent.is_some() {
            bytes.push(byte);
        }
        at = parent;
    }
    bytes.reverse();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// A pattern as templates over serialized origins.
fn templates_of(pattern: &OriginPattern) -> Vec<Template> {
    match pattern {
        OriginPattern::Star => vec![template(&["", ""])],
        OriginPattern::Null => Vec::new(),
        OriginPattern::StarAnywhere { prefix, suffix } => vec![template(&[prefix, suffix])],
        OriginPattern::Exact(rule) => rule_templates(rule, |scheme, tail| {
            let begin = format!("{scheme}://{}", rule.host);
            match tail {
                Tail::Text(port) => template(&[&format!("{begin}{port}")]),
                Tail::AnyPort => template(&[&format!("{begin}:"), ""]),
            }
        }),
        OriginPattern::Suffix(rule) => rule_templates(rule, |scheme, tail| {
            let begin = format!("{scheme}://");
            match tail {
                Tail::Text(port) => template(&[&begin, &format!(".{}{port}", rule.host)]),
                Tail::AnyPort => template(&[&begin, &format!(".{}:", rule.host), ""]),
            }
        }),
    }
}

/// What stands behind the host.
enum Tail {
    Text(String),
    AnyPort,
}

fn rule_templates(rule: &OriginRule, make: impl Fn(&str, Tail) -> Template) -> Vec<Template> {
    let schemes: Vec<&str> = match &rule.scheme {
        SchemeRule::Http => vec!["http"],
        SchemeRule::Https => vec!["https"],
        SchemeRule::HttpOrHttps => vec!["http", "https"],
        SchemeRule::Custom(scheme) => vec![scheme],
    };
    let mut templates = Vec::new();
    for scheme in schemes {
        let default = SPECIAL.iter().find(|(name, _)| *name == scheme);
        let tail = match rule.port {
            PortRule::Exact(port) if default.is_none_or(|(_, own)| *own != port) => {
                format!(":{port}")
            }
            PortRule::Absent | PortRule::Exact(_) | PortRule::Any => String::new(),
        };
        templates.push(make(scheme, Tail::Text(tail)));
        if rule.port == PortRule::Any {
            templates.push(make(scheme, Tail::AnyPort));
        }
    }
    templates
}

/// Whether the literals at both ends agree as far as both go.
fn may_meet(one: &Template, other: &Template) -> bool {
    let agree = |(a, b): (&Symbol, &Symbol)| match (a, b) {
        (Symbol::Byte(a), Symbol::Byte(b)) => Some(a == b),
        _ => None,
    };
    let fits = |pairs: &mut dyn Iterator<Item = (&Symbol, &Symbol)>| {
        pairs.map_while(agree).all(|same| same)
    };
    fits(&mut one.iter().zip(other)) && fits(&mut one.iter().rev().zip(other.iter().rev()))
}

/// The bytes that tell states apart, and of the others one of each kind.
fn alphabet<'t>(templates: impl Iterator<Item = &'t Template>) -> Vec<u8> {
    let mut used: BTreeSet<u8> = b"0123456789-_.:/[]+xhtpswf".iter().copied().collect();
    for symbol in templates.flatten() {
        if let Symbol::Byte(byte) = symbol {
            used.insert(*byte);
        }
    }
    let fresh = |kind: &[u8]| kind.iter().copied().find(|byte| !used.contains(byte));
    let (hexadecimal, letter) = (fresh(b"abcde"), fresh(b"gijklmnoqruvyz"));
    used.extend(hexadecimal.into_iter().chain(letter));
    used.into_iter().collect()
}
