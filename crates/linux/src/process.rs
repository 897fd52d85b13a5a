//! Processes by identity: a pid alone is reused, a pid with its start time is not.

#![allow(unsafe_code)]

use std::fmt;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, WaitIdOptions, WaitIdStatus};
use serde::{Deserialize, Serialize};

use crate::procfs::{Error as ProcError, Proc, Stat};

/// A process that stays the same one: pid and start time (clock ticks since boot, field 22 of
/// `/proc/PID/stat`, proc_pid_stat(5)).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Process {
    /// Pid in our pid namespace.
    pub pid: i32,
    /// Start time in clock ticks since boot.
    pub start_time: u64,
}

impl Process {
    /// The process that has `pid` now.
    pub fn of(pid: i32) -> io::Result<Self> {
        let stat = stat(pid).map_err(io::Error::other)?;
        Ok(Self { pid, start_time: stat.start_time_ticks })
    }

    /// Whether it still runs. A zombie does not: it only waits for its parent.
    pub fn is_alive(&self) -> bool {
        stat(self.pid)
            .is_ok_and(|stat| stat.start_time_ticks == self.start_time && !stat.has_ended())
    }

    /// A descriptor that means this process and no later one with its pid; `None` where it has
    /// ended.
    pub fn open(&self) -> io::Result<Option<PidFd>> {
        let Some(pid) = Pid::from_raw(self.pid) else { return Ok(None) };
        let fd = match rustix::process::pidfd_open(pid, PidfdFlags::empty()) {
            Ok(fd) => fd,
            // INVAL: before Linux 6.15 also for a number that only lives on as that of a session or
            // process group, whose leader has ended.
            Err(rustix::io::Errno::SRCH | rustix::io::Errno::INVAL) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        // The start time is read after the descriptor exists: what it says is about that process.
        Ok(self.is_alive().then_some(PidFd(fd)))
    }
}

fn stat(pid: i32) -> Result<Stat, ProcError> {
    Proc::open()?.stat(pid)
}

impl fmt::Display for Process {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "pid {}", self.pid)
    }
}

/// A process by descriptor (pidfd_open(2)).
#[derive(Debug)]
pub struct PidFd(OwnedFd);

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// By exit(2) with this code.
    Exited(i32),
    /// By this signal.
    Killed(i32),
}

impl Ended {
    /// The code a shell reports: the exit code, or 128 + signal.
    pub fn code(self) -> i32 {
        match self {
            Self::Exited(code) => code,
            Self::Killed(signal) => 128 + signal,
        }
    }
}

impl fmt::Display for Ended {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exited(code) => write!(out, "exit code {code}"),
            Self::Killed(signal) => write!(out, "signal {signal}"),
        }
    }
}

impl PidFd {
    /// Takes over a descriptor that clone3(2) or another process gave. One that is no pidfd answers
    /// every call with an error.
    pub fn from_owned(fd: OwnedFd) -> Self {
        Self(fd)
    }

    /// The pid in our pid namespace (proc_pid_fdinfo(5), `Pid:`).
    ///
    /// # Errors
    /// Where the process is reaped, or not in our pid namespace, or the descriptor is no pidfd.
    pub fn pid(&self) -> io::Result<i32> {
        let info = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", self.0.as_raw_fd()))?;
        let field = info.lines().find_map(|line| line.strip_prefix("Pid:"));
        let pid = field.and_then(|field| field.trim().parse().ok()).filter(|pid| *pid > 0);
        pid.ok_or_else(|| io::Error::other("the process is not in our pid namespace"))
    }

