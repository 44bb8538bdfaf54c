//! HTTP/1.1 messages: bytes in, offsets out, and back to bytes.
//!
//! RFC 9110 (semantics as far as syntax needs it) and RFC 9112 (HTTP/1.1). Pure: no sockets, no
//! clock, no randomness, no unsafe code. Everything a peer sends is taken strictly, within limits,
//! or refused with a place and a status; nothing is repaired, and nothing that was refused is ever
//! forwarded.

mod chunked;
mod date;
mod diagnose;
mod error;
mod field;
mod framing;
#[doc(hidden)]
pub mod fuzz;
mod head;
mod lines;
mod scan;
mod section;
mod target;
mod write;

pub use chunked::{
    CHUNK_END, ChunkError, ChunkErrorKind, ChunkStep, ChunkedDecoder, EXTENSION_BYTES_MAX,
    EXTENSION_TOTAL_BYTES_MAX, LAST_CHUNK, TRAILER_BYTES_MAX, TRAILER_LINES_MAX, write_chunk_head,
};
pub use date::{DATE_BYTES, format_date, parse_date};
pub use error::{HeadError, HeadErrorKind};
pub use field::{
    FieldFlags, FieldRef, KnownField, KnownSet, ListMembers, is_field_value, is_token,
    is_token_byte, list_members, trim_ows,
};
pub use framing::{
    BodyLength, FramingError, FramingErrorKind, Nominated, Persistence, expects_continue,
    is_nominated_hop_by_hop, request_body_length, request_persistence, response_body_length,
    response_persistence,
};
pub use head::{HeadLimits, Parsed, Request, RequestHead, Response, ResponseHead, Version};
pub use lines::{FieldsView, HEADER_LINES_CAP};
pub use scan::{HEAD_BYTES_CAP, TARGET_BYTES_MAX};
pub use section::FieldSection;
pub use target::{
    Authority, Scheme, Target, TargetError, TargetForm, effective_authority, parse_authority,
    parse_target,
};
pub use write::{decimal, field_line, reason_phrase, request_line, status_line};
