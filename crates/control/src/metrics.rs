//! `GET /metrics`: one snapshot of the node, in the Prometheus text format or, to those that accept it,
//! in OpenMetrics.
//!
//! Every sample comes from one [`Snapshot`], taken when the scrape asks; nothing is counted here.
//! Names follow the Prometheus conventions: base units, `_total` for counters. Label values come
//! from closed lists or from the configuration, never from a client, so their number is bounded.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use corsair_server::{LiveDriver, Snapshot, WorkerSnapshot};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

use crate::admin::AdminState;

/// How a scrape is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exposition {
    /// The Prometheus text format 0.0.4, which every reader knows.
    Prometheus,
    /// OpenMetrics 1.0.
    OpenMetrics,
}

impl Exposition {
    /// What a scraper with this `Accept` gets: OpenMetrics only when it names it.
    pub(crate) fn accepted(accept: &str) -> Self {
        match accept.contains("application/openmetrics-text") {
            true => Self::OpenMetrics,
            false => Self::Prometheus,
        }
    }

    /// The content type of what [`render`] writes.
    pub(crate) const fn content_type(self) -> &'static str {
        match self {
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// The drivers a node can run on; the live one has the value 1.
const DRIVERS: [LiveDriver; 4] = [
    LiveDriver::UringDeferred,
    LiveDriver::UringCooperative,
    LiveDriver::UringPlain,
    LiveDriver::Epoll,
];

/// A registry whose only member asks the node at each scrape.
pub(crate) fn registry(state: &Arc<AdminState>) -> Registry {
    let mut registry = Registry::with_prefix("corsair");
    registry.register_collector(Box::new(NodeCollector(Arc::clone(state))));
    registry
}

/// The whole text of one scrape.
pub(crate) fn render(registry: &Registry, exposition: Exposition) -> Result<String, fmt::Error> {
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, registry)?;
    Ok(match exposition {
        Exposition::OpenMetrics => text,
        Exposition::Prometheus => in_prometheus_text(&text),
    })
}

/// OpenMetrics in the older format: there a counter's family has the name of its samples, with
/// `_total`, and no line ends the text.
fn in_prometheus_text(open_metrics: &str) -> String {
    let mut out = String::with_capacity(open_metrics.len() + 512);
    let mut help = None;
    for line in open_metrics.lines().filter(|&line| line != "# EOF") {
        if let Some(text) = line.strip_prefix("# HELP ") {
            // What it is the help of, only the line behind it says.
            help = text.split_once(' ');
            continue;
        }
        let family = line
            .strip_prefix("# TYPE ")
            .and_then(|text| text.split_once(' '));
        match family {
            Some((name, kind)) => {
                let suffix = if kind == "counter" { "_total" } else { "" };
                if let Some((_, text)) = help.take() {
                    out.extend(["# HELP ", name, suffix, " ", text, "\n"]);
                }
                out.extend(["# TYPE ", name, suffix, " ", kind, "\n"]);
            }
            None => out.extend([line, "\n"]),
        }
    }
    out
}

struct NodeCollector(Arc<AdminState>);

impl fmt::Debug for NodeCollector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NodeCollector")
    }
}

impl Collector for NodeCollector {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let snapshot = self.0.node.snapshot();
        let mut page = Page(encoder);
        self.node(&mut page, &snapshot)?;
        workers(&mut page, &snapshot.workers)?;
        exchanges(&mut page, &snapshot.workers)?;
        cors(&mut page, &snapshot)?;
        store(&mut page, &snapshot)?;
        upstreams(&mut page, &snapshot)
    }
}

impl NodeCollector {
    fn node(&self, page: &mut Page<'_>, snapshot: &Snapshot) -> fmt::Result {
        let state = &self.0;
        let plan = state.node.plan();
        let build = [("version", state.build), ("name", &plan.node.name)];
        page.gauge("build_info", "Always 1; what runs here", [(build, 1.0)])?;
        let drivers = DRIVERS.map(LiveDriver::as_str);
        let drivers = drivers.map(|name| ([("driver", name)], truth(name == snapshot.driver)));
        page.gauge("driver", "1 for the driver the workers run on", drivers)?;
        page.gauge(
            "uptime_seconds",
            "Since the node started",
            [([], snapshot.uptime.as_secs_f64())],
        )?;
        page.gauge(
            "ready",
            "1 while /readyz answers 200",
            [([], truth(state.is_ready()))],
        )?;
        let draining = truth(state.node.is_draining());
        page.gauge(
            "draining",
            "1 once the node stopped accepting",
            [([], draining)],
        )?;
        let generation = snapshot.generation as f64;
        page.gauge(
            "plan_generation",
            "Number of the plan in force",
            [([], generation)],
        )?;
        let (applied, failed) = state.reloader.counts();
        let reloads = [
            ([("result", "applied")], applied),
            ([("result", "failed")], failed),
        ];
        page.counter("reloads", "Reloads by how they ended", reloads)?;
        let panics = [([], (state.panics)())];
        page.counter(
            "panics",
            "Internal errors caught in any thread of the process",
            panics,
        )
    }
}

