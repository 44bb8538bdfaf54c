//! The server behind the node, scripted like a conversation:
//! `upstream.expect("GET /a").reply(200).header("ETag", "\"1\"").body("hello")`.
//!
//! Each expectation answers once unless told otherwise. A request that nobody expected is answered
//! 599 and fails the test when the upstream is dropped, and so does an expectation never met: so a
//! scenario says exactly what reaches the upstream, and a hit is known to be one.

use std::io::Write;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use super::pace::{Gate, PATIENCE};
use super::wire::{Framing, Head, Wire, WireError, declared_framing};

/// A request as it reached the upstream.
#[derive(Debug, Clone)]
pub(crate) struct Received {
    /// Which connection brought it, counted from 1.
    pub(crate) connection: usize,
    pub(crate) head: Head,
    pub(crate) body: Vec<u8>,
}

impl Received {
    pub(crate) fn field(&self, name: &str) -> Option<String> {
        self.head.field(name)
    }

    /// `GET /a` of `GET /a HTTP/1.1`.
    pub(crate) fn line(&self) -> &str {
        self.head
            .start
            .rsplit_once(' ')
            .map_or("", |(line, _)| line)
    }
}

/// Bytes of a large body that nobody has to keep: the byte at each place follows from the place.
pub(crate) fn pattern(len: usize) -> Vec<u8> {
    (0..len)
        .map(|at| (at ^ (at >> 8).wrapping_mul(31) ^ (at >> 16).wrapping_mul(7)) as u8)
        .collect()
}

#[derive(Clone)]
enum Step {
    /// The reply put together from status, fields and body.
    Reply,
    Raw(Vec<u8>),
    Wait(Gate),
    /// Writes these bytes a piece at a time, each piece after a moment.
    Drip(Vec<u8>, usize, Duration),
    HalfClose,
    Reset,
    Close,
    /// Reads until the node closes.
    AwaitClose,
}

#[derive(Clone)]
enum Body {
    None,
    Length(Vec<u8>),
    /// A `Content-Length` that is not the truth.
    Claimed(u64, Vec<u8>),
    Chunked(Vec<Vec<u8>>),
    UntilClose(Vec<u8>),
}

#[derive(Clone)]
struct Expectation {
    line: String,
    with: Vec<(String, String)>,
    without: Vec<String>,
    times_left: Option<usize>,
    met: usize,
    optional: bool,
    read_body_after: Option<Gate>,
    early: bool,
    status: u16,
    fields: Vec<(String, String)>,
    body: Body,
    steps: Vec<Step>,
}

impl Expectation {
    fn fits(&self, head: &Head) -> bool {
        let line = head.start.rsplit_once(' ').map_or("", |(line, _)| line);
        self.times_left != Some(0)
            && self.line == line
            && self
                .with
                .iter()
                .all(|(n, v)| head.field(n).as_deref() == Some(v))
            && self.without.iter().all(|name| head.field(name).is_none())
    }

    fn closes_behind_reply(&self) -> bool {
        let says_so = |(name, _): &(String, String)| name.eq_ignore_ascii_case("Connection");
        matches!(self.steps.as_slice(), [.., Step::Reply, Step::Close])
            && !self.fields.iter().any(says_so)
    }

    fn render(&self, method: &str) -> Vec<u8> {
        let mut text = format!("HTTP/1.1 {} Scripted\r\n", self.status);
        for (name, value) in &self.fields {
            text += &format!("{name}: {value}\r\n");
        }
        // A server that closes behind its answer says so (RFC 9112 §9.6): else the next request may
        // leave on this connection while the close is on its way, and only some can be sent again.
        if self.closes_behind_reply() {
            text += "Connection: close\r\n";
        }
        let mut payload: Vec<u8> = Vec::new();
        match &self.body {
            Body::None if matches!(self.status, 204 | 304) => {}
            Body::None => text += "Content-Length: 0\r\n",
            Body::Length(body) => {
                text += &format!("Content-Length: {}\r\n", body.len());
                payload.extend(body);
            }
            Body::Claimed(len, body) => {
                text += &format!("Content-Length: {len}\r\n");
                payload.extend(body);
            }
            Body::Chunked(chunks) => {
                text += "Transfer-Encoding: chunked\r\n";
                for chunk in chunks {
                    payload.extend(format!("{:x}\r\n", chunk.len()).as_bytes());
                    payload.extend(chunk);
                    payload.extend(b"\r\n");
                }
                payload.extend(b"0\r\n\r\n");
            }
            Body::UntilClose(body) => payload.extend(body),
        }
        let mut bytes = (text + "\r\n").into_bytes();
        if method != "HEAD" {
            bytes.extend(payload);
        }
        bytes
    }
}

