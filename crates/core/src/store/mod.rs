//! The state store: what a command needs to know of a container that an earlier command made.
//!
//! ```text
//! <root>/<id>/state.json   what every room has in common (Record)
//! <root>/<id>/<room>.json  the room's own part, written by the room alone
//! <root>/<id>/config.json  the bundle's bytes as given to create
//! <root>/<id>/lock         held by the command that changes the container
//! ```
//!
//! Files are written under a temporary name and renamed: a reader never sees half of one. The
//! room's part is a file of its own so that a damaged `state.json` strands nothing: `delete -f`
//! still finds what the room made.

mod entry;
mod lock;
mod record;

use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

pub use entry::Entry;
pub use lock::Lock;
pub use record::{Record, SCHEMA};

use lxcri_linux::step::Step as _;
use rustix::fs::FileType;

use crate::id::ContainerId;
use crate::step::Step;

/// All containers below one `--root`.
#[derive(Clone, Debug)]
pub struct Store {
    root: PathBuf,
}

/// What can go wrong between us and the files.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// No such container.
    #[error("{id}: container does not exist")]
    NotFound {
        /// The id that was asked for.
        id: String,
    },
    /// The id is taken.
    #[error("{id}: container with given ID already exists")]
    Exists {
        /// The id that was asked for.
        id: String,
    },
    /// The file is there and says nothing we understand.
    #[error("state file {} is damaged: {problem}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// Another command is changing the container.
    #[error("{id}: another command holds the container's lock ({})", path.display())]
    Busy {
        /// The container.
        id: String,
        /// Its lock file.
        path: PathBuf,
    },
    /// The kernel refused.
    #[error("cannot {what} {}: {source}", path.display())]
    Io {
        /// A verb such as "write".
        what: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// The kernel's answer.
        source: io::Error,
    },
}

impl StoreError {
    fn io(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { what, path, source }
    }
}

impl Store {
    /// The store below `root`, which need not exist yet. `root` must be absolute.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// The directory all state lives below.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Takes an id: makes its directory and locks it, which is what two creates at once race for. A
    /// directory that a killed command left with nothing in it is as good as none.
    pub fn reserve(&self, id: &ContainerId) -> Result<(Entry, Lock), StoreError> {
        let entry = self.entry(id);
        match make_directory(entry.path()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                std::fs::DirBuilder::new()
                    .recursive(true)
                    .mode(0o711)
                    .create(&self.root)
                    .map_err(StoreError::io("make state directory", &self.root))?;
                make_directory(entry.path())
            }
            other => other,
        }
        .or_else(|error| match error.kind() {
            io::ErrorKind::AlreadyExists if self.open(id).is_ok() && entry.is_blank() => Ok(()),
            io::ErrorKind::AlreadyExists => Err(StoreError::Exists { id: id.to_string() }),
            _ => Err(StoreError::io("make state directory", entry.path())(error)),
        })?;
        Step::CreateDirectory.reached();
        entry.take().inspect_err(|_| {
            // Goes only where it is empty: then it was to be ours, and nobody else's.
            let _ = std::fs::remove_dir(entry.path());
        })
    }

    /// An existing container.
    pub fn open(&self, id: &ContainerId) -> Result<Entry, StoreError> {
        let entry = self.entry(id);
        match rustix::fs::lstat(entry.path()) {
            Ok(stat) if FileType::from_raw_mode(stat.st_mode).is_dir() => Ok(entry),
            Ok(_) | Err(rustix::io::Errno::NOENT) => {
                Err(StoreError::NotFound { id: id.to_string() })
            }
            Err(error) => Err(StoreError::io("read state directory", entry.path())(error.into())),
        }
    }

    /// All containers, by id. A root that is not there holds none.
    pub fn list(&self) -> Result<Vec<Entry>, StoreError> {
        let error = |error| StoreError::io("list state directory", &self.root)(error);
        let items = match std::fs::read_dir(&self.root) {
            Ok(items) => items,
            Err(missing) if missing.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(other) => return Err(error(other)),
        };
        let mut ids = Vec::new();
        for item in items {
            let item = item.map_err(error)?;
            // A link or a file in our root is a stranger's.
            if !item.file_type().map_err(error)?.is_dir() {
                continue;
            }
            let name = item.file_name();
            ids.extend(name.to_str().and_then(|name| name.parse::<ContainerId>().ok()));
        }
        ids.sort();
        Ok(ids.iter().map(|id| self.entry(id)).collect())
    }

    fn entry(&self, id: &ContainerId) -> Entry {
        Entry::new(id.clone(), self.root.join(id.as_str()))
    }
}

