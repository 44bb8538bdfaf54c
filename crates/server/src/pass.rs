//! A request that the cache has nothing to do with: its body goes to the upstream and the response
//! comes back, both at once, one buffer each, at the pace of the slower side. Nothing is held whole.

use std::net::Shutdown;
use std::rc::Rc;

use corsair_cache::{CacheStatus, Invalidation, Outcome, decide_invalidation};
use corsair_config::{CONDITIONS, Expectation, FailureAnswer};
use corsair_http1::{BodyLength, FieldSection, Persistence};

use crate::body::{BodyError, BodyReader, Pace, PaceRule};
use crate::buffer::ReceiveBuffer;
use crate::connection::{self, Active, Connection};
use crate::deadline::Deadline;
use crate::forward::{Forward, Purpose};
use crate::io::{self as wire, Receiver, Sender};
use crate::reply::Batch;
use crate::respond::{self, OutFraming};
use crate::upload::{BodyCoding, Running, Upload, UploadState, Uploader, join};
use crate::upstream::{self, HeadClock, Response, Retry, Reuse, Upstream, UpstreamError};
use crate::worker::Worker;

/// The sending side of a client connection during one exchange.
pub(crate) struct ClientSide<'a> {
    pub(crate) worker: &'a Rc<Worker>,
    pub(crate) sender: &'a mut Sender,
    pub(crate) deadline: &'a Rc<Deadline>,
    pub(crate) batch: &'a mut Option<Box<Batch>>,
    pub(crate) section: FieldSection,
    /// Whether anything of a response has left: then an error can only cut it short.
    pub(crate) begun: bool,
    /// The request's body, while it is on its way beside the response.
    pub(crate) upload: Option<Rc<UploadState>>,
}

impl ClientSide<'_> {
    /// The batch, between two sends.
    pub(crate) fn batch(&mut self) -> &mut Batch {
        self.batch
            .as_mut()
            .expect("the batch is back after every send")
    }

    /// Bytes gathered before they are sent on.
    pub(crate) fn gather_bytes(&self) -> usize {
        self.worker.pools.share_bytes()
    }

    /// Sends what is gathered.
    ///
    /// # Errors
    /// [`ClientGone`].
    pub(crate) async fn flush(&mut self) -> Result<(), ClientGone> {
        if self.batch().is_empty() {
            return Ok(());
        }
        self.begun = true;
        connection::flush(self.worker, self.sender, self.deadline, self.batch)
            .await
            .map_err(|_error| ClientGone)
    }

    /// Answers with a status of the node's own, when nothing of a response has left yet.
    pub(crate) async fn refuse(
        &mut self,
        forward: &Forward,
        status: u16,
        said: (Outcome, CacheStatus<'_>),
        reason: &str,
        persistence: Persistence,
    ) -> Persistence {
        if self.begun {
            return Persistence::Close;
        }
        let now = self.worker.clock.read();
        let seen = forward.seen(self.worker, now, persistence);
        let batch = self
            .batch
            .as_mut()
            .expect("the batch is back after every send");
        respond::refusal(&seen, batch, status, said, reason);
        match self.flush().await {
            Ok(()) => persistence,
            Err(ClientGone) => Persistence::Close,
        }
    }
}

/// The client cannot be sent to.
#[derive(Debug)]
pub(crate) struct ClientGone;

