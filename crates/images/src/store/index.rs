//! index.json: which names stand for which manifests.

use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;

use lxcri_linux::step::Step as _;
use serde::Serialize;

use super::lock::{self, INDEX_LOCK};
use super::{Hold, Store, StoreError};
use crate::document::{Descriptor, Index, media_type};
use crate::step::{IndexSteps, Step};

/// The annotation that holds a name (image-spec annotations.md). One entry, one name; an entry
/// without it is an image that lost its name and waits to be pruned.
pub const REF_NAME: &str = "org.opencontainers.image.ref.name";
/// Our annotation: the digest of the index that the manifest was chosen from, which is the digest
/// that people see on the registry's side.
pub const INDEX_DIGEST: &str = "io.proxmox-lxcri.index-digest";

/// The most entries of the store's index.
pub const MAX_IMAGES: usize = 50_000;
/// The most bytes of index.json: more than that many entries with names of the longest kind.
const MAX_INDEX: u64 = 64 << 20;
/// The longest name: a repository of 255 and a tag of 128 characters (distribution-spec, "Pulling
/// manifests"; Docker's limit), an `@` and a digest of 135.
const MAX_NAME: usize = 520;

pub(super) const INDEX: &str = "index.json";

impl Store {
    /// The entries as they are now.
    pub(super) fn entries(&self) -> Result<Vec<Descriptor>, StoreError> {
        let path = self.file(INDEX);
        let damaged = |problem| StoreError::Damaged { path: path.clone(), problem };
        let bytes = read(&path, MAX_INDEX)?;
        let index: Index =
            serde_json::from_slice(&bytes).map_err(|error| damaged(error.to_string()))?;
        if index.schema_version != 2 || index.manifests.len() > MAX_IMAGES {
            let count = index.manifests.len();
            let version = index.schema_version;
            return Err(damaged(format!("schema version {version}, {count} entries")));
        }
        Ok(index.manifests)
    }

    /// Changes the entries; one process at a time, and nobody sees half of it.
    pub(super) fn change<T>(
        &self,
        steps: IndexSteps,
        change: impl FnOnce(&mut Vec<Descriptor>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let _lock = lock::exclusive(&self.ingest_path(INDEX_LOCK))?;
        let before = self.entries()?;
        let mut entries = before.clone();
        let result = change(&mut entries)?;
        if entries != before {
            if entries.len() > MAX_IMAGES {
                return Err(StoreError::Crowded { path: self.file(INDEX) });
            }
            let index = Index { manifests: entries, ..Index::empty() };
            replace(self, INDEX, &index, steps.written)?;
            steps.renamed.reached();
        }
        Ok(result)
    }

    /// Takes a name away. The image stays until it is pruned, without a name where it was the last.
    ///
    /// # Errors
    /// No such name; the kernel's.
    pub fn untag(&self, name: &str) -> Result<(), StoreError> {
        self.change(IndexSteps::REMOVE, |entries| {
            if take_name(entries, name) {
                Ok(())
            } else {
                Err(StoreError::NotFound { text: name.to_owned() })
            }
        })
    }
}

impl Hold {
    /// Gives an image a name, the full canonical one. What it stood for before stays, without a
    /// name where it has no other. Returns the manifest it stood for before.
    ///
    /// # Errors
    /// No name at all, no manifest, one that is not in the store, a full index; the kernel's.
    pub fn tag(&self, name: &str, manifest: &Descriptor) -> Result<Option<Descriptor>, StoreError> {
        check_name(name)?;
        self.check_manifest(manifest)?;
        let mut entry = manifest.clone();
        entry.annotations.insert(REF_NAME.to_owned(), name.to_owned());
        self.store.change(self.purpose.index(), |entries| {
            let before = entries.iter().find(|entry| name_of(entry) == Some(name)).cloned();
            if before.as_ref() != Some(&entry) {
                take_name(entries, name);
                let has_name = |other: &Descriptor| name_of(other).is_some();
                entries.retain(|other| other.digest != entry.digest || has_name(other));
                entries.push(entry);
            }
            Ok(before)
        })
    }

