//! The runtime under the generator and the null server: the only file that names monoio.
//!
//! It owns the driver ladder (design §3): `SINGLE_ISSUER | DEFER_TASKRUN | SUBMIT_ALL | CQSIZE`,
//! then `COOP_TASKRUN`, then a plain ring, then, only where the caller allows it, epoll. With
//! `DEFER_TASKRUN` completions are only delivered while the thread waits, so no task here ever
//! wakes itself.
//!
//! It never uses `write_vectored_all`, the `zero-copy` feature or `spawn_blocking` (design §3), and
//! no timers of the runtime: those have a resolution of 1 ms; a timerfd has one of microseconds.

use std::cell::Cell;
use std::fmt;
use std::future::Future;
use std::io;
use std::net::{SocketAddr, TcpListener as StdListener, TcpStream as StdStream};
use std::os::fd::{AsRawFd as _, BorrowedFd, OwnedFd, RawFd};
use std::rc::Rc;

use monoio::buf::{IoVecBuf, VecBuf};
use monoio::io::{AsyncReadRent, AsyncWriteRent, AsyncWriteRentExt};
use monoio::net::{TcpListener, TcpStream};
use monoio::{IoUringDriver, LegacyDriver, RuntimeBuilder};
use rustix::event::{EventfdFlags, eventfd};
use rustix::net::RecvFlags;
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};
use socket2::{Domain, Protocol, Socket, Type};

/// Which rung of the driver ladder is live.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LiveDriver {
    /// `SINGLE_ISSUER | DEFER_TASKRUN | SUBMIT_ALL | CQSIZE`, kernel 6.1 and newer.
    DeferTaskrun,
    /// `COOP_TASKRUN | SUBMIT_ALL | CQSIZE`, kernel 5.19 and newer.
    CoopTaskrun,
    /// A ring without flags.
    PlainRing,
    /// monoio's epoll driver.
    Epoll,
}

impl fmt::Display for LiveDriver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::DeferTaskrun => "io_uring SINGLE_ISSUER|DEFER_TASKRUN|SUBMIT_ALL|CQSIZE",
            Self::CoopTaskrun => "io_uring COOP_TASKRUN|SUBMIT_ALL|CQSIZE",
            Self::PlainRing => "io_uring plain",
            Self::Epoll => "epoll",
        })
    }
}

/// Submission entries; the completion queue is four times as long (design §3).
const RING_ENTRIES: u32 = 4096;

thread_local! {
    /// Operations of this thread's runtime that were begun and are not complete.
    static UNDER_WAY: Cell<u64> = const { Cell::new(0) };
}

/// Waits for `operation`, which is under way until it is complete: one whose future is dropped before
/// stays so, as it does in the kernel.
async fn complete<T>(operation: impl Future<Output = T>) -> T {
    UNDER_WAY.set(UNDER_WAY.get() + 1);
    let output = operation.await;
    UNDER_WAY.set(UNDER_WAY.get() - 1);
    output
}

/// Frees a runtime whose future is done, unless operations are under way: dropping a ring does not
/// wait for them, and their buffers would be freed under the kernel. Then it is leaked, with its
/// memory and descriptors, and so are the connections of tasks that still wait.
fn free<R>(runtime: R) {
    if UNDER_WAY.get() > 0 {
        std::mem::forget(runtime);
    }
}

/// Builds a ring on this thread, best rung first, and runs the future that `start` makes on it.
/// The caller says which rung is live: `start` is told.
///
/// Call it once per thread. Who runs many of them ends all operations first: see [`free`].
///
/// # Errors
/// When no ring can be had at all (kernel switch, seccomp, memlock). There is no quiet fallback
/// to epoll: a number measured on another driver than the one named is worthless.
pub(crate) fn run_on_ring<F: Future>(start: impl FnOnce(LiveDriver) -> F) -> io::Result<F::Output> {
    let mut refusal = None;
    for mode in [
        LiveDriver::DeferTaskrun,
        LiveDriver::CoopTaskrun,
        LiveDriver::PlainRing,
    ] {
        let mut ring = io_uring::IoUring::builder();
        match mode {
            LiveDriver::DeferTaskrun => {
                ring.setup_single_issuer().setup_defer_taskrun();
                ring.setup_submit_all().setup_cqsize(4 * RING_ENTRIES);
            }
            LiveDriver::CoopTaskrun => {
                ring.setup_coop_taskrun();
                ring.setup_submit_all().setup_cqsize(4 * RING_ENTRIES);
            }
            LiveDriver::PlainRing | LiveDriver::Epoll => {}
        }
        let built = RuntimeBuilder::<IoUringDriver>::new()
            .with_entries(RING_ENTRIES)
            .uring_builder(ring)
            .build();
        match built {
            Ok(mut runtime) => {
                let output = runtime.block_on(start(mode));
                free(runtime);
                return Ok(output);
            }
            // EINVAL is an older kernel saying that it does not know a flag: the next rung.
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => refusal = Some(error),
            Err(error) => return Err(error),
        }
    }
    Err(refusal.unwrap_or_else(|| io::Error::other("no ring was tried")))
}

