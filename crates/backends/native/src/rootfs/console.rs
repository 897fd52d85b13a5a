//! /dev/console: the container's terminal under the name that programs write boot messages to.

use std::os::fd::OwnedFd;
use std::path::Path;

use lxcri_linux::beneath::Root;
use lxcri_linux::mount;

use super::proc_guard;
use crate::error::{NativeError, step};

/// Binds the terminal's slave onto /dev/console.
pub(crate) fn mount_console(root: &Root, slave: &OwnedFd) -> Result<(), NativeError> {
    let path = Path::new("/dev/console");
    let tree = mount::clone_tree(slave, "", false).map_err(step("open the terminal's mount"))?;
    let target = root.make_file(path).map_err(step("make /dev/console"))?;
    proc_guard::refuse_inside(&target, path)?;
    super::attach(&tree, &target, path)
}
