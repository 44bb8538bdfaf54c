//! Upstream names to addresses, off the workers: at start, on reload, and again every half minute.
//!
//! One task per upstream name keeps asking the system's resolver and hands what it learns to the
//! node. A name that does not resolve never stops a node: it starts (other sites may work), says
//! so, and asks again every few seconds. A name that stops resolving keeps its last addresses. The
//! order of the answer is kept, since RFC 6724 put it there. It never connects anywhere.

use std::collections::HashMap;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs as _};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use corsair_config::UpstreamPlan;
use corsair_server::ResolvedUpstreams;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{sleep, timeout};

use crate::{EdgeNode, Talk};

/// Addresses of one upstream that are kept; more are cut.
const ADDRESSES_MAX: usize = 64;

/// How often to ask.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Timings {
    /// Between two answers of a name that resolves.
    pub(crate) refresh: Duration,
    /// After a failure.
    pub(crate) retry: Duration,
    /// How long a start or reload waits for the first answer.
    pub(crate) first_max: Duration,
}

impl Default for Timings {
    fn default() -> Self {
        Self {
            refresh: Duration::from_secs(30),
            retry: Duration::from_secs(3),
            first_max: Duration::from_secs(3),
        }
    }
}

/// What the system's resolver says of the upstreams that are named, asked all at once and before anything
/// listens: a client that finds the port open is not to be told that its upstream is unknown. Blocks, for
/// three seconds at most; who is not found by then is found by the control thread, which also says so.
#[must_use]
pub fn resolve_first(upstreams: &[UpstreamPlan]) -> ResolvedUpstreams {
    let (answers, arriving) = mpsc::channel();
    let named = upstreams.iter().map(Target::of);
    for target in named.filter(|target| target.literal().is_none()) {
        let answers = answers.clone();
        let asked = thread::Builder::new().spawn(move || {
            let Target {
                upstream,
                host,
                port,
            } = target;
            if let Ok(addresses) = (host, port).to_socket_addrs() {
                // Nobody listens any more when the answer comes too late.
                let _late = answers.send((upstream, capped(addresses.collect())));
            }
        });
        // Without a thread for it, it is found later too.
        drop(asked);
    }
    drop(answers);
    let begun = Instant::now();
    let first_max = Timings::default().first_max;
    let left = || first_max.saturating_sub(begun.elapsed());
    std::iter::from_fn(|| arriving.recv_timeout(left()).ok()).collect()
}

pub(crate) type LookupFuture = Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send>>;

/// Asks for the addresses of a name. A parameter, so that tests need no DNS.
pub(crate) type Lookup = Arc<dyn Fn(String, u16) -> LookupFuture + Send + Sync>;

/// The system's resolver (`getaddrinfo`), on tokio's blocking threads.
pub(crate) fn system_lookup() -> Lookup {
    Arc::new(|host, port| {
        Box::pin(async move { Ok(tokio::net::lookup_host((host, port)).await?.collect()) })
    })
}

/// One upstream, as far as its addresses go.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Target {
    upstream: String,
    host: String,
    port: u16,
}

impl Target {
    fn of(plan: &UpstreamPlan) -> Self {
        let host = plan.host.trim_start_matches('[').trim_end_matches(']');
        Self {
            upstream: plan.name.clone(),
            host: host.to_owned(),
            port: plan.port,
        }
    }

    /// The address itself when the host is one; nothing has to be asked then.
    fn literal(&self) -> Option<SocketAddr> {
        self.host
            .parse::<IpAddr>()
            .ok()
            .map(|ip| SocketAddr::new(ip, self.port))
    }
}

/// The last addresses of a target, and the task that asks for newer ones. The task ends with it.
struct Watched {
    last: Arc<Mutex<Vec<SocketAddr>>>,
    task: Option<AbortHandle>,
}

