//! What `events` and `ps` ask of a container.

use lxcri_linux::cgroup::Stats;

use super::Runtime;
use crate::error::Error;
use crate::id::ContainerId;
use crate::lifecycle::Verb;

impl Runtime<'_> {
    /// Usage, as counters.
    pub fn stats(&self, id: &ContainerId) -> Result<Stats, Error> {
        let found = self.find(id)?;
        found.require(Verb::Observe)?;
        let stats = found.backend.stats().map_err(|cannot| found.cannot("read usage", cannot))?;
        stats.stats(&found.container)
    }

    /// Pids of all processes, in the host's pid namespace, sorted.
    pub fn processes(&self, id: &ContainerId) -> Result<Vec<i32>, Error> {
        let found = self.find(id)?;
        found.require(Verb::Observe)?;
        let room = found.backend.processes();
        room.map_err(|cannot| found.cannot("list processes", cannot))?.processes(&found.container)
    }
}
