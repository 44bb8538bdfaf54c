//! Peers: a folder with `peer.toml` and templates, and what becomes of them in a scenario.
//!
//! ```toml
//! role = "peer"                      # null | subject | peer
//! program = "nginx"                  # looked for beside loadgen, in PATH and the sbin folders
//! install = "apt-get install nginx"  # said when it is not there
//! version = ["-v"]                   # arguments; the first line it prints is kept
//! files = ["nginx.conf"]             # templates, rendered into the scratch folder
//! prepare = [["{{ program }}", "-t"]] # commands run before the start
//! start = ["-p", "{{ dir }}", "-c", "nginx.conf"]   # arguments; it stays in the foreground
//! environment = { LC_ALL = "C" }
//! stop = "TERM"                      # the signal that ends it
//! reload = "HUP"                     # a signal, or a command as a list
//! reloaded = { file = "log", text = "…" }   # after a signal: what it writes where, each time; `log` is what it says
//! cannot = [{ when = "storm == 'preflight'", reason = "…" }]
//! ```
//!
//! Templates are minijinja (Jinja). They see `dir`, `program`, `loadgen`, `port`, `spare_port`,
//! `upstream_port`, the scenario's parameters by their names in the scenario file, and `rules` and
//! `header_operations` as lists (see [`Rule`]). A peer is started in a scratch folder of its own,
//! on loopback, and serves on `port`.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail};
use minijinja::{Environment, UndefinedBehavior, Value, context};
use rustix::process::Signal;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::artefact::{Parameters, Role};
use super::job::{self, Rule};

/// Folders of programs that are not always in PATH.
const PROGRAM_FOLDERS: [&str; 4] = ["/usr/sbin", "/usr/local/sbin", "/usr/local/bin", "/sbin"];

/// Lines of a configuration kept at its beginning and at its end.
const LINES_KEPT: usize = 60;

