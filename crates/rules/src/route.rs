//! Which route of a site a request takes: the most specific path pattern whose methods allow it.
//!
//! Patterns are compared segment by segment from the left: literal text before a part star (more
//! literal bytes first, of equally many by their text), before `*`, before `**`. Of equal paths a
//! route with listed methods comes before one for all. Paths are matched as bytes in the one
//! canonical form that `http1` makes of a request target; nothing is decoded here. A lookup visits
//! at most each node of the pattern tree once, never allocates, and does not depend on the number
//! of routes beside its path.

use crate::glob::Glob;
use core::cmp::Ordering;
use core::fmt;
use std::collections::BTreeSet;

/// A path pattern: `/a/b`, `*` for one segment or a part of one, `/**` at the end for any rest.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PathPattern {
    segments: Vec<Segment>,
    any_rest: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Segment {
    Literal(Box<[u8]>),
    Part(Glob),
    /// `*` alone: one segment that is not empty.
    One,
}

/// Why a text is no path pattern; the message names the remedy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PathPatternError {
    /// Does not begin with `/`.
    #[error("a path pattern begins with `/`")]
    NoSlash,
    /// `**` that is not the last segment.
    #[error("`**` may stand only as the last segment, for any rest of the path")]
    RestInside,
    /// `?` or `#`.
    #[error("a path pattern has no query and no fragment")]
    Query,
    /// A control byte, blank or backslash.
    #[error("a path pattern holds no blanks, control characters or backslashes")]
    BadCharacter,
    /// `%` without two hexadecimal digits.
    #[error("`%` must be followed by two hexadecimal digits")]
    BadEscape,
    /// `.` or `..`.
    #[error("`.` and `..` segments are resolved before routes are chosen and never match")]
    DotSegment,
}

impl PathPattern {
    /// Parses a pattern. Non-ASCII text is percent-encoded, escapes are brought into the canonical
    /// form of request targets (RFC 3986 §6.2.2: unreserved decoded, others in upper case).
    ///
    /// # Errors
    /// [`PathPatternError`] for what no canonical path can match.
    ///
    /// ```
    /// use corsair_rules::PathPattern;
    /// let fonts = PathPattern::parse("/fonts/*.woff2").unwrap();
    /// assert!(fonts.matches(b"/fonts/a.woff2"));
    /// assert!(!fonts.matches(b"/fonts/a/b.woff2"));
    /// ```
    pub fn parse(text: &str) -> Result<Self, PathPatternError> {
        let canonical = canonical_text(text)?;
        let rest = canonical
            .strip_prefix(b"/")
            .ok_or(PathPatternError::NoSlash)?;
        let mut segments = Vec::new();
        let mut any_rest = false;
        for segment in rest.split(|&byte| byte == b'/') {
            if any_rest {
                return Err(PathPatternError::RestInside);
            }
            if segment == b"**" {
                any_rest = true;
                continue;
            }
            segments.push(parse_segment(segment)?);
        }
        Ok(Self { segments, any_rest })
    }

    /// Whether a canonical path is covered by this pattern.
    #[must_use]
    pub fn matches(&self, path: &[u8]) -> bool {
        let Some(mut rest) = path.strip_prefix(b"/") else {
            return false;
        };
        // Of many patterns most differ at once: no search for the segment's end then.
        if let Some(Segment::Literal(own)) = self.segments.first()
            && !rest.starts_with(own)
        {
            return false;
        }
        for (index, segment) in self.segments.iter().enumerate() {
            let (text, behind) = split_segment(rest);
            if !segment.matches(text) {
                return false;
            }
            let is_last = index + 1 == self.segments.len();
            match behind {
                None => return is_last && !self.any_rest,
                Some(_) if is_last => return self.any_rest,
                Some(behind) => rest = behind,
            }
        }
        self.any_rest
    }
}

impl fmt::Display for PathPattern {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for segment in &self.segments {
            match segment {
                Segment::Literal(text) => write!(out, "/{}", String::from_utf8_lossy(text))?,
                Segment::Part(glob) => write!(out, "/{glob}")?,
                Segment::One => out.write_str("/*")?,
            }
        }
        if self.any_rest {
            out.write_str("/**")
        } else {
            Ok(())
        }
    }
}

