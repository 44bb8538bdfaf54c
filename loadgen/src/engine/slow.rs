//! Clients that are slow on purpose, besides the load: slow readers, and senders of slow heads.
//!
//! They show whether a few of them hurt the others. What they do is counted apart and never
//! becomes a latency.

use std::rc::Rc;

use super::worker::Worker;
use crate::clock::monotonic_ns;
use crate::io::{Stream, connect, spawn};
use crate::plan::{SlowClients, SlowHabit, part_of};

/// The receive buffer asked of the kernel, which doubles it.
const RECEIVE_BUFFER_BYTES: usize = 4096;

pub(super) fn spawn_slow_clients(worker: &Rc<Worker>) {
    let Some(slow) = worker.plan.slow else { return };
    for _ in 0..part_of(slow.clients, worker.index, worker.plan.cpus.len()) {
        let worker = Rc::clone(worker);
        spawn(async move {
            worker.started.rung().await;
            loop {
                match connect(worker.plan.address).await {
                    Ok(stream) => be_slow(&worker, stream, slow).await,
                    Err(_) => worker.stats.borrow_mut().slow.refused += 1,
                }
                worker.tick.rung().await;
            }
        });
    }
}

/// One round: a request and its answer, until the server ends it or has nothing more to send.
async fn be_slow(worker: &Worker, mut stream: Stream, slow: SlowClients) {
    let mut allowance = Allowance::new(slow.bytes_per_second);
    let request = request_of(worker);
    let mut left = match slow.habit {
        SlowHabit::Read => {
            // A refusal only makes this client less of a burden than asked for.
            drop(stream.set_receive_buffer(RECEIVE_BUFFER_BYTES));
            let (sent, _) = stream.send_all(request).await;
            if sent.is_err() {
                return;
            }
            Vec::new()
        }
        SlowHabit::Send => request,
    };
    loop {
        worker.tick.rung().await;
        let bytes = allowance.take();
        if bytes == 0 {
            continue;
        }
        let moved = if left.is_empty() {
            let buffer = Vec::with_capacity(bytes);
            stream.recv(buffer).await.0.unwrap_or(0)
        } else {
            let part: Vec<u8> = left.drain(..bytes.min(left.len())).collect();
            let len = part.len();
            stream.send_all(part).await.0.map_or(0, |()| len)
        };
        let mut stats = worker.stats.borrow_mut();
        stats.slow.bytes += moved as u64;
        if moved == 0 {
            stats.slow.rounds += 1;
            return;
        }
    }
}

/// A request that asks for the connection to be closed, so that its end is seen.
fn request_of(worker: &Worker) -> Vec<u8> {
    let mut draw = worker.draw.borrow_mut();
    draw.begin_request();
    let shape = &worker.plan.traffic.shapes()[worker.plan.traffic.choose(&mut draw)];
    let origin = shape.draw_origin(&mut draw);
    let mut request = Vec::new();
    shape.render(&mut request, &mut draw, shape.origin(origin));
    let end = memchr::memmem::find(&request, b"\r\n\r\n").map_or(request.len(), |at| at + 2);
    request.splice(end..end, *b"Connection: close\r\n");
    request
}

/// Bytes that may be moved by now.
struct Allowance {
    bytes_per_second: u64,
    since_ns: u64,
    used: u64,
}

impl Allowance {
    fn new(bytes_per_second: u64) -> Self {
        Self {
            bytes_per_second,
            since_ns: monotonic_ns(),
            used: 0,
        }
    }

    fn take(&mut self) -> usize {
        let elapsed = u128::from(monotonic_ns().saturating_sub(self.since_ns));
        let allowed = elapsed * u128::from(self.bytes_per_second) / 1_000_000_000;
        let allowed = u64::try_from(allowed).unwrap_or(u64::MAX);
        let bytes = allowed.saturating_sub(self.used);
        self.used = allowed;
        usize::try_from(bytes).unwrap_or(usize::MAX)
    }
}
