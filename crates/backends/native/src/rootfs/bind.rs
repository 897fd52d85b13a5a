//! Bind mounts: a detached copy of a host tree, with its attributes and propagation set before the
//! container can see it.

use lxcri_core::oci::Mount;
use lxcri_linux::beneath::host_path_is_directory;
use lxcri_linux::mount::{self, Attributes, Options, Propagation, PropagationKind};

use super::idmap::Maps;
use super::proc_guard;
use super::sources::{Plan, Source, is_recursive};
use crate::error::{NativeError, step};

/// Clones the source and sets what the options say.
pub(super) fn open(
    plan: &Plan<'_>,
    mount: &Mount,
    options: &Options,
    maps: &mut Maps,
) -> Result<Source, NativeError> {
    let source = plan.bundle.join(mount.source.as_deref().unwrap_or(plan.bundle));
    let say = |what: &str| {
        step(format!("{what} {} for {}", source.display(), mount.destination.display()))
    };
    let is_directory = host_path_is_directory(&source).map_err(say("open mount source"))?;
    let tree =
        mount::clone_host_tree(&source, is_recursive(options)).map_err(say("open mount source"))?;
    proc_guard::check_source(&tree, mount)?;
    for word in options.superblock_words() {
        log::warn!(
            "{}: mount option {word:?} is ignored: it cannot be changed for a bind mount",
            mount.destination.display()
        );
    }
    for (propagation, recursive) in propagations(plan, options) {
        mount::set_attributes(&tree, recursive, Attributes::default(), Some(propagation))
            .map_err(say("set the propagation of"))?;
    }
    maps.apply(plan, mount, options, (&tree, &source))?;
    mount::set_attributes(&tree, false, options.attributes(), None)
        .map_err(say("set the options of"))?;
    mount::set_attributes(&tree, true, options.recursive_attributes(), None)
        .map_err(say("set the recursive options of"))?;
    Ok(Source::Tree { tree, is_directory })
}

/// What to set, in order. A tree starts as a peer of the host's mount; it stays one only where both
/// the mount and the container's root are to be shared, because a mount namespace that is cut off
/// from the host's cannot hand anything back (runc does the same by its rslave root).
fn propagations(plan: &Plan<'_>, options: &Options) -> Vec<(Propagation, bool)> {
    let root = plan.linux.rootfs_propagation.as_deref().and_then(Propagation::parse);
    let shares_root = root.is_some_and(|root| root.kind == PropagationKind::Shared);
    let wanted = options.propagation();
    let stays_peer =
        shares_root && wanted.is_some_and(|wanted| wanted.kind == PropagationKind::Shared);
    let cut = (!stays_peer).then_some((Propagation::SLAVE, true));
    cut.into_iter().chain(wanted.map(|wanted| (wanted, wanted.recursive))).collect()
}
