//! The names a preflight asks about: `Access-Control-Request-Headers`, scanned within bounds.
//!
//! Fetch §4.8 (browsers send them lower-case, sorted, without blanks; gateways split and pad them).
//! Hostile values cost other proxies 127 ms and 121 MB for one preflight, so the scan stops at a
//! bound in bytes and in members, empty ones counted, and never allocates.

use corsair_http1::{KnownField, Request, is_token, trim_ows};

/// Most bytes of all lines together.
pub const REQUESTED_BYTES_MAX: usize = 8 * 1024;
/// Most members, empty ones counted, of all lines together.
pub const REQUESTED_MEMBERS_MAX: usize = 256;

/// Names that passed the bounds and the syntax.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RequestedHeaders<'a> {
    request: Option<Request<'a>>,
}

/// The lines are over a bound, or hold something that is no header name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BadRequestedHeaders;

impl<'a> RequestedHeaders<'a> {
    /// Checks all lines once.
    pub(crate) fn of(request: Request<'a>) -> Result<Self, BadRequestedHeaders> {
        if !request.has(KnownField::AccessControlRequestHeaders) {
            return Ok(Self { request: None });
        }
        let mut budget = Budget::new();
        let mut any = false;
        for line in request.fields_named(KnownField::AccessControlRequestHeaders) {
            any |= budget.spend(line)?;
        }
        Ok(Self {
            request: any.then_some(request),
        })
    }

    /// Every name, as it was sent.
    pub(crate) fn names(self) -> impl Iterator<Item = &'a [u8]> {
        self.request
            .into_iter()
            .flat_map(|request| request.fields_named(KnownField::AccessControlRequestHeaders))
            .flat_map(members)
            .filter(|name| !name.is_empty())
    }
}

fn members(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.split(|&byte| byte == b',').map(trim_ows)
}

/// What the lines of one request may still use.
struct Budget {
    bytes: usize,
    members: usize,
}

impl Budget {
    fn new() -> Self {
        Self {
            bytes: REQUESTED_BYTES_MAX,
            members: REQUESTED_MEMBERS_MAX,
        }
    }

    /// Checks one line; says whether it names anything.
    fn spend(&mut self, line: &[u8]) -> Result<bool, BadRequestedHeaders> {
        // Before anything is looked at: a line over the bound costs nothing.
        self.bytes = self
            .bytes
            .checked_sub(line.len())
            .ok_or(BadRequestedHeaders)?;
        let mut any = false;
        for name in members(line) {
            self.members = self.members.checked_sub(1).ok_or(BadRequestedHeaders)?;
            if name.is_empty() {
                continue;
            }
            if !is_token(name) {
                return Err(BadRequestedHeaders);
            }
            any = true;
        }
        Ok(any)
    }
}

/// The check of one line alone, for fuzzing: how many names, `None` when it is refused.
pub(crate) fn count_names(line: &[u8]) -> Option<usize> {
    Budget::new().spend(line).ok()?;
    Some(members(line).filter(|name| !name.is_empty()).count())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_and_syntax() {
        let commas = |count: usize| ",".repeat(count);
        let names = |count: usize| vec!["a"; count].join(",");
        let rows: &[(String, Option<usize>)] = &[
            (String::new(), Some(0)),
            ("x-a".into(), Some(1)),
            ("x-a,x-b".into(), Some(2)),
            (" x-a ,\tx-b, ".into(), Some(2)),
            (",,,".into(), Some(0)),
            (commas(REQUESTED_MEMBERS_MAX - 1), Some(0)),
            (commas(REQUESTED_MEMBERS_MAX), None),
            (names(REQUESTED_MEMBERS_MAX), Some(REQUESTED_MEMBERS_MAX)),
            (names(REQUESTED_MEMBERS_MAX + 1), None),
            ("a".repeat(REQUESTED_BYTES_MAX), Some(1)),
            ("a".repeat(REQUESTED_BYTES_MAX + 1), None),
            (commas(16 * 1024), None),
            ("x a".into(), None),
            ("x:a".into(), None),
            ("\"a,b\"".into(), None),
            ("x-\u{e9}".into(), None),
        ];
        for (line, expected) in rows {
            assert_eq!(count_names(line.as_bytes()), *expected, "{:.40}", line);
        }
    }
}
