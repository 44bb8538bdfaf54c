//! The real `corsair` binary: built once, started with a configuration of its own on port 0, ended
//! by SIGTERM to its process id.
//!
//! `CORSAIR_TEST_DRIVER` (`io_uring`, the default, or `epoll`) chooses the driver of every node, so
//! that the whole suite runs on both. `CORSAIR_TEST_BIN` names a finished binary to test instead.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, OnceLock, PoisonError};
use std::thread::{self, JoinHandle};

use super::client::{Ask, Client};
use super::pace::{PATIENCE, within};
use super::upstream::Upstream;

/// The driver this run tests.
pub(crate) fn driver() -> String {
    std::env::var("CORSAIR_TEST_DRIVER").unwrap_or_else(|_| "io_uring".to_owned())
}

/// The workspace this test was built in.
pub(crate) fn workspace() -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests
        .parent()
        .expect("tests/ lies in the workspace")
        .to_owned()
}

/// The binary under test, built beside this test: `cargo test` itself builds binaries only for
/// the integration tests of their own package. Features are those of the whole workspace, so
/// nothing is compiled twice. Under nextest each test is a process; a file named after the run
/// lets all but the first skip the question.
pub(crate) fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        if let Ok(binary) = std::env::var("CORSAIR_TEST_BIN") {
            return PathBuf::from(binary);
        }
        let this = std::env::current_exe().expect("a running test knows its path");
        let profile_dir = this
            .parent()
            .and_then(Path::parent)
            .expect("TARGET/PROFILE/deps/it");
        let binary = profile_dir.join("corsair");
        let stamp = std::env::var("NEXTEST_RUN_ID").ok().map(|run| {
            Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("corsair-built-for-{run}"))
        });
        if stamp.as_ref().is_some_and(|stamp| stamp.exists()) {
            return binary;
        }
        let profile = match profile_dir.file_name().and_then(|name| name.to_str()) {
            Some("debug") => "dev",
            Some(other) => other,
            None => panic!("no profile in {}", profile_dir.display()),
        };
        let target_dir = profile_dir
            .parent()
            .expect("a profile lies in a target directory");
        let output = Command::new(env!("CARGO"))
            .args([
                "build",
                "--quiet",
                "--workspace",
                "--bin",
                "corsair",
                "--profile",
                profile,
            ])
            .arg("--target-dir")
            .arg(target_dir)
            .current_dir(workspace())
            .stdin(Stdio::null())
            .output()
            .expect("cargo runs");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "corsair does not build:\n{said}");
        if let Some(stamp) = stamp {
            fs::write(stamp, "").expect("the target directory is writable");
        }
        binary
    })
}

/// A directory that goes away with the test.
pub(crate) struct Scratch(pub(crate) PathBuf);

impl Scratch {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let name = format!(
            "{}-{}",
            std::process::id(),
            NEXT.fetch_add(1, Ordering::Relaxed)
        );
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::create_dir_all(&path).expect("the target directory is writable");
        Self(path)
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, text).expect("the scratch directory is writable");
        path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What cannot be removed lies in the target directory, which `cargo clean` removes.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A configuration as text, in the pieces that scenarios vary.
#[derive(Clone)]
pub(crate) struct NodeConfig {
    upstream: String,
    node: String,
    limits: String,
    memory: String,
    upstream_keys: String,
    site: String,
    rest: String,
    files: Vec<(String, String)>,
    nofile: Option<u64>,
    whole: Option<String>,
}

impl NodeConfig {
    /// One site for every host before this upstream; a plain cache without CORS.
    pub(crate) fn before(upstream: &Upstream) -> Self {
        Self::before_address(&upstream.address().to_string())
    }

    pub(crate) fn before_address(upstream: &str) -> Self {
        Self {
            upstream: upstream.to_owned(),
            node: "drain_timeout = \"2s\"\n".to_owned(),
            limits: String::new(),
            memory: "64MiB".to_owned(),
            upstream_keys: String::new(),
            site: String::new(),
            rest: String::new(),
            files: Vec::new(),
            nofile: None,
            whole: None,
        }
    }

