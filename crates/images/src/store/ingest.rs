//! Blobs on their way into the store.

use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use super::{Hold, Store, StoreError, layout, lock};
use crate::digest::{Algorithm, Digest, Hasher};
use crate::document::Descriptor;

/// Bytes read and written at once. Small enough to stay in a processor's second cache between
/// reading, hashing and writing: measured as fast as any larger one.
const PIECE: usize = 256 << 10;

/// What is to be done for a blob.
#[derive(Debug)]
pub enum Ingest<'hold> {
    /// Nothing: it is there.
    Present,
    /// Its missing bytes are to be written.
    Partial(Box<Partial<'hold>>),
}

/// A blob that is not whole yet. Nobody else writes it as long as this lives; dropped, it stays as
/// it is, and the next who wants the blob goes on from there.
///
/// A thread that has one must not wait for another one: two threads could wait for each other.
#[derive(Debug)]
pub struct Partial<'hold> {
    digest: Digest,
    size: u64,
    resumed: bool,
    writer: Writer<'hold>,
}

/// A blob whose digest nobody knows before its last byte. Dropped before its commit, it is removed.
#[derive(Debug)]
pub struct Fresh<'hold> {
    writer: Writer<'hold>,
    is_committed: bool,
}

/// The open file and what was written so far.
#[derive(Debug)]
struct Writer<'hold> {
    hold: &'hold Hold,
    file: File,
    path: PathBuf,
    hasher: Hasher,
    offset: u64,
}

impl Hold {
    /// Begins with a blob, or goes on with one that somebody left half-way. Waits while another
    /// process or thread writes the same blob, and then most likely finds it present.
    ///
    /// # Errors
    /// The blob is there and whole, with another size than this descriptor's; the kernel's.
    pub fn ingest(&self, descriptor: &Descriptor) -> Result<Ingest<'_>, StoreError> {
        let Descriptor { digest, size, .. } = descriptor;
        let path =
            self.store.ingest_path(&format!("{}-{}", digest.algorithm().name(), digest.hex()));
        loop {
            if self.store.size_of(digest) == Some(*size) {
                return Ok(Ingest::Present);
            }
            let file = lock::exclusive(&path)?;
            if !is_still(&file, &path) {
                continue;
            }
            // Whoever had the lock may have finished since we looked, and another begun again.
            return match self.settle(digest, *size) {
                Ok(false) => {
                    self.purpose.partial();
                    let partial = self.resume(descriptor, file, path)?;
                    Ok(Ingest::Partial(Box::new(partial)))
                }
                settled => {
                    remove_present(&path)?;
                    settled.map(|_| Ingest::Present)
                }
            };
        }
    }

    /// Begins with a blob whose digest is not known.
    ///
    /// # Errors
    /// The kernel's.
    pub fn ingest_new(&self) -> Result<Fresh<'_>, StoreError> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = self.store.ingest_path(&format!("new-{}-{number}", std::process::id()));
        // Another pid namespace may have a process of the same number.
        let file = lock::exclusive(&path)?;
        let writer = Writer::new(self, file, path, Algorithm::Sha256);
        writer.file.set_len(0).map_err(StoreError::io("write", &writer.path))?;
        self.purpose.partial();
        Ok(Fresh { writer, is_committed: false })
    }

    /// Whether the blob is there, seen by who has its lock. One of another size is damaged, most
    /// likely by a power cut, or the descriptor lies: only its content can tell. A damaged one is
    /// removed.
    fn settle(&self, digest: &Digest, wanted: u64) -> Result<bool, StoreError> {
        let Some(got) = self.store.size_of(digest) else { return Ok(false) };
        if got == wanted {
            return Ok(true);
        }
        if self.store.verify_blob(digest, &mut |_| {})?.is_none() {
            return Err(StoreError::WrongSize { digest: digest.clone(), wanted, got });
        }
        let path = self.store.blob_path(digest);
        log::warn!("{} is damaged and is fetched again", path.display());
        remove_present(&path)?;
        Ok(false)
    }

    /// Hashes what is there already: in the end the digest is of everything.
    fn resume(
        &self,
        descriptor: &Descriptor,
        file: File,
        path: PathBuf,
    ) -> Result<Partial<'_>, StoreError> {
        let length = file.metadata().map_err(StoreError::io("read", &path))?.len();
        let writer = Writer::new(self, file, path, descriptor.digest.algorithm());
        let (digest, size) = (descriptor.digest.clone(), descriptor.size);
        let mut partial = Partial { digest, size, resumed: false, writer };
        if length > size {
            partial.restart()?;
        } else if length > 0 {
            partial.writer.rehash(length)?;
            partial.resumed = true;
        }
        Ok(partial)
    }
}

