//! The image store: an OCI image layout (image-spec image-layout.md) that many processes share.
//!
//! ```text
//! oci-layout              the version; written last, so a directory without it is no store yet
//! index.json              one descriptor per name, always of a manifest for one platform
//! blobs/<algorithm>/<hex> manifests, configurations, layers
//! ingest/lock             shared: somebody pulls or makes a container; exclusive: garbage goes
//! ingest/index.lock       exclusive, for the moment in which index.json is replaced
//! ingest/index.json       the next index, until it is renamed
//! ingest/<algorithm>-<hex> a blob that is not whole yet, locked by who writes it
//! ingest/new-<pid>-<n>    a blob whose digest is not known yet, locked by who writes it
//! ```
//!
//! skopeo and umoci read it and do not mind `ingest`. They take most names on their command lines,
//! but not all that Docker takes: no `[::1]:5000/…`, and no two underscores in a row.
//!
//! **Many processes.** Readers take no lock: a blob under its name never changes, and index.json is
//! replaced by rename. Writers of blobs go through a [`Hold`], which keeps garbage collection away;
//! two that want the same blob meet at the lock of its partial file, and the second finds it
//! present. All locks are flock(2)'s: the kernel lets go of them when a process dies.
//!
//! **Crashes.** A process may die at any step. A blob gets its name after its last byte was
//! written and its digest compared; until then it lies in `ingest`, where the next who wants it
//! goes on. A name is written after everything it stands for. What is removed loses its names
//! first, then its blobs; a blob that nothing names is garbage for the next prune. So a name never
//! stands for less than it should, and what a crash leaves behind is at most garbage or the
//! beginning of a blob.
//!
//! **Power cuts.** Blobs are not synced one by one ([`Store::sync`] does it for all): after a power
//! cut one can be there under its name with wrong content. Who reads a document compares its
//! digest, who unpacks a layer hashes it on the way, [`Store::verify`] reads everything, and a blob
//! of the wrong size does not count as present. index.json itself is synced before its rename.

mod blob;
mod error;
mod image;
mod index;
mod ingest;
mod layout;
mod lock;
mod prune;
mod reach;
mod remove;
mod verify;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

pub(crate) use blob::check;
pub use error::StoreError;
pub(crate) use image::platform_of;
pub use image::{Contents, Image};
pub use index::{INDEX_DIGEST, MAX_IMAGES, REF_NAME};
pub use ingest::{Fresh, Ingest, Partial};
pub use lock::Hold;
pub use prune::{InUse, PruneOptions, Pruned};
pub use remove::Removed;
pub use verify::Damage;

use crate::digest::Digest;
pub use crate::step::Purpose;

/// Where the store is unless the configuration says otherwise.
pub const DEFAULT_DIRECTORY: &str = "/var/lib/proxmox-lxcri/images";

/// An open store. Cheap to clone; nothing of it is kept in memory.
#[derive(Clone, Debug)]
pub struct Store {
    directory: PathBuf,
}

impl Store {
    /// Opens the store in `directory`, and makes it (mode 0700, missing parents, too) where there
    /// is none.
    ///
    /// # Errors
    /// The directory has other things in it, the layout is of a version we do not know, or the
    /// kernel refuses.
    pub fn open(directory: impl Into<PathBuf>) -> Result<Self, StoreError> {
        let store = Self { directory: directory.into() };
        layout::ensure(&store)?;
        Ok(store)
    }

    /// Its directory.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Writes everything to the disk that is not there yet (syncfs(2)): the whole file system's,
    /// which is what makes it one call.
    ///
    /// # Errors
    /// The kernel's, among them that an earlier write was lost.
    pub fn sync(&self) -> Result<(), StoreError> {
        let io = || StoreError::io("sync", &self.directory);
        let directory = std::fs::File::open(&self.directory).map_err(io())?;
        rustix::fs::syncfs(directory).map_err(|error| io()(error.into()))
    }

    fn file(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    fn blob_path(&self, digest: &Digest) -> PathBuf {
        let mut path = self.file("blobs");
        path.push(digest.algorithm().name());
        path.push(digest.hex());
        path
    }

    fn ingest_path(&self, name: &str) -> PathBuf {
        let mut path = self.file("ingest");
        path.push(name);
        path
    }
}
