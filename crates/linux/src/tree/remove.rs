//! Removing a tree that a container made: of any depth, with immutable files and nested subvolumes.

use std::ffi::{CStr, CString, OsStr};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FileType, IFlags, Mode, OFlags, RawDir, unlinkat};
use rustix::io::Errno;

use super::{TreeError, open_directory};
use crate::btrfs;

/// How many of the directories on the way down are held open; those above are found again by `..`,
/// and are recognised.
const HELD: usize = 64;
/// How many directories of one directory are remembered before they are worked off.
const REMEMBERED: usize = 4096;
/// How often a directory is read to its end and found not to be empty after all.
const PATIENCE: u32 = 32;

/// Removes `name` in `parent`, whatever it is, with everything below. That it is missing is fine.
///
/// Immutable and append-only flags are taken off, subvolumes of btrfs destroyed. What is a mount
/// point in this mount namespace stays, and is an error (EXDEV).
///
/// # Errors
/// [`TreeError`]; what could be removed until then is gone.
pub fn remove(parent: impl AsFd, name: &OsStr) -> Result<(), TreeError> {
    let parent = parent.as_fd();
    let top = CString::new(name.as_bytes())
        .map_err(|_| TreeError::new("remove", Path::new(name), Errno::INVAL))?;
    let mut removal = Removal { parent, frames: Vec::new() };
    removal.enter(top)?;
    while let Some(frame) = removal.frames.last_mut() {
        match frame.directories.pop() {
            Some(name) => removal.enter(name)?,
            None if frame.is_read => removal.leave()?,
            None => removal.read()?,
        }
    }
    Ok(())
}

struct Removal<'a> {
    parent: BorrowedFd<'a>,
    frames: Vec<Frame>,
}

/// A directory on the way down.
struct Frame {
    name: CString,
    /// Device and inode.
    identity: (u64, u64),
    /// Open, unless it is far above.
    fd: Option<OwnedFd>,
    /// Its directories that are still to be removed.
    directories: Vec<CString>,
    /// Read to the end; all but `directories` is gone.
    is_read: bool,
    rounds: u32,
}

