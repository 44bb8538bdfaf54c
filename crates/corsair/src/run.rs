//! `corsair run`: from a configuration to a serving node, and from a signal to its end.
//!
//! The main thread starts everything, then only waits for what ends it. It never serves, and never
//! runs a runtime.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::ExitCode;
use std::sync::{Arc, mpsc};

use corsair_config::{Driver, Plan, Severity};
use corsair_control::{AdminListener, Control, ControlOptions, StopSignal, Watch, resolve_first};
use corsair_server::{Node, StartError};

use crate::cli::{RunArguments, VERSION};
use crate::config_source::ConfigSource;
use crate::list_files::ConfigReader;
use crate::talk::say;
use crate::{demo, internal_errors, open_files};

const DRAINED: u8 = 0;
const CANNOT_START: u8 = 1;
const BAD_CONFIG: u8 = 2;
const CONNECTIONS_CUT: u8 = 3;
/// 128 and the number of SIGINT, as shells have it.
const INTERRUPTED: u8 = 130;

/// What the main thread waits for.
enum Event {
    Stop(StopSignal),
    /// The drain has ended; so many connections were cut.
    Drained(u64),
}

/// Runs a node to its end.
pub(crate) fn run(arguments: RunArguments) -> ExitCode {
    let code = start(arguments).map_or_else(|failure| failure.tell(), |running| running.wait());
    ExitCode::from(code)
}

/// Why nothing runs.
enum Failure {
    /// Told already, diagnostic by diagnostic.
    BadConfig {
        errors: usize,
    },
    CannotStart {
        what: String,
        help: Option<String>,
    },
}

impl Failure {
    fn tell(&self) -> u8 {
        match self {
            Self::BadConfig { errors } => {
                let s = if *errors == 1 { "" } else { "s" };
                say(&format!(
                    "nothing was started: {errors} error{s} in the configuration"
                ));
                BAD_CONFIG
            }
            Self::CannotStart { what, help } => {
                say(&format!("error: {what}"));
                if let Some(help) = help {
                    say(&format!("  = help: {help}"));
                }
                CANNOT_START
            }
        }
    }
}

struct Running {
    node: Arc<Node>,
    /// Serves until it is dropped.
    _control: Control,
    events: mpsc::Receiver<Event>,
    report: mpsc::Sender<Event>,
}

fn start(arguments: RunArguments) -> Result<Running, Failure> {
    let limit = open_files::raise_limit();
    let source =
        match arguments.config {
            Some(path) => ConfigSource::File(path),
            None => ConfigSource::Demo(demo::start_upstream().map_err(|error| {
                Failure::CannotStart {
                    what: format!("{error:#}"),
                    help: None,
                }
            })?),
        };
    let reader = Arc::new(ConfigReader::new(source.clone(), arguments.set));
    let checked = reader.load();
    checked
        .diagnostics
        .iter()
        .for_each(|diagnostic| say(&diagnostic.to_string()));
    let errors = checked.count(Severity::Error);
    let plan = checked.plan.ok_or(Failure::BadConfig { errors })?;
    if let Some(warning) = open_files::shortage(limit, plan.limits.connections) {
        say(&warning);
    }
    let admin = AdminListener::bind(plan.admin.listen).map_err(|error| {
        let help = remedy(error.address, &error.reason, "admin.listen");
        Failure::CannotStart {
            what: error.to_string(),
            help,
        }
    })?;
    let listeners: Vec<SocketAddr> = plan.listeners.iter().map(|l| l.address).collect();
    let resolved = resolve_first(&plan.upstreams);
    let node = Node::start(plan, &resolved).map_err(|error| start_failure(&error, &listeners))?;
    let (report, events) = mpsc::channel();
    let stops = report.clone();
    let [whole, lists, looked] = [(); 3].map(|()| Arc::clone(&reader));
    let options = ControlOptions {
        build: VERSION,
        load: Box::new(move || whole.load()),
        watch: Watch {
            changed: Box::new(move || looked.lists_have_changed()),
            load: Box::new(move || lists.load_lists()),
        },
        talk: Arc::new(say),
        on_stop: Box::new(move |signal| {
            // The receiver lives as long as the process is of use.
            let _ending = stops.send(Event::Stop(signal));
        }),
        panics: internal_errors::count,
    };
    let edge: Arc<Node> = Arc::clone(&node);
    let control = Control::start(admin, edge, options).map_err(|error| Failure::CannotStart {
        what: error.to_string(),
        help: None,
    })?;
    say_banner(&node, &control, &source);
    Ok(Running {
        node,
        _control: control,
        events,
        report,
    })
}

