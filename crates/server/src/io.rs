//! The only file that names monoio: runtime and driver ladder, listen, accept, receive, send, connect,
//! sleep, spawn. Everything above sees sockets, buffers and durations, so a change of runtime touches
//! this file.
//!
//! Never here: `write_vectored_all` (frees buffers under the kernel when dropped mid-write), the
//! `zero-copy` feature, a timeout or a select around a receive or a send (both lose bytes). A late
//! operation is ended by [`Socket::shutdown`], which completes it.

use std::cell::RefCell;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, RawFd};
use std::rc::Rc;
use std::time::Duration;

use monoio::io::{
    AsyncReadRent, AsyncWriteRent, CancelHandle, CancelableAsyncReadRent, Canceller, OwnedReadHalf,
    OwnedWriteHalf, Splitable,
};
use monoio::net::{TcpListener, TcpStream, UnixStream};

pub(crate) use monoio::buf::{IoBuf, IoBufMut, IoVecBuf};

/// Submission queue entries of a worker's ring. With `CQSIZE` four times that, twenty thousand
/// connections with one operation each never overflow the completion queue at one turn.
const RING_ENTRIES: u32 = 4096;
/// Completion queue entries of a worker's ring.
const RING_COMPLETIONS: u32 = 16_384;

/// The I/O driver that a worker runs on, from the most to the least preferred.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LiveDriver {
    /// io_uring with `SINGLE_ISSUER | DEFER_TASKRUN` (kernel 6.1 and later).
    UringDeferred,
    /// io_uring with `COOP_TASKRUN` (5.19 and later).
    UringCooperative,
    /// io_uring with no set-up flags.
    UringPlain,
    /// epoll, where io_uring is absent or forbidden.
    Epoll,
}

impl LiveDriver {
    /// The name in logs and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::UringDeferred => "io_uring",
            Self::UringCooperative => "io_uring (coop_taskrun)",
            Self::UringPlain => "io_uring (plain)",
            Self::Epoll => "epoll",
        }
    }

    /// Under epoll a system call on a blocking socket would hold the whole worker; the ring, for its
    /// part, would not wait on a socket that says it does not want to.
    const fn wants_nonblocking(self) -> bool {
        match self {
            Self::UringDeferred | Self::UringCooperative | Self::UringPlain => false,
            Self::Epoll => true,
        }
    }
}

/// What the configuration asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DriverChoice {
    /// io_uring, or epoll where it cannot be had.
    Auto,
    /// io_uring or an error.
    Uring,
    /// epoll.
    Epoll,
}

/// A runtime with timers, on the thread that built it.
pub(crate) enum Runtime {
    /// Any of the io_uring steps of the ladder.
    Uring(monoio::Runtime<monoio::time::TimeDriver<monoio::IoUringDriver>>),
    /// The epoll step.
    Epoll(monoio::Runtime<monoio::time::TimeDriver<monoio::LegacyDriver>>),
}

impl Runtime {
    /// Runs `future` and everything it spawns on this thread.
    pub(crate) fn block_on<F: Future>(&mut self, future: F) -> F::Output {
        match self {
            Self::Uring(runtime) => runtime.block_on(future),
            Self::Epoll(runtime) => runtime.block_on(future),
        }
    }
}

/// Builds the runtime of this thread by the ladder: each step down is taken only when the kernel
/// refuses the one above.
///
/// # Errors
/// The kernel's refusal when io_uring was demanded, or when even epoll cannot be had.
pub(crate) fn build_runtime(choice: DriverChoice) -> io::Result<(Runtime, LiveDriver)> {
    let mut refusal = None;
    if choice != DriverChoice::Epoll {
        for step in [
            LiveDriver::UringDeferred,
            LiveDriver::UringCooperative,
            LiveDriver::UringPlain,
        ] {
            match build_uring(step) {
                Ok(runtime) => return Ok((Runtime::Uring(runtime), step)),
                Err(error) => refusal = Some(error),
            }
        }
    }
    match (choice, refusal) {
        (DriverChoice::Uring, Some(error)) => Err(error),
        _ => {
            let runtime = monoio::RuntimeBuilder::<monoio::LegacyDriver>::new()
                .enable_timer()
                .build()?;
            Ok((Runtime::Epoll(runtime), LiveDriver::Epoll))
        }
    }
}

fn build_uring(
    step: LiveDriver,
) -> io::Result<monoio::Runtime<monoio::time::TimeDriver<monoio::IoUringDriver>>> {
    let mut ring = io_uring::IoUring::builder();
    match step {
        LiveDriver::UringDeferred => {
            ring.setup_single_issuer()
                .setup_defer_taskrun()
                .setup_submit_all();
        }
        LiveDriver::UringCooperative => {
            ring.setup_coop_taskrun().setup_submit_all();
        }
        LiveDriver::UringPlain | LiveDriver::Epoll => {}
    }
    ring.setup_cqsize(RING_COMPLETIONS);
    monoio::RuntimeBuilder::<monoio::IoUringDriver>::new()
        .with_entries(RING_ENTRIES)
        .uring_builder(ring)
        .enable_timer()
        .build()
}

