//! The lock of a directory: flock(2) on the directory itself, so that no lock file stays behind.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, Mode, OFlags};
use rustix::io::Errno;

/// How long another process is waited for.
const PATIENCE: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(2);

/// Held until it is dropped, or until the process dies.
#[derive(Debug)]
pub(crate) struct DirectoryLock {
    directory: File,
}

/// What came of waiting for a lock.
#[derive(Debug)]
pub(crate) enum Attempt {
    /// It is ours, and the directory is where it was.
    Taken(DirectoryLock),
    /// There is no such directory, or no longer.
    Gone,
    /// Another process has held it for ten seconds.
    Busy,
}

impl DirectoryLock {
    /// Opens the directory at `path`, which is no link, and waits for its lock.
    ///
    /// # Errors
    /// As open(2) and flock(2).
    pub(crate) fn take(path: &Path) -> io::Result<Attempt> {
        match open_directory(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Attempt::Gone),
            directory => Self { directory: directory? }.wait(path),
        }
    }

    fn wait(self, path: &Path) -> io::Result<Attempt> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match rustix::fs::flock(&self, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => break,
                Err(Errno::AGAIN | Errno::INTR) if Instant::now() < deadline => {
                    std::thread::sleep(PAUSE);
                }
                Err(Errno::AGAIN) => return Ok(Attempt::Busy),
                Err(errno) => return Err(errno.into()),
            }
        }
        // While we waited it may have been removed, and its name taken anew.
        Ok(if self.is_at(path) { Attempt::Taken(self) } else { Attempt::Gone })
    }

    /// Lets others have it. The directory stays open: what [`Released::retake`] takes is this one, and
    /// no other that was made in its place.
    pub(crate) fn release(self) -> Released {
        self.unlock();
        Released(self)
    }

    /// Closing is not enough while a child has a copy of the descriptor.
    fn unlock(&self) {
        // It fails for no descriptor of ours, and does nothing where the lock is not held.
        let _ = rustix::fs::flock(self, FlockOperation::Unlock);
    }

    fn is_at(&self, path: &Path) -> bool {
        let identity = |file: std::fs::Metadata| (file.dev(), file.ino());
        let now = std::fs::symlink_metadata(path).map(identity);
        self.directory.metadata().is_ok_and(|held| now.is_ok_and(|now| identity(held) == now))
    }
}

impl AsFd for DirectoryLock {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.directory.as_fd()
    }
}

impl Drop for DirectoryLock {
    fn drop(&mut self) {
        self.unlock();
    }
}

/// A directory whose lock was held once.
#[derive(Debug)]
pub(crate) struct Released(DirectoryLock);

impl Released {
    /// Waits for the lock of this very directory, which was at `path`.
    ///
    /// # Errors
    /// As flock(2).
    pub(crate) fn retake(self, path: &Path) -> io::Result<Attempt> {
        self.0.wait(path)
    }
}

/// Opens a directory, no link, for reading.
pub(crate) fn open_directory(path: &Path) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(rustix::fs::open(path, flags, Mode::empty())?.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(attempt: Attempt) -> DirectoryLock {
        match attempt {
            Attempt::Taken(lock) => lock,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn one_waits_for_the_other() {
        let dir = tempfile::tempdir().unwrap();
        let lock = taken(DirectoryLock::take(dir.path()).unwrap());
        let other = File::open(dir.path()).unwrap();
        assert!(matches!(other.try_lock(), Err(std::fs::TryLockError::WouldBlock)));
        let released = lock.release();
        other.try_lock().unwrap();
        let (path, begun) = (dir.path().to_owned(), std::sync::Barrier::new(2));
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| {
                begun.wait();
                released.retake(&path)
            });
            begun.wait();
            other.unlock().unwrap();
            taken(waiter.join().unwrap().unwrap());
        });
    }

    #[test]
    fn another_directory_of_the_same_name_is_not_taken() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("it");
        assert!(matches!(DirectoryLock::take(&path).unwrap(), Attempt::Gone));
        std::fs::create_dir(&path).unwrap();
        let lock = taken(DirectoryLock::take(&path).unwrap());
        std::fs::rename(&path, dir.path().join("old")).unwrap();
        std::fs::create_dir(&path).unwrap();
        assert!(matches!(lock.release().retake(&path).unwrap(), Attempt::Gone));
        taken(DirectoryLock::take(&path).unwrap());
    }

    #[test]
    fn links_are_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink(dir.path(), dir.path().join("link")).unwrap();
        DirectoryLock::take(&dir.path().join("link")).unwrap_err();
    }
}
