//! What an importer expects, and what came instead: an empty file, a web page, an error answer, another
//! format, a text that was cut off.
//!
//! Looks at the beginning of the text only, never reads it; what it takes for something else no reader
//! of that kind could use. The formats are those of RFC 8259, XML 1.0, YAML 1.2 and TOML 1.0.

use super::{ImportError, ImportKind};
use crate::report::clip;

/// Bytes looked at for a word that tells what the text is.
const LOOK_BYTES_MAX: usize = 4096;

impl ImportKind {
    /// What is expected, and where it comes from: the end of a sentence.
    pub(super) fn expected(self) -> String {
        let (what, source) = match self {
            Self::S3 => (
                "the CORS rules of a bucket, JSON or XML",
                "`aws s3api get-bucket-cors --bucket B` prints them",
            ),
            Self::Oss => (
                "the CORS rules of a bucket, XML",
                "OSS answers GetBucketCors (`GET /?cors`) with them",
            ),
            Self::Gcs => (
                "the CORS entries of a bucket, JSON",
                "`gcloud storage buckets describe gs://B --format=json` prints them",
            ),
            Self::Alibaba => (
                "the functions of a domain, JSON",
                "Alibaba CDN answers DescribeCdnDomainConfigs with them",
            ),
            Self::IngressNginx => (
                "Ingress manifests, YAML",
                "`kubectl get ingress -A -o yaml` prints them",
            ),
        };
        format!("{} needs {what}: {source}", self.as_str())
    }

    fn reads(self, form: Form) -> bool {
        match form {
            Form::Json => true,
            Form::Xml => matches!(self, Self::S3 | Self::Oss),
            // Everything but markup may be YAML, and its reader says what is wrong.
            Form::Yaml | Form::Toml | Form::Prose => self == Self::IngressNginx,
        }
    }

    /// For a text that ends too early.
    pub(super) fn cut_off(self, line: usize, inside: &str) -> ImportError {
        let message = format!(
            "the input ends inside {inside}, so it was cut off; {}",
            self.expected()
        );
        ImportError::at(line, message)
    }
}

/// What a text is by its beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Json,
    Xml,
    Yaml,
    Toml,
    Prose,
}

/// Refuses what this kind's reader could only misunderstand.
///
/// # Errors
/// What was seen, what is expected, and where it comes from.
pub(super) fn refuse_other_forms(kind: ImportKind, text: &str) -> Result<(), ImportError> {
    let body = text.trim_start();
    let line = text[..text.len() - body.len()].matches('\n').count() + 1;
    let refuse = |seen: &str| {
        let message = format!("{seen}; {}", kind.expected());
        Err(ImportError::at(line, message))
    };
    if body.is_empty() {
        return refuse("the input is empty");
    }
    let form = form_of(body);
    if form == Form::Xml {
        if let Some(title) = web_page(body) {
            return refuse(&format!("the input is a web page{title}"));
        }
        if let Some(code) = between(body, "<Code>", "</Code>").filter(|_| body.contains("<Error")) {
            return refuse(&format!("the input is an error answer, `{}`", clip(code)));
        }
    }
    if kind.reads(form) {
        return Ok(());
    }
    let first = clip(body.lines().next().unwrap_or_default().trim_end());
    match form {
        Form::Json => Ok(()),
        Form::Xml => refuse("the input is XML"),
        Form::Yaml => refuse(&format!("the input is YAML, it begins with `{first}`")),
        Form::Toml => refuse(&format!(
            "the input is TOML, it begins with `{first}`; `corsair check` reads our own files"
        )),
        Form::Prose => refuse(&format!("the input begins with `{first}`")),
    }
}

fn form_of(body: &str) -> Form {
    let mut body = body;
    // YAML and TOML have the same comments.
    while let Some((_, rest)) = body.split_once('\n').filter(|_| body.starts_with('#'))
        && !rest.trim_start().is_empty()
    {
        body = rest.trim_start();
    }
    let first = body.lines().next().unwrap_or_default().trim_end();
    let is_name = |name: &str| {
        let byte = |b: u8| b.is_ascii_alphanumeric() || b"_-.\"".contains(&b);
        name.starts_with(|c: char| c.is_ascii_alphabetic()) && name.bytes().all(byte)
    };
    let table = first
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    let table = table.map(|name| name.trim_start_matches('[').trim_end_matches(']'));
    let before = |sign: char| first.split_once(sign).map(|(name, _)| name.trim_end());
    match body.as_bytes().first() {
        Some(b'<') => Form::Xml,
        Some(b'[') if table.is_some_and(is_name) => Form::Toml,
        Some(b'{' | b'[' | b'"' | b'0'..=b'9') => Form::Json,
        Some(b'-') if !first.starts_with("---") && !first.starts_with("- ") => Form::Json,
        Some(b'-' | b'%' | b'#') => Form::Yaml,
        _ if matches!(body.trim_end(), "true" | "false" | "null") => Form::Json,
        _ if before(':').is_some_and(is_name) => Form::Yaml,
        _ if before('=').is_some_and(is_name) => Form::Toml,
        Some(_) | None => Form::Prose,
    }
}

/// The title of an HTML page, in words; `None` when it is no such page.
fn web_page(body: &str) -> Option<String> {
    let end = (0..=LOOK_BYTES_MAX.min(body.len()))
        .rev()
        .find(|&at| body.is_char_boundary(at))
        .unwrap_or(0);
    let lower = body[..end].to_ascii_lowercase();
    let is_page = lower.contains("<!doctype html") || lower.contains("<html");
    let title = between(&lower, "<title>", "</title>").map(|title| {
        // Case is lowered byte for byte, so places are the same in both.
        let at = title.as_ptr().addr() - lower.as_ptr().addr();
        format!(", `{}`", clip(body[at..at + title.len()].trim()))
    });
    is_page.then(|| title.unwrap_or_default())
}

fn between<'t>(text: &'t str, open: &str, close: &str) -> Option<&'t str> {
    let (_, rest) = text.split_once(open)?;
    rest.split_once(close).map(|(inside, _)| inside)
}
