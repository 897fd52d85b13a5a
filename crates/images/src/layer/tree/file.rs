//! Files, and what every kind of entry has: owner, mode, extended attributes, times.

use std::os::fd::AsFd;

use rustix::fs::{Gid, Mode as Permissions, OFlags, Timespec, Timestamps, Uid, XattrFlags};
use rustix::io::Errno;

use super::super::archive::{Archive, Entry};
use super::super::error::Problem;
use super::super::pax::Time;
use super::super::sparse::Sparse;
use super::super::stream::Chunks;
use super::super::xattr;
use super::directories::Xattrs;
use super::{Owner, Tree};

impl Tree<'_> {
    pub(super) fn file<C: Chunks>(
        &mut self,
        entry: &Entry,
        sparse: Option<&Sparse>,
        archive: &mut Archive<'_, C>,
    ) -> Result<(), Problem> {
        let owner = self.owner(entry)?;
        let xattrs = self.kept_xattrs(entry)?;
        self.count_holes(entry, sparse)?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW;
        let mode = Permissions::from_raw_mode(entry.mode);
        let file = self.make(&entry.path, false, |parent, name| {
            rustix::fs::openat(parent, name, flags | OFlags::CLOEXEC, mode)
        })?;
        let file = file.ok_or_else(|| Problem::entry(&entry.path, "cannot be made"))?;
        match sparse {
            None => {
                while let Some(bytes) = archive.content()? {
                    write_all(&file, bytes, &entry.path)?;
                }
            }
            Some(sparse) => write_pieces(&file, sparse, archive, &entry.path)?,
        }
        self.own_and_mode(&file, &entry.path, owner, entry.mode)?;
        self.set_xattrs(&file, &entry.path, &xattrs)?;
        rustix::fs::futimens(&file, &timestamps(entry.mtime, entry.atime))
            .map_err(Problem::at("set the times of", &entry.path))
    }

    fn count_holes(&mut self, entry: &Entry, sparse: Option<&Sparse>) -> Result<(), Problem> {
        self.sparse_bytes =
            self.sparse_bytes.saturating_add(sparse.map_or(0, |sparse| sparse.size));
        if self.sparse_bytes > self.limits.bytes {
            let limit = format!("{} bytes of files with holes", self.limits.bytes);
            return Err(Problem::limit("more than", limit, &entry.path));
        }
        Ok(())
    }

    /// Sets owner and mode where they are not what they shall be: mostly they are, and looking is
    /// cheaper than a change, which goes to the journal.
    pub(super) fn own_and_mode(
        &self,
        file: impl AsFd,
        path: &[u8],
        owner: Owner,
        mode: u32,
    ) -> Result<(), Problem> {
        let stat = rustix::fs::fstat(&file).map_err(Problem::at("inspect", path))?;
        let mut now = stat.st_mode & 0o7777;
        if (stat.st_uid, stat.st_gid) != (owner.uid, owner.gid) {
            let (uid, gid) = (Uid::from_raw(owner.uid), Gid::from_raw(owner.gid));
            rustix::fs::fchown(&file, Some(uid), Some(gid))
                .map_err(Problem::at("change the owner of", path))?;
            // A change of the owner takes setuid and setgid away (chown(2)).
            now &= 0o1777;
        }
        if now != mode {
            rustix::fs::fchmod(&file, Permissions::from_raw_mode(mode))
                .map_err(Problem::at("change the mode of", path))?;
        }
        Ok(())
    }

    /// The extended attributes that are set, with shifted ids. The others are counted.
    pub(super) fn kept_xattrs(&mut self, entry: &Entry) -> Result<Xattrs, Problem> {
        let mut kept = Vec::new();
        for (name, value) in &entry.xattrs {
            if name.contains(&0) || name.len() > xattr::MAX_NAME || value.len() > xattr::MAX_VALUE {
                let message = "has an extended attribute that no filesystem can keep";
                return Err(Problem::entry(&entry.path, message));
            }
            if !xattr::is_kept(name, self.mode) {
                self.dropped.xattrs += 1;
                continue;
            }
            let value = xattr::shifted(name, value, self.ids).ok_or_else(|| {
                let name = String::from_utf8_lossy(name).into_owned();
                let message = format!("has a {name} whose ids have no ids on this host");
                Problem::entry(&entry.path, message)
            })?;
            kept.push((name.clone(), value));
        }
        Ok(kept.into())
    }

    pub(super) fn set_xattrs(
        &mut self,
        file: impl AsFd,
        path: &[u8],
        xattrs: &Xattrs,
    ) -> Result<(), Problem> {
        for (name, value) in xattrs {
            match rustix::fs::fsetxattr(&file, name.as_slice(), value, XattrFlags::empty()) {
                Ok(()) => {}
                // The filesystem keeps none of that kind.
                Err(Errno::OPNOTSUPP) => self.dropped.xattrs += 1,
                Err(errno) => return Err(Problem::at("set an extended attribute of", path)(errno)),
            }
        }
        Ok(())
    }
}

fn write_all(file: impl AsFd, mut bytes: &[u8], path: &[u8]) -> Result<(), Problem> {
    while !bytes.is_empty() {
        match rustix::io::write(&file, bytes) {
            Ok(count) => bytes = &bytes[count..],
            Err(Errno::INTR) => {}
            Err(errno) => return Err(Problem::at("write", path)(errno)),
        }
    }
    Ok(())
}

/// Leaves holes between the pieces, and after the last.
fn write_pieces<C: Chunks>(
    file: impl AsFd,
    sparse: &Sparse,
    archive: &mut Archive<'_, C>,
    path: &[u8],
) -> Result<(), Problem> {
    let mut pieces = sparse.pieces.iter();
    // Where the next bytes go, and how many.
    let (mut offset, mut room) = (0, 0);
    while let Some(mut bytes) = archive.content()? {
        while !bytes.is_empty() {
            while room == 0 {
                let piece = pieces.next().ok_or_else(|| {
                    Problem::entry(path, "is sparse and stores more than its pieces")
                })?;
                (offset, room) = *piece;
            }
            let count = usize::try_from(room).unwrap_or(usize::MAX).min(bytes.len());
            let written = match rustix::io::pwrite(&file, &bytes[..count], offset) {
                Err(Errno::INTR) => continue,
                written => written.map_err(Problem::at("write", path))?,
            };
            bytes = &bytes[written..];
            offset += written as u64;
            room -= written as u64;
        }
    }
    rustix::fs::ftruncate(&file, sparse.size).map_err(Problem::at("write", path))
}

/// The times of an entry. The kernel bounds them to what the filesystem can keep.
pub(super) fn timestamps(mtime: Time, atime: Option<Time>) -> Timestamps {
    let spec = |time: Time| Timespec { tv_sec: time.seconds, tv_nsec: i64::from(time.nanoseconds) };
    Timestamps { last_access: spec(atime.unwrap_or(mtime)), last_modification: spec(mtime) }
}
