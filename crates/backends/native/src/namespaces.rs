//! Which namespaces a container gets: made anew, joined by path, or the caller's.

use lxcri_core::oci::{IdMapping, Linux, NamespaceKind};
use lxcri_linux::namespace::{Handle, IdRange, Kind};
use lxcri_linux::sysctl::OwnNamespaces;
use rustix::fs::{Mode, OFlags};

use crate::error::{NativeError, field};

/// The namespaces of one container, the ones to join opened already.
#[derive(Debug)]
pub(crate) struct Namespaces {
    new: Vec<Kind>,
    join: Vec<Handle>,
    pub(crate) uids: Vec<IdRange>,
    pub(crate) gids: Vec<IdRange>,
}

impl Namespaces {
    /// Reads `linux.namespaces` and the id mappings, and opens every path.
    pub(crate) fn plan(linux: &Linux) -> Result<Self, NativeError> {
        let mut plan = Self {
            new: Vec::new(),
            join: Vec::new(),
            uids: ranges(&linux.uid_mappings),
            gids: ranges(&linux.gid_mappings),
        };
        for (index, namespace) in linux.namespaces.iter().enumerate() {
            let kind = namespace.kind.kernel();
            if plan.has_own(kind) {
                return Err(wrong(index, format!("{} is listed twice", namespace.kind.as_str())));
            }
            match namespace.path.as_deref().filter(|path| !path.as_os_str().is_empty()) {
                None => plan.new.push(kind),
                Some(path) => {
                    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
                    let place = format!("linux.namespaces[{index}].path {}", path.display());
                    let fd = rustix::fs::open(path, flags, Mode::empty()).map_err(field(place))?;
                    let handle = Handle { kind, fd };
                    handle.check_kind().map_err(field(format!(
                        "linux.namespaces[{index}].path {}",
                        path.display()
                    )))?;
                    plan.join.push(handle);
                }
            }
        }
        plan.check_mappings(linux)?;
        plan.check_mounts()?;
        Ok(plan)
    }

    fn check_mappings(&self, linux: &Linux) -> Result<(), NativeError> {
        let mapped = !self.uids.is_empty() || !self.gids.is_empty();
        let problem = if self.is_new(Kind::User) && (self.uids.is_empty() || self.gids.is_empty()) {
            "a new user namespace needs uidMappings and gidMappings"
        } else if mapped && !self.has_own(Kind::User) {
            "uidMappings and gidMappings need a user namespace"
        } else if !linux.time_offsets.is_empty() && !self.is_new(Kind::Time) {
            "timeOffsets need a new time namespace"
        } else {
            return Ok(());
        };
        Err(NativeError::Field {
            field: "linux.namespaces".to_owned(),
            problem: problem.to_owned(),
        })
    }

    /// The root file system is put together in the mount namespace: anybody else's would be changed
    /// for everybody in it.
    fn check_mounts(&self) -> Result<(), NativeError> {
        if self.is_new(Kind::Mnt) {
            return Ok(());
        }
        Err(NativeError::Field {
            field: "linux.namespaces".to_owned(),
            problem: "the native backend needs a new mount namespace for each container".to_owned(),
        })
    }

    /// Whether the container has a namespace of this kind that is not simply the caller's.
    pub(crate) fn has_own(&self, kind: Kind) -> bool {
        self.is_new(kind) || self.joins(kind).is_some()
    }

    /// Whether one is made.
    pub(crate) fn is_new(&self, kind: Kind) -> bool {
        self.new.contains(&kind)
    }

    /// The one to join.
    pub(crate) fn joins(&self, kind: Kind) -> Option<&Handle> {
        self.join.iter().find(|handle| handle.kind == kind)
    }

    /// Flags for clone3(2). A cgroup namespace's root is the cgroup its maker is in, and a time
    /// namespace is frozen when somebody enters it: those two the child makes itself.
    pub(crate) fn clone_flags(&self) -> u64 {
        let by_clone = |kind: &&Kind| !matches!(kind, Kind::Cgroup | Kind::Time);
        self.new.iter().filter(by_clone).map(|kind| kind.clone_flag()).fold(0, |all, f| all | f)
    }

