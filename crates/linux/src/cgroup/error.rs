//! What can go wrong with a control group.

use std::io;
use std::path::PathBuf;

/// The result of everything in this module.
pub type Result<T> = std::result::Result<T, Error>;

/// A failure around a control group. Every variant names the file, directory or field it is about.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A line of `/proc/self/mountinfo` or `/proc/self/cgroup` is not of the documented form.
    #[error("{file}: line {line} is malformed: {reason}")]
    Malformed {
        /// The file the line is from.
        file: &'static str,
        /// The line's number, counted from 1.
        line: usize,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// No cgroup file system is mounted and visible.
    #[error("no cgroup file system is mounted")]
    NotMounted,
    /// A cgroups path that cannot be used.
    #[error("cgroup path {path:?}: {reason}")]
    Path {
        /// The path as it was given.
        path: String,
        /// Why it is refused.
        reason: &'static str,
    },
    /// Our own cgroup lies outside what the mount shows, so nothing can be placed below it.
    #[error("our own cgroup {own:?} is not visible below the mount {}", mount.display())]
    OwnHidden {
        /// Where the hierarchy is mounted.
        mount: PathBuf,
        /// Our cgroup as the kernel names it.
        own: String,
    },
    /// A limit was asked for whose controller the kernel does not offer here.
    #[error("{what}: the cgroup controller `{controller}` is not available at {}", place.display())]
    ControllerMissing {
        /// What was asked for, e.g. "memory limit".
        what: String,
        /// The controller's name.
        controller: String,
        /// The directory (or mount root) that was looked at.
        place: PathBuf,
        /// Why, as far as it is known.
        why: MissingBecause,
    },
    /// A setting that this version of cgroups, or this kernel, does not have.
    #[error("{what}: {reason}")]
    NotOffered {
        /// The setting as config.json names it.
        what: &'static str,
        /// Why it cannot be set.
        reason: &'static str,
    },
    /// A value of the configuration that no kernel would take.
    #[error("{field}: {value} {reason}")]
    Invalid {
        /// The field as config.json names it.
        field: String,
        /// The value as given.
        value: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The new limit is lower than what is used now and `checkBeforeUpdate` is set.
    #[error("memory limit {limit} is lower than the current usage {usage} of {}", path.display())]
    BelowUsage {
        /// The cgroup.
        path: PathBuf,
        /// The limit asked for, in bytes.
        limit: i64,
        /// What is used, in bytes.
        usage: u64,
    },
    /// The directory exists already and is in use.
    #[error("the cgroup {} is in use: {state}", path.display())]
    InUse {
        /// The directory.
        path: PathBuf,
        /// What is in it, e.g. "3 processes".
        state: String,
    },
    /// A system call on a cgroup file or directory failed.
    #[error("cannot {action} {}: {source}", path.display())]
    File {
        /// What was tried, e.g. "open" or "write \"max\" to".
        action: String,
        /// The file or directory.
        path: PathBuf,
        /// The kernel's answer.
        source: io::Error,
    },
    /// A control file holds something else than the kernel documents.
    #[error("{}: unexpected content {content:?}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// The line or word that is not understood.
        content: String,
    },
    /// The cgroup did not freeze in time. It has been thawed again.
    #[error("the cgroup {} did not freeze within {millis} ms and was thawed again", path.display())]
    FreezeTimeout {
        /// The directory.
        path: PathBuf,
        /// How long was waited.
        millis: u128,
    },
    /// The cgroup did not thaw in time.
    #[error("the cgroup {} did not thaw within {millis} ms", path.display())]
    ThawTimeout {
        /// The directory.
        path: PathBuf,
        /// How long was waited.
        millis: u128,
    },
    /// Processes of the cgroup outlived every attempt to signal them all.
    #[error("the cgroup {} keeps getting new processes", path.display())]
    KillUnsettled {
        /// The directory.
        path: PathBuf,
    },
    /// The directory cannot be removed because something is still in it.
    #[error("the cgroup {} is still busy: {state}", path.display())]
    Busy {
        /// The directory.
        path: PathBuf,
        /// What is in it.
        state: String,
    },
    /// A call of bpf(2) failed.
    #[error("cannot {step} the device program of {}: {source}", path.display())]
    Bpf {
        /// What was tried: "load", "attach", …
        step: &'static str,
        /// The cgroup.
        path: PathBuf,
        /// The kernel's answer.
        source: io::Error,
    },
}

/// Why a controller is missing: decides the hint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MissingBecause {
    /// No mounted hierarchy has the controller.
    NotMounted,
    /// The v2 tree does not list it in `cgroup.controllers` at its visible root.
    NotInTree,
    /// The v2 tree has it, but the parent could not hand it down because it holds processes.
    ParentHasProcesses,
    /// The v2 tree has it, but a parent does not hand it down.
    NotHandedDown,
}

impl Error {
    /// What the user can do about it, without a period, if there is something.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::ControllerMissing { why, .. } => Some(match why {
                MissingBecause::NotMounted => {
                    "mount the controller, or leave the limit out of the configuration"
                }
                MissingBecause::NotInTree => {
                    "the kernel was started without it, or it is in use by a cgroup v1 mount; \
                     /proc/cgroups tells which"
                }
                MissingBecause::ParentHasProcesses => {
                    "a cgroup that holds processes cannot hand controllers down: give an absolute \
                     cgroups path below a cgroup without processes"
                }
                MissingBecause::NotHandedDown => {
                    "enable it in cgroup.subtree_control of the parents, e.g. by delegation"
                }
            }),
            Self::NotMounted => Some("mount cgroup2 at /sys/fs/cgroup"),
            Self::OwnHidden { .. } => Some("give an absolute cgroups path"),
            Self::InUse { .. } => Some("choose another cgroups path, or delete what is in it"),
            Self::FreezeTimeout { .. } => {
                Some("a process waits uninterruptibly, or new processes keep appearing; try again")
            }
            Self::ThawTimeout { .. } => Some("a parent of the cgroup may be frozen"),
            _ => None,
        }
    }

    /// The kernel's error number, if the failure is one of a system call.
    #[must_use]
    pub fn errno(&self) -> Option<i32> {
        match self {
            Self::File { source, .. } | Self::Bpf { source, .. } => source.raw_os_error(),
            _ => None,
        }
    }
}
