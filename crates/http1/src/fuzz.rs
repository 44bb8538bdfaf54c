//! Fuzz bodies: each takes any bytes and asserts what must hold for all of them.
//!
//! The targets under `tests/fuzz` call them with what libFuzzer invents; this crate's tests call
//! them with the corpus and with generated messages. A violated invariant is a panic. Not part of
//! the crate's interface.

use crate::diagnose::first_offence;
use crate::scan::{Bounds, Scan, StartLine};
use crate::{
    BodyLength, ChunkError, ChunkStep, ChunkedDecoder, FieldRef, FieldSection, HeadError,
    HeadLimits, KnownField, LAST_CHUNK, Parsed, Request, RequestHead, Response, ResponseHead,
    Target, Version, effective_authority, expects_continue, field_line, is_field_value, is_token,
    list_members, parse_authority, parse_target, request_body_length, request_line,
    request_persistence, response_body_length, response_persistence, status_line, trim_ows,
    write_chunk_head,
};

type Outcome = Result<Parsed, HeadError>;

/// Small enough that a fuzzer reaches them.
const LIMITS: HeadLimits = HeadLimits {
    head_bytes_max: 2048,
    header_lines_max: 20,
};

/// A request head: the same result at every split; accepted exactly when no offence is found in it;
/// whatever is accepted can be written and read again unchanged.
pub fn request_head(data: &[u8]) {
    let mut head = RequestHead::new();
    let whole = head.parse(data, &LIMITS);
    let mut pieces = RequestHead::new();
    let (outcome, fed) = feed(data, |bytes| pieces.parse(bytes, &LIMITS));
    assert_eq!(outcome, whole, "byte by byte gives what the whole gives");
    agrees_with_diagnosis(data, StartLine::Request, whole);
    if whole != Ok(Parsed::Complete) {
        return;
    }
    assert_eq!(head.len(), fed, "the head ends where its last byte is");
    let request = head.view(data);
    assert!(request.fields().eq(pieces.view(data).fields()));
    check_request(request);

    let mut written = Vec::new();
    request_line(&mut written, request.method(), request.target(), None);
    write_fields(&mut written, request.fields());
    let mut again = RequestHead::new();
    assert_eq!(
        again.parse(&written, &HeadLimits::default()),
        Ok(Parsed::Complete)
    );
    let copy = again.view(&written);
    assert_eq!(
        (copy.method(), copy.target()),
        (request.method(), request.target())
    );
    assert!(
        copy.fields().eq(request.fields()),
        "parse ∘ write is the identity"
    );
    // Writing drops the white space that counts against a length, and lifts the version: one way
    // only.
    if let Ok(length) = request_body_length(request) {
        assert_eq!(request_body_length(copy), Ok(length));
    }
}

/// A response head: as for requests.
pub fn response_head(data: &[u8]) {
    let mut head = ResponseHead::new();
    let whole = head.parse(data, &LIMITS);
    let mut pieces = ResponseHead::new();
    let (outcome, fed) = feed(data, |bytes| pieces.parse(bytes, &LIMITS));
    assert_eq!(outcome, whole, "byte by byte gives what the whole gives");
    agrees_with_diagnosis(data, StartLine::Status, whole);
    if whole != Ok(Parsed::Complete) {
        return;
    }
    assert_eq!(head.len(), fed, "the head ends where its last byte is");
    let response = head.view(data);
    check_response(response);

    let mut written = Vec::new();
    status_line(&mut written, response.status());
    write_fields(&mut written, response.fields());
    let mut again = ResponseHead::new();
    assert_eq!(
        again.parse(&written, &HeadLimits::default()),
        Ok(Parsed::Complete)
    );
    let copy = again.view(&written);
    assert_eq!(copy.status(), response.status());
    assert!(
        copy.fields().eq(response.fields()),
        "parse ∘ write is the identity"
    );
}

/// Feeds one byte more at a time until the outcome is final; says how many bytes that took.
fn feed(data: &[u8], mut parse: impl FnMut(&[u8]) -> Outcome) -> (Outcome, usize) {
    for len in 0..=data.len() {
        let outcome = parse(&data[..len]);
        if outcome != Ok(Parsed::Partial) {
            return (outcome, len);
        }
    }
    (Ok(Parsed::Partial), data.len())
}

