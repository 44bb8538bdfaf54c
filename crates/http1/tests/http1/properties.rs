//! Generated input, near the edge of what is good, against the oracle and the fuzz bodies.

use corsair_http1::{
    ChunkStep, ChunkedDecoder, FieldSection, HeadLimits, KnownField, Parsed, RequestHead, Version,
    format_date, fuzz, list_members, parse_date, parse_target,
};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::oracle::{self, Verdict};

/// Joins pieces, then damages a few bytes: most results are good or one byte away from it.
fn assembled(
    pieces: &'static [&'static str],
    count: std::ops::Range<usize>,
) -> impl Strategy<Value = Vec<u8>> {
    let damage = vec(
        (any::<prop::sample::Index>(), select(DAMAGE), 0..3_u8),
        0..3,
    );
    (vec(select(pieces), count), damage).prop_map(|(parts, damage)| {
        let mut bytes = parts.concat().into_bytes();
        for (index, byte, kind) in damage {
            if bytes.is_empty() {
                break;
            }
            let at = index.index(bytes.len());
            match kind {
                0 => bytes[at] = byte,
                1 => bytes.insert(at, byte),
                _ => drop(bytes.remove(at)),
            }
        }
        bytes
    })
}

const DAMAGE: &[u8] = b"\r\n\0\t\x0B\x7F\xFF :;,\"\\/%.0aF_-";

const FIELD_PIECES: &[&str] = &[
    "Host: a\r\n",
    "host:b:80 \r\n",
    "Content-Length: 5\r\n",
    "Content_Length: 5\r\n",
    "Transfer-Encoding: chunked\r\n",
    "transfer_encoding:x\r\n",
    "Connection: close, X-A\r\n",
    "X-A:\t one \t two\t\r\n",
    "X-B:\r\n",
    "ETag: \"a,b\"\r\n",
    "Expect: 100-continue\r\n",
    "!#$%&'*+.^`|~: caf\u{e9}\r\n",
    " folded\r\n",
    "NoColon\r\n",
];

fn request_bytes() -> impl Strategy<Value = Vec<u8>> {
    const START: &[&str] = &[
        "GET / HTTP/1.1\r\n",
        "POST /a?b HTTP/1.0\r\n",
        "OPTIONS * HTTP/1.1\r\n",
        "GET http://a/ HTTP/1.1\r\n",
        "CONNECT a:443 HTTP/1.1\r\n",
        "GET / HTTP/2.0\r\n",
        "GET /\r\n",
        "G ET / HTTP/1.1\r\n",
    ];
    const END: &[&str] = &["\r\n", "\r\nbody", "\n", ""];
    (
        assembled(START, 1..2),
        assembled(FIELD_PIECES, 0..6),
        select(END),
    )
        .prop_map(|(start, fields, end)| [&start[..], &fields, end.as_bytes()].concat())
}

fn response_bytes() -> impl Strategy<Value = Vec<u8>> {
    const START: &[&str] = &[
        "HTTP/1.1 200 OK\r\n",
        "HTTP/1.0 304\r\n",
        "HTTP/1.1 204 \r\n",
        "HTTP/1.1 999 caf\u{e9} au lait\r\n",
        "HTTP/1.1 99 x\r\n",
        "HTTP/3.0 200 OK\r\n",
    ];
    (assembled(START, 1..2), assembled(FIELD_PIECES, 0..6))
        .prop_map(|(start, fields)| [&start[..], &fields, b"\r\n"].concat())
}

fn chunked_bytes() -> impl Strategy<Value = Vec<u8>> {
    const PIECES: &[&str] = &[
        "1\r\nx\r\n",
        "005\r\nhello\r\n",
        "a\r\n0123456789\r\n",
        "3;a=\"b\"\r\nabc\r\n",
        "2\r\n\r\n\r\n",
        "0\r\n\r\n",
        "0\r\nX: y\r\n\r\n",
        "0;x\r\nA:\r\nB: c \r\n\r\n",
        "1\r\nx",
        "\r\n",
    ];
    assembled(PIECES, 0..7)
}

fn path_bytes() -> impl Strategy<Value = Vec<u8>> {
    const PIECES: &[&str] = &[
        "/", "//", "/.", "/..", ".", "..", "a", "b.c", "%2e", "%2E%2e", "%2f", "%5C", "%41", "%7e",
        "%00", "%c3%a9", "%", "%4", "[", "|", "\\", "~", ";x=1", "%25", "{\"}",
    ];
    assembled(PIECES, 0..9).prop_map(|rest| [b"/", &rest[..]].concat())
}

