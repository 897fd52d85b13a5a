//! Entries of an archive become files beneath one directory. Every path is resolved by openat2(2)
//! in that directory as if it were `/`; the last name of a path is never followed.
//!
//! Links among the parents of an entry are followed, within the directory, as umoci, containerd and
//! containers-storage do: distributions link `/lib` to `usr/lib`, and layers have files in `lib`.

mod directories;
mod displace;
mod file;
mod own;
mod special;
mod whiteout;

use std::collections::BTreeSet;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{FileType, Mode as Permissions, OFlags, ResolveFlags, Stat};
use rustix::io::Errno;

use self::directories::{Directories, Pending};
use self::own::OwnNames;
use super::archive::{Archive, Entry, Kind};
use super::error::Problem;
use super::ids::Ids;
use super::limits::Limits;
use super::path::split;
use super::stream::Chunks;
use super::{Dropped, Mode};

/// How many links to something missing are followed for one path (path_resolution(7) has the same).
const MAX_LINKS: u32 = 40;

const PATH_ONLY: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// A tree that is being written.
pub(super) struct Tree<'t> {
    root: BorrowedFd<'t>,
    mode: Mode,
    ids: &'t Ids,
    limits: &'t Limits,
    /// The directory of the last entry: most entries lie next to each other.
    parent: Option<Parent>,
    /// What is still to be done for directories.
    directories: Directories,
    /// What this layer has made; only where there are lower layers' files besides.
    own: Option<OwnNames>,
    /// Directories that hide what lower layers have there.
    opaque: BTreeSet<Vec<u8>>,
    /// Bytes of files with holes.
    sparse_bytes: u64,
    pub(super) dropped: Dropped,
}

struct Parent {
    path: Vec<u8>,
    fd: OwnedFd,
}

/// The values of an entry that are set on what was made, in terms of this host.
#[derive(Clone, Copy)]
struct Owner {
    uid: u32,
    gid: u32,
}

impl<'t> Tree<'t> {
    pub(super) fn new(root: BorrowedFd<'t>, mode: Mode, ids: &'t Ids, limits: &'t Limits) -> Self {
        Self {
            root,
            mode,
            ids,
            limits,
            parent: None,
            directories: Directories::default(),
            own: (mode == Mode::Apply).then(OwnNames::default),
            opaque: BTreeSet::new(),
            sparse_bytes: 0,
            dropped: Dropped::default(),
        }
    }

    /// Makes what an entry says. Its content is read as far as it is needed.
    pub(super) fn write<C: Chunks>(
        &mut self,
        entry: &Entry,
        archive: &mut Archive<'_, C>,
    ) -> Result<(), Problem> {
        if self.whiteout(&entry.path)? {
            return Ok(());
        }
        if entry.path.is_empty() {
            return match entry.kind {
                Kind::Directory => self.directory_attributes(entry, true),
                _ => Err(Problem::entry(b"/", "is the root of the layer and no directory")),
            };
        }
        match &entry.kind {
            Kind::File { sparse, .. } => self.file(entry, sparse.as_ref(), archive),
            Kind::Directory => self.directory(entry),
            Kind::HardLink(target) => self.hard_link(entry, target),
            Kind::Symlink(text) => self.symlink(entry, text),
            Kind::Character { major, minor } => {
                self.device(entry, FileType::CharacterDevice, *major, *minor)
            }
            Kind::Block { major, minor } => {
                self.device(entry, FileType::BlockDevice, *major, *minor)
            }
            Kind::Fifo => self.fifo(entry),
        }
    }

    /// Sets what has to wait until all entries are there. What is returned are the directories that
    /// shall be opaque.
    pub(super) fn finish(mut self) -> Result<(Vec<Vec<u8>>, Dropped), Problem> {
        self.parent = None;
        self.finish_directories()?;
        let opaque = std::mem::take(&mut self.opaque);
        let is_directory = |path: &Vec<u8>| self.open(path, PATH_ONLY | OFlags::NOFOLLOW).is_ok();
        Ok((opaque.into_iter().filter(is_directory).collect(), self.dropped))
    }

    fn directory(&mut self, entry: &Entry) -> Result<(), Problem> {
        let mode = directories::first_mode(entry.mode);
        let made =
            self.make(&entry.path, true, |parent, name| rustix::fs::mkdirat(parent, name, mode))?;
        self.directory_attributes(entry, made.is_none())
    }

    fn directory_attributes(&mut self, entry: &Entry, existed: bool) -> Result<(), Problem> {
        let owner = self.owner(entry)?;
        let xattrs = self.kept_xattrs(entry)?;
        self.directories.add(Pending::of(entry, owner, xattrs, existed))
    }

    fn owner(&self, entry: &Entry) -> Result<Owner, Problem> {
        let none = |what: &str, id: u32| {
            let message = format!("belongs to {what} {id}, which has no id on this host");
            Problem::entry(&entry.path, message)
        };
        let uid = self.ids.uid(entry.uid).ok_or_else(|| none("uid", entry.uid))?;
        let gid = self.ids.gid(entry.gid).ok_or_else(|| none("gid", entry.gid))?;
        Ok(Owner { uid, gid })
    }

