//! `zfs`: one golden dataset per image, a clone of its snapshot for each container.
//!
//! ```text
//! <dataset>/golden/<chain>@ready    an image
//! <dataset>/containers/<id>         a container
//! ```
//!
//! All of them have `mountpoint=legacy`: nothing mounts them but we, by descriptor. A snapshot is on
//! disk when it is made, so `@ready` says all that a golden tree's mark says elsewhere. Datasets carry
//! a property of ours, and one without it is never destroyed.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::fd::AsFd;
use std::path::Path;
use std::time::{Duration, Instant};

use lxcri_core::id::ContainerId;
use lxcri_linux::mount::{self, Options};
use lxcri_linux::step::Step as _;
use lxcri_linux::tree::{self, Rules};
use lxcri_zfs::{Dataset, Kind, Property, Refusal, ZfsError};
use rustix::fd::OwnedFd;

use super::container::Container;
use super::{Place, Provider, Record, Rootfs, RootfsError, Step, Unavailable, golden, io, overlay};
use crate::digest::Digest;

const GOLDEN: &str = "golden";
const CONTAINERS: &str = "containers";
const READY: &str = "ready";

const MOUNTPOINT: Property = Property::new("mountpoint");
/// Whose a dataset is: a chain by its name, or the word in a container's record.
const OWNER: Property = Property::new("proxmox-lxcri:owner");

/// How long a dataset may stay busy that nothing is mounted of any more: the kernel lets go of mounts
/// a moment after they are gone.
const PATIENCE: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(20);

/// The provider.
#[derive(Debug)]
pub(super) struct Zfs;

impl Provider for Zfs {
    fn name(&self) -> &'static str {
        "zfs"
    }

    fn probe(&self, place: &Place, mapped: bool) -> Result<(), Unavailable> {
        let unavailable =
            |reason: String| Unavailable { provider: "zfs", root: place.root.clone(), reason };
        let Some(dataset) = &place.dataset else {
            return Err(unavailable("no dataset is configured (zfs.dataset)".to_owned()));
        };
        let zfs = lxcri_zfs::Zfs::default();
        let version = zfs.version().map_err(|error| unavailable(error.to_string()))?;
        if mapped && is_before_2_2(&version) {
            return Err(unavailable(format!("ZFS {version} cannot map ids: that came with 2.2")));
        }
        match zfs.exists(dataset) {
            Ok(true) => overlay::can_read(place, self.name()),
            Ok(false) => Err(unavailable(format!("the dataset {dataset} does not exist"))),
            Err(error) => Err(unavailable(error.to_string())),
        }
    }

    fn make(&self, container: &Container<'_>, record: &Record) -> Result<(), RootfsError> {
        let zfs = lxcri_zfs::Zfs::default();
        let parent = parent(container.place())?;
        let golden = parent.child(GOLDEN)?.child(&golden::name_of(&record.chain))?;
        let ready = golden.at(READY)?;
        let is_ready = |_: &Path| Ok(zfs.exists(&ready)?);
        let build = |path: &Path| build(&zfs, &parent, &golden, record, path);
        let (_lock, _) =
            golden::locked(container.place(), self.name(), &record.chain, &is_ready, &build)?;
        make_parent(&zfs, &parent.child(CONTAINERS)?)?;
        let owner = record.dataset_owner.as_deref().unwrap_or_default();
        zfs.clone_snapshot(
            &ready,
            &dataset_of(&parent, &record.id)?,
            &[(MOUNTPOINT, "legacy"), (OWNER, owner)],
        )?;
        Step::PrepareTree.reached();
        Ok(())
    }

    fn mount(&self, container: &Container<'_>, record: &Record) -> Result<Rootfs, RootfsError> {
        let dataset = dataset_of(&recorded(container, record)?, &record.id)?;
        let path = container.merged();
        let tree = mount_dataset(&dataset, &path)?;
        container.attach_tree(tree.as_fd(), record, true, self.name())
    }

    fn unmake(&self, container: &Container<'_>) -> Result<(), RootfsError> {
        // Without a record no dataset was made; what a damaged one made cannot be told from others'.
        let Ok(record) = container.read_record() else { return Ok(()) };
        let Some(owner) = &record.dataset_owner else { return Ok(()) };
        let dataset = dataset_of(&recorded(container, &record)?, container.id())?;
        match destroy_own(&lxcri_zfs::Zfs::default(), &dataset, owner) {
            // Then the name was taken before we came, and nothing of ours is there.
            Err(error @ RootfsError::Stranger { .. }) => {
                log::warn!("{error}");
                Ok(())
            }
            other => other,
        }
    }

    fn prune(&self, place: &Place, in_use: &BTreeSet<Digest>) -> Result<Vec<Digest>, RootfsError> {
        let Some(parent) = &place.dataset else { return Ok(Vec::new()) };
        let zfs = lxcri_zfs::Zfs::default();
        let all = parent.child(GOLDEN)?;
        let listed = match zfs.list(&all, Kind::Filesystem, 1) {
            Err(error) if error.is(Refusal::NotFound) => return Ok(Vec::new()),
            result => result?,
        };
        let prefix = format!("{all}/");
        let names: BTreeSet<String> = listed
            .iter()
            .filter_map(|name| name.strip_prefix(&prefix))
            .map(str::to_owned)
            .collect();
        golden::prune(place, self.name(), &names, in_use, &|name| {
            match destroy_own(&zfs, &all.child(name)?, name) {
                // A container of another place.
                Err(RootfsError::Zfs(error))
                    if error.is(Refusal::HasClones) || error.is(Refusal::Busy) =>
                {
                    Ok(false)
                }
                Err(RootfsError::Stranger { .. }) => Ok(false),
                result => result.map(|()| true),
            }
        })
    }
}

