//! The keys of the contract, section by section: the one table. Those of sites are in `site.rs`.
//!
//! Order and words follow the public contract. Ranges are chosen so that a slip of the keyboard
//! (`"10h"` for `"10s"`) is caught where no sane node needs the value, and stated with each key.

use corsair_http1::{HEAD_BYTES_CAP, HEADER_LINES_CAP};

use super::site::SITE;
use super::{Absent, Key, Section, Shape, Status, Word};
use Absent::{Means, Refused, Told};
use Status::{NotBuilt, Works};

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
pub(super) const TIB: u64 = 1 << 40;
const MINUTE: u64 = 60_000;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;
/// Ten years means forever, and stays far below the 2^31 seconds of RFC 9111 §1.2.2.
pub(super) const LIFETIME_MAX: u64 = 3650 * DAY;

pub(super) const fn key(
    name: &'static str,
    shape: Shape,
    absent: Absent,
    doc: &'static str,
) -> Key {
    Key {
        name,
        shape,
        absent,
        doc,
        status: Works,
    }
}

/// A key of the contract that is refused until it is built.
pub(super) const fn later(
    name: &'static str,
    shape: Shape,
    absent: Absent,
    doc: &'static str,
) -> Key {
    Key {
        name,
        shape,
        absent,
        doc,
        status: NotBuilt,
    }
}

pub(super) const fn word(text: &'static str, status: Status) -> Word {
    Word { text, status }
}

pub(super) const fn duration(min_ms: u64, max_ms: u64) -> Shape {
    Shape::Duration {
        min_ms,
        max_ms,
        step_ms: 1,
    }
}

pub(super) const fn seconds(max_ms: u64) -> Shape {
    Shape::Duration {
        min_ms: 0,
        max_ms,
        step_ms: 1_000,
    }
}

pub(super) const fn texts(max: usize) -> Shape {
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
            Shape::Size {
                min: KIB,
                max: HEAD_BYTES_CAP as u64,
            },
            Means("32KiB"),
            "Longest request head; past it 431. An upstream's head may have 64KiB and 255 lines.",
        ),
        key(
            "header_lines",
            Shape::Count {
                min: 8,
                max: HEADER_LINES_CAP as u64,
            },
            Means("100"),
            "Most header lines in a request head; past it 431.",
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
            "Slowest body, from or to a client, that is not cut off; 0B/s is no limit. An upstream may \
             be silent for its `response_timeout` between two pieces of a body.",
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
