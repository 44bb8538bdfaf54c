//! The chunked transfer coding, read strictly and written plainly.
//!
//! RFC 9112 §7.1. Sizes are 1 to 16 hexadecimal digits with nothing around them, lines end with
//! CRLF, extensions and trailer fields are checked, counted and dropped. It never forwards an
//! extension, never merges a trailer field into the head, and never holds back or copies data.

use core::fmt;

use crate::field::{is_token_byte, is_value_byte};

/// What follows the data of each chunk.
pub const CHUNK_END: &[u8] = b"\r\n";
/// The chunk that ends a body, without trailer fields.
pub const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// Digits of a chunk size: 64 bits.
const SIZE_DIGITS_MAX: u32 = 16;
/// Extension bytes of one chunk, semicolon included.
pub const EXTENSION_BYTES_MAX: u32 = 256;
/// Extension bytes of a whole message.
pub const EXTENSION_TOTAL_BYTES_MAX: u32 = 16 * 1024;
/// Bytes of the trailer section, line ends included.
pub const TRAILER_BYTES_MAX: u32 = 8 * 1024;
/// Field lines of the trailer section.
pub const TRAILER_LINES_MAX: u32 = 64;

/// Appends the line before a chunk's data: its size and CRLF. Not for a size of zero, which would
/// end the body.
///
/// ```
/// use corsair_http1::{CHUNK_END, LAST_CHUNK, write_chunk_head};
/// let mut out = Vec::new();
/// write_chunk_head(&mut out, 26);
/// out.extend_from_slice(b"abcdefghijklmnopqrstuvwxyz");
/// out.extend_from_slice(CHUNK_END);
/// out.extend_from_slice(LAST_CHUNK);
/// assert_eq!(out, b"1A\r\nabcdefghijklmnopqrstuvwxyz\r\n0\r\n\r\n");
/// ```
pub fn write_chunk_head(out: &mut Vec<u8>, len: usize) {
    debug_assert!(len > 0, "an empty chunk ends the body");
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    let mut digits = [0; 2 * size_of::<usize>()];
    let mut at = digits.len();
    let mut rest = len;
    loop {
        at -= 1;
        digits[at] = DIGITS[rest & 15];
        rest >>= 4;
        if rest == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
    out.extend_from_slice(b"\r\n");
}

/// What the decoder found at the front of its input.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ChunkStep {
    /// `input[skip..skip + len]` is data, not empty. Consume `skip + len` bytes and call again.
    Data {
        /// Framing bytes before the data.
        skip: usize,
        /// Bytes of data.
        len: usize,
    },
    /// All the input was framing and is consumed: call again with what comes behind it.
    NeedMore {
        /// Bytes to consume.
        consumed: usize,
    },
    /// The last chunk and the trailer section are consumed; what is behind them is another message.
    Complete {
        /// Bytes to consume.
        consumed: usize,
    },
}

/// A malformed chunked body: what and where. The message is incomplete and the connection must be
/// closed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ChunkError {
    /// What is wrong.
    pub kind: ChunkErrorKind,
    /// Byte of the body, counted over all the input since its begin.
    pub offset: u64,
}

impl ChunkError {
    /// The status to answer a client with that sent it.
    #[must_use]
    pub const fn status(self) -> u16 {
        match self.kind {
            ChunkErrorKind::TrailerTooLong => 431,
            ChunkErrorKind::Size
            | ChunkErrorKind::SizeTooLong
            | ChunkErrorKind::Extension
            | ChunkErrorKind::ExtensionTooLong
            | ChunkErrorKind::DataEnd
            | ChunkErrorKind::Trailer => 400,
        }
    }

    /// A few words for the client and the log.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self.kind {
            ChunkErrorKind::Size => "malformed chunk size",
            ChunkErrorKind::SizeTooLong => "chunk size too large",
            ChunkErrorKind::Extension => "malformed chunk extension",
            ChunkErrorKind::ExtensionTooLong => "chunk extensions too long",
            ChunkErrorKind::DataEnd => "chunk longer than its size",
            ChunkErrorKind::Trailer => "malformed trailer section",
            ChunkErrorKind::TrailerTooLong => "trailer section too long",
        }
    }
}

