//! The admin listener and its connections, each bounded: how many, how long, how large a head.
//!
//! axum's own `serve` has no timeouts, so hyper's HTTP/1 connection is driven here. A client that
//! dawdles, floods or never reads costs one of a few slots for a bounded time, and never a worker.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

/// What one client may cost.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ConnectionLimits {
    /// Connections at once; the next ones wait in the kernel's queue.
    pub(crate) connections_max: usize,
    /// From the last answer (or the connect) to the end of the next head.
    pub(crate) head_timeout: Duration,
    /// A connection older than this is closed after its current answer.
    pub(crate) age_max: Duration,
    /// What a connection gets beyond `age_max` to finish.
    pub(crate) grace: Duration,
    /// Bytes of one request head.
    pub(crate) head_bytes_max: usize,
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        Self {
            connections_max: 64,
            // Short, so that connections that say nothing do not keep health checks out for long;
            // a scraper connects anew.
            head_timeout: Duration::from_secs(10),
            age_max: Duration::from_secs(600),
            grace: Duration::from_secs(30),
            head_bytes_max: 16 * 1024,
        }
    }
}

/// The admin address cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address} (admin): {reason}")]
pub struct BindError {
    /// The address asked for.
    pub address: SocketAddr,
    /// What the system says.
    #[source]
    pub reason: io::Error,
}

/// The admin socket, bound and listening. Bound before anything else starts, so that a busy
/// address ends a start early; requests wait in its queue until the control thread runs.
#[derive(Debug)]
pub struct AdminListener {
    socket: TcpListener,
    address: SocketAddr,
}

impl AdminListener {
    /// Binds and listens; port 0 takes a free one.
    ///
    /// # Errors
    /// The address is in use, not ours, or not permitted.
    pub fn bind(address: SocketAddr) -> Result<Self, BindError> {
        let failed = |reason| BindError { address, reason };
        let socket = TcpListener::bind(address).map_err(failed)?;
        socket.set_nonblocking(true).map_err(failed)?;
        let address = socket.local_addr().map_err(failed)?;
        Ok(Self { socket, address })
    }

    /// The real address, with its port number.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Accepts for ever.
    pub(crate) async fn serve(self, router: Router, limits: ConnectionLimits) -> io::Error {
        let listener = match tokio::net::TcpListener::from_std(self.socket) {
            Ok(listener) => listener,
            Err(error) => return error,
        };
        let slots = Arc::new(Semaphore::new(limits.connections_max));
        loop {
            let slot = Arc::clone(&slots)
                .acquire_owned()
                .await
                .expect("slots are never closed");
            let Ok((stream, _)) = listener.accept().await else {
                // Out of descriptors, most likely; the backlog keeps the client.
                sleep(Duration::from_millis(100)).await;
                continue;
            };
            let router = router.clone();
            tokio::spawn(async move {
                serve_one(stream, router, limits).await;
                drop(slot);
            });
        }
    }
}

async fn serve_one(stream: TcpStream, router: Router, limits: ConnectionLimits) {
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head_timeout)
        .max_buf_size(limits.head_bytes_max)
        .max_headers(64)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    let mut connection = std::pin::pin!(connection);
    // How a client's connection ended is the client's business.
    if timeout(limits.age_max, connection.as_mut()).await.is_err() {
        connection.as_mut().graceful_shutdown();
        let _ended = timeout(limits.grace, connection).await;
    }
}
