//! From flags and files to a plan.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use loadgen::draw::draw_fresh_base;
use loadgen::expect::{ExpectSpec, StatusText};
use loadgen::learned::VolatileFields;
use loadgen::mix_file::{expand_pattern, read_mix, read_origin_list};
use loadgen::plan::{DriverChoice, Length, ListedRequest, Load, Plan, SlowClients, SlowHabit};
use loadgen::replay::{Log, LoggedMethod, LoggedRequest, parse_log};
use loadgen::report::RunFacts;
use loadgen::schedule::{Rate, Schedule};
use loadgen::target::Target;
use loadgen::traffic::{Connection, Destination, Kind, Origins, Shape, Traffic, expects_content};
use loadgen::validity::Gates;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::run::{DriverName, RequestShare, Run, SlowAt};

/// Descriptors that are not connections: rings, timers, files.
const OTHER_DESCRIPTORS: u64 = 64;

/// Length of a run that gives none.
const DEFAULT_DURATION: Duration = Duration::from_secs(10);

/// A run, ready to start.
pub(super) struct Prepared {
    pub(super) plan: Plan,
    pub(super) facts: RunFacts,
    pub(super) gates: Gates,
}

/// Traffic and pace, which come together when a log is replayed.
struct Demand {
    kinds: Vec<Kind>,
    load: Load,
    length: Length,
    replayed: Option<Log>,
}

pub(super) fn prepare(flags: &Run) -> anyhow::Result<Prepared> {
    check_numbers(flags)?;
    let target: Target = flags.url.parse()?;
    let address = target.resolve()?;
    let mut notices = Vec::new();
    let demand = demand(flags, &target, &mut notices)?;
    let connection = if flags.no_keepalive {
        Connection::Close
    } else {
        Connection::Keep
    };
    let destination = Destination {
        authority: target.authority.clone(),
        connection,
    };
    let traffic = Traffic::compile(&demand.kinds, &destination)?;
    let listed = demand
        .replayed
        .map(|log| listed_requests(&log, &demand.kinds, &traffic));
    let mut connections = flags.connections;
    if let Length::Count(count) = demand.length {
        ensure!(count > 0, "-n needs at least one request");
        connections = connections.min(usize::try_from(count).unwrap_or(usize::MAX));
    }
    connections = capped_by_nofile(connections, flags.slow_clients, &mut notices)?;
    let plan = Plan {
        address,
        traffic,
        listed,
        load: demand.load,
        connections,
        requests_per_connection: match connection {
            Connection::Close => Some(1),
            Connection::Keep => flags.requests_per_connection,
        },
        warmup: flags.warmup,
        length: demand.length,
        timeout: flags.timeout,
        connect_timeout: flags.connect_timeout,
        seed: flags.seed,
        fresh_base: flags.fresh_base.unwrap_or_else(fresh_base),
        cpus: cpus_of(flags, connections),
        volatile: VolatileFields {
            names: flags.volatile.clone(),
        },
        driver: match flags.driver {
            DriverName::Auto => DriverChoice::Auto,
            DriverName::IoUring => DriverChoice::IoUring,
            DriverName::Epoll => DriverChoice::Epoll,
        },
        slow: slow_clients_of(flags),
    };
    let facts = RunFacts {
        url: flags.url.clone(),
        rate: match &flags.replay {
            Some(_) => Some(format!("replay x{}", speed(flags))),
            None => flags.rate.as_ref().map(ToString::to_string),
        },
        command: std::env::args().collect(),
        notices,
    };
    Ok(Prepared {
        plan,
        facts,
        gates: Gates {
            stolen_share_max: flags.max_steal / 100.0,
            ..Gates::default()
        },
    })
}

fn check_numbers(flags: &Run) -> anyhow::Result<()> {
    ensure!(flags.connections > 0, "-c needs at least one connection");
    ensure!(
        flags.depth > 0,
        "--depth needs at least one request in flight"
    );
    ensure!(
        flags.requests_per_connection != Some(0),
        "--requests-per-connection is at least 1"
    );
    ensure!(!flags.timeout.is_zero(), "--timeout is longer than nothing");
    ensure!(
        flags.speed.is_none() || flags.replay.is_some(),
        "--speed is that of a --replay"
    );
    ensure!(
        speed(flags).is_finite() && speed(flags) > 0.0,
        "--speed is above 0"
    );
    Ok(())
}

