//! What is sent: request kinds, their shares, Web origins, and what the answers must be.
//!
//! Everything is prepared before the run; a request is a few copies into the send buffer. One kind
//! becomes up to three shapes, by whether the request names a granted origin, a hostile one or
//! none, because each must be answered differently. Pure.

use corsair_http1::{is_field_value, is_token};

use crate::draw::{Draw, Weighted};
use crate::expect::{Echo, ExpectError, ExpectSpec, Expectation};
use crate::template::{Template, TemplateError};

/// One kind of request, as written by flags or in a file.
#[derive(Debug, Clone)]
pub struct Kind {
    /// Name in every output.
    pub name: String,
    /// Share of all requests, relative to the other kinds.
    pub weight: f64,
    /// The method.
    pub method: String,
    /// Path and query; may hold variables.
    pub target: String,
    /// Field lines `(name, value)`; values may hold variables.
    pub fields: Vec<(String, String)>,
    /// The body, sent with a `Content-Length`.
    pub body: Vec<u8>,
    /// Web origins named by the requests.
    pub origins: Origins,
    /// What all answers must be.
    pub expect: ExpectSpec,
    /// What answers to requests with a hostile origin must be besides.
    pub expect_hostile: ExpectSpec,
    /// What answers to requests without an origin must be besides.
    pub expect_without_origin: ExpectSpec,
}

/// Web origins: which, and how many requests name which sort of them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Origins {
    /// Origins that are granted; each as likely. Empty: requests name none.
    pub granted: Vec<String>,
    /// Origins that are refused; each as likely. Empty: `null`, a stranger, and look-alikes of the
    /// first granted one.
    pub hostile: Vec<String>,
    /// Share of requests that name a hostile one.
    pub hostile_share: f64,
    /// Share of requests that name none.
    pub without_share: f64,
}

/// Where requests go, as far as their bytes say so.
#[derive(Debug, Clone)]
pub struct Destination {
    /// The `Host` of requests that bring none themselves.
    pub authority: String,
    /// Whether every request asks for the connection to be closed.
    pub connection: Connection,
}

/// What requests say about their connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Connection {
    /// Nothing: HTTP/1.1 keeps it.
    Keep,
    /// `Connection: close`.
    Close,
}

/// Kinds that make no traffic.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum TrafficError {
    /// No kinds, or weights that add up to nothing.
    #[error("there is nothing to send: give each request kind a weight above 0")]
    Weights,
    /// Something about one kind.
    #[error("request kind `{kind}`: {problem}")]
    Kind {
        /// The kind's name.
        kind: String,
        /// What is wrong with it.
        problem: KindProblem,
    },
}

