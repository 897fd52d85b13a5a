//! `update`: other resources for a running container.

use lxcri_linux::cgroup::Resources;
use lxcri_linux::step::Step as _;

use super::Runtime;
use crate::backend::PATIENCE;
use crate::error::Error;
use crate::id::ContainerId;
use crate::lifecycle::Verb;
use crate::step::Step;

impl Runtime<'_> {
    /// Applies what `resources` sets and leaves the rest. Fields that the room refuses at create
    /// are refused here, too, before anything is changed.
    pub fn update(&self, id: &ContainerId, resources: &Resources) -> Result<(), Error> {
        let lock = self.store.open(id)?.lock(PATIENCE)?;
        let found = self.find_locked(id, &lock)?;
        found.require(Verb::Update)?;
        let update = found.backend.update().map_err(|cannot| found.cannot("update", cannot))?;
        let (room, _) = self.open_room(id.as_str(), &found.container.record.backend)?;
        let document = serde_json::json!({ "linux": { "resources": resources } }).to_string();
        super::create::judge(room, document.as_bytes(), "the resources to update".as_ref())?;
        Step::UpdateLocked.reached();
        update.update(&found.container, resources)?;
        Step::UpdateRoom.reached();
        Ok(())
    }
}
