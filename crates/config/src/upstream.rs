//! `[[upstream]]`: where responses come from.
//!
//! One server each, `http://host:port`, nothing behind it: paths, queries and user names in the
//! URL are refused rather than dropped. Never resolves a name.

use core::net::Ipv6Addr;
use std::collections::HashMap;

use corsair_rules::host_name::check_host;

use crate::diagnostic::Code;
use crate::fields::{Fields, Located};
use crate::globals::{is_name, millis};
use crate::plan::{HostMode, Scheme, UpstreamPlan};
use crate::report::{Report, clip};
use crate::source_map::Span;
use crate::suggest::closest;

/// Most names a "did you mean" looks at; nobody's typing slip is worth comparing more.
const CANDIDATES_MAX: usize = 1_000;
/// Most names listed when nothing is near.
const LISTED_MAX: usize = 8;

/// The upstreams as far as they can be read, and what refers to them.
pub(crate) struct Upstreams {
    plans: Vec<UpstreamPlan>,
    /// One for each plan. An upstream whose server is wrong keeps its name, so that its sites are
    /// not told it does not exist.
    declared: Vec<Declared>,
    /// The first declaration of each name.
    by_name: HashMap<String, usize>,
}

struct Declared {
    at: Span,
    is_used: bool,
}

impl Upstreams {
    pub(crate) fn read(root: &Fields<'_>, report: &mut Report) -> Self {
        let mut upstreams = Self {
            plans: Vec::new(),
            declared: Vec::new(),
            by_name: HashMap::new(),
        };
        for fields in root.sections("upstream").unwrap_or_default() {
            let name = upstreams.declare(fields, report);
            let server = read_servers(fields, report);
            let host_mode = read_host_mode(fields, report);
            let Server {
                host,
                port,
                authority,
            } = server.unwrap_or_default();
            upstreams.plans.push(UpstreamPlan {
                name,
                scheme: Scheme::Http,
                host,
                port,
                authority,
                host_mode,
                connect_timeout: millis(fields, "connect_timeout"),
                response_timeout: millis(fields, "response_timeout"),
            });
        }
        upstreams
    }

    /// Takes down the name and its place.
    fn declare(&mut self, fields: &Fields<'_>, report: &mut Report) -> String {
        let index = self.declared.len();
        let Some(Located { value: name, at }) = fields.text("name") else {
            self.declared.push(Declared {
                at: fields.at,
                is_used: true,
            });
            return String::new();
        };
        self.declared.push(Declared { at, is_used: false });
        if !is_name(name) {
            let message = format!("`upstream.name`: `{}` is no name", clip(name));
            report.add(
                Code::BadName,
                at,
                message,
                "use letters, digits and `-._`, at most 64",
            );
        }
        if let Some(first) = self.by_name.get(name) {
            let place = report.place(self.declared[*first].at);
            let message = format!(
                "upstream `{}` is declared a second time, first at {place}",
                clip(name)
            );
            report.add(
                Code::DuplicateName,
                at,
                message,
                "give each upstream its own name",
            );
        } else {
            self.by_name.insert(name.to_owned(), index);
        }
        name.to_owned()
    }

    /// The index of an upstream that a site or route refers to.
    pub(crate) fn find(&mut self, name: Located<&str>, report: &mut Report) -> Option<usize> {
        if let Some(index) = self.by_name.get(name.value) {
            self.declared[*index].is_used = true;
            return Some(*index);
        }
        // That there is none, or none that can be read, was told.
        if !self.by_name.is_empty() && !report.is_full() {
            let message = format!("there is no upstream `{}`", clip(name.value));
            let remedy = self.reference_remedy(name.value);
            report.add_absence(Code::UnknownUpstream, name.at, message, remedy);
        }
        None
    }

    fn reference_remedy(&self, name: &str) -> String {
        let known = self
            .plans
            .iter()
            .map(|plan| plan.name.as_str())
            .filter(|n| !n.is_empty());
        if let Some(near) = closest(name, known.clone().take(CANDIDATES_MAX)) {
            return format!("did you mean `{}`?", clip(near));
        }
        if name.contains("://") {
            return "declare the server under [[upstream]] and write its name here".to_owned();
        }
        let listed: Vec<String> = known.clone().take(LISTED_MAX).map(clip).collect();
        let more = if known.count() > LISTED_MAX {
            " and others"
        } else {
            ""
        };
        format!("the upstreams are {}{more}", listed.join(", "))
    }

    /// Warns of what nobody refers to, and gives the plans.
    pub(crate) fn finish(self, report: &mut Report) -> Vec<UpstreamPlan> {
        // What an error hides may well be a reference.
        if !report.has_errors() {
            let both = self.declared.iter().zip(&self.plans);
            for (declared, plan) in both.filter(|(declared, _)| !declared.is_used) {
                let message = format!("no site uses the upstream `{}`", clip(&plan.name));
                let remedy = "refer to it by `upstream = …` in a site or route, or remove it";
                report.add(Code::UnusedUpstream, declared.at, message, remedy);
            }
        }
        self.plans
    }
}

#[derive(Default)]
struct Server {
    host: String,
    port: u16,
    authority: String,
}

