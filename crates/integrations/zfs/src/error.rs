//! What can go wrong with zfs(8).

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// A command that did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum ZfsError {
    /// zfs(8) is not there, or cannot be started.
    #[error("cannot run {}: {source}", program.display())]
    NoProgram {
        /// As configured.
        program: PathBuf,
        /// The kernel's answer.
        source: io::Error,
    },
    /// zfs(8) says no.
    #[error("zfs {command}: {}", text.trim_end())]
    Refused {
        /// Its arguments.
        command: String,
        /// What kind of no.
        refusal: Refusal,
        /// In its own words, on one line.
        text: String,
    },
    /// It took too long and was killed.
    #[error("zfs {command}: no end within {} s", patience.as_secs())]
    Silent {
        /// Its arguments.
        command: String,
        /// How long that was.
        patience: Duration,
    },
    /// It printed what is not understood.
    #[error("zfs {command}: its output is not understood: {problem}")]
    Output {
        /// Its arguments.
        command: String,
        /// What is wrong.
        problem: String,
    },
}

/// Kinds of refusals that a caller may want to tell from one another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// No such pool, filesystem or snapshot.
    NotFound,
    /// The name is taken.
    Exists,
    /// It is mounted somewhere, or held.
    Busy,
    /// Others were cloned from it.
    HasClones,
    /// Others lie below it.
    HasChildren,
    /// We may not.
    Permission,
    /// The kernel has no ZFS.
    NoModule,
    /// Anything else.
    Other,
}

impl Refusal {
    /// By the words of zfs(8) in the C locale (lib/libzfs: libzfs_util.c, libzfs_dataset.c).
    pub(crate) fn of(text: &str) -> Self {
        // The order matters: "cannot destroy …: filesystem has dependent clones" names both.
        const WORDS: [(&str, Refusal); 12] = [
            ("has dependent clones", Refusal::HasClones),
            ("snapshot has clones", Refusal::HasClones),
            ("has children", Refusal::HasChildren),
            ("dataset is busy", Refusal::Busy),
            ("pool or dataset is busy", Refusal::Busy),
            ("it's currently mounted", Refusal::Busy),
            ("dataset does not exist", Refusal::NotFound),
            ("could not find any snapshots", Refusal::NotFound),
            ("no such pool", Refusal::NotFound),
            ("already exists", Refusal::Exists),
            ("ermission denied", Refusal::Permission),
            ("modules are not loaded", Refusal::NoModule),
        ];
        let found = WORDS.iter().find(|(words, _)| text.contains(words));
        found.map_or(Self::Other, |(_, refusal)| *refusal)
    }
}

impl ZfsError {
    /// Whether zfs(8) said no in this way.
    pub fn is(&self, wanted: Refusal) -> bool {
        matches!(self, Self::Refused { refusal, .. } if *refusal == wanted)
    }

    /// What the user can do.
    pub fn hints(&self) -> Vec<String> {
        let hint = match self {
            Self::NoProgram { .. } => "install zfsutils-linux",
            Self::Refused { refusal: Refusal::NoModule, .. } => {
                "load the kernel module: modprobe zfs"
            }
            Self::Refused { refusal: Refusal::Busy, .. } => {
                "see who still has it mounted: grep zfs /proc/*/mountinfo"
            }
            Self::Silent { .. } => "see whether the pool is well: zpool status",
            _ => return Vec::new(),
        };
        vec![hint.to_owned()]
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}