/// Runs one exchange that is not cached.
pub(crate) async fn run(
    connection: &mut Connection,
    active: &mut Active,
    forward: &Forward,
    outcome: Outcome,
) -> Persistence {
    let worker = &connection.worker;
    let upstream = Upstream {
        worker,
        live: &forward.live,
        index: forward.route().upstream,
    };
    let Active { buffer, batch, .. } = active;
    let mut client = ClientSide {
        worker,
        sender: &mut connection.socket.sender,
        deadline: &connection.deadline,
        batch,
        section: FieldSection::new(),
        begun: false,
        upload: None,
    };
    let body_max = forward.live.plan.limits.body_bytes;
    match forward.length {
        BodyLength::None | BodyLength::Fixed(0) => {
            without_body(&upstream, &mut client, forward, outcome).await
        }
        BodyLength::Fixed(length) if length > body_max => {
            let said = (outcome, CacheStatus::new(outcome));
            let reason = BodyError::TooLarge.to_string();
            client
                .refuse(forward, 413, said, &reason, Persistence::Close)
                .await
        }
        BodyLength::Fixed(_) | BodyLength::Chunked | BodyLength::UntilClose => {
            let source = &mut connection.socket.receiver;
            with_body(&upstream, &mut client, source, buffer, forward, outcome).await
        }
    }
}

async fn without_body(
    upstream: &Upstream<'_>,
    client: &mut ClientSide<'_>,
    forward: &Forward,
    outcome: Outcome,
) -> Persistence {
    let method = forward.request().method();
    let retry = match method {
        b"GET" | b"HEAD" | b"OPTIONS" => Retry::Once,
        _ => Retry::Never,
    };
    let head = forward.upstream_head(Purpose::Pass, None);
    let error = match upstream.exchange(method, head, retry).await {
        Ok(response) if response.status() == 304 && !forward.request().any_of(CONDITIONS) => {
            UpstreamError::Malformed("304 unasked")
        }
        Ok(response) => return relay(upstream, client, forward, response, outcome).await,
        Err(error) => error,
    };
    let said = (outcome, forward.persistence(client.worker));
    refuse_for(upstream, client, forward, &error, said).await
}

/// Answers for an upstream that failed a request which was forwarded as `outcome` says.
async fn refuse_for(
    upstream: &Upstream<'_>,
    client: &mut ClientSide<'_>,
    forward: &Forward,
    error: &UpstreamError,
    (outcome, persistence): (Outcome, Persistence),
) -> Persistence {
    upstream.note_failure(error);
    let answer = FailureAnswer::new(error.failure().kind(), outcome);
    let said = (answer.outcome, answer.cache_status);
    client
        .refuse(forward, answer.status, said, answer.text, persistence)
        .await
}

/// Sends a response on to the client while it is received.
async fn relay(
    upstream: &Upstream<'_>,
    client: &mut ClientSide<'_>,
    forward: &Forward,
    response: Response,
    outcome: Outcome,
) -> Persistence {
    match relay_to_end(upstream, client, forward, response, outcome).await {
        Ok((connection, reusable, persistence)) => {
            if reusable == Persistence::KeepAlive {
                let now_ms = client.worker.clock.mono_ms();
                client.worker.pools.give(connection, now_ms);
            }
            persistence
        }
        Err(ClientGone) => Persistence::Close,
    }
}

/// As [`relay`]; hands back the upstream connection and whether it can be used again.
async fn relay_to_end(
    upstream: &Upstream<'_>,
    client: &mut ClientSide<'_>,
    forward: &Forward,
    response: Response,
    outcome: Outcome,
) -> Result<(upstream::Connection, Persistence, Persistence), ClientGone> {
    let now = client.worker.clock.read();
    let fields = response.end_to_end_fields(now.unix.seconds());
    let status = response.status();
    if decide_invalidation(forward.request().method(), status) == Invalidation::TargetUri {
        let hash = forward.target_hash(client.worker);
        client.worker.shared.store.invalidate(hash);
        client.worker.shared.fills.invalidate(hash);
    }
    let framing = match (&response.length, response.stated_length()) {
        _ if status == 204 => OutFraming::Absent,
        // HEAD and 304 state the length of a body that does not follow.
        (BodyLength::None, Some(length)) => OutFraming::Length(length),
        (length, _) => OutFraming::of(length, forward.request().version()),
    };
    let persistence = match framing {
        OutFraming::Close => Persistence::Close,
        _ if client
            .upload
            .as_ref()
            .is_some_and(|upload| !upload.is_complete()) =>
        {
            Persistence::Close
        }
        OutFraming::Length(_) | OutFraming::Chunked | OutFraming::Absent => {
            forward.persistence(client.worker)
        }
    };
    let seen = forward.seen(client.worker, now, persistence);
    let head = respond::Received {
        status,
        fields: &fields,
        range: None,
        framing,
        cache_status: CacheStatus {
            fwd_status: Some(status),
            ..CacheStatus::new(outcome)
        },
        age: None,
    };
    let batch = client
        .batch
        .as_mut()
        .expect("the batch is back after every send");
    respond::received(&seen, &head, &mut client.section, batch.arena());
    let Response {
        mut connection,
        length,
        persistence: reusable,
        ..
    } = response;
    let complete = relay_body(upstream, client, &mut connection, length, framing).await?;
    match complete {
        Ok(()) => Ok((connection, reusable, persistence)),
        // The head is out: only a cut connection can tell the client.
        Err(_) => {
            client.worker.metrics.counters.upstream_failures.increment();
            Ok((connection, Persistence::Close, Persistence::Close))
        }
    }
}

