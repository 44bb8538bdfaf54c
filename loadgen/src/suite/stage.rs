//! A scenario's stage: the upstream and every contestant, started, verified and warmed.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use rustix::process::Signal;

use super::artefact::{Parameters, Reloads, Role, Storm, Trial, TrialOutcome};
use super::job::{self, Scrutiny};
use super::judging::{Demand, judge};
use super::load::{self, Pace, Run};
use super::peer::{ConfigText, Contestant, Place, Reload, Reloaded, run_before};
use super::ports::free_port;
use super::server_process::{ServerProcess, signal_process};
use super::suite_run::Settings;
use crate::null_server;
use crate::plan::Length;
use crate::report::Summary;

/// Time a peer gets until it listens; 100,000 rules take some of them several seconds.
const READY_TIMEOUT: Duration = Duration::from_secs(30);

/// How often it is tried.
const READY_POLL: Duration = Duration::from_millis(20);

/// Responses checked byte for byte before anything is timed; most of them, where there are rules,
/// of Web origins that must be refused.
const VERIFIED: u64 = 120;

/// Responses asked for while the upstream stands still; each that does not come takes a timeout.
const VERIFIED_WITHOUT_UPSTREAM: u64 = 2;

/// Bytes of a log that a failure shows, from its end.
const LOG_BYTES_SHOWN: usize = 600;

/// The upstream of all contestants: a null server on the generator's CPU.
#[derive(Debug)]
pub struct Upstream {
    process: ServerProcess,
    port: u16,
}

/// A contestant that serves.
#[derive(Debug)]
pub struct Serving {
    /// Its id.
    pub peer: String,
    /// What part it plays.
    pub role: Role,
    /// Its processes.
    pub process: ServerProcess,
    /// Where it serves.
    pub address: SocketAddr,
    reload: Option<Reload>,
    reloaded: Option<Reloaded>,
    reloads_asked: AtomicU64,
    /// Commands that reload and said that they had done so.
    commands_done: AtomicU64,
    folder: PathBuf,
}

/// Numbers runs, so that no two of them ask for the same new things.
static RUNS: AtomicU64 = AtomicU64::new(1);

impl Upstream {
    /// Starts it in `folder`.
    ///
    /// # Errors
    /// When it does not listen.
    pub fn start(parameters: &Parameters, folder: &Path, cpu: usize) -> anyhow::Result<Self> {
        let port = free_port()?;
        let lifetime = if parameters.storm == Some(Storm::BrownOut) {
            let stale = job::STALE_SECONDS;
            format!("max-age=1, stale-while-revalidate={stale}, stale-if-error={stale}")
        } else {
            "max-age=3600".to_owned()
        };
        let command = [
            std::env::current_exe()?.display().to_string(),
            "serve-null".to_owned(),
            "--driver=epoll".to_owned(),
            format!("--listen=127.0.0.1:{port}"),
            format!("--size={}", parameters.body_bytes),
            format!("--header=Cache-Control: {lifetime}"),
        ];
        let mut command = Vec::from(command);
        if parameters.storm != Some(Storm::BrownOut) {
            // Envoy stores nothing that is not dated. The date stands still, which only matters
            // where lifetimes are shorter than the suite.
            let now = jiff::Timestamp::now().strftime("%a, %d %b %Y %H:%M:%S GMT");
            command.push(format!("--header=Date: {now}"));
        }
        fs::create_dir_all(folder)?;
        let log = folder.join("log");
        let mut process = ServerProcess::start(&command, folder, &log, cpu, Signal::TERM)?;
        wait_until_ready(&mut process, port, &log).context("the upstream")?;
        Ok(Self { process, port })
    }

    /// Its CPU time so far.
    #[must_use]
    pub fn cpu_time(&self) -> Duration {
        self.process.cpu_time()
    }

    /// Requests it answered so far; `None` when it does not say so.
    #[must_use]
    pub fn requests(&self) -> Option<u64> {
        null_server::ask_count(SocketAddr::from((Ipv4Addr::LOCALHOST, self.port))).ok()
    }

    fn pid(&self) -> u32 {
        self.process.pid()
    }
}

/// What [`admit`] came to.
pub struct Admission {
    /// For the record.
    pub trial: Trial,
    /// Its configuration files.
    pub config: Vec<ConfigText>,
    /// The contestant, when it may be timed.
    pub serving: Option<Serving>,
}

