//! The keys of the contract, section by section: the one table.
//!
//! Order and words follow the public contract. Ranges are chosen so that a slip of the keyboard
//! (`"10h"` for `"10s"`) is caught where no sane node needs the value, and stated with each key.

use super::{Absent, Key, Section, Shape, Status, Word};
use Absent::{Means, Refused, Told};
use Status::{NotBuilt, Works};

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
const TIB: u64 = 1 << 40;
const MINUTE: u64 = 60_000;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;
/// Ten years means forever, and stays far below the 2^31 seconds of RFC 9111 §1.2.2.
const LIFETIME_MAX: u64 = 3650 * DAY;

const fn key(name: &'static str, shape: Shape, absent: Absent, doc: &'static str) -> Key {
    Key {
        name,
        shape,
        absent,
        doc,
        status: Works,
    }
}

/// A key of the contract that is refused until it is built.
const fn later(name: &'static str, shape: Shape, absent: Absent, doc: &'static str) -> Key {
    Key {
        name,
        shape,
        absent,
        doc,
        status: NotBuilt,
    }
}

const fn word(text: &'static str, status: Status) -> Word {
    Word { text, status }
}

const fn duration(min_ms: u64, max_ms: u64) -> Shape {
    Shape::Duration {
        min_ms,
        max_ms,
        step_ms: 1,
    }
}

const fn seconds(max_ms: u64) -> Shape {
    Shape::Duration {
        min_ms: 0,
        max_ms,
        step_ms: 1_000,
    }
}

const fn texts(max: usize) -> Shape {
    Shape::Texts { max }
}

pub(crate) static ROOT: Section = Section {
    path: "",
    doc: "A configuration file.",
    keys: &[
        key(
            "node",
            Shape::Section(&NODE),
            Told("every key's default"),
            "The process.",
        ),
        key(
            "admin",
            Shape::Section(&ADMIN),
            Told("every key's default"),
            "The admin API.",
        ),
        key(
            "listener",
            Shape::Sections(&LISTENER),
            Refused,
            "Addresses clients connect to.",
        ),
        key(
            "limits",
            Shape::Section(&LIMITS),
            Told("every key's default"),
            "Bounds on clients.",
        ),
        key(
            "cache",
            Shape::Section(&CACHE),
            Told("every key's default"),
            "The store.",
        ),
        later(
            "log",
            Shape::Section(&LOG),
            Told("no access log"),
            "What the node writes.",
        ),
        key(
            "upstream",
            Shape::Sections(&UPSTREAM),
            Refused,
            "Where responses come from.",
        ),
        key(
            "site",
            Shape::Sections(&SITE),
            Refused,
            "What is served under which hosts.",
        ),
    ],
};

pub(crate) static NODE: Section = Section {
    path: "node",
    doc: "The process.",
    keys: &[
        key(
            "name",
            Shape::Text,
            Told("the host name"),
            "Name in Cache-Status and Via: letters, digits and `-._`, at most 64.",
        ),
        key(
            "workers",
            Shape::Count { min: 1, max: 64 },
            Told("one for each CPU the process may use"),
            "Worker threads, each pinned to a CPU.",
        ),
        key(
            "driver",
            Shape::Word(&[
                word("auto", Works),
                word("io_uring", Works),
                word("epoll", Works),
            ]),
            Means("auto"),
            "How workers do I/O; `auto` takes io_uring where it works and says what it took.",
        ),
        key(
            "drain_timeout",
            duration(0, HOUR),
            Means("30s"),
            "How long exchanges in flight may take to end at shutdown.",
        ),
    ],
};

pub(crate) static ADMIN: Section = Section {
    path: "admin",
    doc: "The admin API.",
    keys: &[
        key(
            "listen",
            Shape::Text,
            Means("127.0.0.1:9180"),
            "Loopback address and port.",
        ),
        later(
            "token_file",
            Shape::Text,
            Told("no token, loopback only"),
            "File with the token every admin request must carry.",
        ),
    ],
};

pub(crate) static LISTENER: Section = Section {
    path: "listener",
    doc: "An address clients connect to; at least one.",
    keys: &[
        key(
            "address",
            Shape::Text,
            Refused,
            "Address and port, such as `0.0.0.0:8080` or `[::]:8080`.",
        ),
        later(
            "proxy_protocol",
            Shape::Flag,
            Means("false"),
            "Whether connections begin with a PROXY protocol header.",
        ),
    ],
};

pub(crate) static LIMITS: Section = Section {
    path: "limits",
    doc: "Bounds on what clients may ask of the node.",
    keys: &[
        key(
            "head_bytes",
            Shape::Size { min: KIB, max: MIB },
            Means("32KiB"),
            "Longest request or response head; past it 431, or 502 for an upstream's.",
        ),
        key(
            "header_lines",
            Shape::Count { min: 8, max: 1_000 },
            Means("100"),
            "Most header lines in a head.",
        ),
        key(
            "body_bytes",
            Shape::Size {
                min: 1,
                max: 16 * TIB,
            },
            Means("1GiB"),
            "Longest request body; past it 413.",
        ),
        key(
            "connections",
            Shape::Count {
                min: 1,
                max: 1_000_000,
            },
            Means("20000"),
            "Most client connections at once, over all workers.",
        ),
        key(
            "requests_per_connection",
            Shape::Count {
                min: 0,
                max: 1_000_000_000,
            },
            Means("0"),
            "Requests after which a connection is closed; 0 is no limit.",
        ),
        key(
            "head_timeout",
            duration(100, 10 * MINUTE),
            Means("10s"),
            "From the first byte of a request to the end of its head.",
        ),
        key(
            "idle_timeout",
            duration(100, DAY),
            Means("60s"),
            "How long a connection may wait for its next request.",
        ),
        key(
            "body_min_rate",
            Shape::Rate { min: 0, max: GIB },
            Means("500B/s"),
            "Slowest body, sent or received, that is not cut off; 0B/s is no limit.",
        ),
    ],
};

