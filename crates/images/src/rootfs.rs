//! Root filesystems: from ready layers to a directory that one container can write to.
//!
//! ```text
//! <root>/containers/<id>/rootfs.json       what it is made of; written before anything else
//!                       /access/merged    where it is mounted
//!                       /data/upper, work overlay: the container's changes
//!                       /data/fs          copy, btrfs: the container's own tree
//! <root>/golden/<provider>/<chain>/        one whole tree per image, for providers that need one
//! <root>/chosen.json                       the provider that the setting came to in this boot
//! ```
//!
//! A provider is one way to do it. All of them leave a state from which [`remove`] removes
//! everything, wherever a process was killed. Files on disk belong to the ids inside of containers;
//! where a container has a user namespace, an idmapped mount shows them with the host's ids
//! (mount_setattr(2)), so that layers are shared whatever the mapping.
//!
//! Nobody but root walks to what is in there, and, to what is mounted, the host's id of a container's
//! own root (CVE-2021-41091: programs with set-user-id in there are not the host's).

mod btrfs;
mod chain;
mod choice;
mod container;
mod copy;
mod error;
mod golden;
mod mapping;
mod overlay;
mod record;
mod step;
mod zfs;

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};

use lxcri_core::id::ContainerId;
use lxcri_linux::step::Step as _;
use lxcri_zfs::Dataset;

use crate::digest::Digest;
use crate::layer::Layer;
use container::Container;

pub use crate::id_range::IdRange;
pub use chain::chain_id;
pub use choice::{Found, choose, probe_all};
pub use error::{RootfsError, Unavailable};
pub use record::{Record, SCHEMA};
pub use step::Step;

/// All providers, in the order in which `auto` tries them.
pub static PROVIDERS: [&dyn Provider; 4] =
    [&overlay::Overlay, &btrfs::Btrfs, &zfs::Zfs, &copy::Copy];

/// Where root filesystems are made.
#[derive(Clone, Debug)]
pub struct Place {
    /// The directory for all of it; absolute. It is made where it is missing.
    pub root: PathBuf,
    /// The ZFS filesystem below which datasets are made, where the configuration names one.
    pub dataset: Option<Dataset>,
    /// Whether golden trees are synced to disk before they count as ready. One that was not is made
    /// again after a reboot.
    pub sync: bool,
}

/// What is asked for.
#[derive(Clone, Debug)]
pub struct Request {
    /// The container.
    pub id: ContainerId,
    /// The image's layers, lowest first; none gives an empty root filesystem.
    pub layers: Vec<Layer>,
    /// The container's user namespace, users and groups alike.
    pub mapping: Option<Vec<IdRange>>,
    /// Nothing can be written, by nobody.
    pub read_only: bool,
    /// It does not outlive this boot (`--rm`): nothing is ever synced, and after a crash of the
    /// machine [`remount`] refuses it.
    pub ephemeral: bool,
}

/// A root filesystem that is ready. It is a mount of its own, which is gone after a reboot
/// ([`remount`]), without devices: those of a container are its runtime's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rootfs {
    /// The root directory, as the host sees it.
    pub path: PathBuf,
    /// Which provider made it.
    pub provider: &'static str,
}

/// One way to get a writable root filesystem from layers.
///
/// The functions of this module call it: they keep the container's directory, its lock and its
/// record, and call [`Provider::unmake`] where anything fails.
pub trait Provider: fmt::Debug + Sync {
    /// Its name in the configuration.
    fn name(&self) -> &'static str;

    /// Whether it works in this place; with `mapped`, for containers in user namespaces.
    ///
    /// # Errors
    /// Why not.
    fn probe(&self, place: &Place, mapped: bool) -> Result<(), Unavailable>;

