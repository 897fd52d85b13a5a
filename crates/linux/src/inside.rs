//! Work that has to be done inside of a container, by us: in its namespaces and its root directory,
//! but not under its security label and its filters, which forbid what we have to do there.

use std::io;
use std::os::fd::{AsFd, AsRawFd};

use crate::channel::{Channel, Message};
use crate::clone::clone_by_way_of;
use crate::door::{Door, DoorError};
use crate::process::{self, Ended, Process};

/// Why it was not done.
#[derive(Debug, thiserror::Error)]
pub enum InsideError {
    /// The process has ended meanwhile.
    #[error("container not running")]
    NotRunning,
    /// A step on the way there.
    #[error("{step}: {source}")]
    Step {
        /// What was tried.
        step: &'static str,
        /// The kernel's answer.
        source: io::Error,
    },
    /// The work itself.
    #[error("{0}")]
    Failed(String),
}

impl From<DoorError> for InsideError {
    fn from(error: DoorError) -> Self {
        match error {
            DoorError::NotRunning => Self::NotRunning,
            DoorError::Step { step, source } => Self::Step { step, source },
        }
    }
}

fn at(step: &'static str) -> impl FnOnce(io::Error) -> InsideError {
    move |source| InsideError::Step { step, source }
}

/// Runs `work` where `process` lives, as the root of its user namespace, in a process that ends with
/// it. That is a child of ours, it stays out of the container's cgroup, and it is reaped before this
/// returns: nothing of it can hold up the container's end. It has no descriptor of the host's.
///
/// # Errors
/// [`InsideError`], with the words of `work`.
pub fn run(process: Process, work: impl FnOnce() -> Result<(), String>) -> Result<(), InsideError> {
    process::hide().map_err(at("hide from the container"))?;
    let door = Door::open(process)?;
    let (ours, theirs) = Channel::pair().map_err(at("make a socket pair"))?;
    let child = clone_by_way_of(
        0,
        None,
        |stream| door.go_inside(0, &[stream.as_raw_fd(), theirs.as_fd().as_raw_fd()]),
        || {
            let word = match work() {
                Ok(()) => Message::Go,
                Err(reason) => Message::Failed(reason),
            };
            // Our maker waits for it, unless it has died.
            i32::from(theirs.send(&word).is_err())
        },
    );
    let child = child.map_err(at("join the container"))?;
    drop(theirs);
    let said = ours.receive();
    let ended = child.fd.reap(true).map_err(at("wait for the work inside"))?;
    match said.map_err(at("listen to the work inside"))? {
        Some(Message::Go) => Ok(()),
        Some(Message::Failed(reason)) => Err(InsideError::Failed(reason)),
        _ => {
            let how = ended.as_ref().map_or_else(|| "unknown".to_owned(), Ended::to_string);
            Err(InsideError::Failed(format!("the work inside broke off ({how})")))
        }
    }
}
