//! `copy`: one golden tree per image, copied for each container. Files share their blocks with it
//! where the filesystem can (ioctl_ficlone(2)).

use std::collections::BTreeSet;
use std::fs::File;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use lxcri_linux::mount;
use lxcri_linux::step::Step as _;
use lxcri_linux::tree::{self, Rules};

use super::container::{Container, make_directory};
use super::{
    IdRange, Place, Provider, Record, Rootfs, RootfsError, Step, Unavailable, golden, io, mapping,
    overlay,
};
use crate::digest::Digest;
use crate::directory_lock::open_directory;

/// The container's own tree.
pub(super) const FS: &str = "fs";
/// A file that says that owners were changed on disk, because they could not be mapped.
const SHIFTED: &str = "shifted";

/// The provider.
#[derive(Debug)]
pub(super) struct Copy;

impl Provider for Copy {
    fn name(&self) -> &'static str {
        "copy"
    }

    fn probe(&self, place: &Place, _mapped: bool) -> Result<(), Unavailable> {
        overlay::can_read(place, self.name())
    }

    fn make(&self, container: &Container<'_>, record: &Record) -> Result<(), RootfsError> {
        let fill = |building: &File, path: &Path| {
            let target = path.join(golden::TREE);
            make_directory(&target, 0o755).map_err(io("make", &target))?;
            flatten(record, building, path)
        };
        let (_lock, golden) = golden::tree(container.place(), self.name(), &record.chain, &fill)?;
        let target = container.make(FS)?;
        Step::PrepareTree.reached();
        let shift = record.mapping.as_deref().filter(|ranges| !can_map(container, ranges));
        if shift.is_some() {
            let path = container.file(SHIFTED);
            File::create_new(&path).map_err(io("make", &path))?;
        }
        let shift = shift.map(mapping::kernel);
        let rules = Rules { shift: shift.as_deref(), ..Rules::default() };
        tree::copy(&golden, &target, rules)
            .map(drop)
            .map_err(|source| RootfsError::Tree { path: container.file(FS), source })
    }

    fn mount(&self, container: &Container<'_>, record: &Record) -> Result<Rootfs, RootfsError> {
        let path = container.file(FS);
        let tree = mount::clone_host_tree(&path, false).map_err(io("clone the mount of", &path))?;
        let mapped = !container.file(SHIFTED).exists();
        container.attach_tree(tree.as_fd(), record, mapped, self.name())
    }

    fn prune(&self, place: &Place, in_use: &BTreeSet<Digest>) -> Result<Vec<Digest>, RootfsError> {
        golden::prune_trees(place, self.name(), in_use)
    }
}

/// Whether the filesystem there can show its files with other ids.
fn can_map(container: &Container<'_>, ranges: &[IdRange]) -> bool {
    let tree = mount::clone_host_tree(&container.file(""), false);
    tree.and_then(|tree| mapping::apply(&tree, ranges)).is_ok()
}

/// Fills the directory [`golden::TREE`] in `building`, which is at `path`, with what the layers come
/// to.
pub(super) fn flatten(record: &Record, building: &File, path: &Path) -> Result<(), RootfsError> {
    if record.layers.is_empty() {
        return Ok(());
    }
    let layers: Vec<PathBuf> = record.layers.iter().map(|layer| layer.path.clone()).collect();
    let merged = overlay::merge(&layers, path)?;
    let target = path.join(golden::TREE);
    let opened = open_directory(&target).map_err(io("open", &target))?;
    let failed = |source| RootfsError::Tree { path: target.clone(), source };
    tree::copy(&merged, &opened, Rules::default()).map_err(failed)?;
    drop(merged);
    // What the overlay may have been filled up with.
    tree::remove(building, "empty".as_ref()).map_err(failed)
}
