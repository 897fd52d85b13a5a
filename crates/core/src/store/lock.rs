//! The lock of one container: held by commands that change it, never waited for by those that
//! only look or kill.

use std::fs::{File, TryLockError};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant};

use super::StoreError;
use crate::id::ContainerId;

/// Held until dropped; the kernel lets go of it when the process dies.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

/// Pause between two tries. flock(2) knows no time-out, and a lock is rarely waited for.
const PAUSE: Duration = Duration::from_millis(2);

impl Lock {
    pub(super) fn wait(
        id: &ContainerId,
        file: File,
        path: &Path,
        patience: Duration,
    ) -> Result<Self, StoreError> {
        let deadline = Instant::now() + patience;
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) if Instant::now() < deadline => {
                    std::thread::sleep(PAUSE);
                }
                Err(TryLockError::WouldBlock) => {
                    return Err(StoreError::Busy { id: id.to_string(), path: path.to_owned() });
                }
                Err(TryLockError::Error(error)) => return Err(StoreError::io("lock", path)(error)),
            }
        }
        if is_still(&file, path) {
            Ok(Self { _file: file })
        } else {
            Err(StoreError::NotFound { id: id.to_string() })
        }
    }
}

/// While we waited the container may have been deleted and its id taken anew.
fn is_still(file: &File, path: &Path) -> bool {
    match (file.metadata(), std::fs::metadata(path)) {
        (Ok(held), Ok(now)) => (held.dev(), held.ino()) == (now.dev(), now.ino()),
        _ => false,
    }
}
