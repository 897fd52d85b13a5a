//! Making a child with clone3(2): every new namespace and the cgroup in one call.

#![allow(unsafe_code)]

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::net::UnixStream;

use crate::process::{Ended, PidFd};
use crate::procfs::Proc;
use crate::pty;

/// The kernel's `struct clone_args` up to `cgroup` (linux/sched.h, Linux 5.7).
#[repr(C)]
#[derive(Default)]
struct CloneArgs {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
    set_tid: u64,
    set_tid_size: u64,
    cgroup: u64,
}

/// `CLONE_INTO_CGROUP` (linux/sched.h).
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// A child of ours.
#[derive(Debug)]
pub struct Child {
    /// Its pid in our pid namespace.
    pub pid: i32,
    /// The same, by descriptor.
    pub fd: PidFd,
}

/// Clones this process into `namespaces` (`CLONE_NEW…` flags) and, where given, a v2 cgroup, and
/// runs `child` there. `child` never returns: its value is the exit code.
///
/// Must be called while this process has one thread: the child is a copy of it like after fork(2),
/// and a lock that another thread held would stay locked for ever. That is checked.
pub fn clone_into(
    namespaces: u64,
    cgroup: Option<BorrowedFd<'_>>,
    child: impl FnOnce() -> i32,
) -> io::Result<Child> {
    let own = rustix::process::getpid().as_raw_nonzero().get();
    let stat = Proc::open().and_then(|proc| proc.stat(own)).map_err(io::Error::other)?;
    if stat.threads != 1 {
        return Err(io::Error::other("cannot clone a process that has more than one thread"));
    }
    fork(namespaces, cgroup, libc::SIGCHLD as u64, child)
}

/// Clones like [`clone_into`], by way of a process in between that lives just long enough to run
/// `before`: what that one joins, this process could not leave again, and what it closes, the child
/// never has. The child is our child all the same (`CLONE_PARENT`). `between_in` is the v2 cgroup
/// of the process in between, and by inheritance of the child.
///
/// An error of `before` comes back as its errno.
pub fn clone_by_way_of(
    namespaces: u64,
    between_in: Option<BorrowedFd<'_>>,
    before: impl FnOnce(BorrowedFd<'_>) -> io::Result<()>,
    child: impl FnOnce() -> i32,
) -> io::Result<Child> {
    let (ours, theirs) = UnixStream::pair()?;
    let between = clone_into(0, between_in, || {
        let made = before(theirs.as_fd())
            .and_then(|()| fork(namespaces | libc::CLONE_PARENT as u64, None, 0, child));
        match made.map(|made| pty::send_fd_over(theirs.as_fd(), made.fd.as_fd(), "child")) {
            Ok(Ok(())) => 0,
            Ok(Err(_)) => libc::EIO,
            Err(error) => error.raw_os_error().unwrap_or(libc::EIO),
        }
    })?;
    drop(theirs);
    let received = pty::receive_fd(ours.as_fd());
    match between.fd.reap(true)? {
        Some(Ended::Exited(0)) => {}
        Some(Ended::Exited(errno)) => return Err(io::Error::from_raw_os_error(errno)),
        Some(ended) => {
            let text = format!("the process in between ended before it made the child ({ended})");
            return Err(io::Error::other(text));
        }
        None => return Err(io::Error::other("nothing is known of the process in between")),
    }
    let (fd, _) = received.map_err(|error| io::Error::other(crate::chain(&error)))?;
    let fd = PidFd::from_owned(fd);
    let pid = fd.pid()?;
    Ok(Child { pid, fd })
}

/// clone3(2) as fork(2). With `exit_signal` 0 the child must be a sibling.
fn fork(
    flags: u64,
    cgroup: Option<BorrowedFd<'_>>,
    exit_signal: u64,
    child: impl FnOnce() -> i32,
) -> io::Result<Child> {
    let mut pidfd: libc::c_int = -1;
    let mut args = CloneArgs {
        flags: flags | libc::CLONE_PIDFD as u64,
        pidfd: std::ptr::from_mut(&mut pidfd) as u64,
        exit_signal,
        ..CloneArgs::default()
    };
    if let Some(cgroup) = cgroup {
        args.flags |= CLONE_INTO_CGROUP;
        args.cgroup = cgroup.as_raw_fd() as u64;
    }
    // SAFETY: without CLONE_VM this is fork(2): the child has a copy of our memory, our one
    // thread, and its own stack. `args` and `pidfd` live until the call returns.
    let pid = unsafe {
        libc::syscall(libc::SYS_clone3, std::ptr::from_ref(&args), size_of::<CloneArgs>())
    };
    match pid {
        -1 => Err(io::Error::last_os_error()),
        0 => {
            let code = child();
            end(code)
        }
        pid => {
            // SAFETY: the kernel wrote a new descriptor that nobody else owns.
            let fd = PidFd::from_owned(unsafe { OwnedFd::from_raw_fd(pidfd) });
            let pid = i32::try_from(pid).map_err(io::Error::other)?;
            Ok(Child { pid, fd })
        }
    }
}

/// Ends a cloned child at once: destructors and exit handlers belong to the original, and the
/// descriptors that values here seem to own may be closed already.
pub fn end(code: i32) -> ! {
    // SAFETY: _exit(2) has no conditions.
    unsafe { libc::_exit(code) }
}

#[cfg(test)]
mod tests {
    #[test]
    fn refuses_a_process_with_threads() {
        // The test runner has at least two threads.
        let error = super::clone_into(0, None, || 0).unwrap_err();
        assert!(error.to_string().contains("more than one thread"));
    }
}
