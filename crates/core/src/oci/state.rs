//! The state document (OCI runtime-spec `runtime.md`, "State"), as `state` prints it and hooks get
//! it on stdin, with the fields runc adds.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::id::ContainerId;
use crate::lifecycle::Status;

/// A container as others see it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct State {
    /// Version of the runtime specification this document follows.
    pub oci_version: String,
    /// Its id.
    pub id: ContainerId,
    /// Host pid of its init; 0 (or absent, for hooks) where there is none.
    #[serde(default)]
    pub pid: i32,
    /// Where it is in its life.
    pub status: Status,
    /// Absolute path of its bundle.
    pub bundle: PathBuf,
    /// Absolute path of its root filesystem (runc's addition).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rootfs: Option<PathBuf>,
    /// When it was made, RFC 3339 (runc's addition).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// The bundle's annotations.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// Name of the user who made it (runc's addition).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
}
