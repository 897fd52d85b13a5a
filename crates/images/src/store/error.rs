//! What can go wrong in the store.

use std::io;
use std::path::{Path, PathBuf};

use crate::digest::Digest;
use crate::document::DocumentError;

/// A failure of the store. One line; what the user can do stands in [`StoreError::hints`].
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The kernel refused.
    #[error("cannot {what} {}: {source}", path.display())]
    Io {
        /// A verb such as "write".
        what: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// The kernel's answer.
        source: io::Error,
    },
    /// The file system or a quota is full.
    #[error("cannot write {}: no space left", path.display())]
    NoSpace {
        /// The file.
        path: PathBuf,
    },
    /// The directory has other things in it.
    #[error("{} is no image store: it has {found:?} and no oci-layout", path.display())]
    NotAStore {
        /// The directory.
        path: PathBuf,
        /// One of the things.
        found: String,
    },
    /// The layout is of a version we do not know.
    #[error("{}: version {found:?} of the image layout, not \"1.0.0\"", path.display())]
    Version {
        /// The file that says so.
        path: PathBuf,
        /// What it says.
        found: String,
    },
    /// A file of ours says nothing we understand.
    #[error("{} is damaged: {problem}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// The blob is not there.
    #[error("blob {digest} is not in the store")]
    Missing {
        /// The blob.
        digest: Digest,
    },
    /// The content is not what its digest says.
    #[error("wrong content: {wanted} was wanted, {got} came")]
    WrongDigest {
        /// What it should be.
        wanted: Digest,
        /// What it is.
        got: Digest,
        /// Whether some bytes were there before; then a second try begins from nothing and may
        /// well succeed.
        resumed: bool,
    },
    /// The content is not as long as its descriptor says.
    #[error("blob {digest} has {got} bytes, not the {wanted} of its descriptor")]
    WrongSize {
        /// The blob.
        digest: Digest,
        /// The descriptor's.
        wanted: u64,
        /// The content's; where more came than was wanted, what was counted so far.
        got: u64,
    },
    /// A document is larger than any may be.
    #[error(
        "document {digest} has {size} bytes; at most {} are read",
        crate::document::MAX_DOCUMENT
    )]
    TooLarge {
        /// The document.
        digest: Digest,
        /// Its bytes.
        size: u64,
    },
    /// A document cannot be used.
    #[error(transparent)]
    Document(#[from] DocumentError),
    /// Only manifests have names.
    #[error("{digest} is no image manifest but {media_type:?}")]
    NotAnImage {
        /// The blob.
        digest: Digest,
        /// What its descriptor says.
        media_type: String,
    },
    /// Nothing is called so.
    #[error("no image {text:?}")]
    NotFound {
        /// What was asked for.
        text: String,
    },
    /// Several images are called so.
    #[error("{text:?} stands for {} images: {}", matches.len(), matches.join(", "))]
    Ambiguous {
        /// What was asked for.
        text: String,
        /// Which images, by name or id, at most ten.
        matches: Vec<String>,
    },
    /// A text that cannot be a name of an image.
    #[error("{name:?} cannot be the name of an image: {problem}")]
    InvalidName {
        /// The text, at most its first 160 characters.
        name: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The index has no room for more.
    #[error("{} has {} entries, and no more fit", path.display(), super::MAX_IMAGES)]
    Crowded {
        /// The index.
        path: PathBuf,
    },
    /// Containers are made of it.
    #[error("image {image} is used by a container")]
    InUse {
        /// Its name or id.
        image: String,
    },
    /// It was asked for by id, and has more than one name.
    #[error("image {image} has several names: {}", names.join(", "))]
    SeveralNames {
        /// Its id.
        image: String,
        /// Its names.
        names: Vec<String>,
    },
    /// Nobody could say what containers use, so nothing was removed.
    #[error("cannot tell which images containers use: {source}")]
    UsersUnknown {
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl StoreError {
    /// What the user can do about it.
    pub fn hints(&self) -> Vec<String> {
        let hint = match self {
            Self::NoSpace { .. } => {
                "`proxmox-lxcri image prune` removes what no container and no name needs"
            }
            Self::Missing { .. } | Self::WrongSize { .. } => {
                "`proxmox-lxcri image verify` lists what is missing or damaged; pull the image again"
            }
            Self::WrongDigest { resumed: true, .. } => {
                "the damaged beginning was removed: try again"
            }
            Self::NotFound { .. } => "`proxmox-lxcri image list` shows all images",
            Self::Ambiguous { .. } => "give a full name, or more of the id",
            Self::InUse { .. } => {
                "remove the container first; --force removes the names and keeps the content"
            }
            Self::SeveralNames { .. } => "remove the names one by one, or all with --force",
            Self::Crowded { .. } => "`proxmox-lxcri image prune` removes images without a name",
            Self::NotAStore { .. } => "give an empty directory, or one that does not exist yet",
            _ => return Vec::new(),
        };
        vec![hint.to_owned()]
    }

    /// Wraps what the kernel said of `path`.
    pub(crate) fn io(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::NoSpace { path },
            _ => Self::Io { what, path, source },
        }
    }
}
