//! Reading answers: strict framing, expectations, and what came of each.
//!
//! RFC 9112 §6 and §7 by way of `corsair-http1`. Bytes in, one [`Answer`] per response out; wrong
//! framing is an error and the connection must be closed. Never waits and never does I/O.

use corsair_http1::{
    BodyLength, ChunkStep, ChunkedDecoder, HeadLimits, Parsed, Persistence, ResponseHead,
    response_body_length, response_persistence,
};
use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use crate::expect::{BodyContent, Expectation, Mismatch, MismatchKind};
use crate::learned::{CacheOutcome, HeadFacts, LearnedHeads, VolatileFields};

/// Field lines of an answer.
const HEADER_LINES_MAX: usize = 200;

/// Bytes of a wrong answer kept for the sample that is printed.
const SAMPLE_BYTES_MAX: usize = 16 * 1024;

/// Bodies up to this size are kept once their digest was found right, so that the next ones are
/// compared instead of digested.
const KEPT_BODY_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Interim responses (RFC 9110 §15.2) accepted before one final response.
const INTERIM_MAX: u8 = 8;

/// What was asked of the server, as far as reading the answer needs it.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// The method; it decides whether there is a body.
    pub method: &'a [u8],
    /// The Web origin named, empty when there was none.
    pub origin: &'a [u8],
}

/// How answers to one kind of request are judged; holds what was learned from earlier ones.
#[derive(Debug, Clone)]
pub struct Judge {
    expectation: Expectation,
    volatile: VolatileFields,
    learned: LearnedHeads,
    /// The body that answers must have, once it is known.
    content: Option<Arc<[u8]>>,
}

impl Judge {
    /// A judge that knows no answer yet.
    #[must_use]
    pub fn new(expectation: Expectation, volatile: VolatileFields) -> Self {
        let content = match &expectation.body.content {
            Some(BodyContent::Exact(content)) => Some(Arc::clone(content)),
            Some(BodyContent::Sha256(_)) | None => None,
        };
        Self {
            expectation,
            volatile,
            learned: LearnedHeads::default(),
            content,
        }
    }

    /// What is expected.
    #[must_use]
    pub fn expectation(&self) -> &Expectation {
        &self.expectation
    }
}

/// One answer, read to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// Whether the connection may be used again.
    pub persistence: Persistence,
    /// What a cache on the way says of it.
    pub cache: CacheOutcome,
    /// The first rule it broke.
    pub mismatch: Option<Mismatch>,
    /// Bytes of the body, chunk framing not counted.
    pub body_bytes: u64,
    /// Its first bytes, when it broke a rule: the head as it was received, the body decoded.
    pub sample: Vec<u8>,
}

/// An answer that breaks the rules of the protocol. The connection is not to be trusted any more.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProtocolError {
    /// The head is malformed or too large.
    #[error("the head of the answer is refused: {0}")]
    Head(String),
    /// The length of the body is in doubt.
    #[error("the length of the answer's body is in doubt: {0}")]
    Framing(String),
    /// The chunks are malformed.
    #[error("the chunks of the answer are malformed: {0}")]
    Chunk(String),
    /// An interim response that nobody asked for, or too many of them.
    #[error("interim response {0} is not expected here")]
    Interim(u16),
    /// The connection ended inside an answer.
    #[error("the connection ended inside an answer")]
    Truncated,
    /// Bytes that answer no request.
    #[error("the server sent bytes that answer no request")]
    Unasked,
}

/// What became of the bytes given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// All of use was taken; more must be received.
    Incomplete {
        /// Bytes not to be given again.
        consumed: usize,
    },
    /// One answer is complete.
    Answered {
        /// Bytes not to be given again.
        consumed: usize,
        /// The answer.
        answer: Answer,
    },
}

/// Reads the answers of one connection, in order.
#[derive(Debug, Default)]
pub struct AnswerReader {
    /// Keeps how far an incomplete head was searched.
    head: Box<ResponseHead>,
    interim: u8,
    body: Option<Body>,
}

/// An answer whose head is complete.
#[derive(Debug)]
struct Body {
    facts: HeadFacts,
    rest: Rest,
    mismatch: Option<Mismatch>,
    /// What the length must be.
    length: Option<u64>,
    bytes: u64,
    content: ContentCheck,
    sample: Vec<u8>,
}

#[derive(Debug)]
enum Rest {
    Fixed(u64),
    Chunked(ChunkedDecoder),
    UntilClose,
}

#[derive(Debug)]
enum ContentCheck {
    /// Nothing is asked, or the answer is known to be wrong.
    None,
    /// Compared with the judge's content.
    Compared,
    /// Digested, and kept as far as [`KEPT_BODY_BYTES_MAX`].
    Digested(Box<Sha256>, Vec<u8>),
}

