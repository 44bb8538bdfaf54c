//! A memo never changes an answer: whatever was asked before, it says what a decision made anew says.

use corsair_rules::{
    AnswerMemo, CorsPolicies, CorsPolicySpec, PoliciesId, RequestOrigin, ResourcePolicy,
    UpstreamMode,
};
use proptest::prelude::*;

const ORIGINS: [&str; 8] = [
    "https://app.example.com",
    "https://apq.example.com",
    "https://a.b.example.com",
    "https://localhost",
    "http://localhost:3000",
    "https://app.example.net",
    "null",
    "",
];

fn spec(origins: &[&str]) -> CorsPolicySpec {
    CorsPolicySpec {
        origins: origins.iter().map(|&own| own.to_owned()).collect(),
        methods: vec!["GET".into(), "PUT".into()],
        ..CorsPolicySpec::default()
    }
}

/// One route a row, one plan a column.
fn routes() -> [[CorsPolicies; 2]; 7] {
    let compile = |specs| CorsPolicies::compile(specs).expect("policies");
    let of = |origins: &[&str]| compile(vec![spec(origins)]);
    let fonts_only = |origins: &[&str]| {
        compile(vec![CorsPolicySpec {
            content_types: vec!["font/*".into()],
            ..spec(origins)
        }])
    };
    let several = |one: &[&str], credentialed: &[&str]| {
        let second = CorsPolicySpec {
            credentials: true,
            ..spec(credentialed)
        };
        compile(vec![spec(one), second])
    };
    let upstream_decides = |upstream, origins: &[&str]| {
        compile(vec![CorsPolicySpec {
            upstream,
            timing: true,
            resource_policy: Some(ResourcePolicy::SameSite),
            ..spec(origins)
        }])
    };
    let beside_shadow = |live: &[&str], shadow: &[&str]| {
        let second = CorsPolicySpec {
            shadow: true,
            ..spec(shadow)
        };
        compile(vec![spec(live), second])
    };
    let (com, net) = ("https://*.example.com", "https://app.example.net");
    [
        [of(&[com]), of(&[net, "null"])],
        [of(&["*"]), of(&["http://localhost:*"])],
        [fonts_only(&[com]), fonts_only(&[com, net])],
        [several(&[net], &[com]), several(&[com], &[net])],
        [
            upstream_decides(UpstreamMode::Passthrough, &[com]),
            upstream_decides(UpstreamMode::Passthrough, &["*"]),
        ],
        [
            upstream_decides(UpstreamMode::Duplicate, &[com, net]),
            upstream_decides(UpstreamMode::Override, &[com, net]),
        ],
        [beside_shadow(&[com], &[net]), beside_shadow(&[net], &["*"])],
    ]
}

proptest! {
    #[test]
    fn a_memo_answers_as_a_new_decision(
        asked in proptest::collection::vec(
            (0..7_usize, 0..2_usize, 0..ORIGINS.len() + 2, 0..3_usize, 0..3_usize, 1..4_usize),
            1..120,
        ),
        seed in any::<u64>(),
    ) {
        let routes = routes();
        let mut memo = AnswerMemo::new(seed);
        for (route, plan, origin, method, content_type, times) in asked {
            let policies = &routes[route][plan];
            let id = PoliciesId {
                generation: plan as u64 + 1,
                route: u32::try_from(route).expect("a few routes"),
            };
            let origin = match ORIGINS.get(origin) {
                Some(value) => RequestOrigin::One(value.as_bytes()),
                None if origin == ORIGINS.len() => RequestOrigin::Absent,
                None => RequestOrigin::Several,
            };
            let method = [&b"GET"[..], b"HEAD", b"PUT"][method];
            let content_type = [None, Some(&b"font/woff2"[..]), Some(b"text/css")][content_type];
            let answer = policies.decide_actual(origin, method, content_type);
            let mut expected = b"before ".to_vec();
            answer.write(&mut expected, origin);
            for _ in 0..times {
                let mut out = b"before ".to_vec();
                let outcome = memo.answer(id, policies, origin, method, content_type, &mut out);
                prop_assert_eq!(&out, &expected, "{:?}", origin);
                prop_assert_eq!(outcome, answer.outcome());
            }
        }
    }
}
