//! Everything that follows from a configuration, worked out before anything is made.

use std::borrow::Cow;
use std::time::Duration;

use lxcri_core::backend::{Container, Create};
use lxcri_core::oci::{self, Linux};
use lxcri_linux::cgroup::{Cgroup, Layout, Resources};
use lxcri_linux::namespace::Kind;
use lxcri_linux::payload::Payload;
use lxcri_linux::sysctl;
use lxcri_linux::terminal::Terminal;

use crate::error::{NativeError, field};
use crate::namespaces::Namespaces;
use crate::payload::{Surroundings, translate};
use crate::room_file::RoomFile;
use crate::scope::Scope;

/// How all containers are made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct How {
    /// How long a hook may take.
    pub(crate) hook_timeout: Option<Duration>,
    /// Whether systemd makes the cgroups.
    pub(crate) systemd_cgroup: bool,
}

/// The plan of one container.
#[derive(Debug)]
pub(crate) struct Plan<'c> {
    pub(crate) linux: Cow<'c, Linux>,
    pub(crate) namespaces: Namespaces,
    pub(crate) payload: Payload,
    pub(crate) cgroup: Cgroup,
    /// Who makes the cgroup, where it is not us.
    pub(crate) scope: Option<Scope>,
    pub(crate) resources: Resources,
    pub(crate) terminal: Option<Terminal>,
    pub(crate) no_pivot: bool,
    pub(crate) hook_timeout: Option<Duration>,
}

impl<'c> Plan<'c> {
    /// Works the plan out. Opens namespaces and reads the host's cgroup layout; makes nothing.
    pub(crate) fn new(
        container: &Container,
        create: &mut Create<'c>,
        how: How,
    ) -> Result<Self, NativeError> {
        let spec = create.spec;
        let linux = spec.linux();
        let namespaces = Namespaces::plan(&linux)?;
        check_uts(spec, &namespaces)?;
        check_sysctls(&linux, &namespaces)?;
        let process = spec.process.clone().unwrap_or_default();
        let around = Surroundings {
            linux: &linux,
            entry: &container.entry,
            preserve_fds: create.preserve_fds,
            keyring: !create.no_new_keyring,
        };
        let payload = translate(&process, &around)?;
        let (scope, cgroup) = place(container, spec, &linux, how)?;
        let terminal = create.console.take().map(|console| terminal(console, &process));
        let resources = linux.resources.clone().unwrap_or_default();
        let no_pivot = create.no_pivot;
        let hook_timeout = how.hook_timeout;
        Ok(Self {
            linux,
            namespaces,
            payload,
            cgroup,
            scope,
            resources,
            terminal,
            no_pivot,
            hook_timeout,
        })
    }

    /// What later commands have to know.
    pub(crate) fn room_file(&self, boot_id: &str, hooks: Option<&oci::Hooks>) -> RoomFile {
        RoomFile {
            cgroup: self.cgroup.clone(),
            unit: self.scope.as_ref().map(|scope| scope.unit.clone()),
            boot_id: boot_id.to_owned(),
            own_pid_namespace: self.namespaces.is_new(Kind::Pid),
            joins_keyring: self.payload.session_keyring.is_some(),
            has_poststart: hooks.is_some_and(|hooks| !hooks.poststart.is_empty()),
            has_poststop: hooks.is_some_and(|hooks| !hooks.poststop.is_empty()),
        }
    }
}

/// Where the cgroup will be, and the scope that it belongs to with systemd.
fn place(
    container: &Container,
    spec: &oci::Spec,
    linux: &Linux,
    how: How,
) -> Result<(Option<Scope>, Cgroup), NativeError> {
    let layout = Layout::detect()?;
    let id = container.id().as_str();
    let path = linux.cgroups_path.as_deref().filter(|path| !path.is_empty());
    if how.systemd_cgroup {
        let scope = Scope::plan(path, id, &spec.annotations)?;
        let cgroup = scope.cgroup(&layout, id)?;
        // Checked before `native.json` names it: what is there is not ours to stop.
        cgroup.refuse_if_used()?;
        return Ok((Some(scope), cgroup));
    }
    let cgroup = Cgroup::plan(&layout, path, id).map_err(field("linux.cgroupsPath"))?;
    Ok((None, cgroup))
}

/// A terminal that hands its master to `console`.
pub(crate) fn terminal(console: std::os::fd::OwnedFd, process: &oci::Process) -> Terminal {
    let size = process.console_size.filter(|size| size.height > 0 && size.width > 0);
    Terminal { console, size: size.map(|size| (size.height, size.width)) }
}

fn check_uts(spec: &oci::Spec, namespaces: &Namespaces) -> Result<(), NativeError> {
    for (name, value) in [("hostname", &spec.hostname), ("domainname", &spec.domainname)] {
        let is_set = value.as_ref().is_some_and(|value| !value.is_empty());
        if is_set && !namespaces.own_for_sysctl().uts {
            return Err(NativeError::Field {
                field: name.to_owned(),
                problem: "unable to set it without a uts namespace of the container's own"
                    .to_owned(),
            });
        }
    }
    Ok(())
}

fn check_sysctls(linux: &Linux, namespaces: &Namespaces) -> Result<(), NativeError> {
    let own = namespaces.own_for_sysctl();
    for (key, value) in &linux.sysctl {
        sysctl::check(key, value, own).map_err(field("linux.sysctl"))?;
    }
    Ok(())
}
