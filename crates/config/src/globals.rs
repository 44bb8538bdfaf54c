//! The sections there is one of: `[node]`, `[admin]`, `[limits]`, `[cache]`, and the listeners.

use core::net::{IpAddr, SocketAddr};
use core::time::Duration;

use corsair_http1::is_token;

use crate::check::FileSource;
use crate::diagnostic::Code;
use crate::fields::Fields;
use crate::plan::{
    AdminPlan, CacheBudget, Driver, Limits, ListenerPlan, NODE_NAME_BYTES_MAX, NodePlan,
};
use crate::report::{Report, clip};
use crate::schema::contract;
use crate::source_map::Span;

/// The section, or all its defaults.
fn section_or_defaults<'f, 't>(
    root: &'f Fields<'t>,
    name: &str,
    defaults: &'f Fields<'t>,
) -> &'f Fields<'t> {
    root.section(name).unwrap_or(defaults)
}

pub(crate) fn read_node(
    root: &Fields<'_>,
    files: &dyn FileSource,
    report: &mut Report,
) -> NodePlan {
    let defaults = Fields::absent(&contract::NODE, root.at);
    let node = section_or_defaults(root, "node", &defaults);
    let name = match node.text("name") {
        Some(name) => {
            if !is_name(name.value) {
                let message = format!("`node.name`: `{}` is no node name", clip(name.value));
                let remedy =
                    format!("use letters, digits and `-._`, at most {NODE_NAME_BYTES_MAX} of them");
                report.add(Code::BadName, name.at, message, remedy);
            }
            name.value.to_owned()
        }
        None => default_name(files),
    };
    let driver = match node.word("driver") {
        Some("io_uring") => Driver::IoUring,
        Some("epoll") => Driver::Epoll,
        _ => Driver::Auto,
    };
    NodePlan {
        name,
        workers: node.number("workers").map(count),
        driver,
        drain_timeout: millis(node, "drain_timeout"),
    }
}

/// Whether a text can stand in `Cache-Status` and `Via` as it is, and in a file of names.
pub(crate) fn is_name(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    text.len() <= NODE_NAME_BYTES_MAX && is_token(text.as_bytes()) && text.bytes().all(plain)
}

/// The host name, with anything that no name may have turned into `-`.
fn default_name(files: &dyn FileSource) -> String {
    let name: String = files
        .host_name()
        .unwrap_or_default()
        .chars()
        .take(NODE_NAME_BYTES_MAX)
        .map(|c| {
            if c.is_ascii_alphanumeric() || "-._".contains(c) {
                c
            } else {
                '-'
            }
        })
        .collect();
    if name.is_empty() {
        "corsair".to_owned()
    } else {
        name
    }
}

pub(crate) fn read_limits(root: &Fields<'_>) -> Limits {
    let defaults = Fields::absent(&contract::LIMITS, root.at);
    let limits = section_or_defaults(root, "limits", &defaults);
    let requests = limits.number_or_default("requests_per_connection");
    Limits {
        head_bytes: count(limits.number_or_default("head_bytes")),
        header_lines: count(limits.number_or_default("header_lines")),
        body_bytes: limits.number_or_default("body_bytes"),
        connections: count(limits.number_or_default("connections")),
        requests_per_connection: Some(requests).filter(|requests| *requests > 0),
        head_timeout: millis(limits, "head_timeout"),
        idle_timeout: millis(limits, "idle_timeout"),
        body_min_rate: limits.number_or_default("body_min_rate"),
    }
}

pub(crate) fn read_cache(root: &Fields<'_>) -> CacheBudget {
    let defaults = Fields::absent(&contract::CACHE, root.at);
    CacheBudget {
        memory: section_or_defaults(root, "cache", &defaults).number_or_default("memory"),
    }
}

/// A duration of the schema, or its default there.
pub(crate) fn millis(fields: &Fields<'_>, name: &str) -> Duration {
    Duration::from_millis(fields.number_or_default(name))
}

