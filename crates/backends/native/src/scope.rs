//! `--systemd-cgroup`: systemd makes the container's cgroup, as a scope. Only on cgroup v2: on v1
//! systemd resets device rules whenever it likes, and leaves half of the hierarchies alone.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::rc::Rc;

use lxcri_core::Error;
use lxcri_core::backend::Create;
use lxcri_linux::cgroup::{Cgroup, Layout, LayoutKind, Resources};
use lxcri_linux::systemd::{self, Manager, Property, Unit};

use crate::error::{NativeError, field, step};
use crate::room_file::RoomFile;

/// The scope that a container is to get.
#[derive(Debug)]
pub(crate) struct Scope {
    pub(crate) unit: Unit,
    annotated: Vec<Property>,
    /// Whether the unit may be there by our doing.
    is_ours: Rc<Cell<bool>>,
}

/// Refuses, before anything is made, what cannot become a scope.
pub(crate) fn check(create: &Create<'_>) -> Result<(), Error> {
    systemd::require().map_err(NativeError::from)?;
    let kind = Layout::detect().map_err(NativeError::from)?.kind();
    if kind != LayoutKind::V2 {
        return Err(Error::Invalid(format!(
            "--systemd-cgroup: the native backend makes scopes on cgroup v2 only, and this machine \
             is {kind}; leave it away, or use --backend crun"
        )));
    }
    // The id is judged when it is known: any will do here.
    Scope::plan(create.spec.linux().cgroups_path.as_deref(), "id", &create.spec.annotations)?;
    Ok(())
}

impl Scope {
    /// Reads what the bundle asks for; makes nothing.
    pub(crate) fn plan(
        cgroups_path: Option<&str>,
        id: &str,
        annotations: &BTreeMap<String, String>,
    ) -> Result<Self, NativeError> {
        let unit = Unit::plan(cgroups_path, id).map_err(|error| NativeError::Hinted {
            hint: error.hint(),
            cause: format!("linux.cgroupsPath: {error}"),
        })?;
        let annotated = systemd::properties_of_annotations(annotations)?;
        Ok(Self { unit, annotated, is_ours: Rc::default() })
    }

    /// The cgroup that systemd will make.
    pub(crate) fn cgroup(&self, layout: &Layout, id: &str) -> Result<Cgroup, NativeError> {
        let path = self.unit.cgroup_path()?;
        Cgroup::plan(layout, Some(&path), id).map_err(field("linux.cgroupsPath"))
    }

    /// Makes the scope with `pid` in it, and sets its limits.
    pub(crate) fn make(
        &self,
        id: &str,
        pid: i32,
        cgroup: &Cgroup,
        resources: &Resources,
    ) -> Result<(), NativeError> {
        let mut properties = systemd::properties_of_resources(resources, None)?;
        properties.extend(self.annotated.iter().cloned());
        let mut manager = Manager::connect()?;
        let description = format!("lxcri container {id}");
        let started = manager.start_scope(&self.unit, &description, pid, properties);
        // A unit that systemd refused to make for us is somebody else's, if there is one.
        self.is_ours.set(!matches!(started, Err(systemd::Error::Refused { .. })));
        started?;
        cgroup.current_of(pid).map_err(step("find the scope's cgroup"))?;
        if let Some(io) = &resources.block_io {
            manager.set_properties(&self.unit, systemd::io_properties(io, &cgroup.path()))?;
        }
        Ok(cgroup.apply_to_unit(resources)?)
    }

    /// How to take it back.
    pub(crate) fn undo(&self, cgroup: &Cgroup) -> impl FnOnce() -> Result<(), NativeError> + use<> {
        let (unit, cgroup, is_ours) = (self.unit.clone(), cgroup.clone(), Rc::clone(&self.is_ours));
        move || if is_ours.get() { stop(&unit, &cgroup) } else { Ok(()) }
    }
}

/// Removes a container's cgroup, and its scope where it has one.
pub(crate) fn remove(room: &RoomFile) -> Result<(), NativeError> {
    match &room.unit {
        Some(unit) => stop(unit, &room.cgroup),
        None => Ok(room.cgroup.remove()?),
    }
}

/// An empty cgroup can go without systemd, which then drops the scope by itself. A unit of this name
/// whose cgroup is elsewhere (in another slice) is somebody else's.
fn stop(unit: &Unit, cgroup: &Cgroup) -> Result<(), NativeError> {
    if !cgroup.path().exists() {
        return Ok(cgroup.remove()?);
    }
    if let Err(error) = Manager::connect().and_then(|mut manager| manager.stop(unit)) {
        log::warn!("systemd does not stop {}: {error}", unit.name());
    }
    Ok(cgroup.remove()?)
}

/// Changes the scope's properties: what is written to the cgroup alone, systemd would reset.
pub(crate) fn update(
    unit: &Unit,
    cgroup: &Cgroup,
    resources: &Resources,
) -> Result<(), NativeError> {
    let directory = cgroup.path();
    let mut properties = systemd::properties_of_resources(resources, Some(&directory))?;
    if let Some(io) = &resources.block_io {
        properties.extend(systemd::io_properties(io, &directory));
    }
    Ok(Manager::connect()?.set_properties(unit, properties)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_lies_where_systemd_puts_it() {
        let mounts = b"31 23 0:28 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n";
        let layout = Layout::parse(mounts, b"0::/user.slice/s.scope\n").unwrap();
        let place = |path| {
            let scope = Scope::plan(path, "c1", &BTreeMap::new()).unwrap();
            scope.cgroup(&layout, "c1").unwrap().path().display().to_string()
        };
        assert_eq!(place(None), "/sys/fs/cgroup/system.slice/lxcri-c1.scope");
        assert_eq!(place(Some("a-b.slice:p:n")), "/sys/fs/cgroup/a.slice/a-b.slice/p-n.scope");
    }

    #[test]
    fn errors_tell_what_to_do() {
        use lxcri_core::error::RoomError;
        let error = Scope::plan(Some("/a/b"), "c1", &BTreeMap::new()).unwrap_err();
        assert!(error.to_string().starts_with("linux.cgroupsPath: \"/a/b\""), "{error}");
        assert!(error.hints()[0].contains("slice:prefix:name"), "{error:?}");
    }

    /// What was refused to us was not made by us.
    #[test]
    fn undo_leaves_strangers_alone() {
        let layout =
            Layout::parse(b"31 23 0:28 / /nonexistent rw - cgroup2 cgroup2 rw\n", b"0::/\n")
                .unwrap();
        let scope = Scope::plan(None, "c1", &BTreeMap::new()).unwrap();
        let cgroup = scope.cgroup(&layout, "c1").unwrap();
        assert!(scope.undo(&cgroup)().is_ok());
    }
}
