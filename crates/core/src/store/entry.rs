//! One container's directory in the store.

use std::ffi::OsStr;
use std::fs::{File, OpenOptions, remove_dir, remove_dir_all, remove_file};
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use lxcri_linux::step::Step as _;
use rustix::fs::{Mode, OFlags, openat, renameat};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Lock, Record, StoreError, record};
use crate::id::ContainerId;
use crate::step::Step;

/// What every container has.
const RECORD: &str = "state.json";
const LOCK: &str = "lock";

/// One container's directory. Cheap: opening it reads nothing.
#[derive(Clone, Debug)]
pub struct Entry {
    id: ContainerId,
    path: PathBuf,
    /// Of a container that is being made: the directory itself. Removed by force meanwhile, its
    /// path may be another container's.
    directory: Option<Arc<OwnedFd>>,
}

impl Entry {
    pub(super) fn new(id: ContainerId, path: PathBuf) -> Self {
        Self { id, path, directory: None }
    }

    /// The container's id.
    pub fn id(&self) -> &ContainerId {
        &self.id
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A file of the directory.
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Reads `state.json`. Where nothing else is either, there is no container: a create did not get
    /// far, or a delete almost to its end.
    pub fn record(&self) -> Result<Record, StoreError> {
        let path = self.file(RECORD);
        let bytes = match self.read(RECORD) {
            Err(StoreError::Io { .. }) if self.is_blank() => {
                return Err(StoreError::NotFound { id: self.id.to_string() });
            }
            result => result?,
        };
        record::parse(&bytes).map_err(|problem| StoreError::Damaged { path, problem })
    }

    /// Writes `state.json`.
    pub fn write_record(&self, record: &Record) -> Result<(), StoreError> {
        self.write_json(RECORD, record)
    }

    /// Reads a file that [`Entry::write_json`] wrote.
    pub fn read_json<T: DeserializeOwned>(&self, name: &str) -> Result<T, StoreError> {
        let bytes = self.read(name)?;
        serde_json::from_slice(&bytes).map_err(|error| StoreError::Damaged {
            path: self.file(name),
            problem: error.to_string(),
        })
    }

    /// Writes a file so that readers see the old one or the new one, never half.
    pub fn write_json<T: Serialize>(&self, name: &str, value: &T) -> Result<(), StoreError> {
        let bytes = serde_json::to_vec(value)
            .map_err(|error| StoreError::io("encode", &self.file(name))(error.into()))?;
        self.write(name, &bytes)
    }

    /// The bytes of a file; [`StoreError::NotFound`] where the container itself is gone.
    pub fn read(&self, name: &str) -> Result<Vec<u8>, StoreError> {
        let path = self.file(name);
        match std::fs::read(&path) {
            Ok(bytes) => Ok(bytes),
            Err(error) if error.kind() == io::ErrorKind::NotFound && !self.path.exists() => {
                Err(StoreError::NotFound { id: self.id.to_string() })
            }
            Err(error) => Err(StoreError::io("read", &path)(error)),
        }
    }

    /// Writes bytes by temporary file and rename. The store lives on tmpfs and its content means
    /// nothing after a reboot, so nothing is synced.
    pub fn write(&self, name: &str, bytes: &[u8]) -> Result<(), StoreError> {
        let path = self.file(name);
        let temporary = format!(".{name}.{}", std::process::id());
        self.replace(name, &temporary, bytes).map_err(|error| {
            // The write failed already; a temporary file that stays is swept by `remove`.
            let _ = std::fs::remove_file(self.file(&temporary));
            StoreError::io("write", &path)(error)
        })
    }

    fn replace(&self, name: &str, temporary: &str, bytes: &[u8]) -> io::Result<()> {
        let opened;
        let directory = match &self.directory {
            Some(directory) => directory.as_fd(),
            None => {
                opened = self.open_directory()?;
                opened.as_fd()
            }
        };
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::CLOEXEC;
        let file = openat(directory, temporary, flags, Mode::from_raw_mode(0o600))?;
        File::from(file).write_all(bytes)?;
        Step::CreateTemporary.reached();
        Ok(renameat(directory, temporary, directory, name)?)
    }

    fn open_directory(&self) -> io::Result<OwnedFd> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(rustix::fs::open(&self.path, flags, Mode::empty())?)
    }

