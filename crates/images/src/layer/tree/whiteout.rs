//! Names by which a layer deletes (image-spec layer.md, "Whiteouts"): `.wh.NAME` for one name of
//! lower layers, `.wh..wh..opq` for all that they have in its directory. Other names that begin with
//! `.wh..wh.` are aufs' own and mean nothing to anybody else.

use std::ffi::OsStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

use lxcri_linux::tree;
use rustix::fs::{AtFlags, Dir, FileType, Mode as Permissions, OFlags};
use rustix::io::Errno;

use super::super::Mode;
use super::super::error::Problem;
use super::super::path::split;
use super::own::OwnNames;
use super::{PATH_ONLY, Tree};

const WHITEOUT: &[u8] = b".wh.";
const AUFS: &[u8] = b".wh..wh.";
const OPAQUE: &[u8] = b".wh..wh..opq";

/// The most directories of one layer that can be opaque.
const MAX_OPAQUE: usize = 100_000;
/// How deep an opaque directory is searched for what is this layer's: a descriptor each.
const MAX_DEPTH: usize = 600;

impl Tree<'_> {
    /// Does what the name of an entry says of lower layers. `false` where it is an entry like any
    /// other.
    pub(super) fn whiteout(&mut self, path: &[u8]) -> Result<bool, Problem> {
        // Most paths have no such name anywhere.
        if !path.windows(WHITEOUT.len()).any(|window| window == WHITEOUT) {
            return Ok(false);
        }
        let (directory, name) = split(path);
        for parent in directory.split(|byte| *byte == b'/') {
            if parent.starts_with(AUFS) {
                self.dropped.aufs += 1;
                return Ok(true);
            }
            if parent.starts_with(WHITEOUT) {
                return Err(Problem::entry(path, "lies in the whiteout of a directory"));
            }
        }
        match name {
            OPAQUE => self.make_opaque(directory).map(|()| true),
            _ if name.starts_with(AUFS) => {
                self.dropped.aufs += 1;
                Ok(true)
            }
            _ => match name.strip_prefix(WHITEOUT) {
                Some(b"" | b"." | b"..") => {
                    Err(Problem::entry(path, "is the whiteout of a whole directory from within"))
                }
                Some(target) => self.hide(path, directory, target).map(|()| true),
                None => Ok(false),
            },
        }
    }

    fn hide(&mut self, path: &[u8], directory: &[u8], name: &[u8]) -> Result<(), Problem> {
        match self.mode {
            Mode::Overlay => self.hide_by_device(directory, name),
            Mode::Apply => self.delete_lower(path, directory, name),
        }
    }

    /// A character device 0:0, unless this layer has something else of that name, which hides what is
    /// below; a directory must not let it through.
    fn hide_by_device(&mut self, directory: &[u8], name: &[u8]) -> Result<(), Problem> {
        let path =
            if directory.is_empty() { name.to_vec() } else { [directory, b"/", name].concat() };
        let parent = self.parent(directory)?;
        let none = Permissions::empty();
        match rustix::fs::mknodat(&parent.fd, name, FileType::CharacterDevice, none, 0) {
            Err(Errno::EXIST) if self.is_directory(name) => self.add_opaque(&path),
            Ok(()) | Err(Errno::EXIST) => Ok(()),
            Err(errno) => Err(Problem::at("make a whiteout at", &path)(errno)),
        }
    }

    fn delete_lower(&mut self, path: &[u8], directory: &[u8], name: &[u8]) -> Result<(), Problem> {
        let parent = match self.open(directory, PATH_ONLY) {
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Ok(()),
            parent => parent.map_err(Problem::at("open", directory))?,
        };
        self.directories.touch(true, directory, parent.as_fd())?;
        let Some(own) = &self.own else { return Ok(()) };
        if !own.has(parent.as_fd(), name) {
            return tree::remove(&parent, OsStr::from_bytes(name))
                .map_err(|error| Problem::io("delete", path, &error.source));
        }
        match open_listing(parent.as_fd(), name) {
            Ok(listing) => clear_lower(own, &listing, path, 0).map(drop),
            Err(_) => Ok(()),
        }
    }

    fn make_opaque(&mut self, directory: &[u8]) -> Result<(), Problem> {
        if directory.is_empty() {
            return Err(Problem::entry(OPAQUE, "is the whiteout of the root"));
        }
        match self.mode {
            Mode::Overlay => {
                self.parent(directory)?;
                self.add_opaque(directory)
            }
            Mode::Apply => {
                let listing = match self.open_listing(directory) {
                    Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Ok(()),
                    listing => listing.map_err(Problem::at("open", directory))?,
                };
                self.directories.touch(true, directory, listing.as_fd())?;
                let Some(own) = &self.own else { return Ok(()) };
                clear_lower(own, &listing, directory, 0).map(drop)
            }
        }
    }

    pub(super) fn add_opaque(&mut self, path: &[u8]) -> Result<(), Problem> {
        self.opaque.insert(path.to_vec());
        if self.opaque.len() > MAX_OPAQUE {
            return Err(Problem::limit(
                "more than",
                format!("{MAX_OPAQUE} opaque directories"),
                path,
            ));
        }
        Ok(())
    }
}

/// Deletes what is not this layer's, and says whether anything is left.
fn clear_lower(
    own: &OwnNames,
    listing: &OwnedFd,
    path: &[u8],
    depth: usize,
) -> Result<bool, Problem> {
    if depth > MAX_DEPTH {
        return Err(Problem::limit(
            "an opaque directory deeper than",
            format!("{MAX_DEPTH} names"),
            path,
        ));
    }
    let failed = |errno: Errno| Problem::at("empty", path)(errno);
    let mut is_left = false;
    for entry in Dir::read_from(listing).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name();
        if name == c"." || name == c".." {
            continue;
        }
        let is_own = own.has(listing.as_fd(), name.to_bytes());
        let below = match open_listing(listing.as_fd(), name.to_bytes()) {
            Ok(child) => Some(clear_lower(own, &child, path, depth + 1)?),
            Err(_) => None,
        };
        match (is_own, below) {
            (false, Some(false)) => {
                rustix::fs::unlinkat(listing, name, AtFlags::REMOVEDIR).map_err(failed)?;
            }
            (false, None) => {
                rustix::fs::unlinkat(listing, name, AtFlags::empty()).map_err(failed)?;
            }
            _ => is_left = true,
        }
    }
    Ok(is_left)
}

/// Opens a directory, not a link to one; other things are not opened at all.
fn open_listing(parent: BorrowedFd<'_>, name: &[u8]) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(parent, name, flags, Permissions::empty())
}
