//! A user namespace that nobody is in, only for its id maps: what idmapped mounts are made with.

#![allow(unsafe_code)]

use std::ffi::c_void;
use std::io;
use std::os::fd::OwnedFd;

use rustix::fs::{Mode, OFlags};

use super::{IdRange, write_id_maps};

/// Longest text that a map file takes: less than a page (user_namespaces(7)).
const MAP_TEXT_MAX: usize = 4095;
/// Most lines of a map file (user_namespaces(7)).
const MAP_LINES_MAX: usize = 340;

/// 16 KiB, aligned as every architecture wants stacks.
#[repr(C, align(16))]
struct Stack([u8; 16 * 1024]);

/// A new user namespace with these maps of users and of groups, by descriptor.
///
/// The namespace is that of a child that has ended already: until it is reaped, its credentials can
/// be looked at and its maps be written. So there is nobody to wait for, and this works in a process
/// with threads.
///
/// # Errors
/// EINVAL for ranges that are none, overlap or are too many, ENOSPC where `user.max_user_namespaces` is
/// reached, EPERM where user namespaces are forbidden.
pub fn mapped_user_namespace(uids: &[IdRange], gids: &[IdRange]) -> io::Result<OwnedFd> {
    if !fits(uids) || !fits(gids) {
        return Err(io::Error::from_raw_os_error(libc::EINVAL));
    }
    let child = Ended::new()?;
    write_id_maps(child.0, uids, gids, false)?;
    let path = format!("/proc/{}/ns/user", child.0);
    Ok(rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?)
}

/// Whether a map file takes it.
fn fits(ranges: &[IdRange]) -> bool {
    let lengths = 1..=MAP_LINES_MAX;
    lengths.contains(&ranges.len()) && super::map_text(ranges).len() <= MAP_TEXT_MAX
}

/// A child in a user namespace of its own that has ended; reaped when dropped.
struct Ended(libc::pid_t);

impl Ended {
    fn new() -> io::Result<Self> {
        let mut stack = Box::new(Stack([0; 16 * 1024]));
        let top = std::ptr::from_mut(stack.as_mut()).wrapping_add(1).cast::<c_void>();
        // No exit signal: neither a handler nor a parent that ignores SIGCHLD, and so reaps at once,
        // takes notice of this child (wait(2), `__WCLONE`).
        let flags = libc::CLONE_NEWUSER | libc::CLONE_VM | libc::CLONE_VFORK;
        // SAFETY: the child runs `end` alone, on a stack of its own that lives until the call
        // returns: with CLONE_VFORK that is after the child's end. It touches none of our memory.
        let pid = unsafe { libc::clone(end, top, flags, std::ptr::null_mut()) };
        if pid == -1 { Err(io::Error::last_os_error()) } else { Ok(Self(pid)) }
    }
}

/// The whole program of the child.
extern "C" fn end(_: *mut c_void) -> libc::c_int {
    0
}

impl Drop for Ended {
    fn drop(&mut self) {
        // SAFETY: no status is asked for.
        while unsafe { libc::waitpid(self.0, std::ptr::null_mut(), libc::__WALL) } == -1
            && io::Error::last_os_error().kind() == io::ErrorKind::Interrupted
        {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::namespace::{Handle, Kind};

    fn range(inside: u32, outside: u32, size: u32) -> IdRange {
        IdRange { inside, outside, size }
    }

    #[test]
    fn is_a_user_namespace_of_its_own() {
        let uids = [range(0, 100_000, 65536), range(70_000, 5, 1)];
        let fd = mapped_user_namespace(&uids, &[range(0, 7, 1)]).unwrap();
        let handle = Handle { kind: Kind::User, fd };
        handle.check_kind().unwrap();
        assert!(!handle.is_own().unwrap());
    }

    #[test]
    fn nobody_stays_behind() {
        for _ in 0..50 {
            let ranges = [range(0, 100_000, 65536)];
            mapped_user_namespace(&ranges, &ranges).unwrap();
        }
        let mut status = 0;
        // SAFETY: `status` outlives the call.
        let pid = unsafe { libc::waitpid(-1, &raw mut status, libc::__WCLONE | libc::WNOHANG) };
        assert!(pid <= 0, "{pid} was not reaped");
    }

    #[test]
    fn maps_that_are_none() {
        let many: Vec<_> = (0..400).map(|id| range(id, id, 1)).collect();
        let good = &[range(0, 0, 1)][..];
        for ranges in [&[][..], &[range(0, 0, 0)], &[range(0, 5, 2), range(1, 9, 2)], &many] {
            for (uids, gids) in [(ranges, good), (good, ranges)] {
                let error = mapped_user_namespace(uids, gids).unwrap_err();
                assert_eq!(error.raw_os_error(), Some(libc::EINVAL), "{ranges:?}");
            }
        }
    }
}
