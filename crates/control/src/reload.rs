//! One reload at a time: read, check, resolve, apply whole; or keep the old plan and say why.
//!
//! All ways in (SIGHUP, `POST /v1/reload`, a list of origins that changed) end here. Reading and compiling run on a thread that
//! may block, so that the admin API goes on answering. A reload never applies part of a
//! configuration, and never ends a node.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use corsair_config::{Checked, Diagnostic, Plan, Severity};
use corsair_server::ReloadReport;
use serde::Serialize;
use tokio::task::spawn_blocking;

use crate::resolve::Resolver;
use crate::{EdgeNode, Load, Talk};

/// Who asked for a reload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trigger {
    Signal,
    Admin,
    Lists,
}

impl Trigger {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Signal => "SIGHUP",
            Self::Admin => "POST /v1/reload",
            Self::Lists => "origins_file changed",
        }
    }
}

/// How a reload ended; decides the status of the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The new plan is in force.
    Applied,
    /// The configuration has errors.
    BadConfig,
    /// The node is draining, or something broke that should not.
    NotApplied,
}

/// What a reload answers, in JSON too.
#[derive(Debug, Serialize)]
pub(crate) struct ReloadAnswer {
    #[serde(skip)]
    pub(crate) verdict: Verdict,
    ok: bool,
    /// The plan in force after the reload.
    generation: u64,
    /// Settings that differ and take effect at the next start only.
    needs_restart: Vec<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    diagnostics: Vec<DiagnosticView>,
}

#[derive(Debug, Serialize)]
struct DiagnosticView {
    code: &'static str,
    severity: &'static str,
    file: String,
    line: usize,
    column: usize,
    message: String,
    remedy: String,
}

impl From<&Diagnostic> for DiagnosticView {
    fn from(diagnostic: &Diagnostic) -> Self {
        Self {
            code: diagnostic.code,
            severity: diagnostic.severity.as_str(),
            file: diagnostic.file.clone(),
            line: diagnostic.line,
            column: diagnostic.column,
            message: diagnostic.message.clone(),
            remedy: diagnostic.remedy.clone(),
        }
    }
}

/// The last reload, for the status.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct LastReload {
    ok: bool,
    by: &'static str,
    unix_time_s: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

#[derive(Debug, Default)]
struct History {
    applied: u64,
    failed: u64,
    last: Option<LastReload>,
}

/// What there is to read.
pub(crate) struct Loads {
    /// The configuration and the files it names.
    pub(crate) whole: Arc<Load>,
    /// Only the files, for the configuration that is in force.
    pub(crate) lists: Arc<Load>,
}

/// Applies configurations to a node, one after the other.
pub(crate) struct Reloader {
    node: Arc<dyn EdgeNode>,
    loads: Loads,
    resolver: Arc<Resolver>,
    talk: Talk,
    /// Held for a whole reload: the second of two waits and reads the file anew.
    turn: tokio::sync::Mutex<()>,
    history: Mutex<History>,
}

impl Reloader {
    pub(crate) fn new(
        node: Arc<dyn EdgeNode>,
        loads: Loads,
        resolver: Arc<Resolver>,
        talk: Talk,
    ) -> Self {
        Self {
            node,
            loads,
            resolver,
            talk,
            turn: tokio::sync::Mutex::new(()),
            history: Mutex::default(),
        }
    }

    /// Reloads applied and reloads failed since the start.
    pub(crate) fn counts(&self) -> (u64, u64) {
        let history = self.history.lock().unwrap_or_else(PoisonError::into_inner);
        (history.applied, history.failed)
    }

    /// The last reload, if there was one.
    pub(crate) fn last(&self) -> Option<LastReload> {
        self.history
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .last
            .clone()
    }

    /// Runs one reload to its end. Must not be cancelled half-way: spawn it.
    pub(crate) async fn reload(self: Arc<Self>, trigger: Trigger) -> ReloadAnswer {
        let _turn = self.turn.lock().await;
        let answer = self.attempt(trigger).await;
        self.record(trigger, &answer);
        answer
    }

