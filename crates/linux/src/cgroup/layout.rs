//! Which cgroup hierarchies this machine shows us: only v1, only v2, or both (hybrid).

use std::fmt;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use serde::{Deserialize, Serialize};

use super::directory::{failed, read_to_end};
use super::error::{Error, Result};
use super::mountinfo::{self, CgroupMount, OwnCgroup};

/// Where every distribution mounts cgroups, and where v2 alone means "v2 only".
const USUAL_PLACE: &str = "/sys/fs/cgroup";

/// The three arrangements of hierarchies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LayoutKind {
    /// Only v1 hierarchies.
    V1,
    /// v1 hierarchies with the controllers, and a v2 tree used for tracking processes.
    Hybrid,
    /// One v2 tree.
    V2,
}

/// `v2`, `v1` or `hybrid`, for tables.
impl fmt::Display for LayoutKind {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.pad(match self {
            Self::V2 => "v2",
            Self::V1 => "v1",
            Self::Hybrid => "hybrid",
        })
    }
}

/// A hierarchy as it is mounted here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct MountedHierarchy {
    /// v1: its controllers, or `name=…`. Empty for v2.
    pub(super) controllers: Vec<String>,
    /// Where it is mounted.
    pub(super) mount: PathBuf,
    /// Our own cgroup below the mount, without a leading slash; as an error value the kernel's
    /// name of it, when it is not below the mount.
    pub(super) own: std::result::Result<String, String>,
}

/// The hierarchies of this machine, as this process sees them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    kind: LayoutKind,
    v1: Vec<MountedHierarchy>,
    v2: Option<MountedHierarchy>,
}

impl Layout {
    /// Looks at `/proc/self/mountinfo` and `/proc/self/cgroup`, once each.
    ///
    /// # Errors
    /// When one of them cannot be read or understood, or no cgroup file system is mounted.
    pub fn detect() -> Result<Self> {
        Self::parse(&read("/proc/self/mountinfo")?, &read("/proc/self/cgroup")?)
    }

    /// As [`Self::detect`], with another process's place in each hierarchy as the own one.
    ///
    /// # Errors
    /// As [`Self::detect`]; also when the process is gone.
    pub(super) fn of_process(pid: i32) -> Result<Self> {
        Self::parse(&read("/proc/self/mountinfo")?, &read(&format!("/proc/{pid}/cgroup"))?)
    }

    /// As [`Self::detect`] from the two texts.
    ///
    /// # Errors
    /// When a text is malformed, or no cgroup mount is visible.
    pub fn parse(mountinfo: &[u8], own_cgroup: &[u8]) -> Result<Self> {
        let mounts = mountinfo::cgroup_mounts(mountinfo)?;
        let own = mountinfo::own_cgroups(own_cgroup)?;
        let v2 = find_v2(&mounts, &own);
        let v1 = match &v2 {
            // A stray v1 mount besides a v2 tree at the usual place changes nothing: the
            // controllers are the v2 tree's.
            Some(tree) if tree.mount == Path::new(USUAL_PLACE) => Vec::new(),
            _ => find_v1(&mounts, &own),
        };
        let kind = match (v1.is_empty(), &v2) {
            (true, None) => return Err(Error::NotMounted),
            (true, Some(_)) => LayoutKind::V2,
            (false, None) => LayoutKind::V1,
            (false, Some(_)) => LayoutKind::Hybrid,
        };
        Ok(Self { kind, v1, v2 })
    }

    /// Which of the three arrangements it is.
    #[must_use]
    pub fn kind(&self) -> LayoutKind {
        self.kind
    }

    pub(super) fn v1(&self) -> &[MountedHierarchy] {
        &self.v1
    }

    pub(super) fn v2(&self) -> Option<&MountedHierarchy> {
        self.v2.as_ref()
    }
}

/// Both files tell no size, so they are read in large pieces: a few calls instead of a dozen.
fn read(path: &str) -> Result<Vec<u8>> {
    let file = |e| failed("read", Path::new(path), e);
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    let fd = rustix::fs::open(path, flags, Mode::empty()).map_err(file)?;
    let mut bytes = Vec::with_capacity(16 * 1024);
    read_to_end(&fd, &mut bytes).map_err(file)?;
    Ok(bytes)
}

/// Of several mounts of one hierarchy the one at the usual place, otherwise the first.
fn preferred<'a>(mounts: impl Iterator<Item = &'a CgroupMount>) -> Option<&'a CgroupMount> {
    let mut first = None;
    for mount in mounts {
        if Path::new(&mount.mount_point).starts_with(USUAL_PLACE) {
            return Some(mount);
        }
        first = first.or(Some(mount));
    }
    first
}

fn find_v2(mounts: &[CgroupMount], own: &[OwnCgroup]) -> Option<MountedHierarchy> {
    let own = own.iter().find(|own| own.controllers.is_empty())?;
    let mount = preferred(mounts.iter().filter(|m| m.v2))?;
    Some(place(mount, own))
}