#[derive(Default)]
struct State {
    script: Vec<Expectation>,
    received: Vec<Received>,
    surprises: Vec<String>,
    connections: usize,
    open: Vec<(usize, TcpStream)>,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    stopping: AtomicBool,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A scripted server on a port of its own.
pub(crate) struct Upstream {
    shared: Arc<Shared>,
    address: SocketAddr,
}

impl Upstream {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free loopback port");
        let address = listener
            .local_addr()
            .expect("a bound socket has an address");
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            changed: Condvar::new(),
            stopping: AtomicBool::new(false),
        });
        let accepting = Arc::clone(&shared);
        thread::spawn(move || accept_all(&listener, &accepting));
        Self { shared, address }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Adds a line to the conversation: a request with this method and target.
    pub(crate) fn expect(&self, line: &str) -> Script<'_> {
        let mut state = self.shared.state();
        state.script.push(Expectation {
            line: line.to_owned(),
            with: Vec::new(),
            without: Vec::new(),
            times_left: Some(1),
            met: 0,
            optional: false,
            read_body_after: None,
            early: false,
            status: 200,
            fields: Vec::new(),
            body: Body::None,
            steps: Vec::new(),
        });
        Script {
            upstream: self,
            at: state.script.len() - 1,
        }
    }

    /// Every request so far.
    pub(crate) fn received(&self) -> Vec<Received> {
        self.shared.state().received.clone()
    }

    pub(crate) fn last(&self) -> Received {
        self.received()
            .pop()
            .expect("a request reached the upstream")
    }

    /// How many connections were ever accepted.
    pub(crate) fn connections(&self) -> usize {
        self.shared.state().connections
    }

    /// How many connections are open now.
    pub(crate) fn open(&self) -> usize {
        self.shared.state().open.len()
    }

    /// Waits until so many requests came.
    #[track_caller]
    pub(crate) fn wait_received(&self, count: usize) {
        self.wait(&format!("{count} requests at the upstream"), |state| {
            state.received.len() >= count
        });
    }

    /// Waits until so many connections are open.
    #[track_caller]
    pub(crate) fn wait_open(&self, count: usize) {
        self.wait(&format!("{count} open upstream connections"), |state| {
            state.open.len() == count
        });
    }

    #[track_caller]
    fn wait(&self, what: &str, condition: impl Fn(&State) -> bool) {
        let (state, late) = self
            .shared
            .changed
            .wait_timeout_while(self.shared.state(), PATIENCE, |state| !condition(state))
            .unwrap_or_else(PoisonError::into_inner);
        drop(state);
        assert!(!late.timed_out(), "not within {PATIENCE:?}: {what}");
    }

    /// Closes every open connection from this side, as a server does with idle ones.
    pub(crate) fn close_all(&self) {
        for (_, stream) in &self.shared.state().open {
            // A connection that is gone already is closed.
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// Nothing at all reached the upstream.
    #[track_caller]
    pub(crate) fn heard_nothing(&self) {
        let received = self.received();
        assert!(
            received.is_empty(),
            "this reached the upstream: {received:#?}"
        );
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::Release);
        self.close_all();
        // Wakes the accepting thread, which then ends.
        drop(TcpStream::connect(self.address));
        if thread::panicking() {
            return;
        }
        let state = self.shared.state();
        let surprises = state.surprises.clone();
        let unmet: Vec<String> = state
            .script
            .iter()
            .filter(|e| !e.optional && e.times_left != Some(0) && e.met == 0)
            .map(|e| e.line.clone())
            .chain(
                state
                    .script
                    .iter()
                    .filter(|e| !e.optional && e.met > 0 && e.times_left.is_some_and(|n| n > 0))
                    .map(|e| format!("{} (once more)", e.line)),
            )
            .collect();
        drop(state);
        assert!(
            surprises.is_empty(),
            "the upstream did not expect: {surprises:#?}"
        );
        assert!(
            unmet.is_empty(),
            "expected at the upstream, but it never came: {unmet:?}"
        );
    }
}

/// One expectation being written.
pub(crate) struct Script<'u> {
    upstream: &'u Upstream,
    at: usize,
}

