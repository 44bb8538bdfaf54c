//! What is not the same after an import: one construct, one request, two answers.

use core::fmt;

/// How much a finding weighs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Weight {
    /// Some request that a browser can send is decided differently.
    Difference,
    /// Every request of a browser is decided alike; the bytes differ, or the old system did not do
    /// what was written.
    Note,
}

impl Weight {
    /// The word shown to people: `difference` or `note`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Difference => "difference",
            Self::Note => "note",
        }
    }
}

/// One construct whose meaning is not the same. `Display` gives the form for people:
///
/// ```text
/// 4: difference: AllowedOrigins `null`: Corsair never gives credentials to `null`
///   request: GET with `Origin: null` and cookies
///   S3:      grants, with credentials
///   Corsair: grants without credentials
///   = help: give the frame an origin of its own
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// How much it weighs.
    pub weight: Weight,
    /// Line of the input, from 1.
    pub line: usize,
    /// The construct as it is written, such as a pattern.
    pub construct: String,
    /// One sentence: what is not the same, and why.
    pub message: String,
    /// A request on which it shows.
    pub request: String,
    /// The old system's name.
    pub system: &'static str,
    /// What the old system answers.
    pub theirs: String,
    /// What Corsair answers with the configuration that was written.
    pub ours: String,
    /// What can be done, if anything can.
    pub remedy: Option<String>,
}

impl fmt::Display for Finding {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            weight,
            line,
            construct,
            message,
            request,
            system,
            theirs,
            ours,
            remedy,
        } = self;
        let width = system.len().max("Corsair".len()) + 1;
        let label = |name: &str| format!("{:<width$}", format!("{name}:"));
        writeln!(out, "{line}: {}: {construct}: {message}", weight.as_str())?;
        writeln!(out, "  {} {request}", label("request"))?;
        writeln!(out, "  {} {theirs}", label(system))?;
        write!(out, "  {} {ours}", label("Corsair"))?;
        match remedy {
            Some(remedy) => write!(out, "\n  = help: {remedy}"),
            None => Ok(()),
        }
    }
}