fn speed(flags: &Run) -> f64 {
    flags.speed.unwrap_or(1.0)
}

/// Another one in each process, also of those that are started at the same time.
fn fresh_base() -> u64 {
    let now = loadgen::clock::wall_time();
    // Nanoseconds since 1970 fill the lower bits, process numbers what is left of the upper ones.
    let nanoseconds = now.as_secs().wrapping_mul(1_000_000_000) + u64::from(now.subsec_nanos());
    draw_fresh_base(nanoseconds ^ u64::from(std::process::id()).rotate_right(22))
}

/// A worker for each CPU given, or one that is not pinned; none without a connection.
fn cpus_of(flags: &Run, connections: usize) -> Vec<Option<usize>> {
    let given = flags.cpu.as_ref();
    let mut cpus: Vec<Option<usize>> = given.map_or(vec![None], |list| {
        list.0.iter().copied().map(Some).collect()
    });
    cpus.truncate(connections);
    cpus
}

fn slow_clients_of(flags: &Run) -> Option<SlowClients> {
    (flags.slow_clients > 0).then_some(SlowClients {
        clients: flags.slow_clients,
        bytes_per_second: flags.slow_rate,
        habit: match flags.slow_at {
            SlowAt::Read => SlowHabit::Read,
            SlowAt::Send => SlowHabit::Send,
        },
    })
}

fn demand(flags: &Run, target: &Target, notices: &mut Vec<String>) -> anyhow::Result<Demand> {
    if let Some(path) = &flags.replay {
        return replay(flags, path, notices);
    }
    let kinds = match &flags.mix {
        Some(path) => {
            ensure!(
                target.path == "/",
                "with --mix the paths come from the file; give a URL without a path"
            );
            let mut kinds = read_mix(path)?;
            for kind in &mut kinds {
                kind.fields.extend(flags.headers.iter().cloned());
            }
            kinds
        }
        None => kinds_of_flags(flags, &target.path)?,
    };
    let length = match (flags.duration, flags.count) {
        (_, Some(count)) => Length::Count(count),
        (duration, None) => Length::Duration(duration.unwrap_or(DEFAULT_DURATION)),
    };
    let load = match &flags.rate {
        None => Load::Closed { depth: flags.depth },
        Some(rate) => {
            ensure!(
                flags.depth == 1,
                "--rate sends one request at a time; add connections"
            );
            let duration = match length {
                Length::Duration(duration) => Some(duration),
                Length::Count(_) => None,
            };
            let first = match rate {
                Rate::Constant(rate) | Rate::Ramp(rate, _) => *rate,
                Rate::Steps(steps) => steps.first().map_or(1.0, |(rate, _)| *rate),
            };
            Load::Open {
                schedule: Schedule::new(rate, duration)?,
                warmup: Schedule::new(&Rate::Constant(first), Some(flags.warmup))?,
            }
        }
    };
    if let (Load::Open { schedule, .. }, Length::Count(count)) = (&load, length) {
        let enough = count == 0 || schedule.time_of(count - 1).is_some();
        ensure!(
            enough,
            "the steps of --rate are over before {count} requests are sent"
        );
    }
    Ok(Demand {
        kinds,
        load,
        length,
        replayed: None,
    })
}

fn kinds_of_flags(flags: &Run, path: &str) -> anyhow::Result<Vec<Kind>> {
    let kind = kind_of_flags(flags, path)?;
    if flags.request.is_empty() {
        return Ok(vec![kind]);
    }
    ensure!(
        path == "/",
        "with --request the paths are in it; give a URL without a path"
    );
    let has_body = flags.body.is_some() || flags.body_file.is_some();
    let mut methods = flags.request.iter().map(|request| &request.method);
    ensure!(
        !has_body || methods.any(|method| expects_content(method)),
        "the body goes with POST, PUT and PATCH, and no --request has one of these methods"
    );
    let share = |request: &RequestShare| Kind {
        name: format!("{} {}", request.method, request.path),
        weight: request.weight,
        method: request.method.clone(),
        target: request.path.clone(),
        body: if expects_content(&request.method) {
            kind.body.clone()
        } else {
            Vec::new()
        },
        ..kind.clone()
    };
    Ok(flags.request.iter().map(share).collect())
}

