//! `kill`: a signal to a container. Never waits for a lock, so that nothing can keep a container
//! alive.

use lxcri_linux::step::Step as _;

use super::Runtime;
use crate::backend::Finish;
use crate::error::Error;
use crate::id::ContainerId;
use crate::lifecycle::Verb;
use crate::step::Step;

impl Runtime<'_> {
    /// Sends `signal` to init, or to every process of the container where `all`. With `all` a
    /// stopped container is fine: what outlived its init is meant.
    pub fn kill(&self, id: &ContainerId, signal: i32, all: bool) -> Result<Finish, Error> {
        let found = self.find(id)?;
        let same_boot = found.container.record.boot_id == super::create::boot_id()?;
        // After another boot the cgroup of that name is somebody else's.
        if !all || !same_boot {
            found.require(Verb::Kill)?;
        }
        Step::KillFound.reached();
        let finish = found.backend.kill(&found.container, signal, all)?;
        Step::KillRoom.reached();
        Ok(finish)
    }
}
