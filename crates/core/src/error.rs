//! What can go wrong, as every layer above a room sees it. Each error is one line that names the
//! thing and the cause; what the user can do about it stands in [`Error::hints`].
//!
//! Clients of runc match texts. Those in `docs/reference/errors.md` are contract.

use std::path::PathBuf;

use crate::backend::Cannot;
use crate::config::{LookupError, Problems};
use crate::coverage::Finding;
use crate::id::InvalidId;
use crate::lifecycle::Status;
use crate::oci::SpecError;
use crate::routing::RoutingError;
use crate::store::StoreError;

/// An error of a room, with its own hints.
pub trait RoomError: std::error::Error + Send + Sync + 'static {
    /// What the user can do about it.
    fn hints(&self) -> Vec<String> {
        Vec::new()
    }
}

/// Any failure of a verb.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The id is no id.
    #[error(transparent)]
    Id(#[from] InvalidId),
    /// The bundle's configuration cannot be used.
    #[error(transparent)]
    Spec(#[from] SpecError),
    /// The state directory.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// No backend could be chosen.
    #[error(transparent)]
    Routing(#[from] RoutingError),
    /// The configuration file.
    #[error(transparent)]
    Config(#[from] Problems),
    /// A setting was read that the schema does not have: a defect of this program.
    #[error(transparent)]
    Setting(#[from] LookupError),
    /// The container is in a state that does not allow the verb.
    #[error("{id}: {refusal}{}", was(*status))]
    State {
        /// The container.
        id: String,
        /// The sentence clients know.
        refusal: &'static str,
        /// The state it is in.
        status: Status,
    },
    /// Fields of config.json that this backend refuses.
    #[error("{}: {} not supported by the {backend} backend: {}", path.display(), these(findings), list(findings))]
    Refused {
        /// The backend.
        backend: &'static str,
        /// The file.
        path: PathBuf,
        /// The fields.
        findings: Vec<Finding>,
    },
    /// The backend does not have the verb.
    #[error("{id}: the {backend} backend cannot {verb}: {cannot}")]
    Cannot {
        /// The container.
        id: String,
        /// The backend.
        backend: String,
        /// The verb.
        verb: &'static str,
        /// Why.
        cannot: Cannot,
    },
    /// The state file names a backend that this program does not have.
    #[error("{id}: made by the backend {backend:?}, which this program does not have")]
    UnknownBackend {
        /// The container.
        id: String,
        /// Its backend.
        backend: String,
    },
    /// A file the command line names.
    #[error("cannot {what} {}: {source}", path.display())]
    Io {
        /// A verb, such as "write pid file".
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// The kernel's answer.
        source: std::io::Error,
    },
    /// What was asked for makes no sense.
    #[error("{0}")]
    Invalid(String),
    /// A room's own error.
    #[error("{0}")]
    Room(Box<dyn RoomError>),
}

impl Error {
    /// Wraps a room's own error.
    pub fn room(error: impl RoomError) -> Self {
        Self::Room(Box::new(error))
    }
}

fn was(status: Status) -> String {
    match status {
        Status::Stopped => String::new(),
        other => format!(": {other}"),
    }
}

fn these(findings: &[Finding]) -> &'static str {
    if findings.len() == 1 { "this field is" } else { "these fields are" }
}

fn list(findings: &[Finding]) -> String {
    findings.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

impl Error {
    /// What the user can do about it, a line each.
    pub fn hints(&self) -> Vec<String> {
        match self {
            Self::Room(error) => error.hints(),
            Self::Routing(error) => vec![error.hint().to_owned()],
            Self::Config(problems) => {
                problems.iter().filter_map(|problem| problem.hint.clone()).collect()
            }
            Self::Spec(error) => spec_hints(error),
            Self::Store(error) => store_hints(error),
            Self::Refused { .. } => {
                vec!["`proxmox-lxcri backends` shows what each backend can do".to_owned()]
            }
            Self::State { id, status, .. } if *status != Status::Stopped => {
                vec![format!("`proxmox-lxcri state {id}` shows its state")]
            }
            _ => Vec::new(),
        }
    }
}

fn spec_hints(error: &SpecError) -> Vec<String> {
    match error {
        SpecError::Missing { .. } => vec![
            "name the bundle with --bundle DIR, or make one with `proxmox-lxcri spec`".to_owned(),
        ],
        _ => Vec::new(),
    }
}

fn store_hints(error: &StoreError) -> Vec<String> {
    match error {
        StoreError::Exists { id } => {
            vec![format!("choose another id, or remove it with `proxmox-lxcri delete {id}`")]
        }
        StoreError::Damaged { .. } => {
            vec![
                "`proxmox-lxcri delete --force ID` removes what is left of the container"
                    .to_owned(),
            ]
        }
        _ => Vec::new(),
    }
}