    /// What the child joins after it was cloned, in order. Its pid namespace is its maker's doing,
    /// its user namespace comes before everything else.
    pub(crate) fn to_join_inside(&self) -> impl Iterator<Item = &Handle> {
        Kind::ALL
            .into_iter()
            .filter(|kind| !matches!(kind, Kind::Pid | Kind::User))
            .filter_map(|kind| self.joins(kind))
    }

    /// For the rules of sysctls: a joined namespace that is the caller's own does not count.
    pub(crate) fn own_for_sysctl(&self) -> OwnNamespaces {
        let own = |kind| {
            self.is_new(kind)
                || self.joins(kind).is_some_and(|handle| handle.is_own().is_ok_and(|own| !own))
        };
        OwnNamespaces { ipc: own(Kind::Ipc), network: own(Kind::Net), uts: own(Kind::Uts) }
    }
}

fn wrong(index: usize, problem: String) -> NativeError {
    NativeError::Field { field: format!("linux.namespaces[{index}]"), problem }
}

/// The same for the kernel.
pub(crate) fn ranges(mappings: &[IdMapping]) -> Vec<IdRange> {
    let range =
        |m: &IdMapping| IdRange { inside: m.container_id, outside: m.host_id, size: m.size };
    mappings.iter().map(range).collect()
}

/// Whether the bundle asks for a user namespace, made or joined.
pub(crate) fn has_user_namespace(linux: &Linux) -> bool {
    linux.namespaces.iter().any(|namespace| namespace.kind == NamespaceKind::User)
}

#[cfg(test)]
mod tests {
    use lxcri_core::oci::Namespace;

    use super::*;

    type Wanted<'w> = &'w [(NamespaceKind, Option<&'w str>)];

    fn plan(kinds: Wanted<'_>, mappings: usize) -> Result<Namespaces, String> {
        let mapping = IdMapping { container_id: 0, host_id: 100_000, size: 65_536 };
        let namespaces =
            kinds.iter().map(|(kind, path)| Namespace { kind: *kind, path: path.map(Into::into) });
        let linux = Linux {
            namespaces: namespaces.collect(),
            uid_mappings: vec![mapping; mappings],
            gid_mappings: vec![mapping; mappings],
            ..Linux::default()
        };
        Namespaces::plan(&linux).map_err(|error| error.to_string())
    }

    #[test]
    fn new_and_joined() {
        use NamespaceKind::{Mount, Network, Pid};
        let found =
            plan(&[(Pid, None), (Mount, Some("")), (Network, Some("/proc/self/ns/net"))], 0);
        let found = found.unwrap();
        assert!(found.is_new(Kind::Pid) && found.is_new(Kind::Mnt), "an empty path means new");
        assert!(!found.is_new(Kind::Net) && found.has_own(Kind::Net));
        assert!(!found.own_for_sysctl().network, "our own namespace, joined by path");
        assert!(!found.has_own(Kind::Ipc) && !found.own_for_sysctl().ipc);
        assert_eq!(found.clone_flags(), Kind::Pid.clone_flag() | Kind::Mnt.clone_flag());
    }

    #[test]
    fn contradictions_are_refused() {
        use NamespaceKind::{Network, Pid, User};
        let table: [(Wanted<'_>, usize, &str); 8] = [
            (&[(Pid, None)], 0, "needs a new mount namespace"),
            (&[(NamespaceKind::Mount, Some("/proc/self/ns/mnt"))], 0, "needs a new mount"),
            (&[(Pid, None), (Pid, None)], 0, "linux.namespaces[1]: pid is listed twice"),
            (&[(User, None)], 0, "needs uidMappings"),
            (&[(Pid, None)], 1, "need a user namespace"),
            (
                &[(Network, Some("/nonexistent"))],
                0,
                "linux.namespaces[0].path /nonexistent: No such",
            ),
            (&[(Network, Some("/proc/self/ns/pid"))], 0, "is no net namespace"),
            (&[(Network, Some("/etc/passwd"))], 0, "is no net namespace"),
        ];
        for (kinds, mappings, message) in table {
            let error = plan(kinds, mappings).unwrap_err();
            assert!(error.contains(message), "{error}");
        }
    }
}
