//! The keys of the contract below `[[site]]`: the part of the table that describes what is served.

use super::contract::{LIFETIME_MAX, TIB, key, later, seconds, texts, word};
use super::{Absent, Section, Shape, Status};
use Absent::{Means, Refused, Told};
use Status::{NotBuilt, Works};

pub(crate) static SITE: Section = Section {
    path: "site",
    doc: "What is served under a set of hosts; at least one.",
    keys: &[
        key(
            "hosts",
            texts(10_000),
            Refused,
            "Host names without port; `*.` covers whole labels below, `*` is the default site.",
        ),
        key("upstream", Shape::Text, Refused, "Name of the upstream."),
        key(
            "cache",
            Shape::Section(&SITE_CACHE),
            Told("every key's default"),
            "How long responses are stored.",
        ),
        key(
            "cors",
            Shape::SectionOrSections(&SITE_CORS),
            Told("the upstream's own CORS passes through"),
            "Which Web origins may read responses; the first policy that passes decides.",
        ),
        key(
            "header",
            Shape::Sections(&SITE_HEADER),
            Told("no operations"),
            "Response header operations.",
        ),
        key(
            "route",
            Shape::Sections(&SITE_ROUTE),
            Told("the site's settings for every path"),
            "Settings for some paths.",
        ),
    ],
};

pub(crate) static SITE_CACHE: Section = Section {
    path: "site.cache",
    doc: "How long responses are stored; a route takes over each key it does not set.",
    keys: &[
        key(
            "ttl",
            seconds(LIFETIME_MAX),
            Means("0s"),
            "Freshness lifetime when the upstream says nothing.",
        ),
        key(
            "status_ttl",
            Shape::StatusDurations {
                max_ms: LIFETIME_MAX,
            },
            Told("no status has its own"),
            "Freshness lifetime by status code when the upstream says nothing.",
        ),
        key(
            "override_ttl",
            seconds(LIFETIME_MAX),
            Told("the upstream's lifetime counts"),
            "Freshness lifetime whatever the upstream says.",
        ),
        key(
            "heuristic",
            Shape::Flag,
            Means("false"),
            "Whether Last-Modified gives a lifetime when nothing else does (RFC 9111 §4.2.2).",
        ),
        key(
            "stale_while_revalidate",
            seconds(LIFETIME_MAX),
            Means("0s"),
            "How long past its lifetime a response is served while fetched anew (RFC 5861 §3).",
        ),
        key(
            "stale_if_error",
            seconds(LIFETIME_MAX),
            Means("0s"),
            "How long past its lifetime a response stands in for a failing upstream (RFC 5861).",
        ),
        later(
            "set_cookie",
            Shape::Word(&[
                word("bypass", Works),
                word("strip", NotBuilt),
                word("store", NotBuilt),
            ]),
            Means("bypass"),
            "What becomes of responses with Set-Cookie.",
        ),
        later(
            "key",
            Shape::Later("{ query = \"all\" }"),
            Told("the whole URL"),
            "What of the URL makes the cache key.",
        ),
        key(
            "max_object",
            Shape::Size {
                min: 1,
                max: 4 * TIB,
            },
            Means("64MiB"),
            "Longest body that is stored, at most two fifths of the store; others are passed on.",
        ),
    ],
};

pub(crate) static SITE_CORS: Section = Section {
    path: "site.cors",
    doc: "Which Web origins may read responses, in place of the upstream's own CORS.",
    keys: &[
        key(
            "origins",
            texts(1_000_000),
            Told("only those of origins_file"),
            "Origin patterns: `https://a.example`, `https://*.a.example`, `http://localhost:*`.",
        ),
        key(
            "origins_file",
            Shape::Text,
            Told("only those of origins"),
            "File with one more pattern a line; `#` begins a comment.",
        ),
        key(
            "validate",
            Shape::Flag,
            Means("true"),
            "Whether the request's `Origin` is compared with `origins`, and echoed. With `false` the one value \
             of `origins` (`*` or one origin) goes out on every response, whoever asks and without `Vary`; \
             browsers let only pages of that origin read it.",
        ),
        key(
            "credentials",
            Shape::Flag,
            Means("false"),
            "Whether credentialed requests may read responses.",
        ),
        key(
            "methods",
            texts(64),
            Told("GET, HEAD and POST"),
            "Methods a preflight grants; `*` is any.",
        ),
        key(
            "request_headers",
            texts(1_000),
            Told("none beyond those that need no preflight"),
            "Request headers a preflight grants; `*` is any but Authorization.",
        ),
        key(
            "expose",
            texts(1_000),
            Told("none"),
            "Response headers that scripts may read.",
        ),
        key(
            "max_age",
            seconds(LIFETIME_MAX),
            Told("the browser's own, 5s"),
            "How long a browser may keep the answer to a preflight.",
        ),
        key(
            "upstream",
            Shape::Word(&[
                word("override", Works),
                word("passthrough", Works),
                word("duplicate", Works),
            ]),
            Means("override"),
            "What becomes of the upstream's own CORS headers: dropped, left to decide alone, or \
             sent beside the node's.",
        ),
        key(
            "private_network",
            Shape::Flag,
            Means("false"),
            "Whether a granted preflight that asks for a private network is told yes.",
        ),
        key(
            "timing",
            Shape::Flag,
            Means("false"),
            "Whether the same audience gets Timing-Allow-Origin too.",
        ),
        key(
            "resource_policy",
            Shape::Word(&[
                word("same-origin", Works),
                word("same-site", Works),
                word("cross-origin", Works),
            ]),
            Told("no header"),
            "Cross-Origin-Resource-Policy of every response, whoever asks.",
        ),
        key(
            "shadow",
            Shape::Flag,
            Means("false"),
            "Whether the policy is only evaluated and counted beside the others, never applied.",
        ),
        key(
            "refused_preflight_status",
            Shape::OneOf(&[204, 403]),
            Means("204"),
            "Status of a refused preflight; of several policies the highest counts.",
        ),
        key(
            "when",
            Shape::Section(&CORS_WHEN),
            Told("every response"),
            "Which responses the policy is for; others get nothing from it, no Vary either.",
        ),
        key(
            "dialect",
            Shape::Word(&[word("native", Works), word("s3", Works)]),
            Means("native"),
            "Grammar of the patterns; `s3` has one `*` anywhere, also in `request_headers`.",
        ),
    ],
};

