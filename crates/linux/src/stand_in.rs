//! A process that stands in for another one: it lives in a container's namespaces and cgroup, is a
//! child of ours, and so goes to whoever adopts our orphans. Who reads its cgroup and namespaces
//! reads the container's.

#![allow(unsafe_code)]

use std::convert::Infallible;
use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};

use rustix::process::{Resource, Rlimit};

use crate::capability::{self, Set};
use crate::cgroup::Cgroup;
use crate::channel::{Channel, Message};
use crate::clone::{Child, clone_by_way_of};
use crate::door::{Door, DoorError};
use crate::process::{self, Process};

/// The descriptor at which the stand-in's program finds its line; it has no other.
pub const LINE: RawFd = 3;

/// What to leave, and where.
#[derive(Debug)]
pub struct Request<'r> {
    /// The container's init.
    pub init: Process,
    /// The cgroup to be in; `None` where the container has none of its own.
    pub cgroup: Option<&'r Cgroup>,
    /// The program: an open file that nobody inside can write to ([`crate::seal::read_only`]).
    pub program: BorrowedFd<'r>,
    /// Its arguments, its name first. It has no environment.
    pub arguments: &'r [CString],
    /// A socket of which the program gets a copy at [`LINE`].
    pub line: BorrowedFd<'r>,
}

/// Why there is none.
#[derive(Debug, thiserror::Error)]
pub enum StandInError {
    /// The init has ended meanwhile.
    #[error("container not running")]
    NotRunning,
    /// The container lives in our own pid namespace. A stand-in there would hand that to whoever
    /// shares the process namespace of the pid it is told.
    #[error("the container has no pid namespace of its own to leave a stand-in in")]
    HostPids,
    /// A step of ours.
    #[error("{step}: {source}")]
    Step {
        /// What was tried.
        step: &'static str,
        /// The kernel's answer.
        source: io::Error,
    },
    /// The stand-in said so itself, or died without a word.
    #[error("the stand-in could not start: {0}")]
    Child(String),
}

impl From<DoorError> for StandInError {
    fn from(error: DoorError) -> Self {
        match error {
            DoorError::NotRunning => Self::NotRunning,
            DoorError::Step { step, source } => Self::Step { step, source },
        }
    }
}

fn at<E: std::fmt::Display>(step: &'static str) -> impl FnOnce(E) -> StandInError {
    move |source| StandInError::Step { step, source: io::Error::other(source.to_string()) }
}

/// Leaves a stand-in next to `init`. Returns once its program was executed.
///
/// It is born inside, by way of a process in between ([`crate::exec`] says why), without
/// capabilities and without a way to get any. We are its parent and must reap it, or end so that
/// somebody else does: the init of a pid namespace cannot end before its last process was reaped.
/// For the same reason we never enter the container's cgroup ourselves: who is frozen or killed
/// with it cannot reap.
///
/// # Errors
/// [`StandInError`]; nothing is left then.
pub fn leave(request: &Request<'_>) -> Result<Child, StandInError> {
    process::hide().map_err(at("hide from the container"))?;
    let door = Door::open(request.init)?;
    if !door.has_pid_namespace() {
        return Err(StandInError::HostPids);
    }
    let cgroup = request.cgroup.map(|cgroup| cgroup.current_of(request.init.pid)).transpose();
    let cgroup = cgroup.map_err(at("find the container's cgroup"))?;
    let directory = match &cgroup {
        Some(cgroup) => cgroup.dir_fd().map_err(at("open the container's cgroup"))?,
        None => None,
    };
    let (ours, theirs) = Channel::pair().map_err(at("make a socket pair"))?;
    let [channel, program, line] =
        [theirs.as_fd(), request.program, request.line].map(|fd| fd.as_raw_fd());
    let clone = |directory: Option<BorrowedFd<'_>>| {
        clone_by_way_of(
            0,
            directory,
            |stream| door.go_inside(0, &[stream.as_raw_fd(), channel, program, line]),
            || child_main(request, &theirs),
        )
    };
    let (child, is_in_v2) = match clone(directory.as_ref().map(AsFd::as_fd)) {
        // As in `exec`: the limit may leave no room for the process in between.
        Err(error) if error.raw_os_error() == Some(libc::EAGAIN) => (clone(None), false),
        result => (result, directory.is_some()),
    };
    let child = child.map_err(at("join the container"))?;
    drop(theirs);
    let added = match &cgroup {
        Some(cgroup) if is_in_v2 => cgroup.add_v1(child.pid),
        Some(cgroup) => cgroup.add(child.pid),
        None => Ok(()),
    };
    let result = added
        .map_err(at("join the container's cgroup"))
        .and_then(|()| ours.send(&Message::Go).map_err(at("talk to the stand-in")))
        .and_then(|()| outcome(&child, &ours));
    match result {
        Ok(()) => Ok(child),
        Err(error) => {
            // Both fail only where it has ended and is reaped already.
            let _ = child.fd.signal(libc::SIGKILL);
            let _ = child.fd.reap(true);
            Err(error)
        }
    }
}