impl Segment {
    fn matches(&self, text: &[u8]) -> bool {
        match self {
            Self::Literal(own) => **own == *text,
            Self::Part(glob) => glob.matches(text),
            Self::One => !text.is_empty(),
        }
    }

    /// Most specific first.
    fn compare(&self, other: &Self) -> Ordering {
        let rank = |segment: &Self| match segment {
            Self::Literal(_) => (0, 0),
            Self::Part(glob) => (1, usize::MAX - glob.literal_bytes()),
            Self::One => (2, 0),
        };
        let by_text = || match (self, other) {
            (Self::Literal(a), Self::Literal(b)) => a.cmp(b),
            (Self::Part(a), Self::Part(b)) => a.cmp(b),
            (Self::Literal(_) | Self::Part(_) | Self::One, _) => Ordering::Equal,
        };
        rank(self).cmp(&rank(other)).then_with(by_text)
    }
}

fn split_segment(rest: &[u8]) -> (&[u8], Option<&[u8]>) {
    match memchr::memchr(b'/', rest) {
        Some(at) => (&rest[..at], Some(&rest[at + 1..])),
        None => (rest, None),
    }
}

fn parse_segment(segment: &[u8]) -> Result<Segment, PathPatternError> {
    if segment == b"*" {
        return Ok(Segment::One);
    }
    if segment == b"." || segment == b".." {
        return Err(PathPatternError::DotSegment);
    }
    if !segment.contains(&b'*') {
        return Ok(Segment::Literal(segment.into()));
    }
    if memchr::memmem::find(segment, b"**").is_some() {
        return Err(PathPatternError::RestInside);
    }
    Ok(Segment::Part(Glob::split_at_stars(segment)))
}

fn canonical_text(text: &str) -> Result<Vec<u8>, PathPatternError> {
    let mut out = Vec::with_capacity(text.len());
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'?' | b'#' => return Err(PathPatternError::Query),
            b'\\' | 0x00..=0x20 | 0x7f => return Err(PathPatternError::BadCharacter),
            b'%' => {
                let byte = bytes
                    .get(at + 1..at + 3)
                    .and_then(|digits| core::str::from_utf8(digits).ok())
                    .filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()))
                    .and_then(|digits| u8::from_str_radix(digits, 16).ok())
                    .ok_or(PathPatternError::BadEscape)?;
                if is_unreserved(byte) {
                    out.push(byte);
                } else {
                    push_escape(&mut out, byte);
                }
                at += 2;
            }
            byte if byte >= 0x80 => push_escape(&mut out, byte),
            byte => out.push(byte),
        }
        at += 1;
    }
    Ok(out)
}

/// RFC 3986 §2.3.
fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

fn push_escape(out: &mut Vec<u8>, byte: u8) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    out.push(b'%');
    out.push(DIGITS[usize::from(byte >> 4)]);
    out.push(DIGITS[usize::from(byte & 0xf)]);
}

/// Which methods a route takes. Methods are case-sensitive (RFC 9110 §9.1).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum MethodSet {
    /// All.
    #[default]
    Any,
    /// These.
    Listed(Vec<Box<str>>),
}

impl MethodSet {
    /// Whether `method` is one of them.
    #[must_use]
    pub fn allows(&self, method: &[u8]) -> bool {
        match self {
            Self::Any => true,
            Self::Listed(methods) => methods.iter().any(|own| own.as_bytes() == method),
        }
    }

    fn is_any(&self) -> bool {
        match self {
            Self::Any => true,
            Self::Listed(_) => false,
        }
    }

    fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Any, _) => true,
            (Self::Listed(_), Self::Any) => false,
            (Self::Listed(own), Self::Listed(other)) => {
                other.iter().all(|method| own.contains(method))
            }
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Taker {
    methods: MethodSet,
    route: usize,
}

/// One position in the paths: what may follow, most specific first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Node {
    /// Sorted by text.
    literals: Vec<(Box<[u8]>, u32)>,
    /// Sorted by how specific they are.
    stars: Vec<(Segment, u32)>,
    /// Routes whose pattern ends here.
    ends: Vec<Taker>,
    /// Routes whose pattern goes on with `**`.
    rests: Vec<Taker>,
}

