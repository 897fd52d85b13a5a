//! What the runtime does inside of a container before the user's process goes on. Not PID 1: it runs
//! under the container's security label, and AppArmor's profiles for LXC let nobody attach a mount
//! that was made apart, nor mount anything over `/proc`.

use std::io;
use std::path::Path;

use lxcri_linux::beneath::Root;
use lxcri_linux::inside::{self, InsideError};
use lxcri_linux::mount::{self, Options};
use lxcri_linux::process::Process;
use rustix::fs::OFlags;

use crate::task::Task;

/// Where the outer procfs is, and the inner one goes.
const PROC: &str = "/proc";

/// Prepares the surroundings of `process`, which waits for that.
pub(crate) fn dress(process: Process, task: &Task) -> Result<(), InsideError> {
    if !task.own_pids {
        return Ok(());
    }
    let say = |error: io::Error| format!("mount the container's proc: {error}");
    inside::run(process, || replace_proc(task.proc_options.as_deref()).map_err(say))
}

/// Puts a procfs of this process's pid namespace in the place of the outer one.
///
/// The new one is made before the old one goes: in a user namespace the kernel gives a procfs only to
/// those who see one already (fs/namespace.c, `mount_too_revealing`). And the old one does go, with
/// all that is stacked there: below the new one somebody with CAP_SYS_ADMIN could dig it up.
fn replace_proc(options: Option<&[String]>) -> io::Result<()> {
    let mount = options.map(|options| {
        let options = Options::parse(options.iter().map(String::as_str));
        mount::new_filesystem("proc", None, &options)
    });
    let mount = mount.transpose().map_err(io::Error::other)?;
    mount::detach_all(Path::new(PROC))?;
    let Some(mount) = mount else { return Ok(()) };
    let root = Root::open(Path::new("/"))?;
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW;
    let target = root.open_existing(Path::new(PROC), flags)?;
    mount::attach(&mount, &target).map_err(io::Error::other)
}
