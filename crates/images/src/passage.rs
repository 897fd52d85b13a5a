//! Directories that a backend may walk through as the root of a container, who may be nobody on the host:
//! runc and crun mount from inside of the user namespace.
//!
//! What lies behind them belongs to ids inside of containers, with set-user-id bits and all. So whoever
//! else is on the host does not get in (CVE-2021-41091).

use std::fs::{DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::Path;

/// Makes a directory that everybody may walk through and nobody may list, whatever the umask; with its
/// parents. One that is there is left as it is.
pub(crate) fn make_open(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    if let Some(parent) = path.parent() {
        make_open(parent)?;
    }
    make(path, 0o711).map(drop)
}

/// Makes a directory that root may walk through, and who has this group: the host's id of a container's
/// root. One that is there gets the group.
pub(crate) fn make_guarded(path: &Path, group: u32) -> io::Result<()> {
    let is_new = make(path, 0o710)?;
    if is_new || std::fs::metadata(path)?.gid() != group {
        std::os::unix::fs::chown(path, None, Some(group))?;
    }
    Ok(())
}

/// Whether it was missing.
fn make(path: &Path, mode: u32) -> io::Result<bool> {
    match DirBuilder::new().mode(mode).create(path) {
        Ok(()) => std::fs::set_permissions(path, Permissions::from_mode(mode)).map(|()| true),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_and_groups() {
        let dir = tempfile::tempdir().unwrap();
        let mode = |path: &Path| {
            let found = std::fs::metadata(path).unwrap();
            (found.mode() & 0o7777, found.gid())
        };
        let (open, guarded) = (dir.path().join("a/b"), dir.path().join("a/b/c"));
        make_open(&open).unwrap();
        assert_eq!((mode(&open).0, mode(&dir.path().join("a")).0), (0o711, 0o711));
        make_guarded(&guarded, 100_000).unwrap();
        assert_eq!(mode(&guarded), (0o710, 100_000));
        make_guarded(&guarded, 7).unwrap();
        assert_eq!(mode(&guarded), (0o710, 7));
        std::fs::set_permissions(&open, Permissions::from_mode(0o700)).unwrap();
        make_open(&open).unwrap();
        assert_eq!(mode(&open).0, 0o700, "what somebody closed stays closed");
    }
}