impl Partial<'_> {
    /// How many bytes are there; the next is to be written here.
    pub fn offset(&self) -> u64 {
        self.writer.offset
    }

    /// How many are still missing.
    pub fn missing(&self) -> u64 {
        self.size.saturating_sub(self.writer.offset)
    }

    /// Appends bytes.
    ///
    /// # Errors
    /// More than the descriptor says, of which nothing is written; the kernel's. What was written
    /// before stays for the next try.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        let count = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        if count > self.missing() {
            let got = self.writer.offset.saturating_add(count);
            return Err(self.wrong_size(got));
        }
        self.writer.write(bytes)
    }

    /// Appends `length` bytes of a file, from `offset` on; `progress` hears of every piece. Where
    /// the file systems can share the content of whole files, nothing is copied.
    ///
    /// # Errors
    /// As [`Partial::write`]; the file ends before.
    pub fn write_from(
        &mut self,
        source: &File,
        offset: u64,
        length: u64,
        progress: &mut dyn FnMut(u64),
    ) -> Result<(), StoreError> {
        if length > self.missing() {
            return Err(self.wrong_size(self.writer.offset.saturating_add(length)));
        }
        let is_whole = self.writer.offset == 0 && offset == 0 && length == self.size;
        if is_whole && self.writer.share(source, length) {
            return self.writer.rehash_with(length, progress);
        }
        self.writer.copy(source, offset, length, progress)
    }

    /// Forgets everything that was written.
    ///
    /// # Errors
    /// The kernel's.
    pub fn restart(&mut self) -> Result<(), StoreError> {
        self.resumed = false;
        self.writer.restart(self.digest.algorithm())
    }

    /// Gives the blob its name.
    ///
    /// # Errors
    /// Bytes are missing: what is there stays. The content is not the digest's: it is removed.
    pub fn commit(self) -> Result<(), StoreError> {
        if self.missing() > 0 {
            return Err(self.wrong_size(self.writer.offset));
        }
        let got = self.writer.hasher.clone().finish();
        if got != self.digest {
            remove_present(&self.writer.path)?;
            let Self { digest: wanted, resumed, .. } = self;
            return Err(StoreError::WrongDigest { wanted, got, resumed });
        }
        self.writer.give_name(&self.digest)
    }

    fn wrong_size(&self, got: u64) -> StoreError {
        StoreError::WrongSize { digest: self.digest.clone(), wanted: self.size, got }
    }
}

impl Fresh<'_> {
    /// Appends bytes.
    ///
    /// # Errors
    /// The kernel's.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        self.writer.write(bytes)
    }

    /// Appends `length` bytes of a file, from `offset` on; `progress` hears of every piece.
    ///
    /// # Errors
    /// The file ends before; the kernel's.
    pub fn write_from(
        &mut self,
        source: &File,
        offset: u64,
        length: u64,
        progress: &mut dyn FnMut(u64),
    ) -> Result<(), StoreError> {
        self.writer.copy(source, offset, length, progress)
    }

    /// Gives the blob the name that its content has: its digest and its size.
    ///
    /// # Errors
    /// The kernel's.
    pub fn commit(mut self) -> Result<(Digest, u64), StoreError> {
        let (digest, size) = (self.writer.hasher.clone().finish(), self.writer.offset);
        // Where it was there already, the same content takes its place.
        self.writer.give_name(&digest)?;
        self.is_committed = true;
        Ok((digest, size))
    }
}

impl Drop for Fresh<'_> {
    fn drop(&mut self) {
        if !self.is_committed
            && let Err(error) = remove_present(&self.writer.path)
        {
            log::warn!("{error}");
        }
    }
}

impl<'hold> Writer<'hold> {
    fn new(hold: &'hold Hold, file: File, path: PathBuf, algorithm: Algorithm) -> Self {
        Self { hold, file, path, hasher: Hasher::new(algorithm), offset: 0 }
    }

    /// Writes by position: after a write that failed half-way the next goes to the same place.
    fn write(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        let written = self.file.write_all_at(bytes, self.offset);
        written.map_err(StoreError::io("write", &self.path))?;
        self.hasher.update(bytes);
        self.offset += u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        self.hold.purpose.written();
        Ok(())
    }

