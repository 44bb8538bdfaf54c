//! One side of an HTTP/1.1 connection, read byte by byte as RFC 9112 obliges a *sender*: CRLF only,
//! token names, one framing, chunks without extensions. Anything else is reported, never repaired.

use std::fmt;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

/// How a read ended when it did not end well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum WireError {
    /// The peer closed before the first byte of a message.
    Closed,
    /// The peer closed inside a message; what was read of the body.
    Truncated(usize),
    /// The peer reset the connection.
    Reset,
    /// Nothing came within the socket's timeout.
    Silence,
    /// The peer sent what no conforming sender sends.
    Malformed(String),
}

impl fmt::Display for WireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => write!(f, "closed without a byte"),
            Self::Truncated(len) => write!(f, "closed after {len} bytes of body"),
            Self::Reset => write!(f, "reset"),
            Self::Silence => write!(f, "silence"),
            Self::Malformed(why) => write!(f, "malformed: {why}"),
        }
    }
}

fn malformed<T>(why: impl Into<String>) -> Result<T, WireError> {
    Err(WireError::Malformed(why.into()))
}

/// A message head: the start line and the field lines in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) start: String,
    pub(crate) fields: Vec<(String, String)>,
}

impl Head {
    /// Every value of a field, in order.
    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.fields
            .iter()
            .filter(move |(n, _)| n.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// The one value of a field; several lines are joined as a list.
    pub(crate) fn field(&self, name: &str) -> Option<String> {
        let values: Vec<&str> = self.all(name).collect();
        (!values.is_empty()).then(|| values.join(", "))
    }

    /// Does any line of a comma list hold this member (case-insensitive)?
    pub(crate) fn lists(&self, name: &str, member: &str) -> bool {
        self.all(name)
            .any(|v| v.split(',').any(|m| m.trim().eq_ignore_ascii_case(member)))
    }
}

/// How a body ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    None,
    Length(u64),
    Chunked,
    UntilClose,
}

/// A socket and what was read ahead of it.
pub(crate) struct Wire {
    pub(crate) stream: TcpStream,
    pub(crate) ahead: Vec<u8>,
}