/// Bytes kept of each end of a long line: some peers want their whole list in one.
const LINE_BYTES_KEPT: usize = 200;

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Description {
    role: Role,
    program: String,
    install: String,
    version: Vec<String>,
    #[serde(default)]
    files: Vec<String>,
    #[serde(default)]
    prepare: Vec<Vec<String>>,
    start: Vec<String>,
    #[serde(default)]
    environment: BTreeMap<String, String>,
    #[serde(default = "default_stop")]
    stop: String,
    reload: Option<ReloadText>,
    reloaded: Option<Reloaded>,
    #[serde(default)]
    cannot: Vec<Cannot>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
enum ReloadText {
    Signal(String),
    Command(Vec<String>),
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Cannot {
    when: String,
    reason: String,
}

fn default_stop() -> String {
    "TERM".to_owned()
}

/// Somebody asked to take part: `NAME[:LABEL][#N][@PROGRAM]`.
///
/// `corsair:old@/elsewhere/corsair` is another build; `corsair#2` the same once more.
#[derive(Debug, Clone)]
pub struct Contestant {
    /// Unique: the text before `@`.
    pub id: String,
    /// Its folder's name.
    pub runner: String,
    /// What part it plays.
    pub role: Role,
    /// The program, if it is here.
    pub program: Option<PathBuf>,
    folder: PathBuf,
    description: Description,
}

/// How a running peer is told to read its rules again.
#[derive(Debug, Clone)]
pub enum Reload {
    /// A signal to its first process.
    Signal(Signal),
    /// A command.
    Command(Vec<String>),
}

/// How a reload that a signal asked for shows.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reloaded {
    /// A file in its folder.
    pub file: String,
    /// What is in there once more after each reload.
    pub text: String,
}

/// A peer's files and commands for one scenario.
#[derive(Debug)]
pub struct Prepared {
    /// What is run before the start, each to its end.
    pub before: Vec<Vec<String>>,
    /// What starts it: program and arguments.
    pub command: Vec<String>,
    /// What it was given, for the record.
    pub config: Vec<ConfigText>,
    /// How it reads its rules again; `None` when it cannot.
    pub reload: Option<Reload>,
    /// How one shows that a signal asked for.
    pub reloaded: Option<Reloaded>,
    /// How it is ended.
    pub stop: Signal,
}

/// Where a peer lives while it serves.
#[derive(Debug, Clone)]
pub struct Place {
    /// Its scratch folder.
    pub folder: PathBuf,
    /// Where it serves.
    pub port: u16,
    /// For an admin interface, if it needs one.
    pub spare_port: u16,
    /// The upstream.
    pub upstream_port: u16,
}

impl Place {
    /// `text` for the record: words for the folder and the ports, which differ from trial to trial,
    /// and for where programs lie on this machine.
    #[must_use]
    pub fn named(&self, text: &str, program: Option<&Path>) -> String {
        let mut text = text.replace(&self.folder.display().to_string(), "DIR");
        let own = std::env::current_exe().ok();
        for path in [program, own.as_deref()].into_iter().flatten() {
            if let Some(name) = path.file_name() {
                text = text.replace(&path.display().to_string(), &name.to_string_lossy());
            }
        }
        let ports = [
            (self.port, "PORT"),
            (self.spare_port, "SPARE_PORT"),
            (self.upstream_port, "UPSTREAM_PORT"),
        ];
        for (port, name) in ports {
            text = with_word(&text, &port.to_string(), name);
        }
        text
    }
}

/// `text` with `word` in place of `number` where it stands alone: not in `tenant-40000` or `40000.5`.
fn with_word(text: &str, number: &str, word: &str) -> String {
    let joins = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_' | '\\');
    let mut changed = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(number) {
        let (before, after) = (&rest[..at], &rest[at + number.len()..]);
        let is_alone = !before.ends_with(joins) && !after.starts_with(joins);
        changed.push_str(before);
        changed.push_str(if is_alone { word } else { number });
        rest = after;
    }
    changed + rest
}

impl Contestant {
    /// Finds the peer that `text` names in `peers_folder`.
    ///
    /// # Errors
    /// When there is no such folder, or its `peer.toml` is not one.
    pub fn find(text: &str, peers_folder: &Path) -> anyhow::Result<Self> {
        let (id, program) = match text.split_once('@') {
            Some((id, program)) => (id, Some(program)),
            None => (text, None),
        };
        let (name, repeat) = match id.split_once('#') {
            Some((name, _)) => (name, true),
            None => (id, false),
        };
        let (runner, label) = match name.split_once(':') {
            Some((runner, label)) => (runner, Some(label)),
            None => (name, None),
        };
        if label.is_none() && program.is_some() {
            bail!("`{text}`: give another program a label, like `{runner}:old@PATH`");
        }
        let folder = peers_folder.join(runner);
        let path = folder.join("peer.toml");
        let read = std::fs::read_to_string(&path)
            .with_context(|| format!("no peer `{runner}`: cannot read {}", path.display()))?;
        let description: Description =
            toml::from_str(&read).with_context(|| path.display().to_string())?;
        // Another build is a peer. The same once more is a control where it is the subject, and
        // one more of its kind where it is not.
        let role = match (label, description.role, repeat) {
            (Some(_), _, _) => Role::Peer,
            (None, Role::Subject, true) => Role::Same,
            (None, role, _) => role,
        };
        let program = match program {
            Some(path) => Some(std::fs::canonicalize(path).with_context(|| format!("`{text}`"))?),
            None => find_program(&description.program),
        };
        Ok(Self {
            id: id.to_owned(),
            runner: runner.to_owned(),
            role,
            program,
            folder,
            description,
        })
    }

    /// How to get its program.
    #[must_use]
    pub fn install(&self) -> &str {
        &self.description.install
    }

    /// The first line that its version command prints.
    #[must_use]
    pub fn version(&self) -> Option<String> {
        let output = Command::new(self.program.as_ref()?)
            .args(&self.description.version)
            .stdin(Stdio::null())
            .output()
            .ok()?;
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8_lossy(&text);
        let line = text.lines().map(str::trim).find(|line| !line.is_empty())?;
        Some(line.to_owned())
    }

    /// SHA-256 of its program.
    #[must_use]
    pub fn program_sha256(&self) -> Option<String> {
        let bytes = std::fs::read(self.program.as_ref()?).ok()?;
        let digest = Sha256::digest(bytes);
        Some(digest.iter().map(|byte| format!("{byte:02x}")).collect())
    }

    /// Why it cannot do what a scenario asks, in the words of its folder.
    ///
    /// # Errors
    /// When a condition in `peer.toml` is no expression.
    pub fn cannot(&self, parameters: &Parameters) -> anyhow::Result<Option<String>> {
        let environment = Environment::new();
        for cannot in &self.description.cannot {
            let expression = environment
                .compile_expression(&cannot.when)
                .with_context(|| format!("{}: `{}`", self.runner, cannot.when))?;
            let holds = expression.eval(Value::from_serialize(parameters));
            if holds.with_context(|| self.runner.clone())?.is_true() {
                return Ok(Some(cannot.reason.clone()));
            }
        }
        Ok(None)
    }

    /// Renders its files into `place`; starts nothing.
    ///
    /// # Errors
    /// When a template is wrong or a file cannot be written.
    pub fn prepare(&self, parameters: &Parameters, place: &Place) -> anyhow::Result<Prepared> {
        let named = PathBuf::from(&self.description.program);
        let program = self.program.as_ref().unwrap_or(&named);
        let context = Context::new(parameters, place, program)?;
        let mut config = Vec::new();
        for name in &self.description.files {
            let path = self.folder.join(name);
            let template = std::fs::read_to_string(&path)
                .with_context(|| format!("cannot read {}", path.display()))?;
            let text = context
                .render(&template)
                .with_context(|| format!("template {name}"))?;
            std::fs::write(place.folder.join(name), &text)?;
            config.push(cut(name, &text));
        }
        let render_all = |words: &[String]| -> anyhow::Result<Vec<String>> {
            let rendered: anyhow::Result<Vec<String>> =
                words.iter().map(|word| context.render(word)).collect();
            // A word that is empty in this scenario is left out.
            Ok(rendered?
                .into_iter()
                .filter(|word| !word.is_empty())
                .collect())
        };
        let before: anyhow::Result<Vec<Vec<String>>> = self
            .description
            .prepare
            .iter()
            .map(|words| render_all(words))
            .collect();
        let mut command = Vec::new();
        if !self.description.environment.is_empty() {
            command.push("env".to_owned());
            for (name, value) in &self.description.environment {
                command.push(format!("{name}={}", context.render(value)?));
            }
        }
        command.push(program.display().to_string());
        command.extend(render_all(&self.description.start)?);
        let reload = match &self.description.reload {
            None => None,
            Some(ReloadText::Signal(name)) => Some(Reload::Signal(signal_named(name)?)),
            Some(ReloadText::Command(words)) => Some(Reload::Command(render_all(words)?)),
        };
        Ok(Prepared {
            before: before?,
            command,
            config,
            reload,
            reloaded: self.description.reloaded.clone(),
            stop: signal_named(&self.description.stop)?,
        })
    }
}

/// What templates see.
struct Context {
    environment: Environment<'static>,
    values: Value,
}

impl Context {
    fn new(parameters: &Parameters, place: &Place, program: &Path) -> anyhow::Result<Self> {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_keep_trailing_newline(true);
        environment.set_trim_blocks(true);
        environment.set_lstrip_blocks(true);
        let rules: Vec<Rule> = job::rules(parameters);
        let operations: Vec<Operation> = job::operations(parameters)
            .into_iter()
            .map(|(name, value)| Operation { name, value })
            .collect();
        let loadgen = std::env::current_exe()?;
        let own = context! {
            dir => place.folder.display().to_string(),
            program => program.display().to_string(),
            loadgen => loadgen.display().to_string(),
            port => place.port,
            spare_port => place.spare_port,
            upstream_port => place.upstream_port,
            rule_list => Value::from_serialize(&rules),
            header_operations => Value::from_serialize(&operations),
            preflight_method => job::PREFLIGHT_METHOD,
            preflight_header => job::PREFLIGHT_HEADER,
            stale_seconds => job::STALE_SECONDS,
        };
        let values = context! { ..own, ..Value::from_serialize(parameters) };
        Ok(Self {
            environment,
            values,
        })
    }

    fn render(&self, template: &str) -> anyhow::Result<String> {
        Ok(self.environment.render_str(template, &self.values)?)
    }
}

#[derive(Serialize)]
struct Operation {
    name: String,
    value: String,
}

/// Runs one of [`Prepared::before`].
///
/// # Errors
/// When it cannot be run or says that it failed; with what it printed.
pub fn run_before(command: &[String], folder: &Path) -> anyhow::Result<()> {
    let (program, arguments) = command.split_first().context("an empty command")?;
    let output = Command::new(program)
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot run {program}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        bail!("`{}` failed: {}", command.join(" "), said.trim());
    }
    Ok(())
}