async fn relay_body(
    upstream: &Upstream<'_>,
    client: &mut ClientSide<'_>,
    connection: &mut upstream::Connection,
    length: BodyLength,
    framing: OutFraming,
) -> Result<Result<(), BodyError>, ClientGone> {
    let mut reader = BodyReader::new(length);
    let deadline = Rc::clone(&connection.deadline);
    let clock = &client.worker.clock;
    let mut pace = Pace::new(
        &deadline,
        clock,
        PaceRule::EachWait(upstream.response_timeout_ms()),
    );
    let coding = BodyCoding::of(framing);
    loop {
        if connection.buffer.is_empty() || client.batch().len() >= client.gather_bytes() {
            client.flush().await?;
        }
        match reader
            .next(&mut connection.receiver, &mut connection.buffer, &mut pace)
            .await
        {
            Ok(Some(count)) => {
                client
                    .worker
                    .metrics
                    .counters
                    .upstream_bytes_in
                    .add(count as u64);
                let out = client
                    .batch
                    .as_mut()
                    .expect("the batch is back after every send")
                    .arena();
                coding.append(&connection.buffer.unread()[..count], out);
                connection.buffer.consume(count);
            }
            Ok(None) => {
                coding.append_end(client.batch().arena());
                client.flush().await?;
                return Ok(Ok(()));
            }
            Err(error) => {
                client.flush().await?;
                return Ok(Err(error));
            }
        }
    }
}

async fn with_body(
    upstream: &Upstream<'_>,
    client: &mut ClientSide<'_>,
    source: &mut Receiver,
    buffer: &mut ReceiveBuffer,
    forward: &Forward,
    outcome: Outcome,
) -> Persistence {
    let connection = match begin_upload(upstream, client, buffer, forward, outcome).await {
        Ok(connection) => connection,
        Err(persistence) => return persistence,
    };
    match both_ways(
        upstream, client, source, buffer, forward, outcome, connection,
    )
    .await
    {
        (Upload::Complete, Ok(Ok(persistence))) => persistence,
        (Upload::ClientFailed(error), Err(_)) => {
            refuse_for_client(client, forward, &error, outcome).await
        }
        (Upload::Complete | Upload::UpstreamStopped, Err(error)) => {
            let said = (outcome, Persistence::Close);
            refuse_for(upstream, client, forward, &error, said).await
        }
        (Upload::Complete | Upload::ClientFailed(_) | Upload::UpstreamStopped, Ok(_)) => {
            Persistence::Close
        }
    }
}