fn kind_of_flags(flags: &Run, path: &str) -> anyhow::Result<Kind> {
    let body = match (&flags.body, &flags.body_file) {
        (Some(text), _) => text.clone().into_bytes(),
        (None, Some(path)) => {
            std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?
        }
        (None, None) => Vec::new(),
    };
    let has_body = flags.body.is_some() || flags.body_file.is_some();
    let default_method = if has_body { "POST" } else { "GET" };
    let method = flags
        .method
        .clone()
        .unwrap_or_else(|| default_method.to_owned());
    let mut fields = flags.headers.clone();
    let mut granted = flags.origin.clone();
    if let Some(path) = &flags.origin_list {
        granted.extend(read_origin_list(path)?);
    }
    if let Some(text) = &flags.origin_pattern {
        let (pattern, count) = text
            .rsplit_once('=')
            .and_then(|(pattern, count)| Some((pattern, count.parse().ok()?)))
            .context("--origin-pattern is PATTERN=COUNT, like 'https://t{n}.example=1000'")?;
        granted.extend(expand_pattern(pattern, count).map_err(anyhow::Error::msg)?);
    }
    // One Origin among the headers is the population, so that {origin} is what was sent.
    let is_origin = |(name, _): &(String, String)| name.eq_ignore_ascii_case("Origin");
    let given: Vec<usize> = fields
        .iter()
        .enumerate()
        .filter(|(_, f)| is_origin(f))
        .map(|(at, _)| at)
        .collect();
    if let (true, [at]) = (granted.is_empty(), given.as_slice()) {
        granted.push(fields.remove(*at).1);
    }
    Ok(Kind {
        name: format!("{method} {path}"),
        weight: 1.0,
        method,
        target: path.to_owned(),
        fields,
        body,
        origins: Origins {
            granted,
            hostile: Vec::new(),
            hostile_share: flags.hostile_origins,
            without_share: flags.without_origin,
        },
        expect: ExpectSpec {
            status: flags.expect_status.clone().map(StatusText::Text),
            headers: flags.expect_header.clone(),
            present: flags.expect_present.clone(),
            absent: flags.expect_absent.clone(),
            once: flags.expect_once.clone(),
            body_bytes: flags.expect_body_bytes,
            body_sha256: flags.expect_body_sha256.clone(),
        },
        expect_hostile: ExpectSpec::default(),
        expect_without_origin: ExpectSpec::default(),
    })
}

fn replay(flags: &Run, path: &Path, notices: &mut Vec<String>) -> anyhow::Result<Demand> {
    ensure!(
        flags.depth == 1,
        "--replay sends one request at a time; add connections"
    );
    ensure!(
        flags.method.is_none(),
        "--replay takes the methods from the log"
    );
    let text = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut log = parse_log(&String::from_utf8_lossy(&text));
    if log.requests.is_empty() {
        bail!("{}: no request that can be replayed", path.display());
    }
    if log.skipped > 0 {
        notices.push(format!(
            "{} of {} log lines cannot be replayed and are left out",
            log.skipped,
            log.skipped + log.requests.len()
        ));
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        clippy::cast_sign_loss,
        reason = "104 days in nanoseconds are below 2^53, and times are positive"
    )]
    let at_speed = |ns: u64| (ns as f64 / speed(flags)) as u64;
    let times: Arc<[u64]> = log.requests.iter().map(|r| at_speed(r.time_ns)).collect();
    let end = times.last().copied().unwrap_or(0) + 1;
    let kinds = replayed_kinds(flags, &mut log)?;
    let none = Schedule::listed(Arc::from([]));
    Ok(Demand {
        kinds,
        load: Load::Open {
            schedule: Schedule::listed(times),
            warmup: none,
        },
        length: Length::Duration(Duration::from_nanos(end)),
        replayed: Some(log),
    })
}

