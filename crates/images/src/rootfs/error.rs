//! What can go wrong between layers and a root filesystem.

use std::io;
use std::path::PathBuf;

use lxcri_core::id::ContainerId;
use lxcri_linux::mount::MountError;
use lxcri_linux::tree::TreeError;
use lxcri_zfs::{InvalidName, ZfsError};

/// Why a provider does not work in a place.
#[derive(Debug, thiserror::Error)]
#[error("{provider} on {}: {reason}", root.display())]
pub struct Unavailable {
    /// The provider.
    pub provider: &'static str,
    /// The place.
    pub root: PathBuf,
    /// Why, without the place.
    pub reason: String,
}

/// No root filesystem.
#[derive(Debug, thiserror::Error)]
pub enum RootfsError {
    /// The container has one, or a part of one.
    #[error("{id}: a root filesystem of this container exists already")]
    Exists {
        /// The container.
        id: ContainerId,
    },
    /// The container has none.
    #[error("{id}: this container has no root filesystem")]
    NotFound {
        /// The container.
        id: ContainerId,
    },
    /// Another process is making or removing it.
    #[error("{} is in use by another process", path.display())]
    Busy {
        /// What is locked.
        path: PathBuf,
    },
    /// No provider has this name.
    #[error("{name:?} is no rootfs provider")]
    UnknownProvider {
        /// As configured.
        name: String,
    },
    /// The provider cannot be used.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
    /// `auto` found none.
    #[error("no rootfs provider works: {}", reasons.join("; "))]
    None {
        /// Why, one for each.
        reasons: Vec<String>,
    },
    /// More layers than the kernel stacks.
    #[error("{count} layers are more than an overlay can have ({max})")]
    TooManyLayers {
        /// How many there are.
        count: usize,
        /// How many there may be.
        max: usize,
    },
    /// An id map that is none.
    #[error("id mapping: {problem}")]
    Mapping {
        /// What is wrong with it.
        problem: String,
    },
    /// What was made without syncs does not outlive a boot.
    #[error("{id}: its root filesystem was made for one boot of the machine, which is over")]
    Ephemeral {
        /// The container.
        id: ContainerId,
    },
    /// A file of ours says nothing we understand.
    #[error("{} is damaged: {problem}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// The kernel refused.
    #[error("cannot {what} {}: {source}", path.display())]
    Io {
        /// A verb such as "make".
        what: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// The kernel's answer.
        source: io::Error,
    },
    /// Something could not be mounted.
    #[error("cannot mount the root filesystem at {}: {source}", path.display())]
    Mount {
        /// Where to.
        path: PathBuf,
        /// Which part of it.
        source: MountError,
    },
    /// A tree could not be copied or removed.
    #[error("{}: {source}", path.display())]
    Tree {
        /// The tree.
        path: PathBuf,
        /// The file in it.
        source: TreeError,
    },
    /// zfs(8) refused.
    #[error(transparent)]
    Zfs(#[from] ZfsError),
    /// A name that ZFS does not take.
    #[error(transparent)]
    DatasetName(#[from] InvalidName),
    /// A dataset that should be ours is not.
    #[error("the dataset {dataset} was made by somebody else: it stays")]
    Stranger {
        /// The dataset.
        dataset: String,
    },
}

impl RootfsError {
    /// What the user can do.
    pub fn hints(&self) -> Vec<String> {
        let hint = match self {
            Self::Unavailable(unavailable) => return unavailable.hints(),
            Self::Zfs(error) => return error.hints(),
            Self::UnknownProvider { .. } => {
                "rootfs.provider is one of auto, overlay, btrfs, zfs, copy"
            }
            Self::TooManyLayers { .. } => "set rootfs.provider = \"copy\"",
            Self::Ephemeral { .. } => "remove the container and make it again",
            Self::Tree { source, .. } if source.source.raw_os_error() == Some(libc_eoverflow()) => {
                "the image has owners outside of the container's ids: map more of them"
            }
            Self::Io { source, .. } if source.kind() == io::ErrorKind::StorageFull => {
                "make room, or remove what is not in use: image prune"
            }
            _ => return Vec::new(),
        };
        vec![hint.to_owned()]
    }
}

impl Unavailable {
    /// What the user can do.
    pub fn hints(&self) -> Vec<String> {
        match self.provider {
            "copy" => Vec::new(),
            _ => vec!["set rootfs.provider = \"copy\", which works on every filesystem".to_owned()],
        }
    }
}

fn libc_eoverflow() -> i32 {
    rustix::io::Errno::OVERFLOW.raw_os_error()
}
