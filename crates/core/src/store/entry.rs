//! One container's directory in the store.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Lock, Record, StoreError, record};
use crate::id::ContainerId;

/// One container's directory. Cheap: opening it reads nothing.
#[derive(Clone, Debug)]
pub struct Entry {
    id: ContainerId,
    path: PathBuf,
}

impl Entry {
    pub(super) fn new(id: ContainerId, path: PathBuf) -> Self {
        Self { id, path }
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

    /// Reads `state.json`. A directory without one is a create that did not get far.
    pub fn record(&self) -> Result<Record, StoreError> {
        let path = self.file("state.json");
        let bytes = self.read("state.json")?;
        record::parse(&bytes).map_err(|problem| StoreError::Damaged { path, problem })
    }

    /// Writes `state.json`.
    pub fn write_record(&self, record: &Record) -> Result<(), StoreError> {
        self.write_json("state.json", record)
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
        let temporary = self.file(&format!(".{name}.{}", std::process::id()));
        let written = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&temporary)
            .and_then(|mut file| file.write_all(bytes))
            .and_then(|()| std::fs::rename(&temporary, &path));
        written.map_err(|error| {
            // The write failed already; a temporary file that stays is swept by `remove`.
            let _ = std::fs::remove_file(&temporary);
            StoreError::io("write", &path)(error)
        })
    }

    /// Waits for the container's lock, at most `patience`.
    pub fn lock(&self, patience: Duration) -> Result<Lock, StoreError> {
        let path = self.file("lock");
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
        File::open(self.file("lock")).is_ok_and(|file| Lock::is_held_by_another(&file))
    }

    pub(super) fn create_lock(&self) -> Result<Lock, StoreError> {
        let path = self.file("lock");
        let file = new_lock_file(&path).map_err(StoreError::io("make", &path))?;
        Lock::wait(&self.id, file, &path, Duration::ZERO)
    }

    /// A container whose create was killed before it had a lock gets one now.
    fn replace_lock(&self, path: &Path) -> Result<File, StoreError> {
        if !self.path.exists() {
            return Err(StoreError::NotFound { id: self.id.to_string() });
        }
        new_lock_file(path).map_err(StoreError::io("make", path))
    }

    /// Removes the directory and everything in it. Missing is fine.
    pub fn remove(&self) -> Result<(), StoreError> {
        match std::fs::remove_dir_all(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(StoreError::io("remove state directory", &self.path)(error))
            }
            _ => Ok(()),
        }
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