impl Removal<'_> {
    /// The innermost directory.
    fn here(&self) -> BorrowedFd<'_> {
        self.frames.last().and_then(|frame| frame.fd.as_ref()).map_or(self.parent, AsFd::as_fd)
    }

    fn error(&self, what: &'static str, name: &CStr, errno: Errno) -> TreeError {
        let names = self.frames.iter().map(|frame| frame.name.as_c_str()).chain([name]);
        let path: PathBuf = names.map(|name| OsStr::from_bytes(name.to_bytes())).collect();
        TreeError::new(what, &path, errno)
    }

    /// Goes down into a directory, unless it is gone at once: a subvolume, or no directory.
    fn enter(&mut self, name: CString) -> Result<(), TreeError> {
        let path = Path::new(OsStr::from_bytes(name.to_bytes()));
        let fd = match open_directory(self.here(), path) {
            Ok(fd) => fd,
            Err(Errno::NOENT) => return Ok(()),
            Err(Errno::NOTDIR | Errno::LOOP) => {
                return remove_file(self.here(), &name)
                    .map_err(|errno| self.error("remove", &name, errno));
            }
            Err(errno) => return Err(self.error("enter", &name, errno)),
        };
        let stat = rustix::fs::fstat(&fd).map_err(|errno| self.error("enter", &name, errno))?;
        if stat.st_ino == btrfs::SUBVOLUME_INODE && btrfs::is_btrfs(&fd).unwrap_or(false) {
            if btrfs::destroy_subvolume(self.here(), path.as_os_str()).is_ok() {
                return Ok(());
            }
            // There are others in it. Where it stays read-only the first file will tell.
            let _ = btrfs::make_writable(&fd);
        }
        if let Some(far) = self.frames.len().checked_sub(HELD) {
            self.frames[far].fd = None;
        }
        let identity = (stat.st_dev, stat.st_ino);
        let directories = Vec::new();
        self.frames.push(Frame {
            name,
            identity,
            fd: Some(fd),
            directories,
            is_read: false,
            rounds: 0,
        });
        Ok(())
    }

    /// Removes the files of the innermost directory and notes its directories.
    fn read(&mut self) -> Result<(), TreeError> {
        let mut directories = Vec::new();
        let mut buffer = [const { MaybeUninit::<u8>::uninit() }; 16 * 1024];
        let here = self.here();
        rustix::fs::seek(here, rustix::fs::SeekFrom::Start(0))
            .map_err(|errno| self.error("read", c"", errno))?;
        let mut entries = RawDir::new(here, &mut buffer);
        let is_read = loop {
            let Some(entry) = entries.next() else { break true };
            let entry = entry.map_err(|errno| self.error("read", c"", errno))?;
            let name = entry.file_name();
            if name == c"." || name == c".." {
                continue;
            }
            let is_directory = entry.file_type() == FileType::Directory
                || match remove_file(here, name) {
                    Ok(()) => false,
                    Err(Errno::ISDIR) => true,
                    Err(errno) => return Err(self.error("remove", name, errno)),
                };
            if is_directory {
                directories.push(name.to_owned());
                if directories.len() == REMEMBERED {
                    break false;
                }
            }
        };
        if let Some(frame) = self.frames.last_mut() {
            (frame.directories, frame.is_read) = (directories, is_read);
        }
        Ok(())
    }

    /// Goes back up and removes the directory, which is empty by now.
    fn leave(&mut self) -> Result<(), TreeError> {
        let Some(mut frame) = self.frames.pop() else { return Ok(()) };
        self.reopen(&frame)?;
        match unlinkat(self.here(), frame.name.as_c_str(), AtFlags::REMOVEDIR) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(Errno::NOTEMPTY) if frame.rounds < PATIENCE => {
                (frame.is_read, frame.rounds) = (false, frame.rounds + 1);
                self.frames.push(frame);
                Ok(())
            }
            Err(Errno::PERM | Errno::ACCESS) if frame.rounds < PATIENCE => {
                // Its own flag, or its parent's.
                let own = frame.fd.as_ref().is_some_and(|fd| take_off_flags(fd.as_fd()));
                if !own && !take_off_flags(self.here()) {
                    return Err(self.error("remove", &frame.name, Errno::PERM));
                }
                frame.rounds += 1;
                self.frames.push(frame);
                Ok(())
            }
            Err(errno) => Err(self.error("remove", &frame.name, errno)),
        }
    }

    /// Makes sure that the innermost directory is open, whose child `frame` was.
    fn reopen(&mut self, frame: &Frame) -> Result<(), TreeError> {
        let Some(last) = self.frames.last() else { return Ok(()) };
        if last.fd.is_some() {
            return Ok(());
        }
        let back = |errno| self.error("go back from", &frame.name, errno);
        let child = frame.fd.as_ref().ok_or_else(|| back(Errno::BADF))?;
        let fd = open_directory(child.as_fd(), Path::new("..")).map_err(back)?;
        let stat = rustix::fs::fstat(&fd).map_err(back)?;
        if (stat.st_dev, stat.st_ino) != last.identity {
            // Somebody moved it: what is there now is none of our business.
            return Err(back(Errno::STALE));
        }
        if let Some(last) = self.frames.last_mut() {
            last.fd = Some(fd);
        }
        Ok(())
    }
}

/// Removes what is no directory. EISDIR where it is one.
fn remove_file(directory: BorrowedFd<'_>, name: &CStr) -> Result<(), Errno> {
    match unlinkat(directory, name, AtFlags::empty()) {
        Err(Errno::NOENT) => Ok(()),
        Err(Errno::PERM | Errno::ACCESS) => {
            let mut cleared = take_off_flags(directory);
            cleared |= take_off_flags_of(directory, name)?;
            if !cleared {
                return Err(Errno::PERM);
            }
            unlinkat(directory, name, AtFlags::empty())
        }
        result => result,
    }
}

