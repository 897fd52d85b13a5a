//! `update`: other limits for a running container.

use lxcri_core::Error;
use lxcri_core::backend::{Container, Update};
use lxcri_core::oci::Resources;

use crate::Native;
use crate::error::NativeError;
use crate::room_file::RoomFile;
use crate::scope;

impl Update for Native {
    fn update(&self, container: &Container, resources: &Resources) -> Result<(), Error> {
        let room = RoomFile::read(&container.entry)?;
        // What is refused is refused before anything is changed, which the cgroup looks after; then
        // systemd is told, which would reset the limits otherwise.
        room.cgroup.update(resources).map_err(NativeError::from)?;
        if let Some(unit) = &room.unit {
            scope::update(unit, &room.cgroup, resources)?;
        }
        Ok(())
    }
}