/// Whether this process may have a ring at all: builds the smallest one and drops it unused.
pub(crate) fn has_rings() -> bool {
    io_uring::IoUring::new(2).is_ok()
}

/// As [`run_on_ring`], on epoll.
///
/// # Errors
/// When there is not even epoll.
pub(crate) fn run_on_epoll<F: Future>(
    start: impl FnOnce(LiveDriver) -> F,
) -> io::Result<F::Output> {
    let mut runtime = RuntimeBuilder::<LegacyDriver>::new().build()?;
    let output = runtime.block_on(start(LiveDriver::Epoll));
    free(runtime);
    Ok(output)
}

/// Starts a task on this thread's ring.
pub(crate) fn spawn(task: impl Future<Output = ()> + 'static) {
    drop(monoio::spawn(task));
}

/// Binds a listener: `SO_REUSEADDR`, `SO_REUSEPORT`, and `TCP_NODELAY`, which accepted sockets
/// inherit on Linux, so that it costs nothing per connection.
pub(crate) fn bind(address: SocketAddr) -> io::Result<StdListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    socket.set_reuse_address(true)?;
    rustix::net::sockopt::set_socket_reuseport(&socket, true)?;
    socket.set_tcp_nodelay(true)?;
    socket.bind(&address.into())?;
    socket.listen(4096)?;
    Ok(socket.into())
}

/// A listener whose accepts run on this thread's runtime.
pub(crate) struct Listener(TcpListener);

impl Listener {
    pub(crate) fn new(listener: StdListener) -> io::Result<Self> {
        TcpListener::from_std(listener).map(Self)
    }

    pub(crate) async fn accept(&self) -> io::Result<Stream> {
        let accepted = complete(self.0.accept()).await;
        accepted.map(|(stream, _)| Stream::new(stream))
    }
}

/// A connected TCP stream.
pub(crate) struct Stream {
    stream: TcpStream,
    /// The descriptor, for [`Hangup`]s; `None` once the stream is dropped.
    descriptor: Rc<Cell<Option<RawFd>>>,
}

/// Ends a stream from another task of the same thread.
#[derive(Clone)]
pub(crate) struct Hangup(Rc<Cell<Option<RawFd>>>);

impl Hangup {
    /// Shuts the connection down in both directions, so that its pending receive completes with
    /// end of stream and its pending send with an error. Nothing to do when the stream is gone.
    pub(crate) fn hang_up(&self) {
        let Some(descriptor) = self.0.get() else {
            return;
        };
        // SAFETY: the cell is emptied before the stream closes its descriptor, and both are used
        // by one thread only, so the descriptor is open and the stream's.
        let socket = unsafe { BorrowedFd::borrow_raw(descriptor) };
        // A connection that is already broken cannot be shut down, and need not be.
        let _ = rustix::net::shutdown(socket, rustix::net::Shutdown::Both);
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.descriptor.set(None);
    }
}

/// Connects with `TCP_NODELAY`.
pub(crate) async fn connect(address: SocketAddr) -> io::Result<Stream> {
    let stream = complete(TcpStream::connect_addr(address)).await?;
    stream.set_nodelay(true)?;
    Ok(Stream::new(stream))
}

impl Stream {
    fn new(stream: TcpStream) -> Self {
        let descriptor = Rc::new(Cell::new(Some(stream.as_raw_fd())));
        Self { stream, descriptor }
    }

    /// What ends this stream from outside.
    pub(crate) fn hangup(&self) -> Hangup {
        Hangup(Rc::clone(&self.descriptor))
    }

