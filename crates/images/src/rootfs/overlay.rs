//! `overlay`: one directory per layer, shared by all containers, below a directory of the
//! container's own changes (Documentation/filesystems/overlayfs.rst).

mod layers;
mod probe;

use std::collections::BTreeSet;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use lxcri_linux::mount::{self, Attributes, LAYERS_MAX, MountError};
use lxcri_linux::step::Step as _;
use lxcri_linux::tree;
use rustix::fd::OwnedFd;
use rustix::io::Errno;

use super::container::{Container, make_directory};
use super::{IdRange, Place, Provider, Record, Rootfs, RootfsError, Step, Unavailable, io};
use crate::digest::Digest;
use crate::directory_lock::open_directory;
use crate::id_range;
use layers::Layers;

pub(super) use probe::can_read;

const UPPER: &str = "upper";
const WORK: &str = "work";
/// What is stacked where the kernel wants more layers than there are.
const EMPTY: [&str; 2] = ["empty", "empty2"];

/// What mountinfo shows as the source.
const SOURCE: &str = "proxmox-lxcri";

/// The provider.
#[derive(Debug)]
pub(super) struct Overlay;

impl Provider for Overlay {
    fn name(&self) -> &'static str {
        "overlay"
    }

    fn probe(&self, place: &Place, mapped: bool) -> Result<(), Unavailable> {
        probe::can_write(place, mapped)
    }

    fn make(&self, container: &Container<'_>, record: &Record) -> Result<(), RootfsError> {
        if record.layers.len() > LAYERS_MAX {
            let count = record.layers.len();
            return Err(RootfsError::TooManyLayers { count, max: LAYERS_MAX });
        }
        for name in fillers(record.layers.len(), record.read_only) {
            container.make(name)?;
        }
        if record.read_only {
            return Ok(());
        }
        let upper = container.make(UPPER)?;
        Step::PrepareUpper.reached();
        match record.layers.last() {
            Some(top) => {
                let from = open_directory(&top.path).map_err(io("open layer", &top.path))?;
                tree::copy_attributes(from.as_fd(), upper.as_fd())
                    .map_err(|source| RootfsError::Tree { path: container.file(UPPER), source })?;
            }
            None => rustix::fs::fchmod(&upper, rustix::fs::Mode::from_raw_mode(0o755))
                .map_err(|errno| io("change the mode of", &container.file(UPPER))(errno.into()))?,
        }
        container.make(WORK).map(drop)
    }

    fn mount(&self, container: &Container<'_>, record: &Record) -> Result<Rootfs, RootfsError> {
        if record.ephemeral && container.file("work/work").exists() {
            // The kernel's mark there refuses what may not have reached the disk. In the boot it was
            // written in it is whole, and no other boot gets here.
            let error = |source| RootfsError::Tree { path: container.file(WORK), source };
            tree::remove(container.data()?, WORK.as_ref()).map_err(error)?;
            container.make(WORK)?;
        }
        let mut stack = Stack {
            lower: record.layers.iter().map(|layer| layer.path.clone()).collect(),
            upper: (!record.read_only).then(|| container.file("")),
            mapping: record.mapping.as_deref(),
            volatile: record.ephemeral,
            attributes: Attributes::without_devices(record.read_only),
        };
        let fillers = fillers(record.layers.len(), record.read_only);
        stack.lower.splice(0..0, fillers.iter().map(|name| container.file(name)));
        // Any directory will do.
        let target = container.file("");
        let tree = stack.mount(&target).map_err(|source| {
            let path = container.merged();
            RootfsError::Mount { path, source }
        })?;
        container.attach(tree.as_fd(), self.name())
    }

    fn prune(&self, _: &Place, _: &BTreeSet<Digest>) -> Result<Vec<Digest>, RootfsError> {
        Ok(Vec::new())
    }
}

/// The empty directories that are needed below so many layers: one layer at least, two where nothing
/// is above them.
fn fillers(layers: usize, read_only: bool) -> &'static [&'static str] {
    let needed = if read_only { 2 } else { 1 };
    &EMPTY[..EMPTY.len().min(usize::saturating_sub(needed, layers))]
}

/// What is to be mounted.
struct Stack<'a> {
    /// Lowest first; enough of them.
    lower: Vec<PathBuf>,
    /// The directory in which [`UPPER`] and [`WORK`] are.
    upper: Option<PathBuf>,
    mapping: Option<&'a [IdRange]>,
    volatile: bool,
    attributes: Attributes,
}

impl Stack<'_> {
    /// Mounts it, attached nowhere. By descriptor, and where the kernel cannot, by name.
    fn mount(&self, target: &Path) -> Result<OwnedFd, MountError> {
        let layers = Layers::open(&self.lower, self.upper.as_deref(), self.mapping, false)?;
        match self.overlay(&layers).by_descriptor() {
            Err(error) if is_too_old(&error) => {}
            result => return result,
        }
        let layers = Layers::open(&self.lower, self.upper.as_deref(), self.mapping, true)?;
        self.by_name(&layers, target)
    }

    fn by_name(&self, layers: &Layers, target: &Path) -> Result<OwnedFd, MountError> {
        let trees: Vec<_> = layers.trees().iter().map(AsFd::as_fd).collect();
        self.overlay(layers).by_name(&trees, target)
    }

    fn overlay<'l>(&self, layers: &'l Layers) -> mount::Overlay<'l> {
        mount::Overlay {
            source: SOURCE,
            lower: layers.lower(),
            upper_and_work: layers.upper_and_work(),
            volatile: self.volatile,
            attributes: self.attributes,
            acts_as: self.mapping.filter(|_| self.upper.is_some()).and_then(|ranges| {
                let root = id_range::host_id(ranges, 0)?;
                Some((root, root))
            }),
        }
    }
}

/// What kernels answer that know no layers by descriptor, or no detached ones.
fn is_too_old(error: &MountError) -> bool {
    let (MountError::Filesystem { source, .. } | MountError::Io { source, .. }) = error else {
        return false;
    };
    [Errno::INVAL, Errno::BADF]
        .iter()
        .any(|errno| source.raw_os_error() == Some(errno.raw_os_error()))
}

/// The merged tree of some layers, with whiteouts applied by the kernel; read-only, attached
/// nowhere. `scratch` is an existing directory, in which empty ones may be made.
pub(super) fn merge(layers: &[PathBuf], scratch: &Path) -> Result<OwnedFd, RootfsError> {
    let mut lower = Vec::new();
    for name in fillers(layers.len(), true) {
        let path = scratch.join(name);
        make_directory(&path, 0o755).map_err(io("make", &path))?;
        lower.push(path);
    }
    lower.extend_from_slice(layers);
    let attributes = Attributes::without_devices(true);
    let stack = Stack { lower, upper: None, mapping: None, volatile: false, attributes };
    stack.mount(scratch).map_err(|source| RootfsError::Mount { path: scratch.to_owned(), source })
}

#[cfg(test)]
mod tests;