/// Path and method to route.
///
/// ```
/// use corsair_rules::{MethodSet, PathPattern, RouteTable};
/// let route = |path, route| (PathPattern::parse(path).unwrap(), MethodSet::Any, route);
/// let routes = RouteTable::build(vec![route("/**", 1), route("/fonts/**", 2)]);
/// assert_eq!(routes.find(b"/fonts/a.woff2", b"GET"), Some(2));
/// assert_eq!(routes.find(b"/index.html", b"GET"), Some(1));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteTable {
    nodes: Vec<Node>,
    unreachable: Vec<usize>,
}

impl RouteTable {
    /// Builds the table from pattern, methods and the number that [`RouteTable::find`] returns.
    ///
    /// Of routes with equal path and methods the first given decides; the others are listed by
    /// [`RouteTable::unreachable`].
    #[must_use]
    pub fn build(mut routes: Vec<(PathPattern, MethodSet, usize)>) -> Self {
        let mut table = Self {
            nodes: vec![Node::default()],
            unreachable: Vec::new(),
        };
        // Stable: of equals the first given stays first.
        routes.sort_by_key(|(_, methods, _)| methods.is_any());
        for (pattern, methods, route) in routes {
            let mut at = 0;
            for segment in pattern.segments {
                at = table.child(at, segment);
            }
            let node = &mut table.nodes[at];
            let takers = if pattern.any_rest {
                &mut node.rests
            } else {
                &mut node.ends
            };
            if takers.iter().any(|taker| taker.methods.covers(&methods)) {
                table.unreachable.push(route);
            } else {
                takers.push(Taker { methods, route });
            }
        }
        table.unreachable.sort_unstable();
        table
    }

    /// The node behind `segment`, made when it is missing.
    fn child(&mut self, at: usize, segment: Segment) -> usize {
        let next = u32::try_from(self.nodes.len()).expect("fewer than 2^32 path segments");
        let node = &mut self.nodes[at];
        let found = match segment {
            Segment::Literal(text) => {
                match node
                    .literals
                    .binary_search_by(|(own, _)| (**own).cmp(&text))
                {
                    Ok(place) => node.literals[place].1,
                    Err(place) => {
                        node.literals.insert(place, (text, next));
                        next
                    }
                }
            }
            Segment::Part(_) | Segment::One => {
                match node
                    .stars
                    .binary_search_by(|(own, _)| own.compare(&segment))
                {
                    Ok(place) => node.stars[place].1,
                    Err(place) => {
                        node.stars.insert(place, (segment, next));
                        next
                    }
                }
            }
        };
        if found == next {
            self.nodes.push(Node::default());
        }
        found as usize
    }

    /// The most specific route for a canonical path (as `http1` makes it) and a method; `None` when
    /// the site's own settings hold.
    #[must_use]
    pub fn find(&self, path: &[u8], method: &[u8]) -> Option<usize> {
        if self.nodes.len() == 1 && self.nodes[0].rests.is_empty() {
            return None;
        }
        self.find_below(0, path.strip_prefix(b"/")?, method)
    }

    /// Depth is bounded by the longest pattern, which an operator wrote.
    fn find_below(&self, at: usize, rest: &[u8], method: &[u8]) -> Option<usize> {
        let node = &self.nodes[at];
        let (text, behind) = split_segment(rest);
        let go_on = |next: u32| match behind {
            Some(behind) => self.find_below(next as usize, behind, method),
            None => first_taker(&self.nodes[next as usize].ends, method),
        };
        if let Ok(place) = node.literals.binary_search_by(|(own, _)| (**own).cmp(text))
            && let Some(route) = go_on(node.literals[place].1)
        {
            return Some(route);
        }
        let by_star = node
            .stars
            .iter()
            .filter(|(segment, _)| segment.matches(text))
            .find_map(|(_, next)| go_on(*next));
        by_star.or_else(|| first_taker(&node.rests, method))
    }

