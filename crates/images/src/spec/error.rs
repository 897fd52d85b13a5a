//! Why an image and the user's options make no container.

use std::io;
use std::path::{Path, PathBuf};

use lxcri_core::logging::printable;

/// A configuration that cannot be made. Text of the image stands escaped in it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SpecError {
    /// Neither the image nor the user names a program.
    #[error("no command specified")]
    NoCommand,
    /// A user by name who is not in the image (Docker's words).
    #[error("unable to find user {}: no matching entries in passwd file", printable(.0))]
    UnknownUser(String),
    /// A group by name that is not in the image (Docker's words).
    #[error("unable to find group {}: no matching entries in group file", printable(.0))]
    UnknownGroup(String),
    /// A number that is no id.
    #[error("{what} {}: uids and gids must be in range 0-2147483647", printable(id))]
    IdRange {
        /// `user` or `group`.
        what: &'static str,
        /// As written.
        id: String,
    },
    /// An id that the container's user namespace has no place for.
    #[error("{what} {id} has no place in the user namespace, which maps {size} ids")]
    Unmapped {
        /// `user` or `group`.
        what: &'static str,
        /// The id inside.
        id: u32,
        /// How many are mapped.
        size: u32,
    },
    /// One of the user's options.
    #[error("{flag}: {problem}")]
    Option {
        /// The flag, such as `--cap-add`.
        flag: &'static str,
        /// What is wrong.
        problem: String,
        /// What to do about it.
        hint: Option<String>,
    },
    /// A field of the image's configuration.
    #[error("the image's {field} {problem}")]
    Image {
        /// Its name in the document, such as `Volumes`.
        field: &'static str,
        /// What is wrong.
        problem: String,
    },
    /// A file of the image that has to be read and cannot be used.
    #[error("the image's {path}: {problem}")]
    ImageFile {
        /// Its path inside.
        path: &'static str,
        /// What is wrong.
        problem: String,
    },
    /// Two mounts at one place (Docker's words).
    #[error("duplicate mount point: {}", shown(.0))]
    Duplicate(PathBuf),
    /// The kernel refused a step.
    #[error("cannot {what} {}: {source}", shown(path))]
    Io {
        /// A verb, such as `make directory`.
        what: &'static str,
        /// The path.
        path: PathBuf,
        /// Its answer.
        source: io::Error,
    },
}

/// A path that may come from an image, as one line.
pub(super) fn shown(path: &Path) -> String {
    printable(&path.to_string_lossy()).into_owned()
}

impl SpecError {
    /// What the user can do about it, a line each.
    pub fn hints(&self) -> Vec<String> {
        match self {
            Self::NoCommand => vec!["name a program after the image, or with --entrypoint".into()],
            Self::UnknownUser(_) => {
                vec!["a user that the image does not know can be given as a number".into()]
            }
            Self::UnknownGroup(_) => {
                vec!["a group that the image does not know can be given as a number".into()]
            }
            Self::Unmapped { .. } => {
                vec!["--userns=host runs the container without a user namespace".into()]
            }
            Self::Option { hint, .. } => hint.iter().cloned().collect(),
            _ => Vec::new(),
        }
    }

    /// A wrong option without a hint.
    pub(super) fn option(flag: &'static str, problem: impl Into<String>) -> Self {
        Self::Option { flag, problem: problem.into(), hint: None }
    }

    /// A wrong option, and what to do.
    pub(super) fn hinted(
        flag: &'static str,
        problem: impl Into<String>,
        hint: impl Into<String>,
    ) -> Self {
        Self::Option { flag, problem: problem.into(), hint: Some(hint.into()) }
    }

    /// For `map_err`: a step at a path.
    pub(super) fn io<E: Into<io::Error>>(
        what: &'static str,
        path: &Path,
    ) -> impl FnOnce(E) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { what, path, source: source.into() }
    }
}