    /// Whether the peer has closed an idle connection, or sent something unasked. Does not wait.
    pub(crate) fn is_stale(&self) -> bool {
        let mut byte = [0];
        let flags = RecvFlags::PEEK | RecvFlags::DONTWAIT;
        let received = rustix::net::recv(self.borrowed(), &mut byte, flags);
        !matches!(received, Err(rustix::io::Errno::AGAIN))
    }

    /// Asks the kernel for a small receive buffer, so that a slow reader is felt by the server.
    pub(crate) fn set_receive_buffer(&self, bytes: usize) -> io::Result<()> {
        Ok(rustix::net::sockopt::set_socket_recv_buffer_size(
            self.borrowed(),
            bytes,
        )?)
    }

    fn borrowed(&self) -> BorrowedFd<'_> {
        // SAFETY: the stream owns the descriptor and outlives the borrow.
        unsafe { BorrowedFd::borrow_raw(self.stream.as_raw_fd()) }
    }

    /// Receives once into the unused capacity behind `buffer`'s bytes; 0 at end of stream.
    pub(crate) async fn recv(&mut self, mut buffer: Vec<u8>) -> (io::Result<usize>, Vec<u8>) {
        use monoio::buf::IoBufMut as _;
        let filled = buffer.len();
        if buffer.capacity() == filled {
            buffer.reserve(filled.max(1));
        }
        let (result, slice) = complete(self.stream.read(buffer.slice_mut(filled..))).await;
        (result, slice.into_inner())
    }

    /// Sends all of `bytes` and gives the buffer back.
    pub(crate) async fn send_all(&mut self, bytes: Vec<u8>) -> (io::Result<()>, Vec<u8>) {
        let (result, bytes) = complete(self.stream.write_all(bytes)).await;
        (result.map(drop), bytes)
    }

    /// Sends head and body with one `writev`, and what the kernel did not take with sends.
    pub(crate) async fn send_pair(&mut self, pair: HeadAndBody) -> io::Result<()> {
        let (sent, _) = complete(self.stream.writev(pair)).await;
        let sent = sent?;
        // A head is a few hundred bytes and the socket buffer was empty or the kernel would have
        // waited, so a cut inside the head means a peer that is going away.
        let Some(body_sent) = sent.checked_sub(pair.head_len()) else {
            return Err(io::ErrorKind::WriteZero.into());
        };
        if body_sent == pair.body.len() {
            return Ok(());
        }
        let (result, _) = complete(self.stream.write_all(&pair.body[body_sent..])).await;
        result.map(drop)
    }
}

/// A head and a body that live as long as the process, as the two iovecs of one `writev`.
#[derive(Clone, Copy)]
pub(crate) struct HeadAndBody {
    iovecs: &'static [libc::iovec; 2],
    body: &'static [u8],
}

impl HeadAndBody {
    /// The pair of iovecs is leaked: make one per answer kind, not one per request.
    pub(crate) fn new(head: &'static [u8], body: &'static [u8]) -> Self {
        let iovec = |bytes: &'static [u8]| libc::iovec {
            iov_base: bytes.as_ptr().cast_mut().cast(),
            iov_len: bytes.len(),
        };
        Self {
            iovecs: Box::leak(Box::new([iovec(head), iovec(body)])),
            body,
        }
    }

    fn head_len(&self) -> usize {
        self.iovecs[0].iov_len
    }
}

// SAFETY: the iovecs and the bytes they name are `'static` and never written, so they are valid
// and at one address for as long as any operation may read them.
unsafe impl IoVecBuf for HeadAndBody {
    fn read_iovec_ptr(&self) -> *const libc::iovec {
        self.iovecs.as_ptr()
    }

    fn read_iovec_len(&self) -> usize {
        self.iovecs.len()
    }
}

/// A timer on CLOCK_MONOTONIC with the kernel's own resolution.
///
/// A timerfd read through the runtime: one operation per expiry, no clock reads.
pub(crate) struct Timer {
    /// Only ever read; that it is kept as a stream is how monoio takes foreign descriptors.
    stream: TcpStream,
    buffer: VecBuf,
}

/// Sets a timer, also while it is being waited for.
#[derive(Clone)]
pub(crate) struct TimerControl(Rc<OwnedFd>);

