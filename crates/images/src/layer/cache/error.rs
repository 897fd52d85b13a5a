//! What goes wrong around layers.

use std::io;
use std::path::{Path, PathBuf};

use super::super::error::LayerError;

/// A layer that cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    /// It was not unpacked.
    #[error(transparent)]
    Layer(#[from] LayerError),
    /// Its blob cannot be opened.
    #[error("layer {layer}: cannot open its blob: {source}")]
    Blob {
        /// The first digits of its diff_id.
        layer: String,
        /// What the store says.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The kernel said no.
    #[error("cannot {step} {}: {source}", path.display())]
    Io {
        /// What was tried.
        step: &'static str,
        /// With what.
        path: PathBuf,
        /// The kernel's answer.
        source: io::Error,
    },
}

impl CacheError {
    pub(crate) fn io(step: &'static str, path: impl AsRef<Path>) -> impl FnOnce(io::Error) -> Self {
        let path = path.as_ref().to_owned();
        move |source| Self::Io { step, path, source }
    }

    /// What the user can do.
    pub fn hints(&self) -> Vec<String> {
        match self {
            Self::Layer(error) => error.hints(),
            Self::Io { source, .. } if source.kind() == io::ErrorKind::StorageFull => {
                vec!["free some space, for example by `proxmox-lxcri image prune`".to_owned()]
            }
            Self::Blob { .. } | Self::Io { .. } => Vec::new(),
        }
    }
}