    /// Keeps an image that has no name until the next prune.
    ///
    /// # Errors
    /// No manifest, one that is not in the store, a full index; the kernel's.
    pub fn keep(&self, manifest: &Descriptor) -> Result<(), StoreError> {
        self.check_manifest(manifest)?;
        self.store.change(self.purpose.index(), |entries| {
            if !entries.iter().any(|entry| entry.digest == manifest.digest) {
                let mut entry = manifest.clone();
                entry.annotations.remove(REF_NAME);
                entries.push(entry);
            }
            Ok(())
        })
    }

    /// A name must not stand for less than an image.
    fn check_manifest(&self, manifest: &Descriptor) -> Result<(), StoreError> {
        if !is_manifest(manifest) {
            return Err(StoreError::NotAnImage {
                digest: manifest.digest.clone(),
                media_type: manifest.media_type.clone(),
            });
        }
        self.store.document(manifest).map(drop)
    }
}

/// The name of an entry.
pub(super) fn name_of(entry: &Descriptor) -> Option<&str> {
    entry.annotations.get(REF_NAME).map(String::as_str)
}

pub(super) fn is_manifest(entry: &Descriptor) -> bool {
    [media_type::MANIFEST, media_type::DOCKER_MANIFEST].contains(&entry.media_type.as_str())
}

/// Takes a name away from whatever has it; an image keeps one entry, without a name. Whether there
/// was one.
pub(super) fn take_name(entries: &mut Vec<Descriptor>, name: &str) -> bool {
    let has_it = |entry: &Descriptor| name_of(entry) == Some(name);
    let (taken, kept) = std::mem::take(entries).into_iter().partition(has_it);
    let taken: Vec<Descriptor> = taken;
    *entries = kept;
    for mut entry in taken.iter().cloned() {
        if !entries.iter().any(|other| other.digest == entry.digest) {
            entry.annotations.remove(REF_NAME);
            entries.push(entry);
        }
    }
    !taken.is_empty()
}

fn check_name(name: &str) -> Result<(), StoreError> {
    let problem = if name.is_empty() {
        "it is empty"
    } else if name.len() > MAX_NAME {
        "it is too long"
    } else if !name.bytes().all(|byte| byte.is_ascii_graphic()) {
        "it has characters other than visible ASCII"
    } else {
        return Ok(());
    };
    Err(StoreError::InvalidName { name: name.chars().take(160).collect(), problem })
}

/// Reads a file of ours that has at most so many bytes.
pub(super) fn read(path: &Path, most: u64) -> Result<Vec<u8>, StoreError> {
    let file = File::open(path).map_err(StoreError::io("open", path))?;
    let mut bytes = Vec::new();
    file.take(most + 1).read_to_end(&mut bytes).map_err(StoreError::io("read", path))?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length <= most) {
        return Ok(bytes);
    }
    let problem = format!("more than {most} bytes");
    Err(StoreError::Damaged { path: path.to_owned(), problem })
}

/// Writes a file of the layout by temporary file and rename. The caller holds the index lock, so
/// the temporary file is nobody else's; one of a killed process is written over. It is small, so it
/// is synced: after a power cut the old file is there, or the new one.
pub(super) fn replace<T: Serialize>(
    store: &Store,
    name: &str,
    value: &T,
    written: Step,
) -> Result<(), StoreError> {
    let temporary = store.ingest_path(INDEX);
    let failed = || StoreError::io("write", &temporary);
    let bytes = serde_json::to_vec(value).map_err(|error| failed()(error.into()))?;
    let file = lock::open(&temporary)?;
    file.set_len(0).map_err(failed())?;
    (&file).write_all(&bytes).map_err(failed())?;
    file.sync_data().map_err(failed())?;
    written.reached();
    let path = store.file(name);
    std::fs::rename(&temporary, &path).map_err(StoreError::io("replace", &path))
}