impl Script<'_> {
    fn edit(self, edit: impl FnOnce(&mut Expectation)) -> Self {
        edit(&mut self.upstream.shared.state().script[self.at]);
        self
    }

    fn step(self, step: Step) -> Self {
        self.edit(|e| e.steps.push(step))
    }

    /// Only a request that carries this field with this value.
    pub(crate) fn with(self, name: &str, value: &str) -> Self {
        self.edit(|e| e.with.push((name.to_owned(), value.to_owned())))
    }

    /// Only a request without this field.
    pub(crate) fn without(self, name: &str) -> Self {
        self.edit(|e| e.without.push(name.to_owned()))
    }

    pub(crate) fn times(self, times: usize) -> Self {
        self.edit(|e| e.times_left = Some(times))
    }

    /// Any number of times, none included.
    pub(crate) fn always(self) -> Self {
        self.edit(|e| {
            e.times_left = None;
            e.optional = true;
        })
    }

    /// Once or never.
    pub(crate) fn perhaps(self) -> Self {
        self.edit(|e| e.optional = true)
    }

    /// Leaves the request's body on the socket until the gate opens.
    pub(crate) fn read_body_after(self, gate: &Gate) -> Self {
        self.edit(|e| e.read_body_after = Some(gate.clone()))
    }

    /// Answers before reading the request's body.
    pub(crate) fn early(self) -> Self {
        self.edit(|e| e.early = true)
    }

    pub(crate) fn reply(self, status: u16) -> Self {
        self.edit(|e| {
            e.status = status;
            e.steps.push(Step::Reply);
        })
    }

    pub(crate) fn header(self, name: &str, value: &str) -> Self {
        self.edit(|e| e.fields.push((name.to_owned(), value.to_owned())))
    }

    pub(crate) fn body(self, body: impl AsRef<[u8]>) -> Self {
        self.edit(|e| e.body = Body::Length(body.as_ref().to_vec()))
    }

    pub(crate) fn chunks(self, chunks: &[&[u8]]) -> Self {
        self.edit(|e| e.body = Body::Chunked(chunks.iter().map(|c| c.to_vec()).collect()))
    }

    /// Claims one length and sends another.
    pub(crate) fn claims(self, len: u64, body: impl AsRef<[u8]>) -> Self {
        self.edit(|e| e.body = Body::Claimed(len, body.as_ref().to_vec()))
    }

    /// A body that ends with the connection.
    pub(crate) fn until_close(self, body: impl AsRef<[u8]>) -> Self {
        self.edit(|e| e.body = Body::UntilClose(body.as_ref().to_vec()))
            .close()
    }

    pub(crate) fn raw(self, bytes: impl AsRef<[u8]>) -> Self {
        self.step(Step::Raw(bytes.as_ref().to_vec()))
    }

    pub(crate) fn wait(self, gate: &Gate) -> Self {
        self.step(Step::Wait(gate.clone()))
    }

    pub(crate) fn drip(self, bytes: impl AsRef<[u8]>, piece: usize, every: Duration) -> Self {
        self.step(Step::Drip(bytes.as_ref().to_vec(), piece, every))
    }

    pub(crate) fn half_close(self) -> Self {
        self.step(Step::HalfClose)
    }

    pub(crate) fn reset(self) -> Self {
        self.step(Step::Reset)
    }

    pub(crate) fn close(self) -> Self {
        self.step(Step::Close)
    }

    pub(crate) fn await_close(self) -> Self {
        self.step(Step::AwaitClose)
    }
}

fn accept_all(listener: &TcpListener, shared: &Arc<Shared>) {
    for stream in listener.incoming() {
        if shared.stopping.load(Ordering::Acquire) {
            return;
        }
        let Ok(stream) = stream else { continue };
        let number = {
            let mut state = shared.state();
            state.connections += 1;
            let number = state.connections;
            let Ok(copy) = stream.try_clone() else {
                continue;
            };
            state.open.push((number, copy));
            number
        };
        shared.changed.notify_all();
        let shared = Arc::clone(shared);
        thread::spawn(move || {
            let mut wire = Wire::new(stream, Duration::from_secs(60));
            converse(&mut wire, number, &shared);
            shared.state().open.retain(|(n, _)| *n != number);
            drop(wire);
            shared.changed.notify_all();
        });
    }
}

