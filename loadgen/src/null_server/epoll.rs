//! The null server on epoll: level-triggered, one recv and one send per wake.
//!
//! Never uses edge triggering (it would need a second recv to see `EAGAIN`) and never touches the
//! interest set of a connection whose peer reads what it is sent.

use std::io::{self, IoSlice};
use std::net::TcpListener;
use std::os::fd::{AsFd, OwnedFd};

use rustix::event::epoll;
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, SocketFlags, accept_with, recv, send};

use super::{Answer, Instead, RECEIVE_BYTES_MAX};

/// The token of the listener; connections have their slot number.
const LISTENER: u64 = u64::MAX;

/// Events fetched by one wait.
const EVENTS_MAX: usize = 512;

struct Connection {
    socket: OwnedFd,
    received: Vec<u8>,
    outgoing: Outgoing,
    interest: epoll::EventFlags,
}

/// Answers that are not sent yet.
#[derive(Default)]
struct Outgoing {
    /// Whole copied answers.
    copied: Vec<u8>,
    /// Number of answers too large to copy.
    large: usize,
    /// Bytes already sent of the above.
    sent: usize,
}

#[derive(Debug, PartialEq, Eq)]
enum Progress {
    Done,
    Blocked,
}

/// The connection is over, whatever the cause.
struct Over;

pub(super) fn serve(listener: &TcpListener, answer: Answer) -> io::Result<()> {
    let poll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    listener.set_nonblocking(true)?;
    epoll::add(
        &poll,
        listener,
        epoll::EventData::new_u64(LISTENER),
        epoll::EventFlags::IN,
    )?;
    let mut slots: Vec<Option<Connection>> = Vec::new();
    let mut free: Vec<usize> = Vec::new();
    let mut events = Vec::with_capacity(EVENTS_MAX);
    loop {
        events.clear();
        match epoll::wait(&poll, rustix::buffer::spare_capacity(&mut events), None) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        for event in &events {
            let token = event.data.u64();
            if token == LISTENER {
                accept_all(listener, &poll, &mut slots, &mut free)?;
                continue;
            }
            let slot = usize::try_from(token).expect("slot numbers come from a Vec");
            let Some(connection) = slots[slot].as_mut() else {
                continue;
            };
            if connection.turn(&poll, token, answer).is_err() {
                // Dropping the socket closes it, which also takes it out of the epoll set.
                slots[slot] = None;
                free.push(slot);
            }
        }
    }
}

fn accept_all(
    listener: &TcpListener,
    poll: &OwnedFd,
    slots: &mut Vec<Option<Connection>>,
    free: &mut Vec<usize>,
) -> io::Result<()> {
    loop {
        match accept_with(listener, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC) {
            Ok(socket) => {
                let slot = free.pop().unwrap_or_else(|| {
                    slots.push(None);
                    slots.len() - 1
                });
                let interest = epoll::EventFlags::IN;
                epoll::add(
                    poll,
                    &socket,
                    epoll::EventData::new_u64(slot as u64),
                    interest,
                )?;
                slots[slot] = Some(Connection {
                    socket,
                    received: Vec::with_capacity(RECEIVE_BYTES_MAX),
                    outgoing: Outgoing::default(),
                    interest,
                });
            }
            Err(Errno::AGAIN) => return Ok(()),
            Err(Errno::INTR | Errno::CONNABORTED) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

impl Connection {
    /// One wake: send what is left over, else receive once and answer.
    fn turn(&mut self, poll: &OwnedFd, token: u64, answer: Answer) -> Result<(), Over> {
        if self.outgoing.is_empty(answer) {
            self.receive(answer)?;
        }
        let interest = match self.outgoing.flush(&self.socket, answer)? {
            Progress::Done => epoll::EventFlags::IN,
            Progress::Blocked => epoll::EventFlags::OUT,
        };
        if interest != self.interest {
            self.interest = interest;
            epoll::modify(
                poll,
                &self.socket,
                epoll::EventData::new_u64(token),
                interest,
            )
            .map_err(|_| Over)?;
        }
        Ok(())
    }

    fn receive(&mut self, answer: Answer) -> Result<(), Over> {
        let spare = rustix::buffer::spare_capacity(&mut self.received);
        match recv(&self.socket, spare, RecvFlags::empty()) {
            Ok((_, 0)) => return Err(Over),
            Ok(_) => {}
            Err(Errno::AGAIN | Errno::INTR) => return Ok(()),
            Err(_) => return Err(Over),
        }
        let (count, consumed) = match answer.take(&self.received) {
            Ok(taken) => taken,
            Err(Instead::Close) => return Err(Over),
            Err(Instead::Tell(text)) => {
                // An idle connection takes a line whole; the connection is over in any case.
                let _ = send(&self.socket, &text, SendFlags::NOSIGNAL);
                return Err(Over);
            }
        };
        if consumed == self.received.len() {
            self.received.clear();
        } else if consumed > 0 {
            self.received.drain(..consumed);
        } else if self.received.len() >= RECEIVE_BYTES_MAX {
            return Err(Over);
        }
        match answer.copied {
            Some(whole) => {
                for _ in 0..count {
                    self.outgoing.copied.extend_from_slice(whole);
                }
            }
            None => self.outgoing.large = count,
        }
        Ok(())
    }
}

impl Outgoing {
    fn is_empty(&self, answer: Answer) -> bool {
        self.sent == self.copied.len() + self.large * answer.len()
    }

    /// Sends until everything is out or the socket takes no more.
    fn flush(&mut self, socket: impl AsFd, answer: Answer) -> Result<Progress, Over> {
        while !self.is_empty(answer) {
            let result = match answer.copied {
                Some(_) => send(&socket, &self.copied[self.sent..], SendFlags::NOSIGNAL),
                None => {
                    let offset = self.sent % answer.len();
                    match offset.checked_sub(answer.head.len()) {
                        Some(in_body) => {
                            send(&socket, &answer.body[in_body..], SendFlags::NOSIGNAL)
                        }
                        // Rust ignores SIGPIPE, so writev needs no flag for it.
                        None => rustix::io::writev(
                            &socket,
                            &[
                                IoSlice::new(&answer.head[offset..]),
                                IoSlice::new(answer.body),
                            ],
                        ),
                    }
                }
            };
            match result {
                Ok(sent) => self.sent += sent,
                Err(Errno::AGAIN) => return Ok(Progress::Blocked),
                Err(Errno::INTR) => {}
                Err(_) => return Err(Over),
            }
        }
        self.copied.clear();
        self.large = 0;
        self.sent = 0;
        Ok(Progress::Done)
    }
}
