//! PID 1 of the container: says that it is there, makes the user's process when it is told of it, and
//! gives up every right that it then needs no more.

use std::os::fd::{AsFd, OwnedFd};

use lxcri_linux::capability::{self, Set};
use lxcri_linux::clone::Child;
use lxcri_linux::process;
use lxcri_linux::signal::ForwardedSignals;
use rustix::process::PidfdFlags;

use crate::line::{Frame, Line};
use crate::message::Message;
use crate::payload::{self, Streams};
use crate::task::Task;
use crate::watch::{StandIn, Watch};

/// The descriptor with the line to the runtime that makes the container. The monitor gives it this
/// number; liblxc leaves descriptors that are not close-on-exec to the container's init.
pub const MAKER: i32 = 3;

/// The descriptor with the line to the monitor.
pub const MONITOR: i32 = 4;

/// `CAP_KILL` (linux/capability.h): the user's process may have another user.
const CAP_KILL: u32 = 5;

/// What a container of ours exits with when it was never one.
const FAILED: i32 = 255;

/// The life of PID 1. Gives its exit code: that of the user's process, 128 + n for signal n.
pub(crate) fn main() -> i32 {
    let lines = process::take_inherited(MAKER).and_then(|maker| {
        let monitor = process::take_inherited(MONITOR)?;
        Ok((Line::from_socket(maker), Line::from_socket(monitor)))
    });
    // Without lines nobody can be told, either.
    let Ok((maker, monitor)) = lines else { return FAILED };
    payload::set_own_name("lxcri-init");
    match prepare(&maker, monitor) {
        Ok(watch) => {
            drop(maker);
            watch.run().code()
        }
        Err(reason) => {
            // The runtime may be what has ended.
            let _ = maker.send(&Message::Failed(reason), &[]);
            FAILED
        }
    }
}

/// Up to the point where only `start` is missing.
fn prepare(maker: &Line, monitor: Line) -> Result<Watch, String> {
    let say = |what: &'static str| move |error: std::io::Error| format!("{what}: {error}");
    process::hide().map_err(say("hide from the container"))?;
    let signals = ForwardedSignals::new().map_err(say("take over signals"))?;
    let own = rustix::process::pidfd_open(rustix::process::getpid(), PidfdFlags::empty())
        .map_err(|errno| say("open our own process")(errno.into()))?;
    maker.send(&Message::Ready, &[own.as_fd()]).map_err(say("talk to the runtime"))?;
    drop(own);
    let (task, handed) = receive_task(maker)?;
    let waiting = payload::make(&task, handed.streams, |child| await_dressed(maker, child))?;
    give_up_rights(&task)?;
    maker.send(&Message::Created, &[]).map_err(say("talk to the runtime"))?;
    Watch::new(waiting, signals, handed.control, handed.stand_in, monitor)
        .map_err(say("listen for start"))
}

/// Shows the user's process to the runtime, which prepares what is not ours to prepare.
fn await_dressed(maker: &Line, child: &Child) -> Result<(), String> {
    let told = maker.send(&Message::Born, &[child.fd.as_fd()]);
    told.map_err(|error| format!("talk to the runtime: {error}"))?;
    match maker.receive().map_err(|error| error.to_string())? {
        Some(Frame { message: Message::Dressed, .. }) => Ok(()),
        _ => Err("the runtime did not prepare the container's process".to_owned()),
    }
}

/// The descriptors that came with a task, by what they are for.
#[derive(Debug)]
struct Handed {
    control: OwnedFd,
    stand_in: Option<StandIn>,
    streams: Streams,
}

fn receive_task(maker: &Line) -> Result<(Task, Handed), String> {
    match maker.receive().map_err(|error| error.to_string())? {
        Some(Frame { message: Message::Task(task), descriptors }) => {
            let handed = sort(&task, descriptors);
            let handed = handed.ok_or("the task came with the wrong number of descriptors")?;
            Ok((*task, handed))
        }
        Some(frame) => Err(format!("a task was expected, not {:?}", frame.message)),
        None => Err("the runtime ended before it said what to run".to_owned()),
    }
}

fn sort(task: &Task, descriptors: Vec<OwnedFd>) -> Option<Handed> {
    let mut descriptors = descriptors.into_iter();
    let control = descriptors.next()?;
    let stand_in = if task.has_stand_in {
        Some(StandIn::new(descriptors.next()?, descriptors.next()?))
    } else {
        None
    };
    let streams = match task.terminal {
        Some(_) => Streams::Console(descriptors.next()?),
        None => Streams::Given([descriptors.next()?, descriptors.next()?, descriptors.next()?]),
    };
    descriptors.next().is_none().then_some(Handed { control, stand_in, streams })
}

/// Nothing is made here any more: what is left to do takes CAP_KILL. The bounding set becomes that of
/// the user's process, because lxc-attach(1) takes its own from there.
fn give_up_rights(task: &Task) -> Result<(), String> {
    let say =
        |error: capability::Error| format!("give up capabilities: {}", lxcri_linux::chain(&error));
    let permitted = capability::current().map_err(say)?.permitted;
    capability::drop_bounding(task.payload.capabilities.bounding).map_err(say)?;
    let kept = permitted.intersection(Set::from_bits(1 << CAP_KILL));
    capability::set_ambient(Set::EMPTY).map_err(say)?;
    capability::set_thread(kept, kept, Set::EMPTY).map_err(say)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_comes_with_exactly_its_descriptors() {
        let mut task = crate::task::tests::full();
        let null = || OwnedFd::from(std::fs::File::open("/dev/null").unwrap());
        let mut fits = |terminal: bool, has_stand_in: bool, count: usize| {
            task.terminal = terminal.then_some(None);
            task.has_stand_in = has_stand_in;
            sort(&task, (0..count).map(|_| null()).collect()).is_some()
        };
        for count in 0..9 {
            assert_eq!(fits(false, false, count), count == 4, "{count}");
            assert_eq!(fits(false, true, count), count == 6, "{count}");
            assert_eq!(fits(true, false, count), count == 2, "{count}");
            assert_eq!(fits(true, true, count), count == 4, "{count}");
        }
    }
}