fn workers(page: &mut Page<'_>, workers: &[WorkerSnapshot]) -> fmt::Result {
    let numbers: Vec<String> = (0..workers.len())
        .map(|number| number.to_string())
        .collect();
    let each = |value: fn(&WorkerSnapshot) -> u64| {
        numbers
            .iter()
            .zip(workers)
            .map(move |(n, w)| ([("worker", n.as_str())], value(w)))
    };
    let open = each(|w| w.connections_open).map(|(labels, value)| (labels, value as f64));
    page.gauge("connections_open", "Client connections open now", open)?;
    let accepted = each(|w| w.connections_accepted);
    page.counter(
        "connections_accepted",
        "Client connections accepted",
        accepted,
    )?;
    let refused = each(|w| w.connections_refused);
    page.counter(
        "connections_refused",
        "Client connections refused at the limit",
        refused,
    )?;
    let failures = each(|w| w.accept_failures);
    page.counter(
        "accept_failures",
        "Accepts failed: out of descriptors or memory",
        failures,
    )?;
    let timeouts = each(|w| w.timeouts);
    page.counter(
        "timeouts",
        "Client connections ended by a deadline",
        timeouts,
    )?;
    page.counter("requests", "Requests answered", each(|w| w.requests))?;
    page.counter(
        "received_bytes",
        "Bytes read from clients",
        each(|w| w.bytes_in),
    )?;
    page.counter(
        "sent_bytes",
        "Bytes written to clients",
        each(|w| w.bytes_out),
    )?;
    page.counter(
        "bad_requests",
        "Requests refused as malformed",
        each(|w| w.bad_requests),
    )?;
    page.counter(
        "worker_panics",
        "Internal errors a worker survived",
        each(|w| w.panics),
    )
}

/// Sums over all workers: their product with the worker numbers would be many series for nobody.
fn exchanges(page: &mut Page<'_>, workers: &[WorkerSnapshot]) -> fmt::Result {
    let outcomes = sum_by_name(workers, |w| &w.outcomes);
    let outcomes = outcomes
        .iter()
        .map(|(name, count)| ([("outcome", *name)], *count));
    page.counter("outcomes", "Requests by cache outcome", outcomes)?;
    let classes = ["1xx", "2xx", "3xx", "4xx", "5xx"];
    let sums = workers.iter().fold([0_u64; 5], |sums, worker| {
        std::array::from_fn(|class| sums[class] + worker.responses_by_class[class])
    });
    let responses = classes
        .iter()
        .zip(sums)
        .map(|(class, count)| ([("class", *class)], count));
    page.counter("responses", "Responses by status class", responses)?;
    let cors = sum_by_name(workers, |w| &w.cors);
    let cors = cors
        .iter()
        .map(|(name, count)| ([("outcome", *name)], *count));
    page.counter("cors", "Requests by CORS outcome", cors)?;
    let sum = |value: fn(&WorkerSnapshot) -> u64| [([], workers.iter().map(value).sum())];
    let requests = sum(|w| w.upstream_requests);
    page.counter("upstream_requests", "Requests sent to upstreams", requests)?;
    let received = sum(|w| w.upstream_bytes_in);
    page.counter(
        "upstream_received_bytes",
        "Bytes read from upstreams",
        received,
    )?;
    let connects = sum(|w| w.upstream_connects);
    page.counter(
        "upstream_connects",
        "Connections opened to upstreams",
        connects,
    )?;
    let reuses = sum(|w| w.upstream_reuses);
    page.counter(
        "upstream_reuses",
        "Requests sent on a kept upstream connection",
        reuses,
    )?;
    let failures = sum(|w| w.upstream_failures);
    page.counter(
        "upstream_failures",
        "Upstream exchanges that failed",
        failures,
    )?;
    let retries = sum(|w| w.upstream_retries);
    page.counter(
        "upstream_retries",
        "Requests sent to an upstream a second time",
        retries,
    )
}

