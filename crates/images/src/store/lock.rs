//! Who may do what at the same time.

use std::fs::{File, OpenOptions, TryLockError};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::fs::OFlags;

use super::{Purpose, Store, StoreError};

/// The lock between those who need blobs and those who remove them.
pub(super) const STORE_LOCK: &str = "lock";
/// The lock of a change of index.json.
pub(super) const INDEX_LOCK: &str = "index.lock";

/// While it lives, no blob is removed: whoever pulls, imports or makes a container holds one from
/// before it looks at the store until a name or a container stands for what it needs.
///
/// Never ask for garbage collection while holding one in the same process: it would wait for
/// itself.
#[derive(Debug)]
pub struct Hold {
    pub(super) store: Store,
    pub(super) purpose: Purpose,
    _lock: File,
}

impl Hold {
    /// The store that is held.
    pub fn store(&self) -> &Store {
        &self.store
    }
}

impl Store {
    /// Keeps garbage collection away; waits while one is going on.
    ///
    /// # Errors
    /// The kernel's.
    pub fn hold(&self, purpose: Purpose) -> Result<Hold, StoreError> {
        let path = self.ingest_path(STORE_LOCK);
        let file = open(&path)?;
        file.lock_shared().map_err(StoreError::io("lock", &path))?;
        Ok(Hold { store: self.clone(), purpose, _lock: file })
    }

    /// The right to remove blobs; `waiting` is called once where others hold the store now.
    pub(crate) fn collect(&self, waiting: &dyn Fn()) -> Result<File, StoreError> {
        let path = self.ingest_path(STORE_LOCK);
        let file = open(&path)?;
        match file.try_lock() {
            Ok(()) => Ok(file),
            Err(TryLockError::Error(error)) => Err(StoreError::io("lock", &path)(error)),
            Err(TryLockError::WouldBlock) => {
                waiting();
                file.lock().map_err(StoreError::io("lock", &path))?;
                Ok(file)
            }
        }
    }

    /// The right to remove blobs, where nobody holds the store now.
    pub(super) fn try_collect(&self) -> Result<Option<File>, StoreError> {
        let path = self.ingest_path(STORE_LOCK);
        let file = open(&path)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(file)),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(StoreError::io("lock", &path)(error)),
        }
    }
}

/// Waits for the lock of a file, which is made where it is missing.
pub(super) fn exclusive(path: &Path) -> Result<File, StoreError> {
    let file = open(path)?;
    file.lock().map_err(StoreError::io("lock", path))?;
    Ok(file)
}

/// Opens a file of `ingest` to write to and to lock.
pub(super) fn open(path: &Path) -> Result<File, StoreError> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o600);
    options.custom_flags(OFlags::NOFOLLOW.bits().cast_signed());
    options.open(path).map_err(StoreError::io("open", path))
}