fn check_request_against_oracle(bytes: &[u8]) -> Result<(), TestCaseError> {
    let mut head = RequestHead::new();
    let parsed = head.parse(bytes, &HeadLimits::default());
    match oracle::request(bytes) {
        Verdict::Good(([method, target, version], fields)) => {
            prop_assert_eq!(parsed, Ok(Parsed::Complete));
            let request = head.view(bytes);
            prop_assert_eq!(request.method(), method);
            prop_assert_eq!(request.target(), target);
            prop_assert_eq!(request.version() == Version::Http10, version == b"HTTP/1.0");
            let found: Vec<(Vec<u8>, Vec<u8>)> = request
                .fields()
                .map(|line| (line.name.into(), line.value.into()))
                .collect();
            prop_assert_eq!(found, fields);
        }
        Verdict::Bad => prop_assert!(parsed.is_err()),
        Verdict::Unfinished => prop_assert_ne!(parsed, Ok(Parsed::Complete)),
    }
    Ok(())
}

fn decode_whole(bytes: &[u8]) -> Option<(Vec<u8>, usize)> {
    let mut decoder = ChunkedDecoder::new();
    let (mut data, mut at) = (Vec::new(), 0);
    loop {
        match decoder.step(&bytes[at..]) {
            Ok(ChunkStep::Data { skip, len }) => {
                data.extend_from_slice(&bytes[at + skip..][..len]);
                at += skip + len;
            }
            Ok(ChunkStep::Complete { consumed }) => return Some((data, at + consumed)),
            Ok(ChunkStep::NeedMore { .. }) | Err(_) => return None,
        }
    }
}

