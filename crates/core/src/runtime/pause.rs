//! `pause` and `resume`.

use super::Runtime;
use crate::backend::{PATIENCE, Pause};
use crate::error::Error;
use crate::id::ContainerId;
use crate::lifecycle::Verb;

use super::Found;

impl Runtime<'_> {
    /// Freezes every process of a container.
    pub fn pause(&self, id: &ContainerId) -> Result<(), Error> {
        let lock = self.store.open(id)?.lock(PATIENCE)?;
        let found = self.find_locked(id, &lock)?;
        found.require(Verb::Pause)?;
        freezer(&found, "pause")?.pause(&found.container)
    }

    /// Thaws them.
    pub fn resume(&self, id: &ContainerId) -> Result<(), Error> {
        let lock = self.store.open(id)?.lock(PATIENCE)?;
        let found = self.find_locked(id, &lock)?;
        found.require(Verb::Resume)?;
        freezer(&found, "resume")?.resume(&found.container)
    }
}

fn freezer<'f>(found: &'f Found, verb: &'static str) -> Result<&'f dyn Pause, Error> {
    found.backend.pause().map_err(|cannot| found.cannot(verb, cannot))
}
