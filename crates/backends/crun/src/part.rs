//! The room's own part of a container's state: `crun.json` in its directory.

use std::path::PathBuf;

use lxcri_core::store::{Entry, StoreError};
use lxcri_linux::cgroup::Cgroup;
use lxcri_linux::process::Process;
use serde::{Deserialize, Serialize};

const FILE: &str = "crun.json";

/// The fifo in the program's own directory by which crun and runc hold a container that is not
/// started. They remove it at start.
const FIFO: &str = "exec.fifo";

/// What later commands need to know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Part {
    /// The program that makes the container: absolute path.
    pub(crate) program: PathBuf,
    /// What it calls itself.
    pub(crate) name: String,
    /// The boot it was made in: after another one nothing of it is there but files.
    pub(crate) boot_id: String,
    /// The cgroup that the program makes, where nothing was there before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) new_cgroup: Option<Cgroup>,
    /// Its `create` or `delete`, while that runs: when we are killed it still goes on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) maker: Option<Process>,
    /// Whether the container was seen to be held by the fifo, so that the fifo tells "created" from
    /// "running".
    #[serde(default)]
    pub(crate) held_by_fifo: bool,
    /// The container's own cgroup, as the program chose it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) cgroup: Option<Cgroup>,
}

impl Part {
    /// A container that is about to be made.
    pub(crate) fn new(
        program: PathBuf,
        name: String,
        boot_id: String,
        new_cgroup: Option<Cgroup>,
    ) -> Self {
        Self { program, name, boot_id, new_cgroup, maker: None, held_by_fifo: false, cgroup: None }
    }

    /// Reads it.
    pub(crate) fn read(entry: &Entry) -> Result<Self, StoreError> {
        entry.read_json(FILE)
    }

    /// Writes it.
    pub(crate) fn write(&self, entry: &Entry) -> Result<(), StoreError> {
        entry.write_json(FILE, self)
    }
}

/// The program's own directory for the container.
pub(crate) fn directory(entry: &Entry) -> PathBuf {
    entry.file(crate::program::STATE_DIRECTORY).join(entry.id().as_str())
}

/// Whether the fifo is there.
pub(crate) fn is_held(entry: &Entry) -> bool {
    directory(entry).join(FIFO).exists()
}