impl Drop for Watched {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

/// Addresses for the upstreams of a plan that is not in force yet; see [`Resolver::prepare`].
pub(crate) struct Prepared {
    targets: Vec<Target>,
    found: HashMap<Target, Vec<SocketAddr>>,
}

impl Prepared {
    /// What was found, by upstream.
    pub(crate) fn addresses(&self) -> ResolvedUpstreams {
        let found = self.found.iter();
        found
            .map(|(target, addresses)| (target.upstream.clone(), addresses.clone()))
            .collect()
    }
}

/// Keeps the addresses of all upstreams of the plan in force.
pub(crate) struct Resolver {
    node: Arc<dyn EdgeNode>,
    lookup: Lookup,
    talk: Talk,
    timings: Timings,
    watched: Mutex<HashMap<Target, Watched>>,
}

impl Resolver {
    pub(crate) fn new(
        node: Arc<dyn EdgeNode>,
        lookup: Lookup,
        talk: Talk,
        timings: Timings,
    ) -> Self {
        Self {
            node,
            lookup,
            talk,
            timings,
            watched: Mutex::default(),
        }
    }

    /// Asks for every upstream that is not watched yet, all at once, for `first_max` at most.
    /// Nothing changes until [`Self::adopt`].
    pub(crate) async fn prepare(&self, upstreams: &[UpstreamPlan]) -> Prepared {
        let targets: Vec<Target> = upstreams.iter().map(Target::of).collect();
        let mut found = HashMap::new();
        let mut lookups = JoinSet::new();
        for target in &targets {
            if let Some(address) = target.literal() {
                found.insert(target.clone(), vec![address]);
            } else if !lock(&self.watched).contains_key(target) {
                let answer = (self.lookup)(target.host.clone(), target.port);
                let (target, first_max) = (target.clone(), self.timings.first_max);
                lookups.spawn(async move { (target, timeout(first_max, answer).await) });
            }
        }
        while let Some(joined) = lookups.join_next().await {
            let Ok((target, answer)) = joined else {
                continue;
            };
            match answer {
                Ok(Ok(addresses)) if !addresses.is_empty() => {
                    found.insert(target, capped(addresses));
                }
                Ok(Ok(_)) => self.say_unresolved(&target, "it has no address"),
                Ok(Err(error)) => self.say_unresolved(&target, &error.to_string()),
                Err(_) => self.say_unresolved(&target, "no answer in time"),
            }
        }
        Prepared { targets, found }
    }

    /// Hands the addresses of all upstreams to the node, whose plan is now the one that was
    /// prepared for; begins to watch the new ones and forgets those that are gone.
    pub(crate) fn adopt(&self, prepared: Prepared) {
        let Prepared { targets, mut found } = prepared;
        let mut watched = lock(&self.watched);
        watched.retain(|target, _| targets.contains(target));
        for target in targets {
            let entry = watched.entry(target.clone()).or_insert_with(|| {
                let last = Arc::new(Mutex::new(found.remove(&target).unwrap_or_default()));
                let task = target
                    .literal()
                    .is_none()
                    .then(|| self.watch(&target, &last));
                Watched { last, task }
            });
            // Said again even when nothing changed: the new plan may know nothing yet.
            let addresses = lock(&entry.last).clone();
            if !addresses.is_empty() {
                self.node
                    .set_upstream_addresses(&target.upstream, addresses);
            }
        }
    }

    fn say_unresolved(&self, target: &Target, why: &str) {
        let Target { upstream, host, .. } = target;
        let retry = self.timings.retry.as_secs();
        (self.talk)(&format!(
            "warning: upstream `{upstream}`: cannot resolve `{host}`: {why}; requests to it are \
             answered with 502 until it resolves; asking again every {retry} s"
        ));
    }

