//! A remembered head is never given to a request that should get another: requests for one stored
//! response to which a policy gives the same variant get the same edit.

use crate::support::Head;
use corsair_http1::FieldSection;
use corsair_rules::{EditContext, HeaderConditionSpec, HeaderOp, HeaderOpSpec, HeaderPolicy};
use proptest::prelude::*;

const OPS: [HeaderOp; 5] = [
    HeaderOp::Set,
    HeaderOp::Append,
    HeaderOp::Default,
    HeaderOp::Remove,
    HeaderOp::Add,
];
const NAMES: [&str; 4] = ["X-A", "X-B", "Server", "ETag"];
const VALUES: [&str; 6] = [
    "1",
    "${host}",
    "${path}",
    "${query.v}",
    "${request.X-Flag}",
    "${cache}",
];
const ASKED: [&str; 6] = [
    "X-Flag",
    "X-Flag: on",
    "X-Flag: o*",
    "Referer",
    "Referer: https://*",
    "X-Other: 1",
];
const METHODS: [&[&str]; 4] = [&[], &["GET"], &["HEAD", "POST"], &["GET", "HEAD"]];
const LINES: [&[&str]; 6] = [
    &[],
    &["X-Flag: on"],
    &["X-Flag: off"],
    &["X-Flag: off", "X-Flag: on"],
    &["Referer: https://a.example/", "X-Other: 1"],
    &["Referer: https://b.example/", "X-Flag: on", "X-Other: 2"],
];

fn spec(
    (op, name, value, asked, methods): (usize, usize, usize, Option<usize>, usize),
) -> HeaderOpSpec {
    let op = OPS[op];
    HeaderOpSpec {
        op,
        name: NAMES[name].to_owned(),
        value: (op != HeaderOp::Remove).then(|| VALUES[value].to_owned()),
        pattern: None,
        when: HeaderConditionSpec {
            request_header: asked
                .map(|asked| ASKED[asked].to_owned())
                .into_iter()
                .collect(),
            methods: METHODS[methods].iter().map(|&own| own.to_owned()).collect(),
            ..HeaderConditionSpec::default()
        },
    }
}

/// What the policy makes of one stored response for such a request.
fn edited(policy: &HeaderPolicy, method: &str, head: &Head, query: Option<&[u8]>) -> Vec<u8> {
    let mut section = FieldSection::new();
    section.push(b"ETag", b"\"1\"");
    section.push(b"X-A", b"old");
    policy.apply(
        &mut section,
        &EditContext {
            status: 200,
            method: method.as_bytes(),
            host: b"cdn.example",
            path: b"/a",
            query,
            cache: "hit",
            request: Some(head.request()),
        },
    );
    let mut out = Vec::new();
    section.render(&mut out);
    out
}

proptest! {
    #[test]
    fn one_variant_is_one_edit(
        ops in proptest::collection::vec(
            (
                0..OPS.len(),
                0..NAMES.len(),
                // Values that take nothing from a request more often: else few heads have a variant.
                prop_oneof![3 => 0..3_usize, 1 => 3..VALUES.len()],
                proptest::option::of(0..ASKED.len()),
                0..METHODS.len(),
            ),
            1..6,
        ),
    ) {
        let specs = ops.into_iter().map(spec).collect();
        // Some variable may not exist, or not here: that is another test's matter.
        let Ok(policy) = HeaderPolicy::compile(specs) else {
            return Ok(());
        };
        let mut known: Vec<(u64, Vec<u8>)> = Vec::new();
        for method in ["GET", "HEAD"] {
            for lines in LINES {
                let head = Head::new(method, lines);
                let Some(variant) = policy.variant(head.request()) else {
                    continue;
                };
                let edit = edited(&policy, method, &head, Some(b"v=1"));
                match known.iter().find(|(own, _)| *own == variant) {
                    Some((_, first)) => prop_assert_eq!(first, &edit, "{} {:?}", method, lines),
                    None => known.push((variant, edit)),
                }
            }
        }
    }
}
