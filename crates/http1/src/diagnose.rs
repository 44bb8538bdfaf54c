//! Names the first offence of a head that was refused: kind and byte.
//!
//! RFC 9112 §3 (request line), §4 (status line), §5 (field lines). Walks the complete head in
//! order, slowly and plainly; only refused heads come here. Which heads are refused is decided in
//! `head.rs`; a property holds the two together.

use crate::error::{HeadError, HeadErrorKind};
use crate::field::{is_token_byte, is_value_byte, trim_ows};
use crate::lines::is_framing_look_alike;
use crate::scan::{HeadRange, METHOD_BYTES_MAX, StartLine, TARGET_BYTES_MAX};

/// The first offence, or `None` when the head is good. Every LF in the range follows a CR: the scan
/// has seen to it.
pub(crate) fn first_offence(bytes: &[u8], range: HeadRange, kind: StartLine) -> Option<HeadError> {
    let mut at = range.start;
    let mut is_first = true;
    while let Some(lf) = memchr::memchr(b'\n', &bytes[at..range.end]) {
        let line = &bytes[at..at + lf - 1];
        let found = match (is_first, kind) {
            (true, StartLine::Request) => in_request_line(line),
            (true, StartLine::Status) => in_status_line(line),
            (false, _) => in_field_line(line),
        };
        if let Some(offence) = found {
            return Some(offence.kind.at(at + offence.offset));
        }
        is_first = false;
        at += lf + 1;
    }
    None
}

/// What a byte that must not stand anywhere in a head is called; `None` for bytes that have their
/// place.
fn forbidden(line: &[u8], at: usize) -> Option<HeadError> {
    match line[at] {
        b'\r' => Some(HeadErrorKind::BareCr.at(at)),
        byte if is_value_byte(byte) => None,
        _ => Some(HeadErrorKind::ControlByte.at(at)),
    }
}

/// The forbidden byte's own name where it has one, else `otherwise`.
fn offence_at(line: &[u8], at: usize, otherwise: HeadErrorKind) -> HeadError {
    forbidden(line, at).unwrap_or(otherwise.at(at))
}

fn in_request_line(line: &[u8]) -> Option<HeadError> {
    let method_len = line.iter().take_while(|&&b| is_token_byte(b)).count();
    match line.get(method_len) {
        Some(b' ') if method_len > 0 => {}
        Some(_) => return Some(offence_at(line, method_len, HeadErrorKind::Method)),
        None => return Some(HeadErrorKind::RequestLine.at(method_len)),
    }
    if method_len > METHOD_BYTES_MAX {
        return Some(HeadErrorKind::MethodTooLong.at(METHOD_BYTES_MAX));
    }
    let target_start = method_len + 1;
    let rest = &line[target_start..];
    let target_len = rest.iter().take_while(|b| b.is_ascii_graphic()).count();
    if target_len > TARGET_BYTES_MAX {
        return Some(HeadErrorKind::TargetTooLong.at(target_start));
    }
    let target_end = target_start + target_len;
    match line.get(target_end) {
        None | Some(b' ') if target_len == 0 => Some(HeadErrorKind::RequestLine.at(target_end)),
        // Method and target alone: a request of HTTP/0.9.
        None => Some(HeadErrorKind::VersionUnsupported.at(target_end)),
        Some(b' ') => in_version(line, target_end + 1),
        Some(_) => Some(offence_at(line, target_end, HeadErrorKind::TargetByte)),
    }
}

/// The version is the rest of a request line.
fn in_version(line: &[u8], at: usize) -> Option<HeadError> {
    if let Some(bad) = (at..line.len()).find_map(|i| forbidden(line, i)) {
        return Some(bad);
    }
    match &line[at..] {
        b"HTTP/1.0" | b"HTTP/1.1" => None,
        [b'H', b'T', b'T', b'P', b'/', major, b'.', minor]
            if major.is_ascii_digit() && minor.is_ascii_digit() =>
        {
            Some(HeadErrorKind::VersionUnsupported.at(at))
        }
        _ => Some(HeadErrorKind::Version.at(at)),
    }
}

fn in_status_line(line: &[u8]) -> Option<HeadError> {
    if let Some(bad) = (0..line.len()).find_map(|i| forbidden(line, i)) {
        return Some(bad);
    }
    match line {
        [
            b'H',
            b'T',
            b'T',
            b'P',
            b'/',
            b'1',
            b'.',
            b'0' | b'1',
            b' ',
            code @ ..,
        ] => match code {
            [b'1'..=b'9', tens, ones] | [b'1'..=b'9', tens, ones, b' ', ..]
                if tens.is_ascii_digit() && ones.is_ascii_digit() =>
            {
                None
            }
            _ => Some(HeadErrorKind::StatusLine.at(9)),
        },
        [b'H', b'T', b'T', b'P', b'/', major, b'.', minor, b' ', ..]
            if major.is_ascii_digit() && minor.is_ascii_digit() =>
        {
            Some(HeadErrorKind::VersionUnsupported.at(0))
        }
        _ => Some(HeadErrorKind::StatusLine.at(0)),
    }
}

fn in_field_line(line: &[u8]) -> Option<HeadError> {
    let name_len = line.iter().take_while(|&&b| is_token_byte(b)).count();
    match line.get(name_len) {
        // The empty line that ends the head.
        None if name_len == 0 => return None,
        None => return Some(HeadErrorKind::MissingColon.at(name_len)),
        Some(b' ' | b'\t') if name_len == 0 => return Some(HeadErrorKind::Folded.at(0)),
        Some(b' ' | b'\t') => {
            let kind = match trim_ows(&line[name_len..]).first() {
                Some(b':') => HeadErrorKind::SpaceBeforeColon,
                Some(_) if line.contains(&b':') => HeadErrorKind::NameByte,
                Some(_) | None => HeadErrorKind::MissingColon,
            };
            return Some(kind.at(name_len));
        }
        Some(b':') if name_len == 0 => return Some(HeadErrorKind::EmptyName.at(0)),
        Some(b':') => {}
        Some(_) => return Some(offence_at(line, name_len, HeadErrorKind::NameByte)),
    }
    if is_framing_look_alike(&line[..name_len]) {
        return Some(HeadErrorKind::LookAlike.at(0));
    }
    (name_len + 1..line.len()).find_map(|at| forbidden(line, at))
}
