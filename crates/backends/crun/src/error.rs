//! What can go wrong between us and the program.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use lxcri_core::error::RoomError;
use lxcri_linux::process::Process;

/// An error of this room.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CrunError {
    /// No program is there.
    #[error("no OCI runtime program found: {tried} not in $PATH")]
    NotFound {
        /// The names that were looked for.
        tried: String,
    },
    /// The configured one cannot be used.
    #[error("crun.path: {path:?} {because}")]
    Unusable {
        /// As configured.
        path: String,
        /// The end of the sentence.
        because: String,
    },
    /// It cannot be started.
    #[error("cannot start {}: {source}", program.display())]
    Spawn {
        /// Its path.
        program: PathBuf,
        /// The kernel's answer.
        source: io::Error,
    },
    /// It said no. Clients match its texts, so they are carried through as they are.
    #[error("{program}: {text}")]
    Failed {
        /// Its file name.
        program: String,
        /// Its words.
        text: String,
    },
    /// It does not answer.
    #[error("{program} {verb} did not end within {} s", patience.as_secs())]
    TimedOut {
        /// Its file name.
        program: String,
        /// What it was asked.
        verb: String,
        /// How long it had.
        patience: Duration,
    },
    /// It said something we cannot read.
    #[error("cannot understand what {program} {verb} says: {problem}")]
    Answer {
        /// Its file name.
        program: String,
        /// What it was asked.
        verb: &'static str,
        /// What is wrong with the answer.
        problem: String,
    },
    /// The bundle's configuration is not the one that was checked.
    #[error("{}: was changed while the container was being made", path.display())]
    Changed {
        /// The file.
        path: PathBuf,
    },
    /// A container that was deleted goes on.
    #[error("{process} of the container does not end after SIGKILL")]
    StillRuns {
        /// Its init.
        process: Process,
    },
    /// The container has no cgroup of its own.
    #[error("{id}: the container has no cgroup of its own to read usage from")]
    NoCgroup {
        /// The container.
        id: String,
    },
    /// Its cgroup cannot be read.
    #[error(transparent)]
    Cgroup(#[from] lxcri_linux::cgroup::Error),
    /// The kernel's word on a process.
    #[error(transparent)]
    Proc(#[from] lxcri_linux::procfs::Error),
    /// The terminal's master did not reach its receiver.
    #[error("cannot hand over the terminal: {0}")]
    Terminal(#[from] lxcri_linux::pty::Error),
    /// A file or process of ours.
    #[error("cannot {what} {}: {source}", path.display())]
    Io {
        /// A verb such as "read".
        what: &'static str,
        /// The thing.
        path: PathBuf,
        /// The kernel's answer.
        source: io::Error,
    },
}

impl CrunError {
    /// For `map_err` at a system call.
    pub(crate) fn io<E: Into<io::Error>>(
        what: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(E) -> Self {
        let path = path.into();
        move |source| Self::Io { what, path, source: source.into() }
    }
}

impl RoomError for CrunError {
    fn hints(&self) -> Vec<String> {
        let hint = match self {
            Self::NotFound { .. } => {
                "install one (`apt install crun`), or name it in the \
                                      configuration: path = \"/usr/bin/runc\" in section [crun]"
            }
            Self::Unusable { .. } => "name a program on $PATH or give its absolute path",
            Self::Failed { text, .. } if text.contains("hybrid mode not supported") => {
                "crun needs cgroup v2 or v1 alone; runc or the native backend run on a hybrid tree"
            }
            _ => return Vec::new(),
        };
        vec![hint.to_owned()]
    }
}

impl From<CrunError> for lxcri_core::error::Error {
    fn from(error: CrunError) -> Self {
        Self::room(error)
    }
}
