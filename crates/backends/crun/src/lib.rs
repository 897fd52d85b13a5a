//! The crun room: any OCI runtime program (crun, runc, youki) driven as a child. Our state, its
//! executor.
//!
//! **When it is chosen**: by `--backend crun`, a route or `default_backend`, where a program that
//! is already trusted shall make the containers. Which one says `[crun] path`; without it the first
//! of crun, runc and youki on `PATH`. A container keeps the program that made it.
//!
//! **How**: the program's own state lies in `<root>/<id>/runtime`, so that removing our directory
//! removes everything. `create` runs it with our standard streams and nothing between; `start` and
//! `kill` execute it in place. `state` asks the kernel and starts no program: the init by pid and
//! start time, the freezer of its cgroup, and the fifo by which crun and runc hold a container that
//! is not started. Only a program without that fifo is asked, for at most two seconds. What the
//! program can do is read once and kept in `<root>/@crun/`, beside crun's compiled seccomp filters.
//!
//! **What it cannot do**: fields that no test has proven are refused by the coverage table, and
//! what the program itself does not list in its `features` is refused in `check`, because it would
//! drop it without a word. crun and runc refuse or lack what they lack: crun does not run on a
//! hybrid cgroup tree.
//!
//! Two things to know:
//! - crun gets the bytes of `config.json` that were checked (`--config`); the others read the
//!   bundle themselves, so the file is compared afterwards, and a container made from a changed one
//!   is removed again.
//! - Annotations `run.oci.*` (crun), `org.systemd.property.*` and `org.criu.config` (crun, runc) in
//!   a bundle steer the program, as their users expect. Whoever may write bundles may set them.
//! - A program that fails writes its error to standard error, which it shares with the container;
//!   our own error carries the same text, so people see it twice.

mod ask;
mod check;
mod config;
mod console;
mod coverage;
mod create;
mod delete;
mod error;
mod exec;
mod features;
mod kill;
mod messages;
mod orphans;
mod part;
mod pause;
mod processes;
mod program;
mod start;
mod state;
mod stats;
mod step;
mod update;

use std::cell::OnceCell;
use std::path::{Path, PathBuf};

use lxcri_core::backend::{
    Backend, Cannot, Capability, Container, Create, Exec, Finish, Observed, Pause, Processes, Room,
    Settings, Stats, Update,
};
use lxcri_core::error::Error;
use lxcri_core::store::Entry;

use features::Facts;

/// The room's name, in the configuration and in state files.
pub(crate) const NAME: &str = "crun";

/// This room's line in the table of rooms.
pub static ROOM: Room = Room {
    name: NAME,
    summary: "another OCI runtime program (crun, runc, youki) driven as a child",
    section: Some(&config::SECTION),
    coverage: &coverage::COVERAGE,
    capabilities: &[
        (Capability::Exec, Ok(())),
        (Capability::Pause, Ok(())),
        (Capability::Update, Ok(())),
        (Capability::Stats, Ok(())),
        (Capability::Processes, Ok(())),
    ],
    steps: &[step::Step::NAMES],
    probe: program::probe,
    open: |settings| Ok(Box::new(Crun::open(settings)?)),
};

/// The room, opened.
#[derive(Debug)]
pub(crate) struct Crun {
    /// `[crun] path`.
    configured: Option<String>,
    /// `--root`.
    root: PathBuf,
    systemd_cgroup: bool,
    rootless: bool,
    debug: bool,
    program: OnceCell<PathBuf>,
    facts: OnceCell<Facts>,
}

impl Crun {
    fn open(settings: &Settings<'_>) -> Result<Self, Error> {
        let root: &Path = settings.config.get("runtime", "root")?;
        let configured: Option<&str> = settings.config.get(NAME, "path")?;
        Ok(Self {
            configured: configured.map(str::to_owned),
            root: root.to_owned(),
            systemd_cgroup: settings.systemd_cgroup,
            rootless: settings.rootless,
            debug: settings.debug,
            program: OnceCell::new(),
            facts: OnceCell::new(),
        })
    }
}

impl Backend for Crun {
    /// Nothing: no container comes near this program, and the one that is driven seals itself.
    fn enter(&self) -> Result<(), Error> {
        Ok(())
    }

    fn check(&self, create: &Create<'_>) -> Result<(), Error> {
        check::check(self.facts()?, create)
    }

    fn create(&self, container: &mut Container, create: Create<'_>) -> Result<(), Error> {
        create::create(self, container, create)
    }

    fn start(&self, container: &Container) -> Result<Finish, Error> {
        start::start(self, container)
    }

    fn observe(&self, container: &Container) -> Result<Observed, Error> {
        state::observe(self, container)
    }

    fn kill(&self, container: &Container, signal: i32, all: bool) -> Result<Finish, Error> {
        kill::kill(self, container, signal, all)
    }

    fn delete(&self, container: &Container) -> Result<(), Error> {
        delete::delete(self, container)
    }

    fn sweep(&self, entry: &Entry) -> Result<bool, Error> {
        delete::sweep(self, entry)
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
