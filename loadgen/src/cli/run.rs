//! `loadgen run`: flags, progress, outputs and the exit code.

use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use clap::{ArgGroup, Args, ValueEnum};
use loadgen::affinity::CpuList;
use loadgen::engine::{self, Observer, Progress, Second};
use loadgen::live::{Live, Verbosity};
use loadgen::report::summary::paced_by;
use loadgen::report::{Series, Summary};
use loadgen::schedule::Rate;
use loadgen::slo::{Metric, Slo};

use super::outputs::{self, Outputs};
use super::prepare::{self, Prepared};
use super::serve_null::field_line;
use super::{EXIT_GOOD, EXIT_INVALID, EXIT_MISMATCH, EXIT_OBJECTIVE};

pub(super) const EXAMPLES: &str = "\
Examples:
  loadgen run http://127.0.0.1:8080/ -c 64 -d 10s
  loadgen run 'http://127.0.0.1:8080/item/{zipf:10000:1.1}' --rate 20000 --slo 'p99<5ms'
  loadgen run http://127.0.0.1:8080/ -n 100000 -H 'Origin: https://app.example.com' \\
      --expect-status 200 --expect-header 'Access-Control-Allow-Origin: {origin}'
  loadgen run http://127.0.0.1:8080 --request '80 GET /fonts/{zipf:1000:1.1}.woff2' \\
      --request '15 HEAD /' --request '5 PUT /notes/{seq}' --body '{\"a\": 1}'

In the URL, header values and request mixes: {seq} {rand} {rand:N} {zipf:N:S} {hit:R:N} {origin}.
Exit code: 0 good, 1 mismatches or errors, 2 usage, 3 objective missed, 4 run invalid.";

#[derive(Args)]
#[command(group(ArgGroup::new("length").args(["duration", "count"])))]
pub(super) struct Run {
    /// What to ask for; `http://HOST[:PORT]/PATH`, with variables where wanted
    pub(super) url: String,