    /// Numbers of routes that no request can take, because an earlier one with the same path takes
    /// all their methods.
    #[must_use]
    pub fn unreachable(&self) -> &[usize] {
        &self.unreachable
    }

    /// The methods that some route lists, each once, for reports.
    #[must_use]
    pub fn methods(&self) -> BTreeSet<String> {
        let takers = self
            .nodes
            .iter()
            .flat_map(|node| node.ends.iter().chain(&node.rests));
        let listed = takers.flat_map(|taker| match &taker.methods {
            MethodSet::Any => &[],
            MethodSet::Listed(methods) => methods.as_slice(),
        });
        listed.map(|method| method.to_string()).collect()
    }

    /// A node of the tree; 0 is the root.
    pub(crate) fn node(&self, node: u32) -> NodeView<'_> {
        NodeView {
            node: &self.nodes[node as usize],
        }
    }

    /// Whether there are no routes at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.nodes.len() == 1 && self.nodes[0].rests.is_empty()
    }
}

/// One position in the paths, read back for reports.
#[derive(Clone, Copy)]
pub(crate) struct NodeView<'t> {
    node: &'t Node,
}

impl<'t> NodeView<'t> {
    pub(crate) fn literals(self) -> impl Iterator<Item = &'t [u8]> {
        self.node.literals.iter().map(|(text, _)| &**text)
    }

    /// The part stars; `*` alone is none.
    pub(crate) fn globs(self) -> impl Iterator<Item = &'t Glob> {
        self.node
            .stars
            .iter()
            .filter_map(|(segment, _)| match segment {
                Segment::Part(glob) => Some(glob),
                Segment::Literal(_) | Segment::One => None,
            })
    }

    /// Whether a route goes on from here with `**`.
    pub(crate) fn has_rests(self) -> bool {
        !self.node.rests.is_empty()
    }

    /// The nodes behind a segment.
    pub(crate) fn below(self, text: &[u8]) -> Vec<u32> {
        let literals = &self.node.literals;
        let literal = literals.binary_search_by(|(own, _)| (**own).cmp(text));
        let stars = self.node.stars.iter();
        let by_star = stars.filter(|(segment, _)| segment.matches(text));
        let by_literal = literal.ok().map(|place| literals[place].1);
        by_literal
            .into_iter()
            .chain(by_star.map(|(_, next)| *next))
            .collect()
    }
}

