//! Policies of other systems, read and written anew as ours, with what is not the same.
//!
//! Each kind has a file that reads its documented format, models how that system decides, and writes
//! the policy that decides alike. Where ours cannot, or will not, a finding says so with a request
//! that the two answer differently. Nothing is ever widened silently: an entry that the old system
//! never matched is left out and told. Pure, bounded, and never expands an entity or an alias.

mod alibaba;
mod bucket;
mod document;
mod draft;
mod expected;
mod finding;
mod gcs;
mod ingress;
mod ingress_nginx;
mod origins;
mod writing;

pub use finding::{Finding, Weight};

use crate::report::clip;
use core::fmt;
use draft::Draft;

/// Longest input in bytes; no system here keeps a policy that long.
pub const IMPORT_BYTES_MAX: usize = 1 << 20;

/// The systems whose policies are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ImportKind {
    /// S3 bucket CORS, JSON or XML.
    S3,
    /// Alibaba OSS bucket CORS, XML.
    Oss,
    /// Google Cloud Storage bucket CORS, JSON.
    Gcs,
    /// Alibaba CDN response header settings, JSON.
    Alibaba,
    /// Ingress manifests with annotations of ingress-nginx, YAML.
    IngressNginx,
}

impl ImportKind {
    /// Every kind.
    pub const ALL: [Self; 5] = [
        Self::S3,
        Self::Oss,
        Self::Gcs,
        Self::Alibaba,
        Self::IngressNginx,
    ];

    /// The word of the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::S3 => "s3",
            Self::Oss => "oss",
            Self::Gcs => "gcs",
            Self::Alibaba => "alibaba",
            Self::IngressNginx => "ingress-nginx",
        }
    }

    /// The system's name, for people.
    pub const fn system(self) -> &'static str {
        match self {
            Self::S3 => "S3",
            Self::Oss => "OSS",
            Self::Gcs => "GCS",
            Self::Alibaba => "Alibaba CDN",
            Self::IngressNginx => "ingress-nginx",
        }
    }
}

/// A policy in our words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Imported {
    /// A configuration that passes `corsair check`.
    pub config: String,
    /// What is not the same, in the order of the input.
    pub findings: Vec<Finding>,
}

impl Imported {
    /// How many findings weigh this much.
    pub fn count(&self, weight: Weight) -> usize {
        let alike = |finding: &&Finding| finding.weight == weight;
        self.findings.iter().filter(alike).count()
    }
}

/// Why an input cannot be used. `Display` gives `7:12: error: sentence`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportError {
    /// Line of the input, from 1.
    pub line: usize,
    /// Column in characters, from 1, where the place is that exact.
    pub column: Option<usize>,
    /// One sentence with its remedy.
    pub message: String,
}

impl ImportError {
    fn at(line: usize, message: impl Into<String>) -> Self {
        Self {
            line,
            column: None,
            message: message.into(),
        }
    }
}

impl fmt::Display for ImportError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}:", self.line)?;
        if let Some(column) = self.column {
            write!(out, "{column}:")?;
        }
        write!(out, " error: {}", self.message)
    }
}

/// Reads a policy of another system.
///
/// `file_name` is only shown, in the comments of the configuration.
///
/// # Errors
/// [`ImportError`] when the input is longer than [`IMPORT_BYTES_MAX`], is not of the format, or is
/// something that the system itself refuses.
///
/// ```
/// use corsair_config::import::{ImportKind, import};
/// let rules = r#"[{"AllowedOrigins": ["https://*.example.com"], "AllowedMethods": ["GET"]}]"#;
/// let imported = import(ImportKind::S3, "cors.json", rules).unwrap();
/// assert!(imported.config.contains(r#"origins = ["https://*.example.com"]"#));
///
/// let error = import(ImportKind::S3, "cors.json", "[{]").unwrap_err();
/// assert_eq!((error.line, error.column), (1, Some(3)));
/// ```
pub fn import(kind: ImportKind, file_name: &str, text: &str) -> Result<Imported, ImportError> {
    if text.len() > IMPORT_BYTES_MAX {
        let message = format!("the input has more than {} MiB", IMPORT_BYTES_MAX >> 20);
        return Err(ImportError::at(1, message));
    }
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    expected::refuse_other_forms(kind, text)?;
    let mut draft = Draft::new(kind, &clip(file_name));
    match kind {
        ImportKind::S3 => bucket::read(bucket::Store::S3, text, &mut draft)?,
        ImportKind::Oss => bucket::read(bucket::Store::Oss, text, &mut draft)?,
        ImportKind::Gcs => gcs::read(text, &mut draft)?,
        ImportKind::Alibaba => alibaba::read(text, &mut draft)?,
        ImportKind::IngressNginx => ingress_nginx::read(text, &mut draft)?,
    }
    draft.refuse_long_lists()?;
    Ok(draft.finish())
}
