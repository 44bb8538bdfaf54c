//! Text with variables: `/item/{zipf:1000:1.1}?n={seq}`.
//!
//! | variable | what it becomes |
//! | --- | --- |
//! | `{seq}` | the request's number in this run, from 0; the same all over one request |
//! | `{rand:N}` | a number in `0..N`, every one as likely; `{rand}` alone: below 2^53 |
//! | `{zipf:N:S}` | a number in `0..N` by Zipf's law with exponent S; 0 is the most popular |
//! | `{hit:R:N}` | with probability R a number in `0..N`, else one that no run used before |
//! | `{origin}` | the request's Web origin, empty when it has none |
//!
//! `{{` and `}}` are the braces themselves. Parsed once, rendered without allocation. Pure.

use std::fmt;

use rand_distr::Zipf;

use crate::draw::Draw;

/// Parsed text; rendering appends to a buffer.
#[derive(Debug, Clone, Default)]
pub struct Template {
    parts: Vec<Part>,
}

#[derive(Debug, Clone)]
enum Part {
    Literal(Box<[u8]>),
    Variable(Variable),
}

#[derive(Debug, Clone)]
enum Variable {
    Seq,
    Rand { bound: u64 },
    Zipf(Zipf<f64>),
    Hit { ratio: f64, keys: u64 },
    Origin,
}

/// Text that is no template.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// `{` without `}` or the other way round.
    #[error("unbalanced brace at byte {0}; write {{{{ or }}}} for a brace itself")]
    Unbalanced(usize),
    /// A name that is no variable.
    #[error(
        "unknown variable `{{{0}}}`; there are seq, rand, rand:N, zipf:N:S, hit:R:N and origin"
    )]
    Unknown(String),
    /// A known variable with arguments that make no sense.
    #[error("`{{{variable}}}`: {problem}")]
    Arguments {
        /// The variable as written.
        variable: String,
        /// What is wrong with it.
        problem: &'static str,
    },
}

/// How far numbers go.
const NUMBERS: u64 = 1 << 53;

/// Digits of a `u64`, and then some.
struct Decimal {
    bytes: [u8; 20],
    start: usize,
}

impl Decimal {
    fn new(mut number: u64) -> Self {
        let mut decimal = Self {
            bytes: [b'0'; 20],
            start: 20,
        };
        loop {
            decimal.start -= 1;
            let digit = u8::try_from(number % 10).expect("a remainder of 10 is below 10");
            decimal.bytes[decimal.start] = b'0' + digit;
            number /= 10;
            if number == 0 {
                return decimal;
            }
        }
    }

    fn as_bytes(&self) -> &[u8] {
        &self.bytes[self.start..]
    }
}

