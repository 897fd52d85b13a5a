//! Mounts of type `cgroup`: the container's own part of the tree, in the arrangement of the host.

use std::os::fd::OwnedFd;
use std::path::Path;

use lxcri_core::oci::Mount;
use lxcri_linux::beneath::Root;
use lxcri_linux::cgroup::Hierarchy;
use lxcri_linux::mount::{self, Attributes, Options};

use super::sources::Plan;
use crate::error::{NativeError, step};

/// Mounts the tree (v2), or a tmpfs with a directory for each hierarchy (v1, hybrid).
pub(super) fn mount(
    plan: &Plan<'_>,
    root: &Root,
    mount: &Mount,
    options: &Options,
    target: &OwnedFd,
) -> Result<(), NativeError> {
    let hierarchies = plan.cgroup.hierarchies();
    if let [only] = hierarchies.as_slice()
        && only.name.is_empty()
    {
        let tree = tree_of(plan, only, options)?;
        return super::attach(&tree, target, &mount.destination);
    }
    let directory = Options::parse(["mode=755", "nosuid", "nodev", "noexec"]);
    let tmpfs = mount::new_filesystem("tmpfs", Some("tmpfs".as_ref()), &directory)
        .map_err(step("mount a tmpfs for cgroups"))?;
    super::attach(&tmpfs, target, &mount.destination)?;
    for hierarchy in &hierarchies {
        let place = mount.destination.join(&hierarchy.name);
        let target =
            root.make_directory(&place).map_err(step(format!("make {}", place.display())))?;
        super::attach(tree_of(plan, hierarchy, options)?, &target, &place)?;
        link_aliases(&tmpfs, hierarchy)?;
    }
    mount::set_attributes(&tmpfs, false, options.attributes(), None)
        .map_err(step(format!("set the options of {}", mount.destination.display())))
}

/// One hierarchy as the container sees it: a mount of its own where it has a cgroup namespace,
/// otherwise a bind mount of its directory.
fn tree_of(
    plan: &Plan<'_>,
    hierarchy: &Hierarchy,
    options: &Options,
) -> Result<OwnedFd, NativeError> {
    let say = |what: &str| step(format!("{what} cgroup {}", hierarchy.directory.display()));
    let tree = if plan.own_cgroup_namespace {
        let kind = if hierarchy.controllers.is_empty() { "cgroup2" } else { "cgroup" };
        let controllers = Options::parse(hierarchy.controllers.iter().map(String::as_str));
        mount::new_filesystem(kind, Some("cgroup".as_ref()), &controllers)
            .map_err(std::io::Error::other)
            .map_err(say("mount"))?
    } else {
        mount::clone_host_tree(Path::new(&hierarchy.directory), false).map_err(say("open"))?
    };
    mount::set_attributes(&tree, false, options.attributes(), None)
        .map_err(say("set the mount options of"))?;
    mount::set_attributes(&tree, false, Attributes::inert(false), None)
        .map_err(say("set the mount options of"))?;
    Ok(tree)
}

/// `cpu -> cpu,cpuacct` and so on.
fn link_aliases(directory: &OwnedFd, hierarchy: &Hierarchy) -> Result<(), NativeError> {
    for alias in &hierarchy.symlinks {
        match rustix::fs::symlinkat(hierarchy.name.as_str(), directory, alias.as_str()) {
            Ok(()) | Err(rustix::io::Errno::EXIST) => {}
            Err(error) => return Err(step(format!("link the cgroup {alias}"))(error)),
        }
    }
    Ok(())
}
