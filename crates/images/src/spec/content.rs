//! Copies what a directory holds: files, directories, links and FIFOs with owners, modes, times and
//! extended attributes. No link is followed. Devices and sockets are left out: a volume is the
//! host's directory, where they would be the host's.

use std::collections::HashMap;
use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use lxcri_core::oci::IdMapping;
use rustix::fs::{
    AtFlags, Dir, FileType, Gid, Mode, OFlags, Stat, Timespec, Timestamps, Uid, XattrFlags,
};
use rustix::io::Errno;

/// How deep directories are followed; each costs two descriptors.
const MAX_DEPTH: usize = 200;

/// Files with several names that are kept track of; more of them become files of their own.
const MAX_LINKED: usize = 200_000;

/// The most bytes of names, and of one value, of extended attributes (xattr(7)).
const MAX_XATTR: usize = 64 << 10;

/// Attributes that are copied along where ids stay the same: others mean something to the machine
/// or name ids in a form of their own.
const WITH_IDS: [&[u8]; 3] =
    [b"security.capability", b"system.posix_acl_access", b"system.posix_acl_default"];

/// One copy of a tree.
struct Copy<'c> {
    top: BorrowedFd<'c>,
    shift: Option<IdMapping>,
    /// Device and inode of files that have more names, with the first name in the copy.
    linked: HashMap<(u64, u64), PathBuf>,
}

/// Copies all of `from` into the empty directory `to`, its own attributes included. Where `shift`
/// is given, owners are brought from the host's ids to the container's.
pub(super) fn copy_directory(
    from: &OwnedFd,
    to: &OwnedFd,
    shift: Option<IdMapping>,
) -> io::Result<()> {
    let mut copy = Copy { top: to.as_fd(), shift, linked: HashMap::new() };
    copy.directory(from, to, Path::new(""), MAX_DEPTH)?;
    copy_attributes(from, to, shift)
}

/// Owner, mode, extended attributes and times of an open file or directory.
pub(super) fn copy_attributes(
    from: &OwnedFd,
    to: &OwnedFd,
    shift: Option<IdMapping>,
) -> io::Result<()> {
    let stat = rustix::fs::fstat(from)?;
    let (uid, gid) = owner(&stat, shift);
    rustix::fs::fchown(to, Some(uid), Some(gid))?;
    // chown(2) clears set-user-id bits and capabilities.
    rustix::fs::fchmod(to, Mode::from_raw_mode(stat.st_mode & 0o7777))?;
    copy_xattrs(from, to, shift.is_none())?;
    Ok(rustix::fs::futimens(to, &times(&stat))?)
}

