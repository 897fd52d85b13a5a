//! One more process in a running container: joins whatever has a host-visible init, by pidfd and
//! start time, in its namespaces, its root and its cgroup. Where one of these cannot be had it
//! refuses; nothing runs half confined.

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};

use crate::cgroup::Cgroup;
use crate::channel::{Channel, Message};
use crate::clone::{Child, clone_by_way_of};
use crate::door::{Door, DoorError};
use crate::payload::{self, Payload};
use crate::process::{self, Process};
use crate::procfs::Proc;
use crate::step::Step as _;
use crate::terminal::{self, Terminal};

crate::steps! {
    /// Steps of [`exec`]. `between` is the process that joins the container, `child` the one that
    /// is made there.
    pub enum Step {
        /// The process in between has joined everything, and let go of what is the host's.
        Inside = "exec/between/inside",
        /// The child exists, and waits.
        Cloned = "exec/cloned",
        /// It is in the container's cgroups.
        Joined = "exec/joined",
        /// What is its parent's to set is set.
        Prepared = "exec/prepared",
        /// It was told to go on.
        Released = "exec/released",
        /// The child was told to go on.
        ChildReleased = "exec/child/released",
        /// The child is what it shall be, but for its program.
        ChildReady = "exec/child/ready",
    }
}

/// What to run, and where.
#[derive(Debug)]
pub struct Request<'r> {
    /// The container's init.
    pub init: Process,
    /// The cgroup to join; `None` where the container has none of its own.
    pub cgroup: Option<&'r Cgroup>,
    /// What to run.
    pub payload: &'r Payload,
    /// A terminal to make, instead of the caller's standard streams.
    pub terminal: Option<Terminal>,
}

/// Why nothing was run.
#[derive(Debug, thiserror::Error)]
pub enum ExecError {
    /// The init has ended meanwhile.
    #[error("container not running")]
    NotRunning,
    /// A step before the child existed, or of the child's maker.
    #[error("{step}: {source}")]
    Step {
        /// What was tried.
        step: &'static str,
        /// The kernel's answer.
        source: io::Error,
    },
    /// The child said so itself.
    #[error("{0}")]
    Child(String),
    /// The child died without a word.
    #[error("the process ended before it could run its program ({0})")]
    Died(String),
}

fn at<E: std::fmt::Display>(step: &'static str) -> impl FnOnce(E) -> ExecError {
    move |source| ExecError::Step { step, source: io::Error::other(source.to_string()) }
}

impl From<DoorError> for ExecError {
    fn from(error: DoorError) -> Self {
        match error {
            DoorError::NotRunning => Self::NotRunning,
            DoorError::Step { step, source } => Self::Step { step, source },
        }
    }
}

/// Runs the payload next to `init`. Returns once the program was executed: its failure to start is
/// an error here. The child is the caller's to wait for, or to orphan by ending.
///
/// The child is born inside: a process in between joins the container, which does not see it, lets
/// go of everything of the host's, and only then makes the child. A container's process with
/// CAP_SYS_PTRACE finds in it nothing but what the container has already (CVE-2016-9962).
pub fn exec(request: &Request<'_>) -> Result<Child, ExecError> {
    process::hide().map_err(at("hide from the container"))?;
    let door = Door::open(request.init)?;
    let cgroup = request.cgroup.map(|cgroup| cgroup.current_of(request.init.pid)).transpose();
    let cgroup = cgroup.map_err(at("find the container's cgroup"))?;
    let directory = match &cgroup {
        Some(cgroup) => cgroup.dir_fd().map_err(at("open the container's cgroup"))?,
        None => None,
    };
    let (ours, theirs) = Channel::pair().map_err(at("make a socket pair"))?;
    let clone = |directory: Option<&OwnedFd>| {
        clone_by_way_of(
            0,
            directory.map(AsFd::as_fd),
            |stream| go_inside(&door, request, &[stream.as_raw_fd(), theirs.as_fd().as_raw_fd()]),
            || child_main(request, &door, &theirs),
        )
    };
    let (child, is_in_v2) = match clone(directory.as_ref()) {
        // The process in between counts in the cgroup, too, which may have no room for two. A
        // process that is moved in is not held to the limit (cgroup-v2.rst, "PID Interface").
        Err(error) if error.raw_os_error() == Some(libc::EAGAIN) => (clone(None), false),
        result => (result, directory.is_some()),
    };
    let child = child.map_err(at("join the container"))?;
    Step::Cloned.reached();
    drop(theirs);
    let added = match &cgroup {
        Some(cgroup) if is_in_v2 => cgroup.add_v1(child.pid),
        Some(cgroup) => cgroup.add(child.pid),
        None => Ok(()),
    };
    let result = added
        .map_err(at("join the container's cgroup"))
        .inspect(|()| Step::Joined.reached())
        .and_then(|()| prepare(&child, request.payload))
        .inspect(|()| Step::Prepared.reached())
        .and_then(|()| ours.send(&Message::Go).map_err(at("talk to the child")))
        .inspect(|()| Step::Released.reached())
        .and_then(|()| outcome(&child, &ours));
    match result {
        Ok(()) => Ok(child),
        Err(error) => {
            end(&child);
            Err(error)
        }
    }
}