pub(crate) static CACHE: Section = Section {
    path: "cache",
    doc: "The store all sites share.",
    keys: &[key(
        "memory",
        Shape::Size {
            min: MIB,
            max: 16 * TIB,
        },
        Means("256MiB"),
        "Budget of the store: bodies, heads, index and fills in flight.",
    )],
};

pub(crate) static LOG: Section = Section {
    path: "log",
    doc: "What the node writes about its work.",
    keys: &[
        later(
            "access",
            Shape::Word(&[
                word("off", Works),
                word("json", Works),
                word("combined", Works),
            ]),
            Means("off"),
            "Form of the access log.",
        ),
        later(
            "level",
            Shape::Text,
            Means("info"),
            "Least level of messages written.",
        ),
    ],
};

pub(crate) static UPSTREAM: Section = Section {
    path: "upstream",
    doc: "A server responses are fetched from.",
    keys: &[
        key(
            "name",
            Shape::Text,
            Refused,
            "Name that sites refer to: letters, digits and `-._`.",
        ),
        key("servers", texts(64), Refused, "One `http://host:port`."),
        later(
            "balance",
            Shape::Word(&[
                word("p2c", Works),
                word("round_robin", Works),
                word("hash", Works),
            ]),
            Means("p2c"),
            "How one of several servers is chosen.",
        ),
        key(
            "host",
            Shape::Text,
            Means("client"),
            "Host header sent: `client` (as received), `server` (that of the URL) or a literal.",
        ),
        key(
            "connect_timeout",
            duration(10, 5 * MINUTE),
            Means("3s"),
            "How long connecting may take.",
        ),
        key(
            "response_timeout",
            duration(10, HOUR),
            Means("30s"),
            "From the end of the request to the end of the response head.",
        ),
        later(
            "retries",
            Shape::Count { min: 0, max: 10 },
            Means("1"),
            "Further attempts on a request that is safe to repeat.",
        ),
        later(
            "health",
            Shape::Later("{ path = \"/healthz\", interval = \"5s\" }"),
            Told("no active checks"),
            "Active health checks.",
        ),
    ],
};

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
            "Which Web origins may read responses; of several policies the first that passes decides.",
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
            "How long past its lifetime a response is served for a failing upstream (RFC 5861 §4).",
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
            "Origin patterns: `https://a.example`, `https://*.a.example`, `http://localhost:*`, `*`.",
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
            "Whether the request's Origin is compared; false always sends the one value given.",
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
                word("passthrough", NotBuilt),
                word("duplicate", NotBuilt),
            ]),
            Means("override"),
            "What becomes of the upstream's own CORS headers.",
        ),
        later(
            "private_network",
            Shape::Flag,
            Means("false"),
            "Whether preflights for private networks are granted.",
        ),
        later(
            "timing",
            Shape::Flag,
            Means("false"),
            "Whether Timing-Allow-Origin goes to the same audience.",
        ),
        later(
            "resource_policy",
            Shape::Text,
            Told("no header"),
            "Value of Cross-Origin-Resource-Policy.",
        ),
        later(
            "shadow",
            Shape::Flag,
            Means("false"),
            "Evaluate and count, do not apply.",
        ),
        later(
            "refused_preflight_status",
            Shape::Count { min: 204, max: 403 },
            Means("204"),
            "Status of a refused preflight: 204 or 403.",
        ),
        later(
            "when",
            Shape::Section(&CORS_WHEN),
            Told("every response"),
            "Which responses the policy is for.",
        ),
        later(
            "dialect",
            Shape::Word(&[word("native", Works), word("s3", NotBuilt)]),
            Means("native"),
            "Grammar of the patterns.",
        ),
    ],
};

pub(crate) static CORS_WHEN: Section = Section {
    path: "site.cors.when",
    doc: "Which responses the policy is for.",
    keys: &[later(
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
                word("merge", NotBuilt),
                word("default", Works),
                word("remove", Works),
                word("replace", NotBuilt),
            ]),
            Refused,
            "`set` and `default` give a line, `add` one more, `append` a list member.",
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
            "The header value.",
        ),
        later(
            "pattern",
            Shape::Text,
            Told("none"),
            "What `replace` looks for.",
        ),
        key(
            "when",
            Shape::Section(&HEADER_WHEN),
            Told("every response"),
            "Which responses the operation is for.",
        ),
        later(
            "validate_origin",
            Shape::Flag,
            Means("false"),
            "Seed form: compare the request's Origin.",
        ),
        later(
            "allow_duplicates",
            Shape::Flag,
            Means("false"),
            "Seed form: keep the upstream's line too.",
        ),
        later(
            "dialect",
            Shape::Text,
            Means("native"),
            "Seed form: grammar of the value.",
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
        key("methods", texts(64), Told("any"), "Request methods."),
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
            "`Name` for a header that is there, `Name: value` for its value, `*` for any text.",
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
            "Request methods the route is for.",
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
