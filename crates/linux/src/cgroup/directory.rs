//! An open cgroup directory, and reading and writing the control files in it.
//!
//! cgroup file systems have neither symbolic links nor renames across directories, so a descriptor
//! plus a file name is all that is needed.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use super::error::{Error, Result};

/// Makes the error for a failed system call on `path`.
pub(super) fn failed(action: impl Into<String>, path: &Path, source: Errno) -> Error {
    Error::File { action: action.into(), path: path.to_owned(), source: io::Error::from(source) }
}

/// An open directory of a cgroup file system.
#[derive(Debug)]
pub(super) struct Directory {
    fd: OwnedFd,
    path: PathBuf,
}

impl Directory {
    /// Opens `path`, which must be a directory.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let fd = open_directory(path).map_err(|e| failed("open the cgroup", path, e))?;
        Ok(Self { fd, path: path.to_owned() })
    }

    /// Opens `path`; `None` if there is nothing of that name.
    pub(super) fn open_if_present(path: &Path) -> Result<Option<Self>> {
        match open_directory(path) {
            Ok(fd) => Ok(Some(Self { fd, path: path.to_owned() })),
            Err(Errno::NOENT) => Ok(None),
            Err(e) => Err(failed("open the cgroup", path, e)),
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn into_fd(self) -> OwnedFd {
        self.fd
    }

    /// Writes `value` by one write(2), because the kernel takes each write as one request.
    pub(super) fn write(&self, file: &str, value: &str) -> Result<()> {
        self.try_write(file, value).map_err(|e| self.write_failed(file, value, e))
    }

    /// As [`Self::write`], with the bare error number for callers that act on it.
    pub(super) fn try_write(&self, file: &str, value: &str) -> std::result::Result<(), Errno> {
        write_file(self.fd.as_fd(), file, value)
    }

    /// The error for a write that [`Self::try_write`] refused.
    pub(super) fn write_failed(&self, file: &str, value: &str, e: Errno) -> Error {
        failed(format!("write {value:?} to"), &self.path.join(file), e)
    }

    /// Opens a control file for several writes.
    pub(super) fn open_for_writing(&self, file: &str) -> Result<OwnedFd> {
        let flags = OFlags::WRONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        rustix::fs::openat(&self.fd, file, flags, Mode::empty())
            .map_err(|e| failed("open", &self.path.join(file), e))
    }

    pub(super) fn read(&self, file: &str) -> Result<String> {
        read_file(self.fd.as_fd(), file).map_err(|e| failed("read", &self.path.join(file), e))
    }

    /// Reads a file that older kernels or other configurations lack.
    pub(super) fn read_if_present(&self, file: &str) -> Result<Option<String>> {
        match read_file(self.fd.as_fd(), file) {
            Ok(text) => Ok(Some(text)),
            // ENODEV: the cgroup was removed while we held it open.
            Err(Errno::NOENT | Errno::NODEV | Errno::OPNOTSUPP) => Ok(None),
            Err(e) => Err(failed("read", &self.path.join(file), e)),
        }
    }
}

impl AsFd for Directory {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

fn open_directory(path: &Path) -> std::result::Result<OwnedFd, Errno> {
    rustix::fs::open(path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
}

/// Writes one request to a control file below `directory`.
pub(super) fn write_file(
    directory: BorrowedFd<'_>,
    file: &str,
    value: &str,
) -> std::result::Result<(), Errno> {
    let flags = OFlags::WRONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let fd = rustix::fs::openat(directory, file, flags, Mode::empty())?;
    // A short count cannot happen with kernfs (one page or nothing); treat it as what it would be.
    if write_once(&fd, value.as_bytes())? == value.len() { Ok(()) } else { Err(Errno::IO) }
}

/// One write(2) on an open control file.
pub(super) fn write_once(fd: &OwnedFd, value: &[u8]) -> std::result::Result<usize, Errno> {
    rustix::io::retry_on_intr(|| rustix::io::write(fd, value))
}

/// Reads a whole control file below `directory`. All control files are ASCII; the bytes of cgroup
/// names that may not be are replaced.
pub(super) fn read_file(
    directory: BorrowedFd<'_>,
    file: &str,
) -> std::result::Result<String, Errno> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let fd = rustix::fs::openat(directory, file, flags, Mode::empty())?;
    let mut bytes = Vec::with_capacity(4096);
    read_to_end(&fd, &mut bytes)?;
    Ok(match String::from_utf8(bytes) {
        Ok(text) => text,
        Err(e) => String::from_utf8_lossy(e.as_bytes()).into_owned(),
    })
}

/// Reads until the end of the file.
pub(super) fn read_to_end(fd: &OwnedFd, bytes: &mut Vec<u8>) -> std::result::Result<(), Errno> {
    loop {
        if bytes.capacity() - bytes.len() < 1024 {
            bytes.reserve(4096);
        }
        match rustix::io::read(fd, rustix::buffer::spare_capacity(bytes)) {
            Ok(0) => return Ok(()),
            Ok(_) | Err(Errno::INTR) => {}
            Err(e) => return Err(e),
        }
    }
}
