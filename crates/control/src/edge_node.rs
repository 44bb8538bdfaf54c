//! What the control side needs of a running node, as a trait, so that it can be tested without one.

use std::net::SocketAddr;
use std::sync::Arc;

use corsair_config::Plan;
use corsair_server::{Node, NoticeSink, ReloadReport, ResolvedUpstreams, Snapshot};

/// A node as the control thread sees it. All methods may be called from any thread; none blocks for
/// longer than a plan takes to be compiled.
pub trait EdgeNode: Send + Sync + 'static {
    /// The client-side addresses that are listened on, with real port numbers.
    fn addresses(&self) -> Vec<SocketAddr>;
    /// The plan in force.
    fn plan(&self) -> Arc<Plan>;
    /// All counters and gauges at one moment.
    fn snapshot(&self) -> Snapshot;
    /// Puts a new plan in force, whole, its upstreams reached at the addresses given.
    fn reload(&self, plan: Plan, resolved: &ResolvedUpstreams) -> ReloadReport;
    /// Replaces the addresses of the upstream of that name; an unknown name is ignored.
    fn set_upstream_addresses(&self, upstream: &str, addresses: Vec<SocketAddr>);
    /// Says where notices go; the sink is called on a worker and must not block.
    fn on_notice(&self, sink: NoticeSink);
    /// Whether the node has stopped taking new connections.
    fn is_draining(&self) -> bool;
}

impl EdgeNode for Node {
    fn addresses(&self) -> Vec<SocketAddr> {
        self.addresses().to_vec()
    }

    fn plan(&self) -> Arc<Plan> {
        self.plan()
    }

    fn snapshot(&self) -> Snapshot {
        self.snapshot()
    }

    fn reload(&self, plan: Plan, resolved: &ResolvedUpstreams) -> ReloadReport {
        self.reload(plan, resolved)
    }

    fn on_notice(&self, sink: NoticeSink) {
        self.on_notice(sink);
    }

    fn set_upstream_addresses(&self, upstream: &str, addresses: Vec<SocketAddr>) {
        self.set_upstream_addresses(upstream, addresses);
    }

    fn is_draining(&self) -> bool {
        self.is_draining()
    }
}

#[cfg(test)]
pub(crate) mod testing {
    //! A node that does nothing and remembers what it was told.

    use std::collections::HashMap;
    use std::fmt::Write as _;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::{Mutex, MutexGuard};
    use std::time::Duration;

    use corsair_server::StoreSnapshot;

    use super::*;
    use crate::Talk;

    /// A checked plan with these upstreams (name, host and port), all of them used.
    pub(crate) fn plan(upstreams: &[(&str, &str)]) -> Plan {
        let checked = corsair_config::check("t.toml", &config(upstreams), &corsair_config::NoFiles);
        checked
            .plan
            .unwrap_or_else(|| panic!("{:?}", checked.diagnostics))
    }

    /// The text of [`plan`].
    pub(crate) fn config(upstreams: &[(&str, &str)]) -> String {
        let mut text = "[[listener]]\naddress = \"127.0.0.1:0\"\n".to_owned();
        for (name, server) in upstreams {
            write!(
                text,
                "[[upstream]]\nname = \"{name}\"\nservers = [\"http://{server}\"]\n\
                 [[site]]\nhosts = [\"{name}.test\"]\nupstream = \"{name}\"\n"
            )
            .unwrap();
        }
        text
    }

    pub(crate) struct FakeNode {
        state: Mutex<State>,
        pub(crate) draining: AtomicBool,
    }

    struct State {
        plan: Arc<Plan>,
        snapshot: Snapshot,
        addresses: HashMap<String, Vec<SocketAddr>>,
        resolved_at_reload: ResolvedUpstreams,
        said: String,
    }

    impl Default for FakeNode {
        fn default() -> Self {
            let state = State {
                plan: Arc::new(plan(&[("first", "127.0.0.1:1")])),
                snapshot: Snapshot {
                    driver: "epoll",
                    generation: 1,
                    uptime: Duration::ZERO,
                    workers: Vec::new(),
                    store: StoreSnapshot {
                        bytes: 0,
                        budget: 0,
                        objects: 0,
                    },
                    upstreams: Vec::new(),
                    reflections: Vec::new(),
                    shadows: Vec::new(),
                },
                addresses: HashMap::new(),
                resolved_at_reload: HashMap::new(),
                said: String::new(),
            };
            Self {
                state: Mutex::new(state),
                draining: AtomicBool::new(false),
            }
        }
    }

    impl FakeNode {
        fn state(&self) -> MutexGuard<'_, State> {
            self.state.lock().unwrap()
        }

        pub(crate) fn set_snapshot(&self, snapshot: Snapshot) {
            self.state().snapshot = snapshot;
        }

        pub(crate) fn addresses_of(&self, upstream: &str) -> Vec<String> {
            let state = self.state();
            let addresses = state.addresses.get(upstream);
            addresses
                .into_iter()
                .flatten()
                .map(ToString::to_string)
                .collect()
        }

        /// The addresses that came with the last plan.
        pub(crate) fn resolved_at_reload(&self) -> ResolvedUpstreams {
            self.state().resolved_at_reload.clone()
        }

        /// All that was said, one message a line.
        pub(crate) fn said(&self) -> String {
            self.state().said.clone()
        }

        /// A talk that this node remembers.
        pub(crate) fn talk(self: &Arc<Self>) -> Talk {
            let node = Arc::clone(self);
            Arc::new(move |message| {
                let said = &mut node.state().said;
                said.push_str(message);
                said.push('\n');
            })
        }

        /// Waits for a condition, for five seconds at most.
        pub(crate) async fn wait_until(&self, holds: impl Fn(&Self) -> bool) {
            for _ in 0..2_500 {
                if holds(self) {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            panic!("the condition never held; said:\n{}", self.said());
        }
    }

    impl EdgeNode for FakeNode {
        fn addresses(&self) -> Vec<SocketAddr> {
            vec!["127.0.0.1:8080".parse().unwrap()]
        }

        fn plan(&self) -> Arc<Plan> {
            Arc::clone(&self.state().plan)
        }

        fn snapshot(&self) -> Snapshot {
            self.state().snapshot.clone()
        }

        fn on_notice(&self, _never_called: NoticeSink) {}

        fn reload(&self, plan: Plan, resolved: &ResolvedUpstreams) -> ReloadReport {
            let mut state = self.state();
            state.resolved_at_reload.clone_from(resolved);
            let admin_moves = plan.admin.listen != state.plan.admin.listen;
            state.plan = Arc::new(plan);
            state.snapshot.generation += 1;
            ReloadReport {
                generation: state.snapshot.generation,
                needs_restart: admin_moves.then_some("admin.listen").into_iter().collect(),
            }
        }

        fn set_upstream_addresses(&self, upstream: &str, addresses: Vec<SocketAddr>) {
            self.state()
                .addresses
                .insert(upstream.to_owned(), addresses);
        }

        fn is_draining(&self) -> bool {
            self.draining.load(Ordering::Relaxed)
        }
    }
}
