//! Removing what a container of an image left.

use std::ffi::OsStr;
use std::fs::File;
use std::io::ErrorKind;
use std::path::Path;

use lxcri_core::id::ContainerId;
use lxcri_linux::step::Step as _;
use lxcri_linux::tree;

use super::record::NAME;
use super::{ContainerError, Record, Step};
use crate::library::Library;
use crate::rootfs;

/// Removes root filesystem, bundle and unnamed volumes of a container that runs no more, if it was
/// made of an image and its state is below `state_root`. Says whether it was.
///
/// # Errors
/// What could not be removed stays, and can be removed by another call.
pub fn remove(
    library: &Library,
    id: &ContainerId,
    state_root: &Path,
) -> Result<bool, ContainerError> {
    let directory = library.containers().join(id.as_str());
    if !directory.exists() {
        return Ok(false);
    }
    match Record::read(&directory) {
        Ok(Some(record)) if record.state_root != state_root => return Ok(false),
        // Without a record nothing else was made; a damaged one strands nothing.
        _ => {}
    }
    take_away(library, id)?;
    Ok(true)
}

pub(super) fn take_away(library: &Library, id: &ContainerId) -> Result<(), ContainerError> {
    rootfs::remove(&library.place()?, id)?;
    Step::RootfsGone.reached();
    let containers = library.containers();
    let directory = containers.join(id.as_str());
    for name in ["bundle", "files", "volumes"] {
        remove_from(&directory, OsStr::new(name))?;
    }
    Step::FilesGone.reached();
    remove_from(&directory, OsStr::new(NAME))?;
    remove_from(&containers, OsStr::new(id.as_str()))?;
    Step::Gone.reached();
    Ok(())
}

/// Removes a tree that a container may have written to; that there is none is fine.
fn remove_from(directory: &Path, name: &OsStr) -> Result<(), ContainerError> {
    let parent = match File::open(directory) {
        Ok(parent) => parent,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(ContainerError::io("open", directory)(error)),
    };
    tree::remove(parent, name)
        .map_err(|source| ContainerError::Tree { path: directory.to_owned(), source })
}