/// What can be wrong with a kind.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum KindProblem {
    /// Not a token.
    #[error("`{0}` is not a method")]
    Method(String),
    /// Not path and query.
    #[error("`{0}` is not a path: it begins with / and has no blanks, controls or #")]
    Target(String),
    /// A variable.
    #[error(transparent)]
    Template(#[from] TemplateError),
    /// Not a field line.
    #[error("`{0}` is not a field line")]
    Field(String),
    /// A length that contradicts the body.
    #[error("{0} is set from the body")]
    FramingField(String),
    /// Not a share.
    #[error("shares of origins are from 0 to 1 and together at most 1")]
    Shares,
    /// Shares of requests that leave a rest with nothing to name.
    #[error("the other requests need an origin to name: give one, or make the shares add up to 1")]
    NothingToName,
    /// Expectations for requests that are never sent.
    #[error("`{expectation}` says what no answer will be held to: no request {missing}")]
    Pointless {
        /// Which table.
        expectation: &'static str,
        /// What would have to be asked for.
        missing: &'static str,
    },
    /// An origin that cannot stand in a field.
    #[error("`{0}` cannot be sent as an origin")]
    Origin(String),
    /// An expectation.
    #[error(transparent)]
    Expect(#[from] ExpectError),
}

/// All that a worker needs to make requests.
#[derive(Debug, Clone)]
pub struct Traffic {
    kinds: Vec<String>,
    shapes: Vec<Shape>,
    choice: Weighted,
}

/// Requests that differ only in their variables and are answered by the same rules.
#[derive(Debug, Clone)]
pub struct Shape {
    /// Index of the kind.
    pub kind: usize,
    /// The method.
    pub method: Box<[u8]>,
    /// What the answers must be.
    pub expectation: Expectation,
    target: Template,
    /// From the blank after the target to the end of the body.
    tail: Template,
    origins: Vec<Box<[u8]>>,
}

impl Traffic {
    /// Compiles `kinds`.
    ///
    /// # Errors
    /// The first thing that cannot be sent or expected.
    pub fn compile(kinds: &[Kind], destination: &Destination) -> Result<Self, TrafficError> {
        let mut shapes = Vec::new();
        let mut weights = Vec::new();
        for (index, kind) in kinds.iter().enumerate() {
            let in_kind = |problem| TrafficError::Kind {
                kind: kind.name.clone(),
                problem,
            };
            for (share, shape) in kind.compile(index, destination).map_err(in_kind)? {
                shapes.push(shape);
                weights.push(share * kind.weight);
            }
        }
        let choice = Weighted::new(&weights).ok_or(TrafficError::Weights)?;
        let kinds = kinds.iter().map(|kind| kind.name.clone()).collect();
        Ok(Self {
            kinds,
            shapes,
            choice,
        })
    }

    /// Names of the kinds.
    #[must_use]
    pub fn kinds(&self) -> &[String] {
        &self.kinds
    }

    /// All shapes.
    #[must_use]
    pub fn shapes(&self) -> &[Shape] {
        &self.shapes
    }

    /// The hit ratio that the paths of kind `kind` ask for, if they ask for one.
    #[must_use]
    pub fn asked_hit_ratio(&self, kind: usize) -> Option<f64> {
        let mut shapes = self.shapes.iter();
        let shape = shapes.find(|shape| shape.kind == kind)?;
        shape.target.asked_hit_ratio()
    }

    /// Index of the shape of the next request.
    pub fn choose(&self, draw: &mut Draw) -> usize {
        self.choice.choose(draw)
    }
}

impl Shape {
    /// The Web origin of the next request, empty when it names none.
    pub fn draw_origin(&self, draw: &mut Draw) -> usize {
        usize::try_from(draw.below(self.origins.len() as u64)).unwrap_or(0)
    }

    /// The origin drawn before.
    #[must_use]
    pub fn origin(&self, index: usize) -> &[u8] {
        self.origins.get(index).map_or(&[], |origin| origin)
    }

    /// Appends the request begun last in `draw`.
    pub fn render(&self, out: &mut Vec<u8>, draw: &mut Draw, origin: &[u8]) {
        out.extend_from_slice(&self.method);
        out.push(b' ');
        self.target.render(out, draw, origin);
        self.tail.render(out, draw, origin);
    }

    /// Appends a request for `target` instead of the shape's own.
    pub fn render_for(&self, out: &mut Vec<u8>, draw: &mut Draw, origin: &[u8], target: &[u8]) {
        out.extend_from_slice(&self.method);
        out.push(b' ');
        out.extend_from_slice(target);
        self.tail.render(out, draw, origin);
    }
}

/// Whether `byte` may stand in a request target (RFC 9112 §3.2; blanks and `#` end it).
pub(crate) fn is_target_byte(byte: u8) -> bool {
    byte.is_ascii_graphic() && byte != b'#'
}

/// Whether requests with `method` are expected to have content (RFC 9110 §8.6).
#[must_use]
pub fn expects_content(method: &str) -> bool {
    ["POST", "PUT", "PATCH"].contains(&method)
}

/// Whether requests of a shape say where they come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum OriginLine {
    Named,
    Absent,
}

impl Kind {
    fn compile(
        &self,
        index: usize,
        destination: &Destination,
    ) -> Result<Vec<(f64, Shape)>, KindProblem> {
        if !is_token(self.method.as_bytes()) {
            return Err(KindProblem::Method(self.method.clone()));
        }
        let target = Template::parse(&self.target)?;
        let is_asterisk = self.target == "*" && self.method == "OPTIONS";
        let begins_well = self.target.starts_with('/') || is_asterisk;
        if !begins_well
            || !target
                .literals()
                .flatten()
                .all(|byte| is_target_byte(*byte))
        {
            return Err(KindProblem::Target(self.target.clone()));
        }
        let shape = |echo, origins: Vec<Box<[u8]>>, expect: &ExpectSpec| {
            let line = if origins.is_empty() {
                OriginLine::Absent
            } else {
                OriginLine::Named
            };
            Ok::<_, KindProblem>(Shape {
                kind: index,
                method: self.method.as_bytes().into(),
                expectation: expect.compile(echo)?,
                target: target.clone(),
                tail: self.tail(destination, line)?,
                origins,
            })
        };
        let (granted_share, hostile_share, without_share) = self.origins.shares()?;
        self.check_expectations(hostile_share, without_share)?;
        let mut shapes = Vec::new();
        if granted_share > 0.0 {
            let origins = sendable(&self.origins.granted)?;
            shapes.push((granted_share, shape(Echo::Expected, origins, &self.expect)?));
        }
        if hostile_share > 0.0 {
            let origins = sendable(&self.origins.hostile_or_look_alikes())?;
            let expect = self.expect.overridden_by(&self.expect_hostile);
            shapes.push((hostile_share, shape(Echo::Forbidden, origins, &expect)?));
        }
        if without_share > 0.0 {
            let expect = self.expect.overridden_by(&self.expect_without_origin);
            shapes.push((without_share, shape(Echo::Forbidden, Vec::new(), &expect)?));
        }
        Ok(shapes)
    }