impl Template {
    /// Parses `text`.
    ///
    /// # Errors
    /// Unbalanced braces, unknown variables, arguments out of range.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        let mut parts = Vec::new();
        let mut literal = Vec::new();
        let mut rest = text;
        while let Some(found) = rest.find(['{', '}']) {
            let position = text.len() - rest.len() + found;
            literal.extend_from_slice(&rest.as_bytes()[..found]);
            let (brace, after) = rest[found..].split_at(1);
            if after.starts_with(brace) {
                literal.extend_from_slice(brace.as_bytes());
                rest = &after[1..];
                continue;
            }
            if brace == "}" {
                return Err(TemplateError::Unbalanced(position));
            }
            let end = after.find('}').ok_or(TemplateError::Unbalanced(position))?;
            if !literal.is_empty() {
                parts.push(Part::Literal(std::mem::take(&mut literal).into()));
            }
            parts.push(Part::Variable(Variable::parse(&after[..end])?));
            rest = &after[end + 1..];
        }
        literal.extend_from_slice(rest.as_bytes());
        if !literal.is_empty() {
            parts.push(Part::Literal(literal.into()));
        }
        Ok(Self { parts })
    }

    /// Text without variables, braces and all.
    #[must_use]
    pub fn literal(text: impl Into<Vec<u8>>) -> Self {
        Self {
            parts: vec![Part::Literal(text.into().into())],
        }
    }

    /// This text followed by `next`.
    pub fn push(&mut self, next: &Self) {
        for part in &next.parts {
            match (self.parts.last_mut(), part) {
                // Literals side by side are one, so that rendering copies once.
                (Some(Part::Literal(before)), Part::Literal(bytes)) => {
                    *before = [&**before, &**bytes].concat().into();
                }
                (_, part) => self.parts.push(part.clone()),
            }
        }
    }

    /// The literal parts, for checking which bytes can occur; variables other than `{origin}`
    /// become digits.
    pub fn literals(&self) -> impl Iterator<Item = &[u8]> {
        self.parts.iter().filter_map(|part| match part {
            Part::Literal(bytes) => Some(&**bytes),
            Part::Variable(_) => None,
        })
    }

    /// Appends the text for the request begun last in `draw`.
    pub fn render(&self, out: &mut Vec<u8>, draw: &mut Draw, origin: &[u8]) {
        for part in &self.parts {
            match part {
                Part::Literal(bytes) => out.extend_from_slice(bytes),
                Part::Variable(Variable::Origin) => out.extend_from_slice(origin),
                Part::Variable(variable) => {
                    out.extend_from_slice(Decimal::new(variable.number(draw)).as_bytes());
                }
            }
        }
    }

    /// The share of requests that a cache which has seen every number in `0..N` of `{hit:R:N}`
    /// answers by itself; `None` without that variable.
    #[must_use]
    pub fn asked_hit_ratio(&self) -> Option<f64> {
        let ratio = |part: &Part| match part {
            Part::Variable(Variable::Hit { ratio, .. }) => Some(*ratio),
            Part::Variable(
                Variable::Seq | Variable::Rand { .. } | Variable::Zipf(_) | Variable::Origin,
            )
            | Part::Literal(_) => None,
        };
        self.parts
            .iter()
            .filter_map(ratio)
            .reduce(|all, ratio| all * ratio)
    }

    /// Whether `{origin}` occurs.
    #[must_use]
    pub fn has_origin(&self) -> bool {
        self.parts
            .iter()
            .any(|part| matches!(part, Part::Variable(Variable::Origin)))
    }

    /// The literal text before and after `{origin}` (`None`: it does not occur), when there is no
    /// other variable and it occurs at most once.
    #[must_use]
    pub fn around_origin(&self) -> Option<(&[u8], Option<&[u8]>)> {
        use Part::{Literal, Variable as Var};
        match self.parts.as_slice() {
            [] => Some((&[], None)),
            [Literal(text)] => Some((text, None)),
            [Var(Variable::Origin)] => Some((&[], Some(&[]))),
            [Literal(before), Var(Variable::Origin)] => Some((before, Some(&[]))),
            [Var(Variable::Origin), Literal(after)] => Some((&[], Some(after))),
            [Literal(before), Var(Variable::Origin), Literal(after)] => Some((before, Some(after))),
            _ => None,
        }
    }

    /// The whole text, when it has no variable.
    #[must_use]
    pub fn as_literal(&self) -> Option<&[u8]> {
        match self.around_origin() {
            Some((text, None)) => Some(text),
            Some((_, Some(_))) | None => None,
        }
    }
}