/// One container's directory. Others may pass through (a user namespace's root joins files by
/// descriptor), not look.
fn make_directory(path: &Path) -> io::Result<()> {
    std::fs::DirBuilder::new().mode(0o711).create(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store() -> (tempfile::TempDir, Store) {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::new(dir.path().join("root"));
        (dir, store)
    }

    #[test]
    fn an_id_is_taken_once() {
        let (_dir, store) = store();
        let id: ContainerId = "a".parse().unwrap();
        let (entry, lock) = store.reserve(&id).unwrap();
        // Before there is a record the lock keeps other processes out; it is blind to our own.
        entry.write("state.json", b"{}").unwrap();
        assert!(matches!(store.reserve(&id), Err(StoreError::Exists { .. })));
        drop(lock);
        entry.remove().unwrap();
        assert!(matches!(store.open(&id), Err(StoreError::NotFound { .. })));
        assert!(store.reserve(&id).is_ok());
    }

    /// What a create or a delete leaves that was killed at the right moment.
    #[test]
    fn a_directory_without_content_is_no_container() {
        let (_dir, store) = store();
        let id: ContainerId = "a".parse().unwrap();
        let (entry, lock) = store.reserve(&id).unwrap();
        std::fs::write(entry.file(".state.json.7"), "{").unwrap();
        drop(lock);
        assert!(matches!(entry.record(), Err(StoreError::NotFound { .. })));
        let (_, lock) = store.reserve(&id).unwrap();
        drop(lock);
        std::fs::write(entry.file("native.json"), "{}").unwrap();
        assert!(matches!(store.reserve(&id), Err(StoreError::Exists { .. })));
        assert!(matches!(entry.record(), Err(StoreError::Io { .. })));
    }

    /// Its directory was removed by force, and the id taken anew, while a create was at work.
    #[test]
    fn a_create_never_writes_into_the_directory_of_another() {
        let (_dir, store) = store();
        let id: ContainerId = "a".parse().unwrap();
        let (old, _lock) = store.reserve(&id).unwrap();
        store.open(&id).unwrap().remove().unwrap();
        let (new, _lock) = store.reserve(&id).unwrap();
        assert!(old.write("state.json", b"old").is_err());
        assert!(!new.file("state.json").exists());
        new.write("state.json", b"new").unwrap();
        assert_eq!(new.read("state.json").unwrap(), b"new");
    }

    #[test]
    fn strangers_in_the_root_are_not_containers() {
        let (_dir, store) = store();
        assert!(store.list().unwrap().is_empty());
        store.reserve(&"b".parse().unwrap()).unwrap();
        store.reserve(&"a".parse().unwrap()).unwrap();
        std::fs::create_dir(store.root().join("not an id")).unwrap();
        std::fs::write(store.root().join("file"), "").unwrap();
        std::os::unix::fs::symlink("a", store.root().join("link")).unwrap();
        let opened = store.open(&"link".parse().unwrap());
        assert!(matches!(opened, Err(StoreError::NotFound { .. })));
        let ids: Vec<_> = store.list().unwrap().iter().map(|e| e.id().to_string()).collect();
        assert_eq!(ids, ["a", "b"]);
    }
}
