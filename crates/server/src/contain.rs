//! Panics on a worker: what of it ends, what goes on, and that each is counted.
//!
//! A connection or a fetch that panics ends alone. What a worker cannot be without (accepting, the
//! deadline wheel, the mailbox) begins again a moment later. A worker whose thread ends by a panic all
//! the same, in the runtime itself, ends the process: its listener would go on being given connections
//! that nobody accepts. A debug build ends at once in each case, so that no test passes over a panic.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use crate::io;
use crate::metrics::Counter;
use crate::worker::Worker;

/// How long a task that must not end rests after a panic: one that panics each time costs no more than
/// a few lines of log a second.
pub(crate) const REST_AFTER_PANIC: Duration = Duration::from_millis(250);

/// What `act` returns, or `None` when it panicked, which is counted.
pub(crate) fn contain<T>(panics: &Counter, act: impl FnOnce() -> T) -> Option<T> {
    match std::panic::catch_unwind(AssertUnwindSafe(act)) {
        Ok(value) => Some(value),
        // The panic hook has printed it.
        Err(_panic) => {
            if cfg!(all(debug_assertions, not(test))) {
                std::process::abort();
            }
            panics.increment();
            None
        }
    }
}

pin_project_lite::pin_project! {
    /// A task whose panic ends it and nothing else.
    struct Contained<F> {
        #[pin]
        task: Option<F>,
        worker: Rc<Worker>,
    }
}

/// How a contained task ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ended {
    Done,
    Panicked,
}

impl<F: Future<Output = ()>> Future for Contained<F> {
    type Output = Ended;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Ended> {
        let mut this = self.project();
        let Some(task) = this.task.as_mut().as_pin_mut() else {
            return Poll::Ready(Ended::Panicked);
        };
        match contain(&this.worker.metrics.counters.panics, || task.poll(context)) {
            Some(poll) => poll.map(|()| Ended::Done),
            None => {
                // Dropping the task closes its sockets.
                this.task.set(None);
                Poll::Ready(Ended::Panicked)
            }
        }
    }
}

impl Worker {
    /// Runs `task` detached on this worker; a panic ends that task, is counted, and nothing else.
    pub(crate) fn spawn_contained(self: &Rc<Self>, task: impl Future<Output = ()> + 'static) {
        io::spawn(Contained {
            task: Some(task),
            worker: Rc::clone(self),
        });
    }

    /// Runs what `begin` makes, detached, until it returns; after a panic, which is counted, it begins
    /// again.
    pub(crate) fn spawn_kept<F>(self: &Rc<Self>, begin: impl Fn(Rc<Self>) -> F + 'static)
    where
        F: Future<Output = ()> + 'static,
    {
        let worker = Rc::clone(self);
        io::spawn(async move {
            loop {
                let contained = Contained {
                    task: Some(begin(Rc::clone(&worker))),
                    worker: Rc::clone(&worker),
                };
                match contained.await {
                    Ended::Done => return,
                    Ended::Panicked => io::sleep(REST_AFTER_PANIC).await,
                }
            }
        });
    }
}

/// Held by a worker's thread: when a panic ends the thread, it ends the process.
pub(crate) struct EndsTheProcess;

impl Drop for EndsTheProcess {
    fn drop(&mut self) {
        if std::thread::panicking() {
            std::process::abort();
        }
    }
}

/// Panics that a test asks for.
#[cfg(test)]
pub(crate) mod fault {
    use std::sync::Mutex;

    /// Where.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(crate) enum Fault {
        /// Where a request is answered.
        Exchange,
        /// Where a connection was accepted.
        Accept,
        /// Where the wheel turns.
        Wheel,
        /// Where the mailbox was rung.
        Mailbox,
    }

    static NEXT: Mutex<Option<Fault>> = Mutex::new(None);

    /// From now on the first to come by panics.
    pub(crate) fn ask_for(fault: Fault) {
        *NEXT.lock().expect("nobody panics with it") = Some(fault);
    }

    /// Whether it has happened.
    pub(crate) fn has_happened() -> bool {
        NEXT.lock().expect("nobody panics with it").is_none()
    }

    /// Panics where that is asked for.
    pub(crate) fn strike(here: Fault) {
        let struck = NEXT
            .lock()
            .expect("nobody panics with it")
            .take_if(|asked| *asked == here);
        assert!(struck.is_none(), "at {here:?}, as this test wants");
    }
}

