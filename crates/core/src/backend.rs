//! The interface every room implements: the OCI life cycle as one small trait, everything optional
//! as traits of their own. A verb that a room does not have is a value with a reason ([`Cannot`]),
//! never a method that pretends.

use std::fmt;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use lxcri_linux::cgroup::{Resources, Stats as CgroupStats};
use lxcri_linux::process::{PidFd, Process};
use lxcri_linux::security_module::apparmor_is_enabled;
use serde::Serialize;

use crate::config::{Config, Section};
use crate::coverage::{Coverage, Finding};
use crate::error::Error;
use crate::id::ContainerId;
use crate::lifecycle::Status;
use crate::oci;
use crate::step::Step;
use crate::store::{Entry, Record};

/// One line of the table of rooms: all there is to know of a room before it is opened.
#[derive(Debug)]
pub struct Room {
    /// What users type after `--backend`, and what the state file keeps.
    pub name: &'static str,
    /// What it is, in one sentence.
    pub summary: &'static str,
    /// Its section of the configuration, where it has one.
    pub section: Option<&'static Section>,
    /// What it does with each field of `config.json`.
    pub coverage: &'static Coverage,
    /// Verbs beyond the OCI life cycle, each with yes or a reason.
    pub capabilities: &'static [(Capability, Result<(), Cannot>)],
    /// The names of the steps of its verbs, by the lists they stand in; those of `core` come on top.
    /// Crash tests end the program at each.
    pub steps: &'static [&'static [&'static str]],
    /// Whether it can work on this machine. May start a program; never changes anything.
    pub probe: fn(&Config) -> Probe,
    /// Opens it. Cheap: no program is started before a verb needs it.
    pub open: fn(&Settings<'_>) -> Result<Box<dyn Backend>, Error>,
}

/// What a room may know of how we were called.
#[derive(Clone, Copy, Debug)]
pub struct Settings<'s> {
    /// The configuration in force.
    pub config: &'s Config,
    /// `--systemd-cgroup`.
    pub systemd_cgroup: bool,
    /// `--rootless`, or that we lack root's rights: a room that needs them refuses.
    pub rootless: bool,
    /// `--debug`.
    pub debug: bool,
}

impl Room {
    /// The names of all steps at which a verb of this room can be cut off.
    pub fn all_steps(&self) -> impl Iterator<Item = &'static str> {
        Step::NAMES.iter().chain(self.steps.iter().copied().flatten()).copied()
    }
}

/// Whether a room can work here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase", tag = "found")]
pub enum Probe {
    /// It can.
    Yes {
        /// Version of what it drives.
        version: String,
        /// Where or how, for people.
        detail: String,
    },
    /// It cannot.
    No {
        /// Why, and what to do about it.
        because: String,
    },
}

/// Something a room may be able to do beyond create, start, state, kill and delete.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the names of the verbs")]
pub enum Capability {
    Exec,
    Pause,
    Update,
    Stats,
    Processes,
}

impl Capability {
    /// The word for it in tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Exec => "exec",
            Self::Pause => "pause",
            Self::Update => "update",
            Self::Stats => "stats",
            Self::Processes => "processes",
        }
    }
}

/// "Cannot", with the reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cannot {
    /// Why, as the end of a sentence.
    pub because: &'static str,
}

impl fmt::Display for Cannot {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.because)
    }
}

/// A container as a room gets it: its directory and what is known of it.
#[derive(Clone, Debug)]
pub struct Container {
    /// Its state directory.
    pub entry: Entry,
    /// Its record, as it was read.
    pub record: Record,
}

impl Container {
    /// Its id.
    pub fn id(&self) -> &ContainerId {
        self.entry.id()
    }

    /// The state document of this container at `status`.
    pub fn state(&self, status: Status) -> oci::State {
        let record = &self.record;
        let pid = record.process.filter(|_| status.has_process()).map_or(0, |init| init.pid);
        oci::State {
            oci_version: record.oci_version.clone(),
            id: record.id.clone(),
            pid,
            status,
            bundle: record.bundle.clone(),
            rootfs: Some(record.rootfs.clone()),
            created: Some(record.created.clone()),
            annotations: record.annotations.clone(),
            owner: None,
        }
    }
}

/// How a container is to be made.
#[derive(Debug)]
pub struct Create<'c> {
    /// The configuration, parsed.
    pub spec: &'c oci::Spec,
    /// The configuration's file, for messages.
    pub config_path: PathBuf,
    /// Connected socket that takes the terminal's master.
    pub console: Option<OwnedFd>,
    /// `--console-socket`, for rooms that hand it on.
    pub console_path: Option<PathBuf>,
    /// `--preserve-fds`.
    pub preserve_fds: u32,
    /// `--no-pivot`.
    pub no_pivot: bool,
    /// `--no-new-keyring`.
    pub no_new_keyring: bool,
}

