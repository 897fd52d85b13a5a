//! The few system calls that rustix does not wrap safely for our purposes.

#![allow(unsafe_code)]

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};

/// A NULL-terminated array of pointers into `strings`, for execve(2).
fn pointers(strings: &[CString]) -> Vec<*const libc::c_char> {
    strings.iter().map(|s| s.as_ptr()).chain([std::ptr::null()]).collect()
}

/// execve(2). Returns only on failure.
pub(crate) fn exec_path(program: &CStr, argv: &[CString], envp: &[CString]) -> io::Error {
    let (argv, envp) = (pointers(argv), pointers(envp));
    // SAFETY: both arrays end with NULL and point to NUL-terminated strings that outlive the call.
    unsafe { libc::execve(program.as_ptr(), argv.as_ptr(), envp.as_ptr()) };
    io::Error::last_os_error()
}

/// Executes an open file (execveat(2)). Returns only on failure.
pub(crate) fn exec_fd(file: BorrowedFd<'_>, argv: &[CString], envp: &[CString]) -> io::Error {
    let (argv, envp) = (pointers(argv), pointers(envp));
    // SAFETY: as in `exec_path`; the empty path is NUL-terminated and the descriptor is open.
    unsafe {
        libc::syscall(
            libc::SYS_execveat,
            file.as_raw_fd(),
            c"".as_ptr(),
            argv.as_ptr(),
            envp.as_ptr(),
            libc::AT_EMPTY_PATH,
        )
    };
    io::Error::last_os_error()
}

/// Marks every descriptor from `first` on close-on-exec (close_range(2)), ours and those that a
/// careless caller left open.
pub(crate) fn close_on_exec_from(first: u32) -> io::Result<()> {
    // SAFETY: CLOSE_RANGE_CLOEXEC closes nothing now; it only sets a flag on descriptors.
    let result =
        unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, libc::CLOSE_RANGE_CLOEXEC) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Closes every descriptor from `first` on but those in `keep`. For a child that is about to be
/// seen by a container: whatever it holds, a privileged process there could take.
pub(crate) fn close_from_except(first: u32, keep: &[RawFd]) -> io::Result<()> {
    let mut keep: Vec<u32> = keep.iter().filter_map(|fd| u32::try_from(*fd).ok()).collect();
    keep.sort_unstable();
    let mut next = first;
    for fd in keep.into_iter().filter(|fd| *fd >= first) {
        close_range(next, fd.wrapping_sub(1))?;
        next = fd + 1;
    }
    close_range(next, u32::MAX)
}

/// Closes one descriptor of a cloned child.
pub(crate) fn close_in_child(fd: u32) -> io::Result<()> {
    close_range(fd, fd)
}

fn close_range(first: u32, last: u32) -> io::Result<()> {
    if first > last || last == u32::MAX && first == u32::MAX {
        return Ok(());
    }
    // SAFETY: the caller is a child that uses none of these descriptors any more and ends by
    // execve(2) or _exit(2), without dropping values that own them.
    let result = unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// personality(2): `PER_LINUX` (0) or `PER_LINUX32` (8).
pub(crate) fn set_personality(persona: u64) -> io::Result<()> {
    // SAFETY: changes how the kernel presents itself to this process, no memory is involved.
    match unsafe { libc::personality(persona) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

/// Joins or makes the session keyring `name` (keyctl(2), `KEYCTL_JOIN_SESSION_KEYRING`), so that
/// the container does not see the caller's keys. A kernel without keyrings has none to hide.
pub(crate) fn join_session_keyring(name: &str) -> io::Result<()> {
    const KEYCTL_JOIN_SESSION_KEYRING: libc::c_long = 1;
    let name = CString::new(name)?;
    // SAFETY: the name is NUL-terminated and outlives the call.
    let result =
        unsafe { libc::syscall(libc::SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, name.as_ptr()) };
    match result {
        -1 => match io::Error::last_os_error() {
            error if error.raw_os_error() == Some(libc::ENOSYS) => Ok(()),
            error => Err(error),
        },
        _ => Ok(()),
    }
}

/// Undoes what others do to signals and execve(2) keeps: a Rust program ignores SIGPIPE, a waiting
/// parent blocks some, nohup(1) and shells ignore others for what they start. A program in a container
/// starts as if nobody had.
pub(crate) fn reset_signals() -> io::Result<()> {
    /// The kernel's `struct sigaction`, all zero: SIG_DFL, no flags, nothing blocked.
    const DEFAULT: [u64; 4] = [0; 4];
    // SAFETY: DEFAULT is as large as the kernel's struct sigaction (asm-generic/signal.h) on every
    // 64-bit machine, with a mask of 8 bytes; an all-zero sigset_t is a valid empty set; the
    // pointers live until the calls return. libc's own signal(3) would refuse 32 and 33.
    unsafe {
        let mut empty: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut empty);
        let none = std::ptr::null::<u64>();
        for number in 1..=64 {
            // Fails for SIGKILL and SIGSTOP, which nobody can change.
            libc::syscall(libc::SYS_rt_sigaction, number, DEFAULT.as_ptr(), none, 8_usize);
        }
        if libc::sigprocmask(libc::SIG_SETMASK, &raw const empty, std::ptr::null_mut()) != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

/// `CLONE_NEW…` of an open namespace file (ioctl_nsfs(2), `NS_GET_NSTYPE`); `None` for any other
/// file.
pub(crate) fn namespace_type(file: BorrowedFd<'_>) -> Option<u64> {
    const NS_GET_NSTYPE: libc::Ioctl = 0xb703;
    // SAFETY: the request takes no argument and changes nothing; other files answer ENOTTY.
    let kind = unsafe { libc::ioctl(file.as_raw_fd(), NS_GET_NSTYPE) };
    u64::try_from(kind).ok()
}
