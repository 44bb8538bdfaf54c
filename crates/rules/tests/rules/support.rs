//! Requests and policies for the tests of this crate.

use corsair_http1::{HeadLimits, Parsed, Request, RequestHead};

/// A request head that was parsed, with its bytes.
pub(crate) struct Head {
    bytes: Vec<u8>,
    head: RequestHead,
}

impl Head {
    /// `lines` are field lines without line ends.
    pub(crate) fn new(method: &str, lines: &[&str]) -> Self {
        Self::of_bytes(
            method,
            &lines.iter().map(|line| line.as_bytes()).collect::<Vec<_>>(),
        )
        .expect("a head that is parsed")
    }

    /// The same with lines that may be refused by the parser.
    pub(crate) fn of_bytes(method: &str, lines: &[&[u8]]) -> Option<Self> {
        let mut bytes = format!("{method} / HTTP/1.1\r\nHost: cdn.example\r\n").into_bytes();
        for line in lines {
            bytes.extend_from_slice(line);
            bytes.extend_from_slice(b"\r\n");
        }
        bytes.extend_from_slice(b"\r\n");
        let mut head = RequestHead::new();
        match head.parse(&bytes, &HeadLimits::default()) {
            Ok(Parsed::Complete) => Some(Self { bytes, head }),
            Ok(Parsed::Partial) | Err(_) => None,
        }
    }

    pub(crate) fn request(&self) -> Request<'_> {
        self.head.view(&self.bytes)
    }
}
