//! Images that do not come from a registry: into the store, and out of it.
//!
//! ```text
//! oci:DIR               an image layout (image-spec image-layout.md)
//! oci-archive:FILE      the same in a tar, plain or compressed
//! docker-archive:FILE   what `docker save` and `podman save` write, in both layouts
//! dir:DIR               what `skopeo copy … dir:DIR` writes
//! a tarball of a root   one layer, with a configuration made for it
//! ```
//!
//! A plain tar is read by its headers once; its blobs are then copied by position, several at a
//! time, straight into the store. Of a pipe or a compressed file the members go into the store as
//! they come. No member ever becomes a file of its name: names are only looked up in a table, and
//! links lead from one entry of the table to another.
//!
//! What an import that fails leaves behind are whole blobs and beginnings of blobs without a name,
//! which the next import takes up and a prune removes.

mod choose;
mod compression;
mod content;
mod directory;
mod docker;
mod error;
mod export;
mod input;
mod layers;
mod layout;
mod members;
mod rootfs;
mod stream;
mod table;

#[cfg(test)]
mod tests;

use std::fmt;
use std::io::Read;
use std::path::Path;

pub use error::ArchiveError;
pub use export::{Format, Item, export, export_to};
pub use table::{MAX_MEMBERS, Table};

use crate::digest::Digest;
use crate::document::{Descriptor, Platform};
use crate::progress::Progress;
use crate::store::Hold;

/// How an image is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// `oci:`, a directory.
    Layout,
    /// `dir:`, skopeo's directory of blobs.
    Directory,
    /// `oci-archive:`.
    OciArchive,
    /// `docker-archive:`.
    DockerArchive,
    /// One of these two: what is in it decides, and an image layout comes first.
    AnyArchive,
    /// A tarball of a root file system.
    Rootfs,
}

/// Where it is.
pub enum Origin<'a> {
    /// A file or directory. What is no regular file, such as a fifo, is read as a stream.
    Path(&'a Path),
    /// Standard input, for example.
    Stream(Box<dyn Read + Send + 'a>),
}

/// What is to be imported.
#[derive(Debug)]
pub struct Request<'a> {
    /// How it is packed.
    pub transport: Transport,
    /// Where it is.
    pub origin: Origin<'a>,
    /// The tag, name or digest of the image in it; without, there must be one only.
    pub image: Option<&'a str>,
    /// Which of several platforms.
    pub platform: &'a Platform,
}

/// Who hears of it.
#[derive(Clone, Copy)]
pub struct Listeners<'a> {
    /// Of bytes.
    pub progress: &'a dyn Progress,
    /// Of every layer that is whole in the store: its number from the lowest, what it is, and the
    /// digest of its plain tar. Called from several threads and in any order, while other layers
    /// are still copied; not again where the import fails afterwards.
    pub on_layer: &'a (dyn Fn(usize, &Descriptor, &Digest) + Sync),
}

/// An image that is in the store now, still without a name there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Imported {
    /// Its manifest, with platform and, where there was one, the digest of its index: ready for
    /// [`Hold::tag`].
    pub manifest: Descriptor,
    /// What the archive calls it.
    pub names: Vec<String>,
    /// The layers, lowest first, with the digests of their plain tars.
    pub layers: Vec<(Descriptor, Digest)>,
}

impl fmt::Debug for Origin<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(path) => write!(f, "Path({path:?})"),
            Self::Stream(_) => f.write_str("Stream"),
        }
    }
}

impl fmt::Debug for Listeners<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Listeners")
    }
}

/// Brings an image into the store.
///
/// # Errors
/// The archive is damaged, has no such image, or says what cannot be; the store's.
pub fn import(
    hold: &Hold,
    request: Request<'_>,
    listeners: Listeners<'_>,
) -> Result<Imported, ArchiveError> {
    let Request { transport, origin, image, platform } = request;
    let archive = match &origin {
        Origin::Path(path) => path.display().to_string(),
        Origin::Stream(_) => "standard input".to_owned(),
    };
    let job = Job { hold, archive, image, platform, listeners };
    match (transport, origin) {
        (Transport::Layout | Transport::Directory, Origin::Path(path)) => {
            let shelf = directory::Directory::open(&job.archive, path)?;
            match transport {
                Transport::Layout => layout::import(&job, &shelf),
                _ => directory::import(&job, &shelf),
            }
        }
        (Transport::Layout | Transport::Directory, Origin::Stream(_)) => {
            Err(job.refuse("a stream is no directory"))
        }
        (Transport::Rootfs, origin) => rootfs::import(&job, origin),
        (_, origin) => import_archive(&job, transport, origin),
    }
}

/// How the thing at a path is packed, by what is in it.
///
/// # Errors
/// It is nothing of that kind; the kernel's.
pub fn detect(path: &Path) -> Result<Transport, ArchiveError> {
    input::detect(path)
}

fn import_archive(
    job: &Job<'_>,
    transport: Transport,
    origin: Origin<'_>,
) -> Result<Imported, ArchiveError> {
    let table = match input::open(&job.archive, origin)? {
        input::Input::Plain(file) => Table::scan(&job.archive, file)?,
        input::Input::Stream(stream) => stream::receive(job, stream)?,
    };
    let has_layout = table.size("index.json").is_some() && table.size("oci-layout").is_some();
    match transport {
        Transport::OciArchive => layout::import(job, &table),
        Transport::AnyArchive if has_layout => layout::import(job, &table),
        _ => docker::import(job, &table),
    }
}

/// What every step of an import needs to know.
struct Job<'a> {
    hold: &'a Hold,
    /// How errors name the archive.
    archive: String,
    image: Option<&'a str>,
    platform: &'a Platform,
    listeners: Listeners<'a>,
}

impl Job<'_> {
    fn refuse(&self, problem: &str) -> ArchiveError {
        ArchiveError::Refused { archive: self.archive.clone(), problem: problem.to_owned() }
    }

    fn missing(&self, member: &str) -> ArchiveError {
        ArchiveError::Missing { archive: self.archive.clone(), member: member.to_owned() }
    }

    /// Names the member in what the store says of its content.
    fn member<'e>(
        &'e self,
        member: &'e str,
    ) -> impl FnOnce(crate::store::StoreError) -> ArchiveError + 'e {
        move |source| ArchiveError::Member {
            archive: self.archive.clone(),
            member: member.to_owned(),
            source,
        }
    }
}
