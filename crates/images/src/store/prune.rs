//! Garbage collection.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::DirEntry;
use std::io;
use std::path::Path;
use std::time::Duration;

use lxcri_linux::step::Step as _;

use super::index::{INDEX, is_manifest, name_of};
use super::ingest::remove_present;
use super::lock::{INDEX_LOCK, STORE_LOCK};
use super::{Store, StoreError};
use crate::digest::Digest;
use crate::document::Descriptor;
use crate::step::{IndexSteps, Step};

/// Says which digests (of manifests, configurations, layers or the indexes they were chosen from)
/// containers use. Asked when nobody can make a container any more, so that the answer stays true
/// while garbage is removed. Whoever makes a container holds the store until the answer would name
/// it.
pub type InUse<'a> =
    &'a dyn Fn() -> Result<BTreeSet<Digest>, Box<dyn std::error::Error + Send + Sync>>;

/// What a prune removes besides blobs that nothing needs.
#[derive(Clone, Copy, Debug)]
pub struct PruneOptions {
    /// All images that no container uses, and not only those without a name.
    pub all: bool,
    /// The beginnings of blobs that nobody touched for so long.
    pub partials_older_than: Duration,
}

impl Default for PruneOptions {
    fn default() -> Self {
        Self { all: false, partials_older_than: Duration::from_secs(7 * 24 * 60 * 60) }
    }
}

/// What a prune removed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Names of images.
    pub names: Vec<String>,
    /// Images, by their manifests.
    pub images: Vec<Digest>,
    /// Blobs.
    pub blobs: Vec<Digest>,
    /// How many beginnings of blobs.
    pub partials: usize,
    /// The bytes of blobs and of their beginnings.
    pub bytes: u64,
}

impl Store {
    /// Removes what nobody needs. Waits until nobody holds the store; `waiting` is called once
    /// where that is not so at first.
    ///
    /// A manifest that is damaged keeps its own blob and its name, but nobody can tell its layers:
    /// those that no other image needs are removed, and fetched again with it.
    ///
    /// # Errors
    /// What containers use cannot be told: then nothing is removed. The kernel's: then some is.
    pub fn prune(
        &self,
        options: PruneOptions,
        in_use: InUse<'_>,
        waiting: &dyn Fn(),
    ) -> Result<Pruned, StoreError> {
        let _collecting = self.collect(waiting)?;
        let used = in_use().map_err(|source| StoreError::UsersUnknown { source })?;
        let mut pruned = Pruned::default();
        let entries = self.prune_index(options.all, &used, &mut pruned)?;
        let mut needed = self.reach(&entries);
        let used = self.reach_used(&used);
        needed.blobs.extend(used.blobs);
        for (digest, error) in &needed.unread {
            log::warn!("image {}: {error}", digest.short());
        }
        self.blobs(|digest, _| {
            if !needed.blobs.contains_key(&digest) {
                self.prune_blob(digest, &mut pruned)?;
            }
            Ok(())
        })?;
        self.prune_partials(options.partials_older_than, &mut pruned)?;
        Ok(pruned)
    }

    /// Takes images out of the index. What is left.
    fn prune_index(
        &self,
        all: bool,
        used: &BTreeSet<Digest>,
        pruned: &mut Pruned,
    ) -> Result<Vec<Descriptor>, StoreError> {
        self.change(IndexSteps::PRUNE, |entries| {
            let (kept, gone): (Vec<_>, Vec<_>) = entries.drain(..).partition(|entry| {
                // What other tools put here under a name of a kind that is not ours stays.
                let is_candidate = name_of(entry).is_none() || (all && is_manifest(entry));
                !is_candidate || self.is_used(entry, used)
            });
            *entries = kept;
            pruned.names = gone.iter().filter_map(|e| name_of(e).map(ToOwned::to_owned)).collect();
            pruned.images = gone.into_iter().map(|entry| entry.digest).collect();
            pruned.images.sort();
            pruned.images.dedup();
            Ok(entries.clone())
        })
    }

    fn is_used(&self, entry: &Descriptor, used: &BTreeSet<Digest>) -> bool {
        if used.is_empty() {
            return false;
        }
        let origin = entry.annotations.get(super::INDEX_DIGEST);
        let origin = origin.and_then(|text| text.parse().ok());
        used.contains(&entry.digest)
            || origin.is_some_and(|digest: Digest| used.contains(&digest))
            || self.contents(entry).is_ok_and(|contents| used.contains(&contents.config.digest))
    }

    fn prune_blob(&self, digest: Digest, pruned: &mut Pruned) -> Result<(), StoreError> {
        let size = self.size_of(&digest).unwrap_or(0);
        remove_present(&self.blob_path(&digest))?;
        Step::PruneBlob.reached();
        pruned.bytes = pruned.bytes.saturating_add(size);
        pruned.blobs.push(digest);
        Ok(())
    }

    /// Nobody holds the store, so nobody writes any of them.
    fn prune_partials(&self, age: Duration, pruned: &mut Pruned) -> Result<(), StoreError> {
        items(&self.file("ingest"), |item| {
            let (name, path) = (item.file_name(), item.path());
            let failed = || StoreError::io("read", &path);
            let found = item.metadata().map_err(failed())?;
            let is_old = found.modified().is_ok_and(|when| when.elapsed().is_ok_and(|d| d >= age));
            if is_lock(&name) || !found.is_file() || !(is_old || is_fresh(&name)) {
                return Ok(());
            }
            remove_present(&path)?;
            Step::PrunePartial.reached();
            pruned.partials += 1;
            pruned.bytes = pruned.bytes.saturating_add(found.len());
            Ok(())
        })
    }

    /// Every file below `blobs` whose name is a digest, with whether it is a file at all.
    pub(super) fn blobs(
        &self,
        mut each: impl FnMut(Digest, &DirEntry) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        items(&self.file("blobs"), |algorithm| {
            let Ok(prefix) = algorithm.file_name().into_string() else { return Ok(()) };
            if !matches!(prefix.as_str(), "sha256" | "sha512") {
                return Ok(());
            }
            items(&algorithm.path(), |item| {
                let name = item.file_name();
                let digest = name.to_str().map(|hex| format!("{prefix}:{hex}").parse());
                match digest {
                    Some(Ok(digest)) => each(digest, item),
                    _ => Ok(()),
                }
            })
        })
    }
}

fn is_lock(name: &OsStr) -> bool {
    // The next index is written over by whoever writes the next.
    [STORE_LOCK, INDEX_LOCK, INDEX].iter().any(|ours| name == *ours)
}

/// A blob of unknown digest: nobody can go on with it.
fn is_fresh(name: &OsStr) -> bool {
    name.to_str().is_some_and(|name| name.starts_with("new-"))
}

/// Every item of a directory of ours, one at a time: there may be very many.
fn items(
    directory: &Path,
    mut each: impl FnMut(&DirEntry) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let failed = || StoreError::io("read", directory);
    let entries = match std::fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        result => result.map_err(failed())?,
    };
    for item in entries {
        each(&item.map_err(failed())?)?;
    }
    Ok(())
}
