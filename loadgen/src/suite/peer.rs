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

use super::artefact::{ConfigFile, Parameters, Role};
use super::job::{self, Rule};

/// Folders of programs that are not always in PATH.
const PROGRAM_FOLDERS: [&str; 4] = ["/usr/sbin", "/usr/local/sbin", "/usr/local/bin", "/sbin"];

/// Lines of a configuration kept at its beginning and at its end.
const LINES_KEPT: usize = 60;

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

/// A peer's files and commands for one scenario.
#[derive(Debug)]
pub struct Prepared {
    /// What is run before the start, each to its end.
    pub before: Vec<Vec<String>>,
    /// What starts it: program and arguments.
    pub command: Vec<String>,
    /// What it was given, for the record.
    pub config: Vec<ConfigFile>,
    /// How it reads its rules again; `None` when it cannot.
    pub reload: Option<Reload>,
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
        let role = match (repeat, label) {
            (true, _) => Role::Same,
            (false, Some(_)) => Role::Peer,
            (false, None) => description.role,
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

/// A long text without its middle: 100,000 rules say no more than the first and last of them.
fn cut(name: &str, text: &str) -> ConfigFile {
    let lines: Vec<&str> = text.lines().collect();
    let lines_cut = lines.len().saturating_sub(2 * LINES_KEPT);
    let text = if lines_cut == 0 {
        text.to_owned()
    } else {
        let (head, tail) = (&lines[..LINES_KEPT], &lines[lines.len() - LINES_KEPT..]);
        format!(
            "{}\n[… {lines_cut} lines …]\n{}\n",
            head.join("\n"),
            tail.join("\n")
        )
    };
    // Some peers want their whole list in one line.
    let text = if text.len() > 64 * 1024 {
        let end = (0..=16 * 1024)
            .rev()
            .find(|at| text.is_char_boundary(*at))
            .unwrap_or(0);
        format!("{}\n[… {} bytes …]\n", &text[..end], text.len() - end)
    } else {
        text
    };
    ConfigFile {
        name: name.to_owned(),
        text,
        lines_cut,
    }
}
