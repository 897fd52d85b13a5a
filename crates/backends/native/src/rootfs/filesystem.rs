//! Filesystems that are made anew for the container: proc, tmpfs, devpts and whatever else.

use std::os::fd::{AsFd, OwnedFd};

use lxcri_core::oci::Mount;
use lxcri_linux::mount::{self, Attributes, MountError, Options};

use crate::error::{NativeError, step};

/// Makes a filesystem and attaches it.
pub(super) fn mount(
    kind: &str,
    mount: &Mount,
    options: &Options,
    target: &OwnedFd,
) -> Result<(), NativeError> {
    let say = || step(format!("mount {kind} onto {}", mount.destination.display()));
    let source = mount.source.as_deref().map(std::path::Path::as_os_str);
    let source = source.filter(|source| !source.is_empty());
    let with_mode = with_mode_of_target(kind, options, mount, target)?;
    let options = with_mode.as_ref().unwrap_or(options);
    let finish = |tree: &OwnedFd| finish(tree, options);
    if mount::needs_legacy_mount(options) {
        mount::legacy_mount(kind, source, options, target.as_fd()).map_err(say())?;
        return Ok(());
    }
    let tree = mount::new_filesystem(kind, source, options).map_err(say())?;
    finish(&tree).map_err(say())?;
    super::attach(&tree, target, &mount.destination)
}

/// What fsmount(2) has no words for.
fn finish(tree: &OwnedFd, options: &Options) -> Result<(), MountError> {
    let set = |recursive, attributes, propagation| {
        mount::set_attributes(tree, recursive, attributes, propagation)
            .map_err(|source| MountError::Io { what: "set mount options", source })
    };
    set(true, options.recursive_attributes(), None)?;
    match options.propagation() {
        Some(propagation) => set(propagation.recursive, Attributes::default(), Some(propagation)),
        None => Ok(()),
    }
}

/// A tmpfs without a mode of its own takes that of the directory it covers, as runc has it: /tmp
/// stays world-writable.
fn with_mode_of_target(
    kind: &str,
    options: &Options,
    mount: &Mount,
    target: &OwnedFd,
) -> Result<Option<Options>, NativeError> {
    if kind != "tmpfs" || options.data().any(|(key, _)| key == "mode") {
        return Ok(None);
    }
    let stat = rustix::fs::fstat(target).map_err(step("inspect a mount point"))?;
    let mode = format!("mode={:o}", stat.st_mode & 0o7777);
    let words = mount.options.iter().map(String::as_str).chain([mode.as_str()]);
    Ok(Some(Options::parse(words)))
}
