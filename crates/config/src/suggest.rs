//! "Did you mean": the closest of the words that would have been right.
//!
//! Distances count one per inserted, lost, changed or swapped letter (optimal string alignment).

/// The longest word compared; longer ones are no typing slip of any name the contract has.
const WORD_BYTES_MAX: usize = 64;

/// The candidate nearest to `word`, if it is near enough to be what was meant.
///
/// Near enough is a third of the longer word's letters, at least one; equal spelling apart from
/// case, `-` and `_` always is.
pub(crate) fn closest<'c>(
    word: &str,
    candidates: impl IntoIterator<Item = &'c str>,
) -> Option<&'c str> {
    if word.is_empty() || word.len() > WORD_BYTES_MAX {
        return None;
    }
    let folded = fold(word);
    let mut best: Option<(usize, &'c str)> = None;
    for candidate in candidates {
        if candidate.len() > WORD_BYTES_MAX || candidate == word {
            continue;
        }
        let other = fold(candidate);
        let far = distance(&folded, &other);
        let reach = (folded.len().max(other.len()) / 3).max(1);
        if far <= reach && best.is_none_or(|(nearest, _)| far < nearest) {
            best = Some((far, candidate));
        }
    }
    best.map(|(_, candidate)| candidate)
}

fn fold(word: &str) -> Vec<char> {
    word.chars()
        .map(|c| {
            if c == '-' {
                '_'
            } else {
                c.to_ascii_lowercase()
            }
        })
        .collect()
}

fn distance(a: &[char], b: &[char]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let changed = above[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut least = changed.min(above[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                least = least.min(before[j - 2] + 1);
            }
            row.push(least);
        }
        before = std::mem::replace(&mut above, row);
    }
    above[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn typing_slips_find_their_word_and_strangers_do_not() {
        let keys = [
            "ttl",
            "status_ttl",
            "override_ttl",
            "max_object",
            "origins",
            "origins_file",
        ];
        let cases = [
            ("tll", Some("ttl")),
            ("statusttl", Some("status_ttl")),
            ("status-ttl", Some("status_ttl")),
            ("Max_Object", Some("max_object")),
            ("maxobject", Some("max_object")),
            ("origin", Some("origins")),
            ("orgins", Some("origins")),
            ("origin_file", Some("origins_file")),
            ("banana", None),
            ("", None),
            ("x", None),
        ];
        for (word, expected) in cases {
            assert_eq!(closest(word, keys), expected, "{word}");
        }
        assert_eq!(closest(&"t".repeat(65), [&*"t".repeat(64)]), None);
        assert_eq!(
            closest(&"t".repeat(64), [&*"t".repeat(63)]),
            Some(&*"t".repeat(63))
        );
    }

    proptest! {
        #[test]
        fn distance_is_symmetric_and_zero_only_for_equals(a in "[a-c_]{0,8}", b in "[a-c_]{0,8}") {
            let (x, y) = (fold(&a), fold(&b));
            prop_assert_eq!(distance(&x, &y), distance(&y, &x));
            prop_assert_eq!(distance(&x, &y) == 0, x == y);
        }
    }
}
