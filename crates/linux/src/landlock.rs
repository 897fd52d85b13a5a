//! Landlock: a process takes rights to files and the network away from itself (landlock(7), and the
//! kernel's Documentation/userspace-api/landlock.rst). Needs no privilege, and cannot be undone.
//!
//! It answers for opening, making, linking and removing. Changing modes, owners, times and extended
//! attributes of what can be reached some other way it does not forbid: see
//! [`confine`](crate::confine), which takes the paths away, too.

#![allow(unsafe_code)]

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// The kernel's `struct landlock_ruleset_attr` (linux/landlock.h) of ABI 6. Older kernels take it
/// while what they do not know is zero.
#[repr(C)]
struct RulesetAttr {
    handled_access_fs: u64,
    handled_access_net: u64,
    scoped: u64,
}

/// The kernel's `struct landlock_path_beneath_attr`.
#[repr(C, packed)]
struct PathBeneathAttr {
    allowed_access: u64,
    parent_fd: i32,
}

const EXECUTE: u64 = 1 << 0;
/// Everything that ABI 1 knows, from `EXECUTE` to `MAKE_SYM`.
const FS_ABI_1: u64 = (1 << 13) - 1;
/// Links and renames between directories. ABI 1 forbids them whatever a rule says.
const REFER: u64 = 1 << 13;
const TRUNCATE: u64 = 1 << 14;
const IOCTL_DEV: u64 = 1 << 15;
/// `BIND_TCP` and `CONNECT_TCP`.
const TCP: u64 = 0b11;
/// Abstract unix sockets and signals of processes outside.
const SCOPES: u64 = 0b11;

const CREATE_RULESET_VERSION: u32 = 1;
const RULE_PATH_BENEATH: u32 = 1;

/// The version of Landlock's interface; `None` where the kernel has none or it is switched off.
pub fn abi() -> Option<u32> {
    let null = std::ptr::null::<RulesetAttr>();
    // SAFETY: with this flag the kernel takes no attributes, reads no memory and makes nothing.
    let version = unsafe {
        libc::syscall(libc::SYS_landlock_create_ruleset, null, 0_usize, CREATE_RULESET_VERSION)
    };
    u32::try_from(version).ok().filter(|version| *version > 0)
}

/// From now on the calling thread, and whatever it starts, can open, make, link and remove files
/// beneath `directory` only, execute none, and use no TCP. Descriptors that are open stay usable.
/// The version that was used; `None`, and nothing is changed, where the kernel has no Landlock, or
/// only its first version, in which no file could be linked into another directory.
///
/// no_new_privs must be set, or CAP_SYS_ADMIN there.
///
/// # Errors
/// What the kernel says.
pub fn confine_beneath(directory: BorrowedFd<'_>) -> io::Result<Option<u32>> {
    let Some(abi) = abi().filter(|abi| *abi >= 2) else { return Ok(None) };
    let since = |version: u32, rights: u64| if abi >= version { rights } else { 0 };
    let files = FS_ABI_1 | REFER | since(3, TRUNCATE) | since(5, IOCTL_DEV);
    let attr = RulesetAttr {
        handled_access_fs: files,
        handled_access_net: since(4, TCP),
        scoped: since(6, SCOPES),
    };
    let ruleset = create_ruleset(&attr)?;
    let rule = PathBeneathAttr {
        allowed_access: files & !EXECUTE & !IOCTL_DEV,
        parent_fd: directory.as_raw_fd(),
    };
    // SAFETY: the kernel reads `rule`, which is the struct of this rule type and outlives the call.
    let added = unsafe {
        let rule = std::ptr::from_ref(&rule);
        let fd = ruleset.as_raw_fd();
        libc::syscall(libc::SYS_landlock_add_rule, fd, RULE_PATH_BENEATH, rule, 0_u32)
    };
    if added != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: takes a descriptor and no pointers.
    let restricted =
        unsafe { libc::syscall(libc::SYS_landlock_restrict_self, ruleset.as_raw_fd(), 0_u32) };
    if restricted == 0 { Ok(Some(abi)) } else { Err(io::Error::last_os_error()) }
}

fn create_ruleset(attr: &RulesetAttr) -> io::Result<OwnedFd> {
    // SAFETY: the kernel reads as many bytes of `attr` as are given; it outlives the call.
    let fd = unsafe {
        let attr = std::ptr::from_ref(attr);
        libc::syscall(libc::SYS_landlock_create_ruleset, attr, size_of::<RulesetAttr>(), 0_u32)
    };
    match i32::try_from(fd) {
        // SAFETY: the kernel made this descriptor for us; nobody else owns it.
        Ok(fd) if fd >= 0 => Ok(unsafe { OwnedFd::from_raw_fd(fd) }),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::os::fd::AsFd;

    use super::*;
    use crate::forked_child;

    #[test]
    fn beneath_is_free_and_outside_is_closed() {
        let Some(abi) = abi().filter(|abi| *abi >= 2) else {
            eprintln!("skipped: this kernel has no Landlock");
            return;
        };
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("in/deeper")).unwrap();
        std::fs::write(dir.path().join("out"), "x").unwrap();
        let attempts = |confined: bool| {
            let path = dir.path().to_owned();
            let outcome = forked_child::run(move || {
                if confined {
                    rustix::thread::set_no_new_privs(true).unwrap();
                    let inside = std::fs::File::open(path.join("in")).unwrap();
                    assert_eq!(confine_beneath(inside.as_fd()).unwrap(), Some(abi));
                }
                std::fs::write(path.join("in/file"), "x").unwrap();
                std::fs::hard_link(path.join("in/file"), path.join("in/deeper/link")).unwrap();
                std::fs::remove_file(path.join("in/deeper/link")).unwrap();
                let denied = [
                    std::fs::read(path.join("out")).is_err(),
                    std::fs::write(path.join("new"), "x").is_err(),
                    std::fs::hard_link(path.join("out"), path.join("in/taken")).is_err(),
                    std::fs::remove_file(path.join("out")).is_err(),
                    std::process::Command::new("/bin/true").status().is_err(),
                    abi >= 4 && TcpListener::bind("127.0.0.1:0").is_err(),
                ];
                denied.map(u8::from).to_vec()
            });
            assert!(outcome.status.success(), "{:?}", outcome.status);
            outcome.output
        };
        assert_eq!(attempts(true), [1, 1, 1, 1, 1, u8::from(abi >= 4)]);
        assert_eq!(attempts(false), [0; 6], "without it all of that works");
    }
}
