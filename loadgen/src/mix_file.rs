//! Request mixes written in TOML.
//!
//! ```toml
//! [[request]]
//! name = "font"                 # default: method and path
//! weight = 80                   # default 1
//! method = "GET"                # default GET; OPTIONS with `preflight`
//! path = "/fonts/{zipf:1000:1.1}.woff2"
//! headers = ["Range: bytes=0-99"]
//! body = "…"                    # or body_file = "…"
//! preflight = { method = "PUT", headers = "x-a,x-b" }
//!
//! [request.origins]             # Web origins named by the requests
//! values = ["https://app.example.com"]
//! list = "origins.txt"          # one a line, # begins a comment
//! pattern = "https://t{n}.example.com"
//! count = 1000                  # n from 0 to 999
//! hostile = 0.05                # share of requests with a hostile origin
//! hostile_values = ["null"]     # default: look-alikes of the first granted one
//! without = 0.2                 # share of requests without
//!
//! [request.expect]              # status, headers, present, absent, once, body_bytes, body_sha256
//! status = 200
//! headers = ["Access-Control-Allow-Origin: {origin}", "Vary: Origin"]
//!
//! [request.expect_hostile]      # says more about, or instead, for those requests;
//! [request.expect_without_origin]  # lines with {origin} must be absent there
//! ```
//!
//! Unknown keys are errors. Files named here are relative to the mix's own folder.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::expect::ExpectSpec;
use crate::traffic::{Kind, Origins};