    /// Makes what lies on disk.
    ///
    /// # Errors
    /// What is half made is taken away by [`Provider::unmake`].
    fn make(&self, container: &Container<'_>, record: &Record) -> Result<(), RootfsError>;

    /// Mounts what lies on disk, after [`Provider::make`] or a reboot.
    ///
    /// # Errors
    /// Nothing stays mounted.
    fn mount(&self, container: &Container<'_>, record: &Record) -> Result<Rootfs, RootfsError>;

    /// Takes away what lies outside of the container's directory. Nothing is mounted any more, and
    /// anything may be missing.
    ///
    /// # Errors
    /// Nothing of the rest is removed then.
    fn unmake(&self, _container: &Container<'_>) -> Result<(), RootfsError> {
        Ok(())
    }

    /// Removes golden trees of images that are not `in_use`, but none that is being used right now;
    /// says which.
    ///
    /// # Errors
    /// The first one that could not be removed; those before it are gone.
    fn prune(&self, place: &Place, in_use: &BTreeSet<Digest>) -> Result<Vec<Digest>, RootfsError>;
}

/// The provider of this name.
pub fn provider(name: &str) -> Option<&'static dyn Provider> {
    PROVIDERS.into_iter().find(|provider| provider.name() == name)
}

/// Makes a container's root filesystem.
///
/// # Errors
/// [`RootfsError::Exists`] for an id that has one already, or a part of one. After any other error
/// nothing of it is there.
pub fn prepare(
    place: &Place,
    provider: &'static dyn Provider,
    request: Request,
) -> Result<Rootfs, RootfsError> {
    let container = Container::reserve(place, &request.id)?;
    let made = Record::new(place, provider.name(), request).and_then(|record| {
        container.write_record(&record)?;
        container.make_directories(record.mapping.as_deref())?;
        provider.make(&container, &record)?;
        Step::PrepareMade.reached();
        let rootfs = provider.mount(&container, &record)?;
        Step::PrepareMounted.reached();
        Ok(rootfs)
    });
    made.inspect_err(|_| {
        if let Err(error) = take_away(&container, Some(provider)) {
            log::warn!("cannot take back the root filesystem of {}: {error}", container.id());
        }
    })
}

/// Removes a container's root filesystem, whole or half made. That there is none is fine.
///
/// # Errors
/// What could not be removed stays, and can be removed by another call.
pub fn remove(place: &Place, id: &ContainerId) -> Result<(), RootfsError> {
    let Some(container) = Container::open(place, id)? else { return Ok(()) };
    let provider = match container.read_record() {
        Ok(record) => Some(known(&record)?),
        // Killed before it was written, or damaged: everybody looks for theirs.
        Err(_) => None,
    };
    take_away(&container, provider)
}

fn take_away(
    container: &Container<'_>,
    only: Option<&'static dyn Provider>,
) -> Result<(), RootfsError> {
    container.unmount()?;
    Step::RemoveUnmounted.reached();
    let all = PROVIDERS.into_iter();
    for provider in all.filter(|one| only.is_none_or(|only| only.name() == one.name())) {
        provider.unmake(container)?;
    }
    Step::RemoveUnmade.reached();
    container.remove()
}

/// A container's root filesystem, mounted again where it is not, as after a reboot.
///
/// # Errors
/// [`RootfsError::NotFound`]; [`RootfsError::Ephemeral`] for one that was not to outlive its boot.
pub fn remount(place: &Place, id: &ContainerId) -> Result<Rootfs, RootfsError> {
    let not_found = || RootfsError::NotFound { id: id.clone() };
    let container = Container::open(place, id)?.ok_or_else(not_found)?;
    let record = container.read_record()?;
    let provider = known(&record)?;
    if container.is_mounted()? {
        return Ok(container.mounted(provider.name()));
    }
    if record.ephemeral && record.boot_id != record::boot_id()? {
        return Err(RootfsError::Ephemeral { id: id.clone() });
    }
    provider.mount(&container, &record)
}

/// What the root filesystems of all containers are made of, so that their layers and golden trees
/// count as used.
///
/// # Errors
/// [`RootfsError::Damaged`] for a record that cannot be read: then nothing should be removed that it
/// may need.
pub fn records(place: &Place) -> Result<Vec<Record>, RootfsError> {
    container::records(place)
}

/// Removes the golden trees of images that no container was made of and that are not among `keep`
/// (chain ids); says which.
///
/// # Errors
/// As [`Provider::prune`] and [`records`].
pub fn prune(place: &Place, keep: &BTreeSet<Digest>) -> Result<Vec<Digest>, RootfsError> {
    let mut in_use = keep.clone();
    in_use.extend(records(place)?.into_iter().map(|record| record.chain));
    let mut removed = Vec::new();
    for provider in PROVIDERS {
        removed.extend(provider.prune(place, &in_use)?);
    }
    Ok(removed)
}

fn known(record: &Record) -> Result<&'static dyn Provider, RootfsError> {
    provider(&record.provider)
        .ok_or_else(|| RootfsError::UnknownProvider { name: record.provider.clone() })
}

/// Below the place.
fn containers(place: &Place) -> PathBuf {
    place.root.join("containers")
}

fn io<'p>(what: &'static str, path: &'p Path) -> impl FnOnce(std::io::Error) -> RootfsError + 'p {
    move |source| RootfsError::Io { what, path: path.to_owned(), source }
}

#[cfg(test)]
mod tests;