impl Variable {
    fn parse(text: &str) -> Result<Self, TemplateError> {
        let wrong = |problem| TemplateError::Arguments {
            variable: text.to_owned(),
            problem,
        };
        let (name, arguments) = text.split_once(':').unwrap_or((text, ""));
        let number = |text: &str, problem| match text.parse::<u64>() {
            Ok(number) if number > 0 && number <= NUMBERS => Ok(number),
            Ok(_) | Err(_) => Err(wrong(problem)),
        };
        match name {
            "seq" | "origin" if !arguments.is_empty() => Err(wrong("takes no arguments")),
            "seq" => Ok(Self::Seq),
            "origin" => Ok(Self::Origin),
            // As far as numbers of JSON and JavaScript are exact (RFC 8259 §6, I-JSON).
            "rand" if text == name => Ok(Self::Rand { bound: NUMBERS }),
            "rand" => Ok(Self::Rand {
                bound: number(arguments, "write {rand:N}, N above 0")?,
            }),
            "zipf" => {
                let problem = "write {zipf:N:S}, N above 0 and S a number from 0, like 1.1";
                let (keys, exponent) = arguments.split_once(':').ok_or_else(|| wrong(problem))?;
                let keys = number(keys, problem)?;
                let exponent: f64 = exponent.parse().map_err(|_| wrong(problem))?;
                #[expect(clippy::cast_precision_loss, reason = "at most 2^53 was let through")]
                let zipf = Zipf::new(keys as f64, exponent).map_err(|_| wrong(problem))?;
                Ok(Self::Zipf(zipf))
            }
            "hit" => {
                let problem = "write {hit:R:N}, R from 0 to 1 and N above 0";
                let (ratio, keys) = arguments.split_once(':').ok_or_else(|| wrong(problem))?;
                let ratio: f64 = ratio.parse().map_err(|_| wrong(problem))?;
                if !(0.0..=1.0).contains(&ratio) {
                    return Err(wrong(problem));
                }
                Ok(Self::Hit {
                    ratio,
                    keys: number(keys, problem)?,
                })
            }
            _ => Err(TemplateError::Unknown(text.to_owned())),
        }
    }

    /// The number this variable becomes; `{origin}` is none and is rendered by the template.
    fn number(&self, draw: &mut Draw) -> u64 {
        match self {
            Self::Seq | Self::Origin => draw.number(),
            Self::Rand { bound } => draw.below(*bound),
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "samples are whole numbers from 1 to N, and N is at most 2^53"
            )]
            Self::Zipf(zipf) => (draw.sample(zipf) as u64).saturating_sub(1),
            Self::Hit { ratio, keys } => {
                if draw.share() < *ratio {
                    draw.below(*keys)
                } else {
                    keys + draw.fresh()
                }
            }
        }
    }
}