impl fmt::Display for ChunkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (byte {} of the body)", self.reason(), self.offset)
    }
}

impl core::error::Error for ChunkError {}

/// Which rule of RFC 9112 §7.1 or which limit is broken.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ChunkErrorKind {
    /// No digit, or something else than digits before the line end.
    Size,
    /// More than 16 digits, or 2^63 and above.
    SizeTooLong,
    /// A control byte in an extension, bare CR and LF included.
    Extension,
    /// More than [`EXTENSION_BYTES_MAX`] in a chunk or [`EXTENSION_TOTAL_BYTES_MAX`] in the
    /// message.
    ExtensionTooLong,
    /// No CRLF right behind the data.
    DataEnd,
    /// A trailer line that is no field line.
    Trailer,
    /// More than [`TRAILER_BYTES_MAX`] or [`TRAILER_LINES_MAX`].
    TrailerTooLong,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// In the digits of a size.
    Size {
        value: u64,
        digits: u32,
    },
    /// Behind the semicolon.
    Extension {
        size: u64,
        len: u32,
    },
    /// Behind the CR of a size line.
    SizeLf {
        size: u64,
    },
    Data {
        left: u64,
    },
    DataCr,
    DataLf,
    Trailer(Trailer),
    Complete,
    Failed(ChunkError),
}

/// Where in the trailer section.
#[derive(Clone, Copy, Debug)]
enum Trailer {
    /// At the first byte of a line.
    Start,
    Name,
    Value,
    /// Behind the CR of a field line.
    Lf,
    /// Behind the CR of the empty line that ends the message.
    FinalLf,
}

/// Reads a chunked body as it arrives. Any split of the input gives the same data and the same end
/// or error.
///
/// ```
/// use corsair_http1::{ChunkStep, ChunkedDecoder};
/// let mut decoder = ChunkedDecoder::new();
/// assert_eq!(decoder.step(b"3\r\nabc"), Ok(ChunkStep::Data { skip: 3, len: 3 }));
/// assert_eq!(decoder.step(b"\r\n0\r\n\r\nGET"), Ok(ChunkStep::Complete { consumed: 7 }));
/// ```
#[derive(Clone, Debug)]
pub struct ChunkedDecoder {
    state: State,
    /// Bytes consumed in earlier steps.
    offset: u64,
    extension_total: u32,
    trailer_bytes: u32,
    trailer_lines: u32,
}

impl Default for ChunkedDecoder {
    fn default() -> Self {
        Self::new()
    }
}

