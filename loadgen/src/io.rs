//! The runtime under the generator and the null server: the only file that names monoio.
//!
//! It owns the driver ladder (design §3): `SINGLE_ISSUER | DEFER_TASKRUN | SUBMIT_ALL | CQSIZE`,
//! then `COOP_TASKRUN`, then a plain ring. With `DEFER_TASKRUN` completions are only delivered
//! while the thread waits, so no task here ever wakes itself.
//!
//! It never uses `write_vectored_all`, the `zero-copy` feature or `spawn_blocking` (design §3).

use std::fmt;
use std::future::Future;
use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};

use monoio::buf::IoVecBuf;
use monoio::io::{AsyncReadRent, AsyncWriteRent, AsyncWriteRentExt};
use monoio::net::TcpListener;
pub(crate) use monoio::net::TcpStream;
use monoio::{IoUringDriver, RuntimeBuilder};
use socket2::{Domain, Protocol, Socket, Type};

/// Which rung of the driver ladder a ring runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RingMode {
    /// `SINGLE_ISSUER | DEFER_TASKRUN | SUBMIT_ALL | CQSIZE`, kernel 6.1 and newer.
    DeferTaskrun,
    /// `COOP_TASKRUN | SUBMIT_ALL | CQSIZE`, kernel 5.19 and newer.
    CoopTaskrun,
    /// No flags.
    Plain,
}

impl fmt::Display for RingMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::DeferTaskrun => "io_uring SINGLE_ISSUER|DEFER_TASKRUN|SUBMIT_ALL|CQSIZE",
            Self::CoopTaskrun => "io_uring COOP_TASKRUN|SUBMIT_ALL|CQSIZE",
            Self::Plain => "io_uring plain",
        })
    }
}

/// Submission entries; the completion queue is four times as long (design §3).
const RING_ENTRIES: u32 = 4096;

/// Builds a ring on this thread, best rung first, and runs the future that `start` makes on it.
/// The caller says which rung is live: `start` is told.
///
/// # Errors
/// When no ring can be had at all (kernel switch, seccomp, memlock). There is no quiet fallback
/// to epoll: a number measured on another driver than the one named is worthless.
pub(crate) fn run_on_ring<F: Future>(start: impl FnOnce(RingMode) -> F) -> io::Result<F::Output> {
    let mut refusal = None;
    for mode in [
        RingMode::DeferTaskrun,
        RingMode::CoopTaskrun,
        RingMode::Plain,
    ] {
        let mut ring = io_uring::IoUring::builder();
        match mode {
            RingMode::DeferTaskrun => {
                ring.setup_single_issuer().setup_defer_taskrun();
                ring.setup_submit_all().setup_cqsize(4 * RING_ENTRIES);
            }
            RingMode::CoopTaskrun => {
                ring.setup_coop_taskrun();
                ring.setup_submit_all().setup_cqsize(4 * RING_ENTRIES);
            }
            RingMode::Plain => {}
        }
        let built = RuntimeBuilder::<IoUringDriver>::new()
            .with_entries(RING_ENTRIES)
            .uring_builder(ring)
            .build();
        match built {
            Ok(mut runtime) => return Ok(runtime.block_on(start(mode))),
            // EINVAL is an older kernel saying that it does not know a flag: the next rung.
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => refusal = Some(error),
            Err(error) => return Err(error),
        }
    }
    Err(refusal.unwrap_or_else(|| io::Error::other("no ring was tried")))
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

/// A listener whose accepts run on this thread's ring.
pub(crate) struct Listener(TcpListener);

impl Listener {
    pub(crate) fn new(listener: StdListener) -> io::Result<Self> {
        TcpListener::from_std(listener).map(Self)
    }

    pub(crate) async fn accept(&self) -> io::Result<TcpStream> {
        self.0.accept().await.map(|(stream, _)| stream)
    }
}

/// Receives once into the unused capacity behind `buffer`'s bytes; 0 at end of stream.
pub(crate) async fn recv(
    stream: &mut TcpStream,
    mut buffer: Vec<u8>,
) -> (io::Result<usize>, Vec<u8>) {
    use monoio::buf::IoBufMut as _;
    let filled = buffer.len();
    if buffer.capacity() == filled {
        buffer.reserve(1);
    }
    let (result, slice) = stream.read(buffer.slice_mut(filled..)).await;
    (result, slice.into_inner())
}

/// Sends all of `bytes` and gives the buffer back.
pub(crate) async fn send_all(stream: &mut TcpStream, bytes: Vec<u8>) -> (io::Result<()>, Vec<u8>) {
    let (result, bytes) = stream.write_all(bytes).await;
    (result.map(drop), bytes)
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

/// Sends head and body with one `writev`, and what the kernel did not take with sends.
pub(crate) async fn send_pair(stream: &mut TcpStream, pair: HeadAndBody) -> io::Result<()> {
    let (sent, _) = stream.writev(pair).await;
    let sent = sent?;
    // A head is a few hundred bytes and the socket buffer was empty or the kernel would have
    // waited, so a cut inside the head means a peer that is going away.
    let Some(body_sent) = sent.checked_sub(pair.head_len()) else {
        return Err(io::ErrorKind::WriteZero.into());
    };
    if body_sent == pair.body.len() {
        return Ok(());
    }
    let (result, _) = stream.write_all(&pair.body[body_sent..]).await;
    result.map(drop)
}
