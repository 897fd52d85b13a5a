//! Starting a program that must not begin before it is known who it is: what it makes has to be
//! found again, also when this process is killed at the wrong moment.

#![allow(unsafe_code)]

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};

use rustix::net::{AddressFamily, SocketFlags, SocketType};

use crate::process::Process;

/// What the child is told.
const GO: &[u8] = b"G";
const END: &[u8] = b"E";

/// Starts `command`, whose program begins once `note` has returned. Where that fails, or where this
/// process dies before, it never does.
///
/// `note` runs in a thread, because the standard library returns from spawning only when the program
/// was executed.
pub fn spawn_noted(
    mut command: Command,
    note: impl FnOnce(Process) -> io::Result<()> + Send,
) -> io::Result<Child> {
    let kind = SocketType::SEQPACKET;
    let (ours, theirs) =
        rustix::net::socketpair(AddressFamily::UNIX, kind, SocketFlags::CLOEXEC, None)?;
    let (ours_in_child, theirs_in_child) = (ours.as_raw_fd(), theirs.as_raw_fd());
    // SAFETY: between fork and exec only close(2), getpid(2), write(2) and read(2) are called, on the
    // child's copies of descriptors that stay open here until it was spawned; nothing is allocated.
    unsafe { command.pre_exec(move || await_word(ours_in_child, theirs_in_child)) };
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new();
        let noting = thread.spawn_scoped(scope, || answer(ours.as_fd(), note))?;
        let child = command.spawn();
        // Nobody may have asked: then the thread learns it this way.
        rustix::io::write(&theirs, &0_i32.to_ne_bytes())?;
        let noted = noting.join().map_err(|_| io::Error::other("noting the process panicked"))?;
        noted.and(child)
    })
}

/// The thread: learns the pid, has it noted and gives the word.
fn answer(ours: BorrowedFd<'_>, note: impl FnOnce(Process) -> io::Result<()>) -> io::Result<()> {
    let mut pid = [0; 4];
    rustix::io::retry_on_intr(|| rustix::io::read(ours, &mut pid))?;
    let pid = i32::from_ne_bytes(pid);
    if pid == 0 {
        return Ok(());
    }
    let noted = Process::of(pid).and_then(note);
    rustix::io::write(ours, if noted.is_ok() { GO } else { END })?;
    noted
}

/// The child, before its program.
fn await_word(ours: RawFd, theirs: RawFd) -> io::Result<()> {
    // SAFETY: the child's own copy, which nothing uses after this; held open, it would keep the line
    // open after its parent's death.
    unsafe { rustix::io::close(ours) };
    // SAFETY: the child's own copy, open until execve(2).
    let theirs = unsafe { BorrowedFd::borrow_raw(theirs) };
    let pid = rustix::process::getpid().as_raw_nonzero().get();
    rustix::io::write(theirs, &pid.to_ne_bytes())?;
    let mut word = [0; 1];
    match rustix::io::retry_on_intr(|| rustix::io::read(theirs, &mut word))? {
        1 if word == *GO => Ok(()),
        _ => Err(io::Error::from_raw_os_error(libc::ECANCELED)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_begins_when_its_process_is_noted() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("begun");
        let command = || {
            let mut command = Command::new("touch");
            command.arg(&file);
            command
        };
        let refused = spawn_noted(command(), |_| Err(io::Error::other("no room for a note")));
        assert_eq!(refused.unwrap_err().to_string(), "no room for a note");
        assert!(!file.exists());
        let mut noted = None;
        let note = |process| {
            std::thread::sleep(std::time::Duration::from_millis(20));
            assert!(!file.exists(), "it began before");
            noted = Some(process);
            Ok(())
        };
        let mut child = spawn_noted(command(), note).unwrap();
        assert!(child.wait().unwrap().success() && file.exists());
        assert_eq!(noted.unwrap().pid, child.id().cast_signed());
    }

    #[test]
    fn a_program_that_is_missing_is_an_error() {
        let missing = spawn_noted(Command::new("/nonexistent/program"), |_| Ok(()));
        assert_eq!(missing.unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
