//! Null servers: the ceiling of what a server on this machine can do.
//!
//! They receive, let httparse find where each request ends, and send fixed bytes. One thread,
//! one listener. Two drivers of the same kind: `monoio` (io_uring, the same runtime and flags as
//! the Corsair server) and `epoll` (level-triggered, by hand). What a real server does more than
//! this is its own cost; (monoio / epoll) is the price of the runtime.
//!
//! Every complete request in the buffer is answered by one send. Bodies up to
//! [`COPIED_BODY_BYTES_MAX`] are copied behind the head, larger ones leave by `writev`.
//!
//! They never look at a field line: only GET and OPTIONS without a body are understood (some
//! proxies pass on preflights that they refuse), anything else closes the connection. `OPTIONS *`
//! alone asks how many requests were answered so far, and closes the connection too. Not a server for any other purpose than to be measured.

mod epoll;
mod ring;

use std::io::{self, Read as _, Write as _};
use std::mem::MaybeUninit;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use sha2::{Digest as _, Sha256};

use crate::affinity::{self, AffinityError};

/// Bodies up to this size are copied behind their head, so that one contiguous send leaves.
pub const COPIED_BODY_BYTES_MAX: usize = 4096;

/// Room for received bytes of one connection; a head that does not fit closes the connection.
const RECEIVE_BYTES_MAX: usize = 16 * 1024;

/// Field lines httparse may find in one request.
const FIELD_LINES_MAX: usize = 64;

/// What waits for the sockets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Driver {
    /// A level-triggered epoll loop.
    Epoll,
    /// monoio on io_uring; fails where there is no io_uring.
    Monoio,
}

/// What a null server serves, and where.
#[derive(Debug, Clone)]
pub struct Options {
    /// epoll or io_uring.
    pub driver: Driver,
    /// Port 0 asks the kernel for a free one.
    pub listen: SocketAddr,
    /// Bytes of the fixed body.
    pub body_bytes: usize,
    /// Field lines added to the head, `(name, value)`, sent as they are.
    pub fields: Vec<(String, String)>,
    /// Pins the one thread.
    pub cpu: Option<usize>,
}

/// Why a null server did not start or did not go on.
#[derive(Debug, thiserror::Error)]
pub enum NullServerError {
    /// The address is taken or not ours.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// What was asked for.
        address: SocketAddr,
        /// What the kernel said.
        source: io::Error,
    },
    /// The CPU cannot be used.
    #[error(transparent)]
    Affinity(#[from] AffinityError),
    /// No io_uring.
    #[error(
        "io_uring is not available: {0} (see /proc/sys/kernel/io_uring_disabled, seccomp and \
         ulimit -l; --driver epoll works without it)"
    )]
    NoRing(io::Error),
    /// The event loop failed.
    #[error("the event loop failed: {0}")]
    Loop(io::Error),
    /// Standard output or error is gone.
    #[error("cannot print: {0}")]
    Print(io::Error),
}

/// Serves until the process is ended. The first line on standard output is the address listened
/// on; the live driver is said on standard error.
///
/// # Errors
/// When the address, the CPU or the driver cannot be had, or the event loop itself fails.
/// A connection that fails is closed and is no error.
pub fn serve(options: &Options) -> Result<(), NullServerError> {
    if let Some(cpu) = options.cpu {
        affinity::pin_current_thread(cpu)?;
    }
    let refused = |source| NullServerError::Listen {
        address: options.listen,
        source,
    };
    let listener = crate::io::bind(options.listen).map_err(refused)?;
    let address = listener.local_addr().map_err(refused)?;
    let answer = Answer::new(options);
    let announce = |driver: &str| {
        writeln!(
            io::stderr(),
            "loadgen serve-null: driver {driver}, pid {}",
            std::process::id()
        )
        .and_then(|()| writeln!(io::stdout(), "{address}"))
        .and_then(|()| io::stdout().flush())
    };
    run(options.driver, listener, answer, announce)
}

fn run(
    driver: Driver,
    listener: TcpListener,
    answer: Answer,
    announce: impl FnOnce(&str) -> io::Result<()>,
) -> Result<(), NullServerError> {
    match driver {
        Driver::Epoll => {
            announce("epoll, level-triggered").map_err(NullServerError::Print)?;
            epoll::serve(&listener, answer).map_err(NullServerError::Loop)
        }
        Driver::Monoio => ring::serve(listener, answer, announce),
    }
}

/// The fixed answer. Leaked once per server, so that sends can name it for ever.
#[derive(Clone, Copy)]
struct Answer {
    head: &'static [u8],
    body: &'static [u8],
    /// Head and body together when the body is small enough to be copied.
    copied: Option<&'static [u8]>,
    /// Requests answered. One thread writes it, so that no locked instruction is needed.
    served: &'static AtomicU64,
}