    fn check_expectations(&self, hostile: f64, without: f64) -> Result<(), KindProblem> {
        let pointless = |spec: &ExpectSpec, share: f64| share <= 0.0 && !spec.is_empty();
        if pointless(&self.expect_hostile, hostile) {
            return Err(KindProblem::Pointless {
                expectation: "expect_hostile",
                missing: "names a hostile origin (origins.hostile is their share)",
            });
        }
        if pointless(&self.expect_without_origin, without) {
            return Err(KindProblem::Pointless {
                expectation: "expect_without_origin",
                missing: "names no origin (origins.without is their share)",
            });
        }
        Ok(())
    }

    fn tail(&self, destination: &Destination, origin: OriginLine) -> Result<Template, KindProblem> {
        let mut tail = Template::literal(" HTTP/1.1\r\n");
        let mut line = |name: &str, value: &Template| {
            tail.push(&Template::literal(format!("{name}: ")));
            tail.push(value);
            tail.push(&Template::literal("\r\n"));
        };
        let has = |wanted: &str| {
            self.fields
                .iter()
                .any(|(name, _)| name.eq_ignore_ascii_case(wanted))
        };
        if !has("Host") {
            line("Host", &Template::literal(destination.authority.as_str()));
        }
        for (name, value) in &self.fields {
            let framing = ["Content-Length", "Transfer-Encoding"];
            if framing
                .iter()
                .any(|framing| name.eq_ignore_ascii_case(framing))
            {
                return Err(KindProblem::FramingField(name.clone()));
            }
            let value = Template::parse(value)?;
            if !is_token(name.as_bytes()) || !value.literals().all(is_field_value) {
                return Err(KindProblem::Field(format!("{name}: {value}")));
            }
            line(name, &value);
        }
        match origin {
            OriginLine::Named => line("Origin", &Template::parse("{origin}")?),
            OriginLine::Absent => {}
        }
        match destination.connection {
            Connection::Keep => {}
            Connection::Close => line("Connection", &Template::literal("close")),
        }
        // RFC 9110 §8.6: methods that expect content say so even when there is none.
        if !self.body.is_empty() || expects_content(&self.method) {
            line(
                "Content-Length",
                &Template::literal(self.body.len().to_string()),
            );
        }
        tail.push(&Template::literal("\r\n"));
        tail.push(&Template::literal(self.body.as_slice()));
        Ok(tail)
    }
}

fn sendable(origins: &[String]) -> Result<Vec<Box<[u8]>>, KindProblem> {
    let one = |origin: &String| {
        let good = is_field_value(origin.as_bytes()) && !origin.is_empty();
        good.then(|| origin.as_bytes().into())
            .ok_or_else(|| KindProblem::Origin(origin.clone()))
    };
    origins.iter().map(one).collect()
}

impl Origins {
    /// Shares of requests with a granted origin, with a hostile one, and without.
    fn shares(&self) -> Result<(f64, f64, f64), KindProblem> {
        let (hostile, without) = (self.hostile_share, self.without_share);
        let sum = hostile + without;
        let sound = hostile >= 0.0 && without >= 0.0 && sum <= 1.0;
        if !sound {
            return Err(KindProblem::Shares);
        }
        if !self.granted.is_empty() {
            return Ok((1.0 - sum, hostile, without));
        }
        // Nobody is granted anything, so that two sorts of requests share all.
        match (hostile > 0.0, without > 0.0) {
            (true, false) => Ok((0.0, hostile, 1.0 - hostile)),
            (true, true) if (sum - 1.0).abs() < 1e-9 => Ok((0.0, hostile, without)),
            (true, true) => Err(KindProblem::NothingToName),
            (false, _) if !self.hostile.is_empty() => Ok((0.0, 1.0 - without, without)),
            (false, true) if without < 1.0 => Err(KindProblem::NothingToName),
            (false, _) => Ok((0.0, 0.0, 1.0)),
        }
    }

    fn hostile_or_look_alikes(&self) -> Vec<String> {
        if !self.hostile.is_empty() {
            return self.hostile.clone();
        }
        let mut hostile = vec!["https://evil.example".to_owned(), "null".to_owned()];
        if let Some(granted) = self.granted.first() {
            hostile.push(format!("{granted}.evil.example"));
            hostile.push(granted.to_uppercase());
        }
        hostile
    }
}