    async fn attempt(&self, trigger: Trigger) -> ReloadAnswer {
        if self.node.is_draining() {
            return self.refusal(Verdict::NotApplied, &[], "the node is draining");
        }
        let load = match trigger {
            Trigger::Signal | Trigger::Admin => Arc::clone(&self.loads.whole),
            Trigger::Lists => Arc::clone(&self.loads.lists),
        };
        let Ok(Checked {
            plan, diagnostics, ..
        }) = spawn_blocking(move || load()).await
        else {
            let why = "an internal error while the configuration was read";
            return self.refusal(Verdict::NotApplied, &[], why);
        };
        for diagnostic in &diagnostics {
            (self.talk)(&diagnostic.to_string());
        }
        let Some(plan) = plan else {
            let errors = diagnostics
                .iter()
                .filter(|d| d.severity == Severity::Error)
                .count();
            let plural = if errors == 1 { "" } else { "s" };
            let why = format!("the configuration has {errors} error{plural}");
            return self.refusal(Verdict::BadConfig, &diagnostics, &why);
        };
        self.apply(plan, &diagnostics).await
    }

    async fn apply(&self, plan: Plan, diagnostics: &[Diagnostic]) -> ReloadAnswer {
        let prepared = self.resolver.prepare(&plan.upstreams).await;
        let (node, resolved) = (Arc::clone(&self.node), prepared.addresses());
        let Ok(report) = spawn_blocking(move || node.reload(plan, &resolved)).await else {
            let why = "an internal error while the plan was applied";
            return self.refusal(Verdict::NotApplied, diagnostics, why);
        };
        self.resolver.adopt(prepared);
        let ReloadReport {
            generation,
            needs_restart,
        } = report;
        ReloadAnswer {
            verdict: Verdict::Applied,
            ok: true,
            generation,
            needs_restart,
            error: None,
            diagnostics: diagnostics.iter().map(DiagnosticView::from).collect(),
        }
    }

    fn refusal(&self, verdict: Verdict, diagnostics: &[Diagnostic], why: &str) -> ReloadAnswer {
        ReloadAnswer {
            verdict,
            ok: false,
            generation: self.node.snapshot().generation,
            needs_restart: Vec::new(),
            error: Some(why.to_owned()),
            diagnostics: diagnostics.iter().map(DiagnosticView::from).collect(),
        }
    }