fn first_taker(takers: &[Taker], method: &[u8]) -> Option<usize> {
    takers
        .iter()
        .find(|taker| taker.methods.allows(method))
        .map(|taker| taker.route)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> PathPattern {
        PathPattern::parse(text).expect("a path pattern")
    }

    #[test]
    fn patterns() {
        for same in [
            "/", "/a", "/a/", "/a/b", "/*", "/*/x", "/a*b*c", "/**", "/a/**", "/a//b",
        ] {
            assert_eq!(parse(same).to_string(), same);
        }
        assert_eq!(parse("/\u{fc}/%7e%2f").to_string(), "/%C3%BC/~%2F");
        #[rustfmt::skip]
        let rows = [
            ("", PathPatternError::NoSlash),
            ("fonts/**", PathPatternError::NoSlash),
            ("/**/x", PathPatternError::RestInside),
            ("/a/**.js", PathPatternError::RestInside),
            ("/a?b", PathPatternError::Query),
            ("/a#b", PathPatternError::Query),
            ("/a b", PathPatternError::BadCharacter),
            ("/a\\b", PathPatternError::BadCharacter),
            ("/%", PathPatternError::BadEscape),
            ("/%zz", PathPatternError::BadEscape),
            ("/%+1", PathPatternError::BadEscape),
            ("/a/../b", PathPatternError::DotSegment),
            ("/%2e/b", PathPatternError::DotSegment),
        ];
        for (text, error) in rows {
            assert_eq!(PathPattern::parse(text), Err(error), "{text}");
        }
    }

    const ROWS: &[(&str, &str, bool)] = &[
        ("/", "/", true),
        ("/", "/a", false),
        ("/a", "/a", true),
        ("/a", "/a/", false),
        ("/a/", "/a/", true),
        ("/a", "/ab", false),
        ("/*", "/a", true),
        ("/*", "/", false),
        ("/*", "/a/b", false),
        ("/*/x", "/a/x", true),
        ("/*/x", "//x", false),
        ("/*.woff2", "/a.woff2", true),
        ("/*.woff2", "/.woff2", true),
        ("/*.woff2", "/a.woff", false),
        ("/a*a", "/a", false),
        ("/a*a", "/aa", true),
        ("/a*b*c", "/axbxc", true),
        ("/a*b*c", "/axcxb", false),
        ("/**", "/", true),
        ("/**", "/a/b/c", true),
        ("/fonts/**", "/fonts/", true),
        ("/fonts/**", "/fonts/a/b", true),
        ("/fonts/**", "/fonts", false),
        ("/fonts/**", "/fontsx/a", false),
        ("/a/*/c/**", "/a/b/c/d/e", true),
        ("/a/*/c/**", "/a/b/c", false),
        ("/a/**", "a/b", false),
    ];

    #[test]
    fn one_pattern_and_a_table_of_one_agree() {
        for (pattern, path, expected) in ROWS {
            assert_eq!(
                parse(pattern).matches(path.as_bytes()),
                *expected,
                "{pattern} {path}"
            );
            let table = RouteTable::build(vec![(parse(pattern), MethodSet::Any, 5)]);
            let found = table.find(path.as_bytes(), b"GET");
            assert_eq!(found, expected.then_some(5), "{pattern} {path} in a table");
        }
    }

    #[test]
    fn the_most_specific_route_wins() {
        let listed = |methods: &[&str]| {
            MethodSet::Listed(methods.iter().map(|&method| method.into()).collect())
        };
        let table = RouteTable::build(vec![
            (parse("/**"), MethodSet::Any, 0),
            (parse("/a/**"), MethodSet::Any, 1),
            (parse("/a/*"), MethodSet::Any, 2),
            (parse("/a/*.js"), MethodSet::Any, 3),
            (parse("/a/app*.js"), MethodSet::Any, 4),
            (parse("/a/b"), listed(&["GET", "HEAD"]), 5),
            (parse("/*/b"), MethodSet::Any, 6),
            (parse("/a/b"), listed(&["PUT"]), 7),
            (parse("/*/b/c"), MethodSet::Any, 8),
            (parse("/a/b/d"), MethodSet::Any, 9),
        ]);
        let rows: &[(&str, &str, usize)] = &[
            ("/", "GET", 0),
            ("/x", "GET", 0),
            ("/a", "GET", 0),
            ("/a/", "GET", 1),
            ("/a/x/y", "GET", 1),
            ("/a/x", "GET", 2),
            ("/a/x.js", "GET", 3),
            ("/a/app1.js", "GET", 4),
            ("/a/b", "GET", 5),
            ("/a/b", "PUT", 7),
            ("/a/b", "put", 2),
            ("/a/b", "DELETE", 2),
            ("/z/b", "GET", 6),
            // Back out of `/a/b` when nothing below it fits.
            ("/a/b/c", "GET", 1),
            ("/z/b/c", "GET", 8),
            ("/a/b/d", "GET", 9),
        ];
        for (path, method, expected) in rows {
            let found = table.find(path.as_bytes(), method.as_bytes());
            assert_eq!(found, Some(*expected), "{method} {path}");
        }
        assert!(table.unreachable().is_empty());
        assert!(RouteTable::build(Vec::new()).is_empty());
        assert_eq!(RouteTable::build(Vec::new()).find(b"/", b"GET"), None);
    }

    #[test]
    fn unreachable_routes_are_named() {
        let get = || MethodSet::Listed(vec!["GET".into()]);
        let table = RouteTable::build(vec![
            (parse("/a"), MethodSet::Any, 1),
            (parse("/a"), get(), 2),
            (parse("/a"), MethodSet::Any, 3),
            (parse("/a"), get(), 4),
            (parse("/a/**"), get(), 5),
        ]);
        assert_eq!(table.unreachable(), [3, 4]);
        assert_eq!(table.find(b"/a", b"GET"), Some(2));
        assert_eq!(table.find(b"/a", b"PUT"), Some(1));
    }
}
