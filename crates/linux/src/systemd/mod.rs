//! systemd as the one who makes cgroups: a container's scope is asked for over D-Bus.
//!
//! A client of our own, as small as the few calls that are needed: it starts no threads (the process
//! is cloned later, with an allocator that must not be locked) and reads only the reply types that
//! these calls have. Facts: D-Bus Specification ("Message Protocol", "Authentication Protocol");
//! org.freedesktop.systemd1(5); systemd.resource-control(5); systemd "Control Group APIs and
//! Delegation"; for `slice:prefix:name` and the annotations runc's docs/systemd.md.

mod annotation;
mod bus;
mod limits;
mod manager;
mod message;
mod unit;
mod value;

use std::io;
use std::path::{Path, PathBuf};

pub use annotation::properties as properties_of_annotations;
pub use limits::{io_properties, properties as properties_of_resources};
pub use manager::Manager;
pub use message::{Argument, Malformed, Message, length as message_length};
pub use unit::Unit;
pub use value::{Property, Value};

/// Its presence means that systemd runs the machine (sd_booted(3)).
const BOOTED: &str = "/run/systemd/system";

/// Whether systemd runs this machine.
#[must_use]
pub fn is_running() -> bool {
    std::fs::symlink_metadata(BOOTED).is_ok_and(|found| found.is_dir())
}

/// Refuses where systemd does not run this machine.
///
/// # Errors
/// [`Error::NotRunning`].
pub fn require() -> Result<(), Error> {
    if is_running() { Ok(()) } else { Err(Error::NotRunning) }
}

/// What can go wrong with systemd.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Another init runs this machine.
    #[error("systemd does not run this machine (there is no {BOOTED})")]
    NotRunning,
    /// No socket of systemd or of the system bus takes us.
    #[error("cannot connect to systemd at {}: {source}", path.display())]
    Connect {
        /// The socket that was tried last.
        path: PathBuf,
        /// The kernel's answer.
        source: io::Error,
    },
    /// The other end does not want us.
    #[error("systemd's socket refuses us: {0}")]
    Authentication(String),
    /// The connection broke, or nothing came in time.
    #[error("cannot {action} systemd: {source}")]
    Talk {
        /// What was tried.
        action: &'static str,
        /// The kernel's answer.
        source: io::Error,
    },
    /// What came is no message.
    #[error("systemd's answer is malformed: {0}")]
    Malformed(#[from] Malformed),
    /// systemd said no.
    #[error("systemd refuses {call}: {message} ({name})")]
    Refused {
        /// What it was asked for.
        call: String,
        /// The error's name on the bus.
        name: String,
        /// The error's text.
        message: String,
    },
    /// A job of systemd ended otherwise than by "done".
    #[error("systemd's job for {unit} ended with {result:?}")]
    Job {
        /// The unit.
        unit: String,
        /// The result, see org.freedesktop.systemd1(5) "JobRemoved".
        result: String,
    },
    /// A path or name that no unit can have.
    #[error("{text:?}: {reason}")]
    Unit {
        /// As it was given.
        text: String,
        /// What is wrong.
        reason: &'static str,
    },
    /// An annotation that is no property.
    #[error("annotation {name}: {value:?} {reason}")]
    Annotation {
        /// The annotation.
        name: String,
        /// Its value.
        value: String,
        /// What is wrong.
        reason: &'static str,
    },
    /// A limit that the kernel would not take.
    #[error(transparent)]
    Limit(#[from] crate::cgroup::Error),
}

impl Error {
    /// What the user can do.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::NotRunning => Some("leave --systemd-cgroup away: cgroups are then made directly"),
            Self::Connect { .. } => Some("`systemctl is-system-running` tells whether it answers"),
            Self::Unit { .. } => {
                Some("with --systemd-cgroup, linux.cgroupsPath is slice:prefix:name")
            }
            _ => None,
        }
    }

    /// The name of the error on the bus, where systemd answered with one.
    fn name(&self) -> Option<&str> {
        match self {
            Self::Refused { name, .. } => Some(name),
            _ => None,
        }
    }
}

/// For `map_err` around the socket.
fn talk(action: &'static str) -> impl FnOnce(io::Error) -> Error {
    move |source| Error::Talk { action, source }
}

/// For `map_err` around connecting.
fn connect(path: &Path) -> impl FnOnce(io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::Connect { path, source }
}
