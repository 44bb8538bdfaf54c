//! Where a configuration comes from, so that a reload reads the same one again: a file, or the
//! embedded demo.

use std::fs::File;
use std::io::{self, Read as _};
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use corsair_config::{
    CONFIG_BYTES_MAX, Checked, Code, Diagnostic, FileError, FileSource, PlanPlaces, check_with,
};

use rustix::fs::OFlags;

use crate::demo;
use crate::list_files::{ListFiles, Stamp};

/// The text to read, again for each reload.
#[derive(Debug, Clone)]
pub(crate) enum ConfigSource {
    /// A file on disk.
    File(PathBuf),
    /// The demo's, with its built-in upstream at this address.
    Demo(SocketAddr),
}

impl ConfigSource {
    /// The name shown to people and in diagnostics.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::File(path) => path.display().to_string(),
            Self::Demo(_) => "the embedded demo".to_owned(),
        }
    }

    /// Reads and checks; a file that cannot be read is a diagnostic like any other.
    pub(crate) fn load(&self, set: &[String]) -> Checked {
        self.load_with(&self.text(), set, &ListFiles::default())
    }

    /// The text of the configuration itself, read anew.
    pub(crate) fn text(&self) -> Result<String, FileError> {
        match self {
            Self::Demo(_) => Ok(demo::CONFIG.to_owned()),
            Self::File(path) => read_text(path, CONFIG_BYTES_MAX),
        }
    }

    /// Checks a text of this source, and notes in `lists` what else was read.
    pub(crate) fn load_with(
        &self,
        text: &Result<String, FileError>,
        set: &[String],
        lists: &ListFiles,
    ) -> Checked {
        let set = set.iter().map(String::as_str);
        match self {
            Self::Demo(upstream) => {
                let to_built_in = format!("upstream.0.servers=[\"http://{upstream}\"]");
                let all: Vec<&str> = std::iter::once(to_built_in.as_str()).chain(set).collect();
                let nowhere = Directory::new(PathBuf::new(), lists);
                check_with("demo.toml", demo::CONFIG, &all, &nowhere)
            }
            Self::File(path) => {
                let name = self.name();
                match text {
                    Ok(text) => {
                        let base = path.parent().unwrap_or(Path::new("")).to_owned();
                        let beside = Directory::new(base, lists);
                        check_with(&name, text, &set.collect::<Vec<_>>(), &beside)
                    }
                    Err(error) => Checked {
                        plan: None,
                        diagnostics: vec![unreadable(name, error)],
                        places: PlanPlaces::default(),
                    },
                }
            }
        }
    }
}

fn unreadable(file: String, error: &FileError) -> Diagnostic {
    let unreadable = Code::Unreadable;
    let (code, message, remedy) = match error {
        FileError::NotFound => (
            unreadable,
            "there is no such file".to_owned(),
            "check the path",
        ),
        FileError::TooLarge => (
            Code::TooLarge,
            format!("the file has more than {} MiB", CONFIG_BYTES_MAX >> 20),
            "move long lists of origins to an origins_file",
        ),
        FileError::Directory => (
            unreadable,
            "this is a directory".to_owned(),
            "name the configuration file in it",
        ),
        FileError::NotText { line } => (
            unreadable,
            format!("the file is not UTF-8 text: line {line} has bytes that are none"),
            "save it as UTF-8",
        ),
        FileError::Other(why) => (
            unreadable,
            format!("the file cannot be read: {why}"),
            "check its permissions",
        ),
    };
    Diagnostic {
        code: code.as_str(),
        severity: code.severity(),
        file,
        line: 1,
        column: 1,
        message,
        remedy: remedy.to_owned(),
        snippet: None,
    }
}

/// Files that a configuration names, relative to the directory of the configuration itself.
struct Directory<'l> {
    base: PathBuf,
    lists: &'l ListFiles,
}

impl<'l> Directory<'l> {
    fn new(base: PathBuf, lists: &'l ListFiles) -> Self {
        Self { base, lists }
    }
}

impl FileSource for Directory<'_> {
    fn read(&self, path: &str, bytes_max: usize) -> Result<String, FileError> {
        let path = self.base.join(path);
        let read = read_list(&path, bytes_max);
        let stamp = match &read {
            Ok((_, stamp)) => Some(*stamp),
            // Whatever is the matter with it: it is as it is now until it changes.
            Err(_) => Stamp::of_path(&path),
        };
        self.lists.note(path, stamp);
        read.map(|(text, _)| text)
    }

    fn host_name(&self) -> Option<String> {
        rustix::system::uname()
            .nodename()
            .to_str()
            .ok()
            .map(str::to_owned)
    }
}

/// The text of a file of at most so many bytes; a pipe will do.
pub(crate) fn read_text(path: &Path, bytes_max: usize) -> Result<String, FileError> {
    let file = File::open(path).map_err(|error| file_error(&error))?;
    read_bounded(file, bytes_max)
}