/// Flags of a file. Only regular ones are opened: opening another can have effects.
fn take_off_flags_of(directory: BorrowedFd<'_>, name: &CStr) -> Result<bool, Errno> {
    let stat = rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW)?;
    match FileType::from_raw_mode(stat.st_mode) {
        // Some filesystems answer EPERM for a directory (POSIX does).
        FileType::Directory => Err(Errno::ISDIR),
        FileType::RegularFile => {
            let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
            let file = rustix::fs::openat(directory, name, flags, Mode::empty())?;
            Ok(take_off_flags(file.as_fd()))
        }
        _ => Ok(false),
    }
}

/// Takes immutable and append-only off (ioctl_iflags(2)); says whether one was set.
fn take_off_flags(file: BorrowedFd<'_>) -> bool {
    let Ok(flags) = rustix::fs::ioctl_getflags(file) else { return false };
    let guards = IFlags::IMMUTABLE | IFlags::APPEND;
    flags.intersects(guards) && rustix::fs::ioctl_setflags(file, flags - guards).is_ok()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::process::Command;

    use super::*;

    struct Here(tempfile::TempDir);

    impl Here {
        fn new() -> Self {
            Self(tempfile::tempdir().unwrap())
        }

        fn remove(&self, name: &str) -> Result<(), TreeError> {
            let dir = std::fs::File::open(self.0.path()).unwrap();
            remove(&dir, OsStr::new(name))
        }

        fn path(&self, name: &str) -> PathBuf {
            self.0.path().join(name)
        }

        fn shell(&self, script: &str) {
            let status =
                Command::new("bash").args(["-euc", script]).current_dir(self.0.path()).status();
            assert!(status.unwrap().success(), "{script}");
        }
    }

    #[test]
    fn links_are_not_followed() {
        let here = Here::new();
        here.shell("mkdir -p keep tree/a; echo x >keep/file; ln -s ../keep tree/link");
        here.shell("ln -s $PWD/keep tree/a/absolute; ln keep/file tree/hard; mkfifo tree/fifo");
        here.remove("tree").unwrap();
        assert!(!here.path("tree").exists() && here.path("keep/file").exists());
        symlink("keep", here.path("link")).unwrap();
        here.remove("link").unwrap();
        here.remove("link").unwrap();
        assert!(here.path("keep/file").exists());
    }

    /// Deeper than any path can be long, and than descriptors there may be.
    #[test]
    fn any_depth() {
        let here = Here::new();
        std::fs::create_dir(here.path("tree")).unwrap();
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let mut fd = rustix::fs::open(here.path("tree"), flags, Mode::empty()).unwrap();
        for level in 0..5000 {
            let name = "a-rather-long-name-of-a-directory";
            rustix::fs::mkdirat(&fd, name, Mode::from_raw_mode(0o700)).unwrap();
            if level % 500 == 0 {
                rustix::fs::mkdirat(&fd, "beside", Mode::from_raw_mode(0)).unwrap();
            }
            fd = rustix::fs::openat(&fd, name, flags, Mode::empty()).unwrap();
        }
        here.remove("tree").unwrap();
        assert!(!here.path("tree").exists());
    }

    #[test]
    fn many_entries() {
        let here = Here::new();
        here.shell("mkdir tree; cd tree; seq 9000 | xargs mkdir; seq -f f%g 3000 | xargs touch");
        here.remove("tree").unwrap();
        assert!(!here.path("tree").exists());
    }

    #[test]
    fn flags_are_taken_off() {
        let here = Here::new();
        here.shell("mkdir -p tree/a/b; echo x >tree/a/b/file; echo y >tree/a/log");
        here.shell("chattr +i tree/a/b/file; chattr +a tree/a/log; chattr +i tree/a/b tree/a tree");
        here.remove("tree").unwrap();
        assert!(!here.path("tree").exists());
    }

    #[test]
    fn a_mount_below_is_left_alone() {
        let here = Here::new();
        here.shell("mkdir -p tree/a keep; echo x >keep/file; mount --bind keep tree/a");
        let error = here.remove("tree").unwrap_err();
        here.shell("umount tree/a");
        assert_eq!(error.source.raw_os_error(), Some(libc::EXDEV));
        assert_eq!(error.path, Path::new("tree/a"));
        assert!(here.path("keep/file").exists());
    }
}