/// One edit of a section and of its model.
#[derive(Clone, Debug)]
enum Edit {
    Push(&'static str, Vec<u8>),
    SetFirst(KnownField, Vec<u8>),
    Remove(KnownField),
    RemoveNamed(&'static str),
    KeepShort(usize),
    Compact,
    CloneOver,
}

fn edits() -> impl Strategy<Value = Vec<Edit>> {
    const NAMES: &[&str] = &["Vary", "vary", "Age", "X-A", "x-a", "X-B", "Date"];
    const FIELDS: &[KnownField] = &[KnownField::Vary, KnownField::Age, KnownField::Etag];
    let value = || vec(select(&b"abc,\t \r\xE9"[..]), 0..6);
    let edit = prop_oneof![
        4 => (select(NAMES), value()).prop_map(|(name, value)| Edit::Push(name, value)),
        3 => (select(FIELDS), value()).prop_map(|(field, value)| Edit::SetFirst(field, value)),
        1 => select(FIELDS).prop_map(Edit::Remove),
        1 => select(NAMES).prop_map(Edit::RemoveNamed),
        1 => (0..5_usize).prop_map(Edit::KeepShort),
        1 => Just(Edit::Compact),
        1 => Just(Edit::CloneOver),
    ];
    vec(edit, 0..25)
}

type Model = Vec<(Vec<u8>, Vec<u8>)>;

fn apply_to_model(edit: &Edit, model: &mut Model) {
    let trimmed = |value: &[u8]| {
        let text: String = value.iter().map(|&b| char::from(b)).collect();
        let kept = text.trim_matches([' ', '\t']);
        (!kept.contains('\r')).then(|| kept.chars().map(|c| c as u8).collect::<Vec<u8>>())
    };
    match edit {
        Edit::Push(name, value) => {
            if let Some(value) = trimmed(value) {
                model.push((name.as_bytes().to_vec(), value));
            }
        }
        Edit::SetFirst(field, value) => {
            let Some(value) = trimmed(value) else { return };
            let name = field.as_str().as_bytes();
            let at = model
                .iter()
                .position(|line| line.0.eq_ignore_ascii_case(name));
            let line = (name.to_vec(), value);
            let Some(at) = at else {
                return model.push(line);
            };
            model[at] = line;
            let behind = model.split_off(at + 1);
            model.extend(
                behind
                    .into_iter()
                    .filter(|l| !l.0.eq_ignore_ascii_case(name)),
            );
        }
        Edit::Remove(field) => {
            model.retain(|line| !line.0.eq_ignore_ascii_case(field.as_str().as_bytes()));
        }
        Edit::RemoveNamed(name) => {
            model.retain(|line| !line.0.eq_ignore_ascii_case(name.as_bytes()));
        }
        Edit::KeepShort(len) => model.retain(|line| line.1.len() <= *len),
        Edit::Compact | Edit::CloneOver => {}
    }
}

fn apply(edit: &Edit, section: &mut FieldSection) {
    match edit {
        Edit::Push(name, value) => section.push(name.as_bytes(), value),
        Edit::SetFirst(field, value) => section.set_first(*field, value),
        Edit::Remove(field) => drop(section.remove(*field)),
        Edit::RemoveNamed(name) => drop(section.remove_named(name.as_bytes())),
        Edit::KeepShort(len) => drop(section.retain(|line| line.value.len() <= *len)),
        Edit::Compact => section.compact(),
        Edit::CloneOver => {
            let mut copy = FieldSection::new();
            copy.push(b"Gone", b"soon");
            copy.clone_from(section);
            *section = copy;
        }
    }
}

fn check_section(section: &FieldSection, model: &Model) -> Result<(), TestCaseError> {
    let found: Model = section
        .iter()
        .map(|line| (line.name.into(), line.value.into()))
        .collect();
    prop_assert_eq!(&found, model);
    let mut rendered = Vec::new();
    section.render(&mut rendered);
    let expected: Vec<u8> = model
        .iter()
        .flat_map(|(n, v)| [&n[..], b": ", v, b"\r\n"].concat())
        .collect();
    prop_assert_eq!(section.rendered_len(), expected.len());
    prop_assert_eq!(rendered, expected);
    for field in KnownField::all() {
        let name = field.as_str().as_bytes();
        let mut named = model
            .iter()
            .filter(|line| line.0.eq_ignore_ascii_case(name));
        prop_assert_eq!(section.all(field).count(), named.clone().count());
        prop_assert_eq!(section.get(field), named.next().map(|line| &line.1[..]));
        prop_assert_eq!(section.has(field), section.get(field).is_some());
    }
    let is_other = |name: &[u8]| KnownField::parse(name).is_none();
    for (name, _) in model.iter().filter(|line| is_other(&line.0)) {
        prop_assert!(section.may_have_other(name));
    }
    let others = model.iter().filter(|line| is_other(&line.0));
    let lens: Vec<usize> = others.map(|line| line.0.len()).collect();
    for len in (1..63).filter(|len| !lens.contains(len)) {
        prop_assert!(
            !section.may_have_other(&vec![b'x'; len]),
            "no name has {} bytes",
            len
        );
    }
    Ok(())
}

fn config() -> ProptestConfig {
    ProptestConfig {
        cases: 512,
        // A failure prints its input; a file of seeds would say less than a row in a table.
        failure_persistence: None,
        ..Default::default()
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn requests_read_as_the_oracle_reads_them(bytes in request_bytes()) {
        check_request_against_oracle(&bytes)?;
        fuzz::request_head(&bytes);
    }

    #[test]
    fn responses_keep_the_invariants(bytes in response_bytes()) {
        fuzz::response_head(&bytes);
    }

    #[test]
    fn chunks_read_as_the_oracle_reads_them(bytes in chunked_bytes()) {
        prop_assert_eq!(decode_whole(&bytes), oracle::chunked(&bytes));
        fuzz::chunked(&bytes);
    }

    #[test]
    fn paths_become_what_the_oracle_says(path in path_bytes()) {
        let mut scratch = Vec::new();
        let found = parse_target(b"GET", &path, &mut scratch);
        let found = found.ok().map(|target| target.path.to_vec());
        prop_assert_eq!(found, oracle::canonical_path(&path));
        fuzz::target(&path);
    }

    #[test]
    fn any_bytes_keep_the_invariants(bytes in vec(any::<u8>(), 0..80)) {
        fuzz::request_head(&bytes);
        fuzz::response_head(&[b"HTTP/1.1 200 ", &bytes[..]].concat());
        fuzz::chunked(&bytes);
        fuzz::target(&bytes);
    }

    #[test]
    fn lists_split_as_the_oracle_splits(value in vec(select(&b"ab ,\"\\\t"[..]), 0..20)) {
        let found: Vec<Vec<u8>> = list_members(&value).map(<[u8]>::to_vec).collect();
        prop_assert_eq!(found, oracle::list_members(&value));
    }

    #[test]
    fn sections_do_what_a_vector_does(edits in edits()) {
        let (mut section, mut model) = (FieldSection::new(), Model::new());
        for edit in edits {
            apply(&edit, &mut section);
            apply_to_model(&edit, &mut model);
            check_section(&section, &model)?;
        }
    }

    #[test]
    fn dates_survive_the_way(seconds in 0..253_402_300_800_u64) {
        prop_assert_eq!(parse_date(&format_date(seconds)), Some(seconds));
    }
}
