//! `start`: runs the program of a container that `create` has made.

use lxcri_linux::step::Step as _;

use super::Runtime;
use crate::backend::{Finish, PATIENCE};
use crate::error::Error;
use crate::id::ContainerId;
use crate::lifecycle::Verb;
use crate::step::Step;

impl Runtime<'_> {
    /// Runs the user's program. The lock keeps two starts apart.
    pub fn start(&self, id: &ContainerId) -> Result<Finish, Error> {
        let lock = self.store.open(id)?.lock(PATIENCE)?;
        let found = self.find_locked(id, &lock)?;
        found.require(Verb::Start)?;
        Step::StartLocked.reached();
        let finish = found.backend.start(&found.container)?;
        Step::StartRoom.reached();
        Ok(finish)
    }
}
