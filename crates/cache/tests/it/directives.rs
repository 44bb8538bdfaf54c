//! RFC 9111 §5.2, §5.4, RFC 9213, RFC 5861, RFC 8246: what the directives say.

use corsair_cache::{DELTA_SECONDS_MAX, DirectiveSource, RequestDirectives, ResponseDirectives};
use corsair_http1::FieldSection;
use proptest::prelude::*;

use crate::message::{get, section};

const NONE: ResponseDirectives = ResponseDirectives {
    no_store: false,
    no_cache: false,
    private: false,
    public: false,
    must_revalidate: false,
    proxy_revalidate: false,
    must_understand: false,
    immutable: false,
    max_age: None,
    s_maxage: None,
    stale_while_revalidate: None,
    stale_if_error: None,
    source: DirectiveSource::None,
};
const SOME: ResponseDirectives = ResponseDirectives {
    source: DirectiveSource::CacheControl,
    ..NONE
};
const TARGETED: ResponseDirectives = ResponseDirectives {
    source: DirectiveSource::Targeted,
    ..NONE
};

fn check(lines: &[&str], expected: ResponseDirectives) {
    assert_eq!(
        ResponseDirectives::parse(&section(lines)),
        expected,
        "{lines:?}"
    );
}

/// Checks `max-age` as one `Cache-Control` value gives it.
fn check_max_age(value: &str, expected: Option<u64>) {
    check(
        &[&format!("Cache-Control: {value}")],
        ResponseDirectives {
            max_age: expected,
            ..SOME
        },
    );
}

#[test]
fn names_in_any_case_and_order() {
    check(&[], NONE);
    check(&["Cache-Control:"], SOME);
    check(&["Pragma: no-cache"], NONE);
    check(
        &["Cache-Control: no-store"],
        ResponseDirectives {
            no_store: true,
            ..SOME
        },
    );
    check(
        &["Cache-Control: NO-Store"],
        ResponseDirectives {
            no_store: true,
            ..SOME
        },
    );
    check(
        &["Cache-Control: private"],
        ResponseDirectives {
            private: true,
            ..SOME
        },
    );
    check(
        &["Cache-Control: public, must-revalidate, immutable"],
        ResponseDirectives {
            public: true,
            must_revalidate: true,
            immutable: true,
            ..SOME
        },
    );
    check(
        &["Cache-Control: proxy-revalidate,must-understand , no-cache"],
        ResponseDirectives {
            proxy_revalidate: true,
            must_understand: true,
            no_cache: true,
            ..SOME
        },
    );
    check(
        &["Cache-Control: s-maxage=1", "Cache-Control: max-age=2"],
        ResponseDirectives {
            s_maxage: Some(1),
            max_age: Some(2),
            ..SOME
        },
    );
    check(
        &["Cache-Control: stale-while-revalidate=3, stale-if-error=4"],
        ResponseDirectives {
            stale_while_revalidate: Some(3),
            stale_if_error: Some(4),
            ..SOME
        },
    );
}

#[test]
fn names_inside_other_text_are_not_directives() {
    for value in [
        "no-stored",
        "xno-store",
        "'no-store'",
        "\"no-store\"",
        "ext=\"no-store\"",
        "ext=\"a, no-store\"",
        "no-store-x=1",
        "community=\"UCI, private\"",
        "; no-store",
    ] {
        check(&[&format!("Cache-Control: {value}")], SOME);
    }
}

#[test]
fn qualified_and_odd_forms_count_in_full() {
    check(
        &["Cache-Control: private=\"a, b\""],
        ResponseDirectives {
            private: true,
            ..SOME
        },
    );
    check(
        &["Cache-Control: no-cache=x"],
        ResponseDirectives {
            no_cache: true,
            ..SOME
        },
    );
    check(
        &["Cache-Control: no-store=0"],
        ResponseDirectives {
            no_store: true,
            ..SOME
        },
    );
    check(
        &["Cache-Control: no-store foo"],
        ResponseDirectives {
            no_store: true,
            ..SOME
        },
    );
    check(
        &["Cache-Control: private; no-store"],
        ResponseDirectives {
            private: true,
            ..SOME
        },
    );
}