impl Answer {
    fn new(options: &Options) -> Self {
        let mut head = Vec::from(&b"HTTP/1.1 200 OK\r\n"[..]);
        let length = options.body_bytes.to_string();
        let fixed = [
            ("Content-Type", "application/octet-stream"),
            ("Content-Length", &length),
        ];
        let added = options
            .fields
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()));
        for (name, value) in fixed.into_iter().chain(added) {
            head.extend_from_slice(name.as_bytes());
            head.extend_from_slice(b": ");
            head.extend_from_slice(value.as_bytes());
            head.extend_from_slice(b"\r\n");
        }
        head.extend_from_slice(b"\r\n");
        let head: &'static [u8] = head.leak();
        let body: &'static [u8] = body_of(options.body_bytes).leak();
        let copied =
            (body.len() <= COPIED_BODY_BYTES_MAX).then(|| [head, body].concat().leak() as _);
        Self {
            head,
            body,
            copied,
            served: Box::leak(Box::default()),
        }
    }

    /// Counts the requests at the start of `received`, or says what is done instead.
    fn take(&self, received: &[u8]) -> Result<(usize, usize), Instead> {
        let (count, consumed) = complete_requests(received).map_err(|()| Instead::Close)?;
        let served = self.served.load(Ordering::Relaxed);
        if received.starts_with(COUNT_REQUEST) {
            return Err(Instead::Tell(count_answer(served)));
        }
        let served = served.wrapping_add(count as u64);
        self.served.store(served, Ordering::Relaxed);
        Ok((count, consumed))
    }

    fn len(&self) -> usize {
        self.head.len() + self.body.len()
    }
}

/// `size` bytes of printable text, the same in every run.
fn body_of(size: usize) -> Vec<u8> {
    (b'a'..=b'z').cycle().take(size).collect()
}

/// SHA-256 of the body that null servers of this size send, in hexadecimal digits.
#[must_use]
pub fn body_sha256(body_bytes: u64) -> String {
    let body = body_of(usize::try_from(body_bytes).unwrap_or(usize::MAX));
    let digest = Sha256::digest(body);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// How a server is asked for its count (RFC 9110 §9.3.7: `*` is the server as a whole).
const COUNT_REQUEST: &[u8] = b"OPTIONS * HTTP/1.1\r\n";

/// The field of the answer that has it.
const COUNT_FIELD: &str = "X-Requests: ";

/// A server that does not tell its count in this time has none.
const COUNT_TIMEOUT: Duration = Duration::from_secs(2);

/// What is done instead of answering; the connection is closed then.
enum Instead {
    /// Nothing: it was not understood.
    Close,
    /// This is sent.
    Tell(Vec<u8>),
}

fn count_answer(served: u64) -> Vec<u8> {
    format!("HTTP/1.1 204 No Content\r\n{COUNT_FIELD}{served}\r\nConnection: close\r\n\r\n").into()
}

/// Asks the null server at `address` how many requests it answered.
///
/// # Errors
/// When it cannot be reached or says something else.
pub fn ask_count(address: SocketAddr) -> io::Result<u64> {
    let mut stream = TcpStream::connect_timeout(&address, COUNT_TIMEOUT)?;
    stream.set_read_timeout(Some(COUNT_TIMEOUT))?;
    stream.write_all(&[COUNT_REQUEST, b"Host: x\r\n\r\n"].concat())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let mut lines = answer.lines();
    let count = lines.find_map(|line| line.strip_prefix(COUNT_FIELD));
    let count = count.and_then(|count| count.parse().ok());
    count.ok_or_else(|| io::Error::other("it does not say how many requests it answered"))
}

/// Counts the complete requests at the start of `received`: how many, and their bytes; fails on what
/// is neither GET nor OPTIONS.
fn complete_requests(received: &[u8]) -> Result<(usize, usize), ()> {
    let mut count = 0;
    let mut consumed = 0;
    while consumed < received.len() {
        let mut fields = [const { MaybeUninit::uninit() }; FIELD_LINES_MAX];
        let mut request = httparse::Request::new(&mut []);
        let parsed = request.parse_with_uninit_headers(&received[consumed..], &mut fields);
        match parsed {
            Ok(httparse::Status::Complete(len))
                if matches!(request.method, Some("GET" | "OPTIONS")) =>
            {
                count += 1;
                consumed += len;
            }
            Ok(httparse::Status::Partial) => break,
            Ok(httparse::Status::Complete(_)) | Err(_) => return Err(()),
        }
    }
    Ok((count, consumed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_counted() {
        let one = "GET /a HTTP/1.1\r\nHost: x\r\n\r\n";
        let check = |text: &str, expected: Result<(usize, usize), ()>| {
            assert_eq!(complete_requests(text.as_bytes()), expected, "{text:?}");
        };
        check("", Ok((0, 0)));
        check(one, Ok((1, one.len())));
        check(&one.repeat(16), Ok((16, 16 * one.len())));
        check(&(one.repeat(2) + "GET /b HT"), Ok((2, 2 * one.len())));
        let preflight = "OPTIONS /a HTTP/1.1\r\nHost: x\r\n\r\n";
        check(preflight, Ok((1, preflight.len())));
        check("POST /a HTTP/1.1\r\nHost: x\r\n\r\n", Err(()));
        check("\0\0", Err(()));
    }

    #[test]
    fn the_answer_is_a_whole_message() {
        let options = |body_bytes| Options {
            driver: Driver::Epoll,
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            body_bytes,
            fields: vec![("X-A".into(), "b".into())],
            cpu: None,
        };
        let small = Answer::new(&options(3));
        let expected = "HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\n\
                        Content-Length: 3\r\nX-A: b\r\n\r\nabc";
        assert_eq!(
            small.copied.map(String::from_utf8_lossy).as_deref(),
            Some(expected)
        );
        assert!(
            Answer::new(&options(COPIED_BODY_BYTES_MAX))
                .copied
                .is_some()
        );
        assert!(
            Answer::new(&options(COPIED_BODY_BYTES_MAX + 1))
                .copied
                .is_none()
        );
    }
}
