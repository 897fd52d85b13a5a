//! What can be wrong with an archive.

use std::io;
use std::path::PathBuf;

use crate::document::DocumentError;
use crate::store::StoreError;

/// A failure of an import or an export. `archive` is a path, or "standard input".
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// The kernel refused, or compressed data is damaged.
    #[error("cannot read {archive}: {source}")]
    Read {
        /// The archive.
        archive: String,
        /// The answer.
        source: io::Error,
    },
    /// The archive cannot be written.
    #[error("cannot write {}: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// The kernel's answer.
        source: io::Error,
    },
    /// It ends in the middle.
    #[error("{archive} is cut off: it ends within {member:?}")]
    CutOff {
        /// The archive.
        archive: String,
        /// The member, or what stands for one.
        member: String,
    },
    /// It is no tar, or a damaged one.
    #[error("{archive} is no tar archive: {problem} at byte {offset}")]
    Tar {
        /// The archive.
        archive: String,
        /// What is wrong.
        problem: String,
        /// Where, in the plain tar.
        offset: u64,
    },
    /// It says something we refuse.
    #[error("{archive}: {problem}")]
    Refused {
        /// The archive.
        archive: String,
        /// What is wrong.
        problem: String,
    },
    /// Something that must be there is not.
    #[error("{archive} has no {member:?}")]
    Missing {
        /// The archive.
        archive: String,
        /// What is missing.
        member: String,
    },
    /// The content of a member is not what it must be, or cannot be stored.
    #[error("{archive}: {member:?}: {source}")]
    Member {
        /// The archive.
        archive: String,
        /// The member.
        member: String,
        /// What the store says.
        source: StoreError,
    },
    /// A document cannot be used.
    #[error("{archive}: {source}")]
    Document {
        /// The archive.
        archive: String,
        /// What is wrong with it.
        source: DocumentError,
    },
    /// The image that was asked for is not there.
    #[error("{archive} has no image {wanted:?}; it has {}", list(names))]
    NoImage {
        /// The archive.
        archive: String,
        /// What was asked for.
        wanted: String,
        /// What is there.
        names: Vec<String>,
    },
    /// There are several, and none was asked for.
    #[error("{archive} has several images: {}", list(names))]
    Several {
        /// The archive.
        archive: String,
        /// Which ones.
        names: Vec<String>,
    },
    /// It is there for other platforms only.
    #[error("{archive} has nothing for {wanted}; it has {}", list(offered))]
    NoPlatform {
        /// The archive.
        archive: String,
        /// What was asked for.
        wanted: String,
        /// What is there.
        offered: Vec<String>,
    },
    /// The store's.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl ArchiveError {
    /// What the user can do about it.
    pub fn hints(&self) -> Vec<String> {
        match self {
            Self::Several { .. } => {
                vec!["name one of them after a colon: TRANSPORT:PATH:NAME".to_owned()]
            }
            Self::NoPlatform { .. } => vec!["choose one with --platform".to_owned()],
            Self::Tar { offset: 0, .. } => {
                vec!["plain tar, gzip and zstd are understood".to_owned()]
            }
            Self::Member { source, .. } | Self::Store(source) => source.hints(),
            _ => Vec::new(),
        }
    }
}

/// An error names at most so many.
const MOST_NAMES: usize = 10;

fn list(names: &[String]) -> String {
    if names.is_empty() {
        return "none".to_owned();
    }
    // They are a stranger's: no line break or escape of theirs may reach a terminal.
    let shown = names.iter().take(MOST_NAMES).map(|name| format!("{name:?}"));
    let mut text = shown.collect::<Vec<_>>().join(", ");
    if names.len() > MOST_NAMES {
        text += &format!(" and {} more", names.len() - MOST_NAMES);
    }
    text
}