#[test]
fn lifetimes_are_digits_or_stale() {
    check_max_age("max-age=60", Some(60));
    check_max_age("MAX-AGE=60", Some(60));
    check_max_age("max-age=\"60\"", Some(60));
    check_max_age("max-age=007", Some(7));
    check_max_age("max-age=0", Some(0));
    check_max_age("max-age=2147483648", Some(DELTA_SECONDS_MAX));
    check_max_age("max-age=2147483649", Some(DELTA_SECONDS_MAX));
    check_max_age(
        "max-age=99999999999999999999999999",
        Some(DELTA_SECONDS_MAX),
    );
    for unreadable in [
        "max-age",
        "max-age=",
        "max-age=-1",
        "max-age=+1",
        "max-age=60.5",
        "max-age=1e3",
        "max-age=a60",
        "max-age=60a",
        "max-age= 60",
        "max-age =60",
        "max-age='60'",
        "max-age=\"60",
        "max-age=\"\"",
        "max-age=\" 60\"",
        "max-age=60 s",
        "max-age==60",
    ] {
        check_max_age(unreadable, Some(0));
    }
    check_max_age("max-age=60,", Some(60));
    check_max_age(",, max-age=60", Some(60));
    check_max_age("ext=\"max-age=1\", max-age=60", Some(60));
    check_max_age("max-ages=60", None);
}

#[test]
fn contradictions_are_read_as_the_lower_lifetime() {
    check_max_age("max-age=60, max-age=30", Some(30));
    check_max_age("max-age=30, max-age=60", Some(30));
    check_max_age("max-age=30, max-age=x", Some(0));
    check(
        &[
            "Cache-Control: max-age=60, s-maxage=9",
            "Cache-Control: s-maxage=5",
        ],
        ResponseDirectives {
            max_age: Some(60),
            s_maxage: Some(5),
            ..SOME
        },
    );
}

#[test]
fn targeted_field_comes_first() {
    check(
        &["CDN-Cache-Control: max-age=60", "Cache-Control: no-store"],
        ResponseDirectives {
            max_age: Some(60),
            ..TARGETED
        },
    );
    check(
        &["CDN-Cache-Control: no-store", "Cache-Control: max-age=60"],
        ResponseDirectives {
            no_store: true,
            ..TARGETED
        },
    );
    check(
        &[
            "CDN-Cache-Control: max-age=60;x=1",
            "CDN-Cache-Control: private=?1, public=?0",
        ],
        ResponseDirectives {
            max_age: Some(60),
            private: true,
            ..TARGETED
        },
    );
    check(&["CDN-Cache-Control: ext"], TARGETED);
    // Known names with an argument of the wrong kind: the reading that caches less.
    check(
        &["CDN-Cache-Control: max-age=\"60\", s-maxage=-1"],
        ResponseDirectives {
            max_age: Some(0),
            s_maxage: Some(0),
            ..TARGETED
        },
    );
    check(
        &["CDN-Cache-Control: max-age"],
        ResponseDirectives {
            max_age: Some(0),
            ..TARGETED
        },
    );
    check(
        &["CDN-Cache-Control: max-age=999999999999999"],
        ResponseDirectives {
            max_age: Some(DELTA_SECONDS_MAX),
            ..TARGETED
        },
    );
}

#[test]
fn empty_or_malformed_targeted_field_is_as_if_absent() {
    let fallback = ResponseDirectives {
        max_age: Some(5),
        ..SOME
    };
    for value in [
        "",
        " ",
        "Max-Age=60",
        "max-age=60,",
        "max-age = 60",
        "&max-age=60",
        "no-store;",
    ] {
        check(
            &[
                &format!("CDN-Cache-Control: {value}"),
                "Cache-Control: max-age=5",
            ],
            fallback,
        );
    }
    check(&["CDN-Cache-Control: no-store!"], NONE);
}