/// How one more process is to be run.
#[derive(Debug)]
pub struct ExecRequest {
    /// The process.
    pub process: oci::Process,
    /// Connected socket that takes the terminal's master.
    pub console: Option<OwnedFd>,
    /// `--console-socket`, for rooms that hand it on.
    pub console_path: Option<PathBuf>,
    /// `--preserve-fds`.
    pub preserve_fds: u32,
}

/// A process that was started, to be waited for or left alone.
#[derive(Debug)]
pub struct Running {
    /// Which.
    pub process: Process,
    /// The same, by descriptor.
    pub fd: PidFd,
}

/// What is left to do after a verb.
#[derive(Debug)]
pub enum Finish {
    /// Nothing.
    Done,
    /// This program does the rest and its exit is ours: execute it in place.
    Execute(Command),
}

/// What a room sees of a container now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Observed {
    /// Its status by the kernel (or the room's program), not by the file.
    pub status: Status,
    /// Its init, where it has one.
    pub process: Option<Process>,
}

/// The OCI life cycle.
pub trait Backend: fmt::Debug {
    /// Called before anything is read or made by a verb that lets a container near this program: a
    /// room that must run from a sealed copy of the program re-executes here.
    fn enter(&self) -> Result<(), Error>;

    /// Judges what the coverage table cannot say of a document, before anything is made.
    fn check(&self, create: &Create<'_>) -> Result<(), Error>;

    /// Makes the container up to "created". On an error nothing of it is left.
    fn create(&self, container: &mut Container, create: Create<'_>) -> Result<(), Error>;

    /// Runs the user's program.
    fn start(&self, container: &Container) -> Result<Finish, Error>;

    /// What is true now.
    fn observe(&self, container: &Container) -> Result<Observed, Error>;

    /// Sends a signal to init, or to every process where `all`.
    fn kill(&self, container: &Container, signal: i32, all: bool) -> Result<Finish, Error>;

    /// Removes everything the room made, whatever state the container is in; what still runs is
    /// killed. Running it twice is fine.
    fn delete(&self, container: &Container) -> Result<(), Error>;

    /// Removes what the room made for a container whose record is damaged, by the room's own file
    /// alone. `Ok(false)` where nothing in `entry` is this room's.
    fn sweep(&self, entry: &Entry) -> Result<bool, Error>;

    /// Running one more process.
    fn exec(&self) -> Result<&dyn Exec, Cannot>;

    /// Freezing.
    fn pause(&self) -> Result<&dyn Pause, Cannot>;

    /// Changing resources.
    fn update(&self) -> Result<&dyn Update, Cannot>;

    /// Usage.
    fn stats(&self) -> Result<&dyn Stats, Cannot>;

    /// Pids of all its processes.
    fn processes(&self) -> Result<&dyn Processes, Cannot>;
}

/// Running one more process in a container.
pub trait Exec {
    /// Starts it; errors before its program runs are errors here.
    fn exec(&self, container: &Container, request: ExecRequest) -> Result<Running, Error>;
}

/// Freezing a container and thawing it.
pub trait Pause {
    /// Returns when every process stands still.
    fn pause(&self, container: &Container) -> Result<(), Error>;
    /// Returns when they run again.
    fn resume(&self, container: &Container) -> Result<(), Error>;
}

/// Changing the resources of a container.
pub trait Update {
    /// Applies what `resources` sets and leaves the rest.
    fn update(&self, container: &Container, resources: &Resources) -> Result<(), Error>;
}

/// Usage of a container.
pub trait Stats {
    /// Counters as they are now.
    fn stats(&self, container: &Container) -> Result<CgroupStats, Error>;
}

/// The processes of a container.
pub trait Processes {
    /// Pids in the host's pid namespace, sorted.
    fn processes(&self, container: &Container) -> Result<Vec<i32>, Error>;
}

impl Create<'_> {
    /// Refuses an AppArmor profile on a kernel where it could have no effect: a container must not
    /// run less confined than its bundle asks for.
    pub fn check_apparmor(&self, backend: &'static str) -> Result<(), Error> {
        let process = self.spec.process.as_ref();
        let profile = process.and_then(|process| process.apparmor_profile.as_deref());
        if profile.is_none_or(str::is_empty) || apparmor_is_enabled() {
            return Ok(());
        }
        let finding = Finding {
            field: "process.apparmorProfile".to_owned(),
            because: "this kernel runs no AppArmor".to_owned(),
        };
        Err(Error::Refused { backend, path: self.config_path.clone(), findings: vec![finding] })
    }
}

/// How long a command that deletes by force waits for the lock of another before it goes on.
pub const FORCE_PATIENCE: Duration = Duration::from_secs(10);

/// How long an ordinary command waits for the lock of another.
pub const PATIENCE: Duration = Duration::from_secs(10);