/// A mix that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum MixError {
    /// A file.
    #[error("cannot read {path}: {source}", path = path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Not this kind of TOML.
    #[error("{path}: {source}", path = path.display())]
    Parse {
        /// Which file.
        path: PathBuf,
        /// Where and why.
        source: Box<toml::de::Error>,
    },
    /// Keys that contradict each other.
    #[error("{path}: request {number}: {problem}", path = path.display())]
    Request {
        /// Which file.
        path: PathBuf,
        /// Which request, from 1.
        number: usize,
        /// What is wrong.
        problem: String,
    },
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Mix {
    request: Vec<Request>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Request {
    name: Option<String>,
    weight: Option<f64>,
    method: Option<String>,
    path: String,
    headers: Vec<String>,
    body: Option<String>,
    body_file: Option<PathBuf>,
    preflight: Option<Preflight>,
    origins: OriginsTable,
    expect: ExpectSpec,
    expect_hostile: ExpectSpec,
    expect_without_origin: ExpectSpec,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Preflight {
    method: String,
    headers: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct OriginsTable {
    values: Vec<String>,
    list: Option<PathBuf>,
    pattern: Option<String>,
    count: Option<u32>,
    hostile: f64,
    hostile_values: Vec<String>,
    without: f64,
}

/// Most origins a pattern may stand for; each is kept in memory.
const PATTERN_COUNT_MAX: u32 = 10_000_000;

/// Reads the mix in the file `path`.
///
/// # Errors
/// When a file cannot be read or says something else.
pub fn read_mix(path: &Path) -> Result<Vec<Kind>, MixError> {
    let text = read_text(path)?;
    let mix: Mix = toml::from_str(&text).map_err(|error| MixError::Parse {
        path: path.to_owned(),
        source: Box::new(error),
    })?;
    let folder = path.parent().unwrap_or(Path::new("."));
    let compile = |(index, request): (usize, Request)| {
        request.into_kind(folder).map_err(|problem| match problem {
            Problem::File(error) => error,
            Problem::Text(problem) => MixError::Request {
                path: path.to_owned(),
                number: index + 1,
                problem,
            },
        })
    };
    mix.request.into_iter().enumerate().map(compile).collect()
}

/// Reads Web origins, one a line; empty lines and what follows `#` are left out.
///
/// # Errors
/// When the file cannot be read.
pub fn read_origin_list(path: &Path) -> Result<Vec<String>, MixError> {
    let text = read_text(path)?;
    let origin = |line: &str| {
        line.split_once('#')
            .map_or(line, |(origin, _)| origin)
            .trim()
            .to_owned()
    };
    Ok(text
        .lines()
        .map(origin)
        .filter(|origin| !origin.is_empty())
        .collect())
}

/// Splits `Name: value`.
///
/// # Errors
/// When there is no colon.
pub fn split_field_line(line: &str) -> Result<(String, String), String> {
    let (name, value) = line
        .split_once(':')
        .ok_or_else(|| format!("`{line}` is not a field line; write 'Name: value'"))?;
    Ok((
        name.trim().to_owned(),
        value.trim_matches([' ', '\t']).to_owned(),
    ))
}

fn read_text(path: &Path) -> Result<String, MixError> {
    std::fs::read_to_string(path).map_err(|source| MixError::Read {
        path: path.to_owned(),
        source,
    })
}

enum Problem {
    File(MixError),
    Text(String),
}

impl From<MixError> for Problem {
    fn from(error: MixError) -> Self {
        Self::File(error)
    }
}

impl From<String> for Problem {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl Request {
    fn into_kind(self, folder: &Path) -> Result<Kind, Problem> {
        let mut fields = self
            .headers
            .iter()
            .map(|line| split_field_line(line))
            .collect::<Result<Vec<_>, _>>()?;
        let mut default_method = "GET";
        if let Some(preflight) = self.preflight {
            default_method = "OPTIONS";
            fields.push(("Access-Control-Request-Method".to_owned(), preflight.method));
            if let Some(names) = preflight.headers {
                fields.push(("Access-Control-Request-Headers".to_owned(), names));
            }
        }
        let method = self.method.unwrap_or_else(|| default_method.to_owned());
        let body = match (self.body, self.body_file) {
            (None, None) => Vec::new(),
            (Some(text), None) => text.into_bytes(),
            (None, Some(file)) => {
                let path = folder.join(file);
                std::fs::read(&path).map_err(|source| MixError::Read { path, source })?
            }
            (Some(_), Some(_)) => {
                return Err(Problem::Text(
                    "body and body_file exclude each other".to_owned(),
                ));
            }
        };
        Ok(Kind {
            name: self
                .name
                .unwrap_or_else(|| format!("{method} {}", self.path)),
            weight: self.weight.unwrap_or(1.0),
            method,
            target: self.path,
            fields,
            body,
            origins: self.origins.into_origins(folder)?,
            expect: self.expect,
            expect_hostile: self.expect_hostile,
            expect_without_origin: self.expect_without_origin,
        })
    }
}

impl OriginsTable {
    fn into_origins(self, folder: &Path) -> Result<Origins, Problem> {
        let mut granted = self.values;
        if let Some(list) = self.list {
            granted.extend(read_origin_list(&folder.join(list))?);
        }
        match (self.pattern, self.count) {
            (None, None) => {}
            (Some(pattern), Some(count)) => granted.extend(expand_pattern(&pattern, count)?),
            (Some(_), None) | (None, Some(_)) => {
                return Err(Problem::Text(
                    "pattern and count need each other".to_owned(),
                ));
            }
        }
        Ok(Origins {
            granted,
            hostile: self.hostile_values,
            hostile_share: self.hostile,
            without_share: self.without,
        })
    }
}

/// `https://t{n}.example` with `n` from 0 to `count` - 1.
///
/// # Errors
/// When there is no `{n}`, or `count` is beyond what fits in memory.
pub fn expand_pattern(pattern: &str, count: u32) -> Result<Vec<String>, String> {
    if !pattern.contains("{n}") {
        return Err(format!("the origin pattern `{pattern}` has no {{n}}"));
    }
    if count > PATTERN_COUNT_MAX {
        return Err(format!("at most {PATTERN_COUNT_MAX} origins"));
    }
    Ok((0..count)
        .map(|n| pattern.replace("{n}", &n.to_string()))
        .collect())
}
