//! Namespaces: cloned, joined by path, or the host's.

use std::collections::BTreeMap;
use std::path::PathBuf;

use lxcri_core::oci::{Linux, NamespaceKind, TimeOffset};
use lxcri_linux::sysctl::OwnNamespaces;

use super::file::Group;
use super::files::Files;
use super::planner::Planner;
use super::problem::{Problem, Result};
use super::text;

/// Nanoseconds of a second.
const NANOS: u32 = 1_000_000_000;

/// The namespaces of a configuration.
#[derive(Clone, Debug, Default)]
pub(crate) struct Namespaces {
    new: Vec<NamespaceKind>,
    joined: BTreeMap<NamespaceKind, Joined>,
}

#[derive(Clone, Debug)]
struct Joined {
    path: PathBuf,
    /// Whether it is the host's own, by another way.
    is_hosts: bool,
    index: usize,
}

impl Namespaces {
    /// Reads `linux.namespaces`, and looks at each path.
    pub(crate) fn read(linux: &Linux, files: &dyn Files) -> Result<Self> {
        let mut found = Self::default();
        for (index, namespace) in linux.namespaces.iter().enumerate() {
            let (kind, name) = (namespace.kind, namespace.kind.as_str());
            if found.has(kind) {
                let field = format!("linux.namespaces[{index}]");
                return Err(Problem::field(field, format!("{name} is listed twice")));
            }
            match namespace.path.as_deref().filter(|path| !path.as_os_str().is_empty()) {
                None => found.new.push(kind),
                Some(path) => {
                    let field = format!("linux.namespaces[{index}].path");
                    let problem = |problem| Problem::field(&field, problem);
                    text::path(path).map_err(problem)?;
                    // A relative one would be the name of a container to liblxc.
                    if !path.is_absolute() {
                        return Err(problem(format!("{} is not absolute", path.display())));
                    }
                    let (path, what) = (path.to_owned(), "join");
                    let is_hosts =
                        files.is_own_namespace(kind.kernel(), &path).map_err(|source| {
                            Problem::Io { field: field.clone(), what, path: path.clone(), source }
                        })?;
                    found.joined.insert(kind, Joined { path, is_hosts, index });
                }
            }
        }
        found.check(linux)?;
        Ok(found)
    }

    fn check(&self, linux: &Linux) -> Result<()> {
        use NamespaceKind::{Mount, Time, User};
        let (uids, gids) = (!linux.uid_mappings.is_empty(), !linux.gid_mappings.is_empty());
        let problem = if !self.is_new(Mount) {
            "the lxc backend needs a new mount namespace for each container"
        } else if self.is_new(User) && !(uids && gids) {
            "a new user namespace needs uidMappings and gidMappings"
        } else if (uids || gids) && !self.is_new(User) {
            "uidMappings and gidMappings need a new user namespace"
        } else if !linux.time_offsets.is_empty() && !self.is_new(Time) {
            "timeOffsets need a new time namespace"
        } else {
            return Ok(());
        };
        Err(Problem::field("linux.namespaces", problem))
    }

    /// Whether the container has one of this kind that is listed.
    pub(crate) fn has(&self, kind: NamespaceKind) -> bool {
        self.is_new(kind) || self.joined.contains_key(&kind)
    }

    /// Whether one is made.
    pub(crate) fn is_new(&self, kind: NamespaceKind) -> bool {
        self.new.contains(&kind)
    }

    /// Whether it is not the host's: made, or joined and another.
    pub(crate) fn is_own(&self, kind: NamespaceKind) -> bool {
        self.is_new(kind) || self.joined.get(&kind).is_some_and(|joined| !joined.is_hosts)
    }

    /// For the rules of sysctls.
    pub(crate) fn own_for_sysctl(&self) -> OwnNamespaces {
        use NamespaceKind::{Ipc, Network, Uts};
        OwnNamespaces {
            ipc: self.is_own(Ipc),
            network: self.is_own(Network),
            uts: self.is_own(Uts),
        }
    }
}

/// The name below `/proc/PID/ns`, which liblxc's keys use.
fn lxc_name(kind: NamespaceKind) -> &'static str {
    match kind {
        NamespaceKind::Mount => "mnt",
        NamespaceKind::Network => "net",
        other => other.as_str(),
    }
}

pub(crate) fn plan(planner: &mut Planner<'_>) -> Result<()> {
    time(planner)?;
    let namespaces = planner.namespaces.clone();
    let by_init = |kind: NamespaceKind| {
        kind == NamespaceKind::Time && planner.inside.time_namespace.is_some()
    };
    let in_order = NamespaceKind::ALL.into_iter().filter(|kind| namespaces.is_new(*kind));
    let names: Vec<_> = in_order.filter(|kind| !by_init(*kind)).map(lxc_name).collect();
    let file = &mut planner.file;
    file.add(Group::Namespaces, "lxc.namespace.clone", &names.join(" "), "linux.namespaces")?;
    for (kind, joined) in &namespaces.joined {
        let field = format!("linux.namespaces[{}].path", joined.index);
        let path = text::path(&joined.path).map_err(|problem| Problem::field(&field, problem))?;
        let key = format!("lxc.namespace.share.{}", lxc_name(*kind));
        file.add(Group::Namespaces, &key, path, &field)?;
    }
    Ok(())
}

/// Offsets of a new time namespace. liblxc takes whole seconds or a part of one, not both; then
/// lxcri-init makes the namespace.
fn time(planner: &mut Planner<'_>) -> Result<()> {
    let offsets = planner.linux.time_offsets.clone();
    let mut keys = Vec::new();
    for (clock, offset) in &offsets {
        let field = format!("linux.timeOffsets.{clock}");
        let key = match clock.as_str() {
            "boottime" => "lxc.time.offset.boot",
            "monotonic" => "lxc.time.offset.monotonic",
            _ => {
                return Err(Problem::field(
                    "linux.timeOffsets",
                    format!("unknown clock {clock:?}"),
                ));
            }
        };
        check_offset(offset).map_err(|problem| Problem::field(&field, problem))?;
        let value = match (offset.secs, offset.nanosecs) {
            (secs, 0) => format!("{secs}s"),
            (_, nanosecs) => format!("{nanosecs}ns"),
        };
        keys.push((key, value, field));
    }
    if offsets.values().any(|offset| offset.secs != 0 && offset.nanosecs != 0) {
        planner.inside.time_namespace = Some(offsets);
        return Ok(());
    }
    let mut keys = keys.iter();
    keys.try_for_each(|(key, value, field)| planner.file.add(Group::Namespaces, key, value, field))
}

fn check_offset(offset: &TimeOffset) -> std::result::Result<(), &'static str> {
    if offset.nanosecs >= NANOS {
        return Err("nanosecs is a whole second or more");
    }
    Ok(())
}