impl ChunkedDecoder {
    /// A decoder at the begin of a body.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            state: State::Size {
                value: 0,
                digits: 0,
            },
            offset: 0,
            extension_total: 0,
            trailer_bytes: 0,
            trailer_lines: 0,
        }
    }

    /// Is the body read to its end?
    #[must_use]
    pub const fn is_complete(&self) -> bool {
        matches!(self.state, State::Complete)
    }

    /// Reads from the front of `input` up to the end of the next data in it.
    ///
    /// # Errors
    /// The first offence; every later call repeats it.
    pub fn step(&mut self, input: &[u8]) -> Result<ChunkStep, ChunkError> {
        let mut at = 0;
        while at < input.len() {
            match self.state {
                State::Data { left } => {
                    let len = input.len() - at;
                    let len = usize::try_from(left).map_or(len, |left| left.min(len));
                    self.offset += (at + len) as u64;
                    self.state = match left - len as u64 {
                        0 => State::DataCr,
                        left => State::Data { left },
                    };
                    return Ok(ChunkStep::Data { skip: at, len });
                }
                State::Complete => break,
                State::Failed(error) => return Err(error),
                framing => match self.next_state(framing, input[at]) {
                    Ok(state) => self.state = state,
                    Err(kind) => {
                        let error = ChunkError {
                            kind,
                            offset: self.offset + at as u64,
                        };
                        self.state = State::Failed(error);
                        return Err(error);
                    }
                },
            }
            at += 1;
        }
        self.offset += at as u64;
        match self.state {
            State::Complete => Ok(ChunkStep::Complete { consumed: at }),
            State::Failed(error) => Err(error),
            State::Size { .. }
            | State::Extension { .. }
            | State::SizeLf { .. }
            | State::Data { .. }
            | State::DataCr
            | State::DataLf
            | State::Trailer(_) => Ok(ChunkStep::NeedMore { consumed: at }),
        }
    }

    /// Where one framing byte leads.
    fn next_state(&mut self, state: State, byte: u8) -> Result<State, ChunkErrorKind> {
        Ok(match (state, byte) {
            (State::Size { value, digits }, _) => return self.in_size(value, digits, byte),
            (State::Extension { size, .. }, b'\r') => State::SizeLf { size },
            (State::Extension { size, len }, _) => return self.in_extension(size, len, byte),
            (State::SizeLf { size: 0 }, b'\n') => State::Trailer(Trailer::Start),
            (State::SizeLf { size }, b'\n') => State::Data { left: size },
            (State::SizeLf { .. }, _) => return Err(ChunkErrorKind::Size),
            (State::DataCr, b'\r') => State::DataLf,
            (State::DataLf, b'\n') => State::Size {
                value: 0,
                digits: 0,
            },
            (State::DataCr | State::DataLf, _) => return Err(ChunkErrorKind::DataEnd),
            (State::Trailer(place), _) => return self.in_trailer(place, byte),
            (State::Data { .. } | State::Complete | State::Failed(_), _) => state,
        })
    }

    fn in_size(&mut self, value: u64, digits: u32, byte: u8) -> Result<State, ChunkErrorKind> {
        if let Some(digit) = char::from(byte).to_digit(16) {
            if digits == SIZE_DIGITS_MAX {
                return Err(ChunkErrorKind::SizeTooLong);
            }
            return Ok(State::Size {
                value: value << 4 | u64::from(digit),
                digits: digits + 1,
            });
        }
        // Nothing may stand before the line end but a size: the empty size is no zero.
        if digits == 0 {
            return Err(ChunkErrorKind::Size);
        }
        if value > i64::MAX as u64 {
            return Err(ChunkErrorKind::SizeTooLong);
        }
        match byte {
            b'\r' => Ok(State::SizeLf { size: value }),
            b';' => self.in_extension(value, 0, byte),
            _ => Err(ChunkErrorKind::Size),
        }
    }

    fn in_extension(&mut self, size: u64, len: u32, byte: u8) -> Result<State, ChunkErrorKind> {
        if !is_value_byte(byte) {
            return Err(ChunkErrorKind::Extension);
        }
        let len = len + 1;
        self.extension_total += 1;
        if len > EXTENSION_BYTES_MAX || self.extension_total > EXTENSION_TOTAL_BYTES_MAX {
            return Err(ChunkErrorKind::ExtensionTooLong);
        }
        Ok(State::Extension { size, len })
    }

    /// Trailer field lines are checked as field lines are and dropped (RFC 9110 §6.5.1).
    fn in_trailer(&mut self, place: Trailer, byte: u8) -> Result<State, ChunkErrorKind> {
        let next = match (place, byte) {
            (Trailer::Start, b'\r') => return Ok(State::Trailer(Trailer::FinalLf)),
            (Trailer::FinalLf, b'\n') => return Ok(State::Complete),
            (Trailer::Start, _) if is_token_byte(byte) => {
                self.trailer_lines += 1;
                Trailer::Name
            }
            (Trailer::Name, b':') => Trailer::Value,
            (Trailer::Name, _) if is_token_byte(byte) => Trailer::Name,
            (Trailer::Value, b'\r') => Trailer::Lf,
            (Trailer::Value, _) if is_value_byte(byte) => Trailer::Value,
            (Trailer::Lf, b'\n') => Trailer::Start,
            (
                Trailer::Start | Trailer::Name | Trailer::Value | Trailer::Lf | Trailer::FinalLf,
                _,
            ) => return Err(ChunkErrorKind::Trailer),
        };
        self.trailer_bytes += 1;
        if self.trailer_bytes > TRAILER_BYTES_MAX || self.trailer_lines > TRAILER_LINES_MAX {
            return Err(ChunkErrorKind::TrailerTooLong);
        }
        Ok(State::Trailer(next))
    }
}