fn parent(place: &Place) -> Result<Dataset, RootfsError> {
    place.dataset.clone().ok_or_else(|| {
        RootfsError::Unavailable(Unavailable {
            provider: "zfs",
            root: place.root.clone(),
            reason: "no dataset is configured (zfs.dataset)".to_owned(),
        })
    })
}

/// The parent that a container was made below, whatever is configured now.
fn recorded(container: &Container<'_>, record: &Record) -> Result<Dataset, RootfsError> {
    match &record.dataset {
        Some(name) => Ok(name.parse()?),
        None => parent(container.place()),
    }
}

/// A container's dataset. Ids may have a `+`, which names of datasets may not, and never a colon.
fn dataset_of(parent: &Dataset, id: &ContainerId) -> Result<Dataset, RootfsError> {
    Ok(parent.child(CONTAINERS)?.child(&id.as_str().replace('+', ":"))?)
}

/// A dataset that only holds others.
fn make_parent(zfs: &lxcri_zfs::Zfs, dataset: &Dataset) -> Result<(), ZfsError> {
    match zfs.create(dataset, &[(MOUNTPOINT, "none"), (Property::new("canmount"), "off")]) {
        Err(error) if error.is(Refusal::Exists) => Ok(()),
        result => result,
    }
}

/// Makes a golden dataset, and last of all its snapshot.
fn build(
    zfs: &lxcri_zfs::Zfs,
    parent: &Dataset,
    golden: &Dataset,
    record: &Record,
    scratch: &Path,
) -> Result<(), RootfsError> {
    make_parent(zfs, &parent.child(GOLDEN)?)?;
    let owner = golden::name_of(&record.chain);
    let set = [
        (MOUNTPOINT, "legacy"),
        (OWNER, &owner),
        (Property::new("acltype"), "posix"),
        (Property::new("xattr"), "sa"),
    ];
    match zfs.create(golden, &set) {
        // One without its snapshot, which a killed process left.
        Err(error) if error.is(Refusal::Exists) => {
            destroy_own(zfs, golden, &owner)?;
            zfs.create(golden, &set)?;
        }
        result => result?,
    }
    Step::GoldenDirectory.reached();
    let filled = fill(golden, record, scratch);
    if let Err(error) = filled {
        // The next one who needs it tries again.
        let _ = destroy(zfs, golden);
        return Err(error);
    }
    Step::GoldenFilled.reached();
    Ok(zfs.snapshot(&golden.at(READY)?)?)
}

