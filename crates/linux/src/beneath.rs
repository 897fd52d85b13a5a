//! Paths inside a root that is not ours: nothing an image, bundle or container wrote (`..`,
//! symlinks, magic links) leads outside (openat2(2), `RESOLVE_IN_ROOT`).

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

/// How often a path may be rewritten because of a symlink to something that does not exist yet;
/// the kernel's own limit (path_resolution(7)).
const MAX_LINKS: usize = 40;

/// A directory that paths are resolved in, as if it were `/`.
#[derive(Debug)]
pub struct Root(OwnedFd);

const PATH_ONLY: OFlags = OFlags::PATH.union(OFlags::CLOEXEC);

impl Root {
    /// Opens a directory of the host.
    pub fn open(path: &Path) -> io::Result<Self> {
        Ok(Self(rustix::fs::open(path, PATH_ONLY | OFlags::DIRECTORY, Mode::empty())?))
    }

    /// Takes over an open directory.
    pub fn from_fd(fd: OwnedFd) -> Self {
        Self(fd)
    }

    /// Opens an existing path. Symlinks are followed inside the root, magic links never.
    pub fn open_existing(&self, path: &Path, flags: OFlags) -> io::Result<OwnedFd> {
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        let path = below(path);
        loop {
            match rustix::fs::openat2(
                &self.0,
                &path,
                flags | OFlags::CLOEXEC,
                Mode::empty(),
                resolve,
            ) {
                // A rename on the way made the walk unsafe; the kernel asks to try again.
                Err(Errno::AGAIN | Errno::INTR) => {}
                result => return Ok(result?),
            }
        }
    }

    /// A directory, made with all its parents (mode 0755) where it is missing.
    pub fn make_directory(&self, path: &Path) -> io::Result<OwnedFd> {
        self.make(path, &|parent, name| {
            Ok(rustix::fs::mkdirat(parent, name, Mode::from_raw_mode(0o755))?)
        })
    }

    /// A file to mount something onto, made (empty, mode 0644) where it is missing.
    pub fn make_file(&self, path: &Path) -> io::Result<OwnedFd> {
        self.make(path, &|parent, name| {
            let flags = OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let mode = Mode::from_raw_mode(0o644);
            rustix::fs::openat(parent, name, flags | OFlags::WRONLY, mode)?;
            Ok(())
        })
    }

