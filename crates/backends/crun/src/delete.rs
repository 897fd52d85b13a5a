//! Removing a container: the program's `delete --force`, and what the kernel can do where the
//! program is gone.

use std::time::Duration;

use lxcri_core::backend::Container;
use lxcri_core::error::Error;
use lxcri_core::runtime::boot_id;
use lxcri_core::store::Entry;
use lxcri_linux::cgroup::Cgroup;
use lxcri_linux::process::Process;
use lxcri_linux::step::Step as _;

use crate::Crun;
use crate::ask;
use crate::error::CrunError;
use crate::part::{self, Part};
use crate::step::Step;

/// How long a `create` that outlived its caller may go on, and a process that was killed.
const PATIENCE: Duration = Duration::from_secs(10);

/// What is sent to a process that has to end.
const SIGKILL: i32 = 9;

/// Removes everything. Twice is fine.
pub(crate) fn delete(room: &Crun, container: &Container) -> Result<(), Error> {
    by_program(room, &container.entry)?;
    match container.record.process {
        Some(init) => end(init).map_err(Error::from),
        None => Ok(()),
    }
}

/// Removes what this room made in `entry`, whatever else is damaged.
pub(crate) fn sweep(room: &Crun, entry: &Entry) -> Result<bool, Error> {
    if !entry.file(crate::program::STATE_DIRECTORY).exists() {
        return Ok(false);
    }
    let boot_id = boot_id()?;
    if Part::read(entry).is_ok_and(|part| part.boot_id != boot_id) {
        // What has those names now is somebody else's.
        return Ok(true);
    }
    by_program(room, entry)?;
    Ok(true)
}

/// Lets the program remove its container, where it has one.
pub(crate) fn by_program(room: &Crun, entry: &Entry) -> Result<(), Error> {
    // Without a readable part the program is found as for a new container.
    let part = Part::read(entry).ok();
    if let Some(maker) = part.as_ref().and_then(|part| part.maker) {
        outlast(maker)?;
    }
    if part::directory(entry).exists() {
        ask(room, entry, part.as_ref())?;
    }
    Step::DeleteProgram.reached();
    clear(part.as_ref())
}

fn ask(room: &Crun, entry: &Entry, part: Option<&Part>) -> Result<(), Error> {
    let delete = || {
        let program = room.program_of(part)?;
        ask::about(&program, entry, &["delete", "--force"], &[], None)
    };
    // A second time, because crun dies by SIGPIPE where a poststop hook does not read its state, and
    // because its own delete may be at work still for a command that was killed.
    let asked = delete().or_else(|error| match error {
        CrunError::Failed { .. } if part::directory(entry).exists() => delete(),
        error => Err(error),
    });
    match asked {
        Ok(_) => Ok(()),
        Err(CrunError::Failed { text, .. }) if text.contains("does not exist") => Ok(()),
        // Its own delete was at work already, for a command that was killed.
        Err(CrunError::Failed { .. }) if !part::directory(entry).exists() => Ok(()),
        Err(error @ (CrunError::NotFound { .. } | CrunError::Unusable { .. })) => {
            log::warn!("{error}; killing the container {} without the program", entry.id());
            by_kernel(part.and_then(|part| part.cgroup.as_ref()))
        }
        Err(error) => Err(error.into()),
    }
}

/// The cgroup of a container that was not made to the end: crun leaves it behind when it fails late.
fn clear(part: Option<&Part>) -> Result<(), Error> {
    let half_made = part.filter(|part| part.cgroup.is_none());
    by_kernel(half_made.and_then(|part| part.new_cgroup.as_ref()))
}

/// Without the program: the cgroup's processes, then the cgroup. Hooks are not run.
fn by_kernel(cgroup: Option<&Cgroup>) -> Result<(), Error> {
    let Some(cgroup) = cgroup else { return Ok(()) };
    cgroup.kill_all(SIGKILL).map_err(CrunError::from)?;
    Ok(cgroup.remove().map_err(CrunError::from)?)
}

/// Waits for a `create` whose caller was killed; what it makes can only be removed afterwards.
fn outlast(maker: Process) -> Result<(), CrunError> {
    let error = || CrunError::io("wait for", format!("/proc/{}", maker.pid));
    let Some(fd) = maker.open().map_err(error())? else { return Ok(()) };
    if !fd.wait_for_end(Some(PATIENCE)).map_err(error())? {
        log::warn!("the program that makes the container does not end, killing it");
        fd.signal(SIGKILL).map_err(error())?;
        fd.wait_for_end(Some(PATIENCE)).map_err(error())?;
    }
    Ok(())
}

/// Makes sure that init has ended.
fn end(init: Process) -> Result<(), CrunError> {
    let error = || CrunError::io("end", format!("/proc/{}", init.pid));
    let Some(fd) = init.open().map_err(error())? else { return Ok(()) };
    fd.signal(SIGKILL).map_err(error())?;
    if fd.wait_for_end(Some(PATIENCE)).map_err(error())? {
        Ok(())
    } else {
        Err(CrunError::StillRuns { process: init })
    }
}
