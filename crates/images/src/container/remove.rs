//! Removing what a container of an image left.

use std::ffi::OsStr;
use std::fs::File;
use std::io::ErrorKind;
use std::path::Path;

use lxcri_linux::step::Step as _;
use lxcri_linux::tree;

use super::record::NAME;
use super::{Claim, ContainerError, Step};
use crate::rootfs;

/// Removes all that a container has here, its record last.
///
/// # Errors
/// What could not be removed stays, and can be removed by another call.
pub(super) fn take_away(claim: &Claim<'_>) -> Result<(), ContainerError> {
    rootfs::remove(&claim.library.place()?, &claim.id)?;
    Step::RootfsGone.reached();
    for name in ["bundle", "files", "volumes"] {
        remove_from(&claim.path, OsStr::new(name))?;
    }
    Step::FilesGone.reached();
    remove_from(&claim.path, OsStr::new(NAME))?;
    remove_from(&claim.library.containers(), OsStr::new(claim.id.as_str()))?;
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