/// One connection: requests until something ends it.
fn converse(wire: &mut Wire, connection: usize, shared: &Shared) {
    loop {
        let head = match wire.read_head() {
            Ok(head) => head,
            Err(WireError::Closed | WireError::Reset | WireError::Silence) => return,
            Err(error) => return surprise(shared, format!("a head that is wrong: {error}")),
        };
        if let Some(wrong) = wrong_in_request(&head) {
            return surprise(shared, format!("{wrong}: {head:?}"));
        }
        let Some(expectation) = take_expectation(shared, &head) else {
            surprise(shared, format!("{:?}", head.start));
            note(
                shared,
                Received {
                    connection,
                    head,
                    body: Vec::new(),
                },
            );
            let _ = wire.write(b"HTTP/1.1 599 Unexpected\r\nContent-Length: 0\r\n\r\n");
            return;
        };
        let method = head.start.split(' ').next().unwrap_or_default().to_owned();
        let framing = match declared_framing(&head) {
            Ok(framing) => framing.unwrap_or(Framing::None),
            Err(error) => return surprise(shared, format!("{error}: {head:?}")),
        };
        let mut received = Received {
            connection,
            head,
            body: Vec::new(),
        };
        if expectation.early {
            note(shared, received.clone());
        } else {
            if received.head.lists("Expect", "100-continue")
                && wire.write(b"HTTP/1.1 100 Continue\r\n\r\n").is_err()
            {
                return;
            }
            if expectation
                .read_body_after
                .as_ref()
                .is_some_and(|gate| !gate.pass())
            {
                return surprise(shared, "a gate that nobody opened".to_owned());
            }
            let read = wire.read_body(framing, &mut received.body);
            note(shared, received);
            if read.is_err() {
                return;
            }
        }
        if !perform(wire, &expectation, &method, shared) {
            return;
        }
    }
}

/// What no request of a node may look like, whatever the client sent (RFC 9110 §7.6.1, 9112 §3.2).
fn wrong_in_request(head: &Head) -> Option<String> {
    if head.all("Host").count() != 1 {
        return Some("not exactly one Host".to_owned());
    }
    if !head.start.ends_with(" HTTP/1.1") {
        return Some("not HTTP/1.1".to_owned());
    }
    let hop = [
        "Keep-Alive",
        "Proxy-Connection",
        "TE",
        "Trailer",
        "Proxy-Authorization",
    ];
    let leaked = hop.iter().find(|name| head.all(name).count() > 0);
    leaked.map(|name| format!("hop-by-hop {name} forwarded"))
}

fn take_expectation(shared: &Shared, head: &Head) -> Option<Expectation> {
    let mut state = shared.state();
    let found = state
        .script
        .iter_mut()
        .find(|expectation| expectation.fits(head))?;
    found.met += 1;
    found.times_left = found.times_left.map(|times| times - 1);
    Some(found.clone())
}

fn note(shared: &Shared, received: Received) {
    shared.state().received.push(received);
    shared.changed.notify_all();
}

fn surprise(shared: &Shared, what: String) {
    if !shared.stopping.load(Ordering::Acquire) {
        shared.state().surprises.push(what);
    }
}

/// Plays the steps of a reply; `false` when the connection is over.
fn perform(wire: &mut Wire, expectation: &Expectation, method: &str, shared: &Shared) -> bool {
    for step in &expectation.steps {
        let alive = match step {
            Step::Reply => wire.write(&expectation.render(method)).is_ok(),
            Step::Raw(bytes) => wire.write(bytes).is_ok(),
            Step::Wait(gate) => {
                let opened = gate.pass();
                if !opened {
                    surprise(shared, "a gate that nobody opened".to_owned());
                }
                opened
            }
            Step::Drip(bytes, piece, every) => bytes.chunks(*piece).all(|piece| {
                super::pause(*every);
                wire.write(piece).is_ok()
            }),
            Step::HalfClose => {
                wire.half_close();
                true
            }
            Step::Reset => {
                let socket = socket2::SockRef::from(&wire.stream);
                socket
                    .set_linger(Some(Duration::ZERO))
                    .expect("a TCP socket lingers");
                // The other handle of this socket must not keep it open.
                shared
                    .state()
                    .open
                    .retain(|(_, s)| s.peer_addr().ok() != wire.stream.peer_addr().ok());
                let _ = wire.stream.flush();
                false
            }
            Step::Close => {
                // As a server does (RFC 9112 §9.6): unread bytes would make a reset of the close, and
                // that may overtake the answer.
                wire.half_close();
                wire.drain();
                false
            }
            Step::AwaitClose => {
                wire.drain();
                false
            }
        };
        if !alive {
            return false;
        }
    }
    true
}
