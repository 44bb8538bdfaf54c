//! The files that a configuration names: what each was when it was read, and whether it has changed
//! since. A reload for them alone leaves the configuration as it was last applied, so that nothing
//! half-edited takes effect because a list beside it changed.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use corsair_config::Checked;

use crate::config_source::ConfigSource;

/// What tells one state of a file from another without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    /// A change that keeps size and modification time changes this.
    changed: (i64, i64),
}

impl Stamp {
    pub(crate) fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }

    /// `None` while there is no such file.
    pub(crate) fn of_path(path: &Path) -> Option<Self> {
        std::fs::metadata(path)
            .ok()
            .map(|metadata| Self::of(&metadata))
    }
}

#[derive(Debug)]
struct ListFile {
    path: PathBuf,
    /// When it was read.
    read: Option<Stamp>,
    /// At the last look.
    looked: Option<Stamp>,
}

/// The files one load has read.
#[derive(Debug, Default)]
pub(crate) struct ListFiles(Mutex<Vec<ListFile>>);

impl ListFiles {
    pub(crate) fn note(&self, path: PathBuf, read: Option<Stamp>) {
        let mut files = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        files.push(ListFile {
            path,
            read,
            looked: read,
        });
    }

    /// Whether a file is not what it was when it was read, and is at rest: the same at two looks, so
    /// that a list that is being written is not read by halves.
    fn have_changed(&self) -> bool {
        let mut files = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut changed = false;
        for file in &mut *files {
            let now = Stamp::of_path(&file.path);
            changed |= now != file.read && now == file.looked;
            file.looked = now;
        }
        changed
    }
}

/// One configuration, read again and again.
pub(crate) struct ConfigReader {
    source: ConfigSource,
    set: Vec<String>,
    memory: Mutex<Memory>,
}

#[derive(Default)]
struct Memory {
    /// The configuration's own text when it last gave a plan.
    text: Option<String>,
    lists: ListFiles,
}

impl ConfigReader {
    pub(crate) fn new(source: ConfigSource, set: Vec<String>) -> Self {
        Self {
            source,
            set,
            memory: Mutex::default(),
        }
    }

    /// Reads the configuration and the files it names.
    pub(crate) fn load(&self) -> Checked {
        self.load_text(self.source.text())
    }

    /// Reads only the files anew, for the configuration that last gave a plan.
    pub(crate) fn load_lists(&self) -> Checked {
        let memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        let text = memory.text.clone();
        drop(memory);
        self.load_text(text.map_or_else(|| self.source.text(), Ok))
    }

    fn load_text(&self, text: Result<String, corsair_config::FileError>) -> Checked {
        let lists = ListFiles::default();
        let checked = self.source.load_with(&text, &self.set, &lists);
        let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        memory.lists = lists;
        if let (Some(_), Ok(text)) = (&checked.plan, text) {
            memory.text = Some(text);
        }
        checked
    }

    /// Whether a file that the last load read has changed since, and is at rest.
    pub(crate) fn lists_have_changed(&self) -> bool {
        let memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        memory.lists.have_changed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_has_changed_when_it_is_different_and_at_rest() {
        let directory = std::env::temp_dir().join(format!("corsair-{}-lists", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let path = directory.join("list.txt");
        std::fs::write(&path, "one").unwrap();
        let files = ListFiles::default();
        files.note(path.clone(), Stamp::of_path(&path));
        assert!(!files.have_changed() && !files.have_changed());
        // The same length, and the time it had before: only the inode's own time tells.
        let before = std::fs::metadata(&path).unwrap().modified().unwrap();
        std::fs::write(directory.join("new.txt"), "two").unwrap();
        let new = std::fs::File::options()
            .write(true)
            .open(directory.join("new.txt"))
            .unwrap();
        new.set_modified(before).unwrap();
        std::fs::rename(directory.join("new.txt"), &path).unwrap();
        assert!(!files.have_changed(), "seen for the first time");
        assert!(files.have_changed(), "and at rest");
        std::fs::remove_file(&path).unwrap();
        assert!(!files.have_changed());
        assert!(files.have_changed(), "it is gone");
        std::fs::remove_dir_all(&directory).unwrap();
    }
}
