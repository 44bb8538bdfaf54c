//! The members of a structured dictionary (RFC 8941 §3.2), as far as cache directives need them.
//!
//! RFC 9213 §2.1 has targeted fields parsed as structured dictionaries: one syntax error and the
//! whole field does not count. So this is a strict parser that keeps key and kind of value, checks
//! everything else, and allocates nothing.

/// What a member's value is, as far as a cache directive can use it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum MemberValue {
    /// No value, or `?1`.
    True,
    /// `?0`
    False,
    /// An integer.
    Integer(i64),
    /// A decimal, string, token, byte sequence or inner list: known to be well formed.
    Other,
}

/// The text is no structured dictionary.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct NotStructured;

/// Parses the lines of one field as one dictionary and hands each member to `member`, in order. A
/// key that comes twice is handed over twice; the later one counts (RFC 8941 §3.2).
///
/// Says how many members there were.
pub(crate) fn parse_dictionary<'a>(
    lines: impl Iterator<Item = &'a [u8]>,
    mut member: impl FnMut(&'a [u8], MemberValue),
) -> Result<usize, NotStructured> {
    let mut count = 0;
    for line in lines {
        // Lines are joined with a comma before parsing; a comma at an end of a line is an error
        // there, and an empty line would be one too but for the rule that empty fields are absent.
        let mut text = Text {
            rest: trim_spaces(line),
        };
        if text.rest.is_empty() {
            continue;
        }
        loop {
            let key = text.key()?;
            let value = match text.eat(b'=') {
                true => text.item_or_inner_list()?,
                false => MemberValue::True,
            };
            text.parameters()?;
            member(key, value);
            count += 1;
            text.skip_ows();
            if text.rest.is_empty() {
                break;
            }
            if !text.eat(b',') {
                return Err(NotStructured);
            }
            text.skip_ows();
        }
    }
    Ok(count)
}

fn trim_spaces(mut line: &[u8]) -> &[u8] {
    while let [b' ', rest @ ..] = line {
        line = rest;
    }
    while let [rest @ .., b' '] = line {
        line = rest;
    }
    line
}

struct Text<'a> {
    rest: &'a [u8],
}

impl<'a> Text<'a> {
    fn peek(&self) -> Option<u8> {
        self.rest.first().copied()
    }

    fn eat(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        if found {
            self.rest = &self.rest[1..];
        }
        found
    }

    fn skip_ows(&mut self) {
        while let [b' ' | b'\t', rest @ ..] = self.rest {
            self.rest = rest;
        }
    }

    fn skip_spaces(&mut self) {
        while self.eat(b' ') {}
    }

