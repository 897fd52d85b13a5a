//! The user's process, from its birth to its program.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;

use lxcri_linux::beneath::Root;
use lxcri_linux::channel::{Channel, Message};
use lxcri_linux::clone::{Child, clone_into};
use lxcri_linux::mount::{self, Options};
use lxcri_linux::namespace::Kind;
use lxcri_linux::payload::{Ready, own_stdio};
use lxcri_linux::terminal::{self, Terminal};
use rustix::fs::OFlags;

use crate::task::Task;

/// Where the outer procfs is, and the inner one goes.
const PROC: &str = "/proc";

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

/// Makes the process and waits until only its program is missing.
pub(crate) fn make(task: &Task, streams: Streams) -> Result<Waiting, String> {
    let say = |what: &'static str| move |error: io::Error| format!("{what}: {error}");
    let (ours, theirs) = Channel::pair().map_err(say("make a socket pair"))?;
    let namespaces = if task.own_pids { Kind::Pid.clone_flag() } else { 0 };
    let child = clone_into(namespaces, None, || child_main(task, &streams, &theirs))
        .map_err(say("make the container's process"))?;
    drop(theirs);
    // Ours would keep pipes open after the process has ended.
    drop(streams);
    match ours.receive().map_err(say("listen to the container's process"))? {
        Some(Message::Go) => Ok(Waiting { child, channel: ours }),
        Some(Message::Failed(reason)) => Err(reason),
        other => Err(format!("the container's process ended while it was made ({other:?})")),
    }
}

fn child_main(task: &Task, streams: &Streams, channel: &Channel) -> i32 {
    let reason = match prepare(task, streams, channel) {
        Err(reason) => reason,
        Ok(ready) => match await_start(channel) {
            Err(error) => format!("wait for start: {error}"),
            Ok(()) => ready.execute().to_string(),
        },
    };
    // PID 1 is there as long as we are.
    let _ = channel.send(&Message::Failed(reason));
    255
}

fn await_start(channel: &Channel) -> io::Result<()> {
    channel.send(&Message::Go)?;
    match channel.receive()? {
        Some(Message::Go) => channel.send(&Message::Go),
        _ => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

/// Becomes the user's process, all but its program.
fn prepare<'t>(task: &'t Task, streams: &Streams, channel: &Channel) -> Result<Ready<'t>, String> {
    let say = |what: &'static str| move |error: io::Error| format!("{what}: {error}");
    rustix::process::setsid().map_err(|errno| say("setsid")(errno.into()))?;
    if task.own_pids {
        replace_proc(task.proc_options.as_deref()).map_err(say("mount the container's proc"))?;
    }
    match streams {
        Streams::Given(streams) => {
            adopt(streams).map_err(say("take on the standard streams"))?;
            own_stdio(task.payload.uid).map_err(say("own the standard streams"))?;
        }
        Streams::Console(console) => {
            let console = console.try_clone().map_err(say("copy the console's socket"))?;
            let terminal = Terminal { console, size: task.terminal.flatten() };
            let root = Root::open(Path::new("/")).map_err(say("open the root directory"))?;
            let slave = terminal.make(&root).map_err(|error| error.to_string())?;
            terminal::adopt(&slave, task.payload.uid).map_err(|error| error.to_string())?;
        }
    }
    let keep = [channel.as_fd().as_raw_fd()];
    task.payload.become_it(None, &keep).map_err(|error| error.to_string())
}

fn adopt([stdin, stdout, stderr]: &[OwnedFd; 3]) -> io::Result<()> {
    rustix::stdio::dup2_stdin(stdin)?;
    rustix::stdio::dup2_stdout(stdout)?;
    Ok(rustix::stdio::dup2_stderr(stderr)?)
}

/// Puts a procfs of this process's pid namespace in the place of the outer one.
///
/// The new one is made before the old one goes: in a user namespace the kernel gives a procfs only to
/// those who see one already (fs/namespace.c, `mount_too_revealing`). And the old one does go, with
/// all that is stacked there: below the new one somebody with CAP_SYS_ADMIN could dig it up.
fn replace_proc(options: Option<&[String]>) -> io::Result<()> {
    let mount = options.map(|options| {
        let options = Options::parse(options.iter().map(String::as_str));
        mount::new_filesystem("proc", None, &options)
    });
    let mount = mount.transpose().map_err(io::Error::other)?;
    mount::detach_all(Path::new(PROC))?;
    let Some(mount) = mount else { return Ok(()) };
    let root = Root::open(Path::new("/"))?;
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW;
    let target = root.open_existing(Path::new(PROC), flags)?;
    mount::attach(&mount, &target).map_err(io::Error::other)
}

/// The name that shows in lists of processes.
pub(crate) fn set_own_name(name: &str) {
    if let Ok(name) = CString::new(name) {
        // A process without its name works all the same.
        let _ = rustix::thread::set_name(&name);
    }
}
