//! Why a layer was not unpacked.

use std::io;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;

/// A layer that was not unpacked. Of it nothing is left that anybody would use.
#[derive(Debug, thiserror::Error)]
#[error("layer {layer}: {problem}")]
pub struct LayerError {
    /// The first digits of its diff_id.
    pub layer: String,
    /// What is wrong.
    pub problem: Problem,
}

impl LayerError {
    pub(super) fn new(diff_id: &Digest, problem: Problem) -> Self {
        Self { layer: diff_id.short().to_owned(), problem }
    }

    /// What the user can do.
    pub fn hints(&self) -> Vec<String> {
        self.problem.hints()
    }
}

/// What is wrong with a layer, or with the place it goes to. It crosses the line between the
/// process that unpacks and the one that asked for it, so it holds texts and numbers only.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum Problem {
    /// The bytes are of another kind than the manifest says.
    #[error("it is {found}, and not {expected} as its media type says")]
    MediaType {
        /// What the media type says.
        expected: String,
        /// What the first bytes say.
        found: String,
    },
    /// The bytes are nothing that a layer can be (image-spec layer.md).
    #[error("it is {found}, and no tar archive, plain or compressed by gzip or zstd")]
    NoLayer {
        /// What the first bytes say.
        found: String,
    },
    /// The blob is not the one that was asked for.
    #[error("its blob has the digest {found} instead of {expected}")]
    BlobDigest {
        /// What the manifest says.
        expected: Digest,
        /// What was read.
        found: Digest,
    },
    /// The content is not what the image's configuration says.
    #[error("its content has the diff_id {found} instead of {expected}")]
    DiffId {
        /// What the configuration says.
        expected: Digest,
        /// What was read.
        found: Digest,
    },
    /// The compressed data end too early.
    #[error("its {format} data end in the middle, after {bytes} bytes")]
    TruncatedBlob {
        /// gzip or zstd.
        format: String,
        /// Bytes of the blob.
        bytes: u64,
    },
    /// The compressed data are damaged.
    #[error("its {format} data are damaged: {message}")]
    Compressed {
        /// gzip or zstd.
        format: String,
        /// The decompressor's answer.
        message: String,
    },
    /// The archive ends within an entry.
    #[error("its tar archive ends in the middle, after {bytes} bytes{}", of_entry(.entry))]
    TruncatedArchive {
        /// Bytes of the archive.
        bytes: u64,
        /// Within this entry; empty within a header.
        entry: String,
    },
    /// A header that cannot be read.
    #[error("the tar header at byte {offset} is damaged: {message}")]
    Header {
        /// Where in the archive.
        offset: u64,
        /// What is wrong.
        message: String,
    },
    /// An entry that cannot be what it says, or must not be.
    #[error("entry {path:?} {message}")]
    Entry {
        /// Its name, shortened.
        path: String,
        /// What is wrong with it.
        message: String,
    },
    /// More than the settings allow.
    #[error("{what} {limit}{}", of_entry(.entry))]
    Limit {
        /// What there is too much of, with "more than" or the like.
        what: String,
        /// How much is allowed, with the unit.
        limit: String,
        /// Where it was met; empty where it is about the layer as a whole.
        entry: String,
    },
    /// No space is left.
    #[error("no space is left on the filesystem, or the quota is used up{}", of_entry(.entry))]
    Full {
        /// What was being written.
        entry: String,
    },
    /// The kernel said no.
    #[error("cannot {step}{}: {message}", of_entry(.entry))]
    Io {
        /// What was tried.
        step: String,
        /// At which entry; may be empty.
        entry: String,
        /// The kernel's answer.
        message: String,
    },
    /// The process that unpacks died, or talked nonsense.
    #[error("the process that unpacks it {0}")]
    Worker(String),
    /// The blob could not be had.
    #[error("its blob cannot be read: {0}")]
    Blob(String),
}

fn of_entry(entry: &str) -> String {
    if entry.is_empty() { String::new() } else { format!(" (at {entry:?})") }
}

impl Problem {
    pub(super) fn entry(path: &[u8], message: impl Into<String>) -> Self {
        Self::Entry { path: shown(path), message: message.into() }
    }

    pub(super) fn limit(what: &str, limit: impl Into<String>, path: &[u8]) -> Self {
        Self::Limit { what: what.into(), limit: limit.into(), entry: shown(path) }
    }

    /// For `map_err`: a step at an entry.
    pub(super) fn at<E: Into<io::Error>>(
        step: &'static str,
        path: &[u8],
    ) -> impl FnOnce(E) -> Self {
        move |error| Self::io(step, path, &error.into())
    }

    pub(super) fn io(step: &str, path: &[u8], error: &io::Error) -> Self {
        let entry = shown(path);
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full { entry },
            _ => Self::Io { step: step.into(), entry, message: error.to_string() },
        }
    }

    /// What the user can do.
    pub fn hints(&self) -> Vec<String> {
        let hint = match self {
            Self::BlobDigest { .. } | Self::TruncatedBlob { .. } => {
                "the stored blob is damaged: pull the image again"
            }
            Self::DiffId { .. } => {
                "the image's manifest and configuration do not fit together: its maker has to build \
                 it again"
            }
            Self::Limit { .. } => {
                "an image that is to be trusted with more can have it: see the limits below \
                 [images] in the configuration"
            }
            Self::Full { .. } => {
                "free some space, for example by `proxmox-lxcri image prune`, and try again"
            }
            _ => return Vec::new(),
        };
        vec![hint.to_owned()]
    }
}

/// A name from an archive for people: one line, without control characters, not too long.
pub(super) fn shown(path: &[u8]) -> String {
    const LONGEST: usize = 160;
    let text = String::from_utf8_lossy(path);
    if text.chars().nth(LONGEST).is_none() {
        return text.into_owned();
    }
    text.chars().take(LONGEST).chain(['…']).collect()
}
