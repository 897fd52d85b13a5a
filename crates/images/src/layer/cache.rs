//! Unpacked layers, each kept once: `<hex of the diff_id>/fs` with `ready.json` beside it, which says
//! what is known of its state.
//!
//! Whoever makes a layer holds the lock `<hex>.lock`, unpacks to `<hex>.part` and renames: others
//! wait and find it ready, and what a killed process left is removed by the next who has the lock.
//! Nothing is written to the disk on purpose (a layer can be made again from its blob), so the mark
//! names the boot in which it was made: after a crash of the machine files may be there that are
//! empty. [`Layers::sync`] writes all out and marks them for good.

mod error;
mod lock;
mod mark;

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use lxcri_linux::procfs::Proc;
use lxcri_linux::step::Step as _;
use lxcri_linux::tree;
use serde::{Deserialize, Serialize};

pub use self::error::CacheError;

use self::lock::Lock;
use self::mark::Mark;
use super::compression::Compression;
use super::step::Step;
use super::worker::{Job, Workers};
use super::{Ids, Mode};
use crate::digest::Digest;
use crate::directory_lock::open_directory;
use crate::progress::Task;

const PART: &str = "part";
const GONE: &str = "gone";
const LOCK: &str = "lock";

/// The directory of unpacked layers.
#[derive(Debug)]
pub struct Layers {
    directory: PathBuf,
    /// The same, open.
    opened: File,
    boot_id: String,
}

/// A layer that is ready.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Layer {
    /// Which.
    pub diff_id: Digest,
    /// Its tree, written with [`Mode::Overlay`] and unshifted owners: deleted files are character
    /// devices 0:0, opaque directories have `trusted.overlay.opaque`. Absolute.
    pub path: PathBuf,
}

/// A layer as [`Layers::list`] shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Which.
    pub diff_id: Digest,
    /// Bytes of the archive it was made of.
    pub bytes: u64,
    /// Entries of that archive.
    pub entries: u64,
    /// Whether it outlives a crash of the machine.
    pub synced: bool,
    /// Whether it can be used; else it is made again when it is needed.
    pub usable: bool,
}

/// The bytes of a layer.
#[derive(Debug)]
pub struct Blob {
    /// Open for reading.
    pub file: File,
    /// Its digest, where that is to be verified once more.
    pub digest: Option<Digest>,
    /// What its media type says.
    pub compression: Option<Compression>,
}