    fn take_while(&mut self, allowed: impl Fn(u8) -> bool) -> &'a [u8] {
        let end = self
            .rest
            .iter()
            .position(|&b| !allowed(b))
            .unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at(end);
        self.rest = rest;
        taken
    }

    fn key(&mut self) -> Result<&'a [u8], NotStructured> {
        if !self
            .peek()
            .is_some_and(|b| b.is_ascii_lowercase() || b == b'*')
        {
            return Err(NotStructured);
        }
        Ok(self
            .take_while(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_-.*".contains(&b)))
    }

    fn parameters(&mut self) -> Result<(), NotStructured> {
        while self.eat(b';') {
            self.skip_spaces();
            self.key()?;
            if self.eat(b'=') {
                self.bare_item()?;
            }
        }
        Ok(())
    }

    fn item_or_inner_list(&mut self) -> Result<MemberValue, NotStructured> {
        if !self.eat(b'(') {
            return self.bare_item();
        }
        loop {
            self.skip_spaces();
            if self.eat(b')') {
                return Ok(MemberValue::Other);
            }
            self.bare_item()?;
            self.parameters()?;
            if !matches!(self.peek(), Some(b' ' | b')')) {
                return Err(NotStructured);
            }
        }
    }

    fn bare_item(&mut self) -> Result<MemberValue, NotStructured> {
        match self.peek().ok_or(NotStructured)? {
            b'-' | b'0'..=b'9' => self.number(),
            b'"' => self.string(),
            b'?' => {
                self.rest = &self.rest[1..];
                match (self.eat(b'1'), self.peek()) {
                    (true, _) => Ok(MemberValue::True),
                    (false, Some(b'0')) => {
                        self.rest = &self.rest[1..];
                        Ok(MemberValue::False)
                    }
                    (false, _) => Err(NotStructured),
                }
            }
            b':' => {
                self.rest = &self.rest[1..];
                self.take_while(|b| b.is_ascii_alphanumeric() || b"+/=".contains(&b));
                if self.eat(b':') {
                    Ok(MemberValue::Other)
                } else {
                    Err(NotStructured)
                }
            }
            b'*' | b'a'..=b'z' | b'A'..=b'Z' => {
                self.take_while(|b| corsair_http1::is_token_byte(b) || b == b':' || b == b'/');
                Ok(MemberValue::Other)
            }
            _ => Err(NotStructured),
        }
    }

    /// RFC 8941 §4.2.4: at most 15 digits, or 12 before and 3 behind the point.
    fn number(&mut self) -> Result<MemberValue, NotStructured> {
        let negative = self.eat(b'-');
        let digits = self.take_while(|b| b.is_ascii_digit());
        if digits.is_empty() || digits.len() > 15 {
            return Err(NotStructured);
        }
        if self.eat(b'.') {
            let fraction = self.take_while(|b| b.is_ascii_digit());
            let fits = (1..=3).contains(&fraction.len()) && digits.len() <= 12;
            return if fits {
                Ok(MemberValue::Other)
            } else {
                Err(NotStructured)
            };
        }
        let magnitude = digits
            .iter()
            .fold(0, |sum, &digit| sum * 10 + i64::from(digit - b'0'));
        Ok(MemberValue::Integer(if negative {
            -magnitude
        } else {
            magnitude
        }))
    }

    fn string(&mut self) -> Result<MemberValue, NotStructured> {
        self.rest = &self.rest[1..];
        loop {
            self.take_while(|b| (b' '..=b'~').contains(&b) && b != b'"' && b != b'\\');
            if self.eat(b'"') {
                return Ok(MemberValue::Other);
            }
            if !self.eat(b'\\') || !(self.eat(b'"') || self.eat(b'\\')) {
                return Err(NotStructured);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(lines: &[&str], expected: Option<&[(&str, MemberValue)]>) {
        let mut members = Vec::new();
        let lines_of = lines.iter().map(|line| line.as_bytes());
        let outcome = parse_dictionary(lines_of, |key, value| {
            members.push((core::str::from_utf8(key).unwrap(), value));
        });
        match expected {
            Some(expected) => {
                assert_eq!(outcome, Ok(expected.len()), "{lines:?}");
                assert_eq!(members, expected, "{lines:?}");
            }
            None => assert_eq!(outcome, Err(NotStructured), "{lines:?}"),
        }
    }

    #[test]
    fn dictionaries() {
        use MemberValue::{False, Integer, Other, True};
        check(&[], Some(&[]));
        check(&["", "  "], Some(&[]));
        check(&["max-age=60"], Some(&[("max-age", Integer(60))]));
        check(
            &["a=-0, b=-12"],
            Some(&[("a", Integer(0)), ("b", Integer(-12))]),
        );
        check(&["no-store"], Some(&[("no-store", True)]));
        check(
            &["a;p=1;q, b=?0;r=\"x\""],
            Some(&[("a", True), ("b", False)]),
        );
        check(&["a=1\t,\t b=?1"], Some(&[("a", Integer(1)), ("b", True)]));
        check(
            &["a=1", "b=2"],
            Some(&[("a", Integer(1)), ("b", Integer(2))]),
        );
        check(
            &["a=\"q\\\"\\\\,\", *b=tok/en:x"],
            Some(&[("a", Other), ("*b", Other)]),
        );
        check(
            &["a=:aGk=:, b=(1 \"x\" y;z=1), c=()"],
            Some(&[("a", Other), ("b", Other), ("c", Other)]),
        );
        check(
            &["a=1.5, b=123456789012.123"],
            Some(&[("a", Other), ("b", Other)]),
        );
        check(
            &["a=999999999999999"],
            Some(&[("a", Integer(999_999_999_999_999))]),
        );
    }

    #[test]
    fn malformed_dictionaries() {
        for bad in [
            "Max-Age=60",
            "max-age=",
            "=1",
            ",a",
            "a,",
            "a,,b",
            "a b",
            "a=1 b",
            "a;",
            "a;=1",
            "a=?2",
            "a=?",
            "a=\"x",
            "a=\"\\n\"",
            "a=\"\u{7f}\"",
            "a=(1",
            "a=(1\"x\")",
            "a=:x",
            "a=1.",
            "a=.5",
            "a=1.2345",
            "a=1234567890123456",
            "a=1234567890123.1",
            "a=-",
            "a=é",
            "&max-age=5",
            "a=1\x0b",
            "\ta",
        ] {
            check(&[bad], None);
        }
        check(&["a=1", "b=2,"], None);
    }
}