    fn copy(
        &mut self,
        source: &File,
        offset: u64,
        length: u64,
        progress: &mut dyn FnMut(u64),
    ) -> Result<(), StoreError> {
        pieces(source, offset, length, |piece| {
            let piece = piece.map_err(StoreError::io("copy into", &self.path))?;
            self.write(piece)?;
            progress(u64::try_from(piece.len()).unwrap_or(0));
            Ok(())
        })
    }

    /// Shares the content of a whole file (ioctl_ficlone(2)). Whether that could be done and gave
    /// as many bytes as there should be.
    fn share(&mut self, source: &File, length: u64) -> bool {
        let is_whole = |file: &File| file.metadata().is_ok_and(|found| found.len() == length);
        is_whole(source)
            && rustix::fs::ioctl_ficlone(&self.file, source).is_ok()
            && is_whole(&self.file)
    }

    fn rehash(&mut self, length: u64) -> Result<(), StoreError> {
        self.rehash_with(length, &mut |_| {})
    }

    /// Hashes what the file itself has, which nobody else changes.
    fn rehash_with(
        &mut self,
        length: u64,
        progress: &mut dyn FnMut(u64),
    ) -> Result<(), StoreError> {
        pieces(&self.file, 0, length, |piece| {
            let piece = piece.map_err(StoreError::io("read", &self.path))?;
            self.hasher.update(piece);
            progress(u64::try_from(piece.len()).unwrap_or(0));
            Ok(())
        })?;
        self.offset = length;
        Ok(())
    }

    fn restart(&mut self, algorithm: Algorithm) -> Result<(), StoreError> {
        self.hasher = Hasher::new(algorithm);
        self.offset = 0;
        self.file.set_len(0).map_err(StoreError::io("write", &self.path))
    }

    fn give_name(&self, digest: &Digest) -> Result<(), StoreError> {
        // A write that failed may have left bytes behind the last that count.
        self.file.set_len(self.offset).map_err(StoreError::io("write", &self.path))?;
        let path = self.hold.store.blob_path(digest);
        let renamed = match std::fs::rename(&self.path, &path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                // The first of another algorithm than sha256.
                path.parent().map_or(Ok(()), layout::make_directory)?;
                std::fs::rename(&self.path, &path)
            }
            result => result,
        };
        renamed.map_err(StoreError::io("make", &path))?;
        self.hold.purpose.committed();
        Ok(())
    }
}

/// Reads a part of a file piece by piece. A file that ends before is an error.
pub(super) fn pieces(
    file: &File,
    offset: u64,
    length: u64,
    mut each: impl FnMut(io::Result<&[u8]>) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let mut buffer = vec![0; PIECE];
    let mut done = 0;
    while done < length {
        let wanted = usize::try_from(length - done).unwrap_or(PIECE).min(PIECE);
        match file.read_at(&mut buffer[..wanted], offset.saturating_add(done)) {
            Ok(0) => return each(Err(io::ErrorKind::UnexpectedEof.into())),
            Ok(count) => {
                each(Ok(&buffer[..count]))?;
                done += u64::try_from(count).unwrap_or(u64::MAX);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return each(Err(error)),
        }
    }
    Ok(())
}

/// Whether an open file still has its name: it was renamed when it became whole.
fn is_still(file: &File, path: &Path) -> bool {
    match (file.metadata(), std::fs::symlink_metadata(path)) {
        (Ok(held), Ok(now)) => (held.dev(), held.ino()) == (now.dev(), now.ino()),
        _ => false,
    }
}

/// Removes a file that may be gone already.
pub(super) fn remove_present(path: &Path) -> Result<(), StoreError> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(StoreError::io("remove", path)(error))
        }
        _ => Ok(()),
    }
}

impl Store {
    /// Hashes a blob; its digest where that is not its name.
    pub(super) fn verify_blob(
        &self,
        digest: &Digest,
        progress: &mut dyn FnMut(u64),
    ) -> Result<Option<Digest>, StoreError> {
        let file = self.open_blob(digest)?;
        let path = self.blob_path(digest);
        let length = file.metadata().map_err(StoreError::io("read", &path))?.len();
        let mut hasher = Hasher::new(digest.algorithm());
        pieces(&file, 0, length, |piece| {
            let piece = piece.map_err(StoreError::io("read", &path))?;
            hasher.update(piece);
            progress(u64::try_from(piece.len()).unwrap_or(0));
            Ok(())
        })?;
        let got = hasher.finish();
        Ok((got != *digest).then_some(got))
    }
}