    /// Sends a signal by number. `Ok(false)` where the process has ended.
    pub fn signal(&self, number: i32) -> io::Result<bool> {
        let Some(signal) = raw_signal(number) else {
            return Err(io::Error::from_raw_os_error(libc::EINVAL));
        };
        match rustix::process::pidfd_send_signal(&self.0, signal) {
            Ok(()) => Ok(true),
            Err(rustix::io::Errno::SRCH) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Waits until the process has ended, at most `patience`; says whether it has.
    pub fn wait_for_end(&self, patience: Option<Duration>) -> io::Result<bool> {
        let timeout = patience.map(|time| Timespec {
            tv_sec: i64::try_from(time.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: i64::from(time.subsec_nanos()),
        });
        let mut fds = [PollFd::new(&self.0, PollFlags::IN)];
        loop {
            match poll(&mut fds, timeout.as_ref()) {
                Ok(ready) => return Ok(ready > 0),
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Opens a child of ours by its pid. It may have ended: until it is reaped the pid is its own.
    pub fn of_child(pid: i32) -> io::Result<Self> {
        let pid = Pid::from_raw(pid).ok_or_else(|| io::Error::from_raw_os_error(libc::ESRCH))?;
        Ok(Self(rustix::process::pidfd_open(pid, PidfdFlags::empty())?))
    }

    /// Reaps a child of ours and says how it ended. `None` while it runs, with `block` never.
    pub fn reap(&self, block: bool) -> io::Result<Option<Ended>> {
        let mut options = WaitIdOptions::EXITED;
        if !block {
            options |= WaitIdOptions::NOHANG;
        }
        loop {
            let id = rustix::process::WaitId::PidFd(self.0.as_fd());
            match rustix::process::waitid(id, options) {
                Ok(status) => return Ok(status.and_then(|status| ended(&status))),
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

impl AsFd for PidFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

fn ended(status: &WaitIdStatus) -> Option<Ended> {
    status
        .exit_status()
        .map(Ended::Exited)
        .or_else(|| status.terminating_signal().map(Ended::Killed))
}

/// A signal number as rustix's type; real-time signals, which glibc owns in part, too.
fn raw_signal(number: i32) -> Option<Signal> {
    // SAFETY: a signal of another process is only sent, never installed here; the kernel checks
    // the number, and 1..=64 is its whole range.
    (1..=64).contains(&number).then(|| unsafe { Signal::from_raw_unchecked(number) })
}

/// Takes over a descriptor that this process was started with, by its number, and marks it
/// close-on-exec. Once per number, before anything else is opened.
///
/// # Errors
/// EBADF where it was started without.
pub fn take_inherited(number: i32) -> io::Result<OwnedFd> {
    // SAFETY: F_GETFD only reads a flag, also of a number that is not open.
    if number < 0 || unsafe { libc::fcntl(number, libc::F_GETFD) } == -1 {
        return Err(io::Error::from_raw_os_error(libc::EBADF));
    }
    // SAFETY: it is open, and by the contract above nobody else in this process owns it.
    let fd = unsafe { OwnedFd::from_raw_fd(number) };
    rustix::io::fcntl_setfd(&fd, rustix::io::FdFlags::CLOEXEC)?;
    Ok(fd)
}

/// Ends this process exactly as another one ended: with its exit code, or by the same signal, without
/// a core dump. Not for PID 1 of a pid namespace, which its own signals do not reach
/// (pid_namespaces(7)): it ends with 128 + signal.
pub fn end_like(ended: Ended) -> ! {
    if let Ended::Killed(number) = ended {
        // Nothing can be done where one of these fails, but what follows.
        let _ = hide();
        let none = rustix::process::Rlimit { current: Some(0), maximum: Some(0) };
        let _ = rustix::process::setrlimit(rustix::process::Resource::Core, none);
        let _ = crate::syscall::reset_signals();
        if let Some(signal) = raw_signal(number) {
            let _ = rustix::process::kill_process(rustix::process::getpid(), signal);
        }
    }
    crate::clone::end(ended.code())
}

/// Orphans of our descendants become our children (`PR_SET_CHILD_SUBREAPER`, prctl(2)), so that
/// a foreground `run` can wait for an init whose maker has ended.
pub fn become_subreaper() -> io::Result<()> {
    Ok(rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?)
}

/// How many descriptors after 2 we were started with, without a gap: what `--preserve-fds` may ask
/// for. Only true before this process opens anything itself.
pub fn inherited_descriptors() -> u32 {
    let is_open =
        |fd: &u32| rustix::fs::readlink(format!("/proc/self/fd/{fd}"), Vec::new()).is_ok();
    u32::try_from((3..).take_while(is_open).count()).unwrap_or(u32::MAX)
}

/// Marks every descriptor from `first` on close-on-exec, also those that a careless caller left
/// open, so that the programs we start get no more than they should.
pub fn close_on_exec_from(first: u32) -> io::Result<()> {
    crate::syscall::close_on_exec_from(first)
}

/// Has `command` start with no signal blocked and SIGPIPE at its default, whatever this process does
/// with its own: what a program inherits blocked stays so in the containers that it makes.
pub fn reset_signals_of(command: &mut std::process::Command) {
    use std::os::unix::process::CommandExt;
    // SAFETY: between fork and exec only sigprocmask(2) and signal(2) are called, which are
    // async-signal-safe; nothing is allocated, also not for the error.
    unsafe { command.pre_exec(crate::syscall::reset_signals) };
}

/// Hides this process from the container it is about to join: no ptrace(2), no `/proc/PID/exe`
/// (CVE-2016-9962). execve(2) undoes it.
pub fn hide() -> io::Result<()> {
    use rustix::process::DumpableBehavior::NotDumpable;
    Ok(rustix::process::set_dumpable_behavior(NotDumpable)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sleeper() -> (std::process::Child, Process) {
        let child = std::process::Command::new("sleep").arg("100").spawn().unwrap();
        let process = Process::of(child.id().cast_signed()).unwrap();
        (child, process)
    }

    #[test]
    fn a_pid_with_another_start_time_is_a_stranger() {
        let (mut child, process) = sleeper();
        assert!(process.is_alive());
        let stranger = Process { start_time: process.start_time + 1, ..process };
        assert!(!stranger.is_alive());
        assert!(stranger.open().unwrap().is_none());
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(!process.is_alive());
    }

    #[test]
    fn a_child_that_has_ended_can_still_be_opened() {
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let pid = child.id().cast_signed();
        let fd = PidFd::of_child(pid).unwrap();
        assert!(fd.wait_for_end(None).unwrap());
        let late = PidFd::of_child(pid).unwrap();
        assert_eq!(late.reap(true).unwrap(), Some(Ended::Exited(0)));
        assert!(child.wait().is_err() && PidFd::of_child(pid).is_err(), "it was reaped");
        assert!(PidFd::of_child(0).is_err());
    }

    #[test]
    fn signals_reach_it_and_its_end_is_seen() {
        let (_child, process) = sleeper();
        let fd = process.open().unwrap().unwrap();
        assert!(!fd.wait_for_end(Some(Duration::ZERO)).unwrap());
        assert!(fd.signal(15).unwrap());
        assert!(fd.wait_for_end(None).unwrap());
        assert!(!process.is_alive(), "a zombie is no running process");
        assert_eq!(fd.reap(true).unwrap(), Some(Ended::Killed(15)));
        assert!(!fd.signal(9).unwrap());
        assert!(fd.signal(0).is_err() && fd.signal(65).is_err());
    }

    #[test]
    fn a_command_starts_with_no_signal_blocked() {
        use crate::signal::ForwardedSignals;
        let blocked = |reset: bool| {
            let mut command = std::process::Command::new("grep");
            command.args(["SigBlk", "/proc/self/status"]);
            if reset {
                reset_signals_of(&mut command);
            }
            String::from_utf8(command.output().unwrap().stdout).unwrap()
        };
        let signals = ForwardedSignals::new().unwrap();
        assert_ne!(blocked(false), "SigBlk:\t0000000000000000\n");
        assert_eq!(blocked(true), "SigBlk:\t0000000000000000\n");
        drop(signals);
    }

    #[test]
    fn one_ends_like_another() {
        use std::os::unix::process::ExitStatusExt;
        for ended in [Ended::Exited(0), Ended::Exited(7), Ended::Killed(9), Ended::Killed(11)] {
            let status = crate::forked_child::run(|| end_like(ended)).status;
            let wanted = match ended {
                Ended::Exited(code) => code << 8,
                Ended::Killed(signal) => signal,
            };
            assert_eq!(status.into_raw(), wanted, "{ended}: with no core dump");
        }
    }

    #[test]
    fn what_was_not_inherited_cannot_be_taken() {
        assert!(take_inherited(-1).is_err());
        assert!(take_inherited(1_000_000).is_err());
    }

    #[test]
    fn codes_are_a_shells() {
        assert_eq!(Ended::Exited(7).code(), 7);
        assert_eq!(Ended::Killed(9).code(), 137);
    }
}