    /// Connections
    #[arg(short, long, default_value_t = 16, value_name = "N")]
    pub(super) connections: usize,
    /// Requests in flight on each connection (pipelining); closed loop only
    #[arg(
        long,
        visible_alias = "pipeline",
        default_value_t = 1,
        value_name = "D"
    )]
    pub(super) depth: usize,
    /// How long, after the warm-up [default: 10s]
    #[arg(short, long, value_parser = humantime::parse_duration)]
    pub(super) duration: Option<Duration>,
    /// How many requests instead
    #[arg(short = 'n', long)]
    pub(super) count: Option<u64>,
    /// Open loop: requests per second, `A:B` for a ramp, `A,Bx5s,C` for steps
    #[arg(long, value_name = "R")]
    pub(super) rate: Option<Rate>,
    /// Time before anything is counted
    #[arg(long, default_value = "0s", value_parser = humantime::parse_duration)]
    pub(super) warmup: Duration,

    /// Method
    #[arg(short = 'X', long, value_name = "METHOD", conflicts_with = "mix")]
    pub(super) method: Option<String>,
    /// One kind of request of several, its weight relative to the others; may be given several
    /// times, with a URL without a path. A body goes with POST, PUT and PATCH. All kinds share the
    /// other flags; what differs by kind is written in a `--mix`
    #[arg(long, value_name = "'WEIGHT METHOD PATH'", value_parser = request_share)]
    #[arg(conflicts_with_all = ["mix", "method"])]
    pub(super) request: Vec<RequestShare>,
    /// Field line to send, may be given several times
    #[arg(short = 'H', long = "header", value_name = "'Name: value'", value_parser = field_line)]
    pub(super) headers: Vec<(String, String)>,
    /// Body to send
    #[arg(long, value_name = "TEXT", conflicts_with = "mix")]
    pub(super) body: Option<String>,
    /// File with the body to send
    #[arg(long, value_name = "FILE", conflicts_with_all = ["mix", "body"])]
    pub(super) body_file: Option<PathBuf>,
    /// Request mix (TOML)
    #[arg(long, value_name = "FILE")]
    pub(super) mix: Option<PathBuf>,
    /// Web origin to name, may be given several times; each is as likely
    #[arg(long, value_name = "ORIGIN", conflicts_with = "mix")]
    pub(super) origin: Vec<String>,
    /// File with Web origins to name, one a line
    #[arg(long, value_name = "FILE", conflicts_with = "mix")]
    pub(super) origin_list: Option<PathBuf>,
    // Not `{n}` as it is written: clap makes a line break of that.
    /// Web origins to name; in PATTERN the letter n in braces is a number from 0 to COUNT-1
    #[arg(long, value_name = "PATTERN=COUNT", conflicts_with = "mix")]
    pub(super) origin_pattern: Option<String>,
    /// Share of requests with a hostile origin, 0 to 1
    #[arg(
        long,
        default_value_t = 0.0,
        value_name = "SHARE",
        conflicts_with = "mix"
    )]
    pub(super) hostile_origins: f64,
    /// Share of requests without an origin, 0 to 1
    #[arg(
        long,
        default_value_t = 0.0,
        value_name = "SHARE",
        conflicts_with = "mix"
    )]
    pub(super) without_origin: f64,

    /// Access log (combined format or JSON lines) to send again, with its timing and, where its
    /// JSON has them, its Web origins (unless others are given); Host is the URL's or a -H's
    #[arg(long, value_name = "LOG")]
    #[arg(conflicts_with_all = ["rate", "mix", "request", "count", "duration", "warmup"])]
    #[arg(conflicts_with_all = ["hostile_origins", "without_origin"])]
    pub(super) replay: Option<PathBuf>,
    // `requires` would not do: clap waives it where `replay` conflicts with another flag given.
    /// How many times faster than it was logged [default: 1]
    #[arg(long, value_name = "FACTOR")]
    pub(super) speed: Option<f64>,

    /// Close each connection after one request, and ask for it
    #[arg(long)]
    pub(super) no_keepalive: bool,
    /// Close each connection after N requests
    #[arg(long, value_name = "N")]
    pub(super) requests_per_connection: Option<u64>,
    /// Clients that are slow on purpose, besides the load
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub(super) slow_clients: usize,
    /// What they are slow at
    #[arg(long, value_enum, default_value = "read")]
    pub(super) slow_at: SlowAt,
    /// Bytes per second each of them moves
    #[arg(long, default_value_t = 1000, value_name = "BYTES")]
    pub(super) slow_rate: u64,
    /// A request is given up after this time
    #[arg(long, default_value = "10s", value_parser = humantime::parse_duration)]
    pub(super) timeout: Duration,
    /// A connection is given up that is not made in this time
    #[arg(long, default_value = "3s", value_parser = humantime::parse_duration)]
    pub(super) connect_timeout: Duration,

    /// Allowed statuses: 200, 200,304 or 2xx
    #[arg(long, value_name = "STATUS", conflicts_with = "mix")]
    pub(super) expect_status: Option<String>,
    /// The lines of this name are exactly those given; {origin} is the request's own
    #[arg(long, value_name = "'Name: value'", conflicts_with = "mix")]
    pub(super) expect_header: Vec<String>,
    /// There is a line of this name, or this very line
    #[arg(long, value_name = "NAME[: value]", conflicts_with = "mix")]
    pub(super) expect_present: Vec<String>,
    /// There is no line of this name
    #[arg(long, value_name = "NAME", conflicts_with = "mix")]
    pub(super) expect_absent: Vec<String>,
    /// There is exactly one line of this name
    #[arg(long, value_name = "NAME", conflicts_with = "mix")]
    pub(super) expect_once: Vec<String>,
    /// Length of the body
    #[arg(long, value_name = "BYTES", conflicts_with = "mix")]
    pub(super) expect_body_bytes: Option<u64>,
    /// SHA-256 of the body, in hexadecimal digits
    #[arg(long, value_name = "HEX", conflicts_with = "mix")]
    pub(super) expect_body_sha256: Option<String>,
    /// A field whose value differs without meaning, like Date (keeps comparing cheap)
    #[arg(long, value_name = "NAME")]
    pub(super) volatile: Vec<String>,
    /// What makes the exit code 1
    #[arg(long, value_enum, value_delimiter = ',', default_values = ["mismatch", "error"])]
    fail_on: Vec<FailOn>,
    /// Objective, like p99<5ms, errors<0.1%, rate>=20000, hit_ratio>95%, KIND:p99<1ms
    #[arg(long, value_name = "EXPR")]
    slo: Vec<Slo>,

    /// One worker thread on each of these CPUs [default: one, not pinned]
    #[arg(long, value_name = "LIST")]
    pub(super) cpu: Option<CpuList>,
    /// What waits for the sockets
    #[arg(long, value_enum, default_value = "auto")]
    pub(super) driver: DriverName,
    /// Seed of everything drawn
    #[arg(long, default_value_t = 1)]
    pub(super) seed: u64,
    /// Where the numbers begin that {hit:R:N} takes for misses; a run that is to ask for the same
    /// paths as another takes its `fresh_base` in the JSON [default: another one in each run]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(..1 << 52))]
    pub(super) fresh_base: Option<u64>,

    /// Writes the results as JSON; `-` is standard output, here and below
    #[arg(long, value_name = "FILE")]
    pub(super) json: Option<PathBuf>,
    /// … as CSV
    #[arg(long, value_name = "FILE")]
    pub(super) csv: Option<PathBuf>,
    /// … as Markdown
    #[arg(long, value_name = "FILE")]
    pub(super) markdown: Option<PathBuf>,
    /// … as one HTML page with plots
    #[arg(long, value_name = "FILE")]
    pub(super) html: Option<PathBuf>,
    /// … as HdrHistogram percentile table, milliseconds
    #[arg(long, value_name = "FILE")]
    pub(super) hgrm: Option<PathBuf>,
    /// Writes one compressed histogram a second (HdrHistogram V2 log)
    #[arg(long, value_name = "FILE")]
    pub(super) hdr_log: Option<PathBuf>,
    /// Writes one JSON object a second
    #[arg(long, value_name = "FILE")]
    pub(super) ndjson: Option<PathBuf>,
    /// CPU time of the machine that others may take before the run is marked invalid, in percent.
    #[arg(long, value_name = "PERCENT", default_value_t = 10.0, value_parser = percent)]
    pub(super) max_steal: f64,

    /// No progress
    #[arg(short, long)]
    quiet: bool,
}