/// Starts `contestant`, verifies and warms it. What goes wrong is in the trial.
///
/// # Errors
/// Only what is wrong with the suite itself: a condition in `peer.toml`.
pub fn admit(
    contestant: &Contestant,
    scenario: &str,
    parameters: &Parameters,
    upstream: &Upstream,
    folder: &Path,
    settings: &Settings,
) -> anyhow::Result<Admission> {
    let mut trial = Trial {
        scenario: scenario.to_owned(),
        peer: contestant.id.clone(),
        outcome: TrialOutcome::Ran,
        command: Vec::new(),
        config: Vec::new(),
        verified: 0,
        response_head: None,
        resident_bytes: None,
    };
    let mut config = Vec::new();
    if let Some(reason) = contestant.cannot(parameters)? {
        trial.outcome = TrialOutcome::CannotDoThis { reason };
    } else if contestant.program.is_none() {
        let install = contestant.install().to_owned();
        trial.outcome = TrialOutcome::Missing { install };
    } else {
        let record = (&mut trial, &mut config);
        match start(contestant, parameters, upstream, folder, settings, record) {
            Ok(serving) => {
                return Ok(Admission {
                    trial,
                    config,
                    serving: Some(serving),
                });
            }
            Err(error) => {
                trial.outcome = TrialOutcome::Failed {
                    reason: format!("{error:#}"),
                };
            }
        }
    }
    Ok(Admission {
        trial,
        config,
        serving: None,
    })
}

fn start(
    contestant: &Contestant,
    parameters: &Parameters,
    upstream: &Upstream,
    folder: &Path,
    settings: &Settings,
    (trial, config): (&mut Trial, &mut Vec<ConfigText>),
) -> anyhow::Result<Serving> {
    fs::create_dir_all(folder)?;
    let place = Place {
        folder: folder.to_owned(),
        port: free_port()?,
        spare_port: free_port()?,
        upstream_port: upstream.port,
    };
    let prepared = contestant.prepare(parameters, &place)?;
    for command in &prepared.before {
        run_before(command, folder)?;
    }
    let shown = |text: &str| place.named(text, contestant.program.as_deref());
    trial.command = prepared.command.iter().map(|word| shown(word)).collect();
    config.extend(prepared.config.into_iter().map(|file| ConfigText {
        text: shown(&file.text),
        ..file
    }));
    if parameters.storm == Some(Storm::Reload) && contestant.role != Role::Null {
        ensure!(prepared.reload.is_some(), "no way to reload is known");
    }
    let log = folder.join("log");
    let mut process = ServerProcess::start(
        &prepared.command,
        folder,
        &log,
        settings.server_cpu,
        prepared.stop,
    )?;
    wait_until_ready(&mut process, place.port, &log)?;
    let mut serving = Serving {
        peer: contestant.id.clone(),
        role: contestant.role,
        process,
        address: SocketAddr::from((Ipv4Addr::LOCALHOST, place.port)),
        reload: prepared.reload,
        reloaded: prepared.reloaded,
        reloads_asked: AtomicU64::new(0),
        commands_done: AtomicU64::new(0),
        folder: folder.to_owned(),
    };
    serving
        .verify(parameters, upstream, settings, trial)
        .map_err(|error| {
            let said = end_of(&log);
            if said.is_empty() {
                error
            } else {
                error.context(format!("it said: {said}"))
            }
        })?;
    serving.warm_up(parameters, settings)?;
    if parameters.storm == Some(Storm::Reload) && serving.role != Role::Null {
        serving.prove_reload().context("when told to reload")?;
        wait_until_ready(&mut serving.process, place.port, &log)?;
    }
    Ok(serving)
}