    /// Waits for the container's lock, at most `patience`.
    pub fn lock(&self, patience: Duration) -> Result<Lock, StoreError> {
        let path = self.file(LOCK);
        let file = match OpenOptions::new().read(true).write(true).open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.replace_lock(&path)?,
            Err(error) => return Err(StoreError::io("open", &path)(error)),
        };
        Lock::wait(&self.id, file, &path, patience)
    }

    /// Whether another command is changing the container right now. Not for a command that holds
    /// the lock itself: looking would let go of it.
    pub fn is_locked(&self) -> bool {
        File::open(self.file(LOCK)).is_ok_and(|file| Lock::is_held_by_another(&file))
    }

    /// Locks a directory that has just been made, or found blank, for the container to be made in.
    pub(super) fn take(&self) -> Result<(Self, Lock), StoreError> {
        let taken = || StoreError::Exists { id: self.id.to_string() };
        let path = self.file(LOCK);
        let file = new_lock_file(&path).map_err(StoreError::io("make", &path))?;
        let lock = match Lock::wait(&self.id, file, &path, Duration::ZERO) {
            // Not found: whoever deletes the container of this id has just removed the lock.
            Err(StoreError::Busy { .. } | StoreError::NotFound { .. }) => return Err(taken()),
            result => result?,
        };
        // Two may have found it blank, and the other may be done by now.
        if self.file(RECORD).exists() {
            return Err(taken());
        }
        let directory = self.open_directory().map_err(StoreError::io("open", &self.path))?;
        let entry = Self { directory: Some(Arc::new(directory)), ..self.clone() };
        Ok((entry, lock))
    }

    /// Whether nothing is in the directory that means a container: at most its lock, and a record
    /// that did not get its name.
    pub(super) fn is_blank(&self) -> bool {
        let is_nothing = |name: &OsStr| {
            name == LOCK || name.to_str().is_some_and(|name| name.starts_with(".state.json."))
        };
        std::fs::read_dir(&self.path).is_ok_and(|mut items| {
            items.all(|item| item.is_ok_and(|item| is_nothing(&item.file_name())))
        })
    }

    /// A container whose create was killed before it had a lock gets one now.
    fn replace_lock(&self, path: &Path) -> Result<File, StoreError> {
        if !self.path.exists() {
            return Err(StoreError::NotFound { id: self.id.to_string() });
        }
        new_lock_file(path).map_err(StoreError::io("make", path))
    }

    /// Removes the directory and everything in it. Missing is fine. The record goes last but one:
    /// cut off half-way, there is a container that has stopped, or none.
    pub fn remove(&self) -> Result<(), StoreError> {
        self.remove_all().map_err(StoreError::io("remove state directory", &self.path))
    }

    fn remove_all(&self) -> io::Result<()> {
        let Some(items) = present(std::fs::read_dir(&self.path))? else { return Ok(()) };
        for item in items {
            let item = item?;
            let name = item.file_name();
            if name == RECORD || name == LOCK {
                continue;
            }
            let is_directory = item.file_type()?.is_dir();
            let path = item.path();
            present(if is_directory { remove_dir_all(path) } else { remove_file(path) })?;
        }
        Step::DeleteFiles.reached();
        present(remove_file(self.file(RECORD)))?;
        Step::DeleteRecord.reached();
        present(remove_file(self.file(LOCK)))?;
        match present(remove_dir(&self.path)) {
            Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => self.remove_blank(),
            result => result.map(drop),
        }
    }

    /// Somebody made the lock anew after ours was removed: one who had waited for it to delete the
    /// container, too, or one who makes the next container of this id. What is locked is theirs.
    fn remove_blank(&self) -> io::Result<()> {
        let path = self.file(LOCK);
        let Some(file) = present(new_lock_file(&path))? else { return Ok(()) };
        let Ok(_lock) = Lock::wait(&self.id, file, &path, Duration::ZERO) else { return Ok(()) };
        if self.is_blank() {
            present(remove_file(&path))?;
            present(remove_dir(&self.path))?;
        }
        Ok(())
    }
}

/// What is missing is no error.
fn present<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        result => result.map(Some),
    }
}

fn new_lock_file(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Store;

    fn entry() -> (tempfile::TempDir, Entry, Lock) {
        let dir = tempfile::tempdir().unwrap();
        let (entry, lock) = Store::new(dir.path()).reserve(&"c".parse().unwrap()).unwrap();
        (dir, entry, lock)
    }

    /// What a delete finds once it has removed the lock: the next container of the id, or only the
    /// lock of another who waited to delete.
    #[test]
    fn a_delete_leaves_the_next_container_alone() {
        let (_dir, entry, lock) = entry();
        entry.write("native.json", b"{}").unwrap();
        drop(lock);
        entry.remove_blank().unwrap();
        assert!(entry.file("native.json").exists() && entry.file(LOCK).exists());
        remove_file(entry.file("native.json")).unwrap();
        entry.remove_blank().unwrap();
        assert!(!entry.path().exists());
    }

    #[test]
    fn a_damaged_file_is_named() {
        let (_dir, entry, _lock) = entry();
        for text in ["", "{", "[]", "{\"schema\": 1}", "{\"schema\": 99}"] {
            std::fs::write(entry.file("state.json"), text).unwrap();
            let error = entry.record().unwrap_err().to_string();
            assert!(error.contains("state.json is damaged"), "{text}: {error}");
        }
    }

    #[test]
    fn a_failed_write_keeps_the_old_file() {
        let (_dir, entry, _lock) = entry();
        entry.write("x", b"old").unwrap();
        std::fs::create_dir(entry.file(&format!(".x.{}", std::process::id()))).unwrap();
        assert!(entry.write("x", b"new").is_err());
        assert_eq!(entry.read("x").unwrap(), b"old");
    }

    /// The environment variable by which a test, run again as another process, gets its directory.
    const OTHER: &str = "LXCRI_TEST_LOCK_OF_ANOTHER";

    /// What another process finds: this very test, executed again.
    fn seen_by_another(entry: &Entry) -> String {
        let output = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "store::entry::tests::the_lock_is_held_by_one", "--nocapture"])
            .env(OTHER, entry.path())
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap()
    }

    #[test]
    fn the_lock_is_held_by_one() {
        if let Some(path) = std::env::var_os(OTHER) {
            let entry = Entry::new("c".parse().unwrap(), path.into());
            let is_locked = entry.is_locked();
            println!("locked: {is_locked}, {:?}", entry.lock(Duration::from_millis(20)));
            return;
        }
        let (_dir, entry, lock) = entry();
        assert!(seen_by_another(&entry).contains("locked: true, Err(Busy"));
        drop(lock);
        assert!(seen_by_another(&entry).contains("locked: false, Ok(Lock"));
    }

    #[test]
    fn a_lock_of_a_removed_container_is_no_lock() {
        let (_dir, entry, lock) = entry();
        let file = new_lock_file(&entry.file("lock")).unwrap();
        entry.remove().unwrap();
        drop(lock);
        let late = Lock::wait(entry.id(), file, &entry.file("lock"), Duration::ZERO);
        assert!(matches!(late, Err(StoreError::NotFound { .. })));
    }
}
