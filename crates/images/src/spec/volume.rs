//! A new volume starts with what the image has in its place (Docker). That is copied beside the
//! volume first and moved in when it is whole, so that no crash leaves half of it in use.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use lxcri_core::oci::IdMapping;
use lxcri_linux::beneath::Root;
use lxcri_linux::namespace::IdRange;
use lxcri_linux::tree::{self, Rules, TreeError};
use rustix::fs::{CWD, OFlags, RenameFlags};
use rustix::io::Errno;

use super::error::SpecError;

/// Whose files the volume's are on disk.
#[derive(Clone, Copy, Debug)]
pub(super) struct Owners {
    /// The id of the container's root on disk.
    pub(super) root: u32,
    /// What to take off the image's ids as we see them, where mounts map ids.
    pub(super) shift: Option<IdMapping>,
}

/// Fills an empty volume with the image's directory at `place`.
pub(super) fn fill(
    volume: &Path,
    root: &Root,
    place: &Path,
    owners: Owners,
) -> Result<(), SpecError> {
    let directory = File::open(volume).map_err(SpecError::io("open volume", volume))?;
    // Two containers may start with it at once.
    directory.lock().map_err(SpecError::io("lock volume", volume))?;
    let (unfinished, whole) = beside(volume)?;
    if !exists(&whole)? {
        if !is_empty(volume)? {
            return Ok(());
        }
        let Some(source) = open_source(root, place)? else {
            return own(volume, &directory, owners.root);
        };
        remove(&unfinished)?;
        std::fs::create_dir(&unfinished).map_err(SpecError::io("make directory", &unfinished))?;
        let target = File::open(&unfinished).map_err(SpecError::io("open", &unfinished))?;
        if let Err(TreeError { path, source, .. }) = copy(&source, &target, owners) {
            // What failed is what the user hears of.
            let _: Result<(), SpecError> = remove(&unfinished);
            let path = place.join(path);
            return Err(SpecError::io("copy to the volume what the image has at", &path)(source));
        }
        std::fs::rename(&unfinished, &whole).map_err(SpecError::io("rename", &unfinished))?;
    }
    move_in(&whole, volume).map_err(SpecError::io("fill volume", volume))?;
    remove(&whole)
}

/// Where the copy grows, and where it stands when it is whole. Names of volumes start with no dot.
fn beside(volume: &Path) -> Result<(PathBuf, PathBuf), SpecError> {
    let Some(name) = volume.file_name().map(|name| name.to_string_lossy().into_owned()) else {
        return Err(SpecError::io("fill volume", volume)(Errno::INVAL));
    };
    let place = |ending: &str| volume.with_file_name(format!(".{name}.{ending}"));
    Ok((place("new"), place("whole")))
}

/// The image's directory, or `None` where it has none.
fn open_source(root: &Root, place: &Path) -> Result<Option<OwnedFd>, SpecError> {
    match root.open_existing(place, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NONBLOCK) {
        Ok(source) => Ok(Some(source)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(SpecError::io("open in the image", place)(error)),
    }
}

fn copy(source: &OwnedFd, target: &File, owners: Owners) -> Result<(), TreeError> {
    let shift = owners
        .shift
        .map(|map| [IdRange { inside: map.host_id, outside: map.container_id, size: map.size }]);
    let rules = Rules {
        shift: shift.as_ref().map(<[IdRange; 1]>::as_slice),
        // An id that the container does not have is nobody's inside, before and after.
        lenient: true,
        // They would be the host's.
        without_devices: true,
    };
    tree::copy(source, target, rules).map(drop)
}

/// Moves every entry into the volume, and what the directory itself has. What is there already
/// stays: then a move was broken off, and the container may have gone on.
fn move_in(from: &Path, volume: &Path) -> io::Result<()> {
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let target = volume.join(entry.file_name());
        match rustix::fs::renameat_with(CWD, entry.path(), CWD, &target, RenameFlags::NOREPLACE) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => return Err(error.into()),
        }
    }
    let (from, to) = (File::open(from)?, File::open(volume)?);
    tree::copy_attributes(from.as_fd(), to.as_fd()).map_err(|error| error.source)
}

/// A volume that was just made belongs to the container's root; one that somebody gave away stays.
fn own(volume: &Path, directory: &File, root: u32) -> Result<(), SpecError> {
    let metadata = directory.metadata().map_err(SpecError::io("inspect volume", volume))?;
    if root == 0 || metadata.uid() != 0 || metadata.gid() != 0 {
        return Ok(());
    }
    std::os::unix::fs::fchown(directory, Some(root), Some(root))
        .and_then(|()| directory.set_permissions(PermissionsExt::from_mode(0o755)))
        .map_err(SpecError::io("change the owner of volume", volume))
}

fn is_empty(directory: &Path) -> Result<bool, SpecError> {
    let mut entries = std::fs::read_dir(directory).map_err(SpecError::io("list", directory))?;
    Ok(entries.next().is_none())
}

fn exists(path: &Path) -> Result<bool, SpecError> {
    std::fs::exists(path).map_err(SpecError::io("find", path))
}

/// Removes a directory beside the volume, with all that is in it.
fn remove(path: &Path) -> Result<(), SpecError> {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { return Ok(()) };
    let opened = File::open(parent).map_err(SpecError::io("open", parent))?;
    tree::remove(opened, name)
        .map_err(|error| SpecError::io("remove", &parent.join(&error.path))(error.source))
}

#[cfg(test)]
mod tests;
