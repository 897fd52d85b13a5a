//! The right to make or remove a container: one process has it at a time.

use std::fs::{DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use lxcri_core::id::ContainerId;
use lxcri_linux::step::Step as _;

use super::{ContainerError, Record, Step};
use crate::directory_lock::{Attempt, DirectoryLock, Released};
use crate::library::Library;
use crate::passage;

/// A container's directory, locked. Who makes a container keeps it until the backend has made it,
/// too: what has a root filesystem and no state yet is nothing that `delete` may clear away.
#[derive(Debug)]
pub struct Claim<'l> {
    pub(super) library: &'l Library,
    pub(super) id: ContainerId,
    pub(super) path: PathBuf,
    lock: DirectoryLock,
}

impl<'l> Claim<'l> {
    /// That on a container which is there; none where it is not, or no more after its holder let go.
    ///
    /// # Errors
    /// [`ContainerError::Busy`] where another process has it for ten seconds.
    pub fn of(library: &'l Library, id: &ContainerId) -> Result<Option<Self>, ContainerError> {
        let path = library.containers().join(id.as_str());
        let attempt = DirectoryLock::take(&path).map_err(ContainerError::io("lock", &path))?;
        Self::from(attempt, library, id, path)
    }

    /// Makes the container's directory: this mkdir is what two of one name race for.
    pub(super) fn reserve(library: &'l Library, id: &ContainerId) -> Result<Self, ContainerError> {
        let directory = library.containers().join(id.as_str());
        passage::make_open(&library.containers())
            .map_err(ContainerError::io("make directory", &library.containers()))?;
        let made = DirBuilder::new().mode(0o711).create(&directory);
        match made
            .and_then(|()| std::fs::set_permissions(&directory, Permissions::from_mode(0o711)))
        {
            Ok(()) => Step::Directory.reached(),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                return Err(ContainerError::Exists { id: id.clone() });
            }
            Err(error) => return Err(ContainerError::io("make directory", &directory)(error)),
        }
        // A `delete` may have come in between.
        Self::of(library, id)?.ok_or_else(|| ContainerError::Exists { id: id.clone() })
    }

    fn from(
        attempt: Attempt,
        library: &'l Library,
        id: &ContainerId,
        path: PathBuf,
    ) -> Result<Option<Self>, ContainerError> {
        match attempt {
            Attempt::Taken(lock) => Ok(Some(Self { library, id: id.clone(), path, lock })),
            Attempt::Gone => Ok(None),
            Attempt::Busy => Err(ContainerError::Busy { id: id.clone() }),
        }
    }

    /// Lets others have it, and remembers which container it was.
    pub fn release(self) -> Standing<'l> {
        let Self { library, id, path, lock } = self;
        Standing { library, id, path, released: lock.release() }
    }

    /// Removes root filesystem, bundle and unnamed volumes of a container that runs no more, if its
    /// state is below `state_root`. Says whether it was.
    ///
    /// # Errors
    /// What could not be removed stays, and can be removed by another call.
    pub fn remove(self, state_root: &Path) -> Result<bool, ContainerError> {
        match Record::read(&self.path) {
            Ok(Some(record)) if record.state_root != state_root => return Ok(false),
            // Without a record nothing else was made; a damaged one strands nothing.
            _ => {}
        }
        super::remove::take_away(&self)?;
        Ok(true)
    }
}

/// A container that this process made, and that others may have removed since.
#[derive(Debug)]
pub struct Standing<'l> {
    library: &'l Library,
    id: ContainerId,
    path: PathBuf,
    released: Released,
}

impl<'l> Standing<'l> {
    /// The claim on this very container; none where it is gone, whatever has its name now.
    ///
    /// # Errors
    /// As [`Claim::of`].
    pub fn retake(self) -> Result<Option<Claim<'l>>, ContainerError> {
        let attempt =
            self.released.retake(&self.path).map_err(ContainerError::io("lock", &self.path))?;
        Claim::from(attempt, self.library, &self.id, self.path)
    }
}
