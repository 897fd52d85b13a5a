//! mount_setattr(2), which rustix does not wrap.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use super::{Attributes, Propagation};

/// `struct mount_attr` (linux/mount.h).
#[repr(C)]
#[derive(Default)]
struct MountAttr {
    attr_set: u64,
    attr_clr: u64,
    propagation: u64,
    userns_fd: u64,
}

const AT_RECURSIVE: libc::c_int = 0x8000;
/// `MOUNT_ATTR_IDMAP` (linux/mount.h).
const MOUNT_ATTR_IDMAP: u64 = 0x10_0000;

/// Changes attributes and propagation of the mount behind `mount`, of the whole tree below it
/// where `recursive`.
pub fn set_attributes(
    mount: impl AsFd,
    recursive: bool,
    attributes: Attributes,
    propagation: Option<Propagation>,
) -> io::Result<()> {
    let attr = MountAttr {
        attr_set: u64::from(attributes.set),
        attr_clr: u64::from(attributes.clear),
        propagation: propagation.map_or(0, Propagation::flag),
        userns_fd: 0,
    };
    if attr.attr_set == 0 && attr.attr_clr == 0 && attr.propagation == 0 {
        return Ok(());
    }
    set(mount.as_fd(), libc::AT_EMPTY_PATH | if recursive { AT_RECURSIVE } else { 0 }, &attr)
}

/// Shows the files of a detached mount with the ids that `user_namespace` maps theirs to
/// (mount_setattr(2), "ID-mapped mounts"). The whole tree below it where `recursive`.
///
/// # Errors
/// EINVAL where the filesystem cannot, or where the mount is no longer detached or mapped already.
pub fn set_id_map(mount: impl AsFd, recursive: bool, user_namespace: impl AsFd) -> io::Result<()> {
    let attr = MountAttr {
        attr_set: MOUNT_ATTR_IDMAP,
        userns_fd: u64::try_from(user_namespace.as_fd().as_raw_fd()).map_err(io::Error::other)?,
        ..MountAttr::default()
    };
    let recursive = if recursive { AT_RECURSIVE } else { 0 };
    set(mount.as_fd(), libc::AT_EMPTY_PATH | recursive, &attr)
}

fn set(mount: BorrowedFd<'_>, flags: libc::c_int, attr: &MountAttr) -> io::Result<()> {
    // SAFETY: the path is a NUL-terminated empty string, `attr` is a whole mount_attr of the size
    // given, and both live until the call returns.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_raw_fd(),
            c"".as_ptr(),
            flags,
            std::ptr::from_ref(attr),
            size_of::<MountAttr>(),
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
