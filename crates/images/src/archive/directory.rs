//! Directories: image layouts, and what `skopeo copy … dir:` writes (containers-transports(5),
//! "dir:path"): `manifest.json`, and every blob under the digits of its digest.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;

use lxcri_linux::beneath::Root;
use rustix::fs::OFlags;

use super::content::{Content, Shelf};
use super::layout::{self, Names};
use super::{ArchiveError, Imported, Job};
use crate::document::Descriptor;

/// A directory that files are looked up in, and nothing outside of it.
pub(super) struct Directory {
    archive: String,
    root: Root,
}

impl Directory {
    pub(super) fn open(archive: &str, path: &Path) -> Result<Self, ArchiveError> {
        let failed = |source| ArchiveError::Read { archive: archive.to_owned(), source };
        Ok(Self { archive: archive.to_owned(), root: Root::open(path).map_err(failed)? })
    }
}

impl Shelf for Directory {
    fn find(&self, name: &str) -> Result<Option<Content>, ArchiveError> {
        let failed =
            |source| ArchiveError::Read { archive: format!("{}/{name}", self.archive), source };
        // A fifo in place of a blob must not stop us.
        let flags = OFlags::RDONLY | OFlags::NONBLOCK;
        let file = match self.root.open_existing(Path::new(name), flags) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            result => File::from(result.map_err(failed)?),
        };
        let found = file.metadata().map_err(failed)?;
        if !found.is_file() {
            return Ok(None);
        }
        Ok(Some(Content::Range { file: Arc::new(file), offset: 0, size: found.len() }))
    }
}

/// Imports skopeo's directory. Its manifest says itself what it is.
pub(super) fn import(job: &Job<'_>, shelf: &dyn Shelf) -> Result<Imported, ArchiveError> {
    let bytes = job.document(shelf, "manifest.json", None)?;
    let manifest = Descriptor::of(&layout::kind_of(job, &bytes)?, &bytes);
    let names = Names {
        blob: &|digest| digest.hex().to_owned(),
        // A list's manifests stand next to it (containers/image, directory transport).
        manifest: &|digest| format!("{}.manifest.json", digest.hex()),
    };
    layout::import_document(job, shelf, &names, manifest, bytes)
}