    /// Makes the last name of `path` by `make`. What is there already is displaced; a directory for
    /// a directory stays, and the result is `None`.
    fn make<T>(
        &mut self,
        path: &[u8],
        is_directory: bool,
        make: impl Fn(BorrowedFd<'_>, &[u8]) -> rustix::io::Result<T>,
    ) -> Result<Option<T>, Problem> {
        let (directory, name) = split(path);
        let parent = self.parent(directory)?;
        let mut made = make(parent.fd.as_fd(), name);
        if matches!(made, Err(Errno::EXIST)) {
            if is_directory && self.is_directory(name) {
                self.remember(name);
                return Ok(None);
            }
            self.displace(path, is_directory)?;
            made = make(self.parent(directory)?.fd.as_fd(), name);
        }
        let made = made.map_err(Problem::at("make", path))?;
        self.remember(name);
        Ok(Some(made))
    }

    /// Whether `name` in the current parent is a directory itself.
    fn is_directory(&self, name: &[u8]) -> bool {
        self.stat(name).is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode).is_dir())
    }

    fn stat(&self, name: &[u8]) -> rustix::io::Result<Stat> {
        let parent = self.parent.as_ref().ok_or(Errno::BADF)?;
        rustix::fs::statat(&parent.fd, name, rustix::fs::AtFlags::SYMLINK_NOFOLLOW)
    }

    /// Keeps in mind that `name` in the current parent is this layer's.
    fn remember(&mut self, name: &[u8]) {
        if let (Some(own), Some(parent)) = (&mut self.own, &self.parent) {
            own.add(parent.fd.as_fd(), name);
        }
    }

    /// The directory `path`, made with all above it where it is missing, as the current parent.
    fn parent(&mut self, path: &[u8]) -> Result<&Parent, Problem> {
        if self.parent.as_ref().is_none_or(|parent| parent.path != path) {
            let fd = self.open_or_make(path, &mut 0)?;
            self.parent = Some(Parent { path: path.to_vec(), fd });
        }
        self.parent.as_ref().ok_or_else(|| Problem::entry(path, "has no parent"))
    }

    fn open_or_make(&mut self, path: &[u8], links: &mut u32) -> Result<OwnedFd, Problem> {
        match self.open(path, PATH_ONLY) {
            Ok(fd) => {
                self.directories.touch(self.own.is_some(), path, fd.as_fd())?;
                Ok(fd)
            }
            Err(Errno::NOENT) => self.make_parent(path, links),
            Err(errno) => Err(unusable(path, errno)),
        }
    }

    /// Makes a directory that no entry speaks of: mode 0755, root's, and older than all others,
    /// because nothing else is known of it and every unpacking shall have the same result.
    fn make_parent(&mut self, path: &[u8], links: &mut u32) -> Result<OwnedFd, Problem> {
        let (directory, name) = split(path);
        let parent = self.open_or_make(directory, links)?;
        let make = || rustix::fs::mkdirat(&parent, name, Permissions::from_raw_mode(0o755));
        let mut made = make();
        if matches!(made, Err(Errno::EXIST)) {
            if let Ok(target) = rustix::fs::readlinkat(&parent, name, Vec::new()) {
                return self.follow_missing(path, directory, target.as_bytes(), links);
            }
            if self.remove_whiteout(parent.as_fd(), path)? {
                made = make();
            }
        }
        match made {
            Ok(()) => {
                let owner = self.ids.uid(0).zip(self.ids.gid(0));
                let (uid, gid) = owner.ok_or_else(|| {
                    Problem::entry(path, "belongs to root, which has no id on this host")
                })?;
                self.directories.add(Pending::implied(path, Owner { uid, gid }))?;
            }
            // A directory after all, by way of "..".
            Err(Errno::EXIST) => {}
            Err(errno) => return Err(Problem::at("make", path)(errno)),
        }
        if let Some(own) = &mut self.own {
            own.add(parent.as_fd(), name);
        }
        self.open(path, PATH_ONLY).map_err(|errno| unusable(path, errno))
    }

    /// A link among the parents that leads to something missing: that is made.
    fn follow_missing(
        &mut self,
        path: &[u8],
        directory: &[u8],
        target: &[u8],
        links: &mut u32,
    ) -> Result<OwnedFd, Problem> {
        *links += 1;
        if *links > MAX_LINKS {
            return Err(unusable(path, Errno::LOOP));
        }
        let relative = target.iter().position(|byte| *byte != b'/').unwrap_or(target.len());
        let target = match relative {
            0 if directory.is_empty() => target.to_vec(),
            0 => [directory, b"/", target].concat(),
            _ => target[relative..].to_vec(),
        };
        self.open_or_make(&target, links)
    }

    /// Opens something that exists, with nothing followed out of the root.
    fn open(&self, path: &[u8], flags: OFlags) -> rustix::io::Result<OwnedFd> {
        open_in(self.root, path, flags)
    }
}

/// Opens `path` in `root` as if that were `/`; the empty path is the root.
pub(super) fn open_in(
    root: BorrowedFd<'_>,
    path: &[u8],
    flags: OFlags,
) -> rustix::io::Result<OwnedFd> {
    let path = if path.is_empty() { b"." } else { path };
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    loop {
        let flags = flags | OFlags::CLOEXEC;
        match rustix::fs::openat2(root, path, flags, Permissions::empty(), resolve) {
            // Something was renamed meanwhile, anywhere; the kernel asks to try again.
            Err(Errno::AGAIN | Errno::INTR) => {}
            result => return result,
        }
    }
}

/// Why a directory that entries lie in cannot be one.
fn unusable(path: &[u8], errno: Errno) -> Problem {
    match errno {
        Errno::NOTDIR => Problem::entry(path, "is no directory, and other entries lie in it"),
        Errno::LOOP => Problem::entry(path, "leads through too many symbolic links"),
        errno => Problem::at("open", path)(errno),
    }
}
