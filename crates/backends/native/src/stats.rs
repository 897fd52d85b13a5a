//! Usage and processes, read from the cgroup.

use lxcri_core::Error;
use lxcri_core::backend::{Container, Processes, Stats};
use lxcri_linux::cgroup::Stats as CgroupStats;

use crate::Native;
use crate::error::NativeError;
use crate::room_file::RoomFile;

impl Stats for Native {
    fn stats(&self, container: &Container) -> Result<CgroupStats, Error> {
        let cgroup = RoomFile::read(&container.entry)?.cgroup;
        Ok(cgroup.stats().map_err(NativeError::from)?)
    }
}

impl Processes for Native {
    fn processes(&self, container: &Container) -> Result<Vec<i32>, Error> {
        let cgroup = RoomFile::read(&container.entry)?.cgroup;
        let mut pids = cgroup.pids().map_err(NativeError::from)?;
        pids.sort_unstable();
        Ok(pids)
    }
}