pub(crate) static CORS_WHEN: Section = Section {
    path: "site.cors.when",
    doc: "Which responses the policy is for.",
    keys: &[key(
        "content_type",
        texts(64),
        Told("any"),
        "Content types, such as `font/*`.",
    )],
};

pub(crate) static SITE_HEADER: Section = Section {
    path: "site.header",
    doc: "A response header operation; they run in the order of the file, before CORS.",
    keys: &[
        key(
            "op",
            Shape::Word(&[
                word("set", Works),
                word("add", Works),
                word("append", Works),
                word("merge", Works),
                word("default", Works),
                word("remove", Works),
                word("replace", Works),
            ]),
            Refused,
            "`set` one line in place of all, `add` one more, `append` to the comma list, `merge` \
             what the list lacks, `default` only when there is none, `remove`, `replace` parts.",
        ),
        key(
            "name",
            Shape::Text,
            Refused,
            "Header name; for `remove` it may end in `*`.",
        ),
        key(
            "value",
            Shape::Text,
            Told("needed by every op but remove"),
            "The value; `${host}` `${path}` `${query.NAME}` `${request.NAME}` `${status}` \
             `${cache}` stand for what they name, `$${` for `${`. `${request.NAME}` does not add NAME \
             to Vary: where a cache downstream must tell such responses apart, `merge` it.",
        ),
        key(
            "pattern",
            Shape::Text,
            Told("needed by `replace`"),
            "What `replace` looks for: a text, in which `*` is any run of characters.",
        ),
        key(
            "when",
            Shape::Section(&HEADER_WHEN),
            Told("every response"),
            "Which responses the operation is for.",
        ),
        key(
            "validate_origin",
            Shape::Flag,
            Means("false"),
            "CDN console form: with `add` of Access-Control-Allow-Origin, the value is a comma \
             list of origin patterns, and an allowed origin is echoed.",
        ),
        key(
            "allow_duplicates",
            Shape::Flag,
            Told("native `add`"),
            "CDN console form: whether `add` keeps the upstream's lines of that name.",
        ),
        key(
            "dialect",
            Shape::Word(&[
                word("native", Works),
                word("s3", Works),
                word("alibaba", Works),
            ]),
            Means("native"),
            "CDN console form: grammar of the value's patterns; in `alibaba`, `%-` is `-`.",
        ),
    ],
};

pub(crate) static HEADER_WHEN: Section = Section {
    path: "site.header.when",
    doc: "Which responses the operation is for: all conditions hold, of several values one does.",
    keys: &[
        key(
            "status",
            texts(64),
            Told("any"),
            "Status codes, such as `404` or `2xx`.",
        ),
        key(
            "methods",
            texts(64),
            Told("any"),
            "Request methods. Operations never run on a preflight that the node answers, so `OPTIONS` \
             is for those that the upstream answers.",
        ),
        key(
            "path",
            texts(64),
            Told("any"),
            "Path patterns, as routes have them.",
        ),
        key(
            "content_type",
            texts(64),
            Told("any"),
            "Content types, such as `text/html`.",
        ),
        key(
            "request_header",
            texts(64),
            Told("any"),
            "`Name` for a header that is there, `Name: value` for its value, `*` for any text. Does \
             not add `Name` to Vary.",
        ),
    ],
};

pub(crate) static SITE_ROUTE: Section = Section {
    path: "site.route",
    doc: "Settings for some paths; the most specific pattern wins.",
    keys: &[
        key(
            "path",
            Shape::Text,
            Refused,
            "`/a/b` exactly; `*` within a segment, `**` any rest.",
        ),
        key(
            "methods",
            texts(64),
            Told("every method"),
            "Request methods the route is for. A preflight goes by the method that it asks about, so \
             that the route of the request itself decides; OPTIONS is for other requests of that method.",
        ),
        key(
            "upstream",
            Shape::Text,
            Told("the site's"),
            "Name of the upstream.",
        ),
        key(
            "cache",
            Shape::Section(&SITE_CACHE),
            Told("the site's, key by key"),
            "How long responses are stored.",
        ),
        key(
            "cors",
            Shape::SectionOrSections(&SITE_CORS),
            Told("the site's"),
            "CORS in place of the site's as a whole; `[]` is none.",
        ),
        key(
            "header",
            Shape::Sections(&SITE_HEADER),
            Told("the site's"),
            "Operations in place of the site's as a whole; `[]` is none.",
        ),
    ],
};
