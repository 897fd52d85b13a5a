//! The lock of one layer: flock(2) on a file beside it.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::error::CacheError;

/// Held until dropped, or until the process dies.
#[derive(Debug)]
pub(super) struct Lock {
    _file: File,
    path: PathBuf,
}

impl Lock {
    pub(super) fn wait(path: &Path) -> Result<Self, CacheError> {
        loop {
            let file = open(path)?;
            file.lock().map_err(CacheError::io("lock", path))?;
            if let Some(lock) = Self::of(file, path) {
                return Ok(lock);
            }
        }
    }

    /// `None` where another has it.
    pub(super) fn try_take(path: &Path) -> Result<Option<Self>, CacheError> {
        let file = open(path)?;
        match file.try_lock() {
            Ok(()) => Ok(Self::of(file, path)),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(CacheError::io("lock", path)(error)),
        }
    }

    /// While we waited its holder may have removed the file; another has perhaps made a new one.
    fn of(file: File, path: &Path) -> Option<Self> {
        is_at(&file, path).then(|| Self { _file: file, path: path.to_owned() })
    }

    /// Lets go of it and removes its file: nothing is left of the layer.
    pub(super) fn remove(self) {
        // Left behind it does no harm, and the next sweep removes it.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Whether an open file is what `path` leads to now.
pub(super) fn is_at(file: &File, path: &Path) -> bool {
    match (file.metadata(), std::fs::metadata(path)) {
        (Ok(held), Ok(now)) => (held.dev(), held.ino()) == (now.dev(), now.ino()),
        _ => false,
    }
}

fn open(path: &Path) -> Result<File, CacheError> {
    let opened: io::Result<File> =
        OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path);
    opened.map_err(CacheError::io("open", path))
}