    fn watch(&self, target: &Target, last: &Arc<Mutex<Vec<SocketAddr>>>) -> AbortHandle {
        let watch = Watch {
            node: Arc::clone(&self.node),
            lookup: Arc::clone(&self.lookup),
            talk: Arc::clone(&self.talk),
            timings: self.timings,
            target: target.clone(),
            last: Arc::clone(last),
        };
        tokio::spawn(watch.run()).abort_handle()
    }
}

/// The task behind one name.
struct Watch {
    node: Arc<dyn EdgeNode>,
    lookup: Lookup,
    talk: Talk,
    timings: Timings,
    target: Target,
    last: Arc<Mutex<Vec<SocketAddr>>>,
}

impl Watch {
    async fn run(self) {
        let mut resolves = !lock(&self.last).is_empty();
        loop {
            sleep(if resolves {
                self.timings.refresh
            } else {
                self.timings.retry
            })
            .await;
            // No timeout: the blocking thread cannot be called back, and asking again beside it
            // would pile up threads. A hung resolver costs one thread a name.
            let answer = (self.lookup)(self.target.host.clone(), self.target.port).await;
            resolves = self.take(answer, resolves);
        }
    }

    /// Applies one answer; returns whether the name resolves now. Says only what has changed.
    fn take(&self, answer: io::Result<Vec<SocketAddr>>, resolved_before: bool) -> bool {
        let Target { upstream, host, .. } = &self.target;
        let why = match answer {
            Ok(addresses) if !addresses.is_empty() => {
                let addresses = capped(addresses);
                let mut last = lock(&self.last);
                if !resolved_before {
                    let count = addresses.len();
                    (self.talk)(&format!(
                        "upstream `{upstream}`: `{host}` resolves now ({count} addresses)"
                    ));
                }
                if *last != addresses {
                    last.clone_from(&addresses);
                    drop(last);
                    self.node.set_upstream_addresses(upstream, addresses);
                }
                return true;
            }
            Ok(_) => "it has no address".to_owned(),
            Err(error) => error.to_string(),
        };
        if resolved_before {
            let kept = lock(&self.last).len();
            (self.talk)(&format!(
                "warning: upstream `{upstream}`: cannot resolve `{host}` any more: {why}; its \
                 {kept} last addresses stay in use"
            ));
        }
        false
    }
}

fn capped(mut addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let mut seen = Vec::new();
    addresses.retain(|address| {
        let new = !seen.contains(address) && seen.len() < ADDRESSES_MAX;
        if new {
            seen.push(*address);
        }
        new
    });
    addresses
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing is left half-changed under these locks, so a poisoned one is as good as new.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::edge_node::testing::{FakeNode, plan};

    const QUICK: Timings = Timings {
        refresh: Duration::from_millis(5),
        retry: Duration::from_millis(5),
        first_max: Duration::from_millis(50),
    };

    /// A resolver whose answers are in a table that the test may change.
    fn scripted(table: &Arc<Mutex<HashMap<String, &'static [&'static str]>>>) -> Lookup {
        let table = Arc::clone(table);
        Arc::new(move |host, port| {
            let table = Arc::clone(&table);
            Box::pin(async move {
                if host == "hangs.test" {
                    std::future::pending::<()>().await;
                }
                let texts = lock(&table).get(&host).copied();
                let texts = texts.ok_or_else(|| io::Error::other("no such name"))?;
                Ok(texts
                    .iter()
                    .map(|t| SocketAddr::new(t.parse().unwrap(), port))
                    .collect())
            })
        })
    }

