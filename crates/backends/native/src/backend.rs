//! The room's door: its line in the table, and the life cycle handed to one file per verb.

use std::time::Duration;

use lxcri_core::Error;
use lxcri_core::backend::{
    Backend, Cannot, Capability, Container, Create, Exec, Finish, Observed, Pause, Probe,
    Processes, Room, Settings, Stats, Update,
};
use lxcri_core::config::Config;
use lxcri_core::store::Entry;
use lxcri_linux::cgroup::{self, Layout};
use lxcri_linux::{chain, exec, seal};

use crate::error::step;
use crate::plan::How;
use crate::step::Step;
use crate::{coverage, hooks, rootfs, scope};

/// This room's line in the table of rooms.
pub static ROOM: Room = Room {
    name: "native",
    summary: "built-in OCI executor: namespaces, cgroups, mounts, seccomp",
    section: None,
    coverage: &coverage::COVERAGE,
    capabilities: &[
        (Capability::Exec, Ok(())),
        (Capability::Pause, Ok(())),
        (Capability::Update, Ok(())),
        (Capability::Stats, Ok(())),
        (Capability::Processes, Ok(())),
    ],
    steps: &[Step::NAMES, cgroup::Step::NAMES, exec::Step::NAMES],
    probe,
    open: |settings| Ok(Box::new(Native::open(settings)?)),
};

/// The built-in executor.
#[derive(Debug)]
pub struct Native {
    hook_timeout: Option<Duration>,
    systemd_cgroup: bool,
    rootless: bool,
}

impl Native {
    fn open(settings: &Settings<'_>) -> Result<Self, Error> {
        Ok(Self {
            hook_timeout: settings.config.get("runtime", "hook_timeout")?,
            systemd_cgroup: settings.systemd_cgroup,
            rootless: settings.rootless,
        })
    }

    fn how(&self) -> How {
        How { hook_timeout: self.hook_timeout, systemd_cgroup: self.systemd_cgroup }
    }
}

/// It is built in; what it needs of the kernel may be missing.
fn probe(_: &Config) -> Probe {
    match Layout::detect() {
        Ok(layout) => Probe::Yes {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            detail: format!("cgroup {}", layout.kind()),
        },
        Err(error) => Probe::No { because: chain(&error) },
    }
}

impl Backend for Native {
    fn enter(&self) -> Result<(), Error> {
        Ok(seal::ensure_sealed().map_err(step("cannot let a container near this program"))?)
    }

    fn check(&self, create: &Create<'_>) -> Result<(), Error> {
        if self.systemd_cgroup {
            scope::check(create)?;
        }
        if self.rootless {
            return Err(Error::Invalid(
                "the native backend cannot make containers without root's rights yet; use \
                 --backend crun"
                    .to_owned(),
            ));
        }
        create.check_apparmor(ROOM.name)?;
        if let Some(list) = &create.spec.hooks {
            hooks::check(list)?;
        }
        Ok(rootfs::check(create)?)
    }

    fn create(&self, container: &mut Container, create: Create<'_>) -> Result<(), Error> {
        crate::create::create(container, create, self.how())
    }

    fn start(&self, container: &Container) -> Result<Finish, Error> {
        crate::start::start(container, self.hook_timeout)
    }

    fn observe(&self, container: &Container) -> Result<Observed, Error> {
        crate::observe::observe(container)
    }

    fn kill(&self, container: &Container, signal: i32, all: bool) -> Result<Finish, Error> {
        crate::kill::kill(container, signal, all)
    }

    fn delete(&self, container: &Container) -> Result<(), Error> {
        crate::delete::delete(container, self.hook_timeout)
    }

    fn sweep(&self, entry: &Entry) -> Result<bool, Error> {
        crate::delete::sweep(entry)
    }

    fn exec(&self) -> Result<&dyn Exec, Cannot> {
        Ok(self)
    }

    fn pause(&self) -> Result<&dyn Pause, Cannot> {
        Ok(self)
    }

    fn update(&self) -> Result<&dyn Update, Cannot> {
        Ok(self)
    }

    fn stats(&self) -> Result<&dyn Stats, Cannot> {
        Ok(self)
    }

    fn processes(&self) -> Result<&dyn Processes, Cannot> {
        Ok(self)
    }
}