/// Connects, sends the head and tells a client that waits for it to go on; `Err` when the exchange is
/// over already.
async fn begin_upload(
    upstream: &Upstream<'_>,
    client: &mut ClientSide<'_>,
    buffer: &ReceiveBuffer,
    forward: &Forward,
    outcome: Outcome,
) -> Result<upstream::Connection, Persistence> {
    let head = forward.upstream_head(Purpose::Pass, None);
    let begun = match upstream.connect(Reuse::Allowed).await {
        Ok(mut connection) => {
            let (sent, _head) = upstream.send(&mut connection, head).await;
            sent.map(|()| connection)
        }
        Err(error) => Err(error),
    };
    let connection = match begun {
        Ok(connection) => connection,
        Err(error) => {
            let said = (outcome, Persistence::Close);
            return Err(refuse_for(upstream, client, forward, &error, said).await);
        }
    };
    if forward.expects == Expectation::Continue && buffer.is_empty() {
        client
            .batch()
            .arena()
            .extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
        let sent = client.flush().await;
        // An interim response does not begin the final one.
        client.begun = false;
        if sent.is_err() {
            return Err(Persistence::Close);
        }
    }
    Ok(connection)
}

/// How the response of an exchange with a body fared: relayed, with what becomes of the client's
/// connection, or the client gone meanwhile, or none that could be relayed.
type Answered = Result<Result<Persistence, ClientGone>, UpstreamError>;

/// Sends the request's body and the response at the same time, each to its end.
async fn both_ways(
    upstream: &Upstream<'_>,
    client: &mut ClientSide<'_>,
    source: &mut Receiver,
    buffer: &mut ReceiveBuffer,
    forward: &Forward,
    outcome: Outcome,
    mut connection: upstream::Connection,
) -> (Upload, Answered) {
    let worker = client.worker;
    let upstream_descriptor = connection.receiver.descriptor();
    let source_deadline = worker.deadlines.watch(source.descriptor());
    let state = Rc::new(UploadState::default());
    client.upload = Some(Rc::clone(&state));
    let uploader = Uploader {
        worker,
        source,
        buffer,
        sink: connection
            .sender
            .take()
            .expect("nothing else is being sent"),
        source_deadline: &source_deadline,
        upstream_deadline: Rc::clone(&connection.deadline),
        forward,
        upstream_timeout_ms: upstream.response_timeout_ms(),
        state: Rc::clone(&state),
    };
    let upload = async {
        let ended = uploader.run().await;
        state.ended(&ended.0);
        if let (Upload::ClientFailed(_), _) = &ended {
            wire::shutdown(upstream_descriptor, Shutdown::Both);
        }
        ended
    };
    let method = forward.request().method();
    let answer = async {
        let answered = match upstream
            .receive_head(connection, method, HeadClock::ByUpload)
            .await
        {
            Ok(response) => {
                state.response_began();
                Ok(relay_to_end(upstream, client, forward, response, outcome).await)
            }
            Err(error) => Err(error),
        };
        if state.stop() == Running::Yes {
            // The response is complete without the rest of the body.
            source_deadline.call_off().call_off();
            wire::shutdown(upstream_descriptor, Shutdown::Both);
        }
        answered
    };
    let ((uploaded, sink), answered) = join(upload, answer).await;
    let answered = answered.map(|relayed| {
        relayed.map(|(mut connection, reusable, persistence)| {
            if matches!(uploaded, Upload::Complete) && reusable == Persistence::KeepAlive {
                connection.sender = Some(sink);
                worker.pools.give(connection, worker.clock.mono_ms());
            }
            persistence
        })
    });
    (uploaded, answered)
}

/// Answers for a client whose body could not be received.
async fn refuse_for_client(
    client: &mut ClientSide<'_>,
    forward: &Forward,
    error: &BodyError,
    outcome: Outcome,
) -> Persistence {
    let status = match error {
        BodyError::TooSlow => 408,
        BodyError::TooLarge => 413,
        BodyError::Truncated
        | BodyError::Socket(_)
        | BodyError::Malformed
        | BodyError::CalledOff => 400,
    };
    let said = (outcome, CacheStatus::new(outcome));
    client
        .refuse(
            forward,
            status,
            said,
            &error.to_string(),
            Persistence::Close,
        )
        .await
}
