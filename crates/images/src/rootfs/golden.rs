//! Golden trees: one whole tree per image, that containers are copied, snapshotted or cloned from.
//!
//! ```text
//! golden/<provider>/<chain>/tree, ready.json   one that is ready
//! golden/<provider>/<chain>.building           one that is being made, or that a killed process left
//! golden/<provider>/<chain>.lock               held shared while it is used, alone while it changes
//! ```

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use lxcri_linux::step::Step as _;
use lxcri_linux::tree;
use rustix::fs::FlockOperation;
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use super::container::make_directory;
use super::{Place, RootfsError, Step, io, record};
use crate::digest::Digest;
use crate::directory_lock::open_directory;

const LOCK: &str = ".lock";
const BUILDING: &str = ".building";
const READY: &str = "ready.json";
pub(super) const TREE: &str = "tree";

/// How often another process may prune a tree just when it has become ready.
const TRIES: usize = 8;

/// What says that a golden tree is whole.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Ready {
    schema: u32,
    /// The boot it was made in.
    boot_id: String,
    /// Whether it had reached the disk before this was written.
    synced: bool,
}

/// The name of a chain's golden tree, as a file and in ZFS.
pub(super) fn name_of(chain: &Digest) -> String {
    format!("{}-{}", chain.algorithm().name(), chain.hex())
}

fn chain_of(name: &str) -> Option<Digest> {
    let (algorithm, hex) = name.split_once('-')?;
    format!("{algorithm}:{hex}").parse().ok()
}

/// The lock of one chain and provider. Let go of when dropped.
#[derive(Debug)]
pub(super) struct Lock {
    file: File,
    path: PathBuf,
}

impl Lock {
    /// Opens it without holding it yet.
    fn open(directory: &Path, name: &str) -> Result<Self, RootfsError> {
        let path = directory.join(format!("{name}{LOCK}"));
        let mut options = File::options();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let file = options.open(&path).map_err(io("open", &path))?;
        Ok(Self { file, path })
    }

    /// Takes it, or says that others hold it.
    fn take(&self, operation: FlockOperation) -> Result<bool, RootfsError> {
        match rustix::io::retry_on_intr(|| rustix::fs::flock(&self.file, operation)) {
            Ok(()) => Ok(true),
            Err(Errno::AGAIN) => Ok(false),
            Err(errno) => Err(io("lock", &self.path)(errno.into())),
        }
    }

    /// Whether the file is still the one that others would lock.
    fn is_current(&self) -> bool {
        let identity = |file: std::fs::Metadata| (file.dev(), file.ino());
        let now = std::fs::symlink_metadata(&self.path).map(identity);
        self.file.metadata().is_ok_and(|held| now.is_ok_and(|now| identity(held) == now))
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // The descriptor is closed anyway, but a copy of it may live on in a child for a moment.
        let _ = rustix::fs::flock(&self.file, FlockOperation::Unlock);
    }
}

/// The directory of a provider's golden trees.
fn directory(place: &Place, provider: &str) -> PathBuf {
    place.root.join("golden").join(provider)
}

/// Takes the lock of a golden tree so that nobody prunes it, having it made where `is_ready` says
/// that it is not: by `build`, by one process at a time.
pub(super) fn locked(
    place: &Place,
    provider: &str,
    chain: &Digest,
    is_ready: &dyn Fn(&Path) -> Result<bool, RootfsError>,
    build: &dyn Fn(&Path) -> Result<(), RootfsError>,
) -> Result<(Lock, PathBuf), RootfsError> {
    let directory = directory(place, provider);
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&directory)
        .map_err(io("make", &directory))?;
    let name = name_of(chain);
    let path = directory.join(&name);
    for _ in 0..TRIES {
        let lock = Lock::open(&directory, &name)?;
        lock.take(FlockOperation::LockShared)?;
        if lock.is_current() && is_ready(&path)? {
            return Ok((lock, path));
        }
        // Not a step up: two that hold it shared would wait for each other.
        lock.take(FlockOperation::Unlock)?;
        lock.take(FlockOperation::LockExclusive)?;
        if lock.is_current() && !is_ready(&path)? {
            build(&path)?;
            Step::GoldenReady.reached();
        }
    }
    Err(RootfsError::Busy { path })
}

