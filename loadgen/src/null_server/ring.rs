//! The null server on monoio and io_uring: one task per connection, recv then one send.
//!
//! Never falls back to epoll: without a ring it fails.

use std::io;
use std::net::TcpListener;
use std::rc::Rc;

use super::{Answer, Instead, NullServerError, RECEIVE_BYTES_MAX};
use crate::io::{HeadAndBody, Listener, Stream, run_on_ring, spawn};

/// monoio has one accept in flight per task; several keep a burst of connections from queueing
/// one loop turn each.
const ACCEPT_TASKS: usize = 8;

pub(super) fn serve(
    listener: TcpListener,
    answer: Answer,
    announce: impl FnOnce(&str) -> io::Result<()>,
) -> Result<(), NullServerError> {
    let outcome = run_on_ring(|mode| async move {
        announce(&format!("monoio, {mode}")).map_err(NullServerError::Print)?;
        let listener = Rc::new(Listener::new(listener).map_err(NullServerError::Loop)?);
        let pair = HeadAndBody::new(answer.head, answer.body);
        for _ in 1..ACCEPT_TASKS {
            let listener = Rc::clone(&listener);
            spawn(async move {
                // The first accept task reports; a listener that fails fails for all of them.
                drop(accept(&listener, answer, pair).await);
            });
        }
        accept(&listener, answer, pair)
            .await
            .map_err(NullServerError::Loop)
    });
    outcome.map_err(NullServerError::NoRing)?
}

async fn accept(listener: &Listener, answer: Answer, pair: HeadAndBody) -> io::Result<()> {
    loop {
        match listener.accept().await {
            Ok(stream) => spawn(async move {
                // A connection that fails is over, which is all there is to do about it.
                drop(connection(stream, answer, pair).await);
            }),
            Err(error) if is_about_one_connection(&error) => {}
            Err(error) => return Err(error),
        }
    }
}

/// accept(2): errors that belong to the connection that was to be accepted, not to the listener.
fn is_about_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::Interrupted
    )
}

async fn connection(mut stream: Stream, answer: Answer, pair: HeadAndBody) -> io::Result<()> {
    let mut received = Vec::with_capacity(RECEIVE_BYTES_MAX);
    let mut batch = Vec::new();
    loop {
        let result;
        (result, received) = stream.recv(received).await;
        if result? == 0 {
            return Ok(());
        }
        let (count, consumed) = match answer.take(&received) {
            Ok(taken) => taken,
            Err(Instead::Close) => return Ok(()),
            Err(Instead::Tell(text)) => return stream.send_all(text).await.0,
        };
        if consumed == received.len() {
            received.clear();
        } else if consumed > 0 {
            received.drain(..consumed);
        } else if received.len() >= RECEIVE_BYTES_MAX {
            return Ok(());
        }
        match answer.copied {
            Some(whole) => {
                batch.clear();
                for _ in 0..count {
                    batch.extend_from_slice(whole);
                }
                if count > 0 {
                    let result;
                    (result, batch) = stream.send_all(batch).await;
                    result?;
                }
            }
            None => {
                for _ in 0..count {
                    stream.send_pair(pair).await?;
                }
            }
        }
    }
}