fn read_servers(fields: &Fields<'_>, report: &mut Report) -> Option<Server> {
    let servers = fields.texts("servers")?;
    if let [_, _, ..] = servers {
        // Whether each is one, before that there are several.
        let mut all_read = true;
        for server in servers {
            if let Err(problem) = read_server(server.value) {
                all_read = false;
                tell_wrong(server, problem, report);
            }
        }
        if !all_read {
            return None;
        }
    }
    let [server] = servers else {
        match servers.get(1) {
            None => report.add_absence(
                Code::MissingKey,
                fields.at("servers"),
                "`upstream.servers` is empty",
                "write one server: `servers = [\"http://127.0.0.1:9000\"]`",
            ),
            Some(second) => report.add(
                Code::NotBuilt,
                second.at,
                "several servers are part of the contract but not built yet",
                "keep one of them",
            ),
        }
        return None;
    };
    match read_server(server.value) {
        Ok(read) => Some(read),
        Err(problem) => {
            tell_wrong(server, problem, report);
            None
        }
    }
}

struct Wrong {
    code: Code,
    /// Byte of the URL it is about.
    offset: usize,
    message: String,
    remedy: String,
}

impl Wrong {
    fn url(offset: usize, message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            code: Code::BadUrl,
            offset,
            message: message.into(),
            remedy: remedy.into(),
        }
    }
}

/// Tells what is wrong with a server, at its place.
fn tell_wrong(server: &Located<&str>, problem: Wrong, report: &mut Report) {
    let Wrong {
        code,
        offset,
        message,
        remedy,
    } = problem;
    // The opening quote is one byte; escapes before the place are too rare to follow.
    let inside = server
        .at
        .part(1 + offset, server.value.len().saturating_sub(offset));
    report.add(code, inside, message, remedy);
}

fn read_server(url: &str) -> Result<Server, Wrong> {
    let rest = without_scheme(url)?;
    let start = url.len() - rest.len();
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, tail) = rest.split_at(end);
    if !tail.is_empty() && tail != "/" {
        let message = format!("`{}` has a path, which would not be used", clip(url));
        let remedy = format!("write \"http://{}\"", clip(authority));
        return Err(Wrong::url(start + end, message, remedy));
    }
    if let Some((_, host)) = authority.split_once('@') {
        let message = "the URL of an upstream cannot hold a user name";
        return Err(Wrong::url(
            start,
            message,
            format!("write \"http://{}\"", clip(host)),
        ));
    }
    let Some((host, port)) = split_authority(authority).filter(|(_, port)| *port != Some(0)) else {
        let message = format!("`{}` is no host with a port", clip(authority));
        let remedy = "write \"http://127.0.0.1:9000\", \"http://[::1]:9000\" or a host name";
        return Err(Wrong::url(start, message, remedy));
    };
    let port = port.unwrap_or(80);
    let authority = if port == 80 {
        host.clone()
    } else {
        format!("{host}:{port}")
    };
    let host = host
        .trim_start_matches('[')
        .trim_end_matches(']')
        .to_owned();
    Ok(Server {
        host,
        port,
        authority,
    })
}

/// What stands behind `http://`, the one scheme there is.
fn without_scheme(url: &str) -> Result<&str, Wrong> {
    match url.split_once("://") {
        Some(("http", rest)) => Ok(rest),
        Some(("https", _)) => Err(Wrong {
            code: Code::NotBuilt,
            offset: 0,
            message: "https to upstreams is part of the contract but not built yet".to_owned(),
            remedy: "write an http:// server".to_owned(),
        }),
        Some((scheme, _)) => {
            let message = format!("`{}` is no scheme an upstream can have", clip(scheme));
            Err(Wrong::url(0, message, "write \"http://host:port\""))
        }
        None => {
            let message = format!("`{}` has no scheme", clip(url));
            let remedy = match split_authority(url) {
                Some(_) => format!("write \"http://{url}\""),
                None => "write it as \"http://host:port\"".to_owned(),
            };
            Err(Wrong::url(0, message, remedy))
        }
    }
}

/// Host in its one spelling (lower case, shortest IPv6 in brackets) and port, if the text is that.
fn split_authority(text: &str) -> Option<(String, Option<u16>)> {
    let (host, port) = match text.rsplit_once(':') {
        // A colon within brackets belongs to the address.
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        Some(_) | None => (text, None),
    };
    let port = match port {
        None => None,
        Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            Some(digits.parse().ok()?)
        }
        Some(_) => return None,
    };
    let host = match host
        .strip_prefix('[')
        .and_then(|inner| inner.strip_suffix(']'))
    {
        Some(inner) => format!("[{}]", inner.parse::<Ipv6Addr>().ok()?),
        None => host.to_ascii_lowercase(),
    };
    let is_ipv6 = host.starts_with('[');
    (is_ipv6 || check_host(host.as_bytes()).is_ok()).then_some((host, port))
}

fn read_host_mode(fields: &Fields<'_>, report: &mut Report) -> HostMode {
    let Some(Located { value: text, at }) = fields.text("host") else {
        return HostMode::Client;
    };
    match text {
        "client" => HostMode::Client,
        "server" => HostMode::Server,
        literal => {
            if split_authority(literal).is_none() {
                let message = format!("`upstream.host`: `{}` is no host", clip(literal));
                let remedy =
                    "write \"client\", \"server\", or the host itself: \"cdn.example.com\"";
                report.add(Code::BadName, at, message, remedy);
            }
            HostMode::Literal(literal.to_owned())
        }
    }
}