impl Copy<'_> {
    fn directory(
        &mut self,
        from: &OwnedFd,
        to: &OwnedFd,
        path: &Path,
        depth: usize,
    ) -> io::Result<()> {
        if depth == 0 {
            return Err(io::Error::other("directories are nested too deep"));
        }
        let mut entries = Dir::read_from(from)?;
        while let Some(entry) = entries.read() {
            let entry = entry?;
            let name = entry.file_name();
            if name != c"." && name != c".." {
                self.entry(from, to, name, path, depth)?;
            }
        }
        Ok(())
    }

    fn entry(
        &mut self,
        from: &OwnedFd,
        to: &OwnedFd,
        name: &CStr,
        path: &Path,
        depth: usize,
    ) -> io::Result<()> {
        let stat = rustix::fs::statat(from, name, AtFlags::SYMLINK_NOFOLLOW)?;
        let path = path.join(std::ffi::OsStr::from_encoded(name));
        let open = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => {
                let source =
                    rustix::fs::openat(from, name, open | OFlags::DIRECTORY, Mode::empty())?;
                rustix::fs::mkdirat(to, name, Mode::RWXU)?;
                let target = rustix::fs::openat(to, name, open | OFlags::DIRECTORY, Mode::empty())?;
                self.directory(&source, &target, &path, depth - 1)?;
                copy_attributes(&source, &target, self.shift)
            }
            FileType::RegularFile => self.file(from, to, name, &path, &stat),
            FileType::Symlink => {
                let target = rustix::fs::readlinkat(from, name, Vec::new())?;
                rustix::fs::symlinkat(&target, to, name)?;
                self.attributes_of_name(to, name, &stat)
            }
            FileType::Fifo => {
                let mode = Mode::from_raw_mode(stat.st_mode & 0o7777);
                rustix::fs::mknodat(to, name, FileType::Fifo, mode, 0)?;
                self.attributes_of_name(to, name, &stat)?;
                Ok(rustix::fs::chmodat(to, name, mode, AtFlags::empty())?)
            }
            _ => Ok(()),
        }
    }

    fn file(
        &mut self,
        from: &OwnedFd,
        to: &OwnedFd,
        name: &CStr,
        path: &Path,
        stat: &Stat,
    ) -> io::Result<()> {
        let file = (stat.st_dev, stat.st_ino);
        if let Some(first) = self.linked.get(&file) {
            return Ok(rustix::fs::linkat(self.top, first, to, name, AtFlags::empty())?);
        }
        let open = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let source = rustix::fs::openat(from, name, open, Mode::empty())?;
        if !FileType::from_raw_mode(rustix::fs::fstat(&source)?.st_mode).is_file() {
            return Err(io::Error::other("a file was changed while it was copied"));
        }
        let make = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let target = rustix::fs::openat(to, name, make, Mode::RUSR | Mode::WUSR)?;
        let (mut source, mut target) = (std::fs::File::from(source), std::fs::File::from(target));
        io::copy(&mut source, &mut target)?;
        copy_attributes(&source.into(), &target.into(), self.shift)?;
        if stat.st_nlink > 1 && self.linked.len() < MAX_LINKED {
            self.linked.insert(file, path.to_owned());
        }
        Ok(())
    }

    /// Owner and times of what cannot be opened.
    fn attributes_of_name(&self, to: &OwnedFd, name: &CStr, stat: &Stat) -> io::Result<()> {
        let (uid, gid) = owner(stat, self.shift);
        let itself = AtFlags::SYMLINK_NOFOLLOW;
        rustix::fs::chownat(to, name, Some(uid), Some(gid), itself)?;
        Ok(rustix::fs::utimensat(to, name, &times(stat), itself)?)
    }
}

/// Names of directory entries are bytes.
trait FromEncoded {
    fn from_encoded(name: &CStr) -> &Self;
}

impl FromEncoded for std::ffi::OsStr {
    fn from_encoded(name: &CStr) -> &Self {
        std::os::unix::ffi::OsStrExt::from_bytes(name.to_bytes())
    }
}

/// The owner in the copy. An id that the container does not have stays as it is: it is nobody's
/// inside, before and after.
fn owner(stat: &Stat, shift: Option<IdMapping>) -> (Uid, Gid) {
    let brought = |id: u32| match shift {
        Some(map) if (map.host_id..map.host_id.saturating_add(map.size)).contains(&id) => {
            id - map.host_id + map.container_id
        }
        _ => id,
    };
    (Uid::from_raw(brought(stat.st_uid)), Gid::from_raw(brought(stat.st_gid)))
}

fn times(stat: &Stat) -> Timestamps {
    // The kernel's fields are signed or not, depending on the machine.
    #[allow(clippy::cast_possible_wrap, clippy::unnecessary_cast)]
    let time =
        |seconds: i64, nanoseconds: u64| Timespec { tv_sec: seconds, tv_nsec: nanoseconds as _ };
    #[allow(clippy::unnecessary_cast)]
    Timestamps {
        last_access: time(stat.st_atime as i64, stat.st_atime_nsec as u64),
        last_modification: time(stat.st_mtime as i64, stat.st_mtime_nsec as u64),
    }
}

fn copy_xattrs(from: &OwnedFd, to: &OwnedFd, with_ids: bool) -> io::Result<()> {
    let mut names = vec![0_u8; MAX_XATTR];
    let length = match rustix::fs::flistxattr(from, &mut names[..]) {
        Ok(length) => length,
        Err(Errno::NOTSUP) => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    let copied = |name: &&[u8]| name.starts_with(b"user.") || (with_ids && WITH_IDS.contains(name));
    for name in names[..length].split(|byte| *byte == 0).filter(copied) {
        let mut value = vec![0_u8; MAX_XATTR];
        let length = rustix::fs::fgetxattr(from, name, &mut value[..])?;
        match rustix::fs::fsetxattr(to, name, &value[..length], XattrFlags::empty()) {
            // A volume on a filesystem that has none.
            Ok(()) | Err(Errno::NOTSUP) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}
