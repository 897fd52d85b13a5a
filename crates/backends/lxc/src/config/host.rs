//! What the host has: everything of this machine that a plan depends on.

use std::path::{Path, PathBuf};

use lxcri_core::id::ContainerId;
use lxcri_linux::cgroup::{Cgroup, Layout, LayoutKind};

use super::problem::{Problem, Result};

/// The oldest major version of liblxc whose keys are written.
const OLDEST: u32 = 5;

/// The most directories of a hierarchy that are looked into for a file that the root has not.
const LOOK_INTO: usize = 64;

/// The host, as a plan sees it.
#[derive(Clone, Debug)]
pub struct Host {
    /// The library that will read the configuration.
    pub liblxc: Liblxc,
    /// How control groups are mounted.
    pub cgroups: Cgroups,
    /// Whether AppArmor is in force.
    pub apparmor: bool,
    /// Whether SELinux is in force.
    pub selinux: bool,
    /// Number of the last capability that the kernel has (capabilities(7)).
    pub last_capability: u32,
    /// The root file system: an absolute directory.
    pub rootfs: PathBuf,
    /// The bundle: relative sources of mounts lie below it. Absolute.
    pub bundle: PathBuf,
    /// The container's name, in LXC too.
    pub name: ContainerId,
    /// The directory that holds LXC's directories of containers. Absolute.
    pub lxcpath: PathBuf,
}

/// A version of liblxc.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Liblxc {
    /// Such as 6.
    pub major: u32,
    /// Such as 0.
    pub minor: u32,
}

/// How control groups are mounted, by liblxc's distinction: the v2 keys of its configuration have an
/// effect in [`LayoutKind::V2`] only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cgroups {
    /// Which arrangement it is.
    pub kind: LayoutKind,
    /// The v1 hierarchies.
    pub v1: Vec<V1Hierarchy>,
    /// The v2 tree.
    pub v2: Option<V2Tree>,
    /// The file for weights of block I/O, where the kernel has one.
    pub weight: Option<WeightFile>,
    /// Whether the kernel counts swap.
    pub counts_swap: bool,
}

/// A v1 hierarchy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct V1Hierarchy {
    /// Its controllers, or `name=…`.
    pub controllers: Vec<String>,
    /// Where it is mounted.
    pub mount: PathBuf,
}

/// The v2 tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct V2Tree {
    /// Where it is mounted.
    pub mount: PathBuf,
    /// `cgroup.controllers` of its root.
    pub controllers: Vec<String>,
}

/// Which file takes weights of block I/O: BFQ's own, or the general one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WeightFile {
    /// `blkio.bfq.weight`, `io.bfq.weight`.
    Bfq,
    /// `blkio.weight`, `io.weight`.
    General,
}

impl Liblxc {
    /// Refuses a version that lacks keys.
    pub(crate) fn check(self) -> Result<()> {
        if self.major >= OLDEST {
            return Ok(());
        }
        Err(Problem::TooOld { found: format!("{}.{}", self.major, self.minor), needed: "5.0" })
    }
}

impl Cgroups {
    /// Looks at this machine. Reads `cgroup.controllers` of the v2 tree and the names of files in
    /// each hierarchy; makes nothing.
    pub fn of(layout: &Layout) -> lxcri_linux::cgroup::Result<Self> {
        // Any name will do: only the mounts are of interest.
        let hierarchies = Cgroup::plan(layout, Some("/x"), "x")?.hierarchies();
        let mut found = Self {
            kind: layout.kind(),
            v1: Vec::new(),
            v2: None,
            weight: None,
            counts_swap: false,
        };
        for hierarchy in hierarchies {
            let mount = hierarchy.directory.parent().unwrap_or(Path::new("/")).to_owned();
            found.look_for_files(&mount);
            if hierarchy.controllers.is_empty() {
                let text = std::fs::read_to_string(mount.join("cgroup.controllers"));
                let text = text.unwrap_or_default();
                let controllers = text.split_ascii_whitespace().map(str::to_owned).collect();
                found.v2 = Some(V2Tree { mount, controllers });
            } else {
                found.v1.push(V1Hierarchy { controllers: hierarchy.controllers, mount });
            }
        }
        Ok(found)
    }

    /// Roots of hierarchies lack most files, so their children are asked too.
    fn look_for_files(&mut self, mount: &Path) {
        let children = std::fs::read_dir(mount).into_iter().flatten().flatten();
        let children = children.map(|entry| entry.path()).filter(|path| path.is_dir());
        for directory in [mount.to_owned()].into_iter().chain(children.take(LOOK_INTO)) {
            let has = |name: &str| directory.join(name).exists();
            if has("blkio.bfq.weight") || has("io.bfq.weight") {
                self.weight = Some(WeightFile::Bfq);
            } else if has("blkio.weight") || has("io.weight") {
                self.weight = self.weight.or(Some(WeightFile::General));
            }
            self.counts_swap |= has("memory.memsw.limit_in_bytes") || has("memory.swap.max");
        }
    }

    /// The v1 hierarchy of a controller.
    pub(crate) fn v1_of(&self, controller: &str) -> Option<&V1Hierarchy> {
        self.v1.iter().find(|hierarchy| hierarchy.controllers.iter().any(|name| name == controller))
    }

    /// The v2 tree, where it has the controller.
    pub(crate) fn v2_of(&self, controller: &str) -> Option<&V2Tree> {
        self.v2.as_ref().filter(|tree| tree.controllers.iter().any(|name| name == controller))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine() {
        let Ok(layout) = Layout::detect() else { return };
        let cgroups = Cgroups::of(&layout).unwrap();
        assert_eq!(cgroups.kind, layout.kind());
        assert_eq!(cgroups.v1.is_empty(), layout.kind() == LayoutKind::V2);
        for hierarchy in &cgroups.v1 {
            assert!(hierarchy.mount.join("cgroup.procs").exists(), "{hierarchy:?}");
        }
        if let Some(tree) = &cgroups.v2 {
            assert!(tree.mount.join("cgroup.controllers").exists(), "{tree:?}");
        }
    }

    #[test]
    fn versions() {
        let version = |major| Liblxc { major, minor: 0 }.check();
        assert!(version(5).is_ok() && version(7).is_ok());
        let error = version(4).unwrap_err().to_string();
        assert_eq!(error, "liblxc 4.0 is too old: the lxc backend needs 5.0 or newer");
    }
}
