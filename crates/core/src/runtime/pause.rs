//! `pause` and `resume`.

use lxcri_linux::step::Step as _;

use super::Runtime;
use crate::backend::{PATIENCE, Pause};
use crate::error::Error;
use crate::id::ContainerId;
use crate::lifecycle::Verb;
use crate::step::Step;

use super::Found;

impl Runtime<'_> {
    /// Freezes every process of a container.
    pub fn pause(&self, id: &ContainerId) -> Result<(), Error> {
        let lock = self.store.open(id)?.lock(PATIENCE)?;
        let found = self.find_locked(id, &lock)?;
        found.require(Verb::Pause)?;
        Step::PauseLocked.reached();
        freezer(&found, "pause")?.pause(&found.container)?;
        Step::PauseRoom.reached();
        Ok(())
    }

    /// Thaws them.
    pub fn resume(&self, id: &ContainerId) -> Result<(), Error> {
        let lock = self.store.open(id)?.lock(PATIENCE)?;
        let found = self.find_locked(id, &lock)?;
        found.require(Verb::Resume)?;
        Step::ResumeLocked.reached();
        freezer(&found, "resume")?.resume(&found.container)?;
        Step::ResumeRoom.reached();
        Ok(())
    }
}

fn freezer<'f>(found: &'f Found, verb: &'static str) -> Result<&'f dyn Pause, Error> {
    found.backend.pause().map_err(|cannot| found.cannot(verb, cannot))
}
