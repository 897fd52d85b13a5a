//! What the kernel knows of a container: whether its init lives, waits at the gate, or is frozen.

use lxcri_core::Error;
use lxcri_core::backend::{Container, Observed};
use lxcri_core::lifecycle::Status;

use crate::error::NativeError;
use crate::gate;
use crate::room_file::RoomFile;

/// Reads the state; nothing is changed.
pub(crate) fn observe(container: &Container) -> Result<Observed, Error> {
    let Some(init) = container.record.process.filter(|init| init.is_alive()) else {
        return Ok(Observed { status: Status::Stopped, process: None });
    };
    let room = RoomFile::read(&container.entry)?;
    let status = if room.cgroup.frozen().map_err(NativeError::from)? {
        Status::Paused
    } else if gate::has_waiting(&container.entry)? {
        Status::Created
    } else {
        Status::Running
    };
    Ok(Observed { status, process: Some(init) })
}