impl AnswerReader {
    /// A reader for a new connection.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether an answer has begun and not ended.
    #[must_use]
    pub fn is_inside_body(&self) -> bool {
        self.body.is_some()
    }

    /// Bytes of a fixed-length body that are still to come, to size the next receive by.
    #[must_use]
    pub fn body_bytes_left(&self) -> u64 {
        match self.body.as_ref().map(|body| &body.rest) {
            Some(Rest::Fixed(left)) => *left,
            Some(Rest::Chunked(_) | Rest::UntilClose) | None => 0,
        }
    }

    /// Takes bytes of the answer to `asked`.
    ///
    /// # Errors
    /// When the answer breaks the protocol; this reader is of no more use then.
    pub fn step(
        &mut self,
        received: &[u8],
        asked: Asked<'_>,
        judge: &mut Judge,
    ) -> Result<Step, ProtocolError> {
        let mut consumed = 0;
        while self.body.is_none() {
            match self.read_head(&received[consumed..], asked, judge)? {
                HeadStep::Partial => return Ok(Step::Incomplete { consumed }),
                HeadStep::Interim(len) => consumed += len,
                HeadStep::Final(facts, mismatch) => {
                    let head = &received[consumed..consumed + facts.len];
                    consumed += facts.len;
                    self.body = Some(Body::new(head, facts, mismatch, asked, judge));
                }
            }
        }
        let Some(body) = &mut self.body else {
            return Ok(Step::Incomplete { consumed });
        };
        let (taken, done) = body.read(&received[consumed..], judge)?;
        consumed += taken;
        match self.body.take() {
            Some(body) if done => {
                self.interim = 0;
                Ok(Step::Answered {
                    consumed,
                    answer: body.into_answer(judge),
                })
            }
            body => {
                self.body = body;
                Ok(Step::Incomplete { consumed })
            }
        }
    }

    /// The connection ended: an answer that lasts until then is complete.
    ///
    /// # Errors
    /// When the end cuts an answer short. `unread` are received bytes that no step took.
    pub fn end(
        &mut self,
        unread: &[u8],
        judge: &mut Judge,
    ) -> Result<Option<Answer>, ProtocolError> {
        match self.body.take() {
            Some(body) => match body.rest {
                Rest::UntilClose => Ok(Some(body.into_answer(judge))),
                Rest::Fixed(_) | Rest::Chunked(_) => Err(ProtocolError::Truncated),
            },
            None if unread.is_empty() && self.interim == 0 => Ok(None),
            None => Err(ProtocolError::Truncated),
        }
    }

    fn read_head(
        &mut self,
        received: &[u8],
        asked: Asked<'_>,
        judge: &mut Judge,
    ) -> Result<HeadStep, ProtocolError> {
        if let Some(facts) = judge.learned.recognise(received, asked.origin) {
            self.head.reset();
            return Ok(HeadStep::Final(facts, None));
        }
        // A hundred header operations are a thing that is measured.
        let limits = HeadLimits {
            header_lines_max: HEADER_LINES_MAX,
            ..HeadLimits::default()
        };
        match self.head.parse(received, &limits) {
            Ok(Parsed::Complete) => {}
            Ok(Parsed::Partial) => return Ok(HeadStep::Partial),
            Err(error) => return Err(ProtocolError::Head(error.to_string())),
        }
        let response = self.head.view(received);
        let body = response_body_length(asked.method, response)
            .map_err(|error| ProtocolError::Framing(error.to_string()))?;
        let facts = HeadFacts {
            len: self.head.len(),
            status: response.status(),
            body,
            persistence: response_persistence(response),
            cache: CacheOutcome::of(response),
        };
        if facts.status < 200 {
            self.interim += 1;
            if facts.status == 101 || self.interim > INTERIM_MAX {
                return Err(ProtocolError::Interim(facts.status));
            }
            self.head.reset();
            return Ok(HeadStep::Interim(facts.len));
        }
        let mismatch = judge.expectation.check_head(response, asked.origin).err();
        if mismatch.is_none() {
            let Judge {
                expectation,
                volatile,
                learned,
                content: _,
            } = judge;
            learned.learn(response, facts, asked.origin, expectation, volatile);
        }
        self.head.reset();
        Ok(HeadStep::Final(facts, mismatch))
    }
}

enum HeadStep {
    Partial,
    Interim(usize),
    Final(HeadFacts, Option<Mismatch>),
}

