//! Reading blobs.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;

use rustix::fs::OFlags;

use super::{Hold, Ingest, Store, StoreError};
use crate::digest::{Digest, Hasher};
use crate::document::{Descriptor, MAX_DOCUMENT};

impl Store {
    /// Whether the blob has its name in the store; its content is not looked at.
    pub fn contains(&self, digest: &Digest) -> bool {
        self.size_of(digest).is_some()
    }

    /// The blob's bytes, where it is there.
    pub(crate) fn size_of(&self, digest: &Digest) -> Option<u64> {
        let found = std::fs::symlink_metadata(self.blob_path(digest)).ok()?;
        found.is_file().then_some(found.len())
    }

    /// Opens a blob for reading. Its content is *not* verified: whoever uses it hashes it on the
    /// way (see the module's words on power cuts).
    ///
    /// # Errors
    /// It is not there, or no file; the kernel's.
    pub fn open_blob(&self, digest: &Digest) -> Result<File, StoreError> {
        let path = self.blob_path(digest);
        // Nothing but files is ever put there; a fifo that somebody else made must not stop us.
        let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let opened = OpenOptions::new()
            .read(true)
            .custom_flags(flags.bits().cast_signed())
            .open(&path)
            .map_err(|error| match error.kind() {
                io::ErrorKind::NotFound => StoreError::Missing { digest: digest.clone() },
                _ => StoreError::io("open", &path)(error),
            })?;
        if opened.metadata().map_err(StoreError::io("read", &path))?.is_file() {
            return Ok(opened);
        }
        Err(StoreError::Damaged { path, problem: "not a file".to_owned() })
    }

    /// The bytes of a manifest, index or configuration, at most [`MAX_DOCUMENT`], verified.
    ///
    /// # Errors
    /// It is not there, too large, not of the descriptor's size or digest; the kernel's.
    pub fn document(&self, descriptor: &Descriptor) -> Result<Vec<u8>, StoreError> {
        let Descriptor { digest, size, .. } = descriptor;
        if *size > MAX_DOCUMENT {
            return Err(StoreError::TooLarge { digest: digest.clone(), size: *size });
        }
        let mut bytes = Vec::new();
        let failed = StoreError::io("read", &self.blob_path(digest));
        self.open_blob(digest)?.take(size + 1).read_to_end(&mut bytes).map_err(failed)?;
        check(digest, *size, &bytes)?;
        Ok(bytes)
    }
}

impl Hold {
    /// Puts a document into the store and says how to point to it.
    ///
    /// # Errors
    /// The kernel's, such as no space left.
    pub fn put_document(&self, media_type: &str, bytes: &[u8]) -> Result<Descriptor, StoreError> {
        let descriptor = Descriptor::of(media_type, bytes);
        if let Ingest::Partial(mut partial) = self.ingest(&descriptor)? {
            partial.restart()?;
            partial.write(bytes)?;
            partial.commit()?;
        }
        Ok(descriptor)
    }
}

/// Compares a document in memory with what its descriptor says.
pub(crate) fn check(digest: &Digest, size: u64, bytes: &[u8]) -> Result<(), StoreError> {
    let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    if length != size {
        return Err(StoreError::WrongSize { digest: digest.clone(), wanted: size, got: length });
    }
    let mut hasher = Hasher::new(digest.algorithm());
    hasher.update(bytes);
    let got = hasher.finish();
    if got == *digest {
        return Ok(());
    }
    Err(StoreError::WrongDigest { wanted: digest.clone(), got, resumed: false })
}