/// Runs `future` on this worker, detached.
pub(crate) fn spawn<F>(future: F)
where
    F: Future + 'static,
    F::Output: 'static,
{
    drop(monoio::spawn(future));
}

/// Waits, to the granularity of the runtime's timer (1 ms).
pub(crate) async fn sleep(duration: Duration) {
    monoio::time::sleep(duration).await;
}

/// A listening socket of one worker; clones share it.
#[derive(Clone)]
pub(crate) struct Listener(Rc<TcpListener>);

impl Listener {
    /// Takes over a bound and listening socket.
    ///
    /// # Errors
    /// Registration with the driver failed.
    pub(crate) fn from_std(
        listener: std::net::TcpListener,
        driver: LiveDriver,
    ) -> io::Result<Self> {
        listener.set_nonblocking(driver.wants_nonblocking())?;
        TcpListener::from_std(listener).map(|listener| Self(Rc::new(listener)))
    }

    /// Accepts one connection. Call from several tasks: each has one accept in flight.
    ///
    /// # Errors
    /// As accept(2); `EMFILE` and its like pass, the others end the listener.
    pub(crate) async fn accept(&self) -> io::Result<(Socket, SocketAddr)> {
        let (stream, peer) = self.0.accept().await?;
        // The ring's accept carries no flags in monoio 0.2.4: without this a child would inherit it.
        set_close_on_exec(stream.as_raw_fd());
        Ok((Socket::new(stream), peer))
    }

