//! What stands where an entry shall be.

use std::ffi::OsStr;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;

use lxcri_linux::tree;
use rustix::fs::{AtFlags, FileType, Stat};
use rustix::io::Errno;

use super::super::Mode;
use super::super::error::Problem;
use super::super::path::split;
use super::Tree;

impl Tree<'_> {
    /// Makes room for the last name of `path` in the current parent: the later entry wins, and an
    /// upper layer's file over a lower layer's directory and the other way round.
    pub(super) fn displace(&mut self, path: &[u8], by_directory: bool) -> Result<(), Problem> {
        let (directory, name) = split(path);
        let stat = self.stat(name).map_err(Problem::at("inspect", path))?;
        let was_whiteout = self.mode == Mode::Overlay && is_whiteout(&stat);
        if FileType::from_raw_mode(stat.st_mode).is_dir() {
            self.forget_opaque(path);
        }
        let parent = self.parent(directory)?;
        tree::remove(&parent.fd, OsStr::from_bytes(name))
            .map_err(|error| Problem::io("replace", path, &error.source))?;
        if was_whiteout && by_directory {
            self.add_opaque(path)?;
        }
        Ok(())
    }

    /// A directory in the place of a whiteout hides what is below it, as the whiteout did. Whether
    /// there was one.
    pub(super) fn remove_whiteout(
        &mut self,
        parent: BorrowedFd<'_>,
        path: &[u8],
    ) -> Result<bool, Problem> {
        let (_, name) = split(path);
        let stat = match rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => return Ok(false),
            stat => stat.map_err(Problem::at("inspect", path))?,
        };
        if self.mode != Mode::Overlay || !is_whiteout(&stat) {
            return Ok(false);
        }
        rustix::fs::unlinkat(parent.as_fd(), name, AtFlags::empty())
            .map_err(Problem::at("replace", path))?;
        self.add_opaque(path)?;
        Ok(true)
    }

    /// Directories that go take their marks with them.
    fn forget_opaque(&mut self, path: &[u8]) {
        let is_below = |marked: &[u8]| {
            marked.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest[0] == b'/')
        };
        self.opaque.retain(|marked| !is_below(marked));
    }
}

/// What overlayfs takes for a deleted name: a character device 0:0.
pub(super) fn is_whiteout(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode).is_char_device() && stat.st_rdev == 0
}
