//! `btrfs`: one golden subvolume per image, a snapshot of it for each container
//! (btrfs-subvolume(8)).

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::File;
use std::os::fd::AsFd;
use std::path::Path;

use lxcri_linux::step::Step as _;
use lxcri_linux::{btrfs, mount};

use super::container::Container;
use super::copy::{FS, flatten};
use super::{Place, Provider, Record, Rootfs, RootfsError, Step, Unavailable, golden, io, overlay};
use crate::digest::Digest;
use crate::directory_lock::open_directory;

const PROBE: &str = ".probe-btrfs";

/// The provider.
#[derive(Debug)]
pub(super) struct Btrfs;

impl Provider for Btrfs {
    fn name(&self) -> &'static str {
        "btrfs"
    }

    /// btrfs has idmapped mounts since Linux 5.15; older kernels say so when one is made.
    fn probe(&self, place: &Place, _mapped: bool) -> Result<(), Unavailable> {
        overlay::can_read(place, self.name())?;
        let unavailable =
            |reason| Unavailable { provider: "btrfs", root: place.root.clone(), reason };
        let error = |error: std::io::Error| unavailable(error.to_string());
        let root = open_directory(&place.root).map_err(error)?;
        if !btrfs::is_btrfs(&root).map_err(error)? {
            return Err(unavailable("the filesystem is not btrfs".to_owned()));
        }
        let name = format!("{PROBE}-{}", std::process::id());
        btrfs::create_subvolume(&root, OsStr::new(&name))
            .map_err(|error| unavailable(format!("cannot make a subvolume: {error}")))?;
        btrfs::destroy_subvolume(&root, OsStr::new(&name))
            .map_err(|error| unavailable(format!("cannot destroy a subvolume: {error}")))
    }

    fn make(&self, container: &Container<'_>, record: &Record) -> Result<(), RootfsError> {
        let fill = |building: &File, path: &Path| {
            btrfs::create_subvolume(building, OsStr::new(golden::TREE))
                .map_err(io("make the subvolume", &path.join(golden::TREE)))?;
            flatten(record, building, path)
        };
        let (_lock, golden) = golden::tree(container.place(), self.name(), &record.chain, &fill)?;
        btrfs::snapshot(&golden, container.data()?, OsStr::new(FS))
            .map_err(io("make the snapshot", &container.file(FS)))?;
        Step::PrepareTree.reached();
        Ok(())
    }

    fn mount(&self, container: &Container<'_>, record: &Record) -> Result<Rootfs, RootfsError> {
        let path = container.file(FS);
        let tree = mount::clone_host_tree(&path, false).map_err(io("clone the mount of", &path))?;
        container.attach_tree(tree.as_fd(), record, true, self.name())
    }

    fn prune(&self, place: &Place, in_use: &BTreeSet<Digest>) -> Result<Vec<Digest>, RootfsError> {
        golden::prune_trees(place, self.name(), in_use)
    }
}
