//! The body of a stored response: shared segments of bounded size.
//!
//! RFC 9111 §3 (the content of a stored response), RFC 9110 §14 (parts of it). A body never holds
//! more memory than it counts: what arrives in small pieces of larger buffers is copied into exact
//! segments. Cloning a body or a part of it copies no content.

use bytes::Bytes;
use smallvec::SmallVec;

/// The largest segment that small chunks are gathered into, in bytes.
pub const SEGMENT_BYTES_MAX: usize = 256 << 10;

/// A chunk of at least this many bytes becomes a segment of its own, without a copy. Whoever hands
/// one over hands over a full buffer: the memory behind the chunk must not be much larger than the
/// chunk.
pub const KEEP_BYTES_MIN: usize = 64 << 10;

/// What one segment costs besides its content: its handle, its allocation's header and the rounding
/// of the allocator.
const SEGMENT_OVERHEAD_BYTES: u64 = 96;

/// Content in order, immutable.
///
/// ```
/// use bytes::Bytes;
/// use corsair_cache::Body;
/// let body = Body::from_chunks([Bytes::from_static(b"hello, "), Bytes::from_static(b"world")]);
/// assert_eq!((body.len(), body.segments().len()), (12, 1));
/// let part: Vec<Bytes> = body.slice(7..=11).collect();
/// assert_eq!(part, ["world"]);
/// ```
#[derive(Clone, Default, Debug)]
pub struct Body {
    /// None is empty. One stays inline: the common small body costs no list.
    segments: SmallVec<[Bytes; 1]>,
    len: u64,
}

impl Body {
    /// Gathers chunks: runs of chunks smaller than [`KEEP_BYTES_MIN`] are copied into segments of
    /// up to [`SEGMENT_BYTES_MAX`], of exact capacity; larger chunks are kept as they are. Empty
    /// chunks are skipped.
    #[must_use]
    pub fn from_chunks(chunks: impl IntoIterator<Item = Bytes>) -> Self {
        let mut body = Self::default();
        let mut tail: Vec<Bytes> = Vec::new();
        let mut tail_bytes = 0;
        for chunk in chunks {
            if ends_run(tail_bytes, chunk.len()) {
                body.push_gathered(&mut tail, &mut tail_bytes);
            }
            tail_bytes += chunk.len();
            tail.push(chunk);
            if is_kept(tail_bytes) && tail.len() == 1 {
                tail_bytes = 0;
                body.push_segment(tail.pop().expect("the run has one chunk"));
            }
        }
        body.push_gathered(&mut tail, &mut tail_bytes);
        body
    }

    /// Takes over segments that are already as they should be.
    pub(crate) fn from_segments(segments: impl IntoIterator<Item = Bytes>) -> Self {
        let mut body = Self::default();
        for segment in segments {
            body.push_segment(segment);
        }
        body
    }

    fn push_gathered(&mut self, tail: &mut Vec<Bytes>, tail_bytes: &mut usize) {
        if *tail_bytes > 0 {
            self.push_segment(gather(tail, *tail_bytes));
        }
        tail.clear();
        *tail_bytes = 0;
    }

    fn push_segment(&mut self, segment: Bytes) {
        self.len += segment.len() as u64;
        if !segment.is_empty() {
            self.segments.push(segment);
        }
    }

    /// How many bytes the content has.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Is there no content?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The content in order, in segments; none of them is empty.
    #[must_use]
    pub fn segments(&self) -> &[Bytes] {
        &self.segments
    }

    /// The content from byte `first` to byte `last`, both included, by reference. What lies beyond
    /// the end is left out.
    ///
    /// Cost: a walk over the segment list up to the first byte, 256 KiB a step.
    pub fn slice(&self, range: core::ops::RangeInclusive<u64>) -> impl Iterator<Item = Bytes> + '_ {
        let (first, end) = (*range.start(), range.end().saturating_add(1));
        let mut start = 0;
        self.segments.iter().filter_map(move |segment| {
            let len = segment.len() as u64;
            let from = first.max(start) - start;
            let to = end.min(start + len).saturating_sub(start);
            start += len;
            // Both are at most `len`, which is a usize.
            (from < to).then(|| segment.slice(from as usize..to as usize))
        })
    }

    /// The memory the body keeps alive, in bytes: content and what its segments cost.
    #[must_use]
    pub fn memory_bytes(&self) -> u64 {
        self.len + self.segments.len() as u64 * SEGMENT_OVERHEAD_BYTES
    }
}

