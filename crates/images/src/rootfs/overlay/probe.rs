//! Whether an overlay works in a place: by mounting one, writing to it, and looking at what is below.

use std::fs::File;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use lxcri_linux::filesystem_ids::FilesystemIds;
use lxcri_linux::mount::Attributes;
use lxcri_linux::tree;
use rustix::fd::{AsFd, BorrowedFd};
use rustix::fs::{AtFlags, FlockOperation, Mode, OFlags};

use super::super::container::make_directory;
use super::super::{IdRange, Place, Unavailable};
use super::{Stack, UPPER, WORK, merge};
use crate::directory_lock::open_directory;

const SCRATCH: &str = ".probe";

/// Whether changes of containers can be kept there; with `mapped`, by ids of the host.
pub(super) fn can_write(place: &Place, mapped: bool) -> Result<(), Unavailable> {
    let unavailable =
        |reason| Unavailable { provider: "overlay", root: place.root.clone(), reason };
    in_scratch(place, |path| writes(path, mapped)).map_err(unavailable)
}

/// Whether layers there can be read through an overlay, for `provider`.
pub(in super::super) fn can_read(place: &Place, provider: &'static str) -> Result<(), Unavailable> {
    in_scratch(place, |path| merge(&[], path).map(drop).map_err(|error| error.to_string()))
        .map_err(|reason| Unavailable { provider, root: place.root.clone(), reason })
}

/// Runs `probe` in an empty directory that is removed again, one process at a time.
fn in_scratch(
    place: &Place,
    probe: impl FnOnce(&Path) -> Result<(), String>,
) -> Result<(), String> {
    let cannot = |what: &'static str| move |error: io::Error| format!("cannot {what}: {error}");
    let mut parents = std::fs::DirBuilder::new();
    std::os::unix::fs::DirBuilderExt::mode(parents.recursive(true), 0o711);
    parents.create(&place.root).map_err(cannot("make the directory"))?;
    let root = open_directory(&place.root).map_err(cannot("open the directory"))?;
    // Let go of when `root` is closed.
    rustix::fs::flock(&root, FlockOperation::LockExclusive)
        .map_err(|errno| cannot("lock the directory")(errno.into()))?;
    let remove = |root: &File| {
        tree::remove(root, SCRATCH.as_ref()).map_err(|error| format!("cannot clean up: {error}"))
    };
    // What a killed process left.
    remove(&root)?;
    let path = place.root.join(SCRATCH);
    make_directory(&path, 0o700).map_err(cannot("write there"))?;
    let probed = probe(&path);
    probed.and(remove(&root))
}

const LOWER: &str = "lower";
const MAPPING: [IdRange; 1] = [IdRange { container: 0, host: 100_000, size: 65536 }];

fn writes(path: &Path, mapped: bool) -> Result<(), String> {
    let cannot = |error: io::Error| format!("cannot write there: {error}");
    for name in [LOWER, UPPER, WORK, "lower/gone"] {
        make_directory(&path.join(name), 0o755).map_err(cannot)?;
    }
    std::fs::write(path.join("lower/file"), "").map_err(cannot)?;
    std::fs::write(path.join("lower/deleted"), "").map_err(cannot)?;
    let stack = Stack {
        lower: vec![path.join(LOWER)],
        upper: Some(path.to_owned()),
        mapping: mapped.then_some(&MAPPING[..]),
        // What is thrown away at once is not to be synced when it is unmounted.
        volatile: true,
        attributes: Attributes::default(),
    };
    let tree = stack.mount(path).map_err(|error| error.to_string())?;
    // As the root of a container would: nobody else can make files where ids are mapped.
    let root = if mapped { MAPPING[0].host } else { 0 };
    let acting = FilesystemIds::take_on(root, root).map_err(|error| error.to_string())?;
    let changed = change(tree.as_fd());
    drop(acting);
    changed.map_err(|error| format!("an overlay there cannot be written: {error}"))?;
    judge(tree.as_fd(), &path.join(UPPER), mapped)
}

/// Deletes a file, and makes a directory where there was another: what needs device nodes and
/// extended attributes of the filesystem below.
fn change(tree: BorrowedFd<'_>) -> rustix::io::Result<()> {
    rustix::fs::unlinkat(tree, "deleted", AtFlags::empty())?;
    rustix::fs::unlinkat(tree, "gone", AtFlags::REMOVEDIR)?;
    rustix::fs::mkdirat(tree, "gone", Mode::from_raw_mode(0o755))
}

/// Whether the changes are in the upper directory as they should be.
fn judge(tree: BorrowedFd<'_>, upper: &Path, mapped: bool) -> Result<(), String> {
    let deleted = std::fs::symlink_metadata(upper.join("deleted"));
    if !deleted.is_ok_and(|file| file.file_type().is_char_device() && file.rdev() == 0) {
        return Err("the filesystem holds no whiteouts (device nodes 0:0)".to_owned());
    }
    let mut value = [0; 8];
    let opaque = "trusted.overlay.opaque";
    if rustix::fs::lgetxattr(upper.join("gone"), opaque, &mut value[..]).is_err() {
        return Err("the filesystem holds no trusted extended attributes".to_owned());
    }
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let names = rustix::fs::openat(tree, ".", flags, Mode::empty())
        .and_then(|top| rustix::fs::Dir::read_from(&top)?.collect::<rustix::io::Result<Vec<_>>>())
        .map_err(|errno| format!("an overlay there cannot be read: {errno}"))?;
    if names.iter().any(|entry| entry.file_name() == c"deleted") {
        return Err("the filesystem does not tell the type of directory entries".to_owned());
    }
    let owner = rustix::fs::statat(tree, "file", AtFlags::empty()).map(|file| file.st_uid);
    let wanted = if mapped { MAPPING[0].host } else { 0 };
    if owner != Ok(wanted) {
        return Err("the kernel does not map ids through an overlay".to_owned());
    }
    Ok(())
}
