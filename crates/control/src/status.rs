//! `GET /v1/status`: the node at one moment, as JSON for people and scripts.
//!
//! The shape is part of the admin API: fields are added, never renamed.

use std::collections::BTreeMap;

use corsair_server::{Snapshot, UpstreamSnapshot, WorkerSnapshot};
use serde::Serialize;

use crate::admin::AdminState;
use crate::reload::LastReload;

/// The whole answer.
#[derive(Debug, Serialize)]
pub(crate) struct Status {
    name: String,
    build: &'static str,
    driver: &'static str,
    ready: bool,
    draining: bool,
    generation: u64,
    uptime_s: f64,
    listeners: Vec<String>,
    store: Store,
    workers: Vec<Worker>,
    upstreams: Vec<Upstream>,
    reloads: Reloads,
    panics: u64,
}

#[derive(Debug, Serialize)]
struct Store {
    bytes: u64,
    budget: u64,
    objects: u64,
}

#[derive(Debug, Serialize)]
struct Worker {
    connections_open: u64,
    connections_accepted: u64,
    connections_refused: u64,
    accept_failures: u64,
    timeouts: u64,
    requests: u64,
    bytes_in: u64,
    bytes_out: u64,
    outcomes: BTreeMap<&'static str, u64>,
    responses: BTreeMap<&'static str, u64>,
    cors: BTreeMap<&'static str, u64>,
    bad_requests: u64,
    panics: u64,
    upstream_requests: u64,
    upstream_bytes_in: u64,
    upstream_connects: u64,
    upstream_reuses: u64,
    upstream_failures: u64,
    upstream_retries: u64,
}

#[derive(Debug, Serialize)]
struct Upstream {
    name: String,
    addresses: usize,
    responses: u64,
    latency_us: Latency,
}

#[derive(Debug, Serialize)]
struct Latency {
    p50: u64,
    p90: u64,
    p99: u64,
}

#[derive(Debug, Serialize)]
struct Reloads {
    applied: u64,
    failed: u64,
    last: Option<LastReload>,
}

/// Takes a snapshot and arranges it.
pub(crate) fn of(state: &AdminState) -> Status {
    let Snapshot {
        driver,
        generation,
        uptime,
        workers,
        store,
        upstreams,
        ..
    } = state.node.snapshot();
    let (applied, failed) = state.reloader.counts();
    Status {
        name: state.node.plan().node.name.clone(),
        build: state.build,
        driver,
        ready: state.is_ready(),
        draining: state.node.is_draining(),
        generation,
        uptime_s: uptime.as_secs_f64(),
        listeners: state
            .node
            .addresses()
            .iter()
            .map(ToString::to_string)
            .collect(),
        store: Store {
            bytes: store.bytes,
            budget: store.budget,
            objects: store.objects,
        },
        workers: workers.into_iter().map(Worker::from).collect(),
        upstreams: upstreams.into_iter().map(Upstream::from).collect(),
        reloads: Reloads {
            applied,
            failed,
            last: state.reloader.last(),
        },
        panics: (state.panics)(),
    }
}

impl From<WorkerSnapshot> for Worker {
    fn from(worker: WorkerSnapshot) -> Self {
        let classes = ["1xx", "2xx", "3xx", "4xx", "5xx"];
        Self {
            connections_open: worker.connections_open,
            connections_accepted: worker.connections_accepted,
            connections_refused: worker.connections_refused,
            accept_failures: worker.accept_failures,
            timeouts: worker.timeouts,
            requests: worker.requests,
            bytes_in: worker.bytes_in,
            bytes_out: worker.bytes_out,
            outcomes: worker.outcomes.into_iter().collect(),
            responses: classes.into_iter().zip(worker.responses_by_class).collect(),
            cors: worker.cors.into_iter().collect(),
            bad_requests: worker.bad_requests,
            panics: worker.panics,
            upstream_requests: worker.upstream_requests,
            upstream_bytes_in: worker.upstream_bytes_in,
            upstream_connects: worker.upstream_connects,
            upstream_reuses: worker.upstream_reuses,
            upstream_failures: worker.upstream_failures,
            upstream_retries: worker.upstream_retries,
        }
    }
}

impl From<UpstreamSnapshot> for Upstream {
    fn from(upstream: UpstreamSnapshot) -> Self {
        let [p50, p90, p99] = upstream.head_latency_us;
        Self {
            name: upstream.name,
            addresses: upstream.addresses,
            responses: upstream.responses,
            latency_us: Latency { p50, p90, p99 },
        }
    }
}