/// One kind of request and its weight.
#[derive(Clone)]
pub(super) struct RequestShare {
    pub(super) weight: f64,
    pub(super) method: String,
    pub(super) path: String,
}

/// Reads `80 GET /fonts/a.woff2`.
fn request_share(text: &str) -> Result<RequestShare, String> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let [weight, method, path] = words.as_slice() else {
        return Err("write 'WEIGHT METHOD PATH', like '80 GET /fonts/{seq}'".to_owned());
    };
    match weight.parse::<f64>() {
        Ok(weight) if weight.is_finite() && weight > 0.0 => Ok(RequestShare {
            weight,
            method: (*method).to_owned(),
            path: (*path).to_owned(),
        }),
        Ok(_) | Err(_) => Err(format!(
            "`{weight}` is not a weight; write a number above 0"
        )),
    }
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum FailOn {
    Mismatch,
    Error,
    Nothing,
}

#[derive(Clone, Copy, ValueEnum)]
pub(super) enum SlowAt {
    Read,
    Send,
}

#[derive(Clone, Copy, ValueEnum)]
pub(super) enum DriverName {
    Auto,
    IoUring,
    Epoll,
}

/// Shows and writes what the engine reports.
struct Watcher {
    live: Live,
    series: Series,
}

impl Observer for Watcher {
    fn tick(&mut self, progress: &Progress) {
        self.live.tick(progress);
    }

