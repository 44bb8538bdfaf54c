//! One `Vary` line out of the stored ones and what a policy adds.
//!
//! RFC 9110 §12.5.5: a list of field names compared case-insensitively, or `*`, which says that
//! nothing about the request can be known to suffice. Never loses a member: what is too much to
//! compare becomes `*`.

use corsair_http1::list_members;

/// Most members a merged line has; more become `*`, which is true and costs only reuse downstream.
pub const VARY_MEMBERS_MAX: usize = 64;

/// Whether `Origin` among the members of a stored `Vary` is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExistingOrigin {
    /// The response depends on it still.
    Keep,
    /// The upstream's dependence on it ended when its CORS fields were dropped.
    Drop,
}

/// Appends `Vary: …\r\n` with the members of `existing` and of `add`, each once; nothing when there
/// are none. `*` stands alone.
///
/// `origin` says what becomes of `Origin` in `existing`. `add` is a comma list or empty. Does not
/// allocate beyond `out`.
///
/// ```
/// use corsair_rules::{ExistingOrigin, merge_vary};
/// let mut out = Vec::new();
/// let existing = [&b"Accept-Encoding, Origin"[..], b"accept-encoding"];
/// merge_vary(existing.into_iter(), ExistingOrigin::Drop, "Origin", &mut out);
/// assert_eq!(out, b"Vary: Accept-Encoding, Origin\r\n");
/// ```
pub fn merge_vary<'a>(
    existing: impl Iterator<Item = &'a [u8]>,
    origin: ExistingOrigin,
    add: &str,
    out: &mut Vec<u8>,
) {
    let mut line = Line {
        starts: [0; VARY_MEMBERS_MAX],
        members: 0,
        base: out.len(),
    };
    let mut fits = true;
    let is_kept = |member: &[u8]| match origin {
        ExistingOrigin::Keep => true,
        ExistingOrigin::Drop => !member.eq_ignore_ascii_case(b"origin"),
    };
    for value in existing {
        // Mostly it is one name: then there is no list to take apart.
        if memchr::memchr3(b',', b'"', b' ', value).is_none() {
            fits = fits && (value.is_empty() || !is_kept(value) || line.push(value, out));
            continue;
        }
        for member in list_members(value).filter(|member| is_kept(member)) {
            fits = fits && line.push(member, out);
        }
    }
    for member in list_members(add.as_bytes()) {
        fits = fits && line.push(member, out);
    }
    if !fits {
        out.truncate(line.base);
        out.extend_from_slice(b"Vary: *\r\n");
    } else if line.members > 0 {
        out.extend_from_slice(b"\r\n");
    }
}

/// The line so far: where its members begin in the output.
struct Line {
    /// Counted from `base`.
    starts: [u32; VARY_MEMBERS_MAX],
    members: usize,
    /// Where the line begins.
    base: usize,
}

impl Line {
    /// Adds one member unless it is there already; `false` when the line must become `*`.
    fn push(&mut self, member: &[u8], out: &mut Vec<u8>) -> bool {
        let written = &self.starts[..self.members];
        let is_there = |&at: &u32| {
            let at = self.base + at as usize;
            // Two members of unequal length differ before the second one ends.
            let own = out.get(at..at + member.len()).unwrap_or_default();
            let ends = matches!(out.get(at + member.len()), None | Some(b','));
            ends && own.eq_ignore_ascii_case(member)
        };
        if written.iter().any(is_there) {
            return true;
        }
        if member == b"*" || self.members == VARY_MEMBERS_MAX {
            return false;
        }
        out.extend_from_slice(if self.members == 0 { b"Vary: " } else { b", " });
        let Ok(start) = u32::try_from(out.len() - self.base) else {
            return false;
        };
        self.starts[self.members] = start;
        self.members += 1;
        out.extend_from_slice(member);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::ExistingOrigin::{Drop, Keep};
    use super::*;

    fn check(existing: &[&str], origin: ExistingOrigin, add: &str, expected: &str) {
        let mut out = b"X: y\r\n".to_vec();
        merge_vary(
            existing.iter().map(|value| value.as_bytes()),
            origin,
            add,
            &mut out,
        );
        let merged = String::from_utf8(out).expect("text");
        assert_eq!(
            merged.strip_prefix("X: y\r\n"),
            Some(expected),
            "{existing:?} + {add}"
        );
    }

    #[test]
    fn merging() {
        check(&[], Keep, "", "");
        check(&[""], Keep, "", "");
        check(&[], Keep, "Origin", "Vary: Origin\r\n");
        check(&["Origin"], Drop, "Origin", "Vary: Origin\r\n");
        check(&["Origin"], Drop, "", "");
        check(&["origin"], Keep, "Origin", "Vary: origin\r\n");
        check(
            &["Accept-Encoding"],
            Drop,
            "Origin",
            "Vary: Accept-Encoding, Origin\r\n",
        );
        check(
            &["Accept", "accept , Cookie"],
            Keep,
            "",
            "Vary: Accept, Cookie\r\n",
        );
        check(
            &["Accept-Encoding"],
            Keep,
            "Accept",
            "Vary: Accept-Encoding, Accept\r\n",
        );
        check(
            &["Accept"],
            Keep,
            "Accept-Encoding",
            "Vary: Accept, Accept-Encoding\r\n",
        );
        check(&["Accept", "*"], Keep, "Origin", "Vary: *\r\n");
        check(&["*"], Drop, "", "Vary: *\r\n");
        check(
            &["Accept"],
            Keep,
            "Origin, Accept",
            "Vary: Accept, Origin\r\n",
        );
    }

    #[test]
    fn too_many_members_become_a_star() {
        let list = |count: usize| {
            (0..count)
                .map(|n| format!("x-{n}"))
                .collect::<Vec<_>>()
                .join(", ")
        };
        let most = list(VARY_MEMBERS_MAX);
        check(&[&most], Keep, "", &format!("Vary: {most}\r\n"));
        check(&[&list(VARY_MEMBERS_MAX + 1)], Keep, "", "Vary: *\r\n");
        check(&[&most], Keep, "Origin", "Vary: *\r\n");
    }
}