    /// A file written by hand; the pieces below change nothing then.
    pub(crate) fn from_text(text: &str) -> Self {
        Self {
            whole: Some(text.to_owned()),
            ..Self::before_address("127.0.0.1:9")
        }
    }

    /// Replaces the keys of `[node]` (workers default to 2, the driver to the run's).
    pub(crate) fn node(mut self, keys: &str) -> Self {
        keys.clone_into(&mut self.node);
        self
    }

    pub(crate) fn limits(mut self, keys: &str) -> Self {
        keys.clone_into(&mut self.limits);
        self
    }

    pub(crate) fn memory(mut self, size: &str) -> Self {
        size.clone_into(&mut self.memory);
        self
    }

    pub(crate) fn upstream_keys(mut self, keys: &str) -> Self {
        keys.clone_into(&mut self.upstream_keys);
        self
    }

    /// What follows `[[site]] hosts = ["*"]`: tables `[site.…]`.
    pub(crate) fn site(mut self, tables: &str) -> Self {
        tables.clone_into(&mut self.site);
        self
    }

    /// Whole further tables, such as another `[[site]]`.
    pub(crate) fn rest(mut self, tables: &str) -> Self {
        tables.clone_into(&mut self.rest);
        self
    }

    /// A further file in the configuration's directory.
    pub(crate) fn beside(mut self, name: &str, text: &str) -> Self {
        self.files.push((name.to_owned(), text.to_owned()));
        self
    }

    /// Starts the node with this many file descriptors at most.
    pub(crate) fn nofile(mut self, limit: u64) -> Self {
        self.nofile = Some(limit);
        self
    }

    pub(crate) fn text(&self) -> String {
        if let Some(whole) = &self.whole {
            return whole.clone();
        }
        let workers = if self.node.contains("workers") {
            ""
        } else {
            "workers = 2\n"
        };
        let driver = driver();
        format!(
            "[node]\nname = \"edge-1\"\ndriver = \"{driver}\"\n{workers}{node}\n\
             [admin]\nlisten = \"127.0.0.1:0\"\n\n\
             [[listener]]\naddress = \"127.0.0.1:0\"\n\n\
             [limits]\n{limits}\n\n\
             [cache]\nmemory = \"{memory}\"\n\n\
             [[upstream]]\nname = \"u\"\nservers = [\"http://{upstream}\"]\n{upstream_keys}\n\n\
             {rest}\n\
             [[site]]\nhosts = [\"*\"]\nupstream = \"u\"\n\n{site}\n",
            node = self.node,
            limits = self.limits,
            memory = self.memory,
            upstream = self.upstream,
            upstream_keys = self.upstream_keys,
            rest = self.rest,
            site = self.site,
        )
    }

    #[track_caller]
    pub(crate) fn start(&self) -> Node {
        let scratch = Scratch::new();
        let file = scratch.write("corsair.toml", &self.text());
        for (name, text) in &self.files {
            scratch.write(name, text);
        }
        let mut command = Command::new(binary());
        command.arg("run").arg("-c").arg(&file);
        if let Some(limit) = self.nofile {
            let mut limited = Command::new("prlimit");
            limited
                .arg(format!("--nofile={limit}:{limit}"))
                .arg(binary());
            limited.arg("run").arg("-c").arg(&file);
            command = limited;
        }
        let mut node = Node::spawn(command);
        node.config_file = Some(file);
        node.scratch = Some(scratch);
        node
    }
}

#[derive(Default)]
struct Talk {
    lines: Vec<String>,
    ended: bool,
}

type SharedTalk = Arc<(Mutex<Talk>, Condvar)>;

/// A running node.
pub(crate) struct Node {
    child: Child,
    talk: SharedTalk,
    listeners: Vec<JoinHandle<()>>,
    printed: Arc<Mutex<Vec<u8>>>,
    address: SocketAddr,
    admin: SocketAddr,
    config_file: Option<PathBuf>,
    scratch: Option<Scratch>,
    status: Option<ExitStatus>,
    /// Signals that the test or the end of the test sent.
    sent: Mutex<Vec<i32>>,
}