fn cors(page: &mut Page<'_>, snapshot: &Snapshot) -> fmt::Result {
    let reflections = snapshot.reflections.iter();
    page.counter(
        "cors_reflections",
        "Upstream responses with the request's own Origin and no Vary: Origin",
        reflections.map(|seen| ([("site", seen.site.as_str())], seen.responses)),
    )?;
    let places: Vec<String> = snapshot
        .shadows
        .iter()
        .map(|shadow| shadow.route.to_string())
        .collect();
    let flips = snapshot
        .shadows
        .iter()
        .zip(&places)
        .flat_map(|(shadow, place)| {
            [
                ("allow-to-deny", shadow.allow_to_deny),
                ("deny-to-allow", shadow.deny_to_allow),
            ]
            .map(|(flip, count)| {
                let site = ("site", shadow.site.as_str());
                ([site, ("route", place.as_str()), ("flip", flip)], count)
            })
        });
    page.counter(
        "cors_shadow_flips",
        "Responses that shadow policies would have decided otherwise, since the plan is in force",
        flips,
    )
}

fn store(page: &mut Page<'_>, snapshot: &Snapshot) -> fmt::Result {
    let store = &snapshot.store;
    page.gauge(
        "store_bytes",
        "Bytes the store accounts for",
        [([], store.bytes as f64)],
    )?;
    page.gauge(
        "store_budget_bytes",
        "Bytes the store may use",
        [([], store.budget as f64)],
    )?;
    page.gauge(
        "store_objects",
        "Responses stored",
        [([], store.objects as f64)],
    )
}

fn upstreams(page: &mut Page<'_>, snapshot: &Snapshot) -> fmt::Result {
    let all = &snapshot.upstreams;
    let addresses = all
        .iter()
        .map(|u| ([("upstream", u.name.as_str())], u.addresses as f64));
    page.gauge(
        "upstream_addresses",
        "Addresses known for an upstream",
        addresses,
    )?;
    let quantiles = all.iter().flat_map(|u| {
        let name = u.name.as_str();
        ["0.5", "0.9", "0.99"]
            .into_iter()
            .zip(u.head_latency_us)
            .map(move |(quantile, micros)| {
                (
                    [("upstream", name), ("quantile", quantile)],
                    micros as f64 / 1e6,
                )
            })
    });
    let help = "Time to the response head, connecting and sending included, by quantile";
    page.gauge("upstream_latency_seconds", help, quantiles)?;
    let counts = all
        .iter()
        .map(|u| ([("upstream", u.name.as_str())], u.responses));
    page.counter(
        "upstream_responses",
        "Response heads received from an upstream",
        counts,
    )
}

fn sum_by_name(
    workers: &[WorkerSnapshot],
    list: fn(&WorkerSnapshot) -> &[(&'static str, u64)],
) -> BTreeMap<&'static str, u64> {
    let mut sums = BTreeMap::new();
    for (name, count) in workers.iter().flat_map(list) {
        *sums.entry(*name).or_default() += count;
    }
    sums
}

fn truth(holds: bool) -> f64 {
    f64::from(u8::from(holds))
}

/// The page being written: one family of samples after the other.
struct Page<'a>(DescriptorEncoder<'a>);

type Labels<'l, const N: usize> = [(&'l str, &'l str); N];

impl Page<'_> {
    fn gauge<'l, const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        samples: impl IntoIterator<Item = (Labels<'l, N>, f64)>,
    ) -> fmt::Result {
        self.family(name, help, MetricType::Gauge, samples, |encoder, value| {
            encoder.encode_gauge(&value)
        })
    }

    fn counter<'l, const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        samples: impl IntoIterator<Item = (Labels<'l, N>, u64)>,
    ) -> fmt::Result {
        self.family(
            name,
            help,
            MetricType::Counter,
            samples,
            |encoder, value| encoder.encode_counter::<NoLabelSet, _, u64>(&value, None),
        )
    }

    fn family<'l, const N: usize, V>(
        &mut self,
        name: &str,
        help: &str,
        kind: MetricType,
        samples: impl IntoIterator<Item = (Labels<'l, N>, V)>,
        encode: fn(&mut MetricEncoder<'_>, V) -> fmt::Result,
    ) -> fmt::Result {
        let mut family = self.0.encode_descriptor(name, help, None, kind)?;
        for (labels, value) in samples {
            if N == 0 {
                encode(&mut family, value)?;
            } else {
                encode(&mut family.encode_family(&labels)?, value)?;
            }
        }
        Ok(())
    }
}