fn find_v1(mounts: &[CgroupMount], own: &[OwnCgroup]) -> Vec<MountedHierarchy> {
    let of = |own: &OwnCgroup| {
        let has = |m: &&CgroupMount| !m.v2 && own.controllers.iter().any(|c| m.options.contains(c));
        preferred(mounts.iter().filter(has)).map(|mount| place(mount, own))
    };
    own.iter().filter(|own| !own.controllers.is_empty()).filter_map(of).collect()
}

fn place(mount: &CgroupMount, own: &OwnCgroup) -> MountedHierarchy {
    MountedHierarchy {
        controllers: own.controllers.clone(),
        mount: PathBuf::from(&mount.mount_point),
        own: below_root(&mount.root, &own.path).ok_or_else(|| own.path.clone()),
    }
}

/// Our own cgroup relative to the root of the mount. Both are relative to the root of the cgroup
/// namespace; either may begin with `/..` when it lies outside of that.
fn below_root(root: &str, own: &str) -> Option<String> {
    let outside = |path: &str| path.split('/').any(|part| part == "..");
    if outside(root) || outside(own) {
        return None;
    }
    let rest = Path::new(own).strip_prefix(root).ok()?;
    rest.to_str().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HYBRID: &str = "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755\n\
        32 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n\
        35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n\
        40 31 0:37 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd\n\
        41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";
    const OWN: &str = "9:name=systemd:/\n8:pids:/\n4:memory:/api/x\n1:cpu:/\n0::/\n";

    #[test]
    fn recognises_the_three_layouts() {
        let hybrid = Layout::parse(HYBRID.as_bytes(), OWN.as_bytes()).unwrap();
        assert_eq!(hybrid.kind(), LayoutKind::Hybrid);
        let names: Vec<_> = hybrid.v1().iter().map(|h| h.controllers.join(",")).collect();
        // pids is known to the kernel but not mounted.
        assert_eq!(names, ["name=systemd", "memory", "cpu"]);
        assert_eq!(hybrid.v1()[1].own, Ok("api/x".to_owned()));

        let v1: String = HYBRID
            .lines()
            .filter(|l| !l.contains("unified"))
            .fold(String::new(), |all, line| all + line + "\n");
        assert_eq!(Layout::parse(v1.as_bytes(), OWN.as_bytes()).unwrap().kind(), LayoutKind::V1);

        let v2 = "31 23 0:28 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n";
        let layout = Layout::parse(v2.as_bytes(), b"0::/user.slice/a.scope\n").unwrap();
        assert_eq!(layout.kind(), LayoutKind::V2);
        assert_eq!(layout.v2().unwrap().own, Ok("user.slice/a.scope".to_owned()));
    }

    #[test]
    fn a_v2_tree_at_the_usual_place_wins_over_stray_v1_mounts() {
        let text = "31 23 0:28 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n\
            32 23 0:29 / /mnt/netcls rw - cgroup cgroup rw,net_cls\n";
        let layout = Layout::parse(text.as_bytes(), b"3:net_cls:/\n0::/\n").unwrap();
        assert_eq!(layout.kind(), LayoutKind::V2);
        assert!(layout.v1().is_empty());
    }

    #[test]
    fn prefers_the_usual_place() {
        let text = "31 23 0:28 / /mnt/x rw - cgroup2 cgroup2 rw\n\
            32 23 0:28 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n";
        let layout = Layout::parse(text.as_bytes(), b"0::/\n").unwrap();
        assert_eq!(layout.v2().unwrap().mount, Path::new("/sys/fs/cgroup"));
    }

    #[test]
    fn comounted_controllers_are_one_hierarchy() {
        let text = "31 23 0:28 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n";
        let layout = Layout::parse(text.as_bytes(), b"3:cpu,cpuacct:/\n").unwrap();
        assert_eq!(layout.v1().len(), 1);
        assert_eq!(layout.v1()[0].controllers, ["cpu", "cpuacct"]);
    }

    #[test]
    fn nothing_mounted_is_an_error() {
        assert!(matches!(Layout::parse(b"", b"0::/\n"), Err(Error::NotMounted)));
        let proc = "31 23 0:28 / /proc rw - proc proc rw\n";
        assert!(matches!(Layout::parse(proc.as_bytes(), b"0::/\n"), Err(Error::NotMounted)));
    }

    #[test]
    fn own_cgroup_relative_to_the_mounts_root() {
        for (root, own, expected) in [
            ("/", "/", Some("")),
            ("/", "/a/b", Some("a/b")),
            ("/docker/x", "/docker/x", Some("")),
            ("/docker/x", "/docker/x/y", Some("y")),
            ("/docker/x", "/docker/xy", None),
            ("/docker/x", "/", None),
            ("/../..", "/", None),
            ("/", "/../a", None),
        ] {
            assert_eq!(below_root(root, own).as_deref(), expected, "{root} {own}");
        }
    }
}