/// Two ways to judge a head must agree: the tokenizer with its checks, and the slow walk that names
/// the offence.
fn agrees_with_diagnosis(data: &[u8], kind: StartLine, outcome: Outcome) {
    let expected = match Scan::default().advance(data, Bounds::of(&LIMITS), kind) {
        Ok(None) => Ok(Parsed::Partial),
        Ok(Some(range)) => match first_offence(data, range, kind) {
            None => Ok(Parsed::Complete),
            Some(offence) => Err(offence),
        },
        Err(error) => Err(error),
    };
    assert_eq!(
        outcome, expected,
        "the tokenizer and the diagnosis disagree"
    );
}

fn write_fields<'a>(out: &mut Vec<u8>, fields: impl Iterator<Item = FieldRef<'a>>) {
    for field in fields {
        let name = core::str::from_utf8(field.name).expect("a field name is ASCII");
        field_line(out, name, field.value);
    }
    out.extend_from_slice(b"\r\n");
}

fn check_request(request: Request<'_>) {
    assert!(is_token(request.method()) && request.method().len() <= 32);
    assert!(!request.target().is_empty() && request.target().iter().all(u8::is_ascii_graphic));
    assert!(request.bytes().ends_with(b"\r\n\r\n"));
    check_fields(request.fields(), |field| request.field(field));
    for field in KnownField::all() {
        let count = request
            .fields()
            .filter(|line| line.known == Some(field))
            .count();
        assert_eq!(request.has(field), count > 0);
        assert_eq!(request.is_repeated(field), count > 1);
        assert_eq!(request.fields_named(field).count(), count);
    }
    if let Ok(length) = request_body_length(request) {
        let has_length = request.has(KnownField::ContentLength);
        let has_encoding = request.has(KnownField::TransferEncoding);
        match length {
            BodyLength::None => assert!(!has_length && !has_encoding),
            BodyLength::Fixed(_) => assert!(has_length && !has_encoding),
            BodyLength::Chunked => {
                assert!(!has_length && has_encoding && request.version() == Version::Http11);
            }
            BodyLength::UntilClose => panic!("a request never lasts until close"),
        }
    }
    let _ = (request_persistence(request), expects_continue(request));
    let mut scratch = Vec::new();
    if let Ok(target) = parse_target(request.method(), request.target(), &mut scratch) {
        check_target(&target);
        if let Ok(None) = effective_authority(request, &target) {
            assert_eq!(request.version(), Version::Http10);
        }
    }
}

fn check_response(response: Response<'_>) {
    assert!((100..=999).contains(&response.status()));
    assert!(is_field_value(response.reason()));
    check_fields(response.fields(), |field| response.field(field));
    for method in [&b"GET"[..], b"HEAD", b"CONNECT"] {
        let length = response_body_length(method, response);
        if method == b"HEAD" {
            assert!(matches!(length, Ok(BodyLength::None) | Err(_)));
        }
    }
    let _ = response_persistence(response);
}

/// Lines of an accepted head, alone and as a section.
fn check_fields<'a>(
    fields: impl Iterator<Item = FieldRef<'a>> + Clone,
    first: impl Fn(KnownField) -> Option<&'a [u8]>,
) {
    let mut section = FieldSection::new();
    for field in fields.clone() {
        assert!(is_token(field.name));
        assert!(is_field_value(field.value));
        assert_eq!(trim_ows(field.value), field.value);
        assert_eq!(KnownField::parse(field.name), field.known);
        for member in list_members(field.value) {
            assert!(!member.is_empty() && trim_ows(member) == member);
        }
        section.push(field.name, field.value);
    }
    assert_eq!(section.len(), fields.clone().count());
    for (kept, field) in section.iter().zip(fields) {
        assert_eq!(kept, field);
    }
    for field in KnownField::all() {
        assert_eq!(section.get(field), first(field));
    }
    let mut rendered = Vec::new();
    section.render(&mut rendered);
    assert_eq!(rendered.len(), section.rendered_len());
}