/// Waits until the child's end of the channel closes by execve(2).
fn outcome(child: &Child, channel: &Channel) -> Result<(), StandInError> {
    match channel.receive().map_err(at("listen to the stand-in"))? {
        Some(Message::Failed(text)) => Err(StandInError::Child(text)),
        Some(other) => Err(StandInError::Child(format!("it said {other:?}"))),
        None => match child.fd.reap(false).map_err(at("look at the stand-in"))? {
            None => Ok(()),
            Some(ended) => Err(StandInError::Child(ended.to_string())),
        },
    }
}

fn child_main(request: &Request<'_>, channel: &Channel) -> i32 {
    let error = match run(request, channel) {
        Ok(never) => match never {},
        Err(error) => error,
    };
    // The other end is gone only when our maker died: nobody is left to tell.
    let _ = channel.send(&Message::Failed(error.to_string()));
    255
}

/// Gives up everything, and executes the program.
fn run(request: &Request<'_>, channel: &Channel) -> io::Result<Infallible> {
    match channel.receive()? {
        Some(Message::Go) => {}
        other => return Err(io::Error::other(format!("no word from the runtime: {other:?}"))),
    }
    crate::syscall::reset_signals()?;
    rustix::process::setsid()?;
    // It dies by the signal of another process, whose core is written already.
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    rustix::process::setrlimit(Resource::Core, none)?;
    let program = rustix::io::fcntl_dupfd_cloexec(request.program, LINE + 1)?;
    let line = rustix::io::fcntl_dupfd_cloexec(request.line, LINE + 1)?;
    let channel_copy = rustix::io::fcntl_dupfd_cloexec(channel.as_fd(), LINE + 1)?;
    // SAFETY: whatever had this number is the child's own copy of something that it does not use any
    // more, or was copied just now. Nothing here is dropped: the child ends by execve(2) or _exit(2).
    if unsafe { libc::dup2(line.as_raw_fd(), LINE) } == -1 {
        return Err(io::Error::last_os_error());
    }
    let chained = |error: capability::Error| io::Error::other(crate::chain(&error));
    capability::drop_bounding(Set::EMPTY).map_err(chained)?;
    capability::set_ambient(Set::EMPTY).map_err(chained)?;
    capability::set_thread(Set::EMPTY, Set::EMPTY, Set::EMPTY).map_err(chained)?;
    rustix::thread::set_no_new_privs(true)?;
    let error = crate::syscall::exec_fd(program.as_fd(), request.arguments, &[]);
    // The channel itself may have been at LINE.
    let text = format!("Fexecute its program: {error}");
    // As in `child_main`: there may be nobody left to tell.
    let _ = rustix::io::write(&channel_copy, text.as_bytes());
    crate::clone::end(255)
}