fn say_banner(node: &Node, control: &Control, source: &ConfigSource) {
    let plan = node.plan();
    let workers = node.snapshot().workers.len();
    let s = if workers == 1 { "" } else { "s" };
    let cache = readable_bytes(plan.cache.memory);
    let driver = node.driver();
    say(&format!(
        "corsair {VERSION}: node `{}` from {}",
        plan.node.name,
        source.name()
    ));
    say(&format!(
        "driver {driver}, {workers} worker{s}, cache {cache}"
    ));
    if let Some(warning) = driver_warning(&plan, driver) {
        say(warning);
    }
    for address in node.addresses() {
        say(&format!("listening on {address}"));
    }
    say(&format!("admin on http://{}", control.address()));
    if let (ConfigSource::Demo(upstream), Some(first)) = (source, node.addresses().first()) {
        demo::say_hints(reachable(*first), control.address(), *upstream);
    }
}

/// A fallback is loud: the node works, at a price that nobody should find out from a graph.
fn driver_warning(plan: &Plan, live: &str) -> Option<&'static str> {
    match plan.node.driver {
        Driver::Auto if live == "epoll" => Some(
            "warning: io_uring cannot be used here (old kernel, seccomp or sysctl \
             kernel.io_uring_disabled); running on epoll instead",
        ),
        Driver::Auto | Driver::IoUring | Driver::Epoll => None,
    }
}

fn start_failure(error: &StartError, listeners: &[SocketAddr]) -> Failure {
    let help = match error {
        StartError::Listen { address, source } => {
            let index = listeners
                .iter()
                .position(|listener| listener == address)
                .unwrap_or(0);
            remedy(*address, source, &format!("listener.{index}.address"))
        }
        StartError::Worker { .. } => Some("another driver: --set node.driver=epoll".to_owned()),
    };
    Failure::CannotStart {
        what: error.to_string(),
        help,
    }
}

/// What to do about an address that cannot be bound; `key` is the setting that names it.
fn remedy(address: SocketAddr, reason: &io::Error, key: &str) -> Option<String> {
    let port = address.port();
    let next = SocketAddr::new(address.ip(), port.checked_add(1).unwrap_or(8080));
    let other = format!("choose another address: --set {key}={next}");
    match reason.kind() {
        io::ErrorKind::AddrInUse => Some(format!(
            "`ss -ltnp 'sport = :{port}'` shows who has it; end that, or {other}"
        )),
        io::ErrorKind::PermissionDenied if port < 1024 => Some(format!(
            "ports below 1024 need the capability CAP_NET_BIND_SERVICE; or choose a higher port: \
             --set {key}={}",
            SocketAddr::new(address.ip(), 8080)
        )),
        io::ErrorKind::AddrNotAvailable => Some(format!(
            "no interface of this machine has {}; `ip address` shows what there is",
            address.ip()
        )),
        _ => Some(other),
    }
}

/// The address a client on this machine can use.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

/// `64 MiB`; in the largest unit that leaves no remainder.
fn readable_bytes(bytes: u64) -> String {
    let units = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    let unit = units
        .into_iter()
        .find(|(size, _)| bytes >= *size && bytes.is_multiple_of(*size));
    unit.map_or_else(
        || format!("{bytes} B"),
        |(size, name)| format!("{} {name}", bytes / size),
    )
}

