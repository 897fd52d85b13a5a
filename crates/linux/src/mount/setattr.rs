//! mount_setattr(2), which rustix does not wrap.

use std::io;
use std::os::fd::{AsFd, AsRawFd};

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
    let flags = libc::AT_EMPTY_PATH | if recursive { AT_RECURSIVE } else { 0 };
    // SAFETY: the path is a NUL-terminated empty string, `attr` is a whole mount_attr of the size
    // given, and both live until the call returns.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_fd().as_raw_fd(),
            c"".as_ptr(),
            flags,
            std::ptr::from_ref(&attr),
            size_of::<MountAttr>(),
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