/// Must the run of small chunks end before a chunk of `incoming` bytes?
pub(crate) fn ends_run(run_bytes: usize, incoming: usize) -> bool {
    run_bytes > 0 && (is_kept(incoming) || run_bytes + incoming > SEGMENT_BYTES_MAX)
}

/// Is a chunk of `len` bytes a segment of its own?
pub(crate) fn is_kept(len: usize) -> bool {
    len >= KEEP_BYTES_MIN
}

/// Copies chunks of `len` bytes together into one segment of exact capacity.
pub(crate) fn gather(chunks: &[Bytes], len: usize) -> Bytes {
    let mut out = Vec::with_capacity(len);
    for chunk in chunks {
        out.extend_from_slice(chunk);
    }
    let segment = Bytes::from(out);
    // The first clone of such a buffer allocates its reference count. Paid here, so that no hit
    // ever does.
    drop(segment.clone());
    segment
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(body: &Body) -> Vec<u8> {
        body.segments().concat()
    }

    fn check(sizes: &[usize], expected_segments: &[usize]) {
        let mut next = 0_u8;
        let chunks: Vec<Bytes> = sizes
            .iter()
            .map(|&size| {
                next = next.wrapping_add(1);
                Bytes::from(vec![next; size])
            })
            .collect();
        let body = Body::from_chunks(chunks.clone());
        let sizes_of: Vec<usize> = body.segments().iter().map(Bytes::len).collect();
        assert_eq!(sizes_of, expected_segments, "{sizes:?}");
        assert_eq!(content(&body), chunks.concat(), "{sizes:?}");
        assert_eq!(body.len(), sizes.iter().sum::<usize>() as u64);
        assert_eq!(
            body.memory_bytes(),
            body.len() + 96 * expected_segments.len() as u64
        );
    }

    #[test]
    fn chunks_become_segments() {
        const KIB: usize = 1 << 10;
        check(&[], &[]);
        check(&[0, 0], &[]);
        check(&[1], &[1]);
        check(&[3, 0, 4], &[7]);
        check(&[40 * KIB, 24 * KIB], &[64 * KIB]);
        check(&[64 * KIB - 1], &[64 * KIB - 1]);
        check(&[64 * KIB, 64 * KIB], &[64 * KIB, 64 * KIB]);
        check(&[10, 64 * KIB, 10], &[10, 64 * KIB, 10]);
        check(&[16 * KIB; 16], &[256 * KIB]);
        check(&[16 * KIB; 17], &[256 * KIB, 16 * KIB]);
        check(&[60 * KIB; 5], &[240 * KIB, 60 * KIB]);
        check(&[1 << 20], &[1 << 20]);
    }

    #[test]
    fn kept_chunks_are_not_copied_and_small_ones_are() {
        let large = Bytes::from(vec![1; KEEP_BYTES_MIN]);
        let small = Bytes::from(vec![2; 10]).slice(0..5);
        let body = Body::from_chunks([large.clone(), small.clone()]);
        assert_eq!(body.segments()[0].as_ptr(), large.as_ptr());
        assert_ne!(body.segments()[1].as_ptr(), small.as_ptr());
    }

    #[test]
    fn slices_are_the_slices_of_the_content() {
        let body = Body::from_segments(["abc", "d", "", "efgh"].map(Bytes::from));
        let whole = content(&body);
        for first in 0..=9_usize {
            for last in first..=10 {
                let part: Vec<Bytes> = body.slice(first as u64..=last as u64).collect();
                assert!(part.iter().all(|segment| !segment.is_empty()));
                let end = (last + 1).min(whole.len());
                assert_eq!(part.concat(), &whole[first.min(end)..end], "{first}-{last}");
            }
        }
        assert_eq!(body.slice(0..=u64::MAX).collect::<Vec<_>>().concat(), whole);
    }
}