impl Layers {
    /// Opens the directory, or makes it, with mode 0700: the files in it are other people's programs,
    /// setuid ones among them.
    ///
    /// # Errors
    /// What the kernel says of the path.
    pub fn open(directory: impl Into<PathBuf>) -> Result<Self, CacheError> {
        let directory = directory.into();
        let at = |step| CacheError::io(step, &directory);
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&directory)
            .map_err(at("make"))?;
        let opened = File::open(&directory).map_err(at("open"))?;
        let boot_id = Proc::open().and_then(|proc| proc.boot_id()).map_err(io::Error::other);
        let boot_id = boot_id.map_err(CacheError::io("read", "/proc/sys/kernel/random/boot_id"))?;
        Ok(Self { directory, opened, boot_id })
    }

    /// The layer, where it is ready: it is on the disk, or it was made since this machine was booted.
    pub fn get(&self, diff_id: &Digest) -> Option<Layer> {
        let mark = Mark::read(&self.path(diff_id, None), diff_id)?;
        mark.is_usable(&self.boot_id).then(|| self.layer(diff_id))
    }

    /// The layer, made of the blob that `open` opens where it is not ready. Two who want the same
    /// wait for each other, also in different processes.
    ///
    /// # Errors
    /// Whatever is wrong with the layer, and what the kernel says; nothing is left then.
    pub fn make(
        &self,
        diff_id: &Digest,
        workers: &Workers,
        open: &dyn Fn() -> Result<Blob, Box<dyn std::error::Error + Send + Sync>>,
        task: &mut dyn Task,
    ) -> Result<Layer, CacheError> {
        if let Some(layer) = self.get(diff_id) {
            return Ok(layer);
        }
        let _lock = self.lock(diff_id)?;
        if let Some(layer) = self.get(diff_id) {
            return Ok(layer);
        }
        self.clear(diff_id)?;
        let made = self.unpack(diff_id, workers, open, task);
        if made.is_err() {
            // What cannot be removed now is removed by the next who makes it; the error is the first.
            let _ = self.remove_files(diff_id, Some(PART));
        }
        made.map(|()| self.layer(diff_id))
    }

    fn unpack(
        &self,
        diff_id: &Digest,
        workers: &Workers,
        open: &dyn Fn() -> Result<Blob, Box<dyn std::error::Error + Send + Sync>>,
        task: &mut dyn Task,
    ) -> Result<(), CacheError> {
        let blob = open()
            .map_err(|source| CacheError::Blob { layer: diff_id.short().to_owned(), source })?;
        let part = self.path(diff_id, Some(PART));
        let tree = part.join("fs");
        make_directory(&part, 0o700)?;
        make_directory(&tree, 0o755)?;
        Step::Directory.reached();
        let target = open_directory(&tree).map_err(CacheError::io("open", &tree))?;
        let job = Job {
            blob: blob.file,
            digest: blob.digest,
            compression: blob.compression,
            diff_id: diff_id.clone(),
            target: target.into(),
            mode: Mode::Overlay,
            ids: Ids::default(),
        };
        let unpacked = workers.unpack(job, task)?;
        Step::Unpacked.reached();
        Mark::new(&unpacked, &self.boot_id).write(&part)?;
        Step::Marked.reached();
        let ready = self.path(diff_id, None);
        std::fs::rename(&part, &ready).map_err(CacheError::io("rename", &part))?;
        Step::Renamed.reached();
        Ok(())
    }

    /// Writes all layers out to the disk and marks them: from then on they outlive a crash. Returns
    /// how many were marked.
    ///
    /// # Errors
    /// What the kernel says; then none is marked that is not on the disk.
    pub fn sync(&self) -> Result<usize, CacheError> {
        let mut fresh = Vec::new();
        for layer in self.list()?.into_iter().filter(|layer| layer.usable && !layer.synced) {
            // Held open: what is made again in its place can be told from it.
            let tree = File::open(self.layer(&layer.diff_id).path);
            fresh.extend(tree.ok().map(|tree| (layer.diff_id, tree)));
        }
        if fresh.is_empty() {
            return Ok(0);
        }
        rustix::fs::syncfs(&self.opened)
            .map_err(|errno| CacheError::io("sync", &self.directory)(errno.into()))?;
        Step::Synced.reached();
        let mut marked = 0;
        for (diff_id, tree) in fresh {
            // Who has the lock is removing it.
            let Some(_lock) = self.try_lock(&diff_id)? else { continue };
            marked += usize::from(self.mark_synced(&diff_id, &tree)?);
        }
        Ok(marked)
    }

    /// Whether `written` is still the layer's tree.
    fn mark_synced(&self, diff_id: &Digest, written: &File) -> Result<bool, CacheError> {
        let path = self.path(diff_id, None);
        let Some(mark) = Mark::read(&path, diff_id) else { return Ok(false) };
        if !lock::is_at(written, &path.join("fs")) {
            return Ok(false);
        }
        mark.synced().write(&path).map(|()| true)
    }

    /// Removes a layer; whether there was one. That nobody uses it is the caller's business.
    ///
    /// # Errors
    /// What the kernel says. The layer cannot be used any more then.
    pub fn remove(&self, diff_id: &Digest) -> Result<bool, CacheError> {
        let lock = self.lock(diff_id)?;
        let existed = self.clear(diff_id)?;
        lock.remove();
        Ok(existed)
    }

    /// All layers that have a mark, in the order of their digests.
    ///
    /// # Errors
    /// What the kernel says of the directory.
    pub fn list(&self) -> Result<Vec<Listed>, CacheError> {
        let mut layers = Vec::new();
        for name in self.names()? {
            let Some(mark) = digest_of(&name)
                .and_then(|diff_id| Mark::read(&self.path(&diff_id, None), &diff_id))
            else {
                continue;
            };
            let usable = mark.is_usable(&self.boot_id);
            layers.push(mark.listed(usable));
        }
        layers.sort_by(|one, other| one.diff_id.cmp(&other.diff_id));
        Ok(layers)
    }

    /// Removes what killed processes and an earlier boot have left, but nothing that is being made.
    /// Returns how many layers it was.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn sweep(&self) -> Result<usize, CacheError> {
        let mut removed = 0;
        for name in self.names()? {
            let stem = name.split('.').next().unwrap_or_default();
            let Some(diff_id) = digest_of(stem) else { continue };
            if self.get(&diff_id).is_some() && (name == stem || name.ends_with(LOCK)) {
                continue;
            }
            let Some(lock) = self.try_lock(&diff_id)? else { continue };
            let swept = if self.get(&diff_id).is_some() {
                self.remove_files(&diff_id, Some(PART))?
                    | self.remove_files(&diff_id, Some(GONE))?
            } else {
                let swept = self.clear(&diff_id)?;
                lock.remove();
                swept
            };
            removed += usize::from(swept);
        }
        Ok(removed)
    }

    fn names(&self) -> Result<Vec<String>, CacheError> {
        let at = |step| CacheError::io(step, &self.directory);
        let mut names = Vec::new();
        for entry in std::fs::read_dir(&self.directory).map_err(at("read"))? {
            let entry = entry.map_err(at("read"))?;
            // Ours are all text.
            names.extend(entry.file_name().into_string().ok());
        }
        Ok(names)
    }

    fn layer(&self, diff_id: &Digest) -> Layer {
        Layer { diff_id: diff_id.clone(), path: self.path(diff_id, None).join("fs") }
    }

    fn path(&self, diff_id: &Digest, kind: Option<&str>) -> PathBuf {
        self.directory.join(file_name(diff_id, kind))
    }

    fn lock(&self, diff_id: &Digest) -> Result<Lock, CacheError> {
        Lock::wait(&self.path(diff_id, Some(LOCK)))
    }

    fn try_lock(&self, diff_id: &Digest) -> Result<Option<Lock>, CacheError> {
        Lock::try_take(&self.path(diff_id, Some(LOCK)))
    }

    /// Removes everything of a layer but the lock, which the caller holds. Whether there was
    /// anything.
    fn clear(&self, diff_id: &Digest) -> Result<bool, CacheError> {
        let ready = self.path(diff_id, None);
        // Out of sight at once: half a layer with a mark would be used.
        self.remove_files(diff_id, Some(GONE))?;
        let existed = match std::fs::rename(&ready, self.path(diff_id, Some(GONE))) {
            Ok(()) => true,
            Err(error) if error.kind() == io::ErrorKind::NotFound => false,
            Err(error) => return Err(CacheError::io("rename", &ready)(error)),
        };
        self.remove_files(diff_id, Some(GONE))?;
        Ok(self.remove_files(diff_id, Some(PART))? | existed)
    }

    /// Whether there were any.
    fn remove_files(&self, diff_id: &Digest, kind: Option<&str>) -> Result<bool, CacheError> {
        let path = self.path(diff_id, kind);
        if !path.is_dir() {
            return Ok(false);
        }
        let name = file_name(diff_id, kind);
        tree::remove(&self.opened, OsStr::new(&name)).map_err(|error| {
            CacheError::io("remove", self.directory.join(&error.path))(error.source)
        })?;
        Ok(true)
    }
}

fn file_name(diff_id: &Digest, kind: Option<&str>) -> String {
    match kind {
        None => diff_id.hex().to_owned(),
        Some(kind) => format!("{}.{kind}", diff_id.hex()),
    }
}

/// The digest whose hexadecimal digits are the name of a directory.
fn digest_of(name: &str) -> Option<Digest> {
    let algorithm = if name.len() == 128 { "sha512" } else { "sha256" };
    format!("{algorithm}:{name}").parse().ok()
}

fn make_directory(path: &Path, mode: u32) -> Result<(), CacheError> {
    std::fs::DirBuilder::new().mode(mode).create(path).map_err(CacheError::io("make", path))?;
    // Whatever the umask says.
    let permissions = std::os::unix::fs::PermissionsExt::from_mode(mode);
    std::fs::set_permissions(path, permissions).map_err(CacheError::io("change", path))
}

#[cfg(test)]
mod tests;