impl Timer {
    /// A timer that is not set, and its control.
    pub(crate) fn new(driver: LiveDriver) -> io::Result<(Self, TimerControl)> {
        let flags = match driver {
            // A ring waits inside the kernel for a blocking descriptor and would answer EAGAIN
            // for a non-blocking one; epoll needs the latter.
            LiveDriver::DeferTaskrun | LiveDriver::CoopTaskrun | LiveDriver::PlainRing => {
                TimerfdFlags::CLOEXEC
            }
            LiveDriver::Epoll => TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK,
        };
        let timer = timerfd_create(TimerfdClockId::Monotonic, flags)?;
        let control = TimerControl(Rc::new(timer.try_clone()?));
        let stream = TcpStream::from_std(StdStream::from(timer))?;
        Ok((
            Self {
                stream,
                buffer: VecBuf::from(vec![vec![0; 8]]),
            },
            control,
        ))
    }

    /// Waits for the next expiry.
    pub(crate) async fn expiry(&mut self) -> io::Result<()> {
        let buffer = std::mem::replace(&mut self.buffer, VecBuf::from(Vec::new()));
        let (result, buffer) = complete(self.stream.readv(buffer)).await;
        self.buffer = buffer;
        result.map(drop)
    }
}

/// Waiting without sleeping: lets everything else on this thread have a turn and comes back at once.
///
/// On a ring it reads a counter that is never empty: the operation completes as it is submitted, and
/// the wait that submits it delivers whatever else is complete. A task that woke itself instead would
/// never let the ring deliver anything under `DEFER_TASKRUN`. monoio's epoll driver would answer such
/// a read without ever looking at its sockets, so there this waits on the spot.
pub(crate) struct Turn {
    counter: Option<TcpStream>,
    buffer: VecBuf,
}

impl Turn {
    pub(crate) fn new(driver: LiveDriver) -> io::Result<Self> {
        let counter = match driver {
            LiveDriver::DeferTaskrun | LiveDriver::CoopTaskrun | LiveDriver::PlainRing => {
                // Each read takes one, so it lasts for 2^62 turns.
                let flags = EventfdFlags::CLOEXEC | EventfdFlags::SEMAPHORE;
                let counter = eventfd(0, flags)?;
                rustix::io::write(&counter, &(1_u64 << 62).to_ne_bytes())?;
                Some(TcpStream::from_std(StdStream::from(counter))?)
            }
            LiveDriver::Epoll => None,
        };
        Ok(Self {
            counter,
            buffer: VecBuf::from(vec![vec![0; 8]]),
        })
    }

    /// One turn; at most until `until_ns` of CLOCK_MONOTONIC where it has to wait on the spot.
    pub(crate) async fn take(&mut self, until_ns: u64) {
        let Some(counter) = &mut self.counter else {
            while crate::clock::monotonic_ns() < until_ns {
                std::hint::spin_loop();
            }
            return;
        };
        let buffer = std::mem::replace(&mut self.buffer, VecBuf::from(Vec::new()));
        // A counter of 2^62 does not run out; if the read fails all the same, a turn is over too.
        let (_, buffer) = complete(counter.readv(buffer)).await;
        self.buffer = buffer;
    }
}

impl TimerControl {
    /// Expires once at `at_ns` of CLOCK_MONOTONIC, at once when that is over.
    pub(crate) fn set_once(&self, at_ns: u64) -> io::Result<()> {
        self.set(at_ns, 0)
    }

    /// Expires at `first_ns` and then every `period_ns`.
    pub(crate) fn set_periodic(&self, first_ns: u64, period_ns: u64) -> io::Result<()> {
        self.set(first_ns, period_ns)
    }

    fn set(&self, at_ns: u64, period_ns: u64) -> io::Result<()> {
        // Zero would disarm the timer.
        let times = Itimerspec {
            it_interval: timespec(period_ns),
            it_value: timespec(at_ns.max(1)),
        };
        timerfd_settime(&*self.0, TimerfdTimerFlags::ABSTIME, &times)?;
        Ok(())
    }
}

fn timespec(ns: u64) -> Timespec {
    const SECOND: u64 = 1_000_000_000;
    Timespec {
        tv_sec: i64::try_from(ns / SECOND).unwrap_or(i64::MAX),
        tv_nsec: i64::try_from(ns % SECOND).expect("a remainder of 10^9 fits"),
    }
}
