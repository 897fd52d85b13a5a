//! A layer's bytes become a directory: decompressed once, hashed on the way, written by a process
//! with few rights, kept once for all images that have it.
//!
//! ```text
//! unpack    one blob to one directory, in this process
//! Workers   the same in processes of its own, which can do no more than that
//! Layers    the directories that are kept, by diff_id, with what is known of their state
//! ```
//!
//! **Two ways to write.** [`Mode::Overlay`] makes a directory that overlayfs can stack: what the
//! layer deletes is there as overlayfs wants it. [`Mode::Apply`] writes onto a directory that holds
//! the layers below, and deletes.
//!
//! **Ambiguities** are settled as containerd, umoci and containers-storage do, so that the tree is the
//! same as theirs: names are relative to the root, a leading slash or not; `..` is refused; links among
//! an entry's parents are followed inside the root; a later entry replaces an earlier one. Parents that no
//! entry of the layer speaks of are made anew with mode 0755, as containers-storage does, because layers are
//! unpacked side by side; umoci and containerd, who unpack one onto the other, keep what is below.
//!
//! **What is dropped** is counted in [`Dropped`]: extended attributes that are the host's own affairs,
//! aufs' bookkeeping, global pax headers. Sockets cannot be in an archive.

mod archive;
mod cache;
mod compression;
mod error;
mod header;
mod ids;
mod limits;
mod path;
mod pax;
mod pipeline;
mod sparse;
pub mod step;
mod stream;
mod tree;
mod wire;
mod worker;
mod xattr;

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd};

use rustix::fs::{OFlags, XattrFlags};
use serde::{Deserialize, Serialize};

pub use self::cache::{Blob, CacheError, Layer, Layers, Listed};
pub use self::compression::Compression;
pub use self::error::{LayerError, Problem};
pub use self::ids::Ids;
pub use self::limits::Limits;
pub use self::worker::{Job, Workers, worker_main_if_asked};

use self::archive::Archive;
use self::pipeline::{Pieces, Source};
use self::tree::Tree;
use crate::digest::{Algorithm, Digest};

/// How a layer is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Mode {
    /// Into an empty directory, to be stacked by overlayfs.
    Overlay,
    /// Onto the layers below.
    Apply,
}

/// A layer to unpack.
#[derive(Debug)]
pub struct Request<'r> {
    /// Its bytes, from offset 0 to the end.
    pub blob: &'r File,
    /// The digest of these bytes, where it is to be verified here. The store has verified it when the
    /// blob came in.
    pub digest: Option<&'r Digest>,
    /// What its media type says; `None` where nothing does (docker-archive).
    pub compression: Option<Compression>,
    /// The digest of the uncompressed archive, which is always verified.
    pub diff_id: &'r Digest,
    /// The directory, open for reading.
    pub target: BorrowedFd<'r>,
    /// How to write.
    pub mode: Mode,
    /// How owners are shifted.
    pub ids: &'r Ids,
    /// What is too much.
    pub limits: &'r Limits,
}

/// What became of a layer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Unpacked {
    /// The digest of the archive, the one that was asked for.
    pub diff_id: Digest,
    /// Bytes of the archive.
    pub bytes: u64,
    /// Its entries.
    pub entries: u64,
    /// What was left out.
    pub dropped: Dropped,
}

/// What was left out of a layer on purpose.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dropped {
    /// Extended attributes that are the business of the host a layer was made on, or that the
    /// filesystem does not keep.
    pub xattrs: u64,
    /// Entries of aufs' own.
    pub aufs: u64,
    /// Global pax headers.
    pub global_headers: u64,
}

/// Paths below the target, each of a directory.
pub(crate) type Opaque = Vec<Vec<u8>>;

/// Unpacks a layer in this process, with all its rights: for layers one has made oneself, and for
/// tests. Others are the business of [`Workers`]. `progress` is told how many bytes of the blob are
/// done.
///
/// # Errors
/// Whatever is wrong with the layer; the directory is then half full.
pub fn unpack(
    request: &Request<'_>,
    progress: &mut dyn FnMut(u64),
) -> Result<Unpacked, LayerError> {
    let mut told = |bytes| {
        progress(bytes);
        Ok(())
    };
    write(request, &mut told)
        .and_then(|(unpacked, opaque)| {
            opaque.iter().try_for_each(|path| mark_opaque(request.target, path))?;
            Ok(unpacked)
        })
        .map_err(|problem| LayerError::new(request.diff_id, problem))
}

/// Unpacks all but the marks of opaque directories, which need CAP_SYS_ADMIN.
pub(crate) fn write(
    request: &Request<'_>,
    progress: &mut dyn FnMut(u64) -> Result<(), Problem>,
) -> Result<(Unpacked, Opaque), Problem> {
    let source = Source {
        blob: request.blob,
        digest: request.digest,
        compression: request.compression,
        limits: request.limits,
    };
    let algorithm: Algorithm = request.diff_id.algorithm();
    let written = pipeline::run(source, algorithm, progress, |pieces| write_tree(request, pieces));
    let ((mut unpacked, opaque), digest) = written?;
    if digest != *request.diff_id {
        return Err(Problem::DiffId { expected: request.diff_id.clone(), found: digest });
    }
    unpacked.diff_id = digest;
    Ok((unpacked, opaque))
}

fn write_tree(request: &Request<'_>, pieces: Pieces<'_>) -> Result<(Unpacked, Opaque), Problem> {
    let mut archive = Archive::new(pieces, request.limits);
    let mut tree = Tree::new(request.target, request.mode, request.ids, request.limits);
    while let Some(entry) = archive.next()? {
        tree.write(&entry, &mut archive)?;
    }
    let (opaque, mut dropped) = tree.finish()?;
    dropped.global_headers = archive.ignored.global_headers;
    let unpacked = Unpacked {
        diff_id: request.diff_id.clone(),
        bytes: archive.position(),
        entries: archive.entries(),
        dropped,
    };
    Ok((unpacked, opaque))
}

/// Marks a directory below `target` as hiding what lower layers have there (kernel,
/// Documentation/filesystems/overlayfs.rst, "whiteouts and opaque directories").
pub(crate) fn mark_opaque(target: BorrowedFd<'_>, path: &[u8]) -> Result<(), Problem> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW;
    let directory = tree::open_in(target, path, flags).map_err(Problem::at("open", path))?;
    rustix::fs::fsetxattr(directory.as_fd(), "trusted.overlay.opaque", b"y", XattrFlags::empty())
        .map_err(Problem::at("make opaque", path))
}

#[cfg(test)]
mod tests;