fn signal_named(name: &str) -> anyhow::Result<Signal> {
    Ok(match name {
        "TERM" => Signal::TERM,
        "INT" => Signal::INT,
        "QUIT" => Signal::QUIT,
        "HUP" => Signal::HUP,
        "USR1" => Signal::USR1,
        "USR2" => Signal::USR2,
        other => bail!("`{other}` is no signal of a peer; TERM, INT, QUIT, HUP, USR1 or USR2"),
    })
}

/// Beside this program first, so that a suite measures what was built with it. A script that looks
/// for the program is taken only where the program itself is not found: its digest says nothing.
fn find_program(name: &str) -> Option<PathBuf> {
    let own = std::env::current_exe().ok();
    let own = own.as_deref().and_then(Path::parent).map(Path::to_owned);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found: Vec<PathBuf> = own
        .into_iter()
        .chain(std::env::split_paths(&path))
        .chain(PROGRAM_FOLDERS.map(PathBuf::from))
        .map(|folder| folder.join(name))
        .filter(|path| path.is_file())
        .collect();
    let program = found.iter().find(|path| !is_script(path));
    program.or(found.first()).cloned()
}

fn is_script(path: &Path) -> bool {
    let mut begin = [0; 2];
    let read = std::fs::File::open(path).and_then(|mut file| file.read_exact(&mut begin));
    read.is_ok() && begin == *b"#!"
}

