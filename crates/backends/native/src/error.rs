//! What can go wrong in this room.

use lxcri_core::Error;
use lxcri_core::error::RoomError;
use lxcri_linux::chain;

/// A failure of the built-in executor.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NativeError {
    /// A step of ours and its cause.
    #[error("{step}: {cause}")]
    Step {
        /// What was tried.
        step: String,
        /// Why it failed, with all causes.
        cause: String,
    },
    /// A control group or systemd, with the hint it brings.
    #[error("{cause}")]
    Hinted {
        /// Why it failed, with all causes.
        cause: String,
        /// What the user can do.
        hint: Option<&'static str>,
    },
    /// A field of config.json that cannot be meant, or done.
    #[error("{field}: {problem}")]
    Field {
        /// Dotted path.
        field: String,
        /// What is wrong.
        problem: String,
    },
    /// The container's init said why it cannot go on.
    #[error("{0}")]
    Init(String),
    /// A hook failed.
    #[error("{list} hook {path}: {problem}")]
    Hook {
        /// Its list in `hooks`.
        list: &'static str,
        /// The program.
        path: String,
        /// What happened.
        problem: String,
    },
    /// The container has ended meanwhile.
    #[error("{0}: container not running")]
    NotRunning(String),
}

impl RoomError for NativeError {
    fn hints(&self) -> Vec<String> {
        match self {
            Self::Hinted { hint: Some(hint), .. } => vec![(*hint).to_owned()],
            _ => Vec::new(),
        }
    }
}

impl From<NativeError> for Error {
    fn from(error: NativeError) -> Self {
        Self::room(error)
    }
}

impl From<lxcri_linux::cgroup::Error> for NativeError {
    fn from(error: lxcri_linux::cgroup::Error) -> Self {
        Self::Hinted { hint: error.hint(), cause: chain(&error) }
    }
}

impl From<lxcri_linux::systemd::Error> for NativeError {
    fn from(error: lxcri_linux::systemd::Error) -> Self {
        Self::Hinted { hint: error.hint(), cause: chain(&error) }
    }
}

/// For `map_err`: names the step that failed.
pub(crate) fn step<E: std::error::Error>(step: impl Into<String>) -> impl FnOnce(E) -> NativeError {
    let step = step.into();
    move |error| NativeError::Step { step, cause: chain(&error) }
}

/// For `map_err`: names the field that is wrong.
pub(crate) fn field<E: std::error::Error>(
    name: impl Into<String>,
) -> impl FnOnce(E) -> NativeError {
    let name = name.into();
    move |error| NativeError::Field { field: name, problem: chain(&error) }
}
