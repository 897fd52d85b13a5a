//! `list`: all containers of this state directory. One that cannot be read is listed as such, and
//! keeps nobody from seeing the others.

use super::Runtime;
use super::find::observe;
use crate::backend::Container;
use crate::error::Error;
use crate::id::ContainerId;
use crate::oci;
use crate::store::StoreError;

/// One container of the list.
#[derive(Debug)]
pub struct Listed {
    /// Its id.
    pub id: ContainerId,
    /// Its state, or why it is not known.
    pub state: Result<oci::State, Error>,
    /// User id of who made it, where known.
    pub owner: Option<u32>,
}

impl Runtime<'_> {
    /// All containers, by id.
    pub fn list(&self) -> Result<Vec<Listed>, Error> {
        let entries = self.store.list()?;
        Ok(entries
            .into_iter()
            .filter_map(|entry| {
                let id = entry.id().clone();
                let record = entry.record();
                if matches!(record, Err(StoreError::NotFound { .. })) {
                    // Gone meanwhile, or never made.
                    return None;
                }
                let owner = record.as_ref().ok().map(|record| record.owner);
                let state = record.map_err(Error::from).and_then(|record| {
                    let (_, backend) = self.open_room(id.as_str(), &record.backend)?;
                    let mut container = Container { entry, record };
                    let observed = observe(&container, backend.as_ref(), None)?;
                    container.record.process = observed.process;
                    Ok(container.state(observed.status))
                });
                Some(Listed { id, state, owner })
            })
            .collect())
    }
}
