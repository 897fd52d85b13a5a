//! Where in its own cgroup a container's init is now: a container that manages cgroups itself
//! (systemd, a nested runtime) moves its init into a child, and on v2 only leaves may hold
//! processes.

use super::error::Result as CgroupResult;
use super::layout::MountedHierarchy;
use super::{Cgroup, Layout, Place};
use crate::procfs::{Error as ProcError, Membership, Proc};

/// Why the cgroup of a member cannot be told.
#[derive(Debug, thiserror::Error)]
pub enum CurrentError {
    /// The process is gone, or its file cannot be read.
    #[error(transparent)]
    Proc(#[from] ProcError),
    /// The process has left the container's cgroup.
    #[error("pid {pid} is in the cgroup {found}, which is not below {expected}")]
    Elsewhere {
        /// The process.
        pid: i32,
        /// Where it is, as the kernel says.
        found: String,
        /// Where it should be.
        expected: String,
    },
}

impl Cgroup {
    /// The cgroup that somebody else has put `pid` into, by what the kernel says. A hierarchy in
    /// which it shares our own cgroup is left out, because nothing there is its alone; `None` where
    /// that is so in all of them.
    ///
    /// # Errors
    /// When the process is gone, or a file of /proc cannot be read or understood.
    pub fn of_process(pid: i32) -> CgroupResult<Option<Self>> {
        Ok(Self::apart(&Layout::of_process(pid)?, &Layout::detect()?))
    }

    /// What is `theirs` and not `ours`.
    fn apart(theirs: &Layout, ours: &Layout) -> Option<Self> {
        let place = |hierarchy: &MountedHierarchy, own: Option<&MountedHierarchy>| {
            let path = hierarchy.own.clone().ok().filter(|path| !path.is_empty())?;
            let shared = own.is_some_and(|own| own.own.as_ref() == Ok(&path));
            let (controllers, mount) = (hierarchy.controllers.clone(), hierarchy.mount.clone());
            (!shared).then_some(Place { controllers, mount, path })
        };
        let same = |hierarchy: &MountedHierarchy| {
            ours.v1().iter().find(|own| own.controllers == hierarchy.controllers)
        };
        let v1: Vec<Place> = theirs.v1().iter().filter_map(|h| place(h, same(h))).collect();
        let v2 = theirs.v2().and_then(|hierarchy| place(hierarchy, ours.v2()));
        (!v1.is_empty() || v2.is_some()).then_some(Self { kind: theirs.kind(), v1, v2 })
    }

    /// The cgroup that the member `pid` is in now: this one, or one below it, hierarchy by
    /// hierarchy.
    ///
    /// # Errors
    /// [`CurrentError::Elsewhere`] where it has left: nothing may be added to a stranger's cgroup.
    pub fn current_of(&self, pid: i32) -> Result<Self, CurrentError> {
        let members = Proc::open()?.cgroups(pid)?;
        let place = |place: &Place| current_place(place, &members, pid);
        Ok(Self {
            kind: self.kind,
            v1: self.v1.iter().map(place).collect::<Result<_, _>>()?,
            v2: self.v2.as_ref().map(place).transpose()?,
        })
    }
}

fn current_place(place: &Place, members: &[Membership], pid: i32) -> Result<Place, CurrentError> {
    let member = members.iter().find(|member| member.controllers == place.controllers);
    let path = member.map_or_else(String::new, |m| m.path.to_string_lossy().into_owned());
    let below = below(&path, &place.path).ok_or_else(|| CurrentError::Elsewhere {
        pid,
        found: path.clone(),
        expected: place.path.clone(),
    })?;
    Ok(Place { path: format!("{}{below}", place.path), ..place.clone() })
}

/// What follows `own` in the kernel's path, "" or "/…". The kernel's path may start further up:
/// above the root of the mount.
fn below<'k>(kernel: &'k str, own: &str) -> Option<&'k str> {
    let own = own.trim_matches('/');
    kernel.match_indices(own).find_map(|(start, _)| {
        let (before, rest) = (&kernel[..start], &kernel[start + own.len()..]);
        let whole = before.ends_with('/') && (rest.is_empty() || rest.starts_with('/'));
        // A cgroup outside of our namespace's root is shown with "..", and is not ours to join.
        (whole && !kernel.contains("/..")).then_some(rest)
    })
}

#[cfg(test)]
mod tests {
    use super::{Cgroup, Layout, below};

    #[test]
    fn a_cgroup_of_somebody_elses_making() {
        let mounts = b"32 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n\
            35 31 0:32 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids\n\
            41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";
        let ours = Layout::parse(mounts, b"8:pids:/\n1:cpu:/shared\n0::/\n").unwrap();
        let apart = |theirs: &[u8]| {
            let theirs = Layout::parse(mounts, theirs).unwrap();
            let paths =
                |c: Cgroup| c.directories().iter().map(|d| d.display().to_string()).collect();
            Cgroup::apart(&theirs, &ours).map(paths)
        };
        let pids = vec!["/sys/fs/cgroup/pids/c1".to_owned()];
        assert_eq!(apart(b"8:pids:/c1\n1:cpu:/shared\n0::/\n"), Some(pids));
        let all = ["pids/a/c1", "cpu/c1", "unified/c1"].map(|p| format!("/sys/fs/cgroup/{p}"));
        assert_eq!(apart(b"8:pids:/a/c1\n1:cpu:/c1\n0::/c1\n"), Some(all.to_vec()));
        assert_eq!(apart(b"8:pids:/\n1:cpu:/shared\n0::/\n"), None);
        assert_eq!(apart(b"8:pids:/../x\n1:cpu:/shared\n0::/\n"), None);
    }

    #[test]
    fn paths_below_our_own() {
        let table = [
            ("/lxcri/c1", "lxcri/c1", Some("")),
            ("/lxcri/c1/init.scope", "lxcri/c1", Some("/init.scope")),
            ("/outer/lxcri/c1/x", "lxcri/c1", Some("/x")),
            ("/lxcri/c10", "lxcri/c1", None),
            ("/xlxcri/c1", "lxcri/c1", None),
            ("/", "lxcri/c1", None),
            ("", "lxcri/c1", None),
            ("/../lxcri/c1", "lxcri/c1", None),
            ("/c1/c1", "c1", Some("/c1")),
        ];
        for (kernel, own, wanted) in table {
            assert_eq!(below(kernel, own), wanted, "{kernel} {own}");
        }
    }
}
