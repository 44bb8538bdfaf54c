//! The upstream of the simulation: some resources with a history of versions.

/// What a resource is like.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    Plain,
    Varied,
    Private,
    Validated,
    Large,
    Flaky,
}

pub(crate) const KINDS: [Kind; 6] = [
    Kind::Plain,
    Kind::Varied,
    Kind::Private,
    Kind::Validated,
    Kind::Large,
    Kind::Flaky,
];

/// How long what may be reused may be reused.
pub(crate) const MAX_AGE_MS: u64 = 2_000;
/// The largest body the simulated site stores.
pub(crate) const BODY_BYTES_MAX: u64 = 1_500;

/// One resource. Version `n` is current from the `n`th moment of the history.
pub(crate) struct Resource {
    pub(crate) kind: Kind,
    history: Vec<u64>,
    /// The version that the last write through the node made.
    invalidated: u64,
    /// Did anything happen that excuses a failed client?
    pub(crate) had_trouble: bool,
}

impl Resource {
    pub(crate) fn new(kind: Kind) -> Self {
        Self {
            kind,
            history: vec![0],
            invalidated: 0,
            had_trouble: false,
        }
    }

    pub(crate) fn version(&self) -> u64 {
        self.history.len() as u64 - 1
    }

    pub(crate) fn write(&mut self, now: u64) {
        self.history.push(now);
    }

    /// The last write went through the node, which invalidated what it had.
    pub(crate) fn invalidated(&mut self) {
        self.invalidated = self.version();
    }

    /// The version that was current at a moment.
    fn version_at(&self, time: u64) -> u64 {
        self.history.iter().filter(|&&from| from <= time).count() as u64 - 1
    }

    /// The oldest version that a client may get who asks now.
    pub(crate) fn oldest_allowed(&self, now: u64) -> u64 {
        match self.kind {
            Kind::Private | Kind::Validated => self.version(),
            Kind::Plain | Kind::Varied | Kind::Large | Kind::Flaky => self
                .invalidated
                .max(self.version_at(now.saturating_sub(MAX_AGE_MS))),
        }
    }

    /// The field lines of its response at this moment.
    pub(crate) fn lines(&self) -> Vec<String> {
        let mut lines = vec![format!("ETag: \"v{}\"", self.version())];
        lines.push(
            match self.kind {
                Kind::Private => "Cache-Control: private",
                Kind::Validated => "Cache-Control: no-cache",
                Kind::Plain | Kind::Varied | Kind::Large | Kind::Flaky => {
                    "Cache-Control: max-age=2"
                }
            }
            .to_owned(),
        );
        if self.kind == Kind::Varied {
            lines.push("Vary: A".to_owned());
        }
        lines
    }

    /// The body of a version, for a request with `variant` by `client`.
    pub(crate) fn body(&self, version: u64, variant: u64, client: usize) -> String {
        let variant = if self.kind == Kind::Varied {
            variant
        } else {
            0
        };
        let client = if self.kind == Kind::Private {
            client
        } else {
            0
        };
        let unit = format!("{version} {variant} {client} {:?};", self.kind);
        let units = match self.kind {
            Kind::Plain | Kind::Private => 1,
            Kind::Varied | Kind::Validated => 20,
            Kind::Flaky => 40,
            Kind::Large => 200,
        };
        unit.repeat(units)
    }
}

/// The version a body says it is.
pub(crate) fn version_of(body: &str) -> u64 {
    body.split(' ')
        .next()
        .and_then(|word| word.parse().ok())
        .expect("a body begins with its version")
}