fn fill(golden: &Dataset, record: &Record, scratch: &Path) -> Result<(), RootfsError> {
    if record.layers.is_empty() {
        return Ok(());
    }
    let target = mount_dataset(golden, scratch)?;
    let layers: Vec<_> = record.layers.iter().map(|layer| layer.path.clone()).collect();
    match std::fs::create_dir(scratch) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
            return Err(io("make", scratch)(error));
        }
        _ => {}
    }
    let merged = overlay::merge(&layers, scratch)?;
    let flags = rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::DIRECTORY;
    let flags = flags | rustix::fs::OFlags::CLOEXEC;
    let opened = rustix::fs::openat(&target, ".", flags, rustix::fs::Mode::empty())
        .map_err(|errno| io("open", scratch)(errno.into()))?;
    let copied = tree::copy(&merged, &opened, Rules::default());
    let failed = |source| RootfsError::Tree { path: scratch.to_owned(), source };
    drop((merged, opened, target));
    copied.map_err(failed)?;
    std::fs::remove_dir_all(scratch).map_err(io("remove", scratch))
}

/// Mounts a dataset, attached nowhere. `path` is for the error.
fn mount_dataset(dataset: &Dataset, path: &Path) -> Result<OwnedFd, RootfsError> {
    let source = Some(OsStr::new(dataset.as_str()));
    mount::new_filesystem("zfs", source, &Options::default())
        .map_err(|source| RootfsError::Mount { path: path.to_owned(), source })
}

/// Destroys a dataset with its snapshots, if it carries the word of its owner. That it is missing is
/// fine.
fn destroy_own(zfs: &lxcri_zfs::Zfs, dataset: &Dataset, owner: &str) -> Result<(), RootfsError> {
    let found = match zfs.properties(dataset, &[OWNER]) {
        Err(error) if error.is(Refusal::NotFound) => return Ok(()),
        result => result?.into_iter().flatten().next(),
    };
    if found.as_deref() != Some(owner) {
        return Err(RootfsError::Stranger { dataset: dataset.to_string() });
    }
    Ok(destroy(zfs, dataset)?)
}

/// Destroys a dataset and its snapshots, once nothing uses it any more.
fn destroy(zfs: &lxcri_zfs::Zfs, dataset: &Dataset) -> Result<(), ZfsError> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match zfs.destroy(dataset, true) {
            Err(error) if error.is(Refusal::NotFound) => return Ok(()),
            Err(error) if error.is(Refusal::Busy) && Instant::now() < deadline => {
                std::thread::sleep(PAUSE);
            }
            result => return result,
        }
    }
}

fn is_before_2_2(version: &str) -> bool {
    let mut numbers = version.split(['.', '-']).map(|part| part.parse::<u32>().unwrap_or(0));
    let first = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    first < (2, 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions() {
        for (version, is_before) in [
            ("2.3.2-1", false),
            ("2.2.0", false),
            ("2.1.11-1+deb12u1", true),
            ("0.8.6", true),
            ("?", true),
        ] {
            assert_eq!(is_before_2_2(version), is_before, "{version}");
        }
    }

    #[test]
    fn ids_are_names_of_datasets() {
        let parent: Dataset = "tank/lxcri".parse().unwrap();
        let name = |id: &str| dataset_of(&parent, &id.parse().unwrap());
        assert_eq!(name("a+b.c_d").unwrap().as_str(), "tank/lxcri/containers/a:b.c_d");
        assert!(matches!(name(&"x".repeat(255)), Err(RootfsError::DatasetName(_))));
    }
}