impl Serving {
    /// Asks for everything once, then checks answers byte for byte, then that stored ones need no
    /// upstream.
    fn verify(
        &mut self,
        parameters: &Parameters,
        upstream: &Upstream,
        settings: &Settings,
        trial: &mut Trial,
    ) -> anyhow::Result<()> {
        if self.role != Role::Null
            && parameters.hit_ratio > 0.0
            && parameters.storm != Some(Storm::Preflight)
        {
            let kinds = [job::key_requests(parameters)];
            let filled = self.count(&kinds, parameters.keys, settings)?;
            judge(&filled, Demand::EveryRequest).context("when asked first")?;
        }
        let kinds = job::verifying_requests(parameters, self.role, next_run());
        let verified = self.count(&kinds, VERIFIED, settings)?;
        judge(&verified, Demand::EveryRequest).context("when verified")?;
        trial.verified = verified.requests;
        trial.response_head = response_head(self.address, parameters, self.role).ok();
        // A preflight asks for nothing that is stored; in a brown-out it may have expired by now.
        let has_stored = parameters.hit_ratio > 0.0
            && !matches!(parameters.storm, Some(Storm::Preflight | Storm::BrownOut));
        if self.role != Role::Null && has_stored {
            let count = VERIFIED_WITHOUT_UPSTREAM.min(parameters.keys);
            signal_process(upstream.pid(), Signal::STOP)?;
            let stored = self.count(&[job::key_requests(parameters)], count, settings);
            signal_process(upstream.pid(), Signal::CONT)?;
            judge(&stored?, Demand::EveryRequest)
                .context("while the upstream stood still, so it does not cache")?;
        }
        Ok(())
    }

    fn warm_up(&self, parameters: &Parameters, settings: &Settings) -> anyhow::Result<()> {
        if settings.warmup.is_zero() {
            return Ok(());
        }
        let kinds = job::requests(parameters, self.role, Scrutiny::Timed, next_run());
        let pace = Pace::Closed {
            depth: parameters.depth,
        };
        let length = Length::Duration(settings.warmup);
        let warmed = self.load(parameters, &kinds, pace, length, settings)?;
        judge(&warmed, Demand::EveryRequest).context("when warmed up")
    }

    fn count(
        &self,
        kinds: &[crate::traffic::Kind],
        count: u64,
        settings: &Settings,
    ) -> anyhow::Result<Summary> {
        let run = Run {
            address: self.address,
            connections: 2,
            requests_per_connection: None,
            pace: Pace::Closed { depth: 1 },
            length: Length::Count(count),
            cpu: settings.client_cpu,
            seed: settings.seed,
            stolen_share_max: 1.0,
        };
        load::run(&run, kinds, &settings.interrupt)
    }

    /// One run of the scenario's traffic.
    ///
    /// # Errors
    /// When it cannot be made at all.
    pub fn timed(
        &self,
        parameters: &Parameters,
        pace: Pace,
        length: Duration,
        upstream: &Upstream,
        settings: &Settings,
    ) -> anyhow::Result<Summary> {
        let kinds = job::requests(parameters, self.role, Scrutiny::Timed, next_run());
        let work = || self.load(parameters, &kinds, pace, Length::Duration(length), settings);
        match parameters.storm {
            Some(Storm::Reload) if self.role != Role::Null => load::disturbed(
                |goes_on| {
                    while goes_on(Duration::from_millis(250)) {
                        self.reload();
                    }
                },
                work,
            ),
            Some(Storm::BrownOut) if self.role != Role::Null => load::disturbed(
                |goes_on| {
                    if goes_on(length / 4) {
                        // The upstream is ours and waits to be ended by us: both signals arrive.
                        drop(signal_process(upstream.pid(), Signal::STOP));
                        goes_on(length / 2);
                        drop(signal_process(upstream.pid(), Signal::CONT));
                    }
                },
                work,
            ),
            None | Some(Storm::Preflight | Storm::Churn | Storm::Reload | Storm::BrownOut) => {
                work()
            }
        }
    }

    fn load(
        &self,
        parameters: &Parameters,
        kinds: &[crate::traffic::Kind],
        pace: Pace,
        length: Length,
        settings: &Settings,
    ) -> anyhow::Result<Summary> {
        let run = Run {
            address: self.address,
            connections: parameters.connections,
            requests_per_connection: parameters.requests_per_connection,
            pace,
            length,
            cpu: settings.client_cpu,
            seed: settings.seed,
            stolen_share_max: settings.stolen_share_max,
        };
        load::run(&run, kinds, &settings.interrupt)
    }

    /// Reloads it was asked for and has taken so far.
    #[must_use]
    pub fn reloads(&self) -> Option<Reloads> {
        let taken = match (self.reload.as_ref()?, &self.reloaded) {
            (Reload::Command(_), _) => Some(self.commands_done.load(Ordering::Relaxed)),
            (Reload::Signal(_), None) => None,
            (Reload::Signal(_), Some(Reloaded { file, text })) => {
                let said = fs::read(self.folder.join(file)).unwrap_or_default();
                let times = memchr::memmem::find_iter(&said, text.as_bytes()).count();
                Some(times as u64)
            }
        };
        let asked = self.reloads_asked.load(Ordering::Relaxed);
        Some(Reloads { asked, taken })
    }

