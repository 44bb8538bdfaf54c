//! Texts in which `*` stands for any run of bytes, empty ones too.
//!
//! Matching takes the leftmost place for each piece, which is enough when the only wildcard is a
//! run of anything; time is bounded by text × pieces and no input makes it try twice.

use core::fmt;
use memchr::memmem;

/// A text split at its stars.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Glob {
    /// One piece when there is no star; pieces may be empty.
    pieces: Box<[Box<[u8]>]>,
}

impl Glob {
    /// Every `*` is a star.
    pub(crate) fn split_at_stars(text: &[u8]) -> Self {
        Self {
            pieces: text.split(|&byte| byte == b'*').map(Into::into).collect(),
        }
    }

    /// Bytes that are not stars: more of them say more.
    pub(crate) fn literal_bytes(&self) -> usize {
        self.pieces.iter().map(|piece| piece.len()).sum()
    }

    /// Whether the whole text is covered.
    pub(crate) fn matches(&self, text: &[u8]) -> bool {
        let [first, rest @ ..] = &*self.pieces else {
            return false;
        };
        let Some(mut left) = text.strip_prefix(&**first) else {
            return false;
        };
        let [between @ .., last] = rest else {
            return left.is_empty();
        };
        for piece in between {
            let Some(at) = memmem::find(left, piece) else {
                return false;
            };
            left = &left[at + piece.len()..];
        }
        left.ends_with(last)
    }

    /// The leftmost part of `text` that is covered; a star at the end reaches to the text's end.
    fn find(&self, text: &[u8]) -> Option<(usize, usize)> {
        let [first, rest @ ..] = &*self.pieces else {
            return None;
        };
        let start = memmem::find(text, first)?;
        let mut end = start + first.len();
        for (index, piece) in rest.iter().enumerate() {
            if piece.is_empty() && index + 1 == rest.len() {
                return Some((start, text.len()));
            }
            end += memmem::find(&text[end..], piece)? + piece.len();
        }
        Some((start, end))
    }

    /// Appends `text` to `out` with every covered part replaced; nothing when
    /// there is none. Never appends more than `out_max` bytes.
    pub(crate) fn replace_all(
        &self,
        text: &[u8],
        with: &[u8],
        out: &mut impl Extend<u8>,
        out_max: usize,
    ) -> Replaced {
        let Some(mut found) = self.find(text) else {
            return Replaced::Nothing;
        };
        let mut left = text;
        let mut written = 0;
        loop {
            let (start, end) = found;
            written += start + with.len();
            if written > out_max {
                return Replaced::TooLong;
            }
            out.extend(left[..start].iter().copied());
            out.extend(with.iter().copied());
            left = &left[end..];
            // Nothing is covered twice: the empty rest behind a final star is not one more part.
            match self.find(left) {
                Some(next) if !left.is_empty() => found = next,
                Some(_) | None => break,
            }
        }
        if written + left.len() > out_max {
            return Replaced::TooLong;
        }
        out.extend(left.iter().copied());
        Replaced::Some
    }
}

/// What [`Glob::replace_all`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Replaced {
    /// The pattern is nowhere in the text; nothing was appended.
    Nothing,
    /// The replaced text was appended.
    Some,
    /// The result is over its bound; what was appended is to be thrown away.
    TooLong,
}

impl fmt::Display for Glob {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pieces: Vec<_> = self
            .pieces
            .iter()
            .map(|piece| String::from_utf8_lossy(piece))
            .collect();
        out.write_str(&pieces.join("*"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_texts() {
        let rows = [
            ("a", "a", true),
            ("a", "ab", false),
            ("a*", "a", true),
            ("a*", "abc", true),
            ("*a", "bca", true),
            ("*a", "ab", false),
            ("a*a", "a", false),
            ("a*a", "aba", true),
            ("a*b*c", "axbxc", true),
            ("a*b*c", "abc", true),
            ("a*b*c", "acb", false),
            ("a*bc*c", "abc", false),
            ("*", "", true),
            ("**", "x", true),
        ];
        for (glob, text, expected) in rows {
            let compiled = Glob::split_at_stars(glob.as_bytes());
            assert_eq!(compiled.matches(text.as_bytes()), expected, "{glob} {text}");
            assert_eq!(compiled.to_string(), glob);
        }
    }

    #[test]
    fn replacing() {
        #[rustfmt::skip]
        let rows = [
            ("a", "x", "banana", Some("bxnxnx")),
            ("an", "", "banana", Some("ba")),
            ("x", "y", "banana", None),
            ("http://*/", "/", "see http://a/b http://c/d", Some("see /b /d")),
            ("n*", "!", "banana", Some("ba!")),
            ("*n", "!", "banana", Some("!!a")),
            ("b*n*a", "!", "banana banana", Some("!na !na")),
            ("*", "!", "banana", Some("!")),
        ];
        for (glob, with, text, expected) in rows {
            let mut out = Vec::new();
            let glob = Glob::split_at_stars(glob.as_bytes());
            let done = glob.replace_all(text.as_bytes(), with.as_bytes(), &mut out, 1000);
            let replaced = (done == Replaced::Some).then(|| String::from_utf8_lossy(&out));
            assert_eq!(replaced.as_deref(), expected, "{glob} in {text}");
        }
        let long = Glob::split_at_stars(b"a");
        let bounded = |max| long.replace_all(b"aab", b"xyz", &mut Vec::new(), max);
        assert_eq!(
            (bounded(7), bounded(6)),
            (Replaced::Some, Replaced::TooLong)
        );
    }
}
