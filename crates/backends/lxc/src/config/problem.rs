//! Why there is no plan.

use std::io;
use std::path::PathBuf;

use lxcri_core::coverage::Finding;
use lxcri_core::error::RoomError;

/// Why a configuration cannot become an LXC container.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// Fields that neither LXC nor lxcri-init can honour here.
    #[error("not supported by the lxc backend: {}", list(findings))]
    Refused {
        /// The fields, as the coverage table names them, each with its reason.
        findings: Vec<Finding>,
    },
    /// A value that makes no sense, or that would not survive LXC's configuration file.
    #[error("{field}: {problem}")]
    Field {
        /// Dotted path of the field in config.json, with indexes.
        field: String,
        /// What is wrong with it.
        problem: String,
    },
    /// Something that this program, not the bundle, brings along.
    #[error("cannot write {what} into the configuration of LXC: {problem}")]
    Ours {
        /// The thing, such as `the path of the rootfs`.
        what: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// A version of liblxc that lacks what is needed.
    #[error("liblxc {found} is too old: the lxc backend needs {needed} or newer")]
    TooOld {
        /// As the library says.
        found: String,
        /// The oldest that is known to work.
        needed: &'static str,
    },
    /// A path that has to be looked at.
    #[error("{field}: cannot {what} {}: {source}", path.display())]
    Io {
        /// Dotted path of the field in config.json, with indexes.
        field: String,
        /// A verb, such as "look at".
        what: &'static str,
        /// The path.
        path: PathBuf,
        /// The kernel's answer.
        source: io::Error,
    },
}

fn list(findings: &[Finding]) -> String {
    findings.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

impl Problem {
    /// A wrong value.
    pub(crate) fn field(field: impl Into<String>, problem: impl Into<String>) -> Self {
        Self::Field { field: field.into(), problem: problem.into() }
    }
}

impl RoomError for Problem {
    fn hints(&self) -> Vec<String> {
        let hint = match self {
            Self::Refused { .. } => "`proxmox-lxcri backends` shows what each backend can do",
            Self::TooOld { .. } => {
                "install a newer liblxc (`apt install liblxc1`), or use --backend native"
            }
            Self::Io { .. } => "the path must exist on the host before the container is created",
            Self::Field { .. } | Self::Ours { .. } => return Vec::new(),
        };
        vec![hint.to_owned()]
    }
}

impl From<Problem> for lxcri_core::error::Error {
    fn from(problem: Problem) -> Self {
        Self::room(problem)
    }
}

/// A result of planning.
pub(crate) type Result<T> = std::result::Result<T, Problem>;