    /// Reloads once and waits until it says that it did: what is asked for while it is timed has to
    /// be something.
    #[expect(
        clippy::disallowed_methods,
        reason = "no worker waits here, but the suite, for another process to reload"
    )]
    fn prove_reload(&mut self) -> anyhow::Result<()> {
        let taken = |serving: &Self| serving.reloads().and_then(|reloads| reloads.taken);
        let before = taken(self).context("its peer.toml does not say how a reload shows")?;
        self.reload();
        let deadline = Instant::now() + READY_TIMEOUT;
        while taken(self) == Some(before) {
            ensure!(self.process.is_running(), "it ended");
            ensure!(Instant::now() < deadline, "it did not");
            std::thread::sleep(READY_POLL);
        }
        Ok(())
    }

    /// Has it read its rules again. What becomes of it is in [`Self::reloads`].
    fn reload(&self) {
        self.reloads_asked.fetch_add(1, Ordering::Relaxed);
        match &self.reload {
            None => {}
            Some(Reload::Signal(signal)) => drop(self.process.signal(*signal)),
            Some(Reload::Command(words)) => {
                if let Some((program, arguments)) = words.split_first() {
                    let command = std::process::Command::new(program)
                        .args(arguments)
                        .current_dir(&self.folder)
                        .stdin(std::process::Stdio::null())
                        .output();
                    let is_done = command.is_ok_and(|output| output.status.success());
                    let done = u64::from(is_done);
                    self.commands_done.fetch_add(done, Ordering::Relaxed);
                }
            }
        }
    }
}

fn next_run() -> u64 {
    // Unique numbers are all that is asked of it.
    RUNS.fetch_add(1, Ordering::Relaxed)
}

#[expect(
    clippy::disallowed_methods,
    reason = "no worker waits here, but the suite, for another process to listen"
)]
fn wait_until_ready(process: &mut ServerProcess, port: u16, log: &Path) -> anyhow::Result<()> {
    let deadline = Instant::now() + READY_TIMEOUT;
    loop {
        if TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return Ok(());
        }
        ensure!(process.is_running(), "it ended at once: {}", end_of(log));
        ensure!(
            Instant::now() < deadline,
            "it does not listen after {} s: {}",
            READY_TIMEOUT.as_secs(),
            end_of(log)
        );
        std::thread::sleep(READY_POLL);
    }
}

fn end_of(log: &Path) -> String {
    let text = fs::read(log).unwrap_or_default();
    let begin = text.len().saturating_sub(LOG_BYTES_SHOWN);
    String::from_utf8_lossy(&text[begin..]).trim().to_owned()
}

/// One answer's head, for the record: unequal heads are unequal work.
fn response_head(address: SocketAddr, p: &Parameters, role: Role) -> anyhow::Result<String> {
    use std::io::{Read as _, Write as _};
    let kinds = job::requests(p, role, Scrutiny::Verify, next_run());
    let kind = kinds.first().context("a scenario asks for something")?;
    let named = kind
        .origins
        .granted
        .first()
        .or(kind.origins.hostile.first());
    let mut request = format!("{} /object/0 HTTP/1.1\r\n", kind.method);
    for (name, value) in &kind.fields {
        request += &format!("{name}: {value}\r\n");
    }
    if let Some(origin) = named {
        request += &format!("Origin: {origin}\r\n");
    }
    request += "\r\n";
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(2)))?;
    stream.write_all(request.as_bytes())?;
    let mut head = Vec::new();
    let mut buffer = [0; 4096];
    let end = loop {
        if let Some(end) = memchr::memmem::find(&head, b"\r\n\r\n") {
            break end + 4;
        }
        let received = stream.read(&mut buffer)?;
        ensure!(received > 0 && head.len() < 64 * 1024, "no head");
        head.extend_from_slice(&buffer[..received]);
    };
    Ok(String::from_utf8_lossy(&head[..end]).into_owned())
}

/// Whether the user asked to stop.
#[must_use]
pub fn is_interrupted(interrupt: &AtomicBool) -> bool {
    interrupt.load(Ordering::Relaxed)
}
