//! `delete`: processes, then the cgroup, then the poststop hooks. Every step may find its work done
//! already.

use std::time::Duration;

use lxcri_core::Error;
use lxcri_core::backend::Container;
use lxcri_core::lifecycle::Status;
use lxcri_core::oci::Spec;
use lxcri_core::runtime::boot_id;
use lxcri_core::store::Entry;
use lxcri_linux::step::Step as _;

use crate::error::NativeError;
use crate::room_file::RoomFile;
use crate::step::Step;
use crate::{hooks, scope};

/// Removes what the room made for a container.
pub(crate) fn delete(container: &Container, hook_timeout: Option<Duration>) -> Result<(), Error> {
    if !RoomFile::exists(&container.entry) {
        // A create that was killed before it made anything of its own.
        return Ok(());
    }
    let room = RoomFile::read(&container.entry)?;
    let had_ended = crate::kill::has_ended_with_all(container, &room);
    crate::kill::end(container)?;
    Step::DeleteKilled.reached();
    let left = room.cgroup.pids().map_err(NativeError::from)?;
    // What was just killed may take a moment to go; removing waits for it.
    if left.is_empty() || !had_ended {
        scope::remove(&room)?;
    } else {
        // Another container was put into the same cgroup after ours had ended.
        log::warn!("{}: its cgroup is in use by others and stays: {left:?}", container.id());
    }
    Step::DeleteCgroup.reached();
    if room.has_poststop {
        run_poststop(container, hook_timeout);
    }
    Ok(())
}

/// Failing poststop hooks are warnings (OCI runtime-spec `runtime.md`, "Lifecycle"), each hook
/// runs.
pub(crate) fn run_poststop(container: &Container, hook_timeout: Option<Duration>) {
    let path = container.entry.file("config.json");
    let spec = container.entry.read("config.json").map_err(Error::from);
    let spec = spec.and_then(|bytes| Ok(Spec::parse(&bytes, &path)?));
    let hooks = match spec {
        Ok(spec) => spec.hooks.unwrap_or_default().poststop,
        Err(error) => return log::warn!("{}: no poststop hooks are run: {error}", container.id()),
    };
    let state = container.state(Status::Stopped);
    for hook in &hooks {
        if let Err(error) = hooks::run("poststop", std::slice::from_ref(hook), &state, hook_timeout)
        {
            log::warn!("{}: {error}", container.id());
        }
    }
}

/// Removes what `native.json` alone says, for a container whose `state.json` is damaged.
pub(crate) fn sweep(entry: &Entry) -> Result<bool, Error> {
    if !RoomFile::exists(entry) {
        return Ok(false);
    }
    let room = RoomFile::read(entry)?;
    if room.boot_id != boot_id()? {
        // The cgroup of that name is somebody else's by now.
        return Ok(true);
    }
    room.cgroup.kill_all(libc::SIGKILL).map_err(NativeError::from)?;
    scope::remove(&room)?;
    Ok(true)
}