    /// The descriptor, to end pending accepts by shutdown(2).
    pub(crate) fn descriptor(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

/// A connected stream socket. The two halves can be used at the same time.
pub(crate) struct Socket {
    /// The half that receives.
    pub(crate) receiver: Receiver,
    /// The half that sends.
    pub(crate) sender: Sender,
}

/// The receiving half of a [`Socket`].
pub(crate) struct Receiver(OwnedReadHalf<TcpStream>);

/// The sending half of a [`Socket`].
pub(crate) struct Sender(OwnedWriteHalf<TcpStream>);

impl Socket {
    fn new(stream: TcpStream) -> Self {
        let (receiver, sender) = stream.into_split();
        Self {
            receiver: Receiver(receiver),
            sender: Sender(sender),
        }
    }

    /// Connects, with `TCP_NODELAY`, within `limit`. No stream exists before the connection is up, so
    /// that giving up here loses no bytes.
    ///
    /// # Errors
    /// As connect(2), or `TimedOut`.
    pub(crate) async fn connect(address: SocketAddr, limit: Duration) -> io::Result<Self> {
        let stream = monoio::time::timeout(limit, TcpStream::connect_addr(address))
            .await
            .map_err(|_elapsed| io::Error::from(io::ErrorKind::TimedOut))??;
        stream.set_nodelay(true)?;
        Ok(Self::new(stream))
    }

    /// The descriptor, for the deadline wheel; valid while the socket lives.
    pub(crate) fn descriptor(&self) -> RawFd {
        self.receiver.descriptor()
    }
}

/// What ended a receive that may be called off.
pub(crate) enum Received {
    /// So many bytes arrived; 0 is the end of the stream.
    Bytes(usize),
    /// The receive was called off and no byte was taken from the socket.
    CalledOff,
}

impl Receiver {
    fn stream(&self) -> &TcpStream {
        // SAFETY: the halves share the stream through an `Rc<UnsafeCell<_>>` that lives as long as either
        // of them, and neither leaves its thread: the pointer is valid and nothing runs beside us.
        // monoio itself makes a `&mut` of it in the receives of this half and the sends of the other,
        // held until they complete, but it moves and writes nothing behind that: an operation clones
        // the count of the descriptor, and what we do with this reference reads the descriptor.
        unsafe { &*self.0.0.get() }
    }

    /// The descriptor; valid while one of the halves lives.
    pub(crate) fn descriptor(&self) -> RawFd {
        self.stream().as_raw_fd()
    }

    /// Receives into the free part of `buffer`.
    pub(crate) async fn receive<B: IoBufMut>(&mut self, buffer: B) -> (io::Result<usize>, B) {
        self.0.read(buffer).await
    }

    /// As [`Receiver::receive`], but [`CallOff::call_off`] ends it. Bytes that had already arrived are
    /// reported, never lost: the result of the operation itself is awaited.
    pub(crate) async fn receive_until_called_off<B: IoBufMut>(
        &mut self,
        buffer: B,
        call_off: &CallOff,
    ) -> (io::Result<Received>, B) {
        let (result, buffer) = self.0.cancelable_read(buffer, call_off.handle()).await;
        let result = match result {
            Ok(count) => Ok(Received::Bytes(count)),
            Err(error) if error.raw_os_error() == Some(libc::ECANCELED) => Ok(Received::CalledOff),
            Err(error) => Err(error),
        };
        (result, buffer)
    }

    /// Waits until a receive would not block. Holds no buffer.
    pub(crate) fn readable(&mut self) -> impl Future<Output = io::Result<()>> {
        self.stream().readable(false)
    }
}

impl Sender {
    /// Sends a contiguous buffer once; the count may be short.
    pub(crate) async fn send<B: IoBuf>(&mut self, buffer: B) -> (io::Result<usize>, B) {
        self.0.write(buffer).await
    }

    /// Sends all of `bytes`.
    pub(crate) async fn send_all(&mut self, bytes: Vec<u8>) -> (io::Result<()>, Vec<u8>) {
        let mut rest = Rest { bytes, sent: 0 };
        while rest.sent < rest.bytes.len() {
            let result;
            (result, rest) = self.send(rest).await;
            match result {
                Ok(0) => return (Err(io::ErrorKind::WriteZero.into()), rest.bytes),
                Ok(count) => rest.sent += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return (Err(error), rest.bytes),
            }
        }
        (Ok(()), rest.bytes)
    }

    /// Sends a list of parts once; the count may be short.
    pub(crate) async fn send_parts<B: IoVecBuf>(&mut self, parts: B) -> (io::Result<usize>, B) {
        self.0.writev(parts).await
    }
}

/// Bytes being sent, from `sent` on.
struct Rest {
    bytes: Vec<u8>,
    sent: usize,
}

// SAFETY: the bytes are on the heap, are not touched while the runtime owns this value, and the pointer
// and the length name the initialised bytes that are left to send.
unsafe impl IoBuf for Rest {
    fn read_ptr(&self) -> *const u8 {
        self.bytes[self.sent..].as_ptr()
    }

    fn bytes_init(&self) -> usize {
        self.bytes.len() - self.sent
    }
}

/// Lets somebody else call off a receive that waits.
#[derive(Default)]
pub(crate) struct CallOff(RefCell<Option<Canceller>>);

impl CallOff {
    /// Ends the receives that were started with this handle and still wait.
    pub(crate) fn call_off(&self) {
        let canceller = self.0.borrow_mut().take();
        // What is still pending was started with the canceller that is spent here.
        let _renewed = canceller.map(Canceller::cancel);
    }

    /// Gives back the memory that called-off receives need, while nothing is being received.
    pub(crate) fn release(&self) {
        self.0.borrow_mut().take();
    }

    fn handle(&self) -> CancelHandle {
        self.0.borrow_mut().get_or_insert_default().handle()
    }
}

/// Ends pending and future operations on a socket in one or both directions, without closing it.
pub(crate) fn shutdown(descriptor: RawFd, how: std::net::Shutdown) {
    let how = match how {
        std::net::Shutdown::Read => libc::SHUT_RD,
        std::net::Shutdown::Write => libc::SHUT_WR,
        std::net::Shutdown::Both => libc::SHUT_RDWR,
    };
    // SAFETY: plain system call on a descriptor that the caller keeps open; errors (not connected)
    // mean there is nothing left to end.
    unsafe { libc::shutdown(descriptor, how) };
}

fn set_close_on_exec(descriptor: RawFd) {
    // SAFETY: plain system call on an open descriptor.
    unsafe { libc::fcntl(descriptor, libc::F_SETFD, libc::FD_CLOEXEC) };
}

/// Whether an idle connection can be used again: `false` when the peer has closed it or has sent
/// bytes that nobody asked for.
pub(crate) fn is_quiet(descriptor: RawFd) -> bool {
    let mut byte = 0_u8;
    // SAFETY: one byte of our own stack, a descriptor that the caller keeps open, no waiting.
    let count = unsafe {
        libc::recv(
            descriptor,
            (&raw mut byte).cast(),
            1,
            libc::MSG_PEEK | libc::MSG_DONTWAIT,
        )
    };
    count < 0 && io::Error::last_os_error().kind() == io::ErrorKind::WouldBlock
}

/// The receiving end of a worker's mailbox: completes whenever another thread rang.
pub(crate) struct Bell {
    stream: UnixStream,
    buffer: Option<Vec<u8>>,
}

impl Bell {
    /// Takes over one end of a socket pair.
    ///
    /// # Errors
    /// Registration with the driver failed.
    pub(crate) fn from_std(
        stream: std::os::unix::net::UnixStream,
        driver: LiveDriver,
    ) -> io::Result<Self> {
        stream.set_nonblocking(driver.wants_nonblocking())?;
        let stream = UnixStream::from_std(stream)?;
        Ok(Self {
            stream,
            buffer: Some(Vec::with_capacity(64)),
        })
    }

    /// Waits for a ring.
    ///
    /// # Errors
    /// The other end is gone.
    pub(crate) async fn wait(&mut self) -> io::Result<()> {
        let mut buffer = self.buffer.take().unwrap_or_else(|| Vec::with_capacity(64));
        buffer.clear();
        let (result, buffer) = self.stream.read(buffer).await;
        self.buffer = Some(buffer);
        match result? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }
}
