//! A container's file system: what is opened from the host before the container exists, and what
//! its init then puts together inside its own mount namespace.

mod bind;
mod cgroup;
mod console;
mod copy_up;
mod devices;
mod filesystem;
mod idmap;
mod mask;
mod proc_guard;
mod sources;

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use lxcri_linux::beneath::Root;
use lxcri_linux::mount::{self, Attributes, Propagation};

pub(crate) use console::mount_console;
pub(crate) use mask::hide;
pub(crate) use sources::{Plan, Sources, check, open};

use sources::Source;

use crate::error::{NativeError, step};

/// Attaches the root filesystem and everything in it. Runs in the container's init, with the host's
/// paths still in reach. Gives the root for whatever comes after. `in_cgroups` returns once init is
/// in its cgroups, which only mounts of type cgroup have to wait for.
pub(crate) fn assemble(
    plan: &Plan<'_>,
    sources: Sources,
    in_cgroups: &mut dyn FnMut() -> Result<(), NativeError>,
) -> Result<Root, NativeError> {
    mount::set_root_propagation(Propagation::SLAVE)
        .map_err(step("cut the mount namespace off from the host's"))?;
    let root = attach_root(sources.rootfs)?;
    // Modes are given exactly below; the payload gets its own mask later.
    rustix::process::umask(rustix::fs::Mode::empty());
    for (mount, source) in plan.spec.mounts.iter().zip(sources.mounts) {
        if matches!(source, Source::Cgroup(_)) {
            in_cgroups()?;
        }
        sources::apply(plan, &root, mount, source)?;
    }
    if plan.makes_devices() {
        devices::populate(plan, &root, &sources.devices)?;
    }
    Ok(root)
}

/// Attaches the tree onto our own "/", from where pivot_root(2) takes it: no host path to it has to
/// be walked, which the root of a user namespace may not be allowed to.
fn attach_root(tree: OwnedFd) -> Result<Root, NativeError> {
    let flags = rustix::fs::OFlags::PATH | rustix::fs::OFlags::CLOEXEC;
    let top = rustix::fs::open("/", flags, rustix::fs::Mode::empty()).map_err(step("open /"))?;
    mount::attach(&tree, &top).map_err(step("attach the root filesystem"))?;
    Ok(Root::from_fd(tree))
}

/// Makes the assembled root this process's root.
pub(crate) fn enter(plan: &Plan<'_>, root: &Root) -> Result<(), NativeError> {
    if plan.spec.root.as_ref().is_some_and(|root| root.readonly) {
        mount::set_attributes(root, false, Attributes::read_only(), None)
            .map_err(step("make the root filesystem read-only"))?;
    }
    // Where pivot_root(2) cannot work (an initramfs), chroot(2) into the tree that lies over "/".
    let entered = if plan.no_pivot { mount::enter(root) } else { mount::pivot_into(root) };
    entered.map_err(step("enter the root filesystem"))?;
    let propagation = plan.linux.rootfs_propagation.as_deref().and_then(Propagation::parse);
    match propagation {
        Some(propagation) => {
            mount::set_root_propagation(propagation).map_err(step("set linux.rootfsPropagation"))
        }
        None => Ok(()),
    }
}

/// Attaches a tree at a path of the container, and says which mount it was on failure.
fn attach(tree: impl AsFd, target: &OwnedFd, destination: &Path) -> Result<(), NativeError> {
    mount::attach(tree, target).map_err(step(format!("mount onto {}", destination.display())))
}
