//! `update`: other limits for a running container.

use lxcri_core::Error;
use lxcri_core::backend::{Container, Update};
use lxcri_core::oci::Resources;

use crate::Native;
use crate::error::NativeError;
use crate::room_file::RoomFile;

impl Update for Native {
    fn update(&self, container: &Container, resources: &Resources) -> Result<(), Error> {
        let cgroup = RoomFile::read(&container.entry)?.cgroup;
        Ok(cgroup.update(resources).map_err(NativeError::from)?)
    }
}