/// A configuration file for the record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigText {
    /// Its name in the peer's folder.
    pub name: String,
    /// Its text, cut in the middle when it is long.
    pub text: String,
    /// Lines cut out.
    pub lines_cut: usize,
}

/// A long text without its middle: 100,000 rules say no more than the first and last of them.
fn cut(name: &str, text: &str) -> ConfigText {
    let lines: Vec<&str> = text.lines().collect();
    let lines_cut = lines.len().saturating_sub(2 * LINES_KEPT);
    let mut kept: Vec<String> = lines.iter().map(|line| cut_line(line)).collect();
    if lines_cut > 0 {
        let middle = LINES_KEPT..LINES_KEPT + lines_cut;
        kept.splice(middle, [format!("[… {lines_cut} lines …]")]);
    }
    ConfigText {
        name: name.to_owned(),
        text: kept.join("\n") + "\n",
        lines_cut,
    }
}

fn cut_line(line: &str) -> String {
    let is_end = |at: &usize| line.is_char_boundary(*at);
    let head = (0..=LINE_BYTES_KEPT.min(line.len())).rev().find(is_end);
    let tail = (line.len().saturating_sub(LINE_BYTES_KEPT)..=line.len()).find(is_end);
    match (head, tail) {
        (Some(head), Some(tail)) if head < tail => format!(
            "{}[… {} bytes …]{}",
            &line[..head],
            tail - head,
            &line[tail..]
        ),
        _ => line.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_are_cut_in_the_middle() {
        let check = |text: &str, expected: &str, lines_cut: usize| {
            let file = cut("f", text);
            assert_eq!((&*file.text, file.lines_cut), (expected, lines_cut));
        };
        check("", "\n", 0);
        check("a\nb\n", "a\nb\n", 0);
        let lines: String = (0..2 * LINES_KEPT + 3).map(|n| format!("{n}\n")).collect();
        let kept: String = (0..LINES_KEPT).map(|n| format!("{n}\n")).collect();
        let last: String = (LINES_KEPT + 3..2 * LINES_KEPT + 3)
            .map(|n| format!("{n}\n"))
            .collect();
        check(&lines, &format!("{kept}[… 3 lines …]\n{last}"), 3);
        // An ä on each side of both cuts.
        let line = "ä".repeat(LINE_BYTES_KEPT);
        let half = "ä".repeat(LINE_BYTES_KEPT / 2);
        check(&line, &format!("{line}\n"), 0);
        let long = format!("{line}x{line}");
        let cut_out = 2 * LINE_BYTES_KEPT + 1;
        check(&long, &format!("{half}[… {cut_out} bytes …]{half}\n"), 0);
    }

    #[test]
    fn what_differs_between_trials_has_a_name() {
        let place = Place {
            folder: PathBuf::from("/scratch/peer-1"),
            port: 40_000,
            spare_port: 40_001,
            upstream_port: 4000,
        };
        let check = |text: &str, expected: &str| {
            let program = Path::new("/opt/here/nginx");
            assert_eq!(place.named(text, Some(program)), expected);
        };
        check(
            "/opt/here/nginx -c /scratch/peer-1/nginx.conf",
            "nginx -c DIR/nginx.conf",
        );
        check("listen 127.0.0.1:40000;", "listen 127.0.0.1:PORT;");
        check("a=\"40001\" b=4000", "a=\"SPARE_PORT\" b=UPSTREAM_PORT");
        check(
            "tenant-40000.example.com 140000 40000.5",
            "tenant-40000.example.com 140000 40000.5",
        );
    }
}
