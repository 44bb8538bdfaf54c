//! Messages for tests, written as text, and stored responses made of them through the real code.

use std::time::Duration;

use bytes::Bytes;
use corsair_cache::{
    Body, CachePolicy, FetchTimes, FillHead, Freshness, HeadParts, NoStore, SetCookie, Storable,
    Stored, UnixMillis, VaryOrigin, decide_storable,
};
use corsair_http1::{FieldSection, HeadLimits, Parsed, Request, RequestHead};

/// 2026-11-22T00:00:00Z, when every test response arrives.
pub(crate) const T0: u64 = 1_795_305_600;
/// [`T0`] as a field value.
pub(crate) const T0_DATE: &str = "Sun, 22 Nov 2026 00:00:00 GMT";

/// A moment `seconds` after [`T0`].
pub(crate) fn at(seconds: u64) -> UnixMillis {
    UnixMillis::from_seconds(T0 + seconds)
}

/// A fetch that took no time, at [`T0`].
pub(crate) const TIMES: FetchTimes = FetchTimes {
    request_time: UnixMillis::from_seconds(T0),
    response_time: UnixMillis::from_seconds(T0),
};

/// A request head and the bytes it was parsed from.
pub(crate) struct Sent {
    bytes: Vec<u8>,
    head: RequestHead,
}

impl Sent {
    pub(crate) fn new(method: &str, lines: &[&str]) -> Self {
        let mut text = format!("{method} /a HTTP/1.1\r\nHost: a\r\n");
        for line in lines {
            text.push_str(line);
            text.push_str("\r\n");
        }
        text.push_str("\r\n");
        let mut head = RequestHead::new();
        let parsed = head.parse(text.as_bytes(), &HeadLimits::default());
        assert_eq!(parsed, Ok(Parsed::Complete), "{text}");
        Self {
            bytes: text.into_bytes(),
            head,
        }
    }

    pub(crate) fn view(&self) -> Request<'_> {
        self.head.view(&self.bytes)
    }
}

/// A GET with these field lines.
pub(crate) fn get(lines: &[&str]) -> Sent {
    Sent::new("GET", lines)
}

/// A section of `Name: value` lines.
pub(crate) fn section(lines: &[&str]) -> FieldSection {
    let mut fields = FieldSection::new();
    for line in lines {
        let (name, value) = line.split_once(':').expect("a test line has a colon");
        let before = fields.len();
        fields.push(name.as_bytes(), value.as_bytes());
        assert_eq!(fields.len(), before + 1, "{line}");
    }
    fields
}

/// The lines of a section as text.
pub(crate) fn rendered(fields: &FieldSection) -> String {
    let mut out = Vec::new();
    fields.render(&mut out);
    String::from_utf8(out).expect("a test section is text")
}

pub(crate) fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// What `decide_storable` says of a 200 to a plain GET under the default policy.
pub(crate) fn storable(lines: &[&str]) -> Result<Storable, NoStore> {
    storable_under(&CachePolicy::default(), 200, lines)
}

pub(crate) fn storable_under(
    policy: &CachePolicy,
    status: u16,
    lines: &[&str],
) -> Result<Storable, NoStore> {
    decide_storable(get(&[]).view(), status, &section(lines), policy, TIMES)
}

/// The freshness of such a response, or one that is stale when it may not be stored.
pub(crate) fn freshness(lines: &[&str]) -> Freshness {
    storable(lines).map_or(Freshness::stale(TIMES.response_time), |storable| {
        storable.freshness
    })
}

/// The head of a fill for a response to `request`.
pub(crate) fn fill_head(key: &str, request: Request<'_>, status: u16, lines: &[&str]) -> FillHead {
    FillHead::new(HeadParts {
        key: key.as_bytes(),
        status,
        fields: section(lines),
        freshness: freshness(lines),
        vary_origin: VaryOrigin::Keep,
        set_cookie: SetCookie::Bypass,
        request,
    })
}

/// A stored response to `request`.
pub(crate) fn stored_for(
    key: &str,
    request: Request<'_>,
    lines: &[&str],
    body: &'static str,
) -> Stored {
    let head = fill_head(key, request, 200, lines);
    Stored::from_fill(
        &head,
        Body::from_chunks([Bytes::from_static(body.as_bytes())]),
    )
}

/// A stored 200 to a plain GET.
pub(crate) fn stored(lines: &[&str], body: &'static str) -> Stored {
    stored_for("http://a/a", get(&[]).view(), lines, body)
}
