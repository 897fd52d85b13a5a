//! What is set on directories after everything is in them: times, because every entry changes them;
//! modes, because a directory may forbid to write to it, and hands its group on when it is setgid;
//! ACLs, because entries inherit them.

use std::collections::HashSet;
use std::os::fd::BorrowedFd;

use rustix::fs::{Mode as Permissions, OFlags, Timespec, Timestamps};
use rustix::io::Errno;

use super::super::archive::Entry;
use super::super::error::Problem;
use super::super::pax::Time;
use super::file::timestamps;
use super::{Owner, Tree};

/// The most bytes that all this may take: some 300,000 directories.
const MAX_BYTES: usize = 32 << 20;

pub(super) type Xattrs = Box<[(Vec<u8>, Vec<u8>)]>;

/// One directory.
pub(super) struct Pending {
    path: Box<[u8]>,
    /// `None` for a lower layer's directory that entries were put into: it gets its times back.
    set: Option<Attributes>,
    mtime: Time,
    atime: Time,
}

struct Attributes {
    owner: Owner,
    mode: u32,
    xattrs: Xattrs,
    /// Whether it was there before, and may have attributes that it shall not have.
    existed: bool,
}

impl Pending {
    pub(super) fn of(entry: &Entry, owner: Owner, xattrs: Xattrs, existed: bool) -> Self {
        Self {
            path: entry.path.as_slice().into(),
            set: Some(Attributes { owner, mode: entry.mode, xattrs, existed }),
            mtime: entry.mtime,
            atime: entry.atime.unwrap_or(entry.mtime),
        }
    }

    pub(super) fn implied(path: &[u8], owner: Owner) -> Self {
        let set = Attributes { owner, mode: 0o755, xattrs: Xattrs::default(), existed: false };
        let (mtime, atime) = (Time::default(), Time::default());
        Self { path: path.into(), set: Some(set), mtime, atime }
    }

    fn bytes(&self) -> usize {
        let xattrs = self.set.iter().flat_map(|set| set.xattrs.iter());
        let xattrs = xattrs.map(|(name, value)| name.len() + value.len() + 48).sum::<usize>();
        size_of::<Self>() + self.path.len() + xattrs
    }
}

/// All of them, in the order of the archive.
#[derive(Default)]
pub(super) struct Directories {
    list: Vec<Pending>,
    bytes: usize,
    touched: HashSet<(u64, u64)>,
}

impl Directories {
    pub(super) fn add(&mut self, pending: Pending) -> Result<(), Problem> {
        self.bytes += pending.bytes();
        if self.bytes > MAX_BYTES {
            let limit = format!("{MAX_BYTES} bytes of directories' names and attributes");
            return Err(Problem::limit("more than", limit, &pending.path));
        }
        self.list.push(pending);
        Ok(())
    }

    /// Entries are about to be put into a directory, which is a lower layer's in this `apply`.
    pub(super) fn touch(
        &mut self,
        apply: bool,
        path: &[u8],
        directory: BorrowedFd<'_>,
    ) -> Result<(), Problem> {
        if !apply {
            return Ok(());
        }
        let stat = rustix::fs::fstat(directory).map_err(Problem::at("inspect", path))?;
        if !self.touched.insert((stat.st_dev, stat.st_ino)) {
            return Ok(());
        }
        let time = |seconds, nanoseconds: u64| Time {
            seconds,
            nanoseconds: u32::try_from(nanoseconds).unwrap_or_default(),
        };
        self.add(Pending {
            path: path.into(),
            set: None,
            mtime: time(stat.st_mtime, stat.st_mtime_nsec),
            atime: time(stat.st_atime, stat.st_atime_nsec),
        })
    }

    /// One for each path, the deepest first: what is said of a directory may forbid to open those in
    /// it. The last entry of a path counts, and an entry more than what was there before.
    fn in_order(self) -> impl Iterator<Item = Pending> {
        let mut list = self.list;
        list.sort_by(|one, other| {
            let key = |pending: &Pending| pending.set.is_some();
            other.path.cmp(&one.path).then(key(one).cmp(&key(other)))
        });
        let mut list = list.into_iter().peekable();
        std::iter::from_fn(move || {
            let mut pending = list.next()?;
            while let Some(later) = list.next_if(|later| later.path == pending.path) {
                pending = later;
            }
            Some(pending)
        })
    }
}

/// The mode that a directory has while entries are put into it: the final one where that is
/// harmless.
pub(super) fn first_mode(mode: u32) -> Permissions {
    let harmless = mode & 0o7000 == 0 && mode & 0o700 == 0o700;
    Permissions::from_raw_mode(if harmless { mode } else { 0o700 })
}

impl Tree<'_> {
    pub(super) fn finish_directories(&mut self) -> Result<(), Problem> {
        for pending in std::mem::take(&mut self.directories).in_order() {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW;
            let fd = match self.open(&pending.path, flags) {
                // Something else has taken its place since.
                Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => continue,
                opened => opened.map_err(Problem::at("open", &pending.path))?,
            };
            let Pending { path, set, mtime, atime } = pending;
            if let Some(Attributes { owner, mode, xattrs, existed }) = set {
                if existed {
                    remove_other_xattrs(&fd, &xattrs).map_err(Problem::at("change", &path))?;
                }
                self.own_and_mode(&fd, &path, owner, mode)?;
                self.set_xattrs(&fd, &path, &xattrs)?;
            }
            let times = Timestamps { last_access: time(atime), last_modification: time(mtime) };
            rustix::fs::futimens(&fd, &times).map_err(Problem::at("set the times of", &path))?;
        }
        Ok(())
    }
}

fn time(time: Time) -> Timespec {
    timestamps(time, None).last_modification
}

/// What an entry says of a directory is all that there is to it: attributes that a lower layer gave
/// it would be gone in an overlay, too. Other kinds of attributes are the host's own.
fn remove_other_xattrs(fd: &rustix::fd::OwnedFd, kept: &Xattrs) -> rustix::io::Result<()> {
    /// Bytes of all names (`XATTR_LIST_MAX`, linux/limits.h).
    const LONGEST: usize = 64 << 10;
    let mut names = vec![0_u8; LONGEST];
    let length = match rustix::fs::flistxattr(fd, names.as_mut_slice()) {
        Err(Errno::OPNOTSUPP) => return Ok(()),
        length => length?,
    };
    let is_kept = |name: &[u8]| kept.iter().any(|(kept, _)| kept == name);
    let is_ours = |name: &[u8]| super::super::xattr::is_kept(name, super::super::Mode::Apply);
    let names = names[..length].split(|byte| *byte == 0).filter(|name| !name.is_empty());
    for name in names.filter(|name| is_ours(name) && !is_kept(name)) {
        rustix::fs::fremovexattr(fd, name)?;
    }
    Ok(())
}
