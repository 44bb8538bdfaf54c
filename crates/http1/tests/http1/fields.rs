//! The table of names, the grammar checks, and sections.

use corsair_http1::{
    FieldSection, KnownField, KnownSet, is_field_value, is_token, list_members, trim_ows,
};

#[test]
fn every_name_is_found_in_any_case_and_no_other() {
    for field in KnownField::all() {
        let name = field.as_str();
        assert!(is_token(name.as_bytes()));
        for spelling in [name.to_owned(), name.to_lowercase(), name.to_uppercase()] {
            assert_eq!(
                KnownField::parse(spelling.as_bytes()),
                Some(field),
                "{spelling}"
            );
        }
        // Every other byte at every place makes another name.
        for at in 0..name.len() {
            for byte in 0..=255 {
                let mut other = name.as_bytes().to_vec();
                other[at] = byte;
                let same = other.eq_ignore_ascii_case(name.as_bytes());
                assert_eq!(
                    KnownField::parse(&other) == Some(field),
                    same,
                    "{name}: {byte} at {at}"
                );
            }
        }
        assert_eq!(
            KnownField::parse(&name.as_bytes()[..name.len() - 1]),
            None,
            "{name} cut"
        );
        assert_ne!(
            KnownField::parse(format!("{name}x").as_bytes()),
            Some(field)
        );
    }
    for name in [&b""[..], b"X", b"Hosts", b"Content_Length", &[b'a'; 500]] {
        assert_eq!(KnownField::parse(name), None);
    }
    assert_eq!(KnownField::all().count(), KnownField::COUNT);
    assert_eq!(KnownField::Etag.to_string(), "ETag");
}

#[test]
fn flags_say_what_a_field_is() {
    let hop_by_hop: Vec<&str> = KnownField::all()
        .filter(|field| field.flags().hop_by_hop())
        .map(KnownField::as_str)
        .collect();
    assert_eq!(
        hop_by_hop,
        [
            "Connection",
            "Keep-Alive",
            "Proxy-Connection",
            "Proxy-Authenticate",
            "Proxy-Authorization",
            "Transfer-Encoding",
            "TE",
            "Trailer",
            "Upgrade",
            "HTTP2-Settings",
        ]
    );
    let framing: Vec<KnownField> = KnownField::all()
        .filter(|field| field.flags().framing())
        .collect();
    assert_eq!(
        framing,
        [KnownField::TransferEncoding, KnownField::ContentLength]
    );
    for field in KnownField::all() {
        let flags = field.flags();
        assert!(
            !(flags.singleton() && flags.list()),
            "{field} is one or the other"
        );
    }
    assert!(KnownField::Vary.flags().list() && KnownField::Host.flags().singleton());
    assert!(
        !KnownField::SetCookie.flags().list(),
        "Set-Cookie lines are never joined"
    );
}

#[test]
fn sets_hold_what_was_put_in() {
    let set = KnownSet::of(&[KnownField::Host, KnownField::SecWebSocketExtensions]);
    for field in KnownField::all() {
        let expected = matches!(field, KnownField::Host | KnownField::SecWebSocketExtensions);
        assert_eq!(set.contains(field), expected);
        assert_eq!(set.intersects(KnownSet::of(&[field])), expected);
        assert!(set.union(KnownSet::of(&[field])).contains(field));
    }
    assert!(KnownSet::EMPTY.is_empty() && !set.is_empty());
}

#[test]
fn checks_bytes_as_the_grammar_says() {
    for byte in 0..=255_u8 {
        let tchar = byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        assert_eq!(is_token(&[b'a', byte]), tchar, "{byte}");
        let value = byte == b'\t' || (byte >= 0x20 && byte != 0x7F);
        assert_eq!(is_field_value(&[b'a', byte, b'b']), value, "{byte}");
    }
    assert!(!is_token(b"") && is_field_value(b""));
    let rows: &[(&[u8], &[u8])] = &[
        (b"", b""),
        (b" \t ", b""),
        (b"\ta b\t ", b"a b"),
        (b"\x0Ba", b"\x0Ba"),
    ];
    for &(value, trimmed) in rows {
        assert_eq!(trim_ows(value), trimmed);
    }
}

#[test]
fn lists_are_split_outside_quotes() {
    let rows: &[(&str, &[&str])] = &[
        ("", &[]),
        (" , ,,", &[]),
        ("a", &["a"]),
        (" a , b ", &["a", "b"]),
        ("a,,b,", &["a", "b"]),
        ("\"a,b\",c", &["\"a,b\"", "c"]),
        ("x=\"a\\\",b\", c", &["x=\"a\\\",b\"", "c"]),
        ("\"a\\\\\",b", &["\"a\\\\\"", "b"]),
        ("\"a,b", &["\"a,b"]),
        ("\"a\\", &["\"a\\"]),
        ("a\\,b", &["a\\", "b"]),
        ("\"a\"\"b,c\",d", &["\"a\"\"b,c\"", "d"]),
    ];
    for (value, expected) in rows {
        let found: Vec<&[u8]> = list_members(value.as_bytes()).collect();
        let expected: Vec<&[u8]> = expected.iter().map(|member| member.as_bytes()).collect();
        assert_eq!(found, expected, "{value}");
    }
}

