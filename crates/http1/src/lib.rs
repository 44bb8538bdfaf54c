//! HTTP/1.1 messages: bytes in, offsets out, and back to bytes.
//!
//! RFC 9110 (semantics as far as syntax needs it) and RFC 9112 (HTTP/1.1). Pure: no sockets, no
//! clock, no randomness, no unsafe code. Everything a peer sends is taken strictly, within limits,
//! or refused with a place and a status; nothing is repaired, and nothing that was refused is ever
//! forwarded.

mod diagnose;
mod error;
mod field;
mod framing;
mod head;
mod lines;
mod scan;
mod section;
mod write;

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
pub use write::{decimal, field_line, reason_phrase, request_line, status_line};
