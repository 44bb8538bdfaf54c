//! What the demo's upstream serves: a fixed list of items, built once at start from code and short
//! texts.

use axum::body::Bytes;
use axum::http::HeaderValue;

use super::{font, picture};

/// The modification date of everything in the demo.
pub(super) const LAST_MODIFIED: &str = "Thu, 01 Jan 2026 00:00:00 GMT";

/// A year, and no revalidation meanwhile (RFC 8246): the usual answer for a versioned font.
const LONG: &str = "public, max-age=31536000, immutable";
const HOUR: &str = "public, max-age=3600";
const SHORT: &str = "public, max-age=10";

/// Bytes of the video-like blob: more than a socket buffer, less than anybody minds.
const VIDEO_BYTES: usize = 4 * 1024 * 1024;

/// One resource.
pub(super) struct Item {
    path: &'static str,
    pub(super) content_type: &'static str,
    pub(super) cache_control: &'static str,
    pub(super) etag: HeaderValue,
    pub(super) body: Bytes,
}

/// All resources of the demo.
pub(super) struct Content {
    items: Vec<Item>,
}

impl Content {
    /// Draws, writes and hashes everything; a few milliseconds.
    pub(super) fn build() -> Self {
        let json = "application/json";
        let items = vec![
            Item::new(
                "/",
                "text/html; charset=utf-8",
                SHORT,
                include_str!("page.html"),
            ),
            Item::new("/fonts/corsair.woff2", "font/woff2", LONG, font::woff2()),
            Item::new("/fonts/corsair.ttf", "font/ttf", LONG, font::ttf()),
            Item::new("/images/sea.png", "image/png", HOUR, picture::png()),
            Item::new("/images/flag.svg", "image/svg+xml", HOUR, picture::SVG),
            Item::new(
                "/api/products.json",
                json,
                SHORT,
                include_str!("products.json"),
            ),
            Item::new(
                "/api/slow.json",
                json,
                SHORT,
                "{\"took\":\"one second upstream\"}\n",
            ),
            Item::new(
                "/api/me.json",
                json,
                "private, no-store",
                "{\"name\":\"you\"}\n",
            ),
            Item::new("/video/sea.mp4", "video/mp4", HOUR, video()),
        ];
        Self { items }
    }

    /// The item at this exact path.
    pub(super) fn find(&self, path: &str) -> Option<&Item> {
        self.items.iter().find(|item| item.path == path)
    }
}

impl Item {
    fn new(
        path: &'static str,
        content_type: &'static str,
        cache_control: &'static str,
        body: impl Into<Bytes>,
    ) -> Self {
        let body = body.into();
        let etag = HeaderValue::from_str(&etag_of(&body))
            .expect("a quoted hexadecimal number is a valid field value");
        Self {
            path,
            content_type,
            cache_control,
            etag,
            body,
        }
    }
}

/// The entity tag of `/images/sea.png`, to show a conditional request with.
pub(super) fn etag_of_picture() -> String {
    etag_of(&picture::png())
}

fn etag_of(body: &[u8]) -> String {
    format!("\"{:016x}\"", fnv1a(body))
}

/// A range-able blob with the outer shape of an MP4 file: a `ftyp` box, then one `mdat` box. Each
/// eight bytes of the latter are a fixed function of their position, so that any range can be
/// checked; there is nothing to play.
fn video() -> Vec<u8> {
    let mut out = Vec::with_capacity(VIDEO_BYTES);
    out.extend_from_slice(b"\0\0\0\x18ftypisom\0\0\x02\0isomiso2");
    let media_bytes = u32::try_from(VIDEO_BYTES - out.len()).expect("the blob is a few MiB");
    out.extend_from_slice(&media_bytes.to_be_bytes());
    out.extend_from_slice(b"mdat");
    for position in (out.len() as u64 / 8).. {
        if out.len() >= VIDEO_BYTES {
            break;
        }
        out.extend_from_slice(&position.wrapping_mul(0x9E37_79B9_7F4A_7C15).to_le_bytes());
    }
    out
}

/// FNV-1a, 64 bits: an entity tag needs to differ, not to resist.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_blob_is_the_same_on_every_start_and_divides_into_words() {
        let blob = video();
        assert_eq!(blob.len(), VIDEO_BYTES);
        let word = |n: usize| u64::from_le_bytes(blob[n * 8..n * 8 + 8].try_into().unwrap());
        assert_eq!(word(4), 4_u64.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        assert_eq!(word(1_000), 1_000_u64.wrapping_mul(0x9E37_79B9_7F4A_7C15));
    }

    #[test]
    fn entity_tags_tell_the_items_apart() {
        let content = Content::build();
        let mut tags: Vec<_> = content.items.iter().map(|item| item.etag.clone()).collect();
        tags.sort_by(|a, b| a.as_bytes().cmp(b.as_bytes()));
        tags.dedup();
        assert_eq!(tags.len(), content.items.len());
    }
}