    struct Bench {
        node: Arc<FakeNode>,
        resolver: Resolver,
        names: Arc<Mutex<HashMap<String, &'static [&'static str]>>>,
    }

    fn bench(names: &[(&str, &'static [&'static str])]) -> Bench {
        let names = names
            .iter()
            .map(|(name, texts)| ((*name).to_owned(), *texts))
            .collect();
        let names = Arc::new(Mutex::new(names));
        let node = Arc::new(FakeNode::default());
        let resolver = Resolver::new(
            Arc::<FakeNode>::clone(&node),
            scripted(&names),
            node.talk(),
            QUICK,
        );
        Bench {
            node,
            resolver,
            names,
        }
    }

    impl Bench {
        async fn adopt(&self, upstreams: &[(&str, &str)]) {
            let plan = plan(upstreams);
            self.resolver
                .adopt(self.resolver.prepare(&plan.upstreams).await);
        }

        async fn wait_for(&self, upstream: &str, expected: &[&str]) {
            self.node
                .wait_until(|node| node.addresses_of(upstream) == expected)
                .await;
        }
    }

    #[tokio::test]
    async fn literals_are_handed_over_and_never_asked_for() {
        let bench = bench(&[]);
        bench
            .adopt(&[("a", "127.0.0.1:81"), ("b", "[::1]:82")])
            .await;
        assert_eq!(bench.node.addresses_of("a"), ["127.0.0.1:81"]);
        assert_eq!(bench.node.addresses_of("b"), ["[::1]:82"]);
        assert_eq!(bench.node.said(), "");
    }

    #[tokio::test]
    async fn order_is_kept_and_repeats_are_dropped() {
        let bench = bench(&[("x.test", &["10.0.0.2", "10.0.0.1", "10.0.0.2"])]);
        bench.adopt(&[("a", "x.test:81")]).await;
        assert_eq!(bench.node.addresses_of("a"), ["10.0.0.2:81", "10.0.0.1:81"]);
    }

    #[tokio::test]
    async fn a_name_that_fails_at_first_is_said_and_asked_for_again() {
        let bench = bench(&[]);
        bench
            .adopt(&[("a", "x.test:81"), ("b", "hangs.test:81")])
            .await;
        assert_eq!(bench.node.addresses_of("a"), [""; 0]);
        let said = bench.node.said();
        assert!(
            said.contains("upstream `a`: cannot resolve `x.test`: no such name"),
            "{said}"
        );
        assert!(
            said.contains("upstream `b`: cannot resolve `hangs.test`: no answer"),
            "{said}"
        );
        lock(&bench.names).insert("x.test".into(), &["10.0.0.1"]);
        bench.wait_for("a", &["10.0.0.1:81"]).await;
        assert!(
            bench.node.said().contains("`x.test` resolves now"),
            "{}",
            bench.node.said()
        );
    }

    #[tokio::test]
    async fn changes_are_followed_and_a_lost_name_keeps_its_addresses() {
        let bench = bench(&[("x.test", &["10.0.0.1"])]);
        bench.adopt(&[("a", "x.test:81")]).await;
        lock(&bench.names).insert("x.test".into(), &["10.0.0.9"]);
        bench.wait_for("a", &["10.0.0.9:81"]).await;
        lock(&bench.names).remove("x.test");
        bench
            .node
            .wait_until(|node| node.said().contains("cannot resolve"))
            .await;
        assert_eq!(bench.node.addresses_of("a"), ["10.0.0.9:81"]);
        let complaints = bench.node.said().matches("cannot resolve").count();
        assert_eq!(complaints, 1, "a lasting failure is said once");
    }

    #[tokio::test]
    async fn a_new_plan_moves_names_and_stops_old_tasks() {
        let bench = bench(&[("x.test", &["10.0.0.1"]), ("y.test", &["10.0.0.2"])]);
        bench.adopt(&[("a", "x.test:81")]).await;
        bench.adopt(&[("a", "y.test:81"), ("b", "x.test:82")]).await;
        assert_eq!(bench.node.addresses_of("a"), ["10.0.0.2:81"]);
        assert_eq!(bench.node.addresses_of("b"), ["10.0.0.1:82"]);
        // Were the old task alive, it would hand 10.0.0.3:81 to `a` before `b` hears of :82.
        lock(&bench.names).insert("x.test".into(), &["10.0.0.3"]);
        bench.wait_for("b", &["10.0.0.3:82"]).await;
        assert_eq!(bench.node.addresses_of("a"), ["10.0.0.2:81"]);
    }

    #[test]
    fn addresses_are_capped() {
        let many = |count: u8| {
            (0..count)
                .map(|n| SocketAddr::from(([10, 0, 0, n], 80)))
                .collect()
        };
        assert_eq!(capped(many(64)).len(), 64);
        assert_eq!(capped(many(65)).len(), 64);
    }
}
