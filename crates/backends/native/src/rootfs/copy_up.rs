//! `tmpcopyup`: a new tmpfs starts with a copy of what the directory it covers holds.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, Dir, FileType, Gid, Mode, OFlags, Stat, Uid};

/// How deep directories are followed; an image may hold anything.
const DEPTH_MAX: u32 = 64;

/// Copies the content of the directory `from` into `to`: files, directories, links and nodes with
/// their owners and modes. No link is followed.
pub(super) fn copy_up(from: &OwnedFd, to: BorrowedFd<'_>) -> io::Result<()> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    // The mount point is held by an O_PATH descriptor, which cannot be listed.
    let from = rustix::fs::openat(from, ".", flags, Mode::empty())?;
    copy_directory(&from, to, DEPTH_MAX)
}

fn copy_directory(from: &OwnedFd, to: BorrowedFd<'_>, depth: u32) -> io::Result<()> {
    if depth == 0 {
        return Err(io::Error::other("directories are nested too deep"));
    }
    let mut entries = Dir::read_from(from)?;
    while let Some(entry) = entries.read() {
        let entry = entry?;
        let name = entry.file_name();
        if name != c"." && name != c".." {
            copy_entry(from.as_fd(), to, name, depth)?;
        }
    }
    Ok(())
}

fn copy_entry(from: BorrowedFd<'_>, to: BorrowedFd<'_>, name: &CStr, depth: u32) -> io::Result<()> {
    let stat = rustix::fs::statat(from, name, AtFlags::SYMLINK_NOFOLLOW)?;
    let mode = Mode::from_raw_mode(stat.st_mode & 0o7777);
    let open = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::Symlink => {
            let target = rustix::fs::readlinkat(from, name, Vec::new())?;
            rustix::fs::symlinkat(&target, to, name)?;
            return own(to, name, &stat);
        }
        FileType::Directory => {
            rustix::fs::mkdirat(to, name, mode)?;
            let source = rustix::fs::openat(from, name, open | OFlags::DIRECTORY, Mode::empty())?;
            let target = rustix::fs::openat(to, name, open | OFlags::DIRECTORY, Mode::empty())?;
            copy_directory(&source, target.as_fd(), depth - 1)?;
        }
        FileType::RegularFile => {
            let source = rustix::fs::openat(from, name, open, Mode::empty())?;
            let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
            let target = rustix::fs::openat(to, name, flags, mode)?;
            io::copy(&mut std::fs::File::from(source), &mut std::fs::File::from(target))?;
        }
        // A socket without its server means nothing.
        FileType::Socket => return Ok(()),
        kind => rustix::fs::mknodat(to, name, kind, mode, stat.st_rdev)?,
    }
    own(to, name, &stat)?;
    // chown(2) clears set-user-id bits.
    Ok(rustix::fs::chmodat(to, name, mode, AtFlags::empty())?)
}

fn own(to: BorrowedFd<'_>, name: &CStr, stat: &Stat) -> io::Result<()> {
    let (uid, gid) = (Uid::from_raw(stat.st_uid), Gid::from_raw(stat.st_gid));
    Ok(rustix::fs::chownat(to, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)?)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::path::Path;

    use super::*;

    fn open(path: &Path) -> OwnedFd {
        rustix::fs::open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).unwrap()
    }

    #[test]
    fn everything_arrives_and_links_stay_links() {
        let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        std::fs::create_dir_all(from.path().join("a/b")).unwrap();
        std::fs::write(from.path().join("a/b/file"), "text").unwrap();
        std::fs::set_permissions(from.path().join("a/b/file"), PermissionsExt::from_mode(0o4751))
            .unwrap();
        symlink("/etc/passwd", from.path().join("link")).unwrap();
        copy_up(&open(from.path()), open(to.path()).as_fd()).unwrap();
        let file = to.path().join("a/b/file");
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "text");
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o7777, 0o4751);
        assert_eq!(std::fs::read_link(to.path().join("link")).unwrap(), Path::new("/etc/passwd"));
    }
}