/// The golden tree of a chain as a directory, made by `fill` in a directory in which it makes
/// [`TREE`].
pub(super) fn tree(
    place: &Place,
    provider: &str,
    chain: &Digest,
    fill: &dyn Fn(&File, &Path) -> Result<(), RootfsError>,
) -> Result<(Lock, File), RootfsError> {
    let build = |path: &Path| {
        let building = suffixed(path, BUILDING);
        remove(&building)?;
        // One that was not synced before the machine went down.
        remove(path)?;
        make_directory(&building, 0o700).map_err(io("make", &building))?;
        Step::GoldenDirectory.reached();
        let made = open_directory(&building).map_err(io("open", &building))?;
        fill(&made, &building)
            .and_then(|()| finish(place, &made, &building))
            .inspect_err(|_| drop(remove(&building)))?;
        std::fs::rename(&building, path).map_err(io("rename", &building))
    };
    let (lock, path) = locked(place, provider, chain, &is_ready, &build)?;
    let path = path.join(TREE);
    Ok((lock, open_directory(&path).map_err(io("open", &path))?))
}

fn finish(place: &Place, made: &File, path: &Path) -> Result<(), RootfsError> {
    Step::GoldenFilled.reached();
    if place.sync {
        rustix::fs::syncfs(made).map_err(|errno| io("sync", path)(errno.into()))?;
    }
    let ready = Ready { schema: 1, boot_id: record::boot_id()?, synced: place.sync };
    let path = path.join(READY);
    let write = || -> std::io::Result<()> {
        let mut file = File::create_new(&path)?;
        file.write_all(&serde_json::to_vec(&ready)?)?;
        if place.sync { file.sync_all() } else { Ok(()) }
    };
    write().map_err(io("write", &path))
}

/// Whether a golden tree is whole: it was synced, or the machine has not gone down since.
fn is_ready(path: &Path) -> Result<bool, RootfsError> {
    let path = path.join(READY);
    let file = match File::open(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        result => result.map_err(io("open", &path))?,
    };
    let mut bytes = Vec::new();
    file.take(4096).read_to_end(&mut bytes).map_err(io("read", &path))?;
    // One that cannot be read was cut off with the machine.
    let Ok(ready) = serde_json::from_slice::<Ready>(&bytes) else { return Ok(false) };
    Ok(ready.schema == 1 && (ready.synced || ready.boot_id == record::boot_id()?))
}

/// Removes the golden trees of chains that are not in use, by `destroy`, which says whether it did;
/// `names` are those that exist. One that somebody holds stays.
pub(super) fn prune(
    place: &Place,
    provider: &str,
    names: &BTreeSet<String>,
    in_use: &BTreeSet<Digest>,
    destroy: &dyn Fn(&str) -> Result<bool, RootfsError>,
) -> Result<Vec<Digest>, RootfsError> {
    let directory = directory(place, provider);
    let mut removed = Vec::new();
    for name in names {
        let Some(chain) = chain_of(name).filter(|chain| !in_use.contains(chain)) else { continue };
        let lock = Lock::open(&directory, name)?;
        if !lock.take(FlockOperation::NonBlockingLockExclusive)? || !lock.is_current() {
            continue;
        }
        if destroy(name)? {
            removed.push(chain);
            std::fs::remove_file(&lock.path).map_err(io("remove", &lock.path))?;
        }
    }
    Ok(removed)
}

/// The names of all golden trees that have a file here.
pub(super) fn names(place: &Place, provider: &str) -> Result<BTreeSet<String>, RootfsError> {
    let path = directory(place, provider);
    let entries = match std::fs::read_dir(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeSet::new()),
        result => result.map_err(io("read", &path))?,
    };
    let mut names = BTreeSet::new();
    for entry in entries {
        let name = entry.map_err(io("read", &path))?.file_name();
        let name = name.to_string_lossy();
        let name = name.strip_suffix(LOCK).or(name.strip_suffix(BUILDING)).unwrap_or(&name);
        names.insert(name.to_owned());
    }
    Ok(names)
}

/// Prunes golden trees that are directories.
pub(super) fn prune_trees(
    place: &Place,
    provider: &str,
    in_use: &BTreeSet<Digest>,
) -> Result<Vec<Digest>, RootfsError> {
    let directory = directory(place, provider);
    let destroy = |name: &str| {
        let path = directory.join(name);
        let building = suffixed(&path, BUILDING);
        remove(&building)?;
        // Never half of one under its own name.
        match std::fs::rename(&path, &building) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(io("rename", &path)(error));
            }
            _ => {}
        }
        remove(&building)?;
        Ok(true)
    };
    prune(place, provider, &names(place, provider)?, in_use, &destroy)
}

fn suffixed(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

fn remove(path: &Path) -> Result<(), RootfsError> {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { return Ok(()) };
    let parent = open_directory(parent).map_err(io("open", parent))?;
    tree::remove(&parent, name)
        .map_err(|source| RootfsError::Tree { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_chains() {
        let chain = Digest::of(b"x");
        assert_eq!(chain_of(&name_of(&chain)), Some(chain));
        assert_eq!(chain_of("sha256-xyz"), None);
        assert_eq!(chain_of("lost+found"), None);
    }
}