/// A method and a target with a space between them; bytes without space are the target of a GET.
pub fn target(data: &[u8]) {
    let (method, target) = match memchr::memchr(b' ', data) {
        Some(space) => (&data[..space], &data[space + 1..]),
        None => (&b"GET"[..], data),
    };
    if let Ok(authority) = parse_authority(target) {
        assert!(!authority.host.is_empty() && !authority.host.contains(&b'@'));
        assert_ne!(authority.port, Some(0));
    }
    let mut scratch = Vec::new();
    let Ok(parsed) = parse_target(method, target, &mut scratch) else {
        return;
    };
    check_target(&parsed);
    if !parsed.path.starts_with(b"/") {
        return;
    }
    let mut forwarded = parsed.path.to_vec();
    if let Some(query) = parsed.query {
        forwarded.push(b'?');
        forwarded.extend_from_slice(query);
    }
    let mut scratch = Vec::new();
    let again = parse_target(b"GET", &forwarded, &mut scratch).expect("a canonical form is good");
    assert_eq!(
        (again.path, again.query),
        (parsed.path, parsed.query),
        "canonical twice"
    );
}

fn check_target(target: &Target<'_>) {
    let path = target.path;
    assert!(
        path.iter()
            .all(|&b| b.is_ascii_graphic() && !matches!(b, b'\\' | b'#' | b'?'))
    );
    for segment in path.split(|&b| b == b'/') {
        assert!(
            segment != b"." && segment != b"..",
            "no dot segment survives"
        );
    }
    let lower = path.to_ascii_lowercase();
    for encoded in [&b"%00"[..], b"%2e", b"%41", b"%7e"] {
        assert!(memchr::memmem::find(&lower, encoded).is_none());
    }
    let query = target.query.unwrap_or_default();
    assert!(query.iter().all(|&b| b.is_ascii_graphic() && b != b'#'));
}

/// What a decoder made of a body.
#[derive(PartialEq, Eq, Debug)]
struct Decoded {
    data: Vec<u8>,
    end: Result<Option<usize>, ChunkError>,
}

/// Decodes input that arrives in the given pieces; the end is the bytes consumed by a complete
/// body.
fn decode<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Decoded {
    let mut decoder = ChunkedDecoder::new();
    let mut decoded = Decoded {
        data: Vec::new(),
        end: Ok(None),
    };
    let mut total = 0;
    for piece in pieces {
        let mut rest = piece;
        while !rest.is_empty() {
            let used = match decoder.step(rest) {
                Ok(ChunkStep::Data { skip, len }) => {
                    assert!(len > 0, "data is never empty");
                    decoded.data.extend_from_slice(&rest[skip..skip + len]);
                    skip + len
                }
                Ok(ChunkStep::NeedMore { consumed }) => {
                    assert_eq!(consumed, rest.len());
                    consumed
                }
                Ok(ChunkStep::Complete { consumed }) => {
                    decoded.end = Ok(Some(total + consumed));
                    return decoded;
                }
                Err(error) => {
                    assert_eq!(decoder.step(b"0\r\n\r\n"), Err(error), "an error is final");
                    decoded.end = Err(error);
                    return decoded;
                }
            };
            total += used;
            rest = &rest[used..];
        }
    }
    decoded
}

/// A chunked body: the same data and the same end or error at every split; what was decoded can be
/// encoded and decoded again.
pub fn chunked(data: &[u8]) {
    const SPLITS_MAX: usize = 300;
    let whole = decode([data]);
    assert_eq!(
        decode(data.chunks(1)),
        whole,
        "byte by byte gives what the whole gives"
    );
    for at in 0..data.len().min(SPLITS_MAX) {
        let (front, back) = data.split_at(at);
        assert_eq!(decode([front, back]), whole, "split at {at}");
    }
    let mut encoded = Vec::new();
    for part in whole.data.chunks(7) {
        write_chunk_head(&mut encoded, part.len());
        encoded.extend_from_slice(part);
        encoded.extend_from_slice(crate::CHUNK_END);
    }
    encoded.extend_from_slice(LAST_CHUNK);
    let again = decode([&encoded[..]]);
    assert_eq!(
        again,
        Decoded {
            data: whole.data,
            end: Ok(Some(encoded.len()))
        }
    );
}
