//! Control groups: where a container's processes are counted, limited, frozen and killed.
//!
//! One interface for three arrangements, detected by [`Layout`]: v2 (one tree), v1 (one tree per
//! controller) and hybrid (v1 trees with the controllers plus a v2 tree without, which is used to
//! track, kill and clone into). A [`Cgroup`] is planned from the layout, stored with the
//! container's state, and needs no detection when it is used again.
//!
//! Facts: kernel Documentation/admin-guide/cgroup-v2.rst and cgroup-v1/*.rst; OCI runtime-spec
//! config-linux.md. Not done here: huge pages, network classes and RDMA.

mod apply;
mod apply_v1;
mod apply_v2;
mod block_io;
mod bpf;
mod controllers;
pub mod convert;
mod create;
mod current;
mod device_bpf;
mod devices;
mod devices_v1;
mod directory;
mod error;
mod freeze;
mod kill;
mod layout;
mod mountinfo;
mod path;
mod processes;
mod remove;
mod resources;
mod stats;
mod step;
#[cfg(test)]
mod tests;
mod tree;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

pub use create::Created;
pub use current::CurrentError;
pub use device_bpf::device_program;
pub use devices::{Access, DEFAULT_ALLOWED_DEVICES, Rule};
pub use error::{Error, MissingBecause, Result};
pub use layout::{Layout, LayoutKind};
pub use resources::{
    BlockIo, Cpu, DeviceRule, DeviceType, HugepageLimit, InterfacePriority, Memory, Network, Pids,
    Rdma, Resources, ThrottleDevice, WeightDevice,
};
pub use stats::{
    CpuStats, CpuUsage, MemoryCounter, MemoryEvents, MemoryStats, PidsStats, Stats, Throttling,
};
pub use step::Step;

use directory::Directory;

/// The cgroup of one container in every hierarchy.
///
/// It is a plan plus the memory of it: making the value makes nothing. It is stored in the
/// container's state, so its serialized form is stable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cgroup {
    kind: LayoutKind,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    v1: Vec<Place>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    v2: Option<Place>,
}

/// The container's directory in one hierarchy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Place {
    /// v1: its controllers, or `name=…`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    controllers: Vec<String>,
    mount: PathBuf,
    /// Below the mount, without a leading slash; never empty.
    path: String,
}

impl Place {
    fn directory(&self) -> PathBuf {
        self.mount.join(&self.path)
    }
}

/// What a container sees of one hierarchy when a mount of type `cgroup` is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hierarchy {
    /// The directory's name below the mount's destination, e.g. `cpu,cpuacct` or `unified`; empty
    /// for a pure v2 tree, which is mounted at the destination itself.
    pub name: String,
    /// The container's cgroup in it, an absolute path on the host.
    pub directory: PathBuf,
    /// The v1 controllers (or `name=…`), empty for v2.
    pub controllers: Vec<String>,
    /// Other names for it: symbolic links to make beside `name`, e.g. `cpu` and `cpuacct`.
    pub symlinks: Vec<String>,
}

impl Cgroup {
    /// Which arrangement the cgroup was planned for.
    #[must_use]
    pub fn kind(&self) -> LayoutKind {
        self.kind
    }

    /// The directory that stands for the cgroup in messages and in `state`: that of the v2 tree,
    /// otherwise of the first v1 hierarchy.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.tracking().map(Place::directory).unwrap_or_default()
    }

    /// The directories of all hierarchies, v2 last.
    #[must_use]
    pub fn directories(&self) -> Vec<PathBuf> {
        self.places().map(Place::directory).collect()
    }

    /// The directories of the v1 hierarchies: what remains to be joined after
    /// `CLONE_INTO_CGROUP` (write `0` or a pid to `cgroup.procs` in each).
    #[must_use]
    pub fn v1_directories(&self) -> Vec<PathBuf> {
        self.v1.iter().map(Place::directory).collect()
    }

    /// What a container needs for its own mounts of type `cgroup`.
    #[must_use]
    pub fn hierarchies(&self) -> Vec<Hierarchy> {
        self.places().map(|place| place.hierarchy(self.kind)).collect()
    }

    fn places(&self) -> impl Iterator<Item = &Place> {
        self.v1.iter().chain(self.v2.as_ref())
    }

    /// The hierarchy whose directory lists all processes.
    fn tracking(&self) -> Option<&Place> {
        self.v2.as_ref().or_else(|| self.controller("freezer")).or_else(|| self.v1.first())
    }

    /// The v1 hierarchy of a controller.
    fn controller(&self, name: &str) -> Option<&Place> {
        self.v1.iter().find(|place| place.controllers.iter().any(|c| c == name))
    }

    /// Opens the directory of a v1 controller, if there is one.
    fn open_controller(&self, name: &str) -> Result<Option<Directory>> {
        self.controller(name).map(|place| Directory::open(&place.directory())).transpose()
    }
}

impl Place {
    fn hierarchy(&self, kind: LayoutKind) -> Hierarchy {
        let name = match kind {
            LayoutKind::V2 => String::new(),
            _ => file_name(&self.mount),
        };
        let bare = self.controllers.iter().map(|c| c.strip_prefix("name=").unwrap_or(c).to_owned());
        let symlinks = bare.filter(|alias| *alias != name).collect();
        let controllers = self.controllers.clone();
        Hierarchy { name, directory: self.directory(), controllers, symlinks }
    }
}

fn file_name(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}