/// A kind for each method of the log. Without an origin among the flags it names those of the log,
/// sorted; with one, the log's are taken out of it.
fn replayed_kinds(flags: &Run, log: &mut Log) -> anyhow::Result<Vec<Kind>> {
    let model = kind_of_flags(flags, "/")?;
    let is_origin = |(name, _): &(String, String)| name.eq_ignore_ascii_case("Origin");
    if !model.origins.granted.is_empty() || model.fields.iter().any(is_origin) {
        for request in &mut log.requests {
            request.origin = None;
        }
    }
    let mut kinds = Vec::new();
    for method in LoggedMethod::ALL {
        let requests = || log.requests.iter().filter(|one| one.method == method);
        if requests().next().is_none() {
            continue;
        }
        let mut kind = model.clone();
        kind.name = format!("replay {}", method.as_str());
        method.as_str().clone_into(&mut kind.method);
        let named: BTreeSet<&str> = requests().filter_map(|one| one.origin.as_deref()).collect();
        if !named.is_empty() {
            kind.origins.granted = named.into_iter().map(str::to_owned).collect();
            // Any share makes a shape of those without; the log says which they are.
            let without = requests().any(|one| one.origin.is_none());
            kind.origins.without_share = if without { 0.5 } else { 0.0 };
        }
        kinds.push(kind);
    }
    Ok(kinds)
}

/// Each request of the log with a shape of its method: the first one names origins where the log
/// does; the last one none, or those of the flags.
fn listed_requests(log: &Log, kinds: &[Kind], traffic: &Traffic) -> Arc<[ListedRequest]> {
    let places = LoggedMethod::ALL.map(|method| {
        let kind = kinds.iter().position(|kind| kind.method == method.as_str());
        let is_of_kind = |shape: &Shape| Some(shape.kind) == kind;
        let first = traffic.shapes().iter().position(is_of_kind);
        let last = traffic.shapes().iter().rposition(is_of_kind);
        (kind, first, last)
    });
    let listed = |request: &LoggedRequest| {
        let method = LoggedMethod::ALL
            .iter()
            .position(|method| *method == request.method);
        let (kind, first, last) = places[method.expect("every method is among all of them")];
        let of_log = "every method of the log has a kind, which has a shape";
        let origin = request.origin.as_deref().map(|origin| {
            let granted = &kinds[kind.expect(of_log)].origins.granted;
            granted
                .binary_search_by(|one| one.as_str().cmp(origin))
                .expect("the kind names all origins of the log, sorted")
        });
        let shape = if origin.is_some() { first } else { last };
        ListedRequest {
            shape: shape.expect(of_log),
            origin,
            target: request.target.as_bytes().into(),
        }
    };
    log.requests.iter().map(listed).collect()
}

/// Raises the soft limit of open files, and takes fewer connections where that is not enough.
fn capped_by_nofile(
    connections: usize,
    slow: usize,
    notices: &mut Vec<String>,
) -> anyhow::Result<usize> {
    let wanted = (connections + slow) as u64 + OTHER_DESCRIPTORS;
    let limit = getrlimit(Resource::Nofile);
    let current = limit.current.unwrap_or(u64::MAX);
    if wanted <= current {
        return Ok(connections);
    }
    let raised = limit.maximum.unwrap_or(u64::MAX).min(wanted);
    let allowed = match setrlimit(
        Resource::Nofile,
        Rlimit {
            current: Some(raised),
            maximum: limit.maximum,
        },
    ) {
        Ok(()) => raised,
        Err(_) => current,
    };
    let room = allowed.saturating_sub(OTHER_DESCRIPTORS + slow as u64);
    let capped = connections.min(usize::try_from(room).unwrap_or(usize::MAX));
    ensure!(
        capped > 0,
        "the limit of open files ({allowed}) leaves no connection; see ulimit -n"
    );
    if capped < connections {
        notices.push(format!(
            "only {capped} of {connections} connections: the limit of open files is {allowed} \
             (ulimit -n)"
        ));
    }
    Ok(capped)
}