#[cfg(test)]
mod tests {
    use super::fault::{self, Fault};
    use crate::{Node, ResolvedUpstreams};
    use corsair_config::{FileError, FileSource, check};
    use std::io::{Read as _, Write as _};
    use std::net::{SocketAddr, TcpStream};
    use std::time::{Duration, Instant};

    struct NoFiles;

    impl FileSource for NoFiles {
        fn read(&self, _path: &str, _bytes_max: usize) -> Result<String, FileError> {
            unreachable!("the configuration names no file")
        }
    }

    const CONFIGURATION: &str = r#"
        [node]
        workers = 1
        [admin]
        listen = "127.0.0.1:0"
        [limits]
        head_timeout = "1s"
        [[listener]]
        address = "127.0.0.1:0"
        [[upstream]]
        name = "u"
        servers = ["http://127.0.0.1:9"]
        [[site]]
        hosts = ["a.example"]
        upstream = "u"
    "#;

    const PATIENCE: Duration = Duration::from_secs(30);

    fn connect(node: SocketAddr) -> TcpStream {
        let stream = TcpStream::connect(node).expect("the node listens");
        stream
            .set_read_timeout(Some(PATIENCE))
            .expect("a socket option");
        stream
    }

    /// What comes until the node closes; that it closes by a reset is all the same here.
    fn rest(mut stream: TcpStream) -> String {
        let mut response = Vec::new();
        let _reset = stream.read_to_end(&mut response);
        String::from_utf8_lossy(&response).into_owned()
    }

    /// Asks for what no site has, which the node answers alone.
    fn ask(node: SocketAddr) -> String {
        let mut stream = connect(node);
        let request = b"GET /a HTTP/1.1\r\nHost: other\r\nConnection: close\r\n\r\n";
        let _reset = stream.write_all(request);
        rest(stream)
    }

    fn eventually(what: &str, condition: impl Fn() -> bool) {
        let until = Instant::now() + PATIENCE;
        while !condition() {
            assert!(Instant::now() < until, "not within {PATIENCE:?}: {what}");
            std::thread::park_timeout(Duration::from_millis(5));
        }
    }

    /// One test for all places: what is asked for strikes the first node that comes by.
    #[test]
    fn a_panic_anywhere_is_counted_and_the_worker_serves_on() {
        let checked = check("t.toml", CONFIGURATION, &NoFiles);
        let plan = checked
            .plan
            .unwrap_or_else(|| panic!("{:?}", checked.diagnostics));
        let node = Node::start(plan, &ResolvedUpstreams::new()).expect("starts");
        let address = node.addresses()[0];
        let counted = || node.snapshot().workers[0].panics;
        let answered = || ask(address).starts_with("HTTP/1.1 421 ");
        assert!(answered());

        // A connection is closed without a word; others are not touched.
        let mut other = connect(address);
        other
            .write_all(b"GET /a HTTP/1.1\r\nHost: ot")
            .expect("sent");
        eventually("the half request is there", || {
            node.snapshot().workers[0].connections_open == 1
        });
        fault::ask_for(Fault::Exchange);
        assert_eq!(ask(address), "");
        eventually("it is counted", || counted() == 1);
        let rest_of_head = b"her\r\nConnection: close\r\n\r\n";
        other.write_all(rest_of_head).expect("sent");
        assert!(rest(other).starts_with("HTTP/1.1 421 "));
        assert!(answered());
        eventually("no connection is taken for open", || {
            node.snapshot().workers[0].connections_open == 0
        });

        // Accepting goes on, more often than there are tasks that accept.
        for time in 1..=20 {
            fault::ask_for(Fault::Accept);
            assert_eq!(ask(address), "");
            eventually("it is counted", || counted() == 1 + time);
        }
        assert!(answered());

        // The wheel turns on: a head that never ends is late.
        fault::ask_for(Fault::Wheel);
        eventually("the wheel has panicked", fault::has_happened);
        let mut late = connect(address);
        late.write_all(b"GET /a HTTP/1.1\r\n").expect("sent");
        assert!(rest(late).starts_with("HTTP/1.1 408 "));
        assert_eq!(counted(), 22);

        // The mailbox is read on: the worker hears of the drain.
        fault::ask_for(Fault::Mailbox);
        let idle = connect(address);
        eventually("it is accepted", || {
            node.snapshot().workers[0].connections_open == 1
        });
        node.begin_drain();
        assert_eq!(node.wait_drained(PATIENCE).connections_cut, 0);
        assert_eq!(rest(idle), "");
        assert!(fault::has_happened());
        assert_eq!(counted(), 23);
    }
}