impl Running {
    /// Waits for the first signal, drains, and says how it ended.
    fn wait(self) -> u8 {
        let mut draining = false;
        // The loop holds a sender, so the channel ends only with it.
        while let Ok(event) = self.events.recv() {
            match event {
                Event::Stop(signal) if !draining => {
                    draining = true;
                    self.drain(signal);
                }
                Event::Stop(StopSignal::Interrupt) => {
                    say("ended at once (SIGINT while draining)");
                    return INTERRUPTED;
                }
                Event::Stop(StopSignal::Terminate) => {}
                Event::Drained(0) => {
                    say("drained: every connection has ended");
                    return DRAINED;
                }
                Event::Drained(cut) => {
                    let s = if cut == 1 { "" } else { "s" };
                    say(&format!("the drain time is up: {cut} connection{s} cut"));
                    return CONNECTIONS_CUT;
                }
            }
        }
        DRAINED
    }

    /// Begins to drain. The waiting has its own thread, so that this one hears a second signal.
    fn drain(&self, signal: StopSignal) {
        let limit = self.node.plan().node.drain_timeout;
        self.node.begin_drain();
        let name = signal.as_str();
        say(&format!(
            "draining ({name}): at most {limit:?}; SIGINT ends at once"
        ));
        let (node, report) = (Arc::clone(&self.node), self.report.clone());
        let thread = std::thread::Builder::new()
            .name("drain".into())
            .spawn(move || {
                let cut = node.wait_drained(limit).connections_cut;
                let _ending = report.send(Event::Drained(cut));
            });
        if let Err(error) = thread {
            say(&format!("warning: cannot wait for connections: {error}"));
            let _heard = self.report.send(Event::Drained(0));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_failure_to_listen_has_its_remedy() {
        use io::ErrorKind::{AddrInUse, AddrNotAvailable, Other, PermissionDenied};
        let table = [
            (
                AddrInUse,
                "127.0.0.1:8080",
                "or choose another address: --set k=127.0.0.1:8081",
            ),
            (
                AddrInUse,
                "[::1]:65535",
                "or choose another address: --set k=[::1]:8080",
            ),
            (
                PermissionDenied,
                "0.0.0.0:80",
                "choose a higher port: --set k=0.0.0.0:8080",
            ),
            (
                PermissionDenied,
                "0.0.0.0:8080",
                "choose another address: --set k=0.0.0.0:8081",
            ),
            (
                AddrNotAvailable,
                "192.0.2.1:80",
                "`ip address` shows what there is",
            ),
            (
                Other,
                "127.0.0.1:80",
                "choose another address: --set k=127.0.0.1:81",
            ),
        ];
        for (kind, address, end) in table {
            let help = remedy(address.parse().unwrap(), &kind.into(), "k").unwrap();
            assert!(help.ends_with(end), "{kind:?} {address}: {help}");
        }
    }

    #[test]
    fn a_busy_listener_is_named_by_its_number() {
        let listeners = ["127.0.0.1:1", "127.0.0.1:2"].map(|a| a.parse().unwrap());
        let error = StartError::Listen {
            address: listeners[1],
            source: io::ErrorKind::AddrInUse.into(),
        };
        let Failure::CannotStart { help, .. } = start_failure(&error, &listeners) else {
            panic!("an address in use is no fault of the configuration");
        };
        assert!(
            help.unwrap()
                .ends_with("--set listener.1.address=127.0.0.1:3")
        );
    }

    #[test]
    fn sizes_are_shown_without_remainders() {
        let table = [
            (0, "0 B"),
            (1023, "1023 B"),
            (1 << 26, "64 MiB"),
            (3 << 30, "3 GiB"),
            (1536, "1536 B"),
        ];
        for (bytes, expected) in table {
            assert_eq!(readable_bytes(bytes), expected);
        }
    }

    #[test]
    fn hints_use_an_address_that_can_be_reached() {
        for (given, expected) in [
            ("0.0.0.0:8080", "127.0.0.1:8080"),
            ("[::]:8080", "[::1]:8080"),
            ("10.0.0.1:8080", "10.0.0.1:8080"),
        ] {
            assert_eq!(reachable(given.parse().unwrap()).to_string(), expected);
        }
    }
}
