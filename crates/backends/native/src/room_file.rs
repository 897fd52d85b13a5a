//! `native.json`: what this room must find again of a container.

use lxcri_core::store::{Entry, StoreError};
use lxcri_linux::cgroup::Cgroup;
use lxcri_linux::systemd::Unit;
use serde::{Deserialize, Serialize};

/// Name in the container's state directory.
pub(crate) const NAME: &str = "native.json";

/// The room's own part of the state.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RoomFile {
    /// The container's cgroup. Written before it is made, so that whatever was made is found.
    pub(crate) cgroup: Cgroup,
    /// The scope that it belongs to, where systemd made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) unit: Option<Unit>,
    /// The boot it was made in: after another one the cgroup's name means nothing.
    pub(crate) boot_id: String,
    /// Whether the kernel ends all processes with init: then one signal is enough.
    pub(crate) own_pid_namespace: bool,
    /// Whether its processes get a session keyring of the container's own.
    pub(crate) joins_keyring: bool,
    /// Whether `start` has poststart hooks to run, and so must read config.json.
    pub(crate) has_poststart: bool,
    /// Whether `delete` has poststop hooks to run.
    pub(crate) has_poststop: bool,
}

impl RoomFile {
    pub(crate) fn read(entry: &Entry) -> Result<Self, StoreError> {
        entry.read_json(NAME)
    }

    pub(crate) fn write(&self, entry: &Entry) -> Result<(), StoreError> {
        entry.write_json(NAME, self)
    }

    pub(crate) fn exists(entry: &Entry) -> bool {
        entry.file(NAME).exists()
    }
}
