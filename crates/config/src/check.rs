//! Text in, plan out: the one way a configuration is read.
//!
//! `run`, `check`, `explain` and a reload all come through [`check_with`], so that what is checked
//! is what is run. Everything is told at once; a plan comes only from a text without errors.

use std::sync::Arc;

use crate::diagnostic::{Code, Diagnostic, Severity};
use crate::fields::Fields;
use crate::globals;
use crate::overrides::apply_overrides;
use crate::places::PlanPlaces;
use crate::plan::Plan;
use crate::report::Report;
use crate::site;
use crate::source_map::Span;
use crate::tree::{Entry, parse_document};
use crate::upstream::Upstreams;

/// Largest configuration read, in bytes; lists longer than that belong in an `origins_file`.
pub const CONFIG_BYTES_MAX: usize = 16 << 20;

/// What a check needs from the world outside, which a pure crate cannot ask itself.
pub trait FileSource {
    /// The text of a file that the configuration names, `path` as written there: a relative one is
    /// meant from the directory of the configuration. A file of more than `bytes_max` bytes is an
    /// error without being read whole.
    ///
    /// # Errors
    /// [`FileError`] says why there is no text.
    fn read(&self, path: &str, bytes_max: usize) -> Result<String, FileError>;

    /// The name of this machine, which `node.name` defaults to; without one it is `corsair`.
    fn host_name(&self) -> Option<String> {
        None
    }
}

/// Why a file that the configuration names has no text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileError {
    /// There is no such file.
    NotFound,
    /// It is longer than was allowed.
    TooLarge,
    /// It is a directory.
    Directory,
    /// It is not UTF-8.
    NotText {
        /// The first line with bytes that are none, from 1.
        line: usize,
    },
    /// Anything else, in the words of the system.
    Other(String),
}

impl FileError {
    /// The bytes of a file as its text.
    ///
    /// # Errors
    /// [`FileError::NotText`], with the line of the first bytes that are no UTF-8.
    ///
    /// ```
    /// use corsair_config::FileError;
    /// assert_eq!(FileError::text_of(b"a\nb".to_vec()).as_deref(), Ok("a\nb"));
    /// let latin = b"a\ncaf\xe9\n".to_vec();
    /// assert_eq!(FileError::text_of(latin), Err(FileError::NotText { line: 2 }));
    /// ```
    pub fn text_of(bytes: Vec<u8>) -> Result<String, Self> {
        String::from_utf8(bytes).map_err(|error| {
            let valid = &error.as_bytes()[..error.utf8_error().valid_up_to()];
            Self::NotText {
                line: 1 + valid.iter().filter(|&&byte| byte == b'\n').count(),
            }
        })
    }
}

/// A source without files: whatever is named does not exist.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoFiles;

impl FileSource for NoFiles {
    fn read(&self, _path: &str, _bytes_max: usize) -> Result<String, FileError> {
        Err(FileError::NotFound)
    }
}

/// What a check found.
#[derive(Debug)]
pub struct Checked {
    /// The plan, if nothing found is an error.
    pub plan: Option<Plan>,
    /// Everything found, in the order of the text; the configuration before the files it names.
    pub diagnostics: Vec<Diagnostic>,
    /// Where the parts of the plan are written.
    pub places: PlanPlaces,
}

impl Checked {
    /// How many diagnostics weigh this much.
    pub fn count(&self, severity: Severity) -> usize {
        self.diagnostics
            .iter()
            .filter(|diagnostic| diagnostic.severity == severity)
            .count()
    }
}