/// The text of a regular file, which is read again for each reload, and what the file was before it
/// was read: a change while reading is a change.
fn read_list(path: &Path, bytes_max: usize) -> Result<(String, Stamp), FileError> {
    let mut options = File::options();
    // Without it, opening a FIFO waits for somebody to write.
    let no_wait = OFlags::NONBLOCK.bits().cast_signed();
    let file = options.read(true).custom_flags(no_wait).open(path);
    let file = file.map_err(|error| file_error(&error))?;
    let metadata = file.metadata().map_err(|error| file_error(&error))?;
    if metadata.is_dir() {
        return Err(FileError::Directory);
    }
    if !metadata.is_file() {
        return Err(FileError::Other("it is not a regular file".to_owned()));
    }
    let text = read_bounded(file, bytes_max)?;
    Ok((text, Stamp::of(&metadata)))
}

/// The text on standard input, of at most so many bytes.
pub(crate) fn read_input(bytes_max: usize) -> Result<String, FileError> {
    read_bounded(io::stdin().lock(), bytes_max)
}

fn file_error(error: &io::Error) -> FileError {
    match error.kind() {
        io::ErrorKind::NotFound => FileError::NotFound,
        io::ErrorKind::IsADirectory => FileError::Directory,
        _ => FileError::Other(error.to_string()),
    }
}

fn read_bounded(input: impl io::Read, bytes_max: usize) -> Result<String, FileError> {
    let mut bytes = Vec::new();
    // One byte more than allowed tells a long file from one that just fits, and ends endless ones.
    let limit = bytes_max as u64 + 1;
    input
        .take(limit)
        .read_to_end(&mut bytes)
        .map_err(|error| file_error(&error))?;
    if bytes.len() > bytes_max {
        return Err(FileError::TooLarge);
    }
    FileError::text_of(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file of these bytes in a directory of its own, which goes with it.
    struct Scratch(PathBuf);

    impl Scratch {
        fn new(name: &str, bytes: &[u8]) -> Self {
            let directory =
                std::env::temp_dir().join(format!("corsair-{}-{name}", std::process::id()));
            std::fs::create_dir_all(&directory).unwrap();
            std::fs::write(directory.join(name), bytes).unwrap();
            Self(directory)
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            std::fs::remove_dir_all(&self.0).unwrap();
        }
    }

    #[test]
    fn files_are_read_up_to_the_bound_and_not_past_it() {
        let scratch = Scratch::new("bound", b"12345678");
        let lists = ListFiles::default();
        let source = Directory::new(scratch.0.clone(), &lists);
        assert_eq!(source.read("bound", 8).as_deref(), Ok("12345678"));
        assert_eq!(source.read("bound", 7), Err(FileError::TooLarge));
        assert_eq!(source.read("absent", 7), Err(FileError::NotFound));
        let irregular = Err(FileError::Other("it is not a regular file".to_owned()));
        assert_eq!(source.read("/dev/zero", 7), irregular);
        assert_eq!(source.read(".", 7), Err(FileError::Directory));
        // Nobody writes to it: a check that waited for one would never end.
        let made = std::process::Command::new("mkfifo")
            .arg(scratch.0.join("fifo"))
            .status();
        assert!(made.unwrap().success());
        assert_eq!(source.read("fifo", 7), irregular);
        let endless = read_text(Path::new("/dev/zero"), 7);
        assert_eq!(endless, Err(FileError::TooLarge));
    }

    #[test]
    fn text_is_utf8() {
        let scratch = Scratch::new("latin", b"a\ncaf\xe9");
        assert_eq!(
            Directory::new(scratch.0.clone(), &ListFiles::default()).read("latin", 99),
            Err(FileError::NotText { line: 2 })
        );
    }

    #[test]
    fn an_absent_configuration_is_a_diagnostic() {
        let checked = ConfigSource::File("no/such/file.toml".into()).load(&[]);
        assert!(checked.plan.is_none());
        let told = checked.diagnostics[0].to_string();
        assert!(
            told.starts_with("no/such/file.toml:1:1: error[E004]: there is no such"),
            "{told}"
        );
    }

    #[test]
    fn what_is_no_configuration_is_told_as_what_it_is() {
        let long = Scratch::new("long", &vec![b'#'; CONFIG_BYTES_MAX + 1]);
        let rows = [
            (long.0.clone(), "error[E004]: this is a directory"),
            (
                long.0.join("long"),
                "error[E003]: the file has more than 16 MiB",
            ),
        ];
        for (path, expected) in rows {
            let checked = ConfigSource::File(path).load(&[]);
            let told = checked.diagnostics[0].to_string();
            assert!(told.contains(expected), "{told}");
        }
    }

    #[test]
    fn the_demo_is_clean_and_points_at_its_own_upstream() {
        let upstream = "127.0.0.1:4321".parse().unwrap();
        let checked = ConfigSource::Demo(upstream).load(&["node.workers=1".to_owned()]);
        assert_eq!(checked.diagnostics, []);
        let plan = checked.plan.unwrap();
        assert_eq!(
            (plan.upstreams[0].host.as_str(), plan.upstreams[0].port),
            ("127.0.0.1", 4321)
        );
        assert_eq!(plan.node.workers, Some(1));
        assert_eq!(plan.listeners[0].address.to_string(), "127.0.0.1:8080");
        assert_eq!(plan.admin.listen.to_string(), "127.0.0.1:9180");
    }
}