    /// The parent directory of `path`, made where missing, and the last name.
    pub fn make_parent<'p>(&self, path: &'p Path) -> io::Result<(OwnedFd, &'p OsStr)> {
        let name = path.file_name().ok_or_else(|| io::Error::from(Errno::INVAL))?;
        let parent = path.parent().unwrap_or_else(|| Path::new("/"));
        Ok((self.make_directory(parent)?, name))
    }

    /// Opens `path`, making what is missing: parents as directories, the last name by `make_last`.
    fn make(
        &self,
        path: &Path,
        make_last: &dyn Fn(BorrowedFd<'_>, &OsStr) -> io::Result<()>,
    ) -> io::Result<OwnedFd> {
        let mut path = below(path);
        for _ in 0..MAX_LINKS {
            match self.open_existing(&path, PATH_ONLY) {
                Err(error) if error.raw_os_error() == Some(libc::ENOENT) => {}
                result => return result,
            }
            match self.make_first_missing(&path, make_last)? {
                None => {}
                Some(rewritten) => path = rewritten,
            }
        }
        // As many missing components as links allowed is no honest path either.
        Err(Errno::LOOP.into())
    }

    /// Makes the first missing component of `path`, or says what the path is when that component
    /// is a symlink to something missing.
    fn make_first_missing(
        &self,
        path: &Path,
        make_last: &dyn Fn(BorrowedFd<'_>, &OsStr) -> io::Result<()>,
    ) -> io::Result<Option<PathBuf>> {
        let components: Vec<_> = path.components().collect();
        let mut parent = PathBuf::from(".");
        for (index, component) in components.iter().enumerate() {
            let here = parent.join(component);
            let rest: PathBuf = components[index + 1..].iter().collect();
            match self.open_existing(&here, PATH_ONLY) {
                Ok(_) => parent = here,
                Err(error) if error.raw_os_error() == Some(libc::ENOENT) => {
                    let directory = self.open_existing(&parent, PATH_ONLY | OFlags::DIRECTORY)?;
                    let Component::Normal(name) = component else {
                        return Err(Errno::INVAL.into());
                    };
                    if let Ok(target) = rustix::fs::readlinkat(&directory, *name, Vec::new()) {
                        let target = Path::new(OsStr::from_bytes(target.as_bytes()));
                        return Ok(Some(below(&parent.join(target).join(rest))));
                    }
                    return self
                        .make_component(&directory, name, rest.as_os_str().is_empty(), make_last)
                        .map(|()| None);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    fn make_component(
        &self,
        directory: &OwnedFd,
        name: &OsStr,
        is_last: bool,
        make_last: &dyn Fn(BorrowedFd<'_>, &OsStr) -> io::Result<()>,
    ) -> io::Result<()> {
        let made = if is_last {
            make_last(directory.as_fd(), name)
        } else {
            rustix::fs::mkdirat(directory, name, Mode::from_raw_mode(0o755)).map_err(Into::into)
        };
        match made {
            // Somebody else was faster: the next look will tell what it is.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            result => result,
        }
    }
}

impl AsFd for Root {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// The path without a leading `/`, which openat2(2) resolves in the root all the same; "." for the
/// root itself.
fn below(path: &Path) -> PathBuf {
    let relative: PathBuf =
        path.components().filter(|part| !matches!(part, Component::RootDir)).collect();
    if relative.as_os_str().is_empty() { PathBuf::from(".") } else { relative }
}

/// A path from `/` by its letters alone: without `.`, `..` and doubled slashes; `..` above the root is
/// the root.
pub fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::from("/");
    for component in path.components() {
        match component {
            Component::Normal(name) => normal.push(name),
            Component::ParentDir => {
                normal.pop();
            }
            _ => {}
        }
    }
    normal
}

/// Type of an open file, from fstat(2).
pub fn is_directory(fd: impl AsFd) -> io::Result<bool> {
    let mode = rustix::fs::fstat(fd.as_fd())?.st_mode;
    Ok(rustix::fs::FileType::from_raw_mode(mode).is_dir())
}

/// Whether a host path is a directory, following symlinks.
pub fn host_path_is_directory(path: &Path) -> io::Result<bool> {
    let mode = rustix::fs::statat(CWD, path, AtFlags::empty())?.st_mode;
    Ok(rustix::fs::FileType::from_raw_mode(mode).is_dir())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn fixture() -> (tempfile::TempDir, Root) {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("root")).unwrap();
        let root = Root::open(&dir.path().join("root")).unwrap();
        (dir, root)
    }

    #[test]
    fn makes_directories_and_files_inside() {
        let (dir, root) = fixture();
        root.make_directory(Path::new("/a/b/c")).unwrap();
        root.make_file(Path::new("a/b/file")).unwrap();
        root.make_file(Path::new("a/b/file")).unwrap();
        assert!(dir.path().join("root/a/b/c").is_dir());
        assert!(dir.path().join("root/a/b/file").is_file());
        assert!(root.make_directory(Path::new("a/b/file/x")).is_err());
    }

    #[test]
    fn nothing_leads_outside() {
        let (dir, root) = fixture();
        let inside = dir.path().join("root");
        std::fs::create_dir(dir.path().join("secret")).unwrap();
        symlink(dir.path().join("secret"), inside.join("absolute")).unwrap();
        symlink("../secret", inside.join("relative")).unwrap();
        symlink("../../../../..", inside.join("up")).unwrap();
        for path in ["absolute/x", "relative/x", "up/x", "../x", "../../secret/x", "/../x"] {
            // Whether it is made inside or refused: never outside.
            let _ = root.make_directory(Path::new(path));
            let _ = root.make_file(Path::new(&format!("{path}f")));
        }
        assert_eq!(std::fs::read_dir(dir.path().join("secret")).unwrap().count(), 0);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 2, "only root and secret");
        assert!(inside.join("x").is_dir(), "a link above the root ends at the root");
    }

    #[test]
    fn a_dangling_link_is_followed_inside() {
        let (dir, root) = fixture();
        let inside = dir.path().join("root");
        std::fs::create_dir(inside.join("var")).unwrap();
        symlink("/run", inside.join("var/run")).unwrap();
        root.make_directory(Path::new("/var/run/app")).unwrap();
        assert!(inside.join("run/app").is_dir());
        symlink("loop", inside.join("loop")).unwrap();
        assert!(root.make_directory(Path::new("/loop/x")).is_err());
    }

    #[test]
    fn magic_links_are_not_followed() {
        let root = Root::open(Path::new("/proc")).unwrap();
        assert!(root.open_existing(Path::new("self/cwd"), PATH_ONLY).is_err());
    }
}
