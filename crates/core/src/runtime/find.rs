//! From an id to the container, its room and what is true of it now.

use super::Runtime;
use crate::backend::{Backend, Cannot, Container, Observed};
use crate::error::Error;
use crate::id::ContainerId;
use crate::lifecycle::{Status, Verb};
use crate::oci;
use crate::store::Lock;

/// A container that exists.
#[derive(Debug)]
pub struct Found {
    /// Its files.
    pub container: Container,
    /// Its room, opened.
    pub backend: Box<dyn Backend>,
    /// What the kernel says.
    pub observed: Observed,
}

impl Found {
    /// Its state document.
    pub fn state(&self) -> oci::State {
        let mut container = self.container.clone();
        container.record.process = self.observed.process;
        container.state(self.observed.status)
    }

    /// The error of a verb that the room does not have.
    pub(super) fn cannot(&self, verb: &'static str, cannot: Cannot) -> Error {
        Error::Cannot {
            id: self.container.id().to_string(),
            backend: self.container.record.backend.clone(),
            verb,
            cannot,
        }
    }

    /// Fails unless the container's state allows `verb`.
    pub fn require(&self, verb: Verb) -> Result<(), Error> {
        let status = self.observed.status;
        status.allows(verb).map_err(|refusal| Error::State {
            id: self.container.id().to_string(),
            refusal,
            status,
        })
    }
}

impl Runtime<'_> {
    /// Finds a container. Takes no lock: what is found may change at once.
    pub fn find(&self, id: &ContainerId) -> Result<Found, Error> {
        self.look_up(id, None)
    }

    /// Finds a container whose lock we hold.
    pub(super) fn find_locked(&self, id: &ContainerId, lock: &Lock) -> Result<Found, Error> {
        self.look_up(id, Some(lock))
    }

    fn look_up(&self, id: &ContainerId, lock: Option<&Lock>) -> Result<Found, Error> {
        let entry = self.store.open(id)?;
        let record = entry.record()?;
        let (_, backend) = self.open_room(id.as_str(), &record.backend)?;
        let container = Container { entry, record };
        let observed = observe(&container, backend.as_ref(), lock)?;
        Ok(Found { container, backend, observed })
    }

    /// The state document of a container (OCI `state`).
    pub fn state(&self, id: &ContainerId) -> Result<oci::State, Error> {
        Ok(self.find(id)?.state())
    }
}

/// What is true of a container now. A record of an earlier boot speaks of processes that are gone;
/// one that says "creating" while nobody holds the lock was left by a create that was killed.
/// With the lock in our hands nobody creates any more, and looking at it would let go of it.
pub(super) fn observe(
    container: &Container,
    backend: &dyn Backend,
    lock: Option<&Lock>,
) -> Result<Observed, Error> {
    let stopped = Observed { status: Status::Stopped, process: None };
    if container.record.boot_id != super::create::boot_id()? {
        return Ok(stopped);
    }
    if container.record.status == Status::Creating {
        if lock.is_some() || !container.entry.is_locked() {
            return Ok(stopped);
        }
        return Ok(Observed { status: Status::Creating, process: container.record.process });
    }
    backend.observe(container)
}