/// The process in between: joins everything and closes what is the host's.
fn go_inside(door: &Door, request: &Request<'_>, keep: &[RawFd]) -> io::Result<()> {
    let console = request.terminal.as_ref().map(|terminal| terminal.console.as_raw_fd());
    let keep: Vec<_> = keep.iter().copied().chain(console).collect();
    door.go_inside(3 + request.payload.preserve_fds, &keep)?;
    Step::Inside.reached();
    Ok(())
}

fn child_main(request: &Request<'_>, door: &Door, channel: &Channel) -> i32 {
    let text = match run(request, door, channel) {
        Ok(never) => match never {},
        Err(text) => text,
    };
    // The other end is gone only when our maker died: nobody is left to tell.
    let _ = channel.send(&Message::Failed(text));
    255
}

/// The parent's part: what the child may not or cannot do for itself.
fn prepare(child: &Child, payload: &Payload) -> Result<(), ExecError> {
    let proc = Proc::open().map_err(at("open /proc"))?;
    payload.prepare_from_parent(&proc, child.pid).map_err(at("prepare the process"))
}

/// The child's part; returns only to say what failed.
fn run(
    request: &Request<'_>,
    door: &Door,
    channel: &Channel,
) -> Result<std::convert::Infallible, String> {
    match channel.receive() {
        Ok(Some(Message::Go)) => {}
        other => return Err(format!("no word from the runtime: {other:?}")),
    }
    Step::ChildReleased.reached();
    let say = |what: &'static str| move |error: io::Error| format!("{what}: {error}");
    rustix::process::setsid().map_err(|e| say("setsid")(e.into()))?;
    match &request.terminal {
        Some(terminal) => {
            let slave = terminal.make(door.root()).map_err(|error| error.to_string())?;
            terminal::adopt(&slave, request.payload.uid).map_err(|error| error.to_string())?;
        }
        None => payload::own_stdio(request.payload.uid).map_err(say("own the standard streams"))?,
    }
    let ready = request
        .payload
        .become_it(None, &[channel.as_fd().as_raw_fd()])
        .map_err(|error| error.to_string())?;
    Step::ChildReady.reached();
    channel.send(&Message::Go).map_err(say("talk to the runtime"))?;
    Err(ready.execute().to_string())
}

/// Waits until the child has executed its program: it says that it is ready, then its end of the
/// channel closes by execve(2).
fn outcome(child: &Child, channel: &Channel) -> Result<(), ExecError> {
    let mut is_ready = false;
    loop {
        match channel.receive().map_err(at("listen to the child"))? {
            Some(Message::Failed(text)) => return Err(ExecError::Child(text)),
            Some(_) => is_ready = true,
            None if is_ready => return Ok(()),
            None => {
                let ended = child.fd.reap(true).map_err(at("wait for the child"))?;
                let how = ended.map_or_else(|| "unknown".to_owned(), |ended| ended.to_string());
                return Err(ExecError::Died(how));
            }
        }
    }
}

/// Ends a child that did not get as far as its program.
fn end(child: &Child) {
    // Both fail only where the child has ended and is reaped already.
    let _ = child.fd.signal(libc::SIGKILL);
    let _ = child.fd.reap(true);
}
