//! The JSON documents of an image: index, manifest, configuration (image-spec 1.1). They come from
//! strangers: their size and the number of their parts are bounded, and every name that becomes a
//! path is a checked type.

mod config;
mod manifest;
mod platform;

pub use config::{Config, Healthcheck, ImageConfig, RootFs};
pub use manifest::{Descriptor, Index, Manifest, media_type};
pub use platform::Platform;

/// The most bytes of a manifest, index or configuration. Registries take 4 MiB (distribution-spec,
/// "Pushing Manifests").
pub const MAX_DOCUMENT: u64 = 4 << 20;

/// The most layers of one image. overlayfs takes 500 (`OVL_MAX_STACK` in the kernel's
/// fs/overlayfs/params.h), Docker 127.
pub const MAX_LAYERS: usize = 500;

/// The most entries of one index.
pub const MAX_MANIFESTS: usize = 1_000;

/// A document that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DocumentError {
    /// It is no JSON, or not of the right shape.
    #[error("{what} is no {kind}: {source}")]
    Parse {
        /// Which document, such as "manifest sha256:…".
        what: String,
        /// What was wanted, such as "image manifest".
        kind: &'static str,
        /// The parser's answer with line and column.
        source: serde_json::Error,
    },
    /// It has the right shape and says something we refuse.
    #[error("{what}: {problem}")]
    Invalid {
        /// Which document.
        what: String,
        /// What is wrong.
        problem: String,
    },
}

/// Parses bounded bytes; `what` names the document in errors.
fn parse<T: serde::de::DeserializeOwned>(
    what: &str,
    kind: &'static str,
    bytes: &[u8],
) -> Result<T, DocumentError> {
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > MAX_DOCUMENT {
        let problem = format!("larger than {} MiB", MAX_DOCUMENT >> 20);
        return Err(DocumentError::Invalid { what: what.to_owned(), problem });
    }
    serde_json::from_slice(bytes).map_err(|source| DocumentError::Parse {
        what: what.to_owned(),
        kind,
        source,
    })
}