    fn second(&mut self, second: &Second<'_>) {
        self.series.push(second);
        if let Some(row) = self.series.rows().last() {
            self.live.second(row);
        }
    }
}

pub(super) fn run(flags: &Run) -> anyhow::Result<u8> {
    let prepared = prepare::prepare(flags)?;
    for notice in &prepared.facts.notices {
        writeln!(io::stderr(), "loadgen: {notice}")?;
    }
    let unknown = |slo: &&Slo| {
        let kinds = prepared.plan.traffic.kinds();
        slo.kind.as_ref().is_some_and(|kind| !kinds.contains(kind))
    };
    if let Some(slo) = flags.slo.iter().find(unknown) {
        anyhow::bail!("objective `{slo}`: there is no such request kind");
    }
    let interrupt = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        // The second signal ends the process the hard way.
        signal_hook::flag::register_conditional_default(signal, Arc::clone(&interrupt))?;
        signal_hook::flag::register(signal, Arc::clone(&interrupt))?;
    }
    let outputs = Outputs::open(flags)?;
    let mut watcher = watcher(flags, &prepared)?;
    let plan = Arc::new(prepared.plan);
    let outcome = engine::run(Arc::clone(&plan), &interrupt, &mut watcher);
    watcher.live.finish();
    let outcome = outcome?;
    let gates = prepared.gates;
    let summary = Summary::new(&prepared.facts, &plan, &outcome, &gates, &flags.slo);
    let (rows, failed) = watcher.series.finish(&summary.invalid_reasons);
    outputs.write(&summary, &rows, failed)?;
    Ok(exit_code(&summary, &flags.fail_on, &flags.slo))
}

fn watcher(flags: &Run, prepared: &Prepared) -> anyhow::Result<Watcher> {
    let mut series = Series::new(prepared.plan.traffic.kinds());
    if let Some(path) = &flags.ndjson {
        series.write_ndjson(outputs::create(path)?);
    }
    if let Some(path) = &flags.hdr_log {
        series.write_log(outputs::create(path)?, loadgen::clock::wall_time());
    }
    let verbosity = if flags.quiet {
        Verbosity::Quiet
    } else {
        Verbosity::Normal
    };
    let plan = &prepared.plan;
    let facts = &prepared.facts;
    let title = facts.rate.as_ref().map_or_else(
        || facts.url.clone(),
        |rate| format!("{}: {}", facts.url, paced_by(rate)),
    );
    let live = Live::new(verbosity, &title, plan.length, plan.warmup);
    Ok(Watcher { live, series })
}

/// Wrong answers outrank everything; then whether the run means anything; then objectives. An
/// objective about errors or mismatches takes the place of the rule that there be none.
fn exit_code(summary: &Summary, fail_on: &[FailOn], objectives: &[Slo]) -> u8 {
    let judged = |metrics: [Metric; 2]| objectives.iter().any(|slo| metrics.contains(&slo.metric));
    let mismatch = summary.mismatches > 0
        && fail_on.contains(&FailOn::Mismatch)
        && !judged([Metric::Mismatches, Metric::MismatchShare]);
    // What an interrupt left unanswered is no fault of the server.
    let unfinished = summary
        .errors_by_kind
        .get("unfinished")
        .copied()
        .unwrap_or(0);
    let excused = if summary.interrupted { unfinished } else { 0 };
    let error = (summary.errors > excused || summary.never_connected)
        && fail_on.contains(&FailOn::Error)
        && !judged([Metric::Errors, Metric::ErrorShare]);
    if mismatch || error {
        EXIT_MISMATCH
    } else if !summary.valid {
        EXIT_INVALID
    } else if !summary.meets_objectives() {
        EXIT_OBJECTIVE
    } else {
        EXIT_GOOD
    }
}

pub(super) fn percent(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(percent) if (0.0..=100.0).contains(&percent) => Ok(percent),
        Ok(_) | Err(_) => Err("a number from 0 to 100".to_owned()),
    }
}
