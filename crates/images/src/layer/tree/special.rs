//! Entries that are no files and no directories: links, devices, fifos.

use std::os::fd::AsFd;

use rustix::fs::{AtFlags, FileType, Gid, Mode as Permissions, OFlags, Uid};
use rustix::io::Errno;

use super::super::archive::Entry;
use super::super::error::{Problem, shown};
use super::super::path::split;
use super::displace::is_whiteout;
use super::file::timestamps;
use super::{PATH_ONLY, Tree};

/// Bits of Linux' device numbers (linux/kdev_t.h). Larger ones would be cut, perhaps to 0:0.
const MAJOR_BITS: u32 = 12;
const MINOR_BITS: u32 = 20;

impl Tree<'_> {
    pub(super) fn symlink(&mut self, entry: &Entry, text: &[u8]) -> Result<(), Problem> {
        self.make(&entry.path, false, |parent, name| rustix::fs::symlinkat(text, parent, name))?;
        self.attributes_by_name(entry, true)
    }

    /// Another name for what this layer has under `target`, which may be anything but a directory.
    pub(super) fn hard_link(&mut self, entry: &Entry, target: &[u8]) -> Result<(), Problem> {
        let problem = |message: &str| {
            let message = format!("is a hard link to {:?}, which {message}", shown(target));
            Problem::entry(&entry.path, message)
        };
        if target.is_empty() {
            return Err(problem("is a directory"));
        }
        let (directory, target_name) = split(target);
        let directory = self.open(directory, PATH_ONLY).map_err(|errno| match errno {
            Errno::NOENT | Errno::NOTDIR | Errno::LOOP => problem("is not there"),
            errno => Problem::at("open", target)(errno),
        })?;
        let stat = rustix::fs::statat(&directory, target_name, AtFlags::SYMLINK_NOFOLLOW);
        let stat = stat.map_err(|errno| match errno {
            Errno::NOENT => problem("is not there"),
            errno => Problem::at("inspect", target)(errno),
        })?;
        if FileType::from_raw_mode(stat.st_mode).is_dir() {
            return Err(problem("is a directory"));
        }
        if is_whiteout(&stat) {
            return Err(problem("is deleted"));
        }
        if entry.path == target {
            return Ok(());
        }
        self.make(&entry.path, false, |parent, name| {
            rustix::fs::linkat(&directory, target_name, parent, name, AtFlags::empty())
        })?;
        Ok(())
    }

    pub(super) fn device(
        &mut self,
        entry: &Entry,
        kind: FileType,
        major: u32,
        minor: u32,
    ) -> Result<(), Problem> {
        if kind == FileType::CharacterDevice && (major, minor) == (0, 0) {
            let message = "is a character device 0:0, which overlayfs takes for a deleted file";
            return Err(Problem::entry(&entry.path, message));
        }
        if major >> MAJOR_BITS != 0 || minor >> MINOR_BITS != 0 {
            let message = format!("is a device with the impossible number {major}:{minor}");
            return Err(Problem::entry(&entry.path, message));
        }
        self.node(entry, kind, rustix::fs::makedev(major, minor))
    }

    pub(super) fn fifo(&mut self, entry: &Entry) -> Result<(), Problem> {
        self.node(entry, FileType::Fifo, 0)
    }

    fn node(&mut self, entry: &Entry, kind: FileType, device: u64) -> Result<(), Problem> {
        let mode = Permissions::from_raw_mode(entry.mode);
        let made = self.make(&entry.path, false, |parent, name| {
            match rustix::fs::mknodat(parent, name, kind, mode, device) {
                Err(Errno::PERM) => Ok(false),
                made => made.map(|()| true),
            }
        })?;
        if made == Some(false) {
            let message = "is a device, and making one needs CAP_MKNOD on this host";
            return Err(Problem::entry(&entry.path, message));
        }
        self.attributes_by_name(entry, false)
    }

    /// Sets owner, mode and times of what was made last, which cannot be opened without effects.
    /// Extended attributes are dropped: links and devices have none but the host's own.
    fn attributes_by_name(&mut self, entry: &Entry, is_link: bool) -> Result<(), Problem> {
        self.dropped.xattrs += entry.xattrs.len() as u64;
        let path = &entry.path;
        let owner = self.owner(entry)?;
        let (directory, name) = split(path);
        let stat = self.stat(name).map_err(Problem::at("inspect", path))?;
        let mut mode = stat.st_mode & 0o7777;
        let parent = self.parent(directory)?.fd.as_fd();
        let no_follow = AtFlags::SYMLINK_NOFOLLOW;
        if (stat.st_uid, stat.st_gid) != (owner.uid, owner.gid) {
            let (uid, gid) = (Uid::from_raw(owner.uid), Gid::from_raw(owner.gid));
            rustix::fs::chownat(parent, name, Some(uid), Some(gid), no_follow)
                .map_err(Problem::at("change the owner of", path))?;
            // Which takes setuid and setgid away (chown(2)).
            mode &= 0o1777;
        }
        if !is_link && mode != entry.mode {
            // It is no link: this very process has just made it, and no other can write here.
            let mode = Permissions::from_raw_mode(entry.mode);
            rustix::fs::chmodat(parent, name, mode, AtFlags::empty())
                .map_err(Problem::at("change the mode of", path))?;
        }
        let times = timestamps(entry.mtime, entry.atime);
        rustix::fs::utimensat(parent, name, &times, no_follow)
            .map_err(Problem::at("set the times of", path))
    }

    /// Opens a directory to read it, with its links followed inside the root.
    pub(super) fn open_listing(&self, path: &[u8]) -> rustix::io::Result<rustix::fd::OwnedFd> {
        self.open(path, OFlags::RDONLY | OFlags::DIRECTORY)
    }
}
