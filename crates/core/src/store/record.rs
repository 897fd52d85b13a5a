//! `state.json`: what every room's containers have in common.

use std::collections::BTreeMap;
use std::path::PathBuf;

use lxcri_linux::process::Process;
use serde::{Deserialize, Serialize};

use crate::id::ContainerId;
use crate::lifecycle::Status;

/// Version of the file's layout. A file of another version is refused, never guessed at.
pub const SCHEMA: u32 = 1;

/// One container, as the command that last changed it left it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    /// [`SCHEMA`].
    pub schema: u32,
    /// `ociVersion` of the bundle.
    pub oci_version: String,
    /// The container's id.
    pub id: ContainerId,
    /// Name of the room it was made in: later commands never guess again.
    pub backend: String,
    /// Absolute path of its bundle.
    pub bundle: PathBuf,
    /// Absolute path of its root filesystem.
    pub rootfs: PathBuf,
    /// When it was made, RFC 3339 in UTC.
    pub created: String,
    /// Last status written; the kernel may know better.
    pub status: Status,
    /// The process whose life is the container's, once there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub process: Option<Process>,
    /// Boot this record belongs to: after another boot its pids mean nothing.
    pub boot_id: String,
    /// User id of who made it.
    pub owner: u32,
    /// The bundle's annotations.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// Parses `state.json`; the error is the problem in words.
pub(super) fn parse(bytes: &[u8]) -> Result<Record, String> {
    #[derive(Deserialize)]
    struct Version {
        schema: u32,
    }
    let version: Version = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    if version.schema != SCHEMA {
        return Err(format!("schema {} (this version reads {SCHEMA})", version.schema));
    }
    serde_json::from_slice(bytes).map_err(|error| error.to_string())
}
