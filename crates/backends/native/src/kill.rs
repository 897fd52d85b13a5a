//! `kill`: by pidfd, so that a reused pid is never hit; all processes by their cgroup.

use std::time::Duration;

use lxcri_core::Error;
use lxcri_core::backend::{Container, Finish};
use lxcri_linux::step::Step as _;

use crate::error::{NativeError, step};
use crate::room_file::RoomFile;
use crate::step::Step;

/// How long killed processes may take to be gone, before that is an error.
const PATIENCE: Duration = Duration::from_secs(10);

/// Signals init, or everybody. SIGKILL means everybody, too, where no pid namespace of the
/// container's own ends the rest with init.
pub(crate) fn kill(container: &Container, signal: i32, all: bool) -> Result<Finish, Error> {
    let room = RoomFile::read(&container.entry)?;
    let is_kill = signal == libc::SIGKILL;
    if all || (is_kill && !room.own_pid_namespace) {
        room.cgroup.kill_all(signal).map_err(NativeError::from)?;
        return Ok(Finish::Done);
    }
    let gone = || NativeError::NotRunning(container.id().to_string());
    let init = container.record.process.ok_or_else(gone)?;
    let fd = init.open().map_err(step("open init"))?.ok_or_else(gone)?;
    if signal == 0 {
        // Only asks whether it is there (kill(2)).
        return Ok(Finish::Done);
    }
    if !fd.signal(signal).map_err(step(format!("send signal {signal}")))? {
        return Err(gone().into());
    }
    Step::KillSent.reached();
    if is_kill && room.cgroup.frozen().map_err(NativeError::from)? {
        // A frozen v1 cgroup holds back even SIGKILL.
        room.cgroup.thaw().map_err(NativeError::from)?;
    }
    Ok(Finish::Done)
}

/// Kills every process and waits until init is gone.
pub(crate) fn end(container: &Container) -> Result<(), NativeError> {
    let room = RoomFile::read(&container.entry).map_err(step("read the container's state"))?;
    if has_ended_with_all(container, &room) {
        return Ok(());
    }
    room.cgroup.kill_all(libc::SIGKILL)?;
    let Some(init) = container.record.process else { return Ok(()) };
    let Some(fd) = init.open().map_err(step("open init"))? else { return Ok(()) };
    // Init may have been on its way into the cgroup when its maker was killed.
    fd.signal(libc::SIGKILL).map_err(step("kill init"))?;
    if fd.wait_for_end(Some(PATIENCE)).map_err(step("wait for init"))? {
        return Ok(());
    }
    Err(NativeError::Init(format!("{init} does not end within {} s", PATIENCE.as_secs())))
}

/// Whether init has ended, and with it everybody in its pid namespace: who is in the cgroup then is
/// not ours.
pub(crate) fn has_ended_with_all(container: &Container, room: &RoomFile) -> bool {
    room.own_pid_namespace && container.record.process.is_some_and(|init| !init.is_alive())
}
