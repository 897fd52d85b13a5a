//! The way into a running container: everything is opened from outside, by pidfd and start time,
//! before anything is joined, so that nothing is resolved inside.

use std::io;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::path::Path;

use rustix::thread::ThreadNameSpaceType;

use crate::beneath::Root;
use crate::mount;
use crate::namespace::{self, Kind};
use crate::process::{PidFd, Process};
use crate::syscall::close_from_except;

/// Why there is no way in.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DoorError {
    /// The init has ended meanwhile.
    #[error("container not running")]
    NotRunning,
    /// Something could not be opened.
    #[error("{step}: {source}")]
    Step {
        /// What was tried.
        step: &'static str,
        /// The kernel's answer.
        source: io::Error,
    },
}

fn at<E: std::fmt::Display>(step: &'static str) -> impl FnOnce(E) -> DoorError {
    move |source| DoorError::Step { step, source: io::Error::other(source.to_string()) }
}

/// An open way into the container of one init.
#[derive(Debug)]
pub(crate) struct Door {
    init: PidFd,
    namespaces: ThreadNameSpaceType,
    root: Root,
}

impl Door {
    /// Opens what the container is made of while paths still mean the host's.
    pub(crate) fn open(init: Process) -> Result<Self, DoorError> {
        let fd = init.open().map_err(at("open the container's init"))?;
        let fd = fd.ok_or(DoorError::NotRunning)?;
        let mut namespaces = ThreadNameSpaceType::empty();
        for kind in Kind::ALL {
            let ours = match kind.own() {
                Ok(ours) => ours,
                // This kernel is built without that kind.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(at("read our own namespaces")(error)),
            };
            let theirs = kind.of(init.pid).map_err(at("read the container's namespaces"))?;
            if theirs != ours {
                namespaces |= kind.join_flag();
            }
        }
        let root = Root::open(Path::new(&format!("/proc/{}/root", init.pid)))
            .map_err(at("open the container's root"))?;
        // Read after the descriptor was opened: all of the above was about this very process.
        if !init.is_alive() {
            return Err(DoorError::NotRunning);
        }
        Ok(Self { init: fd, namespaces, root })
    }

    /// The container's root directory.
    pub(crate) fn root(&self) -> &Root {
        &self.root
    }

    /// Whether children of a process that went inside live in another pid namespace than ours.
    pub(crate) fn has_pid_namespace(&self) -> bool {
        self.namespaces.contains(ThreadNameSpaceType::PROCESS_ID)
    }

    /// Joins everything and closes what is the host's: all descriptors from `first` on but `keep`
    /// and the root. For a process in between, which the container does not see.
    pub(crate) fn go_inside(&self, first: u32, keep: &[RawFd]) -> io::Result<()> {
        // The log may be a file of the host's; its descriptor is closed below.
        log::set_max_level(log::LevelFilter::Off);
        if !self.namespaces.is_empty() {
            rustix::thread::move_into_thread_name_spaces(self.init.as_fd(), self.namespaces)?;
        }
        mount::enter(&self.root).map_err(mount::MountError::into_io)?;
        if self.namespaces.contains(ThreadNameSpaceType::USER) {
            namespace::become_root()?;
        }
        let keep: Vec<_> = keep.iter().copied().chain([self.root.as_fd().as_raw_fd()]).collect();
        close_from_except(first, &keep)
    }
}
