//! `ready.json`: what is known of a layer.

use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::super::Unpacked;
use super::Listed;
use super::error::CacheError;
use crate::digest::Digest;

/// The shape of the file. A layer with another one is made again.
const SCHEMA: u32 = 1;
/// Bytes that are read at most.
const LONGEST: u64 = 4096;

/// There once the tree is complete.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Mark {
    schema: u32,
    diff_id: Digest,
    bytes: u64,
    entries: u64,
    /// The boot in which it was made (`/proc/sys/kernel/random/boot_id`).
    boot_id: String,
    /// Whether all of it was written to the disk since.
    synced: bool,
}

impl Mark {
    pub(super) fn new(unpacked: &Unpacked, boot_id: &str) -> Self {
        Self {
            schema: SCHEMA,
            diff_id: unpacked.diff_id.clone(),
            bytes: unpacked.bytes,
            entries: unpacked.entries,
            boot_id: boot_id.to_owned(),
            synced: false,
        }
    }

    /// `None` for whatever is no mark of that layer: it is made again then.
    pub(super) fn read(layer: &Path, diff_id: &Digest) -> Option<Self> {
        let mut text = Vec::new();
        let file = File::open(layer.join("ready.json")).ok()?;
        file.take(LONGEST).read_to_end(&mut text).ok()?;
        let mark: Self = serde_json::from_slice(&text).ok()?;
        (mark.schema == SCHEMA && mark.diff_id == *diff_id && layer.join("fs").is_dir())
            .then_some(mark)
    }

    pub(super) fn is_usable(&self, boot_id: &str) -> bool {
        self.synced || self.boot_id == boot_id
    }

    pub(super) fn synced(self) -> Self {
        Self { synced: true, ..self }
    }

    pub(super) fn listed(self, usable: bool) -> Listed {
        let Self { diff_id, bytes, entries, synced, .. } = self;
        Listed { diff_id, bytes, entries, synced, usable }
    }

    /// Written under another name first: nobody sees half of it.
    pub(super) fn write(&self, layer: &Path) -> Result<(), CacheError> {
        let (path, temporary) = (layer.join("ready.json"), layer.join("ready.json.new"));
        let at = |step| CacheError::io(step, &path);
        let text = serde_json::to_vec(self).map_err(|error| at("write")(error.into()))?;
        let write = || File::create(&temporary)?.write_all(&text);
        write().map_err(at("write"))?;
        std::fs::rename(&temporary, &path).map_err(at("write"))
    }
}