impl Wire {
    pub(crate) fn new(stream: TcpStream, patience: Duration) -> Self {
        stream
            .set_read_timeout(Some(patience))
            .expect("a timeout above zero");
        stream
            .set_write_timeout(Some(patience))
            .expect("a timeout above zero");
        stream.set_nodelay(true).expect("a TCP socket");
        Self {
            stream,
            ahead: Vec::new(),
        }
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<(), WireError> {
        self.stream.write_all(bytes).map_err(|e| classify(&e))
    }

    pub(crate) fn half_close(&self) {
        // The peer may be gone already; then there is nothing to half-close.
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    /// Reads once; `false` at end of stream.
    pub(crate) fn read_more(&mut self) -> Result<bool, WireError> {
        let mut piece = [0; 64 * 1024];
        let read = loop {
            match self.stream.read(&mut piece) {
                // A read with a timeout is interrupted when its process is stopped and goes on
                // (signal(7)), as a machine that is paused does to all of them.
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                outcome => break outcome.map_err(|e| classify(&e))?,
            }
        };
        self.ahead.extend_from_slice(&piece[..read]);
        Ok(read > 0)
    }

    /// One head with its blank line.
    pub(crate) fn read_head(&mut self) -> Result<Head, WireError> {
        let end = loop {
            if let Some(at) = find(&self.ahead, b"\r\n\r\n") {
                break at;
            }
            if self.ahead.len() > 1 << 20 {
                return malformed("a head of more than 1 MiB");
            }
            if !self.read_more()? {
                return Err(if self.ahead.is_empty() {
                    WireError::Closed
                } else {
                    WireError::Truncated(0)
                });
            }
        };
        let bytes: Vec<u8> = self.ahead.drain(..end + 4).collect();
        parse_head(&bytes[..end])
    }

    /// Exactly `len` bytes, or what came of them before the connection ended.
    pub(crate) fn read_exact(&mut self, len: usize, body: &mut Vec<u8>) -> Result<(), WireError> {
        let mut missing = len;
        loop {
            let take = missing.min(self.ahead.len());
            body.extend(self.ahead.drain(..take));
            missing -= take;
            if missing == 0 {
                return Ok(());
            }
            match self.read_more() {
                Ok(true) => {}
                Ok(false) => return Err(WireError::Truncated(body.len())),
                Err(error) => return Err(error),
            }
        }
    }

    /// One line without its CRLF.
    fn read_line(&mut self) -> Result<String, WireError> {
        let end = loop {
            if let Some(at) = find(&self.ahead, b"\r\n") {
                break at;
            }
            if self.ahead.len() > 64 * 1024 || !self.read_more()? {
                return Err(WireError::Truncated(0));
            }
        };
        let line: Vec<u8> = self.ahead.drain(..end + 2).take(end).collect();
        String::from_utf8(line).or_else(|_| malformed("a line that is not text"))
    }

    /// A whole body; on an error `body` holds what came before it.
    pub(crate) fn read_body(
        &mut self,
        framing: Framing,
        body: &mut Vec<u8>,
    ) -> Result<(), WireError> {
        match framing {
            Framing::None => Ok(()),
            Framing::Length(len) => {
                let len = usize::try_from(len).expect("a body that fits the address space");
                self.read_exact(len, body)
            }
            Framing::Chunked => self.read_chunked(body),
            Framing::UntilClose => {
                while self.read_more()? {
                    body.append(&mut self.ahead);
                }
                body.append(&mut self.ahead);
                Ok(())
            }
        }
    }

    fn read_chunked(&mut self, body: &mut Vec<u8>) -> Result<(), WireError> {
        loop {
            let truncated = |error, body: &Vec<u8>| match error {
                WireError::Truncated(_) => WireError::Truncated(body.len()),
                other => other,
            };
            let line = self.read_line().map_err(|e| truncated(e, body))?;
            if line.is_empty() || !line.bytes().all(|b| b.is_ascii_hexdigit()) {
                return malformed(format!("chunk size {line:?}"));
            }
            let size = usize::from_str_radix(&line, 16)
                .or_else(|_| malformed(format!("chunk size {line:?}")))?;
            if size == 0 {
                let trailer = self.read_line().map_err(|e| truncated(e, body))?;
                if !trailer.is_empty() {
                    return malformed(format!("a trailer nobody asked for: {trailer:?}"));
                }
                return Ok(());
            }
            self.read_exact(size, body)?;
            let mut end = Vec::new();
            self.read_exact(2, &mut end)
                .map_err(|e| truncated(e, body))?;
            if end != b"\r\n" {
                return malformed("chunk data that is not ended by CRLF");
            }
        }
    }

    /// Reads to the end of the stream: what came, and whether it ended by FIN or RST.
    pub(crate) fn drain(&mut self) -> (Vec<u8>, WireError) {
        loop {
            match self.read_more() {
                Ok(true) => {}
                Ok(false) => return (std::mem::take(&mut self.ahead), WireError::Closed),
                Err(error) => return (std::mem::take(&mut self.ahead), error),
            }
        }
    }
}

fn classify(error: &std::io::Error) -> WireError {
    match error.kind() {
        ErrorKind::WouldBlock | ErrorKind::TimedOut => WireError::Silence,
        ErrorKind::ConnectionReset | ErrorKind::BrokenPipe | ErrorKind::ConnectionAborted => {
            WireError::Reset
        }
        _ => WireError::Malformed(format!("socket: {error}")),
    }
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack
        .windows(needle.len())
        .position(|window| window == needle)
}

fn parse_head(bytes: &[u8]) -> Result<Head, WireError> {
    let text = String::from_utf8_lossy(bytes).into_owned();
    let mut lines = text.split("\r\n");
    let start = lines.next().unwrap_or_default().to_owned();
    let mut fields = Vec::new();
    if start.is_empty() || start.contains(['\r', '\n', '\0']) {
        return malformed(format!("start line {start:?}"));
    }
    for line in lines {
        let Some((name, value)) = line.split_once(':') else {
            return malformed(format!("a line without a colon: {line:?}"));
        };
        if name.is_empty() || !name.bytes().all(is_token_byte) {
            return malformed(format!("field name {name:?}"));
        }
        if value.bytes().any(|b| b != b'\t' && (b < 0x20 || b == 0x7f)) {
            return malformed(format!("a control byte in {line:?}"));
        }
        fields.push((name.to_owned(), value.trim_matches([' ', '\t']).to_owned()));
    }
    Ok(Head { start, fields })
}

fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// The framing a message's fields declare (RFC 9112 §6.3), `None` when they declare none.
pub(crate) fn declared_framing(head: &Head) -> Result<Option<Framing>, WireError> {
    let codings: Vec<&str> = head.all("Transfer-Encoding").collect();
    let lengths: Vec<&str> = head.all("Content-Length").collect();
    match (codings.as_slice(), lengths.as_slice()) {
        ([], []) => Ok(None),
        (["chunked"], []) => Ok(Some(Framing::Chunked)),
        ([], [length]) if length.bytes().all(|b| b.is_ascii_digit()) && !length.is_empty() => {
            match length.parse() {
                Ok(length) => Ok(Some(Framing::Length(length))),
                Err(_) => malformed(format!("Content-Length {length}")),
            }
        }
        _ => malformed(format!("framing {codings:?} with {lengths:?}")),
    }
}
