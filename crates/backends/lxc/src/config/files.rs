//! What a plan has to know of the file systems, as a trait: tests and fuzzing answer without any.

use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Component, Path, PathBuf};

use lxcri_linux::beneath::Root;
use lxcri_linux::namespace::{Handle, Kind};
use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;

/// Questions about the host's paths and the root file system.
pub trait Files {
    /// Whether the source of a bind mount is a directory; links are followed.
    fn is_directory(&self, source: &Path) -> io::Result<bool>;

    /// Where an absolute path inside the root file system really leads, links followed inside it.
    fn destination(&self, path: &Path) -> io::Result<Destination>;

    /// The device node of the host at a path; `None` where there is none.
    fn device(&self, path: &Path) -> io::Result<Option<HostDevice>>;

    /// Whether the namespace at a path is our own; an error where it is none of that kind.
    fn is_own_namespace(&self, kind: Kind, path: &Path) -> io::Result<bool>;
}

/// A place in the root file system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destination {
    /// From the root file system's `/`, without links, `.` or `..`.
    pub path: PathBuf,
    /// What is there now.
    pub found: Option<Found>,
}

/// What a destination is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// A directory, with its mode bits.
    Directory(u32),
    /// Anything else.
    Other,
}

/// A device node of the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostDevice {
    /// Block, not character.
    pub is_block: bool,
    /// Major number.
    pub major: u32,
    /// Minor number.
    pub minor: u32,
}

/// The real file systems, with the root file system at a directory.
#[derive(Debug)]
pub struct OnDisk {
    root: Root,
    at: PathBuf,
}

impl OnDisk {
    /// Opens the root file system.
    pub fn open(rootfs: &Path) -> io::Result<Self> {
        let root = Root::open(rootfs)?;
        let at = place_of(&root.open_existing(Path::new("/"), OFlags::PATH)?)?;
        Ok(Self { root, at })
    }

    /// Where an existing path leads, and what is there.
    fn existing(&self, path: &Path) -> io::Result<(PathBuf, Found)> {
        let fd = self.root.open_existing(path, OFlags::PATH)?;
        let stat = rustix::fs::fstat(&fd)?;
        let found = match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => Found::Directory(stat.st_mode & 0o7777),
            _ => Found::Other,
        };
        let place = place_of(&fd)?;
        let inside = place.strip_prefix(&self.at).map_err(|_| {
            io::Error::other(format!("{} was moved out of the root file system", path.display()))
        })?;
        Ok((Path::new("/").join(inside), found))
    }
}

/// The path of an open file, by the kernel.
fn place_of(fd: &impl AsRawFd) -> io::Result<PathBuf> {
    std::fs::read_link(format!("/proc/self/fd/{}", fd.as_raw_fd()))
}

impl Files for OnDisk {
    fn is_directory(&self, source: &Path) -> io::Result<bool> {
        Ok(std::fs::metadata(source)?.is_dir())
    }

    fn destination(&self, path: &Path) -> io::Result<Destination> {
        let names: Vec<_> =
            path.components().filter(|c| matches!(c, Component::Normal(_))).collect();
        for existing in (0..=names.len()).rev() {
            let head: PathBuf = Path::new("/").join(names[..existing].iter().collect::<PathBuf>());
            match self.existing(&head) {
                Ok((place, found)) if existing == names.len() => {
                    return Ok(Destination { path: place, found: Some(found) });
                }
                Ok((place, _)) => {
                    let next = place.join(names[existing]);
                    // What looks missing may be a link to something missing, and LXC follows it.
                    if self.root.open_existing(&next, OFlags::PATH | OFlags::NOFOLLOW).is_ok() {
                        return Err(io::Error::other("a link on the way leads nowhere"));
                    }
                    let rest: PathBuf = names[existing..].iter().collect();
                    return Ok(Destination { path: place.join(rest), found: None });
                }
                Err(error) if Errno::from_io_error(&error) == Some(Errno::NOENT) => {}
                Err(error) => return Err(error),
            }
        }
        Err(Errno::NOENT.into())
    }

    fn device(&self, path: &Path) -> io::Result<Option<HostDevice>> {
        let metadata = match std::fs::metadata(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other?,
        };
        let kind = metadata.file_type();
        if !kind.is_block_device() && !kind.is_char_device() {
            return Ok(None);
        }
        let (major, minor) =
            (rustix::fs::major(metadata.rdev()), rustix::fs::minor(metadata.rdev()));
        Ok(Some(HostDevice { is_block: kind.is_block_device(), major, minor }))
    }

    fn is_own_namespace(&self, kind: Kind, path: &Path) -> io::Result<bool> {
        let fd = rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
        let handle = Handle { kind, fd };
        handle.check_kind().map_err(io::Error::other)?;
        handle.is_own()
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn links_stay_inside() {
        let directory = tempfile::tempdir().unwrap();
        let rootfs = directory.path().join("rootfs");
        std::fs::create_dir_all(rootfs.join("run/lock")).unwrap();
        std::fs::create_dir(rootfs.join("var")).unwrap();
        std::fs::write(rootfs.join("file"), "").unwrap();
        symlink("/run", rootfs.join("var/run")).unwrap();
        symlink("../../../..", rootfs.join("var/up")).unwrap();
        symlink("/nothing/here", rootfs.join("dangling")).unwrap();
        let files = OnDisk::open(&rootfs).unwrap();
        let at = |path: &str| files.destination(Path::new(path)).map(|d| (d.path, d.found));
        let directory = Some(Found::Directory(0o755));
        let table = [
            ("/", "/", directory),
            ("/run/lock", "/run/lock", directory),
            ("/var/run/lock", "/run/lock", directory),
            ("/var/run/new/one", "/run/new/one", None),
            ("/var/up/file", "/file", Some(Found::Other)),
            ("/new", "/new", None),
        ];
        for (path, wanted, found) in table {
            assert_eq!(at(path).unwrap(), (wanted.into(), found), "{path}");
        }
        for path in ["/dangling", "/dangling/x"] {
            assert!(at(path).unwrap_err().to_string().contains("leads nowhere"), "{path}");
        }
        assert!(at("/file/x").is_err(), "a file is no directory");
    }

    #[test]
    fn devices_of_the_host() {
        let files = OnDisk::open(Path::new("/")).unwrap();
        let null = files.device(Path::new("/dev/null")).unwrap();
        assert_eq!(null, Some(HostDevice { is_block: false, major: 1, minor: 3 }));
        for path in ["/nonexistent", "/etc/passwd", "/"] {
            assert_eq!(files.device(Path::new(path)).unwrap(), None, "{path}");
        }
        assert!(files.is_directory(Path::new("/etc")).unwrap());
        assert!(!files.is_directory(Path::new("/etc/passwd")).unwrap());
        assert!(files.is_directory(Path::new("/nonexistent")).is_err());
    }
}
