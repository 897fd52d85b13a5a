//! `linux.maskedPaths` and `linux.readonlyPaths`: hidden and write-protected by mounts that are
//! placed by descriptor, so that no link of the image moves them elsewhere (CVE-2025-31133).

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use lxcri_core::oci::Linux;
use lxcri_linux::beneath::{Root, is_directory};
use lxcri_linux::mount::{self, Attributes, Options};
use rustix::fs::{FileType, Mode, OFlags};

use crate::error::{NativeError, step};

/// Masks and protects everything the configuration lists. Paths that do not exist need no hiding.
pub(crate) fn hide(linux: &Linux, root: &Root) -> Result<(), NativeError> {
    for path in &linux.readonly_paths {
        protect(root, path).map_err(step(format!("make {} read-only", path.display())))?;
    }
    let mut cover = Cover { null: None, empty: None };
    for path in &linux.masked_paths {
        cover.mask(root, path).map_err(step(format!("mask {}", path.display())))?;
    }
    Ok(())
}

fn existing(root: &Root, path: &Path) -> io::Result<Option<OwnedFd>> {
    match root.open_existing(path, OFlags::PATH) {
        Ok(fd) => Ok(Some(fd)),
        Err(error) if matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ENOTDIR)) => {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

fn protect(root: &Root, path: &Path) -> io::Result<()> {
    let Some(target) = existing(root, path)? else { return Ok(()) };
    let tree = mount::clone_tree(&target, "", true)?;
    mount::set_attributes(&tree, false, Attributes::read_only(), None)?;
    mount::attach(tree, target).map_err(io::Error::other)
}

/// What is put over a masked path, made once and cloned.
struct Cover {
    /// The host's /dev/null, for files.
    null: Option<OwnedFd>,
    /// An empty read-only tmpfs that is attached already, for directories.
    empty: Option<OwnedFd>,
}

impl Cover {
    fn mask(&mut self, root: &Root, path: &Path) -> io::Result<()> {
        let Some(target) = existing(root, path)? else { return Ok(()) };
        let tree = if is_directory(&target)? { self.empty()? } else { self.null()? };
        mount::attach(&tree, target).map_err(io::Error::other)?;
        if self.empty.is_none() && is_directory(&tree)? {
            self.empty = Some(tree);
        }
        Ok(())
    }

    /// A clone of the first one where there is one; a detached mount cannot be cloned before
    /// Linux 6.15, an attached one can.
    fn empty(&self) -> io::Result<OwnedFd> {
        match &self.empty {
            Some(first) => mount::clone_tree(first, "", false),
            None => {
                let options = Options::parse(["ro", "nosuid", "nodev", "noexec", "nr_blocks=1"]);
                mount::new_filesystem("tmpfs", Some("tmpfs".as_ref()), &options)
                    .map_err(io::Error::other)
            }
        }
    }

    /// The host's /dev/null, which must be just that: whatever stands in its place would be
    /// readable, and writable, inside.
    fn null(&mut self) -> io::Result<OwnedFd> {
        if self.null.is_none() {
            let fd = rustix::fs::open("/dev/null", OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
            let stat = rustix::fs::fstat(&fd)?;
            let is_null = FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice
                && stat.st_rdev == rustix::fs::makedev(1, 3);
            if !is_null {
                return Err(io::Error::other("the host's /dev/null is another file"));
            }
            self.null = Some(fd);
        }
        let null = self.null.as_ref().ok_or_else(|| io::Error::other("no /dev/null"))?;
        let tree = mount::clone_tree(null, "", false)?;
        // It is the host's own node: its mode and times must be out of the container's reach.
        mount::set_attributes(&tree, false, Attributes::cover(), None)?;
        Ok(tree)
    }
}
