//! The user's process, from its birth to its program.

use std::convert::Infallible;
use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;

use lxcri_linux::beneath::Root;
use lxcri_linux::channel::{Channel, Message};
use lxcri_linux::clone::{Child, clone_into};
use lxcri_linux::namespace::Kind;
use lxcri_linux::payload::own_stdio;
use lxcri_linux::terminal::{self, Terminal};

use crate::task::Task;

/// The standard streams of the user's process.
#[derive(Debug)]
pub(crate) enum Streams {
    /// As they are.
    Given([OwnedFd; 3]),
    /// A socket that takes the master of a terminal to be made.
    Console(OwnedFd),
}

/// A process that waits before its program.
#[derive(Debug)]
pub(crate) struct Waiting {
    pub(crate) child: Child,
    /// [`Message::Go`] lets it run. It answers the same right before it executes its program, and the
    /// other end closes when it has.
    pub(crate) channel: Channel,
}

/// Makes the process, has it dressed, and waits until only its program is missing.
pub(crate) fn make(
    task: &Task,
    streams: Streams,
    dress: impl FnOnce(&Child) -> Result<(), String>,
) -> Result<Waiting, String> {
    let say = |what: &'static str| move |error: io::Error| format!("{what}: {error}");
    let (ours, theirs) = Channel::pair().map_err(say("make a socket pair"))?;
    let namespaces = if task.own_pids { Kind::Pid.clone_flag() } else { 0 };
    let child = clone_into(namespaces, None, || child_main(task, &streams, &theirs))
        .map_err(say("make the container's process"))?;
    drop(theirs);
    // Ours would keep pipes open after the process has ended.
    drop(streams);
    hear(&ours)?;
    dress(&child)?;
    ours.send(&Message::Go).map_err(say("talk to the container's process"))?;
    hear(&ours)?;
    Ok(Waiting { child, channel: ours })
}

/// The child is done with a step.
fn hear(channel: &Channel) -> Result<(), String> {
    match channel.receive() {
        Ok(Some(Message::Go)) => Ok(()),
        Ok(Some(Message::Failed(reason))) => Err(reason),
        other => Err(format!("the container's process ended while it was made ({other:?})")),
    }
}

fn child_main(task: &Task, streams: &Streams, channel: &Channel) -> i32 {
    let reason = match run(task, streams, channel) {
        Ok(never) => match never {},
        Err(reason) => reason,
    };
    // PID 1 is there as long as we are.
    let _ = channel.send(&Message::Failed(reason));
    255
}

fn run(task: &Task, streams: &Streams, channel: &Channel) -> Result<Infallible, String> {
    let done = || channel.send(&Message::Go).map_err(|error| format!("talk to PID 1: {error}"));
    rustix::process::setsid().map_err(|errno| format!("setsid: {errno}"))?;
    take_streams(task, streams)?;
    done()?;
    await_go(channel, "the runtime")?;
    let keep = [channel.as_fd().as_raw_fd()];
    let ready = task.payload.become_it(None, &keep).map_err(|error| error.to_string())?;
    done()?;
    await_go(channel, "start")?;
    done()?;
    Err(ready.execute().to_string())
}

fn await_go(channel: &Channel, what: &str) -> Result<(), String> {
    match channel.receive() {
        Ok(Some(Message::Go)) => Ok(()),
        other => Err(format!("wait for {what}: {other:?}")),
    }
}

fn take_streams(task: &Task, streams: &Streams) -> Result<(), String> {
    let say = |what: &'static str| move |error: io::Error| format!("{what}: {error}");
    match streams {
        Streams::Given(streams) => {
            adopt(streams).map_err(say("take on the standard streams"))?;
            own_stdio(task.payload.uid).map_err(say("own the standard streams"))
        }
        Streams::Console(console) => {
            let console = console.try_clone().map_err(say("copy the console's socket"))?;
            let terminal = Terminal { console, size: task.terminal.flatten() };
            let root = Root::open(Path::new("/")).map_err(say("open the root directory"))?;
            let slave = terminal.make(&root).map_err(|error| error.to_string())?;
            terminal::adopt(&slave, task.payload.uid).map_err(|error| error.to_string())
        }
    }
}

fn adopt([stdin, stdout, stderr]: &[OwnedFd; 3]) -> io::Result<()> {
    rustix::stdio::dup2_stdin(stdin)?;
    rustix::stdio::dup2_stdout(stdout)?;
    Ok(rustix::stdio::dup2_stderr(stderr)?)
}

/// The name that shows in lists of processes.
pub(crate) fn set_own_name(name: &str) {
    if let Ok(name) = CString::new(name) {
        // A process without its name works all the same.
        let _ = rustix::thread::set_name(&name);
    }
}