/// Whether this text tells of a panic, in the words of the binary's own hook or in those of the
/// standard one, which speaks for a panic before the first is installed.
pub(crate) fn tells_of_a_panic(text: &str) -> bool {
    text.contains("internal error in ") || text.contains("panicked")
}

/// What is wrong with the way a node ended: a panic of any thread, or a death by a signal that
/// nobody sent (SIGABRT is an abort or a panic within a panic).
pub(crate) fn bad_end(talk: &[String], status: Option<ExitStatus>, sent: &[i32]) -> Option<String> {
    if talk.iter().any(|line| tells_of_a_panic(line)) {
        return Some("the node panicked".to_owned());
    }
    let signal = status?.signal()?;
    (!sent.contains(&signal)).then(|| format!("the node died by signal {signal}"))
}

impl Node {
    /// One site before this upstream, nothing else.
    #[track_caller]
    pub(crate) fn before(upstream: &Upstream) -> Self {
        NodeConfig::before(upstream).start()
    }

    /// Starts a command that runs a node, and waits for its two addresses.
    #[track_caller]
    pub(crate) fn spawn(mut command: Command) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let talk = SharedTalk::default();
        let stderr = child.stderr.take().expect("stderr is piped");
        let stdout = child.stdout.take().expect("stdout is piped");
        let printed = Arc::new(Mutex::new(Vec::new()));
        let listeners = vec![
            thread::spawn({
                let talk = Arc::clone(&talk);
                move || listen(stderr, &talk)
            }),
            thread::spawn({
                let printed = Arc::clone(&printed);
                move || keep(stdout, &printed)
            }),
        ];
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut node = Self {
            child,
            talk,
            listeners,
            printed,
            address: nowhere,
            admin: nowhere,
            config_file: None,
            scratch: None,
            status: None,
            sent: Mutex::default(),
        };
        node.address = node.address_after("listening on ");
        node.admin = node.address_after("admin on http://");
        node
    }

    #[track_caller]
    fn address_after(&self, prefix: &str) -> SocketAddr {
        let line = self.said(prefix);
        let (_, rest) = line
            .split_once(prefix)
            .expect("the line was found by this prefix");
        let end = rest.find(|c: char| !c.is_ascii_digit() && !".:[]".contains(c));
        let text = rest[..end.unwrap_or(rest.len())].trim_end_matches('.');
        text.parse()
            .unwrap_or_else(|error| panic!("{line:?}: {error}"))
    }

    /// The first line of stderr that holds this text, waiting for it.
    #[track_caller]
    pub(crate) fn said(&self, text: &str) -> String {
        self.said_after(0, text)
    }

    /// [`Node::said`] among the lines after the first `skip`.
    #[track_caller]
    pub(crate) fn said_after(&self, skip: usize, text: &str) -> String {
        let (talk, changed) = &*self.talk;
        let find = |talk: &Talk| {
            talk.lines
                .iter()
                .skip(skip)
                .find(|l| l.contains(text))
                .cloned()
        };
        let guard = talk.lock().unwrap_or_else(PoisonError::into_inner);
        let (guard, _) = changed
            .wait_timeout_while(guard, PATIENCE, |talk| find(talk).is_none() && !talk.ended)
            .unwrap_or_else(PoisonError::into_inner);
        let found = find(&guard);
        let lines = guard.lines.join("\n");
        drop(guard);
        found.unwrap_or_else(|| panic!("the node never said {text:?}; it said:\n{lines}"))
    }

    /// Everything on stderr so far.
    pub(crate) fn talk(&self) -> Vec<String> {
        self.talk
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .lines
            .clone()
    }

    /// Everything on stdout so far.
    pub(crate) fn printed(&self) -> String {
        let bytes = self
            .printed
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn client(&self) -> Client {
        Client::connect(self.address)
    }

    /// A GET on a connection of its own.
    pub(crate) fn get(&self, target: &str) -> Ask<'static> {
        Ask::alone(self.address, "GET", target)
    }

    pub(crate) fn ask(&self, method: &str, target: &str) -> Ask<'static> {
        Ask::alone(self.address, method, target)
    }

    pub(crate) fn admin(&self, method: &str, target: &str) -> Ask<'static> {
        Ask::alone(self.admin, method, target)
    }

    /// Replaces the configuration file; the node does not know yet.
    pub(crate) fn rewrite(&self, text: &str) {
        let file = self
            .config_file
            .as_ref()
            .expect("a node started from a file");
        fs::write(file, text).expect("the scratch directory is writable");
    }

    /// Replaces a file in the configuration's directory as editors and deployments do: at once.
    pub(crate) fn rewrite_beside(&self, name: &str, text: &str) {
        let scratch = self.scratch.as_ref().expect("a node started from a file");
        let new = scratch.write("being-written", text);
        fs::rename(new, scratch.0.join(name)).expect("the scratch directory is writable");
    }

    /// Sends a signal to this process and no other.
    pub(crate) fn signal(&self, signal: i32) {
        let pid = i32::try_from(self.pid()).expect("process ids are small");
        self.sent
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(signal);
        // SAFETY: kill takes two integers and touches no memory of ours.
        let result = unsafe { libc::kill(pid, signal) };
        assert_eq!(
            result,
            0,
            "the node is gone: {}",
            std::io::Error::last_os_error()
        );
    }

    /// Rewrites the configuration, sends SIGHUP and waits until the node says what came of it.
    #[track_caller]
    pub(crate) fn reload(&self, text: &str, answer: &str) -> String {
        let before = self.talk().len();
        self.rewrite(text);
        self.signal(libc::SIGHUP);
        // What the admin API was told earlier may be printed only now.
        self.said_after(before, "(SIGHUP): ");
        self.said_after(before, answer)
    }

    /// Waits for the process to end.
    #[track_caller]
    pub(crate) fn wait_exit(&mut self) -> ExitStatus {
        let status = within(PATIENCE, "the node ends", || {
            self.child.try_wait().expect("our own child")
        });
        self.ended(status);
        status
    }

    /// Keeps how the process ended, and hears the rest of what it said.
    fn ended(&mut self, status: ExitStatus) {
        self.status = Some(status);
        for listener in self.listeners.drain(..) {
            // A listener that panicked has printed why.
            let _ = listener.join();
        }
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("our own child").is_none()
    }

    /// Ends what still runs; returns what went wrong with that.
    fn end(&mut self) -> Option<String> {
        if self.is_running() {
            self.signal(libc::SIGTERM);
            let deadline = std::time::Instant::now() + PATIENCE;
            while self.is_running() && std::time::Instant::now() < deadline {
                super::pause(std::time::Duration::from_millis(5));
            }
        }
        match self.child.try_wait().expect("our own child") {
            Some(status) => {
                self.ended(status);
                None
            }
            None => {
                // The process is ours and did not end by itself; nothing better is left.
                let _ = self.child.kill();
                let _ = self.child.wait();
                Some(format!(
                    "the node did not end within {PATIENCE:?} of SIGTERM"
                ))
            }
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let late = match self.status {
            Some(_) => None,
            None => self.end(),
        };
        let talk = self.talk();
        if thread::panicking() {
            let talk = talk.join("\n  ");
            let _ = std::io::Write::write_all(
                &mut std::io::stderr(),
                format!("the node said:\n  {talk}\n").as_bytes(),
            );
            return;
        }
        let sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
        let wrong = late.or_else(|| bad_end(&talk, self.status, &sent));
        drop(sent);
        if let Some(wrong) = wrong {
            panic!("{wrong}; it said:\n{}", talk.join("\n"));
        }
    }
}

fn listen(stderr: impl Read, talk: &SharedTalk) {
    let (lines, changed) = &**talk;
    for line in BufReader::new(stderr).lines() {
        let Ok(line) = line else { break };
        lines
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .lines
            .push(line);
        changed.notify_all();
    }
    lines.lock().unwrap_or_else(PoisonError::into_inner).ended = true;
    changed.notify_all();
}

fn keep(mut stdout: impl Read, printed: &Mutex<Vec<u8>>) {
    let mut piece = [0; 4096];
    while let Ok(read @ 1..) = stdout.read(&mut piece) {
        printed
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .extend_from_slice(&piece[..read]);
    }
}
