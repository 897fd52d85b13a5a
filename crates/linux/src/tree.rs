//! Whole directory trees: removing one that somebody else made, copying one with everything that a
//! filesystem keeps about files.
//!
//! Every step goes by descriptor: no link is followed, no mount is crossed, and no depth of
//! directories needs more than a few descriptors.

mod attributes;
mod copy;
mod remove;

use std::io;
use std::path::{Path, PathBuf};

use rustix::fd::BorrowedFd;
use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

pub use attributes::{copy_attributes, shift_acl, shift_capability};
pub use copy::{Copied, Rules, copy};
pub use remove::remove;

/// Most of a path that an error shows, in bytes from its end.
const SHOWN: usize = 300;

/// A file of a tree that could not be handled.
#[derive(Debug, thiserror::Error)]
#[error("cannot {what} {}: {source}", path.display())]
pub struct TreeError {
    /// A verb such as "remove".
    pub what: &'static str,
    /// The file, relative to the tree; the end of it where it is long.
    pub path: PathBuf,
    /// The kernel's answer.
    pub source: io::Error,
}

impl TreeError {
    fn new(what: &'static str, path: &Path, source: impl Into<io::Error>) -> Self {
        use std::os::unix::ffi::OsStrExt;
        let bytes = path.as_os_str().as_bytes();
        let path = if bytes.len() > SHOWN {
            let end = std::ffi::OsStr::from_bytes(&bytes[bytes.len() - SHOWN..]);
            Path::new("…").join(Path::new(end).components().skip(1).collect::<PathBuf>())
        } else {
            path.to_owned()
        };
        Self { what, path, source: source.into() }
    }
}

/// Opens a directory below another for reading, on the same mount and without any link on the way.
fn open_directory(at: BorrowedFd<'_>, path: &Path) -> Result<rustix::fd::OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let resolve = ResolveFlags::NO_XDEV | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    loop {
        match rustix::fs::openat2(at, path, flags, Mode::empty(), resolve) {
            Err(Errno::INTR | Errno::AGAIN) => {}
            result => return result,
        }
    }
}