/// A number whose range in the schema is within `usize`.
fn count(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

pub(crate) fn read_listeners(root: &Fields<'_>, report: &mut Report) -> Vec<(ListenerPlan, Span)> {
    let mut listeners: Vec<(ListenerPlan, Span)> = Vec::new();
    for fields in root.sections("listener").unwrap_or_default() {
        let Some(text) = fields.text("address") else {
            continue;
        };
        let Some(address) = read_address(text.value, "listener.address", text.at, report) else {
            continue;
        };
        let earlier = listeners.iter().find(|(plan, _)| plan.address == address);
        if let Some((_, first)) = earlier.filter(|_| address.port() != 0) {
            let message = format!(
                "{address} is listened on a second time, first at {}",
                report.place(*first)
            );
            report.add(
                Code::DuplicateAddress,
                text.at,
                message,
                "remove one of the listeners",
            );
            continue;
        }
        listeners.push((ListenerPlan { address }, text.at));
    }
    listeners
}

pub(crate) fn read_admin(
    root: &Fields<'_>,
    listeners: &[(ListenerPlan, Span)],
    report: &mut Report,
) -> AdminPlan {
    let standard = SocketAddr::from(([127, 0, 0, 1], 9180));
    let defaults = Fields::absent(&contract::ADMIN, root.at);
    let admin = section_or_defaults(root, "admin", &defaults);
    let written = admin.text("listen");
    let listen = written
        .and_then(|text| read_address(text.value, "admin.listen", text.at, report))
        .unwrap_or(standard);
    if !listen.ip().is_loopback() {
        report.add(
            Code::AdminExposed,
            admin.at("listen"),
            format!("`admin.listen`: {listen} can be reached from other machines"),
            format!(
                "write \"127.0.0.1:{}\"; other addresses need tokens, not built yet",
                listen.port()
            ),
        );
    }
    let taken = |address: SocketAddr| {
        let same = address.ip() == listen.ip() || is_any_of_family(address.ip(), listen.ip());
        same && address.port() == listen.port() && listen.port() != 0
    };
    if let Some((plan, at)) = listeners.iter().find(|(plan, _)| taken(plan.address)) {
        report.add(
            Code::DuplicateAddress,
            *at,
            format!(
                "the listener {} would take the admin API's {listen}",
                plan.address
            ),
            "give one of the two another port",
        );
    }
    AdminPlan { listen }
}

fn is_any_of_family(any: IpAddr, ip: IpAddr) -> bool {
    any.is_unspecified() && (any.is_ipv4() == ip.is_ipv4() || any.is_ipv6())
}

/// An IP address with a port; anything else is told with what was probably meant.
fn read_address(text: &str, name: &str, at: Span, report: &mut Report) -> Option<SocketAddr> {
    if let Ok(address) = text.parse() {
        return Some(address);
    }
    let remedy = address_remedy(text);
    let message = format!(
        "`{name}`: `{}` is not an IP address with a port",
        clip(text)
    );
    report.add(Code::BadAddress, at, message, remedy);
    None
}

fn address_remedy(text: &str) -> String {
    if let Ok(port) = text.trim_start_matches([':', '*']).parse::<u16>() {
        return format!("write \"0.0.0.0:{port}\" (IPv4), \"[::]:{port}\" or \"127.0.0.1:{port}\"");
    }
    let split = text.rsplit_once(':');
    if let Ok(ip) = text.parse::<IpAddr>() {
        // `::1:8080` is an address too; so many digits at its end are meant as a port.
        let meant = split.and_then(|(host, port)| {
            let port = port.parse::<u16>().ok().filter(|_| port.len() > 1)?;
            Some(SocketAddr::new(host.parse().ok()?, port))
        });
        return match meant {
            Some(address) => format!("an IPv6 address stands in brackets: \"{address}\""),
            None => format!("add a port: \"{}\"", SocketAddr::new(ip, 8080)),
        };
    }
    let Some((host, port)) = split else {
        return "write address and port, such as \"0.0.0.0:8080\"".to_owned();
    };
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    match (bare.parse::<IpAddr>(), port.parse::<u16>()) {
        (Ok(ip), Ok(port)) => format!("write \"{}\"", SocketAddr::new(ip, port)),
        (Ok(_), Err(_)) => "the port is a number from 0 to 65535".to_owned(),
        (Err(_), Ok(port)) if host == "localhost" => format!("write \"127.0.0.1:{port}\""),
        (Err(_), _) => "names are not looked up: write an IP address and a port, such as \
                        \"0.0.0.0:8080\""
            .to_owned(),
    }
}