    fn record(&self, trigger: Trigger, answer: &ReloadAnswer) {
        let (by, generation) = (trigger.as_str(), answer.generation);
        match &answer.error {
            None => (self.talk)(&format!("reloaded ({by}): plan {generation} is in force")),
            Some(why) => (self.talk)(&format!(
                "reload failed ({by}): {why}; plan {generation} stays in force"
            )),
        }
        if !answer.needs_restart.is_empty() {
            let settings = answer.needs_restart.join(", ");
            (self.talk)(&format!(
                "warning: takes effect at the next start only: {settings}"
            ));
        }
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let mut history = self.history.lock().unwrap_or_else(PoisonError::into_inner);
        if answer.ok {
            history.applied += 1;
        } else {
            history.failed += 1;
        }
        history.last = Some(LastReload {
            ok: answer.ok,
            by,
            unix_time_s: now.as_secs(),
            error: answer.error.clone(),
        });
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::Duration;

    use corsair_config::NoFiles;

    use super::*;
    use crate::edge_node::testing::{FakeNode, config};
    use crate::resolve::{Timings, system_lookup};

    impl Loads {
        fn same(load: Load) -> Self {
            let load = Arc::new(load);
            Self {
                whole: Arc::clone(&load),
                lists: load,
            }
        }
    }

    fn reloader(node: &Arc<FakeNode>, load: Load) -> Arc<Reloader> {
        let edge: Arc<dyn EdgeNode> = Arc::<FakeNode>::clone(node);
        let resolver = Resolver::new(
            Arc::clone(&edge),
            system_lookup(),
            node.talk(),
            Timings::default(),
        );
        let loads = Loads::same(load);
        Arc::new(Reloader::new(edge, loads, Arc::new(resolver), node.talk()))
    }

    #[tokio::test]
    async fn reloads_never_overlap() {
        let inside = Arc::new(AtomicU64::new(0));
        let overlaps = Arc::new(AtomicU64::new(0));
        let (count, found) = (Arc::clone(&inside), Arc::clone(&overlaps));
        let (entered, gate) = std::sync::mpsc::channel::<()>();
        let gate = Mutex::new(gate);
        let load: Load = Box::new(move || {
            if count.fetch_add(1, Ordering::SeqCst) > 0 {
                found.fetch_add(1, Ordering::SeqCst);
            }
            // Long enough for the others to come in, if anything let them.
            let _timed_out = gate.lock().unwrap().recv_timeout(Duration::from_millis(10));
            count.fetch_sub(1, Ordering::SeqCst);
            corsair_config::check("t.toml", &config(&[("a", "127.0.0.1:1")]), &NoFiles)
        });
        let node = Arc::new(FakeNode::default());
        let reloader = reloader(&node, load);
        let all: Vec<_> = [Trigger::Signal, Trigger::Admin]
            .into_iter()
            .cycle()
            .take(8)
            .map(|trigger| tokio::spawn(Arc::clone(&reloader).reload(trigger)))
            .collect();
        let mut generations = Vec::new();
        for task in all {
            generations.push(task.await.unwrap().generation);
        }
        drop(entered);
        generations.sort_unstable();
        assert_eq!(generations, (2..=9).collect::<Vec<_>>());
        assert_eq!(overlaps.load(Ordering::SeqCst), 0);
        assert_eq!(reloader.counts(), (8, 0));
    }

    #[tokio::test]
    async fn a_plan_comes_into_force_with_its_addresses() {
        let load: Load = Box::new(|| {
            let text = config(&[("named", "bucket.test:80"), ("literal", "127.0.0.1:1")]);
            corsair_config::check("t.toml", &text, &NoFiles)
        });
        let node = Arc::new(FakeNode::default());
        let edge: Arc<dyn EdgeNode> = Arc::<FakeNode>::clone(&node);
        let lookup: crate::resolve::Lookup = Arc::new(|host, port| {
            assert_eq!((host.as_str(), port), ("bucket.test", 80));
            Box::pin(async { Ok(vec!["127.0.0.2:80".parse().unwrap()]) })
        });
        let resolver = Resolver::new(Arc::clone(&edge), lookup, node.talk(), Timings::default());
        let loads = Loads::same(load);
        let reloader = Reloader::new(edge, loads, Arc::new(resolver), node.talk());
        Arc::new(reloader).reload(Trigger::Signal).await;
        let resolved = node.resolved_at_reload();
        assert_eq!(resolved["named"], ["127.0.0.2:80".parse().unwrap()]);
        assert_eq!(resolved["literal"], ["127.0.0.1:1".parse().unwrap()]);
    }

    #[tokio::test]
    async fn a_loader_that_breaks_is_a_failed_reload() {
        let node = Arc::new(FakeNode::default());
        let reloader = reloader(
            &node,
            Box::new(|| panic!("the loader broke, as this test wants")),
        );
        let answer = Arc::clone(&reloader).reload(Trigger::Signal).await;
        assert_eq!(answer.verdict, Verdict::NotApplied);
        assert_eq!(reloader.counts(), (0, 1));
        assert!(
            node.said()
                .contains("reload failed (SIGHUP): an internal error")
        );
        // The next one is not held up by the broken one.
        let again = tokio::time::timeout(
            Duration::from_secs(5),
            Arc::clone(&reloader).reload(Trigger::Signal),
        );
        assert_eq!(
            again.await.map(|answer| answer.verdict),
            Ok(Verdict::NotApplied)
        );
    }
}
