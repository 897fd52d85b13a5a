//! The lock of one container: held by commands that change it, never waited for by those that
//! only look or kill.
//!
//! A record lock of fcntl(2), not flock(2): it belongs to the process, so the init that `create`
//! clones does not keep holding it. The other side of that: closing any descriptor of the file lets
//! go of it, so nothing but this module opens it.

use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, fcntl_lock};
use rustix::io::Errno;
use rustix::process::{Flock, FlockType, fcntl_getlk};

use super::StoreError;
use crate::id::ContainerId;

/// Held until dropped; the kernel lets go of it when the process dies.
#[derive(Debug)]
pub struct Lock {
    file: File,
    path: PathBuf,
}

/// Pause between two tries. A lock is rarely waited for, and the kernel's own wait has no time-out.
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
            match fcntl_lock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => break,
                Err(Errno::AGAIN | Errno::ACCESS) if Instant::now() < deadline => {
                    std::thread::sleep(PAUSE);
                }
                Err(Errno::AGAIN | Errno::ACCESS) => {
                    return Err(StoreError::Busy { id: id.to_string(), path: path.to_owned() });
                }
                Err(error) => return Err(StoreError::io("lock", path)(error.into())),
            }
        }
        if is_still(&file, path) {
            Ok(Self { file, path: path.to_owned() })
        } else {
            Err(StoreError::NotFound { id: id.to_string() })
        }
    }

    /// Whether the container is still the one that was locked: somebody who deleted it by force may
    /// have made the id free for another.
    pub fn is_current(&self) -> bool {
        is_still(&self.file, &self.path)
    }

    /// Whether another process holds the lock of this file.
    pub(super) fn is_held_by_another(file: &File) -> bool {
        let wanted = Flock::from(FlockType::WriteLock);
        fcntl_getlk(file, &wanted).is_ok_and(|held| held.is_some())
    }
}

/// While we waited the container may have been deleted and its id taken anew.
fn is_still(file: &File, path: &Path) -> bool {
    match (file.metadata(), std::fs::metadata(path)) {
        (Ok(held), Ok(now)) => (held.dev(), held.ino()) == (now.dev(), now.ino()),
        _ => false,
    }
}