/// Reads a configuration: parses, checks against the schema, compiles the rules.
///
/// `file_name` is only shown, and tells the directory that relative names are shown against.
///
/// ```
/// let text = r#"
/// [[listener]]
/// address = "127.0.0.1:8080"
/// [[upstream]]
/// name = "bucket"
/// servers = ["http://127.0.0.1:9000"]
/// [[site]]
/// hosts = ["cdn.example.com"]
/// upstream = "bucket"
/// "#;
/// let checked = corsair_config::check("site.toml", text, &corsair_config::NoFiles);
/// let plan = checked.plan.expect("the text is right");
/// assert_eq!(plan.upstreams[0].port, 9000);
///
/// let typo = text.replace("hosts", "host");
/// let checked = corsair_config::check("site.toml", &typo, &corsair_config::NoFiles);
/// assert!(checked.plan.is_none());
/// assert_eq!(checked.diagnostics[0].remedy, "did you mean `hosts`?");
/// ```
pub fn check(file_name: &str, text: &str, files: &dyn FileSource) -> Checked {
    check_with(file_name, text, &[], files)
}

/// The same, with `--set` arguments (`limits.idle_timeout=30s`) applied before anything is checked.
///
/// The key is a dotted path. An array of tables takes a number (`listener.0.address`), or none when
/// there is but one. The value is read as TOML, and as a string when it is none; a later argument
/// wins over an earlier one. Diagnostics about an argument are placed in a file named `--set`.
///
/// ```
/// let text = "[[upstream]]\nname = \"u\"\nservers = [\"http://[::1]:9000\"]\n\
///             [[site]]\nhosts = [\"*\"]\nupstream = \"u\"\n";
/// let arguments = ["listener.address=127.0.0.1:0", "node.workers=1"];
/// let checked = corsair_config::check_with("a.toml", text, &arguments, &corsair_config::NoFiles);
/// assert_eq!(checked.plan.expect("the text is right").node.workers, Some(1));
/// ```
pub fn check_with(
    file_name: &str,
    text: &str,
    overrides: &[&str],
    files: &dyn FileSource,
) -> Checked {
    let mut report = Report::default();
    let plan = read(file_name, text, overrides, files, &mut report);
    let plan = plan.filter(|_| !report.has_errors());
    let (diagnostics, places) = report.finish();
    Checked {
        plan,
        diagnostics,
        places,
    }
}

fn read(
    file_name: &str,
    text: &str,
    overrides: &[&str],
    files: &dyn FileSource,
    report: &mut Report,
) -> Option<Plan> {
    if text.len() > CONFIG_BYTES_MAX {
        let start = Span {
            start: report.add_text(file_name.to_owned(), Arc::from("")),
            end: 0,
        };
        report.add(
            Code::TooLarge,
            Span {
                end: start.start,
                ..start
            },
            format!("the file has more than {} MiB", CONFIG_BYTES_MAX >> 20),
            "move long lists of origins to an origins_file",
        );
        return None;
    }
    let base = report.add_text(file_name.to_owned(), Arc::from(text));
    let mut entries = parse_document(text, base, report);
    apply_overrides(&mut entries, overrides, report);
    read_entries(
        file_name,
        &entries,
        files,
        Span {
            start: base,
            end: base,
        },
        report,
    )
}

/// Reads the sections; the plan is whole only if the report has no error in the end.
fn read_entries(
    file_name: &str,
    entries: &[Entry],
    files: &dyn FileSource,
    at: Span,
    report: &mut Report,
) -> Option<Plan> {
    let root = Fields::of_document(entries, at, report);
    let node = globals::read_node(&root, files, report);
    let limits = globals::read_limits(&root);
    let cache = globals::read_cache(&root);
    let listeners = globals::read_listeners(&root, report);
    let admin = globals::read_admin(&root, &listeners, report);
    let mut upstreams = Upstreams::read(&root, report);
    let sites = site::read_sites(&root, &cache, &mut upstreams, (file_name, files), report);
    let upstreams = upstreams.finish(report);
    let (sites, site_plans) = sites?;
    let listeners = listeners.into_iter().map(|(plan, _)| plan).collect();
    Some(Plan {
        node,
        admin,
        listeners,
        limits,
        cache,
        upstreams,
        sites,
        site_plans,
    })
}
