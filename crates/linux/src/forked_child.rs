//! For tests of what changes a whole process for good: run a closure in a forked child.
#![allow(unsafe_code)]

use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitStatus;

/// What became of the child.
pub(crate) struct Outcome {
    /// Exit code 0, 101 after a panic, or the signal that ended it.
    pub(crate) status: ExitStatus,
    /// What the closure returned.
    pub(crate) output: Vec<u8>,
}

/// Runs `body` in a child of the test process and waits for it.
pub(crate) fn run(body: impl FnOnce() -> Vec<u8>) -> Outcome {
    let (reader, writer) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).unwrap();
    // SAFETY: the child runs `body` and leaves by _exit; glibc keeps its allocator usable across
    // fork, and the bodies take no locks of the test harness.
    let pid = unsafe { libc::fork() };
    assert!(pid >= 0, "fork: {}", std::io::Error::last_os_error());
    if pid == 0 {
        drop(reader);
        let code = match catch_unwind(AssertUnwindSafe(body)) {
            Ok(output) => i32::from(File::from(writer).write_all(&output).is_err()),
            Err(_) => 101,
        };
        // SAFETY: ends this process without running the destructors that belong to the parent.
        unsafe { libc::_exit(code) }
    }
    drop(writer);
    let mut output = Vec::new();
    File::from(reader).read_to_end(&mut output).unwrap();
    let mut status = 0;
    // SAFETY: waits for our own child; `status` outlives the call.
    assert_eq!(unsafe { libc::waitpid(pid, &raw mut status, 0) }, pid);
    Outcome { status: ExitStatus::from_raw(status), output }
}

/// A system call that takes one number at most, by its own number.
pub(crate) fn syscall(number: libc::c_long, argument: u64) -> std::io::Result<()> {
    // SAFETY: used with calls that take no pointers.
    match unsafe { libc::syscall(number, argument) } {
        -1 => Err(std::io::Error::last_os_error()),
        _ => Ok(()),
    }
}

/// Gives the calling process new namespaces; whether that was allowed.
pub(crate) fn unshare(flags: libc::c_int) -> bool {
    // SAFETY: takes no pointers; called in a child of its own.
    unsafe { libc::unshare(flags) == 0 }
}
