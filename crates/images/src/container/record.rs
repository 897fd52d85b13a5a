//! `container.json`.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use lxcri_core::id::ContainerId;
use serde::{Deserialize, Serialize};

use super::ContainerError;
use super::make::write_private;
use crate::digest::Digest;

/// The version of the file.
pub(super) const SCHEMA: u32 = 1;
/// The record's name.
pub(super) const NAME: &str = "container.json";
/// The most bytes that are read of one.
const LARGEST: u64 = 4 << 20;

/// What a container was made of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Record {
    /// 1.
    pub schema: u32,
    /// The container.
    pub id: ContainerId,
    /// What the user called the image.
    pub image: String,
    /// The image's manifest.
    pub manifest: Digest,
    /// The directory of its state (`runtime.root`).
    pub state_root: PathBuf,
    /// When it was made, RFC 3339.
    pub created: String,
    /// The user's labels and the image's.
    pub labels: BTreeMap<String, String>,
}

impl Record {
    /// Writes it; a reader never sees half of it.
    pub(super) fn write(&self, directory: &Path) -> Result<(), ContainerError> {
        let (temporary, path) = (directory.join(".container.json"), directory.join(NAME));
        let text = serde_json::to_vec(self).map_err(|error| damaged(&path, &error.to_string()))?;
        write_private(&temporary, &text)?;
        std::fs::rename(&temporary, &path).map_err(ContainerError::io("rename", &temporary))
    }

    /// The record in a container's directory; none where it was never written.
    pub(super) fn read(directory: &Path) -> Result<Option<Self>, ContainerError> {
        let path = directory.join(NAME);
        let file = match std::fs::File::open(&path) {
            Ok(file) => file,
            // A stray file among the directories is no container.
            Err(error)
                if [ErrorKind::NotFound, ErrorKind::NotADirectory].contains(&error.kind()) =>
            {
                return Ok(None);
            }
            Err(error) => return Err(ContainerError::io("open", &path)(error)),
        };
        let mut text = Vec::new();
        file.take(LARGEST).read_to_end(&mut text).map_err(ContainerError::io("read", &path))?;
        let record: Self =
            serde_json::from_slice(&text).map_err(|error| damaged(&path, &error.to_string()))?;
        if record.schema == SCHEMA {
            Ok(Some(record))
        } else {
            Err(damaged(&path, &format!("schema {}, not {SCHEMA}", record.schema)))
        }
    }
}

fn damaged(path: &Path, problem: &str) -> ContainerError {
    ContainerError::Damaged { path: path.to_owned(), problem: problem.to_owned() }
}

/// The records of all containers below `directory`. One that is just being made or removed may be
/// missing.
///
/// # Errors
/// One cannot be read: what it needs is then unknown.
pub fn records(directory: &Path) -> Result<Vec<Record>, ContainerError> {
    let entries = match std::fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(ContainerError::io("read", directory)(error)),
    };
    let mut records = Vec::new();
    for entry in entries {
        let entry = entry.map_err(ContainerError::io("read", directory))?;
        records.extend(Record::read(&entry.path())?);
    }
    Ok(records)
}
