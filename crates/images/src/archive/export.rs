//! Images out of the store, as one tar file. The same images give the same bytes: members in the
//! order of their names, no times, no owners.

mod docker;
mod layout;

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use lxcri_linux::step::Step as _;
use tar::{Builder, EntryType, Header};

use super::ArchiveError;
use crate::digest::{Digest, Hasher};
use crate::document::Descriptor;
use crate::progress::{Ended, Progress, Stage, Task};
use crate::step::Step;
use crate::store::{Hold, StoreError};

/// What is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// An image layout with the blobs as they are (`oci-archive:`): podman, skopeo, containerd and
    /// Docker from 25 on read it.
    Oci,
    /// What `docker save` wrote before Docker 25, with plain layers (`docker-archive:`): everybody
    /// reads it.
    Docker,
}

/// An image with the names it gets.
#[derive(Clone, Copy, Debug)]
pub struct Item<'a> {
    /// Its manifest.
    pub manifest: &'a Descriptor,
    /// Full names.
    pub names: &'a [String],
}

/// Writes images to a stream. What was written when an error comes is no archive.
///
/// # Errors
/// A blob is missing or damaged; the stream's.
pub fn export(
    hold: &Hold,
    items: &[Item<'_>],
    format: Format,
    output: &mut dyn Write,
    progress: &dyn Progress,
) -> Result<(), ArchiveError> {
    let path = Path::new("the archive");
    let mut writer = Writer::new(hold, path, output, progress);
    match format {
        Format::Oci => layout::write(&mut writer, items)?,
        Format::Docker => docker::write(&mut writer, items)?,
    }
    writer.finish()
}

/// Writes images to a file, which is there whole or not at all. A file of that name is replaced.
///
/// # Errors
/// As [`export`].
pub fn export_to(
    hold: &Hold,
    items: &[Item<'_>],
    format: Format,
    path: &Path,
    progress: &dyn Progress,
) -> Result<(), ArchiveError> {
    let failed = |source| ArchiveError::Write { path: path.to_owned(), source };
    if path.metadata().is_ok_and(|found| !found.is_file()) {
        let mut file = OpenOptions::new().write(true).open(path).map_err(failed)?;
        return export(hold, items, format, &mut file, progress);
    }
    let mut temporary = Temporary::new(path).map_err(failed)?;
    export(hold, items, format, &mut temporary.file, progress)?;
    Step::ExportWritten.reached();
    temporary.rename(path).map_err(failed)?;
    Step::ExportRenamed.reached();
    Ok(())
}

/// A file next to the one it becomes; removed where it does not.
struct Temporary {
    file: File,
    path: PathBuf,
    is_renamed: bool,
}

impl Temporary {
    fn new(wanted: &Path) -> io::Result<Self> {
        let name = wanted.file_name().ok_or(io::ErrorKind::InvalidFilename)?;
        let mut hidden = std::ffi::OsString::from(".");
        hidden.push(name);
        hidden.push(format!(".{}", std::process::id()));
        let path = wanted.with_file_name(hidden);
        // Of a process of our number that was killed.
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        // A new file and no link that somebody else put there.
        let file = OpenOptions::new().write(true).create_new(true).open(&path)?;
        Ok(Self { file, path, is_renamed: false })
    }

    fn rename(mut self, wanted: &Path) -> io::Result<()> {
        std::fs::rename(&self.path, wanted)?;
        self.is_renamed = true;
        Ok(())
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if !self.is_renamed
            && let Err(error) = std::fs::remove_file(&self.path)
        {
            log::warn!("cannot remove {}: {error}", self.path.display());
        }
    }
}

/// The tar that is being written.
struct Writer<'a> {
    hold: &'a Hold,
    path: &'a Path,
    builder: Builder<BufWriter<&'a mut dyn Write>>,
    progress: &'a dyn Progress,
}

impl<'a> Writer<'a> {
    fn new(
        hold: &'a Hold,
        path: &'a Path,
        output: &'a mut dyn Write,
        progress: &'a dyn Progress,
    ) -> Self {
        let builder = Builder::new(BufWriter::with_capacity(256 << 10, output));
        Self { hold, path, builder, progress }
    }

    fn directory(&mut self, name: &str) -> Result<(), ArchiveError> {
        let mut header = plain_header(EntryType::Directory, 0o755, 0);
        let written = self.builder.append_data(&mut header, format!("{name}/"), io::empty());
        written.map_err(|source| self.failed(source))
    }

    fn document(&mut self, name: &str, bytes: &[u8]) -> Result<(), ArchiveError> {
        let size = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        let mut header = plain_header(EntryType::Regular, 0o644, size);
        let written = self.builder.append_data(&mut header, name, bytes);
        written.map_err(|source| self.failed(source))
    }

    /// Writes what must have this digest and size.
    fn content(
        &mut self,
        name: &str,
        digest: &Digest,
        size: u64,
        content: impl Read,
    ) -> Result<(), ArchiveError> {
        let task = self.progress.begin(Stage::Export, digest.short(), Some(size));
        let mut content = Watched::new(content, digest, task);
        let mut header = plain_header(EntryType::Regular, 0o644, size);
        let reader = (&mut content).take(size);
        let written = self.builder.append_data(&mut header, name, reader);
        written.map_err(|source| self.failed(source))?;
        content.finish(digest, size).map_err(ArchiveError::from)
    }

    fn finish(self) -> Result<(), ArchiveError> {
        let Self { path, builder, .. } = self;
        let failed = |source| ArchiveError::Write { path: path.to_owned(), source };
        builder.into_inner().map_err(failed)?.flush().map_err(failed)
    }

    fn failed(&self, source: io::Error) -> ArchiveError {
        ArchiveError::Write { path: self.path.to_owned(), source }
    }
}

fn plain_header(kind: EntryType, mode: u32, size: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(size);
    header.set_mtime(0);
    header.set_uid(0);
    header.set_gid(0);
    header
}

/// A reader that hashes and counts what passes.
struct Watched<R> {
    inner: R,
    hasher: Hasher,
    count: u64,
    task: Box<dyn Task>,
}

impl<R: Read> Watched<R> {
    fn new(inner: R, digest: &Digest, task: Box<dyn Task>) -> Self {
        Self { inner, hasher: Hasher::new(digest.algorithm()), count: 0, task }
    }

    fn finish(self, wanted: &Digest, size: u64) -> Result<(), StoreError> {
        if self.count != size {
            let digest = wanted.clone();
            return Err(StoreError::WrongSize { digest, wanted: size, got: self.count });
        }
        let got = self.hasher.finish();
        if got != *wanted {
            let wanted = wanted.clone();
            return Err(StoreError::WrongDigest { wanted, got, resumed: false });
        }
        self.task.end(Ended::Done);
        Ok(())
    }
}

impl<R: Read> Read for Watched<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.hasher.update(&buffer[..count]);
        let bytes = u64::try_from(count).unwrap_or(0);
        self.count += bytes;
        self.task.advance(bytes);
        Ok(count)
    }
}