impl Body {
    fn new(
        head: &[u8],
        facts: HeadFacts,
        mismatch: Option<Mismatch>,
        asked: Asked<'_>,
        judge: &Judge,
    ) -> Self {
        let rule = &judge.expectation.body;
        let rest = match facts.body {
            BodyLength::None => Rest::Fixed(0),
            BodyLength::Fixed(len) => Rest::Fixed(len),
            BodyLength::Chunked => Rest::Chunked(ChunkedDecoder::new()),
            BodyLength::UntilClose => Rest::UntilClose,
        };
        // The answer to HEAD speaks of a body that is not sent (RFC 9110 §9.3.2).
        let is_judged = asked.method != b"HEAD";
        let content = match &rule.content {
            Some(_) if is_judged && judge.content.is_some() => ContentCheck::Compared,
            Some(BodyContent::Sha256(_)) if is_judged => {
                ContentCheck::Digested(Box::default(), Vec::new())
            }
            Some(_) | None => ContentCheck::None,
        };
        // The head of a right answer is kept only where its body may still turn out wrong.
        let may_be_sample = mismatch.is_some() || rule.bytes.is_some() || rule.content.is_some();
        let sample = if may_be_sample {
            head.to_vec()
        } else {
            Vec::new()
        };
        let length = rule.bytes.filter(|_| is_judged);
        Self {
            facts,
            rest,
            mismatch,
            length,
            bytes: 0,
            content,
            sample,
        }
    }

    /// Takes bytes: how many, and whether the answer is complete.
    fn read(&mut self, received: &[u8], judge: &Judge) -> Result<(usize, bool), ProtocolError> {
        let mut consumed = 0;
        loop {
            let received = &received[consumed..];
            let (skip, len, done) = match &mut self.rest {
                Rest::Fixed(left) => {
                    let len = usize::try_from(*left)
                        .unwrap_or(usize::MAX)
                        .min(received.len());
                    *left -= len as u64;
                    (0, len, *left == 0)
                }
                Rest::UntilClose => (0, received.len(), false),
                Rest::Chunked(decoder) => match decoder.step(received) {
                    Ok(ChunkStep::Data { skip, len }) => {
                        self.take_data(&received[skip..skip + len], judge);
                        consumed += skip + len;
                        continue;
                    }
                    Ok(ChunkStep::NeedMore { consumed }) => (consumed, 0, false),
                    Ok(ChunkStep::Complete { consumed }) => (consumed, 0, true),
                    Err(error) => return Err(ProtocolError::Chunk(error.to_string())),
                },
            };
            self.take_data(&received[skip..skip + len], judge);
            return Ok((consumed + skip + len, done));
        }
    }

    fn take_data(&mut self, data: &[u8], judge: &Judge) {
        if data.is_empty() {
            return;
        }
        match &mut self.content {
            ContentCheck::None => {}
            ContentCheck::Compared => {
                let expected = judge.content.as_deref().unwrap_or_default();
                let start = usize::try_from(self.bytes).unwrap_or(usize::MAX);
                if !expected.get(start..).unwrap_or_default().starts_with(data) {
                    self.content = ContentCheck::None;
                    self.note(MismatchKind::BodyContent);
                }
            }
            ContentCheck::Digested(digest, kept) => {
                digest.update(data);
                if kept.len() + data.len() <= KEPT_BODY_BYTES_MAX {
                    kept.extend_from_slice(data);
                }
            }
        }
        self.bytes += data.len() as u64;
        if !self.sample.is_empty() && self.sample.len() < SAMPLE_BYTES_MAX {
            let room = SAMPLE_BYTES_MAX - self.sample.len();
            self.sample.extend_from_slice(&data[..data.len().min(room)]);
        }
    }

    /// The first mismatch of an answer is the one that counts.
    fn note(&mut self, kind: MismatchKind) {
        self.mismatch.get_or_insert(Mismatch::of_body(kind));
    }

    fn judge_content(&mut self, judge: &mut Judge) {
        match std::mem::replace(&mut self.content, ContentCheck::None) {
            ContentCheck::None => {}
            ContentCheck::Compared => {
                // What came was the beginning of what was expected.
                if judge
                    .content
                    .as_ref()
                    .is_some_and(|content| content.len() as u64 != self.bytes)
                {
                    self.note(MismatchKind::BodyContent);
                }
            }
            ContentCheck::Digested(digest, kept) => {
                let digest: [u8; 32] = digest.finalize().into();
                if judge.expectation.body.content != Some(BodyContent::Sha256(digest)) {
                    self.note(MismatchKind::BodyContent);
                } else if kept.len() as u64 == self.bytes {
                    judge.content = Some(kept.into());
                }
            }
        }
    }

    fn into_answer(mut self, judge: &mut Judge) -> Answer {
        if self.length.is_some_and(|bytes| bytes != self.bytes) {
            self.note(MismatchKind::BodyLength);
        }
        self.judge_content(judge);
        let sample = if self.mismatch.is_some() {
            self.sample
        } else {
            Vec::new()
        };
        Answer {
            status: self.facts.status,
            persistence: match self.facts.body {
                BodyLength::UntilClose => Persistence::Close,
                BodyLength::None | BodyLength::Fixed(_) | BodyLength::Chunked => {
                    self.facts.persistence
                }
            },
            cache: self.facts.cache,
            mismatch: self.mismatch,
            body_bytes: self.bytes,
            sample,
        }
    }
}