impl fmt::Display for Template {
    /// Only for messages: variables are shown by their name alone.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for part in &self.parts {
            match part {
                Part::Literal(bytes) => f.write_str(&String::from_utf8_lossy(bytes))?,
                Part::Variable(Variable::Seq) => f.write_str("{seq}")?,
                Part::Variable(Variable::Rand { .. }) => f.write_str("{rand}")?,
                Part::Variable(Variable::Zipf(_)) => f.write_str("{zipf}")?,
                Part::Variable(Variable::Hit { .. }) => f.write_str("{hit}")?,
                Part::Variable(Variable::Origin) => f.write_str("{origin}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn render(template: &Template, draw: &mut Draw) -> String {
        let mut out = Vec::new();
        draw.begin_request();
        template.render(&mut out, draw, b"https://a.example");
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn texts_become_requests() {
        let check = |text: &str, expected: &[&str]| {
            let template = Template::parse(text).unwrap();
            let mut draw = Draw::new(1, 0, 0, 1);
            let got: Vec<String> = expected
                .iter()
                .map(|_| render(&template, &mut draw))
                .collect();
            assert_eq!(got, expected, "{text}");
        };
        check("", &[""]);
        check("/a?b=c", &["/a?b=c"]);
        check("/{seq}", &["/0", "/1", "/2"]);
        check("/{seq}/{seq}{{}}", &["/0/0{}", "/1/1{}"]);
        check("{rand:1}", &["0", "0"]);
        check("{zipf:1:1.1}", &["0", "0"]);
        check("{hit:1:1}-{hit:0:10}", &["0-10", "0-11", "0-12"]);
        check("<{origin}>", &["<https://a.example>"]);
    }

    #[test]
    fn mistakes_are_named() {
        let check = |text: &str, expected: &str| {
            let error = Template::parse(text).map(drop).unwrap_err().to_string();
            assert!(error.contains(expected), "{text}: {error}");
        };
        check("/{seq", "byte 1");
        check("/a}", "byte 2");
        check("{sequence}", "unknown variable `{sequence}`");
        check("{}", "unknown variable");
        check("{seq:1}", "takes no arguments");
        check("{rand:}", "write {rand:N}");
        check("{rand:0}", "write {rand:N}");
        check("{rand:99999999999999999999}", "write {rand:N}");
        check("{zipf:10}", "write {zipf:N:S}");
        check("{zipf:10:-1}", "write {zipf:N:S}");
        check("{zipf:10:NaN}", "write {zipf:N:S}");
        check("{hit:2:10}", "write {hit:R:N}");
    }

    #[test]
    fn numbers_without_a_bound_fill_their_range() {
        let template = Template::parse("{rand}").unwrap();
        let mut draw = Draw::new(5, 0, 0, 1);
        let drawn: Vec<u64> = (0..1_000)
            .map(|_| render(&template, &mut draw).parse().unwrap())
            .collect();
        assert!(drawn.iter().all(|number| *number < NUMBERS));
        let upper = drawn.iter().filter(|number| **number >= NUMBERS / 2);
        assert!((400..600).contains(&upper.count()), "{drawn:?}");
    }

    #[test]
    fn popularity_follows_the_law() {
        let template = Template::parse("{zipf:100:1.0}").unwrap();
        let mut draw = Draw::new(5, 0, 0, 1);
        let mut counts = [0_u32; 100];
        for _ in 0..50_000 {
            counts[render(&template, &mut draw).parse::<usize>().unwrap()] += 1;
        }
        // With exponent 1 the first key is asked for twice as often as the second, and the
        // harmonic number of 100 is 5.19.
        assert!(
            (f64::from(counts[0]) / f64::from(counts[1]) - 2.0).abs() < 0.15,
            "{counts:?}"
        );
        assert!(
            (f64::from(counts[0]) / 50_000.0 - 1.0 / 5.187).abs() < 0.01,
            "{counts:?}"
        );
        assert!(counts.iter().all(|count| *count > 0));
    }

    #[test]
    fn hit_ratio_is_kept_and_fresh_keys_never_repeat() {
        let template = Template::parse("{hit:0.9:50}").unwrap();
        let mut fresh = BTreeSet::new();
        let mut count = 0;
        // Two runs after each other, of the same seed.
        for base in [1 << 40, 1 << 41] {
            let mut draw = Draw::new(5, base, 1, 2);
            for _ in 0..20_000 {
                let key: u64 = render(&template, &mut draw).parse().unwrap();
                if key >= 50 {
                    count += 1;
                    fresh.insert(key);
                }
            }
        }
        assert!((3_700..4_300).contains(&count), "{count}");
        assert_eq!(fresh.len(), count);
    }

    #[test]
    fn the_hit_ratio_asked_for_is_known() {
        let check = |text: &str, expected: Option<f64>| {
            assert_eq!(
                Template::parse(text).unwrap().asked_hit_ratio(),
                expected,
                "{text}"
            );
        };
        check("/{seq}/{rand:3}", None);
        check("/{hit:0.75:10}", Some(0.75));
        check("/{hit:0.5:10}?{hit:0.5:10}", Some(0.25));
    }

    #[test]
    fn the_echo_is_found() {
        let check = |text: &str, expected: Option<(&[u8], Option<&[u8]>)>| {
            assert_eq!(
                Template::parse(text).unwrap().around_origin(),
                expected,
                "{text}"
            );
        };
        check("", Some((b"", None)));
        check("*", Some((b"*", None)));
        check("{origin}", Some((b"", Some(b""))));
        check("a{origin}b", Some((b"a", Some(b"b"))));
        check("a{origin}", Some((b"a", Some(b""))));
        check("{origin}{origin}", None);
        check("{seq}", None);
    }
}