fn rendered(section: &FieldSection) -> String {
    let mut out = Vec::new();
    section.render(&mut out);
    assert_eq!(out.len(), section.rendered_len());
    String::from_utf8(out).expect("the tests use ASCII")
}

fn sample() -> FieldSection {
    let mut section = FieldSection::new();
    section.push(b"vary", b"a");
    section.push(b"X-One", b" 1 ");
    section.push(b"Vary", b"b");
    section.push(b"x-one", b"2");
    section.push(b"Age", b"");
    section
}

#[test]
fn sections_keep_lines_in_order() {
    let section = sample();
    assert_eq!(
        rendered(&section),
        "vary: a\r\nX-One: 1\r\nVary: b\r\nx-one: 2\r\nAge: \r\n"
    );
    assert_eq!((section.len(), section.is_empty()), (5, false));
    assert_eq!(section.get(KnownField::Vary), Some(&b"a"[..]));
    assert_eq!(
        section.all(KnownField::Vary).collect::<Vec<_>>(),
        [b"a", b"b"]
    );
    assert_eq!(section.get_named(b"X-ONE"), Some(&b"1"[..]));
    assert_eq!(
        section.all_named(b"x-one").collect::<Vec<_>>(),
        [b"1", b"2"]
    );
    assert_eq!(section.all_named(b"VARY").collect::<Vec<_>>(), [b"a", b"b"]);
    assert_eq!(section.get(KnownField::Date), None);
    assert_eq!(section.get_named(b"date"), None);
    assert_eq!(section.get(KnownField::Age), Some(&b""[..]));
    assert!(section.has(KnownField::Age) && !section.has(KnownField::Date));
    assert!(section.any_of(KnownSet::of(&[KnownField::Age, KnownField::Date])));
    assert!(!section.any_of(KnownSet::of(&[KnownField::Date])));
}

#[test]
fn sections_can_be_edited() {
    let mut section = sample();
    assert_eq!(section.remove(KnownField::Vary), 2);
    assert_eq!(section.remove(KnownField::Vary), 0);
    assert!(!section.has(KnownField::Vary));
    assert_eq!(rendered(&section), "X-One: 1\r\nx-one: 2\r\nAge: \r\n");
    assert_eq!(section.remove_named(b"X-ONE"), 2);
    assert_eq!(section.remove_named(b"age"), 1);
    assert!(section.is_empty() && section.rendered_len() == 0);

    let mut section = sample();
    section.set_first(KnownField::Vary, b"Origin");
    section.set_first(KnownField::Age, b"7");
    section.set_first(KnownField::Age, b"8");
    section.set_first(KnownField::Etag, b"\"e\"");
    let expected = "Vary: Origin\r\nX-One: 1\r\nx-one: 2\r\nAge: 8\r\nETag: \"e\"\r\n";
    assert_eq!(rendered(&section), expected);
    section.push(b"X-Two", b"2");
    assert_eq!(section.retain(|line| line.known.is_none()), 3);
    assert_eq!(rendered(&section), "X-One: 1\r\nx-one: 2\r\nX-Two: 2\r\n");
    assert!(!section.has(KnownField::Vary));

    let mut section = sample();
    section.set_first(KnownField::Vary, b"z");
    assert_eq!(
        rendered(&section),
        "Vary: z\r\nX-One: 1\r\nx-one: 2\r\nAge: \r\n"
    );
    section.clear();
    assert_eq!((section.len(), rendered(&section)), (0, String::new()));
    assert!(!section.has(KnownField::Vary));
}

#[test]
fn no_line_is_made_of_what_could_end_one() {
    let mut section = sample();
    let before = section.clone();
    for (name, value) in [
        (&b"X"[..], &b"a\r\nY: b"[..]),
        (b"X", b"a\nb"),
        (b"X", b"a\0"),
        (b"Date", b"\r"),
        (b"", b"a"),
        (b"X Y", b"a"),
        (b"X:", b"a"),
        (b"X\r\nY", b"a"),
    ] {
        section.push(name, value);
        section.set_first(KnownField::Vary, b"a\r\nX: y");
        section.set_first(KnownField::Vary, b"\n");
        section.set_first(KnownField::Date, b"\n");
        assert_eq!(section, before);
    }
    assert_eq!(rendered(&section), rendered(&before));
}

#[test]
fn a_scratch_section_allocates_once_and_edits_leave_no_garbage() {
    let source = sample();
    let mut scratch = FieldSection::new();
    scratch.clone_from(&source);
    let bytes = scratch.heap_bytes();
    for _ in 0..100 {
        scratch.clone_from(&source);
        scratch.remove(KnownField::Vary);
        assert_eq!(scratch.len(), 3);
    }
    assert_eq!(scratch.heap_bytes(), bytes);
    assert_ne!(scratch, source);

    // Values of ever new lengths: the text stays within a bound.
    let mut section = sample();
    for n in 0..10_000_usize {
        section.set_first(KnownField::Age, n.to_string().repeat(n % 5).as_bytes());
    }
    assert!(section.heap_bytes() < 8 * 1024, "{}", section.heap_bytes());
    section.compact();
    let lines = section.len() * 16;
    assert_eq!(section.heap_bytes(), section.rendered_len() + lines);
}
