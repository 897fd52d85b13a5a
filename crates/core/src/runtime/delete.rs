//! `delete`: removes everything a container left, and by force the container, too.

use lxcri_linux::step::Step as _;

use super::Runtime;
use super::find::observe;
use crate::backend::{Container, FORCE_PATIENCE, PATIENCE};
use crate::error::Error;
use crate::id::ContainerId;
use crate::lifecycle::Verb;
use crate::step::Step;
use crate::store::{Entry, Lock, StoreError};

impl Runtime<'_> {
    /// Removes a container. By force it may run, its record may be damaged, its lock may be held
    /// for good, and it need not exist.
    pub fn delete(&self, id: &ContainerId, force: bool) -> Result<(), Error> {
        match self.delete_existing(id, force) {
            Err(Error::Store(StoreError::NotFound { .. })) if force => Ok(()),
            result => result,
        }
    }

    fn delete_existing(&self, id: &ContainerId, force: bool) -> Result<(), Error> {
        let entry = self.store.open(id)?;
        let patience = if force { FORCE_PATIENCE } else { PATIENCE };
        let lock = match entry.lock(patience) {
            Err(StoreError::Busy { .. }) if force => {
                log::warn!("{id}: another command holds the lock and does not end, going on");
                None
            }
            result => Some(result?),
        };
        let record = match entry.record() {
            Ok(record) => record,
            Err(error @ StoreError::NotFound { .. }) => {
                if force && lock.as_ref().is_some_and(Lock::is_current) {
                    // What a create or a delete left that was killed.
                    entry.remove()?;
                }
                return Err(error.into());
            }
            Err(error) if force => return self.delete_damaged(&entry, &error),
            Err(error) => return Err(error.into()),
        };
        let (_, backend) = self.open_room(id.as_str(), &record.backend)?;
        let container = Container { entry, record };
        if !force {
            let status = observe(&container, backend.as_ref(), lock.as_ref())?.status;
            status.allows(Verb::Delete).map_err(|refusal| Error::State {
                id: id.to_string(),
                refusal,
                status,
            })?;
        }
        Step::DeleteLocked.reached();
        if container.record.boot_id == super::create::boot_id()? {
            backend.delete(&container)?;
        } else {
            // Its pids and cgroups are somebody else's by now.
            log::debug!("{id}: made in an earlier boot, only its state is left");
        }
        Step::DeleteRoom.reached();
        Ok(container.entry.remove()?)
    }

    /// Lets every room look for what it made under this id.
    fn delete_damaged(&self, entry: &Entry, damage: &StoreError) -> Result<(), Error> {
        log::warn!("{damage}; removing what is left of the container");
        for room in self.rooms {
            let backend = (room.open)(&self.settings)?;
            if backend.sweep(entry)? {
                log::debug!("{}: removed what {} had made", entry.id(), room.name);
            }
        }
        Ok(entry.remove()?)
    }
}