fn check_request(lines: &[&str], expected: RequestDirectives) {
    assert_eq!(
        RequestDirectives::parse(get(lines).view()),
        expected,
        "{lines:?}"
    );
}

#[test]
fn request_directives() {
    let none = RequestDirectives::NONE;
    check_request(&[], none);
    check_request(&["Cache-Control: foo"], none);
    check_request(
        &["Cache-Control: no-cache"],
        RequestDirectives {
            no_cache: true,
            ..none
        },
    );
    check_request(
        &["Cache-Control: no-store, only-if-cached"],
        RequestDirectives {
            no_store: true,
            only_if_cached: true,
            ..none
        },
    );
    check_request(
        &[
            "Cache-Control: max-age=5",
            "Cache-Control: MAX-AGE=3, min-fresh=1, min-fresh=2",
        ],
        RequestDirectives {
            max_age: Some(3),
            min_fresh: Some(2),
            ..none
        },
    );
    check_request(
        &["Cache-Control: max-stale"],
        RequestDirectives {
            max_stale: Some(DELTA_SECONDS_MAX),
            ..none
        },
    );
    check_request(
        &["Cache-Control: max-stale, max-stale=9, stale-if-error=7"],
        RequestDirectives {
            max_stale: Some(9),
            stale_if_error: Some(7),
            ..none
        },
    );
    check_request(
        &["Cache-Control: max-age=x, max-stale=x, min-fresh=x, stale-if-error"],
        RequestDirectives {
            max_age: Some(0),
            max_stale: Some(0),
            min_fresh: Some(DELTA_SECONDS_MAX),
            stale_if_error: Some(0),
            ..none
        },
    );
}

#[test]
fn pragma_counts_only_without_cache_control() {
    let no_cache = RequestDirectives {
        no_cache: true,
        ..RequestDirectives::NONE
    };
    check_request(&["Pragma: no-cache"], no_cache);
    check_request(&["Pragma: foo, No-Cache"], no_cache);
    check_request(&["Pragma: foo"], RequestDirectives::NONE);
    check_request(
        &["Pragma: no-cache", "Cache-Control: foo"],
        RequestDirectives::NONE,
    );
    check_request(
        &["Cache-Control:", "Pragma: no-cache"],
        RequestDirectives::NONE,
    );
}

proptest! {
    /// Whatever a peer writes, parsing ends, and lifetimes stay within the RFC's bound.
    #[test]
    fn any_value_is_read_within_bounds(value in "[ -~\t]{0,60}", targeted in any::<bool>()) {
        let mut fields = FieldSection::new();
        let name: &[u8] = if targeted { b"CDN-Cache-Control" } else { b"Cache-Control" };
        fields.push(name, value.as_bytes());
        let directives = ResponseDirectives::parse(&fields);
        let lifetimes = [
            directives.max_age,
            directives.s_maxage,
            directives.stale_while_revalidate,
            directives.stale_if_error,
        ];
        prop_assert!(lifetimes.into_iter().flatten().all(|s| s <= DELTA_SECONDS_MAX));
    }

    /// More directives never make a response more cacheable.
    #[test]
    fn another_member_never_raises_a_lifetime(
        first in 0_u64..5_000_000_000,
        second in "(max-age=[0-9]{1,12}|max-age|no-store|x=\"[a-z, ]*\")",
    ) {
        let one = section(&[&format!("Cache-Control: max-age={first}")]);
        let two = section(&[&format!("Cache-Control: max-age={first}, {second}")]);
        let (one, two) = (ResponseDirectives::parse(&one), ResponseDirectives::parse(&two));
        prop_assert!(two.max_age.unwrap() <= one.max_age.unwrap());
        prop_assert_eq!(one.max_age, Some(first.min(DELTA_SECONDS_MAX)));
    }
}
