//! `pause` and `resume`, by the cgroup freezer.

use lxcri_core::Error;
use lxcri_core::backend::{Container, Pause};

use crate::Native;
use crate::error::NativeError;
use crate::room_file::RoomFile;

impl Pause for Native {
    fn pause(&self, container: &Container) -> Result<(), Error> {
        let cgroup = RoomFile::read(&container.entry)?.cgroup;
        Ok(cgroup.freeze().map_err(NativeError::from)?)
    }

    fn resume(&self, container: &Container) -> Result<(), Error> {
        let cgroup = RoomFile::read(&container.entry)?.cgroup;
        Ok(cgroup.thaw().map_err(NativeError::from)?)
    }
}
