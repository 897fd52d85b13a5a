//! Filesystems that are made anew for the container: proc, tmpfs, devpts and whatever else.

use std::os::fd::{AsFd, OwnedFd};

use lxcri_core::oci::Mount;
use lxcri_linux::beneath::Root;
use lxcri_linux::mount::{self, Attributes, MountError, Options};

use rustix::fs::OFlags;

use super::copy_up::copy_up;
use crate::error::{NativeError, step};

/// The option of tmpfs that asks for a copy of what it covers (runc's extension).
const COPY_UP: &str = "tmpcopyup";

/// Makes a filesystem and attaches it.
pub(super) fn mount(
    kind: &str,
    mount: &Mount,
    options: &Options,
    root: &Root,
    target: &OwnedFd,
) -> Result<(), NativeError> {
    let say = || step(format!("mount {kind} onto {}", mount.destination.display()));
    let source = mount.source.as_deref().map(std::path::Path::as_os_str);
    let source = source.filter(|source| !source.is_empty());
    let copies_up = kind == "tmpfs" && mount.options.iter().any(|option| option == COPY_UP);
    let options = &for_kind(kind, options, mount, target)?;
    if mount::needs_legacy_mount(options) {
        mount::legacy_mount(kind, source, options, target.as_fd()).map_err(say())?;
        let mounted = root.open_existing(&mount.destination, OFlags::PATH);
        let mounted = mounted.map_err(step(format!("open {}", mount.destination.display())))?;
        mount::set_attributes(&mounted, false, options.attributes(), None)
            .map_err(step(format!("set the options of {}", mount.destination.display())))?;
        return finish(&mounted, options).map_err(say());
    }
    let tree = mount::new_filesystem(kind, source, options)
        .or_else(|error| without_group(kind, mount, error))
        .map_err(say())?;
    if copies_up {
        copy_up(target, tree.as_fd())
            .map_err(step(format!("copy what {} holds", mount.destination.display())))?;
    }
    finish(&tree, options).map_err(say())?;
    super::attach(&tree, target, &mount.destination)
}

/// A devpts whose group has no id in the container's user namespace: its terminals then belong to
/// root's group, which is all the difference.
fn without_group(kind: &str, mount: &Mount, error: MountError) -> Result<OwnedFd, MountError> {
    let is_group = |option: &&String| option.starts_with("gid=");
    let Some(group) = mount.options.iter().find(is_group).filter(|_| kind == "devpts") else {
        return Err(error);
    };
    log::warn!("{}: {group} is left out: {error}", mount.destination.display());
    let words = mount.options.iter().filter(|option| !is_group(option)).map(String::as_str);
    mount::new_filesystem(kind, None, &Options::parse(words))
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

/// The options for this filesystem. A tmpfs without a mode of its own takes that of the directory
/// it covers, as runc has it: /tmp stays world-writable. `tmpcopyup` is ours, not the kernel's.
fn for_kind(
    kind: &str,
    options: &Options,
    mount: &Mount,
    target: &OwnedFd,
) -> Result<Options, NativeError> {
    if kind != "tmpfs" {
        return Ok(options.clone());
    }
    let mut words: Vec<_> = mount.options.iter().filter(|option| *option != COPY_UP).collect();
    let stat = rustix::fs::fstat(target).map_err(step("inspect a mount point"))?;
    let mode = format!("mode={:o}", stat.st_mode & 0o7777);
    if !options.data().any(|(key, _)| key == "mode") {
        words.push(&mode);
    }
    Ok(Options::parse(words.into_iter().map(String::as_str)))
}
