//! Containers made of images, as far as they outlive a boot: `containers/<id>/` below the data root.
//!
//! ```text
//! container.json      which image, and what was asked for (Record); written first, removed last
//! bundle/config.json  what a backend is given
//! files/              /etc/hosts and the like
//! volumes/            volumes without a name, by number
//! ```
//!
//! The root filesystem is below `rootfs/`, made and removed together with this directory. The state
//! of what runs is `lxcri_core::store`'s, below `runtime.root`: a container of the same id below
//! another root is another container, so the record says which root it belongs to.

mod claim;
mod make;
mod record;
mod remove;
mod step;

use std::path::{Path, PathBuf};

use lxcri_core::id::ContainerId;
use lxcri_linux::tree::TreeError;

pub use claim::{Claim, Standing};
pub use make::{Made, Making, Ready};
pub use record::{Record, records};
pub use step::Step;

use crate::library::BringError;
use crate::rootfs::RootfsError;
use crate::spec::SpecError;
use crate::store::StoreError;

/// Why a container could not be made or removed.
#[derive(Debug, thiserror::Error)]
pub enum ContainerError {
    /// The id is taken.
    #[error("{id}: a container of that name exists already")]
    Exists {
        /// The id.
        id: ContainerId,
    },
    /// Another process makes or removes it.
    #[error("{id}: another process is making or removing it")]
    Busy {
        /// The id.
        id: ContainerId,
    },
    /// The record says nothing we understand.
    #[error("{} is damaged: {problem}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// The kernel refused.
    #[error("cannot {what} {}: {source}", path.display())]
    Io {
        /// A verb such as "write".
        what: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// The kernel's answer.
        source: std::io::Error,
    },
    /// A file of the container's stays.
    #[error("{}: {source}", path.display())]
    Tree {
        /// The container's directory.
        path: PathBuf,
        /// What could not be removed in it.
        source: TreeError,
    },
    /// The image's layers.
    #[error(transparent)]
    Bring(#[from] BringError),
    /// The image.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The root filesystem.
    #[error(transparent)]
    Rootfs(#[from] RootfsError),
    /// The configuration.
    #[error(transparent)]
    Spec(#[from] SpecError),
}

impl ContainerError {
    fn io<'p>(what: &'static str, path: &'p Path) -> impl FnOnce(std::io::Error) -> Self + 'p {
        move |source| Self::Io { what, path: path.to_owned(), source }
    }

    /// What the user can do about it, a line each.
    pub fn hints(&self) -> Vec<String> {
        match self {
            Self::Exists { id } => vec![
                format!("`proxmox-lxcri delete --force {id}` removes it"),
                "--name gives the new one another name".to_owned(),
            ],
            Self::Busy { .. } => vec!["try again when it has ended".to_owned()],
            Self::Damaged { path, .. } => {
                let id = path.parent().and_then(Path::file_name).unwrap_or_default();
                vec![format!("`proxmox-lxcri delete {}` removes the container", id.display())]
            }
            Self::Io { .. } | Self::Tree { .. } => Vec::new(),
            Self::Bring(error) => error.hints(),
            Self::Store(error) => error.hints(),
            Self::Rootfs(error) => error.hints(),
            Self::Spec(error) => error.hints(),
        }
    }
}
